/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger: one tree of pools, its one lock, and the processor order its slots rely on.
 * rn_ledger_open -> pools, slots -> rn_ledger_close. Several ledgers in one process are
 * independent.
 *
 * The lock spins briefly, then sleeps: holders leave within a microsecond or two. Who unlocks lets
 * the queue move first (queue.c), so nobody has to remember to.
 *
 * Order: membarrier where the kernel grants it at open, else seq_cst operations (old kernel, a
 * filter, TSan, memory shared between processes, where one process's barrier says nothing about the
 * others). Fixed at open, in every slot; `ration limits --explain` shows it.
 *
 * fork: handlers hold the locks of all ledgers while the process is copied, so that the child finds
 * them whole. It is copied page by page while its threads run, so what owners change without the
 * lock is brought to rest first, by the barrier of a recall: shelves are emptied, and nobody is in
 * the middle of the links of contexts. In the child no other thread exists: what its slots had
 * published and was not covered is taken back, idle credit goes home and the queue is emptied;
 * bytes that were charged stay charged until whoever owns them gives them back or closes. The
 * registration for membarrier is inherited. The handlers are registered before main, so that those
 * of the host, registered later, run before the locks are taken and after they are free. fork from
 * a signal handler that interrupted this library does not return. Shared ledgers take no part: the
 * child does not have their memory.
 *
 * Cancellation: no function of memory/ is a cancellation point while it holds the lock, but for a
 * purge hook's system calls, which are none. Asynchronous cancellation is not supported, as by the
 * C library itself.
 */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <errno.h>

#include "base/heap.h"
#include "memory/shared.h"
#include "memory/shelf.h"
#include "memory/tree.h"

/* ------------------------------------------------------------------------------- lock and heap */

void rn_ledger_lock(rn_ledger *ledger)
{
    int failed = pthread_mutex_lock(&ledger->lock);
    if (RN_UNLIKELY(failed == EOWNERDEAD)) {
        rn_ledger_repair(ledger);
    } else {
        (void)rn_never(failed != 0);
    }
}

void rn_ledger_unlock(rn_ledger *ledger)
{
    if (RN_UNLIKELY(rn_queue_first(ledger) != NULL)) {
        rn_queue_move(ledger);
    }
    int failed = pthread_mutex_unlock(&ledger->lock);
    (void)rn_never(failed != 0);
}

void *rn_ledger_allocate(rn_ledger *ledger, size_t bytes)
{
    return ledger->shared ? rn_share_take(ledger, bytes) : rn_heap_allocate(bytes);
}

void rn_ledger_free(rn_ledger *ledger, void *memory, size_t bytes)
{
    if (ledger->shared) {
        rn_share_give(ledger, memory);
    } else {
        rn_heap_free(memory, bytes);
    }
}

/* ----------------------------------------------------------------------------------------- fork */

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static rn_ledger *all; /* of this process; under all_lock */

static void for_each_slot(rn_ledger *ledger, void (*call)(rn_slot *slot))
{
    ration_pool *root = (ration_pool *)rn_link_get(&ledger->root);
    for (ration_pool *pool = root; pool != NULL; pool = rn_pool_next(pool, root)) {
        rn_walk walk;
        for (rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL; slot = rn_walk_next(&walk)) {
            call(slot);
        }
    }
}

static void close_slot(rn_slot *slot)
{
    slot->shelf_floor = rn_load(&slot->hot.floor);
    rn_slot_shut(rn_pool_ledger(rn_slot_pool(slot)), slot);
    rn_context_shut(slot);
}

static void bring_to_rest(rn_slot *slot)
{
    (void)rn_shelf_clear(slot, true);
    rn_context_await_leave(slot);
}

static void reopen_slot(rn_slot *slot)
{
    rn_store(&slot->hot.floor, slot->shelf_floor);
    rn_slot_set_granted(slot, slot->granted_bytes);
    rn_context_open(slot);
}

static void lock_all(void)
{
    pthread_mutex_lock(&all_lock);
    for (rn_ledger *ledger = all; ledger != NULL; ledger = ledger->sibling) {
        pthread_mutex_lock(&ledger->lock);
        for_each_slot(ledger, close_slot);
        if (rn_ledger_pass_barrier(ledger)) {
            for_each_slot(ledger, bring_to_rest);
        }
    }
}

static void unlock_all(void)
{
    for (rn_ledger *ledger = all; ledger != NULL; ledger = ledger->sibling) {
        pthread_mutex_unlock(&ledger->lock);
    }
    pthread_mutex_unlock(&all_lock);
}

static void go_on_in_parent(void)
{
    for (rn_ledger *ledger = all; ledger != NULL; ledger = ledger->sibling) {
        for_each_slot(ledger, reopen_slot);
        rn_ledger_unlock(ledger); /* shelves were emptied: somebody may wait for that */
    }
    pthread_mutex_unlock(&all_lock);
}

/* With the lock held, and no other thread alive. */
static void take_credit_home(rn_slot *slot)
{
    rn_ticket_leave(slot);
    rn_shelf_orphan(slot);
    rn_context_open(slot);
    int64_t used = RN_MIN(rn_slot_counted(slot), slot->granted_bytes);
    int64_t credit = slot->granted_bytes - used;
    rn_store(&slot->hot.used, used);
    rn_slot_set_granted(slot, used);
    rn_store(&slot->hot.floor, INT64_MAX);
    rn_pool_grant(rn_slot_pool(slot), -credit);
    if (rn_load(&slot->tree_busy) != 0) { /* a thread that is gone left the tree half changed */
        slot->contexts = NULL;
        rn_store(&slot->tree_busy, 0);
    }
}

static void go_on_in_child(void)
{
    for (rn_ledger *ledger = all; ledger != NULL; ledger = ledger->sibling) {
        ration_pool *root = (ration_pool *)rn_link_get(&ledger->root);
        for (ration_pool *pool = root; pool != NULL; pool = rn_pool_next(pool, root)) {
            rn_walk walk;
            for (rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL;
                 slot = rn_walk_next(&walk)) {
                take_credit_home(slot);
            }
            pool->giving = 0;
            rn_store(&pool->givers, 0);
            pool->drained = true;
            if (pool->owner != NULL && ledger->forked != NULL) {
                ledger->forked(pool->owner);
            }
        }
    }
    unlock_all();
}

__attribute__((constructor)) static void install_fork_handlers(void)
{
    int failed = pthread_atfork(lock_all, go_on_in_parent, go_on_in_child);
    (void)rn_never(failed != 0);
}

static void enroll(rn_ledger *ledger)
{
    pthread_mutex_lock(&all_lock);
    ledger->sibling = all;
    all = ledger;
    pthread_mutex_unlock(&all_lock);
}

static void withdraw(rn_ledger *ledger)
{
    pthread_mutex_lock(&all_lock);
    rn_ledger **at = &all;
    while (*at != ledger) {
        at = &(*at)->sibling;
    }
    *at = ledger->sibling;
    pthread_mutex_unlock(&all_lock);
}

/* ------------------------------------------------------------------------------- open and close */

/* One call is made as a trial: a filter may know the registration and not the command. */
static bool register_membarrier(void)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    return commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

static bool open_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes) != 0) {
        return false;
    }
    int failed = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    failed |= pthread_mutex_init(lock, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return failed == 0;
}

ration_status rn_ledger_open(const rn_ledger_options *options, rn_ledger **out_ledger)
{
    rn_ledger *ledger = (rn_ledger *)rn_heap_allocate(sizeof(*ledger));
    if (ledger == NULL) {
        return RATION_NO_MEMORY;
    }
    if (!open_lock(&ledger->lock)) {
        rn_heap_free(ledger, sizeof(*ledger));
        return RATION_NO_MEMORY;
    }
    ledger->chunk_bytes_max = RN_MAX(options->chunk_bytes_max, 0);
    ledger->membarrier = !options->force_seq_cst && !RN_TSAN && register_membarrier();
    enroll(ledger);
    *out_ledger = ledger;
    return RATION_OK;
}

void rn_ledger_close(rn_ledger *ledger)
{
    if (ledger->shared) {
        rn_ledger_leave(ledger);
        return;
    }
    ration_pool *root = (ration_pool *)rn_link_get(&ledger->root);
    if (rn_never(root != NULL)) {
        rn_pool_close(root);
    }
    withdraw(ledger);
    (void)pthread_mutex_destroy(&ledger->lock);
    rn_heap_free(ledger, sizeof(*ledger));
}

bool rn_ledger_uses_membarrier(const rn_ledger *ledger)
{
    return ledger->membarrier;
}

void rn_ledger_set_forked(rn_ledger *ledger, void (*forked)(void *owner))
{
    rn_ledger_lock(ledger);
    ledger->forked = forked;
    rn_ledger_unlock(ledger);
}

/* ------------------------------------------------------------------------------------- purging */

void rn_ledger_set_purge(rn_ledger *ledger, rn_purge *purge, rn_keep *keep, void *argument,
                         ration_pool *retained)
{
    rn_ledger_lock(ledger);
    ledger->purge = purge;
    ledger->keep = keep;
    ledger->purge_argument = argument;
    ledger->retained = retained;
    ledger->shelves = keep != NULL;
    rn_ledger_unlock(ledger);
}

void rn_ledger_set_chunk_locked(rn_ledger *ledger, int64_t chunk_bytes_max)
{
    ration_pool *root = (ration_pool *)rn_link_get(&ledger->root);
    ledger->chunk_bytes_max = RN_MAX(chunk_bytes_max, 0);
    for (ration_pool *pool = root; pool != NULL; pool = rn_pool_next(pool, root)) {
        rn_pool_set_slots_below(pool, rn_load(&pool->slots_below));
    }
}

int64_t rn_ledger_purge(rn_ledger *ledger, int64_t wanted_bytes)
{
    if (ledger->purge == NULL || wanted_bytes <= 0) {
        return 0;
    }
    int64_t purged = ledger->purge(ledger->purge_argument, wanted_bytes);
    if (RN_GOVERNED && purged != 0) {
        rn_pool_grant_direct(ledger->retained, -purged);
    }
    return purged;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree of pools, its one lock, and limits that change. rn_ledger_open -> rn_pool_open (root
 * first) -> rn_pool_set_limit -> rn_pool_close (children first) -> rn_ledger_close. Slots and the
 * recall: slot.c. Readings: audit.c.
 *
 * A change of `granted` walks from its pool to the root, after every limit on the way has been
 * compared: nothing is ever half granted, so there is no undo and a reader never sees a refused
 * amount.
 *
 *   1. I1 of ledger.h holds whenever the lock is free.
 *   2. granted > limit implies drained: no slot below holds credit and each of its releases takes
 * the lock.
 *   3. unchecked <= max(0, granted - limit).
 *
 * Bounds: grant O(depth), limit cut O(slots below) plus one barrier, open and close O(depth).
 * fork: the child of a process with several threads may inherit the lock held by a thread it does
 * not have; it may use a ledger only when no other thread was inside at the fork. The registration
 * for membarrier is inherited. Cancellation: no function here is a cancellation point while it
 * holds the lock, except a purge hook's. Rejected: an atomic word per pool, added to first and
 * reverted when above the limit. It is as fast, but a refused giant is visible for a moment and
 * bounces the innocent.
 */
#include "memory/pool.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/heap.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN true
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN false
#endif

/* One call is made as a trial: a filter may know the registration and not the command. */
static bool register_membarrier(void)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    return commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

ration_status rn_ledger_open(const rn_ledger_options *options, rn_ledger **out_ledger)
{
    rn_ledger *ledger = (rn_ledger *)rn_heap_allocate(sizeof(*ledger));
    if (ledger == NULL) {
        return RATION_NO_MEMORY;
    }
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes) != 0) {
        rn_heap_free(ledger, sizeof(*ledger));
        return RATION_NO_MEMORY;
    }
    /* Adaptive: holders leave within a microsecond or two, so spin briefly, then sleep. */
    int failed = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    failed |= pthread_mutex_init(&ledger->lock, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    if (failed != 0) {
        rn_heap_free(ledger, sizeof(*ledger));
        return RATION_NO_MEMORY;
    }
    ledger->chunk_bytes_max = RN_MAX(options->chunk_bytes_max, 0);
    ledger->membarrier = !options->force_seq_cst && !UNDER_TSAN && register_membarrier();
    *out_ledger = ledger;
    return RATION_OK;
}

void rn_ledger_close(rn_ledger *ledger)
{
    if (rn_never(ledger->root != NULL)) {
        rn_pool_close(ledger->root);
    }
    (void)pthread_mutex_destroy(&ledger->lock);
    rn_heap_free(ledger, sizeof(*ledger));
}

bool rn_ledger_uses_membarrier(const rn_ledger *ledger)
{
    return ledger->membarrier;
}

void rn_ledger_set_purge(rn_ledger *ledger, int64_t (*purge)(void *argument, int64_t wanted_bytes),
                         void *argument, ration_pool *retained)
{
    rn_ledger_lock(ledger);
    ledger->purge = purge;
    ledger->purge_argument = argument;
    ledger->retained = retained;
    rn_ledger_unlock(ledger);
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

ration_status rn_pool_open(rn_ledger *ledger, ration_pool *parent, const char *name,
                           int64_t limit_bytes, ration_status refuse_status, void *owner,
                           ration_pool **out_pool)
{
    rn_assert(limit_bytes >= 0 && refuse_status != RATION_OK);
    ration_pool *pool = (ration_pool *)rn_heap_allocate(sizeof(*pool));
    if (pool == NULL) {
        return RATION_NO_MEMORY;
    }
    pool->ledger = ledger;
    pool->parent = parent;
    pool->limit = limit_bytes;
    pool->refuse_status = refuse_status;
    pool->owner = owner;
    rn_copy_text(pool->name, sizeof(pool->name), name);
    rn_ledger_lock(ledger);
    if (parent == NULL) {
        rn_assert(ledger->root == NULL);
        ledger->root = pool;
    } else {
        rn_assert(parent->ledger == ledger);
        pool->next = parent->child;
        if (pool->next != NULL) {
            pool->next->previous = pool;
        }
        parent->child = pool;
    }
    rn_ledger_unlock(ledger);
    *out_pool = pool;
    return RATION_OK;
}

static void unlink_pool(ration_pool *pool)
{
    if (pool->parent == NULL) {
        pool->ledger->root = NULL;
        return;
    }
    if (pool->previous != NULL) {
        pool->previous->next = pool->next;
    } else {
        pool->parent->child = pool->next;
    }
    if (pool->next != NULL) {
        pool->next->previous = pool->previous;
    }
}

/* With the lock held; a pool without children. */
static void take_pool_home(ration_pool *pool)
{
    while (rn_never(pool->slots != NULL)) {
        rn_slot *slot = pool->slots;
        rn_slot_fold(slot);
        rn_heap_free(slot, sizeof(*slot));
    }
    rn_assert(pool->direct == pool->granted && pool->slots_below == 0);
    if (rn_never(pool->direct != 0)) {
        rn_pool_grant_direct(pool, -pool->direct);
    }
    unlink_pool(pool);
    rn_heap_free(pool, sizeof(*pool));
}

void rn_pool_close(ration_pool *pool)
{
    rn_ledger *ledger = pool->ledger;
    rn_ledger_lock(ledger);
    while (rn_never(pool->child != NULL)) {
        ration_pool *leaf = pool->child;
        while (leaf->child != NULL) {
            leaf = leaf->child;
        }
        take_pool_home(leaf);
    }
    take_pool_home(pool);
    rn_ledger_unlock(ledger);
}

void rn_pool_set_limit(ration_pool *pool, int64_t limit_bytes)
{
    rn_assert(limit_bytes >= 0);
    rn_no no = {0};
    rn_ledger_lock(pool->ledger);
    rn_store(&pool->limit, limit_bytes);
    rn_pool_shed(pool, 0, &no);
    int64_t above = RN_MAX(-rn_pool_room(pool), 0);
    rn_store(&pool->unchecked, RN_MIN(rn_load(&pool->unchecked), above));
    rn_ledger_unlock(pool->ledger);
}

int64_t rn_pool_limit(const ration_pool *pool)
{
    return rn_load(&pool->limit);
}

const char *rn_pool_name(const ration_pool *pool)
{
    return pool->name;
}

void *rn_pool_owner(const ration_pool *pool)
{
    return pool->owner;
}

bool rn_pool_try_charge(ration_pool *pool, int64_t bytes)
{
    rn_assert(bytes >= 0);
    if (!RN_GOVERNED) {
        return true;
    }
    rn_no no = {0};
    rn_ledger_lock(pool->ledger);
    bool granted = rn_pool_make_room(pool, NULL, bytes, &no);
    if (granted) {
        rn_pool_grant_direct(pool, bytes);
    }
    rn_ledger_unlock(pool->ledger);
    return granted;
}

void rn_pool_release(ration_pool *pool, int64_t bytes)
{
    rn_assert(bytes >= 0);
    if (!RN_GOVERNED) {
        return;
    }
    rn_ledger_lock(pool->ledger);
    rn_pool_grant_direct(pool, -bytes);
    rn_ledger_unlock(pool->ledger);
}

bool rn_pool_is_below(const ration_pool *pool, const ration_pool *top)
{
    while (pool != NULL && pool != top) {
        pool = pool->parent;
    }
    return pool != NULL;
}

ration_pool *rn_pool_next(ration_pool *pool, const ration_pool *top)
{
    if (pool->child != NULL) {
        return pool->child;
    }
    while (pool != top && pool->next == NULL) {
        pool = pool->parent;
    }
    return pool == top ? NULL : pool->next;
}

void rn_pool_grant(ration_pool *pool, int64_t bytes)
{
    for (; pool != NULL; pool = pool->parent) {
        int64_t granted = rn_add(rn_load(&pool->granted), bytes);
        rn_store(&pool->granted, granted);
        if (granted > rn_load(&pool->peak)) {
            rn_store(&pool->peak, granted);
        }
        if (RN_UNLIKELY(rn_load(&pool->unchecked) != 0)) {
            int64_t above = RN_MAX(-rn_pool_room(pool), 0);
            rn_store(&pool->unchecked, RN_MIN(rn_load(&pool->unchecked), above));
        }
    }
}

void rn_pool_grant_direct(ration_pool *pool, int64_t bytes)
{
    rn_store(&pool->direct, rn_add(rn_load(&pool->direct), bytes));
    rn_pool_grant(pool, bytes);
}

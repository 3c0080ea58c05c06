/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes that die in a shared ledger: rn_ledger_repair, when one died with the lock;
 * rn_ledger_bury, for what the dead had.
 *
 * The books are kept so that a few words say everything, each changed by one store:
 *
 *     pool   ledger (is it in the tree?), parent, claim, direct, limit, giving
 *     slot   pool (is it in the tree?), granted_bytes, ticket.state with ticket.bytes, .sequence
 *
 * All else - lists, sums, counts, the queue - follows from these and is built anew from the tables.
 * So it does not matter what a death leaves of all else, only that these words are right at every
 * instant, which asks of every function that holds the lock:
 *
 *   1. Room is found before any of these words is raised, in the same hold of the lock. Until it is
 *      let go nobody else is granted anything, so what follows from them is within every limit.
 *   2. What moves from one of these words to another leaves first and arrives afterwards
 *      (rn_keep_order): a death between loses bytes of the dead process, and never counts any
 * twice.
 *   3. Nothing of a living process moves in two steps: a recall lowers one word, a promise to a
 *      waiting ticket is its state. Who was promised bytes and perhaps not woken is woken by the
 *      repair; a semaphore posted once too often does no harm (queue.c).
 *   4. A slot that a recall had closed is opened at granted_bytes: either it is what its owner had,
 *      or `used` was read after it was closed, and covers it (recall.c).
 *
 * Repairing stores only what follows from those words, so dying in it is like dying before it.
 *
 * Who is gone: no process with its pid, or one that has ended and was not waited for, or one that
 * started at another time. What its slots and pools held is given back whole, because its memory
 * went with it. A pool of the dead that somebody else still has a slot or pool in stays until that
 * is closed. Bounds: rebuilding O(pools x depth + slots + tickets^2), looking for the dead one
 * system call per process, or three and a small file.
 */
#include <errno.h>
#include <signal.h>

#include "memory/machine/probe.h"
#include "memory/shared.h"

#define LOOK_NS ((int64_t)10 * 1000 * 1000)
#define PID_MASK (((int64_t)1 << RN_SHARE_PID_BITS) - 1)

/* --------------------------------------------------------------------------------------- repair */

static void relink_pools(rn_share *share)
{
    for (int64_t i = 0; i < share->sizes.pools; i++) {
        ration_pool *pool = rn_share_pool(share, i);
        if (rn_share_has_pool(share, i)) {
            rn_link_set(&pool->child, NULL);
            memset(pool->slots, 0, sizeof(pool->slots));
            rn_store(&pool->waiting, 0);
        }
    }
    rn_link_set(&share->ledger.root, NULL);
    for (int64_t i = 0; i < share->sizes.pools; i++) {
        if (rn_share_has_pool(share, i)) {
            rn_pool_link(rn_share_pool(share, i), rn_pool_parent(rn_share_pool(share, i)));
        }
    }
}

static void relink_slots(rn_share *share)
{
    rn_link_set(&share->ledger.first_waiting, NULL);
    rn_link_set(&share->ledger.last_waiting, NULL);
    for (int64_t i = 0; i < share->sizes.slots; i++) {
        rn_slot *slot = rn_share_slot(share, i);
        if (rn_share_has_slot(share, i)) {
            ration_pool *pool = rn_slot_pool(slot);
            rn_pool_deal_slot(pool, slot);
            if (rn_load(&slot->hot.limit) != slot->granted_bytes) {
                rn_slot_set_granted(slot, slot->granted_bytes);
            }
            rn_queue_put_back(slot);
        }
    }
}

void rn_ledger_rebuild(rn_ledger *ledger)
{
    rn_share *share = rn_share_of(ledger);
    relink_pools(share);
    relink_slots(share);
    rn_ledger_recount(ledger);
    ration_pool *root = (ration_pool *)rn_link_get(&ledger->root);
    for (ration_pool *pool = root; pool != NULL; pool = rn_pool_next(pool, root)) {
        if (rn_load(&pool->waiting) != 0 || rn_pool_room(pool) < 0) {
            (void)rn_pool_drain(pool);
        }
    }
    ledger->freed = true;
    ledger->stale = true;
    rn_queue_move(ledger);
}

void rn_ledger_repair(rn_ledger *ledger)
{
    rn_ledger_rebuild(ledger);
    rn_share_of(ledger)->repairs += 1;
    int failed = pthread_mutex_consistent(&ledger->lock);
    (void)rn_never(failed != 0);
}

/* --------------------------------------------------------------------------------------- burying
 */

static int64_t bury_slots(rn_share *share, int64_t process)
{
    int64_t buried = 0;
    for (int64_t i = 0; i < share->sizes.slots; i++) {
        rn_slot *slot = rn_share_slot(share, i);
        if (rn_load(rn_share_slot_holder(share, i)) != process) {
            continue;
        }
        if (rn_share_has_slot(share, i)) {
            rn_store(&slot->hot.used, 0); /* so that nothing of it becomes the pool's */
            rn_slot_fold(slot);
            buried += 1;
        }
        rn_store_release(rn_share_slot_holder(share, i), 0);
    }
    return buried;
}

/* One pass over the table; `*out_left` pools have slots or pools of others in them. */
static int64_t bury_pools(rn_share *share, int64_t process, int64_t *out_left)
{
    int64_t buried = 0;
    *out_left = 0;
    for (int64_t i = 0; i < share->sizes.pools; i++) {
        rn_walk walk;
        ration_pool *pool = rn_share_pool(share, i);
        if (rn_load(rn_share_pool_holder(share, i)) != process) {
            continue;
        }
        if (!rn_share_has_pool(share, i)) {
            rn_store_release(rn_share_pool_holder(share, i), 0);
        } else if (rn_pool_child(pool) == NULL && rn_walk_first(&walk, pool) == NULL) {
            rn_pool_grant_direct(pool, -rn_load(&pool->direct));
            rn_pool_fold(pool);
            buried += 1;
        } else {
            *out_left += 1;
        }
    }
    return buried;
}

int64_t rn_ledger_bury_process(rn_ledger *ledger, int64_t process)
{
    rn_share *share = rn_share_of(ledger);
    int64_t buried = bury_slots(share, process);
    int64_t now = 0, left = 0;
    do { /* a pool may be empty when its last child is gone */
        now = bury_pools(share, process, &left);
        buried += now;
    } while (now > 0);
    for (int64_t i = 0; i < share->sizes.processes && left == 0; i++) {
        if (rn_load(&share->holders[i]) == process) {
            rn_store(&share->holders[i], 0);
        }
    }
    return buried;
}

static bool is_gone(int64_t process, bool thorough)
{
    int64_t pid = process & PID_MASK;
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) {
        return true;
    }
    int64_t start = thorough ? rn_probe_start_time(pid) : -1;
    return start >= 0 && start != process >> RN_SHARE_PID_BITS;
}

/* With the lock held; returns how many processes were gone. */
static int64_t look_for_dead(rn_ledger *ledger, bool thorough)
{
    rn_share *share = rn_share_of(ledger);
    int64_t own = rn_share_own_of(ledger)->process;
    int64_t gone = 0;
    int cancellation;
    /* Reading a file is a cancellation point, and the lock is held. */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    for (int64_t i = 0; i < share->sizes.processes; i++) {
        int64_t process = rn_load(&share->holders[i]);
        if (process != 0 && process != own && is_gone(process, thorough)) {
            (void)rn_ledger_bury_process(ledger, process);
            gone += 1;
        }
    }
    (void)pthread_setcancelstate(cancellation, NULL);
    return gone;
}

bool rn_ledger_bury_gone(rn_ledger *ledger, bool thorough)
{
    rn_share *share = rn_share_of(ledger);
    int64_t now_ns = rn_clock_coarse_ns();
    thorough = thorough || now_ns - share->looked_ns >= LOOK_NS;
    share->looked_ns = thorough ? now_ns : share->looked_ns;
    return look_for_dead(ledger, thorough) > 0;
}

int64_t rn_ledger_bury(rn_ledger *ledger)
{
    rn_ledger_lock(ledger);
    int64_t gone = look_for_dead(ledger, true);
    rn_ledger_unlock(ledger);
    return gone;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The recall, and the one place that decides a refusal. rn_pool_drain brings the idle credit of all
 * slots below a pool home; rn_pool_make_room does that before it says no.
 *
 *     owner charges n                            whoever runs dry recalls, holding the lock
 *       compare used + n with limit                for each slot below: limit = CLOSED       (S)
 *       used = used + n        (publish)                                floor = INT64_MAX
 *       compiler barrier                           one barrier on every processor that runs
 *       compare used with limit again                the process                             (M)
 *     owner releases n                             for each slot below: u = used, read once  (R)
 *       used = used - n        (publish)             limit = min(granted, u)
 *       compiler barrier                             the difference goes home
 *       compare used with floor
 *
 * Invariants: I1, I2 and I4 of ledger.h, from which sum(used) <= limit of every pool follows.
 *
 * Proof that I4 survives a recall. M is a full barrier at some point p of the owner's program,
 * between S and R (an owner that is not running passed one when it was switched out, and passes one
 * when it is switched in). Take a charge of the owner. Its second comparison loads `limit` before
 * p: then its store of `used` is before p too, R sees it, and since the first comparison passed, u
 * <= granted: the new limit covers it. It loads after p: it sees CLOSED or the new limit. If `used`
 * is above, the owner comes for the lock, takes its bytes back and asks again like everybody. Until
 * then `used` may be above `limit`, but the charge was not granted. Nobody waits for the owner.
 *
 * Proof that no credit is left behind. A release publishes `used` before it loads `floor`, in the
 * same order as a charge, and `floor` is closed before M too. If that load is before p, R sees the
 * lower `used` and takes the credit home; if it is after, the release sees INT64_MAX, comes for the
 * lock and takes it home itself. With `floor` stored after R a release could slip between the two:
 * its slot kept credit in a pool that says it has none, for as long as the owner was idle.
 *
 * Proof that a refusal is true. Take the instant after the last R. Every slot below the refusing
 * pool has limit = granted = the `used` that was read, or less if it read more than was granted,
 * and no new charge passes its first comparison. What R read and granted covers will be granted:
 * either its owner's second comparison finds it covered, or the owner comes for the lock and finds
 * nothing missing. A release counts when it gets the lock (its floor is INT64_MAX), and this call
 * holds it. So granted = charged at that instant, inside this call, and granted + asked > limit.
 * What a claim has charged and nobody holds yet, and what is free at a pool where somebody waits,
 * is charged in this sense: both are promised.
 *
 * Which processors. The owner needs one thing of the machine: that its store of `used` and its next
 * load are not reordered around p. The compiler barrier keeps them in program order in the machine
 * code. x86-64 (TSO) may delay the store past the load; AArch64 may reorder the two either way, and
 * the release store of a release (stlr) does not order a later plain load either. Neither matters:
 * an interrupt of the barrier is taken between two instructions of the owner, those before it are
 * complete for everybody once the barrier's smp_mb has run, those after it start after. That is the
 * promise of MEMBARRIER_CMD_PRIVATE_EXPEDITED (membarrier(2)), the same on both machines. Words are
 * 64 bits wide and aligned: neither machine tears them. That the recaller's stores S are seen after
 * p needs them before its own side of the barrier, which the system call is.
 *
 * With seq_cst ordering S, R and the owner's two accesses are seq_cst operations (an exchange and a
 * load: xchg and mov on x86-64, swpal or an ldaxr/stlxr loop and ldar on AArch64), and their single
 * order takes the place of M: if the owner's load is before S in it, its exchange is before R.
 *
 * When the kernel refuses the barrier that it granted at open (a filter installed since), the
 * recaller visits every processor it may run on: where it arrives, whoever ran there has been
 * switched out, which is a full barrier. If that is refused too, nothing may be concluded: the
 * slots stay closed, and the credit of each goes home when its owner next comes for the lock
 * (slot.c). Never over, but a refusal may then be false by the credit of owners who are idle; each
 * such recall is counted as a fault.
 *
 * A drained pool (flag `drained`) stays so after the recall: its slots hold limit = used, and floor
 * = INT64_MAX sends each release through the lock, where its credit goes home. A release takes
 * effect when it gets the lock, so granted = charged all the time, and the next refusal needs no
 * barrier: a storm of refusals costs one recall. The flag falls when a slot below is given credit
 * beyond what it charges; the slots' floors follow when each next comes for the lock.
 *
 * Three mistakes that tests guard against: reading `used` twice in a recall (compare, then take)
 * lets a charge between the two readings through; publishing before the first comparison makes a
 * refused giant visible, and others are refused because of it; adding up readings of slots that
 * were open counts bytes on their way from one slot to another twice.
 *
 * Asking order: credit, chunk, exact bytes (slot.c), retained pages purged, recall, what processes
 * that are gone held (shared ledgers only, repair.c), refuse. Purge comes before recall because
 * retained pages serve nobody, while recalled credit moves the shortage to a worker who must come
 * here for it next.
 *
 * Bounds: recall O(slots below + pools below x depth) and one barrier.
 */
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory/shared.h"
#include "memory/shelf.h"

void rn_slot_shut(const rn_ledger *ledger, rn_slot *slot)
{
    if (ledger->membarrier) {
        rn_store(&slot->hot.limit, RN_SLOT_CLOSED);
        rn_store(&slot->hot.floor, INT64_MAX);
    } else {
        rn_exchange_seq_cst(&slot->hot.limit, RN_SLOT_CLOSED);
        rn_exchange_seq_cst(&slot->hot.floor, INT64_MAX);
    }
}

/* Runs on every processor in turn; false when the system does not let it. A processor it may not
 * use runs no thread of a process whose threads share its cpuset. */
static bool visit_processors(void)
{
    cpu_set_t own;
    bool visited = false;
    if (sched_getaffinity(0, sizeof(own), &own) != 0) {
        return false;
    }
    for (size_t processor = 0; processor < CPU_SETSIZE; processor++) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(processor, &one);
        visited |= sched_setaffinity(0, sizeof(one), &one) == 0;
    }
    return sched_setaffinity(0, sizeof(own), &own) == 0 && visited;
}

bool rn_ledger_pass_barrier(const rn_ledger *ledger)
{
    if (!ledger->membarrier ||
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) {
        return true;
    }
    bool visited = visit_processors();
    return !rn_never(!visited);
}

/* Opens a closed slot again at what it uses; returns the credit that goes home. */
static int64_t open_slot_at_used(const rn_ledger *ledger, rn_slot *slot)
{
    int64_t used =
        ledger->membarrier ? rn_load_acquire(&slot->hot.used) : rn_load_seq_cst(&slot->hot.used);
    RN_POINT("recall.read");
    if (RN_UNLIKELY(rn_shelf_is_touched(slot))) {
        (void)rn_shelf_clear(slot, true);
    }
    int64_t credit = RN_MAX(slot->granted_bytes - used, 0);
    rn_slot_set_granted(slot, slot->granted_bytes - credit);
    slot->recalls_hit += credit > 0;
    return credit;
}

bool rn_pool_is_drained(const ration_pool *pool)
{
    while (pool != NULL && !pool->drained) {
        pool = rn_pool_parent(pool);
    }
    return pool != NULL;
}

int64_t rn_pool_drain(ration_pool *top)
{
    rn_ledger *ledger = rn_pool_ledger(top);
    if (rn_pool_is_drained(top)) {
        top->drained = true;
        return 0;
    }
    for (ration_pool *pool = top; pool != NULL; pool = rn_pool_next(pool, top)) {
        rn_walk walk;
        for (rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL; slot = rn_walk_next(&walk)) {
            rn_slot_shut(ledger, slot);
        }
    }
    RN_POINT("recall.closed");
    bool ordered = rn_load(&top->slots_below) == 0 || rn_ledger_pass_barrier(ledger);
    RN_POINT("recall.fenced");
    int64_t home = 0;
    for (ration_pool *pool = top; pool != NULL; pool = rn_pool_next(pool, top)) {
        int64_t credit = 0;
        rn_walk walk;
        for (rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL; slot = rn_walk_next(&walk)) {
            credit += ordered ? open_slot_at_used(ledger, slot) : 0;
        }
        rn_pool_grant(pool, -credit);
        home += credit;
    }
    top->drained = ordered;
    ledger->unordered |= !ordered;
    return home;
}

int64_t rn_pool_recall(ration_pool *pool)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    int64_t home = rn_pool_drain(pool);
    rn_ledger_unlock(ledger);
    return home;
}

/* Purges until `pool` has room for `wanted_bytes`; false when there was nothing to purge. */
static bool purge_for(ration_pool *pool, int64_t wanted_bytes, rn_no *no)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    int64_t room = rn_pool_room(pool);
    int64_t purged = 0;
    if (room < wanted_bytes && ledger->retained != NULL &&
        rn_pool_is_below(ledger->retained, pool)) {
        purged = rn_ledger_purge(ledger, rn_add(wanted_bytes, -room));
    }
    no->purged_bytes += purged;
    return purged > 0;
}

void rn_pool_shed(ration_pool *pool, int64_t wanted_bytes, rn_no *no)
{
    (void)purge_for(pool, wanted_bytes, no);
    if (rn_pool_room(pool) < wanted_bytes) {
        no->recalled_bytes += rn_pool_drain(pool);
        (void)purge_for(pool, wanted_bytes, no); /* what lay on shelves */
    }
}

void rn_pool_refuse(ration_pool *pool, int64_t asked_bytes, int64_t needed_bytes, rn_no *no)
{
    rn_text path = rn_text_over(no->path, sizeof(no->path));
    rn_pool_put_path(&path, pool);
    no->pool = pool;
    no->status = pool->refuse_status;
    no->asked_bytes = asked_bytes;
    no->needed_bytes = needed_bytes;
    no->charged_bytes = rn_pool_count_charged(pool);
    no->limit_bytes = rn_load(&pool->limit);
    no->waiting = rn_load(&pool->waiting);
    if (no->waiting > 0) { /* what is free is promised to them */
        no->charged_bytes = RN_MAX(no->charged_bytes, no->limit_bytes);
    }
}

void rn_pool_count_refusal(rn_no *no)
{
    no->sequence = ++rn_pool_ledger(no->pool)->refusals;
    rn_store(&no->pool->refusals, rn_load(&no->pool->refusals) + 1);
}

ration_pool *rn_pool_find_full_at_last(const rn_move *move, int64_t *out_need, rn_no *no)
{
    ration_pool *shed = NULL;
    for (;;) {
        ration_pool *full = rn_pool_find_full(move, out_need);
        /* More than the limit is refused whatever is charged: nobody is disturbed for it. What was
         * shed once has no credit left to give, and the way below a full pool only got wider; but
         * the asker's own credit went home too, so it lacks more than was purged for. */
        if (RN_LIKELY(full == NULL) || move->bytes > rn_load(&full->limit)) {
            return full;
        }
        if (full != shed) {
            rn_pool_shed(full, *out_need, no);
            shed = full;
        } else if (!purge_for(full, *out_need, no)) {
            return full;
        }
    }
}

bool rn_pool_make_room(const rn_move *move, rn_no *no)
{
    int64_t need = 0;
    ration_pool *full = rn_pool_find_full_at_last(move, &need, no);
    if (full != NULL && rn_pool_ledger(full)->shared &&
        rn_ledger_bury_gone(rn_pool_ledger(full), false)) {
        full = rn_pool_find_full_at_last(move, &need, no);
    }
    if (RN_LIKELY(full == NULL)) {
        return true;
    }
    bool exact = rn_pool_is_drained(full) && need != INT64_MAX;
    rn_pool_refuse(full, move->bytes, exact ? need : move->bytes, no);
    return false;
}

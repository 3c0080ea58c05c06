/* SPDX-License-Identifier: Apache-2.0
 *
 * Shelves: rn_shelf_put -> rn_shelf_take (inline, shelf.h), and without the owner rn_shelf_clear.
 *
 * A block that is given up and asked for again soon, as the first block of a small context, costs
 * two trips through the ledger's lock by way of the retained blocks; on its slot's shelf it costs a
 * few instructions. What lies there is still charged to the slot (so it needs no credit, and what
 * is resident stays within what is granted), but serves nobody: a limit that needs the bytes gets
 * them, whatever the owner does.
 *
 * A shelf is a stack whose bottom only rises: cells [base, count) are full, cell i is
 * cells[i mod 8]. The owner alone writes `count` and the cells. Who holds the lock takes from it by
 * raising `base`, as a recall takes credit by lowering `limit`, with the same barrier (recall.c):
 *
 *     take:  c = count - 1; c < base: empty.  count = c; order; limit CLOSED or c < base: ask under
 *            the lock.
 *     put:   cells[count] = block; count += 1; puts += 1; order; floor INT64_MAX: ask under the
 *            lock.
 *     clear: limit = CLOSED, floor = INT64_MAX; barrier; r = count, read once; cells [base, r) are
 *            the clearer's; base = max(base, r); limit is opened again.
 *
 * A recall that finds puts as it was when the shelves were last cleared leaves it at that: puts is
 * stored after count and read before it, by the same rule.
 *
 * Proof. Let S be the clearer's stores to limit and floor, B the point where the barrier orders the
 * owner, R the read of count. A take or put whose last load comes before B in the owner's order has
 * its store to count before B, so R sees it: a block taken is not in [base, r), one put is. One
 * whose last load comes after B sees what S stored, or base = r if the slot was opened again, and
 * asks under the lock, after the clearer: base is stored before limit is opened, with release, and
 * loaded after it, with acquire. There both go by base alone. R may have seen its store or not: a
 * take of c stands if c >= base (R = c saw it), else the clearer has the block and the owner sets
 * count to c + 1 = base. A put at c was the clearer's if base > c, else the owner withdraws it. At
 * most one operation of the owner is under way, so nothing else can differ. Between a lost take and
 * its settling count is base - 1: another clearer finds nothing then, and base stays (lowered to
 * count, the take would stand, of a block that the first clearer has). A cell is not overwritten
 * while the clearer reads it: the owner puts at count, at most room - 1 < 8 above the base it has
 * read, base only grows, and is stored after the cells were read.
 *
 * What was taken is released in the pool's direct bytes, which may so become negative, as a release
 * by another slot does (slot.c): the slot counts it as used until its owner next comes to the lock.
 * While a pool is drained floor stays INT64_MAX and nothing is put on a shelf, so that a refusal
 * finds them empty.
 *
 * Rejected: counting what lies on a shelf as credit instead. A charge would then spend the credit
 * and leave the pages, and memory would pass the limit by a shelf for each slot.
 */
#include "memory/shelf.h"

/* The lock is held by the owner. */
void rn_shelf_forget_taken(rn_slot *slot)
{
    int64_t bytes = slot->taken_bytes;
    if (RN_LIKELY(bytes == 0)) {
        return;
    }
    ration_pool *pool = rn_slot_pool(slot);
    int64_t floor = rn_load(&slot->hot.floor);
    rn_store(&slot->taken_bytes, 0);
    rn_store(&slot->hot.used, rn_slot_counted(slot) - bytes);
    if (RN_UNLIKELY(rn_load(&slot->hot.limit) == RN_SLOT_CLOSED)) {
        slot->granted_bytes -= bytes; /* a recall that found no barrier: it stays closed */
    } else {
        rn_slot_set_granted(slot, slot->granted_bytes - bytes);
    }
    rn_store(&slot->hot.floor, floor == INT64_MAX ? INT64_MAX : rn_add(floor, -bytes));
    rn_store(&pool->direct, rn_load(&pool->direct) + bytes);
}

bool rn_shelf_settle_take(rn_slot *slot, int which, int64_t count)
{
    ration_shelf *shelf = &slot->hot.shelves[which];
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    bool stands = count >= rn_load(&shelf->base);
    if (!stands) {
        rn_store(&shelf->count, rn_load(&shelf->base));
    }
    rn_ledger_unlock(ledger);
    return stands;
}

bool rn_shelf_settle_put(rn_slot *slot, int which, int64_t count)
{
    ration_shelf *shelf = &slot->hot.shelves[which];
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    bool taken = rn_load(&shelf->base) > count;
    if (!taken) {
        rn_store(&shelf->count, count);
    }
    rn_ledger_unlock(ledger);
    return taken;
}

int64_t rn_shelf_clear(rn_slot *slot, bool retain)
{
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    int64_t bytes = 0;
    int64_t puts = rn_load_seq_cst(&slot->hot.shelf_puts); /* before any count */
    for (int which = 0; which < RN_SHELVES; which++) {
        ration_shelf *shelf = &slot->hot.shelves[which];
        int64_t count =
            ledger->membarrier ? rn_load_acquire(&shelf->count) : rn_load_seq_cst(&shelf->count);
        int64_t base = rn_load(&shelf->base);
        RN_POINT("shelf.read");
        for (; base < count; base++) {
            ledger->keep(ledger->purge_argument, rn_slot_pool(slot),
                         slot->cells[which][base & (RN_SHELF_CELLS - 1)], rn_shelf_bytes(which),
                         retain);
            bytes += rn_shelf_bytes(which);
        }
        rn_store_release(&shelf->base, base);
    }
    rn_store(&slot->hot.shelf_cleared, puts);
    rn_store(&slot->taken_bytes, slot->taken_bytes + (RN_GOVERNED ? bytes : 0));
    return bytes;
}

void rn_shelf_orphan(rn_slot *slot)
{
    for (int which = 0; which < RN_SHELVES; which++) {
        rn_store(&slot->hot.shelves[which].count, rn_load(&slot->hot.shelves[which].base));
    }
    rn_shelf_forget_taken(slot);
}

/* Has it lain there long enough, with nothing put in between? Looking is what makes it older. */
static bool is_old(rn_slot *slot, int64_t age_ns, int64_t now_ns)
{
    int64_t seen = rn_load(&slot->hot.shelf_puts);
    if (!rn_shelf_holds(slot) || seen != slot->shelf_seen) {
        slot->shelf_seen = seen;
        slot->shelf_seen_ns = now_ns;
    }
    return rn_shelf_holds(slot) && (age_ns == 0 || now_ns - slot->shelf_seen_ns >= age_ns);
}

int64_t rn_shelves_clear(rn_ledger *ledger, int64_t age_ns, int64_t now_ns)
{
    ration_pool *root = (ration_pool *)rn_link_get(&ledger->root);
    rn_slot *closed = NULL;
    rn_walk walk;
    for (ration_pool *pool = root; pool != NULL; pool = rn_pool_next(pool, root)) {
        for (rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL; slot = rn_walk_next(&walk)) {
            if (slot->hot.shelves_used != 0 && rn_load(&slot->hot.limit) != RN_SLOT_CLOSED &&
                is_old(slot, age_ns, now_ns)) {
                slot->shelf_floor = rn_load(&slot->hot.floor);
                rn_slot_shut(ledger, slot);
                slot->next_closed = closed;
                closed = slot;
            }
        }
    }
    bool ordered = closed != NULL && rn_ledger_pass_barrier(ledger);
    int64_t bytes = 0;
    for (; closed != NULL; closed = closed->next_closed) {
        bytes += ordered ? rn_shelf_clear(closed, false) : 0;
        rn_store(&closed->hot.floor, closed->shelf_floor);
        rn_slot_set_granted(closed, closed->granted_bytes);
    }
    return bytes;
}

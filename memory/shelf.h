/* SPDX-License-Identifier: Apache-2.0
 *
 * Shelves: blocks that a slot's owner gave up last and may have again without a lock. They stay
 * charged to the slot, and whoever needs the bytes takes them without its owner (shelf.c). */
#ifndef RATION_SHELF_H
#define RATION_SHELF_H

#include "memory/pool.h"

/* Five per slot: blocks of 8, 16, 32 and 64 KiB; small contexts, each in its block of 8 KiB, ready
 * for use (RN_SHELF_CONTEXTS, context.c). */
static inline int64_t rn_shelf_room(int which)
{
    return which == 0 || which == RN_SHELF_CONTEXTS ? 8 : 4;
}

/* The shelf for blocks of `bytes`, as from rn_block_round; -1 = none, also in a ledger that keeps
 * nothing. */
static inline int rn_shelf_for(const rn_slot *slot, int64_t bytes)
{
    bool any = slot->hot.shelves_used != 0 && bytes <= rn_shelf_bytes(3);
    return RN_LIKELY(any) ? __builtin_ctzll((uint64_t)bytes) - 13 : -1;
}

/* Somebody took from the shelf meanwhile, or is about to: does the owner's take of block `count`,
 * or its put there, stand? */
bool rn_shelf_settle_take(rn_slot *slot, int which, int64_t count);
bool rn_shelf_settle_put(rn_slot *slot, int which, int64_t count);

/* A block, still charged to the slot; NULL when there is none. Owner only. */
static inline void *rn_shelf_take(rn_slot *slot, int which)
{
    ration_shelf *shelf = &slot->hot.shelves[which];
    int64_t count = rn_load(&shelf->count) - 1;
    if (count < rn_load(&shelf->base)) {
        return NULL;
    }
    bool stands;
    RN_POINT("shelf.compared");
    if (RN_LIKELY(slot->hot.ordering == 0)) {
        rn_store(&shelf->count, count);
        rn_keep_order();
        RN_POINT("shelf.taken");
        stands = rn_load_acquire(&slot->hot.limit) != RN_SLOT_CLOSED;
        stands = stands && count >= rn_load(&shelf->base);
    } else {
        rn_exchange_seq_cst(&shelf->count, count);
        RN_POINT("shelf.taken");
        stands = rn_load_seq_cst(&slot->hot.limit) != RN_SLOT_CLOSED;
        stands = stands && count >= rn_load_seq_cst(&shelf->base);
    }
    if (RN_UNLIKELY(!stands) && !rn_shelf_settle_take(slot, which, count)) {
        return NULL;
    }
    return slot->cells[which][count & (RN_SHELF_CELLS - 1)];
}

/* Takes a block that is charged to the slot; false = it stays the caller's. Owner only. */
static inline bool rn_shelf_put(rn_slot *slot, int which, void *block)
{
    ration_shelf *shelf = &slot->hot.shelves[which];
    int64_t count = rn_load(&shelf->count);
    if (count - rn_load_acquire(&shelf->base) >= rn_shelf_room(which) ||
        rn_load(&slot->hot.floor) == INT64_MAX) {
        return false;
    }
    slot->cells[which][count & (RN_SHELF_CELLS - 1)] = block;
    RN_POINT("shelf.filled");
    bool shut;
    int64_t puts = rn_load(&slot->hot.shelf_puts) + 1;
    rn_store_release(&shelf->count, count + 1);
    if (RN_LIKELY(slot->hot.ordering == 0)) {
        rn_store(&slot->hot.shelf_puts, puts);
        rn_keep_order();
        RN_POINT("shelf.put");
        shut = rn_load(&slot->hot.floor) == INT64_MAX;
    } else {
        rn_exchange_seq_cst(&slot->hot.shelf_puts, puts);
        RN_POINT("shelf.put");
        shut = rn_load_seq_cst(&slot->hot.floor) == INT64_MAX;
    }
    return RN_LIKELY(!shut) || rn_shelf_settle_put(slot, which, count);
}

/* Was anything put on the slot's shelves since they were last cleared? Under the lock: of a closed
 * slot, since it was closed. */
static inline bool rn_shelf_is_touched(const rn_slot *slot)
{
    return rn_load_seq_cst(&slot->hot.shelf_puts) != rn_load(&slot->hot.shelf_cleared);
}
/* Does anything lie there? Any thread, as of some moment. */
static inline bool rn_shelf_holds(const rn_slot *slot)
{
    int64_t differ = 0;
    for (int which = 0; which < RN_SHELVES; which++) {
        const ration_shelf *shelf = &slot->hot.shelves[which];
        differ |= rn_load(&shelf->count) ^ rn_load(&shelf->base);
    }
    return differ != 0;
}

/* Takes all blocks off the shelves of a slot that is closed since a barrier, or has no owner any
 * more: they are retained, or given back to the system. Under the lock. Returns the bytes. */
int64_t rn_shelf_clear(rn_slot *slot, bool retain);
/* What was taken is no longer counted as the slot's. Its owner, under the lock. */
void rn_shelf_forget_taken(rn_slot *slot);
/* In the child of a fork, under the lock: the shelves were cleared before it, and whoever was in
 * the middle of a take or put is gone; the block is no longer anybody's, but charged. */
void rn_shelf_orphan(rn_slot *slot);
/* Gives back to the system what has lain on the shelves of all slots for `age_ns` at least (0: all)
 * as seen by calls of this. Under the lock. Cost: a walk over all slots; a barrier when there is
 * something. Returns the bytes. */
int64_t rn_shelves_clear(rn_ledger *ledger, int64_t age_ns, int64_t now_ns);

#endif

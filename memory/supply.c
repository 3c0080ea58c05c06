/* SPDX-License-Identifier: Apache-2.0
 *
 * The supply of blocks: rn_supply_open -> rn_supply_obtain, rn_supply_vacate .. -> rn_supply_close.
 *
 * Small blocks. The place is taken under the lock; address space is asked for, committed, given
 * back without it. Threads that find no room at the same time add a span each: one too many stays
 * vacant or goes again. A span that emptied is marked before the lock is let go, unmapped, and
 * taken off the table afterwards; if the system does not take it (vm.max_map_count), it is used
 * again, because then no other could be had either.
 *
 * Large blocks. In checked builds an inaccessible page follows each, which is never resident and
 * therefore not charged.
 *
 * Under AddressSanitizer vacant granules are poisoned: who still has the address is told. */
#include "memory/supply.h"

#include "base/heap.h"
#include "memory/poison.h"
#include "memory/pool.h"

#define SMALL_BYTES_MAX (RN_GRANULE_BYTES * RN_UNIT_GRANULES)

static rn_failure obtain_failure;

void rn_supply_fail_after(int64_t n, bool forever)
{
    rn_failure_arm(&obtain_failure, n, forever);
}

/* --------------------------------------------------------------------------------- large blocks */

static int64_t guard_bytes(void)
{
#ifdef RATION_CHECKED
    return rn_page_features_get()->page_bytes;
#else
    return 0;
#endif
}

static void guard_end(void *block, int64_t bytes)
{
    if (guard_bytes() > 0) {
        rn_pages_guard((char *)block + bytes);
    }
}

static void *map_large(int64_t bytes)
{
    int64_t whole = rn_add(bytes, guard_bytes());
    void *block = rn_pages_map(whole);
    if (block != NULL) {
        rn_pages_name(block, whole, "ration large block");
        guard_end(block, bytes);
    }
    return block;
}

void *rn_supply_resize(rn_supply *supply, void *block, int64_t old_bytes, int64_t new_bytes)
{
    if (guard_bytes() > 0 && !rn_pages_unguard((char *)block + old_bytes)) {
        guard_end(block, old_bytes);
        return NULL;
    }
    rn_open(block, (size_t)old_bytes); /* the contents move with it */
    void *moved =
        rn_pages_resize(block, rn_add(old_bytes, guard_bytes()), rn_add(new_bytes, guard_bytes()));
    if (moved == NULL) {
        guard_end(block, old_bytes);
        return NULL;
    }
    guard_end(moved, new_bytes);
    (void)rn_fetch_add(&supply->out_bytes, new_bytes - old_bytes);
    return moved;
}

/* --------------------------------------------------------------------------------- small blocks */

static void add_span(rn_supply *supply, const rn_span *span, rn_spans *larger)
{
    rn_ledger_lock(supply->ledger);
    bool added = rn_spans_add(&supply->spans, span, larger);
    rn_ledger_unlock(supply->ledger);
    if (!added) { /* others took the last places meanwhile; the caller looks again */
        rn_pages_unmap(span->base, rn_span_bytes(span));
    }
}

/* False = the system has no address space, or no memory for the table. */
static bool open_span(rn_supply *supply, int64_t bytes, const rn_span_room *room)
{
    rn_spans larger = {0};
    rn_span span;
    if (room->full && !rn_spans_enlarge(&larger, room->capacity)) {
        return false;
    }
    bool opened = rn_span_open(bytes, &span);
    if (opened) {
        add_span(supply, &span, &larger);
    }
    rn_spans_free_table(&larger);
    return opened;
}

/* It is empty, and out of reach for others. True = it has gone. */
static bool unmap_span(const rn_span *leaving)
{
    rn_unpoison(leaving->base, (size_t)rn_span_bytes(leaving));
    return rn_pages_unreserve(leaving->base, rn_span_bytes(leaving));
}

static void give_place(rn_supply *supply, void *block, int64_t bytes)
{
    rn_span leaving;
    rn_ledger_lock(supply->ledger);
    bool leaves = rn_spans_give(&supply->spans, block, bytes, &leaving);
    rn_ledger_unlock(supply->ledger);
    if (leaves) {
        bool gone = unmap_span(&leaving);
        rn_ledger_lock(supply->ledger);
        rn_spans_drop(&supply->spans, &leaving, gone);
        rn_ledger_unlock(supply->ledger);
    }
}

static bool commit_room(rn_supply *supply, rn_span_room *room)
{
    if (room->commit_bytes == 0) {
        return true;
    }
    if (!rn_spans_commit(room)) {
        return false;
    }
    rn_ledger_lock(supply->ledger);
    rn_spans_note(&supply->spans, room);
    rn_ledger_unlock(supply->ledger);
    return true;
}

static void *cut_small(rn_supply *supply, int64_t bytes)
{
    rn_span_room room;
    do {
        rn_ledger_lock(supply->ledger);
        room = rn_spans_take(&supply->spans, bytes);
        rn_ledger_unlock(supply->ledger);
    } while (room.block == NULL && open_span(supply, bytes, &room));
    if (room.block != NULL && !commit_room(supply, &room)) {
        give_place(supply, room.block, bytes);
        return NULL;
    }
    return room.block;
}

/* ----------------------------------------------------------------------------------------- both */

void *rn_supply_obtain(rn_supply *supply, int64_t bytes)
{
    if (rn_failure_due(&obtain_failure)) {
        return NULL;
    }
    void *block = bytes > SMALL_BYTES_MAX ? map_large(bytes) : cut_small(supply, bytes);
    if (block == NULL) {
        return NULL;
    }
    rn_unpoison(block, (size_t)bytes);
    if (rn_load(&supply->prefault) != 0) {
        rn_pages_populate(block, bytes);
    }
    (void)rn_fetch_add(&supply->out_bytes, bytes);
    return block;
}

static void clear_small(rn_supply *supply, void *block, int64_t bytes)
{
    (void)rn_never(!rn_pages_decommit(block, bytes));
    rn_poison(block, (size_t)bytes);
    (void)rn_fetch_add(&supply->out_bytes, -bytes);
}

void rn_supply_vacate(rn_supply *supply, void *block, int64_t bytes)
{
    if (bytes <= SMALL_BYTES_MAX) {
        clear_small(supply, block, bytes);
        give_place(supply, block, bytes);
        return;
    }
    rn_unpoison(block, (size_t)bytes); /* the address may be mapped again by somebody else */
    rn_pages_unmap(block, bytes + guard_bytes());
    (void)rn_fetch_add(&supply->out_bytes, -bytes);
}

void rn_supply_vacate_locked(rn_supply *supply, void *block, int64_t bytes)
{
    rn_span leaving;
    clear_small(supply, block, bytes);
    if (rn_spans_give(&supply->spans, block, bytes, &leaving)) {
        rn_spans_drop(&supply->spans, &leaving, unmap_span(&leaving));
    }
}

bool rn_supply_open(rn_supply *supply, rn_ledger *ledger)
{
    (void)
        rn_page_features_get(); /* now: asking takes 12 KiB of stack, which a fiber may not have */
    *supply = (rn_supply){.ledger = ledger};
    return rn_spans_open(&supply->spans);
}

void rn_supply_close(rn_supply *supply)
{
    for (int64_t i = 0; i < supply->spans.count; i++) {
        const rn_span *span = &supply->spans.table[i];
        rn_unpoison(span->base, (size_t)rn_span_bytes(span));
        rn_pages_unmap(span->base, rn_span_bytes(span));
    }
    rn_spans_free_table(&supply->spans);
}

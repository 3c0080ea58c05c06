/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of pages. rn_blocks_open -> rn_block_acquire .. rn_block_release -> rn_blocks_close;
 * rn_blocks_tick now and then.
 *
 * Touching a page for the first time costs more than everything else here together, so blocks of
 * the four small sizes are kept when freed, in one list per size (kept.h). A kept block moves,
 * under one lock, from the slot that had it to the pool `retained`: the root's granted does not
 * change, unless a claim covers the block: then it must have the room. The next block of that size
 * moves it back. When a limit needs the bytes the ledger calls the purge hook, and what nobody
 * wanted for a while goes by itself. Purged or decayed, a block is vacant: it has no page, is
 * charged to nobody, and its place serves blocks of any size (supply.h).
 *
 *   1. retained pool's direct bytes = bytes in the lists, whenever the ledger's lock is free.
 *   2. A block is charged to a slot, in a list, or vacant. It is charged before it is obtained and
 *      released after its pages are gone: resident <= charged + retained.
 *
 * Lock order: there is one lock, the ledger's. It guards lists and spans too, because the purge
 * hook is called with it held and a move must change list and pools as one. System calls are made
 * outside of it, but for purge and decay: bytes on their way back to the system would be charged
 * and could not be purged, and somebody might be refused because of them. Purge frees what was
 * asked for and no more, decay 1 MiB at a time.
 *
 * Rejected: one large reserved range. It counts against RLIMIT_AS whole, and where that is set it
 * cannot be had at all; spans are mapped one by one, and the kernel merges neighbours.
 */
#include "memory/blocks.h"

#include "base/heap.h"
#include "memory/kept.h"
#include "memory/poison.h"
#include "memory/shared.h"
#include "memory/shelf.h"
#include "memory/supply.h"

#define CLASS_COUNT 4
#define STEP_BYTES ((int64_t)1024 * 1024)
#define STEP_IN_PASSING_BYTES ((int64_t)128 * 1024) /* of decay, by who came for something else */

struct rn_blocks {
    ration_pool *retained;
    int64_t keeps;     /* atomic, written under the ledger's lock; 0 in a shared ledger */
    int64_t retain_ns; /* under the ledger's lock */
    int64_t (*clock_ns)(void);
    rn_kept kept[CLASS_COUNT]; /* under the ledger's lock */
    int64_t decay_at_ns;       /* nothing has to go before; under the ledger's lock */
    rn_supply supply;
};

/* List of blocks of exactly `bytes`, or -1. */
static int find_class(const rn_blocks *blocks, int64_t bytes)
{
    int class = rn_load(&blocks->keeps) != 0 ? 0 : CLASS_COUNT;
    while (class < CLASS_COUNT && bytes != RN_BLOCK_BYTES_MIN << class) {
        class += 1;
    }
    return class < CLASS_COUNT ? class : -1;
}

int64_t rn_block_round(int64_t bytes)
{
    int64_t page = rn_page_features_get()->page_bytes;
    if (bytes > RN_BLOCK_BYTES) {
        return rn_round_up(bytes, page);
    }
    int64_t rounded = RN_BLOCK_BYTES_MIN;
    while (rounded < bytes) {
        rounded *= 2;
    }
    return RN_MAX(rounded, page);
}

/* ------------------------------------------------------------------------------ purge and decay */

/* Vacates what was kept until `until_ns`, up to `wanted_bytes`; largest first, so that few system
 * calls free much. The lock is held; the pool's words are the caller's. */
static int64_t vacate_kept(rn_blocks *blocks, int64_t until_ns, int64_t wanted_bytes)
{
    int64_t vacated = 0;
    for (int class = CLASS_COUNT - 1; class >= 0; class --) {
        void *block = NULL;
        while (vacated < wanted_bytes &&
               (block = rn_kept_take_oldest(&blocks->kept[class], until_ns)) != NULL) {
            rn_supply_vacate_locked(&blocks->supply, block, RN_BLOCK_BYTES_MIN << class);
            vacated += RN_BLOCK_BYTES_MIN << class;
        }
    }
    return vacated;
}

/* The purge hook. */
static int64_t purge_kept(void *argument, int64_t wanted_bytes)
{
    return vacate_kept((rn_blocks *)argument, INT64_MAX, wanted_bytes);
}

/* One step, with the lock held; the bytes that went. */
static int64_t decay(rn_blocks *blocks, int64_t now_ns, int64_t step_bytes)
{
    if (RN_LIKELY(now_ns < blocks->decay_at_ns)) {
        return 0;
    }
    int64_t vacated = vacate_kept(blocks, now_ns - blocks->retain_ns, step_bytes);
    if (RN_GOVERNED && vacated > 0) {
        rn_pool_grant_direct(blocks->retained, -vacated);
    }
    int64_t since_ns = INT64_MAX;
    for (int class = 0; class < CLASS_COUNT; class ++) {
        since_ns = RN_MIN(since_ns, rn_kept_since(&blocks->kept[class]));
    }
    blocks->decay_at_ns = rn_add(since_ns, blocks->retain_ns);
    return vacated;
}

void rn_blocks_tick(rn_blocks *blocks)
{
    rn_ledger *ledger = rn_pool_ledger(blocks->retained);
    int64_t now_ns = blocks->clock_ns();
    int64_t vacated;
    rn_ledger_lock(ledger);
    if (ledger->keep != NULL) {
        (void)rn_shelves_clear(ledger, blocks->retain_ns, now_ns);
    }
    rn_ledger_unlock(ledger);
    do { /* a piece at a time: others need the lock */
        rn_ledger_lock(ledger);
        vacated = decay(blocks, now_ns, STEP_BYTES);
        rn_ledger_unlock(ledger);
    } while (vacated >= STEP_BYTES);
}

static int64_t purge_all(rn_blocks *blocks)
{
    rn_ledger *ledger = rn_pool_ledger(blocks->retained);
    rn_ledger_lock(ledger);
    int64_t purged = ledger->keep != NULL ? rn_shelves_clear(ledger, 0, 0) : 0, step;
    rn_ledger_unlock(ledger);
    do {
        rn_ledger_lock(ledger);
        step = rn_ledger_purge(ledger, STEP_BYTES);
        rn_ledger_unlock(ledger);
        purged += step;
    } while (step > 0);
    return purged;
}

void rn_blocks_purge(rn_blocks *blocks)
{
    (void)purge_all(blocks);
}

/* ------------------------------------------------------------------------------- open and close */

/* Pages are kept only while nobody lacks the bytes. */
static bool may_keep(const rn_blocks *blocks)
{
    const ration_pool *pool = blocks->retained;
    bool room = rn_load(&blocks->keeps) != 0 && rn_queue_first(rn_pool_ledger(pool)) == NULL;
    for (; pool != NULL && room; pool = rn_pool_parent(pool)) {
        room = rn_pool_room(pool) >= 0;
    }
    return room;
}

static void put_kept(rn_blocks *blocks, int class, void *first, void *last, int64_t count)
{
    int64_t now_ns = blocks->clock_ns();
    rn_kept_put(&blocks->kept[class], first, last, count, now_ns, blocks->retain_ns);
    blocks->decay_at_ns = RN_MIN(blocks->decay_at_ns, rn_add(now_ns, blocks->retain_ns));
}

/* The keep hook: a block from a shelf, buried. The lock is held. */
static void keep_from_shelf(void *argument, ration_pool *pool, void *block, int64_t bytes,
                            bool retain)
{
    rn_blocks *blocks = (rn_blocks *)argument;
    if (retain && may_keep(blocks) && rn_pool_hand_over(pool, blocks->retained, bytes)) {
        rn_unpoison(block, sizeof(rn_kept_block));
        put_kept(blocks, find_class(blocks, bytes), block, block, 1);
        return;
    }
    rn_supply_vacate_locked(&blocks->supply, block, bytes);
    if (RN_GOVERNED) {
        rn_pool_grant_direct(pool, -bytes);
    }
}

void rn_blocks_set_locked(rn_blocks *blocks, int64_t retain_ms, bool prefault)
{
    rn_ledger *ledger = rn_pool_ledger(blocks->retained);
    rn_store(&blocks->keeps, !ledger->shared && retain_ms > 0);
    ledger->shelves = rn_load(&blocks->keeps) != 0;
    blocks->retain_ns = rn_multiply(retain_ms, 1000000);
    blocks->decay_at_ns = INT64_MIN; /* looked at anew */
    rn_store(&blocks->supply.prefault, prefault);
}

ration_status rn_blocks_open(ration_pool *retained, const rn_blocks_options *options,
                             rn_blocks **out_blocks)
{
    static const rn_blocks_options defaults = {.retain_ms = RN_BLOCKS_RETAIN_MS};
    options = options != NULL ? options : &defaults;
    rn_blocks *blocks = (rn_blocks *)rn_heap_allocate(sizeof(*blocks));
    rn_ledger *ledger = rn_pool_ledger(retained);
    if (blocks == NULL || !rn_supply_open(&blocks->supply, ledger)) {
        rn_heap_free(blocks, sizeof(*blocks));
        return RATION_NO_MEMORY;
    }
    blocks->retained = retained;
    blocks->clock_ns = options->clock_ns != NULL ? options->clock_ns : rn_clock_coarse_ns;
    if (ledger->shared) {
        rn_share_own_of(ledger)->blocks = blocks;
    } else {
        rn_ledger_set_purge(ledger, purge_kept, keep_from_shelf, blocks, retained);
    }
    rn_ledger_lock(ledger);
    rn_blocks_set_locked(blocks, options->retain_ms, options->prefault);
    rn_ledger_unlock(ledger);
    *out_blocks = blocks;
    return RATION_OK;
}

void rn_blocks_abandon(rn_blocks *blocks)
{
    rn_supply_close(&blocks->supply);
    rn_heap_free(blocks, sizeof(*blocks));
}

void rn_blocks_close(rn_blocks *blocks)
{
    rn_blocks_purge(blocks);
    rn_ledger *ledger = rn_pool_ledger(blocks->retained);
    if (!ledger->shared) {
        rn_ledger_set_purge(ledger, NULL, NULL, NULL, NULL);
    }
    int64_t used_bytes = 0;
    (void)rn_never(rn_blocks_mapped(blocks) != 0);
    (void)rn_never(!rn_spans_check(&blocks->supply.spans, &used_bytes) || used_bytes != 0);
    rn_blocks_abandon(blocks);
}

rn_blocks *rn_pool_blocks(ration_pool *pool)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    return (rn_blocks *)(ledger->shared ? rn_share_own_of(ledger)->blocks : ledger->purge_argument);
}

int64_t rn_blocks_mapped(const rn_blocks *blocks)
{
    return rn_load(&blocks->supply.out_bytes);
}

void rn_blocks_fail_after(int64_t n, bool forever)
{
    rn_supply_fail_after(n, forever);
}

/* -------------------------------------------------------------------------------------- acquire */

/* A kept block of this class, charged to the slot; NULL when there is none, or its way to the slot
 * is shut. */
static void *take_kept(rn_blocks *blocks, rn_slot *slot, int class, int64_t bytes)
{
    rn_ledger *ledger = rn_pool_ledger(blocks->retained);
    int64_t now_ns = blocks->clock_ns();
    rn_ledger_lock(ledger);
    bool kept = blocks->kept[class].count > 0;
    if (kept && RN_GOVERNED && slot->advance_bytes >= bytes) {
        slot->advance_bytes -= bytes;
        rn_pool_grant_direct(blocks->retained, -bytes);
    } else if (kept) {
        kept = rn_slot_take_over(slot, blocks->retained, bytes);
    }
    void *block = kept ? rn_kept_take(&blocks->kept[class]) : NULL;
    (void)decay(blocks, now_ns, STEP_IN_PASSING_BYTES);
    rn_ledger_unlock(ledger);
    return block;
}

/* A fresh block, charged to the slot. */
static ration_status obtain(rn_blocks *blocks, rn_slot *slot, int64_t bytes, void **out_block)
{
    int64_t advance_bytes = slot->advance_bytes;
    RN_TRY(rn_slot_draw(slot, bytes));
    *out_block = rn_supply_obtain(&blocks->supply, bytes);
    if (*out_block == NULL &&
        purge_all(blocks) > 0) { /* what is kept may be what the system lacks */
        *out_block = rn_supply_obtain(&blocks->supply, bytes);
    }
    if (*out_block != NULL) {
        return RATION_OK;
    }
    if (slot->advance_bytes != advance_bytes) {
        slot->advance_bytes = advance_bytes;
    } else {
        ration_slot_release(&slot->hot, bytes);
    }
    return RATION_NO_MEMORY;
}

ration_status rn_block_acquire(rn_slot *slot, int64_t bytes, void **out_block)
{
    rn_assert(bytes == rn_block_round(bytes));
    rn_blocks *blocks = rn_pool_blocks(rn_slot_pool(slot));
    int which = rn_shelf_for(slot, bytes);
    void *block = which < 0 ? NULL : rn_shelf_take(slot, which);
    if (RN_LIKELY(block != NULL)) {
        rn_unpoison(block, (size_t)bytes);
        *out_block = block;
        return RATION_OK;
    }
    int class = find_class(blocks, bytes);
    block = class < 0 ? NULL : take_kept(blocks, slot, class, bytes);
    if (block == NULL) {
        RN_TRY(obtain(blocks, slot, bytes, &block));
    }
    rn_unpoison(block, (size_t)bytes);
    *out_block = block;
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- release */

/* Only builds that would tell who touches a kept block go through the chain. */
static void bury_chain(void *first, int64_t count, int64_t bytes)
{
#if defined(RATION_CHECKED) || RN_ASAN
    rn_kept_block *block = (rn_kept_block *)first;
    for (; count > 0; count--) {
        rn_bury(block + 1, (size_t)bytes - sizeof(*block));
        block = block->next;
    }
#else
    (void)first;
    (void)count;
    (void)bytes;
#endif
}

/* Keeps all of a chain, or false and none. */
static bool keep_chain(rn_slot *slot, void *first, void *last, int64_t count, int64_t bytes)
{
    rn_blocks *blocks = rn_pool_blocks(rn_slot_pool(slot));
    int class = find_class(blocks, bytes);
    if (class < 0) {
        return false;
    }
    rn_ledger *ledger = rn_pool_ledger(blocks->retained);
    rn_ledger_lock(ledger);
    bool kept = may_keep(blocks) && rn_slot_hand_over(slot, blocks->retained, count * bytes);
    if (kept) {
        bury_chain(first, count, bytes);
        put_kept(blocks, class, first, last, count);
    }
    (void)decay(blocks, blocks->clock_ns(), STEP_IN_PASSING_BYTES);
    rn_ledger_unlock(ledger);
    return kept;
}

void rn_block_release(rn_slot *slot, void *block, int64_t bytes)
{
    int which = rn_shelf_for(slot, bytes);
    if (which >= 0) {
        rn_bury(block, (size_t)bytes);
        if (RN_LIKELY(rn_shelf_put(slot, which, block))) {
            return;
        }
    }
    rn_unpoison(block, sizeof(rn_kept_block));
    if (!keep_chain(slot, block, block, 1, bytes)) {
        rn_supply_vacate(&rn_pool_blocks(rn_slot_pool(slot))->supply, block, bytes);
        ration_slot_release(&slot->hot, bytes);
    }
}

void rn_block_release_chain(rn_slot *slot, void *first, void *last, int64_t count)
{
    if (count == 0 || keep_chain(slot, first, last, count, RN_BLOCK_BYTES)) {
        return;
    }
    for (rn_kept_block *block = (rn_kept_block *)first; count > 0; count--) {
        rn_kept_block *next = block->next;
        rn_block_release(slot, block, RN_BLOCK_BYTES);
        block = next;
    }
}

/* --------------------------------------------------------------------------------------- resize */

static void *grow(rn_blocks *blocks, rn_slot *slot, void *block, int64_t old_bytes,
                  int64_t new_bytes)
{
    int64_t advance_bytes = slot->advance_bytes;
    if (rn_slot_draw(slot, new_bytes - old_bytes) != RATION_OK) {
        return NULL;
    }
    void *moved = rn_supply_resize(&blocks->supply, block, old_bytes, new_bytes);
    if (moved == NULL && slot->advance_bytes != advance_bytes) {
        slot->advance_bytes = advance_bytes;
    } else if (moved == NULL) {
        ration_slot_release(&slot->hot, new_bytes - old_bytes);
    }
    return moved;
}

void *rn_block_resize(rn_slot *slot, void *block, int64_t old_bytes, int64_t new_bytes)
{
    rn_assert(old_bytes > RN_BLOCK_BYTES && new_bytes > RN_BLOCK_BYTES);
    rn_assert(new_bytes == rn_block_round(new_bytes));
    rn_blocks *blocks = rn_pool_blocks(rn_slot_pool(slot));
    if (new_bytes > old_bytes) {
        return grow(blocks, slot, block, old_bytes, new_bytes);
    }
    void *moved = rn_supply_resize(&blocks->supply, block, old_bytes, new_bytes);
    if (moved != NULL) {
        ration_slot_release(&slot->hot, old_bytes - new_bytes);
    }
    return moved;
}

/* ---------------------------------------------------------------------------------------- audit */

static bool check_kept(const rn_blocks *blocks, int class, int64_t *kept_bytes)
{
    const rn_kept *kept = &blocks->kept[class];
    int64_t count = 0;
    bool holds = true;
    for (int i = 0; i < RN_KEPT_GENERATIONS && holds; i++) {
        const rn_kept_block *block = kept->generations[i].first, *last = block;
        for (; block != NULL && holds; block = block->next) {
            holds = rn_spans_holds(&blocks->supply.spans, block, RN_BLOCK_BYTES_MIN << class);
            count += 1;
            last = block;
        }
        holds = holds && (last == NULL || last == kept->generations[i].last);
    }
    *kept_bytes += count * (RN_BLOCK_BYTES_MIN << class);
    return holds && count == kept->count &&
           rn_add(rn_kept_since(kept), blocks->retain_ns) >= blocks->decay_at_ns;
}

bool rn_blocks_check(rn_blocks *blocks)
{
    rn_ledger *ledger = rn_pool_ledger(blocks->retained);
    int64_t kept_bytes = 0, used_bytes;
    rn_ledger_lock(ledger);
    bool holds = rn_spans_check(&blocks->supply.spans, &used_bytes);
    for (int class = 0; class < CLASS_COUNT && holds; class ++) {
        holds = check_kept(blocks, class, &kept_bytes);
    }
    holds =
        holds && kept_bytes <= used_bytes &&
        (ledger->keep == NULL || !RN_GOVERNED || rn_load(&blocks->retained->direct) == kept_bytes);
    rn_ledger_unlock(ledger);
    return holds;
}

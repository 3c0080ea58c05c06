/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of pages; the one file that asks the operating system for memory. rn_blocks_open ->
 * rn_block_acquire .. rn_block_release -> rn_blocks_close.
 *
 * Touching a page for the first time costs more than everything else here together, so blocks of
 * the four small sizes are kept when freed, in one list per size, linked through their first word.
 * A kept block moves, under one lock, from the slot that had it to the pool `retained`: the root's
 * granted does not change, unless a claim covers the block: then it must have the room. The next
 * block of that size moves it back. When a limit needs the bytes the ledger calls the purge hook.
 *
 *   1. retained pool's direct bytes = bytes in the lists, whenever the ledger's lock is free.
 *   2. A mapped block is charged to a slot, or in a list; it is charged before it is mapped,
 * released after it is unmapped.
 *
 * Lock order: there is one lock, the ledger's. It guards the lists too, because the purge hook is
 * called with it held and a move must change list and pools as one. System calls are made outside
 * of it, but for a purge, which unmaps what was asked for and no more. Rejected: one
 * large reserved range with madvise for purging. Fewer mappings, but it counts against RLIMIT_AS
 * whole, and the kernel merges neighbouring anonymous mappings anyway.
 */
#include "memory/blocks.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/heap.h"
#include "memory/poison.h"
#include "memory/shared.h"

#define CLASS_COUNT 4
#define PURGE_STEP_BYTES ((int64_t)1024 * 1024)

typedef struct kept_block {
    struct kept_block *next;
} kept_block;

struct rn_blocks {
    ration_pool *retained;
    bool keeps;                    /* fixed at open: false in a shared ledger */
    kept_block *kept[CLASS_COUNT]; /* under the ledger's lock */
    int64_t mapped_bytes;          /* any thread */
};

static rn_failure map_failure;

/* List of blocks of exactly `bytes`, or -1. */
static int find_class(const rn_blocks *blocks, int64_t bytes)
{
    int class = blocks->keeps ? 0 : CLASS_COUNT;
    while (class < CLASS_COUNT && bytes != RN_BLOCK_BYTES_MIN << class) {
        class += 1;
    }
    return class < CLASS_COUNT ? class : -1;
}

int64_t rn_block_round(int64_t bytes)
{
    int64_t page = (int64_t)getpagesize();
    if (bytes > RN_BLOCK_BYTES) {
        return rn_round_up(bytes, page);
    }
    int64_t rounded = RN_BLOCK_BYTES_MIN;
    while (rounded < bytes) {
        rounded *= 2;
    }
    return RN_MAX(rounded, page);
}

static void *map_block(rn_blocks *blocks, int64_t bytes)
{
    if (rn_failure_due(&map_failure)) {
        return NULL;
    }
    void *block =
        mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        return NULL;
    }
    (void)rn_fetch_add(&blocks->mapped_bytes, bytes);
    return block;
}

static void unmap_block(rn_blocks *blocks, void *block, int64_t bytes)
{
    rn_unpoison(block, (size_t)bytes); /* the address may be mapped again by somebody else */
    if (munmap(block, (size_t)bytes) != 0) {
        /* vm.max_map_count: the mapping may not be split here. The address space stays, its pages
         * go. */
        int failed = madvise(block, (size_t)bytes, MADV_DONTNEED);
        (void)rn_never(failed != 0);
    }
    (void)rn_fetch_add(&blocks->mapped_bytes, -bytes);
}

static void keep_block(rn_blocks *blocks, int class, void *block, int64_t bytes)
{
    rn_unpoison(block, (size_t)bytes);
    kept_block *kept = (kept_block *)block;
    kept->next = blocks->kept[class];
    blocks->kept[class] = kept;
    rn_bury(kept + 1, (size_t)bytes - sizeof(*kept));
}

/* The purge hook: largest first, so that few system calls free much. */
static int64_t purge_kept(void *argument, int64_t wanted_bytes)
{
    rn_blocks *blocks = (rn_blocks *)argument;
    int64_t purged = 0;
    for (int class = CLASS_COUNT - 1; class >= 0; class --) {
        while (purged < wanted_bytes && blocks->kept[class] != NULL) {
            kept_block *kept = blocks->kept[class];
            blocks->kept[class] = kept->next;
            unmap_block(blocks, kept, RN_BLOCK_BYTES_MIN << class);
            purged += RN_BLOCK_BYTES_MIN << class;
        }
    }
    return purged;
}

ration_status rn_blocks_open(ration_pool *retained, rn_blocks **out_blocks)
{
    rn_blocks *blocks = (rn_blocks *)rn_heap_allocate(sizeof(*blocks));
    if (blocks == NULL) {
        return RATION_NO_MEMORY;
    }
    blocks->retained = retained;
    rn_ledger *ledger = rn_pool_ledger(retained);
    blocks->keeps = !ledger->shared;
    if (blocks->keeps) {
        rn_ledger_set_purge(ledger, purge_kept, blocks, retained);
    } else {
        rn_share_own_of(ledger)->blocks = blocks;
    }
    *out_blocks = blocks;
    return RATION_OK;
}

static int64_t purge_all(rn_blocks *blocks)
{
    rn_ledger *ledger = rn_pool_ledger(blocks->retained);
    int64_t purged = 0, step;
    do { /* a piece at a time: others need the lock */
        rn_ledger_lock(ledger);
        step = rn_ledger_purge(ledger, PURGE_STEP_BYTES);
        rn_ledger_unlock(ledger);
        purged += step;
    } while (step > 0);
    return purged;
}

void rn_blocks_purge(rn_blocks *blocks)
{
    (void)purge_all(blocks);
}

void rn_blocks_close(rn_blocks *blocks)
{
    rn_blocks_purge(blocks);
    if (blocks->keeps) {
        rn_ledger_set_purge(rn_pool_ledger(blocks->retained), NULL, NULL, NULL);
    }
    (void)rn_never(rn_load(&blocks->mapped_bytes) != 0);
    rn_heap_free(blocks, sizeof(*blocks));
}

void rn_blocks_abandon(rn_blocks *blocks)
{
    rn_heap_free(blocks, sizeof(*blocks));
}

rn_blocks *rn_pool_blocks(ration_pool *pool)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    return (rn_blocks *)(ledger->shared ? rn_share_own_of(ledger)->blocks : ledger->purge_argument);
}

int64_t rn_blocks_mapped(const rn_blocks *blocks)
{
    return rn_load(&blocks->mapped_bytes);
}

void rn_blocks_fail_after(int64_t n, bool forever)
{
    rn_failure_arm(&map_failure, n, forever);
}

/* A kept block of this class, charged to the slot; NULL when there is none, or its way to the slot
 * is shut. */
static void *take_kept(rn_blocks *blocks, rn_slot *slot, int class, int64_t bytes)
{
    rn_ledger *ledger = rn_pool_ledger(blocks->retained);
    rn_ledger_lock(ledger);
    kept_block *kept = blocks->kept[class];
    if (kept != NULL && RN_GOVERNED && slot->advance_bytes >= bytes) {
        slot->advance_bytes -= bytes;
        rn_pool_grant_direct(blocks->retained, -bytes);
    } else if (kept != NULL && !rn_slot_take_over(slot, blocks->retained, bytes)) {
        kept = NULL;
    }
    if (kept != NULL) {
        blocks->kept[class] = kept->next;
    }
    rn_ledger_unlock(ledger);
    return kept;
}

ration_status rn_block_acquire(rn_slot *slot, int64_t bytes, void **out_block)
{
    rn_assert(bytes == rn_block_round(bytes));
    rn_blocks *blocks = rn_pool_blocks(rn_slot_pool(slot));
    int class = find_class(blocks, bytes);
    void *block = class < 0 ? NULL : take_kept(blocks, slot, class, bytes);
    if (block != NULL) {
        rn_unpoison(block, (size_t)bytes);
        *out_block = block;
        return RATION_OK;
    }
    int64_t advance_bytes = slot->advance_bytes;
    RN_TRY(rn_slot_draw(slot, bytes));
    block = map_block(blocks, bytes);
    if (block == NULL &&
        purge_all(blocks) > 0) { /* pages kept in other sizes are what the system lacks */
        block = map_block(blocks, bytes);
    }
    if (block == NULL) {
        if (slot->advance_bytes != advance_bytes) {
            slot->advance_bytes = advance_bytes;
        } else {
            ration_slot_release(&slot->hot, bytes);
        }
        return RATION_NO_MEMORY;
    }
    *out_block = block;
    return RATION_OK;
}

/* Pages are kept only while nobody lacks the bytes. */
static bool may_keep(const rn_blocks *blocks)
{
    const ration_pool *pool = blocks->retained;
    bool room = rn_queue_first(rn_pool_ledger(pool)) == NULL;
    for (; pool != NULL && room; pool = rn_pool_parent(pool)) {
        room = rn_pool_room(pool) >= 0;
    }
    return room;
}

void rn_block_release(rn_slot *slot, void *block, int64_t bytes)
{
    rn_blocks *blocks = rn_pool_blocks(rn_slot_pool(slot));
    int class = find_class(blocks, bytes);
    if (class >= 0) {
        rn_ledger *ledger = rn_pool_ledger(blocks->retained);
        rn_ledger_lock(ledger);
        bool kept = may_keep(blocks) && rn_slot_hand_over(slot, blocks->retained, bytes);
        if (kept) {
            keep_block(blocks, class, block, bytes);
        }
        rn_ledger_unlock(ledger);
        if (kept) {
            return;
        }
    }
    unmap_block(blocks, block, bytes);
    ration_slot_release(&slot->hot, bytes);
}

/* -------------------------------------------------------------------- memory of many processes */

void *rn_map_shared(int descriptor, int64_t bytes, int64_t own_bytes)
{
    size_t own = (size_t)rn_round_up(own_bytes, getpagesize());
    size_t whole = own + (size_t)bytes;
    char *base =
        (char *)mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }
    if (mmap(base + own, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor,
             0) == MAP_FAILED ||
        madvise(base, whole, MADV_DONTFORK) != 0) {
        (void)munmap(base, whole);
        return NULL;
    }
    return base + own;
}

void rn_unmap_shared(void *shared, int64_t bytes, int64_t own_bytes)
{
    size_t own = (size_t)rn_round_up(own_bytes, getpagesize());
    int failed = munmap((char *)shared - own, own + (size_t)bytes);
    (void)rn_never(failed != 0);
}

void rn_block_release_chain(rn_slot *slot, void *first, void *last, int64_t count)
{
    (void)last;
    while (count-- > 0) {
        void *next = *(void **)first;
        rn_block_release(slot, first, RN_BLOCK_BYTES);
        first = next;
    }
}
void *rn_block_resize(rn_slot *slot, void *block, int64_t old_bytes, int64_t new_bytes)
{
    (void)slot;
    (void)block;
    (void)old_bytes;
    (void)new_bytes;
    return NULL;
}

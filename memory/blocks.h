/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of pages for contexts. A block is charged to a slot before it is obtained and released
 * after its pages are given back.
 *
 * Sizes: powers of two from 8 KiB to 64 KiB, aligned to themselves, are cut from spans (span.h) and
 * kept when freed (retained: resident, owned by nobody, granted to the pool `retained`, taken over
 * by the next block of that size, purged when a limit needs the bytes, given back when nobody
 * wanted them for `retain_ms`). Larger blocks are whole pages, mapped and unmapped each time; in
 * checked builds a page behind them traps.
 */
#ifndef RATION_BLOCKS_H
#define RATION_BLOCKS_H

#include "memory/ledger.h"

#define RN_BLOCK_BYTES_MIN ((int64_t)8 * 1024)
#define RN_BLOCK_BYTES ((int64_t)64 * 1024)
#define RN_BLOCKS_RETAIN_MS 1000

typedef struct rn_blocks rn_blocks;

typedef struct rn_blocks_options {
    int64_t retain_ms;         /* how long a block is kept that nobody wants; 0 = not at all */
    bool prefault;             /* fresh blocks are made resident at once */
    int64_t (*clock_ns)(void); /* NULL = rn_clock_coarse_ns; a test has its own */
} rn_blocks_options;

/* One per governor; `retained` is a pool below the root. In a shared ledger nothing is retained,
 * because no process can purge another's pages: there it is any pool. `options` NULL: the defaults,
 * RN_BLOCKS_RETAIN_MS and no more. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_blocks_open(ration_pool *retained,
                                              const rn_blocks_options *options,
                                              rn_blocks **out_blocks);
/* Other options, with the ledger's lock held. What is kept already goes at the next tick when its
 * time is over by them; a slot that is open keeps its shelves, which are then emptied by ticks. */
void rn_blocks_set_locked(rn_blocks *blocks, int64_t retain_ms, bool prefault);
/* Purges and closes; every block must be back. */
void rn_blocks_close(rn_blocks *blocks);
/* Closes those of a shared ledger in the child of a fork, which does not have it; blocks of 64 KiB
 * or less are gone then. */
void rn_blocks_abandon(rn_blocks *blocks);
/* What a block of `bytes` will be charged: the size class or whole pages. */
int64_t rn_block_round(int64_t bytes);
/* `bytes` as from rn_block_round; zeroed only when fresh. Draws from the slot's advance, else
 * charges. Errors: the limits' statuses, NO_MEMORY (and then nothing stays charged). */
RATION_NODISCARD ration_status rn_block_acquire(rn_slot *slot, int64_t bytes, void **out_block);
void rn_block_release(rn_slot *slot, void *block, int64_t bytes);
/* `count` blocks of RN_BLOCK_BYTES, linked by their first word from `first` to `last`. Cost: one
 * lock, the same for any number, while they are kept. */
void rn_block_release_chain(rn_slot *slot, void *first, void *last, int64_t count);
/* For blocks above 64 KiB before and after; contents kept, may move. NULL = refused by a limit or
 * the system, and nothing has changed. */
void *rn_block_resize(rn_slot *slot, void *block, int64_t old_bytes, int64_t new_bytes);
/* Bytes of blocks in use and retained; any thread. */
int64_t rn_blocks_mapped(const rn_blocks *blocks);
/* Gives all retained pages back to the system. */
void rn_blocks_purge(rn_blocks *blocks);
/* Gives back what has been retained for longer than retain_ms. Any thread, every 100 ms or so; who
 * acquires and releases blocks does it too, in small steps. Cost: the lock; with something to give
 * back, up to 1 MiB of it under one lock. */
void rn_blocks_tick(rn_blocks *blocks);
/* Do spans, lists of retained blocks, and what the pool is charged for them agree? Any thread, any
 * time. */
bool rn_blocks_check(rn_blocks *blocks);
/* Makes the nth block from now that is not served from retained ones fail, once or for ever; 0 =
 * off. */
void rn_blocks_fail_after(int64_t n, bool forever);
/* The process's blocks for the ledger a pool belongs to. */
rn_blocks *rn_pool_blocks(ration_pool *pool);

#endif

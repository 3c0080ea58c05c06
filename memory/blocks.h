/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of pages for contexts, and the one file that asks the operating system for memory
 * (blocks.c: mmap, munmap, madvise). A block is charged to a slot before it is obtained and
 * released after it is given back.
 *
 * Sizes: powers of two from 8 KiB to 64 KiB are kept when freed (retained: resident, owned by
 * nobody, granted to the pool `retained`, taken over by the next block of that size or purged when
 * a limit needs the bytes); larger blocks are whole pages, mapped and unmapped each time.
 */
#ifndef RATION_BLOCKS_H
#define RATION_BLOCKS_H

#include "memory/ledger.h"

#define RN_BLOCK_BYTES_MIN ((int64_t)8 * 1024)
#define RN_BLOCK_BYTES ((int64_t)64 * 1024)

typedef struct rn_blocks rn_blocks;

/* One per governor; `retained` is a pool below the root. In a shared ledger nothing is retained,
 * because no process can purge another's pages: there it is any pool. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_blocks_open(ration_pool *retained, rn_blocks **out_blocks);
/* Purges and closes; every block must be back. */
void rn_blocks_close(rn_blocks *blocks);
/* Closes those of a shared ledger in the child of a fork, which does not have it. */
void rn_blocks_abandon(rn_blocks *blocks);
/* What a block of `bytes` will be charged: the size class or whole pages. */
int64_t rn_block_round(int64_t bytes);
/* `bytes` as from rn_block_round; zeroed only when fresh. Draws from the slot's advance, else
 * charges. Errors: the limits' statuses, NO_MEMORY (and then nothing stays charged). */
RATION_NODISCARD ration_status rn_block_acquire(rn_slot *slot, int64_t bytes, void **out_block);
void rn_block_release(rn_slot *slot, void *block, int64_t bytes);
/* Gives back `count` blocks of RN_BLOCK_BYTES, linked by their first word from `first` to `last`. O(1)
 * and one lock, where they may be kept. */
void rn_block_release_chain(rn_slot *slot, void *first, void *last, int64_t count);
/* Makes a block larger or smaller, both above RN_BLOCK_BYTES; it may move. NULL = refused, and nothing
 * changed. */
void *rn_block_resize(rn_slot *slot, void *block, int64_t old_bytes, int64_t new_bytes);
/* Bytes mapped now, blocks in use and retained ones; any thread. */
int64_t rn_blocks_mapped(const rn_blocks *blocks);
/* Gives all retained pages back to the system. */
void rn_blocks_purge(rn_blocks *blocks);
/* Makes the nth mapping from now fail, once or for ever; 0 = off. */
void rn_blocks_fail_after(int64_t n, bool forever);
/* The process's blocks for the ledger a pool belongs to. */
rn_blocks *rn_pool_blocks(ration_pool *pool);

/* Maps the first `bytes` of a file for all who do so, with `own_bytes` zeroed bytes directly in
 * front that are this process's alone. The child of a fork has neither. NULL = the system refuses.
 */
void *rn_map_shared(int descriptor, int64_t bytes, int64_t own_bytes);
void rn_unmap_shared(void *shared, int64_t bytes, int64_t own_bytes);

#endif

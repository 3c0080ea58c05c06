/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of contexts, for context*.c only: blocks of a context, and what each kind adds. */
#ifndef RATION_REGION_H
#define RATION_REGION_H

#include "memory/context.h"

/* Head of every block. 24 bytes: a chunk header of 8 behind it puts what follows on a multiple
 * of 16. */
typedef struct rn_region_block {
    struct rn_region_block *next, *previous;
    int64_t bytes; /* of the block, with this head */
} rn_region_block;

#define RN_REGION_HEAD_BYTES ((int64_t)sizeof(rn_region_block))

/* Lies in its first block, so that creating one costs one block and deleting it leaves nothing.
 * Owner only, but for `bytes_in_blocks` and `handed_bytes`, which anybody may read relaxed.
 *
 *     bytes_in_blocks = sum of bytes over the blocks, the first included;  at <= end, both inside
 * `current`
 */
struct ration_context {
    char *at, *end; /* free space of the block in hand */
    rn_slot *slot;
    const char *name;
    ration_context_kind kind;
    ration_status status;
    ration_context *parent, *child, *next, *previous;
    ration_context_callback *callbacks; /* newest first */
    rn_region_block *blocks;            /* all but the first, newest first */
    int64_t first_bytes;
    int64_t next_bytes; /* size of the next regular block */
    int64_t bytes_in_blocks;
    int64_t handed_bytes; /* direct bytes of the slot's pool that are this context's: anybody adds,
                             the owner takes away; atomic */
    int64_t peak_bytes;
};

/* Takes a block into the context; NULL when refused, and context->status says why. */
rn_region_block *rn_region_grow(ration_context *context, int64_t block_bytes);
/* Gives one block of the list back. */
void rn_region_shrink(ration_context *context, rn_region_block *block);
/* The regular block that a chunk of `chunk_bytes` (at most RN_CHUNK_BYTES_MAX) is cut from when it
 * does not fit now. */
int64_t rn_region_next_bytes(const ration_context *context, int64_t chunk_bytes);
/* Makes a new regular block the one in hand. What is left of the old one is the caller's to use
 * before. */
bool rn_region_advance(ration_context *context, int64_t chunk_bytes);
/* A block of its own for one chunk. */
void *rn_region_allocate_alone(ration_context *context, int64_t chunk_bytes);

/* context_set.c */
size_t rn_set_struct_bytes(void);
int64_t rn_set_chunk_bytes(int64_t bytes);
void *rn_set_allocate(ration_context *context, size_t bytes);
void rn_set_forget(ration_context *context); /* free lists emptied, at reset */

/* context_bump.c */
int64_t rn_bump_chunk_bytes(int64_t bytes);
void *rn_bump_allocate(ration_context *context, size_t bytes);

#endif

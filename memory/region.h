/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of contexts, for context*.c and region.c only: blocks of a context, chunks in a block, and
 * what a kind adds.
 *
 *     block:  head (56) | chunk | chunk | .. | free space          head = next, previous, ..
 *     first:  head (56) | the context itself | chunk | ..
 *     alone:  head (56) | one chunk above RN_CHUNK_BYTES_MAX
 *     chunk:  rn_chunk (8) | raw bytes, aligned to 16          bump: raw bytes only, aligned to 8
 *     raw:    front (RN_FRONT_BYTES) | what the caller has | tail  both 0 but in checked builds
 */
#ifndef RATION_REGION_H
#define RATION_REGION_H

#include "memory/context.h"
#include "memory/pool.h"
#include "memory/sentry.h"
#include "memory/tree.h"

/* Head of every block. 56 bytes: behind it a chunk's header of 8 puts what follows on a multiple
 * of 16. `next` comes first: blocks are given back in chains (blocks.h). */
typedef struct rn_region_block {
    struct rn_region_block *next, *previous; /* older, newer */
    int64_t bytes;                           /* of the block, with this head */
    ration_context *context;
    uint16_t live;  /* chunks in use; kept by slab and generation */
    uint16_t free;  /* slab: offset of the first freed chunk / 16; 0 = none */
    int32_t filled; /* where the last chunk ends, from the block's start; of blocks not in hand */
    struct rn_region_block *below, *above; /* slab: others with freed chunks */
} rn_region_block;

#define RN_REGION_HEAD_BYTES ((int64_t)sizeof(rn_region_block))
#define RN_SLAB_BYTES_MAX 16000
#define RN_CONTEXT_ALIGN_MAX ((size_t)RN_BLOCK_BYTES)
#define RN_CONTEXT_BYTES_MAX ((size_t)INT64_MAX / 4)
#define RN_CHUNK_HEAD_BYTES ((int64_t)sizeof(rn_chunk))
/* What checked builds put around the caller's bytes. */
#define RN_ARMS_BYTES ((int64_t)RN_FRONT_BYTES + RN_TAIL_BYTES)

typedef struct rn_kind rn_kind;

/* Lies in its first block, so that creating one costs one block and deleting it leaves nothing.
 * Owner only, but for the words that say otherwise.
 *
 *     bytes_in_blocks = sum of bytes over the blocks, the first included
 *     at <= end, both inside of `hand`
 */
struct ration_context {
    ration_context_head head; /* what the caller calls: kind->allocate, or with arms */
    char *at, *end;           /* free space of the block in hand */
    rn_region_block *hand;    /* new chunks are cut from it */
    const rn_kind *kind;
    rn_slot *slot;
    ration_context *parent, *child, *next,
        *previous;                      /* links change between enter and leave (tree.h) */
    ration_context_callback *callbacks; /* newest first */
    rn_region_block *blocks; /* regular ones but the first, newest first, largest in front */
    rn_region_block *oldest; /* the last of `blocks` that has RN_BLOCK_BYTES */
    rn_region_block *alone;  /* of one chunk each */
    const char *name, *identifier;
    int64_t seen_at;          /* scratch of who peeks, under the lock */
    ration_resource resource; /* ration_context_resource; calls NULL until somebody asks for it */
    int64_t next_bytes;       /* size of the next regular block */
    int64_t bytes_in_blocks;  /* read by all */
    int64_t block_count;      /* read by all */
    int64_t peak_bytes;       /* read by all */
    int64_t handed_bytes;     /* direct bytes of the slot's pool that are this context's: anybody
                                adds, the owner takes away; atomic */
    ration_status status;
    bool unchecked; /* what is asked for now must not be refused */
    bool leaks;     /* to be reported */
#ifdef RATION_CHECKED
    rn_quarantine quarantine;
#endif
};

/* Header of a chunk, of sets, slabs and generations, and of chunks alone in their block. One word,
 * written and read whole: owner (a multiple of 16 below 2^48) << 16 | size << 10 | state. From
 * header to context it is one load for sets, two for the others.
 *
 *     set               owner = the first block, behind whose head the context lies
 *                                             size = class
 *     slab, generation  owner = the block     size = (bytes of the chunk, header included) / 16 - 1
 *     alone             owner = the block     size = 0
 *     alias             owner = distance to the raw bytes of the larger chunk
 *                                             size = log2 of the alignment
 */
typedef struct rn_chunk {
    uint64_t word;
} rn_chunk;

#define RN_CHUNK_LIVE 0xe5u
#define RN_CHUNK_ALONE 0x5du
#define RN_CHUNK_FREE 0x4bu
#define RN_CHUNK_SET_ASIDE 0x9au /* freed, in quarantine */
#define RN_CHUNK_ALIAS 0x36u     /* in front of the bytes of a chunk aligned beyond 16 */
#define RN_CHUNK_IN_BLOCK 0x100u /* flag: owner is the chunk's block */
#define RN_CHUNK_MOVED                                                                             \
    0x200u /* flag: its first raw bytes say how far behind them the caller's begin */
#define RN_CHUNK_STATE(word) ((uint32_t)(word)&0xff)

/* What a kind does inside of its blocks. `raw` counts front and tail. */
struct rn_kind {
    ration_context_kind id;
    const char *name;
    int64_t struct_bytes;                /* a multiple of 16 */
    int64_t grain;                       /* chunks are multiples of it: 8 or 16 */
    int64_t (*chunk_bytes)(int64_t raw); /* of a chunk with header, at most RN_CHUNK_BYTES_MAX or
                                            rounded up to the grain */
    void *(*allocate)(ration_context *context, size_t raw);
    void (*free)(ration_context *context, rn_chunk *chunk); /* not alone */
    void (*forget)(ration_context *context);                /* at reset, blocks are gone; or NULL */
    int64_t (*free_bytes)(const ration_context *context);   /* in freed chunks; or NULL */
    bool counts_live;                                       /* keeps rn_region_block.live */
    bool (*check)(const ration_context *context);           /* its own invariants; or NULL */
};

extern const rn_kind rn_kind_bump, rn_kind_set, rn_kind_slab, rn_kind_generation;

static inline bool rn_kind_has_headers(const rn_kind *kind)
{
    return kind->grain == 16;
}

static inline uint64_t rn_chunk_word(const void *owner, uint32_t size, uint32_t state)
{
    return (uint64_t)(uintptr_t)owner << 16 | (uint64_t)size << 10 | state;
}
static inline void *rn_chunk_owner(uint64_t word)
{
    return (void *)(uintptr_t)(word >> 20 << 4);
}
static inline uint32_t rn_chunk_size(uint64_t word)
{
    return (uint32_t)(word >> 10) & 0x3ff;
}
/* Of a set's chunk. */
static inline ration_context *rn_chunk_set(uint64_t word)
{
    return (ration_context *)((uintptr_t)rn_chunk_owner(word) + (uintptr_t)RN_REGION_HEAD_BYTES);
}
/* Of a chunk whose owner is its block. */
static inline rn_region_block *rn_chunk_block(const rn_chunk *chunk)
{
    return (rn_region_block *)rn_chunk_owner(chunk->word);
}
static inline bool rn_chunk_is_alone(uint64_t word)
{
    return RN_CHUNK_STATE(word) == RN_CHUNK_ALONE;
}

/* region.c */

/* Makes a new regular block the one in hand, with room for a chunk of `chunk_bytes` (at most
 * RN_CHUNK_BYTES_MAX); false when refused, and context->status says why. What is left of the old
 * one is the caller's to use before. */
bool rn_region_advance(ration_context *context, int64_t chunk_bytes);
/* The same without making it the one in hand; NULL when refused. */
rn_region_block *rn_region_grow(ration_context *context, int64_t chunk_bytes);
void rn_region_take_in_hand(ration_context *context, rn_region_block *block, char *at);
/* Gives one block of the list `blocks` back, which is not in hand. */
void rn_region_shrink(ration_context *context, rn_region_block *block);
/* Size of the regular block that a chunk which does not fit now is cut from. */
int64_t rn_region_next_bytes(const ration_context *context, int64_t chunk_bytes);
/* A block of its own for one chunk; its raw bytes. */
void *rn_region_allocate_alone(ration_context *context, int64_t raw);
void rn_region_free_alone(ration_context *context, rn_chunk *chunk);
/* Makes a chunk that is alone larger or smaller; its raw bytes, perhaps elsewhere; NULL = refused,
 * and nothing changed. */
void *rn_region_resize_alone(ration_context *context, rn_chunk *chunk, int64_t raw);
/* Gives all blocks back but the first. */
void rn_region_give_back(ration_context *context);
/* The first block, as if nothing had been cut from it. */
void rn_region_rewind(ration_context *context);
static inline rn_region_block *rn_region_first(const ration_context *context)
{
    return (rn_region_block *)((uintptr_t)context - (uintptr_t)RN_REGION_HEAD_BYTES);
}
/* Where the first chunk of a block begins. */
char *rn_region_start(const ration_context *context, const rn_region_block *block);

/* context_report.c: the next of the subtree of `top`, parents before their children; NULL after the
 * last. */
const ration_context *rn_context_next(const ration_context *at, const ration_context *top);

/* context_check.c */
static inline rn_place rn_context_place(const ration_context *context, const char *call)
{
    return (rn_place){"context", context->name, context->kind->name, call};
}
/* Before chunks go: all are verified, and leaks reported where that was asked for. Checked builds
 * only. */
void rn_context_verify(ration_context *context, const char *call);
/* context_resource.c: blocks of the context as a resource end with its memory. The same. */
void rn_context_resource_end(ration_context *context, const char *call);

/* chunk.c: ration_context_allocate of checked builds. */
void *rn_context_allocate_armed(ration_context *context, size_t bytes);
/* Of the whole chunk, header included. */
int64_t rn_chunk_bytes_of(const rn_chunk *chunk);

/* set.h, context_set.c */
int64_t rn_set_class_bytes(uint32_t class);

/* context_slab.c: `bytes` of the caller's, before the first chunk. */
void rn_slab_set_chunk(ration_context *context, size_t bytes);

#endif

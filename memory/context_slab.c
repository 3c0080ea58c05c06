/* SPDX-License-Identifier: Apache-2.0
 *
 * Slab contexts: chunks of one size. rn_slab_set_chunk before the first one.
 *
 * Each block has a list of its freed chunks; blocks whose list is not empty lie in a stack. A chunk
 * is taken from the block on top; when there is none it is cut from the block in hand, so that a
 * new block is not written before it is needed. A full block goes on top when a chunk of it is
 * freed, and off when it is full again. So what lies deep gets nothing as long as another block has
 * room, and empties.
 *
 * A block whose last chunk is freed is given back. One is kept: the block in hand, or else one that
 * waits as `spare` until the block in hand is full; then nothing that goes to and fro over the end
 * of a block asks for blocks.
 *
 *   1. The stack from `top` over `below` is all blocks with a freed chunk (`free` != 0); `above` is
 *      the way back, and means nothing in `top`.
 *   2. A block that is not in hand is cut to its end, or it is the spare or too small for a chunk.
 *   3. `live` of a block = its chunks cut and not freed; 0 only in the first block, the block in
 *      hand and the spare, of which at most one is not the first.
 *
 * Rejected: lists of blocks by how full they are, as in PostgreSQL's slab: a change of list at many
 * a free, and each touches the heads of two other blocks, which lie where the cache has the fewest
 * places (64 KiB apart).
 */
#include "memory/poison.h"
#include "memory/region.h"

typedef struct slab_context {
    ration_context base;
    size_t raw_bytes; /* of a chunk: the caller's and what is put around them */
    int64_t chunk_bytes;
    uint32_t size; /* the same as headers have it */
    rn_region_block *top;
    rn_region_block *spare; /* empty, not in hand, not the first; or NULL */
} slab_context;

static slab_context *slab_of(ration_context *context)
{
    return (slab_context *)(void *)context;
}

/* By its offset from the block, in 16 bytes: chunks lie 8 behind a multiple. */
static rn_chunk *chunk_at(const rn_region_block *block, int64_t offset)
{
    return (rn_chunk *)((uintptr_t)block + 8 + (uintptr_t)offset * 16);
}

static int64_t count_chunk(int64_t raw)
{
    return rn_round_up(rn_add(raw, RN_CHUNK_HEAD_BYTES), 16);
}

void rn_slab_set_chunk(ration_context *context, size_t bytes)
{
    slab_context *slab = slab_of(context);
    slab->raw_bytes = bytes + (size_t)RN_ARMS_BYTES;
    slab->chunk_bytes = count_chunk((int64_t)slab->raw_bytes);
    slab->size = (uint32_t)(slab->chunk_bytes / 16 - 1);
    rn_assert(slab->chunk_bytes <= RN_CHUNK_BYTES_MAX);
}

/* ------------------------------------------------------------------------------------- allocate */

static inline void *finish(rn_region_block *block, rn_chunk *chunk, uint32_t size, size_t raw)
{
    block->live++;
    chunk->word = rn_chunk_word(block, size, RN_CHUNK_LIVE | RN_CHUNK_IN_BLOCK);
    rn_unpoison(chunk + 1, raw);
    rn_poison(chunk, sizeof(*chunk));
    return chunk + 1;
}

static inline void *take_freed(slab_context *slab, rn_region_block *block)
{
    rn_chunk *chunk = chunk_at(block, block->free);
    rn_place place = rn_context_place(&slab->base, "ration_context_allocate");
    rn_chunk_verify_buried(chunk + 1, &place);
    int64_t *link = (int64_t *)(void *)(chunk + 1);
    rn_open(chunk, sizeof(*chunk) + sizeof(*link));
    block->free = (uint16_t)*link;
    if (block->free == 0) {
        slab->top = block->below;
    }
    return finish(block, chunk, slab->size, slab->raw_bytes);
}

static inline void *cut(slab_context *slab)
{
    rn_chunk *chunk = (rn_chunk *)(void *)slab->base.at;
    slab->base.at += slab->chunk_bytes;
    rn_unpoison(chunk, sizeof(*chunk));
    return finish(slab->base.hand, chunk, slab->size, slab->raw_bytes);
}

/* Of a size that slabs do not have, or with no room in the block in hand. */
__attribute__((noinline)) static void *allocate_slow(ration_context *context, size_t raw)
{
    slab_context *slab = slab_of(context);
    if (raw != slab->raw_bytes) {
        context->status = RATION_INVALID_ARGUMENT;
        return NULL;
    }
    if (slab->spare != NULL) {
        rn_region_take_in_hand(context, slab->spare, (char *)(slab->spare + 1));
        slab->spare = NULL;
    } else if (!rn_region_advance(context, slab->chunk_bytes)) {
        return NULL;
    }
    return cut(slab);
}

static void *allocate(ration_context *context, size_t raw)
{
    slab_context *slab = slab_of(context);
    if (RN_UNLIKELY(raw != slab->raw_bytes)) {
        return allocate_slow(context, raw);
    }
    if (slab->top != NULL) {
        return take_freed(slab, slab->top);
    }
    if (RN_UNLIKELY(slab->chunk_bytes > context->end - context->at)) {
        return allocate_slow(context, raw);
    }
    return cut(slab);
}

/* ----------------------------------------------------------------------------------------- free */

static void remove_from_stack(slab_context *slab, rn_region_block *block)
{
    *(block == slab->top ? &slab->top : &block->above->below) = block->below;
    if (block->below != NULL) {
        block->below->above = block->above;
    }
    block->free = 0;
}

/* The block, not the first, has no chunk in use: as if nothing had been cut from it. */
__attribute__((noinline)) static void retire(slab_context *slab, rn_region_block *block)
{
    ration_context *context = &slab->base;
    rn_region_block *hand = context->hand;
    rn_region_block *leaving = block;
    remove_from_stack(slab, block);
    if (block == hand) {
        context->at = (char *)(block + 1);
        leaving = slab->spare;
        slab->spare = NULL;
    } else if (slab->spare == NULL && (hand->live > 0 || hand == rn_region_first(context))) {
        block->filled = (int32_t)sizeof(*block);
        slab->spare = block;
        leaving = NULL;
    }
    if (leaving != NULL) {
        rn_region_shrink(context, leaving);
    }
}

static void free_slab_chunk(ration_context *context, rn_chunk *chunk)
{
    slab_context *slab = slab_of(context);
    int64_t *link = (int64_t *)(void *)(chunk + 1);
    rn_open(chunk, sizeof(*chunk) + sizeof(*link));
    rn_region_block *block = rn_chunk_block(chunk);
    chunk->word = rn_chunk_word(block, slab->size, RN_CHUNK_FREE | RN_CHUNK_IN_BLOCK);
    *link = block->free;
    if (block->free == 0) {
        block->below = slab->top;
        if (slab->top != NULL) {
            slab->top->above = block;
        }
        slab->top = block;
    }
    block->free = (uint16_t)(((char *)chunk - (char *)block) / 16);
    rn_poison(chunk, sizeof(*chunk) + sizeof(*link));
    block->live--;
    if (RN_UNLIKELY(block->live == 0) && block != rn_region_first(context)) {
        retire(slab, block);
    }
}

/* ---------------------------------------------------------------------------------------------- */

static void forget(ration_context *context)
{
    slab_context *slab = slab_of(context);
    rn_region_first(context)->free = 0;
    slab->top = NULL;
    slab->spare = NULL;
}

/* Chunks in the block's list; -1 when it leads out of the block, or around. */
static int64_t count_freed(const slab_context *slab, const rn_region_block *block)
{
    int64_t count = 0;
    int64_t last = (block->bytes - slab->chunk_bytes) / 16;
    for (int64_t offset = block->free; offset != 0; count++) {
        if (offset < 0 || offset > last || count > last) {
            return -1;
        }
        int64_t *link = (int64_t *)(void *)(chunk_at(block, offset) + 1);
        rn_open(link, sizeof(*link));
        offset = *link;
        rn_poison(link, sizeof(*link));
    }
    return count;
}

/* Live and freed chunks are all that were cut. */
static bool adds_up(const slab_context *slab, const rn_region_block *block)
{
    const ration_context *context = &slab->base;
    const char *start = rn_region_start(context, block);
    const char *end = block == context->hand ? context->at : (const char *)block + block->filled;
    return (block->live + count_freed(slab, block)) * slab->chunk_bytes == end - start;
}

static bool check(const ration_context *context)
{
    const slab_context *slab = (const slab_context *)(const void *)context;
    const rn_region_block *first = rn_region_first(context);
    bool holds = adds_up(slab, first);
    int64_t with_freed = first->free != 0;
    int64_t empty = 0;
    for (const rn_region_block *block = context->blocks; block != NULL; block = block->next) {
        holds &= adds_up(slab, block);
        holds &= block->live > 0 || block == context->hand || block == slab->spare;
        with_freed += block->free != 0;
        empty += block->live == 0;
    }
    for (const rn_region_block *block = slab->top; block != NULL && holds; block = block->below) {
        holds = block->free != 0 && (block == slab->top || block->above->below == block);
        with_freed -= 1;
    }
    return holds && with_freed == 0 && empty <= 1;
}

static int64_t count_unused(const ration_context *context, const rn_region_block *block)
{
    const slab_context *slab = (const slab_context *)(const void *)context;
    const char *start = rn_region_start(context, block);
    const char *end = block == context->hand ? context->at : (const char *)block + block->bytes;
    return end - start - block->live * slab->chunk_bytes;
}

static int64_t count_free_bytes(const ration_context *context)
{
    int64_t bytes = count_unused(context, rn_region_first(context));
    for (const rn_region_block *block = context->blocks; block != NULL; block = block->next) {
        bytes += count_unused(context, block);
    }
    return bytes;
}

const rn_kind rn_kind_slab = {
    .id = RATION_CONTEXT_SLAB,
    .name = "slab",
    .struct_bytes = ((int64_t)sizeof(slab_context) + 15) & ~INT64_C(15),
    .grain = 16,
    .chunk_bytes = count_chunk,
    .allocate = allocate,
    .free = free_slab_chunk,
    .forget = forget,
    .free_bytes = count_free_bytes,
    .counts_live = true,
    .check = check,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Slab contexts: chunks of one size. rn_slab_set_chunk before the first one.
 *
 * Each block has a list of its freed chunks. A chunk is taken from the list of the block `open`;
 * when that is empty from another block that has one, which becomes `open`; when none has, it is
 * cut from the block in hand, so that a new block is not written before it is needed. The first
 * block is preferred, because it is never given back, then the few below 64 KiB, then the front of
 * the run of 64 KiB blocks (region.c): there a full block goes as soon as a chunk of it is freed,
 * and from there a block that has become full goes to the end. What lies deep in the run gets
 * nothing as long as another has room, and empties.
 *
 * A block whose last chunk is freed is given back. One is kept: the block in hand, or else one that
 * waits as `spare` until the block in hand is full; then nothing that goes to and fro over the end
 * of a block asks for blocks.
 *
 *   1. roomy = number of blocks with a freed chunk (`free` != 0).
 *   2. In the run, blocks with a freed chunk lie in front of all others, `open` left aside.
 *   3. A block that is not in hand is cut to its end, or it is the spare or too small for a chunk.
 *   4. `live` of a block = its chunks cut and not freed; 0 only in the first block, the block in
 *      hand and the spare, of which at most one is not the first.
 *
 * Rejected: lists of blocks by how full they are, as in PostgreSQL's slab. They need two more links
 * in every block's head and a change of list at many a free; the order above is kept where a block
 * becomes full or stops being it.
 */
#include "memory/poison.h"
#include "memory/region.h"

typedef struct slab_context {
    ration_context base;
    size_t raw_bytes; /* of a chunk: the caller's and what is put around them */
    int64_t chunk_bytes;
    rn_region_block *open;
    rn_region_block *spare; /* empty, in no other role; or NULL */
    int64_t roomy;
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

static uint64_t word_of(const slab_context *slab, const rn_region_block *block, uint32_t state)
{
    return rn_chunk_word(block, (uint32_t)(slab->chunk_bytes / 16 - 1), state | RN_CHUNK_IN_BLOCK);
}

void rn_slab_set_chunk(ration_context *context, size_t bytes)
{
    slab_context *slab = slab_of(context);
    slab->raw_bytes = bytes + (size_t)RN_ARMS_BYTES;
    slab->chunk_bytes = count_chunk((int64_t)slab->raw_bytes);
    rn_assert(slab->chunk_bytes <= RN_CHUNK_BYTES_MAX);
}

/* ------------------------------------------------------------------------- order of the blocks */

static bool is_in_run(const ration_context *context, const rn_region_block *block)
{
    return block->bytes == RN_BLOCK_BYTES && block != rn_region_first(context);
}

/* Blocks below 64 KiB, all but the first. */
static rn_region_block *find_small(const ration_context *context)
{
    return context->oldest != NULL ? context->oldest->next : context->blocks;
}

static rn_region_block *find_roomy(const ration_context *context)
{
    rn_region_block *first = rn_region_first(context);
    if (first->free != 0) {
        return first;
    }
    rn_region_block *block = find_small(context);
    while (block != NULL && block->free == 0) {
        block = block->next;
    }
    return block != NULL ? block : context->blocks;
}

static void move_to_front(ration_context *context, rn_region_block *block)
{
    if (is_in_run(context, block)) {
        rn_region_move(context, block, true);
    }
}

static void move_to_end(ration_context *context, rn_region_block *block)
{
    if (is_in_run(context, block)) {
        rn_region_move(context, block, false);
    }
}

/* ------------------------------------------------------------------------------------- allocate */

/* A block with a freed chunk, of which there is one. */
static inline rn_region_block *find_freed(ration_context *context)
{
    slab_context *slab = slab_of(context);
    if (RN_UNLIKELY(slab->open->free == 0)) {
        move_to_end(context, slab->open);
        slab->open = find_roomy(context);
        rn_assert(slab->open->free != 0);
    }
    return slab->open;
}

static inline rn_chunk *take_freed(slab_context *slab, rn_region_block *block)
{
    rn_chunk *chunk = chunk_at(block, block->free);
    rn_place place = rn_context_place(&slab->base, "ration_context_allocate");
    rn_chunk_verify_buried(chunk + 1, &place);
    int64_t *link = (int64_t *)(void *)(chunk + 1);
    rn_open(chunk, sizeof(*chunk) + sizeof(*link));
    block->free = (uint16_t)*link;
    slab->roomy -= block->free == 0;
    return chunk;
}

/* Has the block in hand room for a chunk now? */
static bool advance(ration_context *context)
{
    slab_context *slab = slab_of(context);
    if (slab->spare == NULL) {
        return rn_region_advance(context, slab->chunk_bytes);
    }
    rn_region_take_in_hand(context, slab->spare, (char *)(slab->spare + 1));
    slab->spare = NULL;
    return true;
}

static void *allocate(ration_context *context, size_t raw)
{
    slab_context *slab = slab_of(context);
    if (RN_UNLIKELY(raw != slab->raw_bytes)) {
        context->status = RATION_INVALID_ARGUMENT;
        return NULL;
    }
    rn_chunk *chunk;
    rn_region_block *block;
    if (slab->roomy > 0) {
        block = find_freed(context);
        chunk = take_freed(slab, block);
    } else {
        int64_t bytes = slab->chunk_bytes;
        if (RN_UNLIKELY(bytes > context->end - context->at) && !advance(context)) {
            return NULL;
        }
        block = context->hand;
        chunk = (rn_chunk *)(void *)context->at;
        context->at += bytes;
        rn_unpoison(chunk, sizeof(*chunk));
    }
    block->live++;
    chunk->word = word_of(slab, block, RN_CHUNK_LIVE);
    rn_unpoison(chunk + 1, raw);
    rn_poison(chunk, sizeof(*chunk));
    return chunk + 1;
}

/* ----------------------------------------------------------------------------------------- free */

/* The block, not the first, has no chunk in use: as if nothing had been cut from it. */
static void retire(slab_context *slab, rn_region_block *block)
{
    ration_context *context = &slab->base;
    rn_region_block *hand = context->hand;
    rn_region_block *leaving = block;
    block->free = 0;
    slab->roomy -= 1;
    if (slab->open == block) {
        slab->open = hand;
    }
    move_to_end(context, block);
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
    chunk->word = word_of(slab, block, RN_CHUNK_FREE);
    *link = block->free;
    if (block->free == 0) {
        slab->roomy += 1;
        if (block != slab->open) {
            move_to_front(context, block);
        }
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
    slab->open = rn_region_first(context);
    slab->open->free = 0;
    slab->spare = NULL;
    slab->roomy = 0;
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
    int64_t roomy = first->free != 0;
    int64_t empty = 0;
    bool holds = adds_up(slab, first);
    bool may_have_freed = true;
    for (const rn_region_block *block = context->blocks; block != NULL; block = block->next) {
        bool has_freed = block->free != 0;
        roomy += has_freed;
        empty += block->live == 0;
        holds &= block->live > 0 || block == context->hand || block == slab->spare;
        holds &= adds_up(slab, block);
        if (is_in_run(context, block) && block != slab->open) {
            holds &= may_have_freed || !has_freed;
            may_have_freed = has_freed;
        }
    }
    return holds && roomy == slab->roomy && empty <= 1;
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

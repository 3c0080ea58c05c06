/* SPDX-License-Identifier: Apache-2.0
 *
 * Generation contexts: for chunks that are freed in about the order they were made, such as the
 * rows of a queue.
 *
 * A chunk is cut from the block in hand by moving a pointer. A free only counts: a block whose last
 * chunk is freed is given back; the one in hand is cut from its start again, and so is the first,
 * as soon as the one in hand has no room. No lists, and no chunk is used again by itself.
 *
 *   1. `live` of a block = its chunks cut and not freed; 0 only in the first block and the one in
 *      hand, which then have nothing cut from them.
 *   2. freed_bytes = bytes of the chunks with state FREE.
 *
 * Bound: one chunk that stays keeps its block. Whose chunks are freed in any order has sets.
 *
 * Rejected: keeping an emptied block for the next (PostgreSQL's generations keep one). The slot has
 * idle blocks for all its contexts.
 */
#include "memory/poison.h"
#include "memory/region.h"

typedef struct generation_context {
    ration_context base;
    int64_t freed_bytes;
} generation_context;

static generation_context *generation_of(ration_context *context)
{
    return (generation_context *)(void *)context;
}

static int64_t count_chunk(int64_t raw)
{
    return rn_round_up(rn_add(raw, RN_CHUNK_HEAD_BYTES), 16);
}

/* Has the block in hand room for a chunk of `bytes` now? */
static bool advance(ration_context *context, int64_t bytes)
{
    rn_region_block *first = rn_region_first(context);
    rn_region_block *left = context->hand;
    char *start = rn_region_start(context, first);
    if (first->live == 0 && first != left && bytes <= (char *)first + first->bytes - start) {
        rn_region_take_in_hand(context, first, start);
    } else if (!rn_region_advance(context, bytes)) {
        return false;
    }
    if (left->live == 0 && left != first) { /* too small for this chunk even when empty */
        rn_region_shrink(context, left);
    }
    return true;
}

static inline void *cut(ration_context *context, size_t bytes, size_t raw)
{
    rn_chunk *chunk = (rn_chunk *)(void *)context->at;
    rn_region_block *block = context->hand;
    context->at += bytes;
    block->live++;
    rn_unpoison(chunk, sizeof(*chunk) + raw);
    chunk->word =
        rn_chunk_word(block, (uint32_t)(bytes / 16 - 1), RN_CHUNK_LIVE | RN_CHUNK_IN_BLOCK);
    rn_poison(chunk, sizeof(*chunk));
    return chunk + 1;
}

__attribute__((noinline)) static void *allocate_slow(ration_context *context, size_t raw)
{
    if (raw > (size_t)(RN_CHUNK_BYTES_MAX - RN_CHUNK_HEAD_BYTES)) {
        return rn_region_allocate_alone(context, (int64_t)raw);
    }
    int64_t bytes = count_chunk((int64_t)raw);
    return advance(context, bytes) ? cut(context, (size_t)bytes, raw) : NULL;
}

static void *allocate(ration_context *context, size_t raw)
{
    size_t bytes = (raw + (size_t)RN_CHUNK_HEAD_BYTES + 15) & ~(size_t)15;
    if (RN_UNLIKELY(raw > (size_t)(RN_CHUNK_BYTES_MAX - RN_CHUNK_HEAD_BYTES) ||
                    bytes > (size_t)(context->end - context->at))) {
        return allocate_slow(context, raw);
    }
    return cut(context, bytes, raw);
}

/* No chunk of the block is in use. */
__attribute__((noinline)) static void retire(ration_context *context, rn_region_block *block)
{
    char *start = rn_region_start(context, block);
    if (block == context->hand) {
        generation_of(context)->freed_bytes -= context->at - start;
        context->at = start;
        return;
    }
    generation_of(context)->freed_bytes -= (char *)block + block->filled - start;
    block->filled = (int32_t)(start - (char *)block);
    if (block != rn_region_first(context)) {
        rn_region_shrink(context, block);
    }
}

static void free_generation_chunk(ration_context *context, rn_chunk *chunk)
{
    rn_open(chunk, sizeof(*chunk));
    rn_region_block *block = rn_chunk_block(chunk);
    uint32_t size = rn_chunk_size(chunk->word);
    chunk->word = rn_chunk_word(block, size, RN_CHUNK_FREE | RN_CHUNK_IN_BLOCK);
    generation_of(context)->freed_bytes += ((int64_t)size + 1) * 16;
    rn_poison(chunk, sizeof(*chunk));
    block->live--;
    if (RN_UNLIKELY(block->live == 0)) {
        retire(context, block);
    }
}

static void forget(ration_context *context)
{
    generation_of(context)->freed_bytes = 0;
}

static bool check(const ration_context *context)
{
    const generation_context *generation = (const generation_context *)(const void *)context;
    const rn_region_block *first = rn_region_first(context);
    bool holds = generation->freed_bytes >= 0;
    for (const rn_region_block *block = context->blocks; block != NULL; block = block->next) {
        holds &= block->live > 0 || block == context->hand;
    }
    const rn_region_block *hand = context->hand;
    holds &= hand->live > 0 || context->at == rn_region_start(context, hand);
    holds &= first->live > 0 || first == hand ||
             (const char *)first + first->filled == rn_region_start(context, first);
    return holds;
}

static int64_t count_free_bytes(const ration_context *context)
{
    const generation_context *generation = (const generation_context *)(const void *)context;
    const rn_region_block *first = rn_region_first(context);
    int64_t bytes = generation->freed_bytes;
    if (first != context->hand) {
        bytes += first->bytes - first->filled;
    }
    for (const rn_region_block *block = context->blocks; block != NULL; block = block->next) {
        bytes += block == context->hand ? 0 : block->bytes - block->filled;
    }
    return bytes;
}

const rn_kind rn_kind_generation = {
    .id = RATION_CONTEXT_GENERATION,
    .name = "generation",
    .struct_bytes = ((int64_t)sizeof(generation_context) + 15) & ~INT64_C(15),
    .grain = 16,
    .chunk_bytes = count_chunk,
    .allocate = allocate,
    .free = free_generation_chunk,
    .forget = forget,
    .free_bytes = count_free_bytes,
    .counts_live = true,
    .check = check,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocks of a context: rn_region_advance or _grow -> rn_region_shrink, _give_back, _rewind.
 *
 * A context charges blocks, never chunks: 8 KiB first, doubling to 64 KiB; a chunk above 16 KiB has
 * a block of its own. Regular blocks lie in one list, newest first. Sizes only grow until a reset,
 * so those of 64 KiB are a run at its front, and a reset gives that run back as one chain, under
 * one lock, however long it is; at most two smaller ones follow it.
 *
 *   1. blocks .. oldest have RN_BLOCK_BYTES, those behind `oldest` less.
 *   2. The block in hand is the first, or in the list.
 */
#include "memory/region.h"

#include "memory/poison.h"

static void publish_bytes(ration_context *context, int64_t bytes, int64_t blocks)
{
    bytes += context->bytes_in_blocks;
    rn_store(&context->bytes_in_blocks, bytes);
    rn_store(&context->block_count, context->block_count + blocks);
    if (bytes > context->peak_bytes) {
        rn_store(&context->peak_bytes, bytes);
    }
}

/* What a limit refused is charged as unchecked bytes where the asker must have it. */
static ration_status acquire(ration_context *context, int64_t bytes, void **out_memory)
{
    ration_status status = rn_block_acquire(context->slot, bytes, out_memory);
    if (status != RATION_OK && context->unchecked && status != RATION_NO_MEMORY) {
        rn_slot_draw_unchecked(context->slot, bytes);
        status = rn_block_acquire(context->slot, bytes, out_memory);
        if (status != RATION_OK) {
            rn_slot_take_back_draw(context->slot, bytes);
        }
    }
    if (status != RATION_OK) {
        context->status = status; /* kept when a later, smaller one fits: several may be asked for
                                     before a look at it */
    }
    return status;
}

static rn_region_block *add_block(ration_context *context, int64_t bytes, rn_region_block **list)
{
    void *memory = NULL;
    if (acquire(context, bytes, &memory) != RATION_OK) {
        return NULL;
    }
    rn_region_block *block = (rn_region_block *)memory;
    *block = (rn_region_block){.next = *list, .bytes = bytes, .context = context};
    if (block->next != NULL) {
        block->next->previous = block;
    }
    *list = block;
    publish_bytes(context, bytes, 1);
    rn_poison(block + 1, (size_t)(bytes - RN_REGION_HEAD_BYTES));
    return block;
}

static void remove_block(ration_context *context, rn_region_block *block, rn_region_block **list)
{
    if (block->previous != NULL) {
        block->previous->next = block->next;
    } else {
        *list = block->next;
    }
    if (block->next != NULL) {
        block->next->previous = block->previous;
    }
    int64_t bytes = block->bytes;
    publish_bytes(context, -bytes, -1);
    rn_block_release(context->slot, block, bytes);
}

/* ------------------------------------------------------------------------------- regular blocks */

int64_t rn_region_next_bytes(const ration_context *context, int64_t chunk_bytes)
{
    int64_t bytes = context->next_bytes;
    while (bytes - RN_REGION_HEAD_BYTES < chunk_bytes) {
        bytes *= 2;
    }
    return bytes;
}

rn_region_block *rn_region_grow(ration_context *context, int64_t chunk_bytes)
{
    rn_assert(chunk_bytes <= RN_CHUNK_BYTES_MAX);
    rn_region_block *block =
        add_block(context, rn_region_next_bytes(context, chunk_bytes), &context->blocks);
    if (block == NULL) {
        return NULL;
    }
    if (block->bytes == RN_BLOCK_BYTES && context->oldest == NULL) {
        context->oldest = block;
    }
    context->next_bytes = RN_MIN(block->bytes * 2, RN_BLOCK_BYTES);
    return block;
}

void rn_region_take_in_hand(ration_context *context, rn_region_block *block, char *at)
{
    context->hand->filled = (int32_t)(context->at - (char *)context->hand);
    context->hand = block;
    context->at = at;
    context->end = (char *)block + block->bytes;
}

bool rn_region_advance(ration_context *context, int64_t chunk_bytes)
{
    rn_region_block *block = rn_region_grow(context, chunk_bytes);
    if (block == NULL) {
        return false;
    }
    rn_region_take_in_hand(context, block, (char *)(block + 1));
    return true;
}

void rn_region_shrink(ration_context *context, rn_region_block *block)
{
    rn_assert(block != context->hand && block != rn_region_first(context));
    if (context->oldest == block) {
        context->oldest = block->previous;
    }
    remove_block(context, block, &context->blocks);
}

static void give_back_run(ration_context *context)
{
    rn_region_block *oldest = context->oldest;
    if (oldest == NULL) {
        return;
    }
    rn_region_block *newest = context->blocks;
    int64_t count = context->block_count - 1;
    for (rn_region_block *block = oldest->next; block != NULL; block = block->next) {
        count -= 1;
    }
    context->blocks = oldest->next;
    if (context->blocks != NULL) {
        context->blocks->previous = NULL;
    }
    context->oldest = NULL;
    publish_bytes(context, -count * RN_BLOCK_BYTES, -count);
    rn_block_release_chain(context->slot, newest, oldest, count);
}

void rn_region_give_back(ration_context *context)
{
    while (context->alone != NULL) {
        remove_block(context, context->alone, &context->alone);
    }
    give_back_run(context);
    while (context->blocks != NULL) {
        remove_block(context, context->blocks, &context->blocks);
    }
}

char *rn_region_start(const ration_context *context, const rn_region_block *block)
{
    uintptr_t start = (uintptr_t)(block + 1);
    return (char *)(block == rn_region_first(context)
                        ? start + (uintptr_t)context->kind->struct_bytes
                        : start);
}

void rn_region_rewind(ration_context *context)
{
    rn_region_block *first = rn_region_first(context);
    first->live = 0;
    context->hand = first;
    context->at = rn_region_start(context, first);
    context->end = (char *)first + first->bytes;
    context->next_bytes = RN_MIN(first->bytes * 2, RN_BLOCK_BYTES);
    rn_bury(context->at, (size_t)(context->end - context->at));
}

/* -------------------------------------------------------------------------------- chunks alone */

static int64_t count_alone_bytes(int64_t raw)
{
    return rn_block_round(rn_add(raw, RN_REGION_HEAD_BYTES + RN_CHUNK_HEAD_BYTES));
}

/* Header of the one chunk of a block; what is behind it is the caller's to open. */
static void *place_alone(rn_region_block *block)
{
    rn_chunk *chunk = (rn_chunk *)(block + 1);
    rn_unpoison(chunk, sizeof(*chunk));
    chunk->word = rn_chunk_word(block, 0, RN_CHUNK_ALONE | RN_CHUNK_IN_BLOCK);
    rn_poison(chunk, sizeof(*chunk));
    return chunk + 1;
}

void *rn_region_allocate_alone(ration_context *context, int64_t raw)
{
    if (RN_UNLIKELY((size_t)raw > RN_CONTEXT_BYTES_MAX + RN_CONTEXT_ALIGN_MAX + 64)) {
        context->status = RATION_NO_MEMORY;
        return NULL;
    }
    rn_region_block *block = add_block(context, count_alone_bytes(raw), &context->alone);
    if (block == NULL) {
        return NULL;
    }
    void *memory = place_alone(block);
    rn_unpoison(memory, (size_t)raw);
    return memory;
}

void rn_region_free_alone(ration_context *context, rn_chunk *chunk)
{
    remove_block(context, rn_chunk_block(chunk), &context->alone);
}

static void link_moved(ration_context *context, rn_region_block *block)
{
    *(block->previous != NULL ? &block->previous->next : &context->alone) = block;
    if (block->next != NULL) {
        block->next->previous = block;
    }
}

void *rn_region_resize_alone(ration_context *context, rn_chunk *chunk, int64_t raw)
{
    rn_open(chunk, sizeof(*chunk));
    rn_region_block *block = rn_chunk_block(chunk);
    rn_poison(chunk, sizeof(*chunk));
    int64_t bytes = count_alone_bytes(raw);
    int64_t old_bytes = block->bytes;
    if (bytes <= RN_BLOCK_BYTES || old_bytes <= RN_BLOCK_BYTES) {
        return NULL;
    }
    if (bytes != old_bytes) {
        rn_open(block, (size_t)old_bytes); /* the contents move with it */
        rn_region_block *moved =
            (rn_region_block *)rn_block_resize(context->slot, block, old_bytes, bytes);
        if (moved == NULL) {
            rn_poison(chunk, sizeof(*chunk));
            return NULL;
        }
        block = moved;
        block->bytes = bytes;
        link_moved(context, block);
        publish_bytes(context, bytes - old_bytes, 0);
    }
    char *memory = (char *)place_alone(block);
    rn_open(memory, (size_t)raw);
    rn_poison(memory + raw, (size_t)((char *)block + bytes - memory - raw));
    return memory;
}

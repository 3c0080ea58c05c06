/* SPDX-License-Identifier: Apache-2.0
 *
 * How many bytes of new blocks allocations can draw: what a settle must charge ahead, and what a
 * context will have drawn that does not exist yet.
 *
 * Chunks are multiples of a grain (8 bump, 16 the others). A block in which chunks of at most m are
 * put is left for the next only when a chunk does not fit: then at least payload - m + grain was
 * taken from it. So draws follow the ladder of block sizes until those least amounts add up to all
 * that is asked. A step of the ladder may be skipped by a chunk that is larger than its payload;
 * such a step counts as taking nothing, so leaving it in only makes the bound larger. A block of
 * one chunk's own is below twice the chunk and its head.
 */
#include "memory/region.h"

int64_t rn_context_chunk_bytes(const ration_context *context, size_t bytes)
{
    int64_t wanted = bytes > (size_t)INT64_MAX ? INT64_MAX : (int64_t)bytes;
    return context->kind->chunk_bytes(rn_add(wanted, RN_ARMS_BYTES));
}

/* Regular blocks of a context with `left` bytes in hand, whose next is of `block` bytes, for chunks
 * of together `bytes`, each at most `most`. */
static int64_t bound_regular(int64_t left, int64_t block, int64_t bytes, int64_t most,
                             int64_t grain)
{
    if (bytes <= left) {
        return 0;
    }
    int64_t drawn = 0;
    bytes -= RN_MAX(left - most + grain, 0);
    for (; bytes > 0 && block < RN_BLOCK_BYTES; block *= 2) {
        int64_t payload = (block - RN_REGION_HEAD_BYTES) & ~(grain - 1);
        bytes -= RN_MAX(payload - most + grain, 0);
        drawn += block;
    }
    if (bytes > 0) {
        int64_t least = ((block - RN_REGION_HEAD_BYTES) & ~(grain - 1)) - most + grain;
        int64_t count = rn_add(bytes, least - 1) / least;
        drawn = rn_add(drawn, rn_multiply(count, block));
    }
    return drawn;
}

/* --------------------------------------------------------------------------------- of a context */

static int64_t count_left(const ration_context *context, int64_t grain)
{
    return (int64_t)(context->end - context->at) & ~(grain - 1);
}

int64_t rn_context_bound_one(const ration_context *context, size_t bytes)
{
    int64_t chunk = rn_context_chunk_bytes(context, bytes);
    if (chunk > RN_CHUNK_BYTES_MAX) {
        return rn_block_round(rn_add(chunk, RN_REGION_HEAD_BYTES + RN_CHUNK_HEAD_BYTES));
    }
    return chunk <= count_left(context, 1) ? 0 : rn_region_next_bytes(context, chunk);
}

int64_t rn_context_bound(const ration_context *context, size_t chunk_bytes, size_t largest)
{
    int64_t grain = context->kind->grain;
    int64_t bytes =
        rn_round_up(chunk_bytes > (size_t)INT64_MAX ? INT64_MAX : (int64_t)chunk_bytes, grain);
    int64_t most = rn_context_chunk_bytes(context, largest);
    if (most <= RN_CHUNK_BYTES_MAX) {
        return bound_regular(count_left(context, grain), context->next_bytes, bytes, most, grain);
    }
    /* A byte costs less than two, in a regular block too (64 KiB holds more than 48), beyond the
     * ladder and a last block. */
    int64_t heads =
        rn_multiply(bytes / RN_CHUNK_BYTES_MAX + 1, RN_REGION_HEAD_BYTES + RN_CHUNK_HEAD_BYTES);
    int64_t ladder = 2 * RN_BLOCK_BYTES - context->next_bytes;
    /* A block of one chunk's own is below twice the chunk; below four times where pages are 64 KiB.
     */
    int64_t waste = rn_block_round(RN_BLOCK_BYTES_MIN) > RN_BLOCK_BYTES / 2 ? 4 : 2;
    return rn_add(ladder, rn_multiply(rn_add(bytes, heads), waste));
}

/* ------------------------------------------------------------------------------------- on paper */

void rn_context_draft_open(rn_context_draft *out_draft)
{
    int64_t bytes = rn_block_round(RN_BLOCK_BYTES_MIN);
    *out_draft = (rn_context_draft){
        .bytes = bytes,
        .left_bytes = bytes - RN_REGION_HEAD_BYTES - rn_kind_bump.struct_bytes,
        .next_bytes = RN_MIN(2 * bytes, RN_BLOCK_BYTES),
    };
}

void rn_context_draft_add(rn_context_draft *draft, size_t bytes)
{
    int64_t wanted = bytes > (size_t)INT64_MAX ? INT64_MAX : (int64_t)bytes;
    int64_t raw = rn_add(wanted, RN_ARMS_BYTES);
    if (raw > RN_CHUNK_BYTES_MAX) {
        int64_t alone = rn_block_round(rn_add(raw, RN_REGION_HEAD_BYTES + RN_CHUNK_HEAD_BYTES));
        draft->bytes = rn_add(draft->bytes, alone);
        return;
    }
    int64_t chunk = rn_kind_bump.chunk_bytes(raw);
    if (chunk > draft->left_bytes) {
        int64_t block = draft->next_bytes;
        while (block - RN_REGION_HEAD_BYTES < chunk) {
            block *= 2;
        }
        draft->bytes = rn_add(draft->bytes, block);
        draft->left_bytes = block - RN_REGION_HEAD_BYTES;
        draft->next_bytes = RN_MIN(2 * block, RN_BLOCK_BYTES);
    }
    draft->left_bytes -= chunk;
}

int64_t rn_context_draft_bound(const rn_context_draft *draft, int64_t bytes, size_t largest)
{
    int64_t grain = rn_kind_bump.grain;
    int64_t most = rn_kind_bump.chunk_bytes((int64_t)largest + RN_ARMS_BYTES);
    rn_assert(most <= RN_CHUNK_BYTES_MAX);
    return bound_regular(draft->left_bytes, draft->next_bytes, rn_round_up(bytes, grain), most,
                         grain);
}

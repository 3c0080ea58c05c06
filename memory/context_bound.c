/* SPDX-License-Identifier: Apache-2.0
 *
 * How many bytes of new blocks allocations can draw: what a settle must charge ahead.
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

/* Regular blocks for chunks of together `bytes`, each at most `most`. */
static int64_t bound_regular(const ration_context *context, int64_t bytes, int64_t most,
                             int64_t grain)
{
    int64_t left = count_left(context, grain);
    if (bytes <= left) {
        return 0;
    }
    int64_t drawn = 0;
    int64_t block = context->next_bytes;
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

int64_t rn_context_bound(const ration_context *context, size_t chunk_bytes, size_t largest)
{
    int64_t grain = context->kind->grain;
    int64_t bytes =
        rn_round_up(chunk_bytes > (size_t)INT64_MAX ? INT64_MAX : (int64_t)chunk_bytes, grain);
    int64_t most = rn_context_chunk_bytes(context, largest);
    if (most <= RN_CHUNK_BYTES_MAX) {
        return bound_regular(context, bytes, most, grain);
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * Bump contexts: a chunk is cut from the block in hand by moving a pointer; no headers, no free.
 */
#include "memory/poison.h"
#include "memory/region.h"

static int64_t count_chunk(int64_t raw)
{
    return rn_round_up(RN_MAX(raw, 1), 8);
}

static void *allocate_slow(ration_context *context, size_t raw)
{
    if (raw > (size_t)RN_CHUNK_BYTES_MAX) {
        return rn_region_allocate_alone(context, (int64_t)raw);
    }
    int64_t chunk = count_chunk((int64_t)raw);
    if (!rn_region_advance(context, chunk)) {
        return NULL;
    }
    char *memory = context->at;
    context->at += chunk;
    rn_unpoison(memory, raw);
    return memory;
}

static void *allocate(ration_context *context, size_t raw)
{
    size_t chunk = (raw + 7 + (raw == 0)) & ~(size_t)7;
    char *memory = context->at;
    if (RN_UNLIKELY(raw > (size_t)RN_CHUNK_BYTES_MAX || chunk > (size_t)(context->end - memory))) {
        return allocate_slow(context, raw);
    }
    context->at = memory + chunk;
    rn_unpoison(memory, raw);
    return memory;
}

const rn_kind rn_kind_bump = {
    .id = RATION_CONTEXT_BUMP,
    .name = "bump",
    .struct_bytes = ((int64_t)sizeof(ration_context) + 15) & ~INT64_C(15),
    .grain = 8,
    .chunk_bytes = count_chunk,
    .allocate = allocate,
};

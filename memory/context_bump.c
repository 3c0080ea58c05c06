/* SPDX-License-Identifier: Apache-2.0
 *
 * Bump contexts: a chunk is cut from the block in hand by moving a pointer; no headers, no free.
 */
#include "memory/poison.h"
#include "memory/region.h"

int64_t rn_bump_chunk_bytes(int64_t bytes)
{
    return rn_round_up(RN_MAX(bytes, 1), 8);
}

static void *allocate_slow(ration_context *context, int64_t chunk)
{
    if (chunk > RN_CHUNK_BYTES_MAX) {
        return rn_region_allocate_alone(context, chunk);
    }
    if (!rn_region_advance(context, chunk)) {
        return NULL;
    }
    char *memory = context->at;
    context->at += chunk;
    return memory;
}

void *rn_bump_allocate(ration_context *context, size_t bytes)
{
    if (RN_UNLIKELY(bytes > (size_t)INT64_MAX / 2)) {
        context->status = RATION_NO_MEMORY;
        return NULL;
    }
    int64_t chunk = rn_bump_chunk_bytes((int64_t)bytes);
    void *memory;
    if (RN_LIKELY(chunk <= RN_CHUNK_BYTES_MAX && chunk <= context->end - context->at)) {
        memory = context->at;
        context->at += chunk;
    } else {
        memory = allocate_slow(context, chunk);
    }
    if (memory != NULL) {
        rn_unpoison(memory, bytes);
    }
    return memory;
}

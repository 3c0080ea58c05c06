/* SPDX-License-Identifier: Apache-2.0
 *
 * A context as a resource: ration_context_resource. It lies in the context, allocates chunks, and
 * has nothing of its own; a reset or delete ends all blocks (rn_context_resource_end).
 *
 * The table of live blocks remembers what was deallocated, and so does the sentry of chunks. Only
 * the first is asked about a block; it is told to forget before the second looks, which would take
 * the block for one that was freed before.
 */
#include "memory/alarm.h"
#include "memory/region.h"
#include "memory/resource.h"

static ration_context *context_of(const ration_resource *resource)
{
    return (ration_context *)((uintptr_t)resource - offsetof(ration_context, resource));
}

static void *chunk_of(const ration_block *block)
{
#ifdef RATION_CHECKED
    rn_departed_clear(block->memory);
#endif
    return block->memory;
}

/* What may be used of a chunk of `bytes`; of an aligned one, which lies in a larger, no more. */
static size_t context_measure(ration_resource *resource, ration_block block, size_t align)
{
#ifdef RATION_CHECKED
    (void)resource;
    (void)align;
    return block.bytes;
#else
    const ration_context *context = context_of(resource);
    if (!rn_kind_has_headers(context->kind)) {
        return align <= 8 ? rn_step_up(block.bytes, 8) : block.bytes;
    }
    return align <= 16 ? ration_context_chunk_bytes(block.memory) - (size_t)RN_CHUNK_HEAD_BYTES
                       : block.bytes;
#endif
}

static ration_status context_allocate(ration_resource *resource, size_t bytes, size_t align,
                                      ration_block *out_block)
{
    ration_context *context = context_of(resource);
    ration_block block = {.bytes = bytes};
    block.memory = align <= 8 ? ration_context_allocate(context, bytes)
                              : ration_context_allocate_aligned(context, bytes, align);
    if (block.memory == NULL) {
        ration_status status = ration_context_status(context);
        return rn_never(status == RATION_OK) ? RATION_NO_MEMORY : status;
    }
    block.bytes = context_measure(resource, block, align);
    *out_block = block;
    return RATION_OK;
}

static void context_deallocate(ration_resource *resource, ration_block block, size_t align)
{
    (void)align;
    if (rn_kind_has_headers(context_of(resource)->kind)) {
        ration_context_free(chunk_of(&block));
    }
}

static bool context_resize(ration_resource *resource, ration_block *block, size_t bytes,
                           size_t align)
{
    if (!rn_kind_has_headers(context_of(resource)->kind)) {
        if (bytes > block->bytes) {
            return false;
        }
        block->bytes = context_measure(resource, *block, align); /* as it is: a copy takes more */
        return true;
    }
    ration_block resized = {.bytes = bytes};
    resized.memory = ration_context_reallocate(chunk_of(block), bytes);
    if (resized.memory == NULL) {
        return false;
    }
    resized.bytes = context_measure(resource, resized, align);
    *block = resized;
    return true;
}

static void context_info(const ration_resource *resource, ration_resource_info *info)
{
    const ration_context *context = context_of(resource);
    info->name = context->name;
    info->held_bytes = ration_context_bytes(context, false);
    info->peak_bytes = rn_load(&context->peak_bytes);
}

static const ration_resource_calls context_calls = {
    .size = sizeof(context_calls),
    .kind = "context",
    .allocate = context_allocate,
    .deallocate = context_deallocate,
    .resize = context_resize,
    .measure = context_measure,
    .info = context_info,
};

ration_resource *ration_context_resource(ration_context *context)
{
    context->resource.calls = &context_calls;
    return &context->resource;
}

void rn_context_resource_end(ration_context *context, const char *call)
{
    if (context->resource.calls != NULL) {
        rn_resource_forget(&context->resource, 0);
        rn_resource_end(&context->resource, 0, call);
    }
}

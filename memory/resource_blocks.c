/* SPDX-License-Identifier: Apache-2.0
 *
 * The two resources that keep nothing of their own: whole blocks of pages, charged to a slot
 * (ration_slot_blocks), and the C library's heap, charged to nobody (ration_heap_resource).
 *
 * A block's real size follows from what was asked for, so a sized free needs no header:
 * rn_block_round for blocks, the C library's own knowledge for the heap. Blocks of the four small
 * sizes lie at multiples of their size, so a small align is had by asking for a larger class.
 */
#include "base/heap.h"
#include "memory/resource.h"

/* --------------------------------------------------------------------------------------- blocks */

static rn_slot *slot_of(const ration_resource *resource)
{
    return (rn_slot *)((uintptr_t)resource - offsetof(rn_slot, blocks));
}

static int64_t block_bytes(size_t bytes, size_t align)
{
    return rn_block_round((int64_t)RN_MAX(bytes, align));
}

static ration_status blocks_allocate(ration_resource *resource, size_t bytes, size_t align,
                                     ration_block *out_block)
{
    rn_slot *slot = slot_of(resource);
    int64_t rounded = block_bytes(bytes, align);
    void *block = NULL;
    if (align > (rounded > RN_BLOCK_BYTES ? RATION_ALIGN_MAX : (size_t)RN_BLOCK_BYTES)) {
        return RATION_INVALID_ARGUMENT;
    }
    RN_TRY(rn_block_acquire(slot, rounded, &block));
    *out_block = (ration_block){.memory = block, .bytes = (size_t)rounded};
    return RATION_OK;
}

static void blocks_deallocate(ration_resource *resource, ration_block block, size_t align)
{
    rn_block_release(slot_of(resource), block.memory, block_bytes(block.bytes, align));
}

static bool blocks_resize(ration_resource *resource, ration_block *block, size_t bytes,
                          size_t align)
{
    int64_t before = block_bytes(block->bytes, align);
    int64_t after = block_bytes(bytes, align);
    void *memory = block->memory;
    if (before != after) {
        memory = before > RN_BLOCK_BYTES && after > RN_BLOCK_BYTES
                     ? rn_block_resize(slot_of(resource), memory, before, after)
                     : NULL;
    }
    if (memory == NULL) {
        return false;
    }
    *block = (ration_block){.memory = memory, .bytes = (size_t)after};
    return true;
}

static size_t blocks_measure(ration_resource *resource, ration_block block, size_t align)
{
    (void)resource;
    return (size_t)block_bytes(block.bytes, align);
}

/* Slots of one pool may give back each other's blocks. */
static const void *blocks_identity(const ration_resource *resource)
{
    return rn_slot_pool(slot_of(resource));
}

static void blocks_info(const ration_resource *resource, ration_resource_info *info)
{
    info->name = rn_pool_name(rn_slot_pool(slot_of(resource)));
}

static const ration_resource_calls blocks_calls = {
    .size = sizeof(blocks_calls),
    .kind = "blocks",
    .allocate = blocks_allocate,
    .deallocate = blocks_deallocate,
    .resize = blocks_resize,
    .measure = blocks_measure,
    .identity = blocks_identity,
    .info = blocks_info,
};

ration_resource *ration_slot_blocks(ration_slot *slot)
{
    rn_slot *self = rn_slot_of(slot);
    self->blocks.calls = &blocks_calls;
    return &self->blocks;
}

/* ----------------------------------------------------------------------------------------- heap */

static ration_status heap_allocate(ration_resource *resource, size_t bytes, size_t align,
                                   ration_block *out_block)
{
    (void)resource;
    void *memory = rn_heap_block_allocate(bytes, align);
    if (memory == NULL) {
        return RATION_NO_MEMORY;
    }
    *out_block = (ration_block){.memory = memory, .bytes = rn_heap_block_bytes(memory)};
    return RATION_OK;
}

static void heap_deallocate(ration_resource *resource, ration_block block, size_t align)
{
    (void)resource;
    (void)align;
    rn_heap_block_free(block.memory);
}

static bool heap_resize(ration_resource *resource, ration_block *block, size_t bytes, size_t align)
{
    (void)resource;
    /* The C library promises no more than this when it moves a block. */
    void *memory = align <= 16 ? rn_heap_block_resize(block->memory, bytes) : NULL;
    if (memory == NULL) {
        return false;
    }
    *block = (ration_block){.memory = memory, .bytes = rn_heap_block_bytes(memory)};
    return true;
}

static size_t heap_measure(ration_resource *resource, ration_block block, size_t align)
{
    (void)resource;
    (void)align;
    return rn_heap_block_bytes(block.memory);
}

static void heap_info(const ration_resource *resource, ration_resource_info *info)
{
    (void)resource;
    info->name = "heap";
    info->thread_safe = true;
}

static const ration_resource_calls heap_calls = {
    .size = sizeof(heap_calls),
    .kind = "heap",
    .allocate = heap_allocate,
    .deallocate = heap_deallocate,
    .resize = heap_resize,
    .measure = heap_measure,
    .info = heap_info,
};

ration_resource *ration_heap_resource(void)
{
    static ration_resource heap = {.calls = &heap_calls};
    return &heap;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What everybody calls of a resource, and the contracts that hold for all of them.
 * ration_resource_allocate -> reallocate, read -> ration_resource_deallocate; an owned block:
 * ration_owned_begin -> allocate -> take or free.
 *
 * Functions, not inline ones: whether contracts are looked at is decided by the build of the
 * library, however the host was compiled. A resource is asked for nothing that it would have to
 * refuse as nonsense, so that no implementation looks at it again.
 *
 *   1. A live block is in the table of live blocks (sentry.h) under the identity of its resource,
 *      with the bytes asked for. Only these calls write it, so a block of a resource that wraps
 *      another is the outer one's alone.
 *   2. Checked builds answer exactly what was asked for: what lies behind is out of bounds, and the
 *      size of the deallocation is known exactly.
 *
 * Rejected: is_equal of two resources, as std::pmr has it. It need not be transitive, and the table
 * could not say under whom a block is; an identity is both.
 */
#include "memory/resource.h"

static void clear_info(const ration_resource *resource, ration_resource_info *info)
{
    *info = (ration_resource_info){
        .size = sizeof(*info),
        .kind = resource->calls->kind,
        .blocks = RATION_NOT_KEPT,
        .bytes = RATION_NOT_KEPT,
        .held_bytes = RATION_NOT_KEPT,
        .peak_bytes = RATION_NOT_KEPT,
        .allocations = RATION_NOT_KEPT,
        .deallocations = RATION_NOT_KEPT,
        .refusals = RATION_NOT_KEPT,
    };
}

void ration_resource_read(const ration_resource *resource, ration_resource_info *out_info)
{
    clear_info(resource, out_info);
    if (resource->calls->info != NULL) {
        resource->calls->info(resource, out_info);
    }
}

static const void *identify(const ration_resource *resource)
{
    return resource->calls->identity == NULL ? resource : resource->calls->identity(resource);
}

bool ration_resource_is_equal(const ration_resource *one, const ration_resource *other)
{
    return one == other || identify(one) == identify(other);
}

/* ------------------------------------------------------------------------------------ contracts */

#ifdef RATION_CHECKED

static rn_place place_of(const ration_resource *resource, const char *call)
{
    ration_resource_info info;
    ration_resource_read(resource, &info);
    const char *name = info.tag != NULL ? info.tag : info.name;
    return (rn_place){.noun = "resource",
                      .name = name != NULL ? name : info.kind,
                      .kind = info.kind,
                      .call = call};
}

bool rn_resource_fault(const ration_resource *resource, const char *call, uint32_t made,
                       const char *text)
{
    rn_place place = place_of(resource, call);
    rn_sentry_abort(&place, made, 0, "%s, in %s \"%s\": %s", text, place.kind, place.name, call);
}

void rn_resource_end(const ration_resource *resource, int64_t live, const char *call)
{
    const void *identity = identify(resource);
    bool named = rn_live_count(identity) > 0;
    rn_place place = place_of(resource, call);
    rn_live_close(identity, &place);
    if (live > 0 && !named) {
        (void)rn_resource_fault(resource, call, 0,
                                "blocks of a resource that wraps it are not deallocated");
    }
}

void rn_resource_forget(const ration_resource *resource, uint64_t mark)
{
    rn_live_forget(identify(resource), mark);
}

/* The block, of which `asked` bytes were asked for, is live from now on. */
static void enter_block(const ration_resource *resource, ration_block *block, size_t asked,
                        size_t align, const char *call)
{
    rn_place place = place_of(resource, call);
    rn_assert(block->memory != NULL && rn_align_gap(block->memory, align) == 0);
    rn_assert(block->bytes >= asked);
    block->bytes = asked;
    rn_live_insert(identify(resource), block->memory, asked, align, &place);
}

static void leave_block(const ration_resource *resource, const ration_block *block, size_t align,
                        const char *call)
{
    rn_place place = place_of(resource, call);
    rn_live_take(identify(resource), block->memory, block->bytes, align, &place);
}

static void expect_block(const ration_resource *resource, const ration_block *block, size_t align,
                         const char *call)
{
    rn_place place = place_of(resource, call);
    rn_live_expect(identify(resource), block->memory, block->bytes, align, &place);
}

/* `before` became `after`, of which `asked` bytes were asked for. One that stays where it is keeps
 * its age: it does not go with what a frame gives up that was made later. */
static void change_block(const ration_resource *resource, const ration_block *before,
                         ration_block *after, size_t asked, size_t align, const char *call)
{
    if (after->memory != before->memory) {
        leave_block(resource, before, align, call);
        enter_block(resource, after, asked, align, call);
    } else {
        after->bytes = asked;
        rn_live_resize(after->memory, asked);
    }
}

#else

bool rn_resource_fault(const ration_resource *resource, const char *call, uint32_t made,
                       const char *text)
{
    (void)resource;
    (void)made;
    (void)call;
    return rn_fault(__FILE__, __LINE__, text);
}

void rn_resource_end(const ration_resource *resource, int64_t live, const char *call)
{
    (void)resource;
    (void)call;
    (void)rn_never(live != 0);
}

void rn_resource_forget(const ration_resource *resource, uint64_t mark)
{
    (void)resource;
    (void)mark;
}

static inline void enter_block(const ration_resource *resource, const ration_block *block,
                               size_t asked, size_t align, const char *call)
{
    (void)resource;
    (void)block;
    (void)asked;
    (void)align;
    (void)call;
}

static inline void leave_block(const ration_resource *resource, const ration_block *block,
                               size_t align, const char *call)
{
    enter_block(resource, block, 0, align, call);
}

static inline void expect_block(const ration_resource *resource, const ration_block *block,
                                size_t align, const char *call)
{
    enter_block(resource, block, 0, align, call);
}

static inline void change_block(const ration_resource *resource, const ration_block *before,
                                const ration_block *after, size_t asked, size_t align,
                                const char *call)
{
    (void)before;
    enter_block(resource, after, asked, align, call);
}

#endif

/* Is this a request that the resource may be asked? */
static ration_status admit(const ration_resource *resource, size_t bytes, size_t align,
                           const char *call)
{
    if (RN_UNLIKELY(!rn_is_power_of_two(align))) {
        (void)rn_resource_fault(resource, call, 0, "align is no power of two");
        return RATION_INVALID_ARGUMENT;
    }
    return RN_UNLIKELY(bytes > (size_t)INT64_MAX) ? RATION_NO_MEMORY : RATION_OK;
}

/* ------------------------------------------------------------------------------------ the calls */

ration_status ration_resource_allocate(ration_resource *resource, size_t bytes, size_t align,
                                       ration_block *out_block)
{
    RN_TRY(admit(resource, bytes, align, __func__));
    bytes = RN_MAX(bytes, 1);
    ration_status status = resource->calls->allocate(resource, bytes, align, out_block);
    if (status == RATION_OK) {
        enter_block(resource, out_block, bytes, align, __func__);
    }
    return status;
}

void ration_resource_deallocate(ration_resource *resource, ration_block block, size_t align)
{
    if (block.memory == NULL) {
        return;
    }
    if (RN_UNLIKELY(!rn_is_power_of_two(align))) {
        (void)rn_resource_fault(resource, __func__, 0, "align is no power of two");
        return;
    }
    block.bytes = RN_MAX(block.bytes, 1);
    leave_block(resource, &block, align, __func__);
    resource->calls->deallocate(resource, block, align);
}

/* A new block and a copy; a smaller one only when it saves half, and never because it has to be. */
static ration_status move_block(ration_resource *resource, ration_block *block, size_t bytes,
                                size_t align)
{
    ration_block moved;
    if (bytes <= block->bytes && bytes > block->bytes / 2) {
        return RATION_OK;
    }
    ration_status status = resource->calls->allocate(resource, bytes, align, &moved);
    if (status != RATION_OK) {
        return bytes <= block->bytes ? RATION_OK : status;
    }
    memcpy(moved.memory, block->memory, RN_MIN(bytes, block->bytes));
    resource->calls->deallocate(resource, *block, align);
    *block = moved;
    return RATION_OK;
}

ration_status ration_resource_reallocate(ration_resource *resource, ration_block *block,
                                         size_t bytes, size_t align)
{
    if (block->memory == NULL) {
        return ration_resource_allocate(resource, bytes, align, block);
    }
    RN_TRY(admit(resource, bytes, align, __func__));
    bytes = RN_MAX(bytes, 1);
    ration_block before = {.memory = block->memory, .bytes = RN_MAX(block->bytes, 1)};
    ration_block resized = before;
    expect_block(resource, &before, align, __func__);
    ration_status status = RATION_OK;
    if (resource->calls->resize == NULL ||
        !resource->calls->resize(resource, &resized, bytes, align)) {
        status = move_block(resource, &resized, bytes, align);
    }
    /* One that stays as it is keeps its size: it is freed as what it was allocated as. */
    bool kept = resized.memory == before.memory && resized.bytes == before.bytes;
    change_block(resource, &before, &resized, kept ? before.bytes : bytes, align, __func__);
    if (status == RATION_OK) {
        *block = resized;
    }
    return status;
}

/* ---------------------------------------------------------------------------------------- owned */

void ration_owned_begin(ration_owned *owned, ration_resource *resource)
{
    *owned = (ration_owned){.resource = resource, .align = 1};
}

void ration_owned_free(ration_owned *owned)
{
    ration_resource_deallocate(owned->resource, ration_owned_take(owned), owned->align);
}

ration_status ration_owned_allocate(ration_owned *owned, size_t bytes, size_t align)
{
    ration_owned_free(owned);
    RN_TRY(ration_resource_allocate(owned->resource, bytes, align, &owned->block));
    owned->align = align;
    return RATION_OK;
}

ration_block ration_owned_take(ration_owned *owned)
{
    ration_block block = owned->block;
    owned->block = (ration_block){0};
    return block;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A resource wrapped so that every block is counted, and its real size charged to a slot.
 * ration_charging_open -> ration_charging_resource -> ration_charging_close.
 *
 * What was asked for is charged before the other resource is asked, what it gives beyond that
 * afterwards; whichever refuses, the steps before are undone. A block that is resized is charged
 * for a page of rounding ahead; another that rounds up by more is the one case in which bytes are
 * charged that exist already (ration_slot_charge).
 *
 *   1. bytes = sum of real sizes over the live blocks = what of the slot's charge is this
 *      resource's.
 *   2. allocations - deallocations = live blocks; reallocations count as neither.
 *   3. The other's table is called, never the public calls: a block belongs to the outermost
 *      resource, and freeing it to the inner one is found out.
 *
 * The owner of the slot alone calls, so the figures are plain words.
 */
#include "base/heap.h"
#include "memory/resource.h"

struct ration_charging {
    ration_resource resource;
    ration_resource *upstream;
    rn_slot *slot;
    const char *tag;
    int64_t bytes, peak_bytes;
    int64_t allocations, deallocations, refusals;
};

static ration_charging *charging_of(const ration_resource *resource)
{
    return (ration_charging *)(uintptr_t)resource;
}

static size_t measure(ration_resource *upstream, ration_block block, size_t align)
{
    return upstream->calls->measure == NULL ? block.bytes
                                            : upstream->calls->measure(upstream, block, align);
}

static void count_bytes(ration_charging *charging, int64_t change)
{
    charging->bytes += change;
    charging->peak_bytes = RN_MAX(charging->peak_bytes, charging->bytes);
}

/* Charges what the block has beyond `charged`, or releases what it has less. */
static ration_status settle_real(ration_charging *charging, int64_t real, int64_t charged)
{
    if (real > charged) {
        return ration_slot_try_charge(&charging->slot->hot, real - charged);
    }
    ration_slot_release(&charging->slot->hot, charged - real);
    return RATION_OK;
}

static ration_status allocate_charged(ration_charging *charging, size_t bytes, size_t align,
                                      ration_block *out_block)
{
    ration_resource *upstream = charging->upstream;
    ration_slot *slot = &charging->slot->hot;
    ration_block block = {0};
    RN_TRY(ration_slot_try_charge(slot, (int64_t)bytes));
    ration_status status = upstream->calls->allocate(upstream, bytes, align, &block);
    if (status == RATION_OK) {
        status = settle_real(charging, (int64_t)block.bytes, (int64_t)bytes);
        if (status != RATION_OK) {
            upstream->calls->deallocate(upstream, block, align);
        }
    }
    if (status != RATION_OK) {
        ration_slot_release(slot, (int64_t)bytes);
        return status;
    }
    *out_block = block;
    return RATION_OK;
}

static ration_status charging_allocate(ration_resource *resource, size_t bytes, size_t align,
                                       ration_block *out_block)
{
    ration_charging *charging = charging_of(resource);
    ration_status status = allocate_charged(charging, bytes, align, out_block);
    if (status != RATION_OK) {
        charging->refusals += 1;
        return status;
    }
    charging->allocations += 1;
    count_bytes(charging, (int64_t)out_block->bytes);
    return RATION_OK;
}

static void charging_deallocate(ration_resource *resource, ration_block block, size_t align)
{
    ration_charging *charging = charging_of(resource);
    int64_t real = (int64_t)measure(charging->upstream, block, align);
    charging->upstream->calls->deallocate(charging->upstream, block, align);
    charging->deallocations += 1;
    count_bytes(charging, -real);
    ration_slot_release(&charging->slot->hot, real);
}

/* What resizing a block to `bytes` may take beyond them. */
static int64_t slack_of(size_t bytes)
{
    return (int64_t)bytes >= RN_BLOCK_BYTES ? rn_block_round(RN_BLOCK_BYTES + 1) - RN_BLOCK_BYTES
                                            : 64;
}

/* Where the other may resize, room for its rounding is charged before: a resize that has moved the
 * block cannot be undone. */
static bool charging_resize(ration_resource *resource, ration_block *block, size_t bytes,
                            size_t align)
{
    ration_charging *charging = charging_of(resource);
    ration_resource *upstream = charging->upstream;
    ration_slot *slot = &charging->slot->hot;
    if (upstream->calls->resize == NULL) {
        return false;
    }
    int64_t before = (int64_t)measure(upstream, *block, align);
    int64_t ahead = (int64_t)bytes <= before ? 0 : rn_add((int64_t)bytes - before, slack_of(bytes));
    if (ration_slot_try_charge(slot, ahead) != RATION_OK) {
        return false; /* a new block may still be had, or is refused by who knows why */
    }
    if (!upstream->calls->resize(upstream, block, bytes, align)) {
        ration_slot_release(slot, ahead);
        return false;
    }
    int64_t change = (int64_t)measure(upstream, *block, align) - before;
    if (change > ahead) {
        ration_slot_charge(slot, change - ahead);
    } else {
        ration_slot_release(slot, ahead - change);
    }
    count_bytes(charging, change);
    return true;
}

static size_t charging_measure(ration_resource *resource, ration_block block, size_t align)
{
    return measure(charging_of(resource)->upstream, block, align);
}

static void charging_info(const ration_resource *resource, ration_resource_info *info)
{
    const ration_charging *charging = charging_of(resource);
    ration_resource_info upstream;
    ration_resource_read(charging->upstream, &upstream);
    info->name = upstream.name;
    info->tag = charging->tag;
    info->blocks = charging->allocations - charging->deallocations;
    info->bytes = charging->bytes;
    info->held_bytes = charging->bytes;
    info->peak_bytes = charging->peak_bytes;
    info->allocations = charging->allocations;
    info->deallocations = charging->deallocations;
    info->refusals = charging->refusals;
}

static const ration_resource_calls charging_calls = {
    .size = sizeof(charging_calls),
    .kind = "charging",
    .allocate = charging_allocate,
    .deallocate = charging_deallocate,
    .resize = charging_resize,
    .measure = charging_measure,
    .info = charging_info,
};

ration_status ration_charging_open(ration_resource *upstream, ration_slot *slot, const char *tag,
                                   ration_charging **out_charging)
{
    ration_charging *charging = (ration_charging *)rn_heap_allocate(sizeof(*charging));
    if (charging == NULL) {
        return RATION_NO_MEMORY;
    }
    charging->resource.calls = &charging_calls;
    charging->upstream = upstream;
    charging->slot = rn_slot_of(slot);
    charging->tag = tag;
    *out_charging = charging;
    return RATION_OK;
}

ration_resource *ration_charging_resource(ration_charging *charging)
{
    return &charging->resource;
}

void ration_charging_close(ration_charging *charging)
{
    if (charging == NULL) {
        return;
    }
    rn_resource_end(&charging->resource, charging->allocations - charging->deallocations, __func__);
    ration_slot_release(&charging->slot->hot, charging->bytes);
    rn_heap_free(charging, sizeof(*charging));
}

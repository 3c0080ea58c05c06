/* SPDX-License-Identifier: Apache-2.0
 *
 * What the resources of memory/ share. */
#ifndef RATION_RESOURCE_INSIDE_H
#define RATION_RESOURCE_INSIDE_H

#include "memory/blocks.h"
#include "memory/sentry.h"
#include "ration_resource.h"

static inline bool rn_is_power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* Up to a multiple of `step`, a power of two; the sum is the caller's to bound. */
static inline size_t rn_step_up(size_t bytes, size_t step)
{
    return (bytes + step - 1) & ~(step - 1);
}

/* How far `address` is from the next multiple of `align`. */
static inline size_t rn_align_gap(const void *address, size_t align)
{
    return (size_t)(-(uintptr_t)address & (align - 1));
}

/* A programmer's error that names the resource: checked builds report it with the stacks of now and
 * of `made` (0 = none), and abort; release builds count the fault. Always false. */
bool rn_resource_fault(const ration_resource *resource, const char *call, uint32_t made,
                       const char *text);
/* The resource closes with `live` blocks that it knows of: those are leaks, reported in checked
 * builds, and a fault. */
void rn_resource_end(const ration_resource *resource, int64_t live, const char *call);
/* Blocks that were allocated since `mark` (rn_live_mark; 0 = all) are gone, by a rollback or reset.
 */
void rn_resource_forget(const ration_resource *resource, uint64_t mark);

#endif

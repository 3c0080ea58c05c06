/* SPDX-License-Identifier: Apache-2.0
 *
 * The inline functions of the public headers, out of line, for languages that cannot compile them:
 * ration_x is exported as ration_call_x. A call costs about as much as the charge itself. */
#include "ration_context.h"

ration_status ration_call_slot_try_charge(ration_slot *slot, int64_t bytes)
{
    return ration_slot_try_charge(slot, bytes);
}

void ration_call_slot_release(ration_slot *slot, int64_t bytes)
{
    ration_slot_release(slot, bytes);
}

ration_status ration_call_guard_row(ration_guard *guard, int64_t bytes)
{
    return ration_guard_row(guard, bytes);
}

void *ration_call_context_allocate(ration_context *context, size_t bytes)
{
    return ration_context_allocate(context, bytes);
}

size_t ration_call_guard_bytes(void)
{
    return sizeof(ration_guard);
}

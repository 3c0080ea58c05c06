/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of frames. */
#ifndef RATION_TESTS_MEMORY_FRAME_WORLD_H
#define RATION_TESTS_MEMORY_FRAME_WORLD_H

#include "tests/memory/resource_world.h"

static inline ration_frame *open_frame(place *here)
{
    ration_frame *frame = NULL;
    ck_assert_int_eq(ration_frame_open(&here->slot->hot, "test", &frame), RATION_OK);
    return frame;
}

static inline char *take(ration_frame *frame, size_t bytes)
{
    char *piece = (char *)ration_frame_allocate(frame, bytes);
    ck_assert_ptr_nonnull(piece);
    ck_assert_uint_eq((uintptr_t)piece % 16, 0);
    return piece;
}

static inline void expect_bytes(const place *here, const ration_frame *frame, int64_t bytes)
{
    ck_assert_int_eq(ration_frame_bytes(frame), bytes);
    ck_assert_int_eq(rn_slot_used(here->slot), governed(bytes));
}

#endif

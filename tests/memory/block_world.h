/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks that are kept as a test says, by a clock that is the test's. */
#ifndef RATION_TESTS_MEMORY_BLOCK_WORLD_H
#define RATION_TESTS_MEMORY_BLOCK_WORLD_H

#include "memory/pool.h"
#include "memory/span.h"
#include "tests/memory/fixture.h"
#include "tests/memory/resident.h"
#include "tests/memory/threads.h"

#define MS ((int64_t)1000000)

static int64_t now_ns;

static inline int64_t read_clock(void)
{
    return now_ns;
}

static const rn_blocks_options decaying = {.retain_ms = 1000, .clock_ns = read_clock};
static const rn_blocks_options keeping_nothing = {.retain_ms = 0};

static inline fixture open_world(const rn_blocks_options *options)
{
    fixture world = fixture_open(256 * MIB, INT64_MAX, MIB, false);
    fixture_set_blocks(&world, options);
    return world;
}

/* Without shelves, which keep the last few blocks for their owner: what lies behind them is tested.
 */
static inline rn_slot *open_bare_slot(ration_pool *pool)
{
    rn_slot *slot = open_slot(pool);
    slot->hot.shelves_used = 0;
    return slot;
}

static inline void check_all(const fixture *world)
{
    check_audit(world);
    ck_assert(rn_blocks_check(world->blocks));
}

static inline char *acquire(rn_slot *slot, int64_t bytes)
{
    void *block = NULL;
    ck_assert_int_eq(rn_block_acquire(slot, bytes, &block), RATION_OK);
    ck_assert_uint_eq((uintptr_t)block % (uintptr_t)(bytes <= 64 * KIB ? bytes : 4096), 0);
    return (char *)block;
}

static inline void close_world(fixture *world, rn_slot *slot)
{
    check_all(world);
    ck_assert_int_eq(rn_slot_used(slot), 0);
    rn_slot_close(slot);
    fixture_close(world);
}

#endif

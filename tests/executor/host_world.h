/* SPDX-License-Identifier: Apache-2.0
 *
 * Engines as a host makes them: a query, a worker, an operator that can let go of what it holds. */
#ifndef RATION_TESTS_EXECUTOR_HOST_WORLD_H
#define RATION_TESTS_EXECUTOR_HOST_WORLD_H

#include <sched.h>

#include "executor/ask.h"
#include "tests/executor/governor_world.h"

#define KIB ((int64_t)1024)
#define LIMIT (1200 * KIB)

/* A query with one worker and one operator, which holds bytes and can let them go. */
typedef struct engine {
    ration_query *query;
    ration_slot *slot;
    ration_spiller spiller;
    int64_t held, spilled; /* atomic where threads look */
    int64_t entered;       /* by a spill that is held up; atomic */
    int64_t hold_up;       /* until it is 0; atomic */
    ration_status fails;   /* what its spill answers */
} engine;

static int64_t tell_spillable(void *state)
{
    return ((engine *)state)->held;
}

static ration_status spill(void *state, int64_t want_bytes)
{
    engine *self = state;
    ck_assert_int_gt(want_bytes, 0);
    rn_store_release(&self->entered, 1);
    while (rn_load_acquire(&self->hold_up) != 0) {
        sched_yield();
    }
    int64_t bytes = RN_MIN(want_bytes, self->held);
    if (self->fails == RATION_OK) {
        self->held -= bytes;
        self->spilled += bytes;
        ration_slot_release(self->slot, bytes);
    }
    return self->fails;
}

SUPPORT_UNUSED static ration_governor *open_small(int64_t wait_ms)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = LIMIT;
    limits.chunk_bytes_max = 4 * KIB;
    limits.query_wait_ms_max = wait_ms;
    return open_governor_with(&limits);
}

SUPPORT_UNUSED static void open_engine(engine *self, ration_governor *governor, const char *name,
                                       bool spills)
{
    const ration_query_options options = {.size = sizeof options, .name = name};
    *self = (engine){.spiller = {self, tell_spillable, spill}};
    self->query = open_query(governor, &options, &self->slot);
    if (spills) {
        ration_slot_register_spill(self->slot, &self->spiller);
    }
}

SUPPORT_UNUSED static void hold(engine *self, int64_t bytes)
{
    ck_assert_int_eq(ration_slot_obtain(self->slot, bytes, "hold"), RATION_OK);
    self->held += bytes;
}

SUPPORT_UNUSED static ration_answer settle(const engine *self, int64_t bytes)
{
    ration_reply reply = ration_slot_settle(self->slot, bytes, "settle");
    ck_assert_int_eq(reply.answer == RATION_REFUSED, reply.status != RATION_OK);
    ck_assert_int_eq(reply.answer == RATION_SPILL, reply.want_bytes > 0);
    return reply.answer;
}

SUPPORT_UNUSED static void await_waiting(ration_governor *governor)
{
    ration_pool_figures figures = {.waiting = 0};
    while (figures.waiting == 0) {
        ration_pool_read(ration_governor_root(governor), &figures);
        sched_yield();
    }
}

#endif

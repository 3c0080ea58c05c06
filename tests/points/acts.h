/* SPDX-License-Identifier: Apache-2.0
 *
 * What the threads of these tests do: one call each, with its answer kept. */
#ifndef RATION_TESTS_POINTS_ACTS_H
#define RATION_TESTS_POINTS_ACTS_H

#include "memory/pool.h"
#include "tests/memory/fixture.h"
#include "tests/points/points.h"

#define ACTS_UNUSED __attribute__((unused))

typedef struct act {
    rn_slot *slot;
    ration_pool *pool;
    int64_t bytes;
    ration_status status;
} act;

ACTS_UNUSED static void act_charge(void *argument)
{
    act *self = (act *)argument;
    self->status = charge(self->slot, self->bytes);
}

ACTS_UNUSED static void act_release(void *argument)
{
    act *self = (act *)argument;
    release(self->slot, self->bytes);
}

ACTS_UNUSED static void act_close(void *argument)
{
    act *self = (act *)argument;
    rn_slot_close(self->slot);
}

ACTS_UNUSED static void act_recall(void *argument)
{
    act *self = (act *)argument;
    self->bytes = rn_pool_recall(self->pool);
}

ACTS_UNUSED static void act_set_limit(void *argument)
{
    act *self = (act *)argument;
    rn_pool_set_limit(self->pool, self->bytes);
}

/* Runs every test with membarrier (_i == 0) and with seq_cst ordering (_i == 1). Each is a case of
 * its own, so that CK_RUN_CASE can choose it by name. */
ACTS_UNUSED static int run_in_both_orderings(const char *name, const TTest *const *tests,
                                             size_t count)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    Suite *suite = suite_create(name);
    for (size_t i = 0; i < count; i++) {
        TCase *both = tcase_create(tests[i]->name);
        tcase_add_loop_test(both, tests[i], 0, 2);
        tcase_set_timeout(both, 120);
        suite_add_tcase(suite, both);
    }
    return run_suite(suite);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans that are run with less and less memory: they give the same rows, having written some out.
 */
#ifndef RATION_TESTS_SPILLING_H
#define RATION_TESTS_SPILLING_H

#include "storage/spill.h"
#include "tests/world.h"

#define SPILLING_KIB ((int64_t)1024)

/* Bytes of runs that were ever written in this world. */
SUPPORT_UNUSED static int64_t spilling_written(const rn_test_world *world)
{
    return rn_load(&rn_spill_volume_quota(world->governor->volume)->total_bytes);
}

/* Nothing of it is left. */
SUPPORT_UNUSED static void spilling_nothing_left(const rn_test_world *world)
{
    ck_assert_int_eq(rn_load(&rn_spill_volume_quota(world->governor->volume)->used_bytes), 0);
}

/* Runs the plan unlimited and under each limit: the same rows. Under the last limit something was
 * written out. */
SUPPORT_UNUSED static void spilling_same(rn_test_world *world, const char *plan, bool ordered,
                                         const int64_t *limits_kib, size_t count)
{
    rn_test_result whole = rn_test_run(world, plan, 0);
    ck_assert_msg(whole.status == RATION_OK, "%s", whole.message);
    int64_t before = spilling_written(world);
    for (size_t i = 0; i < count; i++) {
        before = spilling_written(world);
        rn_test_result part = rn_test_run(world, plan, limits_kib[i] * SPILLING_KIB);
        ck_assert_msg(part.status == RATION_OK, "limit %lld KiB: %s", (long long)limits_kib[i],
                      part.message);
        if (!ordered) {
            rn_test_sort_lines(whole.text, whole.length);
            rn_test_sort_lines(part.text, part.length);
        }
        ck_assert_msg(whole.rows == part.rows && whole.length == part.length &&
                          (whole.length == 0 || memcmp(whole.text, part.text, whole.length) == 0),
                      "limit %lld KiB: %lld rows, not the %lld of the unlimited run",
                      (long long)limits_kib[i], (long long)part.rows, (long long)whole.rows);
        rn_test_result_free(&part);
        spilling_nothing_left(world);
    }
    ck_assert_int_gt(spilling_written(world), before);
    rn_test_result_free(&whole);
}

#define SPILLING_SAME(world_, plan_, ordered_, ...)                                                \
    do {                                                                                           \
        const int64_t limits_[] = {__VA_ARGS__};                                                   \
        spilling_same(world_, plan_, ordered_, limits_, RN_COUNT(limits_));                        \
    } while (0)

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a governor does with pages that nobody uses: retain_ms, prefault, ration_governor_tick. */
#include "tests/executor/governor_world.h"

static int64_t retained(ration_governor *governor)
{
    ration_pool_figures figures;
    ration_pool_read(ration_governor_root(governor), &figures);
    return figures.retained_bytes;
}

static ration_governor *open_retaining(int64_t retain_ms, const char *path)
{
    ration_limits limits;
    ration_governor *governor;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = 64 * MIB;
    limits.retain_ms = retain_ms;
    limits.prefault = true;
    ration_status status = path == NULL
                               ? ration_governor_open(&limits, &governor, NULL)
                               : ration_governor_open_shared(&limits, path, &governor, NULL);
    ck_assert_int_eq(status, RATION_OK);
    return governor;
}

START_TEST(test_governor__tick_gives_pages_back_that_nobody_wants)
{
    ration_governor *governor = open_retaining(1000000, NULL);
    run_query(governor);
    ration_governor_tick(governor);
    ck_assert(!RN_GOVERNED || retained(governor) >= 10 * MIB); /* their time is not over */
    ration_governor_close(governor);
    governor = open_retaining(1, NULL);
    run_query(governor);
    while (rn_blocks_mapped(governor->blocks) > 0) { /* a coarse clock needs some ms for one */
        ck_assert_int_eq(usleep(1000), 0);
        ration_governor_tick(governor);
    }
    ck_assert_int_eq(retained(governor), 0);
    close_and_check(governor);
}
END_TEST

START_TEST(test_governor__retains_nothing_when_told_so)
{
    ration_governor *governor = open_retaining(0, NULL);
    run_query(governor);
    ck_assert_int_eq(rn_blocks_mapped(governor->blocks), 0);
    ck_assert_int_eq(retained(governor), 0);
    ration_governor_tick(governor);
    close_and_check(governor);
}
END_TEST

START_TEST(test_governor__tick_of_a_shared_one)
{
    char path[] = "/tmp/ration-governor-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(close(descriptor), 0);
    ck_assert_int_eq(unlink(path), 0);
    ration_governor *governor = open_retaining(1, path);
    run_query(governor);
    ration_governor_tick(governor);
    ck_assert_int_eq(rn_blocks_mapped(governor->blocks), 0);
    ration_governor_close(governor);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_governor__tick_gives_pages_back_that_nobody_wants,
        test_governor__retains_nothing_when_told_so,
        test_governor__tick_of_a_shared_one,
    };
    return support_run("governor", tests, RN_COUNT(tests));
}

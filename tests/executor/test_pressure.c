/* SPDX-License-Identifier: Apache-2.0
 *
 * Levels of pressure, by arithmetic alone. */
#include "executor/pressure.h"

#include "tests/support.h"

#define MIB (INT64_C(1) << 20)

static rn_pressure_gauge gauge;
static rn_strain strain;

/* Spare 1000 MiB: elevated below 500, critical below 250. */
static void begin(void)
{
    gauge = (rn_pressure_gauge){.level = RATION_PRESSURE_NORMAL};
    strain = (rn_strain){.headroom_bytes = 1000 * MIB,
                         .spare_bytes = 1000 * MIB,
                         .stall = {.known = true},
                         .stall_ppm = 200000};
}

static ration_pressure judge(int64_t headroom_bytes)
{
    strain.headroom_bytes = headroom_bytes;
    strain.now_ns += 100000000;
    return rn_pressure_judge(&gauge, &strain);
}

/* With tasks stalled for so much of the 100 ms before it. */
static ration_pressure judge_stalled(int64_t headroom_bytes, int64_t some_us, int64_t full_us)
{
    strain.stall.some_us += some_us;
    strain.stall.full_us += full_us;
    return judge(headroom_bytes);
}

START_TEST(test_pressure__leaves_two_percent_at_least)
{
    ck_assert_int_eq(rn_pressure_spare(1000 * MIB, 800000), 200 * MIB);
    ck_assert_int_eq(rn_pressure_spare(1000 * MIB, 1000000), 20 * MIB);
    ck_assert_int_eq(rn_pressure_spare(1000 * MIB, 990000), 20 * MIB);
    ck_assert_int_gt(rn_pressure_spare(INT64_MAX, 800000), INT64_MAX / 6); /* no overflow */
}
END_TEST

START_TEST(test_pressure__goes_by_headroom)
{
    begin();
    ck_assert_int_eq(judge(500 * MIB), RATION_PRESSURE_NORMAL);
    ck_assert_int_eq(judge(500 * MIB - 1), RATION_PRESSURE_ELEVATED);
    ck_assert_int_eq(judge(250 * MIB), RATION_PRESSURE_ELEVATED);
    ck_assert_int_eq(judge(250 * MIB - 1), RATION_PRESSURE_CRITICAL);
    begin();
    ck_assert_int_eq(judge(0), RATION_PRESSURE_CRITICAL); /* at once */
    begin();
    ck_assert_int_eq(judge(INT64_MAX), RATION_PRESSURE_NORMAL);
}
END_TEST

START_TEST(test_pressure__is_left_after_five_better_looks)
{
    begin();
    ck_assert_int_eq(judge(400 * MIB), RATION_PRESSURE_ELEVATED);
    for (int i = 0; i < 20; i++) { /* better, but not by a quarter */
        ck_assert_int_eq(judge(600 * MIB), RATION_PRESSURE_ELEVATED);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(judge(625 * MIB), RATION_PRESSURE_ELEVATED);
    }
    ck_assert_int_eq(judge(600 * MIB), RATION_PRESSURE_ELEVATED); /* in a row */
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(judge(625 * MIB), RATION_PRESSURE_ELEVATED);
    }
    ck_assert_int_eq(judge(625 * MIB), RATION_PRESSURE_NORMAL);
}
END_TEST

START_TEST(test_pressure__is_left_level_by_level)
{
    begin();
    ck_assert_int_eq(judge(100 * MIB), RATION_PRESSURE_CRITICAL);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(judge(400 * MIB), RATION_PRESSURE_CRITICAL);
    }
    ck_assert_int_eq(judge(400 * MIB), RATION_PRESSURE_ELEVATED);
    ck_assert_int_eq(rn_pressure_relief(1000 * MIB), 625 * MIB);
}
END_TEST

START_TEST(test_pressure__goes_by_stalls_of_two_seconds)
{
    begin();
    ck_assert_int_eq(judge_stalled(1000 * MIB, 0, 0), RATION_PRESSURE_NORMAL);
    ck_assert_int_eq(gauge.some_ppm, -1); /* of one reading */
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(judge_stalled(1000 * MIB, 19000, 0), RATION_PRESSURE_NORMAL);
    }
    ck_assert_int_eq(gauge.some_ppm, 190000);
    (void)judge_stalled(1000 * MIB, 50000, 0);
    ck_assert_int_eq(judge_stalled(1000 * MIB, 50000, 50000), RATION_PRESSURE_ELEVATED);
    ck_assert_int_eq(gauge.some_ppm, (18 * 19000 + 100000) / 2);
    ck_assert_int_eq(gauge.full_ppm, 25000);
    /* All of them, for all of two seconds: still no reason to write out while there is room. */
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(judge_stalled(1000 * MIB, 100000, 100000), RATION_PRESSURE_ELEVATED);
    }
    ck_assert_int_eq(judge_stalled(400 * MIB, 100000, 100000), RATION_PRESSURE_CRITICAL);
    for (int i = 0; i < 40; i++) {
        (void)judge_stalled(1000 * MIB, 0, 0);
    }
    ck_assert_int_eq(gauge.level, RATION_PRESSURE_NORMAL);
}
END_TEST

START_TEST(test_pressure__stalls_may_be_unknown_or_not_wanted)
{
    begin();
    strain.stall.known = false;
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(judge_stalled(1000 * MIB, 100000, 100000), RATION_PRESSURE_NORMAL);
    }
    ck_assert_int_eq(gauge.some_ppm, -1);
    ck_assert_int_eq(judge(100 * MIB), RATION_PRESSURE_CRITICAL);
    begin();
    strain.stall_ppm = 0;
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(judge_stalled(1000 * MIB, 100000, 100000), RATION_PRESSURE_NORMAL);
    }
    ck_assert_int_eq(gauge.some_ppm, 1000000);
}
END_TEST

/* Counters that start again are those of another group. */
START_TEST(test_pressure__counters_that_go_back)
{
    begin();
    strain.stall.some_us = INT64_C(1) << 40;
    (void)judge(1000 * MIB);
    strain.stall.some_us = 0;
    ck_assert_int_eq(judge(1000 * MIB), RATION_PRESSURE_NORMAL);
    ck_assert_int_eq(gauge.some_ppm, -1);
    ck_assert_int_eq(judge_stalled(1000 * MIB, 30000, 0), RATION_PRESSURE_ELEVATED);
    ck_assert_int_eq(gauge.some_ppm, 300000);
}
END_TEST

/* A look every ten seconds has one sample, older than the window. */
START_TEST(test_pressure__with_seldom_looks)
{
    begin();
    (void)judge(1000 * MIB);
    strain.now_ns += INT64_C(9900000000);
    ck_assert_int_eq(judge_stalled(1000 * MIB, 3000000, 0), RATION_PRESSURE_ELEVATED);
    ck_assert_int_eq(gauge.some_ppm, 300000);
}
END_TEST

START_TEST(test_pressure__names)
{
    ck_assert_str_eq(ration_pressure_name(RATION_PRESSURE_NORMAL), "normal");
    ck_assert_str_eq(ration_pressure_name(RATION_PRESSURE_ELEVATED), "elevated");
    ck_assert_str_eq(ration_pressure_name(RATION_PRESSURE_CRITICAL), "critical");
    ck_assert_str_eq(ration_pressure_name((ration_pressure)3), "unknown");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_pressure__leaves_two_percent_at_least,
                                  test_pressure__goes_by_headroom,
                                  test_pressure__is_left_after_five_better_looks,
                                  test_pressure__is_left_level_by_level,
                                  test_pressure__goes_by_stalls_of_two_seconds,
                                  test_pressure__stalls_may_be_unknown_or_not_wanted,
                                  test_pressure__counters_that_go_back,
                                  test_pressure__with_seldom_looks,
                                  test_pressure__names};
    return support_run("pressure", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Sort with less memory than it wants: the same rows in the same order, byte for byte. */
#include "tests/iterators/spill_faults.h"

START_TEST(test_sort_spill__rows_are_the_same)
{
    static const char *const orders[] = {
        "i",            /* many ties, nulls */
        "i desc, s",    /* then strings, long ones */
        "s desc, d",    /* equal in the first 8 bytes */
        "d, i desc",    /* doubles */
        "c desc, a, i", /* bools and dates in one word */
        "t, c",
    };
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < RN_COUNT(orders); i++) {
        char plan[1400];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 24000, columns: { i: { random: int64, min: -50, max: 50, nulls: "
                 "0.1 }, d: { random: double, min: -1, max: 1, nulls: 0.1 }, "
                 "s: { random: string, width: 60, distinct: 900, nulls: 0.1 }, t: { random: "
                 "string, width: 3, distinct: 9 }, b: { random: int64, min: 0, max: 1 }, "
                 "a: { random: int64, min: 0, max: 3, nulls: 0.2 }, n: sequence "
                 "} }\n- project: { '*': all, c: b = 1 }\n- sort: [%s]\n",
                 orders[i]);
        SPILLING_SAME(&world, plan, true, 6000, 2000, 1000);
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_sort_spill__lists_of_strings)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(
        &world,
        "- range: { rows: 60000, columns: { k: { random: int64, min: 0, max: 9000 }, s: { "
        "random: string, width: 40 }, n: { random: int64, min: 0, max: 5, nulls: 0.1 } } "
        "}\n- aggregate: { by: [k], compute: { l: collect(s), m: collect(n) } }\n"
        "- sort: [k desc]\n- unwind: { list: l, as: x }\n- project: { k: k, x: x }\n",
        false, 20000, 6000);
    rn_test_close(&world);
}
END_TEST

/* Hundreds of short runs: narrowed again and again on the way. */
START_TEST(test_sort_spill__narrows_hundreds_of_runs)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(&world,
                  "- range: { rows: 240000, columns: { k: { random: int64, min: 0, max: 1000000 }, "
                  "s: { random: string, width: 100 } } }\n- sort: [k]\n"
                  "- filter: k % 50 = 0\n",
                  true, 800);
    rn_test_close(&world);
}
END_TEST

/* Rows of up to 300 KB, where a block holds none. */
START_TEST(test_sort_spill__wide_rows)
{
    rn_test_world world;
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = INT64_C(1) << 30;
    limits.max_row_bytes = 400000;
    rn_test_open(&world, &limits, NULL);
    SPILLING_SAME(&world,
                  "- range: { rows: 60, columns: { k: { random: int64, min: 0, max: 9 }, s: { "
                  "random: string, width: 300000 } } }\n- sort: [k, s]\n",
                  true, 12000, 6000, 4000);
    rn_test_close(&world);
}
END_TEST

/* The consumer grows while rows are given: they make room for each other. */
START_TEST(test_sort_spill__gives_while_its_consumer_grows)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(&world,
                  "- range: { rows: 60000, columns: { k: { random: int64, min: 0, max: 1000000 }, "
                  "s: { random: string, width: 60 } } }\n- sort: [k]\n- sort: [s]\n"
                  "- distinct: [s, k]\n- sort: [k desc, s]\n",
                  true, 12000, 5000, 3500);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_sort_spill__sweep)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_sweep(&world,
                  "- range: { rows: 20000, columns: { k: { random: int64, min: 0, max: 500 }, s: { "
                  "random: string, width: 90 } } }\n- sort: [k desc, s]\n",
                  64 * 1024, true);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_sort_spill__survives_faults_of_the_disk)
{
    spill_faults("- range: { rows: 6000, columns: { k: { random: int64, min: 0, max: 500 }, s: { "
                 "random: string, width: 120 } } }\n- sort: [k desc, s]\n",
                 720 * 1024, 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_sort_spill__rows_are_the_same,
        test_sort_spill__lists_of_strings,
        test_sort_spill__narrows_hundreds_of_runs,
        test_sort_spill__wide_rows,
        test_sort_spill__gives_while_its_consumer_grows,
        test_sort_spill__sweep,
        test_sort_spill__survives_faults_of_the_disk,
    };
    return support_run("sort_spill", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * aggregate and distinct with less memory than their groups take: every function, keys of every
 * kind, states that grow, values that count once. */
#include "tests/iterators/spill_faults.h"

#define RANGE(rows, columns) "- range: { rows: " #rows ", columns: { " columns " } }\n"
#define WIDE_KEY "k: { random: int64, min: 0, max: 20000, seed: 1 }"
#define FEW_KEYS "k: { random: int64, min: 0, max: 5, seed: 1 }"
#define VALUE "v: { random: int64, min: 0, max: 50000, seed: 2 }"
#define TEXT "s: { random: string, width: 40, seed: 3 }"

START_TEST(test_aggregate_spill__counts_and_sums)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(
        &world,
        RANGE(60000, WIDE_KEY
              ", " VALUE) "- aggregate: { by: [k], compute: { n: count(), s: sum(v), a: avg(v), "
                          "l: min(v), g: max(v), d: \"sum(double(v))\" } }\n",
        false, 8192, 4096, 2560, 1600);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_aggregate_spill__keys_of_strings)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(
        &world,
        RANGE(
            40000,
            "s: { random: string, width: 30, seed: 3 }, " VALUE) "- aggregate: { by: [s], compute: "
                                                                 "{ n: count(), g: max(v) } }\n",
        false, 4096, 2560, 1600);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_aggregate_spill__wide_strings)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(
        &world,
        RANGE(
            30000, WIDE_KEY
            ", s: { random: string, width: 300, seed: 3 }") "- aggregate: { by: [k], compute: { l: "
                                                            "min(s), g: max(s), n: count() } }\n",
        false, 8192, 5120);
    rn_test_close(&world);
}
END_TEST

/* Lists come in another order when parts of them were written out: so their lengths and sums. */
START_TEST(test_aggregate_spill__lists)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(
        &world,
        RANGE(60000, WIDE_KEY
              ", " VALUE) "- aggregate: { by: [k], compute: { c: collect(v), n: count() } }\n"
                          "- unwind: { list: c, as: x }\n"
                          "- project: { k: k, x: x, n: n }\n",
        false, 8192, 5120, 3072);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_aggregate_spill__long_lists_of_strings)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(
        &world,
        RANGE(40000, FEW_KEYS
              ", " TEXT
              ", " VALUE) "- filter: \"k > 2\"\n"
                          "- aggregate: { by: [v, k], compute: { c: collect(s), g: max(s) } }\n"
                          "- unwind: { list: c, as: x }\n"
                          "- project: { k: k, v: v, x: x, g: g }\n",
        false, 8192, 5120);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_aggregate_spill__counts_distinct)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(
        &world,
        RANGE(60000,
              "k: { random: int64, min: 0, max: 50, seed: 1 }, " VALUE
              ", " TEXT) "- aggregate: { by: [k], compute: { d: count(distinct v), n: count(), "
                         "e: count(distinct s) } }\n",
        false, 16384, 8192, 4096);
    SPILLING_SAME(
        &world,
        RANGE(60000, WIDE_KEY
              ", w: { random: int64, min: 0, max: 3, seed: 9 }") "- aggregate: { by: [k], compute: "
                                                                 "{ d: count(distinct w), n: "
                                                                 "count() } }\n",
        false, 8192, 3500);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_aggregate_spill__without_keys)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(&world,
                  RANGE(60000, VALUE ", " TEXT) "- aggregate: { compute: { d: count(distinct v), "
                                                "e: count(distinct s), s: sum(v), "
                                                "g: max(s) } }\n",
                  false, 16384, 8192, 4096);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_aggregate_spill__distinct)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(&world, RANGE(60000, WIDE_KEY ", " VALUE) "- distinct: all\n", false, 8192, 4096,
                  1600);
    SPILLING_SAME(&world, RANGE(60000, WIDE_KEY ", " VALUE) "- distinct: [k]\n", false, 1400, 1024);
    SPILLING_SAME(&world, RANGE(40000, TEXT) "- distinct: [s]\n", false, 4096, 2048);
    rn_test_close(&world);
}
END_TEST

/* Two that hold, one above the other. */
START_TEST(test_aggregate_spill__above_another)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(
        &world,
        RANGE(60000,
              WIDE_KEY ", " VALUE) "- distinct: [k, v]\n"
                                   "- aggregate: { by: [k], compute: { n: count(), s: sum(v) } }\n"
                                   "- aggregate: { by: [n], compute: { m: count(), t: sum(s) } }\n",
        false, 8192, 4096);
    rn_test_close(&world);
}
END_TEST

/* Calls between two that fail: in HARD builds a run makes dozens of times as many. */
#ifdef RATION_HARD
#define CALLS_APART 997
#else
#define CALLS_APART 7
#endif

START_TEST(test_aggregate_spill__every_failing_call)
{
    spill_faults(RANGE(20000, WIDE_KEY
                       ", " VALUE) "- aggregate: { by: [k], compute: { n: count(), g: max(v) } }\n"
                                   "- sort: [k]\n",
                 1700 * SPILLING_KIB, CALLS_APART);
    spill_faults(
        RANGE(20000,
              "k: { random: int64, min: 0, max: 50, seed: 1 }, " VALUE) "- aggregate: { by: [k], "
                                                                        "compute: { d: "
                                                                        "count(distinct v) } }\n"
                                                                        "- sort: [k]\n",
        2000 * SPILLING_KIB, CALLS_APART);
    spill_faults(RANGE(20000, WIDE_KEY ", " VALUE) "- distinct: all\n- sort: [k, v]\n",
                 1400 * SPILLING_KIB, CALLS_APART);
}
END_TEST

START_TEST(test_aggregate_spill__sweep)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    (void)rn_test_sweep(
        &world,
        RANGE(9000,
              WIDE_KEY ", " VALUE) "- aggregate: { by: [k], compute: { n: count(), g: max(v) } }\n",
        32 * SPILLING_KIB, false);
    (void)rn_test_sweep(&world, RANGE(9000, WIDE_KEY ", " VALUE) "- distinct: all\n",
                        32 * SPILLING_KIB, false);
    spilling_nothing_left(&world);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_aggregate_spill__counts_and_sums,
        test_aggregate_spill__keys_of_strings,
        test_aggregate_spill__wide_strings,
        test_aggregate_spill__lists,
        test_aggregate_spill__long_lists_of_strings,
        test_aggregate_spill__counts_distinct,
        test_aggregate_spill__without_keys,
        test_aggregate_spill__distinct,
        test_aggregate_spill__above_another,
        test_aggregate_spill__every_failing_call,
        test_aggregate_spill__sweep,
    };
    return support_run("aggregate_spill", tests, RN_COUNT(tests));
}

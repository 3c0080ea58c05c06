/* SPDX-License-Identifier: Apache-2.0
 *
 * distinct: each combination once, in the order of first occurrence; nulls, -0 and NaN are one
 * value each. */
#include "tests/iterators/people.h"
#include "tests/world.h"

START_TEST(test_distinct__keeps_the_first_of_each)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows_ordered(
        &world,
        "- scan: { label: Person, as: p }\n- expand: { from: p, edge: knows, to: q }\n"
        "- distinct: [q]\n- project: { name: q.name }\n",
        "Ben\nCid\nAnn\n");
    rn_test_rows_ordered(
        &world,
        "- scan: { label: Person, as: p }\n- expand: { from: p, edge: knows, to: q }\n"
        "- distinct: all\n",
        "Person/1|Person/2\nPerson/2|Person/3\nPerson/3|Person/1\nPerson/3|Person/3\n");
    rn_test_rows(&world, "- scan: { label: Person, as: p }\n- filter: 'false'\n- distinct: all\n",
                 "");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_distinct__nulls_zeros_and_nans_are_one_value)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_rows_ordered(&world,
                         "- range: { rows: 4, columns: { i: sequence } }\n"
                         "- project: { z: '0.0 * (double(i) - 1.0)' }\n- distinct: [z]\n- "
                         "aggregate: { compute: { n: count() } }\n",
                         "1\n");
    rn_test_rows(
        &world,
        "- range: { rows: 2000, columns: { i: { random: int64, min: 0, max: 1, nulls: 0.5 },\n"
        "    s: { random: string, width: 40, distinct: 2, nulls: 0.5 } } }\n"
        "- distinct: [i, s]\n- aggregate: { compute: { n: count(), i: count(i), s: count(s) } }\n",
        "9|6|6\n");
    /* The number that hashes as null does is not null, whichever comes first. */
    for (int skip = 0; skip < 6; skip++) {
        char plan[300];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 20, columns: { i: { random: int64, min: 7959387129412676716, "
                 "max: 7959387129412676716, nulls: 0.5, seed: 2 } } }\n"
                 "- skip: %d\n- distinct: [i]\n",
                 skip);
        rn_test_rows(&world, plan, "7959387129412676716\nnull\n");
    }
    rn_test_close(&world);
}
END_TEST

/* Every type as a column, lists included. */
START_TEST(test_distinct__takes_every_type)
{
    static const char *const columns[] = {
        "i % 3",
        "i % 3 = 0",
        "double(i % 3)",
        "label(p)",
    };
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    for (size_t i = 0; i < RN_COUNT(columns); i++) {
        char plan[300];
        snprintf(plan, sizeof plan,
                 "- scan: { label: Person, as: p }\n- project: { i: p.id, p: p }\n- project: { x: "
                 "\"%s\" }\n"
                 "- distinct: [x]\n- aggregate: { compute: { n: count() } }\n",
                 columns[i]);
        static const char *const counts[] = {"3\n", "2\n", "3\n", "1\n"};
        rn_test_rows(&world, plan, counts[i]);
    }
    rn_test_rows(
        &world,
        "- scan: { label: Person, as: p }\n- expand: { from: p, edge: knows, to: q, as: e }\n"
        "- aggregate: { by: [p, e], compute: { l: collect(q.name) } }\n- distinct: [l]\n",
        "[Ben]\n[Cid]\n[Ann]\n");
    rn_test_close(&world);
}
END_TEST

/* More combinations than a partition of the table holds, in any batch, against what aggregate
 * finds. */
START_TEST(test_distinct__agrees_with_aggregate)
{
    static const int64_t batches[] = {1024, 33};
#define RANDOM                                                                                     \
    "- range: { rows: 30000, columns: { a: { random: int64, min: 0, max: 200 }, b: { random: "     \
    "int64, min: 0, max: 50 } } }\n"
    for (size_t i = 0; i < RN_COUNT(batches); i++) {
        rn_test_world world;
        rn_test_open_rows(&world, batches[i], NULL);
        rn_test_same_rows(
            &world, RANDOM "- distinct: [a, b]\n",
            RANDOM
            "- aggregate: { by: [a, b], compute: { n: count() } }\n- project: { a: a, b: b }\n");
        rn_test_close(&world);
    }
}
END_TEST

START_TEST(test_distinct__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
#define RANGE "- range: { rows: 3, columns: { i: sequence, j: sequence } }\n"
    rn_test_plan_error(&world, RANGE "- distinct: [x]\n",
                       "plan.yaml:3:14: error: distinct: no column x (did you mean j?)");
    rn_test_plan_error(&world, RANGE "- distinct: [i, i]\n",
                       "plan.yaml:3:17: error: distinct: column i is named twice");
    rn_test_plan_error(&world, RANGE "- distinct: []\n",
                       "plan.yaml:3:13: error: distinct: needs 1 to 256 columns, found 0");
    rn_test_plan_error(&world, RANGE "- distinct: { i: j }\n",
                       "plan.yaml:3:13: error: distinct: needs a column, found a mapping");
    rn_test_explains(&world, RANGE "- distinct: [j, i]\n", "j, i");
    rn_test_explains(&world, RANGE "- distinct: all\n", "all");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_distinct__refuses_rows_that_are_too_wide)
{
    ration_limits limits;
    rn_test_world world;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = 1 << 30;
    limits.max_row_bytes = 4096;
    rn_test_open(&world, &limits, NULL);
    rn_test_run_error(
        &world,
        "- range: { rows: 9, columns: { s: { random: string, width: 5000 } } }\n- distinct: [s]\n",
        RATION_ROW_TOO_WIDE,
        "plan.yaml:3:3: error: distinct: a row to hold is wider than 4096 bytes (raise "
        "max_row_bytes in memory.yaml)");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_distinct__comes_through_every_limit_and_fault)
{
    static const char plan[] = "- range: { rows: 9000, columns: { i: { random: int64, min: 0, max: "
                               "5000 }, s: { random: string, width: 30, distinct: 3 } } }\n"
                               "- distinct: [i, s]\n";
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_sweep(&world, plan, 16 * 1024, false);
    rn_test_faults(&world, plan);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_distinct__keeps_the_first_of_each,
        test_distinct__nulls_zeros_and_nans_are_one_value,
        test_distinct__takes_every_type,
        test_distinct__agrees_with_aggregate,
        test_distinct__explains_bad_plans,
        test_distinct__refuses_rows_that_are_too_wide,
        test_distinct__comes_through_every_limit_and_fault,
    };
    return support_run("distinct", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iterators/spilling.h"

#define SOURCE                                                                                     \
    "- range: { rows: 30000, columns: { k: { random: int64, min: 0, max: 2000, nulls: 0.2 }, s: "  \
    "{ random: string, width: 20, distinct: 500 }, "                                               \
    "d: { random: double, min: -5, max: 5, nulls: 0.5 } } }\n"

/* topk must give what sort and limit give. */
static void expect_same(rn_test_world *world, const char *rows, const char *by)
{
    char top[700], sorted[700];
    snprintf(top, sizeof top, SOURCE "- topk: { rows: %s, by: [%s] }\n", rows, by);
    snprintf(sorted, sizeof sorted, SOURCE "- sort: [%s]\n- limit: %s\n", by, rows);
    rn_test_result a = rn_test_run(world, top, 0), b = rn_test_run(world, sorted, 0);
    ck_assert_msg(a.status == RATION_OK, "%s", a.message);
    ck_assert_msg(b.status == RATION_OK, "%s", b.message);
    ck_assert_str_eq(a.text, b.text);
    rn_test_result_free(&a);
    rn_test_result_free(&b);
}

START_TEST(test_topk__equals_sort_and_limit)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    static const char *const orders[] = {"k", "k desc", "s desc, k", "d, s", "d desc"};
    static const char *const rows[] = {"0", "1", "10", "1500", "29999", "40000"};
    for (size_t o = 0; o < RN_COUNT(orders); o++) {
        for (size_t r = 0; r < RN_COUNT(rows); r++) {
            expect_same(&world, rows[r], orders[o]);
        }
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_topk__of_a_descending_input_prunes_again_and_again)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_rows_ordered(&world,
                         "- range: { rows: 100000, columns: { i: { sequence: 100000, step: -1 } } "
                         "}\n- topk: { rows: 3, by: [i] }\n",
                         "1\n2\n3\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_topk__holds_little_of_a_long_input)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_result result =
        rn_test_run(&world,
                    "- range: { rows: 300000, columns: { i: { random: int64, min: 0, max: 1000000 "
                    "}, s: { random: string, width: 50 } } }\n"
                    "- topk: { rows: 10, by: [i, s] }\n",
                    2 << 20);
    ck_assert_msg(result.status == RATION_OK, "%s", result.message);
    ck_assert_int_eq(result.rows, 10);
    rn_test_result_free(&result);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_topk__bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    static const char *const bad[] = {"5",
                                      "{ rows: 5 }",
                                      "{ by: [i] }",
                                      "{ rows: -1, by: [i] }",
                                      "{ rows: x, by: [i] }",
                                      "{ rows: 5, by: [j] }",
                                      "{ row: 5, by: [i] }"};
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        char plan[200];
        snprintf(plan, sizeof plan, "- range: { rows: 1, columns: { i: sequence } }\n- topk: %s\n",
                 bad[i]);
        rn_test_result result = rn_test_run(&world, plan, 0);
        ck_assert_msg(result.status == RATION_PLAN, "%s: %s", bad[i], result.message);
        rn_test_result_free(&result);
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_topk__sweep_and_faults)
{
    static const char plan[] = "- range: { rows: 9000, columns: { k: { random: int64, min: 0, max: "
                               "900 }, s: { random: string, width: 30 } } }\n"
                               "- topk: { rows: 50, by: [k desc, s] }\n";
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_sweep(&world, plan, 16 * 1024, true);
    rn_test_faults(&world, plan);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_topk__spilled_rows_are_the_same)
{
    static const char *const tops[] = {
        "{ rows: 15000, by: [k] }",
        "{ rows: 15000, by: [s desc, k] }",
        "{ rows: 59999, by: [d, k desc] }",
        "{ rows: 4000, by: [k, s] }",
    };
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < RN_COUNT(tops); i++) {
        char plan[700];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 60000, columns: { k: { random: int64, min: 0, max: 2000, nulls: "
                 "0.2 }, s: { random: string, width: 60, distinct: 5000 }, d: { random: double, "
                 "min: -5, max: 5, nulls: 0.5 } } }\n- topk: %s\n",
                 tops[i]);
        SPILLING_SAME(&world, plan, true, 20000, 4000, 2000, 1500);
    }
    rn_test_close(&world);
}
END_TEST

/* Every row is among the first so far: what was written is pruned too. */
START_TEST(test_topk__prunes_what_was_spilled)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    SPILLING_SAME(&world,
                  "- range: { rows: 200000, columns: { i: { sequence: 200000, step: -1 }, s: { "
                  "random: string, width: 60 } } }\n- topk: { rows: 10000, by: [i] }\n",
                  true, 2000, 1500);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_topk__equals_sort_and_limit,
        test_topk__of_a_descending_input_prunes_again_and_again,
        test_topk__holds_little_of_a_long_input,
        test_topk__bad_plans,
        test_topk__sweep_and_faults,
        test_topk__spilled_rows_are_the_same,
        test_topk__prunes_what_was_spilled,
    };
    return support_run("topk", tests, RN_COUNT(tests));
}

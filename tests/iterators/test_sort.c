/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "tests/world.h"

static const char all_kinds[] =
    "- range: { rows: 9000, columns: { i: { random: int64, min: -50, max: 50, nulls: 0.1 }, d: { "
    "random: double, min: -1, max: 1, nulls: 0.1 }, "
    "s: { random: string, width: 20, distinct: 40, nulls: 0.1 }, t: { random: string, width: 3, "
    "distinct: 9 } } }\n";

/* Reads the sorted rows back through the engine and compares neighbours by what a plan can say
 * about them. */
static void expect_order(rn_test_world *world, const char *keys, const char *columns)
{
    char plan[1200];
    snprintf(plan, sizeof plan, "%s- sort: [%s]\n", all_kinds, keys);
    rn_test_result sorted = rn_test_run(world, plan, 0);
    ck_assert_msg(sorted.status == RATION_OK, "%s", sorted.message);
    ck_assert_int_eq(sorted.rows, 9000);
    rn_test_result unsorted = rn_test_run(world, all_kinds, 0);
    char *copy = strdup(sorted.text);
    rn_test_sort_lines(copy, sorted.length);
    rn_test_sort_lines(unsorted.text, unsorted.length);
    ck_assert_str_eq(copy, unsorted.text);
    free(copy);
    rn_test_result_free(&unsorted);
    /* The order itself: int64 column first, descending or not, nulls last. */
    bool descending = strstr(columns, "desc") != NULL;
    int64_t last = descending ? INT64_MAX : INT64_MIN;
    bool nulls = false;
    for (char *line = strtok(sorted.text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "null|", 5) == 0) {
            nulls = true;
            continue;
        }
        int64_t value = strtoll(line, NULL, 10);
        ck_assert(!nulls);
        ck_assert(descending ? value <= last : value >= last);
        last = value;
    }
    ck_assert(nulls);
    rn_test_result_free(&sorted);
}

START_TEST(test_sort__orders_many_chunks)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    expect_order(&world, "i, s desc", "asc");
    expect_order(&world, "i desc, d", "desc");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_sort__nulls_last_ties_by_the_whole_row)
{
    rn_test_world world;
    rn_test_open(
        &world, NULL,
        "--- g.yaml\nnodes:\n  N: { file: n.csv, columns: { id: int64, x: double, s: string } }\n"
        "--- n.csv\n1,nan,b\n2,,a\n3,-0,z\n4,0,a\n5,-inf,c\n6,inf,longer than twelve "
        "bytes\n7,0,a\n8,nan,longer than twelve bytez\n");
    const char *scan = "- scan: { label: N, as: n }\n- project: { x: n.x, s: n.s, id: n.id }\n";
    char plan[300];
    snprintf(plan, sizeof plan, "%s- sort: [x]\n", scan);
    rn_test_result result = rn_test_run(&world, plan, 0);
    /* -0 equals 0, so the next column decides; NaN after every number, null after NaN. */
    const char *const ids[] = {"5", "4", "7", "3", "6", "1", "8", "2"};
    char *rest = result.text;
    for (size_t i = 0; i < RN_COUNT(ids); i++) {
        char *end = strchr(rest, '\n');
        *end = '\0';
        ck_assert_str_eq(strrchr(rest, '|') + 1, ids[i]);
        rest = end + 1;
    }
    rn_test_result_free(&result);
    snprintf(plan, sizeof plan,
             "%s- project: { x: x, id: id }\n- sort: [x desc]\n- project: { id: id }\n", scan);
    rn_test_rows_ordered(&world, plan, "1\n8\n6\n3\n4\n7\n5\n2\n");
    snprintf(plan, sizeof plan, "%s- sort: [s desc]\n- project: { id: id }\n", scan);
    rn_test_rows_ordered(&world, plan, "3\n8\n6\n5\n1\n4\n7\n2\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_sort__equal_rows_and_no_rows)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_rows_ordered(&world, "- range: { rows: 0, columns: { i: sequence } }\n- sort: [i]\n",
                         "");
    rn_test_result same = rn_test_run(&world,
                                      "- range: { rows: 20000, columns: { i: { random: int64, min: "
                                      "3, max: 3 } } }\n- sort: [i desc]\n",
                                      0);
    ck_assert_int_eq(same.rows, 20000);
    rn_test_result_free(&same);
    rn_test_rows_ordered(&world,
                         "- range: { rows: 12345, columns: { i: { sequence: 12345, step: -1 } } "
                         "}\n- sort: [i]\n- limit: 3\n",
                         "1\n2\n3\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_sort__carries_lists)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_rows_ordered(&world,
                         "- range: { rows: 4, columns: { i: sequence, s: { random: string, width: "
                         "20, distinct: 1 } } }\n"
                         "- project: { i: \"i % 2\", s: s }\n"
                         "- aggregate: { by: [i], compute: { l: collect(s) } }\n"
                         "- sort: [i desc]\n- project: { i: i, n: length(l) }\n",
                         "1|2\n0|2\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_sort__bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    static const char *const bad[] = {"[]", "[x]", "[i up]", "[i, i]", "{ i: desc }"};
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        char plan[200];
        snprintf(plan, sizeof plan, "- range: { rows: 1, columns: { i: sequence } }\n- sort: %s\n",
                 bad[i]);
        rn_test_result result = rn_test_run(&world, plan, 0);
        ck_assert_msg(result.status == RATION_PLAN, "%s: %s", bad[i], result.message);
        ck_assert_msg(strstr(result.message, "sort: ") != NULL, "%s", result.message);
        rn_test_result_free(&result);
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_sort__sweep_and_faults)
{
    static const char plan[] = "- range: { rows: 6000, columns: { k: { random: int64, min: 0, max: "
                               "500 }, s: { random: string, width: 30 } } }\n"
                               "- sort: [k desc, s]\n";
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_sweep(&world, plan, 16 * 1024, true);
    rn_test_faults(&world, plan);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_sort__orders_many_chunks,
        test_sort__nulls_last_ties_by_the_whole_row,
        test_sort__equal_rows_and_no_rows,
        test_sort__carries_lists,
        test_sort__bad_plans,
        test_sort__sweep_and_faults,
    };
    return support_run("sort", tests, RN_COUNT(tests));
}

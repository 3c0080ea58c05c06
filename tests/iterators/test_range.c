/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world.h"

START_TEST(test_range__counts_sequences)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_rows_ordered(&world, "- range: { rows: 3, columns: { i: sequence } }\n", "0\n1\n2\n");
    rn_test_rows_ordered(
        &world,
        "- range: { rows: 3, columns: { i: { sequence: 5, step: -2 }, j: { sequence: -1 } } }\n",
        "5|-1\n3|0\n1|1\n");
    rn_test_rows_ordered(
        &world, "- range: { rows: 2, columns: { i: { sequence: 9223372036854775806 } } }\n",
        "9223372036854775806\n9223372036854775807\n");
    rn_test_rows_ordered(&world, "- range: { rows: 0, columns: { i: sequence } }\n", "");
    rn_test_rows_ordered(
        &world,
        "parameters: { n: 2 }\npipeline:\n- range: { rows: $n, columns: { i: sequence } }\n",
        "0\n1\n");
    rn_test_close(&world);
}
END_TEST

#define MIXED                                                                                      \
    "- range: { rows: 3000, columns: { s: sequence, i: { random: int64, min: -5, max: 5, nulls: "  \
    "0.25 }, "                                                                                     \
    "d: { random: double, min: -1, max: 1.5 }, t: { random: string, width: 5 }, "                  \
    "u: { random: string, width: 20, distinct: 7 }, e: { random: int64, min: "                     \
    "-9223372036854775808, max: "                                                                  \
    "9223372036854775807 } } }\n"

START_TEST(test_range__gives_the_same_rows_for_any_batch)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_result whole = rn_test_run(&world, MIXED, 0);
    ck_assert_int_eq(whole.status, RATION_OK);
    ck_assert_int_eq(whole.rows, 3000);
    rn_test_close(&world);
    for (int64_t batch = 1; batch < 1024; batch = batch * 7 + 1) {
        rn_test_open_rows(&world, batch, NULL);
        rn_test_rows_ordered(&world, MIXED, whole.text);
        rn_test_close(&world);
    }
    rn_test_result_free(&whole);
}
END_TEST

/* Other columns and their order do not matter when the seeds are given. */
START_TEST(test_range__draws_each_column_from_its_own_stream)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_same_rows(&world,
                      "- range: { rows: 50, columns: { a: { random: int64, min: 0, max: 99, seed: "
                      "4, nulls: 0.1 }, "
                      "b: { random: string, width: 3, seed: 5 } } }\n- project: { a: a, b: b }\n",
                      "- range: { rows: 50, columns: { x: { random: double, min: 0, max: 1 }, b: { "
                      "random: string, width: 3, "
                      "seed: 5 }, a: { random: int64, min: 0, max: 99, seed: 4, nulls: 0.1 } } "
                      "}\n- project: { a: a, b: b }\n");
    rn_test_same_rows(
        &world, "- range: { rows: 50, columns: { a: { random: int64, min: 0, max: 99 } } }\n",
        "- range: { rows: 50, columns: { b: { random: int64, min: 0, max: 99, seed: 0 } } }\n");
    rn_test_result one = rn_test_run(
        &world, "- range: { rows: 50, columns: { a: { random: int64, min: 0, max: 99 } } }\n", 0);
    rn_test_result two = rn_test_run(
        &world,
        "- range: { rows: 50, columns: { a: { random: int64, min: 0, max: 99, seed: 1 } } }\n", 0);
    ck_assert_str_ne(one.text, two.text);
    rn_test_result_free(&one);
    rn_test_result_free(&two);
    rn_test_close(&world);
}
END_TEST

static size_t count_different(char *text, size_t length)
{
    rn_test_sort_lines(text, length);
    size_t count = 0;
    const char *before = "";
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        count += strcmp(line, before) != 0;
        before = line;
    }
    return count;
}

static size_t run_different(rn_test_world *world, const char *plan)
{
    rn_test_result result = rn_test_run(world, plan, 0);
    ck_assert_msg(result.status == RATION_OK, "%s", result.message);
    size_t count = count_different(result.text, result.length);
    rn_test_result_free(&result);
    return count;
}

START_TEST(test_range__covers_exactly_its_range)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    ck_assert_uint_eq(
        run_different(
            &world,
            "- range: { rows: 2000, columns: { a: { random: int64, min: -3, max: 3 } } }\n"),
        7);
    ck_assert_uint_eq(run_different(&world, "- range: { rows: 2000, columns: { a: { random: "
                                            "string, width: 30, distinct: 27 } } }\n"),
                      27);
    ck_assert_uint_eq(run_different(&world, "- range: { rows: 9000, columns: { a: { random: "
                                            "string, width: 2, distinct: 676 } } }\n"),
                      676);
    ck_assert_uint_eq(
        run_different(&world,
                      "- range: { rows: 90, columns: { a: { random: string, width: 0 } } }\n"),
        0);
    rn_test_rows(&world,
                 "- range: { rows: 2000, columns: { a: { random: int64, min: -3, max: 3 }, d: { "
                 "random: double, min: -1, max: 2 }, "
                 "s: { random: string, width: 13 }, k: { random: int64, min: 4, max: 4 } } }\n"
                 "- filter: a < -3 or a > 3 or d < -1 or d >= 2 or length(s) <> 13 or k <> 4\n",
                 "");
    rn_test_rows(&world,
                 "- range: { rows: 3, columns: { a: { random: double, min: 2, max: 2 } } }\n",
                 "2\n2\n2\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_range__makes_a_share_of_nulls)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_rows(&world, "- range: { rows: 3, columns: { a: { sequence: 1, nulls: 1 } } }\n",
                 "null\nnull\nnull\n");
    rn_test_rows(&world, "- range: { rows: 3, columns: { a: { sequence: 1, nulls: 0 } } }\n",
                 "1\n2\n3\n");
    rn_test_result result = rn_test_run(&world,
                                        "- range: { rows: 10000, columns: { a: { sequence: 1, "
                                        "nulls: 0.3 } } }\n- filter: a is null\n",
                                        0);
    ck_assert_int_gt(result.rows, 2700);
    ck_assert_int_lt(result.rows, 3300);
    rn_test_result_free(&result);
    /* Nulls do not choose their values. */
    ck_assert_uint_eq(
        run_different(&world, "- range: { rows: 2000, columns: { a: { random: int64, min: 0, max: "
                              "9, nulls: 0.5 } } }\n- filter: a is not null\n"),
        10);
    rn_test_close(&world);
}
END_TEST

/* 300,000 letters per row are more than a batch holds; and yet one row must pass. */
START_TEST(test_range__makes_wide_strings)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_rows(&world,
                 "- range: { rows: 3, columns: { a: { random: string, width: 300000 }, b: { "
                 "random: string, width: 100 } } }\n"
                 "- project: { a: length(a), b: length(b) }\n",
                 "300000|100\n300000|100\n300000|100\n");
    ck_assert_uint_eq(
        run_different(&world,
                      "- range: { rows: 2000, columns: { a: { random: string, width: 1000 } } }\n"),
        2000);
    rn_test_close(&world);
}
END_TEST

#define BAD(rows, columns, text)                                                                   \
    rn_test_plan_error(&world, "- range: { rows: " rows ", columns: " columns " }\n", text)

START_TEST(test_range__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_plan_error(&world, "- range: { rows: 1 }\n",
                       "plan.yaml:2:10: error: range: columns is missing");
    rn_test_plan_error(&world, "- range: { columns: { i: sequence } }\n",
                       "plan.yaml:2:10: error: range: rows is missing");
    rn_test_plan_error(&world, "- range: 5\n",
                       "plan.yaml:2:10: error: range: expected arguments as { key: value }");
    BAD("-1", "{ i: sequence }",
        "plan.yaml:2:18: error: range: rows must be from 0 to 9223372036854775807, found -1");
    BAD("x", "{ i: sequence }",
        "plan.yaml:2:18: error: range: rows needs a literal or a $parameter, found x (text stands "
        "in quotes)");
    BAD("1", "{}",
        "plan.yaml:2:30: error: range: columns needs a mapping of names (columns: { name: sequence "
        "})");
    BAD("1", "[i]",
        "plan.yaml:2:30: error: range: columns needs a mapping of names (columns: { name: sequence "
        "})");
    BAD("1", "{ i: sequenze }",
        "plan.yaml:2:35: error: range: column i says neither sequence nor random (sequence, { "
        "sequence: START } or { random: TYPE, ... })");
    BAD("1", "{ i: { step: 1 } }",
        "plan.yaml:2:35: error: range: column i says neither sequence nor random (sequence, { "
        "sequence: START } or { random: TYPE, ... })");
    BAD("1", "{ i: { sequence: 1, stop: 1 } }",
        "plan.yaml:2:50: error: range: unknown key stop (did you mean step?)");
    BAD("1", "{ i: { sequence: a } }",
        "plan.yaml:2:47: error: range: sequence needs a literal or a $parameter, found a (text "
        "stands in quotes)");
    BAD("3", "{ i: { sequence: 9223372036854775806 } }",
        "plan.yaml:2:35: error: range: the sequence leaves int64 before its last row");
    BAD("3", "{ i: { sequence: 0, step: 9223372036854775807 } }",
        "plan.yaml:2:35: error: range: the sequence leaves int64 before its last row");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_range__explains_bad_draws)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    BAD("1", "{ i: { random: int64 } }", "plan.yaml:2:35: error: range: min is missing");
    BAD("1", "{ i: { random: int64, min: 1 } }", "plan.yaml:2:35: error: range: max is missing");
    BAD("1", "{ i: { random: int64, min: 2, max: 1 } }",
        "plan.yaml:2:65: error: range: max must be from 2 to 9223372036854775807, found 1");
    BAD("1", "{ i: { random: int64, min: 2, max: 3, width: 3 } }",
        "plan.yaml:2:68: error: range: unknown key width");
    BAD("1", "{ i: { random: date } }",
        "plan.yaml:2:45: error: range: no random values of type date (int64, double or string)");
    BAD("1", "{ i: { random: double, min: 1, max: 0 } }",
        "plan.yaml:2:66: error: range: max is below min");
    BAD("1", "{ i: { random: double, min: 'x', max: 0 } }",
        "plan.yaml:2:58: error: range: min needs a finite number");
    BAD("1", "{ i: { random: double, min: nan, max: 0 } }",
        "plan.yaml:2:58: error: range: min needs a literal or a $parameter, found nan (text stands "
        "in quotes)");
    BAD("1", "{ i: { random: string } }", "plan.yaml:2:35: error: range: width is missing");
    BAD("1", "{ i: { random: string, width: -1 } }",
        "plan.yaml:2:60: error: range: width must be from 0 to 16777216, found -1");
    BAD("1", "{ i: { random: string, width: 99999999 } }",
        "plan.yaml:2:60: error: range: width must be from 0 to 16777216, found 99999999");
    BAD("1", "{ i: { random: string, width: 2, distinct: 677 } }",
        "plan.yaml:2:73: error: range: 2 letters make only 676 different strings (raise width or "
        "lower distinct)");
    BAD("1", "{ i: { random: string, width: 2, distinct: 0 } }",
        "plan.yaml:2:73: error: range: distinct must be from 1 to 9223372036854775807, found 0");
    BAD("1", "{ i: { sequence: 1, nulls: 1.5 } }",
        "plan.yaml:2:57: error: range: nulls is a share from 0 to 1");
    BAD("1", "{ i: { sequence: 1, nulls: -0.5 } }",
        "plan.yaml:2:57: error: range: nulls is a share from 0 to 1");
    BAD("1", "{ i: { sequence: 1, seed: x } }",
        "plan.yaml:2:56: error: range: seed needs a literal or a $parameter, found x (text stands "
        "in quotes)");
    rn_test_explains(&world, "- range: { rows: 7, columns: { i: sequence } }\n", "7 rows");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_range__has_a_highest_number_of_columns)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (int columns = RN_COLUMNS_MAX; columns <= (int)RN_COLUMNS_MAX + 40; columns += 20) {
        char plan[8000];
        rn_text text = rn_text_over(plan, sizeof plan);
        rn_text_put(&text, "- range: { rows: 2, columns: {");
        for (int c = 0; c < columns; c++) {
            rn_text_format(&text, "%s c%d: sequence", c == 0 ? "" : ",", c);
        }
        rn_text_put(&text, " } }\n");
        rn_test_result result = rn_test_run(&world, plan, 0);
        ck_assert_int_eq(result.status, columns <= (int)RN_COLUMNS_MAX ? RATION_OK : RATION_PLAN);
        ck_assert_str_eq(result.message,
                         columns <= (int)RN_COLUMNS_MAX
                             ? ""
                             : "plan.yaml:2:4024: error: range: more than 256 columns");
        rn_test_result_free(&result);
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_range__comes_through_every_limit_and_fault)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_sweep(&world, MIXED, 2048, true);
    rn_test_faults(&world, MIXED);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_range__counts_sequences,
        test_range__gives_the_same_rows_for_any_batch,
        test_range__draws_each_column_from_its_own_stream,
        test_range__covers_exactly_its_range,
        test_range__makes_a_share_of_nulls,
        test_range__makes_wide_strings,
        test_range__explains_bad_plans,
        test_range__explains_bad_draws,
        test_range__has_a_highest_number_of_columns,
        test_range__comes_through_every_limit_and_fault,
    };
    return support_run("range", tests, RN_COUNT(tests));
}

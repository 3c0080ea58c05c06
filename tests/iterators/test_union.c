/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iterators/people.h"
#include "tests/world.h"

#define NUMBERS(rows) "- range: { rows: " rows ", columns: { i: sequence } }\n"

START_TEST(test_union__gives_one_after_the_other)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows_ordered(
        &world,
        NUMBERS("2") "- union: { with: [[ { range: { rows: 3, columns: { j: sequence } } } ]] }\n",
        "0\n1\n0\n1\n2\n");
    rn_test_rows_ordered(
        &world,
        "plans:\n"
        "  nothing: { pipeline: [ { range: { rows: 0, columns: { k: sequence } } } ] }\n"
        "  two: { pipeline: [ { range: { rows: 2, columns: { k: { sequence: 7 } } } } ] }\n"
        "  all:\n"
        "    pipeline:\n"
        "    - range: { rows: 0, columns: { i: sequence } }\n"
        "    - union: { with: [nothing, two, nothing, two] }\n"
        "main: all\n",
        "7\n8\n7\n8\n");
    rn_test_rows_ordered(
        &world,
        "plans:\n"
        "  two: { pipeline: [ { range: { rows: 2, columns: { k: { sequence: 7 } } } } ] }\n"
        "  all: { pipeline: [ { range: { rows: 1, columns: { i: sequence } } }, { union: { with: "
        "two } } ] }\n"
        "main: all\n",
        "0\n7\n8\n");
    rn_test_close(&world);
}
END_TEST

/* A column of nodes of two labels: a property that only one of them has is null for the other. */
START_TEST(test_union__forgets_a_label_that_differs)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows_ordered(
        &world,
        "- scan: { label: Person, as: n, id: [1, 3] }\n"
        "- union: { with: [ { scan: { label: Post, as: m } } ] }\n"
        "- project: { n: n, l: label(n), age: n.age, title: n.title }\n",
        "Person/1|Person|30|null\nPerson/3|Person|null|null\n"
        "Post/x|Post|null|a title that is longer than twelve\nPost/y|Post|null|null\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_union__passes_selections_through)
{
    for (int64_t batch = 1024; batch > 0; batch /= 30) {
        rn_test_world world;
        rn_test_open_rows(&world, batch, NULL);
        rn_test_same_rows(
            &world,
            NUMBERS(
                "3000") "- filter: i % 2 = 0\n"
                        "- union: { with: [[ { range: { rows: 3000, columns: { i: sequence } } }, "
                        "{ filter: i % 2 = 1 } ]] }\n",
            NUMBERS("3000"));
        rn_test_close(&world);
    }
}
END_TEST

START_TEST(test_union__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_plan_error(&world, NUMBERS("2") "- union: { with: [] }\n",
                       "plan.yaml:3:18: error: union: with names no plan");
    rn_test_plan_error(&world, NUMBERS("2") "- union: {}\n",
                       "plan.yaml:3:10: error: union: with is missing");
    rn_test_plan_error(&world, NUMBERS("2") "- union: { with: [nobody] }\n",
                       "plan.yaml:3:19: error: union: no plan nobody (plans: main)");
    rn_test_plan_error(
        &world,
        NUMBERS("2") "- union: { with: [[ { range: { rows: 1, columns: { a: sequence, b: sequence "
                     "} } } ]] }\n",
        "plan.yaml:3:19: error: union: this plan has 2 columns, the rows before have 1");
    rn_test_plan_error(
        &world,
        NUMBERS("2") "- union: { with: [[ { range: { rows: 1, columns: { a: { random: double, min: "
                     "0, max: 1 } } } } ]] }\n",
        "plan.yaml:3:19: error: union: column 1 (a) of this plan is double, i before is int64");
    rn_test_plan_error(
        &world,
        "plans:\n  a: { pipeline: [ { range: { rows: 1, columns: { i: sequence } } }, { union: { "
        "with: [a] } } ] }\n",
        "plan.yaml:2:88: error: union: plans refer to each other in a circle: a -> a");
    rn_test_plan_error(
        &world, "- union: { with: [[ { range: { rows: 1, columns: { a: sequence } } } ]] }\n",
        "plan.yaml:2:3: error: union: needs a step before it (begin with scan or range)");
    rn_test_explains(
        &world,
        NUMBERS("2") "- union: { with: [[ { range: { rows: 3, columns: { j: sequence } } } ]] }\n",
        "of 2");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_union__has_a_highest_number_of_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (int plans = 63; plans <= 64; plans++) {
        char plan[2000];
        rn_text text = rn_text_over(plan, sizeof plan);
        rn_text_put(
            &text,
            "plans:\n  one: { pipeline: [ { range: { rows: 1, columns: { k: sequence } } } ] }\n"
            "  all:\n    pipeline:\n    - range: { rows: 1, columns: { i: sequence } }\n    - "
            "union: { with: [");
        for (int i = 0; i < plans; i++) {
            rn_text_put(&text, i == 0 ? "one" : ", one");
        }
        rn_text_put(&text, "] }\nmain: all\n");
        rn_test_result result = rn_test_run(&world, plan, 0);
        ck_assert_int_eq(result.rows, plans == 63 ? 64 : 0);
        ck_assert_str_eq(result.message,
                         plans == 63 ? ""
                                     : "plan.yaml:6:338: error: union: takes at most 64 inputs");
        rn_test_result_free(&result);
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_union__comes_through_every_limit_and_fault)
{
    static const char plan[] = NUMBERS(
        "2000") "- union: { with: [[ { range: { rows: 3, columns: { j: sequence } } } ]] }\n";
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_sweep(&world, plan, 512, true);
    rn_test_faults(&world, plan);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_union__gives_one_after_the_other,     test_union__forgets_a_label_that_differs,
        test_union__passes_selections_through,     test_union__explains_bad_plans,
        test_union__has_a_highest_number_of_plans, test_union__comes_through_every_limit_and_fault,
    };
    return support_run("union", tests, RN_COUNT(tests));
}

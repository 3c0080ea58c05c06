/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iterators/people.h"
#include "tests/world.h"

#define PERSONS "- scan: { label: Person, as: p }\n"

START_TEST(test_filter__keeps_rows_that_are_true)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows_ordered(&world, PERSONS "- filter: p.age > 25\n", "Person/1\nPerson/2\n");
    rn_test_rows_ordered(&world, PERSONS "- filter: not (p.age > 25)\n", "Person/4\n");
    rn_test_rows_ordered(&world, PERSONS "- filter: p.age is null\n", "Person/3\n");
    rn_test_rows_ordered(&world, PERSONS "- filter: 'true'\n",
                         "Person/1\nPerson/2\nPerson/3\nPerson/4\n");
    rn_test_rows_ordered(&world, PERSONS "- filter: 'false'\n", "");
    rn_test_rows_ordered(
        &world, PERSONS "- filter: p.age > 25\n- filter: starts_with(p.name, 'B')\n", "Person/2\n");
    rn_test_rows_ordered(&world, "- scan: { label: Empty, as: p }\n- filter: p.id > 25\n", "");
    rn_test_close(&world);
}
END_TEST

/* One row in 500 passes: most batches give nothing, and none of them may come out empty in mid
 * stream. */
START_TEST(test_filter__skips_batches_without_a_match)
{
    for (int64_t batch = 1024; batch > 0; batch /= 30) {
        rn_test_world world;
        rn_test_open_rows(&world, batch, NULL);
        rn_test_rows_ordered(&world,
                             "- range: { rows: 2500, columns: { i: sequence } }\n"
                             "- filter: i % 500 = 499\n",
                             "499\n999\n1499\n1999\n2499\n");
        rn_test_rows_ordered(
            &world, "- range: { rows: 2500, columns: { i: sequence } }\n- filter: i < 0\n", "");
        rn_test_close(&world);
    }
}
END_TEST

START_TEST(test_filter__names_its_place_when_an_expression_has_no_value)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_run_error(
        &world, "- range: { rows: 9, columns: { i: sequence } }\n- filter: 7 / (i - 3) > 1\n",
        RATION_EVALUATION, "plan.yaml:3:13: error: filter: division by zero in (7 / (i - 3))");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_filter__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_plan_error(
        &world, PERSONS "- filter: p.age\n",
        "plan.yaml:3:11: error: filter: needs an expression of type bool, p.age is int64");
    rn_test_plan_error(&world, PERSONS "- filter: p.weight > 1\n",
                       "plan.yaml:3:11: error: filter: Person has no property weight");
    rn_test_plan_error(&world, PERSONS "- filter: q > 1\n",
                       "plan.yaml:3:11: error: filter: no column q (did you mean p?)");
    rn_test_plan_error(
        &world, PERSONS "- filter: p.age >\n",
        "plan.yaml:3:18: error: filter: expected a value, found the end of the expression");
    rn_test_plan_error(&world, PERSONS "- filter: { a: b }\n",
                       "plan.yaml:3:11: error: filter: needs an expression, found a mapping");
    rn_test_plan_error(
        &world, PERSONS "- filter:\n",
        "plan.yaml:3:10: error: filter: expected an expression, found the end of the expression");
    rn_test_plan_error(
        &world, "- filter: 1 = 1\n",
        "plan.yaml:2:3: error: filter: needs a step before it (begin with scan or range)");
    rn_test_explains(&world, PERSONS "- filter: p.age > 1\n", "(p.age > 1)");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_filter__comes_through_every_limit_and_fault)
{
    static const char plan[] = PERSONS "- filter: p.age + 1 > 25 and p.name <> 'Ben'\n";
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_sweep(&world, plan, 512, true);
    rn_test_faults(&world, plan);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_filter__keeps_rows_that_are_true,
        test_filter__skips_batches_without_a_match,
        test_filter__names_its_place_when_an_expression_has_no_value,
        test_filter__explains_bad_plans,
        test_filter__comes_through_every_limit_and_fault,
    };
    return support_run("filter", tests, RN_COUNT(tests));
}

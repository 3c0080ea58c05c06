/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iterators/people.h"
#include "tests/world.h"

#define PERSONS "- scan: { label: Person, as: p }\n"

START_TEST(test_project__gives_exactly_its_columns)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows_ordered(&world, PERSONS "- project: { name: p.name, next: p.age + 1, p: p }\n",
                         "Ann|31|Person/1\nBen|41|Person/2\nCid|null|Person/3\nDot|21|Person/4\n");
    rn_test_rows_ordered(&world, PERSONS "- project: { one: 1, two: \"'x'\" }\n- limit: 1\n",
                         "1|x\n");
    rn_test_rows_ordered(&world, "- scan: { label: Empty, as: p }\n- project: { id: p.id }\n", "");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_project__keeps_the_input_before_its_own)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows_ordered(
        &world, PERSONS "- filter: p.age >= 30\n- project: { \"*\": all, n: p.name, a: p.age }\n",
        "Person/1|Ann|30\nPerson/2|Ben|40\n");
    rn_test_rows_ordered(&world, PERSONS "- project: { \"*\": all }\n- limit: 1\n", "Person/1\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_project__sees_rows_through_selections)
{
    for (int64_t batch = 1024; batch > 0; batch /= 30) {
        rn_test_world world;
        rn_test_open_rows(&world, batch, NULL);
        rn_test_rows_ordered(&world,
                             "- range: { rows: 2050, columns: { i: sequence } }\n"
                             "- filter: i % 1000 = 49\n"
                             "- project: { i: i, j: i * 2, k: i }\n",
                             "49|98|49\n1049|2098|1049\n2049|4098|2049\n");
        rn_test_close(&world);
    }
}
END_TEST

START_TEST(test_project__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_plan_error(&world, PERSONS "- project: {}\n",
                       "plan.yaml:3:12: error: project: needs a mapping of column names to "
                       "expressions (project: { name: expression, ... })");
    rn_test_plan_error(&world, PERSONS "- project: [p]\n",
                       "plan.yaml:3:12: error: project: needs a mapping of column names to "
                       "expressions (project: { name: expression, ... })");
    rn_test_plan_error(&world, PERSONS "- project: { a: p.age, \"*\": all }\n",
                       "plan.yaml:3:29: error: project: * must come first");
    rn_test_plan_error(&world, PERSONS "- project: { \"*\": none }\n",
                       "plan.yaml:3:19: error: project: * can only be all (write \"*\": all)");
    rn_test_plan_error(&world, PERSONS "- project: { \"*\": all, p: 1 }\n",
                       "plan.yaml:3:27: error: project: column p is there already (give it another "
                       "name with project)");
    rn_test_plan_error(&world, PERSONS "- project: { a: p.weight }\n",
                       "plan.yaml:3:17: error: project: Person has no property weight");
    rn_test_plan_error(&world, PERSONS "- project: { a: [p] }\n",
                       "plan.yaml:3:17: error: project: a needs an expression, found a sequence");
    rn_test_run_error(&world, PERSONS "- project: { a: 1 / (p.id - 2) }\n", RATION_EVALUATION,
                      "plan.yaml:3:19: error: project: division by zero in (1 / (p.id - 2))");
    rn_test_explains(&world, PERSONS "- project: { a: p.age, b: 1 }\n", "a = p.age, b = 1");
    rn_test_explains(&world, PERSONS "- project: { \"*\": all, b: 1 }\n", "*, b = 1");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_project__has_a_highest_number_of_columns)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (int columns = RN_COLUMNS_MAX - 1; columns <= (int)RN_COLUMNS_MAX + 40; columns += 20) {
        char plan[8000];
        rn_text text = rn_text_over(plan, sizeof plan);
        rn_text_put(&text,
                    "- range: { rows: 2, columns: { i: sequence } }\n- project: { \"*\": all");
        for (int c = 0; c < columns; c++) {
            rn_text_format(&text, ", c%d: i + 1", c);
        }
        rn_text_put(&text, " }\n");
        rn_test_result result = rn_test_run(&world, plan, 0);
        ck_assert_int_eq(result.status, columns < (int)RN_COLUMNS_MAX ? RATION_OK : RATION_PLAN);
        ck_assert_str_eq(result.message,
                         columns < (int)RN_COLUMNS_MAX
                             ? ""
                             : "plan.yaml:3:3235: error: project: more than 256 columns");
        rn_test_result_free(&result);
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_project__comes_through_every_limit_and_fault)
{
    static const char plan[] = PERSONS "- project: { \"*\": all, n: p.name, next: p.age + 1 }\n";
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
        test_project__gives_exactly_its_columns,
        test_project__keeps_the_input_before_its_own,
        test_project__sees_rows_through_selections,
        test_project__explains_bad_plans,
        test_project__has_a_highest_number_of_columns,
        test_project__comes_through_every_limit_and_fault,
    };
    return support_run("project", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world.h"

#define NUMBERS(rows) "- range: { rows: " rows ", columns: { i: sequence } }\n"

START_TEST(test_limit__passes_the_first_rows)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_rows_ordered(&world, NUMBERS("5") "- limit: 3\n", "0\n1\n2\n");
    rn_test_rows_ordered(&world, NUMBERS("5") "- limit: 5\n", "0\n1\n2\n3\n4\n");
    rn_test_rows_ordered(&world, NUMBERS("5") "- limit: 9\n", "0\n1\n2\n3\n4\n");
    rn_test_rows_ordered(&world, NUMBERS("5") "- limit: 0\n", "");
    rn_test_rows_ordered(&world, NUMBERS("0") "- limit: 3\n", "");
    rn_test_rows_ordered(&world, NUMBERS("5") "- filter: i > 1\n- limit: 2\n", "2\n3\n");
    rn_test_close(&world);
}
END_TEST

/* Division by zero lies right behind the limit: nobody may pull it. */
START_TEST(test_limit__does_not_pull_beyond)
{
    rn_test_world world;
    rn_test_open_rows(&world, 4, NULL);
    rn_test_rows_ordered(&world, NUMBERS("100") "- project: { q: 12 / (4 - i) }\n- limit: 4\n",
                         "3\n4\n6\n12\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_skip__drops_the_first_rows)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_rows_ordered(&world, NUMBERS("5") "- skip: 3\n", "3\n4\n");
    rn_test_rows_ordered(&world, NUMBERS("5") "- skip: 5\n", "");
    rn_test_rows_ordered(&world, NUMBERS("5") "- skip: 9\n", "");
    rn_test_rows_ordered(&world, NUMBERS("2") "- skip: 0\n", "0\n1\n");
    rn_test_rows_ordered(&world, NUMBERS("9") "- filter: i % 2 = 0\n- skip: 2\n- limit: 2\n",
                         "4\n6\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_limit__cuts_at_the_edges_of_batches)
{
    static const int64_t counts[] = {1, 1023, 1024, 1025, 2047, 2048, 2049};
    for (int64_t batch = 1024; batch > 0; batch /= 30) {
        rn_test_world world;
        rn_test_open_rows(&world, batch, NULL);
        for (size_t c = 0; c < RN_COUNT(counts); c++) {
            char plan[200], other[200];
            snprintf(plan, sizeof plan, NUMBERS("3000") "- limit: %lld\n", (long long)counts[c]);
            snprintf(other, sizeof other, NUMBERS("%lld"), (long long)counts[c]);
            rn_test_same_rows(&world, plan, other);
            snprintf(plan, sizeof plan, NUMBERS("3000") "- skip: %lld\n", (long long)counts[c]);
            snprintf(other, sizeof other, NUMBERS("3000") "- filter: i >= %lld\n",
                     (long long)counts[c]);
            rn_test_same_rows(&world, plan, other);
        }
        rn_test_close(&world);
    }
}
END_TEST

START_TEST(test_limit__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_plan_error(
        &world, NUMBERS("5") "- limit: -1\n",
        "plan.yaml:3:10: error: limit: must be from 0 to 9223372036854775807, found -1");
    rn_test_plan_error(&world, NUMBERS("5") "- limit: many\n",
                       "plan.yaml:3:10: error: limit: needs a literal or a $parameter, found many "
                       "(text stands in quotes)");
    rn_test_plan_error(
        &world, NUMBERS("5") "- limit: { rows: 1 }\n",
        "plan.yaml:3:10: error: limit: needs a literal or a $parameter, found a mapping");
    rn_test_plan_error(&world, NUMBERS("5") "- limit: 9223372036854775808\n",
                       "plan.yaml:3:10: error: limit: needs a literal or a $parameter, found "
                       "9223372036854775808 (text stands in quotes)");
    rn_test_plan_error(&world, NUMBERS("5") "- skip: 1.5\n",
                       "plan.yaml:3:9: error: skip: needs a whole number, found 1.5");
    rn_test_plan_error(
        &world, "- limit: 1\n",
        "plan.yaml:2:3: error: limit: needs a step before it (begin with scan or range)");
    rn_test_explains(&world, NUMBERS("5") "- limit: 7\n", "7");
    rn_test_rows(&world, "parameters: { n: 1 }\npipeline:\n" NUMBERS("5") "- limit: $n\n", "0\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_limit__comes_through_every_limit_and_fault)
{
    static const char plan[] = NUMBERS("3000") "- skip: 1000\n- limit: 1500\n";
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
        test_limit__passes_the_first_rows, test_limit__does_not_pull_beyond,
        test_skip__drops_the_first_rows,   test_limit__cuts_at_the_edges_of_batches,
        test_limit__explains_bad_plans,    test_limit__comes_through_every_limit_and_fault,
    };
    return support_run("limit", tests, RN_COUNT(tests));
}

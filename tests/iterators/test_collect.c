/* SPDX-License-Identifier: Apache-2.0 */
#include "iterators/held.h"
#include "iterators/registry.h"
#include "tests/iterators/spill_faults.h"

START_TEST(test_collect__passes_every_row_on_in_order)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    const char *source = "- range: { rows: 5000, columns: { i: sequence, s: { random: string, "
                         "width: 40, nulls: 0.3 } } }\n";
    char plan[300];
    snprintf(plan, sizeof plan, "%s- collect: all\n", source);
    rn_test_result plain = rn_test_run(&world, source, 0), held = rn_test_run(&world, plan, 0);
    ck_assert_int_eq(held.rows, 5000);
    ck_assert_str_eq(plain.text, held.text);
    rn_test_result_free(&plain);
    rn_test_result_free(&held);
    rn_test_rows(&world, "- range: { rows: 0, columns: { i: sequence } }\n- collect: all\n", "");
    rn_test_plan_error(&world, "- range: { rows: 0, columns: { i: sequence } }\n- collect: some\n",
                       "plan.yaml:3:12: error: collect: 'some' is not known (write collect: all)");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_collect__sweep_and_faults)
{
    static const char plan[] = "- range: { rows: 8000, columns: { k: sequence, s: { random: "
                               "string, width: 60 } } }\n- collect: all\n";
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    int64_t enough = rn_test_sweep(&world, plan, 16 * 1024, true);
#ifdef RATION_UNGOVERNED
    ck_assert_int_eq(enough, 1);
#else
    ck_assert_int_lt(enough, 400 * 1024);
    ck_assert_int_gt(spilling_written(&world), 8000 * 60);
#endif
    rn_test_faults(&world, plan);
    rn_test_close(&world);
}
END_TEST

/* What is held in one collect, handed to another, ordered, and held once more; wide rows too. */
START_TEST(test_collect__before_and_behind_sort)
{
    static const char narrow[] =
        "- range: { rows: 6000, columns: { k: { random: int64, min: 0, max: 9999 }, s: { random: "
        "string, width: 30, nulls: 0.1 } } }\n- collect: all\n- collect: all\n- sort: [k, s]\n- "
        "collect: all\n";
    static const char wide[] =
        "- range: { rows: 40, columns: { k: { random: int64, min: 0, max: 99 }, s: { random: "
        "string, width: 50000 } } }\n- collect: all\n- sort: [k, s]\n- collect: all\n";
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    int64_t enough = rn_test_sweep(&world, narrow, 32 * 1024, true);
    int64_t enough_wide = rn_test_sweep(&world, wide, 64 * 1024, true);
#ifndef RATION_UNGOVERNED
    ck_assert_int_lt(enough, 1300 * 1024);
    ck_assert_int_lt(enough_wide, 1600 * 1024);
#endif
    (void)enough, (void)enough_wide;
    rn_test_close(&world);
}
END_TEST

START_TEST(test_collect__comes_through_a_failing_disk)
{
    spill_faults("- range: { rows: 6000, columns: { k: sequence, s: { random: string, width: 60 } "
                 "} }\n- collect: all\n",
                 420 * 1024, 3);
    spill_faults("- range: { rows: 30, columns: { k: sequence, s: { random: string, width: 60000 } "
                 "} }\n- collect: all\n",
                 500 * 1024, 3);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_collect__passes_every_row_on_in_order,
        test_collect__sweep_and_faults,
        test_collect__before_and_behind_sort,
        test_collect__comes_through_a_failing_disk,
    };
    return support_run("collect", tests, RN_COUNT(tests));
}

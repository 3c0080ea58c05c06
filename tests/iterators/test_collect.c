/* SPDX-License-Identifier: Apache-2.0 */
#include "iterators/held.h"
#include "tests/world.h"

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

START_TEST(test_held__can_be_read_again_and_by_several)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_field field = {"i", {RN_INT64, 0, RN_LABEL_ANY}};
    rn_schema schema = {1, &field};
    static int64_t values[700];
    for (int64_t i = 0; i < 700; i++) {
        values[i] = i;
    }
    rn_column column = {field.type, values, NULL, NULL};
    rn_batch batch = {700, 1, &column};
    ration_context *context;
    rn_held held;
    ck_assert_int_eq(
        ration_context_create(NULL, &world.slot->hot, RATION_CONTEXT_BUMP, "test", &context),
        RATION_OK);
    ck_assert_int_eq(rn_held_open(&schema, context, &world.slot->hot, 65536, &held), RATION_OK);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(rn_held_add(&held, &batch), RATION_OK);
    }
    rn_held_scan scans[2];
    for (int s = 0; s < 2; s++) {
        ck_assert_int_eq(rn_held_scan_open(&held, context, &world.slot->hot, 100, &scans[s]),
                         RATION_OK);
    }
    for (int round = 0; round < 3; round++) {
        const rn_batch *out;
        int64_t rows = 0, sum = 0;
        do {
            ck_assert_int_eq(rn_held_scan_next(&scans[round % 2], &out), RATION_OK);
            for (uint32_t row = 0; row < out->rows; row++) {
                sum += *(const int64_t *)rn_column_at(&out->columns[0], row);
            }
            rows += out->rows;
        } while (out->rows > 0);
        ck_assert_int_eq(rows, 3500);
        ck_assert_int_eq(sum, 5 * 700 * 699 / 2);
        ck_assert_int_eq(rn_held_scan_next(&scans[round % 2], &out), RATION_OK);
        ck_assert_uint_eq(out->rows, 0);
        rn_held_scan_restart(&scans[round % 2]);
    }
    rn_held_close(&held);
    ration_context_delete(context);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_collect__sweep_and_faults)
{
    static const char plan[] = "- range: { rows: 4000, columns: { k: sequence, s: { random: "
                               "string, width: 60 } } }\n- collect: all\n";
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
        test_collect__passes_every_row_on_in_order,
        test_held__can_be_read_again_and_by_several,
        test_collect__sweep_and_faults,
    };
    return support_run("collect", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches: values through selections, measuring, picking, vectors. */
#include "storage/batch.h"
#include "tests/storage/fixture.h"

START_TEST(test_batch__reads_values_through_selection_and_nulls)
{
    int64_t data[] = {10, 20, 30};
    uint64_t valid[] = {0x5}; /* entry 1 is null */
    uint16_t selection[] = {2, 1, 0, 2};
    rn_column column = {rn_type_of(RN_INT64), data, valid, selection};
    ck_assert_int_eq(rn_column_value(&column, 0).as.integer, 30);
    ck_assert(rn_column_value(&column, 1).null);
    ck_assert(!rn_column_valid(&column, 1));
    ck_assert_int_eq(rn_column_value(&column, 2).as.integer, 10);
    ck_assert_ptr_eq(rn_column_at(&column, 3), &data[2]);
    column.valid = NULL;
    ck_assert_int_eq(rn_column_value(&column, 1).as.integer, 20);
}
END_TEST

START_TEST(test_batch__measures_what_lies_behind_pointers)
{
    static const char text[] = "a string of twenty-six chars";
    rn_string strings[] = {rn_string_over(text, 12), rn_string_over(text, 13),
                           rn_string_over(text, 28)};
    struct {
        rn_list_segment head;
        rn_string values[2];
    } segment = {{NULL, 2, 2}, {rn_string_over(text, 3), rn_string_over(text, 20)}};
    rn_list lists[] = {{2, &segment.head}, {0, NULL}, {2, &segment.head}};
    int64_t numbers[] = {1, 2, 3};
    uint64_t valid[] = {0x3}; /* entry 2 is null and not counted */
    uint16_t twice[] = {1, 1, 0};
    rn_type list = rn_type_of(RN_LIST);
    list.element = RN_STRING;
    rn_column columns[] = {{rn_type_of(RN_INT64), numbers, NULL, NULL},
                           {rn_type_of(RN_STRING), strings, NULL, NULL},
                           {rn_type_of(RN_STRING), strings, valid, NULL},
                           {rn_type_of(RN_STRING), strings, NULL, twice},
                           {list, lists, valid, NULL}};
    static const int64_t expected[] = {0, 13 + 28, 13, 13 + 13, 2 * 16 + 20};
    int64_t sum = 0;
    for (uint32_t c = 0; c < RN_COUNT(columns); c++) {
        rn_batch batch = {3, 1, &columns[c]};
        ck_assert_int_eq(rn_batch_variable_bytes(&batch), expected[c]);
        sum += expected[c];
    }
    rn_batch all = {3, RN_COUNT(columns), columns};
    ck_assert_int_eq(rn_batch_variable_bytes(&all), sum);
}
END_TEST

START_TEST(test_batch__finds_fields_by_whole_name)
{
    rn_field fields[] = {{"id", rn_type_of(RN_INT64)}, {"identity", rn_type_of(RN_STRING)}};
    rn_schema schema = {2, fields};
    ck_assert_int_eq(rn_schema_find(&schema, "identity"), 1);
    ck_assert_int_eq(rn_schema_find(&schema, "id"), 0);
    ck_assert_int_eq(rn_schema_find(&schema, "i"), -1);
    ck_assert_int_eq(rn_schema_find(&schema, ""), -1);
}
END_TEST

/* Picking from random batches, twice in a row as filter after expand does, gives the rows picked.
 */
START_TEST(test_batch__picks_rows_through_any_selection)
{
    uint64_t seed = sample_seed("pick");
    static sample made;
    fixture fix;
    fixture_open(&fix, INT64_MAX);
    for (int round = 0; round < 200; round++) {
        rn_type types[8];
        uint32_t columns = 1 + (uint32_t)rn_random_below(&seed, 8);
        uint32_t rows = 1 + (uint32_t)rn_random_below(&seed, 200);
        for (uint32_t c = 0; c < columns; c++) {
            types[c] = sample_type(&seed, true);
        }
        sample_open(&made, &seed, types, columns, rows);
        if (columns > 1) { /* two columns that share a selection */
            made.columns[columns - 1].selection = made.columns[0].selection;
            made.columns[columns - 1].data = made.columns[0].data;
            made.columns[columns - 1].valid = made.columns[0].valid;
            made.columns[columns - 1].type = made.columns[0].type;
        }
        uint16_t first[RN_BATCH_ROWS_MAX], second[RN_BATCH_ROWS_MAX];
        uint32_t count = (uint32_t)rn_random_below(&seed, rows + 1);
        uint32_t fewer = (uint32_t)rn_random_below(&seed, count + 1);
        for (uint32_t i = 0; i < count; i++) {
            first[i] = (uint16_t)rn_random_below(&seed, rows);
            second[i] = (uint16_t)rn_random_below(&seed, count);
        }
        rn_picker pickers[2];
        rn_column once[8], twice[8];
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(rn_picker_open(fix.context, columns, RN_BATCH_ROWS_MAX, &pickers[i]),
                             RATION_OK);
        }
        rn_picker_apply(&pickers[0], &made.batch, first, count, once);
        rn_batch between = {count, columns, once};
        rn_picker_apply(&pickers[1], &between, second, fewer, twice);
        for (uint32_t c = 0; c < columns; c++) {
            for (uint32_t i = 0; i < fewer; i++) {
                ck_assert(sample_same(&twice[c], i, &made.columns[c], first[second[i]]));
            }
        }
        if (columns > 1) {
            ck_assert_ptr_eq(twice[0].selection, twice[columns - 1].selection);
        }
        sample_close(&made);
        ration_context_reset(fix.context);
    }
    fixture_close(&fix);
}
END_TEST

START_TEST(test_batch__vectors_start_with_no_value)
{
    fixture fix;
    rn_vector vector = {NULL, NULL};
    fixture_open(&fix, INT64_MAX);
    for (int kind = 0; kind < RN_KINDS; kind++) {
        ck_assert_int_eq(rn_vector_open(fix.context, (rn_kind)kind, 130, &vector), RATION_OK);
        memset(vector.data, 0xff, 130 * rn_kind_bytes((rn_kind)kind));
        for (uint32_t i = 0; i < 130; i++) {
            ck_assert(!rn_bit_get(vector.valid, i));
        }
        rn_bit_set(vector.valid, 129);
        ck_assert(rn_bit_get(vector.valid, 129) && !rn_bit_get(vector.valid, 128));
        rn_bit_clear(vector.valid, 129);
        ck_assert(!rn_bit_get(vector.valid, 129));
    }
    fixture_close(&fix);
}
END_TEST

/* Refused: a status, the out-parameter as it was, and everything comes back. */
START_TEST(test_batch__refusals_leave_out_parameters_alone)
{
    fixture fix;
    fixture_open(&fix, 16 * 1024);
    rn_vector vector = {&fix, NULL};
    rn_picker picker = {NULL, 77, 0};
    ck_assert_int_eq(rn_vector_open(fix.context, RN_STRING, 1024, &vector), RATION_QUERY_LIMIT);
    ck_assert_ptr_eq(vector.data, &fix);
    ck_assert_int_eq(rn_picker_open(fix.context, 256, RN_BATCH_ROWS_MAX, &picker),
                     RATION_QUERY_LIMIT);
    ck_assert_uint_eq(picker.room_columns, 77);
    fixture_close(&fix);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_batch__reads_values_through_selection_and_nulls,
        test_batch__measures_what_lies_behind_pointers,
        test_batch__finds_fields_by_whole_name,
        test_batch__picks_rows_through_any_selection,
        test_batch__vectors_start_with_no_value,
        test_batch__refusals_leave_out_parameters_alone,
    };
    return support_run("batch", tests, RN_COUNT(tests));
}

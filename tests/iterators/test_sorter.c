/* SPDX-License-Identifier: Apache-2.0
 *
 * The sorter below sort and topk: random columns of every type with many ties, several keys in both
 * directions, more rows than a run holds. What comes out is every row once, each pair of neighbours
 * in order by the values alone. */
#include "iterators/sorter.h"
#include "tests/storage/fixture.h"

#define ROWS 10000u

typedef struct sorted_case {
    rn_type types[6]; /* the last is the row's number */
    uint32_t columns;
    rn_field fields[6];
    rn_order order[3];
    uint32_t order_count;
    sample made;
} sorted_case;

/* By the values of the batch; nulls last in both directions. */
static int compare_column(const rn_column *column, uint32_t a, uint32_t b, bool descending)
{
    bool valid_a = rn_column_valid(column, a), valid_b = rn_column_valid(column, b);
    if (!valid_a || !valid_b) {
        return (int)valid_b - (int)valid_a;
    }
    int order = rn_value_compare(column->type, rn_column_at(column, a), rn_column_at(column, b));
    return descending ? -order : order;
}

static int compare_part(const sorted_case *test, uint32_t column, bool descending, int64_t a,
                        int64_t b)
{
    if (column == test->columns - 1) {
        int order = (a > b) - (a < b);
        return descending ? -order : order;
    }
    return compare_column(&test->made.columns[column], (uint32_t)a % RN_BATCH_ROWS_MAX,
                          (uint32_t)b % RN_BATCH_ROWS_MAX, descending);
}

/* Rows number a and b. */
static int compare_by_values(const sorted_case *test, int64_t a, int64_t b)
{
    int order = 0;
    for (uint32_t i = 0; i < test->order_count && order == 0; i++) {
        order = compare_part(test, test->order[i].column, test->order[i].descending, a, b);
    }
    for (uint32_t c = 0; c < test->columns && order == 0; c++) {
        order = compare_part(test, c, false, a, b);
    }
    return order;
}

/* Random columns over few values, so that keys tie; the last column numbers the rows. */
static void make_case(sorted_case *test, uint64_t *seed, int64_t *numbers)
{
    test->columns = 2 + (uint32_t)rn_random_below(seed, 5);
    for (uint32_t c = 0; c + 1 < test->columns; c++) {
        test->types[c] = sample_type(seed, true);
    }
    test->types[test->columns - 1] = rn_type_of(RN_INT64);
    sample_open(&test->made, seed, test->types, test->columns, RN_BATCH_ROWS_MAX);
    test->made.columns[test->columns - 1] = (rn_column){rn_type_of(RN_INT64), numbers, NULL, NULL};
    test->order_count = 1 + (uint32_t)rn_random_below(seed, 3);
    for (uint32_t i = 0; i < test->order_count; i++) {
        test->order[i].column = (uint32_t)rn_random_below(seed, test->columns);
        test->order[i].descending = rn_random_below(seed, 2) == 0;
    }
    for (uint32_t c = 0; c < test->columns; c++) {
        test->fields[c] = (rn_field){"c", test->types[c]};
    }
}

/* The batch again and again, the rows numbered on; number % 1024 is its row in the batch. */
static void add_rows(sorted_case *test, fixture *fix, rn_sorter *sorter, int64_t *numbers)
{
    uint64_t keys[RN_BATCH_ROWS_MAX];
    for (uint32_t at = 0; at < ROWS; at += RN_BATCH_ROWS_MAX) {
        for (uint32_t i = 0; i < RN_BATCH_ROWS_MAX; i++) {
            numbers[i] = at + i;
        }
        test->made.batch.rows = RN_MIN(ROWS - at, RN_BATCH_ROWS_MAX);
        rn_sorter_keys(sorter, &test->made.batch, keys);
        int64_t bound = rn_sorter_bound(sorter, &test->made.batch, NULL, test->made.batch.rows);
        ck_assert_int_eq(rn_slot_prepay(fix->slot, bound), RATION_OK);
        int64_t used = rn_slot_used(fix->slot);
        ck_assert_int_eq(
            rn_sorter_add(sorter, &test->made.batch, keys, NULL, test->made.batch.rows), RATION_OK);
        ck_assert_int_eq(rn_slot_used(fix->slot), used);
    }
    for (uint32_t i = 0; i < RN_BATCH_ROWS_MAX; i++) {
        numbers[i] = i;
    }
}

static void check_output(const sorted_case *test, rn_sorter *sorter, uint64_t *seed)
{
    static unsigned char seen[ROWS];
    const rn_row *rows[RN_BATCH_ROWS_MAX];
    int64_t before = -1, number;
    uint32_t count, total = 0;
    memset(seen, 0, sizeof seen);
    while ((count = rn_sorter_next(
                sorter, rows, 1 + (uint32_t)rn_random_below(seed, RN_BATCH_ROWS_MAX), NULL)) > 0) {
        for (uint32_t i = 0; i < count; i++, total++) {
            memcpy(&number, rn_row_fixed(&sorter->layout, rows[i], test->columns - 1), 8);
            ck_assert_uint_eq(seen[number], 0);
            seen[number] = 1;
            ck_assert(before < 0 || compare_by_values(test, before, number) < 0);
            before = number;
        }
    }
    ck_assert_uint_eq(total, ROWS);
}

START_TEST(test_sorter__orders_random_rows_by_every_type)
{
    static sorted_case test;
    static int64_t numbers[RN_BATCH_ROWS_MAX];
    uint64_t seed = sample_seed("sorter");
    for (int round = 0; round < 40; round++) {
        fixture fix;
        rn_sorter sorter;
        fixture_open(&fix, INT64_MAX);
        make_case(&test, &seed, numbers);
        rn_schema schema = {test.columns, test.fields};
        ck_assert_int_eq(rn_sorter_open(&schema, test.order, test.order_count, fix.context,
                                        &fix.slot->hot, 65536, &sorter),
                         RATION_OK);
        add_rows(&test, &fix, &sorter, numbers);
        rn_sorter_finish(&sorter);
        check_output(&test, &sorter, &seed);
        rn_sorter_close(&sorter);
        sample_close(&test.made);
        fixture_close(&fix);
    }
}
END_TEST

/* Keys are monotone, and those of words turn back into their values. */
START_TEST(test_sorter__keys_keep_order_and_value)
{
    uint64_t seed = sample_seed("keys");
    static sample made;
    for (int round = 0; round < 60; round++) {
        rn_type type = sample_type(&seed, true);
        uint64_t up[60], down[60];
        sample_open(&made, &seed, &type, 1, 60);
        const rn_column *column = &made.columns[0];
        rn_sort_keys(column, 60, false, up);
        rn_sort_keys(column, 60, true, down);
        for (uint32_t i = 0; i < 60 * 60; i++) {
            uint32_t a = i / 60, b = i % 60;
            int order = compare_column(column, a, b, false);
            ck_assert(order < 0 ? up[a] <= up[b] : order > 0 ? up[a] >= up[b] : up[a] == up[b]);
            order = compare_column(column, a, b, true);
            ck_assert(order < 0   ? down[a] <= down[b]
                      : order > 0 ? down[a] >= down[b]
                                  : down[a] == down[b]);
            uint64_t value = 0;
            if (a == b && type.kind != RN_STRING && type.kind != RN_LIST &&
                rn_column_valid(column, a)) {
                rn_sort_value((rn_kind)type.kind, up[a], &value);
                ck_assert(rn_value_equal(type, &value, rn_column_at(column, a)));
            }
        }
        sample_close(&made);
    }
}
END_TEST

START_TEST(test_sorter__nothing_in_nothing_out)
{
    rn_field field = {"i", rn_type_of(RN_INT64)};
    rn_schema schema = {1, &field};
    rn_order order = {0, false};
    const rn_row *rows[1];
    rn_sorter sorter;
    fixture fix;
    fixture_open(&fix, INT64_MAX);
    ck_assert_int_eq(
        rn_sorter_open(&schema, &order, 1, fix.context, &fix.slot->hot, 65536, &sorter), RATION_OK);
    rn_sorter_finish(&sorter);
    ck_assert_uint_eq(rn_sorter_next(&sorter, rows, 1, NULL), 0);
    ck_assert_uint_eq(rn_sorter_next(&sorter, rows, 1, NULL), 0);
    rn_sorter_close(&sorter);
    rn_sorter_close(&sorter);
    fixture_close(&fix);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_sorter__orders_random_rows_by_every_type,
        test_sorter__keys_keep_order_and_value,
        test_sorter__nothing_in_nothing_out,
    };
    return support_run("sorter", tests, RN_COUNT(tests));
}

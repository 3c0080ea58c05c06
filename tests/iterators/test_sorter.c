/* SPDX-License-Identifier: Apache-2.0
 *
 * The sorter below sort and topk: random columns of every type with many ties, several keys in both
 * directions, more rows than a run holds, spills at any time. What comes out is every row once,
 * each pair of neighbours in order by the values alone. */
#include "iterators/sorter.h"
#include "tests/iterators/alone.h"

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

static rn_spillable spillable(const rn_operator *op)
{
    return rn_sorter_spillable(op->state);
}

static ration_status spill(rn_operator *op, int64_t want_bytes)
{
    return rn_sorter_spill(op->state, want_bytes);
}

static const rn_operator_class sorter_class = {
    .name = "sorter", .sentence = "sorts", .spillable = spillable, .spill = spill};

/* Now and then, somebody asks for memory. */
static void spill_sometimes(alone *by, uint64_t *seed, uint64_t one_in)
{
    if (one_in > 0 && rn_random_below(seed, one_in) == 0) {
        int64_t want = rn_random_below(seed, 2) == 0 ? 1 : INT64_MAX;
        ck_assert_int_eq(rn_execution_spill(&by->execution, want), RATION_OK);
    }
}

/* The batch again and again, the rows numbered on; number % 1024 is its row in the batch. */
static void add_rows(sorted_case *test, alone *by, rn_sorter *sorter, int64_t *numbers,
                     uint64_t *seed, uint64_t one_in)
{
    uint64_t keys[RN_BATCH_ROWS_MAX];
    for (uint32_t at = 0; at < ROWS; at += RN_BATCH_ROWS_MAX) {
        for (uint32_t i = 0; i < RN_BATCH_ROWS_MAX; i++) {
            numbers[i] = at + i;
        }
        test->made.batch.rows = RN_MIN(ROWS - at, RN_BATCH_ROWS_MAX);
        rn_sorter_keys(sorter, &test->made.batch, keys);
        ck_assert_int_eq(
            rn_sorter_add(sorter, &test->made.batch, keys, NULL, test->made.batch.rows), RATION_OK);
        spill_sometimes(by, seed, one_in);
    }
    for (uint32_t i = 0; i < RN_BATCH_ROWS_MAX; i++) {
        numbers[i] = i;
    }
}

static void check_output(const sorted_case *test, alone *by, rn_sorter *sorter, uint64_t *seed,
                         uint32_t wanted, uint64_t one_in)
{
    static unsigned char seen[ROWS];
    const rn_row *rows[RN_BATCH_ROWS_MAX];
    int64_t before = -1, number;
    uint32_t count, total = 0;
    memset(seen, 0, sizeof seen);
    do {
        ck_assert_int_eq(rn_sorter_rows(sorter, rows,
                                        1 + (uint32_t)rn_random_below(seed, RN_BATCH_ROWS_MAX),
                                        &count),
                         RATION_OK);
        if (sorter->layout.has_variable) { /* then they stay */
            spill_sometimes(by, seed, one_in);
        }
        for (uint32_t i = 0; i < count; i++, total++) {
            memcpy(&number, rn_row_fixed(&sorter->layout, rows[i], test->columns - 1), 8);
            ck_assert_uint_eq(seen[number], 0);
            seen[number] = 1;
            ck_assert(before < 0 || compare_by_values(test, before, number) < 0);
            before = number;
        }
        spill_sometimes(by, seed, one_in);
    } while (count > 0);
    ck_assert_uint_eq(total, wanted);
}

/* In memory, with a spill now and then, and with spills all the time. */
START_TEST(test_sorter__orders_random_rows_by_every_type)
{
    static sorted_case test;
    static int64_t numbers[RN_BATCH_ROWS_MAX];
    static const uint64_t one_in[] = {0, 1, 2, 7, 40};
    uint64_t seed = sample_seed("sorter");
    uint32_t arranged = 0;
    for (int round = 0; round < 60; round++) {
        static alone by;
        static rn_sorter sorter;
        alone_open(&by, &sorter_class, &sorter, 0);
        make_case(&test, &seed, numbers);
        rn_schema schema = {test.columns, test.fields};
        uint64_t often = one_in[rn_random_below(&seed, RN_COUNT(one_in))];
        int64_t wanted =
            rn_random_below(&seed, 3) > 0 ? INT64_MAX : (int64_t)rn_random_below(&seed, 2 * ROWS);
        ck_assert_int_eq(
            rn_sorter_open(&by.op, &schema, test.order, test.order_count, wanted, &sorter),
            RATION_OK);
        sorter.room_bytes = rn_random_below(&seed, 2) == 0 ? 1 : INT64_C(1) << 40;
        sorter.aside_share *= (uint32_t)rn_random_below(&seed, 2);
        add_rows(&test, &by, &sorter, numbers, &seed, often);
        arranged += sorter.aside_count > 0;
        check_output(&test, &by, &sorter, &seed, (uint32_t)RN_MIN(wanted, (int64_t)ROWS), often);
        rn_sorter_close(&sorter);
        sample_close(&test.made);
        alone_close(&by);
    }
#ifndef RATION_HARD /* where everything is spilled before a run is full */
    ck_assert_uint_gt(arranged, 0);
#endif
}
END_TEST

/* A word that is smaller says that the row comes first, whatever columns are in it. */
START_TEST(test_sorter__words_keep_the_order)
{
    static sorted_case test;
    static int64_t numbers[RN_BATCH_ROWS_MAX];
    static uint64_t words[RN_BATCH_ROWS_MAX];
    uint64_t seed = sample_seed("words");
    uint32_t packed = 0;
    for (int round = 0; round < 300; round++) {
        rn_sort_part parts[RN_SORT_PARTS_MAX];
        rn_layout layout;
        for (uint32_t i = 0; i < RN_BATCH_ROWS_MAX; i++) {
            numbers[i] = i;
        }
        make_case(&test, &seed, numbers);
        rn_layout_set(&layout, test.types, test.columns);
        uint32_t count = rn_sort_plan(&layout, test.order, test.order_count, parts);
        packed += count > 1;
        rn_sort_words(parts, count, &test.made.batch, words);
        for (int pair = 0; pair < 2000; pair++) {
            uint32_t a = (uint32_t)rn_random_below(&seed, RN_BATCH_ROWS_MAX);
            uint32_t b = (uint32_t)rn_random_below(&seed, RN_BATCH_ROWS_MAX);
            ck_assert(words[a] >= words[b] || compare_by_values(&test, a, b) < 0);
        }
        sample_close(&test.made);
    }
    ck_assert_uint_gt(packed, 10);
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

/* What adding draws was settled for, and what is open draws what the minimum says. */
START_TEST(test_sorter__open_bytes_are_exact)
{
    static alone by;
    static rn_sorter sorter;
    rn_field field = {"i", rn_type_of(RN_INT64)};
    rn_schema schema = {1, &field};
    rn_order order = {0, false};
    alone_open(&by, &sorter_class, &sorter, 0);
    int64_t before = ration_context_bytes(by.op.context, true);
    ck_assert_int_eq(rn_sorter_open(&by.op, &schema, &order, 1, INT64_MAX, &sorter), RATION_OK);
    ck_assert_int_eq(ration_context_bytes(by.op.context, true) - before, rn_sorter_open_bytes());
    rn_sorter_close(&sorter);
    alone_close(&by);
}
END_TEST

START_TEST(test_sorter__nothing_in_nothing_out)
{
    static alone by;
    static rn_sorter sorter;
    rn_field field = {"i", rn_type_of(RN_INT64)};
    rn_schema schema = {1, &field};
    rn_order order = {0, false};
    const rn_row *rows[1];
    uint32_t count;
    alone_open(&by, &sorter_class, &sorter, 0);
    ck_assert_int_eq(rn_sorter_open(&by.op, &schema, &order, 1, INT64_MAX, &sorter), RATION_OK);
    ck_assert_int_eq(rn_sorter_spillable(&sorter).now_bytes, 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(rn_sorter_rows(&sorter, rows, 1, &count), RATION_OK);
        ck_assert_uint_eq(count, 0);
    }
    rn_sorter_close(&sorter);
    rn_sorter_close(&sorter);
    alone_close(&by);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_sorter__orders_random_rows_by_every_type, test_sorter__words_keep_the_order,
        test_sorter__keys_keep_order_and_value,        test_sorter__open_bytes_are_exact,
        test_sorter__nothing_in_nothing_out,
    };
    return support_run("sorter", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows: what goes in comes out, through nulls, selections, strings and lists; bounds are exact;
 * failures leave no trace. */
#include "base/heap.h"
#include "storage/rows.h"
#include "tests/storage/fixture.h"

#define ROUNDS 150
#define MAX_ROW_BYTES (256 * 1024)

#define SPARE 8u
_Static_assert(SPARE <= RN_ROWS_SPARE_MAX, "the most that may be given");

/* One set of rows with the values that went in, to compare with. */
typedef struct held_rows {
    rn_layout layout;
    rn_rows rows;
    rn_type types[RN_COLUMNS_MAX];
    uint32_t columns[RN_COLUMNS_MAX]; /* layout column -> batch column */
    uint32_t batch_columns;
} held_rows;

static void check_rows(const rn_rows *rows)
{
    char text[128];
    ck_assert_msg(rn_rows_check(rows, text, sizeof text), "%s", text);
}

static void make_held(held_rows *held, fixture *fix, uint64_t *seed, bool variable)
{
    rn_type kept[RN_COLUMNS_MAX];
    held->batch_columns = 1 + (uint32_t)rn_random_below(seed, 12);
    uint32_t count = 1 + (uint32_t)rn_random_below(seed, 12);
    for (uint32_t c = 0; c < held->batch_columns; c++) {
        held->types[c] = sample_type(seed, variable);
    }
    for (uint32_t c = 0; c < count; c++) {
        held->columns[c] = (uint32_t)rn_random_below(seed, held->batch_columns);
        kept[c] = held->types[held->columns[c]];
    }
    rn_layout_set(&held->layout, kept, count);
    ck_assert_int_eq(rn_rows_open(&held->layout, fix->context, &fix->slot->hot, "rows",
                                  MAX_ROW_BYTES, &held->rows),
                     RATION_OK);
}

static uint32_t random_picks(uint64_t *seed, uint32_t rows, uint16_t *picks)
{
    uint32_t count = (uint32_t)rn_random_below(seed, rows + 1);
    for (uint32_t i = 0; i < count; i++) {
        picks[i] = (uint16_t)rn_random_below(seed, rows);
    }
    return count;
}

/* Appends under a settle and checks that it drew exactly the bound. */
static void append_within_bound(fixture *fix, held_rows *held, const rn_batch *batch,
                                const uint16_t *picks, uint32_t count, const rn_row **out)
{
    int64_t drawn = fixture_drawn(fix);
    int64_t bound = rn_rows_bound(&held->rows, batch, held->columns, picks, count);
    ck_assert_int_eq(rn_slot_prepay(fix->slot, bound), RATION_OK);
    ck_assert_int_eq(rn_rows_append(&held->rows, batch, held->columns, picks, count, out),
                     RATION_OK);
    ck_assert_int_eq(fixture_drawn(fix) - drawn, bound);
    ck_assert_int_ge(fix->slot->advance_bytes, 0); /* a block from a shelf is not drawn from it */
    check_rows(&held->rows);
}

static void compare_with_batch(fixture *fix, const held_rows *held, const rn_batch *batch,
                               const uint16_t *picks, uint32_t count, const rn_row *const *rows)
{
    rn_vector vector;
    rn_column column;
    ration_context *lists;
    ck_assert_int_eq(
        ration_context_create(fix->context, &fix->slot->hot, RATION_CONTEXT_BUMP, "lists", &lists),
        RATION_OK);
    for (uint32_t c = 0; c < held->layout.column_count; c++) {
        ck_assert_int_eq(rn_vector_open(lists, (rn_kind)held->layout.types[c].kind, count, &vector),
                         RATION_OK);
        int64_t drawn = fixture_drawn(fix);
        size_t bytes = 0, largest = 0;
        rn_rows_read_chunks(&held->layout, rows, count, c, lists, &bytes, &largest);
        int64_t bound = rn_context_bound(lists, bytes, largest);
        ck_assert_int_eq(rn_rows_read(&held->layout, rows, count, c, lists, &vector, &column),
                         RATION_OK);
        ck_assert_int_le(fixture_drawn(fix) - drawn, bound);
        const rn_column *source = &batch->columns[held->columns[c]];
        for (uint32_t i = 0; i < count; i++) {
            uint32_t row = picks == NULL ? i : picks[i];
            ck_assert(sample_same(&column, i, source, row));
            ck_assert(rn_row_valid(&held->layout, rows[i], c) == rn_column_valid(source, row));
            ck_assert(rn_row_equals(&held->layout, rows[i], batch, held->columns,
                                    held->layout.column_count, row));
        }
    }
    ration_context_delete(lists);
}

static void append_and_compare(bool variable, uint32_t rows_max)
{
    uint64_t seed = sample_seed("rows");
    static sample made;
    static held_rows held;
    const rn_row *placed[RN_BATCH_ROWS_MAX], *walked[RN_BATCH_ROWS_MAX];
    uint16_t picks[RN_BATCH_ROWS_MAX];
    for (int round = 0; round < ROUNDS; round++) {
        fixture fix;
        fixture_open(&fix, INT64_MAX);
        make_held(&held, &fix, &seed, variable);
        rn_rows_cursor cursor = {NULL, 0};
        for (int step = 0; step < 4; step++) {
            uint32_t rows = 1 + (uint32_t)rn_random_below(&seed, rows_max);
            sample_open(&made, &seed, held.types, held.batch_columns, rows);
            bool picked = rn_random_below(&seed, 2) == 0;
            uint32_t count = picked ? random_picks(&seed, rows, picks) : rows;
            const uint16_t *which = picked ? picks : NULL;
            append_within_bound(&fix, &held, &made.batch, which, count, placed);
            compare_with_batch(&fix, &held, &made.batch, which, count, placed);
            ck_assert_uint_eq(rn_rows_next(&held.rows, &cursor, walked, RN_BATCH_ROWS_MAX), count);
            ck_assert_int_eq(memcmp(placed, walked, count * sizeof *placed), 0);
            sample_close(&made);
        }
        ck_assert_uint_eq(rn_rows_next(&held.rows, &cursor, walked, 1), 0);
        rn_rows_close(&held.rows);
        fixture_close(&fix);
    }
}

START_TEST(test_rows__fixed_columns_come_back)
{
    append_and_compare(false, RN_BATCH_ROWS_MAX);
}
END_TEST

START_TEST(test_rows__strings_and_lists_come_back)
{
    append_and_compare(true, 300);
}
END_TEST

/* Rows of the same layout compare like the values in them, nulls last, and a null equals a null. */
START_TEST(test_rows__compare_as_their_values)
{
    uint64_t seed = sample_seed("compare");
    static sample made;
    fixture fix;
    fixture_open(&fix, INT64_MAX);
    for (int round = 0; round < 60; round++) {
        static held_rows held;
        const rn_row *rows[40];
        make_held(&held, &fix, &seed, true);
        sample_open(&made, &seed, held.types, held.batch_columns, 40);
        append_within_bound(&fix, &held, &made.batch, NULL, 40, rows);
        for (uint32_t c = 0; c < held.layout.column_count; c++) {
            const rn_column *column = &made.columns[held.columns[c]];
            for (uint32_t i = 0; i < 40 * 40; i++) {
                uint32_t a = i / 40, b = i % 40;
                bool valid_a = rn_column_valid(column, a), valid_b = rn_column_valid(column, b);
                int expected = !valid_a || !valid_b
                                   ? (int)valid_b - (int)valid_a
                                   : rn_value_compare(column->type, rn_column_at(column, a),
                                                      rn_column_at(column, b));
                int order = rn_row_compare(&held.layout, rows[a], rows[b], c);
                ck_assert_int_eq((order > 0) - (order < 0), (expected > 0) - (expected < 0));
                uint32_t only[] = {held.columns[c]};
                if (c == 0) {
                    ck_assert(rn_row_equals(&held.layout, rows[a], &made.batch, only, 1, b) ==
                              (expected == 0));
                }
            }
        }
        sample_close(&made);
        rn_rows_close(&held.rows);
    }
    fixture_close(&fix);
}
END_TEST

START_TEST(test_rows__missing_rows_read_as_null)
{
    rn_type types[] = {rn_type_of(RN_INT64), rn_type_of(RN_STRING), rn_type_of(RN_BOOL)};
    int64_t integers[] = {7};
    rn_string strings[] = {rn_string_over("a string of more than twelve", 28)};
    uint8_t booleans[] = {1};
    rn_column columns[] = {{types[0], integers, NULL, NULL},
                           {types[1], strings, NULL, NULL},
                           {types[2], booleans, NULL, NULL}};
    rn_batch batch = {1, 3, columns};
    rn_layout layout;
    rn_rows rows;
    fixture fix;
    fixture_open(&fix, INT64_MAX);
    rn_layout_set(&layout, types, 3);
    ck_assert_int_eq(rn_rows_open(&layout, fix.context, &fix.slot->hot, "rows", 4096, &rows),
                     RATION_OK);
    const rn_row *some[] = {NULL, NULL, NULL};
    ck_assert_int_eq(rn_rows_append(&rows, &batch, NULL, NULL, 1, &some[1]), RATION_OK);
    for (uint32_t c = 0; c < 3; c++) {
        rn_vector vector;
        rn_column column;
        ck_assert_int_eq(rn_vector_open(fix.context, (rn_kind)types[c].kind, 3, &vector),
                         RATION_OK);
        ck_assert_int_eq(rn_rows_read(&layout, some, 3, c, NULL, &vector, &column), RATION_OK);
        ck_assert(!rn_column_valid(&column, 0) && !rn_column_valid(&column, 2));
        ck_assert(sample_same(&column, 1, &columns[c], 0));
    }
    rn_rows_close(&rows);
    fixture_close(&fix);
}
END_TEST

/* Narrow, wide, narrow: each wide row lies in a block of its own, and the widest allowed passes
 * where one more byte does not. */
START_TEST(test_rows__wide_rows_get_blocks_of_their_own)
{
    rn_type type = rn_type_of(RN_STRING);
    rn_layout layout;
    rn_rows rows;
    fixture fix;
    static char text[MAX_ROW_BYTES];
    memset(text, 'w', sizeof text);
    rn_layout_set(&layout, &type, 1);
    uint32_t widest = MAX_ROW_BYTES - layout.fixed_bytes;
    const uint32_t lengths[] = {5, 70000, 13, widest, 0, 65536, 65500, 20, 40000, 40000, 8000};
    fixture_open(&fix, INT64_MAX);
    ck_assert_int_eq(
        rn_rows_open(&layout, fix.context, &fix.slot->hot, "rows", MAX_ROW_BYTES, &rows),
        RATION_OK);
    const rn_row *placed[RN_COUNT(lengths)];
    for (size_t i = 0; i < RN_COUNT(lengths); i++) {
        rn_string string = rn_string_over(text, lengths[i]);
        rn_column column = {type, &string, NULL, NULL};
        rn_batch batch = {1, 1, &column};
        int64_t bound = rn_rows_bound(&rows, &batch, NULL, NULL, 1);
        int64_t drawn = fixture_drawn(&fix);
        ck_assert_int_eq(rn_slot_prepay(fix.slot, bound), RATION_OK);
        ck_assert_int_eq(rn_rows_append(&rows, &batch, NULL, NULL, 1, &placed[i]), RATION_OK);
        ck_assert_int_eq(fixture_drawn(&fix) - drawn, bound);
        ck_assert_int_le(bound, RN_MAX(RN_BLOCK_BYTES, lengths[i] + 8192));
    }
    rn_string over = rn_string_over(text, widest + 1);
    rn_column column = {type, &over, NULL, NULL};
    rn_batch batch = {1, 1, &column};
    ck_assert_int_eq(rn_rows_append(&rows, &batch, NULL, NULL, 1, NULL), RATION_ROW_TOO_WIDE);
    check_rows(&rows);
    for (size_t i = 0; i < RN_COUNT(lengths); i++) {
        rn_string back = rn_row_string(&layout, placed[i], 0);
        rn_string string = rn_string_over(text, lengths[i]);
        ck_assert(rn_string_equal(&back, &string));
    }
    rn_rows_close(&rows);
    fixture_close(&fix);
}
END_TEST

/* A row too wide in the middle of a batch: nothing of the batch stays. */
START_TEST(test_rows__a_failed_append_leaves_the_rows_as_before)
{
    static char text[9000];
    rn_string strings[600];
    const rn_row *out[600] = {NULL};
    rn_type type = rn_type_of(RN_STRING);
    rn_layout layout;
    rn_rows rows;
    fixture fix;
    for (size_t i = 0; i < RN_COUNT(strings); i++) {
        strings[i] = rn_string_over(text, i == 550 ? 9000 : 500);
    }
    rn_column column = {type, strings, NULL, NULL};
    rn_batch batch = {600, 1, &column};
    fixture_open(&fix, INT64_MAX);
    rn_layout_set(&layout, &type, 1);
    ck_assert_int_eq(rn_rows_open(&layout, fix.context, &fix.slot->hot, "rows", 8192, &rows),
                     RATION_OK);
    for (uint32_t before = 0; before < 3; before++) {
        ck_assert_int_eq(rn_rows_append(&rows, &batch, NULL, NULL, 600, out), RATION_ROW_TOO_WIDE);
        ck_assert_ptr_null(out[0]);
        ck_assert_int_eq(rows.count, before);
        check_rows(&rows);
        ck_assert_int_eq(rn_rows_append(&rows, &batch, NULL, NULL, 1, NULL), RATION_OK);
    }
    rn_rows_close(&rows);
    fixture_close(&fix);
}
END_TEST

START_TEST(test_rows__move_and_reset)
{
    int64_t numbers[RN_BATCH_ROWS_MAX];
    rn_type type = rn_type_of(RN_INT64);
    rn_column column = {type, numbers, NULL, NULL};
    rn_batch batch = {RN_BATCH_ROWS_MAX, 1, &column};
    rn_layout layout;
    rn_rows rows[3];
    fixture fix;
    fixture_open(&fix, INT64_MAX);
    rn_layout_set(&layout, &type, 1);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(rn_rows_open(&layout, fix.context, &fix.slot->hot, "rows", 4096, &rows[i]),
                         RATION_OK);
    }
    for (int64_t step = 0; step < 12; step++) { /* 0..5 into the second, 6..11 into the third */
        for (int64_t i = 0; i < RN_BATCH_ROWS_MAX; i++) {
            numbers[i] = step * RN_BATCH_ROWS_MAX + i;
        }
        ck_assert_int_eq(
            rn_rows_append(&rows[1 + step / 6], &batch, NULL, NULL, RN_BATCH_ROWS_MAX, NULL),
            RATION_OK);
    }
    rn_rows_move(&rows[0], &rows[1]); /* to an empty one */
    rn_rows_move(&rows[0], &rows[2]); /* behind others */
    ck_assert_ptr_null(rows[1].context);
    check_rows(&rows[0]);
    ck_assert_int_eq(rn_rows_append(&rows[0], &batch, NULL, NULL, 1, NULL), RATION_OK);
    rn_rows_cursor cursor = {NULL, 0};
    const rn_row *walked[100];
    int64_t seen = 0;
    for (uint32_t count; (count = rn_rows_next(&rows[0], &cursor, walked, 100)) > 0;) {
        for (uint32_t i = 0; i < count && seen < 12 * RN_BATCH_ROWS_MAX; i++, seen++) {
            int64_t number;
            memcpy(&number, rn_row_fixed(&layout, walked[i], 0), 8);
            ck_assert_int_eq(number, seen);
        }
    }
    ck_assert_int_eq(seen, 12 * RN_BATCH_ROWS_MAX);
    rn_rows_reset(&rows[0]);
    ck_assert_int_eq(ration_context_bytes(rows[0].context, true), 8192);
    check_rows(&rows[0]);
    ck_assert_int_eq(rn_rows_append(&rows[0], &batch, NULL, NULL, 10, NULL), RATION_OK);
    check_rows(&rows[0]);
    rn_rows_close(&rows[0]);
    fixture_close(&fix);
}
END_TEST

/* Rows put in by parts that draw no more than a block each; blocks taken out oldest first, their
 * rows written down and read there; the rest is still a set of rows. */
START_TEST(test_rows__blocks_can_be_taken_out)
{
    static char text[70000];
    rn_string strings[600];
    rn_type type = rn_type_of(RN_STRING);
    rn_layout layout;
    rn_rows rows;
    fixture fix;
    uint16_t picks[600];
    for (uint32_t i = 0; i < RN_COUNT(strings); i++) {
        strings[i] = rn_string_over(text, i == 300 ? 70000 : 100 + i);
        picks[i] = (uint16_t)i;
    }
    rn_column column = {type, strings, NULL, NULL};
    rn_batch batch = {600, 1, &column};
    fixture_open(&fix, INT64_MAX);
    rn_layout_set(&layout, &type, 1);
    ck_assert_int_eq(rn_rows_open(&layout, fix.context, &fix.slot->hot, "rows", 80000, &rows),
                     RATION_OK);
    int parts = 0;
    for (uint32_t from = 0; from < 600; parts++) {
        int64_t bytes, drawn = fixture_drawn(&fix);
        uint32_t count =
            rn_rows_fit(&rows, &batch, NULL, picks + from, 600 - from, RN_BLOCK_BYTES, &bytes);
        ck_assert_int_le(bytes, rn_rows_block_most(from == 300 ? 70024 : 0));
        ck_assert_uint_gt(count, 0);
        ck_assert_int_eq(rn_rows_append(&rows, &batch, NULL, picks + from, count, NULL), RATION_OK);
        ck_assert_int_eq(fixture_drawn(&fix) - drawn, bytes);
        from += count;
    }
    ck_assert_int_gt(parts, 3);
    uint32_t number = 0;
    while (rn_rows_block_next(&rows, NULL) != NULL) {
        int64_t held = ration_context_bytes(rows.context, false);
        rn_rows_block *block = rn_rows_detach(&rows);
        check_rows(&rows);
        uint32_t length, count;
        const char *at = rn_rows_block_read(block, &length), *end = at + length;
        const rn_row *walked[7];
        while ((count = rn_rows_walk(&at, end, walked, RN_COUNT(walked))) > 0) {
            for (uint32_t i = 0; i < count; i++, number++) {
                rn_string string = rn_row_string(&layout, walked[i], 0);
                ck_assert(rn_string_equal(&string, &strings[number]));
            }
        }
        ck_assert_int_eq(rows.count, 600 - number);
        int64_t gives = rn_rows_block_charged(block);
        ck_assert_int_eq(gives == 0, number < 100);
        rn_rows_block_free(block);
        ck_assert_int_eq(ration_context_bytes(rows.context, false), held - gives);
    }
    ck_assert_uint_eq(number, 600);
    ck_assert_int_eq(rows.count, 0);
    rn_rows_reset(&rows);
    ck_assert_int_eq(rn_rows_append(&rows, &batch, NULL, NULL, 600, NULL), RATION_OK);
    check_rows(&rows);
    rn_rows_close(&rows);
    fixture_close(&fix);
}
END_TEST

START_TEST(test_rows__links_can_be_patched)
{
    uint64_t links[] = {0, 0};
    int64_t numbers[] = {1, 2};
    rn_type types[] = {rn_type_of(RN_EDGE), rn_type_of(RN_INT64)};
    rn_column columns[] = {{types[0], links, NULL, NULL}, {types[1], numbers, NULL, NULL}};
    rn_batch batch = {2, 2, columns};
    rn_layout layout;
    rn_rows rows;
    const rn_row *placed[2];
    fixture fix;
    fixture_open(&fix, INT64_MAX);
    rn_layout_set(&layout, types, 2);
    ck_assert_int_eq(rn_rows_open(&layout, fix.context, &fix.slot->hot, "rows", 4096, &rows),
                     RATION_OK);
    ck_assert_int_eq(rn_rows_append(&rows, &batch, NULL, NULL, 2, placed), RATION_OK);
    rn_row_patch(&layout, placed[0], 0, (uint64_t)(uintptr_t)placed[1]);
    uint64_t link;
    int64_t number;
    memcpy(&link, rn_row_fixed(&layout, placed[0], 0), 8);
    memcpy(&number, rn_row_fixed(&layout, placed[0], 1), 8);
    ck_assert_uint_eq(link, (uint64_t)(uintptr_t)placed[1]);
    ck_assert_int_eq(number, 1);
    rn_rows_close(&rows);
    fixture_close(&fix);
}
END_TEST

/* Every limit and every failing mapping: the appends that pass are whole, the first that does not
 * leaves no trace. */
static void append_until_refused(fixture *fix, const held_rows *kept, const rn_batch *batch,
                                 bool *passed)
{
    held_rows held = *kept;
    int64_t count = 0;
    ration_status status = rn_rows_open(&held.layout, fix->context, &fix->slot->hot, "rows",
                                        MAX_ROW_BYTES, &held.rows);
    *passed = status == RATION_OK;
    for (int step = 0; step < 5 && *passed; step++) {
        status = rn_rows_append(&held.rows, batch, held.columns, NULL, batch->rows, NULL);
        *passed = status == RATION_OK;
        count += *passed ? batch->rows : 0;
        ck_assert_int_eq(held.rows.count, count);
        check_rows(&held.rows);
    }
    ck_assert(*passed || status == RATION_QUERY_LIMIT || status == RATION_NO_MEMORY);
    if (held.rows.context != NULL) {
        rn_rows_close(&held.rows);
    }
}

START_TEST(test_rows__refusals_at_every_limit_leave_no_trace)
{
    uint64_t seed = sample_seed("limits");
    static sample made;
    static held_rows held;
    fixture fix;
    fixture_open(&fix, INT64_MAX);
    make_held(&held, &fix, &seed, true);
    rn_rows_close(&held.rows);
    fixture_close(&fix);
    sample_open(&made, &seed, held.types, held.batch_columns, 900);
    bool passed = false;
    int refused = 0;
    for (int64_t limit = 8192; !passed; limit += 8192) {
        fixture_open(&fix, limit);
        append_until_refused(&fix, &held, &made.batch, &passed);
        refused += !passed;
        fixture_close(&fix);
    }
    ck_assert_int_gt(refused, 2);
    for (int ever = 0; ever < 2; ever++) {
        passed = false;
        for (int64_t nth = 1; !passed; nth++) {
            fixture_open(&fix, INT64_MAX);
            rn_blocks_fail_after(nth, ever == 1);
            append_until_refused(&fix, &held, &made.batch, &passed);
            rn_blocks_fail_after(0, false);
            fixture_close(&fix);
        }
    }
    sample_close(&made);
}
END_TEST

/* A random order of placed[0..count), and of the picks with them. */
static void shuffle(uint64_t *seed, const rn_row **placed, uint16_t *picks, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)rn_random_below(seed, i);
        const rn_row *row = placed[i - 1];
        uint16_t pick = picks[i - 1];
        placed[i - 1] = placed[other];
        picks[i - 1] = picks[other];
        placed[other] = row;
        picks[other] = pick;
    }
}

/* Older rows stay where they are, the newest lie in the order asked for, or all as before. */
static void arrange_and_compare(fixture *fix, held_rows *held, const rn_batch *batch,
                                uint64_t *seed, char *const *spare, uint32_t done[2])
{
    const rn_row *old[RN_BATCH_ROWS_MAX], *placed[RN_BATCH_ROWS_MAX], *order[RN_BATCH_ROWS_MAX];
    const rn_row *walked[2 * RN_BATCH_ROWS_MAX];
    uint16_t old_picks[RN_BATCH_ROWS_MAX], picks[RN_BATCH_ROWS_MAX];
    uint32_t old_count = random_picks(seed, batch->rows, old_picks);
    uint32_t count = random_picks(seed, batch->rows, picks);
    append_within_bound(fix, held, batch, old_picks, old_count, old);
    rn_rows_cursor from = rn_rows_end(&held->rows), cursor = {NULL, 0};
    append_within_bound(fix, held, batch, picks, count, placed);
    memcpy(order, placed, count * sizeof *order);
    shuffle(seed, order, picks, count);
    uint32_t given = RN_MIN(rn_rows_blocks(&held->rows, from), SPARE);
    given -= rn_random_below(seed, 4) == 0 && given > 0;
    bool arranged = rn_rows_arrange(&held->rows, from, order, count, spare, given);
    done[arranged] += count > 0;
    check_rows(&held->rows);
    uint32_t total = rn_rows_next(&held->rows, &cursor, walked, RN_COUNT(walked));
    ck_assert_uint_eq(total, old_count + count);
    ck_assert(memcmp(walked, old, old_count * sizeof *old) == 0);
    ck_assert(memcmp(walked + old_count, arranged ? order : placed, count * sizeof *order) == 0);
    compare_with_batch(fix, held, batch, old_picks, old_count, old);
    if (arranged) {
        compare_with_batch(fix, held, batch, picks, count, order);
    }
}

START_TEST(test_rows__the_newest_can_be_put_into_another_order)
{
    static sample made;
    static held_rows held;
    uint64_t seed = sample_seed("arrange");
    uint32_t done[2] = {0, 0};
    char *spare[SPARE];
    for (uint32_t i = 0; i < SPARE; i++) {
        spare[i] = rn_heap_allocate(RN_ROWS_SPARE_BYTES);
        ck_assert_ptr_nonnull(spare[i]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        fixture fix;
        fixture_open(&fix, INT64_MAX);
        make_held(&held, &fix, &seed, round % 2 == 1);
        sample_open(&made, &seed, held.types, held.batch_columns,
                    1 + (uint32_t)rn_random_below(&seed, RN_BATCH_ROWS_MAX));
        arrange_and_compare(&fix, &held, &made.batch, &seed, spare, done);
        sample_close(&made);
        rn_rows_close(&held.rows);
        fixture_close(&fix);
    }
    ck_assert_uint_gt(done[0], 0);
    ck_assert_uint_gt(done[1], ROUNDS / 3);
    for (uint32_t i = 0; i < SPARE; i++) {
        rn_heap_free(spare[i], RN_ROWS_SPARE_BYTES);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_rows__fixed_columns_come_back,
        test_rows__strings_and_lists_come_back,
        test_rows__compare_as_their_values,
        test_rows__missing_rows_read_as_null,
        test_rows__wide_rows_get_blocks_of_their_own,
        test_rows__a_failed_append_leaves_the_rows_as_before,
        test_rows__move_and_reset,
        test_rows__blocks_can_be_taken_out,
        test_rows__links_can_be_patched,
        test_rows__the_newest_can_be_put_into_another_order,
        test_rows__refusals_at_every_limit_leave_no_trace,
    };
    return support_run("rows", tests, RN_COUNT(tests));
}

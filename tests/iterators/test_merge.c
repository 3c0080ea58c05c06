/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs and merges below one operator: random runs with many ties, rows in memory, narrowing with as
 * few buffers as may be, and spills in the middle of it. Every row carries its number: what comes
 * out is every row once, in order. */
#include "iterators/merge.h"
#include "tests/iterators/alone.h"

#define ROWS_MAX 60000u
#define PARTS 4u

/* ------------------------------------------------------------------------------------ the bench */

typedef struct bench {
    alone by;
    rn_runs runs;
    /* Rows to write, in the world's slot. */
    rn_layout layout;
    rn_rows rows;
    ration_context *context;
    const rn_row *row[ROWS_MAX];
    uint64_t key[ROWS_MAX];
    uint32_t count;
    /* What the operator still holds, as far as it says: rows held_at.. are written when it
     * spills. */
    uint32_t held_at, held_end;
    int64_t spilled;
} bench;

static uint64_t number_of(const bench *made, const rn_row *row)
{
    uint64_t number;
    memcpy(&number, rn_row_fixed(&made->layout, row, 0), 8);
    return number;
}

static int compare_numbers(const void *with, const rn_row *a, const rn_row *b)
{
    uint64_t x = number_of(with, a), y = number_of(with, b);
    return (x > y) - (x < y);
}

static rn_spillable say_held(const rn_operator *op)
{
    const bench *made = op->state;
    return (rn_spillable){made->held_at < made->held_end ? 1 << 20 : 0, 0};
}

/* Writes up to 100 of the rows held as one run. */
static ration_status spill_some(rn_operator *op, int64_t want_bytes)
{
    bench *made = op->state;
    ck_assert_int_gt(want_bytes, 0);
    if (made->held_at == made->held_end) {
        return RATION_OK;
    }
    rn_runs_begin(&made->runs, op->worker->spill_buffer);
    for (uint32_t i = 0; i < 100 && made->held_at < made->held_end; i++, made->held_at++) {
        RN_TRY(
            rn_row_run_put(&made->runs.writer, made->key[made->held_at], made->row[made->held_at]));
    }
    made->spilled += 1;
    return rn_runs_end(&made->runs, 1);
}

static const rn_operator_class bench_class = {
    .name = "bench",
    .sentence = "holds what the test says",
    .spillable = say_held,
    .spill = spill_some,
};

static void bench_open(bench *made, int64_t limit_bytes)
{
    memset(made, 0, sizeof *made);
    alone_open(&made->by, &bench_class, made, limit_bytes);
    rn_row_order order = {compare_numbers, made};
    ck_assert_int_eq(rn_runs_open(&made->by.op, order, &made->runs), RATION_OK);
}

static void bench_close(bench *made)
{
    rn_runs_close(&made->runs);
    if (made->context != NULL) {
        ration_context_delete(made->context);
    }
    alone_close(&made->by);
}

/* `count` rows of a number and a string of up to `width` bytes, with words below `words`; row i is
 * in order of (word, number). */
static void make_rows(bench *made, uint64_t *seed, uint32_t count, uint32_t width, uint64_t words)
{
    static char letters[1 << 20];
    rn_type types[] = {rn_type_of(RN_INT64), rn_type_of(RN_STRING)};
    memset(letters, 'x', sizeof letters);
    rn_layout_set(&made->layout, types, 2);
    ck_assert_int_eq(ration_context_create(NULL, &made->by.world.slot->hot, RATION_CONTEXT_BUMP,
                                           "made", &made->context),
                     RATION_OK);
    ck_assert_int_eq(rn_rows_open(&made->layout, made->context, &made->by.world.slot->hot, "rows",
                                  1 << 20, &made->rows),
                     RATION_OK);
    uint64_t word = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t number = (int64_t)i;
        rn_string string = rn_string_over(letters, (uint32_t)rn_random_below(seed, width + 1));
        rn_column columns[] = {{types[0], &number, NULL, NULL}, {types[1], &string, NULL, NULL}};
        rn_batch batch = {1, 2, columns};
        ck_assert_int_eq(rn_rows_append(&made->rows, &batch, NULL, NULL, 1, &made->row[i]),
                         RATION_OK);
        word += rn_random_below(seed, 3) == 0 ? rn_random_below(seed, words) : 0;
        made->key[i] = i + 1 == count ? UINT64_MAX : word;
    }
    made->count = count;
}

/* Writes rows whose `of` is `which` as one run. */
static void write_run(bench *made, const uint8_t *of, uint8_t which, uint64_t mask)
{
    rn_runs_begin(&made->runs, made->by.execution.worker.spill_buffer);
    for (uint32_t i = 0; i < made->count; i++) {
        if (of[i] == which) {
            ck_assert_int_eq(rn_row_run_put(&made->runs.writer, made->key[i], made->row[i]),
                             RATION_OK);
        }
    }
    ck_assert_int_eq(rn_runs_end(&made->runs, mask), RATION_OK);
}

/* A source in memory: the rows whose `of` is `which`. */
typedef struct some_rows {
    const bench *made;
    const uint8_t *of;
    uint8_t which;
    uint32_t at;
} some_rows;

static bool next_of(void *state, uint64_t *out_key, const rn_row **out_row)
{
    some_rows *some = state;
    while (some->at < some->made->count && some->of[some->at] != some->which) {
        some->at += 1;
    }
    if (some->at == some->made->count) {
        return false;
    }
    *out_key = some->made->key[some->at];
    *out_row = some->made->row[some->at++];
    return true;
}

static void expect_row(const bench *made, uint64_t key, const rn_row *row, uint32_t index)
{
    ck_assert_uint_lt(index, made->count);
    ck_assert_ptr_nonnull(row);
    ck_assert_uint_eq(number_of(made, row), index);
    ck_assert_uint_eq(key, made->key[index]);
    ck_assert_uint_eq(rn_row_bytes(row), rn_row_bytes(made->row[index]));
    ck_assert_int_eq(memcmp(row, made->row[index], rn_row_bytes(row)), 0);
}

/* What the open merge gives is rows 0, 1, ..: by steps, or by batches that are looked at when they
 * are complete. */
static void expect_all(bench *made, rn_merge *merge, bool steps, uint64_t *seed)
{
    const rn_row *rows[300];
    uint32_t index = 0, count = 1;
    while (steps && merge->row != NULL) {
        expect_row(made, merge->key, merge->row, index++);
        ck_assert_int_eq(rn_merge_step(merge), RATION_OK);
    }
    while (!steps && count > 0) {
        ck_assert_int_eq(
            rn_merge_rows(merge, rows, 1 + (uint32_t)rn_random_below(seed, 300), &count),
            RATION_OK);
        for (uint32_t i = 0; i < count; i++, index++) {
            expect_row(made, made->key[index], rows[i], index);
        }
    }
    ck_assert_uint_eq(index, made->count);
    ck_assert_ptr_null(merge->row);
    ck_assert_int_eq(rn_merge_rows(merge, rows, 1, &count), RATION_OK);
    ck_assert_uint_eq(count, 0);
}

/* Draws rows' runs at random: of[i] < runs, and `runs` for rows that stay in memory. */
static void deal(const bench *made, uint64_t *seed, uint8_t *of, uint32_t runs, bool memory)
{
    for (uint32_t i = 0; i < made->count; i++) {
        of[i] = (uint8_t)rn_random_below(seed, runs + memory);
    }
}

static uint8_t of[ROWS_MAX];
static bench made;

/* ---------------------------------------------------------------------------------------- tests */

START_TEST(test_merge__gives_every_row_once_in_order)
{
    uint64_t seed = sample_seed("merge");
    for (int round = 0; round < 40; round++) {
        bool memory = rn_random_below(&seed, 2) == 0;
        uint32_t runs = (uint32_t)rn_random_below(&seed, 20) + !memory;
        bench_open(&made, 0);
        make_rows(&made, &seed, (uint32_t)rn_random_below(&seed, 3000), 300,
                  1 + rn_random_below(&seed, 5));
        deal(&made, &seed, of, runs, memory);
        for (uint32_t i = 0; i < runs; i++) {
            write_run(&made, of, (uint8_t)i, 1);
        }
        some_rows some = {&made, of, (uint8_t)runs, 0};
        rn_merge_memory source = {next_of, &some, rn_random_below(&seed, 2) == 0 ? 0 : 400};
        int64_t before = ration_context_bytes(made.by.op.context, true);
        int64_t bound = rn_merge_bound(&made.runs, 1, memory ? &source : NULL);
        rn_merge merge;
        ck_assert_int_eq(rn_merge_open(&merge, &made.runs, 1, memory ? &source : NULL), RATION_OK);
        ck_assert_int_eq(ration_context_bytes(made.by.op.context, true) - before, bound);
        expect_all(&made, &merge, rn_random_below(&seed, 2) == 0, &seed);
        rn_merge_close(&merge);
        rn_merge_close(&merge);
        bench_close(&made);
    }
}
END_TEST

/* Rows from memory are written somewhere in the middle: what follows comes from the run. */
START_TEST(test_merge__writes_memory_in_the_middle)
{
    uint64_t seed = sample_seed("middle");
    for (int round = 0; round < 40; round++) {
        uint32_t runs = (uint32_t)rn_random_below(&seed, 4), index = 0, written = 0;
        bench_open(&made, 0);
        make_rows(&made, &seed, 1 + (uint32_t)rn_random_below(&seed, 3000), 300, 3);
        deal(&made, &seed, of, runs, true);
        for (uint32_t i = 0; i < runs; i++) {
            write_run(&made, of, (uint8_t)i, 1);
        }
        uint32_t at = (uint32_t)rn_random_below(&seed, made.count);
        some_rows some = {&made, of, (uint8_t)runs, 0};
        rn_merge_memory source = {next_of, &some, 400};
        rn_merge merge;
        ck_assert_int_eq(rn_merge_start(&merge, &made.runs, 1, &source), RATION_OK);
        for (; merge.row != NULL; index++) {
            if (index == at && rn_merge_has_memory(&merge)) {
                ck_assert_int_eq(rn_merge_write_memory(&merge, &made.runs), RATION_OK);
                ck_assert_uint_eq(made.runs.count, runs + 1);
                written = 1;
            }
            ck_assert(!written || merge.row != made.row[index]);
            ck_assert(!written || !rn_merge_has_memory(&merge));
            expect_row(&made, merge.key, merge.row, index);
            ck_assert_int_eq(rn_merge_step(&merge), RATION_OK);
        }
        ck_assert_uint_eq(index, made.count);
        ck_assert_int_eq(rn_merge_write_memory(&merge, &made.runs), RATION_OK);
        rn_merge_close(&merge);
        bench_close(&made);
    }
}
END_TEST

/* Suspended and taken up again and again, by steps and by batches, sometimes narrowed between. */
START_TEST(test_merge__is_suspended_and_goes_on)
{
    uint64_t seed = sample_seed("suspend");
    for (int round = 0; round < 30; round++) {
        uint32_t runs = (uint32_t)rn_random_below(&seed, 6), index = 0;
        bench_open(&made, 0);
        make_rows(&made, &seed, (uint32_t)rn_random_below(&seed, 6000), 300, 3);
        deal(&made, &seed, of, runs, true);
        for (uint32_t i = 0; i < runs; i++) {
            write_run(&made, of, (uint8_t)i, 1);
        }
        some_rows some = {&made, of, (uint8_t)runs, 0};
        rn_merge_memory source = {next_of, &some, 0};
        const rn_merge_memory *memory = &source;
        do {
            rn_merge merge;
            uint32_t left = (uint32_t)rn_random_below(&seed, 2000);
            ck_assert_int_eq(rn_merge_start(&merge, &made.runs, 1, memory), RATION_OK);
            memory = NULL;
            if (rn_random_below(&seed, 2) == 0) {
                for (; left > 0 && merge.row != NULL; left--) {
                    expect_row(&made, merge.key, merge.row, index++);
                    ck_assert_int_eq(rn_merge_step(&merge), RATION_OK);
                }
            } else {
                const rn_row *rows[50];
                uint32_t count;
                do {
                    ck_assert_int_eq(rn_merge_rows(&merge, rows, 50, &count), RATION_OK);
                    for (uint32_t i = 0; i < count; i++, index++) {
                        expect_row(&made, made.key[index], rows[i], index);
                    }
                    left -= RN_MIN(left, count);
                } while (left > 0 && count > 0);
            }
            ck_assert_int_eq(rn_merge_suspend(&merge, &made.runs), RATION_OK);
            ck_assert_ptr_null(merge.context);
            if (rn_random_below(&seed, 4) == 0) {
                ck_assert_int_eq(rn_runs_narrow(&made.runs, 2), RATION_OK);
            }
        } while (made.runs.count > 0);
        ck_assert_uint_eq(index, made.count);
        bench_close(&made);
    }
}
END_TEST

/* Narrowed with room for hardly more than two buffers, then merged. */
START_TEST(test_merge__narrows_many_runs_with_few_buffers)
{
    support_skip_hard("everything spills, asked or not");
    uint64_t seed = sample_seed("narrow");
    for (int round = 0; round < 12; round++) {
        uint32_t runs = 2 + (uint32_t)rn_random_below(&seed, RN_RUNS_MAX + RN_RUNS_SPARE - 1);
        uint32_t keep = 1 + (uint32_t)rn_random_below(&seed, 5);
        rn_sizes sizes = {1024, 400};
        int64_t least = rn_runs_minimum(&sizes) + 3 * RN_BLOCK_BYTES;
        bench_open(&made, least + (int64_t)rn_random_below(&seed, 10) * RN_BLOCK_BYTES);
        make_rows(&made, &seed, 5000 + (uint32_t)rn_random_below(&seed, 40000), 100, 4);
        deal(&made, &seed, of, runs, false);
        for (uint32_t i = 0; i < runs; i++) {
            write_run(&made, of, (uint8_t)i, 1);
        }
        int64_t bytes = made.runs.spilled_bytes;
        if (round % 2 == 0) {
            ck_assert_int_eq(rn_runs_narrow(&made.runs, keep), RATION_OK);
            ck_assert_uint_le(made.runs.count, keep);
            ck_assert(!rn_runs_full(&made.runs));
        }
        ck_assert_int_eq(made.runs.spilled_bytes, bytes);
        rn_merge merge;
        ck_assert_int_eq(rn_merge_start(&merge, &made.runs, 1, NULL), RATION_OK);
        expect_all(&made, &merge, false, &seed);
        rn_merge_close(&merge);
        bench_close(&made);
    }
}
END_TEST

/* Runs of several parts: of each part at most `keep` are left, and no row is in another part. */
START_TEST(test_merge__narrows_parts)
{
    static uint8_t part_of[ROWS_MAX];
    uint64_t seed = sample_seed("parts");
    for (int round = 0; round < 12; round++) {
        uint32_t runs = 2 + (uint32_t)rn_random_below(&seed, RN_RUNS_MAX);
        uint32_t keep = 1 + (uint32_t)rn_random_below(&seed, 5);
        uint64_t masks[RN_RUNS_MAX + 2];
        bench_open(&made, 0);
        make_rows(&made, &seed, 10000, 10, 4);
        for (uint32_t i = 0; i < runs; i++) {
            masks[i] = 1 + rn_random_below(&seed, (1 << PARTS) - 1);
        }
        deal(&made, &seed, of, runs, false);
        for (uint32_t i = 0; i < made.count; i++) {
            part_of[i] = (uint8_t)masks[of[i]];
        }
        for (uint32_t i = 0; i < runs; i++) {
            write_run(&made, of, (uint8_t)i, masks[i]);
        }
        ck_assert_int_eq(rn_runs_narrow(&made.runs, keep), RATION_OK);
        ck_assert(!rn_runs_full(&made.runs));
        for (uint32_t part = 0; part < PARTS; part++) {
            uint64_t bit = UINT64_C(1) << part;
            uint32_t left = 0, needed = 0, seen = 0;
            for (uint32_t i = 0; i < made.runs.count; i++) {
                left += (made.runs.runs[i].mask & bit) != 0;
            }
            ck_assert_uint_le(left, keep);
            rn_merge merge;
            ck_assert_int_eq(rn_merge_start(&merge, &made.runs, bit, NULL), RATION_OK);
            while (merge.row != NULL) {
                seen += (part_of[number_of(&made, merge.row)] & bit) != 0;
                ck_assert_int_eq(rn_merge_step(&merge), RATION_OK);
            }
            rn_merge_close(&merge);
            for (uint32_t i = 0; i < made.count; i++) {
                needed += (part_of[i] & bit) != 0;
            }
            ck_assert_uint_eq(seen, needed);
        }
        bench_close(&made);
    }
}
END_TEST

/* While narrowing settles, others ask: what is held is written, beside the run in the making. */
START_TEST(test_merge__spills_while_it_narrows)
{
    uint64_t seed = sample_seed("spills");
    for (int round = 0; round < 6; round++) {
        uint32_t runs = 2 + (uint32_t)rn_random_below(&seed, RN_RUNS_MAX - 1);
        bench_open(&made, 0);
        make_rows(&made, &seed, 50000, 100, 4);
        uint32_t held = 1 + (uint32_t)rn_random_below(&seed, 1400);
        deal(&made, &seed, of, runs, false);
        for (uint32_t i = 0; i < held; i++) {
            of[i] = UINT8_MAX;
        }
        made.held_end = held;
        for (uint32_t i = 0; i < runs; i++) {
            write_run(&made, of, (uint8_t)i, 1);
        }
        rn_store(&made.by.query->want_bytes, 1 << 20);
        ck_assert_int_eq(rn_runs_narrow(&made.runs, 1), RATION_OK);
        ck_assert_int_gt(made.spilled, 0);
        while (made.held_at < made.held_end) {
            ck_assert_int_eq(spill_some(&made.by.op, 1), RATION_OK);
        }
        rn_merge merge;
        ck_assert_int_eq(rn_merge_start(&merge, &made.runs, 1, NULL), RATION_OK);
        expect_all(&made, &merge, true, &seed);
        rn_merge_close(&merge);
        bench_close(&made);
    }
}
END_TEST

/* Rows wider than a block, each in a block of its own. */
START_TEST(test_merge__wide_rows)
{
    uint64_t seed = sample_seed("wide");
    bench_open(&made, 0);
    make_rows(&made, &seed, 200, 300000, 2);
    deal(&made, &seed, of, 9, false);
    for (uint32_t i = 0; i < 9; i++) {
        write_run(&made, of, (uint8_t)i, 1);
    }
    ck_assert_int_eq(rn_runs_narrow(&made.runs, 3), RATION_OK);
    rn_merge merge;
    ck_assert_int_eq(rn_merge_start(&merge, &made.runs, 1, NULL), RATION_OK);
    expect_all(&made, &merge, false, &seed);
    rn_merge_close(&merge);
    bench_close(&made);
}
END_TEST

START_TEST(test_merge__of_nothing)
{
    uint32_t count;
    const rn_row *row;
    bench_open(&made, 0);
    rn_runs_begin(&made.runs, made.by.execution.worker.spill_buffer);
    ck_assert_int_eq(rn_runs_end(&made.runs, 1), RATION_OK);
    ck_assert_uint_eq(made.runs.count, 0);
    rn_runs_begin(&made.runs, made.by.execution.worker.spill_buffer);
    rn_runs_abandon(&made.runs);
    ck_assert_int_eq(rn_runs_narrow(&made.runs, 1), RATION_OK);
    rn_merge merge;
    ck_assert_int_eq(rn_merge_start(&merge, &made.runs, 1, NULL), RATION_OK);
    ck_assert_ptr_null(merge.row);
    ck_assert_int_eq(rn_merge_rows(&merge, &row, 1, &count), RATION_OK);
    ck_assert_uint_eq(count, 0);
    rn_merge_close(&merge);
    bench_close(&made);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_merge__gives_every_row_once_in_order,
        test_merge__writes_memory_in_the_middle,
        test_merge__is_suspended_and_goes_on,
        test_merge__narrows_many_runs_with_few_buffers,
        test_merge__narrows_parts,
        test_merge__spills_while_it_narrows,
        test_merge__wide_rows,
        test_merge__of_nothing,
    };
    return support_run("merge", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What checked builds find in contexts of every kind, while chunks are in use: overflow, underflow,
 * leaks, and, where a tool sees reads, those behind the end and after the free. */
#include "tests/memory/safety.h"

#ifdef RATION_CHECKED

static void overflow_then_free(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    write_unseen(row, CHUNK_BYTES, 1);
    free_row(row);
}

static void overflow_seen(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    write_seen(row, CHUNK_BYTES, 1);
    ration_context_reset(here->rows);
}

static void overflow_into_slack(stage *here)
{
    size_t bytes = here->kind == RATION_CONTEXT_SLAB ? CHUNK_BYTES : (size_t)here->number;
    char *row = allocate_row(here, bytes);
    write_unseen(row, (int64_t)bytes, 1);
    ration_context_delete(here->rows);
}

static void overflow_then_check(stage *here)
{
    allocate_others(here);
    char *row = allocate_row(here, CHUNK_BYTES);
    allocate_others(here);
    write_unseen(row, CHUNK_BYTES, 4);
    (void)ration_context_check(here->rows);
}

static void overflow_then_reset(stage *here)
{
    allocate_others(here);
    char *row = allocate_row(here, CHUNK_BYTES);
    allocate_others(here);
    write_unseen(row, CHUNK_BYTES, 4);
    ration_context_reset(here->rows);
}

static void overflow_then_reallocate(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    write_unseen(row, CHUNK_BYTES, 1);
    (void)!ration_context_reallocate(row, CHUNK_BYTES);
}

static void overflow_alone(stage *here)
{
    char *row = allocate_row(here, 100000);
    write_unseen(row, 100000, 1);
    ration_context_delete(here->rows);
}

static void overflow_aligned(stage *here)
{
    char *row = allocate_row_aligned(here, 256);
    write_unseen(row, CHUNK_BYTES, 1);
    ration_context_delete(here->rows);
}

static void overflow_below(stage *here)
{
    ration_context *top = here->rows;
    ck_assert_int_eq(
        ration_context_create(top, &here->slot->hot, RATION_CONTEXT_SET, "rows", &here->rows),
        RATION_OK);
    char *row = allocate_row(here, CHUNK_BYTES);
    write_unseen(row, CHUNK_BYTES, 1);
    ration_context_delete(top);
}

static void underflow_then_free(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    write_unseen(row, -here->number, here->number);
    free_row(row);
}

static void underflow_seen(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    write_seen(row, -1, 1);
    ration_context_reset(here->rows);
}

static void underflow_then_delete(stage *here)
{
    allocate_others(here);
    char *row = allocate_row(here, CHUNK_BYTES);
    allocate_others(here);
    write_unseen(row, -here->number, here->number);
    ration_context_delete(here->rows);
}

static volatile char sink;

static void read_freed(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    free_row(row);
    sink = row[50];
}

static void read_behind(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    sink = row[CHUNK_BYTES];
}

static void leak_rows(stage *here)
{
    ration_context_report_leaks(here->rows, true);
    char *row = allocate_row(here, CHUNK_BYTES);
    char *freed = allocate_row(here, CHUNK_BYTES);
    ration_context_free(freed);
    memset(row, 1, CHUNK_BYTES);
    if (here->number == 0) {
        ration_context_delete(here->rows);
    } else {
        ration_context_reset(here->rows);
        ck_assert_int_eq(rn_faults(), 1);
        ration_context_delete(here->rows);
    }
    _exit(rn_faults() == 1 ? 0 : 3);
}

static void leave_nothing(stage *here)
{
    ration_context_report_leaks(here->rows, true);
    for (int i = 0; i < 100; i++) {
        ration_context_free(allocate_row(here, CHUNK_BYTES));
    }
    ration_context_reset(here->rows);
    for (int i = 0; i < 10; i++) {
        ration_context_free(allocate_row(here, CHUNK_BYTES));
    }
    ration_context_delete(here->rows);
    _exit(rn_faults() == 0 ? 0 : 3);
}

/* ---------------------------------------------------------------------------------------- tests */

START_TEST(test_safety__overflow_found_by_free)
{
    expect_whole_report((misdeed){overflow_then_free, (ration_context_kind)_i, 0,
                                  "overflow of a chunk: 100 bytes at", "ration_context_free",
                                  NULL});
}
END_TEST

START_TEST(test_safety__overflow_found_later)
{
    ration_context_kind kind = (ration_context_kind)_i;
    const char *error = "overflow of a chunk: 100 bytes at";
    expect_whole_report(
        (misdeed){overflow_then_check, kind, 0, error, "ration_context_check", NULL});
    expect_whole_report(
        (misdeed){overflow_then_reset, kind, 0, error, "ration_context_reset", NULL});
    expect_whole_report((misdeed){overflow_seen, kind, 0, error, "ration_context_reset", NULL});
}
END_TEST

START_TEST(test_safety__overflow_into_the_slack)
{
    for (int64_t bytes = 0; bytes < 40; bytes += 1 + (bytes > 17)) {
        expect_report((misdeed){overflow_into_slack, (ration_context_kind)_i, bytes,
                                "overflow of a chunk: ", "ration_context_delete", NULL});
    }
}
END_TEST

START_TEST(test_safety__overflow_of_large_and_aligned)
{
    ration_context_kind kind = (ration_context_kind)_i;
    if (kind == RATION_CONTEXT_SLAB) {
        return;
    }
    expect_whole_report((misdeed){overflow_alone, kind, 0, "overflow of a chunk: 100000 bytes at",
                                  "ration_context_delete", NULL});
    expect_whole_report((misdeed){overflow_aligned, kind, 0, "overflow of a chunk: 100 bytes at",
                                  "ration_context_delete", NULL});
}
END_TEST

START_TEST(test_safety__overflow_found_by_reallocate_and_below)
{
    expect_whole_report((misdeed){overflow_then_reallocate, RATION_CONTEXT_SET, 0,
                                  "overflow of a chunk: 100 bytes at", "ration_context_reallocate",
                                  NULL});
    expect_whole_report((misdeed){overflow_below, RATION_CONTEXT_SET, 0,
                                  "overflow of a chunk: 100 bytes at", "ration_context_delete",
                                  NULL});
}
END_TEST

START_TEST(test_safety__underflow)
{
    ration_context_kind kind = (ration_context_kind)_i;
    const char *error = "underflow of a chunk: 100 bytes at";
    for (int64_t bytes = 1; bytes <= 8; bytes += 7) {
        expect_whole_report(
            (misdeed){underflow_then_delete, kind, bytes, error, "ration_context_delete", NULL});
        if (kind != RATION_CONTEXT_BUMP) {
            expect_report(
                (misdeed){underflow_then_free, kind, bytes, error, "ration_context_free", NULL});
        }
    }
    expect_whole_report((misdeed){underflow_seen, kind, 1, error, "ration_context_reset", NULL});
}
END_TEST

/* Only tools that see reads find these. */
static void count_errors(void *argument)
{
    act_on_stage(argument);
#ifdef RN_MEMCHECK
    _exit(VALGRIND_COUNT_ERRORS > 0 ? 0 : 3); /* or with what valgrind was told to */
#endif
}

START_TEST(test_safety__read_after_free_and_behind)
{
    void (*acts[])(stage *) = {read_behind, read_freed};
    size_t count = _i == RATION_CONTEXT_BUMP ? 1 : RN_COUNT(acts);
    if (!reads_are_seen()) {
        puts("skipped: neither AddressSanitizer nor valgrind");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        misdeed what = {acts[i], (ration_context_kind)_i, 0, "", "", NULL};
        last_words words;
        listen_to(&words, count_errors, &what);
        ck_assert_msg(by_sanitizer(&words) ||
                          (rn_under_valgrind() && WEXITSTATUS(words.status) != 3),
                      "%s: %s", kind_names[_i], words.text);
    }
}
END_TEST

START_TEST(test_safety__leaks)
{
    for (int64_t number = 0; number < 2; number++) {
        misdeed what = {leak_rows, (ration_context_kind)_i, number, "", "", NULL};
        last_words words;
        listen_to(&words, act_on_stage, &what);
        ck_assert_msg(WIFEXITED(words.status) && WEXITSTATUS(words.status) == 0, "%s", words.text);
        char text[256];
        (void)snprintf(text, sizeof(text),
                       "ration: leak: 100 bytes in 1 chunks left in context \"rows\" (%s)\n"
                       "found by ration_context_%s\n100 bytes in 1 chunks, the first at 0x",
                       kind_names[_i], number == 0 ? "delete" : "reset");
        ck_assert_msg(strncmp(words.text, text, strlen(text)) == 0, "%s\nis not\n%s", words.text,
                      text);
        ck_assert_msg(shows_frame(words.text, "100 bytes in 1 chunks, the first", "leak_rows"),
                      "%s", words.text);
    }
    misdeed none = {leave_nothing, (ration_context_kind)_i, 0, "", "", NULL};
    last_words words;
    listen_to(&words, act_on_stage, &none);
    ck_assert_msg(WIFEXITED(words.status) && WEXITSTATUS(words.status) == 0, "%s", words.text);
    ck_assert_str_eq(words.text, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safety");
    TCase *all = tcase_create("all");
    tcase_add_loop_test(all, test_safety__overflow_found_by_free, 1, KINDS);
    tcase_add_loop_test(all, test_safety__overflow_found_later, 0, KINDS);
    tcase_add_loop_test(all, test_safety__overflow_into_the_slack, 0, KINDS);
    tcase_add_loop_test(all, test_safety__overflow_of_large_and_aligned, 0, KINDS);
    tcase_add_test(all, test_safety__overflow_found_by_reallocate_and_below);
    tcase_add_loop_test(all, test_safety__underflow, 0, KINDS);
    tcase_add_loop_test(all, test_safety__read_after_free_and_behind, 0, KINDS);
    tcase_add_loop_test(all, test_safety__leaks, 1, KINDS);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}

#else

int main(void)
{
    puts("skipped: these are errors that checked builds find");
    return 77;
}

#endif

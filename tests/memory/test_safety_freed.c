/* SPDX-License-Identifier: Apache-2.0
 *
 * What checked builds find in contexts of every kind, once chunks were freed: double free, use
 * after free, foreign free. */
#include "tests/memory/safety.h"

#ifdef RATION_CHECKED

static void free_twice(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    free_row(row);
    free_others(here, here->number);
    ration_context_free(row);
}

static void free_twice_alone(stage *here)
{
    char *row = allocate_row(here, (size_t)here->number);
    free_row(row);
    ration_context_free(row);
}

static void free_twice_aligned(stage *here)
{
    char *row = allocate_row_aligned(here, (size_t)here->number);
    free_row(row);
    ration_context_free(row);
}

static void reallocate_freed(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    free_row(row);
    (void)!ration_context_reallocate(row, CHUNK_BYTES);
}

static void free_moved(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    char *other = allocate_row(here, CHUNK_BYTES);
    char *moved = (char *)ration_context_reallocate(row, 1000);
    ck_assert(moved != row && other != row);
    ration_context_free(row);
}

static char *freed_and_written(stage *here, int64_t at)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    (void)allocate_row(here, CHUNK_BYTES); /* a block of none is given back */
    free_row(row);
    write_unseen(row, at, 1);
    return row;
}

static void write_freed_then_check(stage *here)
{
    (void)freed_and_written(here, here->number);
    (void)ration_context_check(here->rows);
}

static void write_freed_then_reset(stage *here)
{
    (void)freed_and_written(here, 50);
    ration_context_reset(here->rows);
}

static void write_freed_then_delete(stage *here)
{
    (void)freed_and_written(here, 50);
    ration_context_delete(here->rows);
}

static void write_freed_then_free_others(stage *here)
{
    (void)freed_and_written(here, 50);
    free_others(here, 50);
}

static void write_freed_aligned(stage *here)
{
    char *row = allocate_row_aligned(here, (size_t)here->number);
    free_row(row);
    write_unseen(row, 50, 1);
    (void)ration_context_check(here->rows);
}

static void write_in_free_list(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    (void)allocate_row(here, CHUNK_BYTES);
    free_row(row);
    free_others(here, 50); /* it has left the quarantine */
    write_unseen(row, 50, 1);
    for (int i = 0; i < 100; i++) {
        (void)allocate_row(here, CHUNK_BYTES);
    }
    ration_context_delete(here->rows);
}

static void write_freed_seen(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    free_row(row);
    write_seen(row, 50, 1);
    ration_context_delete(here->rows);
}

static void free_pointer(stage *here)
{
    static _Alignas(16) char global[256];
    _Alignas(16) char local[256];
    memset(local, (int)here->number, sizeof(local));
    memset(global, (int)here->number, sizeof(global));
    char *heap = (char *)malloc(256);
    char *row = allocate_row(here, CHUNK_BYTES);
    memset(row, (int)here->number, CHUNK_BYTES);
    memset(heap, (int)here->number, 256);
    char *const foreign[] = {local + 64, global + 64, heap + 64, row + 16,
                             row + 64,   row + 1,     heap,      row + CHUNK_BYTES - 4};
    ration_context_free(foreign[here->number]);
}

static void free_bump_chunk(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    ration_context_free(row);
}

static void free_after_reset(stage *here)
{
    char *row = allocate_row(here, CHUNK_BYTES);
    ration_context_reset(here->rows);
    ration_context_free(row);
}

/* ---------------------------------------------------------------------------------------- tests */

START_TEST(test_safety_freed__double_free)
{
    ration_context_kind kind = (ration_context_kind)_i;
    const char *error = "double free of a chunk: 100 bytes at";
    int64_t others[] = {0, 1, 100};
    for (size_t i = 0; i < RN_COUNT(others); i++) {
        expect_whole_report(
            (misdeed){free_twice, kind, others[i], error, "ration_context_free", "free_row"});
    }
}
END_TEST

START_TEST(test_safety_freed__double_free_of_large_and_aligned)
{
    ration_context_kind kind = (ration_context_kind)_i;
    if (kind == RATION_CONTEXT_SLAB) {
        return;
    }
    int64_t large[] = {17000, 100000, 3000000};
    for (size_t i = 0; i < RN_COUNT(large); i++) {
        expect_whole_report((misdeed){free_twice_alone, kind, large[i], "double free of a chunk: ",
                                      "ration_context_free", "free_row"});
    }
    int64_t aligns[] = {32, 256, 4096};
    for (size_t i = 0; i < RN_COUNT(aligns); i++) {
        expect_whole_report((misdeed){free_twice_aligned, kind, aligns[i],
                                      "double free of a chunk: 100 bytes at", "ration_context_free",
                                      "free_row"});
    }
}
END_TEST

START_TEST(test_safety_freed__use_of_what_was_freed)
{
    ration_context_kind kind = (ration_context_kind)_i;
    expect_whole_report((misdeed){reallocate_freed, kind, 0, "double free of a chunk: 100 bytes at",
                                  "ration_context_reallocate", "free_row"});
    if (kind != RATION_CONTEXT_SLAB) {
        expect_whole_report((misdeed){free_moved, kind, 0, "double free of a chunk: 100 bytes at",
                                      "ration_context_free", "ration_context_reallocate"});
    }
}
END_TEST

START_TEST(test_safety_freed__write_after_free)
{
    ration_context_kind kind = (ration_context_kind)_i;
    const char *error = "write after free to a chunk: 100 bytes at";
    int64_t places[] = {0, 7, 50, CHUNK_BYTES - 1, CHUNK_BYTES + 3, -1};
    for (size_t i = 0; i < RN_COUNT(places); i++) {
        expect_whole_report((misdeed){write_freed_then_check, kind, places[i], error,
                                      "ration_context_check", "free_row"});
    }
    expect_whole_report(
        (misdeed){write_freed_then_reset, kind, 0, error, "ration_context_reset", "free_row"});
    expect_whole_report(
        (misdeed){write_freed_then_delete, kind, 0, error, "ration_context_delete", "free_row"});
    expect_whole_report(
        (misdeed){write_freed_then_free_others, kind, 0, error, "ration_context_free", "free_row"});
    expect_whole_report(
        (misdeed){write_freed_seen, kind, 0, error, "ration_context_delete", "free_row"});
}
END_TEST

START_TEST(test_safety_freed__write_after_free_of_aligned)
{
    ration_context_kind kind = (ration_context_kind)_i;
    for (int64_t align = 32; align <= 4096 && kind != RATION_CONTEXT_SLAB; align *= 2) {
        expect_whole_report((misdeed){write_freed_aligned, kind, align,
                                      "write after free to a chunk: ", "ration_context_check",
                                      "free_row"});
    }
}
END_TEST

START_TEST(test_safety_freed__write_after_free_in_a_free_list)
{
    ration_context_kind kind = (ration_context_kind)_i;
    expect_whole_report((misdeed){
        write_in_free_list, kind, 0, "write after free to a chunk: 100 bytes at",
        kind == RATION_CONTEXT_GENERATION ? "ration_context_delete" : "ration_context_allocate",
        "free_row"});
}
END_TEST

START_TEST(test_safety_freed__foreign_free)
{
    ration_context_kind kind = (ration_context_kind)_i;
    for (int64_t pointer = 0; pointer < 8; pointer++) {
        expect_report((misdeed){free_pointer, kind, pointer, "foreign free: 0x",
                                "ration_context_free", NULL});
    }
}
END_TEST

START_TEST(test_safety_freed__free_of_what_cannot_be_freed)
{
    misdeed bump = {free_bump_chunk, RATION_CONTEXT_BUMP, 0, "", "ration_context_free", NULL};
    expect_report(bump);
    for (int kind = 1; kind < 4; kind++) {
        expect_report((misdeed){free_after_reset, (ration_context_kind)kind, 0, "foreign free: 0x",
                                "ration_context_free", NULL});
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safety_freed");
    TCase *all = tcase_create("all");
    tcase_add_loop_test(all, test_safety_freed__double_free, 1, KINDS);
    tcase_add_loop_test(all, test_safety_freed__double_free_of_large_and_aligned, 1, KINDS);
    tcase_add_loop_test(all, test_safety_freed__use_of_what_was_freed, 1, KINDS);
    tcase_add_loop_test(all, test_safety_freed__write_after_free, 1, KINDS);
    tcase_add_loop_test(all, test_safety_freed__write_after_free_of_aligned, 1, KINDS);
    tcase_add_loop_test(all, test_safety_freed__write_after_free_in_a_free_list, 1, KINDS);
    tcase_add_loop_test(all, test_safety_freed__foreign_free, 1, KINDS);
    tcase_add_test(all, test_safety_freed__free_of_what_cannot_be_freed);
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

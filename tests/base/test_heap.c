/* SPDX-License-Identifier: Apache-2.0
 *
 * The door to malloc and arenas. */
#include <check.h>
#include <stdlib.h>

#include "base/heap.h"

static void check_filled(const unsigned char *bytes, size_t count, int fill)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != fill) {
            ck_abort_msg("byte %zu of %zu is %d, not %d", i, count, bytes[i], fill);
        }
    }
}

START_TEST(test_heap__zeroed_aligned_and_counted)
{
    const size_t sizes[] = {0, 1, 127, 128, 129, 100000};
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        unsigned char *memory = (unsigned char *)rn_heap_allocate(sizes[i]);
        ck_assert_ptr_nonnull(memory);
        ck_assert_uint_eq((uintptr_t)memory % 128, 0);
        ck_assert_int_eq(rn_heap_bytes(), (int64_t)sizes[i]);
        check_filled(memory, sizes[i], 0);
        if (sizes[i] > 0) {
            memset(memory, 0xff, sizes[i]);
        }
        rn_heap_free(memory, sizes[i]);
        ck_assert_int_eq(rn_heap_bytes(), 0);
    }
    rn_heap_free(NULL, 100);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

START_TEST(test_heap__refuses_impossible_sizes)
{
    rn_arena arena = {0};
    const size_t sizes[] = {SIZE_MAX,       SIZE_MAX - 1,     SIZE_MAX - 126,
                            SIZE_MAX - 127, SIZE_MAX / 2 + 1, SIZE_MAX / 2};
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        ck_assert_ptr_null(rn_heap_allocate(sizes[i]));
        ck_assert_ptr_null(rn_arena_allocate(&arena, sizes[i]));
    }
    ck_assert_ptr_null(rn_arena_copy(&arena, "", SIZE_MAX));
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

START_TEST(test_heap__fails_the_nth_time)
{
    for (int forever = 0; forever < 2; forever++) {
        rn_heap_fail_after(3, forever != 0);
        for (int i = 1; i <= 6; i++) {
            void *memory = rn_heap_allocate(10);
            ck_assert_int_eq(memory == NULL, i == 3 || (forever != 0 && i > 3));
            rn_heap_free(memory, 10);
        }
        rn_heap_fail_after(0, false);
        void *memory = rn_heap_allocate(10);
        ck_assert_ptr_nonnull(memory);
        rn_heap_free(memory, 10);
    }
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

/* Pieces of random sizes keep what was written into them until the arena goes. */
START_TEST(test_arena__pieces_do_not_overlap)
{
    enum { PIECES = 2000 };
    static unsigned char *pieces[PIECES];
    static size_t sizes[PIECES];
    rn_arena arena = {0};
    unsigned seed = 7;
    size_t sum = 0;
    for (int i = 0; i < PIECES; i++) {
        seed = seed * 1664525U + 1013904223U;
        sizes[i] = seed >> 16 & (i % 50 == 0 ? 0xffffU : 0x7fU);
        pieces[i] = (unsigned char *)rn_arena_allocate(&arena, sizes[i]);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
        check_filled(pieces[i], sizes[i], 0);
        memset(pieces[i], i % 251 + 1, sizes[i]);
        sum += sizes[i];
    }
    for (int i = 0; i < PIECES; i++) {
        check_filled(pieces[i], sizes[i], i % 251 + 1);
    }
    ck_assert_int_eq((int64_t)arena.bytes, rn_heap_bytes());
    ck_assert_uint_lt(arena.bytes, sum + sum / 4 + 16 * PIECES);
    ck_assert_str_eq(rn_arena_copy(&arena, "abcdef", 3), "abc");
    ck_assert_str_eq(rn_arena_copy(&arena, NULL, 0), "");
    rn_arena_free(&arena);
    ck_assert_int_eq(rn_heap_bytes(), 0);
    rn_arena_free(&arena);
}
END_TEST

START_TEST(test_arena__survives_a_refused_block)
{
    rn_arena arena = {0};
    rn_heap_fail_after(1, false);
    ck_assert_ptr_null(rn_arena_allocate(&arena, 100));
    ck_assert_ptr_nonnull(rn_arena_allocate(&arena, 100));
    rn_heap_fail_after(1, true);
    ck_assert_ptr_nonnull(rn_arena_allocate(&arena, 100));
    ck_assert_ptr_null(rn_arena_allocate(&arena, 100000));
    rn_heap_fail_after(0, false);
    ck_assert_ptr_nonnull(rn_arena_allocate(&arena, 100000));
    rn_arena_free(&arena);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("heap");
    tcase_add_test(tests, test_heap__zeroed_aligned_and_counted);
    tcase_add_test(tests, test_heap__refuses_impossible_sizes);
    tcase_add_test(tests, test_heap__fails_the_nth_time);
    tcase_add_test(tests, test_arena__pieces_do_not_overlap);
    tcase_add_test(tests, test_arena__survives_a_refused_block);
    Suite *suite = suite_create("base/heap");
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

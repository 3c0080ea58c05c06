/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames: pieces, blocks, the frame as a resource, faults, contracts. */
#include "tests/memory/frame_world.h"

START_TEST(test_frame__cuts_pieces_from_charged_blocks)
{
    place here = open_place(INT64_MAX);
    ration_frame *frame = open_frame(&here);
    int64_t first = rn_block_round(8 * KIB);
    expect_bytes(&here, frame, first);
    char *before = take(frame, 1);
    char *zero = take(frame, 0);
    char *next = take(frame, 17);
    ck_assert_ptr_ne(before, zero);
    ck_assert_ptr_ne(zero, next);
#ifndef RATION_CHECKED
    ck_assert_ptr_eq(zero, before + 16);
    ck_assert_ptr_eq(next, zero + 16);
    ck_assert_ptr_eq(take(frame, 16), next + 32);
    ck_assert_ptr_eq(ration_call_frame_allocate(frame, 8), next + 48);
#endif
    expect_bytes(&here, frame, first);
    for (int i = 0; i < 2000; i++) {
        memset(take(frame, 100), i, 100);
    }
    ck_assert_int_ge(ration_frame_bytes(frame), 2000 * 112);
    ck_assert_int_eq((ration_frame_bytes(frame) - first) % (64 * KIB), 0);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(ration_frame_bytes(frame)));
    ration_frame_reset(frame);
    expect_bytes(&here, frame, first);
    ration_frame_close(frame);
    ration_frame_close(NULL);
    close_place(&here);
}
END_TEST

START_TEST(test_frame__large_pieces_have_blocks_of_their_own)
{
    place here = open_place(INT64_MAX);
    ration_frame *frame = open_frame(&here);
    int64_t first = rn_block_round(8 * KIB);
    char *small = take(frame, 32);
    ration_marker marker = ration_frame_mark(frame);
    memset(take(frame, 20000), 1, 20000);
    memset(take(frame, 300000), 2, 300000);
    ck_assert_int_eq(ration_frame_bytes(frame),
                     first + rn_block_round(20016) + rn_block_round(300016));
    ck_assert_int_eq(rn_slot_used(here.slot), governed(ration_frame_bytes(frame)));
    ck_assert(ration_frame_rollback(frame, marker));
    expect_bytes(&here, frame, first);
    *small = 1;
    take(frame, 40000);
    ration_frame_reset(frame);
    expect_bytes(&here, frame, first);
    take(frame, 40000);
    ration_frame_close(frame);
    close_place(&here);
}
END_TEST

/* A piece made smaller where it lies keeps its age: a rollback to a later mark leaves it. */
START_TEST(test_frame__a_piece_that_stays_keeps_its_age)
{
    place here = open_place(INT64_MAX);
    ration_frame *frame = open_frame(&here);
    ration_resource *resource = ration_frame_resource(frame);
    ration_block older = take_block(resource, 100, 8);
    memset(older.memory, 4, 100);
    ration_marker marker = ration_frame_mark(frame);
    ck_assert_int_eq(ration_resource_reallocate(resource, &older, 80, 8), RATION_OK);
    (void)take_block(resource, 200, 8);
    ck_assert(ration_frame_rollback(frame, marker));
    ck_assert_int_eq(((char *)older.memory)[79], 4);
    ration_resource_deallocate(resource, older, 8);
    ration_frame_close(frame);
    close_place(&here);
}
END_TEST

START_TEST(test_frame__aligns)
{
    place here = open_place(INT64_MAX);
    ration_frame *frame = open_frame(&here);
    for (int lap = 0; lap < 3; lap++) {
        for (size_t align = 1; align <= 65536; align *= 2) {
            for (size_t bytes = 0; bytes <= 40000; bytes = bytes * 5 + 7) {
                char *piece = (char *)ration_frame_allocate_aligned(frame, bytes, align);
                ck_assert_ptr_nonnull(piece);
                ck_assert_uint_eq((uintptr_t)piece & (align - 1), 0);
                memset(piece, 1, bytes);
            }
        }
        ration_frame_reset(frame);
    }
    ck_assert_ptr_null(ration_frame_allocate_aligned(frame, 1, 131072));
    ck_assert_int_eq(ration_frame_status(frame), RATION_INVALID_ARGUMENT);
    ration_frame_close(frame);
    close_place(&here);
}
END_TEST

START_TEST(test_frame__refuses_and_stays_as_it_was)
{
    place here = open_place(256 * KIB);
    ration_frame *frame = open_frame(&here);
    char *piece = take(frame, 64);
    *piece = 3;
    ck_assert_int_eq(ration_frame_status(frame), RATION_OK);
    ck_assert_ptr_null(ration_frame_allocate(frame, SIZE_MAX));
    ck_assert_ptr_null(ration_frame_allocate(frame, SIZE_MAX - 15));
    ck_assert_ptr_null(ration_frame_allocate_aligned(frame, SIZE_MAX - 100, 4096));
    ck_assert_int_eq(ration_frame_status(frame), RATION_NO_MEMORY);
    int64_t bytes = ration_frame_bytes(frame);
    if (RN_GOVERNED) {
        ck_assert_ptr_null(ration_frame_allocate(frame, 300000));
        ck_assert_int_eq(ration_frame_status(frame), RATION_QUERY_LIMIT);
        while (ration_frame_allocate(frame, 1000) != NULL) {
        }
        ck_assert_int_eq(ration_frame_status(frame), RATION_QUERY_LIMIT);
        ck_assert_int_le(ration_frame_bytes(frame), 256 * KIB);
        ck_assert_int_gt(ration_frame_bytes(frame), bytes);
    }
    ck_assert_int_eq(*piece, 3);
    ration_frame_reset(frame);
    ck_assert_int_eq(ration_frame_status(frame), RATION_OK);
    expect_bytes(&here, frame, rn_block_round(8 * KIB));
    ration_frame_close(frame);
    ration_frame *none = frame;
    if (RN_GOVERNED) {
        ck_assert_int_eq(charge(here.slot, 256 * KIB), RATION_OK);
        ck_assert_int_eq(ration_frame_open(&here.slot->hot, "no", &none), RATION_QUERY_LIMIT);
        ck_assert_ptr_eq(none, frame);
        release(here.slot, 256 * KIB);
    }
    close_place(&here);
}
END_TEST

#ifndef RATION_CHECKED
START_TEST(test_frame__counts_an_align_that_is_none)
{
    place here = open_place(INT64_MAX);
    ration_frame *frame = open_frame(&here);
    int64_t faults = rn_faults();
    ck_assert_ptr_null(ration_frame_allocate_aligned(frame, 1, 0));
    ck_assert_ptr_null(ration_frame_allocate_aligned(frame, 1, 48));
    ck_assert_int_eq(rn_faults() - faults, 2);
    ration_frame_close(frame);
    rn_slot_close(here.slot);
    fixture_clear(&here.world);
}
END_TEST
#endif

/* A thousand blocks go in one step, and come back from where they went. */
START_TEST(test_frame__what_is_given_up_strands_nobody)
{
    place here = open_place(20 * MIB);
    rn_slot *other = open_slot(here.world.first);
    ration_frame *frame = open_frame(&here);
    for (int lap = 0; lap < 3; lap++) {
        for (int i = 0; i < 100000; i++) {
            *take(frame, 64) = 1;
        }
        ration_frame_reset(frame);
        expect_bytes(&here, frame, rn_block_round(8 * KIB));
        if (RN_GOVERNED) {
            ck_assert_int_eq(charge(other, 19 * MIB), RATION_OK);
            release(other, 19 * MIB);
        }
    }
    ration_frame_close(frame);
    rn_slot_close(other);
    close_place(&here);
}
END_TEST

/* -------------------------------------------------------------------------------- as a resource */

START_TEST(test_frame__newest_piece_is_given_back)
{
    place here = open_place(INT64_MAX);
    ration_frame *frame = open_frame(&here);
    ration_resource *resource = ration_frame_resource(frame);
    ration_block first = take_block(resource, 100, 8);
    ration_block second = take_block(resource, 100, 8);
    ck_assert_uint_eq(first.bytes, real_size(100, 112));
    ration_resource_deallocate(resource, second, 8);
    ration_block third = take_block(resource, 40, 8);
    ck_assert_ptr_eq(third.memory, second.memory);
    ck_assert_int_eq(ration_resource_reallocate(resource, &third, 4000, 8), RATION_OK);
    ck_assert_ptr_eq(third.memory, second.memory); /* where it lay */
    memset(third.memory, 4, third.bytes);
    ck_assert_int_eq(ration_resource_reallocate(resource, &third, 10, 8), RATION_OK);
    ck_assert_ptr_eq(third.memory, second.memory);
    ck_assert_int_eq(*(char *)third.memory, 4);
    ration_block fourth = take_block(resource, 10, 8);
    ck_assert_int_lt((char *)fourth.memory - (char *)third.memory, 100);
    ration_resource_deallocate(resource, first, 8); /* not the newest: stays until the rollback */
    ration_marker marker = ration_frame_mark(frame);
    ration_resource_deallocate(resource, fourth, 8); /* before a mark: stays too */
    ration_block fifth = take_block(resource, 10, 8);
    ck_assert_ptr_ne(fifth.memory, fourth.memory);
    ck_assert(ration_frame_rollback(frame, marker));
    ck_assert_str_eq(read_resource(resource).kind, "frame");
    ck_assert_str_eq(read_resource(resource).name, "test");
    ck_assert_int_eq(read_resource(resource).held_bytes, ration_frame_bytes(frame));
    ck_assert_int_ge(read_resource(resource).peak_bytes, ration_frame_bytes(frame));
    ration_frame_close(frame);
    close_place(&here);
}
END_TEST

#ifndef RATION_CHECKED
/* A mark whose cell lies in the room at the end of a block, directly behind a piece. */
START_TEST(test_frame__a_piece_before_a_mark_is_never_the_newest)
{
    place here = open_place(INT64_MAX);
    ration_frame *frame = open_frame(&here);
    ration_resource *resource = ration_frame_resource(frame);
    for (int lap = 0; lap < 3; lap++) {
        while (frame->end - frame->at > 16) {
            take(frame, 16);
        }
        ration_block last = take_block(resource, 16, 8);
        ck_assert_ptr_eq(frame->at, frame->end);
        ration_marker marker = ration_frame_mark(frame);
        ration_resource_deallocate(resource, last, 8);
        ration_block again = take_block(resource, 16, 8);
        ck_assert_ptr_ne(again.memory, last.memory);
        ration_resource_deallocate(resource, again, 8); /* alone in its block */
        ck_assert_ptr_eq(take_block(resource, 16, 8).memory, again.memory);
        ration_marker later = ration_frame_mark(frame);
        ck_assert(ration_frame_rollback(frame, later));
        ck_assert(ration_frame_rollback(frame, marker));
        take(frame, 16);
    }
    ration_frame_close(frame);
    close_place(&here);
}
END_TEST
#endif

START_TEST(test_frame__newest_large_piece_is_given_back)
{
    place here = open_place(INT64_MAX);
    ration_frame *frame = open_frame(&here);
    ration_resource *resource = ration_frame_resource(frame);
    int64_t bytes = ration_frame_bytes(frame);
    ration_block large = take_block(resource, 100000, 64);
    memset(large.memory, 6, 100000);
    ck_assert_int_eq(ration_resource_reallocate(resource, &large, 3000000, 64), RATION_OK);
    ck_assert_int_eq(((char *)large.memory)[99999], 6);
    ck_assert_uint_eq((uintptr_t)large.memory % 64, 0);
    memset(large.memory, 7, large.bytes);
#ifndef RATION_CHECKED /* there it is a copy */
    ck_assert_int_lt(ration_frame_bytes(frame), 3100000 + bytes);
#endif
    ration_resource_deallocate(resource, large, 64);
#ifndef RATION_CHECKED
    ck_assert_int_eq(ration_frame_bytes(frame), bytes);
#endif
    large = take_block(resource, 50000, 8);
    ration_marker marker = ration_frame_mark(frame);
    ration_resource_deallocate(resource, large, 8); /* before the mark: stays */
    ck_assert_int_gt(ration_frame_bytes(frame), bytes);
    ck_assert(ration_frame_rollback(frame, marker));
    ck_assert_int_gt(ration_frame_bytes(frame), bytes);
    ration_frame_close(frame);
    close_place(&here);
}
END_TEST

START_TEST(test_frame__large_pieces_resize_or_stay)
{
    place here = open_place(8 * MIB);
    ration_frame *frame = open_frame(&here);
    ration_resource *resource = ration_frame_resource(frame);
    ration_block block = take_block(resource, 1000000, 8);
    memset(block.memory, 3, block.bytes);
    size_t sizes[] = {1000001, 2000000, 1999990, 90000, 66000, 30000, 100, 0};
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        ck_assert_int_eq(ration_resource_reallocate(resource, &block, sizes[i], 8), RATION_OK);
        ck_assert_uint_ge(block.bytes, sizes[i]);
        ck_assert_int_eq(*(char *)block.memory, 3);
        ck_assert_int_eq(rn_slot_used(here.slot), governed(ration_frame_bytes(frame)));
    }
    ration_frame_reset(frame);
    block = take_block(resource, 1000000, 32768); /* more than pages keep when they move */
    memset(block.memory, 4, block.bytes);
    ck_assert_int_eq(ration_resource_reallocate(resource, &block, 1500000, 32768), RATION_OK);
    ck_assert_uint_eq((uintptr_t)block.memory % 32768, 0);
    ck_assert_int_eq(((char *)block.memory)[999999], 4);
    ration_block before = block;
    if (RN_GOVERNED) {
        ck_assert_int_eq(ration_resource_reallocate(resource, &block, 9000000, 32768),
                         RATION_QUERY_LIMIT);
        ck_assert_int_eq(ration_resource_allocate(resource, 9000000, 8, &block),
                         RATION_QUERY_LIMIT);
    }
    ck_assert_int_eq(ration_resource_reallocate(resource, &block, (size_t)INT64_MAX, 32768),
                     RATION_NO_MEMORY);
    ck_assert_ptr_eq(block.memory, before.memory);
    ration_frame_reset(frame);
    block = take_block(resource, 1000000, 8);
    if (RN_GOVERNED) { /* the pages themselves are refused */
        ck_assert_int_eq(ration_resource_reallocate(resource, &block, 9000000, 8),
                         RATION_QUERY_LIMIT);
    }
    ration_frame_close(frame);
    close_place(&here);
}
END_TEST

START_TEST(test_frame__random_walk_as_a_resource)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        place here = open_place(INT64_MAX);
        ration_frame *frame = open_frame(&here);
        walk how = {ration_frame_resource(frame), 60000, 4096, seed % 2 == 0, 1500};
        for (int lap = 0; lap < 3; lap++) {
            ration_marker marker = ration_frame_mark(frame);
            walk_at_random(&how, seed);
            ck_assert(ration_frame_rollback(frame, marker));
        }
        ck_assert_int_eq(rn_slot_used(here.slot), governed(ration_frame_bytes(frame)));
        ration_frame_close(frame);
        close_place(&here);
    }
}
END_TEST

START_TEST(test_frame__survives_every_fault)
{
    for (int forever = 0; forever < 2; forever++) {
        bool done = false;
        for (int n = 1; !done; n++) {
            place here = open_place(INT64_MAX);
            ration_frame *frame = NULL;
            rn_blocks_fail_after(n, forever != 0);
            ration_status status = ration_frame_open(&here.slot->hot, "faults", &frame);
            done = status == RATION_OK;
            for (int i = 0; frame != NULL && i < 300; i++) {
                if (ration_frame_allocate(frame, (size_t)(i * 97 % 20000)) == NULL) {
                    ck_assert_int_eq(ration_frame_status(frame), RATION_NO_MEMORY);
                    done = false;
                }
                ck_assert_int_eq(rn_slot_used(here.slot), governed(ration_frame_bytes(frame)));
            }
            rn_blocks_fail_after(0, false);
            ration_frame_close(frame);
            close_place(&here);
            ck_assert_int_lt(n, 400);
        }
    }
}
END_TEST

/* ------------------------------------------------------------------------------------ contracts */

#ifdef RATION_CHECKED

static WORLD_NOINLINE char *allocate_here(ration_frame *frame, size_t bytes)
{
    return (char *)ration_frame_allocate(frame, bytes);
}

static WORLD_NOINLINE ration_marker mark_here(ration_frame *frame)
{
    return ration_frame_mark(frame);
}

static void write_behind(place *here)
{
    ration_frame *frame = open_frame(here);
    ration_marker marker = ration_frame_mark(frame);
    volatile char *piece = allocate_here(frame, 40);
    piece[40] = 1;
    (void)ration_frame_rollback(frame, marker);
}

static void write_behind_large(place *here)
{
    ration_frame *frame = open_frame(here);
    volatile char *piece = allocate_here(frame, 40000);
    piece[40001] = 1;
    ration_frame_reset(frame);
}

static void write_before(place *here)
{
    ration_frame *frame = open_frame(here);
    volatile char *piece = allocate_here(frame, 40);
    piece[-1] = 1;
    ration_frame_close(frame);
}

static WORLD_NOINLINE void allocate_again(ration_frame *frame)
{
    (void)ration_frame_allocate(frame, 40);
}

static void write_after_rollback(place *here)
{
    ration_frame *frame = open_frame(here);
    ration_marker marker = ration_frame_mark(frame);
    volatile char *piece = allocate_here(frame, 40);
    (void)ration_frame_rollback(frame, marker);
    piece[3] = 1;
    allocate_again(frame);
}

static void roll_back_to_stale(place *here)
{
    ration_frame *frame = open_frame(here);
    ration_marker outer = ration_frame_mark(frame);
    (void)allocate_here(frame, 40);
    ration_marker inner = mark_here(frame);
    (void)ration_frame_rollback(frame, outer);
    (void)ration_frame_rollback(frame, inner);
}

static void roll_back_after_reset(place *here)
{
    ration_frame *frame = open_frame(here);
    (void)allocate_here(frame, 40);
    ration_marker marker = mark_here(frame);
    ration_frame_reset(frame);
    (void)ration_frame_rollback(frame, marker);
}

static void roll_back_another(place *here)
{
    ration_frame *frame = open_frame(here);
    ration_frame *other = open_frame(here);
    (void)allocate_here(frame, 40);
    ration_marker marker = mark_here(frame);
    (void)ration_frame_rollback(other, marker);
}

static WORLD_NOINLINE ration_block allocate_block_here(ration_frame *frame, size_t bytes)
{
    ration_block block = {0};
    ck_assert_int_eq(ration_resource_allocate(ration_frame_resource(frame), bytes, 8, &block),
                     RATION_OK);
    return block;
}

static void free_twice(place *here)
{
    ration_frame *frame = open_frame(here);
    ration_block block = allocate_block_here(frame, 40);
    ration_resource_deallocate(ration_frame_resource(frame), block, 8);
    ration_resource_deallocate(ration_frame_resource(frame), block, 8);
}

static void free_after_rollback(place *here)
{
    ration_frame *frame = open_frame(here);
    ration_marker marker = ration_frame_mark(frame);
    ration_block block = allocate_block_here(frame, 40);
    (void)ration_frame_rollback(frame, marker);
    ration_resource_deallocate(ration_frame_resource(frame), block, 8);
}

static void write_after_free(place *here)
{
    ration_frame *frame = open_frame(here);
    ration_block block = allocate_block_here(frame, 40);
    (void)allocate_block_here(frame, 40);
    ration_resource_deallocate(ration_frame_resource(frame), block, 8);
    ((volatile char *)block.memory)[5] = 1;
    ration_frame_reset(frame);
}

START_TEST(test_frame__contracts_are_reported)
{
    expect_report(write_behind, "overflow", "allocate_here");
    expect_report(write_behind_large, "overflow", "allocate_here");
    expect_report(write_before, "underflow", "allocate_here");
    expect_report(write_after_rollback, "write after rollback", "allocate_again");
    expect_report(roll_back_to_stale, "stale marker", "mark_here");
    expect_report(roll_back_after_reset, "stale marker", "mark_here");
    expect_report(roll_back_another, "stale marker", "mark_here");
    expect_report(free_twice, "double free", "allocate_block_here");
    expect_report(free_after_rollback, "double free", "allocate_block_here");
    expect_report(write_after_free, "after", "allocate_block_here");
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("frame");
    TCase *tests = tcase_create("frame");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_frame__cuts_pieces_from_charged_blocks);
    tcase_add_test(tests, test_frame__large_pieces_have_blocks_of_their_own);
    tcase_add_test(tests, test_frame__a_piece_that_stays_keeps_its_age);
    tcase_add_test(tests, test_frame__aligns);
    tcase_add_test(tests, test_frame__refuses_and_stays_as_it_was);
    tcase_add_test(tests, test_frame__what_is_given_up_strands_nobody);
    tcase_add_test(tests, test_frame__newest_piece_is_given_back);
    tcase_add_test(tests, test_frame__newest_large_piece_is_given_back);
    tcase_add_test(tests, test_frame__large_pieces_resize_or_stay);
    tcase_add_test(tests, test_frame__random_walk_as_a_resource);
    tcase_add_test(tests, test_frame__survives_every_fault);
#ifdef RATION_CHECKED
    tcase_add_test(tests, test_frame__contracts_are_reported);
#else
    tcase_add_test(tests, test_frame__a_piece_before_a_mark_is_never_the_newest);
    tcase_add_test(tests, test_frame__counts_an_align_that_is_none);
#endif
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Markers of frames: good ones roll back to where they were taken, stale ones are found out,
 * exactly, against a model. */
#include "tests/memory/frame_world.h"

START_TEST(test_frame_markers__rolls_back_to_where_it_was)
{
    place here = open_place(INT64_MAX);
    ration_frame *frame = open_frame(&here);
    char *kept = take(frame, 1000);
    memset(kept, 5, 1000);
    ration_marker marker = ration_frame_mark(frame);
    ration_marker again = ration_frame_mark(frame); /* nothing between: the same */
    ck_assert_ptr_eq(marker.place, again.place);
    int64_t bytes = ration_frame_bytes(frame);
    char *place_of_first = NULL;
    for (int lap = 0; lap < 5; lap++) {
        char *first = take(frame, 64);
        ck_assert(lap == 0 || first == place_of_first);
        place_of_first = first;
        for (int i = 0; i < lap * 1000; i++) {
            memset(take(frame, 64), lap, 64);
        }
        ck_assert(ration_frame_rollback(frame, lap % 2 == 0 ? marker : again));
        expect_bytes(&here, frame, bytes);
    }
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(kept[i], 5);
    }
    ration_frame_close(frame);
    close_place(&here);
}
END_TEST

/* A mark in every position up to the end of a block: it always has room. */
START_TEST(test_frame_markers__marks_fit_everywhere)
{
    for (size_t lead = 0; lead < 200; lead += 8) {
        place here = open_place(INT64_MAX);
        ration_frame *frame = open_frame(&here);
        ration_marker outer = ration_frame_mark(frame);
        take(frame, 1 + lead);
        ration_marker markers[1500];
        char *pieces[1500];
        for (int i = 0; i < 1500; i++) {
            markers[i] = ration_frame_mark(frame);
            pieces[i] = take(frame, 48);
            memset(pieces[i], i, 48);
        }
        for (int i = 1499; i >= 0; i--) {
            ck_assert_int_eq((uint8_t)pieces[i][47], (uint8_t)i);
            ck_assert(ration_frame_rollback(frame, markers[i]));
        }
        ck_assert(ration_frame_rollback(frame, outer));
        expect_bytes(&here, frame, rn_block_round(8 * KIB));
        ration_frame_close(frame);
        close_place(&here);
    }
}
END_TEST

/* The model: a list of live marks; every other marker ever taken is stale. */
typedef struct known {
    ration_marker marker;
    bool good;
    size_t pieces; /* live when it was taken */
} known;

#define MARKS 300
#define PIECES 4000

typedef struct model {
    known marks[MARKS];
    char *pieces[PIECES];
    size_t bytes[PIECES];
    uint8_t patterns[PIECES];
    size_t mark_count, piece_count;
} model;

static void model_roll(model *all, size_t pieces, const void *at, uint64_t serial)
{
    all->piece_count = pieces;
    for (size_t i = 0; i < all->mark_count; i++) {
        known *mark = &all->marks[i];
        bool same = mark->marker.place == at && mark->marker.serial == serial;
        mark->good = mark->good && (mark->marker.serial <= serial || same);
    }
}

static void look_at_pieces(const model *all)
{
    for (size_t i = 0; i < all->piece_count; i++) {
        for (size_t at = 0; at < all->bytes[i]; at += 97) {
            if ((uint8_t)all->pieces[i][at] != all->patterns[i]) {
                ck_abort_msg("piece %zu, byte %zu", i, at);
            }
        }
    }
}

static void step(ration_frame *frame, model *all, uint64_t *state)
{
    uint64_t random = rn_random(state);
    if (random % 100 == 0) {
        ration_frame_reset(frame);
        model_roll(all, 0, NULL, 0);
    } else if (random % 16 == 1 && all->mark_count < MARKS) {
        ration_marker marker = ration_frame_mark(frame);
        all->marks[all->mark_count] = (known){marker, true, all->piece_count};
        all->mark_count += 1;
    } else if (random % 16 == 2 && all->mark_count > 0) {
        const known *mark = &all->marks[(random >> 8) % all->mark_count];
#ifdef RATION_CHECKED
        if (!mark->good) {
            return;
        }
#endif
        bool good = mark->good;
        size_t pieces = mark->pieces;
        ration_marker marker = mark->marker;
        look_at_pieces(all);
        ck_assert(ration_frame_rollback(frame, marker) == good);
        if (good) {
            model_roll(all, pieces, marker.place, marker.serial);
        }
    } else if (all->piece_count < PIECES) {
        size_t bytes = (size_t)(random >> 8) % (random % 50 == 3 ? 100000 : 700);
        size_t at = all->piece_count;
        all->pieces[at] = take(frame, bytes);
        all->bytes[at] = bytes;
        all->patterns[at] = (uint8_t)(random >> 40);
        memset(all->pieces[at], all->patterns[at], bytes);
        all->piece_count += 1;
    }
}

START_TEST(test_frame_markers__random_markers_against_a_model)
{
    static model all;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        printf("seed=%llu\n", (unsigned long long)seed);
        place here = open_place(INT64_MAX);
        ration_frame *frame = open_frame(&here);
        all = (model){0};
        uint64_t state = seed;
        for (int i = 0; i < 6000; i++) {
            step(frame, &all, &state);
            ck_assert_int_eq(rn_slot_used(here.slot), governed(ration_frame_bytes(frame)));
            if (all.mark_count == MARKS) {
                ration_frame_reset(frame);
                all = (model){0};
            }
        }
        look_at_pieces(&all);
        ration_frame_close(frame);
        rn_slot_close(here.slot);
        fixture_clear(&here.world);
    }
}
END_TEST

#ifndef RATION_CHECKED
START_TEST(test_frame_markers__stale_markers_are_found_out)
{
    place here = open_place(INT64_MAX);
    ration_frame *frame = open_frame(&here);
    ration_frame *other = open_frame(&here);
    ration_marker root = ration_frame_mark(frame);
    take(frame, 8);
    ration_marker outer = ration_frame_mark(frame);
    take(frame, 8);
    ration_marker inner = ration_frame_mark(frame);
    take(frame, 8);
    take(other, 8);
    ration_marker foreign = ration_frame_mark(other);
    int64_t faults = rn_faults();
    ck_assert(!ration_frame_rollback(frame, foreign));
    ck_assert(ration_frame_rollback(frame, outer));
    ck_assert(!ration_frame_rollback(frame, inner));
    take(frame, 8);
    ration_marker now = ration_frame_mark(frame); /* where `inner` was */
    ck_assert_ptr_eq(now.place, inner.place);
    ck_assert(!ration_frame_rollback(frame, inner));
    take(frame, 100000);
    char *live = take(frame, 500);
    ration_marker zero = {0};
    ck_assert(!ration_frame_rollback(frame, zero));
    *live = 1;
    ck_assert(ration_frame_rollback(frame, now));
    ration_frame_reset(frame);
    ck_assert(!ration_frame_rollback(frame, now));
    ck_assert(!ration_frame_rollback(frame, outer));
    ck_assert(!ration_frame_rollback(frame, root));
    ck_assert_int_eq(rn_faults() - faults, 7);
    ration_frame_close(other);
    ration_frame_close(frame);
    rn_slot_close(here.slot);
    fixture_clear(&here.world);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("frame markers");
    TCase *tests = tcase_create("frame markers");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_frame_markers__rolls_back_to_where_it_was);
    tcase_add_test(tests, test_frame_markers__marks_fit_everywhere);
    tcase_add_test(tests, test_frame_markers__random_markers_against_a_model);
#ifndef RATION_CHECKED
    tcase_add_test(tests, test_frame_markers__stale_markers_are_found_out);
#endif
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

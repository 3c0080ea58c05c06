/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames: pieces of 64 bytes, and what marking and rolling back cost by themselves.
 *
 * The rollback after 20 pieces is the difference of two loops: the second puts the frame's pointer
 * back by hand, which is what nobody can beat. The one over 100 blocks is timed singly, less what
 * the clock takes. */
#include "bench/memory.h"

#include <math.h>
#include <stdlib.h>

#define PIECE_BYTES 64
#define REWIND 256 /* pieces, which stay in the nearest cache */
#define PIECES 20
#define BLOCK_PIECES 400 /* of 16 KiB: 100 blocks of 64 */
#define BLOCK_PIECE_BYTES (16 * KIB - 64)
#define SAMPLES 501

static void write_nothing(void *state, int64_t turns)
{
    static int64_t nothing[SMALL_MAX];
    (void)state;
    for (; turns > 0; turns--) {
        rival_write(nothing, PIECE_BYTES);
        FORGET_MEMORY();
    }
}

static void allocate_piece(ration_frame *frame, size_t bytes)
{
    void *piece = ration_frame_allocate(frame, bytes);
    if (RN_UNLIKELY(piece == NULL)) {
        stop_bench("refused, where there is room");
    }
    rival_write(piece, bytes);
}

static void hot_turns(void *state, int64_t turns)
{
    ration_frame *frame = (ration_frame *)state;
    ration_frame_reset(frame);
    for (int64_t i = 1; i <= turns; i++) {
        allocate_piece(frame, PIECE_BYTES);
        FORGET_MEMORY();
        if (RN_UNLIKELY(i % REWIND == 0)) {
            ration_frame_reset(frame);
        }
    }
}

static void rollback_turns(void *state, int64_t turns)
{
    ration_frame *frame = (ration_frame *)state;
    ration_frame_reset(frame);
    for (; turns > 0; turns--) {
        ration_marker marker = ration_frame_mark(frame);
        for (int i = 0; i < PIECES; i++) {
            allocate_piece(frame, PIECE_BYTES);
        }
        if (!ration_frame_rollback(frame, marker)) {
            stop_bench("a marker is stale");
        }
    }
}

static void by_hand_turns(void *state, int64_t turns)
{
    ration_frame *frame = (ration_frame *)state;
    ration_frame_reset(frame);
    for (; turns > 0; turns--) {
        char *at = frame->at;
        for (int i = 0; i < PIECES; i++) {
            allocate_piece(frame, PIECE_BYTES);
        }
        frame->at = at;
        FORGET_MEMORY();
    }
}

static int compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The middle of single rollbacks over 100 blocks. */
static double time_blocks(ration_frame *frame)
{
    static int64_t samples[SAMPLES];
    for (size_t i = 0; i < SAMPLES; i++) {
        ration_marker marker = ration_frame_mark(frame);
        for (int j = 0; j < BLOCK_PIECES; j++) {
            allocate_piece(frame, BLOCK_PIECE_BYTES);
        }
        int64_t start_ns = rn_clock_ns();
        bool back = ration_frame_rollback(frame, marker);
        FORGET_MEMORY();
        samples[i] = rn_clock_ns() - start_ns;
        if (!back) {
            stop_bench("a marker is stale");
        }
    }
    qsort(samples, SAMPLES, sizeof samples[0], compare_ns);
    return (double)samples[SAMPLES / 2];
}

void measure_frames(int rounds)
{
    ration_frame *frame = NULL;
    must_be_ok(ration_frame_open(bench_world.slot, "bench", &frame));
    job jobs[] = {{"hot", hot_turns, frame},
                  {"empty", write_nothing, frame},
                  {"mark_20_rollback", rollback_turns, frame},
                  {"by_hand", by_hand_turns, frame}};
    double best[RN_COUNT(jobs)];
    clock_jobs(jobs, RN_COUNT(jobs), rounds, best);
    print_jobs("frame.64B", "ns", jobs, 2, best);
    print_published("frame.64B", "15", 4.2, "ns", best[0]);
    print_jobs("frame", "ns", &jobs[2], 2, &best[2]);
    print_row("frame.rollback.20", best[2] - best[3], "ns", NAN, NAN);
    double clock_ns = clock_single_ns(), blocks = INFINITY;
    for (int round = 0; round < rounds && clock_ns > 0; round++) {
        blocks = fmin(blocks, time_blocks(frame));
    }
    print_row("frame.rollback.100_blocks", isinf(blocks) ? NAN : fmax(blocks - clock_ns, 0), "ns",
              NAN, NAN);
    ration_frame_close(frame);
}

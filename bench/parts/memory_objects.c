/* SPDX-License-Identifier: Apache-2.0
 *
 * Small objects: 8 .. 256 bytes in pairs and in a working set, of one size, in a queue, and a few
 * at a time between two resets.
 *
 * Every run of a loop draws the same sizes. What drawing them costs, and the loop, is in every
 * figure, and in the row `empty`. */
#include "bench/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SAMPLES 20000 /* more would take the cache that the objects lie in */
#define WARM_TURNS (8 * LIVE)
#define QUEUE 1024
#define OBJECT_BYTES 64
#define BATCH 20

/* ------------------------------------------------------------------------------- 8 .. 256 bytes */

ALWAYS_INLINE size_t draw_bytes(uint64_t random)
{
    return SMALL_MIN + (size_t)(((random >> 32) * (SMALL_MAX - SMALL_MIN + 1)) >> 32);
}

ALWAYS_INLINE void pairs(const rival *self, rival_style style, int64_t turns)
{
    rival_calls calls = self->calls;
    uint64_t random = SEED;
    for (; turns > 0; turns--) {
        size_t bytes = draw_bytes(rn_random(&random));
        void *memory = rival_take(&calls, style, bytes);
        rival_write(memory, bytes);
        rival_give(&calls, style, memory);
    }
}

/* One of the live objects, drawn, is freed, and one of another size allocated for it. */
ALWAYS_INLINE void replace_one(rival *self, const rival_calls *calls, rival_style style,
                               uint64_t random)
{
    void **place = &self->live[random % LIVE];
    size_t bytes = draw_bytes(random);
    rival_give(calls, style, *place);
    *place = rival_take(calls, style, bytes);
    rival_write(*place, bytes);
}

ALWAYS_INLINE void working(rival *self, rival_style style, int64_t turns)
{
    rival_calls calls = self->calls;
    uint64_t random = SEED;
    for (; turns > 0; turns--) {
        replace_one(self, &calls, style, rn_random(&random));
    }
}

/* First in, first out, QUEUE objects at a time. */
ALWAYS_INLINE void queue(rival *self, rival_style style, int64_t turns)
{
    rival_calls calls = self->calls;
    uint64_t random = SEED;
    for (int64_t i = 0; i < turns; i++) {
        void **place = &self->live[i % QUEUE];
        size_t bytes = draw_bytes(rn_random(&random));
        rival_give(&calls, style, *place);
        *place = rival_take(&calls, style, bytes);
        rival_write(*place, bytes);
    }
}

ALWAYS_INLINE void same_size(const rival *self, rival_style style, int64_t turns)
{
    rival_calls calls = self->calls;
    for (; turns > 0; turns--) {
        void *memory = rival_take(&calls, style, OBJECT_BYTES);
        rival_write(memory, OBJECT_BYTES);
        rival_give(&calls, style, memory);
    }
}

/* A few objects, and then all of them at once: contexts are reset, the others free each. */
ALWAYS_INLINE void batch(rival *self, rival_style style, int64_t turns)
{
    rival_calls calls = self->calls;
    for (; turns > 0; turns--) {
        for (int i = 0; i < BATCH; i++) {
            self->live[i] = rival_take(&calls, style, OBJECT_BYTES);
            rival_write(self->live[i], OBJECT_BYTES);
        }
        rival_give_all(&calls, style, self->live, BATCH);
    }
}

IN_EACH_STYLE(pairs)
IN_EACH_STYLE(working)
IN_EACH_STYLE(queue)
IN_EACH_STYLE(same_size)
IN_EACH_STYLE(batch)

static void fill(rival *self, size_t count)
{
    uint64_t random = SEED;
    for (size_t i = 0; i < count && self->here; i++) {
        self->live[i] = rival_take(&self->calls, self->style, draw_bytes(rn_random(&random)));
    }
}
static void drain(rival *self, size_t count)
{
    for (size_t i = 0; i < count && self->here; i++) {
        rival_give(&self->calls, self->style, self->live[i]);
    }
}

/* --------------------------------------------------------------------------------- distribution */

typedef struct quantiles {
    double half, percent, permille; /* P50, P99, P99.9 in ns */
} quantiles;

static int compare_ns(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Each replacement timed by itself, less what the clock takes. The others have had the caches
 * meanwhile, so all objects are replaced a few times before. */
static quantiles sample_working(rival *self, double clock_ns)
{
    static int32_t samples[SAMPLES];
    rival_calls calls = self->calls;
    uint64_t random = SEED;
    working_styles[self->style](self, WARM_TURNS);
    for (size_t i = 0; i < SAMPLES; i++) {
        uint64_t drawn = rn_random(&random);
        int64_t start_ns = rn_clock_ns();
        if (self->style == STYLE_CONTEXT) {
            replace_one(self, &calls, STYLE_CONTEXT, drawn);
        } else if (self->style == STYLE_FOREIGN) {
            replace_one(self, &calls, STYLE_FOREIGN, drawn);
        } else {
            replace_one(self, &calls, STYLE_PLAIN, drawn);
        }
        FORGET_MEMORY();
        samples[i] = (int32_t)RN_MIN(rn_clock_ns() - start_ns, INT32_MAX);
    }
    qsort(samples, SAMPLES, sizeof samples[0], compare_ns);
    return (quantiles){samples[SAMPLES / 2] - clock_ns, samples[SAMPLES * 99 / 100] - clock_ns,
                       samples[SAMPLES / 1000 * 999] - clock_ns};
}

static void print_quantile(const char *setting, rival *rivals, size_t count, const double *best)
{
    job named[RIVALS_MOST];
    size_t used = 0;
    double shown[RIVALS_MOST];
    for (size_t i = 0; i < count; i++) {
        if (rivals[i].style != STYLE_NOTHING) {
            named[used] = (job){.name = rivals[i].name};
            shown[used++] = best[i];
        }
    }
    print_jobs(setting, "ns", named, used, shown);
}

static void measure_quantiles(rival *rivals, size_t count, int rounds)
{
    double best[3][RIVALS_MOST];
    double clock_ns = clock_single_ns();
    for (size_t i = 0; i < count; i++) {
        best[0][i] = best[1][i] = best[2][i] = NAN;
    }
    for (int round = 0; round < rounds && clock_ns > 0; round++) {
        for (size_t i = 0; i < count; i++) {
            if (rivals[i].here && rivals[i].style != STYLE_NOTHING) {
                quantiles seen = sample_working(&rivals[i], clock_ns);
                best[0][i] = fmin(best[0][i], seen.half);
                best[1][i] = fmin(best[1][i], seen.percent);
                best[2][i] = fmin(best[2][i], seen.permille);
            }
        }
    }
    if (clock_ns < 0) {
        fprintf(stderr, "memory: the clock is too coarse for single operations\n");
    }
    print_quantile("working.p50", rivals, count, best[0]);
    print_quantile("working.p99", rivals, count, best[1]);
    print_quantile("working.p999", rivals, count, best[2]);
}

/* ---------------------------------------------------------------------------------------- rows */

void measure_small(rival *rivals, size_t count, int rounds)
{
    job jobs[RIVALS_MOST];
    double best[RIVALS_MOST];
    jobs_of(jobs, rivals, count, pairs_styles);
    clock_jobs(jobs, count, rounds, best);
    print_jobs("pair", "ns", jobs, count, best);
    print_published("pair", "16", 7.35, "ns", best[0]);
    print_published("pair", "15", 7.48, "ns", best[0]);

    for (size_t i = 0; i < count; i++) {
        fill(&rivals[i], LIVE);
    }
    jobs_of(jobs, rivals, count, working_styles);
    clock_jobs(jobs, count, rounds, best);
    print_jobs("working", "ns", jobs, count, best);
    measure_quantiles(rivals, count, rounds);
    for (size_t i = 0; i < count; i++) {
        drain(&rivals[i], LIVE);
    }
}

static void measure_same_size(rival *rivals, size_t count, int rounds)
{
    static rival own[2];
    ration_context *slab = NULL;
    ration_object_pool *pool = NULL;
    must_be_ok(ration_context_create_slab(NULL, bench_world.slot, OBJECT_BYTES, "bench", &slab));
    must_be_ok(ration_object_pool_open(bench_world.slot, OBJECT_BYTES, 16, "bench", &pool));
    rival_in_pool(&own[0], pool);
    rival_in_context(&own[1], "slab", slab);
    job jobs[RIVALS_MOST];
    double best[RIVALS_MOST];
    jobs_of(jobs, own, RN_COUNT(own), same_size_styles);
    jobs_of(jobs + RN_COUNT(own), rivals, count, same_size_styles);
    clock_jobs(jobs, RN_COUNT(own) + count, rounds, best);
    print_jobs("64B", "ns", jobs, RN_COUNT(own) + count, best);
    ration_context_delete(slab);
    ration_object_pool_close(pool);
}

static void measure_queue(rival *rivals, size_t count, int rounds)
{
    static rival generation;
    rival_in_context(&generation, "generation", world_context(RATION_CONTEXT_GENERATION));
    job jobs[RIVALS_MOST];
    double best[RIVALS_MOST];
    fill(&generation, QUEUE);
    for (size_t i = 0; i < count; i++) {
        fill(&rivals[i], QUEUE);
    }
    jobs_of(jobs, &generation, 1, queue_styles);
    jobs_of(jobs + 1, rivals, count, queue_styles);
    clock_jobs(jobs, count + 1, rounds, best);
    print_jobs("queue", "ns", jobs, count + 1, best);
    drain(&generation, QUEUE);
    for (size_t i = 0; i < count; i++) {
        drain(&rivals[i], QUEUE);
    }
    ration_context_delete(generation.calls.context);
}

/* The first of `rivals` is a set context. */
void measure_batch(rival *rivals, size_t count, int rounds)
{
    job jobs[RIVALS_MOST];
    double best[RIVALS_MOST];
    jobs_of(jobs, rivals, count, batch_styles);
    clock_jobs(jobs, count, rounds, best);
    for (size_t i = 0; i < count; i++) {
        best[i] /= BATCH;
    }
    print_jobs("batch20", "ns", jobs, count, best);
    print_published("batch20", "16", 4.2, "ns", best[0]);
    print_published("batch20", "15", 4.7, "ns", best[0]);
}

/* A frame, and the kinds of context but the set. */
static void measure_batch_kinds(int rounds)
{
    static rival kinds[4];
    ration_frame *frame = NULL;
    ration_context *slab = NULL;
    must_be_ok(ration_context_create_slab(NULL, bench_world.slot, OBJECT_BYTES, "bench", &slab));
    rival_in_context(&kinds[0], "bump", world_context(RATION_CONTEXT_BUMP));
    rival_in_context(&kinds[1], "generation", world_context(RATION_CONTEXT_GENERATION));
    rival_in_context(&kinds[2], "slab", slab);
    must_be_ok(ration_frame_open(bench_world.slot, "bench", &frame));
    rival_in_frame(&kinds[3], frame);
    job jobs[RN_COUNT(kinds)];
    double best[RN_COUNT(kinds)];
    jobs_of(jobs, kinds, RN_COUNT(kinds), batch_styles);
    clock_jobs(jobs, RN_COUNT(kinds), rounds, best);
    for (size_t i = 0; i < RN_COUNT(kinds); i++) {
        best[i] /= BATCH;
        print_jobs("batch20", "ns", &jobs[i], 1, &best[i]);
        ration_context_delete(kinds[i].calls.context);
    }
    ration_frame_close(frame);
}

void measure_objects(int rounds)
{
    size_t count;
    rival *rivals = rivals_open(&count);
    measure_small(rivals, count, rounds);
    measure_same_size(rivals, count, rounds);
    measure_queue(rivals, count, rounds);
    measure_batch(rivals, count, rounds);
    measure_batch_kinds(rounds);
}

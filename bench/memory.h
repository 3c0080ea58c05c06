/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of bench/memory.c and bench/parts/memory_*.c: ways to allocate, the clock, the world.
 *
 *     world_open -> rivals_open -> measure_* -> rivals_close -> world_close
 */
#ifndef RATION_BENCH_MEMORY_H
#define RATION_BENCH_MEMORY_H

#include "base/hash.h"
#include "memory/ledger.h"
#include "ration_resource.h"

#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define LIVE 8192 /* objects of a working set */
#define MILLION 1000000
#define SMALL_MIN 8
#define SMALL_MAX 256
#define RIVALS_MOST 8
#define SEED UINT64_C(20240601)

/* The compiler must not keep memory in registers over this point. */
#define FORGET_MEMORY() __asm__ volatile("" : : : "memory")

/* Prints why, and exits with 1. */
_Noreturn void stop_bench(const char *why);
static inline void must_be_ok(ration_status status)
{
    if (RN_UNLIKELY(status != RATION_OK)) {
        stop_bench(ration_status_name(status));
    }
}

/* ------------------------------------------------------------------------------- memory_clock.c */

/* Something to be timed: `run` does `turns` turns of it. `run` NULL: not here, not measured. */
typedef struct job {
    const char *name;
    void (*run)(void *state, int64_t turns);
    void *state;
} job;

/* Puts the calling thread on the last core of the process. */
void clock_pin(void);
/* Processor time of the calling thread. */
int64_t clock_thread_ns(void);
/* best[i] of job i, in ns per turn: the least of `rounds` rounds in which the jobs take turns. NAN
 * for what is not here. */
void clock_jobs(const job *jobs, size_t count, int rounds, double *best);
/* What two readings of the clock of single operations lie apart with nothing between, in ns;
 * negative when it is too coarse for them. */
double clock_single_ns(void);

/* --------------------------------------------------------------------------- memory_rivals.c */

/* A governor whose tree is root -> queries -> query -> slot. */
typedef struct world {
    ration_governor *governor;
    ration_query *query;
    ration_slot *slot;
} world;
extern world bench_world;
void world_open(void);
void world_close(void);
/* A context of the world's slot. */
ration_context *world_context(ration_context_kind kind);

/* Everybody is called through pointers, as a shared library's functions are, once a call. Inline
 * are what is so for users of ration.h, too: frames, and the look at the pointer that a context has
 * for its allocations. */
typedef struct rival_calls {
    ration_context *context;
    ration_frame *frame;
    ration_object_pool *pool;
    void *(*allocate)(size_t bytes);
    void *(*allocate_in)(ration_context *context, size_t bytes);
    void *(*allocate_object)(ration_object_pool *pool);
    void (*free_object)(ration_object_pool *pool, void *object);
    void *(*reallocate)(void *memory, size_t bytes);
    void (*free)(void *memory);
    void (*reset)(ration_context *context);
} rival_calls;

typedef enum rival_style {
    STYLE_NOTHING,
    STYLE_PLAIN,
    STYLE_CONTEXT,
    STYLE_FRAME,
    STYLE_POOL,
    STYLE_FOREIGN /* somebody else's context, in the same field */
} rival_style;

/* One way to allocate. `name` NULL: not here. */
typedef struct rival {
    const char *name;
    bool here;
    rival_style style;
    rival_calls calls;
    void *live[LIVE];
} rival;

/* Ours first (a set context), then `empty` (the loop itself), malloc, mimalloc and jemalloc. What
 * cannot be loaded is not here, and said on stderr. */
rival *rivals_open(size_t *out_count);
void rivals_close(void);
void rival_in_context(rival *self, const char *name, ration_context *context);
void rival_in_frame(rival *self, ration_frame *frame);
void rival_in_pool(rival *self, ration_object_pool *pool);
rival *rivals_find(const char *name);

/* `style` is a constant of the loop that calls these. */
ALWAYS_INLINE void *rival_take(const rival_calls *calls, rival_style style, size_t bytes)
{
    static int64_t nothing[SMALL_MAX];
    if (style == STYLE_NOTHING) {
        return nothing;
    }
    void *memory = style == STYLE_CONTEXT   ? ration_context_allocate(calls->context, bytes)
                   : style == STYLE_FRAME   ? ration_frame_allocate(calls->frame, bytes)
                   : style == STYLE_POOL    ? calls->allocate_object(calls->pool)
                   : style == STYLE_FOREIGN ? calls->allocate_in(calls->context, bytes)
                                            : calls->allocate(bytes);
    if (RN_UNLIKELY(memory == NULL)) {
        stop_bench("refused, where there is room");
    }
    return memory;
}
ALWAYS_INLINE void rival_give(const rival_calls *calls, rival_style style, void *memory)
{
    if (style == STYLE_POOL) {
        calls->free_object(calls->pool, memory);
    } else if (style != STYLE_NOTHING && style != STYLE_FRAME) {
        calls->free(memory);
    }
}
/* All of `count` at once, for whoever can; the others free each. */
ALWAYS_INLINE void rival_give_all(const rival_calls *calls, rival_style style, void **memory,
                                  size_t count)
{
    if (style == STYLE_CONTEXT || style == STYLE_FOREIGN) {
        calls->reset(calls->context);
    } else if (style == STYLE_FRAME) {
        ration_frame_reset(calls->frame);
    }
    for (size_t i = 0; i < count && (style == STYLE_PLAIN || style == STYLE_POOL); i++) {
        rival_give(calls, style, memory[i]);
    }
}
/* Every object is written to, as whoever asked for it does. */
ALWAYS_INLINE void rival_write(void *memory, size_t bytes)
{
    *(volatile int64_t *)memory = (int64_t)bytes;
}

/* Defines LOOP_styles, an array of job functions, from `LOOP(rival *, rival_style, turns)`. */
#define IN_STYLE(loop, name, style)                                                                \
    static void loop##_##name(void *state, int64_t turns)                                          \
    {                                                                                              \
        loop((rival *)state, style, turns);                                                        \
    }
#define IN_EACH_STYLE(loop)                                                                        \
    IN_STYLE(loop, nothing, STYLE_NOTHING)                                                         \
    IN_STYLE(loop, plain, STYLE_PLAIN)                                                             \
    IN_STYLE(loop, context, STYLE_CONTEXT)                                                         \
    IN_STYLE(loop, frame, STYLE_FRAME)                                                             \
    IN_STYLE(loop, pool, STYLE_POOL)                                                               \
    IN_STYLE(loop, foreign, STYLE_FOREIGN)                                                         \
    static void (*const loop##_styles[])(void *, int64_t) = {                                      \
        loop##_nothing, loop##_plain, loop##_context, loop##_frame, loop##_pool, loop##_foreign};

/* ------------------------------------------------------------------------------ memory_rows.c */

/* One row for bench/memory.sh: name, value, unit, against, ratio. NAN prints as "-": not measured,
 * or none. */
void print_row(const char *name, double value, const char *unit, double against, double ratio);
/* `setting.name` of each: the first is ours and says its value; a rival's row also how many times
 * ours its own is, but for figures that may be nothing (MiB). */
void print_jobs(const char *setting, const char *unit, const job *jobs, size_t count,
                const double *values);
/* A figure of PostgreSQL's contexts, 16.1 as a library or 15.20 in a backend, that was measured on
 * another machine (a virtual one, AMD Zen 4): beside ours without a ratio. */
void print_published(const char *setting, const char *version, double value, const char *unit,
                     double ours);
/* The jobs of one loop for all rivals. */
void jobs_of(job *jobs, rival *rivals, size_t count,
             void (*const styles[])(void *state, int64_t turns));

/* memory_objects.c: pairs, working set, queue, objects of one size, contexts reset after a few. */
void measure_objects(int rounds);
void measure_small(rival *rivals, size_t count, int rounds);
void measure_batch(rival *rivals, size_t count, int rounds);
/* memory_frames.c: frames of memory_many.c's million apart. */
void measure_frames(int rounds);
/* memory_contexts.c: creating and deleting, large chunks, growth, blocks. */
void measure_contexts(int rounds);
/* memory_many.c: a million objects, bytes they take, pages given back. Each figure comes from a
 * process of its own, which runs `many_child` and prints one line. */
void measure_many(int rounds);
int many_child(const char *mode, const char *what);
/* ns per object on fresh pages, ns to give up all, and both again on warm ones. */
#define MANY_FIGURES 4
void many_million(const rival *self, double figures[MANY_FIGURES]);
/* Makes a million objects of 8 .. 256 bytes, filled; the bytes requested. */
int64_t many_mixed(const rival *self);
/* memory_count.c: one loop for callgrind; exit code. */
int count_instructions(const char *what, int64_t turns);

#endif

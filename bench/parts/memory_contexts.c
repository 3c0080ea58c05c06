/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts created and deleted, blocks taken and given back, large objects, objects that grow. */
#include "bench/memory.h"

#include "memory/blocks.h"

#define LARGE_BYTES ((size_t)MIB)
#define GROWTH_FROM ((size_t)64)
#define GROWTH_TO ((size_t)(16 * MIB))
#define PAGE_BYTES 4096

/* ---------------------------------------------------------------------------- create and delete */

typedef struct creation {
    ration_context_kind kind;
    size_t bytes; /* of one object between the two; 0 = none */
} creation;

static void create_turns(void *state, int64_t turns)
{
    const creation *self = (const creation *)state;
    for (; turns > 0; turns--) {
        ration_context *context = world_context(self->kind);
        if (self->bytes > 0) {
            rival_write(ration_context_allocate(context, self->bytes), self->bytes);
        }
        ration_context_delete(context);
    }
}

static void measure_creation(int rounds)
{
    static creation kinds[] = {{RATION_CONTEXT_SET, 0},
                               {RATION_CONTEXT_BUMP, 0},
                               {RATION_CONTEXT_SET, 64},
                               {RATION_CONTEXT_BUMP, 64}};
    job jobs[] = {{"set", create_turns, &kinds[0]},
                  {"bump", create_turns, &kinds[1]},
                  {"set_64B", create_turns, &kinds[2]},
                  {"bump_64B", create_turns, &kinds[3]}};
    double best[RN_COUNT(jobs)];
    clock_jobs(jobs, RN_COUNT(jobs), rounds, best);
    for (size_t i = 0; i < RN_COUNT(jobs); i++) {
        print_jobs("create_delete", "ns", &jobs[i], 1, &best[i]);
    }
    print_published("create_delete", "15", 11.4, "ns", best[0]);
}

/* --------------------------------------------------------------------------------------- blocks */

static void block_turns(void *state, int64_t turns)
{
    int64_t bytes = *(const int64_t *)state;
    rn_slot *slot = rn_slot_of(bench_world.slot);
    for (; turns > 0; turns--) {
        void *block = NULL;
        must_be_ok(rn_block_acquire(slot, bytes, &block));
        FORGET_MEMORY();
        rn_block_release(slot, block, bytes);
    }
}

static void measure_blocks(int rounds)
{
    static int64_t sizes[] = {RN_BLOCK_BYTES_MIN, RN_BLOCK_BYTES, 1024 * 1024};
    job jobs[] = {{"8KiB", block_turns, &sizes[0]},
                  {"64KiB", block_turns, &sizes[1]},
                  {"1MiB", block_turns, &sizes[2]}};
    double best[RN_COUNT(jobs)];
    clock_jobs(jobs, RN_COUNT(jobs), rounds, best);
    for (size_t i = 0; i < RN_COUNT(jobs); i++) {
        print_jobs("block", "ns", &jobs[i], 1, &best[i]);
    }
}

/* ---------------------------------------------------------------------------------------- large */

ALWAYS_INLINE void large(const rival *self, rival_style style, int64_t turns)
{
    rival_calls calls = self->calls;
    for (; turns > 0; turns--) {
        void *memory = rival_take(&calls, style, LARGE_BYTES);
        rival_write(memory, LARGE_BYTES);
        rival_give(&calls, style, memory);
    }
}

/* The same, every page of it used. */
ALWAYS_INLINE void large_filled(const rival *self, rival_style style, int64_t turns)
{
    rival_calls calls = self->calls;
    for (; turns > 0; turns--) {
        char *memory = (char *)rival_take(&calls, style, LARGE_BYTES);
        for (size_t at = 0; at < LARGE_BYTES; at += PAGE_BYTES) {
            rival_write(memory + at, LARGE_BYTES);
        }
        rival_give(&calls, style, memory);
    }
}

/* Doubled from GROWTH_FROM to GROWTH_TO, filled each time. */
ALWAYS_INLINE void growth(const rival *self, rival_style style, int64_t turns)
{
    rival_calls calls = self->calls;
    for (; turns > 0; turns--) {
        char *memory = (char *)rival_take(&calls, style, GROWTH_FROM);
        size_t filled = 0;
        for (size_t bytes = GROWTH_FROM; bytes <= GROWTH_TO; bytes *= 2) {
            memory = (char *)calls.reallocate(memory, bytes);
            if (memory == NULL) {
                stop_bench("refused, where there is room");
            }
            memset(memory + filled, 1, bytes - filled);
            filled = bytes;
        }
        rival_give(&calls, style, memory);
    }
}

IN_EACH_STYLE(large)
IN_EACH_STYLE(large_filled)
IN_EACH_STYLE(growth)

static void measure_large(int rounds)
{
    static const struct {
        const char *setting;
        void (*const *styles)(void *state, int64_t turns);
    } loops[] = {{"large.1MiB", large_styles},
                 {"large.1MiB_filled", large_filled_styles},
                 {"growth.16MiB", growth_styles}};
    size_t count;
    rival *rivals = rivals_open(&count);
    for (size_t i = 0; i < RN_COUNT(loops); i++) {
        job jobs[RIVALS_MOST];
        size_t used = 0;
        double best[RIVALS_MOST];
        for (size_t j = 0; j < count; j++) {
            if (rivals[j].style != STYLE_NOTHING) {
                jobs_of(&jobs[used++], &rivals[j], 1, loops[i].styles);
            }
        }
        clock_jobs(jobs, used, rounds, best);
        print_jobs(loops[i].setting, "ns", jobs, used, best);
    }
}

void measure_contexts(int rounds)
{
    measure_creation(rounds);
    measure_blocks(rounds);
    measure_large(rounds);
}

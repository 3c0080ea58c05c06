/* SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL's contexts beside ours in one process: a C function of a PostgreSQL server, whose
 * palloc is reachable from there only, with our library and the loops of bench/parts in it.
 * bench/peers/postgresql.sh builds it and calls it in a cluster of its own.
 *
 *     bench_memory(rounds)       rows on stdout, as bench/memory.c prints them
 *     bench_memory(0)            a million objects, once: "million.NAME fresh_ns warm_ns reset_ns"
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/memutils.h"

#undef Max
#undef Min
#include "bench/memory.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(bench_memory);

typedef void *allocate_function(ration_context *context, size_t bytes);
typedef void reset_function(ration_context *context);

/* Its functions are called as they are, with its context in place of ours: nothing between. */
static void rival_there(rival *self)
{
    *self = (rival){.name = "postgresql", .here = true, .style = STYLE_FOREIGN};
    self->calls =
        (rival_calls){.context = (ration_context *)(void *)AllocSetContextCreate(
                          TopMemoryContext, "bench", ALLOCSET_DEFAULT_SIZES),
                      .allocate_in = (allocate_function *)(void (*)(void))MemoryContextAlloc,
                      .reallocate = repalloc,
                      .free = pfree,
                      .reset = (reset_function *)(void (*)(void))MemoryContextReset};
}

static void delete_there(rival *self)
{
    MemoryContextDelete((MemoryContext)(void *)self->calls.context);
}

/* ---------------------------------------------------------------------------- create and delete */

static void create_here(void *state, int64_t turns)
{
    for (; turns > 0; turns--) {
        ration_context_delete(world_context(RATION_CONTEXT_SET));
    }
}

static void create_there(void *state, int64_t turns)
{
    for (; turns > 0; turns--) {
        MemoryContextDelete(
            AllocSetContextCreate(TopMemoryContext, "bench", ALLOCSET_DEFAULT_SIZES));
    }
}

static void measure_creation(int rounds)
{
    job jobs[] = {{"set", create_here, NULL}, {"postgresql", create_there, NULL}};
    double best[RN_COUNT(jobs)];
    clock_jobs(jobs, RN_COUNT(jobs), rounds, best);
    print_jobs("create_delete", "ns", jobs, RN_COUNT(jobs), best);
}

/* ---------------------------------------------------------------------------------------- space */

static void measure_space(rival rivals[2])
{
    job named[] = {{.name = "set"}, {.name = "postgresql"}};
    double over[2];
    for (int i = 0; i < 2; i++) {
        rival_calls *calls = &rivals[i].calls;
        int64_t requested = many_mixed(&rivals[i]);
        int64_t blocks =
            i == 0
                ? ration_context_bytes(calls->context, false)
                : (int64_t)MemoryContextMemAllocated((MemoryContext)(void *)calls->context, false);
        over[i] = 100 * (double)(blocks - requested) / (double)requested;
        calls->reset(calls->context);
    }
    print_jobs("space.blocks", "%", named, 2, over);
}

Datum bench_memory(PG_FUNCTION_ARGS)
{
    static rival rivals[2];
    int rounds = PG_GETARG_INT32(0);
    clock_pin();
    world_open();
    rival_in_context(&rivals[0], "set", world_context(RATION_CONTEXT_SET));
    rival_there(&rivals[1]);
    if (rounds > 0) {
        measure_small(rivals, 2, rounds);
        measure_batch(rivals, 2, rounds);
        measure_creation(rounds);
        measure_space(rivals);
    } else {
        double figures[2][MANY_FIGURES];
        for (int i = 0; i < 2; i++) {
            many_million(&rivals[i], figures[i]);
            printf("million.%s\t%f\t%f\t%f\n", rivals[i].name, figures[i][0], figures[i][2],
                   figures[i][3]);
        }
        fflush(stdout);
    }
    delete_there(&rivals[1]);
    ration_context_delete(rivals[0].calls.context);
    world_close();
    PG_RETURN_VOID();
}

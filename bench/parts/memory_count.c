/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops whose instructions callgrind counts: count_turns alone is looked at. */
#include "bench/memory.h"

#include <stdio.h>

#define OBJECT_BYTES 64

static void count_empty(ration_context *context, int64_t turns)
{
    for (; turns > 0; turns--) {
        FORGET_MEMORY();
    }
    (void)context;
}

static void count_pair(ration_context *context, int64_t turns)
{
    for (; turns > 0; turns--) {
        ration_context_free(ration_context_allocate(context, OBJECT_BYTES));
    }
}

static void count_allocate(ration_context *context, int64_t turns)
{
    for (; turns > 0; turns--) {
        (void)ration_context_allocate(context, OBJECT_BYTES);
    }
}

static void count_create(ration_context *context, int64_t turns)
{
    for (; turns > 0; turns--) {
        ration_context_delete(world_context(RATION_CONTEXT_SET));
    }
    (void)context;
}

typedef void count_function(ration_context *context, int64_t turns);

static const struct {
    const char *name;
    ration_context_kind kind;
    count_function *run;
} counted[] = {{"empty", RATION_CONTEXT_SET, count_empty},
               {"pair", RATION_CONTEXT_SET, count_pair},
               {"bump", RATION_CONTEXT_BUMP, count_allocate},
               {"create_delete", RATION_CONTEXT_SET, count_create}};

__attribute__((noinline)) void count_turns(count_function *run, ration_context *context,
                                           int64_t turns);

void count_turns(count_function *run, ration_context *context, int64_t turns)
{
    run(context, turns);
}

/* Under valgrind the ledger finds no membarrier and orders by seq_cst. One thread needs no order,
 * so the slot is told to take the path that everybody takes elsewhere. */
int count_instructions(const char *what, int64_t turns)
{
    bench_world.slot->ordering = 0;
    for (size_t i = 0; i < RN_COUNT(counted); i++) {
        if (strcmp(counted[i].name, what) == 0) {
            ration_context *context = world_context(counted[i].kind);
            count_turns(counted[i].run, context, turns);
            ration_context_delete(context);
            return 0;
        }
    }
    fprintf(stderr, "usage: memory count empty|pair|bump|create_delete TURNS\n");
    return 2;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Who allocates: a context of ours, in a governor's tree, and three general allocators in the same
 * process. mimalloc and jemalloc are opened beside the C library's malloc, which stays what the
 * process itself uses. jemalloc needs a larger static thread-local area than the C library keeps
 * free; bench/memory.sh asks for it (glibc.rtld.optional_static_tls). */
#include "bench/memory.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define LIMIT_BYTES (1024 * GIB)

world bench_world;

void world_open(void)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = LIMIT_BYTES;
    must_be_ok(ration_governor_open(&limits, &bench_world.governor, NULL));
    must_be_ok(ration_query_open(bench_world.governor, NULL, &bench_world.query, NULL));
    must_be_ok(ration_query_slot(bench_world.query, &bench_world.slot));
}

void world_close(void)
{
    ration_query_close(bench_world.query);
    ration_governor_close(bench_world.governor);
}

ration_context *world_context(ration_context_kind kind)
{
    ration_context *context = NULL;
    must_be_ok(ration_context_create(NULL, bench_world.slot, kind, "bench", &context));
    return context;
}

/* ---------------------------------------------------------------------------------- the rivals */

static rival rivals[] = {
    {.name = "set", .here = true, .style = STYLE_CONTEXT},
    {.name = "empty", .here = true, .style = STYLE_NOTHING},
    {.name = "malloc", .here = true, .style = STYLE_PLAIN},
    {.name = "mimalloc", .style = STYLE_PLAIN},
    {.name = "jemalloc", .style = STYLE_PLAIN},
};

/* POSIX's dlsym answers a pointer to an object; the bytes are a function's. */
static bool find_function(void *library, const char *prefix, const char *name, void *out_function)
{
    char symbol[64];
    (void)snprintf(symbol, sizeof symbol, "%s%s", prefix, name);
    void *found = dlsym(library, symbol);
    memcpy(out_function, &found, sizeof found);
    return found != NULL;
}

static void open_peer(rival *peer, const char *file, const char *prefix, const char *package)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    rival_calls *calls = &peer->calls;
    peer->here = library != NULL && find_function(library, prefix, "malloc", &calls->allocate) &&
                 find_function(library, prefix, "realloc", &calls->reallocate) &&
                 find_function(library, prefix, "free", &calls->free);
    if (!peer->here) {
        const char *why = library == NULL ? dlerror() : "no malloc in it";
        fprintf(stderr, "memory: %s is not measured: %s (Debian: %s)\n", peer->name, why, package);
    }
}

void rival_in_context(rival *self, const char *name, ration_context *context)
{
    *self = (rival){.name = name, .here = true, .style = STYLE_CONTEXT};
    self->calls = (rival_calls){.context = context,
                                .reallocate = ration_context_reallocate,
                                .free = ration_context_free,
                                .reset = ration_context_reset};
}

void rival_in_frame(rival *self, ration_frame *frame)
{
    *self = (rival){.name = "frame", .here = true, .style = STYLE_FRAME};
    self->calls.frame = frame;
}

void rival_in_pool(rival *self, ration_object_pool *pool)
{
    *self = (rival){.name = "object_pool", .here = true, .style = STYLE_POOL};
    self->calls = (rival_calls){.pool = pool,
                                .allocate_object = ration_object_pool_allocate,
                                .free_object = ration_object_pool_free};
}

rival *rivals_open(size_t *out_count)
{
    if (rivals[0].calls.context == NULL) {
        rival_in_context(&rivals[0], "set", world_context(RATION_CONTEXT_SET));
        rivals_find("malloc")->calls =
            (rival_calls){.allocate = malloc, .reallocate = realloc, .free = free};
        open_peer(rivals_find("mimalloc"), "libmimalloc.so.2", "mi_", "libmimalloc2.0");
        open_peer(rivals_find("jemalloc"), "libjemalloc.so.2", "", "libjemalloc2");
    }
    *out_count = RN_COUNT(rivals);
    return rivals;
}

void rivals_close(void)
{
    ration_context_delete(rivals[0].calls.context);
    rivals[0].calls.context = NULL;
}

rival *rivals_find(const char *name)
{
    for (size_t i = 0; i < RN_COUNT(rivals); i++) {
        if (strcmp(rivals[i].name, name) == 0) {
            return &rivals[i];
        }
    }
    return NULL;
}

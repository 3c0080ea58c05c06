/* SPDX-License-Identifier: Apache-2.0
 *
 * The one door to malloc, for control structures: governors, queries, slots, plans, configuration.
 * What rows and graphs need comes from memory/ and is charged; this is not, but it is counted
 * (rn_heap_bytes) and small. Sized free. An arena hands out pieces that are given back together.
 * rn_heap_block_* are what ration_heap_resource hands to hosts, who charge it or do not; not
 * counted here.
 *
 * Faults: rn_heap_fail_after(n, forever) makes the nth allocation from now on fail, once or for
 * ever; every caller must come through with a status. n = 0 switches it off. */
#ifndef RATION_HEAP_H
#define RATION_HEAP_H

#include "base/base.h"

/* Zeroed, aligned to 128; NULL when the system has none. */
void *rn_heap_allocate(size_t bytes);
/* `memory` may be NULL. `bytes` as allocated. */
void rn_heap_free(void *memory, size_t bytes);
/* Bytes in use. Any thread. */
int64_t rn_heap_bytes(void);
void rn_heap_fail_after(int64_t n, bool forever);

/* A place where a test makes the nth call fail; all zeros is off. Any thread. */
typedef struct rn_failure {
    int64_t countdown; /* calls until the one that fails; 0 = off */
    int64_t forever;   /* every later call fails too */
} rn_failure;

void rn_failure_arm(rn_failure *failure, int64_t n, bool forever);
/* Is this the call that has to fail? One load while off. */
bool rn_failure_due(rn_failure *failure);

/* A block of at least `bytes` at a multiple of `align`, not zeroed; NULL when the system has none.
 */
void *rn_heap_block_allocate(size_t bytes, size_t align);
/* Contents kept as far as they fit, aligned to 16; NULL = none, and the block is as it was. */
void *rn_heap_block_resize(void *memory, size_t bytes);
void rn_heap_block_free(void *memory);
/* Its real size. */
size_t rn_heap_block_bytes(void *memory);

typedef struct rn_arena {
    struct rn_arena_block *blocks;
    size_t used;  /* in the newest block */
    size_t bytes; /* in all blocks */
} rn_arena;

/* Zeroed, aligned to 16; NULL when the system has none. An arena of all zeros is empty and valid.
 */
void *rn_arena_allocate(rn_arena *arena, size_t bytes);
/* A NUL-terminated copy, or NULL. */
char *rn_arena_copy(rn_arena *arena, const char *bytes, size_t count);
void rn_arena_free(rn_arena *arena);

#endif

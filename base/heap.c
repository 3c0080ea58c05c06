/* SPDX-License-Identifier: Apache-2.0
 *
 * The one door to malloc. rn_heap_allocate .. rn_heap_free, or an arena: rn_arena_allocate ..
 * rn_arena_free.
 *
 * Bytes in use are one atomic word: control structures are allocated when a query opens, not per
 * row. An arena grows by blocks that double from 1 KiB to 64 KiB; a piece that does not fit into
 * the space left of the newest block gets a block of its own *behind* it when it is larger than
 * what would be thrown away, so that a few large pieces do not waste the space of many small ones.
 */
#include "base/heap.h"

#include <malloc.h>
#include <stdlib.h>

#define HEAP_ALIGNMENT                                                                             \
    ((size_t)128) /* two cache lines: prefetched in pairs, so owners of neighbours never share */
#define ARENA_ALIGNMENT ((size_t)16)
#define ARENA_BLOCK_MIN ((size_t)1024)
#define ARENA_BLOCK_MAX ((size_t)64 * 1024)

typedef struct rn_arena_block {
    struct rn_arena_block *next;
    size_t capacity; /* bytes behind this head */
} rn_arena_block;

_Static_assert(sizeof(rn_arena_block) % ARENA_ALIGNMENT == 0, "pieces are aligned to 16");

static int64_t heap_bytes;
static rn_failure heap_failure;

void rn_failure_arm(rn_failure *failure, int64_t n, bool forever)
{
    rn_store(&failure->forever, forever ? 1 : 0);
    rn_store(&failure->countdown, n);
}

bool rn_failure_due(rn_failure *failure)
{
    if (RN_LIKELY(rn_load(&failure->countdown) == 0)) {
        return false;
    }
    int64_t before = rn_fetch_add(&failure->countdown, -1);
    if (before > 1) {
        return false;
    }
    bool forever = rn_load(&failure->forever) != 0;
    rn_store(&failure->countdown, forever ? 1 : 0);
    return before == 1 || forever;
}

void *rn_heap_allocate(size_t bytes)
{
    size_t padded;
    if (__builtin_add_overflow(bytes, HEAP_ALIGNMENT - 1, &padded) ||
        rn_failure_due(&heap_failure)) {
        return NULL;
    }
    padded = padded == HEAP_ALIGNMENT - 1 ? HEAP_ALIGNMENT : padded & ~(HEAP_ALIGNMENT - 1);
    void *memory = padded > (size_t)INT64_MAX ? NULL : aligned_alloc(HEAP_ALIGNMENT, padded);
    if (memory == NULL) {
        return NULL;
    }
    memset(memory, 0, padded);
    (void)rn_fetch_add(&heap_bytes, (int64_t)bytes);
    return memory;
}

void rn_heap_free(void *memory, size_t bytes)
{
    if (memory == NULL) {
        return;
    }
    (void)rn_fetch_add(&heap_bytes, -(int64_t)bytes);
    free(memory);
}

int64_t rn_heap_bytes(void)
{
    return rn_load(&heap_bytes);
}

void rn_heap_fail_after(int64_t n, bool forever)
{
    rn_failure_arm(&heap_failure, n, forever);
}

size_t rn_heap_block_bytes(void *memory)
{
    return malloc_usable_size(memory);
}

void *rn_heap_block_allocate(size_t bytes, size_t align)
{
    size_t padded;
    if (__builtin_add_overflow(bytes, align - 1, &padded) || rn_failure_due(&heap_failure)) {
        return NULL;
    }
    return align <= ARENA_ALIGNMENT ? malloc(bytes) : aligned_alloc(align, padded & ~(align - 1));
}

void *rn_heap_block_resize(void *memory, size_t bytes)
{
    return rn_failure_due(&heap_failure) ? NULL : realloc(memory, bytes);
}

void rn_heap_block_free(void *memory)
{
    free(memory);
}

static rn_arena_block *open_arena_block(rn_arena *arena, size_t capacity)
{
    size_t bytes;
    if (__builtin_add_overflow(capacity, sizeof(rn_arena_block), &bytes)) {
        return NULL;
    }
    rn_arena_block *block = (rn_arena_block *)rn_heap_allocate(bytes);
    if (block != NULL) {
        block->capacity = capacity;
        arena->bytes += bytes;
    }
    return block;
}

void *rn_arena_allocate(rn_arena *arena, size_t bytes)
{
    size_t wanted;
    if (__builtin_add_overflow(bytes, ARENA_ALIGNMENT - 1, &wanted)) {
        return NULL;
    }
    wanted = bytes == 0 ? ARENA_ALIGNMENT : wanted & ~(ARENA_ALIGNMENT - 1);
    rn_arena_block *newest = arena->blocks;
    if (newest != NULL && newest->capacity - arena->used >= wanted) {
        void *piece = (char *)(newest + 1) + arena->used;
        arena->used += wanted;
        return piece;
    }
    size_t left = newest == NULL ? 0 : newest->capacity - arena->used;
    size_t doubled = RN_MIN(RN_MAX(arena->bytes, ARENA_BLOCK_MIN), ARENA_BLOCK_MAX);
    size_t regular = (doubled & ~(ARENA_ALIGNMENT - 1)) - sizeof(rn_arena_block);
    bool alone = newest != NULL && wanted > regular - left;
    rn_arena_block *block = open_arena_block(arena, alone ? wanted : RN_MAX(wanted, regular));
    if (block == NULL) {
        return NULL;
    }
    if (alone) {
        block->next = newest->next;
        newest->next = block;
    } else {
        block->next = newest;
        arena->blocks = block;
        arena->used = wanted;
    }
    return block + 1;
}

char *rn_arena_copy(rn_arena *arena, const char *bytes, size_t count)
{
    size_t wanted;
    if (__builtin_add_overflow(count, (size_t)1, &wanted)) {
        return NULL;
    }
    char *copy = (char *)rn_arena_allocate(arena, wanted);
    if (copy != NULL && count > 0) {
        memcpy(copy, bytes, count);
    }
    return copy;
}

void rn_arena_free(rn_arena *arena)
{
    for (rn_arena_block *block = arena->blocks; block != NULL;) {
        rn_arena_block *next = block->next;
        rn_heap_free(block, block->capacity + sizeof(*block));
        block = next;
    }
    *arena = (rn_arena){0};
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The twin: what a ledger must answer, said with plain integers. No credit, no chunks, no claims
 * "covered" by anything, no order of words: pools and slots hold bytes, and
 *
 *     charged of a pool = max(claim, direct + used of its slots + charged of its children)
 *
 * A change is refused if and only if it would make some pool's charged grow to above its limit; the
 * one that refuses is the first of them on the way from where the bytes arrive to the root. (One
 * more bound: no slot holds more than INT64_MAX.) Sums are 128 bits wide, so nothing overflows. */
#ifndef RATION_TESTS_MEMORY_TWIN_H
#define RATION_TESTS_MEMORY_TWIN_H

#include <stdbool.h>
#include <stdint.h>

#define TWIN_POOLS 20
#define TWIN_SLOTS 24
#define TWIN_NONE (-1)

__extension__ typedef __int128 twin_bytes;

typedef struct twin_pool {
    bool open;
    int parent, depth;
    twin_bytes limit, claim, direct, charged;
    twin_bytes unchecked;
    int64_t refusals;
} twin_pool;

typedef struct twin_slot {
    bool open;
    int pool;
    twin_bytes used;
    int64_t advance;
} twin_slot;

typedef struct twin {
    twin_pool pools[TWIN_POOLS]; /* 0 is the root */
    twin_slot slots[TWIN_SLOTS];
} twin;

static inline bool twin_is_below(const twin *model, int pool, int top)
{
    while (pool != TWIN_NONE && pool != top) {
        pool = model->pools[pool].parent;
    }
    return pool == top;
}

/* Sets every pool's depth and charged. */
static inline void twin_add_up(twin *model)
{
    int deepest = 0;
    for (int i = 0; i < TWIN_POOLS; i++) {
        twin_pool *pool = &model->pools[i];
        pool->charged = pool->direct;
        pool->depth = 0;
        for (int at = i; pool->open && model->pools[at].parent != TWIN_NONE; pool->depth++) {
            at = model->pools[at].parent;
        }
        deepest = pool->depth > deepest ? pool->depth : deepest;
    }
    for (int i = 0; i < TWIN_SLOTS; i++) {
        if (model->slots[i].open) {
            model->pools[model->slots[i].pool].charged += model->slots[i].used;
        }
    }
    for (int depth = deepest; depth >= 0; depth--) {
        for (int i = 0; i < TWIN_POOLS; i++) {
            twin_pool *pool = &model->pools[i];
            if (pool->open && pool->depth == depth) {
                pool->charged = pool->charged < pool->claim ? pool->claim : pool->charged;
                if (depth > 0) {
                    model->pools[pool->parent].charged += pool->charged;
                }
            }
        }
    }
}

/* After a change of slots and pools: which pool refuses it, seen from `start`; TWIN_NONE = none.
 * `before` is how the model was; when the change is refused it is so again. */
static inline int twin_settle(twin *model, const twin *before, int start)
{
    twin_add_up(model);
    for (int i = start; i != TWIN_NONE; i = model->pools[i].parent) {
        const twin_pool *pool = &model->pools[i];
        if (pool->charged > pool->limit && pool->charged > before->pools[i].charged) {
            *model = *before;
            model->pools[i].refusals += 1;
            return i;
        }
    }
    return TWIN_NONE;
}

/* Unchecked bytes are part of what is above a limit, never more. */
static inline void twin_trim_unchecked(twin *model)
{
    for (int i = 0; i < TWIN_POOLS; i++) {
        twin_pool *pool = &model->pools[i];
        twin_bytes above = pool->charged > pool->limit ? pool->charged - pool->limit : 0;
        pool->unchecked = pool->unchecked < above ? pool->unchecked : above;
    }
}

/* The slot takes `bytes` more. */
static inline int twin_charge(twin *model, int slot, twin_bytes bytes)
{
    twin before = *model;
    model->slots[slot].used += bytes;
    if (model->slots[slot].used > INT64_MAX) {
        *model = before;
        model->pools[model->slots[slot].pool].refusals += 1;
        return model->slots[slot].pool;
    }
    return twin_settle(model, &before, model->slots[slot].pool);
}

/* Would it? Nothing changes. */
static inline bool twin_admits(const twin *model, int slot, twin_bytes bytes)
{
    twin copy = *model;
    return twin_charge(&copy, slot, bytes) == TWIN_NONE;
}

#endif

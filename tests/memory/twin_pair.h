/* SPDX-License-Identifier: Apache-2.0
 *
 * A ledger beside its twin (twin.h): what to ask for at random, and whether both say the same. */
#ifndef RATION_TESTS_MEMORY_TWIN_PAIR_H
#define RATION_TESTS_MEMORY_TWIN_PAIR_H

#include "tests/memory/racing.h"
#include "tests/memory/twin.h"

typedef struct pair {
    twin model;
    rn_ledger *ledger;
    ration_pool *pools[TWIN_POOLS];
    rn_slot *slots[TWIN_SLOTS];
    ration_status statuses[TWIN_POOLS];
    uint64_t seed;
    int bits; /* amounts below 2^bits */
    int run;
    int64_t step, granted, refused;
    const char *doing;
} pair;

#define expect(self_, condition_)                                                                  \
    do {                                                                                           \
        if (!(condition_)) {                                                                       \
            differ(self_, __LINE__, #condition_);                                                  \
        }                                                                                          \
    } while (0)

static inline void differ(const pair *self, int line, const char *text)
{
    ck_abort_msg("line %d: %s, in %s at step %lld of run %d", line, text, self->doing,
                 (long long)self->step, self->run);
}

/* -------------------------------------------------------------------------------------- choices */

static inline uint64_t below(pair *self, uint64_t bound)
{
    return rn_random_below(&self->seed, bound);
}

static inline int64_t magnitude(pair *self)
{
    int bits = (int)below(self, (uint64_t)self->bits + 1);
    return (int64_t)below(self, UINT64_C(1) << bits);
}

static inline int any_pool(pair *self)
{
    int i = (int)below(self, TWIN_POOLS);
    while (!self->model.pools[i].open) {
        i = (i + 1) % TWIN_POOLS;
    }
    return i;
}

/* TWIN_NONE when there is none. */
static inline int any_slot(pair *self)
{
    int i = (int)below(self, TWIN_SLOTS);
    for (int n = 0; n < TWIN_SLOTS; n++, i = (i + 1) % TWIN_SLOTS) {
        if (self->model.slots[i].open) {
            return i;
        }
    }
    return TWIN_NONE;
}

static inline int64_t clamp(twin_bytes bytes)
{
    return bytes < 0 ? 0 : bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

/* What is left at the tightest pool on the way. */
static inline int64_t room_for(const pair *self, int pool)
{
    twin_bytes room = INT64_MAX;
    for (; pool != TWIN_NONE; pool = self->model.pools[pool].parent) {
        twin_bytes here = self->model.pools[pool].limit - self->model.pools[pool].charged;
        room = here < room ? here : room;
    }
    return clamp(room);
}

/* Something to ask for at `pool`. */
static inline int64_t amount(pair *self, int pool)
{
    int64_t room = room_for(self, pool);
    switch (below(self, 8)) {
    case 0:
        return room;
    case 1:
        return rn_add(room, 1);
    case 2:
        return room / 2;
    case 3:
        return clamp(self->model.pools[pool].claim);
    case 4:
        return (int64_t)below(self, 64);
    default:
        return magnitude(self);
    }
}

/* Direct bytes and used bytes of the pool alone: what may be released there by anybody. */
static inline int64_t held_in(const pair *self, int pool)
{
    twin_bytes held = self->model.pools[pool].direct;
    for (int i = 0; i < TWIN_SLOTS; i++) {
        const twin_slot *slot = &self->model.slots[i];
        held += slot->open && slot->pool == pool ? slot->used : 0;
    }
    return clamp(held);
}

/* All of it, or some. */
static inline int64_t part_of(pair *self, int64_t bytes)
{
    int64_t some = magnitude(self);
    return below(self, 4) == 0 ? bytes : RN_MIN(some, bytes);
}

/* ------------------------------------------------------------------------------------- equality */

static inline void compare_pool(const pair *self, int i)
{
    const twin_pool *model = &self->model.pools[i];
    ration_pool_figures figures = read_pool(self->pools[i]);
    expect(self, figures.charged_bytes == model->charged);
    expect(self, figures.limit_bytes == model->limit);
    expect(self, figures.claim_bytes == model->claim);
    expect(self, figures.unchecked_bytes == model->unchecked);
    expect(self, figures.refusals == model->refusals);
    expect(self, figures.credit_bytes == figures.granted_bytes - figures.charged_bytes);
    expect(self, figures.credit_bytes >= 0);
    expect(self, figures.granted_bytes <= RN_MAX(figures.limit_bytes, figures.charged_bytes));
    expect(self, figures.peak_bytes >= figures.granted_bytes);
    expect(self, figures.waiting == 0);
}

static inline void compare_way(pair *self, int pool)
{
    twin_trim_unchecked(&self->model);
    for (; pool != TWIN_NONE; pool = self->model.pools[pool].parent) {
        compare_pool(self, pool);
    }
}

static inline void compare_all(const pair *self)
{
    for (int i = 0; i < TWIN_POOLS; i++) {
        if (self->model.pools[i].open) {
            compare_pool(self, i);
        }
    }
    for (int i = 0; i < TWIN_SLOTS; i++) {
        if (self->model.slots[i].open) {
            expect(self, rn_slot_used(self->slots[i]) == self->model.slots[i].used);
            expect(self, rn_slot_check(self->slots[i]));
        }
    }
    char text[256] = "";
    if (!ration_pool_check(self->pools[0], text, sizeof text)) {
        differ(self, __LINE__, text);
    }
}

/* The refusal names the pool that the model names, with the figures of that instant. */
static inline void expect_no(pair *self, const rn_no *no, int pool, int64_t asked_bytes)
{
    expect(self, no->pool == self->pools[pool]);
    expect(self, no->status == self->statuses[pool]);
    expect(self, asked_bytes < 0 || no->asked_bytes == asked_bytes);
    expect(self, no->charged_bytes == self->model.pools[pool].charged);
    expect(self, no->limit_bytes == self->model.pools[pool].limit);
    self->refused += 1;
}

/* `status` is the answer for `bytes` of the slot, and `full` what the model says. */
static inline void expect_answer(pair *self, int slot, int64_t bytes, ration_status status,
                                 int full)
{
    expect(self, (status == RATION_OK) == (full == TWIN_NONE));
    if (full == TWIN_NONE) {
        self->granted += 1;
        return;
    }
    rn_no no;
    expect(self, status == self->statuses[full]);
    expect(self, rn_slot_refusal(self->slots[slot], &no));
    expect_no(self, &no, full, bytes);
}

#endif

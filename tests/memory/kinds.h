/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts of one kind, against a model: for tests of slab and generation contexts. */
#ifndef RATION_TESTS_MEMORY_KINDS_H
#define RATION_TESTS_MEMORY_KINDS_H

#include "memory/poison.h"
#include "memory/pool.h"
#include "memory/region.h"
#include "tests/memory/fixture.h"

#define KIB ((int64_t)1024)

typedef struct place {
    fixture world;
    rn_slot *slot;
} place;

static inline place open_place(int64_t limit)
{
    place here = {.world = fixture_open(INT64_C(1) << 40, limit, MIB, false)};
    here.slot = open_slot(here.world.first);
    return here;
}

/* Nothing is left: not in the slot, the pools, the blocks, the heap; and no fault was counted. */
static inline void close_place(place *here)
{
    ck_assert_int_eq(rn_slot_used(here->slot), 0);
    rn_slot_close(here->slot);
    fixture_close(&here->world);
}

/* Pieces of memory that a test has, with what was written to them. */
typedef struct piece {
    unsigned char *bytes;
    size_t count;
    unsigned char fill;
} piece;

static inline void check_piece(const piece *at)
{
    for (size_t i = 0; i < at->count; i++) {
        if (at->bytes[i] != at->fill) {
            ck_abort_msg("byte %zu of %zu was %u, not %u", i, at->count, at->bytes[i], at->fill);
        }
    }
}

static inline piece fill_piece(void *memory, size_t count, uint64_t number)
{
    ck_assert_ptr_nonnull(memory);
    ck_assert_uint_eq((uintptr_t)memory % 16, 0);
    piece made = {(unsigned char *)memory, count, (unsigned char)(number % 251 + 1)};
    memset(made.bytes, made.fill, count);
    return made;
}

static inline void check_context(const place *here, const ration_context *context)
{
    ck_assert(ration_context_check(context));
    ration_context_figures figures;
    ration_context_read(context, &figures);
    ck_assert_int_ge(figures.free_bytes, 0);
    ck_assert_int_lt(figures.free_bytes, figures.bytes);
    ck_assert(!RN_GOVERNED || rn_slot_used(here->slot) == ration_context_bytes(context, true));
}

/* What is in chunks, free, or overhead is all there is. */
static inline void check_free_bytes(const ration_context *context, int64_t chunk_bytes)
{
    ration_context_figures figures;
    ration_context_read(context, &figures);
    ck_assert_int_eq(figures.kind, context->kind->id);
    ck_assert_int_eq(figures.bytes, chunk_bytes + figures.free_bytes +
                                        figures.blocks * RN_REGION_HEAD_BYTES +
                                        context->kind->struct_bytes);
}

static inline void free_piece(piece *at)
{
    check_piece(at);
    ration_context_free(at->bytes);
    *at = (piece){0};
}

typedef struct model {
    ration_context *context;
    size_t bytes; /* of every piece; 0: any */
    uint64_t seed;
    piece pieces[3000];
} model;

static inline size_t choose_bytes(model *run)
{
    unsigned most =
        rn_random_below(&run->seed, 200) == 0 ? 18 : 1 + (unsigned)rn_random_below(&run->seed, 10);
    return run->bytes > 0 ? run->bytes : (size_t)rn_random_below(&run->seed, UINT64_C(1) << most);
}

static inline void step_model(model *run, uint64_t step, uint64_t most_in_use)
{
    piece *at = &run->pieces[rn_random_below(&run->seed, RN_COUNT(run->pieces))];
    if (at->bytes == NULL) {
        if (rn_random_below(&run->seed, RN_COUNT(run->pieces)) < most_in_use) {
            size_t count = choose_bytes(run);
            *at = fill_piece(ration_context_allocate(run->context, count), count, step);
        }
    } else if (run->bytes == 0 && rn_random_below(&run->seed, 4) == 0) {
        size_t count = choose_bytes(run);
        at->bytes = (unsigned char *)ration_context_reallocate(at->bytes, count);
        at->count = RN_MIN(count, at->count);
        check_piece(at);
        *at = fill_piece(at->bytes, count, step);
    } else {
        free_piece(at);
    }
}

/* Allocate, reallocate and free in any order, while the number of pieces in use swings between all
 * and few; now and then all are freed, or the context is reset. */
static inline void run_model(const place *here, model *run, uint64_t steps)
{
    const uint64_t swings[] = {3000, 300, 2000, 30, 3000, 0};
    for (uint64_t phase = 0; phase < 12; phase++) {
        for (uint64_t step = 0; step < steps; step++) {
            step_model(run, step, swings[phase % RN_COUNT(swings)]);
        }
        check_context(here, run->context);
        for (size_t i = 0; i < RN_COUNT(run->pieces); i++) {
            check_piece(&run->pieces[i]);
            if (phase == 6 && run->pieces[i].bytes != NULL) {
                free_piece(&run->pieces[i]);
            }
        }
        if (phase == 9) {
            ration_context_reset(run->context);
            memset(run->pieces, 0, sizeof(run->pieces));
        }
        check_context(here, run->context);
    }
}

/* A function that makes a context, uses it and drops it: the first status that is not OK. */
typedef ration_status (*use_contexts)(rn_slot *slot);

/* The nth mapping fails, once or for ever, n = 1.. until none is left to fail. */
static inline void fail_every_mapping(use_contexts use)
{
    for (int forever = 0; forever < 2; forever++) {
        ration_status status = RATION_NO_MEMORY;
        for (int64_t n = 1; status != RATION_OK; n++) {
            place here = open_place(INT64_MAX);
            rn_blocks_fail_after(n, forever != 0);
            status = use(here.slot);
            rn_blocks_fail_after(0, false);
            ck_assert(status == RATION_OK || status == RATION_NO_MEMORY);
            ck_assert(n > 1 || status == RATION_NO_MEMORY);
            close_place(&here);
            ck_assert_int_lt(n, 1000);
        }
    }
}

/* Under every limit from nothing up to what is enough. */
static inline void use_every_limit(use_contexts use)
{
    ration_status status = RATION_QUERY_LIMIT;
    int refused = 0;
    for (int64_t limit = 0; status != RATION_OK; limit += 4 * KIB) {
        place here = open_place(limit);
        status = use(here.slot);
        ck_assert(status == RATION_OK || status == RATION_QUERY_LIMIT);
        ck_assert_int_le(read_pool(here.world.first).peak_bytes, limit);
        refused += status != RATION_OK;
        close_place(&here);
    }
    ck_assert_int_gt(refused, 20);
}

#endif

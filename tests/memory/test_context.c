/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts: allocation of both kinds, the tree, callbacks, the bound, and every fault. */
#include "memory/context.h"
#include "memory/pool.h"
#include "tests/memory/fixture.h"

#define KIB ((int64_t)1024)

typedef struct place {
    fixture world;
    rn_slot *slot;
} place;

static place open_place(int64_t limit)
{
    place here = {.world = fixture_open(INT64_C(1) << 40, limit, MIB, false)};
    here.slot = open_slot(here.world.first);
    return here;
}

static void close_place(place *here)
{
    ck_assert_int_eq(rn_slot_used(here->slot), 0);
    rn_slot_close(here->slot);
    fixture_close(&here->world);
}

static ration_context *create(place *here, ration_context *parent, ration_context_kind kind,
                              const char *name)
{
    ration_context *context = NULL;
    ck_assert_int_eq(ration_context_create(parent, &here->slot->hot, kind, name, &context),
                     RATION_OK);
    return context;
}

static int64_t governed(int64_t bytes)
{
    return RN_GOVERNED ? bytes : 0;
}

static int64_t peak_of(const ration_context *context)
{
    ration_context_figures figures;
    ration_context_read(context, &figures);
    return figures.peak_bytes;
}

START_TEST(test_context__costs_one_block)
{
    place here = open_place(INT64_MAX);
    for (int kind = 0; kind < 2; kind++) {
        ration_context *context = create(&here, NULL, (ration_context_kind)kind, "one");
        ck_assert_str_eq(ration_context_name(context), "one");
        ck_assert_int_eq(ration_context_bytes(context, false), 8 * KIB);
        ck_assert_int_eq(rn_slot_used(here.slot), governed(8 * KIB));
        for (int i = 0; i < 40; i++) {
            ck_assert_ptr_nonnull(ration_context_allocate(context, 100));
        }
        ck_assert_int_eq(ration_context_bytes(context, false), 8 * KIB);
        ration_context_delete(context);
        ck_assert_int_eq(rn_slot_used(here.slot), 0);
    }
    ration_context_delete(NULL);
    close_place(&here);
}
END_TEST

START_TEST(test_context__blocks_double_up_to_64_kib)
{
    place here = open_place(INT64_MAX);
    for (int kind = 0; kind < 2; kind++) {
        ration_context *context = create(&here, NULL, (ration_context_kind)kind, "grows");
        int64_t expected[] = {8, 24, 56, 120, 184, 248};
        size_t at = 0;
        for (int i = 0; i < 20000 && at < RN_COUNT(expected); i++) {
            int64_t bytes = ration_context_bytes(context, false);
            if (at == 0 || bytes != expected[at - 1] * KIB) {
                ck_assert_int_eq(bytes, expected[at] * KIB);
                at += 1;
            }
            ck_assert_ptr_nonnull(ration_context_allocate(context, 24));
        }
        ck_assert_uint_eq(at, RN_COUNT(expected));
        ck_assert_int_eq(peak_of(context), 248 * KIB);
        ration_context_reset(context);
        ck_assert_int_eq(ration_context_bytes(context, false), 8 * KIB);
        ck_assert_int_eq(peak_of(context), 248 * KIB);
        ration_context_delete(context);
    }
    close_place(&here);
}
END_TEST

/* A chunk above 16 KiB has a block of its own and leaves the block in hand as it is; a set context
 * gives it back when freed. */
START_TEST(test_context__large_chunks_have_their_own_block)
{
    place here = open_place(INT64_MAX);
    for (int kind = 0; kind < 2; kind++) {
        ration_context *context = create(&here, NULL, (ration_context_kind)kind, "large");
        char *before = (char *)ration_context_allocate(context, 8);
        char *large = (char *)ration_context_allocate(context, (size_t)MIB);
        char *after = (char *)ration_context_allocate(context, 8);
        ck_assert_ptr_nonnull(large);
        memset(large, 1, (size_t)MIB);
        ck_assert_int_le(after - before, 64);
        ck_assert_int_gt(ration_context_bytes(context, false), MIB);
        ck_assert_int_le(ration_context_bytes(context, false), MIB + 12 * KIB);
        if (kind == RATION_CONTEXT_SET) {
            ration_context_free(large);
            ck_assert_int_eq(ration_context_bytes(context, false), 8 * KIB);
        }
        ration_context_delete(context);
    }
    close_place(&here);
}
END_TEST

START_TEST(test_context__zero_bytes_and_impossible_ones)
{
    place here = open_place(INT64_MAX);
    for (int kind = 0; kind < 2; kind++) {
        ration_context *context = create(&here, NULL, (ration_context_kind)kind, "edges");
        void *one = ration_context_allocate(context, 0);
        void *two = ration_context_allocate(context, 0);
        ck_assert_ptr_nonnull(one);
        ck_assert_ptr_nonnull(two);
        ck_assert_ptr_ne(one, two);
        const size_t sizes[] = {SIZE_MAX,         SIZE_MAX - 7, SIZE_MAX / 2,
                                SIZE_MAX / 2 + 1, SIZE_MAX / 4, (size_t)1 << 50};
        for (size_t i = 0; i < RN_COUNT(sizes); i++) {
            ck_assert_ptr_null(ration_context_allocate(context, sizes[i]));
            ck_assert_int_ne(ration_context_status(context), RATION_OK);
            ck_assert_ptr_null(ration_context_allocate_zero(context, sizes[i]));
            ck_assert_int_gt(rn_context_bound_one(context, sizes[i]), MIB);
            ck_assert_int_gt(rn_context_bound(context, sizes[i], sizes[i]), MIB);
        }
        if (kind == RATION_CONTEXT_SET) {
            ck_assert_ptr_null(ration_context_reallocate(one, SIZE_MAX));
            ck_assert_ptr_eq(ration_context_reallocate(one, 0), one);
            ration_context_free(one);
            ration_context_free(NULL);
        }
        ck_assert_ptr_nonnull(ration_context_allocate(context, 1));
        ration_context_delete(context);
    }
    close_place(&here);
}
END_TEST

typedef struct piece {
    unsigned char *bytes;
    size_t count;
    unsigned char fill;
} piece;

static void check_piece(const piece *at)
{
    for (size_t i = 0; i < at->count; i++) {
        if (at->bytes[i] != at->fill) {
            ck_abort_msg("byte %zu of %zu was %u, not %u", i, at->count, at->bytes[i], at->fill);
        }
    }
}

START_TEST(test_context__zeroed_after_reuse)
{
    place here = open_place(INT64_MAX);
    for (int kind = 0; kind < 2; kind++) {
        ration_context *context = create(&here, NULL, (ration_context_kind)kind, "zero");
        for (int round = 0; round < 3; round++) {
            unsigned char *memory = (unsigned char *)ration_context_allocate_zero(context, 3000);
            ck_assert_ptr_nonnull(memory);
            check_piece(&(piece){.bytes = memory, .count = 3000, .fill = 0});
            memset(memory, 0xff, 3000);
            ration_context_reset(context);
        }
        ration_context_delete(context);
    }
    close_place(&here);
}
END_TEST

/* Random allocate, free, reallocate, reset: what was written stays, alignment holds. */
START_TEST(test_context__keeps_what_was_written)
{
    enum { PIECES = 300 };
    place here = open_place(INT64_MAX);
    uint64_t seed = UINT64_C(1234) + (uint64_t)_i;
    printf("seed=%llu\n", (unsigned long long)seed);
    ration_context_kind kind = _i % 2 == 0 ? RATION_CONTEXT_BUMP : RATION_CONTEXT_SET;
    ration_context *context = create(&here, NULL, kind, "random");
    static piece pieces[PIECES];
    memset(pieces, 0, sizeof(pieces));
    for (int step = 0; step < 4000; step++) {
        piece *at = &pieces[rn_random_below(&seed, PIECES)];
        size_t count = (size_t)rn_random_below(
            &seed, UINT64_C(1) << rn_random_below(&seed, step % 50 == 0 ? 18 : 11));
        check_piece(at);
        if (at->bytes != NULL && kind == RATION_CONTEXT_SET && rn_random_below(&seed, 3) > 0) {
            size_t kept = RN_MIN(count, at->count);
            at->bytes = (unsigned char *)ration_context_reallocate(at->bytes, count);
            at->count = kept;
            check_piece(at);
        } else {
            if (at->bytes != NULL && kind == RATION_CONTEXT_SET) {
                ration_context_free(at->bytes);
            }
            at->bytes = (unsigned char *)ration_context_allocate(context, count);
        }
        ck_assert_ptr_nonnull(at->bytes);
        ck_assert_uint_eq((uintptr_t)at->bytes % (kind == RATION_CONTEXT_SET ? 16 : 8), 0);
        *at = (piece){.bytes = at->bytes, .count = count, .fill = (unsigned char)(step % 255 + 1)};
        memset(at->bytes, at->fill, count);
        if (step % 1000 == 999) {
            ration_context_reset(context);
            memset(pieces, 0, sizeof(pieces));
        }
        ck_assert(!RN_GOVERNED || rn_slot_used(here.slot) == ration_context_bytes(context, true));
    }
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* Freed chunks are used again: a working set that stays, stays in its blocks. */
START_TEST(test_context__set_reuses_freed_chunks)
{
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here, NULL, RATION_CONTEXT_SET, "reuse");
    void *chunks[100];
    for (int i = 0; i < 100; i++) {
        chunks[i] = ration_context_allocate(context, 200);
    }
    int64_t bytes = ration_context_bytes(context, false);
    for (int round = 0; round < 10000; round++) {
        ration_context_free(chunks[round % 100]);
        chunks[round % 100] = ration_context_allocate(context, 193 + (size_t)round % 8);
    }
    ck_assert_int_eq(ration_context_bytes(context, false), bytes);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_context__refused_reallocate_keeps_the_old)
{
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here, NULL, RATION_CONTEXT_SET, "keeps");
    char *memory = (char *)ration_context_allocate(context, 100);
    memset(memory, 'x', 100);
    rn_blocks_fail_after(1, true);
    ck_assert_ptr_null(ration_context_reallocate(memory, 100000));
    rn_blocks_fail_after(0, false);
    ck_assert_int_eq(ration_context_status(context), RATION_NO_MEMORY);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(memory[i], 'x');
    }
    memory = (char *)ration_context_reallocate(memory, 100000);
    ck_assert_int_eq(memory[99], 'x');
    rn_blocks_fail_after(1, true); /* shrinking cannot fail */
    memory = (char *)ration_context_reallocate(memory, 20);
    rn_blocks_fail_after(0, false);
    ck_assert_int_eq(memory[19], 'x');
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* Freeing twice is a fault, and harmless. */
START_TEST(test_context__finds_a_double_free)
{
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here, NULL, RATION_CONTEXT_SET, "twice");
    void *memory = ration_context_allocate(context, 100);
    ration_context_free(memory);
    ration_context_free(memory);
    ck_assert_int_eq(rn_faults(), 1);
    ck_assert_ptr_ne(ration_context_allocate(context, 100), ration_context_allocate(context, 100));
    ration_context_delete(context);
    rn_slot_close(here.slot);
    rn_blocks_close(here.world.blocks);
    rn_pool_close(here.world.root);
    rn_ledger_close(here.world.ledger);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

static char order[64];

static void note_order(void *argument)
{
    strncat(order, (const char *)argument, sizeof(order) - strlen(order) - 1);
}

START_TEST(test_context__callbacks_run_in_reverse_children_first)
{
    place here = open_place(INT64_MAX);
    ration_context *top = create(&here, NULL, RATION_CONTEXT_BUMP, "top");
    ration_context *child = create(&here, top, RATION_CONTEXT_SET, "child");
    ration_context *grandchild = create(&here, child, RATION_CONTEXT_BUMP, "grandchild");
    ration_context *second = create(&here, top, RATION_CONTEXT_SET, "second");
    ration_context_callback calls[] = {{note_order, "a", NULL},
                                       {note_order, "b", NULL},
                                       {note_order, "c", NULL},
                                       {note_order, "d", NULL},
                                       {note_order, "e", NULL}};
    ration_context_on_reset(top, &calls[0]);
    ration_context_on_reset(top, &calls[1]);
    ration_context_on_reset(child, &calls[2]);
    ration_context_on_reset(grandchild, &calls[3]);
    ration_context_on_reset(second, &calls[4]);
    ration_context_reset(top);
    ck_assert_str_eq(order, "edcba");
    ck_assert_int_eq(ration_context_bytes(top, true), 8 * KIB);
    ration_context_reset(top);
    ck_assert_str_eq(order, "edcba"); /* once */
    ration_context_on_reset(top, &calls[0]);
    ration_context_delete(top);
    ck_assert_str_eq(order, "edcbaa");
    close_place(&here);
}
END_TEST

START_TEST(test_context__tree_moves_and_goes_as_one)
{
    place here = open_place(INT64_MAX);
    ration_context *top = create(&here, NULL, RATION_CONTEXT_SET, "top");
    ration_context *query = create(&here, top, RATION_CONTEXT_SET, "query");
    ration_context *result = create(&here, query, RATION_CONTEXT_BUMP, "result");
    ration_context *part = create(&here, result, RATION_CONTEXT_BUMP, "part");
    (void)create(&here, query, RATION_CONTEXT_BUMP, "scratch");
    int *value = (int *)ration_context_allocate(part, sizeof(*value));
    *value = 42;
    ck_assert_int_eq(ration_context_bytes(top, true), 40 * KIB);
    ration_context_set_parent(result, top); /* the result outlives its query */
    ration_context_delete(query);
    ck_assert_int_eq(*value, 42);
    ck_assert_int_eq(ration_context_bytes(top, true), 24 * KIB);
    ck_assert_ptr_eq(ration_context_child(top, NULL), result);
    ck_assert_ptr_null(ration_context_child(top, result));
    ration_context_set_parent(result, NULL);
    ration_context_delete(top);
    ck_assert_int_eq(*value, 42);
    ration_context_delete(result);
    /* Depth costs no stack. */
    ration_context *deep = create(&here, NULL, RATION_CONTEXT_BUMP, "deep");
    ration_context *at = deep;
    for (int i = 0; i < 2000; i++) {
        at = create(&here, at, RATION_CONTEXT_BUMP, "deeper");
    }
    ck_assert_int_eq(ration_context_bytes(deep, true), 2001 * 8 * KIB);
    ration_context_delete(deep);
    close_place(&here);
}
END_TEST

/* After the bound was paid ahead, allocations draw from it and from nothing else, whatever their
 * sizes; and the bound is not absurdly far from what they draw. */
START_TEST(test_context__bound_is_never_too_small)
{
    place here = open_place(INT64_MAX);
    uint64_t seed = UINT64_C(99) + (uint64_t)_i;
    printf("seed=%llu\n", (unsigned long long)seed);
    ration_context_kind kind = _i % 2 == 0 ? RATION_CONTEXT_BUMP : RATION_CONTEXT_SET;
    ration_context *context = create(&here, NULL, kind, "bound");
    for (int round = 0; round < 1000; round++) {
        size_t largest =
            1 + (size_t)rn_random_below(&seed, UINT64_C(1) << (1 + rn_random_below(&seed, 17)));
        static size_t sizes[400];
        size_t count = 1 + (size_t)rn_random_below(&seed, UINT64_C(1) << rn_random_below(&seed, 8));
        int64_t together = 0;
        size_t widest = 0;
        for (size_t i = 0; i < count; i++) {
            bool edge = rn_random_below(&seed, 3) == 0;
            sizes[i] = edge ? largest : (size_t)rn_random_below(&seed, largest + 1);
            widest = RN_MAX(widest, sizes[i]);
            together += rn_context_chunk_bytes(context, sizes[i]);
        }
        int64_t bound = rn_context_bound(context, (size_t)together, largest);
        if (count == 1) {
            int64_t exact = rn_context_bound_one(context, sizes[0]);
            int64_t before = ration_context_bytes(context, false);
            ck_assert_int_le(exact, bound);
            ck_assert_ptr_nonnull(ration_context_allocate(context, sizes[0]));
            int64_t drawn = ration_context_bytes(context, false) - before;
            ck_assert(drawn == exact ||
                      (kind == RATION_CONTEXT_SET && drawn == 0)); /* a freed chunk served */
        } else {
            int64_t before = ration_context_bytes(context, false);
            for (size_t i = 0; i < count; i++) {
                ck_assert_ptr_nonnull(ration_context_allocate(context, sizes[i]));
            }
            ck_assert_int_le(ration_context_bytes(context, false) - before, bound);
        }
        ck_assert_int_le(bound, 2 * together + 2 * (int64_t)widest + 256 * KIB + together / 8);
        if (rn_random_below(&seed, 10) == 0) {
            ration_context_reset(context);
        }
    }
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* A context on paper draws what a real one draws, allocation by allocation. */
START_TEST(test_context__draft_draws_what_a_context_draws)
{
    place here = open_place(INT64_MAX);
    uint64_t seed = UINT64_C(7) + (uint64_t)_i;
    printf("seed=%llu\n", (unsigned long long)seed);
    for (int round = 0; round < 100; round++) {
        ration_context *context = create(&here, NULL, RATION_CONTEXT_BUMP, "drafted");
        rn_context_draft draft;
        rn_context_draft_open(&draft);
        ck_assert_int_eq(draft.bytes, ration_context_bytes(context, false));
        for (int i = 0; i < 60; i++) {
            size_t bytes =
                (size_t)rn_random_below(&seed, UINT64_C(1) << rn_random_below(&seed, 18));
            rn_context_draft_add(&draft, bytes);
            ck_assert_ptr_nonnull(ration_context_allocate(context, bytes));
            ck_assert_int_eq(draft.bytes, ration_context_bytes(context, false));
        }
        size_t together = 50 * (size_t)rn_context_chunk_bytes(context, 16000);
        ck_assert_int_eq(rn_context_draft_bound(&draft, (int64_t)together, 16000),
                         rn_context_bound(context, together, 16000));
        ration_context_delete(context);
    }
    close_place(&here);
}
END_TEST

/* The adversary of the bound: chunks that just do not fit. */
START_TEST(test_context__bound_holds_against_the_worst_order)
{
    place here = open_place(INT64_MAX);
    for (int kind = 0; kind < 2; kind++) {
        for (size_t largest = 8; largest < 40000; largest += largest + 24) {
            ration_context *context = create(&here, NULL, (ration_context_kind)kind, "worst");
            static size_t sizes[20000];
            size_t count = 0;
            int64_t together = 0;
            /* Small ones until the largest would just fit no more, then the largest. */
            for (int64_t before = 8 * KIB; count < RN_COUNT(sizes) && before < 500 * KIB; count++) {
                bool fits = rn_context_bound_one(context, largest) == 0;
                sizes[count] = fits ? 8 : largest;
                together += rn_context_chunk_bytes(context, sizes[count]);
                ck_assert_ptr_nonnull(ration_context_allocate(context, sizes[count]));
                before = ration_context_bytes(context, false);
            }
            ration_context_reset(context);
            int64_t bound = rn_context_bound(context, (size_t)together, largest);
            for (size_t i = 0; i < count; i++) {
                ck_assert_ptr_nonnull(ration_context_allocate(context, sizes[i]));
            }
            ck_assert_int_le(ration_context_bytes(context, false) - 8 * KIB, bound);
            ration_context_delete(context);
        }
    }
    close_place(&here);
}
END_TEST

/* Builds, uses and drops a tree; the first status that is not OK. */
static ration_status use_contexts(rn_slot *slot)
{
    ration_context *top = NULL;
    ration_context *child = NULL;
    RN_TRY(ration_context_create(NULL, &slot->hot, RATION_CONTEXT_SET, "top", &top));
    ration_status status =
        ration_context_create(top, &slot->hot, RATION_CONTEXT_BUMP, "child", &child);
    char *list = NULL;
    for (size_t i = 1; i <= 40 && status == RATION_OK; i++) {
        char *grown = (char *)(list == NULL ? ration_context_allocate(top, i * 1000)
                                            : ration_context_reallocate(list, i * 1000));
        if (grown == NULL) {
            status = ration_context_status(top);
            break;
        }
        list = grown;
        list[i * 1000 - 1] = 'x';
        if (ration_context_allocate_zero(child, i * 200) == NULL) {
            status = ration_context_status(child);
        }
    }
    for (size_t i = 1; i <= 40 && status == RATION_OK; i++) {
        ck_assert_int_eq(list[i * 1000 - 1], 'x');
    }
    ration_context_delete(top);
    return status;
}

START_TEST(test_context__comes_through_every_mapping_fault)
{
    for (int forever = 0; forever < 2; forever++) {
        ration_status status = RATION_NO_MEMORY;
        for (int64_t n = 1; status != RATION_OK; n++) {
            place here = open_place(INT64_MAX);
            rn_blocks_fail_after(n, forever != 0);
            status = use_contexts(here.slot);
            rn_blocks_fail_after(0, false);
            ck_assert(status == RATION_OK || status == RATION_NO_MEMORY);
            ck_assert(n > 1 || status == RATION_NO_MEMORY);
            close_place(&here);
            ck_assert_int_lt(n, 1000);
        }
    }
}
END_TEST

#ifndef RATION_UNGOVERNED
START_TEST(test_context__comes_through_every_limit)
{
    ration_status status = RATION_QUERY_LIMIT;
    int refused = 0;
    for (int64_t limit = 0; status != RATION_OK; limit += 4 * KIB) {
        place here = open_place(limit);
        status = use_contexts(here.slot);
        ck_assert(status == RATION_OK || status == RATION_QUERY_LIMIT);
        ck_assert_int_le(read_pool(here.world.first).peak_bytes, limit);
        refused += status != RATION_OK;
        close_place(&here);
    }
    ck_assert_int_gt(refused, 20);
}
END_TEST
#endif

int main(void)
{
    TCase *tests = tcase_create("contexts");
    tcase_add_test(tests, test_context__costs_one_block);
    tcase_add_test(tests, test_context__blocks_double_up_to_64_kib);
    tcase_add_test(tests, test_context__large_chunks_have_their_own_block);
    tcase_add_test(tests, test_context__zero_bytes_and_impossible_ones);
    tcase_add_test(tests, test_context__zeroed_after_reuse);
    tcase_add_loop_test(tests, test_context__keeps_what_was_written, 0, 4);
    tcase_add_test(tests, test_context__set_reuses_freed_chunks);
    tcase_add_test(tests, test_context__refused_reallocate_keeps_the_old);
#ifdef RATION_CHECKED
    tcase_add_test_raise_signal(tests, test_context__finds_a_double_free, 6);
#else
    tcase_add_test(tests, test_context__finds_a_double_free);
#endif
    tcase_add_test(tests, test_context__callbacks_run_in_reverse_children_first);
    tcase_add_test(tests, test_context__tree_moves_and_goes_as_one);
    tcase_add_loop_test(tests, test_context__bound_is_never_too_small, 0, 4);
    tcase_add_loop_test(tests, test_context__draft_draws_what_a_context_draws, 0, 4);
    tcase_add_test(tests, test_context__bound_holds_against_the_worst_order);
    tcase_add_test(tests, test_context__comes_through_every_mapping_fault);
#ifndef RATION_UNGOVERNED
    tcase_add_test(tests, test_context__comes_through_every_limit);
#endif
    tcase_set_timeout(tests, 60);
    Suite *suite = suite_create("memory/contexts");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

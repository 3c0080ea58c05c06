/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks of every kind of context: alignment, the way back to the context, sizes, what no limit may
 * refuse; and the forms of reset. */
#include <setjmp.h>

#include "tests/memory/kinds.h"

#define KINDS 3

static const ration_context_kind kinds[KINDS] = {RATION_CONTEXT_BUMP, RATION_CONTEXT_SET,
                                                 RATION_CONTEXT_GENERATION};

static ration_context *create_one(place *here, ration_context *parent, ration_context_kind kind)
{
    ration_context *context = NULL;
    ck_assert_int_eq(ration_context_create(parent, &here->slot->hot, kind, "chunks", &context),
                     RATION_OK);
    return context;
}

/* Are all bytes as they were filled? One assertion, not one for each: this is where the time goes
 * under valgrind. */
static void check_filled(const unsigned char *memory, size_t bytes, int fill)
{
    size_t same = 0;
    while (same < bytes && memory[same] == fill) {
        same += 1;
    }
    ck_assert_uint_eq(same, bytes);
}

/* ----------------------------------------------------------------------------------- alignment */

START_TEST(test_chunk__is_aligned_as_asked)
{
    static const size_t sizes[] = {0, 1, 24, 100, 5000, 20000, 70000, 300000};
    place here = open_place(INT64_MAX);
    for (int k = 0; k < KINDS; k++) {
        ration_context *context = create_one(&here, NULL, kinds[k]);
        for (size_t align = 1; align <= 64 * 1024; align *= 2) {
            for (size_t i = 0; i < RN_COUNT(sizes); i++) {
                char *memory = (char *)ration_context_allocate_aligned(context, sizes[i], align);
                ck_assert_ptr_nonnull(memory);
                ck_assert_uint_eq((uintptr_t)memory % align, 0);
                memset(memory, (int)i, sizes[i]);
                (void)ration_context_allocate(context, 40);
            }
        }
        ck_assert(ration_context_check(context));
        ration_context_delete(context);
    }
    close_place(&here);
}
END_TEST

START_TEST(test_chunk__keeps_contents_and_alignment)
{
    place here = open_place(INT64_MAX);
    for (int k = 1; k < KINDS; k++) {
        ration_context *context = create_one(&here, NULL, kinds[k]);
        for (size_t align = 1; align <= 64 * 1024; align *= 8) {
            unsigned char *memory =
                (unsigned char *)ration_context_allocate_aligned(context, 10, align);
            size_t had = 10;
            memset(memory, 7, had);
            for (size_t bytes = 20; bytes < 400000; bytes = bytes * 3 + 1) {
                memory = (unsigned char *)ration_context_reallocate(memory, bytes);
                ck_assert_ptr_nonnull(memory);
                ck_assert_uint_eq((uintptr_t)memory % align, 0);
                check_filled(memory, had, 7);
                memset(memory, 7, bytes);
                had = bytes;
                ck_assert_ptr_eq(ration_context_of(memory), context);
                ck_assert_uint_ge(ration_context_chunk_bytes(memory), bytes + 8);
            }
            for (size_t bytes = had / 2; bytes > 0; bytes /= 5) {
                memory = (unsigned char *)ration_context_reallocate(memory, bytes);
                ck_assert_uint_eq((uintptr_t)memory % align, 0);
                check_filled(memory, bytes, 7);
            }
            ck_assert(ration_context_check(context));
            ration_context_free(memory);
        }
        ck_assert(ration_context_check(context));
        ration_context_delete(context);
    }
    close_place(&here);
}
END_TEST

/* Also where nothing is asked for and a block ends just there. */
START_TEST(test_chunk__nothing_is_aligned_too)
{
    place here = open_place(INT64_MAX);
    ration_context *context = create_one(&here, NULL, RATION_CONTEXT_BUMP);
    for (int i = 0; i < 20000; i++) {
        size_t align = (size_t)16 << i % 9;
        char *memory = (char *)ration_context_allocate_aligned(context, 0, align);
        ck_assert_uint_eq((uintptr_t)memory % align, 0);
    }
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_chunk__impossible_alignments_have_a_status)
{
    place here = open_place(INT64_MAX);
    for (int k = 0; k < KINDS; k++) {
        ration_context *context = create_one(&here, NULL, kinds[k]);
        ck_assert_ptr_null(ration_context_allocate_aligned(context, 8, 128 * 1024));
        ck_assert_int_eq(ration_context_status(context), RATION_INVALID_ARGUMENT);
        static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 64, SIZE_MAX / 2, SIZE_MAX / 4};
        for (size_t i = 0; i < RN_COUNT(sizes); i++) {
            ration_context_reset(context);
            ck_assert_ptr_null(ration_context_allocate_aligned(context, sizes[i], 64));
            ck_assert_int_eq(ration_context_status(context), RATION_NO_MEMORY);
        }
        ration_context_delete(context);
    }
    close_place(&here);
}
END_TEST

/* Random chunks, aligned and not, freed and grown in any order; contents are looked at each time.
 */
START_TEST(test_chunk__random_alignments)
{
    place here = open_place(INT64_MAX);
    uint64_t state = (uint64_t)_i + 31;
    printf("seed=%d\n", _i);
    ration_context *context = create_one(&here, NULL, kinds[1 + _i % 2]);
    struct {
        unsigned char *bytes;
        size_t count, align;
    } live[64] = {{NULL, 0, 0}};
    for (int step = 0; step < 6000; step++) {
        size_t at = (size_t)(rn_hash_word(7, state++) % RN_COUNT(live));
        size_t count = (size_t)(rn_hash_word(7, state++) % (step % 50 == 0 ? 90000 : 700));
        check_filled(live[at].bytes, live[at].count, (int)at);
        if (live[at].bytes == NULL) {
            live[at].align = (size_t)1 << rn_hash_word(7, state++) % 13;
            live[at].bytes = ration_context_allocate_aligned(context, count, live[at].align);
        } else if (rn_hash_word(7, state++) % 3 == 0) {
            ration_context_free(live[at].bytes);
            live[at].bytes = NULL;
            count = 0;
        } else {
            live[at].bytes = ration_context_reallocate(live[at].bytes, count);
        }
        ck_assert_uint_eq((uintptr_t)live[at].bytes % RN_MAX(live[at].align, 1), 0);
        live[at].count = count;
        memset(live[at].bytes == NULL ? (void *)&count : live[at].bytes, (int)at,
               live[at].bytes == NULL ? 0 : count);
        ck_assert(step % 500 != 0 || ration_context_check(context));
    }
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* --------------------------------------------------------------------------------- large chunks */

/* Chunks in blocks of their own, resized between others: pages move, links follow. */
START_TEST(test_chunk__large_ones_are_resized_between_others)
{
    place here = open_place(INT64_MAX);
    ration_context *context = create_one(&here, NULL, RATION_CONTEXT_SET);
    unsigned char *memory[5];
    size_t bytes[5];
    for (int i = 0; i < 5; i++) {
        bytes[i] = (size_t)(100 + 30 * i) * 1024;
        memory[i] = ration_context_allocate(context, bytes[i]);
        memset(memory[i], i + 1, bytes[i]);
    }
    for (int step = 0; step < 400; step++) {
        int i = (int)(rn_hash_word(3, (uint64_t)step) % 5);
        size_t wanted = 70000 + (size_t)(rn_hash_word(5, (uint64_t)step) % 900000);
        if (step % 7 == 0) { /* its address may be another's next */
            ration_context_free(memory[i]);
            memory[i] = ration_context_allocate(context, wanted);
            bytes[i] = 0;
        } else {
            memory[i] = ration_context_reallocate(memory[i], wanted);
        }
        check_filled(memory[i], RN_MIN(wanted, bytes[i]), i + 1);
        memset(memory[i], i + 1, wanted);
        bytes[i] = wanted;
        ck_assert(step % 20 != 0 || ration_context_check(context));
    }
    for (int i = 0; i < 5; i++) { /* the middle one first, then around it */
        int at = (i * 3 + 2) % 5;
        check_filled(memory[at], bytes[at], at + 1);
        ration_context_free(memory[at]);
        ck_assert(ration_context_check(context));
    }
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

#ifndef RATION_UNGOVERNED
START_TEST(test_chunk__refused_it_stays_as_it_was)
{
    place here = open_place(512 * KIB);
    for (int k = 0; k < KINDS; k++) {
        ration_context *context = create_one(&here, NULL, kinds[k]);
        unsigned char *memory = ration_context_allocate(context, 200000);
        memset(memory, 9, 200000);
        ck_assert_ptr_null(ration_context_allocate_aligned(context, 400000, 4096));
        ck_assert_int_eq(ration_context_status(context), RATION_QUERY_LIMIT);
        if (k > 0) {
            ck_assert_ptr_null(ration_context_reallocate(memory, 600000));
            ck_assert_ptr_null(ration_context_reallocate(memory, SIZE_MAX / 2));
        }
        while (ration_context_allocate_aligned(context, 3000, 2048) != NULL) {
        }
        check_filled(memory, 200000, 9);
        ck_assert(ration_context_check(context));
        ration_context_delete(context);
    }
    close_place(&here);
}
END_TEST
#endif

/* ----------------------------------------------------------------------------------- unchecked */

#ifndef RATION_UNGOVERNED
/* What the system lacks is no longer charged. */
START_TEST(test_chunk__unchecked_without_memory_charges_nothing)
{
    place here = open_place(64 * KIB);
    ration_context *context = create_one(&here, NULL, RATION_CONTEXT_SET);
    int64_t before = rn_slot_used(here.slot);
    ck_assert_ptr_null(ration_context_allocate_unchecked(context, (size_t)1 << 46));
    ck_assert_int_eq(ration_context_status(context), RATION_NO_MEMORY);
    ck_assert_int_eq(rn_slot_used(here.slot), before);
    ck_assert_int_eq(here.slot->advance_bytes, 0);
    ck_assert_ptr_null(ration_context_allocate(context, 1000000));
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_chunk__unchecked_passes_a_limit)
{
    place here = open_place(64 * KIB);
    for (int k = 0; k < KINDS; k++) {
        ration_context *context = create_one(&here, NULL, kinds[k]);
        while (ration_context_allocate(context, 1000) != NULL) {
        }
        ck_assert_int_eq(ration_context_status(context), RATION_QUERY_LIMIT);
        char *memory = NULL;
        for (int i = 0; i < 200; i++) {
            memory = (char *)ration_context_allocate_unchecked(context, 1000);
            ck_assert_ptr_nonnull(memory);
            memset(memory, 1, 1000);
        }
        ck_assert_int_gt(read_pool(here.world.first).charged_bytes, 200 * 1000);
        ck_assert_int_gt(read_pool(here.world.first).unchecked_bytes, 100 * 1000);
        ck_assert_ptr_null(ration_context_allocate(context, 20000));
        ration_context_delete(context);
        ck_assert_int_eq(read_pool(here.world.first).charged_bytes, 0);
        check_audit(&here.world);
    }
    close_place(&here);
}
END_TEST
#endif

/* --------------------------------------------------------------------------------------- resets */

static char order[64];

static void note(void *argument)
{
    order[strlen(order)] = *(const char *)argument;
}

START_TEST(test_context__forms_of_reset)
{
    place here = open_place(INT64_MAX);
    ration_context *top = create_one(&here, NULL, RATION_CONTEXT_SET);
    ration_context *left = create_one(&here, top, RATION_CONTEXT_BUMP);
    ration_context *leaf = create_one(&here, left, RATION_CONTEXT_GENERATION);
    ration_context *right = create_one(&here, top, RATION_CONTEXT_SET);
    ration_context *all[] = {top, left, leaf, right};
    ration_context_callback callbacks[4][4];
    static char names[] = "tlfr";
    for (int round = 0; round < 4; round++) {
        memset(order, 0, sizeof(order));
        for (size_t i = 0; i < (round < 2 ? 4 : 1); i++) {
            callbacks[round][i] = (ration_context_callback){.call = note, .argument = &names[i]};
            ration_context_on_reset(all[i], &callbacks[round][i]);
            ck_assert_ptr_nonnull(ration_context_allocate(all[i], 30000));
            ck_assert(!ration_context_is_empty(all[i]));
        }
        if (round == 0) {
            ration_context_reset_only(top);
            ck_assert_str_eq(order, "t");
            ck_assert_int_eq(ration_context_bytes(top, false), 8 * KIB);
            ck_assert_int_gt(ration_context_bytes(leaf, false), 30000);
            ration_context_reset_children(top);
            ck_assert_str_eq(order, "trfl");
            ck_assert_ptr_eq(ration_context_child(top, NULL), right);
            ck_assert_int_eq(ration_context_bytes(top, true), 4 * 8 * KIB);
        } else if (round == 1) {
            ration_context_delete_children(top);
            ck_assert_str_eq(order, "rfl");
            ck_assert_ptr_null(ration_context_child(top, NULL));
            ck_assert_int_gt(ration_context_bytes(top, false), 30000);
        } else {
            ration_context_reset(top);
            ck_assert_str_eq(order, round == 2 ? "tt" : "t");
            ck_assert(ration_context_is_empty(top));
        }
    }
    ration_context_delete(top);
    close_place(&here);
}
END_TEST

static jmp_buf way_out;

static void leave(void *argument)
{
    note(argument);
    longjmp(way_out, 1);
}

/* A callback that leaves by longjmp has run; the others run at the next attempt. */
START_TEST(test_context__callbacks_may_leave)
{
    place here = open_place(INT64_MAX);
    ration_context *top = create_one(&here, NULL, RATION_CONTEXT_SET);
    ration_context *child = create_one(&here, top, RATION_CONTEXT_SET);
    static char names[] = "abc";
    ration_context_callback callbacks[] = {{.call = note, .argument = &names[0]},
                                           {.call = leave, .argument = &names[1]},
                                           {.call = note, .argument = &names[2]}};
    memset(order, 0, sizeof(order));
    for (size_t i = 0; i < 3; i++) {
        ration_context_on_reset(child, &callbacks[i]);
    }
    if (setjmp(way_out) == 0) {
        ration_context_delete(top);
        ck_abort_msg("the callback did not leave");
    }
    ck_assert_str_eq(order, "cb");
    ck_assert_ptr_eq(ration_context_parent(child), top);
    ck_assert_ptr_nonnull(ration_context_allocate(child, 100));
    ration_context_delete(top);
    ck_assert_str_eq(order, "cba");
    close_place(&here);
}
END_TEST

typedef struct maker {
    place *here;
    ration_context *below;
    ration_context_callback callback, late;
    int made;
} maker;

static void make_child(void *argument)
{
    maker *self = (maker *)argument;
    ration_context *child = create_one(self->here, self->below, RATION_CONTEXT_SET);
    ck_assert_ptr_nonnull(ration_context_allocate(child, 30000));
    self->made += 1;
}

static void register_on_parent(void *argument)
{
    maker *self = (maker *)argument;
    self->callback = (ration_context_callback){.call = make_child, .argument = self};
    self->below = ration_context_parent(self->below);
    ration_context_on_reset(self->below, &self->callback);
}

/* Runs when the children are being deleted, and has something run for the parent after that. */
static void register_late(void *argument)
{
    maker *self = (maker *)argument;
    self->late = (ration_context_callback){.call = register_on_parent, .argument = self};
    ration_context_on_reset(self->below, &self->late);
}

static void register_maker(void *argument)
{
    maker *self = (maker *)argument;
    self->callback = (ration_context_callback){.call = make_child, .argument = self};
    ration_context_on_reset(self->below, &self->callback);
}

/* A parent's callback registers one on its child, whose callbacks have run; that one creates a
 * context below. All of it goes. */
START_TEST(test_context__callbacks_may_create)
{
    for (int whole = 0; whole < 4; whole++) {
        place here = open_place(INT64_MAX);
        ration_context *top = create_one(&here, NULL, RATION_CONTEXT_SET);
        maker self = {.here = &here, .below = create_one(&here, top, RATION_CONTEXT_BUMP)};
        ration_context_callback callback = {.call = whole == 3 ? register_late : register_maker,
                                            .argument = &self};
        ration_context_on_reset(top, &callback);
        if (whole == 1) {
            ration_context_reset(top);
            ck_assert_ptr_null(ration_context_child(top, NULL));
        } else if (whole == 2) {
            self.below = top; /* below the one that is being deleted */
        }
        ration_context_delete(top);
        ck_assert_int_eq(self.made, 1);
        close_place(&here);
    }
}
END_TEST

/* Deep trees are walked, looked at and deleted without recursion and in linear time. */
START_TEST(test_context__deep_chain)
{
    place here = open_place(INT64_MAX);
    ration_context *top = create_one(&here, NULL, RATION_CONTEXT_BUMP);
    ration_context *at = top;
    enum { DEEP = 20000 };
    for (int i = 0; i < DEEP; i++) {
        at = create_one(&here, at, RATION_CONTEXT_BUMP);
    }
    ck_assert(ration_context_check(top));
    ration_context_figures figures[3];
    rn_ledger *ledger = rn_pool_ledger(here.world.first);
    rn_ledger_lock(ledger);
    ck_assert_uint_eq(rn_slots_peek(ledger, &here.slot, 1, figures, 3), DEEP + 1);
    rn_ledger_unlock(ledger);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(figures[i].depth, i);
        ck_assert_int_eq(figures[i].below, DEEP - i);
        ck_assert_int_eq(figures[i].below_bytes, (DEEP - i) * 8 * KIB);
        ck_assert_int_eq(figures[i].free_bytes, -1);
    }
    ration_context_delete(top);
    close_place(&here);
}
END_TEST

START_TEST(test_context__identifier_is_forgotten_by_a_reset)
{
    place here = open_place(INT64_MAX);
    ration_context *context = create_one(&here, NULL, RATION_CONTEXT_SET);
    char *text = (char *)ration_context_allocate(context, 20);
    memcpy(text, "select 1", 9);
    ration_context_set_identifier(context, text);
    ration_context_figures figures;
    ration_context_read(context, &figures);
    ck_assert_str_eq(figures.name, "chunks: select 1");
    ration_context_reset(context);
    ration_context_read(context, &figures);
    ck_assert_str_eq(figures.name, "chunks");
    ck_assert_int_eq(figures.blocks, 1);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("chunk");
    tcase_add_test(tests, test_chunk__is_aligned_as_asked);
    tcase_add_test(tests, test_chunk__keeps_contents_and_alignment);
    tcase_add_test(tests, test_chunk__nothing_is_aligned_too);
    tcase_add_test(tests, test_chunk__impossible_alignments_have_a_status);
    tcase_add_loop_test(tests, test_chunk__random_alignments, 0, 4);
    tcase_add_test(tests, test_chunk__large_ones_are_resized_between_others);
#ifndef RATION_UNGOVERNED
    tcase_add_test(tests, test_chunk__refused_it_stays_as_it_was);
    tcase_add_test(tests, test_chunk__unchecked_passes_a_limit);
    tcase_add_test(tests, test_chunk__unchecked_without_memory_charges_nothing);
#endif
    tcase_add_test(tests, test_context__forms_of_reset);
    tcase_add_test(tests, test_context__callbacks_may_leave);
    tcase_add_test(tests, test_context__callbacks_may_create);
    tcase_add_test(tests, test_context__deep_chain);
    tcase_add_test(tests, test_context__identifier_is_forgotten_by_a_reset);
    tcase_set_timeout(tests, 60);
    Suite *suite = suite_create("memory/chunks");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

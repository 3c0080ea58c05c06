/* SPDX-License-Identifier: Apache-2.0
 *
 * Slab contexts: one size, where chunks come from, which blocks are given back, and every fault. */
#include "tests/memory/kinds.h"

static ration_context *create(place *here, size_t bytes)
{
    ration_context *context = NULL;
    ck_assert_int_eq(ration_context_create_slab(NULL, &here->slot->hot, bytes, "slab", &context),
                     RATION_OK);
    return context;
}

static rn_region_block *block_of(const void *memory)
{
    rn_chunk *chunk = (rn_chunk *)rn_chunk_raw(memory) - 1;
    rn_open(chunk, sizeof(*chunk));
    rn_region_block *block = rn_chunk_block(chunk);
    rn_poison(chunk, sizeof(*chunk));
    return block;
}

START_TEST(test_slab__allocates_one_size)
{
    place here = open_place(INT64_MAX);
    ration_context *context = NULL;
    const size_t wrong[] = {0, 16001, SIZE_MAX};
    for (size_t i = 0; i < RN_COUNT(wrong); i++) {
        ck_assert_int_eq(
            ration_context_create_slab(NULL, &here.slot->hot, wrong[i], "no", &context),
            RATION_INVALID_ARGUMENT);
    }
    ck_assert_ptr_null(context);
    const size_t sizes[] = {1, 8, 9, 24, 100, 8000, 16000};
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        context = create(&here, sizes[i]);
        const size_t others[] = {0, sizes[i] - 1, sizes[i] + 1, 100000, SIZE_MAX};
        for (size_t j = 0; j < RN_COUNT(others); j++) {
            if (others[j] != sizes[i]) {
                ck_assert_ptr_null(ration_context_allocate(context, others[j]));
                ck_assert_int_ne(ration_context_status(context), RATION_OK);
            }
        }
        ck_assert_ptr_null(ration_context_allocate(context, sizes[i] + 1));
        ck_assert_int_eq(ration_context_status(context), RATION_INVALID_ARGUMENT);
        ck_assert_ptr_null(ration_context_allocate_aligned(context, sizes[i], 32));
        ration_context_reset(context);
        ck_assert_int_eq(ration_context_status(context), RATION_OK);
        piece one = fill_piece(ration_context_allocate(context, sizes[i]), sizes[i], 1);
        piece two = fill_piece(ration_context_allocate_aligned(context, sizes[i], 16), sizes[i], 2);
        ck_assert_uint_eq(ration_context_chunk_bytes(one.bytes),
                          (sizes[i] + (size_t)RN_ARMS_BYTES + 8 + 15) & ~(size_t)15);
        ck_assert_ptr_eq(ration_context_of(two.bytes), context);
        check_piece(&one);
        check_piece(&two);
        ration_context_delete(context);
    }
    close_place(&here);
}
END_TEST

START_TEST(test_slab__reallocates_within_its_chunk)
{
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here, 100);
    piece one = fill_piece(ration_context_allocate(context, 100), 100, 1);
    ck_assert_ptr_null(ration_context_reallocate(one.bytes, 1000));
    ck_assert_int_eq(ration_context_status(context), RATION_INVALID_ARGUMENT);
    check_piece(&one);
    ck_assert_ptr_eq(ration_context_reallocate(one.bytes, 50), one.bytes);
    one.count = 50;
    check_piece(&one);
    ck_assert_ptr_eq(ration_context_reallocate(one.bytes, 100), one.bytes);
    check_piece(&one);
    ration_context_free(one.bytes);
    ck_assert(ration_context_check(context));
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

enum { MANY = 6000 };

/* Allocates until there are `blocks` blocks, the last one full; how many chunks that took. */
static size_t fill_blocks(ration_context *context, size_t bytes, int64_t blocks, void **chunks)
{
    size_t count = 0;
    ration_context_figures figures = {0};
    do {
        ck_assert_uint_lt(count, MANY);
        chunks[count] = ration_context_allocate(context, bytes);
        ck_assert_ptr_nonnull(chunks[count]);
        count += 1;
        ration_context_read(context, &figures);
    } while (figures.blocks < blocks ||
             context->end - context->at >= (int64_t)ration_context_chunk_bytes(chunks[0]));
    return count;
}

START_TEST(test_slab__fills_a_block_before_the_next)
{
    rn_quarantine_limit(0);
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here, 200);
    static void *chunks[MANY];
    size_t count = fill_blocks(context, 200, 8, chunks);
    int64_t bytes = ration_context_bytes(context, false);
    ck_assert_int_eq(bytes, (8 + 16 + 32 + 5 * 64) * KIB);
    /* Of the 5th and the 7th block all chunks but one are freed, of the 6th and the first one. */
    rn_region_block *of[8] = {block_of(chunks[0])};
    size_t freed[8] = {0};
    for (size_t i = 0, at = 0; i < count; i++) {
        rn_region_block *block = block_of(chunks[i]);
        at += block != of[at];
        ck_assert(at < 8);
        if (of[at] == NULL) {
            of[at] = block;
            freed[at] = 0;
            continue; /* its first chunk stays */
        }
        bool most = at == 4 || at == 6;
        if (most || ((at == 5 || at == 0) && freed[at] == 0)) {
            ration_context_free(chunks[i]);
            freed[at] += 1;
        }
    }
    check_context(&here, context);
    ck_assert_int_eq(ration_context_bytes(context, false), bytes);
    /* First the one that was full last, and so on; nothing new. */
    const size_t order[] = {6, 5, 4, 0};
    for (size_t i = 0; i < RN_COUNT(order); i++) {
        for (size_t j = 0; j < freed[order[i]]; j++) {
            ck_assert_ptr_eq(block_of(ration_context_allocate(context, 200)), of[order[i]]);
        }
    }
    ck_assert_int_eq(ration_context_bytes(context, false), bytes);
    ck_assert_ptr_nonnull(ration_context_allocate(context, 200));
    ck_assert_int_eq(ration_context_bytes(context, false), bytes + 64 * KIB);
    check_context(&here, context);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

static void shuffle(void **chunks, size_t count, uint64_t seed)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)rn_random_below(&seed, i);
        void *other = chunks[j];
        chunks[j] = chunks[i - 1];
        chunks[i - 1] = other;
    }
}

/* However they are freed: what stays is the first block and one more. */
START_TEST(test_slab__gives_emptied_blocks_back)
{
    static void *chunks[MANY];
    rn_quarantine_limit(0);
    for (int order = 0; order < 3; order++) {
        place here = open_place(INT64_MAX);
        ration_context *context = create(&here, 500);
        size_t count = fill_blocks(context, 500, 40, chunks);
        int64_t most = ration_context_bytes(context, false);
        if (order == 2) {
            shuffle(chunks, count, 7);
        }
        for (size_t i = 0; i < count; i++) {
            ration_context_free(chunks[order == 1 ? count - 1 - i : i]);
            if (i % 100 == 0) {
                check_context(&here, context);
            }
            if (order < 2 && i == count / 2) {
                ck_assert_int_le(ration_context_bytes(context, false), most / 2 + 2 * 64 * KIB);
            }
        }
        check_context(&here, context);
        ck_assert_int_gt(ration_context_bytes(context, false), 8 * KIB);
        ck_assert_int_le(ration_context_bytes(context, false), (8 + 64) * KIB);
        ck_assert_uint_eq(fill_blocks(context, 500, 20, chunks) > 0, true);
        check_context(&here, context);
        ration_context_delete(context);
        close_place(&here);
    }
}
END_TEST

/* Three quarters of the chunks go at random, and then as many come as go: what is in use does not
 * stay spread over all the blocks. */
START_TEST(test_slab__keeps_emptying_blocks_emptying)
{
    static void *chunks[MANY];
    rn_quarantine_limit(0);
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here, 500);
    size_t count = fill_blocks(context, 500, 40, chunks);
    int64_t most = ration_context_bytes(context, false);
    uint64_t seed = 11;
    printf("seed=%llu\n", (unsigned long long)seed);
    size_t left = count / 4;
    shuffle(chunks, count, seed);
    for (size_t i = left; i < count; i++) {
        ration_context_free(chunks[i]);
    }
    for (size_t i = 0; i < 10 * left; i++) {
        size_t at = (size_t)rn_random_below(&seed, left);
        ration_context_free(chunks[at]);
        chunks[at] = ration_context_allocate(context, 500);
    }
    check_context(&here, context);
    ck_assert_int_lt(ration_context_bytes(context, false), most / 3);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* At the end of every block: one more chunk and one less ask for at most one block. */
START_TEST(test_slab__does_not_play_ping_pong)
{
    static void *chunks[MANY];
    rn_quarantine_limit(0);
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here, 500);
    size_t count = fill_blocks(context, 500, 6, chunks);
    for (size_t kept = count; kept > 0; kept--) {
        int64_t bytes = 0;
        for (int round = 0; round < 4; round++) {
            void *one = ration_context_allocate(context, 500);
            void *two = ration_context_allocate(context, 500);
            ck_assert(round == 0 || bytes == ration_context_bytes(context, false));
            bytes = ration_context_bytes(context, false);
            ration_context_free(one);
            ration_context_free(two);
            ck_assert_int_eq(ration_context_bytes(context, false), bytes);
        }
        ration_context_free(chunks[kept - 1]);
    }
    check_context(&here, context);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* The last chunk of a block that is not in hand: one such block waits. */
START_TEST(test_slab__keeps_a_spare)
{
    static void *chunks[MANY];
    rn_quarantine_limit(0);
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here, 500);
    size_t count = fill_blocks(context, 500, 7, chunks);
    int64_t bytes = ration_context_bytes(context, false);
    rn_region_block *block = block_of(chunks[count / 2]);
    ck_assert_ptr_ne(block, context->hand);
    void *last = NULL;
    for (size_t i = 0; i < count; i++) {
        if (block_of(chunks[i]) == block) {
            ration_context_free(last);
            last = chunks[i];
        }
    }
    for (int round = 0; round < 4; round++) {
        ration_context_free(last);
        check_context(&here, context);
        ck_assert_int_eq(ration_context_bytes(context, false), bytes);
        last = ration_context_allocate(context, 500);
        ck_assert_ptr_eq(block_of(last), block);
        check_context(&here, context);
        ck_assert_int_eq(ration_context_bytes(context, false), bytes);
    }
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_slab__reset_gives_all_back)
{
    static void *chunks[MANY];
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here, 500);
    for (int round = 0; round < 3; round++) {
        size_t count = fill_blocks(context, 500, 4 + round, chunks);
        for (size_t i = 0; i < count; i += 3) {
            ration_context_free(chunks[i]);
        }
        ration_context_reset(context);
        ck_assert_int_eq(ration_context_bytes(context, false), 8 * KIB);
        check_context(&here, context);
    }
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_slab__says_what_is_free)
{
    static void *chunks[MANY];
    rn_quarantine_limit(0);
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here, 500);
    check_free_bytes(context, 0);
    size_t count = fill_blocks(context, 500, 6, chunks);
    int64_t chunk = (int64_t)ration_context_chunk_bytes(chunks[0]);
    check_free_bytes(context, (int64_t)count * chunk);
    shuffle(chunks, count, 3);
    for (size_t i = 0; i < count; i++) {
        ration_context_free(chunks[i]);
        check_free_bytes(context, (int64_t)(count - i - 1) * chunk);
    }
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_slab__keeps_what_was_written)
{
    const size_t sizes[] = {8, 64, 500, 3000};
    static model run;
    place here = open_place(INT64_MAX);
    run = (model){.bytes = sizes[_i % 4], .seed = UINT64_C(4711) + (uint64_t)_i};
    printf("seed=%llu\n", (unsigned long long)run.seed);
    if (_i >= 4) {
        rn_quarantine_limit(0);
    }
    run.context = create(&here, run.bytes);
    run_model(&here, &run, 6000);
    ration_context_delete(run.context);
    close_place(&here);
}
END_TEST

/* Two slabs in one tree; the first status that is not OK. */
static ration_status use_slabs(rn_slot *slot)
{
    ration_context *top = NULL;
    ration_context *child = NULL;
    piece pieces[60] = {{0}};
    RN_TRY(ration_context_create_slab(NULL, &slot->hot, 4000, "top", &top));
    ration_status status = ration_context_create_slab(top, &slot->hot, 100, "child", &child);
    for (size_t i = 0; i < 150 && status == RATION_OK; i++) {
        void *memory = ration_context_allocate(i % 5 == 4 ? child : top, i % 5 == 4 ? 100 : 4000);
        if (memory == NULL) {
            status = ration_context_status(i % 5 == 4 ? child : top);
            break;
        }
        piece *at = &pieces[i * 7 % RN_COUNT(pieces)];
        if (at->bytes != NULL) {
            free_piece(at);
        }
        *at = fill_piece(memory, i % 5 == 4 ? 100 : 4000, i);
    }
    ck_assert(ration_context_check(top));
    for (size_t i = 0; i < RN_COUNT(pieces); i++) {
        if (pieces[i].bytes != NULL) {
            free_piece(&pieces[i]);
        }
    }
    ck_assert(ration_context_check(top));
    ration_context_delete(top);
    return status;
}

START_TEST(test_slab__comes_through_every_mapping_fault)
{
    fail_every_mapping(use_slabs);
}
END_TEST

#ifndef RATION_UNGOVERNED
START_TEST(test_slab__comes_through_every_limit)
{
    use_every_limit(use_slabs);
}
END_TEST

/* A refusal changes nothing: what is freed can be had again, and there is a way out. */
START_TEST(test_slab__goes_on_after_a_refusal)
{
    static piece pieces[MANY];
    rn_quarantine_limit(0);
    place here = open_place(300 * KIB);
    ration_context *context = create(&here, 1000);
    size_t count = 0;
    for (void *memory; (memory = ration_context_allocate(context, 1000)) != NULL;) {
        pieces[count] = fill_piece(memory, 1000, count);
        count += 1;
    }
    ck_assert_int_eq(ration_context_status(context), RATION_QUERY_LIMIT);
    ck_assert_uint_gt(count, 200);
    check_context(&here, context);
    for (size_t i = 0; i < count; i += 2) {
        free_piece(&pieces[i]);
    }
    for (size_t i = 0; i < count; i += 2) {
        pieces[i] = fill_piece(ration_context_allocate(context, 1000), 1000, i);
    }
    ck_assert_ptr_null(ration_context_allocate(context, 1000));
    pieces[count] = fill_piece(ration_context_allocate_unchecked(context, 1000), 1000, 3);
    for (size_t i = 0; i <= count; i++) {
        free_piece(&pieces[i]);
    }
    check_context(&here, context);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST
#endif

int main(void)
{
    TCase *tests = tcase_create("slab");
    tcase_add_test(tests, test_slab__allocates_one_size);
    tcase_add_test(tests, test_slab__reallocates_within_its_chunk);
    tcase_add_test(tests, test_slab__fills_a_block_before_the_next);
    tcase_add_test(tests, test_slab__gives_emptied_blocks_back);
    tcase_add_test(tests, test_slab__keeps_emptying_blocks_emptying);
    tcase_add_test(tests, test_slab__does_not_play_ping_pong);
    tcase_add_test(tests, test_slab__keeps_a_spare);
    tcase_add_test(tests, test_slab__reset_gives_all_back);
    tcase_add_test(tests, test_slab__says_what_is_free);
    tcase_add_loop_test(tests, test_slab__keeps_what_was_written, 0, 8);
    tcase_add_test(tests, test_slab__comes_through_every_mapping_fault);
#ifndef RATION_UNGOVERNED
    tcase_add_test(tests, test_slab__comes_through_every_limit);
    tcase_add_test(tests, test_slab__goes_on_after_a_refusal);
#endif
    tcase_set_timeout(tests, 60);
    Suite *suite = suite_create("memory/slab");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

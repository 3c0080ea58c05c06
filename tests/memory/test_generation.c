/* SPDX-License-Identifier: Apache-2.0
 *
 * Generation contexts: queues, stragglers, which blocks are given back, reallocation, and every
 * fault. */
#include "tests/memory/kinds.h"

static ration_context *create(place *here)
{
    ration_context *context = NULL;
    ck_assert_int_eq(ration_context_create(NULL, &here->slot->hot, RATION_CONTEXT_GENERATION,
                                           "generation", &context),
                     RATION_OK);
    return context;
}

enum { QUEUE = 512 };

/* A million chunks pass (fewer where each is looked after); what is held at most is what lies in
 * the queue and the blocks it touches. */
START_TEST(test_generation__queue_stays_within_few_blocks)
{
    static piece queue[QUEUE];
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here);
    uint64_t seed = 5;
    printf("seed=%llu\n", (unsigned long long)seed);
    const uint64_t chunks = rn_under_valgrind() ? 30000 : RN_FRONT_BYTES > 0 ? 300000 : 1000000;
    for (uint64_t i = 0; i < chunks; i++) {
        piece *at = &queue[i % QUEUE];
        if (at->bytes != NULL) {
            free_piece(at);
        }
        size_t count = (size_t)rn_random_below(&seed, 50);
        *at = fill_piece(ration_context_allocate(context, count), count, i);
        ck_assert_int_le(ration_context_bytes(context, false), (8 + 16 + 32 + 3 * 64) * KIB);
    }
    check_context(&here, context);
    for (uint64_t i = 0; i < QUEUE; i++) {
        free_piece(&queue[i]);
    }
    rn_quarantine_limit(0); /* one more lets those go that wait */
    ration_context_free(ration_context_allocate(context, 1));
    check_context(&here, context);
    ck_assert_int_le(ration_context_bytes(context, false), (8 + 64) * KIB);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* Bytes of free space, as read. */
static int64_t read_free(const ration_context *context)
{
    ration_context_figures figures;
    ration_context_read(context, &figures);
    ck_assert_int_eq(figures.kind, RATION_CONTEXT_GENERATION);
    return figures.free_bytes;
}

START_TEST(test_generation__cuts_an_emptied_block_again)
{
    rn_quarantine_limit(0);
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here);
    int64_t free_bytes = read_free(context);
    char *one = (char *)ration_context_allocate(context, 100);
    char *two = (char *)ration_context_allocate(context, 200);
    int64_t used = (int64_t)(ration_context_chunk_bytes(one) + ration_context_chunk_bytes(two));
    ck_assert_int_eq(used, ((100 + 8 + RN_ARMS_BYTES + 15) & ~15) +
                               ((200 + 8 + RN_ARMS_BYTES + 15) & ~15));
    ck_assert_int_eq(read_free(context), free_bytes - used);
    ration_context_free(one);
    ck_assert_int_eq(read_free(context), free_bytes - (int64_t)ration_context_chunk_bytes(two));
    char *three = (char *)ration_context_allocate(context, 100);
    ck_assert_ptr_ne(three, one); /* a chunk is not used again by itself */
    ration_context_free(three);
    ration_context_free(two);
    ck_assert_int_eq(read_free(context), free_bytes);
    ck_assert_ptr_eq(ration_context_allocate(context, 300), one);
    check_context(&here, context);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* What is freed in the order it was made leaves nothing behind; a straggler keeps its block. */
START_TEST(test_generation__straggler_keeps_one_block)
{
    static void *chunks[4000];
    rn_quarantine_limit(0);
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here);
    for (size_t i = 0; i < 4000; i++) {
        chunks[i] = ration_context_allocate(context, 1000);
    }
    int64_t most = ration_context_bytes(context, false);
    ck_assert_int_gt(most, 4000 * 1000);
    size_t straggler = 2000;
    piece kept = fill_piece(chunks[straggler], 1000, 9);
    for (size_t i = 0; i < 4000; i++) {
        if (i != straggler) {
            ration_context_free(chunks[i]);
        }
        if (i % 500 == 0) {
            check_context(&here, context);
            ck_assert_int_le(ration_context_bytes(context, false),
                             most - (int64_t)i * 1000 + 3 * 64 * KIB);
        }
    }
    check_context(&here, context);
    ck_assert_int_eq(ration_context_bytes(context, false), (8 + 64 + 64) * KIB);
    free_piece(&kept);
    ck_assert_int_eq(ration_context_bytes(context, false), (8 + 64) * KIB);
    check_context(&here, context);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* The first block is not given back: it is used again before another is asked for. */
START_TEST(test_generation__uses_the_first_block_again)
{
    static void *first[100], *second[100];
    rn_quarantine_limit(0);
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here);
    size_t count = 0;
    while (context->hand == rn_region_first(context)) {
        first[count++] = ration_context_allocate(context, 200);
    }
    second[0] = first[--count];
    for (size_t i = 0; i < count; i++) {
        ration_context_free(first[i]);
    }
    int64_t bytes = ration_context_bytes(context, false);
    ck_assert_int_eq(bytes, (8 + 16) * KIB);
    size_t made = 1;
    while (context->hand != rn_region_first(context)) {
        second[made++] = ration_context_allocate(context, 200);
    }
    ck_assert_int_eq(ration_context_bytes(context, false), bytes);
    ck_assert_ptr_eq(second[made - 1], first[0]);
    check_context(&here, context);
    for (size_t i = 0; i + 1 < made; i++) {
        ration_context_free(second[i]); /* now the block behind the one in hand */
    }
    ck_assert_int_eq(ration_context_bytes(context, false), 8 * KIB);
    check_context(&here, context);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* A block that is empty, and still too small for what comes next, is not left behind. */
START_TEST(test_generation__leaves_no_empty_block_behind)
{
    rn_quarantine_limit(0);
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here);
    size_t most = (size_t)RN_CHUNK_BYTES_MAX - 8 - (size_t)RN_ARMS_BYTES;
    void *small =
        ration_context_allocate(context, most - 100); /* fits into 16 KiB, most does not */
    ck_assert_int_eq(ration_context_bytes(context, false), (8 + 16) * KIB);
    ration_context_free(small);
    ck_assert_int_eq(ration_context_bytes(context, false), (8 + 16) * KIB);
    void *large = ration_context_allocate(context, most);
    ck_assert_int_eq(ration_context_bytes(context, false), (8 + 32) * KIB);
    check_context(&here, context);
    ration_context_free(large);
    void *alone = ration_context_allocate(context, most + 1);
    ck_assert_int_gt(ration_context_bytes(context, false), (8 + 32 + 16) * KIB);
    ration_context_free(alone);
    ck_assert_int_eq(ration_context_bytes(context, false), (8 + 32) * KIB);
    check_context(&here, context);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_generation__reallocates)
{
    rn_quarantine_limit(0);
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here);
    piece grown = fill_piece(ration_context_allocate(context, 1), 1, 77);
    for (size_t count = 2; count < 200000; count += count / 2) {
        grown.bytes = (unsigned char *)ration_context_reallocate(grown.bytes, count);
        check_piece(&grown);
        grown = fill_piece(grown.bytes, count, count);
        ck_assert(ration_context_check(context));
    }
    for (size_t count = grown.count; count > 0; count /= 2) {
        grown.bytes = (unsigned char *)ration_context_reallocate(grown.bytes, count);
        grown.count = count;
        check_piece(&grown);
        ck_assert(ration_context_check(context));
    }
    free_piece(&grown);
    ck_assert_int_le(ration_context_bytes(context, false), (8 + 64) * KIB);
    check_context(&here, context);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_generation__aligns)
{
    static piece pieces[400];
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here);
    for (size_t i = 0; i < RN_COUNT(pieces); i++) {
        size_t align = (size_t)1 << i % 17;
        pieces[i] = fill_piece(ration_context_allocate_aligned(context, i, align), i, i);
        ck_assert_uint_eq((uintptr_t)pieces[i].bytes % align, 0);
        if (i >= 100) {
            free_piece(&pieces[i - 100]);
        }
    }
    check_context(&here, context);
    for (size_t i = RN_COUNT(pieces) - 100; i < RN_COUNT(pieces); i++) {
        pieces[i].bytes = (unsigned char *)ration_context_reallocate(pieces[i].bytes, 2 * i);
        check_piece(&pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i].bytes % ((size_t)1 << i % 17), 0);
        free_piece(&pieces[i]);
    }
    check_context(&here, context);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_generation__says_what_is_free)
{
    static void *chunks[1000];
    rn_quarantine_limit(0);
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here);
    int64_t used = 0;
    for (size_t i = 0; i < RN_COUNT(chunks); i++) {
        check_free_bytes(context, used);
        chunks[i] = ration_context_allocate(context, i % 100 == 7 ? 30 * i : i);
        used += (int64_t)ration_context_chunk_bytes(chunks[i]);
    }
    for (size_t i = 0; i < RN_COUNT(chunks); i++) {
        check_free_bytes(context, used);
        void *leaving = chunks[i * 7 % RN_COUNT(chunks)];
        used -= (int64_t)ration_context_chunk_bytes(leaving);
        ration_context_free(leaving);
    }
    check_free_bytes(context, 0);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_generation__reset_gives_all_back)
{
    place here = open_place(INT64_MAX);
    ration_context *context = create(&here);
    int64_t free_bytes = read_free(context);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 3000; i++) {
            void *memory = ration_context_allocate(context, i % 700);
            ck_assert_ptr_nonnull(memory);
            if (i % 3 != 0) {
                ration_context_free(memory);
            }
        }
        check_context(&here, context);
        ration_context_reset(context);
        ck_assert_int_eq(ration_context_bytes(context, false), 8 * KIB);
        ck_assert_int_eq(read_free(context), free_bytes);
        check_context(&here, context);
    }
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_generation__keeps_what_was_written)
{
    static model run;
    place here = open_place(INT64_MAX);
    run = (model){.seed = UINT64_C(815) + (uint64_t)_i};
    printf("seed=%llu\n", (unsigned long long)run.seed);
    if (_i >= 2) {
        rn_quarantine_limit(0);
    }
    run.context = create(&here);
    run_model(&here, &run, 6000);
    ration_context_delete(run.context);
    close_place(&here);
}
END_TEST

/* A queue in one context, a growing chunk in another; the first status that is not OK. */
static ration_status use_generations(rn_slot *slot)
{
    ration_context *top = NULL;
    ration_context *child = NULL;
    piece queue[30] = {{0}};
    piece grown = {0};
    RN_TRY(ration_context_create(NULL, &slot->hot, RATION_CONTEXT_GENERATION, "top", &top));
    ration_status status =
        ration_context_create(top, &slot->hot, RATION_CONTEXT_GENERATION, "child", &child);
    for (size_t i = 1; i <= 120 && status == RATION_OK; i++) {
        piece *at = &queue[i % RN_COUNT(queue)];
        if (at->bytes != NULL) {
            free_piece(at);
        }
        void *memory = ration_context_allocate(top, i * 60);
        if (memory == NULL) {
            status = ration_context_status(top);
            break;
        }
        *at = fill_piece(memory, i * 60, i);
        memory = grown.bytes == NULL ? ration_context_allocate(child, i * 300)
                                     : ration_context_reallocate(grown.bytes, i * 300);
        if (memory == NULL) {
            status = ration_context_status(child);
            break;
        }
        grown.bytes = (unsigned char *)memory;
        check_piece(&grown);
        grown = fill_piece(memory, i * 300, i);
    }
    ck_assert(ration_context_check(top));
    for (size_t i = 0; i < RN_COUNT(queue); i++) {
        if (queue[i].bytes != NULL) {
            free_piece(&queue[i]);
        }
    }
    check_piece(&grown);
    ck_assert(ration_context_check(top));
    ration_context_delete(top);
    return status;
}

START_TEST(test_generation__comes_through_every_mapping_fault)
{
    fail_every_mapping(use_generations);
}
END_TEST

#ifndef RATION_UNGOVERNED
START_TEST(test_generation__comes_through_every_limit)
{
    use_every_limit(use_generations);
}
END_TEST

/* A refusal changes nothing: smaller chunks still fit, and what is freed comes back. */
START_TEST(test_generation__goes_on_after_a_refusal)
{
    static piece pieces[1000];
    rn_quarantine_limit(0);
    place here = open_place(300 * KIB);
    ration_context *context = create(&here);
    for (int round = 0; round < 3; round++) {
        size_t count = 0;
        for (void *memory; (memory = ration_context_allocate(context, 1000)) != NULL;) {
            pieces[count] = fill_piece(memory, 1000, count);
            count += 1;
        }
        ck_assert_int_eq(ration_context_status(context), RATION_QUERY_LIMIT);
        ck_assert_uint_gt(count, 200);
        check_context(&here, context);
        ck_assert_ptr_null(ration_context_reallocate(pieces[0].bytes, 5000));
        check_piece(&pieces[0]);
        pieces[count] = fill_piece(ration_context_allocate(context, 1), 1, 5);
        pieces[count + 1] = fill_piece(ration_context_allocate_unchecked(context, 1000), 1000, 3);
        for (size_t i = 0; i <= count + 1; i++) {
            free_piece(&pieces[i]);
        }
        check_context(&here, context);
    }
    ration_context_delete(context);
    close_place(&here);
}
END_TEST
#endif

int main(void)
{
    TCase *tests = tcase_create("generation");
    tcase_add_test(tests, test_generation__queue_stays_within_few_blocks);
    tcase_add_test(tests, test_generation__cuts_an_emptied_block_again);
    tcase_add_test(tests, test_generation__straggler_keeps_one_block);
    tcase_add_test(tests, test_generation__uses_the_first_block_again);
    tcase_add_test(tests, test_generation__leaves_no_empty_block_behind);
    tcase_add_test(tests, test_generation__reallocates);
    tcase_add_test(tests, test_generation__aligns);
    tcase_add_test(tests, test_generation__says_what_is_free);
    tcase_add_test(tests, test_generation__reset_gives_all_back);
    tcase_add_loop_test(tests, test_generation__keeps_what_was_written, 0, 4);
    tcase_add_test(tests, test_generation__comes_through_every_mapping_fault);
#ifndef RATION_UNGOVERNED
    tcase_add_test(tests, test_generation__comes_through_every_limit);
    tcase_add_test(tests, test_generation__goes_on_after_a_refusal);
#endif
    tcase_set_timeout(tests, 60);
    Suite *suite = suite_create("memory/generation");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

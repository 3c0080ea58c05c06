/* SPDX-License-Identifier: Apache-2.0
 *
 * Where blocks lie: vacancy and reuse, alignment, coalescing, spans that come and go, also with
 * many threads at it. */
#include "tests/memory/block_world.h"

#define SPAN_BLOCKS 16 /* of 64 KiB */

/* ---------------------------------------------------------------------------------------- spans */

START_TEST(test_spans__one_mapping_and_few_commits_serve_many_blocks)
{
    fixture world = open_world(&keeping_nothing);
    rn_slot *slot = open_slot(world.first);
    char *blocks[SPAN_BLOCKS];
    blocks[0] = acquire(slot, 64 * KIB);
    int64_t mappings = rn_pages_calls(RN_PAGES_MMAP), commits = rn_pages_calls(RN_PAGES_MPROTECT);
    for (int i = 1; i < SPAN_BLOCKS; i++) {
        blocks[i] = acquire(slot, 64 * KIB);
        ck_assert_ptr_eq(blocks[i], blocks[0] + i * 64 * KIB); /* low addresses first */
        memset(blocks[i], i, (size_t)(64 * KIB));
    }
    ck_assert_int_eq(rn_pages_calls(RN_PAGES_MMAP), mappings);
    ck_assert_int_eq(rn_pages_calls(RN_PAGES_MPROTECT), commits + 3); /* 256 KiB each */
    ck_assert_uint_eq((uintptr_t)blocks[0] % (uintptr_t)RN_SPAN_BYTES, 0);
    for (int i = 0; i < SPAN_BLOCKS; i++) {
        rn_block_release(slot, blocks[i], 64 * KIB);
    }
    close_world(&world, slot);
}
END_TEST

START_TEST(test_spans__vacant_places_serve_again_without_a_mapping)
{
    fixture world = open_world(&keeping_nothing);
    rn_slot *slot = open_slot(world.first);
    char *first = acquire(slot, 8 * KIB);
    char *second = acquire(slot, 8 * KIB);
    memset(second, 1, (size_t)(8 * KIB));
    rn_block_release(slot, second, 8 * KIB);
    ck_assert_int_eq(resident_bytes_of(second, 8 * KIB), 0);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 8 * KIB);
    int64_t mappings = rn_pages_calls(RN_PAGES_MMAP), commits = rn_pages_calls(RN_PAGES_MPROTECT);
    char *again = acquire(slot, 8 * KIB);
    ck_assert_ptr_eq(again, second);
    ck_assert_int_eq(again[100], 0); /* fresh */
    ck_assert_int_eq(rn_pages_calls(RN_PAGES_MMAP), mappings);
    ck_assert_int_eq(rn_pages_calls(RN_PAGES_MPROTECT), commits);
    rn_block_release(slot, first, 8 * KIB);
    rn_block_release(slot, again, 8 * KIB);
    close_world(&world, slot);
}
END_TEST

START_TEST(test_spans__vacant_neighbours_serve_larger_blocks)
{
    fixture world = open_world(&keeping_nothing);
    rn_slot *slot = open_slot(world.first);
    char *small[128];
    for (int i = 0; i < 128; i++) {
        small[i] = acquire(slot, 8 * KIB); /* the whole span */
    }
    int64_t mappings = rn_pages_calls(RN_PAGES_MMAP);
    for (int i = 8; i < 16; i++) {
        rn_block_release(slot, small[i], 8 * KIB);
    }
    char *large = acquire(slot, 64 * KIB);
    ck_assert_ptr_eq(large, small[8]);
    rn_block_release(slot, large, 64 * KIB);
    rn_block_release(slot, small[3], 8 * KIB);
    rn_block_release(slot, small[4], 8 * KIB);
    char *pair = acquire(slot, 16 * KIB); /* 3 and 4 are no aligned run */
    ck_assert_ptr_eq(pair, small[8]);
    rn_block_release(slot, small[2], 8 * KIB);
    char *low = acquire(slot, 16 * KIB);
    ck_assert_ptr_eq(low, small[2]);
    ck_assert_int_eq(rn_pages_calls(RN_PAGES_MMAP), mappings);
    rn_block_release(slot, low, 16 * KIB);
    rn_block_release(slot, pair, 16 * KIB);
    for (int i = 0; i < 128; i++) {
        if ((i < 2 || i > 4) && (i < 8 || i > 15)) {
            rn_block_release(slot, small[i], 8 * KIB);
        }
    }
    close_world(&world, slot);
}
END_TEST

START_TEST(test_spans__small_blocks_fill_used_units_first)
{
    fixture world = open_world(&keeping_nothing);
    rn_slot *slot = open_slot(world.first);
    char *units[4];
    for (int i = 0; i < 4; i++) {
        units[i] = acquire(slot, 64 * KIB);
    }
    rn_block_release(slot, units[2], 64 * KIB);
    char *anchor = acquire(slot, 8 * KIB);
    ck_assert_ptr_eq(anchor, units[2]);
    rn_block_release(slot, units[0], 64 * KIB); /* vacant and lower, but whole */
    char *next = acquire(slot, 32 * KIB);
    ck_assert_ptr_eq(next, units[2] + 32 * KIB);
    char *whole = acquire(slot, 64 * KIB);
    ck_assert_ptr_eq(whole, units[0]);
    rn_block_release(slot, anchor, 8 * KIB);
    rn_block_release(slot, next, 32 * KIB);
    rn_block_release(slot, whole, 64 * KIB);
    rn_block_release(slot, units[1], 64 * KIB);
    rn_block_release(slot, units[3], 64 * KIB);
    close_world(&world, slot);
}
END_TEST

START_TEST(test_spans__vacant_ones_go_but_a_spare)
{
    enum { SPANS = 6 };
    fixture world = open_world(&keeping_nothing);
    rn_slot *slot = open_slot(world.first);
    static char *blocks[SPANS * SPAN_BLOCKS];
    for (int i = 0; i < SPANS * SPAN_BLOCKS; i++) {
        blocks[i] = acquire(slot, 64 * KIB);
    }
    for (int i = 0; i < SPANS * SPAN_BLOCKS; i++) {
        rn_block_release(slot, blocks[i], 64 * KIB);
        check_all(&world);
    }
    int still = 0;
    for (int i = 0; i < SPANS; i++) {
        still += is_mapped(blocks[i * SPAN_BLOCKS], RN_SPAN_BYTES);
    }
    ck_assert_int_eq(still, 1);
    int64_t mappings = rn_pages_calls(RN_PAGES_MMAP);
    blocks[0] = acquire(slot, 8 * KIB);
    ck_assert_int_eq(rn_pages_calls(RN_PAGES_MMAP), mappings);
    rn_block_release(slot, blocks[0], 8 * KIB);
    close_world(&world, slot);
    ck_assert(!is_mapped(blocks[0], RN_SPAN_BYTES));
}
END_TEST

/* As at vm.max_map_count: spans that cannot go are used again. */
START_TEST(test_spans__that_cannot_go_are_used_again)
{
    fixture world = open_world(&keeping_nothing);
    rn_slot *slot = open_slot(world.first);
    static char *blocks[4 * SPAN_BLOCKS];
    for (int round = 0; round < 2; round++) {
        int64_t mappings = rn_pages_calls(RN_PAGES_MMAP);
        for (int i = 0; i < 4 * SPAN_BLOCKS; i++) {
            blocks[i] = acquire(slot, 64 * KIB);
            memset(blocks[i], 1, (size_t)(64 * KIB));
        }
        ck_assert(round == 0 || rn_pages_calls(RN_PAGES_MMAP) == mappings);
        rn_pages_fail_after(RN_PAGES_MUNMAP, 1, true);
        for (int i = 0; i < 4 * SPAN_BLOCKS; i++) {
            rn_block_release(slot, blocks[i], 64 * KIB);
            ck_assert_int_eq(resident_bytes_of(blocks[i], 64 * KIB), 0);
        }
        check_all(&world);
    }
    rn_pages_fail_after(RN_PAGES_MUNMAP, 0, false);
    close_world(&world, slot);
    for (int i = 0; i < 4 * SPAN_BLOCKS; i++) {
        ck_assert(!is_mapped(blocks[i], 64 * KIB));
    }
}
END_TEST

/* The table of spans grows; each address is found. */
START_TEST(test_spans__many)
{
    enum { SPANS = 200 };
    fixture world = open_world(&keeping_nothing);
    rn_slot *slot = open_slot(world.first);
    static char *blocks[SPANS * SPAN_BLOCKS];
    for (int i = 0; i < SPANS * SPAN_BLOCKS; i++) {
        blocks[i] = acquire(slot, 64 * KIB);
    }
    check_all(&world);
    for (int i = 0; i < SPANS * SPAN_BLOCKS; i++) {
        int at = (int)((unsigned)i * 1009u % (SPANS * SPAN_BLOCKS)); /* every one, in disorder */
        rn_block_release(slot, blocks[at], 64 * KIB);
    }
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 0);
    close_world(&world, slot);
}
END_TEST

/* Random blocks beside a model: what each was filled with, and whether their books agree. */
START_TEST(test_spans__random_blocks_never_overlap)
{
    enum { HELD = 400 };
    uint64_t seed = (uint64_t)_i + 4711;
    printf("seed=%llu\n", (unsigned long long)seed);
    fixture world = open_world(_i % 2 == 0 ? &decaying : &keeping_nothing);
    rn_pool_set_limit(world.root, 8 * MIB);
    rn_slot *slot = open_bare_slot(world.first);
    static struct {
        char *memory;
        int64_t bytes;
    } held[HELD];
    int64_t held_bytes = 0;
    for (int step = 0; step < 20000; step++) {
        uint64_t what = rn_random_below(&seed, 1000);
        int at = (int)rn_random_below(&seed, HELD);
        now_ns += (int64_t)rn_random_below(&seed, 10) * MS;
        if (what == 0) {
            rn_blocks_purge(world.blocks);
        } else if (what == 1) {
            rn_blocks_tick(world.blocks);
        } else if (held[at].memory != NULL) {
            ck_assert_int_eq(held[at].memory[0], (char)at);
            ck_assert_int_eq(held[at].memory[held[at].bytes - 1], (char)at);
            rn_block_release(slot, held[at].memory, held[at].bytes);
            held[at].memory = NULL;
            held_bytes -= held[at].bytes;
        } else {
            int64_t bytes = (8 * KIB) << rn_random_below(&seed, 4);
            void *block;
            if (rn_block_acquire(slot, bytes, &block) == RATION_OK) {
                held[at].memory = (char *)block;
                held[at].bytes = bytes;
                held[at].memory[0] = held[at].memory[bytes - 1] = (char)at;
                held_bytes += bytes;
            }
        }
        if (step % 50 == 0) {
            check_all(&world);
            ck_assert_int_ge(rn_blocks_mapped(world.blocks), held_bytes);
            ck_assert(!RN_GOVERNED || rn_blocks_mapped(world.blocks) <= 8 * MIB);
        }
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i].memory != NULL) {
            rn_block_release(slot, held[i].memory, held[i].bytes);
            held[i].memory = NULL;
        }
    }
    close_world(&world, slot);
}
END_TEST

/* Threads take, fill and give back blocks under a limit that has no room for all of them, while one
 * purges and lets time pass. What a thread wrote is still there when it gives back. */
enum { WORKERS = 4 };

typedef struct worker {
    rn_slot *slot;
    rn_blocks *blocks;
    uint64_t seed;
    bool purges;
} worker;

static void *work(void *argument)
{
    enum { HELD = 32 };
    worker *self = (worker *)argument;
    struct {
        void *memory;
        int64_t bytes;
    } held[HELD] = {{NULL, 0}};
    for (int64_t step = scaled(20000); step > 0; step--) {
        int at = (int)pick(&self->seed, HELD);
        if (self->purges && step % 200 == 0) {
            rn_blocks_tick(self->blocks);
        }
        if (self->purges && step % 1000 == 0) {
            rn_blocks_purge(self->blocks);
        }
        if (held[at].memory != NULL) {
            ck_assert_ptr_eq(*(void **)held[at].memory, &held[at]);
            rn_block_release(self->slot, held[at].memory, held[at].bytes);
            held[at].memory = NULL;
            continue;
        }
        held[at].bytes = rn_block_round((8 * KIB) << pick(&self->seed, 5));
        if (rn_block_acquire(self->slot, held[at].bytes, &held[at].memory) == RATION_OK) {
            *(void **)held[at].memory = &held[at];
        }
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i].memory != NULL) {
            rn_block_release(self->slot, held[i].memory, held[i].bytes);
        }
    }
    return NULL;
}

START_TEST(test_spans__threads_share_them)
{
    rn_blocks_options options = {.retain_ms = _i == 0 ? 1 : 0};
    fixture world = open_world(&options);
    rn_pool_set_limit(world.root, 5 * MIB);
    uint64_t seed = choose_seed(11);
    pthread_t threads[WORKERS];
    worker workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (worker){.slot = open_slot(i % 2 == 0 ? world.first : world.second),
                              .blocks = world.blocks,
                              .seed = seed + (uint64_t)i,
                              .purges = i == 0};
    }
    start_threads(threads, WORKERS, work, workers, sizeof(workers[0]));
    for (int i = 0; i < 20; i++) {
        ck_assert(rn_blocks_check(world.blocks));
        (void)sched_yield();
    }
    join_threads(threads, WORKERS);
    check_all(&world);
    for (int i = 1; i < WORKERS; i++) {
        rn_slot_close(workers[i].slot);
    }
    close_world(&world, workers[0].slot);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("spans");
    tcase_add_test(tests, test_spans__one_mapping_and_few_commits_serve_many_blocks);
    tcase_add_test(tests, test_spans__vacant_places_serve_again_without_a_mapping);
    tcase_add_test(tests, test_spans__vacant_neighbours_serve_larger_blocks);
    tcase_add_test(tests, test_spans__small_blocks_fill_used_units_first);
    tcase_add_test(tests, test_spans__vacant_ones_go_but_a_spare);
    tcase_add_test(tests, test_spans__that_cannot_go_are_used_again);
    tcase_add_test(tests, test_spans__many);
    tcase_add_loop_test(tests, test_spans__random_blocks_never_overlap, 0, 4);
    tcase_add_loop_test(tests, test_spans__threads_share_them, 0, 2);
    tcase_set_timeout(tests, 120);
    Suite *suite = suite_create("memory/spans");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

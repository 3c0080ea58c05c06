/* SPDX-License-Identifier: Apache-2.0
 *
 * Where blocks lie: vacancy and reuse, alignment, coalescing, spans that come and go; and how long
 * blocks stay that nobody uses. The clock is the test's. */
#include <signal.h>

#include "memory/pool.h"
#include "memory/span.h"
#include "tests/memory/fixture.h"
#include "tests/memory/resident.h"

#define KIB ((int64_t)1024)
#define MS ((int64_t)1000000)
#define SPAN_BLOCKS 16 /* of 64 KiB */

static int64_t now_ns;

static int64_t read_clock(void)
{
    return now_ns;
}

static const rn_blocks_options decaying = {.retain_ms = 1000, .clock_ns = read_clock};
static const rn_blocks_options keeping_nothing = {.retain_ms = 0};

static fixture open_world(const rn_blocks_options *options)
{
    fixture world = fixture_open(256 * MIB, INT64_MAX, MIB, false);
    fixture_set_blocks(&world, options);
    return world;
}

static void check_all(const fixture *world)
{
    check_audit(world);
    ck_assert(rn_blocks_check(world->blocks));
}

static char *acquire(rn_slot *slot, int64_t bytes)
{
    void *block = NULL;
    ck_assert_int_eq(rn_block_acquire(slot, bytes, &block), RATION_OK);
    ck_assert_uint_eq((uintptr_t)block % (uintptr_t)(bytes <= 64 * KIB ? bytes : 4096), 0);
    return (char *)block;
}

static void close_world(fixture *world, rn_slot *slot)
{
    check_all(world);
    ck_assert_int_eq(rn_slot_used(slot), 0);
    rn_slot_close(slot);
    fixture_close(world);
}

/* ------------------------------------------------------------------------------------------ spans */

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
    rn_slot *slot = open_slot(world.first);
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

/* ------------------------------------------------------------------------------------------ chains */

static void *make_chain(rn_slot *slot, int count, void **out_last)
{
    void *first = NULL, *last = NULL;
    for (int i = 0; i < count; i++) {
        void **block = (void **)(void *)acquire(slot, RN_BLOCK_BYTES);
        *block = first;
        last = last == NULL ? block : last;
        first = block;
    }
    *out_last = last;
    return first;
}

START_TEST(test_block__chain_is_kept_whole)
{
    fixture world = open_world(&decaying);
    rn_slot *slot = open_slot(world.first);
    void *last, *other_last;
    void *first = make_chain(slot, 20, &last);
    void *other = make_chain(slot, 5, &other_last);
    rn_block_release_chain(slot, first, last, 20);
    rn_block_release_chain(slot, other, other_last, 5);
    rn_block_release_chain(slot, NULL, NULL, 0);
    check_all(&world);
    ck_assert_int_eq(rn_slot_used(slot), 0);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 25 * RN_BLOCK_BYTES);
    ck_assert_ptr_eq(acquire(slot, RN_BLOCK_BYTES), other); /* the last in is the first out */
    rn_block_release(slot, other, RN_BLOCK_BYTES);
    rn_blocks_purge(world.blocks);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 0);
    close_world(&world, slot);
}
END_TEST

START_TEST(test_block__chain_that_may_not_be_kept_goes)
{
    for (int cut = 0; cut < 2; cut++) {
        fixture world = open_world(cut != 0 ? &decaying : &keeping_nothing);
        rn_slot *slot = open_slot(world.first);
        void *last;
        void *first = make_chain(slot, 20, &last);
        if (cut != 0 && RN_GOVERNED) {
            rn_pool_set_limit(world.root, 10 * RN_BLOCK_BYTES);
        }
        rn_block_release_chain(slot, first, last, 20);
        check_all(&world);
        int64_t kept = cut != 0 ? (RN_GOVERNED ? 10 : 20) * RN_BLOCK_BYTES : 0;
        ck_assert_int_le(rn_blocks_mapped(world.blocks), kept);
        close_world(&world, slot);
    }
}
END_TEST

/* ------------------------------------------------------------------------------------------ resize */

START_TEST(test_block__resize_is_charged_exactly)
{
    fixture world = open_world(&decaying);
    rn_slot *slot = open_slot(world.first);
    int64_t bytes = 68 * KIB;
    char *block = acquire(slot, bytes);
    static const int64_t sizes[] = {100, 400, 3000, 2500, 2044, 2048, 5000, 68, 9000};
    memset(block, 1, (size_t)bytes);
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        int64_t wanted = rn_block_round(sizes[i] * KIB);
        block = (char *)rn_block_resize(slot, block, bytes, wanted);
        ck_assert_ptr_nonnull(block);
        ck_assert_int_eq(block[RN_MIN(bytes, wanted) - 1], 1);
        memset(block, 1, (size_t)wanted);
        bytes = wanted;
        ck_assert_int_eq(rn_slot_used(slot), RN_GOVERNED ? bytes : 0);
        ck_assert_int_eq(rn_blocks_mapped(world.blocks), bytes);
    }
    ck_assert_int_eq(rn_slot_prepay(slot, 2 * bytes), RATION_OK); /* drawn from the advance */
    int64_t used = rn_slot_used(slot);
    block = (char *)rn_block_resize(slot, block, bytes, 2 * bytes);
    ck_assert_int_eq(rn_slot_used(slot), used);
    ck_assert_int_eq(slot->advance_bytes, RN_GOVERNED ? bytes : 0);
    ck_assert_int_eq(rn_slot_prepay(slot, 0), RATION_OK);
    rn_block_release(slot, block, 2 * bytes);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 0);
    close_world(&world, slot);
}
END_TEST

/* By a limit (where there are limits), and by the system, charged newly and out of the advance. */
START_TEST(test_block__resize_refused_changes_nothing)
{
    fixture world = open_world(&decaying);
    rn_slot *slot = open_slot(world.first);
    char *block = acquire(slot, MIB);
    memset(block, 7, (size_t)MIB);
    if (RN_GOVERNED) {
        ck_assert_ptr_null(rn_block_resize(slot, block, MIB, 512 * MIB));
    }
    for (int prepaid = 0; prepaid < 2; prepaid++) {
        ck_assert_int_eq(rn_slot_prepay(slot, prepaid * 8 * MIB), RATION_OK);
        int64_t used = rn_slot_used(slot), advance = slot->advance_bytes;
        rn_pages_fail_after(RN_PAGES_MREMAP, 1, true);
        ck_assert_ptr_null(rn_block_resize(slot, block, MIB, 4 * MIB));
        ck_assert_ptr_null(rn_block_resize(slot, block, MIB, MIB / 2));
        rn_pages_fail_after(RN_PAGES_MREMAP, 0, false);
        ck_assert_int_eq(rn_slot_used(slot), used);
        ck_assert_int_eq(slot->advance_bytes, advance);
        ck_assert_int_eq(rn_blocks_mapped(world.blocks), MIB);
        ck_assert_int_eq(block[MIB - 1], 7);
    }
    ck_assert_int_eq(rn_slot_prepay(slot, 0), RATION_OK);
    rn_block_release(slot, block, MIB);
    close_world(&world, slot);
}
END_TEST

#ifdef RATION_CHECKED
/* _i: fresh, grown, shrunk. */
START_TEST(test_block__end_of_a_large_one_traps)
{
    (void)signal(SIGSEGV, SIG_DFL);
    fixture world = open_world(&decaying);
    rn_slot *slot = open_slot(world.first);
    char *block = acquire(slot, MIB);
    int64_t bytes = _i == 0 ? MIB : _i == 1 ? 3 * MIB : 100 * KIB;
    block = _i == 0 ? block : (char *)rn_block_resize(slot, block, MIB, bytes);
    memset(block, 1, (size_t)bytes);
    *(volatile char *)(block + bytes) = 1;
}
END_TEST
#endif

/* ------------------------------------------------------------------------------------------- decay */

START_TEST(test_blocks__kept_ones_go_when_their_time_is_over)
{
    fixture world = open_world(&decaying);
    rn_slot *slot = open_slot(world.first);
    char *blocks[40];
    for (int i = 0; i < 40; i++) {
        blocks[i] = acquire(slot, 64 * KIB);
    }
    for (int i = 0; i < 40; i++) { /* one every 50 ms, and a look at each */
        rn_block_release(slot, blocks[i], 64 * KIB);
        now_ns += 50 * MS;
        rn_blocks_tick(world.blocks);
        check_all(&world);
        int64_t kept = rn_blocks_mapped(world.blocks) / (64 * KIB) - (40 - i - 1);
        int64_t most = RN_MIN(i + 1, 1000 / 50), least = RN_MIN(i + 1, 875 / 50);
        ck_assert_int_le(kept, most);  /* nothing stays longer than its time .. */
        ck_assert_int_ge(kept, least); /* .. or goes before 7/8 of it */
    }
    now_ns += 1000 * MS;
    rn_blocks_tick(world.blocks);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 0);
    ck_assert_int_eq(read_pool(world.root).retained_bytes, 0);
    ck_assert_int_eq(read_pool(world.retained).granted_bytes, 0);
    close_world(&world, slot);
}
END_TEST

START_TEST(test_blocks__those_used_again_stay)
{
    fixture world = open_world(&decaying);
    rn_slot *slot = open_slot(world.first);
    char *busy = acquire(slot, 64 * KIB), *idle = acquire(slot, 64 * KIB);
    rn_block_release(slot, idle, 64 * KIB);
    for (int i = 0; i < 30; i++) {
        rn_block_release(slot, busy, 64 * KIB);
        now_ns += 100 * MS;
        rn_blocks_tick(world.blocks);
        ck_assert_ptr_eq(acquire(slot, 64 * KIB), busy);
    }
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 64 * KIB);
    rn_block_release(slot, busy, 64 * KIB);
    close_world(&world, slot);
}
END_TEST

/* Without a tick: who takes and gives back blocks takes along what is old. */
START_TEST(test_blocks__old_ones_go_in_passing)
{
    fixture world = open_world(&decaying);
    rn_slot *slot = open_slot(world.first);
    char *blocks[100];
    for (int i = 0; i < 100; i++) {
        blocks[i] = acquire(slot, 64 * KIB);
    }
    for (int i = 0; i < 100; i++) {
        rn_block_release(slot, blocks[i], 64 * KIB);
    }
    now_ns += 1001 * MS;
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 100 * 64 * KIB);
    for (int i = 0; i < 60; i++) {
        rn_block_release(slot, acquire(slot, 8 * KIB), 8 * KIB);
        check_all(&world);
    }
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 8 * KIB);
    close_world(&world, slot);
}
END_TEST

START_TEST(test_blocks__generations_that_nobody_looked_at)
{
    fixture world = open_world(&decaying);
    rn_slot *slot = open_slot(world.first);
    char *blocks[30];
    for (int i = 0; i < 30; i++) {
        blocks[i] = acquire(slot, 8 * KIB);
    }
    rn_pool_set_limit(world.first, 30 * 8 * KIB);
    for (int i = 0; i < 30; i++) { /* more of them than there are generations, all in their time */
        rn_block_release(slot, blocks[i], 8 * KIB);
        now_ns += i % 3 == 0 ? 130 * MS : 0;
        check_all(&world);
    }
    now_ns += 1000 * MS;
    rn_blocks_tick(world.blocks);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 0);
    close_world(&world, slot);
}
END_TEST

START_TEST(test_blocks__rss_falls_with_them)
{
    fixture world = open_world(&decaying);
    rn_slot *slot = open_slot(world.first);
    enum { COUNT = 320 }; /* 20 MiB */
    static char *blocks[COUNT];
    int64_t start = resident_bytes_now();
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = acquire(slot, 64 * KIB);
        memset(blocks[i], 1, (size_t)(64 * KIB));
    }
    ck_assert(!rss_is_ours() || resident_bytes_now() >= start + 20 * MIB - MIB / 4);
    for (int i = 0; i < COUNT; i++) {
        rn_block_release(slot, blocks[i], 64 * KIB);
    }
    now_ns += 999 * MS;
    rn_blocks_tick(world.blocks);
    ck_assert(!rss_is_ours() || resident_bytes_now() >= start + 20 * MIB - MIB / 4);
    now_ns += MS;
    rn_blocks_tick(world.blocks);
    ck_assert(!rss_is_ours() || resident_bytes_now() <= start + MIB / 2);
    close_world(&world, slot);
}
END_TEST

START_TEST(test_blocks__prefault_makes_fresh_ones_resident)
{
    for (int prefault = 0; prefault < 2; prefault++) {
        rn_blocks_options options = {.retain_ms = 0, .prefault = prefault != 0};
        fixture world = open_world(&options);
        rn_slot *slot = open_slot(world.first);
        for (int64_t bytes = 8 * KIB; bytes <= 256 * KIB; bytes *= 2) {
            char *block = acquire(slot, bytes);
            ck_assert_int_eq(resident_bytes_of(block, bytes), prefault != 0 ? bytes : 0);
            rn_block_release(slot, block, bytes);
        }
        close_world(&world, slot);
    }
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
    tcase_add_test(tests, test_block__chain_is_kept_whole);
    tcase_add_test(tests, test_block__chain_that_may_not_be_kept_goes);
    tcase_add_test(tests, test_block__resize_is_charged_exactly);
    tcase_add_test(tests, test_block__resize_refused_changes_nothing);
#ifdef RATION_CHECKED
    tcase_add_loop_test_raise_signal(tests, test_block__end_of_a_large_one_traps, SIGSEGV, 0, 3);
#endif
    tcase_add_test(tests, test_blocks__kept_ones_go_when_their_time_is_over);
    tcase_add_test(tests, test_blocks__those_used_again_stay);
    tcase_add_test(tests, test_blocks__old_ones_go_in_passing);
    tcase_add_test(tests, test_blocks__generations_that_nobody_looked_at);
    tcase_add_test(tests, test_blocks__rss_falls_with_them);
    tcase_add_test(tests, test_blocks__prefault_makes_fresh_ones_resident);
    Suite *suite = suite_create("memory/spans");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

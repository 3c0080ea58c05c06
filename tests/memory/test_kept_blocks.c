/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks given back by the chain; larger ones resized; and how long those stay that nobody uses. */
#include <signal.h>

#include "tests/memory/block_world.h"

/* --------------------------------------------------------------------------------------- chains */

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
    rn_slot *slot = open_bare_slot(world.first);
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

/* --------------------------------------------------------------------------------------- resize */

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

/* ---------------------------------------------------------------------------------------- decay */

START_TEST(test_blocks__kept_ones_go_when_their_time_is_over)
{
    fixture world = open_world(&decaying);
    rn_slot *slot = open_bare_slot(world.first);
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
    rn_slot *slot = open_bare_slot(world.first);
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
    rn_slot *slot = open_bare_slot(world.first);
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
    rn_slot *slot = open_bare_slot(world.first);
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
    rn_slot *slot = open_bare_slot(world.first);
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
    TCase *tests = tcase_create("kept");
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
    Suite *suite = suite_create("memory/kept blocks");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

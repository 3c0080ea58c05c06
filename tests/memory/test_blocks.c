/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks: what they are charged, where they are kept, and who gets the pages when a limit needs
 * them. */
#include "memory/pool.h"
#include "tests/memory/fixture.h"

#define KIB ((int64_t)1024)

/* In a build that counts nothing every figure is 0. */
static int64_t governed(int64_t bytes)
{
    return RN_GOVERNED ? bytes : 0;
}

static void *acquire(rn_slot *slot, int64_t bytes)
{
    void *block = NULL;
    ck_assert_int_eq(rn_block_acquire(slot, bytes, &block), RATION_OK);
    memset(block, 0xa5, (size_t)bytes);
    return block;
}

START_TEST(test_block__rounds_to_classes_and_pages)
{
    ck_assert_int_eq(rn_block_round(0), 8 * KIB);
    ck_assert_int_eq(rn_block_round(8 * KIB), 8 * KIB);
    ck_assert_int_eq(rn_block_round(8 * KIB + 1), 16 * KIB);
    ck_assert_int_eq(rn_block_round(33 * KIB), 64 * KIB);
    ck_assert_int_eq(rn_block_round(64 * KIB), 64 * KIB);
    ck_assert_int_eq(rn_block_round(64 * KIB + 1), 68 * KIB);
    ck_assert_int_gt(rn_block_round(INT64_MAX), INT64_MAX - 65536);
}
END_TEST

START_TEST(test_block__is_charged_kept_and_taken_over)
{
    fixture world = fixture_open(64 * MIB, INT64_MAX, MIB, false);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.second);
    void *block = acquire(one, 64 * KIB);
    ck_assert_int_eq(read_pool(world.first).charged_bytes, governed(64 * KIB));
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 64 * KIB);
    rn_block_release(one, block, 64 * KIB);
    ration_pool_figures figures = read_pool(world.root);
    ck_assert_int_eq(figures.charged_bytes, 0);
    ck_assert_int_eq(figures.retained_bytes, governed(64 * KIB));
    ck_assert_int_ge(figures.credit_bytes, figures.retained_bytes);
    ck_assert_int_eq(read_pool(world.first).retained_bytes, governed(64 * KIB)); /* on its shelf */
    (void)rn_pool_recall(world.first);
    ck_assert_int_eq(read_pool(world.first).retained_bytes, 0);
    ck_assert_int_eq(read_pool(world.root).retained_bytes, governed(64 * KIB));
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 64 * KIB);
    ck_assert_ptr_eq(acquire(two, 64 * KIB), block); /* by another query */
    ck_assert_int_eq(read_pool(world.second).charged_bytes, governed(64 * KIB));
    ck_assert_int_eq(read_pool(world.root).retained_bytes, 0);
    check_audit(&world);
    rn_block_release(two, block, 64 * KIB);
    rn_blocks_purge(world.blocks);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 0);
    ck_assert_int_eq(read_pool(world.root).retained_bytes, 0);
    rn_slot_close(one);
    rn_slot_close(two);
    fixture_close(&world);
}
END_TEST

START_TEST(test_block__large_ones_are_not_kept)
{
    fixture world = fixture_open(64 * MIB, INT64_MAX, MIB, false);
    rn_slot *slot = open_slot(world.first);
    int64_t bytes = rn_block_round(3 * MIB + 1);
    void *block = acquire(slot, bytes);
    ck_assert_int_eq(read_pool(world.first).charged_bytes, governed(bytes));
    rn_block_release(slot, block, bytes);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 0);
    ck_assert_int_eq(read_pool(world.root).charged_bytes, 0);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

START_TEST(test_block__system_refusal_leaves_nothing_charged)
{
    fixture world = fixture_open(64 * MIB, INT64_MAX, MIB, false);
    rn_slot *slot = open_slot(world.first);
    void *block = &world;
    for (int large = 0; large < 2; large++) {
        int64_t bytes = large != 0 ? MIB : 8 * KIB;
        rn_blocks_fail_after(1, false);
        ck_assert_int_eq(rn_block_acquire(slot, bytes, &block), RATION_NO_MEMORY);
        ck_assert_ptr_eq(block, &world);
        ck_assert_int_eq(read_pool(world.first).charged_bytes, 0);
        ck_assert_int_eq(rn_slot_prepay(slot, 2 * MIB), RATION_OK);
        rn_blocks_fail_after(1, false);
        ck_assert_int_eq(rn_block_acquire(slot, bytes, &block), RATION_NO_MEMORY);
        ck_assert_int_eq(slot->advance_bytes, governed(2 * MIB));
        ck_assert_int_eq(rn_slot_prepay(slot, 0), RATION_OK);
        ck_assert_int_eq(read_pool(world.first).charged_bytes, 0);
    }
    rn_block_release(slot, acquire(slot, 8 * KIB), 8 * KIB);
    rn_blocks_fail_after(1,
                         false); /* once: kept pages of another size go back, and then it works */
    rn_block_release(slot, acquire(slot, MIB), MIB);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 0);
    rn_blocks_fail_after(0, false);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

#ifndef RATION_UNGOVERNED
START_TEST(test_block__kept_pages_yield_to_a_charge)
{
    fixture world = fixture_open(MIB, INT64_MAX, MIB, false);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.second);
    void *blocks[8];
    for (int i = 0; i < 8; i++) {
        blocks[i] = acquire(one, 64 * KIB);
    }
    for (int i = 0; i < 8; i++) {
        rn_block_release(one, blocks[i], 64 * KIB);
    }
    ck_assert_int_eq(read_pool(world.root).retained_bytes, 512 * KIB);
    (void)rn_pool_recall(
        world.first); /* its credit too would be missing, and pages go before credit */
    ck_assert_int_eq(charge(two, MIB - 100 * KIB), RATION_OK);
    ck_assert_int_eq(read_pool(world.root).retained_bytes, 64 * KIB); /* no more than was needed */
    ck_assert_int_eq(charge(two, 100 * KIB + 1), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(two->no.purged_bytes, 64 * KIB);
    ck_assert_int_eq(two->no.charged_bytes, MIB - 100 * KIB);
    ck_assert_int_eq(charge(two, 100 * KIB), RATION_OK);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 0);
    check_audit(&world);
    release(two, MIB);
    rn_slot_close(one);
    rn_slot_close(two);
    fixture_close(&world);
}
END_TEST

/* At the limit a kept block moves from query to query; a query's own limit still holds. */
START_TEST(test_block__taken_over_at_the_limit)
{
    fixture world = fixture_open(256 * KIB, 192 * KIB, 4096, false);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.second);
    void *blocks[4];
    void *none = NULL;
    for (int i = 0; i < 3; i++) {
        blocks[i] = acquire(one, 64 * KIB);
    }
    blocks[3] = acquire(two, 64 * KIB);
    ck_assert_int_eq(rn_block_acquire(two, 64 * KIB, &none), RATION_GLOBAL_LIMIT);
    rn_block_release(one, blocks[0], 64 * KIB);
    ck_assert_ptr_eq(acquire(two, 64 * KIB), blocks[0]);
    rn_block_release(two, blocks[3], 64 * KIB);
    ck_assert_ptr_eq(acquire(one, 64 * KIB), blocks[3]);
    ck_assert_int_eq(rn_block_acquire(one, 64 * KIB, &none), RATION_QUERY_LIMIT);
    ck_assert_int_eq(read_pool(world.root).charged_bytes, 256 * KIB);
    check_audit(&world);
    rn_pool_set_limit(world.root, 64 * KIB);
    rn_block_release(one, blocks[1], 64 * KIB); /* above the limit nothing is kept */
    ck_assert_int_eq(read_pool(world.root).granted_bytes, 192 * KIB);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), 192 * KIB);
    rn_block_release(one, blocks[2], 64 * KIB);
    rn_block_release(one, blocks[3], 64 * KIB);
    rn_block_release(two, blocks[0], 64 * KIB);
    rn_slot_close(one);
    rn_slot_close(two);
    fixture_close(&world);
}
END_TEST

START_TEST(test_block__drawn_from_the_advance)
{
    fixture world = fixture_open(MIB, INT64_MAX, 4096, false);
    rn_slot *slot = open_slot(world.first);
    ck_assert_int_eq(rn_slot_prepay(slot, MIB), RATION_OK);
    void *fresh = acquire(slot, 64 * KIB);
    rn_block_release(slot, fresh, 64 * KIB);
    void *kept = acquire(slot, 64 * KIB);
    ck_assert_ptr_eq(kept, fresh);
    ck_assert_int_eq(slot->advance_bytes, MIB - 64 * KIB); /* from the shelf nothing is drawn */
    ck_assert_int_eq(rn_slot_used(slot), MIB);
    rn_block_release(slot, kept, 64 * KIB);
    (void)rn_pool_recall(world.first);
    ck_assert_ptr_eq(acquire(slot, 64 * KIB), kept);
    ck_assert_int_eq(slot->advance_bytes, MIB - 128 * KIB);
    ck_assert_int_eq(rn_slot_used(slot), MIB - 64 * KIB);
    ck_assert_int_eq(read_pool(world.root).retained_bytes, 0);
    rn_block_release(slot, kept, 64 * KIB);
    ck_assert_int_eq(rn_slot_prepay(slot, 0), RATION_OK);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST
#endif

START_TEST(test_blocks__limit_cut_purges)
{
    fixture world = fixture_open(MIB, INT64_MAX, 4096, false);
    rn_slot *slot = open_slot(world.first);
    rn_block_release(slot, acquire(slot, 64 * KIB), 64 * KIB);
    rn_pool_set_limit(world.root, 0);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), RN_GOVERNED ? 0 : 64 * KIB);
    ck_assert_int_eq(read_pool(world.root).granted_bytes, 0);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

/* Random blocks of two queries under limits that keep changing: granted stays within, nothing is
 * lost. */
START_TEST(test_blocks__random_traffic)
{
    enum { HELD = 64 };
    uint64_t seed = UINT64_C(77);
    printf("seed=%llu\n", (unsigned long long)seed);
    fixture world = fixture_open(2 * MIB, MIB, 64 * KIB, false);
    rn_slot *slots[2] = {open_slot(world.first), open_slot(world.second)};
    void *blocks[HELD] = {NULL};
    int64_t sizes[HELD];
    for (int step = 0; step < 5000; step++) {
        int i = (int)rn_random_below(&seed, HELD);
        if (blocks[i] != NULL) {
            rn_block_release(slots[i % 2], blocks[i], sizes[i]);
            blocks[i] = NULL;
        } else {
            sizes[i] = rn_block_round((int64_t)rn_random_below(&seed, 100 * 1024));
            ration_status status = rn_block_acquire(slots[i % 2], sizes[i], &blocks[i]);
            ck_assert((status == RATION_OK) == (blocks[i] != NULL));
            if (blocks[i] != NULL) {
                memset(blocks[i], i, (size_t)sizes[i]);
            }
        }
        if (step % 100 == 0) {
            check_audit(&world);
            ck_assert_int_le(read_pool(world.root).granted_bytes, 2 * MIB);
            ck_assert(!RN_GOVERNED || rn_blocks_mapped(world.blocks) <= 2 * MIB);
            rn_pool_set_limit(world.first, MIB / (1 + step / 100 % 4));
        }
    }
    for (int i = 0; i < HELD; i++) {
        if (blocks[i] != NULL) {
            ck_assert_uint_eq(*((unsigned char *)blocks[i] + sizes[i] - 1), (unsigned)i);
            rn_block_release(slots[i % 2], blocks[i], sizes[i]);
        }
    }
    rn_slot_close(slots[0]);
    rn_slot_close(slots[1]);
    fixture_close(&world);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("blocks");
    tcase_add_test(tests, test_block__rounds_to_classes_and_pages);
    tcase_add_test(tests, test_block__is_charged_kept_and_taken_over);
    tcase_add_test(tests, test_block__large_ones_are_not_kept);
    tcase_add_test(tests, test_block__system_refusal_leaves_nothing_charged);
#ifndef RATION_UNGOVERNED
    tcase_add_test(tests, test_block__kept_pages_yield_to_a_charge);
    tcase_add_test(tests, test_block__taken_over_at_the_limit);
    tcase_add_test(tests, test_block__drawn_from_the_advance);
#endif
    tcase_add_test(tests, test_blocks__limit_cut_purges);
    tcase_add_test(tests, test_blocks__random_traffic);
    Suite *suite = suite_create("memory/blocks");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

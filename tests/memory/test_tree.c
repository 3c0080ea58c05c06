/* SPDX-License-Identifier: Apache-2.0
 *
 * Corners of the tree of pools: several ledgers, a tree without retained pages, claims and moves
 * that purge what is their own, slots that owe, sums at the end of int64_t. */
#include "memory/pool.h"
#include "tests/memory/fixture.h"

static rn_ledger *open_ledger(void)
{
    rn_ledger_options options = {.chunk_bytes_max = 4096};
    rn_ledger *ledger = NULL;
    ck_assert_int_eq(rn_ledger_open(&options, &ledger), RATION_OK);
    return ledger;
}

static ration_pool *open_pool(rn_ledger *ledger, ration_pool *parent, const char *name,
                              int64_t limit_bytes)
{
    ration_pool *pool = NULL;
    ck_assert_int_eq(
        rn_pool_open(ledger, parent, name, limit_bytes, RATION_GROUP_LIMIT, NULL, &pool),
        RATION_OK);
    return pool;
}

/* Closed in another order than opened. */
START_TEST(test_tree__several_ledgers)
{
    rn_ledger *ledgers[3];
    ration_pool *roots[3];
    for (size_t i = 0; i < RN_COUNT(ledgers); i++) {
        ledgers[i] = open_ledger();
        roots[i] = open_pool(ledgers[i], NULL, "root", 1000 * (int64_t)(i + 1));
    }
    for (size_t i = 0; i < RN_COUNT(ledgers); i++) {
        ck_assert(rn_pool_try_charge(roots[i], 1000 * (int64_t)(i + 1)));
        ck_assert(!rn_pool_try_charge(roots[i], 1));
        rn_pool_release(roots[i], 1000 * (int64_t)(i + 1));
    }
    static const size_t order[] = {1, 0, 2};
    for (size_t i = 0; i < RN_COUNT(order); i++) {
        rn_pool_close(roots[order[i]]);
        rn_ledger_close(ledgers[order[i]]);
    }
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

/* Nothing is retained, and nobody is there to purge it. */
START_TEST(test_tree__full_without_retained_pages)
{
    rn_ledger *ledger = open_ledger();
    ration_pool *root = open_pool(ledger, NULL, "root", 1000);
    rn_slot *slot = open_slot(root);
    ck_assert_int_eq(charge(slot, 1000), RATION_OK);
    ck_assert_int_eq(charge(slot, 1), RATION_GROUP_LIMIT);
    ck_assert_int_eq(slot->no.purged_bytes, 0);
    release(slot, 1000);
    rn_slot_close(slot);
    rn_pool_close(root);
    rn_ledger_close(ledger);
}
END_TEST

/* What leaves a pool below its claim frees nothing above it: the new way needs room for all. */
START_TEST(test_tree__move_out_of_a_claim)
{
    rn_ledger *ledger = open_ledger();
    ration_pool *root = open_pool(ledger, NULL, "root", 1000);
    ration_pool *group = open_pool(ledger, root, "group", INT64_MAX);
    ration_pool *claiming = open_pool(ledger, group, "claiming", INT64_MAX);
    ration_pool *other = open_pool(ledger, root, "other", INT64_MAX);
    ration_pool *moved = open_pool(ledger, claiming, "moved", INT64_MAX);
    rn_no no;
    ck_assert(rn_pool_try_claim(claiming, 600, &no));
    ck_assert(rn_pool_try_charge(moved, 401));
    ck_assert(!rn_pool_set_parent(moved, other, &no));
    ck_assert_ptr_eq(no.pool, root);
    ck_assert_int_eq(no.needed_bytes, 401);
    rn_pool_release(moved, 1);
    ck_assert(rn_pool_set_parent(moved, other, &no));
    ck_assert_int_eq(read_pool(root).granted_bytes, 1000);
    ck_assert_int_eq(read_pool(claiming).granted_bytes, 600);
    ck_assert(rn_pool_set_parent(moved, claiming, &no)); /* the way back is free */
    ck_assert_int_eq(read_pool(root).granted_bytes, 600);
    rn_pool_release(moved, 400);
    ck_assert(rn_pool_try_claim(claiming, 0, &no));
    rn_pool_close(moved);
    rn_pool_close(claiming);
    rn_pool_close(group);
    rn_pool_close(other);
    ck_assert_int_eq(read_pool(root).granted_bytes, 0);
    rn_pool_close(root);
    rn_ledger_close(ledger);
}
END_TEST

/* root (100 KiB) -> group -> retained, and a slot for blocks below group. */
typedef struct keeper {
    rn_ledger *ledger;
    ration_pool *root, *group, *retained, *other;
    rn_slot *slot;
    rn_blocks *blocks;
} keeper;

#define KEPT (4 * RN_BLOCK_BYTES_MIN)

/* Keeps KEPT bytes of retained pages below `group`. */
static void keep_pages(keeper *it)
{
    void *blocks[KEPT / RN_BLOCK_BYTES_MIN];
    for (size_t i = 0; i < RN_COUNT(blocks); i++) {
        ck_assert_int_eq(rn_block_acquire(it->slot, RN_BLOCK_BYTES_MIN, &blocks[i]), RATION_OK);
    }
    for (size_t i = 0; i < RN_COUNT(blocks); i++) {
        rn_block_release(it->slot, blocks[i], RN_BLOCK_BYTES_MIN);
    }
    ck_assert_int_eq(read_pool(it->group).retained_bytes, KEPT);
}

static keeper open_keeper(bool claiming)
{
    rn_no no;
    keeper it = {.ledger = open_ledger()};
    it.root = open_pool(it.ledger, NULL, "root", 100 * 1024);
    it.other = open_pool(it.ledger, it.root, "other", INT64_MAX);
    ration_pool *above = claiming ? open_pool(it.ledger, it.root, "above", INT64_MAX) : it.root;
    ck_assert(!claiming || rn_pool_try_claim(above, 60 * 1024, &no));
    it.group = open_pool(it.ledger, above, "group", INT64_MAX);
    it.retained = open_pool(it.ledger, it.group, "retained", INT64_MAX);
    ck_assert_int_eq(rn_blocks_open(it.retained, NULL, &it.blocks), RATION_OK);
    it.slot = open_slot(it.group);
    keep_pages(&it);
    return it;
}

static void close_keeper(keeper *it)
{
    ration_pool *above = rn_pool_parent(it->group);
    char text[256];
    rn_slot_close(it->slot);
    rn_blocks_close(it->blocks);
    rn_pool_close(it->retained);
    ck_assert_int_eq(read_pool(it->group).granted_bytes, 0);
    rn_pool_close(it->group);
    if (above != it->root && above != it->other) {
        rn_pool_close(above);
    }
    rn_pool_close(it->other);
    ck_assert_msg(ration_pool_check(it->root, text, sizeof(text)), "%s", text);
    rn_pool_close(it->root);
    rn_ledger_close(it->ledger);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}

/* What a purge frees below the claiming pool is no gain: the claim covers it. */
START_TEST(test_tree__claim_that_purges_its_own_pages)
{
    keeper it = open_keeper(false);
    rn_no no;
    ck_assert(rn_pool_try_charge(it.other, 60 * 1024));
    ck_assert(!rn_pool_try_claim(it.group, 41 * 1024, &no));
    ck_assert(rn_pool_try_claim(it.group, 40 * 1024, &no));
    ck_assert(!rn_pool_try_charge(it.other, 1));
    rn_pool_release(it.other, 60 * 1024);
    ck_assert(rn_pool_try_claim(it.group, 0, &no));
    close_keeper(&it);
}
END_TEST

/* The claim it leaves stays charged, so it needs room for all it holds; and holds less when its
 * retained pages are given up for that. */
START_TEST(test_tree__move_that_purges_its_own_pages)
{
    keeper it = open_keeper(true);
    ration_pool *above = rn_pool_parent(it.group);
    rn_no no;
    ck_assert(rn_pool_try_charge(it.group, 28 * 1024));
    ck_assert_int_gt(read_pool(it.group).granted_bytes, 40 * 1024);
    ck_assert(rn_pool_set_parent(it.group, it.other, &no));
    ck_assert_int_le(read_pool(it.group).granted_bytes, 40 * 1024);
    ck_assert_int_eq(read_pool(it.group).charged_bytes, 28 * 1024);
    ck_assert_int_gt(no.purged_bytes, 0);
    rn_pool_release(it.group, 28 * 1024);
    ck_assert(rn_pool_try_claim(above, 0, &no));
    rn_pool_close(above);
    close_keeper(&it);
}
END_TEST

#ifndef RATION_CHECKED
/* A programmer's error: nothing moves, and it is counted. Checked builds stop there. */
START_TEST(test_tree__move_below_itself)
{
    fixture world = fixture_open(MIB, INT64_MAX, 0, false);
    rn_no no;
    ck_assert(!rn_pool_set_parent(world.queries, world.first, &no));
    ck_assert_int_eq(rn_faults(), 1);
    ck_assert_ptr_eq(rn_pool_parent(world.queries), world.root);
    fixture_clear(&world);
}
END_TEST
#endif

/* The bytes were charged by another slot of the pool. */
START_TEST(test_tree__between_for_a_slot_that_owes)
{
    fixture world = fixture_open(MIB, INT64_MAX, 0, _i != 0);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.first);
    int64_t charged;
    ck_assert_int_eq(charge(one, 1000), RATION_OK);
    release(two, 600);
    ck_assert_int_eq(ration_slot_try_charge_between(&two->hot, 1, INT64_MAX, &charged), RATION_OK);
    ck_assert_int_eq(charged, MIB - 400);
    ck_assert_int_eq(rn_slot_used(two), MIB - 1000);
    release(one, MIB);
    rn_slot_close(one);
    rn_slot_close(two);
    fixture_close(&world);
}
END_TEST

/* Without any limit the end of int64_t is one. */
START_TEST(test_tree__sums_at_the_end_of_int64)
{
    fixture world = fixture_open(INT64_MAX, INT64_MAX, 0, _i != 0);
    rn_slot *slot = open_slot(world.first);
    ck_assert_int_ne(charge(slot, INT64_MAX), RATION_OK);
    ck_assert(rn_pool_try_charge(world.first, INT64_MAX - 1));
    ck_assert_int_eq(charge(slot, 1), RATION_OK);
    ck_assert_int_ne(charge(slot, 1), RATION_OK);
    rn_no no;
    ck_assert(!rn_pool_set_parent(world.first, world.root, &no)); /* no sum, no move */
    release(slot, 1);
    ck_assert(rn_pool_set_parent(world.first, world.root, &no));
    check_audit(&world);
    ck_assert(rn_pool_set_parent(world.first, world.queries, &no));
    rn_pool_release(world.first, INT64_MAX - 1);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

/* Between a slot and a pool, as retained pages do it; refused where there is no room. */
START_TEST(test_tree__bytes_between_slot_and_pool)
{
    fixture world = fixture_open(MIB, INT64_MAX, 0, _i != 0);
    rn_slot *slot = open_slot(world.first);
    rn_pool_set_limit(world.second, 100);
    ck_assert_int_eq(charge(slot, 200), RATION_OK);
    rn_ledger_lock(world.ledger);
    ck_assert(!rn_slot_hand_over(slot, world.second, 101));
    ck_assert(rn_slot_hand_over(slot, world.second, 100));
    ck_assert(!rn_slot_hand_over(slot, world.second, 1));
    rn_ledger_unlock(world.ledger);
    check_audit(&world);
    ck_assert_int_eq(rn_slot_used(slot), 100);
    rn_pool_set_limit(world.first, 150);
    rn_ledger_lock(world.ledger);
    ck_assert(!rn_slot_take_over(slot, world.second, 51));
    ck_assert(rn_slot_take_over(slot, world.second, 50));
    rn_ledger_unlock(world.ledger);
    check_audit(&world);
    ck_assert_int_eq(read_pool(world.root).charged_bytes, 200);
    release(slot, 150);
    rn_pool_release(world.second, 50);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *once = tcase_create("once");
    tcase_add_test(once, test_tree__several_ledgers);
    tcase_add_test(once, test_tree__full_without_retained_pages);
    tcase_add_test(once, test_tree__move_out_of_a_claim);
    tcase_add_test(once, test_tree__claim_that_purges_its_own_pages);
    tcase_add_test(once, test_tree__move_that_purges_its_own_pages);
#ifndef RATION_CHECKED
    tcase_add_test(once, test_tree__move_below_itself);
#endif
    TCase *both = tcase_create("both orderings");
    tcase_add_loop_test(both, test_tree__sums_at_the_end_of_int64, 0, 2);
    tcase_add_loop_test(both, test_tree__bytes_between_slot_and_pool, 0, 2);
    tcase_add_loop_test(both, test_tree__between_for_a_slot_that_owes, 0, 2);
    Suite *suite = suite_create("memory/tree");
    suite_add_tcase(suite, once);
    suite_add_tcase(suite, both);
    return run_suite(suite);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Corners of the tree of pools: several ledgers, a tree without retained pages, claims and moves
 * that purge what is their own, sums at the end of int64_t, and what makes damaged words good: the
 * audit, which must name each kind of difference, the recount, the queue put back in order. */
#include "memory/queue.h"
#include "tests/memory/processes.h"

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
    ck_assert_int_eq(rn_blocks_open(it.retained, &it.blocks), RATION_OK);
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

/* ---------------------------------------------------------------------------------------- audit */

static void expect_named(fixture *world, int64_t *word, int64_t value, const char *what)
{
    char text[256] = "";
    int64_t before = *word;
    *word = value;
    ck_assert_msg(!ration_pool_check(world->root, text, sizeof(text)), "not seen: %s", what);
    ck_assert_msg(strstr(text, what) != NULL, "'%s' does not say '%s'", text, what);
    *word = before;
    check_audit(world);
}

START_TEST(test_tree__audit_names_each_difference)
{
    fixture world = fixture_open(10000, INT64_MAX, 0, _i != 0);
    rn_slot *slot = open_slot(world.first);
    ration_pool *pool = world.first;
    ck_assert_int_eq(charge(slot, 1000), RATION_OK);
    expect_named(&world, &pool->held, 999, "held is not the sum of its parts");
    expect_named(&world, &world.root->granted, 999, "granted is not the greater of held and claim");
    expect_named(&world, &pool->claim, 1001, "granted is not the greater of held and claim");
    expect_named(&world, &pool->slots_below, 2, "slots_below is wrong");
    expect_named(&world, &slot->hot.limit, RN_SLOT_CLOSED, "words disagree with the ledger");
    expect_named(&world, &pool->limit, 999, "granted is above the limit");
    expect_named(&world, &world.root->givers, 1, "givers is wrong");
    expect_named(&world, &pool->waiting, 1, "somebody waits, and slots have credit");
    (void)rn_pool_recall(world.root);
    pool->waiting = 1; /* somebody waits at a drained pool, as it should be */
    check_audit(&world);
    pool->waiting = 0;
    expect_named(&world, &slot->hot.floor, 0, "words disagree with the ledger");
    release(slot, 1000);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

/* Words that are lost come back from the parts. */
START_TEST(test_tree__recount_restores_every_word)
{
    fixture world = fixture_open(10000, INT64_MAX, 0, _i != 0);
    rn_no no;
    rn_ledger_lock(world.ledger);
    rn_ledger_recount(world.ledger);
    rn_ledger_unlock(world.ledger);
    check_audit(&world);
    rn_slot *slots[] = {open_slot(world.first), open_slot(world.first), open_slot(world.second)};
    for (size_t i = 0; i < RN_COUNT(slots); i++) {
        ck_assert_int_eq(charge(slots[i], 100 * (int64_t)(i + 1)), RATION_OK);
    }
    ck_assert(rn_pool_try_charge(world.queries, 50));
    ck_assert(rn_pool_try_claim(world.second, 1000, &no));
    ration_pool *pools[] = {world.root, world.queries, world.first, world.second};
    int64_t granted[RN_COUNT(pools)];
    rn_ledger_lock(world.ledger);
    for (size_t i = 0; i < RN_COUNT(pools); i++) {
        granted[i] = pools[i]->granted;
        pools[i]->granted = pools[i]->held = -1;
        pools[i]->slots_below = 77;
    }
    rn_ledger_recount(world.ledger);
    rn_ledger_unlock(world.ledger);
    check_audit(&world);
    for (size_t i = 0; i < RN_COUNT(pools); i++) {
        ck_assert_int_eq(pools[i]->granted, granted[i]);
    }
    ck_assert(rn_pool_try_claim(world.second, 0, &no));
    rn_pool_release(world.queries, 50);
    for (size_t i = 0; i < RN_COUNT(slots); i++) {
        release(slots[i], 100 * (int64_t)(i + 1));
        rn_slot_close(slots[i]);
    }
    fixture_close(&world);
}
END_TEST

START_TEST(test_tree__recount_of_an_empty_ledger)
{
    rn_ledger *ledger = open_ledger();
    rn_ledger_lock(ledger);
    rn_ledger_recount(ledger);
    rn_ledger_unlock(ledger);
    rn_ledger_close(ledger);
}
END_TEST

/* The lists of a queue that was damaged are made anew, in the order of the tickets. */
START_TEST(test_tree__queue_put_back_in_order_of_age)
{
    fixture world = fixture_open(1000, INT64_MAX, 0, _i != 0);
    rn_ledger *ledger = world.ledger;
    rn_slot *slots[4];
    rn_no no;
    ck_assert(rn_pool_try_charge(world.second, 1000));
    rn_ledger_lock(ledger);
    rn_pool_count_givers(world.root, 1);
    rn_ledger_unlock(ledger);
    for (size_t i = 0; i < RN_COUNT(slots); i++) {
        slots[i] = open_slot(world.first);
        rn_ledger_lock(ledger);
        ck_assert_int_ne(rn_slot_charge_locked(slots[i], 10, &no), RATION_OK);
        rn_ticket_enter(slots[i], &no);
        rn_ledger_unlock(ledger);
    }
    static const size_t orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}};
    for (size_t i = 0; i < RN_COUNT(orders); i++) {
        rn_ledger_lock(ledger);
        rn_link_set(&ledger->first_waiting, NULL);
        rn_link_set(&ledger->last_waiting, NULL);
        rn_store(&world.root->waiting, 0);
        rn_store(&world.first->waiting, 0);
        for (size_t k = 0; k < RN_COUNT(slots); k++) {
            rn_slot *slot = slots[orders[i][k]];
            if (i == 1 && k == 0) {
                rn_link_set(&slot->ticket.pool, NULL); /* the link was not written yet */
            }
            rn_queue_put_back(slot);
        }
        rn_ledger_unlock(ledger);
        const rn_slot *at = rn_queue_first(ledger);
        for (size_t k = 0; k < RN_COUNT(slots); k++, at = rn_queue_next(at)) {
            ck_assert_ptr_eq(at, slots[k]);
        }
        ck_assert_ptr_null(at);
        check_audit(&world);
    }
    for (size_t i = 0; i < RN_COUNT(slots); i++) { /* one after the other, first come */
        rn_pool_release(world.second, 10);
        ck_assert_int_eq(rn_ticket_read(slots[i]), RN_TICKET_GRANTED);
    }
    ck_assert_int_eq(rn_load(&world.root->waiting) + rn_load(&world.first->waiting), 0);
    rn_ledger_lock(ledger);
    rn_pool_count_givers(world.root, -1);
    rn_ledger_unlock(ledger);
    for (size_t i = 0; i < RN_COUNT(slots); i++) {
        rn_slot_close(slots[i]);
    }
    rn_pool_release(world.second, 960);
    fixture_close(&world);
}
END_TEST

static int64_t rung;

static void ring(void *argument)
{
    (void)rn_fetch_add((int64_t *)argument, 1);
}

static void wait_with_bell(stage *here, int index)
{
    (void)index;
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    rn_no no;
    rn_ticket_on_wake(slot, ring, &rung);
    rn_ledger_lock(self.ledger);
    need(rn_slot_charge_locked(slot, MIB, &no) != RATION_OK);
    rn_ticket_enter(slot, &no);
    rn_pool_count_givers(self.queries, 1);
    rn_ledger_unlock(self.ledger);
    need(sem_post(&here->ready) == 0);
    need(rn_ticket_wait(slot, INT64_MAX) == RN_TICKET_GRANTED);
    rn_ledger_lock(self.ledger);
    rn_ticket_take(slot);
    rn_pool_count_givers(self.queries, -1);
    rn_ledger_unlock(self.ledger);
    need(rung == 0);
    release(slot, MIB);
    rn_slot_close(slot);
    leave_region(&self);
}

/* Who wakes a slot of another process has that process's function and argument before it, and must
 * not call it. */
START_TEST(test_tree__wakes_without_calling_into_another_process)
{
    static const rn_share_sizes sizes = {.processes = 4, .pools = 8, .slots = 8};
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    ck_assert_int_eq(charge(slot, PROCESSES_LIMIT), RATION_OK);
    pid_t waiter = start_process(wait_with_bell, here, 0);
    await(&here->ready);
    release(slot, PROCESSES_LIMIT);
    await_process(waiter);
    ck_assert_int_eq(rung, 0);
    rn_slot_close(slot);
    leave_region(&self);
    stage_close(here);
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
    tcase_add_test(once, test_tree__wakes_without_calling_into_another_process);
    tcase_add_test(once, test_tree__recount_of_an_empty_ledger);
    TCase *both = tcase_create("both orderings");
    tcase_add_loop_test(both, test_tree__sums_at_the_end_of_int64, 0, 2);
    tcase_add_loop_test(both, test_tree__bytes_between_slot_and_pool, 0, 2);
    tcase_add_loop_test(both, test_tree__between_for_a_slot_that_owes, 0, 2);
    tcase_add_loop_test(both, test_tree__queue_put_back_in_order_of_age, 0, 2);
    tcase_add_loop_test(both, test_tree__audit_names_each_difference, 0, 2);
    tcase_add_loop_test(both, test_tree__recount_restores_every_word, 0, 2);
    Suite *suite = suite_create("memory/tree");
    suite_add_tcase(suite, once);
    suite_add_tcase(suite, both);
    return run_suite(suite);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What notices damage and makes it good: the audit, which must name each kind of difference, the
 * recount, the queue put back in order, the lock of a process that died. */
#include "memory/queue.h"
#include "tests/memory/processes.h"

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

START_TEST(test_audit__names_each_difference)
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
START_TEST(test_audit__recount_restores_every_word)
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

START_TEST(test_audit__recount_of_an_empty_ledger)
{
    rn_ledger_options options = {0};
    rn_ledger *ledger = NULL;
    ck_assert_int_eq(rn_ledger_open(&options, &ledger), RATION_OK);
    rn_ledger_lock(ledger);
    rn_ledger_recount(ledger);
    rn_ledger_unlock(ledger);
    rn_ledger_close(ledger);
}
END_TEST

/* The lists of a queue that was damaged are made anew, in the order of the tickets. */
START_TEST(test_audit__queue_put_back_in_order_of_age)
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
START_TEST(test_audit__wakes_without_calling_into_another_process)
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

static void lock_for_good(stage *here, int index)
{
    (void)index;
    member self = join_region(here);
    rn_ledger_lock(self.ledger);
    need(sem_post(&here->ready) == 0);
    (void)pause();
}

START_TEST(test_audit__lock_of_a_process_that_died)
{
    static const rn_share_sizes sizes = {.processes = 4, .pools = 8, .slots = 8};
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    ck_assert_int_eq(charge(slot, MIB), RATION_OK);
    pid_t holder = start_process(lock_for_good, here, 0);
    await(&here->ready);
    kill_process(holder);
    check_tree(&self);
    ck_assert_int_eq(read_pool(self.root).charged_bytes, MIB);
    ck_assert_int_eq(charge(slot, PROCESSES_LIMIT - MIB), RATION_OK);
    release(slot, PROCESSES_LIMIT);
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
    TCase *both = tcase_create("both orderings");
    tcase_add_loop_test(both, test_audit__names_each_difference, 0, 2);
    tcase_add_loop_test(both, test_audit__recount_restores_every_word, 0, 2);
    tcase_add_loop_test(both, test_audit__queue_put_back_in_order_of_age, 0, 2);
    TCase *once = tcase_create("once");
    tcase_add_test(once, test_audit__recount_of_an_empty_ledger);
    tcase_add_test(once, test_audit__wakes_without_calling_into_another_process);
    tcase_add_test(once, test_audit__lock_of_a_process_that_died);
    Suite *suite = suite_create("memory/audit");
    suite_add_tcase(suite, both);
    suite_add_tcase(suite, once);
    return run_suite(suite);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Whoever was asked to give answers: also when its spiller goes, when a thread is cancelled in it,
 * when it claims more meanwhile, when it has nothing at hand. Worlds: host_world.h. */
#include <time.h>

#include "tests/executor/host_world.h"

static void pause_ms(int64_t ms)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Nobody will write out for it any more: who waits looks for somebody else. */
START_TEST(test_giving__without_spiller_it_has_answered)
{
    ration_governor *governor = open_small(600000);
    engine hog, a;
    open_engine(&hog, governor, "hog", true);
    open_engine(&a, governor, "a", true);
    hold(&hog, LIMIT);
    ck_assert_int_eq(settle(&a, 500 * KIB), RATION_WAIT);
    ck_assert_int_ne(rn_ask_wants(hog.query), 0);
    if (_i == 0) {
        ration_slot_register_spill(hog.slot, NULL);
    } else {
        ration_query_return_slot(hog.slot);
    }
    ck_assert_int_eq(rn_ask_wants(hog.query), 0);
    ck_assert(ration_slot_wait(a.slot, 600000));
    ration_query_close(a.query);
    ration_query_close(hog.query);
    close_and_check(governor);
}
END_TEST

/* -------------------------------------------------------------------------------- cancellation */

static void *obtain(void *argument)
{
    engine *self = argument;
    return (void *)(uintptr_t)ration_slot_obtain(self->slot, 500 * KIB, "obtain");
}

static ration_status spill_and_test(void *state, int64_t want_bytes)
{
    ration_status status = spill(state, want_bytes);
    pthread_testcancel(); /* as what writes to a file does */
    return status;
}

static void *enter_cancelled(void *argument)
{
    (void)pthread_cancel(pthread_self());
    ration_slot_enter(((engine *)argument)->slot);
    ration_slot_leave(((engine *)argument)->slot);
    return NULL;
}

/* 0: who reclaims is cancelled in the spiller. 1: who comes back is cancelled at the door. Neither
 * leaves anything behind that others wait for. */
START_TEST(test_giving__cancelled_thread_leaves_nothing_taken)
{
    ration_governor *governor = open_small(600000);
    engine idle, a;
    open_engine(&idle, governor, "idle", false);
    open_engine(&a, governor, "a", true);
    idle.spiller.spill = spill_and_test;
    ration_slot_register_spill(idle.slot, &idle.spiller);
    hold(&idle, LIMIT);
    ration_slot_leave(idle.slot);
    rn_store(&idle.hold_up, 1);
    pthread_t asker = start(obtain, &a);
    while (rn_load_acquire(&idle.entered) == 0) {
        sched_yield();
    }
    if (_i == 0) {
        ck_assert_int_eq(pthread_cancel(asker), 0);
        rn_store_release(&idle.hold_up, 0);
        (void)join(asker);
    } else {
        pthread_t other = start(enter_cancelled, &idle);
        pause_ms(50); /* it is at the door by now, as a rule */
        rn_store_release(&idle.hold_up, 0);
        (void)join(other);
        ck_assert_int_eq((int)(uintptr_t)join(asker), RATION_OK);
    }
    ration_slot_enter(idle.slot);
    ck_assert_int_eq(idle.spilled, 600 * KIB);
    ration_query_close(a.query);
    ration_query_close(idle.query);
    close_and_check(governor);
}
END_TEST

/* ------------------------------------------------------------------------------- a larger claim */

static void *claim_more(void *argument)
{
    return (void *)(uintptr_t)ration_query_claim(((engine *)argument)->query, 700 * KIB, "more");
}

static int64_t inside; /* calls of spill_alone under way; atomic */

static ration_status spill_alone(void *state, int64_t want_bytes)
{
    ck_assert_int_eq(rn_fetch_add(&inside, 1), 0);
    ration_status status = spill(state, want_bytes);
    rn_fetch_add(&inside, -1);
    return status;
}

/* Its idle worker is being written out by somebody else: it waits for that, rather than write out
 * at the same time. */
START_TEST(test_giving__claim_does_not_spill_what_is_taken)
{
    ration_governor *governor = open_small(600000);
    engine idle, a;
    open_engine(&idle, governor, "idle", false);
    open_engine(&a, governor, "a", true);
    idle.spiller.spill = spill_alone;
    ration_slot_register_spill(idle.slot, &idle.spiller);
    ck_assert_int_eq(ration_query_claim(idle.query, 10 * KIB, "plan"), RATION_OK);
    hold(&idle, LIMIT);
    ration_slot_leave(idle.slot);
    rn_store(&idle.hold_up, 1);
    pthread_t asker = start(obtain, &a);
    while (rn_load_acquire(&idle.entered) == 0) {
        sched_yield();
    }
    pthread_t claimer = start(claim_more, &idle);
    pause_ms(50);
    rn_store_release(&idle.hold_up, 0);
    ck_assert_int_eq((int)(uintptr_t)join(asker), RATION_OK);
    a.held = 500 * KIB;
    ck_assert_int_eq((int)(uintptr_t)join(claimer), RATION_OK);
    ck_assert_int_eq(rn_load(&ration_query_pool(idle.query)->claim), 700 * KIB);
    ration_slot_enter(idle.slot);
    ration_query_close(a.query);
    ration_query_close(idle.query);
    close_and_check(governor);
}
END_TEST

/* Who gives up a larger claim stands in nobody's way. */
START_TEST(test_giving__larger_claim_is_given_up)
{
    ration_governor *governor = open_small(20);
    engine hog, a, b;
    open_engine(&hog, governor, "hog", true);
    open_engine(&a, governor, "a", false);
    open_engine(&b, governor, "b", false);
    ck_assert_int_eq(ration_query_claim(a.query, 10 * KIB, "plan"), RATION_OK);
    hold(&hog, LIMIT - 20 * KIB); /* it is inside, and never settles again */
    if (_i == 0) {
        ration_reply reply = ration_query_try_claim(a.query, 400 * KIB, "more");
        ck_assert_int_eq(reply.answer, RATION_WAIT);
        ck_assert_int_eq(settle(&b, KIB), RATION_WAIT);
        ck_assert_int_eq(ration_query_claim(a.query, 10 * KIB, "less"), RATION_OK);
        ck_assert(ration_slot_wait(b.slot, 600000));
    } else {
        ck_assert_int_eq(ration_query_claim(a.query, 400 * KIB, "more"), RATION_QUEUE_TIMEOUT);
        ration_refusal refusal;
        ck_assert(ration_query_refusal(a.query, &refusal));
        ck_assert_int_eq(refusal.status, RATION_QUEUE_TIMEOUT);
        ck_assert_str_eq(refusal.site, "more");
    }
    ck_assert_int_eq(settle(&b, KIB), RATION_GRANTED);
    ration_query_close(b.query);
    ration_query_close(a.query);
    ration_query_close(hog.query);
    close_and_check(governor);
}
END_TEST

/* ------------------------------------------------------------------------------ an idle hog */

static int64_t tell_none(void *state)
{
    (void)state;
    return 0;
}

/* It could spill, but all it has is in the hands of who left: asked in vain again and again, it
 * goes; not the one within its share. */
START_TEST(test_giving__idle_hog_is_no_reason_to_refuse)
{
    ration_governor *governor = open_small(600000);
    engine hog, a;
    open_engine(&hog, governor, "hog", false);
    open_engine(&a, governor, "a", false);
    ck_assert_int_eq(ration_query_claim(hog.query, 10 * KIB, "plan"), RATION_OK);
    hold(&hog, LIMIT);
    int64_t held = hog.held;
    hog.held = 0;
    hog.spiller.spillable = tell_none;
    ration_slot_register_spill(hog.slot, &hog.spiller);
    ration_slot_leave(hog.slot);
    for (int i = 0; i < 100 && ration_query_status(hog.query) == RATION_OK; i++) {
        ck_assert_int_eq(settle(&a, 100 * KIB), RATION_WAIT);
        bool woken = ration_slot_wait(a.slot, 200);
        ck_assert(woken || ration_query_status(hog.query) != RATION_OK);
    }
    ck_assert_int_eq(ration_query_status(hog.query), RATION_VICTIM);
    ck_assert_int_eq(settle(&a, 100 * KIB), RATION_WAIT); /* for it to close */
    hog.held = held;
    ration_query_close(hog.query);
    ck_assert_int_eq(settle(&a, 100 * KIB), RATION_GRANTED);
    ration_query_close(a.query);
    close_and_check(governor);
}
END_TEST

/* 0: asked again and again within a moment, it stays. 1: what it could not give while it was away
 * it gives when it is back, for itself; 2: for others. */
START_TEST(test_giving__back_again_it_can_give)
{
    ration_governor *governor = open_small(600000);
    engine idle, a;
    open_engine(&idle, governor, "idle", false);
    open_engine(&a, governor, "a", false);
    ck_assert_int_eq(ration_query_claim(idle.query, 10 * KIB, "plan"), RATION_OK);
    hold(&idle, LIMIT);
    idle.held = 0;
    ration_slot_register_spill(idle.slot, &idle.spiller);
    rn_ask_can_spill(rn_slot_of(idle.slot), LIMIT); /* when the consumer is done with it */
    ration_slot_leave(idle.slot);
    rn_ask_can_spill(rn_slot_of(idle.slot), LIMIT);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(settle(&a, 100 * KIB), RATION_WAIT);
        rn_reclaim_idle(governor);
    }
    ck_assert_int_eq(ration_query_status(idle.query), RATION_OK);
    ck_assert_int_eq(rn_ticket_read(rn_slot_of(a.slot)), RN_TICKET_RESTING);
    ration_governor_tick(governor); /* for who does not sleep */
    ck_assert_int_eq(rn_ticket_read(rn_slot_of(a.slot)), RN_TICKET_NONE);
    ration_slot_enter(idle.slot);
    idle.held = LIMIT;
    if (_i == 1) {
        ration_slot_withdraw(a.slot);
        ck_assert_int_eq(settle(&idle, 10 * KIB), RATION_SPILL);
    } else if (_i == 2) {
        rn_ask_can_spill(rn_slot_of(idle.slot), LIMIT);
        ration_slot_withdraw(a.slot);
        ck_assert_int_eq(settle(&a, 100 * KIB), RATION_WAIT);
        ck_assert_int_ne(rn_ask_wants(idle.query), 0);
    }
    ration_query_close(idle.query);
    ration_query_close(a.query);
    close_and_check(governor);
}
END_TEST

/* The same of what it was asked for while it was inside, and answered when it left. */
START_TEST(test_giving__asked_before_it_left_it_can_give_when_back)
{
    ration_governor *governor = open_small(600000);
    engine idle, a;
    open_engine(&idle, governor, "idle", false);
    open_engine(&a, governor, "a", false);
    hold(&idle, LIMIT);
    ration_slot_register_spill(idle.slot, &idle.spiller);
    ck_assert_int_eq(settle(&a, 100 * KIB), RATION_WAIT);
    ck_assert_int_ne(rn_ask_wants(idle.query), 0);
    idle.held = 0; /* in the hands of a consumer */
    ration_slot_leave(idle.slot);
    ck_assert_int_eq(rn_ask_wants(idle.query), 0);
    ration_slot_withdraw(a.slot);
    ration_slot_enter(idle.slot);
    idle.held = LIMIT;
    ck_assert_int_eq(settle(&idle, 10 * KIB), RATION_SPILL);
    ration_query_close(idle.query);
    ration_query_close(a.query);
    close_and_check(governor);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    Suite *suite = suite_create("giving");
    TCase *all = tcase_create("giving");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, test_giving__without_spiller_it_has_answered, 0, 2);
    tcase_add_loop_test(all, test_giving__cancelled_thread_leaves_nothing_taken, 0, 2);
    tcase_add_test(all, test_giving__claim_does_not_spill_what_is_taken);
    tcase_add_loop_test(all, test_giving__larger_claim_is_given_up, 0, 2);
    tcase_add_test(all, test_giving__idle_hog_is_no_reason_to_refuse);
    tcase_add_loop_test(all, test_giving__back_again_it_can_give, 0, 3);
    tcase_add_test(all, test_giving__asked_before_it_left_it_can_give_when_back);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

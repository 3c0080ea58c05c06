/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking as an embedding engine does: settle, obtain, wait, give; a registered spiller; cursors
 * that nobody is inside of, written out by others. Everything through ration_ask.h. */
#include "tests/executor/host_world.h"

/* -------------------------------------------------------------------------------------- settle */

START_TEST(test_host__settles)
{
    ration_governor *governor = open_small(60000);
    engine a, b;
    open_engine(&a, governor, "a", true);
    open_engine(&b, governor, "b", true);
    hold(&a, 1100 * KIB);
    ck_assert_int_eq(settle(&b, 100 * KIB), RATION_GRANTED);
    b.held = 100 * KIB;
    ck_assert_int_eq(settle(&b, 100 * KIB), RATION_WAIT); /* below its share: the other is asked */
    ck_assert_int_eq(settle(&b, 100 * KIB), RATION_WAIT);
    ck_assert(!ration_slot_wait(b.slot, 0));
    ration_reply asked = ration_slot_settle(a.slot, 1, "a");
    ck_assert_int_eq(asked.answer, RATION_SPILL);
    ck_assert_int_eq(asked.want_bytes, 500 * KIB); /* what it is above its half */
    ck_assert_int_eq(spill(&a, asked.want_bytes), RATION_OK);
    ration_slot_gave(a.slot);
    ck_assert(ration_slot_wait(b.slot, 60000));
    ck_assert_int_eq(settle(&b, 100 * KIB), RATION_GRANTED);
    b.held += 100 * KIB;
    ck_assert_int_eq(charged(ration_query_pool(b.query)), 200 * KIB);
    ration_slot_register_spill(a.slot, NULL);
    ck_assert_int_eq(rn_load(&a.query->spillable_bytes), 0);
    ration_query_close(a.query);
    ration_query_close(b.query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_host__says_why_not)
{
    ration_governor *governor = open_small(60000);
    engine a;
    open_engine(&a, governor, "a", false);
    ration_refusal refusal;
    ck_assert_int_eq(settle(&a, LIMIT + 1), RATION_REFUSED);
    ck_assert(ration_query_refusal(a.query, &refusal));
    ck_assert_str_eq(refusal.site, "settle");
    ck_assert_int_eq(ration_query_status(a.query), RATION_OK); /* a host may ask for less */
    ck_assert_int_eq(settle(&a, LIMIT), RATION_GRANTED);
    ck_assert_int_eq(ration_slot_obtain(a.slot, 1, "obtain"), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(ration_query_status(a.query), RATION_GLOBAL_LIMIT);
    ration_query_close(a.query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_host__stops_asking)
{
    ration_governor *governor = open_small(60000);
    engine a, b, c;
    open_engine(&a, governor, "a", true);
    open_engine(&b, governor, "b", false);
    open_engine(&c, governor, "c", false);
    hold(&a, 1150 * KIB);
    ck_assert_int_eq(settle(&b, 300 * KIB), RATION_WAIT);
    ck_assert_int_eq(settle(&c, 10 * KIB), RATION_WAIT); /* behind it */
    ration_slot_withdraw(b.slot);
    ck_assert(ration_slot_wait(c.slot, 60000));
    ck_assert_int_eq(settle(&c, 10 * KIB), RATION_GRANTED);
    ck_assert_int_eq(settle(&b, 300 * KIB), RATION_WAIT);
    ck_assert_int_eq(spill(&a, 600 * KIB), RATION_OK);
    ration_slot_gave(a.slot);
    ration_slot_withdraw(b.slot); /* granted meanwhile: it goes back */
    ck_assert_int_eq(charged(ration_query_pool(b.query)), 0);
    ration_query_close(a.query);
    ration_query_close(b.query);
    ration_query_close(c.query);
    close_and_check(governor);
}
END_TEST

static void count_call(void *argument)
{
    *(int *)argument += 1;
}

START_TEST(test_host__is_called_when_it_should_settle)
{
    ration_governor *governor = open_small(60000);
    int calls = 0;
    engine a, b;
    open_engine(&a, governor, "a", true);
    open_engine(&b, governor, "b", false);
    ration_slot_on_wake(b.slot, count_call, &calls);
    hold(&a, 1200 * KIB);
    ck_assert_int_eq(settle(&b, 300 * KIB), RATION_WAIT);
    ck_assert_int_eq(calls, 0);
    ck_assert_int_eq(spill(&a, 600 * KIB), RATION_OK);
    ck_assert_int_eq(calls, 1);
    ration_slot_gave(a.slot);
    ck_assert_int_eq(settle(&b, 300 * KIB), RATION_GRANTED);
    ration_query_close(a.query);
    ration_query_close(b.query);
    close_and_check(governor);
}
END_TEST

/* -------------------------------------------------------------------------------------- obtain */

/* A sort of 100 times what it may hold. */
START_TEST(test_host__obtains_by_spilling)
{
    ration_governor *governor = open_small(60000);
    engine a;
    open_engine(&a, governor, "a", true);
    ck_assert_int_eq(ration_query_claim(a.query, 64 * KIB, "plan"), RATION_OK);
    for (int i = 0; i < 100 * 1200 / 30; i++) {
        hold(&a, 30 * KIB);
        ck_assert_int_le(a.held, LIMIT);
    }
    ck_assert_int_gt(a.spilled, 98 * LIMIT);
    ration_query_close(a.query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_host__spill_that_fails_is_the_query_s)
{
    ration_governor *governor = open_small(60000);
    engine a;
    open_engine(&a, governor, "a", true);
    hold(&a, LIMIT);
    a.fails = RATION_SPILL_IO;
    ck_assert_int_eq(ration_slot_obtain(a.slot, KIB, "sort"), RATION_SPILL_IO);
    ck_assert_int_eq(ration_query_status(a.query), RATION_SPILL_IO);
    ck_assert_int_eq(ration_slot_obtain(a.slot, 0, "sort"), RATION_STOPPED_BY_PEER);
    ration_query_close(a.query);
    close_and_check(governor);
}
END_TEST

typedef enum cut { BY_CANCEL, BY_DEADLINE, BY_TIMEOUT, CUTS } cut;

static void *obtain(void *argument)
{
    engine *self = argument;
    return (void *)(uintptr_t)ration_slot_obtain(self->slot, 500 * KIB, "obtain");
}

START_TEST(test_host__wait_is_cut_short)
{
    static const ration_status wanted[CUTS] = {RATION_CANCELLED, RATION_DEADLINE,
                                               RATION_QUEUE_TIMEOUT};
    ration_governor *governor = open_small(_i == BY_TIMEOUT ? 20 : 600000);
    engine hog, a;
    open_engine(&hog, governor, "hog", true);
    open_engine(&a, governor, "a", true);
    hold(&hog, LIMIT); /* it is inside, and never settles again */
    if (_i == BY_DEADLINE) {
        a.query->deadline_ns = rn_clock_ns() + 20 * 1000000;
    }
    pthread_t thread = start(obtain, &a);
    if (_i == BY_CANCEL) {
        await_waiting(governor);
        ration_query_cancel(a.query);
    }
    ck_assert_int_eq((int)(uintptr_t)join(thread), wanted[_i]);
    ck_assert_int_eq(ration_query_status(a.query), wanted[_i]);
    ration_query_close(a.query);
    ration_query_close(hog.query);
    close_and_check(governor);
}
END_TEST

/* A late one gets memory at the holder's next settle: one unit of work of it, whatever it holds. */
START_TEST(test_host__late_arriver_waits_for_one_settle)
{
    ration_governor *governor = open_small(600000);
    engine holder, late;
    open_engine(&holder, governor, "holder", true);
    open_engine(&late, governor, "late", true);
    hold(&holder, LIMIT);
    for (int round = 0; round < 5; round++) {
        ck_assert_int_eq(settle(&late, 100 * KIB), RATION_WAIT);
        int settles = 0;
        while (!ration_slot_wait(late.slot, 0)) {
            ck_assert_int_eq(ration_slot_obtain(holder.slot, 0, "unit"), RATION_OK);
            settles++;
        }
        ck_assert_int_le(settles, 1);
        ck_assert_int_eq(settle(&late, 100 * KIB), RATION_GRANTED);
        late.held += 100 * KIB;
        hold(&holder, 500 * KIB - 100 * KIB * round); /* takes what is left */
    }
    ck_assert_int_ge(late.held + late.spilled, 500 * KIB);
    ration_query_close(late.query);
    ration_query_close(holder.query);
    close_and_check(governor);
}
END_TEST

/* ---------------------------------------------------------------------------------------- idle */

/* Nobody is inside: the one who waits writes out for it, and goes on. */
START_TEST(test_host__idle_cursor_is_reclaimed)
{
    ration_governor *governor = open_small(600000);
    engine idle, a;
    open_engine(&idle, governor, "idle", true);
    open_engine(&a, governor, "a", true);
    hold(&idle, LIMIT);
    ration_slot_leave(idle.slot);
    hold(&a, 500 * KIB); /* alone in this thread: it would sleep for ever */
    ck_assert_int_gt(idle.spilled, 0);
    ck_assert_int_eq(rn_ask_wants(idle.query), 0);
    ration_slot_enter(idle.slot);
    ck_assert_int_eq(settle(&idle, 0), RATION_GRANTED);
    ration_query_close(a.query);
    ration_query_close(idle.query);
    close_and_check(governor);
}
END_TEST

/* Asked while it was inside, it answers before it goes. */
START_TEST(test_host__leaving_answers)
{
    ration_governor *governor = open_small(600000);
    engine idle, a;
    open_engine(&idle, governor, "idle", true);
    open_engine(&a, governor, "a", true);
    hold(&idle, LIMIT);
    ck_assert_int_eq(settle(&a, 500 * KIB), RATION_WAIT);
    ck_assert_int_eq(idle.spilled, 0);
    ration_slot_leave(idle.slot);
    ck_assert_int_gt(idle.spilled, 0);
    ck_assert_int_eq(settle(&a, 500 * KIB), RATION_GRANTED);
    ration_query_close(a.query);
    ration_query_close(idle.query); /* without coming back */
    close_and_check(governor);
}
END_TEST

START_TEST(test_host__cut_limit_reaches_idle_cursors_by_the_tick)
{
    ration_governor *governor = open_small(600000);
    engine idle, busy;
    open_engine(&idle, governor, "idle", true);
    open_engine(&busy, governor, "busy", true);
    ck_assert_int_eq(ration_query_claim(busy.query, 20 * KIB, "plan"), RATION_OK);
    hold(&idle, 600 * KIB);
    hold(&busy, 600 * KIB);
    ration_slot_leave(idle.slot);
    ck_assert_int_eq(ration_governor_set_limit(governor, LIMIT / 4), RATION_OK);
    ck_assert_int_eq(idle.spilled, 0);
    ration_governor_tick(governor);
    ck_assert_int_gt(idle.spilled, 0);
    int64_t before = busy.held;
    ck_assert_int_eq(ration_slot_obtain(busy.slot, 0, "unit"), RATION_OK); /* at its next settle */
    ck_assert_int_lt(busy.held, before);
    for (int i = 0; i < 1000; i++) { /* it goes on, and nothing is granted above */
        hold(&busy, 10 * KIB);
        ck_assert_int_le(charged(ration_governor_root(governor)), LIMIT / 4);
    }
    ration_query_close(busy.query);
    ration_query_close(idle.query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_host__reclaim_that_fails_is_the_giver_s)
{
    ration_governor *governor = open_small(600000);
    engine idle, a;
    open_engine(&idle, governor, "idle", true);
    open_engine(&a, governor, "a", true);
    hold(&idle, 700 * KIB);
    hold(&a, 500 * KIB);
    idle.fails = RATION_SPILL_NO_SPACE;
    ration_slot_leave(idle.slot);
    ck_assert_int_eq(settle(&a, 100 * KIB), RATION_WAIT);
    ck_assert(ration_slot_wait(a.slot, 60000));
    ck_assert_int_eq(ration_query_status(idle.query), RATION_SPILL_NO_SPACE);
    ck_assert_int_eq(settle(&a, 100 * KIB), RATION_WAIT); /* for it to close */
    ration_query_close(idle.query);
    ck_assert_int_eq(settle(&a, 100 * KIB), RATION_GRANTED);
    ration_query_close(a.query);
    close_and_check(governor);
}
END_TEST

static void *come_back(void *argument)
{
    engine *self = argument;
    ration_slot_enter(self->slot);
    int64_t spilled = self->spilled;
    ration_slot_leave(self->slot);
    return (void *)(uintptr_t)spilled;
}

static void *close_it(void *argument)
{
    ration_query_close(((engine *)argument)->query);
    return NULL;
}

/* While somebody else writes out, its worker waits at the door, and so does who closes it. */
START_TEST(test_host__comes_back_while_it_is_reclaimed)
{
    ration_governor *governor = open_small(600000);
    engine idle, a;
    open_engine(&idle, governor, "idle", true);
    open_engine(&a, governor, "a", true);
    hold(&idle, LIMIT);
    ration_slot_leave(idle.slot);
    rn_store(&idle.hold_up, 1);
    pthread_t asker = start(obtain, &a);
    while (rn_load_acquire(&idle.entered) == 0) {
        sched_yield();
    }
    pthread_t other = start(_i == 0 ? come_back : close_it, &idle);
    for (int i = 0; i < 20; i++) { /* it is at the door by now, as a rule */
        sched_yield();
    }
    rn_store_release(&idle.hold_up, 0);
    void *spilled = join(other);
    ck_assert_int_eq((int)(uintptr_t)join(asker), RATION_OK);
    if (_i == 0) {
        ck_assert_int_gt((int64_t)(uintptr_t)spilled, 0); /* it was over when it came in */
        ration_query_close(idle.query);
    }
    ration_query_close(a.query);
    close_and_check(governor);
}
END_TEST

/* Two workers of one query: what they can spill is summed, and one may be away. */
START_TEST(test_host__two_workers)
{
    ration_governor *governor = open_small(600000);
    engine a, second, b;
    open_engine(&a, governor, "a", true);
    open_engine(&b, governor, "b", true);
    second = (engine){.query = a.query, .spiller = {&second, tell_spillable, spill}};
    ck_assert_int_eq(ration_query_slot(a.query, &second.slot), RATION_OK);
    ration_slot_register_spill(second.slot, &second.spiller);
    hold(&a, 500 * KIB);
    hold(&second, 700 * KIB);
    ration_slot_leave(second.slot);
    ration_slot_leave(a.slot);
    ck_assert_int_eq(rn_load(&a.query->spillable_bytes), LIMIT);
    hold(&b, 100 * KIB);
    ck_assert_int_gt(a.spilled + second.spilled, 0);
    ration_slot_enter(a.slot); /* now one is inside: it answers, nobody else */
    int64_t spilled = a.spilled + second.spilled;
    hold(&b, LIMIT - charged(ration_governor_root(governor)));
    ration_slot_enter(second.slot);
    ck_assert_int_eq(a.spilled + second.spilled, spilled);
    ration_query_return_slot(second.slot);
    ck_assert_int_eq(rn_load(&a.query->spillable_bytes), a.held);
    ration_query_close(a.query);
    ration_query_close(b.query);
    close_and_check(governor);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *const tests[] = {
        test_host__settles,
        test_host__says_why_not,
        test_host__stops_asking,
        test_host__is_called_when_it_should_settle,
        test_host__obtains_by_spilling,
        test_host__spill_that_fails_is_the_query_s,
        test_host__late_arriver_waits_for_one_settle,
        test_host__idle_cursor_is_reclaimed,
        test_host__leaving_answers,
        test_host__cut_limit_reaches_idle_cursors_by_the_tick,
        test_host__reclaim_that_fails_is_the_giver_s,
        test_host__two_workers,
    };
    Suite *suite = suite_create("host");
    TCase *all = tcase_create("host");
    tcase_set_timeout(all, 120);
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_test(all, tests[i]);
    }
    tcase_add_loop_test(all, test_host__wait_is_cut_short, 0, CUTS);
    tcase_add_loop_test(all, test_host__comes_back_while_it_is_reclaimed, 0, 2);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

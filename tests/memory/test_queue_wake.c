/* SPDX-License-Identifier: Apache-2.0
 *
 * Who waits sleeps, or is called: until granted, told to ask again, or out of time. Both orderings
 * (_i). */
#include <pthread.h>
#include <signal.h>

#include "tests/memory/queue_stage.h"

START_TEST(test_queue__wait_has_a_deadline)
{
    stage made = set_stage(_i != 0);
    ck_assert(ask(made.holder, LIMIT));
    ck_assert_int_eq(rn_ticket_wait(made.a, 0), RN_TICKET_NONE);
    ck_assert(!ask(made.a, 10));
    ck_assert_int_eq(rn_ticket_wait(made.a, 0), RN_TICKET_WAITING);
    int64_t soon_ns = rn_clock_ns() + 2000000;
    ck_assert_int_eq(rn_ticket_wait(made.a, soon_ns), RN_TICKET_WAITING);
    ck_assert_int_ge(rn_clock_ns(), soon_ns);
    set_givers(&made, 0, 0);
    ck_assert_int_eq(rn_ticket_wait(made.a, 0), RN_TICKET_AGAIN);
    set_givers(&made, 1, 0);
    ck_assert(!ask(made.a, 10)); /* the wake-up it did not sleep for is not one for this sleep */
    ck_assert_int_eq(rn_ticket_wait(made.a, 0), RN_TICKET_WAITING);
    release(made.holder, 10);
    ck_assert_int_eq(rn_ticket_wait(made.a, INT64_MAX), RN_TICKET_GRANTED);
    ck_assert_int_eq(rn_ticket_wait(made.a, INT64_MAX), RN_TICKET_GRANTED);
    clear_stage(&made);
}
END_TEST

START_TEST(test_queue__call_on_wake)
{
    stage made = set_stage(_i != 0);
    bell bells[] = {{.slot = made.a}, {.slot = made.c}};
    rn_ticket_on_wake(made.a, ring, &bells[0]);
    rn_ticket_on_wake(made.c, ring, &bells[1]);
    ck_assert(ask(made.a, 10)); /* no queue, no call */
    ck_assert(ask(made.holder, LIMIT - 10));
    ck_assert(!ask(made.a, 10) && !ask(made.c, 10));
    ck_assert_int_eq(bells[0].rings, 0);
    set_givers(&made, 0, 0);
    ck_assert_int_eq(bells[0].again, 1);
    release(made.holder, 10); /* awake already */
    ck_assert_int_eq(bells[0].rings, 1);
    EXPECT(GRANTED, NONE, AGAIN);
    ck_assert_int_eq(bells[1].again, 1);
    set_givers(&made, 1, 0);
    ck_assert(!ask(made.c, 10));
    release(made.holder, 10);
    ck_assert_int_eq(bells[1].granted, 1);
    ck_assert_int_eq(bells[1].rings, 2);
    rn_ticket_on_wake(made.c, NULL, NULL);
    ck_assert(ask(made.c, 10));
    ck_assert(!ask(made.c, 10));
    release(made.holder, 10);
    ck_assert_int_eq(bells[1].rings, 2);
    EXPECT(GRANTED, NONE, GRANTED);
    clear_stage(&made);
}
END_TEST

static void ignore(int number)
{
    (void)number;
}

static void *sleep_on_ticket(void *argument)
{
    rn_ticket_state *state = (rn_ticket_state *)((void **)argument)[1];
    *state = rn_ticket_wait((rn_slot *)((void **)argument)[0], INT64_MAX);
    return NULL;
}

/* It sleeps, or is about to; signals do not end its sleep. */
START_TEST(test_queue__another_thread_is_woken)
{
    stage made = set_stage(_i != 0);
    struct sigaction action = {.sa_handler = ignore};
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    for (int round = 0; round < 200; round++) {
        rn_ticket_state state = RN_TICKET_NONE;
        void *arguments[] = {made.a, &state};
        pthread_t thread;
        ck_assert(ask(made.holder, LIMIT));
        ck_assert(!ask(made.a, 100));
        ck_assert_int_eq(pthread_create(&thread, NULL, sleep_on_ticket, arguments), 0);
        ck_assert_int_eq(pthread_kill(thread, SIGUSR1), 0);
        if (round % 2 == 0) {
            release(made.holder, LIMIT);
        } else {
            set_givers(&made, 0, 0);
        }
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(state, round % 2 == 0 ? RN_TICKET_GRANTED : RN_TICKET_AGAIN);
        leave(made.a);
        release(made.holder, rn_slot_used(made.holder));
        set_givers(&made, 1, 1);
        EXPECT(NONE, NONE, NONE);
    }
    clear_stage(&made);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *tests[] = {
        test_queue__wait_has_a_deadline,
        test_queue__call_on_wake,
        test_queue__another_thread_is_woken,
    };
    TCase *both = tcase_create("both orderings");
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_loop_test(both, tests[i], 0, 2);
    }
    tcase_set_timeout(both, 120);
    Suite *suite = suite_create("memory/queue wake");
    suite_add_tcase(suite, both);
    return run_suite(suite);
}

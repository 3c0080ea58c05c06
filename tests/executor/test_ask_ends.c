/* SPDX-License-Identifier: Apache-2.0
 *
 * How asking ends: behind others, cancelled, failed, out of time, closed, with another amount, in
 * the child of a fork. Worlds and words: ask_world.h. */
#include <sys/wait.h>
#include <unistd.h>

#include "tests/executor/ask_world.h"

/* ------------------------------------------------------------------------------ the older first */

/* There is room for the younger, and nobody to give: it waits for its turn, since the older may be
 * refused. No victim is needed for it either. */
START_TEST(test_ask__nobody_is_refused_behind_an_older_ticket)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0),
          *d = enter_query(&made, 0); /* 300 each */
    hold(&made, a, 290 * KIB, 0);
    hold(&made, b, 350 * KIB, 350 * KIB);
    hold(&made, c, 290 * KIB, 0); /* 270 are free */
    EXPECT_ANSWER(a, 280 * KIB, WAIT);
    ck_assert(is_asked(b));
    give(&made, b, 0);
    EXPECT_TICKET(a, AGAIN); /* it will be refused; its owner has not come to ask yet */
    EXPECT_ANSWER(d, 10 * KIB, WAIT);
    ck_assert_int_eq(ration_query_status(b->query), RATION_OK);
    EXPECT_ANSWER(c, 200 * KIB, WAIT); /* above its share, and not refused before its turn */
    EXPECT_REFUSED(a, 280 * KIB, GLOBAL_LIMIT);
    EXPECT_TICKET(d, GRANTED);
    EXPECT_TICKET(c, GRANTED);
    clear_stage(&made);
}
END_TEST

/* The same at the end: who was behind decides when it is the oldest. */
START_TEST(test_ask__each_is_decided_in_its_turn)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, a, 390 * KIB, 0);
    hold(&made, b, 410 * KIB, 410 * KIB);
    hold(&made, c, 400 * KIB, 0);
    EXPECT_ANSWER(a, 100 * KIB, WAIT);
    EXPECT_ANSWER(c, 1 * KIB, WAIT);
    give(&made, b, 0);
    EXPECT_TICKET(a, AGAIN);
    EXPECT_TICKET(c, WAITING);
    EXPECT_REFUSED(a, 100 * KIB, GLOBAL_LIMIT);
    EXPECT_TICKET(c, AGAIN);
    rn_no no;
    EXPECT_REFUSED(c, 1 * KIB, GLOBAL_LIMIT);
    ck_assert(rn_slot_refusal(c->slot, &no));
    ck_assert_int_eq(no.waiting, 0); /* its own ticket does not count */
    ck_assert_int_eq(no.charged_bytes, LIMIT);
    ck_assert_int_eq(no.needed_bytes, KIB);
    clear_stage(&made);
}
END_TEST

/* ------------------------------------------------------------------------------------ cut short */

START_TEST(test_ask__cancel_wakes_who_waits)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, b, 1200 * KIB, 1200 * KIB);
    EXPECT_ANSWER(a, 500 * KIB, WAIT);
    EXPECT_ANSWER(c, 10 * KIB, WAIT);
    ration_query_cancel(a->query);
    expect_asking(&made);
    EXPECT_TICKET(a, AGAIN);
    give(&made, b, 100 * KIB);
    EXPECT_TICKET(c, WAITING); /* a is first until it has looked */
    EXPECT_REFUSED(a, 500 * KIB, CANCELLED);
    EXPECT_TICKET(c, GRANTED);
    ration_query_cancel(c->query);
    EXPECT_REFUSED(c, 10 * KIB, CANCELLED); /* also with the bytes in hand: they go back */
    ck_assert_int_eq(held_by(c), 0);
    clear_stage(&made);
}
END_TEST

/* Bytes of a query that has ended will come: nobody else is disturbed for them. */
START_TEST(test_ask__ended_query_gives_by_closing)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, b, 300 * KIB, 0); /* below its share */
    hold(&made, c, 900 * KIB, 900 * KIB);
    ration_query_cancel(b->query);
    EXPECT_ANSWER(a, 300 * KIB, WAIT);
    ck_assert_int_eq(rn_ask_wants(b->query), 300 * KIB);
    ck_assert(!is_asked(c));
    close_query(&made, b);
    EXPECT_TICKET(a, GRANTED);
    EXPECT_ANSWER(a, 300 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

/* One worker fails, the other waits: it stops too, and does not wait for memory first. */
START_TEST(test_ask__failure_of_a_peer_wakes_who_waits)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    ration_slot *peer;
    ck_assert_int_eq(ration_query_slot(a->query, &peer), RATION_OK);
    hold(&made, b, 1200 * KIB, 1200 * KIB);
    EXPECT_ANSWER(a, 10 * KIB, WAIT);
    (void)rn_query_fail(a->query, rn_slot_of(peer), "peer", RATION_EVALUATION, NULL);
    expect_asking(&made);
    EXPECT_TICKET(a, AGAIN);
    EXPECT_REFUSED(a, 10 * KIB, STOPPED_BY_PEER);
    clear_stage(&made);
}
END_TEST

/* Two workers of one query wait; the giver's answer is one for both. */
START_TEST(test_ask__two_workers_answer_once)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    ration_slot *second;
    ck_assert_int_eq(ration_query_slot(b->query, &second), RATION_OK);
    actor peer = {.query = b->query, .slot = rn_slot_of(second)};
    hold(&made, b, 600 * KIB, 0);
    hold(&made, c, 600 * KIB, 600 * KIB);
    EXPECT_ANSWER(b, 100 * KIB, WAIT);
    EXPECT_ANSWER(&peer, 100 * KIB, WAIT);
    ck_assert_int_eq(rn_ask_wants(c->query), 200 * KIB);
    rn_ask_can_spill(b->slot, 600 * KIB);
    EXPECT_ANSWER(a, 100 * KIB, WAIT);
    ck_assert(is_asked(b));
    EXPECT_TICKET(b, AGAIN);
    EXPECT_TICKET(&peer, AGAIN);
    EXPECT_ANSWER(&peer, 100 * KIB, SPILL);
    give(&made, b, 50 * KIB);
    ck_assert_int_eq(b->query->spent_bytes, 0);
    rn_ask_gave(b->query); /* the other one's answer: nobody waits for it */
    ck_assert_int_eq(b->query->spent_bytes, 0);
    expect_asking(&made);
    clear_stage(&made);
}
END_TEST

/* ---------------------------------------------------------------------------------- out of time */

START_TEST(test_ask__withdrawn)
{
    stage made;
    ration_refusal refusal;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, b, 1100 * KIB, 1100 * KIB);
    ck_assert(rn_ask_withdraw(a->slot, RATION_QUEUE_TIMEOUT)); /* waits for nothing */
    EXPECT_ANSWER(a, 300 * KIB, WAIT);
    EXPECT_ANSWER(c, 100 * KIB, WAIT);
    ck_assert(rn_ask_withdraw(a->slot, RATION_QUEUE_TIMEOUT));
    expect_asking(&made);
    EXPECT_TICKET(a, NONE);
    EXPECT_TICKET(c, GRANTED); /* it was in its way */
    (void)rn_query_fail(a->query, a->slot, "sort@3", RATION_QUEUE_TIMEOUT, NULL);
    ck_assert(ration_query_refusal(a->query, &refusal));
    ck_assert_int_eq(refusal.status, RATION_QUEUE_TIMEOUT);
    ck_assert_str_eq(refusal.query, "A");
    ck_assert_str_eq(refusal.site, "sort@3");
    ck_assert_str_eq(refusal.holder, "B");
    ck_assert_int_eq(refusal.asked_bytes, 300 * KIB);
    ck_assert_int_gt(refusal.charged_bytes + refusal.asked_bytes, refusal.limit_bytes);
    ck_assert_str_eq(refusal.pool, "root");
    ck_assert_int_eq(read_pool(made.governor->root).refusals, 1);
    clear_stage(&made);
}
END_TEST

START_TEST(test_ask__withdrawn_by_a_deadline_has_no_refusal)
{
    stage made;
    rn_no no;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    hold(&made, b, 1200 * KIB, 1200 * KIB);
    EXPECT_ANSWER(a, 300 * KIB, WAIT);
    ck_assert(rn_ask_withdraw(a->slot, RATION_DEADLINE));
    expect_asking(&made);
    ck_assert(!rn_slot_refusal(a->slot, &no));
    ck_assert_int_eq(read_pool(made.governor->root).waiting, 0);
    clear_stage(&made);
}
END_TEST

/* Granted between its last look and the withdrawal: nothing is refused, the bytes are its. */
START_TEST(test_ask__granted_at_the_last_moment)
{
    stage made;
    rn_no no;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    hold(&made, b, 1200 * KIB, 1200 * KIB);
    EXPECT_ANSWER(a, 300 * KIB, WAIT);
    give(&made, b, 300 * KIB);
    ck_assert(!rn_ask_withdraw(a->slot, RATION_QUEUE_TIMEOUT));
    ck_assert(!rn_ask_withdraw(a->slot, RATION_DEADLINE));
    ck_assert(!rn_slot_refusal(a->slot, &no));
    EXPECT_ANSWER(a, 300 * KIB, GRANTED);
    ck_assert_int_eq(held_by(a), 300 * KIB);
    clear_stage(&made);
}
END_TEST

/* -------------------------------------------------------------------------------------- closing */

START_TEST(test_ask__closing_while_others_wait)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0),
          *d = enter_query(&made, 0);
    hold(&made, b, 600 * KIB, 600 * KIB);
    hold(&made, d, 600 * KIB, 0);
    EXPECT_ANSWER(a, 200 * KIB, WAIT);
    EXPECT_ANSWER(c, 150 * KIB, WAIT);
    ck_assert(is_asked(b));
    close_query(&made, a); /* the oldest: the next moves up */
    EXPECT_TICKET(c, WAITING);
    close_query(&made, b); /* who was to give: it has */
    EXPECT_TICKET(c, GRANTED);
    EXPECT_ANSWER(c, 150 * KIB, GRANTED);
    EXPECT_ANSWER(c, 600 * KIB, REFUSED);
    clear_stage(&made);
}
END_TEST

/* A giver closes, and had nothing left: who waited for it is told to ask again. */
START_TEST(test_ask__closing_giver_that_held_nothing)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, b, 700 * KIB, 700 * KIB);
    hold(&made, c, 400 * KIB, 0);
    EXPECT_ANSWER(a, 400 * KIB, WAIT);
    release(b->slot, 299 * KIB);
    expect_asking(&made);
    EXPECT_TICKET(a, WAITING);
    hold(&made, c, 0, 0);
    ration_query_cancel(a->query);
    EXPECT_REFUSED(a, 400 * KIB, CANCELLED);
    close_query(&made, b);
    ck_assert_int_eq(rn_load(&made.governor->root->givers), 0);
    clear_stage(&made);
}
END_TEST

/* ------------------------------------------------------------------------------- another amount */

START_TEST(test_ask__asks_for_less_than_it_was_granted)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, b, 1200 * KIB, 1200 * KIB);
    EXPECT_ANSWER(a, 300 * KIB, WAIT);
    EXPECT_ANSWER(c, 200 * KIB, WAIT);
    give(&made, b, 300 * KIB);
    EXPECT_TICKET(a, GRANTED);
    EXPECT_ANSWER(a, 100 * KIB, GRANTED);
    ck_assert_int_eq(rn_slot_used(a->slot), 100 * KIB);
    ck_assert_int_eq(held_by(a), 100 * KIB);
    EXPECT_TICKET(c, GRANTED); /* the rest is the next one's */
    clear_stage(&made);
}
END_TEST

START_TEST(test_ask__asks_for_more_than_it_was_granted)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, b, 1200 * KIB, 1200 * KIB);
    EXPECT_ANSWER(a, 300 * KIB, WAIT);
    EXPECT_ANSWER(c, 200 * KIB, WAIT);
    give(&made, b, 300 * KIB);
    EXPECT_TICKET(a, GRANTED);
    EXPECT_ANSWER(a, 310 * KIB, WAIT); /* another ask: it goes to the end */
    EXPECT_TICKET(c, GRANTED);
    ck_assert_int_eq(held_by(a), 0);
    ck_assert(is_asked(b));
    give(&made, b, 210 * KIB);
    EXPECT_ANSWER(a, 310 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

/* ----------------------------------------------------------------------------------------- fork */

/* In the child nobody waits and nobody is asked, and both may begin anew. */
START_TEST(test_ask__child_of_a_fork)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    hold(&made, b, 1200 * KIB, 1200 * KIB);
    EXPECT_ANSWER(a, 300 * KIB, WAIT);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int bad = rn_load(&made.governor->root->givers) != 0;
        set_activity(&made);
        rn_reply asked = rn_ask(a->slot, 300 * KIB, "child");
        bad |= asked.answer != RN_ASK_WAIT || rn_ticket_read(a->slot) != RN_TICKET_WAITING;
        bad |= rn_load(&made.governor->root->givers) != 1;
        release(b->slot, 300 * KIB);
        rn_ask_gave(b->query);
        bad |= rn_load(&made.governor->root->givers) != 0;
        bad |= rn_ticket_read(a->slot) != RN_TICKET_GRANTED;
        rn_ask_gave(b->query);
        bad |= rn_load(&made.governor->root->givers) != 0;
        _exit(bad);
    }
    int status = 1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    EXPECT_TICKET(a, WAITING);
    clear_stage(&made);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *tests[] = {
        test_ask__nobody_is_refused_behind_an_older_ticket,
        test_ask__each_is_decided_in_its_turn,
        test_ask__cancel_wakes_who_waits,
        test_ask__ended_query_gives_by_closing,
        test_ask__failure_of_a_peer_wakes_who_waits,
        test_ask__two_workers_answer_once,
        test_ask__withdrawn,
        test_ask__withdrawn_by_a_deadline_has_no_refusal,
        test_ask__granted_at_the_last_moment,
        test_ask__closing_while_others_wait,
        test_ask__closing_giver_that_held_nothing,
        test_ask__asks_for_less_than_it_was_granted,
        test_ask__asks_for_more_than_it_was_granted,
        test_ask__child_of_a_fork,
    };
    Suite *suite = suite_create("executor/ask ends");
    TCase *ends = tcase_create("ends");
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_test(ends, tests[i]);
    }
    suite_add_tcase(suite, ends);
    return run_suite(suite);
}

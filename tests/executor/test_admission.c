/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission, played in one thread with ration_query_try_claim: order, bound, time, gate, priority;
 * and a few threads that sleep for it. Who makes room: test_admission_room.c. Worlds and words:
 * admission_world.h. */
#include <pthread.h>
#include <sched.h>

#include "tests/executor/admission_world.h"

/* ------------------------------------------------------------------------------------- granted */

START_TEST(test_admission__claims_what_is_there)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    EXPECT_CLAIM(a, 1000 * KIB, GRANTED);
    ck_assert_int_eq(read_pool(made.governor->queries).granted_bytes, 1000 * KIB);
    ck_assert_int_eq(rn_slot_used(a->slot), 0); /* charged, not used */
    EXPECT_CLAIM(b, 200 * KIB, GRANTED);
    EXPECT_ANSWER(a, 1000 * KIB, GRANTED); /* it is its own */
    EXPECT_ANSWER(b, 200 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

/* What it holds already is part of it. */
START_TEST(test_admission__counts_what_it_holds)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    hold(&made, a, 700 * KIB, 0);
    hold(&made, b, 400 * KIB, 0);
    EXPECT_CLAIM(a, 800 * KIB, GRANTED);
    ck_assert_int_eq(read_pool(made.governor->queries).granted_bytes, 1200 * KIB);
    release(a->slot, 700 * KIB);
    ck_assert_int_eq(read_pool(made.governor->queries).granted_bytes, 1200 * KIB);
    clear_stage(&made);
}
END_TEST

START_TEST(test_admission__changes_a_claim)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    EXPECT_CLAIM(a, 100 * KIB, GRANTED);
    EXPECT_CLAIM(a, 700 * KIB, GRANTED);
    EXPECT_CLAIM(b, 600 * KIB, WAIT);
    EXPECT_CLAIM(a, 600 * KIB, GRANTED); /* a smaller one */
    ck_assert_int_eq(rn_load(&pool_of(a)->claim), 600 * KIB);
    ck_assert(is_woken(b));
    EXPECT_CLAIM(b, 600 * KIB, GRANTED);
    EXPECT_NO_CLAIM(a, 601 * KIB, GLOBAL_LIMIT); /* two who run do not wait for each other */
    clear_stage(&made);
}
END_TEST

/* --------------------------------------------------------------------------------------- never */

START_TEST(test_admission__minimum_above_a_limit)
{
    stage made;
    ration_refusal refusal;
    ration_limits limits = usual();
    add_group(&limits, "small", 300 * KIB, 0, 0);
    set_stage_with(&made, &limits);
    actor *a = enter_query(&made, 100 * KIB), *b = enter_group(&made, "small"),
          *c = enter_query(&made, 0), *d = enter_query(&made, 0);
    ck_assert(rn_pool_try_charge(made.governor->data, 50 * KIB));
    hold(&made, d, 1000 * KIB, 1000 * KIB);
    EXPECT_NO_CLAIM(a, 100 * KIB + 1, MINIMUM_ABOVE_LIMIT);
    EXPECT_NO_CLAIM(b, 300 * KIB + 1, MINIMUM_ABOVE_LIMIT);
    EXPECT_NO_CLAIM(c, LIMIT - 50 * KIB + 1, MINIMUM_ABOVE_LIMIT);
    ck_assert(!is_asked(d)); /* nobody is disturbed for it */
    ck_assert(ration_query_refusal(b->query, &refusal));
    ck_assert_int_eq(refusal.status, RATION_MINIMUM_ABOVE_LIMIT);
    ck_assert_str_eq(refusal.pool, "root/queries/small");
    ck_assert_str_eq(refusal.key, "groups.small.limit_bytes");
    ck_assert_int_eq(refusal.key_bytes, 300 * KIB + 1);
    ck_assert_str_eq(refusal.site, "plan");
    ck_assert(ration_query_refusal(c->query, &refusal));
    ck_assert_int_eq(refusal.charged_bytes, 50 * KIB);
    ck_assert_str_eq(refusal.pool, "root");
    ck_assert_int_eq(ration_query_status(c->query), RATION_MINIMUM_ABOVE_LIMIT);
    rn_pool_release(made.governor->data, 50 * KIB);
    clear_stage(&made);
}
END_TEST

/* Also behind others: it need not wait for its turn to be told. */
START_TEST(test_admission__minimum_above_a_limit_is_told_at_once)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    EXPECT_CLAIM(a, 800 * KIB, GRANTED);
    EXPECT_CLAIM(b, 800 * KIB, WAIT);
    EXPECT_NO_CLAIM(c, LIMIT + 1, MINIMUM_ABOVE_LIMIT);
    clear_stage(&made);
}
END_TEST

/* --------------------------------------------------------------------------------------- order */

/* A small one does not pass a large one that is older. */
START_TEST(test_admission__in_order_of_age)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0),
          *d = enter_query(&made, 0);
    EXPECT_CLAIM(a, 800 * KIB, GRANTED);
    EXPECT_CLAIM(b, 700 * KIB, WAIT);
    EXPECT_CLAIM(c, 300 * KIB, WAIT);
    EXPECT_CLAIM(d, 1 * KIB, WAIT);
    EXPECT_CLAIM(d, 1 * KIB, WAIT); /* asking twice changes nothing */
    ck_assert(!is_woken(b) && !is_woken(c) && !is_woken(d));
    close_query(&made, a);
    ck_assert(is_woken(b) && !is_woken(c) && !is_woken(d));
    EXPECT_CLAIM(d, 1 * KIB, WAIT); /* not before its turn, though there is room */
    EXPECT_CLAIM(b, 700 * KIB, GRANTED);
    ck_assert(is_woken(c));
    EXPECT_CLAIM(c, 300 * KIB, GRANTED);
    EXPECT_CLAIM(d, 1 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

START_TEST(test_admission__priority_before_age)
{
    stage made;
    ration_limits limits = usual();
    add_group(&limits, "high", 0, 9, 0);
    add_group(&limits, "low", 0, 1, 0);
    set_stage_with(&made, &limits);
    actor *a = enter_query(&made, 0), *low = enter_group(&made, "low"),
          *high = enter_group(&made, "high"), *low2 = enter_group(&made, "low"),
          *none = enter_query(&made, 0);
    EXPECT_CLAIM(a, 1200 * KIB, GRANTED);
    EXPECT_CLAIM(none, 500 * KIB, WAIT);
    EXPECT_CLAIM(low, 500 * KIB, WAIT);
    EXPECT_CLAIM(low2, 500 * KIB, WAIT);
    EXPECT_CLAIM(high, 500 * KIB, WAIT);
    close_query(&made, a);
    ck_assert(is_woken(high) && !is_woken(low) && !is_woken(low2) && !is_woken(none));
    EXPECT_CLAIM(none, 500 * KIB, WAIT);
    EXPECT_CLAIM(high, 500 * KIB, GRANTED);
    EXPECT_CLAIM(low, 500 * KIB, GRANTED);
    EXPECT_CLAIM(low2, 500 * KIB, WAIT);
    close_query(&made, high);
    EXPECT_CLAIM(none, 500 * KIB, WAIT); /* it is the oldest of all, and of the lowest */
    EXPECT_CLAIM(low2, 500 * KIB, GRANTED);
    close_query(&made, low);
    EXPECT_CLAIM(none, 500 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

/* Who waits at the limit of its group stops its own group only. */
START_TEST(test_admission__full_group_stops_its_own)
{
    stage made;
    ration_limits limits = usual();
    add_group(&limits, "small", 300 * KIB, 5, 0);
    set_stage_with(&made, &limits);
    actor *a = enter_group(&made, "small"), *b = enter_group(&made, "small"),
          *c = enter_group(&made, "small"), *d = enter_query(&made, 0);
    EXPECT_CLAIM(a, 200 * KIB, GRANTED);
    EXPECT_CLAIM(b, 200 * KIB, WAIT);
    EXPECT_CLAIM(c, 50 * KIB, WAIT);
    EXPECT_CLAIM(d, 900 * KIB, GRANTED);
    close_query(&made, a);
    EXPECT_CLAIM(b, 200 * KIB, GRANTED);
    EXPECT_CLAIM(c, 50 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

/* ---------------------------------------------------------------------------------------- gate */

START_TEST(test_admission__queries_max_of_a_group)
{
    stage made;
    ration_limits limits = usual();
    add_group(&limits, "two", 0, 0, 2);
    add_group(&limits, "more", 0, 0, 0);
    set_stage_with(&made, &limits);
    actor *a = enter_group(&made, "two"), *b = enter_group(&made, "two"),
          *c = enter_group(&made, "two"), *d = enter_group(&made, "two"),
          *e = enter_group(&made, "more"), *f = enter_query(&made, 0);
    EXPECT_CLAIM(a, 0, GRANTED); /* also who needs nothing */
    EXPECT_CLAIM(b, 10 * KIB, GRANTED);
    EXPECT_CLAIM(c, 10 * KIB, WAIT);
    EXPECT_CLAIM(d, 0, WAIT);
    EXPECT_CLAIM(e, 10 * KIB, GRANTED);
    EXPECT_CLAIM(f, 10 * KIB, GRANTED);
    EXPECT_CLAIM(b, 0, GRANTED); /* it gave its memory back, and stays admitted */
    EXPECT_CLAIM(c, 10 * KIB, WAIT);
    close_query(&made, f);
    ck_assert(!is_woken(c) && !is_woken(d));
    close_query(&made, b);
    ck_assert(is_woken(c) && !is_woken(d));
    EXPECT_CLAIM(c, 10 * KIB, GRANTED);
    close_query(&made, d); /* while it waits */
    ck_assert_int_eq(made.governor->turns_waiting, 0);
    clear_stage(&made);
}
END_TEST

START_TEST(test_admission__group_that_is_full_is_told_in_its_own_words)
{
    stage made;
    ration_refusal refusal;
    ration_error error;
    ration_limits limits = usual();
    limits.admission_queue_max = 0;
    add_group(&limits, "one", 0, 0, 1);
    set_stage_with(&made, &limits);
    actor *a = enter_group(&made, "one"), *b = enter_group(&made, "one");
    EXPECT_CLAIM(a, 10 * KIB, GRANTED);
    EXPECT_NO_CLAIM(b, 10 * KIB, QUEUE_FULL);
    ck_assert(!ration_query_refusal(b->query, &refusal)); /* no memory was wanting */
    ck_assert(rn_query_error(b->query, &error));
    ck_assert_str_eq(error.message, "too many queries wait for their minimum: group one has "
                                    "admitted its 1 queries");
    ck_assert_str_eq(error.hint, "raise queries_max of the group, or admission_wait_ms_max");
    clear_stage(&made);
}
END_TEST

/* ------------------------------------------------------------------------------ bound and time */

START_TEST(test_admission__bounded)
{
    stage made;
    ration_refusal refusal;
    ration_limits limits = usual();
    limits.admission_queue_max = 2;
    set_stage_with(&made, &limits);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0),
          *d = enter_query(&made, 0), *e = enter_query(&made, 0);
    EXPECT_CLAIM(a, 1200 * KIB, GRANTED);
    EXPECT_CLAIM(b, 10 * KIB, WAIT);
    EXPECT_CLAIM(c, 10 * KIB, WAIT);
    EXPECT_NO_CLAIM(d, 10 * KIB, QUEUE_FULL);
    ck_assert(ration_query_refusal(d->query, &refusal));
    ck_assert_int_eq(refusal.status, RATION_QUEUE_FULL);
    ck_assert_str_eq(refusal.holder, "A");
    EXPECT_CLAIM(b, 10 * KIB, WAIT); /* who waits already goes on waiting */
    close_query(&made, b);
    EXPECT_CLAIM(e, 10 * KIB, WAIT);
    close_query(&made, a);
    EXPECT_CLAIM(c, 10 * KIB, GRANTED);
    EXPECT_CLAIM(e, 10 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

START_TEST(test_admission__time_is_over)
{
    stage made;
    ration_refusal refusal;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0),
          *d = enter_query(&made, 0);
    EXPECT_CLAIM(a, 1200 * KIB, GRANTED);
    EXPECT_CLAIM(b, 10 * KIB, WAIT);
    EXPECT_CLAIM(c, 10 * KIB, WAIT);
    EXPECT_CLAIM(d, 10 * KIB, WAIT);
    b->query->turn_since_ns = INT64_MIN / 2; /* long ago */
    c->query->deadline_ns = 1;
    EXPECT_NO_CLAIM(c, 10 * KIB, DEADLINE);
    ck_assert(!ration_query_refusal(c->query, &refusal));
    EXPECT_NO_CLAIM(b, 10 * KIB, QUEUE_TIMEOUT);
    ck_assert(ration_query_refusal(b->query, &refusal));
    ck_assert_int_eq(refusal.status, RATION_QUEUE_TIMEOUT);
    ck_assert_str_eq(refusal.pool, "root");
    ck_assert_int_gt(refusal.charged_bytes + refusal.asked_bytes, refusal.limit_bytes);
    ck_assert(is_woken(d)); /* it is the first now */
    EXPECT_CLAIM(d, 10 * KIB, WAIT);
    ration_query_cancel(d->query);
    ck_assert(is_woken(d));
    EXPECT_NO_CLAIM(d, 10 * KIB, CANCELLED);
    ck_assert_int_eq(made.governor->turns_waiting, 0);
    clear_stage(&made);
}
END_TEST

/* ------------------------------------------------------------------------------------- threads */

typedef struct sleeper {
    ration_query *query;
    int64_t bytes;
    ration_status status;
    pthread_t thread;
} sleeper;

static void *sleep_for_claim(void *argument)
{
    sleeper *self = argument;
    self->status = ration_query_claim(self->query, self->bytes, "plan");
    return NULL;
}

static void await_turns(const stage *made, int64_t count)
{
    int64_t waiting = -1;
    while (waiting != count) {
        rn_ledger_lock(made->governor->ledger);
        waiting = made->governor->turns_waiting;
        rn_ledger_unlock(made->governor->ledger);
        sched_yield();
    }
}

START_TEST(test_admission__sleeps_until_its_turn)
{
    stage made;
    set_stage(&made);
    sleeper sleepers[4];
    actor *a = enter_query(&made, 0);
    EXPECT_CLAIM(a, 1200 * KIB, GRANTED);
    for (int i = 0; i < 4; i++) {
        sleepers[i] = (sleeper){.query = enter_query(&made, 0)->query, .bytes = 600 * KIB};
        ck_assert_int_eq(pthread_create(&sleepers[i].thread, NULL, sleep_for_claim, &sleepers[i]),
                         0);
        await_turns(&made, i + 1);
    }
    ration_query_close(a->query);
    a->query = NULL;
    await_turns(&made, 2);
    ration_query_cancel(sleepers[2].query);
    ck_assert_int_eq(pthread_join(sleepers[2].thread, NULL), 0);
    ck_assert_int_eq(sleepers[2].status, RATION_CANCELLED);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(sleepers[i].thread, NULL), 0);
        ck_assert_int_eq(sleepers[i].status, RATION_OK);
    }
    ration_query_close(sleepers[0].query);
    made.actors[1].query = NULL;
    ck_assert_int_eq(pthread_join(sleepers[3].thread, NULL), 0);
    ck_assert_int_eq(sleepers[3].status, RATION_OK);
    clear_stage(&made);
}
END_TEST

static void set_flag(void *argument)
{
    *(int *)argument += 1;
}

START_TEST(test_admission__calls_when_it_is_its_turn)
{
    stage made;
    int calls = 0;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    EXPECT_CLAIM(a, 1000 * KIB, GRANTED);
    ck_assert_int_eq(ration_query_on_turn(b->query, set_flag, &calls), RATION_OK);
    EXPECT_CLAIM(b, 1000 * KIB, WAIT);
    ck_assert_int_eq(calls, 0);
    close_query(&made, a);
    ck_assert_int_eq(calls, 1);
    EXPECT_CLAIM(b, 1000 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *tests[] = {
        test_admission__claims_what_is_there,
        test_admission__counts_what_it_holds,
        test_admission__changes_a_claim,
        test_admission__minimum_above_a_limit,
        test_admission__minimum_above_a_limit_is_told_at_once,
        test_admission__in_order_of_age,
        test_admission__priority_before_age,
        test_admission__full_group_stops_its_own,
        test_admission__queries_max_of_a_group,
        test_admission__group_that_is_full_is_told_in_its_own_words,
        test_admission__bounded,
        test_admission__time_is_over,
        test_admission__sleeps_until_its_turn,
        test_admission__calls_when_it_is_its_turn,
    };
    Suite *suite = suite_create("executor/admission");
    TCase *all = tcase_create("admission");
    tcase_set_timeout(all, 120);
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_test(all, tests[i]);
    }
    suite_add_tcase(suite, all);
    return run_suite(suite);
}

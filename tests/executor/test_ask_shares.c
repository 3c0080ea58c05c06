/* SPDX-License-Identifier: Apache-2.0
 *
 * Fair shares and who becomes a victim: weights, claims, groups, hogs that do nothing. Worlds and
 * words: ask_world.h. */
#include "tests/executor/ask_world.h"

static int64_t share_of(const actor *self)
{
    return pool_of(self)->share; /* as the last ask found it */
}

/* Makes an ask that looks at shares and changes nothing: too much for its own limit, by a query
 * that holds nothing. */
static void look_at_shares(stage *made, actor *observer)
{
    ck_assert_int_eq(charge(observer->slot, 1), RATION_OK);
    observer->asked_ns = 0;
    ck_assert_int_eq(ask_for(made, observer, KIB).answer, RN_ASK_REFUSED);
    release(observer->slot, 1);
}

/* --------------------------------------------------------------------------------------- shares */

START_TEST(test_ask__shares_go_by_weight_beyond_claims)
{
    stage made;
    rn_no no;
    set_stage(&made);
    actor *observer = enter_query(&made, KIB);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    look_at_shares(&made, observer);
    ck_assert_int_eq(share_of(observer), KIB); /* at most its own limit */
    ck_assert_int_eq(share_of(a), 300 * KIB);  /* the observer asks, so it is active */
    ck_assert(rn_pool_try_claim(pool_of(observer), 0, &no));
    pool_of(a)->weight = 4;
    look_at_shares(&made, observer);
    ck_assert_int_eq(share_of(a), LIMIT / 7 * 4);
    ck_assert_int_eq(share_of(b), LIMIT / 7);
    c->asked_ns = 0; /* inactive: its claim, no more */
    ck_assert(rn_pool_try_claim(pool_of(c), 60 * KIB, &no));
    ck_assert(rn_pool_try_claim(pool_of(a), 120 * KIB, &no));
    pool_of(a)->weight = 1;
    look_at_shares(&made, observer);
    ck_assert_int_eq(share_of(c), 60 * KIB);
    ck_assert_int_eq(share_of(b), 340 * KIB); /* a third of what claims leave */
    ck_assert_int_eq(share_of(a), 460 * KIB);
    ck_assert(rn_pool_try_charge(made.governor->data, 300 * KIB));
    look_at_shares(&made, observer);
    ck_assert_int_eq(share_of(b), 240 * KIB); /* the graph is nobody's share */
    ck_assert(rn_pool_try_charge(made.governor->queries, 30 * KIB));
    look_at_shares(&made, observer);
    ck_assert_int_eq(share_of(b), 230 * KIB); /* nor what was handed to a pool above */
    pool_of(b)->weight = 0;
    look_at_shares(&made, observer);
    ck_assert_int_eq(share_of(b), 0);
    pool_of(a)->weight = 0;
    pool_of(observer)->weight = 0;
    look_at_shares(&made, observer);
    ck_assert_int_eq(share_of(a), 120 * KIB);
    rn_pool_release(made.governor->data, 300 * KIB);
    rn_pool_release(made.governor->queries, 30 * KIB);
    clear_stage(&made);
}
END_TEST

START_TEST(test_ask__weight_decides_who_gives)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    pool_of(b)->weight = 4; /* of 6: 800 */
    hold(&made, b, 780 * KIB, 780 * KIB);
    hold(&made, c, 420 * KIB, 420 * KIB);
    EXPECT_ANSWER(a, 150 * KIB, WAIT);
    ck_assert(!is_asked(b));
    ck_assert_int_eq(rn_ask_wants(c->query), 220 * KIB);
    clear_stage(&made);
}
END_TEST

START_TEST(test_ask__nobody_gives_what_it_claims)
{
    stage made;
    rn_no no;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    ck_assert(rn_pool_try_claim(pool_of(b), 900 * KIB, &no));
    hold(&made, b, 900 * KIB, 900 * KIB);
    hold(&made, a, 250 * KIB, 0);
    EXPECT_REFUSED(a, 100 * KIB, GLOBAL_LIMIT); /* above its share of (1200 - 900) / 2 */
    ck_assert(!is_asked(b));
    EXPECT_ANSWER(b, 60 * KIB, SPILL); /* 50 beyond its claim are free */
    clear_stage(&made);
}
END_TEST

/* Shares go down the tree: what a group leaves is divided among its own. */
START_TEST(test_ask__groups)
{
    stage made;
    ration_pool *group;
    rn_no no;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    actor *x = enter_query(&made, 0), *y = enter_query(&made, 0);
    ck_assert_int_eq(rn_pool_open(made.view.ledger, made.governor->queries, "group", INT64_MAX,
                                  RATION_GROUP_LIMIT, NULL, &group),
                     RATION_OK);
    ck_assert(rn_pool_set_parent(pool_of(x), group, &no));
    ck_assert(rn_pool_set_parent(pool_of(y), group, &no));
    hold(&made, b, 410 * KIB, 410 * KIB);
    hold(&made, x, 220 * KIB, 220 * KIB);
    hold(&made, y, 570 * KIB, 570 * KIB);
    EXPECT_ANSWER(a, 100 * KIB, WAIT); /* 400 a b group, 200 x y */
    ck_assert_int_eq(share_of(a), 400 * KIB);
    ck_assert_int_eq(group->share, 400 * KIB);
    ck_assert_int_eq(share_of(x), 200 * KIB);
    ck_assert_int_eq(rn_ask_wants(y->query), 370 * KIB);
    ck_assert(!is_asked(b) && !is_asked(x));
    ck_assert_int_eq(rn_load(&group->givers), 1);
    ck_assert(rn_pool_set_parent(pool_of(y), made.governor->queries, &no)); /* asked, it moves */
    ck_assert_int_eq(rn_load(&group->givers), 0);
    expect_asking(&made);
    give(&made, y, 100 * KIB);
    EXPECT_ANSWER(a, 100 * KIB, GRANTED);
    close_query(&made, x);
    rn_pool_close(group);
    clear_stage(&made);
}
END_TEST

/* The limit of a group is the affair of its queries alone. */
START_TEST(test_ask__limit_of_a_group)
{
    stage made;
    ration_pool *group;
    rn_no no;
    set_stage(&made);
    actor *b = enter_query(&made, 0), *x = enter_query(&made, 0), *y = enter_query(&made, 0);
    ck_assert_int_eq(rn_pool_open(made.view.ledger, made.governor->queries, "group", 300 * KIB,
                                  RATION_GROUP_LIMIT, NULL, &group),
                     RATION_OK);
    ck_assert(rn_pool_set_parent(pool_of(x), group, &no));
    ck_assert(rn_pool_set_parent(pool_of(y), group, &no));
    hold(&made, b, 900 * KIB, 900 * KIB);
    hold(&made, y, 280 * KIB, 280 * KIB);
    EXPECT_REFUSED(x, 301 * KIB, GROUP_LIMIT);
    EXPECT_ANSWER(x, 100 * KIB, WAIT);
    ck_assert_int_eq(rn_ask_wants(y->query), 130 * KIB);
    ck_assert(!is_asked(b));
    give(&made, y, 0);
    EXPECT_TICKET(x, AGAIN); /* b could give, and not here */
    EXPECT_ANSWER(x, 100 * KIB, WAIT);
    ck_assert_int_eq(ration_query_status(y->query), RATION_VICTIM);
    close_query(&made, y);
    EXPECT_ANSWER(x, 100 * KIB, GRANTED);
    close_query(&made, x);
    rn_pool_close(group);
    clear_stage(&made);
}
END_TEST

/* It has not asked for long: its share is its claim, however little it holds. */
START_TEST(test_ask__inactive_hog_gives_first)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, b, 800 * KIB, 800 * KIB);
    hold(&made, c, 400 * KIB, 400 * KIB);
    b->asked_ns = ALWAYS;
    c->asked_ns = 0;
    EXPECT_ANSWER(a, 10 * KIB, WAIT); /* shares: 600 a, 600 b, 0 c */
    ck_assert_int_eq(rn_ask_wants(c->query), 400 * KIB);
    ck_assert(!is_asked(b));
    give(&made, c, 5 * KIB);
    EXPECT_ANSWER(a, 10 * KIB, WAIT); /* it can still: what it gave was not nothing */
    ck_assert_int_eq(rn_ask_wants(c->query), 395 * KIB);
    give(&made, c, 0);
    EXPECT_ANSWER(a, 10 * KIB, WAIT);
    ck_assert_int_eq(rn_ask_wants(b->query), 200 * KIB);
    clear_stage(&made);
}
END_TEST

/* Who waits cannot ask, and is active all the same. */
START_TEST(test_ask__who_waits_is_active)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, a, 300 * KIB, 300 * KIB);
    hold(&made, c, 900 * KIB, 900 * KIB);
    EXPECT_ANSWER(a, 50 * KIB, WAIT);
    a->asked_ns = 0;
    EXPECT_ANSWER(b, 10 * KIB, WAIT);
    ck_assert_int_eq(share_of(a), 400 * KIB);
    ck_assert(!is_asked(a));
    clear_stage(&made);
}
END_TEST

/* The clock: 100 ms after its last refill a query is not active any more. */
START_TEST(test_ask__activity_ends)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    hold(&made, b, 1200 * KIB, 1200 * KIB);
    b->asked_ns = rn_clock_coarse_ns() - INT64_C(101000000);
    EXPECT_ANSWER(a, KIB, WAIT);
    ck_assert_int_eq(share_of(b), 0);
    ck_assert_int_eq(rn_ask_wants(b->query), 1200 * KIB);
    clear_stage(&made);
}
END_TEST

/* -------------------------------------------------------------------------------------- victims */

/* Who lies furthest above its share and cannot spill; its refusal says who asked. */
START_TEST(test_ask__victim)
{
    stage made;
    ration_refusal refusal;
    char text[2000];
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    ration_slot *other;
    ck_assert_int_eq(ration_query_slot(c->query, &other), RATION_OK);
    hold(&made, b, 500 * KIB, 0);
    hold(&made, c, 700 * KIB, 0); /* shares of 400: c is furthest above */
    rn_query_publish(c->query, "hash@7", 600 * KIB);
    EXPECT_ANSWER(a, 100 * KIB, WAIT);
    ck_assert_int_eq(ration_query_status(c->query), RATION_VICTIM);
    ck_assert_int_eq(ration_query_status(b->query), RATION_OK);
    ck_assert_int_eq(rn_ask_wants(c->query), 700 * KIB);
    ck_assert(ration_query_refusal(c->query, &refusal));
    ck_assert_int_eq(refusal.status, RATION_VICTIM);
    ck_assert_str_eq(refusal.pool, "root");
    ck_assert_int_eq(refusal.limit_bytes, LIMIT);
    ck_assert_int_eq(refusal.charged_bytes, LIMIT);
    ck_assert_int_eq(refusal.asked_bytes, 100 * KIB);
    ck_assert_str_eq(refusal.query, "A");
    ck_assert_str_eq(refusal.site, "site");
    ck_assert_int_eq(refusal.query_bytes, 0);
    ck_assert_str_eq(refusal.holder, "C");
    ck_assert_str_eq(refusal.holder_site, "hash@7");
    ck_assert_int_eq(refusal.holder_bytes, 700 * KIB);
    ck_assert_str_eq(refusal.key, "limit_bytes");
    ck_assert_int_eq(refusal.key_bytes, LIMIT + 100 * KIB);
    ck_assert_uint_gt(ration_refusal_format(&refusal, text, sizeof text), 0);
    ck_assert_ptr_nonnull(strstr(text, "VICTIM"));
    ck_assert_int_eq(rn_query_poll(c->query), RATION_VICTIM);
    EXPECT_REFUSED(c, KIB, VICTIM);    /* whatever it asks for now */
    EXPECT_ANSWER(a, 400 * KIB, WAIT); /* enough is coming: nobody else, and c not twice */
    ck_assert_int_eq(ration_query_status(b->query), RATION_OK);
    rn_ask_gave(c->query); /* on its way out; it still holds, and closing will free that */
    EXPECT_TICKET(a, AGAIN);
    EXPECT_ANSWER(a, 400 * KIB, WAIT);
    ck_assert_int_eq(ration_query_status(b->query), RATION_OK);
    ck_assert(is_asked(c));
    close_query(&made, c);
    EXPECT_ANSWER(a, 400 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

/* It sleeps on a ticket of its own: it is woken to go. */
START_TEST(test_ask__victim_that_waits_is_woken)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, b, 700 * KIB, 0);
    hold(&made, c, 500 * KIB, 500 * KIB);
    EXPECT_ANSWER(b, 50 * KIB, WAIT); /* c is asked for b, which is above its share */
    ck_assert(is_asked(c));
    EXPECT_ANSWER(a, 100 * KIB, WAIT);
    give(&made, c, 0);
    EXPECT_TICKET(b, AGAIN);
    EXPECT_TICKET(a, WAITING);
    EXPECT_ANSWER(b, 50 * KIB, REFUSED);
    EXPECT_TICKET(a, AGAIN);
    hold(&made, c, 0, 500 * KIB);
    EXPECT_ANSWER(a, 100 * KIB, WAIT);
    ck_assert_int_eq(ration_query_status(b->query), RATION_VICTIM);
    clear_stage(&made);
}
END_TEST

/* Above its own share nobody else has to go for it. */
START_TEST(test_ask__no_victim_for_a_hog)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    hold(&made, a, 550 * KIB, 0);
    hold(&made, b, 650 * KIB, 0);
    EXPECT_REFUSED(a, 51 * KIB, GLOBAL_LIMIT);
    ck_assert_int_eq(ration_query_status(b->query), RATION_OK);
    EXPECT_ANSWER(a, 50 * KIB, WAIT);
    ck_assert_int_eq(ration_query_status(b->query), RATION_VICTIM);
    clear_stage(&made);
}
END_TEST

/* What it asks for uses its claim up first: that is not counted twice. */
START_TEST(test_ask__within_its_share_with_its_claim)
{
    stage made;
    rn_no no;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    ck_assert(rn_pool_try_claim(pool_of(a), 200 * KIB, &no)); /* share: 200 + 500 */
    hold(&made, b, 1000 * KIB, 0);
    EXPECT_ANSWER(a, 700 * KIB, WAIT);
    ck_assert_int_eq(ration_query_status(b->query), RATION_VICTIM);
    clear_stage(&made);
}
END_TEST

/* Who can spill is asked to, and goes only when that has freed nothing. */
START_TEST(test_ask__who_can_spill_is_no_victim)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    hold(&made, b, 1200 * KIB, 10 * KIB);
    EXPECT_ANSWER(a, 100 * KIB, WAIT);
    ck_assert_int_eq(rn_ask_wants(b->query), 10 * KIB);
    give(&made, b, 10 * KIB);
    ck_assert_int_eq(ration_query_status(b->query), RATION_OK);
    EXPECT_ANSWER(a, 100 * KIB, WAIT); /* spillable is 0 now, and 90 are lacking */
    ck_assert_int_eq(ration_query_status(b->query), RATION_VICTIM);
    clear_stage(&made);
}
END_TEST

/* Measured by the most it used since it was asked: what it was granted meanwhile does not make its
 * gift nothing, taken (_i == 0) or not. */
START_TEST(test_ask__giver_that_grew_before_it_gave)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, b, 500 * KIB, 0);
    hold(&made, c, 700 * KIB, 700 * KIB);
    EXPECT_ANSWER(b, 100 * KIB, WAIT);
    rn_ask_can_spill(b->slot, 500 * KIB);
    EXPECT_ANSWER(a, 300 * KIB, WAIT);
    ck_assert(is_asked(b) && is_asked(c));
    give(&made, c, 100 * KIB); /* b was first: granted, and asked to give still */
    EXPECT_TICKET(b, GRANTED);
    if (_i == 0) {
        EXPECT_ANSWER(b, 100 * KIB, GRANTED);
    }
    ck_assert(is_asked(b));
    give(&made, b, 50 * KIB); /* it holds 550, more than when it was asked */
    EXPECT_ANSWER(a, 300 * KIB, WAIT);
    ck_assert_int_eq(ration_query_status(b->query), RATION_OK);
    ck_assert(is_asked(b)); /* again, as one who can */
    clear_stage(&made);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *tests[] = {
        test_ask__shares_go_by_weight_beyond_claims,
        test_ask__weight_decides_who_gives,
        test_ask__nobody_gives_what_it_claims,
        test_ask__groups,
        test_ask__limit_of_a_group,
        test_ask__inactive_hog_gives_first,
        test_ask__who_waits_is_active,
        test_ask__activity_ends,
        test_ask__victim,
        test_ask__victim_that_waits_is_woken,
        test_ask__no_victim_for_a_hog,
        test_ask__within_its_share_with_its_claim,
        test_ask__who_can_spill_is_no_victim,
    };
    Suite *suite = suite_create("executor/ask shares");
    TCase *shares = tcase_create("shares");
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_test(shares, tests[i]);
    }
    tcase_add_loop_test(shares, test_ask__giver_that_grew_before_it_gave, 0, 2);
    suite_add_tcase(suite, shares);
    return run_suite(suite);
}

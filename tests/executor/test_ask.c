/* SPDX-License-Identifier: Apache-2.0
 *
 * The asking order line by line, with queries of one governor played in one thread. After every
 * call the invariants of ask.c and queue.c are evaluated. Shares: test_ask_shares.c; who stops
 * asking: test_ask_ends.c; long plays: test_ask_random.c. */
#include "tests/executor/ask_world.h"

START_TEST(test_ask__granted_when_there_is_room)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    EXPECT_ANSWER(a, 1000 * KIB, GRANTED);
    EXPECT_ANSWER(b, 200 * KIB, GRANTED); /* with credit recalled */
    EXPECT_ANSWER(b, 0, GRANTED);
    ck_assert_int_eq(held_by(a), 1000 * KIB);
    ck_assert_int_eq(held_by(b), 200 * KIB);
    clear_stage(&made);
}
END_TEST

/* ----------------------------------------------------------------------------------- impossible */

static void expect_undisturbed(const stage *made)
{
    ck_assert_int_eq(rn_load(&made->governor->root->givers), 0);
    ck_assert_ptr_null(rn_queue_first(made->view.ledger));
    for (int i = 0; i < made->count; i++) {
        ck_assert_int_eq(ration_query_status(made->actors[i].query), RATION_OK);
    }
}

START_TEST(test_ask__impossible_disturbs_nobody)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *hog = enter_query(&made, 0), *c = enter_query(&made, 0);
    rn_no no;
    hold(&made, hog, 1000 * KIB, 1000 * KIB);
    EXPECT_REFUSED(a, LIMIT + 1, GLOBAL_LIMIT);
    EXPECT_REFUSED(a, INT64_MAX, QUERY_LIMIT); /* no such sum, whatever the limits */
    expect_undisturbed(&made);
    ck_assert(rn_pool_try_claim(pool_of(c), 100 * KIB, &no)); /* of another: never given back */
    EXPECT_REFUSED(a, LIMIT - 100 * KIB + 1, GLOBAL_LIMIT);
    expect_undisturbed(&made);
    ck_assert(rn_pool_try_charge(made.governor->data, 50 * KIB)); /* the graph: the same */
    EXPECT_REFUSED(a, LIMIT - 150 * KIB + 1, GLOBAL_LIMIT);
    expect_undisturbed(&made);
    ck_assert(rn_pool_try_charge(made.governor->queries, 10 * KIB)); /* handed to a pool above */
    EXPECT_REFUSED(a, LIMIT - 160 * KIB + 1, GLOBAL_LIMIT);
    expect_undisturbed(&made);
    EXPECT_ANSWER(a, LIMIT - 160 * KIB, WAIT); /* what is left could come free */
    ck_assert(is_asked(hog));
    rn_pool_release(made.governor->data, 50 * KIB);
    rn_pool_release(made.governor->queries, 10 * KIB);
    clear_stage(&made);
}
END_TEST

/* A claim of a group is charged above it, used or not. */
START_TEST(test_ask__impossible_beside_the_claim_of_a_group)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *hog = enter_query(&made, 0), *c = enter_query(&made, 0);
    ration_pool *group;
    rn_no no;
    ck_assert_int_eq(rn_pool_open(made.view.ledger, made.governor->queries, "group", INT64_MAX,
                                  RATION_GROUP_LIMIT, NULL, &group),
                     RATION_OK);
    ck_assert(rn_pool_set_parent(pool_of(c), group, &no));
    ck_assert(rn_pool_try_claim(group, 300 * KIB, &no));
    ck_assert(rn_pool_try_claim(pool_of(c), 100 * KIB, &no)); /* within that of the group */
    hold(&made, hog, 900 * KIB, 900 * KIB);
    EXPECT_REFUSED(a, LIMIT - 300 * KIB + 1, GLOBAL_LIMIT);
    expect_undisturbed(&made);
    EXPECT_ANSWER(c, LIMIT, WAIT); /* its own group's claim stands in nobody's way */
    ck_assert(is_asked(hog));
    close_query(&made, c);
    ck_assert(rn_pool_try_claim(group, 0, &no));
    rn_pool_close(group);
    clear_stage(&made);
}
END_TEST

/* Its own limit: others are not asked, whatever they hold. */
START_TEST(test_ask__own_limit_is_its_own_affair)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 100 * KIB), *hog = enter_query(&made, 0);
    hold(&made, hog, 1000 * KIB, 1000 * KIB);
    hold(&made, a, 60 * KIB, 0);
    EXPECT_REFUSED(a, 101 * KIB, QUERY_LIMIT);
    EXPECT_REFUSED(a, 50 * KIB, QUERY_LIMIT);
    expect_undisturbed(&made);
    rn_ask_can_spill(a->slot, 40 * KIB);
    rn_reply asked = ask_for(&made, a, 50 * KIB);
    ck_assert_int_eq(asked.answer, RN_ASK_SPILL);
    ck_assert_int_eq(asked.want_bytes, 10 * KIB);
    expect_undisturbed(&made);
    give(&made, a, 40 * KIB);
    EXPECT_ANSWER(a, 50 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

/* ---------------------------------------------------------------------------------------- spill */

START_TEST(test_ask__above_its_share_spills_before_others_are_asked)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, a, 390 * KIB, 390 * KIB); /* share 400 */
    hold(&made, b, 800 * KIB, 800 * KIB);
    rn_reply asked = ask_for(&made, a, 20 * KIB);
    ck_assert_int_eq(asked.answer, RN_ASK_SPILL);
    ck_assert_int_eq(asked.want_bytes, 10 * KIB);
    ck_assert(!is_asked(b));
    ck_assert(!is_asked(a)); /* it was told, nobody waits for it */
    give(&made, a, 5 * KIB); /* of what it was told; and it holds more than its share still */
    EXPECT_ANSWER(a, 20 * KIB, SPILL);
    give(&made, a, 5 * KIB);
    EXPECT_ANSWER(a, 20 * KIB, GRANTED);
    EXPECT_ANSWER(c, 20 * KIB, WAIT);
    clear_stage(&made);
}
END_TEST

/* Nobody else can: also within its share. */
START_TEST(test_ask__spills_when_nobody_else_can)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    hold(&made, a, 500 * KIB, 100 * KIB); /* share 600 */
    hold(&made, b, 700 * KIB, 0);
    EXPECT_ANSWER(a, 50 * KIB, SPILL);
    ck_assert_int_eq(ration_query_status(b->query), RATION_OK); /* rather than a victim */
    give(&made, a, 0);
    EXPECT_ANSWER(a, 50 * KIB, WAIT); /* it freed nothing: not told again, the line goes on */
    ck_assert_int_eq(ration_query_status(b->query), RATION_VICTIM);
    clear_stage(&made);
}
END_TEST

/* --------------------------------------------------------------------------------------- givers */

START_TEST(test_ask__largest_give_first_and_only_as_many_as_needed)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0),
          *d = enter_query(&made, 0); /* share 300 each */
    hold(&made, b, 350 * KIB, 350 * KIB);
    hold(&made, c, 450 * KIB, 450 * KIB);
    hold(&made, d, 400 * KIB, 40 * KIB);
    EXPECT_ANSWER(a, 100 * KIB, WAIT);
    ck_assert_int_eq(rn_ask_wants(c->query), 150 * KIB); /* what it is above */
    ck_assert(!is_asked(b) && !is_asked(d));
    EXPECT_TICKET(a, WAITING);
    EXPECT_ANSWER(a, 100 * KIB, WAIT); /* asking twice changes nothing */
    ck_assert(!is_asked(b) && !is_asked(d));
    EXPECT_ANSWER(a, 160 * KIB, WAIT);                  /* one is not enough any more */
    ck_assert_int_eq(rn_ask_wants(d->query), 40 * KIB); /* what it can, of the 100 it is above */
    ck_assert(!is_asked(b));
    EXPECT_ANSWER(a, 250 * KIB, WAIT);
    ck_assert_int_eq(rn_ask_wants(b->query), 50 * KIB);
    give(&made, b, 50 * KIB);
    EXPECT_TICKET(a, WAITING);
    give(&made, d, 40 * KIB);
    EXPECT_TICKET(a, WAITING);
    give(&made, c, 160 * KIB);
    EXPECT_TICKET(a, GRANTED);
    EXPECT_ANSWER(a, 250 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

/* What is lacking is lacking for all who wait there. */
START_TEST(test_ask__more_who_wait_need_more_givers)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0),
          *d = enter_query(&made, 0);
    hold(&made, c, 620 * KIB, 350 * KIB);
    hold(&made, d, 580 * KIB, 580 * KIB);
    EXPECT_ANSWER(a, 200 * KIB, WAIT);
    ck_assert(is_asked(c) && !is_asked(d));
    EXPECT_ANSWER(b, 110 * KIB, WAIT); /* 320 are coming, 310 are lacking */
    ck_assert(!is_asked(d));
    EXPECT_ANSWER(b, 130 * KIB, WAIT);
    ck_assert(is_asked(d));
    give(&made, d, 180 * KIB);
    EXPECT_TICKET(a, WAITING);
    give(&made, c, 150 * KIB);
    EXPECT_TICKET(a, GRANTED);
    EXPECT_TICKET(b, GRANTED);
    clear_stage(&made);
}
END_TEST

/* It wrote out nothing, so it is not asked in vain again: the next one is, and at last nobody. */
START_TEST(test_ask__giver_that_frees_nothing_is_passed_over)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, a, 100 * KIB, 0);
    hold(&made, b, 600 * KIB, 600 * KIB);
    hold(&made, c, 500 * KIB, 500 * KIB);
    EXPECT_ANSWER(a, 350 * KIB, WAIT); /* above its share, cannot spill; b gives 200, c 100 */
    ck_assert(is_asked(b) && is_asked(c));
    give(&made, c, 0);
    EXPECT_TICKET(a, WAITING);
    give(&made, b, 0);
    EXPECT_TICKET(a, AGAIN);
    EXPECT_REFUSED(a, 350 * KIB, GLOBAL_LIMIT);
    ck_assert(!is_asked(b) && !is_asked(c));
    ck_assert_int_eq(ration_query_status(b->query), RATION_OK); /* a is above its share */
    release(b->slot, 50 * KIB);
    EXPECT_ANSWER(b, 60 * KIB, REFUSED); /* the same for itself */
    EXPECT_ANSWER(a, 350 * KIB, REFUSED);
    EXPECT_ANSWER(b, 50 * KIB, GRANTED); /* it holds more than the least since: it may be able to */
    EXPECT_ANSWER(a, 350 * KIB, WAIT);
    ck_assert(is_asked(b) && !is_asked(c));
    clear_stage(&made);
}
END_TEST

/* A giver that waits would never come to give: it is woken for it, and keeps its place. */
START_TEST(test_ask__giver_that_waits_gives_first)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    hold(&made, a, 450 * KIB, 0);
    hold(&made, c, 750 * KIB, 750 * KIB);
    EXPECT_ANSWER(a, 100 * KIB, WAIT);
    ck_assert_int_eq(rn_ask_wants(c->query), 350 * KIB);
    rn_ask_can_spill(a->slot, 450 * KIB); /* another worker of it */
    EXPECT_ANSWER(b, 300 * KIB, WAIT);
    ck_assert_int_eq(rn_ask_wants(a->query), 50 * KIB);
    EXPECT_TICKET(a, AGAIN);
    EXPECT_ANSWER(a, 100 * KIB, SPILL);
    give(&made, a, 50 * KIB);
    EXPECT_ANSWER(a, 100 * KIB, SPILL); /* above its share with what it asks for */
    EXPECT_TICKET(a, AGAIN);
    give(&made, a, 100 * KIB);
    EXPECT_TICKET(a, GRANTED); /* a was first */
    EXPECT_TICKET(b, WAITING);
    give(&made, c, 350 * KIB);
    EXPECT_TICKET(b, GRANTED);
    clear_stage(&made);
}
END_TEST

/* Its share has grown since it was asked, and it waits with others to come: it gives all the same,
 * because somebody sleeps on its answer. */
START_TEST(test_ask__giver_is_told_whatever_its_share)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0),
          *d = enter_query(&made, 0);
    hold(&made, a, 350 * KIB, 0);
    hold(&made, c, 850 * KIB, 850 * KIB);
    EXPECT_ANSWER(a, 20 * KIB, WAIT);
    rn_ask_can_spill(a->slot, 350 * KIB);
    EXPECT_ANSWER(b, 560 * KIB, WAIT);
    ck_assert(is_asked(a) && is_asked(c));
    close_query(&made, d); /* 400 instead of 300 each */
    EXPECT_ANSWER(a, 20 * KIB, SPILL);
    give(&made, a, 10 * KIB);
    EXPECT_ANSWER(a, 20 * KIB, WAIT);
    clear_stage(&made);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *tests[] = {
        test_ask__granted_when_there_is_room,
        test_ask__impossible_disturbs_nobody,
        test_ask__impossible_beside_the_claim_of_a_group,
        test_ask__own_limit_is_its_own_affair,
        test_ask__above_its_share_spills_before_others_are_asked,
        test_ask__spills_when_nobody_else_can,
        test_ask__largest_give_first_and_only_as_many_as_needed,
        test_ask__more_who_wait_need_more_givers,
        test_ask__giver_that_frees_nothing_is_passed_over,
        test_ask__giver_that_waits_gives_first,
        test_ask__giver_is_told_whatever_its_share,
    };
    Suite *suite = suite_create("executor/ask");
    TCase *lines = tcase_create("lines");
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_test(lines, tests[i]);
    }
    suite_add_tcase(suite, lines);
    return run_suite(suite);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Tickets in one thread: order, no barging, what moves the queue, the AGAIN rule. After every step
 * the invariants of queue.c are evaluated from outside. Sleeping and waking:
 * test_queue_wake.c; interleavings: tests/points/test_queue.c; long plays: test_queue_random.c,
 * test_queue_threads.c. Both orderings (_i). */
#include "tests/memory/queue_stage.h"

/* ---------------------------------------------------------------------------------------- order */

START_TEST(test_queue__first_come_first_served)
{
    stage made = set_stage(_i != 0);
    ck_assert(ask(made.holder, LIMIT));
    ck_assert(!ask(made.a, 300));
    ck_assert(!ask(made.c, 10));
    ck_assert(!ask(made.b, 200));
    EXPECT(WAITING, WAITING, WAITING);
    ck_assert_int_eq(read_pool(made.world.root).waiting, 3);
    release(made.holder, 299); /* enough for either of the younger ones */
    EXPECT(WAITING, WAITING, WAITING);
    release(made.holder, 1);
    EXPECT(GRANTED, WAITING, WAITING);
    release(made.holder, 209);
    EXPECT(GRANTED, WAITING, GRANTED);
    ck_assert_int_eq(rn_slot_used(made.a), 0); /* charged to the pool until its owner takes it */
    ck_assert_int_eq(read_pool(made.world.first).charged_bytes, 300);
    ck_assert(ask(made.a, 300));
    ck_assert_int_eq(rn_slot_used(made.a), 300);
    ck_assert_int_eq(read_pool(made.world.first).charged_bytes, 300);
    release(made.a, 1); /* who has been served gives as everybody does */
    EXPECT(NONE, GRANTED, GRANTED);
    ck_assert_int_eq(read_pool(made.world.root).charged_bytes, LIMIT);
    ck_assert_int_eq(read_pool(made.world.root).waiting, 0);
    clear_stage(&made);
}
END_TEST

START_TEST(test_queue__one_release_serves_many)
{
    stage made = set_stage(_i != 0);
    ck_assert(ask(made.holder, LIMIT));
    ck_assert(!ask(made.b, 300) && !ask(made.a, 100) && !ask(made.c, 600));
    release(made.holder, LIMIT);
    EXPECT(GRANTED, GRANTED, GRANTED);
    clear_stage(&made);
}
END_TEST

/* Every way of asking without a ticket is told no where somebody waits, and why. */
START_TEST(test_queue__nobody_barges)
{
    stage made = set_stage(_i != 0);
    fixture *world = &made.world;
    rn_no no;
    int64_t charged;
    ck_assert(ask(made.holder, 900));
    ck_assert(!ask(made.a, 200));
    EXPECT(WAITING, NONE, NONE);
    ck_assert_int_eq(charge(made.c, 1), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(made.c->no.waiting, 1);
    ck_assert_ptr_eq(made.c->no.pool, world->root);
    ck_assert_int_eq(charge(made.b, 1),
                     RATION_GLOBAL_LIMIT); /* nor a sibling of the one who waits */
    ck_assert_int_eq(charge(made.holder, 1), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(ration_slot_try_charge_between(&made.c->hot, 1, 50, &charged),
                     RATION_GLOBAL_LIMIT);
    ck_assert(!rn_pool_try_charge_or(world->second, 1, &no));
    ck_assert_int_eq(no.waiting, 1);
    ck_assert(!rn_pool_try_claim(world->first, 1, &no));
    ck_assert_int_eq(no.waiting, 1);
    EXPECT(WAITING, NONE, NONE);
    leave(made.a);
    EXPECT(NONE, NONE, NONE);
    ck_assert_int_eq(charge(made.c, 100), RATION_OK);
    ck_assert_int_eq(charge(made.c, 1), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(made.c->no.waiting, 0);
    clear_stage(&made);
}
END_TEST

START_TEST(test_queue__pools_with_room_are_not_blocked)
{
    stage made = set_stage(_i != 0);
    rn_pool_set_limit(made.world.first, 100);
    rn_pool_set_limit(made.world.second, 200);
    ck_assert(ask(made.b, 90));
    ck_assert(ask(made.holder, 150));
    ck_assert(!ask(made.a, 50)); /* blocked by the limit of q1 alone */
    ck_assert_ptr_eq(blocked_at(made.a), made.world.first);
    EXPECT(WAITING, NONE, NONE);
    ck_assert_int_eq(charge(made.c, 20), RATION_OK);
    ck_assert(!ask(made.c, 40));
    ck_assert_ptr_eq(blocked_at(made.c), made.world.second);
    release(made.holder, 10); /* the younger is first at its own pool */
    EXPECT(WAITING, NONE, GRANTED);
    release(made.b, 40);
    EXPECT(GRANTED, NONE, GRANTED);
    clear_stage(&made);
}
END_TEST

/* It is blocked further up from then on, and nobody takes what it has passed. */
START_TEST(test_queue__ticket_moves_up_with_its_rights)
{
    stage made = set_stage(_i != 0);
    rn_pool_set_limit(made.world.first, 100);
    ck_assert(ask(made.b, 100));
    ck_assert(ask(made.holder, 900));
    ck_assert(!ask(made.a, 60));
    ck_assert(!ask(made.c, 5));
    ck_assert_ptr_eq(blocked_at(made.a), made.world.first);
    ck_assert_ptr_eq(blocked_at(made.c), made.world.root);
    EXPECT(WAITING, NONE, WAITING);
    rn_pool_set_limit(made.world.first, 300);
    ck_assert_ptr_eq(blocked_at(made.a), made.world.root);
    EXPECT(WAITING, NONE, WAITING);
    ck_assert_int_eq(charge(made.b, 1), RATION_GLOBAL_LIMIT); /* passed q1, not the root */
    release(made.holder, 59);
    EXPECT(WAITING, NONE, WAITING); /* the older is first, though it came to the root later */
    release(made.holder, 1);
    EXPECT(GRANTED, NONE, WAITING);
    ck_assert(ask(made.a, 60));
    rn_pool_set_limit(made.world.first, 160);
    ck_assert(!ask(made.b, 1));
    ck_assert_ptr_eq(blocked_at(made.b), made.world.first);
    release(made.holder, 100); /* blocked at q1, not in the way of others at the root */
    EXPECT(NONE, WAITING, GRANTED);
    clear_stage(&made);
}
END_TEST

START_TEST(test_queue__second_enter_keeps_the_place)
{
    stage made = set_stage(_i != 0);
    ck_assert(ask(made.holder, LIMIT));
    ck_assert(!ask(made.a, 100));
    ck_assert(!ask(made.c, 100));
    int64_t sequence = made.a->ticket.sequence;
    ck_assert(!ask(made.a, 200));
    ck_assert_int_eq(made.a->ticket.sequence, sequence);
    release(made.holder, 150);
    EXPECT(WAITING, NONE, WAITING);
    ck_assert(ask(made.a, 150)); /* less than before: it is the first, and fits */
    EXPECT(NONE, NONE, WAITING);
    ck_assert_int_eq(rn_slot_used(made.a), 150);
    clear_stage(&made);
}
END_TEST

/* Who asks for more and is stopped lower down stands in nobody's way further up. */
START_TEST(test_queue__second_enter_at_another_pool_lets_others_go)
{
    stage made = set_stage(_i != 0);
    rn_pool_set_limit(made.world.first, 500);
    ck_assert(ask(made.holder, LIMIT - 50));
    ck_assert(!ask(made.a, 100));
    ck_assert(!ask(made.c, 40));
    EXPECT(WAITING, NONE, WAITING);
    ck_assert(!ask(made.a, 501));
    ck_assert_ptr_eq(blocked_at(made.a), made.world.first);
    EXPECT(WAITING, NONE, GRANTED);
    clear_stage(&made);
}
END_TEST

/* ------------------------------------------------------------------------- what moves the queue */

START_TEST(test_queue__limits_raised_and_cut)
{
    stage made = set_stage(_i != 0);
    ration_pool *root = made.world.root;
    ck_assert(ask(made.holder, LIMIT));
    ck_assert(!ask(made.a, 100) && !ask(made.c, 200) && !ask(made.b, 300));
    rn_pool_set_limit(root, LIMIT + 299);
    EXPECT(GRANTED, WAITING, WAITING);
    rn_pool_set_limit(root, LIMIT + 300);
    EXPECT(GRANTED, WAITING, GRANTED);
    rn_pool_set_limit(root, LIMIT); /* what was granted stays granted */
    EXPECT(GRANTED, WAITING, GRANTED);
    ck_assert_int_eq(read_pool(root).granted_bytes, LIMIT + 300);
    release(made.holder, 599);
    EXPECT(GRANTED, WAITING, GRANTED);
    release(made.holder, 1);
    EXPECT(GRANTED, GRANTED, GRANTED);
    ck_assert_int_eq(read_pool(root).granted_bytes, LIMIT);
    clear_stage(&made);
}
END_TEST

/* A cut below what a ticket asks for: it blocks those behind it until it leaves. */
START_TEST(test_queue__cut_below_what_is_asked)
{
    stage made = set_stage(_i != 0);
    ck_assert(ask(made.holder, LIMIT));
    ck_assert(!ask(made.a, 600) && !ask(made.c, 10));
    rn_pool_set_limit(made.world.root, 500);
    release(made.holder, LIMIT);
    EXPECT(WAITING, NONE, WAITING);
    rn_pool_set_limit(made.world.first, 100);
    EXPECT(WAITING, NONE, GRANTED);
    ck_assert_ptr_eq(blocked_at(made.a), made.world.first);
    clear_stage(&made);
}
END_TEST

START_TEST(test_queue__claims)
{
    stage made = set_stage(_i != 0);
    rn_no no;
    ck_assert(rn_pool_try_claim(made.world.first, 300, &no));
    ck_assert(ask(made.holder, 700));
    ck_assert(!ask(made.c, 100));
    EXPECT(NONE, NONE, WAITING);
    ck_assert(ask(made.a, 200)); /* within the claim: charged already, nobody is passed */
    EXPECT(NONE, NONE, WAITING);
    ck_assert(!ask(made.b, 101)); /* one byte more than the claim has left */
    ck_assert_ptr_eq(blocked_at(made.b), made.world.root);
    EXPECT(NONE, WAITING, WAITING);
    ck_assert(!rn_pool_try_claim(made.world.first, 400, &no));
    ck_assert(rn_pool_try_claim(made.world.first, 250, &no)); /* 50 come free, 100 are lacking */
    EXPECT(NONE, WAITING, WAITING);
    ck_assert(rn_pool_try_claim(made.world.first, 0, &no));
    EXPECT(NONE, WAITING, GRANTED);
    ck_assert_int_eq(read_pool(made.world.root).granted_bytes, LIMIT);
    clear_stage(&made);
}
END_TEST

/* A claim above the pool with a limit: what it covers is charged although somebody waits at the
 * root, and may fill the pool that one has passed. It is blocked there then, and in nobody's way
 * elsewhere. */
START_TEST(test_queue__charge_below_a_claim_blocks_an_older_one_lower)
{
    stage made = set_stage(_i != 0);
    ration_pool *group;
    rn_slot *late;
    rn_no no;
    ck_assert_int_eq(rn_pool_open(made.world.ledger, made.world.root, "group", NONE,
                                  RATION_GROUP_LIMIT, NULL, &group),
                     RATION_OK);
    ck_assert(rn_pool_set_parent(made.world.first, group, &no));
    rn_pool_set_limit(made.world.first, 400);
    ck_assert(rn_pool_try_claim(group, 200, &no));
    ck_assert(ask(made.holder, 770));
    late = open_slot(made.world.second);
    ck_assert(!ask(made.a, 300)); /* 100 beyond the claim, 30 left */
    ck_assert(!ask(late, 20));
    ck_assert_ptr_eq(blocked_at(made.a), made.world.root);
    EXPECT(WAITING, NONE, NONE);
    ck_assert(ask(made.b, 150));
    ck_assert_ptr_eq(blocked_at(made.a), made.world.first);
    ck_assert_int_eq(rn_ticket_read(late), RN_TICKET_GRANTED);
    EXPECT(WAITING, NONE, NONE);
    leave(late);
    rn_slot_close(late);
    leave(made.a);
    release(made.b, 150);
    ck_assert(rn_pool_try_claim(group, 0, &no));
    ck_assert(rn_pool_set_parent(made.world.first, made.world.queries, &no));
    rn_pool_close(group);
    clear_stage(&made);
}
END_TEST

START_TEST(test_queue__pool_with_waiters_moves)
{
    stage made = set_stage(_i != 0);
    ration_pool *roomy, *full;
    rn_no no;
    ck_assert_int_eq(rn_pool_open(made.world.ledger, made.world.root, "roomy", NONE,
                                  RATION_GROUP_LIMIT, NULL, &roomy),
                     RATION_OK);
    ck_assert_int_eq(rn_pool_open(made.world.ledger, made.world.root, "full", 10,
                                  RATION_GROUP_LIMIT, NULL, &full),
                     RATION_OK);
    rn_pool_set_limit(made.world.queries, 500);
    ck_assert(ask(made.b, 100));
    ck_assert(ask(made.holder, 400));
    ck_assert(!ask(made.a, 50) && !ask(made.c, 30));
    ck_assert_ptr_eq(blocked_at(made.a), made.world.queries);
    EXPECT(WAITING, NONE, WAITING);
    ck_assert(!rn_pool_set_parent(made.world.first, full, &no));
    ck_assert_ptr_eq(no.pool, full);
    EXPECT(WAITING, NONE, WAITING);
    ck_assert(rn_pool_set_parent(made.world.first, roomy, &no)); /* takes 100 with it */
    EXPECT(GRANTED, NONE, GRANTED);
    ck_assert_int_eq(rn_load(&roomy->givers), 1);
    ck_assert_int_eq(rn_load(&made.world.queries->givers), 1);
    ck_assert_int_eq(rn_load(&made.world.root->givers), 2);
    ck_assert(ask(made.a, 50));
    ck_assert(rn_pool_set_parent(made.world.first, made.world.root, &no));
    ck_assert(!ask(made.a, 600)); /* the way back with a ticket blocked at the root stays open */
    ck_assert_ptr_eq(blocked_at(made.a), made.world.root);
    rn_pool_set_limit(made.world.queries, 580);
    ck_assert(rn_pool_set_parent(made.world.first, made.world.queries, &no));
    ck_assert_ptr_eq(blocked_at(made.a), made.world.queries);
    EXPECT(WAITING, NONE, GRANTED);
    rn_pool_close(roomy);
    rn_pool_close(full);
    clear_stage(&made);
}
END_TEST

START_TEST(test_queue__closing_a_slot_that_waits)
{
    stage made = set_stage(_i != 0);
    ck_assert(ask(made.holder, LIMIT - 50));
    ck_assert(!ask(made.a, 100) && !ask(made.c, 50));
    EXPECT(WAITING, NONE, WAITING);
    rn_slot_close(made.a);
    made.a = open_slot(made.world.first);
    EXPECT(NONE, NONE, GRANTED);
    clear_stage(&made);
}
END_TEST

START_TEST(test_queue__a_grant_given_back_serves_the_next)
{
    stage made = set_stage(_i != 0);
    ck_assert(ask(made.holder, LIMIT));
    ck_assert(!ask(made.a, 100) && !ask(made.b, 60) && !ask(made.c, 40));
    release(made.holder, 100);
    EXPECT(GRANTED, WAITING, WAITING);
    leave(made.a);
    EXPECT(NONE, GRANTED, GRANTED);
    rn_slot_close(made.b);
    made.b = open_slot(made.world.first);
    EXPECT(NONE, NONE, GRANTED);
    ck_assert_int_eq(read_pool(made.world.root).charged_bytes, LIMIT - 60);
    clear_stage(&made);
}
END_TEST

/* What its owner has released, and not brought to the lock yet, is no credit of a ticket. */
START_TEST(test_queue__release_under_way_is_not_counted_twice)
{
    stage made = set_stage(_i != 0);
    ck_assert(ask(made.a, 400));
    ck_assert(ask(made.holder, 600));
    ck_assert(!ask(made.a, 100));
    rn_store(&made.a->hot.used, 350); /* published, as ration_slot_release does first */
    release(made.holder, 50);         /* 50 are free now, of the 100 */
    ck_assert_int_le(read_pool(made.world.root).granted_bytes, LIMIT);
    ck_assert_int_eq(rn_ticket_read(made.a), RN_TICKET_WAITING);
    ration_slot_release_slow(&made.a->hot);
    EXPECT(GRANTED, NONE, NONE);
    ck_assert_int_eq(read_pool(made.world.root).granted_bytes, LIMIT);
    clear_stage(&made);
}
END_TEST

START_TEST(test_queue__amounts_near_the_end_of_int64)
{
    stage made = set_stage(_i != 0);
    ck_assert(ask(made.holder, 10));
    ck_assert(!ask(made.a, INT64_MAX)); /* no such sum at q1 */
    ck_assert(!ask(made.c, INT64_MAX - 9));
    ck_assert_ptr_eq(blocked_at(made.c), made.world.second);
    ck_assert(!ask(made.b, 5));
    EXPECT(WAITING, WAITING, WAITING);
    release(made.holder, 10);
    ck_assert_ptr_eq(blocked_at(made.c), made.world.root);
    EXPECT(WAITING, WAITING, WAITING);
    leave(made.a);
    EXPECT(NONE, WAITING, WAITING);
    leave(made.c);
    EXPECT(NONE, GRANTED, NONE);
    clear_stage(&made);
}
END_TEST

/* ---------------------------------------------------------------------------------------- again */

START_TEST(test_queue__oldest_asks_again_when_no_giver_is_left)
{
    stage made = set_stage(_i != 0);
    ck_assert(ask(made.holder, LIMIT));
    ck_assert(!ask(made.a, 10) && !ask(made.b, 10) && !ask(made.c, 10));
    set_givers(&made, 0, 2);
    EXPECT(WAITING, WAITING, WAITING);
    set_givers(&made, 0, 1);
    EXPECT(WAITING, WAITING, WAITING);
    set_givers(&made, 0, 0);
    EXPECT(AGAIN, WAITING, WAITING);
    set_givers(&made, 0, 1); /* it asks again, and somebody is found */
    EXPECT(AGAIN, WAITING, WAITING);
    int64_t sequence = made.a->ticket.sequence;
    ck_assert(!ask(made.a, 10));
    ck_assert_int_eq(made.a->ticket.sequence, sequence);
    EXPECT(WAITING, WAITING, WAITING);
    set_givers(&made, 0, 0);
    EXPECT(AGAIN, WAITING, WAITING);
    leave(made.a); /* refused: the next is told */
    EXPECT(NONE, AGAIN, WAITING);
    release(made.holder, 10);
    EXPECT(NONE, GRANTED, AGAIN); /* granted without being woken once more; it is awake */
    leave(made.c);
    EXPECT(NONE, GRANTED, NONE);
    clear_stage(&made);
}
END_TEST

/* A giver counts for the pools above it only. */
START_TEST(test_queue__givers_of_other_pools_do_not_count)
{
    stage made = set_stage(_i != 0);
    set_givers(&made, 0, 1);
    rn_pool_set_limit(made.world.first, 100);
    ck_assert(ask(made.holder, 900));
    ck_assert(ask(made.b, 100));
    ck_assert(!ask(made.c, 1));
    ck_assert(!ask(made.a, 1));
    EXPECT(AGAIN, NONE, WAITING); /* who could give is below q2 */
    rn_pool_set_limit(made.world.first, 200);
    EXPECT(AGAIN, NONE, WAITING);
    ck_assert(!ask(made.a, 1));
    EXPECT(WAITING, NONE, WAITING); /* at the root now, behind c */
    set_givers(&made, 0, 0);
    EXPECT(WAITING, NONE, AGAIN);
    clear_stage(&made);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *tests[] = {
        test_queue__first_come_first_served,
        test_queue__one_release_serves_many,
        test_queue__nobody_barges,
        test_queue__pools_with_room_are_not_blocked,
        test_queue__ticket_moves_up_with_its_rights,
        test_queue__second_enter_keeps_the_place,
        test_queue__second_enter_at_another_pool_lets_others_go,
        test_queue__limits_raised_and_cut,
        test_queue__cut_below_what_is_asked,
        test_queue__claims,
        test_queue__charge_below_a_claim_blocks_an_older_one_lower,
        test_queue__pool_with_waiters_moves,
        test_queue__closing_a_slot_that_waits,
        test_queue__a_grant_given_back_serves_the_next,
        test_queue__release_under_way_is_not_counted_twice,
        test_queue__amounts_near_the_end_of_int64,
        test_queue__oldest_asks_again_when_no_giver_is_left,
        test_queue__givers_of_other_pools_do_not_count,
    };
    TCase *both = tcase_create("both orderings");
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_loop_test(both, tests[i], 0, 2);
    }
    tcase_set_timeout(both, 120);
    Suite *suite = suite_create("memory/queue");
    suite_add_tcase(suite, both);
    return run_suite(suite);
}

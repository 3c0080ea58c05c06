/* SPDX-License-Identifier: Apache-2.0
 *
 * Who makes room for a claim, and whom a claim protects: givers, victims, priority, a limit that is
 * cut. Worlds and words: admission_world.h. */
#include "tests/executor/admission_world.h"

/* ------------------------------------------------------------------------------- who makes room */

/* Those above their shares, as shares are with the newcomer's claim, give; it is the next then. */
START_TEST(test_admission_room__others_give)
{
    stage made;
    set_stage(&made);
    actor *hog = enter_query(&made, 0), *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    EXPECT_CLAIM(hog, 100 * KIB, GRANTED);
    hold(&made, hog, 1200 * KIB, 1200 * KIB);
    EXPECT_CLAIM(a, 300 * KIB, WAIT);
    /* 100 claimed by the hog, 300 by the newcomer: 800 are free, a third of them the hog's. */
    ck_assert_int_eq(rn_ask_wants(hog->query), 1200 * KIB - (100 * KIB + 800 * KIB / 3));
    EXPECT_ANSWER(hog, 10 * KIB, SPILL);
    EXPECT_CLAIM(b, 10 * KIB, WAIT);
    give(&made, hog, 300 * KIB); /* in two parts: the newcomer has its own after the first */
    EXPECT_CLAIM(a, 300 * KIB, GRANTED);
    EXPECT_ANSWER(hog, 10 * KIB, SPILL); /* it is above its share, and b waits */
    clear_stage(&made);
}
END_TEST

/* Nobody can give enough: those that run are not disturbed, and pass who waits. */
START_TEST(test_admission_room__rests_when_it_needs_an_end)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    EXPECT_CLAIM(a, 500 * KIB, GRANTED);
    EXPECT_CLAIM(b, 500 * KIB, GRANTED);
    hold(&made, a, 600 * KIB, 600 * KIB);
    EXPECT_CLAIM(c, 300 * KIB, WAIT);
    ck_assert(!is_asked(a));
    ck_assert_int_eq(rn_ticket_read(c->query->entry), RN_TICKET_RESTING);
    EXPECT_ANSWER(b, 550 * KIB, GRANTED);
    EXPECT_ANSWER(a, 50 * KIB, GRANTED);
    close_query(&made, b);
    EXPECT_CLAIM(c, 300 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

/* Freed bytes do not go to running queries again and again: who waits is next. */
START_TEST(test_admission_room__is_not_starved)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0), *c = enter_query(&made, 0);
    EXPECT_CLAIM(a, 500 * KIB, GRANTED);
    EXPECT_CLAIM(b, 500 * KIB, GRANTED);
    hold(&made, a, 700 * KIB, 700 * KIB);
    EXPECT_CLAIM(c, 300 * KIB, WAIT);
    close_query(&made, b);
    EXPECT_ANSWER(a, 400 * KIB, GRANTED); /* it was quicker */
    EXPECT_CLAIM(c, 300 * KIB, WAIT);
    ck_assert(is_asked(a));
    EXPECT_ANSWER(a, 10 * KIB, SPILL);
    give(&made, a, 250 * KIB);
    EXPECT_CLAIM(c, 300 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

/* A hog that cannot spill, above its share, and a newcomer that would stay within its own. */
START_TEST(test_admission_room__victim)
{
    stage made;
    set_stage(&made);
    actor *hog = enter_query(&made, 0), *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    hold(&made, hog, 1100 * KIB, 0);
    EXPECT_CLAIM(b, 1000 * KIB, WAIT); /* more than its share: nobody is killed for it */
    ck_assert_int_eq(ration_query_status(hog->query), RATION_OK);
    close_query(&made, b);
    EXPECT_CLAIM(a, 500 * KIB, WAIT);
    ck_assert_int_eq(ration_query_status(hog->query), RATION_VICTIM);
    close_query(&made, hog);
    EXPECT_CLAIM(a, 500 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

static int64_t tell_nothing(void *state)
{
    (void)state;
    return 0;
}

static const ration_spiller spiller = {NULL, tell_nothing, NULL};

/* A claim protects: whoever has one and can spill is asked again rather than killed. */
START_TEST(test_admission_room__claim_protects)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *hog = enter_query(&made, 0);
    EXPECT_CLAIM(hog, 50 * KIB, GRANTED);
    ration_slot_register_spill(&hog->slot->hot, &spiller);
    hold(&made, hog, 1200 * KIB, 1200 * KIB);
    hog->asked_ns = 0; /* the system has not scheduled it for a while */
    EXPECT_ANSWER(a, 100 * KIB, WAIT);
    for (int i = 0; i < 10; i++) {
        ck_assert(is_asked(hog));
        give(&made, hog, 0); /* its batch is in somebody's hands */
        EXPECT_ANSWER(a, 100 * KIB, WAIT);
        ck_assert_int_eq(ration_query_status(hog->query), RATION_OK);
    }
    give(&made, hog, 100 * KIB);
    EXPECT_ANSWER(a, 100 * KIB, GRANTED);
    EXPECT_ANSWER(a, 100 * KIB, WAIT);
    for (int i = 0; i < 17; i++) { /* it only says that it can */
        give(&made, hog, 0);
        EXPECT_ANSWER(a, 100 * KIB, WAIT);
    }
    ck_assert_int_eq(ration_query_status(hog->query), RATION_VICTIM);
    clear_stage(&made);
}
END_TEST

/* Its claim is there, and it has not come yet to take it: that is no more than its share. */
START_TEST(test_admission_room__granted_claim_is_no_victim)
{
    stage made;
    set_stage(&made);
    actor *hog = enter_query(&made, 0), *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    hold(&made, hog, 1200 * KIB, 1200 * KIB);
    EXPECT_CLAIM(a, 500 * KIB, WAIT);
    give(&made, hog, 500 * KIB);
    ck_assert(is_woken(a));
    rn_ask_can_spill(hog->slot, 0);
    EXPECT_ANSWER(b, 100 * KIB, WAIT);
    ck_assert_int_eq(ration_query_status(a->query), RATION_OK);
    ck_assert_int_eq(ration_query_status(hog->query), RATION_VICTIM);
    EXPECT_CLAIM(a, 500 * KIB, GRANTED);
    clear_stage(&made);
}
END_TEST

/* Unscheduled for 100 ms is no reason to be killed for somebody who is within half. */
START_TEST(test_admission_room__within_its_share_is_no_victim)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    hold(&made, a, 500 * KIB, 0);
    hold(&made, b, 600 * KIB, 0); /* cannot spill, and is at its half */
    b->asked_ns = 0;
    EXPECT_REFUSED(a, 200 * KIB, GLOBAL_LIMIT);
    ck_assert_int_eq(ration_query_status(b->query), RATION_OK);
    clear_stage(&made);
}
END_TEST

START_TEST(test_admission_room__lower_priority_gives_first)
{
    stage made;
    ration_limits limits = usual();
    add_group(&limits, "low", 0, 1, 0);
    add_group(&limits, "high", 0, 9, 0); /* the first that is looked at */
    set_stage_with(&made, &limits);
    actor *high = enter_group(&made, "high"), *low = enter_group(&made, "low"),
          *a = enter_query(&made, 0);
    hold(&made, high, 700 * KIB, 700 * KIB);
    hold(&made, low, 500 * KIB, 500 * KIB);
    EXPECT_ANSWER(a, 50 * KIB, WAIT);
    ck_assert(is_asked(low) && !is_asked(high)); /* though it is less above its share */
    clear_stage(&made);
}
END_TEST

/* As give, while the root is above its limit. */
static void write_out(const actor *self, int64_t bytes)
{
    release(self->slot, bytes);
    rn_ask_can_spill(self->slot, rn_slot_used(self->slot));
    rn_ask_gave(self->query);
}

/* What fits its claim can be had by writing out, whatever the claims of all come to after a cut. */
START_TEST(test_admission_room__claim_survives_a_cut)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *b = enter_query(&made, 0);
    EXPECT_CLAIM(a, 200 * KIB, GRANTED);
    EXPECT_CLAIM(b, 200 * KIB, GRANTED);
    hold(&made, a, 600 * KIB, 600 * KIB);
    hold(&made, b, 300 * KIB, 300 * KIB);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 300 * KIB), RATION_OK);
    ck_assert(is_asked(a) && is_asked(b)); /* at once, without anybody asking */
    write_out(b, 100 * KIB);
    write_out(a, 350 * KIB);
    ration_pool_figures root = read_pool(made.governor->root);
    ck_assert_int_gt(root.granted_bytes, root.limit_bytes);
    set_activity(&made);
    ck_assert_int_eq(rn_ask(a->slot, 100 * KIB, "site").answer, RN_ASK_SPILL);
    write_out(a, 150 * KIB);
    ck_assert_int_eq(rn_ask(a->slot, 100 * KIB, "site").answer, RN_ASK_GRANTED);
    ck_assert_int_eq(read_pool(made.governor->root).granted_bytes, 400 * KIB); /* the claims */
    for (int i = 0; i < made.count; i++) { /* above the limit meanwhile */
        ration_query_close(made.actors[i].query);
        made.actors[i].query = NULL;
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
        test_admission_room__others_give,
        test_admission_room__rests_when_it_needs_an_end,
        test_admission_room__is_not_starved,
        test_admission_room__victim,
        test_admission_room__claim_protects,
        test_admission_room__granted_claim_is_no_victim,
        test_admission_room__within_its_share_is_no_victim,
        test_admission_room__lower_priority_gives_first,
        test_admission_room__claim_survives_a_cut,
    };
    Suite *suite = suite_create("executor/admission room");
    TCase *all = tcase_create("room");
    tcase_set_timeout(all, 120);
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_test(all, tests[i]);
    }
    suite_add_tcase(suite, all);
    return run_suite(suite);
}

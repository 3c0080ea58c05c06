/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission, played in one thread with ration_query_try_claim: order, bound, time, gate, priority,
 * who is asked for the room; and a few threads that sleep for it. Worlds and words: ask_world.h. */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "executor/admission.h"
#include "tests/executor/ask_world.h"

static ration_limits usual(void)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.limit_bytes = LIMIT;
    limits.chunk_bytes_max = 4 * KIB;
    limits.admission_wait_ms_max = 600000;
    return limits;
}

static void add_group(ration_limits *limits, const char *name, int64_t limit_bytes,
                      int64_t priority, int64_t queries_max)
{
    ration_group *group = &limits->groups[limits->group_count++];
    rn_copy_text(group->name, sizeof group->name, name);
    *group = (ration_group){
        .limit_bytes = limit_bytes, .share = 1, .priority = priority, .queries_max = queries_max};
    rn_copy_text(group->name, sizeof group->name, name);
}

static actor *enter_group(stage *made, const char *group)
{
    actor *self = &made->actors[made->count];
    const char name[] = {(char)('A' + made->count++), '\0'};
    ration_query_options options = {.size = sizeof options, .name = name, .group = group};
    ration_slot *slot;
    ck_assert_int_eq(ration_query_open(made->governor, &options, &self->query, NULL), RATION_OK);
    ck_assert_int_eq(ration_query_slot(self->query, &slot), RATION_OK);
    self->slot = rn_slot_of(slot);
    self->asked_ns = ALWAYS;
    return self;
}

static ration_reply claim(stage *made, const actor *self, int64_t bytes)
{
    set_activity(made);
    ration_reply reply = ration_query_try_claim(self->query, bytes, "plan");
    ck_assert_int_eq(reply.answer == RATION_REFUSED, reply.status != RATION_OK);
    if (reply.answer == RATION_GRANTED) {
        ck_assert_int_ge(rn_load(&pool_of(self)->claim), bytes);
        ck_assert_ptr_null(self->query->entry);
    }
    ck_assert(self->query->waits_turn == (reply.answer == RATION_WAIT && !self->query->admitted));
    expect_asking(made);
    return reply;
}

#define EXPECT_CLAIM(actor, bytes, wanted)                                                         \
    ck_assert_int_eq(claim(&made, actor, bytes).answer, RATION_##wanted)
#define EXPECT_NO_CLAIM(actor, bytes, wanted)                                                      \
    ck_assert_int_eq(claim(&made, actor, bytes).status, RATION_##wanted)

/* Is it to try again? */
static bool is_woken(const actor *self)
{
    rn_ticket_state state = rn_ticket_read(self->query->entry);
    return state != RN_TICKET_RESTING && state != RN_TICKET_WAITING;
}

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
    b->query->turn_until_ns = 1; /* long ago */
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

/* ------------------------------------------------------------------------------- who makes room */

/* Those above their shares, as shares are with the newcomer's claim, give; it is the next then. */
START_TEST(test_admission__others_give)
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
START_TEST(test_admission__rests_when_it_needs_an_end)
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
START_TEST(test_admission__is_not_starved)
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
START_TEST(test_admission__victim)
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

/* A claim protects: whoever has one and can spill is asked again rather than killed. */
START_TEST(test_admission__claim_protects)
{
    stage made;
    set_stage(&made);
    actor *a = enter_query(&made, 0), *hog = enter_query(&made, 0);
    EXPECT_CLAIM(hog, 50 * KIB, GRANTED);
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

/* Unscheduled for 100 ms is no reason to be killed for somebody who is within half. */
START_TEST(test_admission__within_its_share_is_no_victim)
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

START_TEST(test_admission__lower_priority_gives_first)
{
    stage made;
    ration_limits limits = usual();
    add_group(&limits, "high", 0, 9, 0);
    set_stage_with(&made, &limits);
    actor *high = enter_group(&made, "high"), *low = enter_query(&made, 0),
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
START_TEST(test_admission__claim_survives_a_cut)
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
        test_admission__others_give,
        test_admission__rests_when_it_needs_an_end,
        test_admission__is_not_starved,
        test_admission__victim,
        test_admission__claim_protects,
        test_admission__within_its_share_is_no_victim,
        test_admission__lower_priority_gives_first,
        test_admission__claim_survives_a_cut,
        test_admission__sleeps_until_its_turn,
        test_admission__calls_when_it_is_its_turn,
    };
    Suite *suite = suite_create("executor/admission");
    TCase *all = tcase_create("admission");
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_test(all, tests[i]);
    }
    suite_add_tcase(suite, all);
    return run_suite(suite);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * For whom a cut of the limit is no refusal, and for how long; claims for what may come. */
#include "tests/executor/monitor_world.h"

/* What the machine has not now, and may have. */
START_TEST(test_monitor_cut__a_claim_waits_for_what_may_come)
{
    machine made;
    set_machine(&made);
    made.limits.query_wait_ms_max = 1; /* no grace */
    open_on(&made);
    look(&made);
    holder a = enter(&made), b = enter(&made);
    ck_assert_int_eq(limit_of(&made), 8 * GIB);
    ck_assert_int_eq(rn_monitor_attainable(made.governor), TOTAL * 8 / 10);
    ck_assert_int_eq(claim(&a, 10 * GIB), RATION_WAIT);
    ck_assert_int_eq(claim(&b, 13 * GIB), RATION_REFUSED);
    ck_assert_int_eq(ration_query_status(b.query), RATION_MINIMUM_ABOVE_LIMIT);
    look(&made);
    ck_assert_int_eq(claim(&a, 10 * GIB), RATION_WAIT);
    made.available = 15 * GIB;
    look(&made);
    ck_assert(is_woken(&a));
    ck_assert_int_eq(claim(&a, 10 * GIB), RATION_GRANTED);
    ration_query_close(a.query);
    ration_query_close(b.query);
    clear_machine(&made);
}
END_TEST

/* Its own limit and its group's are for good. */
START_TEST(test_monitor_cut__own_limits_are_for_good)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    ration_query_options options = {.size = sizeof options, .limit_bytes = 10 * MIB};
    ration_slot *slot;
    ration_query *query = open_query(made.governor, &options, &slot);
    ck_assert_int_eq(ration_query_try_claim(query, 11 * MIB, "plan").status,
                     RATION_MINIMUM_ABOVE_LIMIT);
    ration_query_close(query);
    clear_machine(&made);
}
END_TEST

/* A group's limit is cut between what is used and what that is a share of. */
static void set_cut(machine *made)
{
    set_machine(made);
    made->group_limit = GIB;
    write_machine(made);
    open_on(made);
    look(made);
}

static void cut(machine *made)
{
    made->group_used = 600 * MIB;
    made->group_limit = 700 * MIB;
    look(made);
    ck_assert_int_eq(limit_of(made), 560 * MIB);
}

START_TEST(test_monitor_cut__who_can_spill_gives_after_a_cut)
{
    machine made;
    set_cut(&made);
    holder a = hold_spillable(&made, 600 * MIB, 600 * MIB), b = enter(&made);
    cut(&made);
    ck_assert(is_asked(&a));
    ck_assert_int_eq(ask(&b, 10 * MIB), RN_ASK_WAIT);
    give(&made, &a, 100 * MIB);
    ck_assert_int_eq(ask(&b, 10 * MIB), RN_ASK_GRANTED);
    ck_assert_int_eq(ration_query_status(a.query), RATION_OK);
    ration_query_close(a.query);
    ration_query_close(b.query);
    clear_machine(&made);
}
END_TEST

/* Who asks for what would have fitted rests, and nobody becomes a victim for it, .. */
START_TEST(test_monitor_cut__nobody_is_refused_for_a_cut)
{
    machine made;
    set_cut(&made);
    holder a = hold_spillable(&made, 590 * MIB, 0), b = hold_spillable(&made, 10 * MIB, 0);
    cut(&made);
    ck_assert_int_eq(ask(&b, 50 * MIB), RN_ASK_WAIT);
    ck_assert_int_eq(rn_ticket_read(rn_slot_of(b.slot)), RN_TICKET_RESTING);
    ck_assert_int_eq(ask(&a, 50 * MIB), RN_ASK_WAIT);
    ck_assert_int_eq(ration_query_status(a.query), RATION_OK);
    look(&made);
    ck_assert_int_ne(rn_ticket_read(rn_slot_of(b.slot)), RN_TICKET_RESTING); /* woken to look */
    ck_assert_int_eq(ask(&b, 50 * MIB), RN_ASK_WAIT);
    ck_assert_int_eq(ask(&b, 500 * MIB), RN_ASK_REFUSED); /* would not have fitted */
    ck_assert_int_eq(ask(&b, 50 * MIB), RN_ASK_WAIT);
    made.group_limit = GIB;
    look(&made);
    ck_assert_int_ne(rn_ticket_read(rn_slot_of(b.slot)), RN_TICKET_RESTING);
    ck_assert_int_eq(ask(&b, 50 * MIB), RN_ASK_GRANTED);
    ck_assert_int_eq(ask(&a, 50 * MIB), RN_ASK_GRANTED);
    ration_query_close(a.query);
    ration_query_close(b.query);
    clear_machine(&made);
}
END_TEST

/* .. for as long as a query waits; then it is as with any limit. */
START_TEST(test_monitor_cut__a_cut_is_for_good_after_a_while)
{
    machine made;
    set_cut(&made);
    holder a = hold_spillable(&made, 590 * MIB, 0), b = hold_spillable(&made, 10 * MIB, 0);
    cut(&made);
    for (int i = 0; i < 101; i++) {
        look(&made);
    }
    ck_assert_int_eq(rn_monitor_expected(made.governor), 560 * MIB);
    ck_assert_int_eq(ask(&a, 50 * MIB), RN_ASK_REFUSED);
    ck_assert_int_eq(ask(&b, 50 * MIB), RN_ASK_WAIT);
    ck_assert_int_eq(ration_query_status(a.query), RATION_VICTIM);
    ration_query_close(a.query);
    ration_query_close(b.query);
    clear_machine(&made);
}
END_TEST

static void count(void *argument)
{
    *(int *)argument += 1;
}

/* Hosts that do not sleep go by the call alone, also when the while is over. */
START_TEST(test_monitor_cut__who_rests_is_called_when_it_ends)
{
    machine made;
    set_cut(&made);
    holder a = hold_spillable(&made, 590 * MIB, 0), b = hold_spillable(&made, 10 * MIB, 0);
    int calls = 0;
    ration_slot_on_wake(b.slot, count, &calls);
    cut(&made);
    ration_reply reply = ration_slot_settle(b.slot, 50 * MIB, "site");
    for (int i = 0; i < 110; i++) {
        int before = calls;
        ck_assert_int_eq(reply.answer, RATION_WAIT);
        look(&made);
        if (calls != before) {
            reply = ration_slot_settle(b.slot, 50 * MIB, "site");
        }
    }
    ck_assert_int_eq(ration_query_status(a.query), RATION_VICTIM); /* it has been decided */
    ration_query_close(a.query);
    ration_query_close(b.query);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor_cut__who_rests_is_called_for_other_limits)
{
    machine made;
    set_cut(&made);
    holder a = hold_spillable(&made, 600 * MIB, 0);
    int calls = 0;
    ration_slot_on_wake(a.slot, count, &calls);
    cut(&made);
    ck_assert_int_eq(ration_slot_settle(a.slot, 50 * MIB, "site").answer, RATION_WAIT);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 601 * MIB), RATION_OK);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(ration_slot_settle(a.slot, 50 * MIB, "site").answer, RATION_REFUSED);
    ration_query_close(a.query);
    clear_machine(&made);
}
END_TEST

/* One that sleeps for it is told when its time is over, and what it asked for. */
START_TEST(test_monitor_cut__resting_has_an_end)
{
    machine made;
    set_machine(&made);
    made.group_limit = GIB;
    made.limits.query_wait_ms_max = 20;
    write_machine(&made);
    open_on(&made);
    holder a = hold_spillable(&made, 600 * MIB, 0);
    rn_slot_of(a.slot)->patient = true;
    cut(&made);
    ck_assert_int_eq(ration_slot_obtain(a.slot, 50 * MIB, "site"), RATION_QUEUE_TIMEOUT);
    ration_refusal refusal;
    ck_assert(ration_query_refusal(a.query, &refusal));
    ck_assert_int_eq(refusal.status, RATION_QUEUE_TIMEOUT);
    ck_assert_int_eq(refusal.asked_bytes, 50 * MIB);
    ck_assert_str_eq(refusal.pool, "root");
    ck_assert_str_eq(refusal.key, "limit_ratio");
    ration_query_close(a.query);
    clear_machine(&made);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_monitor_cut__a_claim_waits_for_what_may_come,
                                  test_monitor_cut__own_limits_are_for_good,
                                  test_monitor_cut__who_can_spill_gives_after_a_cut,
                                  test_monitor_cut__nobody_is_refused_for_a_cut,
                                  test_monitor_cut__a_cut_is_for_good_after_a_while,
                                  test_monitor_cut__who_rests_is_called_when_it_ends,
                                  test_monitor_cut__who_rests_is_called_for_other_limits,
                                  test_monitor_cut__resting_has_an_end};
    return support_run("monitor_cut", tests, RN_COUNT(tests));
}

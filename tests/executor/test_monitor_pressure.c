/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done when the host is short of memory, and for whom a cut of the limit is no refusal.
 * The levels themselves: test_pressure.c. */
#include "executor/ask.h"
#include "storage/spill_file.h"
#include "tests/executor/monitor_world.h"

/* Holds `bytes` that are resident, and could write `spillable` of them. */
static holder hold_spillable(machine *made, int64_t bytes, int64_t spillable)
{
    holder self;
    hold(made, &self, bytes);
    rn_ask_can_spill(rn_slot_of(self.slot), spillable);
    return self;
}

/* Writes `bytes` out, and says so. */
static void give(machine *made, const holder *self, int64_t bytes)
{
    ration_slot_release(self->slot, bytes);
    rn_ask_can_spill(rn_slot_of(self->slot), rn_load(&self->query->spillable_bytes) - bytes);
    rn_ask_gave(self->query);
    made->available += bytes;
    made->resident -= bytes;
}

static rn_answer ask(const holder *self, int64_t bytes)
{
    return rn_ask(rn_slot_of(self->slot), bytes, "site").answer;
}

static bool is_asked(const holder *self)
{
    return rn_ask_wants(self->query) != 0;
}

static ration_pressure level(const machine *made)
{
    return ration_governor_pressure(made->governor);
}

/* So that headroom is so many hundredths of what there is. */
static void leave(machine *made, int64_t hundredths)
{
    made->available = made->resident / (100 - hundredths) * hundredths;
}

/* -------------------------------------------------------------------------------------- actions */

START_TEST(test_monitor_pressure__levels_and_time)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 9 * GIB), RATION_OK);
    holder a = hold_spillable(&made, 6 * GIB, 0);
    look(&made);
    ck_assert_int_eq(level(&made), RATION_PRESSURE_NORMAL);
    leave(&made, 9); /* elevated below 10% of it, critical below 5% */
    look(&made);
    ck_assert_int_eq(level(&made), RATION_PRESSURE_ELEVATED);
    leave(&made, 4);
    look(&made);
    ck_assert_int_eq(level(&made), RATION_PRESSURE_CRITICAL);
    leave(&made, 30);
    for (int i = 0; i < 4; i++) {
        look(&made);
        ck_assert_int_eq(level(&made), RATION_PRESSURE_CRITICAL);
    }
    look(&made);
    ration_governor_figures figures = read_figures(&made);
    ck_assert_int_eq(figures.pressure, RATION_PRESSURE_NORMAL);
    ck_assert_int_eq(figures.elevated_ms, 600);
    ck_assert_int_eq(figures.critical_ms, 500);
    ration_query_close(a.query);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor_pressure__guards_settle_more_often)
{
    support_skip_hard("settles every row");
    machine made;
    set_machine(&made);
    made.limits.check_interval = 1600;
    made.limits.check_bytes = MIB;
    open_on(&made);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 9 * GIB), RATION_OK);
    holder a = hold_spillable(&made, 6 * GIB, 0);
    const struct {
        int64_t hundredths, rows;
    } steps[] = {{40, 1600}, {9, 400}, {4, 100}};
    for (size_t i = 0; i < RN_COUNT(steps); i++) {
        leave(&made, steps[i].hundredths);
        look(&made);
        ration_guard guard;
        ration_guard_begin(&guard, a.slot, "rows");
        ck_assert_int_eq(guard.rows_interval, steps[i].rows);
        ck_assert_int_eq(ration_guard_settle(&guard), RATION_OK);
        ck_assert_int_eq(guard.rows_interval, steps[i].rows);
        ck_assert_int_eq(guard.bytes_interval, MIB / 1600 * steps[i].rows + (i == 0 ? 576 : 0) +
                                                   (i == 1 ? 144 : 0) + (i == 2 ? 36 : 0));
        ration_guard_end(&guard);
    }
    ration_query_close(a.query);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor_pressure__takes_credit_and_pages_home)
{
    machine made;
    set_machine(&made);
    made.limits.retain_ms = 1000000;
    open_on(&made);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 9 * GIB), RATION_OK);
    holder a = hold_spillable(&made, 6 * GIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(made.governor, NULL, &slot);
    ration_context *context;
    ck_assert_int_eq(ration_context_create(NULL, slot, RATION_CONTEXT_BUMP, "rows", &context),
                     RATION_OK);
    while (ration_context_bytes(context, false) < 4 * MIB) {
        ck_assert_ptr_nonnull(ration_context_allocate(context, 10000));
    }
    ration_context_delete(context);
    ration_query_close(query);
    ck_assert_int_eq(ration_slot_try_charge(a.slot, 1), RATION_OK);
    look(&made);
    ration_pool_figures root;
    ration_pool_read(ration_governor_root(made.governor), &root);
    ck_assert(!RN_GOVERNED || root.retained_bytes >= 4 * MIB);
    leave(&made, 9);
    look(&made);
    ration_pool_read(ration_governor_root(made.governor), &root);
    ck_assert_int_eq(root.retained_bytes, 0);
    ck_assert_int_eq(root.credit_bytes, 0);
    ck_assert_int_eq(rn_blocks_mapped(made.governor->blocks), 0);
    ck_assert(!is_asked(&a));
    ration_query_close(a.query);
    clear_machine(&made);
}
END_TEST

/* Whoever is above his share of what would be left. */
START_TEST(test_monitor_pressure__asks_to_give_when_it_is_critical)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 9 * GIB), RATION_OK);
    holder a = hold_spillable(&made, 6 * GIB, 6 * GIB),
           b = hold_spillable(&made, 10 * MIB, 10 * MIB);
    leave(&made, 9);
    look(&made);
    ck_assert(!is_asked(&a) && !is_asked(&b));
    leave(&made, 4);
    look(&made);
    ck_assert(is_asked(&a));
    ck_assert(!is_asked(&b));
    /* So much that it is normal again: 12.5% of what there is. */
    int64_t there = made.available + made.resident;
    int64_t lacking = there / 8 - made.available;
    ck_assert_int_ge(rn_ask_wants(a.query), lacking - GIB);
    give(&made, &a, rn_ask_wants(a.query) + GIB);
    for (int i = 0; i < 5; i++) {
        look(&made);
    }
    ck_assert_int_eq(level(&made), RATION_PRESSURE_NORMAL);
    ration_query_close(a.query);
    ration_query_close(b.query);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor_pressure__stalls_without_a_kernel_that_counts_them)
{
    machine made;
    set_machine(&made);
    made.stalled_us = -1;
    remove_file(&made, "proc/pressure/memory");
    open_on(&made);
    look(&made);
    ck_assert_int_eq(read_figures(&made).stalled_ppm, -1);
    ck_assert_int_eq(level(&made), RATION_PRESSURE_NORMAL);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor_pressure__goes_by_stalls)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    look(&made);
    for (int i = 0; i < 3; i++) {
        made.stalled_us += 25000;
        look(&made);
    }
    ck_assert_int_eq(read_figures(&made).stalled_ppm, 250000);
    ck_assert_int_eq(level(&made), RATION_PRESSURE_ELEVATED);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor_pressure__the_descriptor_stays_one)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    int descriptor = ration_governor_pressure_descriptor(made.governor);
    ck_assert_int_eq(ration_governor_pressure_descriptor(made.governor), descriptor);
    ck_assert(descriptor == -1 || fcntl(descriptor, F_GETFD) >= 0);
    ration_governor_close(made.governor);
    made.governor = NULL;
    ck_assert(descriptor == -1 || fcntl(descriptor, F_GETFD) < 0);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor_pressure__writes_behind_where_a_group_binds)
{
    machine made;
    set_machine(&made);
    made.group_limit = GIB;
    write_machine(&made);
    open_on(&made);
    ck_assert_int_eq(made.governor->volume->write_behind, 1);
    made.group_limit = 15 * GIB; /* the machine has less */
    look(&made);
    ck_assert_int_eq(made.governor->volume->write_behind, 0);
    clear_machine(&made);
}
END_TEST

/* ------------------------------------------------------------------------------------ admission */

static ration_answer claim(const holder *self, int64_t bytes)
{
    return ration_query_try_claim(self->query, bytes, "plan").answer;
}

static holder enter(machine *made)
{
    holder self = {.bytes = 0};
    self.query = open_query(made->governor, NULL, &self.slot);
    return self;
}

static bool is_woken(const holder *self)
{
    rn_ticket_state state = rn_ticket_read(self->query->entry);
    return state != RN_TICKET_RESTING && state != RN_TICKET_WAITING;
}

START_TEST(test_monitor_pressure__new_claims_wait_while_it_is_critical)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 9 * GIB), RATION_OK);
    holder a = hold_spillable(&made, 6 * GIB, 0), b = enter(&made), c = enter(&made);
    ck_assert_int_eq(claim(&a, 7 * GIB), RATION_GRANTED);
    leave(&made, 4);
    look(&made);
    ck_assert_int_eq(claim(&b, MIB), RATION_WAIT);
    ck_assert_int_eq(claim(&c, MIB), RATION_WAIT);
    ck_assert_int_eq(claim(&a, 7 * GIB + MIB), RATION_GRANTED); /* who runs goes on */
    leave(&made, 40);
    for (int i = 0; i < 5; i++) {
        ck_assert(!is_woken(&b));
        look(&made);
    }
    ck_assert(is_woken(&b));
    ck_assert_int_eq(claim(&b, MIB), RATION_GRANTED);
    ck_assert_int_eq(claim(&c, MIB), RATION_GRANTED);
    ration_query_close(a.query);
    ration_query_close(b.query);
    ration_query_close(c.query);
    clear_machine(&made);
}
END_TEST

/* Pressure may come from elsewhere and never end: one after the other, then. */
START_TEST(test_monitor_pressure__one_is_let_in_when_nobody_runs)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 9 * GIB), RATION_OK);
    holder graph = hold_spillable(&made, 6 * GIB, 0); /* has claimed nothing */
    leave(&made, 4);
    look(&made);
    holder a = enter(&made), b = enter(&made), c = enter(&made);
    ck_assert_int_eq(claim(&a, MIB), RATION_GRANTED);
    ck_assert_int_eq(claim(&b, MIB), RATION_WAIT);
    ck_assert_int_eq(claim(&c, MIB), RATION_WAIT);
    ration_query_close(a.query);
    ck_assert(is_woken(&b));
    ck_assert_int_eq(claim(&b, MIB), RATION_GRANTED);
    ck_assert_int_eq(claim(&c, MIB), RATION_WAIT);
    ration_query_close(b.query);
    ck_assert(is_woken(&c));
    ck_assert_int_eq(claim(&c, MIB), RATION_GRANTED);
    ration_query_close(c.query);
    ration_query_close(graph.query);
    clear_machine(&made);
}
END_TEST

/* Nobody would end it. */
START_TEST(test_monitor_pressure__a_pause_ends_when_nobody_looks)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 9 * GIB), RATION_OK);
    holder a = hold_spillable(&made, 6 * GIB, 0), b = enter(&made);
    ck_assert_int_eq(claim(&a, 7 * GIB), RATION_GRANTED);
    leave(&made, 4);
    look(&made);
    ck_assert_int_eq(claim(&b, MIB), RATION_WAIT);
    machine_now += 999999999;
    ck_assert_int_eq(claim(&b, MIB), RATION_WAIT);
    machine_now += 1;
    ck_assert_int_eq(claim(&b, MIB), RATION_GRANTED);
    ration_query_close(a.query);
    ration_query_close(b.query);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor_pressure__says_why_it_has_waited_too_long)
{
    machine made;
    set_machine(&made);
    made.limits.admission_wait_ms_max = 1;
    made.limits.admission_queue_max = 1;
    open_on(&made);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 9 * GIB), RATION_OK);
    holder a = hold_spillable(&made, 6 * GIB, 0), b = enter(&made), c = enter(&made);
    ck_assert_int_eq(claim(&a, 7 * GIB), RATION_GRANTED);
    leave(&made, 4);
    look(&made);
    ck_assert_int_eq(claim(&b, MIB), RATION_WAIT);
    ck_assert_int_eq(claim(&c, MIB), RATION_REFUSED);
    ck_assert_int_eq(ration_query_status(c.query), RATION_QUEUE_FULL);
    ck_assert_int_eq(ration_query_claim(b.query, MIB, "plan"), RATION_HOST_PRESSURE);
    ration_error error;
    ck_assert(rn_query_error(b.query, &error));
    ck_assert_int_eq(error.status, RATION_HOST_PRESSURE);
    ck_assert_ptr_nonnull(strstr(error.message, "the host is short of memory: MemAvailable"));
    ck_assert_ptr_nonnull(strstr(error.hint, "admission_wait_ms_max"));
    ck_assert(rn_query_error(c.query, &error));
    ck_assert_ptr_nonnull(strstr(error.message, "MemAvailable"));
    ration_query_close(a.query);
    ration_query_close(b.query);
    ration_query_close(c.query);
    clear_machine(&made);
}
END_TEST

/* ----------------------------------------------------------------------------------------- cuts */

/* What the machine has not now, and may have. */
START_TEST(test_monitor_pressure__a_claim_waits_for_what_may_come)
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
START_TEST(test_monitor_pressure__own_limits_are_for_good)
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

START_TEST(test_monitor_pressure__who_can_spill_gives_after_a_cut)
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
START_TEST(test_monitor_pressure__nobody_is_refused_for_a_cut)
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
START_TEST(test_monitor_pressure__a_cut_is_for_good_after_a_while)
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
START_TEST(test_monitor_pressure__who_rests_is_called_when_it_ends)
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

START_TEST(test_monitor_pressure__who_rests_is_called_for_other_limits)
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
START_TEST(test_monitor_pressure__resting_has_an_end)
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
    const TTest *const tests[] = {test_monitor_pressure__levels_and_time,
                                  test_monitor_pressure__guards_settle_more_often,
                                  test_monitor_pressure__takes_credit_and_pages_home,
                                  test_monitor_pressure__asks_to_give_when_it_is_critical,
                                  test_monitor_pressure__stalls_without_a_kernel_that_counts_them,
                                  test_monitor_pressure__goes_by_stalls,
                                  test_monitor_pressure__the_descriptor_stays_one,
                                  test_monitor_pressure__writes_behind_where_a_group_binds,
                                  test_monitor_pressure__new_claims_wait_while_it_is_critical,
                                  test_monitor_pressure__one_is_let_in_when_nobody_runs,
                                  test_monitor_pressure__a_pause_ends_when_nobody_looks,
                                  test_monitor_pressure__says_why_it_has_waited_too_long,
                                  test_monitor_pressure__a_claim_waits_for_what_may_come,
                                  test_monitor_pressure__own_limits_are_for_good,
                                  test_monitor_pressure__who_can_spill_gives_after_a_cut,
                                  test_monitor_pressure__nobody_is_refused_for_a_cut,
                                  test_monitor_pressure__a_cut_is_for_good_after_a_while,
                                  test_monitor_pressure__who_rests_is_called_when_it_ends,
                                  test_monitor_pressure__who_rests_is_called_for_other_limits,
                                  test_monitor_pressure__resting_has_an_end};
    return support_run("monitor_pressure", tests, RN_COUNT(tests));
}

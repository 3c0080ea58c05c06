/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done when the host is short of memory. The levels themselves: test_pressure.c. */
#include "storage/spill_file.h"
#include "tests/executor/monitor_world.h"

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

static int64_t can_write(void *state)
{
    return *(int64_t *)state;
}

static ration_status write_nothing(void *state, int64_t bytes)
{
    (void)state, (void)bytes;
    return RATION_OK;
}

/* Nor does a cursor that is left alone. */
START_TEST(test_monitor_pressure__a_cursor_does_not_stop_others)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 9 * GIB), RATION_OK);
    holder a = hold_spillable(&made, 6 * GIB, 0), b = enter(&made), c = enter(&made);
    int64_t bytes = 1;
    const ration_spiller spiller = {
        .state = &bytes, .spillable = can_write, .spill = write_nothing};
    ration_slot_register_spill(a.slot, &spiller);
    ck_assert_int_eq(claim(&a, 7 * GIB), RATION_GRANTED);
    leave(&made, 4);
    look(&made);
    ck_assert_int_eq(claim(&b, MIB), RATION_WAIT);
    ration_slot_leave(a.slot);
    ck_assert_int_eq(claim(&b, MIB), RATION_GRANTED);
    ck_assert_int_eq(claim(&c, MIB), RATION_WAIT); /* b is at work */
    ration_slot_leave(b.slot);                     /* which has no spiller */
    ck_assert_int_eq(claim(&c, MIB), RATION_GRANTED);
    ration_slot_enter(a.slot);
    ration_slot_enter(b.slot);
    ration_query_close(a.query);
    ration_query_close(b.query);
    ration_query_close(c.query);
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
                                  test_monitor_pressure__a_cursor_does_not_stop_others,
                                  test_monitor_pressure__says_why_it_has_waited_too_long};
    return support_run("monitor_pressure", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The limit follows the machine: down, up, both bounds, by hand, beside others, and what drifts.
 * When something cannot be read: test_monitor_blind.c. Pressure and what it does:
 * test_monitor_pressure.c. Worlds: monitor_world.h. */
#include "tests/executor/monitor_world.h"

/* ------------------------------------------------------------------------------------- opening */

START_TEST(test_monitor__derives_a_share_of_what_is_free)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    ration_governor_figures figures = read_figures(&made);
    ck_assert_int_eq(limit_of(&made), 8 * GIB);
    ck_assert_int_eq(figures.limit_bytes, 8 * GIB);
    ck_assert_int_eq(figures.share_bytes, 8 * GIB);
    ck_assert_int_eq(figures.processes, 1);
    ck_assert(figures.following);
    look(&made);
    figures = read_figures(&made);
    ck_assert_int_eq(figures.available_bytes, 10 * GIB);
    ck_assert_str_eq(figures.binding, "MemAvailable");
    ck_assert_str_eq(figures.note, "");
    clear_machine(&made);
}
END_TEST

/* What queries hold of it stays theirs: not 44% of it in the end. */
START_TEST(test_monitor__counts_what_its_queries_hold)
{
    machine made;
    holder a;
    set_machine(&made);
    open_on(&made);
    hold(&made, &a, 6 * GIB);
    for (int i = 0; i < 12; i++) {
        look(&made);
        ck_assert_int_eq(limit_of(&made), 8 * GIB);
    }
    let_go(&made, &a);
    look(&made);
    ck_assert_int_eq(limit_of(&made), 8 * GIB);
    clear_machine(&made);
}
END_TEST

/* Granted, and not in memory yet: the headroom has it still. */
START_TEST(test_monitor__does_not_count_twice_what_is_not_resident)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    ration_slot *slot;
    ration_query *query = open_query(made.governor, NULL, &slot);
    ck_assert_int_eq(ration_slot_try_charge(slot, 6 * GIB), RATION_OK);
    for (int i = 0; i < 12; i++) {
        look(&made);
        ck_assert_int_eq(limit_of(&made), 8 * GIB);
    }
    ration_query_close(query);
    clear_machine(&made);
}
END_TEST

/* A claim is granted and untouched; what the host takes for itself meanwhile is none of it. */
START_TEST(test_monitor__does_not_take_memory_of_the_host_for_its_own)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    ration_slot *slot;
    ration_query *query = open_query(made.governor, NULL, &slot);
    ck_assert_int_eq(ration_query_claim(query, 6 * GIB, "plan"), RATION_OK);
    made.resident += 5 * GIB;
    made.available -= 5 * GIB;
    look(&made);
    ck_assert_int_eq(limit_of(&made), 4 * GIB);
    ration_query_close(query);
    clear_machine(&made);
}
END_TEST

/* One that does not follow would stay with nothing. */
START_TEST(test_monitor__does_not_open_without_room_that_will_not_come)
{
    machine made, beside;
    ration_error error;
    holder a;
    set_machine(&made);
    open_on(&made);
    hold(&made, &a, 8 * GIB);
    beside = made;
    beside.limits.enable_system_monitor = false;
    write_machine(&beside);
    ck_assert_int_eq(try_open_on(&beside, &error), RATION_ENVIRONMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "others (1) leave"));
    beside.limits.enable_system_monitor = true; /* one that does has time */
    open_on(&beside);
    ck_assert_int_lt(limit_of(&beside), GIB);
    ration_governor_close(beside.governor);
    let_go(&made, &a);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor__needs_more_than_the_floor_to_open)
{
    machine made;
    ration_error error;
    set_machine(&made);
    made.available = 19 * MIB; /* x 0.8 = 15.2 */
    write_machine(&made);
    ck_assert_int_eq(try_open_on(&made, &error), RATION_ENVIRONMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "MemAvailable"));
    made.limits.limit_floor_bytes = 15 * MIB;
    open_on(&made);
    clear_machine(&made);
}
END_TEST

/* Nothing is opened, read or written. */
START_TEST(test_monitor__off_with_a_given_limit_looks_at_nothing)
{
    machine made;
    set_machine(&made);
    made.no_meminfo = true;
    write_machine(&made);
    made.limits.enable_system_monitor = false;
    made.limits.limit_bytes = 3 * GIB;
    open_on(&made);
    ck_assert_ptr_null(made.governor->monitor->eyes);
    machine_now += INT64_C(10000000000);
    ration_governor_tick(made.governor);
    ration_governor_figures figures = read_figures(&made);
    ck_assert_int_eq(figures.looks, 0);
    ck_assert_int_eq(figures.limit_bytes, 3 * GIB);
    ck_assert_int_eq(figures.share_bytes, 3 * GIB);
    ck_assert(!figures.following);
    ck_assert_int_eq(ration_governor_pressure_descriptor(made.governor), -1);
    ck_assert_int_eq(rmdir(made.registry), 0); /* empty */
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor__off_and_derived_looks_once)
{
    machine made;
    set_machine(&made);
    made.limits.enable_system_monitor = false;
    open_on(&made);
    ck_assert_int_eq(limit_of(&made), 8 * GIB);
    made.available = GIB;
    write_machine(&made);
    machine_now += INT64_C(10000000000);
    ration_governor_tick(made.governor);
    ck_assert_int_eq(limit_of(&made), 8 * GIB);
    ck_assert(!read_figures(&made).following);
    clear_machine(&made);
}
END_TEST

/* ------------------------------------------------------------------------------------ following */

START_TEST(test_monitor__falls_at_once_and_rises_with_care)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    made.available = 5 * GIB;
    look(&made);
    ck_assert_int_eq(limit_of(&made), 4 * GIB);
    made.available -= MIB; /* also a little */
    look(&made);
    int64_t low = limit_of(&made);
    ck_assert_int_lt(low, 4 * GIB);
    made.available += 50 * MIB; /* less than a 64th */
    for (int i = 0; i < 9; i++) {
        look(&made);
        ck_assert_int_eq(limit_of(&made), low);
    }
    look(&made); /* the tenth */
    ck_assert_int_gt(limit_of(&made), low);
    made.available = 10 * GIB;
    look(&made);
    ck_assert_int_eq(limit_of(&made), 8 * GIB);
    ck_assert_int_eq(read_figures(&made).changes, 4);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor__keeps_floor_and_ceiling)
{
    machine made;
    set_machine(&made);
    made.limits.limit_floor_bytes = GIB;
    made.limits.limit_ceiling_bytes = 2 * GIB;
    open_on(&made);
    ck_assert_int_eq(limit_of(&made), 2 * GIB);
    made.available = 100 * MIB;
    look(&made);
    ck_assert_int_eq(limit_of(&made), GIB);
    made.available = 10 * GIB;
    look(&made);
    ck_assert_int_eq(limit_of(&made), 2 * GIB);
    clear_machine(&made);
}
END_TEST

/* A given limit is lowered when the machine has less, and no more than back. */
START_TEST(test_monitor__only_lowers_a_given_limit)
{
    machine made;
    set_machine(&made);
    made.limits.limit_bytes = 3 * GIB;
    open_on(&made);
    ck_assert_int_eq(limit_of(&made), 3 * GIB);
    ck_assert_int_eq(made.governor->limit_derived, 0);
    made.available = 2 * GIB;
    look(&made);
    ck_assert_int_eq(limit_of(&made), eight_tenths(2 * GIB));
    ck_assert_int_eq(made.governor->limit_derived, 1); /* a refusal names limit_ratio */
    made.available = 10 * GIB;
    look(&made);
    ck_assert_int_eq(limit_of(&made), 3 * GIB);
    ck_assert_int_eq(made.governor->limit_derived, 0);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor__looks_when_it_is_time)
{
    machine made;
    set_machine(&made);
    made.limits.monitor_interval_ms = 1000;
    open_on(&made);
    look(&made);
    for (int i = 0; i < 8; i++) {
        machine_now += 100000000;
        ration_governor_tick(made.governor);
        ck_assert_int_eq(read_figures(&made).looks, 1);
    }
    machine_now += 100000000; /* 900 ms: the tenth is for hosts that come a little early */
    ration_governor_tick(made.governor);
    ck_assert_int_eq(read_figures(&made).looks, 2);
    clear_machine(&made);
}
END_TEST

/* The kernel has said that tasks wait. */
START_TEST(test_monitor__looks_sooner_when_it_is_hastened)
{
    machine made;
    set_machine(&made);
    made.limits.monitor_interval_ms = 10000;
    open_on(&made);
    look(&made);
    machine_now += 9999999;
    ration_governor_hasten(made.governor);
    ration_governor_tick(made.governor);
    ck_assert_int_eq(read_figures(&made).looks, 1); /* every 10 ms at most */
    machine_now += 1;
    ration_governor_tick(made.governor);
    ck_assert_int_eq(read_figures(&made).looks, 2);
    machine_now += 1000000000;
    ration_governor_tick(made.governor);
    ck_assert_int_eq(read_figures(&made).looks, 2);
    clear_machine(&made);
    set_machine(&made);
    made.limits.enable_system_monitor = false;
    open_on(&made);
    ration_governor_hasten(made.governor);
    ration_governor_tick(made.governor);
    ck_assert_int_eq(read_figures(&made).looks, 0);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor__a_limit_set_by_hand_stays)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 5 * GIB), RATION_OK);
    ck_assert_int_eq(rn_monitor_expected(made.governor), 5 * GIB); /* also before the next look */
    ck_assert_int_eq(rn_monitor_attainable(made.governor), 5 * GIB);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 9 * GIB), RATION_OK);
    ck_assert(!read_figures(&made).following);
    made.available = GIB;
    look(&made);
    ck_assert_int_eq(limit_of(&made), 9 * GIB);
    ck_assert_int_eq(rn_monitor_attainable(made.governor), 9 * GIB);
    ration_error error;
    support_ok(rn_monitor_relimit(made.governor, &made.limits, &error), &error);
    ck_assert(read_figures(&made).following);
    ck_assert_int_eq(limit_of(&made), eight_tenths(GIB));
    made.available = MIB; /* too little to open with */
    write_machine(&made);
    support_ok(rn_monitor_relimit(made.governor, &made.limits, &error), &error);
    clear_machine(&made);
}
END_TEST

/* --------------------------------------------------------------------------------------- others */

/* An idle governor leaves its part to a busy one, and gets it back when it is pressed. */
START_TEST(test_monitor__divides_by_demand)
{
    machine made, beside;
    set_machine(&made);
    open_on(&made);
    beside = made;
    open_on(&beside);              /* in the same process, over the same folder */
    for (int i = 0; i < 40; i++) { /* both as if pressed at first */
        write_machine(&made);
        machine_now += 100000000;
        ration_governor_tick(made.governor);
        ration_governor_tick(beside.governor);
        ck_assert_int_le(limit_of(&made) + limit_of(&beside), 8 * GIB);
    }
    ck_assert_int_eq(read_figures(&made).processes, 2);
    holder a;
    hold(&made, &a, 3 * GIB);
    beside.available = made.available;
    for (int i = 0; i < 30; i++) {
        write_machine(&made);
        machine_now += 100000000;
        ration_governor_tick(made.governor);
        ration_governor_tick(beside.governor);
        ck_assert_int_le(limit_of(&made) + limit_of(&beside), 8 * GIB);
    }
    /* One and a half of what it holds, and half of what is left then. */
    ck_assert_int_gt(limit_of(&made), 6 * GIB);
    ck_assert_int_lt(limit_of(&beside), 2 * GIB);
    let_go(&made, &a);
    ration_slot *slot;
    ration_query *query = open_query(beside.governor, NULL, &slot);
    ck_assert_int_eq(ration_slot_try_charge(slot, 6 * GIB), RATION_GLOBAL_LIMIT);
    for (int i = 0; i < 20; i++) {
        write_machine(&made);
        machine_now += 100000000;
        ration_governor_tick(made.governor);
        ration_governor_tick(beside.governor);
        int64_t asked = ration_slot_try_charge(slot, 6 * GIB);
        ck_assert(asked == RATION_OK || asked == RATION_GLOBAL_LIMIT);
        if (asked == RATION_OK) {
            break;
        }
    }
    ck_assert_int_ge(limit_of(&beside), 6 * GIB);
    ration_query_close(query);
    ck_assert_int_eq(charged(ration_governor_root(beside.governor)), 0);
    ration_governor_close(beside.governor);
    clear_machine(&made);
}
END_TEST

/* --------------------------------------------------------------------------------------- drift */

START_TEST(test_monitor__takes_drift_off_a_given_limit)
{
    machine made;
    set_machine(&made);
    made.limits.limit_bytes = 4 * GIB;
    made.limits.untracked_reserved_bytes = 100 * MIB;
    open_on(&made);
    look(&made);
    made.resident += 300 * MIB; /* of nobody's account */
    for (int i = 0; i < 4; i++) {
        look(&made);
        ck_assert_int_eq(limit_of(&made), 4 * GIB);
    }
    look(&made); /* the fifth */
    ck_assert_int_eq(read_figures(&made).drift_bytes, 300 * MIB);
    ck_assert_int_eq(read_figures(&made).corrected_bytes, 200 * MIB);
    ck_assert_int_eq(limit_of(&made), 4 * GIB - 200 * MIB);
    made.resident += 5 * GIB;
    for (int i = 0; i < 5; i++) {
        look(&made);
    }
    ck_assert_int_eq(read_figures(&made).corrected_bytes, GIB); /* a quarter at most */
    ck_assert_int_eq(limit_of(&made), 3 * GIB);
    made.resident = 20 * MIB;
    for (int i = 0; i < 5; i++) {
        look(&made);
    }
    ck_assert_int_eq(limit_of(&made), 4 * GIB);
    clear_machine(&made);
}
END_TEST

/* Also off another limit, from the first moment on. */
START_TEST(test_monitor__takes_a_quarter_of_new_limits_at_most)
{
    machine made;
    set_machine(&made);
    made.limits.limit_bytes = 6 * GIB;
    open_on(&made);
    look(&made);
    made.resident += GIB;
    for (int i = 0; i < 5; i++) {
        look(&made);
    }
    ck_assert_int_eq(limit_of(&made), 5 * GIB);
    made.limits.limit_bytes = 2 * GIB;
    ration_error error;
    support_ok(rn_monitor_relimit(made.governor, &made.limits, &error), &error);
    ck_assert_int_eq(limit_of(&made), 3 * GIB / 2);
    ck_assert_int_ge(rn_monitor_expected(made.governor), 6 * GIB); /* what it was a while ago */
    look(&made);
    ck_assert_int_eq(limit_of(&made), 3 * GIB / 2);
    clear_machine(&made);
}
END_TEST

/* The headroom lacks it already. */
START_TEST(test_monitor__takes_no_drift_off_a_part_of_what_is_free)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    made.resident += 2 * GIB;
    made.available -= 2 * GIB;
    for (int i = 0; i < 8; i++) {
        look(&made);
    }
    ck_assert_int_eq(read_figures(&made).drift_bytes, 2 * GIB);
    ck_assert_int_eq(read_figures(&made).corrected_bytes, 0);
    ck_assert_int_eq(limit_of(&made), eight_tenths(8 * GIB));
    clear_machine(&made);
}
END_TEST

/* --------------------------------------------------------------------------------------- faults */

START_TEST(test_monitor__open_under_faults)
{
    machine made;
    set_machine(&made);
    ration_status status = RATION_NO_MEMORY;
    int64_t n = 0;
    while (status != RATION_OK) {
        ration_error error;
        rn_heap_fail_after(++n, false);
        status = try_open_on(&made, &error);
        rn_heap_fail_after(0, false);
        ck_assert(status == RATION_OK || status == RATION_NO_MEMORY);
        ck_assert(status == RATION_OK || rn_heap_bytes() == 0);
    }
    ck_assert_int_gt(n, 5);
    clear_machine(&made);
}
END_TEST

/* Allocates nothing. */
START_TEST(test_monitor__looks_without_allocating)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    int64_t bytes = rn_heap_bytes();
    rn_heap_fail_after(1, true);
    for (int i = 0; i < 30; i++) {
        made.available = i % 2 == 0 ? 10 * GIB : 100 * MIB;
        look(&made);
    }
    rn_heap_fail_after(0, false);
    ck_assert_int_eq(rn_heap_bytes(), bytes);
    clear_machine(&made);
}
END_TEST

/* -------------------------------------------------------------------------------------- threads */

static int64_t ticking_ns;

static int64_t ticking_clock(void)
{
    return rn_fetch_add(&ticking_ns, 10000000);
}

static void *tick_often(void *argument)
{
    ration_governor *governor = argument;
    for (int i = 0; i < 300; i++) {
        ration_governor_figures figures;
        ration_governor_tick(governor);
        ration_governor_read(governor, &figures);
        (void)ration_governor_pressure(governor);
    }
    return NULL;
}

START_TEST(test_monitor__is_ticked_from_many_threads)
{
    machine made;
    set_machine(&made);
    const rn_monitor_place place = {.sysroot = made.folder, .clock = ticking_clock};
    ration_error error;
    support_ok(rn_governor_open_at(&made.limits, &place, &made.governor, &error), &error);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = start(tick_often, made.governor);
    }
    ration_slot *slot;
    ration_query *query = open_query(made.governor, NULL, &slot);
    for (int i = 0; i < 200; i++) {
        made.available = i % 3 == 0 ? 200 * MIB : 10 * GIB;
        write_machine(&made);
        if (ration_slot_try_charge(slot, MIB) == RATION_OK) {
            ration_slot_release(slot, MIB);
        }
        if (i % 50 == 0) {
            support_ok(rn_monitor_relimit(made.governor, &made.limits, &error), &error);
        }
    }
    for (int i = 0; i < 4; i++) {
        join(threads[i]);
    }
    ration_query_close(query);
    clear_machine(&made);
}
END_TEST

/* In the child of a fork the place in the registry is the parent's. */
START_TEST(test_monitor__a_child_does_not_follow)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    made.available = 5 * GIB;
    made.resident += GIB;
    write_machine(&made);
    machine_now += 100000000;
    pthread_mutex_lock(&made.governor->monitor->lock); /* as if by another thread */
    pid_t child = fork();
    if (child == 0) {
        ration_governor_tick(made.governor);
        bool same = limit_of(&made) == 8 * GIB && read_figures(&made).looks == 0;
        same &= rn_monitor_relimit(made.governor, &made.limits, NULL) == RATION_OK;
        same &= limit_of(&made) == 4 * GIB; /* once */
        /* What it has inherited is no memory of its own. */
        made.limits.limit_bytes = GIB;
        machine own = made;
        open_on(&own);
        look(&own);
        same &= read_figures(&own).resident_bytes == 0;
        ration_governor_close(own.governor);
        ration_governor_close(made.governor);
        _exit(same ? 0 : 1);
    }
    pthread_mutex_unlock(&made.governor->monitor->lock);
    int status = 1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    look(&made);
    ck_assert_int_eq(limit_of(&made), 4 * GIB);
    ck_assert_int_eq(read_figures(&made).resident_bytes, GIB);
    ck_assert_str_eq(read_figures(&made).note, ""); /* its place is still its own */
    clear_machine(&made);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_monitor__derives_a_share_of_what_is_free,
                                  test_monitor__counts_what_its_queries_hold,
                                  test_monitor__does_not_count_twice_what_is_not_resident,
                                  test_monitor__does_not_take_memory_of_the_host_for_its_own,
                                  test_monitor__does_not_open_without_room_that_will_not_come,
                                  test_monitor__takes_a_quarter_of_new_limits_at_most,
                                  test_monitor__needs_more_than_the_floor_to_open,
                                  test_monitor__off_with_a_given_limit_looks_at_nothing,
                                  test_monitor__off_and_derived_looks_once,
                                  test_monitor__falls_at_once_and_rises_with_care,
                                  test_monitor__keeps_floor_and_ceiling,
                                  test_monitor__only_lowers_a_given_limit,
                                  test_monitor__looks_when_it_is_time,
                                  test_monitor__looks_sooner_when_it_is_hastened,
                                  test_monitor__a_limit_set_by_hand_stays,
                                  test_monitor__divides_by_demand,
                                  test_monitor__takes_drift_off_a_given_limit,
                                  test_monitor__takes_no_drift_off_a_part_of_what_is_free,
                                  test_monitor__open_under_faults,
                                  test_monitor__looks_without_allocating,
                                  test_monitor__is_ticked_from_many_threads,
                                  test_monitor__a_child_does_not_follow};
    return support_run("monitor", tests, RN_COUNT(tests));
}

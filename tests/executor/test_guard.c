/* SPDX-License-Identifier: Apache-2.0
 *
 * Guards: what they hold and when they settle. Settles are counted, never timed: a
 * guard that has just settled has nothing behind it (rows_start == rows_left). */
#include "tests/executor/governor_world.h"

#define TIB (INT64_C(1) << 40)

static bool has_just_settled(const ration_guard *guard)
{
    return guard->rows_start == guard->rows_left;
}

/* Rows may be settled as far apart as the bytes allow. */
static ration_governor *open_wide_governor(int64_t limit_bytes, int64_t check_bytes)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = limit_bytes;
    limits.check_interval = 1000000;
    limits.check_bytes = check_bytes;
    return open_governor_with(&limits);
}

/* --------------------------------------------------------------------------------------- holding
 */

START_TEST(test_guard__holds_rows_and_gives_them_back)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    {
        RATION_GUARD(guard, slot, "test");
        for (int i = 0; i < 1000; i++) {
            ck_assert_int_eq(ration_guard_row(&guard, 100), RATION_OK);
        }
        ck_assert_int_eq(charged(ration_query_pool(query)), 100000);
        ration_guard_end(&guard);
        ration_guard_end(&guard);
        ck_assert_int_eq(charged(ration_query_pool(query)), 0);
        ck_assert_int_eq(ration_guard_row(&guard, 7), RATION_OK);
    }
    ck_assert_int_eq(charged(ration_query_pool(query)), 0);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_guard__stays_armed_after_a_refusal)
{
    ration_governor *governor = open_governor(64 * 1024, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ration_guard guard;
    ration_guard_begin(&guard, slot, "armed");
    ck_assert_int_eq(ration_guard_row(&guard, 60 * 1024), RATION_OK);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(ration_guard_row(&guard, 5 * 1024), RATION_GLOBAL_LIMIT);
        ck_assert_int_eq(guard.held_bytes, 60 * 1024);
    }
    ck_assert_int_eq(ration_guard_row(&guard, 4 * 1024), RATION_OK);
    ck_assert_int_eq(ration_guard_row(&guard, 1), RATION_GLOBAL_LIMIT);
    ration_guard_end(&guard);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* Three guards on two slots of a query, ended in each of the six orders. */
START_TEST(test_guard__nested_ones_end_in_any_order)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const int64_t widths[3] = {10, 300, 7000};
    ration_governor *governor = open_governor(64 * MIB, 0);
    for (size_t order = 0; order < RN_COUNT(orders); order++) {
        ration_slot *slots[2];
        ration_query *query = open_query(governor, NULL, &slots[0]);
        ck_assert_int_eq(ration_query_slot(query, &slots[1]), RATION_OK);
        ration_guard guards[3];
        int64_t held[3] = {0};
        for (int i = 0; i < 3; i++) {
            ration_guard_begin(&guards[i], slots[i % 2], "nested");
            for (int row = 0; row < 500; row++) { /* the outer ones go on while inner ones live */
                int at = row % (i + 1);
                ck_assert_int_eq(ration_guard_row(&guards[at], widths[at]), RATION_OK);
                held[at] += widths[at];
            }
        }
        int64_t left = held[0] + held[1] + held[2];
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(charged(ration_query_pool(query)), left);
            ration_guard *guard = &guards[orders[order][i]];
            ck_assert_int_eq(guard->held_bytes, held[orders[order][i]]);
            left -= guard->held_bytes;
            ration_guard_end(guard);
            ration_guard_end(guard);
        }
        ck_assert_int_eq(charged(ration_query_pool(query)), 0);
        ration_query_close(query);
    }
    close_and_check(governor);
}
END_TEST

START_TEST(test_guard__begun_again_before_it_ended_is_swept_at_close)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ration_guard guard;
    ration_guard_begin(&guard, slot, "again");
    ck_assert_int_eq(ration_guard_row(&guard, 5000), RATION_OK);
    ration_guard_begin(&guard, slot, "again");
    ck_assert_int_eq(guard.held_bytes, 0);
    ck_assert_int_eq(ration_guard_row(&guard, 300), RATION_OK);
    ration_guard_end(&guard);
    ck_assert_int_eq(charged(ration_query_pool(query)), 5000);
    ration_query_close(query);
    ration_guard_end(&guard); /* harmless although the slot is gone */
    close_and_check(governor);
}
END_TEST

START_TEST(test_guard__rows_of_no_bytes_settle_and_end)
{
    support_skip_hard("guards settle every row");
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query_options options = {.size = sizeof options, .rows_max = 1000};
    ration_query *query = open_query(governor, &options, &slot);
    RATION_GUARD(guard, slot, "empty rows");
    int settles = 0;
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(ration_guard_row(&guard, 0), RATION_OK);
        settles += has_just_settled(&guard);
    }
    ck_assert_int_eq(settles, 10); /* check_interval is 100 */
    ck_assert_int_eq(guard.held_bytes, 0);
    ration_status status = RATION_OK;
    for (int i = 0; i < 100 && status == RATION_OK; i++) {
        status = ration_guard_row(&guard, 0);
    }
    ck_assert_int_eq(status, RATION_ROW_BUDGET);
    ration_guard_end(&guard);
    ck_assert_int_eq(charged(ration_query_pool(query)), 0);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

static void tell_negative_row(void *argument)
{
    ck_assert_int_eq(ration_guard_row(argument, -1), RATION_INVALID_ARGUMENT);
    ck_assert_int_eq(ration_guard_row(argument, 5), RATION_OK);
}

START_TEST(test_guard__negative_bytes_are_a_fault_and_charge_nothing)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    RATION_GUARD(guard, slot, "negative");
    ck_assert_int_eq(ration_guard_row(&guard, 100), RATION_OK);
    expect_fault(tell_negative_row, &guard);
#ifndef RATION_CHECKED
    ck_assert_int_eq(guard.held_bytes, 105);
    ck_assert_int_eq(charged(ration_query_pool(query)), 105);
    ck_assert_int_eq(ration_query_status(query), RATION_OK);
#endif
    ration_guard_end(&guard);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* -------------------------------------------------------------------------------------- settling
 */

START_TEST(test_guard__sees_cancel_within_an_interval)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    RATION_GUARD(guard, slot, "cancelled");
    ck_assert_int_eq(ration_guard_row(&guard, 1), RATION_OK);
    ration_query_cancel(query);
    ration_status status = RATION_OK;
    int rows = 0;
    while (status == RATION_OK && rows < 1000) {
        status = ration_guard_row(&guard, 1);
        rows++;
    }
    ck_assert_int_eq(status, RATION_CANCELLED);
    ck_assert_int_le(rows, 100);
    ck_assert_int_eq(ration_query_status(query), RATION_CANCELLED);
    ration_guard_end(&guard);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_guard__shorter_than_an_interval_still_sees_cancel_and_budget)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ration_query_cancel(query);
    ration_status status = RATION_OK;
    int rows = 0;
    for (; status == RATION_OK && rows < 1000; rows++) {
        RATION_GUARD(guard, slot, "one row");
        status = ration_guard_row(&guard, 1);
    }
    ck_assert_int_eq(status, RATION_CANCELLED);
    ck_assert_int_le(rows, 101);
    ration_query_close(query);

    ration_query_options few = {.size = sizeof few, .rows_max = 250};
    query = open_query(governor, &few, &slot);
    for (status = RATION_OK, rows = 0; status == RATION_OK && rows < 1000; rows++) {
        RATION_GUARD(guard, slot, "one row");
        status = ration_guard_row(&guard, 0);
    }
    ck_assert_int_eq(status, RATION_ROW_BUDGET);
    ck_assert_int_le(rows, 351);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_guard__row_budget_and_deadline)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query_options few = {.size = sizeof few, .rows_max = 250};
    ration_query *query = open_query(governor, &few, &slot);
    ration_guard guard;
    ration_guard_begin(&guard, slot, "rows");
    int rows = 0;
    while (ration_guard_row(&guard, 1) == RATION_OK) {
        rows++;
    }
    ck_assert_int_eq(ration_query_status(query), RATION_ROW_BUDGET);
    ck_assert_int_ge(rows, 250);
    ck_assert_int_le(rows, 350);
    ration_guard_end(&guard);
    ration_query_close(query);

    ration_query_options brief = {.size = sizeof brief, .time_ms_max = 1};
    query = open_query(governor, &brief, &slot);
    ration_guard_begin(&guard, slot, "time");
    usleep(3000);
    ration_status status = RATION_OK;
    for (rows = 0; status == RATION_OK && rows < 1000; rows++) {
        status = ration_guard_row(&guard, 1);
    }
    ck_assert_int_eq(status, RATION_DEADLINE);
    ration_guard_end(&guard);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* Most bytes that pass a guard before it settles, over `count` rows of up to `widest`; the first
 * rows count too. */
static int64_t measure_gap(ration_guard *guard, int count, int64_t narrowest, int64_t widest,
                           uint64_t *random, int *out_settles)
{
    int64_t gap = 0, most = 0;
    *out_settles = 0;
    for (int i = 0; i < count; i++) {
        uint64_t range = (uint64_t)(widest - narrowest + 1);
        int64_t width = narrowest + (int64_t)rn_random_below(random, range);
        ck_assert_int_eq(ration_guard_row(guard, width), RATION_OK);
        gap += width;
        most = RN_MAX(most, gap);
        if (has_just_settled(guard)) {
            gap = 0;
            *out_settles += 1;
        }
    }
    return most;
}

/* A row of 10 bytes and one of 10 MB are looked at with the same granularity in bytes. */
START_TEST(test_guard__settles_by_bytes_whatever_the_width)
{
    support_skip_hard("guards settle every row");
    static const int64_t widths[] = {10, 1000, 100000, 10 * MIB};
    const int64_t check_bytes = 64 * 1024;
    uint64_t random = choose_seed(11);
    ration_governor *governor = open_wide_governor(8 * TIB, check_bytes);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    for (size_t i = 0; i < RN_COUNT(widths); i++) {
        RATION_GUARD(guard, slot, "width");
        int settles;
        int count = (int)RN_MAX(16 * check_bytes / widths[i], 16);
        int64_t gap = measure_gap(&guard, count, widths[i], widths[i], &random, &settles);
        ck_assert_int_lt(gap, check_bytes + widths[i]);
        int64_t total = count * widths[i];
        ck_assert_int_ge(settles, total / (check_bytes + widths[i]));
        /* and no more than it takes: none sooner than the last row that fits */
        ck_assert_int_le(settles, total / RN_MAX(check_bytes - widths[i], widths[i]) + 1);
    }
    for (int i = 0; i < 200; i++) { /* narrow and wide rows mixed, in guards of any length */
        RATION_GUARD(guard, slot, "mixed");
        int settles;
        int64_t widest = INT64_C(1) << rn_random_below(&random, 24);
        int64_t gap = measure_gap(&guard, 1 + (int)rn_random_below(&random, 300), 0, widest,
                                  &random, &settles);
        ck_assert_int_lt(gap, check_bytes + widest);
    }
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* Before anything is measured N is check_interval: the countdown of bytes covers the first rows. */
START_TEST(test_guard__settles_at_a_wide_row_among_its_first)
{
    support_skip_hard("guards settle every row");
    ration_governor *governor = open_wide_governor(8 * TIB, 64 * 1024);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    for (int before = 0; before < 50; before++) {
        RATION_GUARD(guard, slot, "first");
        for (int i = 0; i < before; i++) {
            ck_assert_int_eq(ration_guard_row(&guard, 10), RATION_OK);
            ck_assert(!has_just_settled(&guard));
        }
        ck_assert_int_eq(ration_guard_row(&guard, 10 * MIB), RATION_OK);
        ck_assert(has_just_settled(&guard));
    }
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_guard__interval_shrinks_with_the_width_of_rows)
{
    support_skip_hard("guards settle every row");
    ration_governor *governor = open_governor(1024 * MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    RATION_GUARD(guard, slot, "wide");
    ck_assert_int_eq(ration_guard_row(&guard, 10 * MIB), RATION_OK);
    ck_assert_int_eq(guard.rows_interval, 1);
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(ration_guard_row(&guard, 10), RATION_OK);
    }
    ck_assert_int_eq(guard.rows_interval, 100);
    ration_guard_end(&guard);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* Takes all but `room` of the root, without a slot. */
static void leave_room(ration_query *filler, ration_governor *governor, int64_t *taken,
                       int64_t limit_bytes, int64_t room)
{
    ration_query_release(filler, *taken);
    rn_pool_recall(ration_governor_root(governor));
    *taken = limit_bytes - charged(ration_governor_root(governor)) - room;
    ck_assert_int_eq(ration_query_try_charge(filler, *taken), RATION_OK);
}

/* Two slots, so B <= room / 4. Down to every row, and back. */
START_TEST(test_guard__interval_follows_the_headroom)
{
    const int64_t limit_bytes = 64 * MIB, check_bytes = 8 * 1024;
    ration_governor *governor = open_wide_governor(limit_bytes, check_bytes);
    ration_slot *slot, *filler_slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ration_query *filler = open_query(governor, NULL, &filler_slot);
    int64_t taken = 0;
    int64_t last = INT64_MAX;
    RATION_GUARD(guard, slot, "near");
    for (int64_t room = 32 * MIB; room > 64; room /= 4) {
        leave_room(filler, governor, &taken, limit_bytes, room);
        while (ration_guard_row(&guard, 1) == RATION_OK && !has_just_settled(&guard)) {
        }
        ck_assert_int_le(guard.bytes_interval, RN_MAX(room / 4, 1));
        ck_assert_int_le(guard.bytes_interval, last);
        last = guard.bytes_interval;
    }
    leave_room(filler, governor, &taken, limit_bytes, 30);
    for (int i = 0; i < 30; i++) { /* room / 4 is below 2 from the 23rd on */
        ck_assert_int_eq(ration_guard_row(&guard, 1), RATION_OK);
        ck_assert(i < 23 || has_just_settled(&guard));
    }
    ck_assert_int_eq(ration_guard_row(&guard, 1), RATION_GLOBAL_LIMIT);
    ration_query_release(filler, taken);
    while (!has_just_settled(&guard) || guard.bytes_interval < check_bytes) {
        ck_assert_int_eq(ration_guard_row(&guard, 1), RATION_OK);
        ck_assert_int_lt(guard.held_bytes, 32 * MIB);
    }
    ration_guard_end(&guard);
    ration_query_close(filler);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* The first guard of a slot looks at the room; those after it start where the last one was; a
 * refusal ends a long countdown. */
START_TEST(test_guard__near_a_limit_starts_with_a_short_interval)
{
    support_skip_hard("guards settle every row");
    ration_governor *governor = open_wide_governor(1000000, 64 * 1024);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ck_assert_int_eq(ration_query_try_charge(query, 999000), RATION_OK);
    ration_guard guard;
    ration_guard_begin(&guard, slot, "first");
    ck_assert_int_le(guard.bytes_left, 500);
    ration_guard_begin(&guard, slot, "second");
    ck_assert_int_le(guard.bytes_left, 500);
    ration_query_release(query, 999000);
    while (guard.bytes_interval < 64 * 1024) {
        ck_assert_int_eq(ration_guard_row(&guard, 10), RATION_OK);
    }
    ck_assert_int_eq(ration_query_try_charge(query, 970000), RATION_OK);
    ck_assert_int_gt(guard.bytes_left, 40000);
    ck_assert_int_eq(ration_guard_row(&guard, 10), RATION_OK);
    int64_t passed = guard.bytes_start - guard.bytes_left;
    ck_assert_int_ge(passed, 10);
    ck_assert_int_eq(ration_guard_row(&guard, 100000), RATION_GLOBAL_LIMIT);
    ck_assert_int_le(guard.bytes_left, 15000);
    ck_assert_int_eq(guard.bytes_start - guard.bytes_left, passed);
    ration_guard_end(&guard);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* ------------------------------------------------------------------------------------- overshoot
 */

#define HOSTS 4

/* A part of an engine that allocates rows first and tells the guard afterwards. */
typedef struct host {
    ration_guard guard;
    int64_t untold_bytes, untold_rows;
    bool stopped;
} host;

static ration_status tell(host *teller)
{
    ration_status status = ration_guard_row(&teller->guard, teller->untold_bytes);
    if (status == RATION_OK) {
        teller->untold_bytes = 0;
    }
    teller->stopped = status != RATION_OK;
    return status;
}

/* live guards x (settle bytes + widest row + one growth step): reached within a quarter by hosts
 * that tell late, and not passed. */
START_TEST(test_guard__overshoot_of_late_tellers_is_bounded)
{
    const int64_t limit_bytes = 8 * MIB, settle_bytes = 64 * 1024, widest = 30000, step = 20000;
    uint64_t random = choose_seed(5);
    ration_governor *governor = open_wide_governor(limit_bytes, settle_bytes);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    host hosts[HOSTS];
    for (int i = 0; i < HOSTS; i++) {
        ration_slot *own = slot;
        ck_assert_int_eq(i == 0 ? RATION_OK : ration_query_slot(query, &own), RATION_OK);
        hosts[i] = (host){.untold_bytes = 0};
        ration_guard_begin(&hosts[i].guard, own, "late");
    }
    int64_t most = 0;
    for (int stopped = 0; stopped < HOSTS;) {
        stopped = 0;
        int64_t real = charged(ration_query_pool(query));
        for (int i = 0; i < HOSTS; i++) {
            host *one = &hosts[i];
            if (!one->stopped) {
                one->untold_bytes += 1 + (int64_t)rn_random_below(&random, (uint64_t)widest);
                if (rn_random_below(&random, 4) == 0) {
                    one->untold_bytes += step; /* its container grows */
                }
            }
            real += one->untold_bytes;
        }
        most = RN_MAX(most, real - limit_bytes);
        for (int i = 0; i < HOSTS; i++) {
            /* It was told to tell when check_bytes have run up; the last row comes on top. */
            if (!hosts[i].stopped && hosts[i].untold_bytes >= settle_bytes) {
                (void)tell(&hosts[i]);
            }
            stopped += hosts[i].stopped;
        }
    }
    int64_t bound = HOSTS * (settle_bytes + widest + step);
    ck_assert_int_le(most, bound);
    ck_assert_int_gt(most, bound / 4); /* the hosts did what the bound is about */
    for (int i = 0; i < HOSTS; i++) {
        ration_guard_end(&hosts[i].guard);
    }
    ration_query_close(query);

    /* Told before it allocates, the same host is never above. */
    query = open_query(governor, NULL, &slot);
    RATION_GUARD(guard, slot, "first told");
    ration_status status = RATION_OK;
    while (status == RATION_OK) {
        status = ration_guard_row(&guard, 1 + (int64_t)rn_random_below(&random, (uint64_t)widest));
        ck_assert_int_le(charged(ration_query_pool(query)), limit_bytes);
    }
    ration_guard_end(&guard);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_guard__holds_rows_and_gives_them_back,
        test_guard__stays_armed_after_a_refusal,
        test_guard__nested_ones_end_in_any_order,
        test_guard__begun_again_before_it_ended_is_swept_at_close,
        test_guard__rows_of_no_bytes_settle_and_end,
        test_guard__negative_bytes_are_a_fault_and_charge_nothing,
        test_guard__sees_cancel_within_an_interval,
        test_guard__shorter_than_an_interval_still_sees_cancel_and_budget,
        test_guard__row_budget_and_deadline,
        test_guard__settles_by_bytes_whatever_the_width,
        test_guard__settles_at_a_wide_row_among_its_first,
        test_guard__interval_shrinks_with_the_width_of_rows,
        test_guard__interval_follows_the_headroom,
        test_guard__near_a_limit_starts_with_a_short_interval,
        test_guard__overshoot_of_late_tellers_is_bounded,
    };
    return support_run("guard", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The arithmetic of the limit, by hand: what one gets alone, beside others, in groups, under
 * ceilings, with other ratios and demands; and its fix points on a machine on paper. */
#include "tests/executor/limit_world.h"

static limit_machine machine;

static limit_member *join(int64_t ratio_ppm, int64_t reserve)
{
    return limit_join(&machine, 0, ratio_ppm, reserve);
}

/* Rounds in which all want all they get, or as much as they demand. */
static void run_rounds(int rounds)
{
    int64_t wants[RN_REGISTRY_PLACES];
    for (int round = 0; round < rounds; round++) {
        for (int64_t i = 0; i < machine.count; i++) {
            wants[i] = machine.members[i].demand;
        }
        limit_round(&machine, wants);
        for (int source = 0; source < LIMIT_GROUPS; source++) {
            ck_assert(limit_held(&machine, source) <= limit_total(&machine, source));
        }
    }
}

/* Further rounds move nobody. */
static void expect_rest(int rounds)
{
    int64_t limits[RN_REGISTRY_PLACES];
    for (int64_t i = 0; i < machine.count; i++) {
        limits[i] = machine.members[i].pool_limit;
    }
    for (int round = 0; round < rounds; round++) {
        run_rounds(1);
        for (int64_t i = 0; i < machine.count; i++) {
            ck_assert_int_eq(machine.members[i].pool_limit, limits[i]);
        }
    }
}

/* -------------------------------------------------------------------------------------- alone */

static int64_t derive(const ration_limits *limits, int64_t headroom, rn_registry_division *division)
{
    static rn_probe probe;
    ration_error error;
    probe = (rn_probe){.count = 2, .binding = 1};
    probe.sources[0] = (rn_probe_source){
        .name = "MemTotal", .limit_bytes = 4 * headroom, .headroom_bytes = 4 * headroom};
    probe.sources[1] = (rn_probe_source){.name = "MemAvailable",
                                         .limit_bytes = 4 * headroom,
                                         .used_bytes = 3 * headroom,
                                         .headroom_bytes = headroom};
    if (rn_limit_alone(limits, &probe, division, &error) == RATION_OK) {
        return division->limit_bytes;
    }
    ck_assert_int_eq(error.status, RATION_ENVIRONMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "MemAvailable"));
    return -1;
}

START_TEST(test_limit__alone_is_ratio_of_what_is_available_less_the_reserve)
{
    ration_limits limits;
    rn_registry_division division;
    ration_limits_default(&limits);
    /* 0.8 x 1000 MiB - 50 MiB */
    ck_assert_int_eq(derive(&limits, 1000 * MIB, &division), 750 * MIB);
    ck_assert_int_eq(division.share_bytes, 750 * MIB);
    ck_assert_int_eq(division.most_bytes, 750 * MIB);
    ck_assert_int_eq(division.total_bytes, 1000 * MIB);
    ck_assert_int_eq(division.binding, 1);
    ck_assert_int_eq(division.others, 0);
    /* Rounded down: 0.8 x 1000003 = 800002.4 */
    limits.untracked_reserved_bytes = 0;
    limits.limit_floor_bytes = 0;
    ck_assert_int_eq(derive(&limits, 1000003, &division), 800002);
    limits.limit_ratio_ppm = 1000000;
    ck_assert_int_eq(derive(&limits, 1000003, &division), 1000003);
    limits.limit_ratio_ppm = 1;
    ck_assert_int_eq(derive(&limits, INT64_C(1) << 60, &division), (INT64_C(1) << 60) / 1000000);
    ck_assert_int_eq(derive(&limits, 999999, &division), -1);
    /* A small demand takes nothing from one who is alone. */
    limits.limit_ratio_ppm = 800000;
    limits.limit_base = RATION_BASE_TOTAL; /* 0.8 x 4 GiB */
    ck_assert_int_eq(derive(&limits, GIB, &division), 4 * GIB * 8 / 10);
}
END_TEST

START_TEST(test_limit__alone_obeys_ceilings_and_given_limits)
{
    ration_limits limits;
    rn_registry_division division;
    ration_limits_default(&limits);
    limits.limit_ceiling_bytes = 300 * MIB;
    ck_assert_int_eq(derive(&limits, 1000 * MIB, &division), 300 * MIB);
    ck_assert_int_eq(division.binding, 1);
    ck_assert_int_eq(derive(&limits, 400 * MIB, &division), 270 * MIB);
    limits.limit_bytes = 100 * MIB;
    ck_assert_int_eq(derive(&limits, 400 * MIB, &division), 100 * MIB);
    /* A given limit is reached in full: the reserve is taken off what the machine has. */
    ck_assert_int_eq(derive(&limits, 200 * MIB, &division), 100 * MIB);
    ck_assert_int_eq(derive(&limits, 160 * MIB, &division), 78 * MIB);
    ck_assert_int_eq(rn_limit_ceiling(&limits), 100 * MIB);
    ration_limits_default(&limits);
    ck_assert_int_eq(rn_limit_ceiling(&limits), INT64_MAX);
}
END_TEST

START_TEST(test_limit__below_the_floor_is_refused_with_the_arithmetic)
{
    ration_limits limits;
    rn_registry_division division = {.limit_bytes = 7};
    ration_error error;
    static rn_probe probe;
    probe = (rn_probe){.count = 1};
    probe.sources[0] = (rn_probe_source){
        .name = "cgroup v2 /pod", .limit_bytes = 81 * MIB, .headroom_bytes = 81 * MIB};
    ration_limits_default(&limits);
    ck_assert_int_eq(rn_limit_alone(&limits, &probe, &division, &error), RATION_ENVIRONMENT);
    ck_assert_str_eq(error.message, "no memory to govern: 0.8 x 81 MiB of cgroup v2 /pod, less the "
                                    "reserve of 50 MiB, leaves 14.8 MiB; the least is 16 MiB");
    ck_assert_int_eq(division.limit_bytes, 7);
    /* 0.8 x 82.5 - 50 = 16 */
    probe.sources[0].headroom_bytes = probe.sources[0].limit_bytes = 82 * MIB + MIB / 2;
    support_ok(rn_limit_alone(&limits, &probe, &division, &error), &error);
    ck_assert_int_eq(division.limit_bytes, 16 * MIB);
    /* The ceiling is a floor of those below it; nothing at all is always too little. */
    limits.limit_bytes = 8 * MIB;
    ck_assert_int_eq(rn_limit_floor(&limits), 8 * MIB);
    limits.limit_floor_bytes = 0;
    probe.sources[0].headroom_bytes = 0;
    ck_assert_int_eq(rn_limit_alone(&limits, &probe, &division, &error), RATION_ENVIRONMENT);
}
END_TEST

START_TEST(test_limit__alone_settles_at_the_ratio_of_what_there_was)
{
    limit_machine_open(&machine, 10 * GIB);
    limit_member *member = join(800000, 0);
    int64_t limit = 0;
    for (int i = 0; i < 1000; i++) {
        limit_turn(&machine, member);
        limit_settle(member);
        ck_assert_int_ge(member->pool_limit, limit);
        limit = member->pool_limit;
        limit_use(member, member->granted + (member->pool_limit - member->granted) / 3 + 1);
    }
    ck_assert_int_eq(limit, 8 * GIB);
    ck_assert_int_eq(member->granted, 8 * GIB);
    /* Not 0.8 / 1.8 = 44%, where a ratio of the headroom alone would settle. */
}
END_TEST

/* ------------------------------------------------------------------------------------- others */

START_TEST(test_limit__a_newcomer_gets_what_is_not_held_and_then_its_share)
{
    limit_machine_open(&machine, 10000 * MIB);
    limit_member *first = join(800000, 50 * MIB);
    run_rounds(2);
    ck_assert_int_eq(first->pool_limit, 7950 * MIB);
    limit_member *second = join(800000, 50 * MIB);
    limit_turn(&machine, second);
    limit_settle(second);
    ck_assert_int_eq(second->pool_limit, 50 * MIB); /* 8000 - 7950 */
    ck_assert_int_eq(second->division.share_bytes, 3950 * MIB);
    ck_assert_int_eq(second->division.most_bytes, 7900 * MIB); /* 0.8 x (10000 - 62.5) - 50 */
    ck_assert_int_eq(second->division.others, 1);
    ck_assert_int_eq(second->division.others_limit_bytes, 7950 * MIB);
    /* The first lowers, tells so a turn later, and gives back slowly. */
    limit_turn(&machine, first);
    limit_settle(first);
    ck_assert_int_eq(first->pool_limit, 3950 * MIB);
    ck_assert_int_eq(first->told.limit_bytes, 7950 * MIB);
    for (int64_t granted = 7950 * MIB; granted > 3950 * MIB; granted -= 500 * MIB) {
        limit_use(first, granted);
        limit_turn(&machine, first);
        limit_settle(first);
        machine.now_ns += 100000000;
        limit_turn(&machine, second);
        limit_settle(second);
        limit_use(second, second->pool_limit);
        ck_assert_int_eq(second->pool_limit, RN_MIN(3950 * MIB, 8000 * MIB - granted));
    }
    run_rounds(6);
    ck_assert_int_eq(second->pool_limit, 3950 * MIB);
    expect_rest(20);
    /* And back, when it is gone. */
    second->alive = false;
    run_rounds(2);
    ck_assert_int_eq(first->pool_limit, 7950 * MIB);
}
END_TEST

/* `count` governors that come at once beside one that holds everything: all get the same. */
static void divide_evenly(int64_t count)
{
    limit_machine_open(&machine, 64000 * MIB);
    join(800000, 50 * MIB);
    run_rounds(2);
    for (int64_t i = 1; i < count; i++) {
        join(800000, 50 * MIB);
    }
    run_rounds(5);
    for (int64_t i = 0; i < count; i++) {
        ck_assert_int_eq(machine.members[i].pool_limit, 51200 * MIB / count - 50 * MIB);
    }
    expect_rest(50);
}

START_TEST(test_limit__two_four_and_sixty_four_get_the_same)
{
    divide_evenly(2);
    divide_evenly(4);
    divide_evenly(64);
}
END_TEST

START_TEST(test_limit__what_a_ceiling_leaves_goes_to_the_others)
{
    limit_machine_open(&machine, 10000 * MIB);
    limit_member *small = join(800000, 40 * MIB), *first = join(800000, 40 * MIB),
                 *second = join(800000, 40 * MIB);
    small->limits.limit_bytes = 600 * MIB;
    run_rounds(6);
    /* (600 + 40) / 0.8 = 800 of 10000; each of the two others has 4600, 0.8 x 4600 - 40 = 3640. */
    ck_assert_int_eq(small->pool_limit, 600 * MIB);
    ck_assert_int_eq(first->pool_limit, 3640 * MIB);
    ck_assert_int_eq(second->pool_limit, 3640 * MIB);
    expect_rest(20);
}
END_TEST

START_TEST(test_limit__each_ratio_is_of_its_own_part)
{
    limit_machine_open(&machine, 10000 * MIB);
    limit_member *low = join(300000, 0), *high = join(800000, 0);
    run_rounds(1);
    limit_use(high, high->pool_limit);
    run_rounds(6);
    /* Half of the total each: the one with the low ratio is not starved by the other. */
    ck_assert_int_eq(low->pool_limit, 1500 * MIB);
    ck_assert_int_eq(high->pool_limit, 4000 * MIB);
    expect_rest(20);
}
END_TEST

START_TEST(test_limit__groups_bound_their_members_and_leave_the_rest)
{
    limit_machine_open(&machine, 10000 * MIB);
    machine.sizes[1] = 1000 * MIB;
    machine.sizes[2] = 400 * MIB;
    limit_member *inner = limit_join(&machine, 2, 500000, 0),
                 *outer = limit_join(&machine, 1, 500000, 0), *free_one = join(500000, 0);
    run_rounds(6);
    /* /a/x: 400. /a: 1000 for two, 500 each. The machine: what these leave, 10000 - 400 - 500. */
    ck_assert_int_eq(inner->pool_limit, 200 * MIB);
    ck_assert_int_eq(outer->pool_limit, 250 * MIB);
    ck_assert_int_eq(free_one->pool_limit, 4550 * MIB);
    ck_assert_int_eq(inner->division.binding, 2);
    ck_assert_int_eq(outer->division.binding, 1);
    ck_assert_int_eq(free_one->division.binding, 0);
    expect_rest(20);
}
END_TEST

START_TEST(test_limit__a_resource_limit_is_divided_within_the_process)
{
    static rn_probe probe;
    ration_limits limits;
    rn_registry_entry entries[3];
    rn_registry_division division;
    rn_limit_sources sources;
    ration_limits_default(&limits);
    limits.untracked_reserved_bytes = 0;
    probe = (rn_probe){.count = 2};
    probe.sources[0] = (rn_probe_source){.limit_bytes = 10 * GIB, .headroom_bytes = 10 * GIB};
    probe.sources[1] =
        (rn_probe_source){.kind = RN_PROBE_PROCESS, .limit_bytes = 2 * GIB, .headroom_bytes = GIB};
    for (int i = 0; i < 3; i++) { /* two of one process, and one of a later one with its pid */
        entries[i] = (rn_registry_entry){.process = 5,
                                         .start_time = i < 2 ? 10 : 11,
                                         .number = i + 1,
                                         .limit_bytes = 64 * MIB,
                                         .granted_bytes = 64 * MIB,
                                         .resident_bytes = 64 * MIB,
                                         .bound_bytes = INT64_MAX};
        rn_limit_describe(&entries[i], &limits, &probe);
    }
    const rn_limit_question question = {
        .limits = &limits, .probe = &probe, .entries = entries, .count = 3};
    rn_limit_divide(&question, &division, &sources, NULL);
    ck_assert_int_eq(division.binding, 1);
    ck_assert_int_eq(sources.of[0].members, 3);
    ck_assert_int_eq(sources.of[1].members, 2);
    ck_assert_int_eq(sources.of[1].resident_bytes, 128 * MIB);
    ck_assert_int_eq(sources.of[1].total_bytes, 1152 * MIB);
    ck_assert_int_eq(sources.of[1].part_bytes, 576 * MIB);
    ck_assert_int_eq(division.share_bytes, rn_share_of_ratio(576 * MIB, 800000));
    ck_assert_int_eq(sources.of[1].held_bytes, 64 * MIB);
    ck_assert_int_eq(sources.of[1].room_bytes, rn_share_of_ratio(1152 * MIB, 800000) - 64 * MIB);
    ck_assert(rn_limit_is_kept(&probe, 1, 160 * MIB, entries, 3, 0)); /* 2 x 64 / 0.8 */
    ck_assert(!rn_limit_is_kept(&probe, 1, 160 * MIB - 1, entries, 3, 0));
}
END_TEST

/* ------------------------------------------------------------------------------------ demands */

START_TEST(test_limit__a_busy_one_gets_what_idle_ones_leave)
{
    limit_machine_open(&machine, 10000 * MIB);
    limit_member *busy = join(800000, 0);
    for (int i = 0; i < 3; i++) {
        join(800000, 0)->demand = 80 * MIB;
    }
    run_rounds(6);
    /* 80 / 0.8 = 100 of the total each; the rest is the busy one's: 0.8 x 9700. */
    ck_assert_int_eq(busy->pool_limit, 7760 * MIB);
    ck_assert_int_eq(machine.members[1].pool_limit, 80 * MIB);
    ck_assert_int_eq(machine.members[1].division.most_bytes, 8000 * MIB);
    expect_rest(20);
    machine.members[2].demand = INT64_MAX;
    run_rounds(4);
    ck_assert_int_eq(busy->pool_limit, 3920 * MIB);
    ck_assert_int_eq(machine.members[2].pool_limit, 3920 * MIB);
    ck_assert_int_eq(machine.members[1].pool_limit, 80 * MIB);
    expect_rest(20);
}
END_TEST

START_TEST(test_limit__what_nobody_demands_is_everybodys)
{
    limit_machine_open(&machine, 10000 * MIB);
    for (int i = 0; i < 4; i++) {
        join(800000, 0)->demand = (i + 1) * 80 * MIB;
    }
    machine.members[3].limits.limit_ceiling_bytes = 800 * MIB;
    run_rounds(6);
    /* Demands are 100 to 400 of 10000; of the 9000 left, the last takes 600, the others 2800. */
    ck_assert_int_eq(machine.members[0].pool_limit, 2320 * MIB);
    ck_assert_int_eq(machine.members[1].pool_limit, 2400 * MIB);
    ck_assert_int_eq(machine.members[2].pool_limit, 2480 * MIB);
    ck_assert_int_eq(machine.members[3].pool_limit, 800 * MIB);
    expect_rest(20);
}
END_TEST

START_TEST(test_limit__demands_count_in_steps)
{
    int64_t steps = 0, last = 0;
    for (int64_t bytes = 0; bytes < 64 * GIB; bytes += bytes / 1000 + MIB) {
        int64_t demand = rn_limit_round_demand(bytes);
        ck_assert_int_ge(demand, bytes);
        ck_assert_int_le(demand, bytes + RN_MAX(16 * MIB, bytes / 8));
        ck_assert_int_ge(demand, last);
        steps += demand != last;
        last = demand;
    }
    ck_assert_int_lt(steps, 160);
    ck_assert_int_eq(rn_limit_round_demand(INT64_MAX), INT64_MAX);
}
END_TEST

/* ------------------------------------------------------------------------- machines that move */

START_TEST(test_limit__not_lowered_below_the_floor_and_raised_to_it_only_into_room)
{
    limit_machine_open(&machine, 1000 * MIB);
    limit_member *first = join(800000, 50 * MIB);
    run_rounds(2);
    machine.outside[0] = 990 * MIB;            /* 0.8 x 10 - 50 < 0 */
    for (int round = 0; round < 40; round++) { /* what is in memory counts until it is not */
        limit_turn(&machine, first);
        limit_settle(first);
        ck_assert_int_ge(first->pool_limit, 16 * MIB);
        limit_use(first, first->pool_limit);
    }
    ck_assert_int_eq(first->pool_limit, 16 * MIB);
    ck_assert_int_eq(first->division.share_bytes, 0);
    limit_member *second = join(800000, 50 * MIB);
    limit_turn(&machine, second);
    ck_assert_int_eq(second->answer, 0);
}
END_TEST

/* `stale`: the headroom is that of now, what others have in memory that of their last turn. */
static void grow_steadily(bool stale)
{
    limit_machine_open(&machine, 10000 * MIB);
    for (int i = 0; i < 4; i++) {
        join(800000, 0);
    }
    int64_t wants[4] = {0}, share = 2000 * MIB, dip = stale ? 240 * MIB : 0;
    for (int round = 0; round < 6; round++) {
        limit_round(&machine, wants);
    }
    machine.stale = stale;
    for (int round = 1; round <= 17; round++) {
        for (int64_t i = 0; i < 4; i++) {
            wants[i] = round * 100 * MIB;
        }
        limit_round(&machine, wants);
        for (int64_t i = 0; i < 4; i++) {
            /* At most what three others took in a round is not known yet: 0.8 x 300. */
            ck_assert_int_ge(machine.members[i].pool_limit, share - dip);
            ck_assert_int_le(machine.members[i].pool_limit, share);
            ck_assert_int_eq(machine.members[i].granted, wants[i]);
        }
        ck_assert(limit_held(&machine, 0) <= limit_total(&machine, 0));
    }
    for (int round = 0; round < 3; round++) {
        limit_round(&machine, wants);
    }
    for (int round = 0; round < 50; round++) {
        limit_round(&machine, wants);
        for (int64_t i = 0; i < 4; i++) {
            ck_assert_int_eq(machine.members[i].pool_limit, share);
        }
    }
}

START_TEST(test_limit__growing_neighbours_lower_nobody)
{
    grow_steadily(false);
}
END_TEST

START_TEST(test_limit__growth_that_is_not_seen_only_lowers_and_leaves_no_trace)
{
    grow_steadily(true);
}
END_TEST

START_TEST(test_limit__a_neighbour_that_stands_still_does_not_hold_back_for_ever)
{
    limit_machine_open(&machine, 10000 * MIB);
    limit_member *first = join(800000, 0), *stopped = join(800000, 0);
    run_rounds(4);
    machine.outside[0] = 5000 * MIB;
    for (int i = 0; i < 20; i++) {
        machine.now_ns += 100000000;
        limit_turn(&machine, first);
        limit_settle(first);
        limit_use(first, first->pool_limit);
    }
    /* 0.8 x 5000 for two, the other holds 4000: nothing is left, but for the floor. */
    ck_assert_int_eq(first->pool_limit, 16 * MIB);
    machine.outside[0] = 0;
    for (int i = 0; i < 25; i++) {
        machine.now_ns += 100000000;
        limit_turn(&machine, first);
        limit_settle(first);
        limit_use(first, first->pool_limit);
        ck_assert(limit_held(&machine, 0) <= limit_total(&machine, 0));
    }
    ck_assert_int_eq(first->pool_limit, 4000 * MIB);
    ck_assert_int_eq(stopped->granted, 4000 * MIB);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_limit__alone_is_ratio_of_what_is_available_less_the_reserve,
        test_limit__alone_obeys_ceilings_and_given_limits,
        test_limit__below_the_floor_is_refused_with_the_arithmetic,
        test_limit__alone_settles_at_the_ratio_of_what_there_was,
        test_limit__a_newcomer_gets_what_is_not_held_and_then_its_share,
        test_limit__two_four_and_sixty_four_get_the_same,
        test_limit__what_a_ceiling_leaves_goes_to_the_others,
        test_limit__each_ratio_is_of_its_own_part,
        test_limit__groups_bound_their_members_and_leave_the_rest,
        test_limit__a_resource_limit_is_divided_within_the_process,
        test_limit__a_busy_one_gets_what_idle_ones_leave,
        test_limit__what_nobody_demands_is_everybodys,
        test_limit__demands_count_in_steps,
        test_limit__not_lowered_below_the_floor_and_raised_to_it_only_into_room,
        test_limit__growing_neighbours_lower_nobody,
        test_limit__growth_that_is_not_seen_only_lowers_and_leaves_no_trace,
        test_limit__a_neighbour_that_stands_still_does_not_hold_back_for_ever,
    };
    return support_run("limit", tests, RN_COUNT(tests));
}

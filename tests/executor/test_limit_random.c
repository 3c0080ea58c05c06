/* SPDX-License-Identifier: Apache-2.0
 *
 * The promise of the division under random histories: turns in any order, joins, deaths, machines
 * that get smaller and larger, memory taken and given back; and that demands which follow what is
 * granted come to rest. A history is named by its seed: SEED=n runs that one alone. */
#include <time.h>

#include "tests/executor/limit_world.h"

#define STEPS 600

static limit_machine machine;
static uint64_t state;

static int64_t below(int64_t bound)
{
    return (int64_t)rn_random_below(&state, (uint64_t)bound);
}

static uint64_t played; /* the seed of the history that is played */

/* Runs `history` with other seeds each time, or with that of the environment. */
static void run_histories(int64_t count, void (*history)(void))
{
    const char *given = getenv("SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000000;
    printf("seed=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    for (int64_t i = 0; i < (given != NULL ? 1 : count); i++) {
        played = seed + (uint64_t)i;
        state = played;
        history();
    }
}

static void expect(bool holds, const char *what)
{
    if (!holds) { /* each assertion that holds costs a message to the runner */
        ck_abort_msg("%s: replay with SEED=%llu", what, (unsigned long long)played);
    }
}

static limit_member *pick(void)
{
    limit_member *member = &machine.members[below(machine.count)];
    return member->alive ? member : NULL;
}

static void join_someone(void)
{
    int64_t alive = 0;
    for (int64_t i = 0; i < machine.count; i++) {
        alive += machine.members[i].alive;
    }
    if (alive == RN_REGISTRY_PLACES) {
        return;
    }
    limit_member *member =
        limit_join(&machine, (int)below(LIMIT_GROUPS), below(3) > 0 ? 800000 : 1 + below(1000000),
                   below(2) * below(100 * MIB));
    member->limits.limit_bytes = below(4) == 0 ? 1 + below(GIB) : 0;
    member->limits.limit_ceiling_bytes = below(4) == 0 ? 1 + below(4 * GIB) : 0;
    member->limits.limit_floor_bytes = 0;
}

static void move_machine(void)
{
    int source = (int)below(LIMIT_GROUPS);
    if (below(2) == 0) {
        machine.outside[source] = below(source == 0 ? 16 * GIB : GIB);
    } else if (source > 0) {
        machine.sizes[source] = below(3) == 0 ? INT64_MAX : below(4 * GIB);
    }
}

/* Takes or gives back, within what it may. `heard`: what it gives back is told at once. */
static void use_something(limit_member *member, bool heard)
{
    int64_t target = below(3) > 0 ? below(member->pool_limit + 1) : INT64_MAX;
    if (target < member->granted && heard) {
        limit_use(member, target);
        limit_turn(&machine, member);
        return;
    }
    limit_use(member, target);
    member->demand = below(2) == 0 ? INT64_MAX : member->granted + below(64 * MIB);
}

static void step(bool heard)
{
    limit_member *member = machine.count == 0 ? NULL : pick();
    int64_t what = below(100);
    if (what < 4 || machine.count == 0) {
        join_someone();
    } else if (what < 7) {
        move_machine();
    } else if (member == NULL) {
        return;
    } else if (what < 9) {
        member->alive = false;
    } else if (what < 50) {
        limit_turn(&machine, member);
    } else if (what < 60) {
        limit_settle(member);
    } else if (what < 90) {
        use_something(member, heard);
    } else {
        member->resident = below(member->granted + 1); /* out to swap, or touched again */
        if (heard) {
            limit_turn(&machine, member);
        }
    }
}

static void expect_kept(const limit_wide *before, limit_wide *after)
{
    for (int source = 0; source < LIMIT_GROUPS; source++) {
        limit_wide held = limit_held(&machine, source);
        expect(held <= before[source] || held <= limit_total(&machine, source),
               "more is promised than there is");
        after[source] = held;
    }
}

/* The promise after each step: the sum is kept, or it has not grown by this step. `stale`: nobody
 * sees what others have in memory, and is told of all that they give back. */
static void play(bool stale)
{
    limit_machine_open(&machine, 16 * GIB);
    machine.stale = stale;
    limit_wide held[LIMIT_GROUPS] = {0};
    for (int i = 0; i < STEPS; i++) {
        machine.now_ns += below(50000000);
        step(stale);
        expect_kept(held, held);
        for (int64_t j = 0; j < machine.count; j++) {
            const limit_member *member = &machine.members[j];
            expect(!member->alive || member->pool_limit <= rn_limit_ceiling(&member->limits),
                   "a limit above its ceiling");
        }
    }
}

static void play_seeing(void)
{
    play(false);
}

START_TEST(test_limit_random__never_more_than_there_is)
{
    run_histories(400, play_seeing);
}
END_TEST

static void play_stale(void)
{
    play(true);
}

START_TEST(test_limit_random__never_more_when_growth_is_not_seen)
{
    run_histories(400, play_stale);
}
END_TEST

/* Those who are busy take turns in any order, `idle` does not use what it may. */
static void turn_about(limit_member *idle)
{
    int64_t order[RN_REGISTRY_PLACES];
    for (int64_t i = 0; i < machine.count; i++) {
        int64_t at = below(i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (int64_t i = 0; i < machine.count; i++) {
        limit_member *member = &machine.members[order[i]];
        machine.now_ns += 100000000 / machine.count;
        limit_turn(&machine, member);
        limit_settle(member);
        limit_use(member, member == idle ? member->granted : member->pool_limit);
        expect(limit_held(&machine, 0) <= limit_total(&machine, 0), "a gift was counted twice");
    }
}

/* What one gives back unseen, once, makes nobody's limit too large, in whatever order they come. */
static void give_once(void)
{
    limit_machine_open(&machine, 20 * GIB);
    machine.outside[0] = 4 * GIB;
    for (int64_t i = 0, count = 2 + below(6); i < count; i++) {
        (void)limit_join(&machine, 0, 800000, 0);
    }
    for (int i = 0; i < 12; i++) {
        turn_about(NULL);
    }
    machine.stale = true; /* at rest: what was told is what is */
    limit_member *giver = &machine.members[below(machine.count)];
    for (int64_t i = 0, turns = below(2 * machine.count); i < turns; i++) {
        limit_turn(&machine, &machine.members[below(machine.count)]);
    }
    limit_use(giver, below(giver->granted + 1));
    for (int i = 0; i < 6; i++) {
        turn_about(giver);
    }
}

START_TEST(test_limit_random__what_is_given_back_unseen_counts_once)
{
    run_histories(2000, give_once);
}
END_TEST

/* Each has its share after a few rounds, whatever its group, ratio and ceiling; and then nothing
 * moves any more. */
static void come_to_rest(void)
{
    limit_machine_open(&machine, 16 * GIB);
    machine.sizes[1] = 2 * GIB + below(4 * GIB);
    machine.sizes[2] = GIB + below(GIB);
    machine.sizes[3] = below(2) == 0 ? INT64_MAX : GIB + below(4 * GIB);
    int64_t wants[RN_REGISTRY_PLACES], limits[RN_REGISTRY_PLACES];
    for (int64_t i = 0, count = 1 + below(below(4) == 0 ? RN_REGISTRY_PLACES : 8); i < count; i++) {
        join_someone();
        machine.members[i].demand = below(3) == 0 ? below(GIB) : INT64_MAX;
        wants[i] = INT64_MAX;
        limit_round(&machine, wants);
    }
    for (int i = 0; i < 12; i++) {
        limit_round(&machine, wants);
    }
    for (int64_t i = 0; i < machine.count; i++) {
        const limit_member *member = &machine.members[i];
        /* What others hold is rounded up to a byte each. */
        expect(member->pool_limit >= member->division.share_bytes - machine.count,
               "one has not got its share");
        limits[i] = member->pool_limit;
    }
    for (int i = 0; i < 20; i++) {
        limit_round(&machine, wants);
        for (int64_t j = 0; j < machine.count; j++) {
            expect(machine.members[j].pool_limit == limits[j], "limits move for ever");
        }
    }
}

START_TEST(test_limit_random__all_get_their_share_and_rest)
{
    run_histories(1000, come_to_rest);
}
END_TEST

/* One look of those whose demand follows what they are granted: all while they are pressed, and for
 * ten looks after. */
static void look_about(const int64_t *wants, int *pressed)
{
    for (int64_t i = 0; i < machine.count; i++) {
        limit_member *member = &machine.members[i];
        bool presses =
            wants[i] > member->pool_limit || member->granted >= member->pool_limit / 4 * 3;
        pressed[i] = presses ? 10 : RN_MAX(0, pressed[i] - 1);
        member->demand =
            pressed[i] > 0 ? INT64_MAX : member->granted + member->granted / 2 + 64 * MIB;
    }
    limit_round(&machine, wants);
}

static void follow_demands(void)
{
    int64_t wants[8], limits[8];
    int pressed[8] = {0};
    limit_machine_open(&machine, 16 * GIB);
    for (int64_t i = 0, count = 2 + below(7); i < count; i++) {
        (void)limit_join(&machine, 0, 800000, 50 * MIB);
    }
    for (int phase = 0; phase < 3; phase++) {
        for (int64_t i = 0; i < machine.count; i++) {
            wants[i] = below(3) == 0 ? INT64_MAX : below(3 * GIB);
        }
        for (int look = 0; look < 60; look++) {
            look_about(wants, pressed);
        }
        for (int64_t i = 0; i < machine.count; i++) {
            limits[i] = machine.members[i].pool_limit;
            int64_t even = rn_share_of_ratio(16 * GIB / machine.count, 800000) - 50 * MIB;
            expect(machine.members[i].granted >= RN_MIN(wants[i], even),
                   "one who wants it has not got an equal part");
        }
        for (int look = 0; look < 60; look++) {
            look_about(wants, pressed);
            for (int64_t i = 0; i < machine.count; i++) {
                expect(machine.members[i].pool_limit == limits[i], "demands move limits for ever");
            }
        }
    }
}

START_TEST(test_limit_random__demands_that_follow_come_to_rest)
{
    run_histories(300, follow_demands);
}
END_TEST

static int64_t any_amount(void)
{
    switch (below(4)) {
    case 0:
        return INT64_MAX - below(3);
    case 1:
        return below(3);
    default:
        return (int64_t)(rn_random(&state) >> (1 + below(62)));
    }
}

static void divide_anything(void)
{
    static rn_probe probe;
    static rn_registry_entry entries[RN_REGISTRY_PLACES];
    ration_limits limits;
    rn_limit_sources sources;
    rn_registry_division division;
    ration_limits_default(&limits);
    int64_t bound, count = 1 + below(RN_REGISTRY_PLACES);
    probe.count = (int)below(6);
    probe.binding = 0;
    for (int i = 0; i < probe.count; i++) {
        probe.sources[i].kind = (rn_probe_kind)below(3);
        rn_copy_text(probe.sources[i].group, 16, limit_group_names[below(LIMIT_GROUPS)]);
        probe.sources[i].limit_bytes = any_amount();
        probe.sources[i].headroom_bytes = any_amount();
    }
    for (int64_t i = 0; i < count; i++) {
        entries[i] = (rn_registry_entry){.process = 1 + below(3),
                                         .granted_bytes = any_amount(),
                                         .resident_bytes = any_amount(),
                                         .limit_bytes = any_amount(),
                                         .ceiling_bytes = any_amount(),
                                         .demand_bytes = any_amount(),
                                         .bound_bytes = any_amount(),
                                         .reserve_bytes = any_amount(),
                                         .ratio_ppm = 1 + below(1000000)};
        rn_copy_text(entries[i].group, 16, limit_group_names[below(LIMIT_GROUPS)]);
    }
    limits.limit_floor_bytes = below(100);
    limits.limit_base = below(2);
    const rn_limit_question question = {.limits = &limits,
                                        .probe = &probe,
                                        .entries = entries,
                                        .count = count,
                                        .own = below(count)};
    rn_limit_divide(&question, &division, &sources, &bound);
    const rn_registry_entry *own = &entries[question.own];
    int64_t floor = RN_MIN(rn_limit_floor(&limits), own->limit_bytes);
    expect(division.share_bytes >= 0 && division.share_bytes <= own->ceiling_bytes, "share");
    expect(division.limit_bytes >= 0 && division.limit_bytes <= RN_MAX(floor, division.share_bytes),
           "limit");
    expect(bound >= 0 && division.most_bytes >= 0, "bounds");
    for (int i = 0; i < probe.count; i++) {
        rn_limit_source *source = &sources.of[i];
        entries[question.own].limit_bytes = division.limit_bytes;
        entries[question.own].granted_bytes = 0;
        expect(source->members == 0 || source->room_bytes == 0 || division.limit_bytes <= floor ||
                   rn_limit_is_kept(&probe, i, source->total_bytes, entries, count, question.own),
               "the promise");
        expect(source->members == 0 || source->part_bytes >= 0, "part");
    }
}

START_TEST(test_limit_random__any_numbers_stay_in_range)
{
    run_histories(100000, divide_anything);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_limit_random__never_more_than_there_is,
        test_limit_random__never_more_when_growth_is_not_seen,
        test_limit_random__what_is_given_back_unseen_counts_once,
        test_limit_random__all_get_their_share_and_rest,
        test_limit_random__demands_that_follow_come_to_rest,
        test_limit_random__any_numbers_stay_in_range,
    };
    return support_run("limit_random", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A machine on paper, and governors on it that divide it: what is in memory has left the headroom
 * at once; others see it, or, `stale`, know of it what was told in the last turn.
 *
 * Sources: the machine, and the groups /a, /a/x and /b; a governor lives in the machine alone, or
 * in one of them. A pool's limit follows what was answered at any time up to its next turn. */
#ifndef RATION_TESTS_LIMIT_WORLD_H
#define RATION_TESTS_LIMIT_WORLD_H

#include "base/hash.h"
#include "executor/limit.h"
#include "tests/support.h"

#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)
#define LIMIT_GROUPS 4 /* the first is the machine */

__extension__ typedef __int128 limit_wide;

static const char *const limit_group_names[LIMIT_GROUPS] = {"", "v2 /a", "v2 /a/x", "v2 /b"};

typedef struct limit_member {
    bool alive;
    ration_limits limits;
    int group; /* of limit_group_names */
    int64_t granted, resident;
    int64_t pool_limit; /* what it may grant */
    int64_t answer;     /* what it was told last, not in force yet; -1 = none */
    int64_t demand;
    int64_t unheard; /* bytes that left its memory since its last turn */
    int64_t before;  /* and in the two rounds before */
    int64_t earlier;
    rn_registry_division division; /* of its last turn */
    rn_registry_entry told;
    rn_limit_window window;
} limit_member;

typedef struct limit_machine {
    bool stale; /* what others have in memory is known of their last turns alone */
    int64_t now_ns;
    int64_t sizes[LIMIT_GROUPS]; /* INT64_MAX = no limit */
    int64_t
        outside[LIMIT_GROUPS]; /* used by others there; the machine's holds that of the groups */
    int64_t count;
    limit_member members[RN_REGISTRY_PLACES];
} limit_machine;

SUPPORT_UNUSED static bool limit_lies_in(int group, int source)
{
    return source == 0 || group == source || (source == 1 && group == 2);
}

/* What a source has for its members, held or free: nobody knows it but the test. */
SUPPORT_UNUSED static int64_t limit_total(const limit_machine *machine, int source)
{
    int64_t size = machine->sizes[source], outside = machine->outside[source];
    return size == INT64_MAX ? INT64_MAX : size > outside ? size - outside : 0;
}

SUPPORT_UNUSED static int64_t limit_headroom(const limit_machine *machine, int source)
{
    int64_t free_bytes = limit_total(machine, source);
    for (int64_t i = 0; i < machine->count && free_bytes != INT64_MAX; i++) {
        const limit_member *member = &machine->members[i];
        if (member->alive && limit_lies_in(member->group, source)) {
            free_bytes -= member->resident;
        }
    }
    return RN_MAX(0, free_bytes);
}

SUPPORT_UNUSED static void limit_look(const limit_machine *machine, const limit_member *member,
                                      rn_probe *probe)
{
    probe->count = 0;
    rn_copy_text(probe->group, sizeof probe->group, limit_group_names[member->group]);
    for (int source = 0; source < LIMIT_GROUPS; source++) {
        if (!limit_lies_in(member->group, source)) {
            continue;
        }
        rn_probe_source *to = &probe->sources[probe->count++];
        to->kind = source == 0 ? RN_PROBE_MACHINE : RN_PROBE_GROUP;
        rn_copy_text(to->group, sizeof to->group, limit_group_names[source]);
        rn_copy_text(to->name, sizeof to->name,
                     source == 0 ? "machine" : limit_group_names[source]);
        to->limit_bytes = machine->sizes[source];
        to->headroom_bytes = limit_headroom(machine, source);
    }
}

/* Sum over members of what they may grant or hold, each divided by its ratio, in bytes. */
SUPPORT_UNUSED static limit_wide limit_held(const limit_machine *machine, int source)
{
    limit_wide held = 0;
    for (int64_t i = 0; i < machine->count; i++) {
        const limit_member *member = &machine->members[i];
        if (member->alive && limit_lies_in(member->group, source)) {
            held += (limit_wide)RN_MAX(member->told.limit_bytes, member->granted) * 1000000 /
                    member->limits.limit_ratio_ppm;
        }
    }
    return held;
}

SUPPORT_UNUSED static void limit_settle(limit_member *member)
{
    if (member->answer >= 0) {
        member->pool_limit = member->answer;
        member->answer = -1;
    }
}

/* A turn; what is answered is in force with limit_settle. */
SUPPORT_UNUSED static void limit_turn(limit_machine *machine, limit_member *member)
{
    static rn_probe probe;
    rn_registry_entry entries[RN_REGISTRY_PLACES];
    int64_t count = 0, own = -1;
    limit_settle(member);
    machine->now_ns += 1000;
    member->told.granted_bytes = member->granted;
    member->told.resident_bytes = RN_MIN(member->resident, member->granted);
    member->told.limit_bytes = member->pool_limit;
    member->told.heard_ns = machine->now_ns;
    limit_look(machine, member, &probe);
    rn_limit_describe(&member->told, &member->limits, &probe);
    member->told.demand_bytes = rn_limit_round_demand(member->demand);
    for (int64_t i = 0; i < machine->count; i++) {
        own = &machine->members[i] == member ? count : own;
        if (machine->members[i].alive && machine->members[i].told.heard_ns > 0) {
            entries[count] = machine->members[i].told;
            if (!machine->stale) {
                entries[count].resident_bytes = machine->members[i].resident;
            }
            count++;
        }
    }
    const rn_limit_question question = {.limits = &member->limits,
                                        .probe = &probe,
                                        .entries = entries,
                                        .count = count,
                                        .own = own,
                                        .window = &member->window,
                                        .now_ns = machine->now_ns};
    rn_limit_divide(&question, &member->division, NULL, &member->told.bound_bytes);
    member->answer = member->division.limit_bytes;
    member->told.limit_bytes = RN_MAX(member->pool_limit, member->answer);
    member->earlier = member->before;
    member->before = member->unheard;
    member->unheard = 0;
}

/* A governor more, that has taken no turn yet. */
SUPPORT_UNUSED static limit_member *limit_join(limit_machine *machine, int group, int64_t ratio_ppm,
                                               int64_t reserve)
{
    limit_member *member = NULL;
    for (int64_t i = 0; i < machine->count && member == NULL; i++) {
        member = machine->members[i].alive ? NULL : &machine->members[i];
    }
    if (member == NULL) {
        rn_assert(machine->count < RN_REGISTRY_PLACES);
        member = &machine->members[machine->count++];
    }
    memset(member, 0, sizeof *member);
    member->alive = true;
    member->group = group;
    member->answer = -1;
    member->demand = INT64_MAX;
    ration_limits_default(&member->limits);
    member->limits.limit_ratio_ppm = ratio_ppm;
    member->limits.untracked_reserved_bytes = reserve;
    member->told.process = 1000 + (member - machine->members);
    member->told.start_time = machine->now_ns + 1;
    member->told.number = 1;
    member->told.bound_bytes = INT64_MAX;
    return member;
}

/* Grants up to `target` and touches it, or gives back down to it. */
SUPPORT_UNUSED static void limit_use(limit_member *member, int64_t target)
{
    int64_t granted = target > member->granted
                          ? RN_MAX(member->granted, RN_MIN(target, member->pool_limit))
                          : target;
    member->unheard += RN_MAX(0, member->resident - granted);
    member->granted = granted;
    member->resident = granted;
}

/* All take a turn and act on it at once, then use what they want of it: `wants`, one of each. */
SUPPORT_UNUSED static void limit_round(limit_machine *machine, const int64_t *wants)
{
    machine->now_ns += 100000000;
    for (int64_t i = 0; i < machine->count; i++) {
        limit_member *member = &machine->members[i];
        if (member->alive) {
            limit_turn(machine, member);
            limit_settle(member);
            limit_use(member, RN_MIN(wants[i], member->pool_limit));
        }
    }
}

SUPPORT_UNUSED static void limit_machine_open(limit_machine *machine, int64_t size)
{
    memset(machine, 0, sizeof *machine);
    machine->now_ns = 1000000000;
    for (int source = 0; source < LIMIT_GROUPS; source++) {
        machine->sizes[source] = source == 0 ? size : INT64_MAX;
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Governors, as processes have them: each comes at its time, ticks, is told other limits, and goes
 * when its queries have ended. Either there is one with a given limit, or some divide the machine's
 * memory (machine.c).
 *
 * Where they follow, the machine has for each as much as its largest query claims, once the
 * strangers are gone: so nobody who waits is to be refused, however little there is meanwhile. */
#include "tests/sim/disk.h"
#include "tests/sim/sim.h"
#include "tests/support.h"

#define KIB INT64_C(1024)

const char *const sim_group_names[] = {"a", "b", "c"};

static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)sim_below((uint64_t)(high - low + 1));
}

/* ------------------------------------------------------------------------------------- choosing */

static void choose_group(ration_group *group, const char *name, int64_t limit_bytes)
{
    memset(group, 0, sizeof *group);
    rn_copy_text(group->name, sizeof group->name, name);
    group->share = between(1, 4);
    group->priority = between(0, 2);
    group->queries_max = sim_one_in(3) ? between(1, 3) : 0;
    group->limit_bytes = sim_one_in(3) ? between(limit_bytes / 2, limit_bytes) : 0;
}

static int64_t most_of(const sim_home *home)
{
    const ration_limits *limits = &home->limits;
    int64_t most = limits->limit_bytes == 0 ? INT64_MAX : limits->limit_bytes;
    if (sim_the.follows) {
        int64_t there = sim_machine_total() * limits->limit_ratio_ppm / 1000000 -
                        limits->untracked_reserved_bytes;
        int64_t ceiling = limits->limit_ceiling_bytes == 0 ? most : limits->limit_ceiling_bytes;
        most = RN_MIN(most, RN_MIN(there, ceiling));
    }
    return most;
}

/* Its queries may have to do with so little from now on. */
static void note_least(sim_home *home)
{
    home->least_limit_bytes = RN_MIN(home->least_limit_bytes, most_of(home));
    for (int64_t i = 0; i < home->limits.group_count; i++) {
        const ration_group *group = &home->limits.groups[i];
        int64_t *least = &home->least_group_bytes[group->name[0] - 'a'];
        *least = group->limit_bytes == 0 ? *least : RN_MIN(*least, group->limit_bytes);
    }
}

static void choose_home(sim_home *home, const ration_limits *limits, int64_t need, int64_t now_ns)
{
    static const int64_t ratios[] = {500000, 800000, 999999, 1000000};
    snprintf(home->name, sizeof home->name, "P%d", (int)(home - sim_the.homes));
    home->limits = *limits;
    home->least_limit_bytes = INT64_MAX;
    home->arrives_ns = now_ns;
    if (sim_the.follows) {
        home->arrives_ns += sim_one_in(2) ? 0 : between(0, 100 * SIM_MILLISECOND_NS);
        home->limits.enable_system_monitor = true;
        home->limits.limit_bytes = sim_one_in(4) ? between(need, 8 * need) : 0;
        home->limits.limit_ratio_ppm = ratios[sim_below(RN_COUNT(ratios))];
        home->limits.untracked_reserved_bytes = sim_one_in(2) ? 0 : between(0, 512 * KIB);
        home->limits.limit_floor_bytes = between(1, need / 2);
        home->limits.limit_ceiling_bytes = sim_one_in(4) ? between(need, 8 * need) : 0;
        if (!sim_the.impatient) { /* longer than the strangers stay */
            home->limits.query_wait_ms_max = between(1000, 3000);
        }
        home->limits.monitor_interval_ms = between(10, sim_one_in(2) ? 12 : 100);
        rn_copy_text(home->limits.registry_directory, sizeof home->limits.registry_directory,
                     sim_machine_registry());
    }
    home->limits.group_count = sim_one_in(3) ? between(1, RN_COUNT(sim_group_names)) : 0;
    for (size_t i = 0; i < RN_COUNT(home->least_group_bytes); i++) {
        home->least_group_bytes[i] = INT64_MAX;
    }
    for (int64_t i = 0; i < home->limits.group_count; i++) {
        int64_t limit = sim_the.follows ? 4 * need : limits->limit_bytes;
        choose_group(&home->limits.groups[i], sim_group_names[i], limit);
    }
}

void sim_homes_choose(const ration_limits *limits, int64_t now_ns)
{
    sim_the.follows = sim_one_in(2);
    sim_the.home_count = sim_the.follows ? 1 + (uint32_t)sim_below(SIM_HOMES_MAX) : 1;
    int64_t need = sim_the.need_bytes = between(640 * KIB, 3 * 1024 * KIB), total = 0;
    for (uint32_t i = 0; i < sim_the.home_count; i++) {
        choose_home(&sim_the.homes[i], limits, need, now_ns);
    }
    for (uint32_t i = 0; i < sim_the.home_count; i++) {
        const ration_limits *of = &sim_the.homes[i].limits;
        int64_t part = (need + of->untracked_reserved_bytes + KIB) * 1000000 / of->limit_ratio_ppm;
        total = RN_MAX(total, (part + 4 * KIB) * sim_the.home_count);
    }
    int64_t percent = between(100, sim_one_in(2) ? 130 : 400);
    int64_t resident_percent = sim_one_in(3) ? between(0, 100) : 100;
    sim_machine_begin(total * percent / 100, resident_percent, sim_one_in(3));
    for (uint32_t i = 0; i < sim_the.home_count; i++) {
        note_least(&sim_the.homes[i]);
    }
}

/* ---------------------------------------------------------------------------------------- lives */

/* What the machine has, for who looks at it now. */
static void show(sim_home *home)
{
    home->seen_bytes = sim_machine_show();
}

/* Too little for the floor is an error; so it is started again until the strangers are gone. */
static void open_home(sim_home *home)
{
    ration_error error;
    ration_governor *governor;
    ration_status status;
    int tries = 0;
    for (bool again = true; again; tries++) {
        show(home);
        status = rn_governor_open_at(&home->limits, sim_machine_place(), &governor, &error);
        again = tries < 100 && ((status == RATION_NO_MEMORY && sim_the.out_of_memory) ||
                                (status == RATION_ENVIRONMENT && sim_the.follows));
        sim_sleep_until(sim_now_ns() + (again ? 20 * SIM_MILLISECOND_NS : 0));
    }
    sim_must(status == RATION_OK, "%s did not open: %s", home->name, support_error(&error));
    rn_spill_volume_replace(governor->volume, sim_disk_table());
    home->governor = governor;
    sim_wake(home);
}

static void live_home(void *argument)
{
    sim_home *home = argument;
    sim_sleep_until(home->arrives_ns);
    open_home(home);
    int64_t pause_ms = sim_the.follows ? home->limits.monitor_interval_ms : 100;
    while (home->living > 0 || home->visitors > 0) {
        sim_sleep_until(sim_now_ns() + pause_ms * SIM_MILLISECOND_NS);
        show(home);
        ration_governor_tick(home->governor);
    }
    oracle_home(home);
    ration_governor *governor = home->governor;
    home->governor = NULL;
    ration_governor_close(governor);
}

void sim_homes_spawn(void)
{
    for (uint32_t i = 0; i < sim_the.home_count; i++) {
        sim_spawn(sim_the.homes[i].name, true, live_home, &sim_the.homes[i]);
    }
}

bool sim_home_enter(sim_home *home)
{
    home->visitors += 1;
    return home->governor != NULL;
}

void sim_home_leave(sim_home *home)
{
    home->visitors -= 1;
}

/* -------------------------------------------------------------------------------------- reloads */

static void choose_reload(const sim_home *home, ration_limits *out_limits)
{
    *out_limits = home->limits;
    int64_t need = home->least_limit_bytes;
    if (!sim_the.follows && sim_one_in(2)) {
        out_limits->limit_bytes =
            between(home->limits.limit_bytes / 2, home->limits.limit_bytes * 2);
    }
    if (sim_the.follows && sim_one_in(2)) {
        out_limits->limit_ceiling_bytes = sim_one_in(2) ? 0 : between(need / 2, 4 * need);
        out_limits->monitor_interval_ms = between(10, 100);
    }
    if (sim_one_in(2)) {
        out_limits->group_count = between(0, RN_COUNT(sim_group_names));
        for (int64_t i = 0; i < out_limits->group_count; i++) {
            choose_group(&out_limits->groups[i], sim_group_names[i], 2 * need);
        }
    }
    out_limits->retain_ms = between(0, 100);
}

/* Something that must not hold. */
static void spoil(ration_limits *limits)
{
    switch (sim_below(3)) {
    case 0:
        rn_copy_text(limits->spill_directory, sizeof limits->spill_directory, "/elsewhere");
        break;
    case 1:
        limits->check_interval = 0;
        break;
    default:
        rn_copy_text(limits->registry_directory, sizeof limits->registry_directory, "/elsewhere");
        break;
    }
}

void sim_home_reload(sim_home *home, sim_totals *totals)
{
    ration_limits before = home->limits, limits;
    ration_error error = {.status = RATION_OK};
    bool bad = sim_one_in(4);
    choose_reload(home, &limits);
    if (bad) {
        spoil(&limits);
    } else { /* before it holds, for who hears of it first */
        home->limits = limits;
        note_least(home);
        home->lost_groups = home->lost_groups || limits.group_count < before.group_count;
    }
    show(home);
    ration_status status = ration_governor_reload(home->governor, &limits, &error);
    sim_note("reloaded", (int64_t)status);
    if (status != RATION_OK) {
        home->limits = before;
    }
    bool may_fail = status == RATION_NO_MEMORY && sim_the.out_of_memory;
    bool expected = bad ? status == RATION_CONFIG : status == RATION_OK || may_fail;
    sim_must(expected, "a %s reload of %s: %s: %s", bad ? "bad" : "good", home->name,
             ration_status_name(status), error.message);
    sim_must(status == RATION_OK || error.status == status, "a failed reload says nothing");
    totals->reloads += status == RATION_OK;
    totals->bad_reloads += status != RATION_OK;
}

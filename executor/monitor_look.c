/* SPDX-License-Identifier: Apache-2.0
 *
 * One look of the monitor, and what can be read of it: rn_monitor_tick; rn_monitor_pauses,
 * rn_monitor_attainable, rn_monitor_expected; ration_governor_read and its kin. What it goes by:
 * monitor.c. */
#include "executor/monitor_look.h"

#include <unistd.h>

#include "executor/admission.h"
#include "memory/shared.h"

#define FULL_NS INT64_C(1000000000) /* between two full readings */
#define DOUBT_NS INT64_C(30000000000)
#define STALE_NS INT64_C(1000000000) /* at least, and ten intervals */
#define RAISE_LOOKS 10
#define READ_TRIES 4
#define DEMAND_LEAST (INT64_C(64) << 20)
#define STALL_WINDOW_US 2000000
#define HASTE_NS INT64_C(10000000)

/* What one look found, and is to be done about it. */
typedef struct look {
    ration_governor *governor;
    rn_monitor *monitor;
    int64_t now_ns;
    const rn_probe *probe; /* NULL = the machine could not be read */
    bool trusted;          /* it may raise the limit */
    rn_monitor_holding holding;
    rn_registry_division division;
    bool divided;
    bool grace;           /* somebody may rest because of a cut */
    bool moved;           /* the root's limit was set, or a level left */
    int64_t relief_bytes; /* to be given so that pressure ends */
} look;

/* ------------------------------------------------------------------------------------- reading */

static void put_note(rn_monitor *monitor, const char *note)
{
    rn_copy_text(monitor->figures.note, sizeof monitor->figures.note, note);
}

/* Does the source bound less than it did? */
static bool is_lost(const rn_probe *fresh, const rn_probe_source *last)
{
    for (int i = 0; i < fresh->count; i++) {
        if (strcmp(fresh->sources[i].name, last->name) == 0) {
            return fresh->sources[i].limit_bytes == INT64_MAX && last->limit_bytes != INT64_MAX;
        }
    }
    return true;
}

/* Is something guessed that was not at the last good reading, or may be? A full note hides others.
 */
static bool is_doubtful(const rn_probe *last, const rn_probe *fresh)
{
    bool lost = false;
    for (int i = 0; i < last->count; i++) {
        lost |= is_lost(fresh, &last->sources[i]);
    }
    bool full = strlen(fresh->note) >= sizeof fresh->note - 2;
    bool other = strcmp(fresh->note, last->note) != 0;
    return fresh->guessed && (!last->guessed || other || (full && lost));
}

/* A reading with a new guess may lack a limit, or part of what is used below it. Only of a process
 * that has moved to other groups this may be how the machine is, when it stays so. */
static bool is_good(rn_eyes *eyes, const rn_probe *last, const rn_probe *fresh, int64_t now_ns)
{
    if (!is_doubtful(last, fresh) || fresh->membership == last->membership) {
        eyes->doubt_since_ns = now_ns;
        return !is_doubtful(last, fresh);
    }
    return now_ns - eyes->doubt_since_ns >= DOUBT_NS;
}

static void read_in_full(look *now)
{
    rn_eyes *eyes = now->monitor->eyes;
    rn_probe *last = &eyes->probes[eyes->probe], *fresh = &eyes->probes[1 - eyes->probe];
    ration_error error;
    if (rn_probe_read(now->monitor->sysroot, fresh, &error) != RATION_OK) {
        put_note(now->monitor, error.message);
        return;
    }
    if (fresh->note[0] != '\0') {
        put_note(now->monitor, fresh->note);
    }
    now->probe = fresh;
    now->trusted = is_good(eyes, last, fresh, now->now_ns);
    if (now->trusted) {
        eyes->probe = 1 - eyes->probe;
        eyes->full_ns = now->now_ns;
    }
}

static bool read_again(look *now)
{
    rn_eyes *eyes = now->monitor->eyes;
    rn_probe *last = &eyes->probes[eyes->probe];
    bool whole = rn_probe_refresh(now->monitor->sysroot, last, &eyes->files);
    now->probe = whole ? last : NULL;
    return whole;
}

/* A host that has no descriptor left is blind for new files; those that are open still tell. */
static void read_machine(look *now)
{
    rn_eyes *eyes = now->monitor->eyes;
    put_note(now->monitor, eyes->note);
    now->trusted = now->now_ns - eyes->full_ns < FULL_NS && read_again(now);
    if (now->trusted) {
        eyes->doubt_since_ns = now->now_ns;
    } else {
        read_in_full(now);
    }
    if (now->probe == NULL) {
        (void)read_again(now);
    }
}

/* The machine and the process are not read at one instant. What the process takes or gives back in
 * between counts once, so the total seems smaller by it: when that is much, they are read again. */
static int64_t read_together(look *now)
{
    rn_monitor *monitor = now->monitor;
    int64_t much = rn_load(&now->governor->root->limit) / RN_MONITOR_RAISE_PART;
    int64_t before = rn_monitor_growth(monitor);
    read_machine(now);
    int64_t after = rn_monitor_growth(monitor);
    for (int tries = 1; tries < READ_TRIES && now->trusted; tries++) {
        const rn_probe *probe = now->probe;
        if (after - before <= much && before - after <= much) {
            break;
        }
        before = after;
        if (!read_again(now)) { /* as it was */
            now->probe = probe;
            break;
        }
        after = rn_monitor_growth(monitor);
    }
    return RN_MIN(before, after);
}

/* -------------------------------------------------------------------------------- what it holds */

/* Grown by all processes of the tree, as far as they have told. */
static int64_t sum_growth(const ration_governor *governor, int64_t own)
{
    if (governor->process == 0) {
        return own;
    }
    int64_t sum = 0;
    rn_ledger_lock(governor->ledger);
    rn_store(&governor->data->resident, own);
    for (const ration_pool *at = rn_pool_child(governor->all_data); at != NULL;
         at = rn_pool_sibling(at)) {
        sum = rn_add(sum, rn_load(&at->resident));
    }
    rn_ledger_unlock(governor->ledger);
    return sum;
}

/* Charged, without what claims add and nobody has taken yet. */
static int64_t count_used(const ration_governor *governor)
{
    int64_t used = 0;
    rn_ledger_lock(governor->ledger);
    for (ration_pool *pool = governor->root; pool != NULL;
         pool = rn_pool_next(pool, governor->root)) {
        rn_walk walk;
        used = rn_add(used, rn_load(&pool->direct));
        for (rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL; slot = rn_walk_next(&walk)) {
            used = rn_add(used, rn_slot_counted(slot));
        }
    }
    rn_ledger_unlock(governor->ledger);
    return used;
}

/* What the host has taken for itself is no part of what is granted: with one governor in the
 * process it is known what can be. */
void rn_monitor_measure(ration_governor *governor, int64_t growth_bytes,
                        rn_monitor_holding *holding)
{
    holding->limit_bytes = RN_MAX(rn_load(&governor->root->limit), 1); /* 0: there is no pool yet */
    holding->granted_bytes = rn_load(&governor->root->granted);
    holding->growth_bytes = sum_growth(governor, growth_bytes);
    int64_t most = rn_monitor_is_alone() ? count_used(governor) : INT64_MAX;
    holding->resident_bytes = RN_MAX(RN_MIN(holding->growth_bytes, most), 0);
}

/* Of the last looks the one nearest to 0; 0 when they differ in sign. */
static int64_t find_lasting(const rn_monitor *monitor)
{
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (int i = 0; i < RN_MONITOR_DRIFTS; i++) {
        least = RN_MIN(least, monitor->drifts[i]);
        most = RN_MAX(most, monitor->drifts[i]);
    }
    return least > 0 ? least : RN_MIN(most, 0);
}

static void find_drift(look *now)
{
    rn_monitor *monitor = now->monitor;
    ration_governor_figures *figures = &monitor->figures;
    const ration_limits *limits = &monitor->limits;
    ration_pool_figures root;
    ration_pool_read(now->governor->root, &root);
    figures->accounted_bytes = root.charged_bytes + root.retained_bytes;
    figures->resident_bytes = now->holding.growth_bytes;
    int64_t accounted = rn_monitor_account(monitor, figures->accounted_bytes);
    monitor->drifts[figures->looks % RN_MONITOR_DRIFTS] = now->holding.growth_bytes - accounted;
    figures->drift_bytes = find_lasting(monitor);
    int64_t above = RN_MAX(figures->drift_bytes - limits->untracked_reserved_bytes, 0);
    int64_t basis =
        limits->limit_bytes != 0 ? rn_limit_ceiling(limits) : monitor->division.limit_bytes;
    figures->corrected_bytes = rn_monitor_corrects(limits) ? above : 0;
    figures->corrected_bytes = rn_monitor_correction(monitor, basis);
}

/* Is memory wanting in it? */
static bool is_pressed(const look *now)
{
    rn_monitor *monitor = now->monitor;
    ration_governor *governor = now->governor;
    rn_ledger_lock(governor->ledger);
    int64_t short_of = governor->short_of, refusals = rn_load(&governor->root->refusals);
    bool waits = governor->turns_waiting > 0 || rn_load(&governor->root->waiting) > 0;
    rn_ledger_unlock(governor->ledger);
    bool asked = short_of != monitor->short_of || refusals != monitor->refusals;
    monitor->short_of = short_of;
    monitor->refusals = refusals;
    int64_t limit = now->holding.limit_bytes;
    return asked || waits || now->holding.granted_bytes >= limit - limit / 4;
}

static void find_demand(look *now)
{
    rn_monitor *monitor = now->monitor;
    int64_t granted = now->holding.granted_bytes;
    int64_t left = RN_MAX(monitor->pressed_looks - 1, 0);
    monitor->pressed_looks = is_pressed(now) ? RN_MONITOR_PRESSED_LOOKS : left;
    now->holding.demand_bytes =
        monitor->pressed_looks > 0 ? INT64_MAX : rn_add(rn_add(granted, granted / 2), DEMAND_LEAST);
}

/* ------------------------------------------------------------------------------------ the limit */

/* When another process led, and has gone; and now and then while there is no registry: then what
 * others hold is not known, nor to them what this one does. */
static void take_over(look *now)
{
    rn_monitor *monitor = now->monitor;
    rn_eyes *eyes = monitor->eyes;
    bool leads = monitor->leads || rn_ledger_leads(now->governor->ledger);
    bool late = now->now_ns - eyes->full_ns >= FULL_NS;
    ration_error error;
    if (leads && eyes->registry == NULL && (late || !monitor->leads)) {
        eyes->note[0] = '\0';
        if (rn_eyes_enter_registry(eyes, &monitor->limits, &error) != RATION_OK) {
            rn_copy_text(eyes->note, sizeof eyes->note, error.message);
        }
        if (eyes->registry != NULL) {
            rn_registry_put_limits(eyes->registry, &monitor->limits);
        }
    }
    monitor->leads = leads;
}

static void divide(look *now)
{
    rn_monitor *monitor = now->monitor;
    ration_error error;
    rn_registry *registry = monitor->leads ? monitor->eyes->registry : NULL;
    now->divided =
        rn_monitor_divide(monitor, registry, &now->holding, &now->division, &error) == RATION_OK;
    if (!now->divided) {
        put_note(monitor, error.message);
        return;
    }
    if (!now->division.published) {
        put_note(monitor, now->division.note);
    }
    if (now->trusted) {
        monitor->division = now->division;
    }
}

static int64_t choose_limit(const look *now, int64_t limit_bytes)
{
    rn_monitor *monitor = now->monitor;
    int64_t target = rn_monitor_target(monitor, &monitor->limits, &now->division);
    if (target <= limit_bytes || !now->trusted) {
        monitor->raise_looks = 0;
        return RN_MIN(target, limit_bytes);
    }
    monitor->raise_looks += 1;
    if (target - limit_bytes < limit_bytes / RN_MONITOR_RAISE_PART &&
        monitor->raise_looks < RAISE_LOOKS) {
        return limit_bytes;
    }
    monitor->raise_looks = 0;
    return target;
}

/* Who runs has until then to fit into less. */
static void note_cut(rn_monitor *monitor, int64_t now_ns, int64_t from_bytes, int64_t to_bytes)
{
    if (from_bytes - to_bytes >= RN_MAX(from_bytes / RN_MONITOR_RAISE_PART, 1)) {
        int64_t wait_ns = rn_multiply(monitor->limits.query_wait_ms_max, 1000000);
        int64_t before = now_ns < monitor->grace_until_ns ? monitor->grace_bytes : 0;
        monitor->grace_bytes = RN_MAX(before, from_bytes);
        monitor->grace_until_ns = rn_add(now_ns, wait_ns);
    }
}

void rn_monitor_tell(ration_governor *governor, int64_t now_ns)
{
    const rn_monitor *monitor = governor->monitor;
    rn_ledger *ledger = governor->ledger;
    bool follows = rn_load(&ledger->fixed) == 0 && monitor->bound_bytes != 0;
    bool grace = follows && now_ns < monitor->grace_until_ns;
    rn_store(&ledger->attainable_bytes, follows ? monitor->bound_bytes : 0);
    rn_store(&ledger->expected_until_ns, monitor->grace_until_ns);
    rn_store(&ledger->expected_bytes, grace ? monitor->grace_bytes : 0);
}

static void follow(look *now)
{
    ration_governor *governor = now->governor;
    rn_monitor *monitor = now->monitor;
    rn_ledger_lock(governor->ledger);
    int64_t before = rn_load(&governor->root->limit);
    bool fixed = rn_load(&governor->ledger->fixed) != 0;
    int64_t limit = fixed ? before : choose_limit(now, before);
    if (limit != before) {
        rn_pool_set_limit_locked(governor->root, limit);
        rn_store(&governor->limit_derived, limit != monitor->limits.limit_bytes);
        now->moved = true;
    }
    monitor->figures.changes += limit != before;
    note_cut(monitor, now->now_ns, before, limit);
    monitor->bound_bytes = rn_monitor_bound(&monitor->limits, now->probe);
    rn_monitor_tell(governor, now->now_ns);
    rn_ledger_unlock(governor->ledger); /* and not before: who sets it by hand has the last word */
}

/* ------------------------------------------------------------------------------------- pressure */

/* What there is at a source: with what its members have in memory, as far as that is known. */
static int64_t find_total(const look *now, int source)
{
    const rn_probe_source *at = &now->probe->sources[source];
    if (source == now->division.binding || at->headroom_bytes == INT64_MAX) {
        return source == now->division.binding ? now->division.total_bytes : INT64_MAX;
    }
    if (now->monitor->limits.limit_base == RATION_BASE_TOTAL) {
        return at->limit_bytes;
    }
    const rn_probe_source *binding = &now->probe->sources[now->division.binding];
    int64_t members = at->kind == RN_PROBE_PROCESS
                          ? now->holding.resident_bytes
                          : rn_add(now->division.total_bytes, -binding->headroom_bytes);
    return RN_MIN(rn_add(at->headroom_bytes, RN_MAX(members, 0)), at->limit_bytes);
}

/* The source that is shortest of its spare bytes; it need not be the one with the least share. */
static int find_tightest(const look *now, int64_t *out_spare_bytes)
{
    int tightest = now->division.binding;
    double least = 0;
    *out_spare_bytes = 0;
    for (int i = 0; i < now->probe->count; i++) {
        int64_t total = find_total(now, i);
        int64_t spare =
            total == INT64_MAX ? 0 : rn_pressure_spare(total, now->monitor->limits.limit_ratio_ppm);
        double left = (double)now->probe->sources[i].headroom_bytes / (double)RN_MAX(spare, 1);
        if (spare > 0 && (*out_spare_bytes == 0 || left < least)) {
            least = left;
            tightest = i;
            *out_spare_bytes = spare;
        }
    }
    return tightest;
}

static void judge(look *now)
{
    rn_monitor *monitor = now->monitor;
    int64_t spare;
    const rn_probe_source *source = &now->probe->sources[find_tightest(now, &spare)];
    bool of_group = source->kind != RN_PROBE_MACHINE && now->probe->group_stall.known;
    if (of_group != monitor->of_group) { /* other counters */
        monitor->of_group = of_group;
        monitor->gauge.count = 0;
    }
    rn_strain strain = {.now_ns = now->now_ns,
                        .headroom_bytes = source->headroom_bytes,
                        .spare_bytes = spare,
                        .stall = of_group ? now->probe->group_stall : now->probe->stall,
                        .stall_ppm = monitor->limits.pressure_stall_ppm};
    ration_pressure before = monitor->gauge.level;
    ration_pressure level = rn_pressure_judge(&monitor->gauge, &strain);
    int64_t stale_ns = RN_MAX(rn_multiply(monitor->limits.monitor_interval_ms, 10000000), STALE_NS);
    rn_store(&monitor->level_until_ns, rn_add(now->now_ns, stale_ns));
    rn_store(&monitor->level, level);
    rn_store(&now->governor->settle_shift, level == RATION_PRESSURE_NORMAL ? 0
                                           : level == RATION_PRESSURE_ELEVATED
                                               ? RN_MONITOR_ELEVATED_SHIFT
                                               : RN_MONITOR_CRITICAL_SHIFT);
    now->moved |= level < before;
    now->relief_bytes = RN_MAX(rn_pressure_relief(strain.spare_bytes) - strain.headroom_bytes, 0);
    rn_spill_volume_set_write_behind(now->governor->volume, source->kind == RN_PROBE_GROUP);
}

/* Without a lock of the monitor. What is freed on the way goes back to the system with the next
 * look. */
static void act(const look *now, ration_pressure level)
{
    ration_governor *governor = now->governor;
    if (level >= RATION_PRESSURE_ELEVATED) {
        (void)rn_pool_recall(governor->root);
        rn_blocks_purge(governor->blocks);
    }
    if (level == RATION_PRESSURE_CRITICAL && now->relief_bytes > 0) {
        rn_ask_press_to(governor, RN_MAX(now->holding.granted_bytes - now->relief_bytes, 0));
    }
    if (now->moved) {
        rn_ask_press(governor);
        rn_admission_move(governor);
    }
    if (now->moved || now->grace) {
        rn_ask_wake_resting(governor);
    }
}

/* -------------------------------------------------------------------------------------- ticking */

static void add_time(rn_monitor *monitor, int64_t now_ns)
{
    int64_t passed = RN_MAX(now_ns - monitor->looked_ns, 0);
    int64_t level = rn_load(&monitor->level);
    monitor->elevated_ns += level >= RATION_PRESSURE_ELEVATED ? passed : 0;
    monitor->critical_ns += level == RATION_PRESSURE_CRITICAL ? passed : 0;
    rn_store(&monitor->looked_ns, now_ns);
}

static void look_once(look *now)
{
    rn_monitor *monitor = now->monitor;
    add_time(monitor, now->now_ns);
    take_over(now);
    now->holding.now_ns = rn_clock_ns();
    int64_t growth = read_together(now);
    now->holding.limits = &monitor->limits;
    now->holding.probe = now->probe;
    rn_monitor_measure(now->governor, growth, &now->holding);
    find_drift(now);
    find_demand(now);
    if (now->probe != NULL) {
        divide(now);
    }
    now->grace = rn_load(&now->governor->ledger->expected_bytes) != 0; /* also when it ends now */
    if (now->divided && monitor->leads) {
        follow(now);
    }
    if (now->divided) {
        judge(now);
        const rn_probe_source *source = &now->probe->sources[now->division.binding];
        monitor->figures.available_bytes = source->headroom_bytes;
        rn_copy_text(monitor->figures.binding, sizeof monitor->figures.binding, source->name);
    }
    monitor->figures.looks += 1;
}

void rn_monitor_tick(ration_governor *governor)
{
    rn_monitor *monitor = governor->monitor;
    int64_t now_ns = monitor->clock();
    if (now_ns < rn_load(&monitor->due_ns) || monitor->process != getpid() ||
        pthread_mutex_trylock(&monitor->lock) != 0) {
        return;
    }
    look now = {.governor = governor, .monitor = monitor, .now_ns = now_ns};
    bool due = now_ns >= rn_load(&monitor->due_ns); /* nobody else has looked meanwhile */
    if (due) {
        look_once(&now);
        /* A tenth less, or a host that ticks as often would come too early every other time. */
        rn_store(&monitor->due_ns,
                 rn_add(now_ns, rn_multiply(monitor->limits.monitor_interval_ms, 900000)));
    }
    ration_pressure level = monitor->gauge.level;
    pthread_mutex_unlock(&monitor->lock);
    if (due) {
        act(&now, level);
    }
}

void ration_governor_hasten(ration_governor *governor)
{
    rn_monitor *monitor = governor->monitor;
    int64_t due_ns = rn_load(&monitor->due_ns);
    int64_t soon_ns = rn_add(rn_load(&monitor->looked_ns), HASTE_NS);
    if (due_ns > soon_ns && due_ns != INT64_MAX) { /* else somebody has looked, or is not to */
        (void)rn_compare_swap(&monitor->due_ns, &due_ns, soon_ns);
    }
}

/* ------------------------------------------------------------------------------------- readings */

/* Not when it is long ago that somebody could look: then nobody knows, and nobody would end it. */
bool rn_monitor_pauses(const ration_governor *governor)
{
    const rn_monitor *monitor = governor->monitor;
    return rn_load(&monitor->level) == RATION_PRESSURE_CRITICAL &&
           monitor->clock() < rn_load(&monitor->level_until_ns);
}

int64_t rn_monitor_expected(const ration_governor *governor)
{
    const rn_ledger *ledger = governor->ledger;
    int64_t limit = rn_load(&governor->root->limit), expected = rn_load(&ledger->expected_bytes);
    bool soon =
        expected > limit && governor->monitor->clock() < rn_load(&ledger->expected_until_ns);
    return soon ? expected : limit;
}

int64_t rn_monitor_attainable(const ration_governor *governor)
{
    return RN_MAX(rn_load(&governor->ledger->attainable_bytes), rn_monitor_expected(governor));
}

void rn_monitor_forget(ration_governor *governor)
{
    rn_store(&governor->ledger->attainable_bytes, 0);
    rn_store(&governor->ledger->expected_bytes, 0);
}

ration_pressure ration_governor_pressure(const ration_governor *governor)
{
    return (ration_pressure)rn_load(&governor->monitor->level);
}

/* In the child of a fork the lock may be that of a thread which is not there. */
static bool lock_own(rn_monitor *monitor)
{
    return monitor->process == getpid() && pthread_mutex_lock(&monitor->lock) == 0;
}

void ration_governor_read(const ration_governor *governor, ration_governor_figures *out_figures)
{
    rn_monitor *monitor = governor->monitor;
    bool locked = lock_own(monitor);
    ration_governor_figures figures = monitor->figures;
    figures.limit_bytes = rn_load(&governor->root->limit);
    figures.reloads = rn_load(&governor->reloads);
    bool divided = monitor->eyes != NULL && monitor->leads;
    figures.share_bytes = divided ? monitor->division.share_bytes : figures.limit_bytes;
    figures.processes = divided ? monitor->division.others + 1 : 1;
    figures.pressure = (ration_pressure)rn_load(&monitor->level);
    figures.stalled_ppm = monitor->gauge.some_ppm;
    figures.stalled_full_ppm = monitor->gauge.full_ppm;
    figures.elevated_ms = monitor->elevated_ns / 1000000;
    figures.critical_ms = monitor->critical_ns / 1000000;
    figures.following &= rn_load(&governor->ledger->fixed) == 0;
    if (locked) {
        pthread_mutex_unlock(&monitor->lock);
    }
    *out_figures = figures;
}

int ration_governor_pressure_descriptor(const ration_governor *governor)
{
    rn_monitor *monitor = governor->monitor;
    if (!lock_own(monitor)) {
        return -1;
    }
    int64_t stall_us = rn_share_of_ratio(STALL_WINDOW_US, monitor->limits.pressure_stall_ppm);
    if (monitor->descriptor < 0 && monitor->eyes != NULL && stall_us > 0 &&
        monitor->figures.following) {
        monitor->descriptor =
            rn_probe_stall_trigger(rn_eyes_probe(monitor->eyes), stall_us, STALL_WINDOW_US);
    }
    int descriptor = monitor->descriptor;
    pthread_mutex_unlock(&monitor->lock);
    return descriptor;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Follows the machine: rn_monitor_open -> rn_monitor_tick at each tick of the host ->
 * rn_monitor_close; rn_monitor_relimit when memory.yaml has changed. A look, and what can be read
 * of it: monitor_look.c.
 *
 * One look, every monitor_interval_ms: read the machine, tell the registry what is granted and
 * resident, take what it says may be granted (registry.h), set the root's limit, judge the pressure
 * (pressure.h), act on it.
 *
 *   1. The limit falls at once. It rises when it may by 1/64 at least, or has been allowed to for
 *      ten looks: a machine that breathes does not make the limit flutter.
 *   2. A look that could not be read never raises it, nor one with a note that was not there
 *      before, unless the process has moved to other groups and it stays so.
 *   3. It is never above limit_bytes or limit_ceiling_bytes, nor lowered below limit_floor_bytes
 *      (or the ceiling, where that is less).
 *   4. A limit set by ration_governor_set_limit stays until rn_monitor_relimit: ledger->fixed,
 *      under the ledger's lock together with the limit.
 *   5. In a shared tree one process leads: it alone is registered, with all that is granted there,
 *      and sets the limit; the others tell what of theirs is resident, and look at pressure for
 *      their own queries. Who has been there when nobody else was leads; when it is gone, the next
 *      one that ticks does. A leader that does not tick leaves the limit as it is.
 *
 * Demand: a governor that is idle leaves to others what it does not use. It says that it would take
 * everything while it is pressed: somebody asked its root in vain, waits there or for admission, or
 * it has granted three quarters of its limit, at this look or one of the last
 * RN_MONITOR_PRESSED_LOOKS; else one and a half of what is granted, and DEMAND_LEAST. It begins
 * as if pressed: whoever opens a governor is about to load and to ask.
 *
 * Drift: what the process keeps in memory beyond what is accounted, as far as it lasts
 * RN_MONITOR_DRIFTS looks and is more than the untracked reserve. Where the limit is a part of what
 * is available, the headroom lacks it already; off a given limit, or a part of the total, it is
 * taken here, a quarter of it at most.
 *
 * Of several governors in one process each sees the growth of all; what is accounted is summed up
 * over them too, so each finds the same drift, and corrects its own limit for it.
 *
 * Locks: the monitor's, then the ledger's. Nothing asks for the monitor's while it has the
 * ledger's: admission and asking read atomic words. Actions are done after it is let go.
 * Bounds: a look is some system calls (probe.h, registry.h) and a pass over the slots. Rejected: a
 * thread in the library; the host knows when it can spare the time, and keeper.c is one. */
#include <unistd.h>

#include "executor/admission.h"
#include "executor/monitor_look.h"
#include "memory/shared.h"

#define CORRECTED_PART 4
#define WAIT_NS INT64_C(50000000) /* at open, for others that give way .. */
#define WAIT_TRIES 20             /* .. so many times .. */
#define WAIT_SAME 4               /* .. or until so many change nothing, when it follows later .. */
#define WAIT_FOR_FLOOR 100        /* .. and up to so many while it is less than the floor */

/* -------------------------------------------------------------------------------- the process */

/* All atomic: a lock could be that of a thread that the child of a fork does not have. What it has
 * inherited is no memory of its own. */
static int64_t process_number; /* pid that all of these are of */
static int64_t process_monitors;
static int64_t process_base_bytes;     /* resident when the first was opened; 0 = not read */
static int64_t process_resident_bytes; /* as it was last read */
static int64_t process_accounted_bytes;

/* What could not be read is as it was. */
static int64_t read_resident(const rn_monitor *monitor)
{
    int64_t none = 0, resident = rn_probe_resident(monitor->sysroot);
    if (resident != 0) {
        rn_store(&process_resident_bytes, resident);
        (void)rn_compare_swap(&process_base_bytes, &none, resident);
    }
    return rn_load(&process_resident_bytes);
}

static void join_process(const rn_monitor *monitor)
{
    int64_t of_process = rn_load(&process_number);
    if (of_process != monitor->process &&
        rn_compare_swap(&process_number, &of_process, monitor->process)) {
        rn_store(&process_monitors, 0);
        rn_store(&process_accounted_bytes, 0);
    }
    if (rn_fetch_add(&process_monitors, 1) == 0) {
        rn_store(&process_base_bytes, 0);
        rn_store(&process_resident_bytes, 0);
    }
    (void)read_resident(monitor);
}

static void leave_process(const rn_monitor *monitor)
{
    if (monitor->process == rn_load(&process_number)) {
        (void)rn_fetch_add(&process_accounted_bytes, -monitor->accounted_bytes);
        (void)rn_fetch_add(&process_monitors, -1);
    }
}

bool rn_monitor_is_alone(void)
{
    return rn_load(&process_monitors) == 1;
}

int64_t rn_monitor_growth(const rn_monitor *monitor)
{
    int64_t resident = read_resident(monitor);
    return resident - rn_load(&process_base_bytes);
}

int64_t rn_monitor_account(rn_monitor *monitor, int64_t accounted_bytes)
{
    int64_t more = accounted_bytes - monitor->accounted_bytes;
    monitor->accounted_bytes = accounted_bytes;
    return rn_fetch_add(&process_accounted_bytes, more) + more;
}

/* ------------------------------------------------------------------------------------ dividing */

bool rn_monitor_corrects(const ration_limits *limits)
{
    return limits->limit_bytes != 0 || limits->limit_base == RATION_BASE_TOTAL;
}

int64_t rn_monitor_correction(const rn_monitor *monitor, int64_t bytes)
{
    return RN_MIN(monitor->figures.corrected_bytes, bytes / CORRECTED_PART);
}

int64_t rn_monitor_bound(const ration_limits *limits, const rn_probe *probe)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < probe->count; i++) {
        least = RN_MIN(least, probe->sources[i].limit_bytes);
    }
    int64_t share = rn_share_of_ratio(least, limits->limit_ratio_ppm);
    return RN_MIN(share - limits->untracked_reserved_bytes, rn_limit_ceiling(limits));
}

ration_status rn_monitor_divide(const rn_monitor *monitor, rn_registry *registry,
                                const rn_monitor_holding *holding,
                                rn_registry_division *out_division, ration_error *error)
{
    const ration_limits *limits = holding->limits;
    int64_t ceiling = rn_limit_ceiling(limits);
    int64_t corrected = limits->limit_bytes == 0 ? 0 : rn_monitor_correction(monitor, ceiling);
    const rn_registry_own own = {.granted_bytes = holding->granted_bytes,
                                 .resident_bytes = holding->resident_bytes,
                                 .limit_bytes = holding->limit_bytes,
                                 .ceiling_bytes = ceiling - corrected,
                                 .demand_bytes = holding->demand_bytes,
                                 .limits = limits,
                                 .probe = holding->probe,
                                 .now_ns = holding->now_ns};
    return rn_registry_divide(registry, &own, out_division, error);
}

int64_t rn_monitor_target(const rn_monitor *monitor, const ration_limits *limits,
                          const rn_registry_division *division)
{
    bool total = limits->limit_bytes == 0 && rn_monitor_corrects(limits);
    int64_t limit = division->limit_bytes;
    int64_t corrected = total ? rn_monitor_correction(monitor, limit) : 0;
    return RN_MAX(limit - corrected, RN_MIN(rn_limit_floor(limits), limit));
}

/* ------------------------------------------------------------------------------------- opening */

static void close_eyes(rn_eyes *eyes)
{
    if (eyes != NULL) {
        rn_registry_close(eyes->registry);
        rn_probe_files_close(&eyes->files);
        rn_heap_free(eyes, sizeof *eyes);
    }
}

ration_status rn_eyes_enter_registry(rn_eyes *eyes, const ration_limits *limits,
                                     ration_error *error)
{
    ration_error why;
    ration_status status = rn_registry_open(limits->registry_directory, &eyes->registry, &why);
    if (status != RATION_FILE) {
        return status == RATION_OK ? status
                                   : rn_error_set(error, status, why.hint, "%s", why.message);
    }
    rn_copy_text(eyes->note, sizeof eyes->note, why.message);
    return RATION_OK;
}

static ration_status open_eyes(const rn_monitor *monitor, const ration_limits *limits, bool leads,
                               rn_eyes **out_eyes, ration_error *error)
{
    rn_eyes *eyes = rn_heap_allocate(sizeof *eyes);
    if (eyes == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory to look at the machine");
    }
    ration_status status = rn_probe_read(monitor->sysroot, &eyes->probes[0], error);
    if (status == RATION_OK && leads) {
        status = rn_eyes_enter_registry(eyes, limits, error);
    }
    if (status != RATION_OK) {
        close_eyes(eyes);
        return status;
    }
    eyes->full_ns = monitor->clock();
    *out_eyes = eyes;
    return RATION_OK;
}

static bool wants_eyes(const ration_limits *limits)
{
    return limits->enable_system_monitor || limits->limit_bytes == 0;
}

/* The first turn may find that there is nobody to be found. */
static ration_status enter(rn_monitor *monitor, rn_eyes *eyes, const rn_monitor_holding *holding,
                           rn_registry_division *out_division, ration_error *error)
{
    ration_error why;
    ration_status status = rn_monitor_divide(monitor, eyes->registry, holding, out_division, &why);
    if (status == RATION_FILE) {
        rn_registry_close(eyes->registry);
        eyes->registry = NULL;
        rn_copy_text(eyes->note, sizeof eyes->note, why.message);
        return rn_monitor_divide(monitor, NULL, holding, out_division, error);
    }
    return status == RATION_OK ? status : rn_error_set(error, status, why.hint, "%s", why.message);
}

/* One that does not follow stays with what it found. */
static ration_status refuse_rest(const rn_monitor_holding *holding,
                                 const rn_registry_division *division, ration_error *error)
{
    char limit[32], share[32];
    rn_text text = rn_text_over(limit, sizeof limit);
    rn_text_put_size(&text, division->limit_bytes);
    text = rn_text_over(share, sizeof share);
    rn_text_put_size(&text, division->share_bytes);
    return rn_error_set(error, RATION_ENVIRONMENT,
                        "switch enable_system_monitor on, or end or lower those that are there",
                        "no memory to govern: others (%lld) leave %s of a share of %s at %s",
                        (long long)division->others, limit, share,
                        holding->probe->sources[division->binding].name);
}

/* As it is now, for one more try. */
static void look_anew(const rn_monitor *monitor, rn_eyes *eyes, rn_monitor_holding *holding)
{
    holding->now_ns = rn_clock_ns();
    (void)rn_probe_refresh(monitor->sysroot, &eyes->probes[eyes->probe], &eyes->files);
}

/* Is it what it will be, or enough to begin with? */
static bool is_enough(const ration_limits *limits, const rn_registry_division *division, int tries,
                      int same)
{
    int64_t most = division->share_bytes - division->share_bytes / RN_MONITOR_RAISE_PART;
    bool floor = division->limit_bytes >= rn_limit_floor(limits);
    bool still = limits->enable_system_monitor && same >= WAIT_SAME;
    return division->others == 0 || division->limit_bytes >= most || tries >= WAIT_FOR_FLOOR ||
           (floor && (still || tries >= WAIT_TRIES));
}

/* A host that loads its data at once is refused what others hold, and one that does not follow
 * stays with what it found: so others are waited for, who give way with their next looks. They may
 * have to write out first. */
static ration_status derive(rn_monitor *monitor, rn_eyes *eyes, rn_monitor_holding *holding,
                            rn_registry_division *out_division, ration_error *error)
{
    const ration_limits *limits = holding->limits;
    rn_registry_division division = {.limit_bytes = -1};
    int same = 0;
    for (int tries = 1; tries == 1 || !is_enough(limits, &division, tries, same); tries++) {
        int64_t before = division.limit_bytes;
        if (tries > 1) {
            const struct timespec pause = {0, (long)monitor->pause_ns};
            (void)nanosleep(&pause, NULL);
            look_anew(monitor, eyes, holding);
        }
        RN_TRY(enter(monitor, eyes, holding, &division, error));
        if (limits->limit_bytes == 0) {
            RN_TRY(rn_limit_refuse(limits, holding->probe, &division, error));
        }
        same = division.limit_bytes > before ? 0 : same + 1;
    }
    bool stays = !limits->enable_system_monitor && limits->limit_bytes == 0;
    if (stays && division.limit_bytes < rn_limit_floor(limits)) {
        return refuse_rest(holding, &division, error);
    }
    *out_division = division;
    return RATION_OK;
}

/* From now on these limits hold; the division is what they came to. Before, the limit was another.
 */
static void adopt(rn_monitor *monitor, const ration_limits *limits, rn_eyes *eyes,
                  const rn_registry_division *division, int64_t before_bytes)
{
    int64_t now_ns = monitor->clock();
    bool follows = eyes != NULL && limits->enable_system_monitor;
    monitor->limits = *limits;
    monitor->eyes = eyes;
    monitor->raise_looks = 0;
    monitor->pressed_looks = RN_MONITOR_PRESSED_LOOKS; /* what it will need is not known yet */
    rn_store(&monitor->looked_ns, now_ns);
    monitor->figures.following = follows;
    if (eyes != NULL) {
        monitor->division = *division;
        int64_t graced = now_ns < monitor->grace_until_ns ? monitor->grace_bytes : 0;
        monitor->grace_bytes = RN_MAX(graced, RN_MAX(division->share_bytes, before_bytes));
        monitor->grace_until_ns = rn_add(now_ns, rn_multiply(limits->query_wait_ms_max, 1000000));
    }
    monitor->bound_bytes = follows ? rn_monitor_bound(limits, rn_eyes_probe(eyes)) : 0;
    rn_store(&monitor->due_ns, follows ? now_ns : INT64_MAX);
    if (!follows) {
        rn_store(&monitor->level, RATION_PRESSURE_NORMAL);
        monitor->gauge = (rn_pressure_gauge){.level = RATION_PRESSURE_NORMAL};
    }
    if (eyes != NULL && eyes->registry != NULL) {
        rn_registry_put_limits(eyes->registry, limits);
    }
}

static ration_status start(rn_monitor *monitor, const ration_limits *limits,
                           int64_t *out_limit_bytes, ration_error *error)
{
    rn_eyes *eyes = NULL;
    rn_registry_division division = {.limit_bytes = rn_limit_ceiling(limits)};
    if (wants_eyes(limits)) {
        RN_TRY(open_eyes(monitor, limits, monitor->leads, &eyes, error));
        rn_monitor_holding nothing = {.limits = limits,
                                      .probe = rn_eyes_probe(eyes),
                                      .demand_bytes = INT64_MAX,
                                      .now_ns = rn_clock_ns()};
        ration_status status =
            monitor->leads ? derive(monitor, eyes, &nothing, &division, error) : RATION_OK;
        if (status != RATION_OK) {
            close_eyes(eyes);
            return status;
        }
    }
    if (monitor->leads) {
        *out_limit_bytes = rn_monitor_target(monitor, limits, &division);
    }
    adopt(monitor, limits, eyes, &division, 0);
    return RATION_OK;
}

ration_status rn_monitor_open(const ration_limits *limits, const rn_monitor_place *place,
                              bool leads, rn_monitor **out_monitor, int64_t *out_limit_bytes,
                              ration_error *error)
{
    rn_monitor *monitor = rn_heap_allocate(sizeof *monitor);
    if (monitor == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory to follow the machine");
    }
    rn_copy_text(monitor->sysroot, sizeof monitor->sysroot, place->sysroot);
    monitor->clock = place->clock != NULL ? place->clock : rn_clock_ns;
    monitor->pause_ns = place->pause_ns != 0 ? place->pause_ns : WAIT_NS;
    monitor->process = getpid();
    monitor->descriptor = -1;
    monitor->leads = leads;
    monitor->figures.size = sizeof monitor->figures;
    monitor->gauge.some_ppm = monitor->gauge.full_ppm = -1;
    (void)pthread_mutex_init(&monitor->lock, NULL);
    join_process(monitor);
    ration_status status = start(monitor, limits, out_limit_bytes, error);
    if (status != RATION_OK) {
        rn_monitor_close(monitor);
        return status;
    }
    *out_monitor = monitor;
    return RATION_OK;
}

void rn_monitor_close(rn_monitor *monitor)
{
    if (monitor == NULL) {
        return;
    }
    if (monitor->descriptor >= 0) {
        (void)close(monitor->descriptor);
    }
    leave_process(monitor);
    close_eyes(monitor->eyes);
    if (monitor->process == getpid()) { /* else it may be locked, by a thread that is not there */
        (void)pthread_mutex_destroy(&monitor->lock);
    }
    rn_heap_free(monitor, sizeof *monitor);
}

void rn_monitor_begin(ration_governor *governor)
{
    rn_ledger_lock(governor->ledger);
    rn_monitor_tell(governor, governor->monitor->clock());
    rn_ledger_unlock(governor->ledger);
}

bool rn_monitor_in_group(const rn_monitor *monitor)
{
    if (monitor->eyes == NULL) {
        return false;
    }
    const rn_probe *probe = rn_eyes_probe(monitor->eyes);
    return probe->sources[probe->binding].kind == RN_PROBE_GROUP;
}

/* ------------------------------------------------------------------------------------ relimit */

/* The machine as it is now. */
static ration_status look_again(const rn_monitor *monitor, rn_eyes *eyes, ration_error *error)
{
    RN_TRY(rn_probe_read(monitor->sysroot, &eyes->probes[1 - eyes->probe], error));
    eyes->probe = 1 - eyes->probe;
    eyes->full_ns = monitor->clock();
    return RATION_OK;
}

/* Nobody is waited for; and what is short for the moment is no reason to refuse, since a governor
 * that runs would stay at its floor. What can never be is. */
static ration_status divide_again(rn_monitor *monitor, rn_eyes *eyes,
                                  const rn_monitor_holding *holding,
                                  rn_registry_division *out_division, ration_error *error)
{
    const ration_limits *limits = holding->limits;
    rn_registry_division division;
    RN_TRY(enter(monitor, eyes, holding, &division, error));
    if (limits->limit_bytes == 0 &&
        rn_monitor_bound(limits, holding->probe) < rn_limit_floor(limits)) {
        RN_TRY(rn_limit_refuse(limits, holding->probe, &division, error));
    }
    *out_division = division;
    return RATION_OK;
}

static ration_status derive_again(ration_governor *governor, rn_monitor *monitor, rn_eyes *eyes,
                                  const ration_limits *limits, rn_registry_division *out_division,
                                  ration_error *error)
{
    if (eyes == NULL || !monitor->leads) {
        return RATION_OK;
    }
    if (eyes == monitor->eyes) {
        RN_TRY(look_again(monitor, eyes, error));
    }
    rn_monitor_holding holding = {.limits = limits,
                                  .probe = rn_eyes_probe(eyes),
                                  .demand_bytes = INT64_MAX,
                                  .now_ns = rn_clock_ns()};
    rn_monitor_measure(governor, rn_monitor_growth(monitor), &holding);
    ration_status status = divide_again(monitor, eyes, &holding, out_division, error);
    if (status != RATION_OK && eyes == monitor->eyes) { /* what it published is not so */
        rn_registry_division division;
        holding.limits = &monitor->limits;
        ration_status again = rn_monitor_divide(monitor, eyes->registry, &holding, &division, NULL);
        (void)again; /* at the next look, else */
    }
    return status;
}

static void set_root(ration_governor *governor, const ration_limits *limits, int64_t limit_bytes)
{
    rn_ledger_lock(governor->ledger);
    rn_store(&governor->ledger->fixed, 0);
    rn_pool_set_limit_locked(governor->root, limit_bytes);
    rn_store(&governor->limit_derived, limit_bytes != limits->limit_bytes);
    rn_monitor_tell(governor, governor->monitor->clock());
    rn_ledger_unlock(governor->ledger);
}

static ration_status change(ration_governor *governor, rn_monitor *monitor,
                            const ration_limits *limits, ration_error *error)
{
    rn_eyes *eyes = wants_eyes(limits) ? monitor->eyes : NULL;
    rn_registry_division division = {.limit_bytes = rn_limit_ceiling(limits)};
    if (wants_eyes(limits) && eyes == NULL) {
        RN_TRY(open_eyes(monitor, limits, monitor->leads, &eyes, error));
    }
    ration_status status = derive_again(governor, monitor, eyes, limits, &division, error);
    if (status != RATION_OK) {
        close_eyes(eyes == monitor->eyes ? NULL : eyes);
        return status;
    }
    if (eyes == NULL) {
        close_eyes(monitor->eyes);
    }
    adopt(monitor, limits, eyes, &division, rn_load(&governor->root->limit));
    if (monitor->leads || eyes == NULL) { /* else whoever leads follows the machine by its limits */
        set_root(governor, limits, rn_monitor_target(monitor, limits, &division));
    }
    return RATION_OK;
}

/* The child of a fork, whose lock may be that of a thread that is not there: it follows nothing. */
static ration_status change_in_child(ration_governor *governor, const ration_limits *limits,
                                     ration_error *error)
{
    int64_t limit_bytes = rn_limit_ceiling(limits);
    if (limits->limit_bytes == 0) {
        rn_probe *probe = rn_heap_allocate(sizeof *probe);
        if (probe == NULL) {
            return rn_error_set(error, RATION_NO_MEMORY, "", "no memory to look at the machine");
        }
        ration_status status =
            rn_derive_limit(limits, governor->monitor->sysroot, probe, &limit_bytes, error);
        rn_heap_free(probe, sizeof *probe);
        RN_TRY(status);
    }
    set_root(governor, limits, limit_bytes);
    rn_monitor_forget(governor);
    return RATION_OK;
}

static ration_status change_locked(ration_governor *governor, const ration_limits *limits,
                                   ration_error *error)
{
    rn_monitor *monitor = governor->monitor;
    pthread_mutex_lock(&monitor->lock);
    ration_status status = change(governor, monitor, limits, error);
    if (status == RATION_OK && !monitor->figures.following) {
        rn_store(&governor->settle_shift, 0);
    }
    pthread_mutex_unlock(&monitor->lock);
    return status;
}

ration_status rn_monitor_relimit(ration_governor *governor, const ration_limits *limits,
                                 ration_error *error)
{
    bool inherited = governor->monitor->process != getpid();
    RN_TRY(inherited ? change_in_child(governor, limits, error)
                     : change_locked(governor, limits, error));
    rn_ask_press(governor);
    rn_admission_move(governor);
    rn_ask_wake_resting(governor);
    return RATION_OK;
}

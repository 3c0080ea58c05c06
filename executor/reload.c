/* SPDX-License-Identifier: Apache-2.0
 *
 * Other limits for a governor that runs: all of them, or none.
 *
 *     judge, allocate -> derive and set the root's limit -> the rest, under the ledger's lock
 *
 * All that may fail comes first, and leaves no trace when it does: the new settings, the groups
 * that are new, and last what the machine leaves to the root, which the monitor puts in force
 * itself, since the next look may change it again. All else follows in one step under the lock that
 * cannot fail: a query that begins has the old settings and the old groups, or the new ones.
 *
 * What holds at once is what belongs to many: limits of root, data and groups, quotas, the queue,
 * how pages are kept. A query that runs keeps what it was promised: its own limit, its budgets, its
 * intervals, its quota. Where what is granted is above a limit that was lowered, it is as with
 * ration_governor_set_limit: who is above its share is asked to give, and no more is granted.
 *
 * One at a time goes in. The word for it names the process, so that the child of a fork, which may
 * find it taken by a thread that it does not have, is not stopped by it.
 *
 * In a shared governor the limits of root and data and the chunk are common: whoever reloads
 * changes them for all processes (the root's unless another follows the machine for it, monitor.h).
 * Its groups, quotas and intervals are its own.
 */
#include <time.h>
#include <unistd.h>

#include "executor/admission.h"
#include "executor/monitor.h"
#include "memory/pool.h"

#define LOOK_NS ((long)1000 * 1000)

/* What a reload has in hand before it is put in force. */
typedef struct novelty {
    rn_settings *settings;
    rn_group *groups[RATION_GROUPS_MAX]; /* held; those of `settings`, in their order */
    int64_t group_count;
} novelty;

/* -------------------------------------------------------------------------------- one at a time */

static void enter(ration_governor *governor)
{
    const struct timespec a_while = {.tv_nsec = LOOK_NS};
    int64_t own = getpid(), found = 0;
    while (!rn_compare_swap(&governor->reloader, &found, own)) {
        if (found == own) {
            (void)nanosleep(&a_while, NULL);
            found = 0;
        } /* else of the parent, whose threads are not here: taken over */
    }
}

static void leave(ration_governor *governor)
{
    rn_store_release(&governor->reloader, 0);
}

/* ------------------------------------------------------------------------------------- may fail */

/* Keys that cannot change while files lie there, or others look for the process there. */
static ration_status judge_fixed(const ration_limits *now, const ration_limits *wanted,
                                 ration_error *error)
{
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].when != RN_LIMITS_RESTART || rn_limits_agree(&keys[i], now, wanted)) {
            continue;
        }
        char old[160], new[160];
        rn_text old_text = rn_text_over(old, sizeof old), new_text = rn_text_over(new, sizeof new);
        rn_limits_put_value(&old_text, &keys[i], now);
        rn_limits_put_value(&new_text, &keys[i], wanted);
        return rn_error_set(error, RATION_CONFIG, "start the process anew for it, or set it back",
                            "%s cannot change while running, from %.120s to %.120s", keys[i].name,
                            old, new);
    }
    return RATION_OK;
}

static rn_group *hold_group(ration_governor *governor, const char *name)
{
    rn_ledger_lock(governor->ledger);
    rn_group *group = rn_group_find(governor, name);
    if (group != NULL) {
        group->holders += 1;
    }
    rn_ledger_unlock(governor->ledger);
    return group;
}

/* Those that are there, also such as only drain, and new ones for the others. */
static ration_status gather_groups(ration_governor *governor, novelty *change, ration_error *error)
{
    const ration_limits *limits = &change->settings->limits;
    for (int64_t i = 0; i < limits->group_count; i++) {
        rn_group *group = hold_group(governor, limits->groups[i].name);
        if (group == NULL) {
            ration_status status = rn_group_open(governor, &limits->groups[i], &group);
            if (status != RATION_OK) {
                return rn_error_set(error, status, "the limits before this reload hold",
                                    "no memory for the group '%.31s'", limits->groups[i].name);
            }
        }
        change->groups[change->group_count++] = group;
    }
    return RATION_OK;
}

static void forget(ration_governor *governor, const novelty *change)
{
    for (int64_t i = 0; i < change->group_count; i++) {
        rn_group_release(governor, change->groups[i]);
    }
    rn_settings_release(change->settings);
}

static ration_status prepare(ration_governor *governor, novelty *change, ration_error *error)
{
    const ration_limits *limits = &change->settings->limits;
    RN_TRY(judge_fixed(&governor->settings->limits, limits, error));
    RN_TRY(gather_groups(governor, change, error));
    return rn_monitor_relimit(governor, limits, error);
}

/* ------------------------------------------------------------------------------------- in force */

static void ask_all_again(rn_ledger *ledger)
{
    for (rn_slot *slot = rn_queue_first(ledger); slot != NULL; slot = rn_queue_next(slot)) {
        rn_ticket_ask_again(slot);
    }
}

/* One step; `change` has the settings before it afterwards. Returns groups to be closed. */
static rn_group *apply(ration_governor *governor, novelty *change)
{
    rn_settings *settings = change->settings;
    const ration_limits *limits = &settings->limits;
    int64_t data_bytes = limits->data_limit_bytes;
    rn_ledger_lock(governor->ledger);
    change->settings = governor->settings;
    governor->settings = settings;
    rn_pool_set_limit_locked(governor->all_data, data_bytes == 0 ? INT64_MAX : data_bytes);
    rn_ledger_set_chunk_locked(governor->ledger, limits->chunk_bytes_max);
    rn_blocks_set_locked(governor->blocks, limits->retain_ms, limits->prefault);
    rn_spill_volume_set(governor->volume, limits->spill_bytes_max, limits->spill_free_bytes_min);
    for (int64_t i = 0; i < change->group_count; i++) {
        rn_group_set(governor, change->groups[i], &limits->groups[i]);
    }
    rn_group *empty = rn_group_retire(governor, settings);
    rn_admission_sort_locked(governor);
    ask_all_again(governor->ledger);
    rn_ledger_unlock(governor->ledger);
    return empty;
}

static ration_status reload(ration_governor *governor, novelty *change, ration_error *error)
{
    ration_status status = prepare(governor, change, error);
    if (status == RATION_OK) {
        rn_group_close_all(apply(governor, change), true);
        (void)rn_fetch_add(&governor->reloads, 1);
    }
    forget(governor, change);
    return status;
}

ration_status ration_governor_reload(ration_governor *governor, const ration_limits *limits,
                                     ration_error *error)
{
    novelty change = {.settings = NULL};
    if (governor == NULL || rn_governor_is_inherited(governor)) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "",
                            "no governor, or that of the process that forked this one");
    }
    RN_TRY(rn_settings_open(limits, &change.settings, error));
    enter(governor);
    ration_status status = reload(governor, &change, error);
    leave(governor);
    RN_TRY(status);
    rn_blocks_tick(governor->blocks);
    rn_ask_press(governor);
    rn_admission_move(governor);
    return RATION_OK;
}

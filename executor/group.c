/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups of queries, which come and go with the limits.
 *
 * A group is held by each of its queries and, for a moment, by whoever reads its pool or puts other
 * limits in force. Limits that do not name it mark it as gone; then it takes no new queries, and
 * whoever lets go of it last closes its pool. Named again before that, it goes on as it is: there
 * is never a second pool of that name for queries that could have shared the first.
 *
 *   1. Every group in the list is not gone, or held.
 *   2. A group that is not gone is named by the limits in force, and the other way round.
 *
 * A group's spill quota is the parent of its queries', so it lives as long as the group.
 */
#include "executor/governor.h"
#include "memory/pool.h"

static int64_t limit_or_none(int64_t bytes)
{
    return bytes == 0 ? INT64_MAX : bytes;
}

/* ------------------------------------------------------------------------------- open and close */

static ration_status open_pool(ration_governor *governor, int64_t limit_bytes, rn_group *group)
{
    char name[RN_POOL_NAME_BYTES];
    rn_text text = rn_text_over(name, sizeof name);
    if (governor->process != 0) { /* groups of one process, in a tree of several */
        rn_text_format(&text, "%lld.", (long long)governor->process);
    }
    rn_text_put(&text, group->name);
    return rn_pool_open(governor->ledger, governor->queries, name, limit_or_none(limit_bytes),
                        RATION_GROUP_LIMIT, NULL, &group->pool);
}

ration_status rn_group_open(ration_governor *governor, const ration_group *limits,
                            rn_group **out_group)
{
    rn_group *group = rn_heap_allocate(sizeof *group);
    if (group == NULL) {
        return RATION_NO_MEMORY;
    }
    rn_copy_text(group->name, sizeof group->name, limits->name);
    ration_status status = open_pool(governor, limits->limit_bytes, group);
    if (status != RATION_OK) {
        rn_heap_free(group, sizeof *group);
        return status;
    }
    group->spill_quota.parent = rn_spill_volume_quota(governor->volume);
    group->holders = 1;
    group->gone = true; /* until it is added */
    *out_group = group;
    return RATION_OK;
}

static void enter_list(ration_governor *governor, rn_group *group)
{
    rn_group **place = &governor->groups;
    while (*place != NULL) {
        place = &(*place)->next;
    }
    *place = group;
    group->listed = true;
}

void rn_group_set(ration_governor *governor, rn_group *group, const ration_group *limits)
{
    if (!group->listed) {
        enter_list(governor, group);
    }
    group->gone = false;
    group->priority = limits->priority;
    group->pool->weight = limits->share;
    rn_store(&group->queries_max, limits->queries_max);
    rn_store(&group->spill_quota.limit_bytes, limits->spill_bytes_max);
    rn_pool_set_limit_locked(group->pool, limit_or_none(limits->limit_bytes));
}

rn_group *rn_group_find(const ration_governor *governor, const char *name)
{
    rn_group *group = governor->groups;
    while (group != NULL && strcmp(group->name, name) != 0) {
        group = group->next;
    }
    return group;
}

static void leave_list(ration_governor *governor, rn_group *group)
{
    rn_group **place = &governor->groups;
    while (*place != group) {
        place = &(*place)->next;
    }
    *place = group->next;
    group->listed = false;
}

rn_group *rn_group_retire(ration_governor *governor, const rn_settings *settings)
{
    rn_group *empty = NULL, *next;
    for (rn_group *group = governor->groups; group != NULL; group = next) {
        next = group->next;
        group->gone = rn_limits_group(&settings->limits, group->name) == NULL;
        if (group->gone && group->holders == 0) {
            leave_list(governor, group);
            group->next = empty;
            empty = group;
        }
    }
    return empty;
}

static void close_group(rn_group *group, bool pool)
{
    if (pool) {
        rn_pool_close(group->pool);
    }
    rn_heap_free(group, sizeof *group);
}

void rn_group_release(ration_governor *governor, rn_group *group)
{
    rn_ledger_lock(governor->ledger);
    group->holders -= 1;
    bool last = group->gone && group->holders == 0;
    if (last && group->listed) {
        leave_list(governor, group);
    }
    rn_ledger_unlock(governor->ledger);
    if (last) {
        close_group(group, true);
    }
}

void rn_group_close_all(rn_group *groups, bool pools)
{
    while (groups != NULL) {
        rn_group *group = groups;
        groups = group->next;
        close_group(group, pools);
    }
}

/* ------------------------------------------------------------------------------------- readings */

bool rn_group_read(ration_governor *governor, int64_t place, rn_group_figures *out_figures)
{
    rn_group *group = NULL;
    rn_ledger_lock(governor->ledger);
    const ration_limits *limits = &governor->settings->limits;
    if (place < limits->group_count) {
        group = rn_group_find(governor, limits->groups[place].name);
        group->holders += 1;
        rn_copy_text(out_figures->name, sizeof out_figures->name, group->name);
        out_figures->limit_bytes = limits->groups[place].limit_bytes;
    }
    rn_ledger_unlock(governor->ledger);
    if (group == NULL) {
        return false;
    }
    ration_pool_read(group->pool, &out_figures->pool);
    rn_group_release(governor, group);
    return true;
}

/* -------------------------------------------------------------------------------------- queries */

static ration_status find_no_group(const rn_settings *settings, const char *name,
                                   ration_error *error)
{
    const char *names[RATION_GROUPS_MAX] = {NULL};
    int64_t count = settings->limits.group_count;
    for (int64_t i = 0; i < count; i++) {
        names[i] = settings->limits.groups[i].name;
    }
    const char *nearest = rn_nearest(name, names, (size_t)count);
    char hint[96] = "memory.yaml names none";
    if (nearest != NULL) {
        (void)snprintf(hint, sizeof hint, "did you mean '%s'?", nearest);
    } else if (count > 0) {
        (void)snprintf(hint, sizeof hint, "memory.yaml names %lld, such as '%s'", (long long)count,
                       names[0]);
    }
    return rn_error_set(error, RATION_INVALID_ARGUMENT, hint, "there is no group '%.60s'", name);
}

ration_status rn_query_begin(ration_query *query, const char *name, ration_error *error)
{
    ration_governor *governor = query->governor;
    rn_ledger_lock(governor->ledger);
    query->settings = rn_settings_hold(governor->settings);
    query->of_group = name == NULL ? NULL : rn_limits_group(&query->settings->limits, name);
    if (query->of_group != NULL) {
        query->group = rn_group_find(governor, name);
        query->group->holders += 1;
    }
    rn_ledger_unlock(governor->ledger);
    if (name == NULL || query->of_group != NULL) {
        return RATION_OK;
    }
    ration_status status = find_no_group(query->settings, name, error);
    rn_settings_release(query->settings);
    return status;
}

void rn_query_end(ration_query *query)
{
    if (query->group != NULL && !rn_governor_is_inherited(query->governor)) {
        rn_group_release(query->governor, query->group);
    }
    rn_settings_release(query->settings);
}

rn_settings *rn_governor_settings(ration_governor *governor)
{
    rn_ledger_lock(governor->ledger);
    rn_settings *settings = rn_settings_hold(governor->settings);
    rn_ledger_unlock(governor->ledger);
    return settings;
}

ration_status rn_governor_group(ration_governor *governor, const char *name, ration_error *error)
{
    rn_settings *settings = rn_governor_settings(governor);
    ration_status status = rn_limits_group(&settings->limits, name) != NULL
                               ? RATION_OK
                               : find_no_group(settings, name, error);
    rn_settings_release(settings);
    return status;
}

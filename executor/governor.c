/* SPDX-License-Identifier: Apache-2.0
 *
 * The governor: where configuration meets the ledger.
 *
 *     ration_governor_open -> queries -> ration_governor_close
 *
 * Pools: root (the limit of memory.yaml) -> data (graphs), queries (one child per query and group,
 * a group's queries below it), retained (resident pages no block uses). Only the root and, where
 * asked for, data, groups and single queries have limits of their own.
 *
 * Shared: root, data and queries are made with the file, before anybody else can see it, and
 * belong to no process; each process that joins finds them. They hold nothing themselves: each
 * process has a pool of its own below data too, and its groups, whose limits hold for its queries
 * alone, so that all it has charged goes with it when it
 * dies. Nothing is retained. Who is alone there gives the limits, so that the file of a service
 * that was started anew need not be removed.
 *
 * The root's limit is limit_bytes where given, else a share of what the machine has: monitor.c
 * derives it and follows.
 */
#include <unistd.h>

#include "executor/admission.h"
#include "executor/limit.h"
#include "memory/shared.h"

#define SHARED_PROCESSES 64
#define SHARED_POOLS 512
#define SHARED_SLOTS 1024
#define TICK_BYTES ((int64_t)64 << 20) /* written out of one query at a time */

ration_status rn_derive_limit(const ration_limits *limits, const char *sysroot, rn_probe *out_probe,
                              int64_t *out_limit_bytes, ration_error *error)
{
    rn_registry_division division;
    RN_TRY(rn_probe_read(sysroot, out_probe, error));
    RN_TRY(rn_limit_alone(limits, out_probe, &division, error));
    *out_limit_bytes = division.limit_bytes;
    return RATION_OK;
}

static const rn_monitor_place here = {.sysroot = ""};

static int64_t limit_or_none(int64_t bytes)
{
    return bytes == 0 ? INT64_MAX : bytes;
}

/* Those that a shared ledger has once. */
static ration_status open_common_pools(ration_governor *governor, int64_t limit_bytes)
{
    rn_ledger *ledger = governor->ledger;
    RN_TRY(rn_pool_open(ledger, NULL, "root", limit_bytes, RATION_GLOBAL_LIMIT, NULL,
                        &governor->root));
    RN_TRY(rn_pool_open(ledger, governor->root, "data",
                        limit_or_none(governor->settings->limits.data_limit_bytes),
                        RATION_DATA_LIMIT, NULL, &governor->all_data));
    return rn_pool_open(ledger, governor->root, "queries", INT64_MAX, RATION_GLOBAL_LIMIT, NULL,
                        &governor->queries);
}

/* Of this process, also where the ledger is shared. */
static ration_status open_groups(ration_governor *governor)
{
    const ration_limits *limits = &governor->settings->limits;
    for (int64_t i = 0; i < limits->group_count; i++) {
        rn_group *group;
        RN_TRY(rn_group_open(governor, &limits->groups[i], &group));
        rn_ledger_lock(governor->ledger);
        rn_group_set(governor, group, &limits->groups[i]);
        rn_ledger_unlock(governor->ledger);
        rn_group_release(governor, group);
    }
    return RATION_OK;
}

static ration_status open_blocks(ration_governor *governor, ration_pool *retained)
{
    rn_blocks_options options = {.retain_ms = governor->settings->limits.retain_ms,
                                 .prefault = governor->settings->limits.prefault};
    return rn_blocks_open(retained, &options, &governor->blocks);
}

static ration_status open_pools(ration_governor *governor, int64_t limit_bytes)
{
    RN_TRY(open_common_pools(governor, limit_bytes));
    governor->data = governor->all_data;
    RN_TRY(open_groups(governor));
    RN_TRY(rn_pool_open(governor->ledger, governor->root, "retained", INT64_MAX,
                        RATION_GLOBAL_LIMIT, NULL, &governor->retained));
    return open_blocks(governor, governor->retained);
}

static void close_pool(ration_pool *pool)
{
    if (pool != NULL) {
        rn_pool_close(pool);
    }
}

static void close_ledger(ration_governor *governor)
{
    if (governor->blocks != NULL) {
        rn_blocks_close(governor->blocks);
    }
    rn_group_close_all(governor->groups, true);
    if (governor->process != 0) {
        close_pool(governor->data);
    } else {
        close_pool(governor->retained);
        close_pool(governor->queries);
        close_pool(governor->all_data);
        close_pool(governor->root);
    }
    if (governor->ledger != NULL) {
        rn_ledger_close(governor->ledger);
    }
}

bool rn_governor_is_inherited(const ration_governor *governor)
{
    return governor->process != 0 && governor->process != getpid();
}

void ration_governor_close(ration_governor *governor)
{
    if (governor == NULL) {
        return;
    }
    if (rn_governor_is_inherited(governor)) {
        rn_blocks_abandon(governor->blocks);
        rn_group_close_all(governor->groups, false);
    } else {
        close_ledger(governor);
    }
    rn_monitor_close(governor->monitor);
    if (governor->volume != NULL) {
        rn_spill_volume_close(governor->volume);
    }
    rn_settings_release(governor->settings);
    rn_heap_free(governor, sizeof *governor);
}

/* Where its queries write out. */
static ration_status open_volume(ration_governor *governor, ration_error *error)
{
    const ration_limits *limits = &governor->settings->limits;
    const rn_spill_options options = {.directory = limits->spill_directory,
                                      .allow_memory = limits->spill_allow_memory,
                                      .bytes_max = limits->spill_bytes_max,
                                      .free_bytes_min = limits->spill_free_bytes_min};
    return rn_spill_volume_open(&options, &governor->volume, error);
}

/* A governor without ledger. */
static ration_status make_governor(const ration_limits *limits, ration_governor **out_governor,
                                   ration_error *error)
{
    rn_settings *settings;
    if (out_governor == NULL) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "", "no place for the governor");
    }
    RN_TRY(rn_settings_open(limits, &settings, error));
    ration_governor *governor = rn_heap_allocate(sizeof *governor);
    if (governor == NULL) {
        rn_settings_release(settings);
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for a governor");
    }
    governor->settings = settings;
    ration_status status = open_volume(governor, error);
    if (status != RATION_OK) {
        rn_settings_release(settings);
        rn_heap_free(governor, sizeof *governor);
        return status;
    }
    *out_governor = governor;
    return RATION_OK;
}

/* `leads`: the root's limit is this governor's to derive. */
static ration_status open_monitor(ration_governor *governor, const rn_monitor_place *place,
                                  bool leads, int64_t *out_bytes, ration_error *error)
{
    const ration_limits *limits = &governor->settings->limits;
    int64_t limit_bytes = 0;
    RN_TRY(rn_monitor_open(limits, place, leads, &governor->monitor, &limit_bytes, error));
    governor->limit_derived = limit_bytes != limits->limit_bytes;
    rn_spill_volume_set_write_behind(governor->volume, rn_monitor_in_group(governor->monitor));
    *out_bytes = limit_bytes;
    return RATION_OK;
}

static ration_status open_ledger(ration_governor *governor, const rn_monitor_place *place,
                                 ration_error *error)
{
    int64_t limit_bytes;
    RN_TRY(open_monitor(governor, place, true, &limit_bytes, error));
    rn_ledger_options options = {.chunk_bytes_max = governor->settings->limits.chunk_bytes_max,
                                 .force_seq_cst = false};
    ration_status status = rn_ledger_open(&options, &governor->ledger);
    if (status == RATION_OK) {
        rn_monitor_begin(governor);
        rn_ledger_set_forked(governor->ledger, rn_query_after_fork);
    }
    if (status == RATION_OK) {
        status = open_pools(governor, limit_bytes);
    }
    return status == RATION_OK
               ? RATION_OK
               : rn_error_set(error, status, "", "no memory for the pools of a governor");
}

ration_status rn_governor_open_at(const ration_limits *limits, const rn_monitor_place *place,
                                  ration_governor **out_governor, ration_error *error)
{
    ration_governor *governor;
    RN_TRY(make_governor(limits, &governor, error));
    ration_status status = open_ledger(governor, place, error);
    if (status != RATION_OK) {
        ration_governor_close(governor);
        return status;
    }
    *out_governor = governor;
    return RATION_OK;
}

ration_status ration_governor_open(const ration_limits *limits, ration_governor **out_governor,
                                   ration_error *error)
{
    return rn_governor_open_at(limits, &here, out_governor, error);
}

/* --------------------------------------------------------------------------------------- shared */

static ration_status create_shared(ration_governor *governor, int descriptor, ration_error *error)
{
    const rn_share_sizes sizes = {
        .processes = SHARED_PROCESSES, .pools = SHARED_POOLS, .slots = SHARED_SLOTS};
    int64_t limit_bytes;
    RN_TRY(open_monitor(governor, &here, true, &limit_bytes, error));
    RN_TRY(rn_ledger_create_shared(descriptor, &sizes, governor->settings->limits.chunk_bytes_max,
                                   &governor->ledger, error));
    ration_status status = open_common_pools(governor, limit_bytes);
    if (rn_never(status != RATION_OK)) {
        return rn_error_set(error, status, "", "no places for the pools of a governor");
    }
    (void)rn_ledger_leads(governor->ledger);
    rn_monitor_begin(governor);
    rn_pool_keep(governor->queries);
    rn_pool_keep(governor->all_data);
    rn_pool_keep(governor->root);
    return RATION_OK;
}

static ration_status join_shared(ration_governor *governor, int descriptor, ration_error *error)
{
    bool alone;
    RN_TRY(rn_ledger_join_shared(descriptor, governor->settings->limits.chunk_bytes_max,
                                 &governor->ledger, &alone, error));
    governor->root = rn_pool_find(governor->ledger, NULL, "root");
    if (governor->root != NULL) {
        governor->all_data = rn_pool_find(governor->ledger, governor->root, "data");
        governor->queries = rn_pool_find(governor->ledger, governor->root, "queries");
    }
    if (governor->all_data == NULL || governor->queries == NULL) {
        return rn_error_set(error, RATION_FILE, "", "the shared ledger is not that of a governor");
    }
    alone = rn_ledger_leads(governor->ledger) && alone;
    int64_t limit_bytes;
    RN_TRY(open_monitor(governor, &here, alone, &limit_bytes, error));
    if (alone) {
        rn_store(&governor->ledger->fixed, 0);
        rn_monitor_begin(governor);
        rn_pool_set_limit(governor->root, limit_bytes);
        rn_pool_set_limit(governor->all_data,
                          limit_or_none(governor->settings->limits.data_limit_bytes));
    }
    return RATION_OK;
}

/* What each process has for itself. */
static ration_status open_own(ration_governor *governor, ration_error *error)
{
    char name[RN_POOL_NAME_BYTES];
    rn_text text = rn_text_over(name, sizeof name);
    rn_text_format(&text, "%lld", (long long)governor->process);
    ration_status status = rn_pool_open(governor->ledger, governor->all_data, name, INT64_MAX,
                                        RATION_DATA_LIMIT, NULL, &governor->data);
    if (status == RATION_OK) {
        status = open_groups(governor);
    }
    if (status == RATION_OK) {
        status = open_blocks(governor, governor->data);
    }
    return status == RATION_OK
               ? RATION_OK
               : rn_error_set(error, status, "", "no memory, or no place, for a governor");
}

/* `*out_late`: somebody else made the file meanwhile, and nothing is open. */
static ration_status enter_shared(ration_governor *governor, const char *path, bool *out_late,
                                  ration_error *error)
{
    rn_share_file file;
    RN_TRY(rn_share_file_open(path, &file, error));
    bool late = false;
    ration_status status = file.fresh ? create_shared(governor, file.descriptor, error)
                                      : join_shared(governor, file.descriptor, error);
    if (status == RATION_OK && file.fresh) {
        status = rn_share_file_publish(&file, path, &late, error);
    }
    if (status == RATION_OK && !late) {
        status = open_own(governor, error);
    }
    rn_share_file_close(&file);
    if (late) {
        rn_ledger_close(governor->ledger);
        governor->ledger = NULL;
        rn_monitor_close(governor->monitor);
        governor->monitor = NULL;
    }
    *out_late = late;
    return status;
}

ration_status ration_governor_open_shared(const ration_limits *limits, const char *path,
                                          ration_governor **out_governor, ration_error *error)
{
    if (path == NULL) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "", "a shared governor needs a path");
    }
    ration_governor *governor;
    RN_TRY(make_governor(limits, &governor, error));
    governor->process = getpid();
    bool late;
    ration_status status;
    do {
        status = enter_shared(governor, path, &late, error);
    } while (status == RATION_OK && late);
    if (status != RATION_OK) {
        ration_governor_close(governor);
        return status;
    }
    *out_governor = governor;
    return RATION_OK;
}

/* ------------------------------------------------------------------------------------- readings */

ration_status ration_governor_set_limit(ration_governor *governor, int64_t limit_bytes)
{
    if (limit_bytes <= 0) {
        return RATION_INVALID_ARGUMENT;
    }
    rn_ledger_lock(governor->ledger);
    rn_store(&governor->ledger->fixed, 1);
    rn_monitor_forget(governor);
    rn_store(&governor->limit_derived, 0);
    rn_pool_set_limit_locked(governor->root, limit_bytes);
    rn_ledger_unlock(governor->ledger);
    rn_ask_press(governor);
    rn_admission_move(governor);
    rn_ask_wake_resting(governor);
    return RATION_OK;
}

void ration_governor_tick(ration_governor *governor)
{
    if (!rn_governor_is_inherited(governor)) {
        rn_monitor_tick(governor);
        if (rn_load(&governor->rests) != 0) {
            rn_store(&governor->rests, 0);
            rn_ask_wake_resting(governor);
        }
        rn_blocks_tick(governor->blocks);
        rn_ask_press(governor);
        while (rn_reclaim_one(governor, TICK_BYTES)) { /* the machine does not wait for the disk */
            rn_monitor_tick(governor);
            rn_ask_press(governor);
        }
    }
}

ration_pool *ration_governor_root(ration_governor *governor)
{
    return governor->root;
}

ration_pool *ration_governor_data(ration_governor *governor)
{
    return governor->data;
}

ration_pool *ration_governor_queries(ration_governor *governor)
{
    return governor->queries;
}

const char *ration_governor_ordering(const ration_governor *governor)
{
    return rn_ledger_uses_membarrier(governor->ledger) ? "membarrier" : "seq_cst";
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The limit here and now: the probe, the registry, and the same division that a governor gets
 * (executor/limit.h), for one that would open now and holds nothing yet.
 *
 * Below a sysroot the registry is looked for there too: a folder of another machine's files says
 * nothing of the processes of this one. */
#include "cli/view.h"

#include <unistd.h>

#include "cli/sample.h"
#include "executor/pressure.h"
#include "memory/blocks.h"

#define EXECUTOR_BYTES_MIN (INT64_C(2) << 20)
#define EXECUTOR_PERCENT 2
#define GROWTH_BYTES RN_BLOCK_BYTES /* no container of ours grows by more */

/* ------------------------------------------------------------------------------------- registry */

void rn_limits_view_look(rn_limits_view *view, const char *registry_directory)
{
    rn_registry_close(view->registry);
    view->registry = NULL;
    view->other_count = 0;
    view->registry_note[0] = '\0';
    rn_copy_text(view->registry_directory, sizeof view->registry_directory, registry_directory);
    char path[1024];
    rn_text text = rn_text_over(path, sizeof path);
    rn_text_format(&text, "%s%s", view->sysroot, registry_directory);
    ration_error error;
    if (text.length >= sizeof path) {
        rn_copy_text(view->registry_note, sizeof view->registry_note, "its path is too long");
    } else if (rn_registry_look(path, &view->registry, &error) != RATION_OK) {
        rn_copy_text(view->registry_note, sizeof view->registry_note, error.message);
        view->registry = NULL;
    } else if (view->registry != NULL) {
        view->other_count = rn_registry_list(view->registry, view->entries);
    }
}

/* ------------------------------------------------------------------------------------- division */

/* Divides for entry `own` of `entries`, by `limits`. */
static void divide(const rn_limits_view *view, const ration_limits *limits,
                   const rn_registry_entry *entries, int64_t count, int64_t own,
                   rn_registry_division *out_division, rn_limit_sources *out_sources)
{
    const rn_limit_question question = {.limits = limits,
                                        .probe = &view->probe,
                                        .entries = entries,
                                        .count = count,
                                        .own = own,
                                        .now_ns = rn_clock_ns()};
    rn_limit_divide(&question, out_division, out_sources, NULL);
}

/* For one that would open now. */
static void divide_newcomer(rn_limits_view *view, const ration_limits *limits,
                            rn_registry_division *out_division, rn_limit_sources *out_sources)
{
    int64_t others = view->other_count;
    rn_registry_entry *own = &view->entries[others];
    *own = (rn_registry_entry){.process = getpid(),
                               .start_time = rn_probe_start_time(getpid()),
                               .number = 1,
                               .bound_bytes = INT64_MAX};
    rn_limit_describe(own, limits, &view->probe);
    divide(view, limits, view->entries, others + 1, others, out_division, out_sources);
}

/* All places are taken: one that divides would not open. */
static void refuse_newcomer(rn_limits_view *view)
{
    if (rn_limits_view_follows(view)) {
        view->limit_bytes = view->now_bytes = -1;
        (void)rn_error_set(&view->refused, RATION_ENVIRONMENT,
                           "give limit_bytes, and switch enable_system_monitor off",
                           "all %d places of the registry in %s are taken", RN_REGISTRY_PLACES,
                           view->registry_directory);
    }
}

static void find_limit(rn_limits_view *view)
{
    view->limit_bytes = view->now_bytes = view->limits.limit_bytes;
    view->derived_bytes = -1;
    if (view->probe.count == 0) {
        view->limit_bytes = view->limits.limit_bytes > 0 ? view->limits.limit_bytes : -1;
        view->now_bytes = view->limit_bytes;
        return;
    }
    view->division.binding = view->probe.binding;
    if (view->other_count == RN_REGISTRY_PLACES) {
        refuse_newcomer(view);
        return;
    }
    divide_newcomer(view, &view->limits, &view->division, &view->sources);
    view->divided = true;
    if (rn_limits_view_follows(view)) {
        view->limit_bytes = view->division.share_bytes;
        view->now_bytes = view->division.limit_bytes;
    }
    if (view->limits.limit_bytes == 0 &&
        rn_limit_refuse(&view->limits, &view->probe, &view->division, &view->refused) !=
            RATION_OK) {
        view->limit_bytes = view->now_bytes = -1;
    }
    if (rn_limit_ceiling(&view->limits) != INT64_MAX) {
        ration_limits derived = view->limits;
        rn_registry_division division;
        derived.limit_bytes = derived.limit_ceiling_bytes = 0;
        divide_newcomer(view, &derived, &division, NULL);
        view->derived_bytes = division.share_bytes;
    } else {
        view->derived_bytes = view->limit_bytes;
    }
}

int64_t rn_limits_view_for(const rn_limits_view *view, int64_t other)
{
    const ration_limits *limits = &view->limits;
    if (limits->limit_bytes > 0 && !limits->enable_system_monitor) {
        return limits->limit_bytes;
    }
    rn_registry_entry entries[RN_REGISTRY_PLACES];
    memcpy(entries, view->entries, (size_t)view->other_count * sizeof *entries);
    rn_registry_entry *own = &entries[other];
    if (view->probe.count == 0 || strcmp(own->group, view->probe.group) != 0) {
        return -1;
    }
    int64_t demand = own->demand_bytes;
    rn_limit_describe(own, limits, &view->probe);
    own->demand_bytes = demand;
    rn_registry_division division;
    divide(view, limits, entries, view->other_count, other, &division, NULL);
    return view->probe.sources[division.binding].kind == RN_PROBE_PROCESS ? -1
                                                                          : division.limit_bytes;
}

/* ---------------------------------------------------------------------------------------- slack */

/* What may be beyond the limit. Credit, claims, retained pages, blocks on shelves, stacks and
 * buffers of workers are charged, so they are not: executor/README.md, docs/limits.md. */
static void find_slack(rn_limits_view *view)
{
    const ration_limits *limits = &view->limits;
    rn_slack *slack = &view->slack;
    int64_t limit = RN_MAX(view->limit_bytes, 0);
    slack->executor_bytes = RN_MAX(EXECUTOR_BYTES_MIN, limit / 100 * EXECUTOR_PERCENT);
    slack->settle_bytes =
        RN_MIN(rn_multiply(limits->check_interval, limits->max_row_bytes), limits->check_bytes);
    slack->guard_bytes = rn_add(rn_add(slack->settle_bytes, limits->max_row_bytes), GROWTH_BYTES);
    slack->spare_bytes = limits->untracked_reserved_bytes;
    if (view->divided && view->limit_bytes >= 0) {
        int64_t total = view->division.total_bytes;
        slack->spare_bytes += total - rn_share_of_ratio(total, limits->limit_ratio_ppm);
        slack->free_bytes = rn_pressure_spare(view->division.total_bytes, limits->limit_ratio_ppm);
    }
}

/* ------------------------------------------------------------------------------- open and close */

ration_status rn_limits_view_open(const ration_limits *limits, const char *source,
                                  const char *sysroot, bool machine, rn_places *places,
                                  rn_limits_view *out_view, ration_error *error)
{
    rn_limits_view *view = out_view;
    memset(view, 0, sizeof *view);
    view->limits = *limits;
    view->source = source;
    view->sysroot = sysroot;
    view->places = *places;
    view->refused.status = RATION_OK;
    ration_status status = rn_sample_minimums(limits, &view->sort_bytes, &view->join_bytes, error);
    if (status == RATION_OK && machine) {
        status = rn_probe_read(sysroot, &view->probe, error);
        if (status != RATION_OK) {
            view->probe.count = 0;
            status = limits->limit_bytes > 0 ? RATION_OK : status; /* given: needs no machine */
        }
        rn_limits_view_look(view, view->limits.registry_directory);
    }
    if (status != RATION_OK) {
        rn_limits_view_close(view);
        return status;
    }
    find_limit(view);
    find_slack(view);
    return RATION_OK;
}

void rn_limits_view_close(rn_limits_view *view)
{
    rn_registry_close(view->registry);
    view->registry = NULL;
    rn_places_close(&view->places);
}

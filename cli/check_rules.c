/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules of `ration check` that look at the file alone: combinations of keys that cannot be meant.
 * What a machine makes of them is check_machine.c; what is no memory.yaml at all, and limits that
 * lie above others, are told by config/.
 *
 * A rule is a function that adds at most a few findings; its name stands in brackets at the end of
 * each line and never changes. Warnings: what the file says will not happen. Notes: it will, and
 * has a side that is easily overlooked. */
#include "cli/findings.h"

#define VERY_FEW_ROWS 16

/* A key by name, its place. */
static rn_place at(const rn_limits_view *view, const char *name)
{
    return rn_places_find(&view->places, NULL, rn_limits_find(name));
}

static rn_place at_group(const rn_limits_view *view, const ration_group *group, const char *name)
{
    rn_place place = rn_places_find(&view->places, group->name, rn_limits_find_group(name));
    return place.line > 0 ? place : rn_places_find_group(&view->places, group->name);
}

/* ----------------------------------------------------------------------------- keys without use */

/* Does somebody say something of this key? */
static bool is_said(const rn_limits_view *view, const char *name)
{
    return at(view, name).origin != RN_ORIGIN_DEFAULT;
}

/* `names` that are said, although `because`. */
static void look_for_idle(const rn_limits_view *view, const char *const *names, size_t count,
                          const char *because, const char *hint, rn_findings *findings)
{
    for (size_t i = 0; i < count; i++) {
        if (is_said(view, names[i]) &&
            !rn_limits_is_default(&view->limits, rn_limits_find(names[i]))) {
            rn_place place = at(view, names[i]);
            rn_findings_add(findings, RN_SEVERITY_WARNING, "no-effect", &place, hint,
                            "%s has no effect: %s", names[i], because);
        }
    }
}

static void look_at_monitor(const rn_limits_view *view, rn_findings *findings)
{
    static const char *const of_derived[] = {"limit_ratio", "limit_base", "limit_floor_bytes",
                                             "limit_ceiling_bytes", "untracked_reserved_memory_mb"};
    static const char *const of_monitor[] = {"monitor_interval_ms", "pressure_stall_ratio",
                                             "registry_directory"};
    const ration_limits *limits = &view->limits;
    if (limits->enable_system_monitor) {
        return;
    }
    look_for_idle(view, of_monitor, RN_COUNT(of_monitor), "enable_system_monitor is false",
                  "set enable_system_monitor: true, or take it out", findings);
    if (limits->limit_bytes > 0) {
        look_for_idle(view, of_derived, RN_COUNT(of_derived),
                      "limit_bytes is given and enable_system_monitor is false",
                      "set limit_bytes: 0, or enable_system_monitor: true", findings);
        return;
    }
    rn_place place = at(view, "enable_system_monitor");
    rn_findings_add(findings, RN_SEVERITY_WARNING, "monitor-off", &place,
                    "leave enable_system_monitor on, or give limit_bytes",
                    "the limit is derived once, at the start, and kept: it gives way neither when "
                    "the machine has less nor when other processes come");
}

static void look_at_ceiling(const rn_limits_view *view, rn_findings *findings)
{
    static const char *const of_ceiling[] = {"limit_ceiling_bytes"};
    const ration_limits *limits = &view->limits;
    if (limits->limit_bytes > 0 && limits->enable_system_monitor &&
        limits->limit_ceiling_bytes >= limits->limit_bytes) {
        look_for_idle(view, of_ceiling, RN_COUNT(of_ceiling), "limit_bytes is a lower ceiling",
                      "take one of the two out", findings);
    }
}

/* ------------------------------------------------------------------------------------- spilling */

static void look_at_quotas(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    if (limits->spill_free_bytes_min == 0 && limits->spill_bytes_max == 0) {
        rn_place place = at(view, "spill_free_bytes_min");
        rn_findings_add(findings, RN_SEVERITY_WARNING, "spill-unbounded", &place,
                        "give spill_bytes_max, or spill_free_bytes_min: 1GiB",
                        "nothing keeps spilling from filling the file system of %s: no quota "
                        "(spill_bytes_max 0), and nothing has to stay free",
                        limits->spill_directory);
    }
    if (limits->spill_allow_memory) {
        rn_place place = at(view, "spill_allow_memory");
        rn_findings_add(findings, RN_SEVERITY_NOTE, "spill-allow-memory", &place, "",
                        "if %s is memory, what is written out there still takes memory, and "
                        "nobody counts it",
                        limits->spill_directory);
    }
}

/* ----------------------------------------------------------------------------------------- time */

static void look_at_waits(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    if (limits->admission_queue_max > 0 &&
        limits->admission_wait_ms_max < limits->query_wait_ms_max) {
        rn_place place = at(view, is_said(view, "admission_wait_ms_max") ? "admission_wait_ms_max"
                                                                         : "query_wait_ms_max");
        rn_findings_add(findings, RN_SEVERITY_WARNING, "admission-shorter", &place,
                        "let admission_wait_ms_max be at least query_wait_ms_max",
                        "a query gives up before it begins (%lld ms) sooner than those that run "
                        "may take to give way (query_wait_ms_max, %lld ms)",
                        (long long)limits->admission_wait_ms_max,
                        (long long)limits->query_wait_ms_max);
    }
    if (limits->query_time_ms_max > 0 && limits->query_time_ms_max < limits->query_wait_ms_max) {
        rn_place place = at(view, "query_time_ms_max");
        rn_findings_add(findings, RN_SEVERITY_NOTE, "time-shorter", &place, "",
                        "a query's time is over (%lld ms) before it may have waited for memory as "
                        "long as query_wait_ms_max says (%lld ms)",
                        (long long)limits->query_time_ms_max, (long long)limits->query_wait_ms_max);
    }
}

/* -------------------------------------------------------------------------------------- settles */

/* What one guard may let run up, against the least limit that every query has. */
static void look_at_settles(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    int64_t limit = limits->query_limit_bytes > 0 ? limits->query_limit_bytes : view->limit_bytes;
    int64_t guard = view->slack.guard_bytes;
    if (limit > 0 && guard > limit / 16) {
        rn_severity severity = guard > limit / 2 ? RN_SEVERITY_WARNING : RN_SEVERITY_NOTE;
        char settle[32], row[32], whole[32], of[32];
        rn_place place = at(view, is_said(view, "max_row_bytes") ? "max_row_bytes" : "check_bytes");
        rn_findings_add(findings, severity, "rows-between-looks", &place,
                        "lower check_interval, check_bytes or max_row_bytes",
                        "min(check_interval %lld x widest row %s, check_bytes) = %s between two "
                        "looks; with a row and a growth step each guard of a host that tells "
                        "afterwards may be %s above its limit, %.0f%% of %s",
                        (long long)limits->check_interval, rn_cli_size(limits->max_row_bytes, row),
                        rn_cli_size(view->slack.settle_bytes, settle), rn_cli_size(guard, whole),
                        100.0 * (double)guard / (double)limit, rn_cli_size(limit, of));
    }
    if (limits->check_bytes < limits->max_row_bytes && is_said(view, "check_bytes")) {
        rn_place place = at(view, "check_bytes");
        rn_findings_add(findings, RN_SEVERITY_NOTE, "check-bytes-below-row", &place, "",
                        "check_bytes is below max_row_bytes: the widest rows are looked at one by "
                        "one");
    }
    if (limits->check_interval < VERY_FEW_ROWS) {
        rn_place place = at(view, "check_interval");
        rn_findings_add(findings, RN_SEVERITY_WARNING, "few-rows", &place,
                        "1024 rows and check_bytes bound the same bytes",
                        "batches have %lld rows: every step of a query costs what it costs for "
                        "1024 of them",
                        (long long)limits->check_interval);
    }
}

/* ------------------------------------------------------------------------------------- minimums */

/* One limit that a query may have, by name. */
static void look_at_minimum(const rn_limits_view *view, const char *name, int64_t limit,
                            const rn_place *place, rn_findings *findings)
{
    int64_t least = RN_MAX(view->sort_bytes, view->join_bytes);
    if (limit <= 0 || least <= limit) {
        return;
    }
    char has[32], sort[32], join[32], row[32], hint[160];
    rn_text text = rn_text_over(hint, sizeof hint);
    rn_text_format(&text, "raise it to %s or more, or lower max_row_bytes (%s)",
                   rn_cli_size(least, has), rn_cli_size(view->limits.max_row_bytes, row));
    rn_findings_add(findings, RN_SEVERITY_WARNING, "minimum-above-limit", place, hint,
                    "%s %s is less than a query needs at least for rows up to max_row_bytes: a "
                    "sort %s, a join %s (MINIMUM_ABOVE_LIMIT)",
                    name, rn_cli_size(limit, has), rn_cli_size(view->sort_bytes, sort),
                    rn_cli_size(view->join_bytes, join));
}

static void look_at_minimums(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    rn_place place = at(view, limits->limit_bytes > 0 ? "limit_bytes" : "limit_ratio");
    look_at_minimum(view, limits->limit_bytes > 0 ? "limit_bytes" : "the limit here,",
                    view->limit_bytes, &place, findings);
    place = at(view, "query_limit_bytes");
    look_at_minimum(view, "query_limit_bytes", limits->query_limit_bytes, &place, findings);
    for (int64_t i = 0; i < limits->group_count; i++) {
        const ration_group *group = &limits->groups[i];
        char name[96];
        (void)snprintf(name, sizeof name, "group '%s': limit_bytes", group->name);
        place = at_group(view, group, "limit_bytes");
        look_at_minimum(view, name, group->limit_bytes, &place, findings);
        (void)snprintf(name, sizeof name, "group '%s': query_limit_bytes", group->name);
        place = at_group(view, group, "query_limit_bytes");
        look_at_minimum(view, name, group->query_limit_bytes, &place, findings);
    }
}

/* ----------------------------------------------------------------------------- limits and parts */

static void look_at_chunks(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    if (view->limit_bytes > 0 && limits->chunk_bytes_max > view->limit_bytes) {
        char chunk[32], limit[32];
        rn_place place = at(view, "chunk_bytes_max");
        rn_findings_add(
            findings, RN_SEVERITY_WARNING, "chunk-above-limit", &place, "lower chunk_bytes_max",
            "a chunk of %s is more than the limit of %s: none is ever taken whole",
            rn_cli_size(limits->chunk_bytes_max, chunk), rn_cli_size(view->limit_bytes, limit));
    }
    if (limits->retain_ms > 60000) {
        rn_place place = at(view, "retain_ms");
        rn_findings_add(findings, RN_SEVERITY_NOTE, "retain-long", &place, "",
                        "freed pages stay for %lld s: the process looks as large as it ever was",
                        (long long)(limits->retain_ms / 1000));
    }
}

static void look_at_data(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    int64_t left = view->limit_bytes - limits->data_limit_bytes;
    if (limits->data_limit_bytes == 0 || view->limit_bytes <= 0 || left >= view->sort_bytes) {
        return;
    }
    char data[32], limit[32];
    rn_place place = at(view, "data_limit_bytes");
    rn_findings_add(
        findings, RN_SEVERITY_WARNING, "data-takes-all", &place, "lower data_limit_bytes",
        "a graph may take %s of a limit of %s, and no query could run beside it",
        rn_cli_size(limits->data_limit_bytes, data), rn_cli_size(view->limit_bytes, limit));
}

/* -------------------------------------------------------------------------------------- groups */

static void look_at_group(const rn_limits_view *view, const ration_group *group,
                          rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    char own[32], other[32];
    rn_place place = at_group(view, group, "limit_bytes");
    if (view->limit_bytes > 0 && limits->limit_bytes == 0 &&
        group->limit_bytes > view->limit_bytes) {
        rn_findings_add(
            findings, RN_SEVERITY_WARNING, "group-above-limit", &place, "lower it, or write 0",
            "group '%s' may hold %s, and the limit of all comes to %s", group->name,
            rn_cli_size(group->limit_bytes, own), rn_cli_size(view->limit_bytes, other));
    }
    if (group->limit_bytes > 0 && group->query_limit_bytes == 0 &&
        limits->query_limit_bytes > group->limit_bytes) {
        rn_findings_add(findings, RN_SEVERITY_NOTE, "query-above-group", &place, "",
                        "a query of group '%s' may hold %s (query_limit_bytes), and the group %s",
                        group->name, rn_cli_size(limits->query_limit_bytes, other),
                        rn_cli_size(group->limit_bytes, own));
    }
    int64_t needed = rn_multiply(group->queries_max, view->sort_bytes);
    if (group->limit_bytes > 0 && needed > group->limit_bytes) {
        place = at_group(view, group, "queries_max");
        rn_findings_add(findings, RN_SEVERITY_NOTE, "gate-above-limit", &place, "",
                        "group '%s' admits %lld queries at a time; as many sorts need %s, and the "
                        "group has %s",
                        group->name, (long long)group->queries_max, rn_cli_size(needed, other),
                        rn_cli_size(group->limit_bytes, own));
    }
}

static void look_at_sum(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    int64_t sum = 0;
    bool bounded = limits->group_count > 0;
    for (int64_t i = 0; i < limits->group_count; i++) {
        look_at_group(view, &limits->groups[i], findings);
        sum = rn_add(sum, limits->groups[i].limit_bytes);
        bounded = bounded && limits->groups[i].limit_bytes > 0;
    }
    if (view->limit_bytes <= 0 || limits->group_count == 0) {
        return;
    }
    char all[32], limit[32], left[32];
    rn_place place = rn_places_find_group(&view->places, limits->groups[0].name);
    if (sum > view->limit_bytes) {
        rn_findings_add(findings, RN_SEVERITY_NOTE, "groups-above-limit", &place, "",
                        "the limits of the groups add up to %s, and that of all is %s: they cannot "
                        "be full at the same time",
                        rn_cli_size(sum, all), rn_cli_size(view->limit_bytes, limit));
    } else if (bounded && sum < view->limit_bytes - limits->data_limit_bytes) {
        rn_findings_add(findings, RN_SEVERITY_NOTE, "groups-below-limit", &place, "",
                        "the limits of the groups add up to %s of %s: %s are left to queries "
                        "without a group, and to the graph",
                        rn_cli_size(sum, all), rn_cli_size(view->limit_bytes, limit),
                        rn_cli_size(view->limit_bytes - sum, left));
    }
}

void rn_rules_look(const rn_limits_view *view, rn_findings *findings)
{
    look_at_monitor(view, findings);
    look_at_ceiling(view, findings);
    look_at_quotas(view, findings);
    look_at_waits(view, findings);
    look_at_settles(view, findings);
    look_at_minimums(view, findings);
    look_at_chunks(view, findings);
    look_at_data(view, findings);
    look_at_sum(view, findings);
}

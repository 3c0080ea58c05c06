/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration limits --json`: all that the text says, amounts in bytes, ratios in millionths. Unlimited
 * and unknown amounts are null. */
#include "cli/limits_parts.h"

static void put_amount(rn_text *text, const char *name, int64_t bytes)
{
    if (bytes == INT64_MAX || bytes < 0) {
        rn_text_format(text, ",\"%s\":null", name);
    } else {
        rn_text_format(text, ",\"%s\":%lld", name, (long long)bytes);
    }
}

static void put_member(rn_text *text, const char *name, const char *value)
{
    rn_text_format(text, ",\"%s\":", name);
    rn_text_put_json(text, value, strlen(value));
}

static void put_source(const rn_limits_view *view, int at, rn_text *text)
{
    static const char *const kinds[] = {
        [RN_PROBE_MACHINE] = "machine", [RN_PROBE_GROUP] = "group", [RN_PROBE_PROCESS] = "process"};
    const rn_probe_source *source = &view->probe.sources[at];
    const rn_limit_source *divided = &view->sources.of[at];
    rn_text_format(text, "%s{\"kind\":\"%s\"", at > 0 ? "," : "", kinds[source->kind]);
    put_member(text, "name", source->name);
    put_member(text, "file", source->file);
    put_member(text, "group", source->group);
    put_amount(text, "limit_bytes", source->limit_bytes);
    put_amount(text, "used_bytes", source->used_bytes);
    put_amount(text, "headroom_bytes", source->headroom_bytes);
    if (view->divided && divided->members > 0) {
        rn_text_format(text, ",\"members\":%lld", (long long)divided->members);
        put_amount(text, "resident_bytes", divided->resident_bytes);
        put_amount(text, "total_bytes", divided->total_bytes);
        put_amount(text, "part_bytes", divided->part_bytes);
        put_amount(text, "share_bytes", divided->share_bytes);
        put_amount(text, "most_bytes", divided->most_bytes);
        put_amount(text, "held_bytes", divided->held_bytes);
        put_amount(text, "room_bytes", divided->room_bytes);
    }
    rn_text_put(text, "}");
}

static void put_division(const rn_limits_view *view, rn_text *text)
{
    const ration_limits *limits = &view->limits;
    if (!view->divided) {
        rn_text_put(text, ",\"division\":null");
        return;
    }
    rn_text_format(text,
                   ",\"division\":{\"follows\":%s,\"ratio_ppm\":%lld,\"base\":\"%s\","
                   "\"reserve_bytes\":%lld,\"floor_bytes\":%lld",
                   rn_limits_view_follows(view) ? "true" : "false",
                   (long long)limits->limit_ratio_ppm,
                   limits->limit_base == RATION_BASE_TOTAL ? "total" : "available",
                   (long long)limits->untracked_reserved_bytes, (long long)rn_limit_floor(limits));
    put_amount(text, "ceiling_bytes", rn_limit_ceiling(limits));
    put_amount(text, "share_bytes", view->division.share_bytes);
    put_amount(text, "most_bytes", view->division.most_bytes);
    put_amount(text, "total_bytes", view->division.total_bytes);
    put_amount(text, "derived_bytes", view->derived_bytes);
    put_amount(text, "others_limit_bytes", view->division.others_limit_bytes);
    rn_text_format(text, ",\"binding\":%d}", view->division.binding);
}

static void put_others(const rn_limits_view *view, rn_text *text)
{
    rn_text_put(text, ",\"others\":[");
    int64_t now = rn_clock_ns();
    for (int64_t i = 0; i < view->other_count; i++) {
        const rn_registry_entry *entry = &view->entries[i];
        rn_text_format(text, "%s{\"process\":%lld,\"governor\":%lld", i > 0 ? "," : "",
                       (long long)entry->process, (long long)entry->number);
        put_amount(text, "limit_bytes", entry->limit_bytes);
        put_amount(text, "granted_bytes", entry->granted_bytes);
        put_amount(text, "resident_bytes", entry->resident_bytes);
        put_amount(text, "ceiling_bytes", entry->ceiling_bytes);
        put_amount(text, "demand_bytes", entry->demand_bytes);
        put_amount(text, "reserve_bytes", entry->reserve_bytes);
        rn_text_format(text, ",\"ratio_ppm\":%lld", (long long)entry->ratio_ppm);
        rn_text_format(text, ",\"heard_ms\":%lld",
                       (long long)(RN_MAX(now - entry->heard_ns, 0) / 1000000));
        put_member(text, "group", entry->group);
        rn_text_put(text, "}");
    }
    rn_text_put(text, "]");
    put_member(text, "registry_note", view->registry_note);
}

static void put_slack(const rn_slack *slack, rn_text *text)
{
    rn_text_format(text,
                   ",\"slack\":{\"executor_bytes\":%lld,\"settle_bytes\":%lld,"
                   "\"guard_bytes\":%lld,\"spare_bytes\":%lld},"
                   "\"pressure\":{\"elevated_below_bytes\":%lld,\"critical_below_bytes\":%lld}",
                   (long long)slack->executor_bytes, (long long)slack->settle_bytes,
                   (long long)slack->guard_bytes, (long long)slack->spare_bytes,
                   (long long)(slack->free_bytes / 2), (long long)(slack->free_bytes / 4));
}

void rn_limits_put_json(const void *what, rn_text *text)
{
    const rn_limits_view *view = what;
    rn_text_format(text, "{\"schema_version\":%d", RN_SCHEMA_VERSION);
    put_amount(text, "limit_bytes", view->limit_bytes);
    put_amount(text, "now_bytes", view->now_bytes);
    rn_text_format(text, ",\"derived\":%s", view->limits.limit_bytes == 0 ? "true" : "false");
    put_member(text, "config", view->source);
    put_member(text, "ordering", view->ordering);
    if (view->probe.count > 0) {
        put_amount(text, "available_bytes", view->probe.available_bytes);
        put_member(text, "binding", view->probe.sources[view->division.binding].name);
        put_member(text, "note", view->probe.note);
        put_member(text, "group", view->probe.group);
    }
    put_division(view, text);
    rn_text_put(text, ",\"sources\":[");
    for (int i = 0; i < view->probe.count; i++) {
        put_source(view, i, text);
    }
    rn_text_put(text, "]");
    put_others(view, text);
    put_slack(&view->slack, text);
    rn_limits_put_machine(view, text);
    rn_limits_put_keys(view, text);
    rn_text_put(text, "}\n");
}

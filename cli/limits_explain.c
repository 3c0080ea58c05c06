/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration limits` as text: the arithmetic so that it can be done again by hand, the sources, who
 * shares them, and what may be beyond the limit. */
#include "cli/limits_parts.h"
#include "cli/table.h"

static const char *name_of(const rn_limits_view *view, int source)
{
    return view->probe.sources[source].name;
}

/* ----------------------------------------------------------------------------------- arithmetic */

/* The source with the least room; -1 = the share is the smaller of the two. */
static int find_narrow(const rn_limits_view *view)
{
    int narrow = -1;
    int64_t least = view->division.share_bytes;
    for (int i = 0; i < view->probe.count; i++) {
        if (view->sources.of[i].members > 0 && view->sources.of[i].room_bytes < least) {
            least = view->sources.of[i].room_bytes;
            narrow = i;
        }
    }
    return narrow;
}

/* What is divided: "12 GiB available", "13 GiB (12 GiB available, 1 GiB in the memory of
 * registered processes)". */
static void put_total(const rn_limits_view *view, int at, rn_text *text)
{
    const rn_probe_source *source = &view->probe.sources[at];
    const rn_limit_source *divided = &view->sources.of[at];
    char total[32], headroom[32], resident[32];
    rn_text_put(text, rn_cli_size(divided->total_bytes, total));
    if (view->limits.limit_base == RATION_BASE_TOTAL ||
        divided->total_bytes != rn_add(source->headroom_bytes, divided->resident_bytes)) {
        rn_text_put(text, " in all");
    } else if (divided->resident_bytes == 0) {
        rn_text_put(text, " available");
    } else {
        rn_text_format(text, " (%s available, %s in memory of registered processes)",
                       rn_cli_size(source->headroom_bytes, headroom),
                       rn_cli_size(divided->resident_bytes, resident));
    }
}

/* The share in rounded figures, and then in bytes. */
static void print_share(const rn_limits_view *view)
{
    const rn_registry_division *division = &view->division;
    const rn_limit_source *source = &view->sources.of[division->binding];
    char total[160], part[32], reserved[32], ratio[32];
    rn_text text = rn_text_over(total, sizeof total);
    put_total(view, division->binding, &text);
    text = rn_text_over(ratio, sizeof ratio);
    rn_text_put_ratio(&text, view->limits.limit_ratio_ppm);
    bool divided = source->part_bytes != source->total_bytes;
    printf("%s x %s - %s reserved\n", ratio,
           divided ? rn_cli_size(source->part_bytes, part) : total,
           rn_cli_size(view->limits.untracked_reserved_bytes, reserved));
    printf("          %lld = %lld x %lld / 1000000 - %lld%s\n", (long long)division->share_bytes,
           (long long)view->limits.limit_ratio_ppm, (long long)source->part_bytes,
           (long long)view->limits.untracked_reserved_bytes,
           division->share_bytes == 0 ? ", and not below 0" : "");
    if (divided) {
        printf("divided   %s of %s, beside %lld other%s\n", part, total,
               (long long)(source->members - 1), source->members == 2 ? "" : "s");
    }
}

/* Where others still hold what will be its. */
static void print_room(const rn_limits_view *view)
{
    int narrow = find_narrow(view);
    if (narrow < 0) {
        return;
    }
    const rn_limit_source *source = &view->sources.of[narrow];
    char room[32], held[32];
    printf("now       %s: others hold %s at %s, and give way\n", rn_cli_size(view->now_bytes, room),
           rn_cli_size(source->held_bytes, held), name_of(view, narrow));
    printf("          %lld = %lld x %lld / 1000000 - %lld%s\n", (long long)source->room_bytes,
           (long long)view->limits.limit_ratio_ppm, (long long)source->total_bytes,
           (long long)source->held_bytes,
           view->now_bytes != source->room_bytes ? ", and not below the floor"
           : source->room_bytes == 0             ? ", and not below 0"
                                                 : "");
}

/* The most it would take, where that is what it gets. */
static void print_ceiling(const rn_limits_view *view)
{
    const ration_limits *limits = &view->limits;
    bool given = limits->limit_bytes > 0 && view->limit_bytes == limits->limit_bytes;
    char derived[32];
    printf("%s of %s; ", given ? "limit_bytes" : "limit_ceiling_bytes", view->source);
    printf("%s would be there\n", rn_cli_size(view->derived_bytes, derived));
}

static void print_mode(const rn_limits_view *view)
{
    const ration_limits *limits = &view->limits;
    char floor[32], ceiling[32];
    printf("mode      %s", limits->limit_base == RATION_BASE_TOTAL ? "a part of the total"
                                                                   : "a part of what is available");
    if (limits->enable_system_monitor) {
        printf(", followed every %lld ms", (long long)limits->monitor_interval_ms);
    } else {
        printf(", once at the start");
    }
    printf("; at least %s", rn_cli_size(rn_limit_floor(limits), floor));
    if (rn_limit_ceiling(limits) != INT64_MAX) {
        printf(", at most %s", rn_cli_size(rn_limit_ceiling(limits), ceiling));
    }
    printf("\n");
}

/* From where on the monitor acts. */
static void print_levels(const rn_limits_view *view)
{
    if (view->divided && view->limits.enable_system_monitor && view->limit_bytes >= 0) {
        char elevated[32], critical[32];
        printf("pressure  elevated below %s of headroom, critical below %s: half and a quarter of "
               "what the ratio leaves\n",
               rn_cli_size(view->slack.free_bytes / 2, elevated),
               rn_cli_size(view->slack.free_bytes / 4, critical));
    }
}

void rn_limits_print_arithmetic(const rn_limits_view *view)
{
    char limit[32];
    if (view->limit_bytes < 0) {
        printf("limit     none: %s\n", view->refused.message);
        if (!view->divided) {
            return;
        }
    } else {
        printf("limit     %s = ", rn_cli_size(view->limit_bytes, limit));
    }
    if (!rn_limits_view_follows(view) || !view->divided) {
        printf("limit_bytes of %s\n", view->source);
        return;
    }
    if (view->limit_bytes >= 0 && view->limit_bytes == rn_limit_ceiling(&view->limits)) {
        print_ceiling(view);
    } else {
        if (view->limit_bytes < 0) {
            printf("          %s = ", rn_cli_size(view->division.share_bytes, limit));
        }
        print_share(view);
    }
    print_room(view);
    printf("binding   %s\n", name_of(view, view->division.binding));
    print_mode(view);
}

/* -------------------------------------------------------------------------------------- sources */

static void put_amount(int64_t bytes, bool known, rn_text *text)
{
    if (known) {
        rn_text_put_size(text, bytes);
    } else {
        rn_text_put(text, "-");
    }
}

static ration_status print_sources(const rn_limits_view *view)
{
    static const bool right[] = {false, true, true, true, true, true, false, false};
    static const char *const headings[] = {"source",    "limit",     "used", "headroom",
                                           "shared by", "own share", "",     "read from"};
    rn_table table;
    rn_table_open(&table, stdout, RN_COUNT(right), right);
    table.line_columns = 0; /* a path that is cut is of no use */
    ration_status status = rn_table_row(&table, headings);
    for (int i = 0; i < view->probe.count && status == RATION_OK; i++) {
        const rn_probe_source *source = &view->probe.sources[i];
        const rn_limit_source *divided = &view->sources.of[i];
        bool shared = view->divided && divided->members > 0;
        char limit[32], headroom[32], used[32], share[32], members[32] = "-";
        rn_text text = rn_text_over(used, sizeof used);
        put_amount(source->used_bytes, source->used_bytes > 0, &text);
        text = rn_text_over(share, sizeof share);
        put_amount(divided->share_bytes, shared, &text);
        if (shared) {
            (void)snprintf(members, sizeof members, "%lld", (long long)divided->members);
        }
        const char *const cells[] = {source->name,
                                     rn_cli_size(source->limit_bytes, limit),
                                     used,
                                     rn_cli_size(source->headroom_bytes, headroom),
                                     members,
                                     share,
                                     i == view->division.binding ? "<-- smallest" : "",
                                     source->file[0] != '\0' ? source->file : "getrlimit"};
        status = rn_table_row(&table, cells);
    }
    rn_table_end(&table);
    return status;
}

static void print_notes(const rn_probe *probe)
{
    if (probe->hidden) {
        printf("note: a cgroup namespace hides the groups above; limits they may have bind too, "
               "and are not seen\n");
    }
    if (probe->note[0] != '\0') {
        printf("note: not read: %s\n", probe->note);
    }
}

/* --------------------------------------------------------------------------------------- others */

static ration_status print_others(const rn_limits_view *view)
{
    static const bool right[] = {true, true, true, true, true, true, true, false};
    static const char *const headings[] = {"process", "governor",  "limit", "wants",
                                           "granted", "in memory", "heard", "control group"};
    if (view->registry_note[0] != '\0') {
        printf("others    unknown: %s\n", view->registry_note);
        return RATION_OK;
    }
    printf("others    %lld registered in %s%s\n", (long long)view->other_count, view->sysroot,
           view->registry_directory);
    if (view->other_count == 0) {
        return RATION_OK;
    }
    rn_table table;
    rn_table_open(&table, stdout, RN_COUNT(right), right);
    table.line_columns = 0;
    ration_status status = rn_table_row(&table, headings);
    int64_t now = rn_clock_ns();
    for (int64_t i = 0; i < view->other_count && status == RATION_OK; i++) {
        const rn_registry_entry *entry = &view->entries[i];
        char process[32], number[32], limit[32], granted[32], resident[32], heard[32], ago[48],
            wants[32];
        (void)snprintf(process, sizeof process, "%lld", (long long)entry->process);
        (void)snprintf(number, sizeof number, "%lld", (long long)entry->number);
        (void)snprintf(ago, sizeof ago, "%s ago",
                       rn_cli_duration(RN_MAX(now - entry->heard_ns, 0), heard));
        const char *const cells[] = {
            process,
            number,
            rn_cli_size(entry->limit_bytes, limit),
            rn_cli_size(RN_MIN(entry->demand_bytes, entry->ceiling_bytes), wants),
            rn_cli_size(entry->granted_bytes, granted),
            rn_cli_size(entry->resident_bytes, resident),
            ago,
            entry->group[0] != '\0' ? entry->group : "-"};
        status = rn_table_row(&table, cells);
    }
    rn_table_end(&table);
    return status;
}

/* ---------------------------------------------------------------------------------------- slack */

static void print_slack(const rn_limits_view *view)
{
    const rn_slack *slack = &view->slack;
    const ration_limits *limits = &view->limits;
    char executor[32], limit[32], guard[32], settle[32], row[32], bytes[32], growth[32], spare[32];
    printf("beyond the limit at worst\n");
    printf("  executor  %s = max(2 MiB, 2%% of %s): what is not charged of Ration's own queries\n",
           rn_cli_size(slack->executor_bytes, executor),
           rn_cli_size(RN_MAX(view->limit_bytes, 0), limit));
    printf("  hosts     %s for each guard = min(%lld rows x %s, %s) + a row of %s + growth by %s,\n"
           "            where a host allocates first and tells afterwards (%s at most before it "
           "tells); else 0\n",
           rn_cli_size(slack->guard_bytes, guard), (long long)limits->check_interval,
           rn_cli_size(limits->max_row_bytes, row), rn_cli_size(limits->check_bytes, bytes), row,
           rn_cli_size(slack->guard_bytes - slack->settle_bytes - limits->max_row_bytes, growth),
           rn_cli_size(slack->settle_bytes, settle));
    printf("  unchecked 0 B, unless the host calls ration_slot_charge; reported as unchecked "
           "bytes\n");
    if (limits->enable_system_monitor) {
        printf("  late      a limit that falls is seen within %lld ms; what was granted above it "
               "comes back as queries write out\n",
               (long long)limits->monitor_interval_ms);
    }
    if (view->divided && rn_limits_view_follows(view)) {
        printf("  for it    %s stay free of what is there: the reserve, and what the ratio "
               "leaves%s\n",
               rn_cli_size(slack->spare_bytes, spare),
               slack->executor_bytes > slack->spare_bytes ? " (less than the executor's)" : "");
    }
    printf("  within    credit, minimums, retained pages, stacks and buffers of workers are "
           "charged: not beyond it\n");
}

ration_status rn_limits_print_explanation(const rn_limits_view *view)
{
    print_levels(view);
    rn_limits_print_machine(view);
    printf("\n");
    if (view->probe.count > 0) {
        RN_TRY(print_sources(view));
        print_notes(&view->probe);
        printf("\n");
    }
    RN_TRY(print_others(view));
    printf("\n");
    print_slack(view);
    printf("\n");
    return rn_limits_print_keys(view);
}

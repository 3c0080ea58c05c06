/* SPDX-License-Identifier: Apache-2.0
 *
 * What would change: the limits that a running governor has published in the registry beside those
 * of a file, key by key; against.h.
 *
 * When a change holds: of most keys with the reload; of those that a query takes along when it
 * begins, for the queries that begin after it; of a few never, and then the whole reload is refused
 * (ration_governor_reload), so that no half of a file is ever in force. */
#include "cli/against.h"

#include "cli/table.h"

/* One difference. `old_value`, `new_value` NULL = the group is not there. */
struct change {
    const rn_limits_key *key; /* NULL = a group as a whole */
    const char *group;        /* NULL = a key of all */
    const void *old_values, *new_values;
    const char *when;
};

typedef bool visit_change(void *argument, const struct change *change); /* false: stop */

static const char *const when_words[] = {[RN_LIMITS_NOW] = "now",
                                         [RN_LIMITS_NEW_QUERIES] = "for new queries",
                                         [RN_LIMITS_RESTART] =
                                             "needs a restart: a reload is refused"};

static bool needs_restart(const struct change *change)
{
    return change->key != NULL && change->key->when == RN_LIMITS_RESTART;
}

static bool visit_keys(const rn_limits_key *keys, size_t count, const char *group, const void *old,
                       const void *new, visit_change *visit, void *argument)
{
    for (size_t i = 0; i < count; i++) {
        if (!rn_limits_agree(&keys[i], old, new)) {
            const struct change found = {&keys[i], group, old, new, when_words[keys[i].when]};
            if (!visit(argument, &found)) {
                return false;
            }
        }
    }
    return true;
}

/* Calls `visit` with each difference, in the order of the tables, groups last. */
static void visit_changes(const ration_limits *old, const ration_limits *new, visit_change *visit,
                          void *argument)
{
    size_t count, group_count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    const rn_limits_key *group_keys = rn_limits_group_keys(&group_count);
    bool on = visit_keys(keys, count, NULL, old, new, visit, argument);
    for (int64_t i = 0; i < new->group_count &&on; i++) {
        const ration_group *group = &new->groups[i];
        const ration_group *before = rn_limits_group(old, group->name);
        const struct change added = {NULL, group->name, NULL, group, when_words[RN_LIMITS_NOW]};
        on = before == NULL
                 ? visit(argument, &added)
                 : visit_keys(group_keys, group_count, group->name, before, group, visit, argument);
    }
    for (int64_t i = 0; i < old->group_count && on; i++) {
        const ration_group *group = &old->groups[i];
        const struct change removed = {NULL, group->name, group, NULL,
                                       "takes no new queries, goes with its last one"};
        on = rn_limits_group(new, group->name) != NULL || visit(argument, &removed);
    }
}

/* -------------------------------------------------------------------------------------- finding */

static bool count_change(void *argument, const struct change *change)
{
    rn_against_governor *governor = argument;
    governor->changes += 1;
    governor->restarts += needs_restart(change) ? 1 : 0;
    return true;
}

static bool is_first_of_process(const rn_limits_view *view, int64_t at)
{
    for (int64_t i = 0; i < at; i++) {
        if (view->entries[i].process == view->entries[at].process) {
            return false;
        }
    }
    return true;
}

/* The pid that is meant. */
static ration_status find_process(const char *who, const rn_limits_view *view, int64_t *out_process,
                                  ration_error *error)
{
    if (strcmp(who, "running") != 0) {
        if (!rn_parse_int64(who, strlen(who), out_process) || *out_process <= 0) {
            return rn_error_set(error, RATION_INVALID_ARGUMENT,
                                "--against running, or --against PID",
                                "'%.40s' is neither 'running' nor a process", who);
        }
        return RATION_OK;
    }
    int64_t process = 0;
    char pids[256];
    rn_text text = rn_text_over(pids, sizeof pids);
    int64_t count = 0;
    for (int64_t i = 0; i < view->other_count; i++) {
        if (is_first_of_process(view, i)) {
            process = view->entries[i].process;
            rn_text_format(&text, "%s%lld", count > 0 ? ", " : "", (long long)process);
            count += 1;
        }
    }
    if (count > 1) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "name one: --against PID",
                            "%lld processes are running: %s", (long long)count, pids);
    }
    *out_process = process;
    return RATION_OK;
}

ration_status rn_against_find(const char *who, const rn_limits_view *view, rn_against *out_against,
                              ration_error *error)
{
    int64_t process = 0;
    RN_TRY(find_process(who, view, &process, error));
    out_against->view = view;
    out_against->count = 0;
    bool seen = false, other_version = false;
    for (int64_t i = 0; i < view->other_count && out_against->count < RN_AGAINST_GOVERNORS_MAX;
         i++) {
        rn_against_governor *governor = &out_against->governors[out_against->count];
        if (view->entries[i].process != process) {
            continue;
        }
        seen = true;
        *governor = (rn_against_governor){.entry = view->entries[i], .limit_bytes = -1};
        if (rn_registry_get_limits(view->registry, &view->entries[i], &governor->limits,
                                   &other_version)) {
            visit_changes(&governor->limits, &view->limits, count_change, governor);
            governor->limit_bytes = rn_limits_view_for(view, i);
            out_against->count += 1;
        }
    }
    if (out_against->count > 0) {
        return RATION_OK;
    }
    if (seen) {
        return rn_error_set(error, RATION_ENVIRONMENT,
                            other_version ? "compare with the program of its version" : "",
                            "process %lld has published no limits%s", (long long)process,
                            other_version ? " that this version reads" : " yet");
    }
    char who_is_not[64] = "no process has";
    if (process != 0) {
        (void)snprintf(who_is_not, sizeof who_is_not, "process %lld has not", (long long)process);
    }
    return rn_error_set(error, RATION_ENVIRONMENT,
                        "processes register while enable_system_monitor is on, those of one user; "
                        "--registry DIR when they run with another registry_directory",
                        "%s registered in %s%s%s", who_is_not, view->registry_directory,
                        view->registry_note[0] != '\0' ? ": " : "", view->registry_note);
}

ration_status rn_against_status(const rn_against *against)
{
    for (int i = 0; i < against->count; i++) {
        if (against->governors[i].restarts > 0) {
            return RATION_CONFIG;
        }
    }
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- as text */

static void put_name(const struct change *change, rn_text *text)
{
    if (change->group != NULL) {
        rn_text_format(text, "group %s%s", change->group, change->key != NULL ? " " : "");
    }
    rn_text_put(text, change->key != NULL ? change->key->name : "");
}

/* The value before or after; of a group as a whole that it is there. */
static void put_value(const struct change *change, const void *values, rn_text *text)
{
    if (values == NULL) {
        rn_text_put(text, "-");
    } else if (change->key == NULL) {
        rn_text_put(text, "there");
    } else {
        rn_limits_put_value(text, change->key, values);
    }
}

struct print {
    rn_table table;
    ration_status status;
};

static bool print_change(void *argument, const struct change *change)
{
    struct print *print = argument;
    char name[96], old[256], new[256];
    rn_text text = rn_text_over(name, sizeof name);
    put_name(change, &text);
    text = rn_text_over(old, sizeof old);
    put_value(change, change->old_values, &text);
    text = rn_text_over(new, sizeof new);
    put_value(change, change->new_values, &text);
    const char *const cells[] = {name, old, new, change->when};
    print->status = rn_table_row(&print->table, cells);
    return print->status == RATION_OK;
}

static ration_status print_governor(const rn_against_governor *governor, const rn_limits_view *view)
{
    static const char *const headings[] = {"key", "running", "this file", "holds"};
    char limit[32], granted[32], next[32];
    const rn_registry_entry *entry = &governor->entry;
    printf("against process %lld, governor %lld: limit %s, granted %s\n", (long long)entry->process,
           (long long)entry->number, rn_cli_size(entry->limit_bytes, limit),
           rn_cli_size(entry->granted_bytes, granted));
    if (governor->changes == 0) {
        printf("  nothing would change\n");
        return RATION_OK;
    }
    struct print print = {.status = RATION_OK};
    rn_table_open(&print.table, stdout, RN_COUNT(headings), NULL);
    print.table.line_columns = 0;
    print.status = rn_table_row(&print.table, headings);
    if (print.status == RATION_OK) {
        visit_changes(&governor->limits, &view->limits, print_change, &print);
    }
    rn_table_end(&print.table);
    if (governor->restarts > 0) {
        printf("a reload would be refused as a whole: %lld key%s need%s a restart\n",
               (long long)governor->restarts, governor->restarts == 1 ? "" : "s",
               governor->restarts == 1 ? "s" : "");
    } else if (governor->limit_bytes >= 0) {
        printf("limit %s -> %s\n", rn_cli_size(entry->limit_bytes, limit),
               rn_cli_size(governor->limit_bytes, next));
    }
    return print.status;
}

ration_status rn_against_print(const rn_against *against)
{
    for (int i = 0; i < against->count; i++) {
        RN_TRY(print_governor(&against->governors[i], against->view));
    }
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- as JSON */

struct listing {
    rn_text *text;
    bool more;
};

static void put_json_value(const struct change *change, const void *values, rn_text *text)
{
    char value[256];
    rn_text shown = rn_text_over(value, sizeof value);
    if (values == NULL) {
        rn_text_put(text, "null");
        return;
    }
    put_value(change, values, &shown);
    rn_text_put_json(text, value, strlen(value));
}

static bool list_change(void *argument, const struct change *change)
{
    struct listing *listing = argument;
    rn_text *text = listing->text;
    rn_text_put(text, listing->more ? ",{" : "{");
    listing->more = true;
    if (change->group != NULL) {
        rn_text_put(text, "\"group\":");
        rn_text_put_json(text, change->group, strlen(change->group));
        rn_text_put(text, ",");
    }
    if (change->key != NULL) {
        rn_text_format(text, "\"key\":\"%s\",", change->key->name);
    }
    rn_text_put(text, "\"running\":");
    put_json_value(change, change->old_values, text);
    rn_text_put(text, ",\"file\":");
    put_json_value(change, change->new_values, text);
    rn_text_format(text, ",\"holds\":\"%s\",\"restart\":%s}", change->when,
                   needs_restart(change) ? "true" : "false");
    return true;
}

void rn_against_put_json(const rn_against *against, rn_text *text)
{
    rn_text_put(text, "[");
    for (int i = 0; i < against->count; i++) {
        const rn_against_governor *governor = &against->governors[i];
        rn_text_format(text,
                       "%s{\"process\":%lld,\"governor\":%lld,\"limit_bytes\":%lld,"
                       "\"granted_bytes\":%lld,\"accepted\":%s,\"new_limit_bytes\":",
                       i > 0 ? "," : "", (long long)governor->entry.process,
                       (long long)governor->entry.number, (long long)governor->entry.limit_bytes,
                       (long long)governor->entry.granted_bytes,
                       governor->restarts == 0 ? "true" : "false");
        if (governor->limit_bytes >= 0) {
            rn_text_format(text, "%lld", (long long)governor->limit_bytes);
        } else {
            rn_text_put(text, "null");
        }
        rn_text_put(text, ",\"changes\":[");
        struct listing listing = {text, false};
        visit_changes(&governor->limits, &against->view->limits, list_change, &listing);
        rn_text_put(text, "]}");
    }
    rn_text_put(text, "]");
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration limits`: the limit on this machine and how it comes about. Needs no configuration; reads
 * only. */
#include "cli/options.h"
#include "cli/table.h"
#include "executor/governor.h"
#include "memory/pages.h"

typedef struct limits_view {
    ration_limits limits;
    const char *source; /* where the limits come from */
    int64_t limit_bytes;
    bool derived;
    rn_probe probe; /* count 0 when the machine tells nothing */
    const char *ordering;
} limits_view;

static ration_status find_ordering(const char **out_ordering, ration_error *error)
{
    const rn_ledger_options options = {.chunk_bytes_max = 4096, .force_seq_cst = false};
    rn_ledger *ledger;
    ration_status status = rn_ledger_open(&options, &ledger);
    if (status != RATION_OK) {
        return rn_error_set(error, status, "", "no memory for a ledger");
    }
    *out_ordering = rn_ledger_uses_membarrier(ledger) ? "membarrier" : "seq_cst";
    rn_ledger_close(ledger);
    return RATION_OK;
}

static ration_status look(limits_view *view, const char *sysroot, ration_error *error)
{
    RN_TRY(find_ordering(&view->ordering, error));
    if (view->limits.limit_bytes == 0) {
        view->derived = true;
        return rn_derive_limit(&view->limits, sysroot, &view->probe, &view->limit_bytes, error);
    }
    view->limit_bytes = view->limits.limit_bytes;
    if (rn_probe_read(sysroot, &view->probe, NULL) != RATION_OK) {
        view->probe.count = 0; /* a given limit needs no machine */
    }
    return RATION_OK;
}

static const char *binding_name(const limits_view *view)
{
    return view->probe.count > 0 ? view->probe.sources[view->probe.binding].name : "";
}

static void print_arithmetic(const limits_view *view)
{
    char limit[32], available[32], reserved[32];
    printf("limit     %s = ", rn_cli_size(view->limit_bytes, limit));
    if (view->derived) {
        char ratio[32];
        rn_text text = rn_text_over(ratio, sizeof ratio);
        rn_text_put_double(&text, (double)view->limits.limit_ratio_ppm / 1e6);
        printf("%s x %s available - %s reserved\n", ratio,
               rn_cli_size(view->probe.available_bytes, available),
               rn_cli_size(view->limits.untracked_reserved_bytes, reserved));
        printf("binding   %s\n", binding_name(view));
    } else {
        printf("limit_bytes of %s\n", view->source);
    }
}

static ration_status print_sources(const rn_probe *probe)
{
    static const bool right[] = {false, true, true, true, false, false};
    static const char *const headings[] = {"source", "limit", "used", "headroom", "", "read from"};
    rn_table table;
    rn_table_open(&table, stdout, RN_COUNT(right), right);
    table.line_columns = 0; /* a path that is cut is of no use */
    ration_status status = rn_table_row(&table, headings);
    for (int i = 0; i < probe->count && status == RATION_OK; i++) {
        const rn_probe_source *source = &probe->sources[i];
        char limit[32], used[32], headroom[32];
        const char *const cells[] = {source->name,
                                     rn_cli_size(source->limit_bytes, limit),
                                     source->used_bytes > 0 ? rn_cli_size(source->used_bytes, used)
                                                            : "-",
                                     rn_cli_size(source->headroom_bytes, headroom),
                                     i == probe->binding ? "<-- smallest" : "",
                                     source->file[0] != '\0' ? source->file : "getrlimit"};
        status = rn_table_row(&table, cells);
    }
    rn_table_end(&table);
    return status;
}

static void put_key_value(rn_text *text, const rn_limits_key *key, const void *values)
{
    int64_t value = rn_limits_get(values, key);
    switch (key->type) {
    case RN_LIMITS_BYTES:
    case RN_LIMITS_MIB:
        rn_text_put_size(text, value);
        break;
    case RN_LIMITS_RATIO:
        rn_text_put_double(text, (double)value / 1e6);
        break;
    case RN_LIMITS_BOOL:
        rn_text_put(text, value != 0 ? "true" : "false");
        break;
    case RN_LIMITS_CHOICE:
    case RN_LIMITS_COUNT:
        rn_text_format(text, "%lld", (long long)value);
        break;
    case RN_LIMITS_MS:
        rn_text_format(text, "%lld ms", (long long)value);
        break;
    case RN_LIMITS_DIRECTORY:
        rn_text_put(text, rn_limits_text(values, key));
        break;
    }
}

/* The rows of one table: of `values`, a ration_limits or a ration_group. */
static ration_status print_keys(const char *title, const void *values, const rn_limits_key *keys,
                                size_t count)
{
    static const bool right[] = {false, true, false, false};
    const char *const headings[] = {title, "value", "", "meaning"};
    rn_table table;
    rn_table_open(&table, stdout, RN_COUNT(right), right);
    table.line_columns = 0;
    ration_status status = rn_table_row(&table, headings);
    for (size_t i = 0; i < count && status == RATION_OK; i++) {
        char shown[sizeof((ration_limits *)NULL)->spill_directory];
        rn_text text = rn_text_over(shown, sizeof shown);
        put_key_value(&text, &keys[i], values);
        const char *const cells[] = {keys[i].name, shown,
                                     rn_limits_is_default(values, &keys[i]) ? "default" : "",
                                     keys[i].sentence};
        status = rn_table_row(&table, cells);
    }
    rn_table_end(&table);
    return status;
}

static const char *huge_word(rn_huge_mode mode)
{
    static const char *const words[] = {[RN_HUGE_ABSENT] = "absent",
                                        [RN_HUGE_NEVER] = "never",
                                        [RN_HUGE_MADVISE] = "madvise",
                                        [RN_HUGE_ALWAYS] = "always"};
    return words[mode];
}

/* What the kernel does for pages; whatever it lacks is done without. */
static void print_pages(void)
{
    const rn_page_features *pages = rn_page_features_get();
    char page[32];
    printf("pages     %s, huge pages %s, MADV_POPULATE_WRITE %s, MADV_GUARD_INSTALL %s, named "
           "mappings %s\n",
           rn_cli_size(pages->page_bytes, page), huge_word(pages->huge),
           pages->populate ? "yes" : "no", pages->guards ? "yes" : "no",
           pages->names ? "yes" : "no");
}

static ration_status print_explanation(const limits_view *view)
{
    printf("config    %s\nordering  %s (how the slots' published counters are ordered)\n",
           view->source, view->ordering);
    print_pages();
    if (view->probe.count > 0) {
        printf("\n");
        RN_TRY(print_sources(&view->probe));
    }
    if (view->probe.count > 0 && view->probe.note[0] != '\0') {
        printf("note: %s\n", view->probe.note);
    }
    printf("\n");
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    RN_TRY(print_keys("key", &view->limits, keys, count));
    keys = rn_limits_group_keys(&count);
    for (int64_t i = 0; i < view->limits.group_count; i++) {
        char title[64];
        rn_text text = rn_text_over(title, sizeof title);
        rn_text_format(&text, "group %s", view->limits.groups[i].name);
        printf("\n");
        RN_TRY(print_keys(title, &view->limits.groups[i], keys, count));
    }
    return RATION_OK;
}

static void put_json_amount(rn_text *text, const char *name, int64_t bytes)
{
    if (bytes == INT64_MAX) {
        rn_text_format(text, ",\"%s\":null", name);
    } else {
        rn_text_format(text, ",\"%s\":%lld", name, (long long)bytes);
    }
}

static void put_json_pages(rn_text *text)
{
    const rn_page_features *pages = rn_page_features_get();
    rn_text_format(text,
                   ",\"pages\":{\"page_bytes\":%lld,\"huge\":\"%s\",\"populate\":%s,"
                   "\"guards\":%s,\"names\":%s}",
                   (long long)pages->page_bytes, huge_word(pages->huge),
                   pages->populate ? "true" : "false", pages->guards ? "true" : "false",
                   pages->names ? "true" : "false");
}

static void put_json_keys(rn_text *text, const void *values, const rn_limits_key *keys,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rn_text_format(text, "%s\"%s\":", i > 0 ? "," : "", keys[i].name);
        if (keys[i].type == RN_LIMITS_DIRECTORY) {
            const char *shown = rn_limits_text(values, &keys[i]);
            rn_text_put_json(text, shown, strlen(shown));
        } else {
            rn_text_format(text, "%lld", (long long)rn_limits_get(values, &keys[i]));
        }
    }
}

static void put_json_groups(rn_text *text, const ration_limits *limits)
{
    size_t count;
    const rn_limits_key *keys = rn_limits_group_keys(&count);
    rn_text_put(text, ",\"groups\":{");
    for (int64_t i = 0; i < limits->group_count; i++) {
        const ration_group *group = &limits->groups[i];
        rn_text_put(text, i > 0 ? "," : "");
        rn_text_put_json(text, group->name, strlen(group->name));
        rn_text_put(text, ":{");
        put_json_keys(text, group, keys, count);
        rn_text_put(text, "}");
    }
    rn_text_put(text, "}");
}

static void put_json(const void *what, rn_text *text)
{
    const limits_view *view = what;
    rn_text_format(text, "{\"schema_version\":%d,\"limit_bytes\":%lld,\"derived\":%s,\"config\":",
                   RN_SCHEMA_VERSION, (long long)view->limit_bytes,
                   view->derived ? "true" : "false");
    rn_text_put_json(text, view->source, strlen(view->source));
    rn_text_format(text, ",\"ordering\":\"%s\"", view->ordering);
    put_json_pages(text);
    if (view->probe.count > 0) {
        put_json_amount(text, "available_bytes", view->probe.available_bytes);
        rn_text_put(text, ",\"binding\":");
        rn_text_put_json(text, binding_name(view), strlen(binding_name(view)));
        rn_text_put(text, ",\"note\":");
        rn_text_put_json(text, view->probe.note, strlen(view->probe.note));
    }
    rn_text_put(text, ",\"sources\":[");
    for (int i = 0; i < view->probe.count; i++) {
        const rn_probe_source *source = &view->probe.sources[i];
        rn_text_put(text, i > 0 ? ",{\"name\":" : "{\"name\":");
        rn_text_put_json(text, source->name, strlen(source->name));
        rn_text_put(text, ",\"file\":");
        rn_text_put_json(text, source->file, strlen(source->file));
        put_json_amount(text, "limit_bytes", source->limit_bytes);
        put_json_amount(text, "used_bytes", source->used_bytes);
        put_json_amount(text, "headroom_bytes", source->headroom_bytes);
        rn_text_put(text, "}");
    }
    rn_text_put(text, "],\"keys\":{");
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    put_json_keys(text, &view->limits, keys, count);
    rn_text_put(text, "}");
    put_json_groups(text, &view->limits);
    rn_text_put(text, "}\n");
}

static ration_status print_view(const limits_view *view, bool json, bool explain,
                                ration_error *error)
{
    ration_status status = RATION_OK;
    if (json) {
        status = rn_cli_put_text(stdout, put_json, view) ? RATION_OK : RATION_NO_MEMORY;
    } else {
        print_arithmetic(view);
        status = explain ? print_explanation(view) : RATION_OK;
    }
    if (status != RATION_OK) {
        return rn_error_set(error, status, "", "no memory for the text");
    }
    if (!view->derived && view->probe.count > 0 &&
        view->limit_bytes > view->probe.available_bytes) {
        char available[32];
        fflush(stdout);
        fprintf(stderr, "warning: limit_bytes is above the %s that %s leaves\n",
                rn_cli_size(view->probe.available_bytes, available), binding_name(view));
    }
    return RATION_OK;
}

int rn_cli_limits(int argc, char **argv)
{
    const char *config = NULL, *sysroot = "";
    bool json = false, explain = false;
    const rn_option options[] = {
        {"config", RN_OPTION_TEXT, "FILE", "limits (default: memory.yaml here, else the defaults)",
         &config, NULL},
        {"sysroot", RN_OPTION_TEXT, "DIR", "read DIR/proc and DIR/sys instead of this machine's",
         &sysroot, NULL},
        {"explain", RN_OPTION_FLAG, NULL, "every source, the key table, and which of them binds",
         &explain, NULL},
        {"json", RN_OPTION_FLAG, NULL, "all of it as JSON, amounts in the unit each key is kept in",
         &json, NULL},
    };
    const rn_usage usage = {"limits",         "", "shows the limit on this machine", 0, 0, options,
                            RN_COUNT(options)};
    int first, code;
    if (!rn_options_parse(&usage, argc, argv, &first, &code)) {
        return code;
    }
    limits_view view = {.derived = false};
    code = rn_cli_limits_load(config, &view.limits, &view.source);
    if (code != 0) {
        return code;
    }
    ration_error error;
    ration_status status = look(&view, sysroot, &error);
    if (status == RATION_OK) {
        status = print_view(&view, json, explain, &error);
    }
    return rn_cli_finish(status == RATION_OK ? 0 : rn_cli_error(&error));
}

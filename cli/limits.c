/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration limits`: the limit on this machine and how it comes about. Needs no configuration; reads
 * only. */
#include "cli/options.h"
#include "cli/view.h"
#include "executor/governor.h"

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

static bool print(const rn_limits_view *view, bool json, bool explain)
{
    if (json) {
        return rn_cli_put_text(stdout, rn_limits_put_json, view);
    }
    rn_limits_print_arithmetic(view);
    if (!explain) {
        return true;
    }
    printf("config    %s\nordering  %s (how the slots' published counters are ordered)\n",
           view->source, view->ordering);
    return rn_limits_print_explanation(view) == RATION_OK;
}

static void warn(const rn_limits_view *view)
{
    char available[32];
    if (!rn_limits_view_follows(view) && view->probe.count > 0 &&
        view->limit_bytes > view->probe.available_bytes) {
        fflush(stdout);
        fprintf(stderr, "warning: limit_bytes is above the %s that %s leaves\n",
                rn_cli_size(view->probe.available_bytes, available),
                view->probe.sources[view->probe.binding].name);
    }
}

/* `places` go with the view. */
static int show(const ration_limits *limits, const char *source, const char *sysroot,
                rn_places *places, bool json, bool explain)
{
    static rn_limits_view view; /* large */
    ration_error error;
    ration_status status =
        rn_limits_view_open(limits, source, sysroot, true, places, &view, &error);
    if (status != RATION_OK) {
        return rn_cli_error(&error);
    }
    int code = 0;
    if (find_ordering(&view.ordering, &error) != RATION_OK) {
        code = rn_cli_error(&error);
    } else if (!print(&view, json, explain)) {
        (void)rn_error_set(&error, RATION_NO_MEMORY, "", "no memory for the text");
        code = rn_cli_error(&error);
    } else if (view.limit_bytes < 0) {
        code = rn_cli_error(&view.refused);
    }
    warn(&view);
    rn_limits_view_close(&view);
    return code;
}

int rn_cli_limits(int argc, char **argv)
{
    const char *config = NULL, *sysroot = "";
    bool json = false, explain = false;
    const rn_option options[] = {
        {"config", RN_OPTION_TEXT, "FILE", "limits (default: memory.yaml here, else the defaults)",
         &config, NULL},
        {"sysroot", RN_OPTION_TEXT, "DIR",
         "read DIR/proc, DIR/sys and DIR/<registry_directory> instead of this machine's", &sysroot,
         NULL},
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
    ration_limits limits;
    const char *path;
    uint64_t touched = 0;
    code = rn_cli_limits_read(config, &limits, &path, &touched);
    if (code != 0) {
        return code;
    }
    rn_places places;
    ration_error error;
    if (rn_places_open(path, touched, &places, &error) != RATION_OK) {
        return rn_cli_error(&error);
    }
    const char *source = path != NULL ? path : "defaults";
    return rn_cli_finish(show(&limits, source, sysroot, &places, json, explain));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration query`: limits -> governor -> graph (charged to `data`) -> plan -> rows on stdout. What
 * was opened is in one struct that close_all gives back in any state. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "cli/keep.h"
#include "cli/options.h"
#include "cli/printer.h"
#include "cli/profile.h"
#include "iterators/registry.h"

typedef struct query_arguments {
    const char *plan, *name, *config, *graph, *group;
    int64_t limit_bytes, rows_shown;
    int format;
    bool json, explain, profile, quiet;
    rn_option_list parameters;
} query_arguments;

typedef struct query_session {
    ration_limits limits;
    ration_governor *governor;
    rn_cli_keep keep;
    rn_slot *data_slot;
    rn_graph *graph;
    rn_plan_file file;
    bool has_file;
    rn_arena arena; /* of the parameters */
    rn_parameters parameters;
    rn_plan *plan;
    ration_query *query;
    rn_execution *execution;
} query_session;

/* The query that SIGINT cancels: one word, written before the handler is installed. */
static ration_query *running;
static volatile sig_atomic_t interrupted;

static void cancel_running(int number)
{
    (void)number;
    interrupted = 1;
    ration_query_cancel(running);
}

static void close_all(query_session *session)
{
    (void)signal(SIGINT, SIG_DFL);
    rn_cli_keep_stop(&session->keep);
    rn_execution_close(session->execution);
    ration_query_close(session->query);
    if (session->plan != NULL) {
        rn_plan_close(session->plan);
    }
    rn_arena_free(&session->arena);
    if (session->graph != NULL) {
        rn_graph_close(session->graph);
    }
    if (session->has_file) {
        rn_plan_file_close(&session->file);
    }
    if (session->data_slot != NULL) {
        rn_slot_close(session->data_slot);
    }
    ration_governor_close(session->governor);
}

/* name=value; what is no literal of the plan language is a string. */
static ration_status read_parameter(const char *word, rn_arena *arena, rn_parameter *out_parameter,
                                    ration_error *error)
{
    const char *equals = strchr(word, '=');
    size_t length = equals == NULL ? 0 : (size_t)(equals - word);
    if (length == 0 || length >= sizeof out_parameter->name) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "write --param name=value",
                            "'%s' is no parameter", word);
    }
    memset(out_parameter, 0, sizeof *out_parameter);
    memcpy(out_parameter->name, word, length);
    const char *value = equals + 1;
    ration_status status =
        rn_literal_parse(value, strlen(value), false, arena, &out_parameter->value);
    if (status == RATION_NO_MEMORY) {
        return rn_error_set(error, status, "", "no memory for the parameters");
    }
    if (status != RATION_OK) {
        status = rn_literal_parse(value, strlen(value), true, arena, &out_parameter->value);
    }
    if (status != RATION_OK) {
        return rn_error_set(error, status, "", "parameter %s: '%s' is no value",
                            out_parameter->name, value);
    }
    return RATION_OK;
}

static ration_status read_parameters(const rn_option_list *words, query_session *session,
                                     ration_error *error)
{
    if (words->count == 0) {
        return RATION_OK;
    }
    rn_parameter *values = rn_arena_allocate(&session->arena, words->count * sizeof *values);
    if (values == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for the parameters");
    }
    for (uint32_t i = 0; i < words->count; i++) {
        RN_TRY(read_parameter(words->values[i], &session->arena, &values[i], error));
    }
    session->parameters.count = words->count;
    session->parameters.values = values;
    return RATION_OK;
}

static ration_status open_graph(const query_arguments *arguments, query_session *session,
                                ration_error *error)
{
    char path[1024];
    const char *from = arguments->graph;
    if (from == NULL && rn_plan_file_graph(&session->file, path, sizeof path)) {
        from = path;
    }
    if (from == NULL) {
        return RATION_OK;
    }
    ration_status status =
        rn_slot_open(ration_governor_data(session->governor), NULL, &session->data_slot);
    if (status != RATION_OK) {
        return rn_error_set(error, status, "", "no memory for a slot");
    }
    rn_graph_options options = {.slot = &session->data_slot->hot,
                                .progress = !arguments->quiet && isatty(STDERR_FILENO) != 0};
    return rn_graph_load(from, &options, &session->graph, error);
}

static ration_status open_plan(const query_arguments *arguments, query_session *session,
                               ration_error *error)
{
    RN_TRY(ration_governor_open(&session->limits, &session->governor, error));
    RN_TRY(rn_cli_keep_start(&session->keep, session->governor, error));
    RN_TRY(read_parameters(&arguments->parameters, session, error));
    RN_TRY(rn_plan_file_open(arguments->plan, &session->file, error));
    session->has_file = true;
    RN_TRY(open_graph(arguments, session, error));
    return rn_plan_build(&session->file, arguments->name, &session->parameters, session->graph,
                         rn_operator_classes(), &session->plan, error);
}

/* The plan, and the least bytes it works with: what it claims before its first row. */
static void put_explanation(const void *what, rn_text *text)
{
    const query_session *session = what;
    const ration_limits *limits = &session->limits;
    rn_sizes sizes = {(uint32_t)RN_MIN((int64_t)RN_BATCH_ROWS_MAX, limits->check_interval),
                      limits->max_row_bytes};
    rn_plan_explain(session->plan, text);
    rn_plan_put_minimum(session->plan, &sizes, text);
}

/* Prints why the query ended; returns the exit code. */
static int tell_failure(query_session *session, ration_status status)
{
    if (interrupted) {
        fprintf(stderr, "ration: interrupted\n");
        return RN_EXIT_INTERRUPTED;
    }
    ration_refusal refusal;
    ration_error error;
    if (rn_is_refusal(status) && ration_query_refusal(session->query, &refusal)) {
        return rn_cli_refusal(&refusal);
    }
    if (!rn_query_error(session->query, &error)) {
        (void)rn_error_set(&error, status, "", "%s", ration_status_sentence(status));
    }
    return rn_cli_error(&error);
}

static ration_status pull_rows(query_session *session, rn_printer *printer)
{
    for (;;) {
        const rn_batch *batch;
        RN_TRY(rn_execution_next(session->execution, &batch));
        if (batch->rows == 0) {
            return RATION_OK;
        }
        RN_TRY(rn_printer_put(printer, batch));
        if (ferror(printer->stream)) {
            return RATION_OK; /* rn_cli_finish tells it */
        }
    }
}

/* What stays to be said after the rows: the end of the JSON object, the profile, the line of
 * figures. */
static ration_status tell_end(const query_arguments *arguments, query_session *session,
                              const rn_printer *printer, ration_status status, int64_t elapsed_ns)
{
    int64_t peak_bytes = rn_query_peak(session->query);
    int64_t spilled_bytes = rn_load(&session->query->spill_quota.total_bytes);
    if (printer->format == RN_PRINT_JSON) {
        printf(",\"status\":\"%s\",\"time_ns\":%lld,\"peak_bytes\":%lld,\"spilled_bytes\":%lld",
               ration_status_name(status), (long long)elapsed_ns, (long long)peak_bytes,
               (long long)spilled_bytes);
        if (arguments->profile && session->execution != NULL) {
            fputs(",\"profile\":", stdout);
            rn_profile_put_json(session->execution, stdout);
        }
        fputs("}\n", stdout);
    }
    fflush(stdout);
    if (arguments->profile && session->execution != NULL && printer->format != RN_PRINT_JSON) {
        RN_TRY(rn_profile_print(session->execution, stderr));
    }
    if (!arguments->quiet && status == RATION_OK) {
        char time[32], peak[32];
        fprintf(stderr, "%lld row%s", (long long)printer->rows, printer->rows == 1 ? "" : "s");
        if (printer->rows_max > 0 && printer->rows > printer->rows_max) {
            fprintf(stderr, " (%lld shown)", (long long)printer->rows_max);
        }
        fprintf(stderr, " in %s, held %s at most", rn_cli_duration(elapsed_ns, time),
                rn_cli_size(peak_bytes, peak));
        if (spilled_bytes > 0) {
            fprintf(stderr, ", wrote out %s", rn_cli_size(spilled_bytes, peak));
        }
        fputs("\n", stderr);
    }
    return RATION_OK;
}

static int run_plan(const query_arguments *arguments, query_session *session)
{
    ration_error error;
    const ration_query_options options = {.size = sizeof options,
                                          .name = session->plan->name,
                                          .limit_bytes = arguments->limit_bytes,
                                          .group = arguments->group};
    if (ration_query_open(session->governor, &options, &session->query, &error) != RATION_OK) {
        return rn_cli_error(&error);
    }
    running = session->query;
    const struct sigaction action = {.sa_handler = cancel_running, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGINT, &action, NULL);

    int64_t start_ns = rn_clock_ns();
    rn_printer printer;
    rn_printer_format format =
        arguments->json ? RN_PRINT_JSON : (rn_printer_format)arguments->format;
    ration_status status = rn_printer_open(&printer, format, stdout, arguments->rows_shown,
                                           &session->plan->root->output, session->graph);
    if (status == RATION_OK) {
        status = rn_execution_open(session->query, session->plan, arguments->profile,
                                   &session->execution);
    }
    if (status == RATION_OK) {
        status = pull_rows(session, &printer);
    }
    rn_printer_end(&printer);
    ration_status told = tell_end(arguments, session, &printer, status, rn_clock_ns() - start_ns);
    status = status == RATION_OK ? told : status;
    return status == RATION_OK ? 0 : tell_failure(session, status);
}

static int run(const query_arguments *arguments, query_session *session)
{
    ration_error error;
    ration_status status = open_plan(arguments, session, &error);
    if (status != RATION_OK) {
        return rn_cli_error(&error);
    }
    if (!arguments->explain) {
        return run_plan(arguments, session);
    }
    if (!rn_cli_put_text(stdout, put_explanation, session)) {
        (void)rn_error_set(&error, RATION_NO_MEMORY, "", "no memory for the text");
        return rn_cli_error(&error);
    }
    return 0;
}

int rn_cli_query(int argc, char **argv)
{
    query_arguments arguments = {.format = RN_PRINT_TABLE};
    const rn_option options[] = {
        {"graph", RN_OPTION_TEXT, "PATH", "manifest or edge list, instead of the plan's",
         &arguments.graph, NULL},
        {"limit", RN_OPTION_SIZE, "SIZE", "limit of the query", &arguments.limit_bytes, NULL},
        {"group", RN_OPTION_TEXT, "NAME", "group of the configuration it belongs to",
         &arguments.group, NULL},
        {"param", RN_OPTION_LIST, "NAME=VALUE", "a parameter; may be given several times",
         &arguments.parameters, NULL},
        {"config", RN_OPTION_TEXT, "FILE", "limits (default: memory.yaml here, else the defaults)",
         &arguments.config, NULL},
        {"format", RN_OPTION_CHOICE, "FORMAT", "table, csv, json or jsonl", &arguments.format,
         rn_printer_formats},
        {"json", RN_OPTION_FLAG, NULL, "the same as --format json", &arguments.json, NULL},
        {"rows", RN_OPTION_COUNT, "N", "show N rows at most; all are computed (default: 0 = all)",
         &arguments.rows_shown, NULL},
        {"explain", RN_OPTION_FLAG, NULL, "print the plan instead of running it",
         &arguments.explain, NULL},
        {"profile", RN_OPTION_FLAG, NULL, "tell rows, time and peak of each operator",
         &arguments.profile, NULL},
        {"quiet", RN_OPTION_FLAG, NULL, "no progress, no line of figures", &arguments.quiet, NULL},
    };
    const rn_usage usage = {
        "query", "PLAN.yaml [NAME]", "runs one plan over a graph and prints its rows", 1, 2,
        options, RN_COUNT(options)};
    int first, code;
    if (!rn_options_parse(&usage, argc, argv, &first, &code)) {
        return code;
    }
    arguments.plan = argv[first];
    arguments.name = first + 1 < argc ? argv[first + 1] : NULL;
    query_session session = {.governor = NULL};
    session.keep.quiet = arguments.quiet;
    session.keep.progress = isatty(STDERR_FILENO) != 0;
    code = rn_cli_limits_read(arguments.config, &session.limits, &session.keep.path, NULL);
    if (code != 0) {
        return code;
    }
    code = run(&arguments, &session);
    close_all(&session);
    return rn_cli_finish(code);
}

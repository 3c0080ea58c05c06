/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration replay`: loads the workload and its graph, runs it in an open loop, reports, judges
 * thresholds. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "cli/keep.h"
#include "cli/options.h"
#include "cli/replay_run.h"
#include "iterators/registry.h"

static volatile sig_atomic_t interrupted;

static void note_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

typedef struct replay_arguments {
    const char *workload, *config, *graph, *results, *duration;
    int64_t limit_bytes, query_limit_bytes, count, concurrency, seed;
    double speed;
    bool json, quiet;
    rn_option_list fail_if;
    rn_threshold thresholds[RN_OPTION_LIST_MAX];
} replay_arguments;

/* What a replay has opened; close_all gives it back in any state. */
typedef struct replay_session {
    ration_limits limits;
    ration_governor *governor;
    rn_cli_keep keep;
    rn_slot *data_slot;
    int64_t own_bytes; /* charged to data_slot for stacks and figures */
    rn_graph *graph;
    rn_workload workload;
    bool has_workload;
    rn_replay_figures figures;
    FILE *results;
} replay_session;

static void close_all(replay_session *session)
{
    rn_cli_keep_stop(&session->keep);
    rn_replay_figures_close(&session->figures);
    if (session->results != NULL) {
        fclose(session->results);
    }
    if (session->has_workload) {
        rn_workload_close(&session->workload);
    }
    if (session->graph != NULL) {
        rn_graph_close(session->graph);
    }
    if (session->data_slot != NULL) {
        ration_slot_release(&session->data_slot->hot, session->own_bytes);
        rn_slot_close(session->data_slot);
    }
    ration_governor_close(session->governor);
}

/* Figures and stacks are memory too: they count against the limit as the graph does. */
static ration_status charge_own(replay_session *session, ration_error *error)
{
    const rn_workload *workload = &session->workload;
    int64_t bytes = workload->concurrency * RN_WORKER_STACK_BYTES +
                    (int64_t)(workload->query_count * sizeof *session->figures.classes);
    ration_status status = ration_slot_try_charge(&session->data_slot->hot, bytes);
    if (status != RATION_OK) {
        return rn_error_set(error, status, "raise limit_bytes, or lower concurrency",
                            "stacks of %lld workers and figures of %u queries need %lld bytes",
                            (long long)workload->concurrency, workload->query_count,
                            (long long)bytes);
    }
    session->own_bytes = bytes;
    return RATION_OK;
}

static ration_status open_workload(const replay_arguments *arguments, replay_session *session,
                                   ration_error *error)
{
    RN_TRY(
        rn_workload_open(arguments->workload, &session->data_slot->hot, &session->workload, error));
    session->has_workload = true;
    rn_workload *workload = &session->workload;
    if (arguments->count > 0) {
        workload->count = arguments->count;
    }
    if (arguments->duration != NULL &&
        (!rn_parse_duration(arguments->duration, strlen(arguments->duration),
                            &workload->duration_us) ||
         workload->duration_us == 0)) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "write 500ms, 10s or 2min",
                            "'%s' is no duration above 0", arguments->duration);
    }
    if (arguments->concurrency > 0) {
        workload->concurrency = arguments->concurrency;
    }
    if (arguments->seed >= 0) {
        workload->seed = (uint64_t)arguments->seed;
    }
    if (arguments->speed > 0) {
        workload->speed = arguments->speed;
    }
    if (workload->process != RN_PROCESS_TRACE && workload->count == RN_WORKLOAD_ARRIVALS_MAX &&
        workload->duration_us == INT64_MAX) {
        return rn_error_at(error, RATION_PLAN, workload->path, 1, 1, "give `count` or `duration`",
                           "the workload never ends");
    }
    if (rn_replay_figures_open(workload, &session->figures) != RATION_OK) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for the figures");
    }
    return charge_own(session, error);
}

static ration_status open_graph(const replay_arguments *arguments, replay_session *session,
                                ration_error *error)
{
    const char *path = arguments->graph != NULL ? arguments->graph : session->workload.graph;
    if (path[0] == '\0') {
        return RATION_OK;
    }
    rn_graph_options options = {.slot = &session->data_slot->hot, .progress = !arguments->quiet};
    return rn_graph_load(path, &options, &session->graph, error);
}

static ration_status open_results(const replay_arguments *arguments, replay_session *session,
                                  ration_error *error)
{
    if (arguments->results == NULL) {
        return RATION_OK;
    }
    session->results = fopen(arguments->results, "w");
    if (session->results == NULL) {
        return rn_error_at(error, RATION_FILE, arguments->results, 0, 0, "",
                           "cannot be written: %s", strerror(errno));
    }
    /* All that have ended are in it whenever it is read, also when this process is killed. */
    (void)setvbuf(session->results, NULL, _IOLBF, 0);
    fputs(RN_RESULTS_HEADER, session->results);
    return RATION_OK;
}

static ration_status open_all(const replay_arguments *arguments, replay_session *session,
                              ration_error *error)
{
    session->keep.limit_bytes = arguments->limit_bytes;
    session->keep.query_limit_bytes = arguments->query_limit_bytes;
    rn_cli_keep_adjust(&session->keep, &session->limits);
    RN_TRY(ration_governor_open(&session->limits, &session->governor, error));
    RN_TRY(rn_cli_keep_start(&session->keep, session->governor, error));
    ration_status status =
        rn_slot_open(ration_governor_data(session->governor), NULL, &session->data_slot);
    if (status != RATION_OK) {
        return rn_error_set(error, status, "", "no memory for a slot");
    }
    RN_TRY(open_workload(arguments, session, error));
    RN_TRY(open_graph(arguments, session, error));
    return open_results(arguments, session, error);
}

/* How the schedule reads in one line. */
static void print_heading(const replay_session *session)
{
    const rn_cli_keep *keep = &session->keep;
    const char *source = keep->limit_bytes > 0 ? "--limit"
                         : keep->path != NULL  ? keep->path
                                               : "defaults";
    const rn_workload *workload = &session->workload;
    char limit[32], data[32];
    ration_pool_figures root, pool;
    ration_pool_read(ration_governor_root(session->governor), &root);
    ration_pool_read(ration_governor_data(session->governor), &pool);
    fprintf(stderr, "workload  %s: %u queries, ", workload->path, workload->query_count);
    if (workload->process == RN_PROCESS_TRACE) {
        fprintf(stderr, "%lld recorded arrivals",
                (long long)RN_MIN(workload->recorded_count, workload->count));
    } else {
        fprintf(stderr, "%s arrivals at %g/s",
                workload->process == RN_PROCESS_POISSON ? "poisson" : "uniform", workload->rate);
    }
    fprintf(stderr, ", speed %gx, open loop, %lld workers, seed %llu\n", workload->speed,
            (long long)workload->concurrency, (unsigned long long)workload->seed);
    if (session->graph != NULL) {
        fprintf(stderr, "graph     %llu nodes, %llu edges, %s charged to pool data\n",
                (unsigned long long)rn_graph_node_count(session->graph),
                (unsigned long long)rn_graph_edge_count(session->graph),
                rn_cli_size(pool.charged_bytes, data));
    }
    fprintf(stderr, "limit     %s (%s), slots ordered by %s\n\n",
            rn_cli_size(root.limit_bytes, limit), source,
            ration_governor_ordering(session->governor));
}

static void fill_report(replay_session *session, rn_report *report)
{
    ration_pool_figures data, queries;
    ration_pool_read(ration_governor_data(session->governor), &data);
    ration_pool_read(ration_governor_queries(session->governor), &queries);
    report->workload = &session->workload;
    report->figures = &session->figures;
    report->governor = session->governor;
    report->data_bytes = data.charged_bytes - session->own_bytes;
    report->left_bytes = queries.granted_bytes;
    report->audit_ok = ration_pool_check(ration_governor_root(session->governor), report->audit,
                                         sizeof report->audit);
    if (session->graph != NULL) {
        report->nodes = rn_graph_node_count(session->graph);
        report->edges = rn_graph_edge_count(session->graph);
    }
}

static void put_text(const void *what, rn_text *text)
{
    rn_report_put_text(what, text);
}

static void put_json(const void *what, rn_text *text)
{
    rn_report_put_json(what, text);
}

/* Thresholds go to stderr beside a JSON report, so that stdout stays one document. */
static bool judge(const replay_arguments *arguments, const rn_report *report)
{
    bool missed = false;
    for (uint32_t i = 0; i < arguments->fail_if.count; i++) {
        char line[160];
        rn_text text = rn_text_over(line, sizeof line);
        missed |= rn_threshold_missed(&arguments->thresholds[i], report, &text);
        fputs(line, arguments->json ? stderr : stdout);
    }
    return missed;
}

static int run(const replay_arguments *arguments, replay_session *session)
{
    ration_error error = {.status = RATION_OK};
    ration_status status = open_all(arguments, session, &error);
    rn_replay replay = {&session->workload, session->graph, session->governor,
                        rn_operator_classes()};
    if (status == RATION_OK) {
        status = rn_replay_check(&replay, &error);
    }
    if (status != RATION_OK) {
        return rn_cli_error(&error);
    }
    if (!arguments->quiet) {
        print_heading(session);
    }
    struct sigaction action = {.sa_handler = note_interrupt};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    rn_report report = {.samples = 0};
    rn_replay_options options = {.progress = session->keep.progress,
                                 .results = session->results,
                                 .interrupted = &interrupted};
    status = rn_replay_run_all(&replay, &options, &session->figures, &report, &error);
    rn_cli_keep_stop(&session->keep); /* the report is of one set of limits */
    if (status != RATION_OK) {
        return rn_cli_error(&error);
    }
    fill_report(session, &report);
    if (!rn_cli_put_text(stdout, arguments->json ? put_json : put_text, &report)) {
        return ration_status_exit_code(RATION_NO_MEMORY);
    }
    if (session->results != NULL && (fflush(session->results) != 0 || ferror(session->results))) {
        (void)rn_error_at(&error, RATION_FILE, arguments->results, 0, 0, "",
                          "could not be written: %s", strerror(errno));
        return rn_cli_error(&error);
    }
    bool missed = judge(arguments, &report);
    if (report.interrupted) {
        return RN_EXIT_INTERRUPTED;
    }
    if (missed) {
        return RN_EXIT_THRESHOLD;
    }
    bool held = report.samples_over == 0 && report.peak_bytes <= report.limit_highest_bytes;
    return held && report.left_bytes == 0 && report.audit_ok ? 0 : 1;
}

int rn_cli_replay(int argc, char **argv)
{
    replay_arguments arguments = {.seed = -1};
    const rn_option options[] = {
        {"config", RN_OPTION_TEXT, "FILE", "limits (default: memory.yaml here, else the defaults)",
         &arguments.config, NULL},
        {"graph", RN_OPTION_TEXT, "PATH", "graph instead of the workload's", &arguments.graph,
         NULL},
        {"limit", RN_OPTION_SIZE, "SIZE", "limit of everything, graph included",
         &arguments.limit_bytes, NULL},
        {"query-limit", RN_OPTION_SIZE, "SIZE", "limit of each query", &arguments.query_limit_bytes,
         NULL},
        {"speed", RN_OPTION_DOUBLE, "X", "times faster than the workload says", &arguments.speed,
         NULL},
        {"count", RN_OPTION_COUNT, "N", "arrivals at most", &arguments.count, NULL},
        {"duration", RN_OPTION_TEXT, "TIME", "arrivals before this time: 500ms, 10s, 2min",
         &arguments.duration, NULL},
        {"concurrency", RN_OPTION_COUNT, "N", "worker threads", &arguments.concurrency, NULL},
        {"seed", RN_OPTION_COUNT, "N", "seed of arrivals and parameters", &arguments.seed, NULL},
        {"fail-if", RN_OPTION_LIST, "THRESHOLD",
         "exit 4 when missed: refused>0.5%, failed>0, p99>250ms, peak>64MiB, ...",
         &arguments.fail_if, NULL},
        {"results", RN_OPTION_TEXT, "FILE", "one CSV line per query, with a checksum of its rows",
         &arguments.results, NULL},
        {"json", RN_OPTION_FLAG, NULL, "the report as JSON", &arguments.json, NULL},
        {"quiet", RN_OPTION_FLAG, NULL, "no heading, no progress", &arguments.quiet, NULL},
    };
    const rn_usage usage = {
        "replay", "WORKLOAD.yaml",  "runs a workload of concurrent queries and reports on it", 1, 1,
        options,  RN_COUNT(options)};
    int first, code;
    if (!rn_options_parse(&usage, argc, argv, &first, &code)) {
        return code;
    }
    arguments.workload = argv[first];
    if (arguments.count > RN_WORKLOAD_ARRIVALS_MAX || arguments.concurrency > RN_WORKERS_MAX ||
        (arguments.speed != 0 && !(arguments.speed >= 1e-6 && arguments.speed <= 1e6))) {
        return rn_cli_usage_error("replay",
                                  "--count is at most %lld, --concurrency at most %d, --speed "
                                  "between 0.000001 and 1000000",
                                  (long long)RN_WORKLOAD_ARRIVALS_MAX, RN_WORKERS_MAX);
    }
    for (uint32_t i = 0; i < arguments.fail_if.count; i++) {
        ration_error error;
        if (rn_threshold_parse(arguments.fail_if.values[i], &arguments.thresholds[i], &error) !=
            RATION_OK) {
            return rn_cli_error(&error);
        }
    }
    replay_session session = {.governor = NULL};
    session.keep.quiet = arguments.quiet;
    session.keep.progress = !arguments.quiet && isatty(STDERR_FILENO) != 0;
    code = rn_cli_limits_read(arguments.config, &session.limits, &session.keep.path, NULL);
    if (code != 0) {
        return code;
    }
    code = run(&arguments, &session);
    close_all(&session);
    return rn_cli_finish(code);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Words and JSON of a replay report. Times are shown in milliseconds, bytes in binary units; JSON
 * carries exact values. */
#include "executor/report.h"

static int64_t sum_refused(const rn_class_figures *figures)
{
    int64_t sum = 0;
    for (uint32_t s = 0; s < RN_STATUS_COUNT; s++) {
        sum += rn_is_refusal((ration_status)s) ? figures->by_status[s] : 0;
    }
    return sum;
}

static int64_t sum_failed(const rn_class_figures *figures)
{
    return figures->arrived - figures->by_status[RATION_OK] - sum_refused(figures);
}

static int64_t sum_classes(const rn_report *report, int64_t (*take)(const rn_class_figures *))
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < report->figures->class_count; i++) {
        sum += take(&report->figures->classes[i]);
    }
    return sum;
}

static int64_t take_arrived(const rn_class_figures *figures)
{
    return figures->arrived;
}

static int64_t take_completed(const rn_class_figures *figures)
{
    return figures->by_status[RATION_OK];
}

int64_t rn_report_arrived(const rn_report *report)
{
    return sum_classes(report, take_arrived);
}

int64_t rn_report_completed(const rn_report *report)
{
    return sum_classes(report, take_completed);
}

int64_t rn_report_refused(const rn_report *report)
{
    return sum_classes(report, sum_refused);
}

int64_t rn_report_failed(const rn_report *report)
{
    return sum_classes(report, sum_failed);
}

static int64_t sum_status(const rn_report *report, uint32_t status)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < report->figures->class_count; i++) {
        sum += report->figures->classes[i].by_status[status];
    }
    return sum;
}

static void put_json_text(rn_text *text, const char *string)
{
    rn_text_put_json(text, string, strlen(string));
}

static double milliseconds(int64_t us)
{
    return (double)us / 1e3;
}

static void put_class(const rn_workload_query *query, const rn_class_figures *figures,
                      rn_text *text)
{
    char peak_text[32];
    rn_text peak = rn_text_over(peak_text, sizeof peak_text);
    rn_text_put_size(&peak, figures->peak_bytes);
    const rn_histogram *latency = &figures->latency_us;
    rn_text_format(
        text, "%-26.26s %8lld %9lld %8lld %7lld %9.1f %9.1f %9.1f %11s %12lld\n", query->name,
        (long long)figures->arrived, (long long)figures->by_status[RATION_OK],
        (long long)sum_refused(figures), (long long)sum_failed(figures),
        milliseconds(rn_histogram_quantile(latency, 500000)),
        milliseconds(rn_histogram_quantile(latency, 950000)),
        milliseconds(rn_histogram_quantile(latency, 990000)), peak_text, (long long)figures->rows);
}

static void put_causes(const rn_report *report, rn_text *text)
{
    const char *separator = "";
    rn_text_put(text, "not completed  ");
    for (uint32_t s = RATION_OK + 1; s < RN_STATUS_COUNT; s++) {
        int64_t count = sum_status(report, s);
        if (count > 0) {
            rn_text_format(text, "%s%s %lld", separator, ration_status_name((ration_status)s),
                           (long long)count);
            separator = ", ";
        }
    }
    rn_text_put(text, separator[0] == '\0' ? "none\n" : "\n");
}

static void put_memory(const rn_report *report, rn_text *text)
{
    rn_text_put(text, "memory         peak charged + credit ");
    rn_text_put_size(text, report->peak_bytes);
    rn_text_put(text, " of ");
    rn_text_put_size(text, report->limit_highest_bytes);
    if (report->limit_bytes != report->limit_highest_bytes) {
        rn_text_put(text, ", in the end ");
        rn_text_put_size(text, report->limit_bytes);
    }
    rn_text_put(text, " (graph ");
    rn_text_put_size(text, report->data_bytes);
    rn_text_format(text, "); above the limit in %lld of %lld samples\n",
                   (long long)report->samples_over, (long long)report->samples);
    rn_text_put(text, "               peak blocks ");
    rn_text_put_size(text, report->mapped_peak_bytes);
    rn_text_put(text, ", heap ");
    rn_text_put_size(text, report->heap_peak_bytes);
    rn_text_put(text, ", RSS ");
    rn_text_put_size(text, report->rss_peak_bytes);
    rn_text_put(text, " (");
    rn_text_put_size(text, report->rss_start_bytes);
    rn_text_put(text, " at the start)\n");
    if (report->spilled_bytes > 0) {
        rn_text_put(text, "               written out ");
        rn_text_put_size(text, report->spilled_bytes);
        rn_text_put(text, ", at most ");
        rn_text_put_size(text, report->spilled_peak_bytes);
        rn_text_put(text, " at a time\n");
    }
}

static bool read_group(const rn_report *report, int64_t number, rn_group_figures *out_group)
{
    return report->governor != NULL && rn_group_read(report->governor, number, out_group);
}

static void put_groups(const rn_report *report, rn_text *text)
{
    rn_group_figures group;
    for (int64_t i = 0; read_group(report, i, &group); i++) {
        rn_text_format(text, "%s%s: peak ", i == 0 ? "groups         " : "               ",
                       group.name);
        rn_text_put_size(text, group.pool.peak_bytes);
        rn_text_put(text, " of ");
        rn_text_put_size(text, group.pool.limit_bytes);
        rn_text_format(text, ", refused there %lld\n", (long long)group.pool.refusals);
    }
}

static void put_json_groups(const rn_report *report, rn_text *text)
{
    rn_text_put(text, ",\"groups\":[");
    rn_group_figures group;
    for (int64_t i = 0; read_group(report, i, &group); i++) {
        rn_text_put(text, i == 0 ? "{\"name\":" : ",{\"name\":");
        rn_text_put_json(text, group.name, strlen(group.name));
        rn_text_format(text, ",\"limit_bytes\":%lld,\"peak_bytes\":%lld,\"refusals\":%lld}",
                       (long long)group.limit_bytes, (long long)group.pool.peak_bytes,
                       (long long)group.pool.refusals);
    }
    rn_text_put(text, "]");
}

/* What the machine did to the limit, where it was followed. */
static void put_machine(const rn_report *report, rn_text *text)
{
    ration_governor_figures figures;
    if (report->governor == NULL) {
        return;
    }
    ration_governor_read(report->governor, &figures);
    if (figures.looks == 0) {
        return;
    }
    rn_text_format(text, "machine        limit changed %lld times, now ",
                   (long long)figures.changes);
    rn_text_put_size(text, figures.limit_bytes);
    rn_text_format(text, " (%s leaves ", figures.binding);
    rn_text_put_size(text, figures.available_bytes);
    rn_text_format(text, ", %lld %s)\n", (long long)figures.processes,
                   figures.processes == 1 ? "governor" : "governors");
    rn_text_format(text, "               short of memory for %.1f s, critically for %.1f s; drift ",
                   (double)figures.elevated_ms / 1e3, (double)figures.critical_ms / 1e3);
    rn_text_put_size(text, RN_MAX(figures.drift_bytes, 0));
    rn_text_put(text, ", ");
    rn_text_put_size(text, figures.corrected_bytes);
    rn_text_put(text, " taken off for it\n");
}

static void put_json_machine(const rn_report *report, rn_text *text)
{
    rn_text_put(text, ",\"machine\":");
    if (report->governor == NULL) {
        rn_text_put(text, "null");
        return;
    }
    ration_governor_figures figures;
    ration_governor_read(report->governor, &figures);
    rn_text_format(
        text,
        "{\"following\":%s,\"limit_bytes\":%lld,\"share_bytes\":%lld,\"available_bytes\":%lld,"
        "\"binding\":",
        figures.following ? "true" : "false", (long long)figures.limit_bytes,
        (long long)figures.share_bytes, (long long)figures.available_bytes);
    put_json_text(text, figures.binding);
    rn_text_format(text,
                   ",\"processes\":%lld,\"pressure\":\"%s\",\"elevated_ms\":%lld,"
                   "\"critical_ms\":%lld,\"looks\":%lld,\"changes\":%lld,\"reloads\":%lld,"
                   "\"resident_bytes\":%lld,\"accounted_bytes\":%lld,\"drift_bytes\":%lld,"
                   "\"corrected_bytes\":%lld}",
                   (long long)figures.processes, ration_pressure_name(figures.pressure),
                   (long long)figures.elevated_ms, (long long)figures.critical_ms,
                   (long long)figures.looks, (long long)figures.changes, (long long)figures.reloads,
                   (long long)figures.resident_bytes, (long long)figures.accounted_bytes,
                   (long long)figures.drift_bytes, (long long)figures.corrected_bytes);
}

void rn_report_put_text(const rn_report *report, rn_text *text)
{
    const rn_replay_figures *figures = report->figures;
    rn_text_format(text, "%-26s %8s %9s %8s %7s %9s %9s %9s %11s %12s\n", "query", "arrived",
                   "completed", "refused", "failed", "p50 ms", "p95 ms", "p99 ms", "peak", "rows");
    for (uint32_t i = 0; i < figures->class_count; i++) {
        put_class(&report->workload->queries[i], &figures->classes[i], text);
    }
    rn_text_format(text, "%-26s %8lld %9lld %8lld %7lld\n", "all",
                   (long long)rn_report_arrived(report), (long long)rn_report_completed(report),
                   (long long)rn_report_refused(report), (long long)rn_report_failed(report));
    rn_text_put(text, "\n");
    put_causes(report, text);
    put_memory(report, text);
    put_machine(report, text);
    put_groups(report, text);
    double seconds = (double)report->elapsed_us / 1e6;
    rn_text_format(text,
                   "time           %.2f s, %.1f queries/s completed; schedule lag p50 %.1f, p95 "
                   "%.1f, p99 %.1f ms\n",
                   seconds, seconds > 0 ? (double)rn_report_completed(report) / seconds : 0.0,
                   milliseconds(rn_histogram_quantile(&figures->lag_us, 500000)),
                   milliseconds(rn_histogram_quantile(&figures->lag_us, 950000)),
                   milliseconds(rn_histogram_quantile(&figures->lag_us, 990000)));
    rn_text_format(text, "after the run  pool queries holds %lld bytes; audit %s\n",
                   (long long)report->left_bytes, report->audit_ok ? "ok" : report->audit);
    rn_text_format(text, "results        checksum %016llx over the completed queries\n",
                   (unsigned long long)figures->checksum);
    if (figures->refused_number >= 0) {
        char refusal[1200];
        (void)ration_refusal_format(&figures->first_refusal, refusal, sizeof refusal);
        rn_text_format(text, "\nfirst refusal\n%s", refusal);
    }
    if (figures->failed_number >= 0) {
        char error[1200];
        (void)ration_error_format(&figures->first_error, error, sizeof error);
        rn_text_format(text, "\nfirst failure\n%s\n", error);
    }
    if (report->interrupted) {
        rn_text_put(text, "\ninterrupted: the queries that had not started are not counted\n");
    }
}

static void put_json_histogram(const rn_histogram *histogram, rn_text *text)
{
    rn_text_format(text, "{\"count\":%lld,\"p50\":%lld,\"p95\":%lld,\"p99\":%lld,\"max\":%lld}",
                   (long long)histogram->count, (long long)rn_histogram_quantile(histogram, 500000),
                   (long long)rn_histogram_quantile(histogram, 950000),
                   (long long)rn_histogram_quantile(histogram, 990000),
                   (long long)histogram->maximum);
}

static void put_json_class(const rn_workload_query *query, const rn_class_figures *figures,
                           rn_text *text)
{
    rn_text_put(text, "{\"name\":");
    put_json_text(text, query->name);
    if (query->group != NULL) {
        rn_text_put(text, ",\"group\":");
        put_json_text(text, query->group);
    }
    rn_text_format(text, ",\"arrived\":%lld,\"completed\":%lld,\"refused\":%lld,\"failed\":%lld",
                   (long long)figures->arrived, (long long)figures->by_status[RATION_OK],
                   (long long)sum_refused(figures), (long long)sum_failed(figures));
    rn_text_put(text, ",\"not_completed\":{");
    const char *separator = "";
    for (uint32_t s = RATION_OK + 1; s < RN_STATUS_COUNT; s++) {
        if (figures->by_status[s] > 0) {
            rn_text_format(text, "%s\"%s\":%lld", separator, ration_status_name((ration_status)s),
                           (long long)figures->by_status[s]);
            separator = ",";
        }
    }
    rn_text_format(text,
                   "},\"rows\":%lld,\"peak_bytes\":%lld,\"latency_us\":", (long long)figures->rows,
                   (long long)figures->peak_bytes);
    put_json_histogram(&figures->latency_us, text);
    rn_text_put(text, "}");
}

static void put_json_refusal(const ration_refusal *refusal, rn_text *text)
{
    const struct {
        const char *name, *value;
    } texts[] = {{"status", ration_status_name(refusal->status)},
                 {"pool", refusal->pool},
                 {"query", refusal->query},
                 {"site", refusal->site},
                 {"holder", refusal->holder},
                 {"holder_site", refusal->holder_site},
                 {"key", refusal->key}};
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"limit_bytes", refusal->limit_bytes},
                   {"charged_bytes", refusal->charged_bytes},
                   {"asked_bytes", refusal->asked_bytes},
                   {"query_bytes", refusal->query_bytes},
                   {"holder_bytes", refusal->holder_bytes},
                   {"data_bytes", refusal->data_bytes},
                   {"recalled_bytes", refusal->recalled_bytes},
                   {"purged_bytes", refusal->purged_bytes},
                   {"waiting", refusal->waiting},
                   {"key_bytes", refusal->key_bytes}};
    for (size_t i = 0; i < RN_COUNT(texts); i++) {
        rn_text_format(text, "%s\"%s\":", i == 0 ? "{" : ",", texts[i].name);
        put_json_text(text, texts[i].value);
    }
    for (size_t i = 0; i < RN_COUNT(numbers); i++) {
        rn_text_format(text, ",\"%s\":%lld", numbers[i].name, (long long)numbers[i].value);
    }
    rn_text_put(text, "}");
}

static void put_json_error(const ration_error *error, rn_text *text)
{
    rn_text_format(text, "{\"status\":\"%s\",\"file\":", ration_status_name(error->status));
    put_json_text(text, error->file);
    rn_text_format(text, ",\"line\":%d,\"column\":%d,\"message\":", error->line, error->column);
    put_json_text(text, error->message);
    rn_text_put(text, ",\"hint\":");
    put_json_text(text, error->hint);
    rn_text_put(text, "}");
}

void rn_report_put_json(const rn_report *report, rn_text *text)
{
    const rn_replay_figures *figures = report->figures;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"seed", (int64_t)report->workload->seed},
                   {"concurrency", report->workload->concurrency},
                   {"arrived", rn_report_arrived(report)},
                   {"completed", rn_report_completed(report)},
                   {"refused", rn_report_refused(report)},
                   {"failed", rn_report_failed(report)},
                   {"limit_bytes", report->limit_bytes},
                   {"limit_highest_bytes", report->limit_highest_bytes},
                   {"data_bytes", report->data_bytes},
                   {"nodes", (int64_t)report->nodes},
                   {"edges", (int64_t)report->edges},
                   {"peak_bytes", report->peak_bytes},
                   {"samples", report->samples},
                   {"samples_over", report->samples_over},
                   {"mapped_peak_bytes", report->mapped_peak_bytes},
                   {"heap_peak_bytes", report->heap_peak_bytes},
                   {"rss_start_bytes", report->rss_start_bytes},
                   {"rss_peak_bytes", report->rss_peak_bytes},
                   {"spilled_bytes", report->spilled_bytes},
                   {"spilled_peak_bytes", report->spilled_peak_bytes},
                   {"elapsed_us", report->elapsed_us},
                   {"left_bytes", report->left_bytes}};
    rn_text_format(text, "{\"schema_version\":%d,\"workload\":", RN_REPORT_SCHEMA_VERSION);
    put_json_text(text, report->workload->path);
    for (size_t i = 0; i < RN_COUNT(numbers); i++) {
        rn_text_format(text, ",\"%s\":%lld", numbers[i].name, (long long)numbers[i].value);
    }
    rn_text_put(text, ",\"audit_text\":");
    put_json_text(text, report->audit_ok ? "" : report->audit);
    rn_text_format(text, ",\"audit\":%s,\"interrupted\":%s,\"checksum\":\"%016llx\",\"lag_us\":",
                   report->audit_ok ? "true" : "false", report->interrupted ? "true" : "false",
                   (unsigned long long)figures->checksum);
    put_json_histogram(&figures->lag_us, text);
    rn_text_put(text, ",\"classes\":[");
    for (uint32_t i = 0; i < figures->class_count; i++) {
        rn_text_put(text, i == 0 ? "" : ",");
        put_json_class(&report->workload->queries[i], &figures->classes[i], text);
    }
    rn_text_put(text, "]");
    put_json_groups(report, text);
    put_json_machine(report, text);
    rn_text_put(text, ",\"first_refusal\":");
    if (figures->refused_number >= 0) {
        put_json_refusal(&figures->first_refusal, text);
    } else {
        rn_text_put(text, "null");
    }
    rn_text_put(text, ",\"first_failure\":");
    if (figures->failed_number >= 0) {
        put_json_error(&figures->first_error, text);
    } else {
        rn_text_put(text, "null");
    }
    rn_text_put(text, "}\n");
}

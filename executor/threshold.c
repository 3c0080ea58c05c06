/* SPDX-License-Identifier: Apache-2.0
 *
 * Thresholds of a replay: METRIC>BOUND, missed when the metric is above the bound. */
#include "executor/report.h"

enum { REFUSED, FAILED, LAG_P99, P50, P95, P99, PEAK, RSS };

typedef enum unit { COUNT_OR_SHARE, TIME, BYTES } unit;

static const struct {
    const char *name;
    unit unit;
} metrics[] = {
    [REFUSED] = {"refused", COUNT_OR_SHARE},
    [FAILED] = {"failed", COUNT_OR_SHARE},
    [LAG_P99] = {"lag_p99", TIME},
    [P50] = {"p50", TIME},
    [P95] = {"p95", TIME},
    [P99] = {"p99", TIME},
    [PEAK] = {"peak", BYTES},
    [RSS] = {"rss", BYTES},
};

static bool parse_bound(const char *text, unit what, rn_threshold *threshold)
{
    size_t length = strlen(text);
    switch (what) {
    case TIME:
        return rn_parse_duration(text, length, &threshold->bound);
    case BYTES:
        return rn_parse_size(text, length, &threshold->bound);
    default:
        threshold->share = length > 0 && text[length - 1] == '%';
        if (threshold->share) {
            return rn_parse_ratio(text, length, &threshold->bound);
        }
        return rn_parse_int64(text, length, &threshold->bound) && threshold->bound >= 0;
    }
}

ration_status rn_threshold_parse(const char *text, rn_threshold *out_threshold, ration_error *error)
{
    rn_threshold threshold = {.metric = -1};
    const char *above = strchr(text, '>');
    rn_copy_text(threshold.text, sizeof threshold.text, text);
    for (size_t i = 0; above != NULL && i < RN_COUNT(metrics); i++) {
        if (strlen(metrics[i].name) == (size_t)(above - text) &&
            strncmp(text, metrics[i].name, (size_t)(above - text)) == 0) {
            threshold.metric = (int)i;
        }
    }
    if (threshold.metric < 0 ||
        !parse_bound(above + 1, metrics[threshold.metric].unit, &threshold)) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT,
                            "refused>0.5%, failed>0, p99>250ms (also p50, p95), lag_p99>10ms, "
                            "peak>64MiB, rss>100MiB",
                            "'%s' is no threshold", text);
    }
    *out_threshold = threshold;
    return RATION_OK;
}

/* A class that arrived and never completed has no latency that could be good enough. */
static int64_t worst_latency(const rn_report *report, int64_t ppm)
{
    int64_t worst = 0;
    for (uint32_t i = 0; i < report->figures->class_count; i++) {
        const rn_class_figures *figures = &report->figures->classes[i];
        bool never = figures->arrived > 0 && figures->latency_us.count == 0;
        worst = RN_MAX(worst, never ? INT64_MAX : rn_histogram_quantile(&figures->latency_us, ppm));
    }
    return worst;
}

static int64_t measure(int metric, const rn_report *report)
{
    switch (metric) {
    case REFUSED:
        return rn_report_refused(report);
    case FAILED:
        return rn_report_failed(report);
    case LAG_P99:
        return rn_histogram_quantile(&report->figures->lag_us, 990000);
    case P50:
        return worst_latency(report, 500000);
    case P95:
        return worst_latency(report, 950000);
    case P99:
        return worst_latency(report, 990000);
    case PEAK:
        return report->peak_bytes;
    default:
        return report->rss_peak_bytes;
    }
}

bool rn_threshold_missed(const rn_threshold *threshold, const rn_report *report, rn_text *text)
{
    int64_t value = measure(threshold->metric, report);
    bool missed = value > threshold->bound;
    double shown = (double)value;
    if (threshold->share) {
        int64_t arrived = rn_report_arrived(report);
        shown = arrived == 0 ? 0 : 100.0 * (double)value / (double)arrived;
        __extension__ typedef __int128 wide;
        missed = (wide)value * 1000000 > (wide)threshold->bound * arrived;
    }
    rn_text_format(text, "%s  %s: ", missed ? "MISS" : "PASS", threshold->text);
    if (threshold->share) {
        rn_text_format(text, "%.3f%%\n", shown);
    } else if (value == INT64_MAX) {
        rn_text_put(text, "a query never completed\n");
    } else if (metrics[threshold->metric].unit == TIME) {
        rn_text_format(text, "%.3f ms\n", shown / 1e3);
    } else {
        rn_text_format(text, "%lld\n", (long long)value);
    }
    return missed;
}

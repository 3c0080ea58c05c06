/* SPDX-License-Identifier: Apache-2.0
 *
 * What is shown after a replay: a table for people, JSON for programs, thresholds for scripts. */
#ifndef RATION_REPORT_H
#define RATION_REPORT_H

#include "executor/replay.h"

#define RN_REPORT_SCHEMA_VERSION 1

/* Everything a replay report says. */
typedef struct rn_report {
    const rn_workload *workload;
    const rn_replay_figures *figures;
    ration_governor *governor;   /* for its groups; NULL = none to show */
    int64_t limit_bytes;         /* of the root, at the end .. */
    int64_t limit_highest_bytes; /* .. and at its highest */
    int64_t data_bytes;          /* charged to `data` by the graph */
    uint64_t nodes, edges;
    int64_t peak_bytes;            /* charged + credit of the root, data included */
    int64_t samples, samples_over; /* readings of the root; with more granted than allowed */
    int64_t heap_peak_bytes, mapped_peak_bytes; /* control structures; blocks */
    int64_t rss_start_bytes, rss_peak_bytes;
    int64_t spilled_bytes, spilled_peak_bytes; /* ever written out; at a time */
    int64_t elapsed_us;
    int64_t left_bytes; /* charged to `queries` after the run: 0 */
    bool audit_ok;
    char audit[160];
    bool interrupted;
} rn_report;

/* Sums over classes. */
int64_t rn_report_arrived(const rn_report *report);
int64_t rn_report_completed(const rn_report *report);
int64_t rn_report_refused(const rn_report *report); /* by a memory limit */
int64_t rn_report_failed(const rn_report *report);  /* everything else that did not complete */

void rn_report_put_text(const rn_report *report, rn_text *text);
void rn_report_put_json(const rn_report *report, rn_text *text);

/* A threshold: "refused>0.5%", "failed>0", "lag_p99>10ms", "p99>250ms" (any class), "peak>64MiB",
 * "rss>100MiB". */
typedef struct rn_threshold {
    char text[64];
    int metric;
    int64_t bound; /* in the metric's unit; of arrivals in ppm when `share` */
    bool share;
} rn_threshold;

/* Errors: INVALID_ARGUMENT with the forms that exist. */
RATION_NODISCARD ration_status rn_threshold_parse(const char *text, rn_threshold *out_threshold,
                                                  ration_error *error);
/* Is it missed (the metric above the bound)? Writes a line about it. */
bool rn_threshold_missed(const rn_threshold *threshold, const rn_report *report, rn_text *text);

#endif

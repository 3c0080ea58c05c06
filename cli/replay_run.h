/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads of a replay: workers that keep the schedule, and the calling thread that watches. */
#ifndef RATION_REPLAY_RUN_H
#define RATION_REPLAY_RUN_H

#include <signal.h>
#include <stdio.h>

#include "executor/report.h"

/* Of a worker: plans may be 256 operators deep, and checked builds have larger frames. Charged to
 * the pool `data`, as the figures are. */
#ifdef RATION_CHECKED
#define RN_WORKER_STACK_BYTES ((int64_t)1024 * 1024)
#else
#define RN_WORKER_STACK_BYTES ((int64_t)256 * 1024)
#endif
#define RN_RESULTS_HEADER                                                                          \
    "number,query,status,rows,checksum,peak_bytes,latency_us,pool,limit_bytes,charged_bytes,"      \
    "asked_bytes,site,holder,holder_bytes,key,key_bytes\n"

typedef struct rn_replay_options {
    bool progress;                      /* a line on stderr, rewritten */
    FILE *results;                      /* one CSV line per query, or NULL */
    volatile sig_atomic_t *interrupted; /* set by a signal handler */
} rn_replay_options;

/* Runs the whole workload; fills figures and the measured part of `report`. Errors: NO_MEMORY,
 * ENVIRONMENT (threads). */
RATION_NODISCARD ration_status rn_replay_run_all(const rn_replay *replay,
                                                 const rn_replay_options *options,
                                                 rn_replay_figures *figures, rn_report *report,
                                                 ration_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads of a replay: workers that keep the schedule, and the calling thread that watches. */
#ifndef RATION_REPLAY_RUN_H
#define RATION_REPLAY_RUN_H

#include <signal.h>
#include <stdio.h>

#include "executor/report.h"

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

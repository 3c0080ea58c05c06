/* SPDX-License-Identifier: Apache-2.0
 *
 * Replay: one arrival of a workload run as a governed query, and what was seen, summed up per query
 * class.
 *
 * This file starts no thread: the command line owns its workers, which add to one rn_replay_figures
 * under its lock. Latency counts from the time the query was due, not from when a worker became
 * free.
 */
#ifndef RATION_REPLAY_H
#define RATION_REPLAY_H

#include "executor/execution.h"
#include "executor/histogram.h"
#include "executor/workload.h"

#define RN_STATUS_COUNT (RATION_INTERRUPTED + 1)

typedef struct rn_replay {
    const rn_workload *workload;
    const rn_graph *graph;
    ration_governor *governor;
    const rn_operator_class *const *classes;
} rn_replay;

/* What became of one query. `checksum` is a sum over row hashes: equal for equal multisets of rows.
 */
typedef struct rn_outcome {
    ration_status status;
    int64_t rows;
    uint64_t checksum;
    int64_t peak_bytes; /* most it held */
    bool refused;       /* `refusal` is set */
    ration_refusal refusal;
    ration_error error; /* otherwise, unless OK */
} rn_outcome;

typedef struct rn_class_figures {
    int64_t arrived;
    int64_t by_status[RN_STATUS_COUNT];
    int64_t rows;
    int64_t peak_bytes;      /* largest of a query */
    rn_histogram latency_us; /* of completed queries, from due to end */
} rn_class_figures;

typedef struct rn_replay_figures {
    uint32_t class_count;
    rn_class_figures *classes;
    rn_histogram lag_us;    /* from due to start */
    int64_t refused_number; /* arrival of the earliest refusal; -1 = none */
    ration_refusal first_refusal;
    int64_t failed_number; /* the same for other failures */
    ration_error first_error;
    uint64_t checksum; /* of completed queries: order does not matter */
} rn_replay_figures;

/* Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_replay_figures_open(const rn_workload *workload,
                                                      rn_replay_figures *out_figures);
void rn_replay_figures_close(rn_replay_figures *figures);
void rn_replay_figures_add(rn_replay_figures *figures, const rn_arrival *arrival,
                           const rn_outcome *outcome, int64_t lag_us, int64_t latency_us);

/* Builds every query of the workload once, without running it, so that mistakes show before the
 * start. */
RATION_NODISCARD ration_status rn_replay_check(const rn_replay *replay, ration_error *error);
/* Runs one arrival to its end. Whatever happens is in the outcome. `*running` (may be NULL) holds
 * the query while it runs, for cancelling; written under `lock`. */
void rn_replay_run(const rn_replay *replay, const rn_arrival *arrival, pthread_mutex_t *lock,
                   ration_query **running, rn_outcome *out_outcome);

/* Order-independent checksum of a batch's rows; added to a running sum. */
uint64_t rn_batch_checksum(const rn_batch *batch);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a plan: opens the operators for one worker, pulls batches, closes.
 *
 *     rn_execution_open -> rn_execution_next until 0 rows -> rn_execution_close; then
 * ration_query_close
 */
#ifndef RATION_EXECUTION_H
#define RATION_EXECUTION_H

#include "executor/plan.h"

typedef struct rn_execution {
    const rn_plan *plan;
    rn_worker worker;
    rn_operator *operators; /* by node number */
    rn_operator sink;       /* the consumer of the root: holds nothing */
    int64_t claimed_bytes;  /* for this worker */
    uint64_t spill_rounds;  /* calls of rn_execution_spill */
    ration_spiller spiller; /* registered with the worker's slot */
#ifdef RATION_HARD
    uint64_t hard_settles;
#endif
} rn_execution;

/* Errors: the limits' statuses (refusal in the query), NO_MEMORY. On failure everything is given
 * back. */
RATION_NODISCARD ration_status rn_execution_open(ration_query *query, const rn_plan *plan,
                                                 bool profile, rn_execution **out_execution);
/* The next batch, valid until the next call; 0 rows = the end. Errors: any of an operator; sticky.
 */
RATION_NODISCARD ration_status rn_execution_next(rn_execution *execution,
                                                 const rn_batch **out_batch);
void rn_execution_close(rn_execution *execution);
/* Publishes in the query which operator holds most, and what could be written out. Owner only. */
void rn_execution_publish(rn_execution *execution);
/* What all operators together could give back. Owner only. */
rn_spillable rn_execution_spillable(const rn_execution *execution);
/* What operators have not drawn yet of their minimums, and count on. Owner only. */
int64_t rn_execution_unspent(const rn_execution *execution);
/* Lets operators write out what they hold, those with most to give first, until `want_bytes` came
 * free or nothing more can be given at once. Owner only. */
RATION_NODISCARD ration_status rn_execution_spill(rn_execution *execution, int64_t want_bytes);
/* Figures of a plan node. */
rn_operator_figures rn_execution_figures(const rn_execution *execution, uint32_t node);

#endif

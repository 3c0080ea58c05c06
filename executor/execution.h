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
/* Lets the operator that can spill and holds most do so; RATION_OK when there is none. Owner only.
 */
RATION_NODISCARD ration_status rn_execution_spill(rn_execution *execution, int64_t want_bytes);
/* Figures of a plan node. */
rn_operator_figures rn_execution_figures(const rn_execution *execution, uint32_t node);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators do when an expression has no value. */
#ifndef RATION_EVALUATION_H
#define RATION_EVALUATION_H

#include "executor/plan.h"

/* Turns the answer of rn_evaluate or rn_evaluate_filter, which is not RATION_OK, into the
 * operator's. The error names operator and place already: those of the expression, which are more
 * precise than the operator's. */
RATION_NODISCARD static inline ration_status
rn_evaluation_failed(rn_operator *op, ration_status status, const ration_error *error)
{
    if (status == RATION_EVALUATION) {
        (void)rn_query_fail(op->worker->query, rn_slot_of(op->worker->slot), op->node->site, status,
                            error);
    }
    return status;
}

#endif

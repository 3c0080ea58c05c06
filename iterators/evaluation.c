/* SPDX-License-Identifier: Apache-2.0
 *
 * Evaluates and, when that has no value, fails the query; see evaluation.h. */
#include "iterators/evaluation.h"

static ration_status fail_query(rn_operator *op, ration_status status, const ration_error *error)
{
    if (status == RATION_EVALUATION) {
        (void)rn_query_fail(op->worker->query, rn_slot_of(op->worker->slot), op->node->site, status,
                            error);
    }
    return status;
}

ration_status rn_operator_evaluate(rn_operator *op, rn_evaluator *evaluator, const rn_batch *input,
                                   rn_column *out_column)
{
    ration_error error;
    ration_status status = rn_evaluate(evaluator, input, out_column, &error);
    return RN_LIKELY(status == RATION_OK) ? RATION_OK : fail_query(op, status, &error);
}

ration_status rn_operator_filter(rn_operator *op, rn_evaluator *evaluator, const rn_batch *input,
                                 uint16_t *out_rows, uint32_t *out_count)
{
    ration_error error;
    ration_status status = rn_evaluate_filter(evaluator, input, out_rows, out_count, &error);
    return RN_LIKELY(status == RATION_OK) ? RATION_OK : fail_query(op, status, &error);
}

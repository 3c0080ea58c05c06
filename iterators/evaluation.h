/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions in operators. An expression that has no value fails the query with its own place,
 * which is more precise than the operator's. Out of line, so that the error value lies in no frame
 * that calls rn_next: a plan may be 256 operators deep on a small stack. */
#ifndef RATION_EVALUATION_H
#define RATION_EVALUATION_H

#include "executor/plan.h"

/* rn_evaluate for an operator. */
RATION_NODISCARD ration_status rn_operator_evaluate(rn_operator *op, rn_evaluator *evaluator,
                                                    const rn_batch *input, rn_column *out_column);
/* rn_evaluate_filter for an operator. */
RATION_NODISCARD ration_status rn_operator_filter(rn_operator *op, rn_evaluator *evaluator,
                                                  const rn_batch *input, uint16_t *out_rows,
                                                  uint32_t *out_count);

#endif

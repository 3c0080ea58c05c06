/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators answer when a row cannot be held. */
#ifndef RATION_WIDE_H
#define RATION_WIDE_H

#include "executor/plan.h"

/* Turns the answer of rn_rows_append, which is not RATION_OK, into the operator's: names limit and
 * key when a row is too wide. */
RATION_NODISCARD static inline ration_status rn_append_failed(rn_operator *op, ration_status status)
{
    if (status == RATION_ROW_TOO_WIDE) {
        return rn_operator_error(op, status, "raise max_row_bytes in memory.yaml",
                                 "a row to hold is wider than %lld bytes",
                                 (long long)op->worker->max_row_bytes);
    }
    return status;
}

#endif

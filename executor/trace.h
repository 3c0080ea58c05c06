/* SPDX-License-Identifier: Apache-2.0
 *
 * Recorded arrivals: a CSV file with a header. */
#ifndef RATION_TRACE_H
#define RATION_TRACE_H

#include "executor/workload.h"

/* Which columns to read. */
typedef struct rn_trace_columns {
    const char *time;      /* microseconds, or a timestamp; the first is the start */
    const char *query;     /* name of a query of the workload; NULL = chosen by weight */
    const char *parameter; /* int64 or text; NULL = none */
} rn_trace_columns;

/* Fills workload->recorded, ordered by time (the file may not be), at most workload->count of them.
 * Lines whose query the workload does not name are left out. Errors: FILE, DATA with place. */
RATION_NODISCARD ration_status rn_trace_read(rn_workload *workload, const char *path,
                                             const rn_trace_columns *columns, ration_slot *slot,
                                             ration_error *error);

#endif

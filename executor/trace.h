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
    const char *parameter; /* any text; NULL = none */
} rn_trace_columns;

/* Fills workload->recorded, ordered by time (the file may not be), arrivals of the same time in the
 * order of the file. Lines whose query the workload does not name are left out. Errors: FILE; DATA
 * with place, also for a parameter that does not fit its plan; NO_MEMORY; the limits' statuses. On
 * failure rn_workload_close gives back what was read. */
RATION_NODISCARD ration_status rn_trace_read(rn_workload *workload, const char *path,
                                             const rn_trace_columns *columns, ration_slot *slot,
                                             ration_error *error);
/* The trace's text in the type of the plan's default (text when the plan has no such parameter);
 * false when it does not fit. */
bool rn_trace_value(const rn_string *text, const rn_workload_parameter *parameter,
                    rn_value *out_value);

#endif

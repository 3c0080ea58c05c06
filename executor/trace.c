/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a trace in one pass into a growing array of the workload's arena, then sorts it by time. At
 * most RN_WORKLOAD_ARRIVALS_MAX lines. */
#include "executor/trace.h"

#include <stdlib.h>

#include "storage/csv.h"

typedef struct trace_reader {
    rn_workload *workload;
    const char *path;
    uint32_t time, query, parameter; /* columns; UINT32_MAX = none */
    uint32_t columns;                /* of the header */
    int64_t capacity;
    ration_error *error;
} trace_reader;

static ration_status find_column(trace_reader *r, const rn_csv_field *fields, uint32_t count,
                                 const char *name, uint32_t *out_column)
{
    *out_column = UINT32_MAX;
    for (uint32_t i = 0; name != NULL && i < count; i++) {
        if (fields[i].length == strlen(name) &&
            memcmp(fields[i].text, name, fields[i].length) == 0) {
            *out_column = i;
            return RATION_OK;
        }
    }
    if (name == NULL) {
        return RATION_OK;
    }
    return rn_error_at(r->error, RATION_DATA, r->path, 1, 1,
                       "name the columns with time, query and parameter under arrivals",
                       "the trace has no column '%s'", name);
}

static ration_status grow(trace_reader *r)
{
    rn_workload *workload = r->workload;
    if (workload->recorded_count < r->capacity) {
        return RATION_OK;
    }
    int64_t capacity = r->capacity == 0 ? 1024 : r->capacity * 2;
    rn_recorded *more =
        rn_arena_allocate(&workload->arena, (size_t)capacity * sizeof *workload->recorded);
    if (more == NULL) {
        return RATION_NO_MEMORY;
    }
    if (workload->recorded_count > 0) {
        memcpy(more, workload->recorded, (size_t)workload->recorded_count * sizeof *more);
    }
    workload->recorded = more;
    r->capacity = capacity;
    return RATION_OK;
}

static bool find_query(const rn_workload *workload, const rn_csv_field *field, uint32_t *out_query)
{
    for (uint32_t i = 0; i < workload->query_count; i++) {
        const char *name = workload->queries[i].name;
        if (strlen(name) == field->length && memcmp(name, field->text, field->length) == 0) {
            *out_query = i;
            return true;
        }
    }
    return false;
}

static ration_status read_record(trace_reader *r, const rn_csv_field *fields, uint32_t count)
{
    rn_workload *workload = r->workload;
    if (count != r->columns) {
        return rn_error_at(r->error, RATION_DATA, r->path, fields[0].line, fields[0].column, "",
                           "%u fields where the header has %u", count, r->columns);
    }
    rn_recorded recorded = {.query = UINT32_MAX};
    const rn_csv_field *time = &fields[r->time];
    if (!rn_parse_int64(time->text, time->length, &recorded.at_us) &&
        !rn_parse_timestamp(time->text, time->length, &recorded.at_us)) {
        return rn_error_at(r->error, RATION_DATA, r->path, time->line, time->column,
                           "write microseconds or a timestamp", "'%.*s' is no arrival time",
                           (int)RN_MIN(time->length, 64), time->text);
    }
    if (r->query != UINT32_MAX && !find_query(workload, &fields[r->query], &recorded.query)) {
        return RATION_OK;
    }
    if (r->parameter != UINT32_MAX) {
        const rn_csv_field *field = &fields[r->parameter];
        bool number = rn_parse_int64(field->text, field->length, &recorded.parameter.as.integer);
        recorded.has_parameter = true;
        recorded.parameter.type = rn_type_of(number ? RN_INT64 : RN_STRING);
        if (!number) {
            const char *copy = rn_arena_copy(&workload->arena, field->text, field->length);
            if (copy == NULL) {
                return RATION_NO_MEMORY;
            }
            recorded.parameter.as.string = rn_string_over(copy, field->length);
        }
    }
    RN_TRY(grow(r));
    workload->recorded[workload->recorded_count++] = recorded;
    return RATION_OK;
}

static int order_by_time(const void *a, const void *b)
{
    int64_t left = ((const rn_recorded *)a)->at_us;
    int64_t right = ((const rn_recorded *)b)->at_us;
    return (left > right) - (left < right);
}

static ration_status read_records(trace_reader *r, rn_csv *csv, const rn_trace_columns *names)
{
    const rn_csv_field *fields;
    uint32_t count;
    RN_TRY(rn_csv_next(csv, &fields, &count, r->error));
    RN_TRY(find_column(r, fields, count, names->time, &r->time));
    RN_TRY(find_column(r, fields, count, names->query, &r->query));
    RN_TRY(find_column(r, fields, count, names->parameter, &r->parameter));
    r->columns = count;
    while (r->workload->recorded_count < RN_WORKLOAD_ARRIVALS_MAX) {
        RN_TRY(rn_csv_next(csv, &fields, &count, r->error));
        if (count == 0) {
            break;
        }
        RN_TRY(read_record(r, fields, count));
    }
    if (r->workload->recorded_count == 0) {
        return rn_error_at(r->error, RATION_DATA, r->path, 1, 1, "",
                           "the trace has no arrivals for the queries of the workload");
    }
    return RATION_OK;
}

ration_status rn_trace_read(rn_workload *workload, const char *path,
                            const rn_trace_columns *columns, ration_slot *slot, ration_error *error)
{
    trace_reader r = {.workload = workload, .path = path, .error = error};
    rn_csv_dialect dialect = {.separation = RN_CSV_CHARACTER, .delimiter = ',', .quoting = true};
    rn_csv csv;
    RN_TRY(rn_csv_open(&csv, path, NULL, 0, &dialect, slot, error));
    ration_status status = read_records(&r, &csv, columns);
    rn_csv_close(&csv);
    if (status != RATION_OK) {
        return status;
    }
    rn_recorded *recorded = workload->recorded;
    qsort(recorded, (size_t)workload->recorded_count, sizeof *recorded, order_by_time);
    for (int64_t i = workload->recorded_count; i-- > 0;) {
        if (__builtin_sub_overflow(recorded[i].at_us, recorded[0].at_us, &recorded[i].at_us)) {
            return rn_error_at(error, RATION_DATA, path, 1, 1, "",
                               "the trace spans more than int64 microseconds");
        }
    }
    workload->recorded_count = RN_MIN(workload->recorded_count, workload->count);
    return RATION_OK;
}

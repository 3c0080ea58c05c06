/* SPDX-License-Identifier: Apache-2.0
 *
 * Recorded arrivals.
 *
 * One pass over the file collects lines in segments; then, when their number is known, they are
 * copied into one array and the segments given back. A file that is out of order is sorted by a
 * merge sort, which keeps lines of the same time in the order of the file, so that the number of an
 * arrival is a function of the file alone.
 *
 * Invariants: (1) all that grows with the file is charged to the slot: contexts below
 * workload->trace. (2) Every parameter that is kept fits the plans it can be given to.
 *
 * Bounds: sizeof(rn_recorded) = 32 bytes a line and texts of more than 12 bytes, twice the 32 for a
 * moment (segments and array; array and the sort's second array). RN_WORKLOAD_ARRIVALS_MAX lines.
 *
 * Rejected: an array that doubles (three times the bytes for a moment); qsort (not stable, and the
 * C library's takes memory of its own that nobody charges). */
#include "executor/trace.h"

#include "executor/governor.h"
#include "storage/csv.h"

/* 4 KiB: sixteen to a block. */
#define SEGMENT_LINES 127

typedef struct segment {
    struct segment *next;
    rn_recorded lines[SEGMENT_LINES];
} segment;

typedef struct trace_reader {
    rn_workload *workload;
    const char *path;
    uint32_t time, query, parameter; /* columns; UINT32_MAX = none */
    uint32_t columns;                /* of the header */
    ration_context *scratch;         /* segments, later the sort's second array */
    segment *first, *last;
    int64_t last_us;
    bool out_of_order;
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

static bool read_bool(const char *text, size_t length, uint8_t *out_value)
{
    bool yes = length == 4 && memcmp(text, "true", 4) == 0;
    bool no = length == 5 && memcmp(text, "false", 5) == 0;
    *out_value = yes;
    return yes || no;
}

bool rn_trace_value(const rn_string *text, const rn_workload_parameter *parameter,
                    rn_value *out_value)
{
    const char *bytes = rn_string_bytes(text);
    rn_value value;
    memset(&value, 0, sizeof value);
    value.type = parameter->values == NULL ? rn_type_of(RN_STRING) : parameter->values[0].type;
    bool fits = true;
    switch (value.type.kind) {
    case RN_BOOL:
        fits = read_bool(bytes, text->length, &value.as.boolean);
        break;
    case RN_INT64:
        fits = rn_parse_int64(bytes, text->length, &value.as.integer);
        break;
    case RN_DOUBLE:
        fits = rn_parse_double(bytes, text->length, &value.as.real);
        break;
    case RN_DATE:
        fits = rn_parse_date(bytes, text->length, &value.as.date);
        break;
    case RN_TIMESTAMP:
        fits = rn_parse_timestamp(bytes, text->length, &value.as.integer);
        break;
    default:
        value.as.string = *text;
        break;
    }
    if (fits) {
        *out_value = value;
    }
    return fits;
}

/* Does the parameter fit a query that may get it? */
static ration_status check_fit(trace_reader *r, const rn_csv_field *field, const rn_string *text,
                               uint32_t index)
{
    const rn_workload_query *query = &r->workload->queries[index];
    for (uint32_t i = 0; i < query->parameter_count; i++) {
        const rn_workload_parameter *parameter = &query->parameters[i];
        rn_value value;
        if (parameter->source == RN_SOURCE_TRACE && !rn_trace_value(text, parameter, &value)) {
            return rn_error_at(r->error, RATION_DATA, r->path, field->line, field->column,
                               "the default in the plan decides the type",
                               "'%.*s' is no %s for parameter '%s' of query '%s'",
                               (int)RN_MIN(field->length, 64), field->text,
                               rn_kind_name((rn_kind)parameter->values[0].type.kind),
                               parameter->name, query->name);
        }
    }
    return RATION_OK;
}

static ration_status read_parameter(trace_reader *r, const rn_csv_field *field,
                                    rn_recorded *recorded)
{
    rn_string text = rn_string_over(field->text, field->length);
    uint32_t end = recorded->query == UINT32_MAX ? r->workload->query_count : recorded->query + 1;
    for (uint32_t i = recorded->query == UINT32_MAX ? 0 : recorded->query; i < end; i++) {
        RN_TRY(check_fit(r, field, &text, i));
    }
    if (field->length > RN_STRING_INLINE_MAX) {
        char *copy = ration_context_allocate(r->workload->trace, field->length);
        if (copy == NULL) {
            return ration_context_status(r->workload->trace);
        }
        memcpy(copy, field->text, field->length);
        text = rn_string_over(copy, field->length);
    }
    recorded->parameter = text;
    recorded->has_parameter = true;
    return RATION_OK;
}

static ration_status append(trace_reader *r, const rn_recorded *recorded)
{
    int64_t *count = &r->workload->recorded_count;
    if (*count % SEGMENT_LINES == 0) {
        segment *next = ration_context_allocate(r->scratch, sizeof *next);
        if (next == NULL) {
            return ration_context_status(r->scratch);
        }
        next->next = NULL;
        *(r->last == NULL ? &r->first : &r->last->next) = next;
        r->last = next;
    }
    r->out_of_order |= *count > 0 && recorded->at_us < r->last_us;
    r->last_us = recorded->at_us;
    r->last->lines[*count % SEGMENT_LINES] = *recorded;
    *count += 1;
    return RATION_OK;
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
    if (workload->recorded_count == RN_WORKLOAD_ARRIVALS_MAX) {
        return rn_error_at(r->error, RATION_DATA, r->path, fields[0].line, fields[0].column,
                           "split the trace", "more than %lld arrivals",
                           (long long)RN_WORKLOAD_ARRIVALS_MAX);
    }
    if (r->parameter != UINT32_MAX) {
        RN_TRY(read_parameter(r, &fields[r->parameter], &recorded));
    }
    return append(r, &recorded);
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
    do {
        RN_TRY(rn_csv_next(csv, &fields, &count, r->error));
        if (count > 0) {
            RN_TRY(read_record(r, fields, count));
        }
    } while (count > 0);
    if (r->workload->recorded_count == 0) {
        return rn_error_at(r->error, RATION_DATA, r->path, 1, 1, "",
                           "the trace has no arrivals for the queries of the workload");
    }
    return RATION_OK;
}

static rn_recorded *allocate_lines(const trace_reader *r, ration_context *context)
{
    size_t bytes = (size_t)r->workload->recorded_count * sizeof(rn_recorded);
    return ration_context_allocate(context, bytes);
}

/* From the segments into one array; then nothing is left in the scratch context. */
static ration_status take_lines(trace_reader *r)
{
    rn_workload *workload = r->workload;
    workload->recorded = allocate_lines(r, workload->trace);
    if (workload->recorded == NULL) {
        return ration_context_status(workload->trace);
    }
    int64_t at = 0;
    for (const segment *from = r->first; from != NULL; from = from->next) {
        int64_t count = RN_MIN(workload->recorded_count - at, SEGMENT_LINES);
        memcpy(&workload->recorded[at], from->lines, (size_t)count * sizeof *from->lines);
        at += count;
    }
    rn_assert(at == workload->recorded_count);
    ration_context_reset(r->scratch);
    return RATION_OK;
}

/* Two ordered runs of `from` into one of `to`; the left one goes first when times are equal. */
static void merge_runs(const rn_recorded *from, rn_recorded *to, int64_t start, int64_t middle,
                       int64_t end)
{
    int64_t left = start, right = middle;
    for (int64_t at = start; at < end; at++) {
        bool from_left = left < middle && (right == end || from[left].at_us <= from[right].at_us);
        to[at] = from[from_left ? left++ : right++];
    }
}

static ration_status sort_by_time(trace_reader *r)
{
    int64_t count = r->workload->recorded_count;
    rn_recorded *from = r->workload->recorded;
    rn_recorded *to = allocate_lines(r, r->scratch);
    if (to == NULL) {
        return ration_context_status(r->scratch);
    }
    for (int64_t width = 1; width < count; width *= 2) {
        for (int64_t start = 0; start < count; start += 2 * width) {
            merge_runs(from, to, start, RN_MIN(start + width, count),
                       RN_MIN(start + 2 * width, count));
        }
        rn_recorded *merged = to;
        to = from;
        from = merged;
    }
    if (from != r->workload->recorded) {
        memcpy(r->workload->recorded, from, (size_t)count * sizeof *from);
    }
    return RATION_OK;
}

/* Times since the first arrival. */
static ration_status set_start(const trace_reader *r)
{
    rn_recorded *recorded = r->workload->recorded;
    for (int64_t i = r->workload->recorded_count; i-- > 0;) {
        if (__builtin_sub_overflow(recorded[i].at_us, recorded[0].at_us, &recorded[i].at_us)) {
            return rn_error_at(r->error, RATION_DATA, r->path, 1, 1, "",
                               "the trace spans more than int64 microseconds");
        }
    }
    return RATION_OK;
}

static ration_status read_all(trace_reader *r, const rn_trace_columns *columns, ration_slot *slot)
{
    rn_csv_dialect dialect = {.separation = RN_CSV_CHARACTER, .delimiter = ',', .quoting = true};
    rn_csv csv;
    ration_context **trace = &r->workload->trace;
    RN_TRY(ration_context_create(NULL, slot, RATION_CONTEXT_BUMP, "trace", trace));
    RN_TRY(ration_context_create(*trace, slot, RATION_CONTEXT_BUMP, "trace.read", &r->scratch));
    RN_TRY(rn_csv_open(&csv, r->path, NULL, 0, &dialect, slot, r->error));
    ration_status status = read_records(r, &csv, columns);
    rn_csv_close(&csv);
    RN_TRY(status);
    RN_TRY(take_lines(r));
    if (r->out_of_order) {
        RN_TRY(sort_by_time(r));
    }
    ration_context_delete(r->scratch);
    return set_start(r);
}

static ration_status explain_refusal(const trace_reader *r, const rn_slot *slot,
                                     ration_status status)
{
    const rn_no *no = &slot->no;
    char hint[160];
    (void)snprintf(hint, sizeof hint,
                   "set %s above %lld, or shorten the trace: a line takes %zu bytes, and twice "
                   "that while it is read",
                   status == RATION_DATA_LIMIT ? "data_limit_bytes" : "limit_bytes",
                   (long long)rn_add(no->charged_bytes, no->asked_bytes), sizeof(rn_recorded));
    return rn_error_at(r->error, status, r->path, 0, 0, hint,
                       "no room for the trace: %lld + %lld > %lld bytes after %lld arrivals",
                       (long long)no->charged_bytes, (long long)no->asked_bytes,
                       (long long)no->limit_bytes, (long long)r->workload->recorded_count);
}

ration_status rn_trace_read(rn_workload *workload, const char *path,
                            const rn_trace_columns *columns, ration_slot *slot, ration_error *error)
{
    trace_reader r = {.workload = workload, .path = path, .error = error};
    ration_status status = read_all(&r, columns, slot);
    return rn_is_refusal(status) ? explain_refusal(&r, rn_slot_of(slot), status) : status;
}

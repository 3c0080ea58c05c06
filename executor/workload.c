/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading workload files. What a file may say: docs/workloads.md. The recorded arrivals of a trace
 * are read in executor/trace.c; drawing arrivals and parameters is in executor/arrivals.c.
 */
#include "executor/planner.h"
#include "executor/trace.h"

typedef struct reader {
    rn_workload *workload;
    const rn_yaml_file *yaml;
    bool has_trace_parameter;
    ration_error *error;
} reader;

/* A path named in the file: as it is when absolute, else relative to the file. */
static ration_status resolve_path(const reader *r, const rn_yaml *node, char *path, size_t capacity)
{
    const char *name;
    RN_TRY(rn_yaml_string(r->yaml, node, &name, r->error));
    const char *slash = strrchr(r->workload->path, '/');
    rn_text text = rn_text_over(path, capacity);
    if (name[0] != '/' && slash != NULL) {
        rn_text_put_bytes(&text, r->workload->path, (size_t)(slash - r->workload->path) + 1);
    }
    rn_text_put(&text, name);
    if (text.length >= capacity) {
        return rn_yaml_error(r->yaml, node, r->error, "", "the path is longer than %zu bytes",
                             capacity - 1);
    }
    return RATION_OK;
}

static ration_status read_plan_file(reader *r, const rn_yaml *node)
{
    rn_workload *workload = r->workload;
    if (workload->plan_file_count == RN_WORKLOAD_FILES_MAX) {
        return rn_yaml_error(r->yaml, node, r->error, "", "more than %u plan files",
                             RN_WORKLOAD_FILES_MAX);
    }
    char path[sizeof workload->path];
    RN_TRY(resolve_path(r, node, path, sizeof path));
    RN_TRY(rn_plan_file_open(path, &workload->plan_files[workload->plan_file_count], r->error));
    workload->plan_file_count += 1;
    return RATION_OK;
}

static ration_status read_plan_files(reader *r, const rn_yaml *node)
{
    if (node->kind == RN_YAML_SCALAR) {
        return read_plan_file(r, node);
    }
    RN_TRY(rn_yaml_expect(r->yaml, node, RN_YAML_SEQUENCE, r->error));
    for (const rn_yaml *file = node->first; file != NULL; file = file->next) {
        RN_TRY(read_plan_file(r, file));
    }
    return RATION_OK;
}

static ration_status read_literal(reader *r, const rn_yaml *node, rn_value *out_value)
{
    RN_TRY(rn_yaml_expect(r->yaml, node, RN_YAML_SCALAR, r->error));
    if (rn_literal_parse(node->text, node->length, node->quoted, &r->workload->arena, out_value) !=
        RATION_OK) {
        return rn_yaml_error(r->yaml, node, r->error,
                             "write 42, 1.5, true, 'text', date '2020-01-31'", "'%s' is no literal",
                             node->text);
    }
    return RATION_OK;
}

static ration_status read_values(reader *r, const rn_yaml *node, rn_workload_parameter *parameter)
{
    RN_TRY(rn_yaml_expect(r->yaml, node, RN_YAML_SEQUENCE, r->error));
    if (node->count == 0 || node->count > UINT32_MAX) {
        return rn_yaml_error(r->yaml, node, r->error, "", "an empty list of values");
    }
    rn_value *values = rn_arena_allocate(&r->workload->arena, node->count * sizeof *values);
    if (values == NULL) {
        return RATION_NO_MEMORY;
    }
    uint32_t count = 0;
    for (const rn_yaml *value = node->first; value != NULL; value = value->next) {
        RN_TRY(read_literal(r, value, &values[count]));
        if (!rn_type_equal(values[count].type, values[0].type)) {
            char type[32], first[32];
            return rn_yaml_error(
                r->yaml, value, r->error, "all values of a parameter have one type",
                "'%s' is %s, the values before are %s", value->text,
                rn_type_name(values[count].type, type), rn_type_name(values[0].type, first));
        }
        count += 1;
    }
    parameter->values = values;
    parameter->count = count;
    return RATION_OK;
}

static ration_status read_range(reader *r, const rn_yaml *node, rn_workload_parameter *parameter)
{
    const rn_yaml *bound;
    RN_TRY(rn_yaml_require(r->yaml, node, "min", &bound, r->error));
    RN_TRY(rn_yaml_int64(r->yaml, bound, INT64_MIN, INT64_MAX, &parameter->minimum, r->error));
    RN_TRY(rn_yaml_require(r->yaml, node, "max", &bound, r->error));
    return rn_yaml_int64(r->yaml, bound, parameter->minimum, INT64_MAX, &parameter->maximum,
                         r->error);
}

/* The plan's own value of a parameter. What is wrong with it, or that there is none, is for
 * rn_plan_build to say. */
static ration_status find_default(reader *r, const rn_workload_query *query, const char *name,
                                  const rn_value **out_value)
{
    const rn_plan_file *file = &r->workload->plan_files[query->file];
    const rn_yaml *plan = rn_plan_file_find(file, query->plan);
    const rn_yaml *node = rn_yaml_get(rn_yaml_get(plan, "parameters"), name);
    if (node == NULL) {
        node = rn_yaml_get(rn_yaml_get(file->yaml.root, "parameters"), name);
    }
    if (node == NULL || node->kind != RN_YAML_SCALAR) {
        return RATION_OK;
    }
    rn_value *value = rn_arena_allocate(&r->workload->arena, sizeof *value);
    if (value == NULL) {
        return RATION_NO_MEMORY;
    }
    ration_status status =
        rn_literal_parse(node->text, node->length, node->quoted, &r->workload->arena, value);
    if (status == RATION_OK) {
        *out_value = value;
    }
    return status == RATION_NO_MEMORY ? status : RATION_OK;
}

static ration_status read_trace_parameter(reader *r, const rn_yaml *node,
                                          const rn_workload_query *query,
                                          rn_workload_parameter *parameter)
{
    static const char *const columns[] = {"parameter"};
    size_t column;
    RN_TRY(rn_yaml_choice(r->yaml, node, columns, RN_COUNT(columns), &column, r->error));
    if (r->workload->process != RN_PROCESS_TRACE) {
        return rn_yaml_error(r->yaml, node, r->error, "give arrivals a trace",
                             "the arrivals of this workload come from no trace");
    }
    if (!r->has_trace_parameter) {
        return rn_yaml_error(r->yaml, node, r->error,
                             "name its column with `parameter` under arrivals",
                             "the trace has no parameter for '%s'", parameter->name);
    }
    parameter->count = 1;
    return find_default(r, query, parameter->name, &parameter->values);
}

/* The one way to draw that a mapping names. */
static ration_status choose_source(const reader *r, const rn_yaml *node, rn_source *out_source)
{
    static const char *const keys[] = {"values", "min", "max", "node", "trace"};
    static const rn_source sources[] = {RN_SOURCE_VALUES, RN_SOURCE_RANGE, RN_SOURCE_RANGE,
                                        RN_SOURCE_NODE, RN_SOURCE_TRACE};
    rn_source chosen = RN_SOURCE_FIXED;
    RN_TRY(rn_yaml_expect(r->yaml, node, RN_YAML_MAPPING, r->error));
    RN_TRY(rn_yaml_check_keys(r->yaml, node, keys, RN_COUNT(keys), r->error));
    for (size_t i = 0; i < RN_COUNT(keys); i++) {
        const rn_yaml *found = rn_yaml_get(node, keys[i]);
        if (found == NULL) {
            continue;
        }
        if (chosen != RN_SOURCE_FIXED && chosen != sources[i]) {
            return rn_yaml_error_key(r->yaml, found, r->error,
                                     "one of: values; min and max; node; trace",
                                     "two ways to draw parameter '%s'", node->key);
        }
        chosen = sources[i];
    }
    if (chosen == RN_SOURCE_FIXED) {
        return rn_yaml_error(r->yaml, node, r->error, "one of: values; min and max; node; trace",
                             "no way to draw parameter '%s'", node->key);
    }
    *out_source = chosen;
    return RATION_OK;
}

/* A literal, or a mapping that says how to draw. */
static ration_status read_parameter(reader *r, const rn_yaml *node, const rn_workload_query *query,
                                    rn_workload_parameter *parameter)
{
    parameter->name = node->key;
    parameter->line = node->line;
    parameter->column = node->column;
    if (node->kind == RN_YAML_SCALAR) {
        rn_value *value = rn_arena_allocate(&r->workload->arena, sizeof *value);
        if (value == NULL) {
            return RATION_NO_MEMORY;
        }
        parameter->source = RN_SOURCE_FIXED;
        parameter->values = value;
        parameter->count = 1;
        return read_literal(r, node, value);
    }
    RN_TRY(choose_source(r, node, &parameter->source));
    switch (parameter->source) {
    case RN_SOURCE_VALUES:
        return read_values(r, rn_yaml_get(node, "values"), parameter);
    case RN_SOURCE_NODE:
        return rn_yaml_string(r->yaml, rn_yaml_get(node, "node"), &parameter->label, r->error);
    case RN_SOURCE_TRACE:
        return read_trace_parameter(r, rn_yaml_get(node, "trace"), query, parameter);
    default:
        return read_range(r, node, parameter);
    }
}

static ration_status read_parameters(reader *r, const rn_yaml *node, rn_workload_query *query)
{
    if (node == NULL) {
        return RATION_OK;
    }
    RN_TRY(rn_yaml_expect(r->yaml, node, RN_YAML_MAPPING, r->error));
    rn_workload_parameter *parameters =
        rn_arena_allocate(&r->workload->arena, node->count * sizeof *parameters);
    if (parameters == NULL) {
        return RATION_NO_MEMORY;
    }
    uint32_t count = 0;
    for (const rn_yaml *child = node->first; child != NULL; child = child->next) {
        RN_TRY(read_parameter(r, child, query, &parameters[count]));
        count += 1;
    }
    query->parameters = parameters;
    query->parameter_count = count;
    return RATION_OK;
}

/* Finds the plan file that has a plan of this name; two that have it are a mistake. */
static ration_status find_plan(reader *r, const rn_yaml *node, rn_workload_query *query)
{
    const rn_workload *workload = r->workload;
    bool found = false;
    for (uint32_t file = 0; file < workload->plan_file_count; file++) {
        if (rn_plan_file_find(&workload->plan_files[file], query->plan) == NULL) {
            continue;
        }
        if (found) {
            return rn_yaml_error(r->yaml, node, r->error, "rename one of them",
                                 "plan '%s' is in two files, %s and %s", query->plan,
                                 workload->plan_files[query->file].path,
                                 workload->plan_files[file].path);
        }
        query->file = file;
        found = true;
    }
    return found ? RATION_OK
                 : rn_yaml_error(r->yaml, node, r->error,
                                 "plans are looked up by name in the files of `plans`",
                                 "no plan '%s'", query->plan);
}

/* Names go to terminals and into files of lines. Control characters are the bytes below blank, DEL,
 * and U+0080 to U+009F (two bytes in UTF-8). */
static ration_status read_name(const reader *r, const rn_yaml *node, const char **out_name)
{
    const char *name;
    RN_TRY(rn_yaml_string(r->yaml, node, &name, r->error));
    if (name[0] == '\0') {
        return rn_yaml_error(r->yaml, node, r->error, "", "an empty name");
    }
    for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0)) {
            return rn_yaml_error(r->yaml, node, r->error, "",
                                 "byte %d of the name is a control character",
                                 (int)(at - (const unsigned char *)name) + 1);
        }
    }
    *out_name = name;
    return RATION_OK;
}

static ration_status read_optional_int64(const reader *r, const rn_yaml *node, const char *key,
                                         int64_t minimum, int64_t maximum, int64_t *value)
{
    const rn_yaml *found = rn_yaml_get(node, key);
    return found == NULL ? RATION_OK
                         : rn_yaml_int64(r->yaml, found, minimum, maximum, value, r->error);
}

static ration_status read_query(reader *r, const rn_yaml *node, rn_workload_query *query)
{
    static const char *const keys[] = {"name",        "plan",     "weight",      "parameters",
                                       "limit_bytes", "rows_max", "time_ms_max", "group"};
    RN_TRY(rn_yaml_expect(r->yaml, node, RN_YAML_MAPPING, r->error));
    RN_TRY(rn_yaml_check_keys(r->yaml, node, keys, RN_COUNT(keys), r->error));
    const rn_yaml *plan;
    RN_TRY(rn_yaml_require(r->yaml, node, "plan", &plan, r->error));
    RN_TRY(read_name(r, plan, &query->plan));
    RN_TRY(find_plan(r, plan, query));
    query->name = query->plan;
    query->line = node->line;
    query->column = node->column;
    query->weight = 1;
    const rn_yaml *name = rn_yaml_get(node, "name");
    if (name != NULL) {
        RN_TRY(read_name(r, name, &query->name));
    }
    RN_TRY(read_optional_int64(r, node, "weight", 1, 1000000, &query->weight));
    RN_TRY(read_optional_int64(r, node, "rows_max", 1, INT64_MAX, &query->rows_max));
    RN_TRY(read_optional_int64(r, node, "time_ms_max", 1, INT64_MAX, &query->time_ms_max));
    const rn_yaml *limit = rn_yaml_get(node, "limit_bytes");
    if (limit != NULL) {
        RN_TRY(rn_yaml_bytes(r->yaml, limit, 1, INT64_MAX, &query->limit_bytes, r->error));
    }
    RN_TRY(rn_yaml_string(r->yaml, rn_yaml_get(node, "group"), &query->group, r->error));
    return read_parameters(r, rn_yaml_get(node, "parameters"), query);
}

static ration_status read_queries(reader *r, const rn_yaml *node)
{
    rn_workload *workload = r->workload;
    RN_TRY(rn_yaml_expect(r->yaml, node, RN_YAML_SEQUENCE, r->error));
    if (node->count == 0 || node->count > RN_WORKLOAD_QUERIES_MAX) {
        return rn_yaml_error(r->yaml, node, r->error, "", "a workload has 1 to %u queries, not %zu",
                             RN_WORKLOAD_QUERIES_MAX, node->count);
    }
    workload->queries =
        rn_arena_allocate(&workload->arena, node->count * sizeof *workload->queries);
    if (workload->queries == NULL) {
        return RATION_NO_MEMORY;
    }
    for (const rn_yaml *query = node->first; query != NULL; query = query->next) {
        rn_workload_query *next = &workload->queries[workload->query_count];
        RN_TRY(read_query(r, query, next));
        for (uint32_t i = 0; i < workload->query_count; i++) {
            if (strcmp(workload->queries[i].name, next->name) == 0) {
                return rn_yaml_error(r->yaml, query, r->error, "give one of them a `name`",
                                     "two queries are called '%s'", next->name);
            }
        }
        workload->weights += next->weight;
        workload->query_count += 1;
    }
    return RATION_OK;
}

static ration_status read_duration(const reader *r, const rn_yaml *node, int64_t *out_us)
{
    const char *text;
    RN_TRY(rn_yaml_string(r->yaml, node, &text, r->error));
    int64_t us;
    if (!rn_parse_duration(text, node->length, &us) || us == 0) {
        return rn_yaml_error(r->yaml, node, r->error, "write 500ms, 10s or 2min",
                             "'%s' is no duration above 0", text);
    }
    *out_us = us;
    return RATION_OK;
}

/* Keys of the other kind of arrivals would have no effect. */
static ration_status check_arrival_keys(const reader *r, const rn_yaml *node)
{
    static const char *const of_trace[] = {"trace", "time", "query", "parameter"};
    const rn_yaml *rate = rn_yaml_get(node, "rate");
    if (r->workload->process == RN_PROCESS_TRACE) {
        return rate == NULL ? RATION_OK
                            : rn_yaml_error_key(r->yaml, rate, r->error, "`speed` changes its pace",
                                                "a trace has no rate");
    }
    for (size_t i = 0; i < RN_COUNT(of_trace); i++) {
        const rn_yaml *found = rn_yaml_get(node, of_trace[i]);
        if (found != NULL) {
            return rn_yaml_error_key(
                r->yaml, found, r->error, "give either `trace`, or `process` and `rate`",
                "'%s' belongs to a trace, these arrivals are drawn", of_trace[i]);
        }
    }
    return RATION_OK;
}

static ration_status read_arrivals(reader *r, const rn_yaml *node)
{
    static const char *const keys[] = {"process", "rate",  "speed",    "trace",
                                       "time",    "query", "parameter"};
    static const char *const processes[] = {"poisson", "uniform", "trace"};
    rn_workload *workload = r->workload;
    RN_TRY(rn_yaml_expect(r->yaml, node, RN_YAML_MAPPING, r->error));
    RN_TRY(rn_yaml_check_keys(r->yaml, node, keys, RN_COUNT(keys), r->error));
    const rn_yaml *process = rn_yaml_get(node, "process");
    const rn_yaml *speed = rn_yaml_get(node, "speed");
    size_t chosen = rn_yaml_get(node, "trace") != NULL ? RN_PROCESS_TRACE : RN_PROCESS_POISSON;
    if (process != NULL) {
        RN_TRY(rn_yaml_choice(r->yaml, process, processes, RN_COUNT(processes), &chosen, r->error));
    }
    workload->process = (rn_process)chosen;
    RN_TRY(check_arrival_keys(r, node));
    r->has_trace_parameter = rn_yaml_get(node, "parameter") != NULL;
    if (speed != NULL) {
        RN_TRY(rn_yaml_double(r->yaml, speed, 1e-6, 1e6, &workload->speed, r->error));
    }
    const rn_yaml *found;
    if (workload->process == RN_PROCESS_TRACE) {
        return rn_yaml_require(r->yaml, node, "trace", &found, r->error);
    }
    RN_TRY(rn_yaml_require(r->yaml, node, "rate", &found, r->error));
    return rn_yaml_double(r->yaml, found, 1e-3, 1e6, &workload->rate, r->error);
}

static ration_status read_trace(reader *r, const rn_yaml *arrivals, ration_slot *slot)
{
    rn_trace_columns columns = {.time = "arrival_us"};
    char path[sizeof r->workload->path];
    RN_TRY(resolve_path(r, rn_yaml_get(arrivals, "trace"), path, sizeof path));
    const struct {
        const char *key;
        const char **name;
    } named[] = {
        {"time", &columns.time}, {"query", &columns.query}, {"parameter", &columns.parameter}};
    for (size_t i = 0; i < RN_COUNT(named); i++) {
        const rn_yaml *node = rn_yaml_get(arrivals, named[i].key);
        if (node != NULL) {
            RN_TRY(rn_yaml_string(r->yaml, node, named[i].name, r->error));
        }
    }
    return rn_trace_read(r->workload, path, &columns, slot, r->error);
}

static ration_status read_workload(reader *r, ration_slot *slot)
{
    static const char *const keys[] = {"graph", "plans",    "concurrency", "seed",
                                       "count", "duration", "arrivals",    "queries"};
    rn_workload *workload = r->workload;
    const rn_yaml *root = r->yaml->root;
    RN_TRY(rn_yaml_expect(r->yaml, root, RN_YAML_MAPPING, r->error));
    RN_TRY(rn_yaml_check_keys(r->yaml, root, keys, RN_COUNT(keys), r->error));
    const rn_yaml *graph = rn_yaml_get(root, "graph");
    const rn_yaml *duration = rn_yaml_get(root, "duration");
    const rn_yaml *arrivals, *plans, *queries;
    RN_TRY(rn_yaml_require(r->yaml, root, "plans", &plans, r->error));
    RN_TRY(rn_yaml_require(r->yaml, root, "arrivals", &arrivals, r->error));
    RN_TRY(rn_yaml_require(r->yaml, root, "queries", &queries, r->error));
    int64_t seed = 1;
    RN_TRY(read_optional_int64(r, root, "concurrency", 1, RN_WORKERS_MAX, &workload->concurrency));
    RN_TRY(read_optional_int64(r, root, "seed", 0, INT64_MAX, &seed));
    RN_TRY(read_optional_int64(r, root, "count", 1, RN_WORKLOAD_ARRIVALS_MAX, &workload->count));
    workload->seed = (uint64_t)seed;
    if (duration != NULL) {
        RN_TRY(read_duration(r, duration, &workload->duration_us));
    }
    if (graph != NULL) {
        RN_TRY(resolve_path(r, graph, workload->graph, sizeof workload->graph));
    }
    RN_TRY(read_arrivals(r, arrivals));
    RN_TRY(read_plan_files(r, plans));
    RN_TRY(read_queries(r, queries));
    return workload->process == RN_PROCESS_TRACE ? read_trace(r, arrivals, slot) : RATION_OK;
}

ration_status rn_workload_parse(const char *path, const char *text, size_t length,
                                ration_slot *slot, rn_workload *out_workload, ration_error *error)
{
    memset(out_workload, 0, sizeof *out_workload);
    rn_copy_text(out_workload->path, sizeof out_workload->path, path);
    out_workload->speed = 1;
    out_workload->concurrency = 2;
    out_workload->count = RN_WORKLOAD_ARRIVALS_MAX;
    out_workload->duration_us = INT64_MAX;
    RN_TRY(rn_yaml_read(out_workload->path, text, length, RN_YAML_PLAN_DEPTH_MAX, RATION_PLAN,
                        &out_workload->yaml, error));
    reader r = {.workload = out_workload, .yaml = &out_workload->yaml, .error = error};
    ration_status status = read_workload(&r, slot);
    if (status == RATION_NO_MEMORY) {
        rn_error_set(error, status, "", "no memory for workload %s", path);
    }
    if (status != RATION_OK) {
        rn_workload_close(out_workload);
    }
    return status;
}

ration_status rn_workload_open(const char *path, ration_slot *slot, rn_workload *out_workload,
                               ration_error *error)
{
    return rn_workload_parse(path, NULL, 0, slot, out_workload, error);
}

void rn_workload_close(rn_workload *workload)
{
    for (uint32_t i = 0; i < workload->plan_file_count; i++) {
        rn_plan_file_close(&workload->plan_files[i]);
    }
    workload->plan_file_count = 0;
    rn_yaml_free(&workload->yaml);
    rn_arena_free(&workload->arena);
    ration_context_delete(workload->trace);
    workload->trace = NULL;
    workload->recorded = NULL;
    workload->recorded_count = 0;
}

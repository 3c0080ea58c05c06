/* SPDX-License-Identifier: Apache-2.0
 *
 * Workloads: which plans run, with which parameters, when (docs/workloads.md).
 *
 *     rn_workload_open -> rn_arrivals_next until false -> rn_workload_parameters per arrival ->
 * rn_workload_close
 *
 * Open loop: arrival times come from the workload alone, never from how fast queries end. The same
 * file and seed give the same arrivals and parameters. Read-only after open; each thread has
 * cursors of its own.
 */
#ifndef RATION_WORKLOAD_H
#define RATION_WORKLOAD_H

#include "executor/plan.h"

#define RN_WORKLOAD_QUERIES_MAX 256u
#define RN_WORKLOAD_FILES_MAX 16u
#define RN_WORKERS_MAX 256
#define RN_WORKLOAD_ARRIVALS_MAX INT64_C(10000000)

typedef enum rn_source {
    RN_SOURCE_FIXED,  /* one literal */
    RN_SOURCE_VALUES, /* one of a list */
    RN_SOURCE_RANGE,  /* int64 in [minimum, maximum] */
    RN_SOURCE_NODE, /* external id of a node of a label; by the trace's parameter when there is one
                     */
    RN_SOURCE_TRACE /* the trace's parameter itself, in the type of the plan's default */
} rn_source;

typedef struct rn_workload_parameter {
    const char *name;
    rn_source source;
    int line, column;
    uint32_t count; /* of values; 1 when fixed */
    /* All of one type. Trace: the plan's default, or NULL when the plan has no such parameter. */
    const rn_value *values;
    int64_t minimum, maximum;
    const char *label;
} rn_workload_parameter;

typedef struct rn_workload_query {
    const char *name; /* the query class in reports; no control characters */
    const char *plan; /* name in its plan file and in no other; never NULL */
    uint32_t file;    /* of plan_files */
    int64_t weight;
    int64_t limit_bytes, rows_max, time_ms_max; /* 0 = memory.yaml's */
    const char *group;                          /* of memory.yaml; NULL = none */
    uint32_t parameter_count;
    const rn_workload_parameter *parameters;
    int line, column;
} rn_workload_query;

typedef enum rn_process { RN_PROCESS_POISSON, RN_PROCESS_UNIFORM, RN_PROCESS_TRACE } rn_process;

/* One recorded arrival: 32 bytes. */
typedef struct rn_recorded {
    int64_t at_us;
    rn_string parameter; /* as it is in the file; its type is the plan's matter */
    uint32_t query;      /* index; UINT32_MAX = chosen by weight */
    bool has_parameter;
} rn_recorded;

typedef struct rn_workload {
    rn_arena arena;
    rn_yaml_file yaml;
    char path[512];
    char graph[512]; /* "" = none named */
    rn_plan_file plan_files[RN_WORKLOAD_FILES_MAX];
    uint32_t plan_file_count;
    uint32_t query_count;
    rn_workload_query *queries;
    int64_t weights; /* sum */
    rn_process process;
    double rate;         /* per second, before `speed` */
    double speed;        /* 2 = twice as fast */
    int64_t count;       /* arrivals at most */
    int64_t duration_us; /* arrivals before this time; INT64_MAX = no bound */
    int64_t concurrency; /* worker threads */
    uint64_t seed;
    ration_context *trace; /* holds `recorded` and its texts; NULL = no trace */
    rn_recorded *recorded; /* all of the trace, whatever `count` says */
    int64_t recorded_count;
} rn_workload;

/* Errors: FILE, PLAN and DATA (trace) with file:line:column, NO_MEMORY, and the limits' statuses: a
 * trace is charged to `slot`, which must outlive the workload. */
RATION_NODISCARD ration_status rn_workload_open(const char *path, ration_slot *slot,
                                                rn_workload *out_workload, ration_error *error);
/* From a buffer under the name `path` (tests, fuzzing). */
RATION_NODISCARD ration_status rn_workload_parse(const char *path, const char *text, size_t length,
                                                 ration_slot *slot, rn_workload *out_workload,
                                                 ration_error *error);
void rn_workload_close(rn_workload *workload);

typedef struct rn_arrival {
    int64_t number; /* 0.. */
    int64_t at_us;  /* since the start of the replay */
    uint32_t query;
    const rn_recorded *recorded; /* NULL = generated */
} rn_arrival;

/* All zeros = the start. */
typedef struct rn_arrivals {
    int64_t number;
    uint64_t state;
    double at_us;
} rn_arrivals;

/* The next arrival, in order of time; false at the end. */
bool rn_arrivals_next(const rn_workload *workload, rn_arrivals *cursor, rn_arrival *out_arrival);

/* Draws the arrival's parameters into `out_values` (room for the query's parameter_count). Without
 * `recorded` what comes from a trace is the plan's default. Errors: PLAN (label unknown or empty).
 */
RATION_NODISCARD ration_status rn_workload_parameters(const rn_workload *workload,
                                                      const rn_arrival *arrival,
                                                      const rn_graph *graph,
                                                      rn_parameter *out_values,
                                                      ration_error *error);

#endif

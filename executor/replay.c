/* SPDX-License-Identifier: Apache-2.0
 *
 * One query of a replay from plan to closed pool, and the figures over many. */
#include "executor/replay.h"

ration_status rn_replay_figures_open(const rn_workload *workload, rn_replay_figures *out_figures)
{
    memset(out_figures, 0, sizeof *out_figures);
    out_figures->classes = rn_heap_allocate(workload->query_count * sizeof *out_figures->classes);
    if (out_figures->classes == NULL) {
        return RATION_NO_MEMORY;
    }
    out_figures->class_count = workload->query_count;
    out_figures->refused_number = -1;
    out_figures->failed_number = -1;
    return RATION_OK;
}

void rn_replay_figures_close(rn_replay_figures *figures)
{
    rn_heap_free(figures->classes, figures->class_count * sizeof *figures->classes);
    figures->classes = NULL;
    figures->class_count = 0;
}

static bool is_earlier(int64_t number, int64_t first)
{
    return first < 0 || number < first;
}

void rn_replay_figures_add(rn_replay_figures *figures, const rn_arrival *arrival,
                           const rn_outcome *outcome, int64_t lag_us, int64_t latency_us)
{
    rn_class_figures *to = &figures->classes[arrival->query];
    to->arrived += 1;
    to->by_status[outcome->status] += 1;
    to->peak_bytes = RN_MAX(to->peak_bytes, outcome->peak_bytes);
    rn_histogram_add(&figures->lag_us, lag_us);
    if (outcome->status == RATION_OK) {
        to->rows += outcome->rows;
        rn_histogram_add(&to->latency_us, latency_us);
        figures->checksum += rn_hash_word(outcome->checksum, (uint64_t)arrival->number);
    } else if (outcome->refused) {
        if (is_earlier(arrival->number, figures->refused_number)) {
            figures->refused_number = arrival->number;
            figures->first_refusal = outcome->refusal;
        }
    } else if (is_earlier(arrival->number, figures->failed_number)) {
        figures->failed_number = arrival->number;
        figures->first_error = outcome->error;
    }
}

uint64_t rn_batch_checksum(const rn_batch *batch)
{
    uint64_t sum = 0;
    for (uint32_t row = 0; row < batch->rows; row++) {
        uint64_t hash = RN_HASH_SEED;
        for (uint32_t c = 0; c < batch->column_count; c++) {
            const rn_column *column = &batch->columns[c];
            hash = rn_column_valid(column, row)
                       ? rn_value_hash(column->type, hash, rn_column_at(column, row))
                       : rn_hash_word(hash, RN_HASH_NULL);
        }
        sum += hash;
    }
    return sum;
}

static ration_status build_plan(const rn_replay *replay, const rn_arrival *arrival,
                                rn_plan **out_plan, ration_error *error)
{
    const rn_workload_query *query = &replay->workload->queries[arrival->query];
    size_t bytes = query->parameter_count * sizeof(rn_parameter);
    rn_parameter *values = rn_heap_allocate(RN_MAX(bytes, 1u));
    if (values == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for parameters");
    }
    rn_parameters given = {query->parameter_count, values};
    ration_status status =
        rn_workload_parameters(replay->workload, arrival, replay->graph, values, error);
    if (status == RATION_OK) {
        status = rn_plan_build(&replay->workload->plan_files[query->file], query->plan, &given,
                               replay->graph, replay->classes, out_plan, error);
    }
    rn_heap_free(values, RN_MAX(bytes, 1u));
    return status;
}

/* The first recorded arrival that may run this query; NULL when there is none. */
static const rn_recorded *find_recorded(const rn_workload *workload, uint32_t query)
{
    for (int64_t i = 0; i < workload->recorded_count; i++) {
        uint32_t recorded = workload->recorded[i].query;
        if (recorded == query || recorded == UINT32_MAX) {
            return &workload->recorded[i];
        }
    }
    return NULL;
}

/* Is its group there? Tells at its place what opening it would tell later. */
static ration_status check_group(const rn_replay *replay, const rn_workload_query *what,
                                 ration_error *error)
{
    ration_error found;
    if (what->group == NULL ||
        rn_governor_group(replay->governor, what->group, &found) == RATION_OK) {
        return RATION_OK;
    }
    return rn_error_at(error, RATION_PLAN, replay->workload->path, what->line, what->column,
                       found.hint, "%s", found.message);
}

ration_status rn_replay_check(const rn_replay *replay, ration_error *error)
{
    const rn_workload *workload = replay->workload;
    for (uint32_t i = 0; i < workload->query_count; i++) {
        rn_arrival arrival = {.query = i, .recorded = find_recorded(workload, i)};
        if (workload->process == RN_PROCESS_TRACE && arrival.recorded == NULL) {
            continue; /* the trace never runs it */
        }
        rn_plan *plan;
        RN_TRY(build_plan(replay, &arrival, &plan, error));
        rn_plan_close(plan);
        RN_TRY(check_group(replay, &workload->queries[i], error));
    }
    return RATION_OK;
}

static ration_status drain(rn_execution *execution, rn_outcome *outcome)
{
    const rn_batch *batch;
    do {
        RN_TRY(rn_execution_next(execution, &batch));
        outcome->rows += batch->rows;
        outcome->checksum += rn_batch_checksum(batch);
    } while (batch->rows > 0);
    return RATION_OK;
}

static void set_running(pthread_mutex_t *lock, ration_query **running, ration_query *query)
{
    if (running != NULL) {
        pthread_mutex_lock(lock);
        *running = query;
        pthread_mutex_unlock(lock);
    }
}

static void run_query(ration_query *query, const rn_plan *plan, rn_outcome *outcome)
{
    rn_execution *execution;
    outcome->status = rn_execution_open(query, plan, false, &execution);
    if (outcome->status == RATION_OK) {
        outcome->status = drain(execution, outcome);
        rn_execution_close(execution);
    }
    if (outcome->status != RATION_OK) {
        outcome->refused =
            rn_is_refusal(outcome->status) && ration_query_refusal(query, &outcome->refusal);
        if (!outcome->refused && !rn_query_error(query, &outcome->error)) {
            rn_error_set(&outcome->error, outcome->status, "", "%s",
                         ration_status_sentence(outcome->status));
        }
    }
    outcome->peak_bytes = rn_query_peak(query);
}

void rn_replay_run(const rn_replay *replay, const rn_arrival *arrival, pthread_mutex_t *lock,
                   ration_query **running, rn_outcome *out_outcome)
{
    memset(out_outcome, 0, sizeof *out_outcome);
    const rn_workload_query *what = &replay->workload->queries[arrival->query];
    char name[RN_NAME_BYTES];
    rn_text text = rn_text_over(name, sizeof name);
    rn_text_format(&text, "%.40s#%lld", what->name, (long long)arrival->number);
    rn_plan *plan;
    out_outcome->status = build_plan(replay, arrival, &plan, &out_outcome->error);
    if (out_outcome->status != RATION_OK) {
        return;
    }
    ration_query_options options = {.size = sizeof options,
                                    .name = name,
                                    .limit_bytes = what->limit_bytes,
                                    .rows_max = what->rows_max,
                                    .time_ms_max = what->time_ms_max,
                                    .group = what->group};
    ration_query *query;
    out_outcome->status =
        ration_query_open(replay->governor, &options, &query, &out_outcome->error);
    if (out_outcome->status == RATION_OK) {
        set_running(lock, running, query);
        run_query(query, plan, out_outcome);
        set_running(lock, running, NULL);
        ration_query_close(query);
    }
    rn_plan_close(plan);
}

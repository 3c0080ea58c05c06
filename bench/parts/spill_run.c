/* SPDX-License-Identifier: Apache-2.0
 *
 * One shape in this process, one worker; its rows are folded as they come. A shape that rescans
 * holds its result instead, as a host does that reads it again, and reads it twice. */
#include "bench/spill.h"
#include "executor/execution.h"
#include "iterators/held.h"

/* Pulls batches until the end: into `held`, or else into `fold`. */
static ration_status pull(rn_execution *execution, spill_fold *fold, rn_held *held)
{
    const rn_batch *batch;
    RN_TRY(rn_execution_next(execution, &batch));
    while (batch->rows > 0) {
        if (held != NULL) {
            RN_TRY(rn_held_add(held, batch));
        } else {
            spill_fold_batch(fold, batch);
        }
        RN_TRY(rn_execution_next(execution, &batch));
    }
    return RATION_OK;
}

static ration_status scan(rn_held_scan *scan, spill_fold *fold)
{
    const rn_batch *batch;
    rn_held_scan_restart(scan);
    RN_TRY(rn_held_scan_next(scan, &batch));
    while (batch->rows > 0) {
        spill_fold_batch(fold, batch);
        RN_TRY(rn_held_scan_next(scan, &batch));
    }
    return RATION_OK;
}

/* Rows that differ the second time are told as rows out of order. */
static ration_status rescan(rn_execution *execution, rn_held *held, spill_fold *fold)
{
    rn_worker *worker = &execution->worker;
    rn_held_scan place = {.held = NULL};
    RN_TRY(pull(execution, fold, held));
    ration_status status =
        rn_held_scan_open(held, worker->context, worker->slot, worker->batch_rows, false, &place);
    if (status == RATION_OK) {
        status = scan(&place, fold);
    }
    spill_fold first = *fold;
    if (status == RATION_OK) {
        status = scan(&place, fold);
    }
    fold->sorted = fold->rows == 2 * first.rows && fold->hash == 2 * first.hash;
    rn_held_scan_close(&place);
    return status;
}

/* The plan has nothing that spills, so the held set is given a file of its own. */
static ration_status hold(ration_query *query, rn_execution *execution, spill_fold *fold)
{
    rn_worker *worker = &execution->worker;
    rn_held held = {.context = NULL};
    rn_spill_file *file;
    RN_TRY(rn_spill_file_open(query->governor->volume, &query->spill_quota, (uint64_t)query->number,
                              &file));
    ration_status status = rn_held_open(&execution->plan->root->output, worker->context,
                                        worker->slot, worker->max_row_bytes, file, &held);
    if (status == RATION_OK) {
        status = rescan(execution, &held, fold);
        rn_held_close(&held);
    }
    rn_spill_file_close(file);
    return status;
}

ration_status spill_execute(ration_query *query, const rn_plan *plan, bool rescans,
                            spill_fold *fold)
{
    rn_execution *execution;
    RN_TRY(rn_execution_open(query, plan, false, &execution));
    ration_status status = rescans ? hold(query, execution, fold) : pull(execution, fold, NULL);
    rn_execution_close(execution);
    return status;
}

void spill_explain(ration_query *query)
{
    ration_refusal refusal;
    ration_error error;
    char text[1600];
    if (ration_query_refusal(query, &refusal)) {
        (void)ration_refusal_format(&refusal, text, sizeof text);
        fprintf(stderr, "%s\n", text);
    } else if (rn_query_error(query, &error)) {
        (void)ration_error_format(&error, text, sizeof text);
        fprintf(stderr, "%s\n", text);
    }
}

static void run_query(spill_world *world, spill_result *out_result)
{
    spill_fold fold;
    ration_refusal refusal;
    spill_fold_begin(&fold, world->task->shape->ordered);
    int64_t start_ns = rn_clock_ns(), start_cpu_ns = spill_cpu_ns();
    ration_query *query = spill_query_open(world);
    ration_status status = spill_execute(query, world->plan, world->task->shape->rescans, &fold);
    out_result->wall_ns = rn_clock_ns() - start_ns;
    out_result->cpu_ns = spill_cpu_ns() - start_cpu_ns;
    out_result->held_bytes = rn_query_peak(query);
    out_result->spilled_bytes = rn_load(&query->spill_quota.total_bytes);
    out_result->rows = fold.rows;
    out_result->hash = fold.hash;
    out_result->sorted = fold.sorted;
    (void)snprintf(out_result->status, sizeof out_result->status, "%s", ration_status_name(status));
    if (status == RATION_MINIMUM_ABOVE_LIMIT && ration_query_refusal(query, &refusal)) {
        out_result->minimum_bytes = refusal.key_bytes;
    } else if (status != RATION_OK) {
        spill_explain(query);
    }
    ration_query_close(query);
}

void spill_run(const spill_task *task, spill_result *out_result)
{
    spill_world *world = spill_world_open(task, spill_scaled(task->shape->rows, task->scale),
                                          spill_scaled(task->shape->groups, task->scale));
    spill_result result = {.limit_bytes = task->limit_bytes,
                           .start_bytes = world->start_bytes,
                           .data_bytes = world->data_bytes};
    int64_t unused;
    run_query(world, &result);
    spill_world_close(world);
    rn_probe_self("", &unused, &result.peak_bytes);
    *out_result = result;
}

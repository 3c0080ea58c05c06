/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a plan for one worker: one operator per plan node, opened inputs first, pulled from the
 * root, closed root first.
 *
 * Invariants: everything an operator holds is in op->context or below, and that is below
 * worker.context; so closing deletes one tree and the slot is back to what it was. A failed open
 * closes what was opened. After an error or the end, next keeps answering the same.
 *
 * When profiling, each operator's `next` is a wrapper that reads the clock and the peak
 * (PostgreSQL's executor swaps the pointer in the same way); otherwise the dispatcher calls the
 * operator directly.
 */
#include "executor/execution.h"

#include "executor/ask.h"

static ration_status profile_next(rn_operator *op, const rn_batch **out_batch)
{
    int64_t start_ns = rn_clock_ns();
    ration_status status = op->class_->next(op, out_batch);
    op->figures.time_ns += rn_clock_ns() - start_ns;
    int64_t held_bytes = ration_context_bytes(op->context, true);
    op->figures.peak_bytes = RN_MAX(op->figures.peak_bytes, held_bytes);
    return status;
}

/* The sink stands above the root, so that the root's batches pass the dispatcher too. */
static const rn_operator_class sink_class = {.name = "result", .sentence = "takes the rows"};

static const rn_plan_node sink_node = {.class_ = &sink_class, .file = "", .site = "result"};

static ration_status open_operator(rn_execution *execution, uint32_t number, bool profile)
{
    const rn_plan_node *node = execution->plan->nodes[number];
    rn_operator *op = &execution->operators[number];
    rn_worker *worker = &execution->worker;
    op->class_ = node->class_;
    op->node = node;
    op->worker = worker;
    op->next = profile ? profile_next : node->class_->next;
    op->input_count = node->input_count;
    RN_TRY(ration_context_create(worker->context, worker->slot, RATION_CONTEXT_BUMP, node->site,
                                 &op->context));
    size_t columns = node->output.count * sizeof(rn_column);
    op->batch.columns = ration_context_allocate_zero(op->context, columns);
    op->state = ration_context_allocate_zero(op->context, node->class_->state_bytes);
    op->shared = ration_context_allocate_zero(op->context, node->class_->shared_bytes);
    op->inputs = ration_context_allocate(op->context, node->input_count * sizeof(rn_operator *));
    if (op->batch.columns == NULL || op->state == NULL || op->shared == NULL ||
        op->inputs == NULL) {
        return ration_context_status(op->context);
    }
    op->batch.column_count = node->output.count;
    for (uint32_t i = 0; i < node->input_count; i++) {
        rn_assert(node->inputs[i]->number < number);
        op->inputs[i] = &execution->operators[node->inputs[i]->number];
    }
    return node->class_->open(op);
}

/* Opens all, inputs first; `*out_last` is the one that failed. */
static ration_status open_all(rn_execution *execution, bool profile, rn_operator **out_last)
{
    rn_worker *worker = &execution->worker;
    *out_last = &execution->sink;
    RN_TRY(
        ration_context_create(NULL, worker->slot, RATION_CONTEXT_BUMP, "worker", &worker->context));
    for (uint32_t i = 0; i < execution->plan->node_count; i++) {
        *out_last = &execution->operators[i];
        RN_TRY(open_operator(execution, i, profile));
    }
    return RATION_OK;
}

static void close_all(rn_execution *execution)
{
    for (uint32_t i = execution->plan->node_count; i-- > 0;) {
        rn_operator *op = &execution->operators[i];
        if (op->state != NULL && op->class_->close != NULL) {
            op->class_->close(op);
        }
    }
    ration_context_delete(execution->worker.context);
    execution->worker.context = NULL;
    memset(execution->operators, 0, execution->plan->node_count * sizeof(rn_operator));
}

/* An operator draws what it needs to open without a settle before. When that is refused, everything
 * is closed, as much as was needed until then is asked for, and the next attempt has it ahead. */
static ration_status open_patiently(rn_execution *execution, bool profile)
{
    rn_slot *slot = rn_slot_of(execution->worker.slot);
    for (;;) {
        rn_operator *last;
        slot->patient = true;
        ration_status status = open_all(execution, profile, &last);
        slot->patient = false;
        if (status == RATION_OK) {
            return RATION_OK;
        }
        if (!rn_is_refusal(status)) {
            return rn_operator_failed(last, status);
        }
        rn_operator asker = {.worker = &execution->worker, .node = last->node};
        close_all(execution);
        RN_TRY(rn_settle_ask(&asker, slot->refused_bytes));
    }
}

static void set_worker(rn_execution *execution, ration_query *query, ration_slot *slot)
{
    const ration_limits *limits = &query->governor->limits;
    rn_worker *worker = &execution->worker;
    worker->query = query;
    worker->slot = slot;
    worker->execution = execution;
    worker->rows_left = 0;
    worker->settles_to_clock = RN_SETTLES_TO_CLOCK;
    worker->batch_rows = (uint32_t)RN_MIN((int64_t)RN_BATCH_ROWS_MAX, limits->check_interval);
    worker->max_row_bytes = limits->max_row_bytes;
}

ration_status rn_execution_open(ration_query *query, const rn_plan *plan, bool profile,
                                rn_execution **out_execution)
{
    ration_slot *slot;
    RN_TRY(ration_query_slot(query, &slot));
    size_t bytes = sizeof(rn_execution) + plan->node_count * sizeof(rn_operator);
    rn_execution *execution = rn_heap_allocate(bytes);
    if (execution == NULL) {
        return RATION_NO_MEMORY;
    }
    execution->plan = plan;
    execution->operators = (rn_operator *)(execution + 1);
    set_worker(execution, query, slot);
    execution->sink.class_ = &sink_class;
    execution->sink.node = &sink_node;
    execution->sink.worker = &execution->worker;
    ration_status status = open_patiently(execution, profile);
    if (status != RATION_OK) {
        rn_execution_close(execution);
        return status;
    }
    rn_execution_publish(execution); /* who can spill is known before it grows */
    *out_execution = execution;
    return RATION_OK;
}

ration_status rn_execution_next(rn_execution *execution, const rn_batch **out_batch)
{
    ration_status failed = ration_query_status(execution->worker.query);
    if (RN_UNLIKELY(failed != RATION_OK)) {
        return failed;
    }
    rn_operator *root = &execution->operators[execution->plan->root->number];
    return rn_next(&execution->sink, root, out_batch);
}

static int64_t count_held(const rn_operator *op)
{
    return op->context == NULL ? 0 : ration_context_bytes(op->context, true);
}

void rn_execution_publish(rn_execution *execution)
{
    const char *site = "";
    int64_t most = 0;
    int64_t spillable = 0;
    for (uint32_t i = 0; i < execution->plan->node_count; i++) {
        const rn_operator *op = &execution->operators[i];
        int64_t bytes = count_held(op);
        if (bytes > most) {
            most = bytes;
            site = op->node->site;
        }
        spillable += bytes > 0 && op->class_->spill != NULL ? bytes : 0;
    }
    rn_query_publish(execution->worker.query, site, most);
    rn_ask_can_spill(execution->worker.query, spillable);
}

ration_status rn_execution_spill(rn_execution *execution, int64_t want_bytes)
{
    rn_operator *largest = NULL;
    for (uint32_t i = 0; i < execution->plan->node_count; i++) {
        rn_operator *op = &execution->operators[i];
        bool spills = count_held(op) > 0 && op->class_->spill != NULL;
        if (spills && (largest == NULL || count_held(op) > count_held(largest))) {
            largest = op;
        }
    }
    return largest == NULL ? RATION_OK : largest->class_->spill(largest, want_bytes);
}

void rn_execution_close(rn_execution *execution)
{
    if (execution == NULL) {
        return;
    }
    rn_worker *worker = &execution->worker;
    ration_status returned = rn_slot_prepay(rn_slot_of(worker->slot), 0);
    (void)rn_always(returned == RATION_OK);
    close_all(execution);
    if (rn_ask_wants(worker->query) != 0) { /* all it could give, though the query stays open */
        rn_ask_gave(worker->query);
    }
    rn_heap_free(execution, sizeof *execution + execution->plan->node_count * sizeof(rn_operator));
}

rn_operator_figures rn_execution_figures(const rn_execution *execution, uint32_t node)
{
    rn_assert(node < execution->plan->node_count);
    return execution->operators[node].figures;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a plan for one worker: one operator per plan node, opened inputs first, pulled from the
 * root, closed root first.
 *
 * Invariants: everything an operator holds is in op->context or below, and that is below
 * worker.context; so closing deletes one tree and the slot is back to what it was. A failed open
 * closes what was opened. After an error or the end, next keeps answering the same. An operator
 * that has given its last row holds nothing more: so only operators of one phase hold memory
 * together, which is what the minimum of a plan counts (plan_minimum.c).
 *
 * Spilling: the operator that can give most at once does, then the next, until enough came free.
 * What an operator could give only when its batch in hand is done with is asked for when it is
 * called again (rn_settle_slow).
 *
 * When profiling, each operator's `next` is a wrapper that reads the clock and the peak
 * (PostgreSQL's executor swaps the pointer in the same way); otherwise the dispatcher calls the
 * operator directly.
 */
#include "executor/execution.h"

#include "executor/ask.h"

#ifdef RATION_HARD
#define BATCH_ROWS INT64_C(61)
#else
#define BATCH_ROWS ((int64_t)RN_BATCH_ROWS_MAX)
#endif

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
    if (node->class_->minimum != NULL) {
        rn_sizes sizes = rn_worker_sizes(worker);
        rn_minimum minimum = node->class_->minimum(node, &sizes);
        op->minimum_bytes = RN_MAX(minimum.filling_bytes, minimum.emitting_bytes);
    }
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

static ration_status open_spilling(rn_execution *execution)
{
    rn_worker *worker = &execution->worker;
    ration_query *query = worker->query;
    if (!rn_plan_can_spill(execution->plan)) {
        return RATION_OK;
    }
    worker->spill_buffer = ration_context_allocate(worker->context, RN_RUN_BLOCK_BYTES);
    if (worker->spill_buffer == NULL) {
        return ration_context_status(worker->context);
    }
    return rn_spill_file_open(query->governor->volume, &query->spill_quota, (uint64_t)query->number,
                              &worker->spill_file);
}

/* Opens all, inputs first; `*out_last` is the one that failed. */
static ration_status open_all(rn_execution *execution, bool profile, rn_operator **out_last)
{
    rn_worker *worker = &execution->worker;
    *out_last = &execution->sink;
    RN_TRY(
        ration_context_create(NULL, worker->slot, RATION_CONTEXT_BUMP, "worker", &worker->context));
    RN_TRY(open_spilling(execution));
    for (uint32_t i = 0; i < execution->plan->node_count; i++) {
        *out_last = &execution->operators[i];
        RN_TRY(open_operator(execution, i, profile));
    }
    return RATION_OK;
}

static void close_operator(rn_operator *op)
{
    if (op->state != NULL && op->class_->close != NULL) {
        op->class_->close(op);
    }
    op->state = NULL;
}

static ration_status give_end(rn_operator *op, const rn_batch **out_batch)
{
    *out_batch = &op->batch;
    return RATION_OK;
}

void rn_operator_ended(rn_operator *op)
{
    if (op->next == give_end) {
        return;
    }
    for (uint32_t i = 0; i < op->input_count; i++) {
        rn_operator_ended(op->inputs[i]);
    }
    close_operator(op);
    ration_context_delete(op->context);
    op->context = NULL;
    op->inputs = NULL;
    op->input_count = 0;
    op->batch = (rn_batch){0, 0, NULL};
    op->next = give_end;
}

static void close_all(rn_execution *execution)
{
    rn_worker *worker = &execution->worker;
    for (uint32_t i = execution->plan->node_count; i-- > 0;) {
        close_operator(&execution->operators[i]);
    }
    ration_context_delete(worker->context);
    worker->context = NULL;
    worker->spill_buffer = NULL;
    rn_spill_file_close(worker->spill_file);
    worker->spill_file = NULL;
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
    const ration_limits *limits = &query->settings->limits;
    rn_worker *worker = &execution->worker;
    worker->query = query;
    worker->slot = slot;
    worker->execution = execution;
    worker->rows_left = 0;
    worker->settles_to_clock = RN_SETTLES_TO_CLOCK;
    worker->batch_rows = (uint32_t)RN_MIN(BATCH_ROWS, limits->check_interval);
    worker->max_row_bytes = limits->max_row_bytes;
}

/* The minimum of a worker is claimed for it; those of one query's workers add up. */
static ration_status claim_minimum(rn_execution *execution)
{
#ifdef RATION_UNGOVERNED
    (void)execution;
    return RATION_OK;
#else
    const rn_worker *worker = &execution->worker;
    rn_sizes sizes = rn_worker_sizes(worker);
    int64_t minimum = rn_plan_minimum(execution->plan, &sizes);
    int64_t before = rn_load(&worker->query->pool->claim);
    RN_TRY(ration_query_claim(worker->query, rn_add(before, minimum), "plan"));
    execution->claimed_bytes = minimum;
    return RATION_OK;
#endif
}

static void return_minimum(const rn_execution *execution)
{
    ration_query *query = execution->worker.query;
    int64_t rest = rn_load(&query->pool->claim) - execution->claimed_bytes;
    (void)rn_always(execution->claimed_bytes == 0 ||
                    ration_query_claim(query, rest, "plan") == RATION_OK);
}

static int64_t count_all_spillable(void *state)
{
    rn_spillable all = rn_execution_spillable(state);
    return rn_add(all.now_bytes, all.later_bytes);
}

static ration_status spill_and_publish(void *state, int64_t want_bytes)
{
    ration_status status = rn_execution_spill(state, want_bytes);
    rn_execution_publish(state);
    return status;
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
    ration_status status = claim_minimum(execution);
    if (status == RATION_OK) {
        status = open_patiently(execution, profile);
    }
    if (status != RATION_OK) {
        rn_execution_close(execution);
        return status;
    }
    execution->spiller = (ration_spiller){execution, count_all_spillable, spill_and_publish};
    if (rn_plan_can_spill(plan)) { /* else it must not count as one that might give */
        ration_slot_register_spill(slot, &execution->spiller);
    }
    rn_execution_publish(execution); /* who can spill is known before it grows */
    rn_slot_leave(rn_slot_of(slot));
    *out_execution = execution;
    return RATION_OK;
}

ration_status rn_execution_next(rn_execution *execution, const rn_batch **out_batch)
{
    ration_status failed = ration_query_status(execution->worker.query);
    if (RN_UNLIKELY(failed != RATION_OK)) {
        return failed;
    }
    rn_slot *slot = rn_slot_of(execution->worker.slot);
    rn_slot_enter(slot);
    rn_operator *root = &execution->operators[execution->plan->root->number];
    ration_status status = rn_next(&execution->sink, root, out_batch);
    rn_slot_leave(slot);
    return status;
}

static int64_t count_held(const rn_operator *op)
{
    return op->context == NULL ? 0 : ration_context_bytes(op->context, true);
}

static rn_spillable count_spillable(const rn_operator *op)
{
    static const rn_spillable nothing = {0, 0};
    return op->state == NULL || op->class_->spillable == NULL ? nothing : op->class_->spillable(op);
}

rn_spillable rn_execution_spillable(const rn_execution *execution)
{
    rn_spillable all = {0, 0};
    for (uint32_t i = 0; i < execution->plan->node_count; i++) {
        rn_spillable one = count_spillable(&execution->operators[i]);
        all.now_bytes += one.now_bytes;
        all.later_bytes += one.later_bytes;
    }
    return all;
}

void rn_execution_publish(rn_execution *execution)
{
    const char *site = "";
    int64_t most = 0;
    for (uint32_t i = 0; i < execution->plan->node_count; i++) {
        const rn_operator *op = &execution->operators[i];
        int64_t bytes = count_held(op);
        if (bytes > most) {
            most = bytes;
            site = op->node->site;
        }
    }
    rn_spillable spillable = rn_execution_spillable(execution);
    rn_query_publish(execution->worker.query, site, most);
    rn_ask_can_spill(rn_slot_of(execution->worker.slot),
                     rn_add(spillable.now_bytes, spillable.later_bytes));
}

int64_t rn_execution_unspent(const rn_execution *execution)
{
    int64_t unspent = 0;
    for (uint32_t i = 0; i < execution->plan->node_count; i++) {
        const rn_operator *op = &execution->operators[i];
        if (op->context != NULL) {
            unspent += RN_MAX(op->minimum_bytes - count_held(op), 0);
        }
    }
    return unspent;
}

/* The operator with most to give at once that has not been asked in this round. */
static rn_operator *find_giver(rn_execution *execution, uint64_t round)
{
    rn_operator *largest = NULL;
    int64_t most = 0;
    for (uint32_t i = 0; i < execution->plan->node_count; i++) {
        rn_operator *op = &execution->operators[i];
        int64_t bytes = op->spill_round == round ? 0 : count_spillable(op).now_bytes;
        if (bytes > most) {
            most = bytes;
            largest = op;
        }
    }
    return largest;
}

ration_status rn_execution_spill(rn_execution *execution, int64_t want_bytes)
{
    uint64_t round = ++execution->spill_rounds;
    while (want_bytes > 0) {
        rn_operator *op = find_giver(execution, round);
        if (op == NULL) {
            return RATION_OK;
        }
        int64_t held_bytes = count_held(op);
        op->spill_round = round;
        op->spills += 1;
        RN_TRY(op->class_->spill(op, want_bytes));
        want_bytes -= held_bytes - count_held(op);
    }
    return RATION_OK;
}

void rn_execution_close(rn_execution *execution)
{
    if (execution == NULL) {
        return;
    }
    rn_worker *worker = &execution->worker;
    rn_slot_enter(rn_slot_of(worker->slot));
    ration_status returned = rn_slot_prepay(rn_slot_of(worker->slot), 0);
    (void)rn_always(returned == RATION_OK);
    close_all(execution);
    if (rn_ask_wants(worker->query) != 0) { /* all it could give, though the query stays open */
        rn_ask_gave(worker->query);
    }
    ration_slot_register_spill(worker->slot, NULL);
    return_minimum(execution);
    rn_heap_free(execution, sizeof *execution + execution->plan->node_count * sizeof(rn_operator));
}

rn_operator_figures rn_execution_figures(const rn_execution *execution, uint32_t node)
{
    rn_assert(node < execution->plan->node_count);
    return execution->operators[node].figures;
}

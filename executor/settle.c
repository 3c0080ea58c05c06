/* SPDX-License-Identifier: Apache-2.0
 *
 * The slow halves of the dispatcher: what happens at a settle now and then, and how a failure is
 * recorded.
 *
 * Row budget: the query holds what no worker has taken yet; a worker takes portions, so that the
 * hot path counts in a plain variable. One worker may therefore be refused while another still has
 * rows left of its portion: the budget is kept to within workers x RN_ROWS_PORTION below, never
 * above.
 */
#include <stdarg.h>

#include "executor/ask.h"
#include "executor/execution.h"

#define RN_ROWS_PORTION 65536

static bool refill_rows(rn_worker *worker)
{
    ration_query *query = worker->query;
    int64_t left = rn_load(&query->rows_left);
    if (left == INT64_MAX) {
        worker->rows_left = INT64_MAX;
        return true;
    }
    int64_t missing = -worker->rows_left;
    int64_t portion;
    do {
        if (left < missing) {
            return false;
        }
        portion = RN_MIN(left, RN_MAX(missing, RN_ROWS_PORTION));
    } while (!rn_compare_swap(&query->rows_left, &left, left - portion));
    worker->rows_left += portion;
    return true;
}

/* Answers for the query, whether or not something could be written out. */
static ration_status give(rn_worker *worker, int64_t want_bytes)
{
    ration_status status = rn_execution_spill(worker->execution, want_bytes);
    rn_execution_publish(worker->execution);
    rn_ask_gave(worker->query);
    return status;
}

static ration_status wait_in_queue(const rn_worker *worker, rn_slot *slot, int64_t until_ns)
{
    int64_t deadline_ns = worker->query->deadline_ns;
    if (rn_ticket_wait(slot, RN_MIN(until_ns, deadline_ns)) != RN_TICKET_WAITING) {
        return RATION_OK;
    }
    ration_status status = deadline_ns <= until_ns ? RATION_DEADLINE : RATION_QUEUE_TIMEOUT;
    return rn_ask_withdraw(slot, status) ? status : RATION_OK;
}

ration_status rn_settle_ask(rn_operator *op, int64_t bound_bytes)
{
    rn_worker *worker = op->worker;
    rn_slot *slot = rn_slot_of(worker->slot);
    int64_t wait_ms = worker->query->governor->limits.query_wait_ms_max;
    int64_t until_ns = rn_add(rn_clock_ns(), rn_multiply(wait_ms, 1000000));
    rn_execution_publish(worker->execution);
    for (;;) {
        rn_reply asked = rn_ask(slot, bound_bytes - slot->advance_bytes, op->node->site);
        ration_status status = asked.status;
        switch (asked.answer) {
        case RN_ASK_GRANTED:
            slot->advance_bytes = bound_bytes;
            return RATION_OK;
        case RN_ASK_SPILL:
            status = give(worker, asked.want_bytes);
            break;
        case RN_ASK_WAIT:
            status = wait_in_queue(worker, slot, until_ns);
            break;
        case RN_ASK_REFUSED:
            break;
        }
        if (status != RATION_OK) {
            (void)rn_ask_withdraw(slot, status); /* else others wait behind it until it closes */
            return rn_operator_failed(op, status);
        }
    }
}

ration_status rn_settle_slow(rn_operator *op)
{
    rn_worker *worker = op->worker;
    rn_slot_expect_caller(rn_slot_of(worker->slot));
    int64_t want_bytes = rn_ask_wants(worker->query);
    if (want_bytes != 0) {
        ration_status given = give(worker, want_bytes);
        if (given != RATION_OK) {
            return rn_operator_failed(op, given);
        }
    }
    if (worker->rows_left < 0 && !refill_rows(worker)) {
        return rn_operator_failed(op, RATION_ROW_BUDGET);
    }
    if (worker->settles_to_clock == 0) {
        rn_execution_publish(worker->execution);
    }
    worker->settles_to_clock = RN_SETTLES_TO_CLOCK;
    ration_status status = rn_query_poll(worker->query);
    return status == RATION_OK ? RATION_OK : rn_operator_failed(op, status);
}

ration_status rn_operator_failed(rn_operator *op, ration_status status)
{
    rn_worker *worker = op->worker;
    int64_t sticky = rn_load_acquire(&worker->query->status);
    if (sticky != RATION_OK) {
        return sticky == RATION_VICTIM ? RATION_VICTIM : status;
    }
    rn_execution_publish(worker->execution);
    (void)rn_query_fail(worker->query, rn_slot_of(worker->slot), op->node->site, status, NULL);
    return status;
}

ration_status rn_operator_error(rn_operator *op, ration_status status, const char *hint,
                                const char *format, ...)
{
    char message[sizeof((ration_error *)NULL)->message];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    ration_error error;
    (void)rn_error_at(&error, status, op->node->file, op->node->line, op->node->column, hint,
                      "%s: %s", op->node->class_->name, message);
    (void)rn_query_fail(op->worker->query, rn_slot_of(op->worker->slot), op->node->site, status,
                        &error);
    return status;
}

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
#include "executor/execution.h"

#include <stdarg.h>

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

ration_status rn_settle_slow(rn_operator *op)
{
    rn_worker *worker = op->worker;
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
    if (rn_load(&worker->query->status) != RATION_OK) {
        return status;
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

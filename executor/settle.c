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

ration_status rn_settle_ask(rn_operator *op, int64_t bound_bytes)
{
    rn_worker *worker = op->worker;
    rn_slot *slot = rn_slot_of(worker->slot);
    int64_t wait_ms = worker->query->settings->limits.query_wait_ms_max;
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
            status = rn_give(slot, asked.want_bytes);
            break;
        case RN_ASK_WAIT:
            status = rn_ask_wait(slot, until_ns);
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

ration_status rn_settle_between(rn_operator *op, int64_t at_least_bytes, int64_t up_to_bytes,
                                int64_t *out_bytes)
{
    ration_slot *slot = op->worker->slot;
    int64_t more_bytes = 0;
    RN_TRY(rn_settle(op, 0, at_least_bytes));
    if (up_to_bytes > at_least_bytes) {
        int64_t unspent = rn_execution_unspent(op->worker->execution);
        RN_TRY(ration_slot_try_charge_between(
            slot, 0, rn_add(up_to_bytes - at_least_bytes, unspent), &more_bytes));
        ration_slot_release(slot, RN_MIN(more_bytes, unspent));
        more_bytes -= RN_MIN(more_bytes, unspent);
        rn_slot_of(slot)->advance_bytes += more_bytes;
    }
    *out_bytes = at_least_bytes + more_bytes;
    return RATION_OK;
}

/* Is all that the query could give in the hands of a consumer? Then it is given when that is done
 * with. */
static bool gives_later(const rn_worker *worker)
{
    rn_spillable spillable = rn_execution_spillable(worker->execution);
    return spillable.now_bytes == 0 && spillable.later_bytes > 0;
}

#ifdef RATION_HARD
#define HARD_SPILLS 64u /* at so many settles in a row, then at every so many */

/* Everything spills, whether or not somebody needs the bytes. */
static ration_status spill_all(rn_worker *worker)
{
    uint64_t settles = ++worker->execution->hard_settles;
    bool now = settles < HARD_SPILLS || settles % HARD_SPILLS == 0;
    return now ? rn_execution_spill(worker->execution, INT64_MAX) : RATION_OK;
}
#endif

ration_status rn_settle_slow(rn_operator *op)
{
    rn_worker *worker = op->worker;
    rn_slot_expect_caller(rn_slot_of(worker->slot));
    int64_t want_bytes = rn_ask_wants(worker->query);
    if (want_bytes != 0 && !gives_later(worker)) {
        ration_status given = rn_give(rn_slot_of(worker->slot), want_bytes);
        if (given != RATION_OK) {
            return rn_operator_failed(op, given);
        }
    }
#ifdef RATION_HARD
    ration_status spilled = spill_all(worker);
    if (spilled != RATION_OK) {
        return rn_operator_failed(op, spilled);
    }
#endif
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

static bool is_of_spilling(ration_status status)
{
    return status == RATION_SPILL_QUOTA || status == RATION_SPILL_NO_SPACE ||
           status == RATION_SPILL_IO || status == RATION_SPILL_CORRUPT;
}

ration_status rn_operator_failed(rn_operator *op, ration_status status)
{
    rn_worker *worker = op->worker;
    int64_t sticky = rn_load_acquire(&worker->query->status);
    if (sticky != RATION_OK) {
        return sticky == RATION_VICTIM ? RATION_VICTIM : status;
    }
    rn_execution_publish(worker->execution);
    ration_error error;
    bool told = is_of_spilling(status) && rn_spill_file_error(worker->spill_file, &error);
    (void)rn_query_fail(worker->query, rn_slot_of(worker->slot), op->node->site, status,
                        told ? &error : NULL);
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

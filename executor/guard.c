/* SPDX-License-Identifier: Apache-2.0
 *
 * Guards for hosts: begin, row, settle, hand over, end. `row` is inline in ration.h and is the
 * slot's charge itself plus a countdown.
 *
 * Every row is charged exactly when it is told, so the interval never decides about memory; it
 * bounds how late a cancel, a deadline or a row budget is seen, and how much a host lets run up
 * that tells afterwards: N rows or B bytes, whichever comes first. Each settle sets both anew:
 *
 *     B = clamp(headroom of the slot's way to the root, 1, check_bytes / 2^s)
 *     N = clamp(B / measured bytes per row, 1, check_interval / 2^s)
 *
 * (s is 0 until the host is short of memory: monitor.h) so that rows of 10 bytes and rows of 10 MB
 * are looked at with the same granularity in bytes, the first rows of a guard too, when nothing was
 * measured yet and N is check_interval: B counts down with them. Near a limit B goes to 1, and
 * every row settles; when the room comes back the next settle finds it. What passed guards since
 * the slot's last settle is carried to the next guard of the slot, so that guards shorter than an
 * interval see a cancel as soon as long ones.
 *
 *   1. rows_start - rows_left and bytes_start - bytes_left have passed and are not settled.
 *   2. Each row is taken from the row budget once: by a settle, or by the slot's next one.
 *
 * What guards hold is part of their slot's `used`. A guard that is lost to longjmp is therefore
 * swept with its slot when the query closes; no list of guards exists that could dangle.
 */
#include "executor/governor.h"
#include "memory/transfer.h"

/* -------------------------------------------------------------------------------------- interval
 */

/* An interval of the query's limits, as it is while memory is so short. Hard builds settle every
 * row. */
static int64_t shorten(const ration_query *query, int64_t interval)
{
    return RN_MAX(interval >> rn_load(&query->governor->settle_shift), 1);
}

static int64_t rows_at_most(const ration_query *query)
{
    int64_t rows = shorten(query, query->settings->limits.check_interval);
#ifdef RATION_HARD
    rows = 1;
#endif
    return rows;
}

/* The next guards of the slot start with what is found here. */
static void measure_room(rn_slot *slot)
{
    const ration_query *query = rn_slot_query(slot);
    int64_t headroom = rn_pool_headroom(rn_slot_pool(slot));
    slot->interval_bytes =
        RN_MIN(RN_MAX(headroom, 1), shorten(query, query->settings->limits.check_bytes));
}

/* Starts a countdown that is over when `rows` and `bytes`, passed before, make the interval full.
 */
static void start_interval(ration_guard *guard, int64_t rows, int64_t bytes)
{
    guard->rows_left = guard->rows_start = RN_MAX(guard->rows_interval - rows, 1);
    guard->bytes_left = guard->bytes_start = RN_MAX(guard->bytes_interval - bytes, 1);
}

/* Sets the intervals from the room there is and the width of the rows since the last settle. */
static void adapt_interval(ration_guard *guard)
{
    rn_slot *slot = rn_slot_of(guard->slot);
    int64_t rows = guard->rows_start - guard->rows_left;
    int64_t bytes = guard->bytes_start - guard->bytes_left;
    measure_room(slot);
    guard->bytes_interval = slot->interval_bytes;
    int64_t width = rows > 0 ? bytes / rows : 1;
    int64_t fitting = guard->bytes_interval / RN_MAX(width, 1);
    guard->rows_interval = RN_MIN(RN_MAX(fitting, 1), rows_at_most(rn_slot_query(slot)));
}

/* Ends the countdown sooner, without forgetting what has passed. */
static void shorten_interval(ration_guard *guard)
{
    int64_t passed = guard->bytes_start - guard->bytes_left;
    guard->bytes_interval = rn_slot_of(guard->slot)->interval_bytes;
    guard->bytes_left = RN_MIN(guard->bytes_left, guard->bytes_interval);
    guard->bytes_start = guard->bytes_left + passed;
}

/* ---------------------------------------------------------------------------------------- public
 */

void ration_guard_begin(ration_guard *guard, ration_slot *slot, const char *site)
{
    rn_slot *self = rn_slot_of(slot);
    rn_slot_expect_caller(self);
    if (self->interval_bytes == 0) {
        measure_room(self);
    }
    guard->slot = slot;
    guard->site = site;
    guard->held_bytes = 0;
    guard->rows_interval = rows_at_most(rn_slot_query(self));
    guard->bytes_interval = self->interval_bytes;
    start_interval(guard, self->rows_unsettled, self->bytes_unsettled);
}

/* Takes `rows` from the query's budget; false when it is spent. */
static bool take_rows(ration_query *query, int64_t rows)
{
    if (rn_load(&query->rows_left) == INT64_MAX) {
        return true;
    }
    return rn_fetch_add(&query->rows_left, -rows) - rows >= 0;
}

ration_status ration_guard_settle(ration_guard *guard)
{
    rn_slot *slot = rn_slot_of(guard->slot);
    ration_query *query = rn_slot_query(slot);
    rn_slot_expect_caller(slot);
    int64_t rows = slot->rows_unsettled + guard->rows_start - guard->rows_left;
    slot->rows_unsettled = 0;
    slot->bytes_unsettled = 0;
    adapt_interval(guard);
    start_interval(guard, 0, 0);
    ration_status status = take_rows(query, rows) ? rn_query_poll(query) : RATION_ROW_BUDGET;
    if (status == RATION_OK) {
        return RATION_OK;
    }
    (void)rn_query_fail(query, slot, guard->site, status, NULL);
    return status;
}

ration_status ration_guard_refused(ration_guard *guard, ration_status status, int64_t bytes)
{
    rn_slot *slot = rn_slot_of(guard->slot);
    rn_slot_expect_caller(slot);
    if (rn_never(bytes < 0)) {
        return RATION_INVALID_ARGUMENT;
    }
    if (rn_is_refusal(status)) {
        ration_query *query = rn_slot_query(slot);
        rn_query_note_refusal(query, slot, guard->site);
        measure_room(slot);
        shorten_interval(guard);
    }
    return status;
}

void ration_guard_end(ration_guard *guard)
{
    int64_t rows = guard->rows_start - guard->rows_left;
    int64_t bytes = guard->bytes_start - guard->bytes_left;
    if (rows == 0 && guard->held_bytes == 0) {
        return; /* ended before: its slot may be gone */
    }
    rn_slot *slot = rn_slot_of(guard->slot);
    rn_slot_expect_caller(slot);
    slot->rows_unsettled += rows;
    slot->bytes_unsettled = rn_add(slot->bytes_unsettled, bytes);
    guard->rows_start = guard->rows_left;
    guard->bytes_start = guard->bytes_left;
    ration_slot_release(guard->slot, guard->held_bytes);
    guard->held_bytes = 0;
}

/* ------------------------------------------------------------------------------------- hand over
 */

ration_status ration_guard_hand_to_pool(ration_guard *guard, int64_t bytes, ration_pool *pool)
{
#ifdef RATION_UNGOVERNED
    (void)guard, (void)bytes, (void)pool;
#else
    if (rn_never(bytes < 0 || bytes > guard->held_bytes)) {
        return RATION_INVALID_ARGUMENT;
    }
    if (bytes == 0) {
        return RATION_OK; /* it may have ended, and its slot be gone */
    }
    rn_slot *slot = rn_slot_of(guard->slot);
    rn_slot_expect_caller(slot);
    if (rn_never(!rn_slot_shares_ledger(slot, pool))) {
        return RATION_INVALID_ARGUMENT;
    }
    ration_status status = rn_slot_hand_to_pool(slot, pool, bytes);
    if (status != RATION_OK) {
        return ration_guard_refused(guard, status, bytes);
    }
    guard->held_bytes -= bytes;
#endif
    return RATION_OK;
}

ration_status ration_guard_hand_to_context(ration_guard *guard, int64_t bytes,
                                           ration_context *context)
{
    ration_status status = ration_guard_hand_to_pool(guard, bytes, rn_context_pool(context));
    if (status == RATION_OK) {
        rn_context_add_handed(context, bytes);
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Guards for hosts: begin, row, settle, end. `row` is inline in ration.h and is the slot's charge
 * itself plus a countdown.
 *
 * Every row is charged exactly when it is told, so the interval never decides about memory; it
 * bounds how late a cancel, a deadline or a row budget is seen: N rows or B bytes, whichever comes
 * first. N adapts to the width of the rows, so that rows of 10 bytes and rows of 10 MB are looked
 * at with the same granularity in bytes.
 *
 * What guards hold is part of their slot's `used`. A guard that is lost to longjmp is therefore
 * swept with its slot when the query closes; no list of guards exists that could dangle.
 */
#include "executor/governor.h"

/* Starts a countdown that is over when `rows` and `bytes`, passed before, make the interval full.
 */
static void start_interval(ration_guard *guard, int64_t rows, int64_t bytes)
{
    guard->rows_left = guard->rows_start = RN_MAX(guard->rows_interval - rows, 1);
    guard->bytes_left = guard->bytes_start = RN_MAX(guard->bytes_interval - bytes, 1);
}

void ration_guard_begin(ration_guard *guard, ration_slot *slot, const char *site)
{
    const rn_slot *self = rn_slot_of(slot);
    const ration_limits *limits = &rn_slot_query(self)->governor->limits;
    guard->slot = slot;
    guard->site = site;
    guard->held_bytes = 0;
    guard->rows_interval = limits->check_interval;
    guard->bytes_interval = limits->check_bytes;
    start_interval(guard, self->rows_unsettled, self->bytes_unsettled);
}

static void adapt_interval(ration_guard *guard, const ration_limits *limits)
{
    int64_t rows = guard->rows_start - guard->rows_left;
    int64_t bytes = guard->bytes_start - guard->bytes_left;
    if (rows > 0) {
        int64_t fitting = guard->bytes_interval / RN_MAX(bytes / rows, 1);
        guard->rows_interval = RN_MIN(RN_MAX(fitting, 1), limits->check_interval);
    }
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
    int64_t rows = slot->rows_unsettled + guard->rows_start - guard->rows_left;
    slot->rows_unsettled = 0;
    slot->bytes_unsettled = 0;
    adapt_interval(guard, &query->governor->limits);
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
    (void)bytes;
    rn_slot *slot = rn_slot_of(guard->slot);
    if (rn_is_refusal(status)) {
        rn_query_note_refusal(rn_slot_query(slot), slot, guard->site);
    }
    return status;
}

/* What this guard passed since its last settle counts for the slot's next guard, so that guards
 * shorter than an interval see a cancel as soon as long ones. */
void ration_guard_end(ration_guard *guard)
{
    int64_t rows = guard->rows_start - guard->rows_left;
    int64_t bytes = guard->bytes_start - guard->bytes_left;
    if (rows == 0 && guard->held_bytes == 0) {
        return; /* ended before: its slot may be gone */
    }
    rn_slot *slot = rn_slot_of(guard->slot);
    slot->rows_unsettled += rows;
    slot->bytes_unsettled = rn_add(slot->bytes_unsettled, bytes);
    guard->rows_start = guard->rows_left;
    guard->bytes_start = guard->bytes_left;
    ration_slot_release(guard->slot, guard->held_bytes);
    guard->held_bytes = 0;
}

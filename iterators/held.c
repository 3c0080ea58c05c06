/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows in blocks, written out and read back in the order they came; see held.h.
 *
 * Invariants
 *   1. Blocks have numbers in order; block n < spilled is the run's, the others are those of
 * `rows`.
 *   2. A parked block is in no list but its pins'; its number is below `spilled`.
 *   3. A scan that stands in memory has a pin; one that stands in the run has a buffer. Never both.
 *
 * Blocks are written from where they lie, so the writer needs no buffer but the least. Rejected: a
 * run per spill (their handles would grow with the rows), and to write a block only when nobody
 * stands in it (then a reader at the front would hold back all that is behind him). */
#include "iterators/held.h"

#include "iterators/held_index.h"
#include "iterators/minimum.h"

#define SPILL_BLOCKS_MIN 4              /* written at a time, when there are as many */
#define RELIEF_BYTES (INT64_C(1) << 20) /* the same, for hosts that were refused */

/* ------------------------------------------------------------------------------- open and close */

static ration_status open_parts(rn_held *held, ration_slot *slot, int64_t max_row_bytes)
{
    held->identity = ration_context_allocate(held->context, RN_BATCH_ROWS_MAX * sizeof(uint16_t));
    void *buffer = ration_context_allocate(held->context, RN_RUN_BLOCK_BYTES_MIN);
    if (held->identity == NULL || buffer == NULL) {
        return ration_context_status(held->context);
    }
    for (uint32_t i = 0; i < RN_BATCH_ROWS_MAX; i++) {
        held->identity[i] = (uint16_t)i;
    }
    held->writer.buffer = buffer;
    return rn_rows_open(&held->layout, held->context, slot, "held rows", max_row_bytes,
                        &held->rows);
}

ration_status rn_held_open(const rn_schema *schema, ration_context *parent, ration_slot *slot,
                           int64_t max_row_bytes, rn_spill_file *file, rn_held *out_held)
{
    memset(out_held, 0, sizeof *out_held);
    out_held->schema = *schema;
    out_held->file = file;
    rn_minimum_layout(schema, &out_held->layout);
    RN_TRY(ration_context_create(parent, slot, RATION_CONTEXT_BUMP, "held", &out_held->context));
    ration_status status = open_parts(out_held, slot, max_row_bytes);
    if (status != RATION_OK) {
        rn_held_close(out_held);
    }
    return status;
}

int64_t rn_held_minimum(void)
{
    rn_context_draft draft;
    rn_context_draft_open(&draft);
    int64_t rows_bytes = draft.bytes;
    rn_context_draft_add(&draft, RN_BATCH_ROWS_MAX * sizeof(uint16_t));
    rn_context_draft_add(&draft, RN_RUN_BLOCK_BYTES_MIN);
    return draft.bytes + rows_bytes;
}

void rn_held_close(rn_held *held)
{
    rn_assert(held->scans == NULL && held->indexes == NULL && held->pins == NULL);
    if (held->writer.run.number != 0) {
        rn_run_abandon(&held->writer);
    }
    ration_context_delete(held->context);
    memset(held, 0, sizeof *held);
}

/* --------------------------------------------------------------------------------------- adding */

static const uint16_t *picks_from(const rn_held *held, uint32_t from)
{
    return from == 0 ? NULL : held->identity + from;
}

uint32_t rn_held_fit(const rn_held *held, const rn_batch *batch, uint32_t from, int64_t *out_bytes)
{
    return rn_rows_fit(&held->rows, batch, NULL, picks_from(held, from), batch->rows - from,
                       RN_BLOCK_BYTES, out_bytes);
}

ration_status rn_held_put(rn_held *held, const rn_batch *batch, uint32_t from, uint32_t count)
{
    RN_TRY(rn_rows_append(&held->rows, batch, NULL, picks_from(held, from), count, NULL));
    held->count += count;
    return RATION_OK;
}

ration_status rn_held_relieve(rn_held *held, ration_status status)
{
    if (!rn_is_refusal(status) || rn_held_spillable(held).now_bytes == 0) {
        return status;
    }
    return rn_held_spill(held, RELIEF_BYTES);
}

ration_status rn_held_add(rn_held *held, const rn_batch *batch)
{
    for (uint32_t from = 0; from < batch->rows;) {
        int64_t bytes;
        uint32_t count = rn_held_fit(held, batch, from, &bytes);
        ration_status status = rn_held_put(held, batch, from, count);
        if (status == RATION_OK) {
            from += count;
        } else {
            RN_TRY(rn_held_relieve(held, status));
        }
    }
    return RATION_OK;
}

/* ----------------------------------------------------------------------------------------- pins */

/* Is the block pinned by another than `but` (may be NULL)? */
static bool is_pinned(const rn_held *held, const rn_rows_block *block, const rn_held_pin *but)
{
    for (const rn_held_pin *pin = held->pins; pin != NULL; pin = pin->next) {
        if (pin != but && pin->block == block) {
            return true;
        }
    }
    return false;
}

static bool anything_parked(const rn_held *held)
{
    for (const rn_held_pin *pin = held->pins; pin != NULL; pin = pin->next) {
        if (pin->parked) {
            return true;
        }
    }
    return false;
}

/* Gives back what is left of the rows' context, when nothing of it is needed. */
static void forget_rows(rn_held *held)
{
    if (held->rows.first == NULL && !anything_parked(held)) {
        rn_rows_reset(&held->rows);
    }
}

void rn_held_pin_set(rn_held *held, rn_held_pin *pin, rn_rows_block *block)
{
    rn_assert(pin->block == NULL);
    *pin = (rn_held_pin){.next = held->pins, .block = block};
    held->pins = pin;
}

void rn_held_pin_release(rn_held *held, rn_held_pin *pin)
{
    if (pin->block == NULL) {
        return;
    }
    if (pin->parked && !is_pinned(held, pin->block, pin)) {
        rn_rows_block_free(pin->block);
    }
    rn_held_pin **link = &held->pins;
    while (*link != pin) {
        link = &(*link)->next;
    }
    *link = pin->next;
    memset(pin, 0, sizeof *pin);
    forget_rows(held);
}

/* ------------------------------------------------------------------------------------- spilling */

rn_spillable rn_held_spillable(const rn_held *held)
{
    rn_spillable could = {0, 0};
    if (held->file == NULL || held->rows.context == NULL) {
        return could; /* not open yet, or closed */
    }
    could.now_bytes = ration_context_bytes(held->rows.context, false) - RN_BLOCK_BYTES_MIN;
    for (const rn_held_pin *pin = held->pins; pin != NULL; pin = pin->next) {
        int64_t bytes = rn_rows_block_charged(pin->block);
        could.now_bytes -= bytes;
        could.later_bytes += bytes;
    }
    bool some = held->rows.first != NULL && could.now_bytes > 0; /* a block may have several pins */
    could.now_bytes = some ? could.now_bytes : 0;
    return could;
}

/* Says to all who must know where block `spilled` lies in the run. */
static void tell_place(rn_held *held, int64_t place)
{
    rn_held_index_note(held, held->spilled, place);
    for (rn_held_scan *scan = held->scans; scan != NULL; scan = scan->next_scan) {
        if (scan->next == held->spilled && scan->next > 0) {
            scan->place = place;
        }
    }
}

/* Writes the oldest block out; returns in `out_bytes` what came free. */
static ration_status spill_block(rn_held *held, int64_t *out_bytes)
{
    uint32_t bytes;
    const char *rows = rn_rows_block_read(rn_rows_block_next(&held->rows, NULL), &bytes);
    RN_TRY(rn_run_append_wide(&held->writer, rows, bytes, NULL, 0));
    tell_place(held, rn_run_written(&held->writer));
    held->spilled += 1;
    rn_rows_block *block = rn_rows_detach(&held->rows);
    *out_bytes = 0;
    if (!is_pinned(held, block, NULL)) {
        *out_bytes = rn_rows_block_charged(block);
        rn_rows_block_free(block);
        return RATION_OK;
    }
    for (rn_held_pin *pin = held->pins; pin != NULL; pin = pin->next) {
        pin->parked |= pin->block == block;
    }
    return RATION_OK;
}

ration_status rn_held_spill(rn_held *held, int64_t want_bytes)
{
    if (held->file == NULL || held->rows.first == NULL) {
        return RATION_OK;
    }
    if (held->writer.run.number == 0) {
        rn_run_begin(&held->writer, held->file, 0, held->writer.buffer, RN_RUN_BLOCK_BYTES_MIN);
    }
    want_bytes = RN_MAX(want_bytes, SPILL_BLOCKS_MIN * RN_BLOCK_BYTES);
    while (want_bytes > 0 && held->rows.first != NULL) {
        int64_t bytes;
        RN_TRY(spill_block(held, &bytes));
        want_bytes -= bytes;
    }
    forget_rows(held);
    return RATION_OK;
}

static int64_t count_spillable(void *state)
{
    return rn_held_spillable(state).now_bytes;
}

static ration_status spill_some(void *state, int64_t want_bytes)
{
    return rn_held_spill(state, want_bytes);
}

ration_spiller rn_held_spiller(rn_held *held)
{
    return (ration_spiller){held, count_spillable, spill_some};
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Scans of a held result set: block after block, first those of the run, then those in memory; see
 * held.h.
 *
 * A scan may be overtaken: what it was about to read in memory is written out before it comes
 * there. The block it stands in stays where it is, and for the next one it is told the place in the
 * run. */
#include "iterators/held.h"
#include "iterators/held_index.h"

ration_status rn_held_scan_open(rn_held *held, ration_context *parent, ration_slot *slot,
                                uint32_t batch_rows, bool consumes, rn_held_scan *out_scan)
{
    rn_held_scan scan = {.held = held,
                         .parent = parent,
                         .batch_rows = batch_rows,
                         .consumes = consumes,
                         .place = -1};
    rn_assert(!consumes || held->scans == NULL);
    scan.rows = ration_context_allocate(parent, batch_rows * sizeof *scan.rows);
    scan.batch.columns =
        ration_context_allocate_zero(parent, held->schema.count * sizeof(rn_column));
    scan.batch.column_count = held->schema.count;
    if (scan.rows == NULL || scan.batch.columns == NULL) {
        return ration_context_status(parent);
    }
    RN_TRY(rn_row_reader_open_in(parent, slot, batch_rows, &held->layout, 0, held->schema.count,
                                 &scan.reader));
    *out_scan = scan;
    out_scan->next_scan = held->scans;
    held->scans = out_scan;
    return RATION_OK;
}

static void free_buffer(rn_held_scan *scan)
{
    rn_held_buffer_free(scan->buffer);
    scan->buffer = NULL;
    scan->buffer_bytes = 0;
}

void rn_held_scan_close(rn_held_scan *scan)
{
    if (scan->held == NULL) {
        return;
    }
    rn_held_scan_restart(scan);
    free_buffer(scan);
    rn_held_scan **link = &scan->held->scans;
    while (*link != scan) {
        link = &(*link)->next_scan;
    }
    *link = scan->next_scan;
    memset(scan, 0, sizeof *scan);
}

void rn_held_scan_restart(rn_held_scan *scan)
{
    rn_assert(!scan->consumes || scan->next == 0 || scan->held->scans == scan);
    rn_held_pin_release(scan->held, &scan->pin);
    scan->next = 0;
    scan->place = -1;
    scan->at = scan->end = scan->start = NULL;
    scan->row_count = 0;
    scan->blocks.file = NULL;
}

/* -------------------------------------------------------------------------------------- buffers */

uint32_t rn_held_buffer_bytes(const rn_held *held)
{
    return RN_MAX(RN_RUN_BLOCK_BYTES, held->writer.run.largest_bytes);
}

void rn_held_buffer_free(void *buffer)
{
    if (buffer != NULL) {
        ration_context_free(buffer); /* alone in its block: it has a header, also in bumps */
    }
}

/* Bytes of blocks that the next block of the run needs. */
static int64_t buffer_bound(const rn_held_scan *scan)
{
    uint32_t bytes = rn_held_buffer_bytes(scan->held);
    return scan->buffer_bytes >= bytes ? 0 : rn_context_bound_one(scan->parent, bytes);
}

static ration_status make_buffer(rn_held_scan *scan)
{
    uint32_t bytes = rn_held_buffer_bytes(scan->held);
    if (scan->buffer_bytes >= bytes) {
        return RATION_OK;
    }
    free_buffer(scan);
    while ((scan->buffer = ration_context_allocate(scan->parent, bytes)) == NULL) {
        RN_TRY(rn_held_relieve(scan->held, ration_context_status(scan->parent)));
        bytes = rn_held_buffer_bytes(scan->held); /* what was written may be wider */
    }
    scan->buffer_bytes = bytes;
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- reading */

/* Takes the next block of the run in hand. */
static ration_status read_block(rn_held_scan *scan)
{
    rn_held *held = scan->held;
    const char *bytes;
    size_t length;
    rn_held_pin_release(held, &scan->pin);
    RN_TRY(make_buffer(scan));
    if (scan->blocks.file == NULL) {
        rn_run_start(&scan->blocks, held->file, &held->writer.run, scan->buffer);
    }
    if (scan->place >= 0) {
        rn_run_seek(&scan->blocks, scan->place);
        scan->place = -1;
    }
    scan->blocks.run = held->writer.run;
    scan->blocks.buffer = scan->buffer;
    RN_TRY(rn_run_next(&scan->blocks, &bytes, &length));
    if (rn_never(length == 0)) {
        return RATION_SPILL_CORRUPT;
    }
    rn_held_index_note(held, scan->next, rn_run_place(&scan->blocks));
    scan->start = scan->at = bytes;
    scan->end = bytes + length;
    scan->next += 1;
    return RATION_OK;
}

/* The block in memory behind the one in hand, or NULL. */
static const rn_rows_block *find_block(const rn_held_scan *scan)
{
    const rn_held *held = scan->held;
    return rn_rows_block_next(&held->rows, scan->next == held->spilled ? NULL : scan->pin.block);
}

/* A block that has been passed, and that nobody reads again, goes. */
static void consume_block(rn_held_scan *scan)
{
    rn_held *held = scan->held;
    bool in_memory = scan->pin.block != NULL && !scan->pin.parked;
    rn_held_pin_release(held, &scan->pin);
    if (scan->consumes && in_memory) {
        rn_assert(scan->next == held->spilled + 1);
        rn_rows_block_free(rn_rows_detach(&held->rows));
        held->spilled += 1;
    }
}

/* Takes the next block in memory in hand; none is the end. */
static void enter_block(rn_held_scan *scan)
{
    const rn_rows_block *block = find_block(scan);
    if (scan->consumes) {
        consume_block(scan);
        block = rn_rows_block_next(&scan->held->rows, NULL);
    }
    if (block == NULL) {
        return;
    }
    uint32_t bytes;
    rn_held_pin_release(scan->held, &scan->pin);
    rn_held_pin_set(scan->held, &scan->pin, (rn_rows_block *)(uintptr_t)block);
    scan->start = scan->at = rn_rows_block_read(block, &bytes);
    scan->end = scan->at + bytes;
    scan->next += 1;
    free_buffer(scan);
}

static bool is_in_run(const rn_held_scan *scan)
{
    return scan->next < scan->held->spilled;
}

ration_status rn_held_scan_rows(rn_held_scan *scan)
{
    if (scan->at == scan->end) {
        if (is_in_run(scan)) {
            RN_TRY(read_block(scan));
        } else {
            enter_block(scan);
        }
    }
    scan->row_count = rn_rows_walk(&scan->at, scan->end, scan->rows, scan->batch_rows);
    return RATION_OK;
}

ration_status rn_held_scan_next(rn_held_scan *scan, const rn_batch **out_batch)
{
    RN_TRY(rn_held_scan_rows(scan));
    RN_TRY(rn_row_reader_fill(&scan->reader, scan->rows, scan->row_count, scan->batch.columns));
    scan->batch.rows = scan->row_count;
    *out_batch = &scan->batch;
    return RATION_OK;
}

ration_status rn_held_scan_read(rn_operator *op, rn_held_scan *scan, const rn_batch **out_batch)
{
    if (scan->at == scan->end && is_in_run(scan)) {
        uint64_t spills;
        rn_held_pin_release(scan->held, &scan->pin);
        do {
            spills = op->spills;
            RN_TRY(rn_settle(op, 0, buffer_bound(scan)));
        } while (op->spills != spills); /* what was written out meanwhile may be wider */
    }
    RN_TRY(rn_held_scan_rows(scan));
    RN_TRY(rn_row_reader_read(op, &scan->reader, scan->rows, scan->row_count, scan->batch.columns));
    scan->batch.rows = scan->row_count;
    *out_batch = &scan->batch;
    return RATION_OK;
}

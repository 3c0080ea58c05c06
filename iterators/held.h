/* SPDX-License-Identifier: Apache-2.0
 *
 * A held result set: rows kept under the limit, readable as often as wanted. `collect` makes one,
 * hosts may; views (iterators/views.h) read it.
 *
 *     rn_held_open -> rn_held_add ... -> rn_held_scan_open -> rn_held_scan_next until 0 rows
 *         -> rn_held_scan_restart -> ... -> rn_held_scan_close -> rn_held_close
 *
 * Rows lie in blocks of up to 64 KiB, numbered in the order they came. rn_held_spill, at any time,
 * writes the oldest out to one run that grows, a block of the run for a block of rows: so the run
 * and then the memory are all rows in order, and a block is found again by its number.
 *
 * Whoever reads pins the block he stands in: when it is written out, its memory stays until he
 * moves on. A scan holds one block besides its vectors: the one it has pinned, or the buffer that
 * it reads blocks of the run into.
 *
 * One thread. */
#ifndef RATION_HELD_H
#define RATION_HELD_H

#include "iterators/row_reader.h"
#include "storage/run.h"

/* Keeps the memory of a block. In the held set's list while `block` is set. */
typedef struct rn_held_pin {
    struct rn_held_pin *next;
    rn_rows_block *block;
    bool parked; /* it is written out: the last pin frees it */
} rn_held_pin;

struct rn_held_scan;
struct rn_held_index;

/* blocks: [0, spilled) in the run, [spilled, ..) in `rows`; with a scan that consumes, numbers that
 * it has passed are nowhere. */
typedef struct rn_held {
    rn_schema schema; /* of the plan node that was held */
    rn_layout layout;
    ration_context *context; /* all of it; owned */
    rn_rows rows;
    int64_t count;        /* rows in all */
    int64_t spilled;      /* number of the first block in memory */
    rn_spill_file *file;  /* NULL = cannot be written out */
    rn_run_writer writer; /* of the run; run.number 0 = nothing was written yet */
    uint16_t *identity;   /* 0, 1, 2, ...: picks of a part of a batch */
    rn_held_pin *pins;
    struct rn_held_scan *scans;
    struct rn_held_index *indexes;
} rn_held;

/* A reader's place, with its own vectors: several may read one held set. */
typedef struct rn_held_scan {
    struct rn_held_scan *next_scan;
    rn_held *held;
    ration_context *parent; /* its memory is below */
    rn_row_reader reader;
    rn_batch batch;
    const rn_row **rows;
    uint32_t row_count; /* taken, to be filled in */
    uint32_t batch_rows;
    bool consumes; /* blocks in memory go as they are passed */
    int64_t next;  /* number of the block behind the one in hand */
    int64_t place; /* of it in the run, when it was written out after this scan had passed the
                            run's end; -1 = the reader stands before it */
    const char *start, *at, *end; /* of the block in hand; rows left from `at` */
    rn_held_pin pin;              /* of a block in memory */
    rn_run_reader blocks;         /* of the run; file NULL = not started */
    void *buffer;                 /* NULL = none; kept while it reads from the run */
    uint32_t buffer_bytes;
} rn_held_scan;

/* The struct must not move afterwards. `file` NULL: rn_held_spill has nowhere to write to. Errors:
 * the limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_held_open(const rn_schema *schema, ration_context *parent,
                                            ration_slot *slot, int64_t max_row_bytes,
                                            rn_spill_file *file, rn_held *out_held);
/* Scans and views are closed before. All zeros are allowed. */
void rn_held_close(rn_held *held);

/* What rn_held_open draws. A growth step besides: rn_minimum_block. */
int64_t rn_held_minimum(void);

/* Adds a batch; for callers without an operator. What a limit refuses is asked for again after
 * everything was spilled. Errors: the limits' statuses, SPILL_*, ROW_TOO_WIDE, NO_MEMORY; then part
 * of the batch may be in. */
RATION_NODISCARD ration_status rn_held_add(rn_held *held, const rn_batch *batch);
/* The same in steps, for an operator: how many rows from `from` on can be added so that it draws no
 * more than one block, and what they draw; adding them. */
uint32_t rn_held_fit(const rn_held *held, const rn_batch *batch, uint32_t from, int64_t *out_bytes);
RATION_NODISCARD ration_status rn_held_put(rn_held *held, const rn_batch *batch, uint32_t from,
                                           uint32_t count);

/* What could be written out now; and what besides, when those who read have moved on. */
rn_spillable rn_held_spillable(const rn_held *held);
/* Writes the oldest blocks out until `want_bytes` came free, or everything is. Draws nothing.
 * Errors: SPILL_*; the rows are all there. */
RATION_NODISCARD ration_status rn_held_spill(rn_held *held, int64_t want_bytes);

/* What callers without an operator do after a refusal: some is written out, and RATION_OK says that
 * it is worth to try once more. Errors: `status`, when there is nothing to write out; SPILL_*. */
RATION_NODISCARD ration_status rn_held_relieve(rn_held *held, ration_status status);
/* The two as what a host registers for its slot (ration_slot_register_spill), so that a result that
 * is held between two calls gives way too. Lives as long as the held set. */
ration_spiller rn_held_spiller(rn_held *held);

/* Starts reading from the first row of a set that is complete; the scan's memory is below `parent`.
 * A scan that `consumes` is the only one and reads once. Errors: the limits' statuses,
 * NO_MEMORY. */
RATION_NODISCARD ration_status rn_held_scan_open(rn_held *held, ration_context *parent,
                                                 ration_slot *slot, uint32_t batch_rows,
                                                 bool consumes, rn_held_scan *out_scan);
/* A scan that was not opened is allowed, all zeros. Its memory goes with `parent`. */
void rn_held_scan_close(rn_held_scan *scan);
/* Back to the first row. */
void rn_held_scan_restart(rn_held_scan *scan);
/* The next batch, valid until the next call; 0 rows at the end, again and again. Errors: the
 * limits' statuses, for the buffer and for lists of strings; SPILL_IO, SPILL_CORRUPT. */
RATION_NODISCARD ration_status rn_held_scan_next(rn_held_scan *scan, const rn_batch **out_batch);
/* The same for an operator: settles before it draws, twice at most. */
RATION_NODISCARD ration_status rn_held_scan_read(rn_operator *op, rn_held_scan *scan,
                                                 const rn_batch **out_batch);
/* Takes the rows of the next batch in hand without reading values: scan->rows[0 .. row_count), all
 * of one block, valid until the next call; none at the end. */
RATION_NODISCARD ration_status rn_held_scan_rows(rn_held_scan *scan);

/* For held*.c: keeps the memory of a block until it is released; a pin without a block is allowed
 * there. */
void rn_held_pin_set(rn_held *held, rn_held_pin *pin, rn_rows_block *block);
void rn_held_pin_release(rn_held *held, rn_held_pin *pin);
/* Of a buffer that every block of the run fits into: larger than RN_CHUNK_BYTES_MAX, so it can be
 * freed. */
uint32_t rn_held_buffer_bytes(const rn_held *held);
void rn_held_buffer_free(void *buffer);

#endif

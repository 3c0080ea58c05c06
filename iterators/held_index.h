/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding rows of a held result set again, in any order: what views are made of.
 *
 *     rn_held_index_open -> a scan, with rn_held_index_address of its rows -> rn_held_index_row ...
 *                        -> rn_held_index_close
 *
 * A row's address is the number of its block and its offset there: it stays when the block is
 * written out. The index knows for each block where it lies: 8 bytes per block, charged, and not
 * itself written out. Blocks of the run are read into a few buffers, the last used stay. */
#ifndef RATION_HELD_INDEX_H
#define RATION_HELD_INDEX_H

#include "iterators/held.h"

#define RN_HELD_BUFFERS 4u

typedef struct rn_held_buffer {
    int64_t block; /* number; -1 = none */
    uint64_t used; /* when, counted in misses and hits */
    char *bytes;
    uint32_t capacity;
} rn_held_buffer;

typedef struct rn_held_index {
    struct rn_held_index *next;
    rn_held *held;
    ration_context *context; /* its memory is below */
    int64_t **leaves;        /* places: of the run when known, else the address in memory */
    int64_t block_count;
    rn_held_pin pin; /* of the block that the row in hand lies in, when that is in memory */
    rn_run_reader reader;
    uint64_t clock;
    rn_held_buffer buffers[RN_HELD_BUFFERS];
} rn_held_index;

/* For a set that is complete. Memory comes from `context`, which the caller deletes after close.
 * Errors: the limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_held_index_open(rn_held *held, ration_context *context,
                                                  rn_held_index *out_index);
/* An index that was not opened is allowed, all zeros. */
void rn_held_index_close(rn_held_index *index);
/* The address of a row in the hand of a scan. */
int64_t rn_held_index_address(const rn_held_scan *scan, const rn_row *row);
/* The row at an address, valid until the next call. Errors: the limits' statuses, for buffers;
 * SPILL_IO, SPILL_CORRUPT. */
RATION_NODISCARD ration_status rn_held_index_row(rn_held_index *index, int64_t address,
                                                 const rn_row **out_row);
/* The row in hand is no longer wanted. */
void rn_held_index_leave(rn_held_index *index);

/* For held*.c: says to the indexes of a held set where a block lies in the run. */
void rn_held_index_note(rn_held *held, int64_t block, int64_t place);

#endif

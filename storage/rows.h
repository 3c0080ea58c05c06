/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows: what an operator holds. Rows are copied out of batches into 64 KiB blocks, each row in one
 * piece, strings and lists inside it by offset, so that a block can be written to a run as it is
 * and read back anywhere.
 *
 * Row: uint32_t bytes · validity bits of the columns, whole bytes · fixed slots (rn_kind_bytes
 * each, aligned to their size, 8 at most; first those of 4 bytes, then of 1, then the others) ·
 * variable bytes. A string longer than 12 keeps {length, prefix, offset from the row's start}; a
 * list is {length, offset of one segment}, strings of a list follow the segment. Rows start at
 * multiples of 8 and `bytes` is one. Null slots and padding are 0: the same values give the same
 * bytes. A row wider than a block gets a block of its own, up to max_row_bytes; wider is
 * ROW_TOO_WIDE.
 */
#ifndef RATION_ROWS_H
#define RATION_ROWS_H

#include "memory/context.h"
#include "storage/batch.h"

typedef struct rn_row rn_row; /* opaque: a pointer into a block */

typedef struct rn_layout {
    uint32_t column_count;
    uint32_t fixed_bytes; /* header, validity and fixed slots; a multiple of 8 */
    uint32_t head_bytes;  /* where the slots of 8 and 16 bytes begin; a multiple of 8 */
    bool has_variable;
    rn_type types[RN_COLUMNS_MAX];
    uint32_t offsets[RN_COLUMNS_MAX]; /* of the fixed slot */
} rn_layout;

void rn_layout_set(rn_layout *layout, const rn_type *types, uint32_t count);

typedef struct rn_rows {
    const rn_layout *layout;
    ration_context *context; /* bump; owned */
    struct rn_rows_block *first, *last;
    int64_t count;
    int64_t max_row_bytes;
    int64_t widest_bytes; /* row that was ever in it */
} rn_rows;

/* Opens an empty set of rows below `parent`. `layout` must outlive it. Errors: the limits'
 * statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_rows_open(const rn_layout *layout, ration_context *parent,
                                            ration_slot *slot, const char *name,
                                            int64_t max_row_bytes, rn_rows *out_rows);
void rn_rows_close(rn_rows *rows);
/* Forgets all rows; memory given back but the first block. */
void rn_rows_reset(rn_rows *rows);
/* What a settle must charge ahead so that the append with the same arguments cannot be refused.
 * Cost: nothing for fixed columns, else one pass over the strings and lists. */
int64_t rn_rows_bound(const rn_rows *rows, const rn_batch *batch, const uint32_t *columns,
                      const uint16_t *picks, uint32_t count);
/* How many of those rows, from the first on and at least one, an append can take so that it draws
 * at most `up_to_bytes`; `*out_bytes` is what rn_rows_bound says for them. All of them when a row
 * is too wide: the append says so. */
uint32_t rn_rows_fit(const rn_rows *rows, const rn_batch *batch, const uint32_t *columns,
                     const uint16_t *picks, uint32_t count, int64_t up_to_bytes,
                     int64_t *out_bytes);
/* Bytes of the largest block that rows of up to `row_bytes` are put into. */
int64_t rn_rows_block_most(int64_t row_bytes);
/* Appends rows picks[0..count) of the batch (picks NULL = 0..count), count <= RN_BATCH_ROWS_MAX;
 * `columns` maps layout column -> batch column (NULL = same). Writes where each went into out_rows
 * unless NULL. On failure the rows are as before. Errors: the limits' statuses, ROW_TOO_WIDE. */
RATION_NODISCARD ration_status rn_rows_append(rn_rows *rows, const rn_batch *batch,
                                              const uint32_t *columns, const uint16_t *picks,
                                              uint32_t count, const rn_row **out_rows);
/* Moves all rows of `from` to the end of `to` (same layout, same slot) without copying; `from` is
 * closed by it. */
void rn_rows_move(rn_rows *to, rn_rows *from);

/* The blocks, oldest first, for those who write them out: the rows of a block lie one behind the
 * other. NULL = before the first, and behind the last. */
typedef struct rn_rows_block rn_rows_block;
const rn_rows_block *rn_rows_block_next(const rn_rows *rows, const rn_rows_block *block);
const char *rn_rows_block_read(const rn_rows_block *block, uint32_t *out_bytes);
/* Takes the oldest block, of which there is one, out of the set with its rows; rn_rows_block_free
 * gives its memory back. */
rn_rows_block *rn_rows_detach(rn_rows *rows);
/* What that gives back: 0 for the first block of a set, which lies beside its context and goes with
 * the next reset. */
int64_t rn_rows_block_charged(const rn_rows_block *block);
void rn_rows_block_free(rn_rows_block *block);
/* Up to `capacity` rows from `*at` on, which stands before `end`; moves `*at` behind them. */
uint32_t rn_rows_walk(const char **at, const char *end, const rn_row **out_rows, uint32_t capacity);

/* Walks rows in the order they were appended. All zeros = the start. Stable while rows are
 * appended. */
typedef struct rn_rows_cursor {
    const struct rn_rows_block *block;
    uint32_t offset;
} rn_rows_cursor;
/* Up to `capacity` next rows; returns how many. */
uint32_t rn_rows_next(const rn_rows *rows, rn_rows_cursor *cursor, const rn_row **out_rows,
                      uint32_t capacity);

/* rows_arrange.c: where the next row will lie, or behind that; how many blocks there are from
 * there on; and puts the rows from there to the end, `order[0..count)`, into that order by way of
 * `spare` (each RN_ROWS_SPARE_BYTES, as many as there are blocks). `order` becomes where they lie
 * now. False when they do not fit; then they lie as before, and `order` is not to be used. */
#define RN_ROWS_SPARE_BYTES ((size_t)RN_BLOCK_BYTES - 64)
#define RN_ROWS_SPARE_MAX 16u
rn_rows_cursor rn_rows_end(const rn_rows *rows);
uint32_t rn_rows_blocks(const rn_rows *rows, rn_rows_cursor from);
bool rn_rows_arrange(rn_rows *rows, rn_rows_cursor from, const rn_row **order, uint32_t count,
                     char *const *spare, uint32_t spare_count);

bool rn_row_valid(const rn_layout *layout, const rn_row *row, uint32_t column);
/* Fixed-width kinds: address of the value. */
const void *rn_row_fixed(const rn_layout *layout, const rn_row *row, uint32_t column);
/* A string that points into the row. */
rn_string rn_row_string(const rn_layout *layout, const rn_row *row, uint32_t column);
/* A string as it lies in a row, by offset when it is long, as one that points into the row. */
rn_string rn_string_at(const void *row, const void *slot);
/* <0, 0, >0 of one column of two rows of the same layout; nulls last. */
int rn_row_compare(const rn_layout *layout, const rn_row *a, const rn_row *b, uint32_t column);
/* Does the row equal row `index` of the batch in these columns? (layout column i against batch
 * column columns[i], i < count); null equals null. */
bool rn_row_equals(const rn_layout *layout, const rn_row *row, const rn_batch *batch,
                   const uint32_t *columns, uint32_t count, uint32_t index);
/* Are the first `count` columns of two rows equal, whatever else the layouts have? Null equals
 * null.
 */
bool rn_row_same(const rn_layout *layout_a, const rn_row *a, const rn_layout *layout_b,
                 const rn_row *b, uint32_t count);
/* Reads one column of `count` rows into a vector of at least that many entries; strings and lists
 * point into the rows (lists of strings: into `lists`, a context the caller resets per batch; NULL
 * when the column is of no such type). A NULL row gives null. Errors: the limits' statuses, only
 * for lists of strings. */
RATION_NODISCARD ration_status rn_rows_read(const rn_layout *layout, const rn_row *const *rows,
                                            uint32_t count, uint32_t column, ration_context *lists,
                                            rn_vector *out, rn_column *out_column);
/* What that read takes from `lists`: adds the sum of its chunks and raises the largest, as
 * rn_context_bound wants them. */
void rn_rows_read_chunks(const rn_layout *layout, const rn_row *const *rows, uint32_t count,
                         uint32_t column, const ration_context *lists, size_t *chunk_bytes,
                         size_t *largest);
/* Overwrites the 8 bytes of a fixed slot in place: links between rows that an operator keeps in a
 * column of its own. */
void rn_row_patch(const rn_layout *layout, const rn_row *row, uint32_t column, uint64_t word);
/* Evaluates the invariants of rows.c; writes the first that does not hold into `text`. */
bool rn_rows_check(const rn_rows *rows, char *text, size_t capacity);

#endif

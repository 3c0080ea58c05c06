/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows put into order, in memory as long as they fit: what sort and topk share.
 *
 *     rn_sorter_open -> per batch: rn_sorter_keys, rn_sorter_add
 *                    -> rn_sorter_rows until 0 -> rn_sorter_close
 *     rn_sorter_spillable, rn_sorter_spill: at any settle in between
 *
 * The order is total: the keys, then every column ascending; nulls last in both directions. So
 * equal inputs give equal outputs. */
#ifndef RATION_SORTER_H
#define RATION_SORTER_H

#include "iterators/merge.h"

struct rn_sort_entry;
struct rn_sort_run;
struct rn_sort_piece;
struct rn_merge_node;

/* A column's part in the word of a row: `bits` bits from `shift` on. */
typedef struct rn_sort_part {
    uint32_t column;
    uint32_t bits, shift;
    bool exact; /* these bits say all of the value */
    bool descending;
} rn_sort_part;

#define RN_SORT_PARTS_MAX 32u

typedef struct rn_sorter {
    rn_operator *op;
    ration_context *context; /* bump; owned: tree, spare, and the rows below it */
    rn_layout layout;        /* rows point here: a sorter is not moved */
    const rn_order *order;
    uint32_t order_count;
    rn_sort_part parts[RN_SORT_PARTS_MAX]; /* of the word, from its top */
    uint32_t part_count;
    int64_t count;      /* rows taken in */
    int64_t rows_left;  /* that are wanted, and not given yet; INT64_MAX = all */
    uint64_t last_key;  /* rows with a later word are not among the first rows_max */
    uint64_t given_key; /* word of the row last given */
    /* What is held in memory. */
    struct rn_sort_piece *pieces;   /* newest first; the newest is never closed */
    struct rn_sort_piece *unused;   /* closed */
    struct rn_sort_run *spare;      /* scratch for sorting a run */
    char *aside[RN_ROWS_SPARE_MAX]; /* scratch for its rows, as far as there is room for it */
    uint32_t aside_count;
    uint32_t aside_share; /* for 1 byte of it, so many must be held: with less it is not worth it */
    struct rn_merge_node *tree;     /* of the runs in memory, the winner in front */
    uint32_t run_count;             /* in memory */
    uint32_t tree_capacity, leaves; /* of `tree`; runs in it */
    rn_runs runs;                   /* what was written out */
    /* Giving. */
    bool drawing;        /* rows are taken from `tree` */
    bool merging;        /* `merge` is open */
    rn_merge merge;      /* of runs and tree */
    bool handed;         /* rows given last refer to what is held */
    int64_t room_bytes;  /* with so much free they may; -1 = not known yet */
    ration_context *out; /* rows given lie in here, but for those without strings and lists */
    char *out_bytes;
    size_t out_room, out_need;
    uint16_t *all;               /* 0, 1, 2, ... */
    struct rn_sort_entry *taken; /* from the tree, and not given yet: from taken_at on */
    uint32_t taken_at, taken_count;
} rn_sorter;

/* Holds rows of this schema for `op`, to give the first `rows_max` of the order (INT64_MAX = all).
 * `order` must outlive it. Errors: the limits' statuses, NO_MEMORY; out_sorter may still be closed.
 */
RATION_NODISCARD ration_status rn_sorter_open(rn_operator *op, const rn_schema *schema,
                                              const rn_order *order, uint32_t order_count,
                                              int64_t rows_max, rn_sorter *out_sorter);
void rn_sorter_close(rn_sorter *sorter);
/* What open draws at most. */
int64_t rn_sorter_open_bytes(void);
/* keys[row] for every row of the batch: a row with a smaller key comes first; of equal ones the
 * whole comparison decides. */
void rn_sorter_keys(const rn_sorter *sorter, const rn_batch *batch, uint64_t *keys);
/* Holds rows picks[0..count) of the batch (picks NULL = 0..count). Settles for them, part by part
 * when there is not room for all; may spill. A run that is full is sorted at once: less than a
 * millisecond. Errors: ROW_TOO_WIDE, told; the limits' statuses; SPILL_*. */
RATION_NODISCARD ration_status rn_sorter_add(rn_sorter *sorter, const rn_batch *batch,
                                             const uint64_t *keys, const uint16_t *picks,
                                             uint32_t count);
/* Up to `capacity` next rows in order, 0 at the end; none can be added any more. Rows with strings
 * or lists stay until the next call, whatever is spilled meanwhile; others only until the next
 * settle. Settles. Errors: the limits' statuses, SPILL_*. */
RATION_NODISCARD ration_status rn_sorter_rows(rn_sorter *sorter, const rn_row **out_rows,
                                              uint32_t capacity, uint32_t *out_count);

/* For class->spillable and class->spill. */
rn_spillable rn_sorter_spillable(const rn_sorter *sorter);
RATION_NODISCARD ration_status rn_sorter_spill(rn_sorter *sorter, int64_t want_bytes);
/* The least it works with, from open on: while rows are added, and while they are given. */
rn_minimum rn_sorter_minimum(const rn_schema *schema, const rn_sizes *sizes);

/* sort_order.c: what the words are made of, out_parts[RN_SORT_PARTS_MAX]; returns how many; and the
 * words of a batch. */
uint32_t rn_sort_plan(const rn_layout *layout, const rn_order *order, uint32_t order_count,
                      rn_sort_part *out_parts);
void rn_sort_words(const rn_sort_part *parts, uint32_t count, const rn_batch *batch,
                   uint64_t *words);
/* keys[i] of row i in this column, and the whole comparison, 0 only for rows that are equal in
 * every column. */
void rn_sort_keys(const rn_column *column, uint32_t rows, bool descending, uint64_t *keys);
/* Writes the value whose ascending key this is; not for strings and lists. */
void rn_sort_value(rn_kind kind, uint64_t key, void *to);
/* `with` is the rn_sorter. */
int rn_sort_compare(const void *with, const rn_row *a, const rn_row *b);

#endif

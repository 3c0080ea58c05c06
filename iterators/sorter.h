/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows put into order: what sort and topk share.
 *
 *     rn_sorter_open -> per batch: rn_sorter_keys, settle by rn_sorter_bound, rn_sorter_add
 *                    -> rn_sorter_finish -> rn_sorter_next until 0 -> rn_sorter_close
 *
 * The order is total: the keys, then every column ascending; nulls last in both directions. So
 * equal inputs give equal outputs. */
#ifndef RATION_SORTER_H
#define RATION_SORTER_H

#include "executor/plan.h"

struct rn_sort_run;
struct rn_sort_head;

typedef struct rn_sorter {
    ration_context *context; /* bump; owned: runs, tree, and the rows below it */
    rn_layout layout;        /* rows.layout points here: a moved sorter must set it anew */
    const rn_order *order;
    uint32_t order_count;
    rn_rows rows;
    struct rn_sort_run *runs;  /* newest first */
    struct rn_sort_run *spare; /* scratch for sorting a run */
    struct rn_sort_head *tree; /* of losers, the winner in front */
    uint32_t run_count, tree_capacity;
} rn_sorter;

/* Holds rows of this schema. `order` must outlive it. Errors: the limits' statuses, NO_MEMORY; then
 * out_sorter may still be closed. */
RATION_NODISCARD ration_status rn_sorter_open(const rn_schema *schema, const rn_order *order,
                                              uint32_t order_count, ration_context *parent,
                                              ration_slot *slot, int64_t max_row_bytes,
                                              rn_sorter *out_sorter);
void rn_sorter_close(rn_sorter *sorter);
/* keys[row] for every row of the batch: a row with a smaller key comes first; of equal ones the
 * whole comparison decides. */
void rn_sorter_keys(const rn_sorter *sorter, const rn_batch *batch, uint64_t *keys);
/* What rn_sorter_add with these arguments draws at most. */
int64_t rn_sorter_bound(const rn_sorter *sorter, const rn_batch *batch, const uint16_t *picks,
                        uint32_t count);
/* Holds rows picks[0..count) of the batch (picks NULL = 0..count). A run that is full is sorted at
 * once: about a millisecond. Errors: ROW_TOO_WIDE; the limits' statuses when not settled for. */
RATION_NODISCARD ration_status rn_sorter_add(rn_sorter *sorter, const rn_batch *batch,
                                             const uint64_t *keys, const uint16_t *picks,
                                             uint32_t count);
/* Afterwards rows come out and none can be added. Cannot fail: adding made the room it needs. */
void rn_sorter_finish(rn_sorter *sorter);
/* Up to `capacity` next rows in order; returns how many, 0 at the end. `out_last_key` (may be NULL)
 * receives the key of the last of them. */
uint32_t rn_sorter_next(rn_sorter *sorter, const rn_row **out_rows, uint32_t capacity,
                        uint64_t *out_last_key);

/* sort_order.c: keys[i] of row i in this column, and the whole comparison, 0 only for rows that are
 * equal in every column. */
void rn_sort_keys(const rn_column *column, uint32_t rows, bool descending, uint64_t *keys);
/* Writes the value whose ascending key this is; not for strings and lists. */
void rn_sort_value(rn_kind kind, uint64_t key, void *to);
int rn_sort_compare(const rn_layout *layout, const rn_order *order, uint32_t order_count,
                    const rn_row *a, const rn_row *b);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorting in chunks: rows gather in pieces, each with its rows and with runs of one block of
 * entries; a run is sorted when it is full, and the sorted runs are merged as rows are taken out,
 * or as they are written.
 *
 *     add -> add -> (run full: sort it) -> add ... -> draw: the tree -> take the winner
 *                   (asked to spill: merge the oldest pieces into a run on disk, free them)
 *
 * While there is room for scratch, the rows of a full run are put into its order too, through the
 * cache (storage/rows_arrange.c): then each run is a stream, and not one row per page. With 20
 * million rows of 104 bytes, `bench/spill run sort none 1` takes 10 s of processor, and 20 without.
 *
 * So no step takes longer than sorting one run, and nothing contiguous is larger than a block but
 * the tree (40 bytes per run: 1 MiB from 100 million rows on). A run is
 * sorted by merging from the bottom up with one run's scratch: n log n whatever the input, no
 * recursion.
 *
 * A piece is 1/16 of all that is held, and 1 MiB at least: when others ask, they are given what
 * they ask for and not everything (sorter_give.c). Drawing rows from memory is sorter_tree.c.
 *
 * Invariants
 *   1. Every run of a piece but its newest is sorted; in all runs of a piece are its rows, in all
 *      pieces together what was added and not written.
 *   2. The tree has room for every run. While drawing its node 0 is the first row of all that are
 *      left.
 *   3. The newest piece is open from open to close; it is emptied, never closed. Others have rows.
 *
 * Rejected: one array of all rows, doubled and sorted at the end: it needs old and new at once and
 * stops the query for as long as the sort takes. */
#include "iterators/minimum.h"
#include "iterators/sort_piece.h"
#include "iterators/wide.h"

#define PIECE_BYTES ((int64_t)1 << 20)
#define PIECES 16
#define GATHER_ROW_BYTES_MAX 512
#define GATHER_SHARE 16

/* ------------------------------------------------------------------------------- open and close */

static ration_status open_piece(rn_sorter *sorter)
{
    struct rn_sort_piece *piece = sorter->unused;
    if (piece == NULL) {
        piece = ration_context_allocate(sorter->context, sizeof *piece);
        if (piece == NULL) {
            return ration_context_status(sorter->context);
        }
        piece->next = NULL;
    }
    struct rn_sort_piece *unused = piece->next;
    const rn_worker *worker = sorter->op->worker;
    ration_status status = rn_rows_open(&sorter->layout, sorter->context, worker->slot,
                                        "rows to sort", worker->max_row_bytes, &piece->rows);
    if (status != RATION_OK) {
        sorter->unused = piece;
        return status;
    }
    sorter->unused = unused;
    piece->runs = NULL;
    piece->chosen = false;
    piece->next = sorter->pieces;
    sorter->pieces = piece;
    return RATION_OK;
}

ration_status rn_sorter_open(rn_operator *op, const rn_schema *schema, const rn_order *order,
                             uint32_t order_count, int64_t rows_max, rn_sorter *out_sorter)
{
    memset(out_sorter, 0, sizeof *out_sorter);
    out_sorter->op = op;
    out_sorter->order = order;
    out_sorter->order_count = order_count;
    out_sorter->rows_left = rows_max;
    out_sorter->out_need = RN_RUN_BLOCK_BYTES;
    out_sorter->last_key = UINT64_MAX;
    out_sorter->room_bytes = -1;
    out_sorter->aside_share = GATHER_SHARE;
    rn_minimum_layout(schema, &out_sorter->layout);
    out_sorter->part_count =
        rn_sort_plan(&out_sorter->layout, order, order_count, out_sorter->parts);
    RN_TRY(ration_context_create(op->context, op->worker->slot, RATION_CONTEXT_BUMP, "sorter",
                                 &out_sorter->context));
    RN_TRY(
        rn_runs_open_in(op, out_sorter->context, rn_sorter_order(out_sorter), &out_sorter->runs));
    out_sorter->taken =
        ration_context_allocate(out_sorter->context, RN_SORT_TAKEN * sizeof *out_sorter->taken);
    out_sorter->all =
        ration_context_allocate(out_sorter->context, RN_BATCH_ROWS_MAX * sizeof *out_sorter->all);
    if (out_sorter->taken == NULL || out_sorter->all == NULL) {
        return ration_context_status(out_sorter->context);
    }
    for (uint32_t i = 0; i < RN_BATCH_ROWS_MAX; i++) {
        out_sorter->all[i] = (uint16_t)i;
    }
    return open_piece(out_sorter);
}

void rn_sorter_close(rn_sorter *sorter)
{
    rn_merge_close(&sorter->merge);
    rn_runs_close(&sorter->runs);
    ration_context_delete(sorter->context);
    memset(sorter, 0, sizeof *sorter);
}

void rn_sorter_keys(const rn_sorter *sorter, const rn_batch *batch, uint64_t *keys)
{
    rn_sort_words(sorter->parts, sorter->part_count, batch, keys);
}

/* --------------------------------------------------------------------------------------- adding */

static uint32_t grown_tree(uint32_t capacity)
{
    return capacity == 0 ? RN_SORT_TREE_FIRST : 2 * capacity;
}

/* Of the newest run; 0 = it is full, or there is none. */
static uint32_t entries_left(const rn_sorter *sorter)
{
    const struct rn_sort_run *run = sorter->pieces->runs;
    return run == NULL || run->sorted ? 0 : RN_SORT_RUN_ENTRIES - run->count;
}

/* What entries for more rows draw, of which there are not more than are left of a run. */
static int64_t entries_bound(const rn_sorter *sorter)
{
    if (entries_left(sorter) > 0) {
        return 0;
    }
    int64_t runs = 1 + (sorter->spare == NULL);
    int64_t bytes = runs * rn_context_bound_one(sorter->context, RN_SORT_RUN_BYTES);
    if (sorter->run_count == sorter->tree_capacity) {
        size_t tree = grown_tree(sorter->tree_capacity) * RN_SORT_TREE_BYTES;
        bytes += rn_context_bound_one(sorter->context, tree);
    }
    return bytes;
}

static ration_status grow_tree(rn_sorter *sorter)
{
    uint32_t capacity = grown_tree(sorter->tree_capacity);
    struct rn_merge_node *tree =
        ration_context_allocate(sorter->context, capacity * RN_SORT_TREE_BYTES);
    if (tree == NULL) {
        return ration_context_status(sorter->context);
    }
    sorter->tree = tree; /* empty until rows are drawn: nothing to copy */
    sorter->tree_capacity = capacity;
    return RATION_OK;
}

static ration_status add_run(rn_sorter *sorter, struct rn_sort_piece *piece)
{
    if (sorter->run_count == sorter->tree_capacity) {
        RN_TRY(grow_tree(sorter));
    }
    if (sorter->spare == NULL) {
        sorter->spare = ration_context_allocate(sorter->context, RN_SORT_RUN_BYTES);
        if (sorter->spare == NULL) {
            return ration_context_status(sorter->context);
        }
    }
    struct rn_sort_run *run = ration_context_allocate(piece->rows.context, RN_SORT_RUN_BYTES);
    if (run == NULL) {
        return ration_context_status(piece->rows.context);
    }
    run->next = piece->runs;
    run->from = rn_rows_end(&piece->rows);
    run->count = 0;
    run->sorted = false;
    piece->runs = run;
    sorter->run_count += 1;
    return RATION_OK;
}

static ration_status append(rn_sorter *sorter, const rn_batch *batch, const uint64_t *keys,
                            const uint16_t *picks, uint32_t count)
{
    const rn_row *placed[RN_BATCH_ROWS_MAX];
    struct rn_sort_piece *piece = sorter->pieces;
    if (entries_left(sorter) == 0) {
        RN_TRY(add_run(sorter, piece));
    }
    RN_TRY(rn_rows_append(&piece->rows, batch, NULL, picks, count, placed));
    sorter->count += count;
    struct rn_sort_run *run = piece->runs;
    for (uint32_t i = 0; i < count; i++) {
        run->entries[run->count++] = (rn_sort_entry){keys[picks[i]], placed[i]};
    }
    if (run->count == RN_SORT_RUN_ENTRIES) {
        rn_sort_run(sorter, run);
        rn_sort_gather(sorter, piece);
    }
    return RATION_OK;
}

static int64_t piece_bytes(const struct rn_sort_piece *piece)
{
    return ration_context_bytes(piece->rows.context, false);
}

/* Starts another piece when the newest is large enough, where one of its runs is full, or nearly.
 */
static ration_status turn_piece(rn_sorter *sorter, uint32_t count)
{
    struct rn_sort_piece *piece = sorter->pieces;
    int64_t bytes = piece_bytes(piece);
    int64_t target = RN_MAX(PIECE_BYTES, rn_sorter_held(sorter) / PIECES);
    const struct rn_sort_run *run = piece->runs;
    bool ends = run == NULL || run->sorted || RN_SORT_RUN_ENTRIES - run->count < count;
    if (bytes < target || (!ends && bytes < 2 * target)) {
        return RATION_OK;
    }
    RN_TRY(rn_settle(sorter->op, 0,
                     rn_minimum_context() +
                         rn_context_bound_one(sorter->context, sizeof(struct rn_sort_piece))));
    piece = sorter->pieces;
    if (piece->runs == NULL) {
        return RATION_OK; /* written out meanwhile */
    }
    if (!piece->runs->sorted) {
        rn_sort_run(sorter, piece->runs);
        rn_sort_gather(sorter, piece);
    }
    return open_piece(sorter);
}

/* Blocks of scratch that putting the newest run's rows into order wants more than there are, when
 * `count` rows of `rows_bytes` in new blocks fill it; 0 also where that is not worth it. */
static uint32_t aside_wanted(const rn_sorter *sorter, uint32_t count, int64_t rows_bytes)
{
    const struct rn_sort_piece *piece = sorter->pieces;
    if (piece->runs == NULL || entries_left(sorter) != count ||
        piece->rows.widest_bytes > GATHER_ROW_BYTES_MAX) {
        return 0;
    }
    int64_t blocks = rn_rows_blocks(&piece->rows, piece->runs->from) +
                     (rows_bytes + RN_BLOCK_BYTES - 1) / RN_BLOCK_BYTES;
    if (blocks > RN_ROWS_SPARE_MAX || blocks <= sorter->aside_count ||
        rn_sorter_held(sorter) < sorter->aside_share * blocks * RN_BLOCK_BYTES) {
        return 0;
    }
    return (uint32_t)blocks - sorter->aside_count;
}

static ration_status add_aside(rn_sorter *sorter, uint32_t blocks)
{
    for (; blocks > 0; blocks--) {
        char *bytes = ration_context_allocate(sorter->context, RN_ROWS_SPARE_BYTES);
        if (bytes == NULL) {
            return ration_context_status(sorter->context);
        }
        sorter->aside[sorter->aside_count++] = bytes;
    }
    return RATION_OK;
}

int64_t rn_sorter_aside_bytes(const rn_sorter *sorter)
{
    return sorter->aside_count == 0 /* perhaps not open */
               ? 0
               : sorter->aside_count * rn_context_bound_one(sorter->context, RN_ROWS_SPARE_BYTES);
}

void rn_sorter_clear_aside(rn_sorter *sorter)
{
    for (; sorter->aside_count > 0; sorter->aside_count--) {
        ration_context_free(sorter->aside[sorter->aside_count - 1]);
    }
}

/* How many of the rows can be added now, and are settled for; 0 = ask again. */
static ration_status settle_part(rn_sorter *sorter, const rn_batch *batch, const uint16_t *picks,
                                 uint32_t count, uint32_t *out_count)
{
    rn_operator *op = sorter->op;
    const rn_rows *rows = &sorter->pieces->rows;
    uint64_t spills = op->spills;
    int64_t entries = entries_bound(sorter);
    int64_t granted, bytes = rn_rows_bound(rows, batch, NULL, picks, count);
    uint32_t aside = aside_wanted(sorter, count, bytes);
    int64_t aside_bytes = aside * rn_context_bound_one(sorter->context, RN_ROWS_SPARE_BYTES);
    bytes += entries;
    RN_TRY(rn_settle_between(op, 0, bytes + aside_bytes, &granted));
    *out_count = count;
    if (aside > 0 && granted >= bytes + aside_bytes && op->spills == spills) {
        RN_TRY(add_aside(sorter, aside));
    }
    if (granted < bytes) {
        *out_count = rn_rows_fit(rows, batch, NULL, picks, count, RN_BLOCK_BYTES, &bytes);
        RN_TRY(rn_settle(op, 0, bytes + entries));
    }
    if (op->spills != spills) {
        *out_count = 0;
    }
    return RATION_OK;
}

ration_status rn_sorter_add(rn_sorter *sorter, const rn_batch *batch, const uint64_t *keys,
                            const uint16_t *picks, uint32_t count)
{
    picks = picks == NULL ? sorter->all : picks;
    for (uint32_t at = 0, part; at < count; at += part) {
        if (rn_runs_full(&sorter->runs)) { /* of one batch many parts may be written out */
            RN_TRY(rn_runs_narrow(&sorter->runs, RN_RUNS_MAX));
        }
        RN_TRY(turn_piece(sorter, count - at));
        uint32_t left = entries_left(sorter);
        part = RN_MIN(count - at, left == 0 ? RN_SORT_RUN_ENTRIES : left);
        RN_TRY(settle_part(sorter, batch, picks + at, part, &part));
        if (part == 0) {
            continue;
        }
        ration_status status = append(sorter, batch, keys, picks + at, part);
        if (status != RATION_OK) {
            return rn_append_failed(sorter->op, status);
        }
    }
    return RATION_OK;
}

/* ----------------------------------------------------------------------------------- forgetting */

int64_t rn_sorter_held(const rn_sorter *sorter)
{
    int64_t bytes = 0;
    for (const struct rn_sort_piece *piece = sorter->pieces; piece != NULL; piece = piece->next) {
        bytes += piece->runs == NULL ? 0 : piece_bytes(piece);
    }
    return bytes;
}

void rn_sorter_choose(rn_sorter *sorter, int64_t want_bytes)
{
    int64_t older = rn_sorter_held(sorter);
    for (struct rn_sort_piece *piece = sorter->pieces; piece != NULL; piece = piece->next) {
        older -= piece->runs == NULL ? 0 : piece_bytes(piece);
        piece->chosen = piece->runs != NULL && older < want_bytes;
    }
}

static uint32_t count_runs(const struct rn_sort_piece *piece)
{
    uint32_t count = 0;
    for (const struct rn_sort_run *run = piece->runs; run != NULL; run = run->next) {
        count++;
    }
    return count;
}

void rn_sorter_forget(rn_sorter *sorter)
{
    struct rn_sort_piece **link = &sorter->pieces;
    while (*link != NULL) {
        struct rn_sort_piece *piece = *link;
        if (!piece->chosen) {
            link = &piece->next;
            continue;
        }
        sorter->run_count -= count_runs(piece);
        piece->runs = NULL;
        piece->chosen = false;
        if (piece == sorter->pieces) {
            rn_rows_reset(&piece->rows);
            link = &piece->next;
            continue;
        }
        *link = piece->next;
        rn_rows_close(&piece->rows);
        piece->next = sorter->unused;
        sorter->unused = piece;
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving the rows of a sorter in order, and writing them out before and meanwhile.
 *
 *     filling:  spill writes the oldest pieces as a run
 *     drawing:  nothing was written; rows come from memory. Spill writes all that is left as a run
 *     merging:  rows come from runs and from what is still in memory. Spill writes that and
 *               suspends the merge: its buffers are free, and it begins again where it was
 *
 * While there is room for all that the plan needs at least, rows from memory are given as they lie
 * there, and nothing is spilled until the consumer is done with them. With less, and from runs,
 * they are copied on their way out, into one block: so nothing that a consumer has in hand refers
 * to what is held, and all of it can be given back at any settle, also for that consumer.
 *
 * How much is written: what others ask for. When it is the query's own limit, a quarter of what is
 * held for the first runs, so that of an input that nearly fits most stays in memory; later half,
 * then all, because each run costs a buffer when they are merged. */
#include "executor/ask.h"
#include "executor/execution.h"
#include "iterators/minimum.h"
#include "iterators/sort_piece.h"

#define RUNS_OF_QUARTERS 4u
#define RUNS_OF_HALVES 16u
#define COPIES_AHEAD 8u
#define LINE_BYTES 64
#define PREFETCH_BYTES_MAX 512u

/* ------------------------------------------------------------------------------------- spilling */

/* Asks for what is behind the first line of a row taken: that was asked for when it was taken. */
static inline void prefetch_row(const rn_sorter *sorter, uint32_t index)
{
    if (index < sorter->taken_count) {
        const char *row = (const char *)sorter->taken[index].row;
        const char *end = row + RN_MIN(rn_row_bytes(sorter->taken[index].row), PREFETCH_BYTES_MAX);
        for (row += LINE_BYTES; row < end; row += LINE_BYTES) {
            __builtin_prefetch(row);
        }
    }
}

/* Writes what was taken and not given, then what is left in the tree, as a run. */
static ration_status write_rows(rn_sorter *sorter, int64_t rows)
{
    rn_run_writer *writer = &sorter->runs.writer;
    rn_sort_entry entry = {0, NULL};
    while (rows > 0) {
        if (sorter->taken_at == sorter->taken_count) {
            sorter->taken_at = 0;
            sorter->taken_count = rn_sorter_take(sorter, sorter->taken, RN_SORT_TAKEN);
            if (sorter->taken_count == 0) {
                break;
            }
        }
        prefetch_row(sorter, sorter->taken_at + COPIES_AHEAD);
        entry = sorter->taken[sorter->taken_at++];
        RN_TRY(rn_row_run_put(writer, entry.key, entry.row));
        rows -= 1;
    }
    if (rows == 0) {
        sorter->last_key = RN_MIN(sorter->last_key, entry.key);
    }
    sorter->taken_at = sorter->taken_count = 0;
    return RATION_OK;
}

static ration_status write_run(rn_sorter *sorter)
{
    rn_runs_begin(&sorter->runs, sorter->op->worker->spill_buffer);
    ration_status status = write_rows(sorter, sorter->rows_left);
    if (status != RATION_OK) {
        rn_runs_abandon(&sorter->runs);
        return status;
    }
    RN_TRY(rn_runs_end(&sorter->runs, 1));
    rn_sorter_forget(sorter);
    return RATION_OK;
}

static ration_status write_pieces(rn_sorter *sorter, int64_t want_bytes)
{
    rn_sorter_choose(sorter, want_bytes);
    rn_sorter_plant(sorter);
    return write_run(sorter);
}

static int64_t choose_bytes(const rn_sorter *sorter, int64_t want_bytes)
{
    uint32_t runs = sorter->runs.count;
    if (rn_runs_full(&sorter->runs)) {
        return INT64_MAX;
    }
    if (rn_ask_wants(sorter->op->worker->query) != 0) {
        return want_bytes;
    }
    int64_t share = runs < RUNS_OF_QUARTERS ? 4 : runs < RUNS_OF_HALVES ? 2 : 1;
    return RN_MAX(want_bytes, rn_sorter_held(sorter) / share);
}

rn_spillable rn_sorter_spillable(const rn_sorter *sorter)
{
    if (sorter->op == NULL || !rn_runs_room(&sorter->runs)) {
        return (rn_spillable){0, 0};
    }
    bool buffers = sorter->merging && sorter->merge.count > 2;
    int64_t bytes = rn_sorter_held(sorter) + rn_sorter_aside_bytes(sorter) +
                    (buffers ? ration_context_bytes(sorter->merge.context, false) : 0);
    return sorter->handed ? (rn_spillable){0, bytes} : (rn_spillable){bytes, 0};
}

ration_status rn_sorter_spill(rn_sorter *sorter, int64_t want_bytes)
{
    rn_assert(!sorter->handed);
    rn_sorter_clear_aside(sorter);
    if (sorter->merging) {
        sorter->merging = false;
        RN_TRY(rn_merge_suspend(&sorter->merge, &sorter->runs));
        sorter->drawing = false;
        rn_sorter_forget(sorter);
        return RATION_OK;
    }
    if (sorter->drawing) {
        sorter->drawing = false;
        return write_run(sorter);
    }
    return write_pieces(sorter, choose_bytes(sorter, want_bytes));
}

/* --------------------------------------------------------------------------------------- giving */

static void start_drawing(rn_sorter *sorter)
{
    if (!sorter->drawing) {
        rn_sorter_choose(sorter, INT64_MAX);
        rn_sorter_plant(sorter);
        sorter->drawing = true;
    }
}

/* The same as rn_sorter_draw, for a merge: while that settles, rows may still be written in pieces.
 */
static bool draw_late(void *of, uint64_t *out_key, const rn_row **out_row)
{
    start_drawing(of);
    return rn_sorter_draw(of, out_key, out_row);
}

/* When there are not buffers for all runs, what is held makes room for them: a merge with few
 * buffers writes everything once more, this only what is in their way. */
static ration_status start_merging(rn_sorter *sorter)
{
    rn_merge_memory memory = {draw_late, sorter, 0};
    while (rn_sorter_held(sorter) > 0 && rn_runs_room(&sorter->runs)) {
        int64_t granted, bound = rn_merge_bound(&sorter->runs, 1, &memory);
        RN_TRY(rn_settle_between(sorter->op, 0, bound, &granted));
        if (granted >= bound) {
            break;
        }
        RN_TRY(write_pieces(sorter, bound - granted + RN_BLOCK_BYTES));
    }
    RN_TRY(rn_merge_start(&sorter->merge, &sorter->runs, 1, &memory));
    sorter->merging = true;
    return RATION_OK;
}

/* Room for the copies, at least out_need bytes. */
static ration_status make_room(rn_sorter *sorter)
{
    rn_operator *op = sorter->op;
    if (sorter->out_room >= sorter->out_need) {
        return RATION_OK;
    }
    if (sorter->out == NULL) {
        RN_TRY(rn_settle(op, 0, rn_minimum_context()));
        RN_TRY(ration_context_create(sorter->context, op->worker->slot, RATION_CONTEXT_BUMP,
                                     "rows given", &sorter->out));
    }
    ration_context_reset(sorter->out);
    sorter->out_room = 0;
    RN_TRY(rn_settle(op, 0, rn_context_bound_one(sorter->out, sorter->out_need)));
    sorter->out_bytes = ration_context_allocate(sorter->out, sorter->out_need);
    if (sorter->out_bytes == NULL) {
        return ration_context_status(sorter->out);
    }
    sorter->out_room = sorter->out_need;
    return RATION_OK;
}

/* A copy of the row, behind `*used` bytes; NULL when there is no room. */
static inline const rn_row *copy_row(rn_sorter *sorter, const rn_row *row, size_t *used)
{
    size_t bytes = rn_row_bytes(row);
    if (bytes > sorter->out_room - *used) {
        sorter->out_need = RN_MAX(sorter->out_need, bytes);
        return NULL;
    }
    char *copy = sorter->out_bytes + *used;
    memcpy(copy, row, bytes);
    *used += bytes;
    return (const rn_row *)(const void *)copy;
}

static uint32_t give_from_memory(rn_sorter *sorter, const rn_row **out_rows, uint32_t capacity,
                                 bool copied)
{
    uint32_t count = 0;
    size_t used = 0;
    if (sorter->taken_at == sorter->taken_count) {
        sorter->taken_at = 0;
        sorter->taken_count =
            rn_sorter_take(sorter, sorter->taken, RN_MIN(RN_SORT_TAKEN, capacity));
    }
    for (; count < capacity && sorter->taken_at < sorter->taken_count; sorter->taken_at++) {
        const rn_row *row = sorter->taken[sorter->taken_at].row;
        if (copied) {
            prefetch_row(sorter, sorter->taken_at + COPIES_AHEAD);
            row = copy_row(sorter, row, &used);
            if (row == NULL) {
                break;
            }
        }
        sorter->given_key = sorter->taken[sorter->taken_at].key;
        out_rows[count++] = row;
    }
    return count;
}

static ration_status give_from_runs(rn_sorter *sorter, const rn_row **out_rows, uint32_t capacity,
                                    uint32_t *out_count)
{
    rn_merge *merge = &sorter->merge;
    size_t used = 0;
    *out_count = 0;
    while (*out_count < capacity && merge->row != NULL) {
        const rn_row *row = copy_row(sorter, merge->row, &used);
        if (row == NULL) {
            break;
        }
        sorter->given_key = merge->key;
        out_rows[(*out_count)++] = row;
        RN_TRY(rn_merge_step(merge));
    }
    return RATION_OK;
}

/* Need rows from memory be copied, so that all that is held can be given back meanwhile? Not where
 * they refer to nothing, and not while what the plan needs at least is free besides. */
static ration_status look_for_room(rn_sorter *sorter, bool *out_copied)
{
    const rn_worker *worker = sorter->op->worker;
    int64_t granted;
    if (!sorter->layout.has_variable) {
        *out_copied = false;
        return RATION_OK;
    }
    if (sorter->room_bytes < 0) {
        rn_sizes sizes = {worker->batch_rows, worker->max_row_bytes};
        sorter->room_bytes = rn_plan_minimum(worker->execution->plan, &sizes);
    }
    RN_TRY(rn_settle_between(sorter->op, 0, sorter->room_bytes, &granted));
    *out_copied = granted < sorter->room_bytes;
    return RATION_OK;
}

ration_status rn_sorter_rows(rn_sorter *sorter, const rn_row **out_rows, uint32_t capacity,
                             uint32_t *out_count)
{
    capacity = (uint32_t)RN_MIN((int64_t)capacity, sorter->rows_left);
    uint32_t count = 0;
    sorter->handed = false;
    rn_sorter_clear_aside(sorter);
    bool copied = true;
    do { /* again when a row is wider than the room there was */
        if (sorter->runs.count == 0) {
            RN_TRY(look_for_room(sorter, &copied));
        }
        copied |= sorter->runs.count > 0;
        if (copied) {
            RN_TRY(make_room(sorter));
        }
        if (sorter->runs.count > 0 && !sorter->merging) {
            RN_TRY(start_merging(sorter));
        }
        if (sorter->merging) {
            RN_TRY(give_from_runs(sorter, out_rows, capacity, &count));
        } else {
            start_drawing(sorter);
            count = give_from_memory(sorter, out_rows, capacity, copied);
            sorter->handed = !copied && sorter->layout.has_variable;
        }
    } while (count == 0 && copied && sorter->out_room < sorter->out_need);
    sorter->rows_left -= sorter->rows_left == INT64_MAX ? 0 : count;
    *out_count = count;
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- minimum */

static void draft_open(rn_draft *draft)
{
    rn_context_draft_open(draft);
    rn_minimum_array(draft, 1, RN_RUNS_OPEN_BYTES);
    rn_minimum_array(draft, RN_SORT_TAKEN, sizeof(rn_sort_entry));
    rn_minimum_array(draft, RN_BATCH_ROWS_MAX, sizeof(uint16_t));
    rn_minimum_array(draft, 1, sizeof(struct rn_sort_piece));
}

int64_t rn_sorter_open_bytes(void)
{
    rn_draft draft;
    draft_open(&draft);
    return draft.bytes + rn_minimum_context();
}

rn_minimum rn_sorter_minimum(const rn_schema *schema, const rn_sizes *sizes)
{
    rn_draft draft;
    rn_layout layout;
    rn_minimum_layout(schema, &layout);
    int64_t row_bytes = rn_minimum_row_bytes(&layout, sizes);
    rn_sizes of_rows = {sizes->batch_rows, row_bytes};
    draft_open(&draft);
    rn_minimum_array(&draft, 1, RN_SORT_RUN_BYTES); /* spare */
    rn_minimum_array(&draft, RN_SORT_TREE_FIRST, RN_SORT_TREE_BYTES);
    int64_t always = draft.bytes + rn_minimum_context(); /* an empty piece */
    int64_t run_bytes = rn_minimum_buffer(RN_SORT_RUN_BYTES);
    int64_t narrow = rn_runs_minimum(&of_rows);
    int64_t out_bytes = RN_MAX((int64_t)RN_RUN_BLOCK_BYTES, row_bytes);
    int64_t give = rn_minimum_context() + rn_minimum_buffer(out_bytes);
    int64_t lists = rn_minimum_lists(&layout, 0, layout.column_count, out_bytes);
    return (rn_minimum){
        always + RN_MAX(run_bytes + rn_minimum_block(row_bytes), narrow),
        always + give + lists + narrow,
    };
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * One side of a join: rows held by key, and written out by shard.
 *
 *     rn_join_side_set -> rn_join_side_open
 *         -> per batch: rn_join_side_take
 *         -> rn_join_side_write when memory is wanted -> rn_join_side_forget -> rn_join_side_close
 *
 * Rows with equal keys hang in one list behind the first of them, through a column of links at the
 * end of the row: the table has one entry per key, however often it occurs. Semi and anti need no
 * more of the build side than its keys, so they hold one row per key and have no link.
 *
 * What is written out goes in the order of the word (rn_groups_word) only: rows of equal words come
 * back in any order, so that whoever reads them compares keys, and a key that lies in several runs
 * needs no care.
 *
 * Invariants
 *   1. Each list holds exactly the rows of one key that are in memory; its head is the row the
 *      table knows.
 *   2. Every row of a shard outside `spilled` is in memory. */
#include "iterators/join.h"
#include "iterators/wide.h"

/* The link of a new row: the same zero for every row. */
static ration_status set_link_column(rn_operator *op, rn_join_side *side)
{
    uint32_t rows = op->worker->batch_rows;
    uint64_t *zero = ration_context_allocate_zero(op->context, sizeof *zero);
    uint16_t *first = ration_context_allocate_zero(op->context, rows * sizeof *first);
    if (zero == NULL || first == NULL) {
        return ration_context_status(op->context);
    }
    side->held[side->held_count] = side->batch.column_count - 1;
    side->held_count += 1;
    side->batch.columns[side->batch.column_count - 1] =
        (rn_column){rn_type_of(RN_EDGE), zero, NULL, first};
    return RATION_OK;
}

ration_status rn_join_side_set(rn_operator *op, const rn_schema *input, uint32_t more,
                               const uint32_t *keys, uint32_t key_count, const uint32_t *held,
                               uint32_t held_count, bool linked, rn_join_side *out_side)
{
    rn_batch *batch = &out_side->batch;
    batch->column_count = input->count + more + linked;
    batch->columns =
        ration_context_allocate_zero(op->context, batch->column_count * sizeof *batch->columns);
    out_side->held =
        ration_context_allocate(op->context, (held_count + 1) * sizeof *out_side->held);
    if (batch->columns == NULL || out_side->held == NULL) {
        return ration_context_status(op->context);
    }
    memcpy(out_side->held, held, held_count * sizeof *held);
    out_side->keys = keys;
    out_side->key_count = key_count;
    out_side->held_count = held_count;
    out_side->linked = linked;
    return linked ? set_link_column(op, out_side) : RATION_OK;
}

void rn_join_side_draft(rn_draft *draft, uint32_t columns, uint32_t held_count, bool linked,
                        const rn_sizes *sizes)
{
    rn_minimum_array(draft, columns + linked, sizeof(rn_column));
    rn_minimum_array(draft, held_count + 1, sizeof(uint32_t));
    if (linked) {
        rn_minimum_array(draft, 1, sizeof(uint64_t));
        rn_minimum_array(draft, sizes->batch_rows, sizeof(uint16_t));
    }
}

void rn_join_side_open_draft(rn_draft *draft, const rn_sizes *sizes)
{
    rn_minimum_array(draft, 1, RN_RUNS_OPEN_BYTES);
    rn_groups_draft(draft, sizes);
}

ration_status rn_join_side_open(rn_operator *op, const rn_type *types, rn_join_side *side)
{
    const rn_row_order order = {NULL, NULL};
    rn_type held[RN_COLUMNS_MAX];
    uint32_t payload = side->held_count - side->linked;
    for (uint32_t i = 0; i < payload; i++) {
        held[i] = types[side->held[i]];
    }
    held[payload] = rn_type_of(RN_EDGE);
    RN_TRY(rn_runs_open(op, order, &side->runs));
    RN_TRY(rn_groups_open(op, held, side->held_count, side->key_count, &side->groups));
    side->groups.may_double = true; /* one list per key, or several: rows are matched by word */
    side->opened = true;
    return RATION_OK;
}

/* --------------------------------------------------------------------------------------- taking */

static void set_link(const rn_join_side *side, const rn_row *row, const rn_row *next)
{
    rn_row_patch(&side->groups.layout, row, side->held_count - 1, (uint64_t)(uintptr_t)next);
}

/* Holds rows that were looked up and settled for. */
static ration_status hold_rows(rn_join_side *side, const uint16_t *picks, uint32_t count,
                               const rn_row **room)
{
    rn_groups *groups = &side->groups;
    if (!side->linked) {
        return rn_groups_add(groups, &side->batch, side->held);
    }
    RN_TRY(rn_groups_append(groups, &side->batch, side->held, picks, count, room));
    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = picks[n];
        const rn_row *row = room[n], *head = groups->found[i];
        if (head == NULL) {
            uint32_t fresh = groups->fresh_of[i];
            if (groups->fresh[fresh] == i) {
                groups->fresh_rows[fresh] = row;
                RN_TRY(rn_groups_enter(groups, groups->hashes[i], row));
                continue;
            }
            head = groups->fresh_rows[fresh];
        }
        set_link(side, row, rn_join_link(side, head));
        set_link(side, head, row);
    }
    return RATION_OK;
}

static int64_t count_bound(rn_join_side *side, const uint16_t *picks, uint32_t count)
{
    rn_groups *groups = &side->groups;
    return side->linked ? rn_groups_append_bound(groups, &side->batch, side->held, picks, count) +
                              rn_groups_table_bound(groups)
                        : rn_groups_bound(groups, &side->batch, side->held);
}

/* Takes rows in; false in out_done when they need too much at a time and are more than one. */
static ration_status take_part(rn_operator *op, rn_join_side *side, const uint16_t *picks,
                               uint32_t count, const rn_row **room, bool *out_done)
{
    uint64_t spills;
    do {
        spills = op->spills;
        rn_groups_find(&side->groups, &side->batch, side->keys, picks, count, true);
        int64_t bound = count_bound(side, picks, count);
        *out_done = count == 1 || bound <= RN_JOIN_PART_BYTES;
        if (!*out_done) {
            return RATION_OK;
        }
        RN_TRY(rn_settle(op, 0, bound));
    } while (spills != op->spills); /* then what was found may be gone */
    ration_status status = hold_rows(side, picks, count, room);
    return status == RATION_OK ? RATION_OK : rn_append_failed(op, status);
}

static ration_status narrow_side(rn_join_side *side)
{
    return side->opened && rn_runs_full(&side->runs) ? rn_runs_narrow(&side->runs, RN_RUNS_MAX / 2)
                                                     : RATION_OK;
}

ration_status rn_join_narrow(rn_operator *op)
{
    rn_join_state *state = op->state;
    RN_TRY(narrow_side(&state->build));
    return narrow_side(&state->probe);
}

ration_status rn_join_side_take(rn_operator *op, rn_join_side *side, const uint16_t *picks,
                                uint32_t count, const rn_row **room)
{
    uint32_t part = count;
    for (uint32_t start = 0; start < count;) {
        bool done;
        RN_TRY(rn_join_narrow(op)); /* of one batch many parts may be written out */
        part = RN_MIN(part, count - start);
        RN_TRY(take_part(op, side, picks + start, part, room, &done));
        start += done ? part : 0;
        part = done ? count : (part + 1) / 2;
    }
    return RATION_OK;
}

/* ---------------------------------------------------------------------------------- writing out */

void rn_join_source_set(rn_join_source *source, rn_join_side *side, uint64_t mask)
{
    source->side = side;
    source->next = NULL;
    rn_groups_source_set(&source->heads, &side->groups, mask);
}

bool rn_join_source_next(void *state, uint64_t *out_word, const rn_row **out_row)
{
    rn_join_source *source = state;
    if (source->next == NULL &&
        !rn_groups_source_next(&source->heads, &source->word, &source->next)) {
        return false;
    }
    *out_word = source->word;
    *out_row = source->next;
    source->next = source->side->linked ? rn_join_link(source->side, source->next) : NULL;
    return true;
}

/* The link means nothing in a run; where it ends the row, the row is written without it. */
static void cut_link(const rn_join_side *side, const rn_row *row)
{
    uint32_t bytes = rn_row_bytes(row) - (uint32_t)sizeof(uint64_t);
    if (side->linked && !side->groups.layout.has_variable) {
        memcpy((char *)(uintptr_t)row, &bytes, sizeof bytes);
    }
}

static ration_status write_rows(rn_join_side *side, uint64_t mask)
{
    rn_join_source source;
    uint64_t word;
    const rn_row *row;
    rn_join_source_set(&source, side, mask);
    while (rn_join_source_next(&source, &word, &row)) {
        cut_link(side, row);
        RN_TRY(rn_row_run_put(&side->runs.writer, word, row));
    }
    return RATION_OK;
}

ration_status rn_join_side_write(rn_operator *op, rn_join_side *side, uint64_t mask)
{
    rn_runs_begin(&side->runs, op->worker->spill_buffer);
    ration_status status = write_rows(side, mask);
    if (status != RATION_OK) {
        rn_runs_abandon(&side->runs);
        return status;
    }
    RN_TRY(rn_runs_end(&side->runs, 1)); /* one part: they are merged from front to end */
    rn_join_side_forget(side, mask);
    side->spilled |= mask;
    return RATION_OK;
}

void rn_join_side_forget(rn_join_side *side, uint64_t mask)
{
    for (; side->opened && mask != 0; mask &= mask - 1) {
        rn_groups_forget(&side->groups, (uint32_t)__builtin_ctzll(mask));
    }
}

void rn_join_side_close(rn_join_side *side)
{
    if (side->opened) {
        rn_runs_close(&side->runs);
        side->opened = false;
    }
}

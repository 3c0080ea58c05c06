/* SPDX-License-Identifier: Apache-2.0
 *
 * Different rows. Each row held carries a flag, whether it was given already: said to be new when
 * it was added. A shard is given row by row until it is written out for the first time; from then
 * on its rows are held ungiven. At the end runs and memory are merged by (word, key, given first):
 * the first of equal rows says whether any was given, and if not it is the one to give.
 *
 * Invariants
 *   1. Rows of a shard outside `spilled` are given, all in memory, and different.
 *   2. Of equal rows at most one is given, in memory and runs together; in dense shards, which were
 *      written out before, none is.
 *   3. While draining, shards outside `spilled` are forgotten: nothing of them is left to give. */
#include "iterators/unique.h"

#define STEPS_PER_DRAIN 4096u

static bool is_given(const rn_unique *unique, const rn_row *row)
{
    return *(const uint8_t *)rn_row_fixed(&unique->groups.layout, row, unique->count) != 0;
}

static int compare_rows(const void *with, const rn_row *a, const rn_row *b)
{
    const rn_unique *unique = with;
    int order = rn_groups_compare(&unique->groups, a, b);
    return order != 0 ? order : (int)is_given(unique, b) - (int)is_given(unique, a);
}

ration_status rn_unique_open(rn_operator *op, const rn_type *types, uint32_t count,
                             rn_unique *out_unique)
{
    rn_type held[RN_COLUMNS_MAX];
    uint32_t rows = op->worker->batch_rows;
    rn_assert(count < RN_COLUMNS_MAX);
    memcpy(held, types, count * sizeof *types);
    held[count] = rn_type_of(RN_BOOL);
    out_unique->op = op;
    out_unique->count = count;
    out_unique->batch.column_count = count + 1;
    out_unique->batch.columns =
        ration_context_allocate(op->context, (count + 1) * sizeof(rn_column));
    out_unique->keys = ration_context_allocate(op->context, count * sizeof *out_unique->keys);
    out_unique->given = ration_context_allocate(op->context, rows);
    if (out_unique->batch.columns == NULL || out_unique->keys == NULL ||
        out_unique->given == NULL) {
        return ration_context_status(op->context);
    }
    for (uint32_t i = 0; i < count; i++) {
        out_unique->keys[i] = i;
    }
    out_unique->batch.columns[count] =
        (rn_column){rn_type_of(RN_BOOL), out_unique->given, NULL, NULL};
    RN_TRY(rn_runs_open(op, (rn_row_order){compare_rows, out_unique}, &out_unique->runs));
    RN_TRY(rn_groups_open(op, held, count + 1, count, &out_unique->groups));
    out_unique->groups.may_double = true;
    return RATION_OK;
}

void rn_unique_draft(rn_draft *draft, uint32_t count, const rn_sizes *sizes)
{
    rn_minimum_array(draft, count + 1, sizeof(rn_column));
    rn_minimum_array(draft, count, sizeof(uint32_t));
    rn_minimum_array(draft, sizes->batch_rows, sizeof(uint8_t));
    rn_minimum_array(draft, 1, RN_RUNS_OPEN_BYTES);
    rn_groups_draft(draft, sizes);
}

int64_t rn_unique_draining_bytes(int64_t row_bytes, const rn_sizes *sizes)
{
    rn_sizes widest = {sizes->batch_rows, row_bytes};
    return rn_minimum_buffer(row_bytes) + rn_runs_minimum(&widest);
}

void rn_unique_close(rn_unique *unique)
{
    if (unique->op != NULL) {
        rn_merge_close(&unique->merge);
        rn_runs_close(&unique->runs);
        unique->op = NULL;
    }
}

/* ------------------------------------------------------------------------------------ taking in */

void rn_unique_find(rn_unique *unique, const rn_column *columns, uint32_t rows,
                    const uint16_t *picks, uint32_t picked)
{
    rn_groups *groups = &unique->groups;
    memcpy(unique->batch.columns, columns, unique->count * sizeof *columns);
    unique->batch.rows = rows;
    rn_groups_find(groups, &unique->batch, unique->keys, picks, picked, true);
    for (uint32_t i = 0; i < groups->fresh_count; i++) {
        uint32_t shard = rn_groups_shard(groups->fresh_hashes[i]);
        unique->given[groups->fresh[i]] = (unique->spilled >> shard & 1) == 0;
    }
}

int64_t rn_unique_bound(rn_unique *unique)
{
    return rn_groups_bound(&unique->groups, &unique->batch, NULL);
}

ration_status rn_unique_add(rn_unique *unique, uint16_t *out_fresh, uint32_t *out_count)
{
    const rn_groups *groups = &unique->groups;
    uint32_t count = 0;
    RN_TRY(rn_groups_add(&unique->groups, &unique->batch, NULL));
    for (uint32_t i = 0; i < groups->fresh_count; i++) {
        out_fresh[count] = groups->fresh[i];
        count += unique->given[groups->fresh[i]];
    }
    *out_count = count;
    return RATION_OK;
}

/* ------------------------------------------------------------------------------------- spilling */

int64_t rn_unique_spillable(const rn_unique *unique)
{
    if (!rn_runs_room(&unique->runs)) {
        return 0;
    }
    if (!unique->draining) {
        return rn_groups_bytes(&unique->groups);
    }
    int64_t held = rn_merge_has_memory(&unique->merge) ? rn_groups_bytes(&unique->groups) : 0;
    return unique->merging ? held + rn_merge_bytes(&unique->merge) : 0;
}

static ration_status write_shards(rn_unique *unique, uint64_t mask)
{
    rn_runs *runs = &unique->runs;
    rn_groups_source source;
    uint64_t word;
    const rn_row *row;
    rn_groups_source_set(&source, &unique->groups, mask);
    rn_runs_begin(runs, unique->op->worker->spill_buffer);
    while (rn_groups_source_next(&source, &word, &row)) {
        ration_status status = source.same ? RATION_OK : rn_row_run_put(&runs->writer, word, row);
        if (status != RATION_OK) {
            rn_runs_abandon(runs);
            return status;
        }
    }
    return rn_runs_end(runs, mask);
}

static void forget_shards(rn_unique *unique, uint64_t mask)
{
    for (; mask != 0; mask &= mask - 1) {
        rn_groups_forget(&unique->groups, (uint32_t)__builtin_ctzll(mask));
    }
}

static void copy_last(rn_unique *unique)
{
    if (unique->last != NULL && unique->last != unique->last_copy) {
        memcpy(unique->last_copy, unique->last, rn_row_bytes(unique->last));
        unique->last = unique->last_copy;
    }
}

ration_status rn_unique_spill(rn_unique *unique, int64_t want_bytes)
{
    uint64_t all = (UINT64_C(1) << RN_GROUP_SHARDS) - 1;
    if (rn_unique_spillable(unique) == 0) {
        return RATION_OK;
    }
    if (unique->draining) {
        copy_last(unique);
        unique->merging = false;
        RN_TRY(rn_merge_suspend(&unique->merge, &unique->runs));
        forget_shards(unique, all);
        return RATION_OK;
    }
    int64_t bytes[RN_GROUP_SHARDS];
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        bytes[s] = rn_groups_shard_bytes(&unique->groups, s);
    }
    uint64_t mask =
        rn_runs_full(&unique->runs) ? all : rn_groups_choose(bytes, unique->spilled, want_bytes);
    RN_TRY(write_shards(unique, mask));
    forget_shards(unique, mask);
    unique->spilled |= mask;
    return RATION_OK;
}

/* ------------------------------------------------------------------------------------- draining */

/* Writes out what is in memory when there are not buffers besides: while a consumer has a batch in
 * hand it could not be given to him. */
static ration_status make_way(rn_unique *unique, const rn_merge_memory *memory)
{
    int64_t granted, bound = rn_merge_bound(&unique->runs, UINT64_MAX, memory);
    RN_TRY(rn_settle_between(unique->op, 0, bound, &granted));
    if (granted >= bound || unique->groups.count == 0 || !rn_runs_room(&unique->runs)) {
        return RATION_OK;
    }
    RN_TRY(write_shards(unique, unique->spilled));
    forget_shards(unique, unique->spilled);
    return RATION_OK;
}

ration_status rn_unique_finish(rn_unique *unique)
{
    rn_operator *op = unique->op;
    if (unique->spilled == 0) {
        unique->ended = true;
        return RATION_OK;
    }
    size_t widest = (size_t)rn_groups_widest(&unique->groups);
    RN_TRY(rn_settle(op, 0, rn_context_bound_one(op->context, widest)));
    unique->last_copy = ration_context_allocate(op->context, widest);
    if (unique->last_copy == NULL) {
        return ration_context_status(op->context);
    }
    /* Until here more may have been written out; what was not is given. */
    forget_shards(unique, ~unique->spilled & ((UINT64_C(1) << RN_GROUP_SHARDS) - 1));
    rn_groups_source_set(&unique->source, &unique->groups, unique->spilled);
    rn_merge_memory memory = {
        .next = rn_groups_source_next, .state = &unique->source, .widest_bytes = (int64_t)widest};
    RN_TRY(make_way(unique, &memory));
    RN_TRY(rn_merge_start(&unique->merge, &unique->runs, UINT64_MAX,
                          unique->groups.count > 0 ? &memory : NULL));
    unique->draining = true;
    unique->merging = true;
    return RATION_OK;
}

/* Goes on with the merge where a spill has closed it. */
static ration_status resume(rn_unique *unique)
{
    if (unique->runs.count > 0) { /* else it had given its last row */
        RN_TRY(rn_merge_start(&unique->merge, &unique->runs, UINT64_MAX, NULL));
        unique->merging = true;
    }
    return RATION_OK;
}

void rn_unique_forget(rn_unique *unique)
{
    forget_shards(unique, (UINT64_C(1) << RN_GROUP_SHARDS) - 1);
    rn_merge_close(&unique->merge);
    rn_runs_close(&unique->runs);
}

/* Is the row in hand the first of its kind, and none of them was given? */
static bool is_to_give(const rn_unique *unique)
{
    const rn_merge *merge = &unique->merge;
    bool same = unique->last != NULL && unique->last_word == merge->key &&
                rn_groups_compare(&unique->groups, unique->last, merge->row) == 0;
    return !same && !is_given(unique, merge->row);
}

ration_status rn_unique_drain(rn_unique *unique, const rn_row **out_rows, uint32_t capacity,
                              uint32_t *out_count, bool *out_ended)
{
    rn_merge *merge = &unique->merge;
    uint32_t count = 0;
    if (unique->draining && !unique->merging && !unique->ended) {
        RN_TRY(resume(unique));
    }
    for (uint32_t step = 0; !unique->ended && step < STEPS_PER_DRAIN && count < capacity; step++) {
        if (unique->steps && merge->row != NULL) { /* nothing points into its block any more */
            RN_TRY(rn_merge_step(merge));
            unique->steps = false;
        }
        unique->ended = merge->row == NULL;
        if (unique->ended) {
            break;
        }
        out_rows[count] = merge->row;
        count += is_to_give(unique);
        unique->last = merge->row;
        unique->last_word = merge->key;
        unique->steps = true;
        if (rn_merge_turns(merge)) {
            copy_last(unique);
            if (count > 0) {
                break;
            }
        }
    }
    *out_count = count;
    *out_ended = unique->ended && count == 0;
    if (*out_ended) {
        rn_merge_close(merge);
        unique->merging = false;
    }
    return RATION_OK;
}

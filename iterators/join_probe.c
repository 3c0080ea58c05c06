/* SPDX-License-Identifier: Apache-2.0
 *
 * The build side taken in, and the probe side streamed past it.
 *
 *     rn_join_build -> rn_join_probe until 0 rows
 *
 * Build: a null key matches nothing and is not held. Probe: rows whose shard was never written out
 * are joined at once; the others are put aside, held as the build side's are, and written out in
 * their turn. Which rows those are can change while a batch is in hand: whatever is settled for in
 * between may write out more shards. Pairs given stay given; only rows not yet begun are put aside.
 *
 * Invariants
 *   1. A probe row in hand has its matches from `match` on still to come, and their shard is
 *      pinned.
 *   2. Rows of `list` from the one after that in hand on have null keys, or `found` is right for
 *      them. */
#include "iterators/evaluation.h"
#include "iterators/join.h"
#include "iterators/keys.h"

ration_status rn_join_build(rn_operator *op)
{
    rn_join_state *state = op->state;
    rn_join_side *side = &state->build;
    for (;;) {
        const rn_batch *input;
        RN_TRY(rn_join_narrow(op));
        RN_TRY(rn_next(op, op->inputs[1], &input));
        if (input->rows == 0) {
            return RATION_OK;
        }
        memcpy(side->batch.columns, input->columns, input->column_count * sizeof(rn_column));
        side->batch.rows = input->rows;
        uint32_t count = rn_keys_present(&side->batch, side->keys, side->key_count, state->present);
        RN_TRY(rn_join_side_take(op, side, state->present, count, state->matches));
    }
}

/* -------------------------------------------------------------------------------- putting aside */

static ration_status open_probe_side(rn_operator *op)
{
    rn_join_state *state = op->state;
    const rn_join_side *build = &state->build;
    rn_join_side *probe = &state->probe;
    const rn_sizes sizes = {op->worker->batch_rows, op->worker->max_row_bytes};
    rn_type types[RN_COLUMNS_MAX];
    if (probe->opened) {
        return RATION_OK;
    }
    for (uint32_t c = 0; c < state->input->column_count; c++) {
        types[c] = state->input->columns[c].type;
    }
    for (uint32_t i = 0; i < build->key_count; i++) {
        types[probe->keys[i]] = build->groups.layout.types[i];
    }
    RN_TRY(rn_settle(op, 0, rn_join_probe_bound(op->node, &sizes)));
    return rn_join_side_open(op, types, probe);
}

/* Divides the rows not yet begun: those whose shard was written out go aside, the others become the
 * list; `present` keeps those of it that have a key. */
static uint32_t divide_rows(rn_join_state *state, uint32_t *out_present)
{
    rn_join_side *probe = &state->probe;
    const uint64_t *hashes = state->build.groups.hashes;
    uint32_t with_key =
        rn_keys_present(&probe->batch, probe->keys, probe->key_count, state->present);
    uint32_t listed = 0, aside = 0, next = 0, present = 0;
    for (uint32_t at = state->at; at < state->count; at++) {
        uint32_t row = state->list == NULL ? at : state->list[at];
        while (next < with_key && state->present[next] < row) {
            next++;
        }
        bool keyed = next < with_key && state->present[next] == row;
        bool begun = state->started && at == state->at;
        if (keyed && !begun && (state->build.spilled >> rn_groups_shard(hashes[row]) & 1) != 0) {
            state->aside[aside++] = (uint16_t)row;
        } else {
            state->list_room[listed++] = (uint16_t)row;
            if (keyed) {
                state->present[present++] = (uint16_t)row;
            }
        }
    }
    state->list = state->list_room;
    state->count = listed;
    state->at = 0;
    *out_present = present;
    return aside;
}

/* Holds the rows not yet begun that cannot be joined now; `*out_present` of the others have a key.
 * While that settles, more shards may be written out. */
static ration_status put_aside(rn_operator *op, uint32_t *out_present)
{
    rn_join_state *state = op->state;
    do {
        state->spills = op->spills;
        uint32_t aside = divide_rows(state, out_present);
        if (aside > 0) {
            RN_TRY(open_probe_side(op));
            RN_TRY(rn_join_side_take(op, &state->probe, state->aside, aside, state->matches));
        }
    } while (op->spills != state->spills);
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- probing */

static ration_status compute_keys(rn_operator *op)
{
    const rn_join_args *args = op->node->args;
    rn_join_state *state = op->state;
    for (uint32_t i = 0; i < args->key_count && args->expression_count > 0; i++) {
        if (args->expressions[i] != NULL) {
            RN_TRY(rn_operator_evaluate(op, state->evaluators[i], state->input,
                                        &state->probe.batch.columns[args->probe_keys[i]]));
        }
    }
    return RATION_OK;
}

/* Pulls the next probe batch and looks its rows up, or puts them aside. */
static ration_status pull_probe(rn_operator *op)
{
    rn_join_state *state = op->state;
    rn_join_side *side = &state->probe;
    rn_groups *groups = &state->build.groups;
    uint32_t present;
    RN_TRY(rn_join_narrow(op));
    RN_TRY(rn_next(op, op->inputs[0], &state->input));
    state->at = 0;
    state->count = state->input->rows;
    state->list = NULL;
    state->started = false;
    if (state->count == 0) {
        return RATION_OK;
    }
    memcpy(side->batch.columns, state->input->columns,
           state->input->column_count * sizeof(rn_column));
    side->batch.rows = state->input->rows;
    RN_TRY(compute_keys(op));
    state->spills = op->spills;
    if (state->build.spilled == 0) {
        present = rn_keys_present(&side->batch, side->keys, side->key_count, state->present);
    } else {
        rn_keys_hash(&side->batch, side->keys, side->key_count, groups->hashes);
        RN_TRY(put_aside(op, &present));
    }
    rn_groups_find(groups, &side->batch, side->keys, state->present, present, false);
    return RATION_OK;
}

static inline uint32_t row_at(const rn_join_state *state, uint32_t at)
{
    return state->list == NULL ? at : state->list[at];
}

/* The rows of the batch that have a match, or that have none. */
static uint32_t pick_by_match(rn_join_state *state, bool wanted)
{
    uint32_t count = 0;
    for (; state->at < state->count; state->at++) {
        uint32_t row = row_at(state, state->at);
        state->picks[count] = (uint16_t)row;
        count += (state->build.groups.found[row] != NULL) == wanted;
    }
    return count;
}

/* The next pairs of probe row and build row, up to a batch. Memory that is owed ends it where no
 * row is in hand. */
static uint32_t pair_rows(const rn_operator *op, rn_join_state *state)
{
    bool keep_unmatched = ((const rn_join_args *)op->node->args)->type == RN_JOIN_LEFT;
    uint32_t count = 0;
    state->given_bytes = 0;
    while (state->at < state->count && rn_join_has_room(op, count)) {
        uint32_t row = row_at(state, state->at);
        if (!state->started) {
            if (RN_UNLIKELY(state->owed_bytes > 0) && count > 0) {
                break;
            }
            state->match = state->build.groups.found[row];
            state->started = true;
            if (state->match == NULL && keep_unmatched) {
                state->picks[count] = (uint16_t)row;
                state->matches[count++] = NULL;
            }
        }
        for (; state->match != NULL && rn_join_has_room(op, count); count++) {
            rn_join_count(state, &state->build, state->match);
            state->picks[count] = (uint16_t)row;
            state->matches[count] = state->match;
            state->match = rn_join_link(&state->build, state->match);
        }
        if (state->match == NULL) {
            state->started = false;
            state->at += 1;
        }
    }
    return count;
}

uint32_t rn_join_pinned(const rn_join_state *state)
{
    return state->phase == RN_JOIN_PROBING && state->started
               ? rn_groups_shard(state->build.groups.hashes[row_at(state, state->at)])
               : RN_GROUP_SHARDS;
}

ration_status rn_join_probe(rn_operator *op, uint32_t *out_rows)
{
    const rn_join_args *args = op->node->args;
    rn_join_state *state = op->state;
    uint32_t count = 0, present;
    do {
        if (state->at == state->count) {
            RN_TRY(pull_probe(op));
            if (state->count == 0 && state->list == NULL) {
                break;
            }
        } else {
            RN_TRY(rn_settle(op, 0, 0));
            if (op->spills != state->spills) {
                RN_TRY(put_aside(op, &present));
            }
        }
        count = rn_join_gives_columns(args) ? pair_rows(op, state)
                                            : pick_by_match(state, args->type == RN_JOIN_SEMI);
    } while (count == 0);
    *out_rows = count;
    return RATION_OK;
}

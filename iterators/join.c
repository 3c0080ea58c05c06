/* SPDX-License-Identifier: Apache-2.0
 *
 * join: hash join, inner, left, semi and anti. The sub-plan is the build side: its rows are held,
 * by key; then the input, the probe side, streams past them.
 *
 * A hybrid hash join (DeWitt et al., 1984), in the order of the hash: rows are held in the shards
 * of groups.h; when memory is wanted whole shards of the build side are written out, in order.
 * Probe rows of shards that are in memory are joined as they come; the others are held and written
 * out as well, and at the end the runs of both sides are merged word by word. No recursion: merging
 * is proof against any skew, and a key whose rows do not fit in memory is joined by nested loops
 * over a run.
 *
 *     building -> probing -> merging, when anything was written out -> ended
 *
 * Output of a probe batch: pairs (probe row, build row); probe columns pass through a selection,
 * build columns are read from the rows. A build row missing (left) reads as nulls. Merged rows are
 * read on both sides.
 *
 * Holds: the build side; of the probe side, rows whose shard was written out. Spills: both, by
 * shard in the order of the hash. What cannot be given at once (`lent`: strings of the batch given
 * out lie in build rows; pinned: the row in hand has matches to come) is owed, and given when join
 * is called again. Minimum: of one row of each side and a growth step while filling and probing;
 * merging, a block per side, one for the rows of a key and one for nested loops.
 *
 * Rejected: Grace partitions on disk, again and again until one fits. That needs a buffer for each
 * partition, a bound on its depth, and a way out for a key that no partition can hold. */
#include "iterators/join.h"

#include "executor/execution.h"
#include "iterators/registry.h"

/* ----------------------------------------------------------------------------------------- open */

static ration_status open_evaluators(rn_operator *op, rn_join_state *state)
{
    const rn_join_args *args = op->node->args;
    for (uint32_t i = 0; i < args->key_count; i++) {
        if (args->expressions[i] != NULL) {
            RN_TRY(rn_evaluator_open(args->expressions[i], args->graph, op->context,
                                     op->worker->batch_rows, &state->evaluators[i]));
        }
    }
    return RATION_OK;
}

static ration_status open_arrays(rn_operator *op, rn_join_state *state)
{
    const rn_join_args *args = op->node->args;
    uint32_t rows = op->worker->batch_rows;
    state->present = ration_context_allocate(op->context, rows * sizeof *state->present);
    state->aside = ration_context_allocate(op->context, rows * sizeof *state->aside);
    state->list_room = ration_context_allocate(op->context, rows * sizeof *state->list_room);
    state->picks = ration_context_allocate(op->context, rows * sizeof *state->picks);
    state->matches = ration_context_allocate(op->context, rows * sizeof *state->matches);
    state->evaluators =
        ration_context_allocate_zero(op->context, args->key_count * sizeof(*state->evaluators));
    return state->present == NULL || state->aside == NULL || state->list_room == NULL ||
                   state->picks == NULL || state->matches == NULL || state->evaluators == NULL
               ? ration_context_status(op->context)
               : RATION_OK;
}

static ration_status join_open(rn_operator *op)
{
    const rn_join_args *args = op->node->args;
    rn_join_state *state = op->state;
    const rn_schema *input = &op->node->inputs[0]->output, *other = &op->node->inputs[1]->output;
    rn_type types[RN_COLUMNS_MAX];
    RN_TRY(open_arrays(op, state));
    RN_TRY(open_evaluators(op, state));
    RN_TRY(rn_picker_open(op->context, input->count, op->worker->batch_rows, &state->picker));
    RN_TRY(rn_join_side_set(op, input, args->expression_count, args->probe_keys, args->key_count,
                            args->probe_held, args->probe_held_count, true, &state->probe));
    RN_TRY(rn_join_side_set(op, other, 0, args->build_keys, args->key_count, args->build_held,
                            args->build_held_count, rn_join_gives_columns(args), &state->build));
    for (uint32_t c = 0; c < other->count; c++) {
        types[c] = other->fields[c].type;
    }
    RN_TRY(rn_join_side_open(op, types, &state->build));
    return rn_row_reader_open(op, &state->build.groups.layout, args->key_count,
                              args->build_held_count - args->key_count, &state->reader);
}

static void join_close(rn_operator *op)
{
    rn_join_state *state = op->state;
    rn_join_merge_close(op);
    rn_join_side_close(&state->build);
    rn_join_side_close(&state->probe);
}

/* ------------------------------------------------------------------------------------- spilling */

/* Of the shards of `mask`. */
static int64_t count_bytes(const rn_join_side *side, uint64_t mask)
{
    int64_t bytes = 0;
    for (; side->opened && mask != 0; mask &= mask - 1) {
        bytes += rn_groups_shard_bytes(&side->groups, (uint32_t)__builtin_ctzll(mask));
    }
    return bytes;
}

/* Shards that cannot be written out before join is called again. */
static uint64_t held_back(const rn_join_state *state)
{
    uint32_t pinned = rn_join_pinned(state);
    return state->lent ? RN_JOIN_ALL_SHARDS : pinned < RN_GROUP_SHARDS ? UINT64_C(1) << pinned : 0;
}

/* Of the rows that are being merged from memory. */
static int64_t count_merged(const rn_merge *merge, const rn_join_side *side)
{
    return rn_merge_has_memory(merge) && rn_runs_room(&side->runs)
               ? count_bytes(side, RN_JOIN_ALL_SHARDS)
               : 0;
}

static rn_spillable join_spillable(const rn_operator *op)
{
    const rn_join_state *state = op->state;
    const rn_join_side *build = &state->build, *probe = &state->probe;
    rn_spillable spillable = {0, 0};
    if (state->phase == RN_JOIN_MERGING) {
        int64_t bytes =
            count_merged(&state->merge.build, build) + count_merged(&state->merge.probe, probe);
        *(state->lent ? &spillable.later_bytes : &spillable.now_bytes) = bytes;
        return spillable;
    }
    if (build->opened && rn_runs_room(&build->runs)) {
        uint64_t back = held_back(state);
        spillable.now_bytes = count_bytes(build, RN_JOIN_ALL_SHARDS & ~back);
        spillable.later_bytes = count_bytes(build, back);
    }
    if (probe->opened && rn_runs_room(&probe->runs)) {
        spillable.now_bytes += count_bytes(probe, RN_JOIN_ALL_SHARDS);
    }
    return spillable;
}

static uint64_t choose_shards(const rn_join_side *side, uint64_t of, int64_t want_bytes)
{
    int64_t bytes[RN_GROUP_SHARDS];
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        bytes[s] = count_bytes(side, of & UINT64_C(1) << s);
    }
    return rn_groups_choose(bytes, side->spilled, want_bytes);
}

static ration_status write_shards(rn_operator *op, rn_join_side *side, uint64_t mask,
                                  int64_t *want_bytes)
{
    int64_t bytes = count_bytes(side, mask);
    if (bytes == 0 || !rn_runs_room(&side->runs)) {
        return RATION_OK;
    }
    *want_bytes -= bytes;
    return rn_join_side_write(op, side, mask);
}

/* While probing: first what must be written out in the end anyway, which is what is left in memory
 * of shards that were, and all of the probe side. Then further shards; also when the probe side has
 * come to less than an eighth of what the build side keeps, so that its runs do not become short
 * and many. */
static ration_status spill_probing(rn_operator *op, int64_t want_bytes)
{
    rn_join_state *state = op->state;
    rn_join_side *build = &state->build, *probe = &state->probe;
    uint64_t back = held_back(state);
    if (!state->lent) {
        RN_TRY(write_shards(op, build, build->spilled, &want_bytes));
        if (want_bytes <= 0) {
            return RATION_OK;
        }
    }
    int64_t probe_bytes = count_bytes(probe, RN_JOIN_ALL_SHARDS);
    if (probe->opened) {
        RN_TRY(write_shards(op, probe, RN_JOIN_ALL_SHARDS, &want_bytes));
    }
    int64_t kept_bytes = count_bytes(build, RN_JOIN_ALL_SHARDS);
    if (want_bytes > 0 || probe_bytes < kept_bytes / 8) {
        uint64_t mask = choose_shards(build, RN_JOIN_ALL_SHARDS & ~back, want_bytes);
        RN_TRY(write_shards(op, build, mask, &want_bytes));
    }
    if (want_bytes > 0 && count_bytes(build, back) > 0) {
        state->owed_bytes = RN_MAX(state->owed_bytes, want_bytes);
    }
    return RATION_OK;
}

static ration_status spill_building(rn_operator *op, int64_t want_bytes)
{
    rn_join_side *build = &((rn_join_state *)op->state)->build;
    uint64_t mask = rn_runs_full(&build->runs)
                        ? RN_JOIN_ALL_SHARDS
                        : choose_shards(build, RN_JOIN_ALL_SHARDS, want_bytes);
    return build->opened ? write_shards(op, build, mask, &want_bytes) : RATION_OK;
}

static ration_status join_spill(rn_operator *op, int64_t want_bytes)
{
    rn_join_state *state = op->state;
    switch (state->phase) {
    case RN_JOIN_BUILDING:
        return spill_building(op, want_bytes);
    case RN_JOIN_PROBING:
        return spill_probing(op, want_bytes);
    case RN_JOIN_MERGING:
        if (state->lent) {
            state->owed_bytes = RN_MAX(state->owed_bytes, want_bytes);
            return RATION_OK;
        }
        return rn_join_merge_write(op);
    case RN_JOIN_ENDED:
        break;
    }
    return RATION_OK;
}

/* ----------------------------------------------------------------------------------------- next */

/* Nobody uses the batch before any more: gives what was asked for while somebody did. */
static ration_status give_owed(rn_operator *op)
{
    rn_join_state *state = op->state;
    int64_t owed_bytes = state->owed_bytes;
    state->lent = false;
    if (owed_bytes == 0 || state->started) {
        return RATION_OK;
    }
    state->owed_bytes = 0;
    op->spills += 1;
    return join_spill(op, owed_bytes);
}

/* A batch that refers to rows held cannot be followed by a spill: so what operators above count on
 * of their minimums must be free besides, or it is written out first. */
static ration_status make_way(rn_operator *op)
{
    const rn_join_state *state = op->state;
    int64_t granted, unspent = rn_execution_unspent(op->worker->execution);
    bool lends = state->build.groups.layout.has_variable && rn_join_gives_columns(op->node->args);
    if (!lends || unspent == 0 || state->started) {
        return RATION_OK;
    }
    RN_TRY(rn_settle_between(op, 0, RN_BLOCK_BYTES, &granted));
    if (granted == RN_BLOCK_BYTES || join_spillable(op).now_bytes == 0) {
        return RATION_OK;
    }
    op->spills += 1;
    return join_spill(op, rn_add(unspent, RN_BLOCK_BYTES));
}

static ration_status probe_next(rn_operator *op)
{
    const rn_join_args *args = op->node->args;
    rn_join_state *state = op->state;
    uint32_t rows;
    RN_TRY(make_way(op));
    RN_TRY(rn_join_probe(op, &rows));
    op->batch.rows = rows;
    if (rows == 0) {
        return RATION_OK;
    }
    rn_picker_apply(&state->picker, state->input, state->picks, rows, op->batch.columns);
    if (!rn_join_gives_columns(args)) {
        return RATION_OK;
    }
    state->lent = state->build.groups.layout.has_variable;
    return rn_row_reader_read(op, &state->reader, state->matches, rows,
                              op->batch.columns + state->input->column_count);
}

static ration_status merge_next(rn_operator *op)
{
    rn_join_state *state = op->state;
    RN_TRY(rn_join_merge_next(op));
    if (op->batch.rows == 0) {
        state->phase = RN_JOIN_ENDED;
    }
    return RATION_OK;
}

static ration_status join_next(rn_operator *op, const rn_batch **out_batch)
{
    rn_join_state *state = op->state;
    *out_batch = &op->batch;
    op->batch.rows = 0;
    RN_TRY(give_owed(op));
    if (state->phase == RN_JOIN_BUILDING) {
        RN_TRY(rn_join_build(op));
        state->phase = RN_JOIN_PROBING;
    }
    if (state->phase == RN_JOIN_PROBING) {
        RN_TRY(probe_next(op));
        if (op->batch.rows > 0) {
            return RATION_OK;
        }
        if (state->probe.opened) {
            RN_TRY(rn_join_merge_open(op));
        } else {
            state->phase = RN_JOIN_ENDED;
        }
    }
    return state->phase == RN_JOIN_MERGING ? merge_next(op) : RATION_OK;
}

const rn_operator_class rn_join_class = {
    .name = "join",
    .sentence = "hash join with the rows of another plan: inner, left, semi or anti",
    .args_bytes = sizeof(rn_join_args),
    .state_bytes = sizeof(rn_join_state),
    .inputs_min = 2,
    .inputs_max = 2,
    .plan = rn_join_plan,
    .explain = rn_join_explain,
    .open = join_open,
    .next = join_next,
    .minimum = rn_join_minimum,
    .spillable = join_spillable,
    .spill = join_spill,
    .close = join_close,
};

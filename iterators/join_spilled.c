/* SPDX-License-Identifier: Apache-2.0
 *
 * What was written out of both sides of a join, merged in the order of the word.
 *
 *     rn_join_merge_open -> rn_join_merge_next until 0 rows -> rn_join_merge_close
 *
 * The build rows of one word are taken in hand (join_group.c), and the probe rows of that word pass
 * them. Equal words do not mean equal keys: each pair is compared, once per probe row where all
 * build rows have one key. Build rows that do not fit in memory: nested loops (join_nested.c).
 *
 * Rows of a batch lie where the merges or the group have them, and stay there until the consumer is
 * done with it. So whatever would overwrite them ends the batch first (`pause`), and is done at the
 * next call, when the same function comes to the same place again.
 *
 * Invariants
 *   1. The batch to give refers to blocks of the merges, to the group, or to the block of nested
 *      loops, and to nothing that goes before it is read.
 *   2. Between two settles at most RN_JOIN_STEPS_MAX rows are looked at. */
#include "iterators/join.h"

#define PART 1u /* runs have one */

/* ----------------------------------------------------------------------------------------- open */

static const rn_schema *probe_schema(const rn_plan_node *node)
{
    return &node->inputs[0]->output;
}

/* Writes out what is left in memory of either side, and gives back everything else. */
static ration_status write_rest(rn_operator *op)
{
    rn_join_state *state = op->state;
    rn_join_side *sides[] = {&state->build, &state->probe};
    for (size_t i = 0; i < RN_COUNT(sides); i++) {
        if (rn_runs_full(&sides[i]->runs)) {
            RN_TRY(rn_runs_narrow(&sides[i]->runs, RN_RUNS_MAX / 2));
        }
    }
    RN_TRY(rn_join_side_write(op, &state->build, state->build.spilled));
    RN_TRY(rn_join_side_write(op, &state->probe, state->build.spilled));
    rn_join_side_empty(&state->build);
    rn_join_side_empty(&state->probe);
    return RATION_OK;
}

/* Merges on each side until there are buffers for what is left. */
static ration_status narrow_both(rn_runs *build, rn_runs *probe, int64_t granted)
{
    int64_t all = (int64_t)build->count + probe->count;
    int64_t fitting = RN_MIN(granted / (int64_t)RN_BLOCK_BYTES, all - 1);
    int64_t keep_build = RN_MAX(build->count * fitting / all, 1);
    int64_t keep_probe = RN_MAX(fitting - keep_build, 1);
    RN_TRY(rn_runs_narrow(build, (uint32_t)keep_build));
    return rn_runs_narrow(probe, (uint32_t)keep_probe);
}

static ration_status open_merges(rn_operator *op)
{
    rn_join_state *state = op->state;
    rn_runs *build = &state->build.runs, *probe = &state->probe.runs;
    for (;;) {
        int64_t bound = rn_merge_bound(build, PART, NULL) + rn_merge_bound(probe, PART, NULL);
        int64_t granted;
        bool narrow = build->count <= 1 && probe->count <= 1;
        RN_TRY(rn_settle_between(op, narrow ? bound : 0, bound, &granted));
        if (granted >= bound) {
            RN_TRY(rn_merge_open(&state->merge.build, build, PART, NULL));
            return rn_merge_open(&state->merge.probe, probe, PART, NULL);
        }
        RN_TRY(narrow_both(build, probe, granted));
    }
}

static int64_t draft_reader(const rn_layout *layout, const rn_sizes *sizes)
{
    rn_draft draft;
    rn_context_draft_open(&draft);
    rn_minimum_array(&draft, layout->column_count, sizeof(rn_column));
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(rn_row *));
    rn_minimum_reader(&draft, layout, 0, layout->column_count - 1, sizes);
    return draft.bytes + rn_minimum_lists(layout, 0, layout->column_count - 1, 0);
}

static ration_status open_reader(rn_operator *op)
{
    rn_join_state *state = op->state;
    rn_join_merge *merge = &state->merge;
    const rn_worker *worker = op->worker;
    const rn_layout *layout = &state->probe.groups.layout;
    RN_TRY(ration_context_create(op->context, worker->slot, RATION_CONTEXT_BUMP, "merged rows",
                                 &merge->context));
    merge->columns =
        ration_context_allocate(merge->context, layout->column_count * sizeof *merge->columns);
    merge->probe_rows = ration_context_allocate(merge->context,
                                                worker->batch_rows * sizeof *merge->probe_rows);
    if (merge->columns == NULL || merge->probe_rows == NULL) {
        return ration_context_status(merge->context);
    }
    return rn_row_reader_open_in(merge->context, worker->slot, worker->batch_rows, layout, 0,
                                 layout->column_count - 1, &merge->reader);
}

ration_status rn_join_merge_open(rn_operator *op)
{
    const rn_join_args *args = op->node->args;
    rn_join_state *state = op->state;
    const rn_sizes sizes = {op->worker->batch_rows, op->worker->max_row_bytes};
    const rn_join_side *build = &state->build, *probe = &state->probe;
    RN_TRY(write_rest(op));
    int64_t widest =
        RN_MAX(rn_groups_widest(&build->groups), rn_groups_widest(&probe->groups));
    int64_t bound = draft_reader(&probe->groups.layout, &sizes) + rn_join_group_bound(widest);
    RN_TRY(rn_settle(op, 0, bound));
    RN_TRY(open_reader(op));
    RN_TRY(rn_join_group_open(op, &build->groups.layout, args->key_count,
                              !rn_join_gives_columns(args), widest, &state->merge.group));
    return open_merges(op);
}

void rn_join_merge_close(rn_operator *op)
{
    rn_join_merge *merge = &((rn_join_state *)op->state)->merge;
    rn_join_nested_close(op);
    rn_merge_close(&merge->build);
    rn_merge_close(&merge->probe);
    rn_join_group_close(&merge->group);
    ration_context_delete(merge->context);
    merge->context = NULL;
}

int64_t rn_join_merge_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    const rn_join_args *args = node->args;
    rn_layout layout;
    rn_type types[RN_COLUMNS_MAX];
    for (uint32_t i = 0; i < args->probe_held_count; i++) {
        uint32_t column = args->probe_held[i];
        types[i] = column < probe_schema(node)->count
                       ? probe_schema(node)->fields[column].type
                       : node->inputs[1]->output.fields[args->build_keys[i]].type;
    }
    types[args->probe_held_count] = rn_type_of(RN_EDGE);
    rn_layout_set(&layout, types, args->probe_held_count + 1);
    int64_t merging = 2 * rn_merge_minimum(sizes, 1) + rn_join_nested_bound(sizes->max_row_bytes);
    return draft_reader(&layout, sizes) + rn_join_group_bound(sizes->max_row_bytes) +
           RN_MAX(merging, rn_runs_minimum(sizes));
}

/* ---------------------------------------------------------------------------------------- merging */

/* Takes the build rows of the probe row's word in hand. */
static ration_status load_group(rn_operator *op, uint32_t count, bool *out_pause)
{
    rn_join_merge *merge = &((rn_join_state *)op->state)->merge;
    rn_join_group *group = &merge->group;
    *out_pause = true;
    if (!merge->loading) {
        if (count > 0 && group->copied) {
            return RATION_OK;
        }
        rn_join_group_clear(group);
        merge->word = merge->probe.key;
        merge->loaded = false;
        merge->loading = true;
    }
    for (; merge->steps < RN_JOIN_STEPS_MAX; merge->steps++) {
        const rn_merge *build = &merge->build;
        if (merge->build_used && rn_merge_turns(build)) {
            if (count > 0) {
                return RATION_OK;
            }
            if (group->count > 0) {
                rn_join_group_copy(group);
            }
        }
        *out_pause = false;
        RN_TRY(rn_join_advance(&merge->build, &merge->build_used, 0, out_pause));
        if (build->row == NULL || build->key > merge->word) {
            merge->loading = false;
            merge->loaded = true;
            return RATION_OK;
        }
        *out_pause = true;
        if (build->key == merge->word) {
            bool added;
            if (count > 0 && rn_join_group_grows(group, build->row)) {
                return RATION_OK;
            }
            RN_TRY(rn_join_group_add(group, build->row, &added));
            if (!added) {
                return count > 0 ? RATION_OK : rn_join_nested_start(op);
            }
        }
        merge->build_used = true;
    }
    return RATION_OK;
}

/* Matches the probe row in hand with the group, as far as the batch has room. */
static void match_row(const rn_join_args *args, rn_join_state *state, uint32_t capacity,
                      uint32_t *count)
{
    rn_join_merge *merge = &state->merge;
    const rn_join_group *group = &merge->group;
    const rn_layout *layout = &state->probe.groups.layout;
    bool pairs = rn_join_gives_columns(args);
    while (merge->at < group->count && *count < capacity) {
        const rn_row *row = group->rows[merge->at];
        bool same = (group->uniform && merge->at > 0) ||
                    rn_row_same(layout, merge->probe.row, group->layout, row, args->key_count);
        bool last = same ? !pairs : group->uniform;
        merge->matched |= same;
        merge->at = last ? group->count : merge->at + 1;
        if (pairs && same) {
            rn_join_give(state, merge->probe.row, row, count);
        }
    }
    if (merge->at < group->count) {
        return;
    }
    if (rn_join_gives_alone(args, merge->matched)) {
        if (*count == capacity) {
            return;
        }
        rn_join_give(state, merge->probe.row, NULL, count);
    }
    merge->at = 0;
    merge->matched = false;
    merge->probe_used = true;
}

/* Goes on until the batch is full, or it must pause. */
static ration_status fill_batch(rn_operator *op, uint32_t *count)
{
    rn_join_state *state = op->state;
    rn_join_merge *merge = &state->merge;
    bool pause = false;
    while (*count < op->worker->batch_rows && merge->steps < RN_JOIN_STEPS_MAX && !pause) {
        if (merge->nested.stage != RN_NESTED_OFF) {
            RN_TRY(rn_join_nested_next(op, count, &pause));
            continue;
        }
        RN_TRY(rn_join_advance(&merge->probe, &merge->probe_used, *count, &pause));
        if (pause) {
            break;
        }
        if (merge->probe.row == NULL) {
            merge->ended = true;
            break;
        }
        if (!merge->loaded || merge->word != merge->probe.key) {
            RN_TRY(load_group(op, *count, &pause));
            continue;
        }
        match_row(op->node->args, state, op->worker->batch_rows, count);
        merge->steps += 1;
    }
    return RATION_OK;
}

/* The columns of the batch. */
static ration_status read_rows(rn_operator *op, uint32_t count)
{
    const rn_join_args *args = op->node->args;
    rn_join_state *state = op->state;
    rn_join_merge *merge = &state->merge;
    uint32_t columns = probe_schema(op->node)->count;
    op->batch.rows = count;
    RN_TRY(rn_row_reader_read(op, &merge->reader, merge->probe_rows, count, merge->columns));
    for (uint32_t c = 0; c < columns; c++) {
        op->batch.columns[c] = merge->columns[args->probe_places[c]];
    }
    return rn_join_gives_columns(args)
               ? rn_row_reader_read(op, &state->reader, state->matches, count,
                                    op->batch.columns + columns)
               : RATION_OK;
}

ration_status rn_join_merge_next(rn_operator *op)
{
    rn_join_merge *merge = &((rn_join_state *)op->state)->merge;
    uint32_t count = 0;
    op->batch.rows = 0;
    while (count == 0 && !merge->ended) {
        RN_TRY(rn_settle(op, 0, 0));
        merge->steps = 0;
        RN_TRY(fill_batch(op, &count));
    }
    return count == 0 ? RATION_OK : read_rows(op, count);
}

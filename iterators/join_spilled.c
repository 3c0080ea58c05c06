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

/* The rows in memory as a source; NULL when there are none. */
static const rn_merge_memory *set_source(rn_join_source *source, rn_join_side *side,
                                         rn_merge_memory *memory)
{
    rn_join_source_set(source, side, RN_JOIN_ALL_SHARDS);
    *memory = (rn_merge_memory){.next = rn_join_source_next,
                                .state = source,
                                .widest_bytes = rn_groups_widest(&side->groups)};
    return side->groups.count > 0 ? memory : NULL;
}

/* Writes out what is in memory, or merges runs, so that less has to be merged at a time. The first
 * is cheaper, where it gives enough. */
static ration_status make_less(rn_operator *op, int64_t bound, int64_t granted)
{
    rn_join_state *state = op->state;
    rn_join_side *build = &state->build, *probe = &state->probe;
    int64_t memory = rn_groups_bytes(&build->groups) + rn_groups_bytes(&probe->groups);
    bool runs = build->runs.count > 1 || probe->runs.count > 1;
    if (build->groups.count + probe->groups.count > 0 && (granted + memory / 2 >= bound || !runs)) {
        RN_TRY(rn_join_side_write(op, build, RN_JOIN_ALL_SHARDS));
        return rn_join_side_write(op, probe, RN_JOIN_ALL_SHARDS);
    }
    return narrow_both(&build->runs, &probe->runs, granted);
}

static ration_status open_merges(rn_operator *op)
{
    rn_join_state *state = op->state;
    rn_runs *build = &state->build.runs, *probe = &state->probe.runs;
    rn_join_merge *merge = &state->merge;
    for (;;) {
        rn_merge_memory memory[2];
        const rn_merge_memory *of_build =
            set_source(&merge->build_source, &state->build, &memory[0]);
        const rn_merge_memory *of_probe =
            set_source(&merge->probe_source, &state->probe, &memory[1]);
        int64_t bound =
            rn_merge_bound(build, PART, of_build) + rn_merge_bound(probe, PART, of_probe);
        bool least = of_build == NULL && of_probe == NULL && build->count <= 1 && probe->count <= 1;
        int64_t granted;
        uint64_t spills = op->spills;
        RN_TRY(rn_settle_between(op, least ? bound : 0, bound, &granted));
        if (op->spills != spills) {
            continue;
        }
        if (granted >= bound) {
            state->phase = RN_JOIN_MERGING;
            merge->group.beyond_bytes = bound;
            RN_TRY(rn_merge_open(&merge->build, build, PART, of_build));
            return rn_merge_open(&merge->probe, probe, PART, of_probe);
        }
        RN_TRY(make_less(op, bound, granted));
    }
}

static ration_status write_memory(rn_merge *merge, rn_join_side *side)
{
    if (!rn_merge_has_memory(merge) || !rn_runs_room(&side->runs)) {
        return RATION_OK;
    }
    RN_TRY(rn_merge_write_memory(merge, &side->runs));
    rn_join_side_forget(side, RN_JOIN_ALL_SHARDS);
    return RATION_OK;
}

ration_status rn_join_merge_write(rn_operator *op)
{
    rn_join_state *state = op->state;
    rn_join_merge *merge = &state->merge;
    rn_join_group_copy(&merge->group);
    RN_TRY(write_memory(&merge->build, &state->build));
    return write_memory(&merge->probe, &state->probe);
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
    merge->probe_rows =
        ration_context_allocate(merge->context, worker->batch_rows * sizeof *merge->probe_rows);
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
    rn_join_side_forget(&state->build, ~build->spilled & RN_JOIN_ALL_SHARDS);
    int64_t widest = RN_MAX(rn_groups_widest(&build->groups), rn_groups_widest(&probe->groups));
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

int64_t rn_join_merge_minimum(const rn_layout *layout, int64_t widest_bytes, const rn_sizes *sizes)
{
    rn_sizes widest = {sizes->batch_rows, widest_bytes};
    int64_t merging = 2 * rn_merge_minimum(&widest, 1) + rn_join_nested_bound(widest_bytes);
    return draft_reader(layout, sizes) + rn_join_group_bound(widest_bytes) +
           RN_MAX(merging, rn_runs_minimum(&widest));
}

/* -------------------------------------------------------------------------------------- merging */

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
        bool wanted = build->key == merge->word &&
                      !(group->distinct && rn_join_group_knows(group, build->row));
        if (wanted) {
            int64_t bytes = rn_row_bytes(build->row);
            bool room;
            if (count > 0 && rn_join_group_grows(group, bytes)) {
                return RATION_OK;
            }
            RN_TRY(rn_join_nested_prepare(op, bytes));
            RN_TRY(rn_join_group_room(group, bytes, &room));
            if (!room) {
                return count > 0 ? RATION_OK : rn_join_nested_start(op);
            }
            rn_join_group_add(group, build->row);
        }
        merge->build_used = true;
    }
    return RATION_OK;
}

/* Matches the probe row in hand with the group, as far as the batch has room. */
static void match_row(const rn_operator *op, uint32_t *count)
{
    const rn_join_args *args = op->node->args;
    rn_join_state *state = op->state;
    rn_join_merge *merge = &state->merge;
    const rn_join_group *group = &merge->group;
    const rn_layout *layout = &state->probe.groups.layout;
    bool pairs = rn_join_gives_columns(args);
    while (merge->at < group->count && rn_join_has_room(op, *count)) {
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
        if (!rn_join_has_room(op, *count)) {
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
    rn_join_merge *merge = &((rn_join_state *)op->state)->merge;
    bool pause = false;
    while (rn_join_has_room(op, *count) && merge->steps < RN_JOIN_STEPS_MAX && !pause) {
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
        match_row(op, count);
        merge->steps += merge->group.uniform ? 1 : 1 + merge->group.count;
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
    state->lent =
        state->probe.groups.layout.has_variable || state->build.groups.layout.has_variable;
    RN_TRY(rn_row_reader_read(op, &merge->reader, merge->probe_rows, count, merge->columns));
    for (uint32_t c = 0; c < columns; c++) {
        op->batch.columns[c] = merge->columns[args->probe_places[c]];
    }
    return rn_join_gives_columns(args) ? rn_row_reader_read(op, &state->reader, state->matches,
                                                            count, op->batch.columns + columns)
                                       : RATION_OK;
}

ration_status rn_join_merge_next(rn_operator *op)
{
    rn_join_state *state = op->state;
    rn_join_merge *merge = &state->merge;
    uint32_t count = 0;
    state->given_bytes = 0;
    while (count == 0 && !merge->ended) {
        RN_TRY(rn_settle(op, 0, 0));
        merge->steps = 0;
        RN_TRY(fill_batch(op, &count));
    }
    return count == 0 ? RATION_OK : read_rows(op, count);
}

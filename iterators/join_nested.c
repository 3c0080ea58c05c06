/* SPDX-License-Identifier: Apache-2.0
 *
 * Build rows of one word that do not fit in memory: they go into a run of their own, and for every
 * so many probe rows of that word, held in memory with a flag each, the run is read from front to
 * end. The flags say which probe rows had a match, so that no type of join needs any on disk.
 *
 *     rn_join_nested_start -> rn_join_nested_next until the stage is off
 *
 *     load: probe rows into the group -> scan: the run past them -> give: rows that come out alone
 *       ^                                                             |
 *       +------------------- while the word has probe rows -----------+
 *
 * Reading costs build rows x probe rows / RN_JOIN_GROUP_ROWS, pairing build rows x probe rows: so
 * the run's part of it is small for any number. */
#include "iterators/join.h"

#define SETTLE_BYTES (256 * 1024)

static rn_join_merge *merge_of(const rn_operator *op)
{
    return &((rn_join_state *)op->state)->merge;
}

static void draft_block(rn_draft *draft, size_t block_bytes)
{
    rn_context_draft_open(draft);
    rn_minimum_array(draft, RN_JOIN_GROUP_ROWS, 1);
    rn_minimum_array(draft, 1, block_bytes);
}

int64_t rn_join_nested_bound(int64_t widest_bytes)
{
    rn_draft draft;
    int64_t bytes = widest_bytes + (int64_t)sizeof(uint64_t) + (int64_t)RN_RUN_HEAD_BYTES;
    draft_block(&draft, (size_t)RN_MAX(bytes, (int64_t)RN_RUN_BLOCK_BYTES));
    return draft.bytes;
}

static ration_status open_block(rn_operator *op, size_t block_bytes)
{
    rn_join_nested *nested = &merge_of(op)->nested;
    rn_draft draft;
    ration_context_delete(nested->context);
    nested->context = NULL;
    draft_block(&draft, block_bytes);
    RN_TRY(rn_settle(op, 0, draft.bytes));
    RN_TRY(ration_context_create(op->context, op->worker->slot, RATION_CONTEXT_BUMP, "nested loops",
                                 &nested->context));
    nested->matched = ration_context_allocate(nested->context, RN_JOIN_GROUP_ROWS);
    nested->block = ration_context_allocate(nested->context, block_bytes);
    return nested->matched == NULL || nested->block == NULL ? ration_context_status(nested->context)
                                                            : RATION_OK;
}

/* ---------------------------------------------------------------------------------------- start */

/* Puts the group and all further build rows of the word into the run. */
static ration_status write_rows(rn_operator *op, rn_run_writer *writer)
{
    rn_join_merge *merge = merge_of(op);
    int64_t written = 0;
    for (uint32_t i = 0; i < merge->group.count; i++) {
        RN_TRY(rn_row_run_put(writer, merge->word, merge->group.rows[i]));
    }
    while (merge->build.row != NULL && merge->build.key == merge->word) {
        int64_t bytes = rn_row_bytes(merge->build.row);
        if (written + bytes > SETTLE_BYTES) {
            RN_TRY(rn_settle(op, 0, 0));
            written = 0;
        }
        written += bytes;
        RN_TRY(rn_row_run_put(writer, merge->word, merge->build.row));
        RN_TRY(rn_merge_step(&merge->build));
    }
    return RATION_OK;
}

ration_status rn_join_nested_prepare(rn_operator *op, int64_t row_bytes)
{
    const rn_join_merge *merge = merge_of(op);
    return merge->nested.context == NULL && rn_join_group_grows(&merge->group, row_bytes)
               ? open_block(op, RN_RUN_BLOCK_BYTES)
               : RATION_OK;
}

ration_status rn_join_nested_start(rn_operator *op)
{
    rn_join_state *state = op->state;
    rn_join_merge *merge = &state->merge;
    rn_join_nested *nested = &merge->nested;
    rn_run_writer writer;
    rn_join_group_copy(&merge->group);
    if (nested->context == NULL) {
        RN_TRY(open_block(op, RN_RUN_BLOCK_BYTES));
    }
    rn_run_begin(&writer, op->worker->spill_file, op->node->number, nested->block,
                 RN_RUN_BLOCK_BYTES);
    ration_status status = write_rows(op, &writer);
    if (status != RATION_OK) {
        rn_run_abandon(&writer);
        return status;
    }
    RN_TRY(rn_run_end(&writer, &nested->run));
    rn_join_group_clear(&merge->group);
    if (nested->run.largest_bytes > RN_RUN_BLOCK_BYTES) {
        RN_TRY(open_block(op, nested->run.largest_bytes));
    }
    merge->group.layout = &state->probe.groups.layout;
    merge->group.distinct = false;
    nested->last = false;
    nested->stage = RN_NESTED_LOAD;
    return RATION_OK;
}

/* --------------------------------------------------------------------------------------- stages */

/* The next probe rows of the word, as many as there is room for. */
static ration_status load_rows(rn_operator *op)
{
    rn_join_merge *merge = merge_of(op);
    rn_join_nested *nested = &merge->nested;
    bool room, pause = false;
    rn_join_group_clear(&merge->group);
    rn_join_group_copy(&merge->group);
    for (;;) {
        RN_TRY(rn_join_advance(&merge->probe, &merge->probe_used, 0, &pause));
        nested->last = merge->probe.row == NULL || merge->probe.key != merge->word;
        if (nested->last) {
            break;
        }
        RN_TRY(rn_join_group_room(&merge->group, rn_row_bytes(merge->probe.row), &room));
        if (!room) {
            break;
        }
        rn_join_group_add(&merge->group, merge->probe.row);
        merge->probe_used = true;
    }
    memset(nested->matched, 0, merge->group.count);
    nested->at = 0;
    nested->used = false;
    nested->stage = RN_NESTED_SCAN;
    return rn_row_run_start(&nested->reader, op->worker->spill_file, &nested->run, nested->block);
}

/* Pairs the build row in hand with the group. */
static void match_build(const rn_operator *op, uint32_t *count)
{
    const rn_join_args *args = op->node->args;
    rn_join_state *state = op->state;
    rn_join_merge *merge = &state->merge;
    rn_join_nested *nested = &merge->nested;
    const rn_join_group *group = &merge->group;
    bool pairs = rn_join_gives_columns(args);
    while (nested->at < group->count && rn_join_has_room(op, *count)) {
        const rn_row *probe = group->rows[nested->at];
        bool same = (group->uniform && nested->at > 0) ||
                    rn_row_same(group->layout, probe, &state->build.groups.layout,
                                nested->reader.row, args->key_count);
        if (!same && group->uniform) {
            nested->at = group->count;
            break;
        }
        nested->matched[nested->at++] |= same;
        if (pairs && same) {
            rn_join_give(state, probe, nested->reader.row, count);
        }
    }
    if (nested->at == group->count) {
        nested->at = 0;
        nested->used = true;
    }
}

static ration_status scan_run(rn_operator *op, uint32_t *count, bool *out_pause)
{
    rn_join_merge *merge = merge_of(op);
    rn_join_nested *nested = &merge->nested;
    rn_row_run_reader *reader = &nested->reader;
    while (rn_join_has_room(op, *count) && merge->steps < RN_JOIN_STEPS_MAX) {
        if (nested->used) {
            *out_pause = *count > 0 && rn_row_run_turns(reader);
            if (*out_pause) {
                return RATION_OK;
            }
            nested->used = false;
            RN_TRY(rn_row_run_step(reader));
        }
        if (reader->row == NULL) {
            nested->stage = RN_NESTED_GIVE;
            return RATION_OK;
        }
        uint32_t at = nested->at;
        match_build(op, count);
        merge->steps += nested->at > at ? nested->at - at : merge->group.count - at;
    }
    return RATION_OK;
}

static void give_alone(const rn_operator *op, uint32_t *count)
{
    rn_join_state *state = op->state;
    rn_join_merge *merge = &state->merge;
    rn_join_nested *nested = &merge->nested;
    for (; nested->at < merge->group.count && rn_join_has_room(op, *count); nested->at++) {
        if (rn_join_gives_alone(op->node->args, nested->matched[nested->at])) {
            rn_join_give(state, merge->group.rows[nested->at], NULL, count);
        }
    }
}

/* The word is over. */
static void finish(rn_operator *op)
{
    const rn_join_args *args = op->node->args;
    rn_join_state *state = op->state;
    rn_join_merge *merge = &state->merge;
    rn_join_nested_close(op);
    rn_join_group_clear(&merge->group);
    merge->group.layout = &state->build.groups.layout;
    merge->group.distinct = !rn_join_gives_columns(args);
    merge->loading = false;
    merge->loaded = false;
}

ration_status rn_join_nested_next(rn_operator *op, uint32_t *count, bool *out_pause)
{
    rn_join_merge *merge = merge_of(op);
    rn_join_nested *nested = &merge->nested;
    switch (nested->stage) {
    case RN_NESTED_OFF:
        return RATION_OK;
    case RN_NESTED_LOAD: /* nothing refers to the group before */
        merge->steps = RN_JOIN_STEPS_MAX;
        return load_rows(op);
    case RN_NESTED_SCAN:
        return scan_run(op, count, out_pause);
    case RN_NESTED_GIVE:
        give_alone(op, count);
        break;
    }
    *out_pause = *count > 0;
    if (nested->at == merge->group.count && *count == 0) {
        if (nested->last) {
            finish(op);
        } else {
            nested->stage = RN_NESTED_LOAD;
        }
    }
    return RATION_OK;
}

void rn_join_nested_close(rn_operator *op)
{
    rn_join_nested *nested = &merge_of(op)->nested;
    if (nested->run.number != 0) {
        rn_run_release(op->worker->spill_file, &nested->run);
    }
    ration_context_delete(nested->context);
    memset(nested, 0, sizeof *nested);
}

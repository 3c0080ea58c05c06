/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups written out and read back.
 *
 * A group's row is written as it is, behind the word of its key, shard by shard in order. What of
 * its state points (strings, lists) is written into rows of its own behind the key: a row of a
 * group may carry any part of its state, the rest of it being zeros, because states are added up
 * when they are read back. So no row is wider than a key and one value, or than ROW_BYTES_SOFT,
 * however long a list is.
 *
 * Reading back: rows with equal keys come one after the other out of the merge. The first becomes
 * the group, copied into `merged`, the others are added to it. Offsets of strings and lists are
 * made pointers in the copy; so a group that was read back looks like one that was held.
 *
 * What is in memory of such shards at the end is a source of the merge; if its states point, it is
 * written out first, since it is laid out otherwise than what was read. Under pressure the merge is
 * closed, its buffers with it, and opened again at the row in hand.
 *
 * Bound: a group's state must fit, its list with it: what it takes is settled for row by row. */
#include "iterators/aggregate.h"

#include "iterators/minimum.h"

#define ROW_BYTES_SOFT ((size_t)RN_BLOCK_BYTES / 4)
#define MERGED_BYTES RN_BLOCK_BYTES /* of groups that are read back: a batch ends above it */
#define STEPS_TO_SETTLE 4096u

typedef rn_aggregate_args aggregate_args;
typedef rn_aggregate_state aggregate_state;

size_t rn_aggregate_scratch_bytes(int64_t max_row_bytes)
{
    return 2 * (size_t)max_row_bytes + ROW_BYTES_SOFT;
}

ration_status rn_aggregate_spill_open(rn_operator *op)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    const rn_row_order order = {rn_groups_compare, &state->groups};
    if (args->points) {
        state->scratch_bytes = rn_aggregate_scratch_bytes(op->worker->max_row_bytes);
        state->scratch_row = ration_context_allocate(op->context, state->scratch_bytes);
        if (state->scratch_row == NULL) {
            return ration_context_status(op->context);
        }
    }
    RN_TRY(rn_runs_open(op, order, &state->runs));
    return ration_context_create(op->context, op->worker->slot, RATION_CONTEXT_BUMP, "read back",
                                 &state->merged);
}

void rn_aggregate_forget(rn_operator *op, uint32_t shard)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    rn_groups_forget(&state->groups, shard);
    for (uint32_t i = 0; i < args->function_count; i++) {
        rn_accumulator_forget(&state->accumulators[i], shard);
    }
}

/* ------------------------------------------------------------------------------ rows that point */

/* A row in the making: the key and words of a group, and values behind them. */
typedef struct group_writer {
    const aggregate_args *args;
    aggregate_state *state;
    uint64_t word;
    char *row;
    uint32_t key_bytes; /* fixed part and the key's strings */
    uint32_t bytes;
    bool carries; /* something that is not zeros */
} group_writer;

static ration_status put_row(group_writer *writer)
{
    uint32_t padded = (writer->bytes + 7) & ~7u;
    memset(writer->row + writer->bytes, 0, padded - writer->bytes);
    memcpy(writer->row, &padded, sizeof padded);
    return rn_row_run_put(&writer->state->runs.writer, writer->word,
                          (const rn_row *)(const void *)writer->row);
}

static char *state_at(const group_writer *writer, uint32_t function, uint32_t word)
{
    return writer->row + writer->state->accumulators[function].offset + 8 * (size_t)word;
}

/* Bytes of a function's state in the row. */
static size_t state_bytes(const rn_aggregate *function)
{
    rn_type types[RN_AGGREGATE_COLUMNS_MAX];
    uint32_t count = rn_aggregate_columns(function, types);
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += rn_kind_bytes((rn_kind)types[i].kind);
    }
    return bytes;
}

/* Makes the row one of zeros behind the key. */
static void start_row(group_writer *writer)
{
    for (uint32_t i = 0; i < writer->args->function_count; i++) {
        memset(state_at(writer, i, 0), 0, state_bytes(&writer->args->functions[i]));
    }
    writer->bytes = writer->key_bytes;
    writer->carries = false;
}

/* Room for `bytes` more in the row, or a new one. */
static ration_status make_room(group_writer *writer, size_t bytes)
{
    if (writer->carries && writer->bytes + bytes > ROW_BYTES_SOFT) {
        RN_TRY(put_row(writer));
        start_row(writer);
    }
    writer->carries = true;
    return RATION_OK;
}

/* Copies a long string behind the row and makes `copy` one by offset. */
static void add_string(group_writer *writer, const rn_string *string, void *to)
{
    rn_string copy = *string;
    if (copy.length > RN_STRING_INLINE_MAX) {
        uint64_t offset = writer->bytes;
        rn_assert(writer->bytes + copy.length <= writer->state->scratch_bytes);
        memcpy(writer->row + writer->bytes, string->rest.pointer, copy.length);
        memcpy(copy.rest.tail, &offset, sizeof offset);
        writer->bytes += copy.length;
    }
    memcpy(to, &copy, sizeof copy);
}

static size_t long_bytes(const rn_string *string)
{
    return string->length > RN_STRING_INLINE_MAX ? string->length : 0;
}

static ration_status write_string(group_writer *writer, uint32_t function, const rn_row *group)
{
    const uint64_t *words = rn_group_word(group, writer->state->accumulators[function].offset, 0);
    const rn_string *string = (const rn_string *)(const void *)(words + 1);
    if (words[0] == 0) {
        return RATION_OK;
    }
    RN_TRY(make_room(writer, long_bytes(string)));
    memcpy(state_at(writer, function, 0), words, sizeof *words);
    add_string(writer, string, state_at(writer, function, 1));
    return RATION_OK;
}

/* How many of a segment's values from `start` on go into the row. */
static uint32_t count_fitting(const group_writer *writer, const rn_list_segment *segment,
                              uint32_t start, rn_kind kind)
{
    size_t width = rn_kind_bytes(kind), bytes = writer->bytes + sizeof(rn_list_segment) + 8;
    uint32_t count = 0;
    for (; start + count < segment->count; count++) {
        bytes += width;
        if (kind == RN_STRING) {
            bytes += long_bytes((const rn_string *)rn_list_values(segment) + start + count);
        }
        if (bytes > ROW_BYTES_SOFT) {
            break;
        }
    }
    return count;
}

/* Puts `count` values of the segment into the row as its list. */
static void add_values(group_writer *writer, uint32_t function, const rn_list_segment *segment,
                       uint32_t start, uint32_t count, rn_kind kind)
{
    size_t width = rn_kind_bytes(kind);
    uint32_t at = (writer->bytes + 7) & ~7u;
    rn_list_segment head = {NULL, count, count};
    uint64_t words[2] = {count, at};
    memset(writer->row + writer->bytes, 0, at - writer->bytes);
    memcpy(writer->row + at, &head, sizeof head);
    memcpy(state_at(writer, function, 0), words, sizeof words);
    char *to = writer->row + at + sizeof head;
    const char *from = (const char *)rn_list_values(segment) + width * start;
    writer->bytes = at + (uint32_t)(sizeof head + width * count);
    if (kind != RN_STRING) {
        memcpy(to, from, width * count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        add_string(writer, (const rn_string *)(const void *)from + i, to + width * i);
    }
}

static ration_status write_list(group_writer *writer, uint32_t function, const rn_row *group)
{
    const rn_aggregate *aggregate = &writer->args->functions[function];
    rn_kind kind = (rn_kind)aggregate->type.kind;
    uint32_t offset = writer->state->accumulators[function].offset;
    const rn_list_state *list =
        (const rn_list_state *)(const void *)rn_group_word(group, offset, 0);
    for (const rn_list_segment *segment = list->list.first; segment != NULL;
         segment = segment->next) {
        for (uint32_t start = 0; start < segment->count;) {
            uint64_t taken;
            memcpy(&taken, state_at(writer, function, 0), sizeof taken);
            uint32_t count = taken > 0 ? 0 : count_fitting(writer, segment, start, kind);
            if (count == 0 && writer->carries) { /* one segment a row */
                RN_TRY(put_row(writer));
                start_row(writer);
                continue;
            }
            count = RN_MAX(count, 1u);
            writer->carries = true;
            add_values(writer, function, segment, start, count, kind);
            start += count;
        }
    }
    return RATION_OK;
}

/* Writes a group whose state points: its words, then values, in as many rows as they take. */
static ration_status write_group(rn_operator *op, uint64_t word, const rn_row *group)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    group_writer writer = {.args = args,
                           .state = state,
                           .word = word,
                           .row = state->scratch_row,
                           .key_bytes = rn_row_bytes(group)};
    memcpy(writer.row, group, writer.key_bytes);
    start_row(&writer);
    for (uint32_t i = 0; i < args->function_count; i++) {
        if (!rn_aggregate_points(&args->functions[i])) {
            memcpy(state_at(&writer, i, 0), rn_group_word(group, state->accumulators[i].offset, 0),
                   state_bytes(&args->functions[i]));
        }
    }
    writer.carries = true;
    for (uint32_t i = 0; i < args->function_count; i++) {
        if (args->functions[i].kind == RN_COLLECT) {
            RN_TRY(write_list(&writer, i, group));
        } else if (rn_aggregate_points(&args->functions[i])) {
            RN_TRY(write_string(&writer, i, group));
        }
    }
    return writer.carries ? put_row(&writer) : RATION_OK;
}

/* Makes offsets of a row that was read pointers into it. */
static void point_into(const aggregate_args *args, const aggregate_state *state, char *row)
{
    for (uint32_t i = 0; i < args->function_count; i++) {
        uint32_t offset = state->accumulators[i].offset;
        uint64_t words[2];
        if (args->functions[i].kind == RN_COLLECT) {
            rn_list_state *list = (rn_list_state *)(void *)(row + offset);
            memcpy(words, list, sizeof words);
            *list = (rn_list_state){.list = {words[0], NULL}};
            if (words[0] == 0) {
                continue;
            }
            rn_list_segment *segment = (rn_list_segment *)(void *)(row + words[1]);
            list->list.first = list->last = segment;
            rn_string *strings = rn_list_values(segment);
            for (uint32_t n = 0; args->functions[i].type.kind == RN_STRING && n < segment->count;
                 n++) {
                strings[n] = rn_string_at(row, &strings[n]);
            }
        } else if (rn_aggregate_points(&args->functions[i])) {
            rn_string *string = (rn_string *)(void *)(row + offset + 8);
            *string = rn_string_at(row, string);
        }
    }
}

/* ------------------------------------------------------------------------------------- spilling */

static int64_t shard_bytes(const rn_operator *op, uint32_t shard)
{
    const aggregate_args *args = op->node->args;
    const aggregate_state *state = op->state;
    int64_t bytes = rn_groups_shard_bytes(&state->groups, shard);
    for (uint32_t i = 0; i < args->function_count; i++) {
        bytes += rn_accumulator_bytes(&state->accumulators[i], shard);
    }
    return bytes;
}

/* The shards that nobody reads. */
static uint64_t free_shards(const aggregate_state *state)
{
    uint64_t all = (UINT64_C(1) << RN_GROUP_SHARDS) - 1;
    switch (state->phase) {
    case RN_AGGREGATE_FILLING:
    case RN_AGGREGATE_COUNTING:
        return all;
    case RN_AGGREGATE_HELD: /* the shard in hand and those given are not */
        return state->shard >= RN_GROUP_SHARDS
                   ? state->spilled
                   : (all & ~((UINT64_C(2) << state->shard) - 1)) | state->spilled;
    case RN_AGGREGATE_MERGED:
        return !state->merging || rn_merge_has_memory(&state->merge) ? state->spilled : 0;
    default:
        return 0;
    }
}

/* What can be given back of groups, and of buffers that read them back. */
static int64_t count_groups(const rn_operator *op)
{
    const aggregate_state *state = op->state;
    int64_t bytes = state->merging ? rn_merge_bytes(&state->merge) : 0;
    for (uint64_t mask = free_shards(state); mask != 0; mask &= mask - 1) {
        bytes += shard_bytes(op, (uint32_t)__builtin_ctzll(mask));
    }
    return bytes;
}

rn_spillable rn_aggregate_spillable(const rn_operator *op)
{
    const aggregate_args *args = op->node->args;
    const aggregate_state *state = op->state;
    rn_spillable all = {0, 0};
    if (!rn_runs_room(&state->runs)) {
        return all;
    }
    all.now_bytes = count_groups(op);
    for (uint32_t i = 0; args->distinct && i < args->function_count; i++) {
        const rn_unique *distinct = state->accumulators[i].distinct;
        if (distinct != NULL && state->phase <= RN_AGGREGATE_COUNTING) {
            bool in_hand = state->drains && state->shard == i;
            int64_t bytes = rn_unique_spillable(distinct);
            all.later_bytes += in_hand ? bytes : 0;
            all.now_bytes += in_hand ? 0 : bytes;
        }
    }
    return all;
}

/* The function whose different values take most, that may be written out; count = none. */
static uint32_t largest_distinct(const rn_operator *op, int64_t *out_bytes)
{
    const aggregate_args *args = op->node->args;
    const aggregate_state *state = op->state;
    uint32_t largest = args->function_count;
    *out_bytes = 0;
    for (uint32_t i = 0; args->distinct && i < args->function_count; i++) {
        const rn_unique *distinct = state->accumulators[i].distinct;
        bool in_hand = state->drains && state->shard == i;
        if (distinct != NULL && state->phase <= RN_AGGREGATE_COUNTING && !in_hand &&
            rn_unique_spillable(distinct) > *out_bytes) {
            *out_bytes = rn_unique_spillable(distinct);
            largest = i;
        }
    }
    return largest;
}

static void add_states(const rn_operator *op, const rn_row *into, const rn_row *from)
{
    const aggregate_args *args = op->node->args;
    const aggregate_state *state = op->state;
    for (uint32_t i = 0; i < args->function_count; i++) {
        rn_accumulator_merge(&state->accumulators[i], into, from);
    }
}

static ration_status write_row(rn_operator *op, uint64_t word, const rn_row *group)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    return args->points ? write_group(op, word, group)
                        : rn_row_run_put(&state->runs.writer, word, group);
}

static ration_status write_groups(rn_operator *op, rn_groups_source *source)
{
    const rn_row *group = NULL, *row;
    uint64_t group_word = 0, word;
    while (rn_groups_source_next(source, &word, &row)) {
        if (source->same) {
            add_states(op, group, row);
            continue;
        }
        if (group != NULL) {
            RN_TRY(write_row(op, group_word, group));
        }
        group = row;
        group_word = word;
    }
    return group == NULL ? RATION_OK : write_row(op, group_word, group);
}

static ration_status write_shards(rn_operator *op, uint64_t mask)
{
    aggregate_state *state = op->state;
    rn_groups_source source;
    rn_groups_source_set(&source, &state->groups, mask);
    rn_runs_begin(&state->runs, op->worker->spill_buffer);
    ration_status status = write_groups(op, &source);
    if (status != RATION_OK) {
        rn_runs_abandon(&state->runs);
        return status;
    }
    return rn_runs_end(&state->runs, mask);
}

static void forget_shards(rn_operator *op, uint64_t mask)
{
    for (; mask != 0; mask &= mask - 1) {
        rn_aggregate_forget(op, (uint32_t)__builtin_ctzll(mask));
    }
}

/* The shards to write out: those that were before, then the largest, until there is enough. */
static uint64_t choose(const rn_operator *op, int64_t want_bytes)
{
    const aggregate_state *state = op->state;
    int64_t bytes[RN_GROUP_SHARDS] = {0};
    for (uint64_t mask = free_shards(state); mask != 0; mask &= mask - 1) {
        uint32_t shard = (uint32_t)__builtin_ctzll(mask);
        bytes[shard] = shard_bytes(op, shard);
    }
    return rn_groups_choose(bytes, rn_runs_full(&state->runs) ? UINT64_MAX : state->spilled,
                            rn_runs_full(&state->runs) ? INT64_MAX : want_bytes);
}

static ration_status spill_groups(rn_operator *op, int64_t want_bytes)
{
    aggregate_state *state = op->state;
    if (state->merging) { /* what was read back is copied: nobody refers to its buffers */
        state->merging = false;
        RN_TRY(rn_merge_suspend(&state->merge, &state->runs));
        forget_shards(op, state->spilled);
        return RATION_OK;
    }
    uint64_t mask = choose(op, want_bytes);
    if (mask == 0) {
        return RATION_OK;
    }
    RN_TRY(write_shards(op, mask));
    forget_shards(op, mask);
    state->spilled |= mask;
    state->only = NULL;
    return RATION_OK;
}

ration_status rn_aggregate_spill(rn_operator *op, int64_t want_bytes)
{
    aggregate_state *state = op->state;
    int64_t distinct_bytes, group_bytes = count_groups(op);
    uint32_t function = largest_distinct(op, &distinct_bytes);
    if (distinct_bytes > group_bytes) {
        RN_TRY(rn_unique_spill(state->accumulators[function].distinct, want_bytes));
        want_bytes -= distinct_bytes;
    }
    return group_bytes > 0 && want_bytes > 0 && rn_runs_room(&state->runs)
               ? spill_groups(op, want_bytes)
               : RATION_OK;
}

/* --------------------------------------------------------------------------------- reading back */

/* Opens the merge, or goes on with it where a spill has closed it. Settles. */
static ration_status open_merge(rn_operator *op)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    rn_merge_memory memory = {.next = rn_groups_source_next,
                              .state = &state->source,
                              .widest_bytes = rn_groups_widest(&state->groups)};
    bool first = !state->begun;
    if (first && args->points) {
        RN_TRY(write_shards(op, state->spilled));
        forget_shards(op, state->spilled);
    }
    if (!first && state->runs.count == 0) {
        return RATION_OK; /* it had given its last row */
    }
    rn_groups_source_set(&state->source, &state->groups, state->spilled);
    RN_TRY(rn_merge_start(&state->merge, &state->runs, UINT64_MAX,
                          first && !args->points ? &memory : NULL));
    state->merging = true;
    state->begun = true;
    return RATION_OK;
}

/* Room for a copy of the row in hand. Drawn before a merge that a spill has closed is opened again:
 * else each of the two would be given back to pay for the other, without an end. Of rows with one
 * key another may be in hand afterwards, so the room is of the widest there was. */
static ration_status room_for_row(rn_operator *op, char **out_room)
{
    aggregate_state *state = op->state;
    char *room = NULL;
    for (size_t bytes = 0; room == NULL || bytes < rn_row_bytes(state->merge.row);) {
        bytes = rn_row_bytes(state->merge.row);
        int64_t bound = rn_context_bound_one(state->merged, bytes);
        if (bound > 0) {
            RN_TRY(rn_settle(op, 0, bound));
        }
        room = ration_context_allocate(state->merged, bytes);
        if (room == NULL) {
            return ration_context_status(state->merged);
        }
        if (!state->merging) {
            RN_TRY(open_merge(op));
        }
    }
    *out_room = room;
    return RATION_OK;
}

/* Copies the row in hand of the merge. */
static ration_status copy_row(rn_operator *op, const rn_row **out_row)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    char *row = NULL;
    RN_TRY(room_for_row(op, &row));
    memcpy(row, state->merge.row, rn_row_bytes(state->merge.row));
    if (args->points) {
        point_into(args, state, row);
    }
    *out_row = (const rn_row *)(const void *)row;
    return RATION_OK;
}

/* Adds the row in hand to the group it belongs to. */
static ration_status add_row(rn_operator *op, const rn_row *group)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    const rn_row *from = state->merge.row;
    if (args->points) {
        RN_TRY(copy_row(op, &from));
    }
    add_states(op, group, from);
    return RATION_OK;
}

static bool is_of_group(const aggregate_state *state, const rn_row *group, uint64_t word)
{
    return group != NULL && word == state->merge.key &&
           rn_groups_compare(&state->groups, group, state->merge.row) == 0;
}

ration_status rn_aggregate_merge_rows(rn_operator *op, uint32_t *out_count)
{
    aggregate_state *state = op->state;
    rn_merge *merge = &state->merge;
    const rn_row *group = NULL;
    uint64_t word = 0;
    uint32_t count = 0, steps = 0;
    ration_context_reset(state->merged);
    for (;; steps++) {
        if (steps == STEPS_TO_SETTLE) {
            RN_TRY(rn_settle(op, 0, 0));
            steps = 0;
        }
        if (!state->merging) {
            RN_TRY(open_merge(op));
        }
        if (merge->row == NULL) {
            break;
        }
        if (is_of_group(state, group, word)) {
            RN_TRY(add_row(op, group));
        } else {
            bool full = count == op->worker->batch_rows ||
                        ration_context_bytes(state->merged, false) > MERGED_BYTES;
            if (full) {
                break;
            }
            RN_TRY(copy_row(op, &group));
            word = merge->key;
            state->rows[count++] = group;
        }
        RN_TRY(rn_merge_step(merge));
    }
    *out_count = count;
    return RATION_OK;
}

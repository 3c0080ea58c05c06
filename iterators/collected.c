/* SPDX-License-Identifier: Apache-2.0
 *
 * collect(x): lists in the making, one per group.
 *
 * A list is a chain of segments. A new segment is as large as the list so far, 4 values at least
 * and a 16 KiB chunk at most, so that a list of n values has room for less than 2n + 4. Before a
 * batch is taken in, its values are counted by group (the word `pending`), and what the segments
 * they need will take is charged ahead, to the byte per shard.
 *
 * Invariants: pending is 0 between batches; all segments of a list but the last are full. */
#include "iterators/accumulator.h"

#define SEGMENT_VALUES_MIN 4u
#define SEGMENT_BYTES_MAX (RN_BLOCK_BYTES / 4)

typedef rn_list_state list_state;

_Static_assert(sizeof(list_state) == 4 * sizeof(uint64_t), "the columns of a group's row");

static list_state *state_of(const rn_row *group, const rn_accumulator *accumulator)
{
    return (list_state *)(void *)rn_group_word(group, accumulator->offset, 0);
}

/* Values of the segment that follows when a list has `length`. */
static uint32_t segment_capacity(uint64_t length, size_t width)
{
    uint64_t most = ((size_t)SEGMENT_BYTES_MAX - sizeof(rn_list_segment)) / width;
    return (uint32_t)RN_MIN(RN_MAX(length, SEGMENT_VALUES_MIN), most);
}

static size_t segment_bytes(uint32_t capacity, size_t width)
{
    return sizeof(rn_list_segment) + capacity * width;
}

typedef struct demand {
    size_t bytes, largest;
} demand;

static void demand_chunk(demand *wanted, const ration_context *context, size_t bytes)
{
    wanted->bytes += (size_t)rn_context_chunk_bytes(context, bytes);
    wanted->largest = RN_MAX(wanted->largest, bytes);
}

/* What the pending values of one list need in segments. */
static void demand_segments(demand *wanted, const ration_context *values, const list_state *state,
                            size_t width)
{
    uint64_t length = state->list.length, pending = state->pending;
    uint64_t room = state->last == NULL ? 0 : state->last->capacity - state->last->count;
    while (pending > room) {
        pending -= room;
        length += room;
        room = segment_capacity(length, width);
        demand_chunk(wanted, values, segment_bytes((uint32_t)room, width));
    }
}

int64_t rn_collect_bound(rn_accumulator *accumulator, const rn_intake *intake,
                         const rn_column *column)
{
    demand wanted[RN_GROUP_SHARDS] = {{0, 0}};
    size_t width = rn_kind_bytes((rn_kind)column->type.kind);
    int64_t bytes = 0;
    for (uint32_t i = 0; i < intake->rows; i++) {
        state_of(intake->groups[i], accumulator)->pending += rn_column_valid(column, i);
    }
    for (uint32_t i = 0; i < intake->rows; i++) {
        list_state *state = state_of(intake->groups[i], accumulator);
        uint32_t shard = rn_intake_shard(intake, i);
        const ration_context *values = accumulator->values[shard];
        if (state->pending > 0) {
            demand_segments(&wanted[shard], values, state, width);
            state->pending = 0;
        }
        if (column->type.kind == RN_STRING && rn_column_valid(column, i)) {
            const rn_string *string = rn_column_at(column, i);
            if (string->length > RN_STRING_INLINE_MAX) {
                demand_chunk(&wanted[shard], values, string->length);
            }
        }
    }
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        bytes += wanted[s].bytes == 0
                     ? 0
                     : rn_context_bound(accumulator->values[s], wanted[s].bytes, wanted[s].largest);
    }
    return bytes;
}

/* The list's last segment, with room for one value at least; NULL when refused. */
static rn_list_segment *segment_with_room(ration_context *values, list_state *state, size_t width)
{
    if (state->last != NULL && state->last->count < state->last->capacity) {
        return state->last;
    }
    uint32_t capacity = segment_capacity(state->list.length, width);
    rn_list_segment *segment = ration_context_allocate(values, segment_bytes(capacity, width));
    if (segment == NULL) {
        return NULL;
    }
    *segment = (rn_list_segment){NULL, 0, capacity};
    if (state->last == NULL) {
        state->list.first = segment;
    } else {
        state->last->next = segment;
    }
    state->last = segment;
    return segment;
}

static bool copy_string(ration_context *context, rn_string *string)
{
    if (string->length > RN_STRING_INLINE_MAX) {
        char *bytes = ration_context_allocate(context, string->length);
        if (bytes == NULL) {
            return false;
        }
        memcpy(bytes, string->rest.pointer, string->length);
        string->rest.pointer = bytes;
    }
    return true;
}

ration_status rn_collect_values(rn_accumulator *accumulator, const rn_intake *intake,
                                const rn_column *column)
{
    size_t width = rn_kind_bytes((rn_kind)column->type.kind);
    for (uint32_t i = 0; i < intake->rows; i++) {
        if (!rn_column_valid(column, i)) {
            continue;
        }
        list_state *state = state_of(intake->groups[i], accumulator);
        ration_context *values = accumulator->values[rn_intake_shard(intake, i)];
        rn_list_segment *segment = segment_with_room(values, state, width);
        if (segment == NULL) {
            return ration_context_status(values);
        }
        char *to = (char *)rn_list_values(segment) + width * segment->count;
        memcpy(to, rn_column_at(column, i), width);
        if (column->type.kind == RN_STRING && !copy_string(values, (rn_string *)(void *)to)) {
            return ration_context_status(values);
        }
        segment->count += 1;
        state->list.length += 1;
    }
    return RATION_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of one word, in hand: as a rule one or a few, and then they stay where the merge has
 * them; copied only when the merge reads its next block before the word is over, or when they do
 * not fit there.
 *
 *     rn_join_group_open -> (rn_join_group_clear -> (rn_join_group_room -> rn_join_group_add)*
 *                        -> rn_join_group_copy)* -> rn_join_group_close
 *
 * Invariants
 *   1. `copied` or all rows together are at most base_bytes: so copying them needs no room but the
 *      first block's.
 *   2. At most RN_JOIN_GROUP_ROWS rows and about RN_JOIN_GROUP_BYTES: nested loops over more cost
 *      no more than over so many (join_nested.c), so memory is better left to others. */
#include "iterators/join.h"

struct rn_join_block {
    struct rn_join_block *next;
    int64_t used, capacity;
    /* rows */
};

#define HEAD_BYTES ((int64_t)sizeof(struct rn_join_block))

static int64_t block_capacity(int64_t row_bytes)
{
    return RN_MAX((int64_t)RN_BLOCK_BYTES - RN_CONTEXT_ALONE_BYTES - HEAD_BYTES, row_bytes);
}

static char *block_bytes(struct rn_join_block *block)
{
    return (char *)(block + 1);
}

/* ------------------------------------------------------------------------------- open and close */

int64_t rn_join_group_bound(int64_t widest_bytes)
{
    rn_draft draft;
    rn_context_draft_open(&draft);
    rn_minimum_array(&draft, RN_JOIN_GROUP_ROWS, sizeof(rn_row *));
    rn_minimum_array(&draft, 1, (size_t)(HEAD_BYTES + block_capacity(widest_bytes)));
    return draft.bytes + rn_minimum_context();
}

static struct rn_join_block *allocate_block(ration_context *context, int64_t capacity)
{
    struct rn_join_block *block = ration_context_allocate(context, (size_t)(HEAD_BYTES + capacity));
    if (block != NULL) {
        *block = (struct rn_join_block){NULL, 0, capacity};
    }
    return block;
}

ration_status rn_join_group_open(rn_operator *op, const rn_layout *layout, uint32_t key_count,
                                 bool distinct, int64_t widest_bytes, rn_join_group *out_group)
{
    rn_join_group group = {.op = op,
                           .layout = layout,
                           .key_count = key_count,
                           .distinct = distinct,
                           .base_bytes = block_capacity(widest_bytes)};
    RN_TRY(ration_context_create(op->context, op->worker->slot, RATION_CONTEXT_BUMP,
                                 "rows of a key", &group.base));
    *out_group = group;
    RN_TRY(ration_context_create(group.base, op->worker->slot, RATION_CONTEXT_BUMP,
                                 "more rows of a key", &out_group->more));
    out_group->rows = ration_context_allocate(group.base, RN_JOIN_GROUP_ROWS * sizeof *group.rows);
    out_group->first = allocate_block(group.base, group.base_bytes);
    if (out_group->rows == NULL || out_group->first == NULL) {
        return ration_context_status(group.base);
    }
    rn_join_group_clear(out_group);
    return RATION_OK;
}

void rn_join_group_close(rn_join_group *group)
{
    ration_context_delete(group->base);
    memset(group, 0, sizeof *group);
}

void rn_join_group_clear(rn_join_group *group)
{
    if (group->last != group->first) {
        ration_context_reset(group->more);
    }
    group->last = group->first;
    group->first->used = 0;
    group->more_bytes = 0;
    group->count = 0;
    group->bytes = 0;
    group->uniform = true;
    group->copied = false;
}

/* --------------------------------------------------------------------------------------- adding */

static const rn_row *copy_row(rn_join_group *group, const rn_row *row)
{
    struct rn_join_block *block = group->last;
    uint32_t bytes = rn_row_bytes(row);
    rn_assert(block->capacity - block->used >= bytes);
    char *to = block_bytes(block) + block->used;
    memcpy(to, row, bytes);
    block->used += bytes;
    return (const rn_row *)(const void *)to;
}

void rn_join_group_copy(rn_join_group *group)
{
    if (group->copied) {
        return;
    }
    for (uint32_t i = 0; i < group->count; i++) {
        group->rows[i] = copy_row(group, group->rows[i]);
    }
    group->copied = true;
}

bool rn_join_group_grows(const rn_join_group *group, int64_t row_bytes)
{
    return group->copied ? group->last->capacity - group->last->used < row_bytes
                         : group->bytes + row_bytes > group->base_bytes;
}

ration_status rn_join_group_room(rn_join_group *group, int64_t row_bytes, bool *out_room)
{
    int64_t capacity = block_capacity(row_bytes), granted;
    int64_t bound = rn_context_bound_one(group->more, (size_t)(HEAD_BYTES + capacity));
    *out_room = group->count < RN_JOIN_GROUP_ROWS;
    if (!*out_room || !rn_join_group_grows(group, row_bytes)) {
        return RATION_OK;
    }
    rn_join_group_copy(group);
    if (!rn_join_group_grows(group, row_bytes)) {
        return RATION_OK;
    }
    *out_room = false;
    if (group->more_bytes + capacity > RN_JOIN_GROUP_BYTES) {
        return RATION_OK;
    }
    /* What was taken so before counts as spent of the claim, though others will need that part. */
    int64_t beyond = group->beyond_bytes + group->more_bytes;
    RN_TRY(rn_settle_between(group->op, 0, rn_add(bound, beyond), &granted));
    if (granted < bound + beyond) {
        return RATION_OK;
    }
    struct rn_join_block *block = allocate_block(group->more, capacity);
    if (block == NULL) {
        return ration_context_status(group->more);
    }
    group->last->next = block;
    group->last = block;
    group->more_bytes += capacity;
    *out_room = true;
    return RATION_OK;
}

bool rn_join_group_knows(const rn_join_group *group, const rn_row *row)
{
    bool known = false;
    for (uint32_t i = 0; i < group->count && !known; i++) {
        known = rn_row_same(group->layout, row, group->layout, group->rows[i], group->key_count);
    }
    return known;
}

void rn_join_group_add(rn_join_group *group, const rn_row *row)
{
    group->uniform =
        group->uniform && (group->count == 0 || rn_row_same(group->layout, row, group->layout,
                                                            group->rows[0], group->key_count));
    group->bytes += rn_row_bytes(row);
    group->rows[group->count++] = group->copied ? copy_row(group, row) : row;
}

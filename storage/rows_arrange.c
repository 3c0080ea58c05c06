/* SPDX-License-Identifier: Apache-2.0
 *
 * Putting the newest rows into another order where they lie, while they are still in the cache:
 * copied out in that order, then back, block by block. Rows of different sizes leave other gaps at
 * the ends of the blocks than they did before, so it can be that they do not fit; then nothing is
 * changed.
 *
 * Rejected: following the cycles of the permutation, which needs a place's number from its address
 * and rows of one size; new blocks instead of the old ones, which begin in the middle of a block
 * that holds older rows. */
#include "storage/row_run.h"
#include "storage/rows_block.h"

rn_rows_cursor rn_rows_end(const rn_rows *rows)
{
    return rows->last == NULL ? (rn_rows_cursor){NULL, 0}
                              : (rn_rows_cursor){rows->last, rows->last->used};
}

/* Cursors are for readers; these are blocks of the caller's own rows. */
static struct rn_rows_block *block_of(const rn_rows *rows, rn_rows_cursor from)
{
    return from.block == NULL ? rows->first : (struct rn_rows_block *)(uintptr_t)from.block;
}

uint32_t rn_rows_blocks(const rn_rows *rows, rn_rows_cursor from)
{
    uint32_t count = 0;
    for (const struct rn_rows_block *at = block_of(rows, from); at != NULL; at = at->next) {
        count++;
    }
    return count;
}

static void copy_back(struct rn_rows_block *block, uint32_t offset, char *const *spare,
                      const uint32_t *used, uint32_t parts)
{
    for (uint32_t part = 0; block != NULL; block = block->next, part++, offset = 0) {
        uint32_t bytes = part < parts ? used[part] : 0;
        if (bytes > 0) {
            memcpy(rn_rows_block_bytes(block) + offset, spare[part], bytes);
        }
        block->used = offset + bytes;
    }
}

bool rn_rows_arrange(rn_rows *rows, rn_rows_cursor from, const rn_row **order, uint32_t count,
                     char *const *spare, uint32_t spare_count)
{
    uint32_t used[RN_ROWS_SPARE_MAX] = {0};
    struct rn_rows_block *block = block_of(rows, from);
    uint32_t part = 0;
    rn_assert(spare_count <= RN_ROWS_SPARE_MAX);
    if (block == NULL || spare_count == 0 || block->capacity > RN_ROWS_SPARE_BYTES) {
        return false;
    }
    char *to = rn_rows_block_bytes(block) + from.offset;
    uint32_t room = block->capacity - from.offset;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = rn_row_bytes(order[i]);
        if (bytes > room - used[part]) {
            block = block->next;
            part += 1;
            if (block == NULL || part == spare_count || block->capacity > RN_ROWS_SPARE_BYTES) {
                return false;
            }
            to = rn_rows_block_bytes(block);
            room = block->capacity;
        }
        memcpy(spare[part] + used[part], order[i], bytes);
        order[i] = (const rn_row *)(const void *)(to + used[part]);
        used[part] += bytes;
    }
    copy_back(block_of(rows, from), from.offset, spare, used, part + 1);
    return true;
}

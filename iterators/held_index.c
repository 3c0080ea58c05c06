/* SPDX-License-Identifier: Apache-2.0
 *
 * The places of a held set's blocks, and a few of them read; see held_index.h.
 *
 * An entry of a block in memory is its address; when the block is written out, the held set says
 * where to. A block that was written out before the index was opened says its place when a scan
 * reads it, so rows can be asked for as soon as a scan has come by them. */
#include "iterators/held_index.h"

#define LEAF_ENTRIES 1000
#define OFFSET_BITS 13 /* rows start at multiples of 8 in blocks of 64 KiB */

_Static_assert((INT64_C(8) << OFFSET_BITS) >= RN_BLOCK_BYTES, "offsets have room in an address");

static int64_t *entry_of(const rn_held_index *index, int64_t block)
{
    rn_assert(block >= 0 && block < index->block_count);
    return &index->leaves[block / LEAF_ENTRIES][block % LEAF_ENTRIES];
}

static ration_status make_leaves(rn_held_index *index)
{
    size_t count = (size_t)((index->block_count + LEAF_ENTRIES - 1) / LEAF_ENTRIES);
    index->leaves = ration_context_allocate(index->context, count * sizeof *index->leaves);
    for (size_t i = 0; i < count && index->leaves != NULL; i++) {
        index->leaves[i] = ration_context_allocate(index->context, LEAF_ENTRIES * sizeof(int64_t));
        if (index->leaves[i] == NULL) {
            return ration_context_status(index->context);
        }
    }
    return index->leaves == NULL ? ration_context_status(index->context) : RATION_OK;
}

ration_status rn_held_index_open(rn_held *held, ration_context *context, rn_held_index *out_index)
{
    rn_held_index index = {.held = held, .context = context, .block_count = held->spilled};
    const rn_rows_block *block = NULL;
    while ((block = rn_rows_block_next(&held->rows, block)) != NULL) {
        index.block_count += 1;
    }
    for (uint32_t i = 0; i < RN_HELD_BUFFERS; i++) {
        index.buffers[i].block = -1;
    }
    RN_TRY(make_leaves(&index));
    int64_t number = held->spilled;
    while ((block = rn_rows_block_next(&held->rows, block)) != NULL) {
        *entry_of(&index, number++) = (int64_t)(uintptr_t)block;
    }
    *out_index = index;
    out_index->next = held->indexes;
    held->indexes = out_index;
    return RATION_OK;
}

void rn_held_index_close(rn_held_index *index)
{
    if (index->held == NULL) {
        return;
    }
    rn_held_index_leave(index);
    for (uint32_t i = 0; i < RN_HELD_BUFFERS; i++) {
        rn_held_buffer_free(index->buffers[i].bytes);
    }
    rn_held_index **link = &index->held->indexes;
    while (*link != index) {
        link = &(*link)->next;
    }
    *link = index->next;
    memset(index, 0, sizeof *index);
}

void rn_held_index_note(rn_held *held, int64_t block, int64_t place)
{
    for (rn_held_index *index = held->indexes; index != NULL; index = index->next) {
        if (block < index->block_count) {
            *entry_of(index, block) = place;
        }
    }
}

int64_t rn_held_index_address(const rn_held_scan *scan, const rn_row *row)
{
    int64_t offset = (const char *)row - scan->start;
    return (scan->next - 1) << OFFSET_BITS | offset >> 3;
}

void rn_held_index_leave(rn_held_index *index)
{
    rn_held_pin_release(index->held, &index->pin);
}

/* ---------------------------------------------------------------------------- blocks of the run */

/* The buffer that holds the block, or the one to read it into: one that is empty, else the one not
 * used for longest. */
static rn_held_buffer *find_buffer(rn_held_index *index, int64_t block)
{
    rn_held_buffer *oldest = &index->buffers[0];
    for (uint32_t i = 0; i < RN_HELD_BUFFERS; i++) {
        rn_held_buffer *buffer = &index->buffers[i];
        if (buffer->block == block) {
            return buffer;
        }
        oldest = buffer->used < oldest->used ? buffer : oldest;
    }
    return oldest;
}

/* Makes room for a block of the run. When a limit refuses another buffer, one that is there will
 * do; for the first one rows are written out. */
static ration_status make_room(rn_held_index *index, rn_held_buffer **buffer)
{
    uint32_t bytes = rn_held_buffer_bytes(index->held);
    if ((*buffer)->capacity >= bytes) {
        return RATION_OK;
    }
    rn_held_buffer_free((*buffer)->bytes);
    **buffer = (rn_held_buffer){.block = -1};
    char *memory;
    while ((memory = ration_context_allocate(index->context, bytes)) == NULL) {
        for (uint32_t i = 0; i < RN_HELD_BUFFERS; i++) {
            if (index->buffers[i].capacity >= bytes) {
                *buffer = &index->buffers[i];
                return RATION_OK;
            }
        }
        RN_TRY(rn_held_relieve(index->held, ration_context_status(index->context)));
        bytes = rn_held_buffer_bytes(index->held);
    }
    (*buffer)->bytes = memory;
    (*buffer)->capacity = bytes;
    return RATION_OK;
}

static ration_status read_block(rn_held_index *index, int64_t block, rn_held_buffer *buffer)
{
    rn_held *held = index->held;
    const char *bytes;
    size_t length;
    buffer->block = -1;
    rn_run_start(&index->reader, held->file, &held->writer.run, buffer->bytes);
    rn_run_seek(&index->reader, *entry_of(index, block));
    RN_TRY(rn_run_next(&index->reader, &bytes, &length));
    rn_assert(bytes == buffer->bytes + RN_RUN_HEAD_BYTES);
    if (rn_never(length == 0)) {
        return RATION_SPILL_CORRUPT;
    }
    buffer->block = block;
    return RATION_OK;
}

/* ----------------------------------------------------------------------------------------- rows */

ration_status rn_held_index_row(rn_held_index *index, int64_t address, const rn_row **out_row)
{
    rn_held *held = index->held;
    int64_t block = address >> OFFSET_BITS;
    size_t offset = (size_t)(address & ((1 << OFFSET_BITS) - 1)) << 3;
    const char *bytes;
    uint32_t length;
    rn_held_index_leave(index);
    if (block >= held->spilled) {
        rn_rows_block *found = (rn_rows_block *)(uintptr_t)*entry_of(index, block);
        rn_held_pin_set(held, &index->pin, found);
        bytes = rn_rows_block_read(found, &length);
    } else {
        rn_held_buffer *buffer = find_buffer(index, block);
        if (buffer->block != block) {
            RN_TRY(make_room(index, &buffer));
            RN_TRY(read_block(index, block, buffer));
        }
        buffer->used = ++index->clock;
        bytes = buffer->bytes + RN_RUN_HEAD_BYTES;
    }
    *out_row = (const rn_row *)(const void *)(bytes + offset);
    return RATION_OK;
}

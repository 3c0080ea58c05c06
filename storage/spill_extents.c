/* SPDX-License-Identifier: Apache-2.0
 *
 * The space of a spill file: which extents a chain has, and which are free.
 *
 *     rn_extents_lengthen -> rn_extents_stretch, rn_extents_skip -> rn_extents_release
 *
 * A table next[extent], two levels deep (a leaf of 16 KiB per GiB), in the heap: 4 bytes for 256
 * KiB. A chain that is given back goes in front of the free ones as a whole, so that it is taken
 * again in its order and while its pages are still in memory: that is faster than fresh ones. When
 * more is free than lives, and 64 MiB, the rest is punched out; when nothing lives, everything
 * above 64 MiB is.
 *
 * 1. Every extent up to `extents` is in one chain: of a run, or of the free ones.
 * 2. The file has at most as many extents as the most that ever lived at a time, and the unused
 *    ends of chains (less than an extent each).
 * 3. kept_extents = free extents whose blocks were not punched out. */
#include <errno.h>
#include <stdio.h>

#include "base/heap.h"
#include "storage/spill_file.h"

#define LEAF_EXTENTS 4096u
#define LEAF_BYTES (LEAF_EXTENTS * sizeof(uint32_t))
#define PUNCHED (UINT32_C(1) << 31) /* in next[] of a free extent */
#define KEPT_EXTENTS (INT64_C(64) * 1024 * 1024 / RN_EXTENT_BYTES)

/* ---------------------------------------------------------------------------------------- table */

static uint32_t *next_of(const rn_spill_file *file, uint32_t extent)
{
    rn_assert(extent > 0 && extent <= file->extents);
    return &file->leaves[extent / LEAF_EXTENTS][extent % LEAF_EXTENTS];
}

/* Makes room for the leaf of `extent`. */
static bool grow_table(rn_spill_file *file, uint32_t extent)
{
    uint32_t leaf = extent / LEAF_EXTENTS;
    if (leaf < file->leaf_count) {
        return true;
    }
    if (leaf == file->leaf_slots) {
        uint32_t slots = RN_MAX(2u, file->leaf_slots * 2);
        uint32_t **leaves = rn_heap_allocate(slots * sizeof *leaves);
        if (leaves == NULL) {
            return false;
        }
        if (file->leaf_count > 0) {
            memcpy(leaves, file->leaves, file->leaf_count * sizeof *leaves);
        }
        rn_heap_free(file->leaves, file->leaf_slots * sizeof *leaves);
        file->leaves = leaves;
        file->leaf_slots = slots;
    }
    uint32_t *fresh = rn_heap_allocate(LEAF_BYTES);
    if (fresh == NULL) {
        return false;
    }
    file->leaves[file->leaf_count++] = fresh;
    return true;
}

/* A free extent, or one more at the end of the file. */
static ration_status take_extent(rn_spill_file *file, uint32_t *out_extent)
{
    uint32_t extent = file->first_free;
    if (extent != 0) {
        uint32_t *next = next_of(file, extent);
        file->first_free = *next & ~PUNCHED;
        file->kept_extents -= (*next & PUNCHED) == 0;
    } else {
        extent = file->extents + 1;
        if (extent > RN_EXTENTS_MAX || extent * RN_EXTENT_BYTES > file->length_max) {
            return rn_spill_file_fail_call(file, "cannot make the file longer", EFBIG);
        }
        if (!grow_table(file, extent)) {
            return rn_spill_file_fail(file, RATION_NO_MEMORY, "", "no memory for a spill file");
        }
        file->extents = extent;
    }
    *next_of(file, extent) = 0;
    *out_extent = extent;
    return RATION_OK;
}

ration_status rn_extents_lengthen(rn_spill_file *file, rn_extents *chain, int64_t bytes,
                                  int64_t *out_position)
{
    int64_t used = chain->bytes % RN_EXTENT_BYTES;
    int64_t room = used > 0 ? RN_EXTENT_BYTES - used : 0;
    uint32_t begin = used > 0 ? chain->last : 0; /* the extent of the first new byte */
    while (room < bytes) {
        uint32_t extent = 0;
        RN_TRY(take_extent(file, &extent));
        if (chain->first == 0) {
            chain->first = extent;
        } else {
            *next_of(file, chain->last) = extent;
        }
        chain->last = extent;
        begin = begin == 0 ? extent : begin;
        room += RN_EXTENT_BYTES;
    }
    *out_position = begin * RN_EXTENT_BYTES + used;
    return RATION_OK;
}

int64_t rn_extents_skip(const rn_spill_file *file, int64_t position, int64_t bytes)
{
    uint32_t extent = (uint32_t)(position / RN_EXTENT_BYTES);
    int64_t offset = position % RN_EXTENT_BYTES + bytes;
    for (; offset >= RN_EXTENT_BYTES; offset -= RN_EXTENT_BYTES) {
        extent = *next_of(file, extent);
        if (extent == 0) {
            return 0;
        }
    }
    return extent * RN_EXTENT_BYTES + offset;
}

int64_t rn_extents_stretch(const rn_spill_file *file, int64_t position, int64_t bytes,
                           int64_t *out_next)
{
    uint32_t extent = (uint32_t)(position / RN_EXTENT_BYTES);
    int64_t length = RN_EXTENT_BYTES - position % RN_EXTENT_BYTES;
    uint32_t next = *next_of(file, extent);
    while (length < bytes && next == extent + 1) {
        extent = next;
        next = *next_of(file, extent);
        length += RN_EXTENT_BYTES;
    }
    *out_next = length > bytes ? position + bytes : next * RN_EXTENT_BYTES;
    return RN_MIN(length, bytes);
}

/* ---------------------------------------------------------------------------------- giving back */

/* Punches the chain's extents out, those that lie together with one call; what cannot be punched
 * stays. */
static void punch_chain(rn_spill_file *file, const rn_extents *chain)
{
    const rn_disk *disk = file->volume->disk;
    for (uint32_t first = chain->first, next; first != 0; first = next) {
        uint32_t last = first;
        for (next = *next_of(file, last); next == last + 1; next = *next_of(file, last)) {
            last = next;
        }
        bool punched = disk->punch(disk->state, file->descriptor, (first - 1) * RN_EXTENT_BYTES,
                                   (last - first + 1) * RN_EXTENT_BYTES) == 0;
        for (uint32_t extent = first; punched && extent <= last; extent++) {
            *next_of(file, extent) |= PUNCHED;
        }
    }
}

/* Nothing lives: the file begins anew, and gives back all but its first part. */
static void begin_anew(rn_spill_file *file)
{
    const rn_disk *disk = file->volume->disk;
    if (file->extents > KEPT_EXTENTS) {
        (void)disk->punch(disk->state, file->descriptor, KEPT_EXTENTS * RN_EXTENT_BYTES,
                          (file->extents - KEPT_EXTENTS) * RN_EXTENT_BYTES);
    }
    file->extents = file->first_free = 0;
    file->kept_extents = 0;
}

void rn_extents_release(rn_spill_file *file, rn_extents *chain)
{
    int64_t extents = (chain->bytes + RN_EXTENT_BYTES - 1) / RN_EXTENT_BYTES;
    rn_assert(chain->bytes <= file->live_bytes);
    file->live_bytes -= chain->bytes;
    rn_spill_quota_release(file->quota, chain->bytes);
    if (file->error.status != RATION_OK || rn_spill_file_is_inherited(file)) {
        *chain = (rn_extents){0}; /* nothing will be written any more */
        return;
    }
    if (file->live_bytes == 0) {
        begin_anew(file);
    } else {
        int64_t kept = file->kept_extents + extents;
        if (kept > KEPT_EXTENTS + file->live_bytes / RN_EXTENT_BYTES) {
            punch_chain(file, chain);
        } else {
            file->kept_extents = kept;
        }
        *next_of(file, chain->last) |= file->first_free;
        file->first_free = chain->first;
    }
    *chain = (rn_extents){0};
}

void rn_extents_free_table(rn_spill_file *file)
{
    for (uint32_t i = 0; i < file->leaf_count; i++) {
        rn_heap_free(file->leaves[i], LEAF_BYTES);
    }
    rn_heap_free(file->leaves, file->leaf_slots * sizeof *file->leaves);
}

bool rn_spill_file_check(const rn_spill_file *file, char *text, size_t capacity)
{
    uint32_t count = 0;
    int64_t kept = 0;
    for (uint32_t extent = file->first_free; extent != 0; count++) {
        if (extent > file->extents || count > file->extents) {
            (void)snprintf(text, capacity, "the chain of free extents does not end");
            return false;
        }
        uint32_t next = *next_of(file, extent);
        kept += (next & PUNCHED) == 0;
        extent = next & ~PUNCHED;
    }
    if (kept != file->kept_extents) {
        (void)snprintf(text, capacity, "%lld free extents are kept, not %lld", (long long)kept,
                       (long long)file->kept_extents);
        return false;
    }
    if (file->live_bytes > (file->extents - count) * RN_EXTENT_BYTES) {
        (void)snprintf(text, capacity, "%lld bytes live in %u extents of %u",
                       (long long)file->live_bytes, file->extents - count, file->extents);
        return false;
    }
    return true;
}

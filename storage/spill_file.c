/* SPDX-License-Identifier: Apache-2.0
 *
 * Spill files: space in extents, and the writes and reads of one worker.
 *
 *     rn_spill_file_open -> rn_extents_append ... rn_extents_read ... rn_extents_release -> _close
 *
 * Space is a table next[extent], two levels deep (a leaf of 16 KiB per GiB), in the heap: 4 bytes
 * for 256 KiB. A chain that is given back goes in front of the free ones as a whole, so that it is
 * taken again in its order and while its pages are still in memory: that is faster than fresh ones
 * (storage/README.md). When more is free than lives, and 64 MiB, the rest is punched out; when
 * nothing lives, everything above 64 MiB is.
 *
 * Write-behind (sync_file_range for every MiB) is an option, off by default: most runs are read and
 * given back before the system would have written them, and giving back waits for what is being
 * written. Inside a memory control group, where pages must go to the disk anyway, it pays. Figures:
 * `make bench-runs`, storage/README.md. Blocks are not compressed: the same place.
 *
 * 1. Every extent up to `extents` is in one chain: of a run, or of the free ones.
 * 2. live_bytes = sum of the chains' bytes = what the file takes of its quotas.
 * 3. The file has at most as many extents as the most that ever lived at a time, and the unused
 *    ends of chains (less than an extent each).
 * 4. After the first failure nothing is written or read any more; giving back still works.
 */
#include <errno.h>
#include <sys/resource.h>

#include "base/hash.h"
#include "base/heap.h"
#include "base/text.h"
#include "storage/spill_file.h"

#define LEAF_EXTENTS 4096u
#define LEAF_BYTES (LEAF_EXTENTS * sizeof(uint32_t))
#define PUNCHED (UINT32_C(1) << 31) /* in next[] of a free extent */
#define KEPT_EXTENTS (INT64_C(64) * 1024 * 1024 / RN_EXTENT_BYTES)
#define LOOK_BYTES (INT64_C(16) * 1024 * 1024)
#define INTERRUPTS_MAX 1000
#define PARTS_MAX 4
#define BEHIND_BYTES (INT64_C(1024) * 1024)

/* ------------------------------------------------------------------------------------- failures */

ration_status rn_spill_file_fail(rn_spill_file *file, ration_status status, const char *hint,
                                 const char *format, ...)
{
    if (file->error.status == RATION_OK) {
        char message[sizeof file->error.message];
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(message, sizeof message, format, arguments);
        va_end(arguments);
        (void)rn_error_set(&file->error, status, hint, "%s", message);
    }
    return file->error.status;
}

static ration_status fail_call(rn_spill_file *file, const char *what, int code)
{
    const char *hint;
    ration_status status = rn_spill_cause(code, &hint);
    return rn_spill_file_fail(file, status, hint, "spilling to %s: %s: %s", file->volume->directory,
                              what, strerror(code));
}

ration_status rn_spill_file_status(const rn_spill_file *file)
{
    return file->error.status;
}

const char *rn_spill_file_directory(const rn_spill_file *file)
{
    return file->volume->directory;
}

bool rn_spill_file_error(const rn_spill_file *file, ration_error *out_error)
{
    if (file->error.status == RATION_OK) {
        return false;
    }
    *out_error = file->error;
    return true;
}

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
            return fail_call(file, "cannot make the file longer", EFBIG);
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

/* Makes the chain long enough for `bytes` more. What it has then stays its own. */
static ration_status lengthen(rn_spill_file *file, rn_extents *chain, int64_t bytes)
{
    int64_t used = chain->bytes % RN_EXTENT_BYTES;
    int64_t room = used > 0 ? RN_EXTENT_BYTES - used : 0;
    while (room < bytes) {
        uint32_t extent = 0;
        RN_TRY(take_extent(file, &extent));
        if (chain->first == 0) {
            chain->first = extent;
        } else {
            *next_of(file, chain->last) = extent;
        }
        chain->last = extent;
        room += RN_EXTENT_BYTES;
    }
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

/* How many of `bytes` from `position` on lie one behind the other in the file, and what follows:
 * 0 = the chain's end. */
static int64_t stretch(const rn_spill_file *file, int64_t position, int64_t bytes,
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

/* -------------------------------------------------------------------------------------- writing */

/* What is still to be written. */
typedef struct parts_left {
    struct iovec parts[PARTS_MAX];
    int count;
} parts_left;

static void drop_written(parts_left *left, size_t bytes)
{
    int full = 0;
    while (full < left->count && bytes >= left->parts[full].iov_len) {
        bytes -= left->parts[full].iov_len;
        full += 1;
    }
    left->count -= full;
    memmove(left->parts, left->parts + full, (size_t)left->count * sizeof left->parts[0]);
    if (bytes > 0) {
        rn_assert(left->count > 0);
        left->parts[0].iov_base = (char *)left->parts[0].iov_base + bytes;
        left->parts[0].iov_len -= bytes;
    }
}

/* The first `bytes` of what is left; returns how many parts. */
static int cut_parts(const parts_left *left, int64_t bytes, struct iovec *out)
{
    int count = 0;
    for (size_t wanted = (size_t)bytes; wanted > 0; count++) {
        out[count] = left->parts[count];
        out[count].iov_len = RN_MIN(out[count].iov_len, wanted);
        wanted -= out[count].iov_len;
    }
    return count;
}

/* Hands what was written to the disk, a window at a time; a stretch that does not continue the last
 * one begins a new window. */
static void write_behind(rn_spill_file *file, int64_t position, int64_t bytes)
{
    const rn_disk *disk = file->volume->disk;
    if (!file->volume->write_behind) {
        return;
    }
    if (position != file->behind_end) {
        file->behind = position;
    }
    file->behind_end = position + bytes;
    if (file->behind_end - file->behind >= BEHIND_BYTES) {
        (void)disk->write_behind(disk->state, file->descriptor, file->behind - RN_EXTENT_BYTES,
                                 file->behind_end - file->behind);
        file->behind = file->behind_end;
    }
}

/* Writes `bytes` to one place; interrupted and short writes go on. */
static ration_status write_stretch(rn_spill_file *file, parts_left *left, int64_t position,
                                   int64_t bytes)
{
    const rn_disk *disk = file->volume->disk;
    int tries = 0;
    while (bytes > 0) {
        struct iovec cut[PARTS_MAX];
        int count = cut_parts(left, bytes, cut);
        ssize_t written =
            disk->write_at(disk->state, file->descriptor, cut, count, position - RN_EXTENT_BYTES);
        if (written > 0) {
            drop_written(left, (size_t)written);
            position += written;
            bytes -= written;
            tries = 0;
        } else {
            tries += 1;
            int code = written < 0 ? errno : EIO;
            if (code != EINTR || tries == INTERRUPTS_MAX) {
                return fail_call(file, "cannot write", code);
            }
        }
    }
    return RATION_OK;
}

static ration_status open_descriptor(rn_spill_file *file)
{
    struct rlimit length;
    ration_status status =
        rn_spill_volume_descriptor(file->volume, &file->descriptor, &file->error);
    if (status != RATION_OK) {
        return status;
    }
    file->length_max = INT64_MAX;
    if (getrlimit(RLIMIT_FSIZE, &length) == 0 && length.rlim_cur < (rlim_t)INT64_MAX) {
        file->length_max = (int64_t)length.rlim_cur;
    }
    return RATION_OK;
}

/* All that can be said before anything is written. */
static ration_status prepare(rn_spill_file *file, rn_extents *chain, int64_t bytes)
{
    if (file->descriptor < 0) {
        RN_TRY(open_descriptor(file));
    }
    if (file->until_look <= 0) {
        RN_TRY(rn_spill_volume_look(file->volume, file->descriptor, RN_MAX(bytes, LOOK_BYTES),
                                    &file->error));
        file->until_look = LOOK_BYTES;
    }
    return lengthen(file, chain, bytes);
}

static ration_status write_parts(rn_spill_file *file, const struct iovec *parts, int count,
                                 int64_t position, int64_t bytes)
{
    parts_left left = {.count = count};
    memcpy(left.parts, parts, (size_t)count * sizeof *parts);
    for (int64_t next; bytes > 0; position = next) {
        int64_t length = stretch(file, position, bytes, &next);
        RN_TRY(write_stretch(file, &left, position, length));
        write_behind(file, position, length);
        bytes -= length;
    }
    return RATION_OK;
}

static ration_status refuse_quota(rn_spill_file *file, const rn_spill_quota *quota, int64_t bytes)
{
    return rn_spill_file_fail(
        file, RATION_SPILL_QUOTA,
        quota->key != NULL ? quota->key : "spill_query_bytes_max and the group's spill_bytes_max",
        "spilling to %s: %lld bytes are written out, and %lld more would pass the quota of %lld",
        file->volume->directory, (long long)rn_load(&quota->used_bytes), (long long)bytes,
        (long long)rn_load(&quota->limit_bytes));
}

ration_status rn_extents_append(rn_spill_file *file, rn_extents *chain, const struct iovec *parts,
                                int count, int64_t *out_position)
{
    int64_t bytes = 0;
    rn_assert(count <= PARTS_MAX);
    for (int i = 0; i < count; i++) {
        bytes += (int64_t)parts[i].iov_len;
    }
    rn_assert(bytes > 0 && bytes % RN_SPILL_PAGE == 0);
    if (file->error.status != RATION_OK) {
        return file->error.status;
    }
    const rn_spill_quota *refusing = rn_spill_quota_charge(file->quota, bytes);
    if (refusing != NULL) {
        return refuse_quota(file, refusing, bytes);
    }
    uint32_t last = chain->last;
    int64_t used = chain->bytes % RN_EXTENT_BYTES;
    ration_status status = prepare(file, chain, bytes);
    if (status == RATION_OK) {
        uint32_t extent = used > 0 ? last : last == 0 ? chain->first : *next_of(file, last);
        *out_position = extent * RN_EXTENT_BYTES + used;
        status = write_parts(file, parts, count, *out_position, bytes);
    }
    if (status != RATION_OK) {
        rn_spill_quota_release(file->quota, bytes);
        return status;
    }
    chain->bytes += bytes;
    file->live_bytes += bytes;
    file->written_bytes += bytes;
    file->until_look -= bytes;
    for (rn_spill_quota *link = file->quota; link != NULL; link = link->parent) {
        (void)rn_fetch_add(&link->total_bytes, bytes);
    }
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- reading */

/* Asks for the extents that follow those read now. */
static void read_ahead(rn_spill_file *file, int64_t position, int64_t bytes)
{
    int64_t offset = position % RN_EXTENT_BYTES;
    if (offset > 0 && offset + bytes <= RN_EXTENT_BYTES) {
        return;
    }
    const rn_disk *disk = file->volume->disk;
    int64_t ahead = rn_extents_skip(file, position - offset, bytes - 1 + RN_EXTENT_BYTES);
    if (ahead > 0) {
        (void)disk->read_ahead(disk->state, file->descriptor,
                               (ahead / RN_EXTENT_BYTES - 1) * RN_EXTENT_BYTES, RN_EXTENT_BYTES);
    }
}

/* Reads from one place; interrupted and short reads go on, the end of the file ends it. */
static ration_status read_stretch(rn_spill_file *file, int64_t position, char *to, int64_t bytes,
                                  int64_t *out_got)
{
    const rn_disk *disk = file->volume->disk;
    int64_t got = 0;
    int tries = 0;
    while (got < bytes) {
        ssize_t count = disk->read_at(disk->state, file->descriptor, to + got,
                                      (size_t)(bytes - got), position + got - RN_EXTENT_BYTES);
        if (count > 0) {
            got += count;
            tries = 0;
        } else if (count == 0) {
            break;
        } else {
            tries += 1;
            if (errno != EINTR || tries == INTERRUPTS_MAX) {
                return fail_call(file, "cannot read", errno);
            }
        }
    }
    *out_got = got;
    return RATION_OK;
}

ration_status rn_extents_read(rn_spill_file *file, int64_t position, void *to, size_t bytes,
                              size_t *out_got)
{
    if (file->error.status != RATION_OK) {
        return file->error.status;
    }
    size_t got = 0;
    read_ahead(file, position, (int64_t)bytes);
    for (int64_t next; position != 0 && got < bytes; position = next) {
        int64_t count = 0;
        int64_t length = stretch(file, position, (int64_t)(bytes - got), &next);
        RN_TRY(read_stretch(file, position, (char *)to + got, length, &count));
        got += (size_t)count;
        if (count < length) {
            break;
        }
    }
    *out_got = got;
    return RATION_OK;
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
    file->live_bytes -= chain->bytes;
    rn_spill_quota_release(file->quota, chain->bytes);
    if (file->error.status != RATION_OK) {
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

/* ---------------------------------------------------------------------------------------- files */

ration_status rn_spill_file_open(rn_spill_volume *volume, rn_spill_quota *quota, uint64_t query,
                                 rn_spill_file **out_file)
{
    rn_spill_file *file = rn_heap_allocate(sizeof *file);
    if (file == NULL) {
        return RATION_NO_MEMORY;
    }
    file->volume = volume;
    file->quota = quota != NULL ? quota : &volume->quota;
    file->query = query;
    file->identity = rn_spill_identity();
    file->descriptor = -1;
    *out_file = file;
    return RATION_OK;
}

void rn_spill_file_close(rn_spill_file *file)
{
    if (file == NULL) {
        return;
    }
    rn_spill_quota_release(file->quota, file->live_bytes);
    if (file->descriptor >= 0) {
        (void)file->volume->disk->close(file->volume->disk->state, file->descriptor);
    }
    for (uint32_t i = 0; i < file->leaf_count; i++) {
        rn_heap_free(file->leaves[i], LEAF_BYTES);
    }
    rn_heap_free(file->leaves, file->leaf_slots * sizeof *file->leaves);
    rn_heap_free(file, sizeof *file);
}

int64_t rn_spill_file_bytes(const rn_spill_file *file)
{
    return file->live_bytes;
}

int64_t rn_spill_file_written(const rn_spill_file *file)
{
    return file->written_bytes;
}

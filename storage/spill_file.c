/* SPDX-License-Identifier: Apache-2.0
 *
 * Spill files: the writes and reads of one worker, in the space that spill_extents.c hands out.
 *
 *     rn_spill_file_open -> rn_extents_append ... rn_extents_read ... rn_extents_release -> _close
 *
 * Interrupted and short calls go on; 1000 interrupts in a row are a failure.
 *
 * Write-behind (sync_file_range for every MiB) is an option, off by default: most runs are read and
 * given back before the system would have written them, and giving back waits for what is being
 * written. Inside a memory control group, where pages must go to the disk anyway, it pays. Figures:
 * `make bench-runs`, storage/README.md. Blocks are not compressed: the same place.
 *
 * 1. live_bytes = sum of the chains' bytes = what the file takes of its quotas.
 * 2. After the first failure nothing is written or read any more; giving back still works.
 * 3. What is refused by a quota or the floor was not written in part.
 * 4. The child of a fork has the same file: it may read and close, and changes nothing of it. */
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/text.h"
#include "storage/spill_file.h"

#define LOOK_BYTES (INT64_C(16) * 1024 * 1024)
#define INTERRUPTS_MAX 1000
#define PARTS_MAX 4
#define BEHIND_BYTES (INT64_C(1024) * 1024)

/* ------------------------------------------------------------------------------------ failures */

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

ration_status rn_spill_file_fail_call(rn_spill_file *file, const char *what, int code)
{
    const char *hint;
    ration_status status = rn_spill_cause(code, &hint);
    return rn_spill_file_fail(file, status, hint, "spilling to %s: %s: %s", file->volume->directory,
                              what, strerror(code));
}

bool rn_spill_file_is_inherited(const rn_spill_file *file)
{
    return file->descriptor >= 0 && file->process != getpid();
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

/* ------------------------------------------------------------------------------------- writing */

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
    if (rn_load(&file->volume->write_behind) == 0) {
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
                return rn_spill_file_fail_call(file, "cannot write", code);
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
    file->process = getpid();
    file->length_max = INT64_MAX;
    if (getrlimit(RLIMIT_FSIZE, &length) == 0 && length.rlim_cur < (rlim_t)INT64_MAX) {
        file->length_max = (int64_t)length.rlim_cur;
    }
    return RATION_OK;
}

/* All that can be said before anything is written. */
static ration_status prepare(rn_spill_file *file, rn_extents *chain, int64_t bytes,
                             int64_t *out_position)
{
    if (file->descriptor < 0) {
        RN_TRY(open_descriptor(file));
    }
    if (file->until_look <= 0) {
        RN_TRY(rn_spill_volume_look(file->volume, file->descriptor, RN_MAX(bytes, LOOK_BYTES),
                                    &file->error));
        file->until_look = LOOK_BYTES;
    }
    return rn_extents_lengthen(file, chain, bytes, out_position);
}

static ration_status write_parts(rn_spill_file *file, const struct iovec *parts, int count,
                                 int64_t position, int64_t bytes)
{
    parts_left left = {.count = count};
    memcpy(left.parts, parts, (size_t)count * sizeof *parts);
    for (int64_t next; bytes > 0; position = next) {
        int64_t length = rn_extents_stretch(file, position, bytes, &next);
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
    if (rn_spill_file_is_inherited(file)) {
        return rn_spill_file_fail(file, RATION_SPILL_IO, "open the query in the child",
                                  "spilling to %s: the file is that of the process that forked "
                                  "this one",
                                  file->volume->directory);
    }
    const rn_spill_quota *refusing = rn_spill_quota_charge(file->quota, bytes);
    if (refusing != NULL) {
        return refuse_quota(file, refusing, bytes);
    }
    int64_t position = 0;
    ration_status status = prepare(file, chain, bytes, &position);
    if (status == RATION_OK) {
        status = write_parts(file, parts, count, position, bytes);
    }
    if (status != RATION_OK) {
        rn_spill_quota_release(file->quota, bytes);
        return status;
    }
    chain->bytes += bytes;
    *out_position = position;
    file->live_bytes += bytes;
    file->written_bytes += bytes;
    file->until_look -= bytes;
    for (rn_spill_quota *link = file->quota; link != NULL; link = link->parent) {
        (void)rn_fetch_add(&link->total_bytes, bytes);
    }
    return RATION_OK;
}

/* ------------------------------------------------------------------------------------- reading */

/* Asks for the extent behind those that are read now, unless the file is read from front to back:
 * then the system reads ahead by itself, and better. Where several chains are read in turns it sees
 * no order. */
static void read_ahead(rn_spill_file *file, int64_t position, int64_t bytes)
{
    int64_t offset = position % RN_EXTENT_BYTES;
    bool goes_on = position == file->read_end;
    file->read_end = position + rn_round_up(bytes, RN_SPILL_PAGE);
    if (goes_on || (offset > 0 && offset + bytes <= RN_EXTENT_BYTES)) {
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
                return rn_spill_file_fail_call(file, "cannot read", errno);
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
        int64_t length = rn_extents_stretch(file, position, (int64_t)(bytes - got), &next);
        RN_TRY(read_stretch(file, position, (char *)to + got, length, &count));
        got += (size_t)count;
        if (count < length) {
            break;
        }
    }
    *out_got = got;
    return RATION_OK;
}

/* --------------------------------------------------------------------------------------- files */

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
    rn_extents_free_table(file);
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

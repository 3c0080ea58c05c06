/* SPDX-License-Identifier: Apache-2.0
 *
 * Volumes: the directory that spill files lie in, who may use how much of it, and what is said when
 * it cannot be used. The files themselves: spill_file.c.
 *
 * The directory is opened once, component by component, and no component may be a link: so the path
 * leads where its text says, and a component that somebody swaps meanwhile leads nowhere else. (One
 * openat2 with RESOLVE_NO_SYMLINKS would do the same on new kernels only, and the walk would still
 * be there for the others.) Refused are directories that anybody may write to without the sticky
 * bit, on the whole way, and at its end one that belongs to neither root nor this process.
 *
 * 1. used = sum of the live bytes of the files below a quota, at any instant between two calls.
 * 2. A refused charge has changed no link of its chain; while it is under way the links nearer to
 *    the query count it, so two that ask at once for the last bytes may both be refused.
 * 3. The floor of free space is looked at before the first write and every 16 MiB of a file: n
 *    files that write at once can pass it by n x 16 MiB. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/heap.h"
#include "base/text.h"
#include "storage/spill_file.h"

#define INTERRUPTS_MAX 1000 /* one after the other, before they count as a failure */
#define OPEN_FLAGS (O_RDWR | O_CLOEXEC | O_NOFOLLOW)

static const char text_directory[] = "spill_directory names a directory on a disk, of root's or of "
                                     "this user's, by a path without links";

/* --------------------------------------------------------------------------------------- quotas */

static bool charge_link(rn_spill_quota *link, int64_t bytes)
{
    int64_t used = rn_load(&link->used_bytes);
    int64_t after;
    do {
        int64_t limit = rn_load(&link->limit_bytes);
        after = rn_add(used, bytes);
        if (limit > 0 && after > limit) {
            return false;
        }
    } while (!rn_compare_swap(&link->used_bytes, &used, after));
    return true;
}

static void raise_peak(rn_spill_quota *link)
{
    int64_t used = rn_load(&link->used_bytes);
    int64_t peak = rn_load(&link->peak_bytes);
    while (peak < used && !rn_compare_swap(&link->peak_bytes, &peak, used)) {
    }
}

const rn_spill_quota *rn_spill_quota_charge(rn_spill_quota *quota, int64_t bytes)
{
    for (rn_spill_quota *link = quota; link != NULL; link = link->parent) {
        if (!charge_link(link, bytes)) {
            for (rn_spill_quota *back = quota; back != link; back = back->parent) {
                (void)rn_fetch_add(&back->used_bytes, -bytes);
            }
            return link;
        }
    }
    for (rn_spill_quota *link = quota; link != NULL; link = link->parent) {
        raise_peak(link);
    }
    return NULL;
}

void rn_spill_quota_release(rn_spill_quota *quota, int64_t bytes)
{
    for (rn_spill_quota *link = quota; link != NULL; link = link->parent) {
        (void)rn_fetch_add(&link->used_bytes, -bytes);
    }
}

/* --------------------------------------------------------------------------------------- causes */

ration_status rn_spill_cause(int code, const char **out_hint)
{
    if (code == ENOSPC || code == EDQUOT || code == EFBIG) {
        *out_hint = "make room there, or name another place with spill_directory";
        return RATION_SPILL_NO_SPACE;
    }
    *out_hint = code == EMFILE || code == ENFILE ? "raise the limit of open files"
                                                 : "look at the disk behind spill_directory";
    return RATION_SPILL_IO;
}

/* Answers a failed system call. */
static ration_status fail(const rn_spill_volume *volume, const char *what, ration_error *error)
{
    int code = errno;
    const char *hint;
    ration_status status = rn_spill_cause(code, &hint);
    bool place = code == ENOENT || code == ENOTDIR || code == ELOOP || code == EACCES ||
                 code == EPERM || code == EROFS;
    return rn_error_set(error, status, place ? text_directory : hint, "spilling to %s: %s: %s",
                        volume->directory, what, strerror(code));
}

/* ------------------------------------------------------------------------------------ directory */

static bool interrupted(int *tries)
{
    *tries += 1;
    return errno == EINTR && *tries < INTERRUPTS_MAX;
}

static int open_at(const rn_spill_volume *volume, int directory, const char *name, int flags)
{
    const rn_disk *disk = volume->disk;
    int tries = 0, descriptor;
    do {
        descriptor = disk->open_at(disk->state, directory, name, flags, 0600);
    } while (descriptor < 0 && interrupted(&tries));
    return descriptor;
}

static void close_descriptor(const rn_spill_volume *volume, int descriptor)
{
    (void)volume->disk->close(volume->disk->state, descriptor);
}

static bool read_status(const rn_spill_volume *volume, int descriptor, struct stat *out)
{
    int tries = 0, failed;
    do {
        failed = volume->disk->status(volume->disk->state, descriptor, out);
    } while (failed != 0 && interrupted(&tries));
    return failed == 0;
}

static bool read_file_system(const rn_spill_volume *volume, int descriptor, struct statfs *out)
{
    int tries = 0, failed;
    do {
        failed = volume->disk->file_system(volume->disk->state, descriptor, out);
    } while (failed != 0 && interrupted(&tries));
    return failed == 0;
}

/* The next component of a path into `name`; false behind the last. */
static bool next_component(const char **at, char *name)
{
    *at += strspn(*at, "/");
    size_t length = strcspn(*at, "/");
    memcpy(name, *at, length);
    name[length] = '\0';
    *at += length;
    return length > 0;
}

/* Is the directory, which is the end of `path` so far, one that others cannot turn round? */
static ration_status look_at_owner(const rn_spill_volume *volume, int descriptor, const char *end,
                                   ration_error *error)
{
    struct stat status;
    int length = (int)(end - volume->directory);
    bool last = end[strspn(end, "/")] == '\0';
    if (!read_status(volume, descriptor, &status)) {
        return fail(volume, "cannot look at it", error);
    }
    if ((status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
        return rn_error_set(error, RATION_SPILL_IO, text_directory,
                            "spilling to %s: anybody may write to %.*s, which has no sticky bit",
                            volume->directory, RN_MAX(length, 1), volume->directory);
    }
    if (last && status.st_uid != 0 && status.st_uid != geteuid()) {
        return rn_error_set(error, RATION_SPILL_IO, text_directory,
                            "spilling to %s: it belongs to user %u, not to root or user %u",
                            volume->directory, status.st_uid, geteuid());
    }
    return RATION_OK;
}

static ration_status walk(const rn_spill_volume *volume, int *out_descriptor, ration_error *error)
{
    const char *at = volume->directory;
    char name[RN_SPILL_DIRECTORY_BYTES];
    int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int here = open_at(volume, RN_DISK_NOWHERE, "/", flags);
    if (here < 0) {
        return fail(volume, "cannot open /", error);
    }
    ration_status status = look_at_owner(volume, here, at, error);
    while (status == RATION_OK && next_component(&at, name)) {
        int below = open_at(volume, here, name, flags);
        if (below < 0) {
            char what[RN_SPILL_DIRECTORY_BYTES + 64];
            rn_text text = rn_text_over(what, sizeof what);
            rn_text_format(&text, "%.*s is not a directory, is a link, or cannot be opened",
                           (int)(at - volume->directory), volume->directory);
            status = fail(volume, what, error);
            break;
        }
        close_descriptor(volume, here);
        here = below;
        status = look_at_owner(volume, here, at, error);
    }
    if (status != RATION_OK) {
        close_descriptor(volume, here);
        return status;
    }
    *out_descriptor = here;
    return RATION_OK;
}

static ration_status look_at_kind(const rn_spill_volume *volume, int directory, ration_error *error)
{
    struct statfs system;
    if (!read_file_system(volume, directory, &system)) {
        return fail(volume, "cannot look at its file system", error);
    }
    if (!volume->allow_memory && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC)) {
        return rn_error_set(error, RATION_SPILL_IO,
                            "name a directory on a disk with spill_directory, or set "
                            "spill_allow_memory",
                            "spilling to %s would free nothing: its file system is memory",
                            volume->directory);
    }
    return RATION_OK;
}

/* Under the lock. */
static ration_status open_directory(rn_spill_volume *volume, ration_error *error)
{
    if (volume->descriptor >= 0) {
        return RATION_OK;
    }
    int directory;
    RN_TRY(walk(volume, &directory, error));
    ration_status status = look_at_kind(volume, directory, error);
    if (status != RATION_OK) {
        close_descriptor(volume, directory);
        return status;
    }
    volume->descriptor = directory;
    return RATION_OK;
}

/* ---------------------------------------------------------------------------------------- files */

uint64_t rn_spill_identity(void)
{
    uint64_t identity = 0;
    if (getrandom(&identity, sizeof identity, GRND_NONBLOCK) != (ssize_t)sizeof identity) {
        identity = rn_hash_word((uint64_t)rn_clock_ns(), (uint64_t)(uintptr_t)&identity);
    }
    return identity;
}

/* Where a file system knows no files without names: a name that is taken away at once. Somebody
 * else's sweep may have done it already. */
static int open_with_name(const rn_spill_volume *volume)
{
    const rn_disk *disk = volume->disk;
    char name[sizeof(RN_DISK_PREFIX) + 16];
    rn_text text = rn_text_over(name, sizeof name);
    rn_text_format(&text, RN_DISK_PREFIX "%016llx", (unsigned long long)rn_spill_identity());
    disk->sweep(disk->state, volume->descriptor);
    int descriptor = open_at(volume, volume->descriptor, name, OPEN_FLAGS | O_CREAT | O_EXCL);
    if (descriptor < 0) {
        return -1;
    }
    int tries = 0, failed;
    do {
        failed = disk->unlink_at(disk->state, volume->descriptor, name);
    } while (failed != 0 && interrupted(&tries));
    if (failed != 0 && errno != ENOENT) {
        int code = errno;
        close_descriptor(volume, descriptor);
        disk->sweep(disk->state, volume->descriptor); /* once more */
        errno = code;
        return -1;
    }
    return descriptor;
}

static int open_without_name(const rn_spill_volume *volume)
{
    int descriptor =
        open_at(volume, volume->descriptor, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC);
    if (descriptor < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        return open_with_name(volume);
    }
    return descriptor;
}

ration_status rn_spill_volume_descriptor(rn_spill_volume *volume, int *out_descriptor,
                                         ration_error *error)
{
    int cancellation; /* opening is a cancellation point, and others need the lock */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    pthread_mutex_lock(&volume->lock);
    ration_status status = open_directory(volume, error);
    if (status == RATION_OK) {
        int descriptor = open_without_name(volume);
        if (descriptor < 0) {
            status = fail(volume, "cannot make a file there", error);
            close_descriptor(volume, volume->descriptor); /* it may have been moved or replaced */
            volume->descriptor = -1;
        } else {
            *out_descriptor = descriptor;
        }
    }
    pthread_mutex_unlock(&volume->lock);
    (void)pthread_setcancelstate(cancellation, NULL);
    return status;
}

ration_status rn_spill_volume_look(rn_spill_volume *volume, int descriptor, int64_t bytes,
                                   ration_error *error)
{
    struct statfs system;
    int64_t free_bytes_min = rn_load(&volume->free_bytes_min);
    if (free_bytes_min == 0) {
        return RATION_OK;
    }
    if (!read_file_system(volume, descriptor, &system)) {
        return fail(volume, "cannot look at its file system", error);
    }
    int64_t unit = system.f_frsize > 0 ? system.f_frsize : system.f_bsize;
    int64_t free_bytes = rn_multiply((int64_t)system.f_bavail, unit);
    if (free_bytes - bytes < free_bytes_min) {
        return rn_error_set(error, RATION_SPILL_NO_SPACE,
                            "make room there, lower spill_free_bytes_min, or name another place "
                            "with spill_directory",
                            "spilling to %s: %lld bytes are free, and %lld have to stay free",
                            volume->directory, (long long)free_bytes, (long long)free_bytes_min);
    }
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- volumes */

static bool climbs(const char *path)
{
    char name[RN_SPILL_DIRECTORY_BYTES];
    while (next_component(&path, name)) {
        if (strcmp(name, "..") == 0) {
            return true;
        }
    }
    return false;
}

void rn_spill_volume_set(rn_spill_volume *volume, int64_t bytes_max, int64_t free_bytes_min)
{
    rn_store(&volume->quota.limit_bytes, bytes_max);
    rn_store(&volume->free_bytes_min, free_bytes_min);
}

ration_status rn_spill_volume_open(const rn_spill_options *options, rn_spill_volume **out_volume,
                                   ration_error *error)
{
    const char *path = options->directory;
    if (path == NULL || path[0] != '/' || strlen(path) >= RN_SPILL_DIRECTORY_BYTES ||
        climbs(path)) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "",
                            "spill_directory must be a path from /, without .., and of less than "
                            "%d bytes: \"%.100s\"",
                            RN_SPILL_DIRECTORY_BYTES, path == NULL ? "" : path);
    }
    rn_spill_volume *volume = rn_heap_allocate(sizeof *volume);
    if (volume == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory to open a spill volume");
    }
    rn_copy_text(volume->directory, sizeof volume->directory, path);
    volume->allow_memory = options->allow_memory;
    volume->write_behind = options->write_behind;
    rn_spill_volume_set(volume, options->bytes_max, options->free_bytes_min);
    volume->quota.key = "spill_bytes_max";
    volume->disk = &rn_disk_system;
    volume->descriptor = -1;
    (void)pthread_mutex_init(&volume->lock, NULL);
    *out_volume = volume;
    return RATION_OK;
}

void rn_spill_volume_close(rn_spill_volume *volume)
{
    if (volume == NULL) {
        return;
    }
    (void)rn_never(rn_load(&volume->quota.used_bytes) != 0);
    if (volume->descriptor >= 0) {
        close_descriptor(volume, volume->descriptor);
    }
    (void)pthread_mutex_destroy(&volume->lock);
    rn_heap_free(volume, sizeof *volume);
}

void rn_spill_volume_set_write_behind(rn_spill_volume *volume, bool write_behind)
{
    rn_store(&volume->write_behind, write_behind);
}

void rn_spill_volume_replace(rn_spill_volume *volume, const rn_disk *disk)
{
    rn_assert(volume->descriptor < 0);
    volume->disk = disk;
}

rn_spill_quota *rn_spill_volume_quota(rn_spill_volume *volume)
{
    return &volume->quota;
}

ration_status rn_spill_volume_probe(rn_spill_volume *volume, ration_error *error)
{
    int descriptor;
    RN_TRY(rn_spill_volume_descriptor(volume, &descriptor, error));
    ration_status status = rn_spill_volume_look(volume, descriptor, 0, error);
    close_descriptor(volume, descriptor);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The system's calls behind rn_disk; the one file that opens files for spilling.
 *
 * Where a file system knows no files without names (O_TMPFILE), a name exists between two calls: a
 * process that is killed there leaves an empty file. `sweep` removes such names, without asking
 * whether their maker still lives: it needs the name for nothing but taking it away. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "storage/disk.h"

_Static_assert(RN_DISK_NOWHERE == AT_FDCWD, "disk.h includes no fcntl.h");

static int open_at(void *state, int directory, const char *name, int flags, unsigned mode)
{
    (void)state;
    return openat(directory, name, flags, mode);
}

static int close_descriptor(void *state, int descriptor)
{
    (void)state;
    return close(descriptor);
}

static int unlink_at(void *state, int directory, const char *name)
{
    (void)state;
    return unlinkat(directory, name, 0);
}

static int read_status(void *state, int descriptor, struct stat *out)
{
    (void)state;
    return fstat(descriptor, out);
}

static int read_file_system(void *state, int descriptor, struct statfs *out)
{
    (void)state;
    return fstatfs(descriptor, out);
}

static ssize_t write_at(void *state, int descriptor, const struct iovec *parts, int count,
                        int64_t offset)
{
    (void)state;
    return pwritev(descriptor, parts, count, offset);
}

static ssize_t read_at(void *state, int descriptor, void *to, size_t bytes, int64_t offset)
{
    (void)state;
    return pread(descriptor, to, bytes, offset);
}

static int punch(void *state, int descriptor, int64_t offset, int64_t bytes)
{
    (void)state;
    return fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
}

static int write_behind(void *state, int descriptor, int64_t offset, int64_t bytes)
{
    (void)state;
    return sync_file_range(descriptor, offset, bytes, SYNC_FILE_RANGE_WRITE);
}

static int read_ahead(void *state, int descriptor, int64_t offset, int64_t bytes)
{
    (void)state;
    errno = posix_fadvise(descriptor, offset, bytes, POSIX_FADV_WILLNEED);
    return errno == 0 ? 0 : -1;
}

static void sweep(void *state, int directory)
{
    (void)state;
    int own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = own < 0 ? NULL : fdopendir(own);
    if (names == NULL) {
        if (own >= 0) {
            (void)close(own);
        }
        return;
    }
    for (const struct dirent *entry = readdir(names); entry != NULL; entry = readdir(names)) {
        struct stat status;
        if (strncmp(entry->d_name, RN_DISK_PREFIX, sizeof(RN_DISK_PREFIX) - 1) == 0 &&
            fstatat(own, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode) && status.st_uid == geteuid()) {
            (void)unlinkat(own, entry->d_name, 0);
        }
    }
    (void)closedir(names);
}

const rn_disk rn_disk_system = {
    .open_at = open_at,
    .close = close_descriptor,
    .unlink_at = unlink_at,
    .status = read_status,
    .file_system = read_file_system,
    .write_at = write_at,
    .read_at = read_at,
    .punch = punch,
    .write_behind = write_behind,
    .read_ahead = read_ahead,
    .sweep = sweep,
};

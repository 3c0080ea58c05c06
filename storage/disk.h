/* SPDX-License-Identifier: Apache-2.0
 *
 * What spilling asks of the system, as a table of functions: every call that can fail passes here,
 * so that a test can make the nth one fail, and a simulation can keep its files in memory.
 *
 *     rn_spill_volume_replace(volume, &disk);       before the first write
 *
 * Each function answers as the system call of its comment does: -1 and errno on failure; EINTR and
 * short counts are allowed. A replacement needs no more than open_at, close, status, file_system,
 * write_at and read_at to be real: the others may answer 0 and do nothing. It is called by all
 * workers whose files lie on the volume, at the same time. */
#ifndef RATION_DISK_H
#define RATION_DISK_H

#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "base/base.h"

typedef struct rn_disk {
    void *state; /* handed to every call */
    /* openat. The directory is opened component by component, the first one "/" with
     * RN_DISK_NOWHERE; then "." with O_TMPFILE; where that fails for want of it, a name. */
    int (*open_at)(void *state, int directory, const char *name, int flags, unsigned mode);
    int (*close)(void *state, int descriptor);
    int (*unlink_at)(void *state, int directory, const char *name); /* unlinkat */
    int (*status)(void *state, int descriptor, struct stat *out);   /* fstat */
    /* fstatfs: f_type, f_bavail and f_frsize are looked at. */
    int (*file_system)(void *state, int descriptor, struct statfs *out);
    ssize_t (*write_at)(void *state, int descriptor, const struct iovec *parts, int count,
                        int64_t offset); /* pwritev */
    ssize_t (*read_at)(void *state, int descriptor, void *to, size_t bytes,
                       int64_t offset);                                       /* pread */
    int (*punch)(void *state, int descriptor, int64_t offset, int64_t bytes); /* fallocate */
    int (*write_behind)(void *state, int descriptor, int64_t offset,
                        int64_t bytes); /* sync_file_range */
    int (*read_ahead)(void *state, int descriptor, int64_t offset,
                      int64_t bytes); /* posix_fadvise */
    /* Removes all names in the directory that begin with RN_DISK_PREFIX and belong to this user. */
    void (*sweep)(void *state, int directory);
} rn_disk;

#define RN_DISK_NOWHERE (-100) /* AT_FDCWD */
#define RN_DISK_PREFIX ".ration-spill-"

/* The real one. */
extern const rn_disk rn_disk_system;

#endif

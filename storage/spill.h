/* SPDX-License-Identifier: Apache-2.0
 *
 * Where rows go that do not fit: unnamed files in one directory, and how much may lie there.
 *
 *     rn_spill_volume_open                              one per governor
 *         rn_spill_file_open -> runs (storage/run.h) -> rn_spill_file_close        one per worker
 *     rn_spill_volume_close
 *
 * A file has no name (O_TMPFILE, or unlinked at once where a file system has none), so that nothing
 * is left of a process however it ends. It is opened by the first write. Space is taken in extents
 * and given back run by run; what a run gave back is used again.
 *
 * Quotas form a chain (query -> group -> volume), counted in bytes of live runs; a write that would
 * pass one of them is refused before anything is written.
 *
 * Errors are sticky: after the first failed write or read every further call on that file answers
 * the same status. Each cause has its own: SPILL_QUOTA, SPILL_NO_SPACE (ENOSPC, EDQUOT, EFBIG, or
 * the floor of free space), SPILL_IO (everything else, also a directory that cannot be used),
 * SPILL_CORRUPT (what was read is not what was written). */
#ifndef RATION_SPILL_H
#define RATION_SPILL_H

#include "base/base.h"

#define RN_SPILL_DIRECTORY_BYTES 256

typedef struct rn_spill_volume rn_spill_volume; /* any thread */
typedef struct rn_spill_file rn_spill_file;     /* one thread at a time */

struct rn_disk;

typedef struct rn_spill_options {
    const char *directory;  /* absolute; copied */
    bool allow_memory;      /* also on tmpfs and ramfs, where spilling frees nothing */
    bool write_behind;      /* pays inside a memory control group: storage/README.md */
    int64_t bytes_max;      /* all live runs together; 0 = no limit */
    int64_t free_bytes_min; /* stays free on the file system; 0 = no floor */
} rn_spill_options;

/* A limit on the bytes of live runs; all zeros but `limit_bytes` is valid. Any thread. */
typedef struct rn_spill_quota {
    int64_t limit_bytes; /* 0 = none; may be changed at any time, atomic */
    int64_t used_bytes;  /* of live runs; atomic */
    int64_t peak_bytes;  /* atomic */
    int64_t total_bytes; /* ever written; atomic */
    struct rn_spill_quota *parent;
    const char *key; /* what to turn when it refuses; static text, or NULL */
} rn_spill_quota;

/* Looks at nothing yet: the directory is opened with the first file that is written to. Errors:
 * NO_MEMORY; INVALID_ARGUMENT (directory not absolute, too long, or with a component "..") . */
RATION_NODISCARD ration_status rn_spill_volume_open(const rn_spill_options *options,
                                                    rn_spill_volume **out_volume,
                                                    ration_error *error);
void rn_spill_volume_close(rn_spill_volume *volume);
/* Other quotas, from the next write on; one below what is written only refuses more. Any thread. */
void rn_spill_volume_set(rn_spill_volume *volume, int64_t bytes_max, int64_t free_bytes_min);
/* From the next write on. Any thread. */
void rn_spill_volume_set_write_behind(rn_spill_volume *volume, bool write_behind);
/* Other functions instead of the system's (storage/disk.h), for tests and simulations; before the
 * first write. `disk` outlives the volume. */
void rn_spill_volume_replace(rn_spill_volume *volume, const struct rn_disk *disk);
/* The last link of every chain of quotas. */
rn_spill_quota *rn_spill_volume_quota(rn_spill_volume *volume);
/* Can runs be written there? What the first write would answer, with where and why. */
RATION_NODISCARD ration_status rn_spill_volume_probe(rn_spill_volume *volume, ration_error *error);

/* `quota` (may be NULL: the volume's alone) and its parents outlive the file; `query` goes into the
 * tag of every block. Takes 2 KiB of the heap, no descriptor yet. Errors: NO_MEMORY.
 */
RATION_NODISCARD ration_status rn_spill_file_open(rn_spill_volume *volume, rn_spill_quota *quota,
                                                  uint64_t query, rn_spill_file **out_file);
/* Gives all space back, also that of runs not released. `file` may be NULL. */
void rn_spill_file_close(rn_spill_file *file);
/* The first failure, with directory and cause; false when there was none. */
bool rn_spill_file_error(const rn_spill_file *file, ration_error *out_error);
/* Bytes of live runs in it, and written ever. */
int64_t rn_spill_file_bytes(const rn_spill_file *file);
int64_t rn_spill_file_written(const rn_spill_file *file);

#endif

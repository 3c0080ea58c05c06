/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of spill files, for run.c and spill.c: chains of extents, written at their end and read
 * anywhere.
 *
 *     extent 1 | extent 2 | extent 3 | ...          256 KiB each; extent 0 is none
 *     next[1] = 3, next[3] = 2, next[2] = 0         a chain of three; the free ones are a chain too
 *
 * A position is extent * RN_EXTENT_BYTES + offset in it, so never 0; along a chain positions may
 * fall. */
#ifndef RATION_SPILL_FILE_H
#define RATION_SPILL_FILE_H

#include <pthread.h>

#include "storage/disk.h"
#include "storage/spill.h"

#define RN_EXTENT_BYTES INT64_C(262144)
#define RN_EXTENTS_MAX ((UINT32_C(1) << 26) - 1) /* 16 TiB, what ext4 allows a file */
#define RN_SPILL_PAGE 4096u                      /* chains grow by multiples of it */

struct rn_spill_volume {
    char directory[RN_SPILL_DIRECTORY_BYTES];
    bool allow_memory;
    int64_t write_behind;   /* atomic */
    int64_t free_bytes_min; /* atomic */
    rn_spill_quota quota;
    const rn_disk *disk;
    int64_t files; /* ever opened; atomic */
    pthread_mutex_t lock;
    int descriptor; /* of the directory, -1 = not opened yet; under the lock */
};

struct rn_spill_file {
    rn_spill_volume *volume;
    rn_spill_quota *quota; /* first link of the chain */
    uint64_t query;
    uint64_t identity;   /* in the tag of every block: no other file has it */
    int descriptor;      /* -1 = nothing written yet */
    int64_t process;     /* pid of whoever wrote first */
    uint32_t runs;       /* ever begun */
    uint32_t extents;    /* ever used: the file's length */
    uint32_t leaf_count; /* of the table's leaves */
    uint32_t leaf_slots;
    uint32_t **leaves;    /* extent -> the next one of its chain */
    uint32_t first_free;  /* chain of free extents */
    int64_t kept_extents; /* of these, those whose blocks the file system still keeps */
    int64_t live_bytes, written_bytes;
    int64_t until_look;         /* bytes until the free space is looked at again */
    int64_t behind, behind_end; /* positions: written, and not yet handed to the disk */
    int64_t read_end;           /* position behind the last read */
    int64_t length_max;         /* RLIMIT_FSIZE: beyond it a signal comes */
    ration_error error;         /* the first failure; its status is RATION_OK while there is none */
};

/* Is this a child of the process that has written to it? */
bool rn_spill_file_is_inherited(const rn_spill_file *file);

/* Evaluates what the table says of itself; writes the first that does not hold into `text`. */
bool rn_spill_file_check(const rn_spill_file *file, char *text, size_t capacity);

/* What a run takes of the file. */
typedef struct rn_extents {
    uint32_t first, last;
    int64_t bytes; /* written; also what it takes of the quotas */
} rn_extents;

/* A descriptor of a file without a name in the volume's directory, and how long it may become.
 * Errors: SPILL_IO, SPILL_NO_SPACE. */
RATION_NODISCARD ration_status rn_spill_volume_descriptor(rn_spill_volume *volume,
                                                          int *out_descriptor, ration_error *error);
/* Is there room for `bytes` above the floor? */
RATION_NODISCARD ration_status rn_spill_volume_look(rn_spill_volume *volume, int descriptor,
                                                    int64_t bytes, ration_error *error);
/* SPILL_NO_SPACE or SPILL_IO for an errno, and what to do about it. */
ration_status rn_spill_cause(int code, const char **out_hint);
/* A number that nobody else has. */
uint64_t rn_spill_identity(void);

/* Charges `bytes` to the quota and its parents, or to none and answers the one that refuses. */
const rn_spill_quota *rn_spill_quota_charge(rn_spill_quota *quota, int64_t bytes);
void rn_spill_quota_release(rn_spill_quota *quota, int64_t bytes);

/* RATION_OK, or the first failure's. */
ration_status rn_spill_file_status(const rn_spill_file *file);
const char *rn_spill_file_directory(const rn_spill_file *file);
/* Remembers the first failure and answers its status. */
ration_status rn_spill_file_fail(rn_spill_file *file, ration_status status, const char *hint,
                                 const char *format, ...) RN_PRINTF(4, 5);
/* The same for a system call that failed with `code`. */
ration_status rn_spill_file_fail_call(rn_spill_file *file, const char *what, int code);

/* Makes the chain long enough for `bytes` more and answers where the first of them lies. What it
 * has then stays its own, also on failure. */
RATION_NODISCARD ration_status rn_extents_lengthen(rn_spill_file *file, rn_extents *chain,
                                                   int64_t bytes, int64_t *out_position);
/* How many of `bytes` from `position` on lie one behind the other in the file, and what follows: 0
 * = the chain's end. */
int64_t rn_extents_stretch(const rn_spill_file *file, int64_t position, int64_t bytes,
                           int64_t *out_next);
void rn_extents_free_table(rn_spill_file *file);
/* Appends up to 4 parts, together a multiple of RN_SPILL_PAGE, to the chain (all zeros = empty). On
 * failure the chain keeps what it had. */
RATION_NODISCARD ration_status rn_extents_append(rn_spill_file *file, rn_extents *chain,
                                                 const struct iovec *parts, int count,
                                                 int64_t *out_position);
/* Gives back space and quota; the chain becomes all zeros. */
void rn_extents_release(rn_spill_file *file, rn_extents *chain);
/* Reads what there is of `bytes`: less at the end of the chain or of the file. */
RATION_NODISCARD ration_status rn_extents_read(rn_spill_file *file, int64_t position, void *to,
                                               size_t bytes, size_t *out_got);
/* The position `bytes` further along the chain; 0 = behind its last extent. */
int64_t rn_extents_skip(const rn_spill_file *file, int64_t position, int64_t bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of the registry: opened anew for each turn, read whole, written a place at a time.
 *
 *     rn_registry_file_name; rn_registry_file_open -> .._lock -> .._read -> .._write -> .._close
 */
#ifndef RATION_REGISTRY_FILE_H
#define RATION_REGISTRY_FILE_H

#include "base/heap.h"
#include "executor/registry.h"

#define RN_REGISTRY_PATH_BYTES 320

/* What a place says. */
typedef enum rn_registry_word {
    RN_REGISTRY_ENTRY, /* a governor */
    RN_REGISTRY_FREE,  /* that it was given back */
    RN_REGISTRY_BLANK, /* zeros: it has never been taken, or the file is another one */
    RN_REGISTRY_LOST   /* nothing that was written there by a registry */
} rn_registry_word;

/* What a file is opened for. */
typedef enum rn_registry_access {
    RN_REGISTRY_READS,
    RN_REGISTRY_WRITES,
    RN_REGISTRY_MAKES
} rn_registry_access;

typedef struct rn_registry_record {
    uint64_t sum; /* of the entry; 0 with an entry of zeros: blank */
    rn_registry_entry entry;
} rn_registry_record;

typedef struct rn_registry_contents {
    char magic[8];
    uint64_t layout;
    int64_t spare[6];
    rn_registry_record records[RN_REGISTRY_PLACES];
} rn_registry_contents;

/* Limits of one governor, in a part of the file that no turn reads. */
typedef struct rn_registry_limits {
    uint64_t sum;
    uint64_t layout; /* of ration_limits: its size and keys */
    int64_t process, start_time, number;
    ration_limits limits;
} rn_registry_limits;

typedef struct rn_registry_file {
    const char *path;
    rn_failure *failure; /* of the next system calls */
    int descriptor;
    bool waited; /* somebody else had the lock */
} rn_registry_file;

/* Errors: ENVIRONMENT, INVALID_ARGUMENT. */
RATION_NODISCARD ration_status rn_registry_file_name(const char *directory,
                                                     char path[RN_REGISTRY_PATH_BYTES],
                                                     ration_error *error);
/* `*out_absent`, NULL when it is to be made: there is none, and nothing is open. Errors: FILE. */
RATION_NODISCARD ration_status rn_registry_file_open(rn_registry_file *file,
                                                     rn_registry_access access, bool *out_absent,
                                                     ration_error *error);
/* Locks it; `writes`: what is at the path now, which may be another file than was opened. Errors:
 * ENVIRONMENT (held for longer than `wait_ns`), FILE. */
RATION_NODISCARD ration_status rn_registry_file_lock(rn_registry_file *file, bool writes,
                                                     int64_t wait_ns, ration_error *error);
/* All places; writes an empty head where there is none, and, `heals`, where it is damaged. Errors:
 * FILE. */
RATION_NODISCARD ration_status rn_registry_file_read(rn_registry_file *file, bool writes,
                                                     bool heals, rn_registry_contents *out_contents,
                                                     ration_error *error);
RATION_NODISCARD ration_status rn_registry_file_write(rn_registry_file *file, int64_t place,
                                                      const rn_registry_entry *entry,
                                                      ration_error *error);
/* Fills sum and layout in. */
RATION_NODISCARD ration_status rn_registry_file_write_limits(rn_registry_file *file, int64_t place,
                                                             rn_registry_limits *limits,
                                                             ration_error *error);
/* False: none that can be trusted; `*out_other`: because of another version. */
bool rn_registry_file_read_limits(rn_registry_file *file, int64_t place,
                                  const rn_registry_entry *entry, rn_registry_limits *out_limits,
                                  bool *out_other);
/* Unlocks it, too. */
void rn_registry_file_close(rn_registry_file *file);

rn_registry_word rn_registry_file_judge(const rn_registry_record *record);

#endif

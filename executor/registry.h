/* SPDX-License-Identifier: Apache-2.0
 *
 * Who else on this host follows the machine: one file that every Ration process of the user opens,
 * with a place for each governor. What they may grant is divided there, under the file's lock, so
 * that together they never grant more than the part of the memory that memory.yaml allows.
 *
 *     rn_registry_open -> rn_registry_divide, again and again -> rn_registry_close
 *     rn_registry_look -> rn_registry_list, rn_registry_get_limits -> rn_registry_close
 */
#ifndef RATION_GOVERNOR_REGISTRY_H
#define RATION_GOVERNOR_REGISTRY_H

#include "config/limits.h"
#include "memory/machine/probe.h"

#define RN_REGISTRY_PLACES 64
#define RN_REGISTRY_GROUP_BYTES 256

typedef struct rn_registry rn_registry;

/* One governor, as all others see it. */
typedef struct rn_registry_entry {
    int64_t process;        /* pid */
    int64_t start_time;     /* rn_probe_start_time: tells it from a later one with its pid */
    int64_t number;         /* of its governors, from 1 */
    int64_t granted_bytes;  /* of its root pool, when it was last heard */
    int64_t resident_bytes; /* the part of it that is in memory */
    int64_t memory_bytes;   /* of the process, in memory then (rn_probe_process); 0 = unknown */
    int64_t limit_bytes;    /* what it may grant: granted_bytes never grow above it */
    int64_t ceiling_bytes;  /* the most it would take; INT64_MAX = all there is */
    int64_t demand_bytes;   /* what it would use now; the rest is there for others first */
    int64_t bound_bytes;    /* what its control groups and resource limits alone would leave it */
    int64_t reserve_bytes;  /* untracked_reserved_memory_mb */
    int64_t ratio_ppm;      /* limit_ratio */
    int64_t heard_ns;       /* CLOCK_MONOTONIC, when it was last heard */
    char group[RN_REGISTRY_GROUP_BYTES]; /* its memory control group (rn_probe.group) */
    int64_t spare[4]; /* zeros; of later versions, which share the file with this one */
} rn_registry_entry;

/* Opens `directory`/ration-<user>-<epoch>.registry, and makes it where there is none. Counts as
 * nobody until the first rn_registry_divide. Errors: FILE, ENVIRONMENT (no /proc), NO_MEMORY. */
RATION_NODISCARD ration_status rn_registry_open(const char *directory, rn_registry **out_registry,
                                                ration_error *error);
/* For reading alone: makes no file, takes no place, writes nothing. `*out_registry` NULL: there is
 * no file, and so nobody. Errors: as rn_registry_open. */
RATION_NODISCARD ration_status rn_registry_look(const char *directory, rn_registry **out_registry,
                                                ration_error *error);
/* Gives the place back; in the child of a fork, only the memory. NULL is allowed. */
void rn_registry_close(rn_registry *registry);

/* What a governor brings to be divided. */
typedef struct rn_registry_own {
    int64_t granted_bytes;       /* of its root pool, read after `limit_bytes` was in force */
    int64_t resident_bytes;      /* in memory, of the process beyond what it had before its first
                                    governor: all governors of a process bring the same, and no more
                                    than what each has granted counts for it */
    int64_t limit_bytes;         /* what the root pool may grant now; 0 = nothing yet */
    int64_t ceiling_bytes;       /* rn_limit_ceiling */
    int64_t demand_bytes;        /* what it would use now; INT64_MAX = all it gets */
    const ration_limits *limits; /* ratio, base, reserve, floor */
    const rn_probe *probe;
    int64_t now_ns; /* CLOCK_MONOTONIC, before all of these were read */
} rn_registry_own;

/* What comes of it. */
typedef struct rn_registry_division {
    int64_t limit_bytes;        /* may be less than share_bytes while others hold what is its */
    int64_t share_bytes;        /* what it comes to when all others have given way */
    int64_t most_bytes;         /* share_bytes, if no other demanded anything and all gave way */
    int64_t total_bytes;        /* granted by all at the binding source, and free there */
    int64_t others;             /* registered governors beside this one */
    int64_t others_limit_bytes; /* what they may grant, or hold above it, at the binding source */
    int binding;                /* source of the probe that gives the smallest share */
    bool published;             /* false: others could not be told, so the limit is not raised */
    char note[160];             /* why not; else "" */
} rn_registry_division;

/* One turn: publishes what the governor holds, forgets who is gone, divides, and publishes what it
 * may grant from now on. The caller sets the pool's limit to at most what is answered before its
 * next turn: until then the larger of `own->limit_bytes` and the answer stands for it. `registry`
 * NULL: alone. Where the turn cannot be had (the lock is held by a process that does not go on, the
 * file cannot be written), the answer is what last was known of others makes of it, and never above
 * own->limit_bytes. Errors, only where own->limit_bytes is 0 and this process had no turn yet:
 * ENVIRONMENT (no turn; all places are taken; this is the child of a fork), FILE. Never allocates.
 * Cost: one open, read and write of a file; waits for the lock 10 ms at most, 500 ms until the
 * first turn was had while own->limit_bytes is 0. One thread at a time. */
RATION_NODISCARD ration_status rn_registry_divide(rn_registry *registry, const rn_registry_own *own,
                                                  rn_registry_division *out_division,
                                                  ration_error *error);
/* Copies who is there now and alive, at most RN_REGISTRY_PLACES, the own one among them; returns
 * how many. Under the lock, where it can be had. Writes nothing. */
int64_t rn_registry_list(rn_registry *registry, rn_registry_entry *entries);
/* Publishes the limits that are in force, for `ration check --against`: at once, or with the first
 * turn. One thread at a time, as rn_registry_divide. */
void rn_registry_put_limits(rn_registry *registry, const ration_limits *limits);
/* The limits that the governor of an entry has published; false = none, or of another version
 * (`*out_other_version`, may be NULL). */
bool rn_registry_get_limits(rn_registry *registry, const rn_registry_entry *entry,
                            ration_limits *out_limits, bool *out_other_version);

/* Tests: the nth system call on the file from now on fails, once or for ever; 0 = none. */
void rn_registry_fail_after(rn_registry *registry, int64_t n, bool forever);

#endif

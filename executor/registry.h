/* SPDX-License-Identifier: Apache-2.0
 *
 * Who else on this host follows the machine: one file that every Ration process of the user opens,
 * with a place for each governor. What they may grant is divided there, under the file's lock, so
 * that together they never grant more than the part of the memory that memory.yaml allows.
 *
 *     rn_registry_open -> rn_registry_divide, again and again -> rn_registry_close
 */
#ifndef RATION_REGISTRY_H
#define RATION_REGISTRY_H

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
    int64_t limit_bytes;    /* what it may grant: granted_bytes never grow above it */
    int64_t ceiling_bytes;  /* the most it would take; INT64_MAX = all there is */
    int64_t heard_ns;       /* CLOCK_MONOTONIC, when it was last heard */
    char group[RN_REGISTRY_GROUP_BYTES]; /* its memory control group (rn_probe.group) */
} rn_registry_entry;

/* Opens, or makes, `directory`/ration-<user>-<epoch>.registry and takes a place in it. Errors:
 * FILE, ENVIRONMENT (no place). */
RATION_NODISCARD ration_status rn_registry_open(const char *directory, rn_registry **out_registry,
                                                ration_error *error);
/* Gives the place back. */
void rn_registry_close(rn_registry *registry);

/* What a governor brings to be divided. */
typedef struct rn_registry_own {
    int64_t granted_bytes, resident_bytes, ceiling_bytes;
    const ration_limits *limits; /* ratio, base, reserve, floor */
    const rn_probe *probe;
    int64_t now_ns;
} rn_registry_own;

/* What comes of it. */
typedef struct rn_registry_division {
    int64_t limit_bytes;        /* may be less than share_bytes while others hold what is its */
    int64_t share_bytes;        /* what it comes to when all others have given way */
    int64_t total_bytes;        /* granted by all at the binding source, and free there */
    int64_t others;             /* registered processes beside this one */
    int64_t others_limit_bytes; /* what they may grant */
    int binding;                /* source of the probe */
} rn_registry_division;

/* One turn: publishes what the governor holds, forgets who is gone, divides, and publishes what it
 * may grant from now on. A limit is lowered before it is acted upon by granting less, so the caller
 * sets the pool's limit to what is answered at once. `registry` NULL: alone. Errors: ENVIRONMENT
 * (the lock is held by somebody who does not go on; nothing changed). */
RATION_NODISCARD ration_status rn_registry_divide(rn_registry *registry, const rn_registry_own *own,
                                                  rn_registry_division *out_division,
                                                  ration_error *error);
/* Copies who is there now, at most RN_REGISTRY_PLACES; returns how many. */
int64_t rn_registry_list(rn_registry *registry, rn_registry_entry *entries);
/* Publishes the limits that are in force, for `ration check --against`. */
void rn_registry_put_limits(rn_registry *registry, const ration_limits *limits);
/* The limits that the governor of an entry has published; false = none, or of another version. */
bool rn_registry_get_limits(rn_registry *registry, const rn_registry_entry *entry,
                            ration_limits *out_limits);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a governor may grant: the arithmetic alone, without file, clock or machine.
 *
 *     rn_limit_ceiling, rn_limit_describe -> rn_limit_divide -> rn_limit_refuse
 *     rn_limit_alone: all of it, for who divides with nobody
 */
#ifndef RATION_LIMIT_H
#define RATION_LIMIT_H

#include "executor/registry.h"

/* How the share at one source comes about. */
typedef struct rn_limit_source {
    int64_t total_bytes;    /* headroom, and what members have in memory; INT64_MAX = no bound */
    int64_t resident_bytes; /* that */
    int64_t members;        /* the own one included; 0 = no bound */
    int64_t part_bytes;     /* of total_bytes: what all others leave of it */
    int64_t share_bytes;    /* floor(ratio x part) - reserve, at most the ceiling, at least 0 */
    int64_t most_bytes;     /* the same when no other member demands anything */
    int64_t held_bytes;     /* by other members, in own measure: rn_limit_divide, step 4 */
    int64_t room_bytes;     /* floor(ratio x total) - held, at least 0 */
} rn_limit_source;

typedef struct rn_limit_sources {
    rn_limit_source of[RN_PROBE_SOURCES_MAX]; /* as in the probe */
} rn_limit_sources;

/* What was seen of the totals since every other governor was last heard; all zeros to begin with.
 */
typedef struct rn_limit_window {
    int64_t since_ns;
    uint64_t key; /* of the sources; 0 = nothing was seen */
    int64_t low[RN_PROBE_SOURCES_MAX], before[RN_PROBE_SOURCES_MAX];
} rn_limit_window;

typedef struct rn_limit_question {
    const ration_limits *limits; /* ratio, base, reserve, floor */
    const rn_probe *probe;
    const rn_registry_entry *entries; /* all who are there, the own one among them */
    int64_t count;                    /* 1 .. RN_REGISTRY_PLACES */
    int64_t own;                      /* its index; its limit_bytes is what it may grant so far */
    rn_limit_window *window;          /* NULL = totals count as they are */
    int64_t now_ns;                   /* for the window */
} rn_limit_question;

/* What `limits` would take at most: limit_bytes and limit_ceiling_bytes; INT64_MAX = all. */
int64_t rn_limit_ceiling(const ration_limits *limits);
/* The smallest share that is worth opening for: limit_floor_bytes, or the ceiling when that is
 * less; at least 1. */
int64_t rn_limit_floor(const ration_limits *limits);
/* bytes x ppm / 10^6, rounded down; ppm <= 10^6. */
int64_t rn_share_of_ratio(int64_t bytes, int64_t ppm);
/* Up to a step of 16 MiB, or of a 16th to an 8th, so that a demand that follows what is granted
 * does not change with every look. */
int64_t rn_limit_round_demand(int64_t bytes);
/* Fills what an entry says of its governor from `limits` and `probe`, its demand being all; who it
 * is, what it holds and when it was heard are left as they are. */
void rn_limit_describe(rn_registry_entry *entry, const ration_limits *limits,
                       const rn_probe *probe);
/* `out_bound_bytes`, for the entry, and `out_sources` may be NULL. */
void rn_limit_divide(const rn_limit_question *question, rn_registry_division *out_division,
                     rn_limit_sources *out_sources, int64_t *out_bound_bytes);
/* ENVIRONMENT, and why, when the share is below the floor; RATION_OK else. */
RATION_NODISCARD ration_status rn_limit_refuse(const ration_limits *limits, const rn_probe *probe,
                                               const rn_registry_division *division,
                                               ration_error *error);
/* The division of who holds nothing yet and divides with nobody. Errors: ENVIRONMENT. */
RATION_NODISCARD ration_status rn_limit_alone(const ration_limits *limits, const rn_probe *probe,
                                              rn_registry_division *out_division,
                                              ration_error *error);
/* The promise, evaluated: what the entries that are members of source `source` may grant or hold,
 * each divided by its ratio, is at most total_bytes together. `own`: whose probe it is. */
bool rn_limit_is_kept(const rn_probe *probe, int source, int64_t total_bytes,
                      const rn_registry_entry *entries, int64_t count, int64_t own);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Follows the machine: the limit, how short of memory the host is, and what is done about it.
 * Driven by ration_governor_tick; no thread of its own.
 *
 *     rn_monitor_open -> rn_monitor_tick, again and again -> rn_monitor_close
 */
#ifndef RATION_MONITOR_INSIDE_H
#define RATION_MONITOR_INSIDE_H

#include "executor/registry.h"
#include "ration_monitor.h"

typedef struct rn_monitor rn_monitor;

/* Where the machine is read, for tests; the public calls use {"", NULL}. */
typedef struct rn_monitor_place {
    const char *sysroot;    /* "" = the real one */
    int64_t (*clock)(void); /* NULL = rn_clock_ns */
} rn_monitor_place;

/* Takes the first snapshot, registers the governor and derives the limit. `*out_limit_bytes` is
 * what the root starts with. Errors: ENVIRONMENT (nothing to derive from; below the floor), CONFIG,
 * NO_MEMORY. */
RATION_NODISCARD ration_status rn_monitor_open(const ration_limits *limits,
                                               const rn_monitor_place *place,
                                               rn_monitor **out_monitor, int64_t *out_limit_bytes,
                                               ration_error *error);
void rn_monitor_close(rn_monitor *monitor);
/* One look, when it is due; any thread, one at a time goes in. Sets the root's limit, the pressure,
 * and does what goes with it. Never blocks for long, never allocates. */
void rn_monitor_tick(ration_governor *governor);
/* Admission asks: are new claims held back now? */
bool rn_monitor_pauses(const ration_governor *governor);
/* The most that the root's limit may become while nothing but others' memory changes; what is above
 * it can never be had. INT64_MAX = as much as anybody. */
int64_t rn_monitor_attainable(const ration_governor *governor);

#endif

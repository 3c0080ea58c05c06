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
    const char *sysroot;    /* "" = the real one; copied */
    int64_t (*clock)(void); /* NULL = rn_clock_ns */
    int64_t pause_ns;       /* between two tries to open; 0 = 50 ms */
} rn_monitor_place;

/* Every governor has one. It takes the first snapshot, registers the governor and derives the
 * limit, unless limit_bytes is given and enable_system_monitor is off: then it looks at nothing.
 * `*out_limit_bytes` is what the root starts with. `leads` false: another process follows for the
 * tree of pools; only pressure is looked at, and `*out_limit_bytes` is as it was. Errors:
 * ENVIRONMENT (nothing to derive from; below the floor; no place in the registry), NO_MEMORY. */
RATION_NODISCARD ration_status rn_monitor_open(const ration_limits *limits,
                                               const rn_monitor_place *place, bool leads,
                                               rn_monitor **out_monitor, int64_t *out_limit_bytes,
                                               ration_error *error);
/* The governor has its ledger; who leads calls it once. */
void rn_monitor_begin(ration_governor *governor);
/* Gives its place in the registry back. NULL is none. */
void rn_monitor_close(rn_monitor *monitor);
/* Other limits: makes, changes or ends what is followed, derives anew, publishes, and sets the
 * root's limit, also one that was set by hand. On an error nothing has changed. Any thread; waits
 * for a look that is under way. Errors: as rn_monitor_open. */
RATION_NODISCARD ration_status rn_monitor_relimit(ration_governor *governor,
                                                  const ration_limits *limits, ration_error *error);
/* One look, when it is due; any thread, one at a time goes in. Sets the root's limit, the pressure,
 * and does what goes with it. Never blocks for long, never allocates (but to enter the registry,
 * where it could not be had before). */
void rn_monitor_tick(ration_governor *governor);
/* Does a control group bind? Then page cache that waits to be written delays what it is to free. */
bool rn_monitor_in_group(const rn_monitor *monitor);
/* Admission asks: are new claims held back now? One load. */
bool rn_monitor_pauses(const ration_governor *governor);
/* The most that the root's limit may become while nothing but others' memory changes; what is above
 * it can never be had. At least rn_monitor_expected; the limit itself where it is not followed. */
int64_t rn_monitor_attainable(const ration_governor *governor);
/* What the root's limit was a moment ago, when it was cut since, or may be in a moment: for as long
 * as query_wait_ms_max nobody who runs is refused for what fits into it. Never below the limit. */
int64_t rn_monitor_expected(const ration_governor *governor);

/* The root's limit was set by hand: it is what it is. */
void rn_monitor_forget(ration_governor *governor);

/* Settles come this much closer together, as a power of two. */
#define RN_MONITOR_ELEVATED_SHIFT 2
#define RN_MONITOR_CRITICAL_SHIFT 4

#endif

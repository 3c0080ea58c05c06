/* SPDX-License-Identifier: Apache-2.0
 *
 * Following the machine and the configuration while running.
 *
 *     ration_governor_tick(governor);                  every 100 ms, from the host's loop ..
 *     ration_keeper_start(governor, &options, &keeper, &error);   .. or from a thread of its own
 *     ration_governor_read(governor, &figures);        what it found
 *     ration_governor_reload(governor, &limits, &error);          other limits, without a restart
 *     ration_keeper_stop(keeper);
 *
 * Conventions: ration.h. The header compiles alone as C99, C11 and C++17.
 */
#ifndef RATION_MONITOR_H
#define RATION_MONITOR_H

#include "ration.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How short of memory the host is. */
typedef enum ration_pressure {
    RATION_PRESSURE_NORMAL,
    RATION_PRESSURE_ELEVATED, /* guards settle more often, idle credit and pages go back */
    RATION_PRESSURE_CRITICAL  /* and queries are asked to write out, new ones wait */
} ration_pressure;

/* "normal", "elevated", "critical". Static text. */
RATION_PUBLIC const char *ration_pressure_name(ration_pressure pressure);

/* What a governor follows, at its last look. */
typedef struct ration_governor_figures {
    size_t size;
    int64_t limit_bytes;     /* of the root, now */
    int64_t share_bytes;     /* what it comes to when other processes have given way */
    int64_t available_bytes; /* smallest headroom of the machine, its groups and the process */
    char binding[160];       /* whose: "MemAvailable", "cgroup v2 /pod/app", "RLIMIT_AS" */
    int64_t processes;       /* governors that divide it, this one included; 1 = alone */
    ration_pressure pressure;
    int64_t stalled_ppm;      /* of the last seconds, some task waited for memory; -1 = unknown */
    int64_t stalled_full_ppm; /* all of them did */
    int64_t accounted_bytes;  /* charged and retained, of the root */
    int64_t resident_bytes;   /* of the process, beyond what it had when the governor was opened */
    int64_t drift_bytes;      /* resident - accounted, what lasts of it; may be negative */
    int64_t corrected_bytes;  /* taken off the limit for it */
    int64_t looks;            /* ever */
    int64_t changes;          /* of the limit by the monitor, ever */
    int64_t reloads;          /* of the limits, ever */
    int64_t elevated_ms;      /* spent at that level or above, ever .. */
    int64_t critical_ms;      /* .. and of it, at this one */
    char note[160];           /* what could not be read at the last look, or "" */
    bool following;           /* the limit: enable_system_monitor, and none was set by hand */
} ration_governor_figures;

/* Any thread. Cost: a lock. */
RATION_PUBLIC void ration_governor_read(const ration_governor *governor,
                                        ration_governor_figures *out_figures);
/* How short of memory the host is; one load. Any thread. */
RATION_PUBLIC ration_pressure ration_governor_pressure(const ration_governor *governor);
/* A descriptor to poll for POLLPRI: the kernel says that tasks wait for memory, and it is time for
 * ration_governor_hasten and a tick. Belongs to the governor, and goes by the limits of the first
 * call that had one; -1 = the kernel does not offer it here, or nothing is followed: ticks alone
 * then. */
RATION_PUBLIC int ration_governor_pressure_descriptor(const ration_governor *governor);

/* Makes the next tick look, though the interval is not over: when the descriptor was ready. At most
 * every 10 ms. Any thread. */
RATION_PUBLIC void ration_governor_hasten(ration_governor *governor);

/* Puts other limits in force, all of them or none: on an error everything is as before. Queries
 * that run keep their own limits, budgets and intervals; the limits of root, data and groups,
 * quotas and queues hold at once, as does what ration_governor_set_limit says of a limit that is
 * lowered. The root's limit is that of these limits, also when the host has set another one
 * meanwhile. Groups that are not there any more take no new queries and go with their last one;
 * named again before that, they go on. In a shared governor the limits of root and data and the
 * chunk are changed for all processes, all else for this one; where another process follows the
 * machine for all of them, the root's limit stays with that one. Any thread, one at a time goes in.
 * Errors: INVALID_ARGUMENT, CONFIG (out of range; or a key that needs a restart: spill_directory,
 * spill_allow_memory, registry_directory), ENVIRONMENT (nothing can be derived), NO_MEMORY. Cost:
 * allocates; the governor's lock. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_governor_reload(ration_governor *governor,
                                                                    const ration_limits *limits,
                                                                    ration_error *error);

/* A thread that ticks a governor, polls its pressure descriptor and watches its memory.yaml. The
 * only thread the library ever starts, and only here; it takes no signals and 256 KiB of stack (as
 * much as usual, where the host keeps more than that per thread). What the host gives is called on
 * it: `told`, `adjust`, and as in any tick spillers of queries that nobody is inside of. The child
 * of a fork does not have it: it may stop the keeper there, and start one of its own. */
typedef struct ration_keeper ration_keeper;

/* What a keeper does. */
typedef struct ration_keeper_options {
    size_t size;
    const char *path; /* memory.yaml to load again when it changes; NULL = none. Copied. */
    bool environment; /* apply RATION_* over it (ration_limits_override) */
    bool watch;       /* the folder of `path`, also when a link in it is replaced by another */
    /* Called with what was loaded, before it is put in force, for values that the host gives by
     * other means; from the keeper's thread. May be NULL. */
    void (*adjust)(void *argument, ration_limits *limits);
    /* Told after each load of `path`, from the keeper's thread; `error` NULL = it holds now, else
     * the last good one holds. May be NULL. */
    void (*told)(void *argument, const ration_error *error);
    void *argument;
} ration_keeper_options;

/* Starts it; what `path` says now counts as loaded. From then on it is loaded again, soon after it
 * has come to rest, when it says something else than before: written in place, renamed over,
 * removed and made anew, behind a link that was replaced. A file that is gone or empty changes
 * nothing. Errors: INVALID_ARGUMENT, NO_MEMORY, ENVIRONMENT (no thread, no descriptor). */
RATION_NODISCARD RATION_PUBLIC ration_status
ration_keeper_start(ration_governor *governor, const ration_keeper_options *options,
                    ration_keeper **out_keeper, ration_error *error);
/* Loads `path` again soon, whether it has changed or not. Any thread, and signal handlers. */
RATION_PUBLIC void ration_keeper_reload(ration_keeper *keeper);
/* Stops and joins it. Before ration_governor_close, and not from `told` or `adjust`. NULL is none.
 */
RATION_PUBLIC void ration_keeper_stop(ration_keeper *keeper);

#ifdef __cplusplus
}
#endif
#endif

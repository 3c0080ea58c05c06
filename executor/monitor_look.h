/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the monitor: its state, and what opening (monitor.c) and looking (monitor_look.c) have
 * in common. */
#ifndef RATION_MONITOR_LOOK_H
#define RATION_MONITOR_LOOK_H

#include "executor/governor.h"
#include "executor/limit.h"
#include "executor/pressure.h"

#define RN_MONITOR_DRIFTS 5
#define RN_MONITOR_RAISE_PART 64 /* of the limit: a smaller raise waits, a smaller cut is none */
#define RN_MONITOR_PRESSED_LOOKS 10

/* What it looks with. */
typedef struct rn_eyes {
    rn_registry *registry; /* NULL = none could be had: it counts itself alone */
    rn_probe probes[2];
    rn_probe_files files;
    int probe;              /* the last good one; the other is scratch */
    int64_t full_ns;        /* when it was last read in full */
    int64_t doubt_since_ns; /* the last reading that was good, or of the same groups */
    char note[160];         /* why there is no registry */
} rn_eyes;

struct rn_monitor {
    int64_t due_ns;    /* of the next look; INT64_MAX = none. This and the next three: atomic */
    int64_t looked_ns; /* the last look */
    int64_t level;     /* ration_pressure */
    int64_t level_until_ns; /* then nobody has looked for long, and it is not known */
    pthread_mutex_t lock;   /* all below, but for the next four, which stay */
    char sysroot[256];
    int64_t (*clock)(void);
    int64_t pause_ns;
    int64_t process; /* pid: the child of a fork has neither its place nor its threads */
    ration_limits limits;
    rn_eyes *eyes; /* NULL = looks at nothing */
    bool leads;
    int descriptor;                      /* of the stall trigger; -1 = none */
    rn_registry_division division;       /* the last good one */
    int64_t short_of;                    /* of the governor, at the last look .. */
    int64_t refusals;                    /* .. and of its root */
    int64_t pressed_looks;               /* for so many more it counts as pressed */
    int64_t raise_looks;                 /* in a row that would have raised the limit */
    int64_t grace_bytes, grace_until_ns; /* what the limit was before it was cut */
    int64_t bound_bytes;                 /* rn_monitor_bound, at the last look; 0 = not followed */
    int64_t accounted_bytes;             /* its part of the sum of the process */
    int64_t drifts[RN_MONITOR_DRIFTS];
    int64_t elevated_ns, critical_ns;
    bool of_group; /* the stalls in the gauge are those of the own group */
    rn_pressure_gauge gauge;
    ration_governor_figures figures;
};

static inline const rn_probe *rn_eyes_probe(const rn_eyes *eyes)
{
    return &eyes->probes[eyes->probe];
}

/* Opens the registry. Where processes cannot find each other each goes on alone: a host without
 * /dev/shm is no reason not to start. Errors: ENVIRONMENT (no place), NO_MEMORY. */
RATION_NODISCARD ration_status rn_eyes_enter_registry(rn_eyes *eyes, const ration_limits *limits,
                                                      ration_error *error);
/* What a governor brings to be divided. */
typedef struct rn_monitor_holding {
    const ration_limits *limits;
    const rn_probe *probe;
    int64_t granted_bytes, resident_bytes, limit_bytes, demand_bytes;
    int64_t growth_bytes; /* of all processes of its tree, also what is nobody's account */
    int64_t now_ns;       /* of rn_clock_ns, before any of it was read */
} rn_monitor_holding;

/* Fills in what the governor holds, and the processes of its tree have in memory. `growth_bytes` is
 * the smaller of what it was before and after the machine was read: what was faulted in, or given
 * back, in between counts once so. */
void rn_monitor_measure(ration_governor *governor, int64_t growth_bytes,
                        rn_monitor_holding *holding);
/* One turn at `registry` (NULL: as if alone). */
RATION_NODISCARD ration_status rn_monitor_divide(const rn_monitor *monitor, rn_registry *registry,
                                                 const rn_monitor_holding *holding,
                                                 rn_registry_division *out_division,
                                                 ration_error *error);
/* What the limit is to be by a division. */
int64_t rn_monitor_target(const rn_monitor *monitor, const ration_limits *limits,
                          const rn_registry_division *division);
/* What is taken off `bytes` for drift: a quarter of it at most. */
int64_t rn_monitor_correction(const rn_monitor *monitor, int64_t bytes);
/* The most that the limits and those of the sources allow. */
int64_t rn_monitor_bound(const ration_limits *limits, const rn_probe *probe);
/* Tells the ledger what its limit may become, at `now_ns`: all of a shared tree go by it. With the
 * ledger's lock held. */
void rn_monitor_tell(ration_governor *governor, int64_t now_ns);
/* Is it told what the process holds beyond what is accounted? Else the headroom knows. */
bool rn_monitor_corrects(const ration_limits *limits);

/* What the process keeps in memory beyond what it did before its first monitor was opened. */
int64_t rn_monitor_growth(const rn_monitor *monitor);
/* Is it the only one of the process? */
bool rn_monitor_is_alone(void);
/* Tells what the governor has accounted; returns the sum over those of the process. */
int64_t rn_monitor_account(rn_monitor *monitor, int64_t accounted_bytes);

#endif

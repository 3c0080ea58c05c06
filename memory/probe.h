/* SPDX-License-Identifier: Apache-2.0
 *
 * What the machine has to give; the one file that reads /proc and /sys is probe.c. Every path is
 * prefixed with `sysroot` ("" = the real one), so that any machine can be put into a folder of
 * fixtures. */
#ifndef RATION_PROBE_H
#define RATION_PROBE_H

#include "base/text.h"

#define RN_PROBE_SOURCES_MAX 64

typedef struct rn_probe_source {
    char name[160];         /* "MemAvailable", "cgroup v2 /pod/app", "RLIMIT_AS" */
    char file[200];         /* where it was read, without the prefix */
    int64_t limit_bytes;    /* INT64_MAX = unlimited */
    int64_t used_bytes;     /* not counting reclaimable page cache; 0 where it makes no sense */
    int64_t headroom_bytes; /* limit - used, never negative */
} rn_probe_source;

typedef struct rn_probe {
    int64_t physical_bytes;
    int64_t available_bytes; /* smallest headroom of all sources */
    int binding;             /* index of that source */
    int count;
    rn_probe_source sources[RN_PROBE_SOURCES_MAX];
    char note[256]; /* what could not be read, or "" */
} rn_probe;

/* Transparent huge pages, as the machine is set. */
typedef enum rn_huge_mode {                 /* what a process has to do to get them: */
                            RN_HUGE_ABSENT, /* the kernel has none, or does not say */
                            RN_HUGE_NEVER,
                            RN_HUGE_MADVISE, /* ask */
                            RN_HUGE_ALWAYS   /* nothing */
} rn_huge_mode;

/* Errors: ENVIRONMENT when not even MemTotal can be read. Everything else that is missing or
 * garbage is noted. */
RATION_NODISCARD ration_status rn_probe_read(const char *sysroot, rn_probe *out_probe,
                                             ration_error *error);
/* When a process started, in clock ticks since boot: tells it from a later one with its pid. 0 =
 * there is none, or it has ended and was not waited for; -1 = cannot be read. */
int64_t rn_probe_start_time(int64_t pid);
/* What pids and start times count in: the boot, and this process's pid and time namespaces. The
 * same for all who mean the same by them; 0 = cannot be read. */
int64_t rn_probe_epoch(void);
/* The mode is the word in brackets. */
rn_huge_mode rn_probe_huge(const char *sysroot);
/* The process's own VmRSS and VmHWM in bytes; 0 when unreadable. */
void rn_probe_self(const char *sysroot, int64_t *out_rss_bytes, int64_t *out_peak_bytes);

#endif

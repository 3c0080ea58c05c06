/* SPDX-License-Identifier: Apache-2.0
 *
 * What the machine has to give; only memory/machine/ reads /proc and /sys. Every path is prefixed
 * with `sysroot` ("" = the real one), so that any machine can be put into a folder of fixtures.
 *
 *     rn_probe_read -> rn_probe_refresh, again and again -> rn_probe_files_close
 */
#ifndef RATION_PROBE_H
#define RATION_PROBE_H

#include "base/text.h"

#define RN_PROBE_SOURCES_MAX 64
#define RN_PROBE_GROUP_BYTES 256
#define RN_PROBE_FILE_BYTES 384
#define RN_PROBE_FILES_MAX 48

/* Whose a limit is, and so who shares it. */
typedef enum rn_probe_kind {
    RN_PROBE_MACHINE, /* every process */
    RN_PROBE_GROUP,   /* those in `group` or below it (rn_probe_below) */
    RN_PROBE_PROCESS  /* this one alone */
} rn_probe_kind;

/* A control group as text: "v2 /pod/app"; inside a cgroup namespace other than the first one
 * "v2:4026532441 /pod/app", since "/" is another group in each of them. One that is too long ends
 * at the last group above it that fits. */

typedef struct rn_probe_source {
    rn_probe_kind kind;
    int how;                          /* it is read: rn_source_how, for memory/machine only */
    char group[RN_PROBE_GROUP_BYTES]; /* of a control group, as text; else "" */
    char name[160];                   /* "MemAvailable", "cgroup v2 /pod/app", "RLIMIT_AS" */
    char file[RN_PROBE_FILE_BYTES];   /* where the limit was read, without the prefix */
    int64_t limit_bytes;              /* INT64_MAX = unlimited */
    int64_t used_bytes;     /* not counting reclaimable page cache; 0 where it makes no sense */
    int64_t headroom_bytes; /* limit - used, never negative */
    bool guessed;           /* part of it could not be read: there may be less headroom; noted */
} rn_probe_source;

/* PSI: time that tasks waited for memory. */
typedef struct rn_probe_stall {
    bool known;
    int64_t some_us, full_us;                 /* some task, all tasks; ever */
    int64_t some_ppm_of_10s, full_ppm_of_10s; /* avg10 */
} rn_probe_stall;

/* How often a group was at its limits: memory.events, or failcnt and oom_control of version 1,
 * which counts neither `high` nor `oom`. */
typedef struct rn_probe_events {
    bool known;
    int64_t high, max, oom, oom_kill;
} rn_probe_events;

typedef struct rn_probe {
    int64_t serial; /* of rn_probe_read: no two snapshots of a process have the same */
    int64_t physical_bytes;
    int64_t available_bytes; /* smallest headroom of all sources */
    int binding;             /* index of that source */
    int count;
    rn_probe_source sources[RN_PROBE_SOURCES_MAX];
    char note[256];                   /* what could not be read, or "" */
    bool guessed;                     /* a source is, or one that there may be is left out */
    char group[RN_PROBE_GROUP_BYTES]; /* the own memory control group, as text; "" = none */
    uint64_t membership;              /* hash of which groups the process is in */
    bool hidden; /* groups above the topmost one that is seen may have limits */
    int64_t swap_bytes, swap_free_bytes;
    int64_t huge_page_bytes, huge_pages, huge_pages_free; /* of hugetlbfs; not in MemAvailable */
    int64_t huge_pool_bytes;    /* of all their sizes; taken off both sources of the machine */
    rn_probe_stall stall;       /* of the machine */
    rn_probe_stall group_stall; /* of the own group */
    char group_stall_file[RN_PROBE_FILE_BYTES]; /* where it was read, or "" */
    rn_probe_events events;                     /* of the own group */
} rn_probe;

/* Files that rn_probe_refresh keeps open; all zeros = none yet. One thread at a time. */
typedef struct rn_probe_files {
    int64_t process;                     /* who opened them; 0 = none are */
    int64_t serial;                      /* for which snapshot */
    int64_t turn;                        /* refreshes since then */
    int descriptors[RN_PROBE_FILES_MAX]; /* + 1; 0 = none */
    uint64_t
        identities[RN_PROBE_FILES_MAX]; /* of the files: a host may close what is not its own */
} rn_probe_files;

/* Transparent huge pages, as the machine is set. */
typedef enum rn_huge_mode {                 /* what a process has to do to get them: */
                            RN_HUGE_ABSENT, /* the kernel has none, or does not say */
                            RN_HUGE_NEVER,
                            RN_HUGE_MADVISE, /* ask */
                            RN_HUGE_ALWAYS   /* nothing */
} rn_huge_mode;

/* Errors: ENVIRONMENT when not even MemTotal can be read. Everything else that is missing or
 * garbage is noted. Cost: 15 to 30 files. */
RATION_NODISCARD ration_status rn_probe_read(const char *sysroot, rn_probe *out_probe,
                                             ration_error *error);
/* Reads again what changes from moment to moment: limits of the sources, use of the limited ones,
 * available memory, stalls. False: something has come or gone, the process is in another group, or
 * a file could not be read; then `probe` is as it was, and rn_probe_read is due. `files` keeps
 * descriptors from one call to the next, and is closed when the snapshot is another; NULL = each
 * file is opened each time, which costs three times as much. Cost: a few microseconds. */
bool rn_probe_refresh(const char *sysroot, rn_probe *probe, rn_probe_files *files);
void rn_probe_files_close(rn_probe_files *files);
/* Is the control group `group` the group `above`, or below it? Both as text; "" is in none. */
bool rn_probe_below(const char *group, const char *above);
/* Bytes of the process that only it keeps in memory (anonymous and shared memory, no files); 0 =
 * cannot be read. Cost: one file. */
int64_t rn_probe_resident(const char *sysroot);
/* A descriptor that is ready (POLLPRI) when tasks of the own group, or of the machine, waited for
 * memory `stall_us` out of `window_us`; -1 with errno. A window that is no multiple of 2 s needs
 * CAP_SYS_RESOURCE. The caller closes it. */
int rn_probe_stall_trigger(const rn_probe *probe, int64_t stall_us, int64_t window_us);
/* When a process started, in clock ticks since boot: tells it from a later one with its pid. 0 =
 * there is none, or it has ended and was not waited for; -1 = cannot be read. */
int64_t rn_probe_start_time(int64_t pid);
/* The same, with what it has in memory that neither a file nor shared memory is behind: the page
 * cache has left nobody's headroom. 0 = cannot be read. Cost: two files. */
int64_t rn_probe_process(int64_t pid, int64_t *out_private_bytes);
/* What pids and start times count in: the boot, and this process's pid and time namespaces. The
 * same for all who mean the same by them; 0 = cannot be read. */
int64_t rn_probe_epoch(void);
/* The mode is the word in brackets. */
rn_huge_mode rn_probe_huge(const char *sysroot);
/* The process's own VmRSS and VmHWM in bytes; 0 when unreadable. */
void rn_probe_self(const char *sysroot, int64_t *out_rss_bytes, int64_t *out_peak_bytes);

#endif

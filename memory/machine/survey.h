/* SPDX-License-Identifier: Apache-2.0
 *
 * A snapshot in the making: what the files of this folder tell each other. */
#ifndef RATION_SURVEY_H
#define RATION_SURVEY_H

#include "memory/machine/lines.h"
#include "memory/machine/probe.h"

/* More than any machine has, and far from where sums overflow. */
#define RN_BELIEVABLE_BYTES (INT64_C(1) << 62)

/* How a source is read. */
typedef enum rn_source_how {
    RN_SOURCE_TOTAL,
    RN_SOURCE_AVAILABLE,
    RN_SOURCE_FREE,      /* where there is no MemAvailable */
    RN_SOURCE_GROUP_V2,  /* memory.max, memory.high */
    RN_SOURCE_GROUP_V1,  /* memory.limit_in_bytes */
    RN_SOURCE_ABOVE_V1,  /* hierarchical_memory_limit: of groups that cannot be seen */
    RN_SOURCE_ADDRESSES, /* RLIMIT_AS */
    RN_SOURCE_DATA       /* RLIMIT_DATA */
} rn_source_how;

/* Places in rn_probe_files; sources of groups have four each, in their order in the snapshot. */
enum {
    RN_SLOT_MEMINFO,
    RN_SLOT_MEMBERSHIP,
    RN_SLOT_STALL,
    RN_SLOT_GROUP_STALL,
    RN_SLOT_LIMITS,
    RN_SLOT_STATUS,
    RN_SLOT_GROUPS
};

typedef struct rn_survey {
    rn_lines_place place;
    rn_probe *probe;
    rn_text note;        /* everything that is not as it should be leaves something here */
    bool hot;            /* a refresh: the use of an unlimited group is not wanted */
    bool torn;           /* a group went away while it was read */
    int guesses;         /* notes about what may be worse than shown */
    int64_t total_bytes; /* of the machine, less what hugetlbfs has */
    int64_t available_bytes, physical_bytes;
    int64_t own_bytes;          /* VmRSS */
    int64_t limits[2], used[2]; /* RLIMIT_AS, RLIMIT_DATA; INT64_MAX = unlimited */
    bool limits_read;
    int64_t smallest_bytes; /* limit of the groups of version 1 so far */
} rn_survey;

/* What came of reading a source. */
typedef enum rn_reading { RN_READ, RN_READ_ABSENT, RN_READ_BAD } rn_reading;

typedef struct rn_source_values {
    int64_t limit_bytes, used_bytes; /* used -1 = as it was */
    bool high;                       /* the limit is that of memory.high */
} rn_source_values;

/* Notes (probe.c). A guess is a note about something that may be worse than what is shown. */
void rn_survey_note(rn_survey *survey, const char *folder, const char *name, const char *what);
void rn_survey_guess(rn_survey *survey, const char *folder, const char *name, const char *what);
/* A file of one number or "max". What cannot be read is a guess, unless it is not there. */
rn_reading rn_survey_number(rn_survey *survey, int slot, const char *folder, const char *name,
                            int64_t *out_value);

/* One source (source.c): `folder` is the group's. Never negative; RN_READ_BAD is noted. */
rn_reading rn_source_read(rn_survey *survey, rn_source_how how, const char *folder, int slot,
                          rn_source_values *out_values);
/* limit - used, not below 0; unlimited stays so. */
int64_t rn_source_headroom(int64_t limit_bytes, int64_t used_bytes);
/* Makes `file` name the file that the limit is from: of version 2, memory.max or memory.high. */
void rn_source_name_file(rn_probe_source *source, bool high);
/* Reads a source and adds it, if it is there (probe.c). `name` is what it is shown under. */
rn_reading rn_survey_add(rn_survey *survey, const rn_probe_source *what, const char *folder,
                         rn_source_values *out_values);

/* Finds the binding source (probe.c). */
void rn_probe_bind(rn_probe *probe);

/* Groups (groups.c): adds the sources of all groups the process is in. */
void rn_groups_read(rn_survey *survey);
/* Hash of /proc/self/cgroup; 0 = cannot be read now. */
uint64_t rn_groups_membership(const rn_lines_place *place);

/* Stalls and events (stall.c). False: there is no such file, or it is garbage. */
bool rn_stall_read(const rn_lines_place *place, int slot, const char *folder, const char *name,
                   rn_probe_stall *out_stall);
bool rn_events_read(rn_survey *survey, int version, const char *folder,
                    rn_probe_events *out_events);

#endif

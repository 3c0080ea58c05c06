/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys of memory.yaml, and the values behind them.
 *
 * The tables are the only place that knows a key. Adding one is a row here and a field in ration.h;
 * parser, validation, environment, the shipped memory.yaml and its schema follow. `sentence` says
 * what a key does, `advice` when to turn it and where to.
 *
 * Invariants (tested)
 * 1. Every default lies in its own range.
 * 2. No amount is above 1 EiB, no time above 10^12 ms: sums of two and the step to nanoseconds
 *    stay inside int64.
 * 3. Rows stand in the order of their sections. */
#include "config/limits.h"

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define BYTES_MAX (INT64_C(1) << 60)
#define MS_MAX INT64_C(1000000000000)

#define FIELD(name) .offset = offsetof(ration_limits, name)
#define GROUP_FIELD(name) .offset = offsetof(ration_group, name), .section = RN_LIMITS_GROUPS
#define RANGE(least, most) .minimum = (least), .maximum = (most)
#define TEXT_RANGE(name) RANGE(1, sizeof(((ration_limits *)NULL)->name) - 1)

static const char *const base_words[] = {
    [RATION_BASE_AVAILABLE] = "available", [RATION_BASE_TOTAL] = "total", NULL};

static const rn_limits_key keys[] = {
    {"limit_bytes", RN_LIMITS_BYTES, RN_LIMITS_LIMIT, FIELD(limit_bytes), RANGE(0, BYTES_MAX),
     .sentence = "What all queries and the loaded graph may hold together. 0 derives it from "
                 "limit_ratio.",
     .advice = "Give it where other programs on the machine are known; leave it 0 where they are "
               "not, or where one file serves machines of several sizes."},
    {"limit_ratio", RN_LIMITS_RATIO, RN_LIMITS_LIMIT, FIELD(limit_ratio_ppm), RANGE(1, 1000000),
     .value = 800000,
     .sentence = "Part of limit_base that becomes the limit when limit_bytes is 0; several "
                 "processes of one user divide it.",
     .advice = "Raise it where nothing else runs; lower it where others grow by surprise. Above "
               "0.95 the kernel may kill before anybody can give way."},
    {"limit_base", RN_LIMITS_CHOICE, RN_LIMITS_LIMIT, FIELD(limit_base),
     RANGE(RATION_BASE_AVAILABLE, RATION_BASE_TOTAL), .value = RATION_BASE_AVAILABLE,
     .sentence = "What limit_ratio is a part of. available: what is free, with what queries hold "
                 "of it; it follows. total: the machine's memory, or the smallest limit set for "
                 "the process.",
     .advice = "total gives the same limit at every start, and counts on it that others leave the "
               "rest free.",
     .words = base_words},
    {"limit_floor_bytes", RN_LIMITS_BYTES, RN_LIMITS_LIMIT, FIELD(limit_floor_bytes),
     RANGE(0, BYTES_MAX), .value = 16 * MIB,
     .sentence = "A derived limit below it is an error at the start, and is not followed later.",
     .advice = "Raise it to the least with which the service is of use: better no start than one "
               "in which every query waits."},
    {"limit_ceiling_bytes", RN_LIMITS_BYTES, RN_LIMITS_LIMIT, FIELD(limit_ceiling_bytes),
     RANGE(0, BYTES_MAX), .sentence = "A derived limit never grows above it. 0 sets no ceiling.",
     .advice = "Give it to keep room for the page cache, or for who starts later."},
    {"untracked_reserved_memory_mb", RN_LIMITS_MIB, RN_LIMITS_LIMIT,
     FIELD(untracked_reserved_bytes), RANGE(0, BYTES_MAX), .value = 50 * MIB,
     .sentence = "Taken off the derived limit for what is not charged: code, stacks, libraries of "
                 "the host.",
     .advice = "Raise it when the resident size of the process is steadily above what is "
               "accounted by more than this."},
    {"data_limit_bytes", RN_LIMITS_BYTES, RN_LIMITS_LIMIT, FIELD(data_limit_bytes),
     RANGE(0, BYTES_MAX),
     .sentence = "What the loaded graph may hold of the limit. 0 sets no limit of its own.",
     .advice = "Give it when a graph that grows shall fail to load instead of leaving queries too "
               "little."},

    {"enable_system_monitor", RN_LIMITS_BOOL, RN_LIMITS_MACHINE, FIELD(enable_system_monitor),
     RANGE(0, 1), .value = 1,
     .sentence = "The limit follows the machine while running; a given limit_bytes is lowered "
                 "when the machine has less. Off: it stays as it was at the start.",
     .advice = "Switch it off where the memory is set aside for this process, or for tests that "
               "must see the same limit every time."},
    {"monitor_interval_ms", RN_LIMITS_MS, RN_LIMITS_MACHINE, FIELD(monitor_interval_ms),
     RANGE(10, 10000), .value = 100, .sentence = "Time between two looks at the machine.",
     .advice = "Lower it where other programs take memory within milliseconds; raise it where a "
               "processor that wakes up costs battery."},
    {"pressure_stall_ratio", RN_LIMITS_RATIO, RN_LIMITS_MACHINE, FIELD(pressure_stall_ppm),
     RANGE(0, 1000000), .value = 200000,
     .sentence = "Part of the last two seconds that tasks waited for memory (pressure stall "
                 "information) from which pressure counts as elevated. 0 looks at free memory "
                 "alone.",
     .advice = "Lower it to give way earlier to others; raise it where a slow disk makes tasks "
               "wait all the time."},
    {"registry_directory", RN_LIMITS_DIRECTORY, RN_LIMITS_MACHINE, .when = RN_LIMITS_RESTART,
     FIELD(registry_directory), TEXT_RANGE(registry_directory),
     .sentence = "Where processes of one user find each other to divide what is there.",
     .advice = "A folder that is writable, the same for all of them, and emptied by a boot.",
     .text = "/dev/shm"},

    {"query_limit_bytes", RN_LIMITS_BYTES, RN_LIMITS_QUERIES, .when = RN_LIMITS_NEW_QUERIES,
     FIELD(query_limit_bytes), RANGE(0, BYTES_MAX),
     .sentence = "What one query may hold of the limit. 0 sets no limit of its own.",
     .advice = "Give it when single queries shall write out early, also while nobody else needs "
               "the memory."},
    {"query_rows_max", RN_LIMITS_COUNT, RN_LIMITS_QUERIES, .when = RN_LIMITS_NEW_QUERIES,
     FIELD(query_rows_max), RANGE(0, INT64_MAX),
     .sentence = "Rows that all operators of one query may produce together. 0 is unlimited.",
     .advice = "Stops a join without a condition long before it has filled a disk."},
    {"query_time_ms_max", RN_LIMITS_MS, RN_LIMITS_QUERIES, .when = RN_LIMITS_NEW_QUERIES,
     FIELD(query_time_ms_max), RANGE(0, MS_MAX),
     .sentence = "Time that one query may take. 0 is unlimited.",
     .advice = "A little more than the longest that somebody waits for an answer."},
    {"query_wait_ms_max", RN_LIMITS_MS, RN_LIMITS_QUERIES, .when = RN_LIMITS_NEW_QUERIES,
     FIELD(query_wait_ms_max), RANGE(1, MS_MAX), .value = 10000,
     .sentence = "Longest that a query in the middle of its work waits for memory that others "
                 "were asked to give back.",
     .advice = "Raise it where spill_directory is slow: others give at its speed."},
    {"max_row_bytes", RN_LIMITS_BYTES, RN_LIMITS_QUERIES, .when = RN_LIMITS_NEW_QUERIES,
     FIELD(max_row_bytes), RANGE(4 * KIB, 64 * MIB), .value = 64 * KIB,
     .sentence = "Widest row that an operator must be able to hold; the minimum of every query "
                 "grows with it.",
     .advice = "Raise it when queries end with ROW_TOO_WIDE; lower it when narrow queries wait "
               "for their minimum."},

    {"spill_directory", RN_LIMITS_DIRECTORY, RN_LIMITS_SPILLING, .when = RN_LIMITS_RESTART,
     FIELD(spill_directory), TEXT_RANGE(spill_directory),
     .sentence = "Where rows are written out that do not fit; the files have no names, and nothing "
                 "is left of them however the process ends.",
     .advice = "A local disk, the fastest there is.", .text = "/var/tmp"},
    {"spill_allow_memory", RN_LIMITS_BOOL, RN_LIMITS_SPILLING, .when = RN_LIMITS_RESTART,
     FIELD(spill_allow_memory), RANGE(0, 1),
     .sentence = "Allows a spill_directory on a file system that is memory itself (tmpfs), where "
                 "writing out frees nothing.",
     .advice = "For tests; or where that file system is limited and is not counted as this "
               "process's memory."},
    {"spill_bytes_max", RN_LIMITS_BYTES, RN_LIMITS_SPILLING, FIELD(spill_bytes_max),
     RANGE(0, BYTES_MAX),
     .sentence = "What all queries together may have written out at a time. 0 sets no quota.",
     .advice = "Give it where others need the same disk."},
    {"spill_query_bytes_max", RN_LIMITS_BYTES, RN_LIMITS_SPILLING, .when = RN_LIMITS_NEW_QUERIES,
     FIELD(spill_query_bytes_max), RANGE(0, BYTES_MAX),
     .sentence = "What one query may have written out at a time. 0 sets no quota of its own.",
     .advice = "Give it so that one query cannot take all of spill_bytes_max; it ends with "
               "SPILL_QUOTA instead."},
    {"spill_free_bytes_min", RN_LIMITS_BYTES, RN_LIMITS_SPILLING, FIELD(spill_free_bytes_min),
     RANGE(0, BYTES_MAX), .value = 1024 * MIB,
     .sentence = "Stays free on the file system of spill_directory. 0 uses it to the last byte.",
     .advice = "Raise it where logs or a database lie on the same file system."},

    {"admission_queue_max", RN_LIMITS_COUNT, RN_LIMITS_ADMISSION, FIELD(admission_queue_max),
     RANGE(0, 1000000), .value = 1000,
     .sentence = "Queries that may wait for the minimum they need before they start; one more is "
                 "refused at once.",
     .advice = "Lower it where clients would rather ask another machine than wait. 0 refuses "
               "instead of queueing."},
    {"admission_wait_ms_max", RN_LIMITS_MS, RN_LIMITS_ADMISSION, FIELD(admission_wait_ms_max),
     RANGE(1, MS_MAX), .value = 60000,
     .sentence = "Longest that a query waits for the minimum it needs before it starts.",
     .advice = "Below the time after which clients give up: an answer that nobody reads still "
               "costs memory."},

    {"check_interval", RN_LIMITS_COUNT, RN_LIMITS_TUNING, .when = RN_LIMITS_NEW_QUERIES,
     FIELD(check_interval), RANGE(1, 1000000), .value = 1024,
     .sentence = "Rows between two settles of a guard, and rows of a batch at most.",
     .advice = "Lower it when cancelling or giving back takes too long; raise it when rows are "
               "tiny and a host sees the settles in its profile."},
    {"check_bytes", RN_LIMITS_BYTES, RN_LIMITS_TUNING, .when = RN_LIMITS_NEW_QUERIES,
     FIELD(check_bytes), RANGE(4 * KIB, 64 * MIB), .value = 256 * KIB,
     .sentence = "Bytes between two settles of a guard, for rows that are wide.",
     .advice = "It is part of how far a host that allocates first may be above the limit, once "
               "for each live guard."},
    {"chunk_bytes_max", RN_LIMITS_BYTES, RN_LIMITS_TUNING, FIELD(chunk_bytes_max),
     RANGE(4 * KIB, 64 * MIB), .value = MIB,
     .sentence = "Most credit that a worker takes at a time; less near the limit.",
     .advice = "Raise it when many workers wait for the governor's lock; what is not needed is "
               "called back."},
    {"retain_ms", RN_LIMITS_MS, RN_LIMITS_TUNING, FIELD(retain_ms), RANGE(0, MS_MAX), .value = 1000,
     .sentence = "How long freed pages stay for the next query before they go back to the system. "
                 "0 gives them back at once.",
     .advice = "Raise it when short queries follow each other; lower it where other programs wait "
               "for the memory."},
    {"prefault", RN_LIMITS_BOOL, RN_LIMITS_TUNING, FIELD(prefault), RANGE(0, 1),
     .sentence = "Makes new blocks resident when they are taken instead of page by page when they "
                 "are touched.",
     .advice = "Steadier times for a longer first touch; of no use where blocks stay half empty."},
};

static const rn_limits_key group_keys[] = {
    {"limit_bytes", RN_LIMITS_BYTES, GROUP_FIELD(limit_bytes), RANGE(0, BYTES_MAX),
     .sentence = "What all queries of the group may hold together. 0 sets no limit of its own.",
     .advice = ""},
    {"share", RN_LIMITS_COUNT, GROUP_FIELD(share), RANGE(1, 1000000), .value = 1,
     .sentence = "Weight of the group when memory is short: 2 gets twice what 1 gets.",
     .advice = "What a group does not need others have."},
    {"priority", RN_LIMITS_COUNT, GROUP_FIELD(priority), RANGE(0, 1000),
     .sentence = "Queries of a higher one are admitted first; those of a lower one are asked first "
                 "to give back.",
     .advice = ""},
    {"queries_max", RN_LIMITS_COUNT, GROUP_FIELD(queries_max), RANGE(0, 1000000),
     .sentence = "Queries of the group that are admitted at a time. 0 is unlimited.",
     .advice = "A few for heavy reports: one after another they end sooner than all at once."},
    {"query_limit_bytes", RN_LIMITS_BYTES, GROUP_FIELD(query_limit_bytes),
     .when = RN_LIMITS_NEW_QUERIES, RANGE(0, BYTES_MAX),
     .sentence = "What one query of the group may hold. 0 stands for the query_limit_bytes above.",
     .advice = ""},
    {"spill_bytes_max", RN_LIMITS_BYTES, GROUP_FIELD(spill_bytes_max), RANGE(0, BYTES_MAX),
     .sentence = "What all queries of the group may have written out at a time. 0 sets no quota of "
                 "its own.",
     .advice = ""},
};

const rn_limits_key *rn_limits_keys(size_t *out_count)
{
    *out_count = RN_COUNT(keys);
    return keys;
}
_Static_assert(RN_COUNT(keys) < 64, "`touched` of rn_limits_override has a bit for each");

const rn_limits_key *rn_limits_group_keys(size_t *out_count)
{
    *out_count = RN_COUNT(group_keys);
    return group_keys;
}

static const rn_limits_key *find(const rn_limits_key *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

const rn_limits_key *rn_limits_find(const char *name)
{
    return find(keys, RN_COUNT(keys), name);
}

const rn_limits_key *rn_limits_find_group(const char *name)
{
    return find(group_keys, RN_COUNT(group_keys), name);
}

/* --------------------------------------------------------------------------------------- values */

const char *rn_limits_text(const void *values, const rn_limits_key *key)
{
    rn_assert(key->type == RN_LIMITS_DIRECTORY);
    return (const char *)values + key->offset;
}

int64_t rn_limits_get(const void *values, const rn_limits_key *key)
{
    const char *field = (const char *)values + key->offset;
    int64_t value = 0;
    if (key->type == RN_LIMITS_BOOL) {
        bool flag;
        memcpy(&flag, field, sizeof(flag));
        return flag ? 1 : 0;
    }
    if (key->type != RN_LIMITS_DIRECTORY) {
        memcpy(&value, field, sizeof(value));
    }
    return value;
}

bool rn_limits_is_default(const void *values, const rn_limits_key *key)
{
    return key->type == RN_LIMITS_DIRECTORY ? strcmp(rn_limits_text(values, key), key->text) == 0
                                            : rn_limits_get(values, key) == key->value;
}

void rn_limits_set_text(void *values, const rn_limits_key *key, const char *text)
{
    rn_assert(key->type == RN_LIMITS_DIRECTORY);
    rn_copy_text((char *)values + key->offset, (size_t)key->maximum + 1, text);
}

void rn_limits_set(void *values, const rn_limits_key *key, int64_t value)
{
    char *field = (char *)values + key->offset;
    if (key->type == RN_LIMITS_BOOL) {
        bool flag = value != 0;
        memcpy(field, &flag, sizeof(flag));
    } else {
        rn_assert(key->type != RN_LIMITS_DIRECTORY);
        memcpy(field, &value, sizeof(value));
    }
}

static void set_defaults(void *values, const rn_limits_key *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].type == RN_LIMITS_DIRECTORY) {
            rn_limits_set_text(values, &table[i], table[i].text);
        } else {
            rn_limits_set(values, &table[i], table[i].value);
        }
    }
}

void rn_limits_set_group_defaults(ration_group *group)
{
    set_defaults(group, group_keys, RN_COUNT(group_keys));
}

void ration_limits_default(ration_limits *out_limits)
{
    memset(out_limits, 0, sizeof(*out_limits));
    out_limits->size = sizeof(*out_limits);
    set_defaults(out_limits, keys, RN_COUNT(keys));
}

const ration_group *rn_limits_group(const ration_limits *limits, const char *name)
{
    for (int64_t i = 0; i < limits->group_count; i++) {
        if (strcmp(limits->groups[i].name, name) == 0) {
            return &limits->groups[i];
        }
    }
    return NULL;
}

bool rn_limits_agree(const rn_limits_key *key, const void *one, const void *other)
{
    return key->type == RN_LIMITS_DIRECTORY
               ? strcmp(rn_limits_text(one, key), rn_limits_text(other, key)) == 0
               : rn_limits_get(one, key) == rn_limits_get(other, key);
}

bool rn_limits_equal(const ration_limits *one, const ration_limits *other)
{
    bool equal = one->group_count == other->group_count;
    for (size_t i = 0; i < RN_COUNT(keys) && equal; i++) {
        equal = rn_limits_agree(&keys[i], one, other);
    }
    for (int64_t g = 0; equal && g < one->group_count; g++) {
        equal = strcmp(one->groups[g].name, other->groups[g].name) == 0;
        for (size_t i = 0; i < RN_COUNT(group_keys) && equal; i++) {
            equal = rn_limits_agree(&group_keys[i], &one->groups[g], &other->groups[g]);
        }
    }
    return equal;
}

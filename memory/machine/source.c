/* SPDX-License-Identifier: Apache-2.0
 *
 * One source: what it allows and what of it is used. The same code for snapshots and refreshes.
 *
 * The use of a group is what the kernel cannot take back at once: anonymous and shared memory,
 * locked files, sockets and the kernel's own objects; never page cache, which goes before anything
 * is killed.
 *   version 2: max(memory.current - inactive_file - active_file - slab_reclaimable, anon)
 *   version 1: max(memory.usage_in_bytes - total_inactive_file - total_active_file, total_rss)
 * Shared memory lies in the lists of anonymous pages, so it is counted; files of a tmpfs are shared
 * memory. Dirty pages and those being written are page cache: reclaim waits for them (in version 1
 * inside of the reclaim, in version 2 writers are slowed down before a group is full of them).
 *
 * What version 1 cannot tell: how much of its kernel memory is reclaimable (dentries, inodes). All
 * of it counts as use, so a group that walks many files seems fuller than it is. Sockets are
 * counted apart there (kmem.tcp) and do not bind. A parent whose use_hierarchy is 0 (before Linux
 * 5.11) is taken to bind its children all the same.
 * What both are late by: statistics are summed up per processor, in steps of 64 pages.
 *
 * Invariants
 * 1. limit and used are >= 0; INT64_MAX is unlimited.
 * 2. Unlimited is what the kernel writes for it: "max"; or the largest multiple of its page size
 *    below 2^63. A number above INT64_MAX is none; what is no number is noted, and is no limit and
 *    no page cache.
 * 3. What is taken off the use never makes it less than the anonymous memory.
 *
 * Where the use of a limited group cannot be read, the process's own VmRSS stands for it: a lower
 * bound, and noted. */
#include "memory/machine/survey.h"

#include <errno.h>

/* Version 1 shows "no limit" as the largest multiple of a page (64 KiB at most) below 2^63. */
#define UNLIMITED_BYTES (INT64_MAX - 65535)

int64_t rn_source_headroom(int64_t limit_bytes, int64_t used_bytes)
{
    return limit_bytes == INT64_MAX ? INT64_MAX : RN_MAX(limit_bytes - used_bytes, 0);
}

rn_reading rn_survey_number(rn_survey *survey, int slot, const char *folder, const char *name,
                            int64_t *out_value)
{
    rn_lines lines;
    int code = rn_lines_open(&lines, &survey->place, slot, folder, name);
    errno = 0;
    char *line = code == 0 ? rn_lines_next(&lines) : NULL;
    code = code == 0 ? errno : code;
    bool good = false;
    int64_t value = INT64_MAX;
    if (line != NULL && !lines.skipped) {
        size_t length = strlen(line);
        good = strcmp(line, "max") == 0 ||
               (strspn(line, "0123456789") == length && rn_lines_number(line, 1, &value));
    }
    rn_lines_close(&lines);
    if (line == NULL && code == ENOENT) {
        return RN_READ_ABSENT;
    }
    if (!good) {
        rn_survey_guess(survey, folder, name,
                        line == NULL && code != 0 ? strerror(code) : "not a number");
        return RN_READ_BAD;
    }
    *out_value = value >= UNLIMITED_BYTES ? INT64_MAX : value;
    return RN_READ;
}

/* The smaller of memory.max and memory.high: above the latter the kernel slows the group down to a
 * halt. */
static rn_reading read_limit_v2(rn_survey *survey, const char *folder, int slot,
                                rn_source_values *values)
{
    int64_t high = INT64_MAX;
    rn_reading reading =
        rn_survey_number(survey, slot, folder, "/memory.max", &values->limit_bytes);
    rn_reading second =
        rn_survey_number(survey, slot < 0 ? slot : slot + 1, folder, "/memory.high", &high);
    /* Where memory.max is garbage, "max" in memory.high says nothing. */
    if (second == RN_READ && high < (reading == RN_READ ? values->limit_bytes : INT64_MAX)) {
        values->limit_bytes = high;
        values->high = true;
        return RN_READ;
    }
    return reading;
}

/* How the versions name what is needed. */
struct dialect {
    const char *limit, *use, *anonymous, *inactive, *active, *slab;
};

static const struct dialect dialects[] = {
    [1] = {"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_rss", "total_inactive_file",
           "total_active_file", "hierarchical_memory_limit"},
    [2] = {"/memory.max", "/memory.current", "anon", "inactive_file", "active_file",
           "slab_reclaimable"},
};

/* `out_above`: hierarchical_memory_limit of version 1; INT64_MAX = unlimited, -1 = not known. */
static void read_use(rn_survey *survey, int version, const char *folder, int slot,
                     int64_t *out_used, int64_t *out_above)
{
    const struct dialect *words = &dialects[version];
    rn_lines_entry stat[] = {{.name = words->anonymous, .unit = 1},
                             {.name = words->inactive, .unit = 1},
                             {.name = words->active, .unit = 1},
                             {.name = words->slab, .unit = 1}};
    int64_t used = 0;
    rn_reading reading =
        rn_survey_number(survey, slot < 0 ? slot : slot + 2, folder, words->use, &used);
    int code = rn_lines_entries(&survey->place, slot < 0 ? slot : slot + 3, folder, "/memory.stat",
                                stat, RN_COUNT(stat));
    if (reading == RN_READ_ABSENT || code == ENOENT || code == ENODEV) {
        survey->torn = true;
    }
    if (reading == RN_READ_ABSENT) {
        rn_survey_guess(survey, folder, words->use, strerror(ENOENT));
    }
    if (code != 0 || !stat[0].found || !stat[1].found || !stat[2].found) {
        rn_survey_note(survey, folder, "/memory.stat",
                       code != 0 ? strerror(code) : "incomplete, page cache counts as use");
    } else if (reading == RN_READ) {
        int64_t cache = rn_add(stat[1].value, stat[2].value);
        cache = rn_add(cache, version == 2 ? stat[3].value : 0);
        used = RN_MAX(used - RN_MIN(cache, used), RN_MIN(stat[0].value, used));
    }
    *out_used = reading == RN_READ ? used : survey->own_bytes;
    *out_above = !stat[3].found ? -1 : stat[3].value >= UNLIMITED_BYTES ? INT64_MAX : stat[3].value;
}

static rn_reading read_group(rn_survey *survey, int version, const char *folder, int slot,
                             rn_source_values *values)
{
    int64_t above;
    rn_reading reading = version == 2 ? read_limit_v2(survey, folder, slot, values)
                                      : rn_survey_number(survey, slot, folder, dialects[1].limit,
                                                         &values->limit_bytes);
    RN_POINT("source.limited");
    if (reading == RN_READ && (values->limit_bytes != INT64_MAX || !survey->hot)) {
        read_use(survey, version, folder, slot, &values->used_bytes, &above);
    }
    if (reading == RN_READ && version == 1) {
        survey->smallest_bytes = RN_MIN(survey->smallest_bytes, values->limit_bytes);
    }
    return reading;
}

/* What all groups above allow, where that is less than any group in sight. Their use is unknown,
 * and at least that of the topmost one in sight. */
static rn_reading read_above(rn_survey *survey, const char *folder, int slot,
                             rn_source_values *values)
{
    int64_t used, above;
    read_use(survey, 1, folder, slot, &used, &above);
    if (above < 0) {
        rn_survey_guess(survey, folder, "/memory.stat", "no hierarchical_memory_limit");
        return RN_READ_BAD;
    }
    if (above < survey->smallest_bytes) {
        values->limit_bytes = above;
        values->used_bytes = used;
    } else {
        values->limit_bytes = INT64_MAX;
    }
    return RN_READ;
}

/* Fills survey->limits from /proc/self/limits: "unlimited" is no bound, and garbage is noted. */
static void read_limits(rn_survey *survey)
{
    static const char *const names[] = {"Max address space", "Max data size"};
    rn_lines lines;
    int code = rn_lines_open(&lines, &survey->place, RN_SLOT_LIMITS, "/proc/self", "/limits");
    size_t good = 0;
    errno = 0;
    for (char *line = NULL; code == 0 && (line = rn_lines_next(&lines)) != NULL;) {
        for (size_t i = 0; i < RN_COUNT(names); i++) {
            size_t length = strlen(names[i]);
            if (strncmp(line, names[i], length) == 0) {
                const char *text = line + length + strspn(line + length, " ");
                good += rn_lines_number(text, 1, &survey->limits[i]) ||
                        strncmp(text, "unlimited ", 10) == 0;
            }
        }
    }
    code = code == 0 ? errno : code;
    rn_lines_close(&lines);
    if (code != 0 || good != RN_COUNT(names)) {
        rn_survey_guess(survey, "/proc/self", "/limits",
                        code != 0 ? strerror(code) : "incomplete, or not a number");
    }
}

static rn_reading read_process(rn_survey *survey, int which, rn_source_values *values)
{
    if (!survey->limits_read) {
        survey->limits_read = true;
        survey->limits[0] = survey->limits[1] = INT64_MAX;
        read_limits(survey);
        rn_lines_entry entries[] = {{.name = "VmSize:", .unit = 1024},
                                    {.name = "VmData:", .unit = 1024}};
        bool needed = RN_MIN(survey->limits[0], survey->limits[1]) < UNLIMITED_BYTES;
        int code = !needed ? 0
                           : rn_lines_entries(&survey->place, RN_SLOT_STATUS, "/proc/self",
                                              "/status", entries, RN_COUNT(entries));
        for (int i = 0; i < 2; i++) {
            survey->used[i] = entries[i].found ? entries[i].value : survey->own_bytes;
        }
        if (needed && (code != 0 || !entries[0].found || !entries[1].found)) {
            rn_survey_guess(survey, "/proc/self", "/status",
                            "own use unknown, VmRSS stands for it");
        }
    }
    if (survey->limits[which] >= UNLIMITED_BYTES && !survey->hot) {
        return RN_READ_ABSENT;
    }
    values->limit_bytes =
        survey->limits[which] >= UNLIMITED_BYTES ? INT64_MAX : survey->limits[which];
    values->used_bytes = survey->used[which];
    return RN_READ;
}

void rn_source_name_file(rn_probe_source *source, bool high)
{
    if (source->how != RN_SOURCE_GROUP_V2) {
        return;
    }
    size_t length = strlen(source->file);
    if (length + 1 == sizeof(source->file)) { /* it is cut */
        return;
    }
    char *name = strrchr(source->file, '/');
    if (name != NULL) {
        rn_copy_text(name, sizeof(source->file) - (size_t)(name - source->file),
                     high ? "/memory.high" : "/memory.max");
    }
}

rn_reading rn_source_read(rn_survey *survey, rn_source_how how, const char *folder, int slot,
                          rn_source_values *out_values)
{
    rn_source_values values = {.used_bytes = -1};
    rn_reading reading = RN_READ;
    switch (how) {
    case RN_SOURCE_TOTAL:
        values.limit_bytes = survey->total_bytes;
        values.used_bytes = 0;
        break;
    case RN_SOURCE_AVAILABLE:
    case RN_SOURCE_FREE:
        values.limit_bytes = survey->total_bytes;
        values.used_bytes = rn_source_headroom(survey->total_bytes, survey->available_bytes);
        break;
    case RN_SOURCE_GROUP_V2:
        reading = read_group(survey, 2, folder, slot, &values);
        break;
    case RN_SOURCE_GROUP_V1:
        reading = read_group(survey, 1, folder, slot, &values);
        break;
    case RN_SOURCE_ABOVE_V1:
        reading = read_above(survey, folder, slot, &values);
        break;
    case RN_SOURCE_ADDRESSES:
    case RN_SOURCE_DATA:
        reading = read_process(survey, how == RN_SOURCE_DATA, &values);
        break;
    }
    if (reading == RN_READ) {
        *out_values = values;
    }
    return reading;
}

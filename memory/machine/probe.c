/* SPDX-License-Identifier: Apache-2.0
 *
 * What the machine has to give, in one snapshot: rn_probe_read; rn_probe_huge.
 *
 * Every source that may bound this process becomes one row {limit, used, headroom}; the smallest
 * headroom binds:
 *   MemTotal, MemAvailable    /proc/meminfo (survey here)
 *   control groups            the own group and every one above it (groups.c)
 *   RLIMIT_AS, RLIMIT_DATA    /proc/self/limits against VmSize, VmData
 * How each is read: source.c. Read again from moment to moment: refresh.c.
 *
 * What hugetlbfs holds is memory of the machine that nobody gets by asking; it is taken off both
 * rows of the machine.
 *
 * Invariants
 * 1. headroom = max(0, limit - used); an unlimited source has unlimited headroom.
 * 2. Numbers are hostile: what is no number, missing or unreadable is noted, and never read as
 *    "unlimited" (source.c).
 * 3. A snapshot is of one moment as far as groups go: when the process is in other groups at the
 *    end than at the start, or a group went away in between, it is taken again, three times at
 *    most; noted then.
 * 4. No allocation; files are read line by line (lines.h).
 *
 * Rejected: sysinfo(2) and getrlimit(2), which know neither MemAvailable nor a prefix for tests. */
#include "memory/machine/survey.h"

#include <errno.h>

#define ATTEMPTS_MAX 3

void rn_survey_note(rn_survey *survey, const char *folder, const char *name, const char *what)
{
    rn_text_format(&survey->note, "%s%s%s: %s", survey->note.length > 0 ? "; " : "", folder, name,
                   what);
}

void rn_survey_guess(rn_survey *survey, const char *folder, const char *name, const char *what)
{
    rn_survey_note(survey, folder, name, what);
    survey->guesses++;
}

/* When the table is full the roomiest row makes place: the binding one is never lost. */
rn_reading rn_survey_add(rn_survey *survey, const rn_probe_source *what, const char *folder,
                         rn_source_values *out_values)
{
    rn_probe *probe = survey->probe;
    int guesses = survey->guesses;
    rn_reading reading =
        rn_source_read(survey, (rn_source_how)what->how, folder, RN_LINES_ONCE, out_values);
    if (reading != RN_READ) {
        return reading;
    }
    int64_t used = RN_MAX(out_values->used_bytes, 0);
    int64_t headroom = rn_source_headroom(out_values->limit_bytes, used);
    int at = probe->count;
    if (at == RN_PROBE_SOURCES_MAX) {
        at = 0;
        for (int i = 1; i < probe->count; i++) {
            at = probe->sources[i].headroom_bytes > probe->sources[at].headroom_bytes ? i : at;
        }
        if (headroom >= probe->sources[at].headroom_bytes) {
            return reading;
        }
    } else {
        probe->count++;
    }
    rn_probe_source *source = &probe->sources[at];
    *source = *what;
    source->guessed = survey->guesses > guesses;
    source->limit_bytes = out_values->limit_bytes;
    source->used_bytes = used;
    source->headroom_bytes = headroom;
    rn_source_name_file(source, out_values->high);
    return reading;
}

static void add_plain(rn_survey *survey, rn_probe_kind kind, rn_source_how how, const char *name,
                      const char *file)
{
    rn_probe_source what = {.kind = kind, .how = (int)how};
    rn_source_values values;
    rn_copy_text(what.name, sizeof(what.name), name);
    rn_copy_text(what.file, sizeof(what.file), file);
    (void)rn_survey_add(survey, &what, "", &values);
}

static ration_status read_meminfo(rn_survey *survey, ration_error *error)
{
    static const char path[] = "/proc/meminfo";
    enum { TOTAL, AVAILABLE, FREE, SWAP, SWAP_FREE, PAGES, PAGES_FREE, PAGE, HUGETLB };
    rn_lines_entry entries[] = {
        [TOTAL] = {.name = "MemTotal:", .unit = 1024},
        [AVAILABLE] = {.name = "MemAvailable:", .unit = 1024},
        [FREE] = {.name = "MemFree:", .unit = 1024},
        [SWAP] = {.name = "SwapTotal:", .unit = 1024},
        [SWAP_FREE] = {.name = "SwapFree:", .unit = 1024},
        [PAGES] = {.name = "HugePages_Total:", .unit = 1},
        [PAGES_FREE] = {.name = "HugePages_Free:", .unit = 1},
        [PAGE] = {.name = "Hugepagesize:", .unit = 1024},
        [HUGETLB] = {.name = "Hugetlb:", .unit = 1024},
    };
    int code = rn_lines_entries(&survey->place, RN_LINES_ONCE, "/proc", "/meminfo", entries,
                                RN_COUNT(entries));
    if (!entries[TOTAL].found) {
        return rn_error_at(error, RATION_ENVIRONMENT, path, 0, 0,
                           "set limit_bytes in memory.yaml: no limit can be derived here",
                           "cannot read MemTotal: %s",
                           code != 0 ? strerror(code) : "not there or not a number");
    }
    int64_t total = RN_MIN(entries[TOTAL].value, RN_BELIEVABLE_BYTES);
    if (total == RN_BELIEVABLE_BYTES) {
        rn_survey_note(survey, path, "", "MemTotal is beyond belief");
    }
    int64_t pool =
        RN_MAX(entries[HUGETLB].value, rn_multiply(entries[PAGES].value, entries[PAGE].value));
    if (pool > total) {
        rn_survey_note(survey, path, "", "more huge pages than memory, they are not counted");
        pool = 0;
    }
    rn_probe *probe = survey->probe;
    *probe = (rn_probe){.serial = probe->serial,
                        .physical_bytes = total,
                        .swap_bytes = entries[SWAP].value,
                        .swap_free_bytes = entries[SWAP_FREE].value,
                        .huge_page_bytes = entries[PAGE].value,
                        .huge_pages = entries[PAGES].value,
                        .huge_pages_free = entries[PAGES_FREE].value,
                        .huge_pool_bytes = pool};
    survey->total_bytes = total - pool;
    add_plain(survey, RN_PROBE_MACHINE, RN_SOURCE_TOTAL, "MemTotal", path);
    bool exact = entries[AVAILABLE].found;
    if (!exact) {
        (entries[FREE].found ? rn_survey_note : rn_survey_guess)(
            survey, path, "",
            entries[FREE].found ? "no MemAvailable, MemFree stands for it" : "no MemAvailable");
    }
    if (exact || entries[FREE].found) {
        survey->available_bytes = entries[exact ? AVAILABLE : FREE].value;
        add_plain(survey, RN_PROBE_MACHINE, exact ? RN_SOURCE_AVAILABLE : RN_SOURCE_FREE,
                  exact ? "MemAvailable" : "MemFree", path);
    }
    return RATION_OK;
}

void rn_probe_bind(rn_probe *probe)
{
    probe->binding = 0;
    for (int i = 1; i < probe->count; i++) {
        if (probe->sources[i].headroom_bytes < probe->sources[probe->binding].headroom_bytes) {
            probe->binding = i;
        }
    }
    probe->available_bytes = probe->sources[probe->binding].headroom_bytes;
}

/* One attempt; `probe` is untouched on failure. */
static ration_status read_once(rn_survey *survey, ration_error *error)
{
    int64_t peak;
    rn_probe *probe = survey->probe;
    uint64_t membership = rn_groups_membership(&survey->place);
    RN_TRY(read_meminfo(survey, error));
    rn_probe_self(survey->place.sysroot, &survey->own_bytes, &peak);
    RN_POINT("probe.began");
    rn_groups_read(survey);
    add_plain(survey, RN_PROBE_PROCESS, RN_SOURCE_ADDRESSES, "RLIMIT_AS", "/proc/self/limits");
    add_plain(survey, RN_PROBE_PROCESS, RN_SOURCE_DATA, "RLIMIT_DATA", "/proc/self/limits");
    (void)rn_stall_read(&survey->place, RN_LINES_ONCE, "/proc/pressure", "/memory", &probe->stall);
    probe->membership = rn_groups_membership(&survey->place);
    if (probe->membership != membership || membership == 0) {
        rn_survey_guess(survey, "/proc/self", "/cgroup",
                        membership == 0 ? "cannot be read" : "changed while it was read");
        survey->torn = true;
    }
    probe->guessed = survey->guesses > 0;
    rn_probe_bind(probe);
    return RATION_OK;
}

ration_status rn_probe_read(const char *sysroot, rn_probe *out_probe, ration_error *error)
{
    static int64_t serials;
    char note[sizeof(out_probe->note)];
    rn_survey survey;
    for (int attempt = 1;; attempt++) {
        survey = (rn_survey){.place = {.sysroot = sysroot != NULL ? sysroot : ""},
                             .probe = out_probe,
                             .note = rn_text_over(note, sizeof(note)),
                             .smallest_bytes = INT64_MAX};
        ration_status status = read_once(&survey, error);
        if (status != RATION_OK && attempt == 1) {
            return status;
        }
        if (status != RATION_OK || !survey.torn || attempt == ATTEMPTS_MAX) {
            break;
        }
    }
    out_probe->serial = rn_fetch_add(&serials, 1) + 1;
    rn_copy_text(out_probe->note, sizeof(out_probe->note), note);
    return RATION_OK;
}

rn_huge_mode rn_probe_huge(const char *sysroot)
{
    static const char *const words[] = {[RN_HUGE_NEVER] = "[never]",
                                        [RN_HUGE_MADVISE] = "[madvise]",
                                        [RN_HUGE_ALWAYS] = "[always]"};
    char line[128];
    int code = rn_lines_first(sysroot, "/sys/kernel/mm/transparent_hugepage", "/enabled", line,
                              sizeof(line));
    rn_huge_mode mode = RN_HUGE_ABSENT;
    for (size_t i = RN_HUGE_NEVER; code == 0 && i < RN_COUNT(words); i++) {
        mode = strstr(line, words[i]) != NULL ? (rn_huge_mode)i : mode;
    }
    return mode;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of a snapshot that changes from moment to moment, read again: rn_probe_refresh, ten
 * times a second.
 *
 * Read are: MemAvailable; the limit of every source; the use of those that have a limit (a group
 * without one cannot bind, and keeps the use of the snapshot); the stalls; which groups the process
 * is in. The files stay open: pread of a small file of the kernel costs a tenth of opening and
 * closing it (bench/README.md has figures).
 *
 * What changes is seen
 *   at once          other figures and limits, a group that is gone (ENODEV), files that became
 *                    unreadable or garbage
 *   by the 8th call  that the process is in another group
 *   by rn_probe_read limits of groups that had no limit file, rlimits where none were, mounts,
 *                    swap, huge pages, events
 *
 * Invariants
 * 1. All values are read before any is written: on false the snapshot is as it was.
 * 2. Whatever would have left a note in a snapshot makes a refresh false; so a snapshot whose notes
 *    are about its sources is taken anew each time.
 * 3. Descriptors belong to one snapshot (its serial) and one process: a child closes what it
 *    inherited and opens its own, since /proc/self is another there. A host that closes every
 *    descriptor (a daemon) takes them away: numbers that are other files by now are not closed, and
 *    not read: the first is looked at each time, the others at every eighth.
 *
 * Rejected: descriptors inside of rn_probe, which is copied; a table of the whole process, which
 * would need a lock. */
#include <unistd.h>

#include "memory/machine/survey.h"

#define SLOTS_OF_GROUP 4
#define TURNS_OF_MEMBERSHIP 8

/* A number that is another file's by now is not ours to close. */
void rn_probe_files_close(rn_probe_files *files)
{
    for (size_t i = 0; i < RN_COUNT(files->descriptors); i++) {
        if (rn_lines_is_kept(files->descriptors[i], files->identities[i])) {
            (void)close(files->descriptors[i] - 1);
        }
    }
    *files = (rn_probe_files){0};
}

/* All of them now and then, the first each time: who closes what is not its own closes them all. */
static bool are_own(const rn_probe_files *files)
{
    bool all = files->turn % TURNS_OF_MEMBERSHIP == 0, own = true;
    for (size_t i = 0; own && i < (all ? RN_COUNT(files->descriptors) : 1); i++) {
        own = files->descriptors[i] == 0 ||
              rn_lines_is_kept(files->descriptors[i], files->identities[i]);
    }
    return own;
}

/* False: no MemTotal or no `available` any more. */
static bool read_machine(rn_survey *survey, const char *available)
{
    rn_lines_entry entries[] = {{.name = "MemTotal:", .unit = 1024},
                                {.name = available, .unit = 1024}};
    (void)rn_lines_entries(&survey->place, RN_SLOT_MEMINFO, "/proc", "/meminfo", entries,
                           RN_COUNT(entries));
    survey->total_bytes = rn_source_headroom(entries[0].value, survey->probe->huge_pool_bytes);
    survey->available_bytes = entries[1].value;
    survey->physical_bytes = entries[0].value;
    return entries[0].found && entries[1].found && entries[0].value < RN_BELIEVABLE_BYTES;
}

/* The group's folder out of `file`; false when that is cut. */
static bool put_folder(const rn_probe_source *source, char folder[RN_PROBE_FILE_BYTES])
{
    const char *end = strrchr(source->file, '/');
    size_t length = end != NULL ? (size_t)(end - source->file) : 0;
    memcpy(folder, source->file, length);
    folder[length] = '\0';
    return end != NULL && strlen(source->file) < sizeof(source->file) - 1;
}

static bool read_sources(rn_survey *survey, rn_source_values *values)
{
    const rn_probe *probe = survey->probe;
    int slot = RN_SLOT_GROUPS;
    for (int i = 0; i < probe->count; i++) {
        const rn_probe_source *source = &probe->sources[i];
        char folder[RN_PROBE_FILE_BYTES] = "";
        bool group = source->kind == RN_PROBE_GROUP;
        bool room = slot + SLOTS_OF_GROUP <= RN_PROBE_FILES_MAX;
        if ((group && !put_folder(source, folder)) ||
            rn_source_read(survey, (rn_source_how)source->how, folder, room ? slot : RN_LINES_ONCE,
                           &values[i]) != RN_READ) {
            return false;
        }
        slot += group && room ? SLOTS_OF_GROUP : 0;
    }
    return survey->note.length == 0;
}

static bool read_stalls(const rn_survey *survey, rn_probe_stall *stall, rn_probe_stall *group_stall)
{
    const rn_probe *probe = survey->probe;
    return (!probe->stall.known ||
            rn_stall_read(&survey->place, RN_SLOT_STALL, "/proc/pressure", "/memory", stall)) &&
           (!probe->group_stall.known || rn_stall_read(&survey->place, RN_SLOT_GROUP_STALL,
                                                       probe->group_stall_file, "", group_stall));
}

/* /proc/self/cgroup is a tenth of the cost, and changes never or once. */
static bool is_member_still(const rn_survey *survey, rn_probe_files *files)
{
    if (files != NULL && files->turn++ % TURNS_OF_MEMBERSHIP != 0) {
        return true;
    }
    return rn_groups_membership(&survey->place) == survey->probe->membership;
}

static void take_values(rn_probe *probe, const rn_source_values *values)
{
    for (int i = 0; i < probe->count; i++) {
        rn_probe_source *source = &probe->sources[i];
        source->limit_bytes = values[i].limit_bytes;
        source->used_bytes = values[i].used_bytes < 0 ? source->used_bytes : values[i].used_bytes;
        source->headroom_bytes = rn_source_headroom(source->limit_bytes, source->used_bytes);
        rn_source_name_file(source, values[i].high);
    }
    rn_probe_bind(probe);
}

bool rn_probe_refresh(const char *sysroot, rn_probe *probe, rn_probe_files *files)
{
    int64_t process = (int64_t)getpid();
    if (files != NULL &&
        (files->process != process || files->serial != probe->serial || !are_own(files))) {
        rn_probe_files_close(files);
        files->process = process;
        files->serial = probe->serial;
    }
    rn_survey survey = {.place = {.sysroot = sysroot != NULL ? sysroot : "",
                                  .kept = files != NULL ? files->descriptors : NULL,
                                  .identities = files != NULL ? files->identities : NULL},
                        .probe = probe,
                        .hot = true,
                        .smallest_bytes = INT64_MAX};
    rn_source_values values[RN_PROBE_SOURCES_MAX];
    rn_probe_stall stall = probe->stall, group_stall = probe->group_stall;
    bool whole = probe->count > 1;
    if (whole) {
        bool exact = probe->sources[1].how != RN_SOURCE_FREE;
        whole = read_machine(&survey, exact ? "MemAvailable:" : "MemFree:") &&
                read_sources(&survey, values) && read_stalls(&survey, &stall, &group_stall) &&
                is_member_still(&survey, files);
    }
    if (!whole) {
        if (files != NULL) {
            rn_probe_files_close(files);
        }
        return false;
    }
    take_values(probe, values);
    probe->physical_bytes = survey.physical_bytes;
    probe->stall = stall;
    probe->group_stall = group_stall;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the machine has to give, read from /proc and /sys under a prefix: rn_probe_read,
 * rn_probe_self, rn_probe_huge; and who a pid is: rn_probe_start_time, rn_probe_epoch.
 *
 * Every source that may bound this process becomes one row {limit, used, headroom}; the smallest
 * headroom binds:
 *   MemTotal, MemAvailable    /proc/meminfo
 *   control groups            the own group and every ancestor, version 2 (memory.max, memory.high)
 *                             and version 1 (memory.limit_in_bytes); a limit of an ancestor that
 *                             cannot be seen shows in version 1 as hierarchical_memory_limit
 *   RLIMIT_AS, RLIMIT_DATA    /proc/self/limits against VmSize, VmData
 * The page cache of a group is not use: it goes before anything is killed.
 *   version 2: memory.current - inactive_file - active_file - slab_reclaimable
 *   version 1: total_rss + total_shmem + memory.kmem.usage_in_bytes
 *
 * Invariants
 * 1. headroom = max(0, limit - used); limit and used are >= 0; INT64_MAX is unlimited and has
 *    unlimited headroom.
 * 2. Numbers are hostile: what is no number, missing or unreadable is noted and never read as
 *    "unlimited"; what is too large sticks at INT64_MAX.
 * 3. No allocation; files are read line by line (lines.h).
 *
 * Where the use of a limited group cannot be read, the process's own VmRSS stands for it: a lower
 * bound, and noted.
 * Rejected: sysinfo(2) and getrlimit(2), which know neither MemAvailable nor a prefix for tests. */
#include "memory/machine/probe.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "memory/machine/lines.h"

/* Version 1 shows "no limit" as the largest multiple of a page below 2^63. */
#define UNLIMITED_BYTES (INT64_C(1) << 62)

/* ---------------------------------------------------------------------------------------- notes */

static void put_note(rn_text *note, const char *path, const char *what)
{
    rn_text_format(note, "%s%s: %s", note->length > 0 ? "; " : "", path, what);
}

enum reading { READ_VALUE, READ_ABSENT, READ_BAD };

/* A file of one number or "max". What cannot be read for another reason than its absence is
 * noted. */
static enum reading read_single(const char *sysroot, const char *path, int64_t *out_value,
                                rn_text *note)
{
    rn_lines lines;
    int code = rn_lines_open(&lines, sysroot, path);
    if (code == ENOENT) {
        return READ_ABSENT;
    }
    errno = 0;
    char *line = code == 0 ? rn_lines_next(&lines) : NULL;
    code = code == 0 ? errno : code;
    bool digits = line != NULL && line[strspn(line, "0123456789")] == '\0';
    bool good = digits && rn_lines_number(line, 1, out_value);
    if (line != NULL && strcmp(line, "max") == 0) {
        *out_value = INT64_MAX;
        good = true;
    }
    rn_lines_close(&lines);
    if (!good) {
        put_note(note, path, line == NULL && code != 0 ? strerror(code) : "not a number");
        return READ_BAD;
    }
    *out_value = *out_value >= UNLIMITED_BYTES ? INT64_MAX : *out_value;
    return READ_VALUE;
}

/* -------------------------------------------------------------------------------------- sources */

struct survey {
    const char *sysroot;
    rn_probe *probe;
    rn_text note;
    int64_t own_bytes; /* VmRSS */
};

static int64_t subtract(int64_t limit, int64_t used)
{
    return limit == INT64_MAX ? INT64_MAX : limit > used ? limit - used : 0;
}

/* When the table is full the roomiest row makes place: the binding one is never lost. */
static void add_source(struct survey *survey, const char *name, const char *file, int64_t limit,
                       int64_t used)
{
    rn_probe *probe = survey->probe;
    int at = probe->count;
    if (at == RN_PROBE_SOURCES_MAX) {
        at = 0;
        for (int i = 1; i < probe->count; i++) {
            at = probe->sources[i].headroom_bytes > probe->sources[at].headroom_bytes ? i : at;
        }
        if (subtract(limit, used) >= probe->sources[at].headroom_bytes) {
            return;
        }
    } else {
        probe->count++;
    }
    rn_probe_source *source = &probe->sources[at];
    rn_copy_text(source->name, sizeof(source->name), name);
    rn_copy_text(source->file, sizeof(source->file), file);
    source->limit_bytes = limit;
    source->used_bytes = used;
    source->headroom_bytes = subtract(limit, used);
}

static ration_status read_meminfo(struct survey *survey, ration_error *error)
{
    static const char path[] = "/proc/meminfo";
    rn_lines_entry entries[] = {{.name = "MemTotal:", .unit = 1024},
                                {.name = "MemAvailable:", .unit = 1024},
                                {.name = "MemFree:", .unit = 1024}};
    int code = rn_lines_entries(survey->sysroot, path, entries, RN_COUNT(entries));
    if (code != 0 || !entries[0].found) {
        return rn_error_at(error, RATION_ENVIRONMENT, path, 0, 0,
                           "set limit_bytes in memory.yaml: no limit can be derived here",
                           "cannot read MemTotal: %s",
                           code != 0 ? strerror(code) : "not there or not a number");
    }
    int64_t total = RN_MIN(entries[0].value, UNLIMITED_BYTES);
    if (total == UNLIMITED_BYTES) {
        put_note(&survey->note, path, "MemTotal is beyond belief");
    }
    *survey->probe = (rn_probe){.physical_bytes = total};
    add_source(survey, "MemTotal", path, total, 0);
    if (!entries[1].found) {
        put_note(&survey->note, path,
                 entries[2].found ? "no MemAvailable, MemFree stands for it" : "no MemAvailable");
    }
    const rn_lines_entry *available = entries[1].found ? &entries[1] : &entries[2];
    if (available->found) {
        add_source(survey, entries[1].found ? "MemAvailable" : "MemFree", path, total,
                   subtract(total, available->value));
    }
    return RATION_OK;
}

static void read_rlimits(struct survey *survey)
{
    static const char limits_path[] = "/proc/self/limits", status_path[] = "/proc/self/status";
    static const char *const names[] = {"RLIMIT_AS", "RLIMIT_DATA"};
    rn_lines_entry limits[] = {{.name = "Max address space", .unit = 1},
                               {.name = "Max data size", .unit = 1}};
    rn_lines_entry used[] = {{.name = "VmSize:", .unit = 1024}, {.name = "VmData:", .unit = 1024}};
    int code = rn_lines_entries(survey->sysroot, limits_path, limits, RN_COUNT(limits));
    if (code != 0) {
        put_note(&survey->note, limits_path, strerror(code));
        return;
    }
    (void)rn_lines_entries(survey->sysroot, status_path, used, RN_COUNT(used));
    for (size_t i = 0; i < RN_COUNT(names); i++) {
        /* "unlimited" is no number, and not a bound. */
        if (limits[i].found && limits[i].value < UNLIMITED_BYTES) {
            if (!used[i].found) {
                put_note(&survey->note, status_path, "own use unknown, VmRSS stands for it");
            }
            add_source(survey, names[i], limits_path, limits[i].value,
                       used[i].found ? used[i].value : survey->own_bytes);
        }
    }
}

/* ------------------------------------------------------------------------------- control groups */

/* A hierarchy with a memory controller as this process sees it. */
struct hierarchy {
    int version;
    bool member, mounted;
    char group[PATH_MAX]; /* the own one, from the root of the hierarchy or of the namespace */
    char root[PATH_MAX];  /* the group at the mount point */
    char point[PATH_MAX]; /* mount point */
};

/* Is `word` one of the comma-separated words of `list`? */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (;;) {
        size_t span = strcspn(list, ",");
        if (span == length && strncmp(list, word, length) == 0) {
            return true;
        }
        if (list[span] == '\0') {
            return false;
        }
        list += span + 1;
    }
}

/* "4:cpu,memory:/path" or "0::/path". */
static void take_membership(struct hierarchy *hierarchy, char *line)
{
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL || path[1] != '/' || strlen(path + 1) >= sizeof(hierarchy->group)) {
        return;
    }
    *controllers++ = '\0';
    *path++ = '\0';
    bool here = hierarchy->version == 2 ? strcmp(line, "0") == 0 && *controllers == '\0'
                                        : has_word(controllers, "memory");
    if (here) {
        rn_copy_text(hierarchy->group, sizeof(hierarchy->group), path);
        hierarchy->member = true;
    }
}

/* \040 and its like, in place: how mountinfo writes blanks. */
static void decode_octal(char *text)
{
    char *to = text;
    for (const char *at = text; *at != '\0'; at++) {
        bool octal = at[0] == '\\' && strspn(at + 1, "01234567") >= 3;
        *to++ = octal ? (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0')) : *at;
        at += octal ? 3 : 0;
    }
    *to = '\0';
}

/* Is the group `path` at or below the group `root`? */
static bool lies_below(const char *path, const char *root)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* "36 35 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory". The first mount that
 * shows the own group is taken; failing that, the first. */
static void take_mount(struct hierarchy *hierarchy, char *line)
{
    char *fields[5], *type = NULL, *options = NULL, *rest = NULL;
    char *behind = strstr(line, " - ");
    if (behind == NULL) {
        return;
    }
    *behind = '\0';
    char *field = strtok_r(line, " ", &rest);
    for (size_t i = 0; i < RN_COUNT(fields); i++, field = strtok_r(NULL, " ", &rest)) {
        if (field == NULL) {
            return;
        }
        fields[i] = field;
    }
    type = strtok_r(behind + 3, " ", &rest);
    options = strtok_r(NULL, " ", &rest) != NULL ? strtok_r(NULL, " ", &rest) : NULL;
    if (type == NULL || options == NULL ||
        strcmp(type, hierarchy->version == 2 ? "cgroup2" : "cgroup") != 0 ||
        (hierarchy->version == 1 && !has_word(options, "memory"))) {
        return;
    }
    decode_octal(fields[3]);
    decode_octal(fields[4]);
    bool shows = lies_below(hierarchy->group, fields[3]);
    bool shown = hierarchy->mounted && lies_below(hierarchy->group, hierarchy->root);
    if ((hierarchy->mounted && (shown || !shows)) || strlen(fields[3]) >= PATH_MAX ||
        strlen(fields[4]) >= PATH_MAX) {
        return;
    }
    rn_copy_text(hierarchy->root, sizeof(hierarchy->root), fields[3]);
    rn_copy_text(hierarchy->point, sizeof(hierarchy->point), fields[4]);
    hierarchy->mounted = true;
}

static void scan_file(struct survey *survey, const char *path, struct hierarchy *hierarchy,
                      void (*take)(struct hierarchy *hierarchy, char *line))
{
    rn_lines lines;
    int code = rn_lines_open(&lines, survey->sysroot, path);
    if (code != 0) {
        put_note(&survey->note, path, strerror(code));
        return;
    }
    for (char *line = rn_lines_next(&lines); line != NULL; line = rn_lines_next(&lines)) {
        take(hierarchy, line);
    }
    rn_lines_close(&lines);
}

/* A group on the way up: its folder and the name it is shown under. */
struct group {
    int version;
    const char *folder;
    char name[160];
};

static void put_path(char path[PATH_MAX], const struct group *group, const char *file)
{
    rn_text text = rn_text_over(path, PATH_MAX);
    rn_text_format(&text, "%s/%s", group->folder, file);
}

/* memory.current without what can be reclaimed at once. */
static bool read_use_v2(struct survey *survey, const struct group *group, int64_t *out_used)
{
    char path[PATH_MAX];
    rn_lines_entry cache[] = {{.name = "inactive_file", .unit = 1},
                              {.name = "active_file", .unit = 1},
                              {.name = "slab_reclaimable", .unit = 1}};
    int64_t used;
    put_path(path, group, "memory.current");
    enum reading reading = read_single(survey->sysroot, path, &used, &survey->note);
    if (reading != READ_VALUE) {
        if (reading == READ_ABSENT) {
            put_note(&survey->note, path, strerror(ENOENT));
        }
        return false;
    }
    put_path(path, group, "memory.stat");
    int code = rn_lines_entries(survey->sysroot, path, cache, RN_COUNT(cache));
    if (!cache[0].found) {
        put_note(&survey->note, path,
                 code != 0 ? strerror(code) : "no inactive_file, page cache counts as use");
    }
    int64_t reclaimable = rn_add(rn_add(cache[0].value, cache[1].value), cache[2].value);
    *out_used = used > reclaimable ? used - reclaimable : 0;
    return true;
}

/* total_rss + total_shmem + kernel memory; `out_effective` receives hierarchical_memory_limit or
 * INT64_MAX. */
static bool read_use_v1(struct survey *survey, const struct group *group, int64_t *out_used,
                        int64_t *out_effective)
{
    char path[PATH_MAX];
    rn_lines_entry entries[] = {{.name = "total_rss", .unit = 1},
                                {.name = "total_shmem", .unit = 1},
                                {.name = "hierarchical_memory_limit", .unit = 1}};
    put_path(path, group, "memory.stat");
    int code = rn_lines_entries(survey->sysroot, path, entries, RN_COUNT(entries));
    bool limited = entries[2].found && entries[2].value < UNLIMITED_BYTES;
    *out_effective = limited ? entries[2].value : INT64_MAX;
    if (!entries[0].found) {
        put_note(&survey->note, path, code != 0 ? strerror(code) : "no total_rss");
        return false;
    }
    int64_t kernel = 0;
    put_path(path, group, "memory.kmem.usage_in_bytes");
    if (read_single(survey->sysroot, path, &kernel, &survey->note) != READ_VALUE) {
        kernel = 0;
    }
    *out_used = rn_add(rn_add(entries[0].value, entries[1].value), kernel);
    return true;
}

/* The smaller of memory.max and memory.high: above the latter the kernel throttles the group to a
 * halt. */
static enum reading read_limit_v2(struct survey *survey, const struct group *group,
                                  char path[PATH_MAX], int64_t *out_limit)
{
    char high_path[PATH_MAX];
    int64_t high;
    put_path(path, group, "memory.max");
    put_path(high_path, group, "memory.high");
    enum reading reading = read_single(survey->sysroot, path, out_limit, &survey->note);
    enum reading high_reading = read_single(survey->sysroot, high_path, &high, &survey->note);
    if (high_reading == READ_VALUE && (reading != READ_VALUE || high < *out_limit)) {
        *out_limit = high;
        memcpy(path, high_path, sizeof(high_path));
        return READ_VALUE;
    }
    return reading;
}

/* Adds the group's own limit and lowers `smallest` to it. Of the leaf, `out_effective` receives
 * what all its ancestors allow, seen or not, and `out_leaf_used` its use. */
static void add_group(struct survey *survey, const struct group *group, bool leaf,
                      int64_t *smallest, int64_t *out_effective, int64_t *out_leaf_used)
{
    char path[PATH_MAX];
    int64_t limit = INT64_MAX, used = 0, effective = INT64_MAX;
    enum reading reading;
    if (group->version == 2) {
        reading = read_limit_v2(survey, group, path, &limit);
    } else {
        put_path(path, group, "memory.limit_in_bytes");
        reading = read_single(survey->sysroot, path, &limit, &survey->note);
    }
    if (reading == READ_ABSENT) {
        /* The root of a hierarchy has no limit files in version 2, nor has a group without the
         * controller. */
        return;
    }
    bool known = false;
    if (group->version == 1) {
        known = read_use_v1(survey, group, &used, &effective);
    } else if (reading == READ_VALUE) {
        known = read_use_v2(survey, group, &used);
    }
    used = known ? used : survey->own_bytes;
    if (reading == READ_VALUE) {
        add_source(survey, group->name, path, limit, used);
        *smallest = RN_MIN(*smallest, limit);
    }
    if (leaf) {
        *out_effective = effective;
        *out_leaf_used = used;
    }
}

/* From the own group up to the mount point. */
static void walk_groups(struct survey *survey, const struct hierarchy *hierarchy)
{
    char folder[PATH_MAX];
    int64_t smallest = INT64_MAX, effective = INT64_MAX, leaf_used = 0;
    const char *below =
        hierarchy->group + (strcmp(hierarchy->root, "/") == 0 ? 0 : strlen(hierarchy->root));
    bool shown =
        lies_below(hierarchy->group, hierarchy->root) && strstr(hierarchy->group, "/..") == NULL;
    if (!shown) {
        put_note(&survey->note, hierarchy->group, "this control group is outside what is mounted");
        below = "";
    }
    rn_text text = rn_text_over(folder, sizeof(folder));
    rn_text_format(&text, "%s%s", hierarchy->point, strcmp(below, "/") == 0 ? "" : below);
    if (text.length >= sizeof(folder)) {
        put_note(&survey->note, hierarchy->group, strerror(ENAMETOOLONG));
        return;
    }
    size_t top = strlen(hierarchy->point);
    struct group group = {.version = hierarchy->version, .folder = folder};
    for (bool leaf = true, more = true; more; leaf = false) {
        const char *base =
            strcmp(hierarchy->root, "/") == 0 && folder[top] != '\0' ? "" : hierarchy->root;
        rn_text name = rn_text_over(group.name, sizeof(group.name));
        rn_text_format(&name, "cgroup v%d %s%s", hierarchy->version, base, folder + top);
        add_group(survey, &group, leaf, &smallest, &effective, &leaf_used);
        char *cut = strrchr(folder + top, '/');
        more = cut != NULL;
        if (more) {
            *cut = '\0';
        }
    }
    if (effective < smallest) {
        char name[160];
        rn_text hidden = rn_text_over(name, sizeof(name));
        rn_text_format(&hidden, "cgroup v%d above %s", hierarchy->version, hierarchy->group);
        add_source(survey, name, "memory.stat: hierarchical_memory_limit", effective, leaf_used);
    }
}

static void read_groups(struct survey *survey, int version)
{
    struct hierarchy hierarchy = {.version = version};
    scan_file(survey, "/proc/self/cgroup", &hierarchy, take_membership);
    if (!hierarchy.member) {
        return;
    }
    scan_file(survey, "/proc/self/mountinfo", &hierarchy, take_mount);
    if (hierarchy.mounted) {
        walk_groups(survey, &hierarchy);
    } else if (strcmp(hierarchy.group, "/") != 0) {
        put_note(&survey->note, hierarchy.group, "this control group is not mounted");
    }
}

/* ------------------------------------------------------------------------------------ interface */

ration_status rn_probe_read(const char *sysroot, rn_probe *out_probe, ration_error *error)
{
    char note[sizeof(out_probe->note)];
    int64_t peak;
    struct survey survey = {.sysroot = sysroot != NULL ? sysroot : "",
                            .probe = out_probe,
                            .note = rn_text_over(note, sizeof(note))};
    RN_TRY(read_meminfo(&survey, error));
    rn_probe_self(survey.sysroot, &survey.own_bytes, &peak);
    read_groups(&survey, 2);
    read_groups(&survey, 1);
    read_rlimits(&survey);
    for (int i = 1; i < out_probe->count; i++) {
        if (out_probe->sources[i].headroom_bytes <
            out_probe->sources[out_probe->binding].headroom_bytes) {
            out_probe->binding = i;
        }
    }
    out_probe->available_bytes = out_probe->sources[out_probe->binding].headroom_bytes;
    rn_copy_text(out_probe->note, sizeof(out_probe->note), note);
    return RATION_OK;
}

void rn_probe_self(const char *sysroot, int64_t *out_rss_bytes, int64_t *out_peak_bytes)
{
    rn_lines_entry entries[] = {{.name = "VmRSS:", .unit = 1024}, {.name = "VmHWM:", .unit = 1024}};
    (void)rn_lines_entries(sysroot != NULL ? sysroot : "", "/proc/self/status", entries,
                           RN_COUNT(entries));
    *out_rss_bytes = entries[0].value;
    *out_peak_bytes = entries[1].value;
}

rn_huge_mode rn_probe_huge(const char *sysroot)
{
    static const char *const words[] = {[RN_HUGE_NEVER] = "[never]",
                                        [RN_HUGE_MADVISE] = "[madvise]",
                                        [RN_HUGE_ALWAYS] = "[always]"};
    rn_lines lines;
    char *line = rn_lines_open(&lines, sysroot, "/sys/kernel/mm/transparent_hugepage/enabled") == 0
                     ? rn_lines_next(&lines)
                     : NULL;
    rn_huge_mode mode = RN_HUGE_ABSENT;
    for (size_t i = RN_HUGE_NEVER; line != NULL && i < RN_COUNT(words); i++) {
        mode = strstr(line, words[i]) != NULL ? (rn_huge_mode)i : mode;
    }
    rn_lines_close(&lines);
    return mode;
}

/* ------------------------------------------------------------------------------------ processes */

/* Field `wanted` (from 1) of /proc/PID/stat; field 2 is the only one with blanks, and ends at the
 * last ')' of the file. */
static const char *find_field(const char *line, int wanted)
{
    const char *at = strrchr(line, ')');
    for (int field = 2; at != NULL && field < wanted; field++) {
        at = strchr(at, ' ');
        at = at == NULL ? NULL : at + 1;
    }
    return at;
}

int64_t rn_probe_start_time(int64_t pid)
{
    char path[64];
    rn_text text = rn_text_over(path, sizeof(path));
    rn_text_format(&text, "/proc/%lld/stat", (long long)pid);
    char last[1024] = "";
    rn_lines lines;
    if (rn_lines_open(&lines, "", path) == 0) { /* a name may hold line ends */
        for (char *line = rn_lines_next(&lines); line != NULL; line = rn_lines_next(&lines)) {
            rn_copy_text(last, sizeof(last), line);
        }
    }
    rn_lines_close(&lines);
    const char *state = find_field(last, 3);
    const char *threads = find_field(last, 20);
    const char *start = find_field(last, 22);
    int64_t thread_count, ticks;
    if (start != NULL && rn_lines_number(threads, 1, &thread_count) &&
        rn_lines_number(start, 1, &ticks)) {
        /* A first thread that has ended shows as Z while others run; alone it has no memory left.
         */
        bool ended = strchr("ZXx", *state) != NULL && thread_count <= 1;
        return ended ? 0 : RN_MAX(ticks, 1);
    }
    /* /proc may hide the processes of others; their pids are there all the same. */
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH ? 0 : -1;
}

static int64_t namespace_number(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (int64_t)status.st_ino : 0;
}

int64_t rn_probe_epoch(void)
{
    rn_lines lines;
    uint64_t hash = 0;
    char *boot = rn_lines_open(&lines, "", "/proc/sys/kernel/random/boot_id") == 0
                     ? rn_lines_next(&lines)
                     : NULL;
    int64_t processes = namespace_number("/proc/self/ns/pid");
    if (boot != NULL && processes != 0) {
        hash = rn_hash_bytes(RN_HASH_SEED, boot, strlen(boot));
        hash = rn_hash_word(hash, (uint64_t)processes);
        hash = rn_hash_word(hash, (uint64_t)namespace_number("/proc/self/ns/time"));
    }
    rn_lines_close(&lines);
    return (int64_t)hash;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Which control groups this process is in, and their sources: rn_groups_read,
 * rn_groups_membership, rn_probe_below.
 *
 * /proc/self/cgroup names the own group of each hierarchy, /proc/self/mountinfo says where a
 * hierarchy is mounted, and which of its groups the mount point is. From the own group's folder the
 * walk goes up to the mount point; each group that has a limit file becomes a source.
 *     own group /pod/app, mount of group / at /sys/fs/cgroup   -> /sys/fs/cgroup/pod/app, .., /
 *     own group /docker/abc, mount of /docker/abc              -> the mount point alone
 *     own group /.. or /../x (outside of the namespace)        -> the mount point alone, noted
 * The memory controller is in one hierarchy only: of version 1 when a line of /proc/self/cgroup
 * names it, else of version 2. Stalls are known to version 2 alone, also beside a version 1.
 *
 * Groups above the mount point are hidden: below a namespace other than the first one, or when the
 * mount point is not "/". Version 1 tells what they allow together (hierarchical_memory_limit), not
 * what they use; version 2 tells nothing. */
#include "memory/machine/survey.h"

#include <errno.h>
#include <limits.h>

#include "base/hash.h"

/* Inode of the namespace that the kernel makes first: CGROUP_NS_INIT_INO of linux/nsfs.h. */
#define FIRST_NAMESPACE 0xEFFFFFFB

/* What rn_groups_membership answers for a kernel without control groups. */
#define NO_GROUPS 1

/* A hierarchy with a memory controller, or of version 2, as this process sees it. */
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

/* "4:cpu,memory:/path" or "0::/path". One too long for any file of it to be opened is ignored. */
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

/* Does the path go up, out of what is mounted or of the namespace? */
static bool goes_up(const char *path)
{
    for (const char *at = path; (at = strstr(at, "/..")) != NULL; at += 3) {
        if (at[3] == '/' || at[3] == '\0') {
            return true;
        }
    }
    return false;
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

/* False: not read to its end. That may happen in the middle: ENOMEM in a group that is full. */
static bool scan_file(rn_survey *survey, const char *name, struct hierarchy *hierarchy,
                      void (*take)(struct hierarchy *hierarchy, char *line))
{
    rn_lines lines;
    int code = rn_lines_open(&lines, &survey->place, RN_LINES_ONCE, "/proc/self", name);
    errno = 0;
    for (char *line = NULL; code == 0 && (line = rn_lines_next(&lines)) != NULL;) {
        take(hierarchy, line);
    }
    code = code == 0 ? errno : code;
    rn_lines_close(&lines);
    if (code != 0) {
        rn_survey_guess(survey, "/proc/self", name, strerror(code));
        survey->torn = true;
    }
    return code == 0;
}

uint64_t rn_groups_membership(const rn_lines_place *place)
{
    rn_lines lines;
    uint64_t hash = RN_HASH_SEED;
    int code = rn_lines_open(&lines, place, RN_SLOT_MEMBERSHIP, "/proc/self", "/cgroup");
    errno = 0;
    for (char *line = NULL; code == 0 && (line = rn_lines_next(&lines)) != NULL;) {
        hash = rn_hash_bytes(hash, line, strlen(line));
    }
    code = code == 0 ? errno : code;
    rn_lines_close(&lines);
    return code == 0 ? hash | 2 : code == ENOENT ? NO_GROUPS : 0;
}

/* A walk from the own group up. */
struct walk {
    rn_survey *survey;
    const struct hierarchy *hierarchy;
    char space[24]; /* ":4026532441" in a namespace, or "" */
    bool shown;     /* the own group is below the mount point */
    bool hidden;    /* there are groups above the mount point */
    char folder[PATH_MAX];
    size_t top; /* where the mount point ends in `folder` */
};

/* "v2 /pod/app", cut at the end of a group's name. */
static void put_group(const struct walk *walk, const char *root, const char *below,
                      char group[RN_PROBE_GROUP_BYTES])
{
    const char *base = strcmp(root, "/") == 0 && below[0] == '/' ? "" : root;
    rn_text text = rn_text_over(group, RN_PROBE_GROUP_BYTES);
    rn_text_format(&text, "v%d%s %s%s", walk->hierarchy->version, walk->space, base, below);
    char *cut = text.length >= text.capacity ? strrchr(group, '/') : NULL;
    if (cut != NULL) {
        cut[cut > group && cut[-1] == ' '] = '\0';
    }
}

/* "cgroup v2 /pod/app"; of one that is too long, the last groups: names tell sources apart. */
static void put_name(rn_probe_source *what, const char *kind, const char *base, const char *below)
{
    rn_text text = rn_text_over(what->name, sizeof(what->name));
    rn_text_format(&text, "%s %s%s", kind, base, below);
    if (text.length < text.capacity) {
        return;
    }
    size_t rest = sizeof(what->name) - strlen(kind) - sizeof(" ..");
    const char *at = strlen(below) > rest ? below + strlen(below) - rest : below;
    const char *border = strchr(at, '/');
    text.length = 0;
    rn_text_format(&text, "%s ..%s", kind, border != NULL ? border : at);
}

static void add_group(struct walk *walk)
{
    const struct hierarchy *hierarchy = walk->hierarchy;
    const char *below = walk->folder + walk->top;
    bool second = hierarchy->version == 2;
    rn_probe_source what = {.kind = RN_PROBE_GROUP,
                            .how = second ? RN_SOURCE_GROUP_V2 : RN_SOURCE_GROUP_V1};
    rn_source_values values;
    const char *base = strcmp(hierarchy->root, "/") == 0 && below[0] != '\0' ? "" : hierarchy->root;
    put_name(&what, second ? "cgroup v2" : "cgroup v1", base, below);
    if (walk->shown) {
        put_group(walk, hierarchy->root, below, what.group);
    } else { /* nobody knows how it is related to others */
        put_group(walk, "", hierarchy->group, what.group);
    }
    rn_text file = rn_text_over(what.file, sizeof(what.file));
    rn_text_format(&file, "%s%s", walk->folder, second ? "/memory.max" : "/memory.limit_in_bytes");
    (void)rn_survey_add(walk->survey, &what, walk->folder, &values);
}

/* `walk->folder` is the mount point. Which of the hidden groups has the limit is unknown, so
 * everybody in sight shares it. */
static void add_above(struct walk *walk)
{
    rn_probe_source what = {.kind = RN_PROBE_GROUP, .how = RN_SOURCE_ABOVE_V1};
    rn_source_values values;
    put_name(&what, "cgroup v1 above", walk->hierarchy->root, "");
    put_group(walk, "/", "", what.group);
    rn_text file = rn_text_over(what.file, sizeof(what.file));
    rn_text_format(&file, "%s/memory.stat", walk->folder);
    (void)rn_survey_add(walk->survey, &what, walk->folder, &values);
}

/* Stalls and events of the innermost group that has them. The stalls of the outermost group are
 * those of the machine. */
static void read_incidents(struct walk *walk)
{
    rn_survey *survey = walk->survey;
    rn_probe *probe = survey->probe;
    bool whole = walk->folder[walk->top] == '\0' && !walk->hidden;
    if (walk->hierarchy->version == 2 && !whole && !probe->group_stall.known &&
        rn_stall_read(&survey->place, RN_LINES_ONCE, walk->folder, "/memory.pressure",
                      &probe->group_stall)) {
        rn_text file = rn_text_over(probe->group_stall_file, sizeof(probe->group_stall_file));
        rn_text_format(&file, "%s/memory.pressure", walk->folder);
        if (file.length >= file.capacity) {
            probe->group_stall_file[0] = '\0';
            probe->group_stall.known = false;
        }
    }
    if (!probe->events.known) {
        (void)rn_events_read(survey, walk->hierarchy->version, walk->folder, &probe->events);
    }
}

/* From the own group up to the mount point. */
static void walk_groups(rn_survey *survey, const struct hierarchy *hierarchy, const char *space,
                        bool owner)
{
    struct walk walk = {.survey = survey, .hierarchy = hierarchy};
    rn_copy_text(walk.space, sizeof(walk.space), space);
    const char *below =
        hierarchy->group + (strcmp(hierarchy->root, "/") == 0 ? 0 : strlen(hierarchy->root));
    walk.shown = lies_below(hierarchy->group, hierarchy->root) && !goes_up(hierarchy->group);
    if (!walk.shown) {
        rn_survey_note(survey, hierarchy->group, "",
                       "this control group is outside what is mounted");
        below = "";
    }
    rn_text text = rn_text_over(walk.folder, sizeof(walk.folder));
    rn_text_format(&text, "%s%s", hierarchy->point, strcmp(below, "/") == 0 ? "" : below);
    if (text.length >= sizeof(walk.folder)) {
        rn_survey_guess(survey, hierarchy->group, "", strerror(ENAMETOOLONG));
        return;
    }
    walk.top = strlen(hierarchy->point);
    walk.hidden = space[0] != '\0' || strcmp(hierarchy->root, "/") != 0 || !walk.shown;
    if (owner) {
        put_group(&walk, "", hierarchy->group, survey->probe->group);
        survey->probe->hidden = walk.hidden;
    }
    for (char *cut = walk.folder; cut != NULL;) {
        read_incidents(&walk);
        add_group(&walk);
        cut = strrchr(walk.folder + walk.top, '/');
        if (cut != NULL) {
            *cut = '\0';
        }
    }
    if (hierarchy->version == 1 && walk.hidden) {
        add_above(&walk);
    }
}

void rn_groups_read(rn_survey *survey)
{
    char link[64], space[24] = "";
    if (rn_groups_membership(&survey->place) == NO_GROUPS) {
        rn_survey_note(survey, "/proc/self", "/cgroup", "there are no control groups");
        return;
    }
    int64_t number;
    rn_lines_link(survey->place.sysroot, "/proc/self/ns/cgroup", link, sizeof(link));
    const char *digits = strncmp(link, "cgroup:[", 8) == 0 ? link + 8 : "";
    if (rn_parse_int64(digits, strspn(digits, "0123456789"), &number) &&
        number != FIRST_NAMESPACE) {
        snprintf(space, sizeof(space), ":%lld", (long long)number);
    }
    bool first = false; /* the memory controller is in a hierarchy of version 1 */
    for (int version = 1; version <= 2; version++) {
        struct hierarchy hierarchy = {.version = version};
        if (!scan_file(survey, "/cgroup", &hierarchy, take_membership)) {
            return;
        }
        if (!hierarchy.member || !scan_file(survey, "/mountinfo", &hierarchy, take_mount)) {
            continue;
        }
        bool owner = version == 1 || !first;
        first = first || version == 1;
        if (hierarchy.mounted) {
            walk_groups(survey, &hierarchy, space, owner);
        } else if (owner && (space[0] != '\0' || strcmp(hierarchy.group, "/") != 0)) {
            rn_survey_note(survey, hierarchy.group, "", "this control group is not mounted");
        }
    }
}

bool rn_probe_below(const char *group, const char *above)
{
    const char *path = strchr(above, ' ');
    if (group[0] == '\0' || path == NULL) {
        return false;
    }
    size_t length = strcmp(path, " /") == 0 ? strlen(above) - 1 : strlen(above);
    return strncmp(group, above, length) == 0 && (group[length] == '\0' || group[length] == '/');
}

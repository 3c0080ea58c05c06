/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.yaml -> ration_limits: ration_limits_default, ration_limits_load (or rn_limits_parse over
 * a buffer), rn_limits_validate for values that did not come from a file, rn_limits_put_yaml for
 * the way back.
 *
 * The table `keys` is the only place that knows a key. Adding one is a row here and a field in
 * ration.h; parser, validation, the shipped memory.yaml and the manual follow.
 *
 * Invariants
 * 1. Every default lies in its own range, and the yaml of the defaults parses to the defaults
 *    (tested).
 * 2. No amount is above 1 EiB, no time above 10^12 ms: sums of two and the step to nanoseconds
 *    stay inside int64.
 * 3. What a file says and what a program sets obey the same ranges; that one limit lies below
 *    the other is asked of files only, because a program lowers limit_bytes for one run without
 *    touching the rest, and the smaller limit binds. */
#include "config/limits.h"

#include "config/yaml.h"

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define BYTES_MAX (INT64_C(1) << 60)
#define MS_MAX INT64_C(1000000000000)

#define FIELD(name) offsetof(ration_limits, name)
#define GROUP_FIELD(name) offsetof(ration_group, name)

static const rn_limits_key keys[] = {
    {"limit_bytes", RN_LIMITS_BYTES, FIELD(limit_bytes), 0, BYTES_MAX, 0,
     "What all queries and the loaded data may hold together. 0 derives it from limit_ratio.",
     NULL},
    {"limit_ratio", RN_LIMITS_RATIO, FIELD(limit_ratio_ppm), 1, 1000000, 800000,
     "Part of the available memory (the smallest of machine, control groups and resource limits) "
     "that becomes "
     "the limit when limit_bytes is 0.",
     NULL},
    {"limit_base", RN_LIMITS_CHOICE, FIELD(limit_base), RATION_BASE_AVAILABLE, RATION_BASE_TOTAL,
     RATION_BASE_AVAILABLE,
     "What limit_ratio is a part of. available: what is free now, with what queries hold of it, "
     "and it follows. total: the machine's memory, or the smallest limit set for the process.",
     "available total"},
    {"limit_floor_bytes", RN_LIMITS_BYTES, FIELD(limit_floor_bytes), 0, BYTES_MAX, 16 * MIB,
     "A derived limit below it is refused at the start, and not followed later.", NULL},
    {"limit_ceiling_bytes", RN_LIMITS_BYTES, FIELD(limit_ceiling_bytes), 0, BYTES_MAX, 0,
     "A derived limit never grows above it. 0 sets no ceiling.", NULL},
    {"untracked_reserved_memory_mb", RN_LIMITS_MIB, FIELD(untracked_reserved_bytes), 0, BYTES_MAX,
     50 * MIB,
     "Taken off the derived limit for what is not charged: code, stacks, libraries of the host.",
     NULL},
    {"enable_system_monitor", RN_LIMITS_BOOL, FIELD(enable_system_monitor), 0, 1, 1,
     "The limit follows the machine while running. A given limit_bytes is then lowered when the "
     "machine has less.",
     NULL},
    {"monitor_interval_ms", RN_LIMITS_MS, FIELD(monitor_interval_ms), 10, 10000, 100,
     "Time between two looks at the machine.", NULL},
    {"pressure_stall_ratio", RN_LIMITS_RATIO, FIELD(pressure_stall_ppm), 0, 1000000, 200000,
     "Part of the last seconds that tasks waited for memory from which pressure counts as "
     "elevated. 0 looks at free memory alone.",
     NULL},
    {"registry_directory", RN_LIMITS_DIRECTORY, FIELD(registry_directory), 1,
     sizeof(((ration_limits *)NULL)->registry_directory) - 1, 0,
     "Where processes of one user find each other to divide what is there; a boot should clear it.",
     "/dev/shm"},
    {"data_limit_bytes", RN_LIMITS_BYTES, FIELD(data_limit_bytes), 0, BYTES_MAX, 0,
     "What the loaded graph may hold of the limit. 0 sets no limit of its own.", NULL},
    {"query_limit_bytes", RN_LIMITS_BYTES, FIELD(query_limit_bytes), 0, BYTES_MAX, 0,
     "What one query may hold of the limit. 0 sets no limit of its own.", NULL},
    {"query_rows_max", RN_LIMITS_COUNT, FIELD(query_rows_max), 0, INT64_MAX, 0,
     "Rows that all operators of one query may produce together. 0 is unlimited.", NULL},
    {"query_time_ms_max", RN_LIMITS_MS, FIELD(query_time_ms_max), 0, MS_MAX, 0,
     "Time that one query may take. 0 is unlimited.", NULL},
    {"query_wait_ms_max", RN_LIMITS_MS, FIELD(query_wait_ms_max), 1, MS_MAX, 10000,
     "Longest that an ask waits for memory that others were asked to give back.", NULL},
    {"max_row_bytes", RN_LIMITS_BYTES, FIELD(max_row_bytes), 4 * KIB, 64 * MIB, 64 * KIB,
     "Widest row that an operator must be able to hold; the minimum of a query grows with it.",
     NULL},
    {"chunk_bytes_max", RN_LIMITS_BYTES, FIELD(chunk_bytes_max), 4 * KIB, 64 * MIB, MIB,
     "Most credit that a worker takes at a time; less near the limit.", NULL},
    {"retain_ms", RN_LIMITS_MS, FIELD(retain_ms), 0, MS_MAX, 1000,
     "How long freed pages stay for the next query before they go back to the system. 0 gives them "
     "back at once.",
     NULL},
    {"prefault", RN_LIMITS_BOOL, FIELD(prefault), 0, 1, 0,
     "Makes new blocks resident when they are taken instead of page by page when they are "
     "touched.",
     NULL},
    {"check_interval", RN_LIMITS_COUNT, FIELD(check_interval), 1, 1000000, 1024,
     "Rows between two settles of a guard, and rows of a batch at most.", NULL},
    {"check_bytes", RN_LIMITS_BYTES, FIELD(check_bytes), 4 * KIB, 64 * MIB, 256 * KIB,
     "Bytes between two settles of a guard, for rows that are wide.", NULL},
    {"spill_directory", RN_LIMITS_DIRECTORY, FIELD(spill_directory), 1,
     sizeof(((ration_limits *)NULL)->spill_directory) - 1, 0,
     "Where rows are written out that do not fit; the files have no names, and nothing is left of "
     "them however the process ends.",
     "/var/tmp"},
    {"spill_allow_memory", RN_LIMITS_BOOL, FIELD(spill_allow_memory), 0, 1, 0,
     "Allows a spill_directory on a file system that is memory itself (tmpfs), where spilling "
     "frees "
     "nothing.",
     NULL},
    {"spill_bytes_max", RN_LIMITS_BYTES, FIELD(spill_bytes_max), 0, BYTES_MAX, 0,
     "What all queries together may have written out at a time. 0 sets no quota.", NULL},
    {"spill_query_bytes_max", RN_LIMITS_BYTES, FIELD(spill_query_bytes_max), 0, BYTES_MAX, 0,
     "What one query may have written out at a time. 0 sets no quota of its own.", NULL},
    {"spill_free_bytes_min", RN_LIMITS_BYTES, FIELD(spill_free_bytes_min), 0, BYTES_MAX, 1024 * MIB,
     "Stays free on the file system of spill_directory. 0 uses it to the last byte.", NULL},
    {"admission_queue_max", RN_LIMITS_COUNT, FIELD(admission_queue_max), 0, 1000000, 1000,
     "Queries that may wait for the minimum they need; one more is refused at once.", NULL},
    {"admission_wait_ms_max", RN_LIMITS_MS, FIELD(admission_wait_ms_max), 1, MS_MAX, 60000,
     "Longest that a query waits for the minimum it needs.", NULL},
};

static const rn_limits_key group_keys[] = {
    {"limit_bytes", RN_LIMITS_BYTES, GROUP_FIELD(limit_bytes), 0, BYTES_MAX, 0,
     "What all queries of the group may hold together. 0 sets no limit of its own.", NULL},
    {"share", RN_LIMITS_COUNT, GROUP_FIELD(share), 1, 1000000, 1,
     "Weight of the group when memory is short: 2 gets twice what 1 gets.", NULL},
    {"priority", RN_LIMITS_COUNT, GROUP_FIELD(priority), 0, 1000, 0,
     "Queries of a higher one are admitted first; those of a lower one are asked first to give "
     "back.",
     NULL},
    {"queries_max", RN_LIMITS_COUNT, GROUP_FIELD(queries_max), 0, 1000000, 0,
     "Queries of the group that are admitted at a time. 0 is unlimited.", NULL},
    {"query_limit_bytes", RN_LIMITS_BYTES, GROUP_FIELD(query_limit_bytes), 0, BYTES_MAX, 0,
     "What one query of the group may hold. 0 stands for the query_limit_bytes above.", NULL},
    {"spill_bytes_max", RN_LIMITS_BYTES, GROUP_FIELD(spill_bytes_max), 0, BYTES_MAX, 0,
     "What all queries of the group may have written out at a time. 0 sets no quota of its own.",
     NULL},
};

const rn_limits_key *rn_limits_keys(size_t *out_count)
{
    *out_count = RN_COUNT(keys);
    return keys;
}

const rn_limits_key *rn_limits_group_keys(size_t *out_count)
{
    *out_count = RN_COUNT(group_keys);
    return group_keys;
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

static void set_text(void *values, const rn_limits_key *key, const char *text)
{
    rn_copy_text((char *)values + key->offset, (size_t)key->maximum + 1, text);
}

static void set_value(void *values, const rn_limits_key *key, int64_t value)
{
    char *field = (char *)values + key->offset;
    if (key->type == RN_LIMITS_BOOL) {
        bool flag = value != 0;
        memcpy(field, &flag, sizeof(flag));
    } else {
        memcpy(field, &value, sizeof(value));
    }
}

static void set_defaults(void *values, const rn_limits_key *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].type == RN_LIMITS_DIRECTORY) {
            set_text(values, &table[i], table[i].text);
        } else {
            rn_assert(table[i].value >= table[i].minimum && table[i].value <= table[i].maximum);
            set_value(values, &table[i], table[i].value);
        }
    }
}

void ration_limits_default(ration_limits *out_limits)
{
    memset(out_limits, 0, sizeof(*out_limits));
    out_limits->size = sizeof(*out_limits);
    set_defaults(out_limits, keys, RN_COUNT(keys));
}

/* Word `place` of the blank-separated `words`; its length, 0 = there is none. */
static size_t find_word(const char *words, int64_t place, const char **out_word)
{
    for (; place > 0 && *words != '\0'; place--) {
        words += strcspn(words, " ");
        words += strspn(words, " ");
    }
    *out_word = words;
    return strcspn(words, " ");
}

/* The value as memory.yaml takes it, exactly: bytes in the largest unit that divides them. */
static void put_value(rn_text *text, const rn_limits_key *key, int64_t value)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    switch (key->type) {
    case RN_LIMITS_BOOL:
        rn_text_put(text, value != 0 ? "true" : "false");
        return;
    case RN_LIMITS_CHOICE: {
        const char *word;
        size_t length = find_word(key->text, value, &word);
        rn_text_put_bytes(text, word, length);
        return;
    }
    case RN_LIMITS_RATIO:
        rn_text_put_ratio(text, value);
        return;
    case RN_LIMITS_MIB:
        rn_text_format(text, "%lld",
                       (long long)(value / MIB + (value % MIB > 0) - (value % MIB < 0)));
        return;
    case RN_LIMITS_BYTES:
        while (value != 0 && value % KIB == 0 && unit + 1 < RN_COUNT(units)) {
            value /= KIB;
            unit++;
        }
        break;
    default:
        break;
    }
    rn_text_format(text, "%lld%s", (long long)value, units[unit]);
}

static void put_default(rn_text *text, const rn_limits_key *key)
{
    if (key->type == RN_LIMITS_DIRECTORY) {
        rn_text_put(text, key->text);
    } else {
        put_value(text, key, key->value);
    }
}

static void put_range(rn_text *text, const rn_limits_key *key)
{
    if (key->type == RN_LIMITS_BOOL) {
        rn_text_put(text, "true or false");
        return;
    }
    if (key->type == RN_LIMITS_DIRECTORY) {
        rn_text_put(text, "an absolute path without \"..\"");
        return;
    }
    if (key->type == RN_LIMITS_CHOICE) {
        for (int64_t place = 0; place <= key->maximum; place++) {
            rn_text_put(text, place == 0 ? "" : " or ");
            put_value(text, key, place);
        }
        return;
    }
    put_value(text, key, key->minimum);
    if (key->maximum == INT64_MAX) {
        rn_text_put(text, " or more");
    } else {
        rn_text_put(text, " to ");
        put_value(text, key, key->maximum);
    }
}

/* What is wrong with a path of at most `longest` bytes; NULL = nothing. */
static const char *find_fault(const char *path, size_t longest)
{
    size_t length = strnlen(path, longest + 1);
    if (length > longest) {
        return "it is too long";
    }
    if (path[0] != '/') {
        return "it does not start with '/'";
    }
    for (const char *at = strstr(path, "/.."); at != NULL; at = strstr(at + 1, "/..")) {
        if (at[3] == '/' || at[3] == '\0') {
            return "it contains '..'";
        }
    }
    return NULL;
}

/* `where`: "" or "group 'x': ". */
static ration_status validate(const void *values, const rn_limits_key *table, size_t count,
                              const char *where, ration_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const rn_limits_key *key = &table[i];
        if (key->type == RN_LIMITS_DIRECTORY) {
            const char *fault = find_fault(rn_limits_text(values, key), (size_t)key->maximum);
            if (fault != NULL) {
                return rn_error_set(error, RATION_CONFIG, key->sentence, "%s%s: %s", where,
                                    key->name, fault);
            }
            continue;
        }
        int64_t value = rn_limits_get(values, key);
        if (value < key->minimum || value > key->maximum) {
            char range[64], shown[32];
            rn_text text = rn_text_over(range, sizeof(range));
            put_range(&text, key);
            text = rn_text_over(shown, sizeof(shown));
            put_value(&text, key, value);
            return rn_error_set(error, RATION_CONFIG, key->sentence, "%s%s is %s, outside %s",
                                where, key->name, shown, range);
        }
    }
    return RATION_OK;
}

#define NAME_BYTES_MAX (sizeof(((ration_group *)NULL)->name) - 1)

/* What is wrong with the name of a group; NULL = nothing. */
static const char *find_name_fault(const char *name)
{
    size_t length = strnlen(name, NAME_BYTES_MAX + 1);
    if (length == 0 || length > NAME_BYTES_MAX) {
        return "the name of a group has 1 to 31 bytes";
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)name[i];
        if (byte < 0x20 || byte == 0x7F || byte == '/') {
            return "the name of a group has no control characters and no '/'";
        }
    }
    return NULL;
}

static ration_status validate_groups(const ration_limits *limits, ration_error *error)
{
    if (limits->group_count < 0 || limits->group_count > RATION_GROUPS_MAX) {
        return rn_error_set(error, RATION_CONFIG, "", "group_count is %lld, outside 0 to %d",
                            (long long)limits->group_count, RATION_GROUPS_MAX);
    }
    for (int64_t i = 0; i < limits->group_count; i++) {
        const ration_group *group = &limits->groups[i];
        const char *fault = find_name_fault(group->name);
        for (int64_t k = 0; k < i && fault == NULL; k++) {
            fault = strcmp(limits->groups[k].name, group->name) == 0 ? "two groups have one name"
                                                                     : NULL;
        }
        if (fault != NULL) {
            return rn_error_set(error, RATION_CONFIG, "", "group %lld: %s", (long long)i, fault);
        }
        char where[64];
        rn_text text = rn_text_over(where, sizeof(where));
        rn_text_format(&text, "group '%s': ", group->name);
        RN_TRY(validate(group, group_keys, RN_COUNT(group_keys), where, error));
    }
    return RATION_OK;
}

ration_status rn_limits_validate(const ration_limits *limits, ration_error *error)
{
    if (limits->size != sizeof(*limits)) {
        return rn_error_set(error, RATION_CONFIG, "start from ration_limits_default",
                            "the limits are not those of this version (%zu bytes instead of %zu)",
                            limits->size, sizeof(*limits));
    }
    RN_TRY(validate(limits, keys, RN_COUNT(keys), "", error));
    return validate_groups(limits, error);
}

/* ----------------------------------------------------------------------------------------- yaml */

static ration_status read_directory(const rn_yaml_file *file, const rn_yaml *node,
                                    const rn_limits_key *key, void *values, ration_error *error)
{
    const char *path = key->text;
    RN_TRY(rn_yaml_string(file, node, &path, error));
    const char *fault = find_fault(path, (size_t)key->maximum);
    if (fault != NULL) {
        return rn_yaml_error(file, node, error, "write an absolute path", "%s: '%.60s': %s",
                             key->name, path, fault);
    }
    set_text(values, key, path);
    return RATION_OK;
}

static ration_status read_choice(const rn_yaml_file *file, const rn_yaml *node,
                                 const rn_limits_key *key, int64_t *value, ration_error *error)
{
    const char *given = NULL, *word;
    RN_TRY(rn_yaml_string(file, node, &given, error));
    for (int64_t place = 0; given != NULL; place++) {
        size_t length = find_word(key->text, place, &word);
        if (length == 0) {
            return rn_yaml_error(file, node, error, key->text, "%s: '%.60s' is none of these",
                                 key->name, given);
        }
        if (strlen(given) == length && strncmp(given, word, length) == 0) {
            *value = place;
            return RATION_OK;
        }
    }
    return RATION_OK;
}

/* The key of the mapping `parent` into `values`; left as it is when it is not there. */
static ration_status read_key(const rn_yaml_file *file, const rn_yaml *parent,
                              const rn_limits_key *key, void *values, ration_error *error)
{
    const rn_yaml *node = rn_yaml_get(parent, key->name);
    int64_t value = rn_limits_get(values, key);
    bool flag = value != 0;
    switch (key->type) {
    case RN_LIMITS_BYTES:
        RN_TRY(rn_yaml_bytes(file, node, key->minimum, key->maximum, &value, error));
        break;
    case RN_LIMITS_RATIO:
        RN_TRY(rn_yaml_ratio(file, node, key->minimum, key->maximum, &value, error));
        break;
    case RN_LIMITS_MIB:
        value /= MIB;
        RN_TRY(rn_yaml_int64(file, node, key->minimum / MIB, key->maximum / MIB, &value, error));
        value *= MIB;
        break;
    case RN_LIMITS_COUNT:
    case RN_LIMITS_MS:
        RN_TRY(rn_yaml_int64(file, node, key->minimum, key->maximum, &value, error));
        break;
    case RN_LIMITS_BOOL:
        RN_TRY(rn_yaml_bool(file, node, &flag, error));
        value = flag ? 1 : 0;
        break;
    case RN_LIMITS_CHOICE:
        RN_TRY(read_choice(file, node, key, &value, error));
        break;
    case RN_LIMITS_DIRECTORY:
        return read_directory(file, node, key, values, error);
    }
    set_value(values, key, value);
    return RATION_OK;
}

/* Below the limit `above` when both are set (invariant 3). */
static ration_status check_below(const rn_yaml_file *file, const rn_yaml *parent, const char *name,
                                 int64_t bytes, const char *above, int64_t limit_bytes,
                                 ration_error *error)
{
    if (bytes == 0 || limit_bytes == 0 || bytes <= limit_bytes) {
        return RATION_OK;
    }
    char hint[96];
    rn_text text = rn_text_over(hint, sizeof(hint));
    rn_text_format(&text, "lower it, raise %s, or write 0", above);
    return rn_yaml_error(file, rn_yaml_get(parent, name), error, hint,
                         "%s: %lld bytes are above %s (%lld), so it can never be reached", name,
                         (long long)bytes, above, (long long)limit_bytes);
}

static ration_status read_group(const rn_yaml_file *file, const rn_yaml *node, int64_t limit_bytes,
                                ration_group *group, ration_error *error)
{
    const char *names[RN_COUNT(group_keys)];
    for (size_t i = 0; i < RN_COUNT(group_keys); i++) {
        names[i] = group_keys[i].name;
    }
    const char *fault = find_name_fault(node->key);
    if (fault != NULL) {
        return rn_yaml_error_key(file, node, error, "", "%s", fault);
    }
    rn_copy_text(group->name, sizeof(group->name), node->key);
    set_defaults(group, group_keys, RN_COUNT(group_keys));
    if (rn_yaml_is_null(node)) {
        return RATION_OK; /* named, and all of it default */
    }
    RN_TRY(rn_yaml_check_keys(file, node, names, RN_COUNT(names), error));
    for (size_t i = 0; i < RN_COUNT(group_keys); i++) {
        RN_TRY(read_key(file, node, &group_keys[i], group, error));
    }
    RN_TRY(check_below(file, node, "limit_bytes", group->limit_bytes, "that of all", limit_bytes,
                       error));
    return check_below(file, node, "query_limit_bytes", group->query_limit_bytes,
                       "limit_bytes of the group", group->limit_bytes, error);
}

static ration_status read_groups(const rn_yaml_file *file, ration_limits *limits,
                                 ration_error *error)
{
    const rn_yaml *node = rn_yaml_get(file->root, "groups");
    if (node == NULL) {
        return RATION_OK;
    }
    RN_TRY(rn_yaml_expect(file, node, RN_YAML_MAPPING, error));
    if (node->count > RATION_GROUPS_MAX) {
        return rn_yaml_error(file, node, error, "", "groups: at most %d, not %zu",
                             RATION_GROUPS_MAX, node->count);
    }
    for (const rn_yaml *group = node->first; group != NULL; group = group->next) {
        RN_TRY(read_group(file, group, limits->limit_bytes, &limits->groups[limits->group_count],
                          error));
        limits->group_count += 1;
    }
    return RATION_OK;
}

static ration_status read_limits(const rn_yaml_file *file, ration_limits *limits,
                                 ration_error *error)
{
    const char *names[RN_COUNT(keys) + 1];
    for (size_t i = 0; i < RN_COUNT(keys); i++) {
        names[i] = keys[i].name;
    }
    names[RN_COUNT(keys)] = "groups";
    RN_TRY(rn_yaml_check_keys(file, file->root, names, RN_COUNT(names), error));
    for (size_t i = 0; i < RN_COUNT(keys); i++) {
        RN_TRY(read_key(file, file->root, &keys[i], limits, error));
    }
    RN_TRY(check_below(file, file->root, "data_limit_bytes", limits->data_limit_bytes,
                       "limit_bytes", limits->limit_bytes, error));
    RN_TRY(check_below(file, file->root, "query_limit_bytes", limits->query_limit_bytes,
                       "limit_bytes", limits->limit_bytes, error));
    return read_groups(file, limits, error);
}

ration_status rn_limits_parse(const char *path, const char *text, size_t length,
                              ration_limits *out_limits, ration_error *error)
{
    rn_yaml_file file;
    ration_limits limits;
    RN_TRY(rn_yaml_read(path, text, length, RN_YAML_CONFIG_DEPTH_MAX, RATION_CONFIG, &file, error));
    ration_limits_default(&limits);
    ration_status status = read_limits(&file, &limits, error);
    rn_yaml_free(&file);
    if (status == RATION_OK) {
        rn_assert(rn_limits_validate(&limits, NULL) == RATION_OK);
        *out_limits = limits;
    }
    return status;
}

ration_status ration_limits_load(const char *path, ration_limits *out_limits, ration_error *error)
{
    return rn_limits_parse(path, NULL, 0, out_limits, error);
}

/* The words of a text as comment lines of at most 90 columns. */
static void put_comment(rn_text *text, const char *words)
{
    size_t column = 0;
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        if (column == 0 || column + 1 + length > 90) {
            rn_text_put(text, column == 0 ? "#" : "\n#");
            column = 1;
        }
        rn_text_put(text, " ");
        rn_text_put_bytes(text, words, length);
        column += 1 + length;
        words += length + strspn(words + length, " ");
    }
    rn_text_put(text, "\n");
}

static void put_key(rn_text *text, const rn_limits_key *key, const char *indent)
{
    static const char *const units[] = {[RN_LIMITS_BYTES] = "Bytes, 512MiB or 1.5GiB: ",
                                        [RN_LIMITS_MIB] = "MiB: ",
                                        [RN_LIMITS_RATIO] = "Ratio, 0.8 or 80%: ",
                                        [RN_LIMITS_COUNT] = "Number: ",
                                        [RN_LIMITS_MS] = "Milliseconds: ",
                                        [RN_LIMITS_BOOL] = "Switch: ",
                                        [RN_LIMITS_CHOICE] = "Word: ",
                                        [RN_LIMITS_DIRECTORY] = "Text: "};
    rn_text_put(text, "\n");
    put_comment(text, key->sentence);
    rn_text_format(text, "# %s", units[key->type]);
    put_range(text, key);
    rn_text_format(text, ".\n%s%s: ", indent, key->name);
    put_default(text, key);
    rn_text_put(text, "\n");
}

void rn_limits_put_yaml(rn_text *text)
{
    put_comment(text, "memory.yaml: how much memory queries may hold. Every key may be left out; "
                      "the values below are the defaults.");
    for (size_t i = 0; i < RN_COUNT(keys); i++) {
        put_key(text, &keys[i], "");
    }
    rn_text_put(text, "\n");
    put_comment(text, "Classes of queries, each with a pool of its own. A query that names none "
                      "has none of these limits. At most 64, names of at most 31 bytes. One with "
                      "all its keys at their defaults, to be taken out of the comment:");
    rn_text_put(text, "#\n# groups:\n#   reports:\n");
    for (size_t i = 0; i < RN_COUNT(group_keys); i++) {
        put_key(text, &group_keys[i], "#     ");
    }
    rn_text_put(text, "\ngroups: {}\n");
}

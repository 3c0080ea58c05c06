/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.yaml -> ration_limits: ration_limits_load, or rn_limits_parse over a buffer.
 *
 * Every key of the file is looked up in the tables of keys.c, read by its type, and then held
 * against the others (rules.c). Values are collected in a copy: out-parameters are untouched on
 * failure. */
#include "config/limits.h"

#include <strings.h>

#define MIB (INT64_C(1) << 20)
#define KEYS_MAX 64

static ration_status read_directory(const rn_yaml_file *file, const rn_yaml *node,
                                    const rn_limits_key *key, void *values, ration_error *error)
{
    const char *path = NULL;
    RN_TRY(rn_yaml_string(file, node, &path, error));
    const char *fault = rn_limits_path_fault(path, (size_t)key->maximum);
    if (fault != NULL) {
        return rn_yaml_error(file, node, error, "write an absolute path without \"..\"",
                             "%.60s: '%.60s': %s", node->key, path, fault);
    }
    rn_limits_set_text(values, key, path);
    return RATION_OK;
}

static ration_status read_choice(const rn_yaml_file *file, const rn_yaml *node,
                                 const rn_limits_key *key, int64_t *value, ration_error *error)
{
    size_t place = 0;
    RN_TRY(rn_yaml_choice(file, node, key->words, (size_t)key->maximum + 1, &place, error));
    *value = (int64_t)place;
    return RATION_OK;
}

static ration_status read_value(const rn_yaml_file *file, const rn_yaml *node,
                                const rn_limits_key *key, void *values, ration_error *error)
{
    int64_t value = 0;
    bool flag = false;
    switch (key->type) {
    case RN_LIMITS_BYTES:
        RN_TRY(rn_yaml_bytes(file, node, key->minimum, key->maximum, &value, error));
        break;
    case RN_LIMITS_RATIO:
        RN_TRY(rn_yaml_ratio(file, node, key->minimum, key->maximum, &value, error));
        break;
    case RN_LIMITS_MIB:
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
    rn_limits_set(values, key, value);
    return RATION_OK;
}

/* What the readers of values.c cannot know: the unit, that 0 may stand for none, what the key is
 * for. */
static const char *advise(const rn_yaml *node, const rn_limits_key *key)
{
    if (rn_yaml_is_null(node)) {
        return "give it a value, or leave the key out";
    }
    if (node->kind != RN_YAML_SCALAR || key->type == RN_LIMITS_CHOICE ||
        strspn(node->text, "+-0123456789") == node->length) {
        return key->sentence;
    }
    switch (key->type) {
    case RN_LIMITS_MS:
        return "write milliseconds, as digits alone";
    case RN_LIMITS_MIB:
        return "write MiB, as digits alone";
    case RN_LIMITS_COUNT:
        return "write digits alone";
    default:
        return key->sentence;
    }
}

static bool means_none(const char *text)
{
    static const char *const words[] = {"unlimited", "none", "infinity", "inf", "max", "-1"};
    for (size_t i = 0; i < RN_COUNT(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

ration_status rn_limits_read_key(const rn_yaml_file *file, const rn_yaml *node,
                                 const rn_limits_key *key, void *values, ration_error *error)
{
    if (node == NULL) {
        return RATION_OK;
    }
    ration_status status = read_value(file, node, key, values, error);
    if (status == RATION_CONFIG && error != NULL) {
        bool scalar = node->kind == RN_YAML_SCALAR;
        size_t length = strlen(scalar ? node->text : "");
        bool names_zero = key->value == 0 && strstr(key->sentence, " 0 ") != NULL;
        if (scalar && names_zero && means_none(node->text)) {
            rn_copy_text(error->hint, sizeof(error->hint), key->sentence);
        } else if (length > 0 && key->type == RN_LIMITS_BYTES && node->text[length - 1] == '%') {
            rn_copy_text(error->hint, sizeof(error->hint),
                         "write bytes; a part of the memory is what limit_ratio sets");
        } else if (error->hint[0] == '\0' || rn_yaml_is_null(node)) {
            rn_copy_text(error->hint, sizeof(error->hint), advise(node, key));
        }
    }
    return status;
}

/* For an unknown key without a near one: does it stand in the wrong place? */
static const char *advise_key(const rn_yaml *node, const rn_limits_key *table)
{
    size_t count;
    bool of_group = table == rn_limits_group_keys(&count);
    if (of_group) {
        return rn_limits_find(node->key) != NULL
                   ? "it is no key of a group: write it at the top level"
                   : NULL;
    }
    return rn_limits_find_group(node->key) != NULL
               ? "it is a key of a group: write it below `groups:` and a name"
               : NULL;
}

static ration_status check_keys(const rn_yaml_file *file, const rn_yaml *node,
                                const rn_limits_key *table, size_t count, ration_error *error)
{
    const char *names[KEYS_MAX + 1];
    rn_assert(count <= KEYS_MAX);
    for (size_t i = 0; i < count; i++) {
        names[i] = table[i].name;
    }
    bool of_file = node == file->root;
    if (of_file) {
        names[count] = "groups";
    }
    size_t known = count + (of_file ? 1 : 0);
    ration_status status = rn_yaml_check_keys(file, node, names, known, error);
    if (status == RATION_OK || error == NULL || node->kind != RN_YAML_MAPPING) {
        return status;
    }
    const rn_yaml *child = node->first; /* the one it was refused for */
    while (child->key_line != error->line || child->key_column != error->column) {
        child = child->next;
    }
    const char *hint = advise_key(child, table);
    if (hint == NULL && of_file && strncmp(error->hint, "known:", strlen("known:")) == 0) {
        hint = "`ration init` prints all there are";
    }
    if (hint != NULL) {
        rn_copy_text(error->hint, sizeof(error->hint), hint);
    }
    return status;
}

/* Known keys only, then each of the `count` rows. */
static ration_status read_keys(const rn_yaml_file *file, const rn_yaml *node,
                               const rn_limits_key *table, size_t count, void *values,
                               ration_error *error)
{
    RN_TRY(check_keys(file, node, table, count, error));
    for (size_t i = 0; i < count; i++) {
        RN_TRY(
            rn_limits_read_key(file, rn_yaml_get(node, table[i].name), &table[i], values, error));
    }
    return RATION_OK;
}

static ration_status read_group(const rn_yaml_file *file, const rn_yaml *node, ration_group *group,
                                ration_error *error)
{
    const char *fault = rn_limits_name_fault(node->key);
    if (fault != NULL) {
        return rn_yaml_error_key(file, node, error, "give it a shorter or simpler name", "%s",
                                 fault);
    }
    rn_copy_text(group->name, sizeof(group->name), node->key);
    rn_limits_set_group_defaults(group);
    if (rn_yaml_is_null(node)) {
        return RATION_OK; /* named, and all of it default */
    }
    size_t count;
    const rn_limits_key *table = rn_limits_group_keys(&count);
    return read_keys(file, node, table, count, group, error);
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
        return rn_yaml_error(file, node, error, "let similar queries share one",
                             "groups: at most %d, not %zu", RATION_GROUPS_MAX, node->count);
    }
    for (const rn_yaml *group = node->first; group != NULL; group = group->next) {
        RN_TRY(read_group(file, group, &limits->groups[limits->group_count], error));
        limits->group_count += 1;
    }
    return RATION_OK;
}

/* Group `index` of the file, or NULL; they are in its order. */
static const rn_yaml *find_group(const rn_yaml *root, int64_t index)
{
    const rn_yaml *groups = rn_yaml_get(root, "groups");
    const rn_yaml *group = groups != NULL ? groups->first : NULL;
    for (; group != NULL && index > 0; index--) {
        group = group->next;
    }
    return group;
}

/* At the smaller of the two, which is written there: defaults do not count. */
static ration_status refuse_conflict(const rn_yaml_file *file, const rn_limits_conflict *conflict,
                                     ration_error *error)
{
    const rn_yaml *of = conflict->group >= 0 ? find_group(file->root, conflict->group) : file->root;
    return rn_yaml_error(file, rn_yaml_get(of, conflict->smaller->name), error, conflict->hint,
                         "%s", conflict->message);
}

static ration_status read_limits(const rn_yaml_file *file, ration_limits *limits,
                                 ration_error *error)
{
    size_t count;
    const rn_limits_key *table = rn_limits_keys(&count);
    RN_TRY(read_keys(file, file->root, table, count, limits, error));
    RN_TRY(read_groups(file, limits, error));
    rn_limits_conflict conflict;
    return rn_limits_find_conflict(limits, UINT64_MAX, &conflict)
               ? refuse_conflict(file, &conflict, error)
               : RATION_OK;
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

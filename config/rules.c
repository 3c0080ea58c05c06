/* SPDX-License-Identifier: Apache-2.0
 *
 * What limits must obey: rn_limits_validate for values from anywhere, rn_limits_find_conflict for
 * those that a person wrote.
 *
 * What a file says and what a program sets obey the same ranges, those of the key tables. That one
 * limit lies below another is asked of files and of the environment only: a program lowers
 * limit_bytes for one run without touching the rest, and the smaller limit binds. */
#include "config/limits.h"

#define NAME_BYTES_MAX (sizeof(((ration_group *)NULL)->name) - 1)

/* --------------------------------------------------------------------------------------- ranges */

const char *rn_limits_path_fault(const char *path, size_t longest)
{
    size_t length = strnlen(path, longest + 1);
    if (length > longest) {
        return "it is too long";
    }
    if (length == 0) {
        return "it is empty";
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

const char *rn_limits_name_fault(const char *name)
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

/* `where`: "" or "group 'x': ". */
static ration_status validate(const void *values, const rn_limits_key *table, size_t count,
                              const char *where, ration_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const rn_limits_key *key = &table[i];
        if (key->type == RN_LIMITS_DIRECTORY) {
            const char *fault =
                rn_limits_path_fault(rn_limits_text(values, key), (size_t)key->maximum);
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
            rn_limits_put_range(&text, key);
            text = rn_text_over(shown, sizeof(shown));
            rn_limits_put_amount(&text, key, value);
            return rn_error_set(error, RATION_CONFIG, key->sentence, "%s%s is %s, outside %s",
                                where, key->name, shown, range);
        }
    }
    return RATION_OK;
}

static ration_status validate_groups(const ration_limits *limits, ration_error *error)
{
    if (limits->group_count < 0 || limits->group_count > RATION_GROUPS_MAX) {
        return rn_error_set(error, RATION_CONFIG, "", "group_count is %lld, outside 0 to %d",
                            (long long)limits->group_count, RATION_GROUPS_MAX);
    }
    size_t count;
    const rn_limits_key *table = rn_limits_group_keys(&count);
    for (int64_t i = 0; i < limits->group_count; i++) {
        const ration_group *group = &limits->groups[i];
        const char *fault = rn_limits_name_fault(group->name);
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
        RN_TRY(validate(group, table, count, where, error));
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
    size_t count;
    const rn_limits_key *table = rn_limits_keys(&count);
    RN_TRY(validate(limits, table, count, "", error));
    return validate_groups(limits, error);
}

/* ---------------------------------------------------------------------------- one above another */

/* `larger` NULL: what bounds the root, limit_bytes or, when that is derived, its ceiling. */
static const struct rule {
    const char *smaller, *larger;
} rules[] = {
    {"limit_bytes", "limit_ceiling_bytes"},
    {"limit_floor_bytes", "limit_ceiling_bytes"},
    {"data_limit_bytes", NULL},
    {"query_limit_bytes", NULL},
    {"spill_query_bytes_max", "spill_bytes_max"},
};

/* The smaller one is a key of a group. */
static const struct group_rule {
    const char *smaller, *larger;
    bool larger_of_group;
} group_rules[] = {
    {"limit_bytes", NULL, false},
    {"query_limit_bytes", "limit_bytes", true},
    {"query_limit_bytes", NULL, false},
    {"spill_bytes_max", "spill_bytes_max", false},
};

static bool is_touched(const rn_limits_key *key, uint64_t touched)
{
    size_t count;
    const rn_limits_key *table = rn_limits_keys(&count);
    return (touched >> (key - table) & 1) != 0;
}

/* The key that bounds the root. */
static const rn_limits_key *find_bound(const ration_limits *limits)
{
    return rn_limits_find(limits->limit_bytes > 0 ? "limit_bytes" : "limit_ceiling_bytes");
}

static void word_conflict(rn_limits_conflict *conflict, const void *smaller, const void *larger)
{
    rn_text text = rn_text_over(conflict->message, sizeof(conflict->message));
    rn_text_format(&text, "%s is ", conflict->smaller->name);
    rn_limits_put_value(&text, conflict->smaller, smaller);
    const char *of = conflict->larger_of_group ? "the group's "
                     : conflict->group >= 0    ? "the top-level "
                                               : "";
    rn_text_format(&text, ", above %s%s (", of, conflict->larger->name);
    rn_limits_put_value(&text, conflict->larger, larger);
    rn_text_put(&text, "), so it can never be reached");
    text = rn_text_over(conflict->hint, sizeof(conflict->hint));
    rn_text_format(&text, "lower it, raise %s%s, or write 0", of, conflict->larger->name);
}

/* 0 stands for "no limit" on either side; a default that is too large gives way by itself. */
static bool is_above(const void *smaller, const void *larger, rn_limits_conflict *conflict)
{
    int64_t bytes = rn_limits_get(smaller, conflict->smaller);
    int64_t bound = rn_limits_get(larger, conflict->larger);
    bool written = !rn_limits_is_default(smaller, conflict->smaller);
    if (bytes == 0 || bound == 0 || bytes <= bound || !written) {
        return false;
    }
    word_conflict(conflict, smaller, larger);
    return true;
}

static bool find_group_conflict(const ration_limits *limits, int64_t group, uint64_t touched,
                                rn_limits_conflict *conflict)
{
    const ration_group *values = &limits->groups[group];
    conflict->group = group;
    for (size_t i = 0; i < RN_COUNT(group_rules); i++) {
        const struct group_rule *rule = &group_rules[i];
        conflict->smaller = rn_limits_find_group(rule->smaller);
        conflict->larger_of_group = rule->larger_of_group;
        conflict->larger = rule->larger_of_group  ? rn_limits_find_group(rule->larger)
                           : rule->larger != NULL ? rn_limits_find(rule->larger)
                                                  : find_bound(limits);
        const void *larger = rule->larger_of_group ? (const void *)values : limits;
        bool looked_at =
            rule->larger_of_group ? touched == UINT64_MAX : is_touched(conflict->larger, touched);
        if (looked_at && is_above(values, larger, conflict)) {
            return true;
        }
    }
    return false;
}

bool rn_limits_find_conflict(const ration_limits *limits, uint64_t touched,
                             rn_limits_conflict *out_conflict)
{
    rn_limits_conflict conflict = {.group = -1};
    for (size_t i = 0; i < RN_COUNT(rules); i++) {
        conflict.smaller = rn_limits_find(rules[i].smaller);
        conflict.larger =
            rules[i].larger != NULL ? rn_limits_find(rules[i].larger) : find_bound(limits);
        bool looked_at =
            is_touched(conflict.smaller, touched) || is_touched(conflict.larger, touched);
        if (looked_at && is_above(limits, limits, &conflict)) {
            *out_conflict = conflict;
            return true;
        }
    }
    for (int64_t i = 0; i < limits->group_count; i++) {
        if (find_group_conflict(limits, i, touched, &conflict)) {
            *out_conflict = conflict;
            return true;
        }
    }
    return false;
}

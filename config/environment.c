/* SPDX-License-Identifier: Apache-2.0
 *
 * RATION_* over limits: ration_limits_override, or rn_limits_override over a given list.
 *
 * RATION_LIMIT_BYTES=4GiB stands for the key limit_bytes, and so for every key but groups. A value
 * is what the file would have behind the colon, without quotes, and goes through the same reader,
 * so that it is refused in the same words; an empty one is as if it were not there, because that is
 * how a shell takes a variable away for one command.
 *
 * A name that begins with RATION_ and is nearly a key is a mistake. Any other is somebody else's:
 * the environment is everybody's, and a program that starts under a name it does not know must not
 * fail for that.
 *
 * All or nothing: it works on a copy. */
#include <unistd.h>

#include "config/limits.h"

#define PREFIX "RATION_"
#define PREFIX_LENGTH (sizeof(PREFIX) - 1)
#define KEYS_MAX 64
#define PLACE "environment"

/* What variables are reported as: no line, no column. */
static const rn_yaml_file environment_file = {.path = PLACE, .invalid = RATION_CONFIG};

const char *rn_limits_variable(const rn_limits_key *key, char buffer[RN_LIMITS_VARIABLE_BYTES])
{
    rn_text text = rn_text_over(buffer, RN_LIMITS_VARIABLE_BYTES);
    rn_text_put(&text, PREFIX);
    for (const char *at = key->name; *at != '\0'; at++) {
        char upper = *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
        rn_text_put_bytes(&text, &upper, 1);
    }
    return buffer;
}

/* The row whose variable has this name of `length` bytes, or NULL. */
static const rn_limits_key *find_variable(const char *name, size_t length)
{
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    for (size_t i = 0; i < count; i++) {
        char variable[RN_LIMITS_VARIABLE_BYTES];
        rn_limits_variable(&keys[i], variable);
        if (strlen(variable) == length && memcmp(variable, name, length) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

/* A name that no key has: somebody else's, or a mistake? */
static ration_status judge_name(const char *name, size_t length, ration_error *error)
{
    static const char groups[] = PREFIX "GROUPS";
    char shown[RN_LIMITS_VARIABLE_BYTES], variables[KEYS_MAX][RN_LIMITS_VARIABLE_BYTES];
    const char *known[KEYS_MAX];
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    if (length == sizeof(groups) - 1 && memcmp(name, groups, length) == 0) {
        return rn_error_at(error, RATION_CONFIG, PLACE, 0, 0, "write them into memory.yaml",
                           "%s: groups cannot be set by a variable", groups);
    }
    if (length >= sizeof(shown)) {
        return RATION_OK;
    }
    rn_text text = rn_text_over(shown, sizeof(shown));
    rn_text_put_bytes(&text, name, length);
    for (size_t i = 0; i < count; i++) {
        /* Compared without the prefix, which would make all of them near. */
        known[i] = rn_limits_variable(&keys[i], variables[i]) + PREFIX_LENGTH;
    }
    const char *nearest = rn_nearest(shown + PREFIX_LENGTH, known, count);
    if (nearest == NULL) {
        return RATION_OK;
    }
    char hint[128];
    text = rn_text_over(hint, sizeof(hint));
    rn_text_format(&text, "did you mean '" PREFIX "%s'?", nearest);
    return rn_error_at(error, RATION_CONFIG, PLACE, 0, 0, hint, "unknown variable '%s'", shown);
}

static bool is_utf8(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t step = rn_utf8_length((const unsigned char *)text + i, length - i);
        if (step == 0) {
            return false;
        }
        i += step;
    }
    return true;
}

static ration_status read_variable(const rn_limits_key *key, const char *value,
                                   ration_limits *limits, ration_error *error)
{
    char variable[RN_LIMITS_VARIABLE_BYTES];
    const rn_yaml node = {.kind = RN_YAML_SCALAR,
                          .key = rn_limits_variable(key, variable),
                          .text = value,
                          .length = strlen(value)};
    if (!is_utf8(value, node.length)) {
        return rn_error_at(error, RATION_CONFIG, PLACE, 0, 0, key->sentence, "%s is not UTF-8 text",
                           variable);
    }
    return rn_limits_read_key(&environment_file, &node, key, limits, error);
}

/* The rules that hold between keys, where a variable has set one of the two. */
static ration_status refuse_conflict(const ration_limits *limits, uint64_t touched,
                                     ration_error *error)
{
    rn_limits_conflict conflict;
    if (touched == 0 || !rn_limits_find_conflict(limits, touched, &conflict)) {
        return RATION_OK;
    }
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    bool smaller_touched = conflict.group < 0 && (touched >> (conflict.smaller - keys) & 1) != 0;
    char variable[RN_LIMITS_VARIABLE_BYTES], where[64];
    rn_limits_variable(smaller_touched ? conflict.smaller : conflict.larger, variable);
    rn_text text = rn_text_over(where, sizeof(where));
    if (conflict.group >= 0) {
        rn_text_format(&text, "group '%s': ", limits->groups[conflict.group].name);
    }
    return rn_error_at(error, RATION_CONFIG, PLACE, 0, 0, conflict.hint, "%s: %s%s", variable,
                       where, conflict.message);
}

ration_status rn_limits_override(char *const *variables, ration_limits *limits,
                                 uint64_t *out_touched, ration_error *error)
{
    RN_TRY(rn_limits_validate(limits, error));
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    ration_limits changed = *limits;
    uint64_t touched = 0;
    for (; variables != NULL && *variables != NULL; variables++) {
        const char *name = *variables;
        size_t length = strcspn(name, "=");
        if (strncmp(name, PREFIX, PREFIX_LENGTH) != 0 || name[length] == '\0' ||
            name[length + 1] == '\0') {
            continue;
        }
        const rn_limits_key *key = find_variable(name, length);
        if (key == NULL) {
            RN_TRY(judge_name(name, length, error));
        } else if ((touched >> (key - keys) & 1) == 0) { /* of two with one name the first, as
                                                            getenv has it */
            RN_TRY(read_variable(key, name + length + 1, &changed, error));
            touched |= UINT64_C(1) << (key - keys);
        }
    }
    RN_TRY(refuse_conflict(&changed, touched, error));
    *limits = changed;
    if (out_touched != NULL) {
        *out_touched = touched;
    }
    return RATION_OK;
}

ration_status ration_limits_override(ration_limits *limits, ration_error *error)
{
    return rn_limits_override(environ, limits, NULL, error);
}

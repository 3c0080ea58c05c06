/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.yaml -> ration_limits. One table row per key (name, type, section, when another value
 * holds, range, default, sentence, advice) drives the parser, the validation, the environment,
 * `ration init` and its profiles, the JSON Schema, reloads, and what `ration limits --explain` and
 * `ration check --against` show. */
#ifndef RATION_LIMITS_H
#define RATION_LIMITS_H

#include "base/text.h"
#include "config/yaml.h"

typedef enum rn_limits_type {
    RN_LIMITS_BYTES,
    RN_LIMITS_MIB,
    RN_LIMITS_RATIO,
    RN_LIMITS_COUNT,
    RN_LIMITS_MS,
    RN_LIMITS_BOOL,
    RN_LIMITS_CHOICE,   /* one of `words`, kept as its place among them */
    RN_LIMITS_DIRECTORY /* text of at most `maximum` bytes: an absolute path without ".." */
} rn_limits_type;

/* In the order of the file. */
typedef enum rn_limits_section {
    RN_LIMITS_LIMIT,
    RN_LIMITS_MACHINE,
    RN_LIMITS_QUERIES,
    RN_LIMITS_SPILLING,
    RN_LIMITS_ADMISSION,
    RN_LIMITS_TUNING,
    RN_LIMITS_GROUPS,
    RN_LIMITS_SECTIONS
} rn_limits_section;

/* For whom another value holds after a reload (ration_governor_reload). */
typedef enum rn_limits_when {
    RN_LIMITS_NOW,         /* for all, at once */
    RN_LIMITS_NEW_QUERIES, /* for queries that begin afterwards */
    RN_LIMITS_RESTART      /* for nobody: the reload is refused */
} rn_limits_when;

typedef struct rn_limits_key {
    const char *name;
    rn_limits_type type;
    rn_limits_section section;
    rn_limits_when when;      /* a running governor takes another value */
    size_t offset;            /* in ration_limits; of a group's key, in ration_group */
    int64_t minimum, maximum; /* inclusive, in the stored unit */
    int64_t value;            /* default, in the stored unit */
    const char *sentence;     /* what it does */
    const char *advice;       /* when to turn it, and where to; may be "" */
    const char *text;         /* default of a directory, else NULL */
    const char *const *words; /* of a choice, maximum + 1 of them, else NULL */
} rn_limits_key;

/* ---- keys.c: the tables, and values behind a row ---- */

/* `*out_count` rows. The second is that of one group. */
const rn_limits_key *rn_limits_keys(size_t *out_count);
const rn_limits_key *rn_limits_group_keys(size_t *out_count);
/* The row of `name`, or NULL. */
const rn_limits_key *rn_limits_find(const char *name);
const rn_limits_key *rn_limits_find_group(const char *name);
/* The stored value of one key of `values`, a ration_limits or a ration_group. 0 for a text. */
int64_t rn_limits_get(const void *values, const rn_limits_key *key);
/* The stored text of a directory. */
const char *rn_limits_text(const void *values, const rn_limits_key *key);
bool rn_limits_is_default(const void *values, const rn_limits_key *key);
/* The group of this name; NULL = there is none. */
const ration_group *rn_limits_group(const ration_limits *limits, const char *name);
/* Has this key the same value in two ration_limits, or two ration_group? */
bool rn_limits_agree(const rn_limits_key *key, const void *one, const void *other);
/* Do all keys and groups, in their order? */
bool rn_limits_equal(const ration_limits *one, const ration_limits *other);
void rn_limits_set(void *values, const rn_limits_key *key, int64_t value);
void rn_limits_set_text(void *values, const rn_limits_key *key, const char *text);
/* Of all keys of a group; its name is left alone. */
void rn_limits_set_group_defaults(ration_group *group);

/* ---- rules.c: what values must obey ---- */

/* Checks size and ranges. Errors: CONFIG naming the key. That one limit lies below another is asked
 * of files and of the environment only. */
RATION_NODISCARD ration_status rn_limits_validate(const ration_limits *limits, ration_error *error);
/* What is wrong with a path of at most `longest` bytes, or with the name of a group; NULL =
 * nothing. */
const char *rn_limits_path_fault(const char *path, size_t longest);
const char *rn_limits_name_fault(const char *name);

/* Two keys of which the smaller lies above the larger, so that it can never be reached. */
typedef struct rn_limits_conflict {
    const rn_limits_key *smaller, *larger;
    int64_t group;        /* of `smaller`; -1 = none, both are keys of all */
    bool larger_of_group; /* the same group's */
    char message[160];    /* "query_limit_bytes is 2GiB, above limit_bytes (1GiB), so .." */
    char hint[96];
} rn_limits_conflict;

/* The first one, among rules that look at a key of `touched` (bit i = row i of rn_limits_keys). */
bool rn_limits_find_conflict(const ration_limits *limits, uint64_t touched,
                             rn_limits_conflict *out_conflict);

/* ---- limits.c: reading ---- */

/* Reads from a buffer under the name `path` (tests, fuzzing). */
RATION_NODISCARD ration_status rn_limits_parse(const char *path, const char *text, size_t length,
                                               ration_limits *out_limits, ration_error *error);
/* One value into `values`; a NULL node leaves it as it is. */
RATION_NODISCARD ration_status rn_limits_read_key(const rn_yaml_file *file, const rn_yaml *node,
                                                  const rn_limits_key *key, void *values,
                                                  ration_error *error);

/* ---- environment.c ---- */

/* "RATION_LIMIT_BYTES" of limit_bytes, in `buffer`, which is returned. */
#define RN_LIMITS_VARIABLE_BYTES 64
const char *rn_limits_variable(const rn_limits_key *key, char buffer[RN_LIMITS_VARIABLE_BYTES]);
/* ration_limits_override over NULL-terminated `variables` ("NAME=value"; NULL = none).
 * `*out_touched` (may be NULL): bit i = row i of rn_limits_keys was set by its variable. */
RATION_NODISCARD ration_status rn_limits_override(char *const *variables, ration_limits *limits,
                                                  uint64_t *out_touched, ration_error *error);

/* ---- limits_put.c: the way back ---- */

/* The value of one key of `values` as memory.yaml takes it, exactly: 512MiB, 0.8, true, a word, a
 * path. */
void rn_limits_put_value(rn_text *text, const rn_limits_key *key, const void *values);
/* The same for an amount in the stored unit; not for a directory. */
void rn_limits_put_amount(rn_text *text, const rn_limits_key *key, int64_t value);
void rn_limits_put_default(rn_text *text, const rn_limits_key *key);
/* "Bytes, 512MiB or 1.5GiB", "Milliseconds", "Switch". Static text. */
const char *rn_limits_unit(const rn_limits_key *key);
/* "4KiB to 64MiB", "true or false". */
void rn_limits_put_range(rn_text *text, const rn_limits_key *key);

/* ---- profiles.c ---- */

/* What a profile sets otherwise than the defaults, as it stands in the file, and why. */
typedef struct rn_profile_value {
    const char *key, *value, *reason;
} rn_profile_value;

typedef struct rn_profile {
    const char *name, *sentence;
    const rn_profile_value *values;
    size_t count;
} rn_profile;

/* `*out_count` profiles; the first is that of the defaults and sets nothing. */
const rn_profile *rn_limits_profiles(size_t *out_count);
/* A commented memory.yaml. */
void rn_limits_put_yaml(rn_text *text, const rn_profile *profile);

/* ---- schema.c ---- */

/* A JSON Schema (draft-07) of memory.yaml. */
void rn_limits_put_schema(rn_text *text);

#endif

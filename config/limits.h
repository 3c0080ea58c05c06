/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.yaml -> ration_limits. One table row per key (name, type, unit, range, default, sentence)
 * drives the parser, the validation, `ration init`, `ration limits --explain` and the manual. */
#ifndef RATION_LIMITS_H
#define RATION_LIMITS_H

#include "base/text.h"

typedef enum rn_limits_type {
    RN_LIMITS_BYTES,
    RN_LIMITS_MIB,
    RN_LIMITS_RATIO,
    RN_LIMITS_COUNT,
    RN_LIMITS_MS,
    RN_LIMITS_BOOL,
    RN_LIMITS_CHOICE,   /* one of the words of `text`, kept as its place among them */
    RN_LIMITS_DIRECTORY /* text of at most `maximum` bytes: an absolute path without ".." */
} rn_limits_type;

typedef struct rn_limits_key {
    const char *name;
    rn_limits_type type;
    size_t offset;            /* in ration_limits; of a group's key, in ration_group */
    int64_t minimum, maximum; /* inclusive, in the stored unit */
    int64_t value;            /* default, in the stored unit */
    const char *sentence;
    const char
        *text; /* default of a directory; words of a choice, separated by blanks; else NULL */
} rn_limits_key;

/* The tables; `*out_count` rows. The second is that of one group. */
const rn_limits_key *rn_limits_keys(size_t *out_count);
const rn_limits_key *rn_limits_group_keys(size_t *out_count);
/* The stored value of one key of `values`, a ration_limits or a ration_group. 0 for a text. */
int64_t rn_limits_get(const void *values, const rn_limits_key *key);
/* The stored text of a directory. */
const char *rn_limits_text(const void *values, const rn_limits_key *key);
bool rn_limits_is_default(const void *values, const rn_limits_key *key);
/* Checks size and ranges. Errors: CONFIG naming the key. That one limit lies below another is asked
 * of files only. */
RATION_NODISCARD ration_status rn_limits_validate(const ration_limits *limits, ration_error *error);
/* Reads from a buffer under the name `path` (tests, fuzzing). */
RATION_NODISCARD ration_status rn_limits_parse(const char *path, const char *text, size_t length,
                                               ration_limits *out_limits, ration_error *error);
/* A commented memory.yaml of the defaults. */
void rn_limits_put_yaml(rn_text *text);

#endif

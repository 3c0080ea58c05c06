/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of a sub-command as a table: parsing, checking and the help text come from it.
 *
 *     static const rn_option options[] = {
 *         {"limit", RN_OPTION_SIZE, "SIZE", "limit of the query", &limit_bytes, NULL}, ...
 *     };
 *     const rn_usage usage = {"query", "PLAN.yaml", "runs a plan", 1, 1, options, 1};
 *     int first, code;
 *     if (!rn_options_parse(&usage, argc, argv, &first, &code)) {
 *         return code;
 *     }
 */
#ifndef RATION_OPTIONS_H
#define RATION_OPTIONS_H

#include "cli/cli.h"

typedef enum rn_option_type {
    RN_OPTION_FLAG,   /* bool */
    RN_OPTION_TEXT,   /* const char *: points into argv */
    RN_OPTION_SIZE,   /* int64_t bytes, "512MiB" */
    RN_OPTION_COUNT,  /* int64_t >= 0 */
    RN_OPTION_DOUBLE, /* double, finite */
    RN_OPTION_CHOICE, /* int: index into `choices` */
    RN_OPTION_LIST    /* rn_option_list: may be given several times */
} rn_option_type;

#define RN_OPTION_LIST_MAX 64u
#define RN_OPTIONS_MAX 32u

typedef struct rn_option_list {
    uint32_t count;
    const char *values[RN_OPTION_LIST_MAX];
} rn_option_list;

typedef struct rn_option {
    const char *name; /* "limit" is --limit */
    rn_option_type type;
    const char *argument; /* its name in the help; NULL for flags */
    const char *sentence;
    void *target; /* of the type above; keeps its value when the option is not given */
    const char *const *choices; /* NULL-terminated */
} rn_option;

typedef struct rn_usage {
    const char *command;
    const char *operands; /* for the help */
    const char *sentence;
    int operands_min, operands_max;
    const rn_option *options;
    size_t option_count;
} rn_usage;

/* True: the targets are set, argv[*out_first..argc) are the operands. False: the command ends with
 * *out_code (0 after --help, 2 after an error, which was printed). */
bool rn_options_parse(const rn_usage *usage, int argc, char **argv, int *out_first, int *out_code);

#endif

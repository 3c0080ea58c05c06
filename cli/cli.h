/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line: its sub-commands, and what they share. Results go to stdout; progress, hints
 * and errors to stderr.
 *
 * A sub-command gets its own name as argv[0] and returns the exit code: 0 ok, 1 failed, 2 usage, 3
 * configuration or plan, 4 threshold missed, 5 the environment cannot do it, 130 interrupted.
 * Statuses map to them in RATION_STATUS_MAP.
 */
#ifndef RATION_CLI_H
#define RATION_CLI_H

#include "base/text.h"

#define RN_EXIT_USAGE 2
#define RN_EXIT_THRESHOLD 4
#define RN_EXIT_INTERRUPTED 130
#define RN_SCHEMA_VERSION 1 /* of everything printed as JSON */

int rn_cli_check(int argc, char **argv);
int rn_cli_limits(int argc, char **argv);
int rn_cli_init(int argc, char **argv);
int rn_cli_query(int argc, char **argv);
int rn_cli_replay(int argc, char **argv);
int rn_cli_generate(int argc, char **argv);

/* ---- console.c ---- */

/* Prints an error on stderr and returns its exit code. */
int rn_cli_error(const ration_error *error);
/* The same for a refusal. */
int rn_cli_refusal(const ration_refusal *refusal);
/* "ration query: message" and where to find help, on stderr; returns RN_EXIT_USAGE. */
int rn_cli_usage_error(const char *command, const char *format, ...) RN_PRINTF(2, 3);
/* Reads the limits of `path`; NULL: memory.yaml of the current folder when there is one, else the
 * defaults. RATION_* of the environment win over both. `out_source` (may be NULL) becomes the
 * file's name or "defaults". Returns 0, or the exit code after printing the error. */
int rn_cli_limits_load(const char *path, ration_limits *out_limits, const char **out_source);
/* The same; `*out_source` is NULL where there is no file, and `*out_touched` (may be NULL) has the
 * bit of each row of rn_limits_keys that the environment has set. */
int rn_cli_limits_read(const char *path, ration_limits *out_limits, const char **out_source,
                       uint64_t *out_touched);
/* Flushes stdout; `code`, or 1 with a message when something could not be written. */
int rn_cli_finish(int code);
/* "1.5 GiB" in `buffer` (>= 32 bytes), which is returned. */
const char *rn_cli_size(int64_t bytes, char *buffer);
/* "17 us", "3.2 ms", "1.4 s": the same for a time. */
const char *rn_cli_duration(int64_t ns, char *buffer);
/* Columns of the terminal: COLUMNS, else what stdout says, else 0 = unlimited. */
int rn_cli_columns(void);
/* Makes room for `capacity` bytes in a builder over the heap (an empty one has bytes NULL, capacity
 * 0); the text is kept. False without memory: the builder is as it was. */
bool rn_cli_text_grow(rn_text *text, size_t capacity);
void rn_cli_text_free(rn_text *text);
/* Calls `put` until its text fits into a buffer of the heap, then prints it on `stream` (a FILE);
 * false without memory. */
bool rn_cli_put_text(FILE *stream, void (*put)(const void *what, rn_text *text), const void *what);

#endif

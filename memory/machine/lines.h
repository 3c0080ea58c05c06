/* SPDX-License-Identifier: Apache-2.0
 *
 * Small text files of the kernel, line by line, under a prefix; for probe.c, which knows which
 * ones. */
#ifndef RATION_LINES_H
#define RATION_LINES_H

#include "base/text.h"

#define RN_LINE_BYTES 8192

typedef struct rn_lines {
    int descriptor;
    size_t used, at, total;
    bool skipping; /* the rest of a line that did not fit */
    char bytes[RN_LINE_BYTES];
} rn_lines;

/* Opens sysroot + path; 0 or an errno. Closed in either case by rn_lines_close. */
int rn_lines_open(rn_lines *lines, const char *sysroot, const char *path);
/* The next line without its end, valid and writable until the next call; NULL at the end, or on an
 * error with errno. */
char *rn_lines_next(rn_lines *lines);
void rn_lines_close(rn_lines *lines);

/* Decimal digits up to a blank or the end, times `unit`; sticks at INT64_MAX. False when there is
 * no such number. */
bool rn_lines_number(const char *text, int64_t unit, int64_t *out_value);

/* One number wanted out of a file of "name value" lines. */
typedef struct rn_lines_entry {
    const char *name; /* with its colon, where the file has one */
    int64_t unit;
    int64_t value;
    bool found;
} rn_lines_entry;

/* Fills the entries, each from the first line that has it; 0 or the errno of opening the file. */
int rn_lines_entries(const char *sysroot, const char *path, rn_lines_entry *entries, size_t count);

#endif

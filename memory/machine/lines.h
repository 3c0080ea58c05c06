/* SPDX-License-Identifier: Apache-2.0
 *
 * Small text files of the kernel, line by line, under a prefix; for the other files of this folder,
 * which know which ones. */
#ifndef RATION_LINES_H
#define RATION_LINES_H

#include "base/text.h"

#define RN_LINE_BYTES 8192
#define RN_LINES_ONCE (-1)

/* Where files are, and which of them stay open: `kept[slot]` is a descriptor + 1, 0 = none yet, and
 * `identities[slot]` says of which file. `kept` NULL or slot RN_LINES_ONCE: opened and closed each
 * time. */
typedef struct rn_lines_place {
    const char *sysroot;
    int *kept;
    uint64_t *identities;
} rn_lines_place;

typedef struct rn_lines {
    int descriptor;
    bool stays; /* open */
    size_t used, at, total;
    bool skipping; /* the rest of a line that did not fit */
    bool skipped;  /* a line, somewhere */
    char bytes[RN_LINE_BYTES];
} rn_lines;

/* Opens sysroot + folder + name, or goes to the start of the one that is kept; 0 or an errno.
 * Closed in either case by rn_lines_close. */
int rn_lines_open(rn_lines *lines, const rn_lines_place *place, int slot, const char *folder,
                  const char *name);
/* The next line without its end, valid and writable until the next call; NULL at the end, or on an
 * error with errno. A NUL byte in the file is a \001 here. */
char *rn_lines_next(rn_lines *lines);
void rn_lines_close(rn_lines *lines);

/* Is the descriptor still that of the file that was opened? */
bool rn_lines_is_kept(int kept, uint64_t identity);

/* The first line of a file, cut to what `text` holds; 0 or an errno (ENODATA: it is empty, or the
 * line is too long). */
int rn_lines_first(const char *sysroot, const char *folder, const char *name, char *text,
                   size_t capacity);
/* Opens a file for a line to be written to it, and polled: a descriptor, or -1 with errno. */
int rn_lines_subscribe(const char *path, const char *line);
/* What a symbolic link says, cut to what `text` holds; "" when there is none. */
void rn_lines_link(const char *sysroot, const char *path, char *text, size_t capacity);

/* Decimal digits up to a blank or the end, times `unit`. False when there is no such number, or it
 * is above INT64_MAX. */
bool rn_lines_number(const char *text, int64_t unit, int64_t *out_value);

/* One number wanted out of a file of "name value" lines. */
typedef struct rn_lines_entry {
    const char *name; /* with its colon, where the file has one */
    int64_t unit;
    int64_t value;
    bool found;
} rn_lines_entry;

/* Fills the entries, each from the first line that has it as a number; 0 or the errno of opening or
 * reading the file. */
int rn_lines_entries(const rn_lines_place *place, int slot, const char *folder, const char *name,
                     rn_lines_entry *entries, size_t count);

#endif

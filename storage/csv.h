/* SPDX-License-Identifier: Apache-2.0
 *
 * A streaming reader of delimited text: RFC 4180, other delimiters, runs of blanks, and edge lists.
 *
 *     rn_csv_open -> rn_csv_next ... until *out_count is 0 -> rn_csv_close
 *
 * The fields of a record point into the reader's buffer and are valid until the next call. */
#ifndef RATION_CSV_H
#define RATION_CSV_H

#include "memory/blocks.h"

#define RN_CSV_PIECE_BYTES ((size_t)64 * 1024)
#define RN_CSV_LINE_BYTES_MAX ((size_t)1024 * 1024)
#define RN_CSV_FIELDS_MAX 512u

typedef enum rn_csv_separation {
    RN_CSV_CHARACTER, /* one delimiter between two fields */
    RN_CSV_BLANKS,    /* runs of spaces and tabs; those at both ends of a line mean nothing */
    RN_CSV_LOOSE      /* blanks, or one comma with or without blanks around it */
} rn_csv_separation;

typedef struct rn_csv_dialect {
    rn_csv_separation separation;
    char delimiter; /* RN_CSV_CHARACTER only; not a quote, a line end, NUL or a byte above 127 */
    bool quoting;   /* "..." as in RFC 4180; false: a quote is a byte like any other */
    bool header;    /* the first record is skipped */
    bool comments;  /* lines that start with '#' are skipped */
} rn_csv_dialect;

typedef struct rn_csv_field {
    const char *text; /* not NUL-terminated; valid UTF-8 without NUL */
    uint32_t length;
    int line, column; /* 1-based, of the first byte; columns count bytes */
    bool quoted;
} rn_csv_field;

/* Equation: start <= end < capacity, buffer[end] is a line feed that no field contains. */
typedef struct rn_csv {
    const char *path;
    rn_csv_dialect dialect;
    rn_slot *slot;
    int file;           /* -1: read from `source` */
    const char *source; /* what is left of a text in memory */
    size_t source_left;
    char *buffer;
    size_t capacity, start, end;
    bool at_end;
    int line;           /* of buffer[start] */
    int64_t read_bytes; /* taken from the file so far */
    uint8_t classes[256];
    uint32_t count;
    rn_csv_field fields[RN_CSV_FIELDS_MAX];
} rn_csv;

/* Opens a file or, when `text` is not NULL, `length` bytes of it under the name `path`. `path`
 * and `text` must outlive the reader. The buffer (128 KiB, 2 MiB at most) is charged to `slot`.
 * Errors: FILE, the limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_csv_open(rn_csv *csv, const char *path, const char *text,
                                           size_t length, const rn_csv_dialect *dialect,
                                           ration_slot *slot, ration_error *error);
/* The next record; *out_count 0 at the end. Empty lines are skipped. Errors: FILE, DATA with the
 * place, the limits' statuses. */
RATION_NODISCARD ration_status rn_csv_next(rn_csv *csv, const rn_csv_field **out_fields,
                                           uint32_t *out_count, ration_error *error);
void rn_csv_close(rn_csv *csv);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The files a generator writes: buffered, with a sticky error, under temporary names until all
 * are complete. */
#ifndef RATION_GENERATE_OUTPUT_H
#define RATION_GENERATE_OUTPUT_H

#include "base/text.h"

#define RN_OUTPUT_BYTES ((size_t)64 * 1024)
#define RN_OUTPUT_PATH_MAX 4096u

typedef struct rn_output {
    int file;     /* -1 = not open */
    int failure;  /* errno of the first failure, sticky; 0 = none */
    bool started; /* the row has a field */
    char *buffer;
    size_t used;
    int64_t written_bytes;
    char temporary[RN_OUTPUT_PATH_MAX]; /* "" = nothing to remove */
    char final[RN_OUTPUT_PATH_MAX];
} rn_output;

/* Creates "<directory>/.<name>.part"; an output of all zeros but file -1 may be discarded.
 * Errors: FILE, NO_MEMORY. */
RATION_NODISCARD ration_status rn_output_open(rn_output *output, const char *directory,
                                              const char *name, ration_error *error);
/* Writes what is buffered and closes. Errors: FILE, also for any failure since open. */
RATION_NODISCARD ration_status rn_output_finish(rn_output *output, ration_error *error);
/* Gives the finished file its name. Errors: FILE. */
RATION_NODISCARD ration_status rn_output_publish(rn_output *output, ration_error *error);
/* Closes, and removes the file unless it was published. */
void rn_output_discard(rn_output *output);

/* Bytes as they are. */
void rn_output_raw(rn_output *output, const char *bytes, size_t count);
/* Fields of a row, separated by '|', quoted where RFC 4180 asks for it; rn_output_null is the
 * empty field. */
void rn_output_int64(rn_output *output, int64_t value);
void rn_output_text(rn_output *output, const char *text, size_t length);
void rn_output_date(rn_output *output, int32_t days);
void rn_output_time(rn_output *output, int64_t ms); /* milliseconds since 1970-01-01 UTC */
void rn_output_null(rn_output *output);
void rn_output_end_row(rn_output *output);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffered files of a generator; the contract is in generate_output.h. A failure is kept until
 * rn_output_finish, so that a row is written without looking at each field. */
#include "storage/generate_output.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/heap.h"

#define MS_PER_DAY INT64_C(86400000)

static ration_status refuse_file(const rn_output *output, const char *what, int failure,
                                 ration_error *error)
{
    return rn_error_at(error, RATION_FILE, output->final, 0, 0, "", "cannot %s the file: %s", what,
                       strerror(failure));
}

ration_status rn_output_open(rn_output *output, const char *directory, const char *name,
                             ration_error *error)
{
    memset(output, 0, sizeof *output);
    output->file = -1;
    int length = snprintf(output->final, sizeof output->final, "%s/%s", directory, name);
    int other =
        snprintf(output->temporary, sizeof output->temporary, "%s/.%s.part", directory, name);
    if (length < 0 || other < 0 || (size_t)other >= sizeof output->temporary) {
        output->temporary[0] = '\0';
        return rn_error_set(error, RATION_FILE, "", "the directory's name is too long");
    }
    output->buffer = rn_heap_allocate(RN_OUTPUT_BYTES);
    if (output->buffer == NULL) {
        output->temporary[0] = '\0';
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for a file's buffer");
    }
    output->file = open(output->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (output->file < 0) {
        int failure = errno;
        rn_output_discard(output);
        return refuse_file(output, "create", failure, error);
    }
    return RATION_OK;
}

static void flush(rn_output *output)
{
    size_t at = 0;

    while (at < output->used && output->failure == 0) {
        ssize_t count = write(output->file, output->buffer + at, output->used - at);
        if (count < 0 && errno != EINTR) {
            output->failure = errno;
        }
        at += count > 0 ? (size_t)count : 0;
    }
    output->written_bytes += (int64_t)at;
    output->used = 0;
}

ration_status rn_output_finish(rn_output *output, ration_error *error)
{
    flush(output);
    int file = output->file;
    output->file = -1;
    if (close(file) != 0 && output->failure == 0) {
        output->failure = errno;
    }
    return output->failure == 0 ? RATION_OK : refuse_file(output, "write", output->failure, error);
}

ration_status rn_output_publish(rn_output *output, ration_error *error)
{
    rn_assert(output->file < 0);
    if (rename(output->temporary, output->final) != 0) {
        return refuse_file(output, "rename", errno, error);
    }
    output->temporary[0] = '\0';
    return RATION_OK;
}

void rn_output_discard(rn_output *output)
{
    if (output->file >= 0) {
        (void)close(output->file);
    }
    if (output->temporary[0] != '\0') {
        (void)unlink(output->temporary);
    }
    rn_heap_free(output->buffer, output->buffer == NULL ? 0 : RN_OUTPUT_BYTES);
    output->file = -1;
    output->buffer = NULL;
    output->temporary[0] = '\0';
}

/* ---------------------------------------------------------------------------------------- bytes */

void rn_output_raw(rn_output *output, const char *bytes, size_t count)
{
    while (count > 0) {
        if (output->used == RN_OUTPUT_BYTES) {
            flush(output);
        }
        size_t part = RN_MIN(count, RN_OUTPUT_BYTES - output->used);
        memcpy(output->buffer + output->used, bytes, part);
        output->used += part;
        bytes += part;
        count -= part;
    }
}

static void start_field(rn_output *output)
{
    if (output->started) {
        rn_output_raw(output, "|", 1);
    }
    output->started = true;
}

void rn_output_int64(rn_output *output, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    start_field(output);
    rn_output_raw(output, digits + at, sizeof digits - at);
}

static bool needs_quotes(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '|' || text[i] == '"' || text[i] == '\n' || text[i] == '\r') {
            return true;
        }
    }
    return length == 0;
}

void rn_output_text(rn_output *output, const char *text, size_t length)
{
    start_field(output);
    if (!needs_quotes(text, length)) {
        rn_output_raw(output, text, length);
        return;
    }
    rn_output_raw(output, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"') {
            rn_output_raw(output, "\"", 1);
        }
        rn_output_raw(output, text + i, 1);
    }
    rn_output_raw(output, "\"", 1);
}

static char *put_digits(char *to, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + width;
}

static char *put_date(char *to, int32_t days)
{
    int32_t year, month, day;

    rn_date_parts(days, &year, &month, &day);
    to = put_digits(to, year, 4);
    *to++ = '-';
    to = put_digits(to, month, 2);
    *to++ = '-';
    return put_digits(to, day, 2);
}

void rn_output_date(rn_output *output, int32_t days)
{
    char text[16];

    start_field(output);
    rn_output_raw(output, text, (size_t)(put_date(text, days) - text));
}

void rn_output_time(rn_output *output, int64_t ms)
{
    char text[32];
    int64_t rest = ms % MS_PER_DAY;

    rn_assert(ms >= 0);
    char *at = put_date(text, (int32_t)(ms / MS_PER_DAY));
    *at++ = 'T';
    at = put_digits(at, rest / 3600000, 2);
    *at++ = ':';
    at = put_digits(at, rest / 60000 % 60, 2);
    *at++ = ':';
    at = put_digits(at, rest / 1000 % 60, 2);
    *at++ = '.';
    at = put_digits(at, rest % 1000, 3);
    *at++ = 'Z';
    start_field(output);
    rn_output_raw(output, text, (size_t)(at - text));
}

void rn_output_null(rn_output *output)
{
    start_field(output);
}

void rn_output_end_row(rn_output *output)
{
    rn_output_raw(output, "\n", 1);
    output->started = false;
}

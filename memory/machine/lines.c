/* SPDX-License-Identifier: Apache-2.0
 *
 * Small text files of the kernel, line by line, without allocation: see lines.h.
 *
 * Bounds: a line longer than RN_LINE_BYTES is skipped, a file longer than FILE_BYTES_MAX is cut
 * there. Opened with O_NONBLOCK: under a prefix anything may lie where a file should, also a
 * FIFO. */
#include "memory/machine/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#define FILE_BYTES_MAX (4 * 1024 * 1024)

int rn_lines_open(rn_lines *lines, const char *sysroot, const char *path)
{
    char full[PATH_MAX];
    rn_text text = rn_text_over(full, sizeof(full));
    rn_text_format(&text, "%s%s", sysroot, path);
    lines->descriptor = -1;
    if (text.length >= sizeof(full)) {
        return ENAMETOOLONG;
    }
    lines->descriptor = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (lines->descriptor < 0) {
        return errno;
    }
    lines->used = 0;
    lines->at = 0;
    lines->total = 0;
    lines->skipping = false;
    return 0;
}

void rn_lines_close(rn_lines *lines)
{
    if (lines->descriptor >= 0) {
        (void)close(lines->descriptor);
    }
}

/* Moves what is left to the front and reads behind it; false at the end or on an error. */
static bool fill_lines(rn_lines *lines)
{
    lines->used -= lines->at;
    memmove(lines->bytes, lines->bytes + lines->at, lines->used);
    lines->at = 0;
    ssize_t count = -1;
    do {
        count = lines->total < FILE_BYTES_MAX ? read(lines->descriptor, lines->bytes + lines->used,
                                                     RN_LINE_BYTES - 1 - lines->used)
                                              : 0;
    } while (count < 0 && errno == EINTR);
    if (count <= 0) {
        return false;
    }
    lines->used += (size_t)count;
    lines->total += (size_t)count;
    return true;
}

char *rn_lines_next(rn_lines *lines)
{
    for (;;) {
        char *start = lines->bytes + lines->at;
        size_t left = lines->used - lines->at;
        char *end = (char *)memchr(start, '\n', left);
        bool whole = end != NULL;
        if (!whole && left == RN_LINE_BYTES - 1) {
            lines->at = lines->used;
            lines->skipping = true;
            continue;
        }
        if (!whole && fill_lines(lines)) {
            continue;
        }
        if (!whole) {
            start = lines->bytes;
            left = lines->used;
            end = start + left;
            lines->at = lines->used;
        } else {
            lines->at += (size_t)(end - start) + 1;
        }
        bool skipped = lines->skipping;
        lines->skipping = false;
        if (!whole && (left == 0 || skipped)) {
            return NULL;
        }
        if (!skipped) {
            *end = '\0';
            return start;
        }
    }
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

bool rn_lines_number(const char *text, int64_t unit, int64_t *out_value)
{
    const char *at = skip_blanks(text);
    size_t digits = strspn(at, "0123456789");
    if (digits == 0 || (at[digits] != '\0' && at[digits] != ' ' && at[digits] != '\t')) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        value = rn_add(rn_multiply(value, 10), at[i] - '0');
    }
    *out_value = rn_multiply(value, unit);
    return true;
}

int rn_lines_entries(const char *sysroot, const char *path, rn_lines_entry *entries, size_t count)
{
    rn_lines lines;
    int code = rn_lines_open(&lines, sysroot, path);
    for (char *line = code == 0 ? rn_lines_next(&lines) : NULL; line != NULL;
         line = rn_lines_next(&lines)) {
        for (size_t i = 0; i < count; i++) {
            size_t length = strlen(entries[i].name);
            bool here = strncmp(line, entries[i].name, length) == 0 &&
                        (line[length] == ' ' || line[length] == '\t');
            if (here && !entries[i].found) {
                entries[i].found =
                    rn_lines_number(line + length, entries[i].unit, &entries[i].value);
            }
        }
    }
    rn_lines_close(&lines);
    return code;
}

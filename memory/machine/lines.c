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
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

#define FILE_BYTES_MAX (4 * 1024 * 1024)

static int put_path(char full[PATH_MAX], const char *sysroot, const char *folder, const char *name)
{
    size_t lengths[] = {strlen(sysroot), strlen(folder), strlen(name)};
    if (lengths[0] + lengths[1] + lengths[2] >= PATH_MAX) {
        return ENAMETOOLONG;
    }
    memcpy(full, sysroot, lengths[0]);
    memcpy(full + lengths[0], folder, lengths[1]);
    memcpy(full + lengths[0] + lengths[1], name, lengths[2] + 1);
    return 0;
}

/* A file of the kernel that is gone answers ENODEV when it is read; one of a fixture does not. */
static int look_whether_gone(const rn_lines_place *place, int descriptor)
{
    struct stat status;
    bool there =
        place->sysroot[0] == '\0' || (fstat(descriptor, &status) == 0 && status.st_nlink > 0);
    return there ? 0 : ENOENT;
}

static uint64_t identify(int descriptor)
{
    struct stat status;
    return fstat(descriptor, &status) == 0
               ? rn_hash_word((uint64_t)status.st_dev, (uint64_t)status.st_ino) | 1
               : 0;
}

bool rn_lines_is_kept(int kept, uint64_t identity)
{
    return kept > 0 && identify(kept - 1) == identity;
}

int rn_lines_open(rn_lines *lines, const rn_lines_place *place, int slot, const char *folder,
                  const char *name)
{
    int *kept = place->kept != NULL && slot != RN_LINES_ONCE ? &place->kept[slot] : NULL;
    lines->descriptor = -1;
    lines->stays = kept != NULL;
    lines->used = 0;
    lines->at = 0;
    lines->total = 0;
    lines->skipping = false;
    lines->skipped = false;
    if (kept != NULL && *kept > 0) {
        lines->descriptor = *kept - 1;
        return look_whether_gone(place, lines->descriptor);
    }
    char full[PATH_MAX];
    int code = put_path(full, place->sysroot, folder, name);
    if (code != 0) {
        return code;
    }
    lines->descriptor = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (lines->descriptor < 0) {
        return errno;
    }
    if (kept != NULL) {
        *kept = lines->descriptor + 1;
        place->identities[slot] = identify(lines->descriptor);
    }
    return 0;
}

void rn_lines_close(rn_lines *lines)
{
    if (lines->descriptor >= 0 && !lines->stays) {
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
        count = lines->total < FILE_BYTES_MAX
                    ? pread(lines->descriptor, lines->bytes + lines->used,
                            RN_LINE_BYTES - 1 - lines->used, (off_t)lines->total)
                    : 0;
    } while (count < 0 && errno == EINTR);
    if (count <= 0) {
        return false;
    }
    /* Else "1", NUL, "6384" would read as 1. */
    for (char *at = lines->bytes + lines->used, *end = at + count;
         (at = (char *)memchr(at, '\0', (size_t)(end - at))) != NULL;) {
        *at = '\001';
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
            lines->skipped = true;
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
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, at[i] - '0', &value)) {
            return false;
        }
    }
    return !__builtin_mul_overflow(value, unit, out_value);
}

int rn_lines_first(const char *sysroot, const char *folder, const char *name, char *text,
                   size_t capacity)
{
    rn_lines_place place = {.sysroot = sysroot};
    rn_lines lines;
    int code = rn_lines_open(&lines, &place, RN_LINES_ONCE, folder, name);
    if (code == 0) {
        errno = 0;
        char *line = rn_lines_next(&lines);
        bool there = line != NULL && !lines.skipped;
        code = there ? 0 : errno != 0 ? errno : ENODATA;
        rn_copy_text(text, capacity, there ? line : "");
    }
    rn_lines_close(&lines);
    return code;
}

int rn_lines_entries(const rn_lines_place *place, int slot, const char *folder, const char *name,
                     rn_lines_entry *entries, size_t count)
{
    rn_lines lines;
    size_t wanted = count;
    int code = rn_lines_open(&lines, place, slot, folder, name);
    errno = 0;
    for (char *line = NULL; code == 0 && wanted > 0 && (line = rn_lines_next(&lines)) != NULL;) {
        for (size_t i = 0; i < count; i++) {
            if (entries[i].found || line[0] != entries[i].name[0]) {
                continue;
            }
            size_t length = strlen(entries[i].name);
            if (strncmp(line, entries[i].name, length) == 0 &&
                (line[length] == ' ' || line[length] == '\t') &&
                rn_lines_number(line + length, entries[i].unit, &entries[i].value)) {
                entries[i].found = true;
                wanted--;
            }
        }
    }
    code = code == 0 && wanted > 0 ? errno : code;
    rn_lines_close(&lines);
    return code;
}

void rn_lines_link(const char *sysroot, const char *path, char *text, size_t capacity)
{
    char full[PATH_MAX];
    ssize_t length =
        put_path(full, sysroot, path, "") == 0 ? readlink(full, text, capacity - 1) : 0;
    text[RN_MAX(length, 0)] = '\0';
}

int rn_lines_subscribe(const char *path, const char *line)
{
    int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    size_t length = strlen(line) + 1; /* the kernel wants the NUL */
    if (descriptor >= 0 && write(descriptor, line, length) != (ssize_t)length) {
        int code = errno != 0 ? errno : EIO;
        (void)close(descriptor);
        errno = code;
        descriptor = -1;
    }
    return descriptor;
}

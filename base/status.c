/* SPDX-License-Identifier: Apache-2.0
 *
 * The status tables of RATION_STATUS_MAP and the error value.
 *
 * Invariants
 * 1. An error is built aside and copied at the end: its arguments may come from the error it
 *    replaces.
 * 2. Its texts quote files and arguments from outside. What a terminal could obey (control
 *    bytes, C1 controls) becomes '?', and a text that was cut ends at a whole UTF-8 character. */
#include "base/text.h"

static const struct {
    const char *name;
    int exit_code;
    const char *sentence;
} statuses[] = {
#define STATUS_ROW(name, exit_code, sentence) {#name, exit_code, sentence},
    RATION_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

const char *ration_status_name(ration_status status)
{
    return (size_t)status < RN_COUNT(statuses) ? statuses[status].name : "UNKNOWN";
}

const char *ration_status_sentence(ration_status status)
{
    return (size_t)status < RN_COUNT(statuses) ? statuses[status].sentence : "an unknown status";
}

int ration_status_exit_code(ration_status status)
{
    return (size_t)status < RN_COUNT(statuses) ? statuses[status].exit_code : 1;
}

size_t ration_error_format(const ration_error *error, char *text, size_t capacity)
{
    rn_text out = rn_text_over(text, capacity);
    if (error == NULL) {
        return 0;
    }
    if (error->file[0] != '\0') {
        rn_text_put(&out, error->file);
        if (error->line > 0) {
            rn_text_format(&out, ":%d", error->line);
        }
        if (error->line > 0 && error->column > 0) {
            rn_text_format(&out, ":%d", error->column);
        }
        rn_text_put(&out, ": ");
    }
    rn_text_format(&out, "error: %s", error->message);
    if (error->hint[0] != '\0') {
        rn_text_format(&out, " (%s)", error->hint);
    }
    return out.length;
}

/* Is what is left the beginning of a character whose end was cut off? */
static bool is_cut(const unsigned char *at, size_t left)
{
    size_t wanted = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : at[0] >= 0xC2 ? 2 : 0;
    size_t have = 1;
    while (have < left && (at[have] & 0xC0) == 0x80) {
        have++;
    }
    return have == left && left < wanted;
}

/* Invariant 2, in place. */
static void clean_text(char *text)
{
    unsigned char *at = (unsigned char *)text;
    size_t length = strlen(text);
    for (size_t i = 0; i < length;) {
        size_t bytes = rn_utf8_length(at + i, length - i);
        if (bytes == 0 && is_cut(at + i, length - i)) {
            at[i] = '\0';
            return;
        }
        bool c1 = bytes == 2 && at[i] == 0xC2 && at[i + 1] < 0xA0;
        size_t bad = bytes == 0 || at[i] < 0x20 || at[i] == 0x7F ? 1 : c1 ? 2 : 0;
        memset(at + i, '?', bad);
        i += RN_MAX(bytes, 1u);
    }
}

static ration_status fill_error(ration_error *error, ration_status status, const char *file,
                                int line, int column, const char *hint, const char *format,
                                va_list arguments) RN_PRINTF(7, 0);

static ration_status fill_error(ration_error *error, ration_status status, const char *file,
                                int line, int column, const char *hint, const char *format,
                                va_list arguments)
{
    rn_assert(status != RATION_OK);
    if (error == NULL) {
        return status;
    }
    ration_error filled = {
        .size = sizeof(filled), .status = status, .line = line, .column = column};
    (void)vsnprintf(filled.message, sizeof(filled.message), format, arguments);
    rn_copy_text(filled.file, sizeof(filled.file), file != NULL ? file : "");
    rn_copy_text(filled.hint, sizeof(filled.hint), hint != NULL ? hint : "");
    clean_text(filled.file);
    clean_text(filled.message);
    clean_text(filled.hint);
    *error = filled;
    return status;
}

ration_status rn_error_set(ration_error *error, ration_status status, const char *hint,
                           const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    status = fill_error(error, status, NULL, 0, 0, hint, format, arguments);
    va_end(arguments);
    return status;
}

ration_status rn_error_at(ration_error *error, ration_status status, const char *file, int line,
                          int column, const char *hint, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    status = fill_error(error, status, file, line, column, hint, format, arguments);
    va_end(arguments);
    return status;
}

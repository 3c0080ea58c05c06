/* SPDX-License-Identifier: Apache-2.0
 *
 * What every sub-command says in the same way: errors, sizes, times, the end of the output. */
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "config/limits.h"

int rn_cli_error(const ration_error *error)
{
    char text[1200];
    (void)ration_error_format(error, text, sizeof text);
    fflush(stdout);
    fprintf(stderr, "%s%s\n", error->file[0] == '\0' ? "ration: " : "", text);
    int code = ration_status_exit_code(error->status);
    return code != 0 ? code : 1;
}

int rn_cli_refusal(const ration_refusal *refusal)
{
    char text[2000];
    (void)ration_refusal_format(refusal, text, sizeof text);
    size_t length = strlen(text);
    fflush(stdout);
    fprintf(stderr, "ration: %s%s", text, length > 0 && text[length - 1] == '\n' ? "" : "\n");
    return ration_status_exit_code(refusal->status);
}

int rn_cli_usage_error(const char *command, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char *blank = command[0] != '\0' ? " " : "";
    fprintf(stderr, "ration%s%s: %s\n", blank, command, message);
    fprintf(stderr, "`ration%s%s --help` shows what there is\n", blank, command);
    return RN_EXIT_USAGE;
}

int rn_cli_limits_read(const char *path, ration_limits *out_limits, const char **out_source,
                       uint64_t *out_touched)
{
    const char *source = path;
    if (source == NULL) {
        source = access("memory.yaml", F_OK) == 0 ? "memory.yaml" : NULL;
    }
    ration_error error;
    if (source == NULL) {
        ration_limits_default(out_limits);
    } else if (ration_limits_load(source, out_limits, &error) != RATION_OK) {
        return rn_cli_error(&error);
    }
    if (rn_limits_override(environ, out_limits, out_touched, &error) != RATION_OK) {
        return rn_cli_error(&error);
    }
    *out_source = source;
    return 0;
}

int rn_cli_limits_load(const char *path, ration_limits *out_limits, const char **out_source)
{
    const char *source;
    int code = rn_cli_limits_read(path, out_limits, &source, NULL);
    if (code == 0 && out_source != NULL) {
        *out_source = source != NULL ? source : "defaults";
    }
    return code;
}

int rn_cli_finish(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "ration: error: the output could not be written: %m\n");
        return code != 0 ? code : ration_status_exit_code(RATION_FILE);
    }
    return code;
}

const char *rn_cli_size(int64_t bytes, char *buffer)
{
    rn_text text = rn_text_over(buffer, 32);
    rn_text_put_size(&text, bytes);
    return buffer;
}

const char *rn_cli_duration(int64_t ns, char *buffer)
{
    static const struct {
        int64_t ns;
        const char *unit;
    } units[] = {{1000000000, "s"}, {1000000, "ms"}, {1000, "us"}};
    for (size_t i = 0; i < RN_COUNT(units); i++) {
        if (ns >= units[i].ns) {
            double value = (double)ns / (double)units[i].ns;
            (void)snprintf(buffer, 32,
                           value < 10    ? "%.2f %s"
                           : value < 100 ? "%.1f %s"
                                         : "%.0f %s",
                           value, units[i].unit);
            return buffer;
        }
    }
    (void)snprintf(buffer, 32, "%lld ns", (long long)ns);
    return buffer;
}

int rn_cli_columns(void)
{
    const char *given = getenv("COLUMNS");
    int64_t columns;
    if (given != NULL && rn_parse_int64(given, strlen(given), &columns) && columns > 0 &&
        columns <= 10000) {
        return (int)columns;
    }
    struct winsize size;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        return size.ws_col;
    }
    return 0;
}

bool rn_cli_text_grow(rn_text *text, size_t capacity)
{
    if (capacity <= text->capacity) {
        return true;
    }
    capacity = RN_MAX(capacity, RN_MAX(2 * text->capacity, (size_t)4096));
    char *bytes = rn_heap_allocate(capacity);
    if (bytes == NULL) {
        return false;
    }
    if (text->capacity > 0) {
        memcpy(bytes, text->bytes, text->capacity);
    }
    rn_heap_free(text->bytes, text->capacity);
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void rn_cli_text_free(rn_text *text)
{
    rn_heap_free(text->bytes, text->capacity);
    *text = rn_text_over(NULL, 0);
}

bool rn_cli_put_text(FILE *stream, void (*put)(const void *what, rn_text *text), const void *what)
{
    rn_text text = rn_text_over(NULL, 0);
    put(what, &text);
    if (!rn_cli_text_grow(&text, text.length + 1)) {
        return false;
    }
    text.length = 0;
    put(what, &text);
    (void)fwrite(text.bytes, 1, RN_MIN(text.length, text.capacity - 1), stream);
    rn_cli_text_free(&text);
    return true;
}

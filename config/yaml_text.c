/* SPDX-License-Identifier: Apache-2.0
 *
 * Places in the text of a YAML file, and advice. Contract: config/yaml_text.h. */
#include "config/yaml_text.h"

#define starts_with(text, word) (strncmp((text), (word), strlen(word)) == 0)

void rn_yaml_find_place(const char *text, size_t length, size_t offset, int *out_line,
                        int *out_column)
{
    int line = 1, column = 1;
    for (size_t i = 0; i < offset && i < length; i++) {
        if (text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    *out_line = line;
    *out_column = column;
}

size_t rn_yaml_find_byte(const char *text, size_t length, size_t characters)
{
    size_t at = 0;
    while (at < length && characters > 0) {
        at++;
        bool inside = at < length && ((unsigned char)text[at] & 0xC0) == 0x80;
        characters -= inside ? 0 : 1;
    }
    return at;
}

/* Does a line begin at `at`, as libyaml counts lines? */
static bool begins_line(const char *text, size_t at)
{
    static const char *const ends[] = {"\n", "\r", "\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xA9"};
    for (size_t i = 0; i < RN_COUNT(ends); i++) {
        size_t length = strlen(ends[i]);
        if (at >= length && memcmp(text + at - length, ends[i], length) == 0) {
            return true;
        }
    }
    return at == 0;
}

size_t rn_yaml_find_directive(const char *text, size_t length, int n)
{
    const char *end = text + length;
    for (const char *at = text; (at = memchr(at, '%', (size_t)(end - at))) != NULL; at++) {
        if (begins_line(text, (size_t)(at - text)) && n-- == 0) {
            return (size_t)(at - text);
        }
    }
    return length;
}

const char *rn_yaml_advise(const char *problem, bool unreadable, const char *rest, size_t length)
{
    static const struct {
        const char *problem, *hint;
    } advice[] = {
        {"mapping values are not", "is the indentation right? a text that holds ': ' needs quotes"},
        {"did not find expected key", "indent this line like the key above it"},
        {"did not find expected <document start>",
         "remove what follows the end of the first value"},
        {"did not find expected ','", "separate with commas, and close what was opened"},
        {"did not find expected node content", "write a value here"},
        {"found unexpected end of stream", "close the quotes"},
        {"could not find expected ':'", "write `key: value`, on one line"},
        {"block sequence entries are not", "begin the list on a line of its own"},
        {"found incompatible YAML", "remove the %YAML line"},
        {"found unexpected non-alphabetical", "a line that begins with % needs quotes"},
        {"found unknown directive", "a line that begins with % needs quotes"},
        {"found unknown escape", "write '..' around it, where \\ stands for itself"},
        {"control characters are not", "remove the control character"},
    };
    if (length >= 2 && unreadable &&
        (memcmp(rest, "\xFF\xFE", 2) == 0 || memcmp(rest, "\xFE\xFF", 2) == 0)) {
        return "the file is UTF-16: save it as UTF-8";
    }
    if (length > 0 && starts_with(problem, "found character that cannot start")) {
        return rest[0] == '\t' ? "indent with blanks instead of tabs" : "put the text into quotes";
    }
    for (size_t i = 0; i < RN_COUNT(advice); i++) {
        if (starts_with(problem, advice[i].problem)) {
            return advice[i].hint;
        }
    }
    return unreadable ? "the file must be UTF-8 text" : "";
}

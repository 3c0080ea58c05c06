/* SPDX-License-Identifier: Apache-2.0
 *
 * Stories. Everything is computed the long way round: words are sorted and counted, a commit looks
 * through all changes before it, an expression's value is worked out while its text is made. */
#include "tests/adapters/story.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

typedef struct text {
    char *bytes;
    size_t length, capacity;
} text;

__attribute__((format(printf, 2, 3))) static void put(text *to, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    while (to->length + (size_t)length + 1 > to->capacity) {
        to->capacity = to->capacity * 2 + 256;
        to->bytes = (char *)realloc(to->bytes, to->capacity);
    }
    va_start(args, format);
    vsnprintf(to->bytes + to->length, (size_t)length + 1, format, args);
    va_end(args);
    to->length += (size_t)length;
}

static int pick(uint64_t *state, int below)
{
    return (int)(rn_random(state) % (uint64_t)below);
}

/* A word of one to three syllables out of few, so that words come again. */
static void put_word(text *to, uint64_t *state)
{
    static const char *const syllables[] = {"ka", "Ro", "mi", "teS", "lu",
                                            "PA", "no", "si", "v",   "yt"};
    for (int left = 1 + pick(state, 3); left > 0; left--) {
        put(to, "%s", syllables[pick(state, (int)lengthof(syllables))]);
    }
}

/* ---------------------------------------------------------------------------------------- words */

typedef struct counted {
    char *word;
    int count;
} counted;

static int compare_strings(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static int compare_counted(const void *left, const void *right)
{
    const counted *a = (const counted *)left;
    const counted *b = (const counted *)right;
    return a->count != b->count ? b->count - a->count : strcmp(a->word, b->word);
}

static void expect_words(const char *source, text *expected)
{
    size_t capacity = strlen(source) + 1;
    char *copy = strdup(source);
    char **words = (char **)calloc(capacity, sizeof(char *));
    counted *found = (counted *)calloc(capacity, sizeof(counted));
    size_t count = 0, distinct = 0;
    for (char *at = copy; *at != '\0'; at++) {
        *at = (char)tolower((unsigned char)*at);
    }
    char *rest = NULL;
    for (char *word = strtok_r(copy, " \n", &rest); word != NULL;
         word = strtok_r(NULL, " \n", &rest)) {
        words[count++] = word;
    }
    qsort(words, count, sizeof(char *), compare_strings);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(words[i], words[i - 1]) != 0) {
            found[distinct++].word = words[i];
        }
        found[distinct - 1].count += 1;
    }
    qsort(found, distinct, sizeof(counted), compare_counted);
    for (size_t i = 0; i < distinct; i++) {
        put(expected, "%s %d\n", found[i].word, found[i].count);
    }
    free(words);
    free(found);
    free(copy);
}

static void expect_longest(const char *source, text *expected)
{
    char *copy = strdup(source);
    char *lines[4096];
    size_t count = 0;
    char *at = copy;
    while (*at != '\0') {
        lines[count++] = at;
        at += strcspn(at, "\n");
        if (*at == '\n') {
            *at++ = '\0';
        }
    }
    for (int place = 1; place <= 3; place++) {
        char **best = NULL;
        for (size_t i = 0; i < count; i++) {
            if (lines[i] != NULL && (best == NULL || strlen(lines[i]) > strlen(*best))) {
                best = &lines[i];
            }
        }
        if (best != NULL) {
            put(expected, "longest %d: %s\n", place, *best);
            *best = NULL;
        }
    }
    free(copy);
}

static int count_words(const char *line, size_t length)
{
    int count = 0;
    for (size_t i = 0; i < length; i++) {
        count += line[i] != ' ' && (i == 0 || line[i - 1] == ' ');
    }
    return count;
}

static void expect_fullest(const char *source, text *expected)
{
    const char *best = "";
    int most = 0;
    for (const char *line = source; *line != '\0'; line += strcspn(line, "\n") + 1) {
        int count = count_words(line, strcspn(line, "\n"));
        if (count > most) {
            most = count;
            best = line;
        }
    }
    put(expected, "fullest:");
    for (const char *at = best; *at != '\0' && *at != '\n'; at++) {
        if (*at != ' ') {
            put(expected, "%s%c", at == best || at[-1] == ' ' ? " " : "",
                tolower((unsigned char)*at));
        }
    }
    put(expected, "\n");
}

static char *make_text(uint64_t *state, int lines)
{
    text made = {0};
    put(&made, "%s", "");
    for (int i = 0; i < lines; i++) {
        for (int words = pick(state, 12); words > 0; words--) {
            put_word(&made, state);
            put(&made, "%s", pick(state, 9) == 0 ? "  " : " ");
        }
        put(&made, "\n");
    }
    return made.bytes;
}

/* ---------------------------------------------------------------------------------- expressions */

typedef struct growing {
    text made;
    char error[64]; /* the first one; "" = none */
    int error_depth;
    int depth;
    uint64_t *state;
} growing;

static void fail(growing *grows, const char *sql_state, const char *message)
{
    if (grows->error[0] == '\0') {
        snprintf(grows->error, sizeof(grows->error), "%s %s", sql_state, message);
        grows->error_depth = grows->depth;
    }
}

static int64_t grow_sum(growing *grows);

static int64_t grow_factor(growing *grows)
{
    int kind = pick(grows->state, 100);
    int64_t value = 0;
    if (kind == 0) {
        char message[40];
        snprintf(message, sizeof(message), "syntax error at character %zu", grows->made.length + 1);
        fail(grows, "42601", message);
        put(&grows->made, "?");
    } else if (kind < 40 && grows->depth < 6) {
        put(&grows->made, "(");
        grows->depth += 1;
        value = grow_sum(grows);
        grows->depth -= 1;
        put(&grows->made, ")");
    } else {
        value = kind < 45 ? 0 : kind < 50 ? 987654321 : pick(grows->state, 100);
        put(&grows->made, "%lld", (long long)value);
    }
    return value;
}

static int64_t grow_product(growing *grows)
{
    int64_t value = grow_factor(grows);
    for (int more = pick(grows->state, 3); more > 0; more--) {
        bool divides = pick(grows->state, 3) == 0;
        put(&grows->made, divides ? "/" : "*");
        int64_t right = grow_factor(grows);
        bool ended = grows->error[0] != '\0';
        if (divides && right == 0) {
            fail(grows, "22012", "division by zero");
        } else if (divides && !ended) {
            value /= right;
        } else if (!divides && __builtin_mul_overflow(value, right, &value)) {
            fail(grows, "22003", "out of range");
        }
    }
    return value;
}

static int64_t grow_sum(growing *grows)
{
    int64_t value = grow_product(grows);
    for (int more = pick(grows->state, 3); more > 0; more--) {
        bool subtracts = pick(grows->state, 2) == 0;
        put(&grows->made, subtracts ? "-" : "+");
        int64_t right = grow_product(grows);
        if (subtracts ? __builtin_sub_overflow(value, right, &value)
                      : __builtin_add_overflow(value, right, &value)) {
            fail(grows, "22003", "out of range");
        }
    }
    return value;
}

static char *make_expression(uint64_t *state, text *expected)
{
    growing grows = {.state = state};
    int64_t value = grow_sum(&grows);
    if (grows.error[0] == '\0') {
        put(expected, "%s = %lld\n", grows.made.bytes, (long long)value);
    } else {
        put(expected, "%s: %s, %d deep\n", grows.made.bytes, grows.error, grows.error_depth);
    }
    return grows.made.bytes;
}

/* -------------------------------------------------------------------------------------- changes */

static Change *make_changes(uint64_t *state, int count)
{
    Change *changes = (Change *)calloc((size_t)count, sizeof(Change));
    for (int i = 0; i < count; i++) {
        int kind = pick(state, 20);
        changes[i].xid = 1 + pick(state, 8);
        changes[i].kind = kind == 0 ? CHANGE_ABORT : kind == 1 ? CHANGE_COMMIT : CHANGE_INSERT;
        if (changes[i].kind == CHANGE_INSERT) {
            text tuple = {0};
            for (int words = 1 + pick(state, 20); words > 0; words--) {
                put_word(&tuple, state);
            }
            changes[i].tuple = tuple.bytes;
        }
    }
    return changes;
}

static void expect_commit(const Change *changes, int at, text *expected)
{
    int from = at;
    while (from > 0 &&
           !(changes[from - 1].xid == changes[at].xid && changes[from - 1].kind != CHANGE_INSERT)) {
        from -= 1;
    }
    put(expected, "commit %d:", changes[at].xid);
    for (int i = from; i < at; i++) {
        if (changes[i].xid == changes[at].xid) {
            put(expected, " %s", changes[i].tuple);
        }
    }
    put(expected, "\n");
}

static void expect_changes(const Change *changes, int count, text *expected)
{
    int passed = 0;
    size_t bytes = 0;
    uint32_t sum = 0;
    for (int i = 0; i < count; i++) {
        if (changes[i].kind == CHANGE_COMMIT) {
            expect_commit(changes, i, expected);
        } else if (changes[i].kind == CHANGE_INSERT) {
            passed += 1;
            bytes += strlen(changes[i].tuple);
            for (const char *byte = changes[i].tuple; *byte != '\0'; byte++) {
                sum = sum * 31 + (unsigned char)*byte;
            }
        }
    }
    put(expected, "queue: %d %zu %u\n", passed, bytes, sum);
}

/* ---------------------------------------------------------------------------------------- whole */

story *story_make(uint64_t seed, int size)
{
    uint64_t state = seed;
    story *made = (story *)calloc(1, sizeof(*made));
    text expected = {0};
    char *lines = make_text(&state, size);
    made->input.text = lines;
    expect_words(lines, &expected);
    expect_longest(lines, &expected);
    expect_fullest(lines, &expected);
    made->input.expression_count = size / 2;
    const char **expressions = (const char **)calloc((size_t)size / 2 + 1, sizeof(char *));
    for (int i = 0; i < size / 2; i++) {
        expressions[i] = make_expression(&state, &expected);
    }
    made->input.expressions = expressions;
    made->input.change_count = size * 2;
    made->input.changes = make_changes(&state, size * 2);
    expect_changes(made->input.changes, size * 2, &expected);
    /* inner reset; outer alone reset; outer deleted, its child first */
    put(&expected, "closed: dbcaef\n");
    made->expected = expected.bytes;
    return made;
}

void story_free(story *made)
{
    for (int i = 0; i < made->input.expression_count; i++) {
        free((void *)(uintptr_t)made->input.expressions[i]);
    }
    for (int i = 0; i < made->input.change_count; i++) {
        free((void *)(uintptr_t)made->input.changes[i].tuple);
    }
    free((void *)(uintptr_t)made->input.expressions);
    free((void *)(uintptr_t)made->input.changes);
    free((void *)(uintptr_t)made->input.text);
    free(made->expected);
    free(made);
}

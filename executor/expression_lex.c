/* SPDX-License-Identifier: Apache-2.0
 *
 * From text to tokens and literals: what an expression, a parameter's default and a value in a plan
 * have in common.
 *
 *     rn_lex from 0, again from the end of the last token, until RN_TOKEN_END
 *     rn_lex_literal; rn_literal_parse
 *
 * A token is a place in the text, nothing is copied until a name or string is wanted. Any bytes may
 * come; what is no token is RN_TOKEN_BAD with the reason.
 */
#include <math.h>

#include "executor/expression_tree.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool starts_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool continues_name(char c)
{
    return starts_name(c) || is_digit(c);
}

static size_t skip_digits(const char *text, size_t length, size_t at)
{
    while (at < length && is_digit(text[at])) {
        at++;
    }
    return at;
}

static size_t skip_name(const char *text, size_t length, size_t at)
{
    while (at < length && continues_name(text[at])) {
        at++;
    }
    return at;
}

static rn_token make_token(rn_token_kind kind, size_t from, size_t end, const char *bad)
{
    return (rn_token){bad == NULL ? kind : RN_TOKEN_BAD, from, end - from, bad};
}

static rn_token lex_number(const char *text, size_t length, size_t from)
{
    rn_token_kind kind = RN_TOKEN_INT64;
    size_t at = skip_digits(text, length, from);
    if (at + 1 < length && text[at] == '.' && is_digit(text[at + 1])) {
        kind = RN_TOKEN_DOUBLE;
        at = skip_digits(text, length, at + 1);
    }
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        size_t exponent = at + 1;
        exponent += exponent < length && (text[exponent] == '+' || text[exponent] == '-');
        if (exponent < length && is_digit(text[exponent])) {
            kind = RN_TOKEN_DOUBLE;
            at = skip_digits(text, length, exponent);
        }
    }
    bool bad = at < length && (continues_name(text[at]) || text[at] == '.');
    return make_token(kind, from, at, bad ? "malformed number" : NULL);
}

/* From an opening quote to its end; a doubled quote stands for itself. */
static rn_token lex_quoted(const char *text, size_t length, size_t from, rn_token_kind kind)
{
    char quote = text[from];
    for (size_t at = from + 1; at < length; at++) {
        if (text[at] != quote) {
            continue;
        }
        if (at + 1 < length && text[at + 1] == quote) {
            at++;
            continue;
        }
        return make_token(kind, from, at + 1, NULL);
    }
    return make_token(kind, from, length,
                      quote == '\'' ? "text without closing '" : "name without closing `");
}

static rn_token lex_mark(const char *text, size_t length, size_t from)
{
    static const char *const two[] = {"<>", "<=", ">="};
    static const char *const foreign[] = {"==", "!=", "&&", "||"};
    if (from + 1 < length) {
        for (size_t i = 0; i < RN_COUNT(two); i++) {
            if (memcmp(text + from, two[i], 2) == 0) {
                return make_token(RN_TOKEN_MARK, from, from + 2, NULL);
            }
        }
        for (size_t i = 0; i < RN_COUNT(foreign); i++) {
            if (memcmp(text + from, foreign[i], 2) == 0) {
                return make_token(RN_TOKEN_MARK, from, from + 2,
                                  "unknown operator (write =, <>, and, or)");
            }
        }
    }
    bool known = text[from] != '\0' && strchr("()[],.+-*/%=<>", text[from]) != NULL;
    return make_token(RN_TOKEN_MARK, from, from + 1, known ? NULL : "unexpected character");
}

rn_token rn_lex(const char *text, size_t length, size_t from)
{
    while (from < length &&
           (text[from] == ' ' || text[from] == '\t' || text[from] == '\n' || text[from] == '\r')) {
        from++;
    }
    if (from >= length) {
        return make_token(RN_TOKEN_END, length, length, NULL);
    }
    char c = text[from];
    if (starts_name(c)) {
        return make_token(RN_TOKEN_NAME, from, skip_name(text, length, from), NULL);
    }
    if (is_digit(c)) {
        return lex_number(text, length, from);
    }
    if (c == '\'') {
        return lex_quoted(text, length, from, RN_TOKEN_STRING);
    }
    if (c == '`') {
        return lex_quoted(text, length, from, RN_TOKEN_QUOTED_NAME);
    }
    if (c == '$') {
        size_t end = skip_name(text, length, from + 1);
        return make_token(RN_TOKEN_PARAMETER, from, end,
                          end == from + 1 ? "a parameter is $ and a name" : NULL);
    }
    return lex_mark(text, length, from);
}

bool rn_token_is(const rn_token *token, const char *text, const char *word)
{
    return (token->kind == RN_TOKEN_NAME || token->kind == RN_TOKEN_MARK) &&
           token->length == strlen(word) && memcmp(text + token->offset, word, token->length) == 0;
}

char *rn_token_unquote(const rn_token *token, const char *text, rn_arena *arena, size_t *out_length)
{
    rn_assert(token->length >= 2);
    const char *from = text + token->offset;
    char *copy = rn_arena_allocate(arena, token->length);
    if (copy == NULL) {
        return NULL;
    }
    size_t count = 0;
    for (size_t i = 1; i + 1 < token->length; i++) {
        copy[count++] = from[i];
        i += from[i] == from[0];
    }
    *out_length = count;
    return copy;
}

static rn_literal_answer refuse_literal(const char **out_why, const char *why)
{
    *out_why = why;
    return RN_LITERAL_BAD;
}

/* The text of a number token behind the `-` at offset from, or behind nothing. */
static rn_literal_answer read_number(const char *text, const rn_token *token, size_t from,
                                     rn_value *out_value, const char **why)
{
    size_t count = token->offset + token->length - from;
    char digits[64];
    if (token->kind == RN_TOKEN_INT64) {
        if (count >= sizeof digits) {
            return refuse_literal(why, "beyond int64");
        }
        size_t at = 0; /* without blanks after the sign */
        for (size_t i = from; i < from + count; i++) {
            if (text[i] == '-' || is_digit(text[i])) {
                digits[at++] = text[i];
            }
        }
        out_value->type = rn_type_of(RN_INT64);
        if (!rn_parse_int64(digits, at, &out_value->as.integer)) {
            return refuse_literal(why, "beyond int64");
        }
        return RN_LITERAL_YES;
    }
    out_value->type = rn_type_of(RN_DOUBLE);
    if (!rn_parse_double(text + token->offset, token->length, &out_value->as.real) ||
        !isfinite(out_value->as.real)) {
        return refuse_literal(why, "beyond double");
    }
    if (from != token->offset) {
        out_value->as.real = -out_value->as.real;
    }
    return RN_LITERAL_YES;
}

static rn_literal_answer read_string(const char *text, const rn_token *token, rn_arena *arena,
                                     rn_value *out_value, const char **why)
{
    size_t count;
    char *copy = rn_token_unquote(token, text, arena, &count);
    if (copy == NULL) {
        return RN_LITERAL_NO_MEMORY;
    }
    if (count > UINT32_MAX) {
        return refuse_literal(why, "too long");
    }
    out_value->type = rn_type_of(RN_STRING);
    out_value->as.string = rn_string_over(copy, (uint32_t)count);
    return RN_LITERAL_YES;
}

static rn_literal_answer read_time(const char *text, const rn_token *token, bool date,
                                   rn_value *out_value, const char **why)
{
    const char *from = text + token->offset + 1;
    size_t count = token->length - 2;
    if (date) {
        out_value->type = rn_type_of(RN_DATE);
        return rn_parse_date(from, count, &out_value->as.date)
                   ? RN_LITERAL_YES
                   : refuse_literal(why, "no such day (write date '2020-01-31')");
    }
    out_value->type = rn_type_of(RN_TIMESTAMP);
    return rn_parse_timestamp(from, count, &out_value->as.integer)
               ? RN_LITERAL_YES
               : refuse_literal(why, "no such time (write timestamp '2020-01-31T12:00:00Z')");
}

static bool read_word(const char *text, const rn_token *token, rn_value *out_value)
{
    bool yes = rn_token_is(token, text, "true");
    if (yes || rn_token_is(token, text, "false")) {
        out_value->type = rn_type_of(RN_BOOL);
        out_value->as.boolean = yes;
        return true;
    }
    if (rn_token_is(token, text, "null")) {
        out_value->type.kind = RN_UNTYPED;
        out_value->type.label = RN_LABEL_ANY;
        out_value->null = true;
        return true;
    }
    return false;
}

rn_literal_answer rn_lex_literal(const char *text, size_t length, rn_token *token, rn_arena *arena,
                                 rn_value *out_value, const char **why)
{
    rn_value value;
    memset(&value, 0, sizeof value);
    rn_token last = *token;
    size_t from = last.offset;
    rn_literal_answer answer;
    if (rn_token_is(token, text, "-")) {
        last = rn_lex(text, length, last.offset + last.length);
        if (last.kind != RN_TOKEN_INT64 && last.kind != RN_TOKEN_DOUBLE) {
            return RN_LITERAL_NO;
        }
    }
    bool date = rn_token_is(&last, text, "date");
    if (last.kind == RN_TOKEN_INT64 || last.kind == RN_TOKEN_DOUBLE) {
        answer = read_number(text, &last, from, &value, why);
    } else if (last.kind == RN_TOKEN_STRING) {
        answer = read_string(text, &last, arena, &value, why);
    } else if (date || rn_token_is(&last, text, "timestamp")) {
        last = rn_lex(text, length, last.offset + last.length);
        if (last.kind != RN_TOKEN_STRING) {
            return RN_LITERAL_NO;
        }
        answer = read_time(text, &last, date, &value, why);
    } else {
        answer = read_word(text, &last, &value) ? RN_LITERAL_YES : RN_LITERAL_NO;
    }
    if (answer == RN_LITERAL_YES) {
        *token = rn_lex(text, length, last.offset + last.length);
        *out_value = value;
    }
    return answer;
}

ration_status rn_literal_parse(const char *text, size_t length, bool quoted, rn_arena *arena,
                               rn_value *out_value)
{
    rn_value value;
    const char *why = "";
    rn_token token = rn_lex(text, length, 0);
    bool marked = token.kind == RN_TOKEN_STRING || rn_token_is(&token, text, "date") ||
                  rn_token_is(&token, text, "timestamp");
    if (!quoted || marked) {
        rn_literal_answer answer = rn_lex_literal(text, length, &token, arena, &value, &why);
        if (answer == RN_LITERAL_NO_MEMORY) {
            return RATION_NO_MEMORY;
        }
        if (answer == RN_LITERAL_YES && token.kind == RN_TOKEN_END &&
            value.type.kind != RN_UNTYPED) {
            *out_value = value;
            return RATION_OK;
        }
    }
    if (!quoted || length > UINT32_MAX) {
        return RATION_PLAN;
    }
    char *copy = rn_arena_copy(arena, text, length);
    if (copy == NULL) {
        return RATION_NO_MEMORY;
    }
    memset(&value, 0, sizeof value);
    value.type = rn_type_of(RN_STRING);
    value.as.string = rn_string_over(copy, (uint32_t)length);
    *out_value = value;
    return RATION_OK;
}

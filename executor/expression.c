/* SPDX-License-Identifier: Apache-2.0
 *
 * An expression from the outside, and what every term goes through when it is built: limits, errors
 * with a place, folding.
 *
 *     rn_build_term, rn_build_literal, from expression_type.c and expression_name.c
 *     rn_expression_type, _column, _put
 */
#include <stdarg.h>

#include "executor/expression_tree.h"

const char *rn_term_text(rn_term term)
{
    static const char *const texts[] = {
#define RN_TERM_TEXT(name, text) text,
        RN_TERM_MAP(RN_TERM_TEXT)
#undef RN_TERM_TEXT
    };
    return texts[term];
}

/* ---- errors ---- */

/* Characters of UTF-8 before `offset`: YAML counts columns so. */
static int count_characters(const char *text, size_t offset)
{
    int count = 0;
    for (size_t i = 0; i < offset; i++) {
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return count;
}

/* A text of several lines came from a block or folded scalar: its start is as near as we know. */
static int find_column(const rn_builder *builder, size_t offset)
{
    bool lines = memchr(builder->text, '\n', builder->length) != NULL;
    return builder->column +
           (lines ? 0 : count_characters(builder->text, RN_MIN(offset, builder->length)));
}

ration_status rn_build_error(const rn_builder *builder, size_t offset, const char *hint,
                             const char *format, ...)
{
    char message[sizeof((ration_error *)0)->message];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return rn_error_at(builder->error, RATION_PLAN, builder->scope->file, builder->line,
                       find_column(builder, offset), hint, "%s: %s", builder->scope->site, message);
}

ration_status rn_build_no_memory(const rn_builder *builder)
{
    return rn_error_set(builder->error, RATION_NO_MEMORY, "",
                        "no memory for the plan's expressions");
}

const char *rn_nearer(const char *word, const char *best, const char *candidate)
{
    const char *pair[2] = {candidate, best};
    return rn_nearest(word, pair, best == NULL ? 1 : 2);
}

const char *rn_mean(char *hint, size_t capacity, const char *best)
{
    rn_text text = rn_text_over(hint, capacity);
    if (best != NULL) {
        rn_text_format(&text, "did you mean %s?", best);
    }
    return hint;
}

/* ---- building ---- */

static ration_status allocate_term(rn_builder *builder, rn_term kind, rn_type type, size_t offset,
                                   rn_expression **out_term)
{
    if (builder->terms >= RN_EXPRESSION_TERMS_MAX) {
        return rn_build_error(builder, offset, "", "expression has more than %u terms",
                              RN_EXPRESSION_TERMS_MAX);
    }
    builder->terms++;
    rn_expression *term = rn_arena_allocate(builder->scope->arena, sizeof *term);
    if (term == NULL) {
        return rn_build_no_memory(builder);
    }
    term->term = kind;
    term->type = type;
    term->depth = 1;
    term->line = builder->line;
    term->column = find_column(builder, offset);
    term->source = builder->source;
    *out_term = term;
    return RATION_OK;
}

/* Only operators and functions whose value depends on nothing but their operands. */
static bool can_fold(const rn_expression *term)
{
    if (term->term == RN_TERM_COLUMN || term->term == RN_TERM_PROPERTY ||
        term->term == RN_TERM_LABEL || term->term == RN_TERM_LITERAL || term->term == RN_TERM_IN) {
        return false;
    }
    for (const rn_expression *at = term->first; at != NULL; at = at->next) {
        if (at->term != RN_TERM_LITERAL) {
            return false;
        }
    }
    return true;
}

ration_status rn_build_term(rn_builder *builder, rn_term kind, rn_type type, size_t offset,
                            rn_expression *operands, rn_expression **out_term)
{
    rn_expression *term;
    rn_value value;
    RN_TRY(allocate_term(builder, kind, type, offset, &term));
    term->first = operands;
    for (const rn_expression *at = operands; at != NULL; at = at->next) {
        term->depth = RN_MAX(term->depth, at->depth + 1);
    }
    if (term->depth > RN_EXPRESSION_DEPTH_MAX) {
        return rn_build_error(builder, offset, "give parts of it a name in a project step",
                              "expression nests deeper than %u levels", RN_EXPRESSION_DEPTH_MAX);
    }
    if (can_fold(term) && rn_evaluate_constant(term, &value)) {
        term->term = RN_TERM_LITERAL;
        term->first = NULL;
        term->depth = 1;
        term->as.literal = value;
    }
    *out_term = term;
    return RATION_OK;
}

ration_status rn_build_literal(rn_builder *builder, const rn_value *value, size_t offset,
                               rn_expression **out_term)
{
    rn_expression *term;
    RN_TRY(allocate_term(builder, RN_TERM_LITERAL, value->type, offset, &term));
    term->as.literal = *value;
    *out_term = term;
    return RATION_OK;
}

void rn_build_adopt(rn_expression *term, rn_type type)
{
    rn_assert(rn_is_untyped(term) && term->term == RN_TERM_LITERAL && type.kind != RN_UNTYPED);
    type.label = RN_LABEL_ANY;
    term->type = type;
    term->as.literal.type = type;
}

/* ---- from the outside ---- */

rn_type rn_expression_type(const rn_expression *expression)
{
    return expression->type;
}

int rn_expression_column(const rn_expression *expression)
{
    return expression->term == RN_TERM_COLUMN ? (int)expression->as.column.index : -1;
}

static void put_quoted(rn_text *text, const char *bytes, size_t count, char quote)
{
    rn_text_put_bytes(text, &quote, 1);
    for (size_t i = 0; i < count; i++) {
        rn_text_put_bytes(text, bytes + i, 1);
        if (bytes[i] == quote) {
            rn_text_put_bytes(text, &quote, 1);
        }
    }
    rn_text_put_bytes(text, &quote, 1);
}

static void put_double(rn_text *text, double value)
{
    char digits[40];
    rn_text number = rn_text_over(digits, sizeof digits);
    rn_text_put_double(&number, value);
    rn_text_put(text, digits);
    if (strspn(digits, "-0123456789") == strlen(digits)) {
        rn_text_put(text, ".0"); /* or it would read as an int64 */
    }
}

static void put_value(rn_text *text, rn_type type, const void *value)
{
    const rn_string *string = value;
    int64_t word = 0;
    switch (type.kind) {
    case RN_BOOL:
        rn_text_put(text, *(const uint8_t *)value ? "true" : "false");
        return;
    case RN_INT64:
        rn_text_format(text, "%lld", (long long)*(const int64_t *)value);
        return;
    case RN_DOUBLE:
        put_double(text, *(const double *)value);
        return;
    case RN_DATE:
        rn_text_put(text, "date '");
        rn_text_put_date(text, *(const int32_t *)value);
        rn_text_put(text, "'");
        return;
    case RN_TIMESTAMP:
        rn_text_put(text, "timestamp '");
        rn_text_put_timestamp(text, *(const int64_t *)value);
        rn_text_put(text, "'");
        return;
    case RN_STRING:
        put_quoted(text, rn_string_bytes(string), string->length, '\'');
        return;
    default:
        memcpy(&word, value, RN_MIN(rn_kind_bytes((rn_kind)type.kind), sizeof word));
        rn_text_format(text, "%s %lld", rn_kind_name((rn_kind)type.kind), (long long)word);
        return;
    }
}

static void put_name(rn_text *text, const char *name)
{
    rn_token token = rn_lex(name, strlen(name), 0);
    if (token.kind == RN_TOKEN_NAME && token.offset == 0 && token.length == strlen(name)) {
        rn_text_put(text, name);
    } else {
        put_quoted(text, name, strlen(name), '`');
    }
}

/* Operands between `separator`s. */
static void put_operands(const rn_expression *expression, rn_text *text, const char *separator)
{
    for (const rn_expression *at = expression->first; at != NULL; at = at->next) {
        rn_expression_put(at, text);
        if (at->next != NULL) {
            rn_text_put(text, separator);
        }
    }
}

static void put_set(const rn_expression *expression, rn_text *text)
{
    const rn_set *set = &expression->as.set;
    rn_type type = expression->first->type;
    rn_text_put(text, "(");
    rn_expression_put(expression->first, text);
    rn_text_put(text, " in [");
    for (uint32_t i = 0; i < set->count; i++) {
        put_value(text, type, (const char *)set->values + rn_kind_bytes((rn_kind)type.kind) * i);
        rn_text_put(text, i + 1 < set->count || set->null ? ", " : "");
    }
    if (set->count == 0 && set->alien != NULL) { /* or null in [1.5] would read as null in [] */
        put_value(text, set->alien->type, &set->alien->as);
        rn_text_put(text, set->null ? ", " : "");
    }
    rn_text_put(text, set->null ? "null])" : "])");
}

void rn_expression_put(const rn_expression *expression, rn_text *text)
{
    const char *word = rn_term_text(expression->term);
    char infix[32];
    switch (expression->term) {
    case RN_TERM_LITERAL:
        if (expression->as.literal.null) {
            rn_text_put(text, "null");
        } else {
            put_value(text, expression->type, &expression->as.literal.as);
        }
        return;
    case RN_TERM_COLUMN:
        put_name(text, expression->as.column.name);
        return;
    case RN_TERM_PROPERTY:
        rn_expression_put(expression->first, text);
        rn_text_put(text, ".");
        put_name(text, expression->as.property.name);
        return;
    case RN_TERM_IN:
        put_set(expression, text);
        return;
    case RN_TERM_NOT:
    case RN_TERM_NEGATE:
        rn_text_format(text, "(%s ", word);
        rn_expression_put(expression->first, text);
        rn_text_put(text, ")");
        return;
    case RN_TERM_IS_NULL:
        rn_text_put(text, "(");
        rn_expression_put(expression->first, text);
        rn_text_put(text, " is null)");
        return;
    default:
        break;
    }
    bool call = expression->term == RN_TERM_COALESCE || expression->term > RN_TERM_NEGATE;
    (void)snprintf(infix, sizeof infix, " %s ", word);
    rn_text_format(text, "%s(", call ? word : "");
    put_operands(expression, text, call ? ", " : infix);
    rn_text_put(text, ")");
}

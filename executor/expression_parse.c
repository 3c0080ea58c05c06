/* SPDX-License-Identifier: Apache-2.0
 *
 * From tokens to a typed tree: precedence climbing after Pratt.
 *
 *     rn_expression_parse -> parse_above(0) -> parse_operand, parse_infixes -> rn_build_*
 *
 * Every infix has a power; parse_above(p) reads an operand and then every infix with a power above
 * p. Chains of `and` and `or` become one term, so that long conditions stay flat. Invariants:
 * (1) every recursion passes parse_above, which bounds the depth; (2) the token in hand is the
 * first one not yet used.
 */
#include "executor/expression_tree.h"

typedef enum rn_power {
    POWER_NONE,
    POWER_OR,
    POWER_AND,
    POWER_NOT,
    POWER_COMPARISON,
    POWER_ADD,
    POWER_MULTIPLY,
    POWER_SIGN
} rn_power;

typedef struct rn_parser {
    rn_builder builder;
    rn_token token;
    uint32_t depth;
} rn_parser;

typedef struct rn_infix {
    const char *text;
    rn_term term;
    rn_power power;
} rn_infix;

static const rn_infix infixes[] = {
    {"or", RN_TERM_OR, POWER_OR},
    {"and", RN_TERM_AND, POWER_AND},
    {"=", RN_TERM_EQUAL, POWER_COMPARISON},
    {"<>", RN_TERM_NOT_EQUAL, POWER_COMPARISON},
    {"<", RN_TERM_LESS, POWER_COMPARISON},
    {"<=", RN_TERM_LESS_EQUAL, POWER_COMPARISON},
    {">", RN_TERM_GREATER, POWER_COMPARISON},
    {">=", RN_TERM_GREATER_EQUAL, POWER_COMPARISON},
    {"in", RN_TERM_IN, POWER_COMPARISON},
    {"not", RN_TERM_IN, POWER_COMPARISON}, /* not in */
    {"is", RN_TERM_IS_NULL, POWER_COMPARISON},
    {"+", RN_TERM_ADD, POWER_ADD},
    {"-", RN_TERM_SUBTRACT, POWER_ADD},
    {"*", RN_TERM_MULTIPLY, POWER_MULTIPLY},
    {"/", RN_TERM_DIVIDE, POWER_MULTIPLY},
    {"%", RN_TERM_REMAINDER, POWER_MULTIPLY},
};

static ration_status parse_above(rn_parser *parser, rn_power power, rn_expression **out_term);

static bool at_word(const rn_parser *parser, const char *word)
{
    return rn_token_is(&parser->token, parser->builder.text, word);
}

static void step(rn_parser *parser)
{
    parser->token = rn_lex(parser->builder.text, parser->builder.length,
                           parser->token.offset + parser->token.length);
}

static bool accept(rn_parser *parser, const char *word)
{
    bool yes = at_word(parser, word);
    if (yes) {
        step(parser);
    }
    return yes;
}

/* What the token in hand should have been. */
static ration_status expected(const rn_parser *parser, const char *what)
{
    const rn_builder *builder = &parser->builder;
    const rn_token *token = &parser->token;
    if (token->kind == RN_TOKEN_BAD) {
        return rn_build_error(builder, token->offset, "", "%s", token->bad);
    }
    if (token->kind == RN_TOKEN_END) {
        return rn_build_error(builder, token->offset, "",
                              "expected %s, found the end of the expression", what);
    }
    const char *from = builder->text + token->offset;
    char word[32];
    rn_text copy = rn_text_over(word, sizeof word);
    rn_text_put_bytes(&copy, from, token->length);
    for (size_t i = 0; token->kind == RN_TOKEN_NAME && i < 5; i++) {
        static const char *const keywords[] = {"and", "or", "not", "in", "is"};
        if (strcasecmp(word, keywords[i]) == 0 && strcmp(word, keywords[i]) != 0) {
            return rn_build_error(builder, token->offset, "keywords are written small",
                                  "expected %s, found %s", what, word);
        }
    }
    return rn_build_error(builder, token->offset, "", "expected %s, found %s", what, word);
}

static ration_status expect(rn_parser *parser, const char *word)
{
    return accept(parser, word) ? RATION_OK : expected(parser, word);
}

/* A name token as NUL-terminated text; names longer than any column's are cut and so not found. */
static ration_status read_name(rn_parser *parser, const char **out_name)
{
    const rn_token *token = &parser->token;
    rn_arena *arena = parser->builder.scope->arena;
    size_t length;
    char *name = token->kind == RN_TOKEN_QUOTED_NAME
                     ? rn_token_unquote(token, parser->builder.text, arena, &length)
                     : rn_arena_copy(arena, parser->builder.text + token->offset, token->length);
    if (name == NULL) {
        return rn_build_no_memory(&parser->builder);
    }
    step(parser);
    *out_name = name;
    return RATION_OK;
}

static bool at_name(const rn_parser *parser)
{
    return parser->token.kind == RN_TOKEN_NAME || parser->token.kind == RN_TOKEN_QUOTED_NAME;
}

static bool at_reserved(const rn_parser *parser)
{
    static const char *const reserved[] = {"or", "and", "not", "in", "is", "null", "true", "false"};
    for (size_t i = 0; i < RN_COUNT(reserved); i++) {
        if (at_word(parser, reserved[i])) {
            return true;
        }
    }
    return false;
}

/* Terms between commas up to `close`, as a chain. */
static ration_status parse_list(rn_parser *parser, const char *close, rn_expression **out_first,
                                uint32_t *out_count)
{
    rn_expression *first = NULL;
    rn_expression **end = &first;
    uint32_t count = 0;
    while (!at_word(parser, close)) {
        if (count > 0) {
            RN_TRY(expect(parser, ","));
        }
        RN_TRY(parse_above(parser, POWER_NONE, end));
        end = &(*end)->next;
        count++;
    }
    step(parser);
    *out_first = first;
    *out_count = count;
    return RATION_OK;
}

/* A column, a property, or a call. */
static ration_status parse_name(rn_parser *parser, rn_expression **out_term)
{
    const char *name;
    const char *property = NULL;
    size_t offset = parser->token.offset;
    bool plain = parser->token.kind == RN_TOKEN_NAME;
    RN_TRY(read_name(parser, &name));
    if (plain && accept(parser, "(")) {
        rn_expression *arguments;
        uint32_t count;
        RN_TRY(parse_list(parser, ")", &arguments, &count));
        return rn_build_call(&parser->builder, name, offset, arguments, count, out_term);
    }
    if (accept(parser, ".")) {
        if (!at_name(parser)) {
            return expected(parser, "a property");
        }
        RN_TRY(read_name(parser, &property));
    }
    return rn_build_name(&parser->builder, name, property, offset, out_term);
}

static ration_status parse_parameter(rn_parser *parser, rn_expression **out_term)
{
    rn_token token = parser->token;
    char *name = rn_arena_copy(parser->builder.scope->arena,
                               parser->builder.text + token.offset + 1, token.length - 1);
    if (name == NULL) {
        return rn_build_no_memory(&parser->builder);
    }
    step(parser);
    return rn_build_parameter(&parser->builder, name, token.offset, out_term);
}

static ration_status parse_prefix(rn_parser *parser, rn_power power, rn_expression **out_term)
{
    size_t offset = parser->token.offset;
    rn_expression *operand;
    if (at_word(parser, "not")) {
        if (power > POWER_NOT) {
            return rn_build_error(&parser->builder, offset, "write (not ...)",
                                  "`not` must stand in parentheses here");
        }
        step(parser);
        RN_TRY(parse_above(parser, POWER_NOT, &operand));
        return rn_build_unary(&parser->builder, RN_TERM_NOT, offset, operand, out_term);
    }
    if (accept(parser, "-")) {
        RN_TRY(parse_above(parser, POWER_SIGN, &operand));
        return rn_build_unary(&parser->builder, RN_TERM_NEGATE, offset, operand, out_term);
    }
    RN_TRY(expect(parser, "("));
    RN_TRY(parse_above(parser, POWER_NONE, out_term));
    return expect(parser, ")");
}

static ration_status parse_operand(rn_parser *parser, rn_power power, rn_expression **out_term)
{
    rn_builder *builder = &parser->builder;
    rn_token token = parser->token;
    const char *why = "";
    rn_value value;
    switch (rn_lex_literal(builder->text, builder->length, &parser->token, builder->scope->arena,
                           &value, &why)) {
    case RN_LITERAL_YES:
        return rn_build_literal(builder, &value, token.offset, out_term);
    case RN_LITERAL_BAD:
        return rn_build_error(builder, token.offset, "", "%.*s: %s", (int)RN_MIN(token.length, 40u),
                              builder->text + token.offset, why);
    case RN_LITERAL_NO_MEMORY:
        return rn_build_no_memory(builder);
    case RN_LITERAL_NO:
        break;
    }
    if (at_word(parser, "not") || at_word(parser, "-") || at_word(parser, "(")) {
        return parse_prefix(parser, power, out_term);
    }
    if (token.kind == RN_TOKEN_PARAMETER) {
        return parse_parameter(parser, out_term);
    }
    if (at_name(parser) && !at_reserved(parser)) {
        return parse_name(parser, out_term);
    }
    return expected(parser, "a value");
}

static ration_status parse_in(rn_parser *parser, size_t offset, rn_expression *left,
                              rn_expression **out_term)
{
    rn_expression *elements;
    uint32_t count;
    RN_TRY(expect(parser, "["));
    RN_TRY(parse_list(parser, "]", &elements, &count));
    return rn_build_in(&parser->builder, offset, left, elements, out_term);
}

/* What follows a left operand at the level of comparison: `in`, `not in`, `is null`, `is not null`,
 * `=` and its kin. */
static ration_status parse_comparison(rn_parser *parser, const rn_infix *infix, size_t offset,
                                      rn_expression *left, rn_expression **out_term)
{
    rn_expression *term = NULL;
    bool negated = strcmp(infix->text, "not") == 0;
    if (negated) {
        RN_TRY(expect(parser, "in"));
    }
    if (infix->term == RN_TERM_IN) {
        RN_TRY(parse_in(parser, offset, left, &term));
    } else if (infix->term == RN_TERM_IS_NULL) {
        negated = accept(parser, "not");
        RN_TRY(expect(parser, "null"));
        RN_TRY(rn_build_unary(&parser->builder, RN_TERM_IS_NULL, offset, left, &term));
    } else {
        rn_expression *right;
        RN_TRY(parse_above(parser, POWER_COMPARISON, &right));
        RN_TRY(rn_build_binary(&parser->builder, infix->term, offset, left, right, &term));
    }
    if (negated) {
        RN_TRY(rn_build_unary(&parser->builder, RN_TERM_NOT, offset, term, &term));
    }
    *out_term = term;
    return RATION_OK;
}

/* `a and b and c`: the operands as one chain. */
static ration_status parse_logic(rn_parser *parser, const rn_infix *infix, size_t offset,
                                 rn_expression *left, rn_expression **out_term)
{
    rn_expression **end = &left->next;
    do {
        RN_TRY(parse_above(parser, infix->power, end));
        end = &(*end)->next;
    } while (accept(parser, infix->text));
    return rn_build_logic(&parser->builder, infix->term, offset, left, out_term);
}

static const rn_infix *find_infix(const rn_parser *parser)
{
    for (size_t i = 0; i < RN_COUNT(infixes); i++) {
        if (at_word(parser, infixes[i].text)) {
            return &infixes[i];
        }
    }
    return NULL;
}

static ration_status parse_infixes(rn_parser *parser, rn_power power, rn_expression *left,
                                   rn_expression **out_term)
{
    bool compared = false;
    for (;;) {
        const rn_infix *infix = find_infix(parser);
        size_t offset = parser->token.offset;
        if (infix == NULL || infix->power <= power) {
            *out_term = left;
            return RATION_OK;
        }
        if (infix->power == POWER_COMPARISON && compared) {
            return rn_build_error(&parser->builder, offset,
                                  "join two comparisons with `and`, or use parentheses",
                                  "comparisons do not chain");
        }
        step(parser);
        if (infix->power <= POWER_AND) {
            RN_TRY(parse_logic(parser, infix, offset, left, &left));
        } else if (infix->power == POWER_COMPARISON) {
            RN_TRY(parse_comparison(parser, infix, offset, left, &left));
            compared = true;
        } else {
            rn_expression *right;
            RN_TRY(parse_above(parser, infix->power, &right));
            RN_TRY(rn_build_binary(&parser->builder, infix->term, offset, left, right, &left));
        }
    }
}

static ration_status parse_above(rn_parser *parser, rn_power power, rn_expression **out_term)
{
    if (parser->depth >= RN_EXPRESSION_DEPTH_MAX) {
        return rn_build_error(&parser->builder, parser->token.offset,
                              "give parts of it a name in a project step",
                              "expression nests deeper than %u levels", RN_EXPRESSION_DEPTH_MAX);
    }
    parser->depth++;
    rn_expression *left;
    RN_TRY(parse_operand(parser, power, &left));
    RN_TRY(parse_infixes(parser, power, left, out_term));
    parser->depth--;
    return RATION_OK;
}

ration_status rn_expression_parse(const rn_scope *scope, const char *text, size_t length, int line,
                                  int column, rn_expression **out_expression, ration_error *error)
{
    rn_parser parser = {.builder = {scope, NULL, text, length, line, column, 0, error}};
    rn_expression *term;
    rn_source *source = rn_arena_allocate(scope->arena, sizeof *source);
    if (source == NULL) {
        return rn_build_no_memory(&parser.builder);
    }
    source->file = rn_arena_copy(scope->arena, scope->file, strlen(scope->file));
    source->site = rn_arena_copy(scope->arena, scope->site, strlen(scope->site));
    parser.builder.source = source;
    if (source->file == NULL || source->site == NULL) {
        return rn_build_no_memory(&parser.builder);
    }
    parser.token = rn_lex(text, length, 0);
    if (parser.token.kind == RN_TOKEN_END) {
        return expected(&parser, "an expression");
    }
    RN_TRY(parse_above(&parser, POWER_NONE, &term));
    if (parser.token.kind != RN_TOKEN_END) {
        return expected(&parser, "the end of the expression");
    }
    if (rn_is_untyped(term)) {
        return rn_build_error(&parser.builder, 0, "int64(null) or double(null) have one",
                              "null has no type here");
    }
    *out_expression = term;
    return RATION_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree of an expression, shared by the parser, the type checker and the evaluator; nobody else
 * includes this.
 *
 * Parsing builds typed terms directly (there is no untyped tree): expression_parse.c reads text and
 * calls rn_build_*, which check types, convert int64 to double where the language does, and fold
 * terms of literals only (a fold that fails stays a term and fails when a row reaches it). Bounds:
 * RN_EXPRESSION_DEPTH_MAX levels, RN_EXPRESSION_TERMS_MAX terms.
 */
#ifndef RATION_EXPRESSION_TREE_H
#define RATION_EXPRESSION_TREE_H

#include "base/heap.h"
#include "executor/expression.h"

#define RN_EXPRESSION_DEPTH_MAX 64u
#define RN_EXPRESSION_TERMS_MAX 4096u

/* A null without a type yet: takes that of its neighbour, or is an error. */
#define RN_UNTYPED RN_KINDS

/* One row per term: name, text in messages and --explain. */
#define RN_TERM_MAP(X)                                                                             \
    X(LITERAL, "")                                                                                 \
    X(COLUMN, "")                                                                                  \
    X(PROPERTY, ".")                                                                               \
    X(OR, "or")                                                                                    \
    X(AND, "and")                                                                                  \
    X(COALESCE, "coalesce")                                                                        \
    X(NOT, "not")                                                                                  \
    X(IS_NULL, "is null")                                                                          \
    X(IN, "in")                                                                                    \
    X(EQUAL, "=")                                                                                  \
    X(NOT_EQUAL, "<>")                                                                             \
    X(LESS, "<")                                                                                   \
    X(LESS_EQUAL, "<=")                                                                            \
    X(GREATER, ">")                                                                                \
    X(GREATER_EQUAL, ">=")                                                                         \
    X(ADD, "+")                                                                                    \
    X(SUBTRACT, "-")                                                                               \
    X(MULTIPLY, "*")                                                                               \
    X(DIVIDE, "/")                                                                                 \
    X(REMAINDER, "%")                                                                              \
    X(NEGATE, "-")                                                                                 \
    X(ABS, "abs")                                                                                  \
    X(TO_INT64, "int64")                                                                           \
    X(TO_DOUBLE, "double")                                                                         \
    X(STARTS_WITH, "starts_with")                                                                  \
    X(ENDS_WITH, "ends_with")                                                                      \
    X(CONTAINS, "contains")                                                                        \
    X(LENGTH, "length")                                                                            \
    X(YEAR, "year")                                                                                \
    X(MONTH, "month")                                                                              \
    X(DAY, "day")                                                                                  \
    X(HOUR, "hour")                                                                                \
    X(MINUTE, "minute")                                                                            \
    X(SECOND, "second")                                                                            \
    X(LABEL, "label")

typedef enum rn_term {
#define RN_TERM_ENUM(name, text) RN_TERM_##name,
    RN_TERM_MAP(RN_TERM_ENUM)
#undef RN_TERM_ENUM
        RN_TERMS
} rn_term;

const char *rn_term_text(rn_term term);

/* The constants of an `in`: distinct, of one kind. More than RN_SET_LINEAR_MAX are found through
 * `table`. */
#define RN_SET_LINEAR_MAX 8u
typedef struct rn_set {
    uint32_t count;
    bool null;             /* the list holds a null: what is not found is unknown */
    const rn_value *alien; /* a constant that no value of the kind equals; NULL = none */
    const void *values;    /* rn_kind_bytes each */
    uint16_t
        *table; /* open addressing by hash, position + 1; 0 = free; NULL = search from the front */
    uint32_t mask; /* places - 1, places a power of two >= 2 x count */
} rn_set;

typedef struct rn_source {
    const char *file;
    const char *site;
} rn_source;

struct rn_expression {
    rn_term term;
    rn_type type;
    uint32_t depth; /* 1 + the deepest operand */
    int line, column;
    const rn_source *source;
    rn_expression *first; /* operands */
    rn_expression *next;  /* the next operand of the parent */
    union {
        rn_value literal;
        struct {
            uint32_t index;
            const char *name;
        } column;
        struct { /* of a node or edge */
            const char *name;
            const rn_property *const *columns; /* by label or edge type; NULL = it has none */
            const uint32_t *firsts;            /* nodes: first node by label */
            uint32_t count;
        } property;
        struct {
            const rn_string *names; /* by label or edge type */
            uint32_t count;
        } labels;
        rn_set set;
    } as;
};

/* ---- building ---- */

typedef struct rn_builder {
    const rn_scope *scope;
    const rn_source *source;
    const char *text;
    size_t length;
    int line, column; /* of the text's first byte */
    uint32_t terms;
    ration_error *error;
} rn_builder;

/* PLAN at byte `offset` of the text; the message is prefixed with the operator's name. */
ration_status rn_build_error(const rn_builder *builder, size_t offset, const char *hint,
                             const char *format, ...) RN_PRINTF(4, 5);
ration_status rn_build_no_memory(const rn_builder *builder);
/* A term over `operands` (a chain by `next`); checks depth and size, then folds. */
RATION_NODISCARD ration_status rn_build_term(rn_builder *builder, rn_term term, rn_type type,
                                             size_t offset, rn_expression *operands,
                                             rn_expression **out_term);
RATION_NODISCARD ration_status rn_build_literal(rn_builder *builder, const rn_value *value,
                                                size_t offset, rn_expression **out_term);
/* Arithmetic, comparison; `or`, `and` over a chain; not, negate, is null. */
RATION_NODISCARD ration_status rn_build_binary(rn_builder *builder, rn_term term, size_t offset,
                                               rn_expression *left, rn_expression *right,
                                               rn_expression **out_term);
RATION_NODISCARD ration_status rn_build_logic(rn_builder *builder, rn_term term, size_t offset,
                                              rn_expression *operands, rn_expression **out_term);
RATION_NODISCARD ration_status rn_build_unary(rn_builder *builder, rn_term term, size_t offset,
                                              rn_expression *operand, rn_expression **out_term);
/* `operand in [elements]`; elements are literal terms. */
RATION_NODISCARD ration_status rn_build_in(rn_builder *builder, size_t offset,
                                           rn_expression *operand, rn_expression *elements,
                                           rn_expression **out_term);
RATION_NODISCARD ration_status rn_build_call(rn_builder *builder, const char *name, size_t offset,
                                             rn_expression *arguments, uint32_t count,
                                             rn_expression **out_term);
/* `name`, or `name.property` when property is not NULL. */
RATION_NODISCARD ration_status rn_build_name(rn_builder *builder, const char *name,
                                             const char *property, size_t offset,
                                             rn_expression **out_term);
RATION_NODISCARD ration_status rn_build_parameter(rn_builder *builder, const char *name,
                                                  size_t offset, rn_expression **out_term);
/* `label(x)`: the names of x's labels or edge types. */
RATION_NODISCARD ration_status rn_build_label_term(rn_builder *builder, size_t offset,
                                                   rn_expression *operand,
                                                   rn_expression **out_term);
/* Gives an untyped null its type. */
void rn_build_adopt(rn_expression *term, rn_type type);
static inline bool rn_is_untyped(const rn_expression *term)
{
    return term->type.kind == RN_UNTYPED;
}

/* The nearer to `word` of `best` (may be NULL) and `candidate`, or NULL: "did you mean" over names
 * that lie anywhere. */
const char *rn_nearer(const char *word, const char *best, const char *candidate);
/* "did you mean x?" or "". `hint` is returned. */
const char *rn_mean(char *hint, size_t capacity, const char *best);

/* ---- lexing ---- */

typedef enum rn_token_kind {
    RN_TOKEN_END,
    RN_TOKEN_NAME,
    RN_TOKEN_QUOTED_NAME, /* in backquotes */
    RN_TOKEN_PARAMETER,
    RN_TOKEN_INT64,
    RN_TOKEN_DOUBLE,
    RN_TOKEN_STRING,
    RN_TOKEN_MARK, /* punctuation */
    RN_TOKEN_BAD   /* why: `bad` */
} rn_token_kind;

typedef struct rn_token {
    rn_token_kind kind;
    size_t offset, length; /* in the text, with quotes and `$` */
    const char *bad;
} rn_token;

rn_token rn_lex(const char *text, size_t length, size_t from);
/* Is the token this keyword or mark? */
bool rn_token_is(const rn_token *token, const char *text, const char *word);
/* What stands between the quotes, doubled quotes halved; NUL-terminated; NULL = no memory. */
char *rn_token_unquote(const rn_token *token, const char *text, rn_arena *arena,
                       size_t *out_length);

typedef enum rn_literal_answer {
    RN_LITERAL_YES,
    RN_LITERAL_NO,
    RN_LITERAL_BAD,
    RN_LITERAL_NO_MEMORY
} rn_literal_answer;
/* The literal that starts at `token` (advanced past it): a number with an optional `-`, a string,
 * date '..', timestamp '..', true, false, null (untyped). BAD: it starts like one; `why` says what
 * is wrong. */
rn_literal_answer rn_lex_literal(const char *text, size_t length, rn_token *token, rn_arena *arena,
                                 rn_value *out_value, const char **why);

/* ---- folding ---- */

/* The value of a term without columns; false when it has none (an error, no memory). */
bool rn_evaluate_constant(const rn_expression *expression, rn_value *out_value);

/* <0, 0, >0, exactly, in the order of storage/value.h. */
int rn_compare_int64_double(int64_t a, double b);

#endif

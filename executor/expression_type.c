/* SPDX-License-Identifier: Apache-2.0
 *
 * Types of operators and functions: what may stand where, what comes out, and the sentence when it
 * may not.
 *
 * Rules: a null literal takes the type of its neighbour; int64 meets double by becoming a double in
 * arithmetic and coalesce; a comparison of the two is exact instead (a literal on one side changes
 * type where that loses nothing, else the term compares int64 with double). Nothing else converts
 * by itself.
 */
#include "executor/expression_tree.h"

/* "p.name (string)", short enough for a message. */
typedef struct rn_phrase {
    char text[120];
} rn_phrase;

static rn_phrase describe(const rn_expression *term)
{
    rn_phrase phrase;
    char put[64];
    char type[32];
    rn_text text = rn_text_over(put, sizeof put);
    rn_expression_put(term, &text);
    bool cut = text.length >= sizeof put;
    (void)snprintf(phrase.text, sizeof phrase.text, "%s%s (%s)", put, cut ? "..." : "",
                   rn_is_untyped(term) ? "null" : rn_type_name(term->type, type));
    return phrase;
}

static bool is_number(const rn_expression *term)
{
    return term->type.kind == RN_INT64 || term->type.kind == RN_DOUBLE;
}

static void adopt_if_untyped(rn_expression *term, rn_kind kind)
{
    if (rn_is_untyped(term)) {
        rn_build_adopt(term, rn_type_of(kind));
    }
}

/* Both operands get one type when one of them is an untyped null. */
static void adopt_each_other(rn_expression *left, rn_expression *right)
{
    if (rn_is_untyped(left)) {
        adopt_if_untyped(right, RN_INT64);
        rn_build_adopt(left, right->type);
    } else if (rn_is_untyped(right)) {
        rn_build_adopt(right, left->type);
    }
}

/* ---- comparison ---- */

int rn_compare_int64_double(int64_t a, double b)
{
    if (b != b || b >= 0x1p63) {
        return -1;
    }
    if (b < -0x1p63) {
        return 1;
    }
    int64_t whole = (int64_t)b;
    if (a != whole) {
        return a < whole ? -1 : 1;
    }
    double rest = b - (double)whole; /* exact: either |b| < 2^53 or b is whole */
    return rest > 0 ? -1 : rest < 0;
}

/* A literal of the other kind of number becomes `kind` when it stays the same number. */
static void convert_exact_literal(rn_expression *term, rn_kind kind)
{
    if (term->term != RN_TERM_LITERAL) {
        return;
    }
    rn_value *value = &term->as.literal;
    if (!value->null && kind == RN_DOUBLE) {
        double real = (double)value->as.integer;
        if (rn_compare_int64_double(value->as.integer, real) != 0) {
            return;
        }
        value->as.real = real;
    } else if (!value->null) {
        double real = value->as.real;
        if (!(real >= -0x1p63 && real < 0x1p63) ||
            rn_compare_int64_double((int64_t)real, real) != 0) {
            return;
        }
        value->as.integer = (int64_t)real;
    }
    term->type = rn_type_of(kind);
    value->type = term->type;
}

static const char *advise_comparison(const rn_expression *a, const rn_expression *b)
{
    const rn_expression *text = a->type.kind == RN_STRING ? a : b;
    const rn_expression *other = text == a ? b : a;
    if (text->type.kind == RN_STRING) {
        switch (other->type.kind) {
        case RN_INT64:
        case RN_DOUBLE:
            return "text stands in quotes, numbers do not";
        case RN_DATE:
            return "write date '2020-01-31'";
        case RN_TIMESTAMP:
            return "write timestamp '2020-01-31T12:00:00Z'";
        case RN_NODE:
        case RN_EDGE:
            return "compare a property of it";
        default:
            return "";
        }
    }
    bool times = (a->type.kind == RN_DATE || a->type.kind == RN_TIMESTAMP) &&
                 (b->type.kind == RN_DATE || b->type.kind == RN_TIMESTAMP);
    if (times) {
        return "compare year, month and day, or write both alike";
    }
    return a->type.kind == RN_NODE || b->type.kind == RN_NODE ? "compare a property of it" : "";
}

static ration_status build_comparison(rn_builder *builder, rn_term term, size_t offset,
                                      rn_expression *left, rn_expression *right,
                                      rn_expression **out_term)
{
    adopt_each_other(left, right);
    if (is_number(left) && is_number(right) && left->type.kind != right->type.kind) {
        convert_exact_literal(left, (rn_kind)right->type.kind);
        if (left->type.kind != right->type.kind) {
            convert_exact_literal(right, (rn_kind)left->type.kind);
        }
    } else if (!rn_type_equal(left->type, right->type)) {
        return rn_build_error(builder, offset, advise_comparison(left, right),
                              "cannot compare %s with %s", describe(left).text,
                              describe(right).text);
    }
    bool ordered = term != RN_TERM_EQUAL && term != RN_TERM_NOT_EQUAL;
    if (ordered && (left->type.kind == RN_NODE || left->type.kind == RN_EDGE)) {
        return rn_build_error(builder, offset, "compare a property, or use = and <>",
                              "%ss have no order: %s %s %s", rn_kind_name((rn_kind)left->type.kind),
                              describe(left).text, rn_term_text(term), describe(right).text);
    }
    left->next = right;
    return rn_build_term(builder, term, rn_type_of(RN_BOOL), offset, left, out_term);
}

/* ---- arithmetic ---- */

static ration_status convert_to_double(rn_builder *builder, size_t offset, rn_expression **term)
{
    if ((*term)->type.kind == RN_DOUBLE) {
        return RATION_OK;
    }
    rn_expression *rest = (*term)->next;
    (*term)->next = NULL;
    RN_TRY(rn_build_term(builder, RN_TERM_TO_DOUBLE, rn_type_of(RN_DOUBLE), offset, *term, term));
    (*term)->next = rest;
    return RATION_OK;
}

static ration_status build_arithmetic(rn_builder *builder, rn_term term, size_t offset,
                                      rn_expression *left, rn_expression *right,
                                      rn_expression **out_term)
{
    adopt_each_other(left, right);
    if (!is_number(left) || !is_number(right)) {
        return rn_build_error(builder, offset, "", "`%s` needs numbers, %s is none",
                              rn_term_text(term), describe(is_number(left) ? right : left).text);
    }
    if (left->type.kind != right->type.kind) {
        RN_TRY(convert_to_double(builder, offset, &left));
        RN_TRY(convert_to_double(builder, offset, &right));
    }
    left->next = right;
    return rn_build_term(builder, term, left->type, offset, left, out_term);
}

ration_status rn_build_binary(rn_builder *builder, rn_term term, size_t offset, rn_expression *left,
                              rn_expression *right, rn_expression **out_term)
{
    if (term >= RN_TERM_EQUAL && term <= RN_TERM_GREATER_EQUAL) {
        return build_comparison(builder, term, offset, left, right, out_term);
    }
    return build_arithmetic(builder, term, offset, left, right, out_term);
}

/* ---- logic ---- */

ration_status rn_build_logic(rn_builder *builder, rn_term term, size_t offset,
                             rn_expression *operands, rn_expression **out_term)
{
    for (rn_expression *at = operands; at != NULL; at = at->next) {
        adopt_if_untyped(at, RN_BOOL);
        if (at->type.kind != RN_BOOL) {
            return rn_build_error(builder, offset, "compare it with something",
                                  "`%s` needs conditions, %s is none", rn_term_text(term),
                                  describe(at).text);
        }
    }
    return rn_build_term(builder, term, rn_type_of(RN_BOOL), offset, operands, out_term);
}

ration_status rn_build_unary(rn_builder *builder, rn_term term, size_t offset,
                             rn_expression *operand, rn_expression **out_term)
{
    if (term == RN_TERM_NOT) {
        return rn_build_logic(builder, term, offset, operand, out_term);
    }
    adopt_if_untyped(operand, RN_INT64);
    if (term == RN_TERM_IS_NULL) {
        return rn_build_term(builder, term, rn_type_of(RN_BOOL), offset, operand, out_term);
    }
    if (!is_number(operand)) {
        return rn_build_error(builder, offset, "", "`-` needs a number, %s is none",
                              describe(operand).text);
    }
    return rn_build_term(builder, term, operand->type, offset, operand, out_term);
}

/* ---- in ---- */

/* Checks one element and gives it the operand's type. A number that no value of that type equals
 * keeps its own. */
static ration_status fit_element(rn_builder *builder, size_t offset, const rn_expression *operand,
                                 rn_expression *element)
{
    if (rn_is_untyped(element)) {
        rn_build_adopt(element, operand->type);
    }
    if (element->term != RN_TERM_LITERAL) {
        return rn_build_error(builder, offset, "join comparisons with `or`",
                              "`in` takes literals and parameters, found %s",
                              describe(element).text);
    }
    if (is_number(operand) && is_number(element) && operand->type.kind != element->type.kind) {
        convert_exact_literal(element, (rn_kind)operand->type.kind);
    } else if (!rn_type_equal(operand->type, element->type)) {
        return rn_build_error(builder, offset, advise_comparison(operand, element),
                              "cannot compare %s with %s", describe(operand).text,
                              describe(element).text);
    }
    return RATION_OK;
}

/* Where the value is in the table, or the free place where it belongs. */
static uint32_t find_place(const rn_set *set, rn_type type, const char *value)
{
    size_t width = rn_kind_bytes((rn_kind)type.kind);
    uint32_t place = (uint32_t)rn_value_hash(type, RN_HASH_SEED, value) & set->mask;
    while (set->table[place] != 0 &&
           !rn_value_equal(type, (const char *)set->values + width * (set->table[place] - 1u),
                           value)) {
        place = (place + 1) & set->mask;
    }
    return place;
}

static ration_status fill_set(rn_builder *builder, rn_type type, const rn_expression *elements,
                              uint32_t count, rn_set *set)
{
    size_t width = rn_kind_bytes((rn_kind)type.kind);
    uint32_t places = 16;
    while (places < 2 * count) {
        places *= 2;
    }
    char *values = rn_arena_allocate(builder->scope->arena, width * count);
    uint16_t *table = rn_arena_allocate(builder->scope->arena, places * sizeof *table);
    if (values == NULL || table == NULL) {
        return rn_build_no_memory(builder);
    }
    *set = (rn_set){0, false, NULL, values, table, places - 1};
    for (const rn_expression *at = elements; at != NULL; at = at->next) {
        if (at->as.literal.null) {
            set->null = true;
        } else if (!rn_type_equal(at->type, type)) {
            set->alien = &at->as.literal;
        } else {
            uint32_t place = find_place(set, type, (const char *)&at->as.literal.as);
            if (table[place] == 0) {
                memcpy(values + width * set->count, &at->as.literal.as, width);
                table[place] = (uint16_t)++set->count;
            }
        }
    }
    if (set->count <= RN_SET_LINEAR_MAX) {
        set->table = NULL;
    }
    return RATION_OK;
}

ration_status rn_build_in(rn_builder *builder, size_t offset, rn_expression *operand,
                          rn_expression *elements, rn_expression **out_term)
{
    uint32_t count = 0;
    for (rn_expression *at = elements; at != NULL; at = at->next) {
        if (rn_is_untyped(operand) && !rn_is_untyped(at)) {
            rn_build_adopt(operand, at->type);
        }
        count++;
    }
    adopt_if_untyped(operand, RN_INT64);
    for (rn_expression *at = elements; at != NULL; at = at->next) {
        RN_TRY(fit_element(builder, offset, operand, at));
    }
    rn_expression *term;
    operand->next = NULL;
    RN_TRY(rn_build_term(builder, RN_TERM_IN, rn_type_of(RN_BOOL), offset, operand, &term));
    RN_TRY(fill_set(builder, operand->type, elements, count, &term->as.set));
    *out_term = term;
    return RATION_OK;
}

/* ---- functions ---- */

typedef struct rn_function {
    const char *name;
    rn_term term;
    uint32_t least, most; /* arguments */
    rn_kind result;
} rn_function;

static const rn_function functions[] = {
    {"starts_with", RN_TERM_STARTS_WITH, 2, 2, RN_BOOL},
    {"ends_with", RN_TERM_ENDS_WITH, 2, 2, RN_BOOL},
    {"contains", RN_TERM_CONTAINS, 2, 2, RN_BOOL},
    {"length", RN_TERM_LENGTH, 1, 1, RN_INT64},
    {"year", RN_TERM_YEAR, 1, 1, RN_INT64},
    {"month", RN_TERM_MONTH, 1, 1, RN_INT64},
    {"day", RN_TERM_DAY, 1, 1, RN_INT64},
    {"hour", RN_TERM_HOUR, 1, 1, RN_INT64},
    {"minute", RN_TERM_MINUTE, 1, 1, RN_INT64},
    {"second", RN_TERM_SECOND, 1, 1, RN_INT64},
    {"coalesce", RN_TERM_COALESCE, 1, RN_EXPRESSION_TERMS_MAX, RN_UNTYPED},
    {"abs", RN_TERM_ABS, 1, 1, RN_UNTYPED},
    {"int64", RN_TERM_TO_INT64, 1, 1, RN_INT64},
    {"double", RN_TERM_TO_DOUBLE, 1, 1, RN_DOUBLE},
    {"label", RN_TERM_LABEL, 1, 1, RN_STRING},
};

/* What the arguments of a function must be; the first kind is what an untyped null becomes. */
typedef struct rn_demand {
    rn_kind kinds[2];
    const char *sentence;
} rn_demand;

static rn_demand demand_of(rn_term term)
{
    switch (term) {
    case RN_TERM_STARTS_WITH:
    case RN_TERM_ENDS_WITH:
    case RN_TERM_CONTAINS:
        return (rn_demand){{RN_STRING, RN_STRING}, "strings"};
    case RN_TERM_LENGTH:
        return (rn_demand){{RN_STRING, RN_LIST}, "a string or a list"};
    case RN_TERM_YEAR:
    case RN_TERM_MONTH:
    case RN_TERM_DAY:
        return (rn_demand){{RN_DATE, RN_TIMESTAMP}, "a date or timestamp"};
    case RN_TERM_HOUR:
    case RN_TERM_MINUTE:
    case RN_TERM_SECOND:
        return (rn_demand){{RN_TIMESTAMP, RN_TIMESTAMP}, "a timestamp"};
    case RN_TERM_LABEL:
        return (rn_demand){{RN_NODE, RN_EDGE}, "a node or an edge"};
    default:
        return (rn_demand){{RN_INT64, RN_DOUBLE}, "a number"};
    }
}

/* All arguments get one type; those that are an untyped null take it over. */
static ration_status build_coalesce(rn_builder *builder, size_t offset, rn_expression *arguments,
                                    rn_expression **out_term)
{
    const rn_expression *model = arguments;
    for (const rn_expression *at = arguments; at != NULL; at = at->next) {
        bool wider = is_number(model) && at->type.kind == RN_DOUBLE;
        model = rn_is_untyped(model) || wider ? at : model;
    }
    if (rn_is_untyped(model)) {
        arguments->next = NULL;
        *out_term = arguments;
        return RATION_OK;
    }
    rn_type type = model->type;
    for (rn_expression **at = &arguments; *at != NULL; at = &(*at)->next) {
        if (rn_is_untyped(*at)) {
            rn_build_adopt(*at, type);
        } else if (type.kind == RN_DOUBLE && (*at)->type.kind == RN_INT64) {
            RN_TRY(convert_to_double(builder, offset, at));
        } else if (!rn_type_equal((*at)->type, type)) {
            return rn_build_error(builder, offset, "",
                                  "coalesce needs arguments of one type, not %s and %s",
                                  describe(model).text, describe(*at).text);
        }
        if ((*at)->type.label != type.label) {
            type.label = RN_LABEL_ANY;
        }
    }
    return rn_build_term(builder, RN_TERM_COALESCE, type, offset, arguments, out_term);
}

static const rn_function *find_function(const char *name, const char **best)
{
    for (size_t i = 0; i < RN_COUNT(functions); i++) {
        if (strcmp(functions[i].name, name) == 0) {
            return &functions[i];
        }
        *best = rn_nearer(name, *best, functions[i].name);
    }
    return NULL;
}

ration_status rn_build_call(rn_builder *builder, const char *name, size_t offset,
                            rn_expression *arguments, uint32_t count, rn_expression **out_term)
{
    char hint[128] = "";
    const char *best = NULL;
    const rn_function *function = find_function(name, &best);
    if (function == NULL) {
        return rn_build_error(builder, offset, rn_mean(hint, sizeof hint, best),
                              "unknown function %.64s", name);
    }
    if (count < function->least || count > function->most) {
        return rn_build_error(builder, offset, "", "%s takes %u argument%s%s, not %u", name,
                              function->least, function->least == 1 ? "" : "s",
                              function->most > function->least ? " or more" : "", count);
    }
    if (function->term == RN_TERM_COALESCE) {
        return build_coalesce(builder, offset, arguments, out_term);
    }
    rn_demand demand = demand_of(function->term);
    for (rn_expression *at = arguments; at != NULL; at = at->next) {
        adopt_if_untyped(at, demand.kinds[0]);
        if (at->type.kind != demand.kinds[0] && at->type.kind != demand.kinds[1]) {
            return rn_build_error(builder, offset, "", "%s needs %s, not %s", name, demand.sentence,
                                  describe(at).text);
        }
    }
    if (function->term == RN_TERM_LABEL) {
        return rn_build_label_term(builder, offset, arguments, out_term);
    }
    rn_kind result =
        function->result == RN_UNTYPED ? (rn_kind)arguments->type.kind : function->result;
    bool idle = (function->term == RN_TERM_TO_INT64 || function->term == RN_TERM_TO_DOUBLE) &&
                arguments->type.kind == result;
    if (idle) {
        *out_term = arguments;
        return RATION_OK;
    }
    return rn_build_term(builder, function->term, rn_type_of(result), offset, arguments, out_term);
}

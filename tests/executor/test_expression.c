/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing, typing, folding and messages of expressions. */
#include "tests/executor/expression_world.h"

#define FIELD(name_, kind_)                                                                        \
    {                                                                                              \
        name_,                                                                                     \
        {                                                                                          \
            (kind_), RN_INT64, RN_LABEL_ANY                                                        \
        }                                                                                          \
    }

static const rn_field fields[] = {
    FIELD("i", RN_INT64),    FIELD("d", RN_DOUBLE),        FIELD("s", RN_STRING),
    FIELD("b", RN_BOOL),     FIELD("day", RN_DATE),        FIELD("t", RN_TIMESTAMP),
    FIELD("n", RN_NODE),     FIELD("e", RN_EDGE),          FIELD("l", RN_LIST),
    FIELD("a.id", RN_INT64), FIELD("two words", RN_INT64), FIELD("date", RN_DATE),
};

static expression_world world;

static void setup(void)
{
    static rn_parameter parameters[2] = {{.name = "min"}, {.name = "name"}};
    parameters[0].value.type = rn_type_of(RN_INT64);
    parameters[0].value.as.integer = 18;
    parameters[1].value.type = rn_type_of(RN_STRING);
    parameters[1].value.as.string = rn_string_over("a long text with '", 18);
    open_world(&world, fields, RN_COUNT(fields), parameters, RN_COUNT(parameters));
}

typedef struct example {
    const char *text, *expected;
} example;

START_TEST(test_expression__binds_as_documented)
{
    setup();
    static const example examples[] = {
        {"i + i * i - i", "((i + (i * i)) - i)"},
        {"i - i - i", "((i - i) - i)"},
        {"not b and b or b", "(((not b) and b) or b)"},
        {"not i = 1", "(not (i = 1))"},
        {"b and b and b", "(b and b and b)"},
        {"b and (b or b)", "(b and (b or b))"},
        {"-i * -2", "((- i) * -2)"},
        {"i--1", "(i - -1)"},
        {"(i + 1) * 2 >= 3 or i is not null", "((((i + 1) * 2) >= 3) or (not (i is null)))"},
        {"i not in [1, 2, 1]", "(not (i in [1, 2]))"},
        {"s in ['a', null, $name]", "(s in ['a', 'a long text with ''', null])"},
        {"s <> 'it''s'", "(s <> 'it''s')"},
        {"day < date '2020-01-31'", "(day < date '2020-01-31')"},
        {"t = timestamp '2020-01-31 12:00:00+01:00'", "(t = timestamp '2020-01-31T11:00:00Z')"},
        {"date = day", "(date = day)"},
        {"coalesce(i, null, 3)", "coalesce(i, null, 3)"},
        {"starts_with(s, $name)", "starts_with(s, 'a long text with ''')"},
        {"`a.id` = a.id", "(`a.id` = `a.id`)"},
        {"`two words` < $min", "(`two words` < 18)"},
        {"\n i\t=\r 1 ", "(i = 1)"},
        {"-9223372036854775808 < i", "(-9223372036854775808 < i)"},
    };
    for (size_t k = 0; k < RN_COUNT(examples); k++) {
        ck_assert_str_eq(put(parse(&world, examples[k].text)), examples[k].expected);
    }
    close_world(&world);
}
END_TEST

START_TEST(test_expression__reads_back_what_it_writes)
{
    setup();
    static const char *const texts[] = {
        "t >= timestamp '1969-12-31T23:59:59.5Z'",
        "d = 1e300 or d = 0.1 or d = 3.0",
        "length(s) % 7 <= year(day) / 3",
        "s in ['', 'it''s', null] and not (n = n)",
        "abs(-d) < double(i) + 1",
        "coalesce(null, s, 'x') = s",
    };
    for (size_t k = 0; k < RN_COUNT(texts); k++) {
        char first[512];
        rn_copy_text(first, sizeof first, put(parse(&world, texts[k])));
        ck_assert_str_eq(put(parse(&world, first)), first);
    }
    close_world(&world);
}
END_TEST

START_TEST(test_expression__folds_literals_only_when_that_succeeds)
{
    setup();
    static const example examples[] = {
        {"1 + 2 * 3", "7"},
        {"'a' < 'b' and 1 = 1.0", "true"},
        {"null is null", "true"},
        {"true or null", "true"},
        {"null = 1", "null"},
        {"false and 1 / 0 = 1", "(false and ((1 / 0) = 1))"},
        {"1 / 0", "(1 / 0)"},
        {"9223372036854775807 + 1", "(9223372036854775807 + 1)"},
        {"year(date '2020-02-29') + i", "(2020 + i)"},
        {"double(3)", "3.0"},
        {"int64(-2.9)", "-2"},
        {"int64(1e19)", "int64(1e+19)"},
        {"d > 3", "(d > 3.0)"},
        {"i > 3.0", "(i > 3)"},
        {"i > 2.5", "(i > 2.5)"},
        {"d = 9007199254740993", "(d = 9007199254740993)"},
        {"i in [1, 2.5, 3.0]", "(i in [1, 3])"},
        {"i in [2.5, null, 1e30]", "(i in [1e+30, null])"},
        {"i in []", "(i in [])"},
        {"coalesce(null, null, 's')", "'s'"},
        {"1 < 2.5", "true"},
        {"9007199254740993 = 9007199254740992.0", "false"},
    };
    for (size_t k = 0; k < RN_COUNT(examples); k++) {
        ck_assert_str_eq(put(parse(&world, examples[k].text)), examples[k].expected);
    }
    close_world(&world);
}
END_TEST

START_TEST(test_expression__has_types)
{
    setup();
    static const struct {
        const char *text;
        rn_kind kind;
        int column;
    } examples[] = {
        {"i", RN_INT64, 0},
        {"(d)", RN_DOUBLE, 1},
        {"i + i", RN_INT64, -1},
        {"i + d", RN_DOUBLE, -1},
        {"i / 2.0", RN_DOUBLE, -1},
        {"i = d", RN_BOOL, -1},
        {"length(l)", RN_INT64, -1},
        {"coalesce(i, 1.5)", RN_DOUBLE, -1},
        {"coalesce(s, null)", RN_STRING, -1},
        {"int64(null)", RN_INT64, -1},
        {"-d", RN_DOUBLE, -1},
        {"abs(i)", RN_INT64, -1},
        {"hour(t)", RN_INT64, -1},
        {"n = n", RN_BOOL, -1},
        {"l = l", RN_BOOL, -1},
        {"coalesce(n, n)", RN_NODE, -1},
        {"int64(i)", RN_INT64, 0},
        {"null + null", RN_INT64, -1},
    };
    for (size_t k = 0; k < RN_COUNT(examples); k++) {
        const rn_expression *expression = parse(&world, examples[k].text);
        ck_assert_msg(rn_expression_type(expression).kind == examples[k].kind, "%s",
                      examples[k].text);
        ck_assert_int_eq(rn_expression_column(expression), examples[k].column);
    }
    close_world(&world);
}
END_TEST

static const example mistakes[] = {
    {"s < 3", "plan.yaml:7:17: error: filter: cannot compare s (string) with 3 (int64) (text "
              "stands in quotes, numbers do not)"},
    {"day = '2020-01-31'", "plan.yaml:7:19: error: filter: cannot compare day (date) with "
                           "'2020-01-31' (string) (write date '2020-01-31')"},
    {"n < n", "plan.yaml:7:17: error: filter: nodes have no order: n (node) < n (node) "
              "(compare a property, or use = and <>)"},
    {"s + 1", "plan.yaml:7:17: error: filter: `+` needs numbers, s (string) is none"},
    {"i and b", "plan.yaml:7:17: error: filter: `and` needs conditions, i (int64) is none "
                "(compare it with something)"},
    {"not s", "plan.yaml:7:15: error: filter: `not` needs conditions, s (string) is none "
              "(compare it with something)"},
    {"-s", "plan.yaml:7:15: error: filter: `-` needs a number, s (string) is none"},
    {"dya = day", "plan.yaml:7:15: error: filter: no column dya (did you mean day?)"},
    {"i = $nme", "plan.yaml:7:19: error: filter: no parameter $nme (did you mean name?)"},
    {"i = $", "plan.yaml:7:19: error: filter: a parameter is $ and a name"},
    {"lenght(s)", "plan.yaml:7:15: error: filter: unknown function lenght (did you mean length?)"},
    {"length(i)", "plan.yaml:7:15: error: filter: length needs a string or a list, not i (int64)"},
    {"hour(day)", "plan.yaml:7:15: error: filter: hour needs a timestamp, not day (date)"},
    {"contains(s)", "plan.yaml:7:15: error: filter: contains takes 2 arguments, not 1"},
    {"coalesce()", "plan.yaml:7:15: error: filter: coalesce takes 1 argument or more, not 0"},
    {"coalesce(i, s)", "plan.yaml:7:15: error: filter: coalesce needs arguments of one type, "
                       "not i (int64) and s (string)"},
    {"i in [i]", "plan.yaml:7:17: error: filter: `in` takes literals and parameters, found i "
                 "(int64) (join comparisons with `or`)"},
    {"i in ['a']", "plan.yaml:7:17: error: filter: cannot compare i (int64) with 'a' (string) "
                   "(text stands in quotes, numbers do not)"},
    {"i < i < i", "plan.yaml:7:21: error: filter: comparisons do not chain (join two "
                  "comparisons with `and`, or use parentheses)"},
    {"i = not b",
     "plan.yaml:7:19: error: filter: `not` must stand in parentheses here (write (not ...))"},
    {"i == 1", "plan.yaml:7:17: error: filter: unknown operator (write =, <>, and, or)"},
    {"b AND b", "plan.yaml:7:17: error: filter: expected the end of the expression, found AND "
                "(keywords are written small)"},
    {"i +", "plan.yaml:7:18: error: filter: expected a value, found the end of the expression"},
    {"", "plan.yaml:7:15: error: filter: expected an expression, found the end of the expression"},
    {"(i", "plan.yaml:7:17: error: filter: expected ), found the end of the expression"},
    {"i i", "plan.yaml:7:17: error: filter: expected the end of the expression, found i"},
    {"s = 'abc", "plan.yaml:7:19: error: filter: text without closing '"},
    {"i = 9223372036854775808", "plan.yaml:7:19: error: filter: 9223372036854775808: beyond int64"},
    {"d = 1e999", "plan.yaml:7:19: error: filter: 1e999: beyond double"},
    {"i = 12abc", "plan.yaml:7:19: error: filter: malformed number"},
    {"i # 2", "plan.yaml:7:17: error: filter: unexpected character"},
    {"day = date '2021-02-29'",
     "plan.yaml:7:21: error: filter: date: no such day (write date '2020-01-31')"},
    {"null", "plan.yaml:7:15: error: filter: null has no type here (int64(null) or "
             "double(null) have one)"},
    {"i.x = 1", "plan.yaml:7:15: error: filter: i (int64) has no properties"},
    {"n.x = 1",
     "plan.yaml:7:15: error: filter: n.x needs a graph (name one with graph: or --graph)"},
    {"'\xc3\xa4\xc3\xb6' + 1",
     "plan.yaml:7:20: error: filter: `+` needs numbers, '\xc3\xa4\xc3\xb6' (string) is none"},
    {"zzzzzzzzzz", "plan.yaml:7:15: error: filter: no column zzzzzzzzzz (columns: i, d, s, b, "
                   "day, t, n, e, l, a.id, two words, date)"},
};

START_TEST(test_expression__explains_mistakes)
{
    setup();
    for (size_t k = 0; k < RN_COUNT(mistakes); k++) {
        rn_expression *expression = NULL;
        ration_error error;
        memset(&error, 0, sizeof error);
        ck_assert_msg(try_parse(&world, mistakes[k].text, &expression, &error) == RATION_PLAN, "%s",
                      mistakes[k].text);
        ck_assert_str_eq(support_error(&error), mistakes[k].expected);
        ck_assert_ptr_null(expression);
        ck_assert_int_eq(try_parse(&world, mistakes[k].text, &expression, NULL), RATION_PLAN);
    }
    close_world(&world);
}
END_TEST

/* `count` times `one`, then `last`, then `count` times `end`. */
static char *repeat(const char *one, int count, const char *last, const char *end)
{
    static char text[65536];
    rn_text out = rn_text_over(text, sizeof text);
    for (int i = 0; i < count; i++) {
        rn_text_put(&out, one);
    }
    rn_text_put(&out, last);
    for (int i = 0; i < count; i++) {
        rn_text_put(&out, end);
    }
    ck_assert_uint_lt(out.length, sizeof text);
    return text;
}

START_TEST(test_expression__is_bounded)
{
    setup();
    rn_expression *expression;
    ration_error error;
    (void)parse(&world, repeat("(", 60, "i", ")"));
    (void)parse(&world, repeat("i + ", 60, "i", ""));
    (void)parse(&world, repeat("b and ", 2000, "b", "")); /* flat */
    ck_assert_int_eq(try_parse(&world, repeat("(", 5000, "i", ")"), &expression, &error),
                     RATION_PLAN);
    ck_assert_int_eq(try_parse(&world, repeat("not ", 5000, "b", ""), &expression, &error),
                     RATION_PLAN);
    ck_assert_int_eq(try_parse(&world, repeat("- ", 5000, "i", ""), &expression, &error),
                     RATION_PLAN);
    ck_assert_int_eq(try_parse(&world, repeat("i + ", 5000, "i", ""), &expression, &error),
                     RATION_PLAN);
    ck_assert_int_eq(try_parse(&world, repeat("abs(", 5000, "i", ")"), &expression, &error),
                     RATION_PLAN);
    ck_assert_ptr_nonnull(strstr(error.message, "nests deeper than 64 levels"));
    ck_assert_int_eq(try_parse(&world, repeat("b and ", 5000, "b", ""), &expression, &error),
                     RATION_PLAN);
    ck_assert_ptr_nonnull(strstr(error.message, "more than 4096 terms"));
    close_world(&world);
}
END_TEST

START_TEST(test_literal__reads_what_plans_write)
{
    setup();
    static const struct {
        const char *text;
        bool quoted;
        int kind; /* -1 = none */
        const char *value;
    } examples[] = {
        {"42", false, RN_INT64, "42"},
        {"-42", false, RN_INT64, "-42"},
        {"1.5", false, RN_DOUBLE, "1.5"},
        {"-1e3", false, RN_DOUBLE, "-1000.0"},
        {"true", false, RN_BOOL, "true"},
        {"'a''b'", false, RN_STRING, "'a''b'"},
        {"date '2020-01-31'", false, RN_DATE, "date '2020-01-31'"},
        {"date '2020-01-31'", true, RN_DATE, "date '2020-01-31'"},
        {"42", true, RN_STRING, "'42'"},
        {"true", true, RN_STRING, "'true'"},
        {"date night", true, RN_STRING, "'date night'"},
        {"", true, RN_STRING, "''"},
        {"null", false, -1, ""},
        {"", false, -1, ""},
        {"abc", false, -1, ""},
        {"1 2", false, -1, ""},
        {"date '2020-13-01'", false, -1, ""},
        {"99999999999999999999", false, -1, ""},
    };
    for (size_t k = 0; k < RN_COUNT(examples); k++) {
        char name[128];
        rn_parameter parameter = {.name = "p"};
        ration_status status = rn_literal_parse(examples[k].text, strlen(examples[k].text),
                                                examples[k].quoted, &world.arena, &parameter.value);
        ck_assert_msg((status == RATION_OK) == (examples[k].kind >= 0), "%s", examples[k].text);
        if (status != RATION_OK) {
            ck_assert_int_eq(status, RATION_PLAN);
            continue;
        }
        rn_parameters parameters = {1, &parameter};
        world.scope.parameters = &parameters;
        (void)snprintf(name, sizeof name, "%s", "$p");
        rn_expression *expression = parse(&world, name);
        ck_assert_int_eq(rn_expression_type(expression).kind, examples[k].kind);
        ck_assert_str_eq(put(expression), examples[k].value);
    }
    close_world(&world);
}
END_TEST

START_TEST(test_expression__survives_a_full_heap)
{
    setup();
    static const char text[] = "coalesce(i, 1 + 2) in [1, 2, 3, 4, 5, 6, 7, 8, 9, $min] and "
                               "starts_with(s, 'a rather long text')";
    int failures = 0;
    for (int forever = 0; forever < 2; forever++) {
        for (int n = 1; n < 100; n++) {
            rn_arena arena = {0};
            rn_scope scope = world.scope;
            rn_expression *expression = NULL;
            scope.arena = &arena;
            rn_heap_fail_after(n, forever);
            ration_status status =
                rn_expression_parse(&scope, text, sizeof text - 1, 1, 1, &expression, NULL);
            rn_heap_fail_after(0, false);
            ck_assert(status == RATION_OK || status == RATION_NO_MEMORY);
            ck_assert_int_eq(status == RATION_OK, expression != NULL);
            failures += status != RATION_OK;
            ck_assert_int_eq(n == 99 && status != RATION_OK, 0);
            rn_arena_free(&arena);
        }
    }
    ck_assert_int_gt(failures, 2);
    close_world(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_expression__binds_as_documented,
        test_expression__reads_back_what_it_writes,
        test_expression__folds_literals_only_when_that_succeeds,
        test_expression__has_types,
        test_expression__explains_mistakes,
        test_expression__is_bounded,
        test_literal__reads_what_plans_write,
        test_expression__survives_a_full_heap,
    };
    return support_run("expression", tests, RN_COUNT(tests));
}

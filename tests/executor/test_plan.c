/* SPDX-License-Identifier: Apache-2.0
 *
 * Plan files, building and the planner's helpers, with operators made for this test. */
#include "executor/plan.h"
#include "tests/executor/expression_world.h"

/* ---- operators ---- */

/* numbers: { rows: 3, as: i }: a source of one int64 column. */
typedef struct numbers_args {
    int64_t rows;
} numbers_args;

static ration_status plan_numbers(rn_planner *planner, rn_plan_node *node, const rn_yaml *args)
{
    static const char *const keys[] = {"rows", "as"};
    numbers_args *own = node->args;
    const rn_yaml *rows;
    const char *name = "i";
    RN_TRY(rn_planner_check_keys(planner, args, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, args, "rows", &rows));
    RN_TRY(rn_planner_int64(planner, rows, 0, 1000, &own->rows));
    if (rn_yaml_get(args, "as") != NULL) {
        RN_TRY(rn_planner_text(planner, rn_yaml_get(args, "as"), &name));
    }
    RN_TRY(rn_planner_output(planner, node, NULL, 0)); /* no room: add must grow */
    return rn_planner_add(planner, node, args, name, rn_type_of(RN_INT64));
}

static void explain_numbers(const rn_plan_node *node, rn_text *text)
{
    rn_text_format(text, "%lld rows", (long long)((const numbers_args *)node->args)->rows);
}

/* keep: "condition". */
typedef struct keep_args {
    rn_expression *condition;
} keep_args;

static ration_status plan_keep(rn_planner *planner, rn_plan_node *node, const rn_yaml *args)
{
    keep_args *own = node->args;
    const rn_schema *input = &node->inputs[0]->output;
    RN_TRY(rn_planner_expression(planner, input, args, RN_BOOL, &own->condition));
    return rn_planner_output(planner, node, input, 0);
}

static void explain_keep(const rn_plan_node *node, rn_text *text)
{
    rn_expression_put(((const keep_args *)node->args)->condition, text);
}

/* glue: { with: PLAN } or { with: [PLAN, PLAN] }: the columns of all inputs, side by side. */
static ration_status plan_glue(rn_planner *planner, rn_plan_node *node, const rn_yaml *args)
{
    static const char *const keys[] = {"with"};
    const rn_yaml *with;
    RN_TRY(rn_planner_check_keys(planner, args, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, args, "with", &with));
    bool names = with->kind == RN_YAML_SEQUENCE && with->first != NULL &&
                 with->first->kind == RN_YAML_SCALAR;
    for (const rn_yaml *at = names ? with->first : with; at != NULL; at = names ? at->next : NULL) {
        RN_TRY(rn_planner_input(planner, node, at));
    }
    RN_TRY(rn_planner_output(planner, node, &node->inputs[0]->output, 1));
    for (uint32_t i = 1; i < node->input_count; i++) {
        const rn_schema *more = &node->inputs[i]->output;
        for (uint32_t c = 0; c < more->count; c++) {
            RN_TRY(rn_planner_add(planner, node, with, more->fields[c].name, more->fields[c].type));
        }
    }
    return RATION_OK;
}

/* probe: one key for each helper; remembers what it read. */
static struct {
    rn_value value;
    bool yes;
    uint32_t *columns;
    rn_order *order;
    uint32_t column_count, order_count;
    rn_expression *part;
    rn_edges edges;
    uint16_t label;
} probed;

static ration_status plan_probe(rn_planner *planner, rn_plan_node *node, const rn_yaml *args)
{
    static const char *const keys[] = {"value", "yes",  "column",    "columns", "order",
                                       "part",  "edge", "direction", "label"};
    const rn_schema *input = &node->inputs[0]->output;
    const rn_yaml *at;
    uint32_t column;
    RN_TRY(rn_planner_check_keys(planner, args, keys, RN_COUNT(keys)));
    if ((at = rn_yaml_get(args, "value")) != NULL) {
        RN_TRY(rn_planner_value(planner, at, &probed.value));
    }
    if ((at = rn_yaml_get(args, "yes")) != NULL) {
        RN_TRY(rn_planner_bool(planner, at, &probed.yes));
    }
    if ((at = rn_yaml_get(args, "column")) != NULL) {
        RN_TRY(rn_planner_column(planner, input, at, RN_STRING, &column));
    }
    if ((at = rn_yaml_get(args, "columns")) != NULL) {
        RN_TRY(rn_planner_columns(planner, input, at, &probed.columns, &probed.column_count));
    }
    if ((at = rn_yaml_get(args, "order")) != NULL) {
        RN_TRY(rn_planner_order(planner, input, at, &probed.order, &probed.order_count));
    }
    if ((at = rn_yaml_get(args, "part")) != NULL) { /* "sum(x)" */
        RN_TRY(rn_planner_expression_part(planner, input, at, 4, at->length - 5, -1, &probed.part));
    }
    if (rn_yaml_get(args, "edge") != NULL) {
        RN_TRY(rn_planner_edges(planner, args, &probed.edges));
    }
    if ((at = rn_yaml_get(args, "label")) != NULL) {
        RN_TRY(rn_planner_label(planner, at, &probed.label));
    }
    return rn_planner_output(planner, node, input, 0);
}

static const rn_operator_class numbers_class = {.name = "numbers",
                                                .args_bytes = sizeof(numbers_args),
                                                .plan = plan_numbers,
                                                .explain = explain_numbers};
static const rn_operator_class keep_class = {.name = "keep",
                                             .args_bytes = sizeof(keep_args),
                                             .inputs_min = 1,
                                             .inputs_max = 1,
                                             .plan = plan_keep,
                                             .explain = explain_keep};
static const rn_operator_class glue_class = {
    .name = "glue", .inputs_min = 2, .inputs_max = 3, .plan = plan_glue};
static const rn_operator_class probe_class = {
    .name = "probe", .inputs_min = 1, .inputs_max = 1, .plan = plan_probe};
static const rn_operator_class *const classes[] = {&numbers_class, &keep_class, &glue_class,
                                                   &probe_class, NULL};

/* ---- helpers ---- */

static ration_status try_build(const char *text, const char *name, const rn_parameters *given,
                               const rn_graph *graph, rn_plan **out_plan, ration_error *error)
{
    rn_plan_file file;
    RN_TRY(rn_plan_file_parse("some/plan.yaml", text, strlen(text), &file, error));
    ration_status status = rn_plan_build(&file, name, given, graph, classes, out_plan, error);
    rn_plan_file_close(&file); /* a plan does not need its file */
    return status;
}

static rn_plan *build(const char *text, const char *name, const rn_parameters *given)
{
    rn_plan *plan = NULL;
    ration_error error;
    support_ok(try_build(text, name, given, NULL, &plan, &error), &error);
    return plan;
}

static void check_explain(const rn_plan *plan, const char *expected)
{
    char found[4096];
    rn_text text = rn_text_over(found, sizeof found);
    rn_plan_explain(plan, &text);
    ck_assert_str_eq(found, expected);
}

static void check_error(const char *text, const char *expected)
{
    rn_plan *plan = NULL;
    ration_error error;
    memset(&error, 0, sizeof error);
    ck_assert_msg(try_build(text, NULL, NULL, NULL, &plan, &error) == RATION_PLAN, "%s: %s", text,
                  support_error(&error));
    ck_assert_msg(strcmp(support_error(&error), expected) == 0, "%s\n%s\ninstead of\n%s", text,
                  support_error(&error), expected);
    ck_assert_ptr_null(plan);
    ck_assert_int_eq(try_build(text, NULL, NULL, NULL, &plan, NULL), RATION_PLAN);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}

/* ---- tests ---- */

static const char several[] = "graph: data/snb.yaml\n"
                              "parameters: { least: 2, word: 'x' }\n"
                              "plans:\n"
                              "  small:\n"
                              "    parameters: { most: 9 }\n"
                              "    pipeline:\n"
                              "      - numbers: { rows: 3, as: s }\n"
                              "      - keep: s < $most\n"
                              "  both:\n"
                              "    pipeline:\n"
                              "      - numbers: { rows: $least }\n"
                              "      - glue:\n"
                              "          with:\n"
                              "            - numbers: { rows: 1, as: j }\n"
                              "            - keep: j > $least\n"
                              "      - glue: { with: small }\n"
                              "      - keep: \"i + j = s\"\n"
                              "main: both\n";

START_TEST(test_plan__is_a_numbered_tree)
{
    rn_plan *plan = build(several, NULL, NULL);
    ck_assert_str_eq(plan->name, "both");
    ck_assert_uint_eq(plan->node_count, 8);
    ck_assert_ptr_eq(plan->root, plan->nodes[7]);
    ck_assert_uint_eq(plan->parameters.count, 2);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        ck_assert_uint_eq(plan->nodes[i]->number, i);
        for (uint32_t k = 0; k < plan->nodes[i]->input_count; k++) {
            ck_assert_uint_lt(plan->nodes[i]->inputs[k]->number, i);
        }
    }
    check_explain(plan, "plan both\n"
                        "  0  numbers@11  2 rows  -> i: int64\n"
                        "  1      numbers@14  1 rows  -> j: int64\n"
                        "  2      keep@15  (j > 2)  -> j: int64\n"
                        "  3  glue@12  -> i: int64, j: int64\n"
                        "  4      numbers@7  3 rows  -> s: int64\n"
                        "  5      keep@8  (s < 9)  -> s: int64\n"
                        "  6  glue@16  -> i: int64, j: int64, s: int64\n"
                        "  7  keep@17  ((i + j) = s)  -> i: int64, j: int64, s: int64\n");
    rn_plan_close(plan);
}
END_TEST

START_TEST(test_plan_file__names_plans_and_graph)
{
    rn_plan_file file;
    ration_error error;
    char path[64];
    support_ok(rn_plan_file_parse("some/plan.yaml", several, sizeof several - 1, &file, &error),
               &error);
    ck_assert_str_eq(rn_plan_file_name(&file, 0), "small");
    ck_assert_str_eq(rn_plan_file_name(&file, 1), "both");
    ck_assert_ptr_null(rn_plan_file_name(&file, 2));
    ck_assert(rn_plan_file_graph(&file, path, sizeof path));
    ck_assert_str_eq(path, "some/data/snb.yaml");
    rn_plan_file_close(&file);
    static const char single[] = "graph: /abs/g.yaml\npipeline: [{ numbers: { rows: 1 } }]";
    support_ok(rn_plan_file_parse("plan.yaml", single, sizeof single - 1, &file, &error), &error);
    ck_assert_str_eq(rn_plan_file_name(&file, 0), "main");
    ck_assert_ptr_null(rn_plan_file_name(&file, 1));
    ck_assert(rn_plan_file_graph(&file, path, sizeof path));
    ck_assert_str_eq(path, "/abs/g.yaml");
    rn_plan_file_close(&file);
    ck_assert_int_eq(rn_plan_file_open("/no/such/plan.yaml", &file, &error), RATION_FILE);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

static rn_parameters one_parameter(rn_parameter *parameter, const char *name, const char *literal,
                                   rn_arena *arena)
{
    rn_copy_text(parameter->name, sizeof parameter->name, name);
    ck_assert_int_eq(rn_literal_parse(literal, strlen(literal), false, arena, &parameter->value),
                     RATION_OK);
    return (rn_parameters){1, parameter};
}

START_TEST(test_plan__takes_parameters)
{
    static const char text[] =
        "parameters: { a: 1, d: 0.5, s: 'long enough not to be inline' }\n"
        "plans:\n"
        "  x: { parameters: { a: 7 }, pipeline: [{ numbers: { rows: $a } }, { keep: double(i) < $d "
        "and $s <> '' }] }\n"
        "  y: { pipeline: [{ numbers: { rows: $a, as: j } }, { glue: { with: x } }] }\n";
    static const struct {
        const char *plan, *name, *literal;
        ration_status status;
        const char *expected; /* part of the message, or of --explain */
    } cases[] = {
        {"x", NULL, NULL, RATION_OK, "7 rows"},
        {"y", NULL, NULL, RATION_OK, "numbers@4  1 rows"},
        {"y", "a", "5", RATION_OK, "numbers@3  5 rows"},
        {"x", "d", "3", RATION_OK, "< 3.0"},
        {"x", "a", "2.5", RATION_PLAN, "parameter a is int64, the value given is double"},
        {"x", "a", "'5'", RATION_PLAN, "parameter a is int64, the value given is string"},
        {"x", "b", "5", RATION_PLAN, "plan x has no parameter b"},
        {"z", NULL, NULL, RATION_PLAN, "no plan z"},
        {NULL, NULL, NULL, RATION_PLAN, "the file has several plans"},
    };
    for (size_t k = 0; k < RN_COUNT(cases); k++) {
        rn_arena arena = {0};
        rn_parameter parameter;
        rn_parameters given = {0, NULL};
        rn_plan *plan = NULL;
        ration_error error;
        char found[2048];
        rn_text explained = rn_text_over(found, sizeof found);
        if (cases[k].name != NULL) {
            given = one_parameter(&parameter, cases[k].name, cases[k].literal, &arena);
        }
        ck_assert_int_eq(try_build(text, cases[k].plan, &given, NULL, &plan, &error),
                         cases[k].status);
        rn_arena_free(&arena); /* values were copied */
        if (plan != NULL) {
            rn_plan_explain(plan, &explained);
        }
        const char *answer = plan != NULL ? found : error.message;
        ck_assert_msg(strstr(answer, cases[k].expected) != NULL, "%s", answer);
        rn_plan_close(plan);
        ck_assert_int_eq(rn_heap_bytes(), 0);
    }
}
END_TEST

static const char *const mistakes[][2] = {
    {"pipeline:\n  - numbers: { rows: 1 }\n  - kep: i = 1\n",
     "some/plan.yaml:3:5: error: unknown operator kep (did you mean keep?)"},
    {"pipeline:\n  - numbers: { rows: 1 }\n    keep: i = 1\n",
     "some/plan.yaml:3:5: error: a step has one operator, found numbers and keep (begin each "
     "step with `- `)"},
    {"pipeline:\n  - numbers\n",
     "some/plan.yaml:2:5: error: numbers needs arguments: write `numbers: ...`"},
    {"pipeline:\n  - [1]\n", "some/plan.yaml:2:5: error: a step is `operator: arguments`"},
    {"pipeline: []\n", "some/plan.yaml:1:11: error: a pipeline needs at least one step"},
    {"pipeline:\n  - keep: i = 1\n",
     "some/plan.yaml:2:5: error: keep: needs a step before it (begin with scan or range)"},
    {"pipeline:\n  - numbers: { rows: 1 }\n  - numbers: { rows: 1 }\n",
     "some/plan.yaml:3:5: error: numbers: can only be the first step (join or union it with "
     "the steps before)"},
    {"pipeline:\n  - numbers: { rows: 1, aas: x }\n",
     "some/plan.yaml:2:25: error: numbers: unknown key aas (did you mean as?)"},
    {"pipeline:\n  - numbers: 5\n",
     "some/plan.yaml:2:14: error: numbers: expected arguments as { key: value }"},
    {"pipeline:\n  - numbers: { as: x }\n", "some/plan.yaml:2:14: error: numbers: rows is missing"},
    {"pipeline:\n  - numbers: { rows: 1001 }\n",
     "some/plan.yaml:2:22: error: numbers: rows must be from 0 to 1000, found 1001"},
    {"pipeline:\n  - numbers: { rows: many }\n",
     "some/plan.yaml:2:22: error: numbers: rows needs a literal or a $parameter, found many "
     "(text stands in quotes)"},
    {"pipeline:\n  - numbers: { rows: '1' }\n",
     "some/plan.yaml:2:22: error: numbers: rows needs a whole number, found 1"},
    {"pipeline:\n  - numbers: { rows: }\n", "some/plan.yaml:2:22: error: numbers: rows needs a "
                                            "literal or a $parameter, found nothing"},
    {"parameters: { least: 1 }\npipeline:\n  - numbers: { rows: $last }\n",
     "some/plan.yaml:3:22: error: numbers: no parameter $last (did you mean least?)"},
    {"pipeline:\n  - numbers: { rows: 1 }\n  - keep: i + 1\n",
     "some/plan.yaml:3:11: error: keep: needs an expression of type bool, (i + 1) is int64"},
    {"pipeline:\n  - numbers: { rows: 1 }\n  - keep: i = 'x'\n",
     "some/plan.yaml:3:13: error: keep: cannot compare i (int64) with 'x' (string) (text "
     "stands in quotes, numbers do not)"},
    {"pipeline:\n  - numbers: { rows: 1 }\n  - keep: \"i = 'x'\"\n",
     "some/plan.yaml:3:14: error: keep: cannot compare i (int64) with 'x' (string) (text "
     "stands in quotes, numbers do not)"},
    {"pipeline:\n  - numbers: { rows: 1 }\n  - keep: [i]\n",
     "some/plan.yaml:3:11: error: keep: needs an expression, found a sequence"},
    {"pipeline:\n  - numbers: { rows: 1 }\n  - glue: { with: [{ numbers: { rows: 1 } }] }\n",
     "some/plan.yaml:3:19: error: glue: column i is there already (give it another name with "
     "project)"},
    {"pipeline:\n  - numbers: { rows: 1 }\n  - glue: { with: { a: b } }\n",
     "some/plan.yaml:3:19: error: glue: expected the name of a plan or a sequence of steps"},
    {"plans:\n  a:\n    pipeline:\n      - numbers: { rows: 1 }\n      - glue: { with: b }\n"
     "  b:\n    pipeline:\n      - numbers: { rows: 1 }\n      - glue: { with: a }\nmain: a\n",
     "some/plan.yaml:9:23: error: glue: plans refer to each other in a circle: a -> b -> a"},
    {"plans:\n  a:\n    pipeline:\n      - numbers: { rows: 1 }\n      - glue: { with: aa }\n",
     "some/plan.yaml:5:23: error: glue: no plan aa (did you mean a?)"},
    {"plans:\n  a:\n    pipeline:\n      - numbers: { rows: 1 }\n      - glue: { with: [b, b, "
     "b] }\n"
     "  b:\n    pipeline: [{ numbers: { rows: 1 } }]\nmain: a\n",
     "some/plan.yaml:5:30: error: glue: takes at most 3 inputs"},
    {"parameters: { x: null }\npipeline: [{ numbers: { rows: 1 } }]\n",
     "some/plan.yaml:1:18: error: parameter x needs a literal as default (the default gives it "
     "its type)"},
    {"parameters: { x: abc }\npipeline: [{ numbers: { rows: 1 } }]\n",
     "some/plan.yaml:1:18: error: parameter x: abc is no literal (text stands in quotes)"},
    {"parameters: { x y: 1 }\npipeline: [{ numbers: { rows: 1 } }]\n",
     "some/plan.yaml:1:15: error: the name of a parameter is a word of at most 63 bytes"},
    {"plans: { a: { pipeline: [{ numbers: { rows: 1 } }] } }\nmain: b\n",
     "some/plan.yaml:2:7: error: no plan b (did you mean a?)"},
    {"plans: { a: { pipeline: [] } }\npipeline: []\n",
     "some/plan.yaml:1:1: error: both `plans` and `pipeline`"},
    {"main: a\n", "some/plan.yaml:1:1: error: neither `plans` nor `pipeline`"},
    {"plans: {}\n", "some/plan.yaml:1:8: error: no plans"},
};

START_TEST(test_plan__explains_mistakes)
{
    for (size_t k = 0; k < RN_COUNT(mistakes); k++) {
        check_error(mistakes[k][0], mistakes[k][1]);
    }
}
END_TEST

START_TEST(test_plan__is_bounded)
{
    char text[16384];
    rn_text out = rn_text_over(text, sizeof text);
    rn_plan *plan = NULL;
    ration_error error;
    rn_text_put(&out, "pipeline:\n  - numbers: { rows: 1 }\n");
    for (int i = 0; i < 300; i++) {
        rn_text_put(&out, "  - keep: i = 1\n");
    }
    ck_assert_int_eq(try_build(text, NULL, NULL, NULL, &plan, &error), RATION_PLAN);
    ck_assert_str_eq(error.message,
                     "plan has more than 256 steps, those of its sub-plans included");
    out = rn_text_over(text, sizeof text);
    rn_text_put(&out, "plans:\n"); /* each plan twice the one before */
    for (int i = 0; i < 40; i++) {
        rn_text_format(
            &out,
            "  p%d: { pipeline: [{ numbers: { rows: 1 } }, { glue: { with: [p%d, p%d] } }] }\n", i,
            i + 1, i + 1);
    }
    rn_text_put(&out, "  p40: { pipeline: [{ numbers: { rows: 1 } }] }\n");
    ck_assert_int_eq(try_build(text, "p0", NULL, NULL, &plan, &error), RATION_PLAN);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

static rn_plan *build_probe(const char *args)
{
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "parameters: { p: date '2020-01-31', t: true }\n"
                   "pipeline:\n  - numbers: { rows: 1 }\n  - glue: { with: [{ numbers: { rows: 1, "
                   "as: j desc } }] }\n  - probe: %s\n",
                   args);
    return build(text, NULL, NULL);
}

START_TEST(test_planner__reads_arguments)
{
    memset(&probed, 0, sizeof probed);
    rn_plan *plan = build_probe(
        "{ value: $p, yes: $t, columns: [j desc, i], order: [i desc, j desc], part: sum(i + 1) }");
    ck_assert_int_eq(probed.value.type.kind, RN_DATE);
    ck_assert(probed.yes);
    ck_assert_uint_eq(probed.column_count, 2);
    ck_assert_uint_eq(probed.columns[0], 1);
    ck_assert_uint_eq(probed.order_count, 2);
    ck_assert(probed.order[0].descending && probed.order[0].column == 0);
    ck_assert(!probed.order[1].descending && probed.order[1].column == 1);
    ck_assert_str_eq(put(probed.part), "(i + 1)");
    rn_plan_close(plan);
    plan = build_probe("{ value: \"it's\", order: j desc  desc, columns: i }");
    ck_assert_int_eq(probed.value.type.kind, RN_STRING);
    ck_assert(probed.order[0].descending && probed.order[0].column == 1);
    ck_assert_uint_eq(probed.column_count, 1);
    rn_plan_close(plan);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

START_TEST(test_planner__explains_mistakes)
{
    static const char *const cases[][2] = {
        {"{ yes: 1 }", "19: error: probe: yes needs true or false, found 1"},
        {"{ value: [1] }",
         "21: error: probe: value needs a literal or a $parameter, found a sequence"},
        {"{ column: i }", "22: error: probe: column needs a column of type string, i is int64"},
        {"{ column: k }", "22: error: probe: no column k (did you mean i?)"},
        {"{ columns: [i, i] }", "27: error: probe: column i is named twice"},
        {"{ columns: [] }", "23: error: probe: columns needs 1 to 256 columns, found 0"},
        {"{ order: [i desc, i] }", "30: error: probe: column i is named twice"},
        {"{ order: [nowhere desc] }", "22: error: probe: no column nowhere (columns: i)"},
        {"{ part: sum(i + x) }", "28: error: probe: no column x (did you mean i?)"},
        {"{ edge: knows }", "20: error: probe: needs a graph (name one with graph: or --graph)"},
        {"{ label: Person }", "21: error: probe: needs a graph (name one with graph: or --graph)"},
    };
    for (size_t k = 0; k < RN_COUNT(cases); k++) {
        char text[512];
        char expected[512];
        (void)snprintf(text, sizeof text, "pipeline:\n  - numbers: { rows: 1 }\n  - probe: %s\n",
                       cases[k][0]);
        (void)snprintf(expected, sizeof expected, "some/plan.yaml:3:%s", cases[k][1]);
        check_error(text, expected);
    }
}
END_TEST

START_TEST(test_planner__reads_edges_and_labels)
{
    static const char manifest[] =
        "nodes:\n  A: {}\n  B: {}\nedges:\n"
        "  ab: { file: e.csv, from: A, to: B, columns: { a: from, b: to } }\n"
        "  aa: { file: e.csv, from: A, to: A, columns: { a: from, b: to } }\n";
    char folder[256];
    rn_graph *graph = NULL;
    rn_plan *plan = NULL;
    ration_error error;
    expression_world world;
    open_world(&world, NULL, 0, NULL, 0);
    rn_copy_text(folder, sizeof folder, support_folder());
    (void)support_write(folder, "e.csv", "1,2\n", 4);
    rn_graph_options options = {.slot = world.slot};
    support_ok(rn_graph_load(support_write(folder, "g.yaml", manifest, sizeof manifest - 1),
                             &options, &graph, &error),
               &error);
    support_remove(folder);
#define PROBE(args_) "pipeline:\n  - numbers: { rows: 1 }\n  - probe: " args_ "\n"
    support_ok(try_build(PROBE("{ edge: [ab, aa], direction: in, label: B }"), NULL, NULL, graph,
                         &plan, &error),
               &error);
    ck_assert_uint_eq(probed.edges.count, 2);
    ck_assert_int_eq(probed.edges.direction, RN_IN);
    ck_assert_int_eq(probed.label, rn_graph_find_label(graph, "B"));
    ck_assert_int_eq(rn_edges_target(graph, &probed.edges), rn_graph_find_label(graph, "A"));
    probed.edges.direction = RN_OUT;
    ck_assert_uint_eq(rn_edges_target(graph, &probed.edges), RN_LABEL_ANY);
    rn_plan_close(plan);
    support_ok(try_build(PROBE("{ edge: aa, direction: both }"), NULL, NULL, graph, &plan, &error),
               &error);
    ck_assert_int_eq(rn_edges_target(graph, &probed.edges), rn_graph_find_label(graph, "A"));
    rn_plan_close(plan);
    ck_assert_int_eq(try_build(PROBE("{ edge: abb }"), NULL, NULL, graph, &plan, &error),
                     RATION_PLAN);
    ck_assert_str_eq(support_error(&error),
                     "some/plan.yaml:3:20: error: probe: no edge type abb (did you mean ab?)");
    ck_assert_int_eq(try_build(PROBE("{ edge: [ab, ab] }"), NULL, NULL, graph, &plan, &error),
                     RATION_PLAN);
    ck_assert_int_eq(
        try_build(PROBE("{ edge: ab, direction: up }"), NULL, NULL, graph, &plan, &error),
        RATION_PLAN);
    ck_assert_str_eq(support_error(&error),
                     "some/plan.yaml:3:35: error: probe: direction is out, in or both, found up");
    ck_assert_int_eq(try_build(PROBE("{ label: C }"), NULL, NULL, graph, &plan, &error),
                     RATION_PLAN);
    rn_graph_close(graph);
    close_world(&world);
}
END_TEST

START_TEST(test_plan__survives_a_full_heap)
{
    int failures = 0;
    for (int forever = 0; forever < 2; forever++) {
        ration_status status = RATION_NO_MEMORY;
        for (int n = 1; n < 500 && (status != RATION_OK || n < 60); n++) {
            rn_plan *plan = NULL;
            ration_error error;
            rn_heap_fail_after(n, forever);
            status = try_build(several, NULL, NULL, NULL, &plan, &error);
            rn_heap_fail_after(0, false);
            ck_assert(status == RATION_OK ? plan != NULL
                                          : status == RATION_NO_MEMORY && plan == NULL);
            failures += status != RATION_OK;
            rn_plan_close(plan);
            ck_assert_int_eq(rn_heap_bytes(), 0);
        }
        ck_assert_int_eq(status, RATION_OK);
    }
    ck_assert_int_gt(failures, 4);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_plan__is_a_numbered_tree,   test_plan_file__names_plans_and_graph,
        test_plan__takes_parameters,     test_plan__explains_mistakes,
        test_plan__is_bounded,           test_planner__reads_arguments,
        test_planner__explains_mistakes, test_planner__reads_edges_and_labels,
        test_plan__survives_a_full_heap,
    };
    return support_run("plan", tests, RN_COUNT(tests));
}

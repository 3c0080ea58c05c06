/* SPDX-License-Identifier: Apache-2.0
 *
 * Evaluation against the naive evaluator of random_tree.h, over columns with nulls and selections;
 * and the cases that random trees meet too rarely. `RATION_SEED=n` replays a random test. */
#include <math.h>

#include "base/hash.h"
#include "executor/evaluate.h"
#include "storage/batch.h"
#include "tests/executor/expression_world.h"
#include "tests/executor/random_tree.h"

#define ENTRIES 1024u

static const rn_kind engine_kinds[CELL_KINDS] = {RN_BOOL,      RN_INT64,  RN_DOUBLE, RN_DATE,
                                                 RN_TIMESTAMP, RN_STRING, RN_NODE};

/* One batch in both forms. */
typedef struct table {
    uint32_t rows, entries;
    cell cells[ENTRIES][TREE_COLUMNS]; /* by row */
    rn_column columns[TREE_COLUMNS];
    char data[TREE_COLUMNS][ENTRIES * 16];
    uint64_t valid[TREE_COLUMNS][ENTRIES / 64];
    uint16_t selections[TREE_COLUMNS][ENTRIES];
} table;

static expression_world world;
static rn_field fields[TREE_COLUMNS];
static table input;

static void setup(void)
{
    for (int c = 0; c < TREE_COLUMNS; c++) {
        rn_copy_text(fields[c].name, sizeof fields[c].name, tree_columns[c]);
        fields[c].type = rn_type_of(engine_kinds[tree_column_kinds[c]]);
    }
    open_world(&world, fields, TREE_COLUMNS, NULL, 0);
}

static void store_cell(int c, uint32_t entry, const cell *value)
{
    char *to = input.data[c] + entry * rn_kind_bytes(engine_kinds[value->kind]);
    uint8_t boolean = (uint8_t)value->integer;
    int32_t small = (int32_t)value->integer;
    rn_string string;
    switch (value->kind) {
    case CELL_BOOL:
        memcpy(to, &boolean, 1);
        break;
    case CELL_DATE:
    case CELL_NODE:
        memcpy(to, &small, 4);
        break;
    case CELL_DOUBLE:
        memcpy(to, &value->real, 8);
        break;
    case CELL_STRING:
        string = rn_string_over(value->text, (uint32_t)value->length);
        memcpy(to, &string, 16);
        break;
    default:
        memcpy(to, &value->integer, 8);
    }
}

static void fill_column(uint64_t *random, int c, bool wild)
{
    bool nulls = rn_random_below(random, 2);
    bool selected = rn_random_below(random, 2);
    static cell entries[ENTRIES];
    memset(input.valid[c], 0, sizeof input.valid[c]);
    for (uint32_t e = 0; e < input.entries; e++) {
        entries[e] = tree_random_cell(random, tree_column_kinds[c], wild);
        if (tree_column_kinds[c] == CELL_DOUBLE && wild && rn_random_below(random, 10) == 0) {
            entries[e].real = rn_random_below(random, 2) ? (double)NAN : (double)INFINITY;
        }
        entries[e].null = nulls && rn_random_below(random, 3) == 0;
        store_cell(c, e, &entries[e]);
        if (entries[e].null) { /* what lies below a null must not matter */
            size_t width = rn_kind_bytes(engine_kinds[tree_column_kinds[c]]);
            memset(input.data[c] + e * width, 0x7f, width);
        } else {
            rn_bit_set(input.valid[c], e);
        }
    }
    for (uint32_t row = 0; row < input.rows; row++) {
        input.selections[c][row] = (uint16_t)rn_random_below(random, input.entries);
        input.cells[row][c] = entries[selected ? input.selections[c][row] : row];
    }
    input.columns[c] = (rn_column){fields[c].type, input.data[c], nulls ? input.valid[c] : NULL,
                                   selected ? input.selections[c] : NULL};
}

static void fill_table(uint64_t *random, bool wild)
{
    input.rows =
        rn_random_below(random, 20) == 0 ? ENTRIES : 1 + (uint32_t)rn_random_below(random, 130);
    input.entries = RN_MIN(input.rows + 20, ENTRIES);
    for (int c = 0; c < TREE_COLUMNS; c++) {
        fill_column(random, c, wild);
    }
}

static cell load_cell(const rn_column *column, uint32_t row, cell_kind kind)
{
    cell value = {.kind = kind, .null = !rn_column_valid(column, row)};
    rn_value read = rn_column_value(column, row);
    static char bytes[256];
    if (value.null) {
        return value;
    }
    switch (kind) {
    case CELL_BOOL:
        ck_assert_uint_le(read.as.boolean, 1);
        value.integer = read.as.boolean;
        break;
    case CELL_DATE:
        value.integer = read.as.date;
        break;
    case CELL_NODE:
        value.integer = read.as.node;
        break;
    case CELL_DOUBLE:
        value.real = read.as.real;
        break;
    case CELL_STRING:
        value.length = read.as.string.length;
        memcpy(bytes, rn_string_bytes(&read.as.string), value.length);
        value.text = bytes;
        break;
    default:
        value.integer = read.as.integer;
    }
    return value;
}

static void check_filter(rn_evaluator *evaluator, const rn_batch *batch, const rn_column *column)
{
    uint16_t rows[ENTRIES];
    uint32_t count;
    uint32_t expected = 0;
    ck_assert_int_eq(rn_evaluate_filter(evaluator, batch, rows, &count, NULL), RATION_OK);
    for (uint32_t row = 0; row < batch->rows; row++) {
        rn_value value = rn_column_value(column, row);
        if (!value.null && value.as.boolean) {
            ck_assert_uint_lt(expected, count);
            ck_assert_uint_eq(rows[expected++], row);
        }
    }
    ck_assert_uint_eq(count, expected);
}

/* Evaluates the batch and compares with the naive evaluator; true when it failed, as it should. */
static bool check_batch(rn_evaluator *evaluator, const tree *node, const char *text, uint64_t seed)
{
    rn_batch batch = {input.rows, TREE_COLUMNS, input.columns};
    rn_column column;
    ration_error error;
    bool failed = false;
    static cell expected[ENTRIES];
    for (uint32_t row = 0; row < input.rows; row++) {
        expected[row] = tree_evaluate(node, input.cells[row], &failed);
    }
    ration_status status = rn_evaluate(evaluator, &batch, &column, &error);
    ck_assert_msg(status == (failed ? RATION_EVALUATION : RATION_OK), "seed=%llu %s: %s",
                  (unsigned long long)seed, text,
                  status == RATION_OK ? "passed" : support_error(&error));
    for (uint32_t row = 0; row < input.rows && !failed; row++) {
        cell found = load_cell(&column, row, node->kind);
        ck_assert_msg(found.null == expected[row].null &&
                          (found.null || tree_compare(&found, &expected[row]) == 0),
                      "seed=%llu row %u of %s: null %d, %lld %g instead of null %d, %lld %g",
                      (unsigned long long)seed, row, text, found.null, (long long)found.integer,
                      found.real, expected[row].null, (long long)expected[row].integer,
                      expected[row].real);
    }
    if (!failed && node->kind == CELL_BOOL) {
        check_filter(evaluator, &batch, &column);
    }
    return failed;
}

static uint64_t choose_seed(void)
{
    const char *text = getenv("RATION_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)rn_clock_ns() % 1000000000;
    printf("seed=%llu\n", (unsigned long long)seed);
    return seed;
}

START_TEST(test_evaluate__agrees_with_a_naive_evaluator)
{
    static char bytes[1 << 16];
    uint64_t first = choose_seed();
    int passed = 0;
    setup();
    for (uint64_t seed = first; seed < first + 6000; seed++) {
        uint64_t random = seed;
        bool wild = rn_random_below(&random, 4) == 0;
        rn_text text = rn_text_over(bytes, sizeof bytes);
        tree_reset();
        const tree *node = tree_make(&random, (cell_kind)rn_random_below(&random, CELL_KINDS - 1),
                                     1 + (int)rn_random_below(&random, 4), wild);
        tree_put(node, &text);
        ck_assert_uint_lt(text.length, sizeof bytes);
        rn_expression *expression = parse(&world, bytes);
        ck_assert_msg(rn_expression_type(expression).kind == engine_kinds[node->kind],
                      "seed=%llu %s", (unsigned long long)seed, bytes);
        rn_evaluator *evaluator = NULL;
        ck_assert_int_eq(rn_evaluator_open(expression, NULL, world.context, ENTRIES, &evaluator),
                         RATION_OK);
        for (int batch = 0; batch < 3; batch++) {
            fill_table(&random, wild && batch > 0);
            passed += !check_batch(evaluator, node, bytes, seed);
        }
        ration_context_reset(world.context);
        rn_arena_free(&world.arena);
    }
    ck_assert_int_gt(passed, 9000);
    close_world(&world);
}
END_TEST

/* ---- by hand ---- */

/* Evaluates over rows 0..rows of columns i = row, j = row % 3 (null when row % 3 = 2), d = row
 * / 2.0. */
static ration_status evaluate_rows(const char *text, uint32_t rows, rn_column *column,
                                   ration_error *error)
{
    static int64_t i[ENTRIES], j[ENTRIES];
    static double d[ENTRIES];
    static uint64_t valid[ENTRIES / 64];
    static rn_column columns[TREE_COLUMNS];
    memset(valid, 0, sizeof valid);
    for (uint32_t row = 0; row < rows; row++) {
        i[row] = row;
        j[row] = row % 3;
        d[row] = row / 2.0;
        if (row % 3 != 2) {
            rn_bit_set(valid, row);
        }
    }
    columns[2] = (rn_column){rn_type_of(RN_INT64), i, NULL, NULL};
    columns[3] = (rn_column){rn_type_of(RN_INT64), j, valid, NULL};
    columns[4] = (rn_column){rn_type_of(RN_DOUBLE), d, NULL, NULL};
    rn_batch batch = {rows, TREE_COLUMNS, columns};
    rn_evaluator *evaluator = NULL;
    ck_assert_int_eq(
        rn_evaluator_open(parse(&world, text), NULL, world.context, ENTRIES, &evaluator),
        RATION_OK);
    return rn_evaluate(evaluator, &batch, column, error);
}

START_TEST(test_evaluate__asks_the_right_side_only_where_it_must)
{
    rn_column column;
    ration_error error;
    setup();
    support_ok(evaluate_rows("i <> 0 and 10 / i > 2", 100, &column, &error), &error);
    support_ok(evaluate_rows("i = 0 or 10 / i > 2", 100, &column, &error), &error);
    support_ok(evaluate_rows("coalesce(j, 6 / (i % 3 - 1)) = 6", 100, &column, &error), &error);
    support_ok(evaluate_rows("false and 1 / 0 = 1", 100, &column, &error), &error);
    support_ok(evaluate_rows("j / 0 = 1 and false", 0, &column, &error), &error);
    ck_assert_int_eq(evaluate_rows("j = 5 and 1 / 0 = 1", 100, &column, &error),
                     RATION_EVALUATION); /* null and x asks x */
    ck_assert_int_eq(evaluate_rows("10 / i > 2 and i <> 0", 100, &column, &error),
                     RATION_EVALUATION);
    ck_assert_str_eq(support_error(&error),
                     "plan.yaml:7:18: error: filter: division by zero in (10 / i)");
    close_world(&world);
}
END_TEST

START_TEST(test_evaluate__refuses_what_has_no_value)
{
    static const char *const texts[] = {
        "9223372036854775807 + i",
        "-9223372036854775808 - i",
        "i * 9223372036854775807",
        "-(i - 9223372036854775807 - 2)",
        "abs(i - 9223372036854775807 - 2)",
        "(i - 9223372036854775807 - 2) / -1",
        "(i - 9223372036854775807 - 2) % -1",
        "i % 0",
        "i / (i - 1)",
        "d / 0.0",
        "d % (d - 0.5)",
        "int64(d * 1e300)",
        "1 / 0",
    };
    rn_column column;
    ration_error error;
    setup();
    for (size_t k = 0; k < RN_COUNT(texts); k++) {
        ck_assert_msg(evaluate_rows(texts[k], 4, &column, &error) == RATION_EVALUATION, "%s",
                      texts[k]);
        ck_assert_int_eq(error.line, 7);
        ck_assert_ptr_nonnull(strstr(error.message, "filter: "));
    }
    close_world(&world);
}
END_TEST

START_TEST(test_evaluate__compares_int64_with_double_exactly)
{
    static const struct {
        int64_t a;
        double b;
        int order;
    } cases[] = {
        {(INT64_C(1) << 53) + 1, 0x1p53, 1},
        {INT64_MAX, 0x1p63, -1},
        {INT64_MIN, -0x1p63, 0},
        {INT64_MAX, 9223372036854774784.0, 1},
        {0, -0.0, 0},
        {-3, -3.5, 1},
        {3, 3.5, -1},
        {INT64_MAX, (double)INFINITY, -1},
        {INT64_MIN, -(double)INFINITY, 1},
        {INT64_MAX, (double)NAN, -1},
        {-1, -0.5, -1},
        {1, 1.0, 0},
    };
    for (size_t k = 0; k < RN_COUNT(cases); k++) {
        ck_assert_int_eq(rn_compare_int64_double(cases[k].a, cases[k].b), cases[k].order);
    }
}
END_TEST

START_TEST(test_evaluate__passes_a_plain_column_through)
{
    rn_column column;
    ration_error error;
    uint64_t random = 1;
    setup();
    fill_table(&random, false);
    rn_batch batch = {input.rows, TREE_COLUMNS, input.columns};
    rn_evaluator *evaluator = NULL;
    ck_assert_int_eq(
        rn_evaluator_open(parse(&world, "s"), NULL, world.context, ENTRIES, &evaluator), RATION_OK);
    support_ok(rn_evaluate(evaluator, &batch, &column, &error), &error);
    ck_assert_mem_eq(&column, &input.columns[8], sizeof column);
    support_ok(evaluate_rows("'x'", 3, &column, &error), &error);
    ck_assert(column.valid == NULL && column.selection == NULL);
    ck_assert_int_eq(((const rn_string *)column.data)[2].prefix[0], 'x');
    support_ok(evaluate_rows("int64(null)", 3, &column, &error), &error);
    ck_assert(!rn_column_valid(&column, 0) && !rn_column_valid(&column, 2));
    close_world(&world);
}
END_TEST

START_TEST(test_evaluate__open_survives_refusals)
{
    static const char text[] =
        "coalesce(i, j) + i * j > 3 and (s in ['a', 'b'] or not starts_with(s, 'x'))";
    setup();
    const rn_expression *expression = parse(&world, text);
    rn_blocks *blocks = rn_pool_blocks(ration_query_pool(world.query));
    int failures = 0;
    for (int n = 1; n < 20; n++) {
        rn_evaluator *evaluator = NULL;
        ration_context *context;
        ck_assert_int_eq(ration_context_create(world.context, world.slot, RATION_CONTEXT_BUMP,
                                               "evaluator", &context),
                         RATION_OK);
        rn_blocks_purge(blocks);
        rn_blocks_fail_after(n, n % 2);
        ration_status status = rn_evaluator_open(expression, NULL, context, ENTRIES, &evaluator);
        rn_blocks_fail_after(0, false);
        ck_assert(status == RATION_OK ? evaluator != NULL
                                      : status == RATION_NO_MEMORY && evaluator == NULL);
        failures += status != RATION_OK;
        ration_context_delete(context);
    }
    ck_assert_int_gt(failures, 0);
    close_world(&world);
}
END_TEST

START_TEST(test_evaluate__finds_nothing_in_an_empty_list)
{
    rn_column column;
    ration_error error;
    setup();
    support_ok(evaluate_rows("j in []", 3, &column, &error), &error); /* j of row 2 is null */
    ck_assert(rn_column_valid(&column, 2));
    support_ok(evaluate_rows("j in [1.5]", 3, &column, &error), &error);
    ck_assert(rn_column_valid(&column, 1) && !rn_column_valid(&column, 2));
    support_ok(evaluate_rows("j in [1.5, null]", 3, &column, &error), &error);
    ck_assert(!rn_column_valid(&column, 1));
    close_world(&world);
}
END_TEST

START_TEST(test_evaluate__splits_every_timestamp)
{
    static const int64_t times[] = {INT64_MIN, INT64_MAX, -1, 0};
    static const struct {
        const char *text;
        int64_t expected[4];
    } cases[] = {
        {"hour(t)", {19, 4, 23, 0}},   {"minute(t)", {59, 0, 59, 0}},
        {"second(t)", {5, 54, 59, 0}}, {"year(t)", {-290308, 294247, 1969, 1970}},
        {"month(t)", {12, 1, 12, 1}},  {"day(t)", {21, 10, 31, 1}},
    };
    static rn_column columns[TREE_COLUMNS];
    setup();
    columns[7] = (rn_column){rn_type_of(RN_TIMESTAMP), times, NULL, NULL};
    rn_batch batch = {4, TREE_COLUMNS, columns};
    for (size_t k = 0; k < RN_COUNT(cases); k++) {
        rn_evaluator *evaluator = NULL;
        rn_column column;
        ck_assert_int_eq(
            rn_evaluator_open(parse(&world, cases[k].text), NULL, world.context, 4, &evaluator),
            RATION_OK);
        ck_assert_int_eq(rn_evaluate(evaluator, &batch, &column, NULL), RATION_OK);
        for (uint32_t row = 0; row < 4; row++) {
            ck_assert_int_eq(*(const int64_t *)rn_column_at(&column, row), cases[k].expected[row]);
        }
    }
    close_world(&world);
}
END_TEST

/* ---- properties ---- */

static const char *const graph_files[][2] = {
    {"graph.yaml", "nodes:\n"
                   "  Person: { file: person.csv, columns: { id: int64, age: int64, name: string, "
                   "born: date } }\n"
                   "  City: { file: city.csv, columns: { code: string, name: string, size: double, "
                   "age: string } }\n"
                   "edges:\n"
                   "  knows: { file: knows.csv, from: Person, to: Person, columns: { a: from, b: "
                   "to, since: int64 } }\n"
                   "  livesIn: { file: lives.csv, from: Person, to: City, columns: { a: from, b: "
                   "to, rent: double, since: int64 } }\n"},
    {"person.csv", "1,30,Ann,1990-01-02\n2,,Ben,\n3,50,Chris of the long name,1970-05-06\n"},
    {"city.csv", "B,Berlin,3.5,old\nP,Paris,,older\n"},
    {"knows.csv", "1,2,2001\n2,3,\n"},
    {"lives.csv", "1,B,500.5,1999\n3,P,,\n"},
};

static rn_graph *load_graph(void)
{
    char folder[256];
    char manifest[512];
    ration_error error;
    rn_graph *graph = NULL;
    rn_copy_text(folder, sizeof folder, support_folder());
    for (size_t i = 0; i < RN_COUNT(graph_files); i++) {
        (void)support_write(folder, graph_files[i][0], graph_files[i][1],
                            strlen(graph_files[i][1]));
    }
    (void)snprintf(manifest, sizeof manifest, "%s/graph.yaml", folder);
    rn_graph_options options = {.slot = world.slot};
    support_ok(rn_graph_load(manifest, &options, &graph, &error), &error);
    support_remove(folder);
    return graph;
}

typedef struct graph_case {
    const char *text, *expected;
} graph_case;

/* One line per row. */
static void put_column(const rn_column *column, uint32_t rows, rn_text *text)
{
    for (uint32_t row = 0; row < rows; row++) {
        rn_value value = rn_column_value(column, row);
        rn_text_put(text, row > 0 ? " " : "");
        if (value.null) {
            rn_text_put(text, "-");
        } else if (value.type.kind == RN_STRING) {
            rn_text_put_bytes(text, rn_string_bytes(&value.as.string), value.as.string.length);
        } else if (value.type.kind == RN_DOUBLE) {
            rn_text_put_double(text, value.as.real);
        } else if (value.type.kind == RN_DATE) {
            rn_text_put_date(text, value.as.date);
        } else {
            rn_text_format(
                text, "%lld",
                (long long)(value.type.kind == RN_BOOL ? value.as.boolean : value.as.integer));
        }
    }
}

static const rn_field graph_fields[] = {
    {"p", {RN_NODE, 0, 0}},
    {"c", {RN_NODE, 0, 1}},
    {"x", {RN_NODE, 0, RN_LABEL_ANY}},
    {"k", {RN_EDGE, 0, 0}},
    {"e", {RN_EDGE, 0, RN_LABEL_ANY}},
};

static void check_graph_case(const rn_graph *graph, const graph_case *example)
{
    static const uint32_t persons[] = {2, 0, 1, 0}, cities[] = {4, 3, 3, 4}, any[] = {0, 3, 99, 2};
    static const uint16_t backwards[] = {3, 2, 1, 0};
    static const uint64_t but_third = 0xb;
    uint64_t knows[] = {rn_edge_make(0, 0), rn_edge_make(0, 1), rn_edge_make(0, 1),
                        rn_edge_make(0, 0)};
    uint64_t edges[] = {rn_edge_make(0, 0), rn_edge_make(1, 0), rn_edge_make(1, 1),
                        rn_edge_make(0, 1)};
    rn_column columns[] = {{graph_fields[0].type, persons, NULL, NULL},
                           {graph_fields[1].type, cities, NULL, backwards},
                           {graph_fields[2].type, any, &but_third, NULL},
                           {graph_fields[3].type, knows, NULL, NULL},
                           {graph_fields[4].type, edges, NULL, backwards}};
    rn_batch batch = {4, RN_COUNT(columns), columns};
    rn_evaluator *evaluator = NULL;
    rn_column column;
    ration_error error;
    char found[256];
    rn_text text = rn_text_over(found, sizeof found);
    ck_assert_int_eq(
        rn_evaluator_open(parse(&world, example->text), graph, world.context, 4, &evaluator),
        RATION_OK);
    support_ok(rn_evaluate(evaluator, &batch, &column, &error), &error);
    put_column(&column, 4, &text);
    ck_assert_msg(strcmp(found, example->expected) == 0, "%s gives %s", example->text, found);
}

static void check_graph_error(const graph_case *example)
{
    rn_expression *expression;
    ration_error error;
    ck_assert_msg(try_parse(&world, example->text, &expression, &error) == RATION_PLAN, "%s",
                  example->text);
    ck_assert_str_eq(support_error(&error), example->expected);
}

START_TEST(test_evaluate__reads_properties)
{
    static const graph_case examples[] = {
        {"p.id", "3 1 2 1"},
        {"p.name", "Chris of the long name Ann Ben Ann"},
        {"p.age + 1", "51 31 - 31"},
        {"p.born", "1970-05-06 1990-01-02 - 1990-01-02"},
        {"c.size", "- 3.5 3.5 -"},
        {"c.age", "older old old older"},
        {"x.name", "Ann Berlin - Chris of the long name"},
        {"x.size", "- 3.5 - -"},
        {"x.id", "1 - - 3"},
        {"x.code", "- B - -"},
        {"k.since", "2001 - - 2001"},
        {"e.since", "- - 1999 2001"},
        {"e.rent", "- - 500.5 -"},
        {"label(x)", "Person City - Person"},
        {"label(e)", "knows livesIn livesIn knows"},
        {"p.age > 40 and p.age <> 0", "1 0 - 0"},
        {"x = p", "0 0 - 0"},
        {"starts_with(coalesce(x.code, x.name, 'none'), 'B')", "0 1 0 0"},
    };
    static const graph_case errors[] = {
        {"x.age", "plan.yaml:7:15: error: filter: age is int64 in Person but string in City (keep "
                  "one label, or name the columns apart)"},
        {"p.agee",
         "plan.yaml:7:15: error: filter: Person has no property agee (did you mean age?)"},
        {"p.size", "plan.yaml:7:15: error: filter: Person has no property size"},
        {"x.siez",
         "plan.yaml:7:15: error: filter: no label has a property siez (did you mean size?)"},
        {"k.rent", "plan.yaml:7:15: error: filter: knows has no property rent"},
        {"p.name < 3", "plan.yaml:7:22: error: filter: cannot compare p.name (string) with 3 "
                       "(int64) (text stands in quotes, numbers do not)"},
    };
    open_world(&world, graph_fields, RN_COUNT(graph_fields), NULL, 0);
    rn_graph *graph = load_graph();
    world.scope.graph = graph;
    for (size_t k = 0; k < RN_COUNT(examples); k++) {
        check_graph_case(graph, &examples[k]);
    }
    for (size_t k = 0; k < RN_COUNT(errors); k++) {
        check_graph_error(&errors[k]);
    }
    rn_graph_close(graph);
    close_world(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_evaluate__agrees_with_a_naive_evaluator,
        test_evaluate__asks_the_right_side_only_where_it_must,
        test_evaluate__refuses_what_has_no_value,
        test_evaluate__compares_int64_with_double_exactly,
        test_evaluate__passes_a_plain_column_through,
        test_evaluate__open_survives_refusals,
        test_evaluate__finds_nothing_in_an_empty_list,
        test_evaluate__splits_every_timestamp,
        test_evaluate__reads_properties,
    };
    return support_run("evaluate", tests, RN_COUNT(tests));
}

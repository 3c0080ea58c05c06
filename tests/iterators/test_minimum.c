/* SPDX-License-Identifier: Apache-2.0
 *
 * The published minimum of every operator: enough, and not much more than enough.
 *
 * For each operator a plan that holds far more than the minimum when it may. It must complete under
 * a query limit of the plan's minimum, with the same rows. Then the limits below are searched for
 * the least that passes when nothing is claimed at open (the operators' classes are copied, without
 * minimums): what is published may be above it by what rows up to max_row_bytes need and those of
 * the plan do not.
 *
 *     test_minimum             compares with tests/iterators/minimums.golden and the table in
 *                              iterators/README.md (release builds)
 *     test_minimum --write     writes both */
#include "iterators/keys.h"
#include "iterators/registry.h"
#include "tests/iterators/people.h"
#include "tests/world.h"

#define GOLDEN "tests/iterators/minimums.golden"
#define README "iterators/README.md"
#define STEP_BYTES (4 * 1024)
#define LEAVES 40000
#define LAST 80001

typedef struct minimum_case {
    const char *operator_; /* as it is called in the table */
    const char *plan;
} minimum_case;

#define NARROW(rows)                                                                               \
    "- range: { rows: " #rows ", columns: { k: { random: int64, min: 0, max: 999999 }, "           \
    "i: sequence } }\n"
#define WIDE                                                                                       \
    "- range: { rows: 64, columns: { i: sequence, s: { random: string, width: 60000 } } }\n"
#define STRINGS                                                                                    \
    "- range: { rows: 20000, columns: { k: { random: int64, min: 0, max: 99 }, "                   \
    "s: { random: string, width: 100 } } }\n"
#define NODES "- scan: { label: Node, as: a }\n"

static const minimum_case cases[] = {
    {"scan", NODES},
    {"range", NARROW(40000)},
    {"range, wide rows", WIDE},
    {"filter", NARROW(40000) "- filter: k < 500000 and (i > 7 or k > 3)\n"},
    {"project", NARROW(40000) "- project: { '*': all, j: k + i * 2 }\n"},
    {"limit", NARROW(40000) "- limit: 30000\n"},
    {"skip", NARROW(40000) "- skip: 30\n"},
    {"union", NARROW(9000) "- union: { with: [ { range: { rows: 9000, columns: { a: sequence, "
                           "b: sequence } } } ] }\n"},
    {"expand", NODES "- expand: { from: a, edge: edge, to: b, as: e }\n"},
    {"expand, 3 hops", NODES "- expand: { from: a, edge: edge, to: b, hops: 3, direction: both }\n"
                             "- limit: 20000\n"},
    {"exists", NODES "- exists: { from: a, edge: edge }\n"},
    {"not_exists", NODES "- not_exists: { from: a, edge: edge }\n"},
    {"shortest_path",
     "- scan: { label: Node, id: [0, 7], as: a }\n"
     "- shortest_path: { from: a, to: b, edge: edge, direction: both, length: d }\n"},
    {"shortest_path, bound",
     "- scan: { label: Node, id: 80001, as: a }\n- expand: { from: a, edge: edge, to: b }\n"
     "- shortest_path: { from: b, to: a, edge: edge, length: d }\n"},
    {"unwind", STRINGS "- aggregate: { by: [k], compute: { l: collect(s) } }\n"
                       "- unwind: { list: l, as: t }\n"},
    {"collect", NARROW(40000) "- collect: all\n"},
    {"collect, strings", STRINGS "- collect: all\n"},
    {"collect, wide rows", WIDE "- collect: all\n"},
    {"collect, collect, sort", NARROW(40000) "- collect: all\n- collect: all\n- sort: [k]\n"},
    {"sort", NARROW(40000) "- sort: [k, i]\n"},
    {"sort, wide rows", WIDE "- sort: [s]\n"},
    {"topk", NARROW(40000) "- topk: { by: [k, i], rows: 20000 }\n"},
    {"distinct", NARROW(40000) "- distinct: [k]\n"},
    {"aggregate", NARROW(40000) "- aggregate: { by: [k], compute: { n: count(), s: sum(i) } }\n"},
    {"aggregate, collect", STRINGS "- aggregate: { by: [k], compute: { l: collect(s) } }\n"},
    {"join", NARROW(40000) "- join: { on: { i: j }, with: [ { range: { rows: 40000, columns: { "
                           "j: sequence, x: sequence } } } ] }\n"},
};

static bool writing;

/* ---- one run */

/* Node 0 leads to LEAVES nodes, as many others lead to the last one, which leads to 0: between 0
 * and the last one two searches run past each other. */
static void open_world(rn_test_world *world)
{
    size_t capacity = 100 + (size_t)LEAVES * 2 * 16;
    char *text = malloc(capacity), *at = text;
    ck_assert_ptr_nonnull(text);
    at += sprintf(at, "--- stars.txt\n%d 0\n", LAST);
    for (int i = 1; i <= LEAVES; i++) {
        at += sprintf(at, "0 %d\n%d %d\n", i, LEAVES + i, LAST);
    }
    rn_test_open(world, NULL, text);
    free(text);
}

/* What a run gave, in any order. */
typedef struct run_sum {
    ration_status status;
    int64_t rows;
    uint64_t hash;
} run_sum;

static void add_batch(const rn_batch *batch, run_sum *sum)
{
    static uint64_t hashes[RN_BATCH_ROWS_MAX];
    uint32_t columns[RN_COLUMNS_MAX], count = 0;
    for (uint32_t c = 0; c < batch->column_count; c++) {
        if (batch->columns[c].type.kind != RN_LIST) { /* a list in any order is the same */
            columns[count++] = c;
        }
    }
    rn_keys_hash(batch, columns, count, hashes);
    for (uint32_t i = 0; i < batch->rows; i++) {
        sum->hash += hashes[i];
    }
    sum->rows += batch->rows;
}

static run_sum run_plan(rn_test_world *world, const rn_plan *plan, int64_t limit_bytes)
{
    ration_query_options options = {.size = sizeof options, .limit_bytes = limit_bytes};
    run_sum sum = {RATION_OK, 0, 0};
    ration_query *query;
    rn_execution *execution;
    sum.status = ration_query_open(world->governor, &options, &query, NULL);
    if (sum.status != RATION_OK) {
        return sum;
    }
    sum.status = rn_execution_open(query, plan, false, &execution);
    if (sum.status == RATION_OK) {
        const rn_batch *batch;
        do {
            sum.status = rn_execution_next(execution, &batch);
            if (sum.status == RATION_OK) {
                add_batch(batch, &sum);
            }
        } while (sum.status == RATION_OK && batch->rows > 0);
        rn_execution_close(execution);
    }
    ration_query_close(query);
    ck_assert_msg(sum.status == RATION_OK || sum.status == RATION_QUERY_LIMIT ||
                      sum.status == RATION_MINIMUM_ABOVE_LIMIT,
                  "%s", ration_status_name(sum.status));
    return sum;
}

typedef struct built_plan {
    rn_plan_file file;
    rn_plan *plan;
} built_plan;

static void build(rn_test_world *world, const char *steps, const rn_operator_class *const *classes,
                  built_plan *built)
{
    static const rn_parameters none = {0, NULL};
    static char text[65536];
    ration_error error;
    int length = snprintf(text, sizeof text, "pipeline:\n%s", steps);
    ck_assert(length > 0 && (size_t)length < sizeof text);
    support_ok(rn_plan_file_parse("plan.yaml", text, strlen(text), &built->file, &error), &error);
    support_ok(
        rn_plan_build(&built->file, NULL, &none, world->graph, classes, &built->plan, &error),
        &error);
}

static void forget(built_plan *built)
{
    rn_plan_close(built->plan);
    rn_plan_file_close(&built->file);
}

/* ---- enough, and the least */

static int64_t published_bytes(const rn_test_world *world, const rn_plan *plan)
{
    const ration_limits *limits = &world->governor->settings->limits;
    rn_sizes sizes = {(uint32_t)RN_MIN((int64_t)RN_BATCH_ROWS_MAX, limits->check_interval),
                      limits->max_row_bytes};
    return rn_plan_minimum(plan, &sizes);
}

static bool passes(rn_test_world *world, const rn_plan *plan, int64_t limit_bytes,
                   const run_sum *wanted)
{
    run_sum sum = run_plan(world, plan, limit_bytes);
    if (sum.status == RATION_OK) {
        ck_assert_int_eq(sum.rows, wanted->rows);
        ck_assert_uint_eq(sum.hash, wanted->hash);
    }
    return sum.status == RATION_OK;
}

/* The least limit, a multiple of STEP_BYTES, from which on the plan passes without a claim. */
static int64_t search_least(rn_test_world *world, const char *steps, int64_t passing,
                            const run_sum *wanted)
{
    static rn_operator_class copies[64];
    static const rn_operator_class *classes[65];
    built_plan built;
    uint32_t count = 0;
    for (; rn_operator_classes()[count] != NULL; count++) {
        copies[count] = *rn_operator_classes()[count];
        copies[count].minimum = NULL;
        classes[count] = &copies[count];
    }
    classes[count] = NULL;
    build(world, steps, classes, &built);
    int64_t failing = 0;
    passing = rn_round_up(passing, STEP_BYTES);
    while (passing - failing > STEP_BYTES) {
        int64_t middle = rn_round_up((failing + passing) / 2, STEP_BYTES);
        middle = RN_MIN(middle, passing - STEP_BYTES);
        *(passes(world, built.plan, middle, wanted) ? &passing : &failing) = middle;
    }
    forget(&built);
    return passing;
}

typedef struct figures {
    int64_t published, least;
    bool enough;
} figures;

static figures measure(rn_test_world *world, const minimum_case *at)
{
    built_plan built;
    figures found;
    build(world, at->plan, rn_operator_classes(), &built);
    run_sum wanted = run_plan(world, built.plan, 0);
    ck_assert_int_eq(wanted.status, RATION_OK);
    ck_assert_int_gt(wanted.rows, 0);
    found.published = published_bytes(world, built.plan);
    found.enough = passes(world, built.plan, found.published, &wanted);
    found.least = found.enough ? search_least(world, at->plan, found.published, &wanted) : -1;
    forget(&built);
    return found;
}

/* ---- the golden file */

/* Checked builds put something around every allocation: their figures are others. */
#if defined(RATION_CHECKED) || defined(RATION_UNGOVERNED)
#define COMPARED false
#else
#define COMPARED true
#endif

static void put_figures(const minimum_case *at, const figures *found, rn_text *golden,
                        rn_text *table)
{
    long long published = (long long)found->published / 1024,
              least = (long long)found->least / 1024;
    rn_text_format(golden, "%-24s %6lld %6lld\n", at->operator_, published, least);
    rn_text_format(table, "| %s | %lld | %lld |\n", at->operator_, published, least);
    printf("%-24s %6lld %6lld\n", at->operator_, published, least);
    fflush(stdout);
}

static char *read_file(const char *name)
{
    static char bytes[3][65536];
    static int turn;
    char *text = bytes[turn++ % 3];
    FILE *file = fopen(support_path(name), "r");
    ck_assert_msg(file != NULL, "%s is missing", name);
    text[fread(text, 1, sizeof bytes[0] - 1, file)] = '\0';
    ck_assert_int_eq(fclose(file), 0);
    return text;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(support_path(name), "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

/* The README with this table between its two marks. */
static const char *with_table(char *readme, const char *table)
{
    static char text[65536];
    char *from = strstr(readme, "<!-- minimums -->\n"), *to = strstr(readme, "<!-- end -->");
    ck_assert_msg(from != NULL && to != NULL && from < to, "%s has lost its marks", README);
    from = strchr(from, '\n') + 1;
    int length = snprintf(text, sizeof text, "%.*s%s%s", (int)(from - readme), readme, table, to);
    ck_assert(length > 0 && (size_t)length < sizeof text);
    return text;
}

static void compare(const char *golden, const char *table)
{
    const char *readme = read_file(README);
    const char *wanted = with_table(read_file(README), table);
    if (writing) {
        write_file(GOLDEN, golden);
        write_file(README, wanted);
    } else if (COMPARED) {
        ck_assert_msg(strcmp(golden, read_file(GOLDEN)) == 0, "%s says otherwise: --write", GOLDEN);
        ck_assert_msg(strcmp(readme, wanted) == 0, "%s says otherwise: --write", README);
    }
}

START_TEST(test_minimum__is_enough_and_needed)
{
    static char bytes[3][16384];
    rn_text golden = rn_text_over(bytes[0], sizeof bytes[0]),
            table = rn_text_over(bytes[1], sizeof bytes[1]),
            wanting = rn_text_over(bytes[2], sizeof bytes[2]);
    rn_test_world world;
    open_world(&world);
    rn_text_put(&golden, "# KiB of one query: the plan's published minimum, the least limit that "
                         "passed\n");
    rn_text_put(&table, "| plan ends in | published KiB | least KiB |\n|---|---|---|\n");
    for (size_t i = 0; i < RN_COUNT(cases); i++) {
        figures found = measure(&world, &cases[i]);
        if (!found.enough) {
            rn_text_format(&wanting, " %s (%lld)", cases[i].operator_, (long long)found.published);
        }
        put_figures(&cases[i], &found, &golden, &table);
    }
    rn_test_close(&world);
    ck_assert_msg(wanting.length == 0, "not enough:%s", wanting.bytes);
    compare(golden.bytes, table.bytes);
}
END_TEST

/* ---- several operators, and batches that are more than they look */

/* Fails when the plan does not pass with its minimum and the rows it has without a limit. */
static void expect_enough(rn_test_world *world, const char *steps)
{
    built_plan built;
    build(world, steps, rn_operator_classes(), &built);
    run_sum wanted = run_plan(world, built.plan, 0);
    ck_assert_int_eq(wanted.status, RATION_OK);
    ck_assert_msg(passes(world, built.plan, published_bytes(world, built.plan), &wanted),
                  "not enough: %.200s", steps);
    forget(&built);
}

#define MANY                                                                                       \
    "- range: { rows: 40000, columns: { k: { random: int64, min: 0, max: 30000 }, i: sequence, "   \
    "s: { random: string, width: 30, distinct: 5 } } }\n"

/* Who is below gives while who is above fills: what it has taken besides is not in its way. */
START_TEST(test_minimum__is_enough_for_several)
{
    rn_test_world world;
    open_world(&world);
    expect_enough(&world, MANY "- distinct: all\n- collect: all\n");
    expect_enough(&world, MANY "- distinct: [k, i]\n- sort: [k desc, i]\n");
    expect_enough(&world, MANY "- distinct: all\n- aggregate: { by: [s, k], compute: "
                               "{ n: \"count(distinct i)\", c: collect(i) } }\n");
    /* the second input waits while the first gives */
    expect_enough(&world, MANY "- sort: [k]\n- union: { with: [ [ " /* .. */
                               "{ range: { rows: 9, columns: { a: sequence, b: sequence, "
                               "t: { random: string, width: 3 } } } }, { sort: [a] } ] ] }\n");
    rn_test_close(&world);
}
END_TEST

/* All rows of a batch may have one and the same long string: it is held once in it, but by who
 * holds rows as often as there are rows. Of one batch more runs are written out than can be kept.
 */
START_TEST(test_minimum__is_enough_for_shared_strings)
{
    static const char *const ends[] = {
        "- sort: [k, i]\n",
        "- topk: { rows: 2000, by: [k, i] }\n",
        "- distinct: all\n",
        "- aggregate: { by: [s, i], compute: { n: \"count(distinct k)\" } }\n",
        "- collect: all\n",
        "- join: { with: [ { range: { rows: 2500, columns: { j: sequence } } } ], on: { i: j } }\n",
    };
    static char steps[32768], letters[10001];
    rn_test_world world;
    memset(letters, 'x', sizeof letters - 1);
    open_world(&world);
    for (size_t i = 0; i < RN_COUNT(ends); i++) {
        snprintf(steps, sizeof steps,
                 "- range: { rows: 2500, columns: { i: sequence, k: { random: int64, min: 0, "
                 "max: 9999 } } }\n- project: { i: i, k: k, s: \"'%s'\" }\n%s",
                 letters, ends[i]);
        expect_enough(&world, steps);
    }
    snprintf(steps, sizeof steps,
             "- range: { rows: 2500, columns: { j: sequence } }\n"
             "- join: { with: [ { range: { rows: 2500, columns: { i: sequence } } }, "
             "{ project: { i: i, s: \"'%s'\" } } ], on: { j: i } }\n",
             letters);
    expect_enough(&world, steps);
    rn_test_close(&world);
}
END_TEST

/* A list that does not fit is refused: not read again and again. */
START_TEST(test_minimum__does_not_hold_for_states)
{
    rn_test_world world;
    built_plan built;
    open_world(&world);
    build(&world,
          "- range: { rows: 60000, columns: { s: { random: string, width: 30, distinct: 1 } } }\n"
          "- aggregate: { by: [s], compute: { c: collect(s) } }\n",
          rn_operator_classes(), &built);
    run_sum refused = run_plan(&world, built.plan, published_bytes(&world, built.plan));
    ck_assert_int_eq(refused.status, RATION_QUERY_LIMIT);
    forget(&built);
    rn_test_close(&world);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        test_minimum__is_enough_and_needed, test_minimum__is_enough_for_several,
        test_minimum__is_enough_for_shared_strings, test_minimum__does_not_hold_for_states};
    writing = argc > 1 && strcmp(argv[1], "--write") == 0;
    return support_run("minimum", tests, RN_COUNT(tests));
}

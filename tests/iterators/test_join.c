/* SPDX-License-Identifier: Apache-2.0
 *
 * join: each type against what nested loops give, duplicates on both sides, nulls, several keys,
 * every key type. */
#include "tests/iterators/people.h"
#include "tests/world.h"

#define SCAN_KNOWS                                                                                 \
    "- scan: { label: Person, as: a }\n"                                                           \
    "- join: { type: %s, on: { a: p }, with: [ { scan: { label: Person, as: p } },\n"              \
    "    { expand: { from: p, edge: knows, to: q } }, { filter: 'p.id <> 3' } ] }\n"

static void expect_type(rn_test_world *world, const char *type, const char *expected)
{
    char plan[400];
    snprintf(plan, sizeof plan, SCAN_KNOWS, type);
    rn_test_rows(world, plan, expected);
}

START_TEST(test_join__types)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    expect_type(&world, "inner", "Person/1|Person/2\nPerson/1|Person/2\nPerson/2|Person/3\n");
    expect_type(
        &world, "left",
        "Person/1|Person/2\nPerson/1|Person/2\nPerson/2|Person/3\nPerson/3|null\nPerson/4|null\n");
    expect_type(&world, "semi", "Person/1\nPerson/2\n");
    expect_type(&world, "anti", "Person/3\nPerson/4\n");
    rn_test_close(&world);
}
END_TEST

/* Ages: 30, 40, null, 20. A null key matches nothing, on either side, and is kept by left and anti.
 */
START_TEST(test_join__null_keys_match_nothing)
{
#define BY_AGE                                                                                     \
    "- scan: { label: Person, as: a }\n- project: { id: a.id, age: a.age }\n"                      \
    "- join: { type: %s, on: { age: old }, with: [ { scan: { label: Person, as: b } },\n"          \
    "    { project: { other: b.id, old: 'b.age' } } ] }\n"
    static const struct {
        const char *type, *rows;
    } cases[] = {{"inner", "1|30|1\n2|40|2\n4|20|4\n"},
                 {"left", "1|30|1\n2|40|2\n3|null|null\n4|20|4\n"},
                 {"semi", "1|30\n2|40\n4|20\n"},
                 {"anti", "3|null\n"}};
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    for (size_t i = 0; i < RN_COUNT(cases); i++) {
        char plan[400];
        snprintf(plan, sizeof plan, BY_AGE, cases[i].type);
        rn_test_rows(&world, plan, cases[i].rows);
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_join__empty_sides)
{
    static const char *const types[] = {"inner", "left", "semi", "anti"};
    static const char *const no_build[] = {"", "0|null\n1|null\n2|null\n", "", "0\n1\n2\n"};
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < RN_COUNT(types); i++) {
        char plan[600];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 3, columns: { i: sequence } }\n"
                 "- join: { type: %s, on: { i: k }, with: [ { range: { rows: 5, columns: { k: "
                 "sequence, v: sequence } } },\n"
                 "    { filter: 'false' } ] }\n",
                 types[i]);
        rn_test_rows(&world, plan, no_build[i]);
        snprintf(plan, sizeof plan,
                 "- range: { rows: 3, columns: { i: sequence } }\n- filter: 'i > 5'\n"
                 "- join: { type: %s, on: { i: k }, with: [ { range: { rows: 5, columns: { k: "
                 "sequence } } } ] }\n",
                 types[i]);
        rn_test_rows(&world, plan, "");
    }
    rn_test_close(&world);
}
END_TEST

/* 3000 probe rows x 2000 build rows over 50 keys: 120,000 pairs, many batches per probe batch; sums
 * tell whether each pair came once. */
START_TEST(test_join__many_duplicates_with_any_batch)
{
    static const int64_t batches[] = {1024, 100, 1};
    for (size_t i = 0; i < RN_COUNT(batches); i++) {
        rn_test_world world;
        rn_test_open_rows(&world, batches[i], NULL);
        rn_test_rows(
            &world,
            "- range: { rows: 3000, columns: { i: sequence } }\n- project: { i: i, k: 'i % 50' }\n"
            "- join: { on: { k: l }, with: [ { range: { rows: 2000, columns: { j: sequence } } },\n"
            "    { project: { j: j, l: 'j % 50' } } ] }\n"
            "- aggregate: { compute: { n: count(), i: sum(i), j: sum(j), k: sum(i * j), d: "
            "count(distinct i * 2000 + j) } }\n",
            "120000|179940000|119940000|179875020000|120000\n");
        rn_test_close(&world);
    }
}
END_TEST

/* Two keys of different types, one an expression of the input; the payload holds strings and lists.
 */
START_TEST(test_join__several_keys_and_wide_payload)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(
        &world,
        "- scan: { label: Person, as: a }\n"
        "- expand: { from: a, edge: knows, to: b }\n"
        "- join: { on: { a.name: name, b: x }, type: left, with: [ { scan: { label: Person, as: p "
        "} },\n"
        "    { expand: { from: p, edge: knows, to: x } }, { filter: 'x.id = 2' },\n"
        "    { project: { name: p.name, x: x, long: \"coalesce(p.name, 'x')\" } },\n"
        "    { aggregate: { by: [name, x], compute: { all: collect(long), n: count() } } } ] }\n",
        "Person/1|Person/2|[Ann, Ann]|2\nPerson/1|Person/2|[Ann, Ann]|2\n"
        "Person/2|Person/3|null|null\nPerson/3|Person/3|null|null\nPerson/3|Person/1|null|null\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_join__doubles_match_as_values)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_rows(
        &world,
        "- range: { rows: 3, columns: { i: sequence } }\n"
        "- project: { x: '0.0 * (double(i) - 1.0)', i: i }\n" /* -0, 0, 0 */
        "- join: { on: { x: y }, with: [ { range: { rows: 1, columns: { j: sequence } } },\n"
        "    { project: { y: double(j), j: j } } ] }\n- project: { i: i, j: j }\n",
        "0|0\n1|0\n2|0\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_join__agrees_with_expand)
{
    static const int64_t batches[] = {1024, 7};
    for (size_t i = 0; i < RN_COUNT(batches); i++) {
        rn_test_world world;
        char graph[60000], *at = graph;
        uint64_t seed = 77;
        at += sprintf(at, "--- edges.txt\n");
        for (int e = 0; e < 4000; e++) {
            at += sprintf(at, "%d %d\n", (int)rn_random_below(&seed, 500),
                          (int)rn_random_below(&seed, 500));
        }
        rn_test_open_rows(&world, batches[i], graph);
        rn_test_same_rows(
            &world,
            "- scan: { label: Node, as: a }\n- expand: { from: a, edge: edge, to: b }\n"
            "- join: { on: { b: c }, with: [ { scan: { label: Node, as: c } }, { expand: { from: "
            "c, edge: edge, to: d } } ] }\n",
            "- scan: { label: Node, as: a }\n- expand: { from: a, edge: edge, to: b }\n"
            "- expand: { from: b, edge: edge, to: d }\n");
        rn_test_close(&world);
    }
}
END_TEST

START_TEST(test_join__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
#define JOIN_ERROR(join, expected)                                                                 \
    rn_test_plan_error(                                                                            \
        &world, "- scan: { label: Person, as: p }\n- project: { p: p, i: p.id }\n" join, expected)
#define OTHER "with: [ { range: { rows: 1, columns: { k: sequence, i: sequence } } } ]"
    JOIN_ERROR("- join: { on: { i: k } }\n", "plan.yaml:4:9: error: join: with is missing");
    JOIN_ERROR("- join: { " OTHER " }\n", "plan.yaml:4:9: error: join: on is missing");
    JOIN_ERROR("- join: { " OTHER ", on: i }\n",
               "plan.yaml:4:88: error: join: on must map columns to columns (write on: { column of "
               "the input: column of with })");
    JOIN_ERROR("- join: { " OTHER ", on: {} }\n",
               "plan.yaml:4:88: error: join: on must map columns to columns (write on: { column of "
               "the input: column of with })");
    JOIN_ERROR("- join: { " OTHER ", on: { p: k } }\n",
               "plan.yaml:4:93: error: join: p is node, but k is int64");
    JOIN_ERROR("- join: { " OTHER ", on: { i: x } }\n",
               "plan.yaml:4:93: error: join: no column x (did you mean i?)");
    JOIN_ERROR("- join: { " OTHER ", on: { j: k } }\n",
               "plan.yaml:4:90: error: join: no column j (did you mean i?)");
    JOIN_ERROR("- join: { " OTHER ", on: { i: k } }\n",
               "plan.yaml:4:9: error: join: column i is there already (give it another name with "
               "project)");
    JOIN_ERROR(
        "- join: { " OTHER ", on: { i: k }, type: outer }\n",
        "plan.yaml:4:104: error: join: unknown type of join 'outer' (inner, left, semi or anti)");
    JOIN_ERROR("- join: { " OTHER ", on: { i: k }, kind: left }\n",
               "plan.yaml:4:98: error: join: unknown key kind");
    rn_test_explains(&world,
                     "- scan: { label: Person, as: p }\n- join: { " OTHER
                     ", type: anti, on: { p.age: k, p.id: i } }\n",
                     "anti on p.age = k, p.id = i");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_join__errors_of_keys_name_their_place)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_run_error(&world,
                      "- range: { rows: 3, columns: { i: sequence } }\n"
                      "- join: { on: { '10 / i': k }, with: [ { range: { rows: 1, columns: { k: "
                      "sequence } } } ] }\n",
                      RATION_EVALUATION,
                      "plan.yaml:3:20: error: join: division by zero in (10 / i)");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_join__refuses_rows_that_are_too_wide)
{
    ration_limits limits;
    rn_test_world world;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = 1 << 30;
    limits.max_row_bytes = 4096;
    rn_test_open(&world, &limits, NULL);
    rn_test_run_error(&world,
                      "- range: { rows: 3, columns: { i: sequence } }\n"
                      "- join: { on: { i: k }, with: [ { range: { rows: 9, columns: { k: sequence, "
                      "s: { random: string, width: 5000 } } } } ] }\n",
                      RATION_ROW_TOO_WIDE,
                      "plan.yaml:3:3: error: join: a row to hold is wider than 4096 bytes (raise "
                      "max_row_bytes in memory.yaml)");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_join__comes_through_every_limit_and_fault)
{
    static const char *const types[] = {"left", "anti"};
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < RN_COUNT(types); i++) {
        char plan[500];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 2000, columns: { i: sequence } }\n"
                 "- join: { type: %s, on: { i: k }, with: [ { range: { rows: 6000, columns: {\n"
                 "    k: { random: int64, min: 0, max: 2500, nulls: 0.1 }, s: { random: string, "
                 "width: 30 } } } } ] }\n",
                 types[i]);
        rn_test_sweep(&world, plan, 16 * 1024, false);
        rn_test_faults(&world, plan);
    }
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_join__types,
        test_join__null_keys_match_nothing,
        test_join__empty_sides,
        test_join__many_duplicates_with_any_batch,
        test_join__several_keys_and_wide_payload,
        test_join__doubles_match_as_values,
        test_join__agrees_with_expand,
        test_join__explains_bad_plans,
        test_join__errors_of_keys_name_their_place,
        test_join__refuses_rows_that_are_too_wide,
        test_join__comes_through_every_limit_and_fault,
    };
    return support_run("join", tests, RN_COUNT(tests));
}

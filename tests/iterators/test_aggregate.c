/* SPDX-License-Identifier: Apache-2.0
 *
 * aggregate: every function over every type it takes, with and without groups, over nothing, over
 * nulls, in any batch. */
#include "tests/iterators/people.h"
#include "tests/world.h"

START_TEST(test_aggregate__groups)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world,
                 "- scan: { label: Person, as: p }\n- expand: { from: p, edge: knows, to: q, as: "
                 "e, optional: true }\n"
                 "- aggregate: { by: [p], compute: { rows: count(), q: count(q), d: count(distinct "
                 "q), first: min(e.since),\n"
                 "    last: max(e.since), sum: sum(e.since), avg: avg(e.since), names: "
                 "collect(q.name), least: min(q.name) } }\n",
                 "Person/1|2|2|1|2001|2002|4003|2001.5|[Ben, Ben]|Ben\n"
                 "Person/2|1|1|1|null|null|null|null|[Cid]|Cid\n"
                 "Person/3|2|2|2|2004|2005|4009|2004.5|[Ann, Cid]|Ann\n"
                 "Person/4|1|0|0|null|null|null|null|[]|null\n");
    rn_test_rows(&world, "- scan: { label: Person, as: p }\n- aggregate: { by: [p] }\n",
                 "Person/1\nPerson/2\nPerson/3\nPerson/4\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_aggregate__over_nothing)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
#define ALL                                                                                        \
    "compute: { n: count(), v: count(i), d: count(distinct i), s: sum(i), l: min(i), g: max(i), "  \
    "a: avg(i), c: collect(i) } }\n"
#define NOTHING "- range: { rows: 5, columns: { i: sequence } }\n- filter: 'i > 10'\n"
    rn_test_rows(&world, NOTHING "- aggregate: { " ALL, "0|0|0|null|null|null|null|[]\n");
    rn_test_rows(&world, NOTHING "- aggregate: { by: [], " ALL, "0|0|0|null|null|null|null|[]\n");
    rn_test_rows(&world, NOTHING "- aggregate: { by: [i], " ALL, "");
    rn_test_close(&world);
}
END_TEST

/* The result does not depend on the batches, and equals what the formulas of 0..29999 say. */
START_TEST(test_aggregate__many_groups_with_any_batch)
{
    static const int64_t batches[] = {1024, 100, 1};
    for (size_t i = 0; i < RN_COUNT(batches); i++) {
        rn_test_world world;
        rn_test_open_rows(&world, batches[i], NULL);
        rn_test_rows(&world,
                     "- range: { rows: 30000, columns: { i: sequence } }\n- project: { i: i, k: 'i "
                     "% 6000' }\n"
                     "- aggregate: { by: [k], compute: { n: count(), s: sum(i), l: min(i), g: "
                     "max(i), a: avg(i), d: count(distinct i % 3), c: collect(i) } }\n"
                     "- aggregate: { compute: { groups: count(), n: sum(n), s: sum(s), l: sum(l), "
                     "g: sum(g), a: sum(a), d: sum(d), c: sum(length(c)),\n"
                     "    spread: max(g - l), same: min(n) } }\n",
                     "6000|30000|449985000|17997000|161997000|89997000|6000|30000|24000|5\n");
        rn_test_close(&world);
    }
}
END_TEST

/* min and max of every type that has an order; doubles with NaN above all numbers. */
START_TEST(test_aggregate__least_and_greatest)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(
        &world,
        "- scan: { label: Person, as: p }\n- expand: { from: p, edge: knows, to: q, as: e }\n"
        "- project: { p: p, e: e, b: 'p.id = 2', i: '0 - p.id', x: '0.5 - double(p.id)', n: "
        "p.name,\n"
        "    d: \"coalesce(date '1950-01-01', date '2020-02-29')\", t: \"timestamp "
        "'1969-12-31T23:59:59Z'\" }\n"
        "- aggregate: { compute: { p0: min(p), p1: max(p), e0: min(e), e1: max(e), b0: min(b), b1: "
        "max(b), i0: min(i), i1: max(i),\n"
        "    x0: min(x), x1: max(x), n0: min(n), n1: max(n), d0: min(d), t1: max(t) } }\n",
        "Person/1|Person/3|knows/0|knows/"
        "4|false|true|-3|-1|-2.5|-0.5|Ann|Cid|1950-01-01|1969-12-31T23:59:59Z\n");
    rn_test_rows(
        &world,
        "- range: { rows: 9, columns: { i: sequence } }\n"
        "- project: { x: '(1e300 * double(i)) * 1e300 - (1e300 * double(i - i % 2)) * 1e300' }\n"
        "- aggregate: { compute: { l: min(x), g: max(x) } }\n",
        "0|nan\n");
    rn_test_close(&world);
}
END_TEST

/* Strings of which better ones keep coming: what is replaced is freed, so the strings held stay
 * few. */
START_TEST(test_aggregate__replaced_strings_are_given_back)
{
    support_skip_hard("everything spills, asked or not");
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_result result = rn_test_run(
        &world,
        "- range: { rows: 50000, columns: { i: sequence, s: { random: string, width: 900 } } }\n"
        "- project: { k: 'i % 40', s: s }\n- aggregate: { by: [k], compute: { l: min(s), g: max(s) "
        "} }\n"
        "- aggregate: { compute: { n: count(), ok: min(l), last: max(g) } }\n- project: { n: n, l: "
        "length(ok), g: length(last) }\n",
        3072 * 1024);
    ck_assert_msg(result.status == RATION_OK, "%s", result.message);
    ck_assert_str_eq(result.text, "40|900|900\n");
    ck_assert_int_eq(rn_spill_volume_quota(world.governor->volume)->total_bytes, 0);
    rn_test_result_free(&result);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_aggregate__sums_are_exact)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    /* Beyond int64 on the way, inside at the end; and the other way round. */
    rn_test_rows(&world,
                 "- range: { rows: 4, columns: { i: sequence } }\n"
                 "- project: { x: \"(1 - 2 * (i / 2)) * 9223372036854775807\" }\n"
                 "- aggregate: { compute: { s: sum(x), a: avg(x) } }\n",
                 "0|0\n");
    rn_test_run_error(
        &world,
        "- range: { rows: 2, columns: { i: sequence } }\n- project: { x: '9223372036854775806 + i' "
        "}\n"
        "- aggregate: { compute: { s: sum(x) } }\n",
        RATION_EVALUATION,
        "plan.yaml:4:3: error: aggregate: a sum is outside of int64 (sum doubles: sum(double(x)))");
    /* 1e16 + 1 + ... + 1 - 1e16: naive addition loses every 1. */
    rn_test_rows(&world,
                 "- range: { rows: 1002, columns: { i: sequence } }\n"
                 "- project: { x: 'double(1 - 1 / (i + 1)) * (1.0 - double(i / 1001)) + double(1 / "
                 "(i + 1)) * 1e16 - double(i / 1001) * 1e16' }\n"
                 "- aggregate: { compute: { s: sum(x) } }\n",
                 "1000\n");
    rn_test_close(&world);
}
END_TEST

/* Lists of every element type, longer than a segment and than a block, in one group and in many. */
START_TEST(test_aggregate__collects_long_lists)
{
    static const int64_t batches[] = {1024, 10};
    for (size_t i = 0; i < RN_COUNT(batches); i++) {
        rn_test_world world;
        rn_test_open_rows(&world, batches[i], NULL);
        rn_test_rows(
            &world,
            "- range: { rows: 20000, columns: { i: sequence, s: { random: string, width: 20, "
            "nulls: 0.5, seed: 4 } } }\n"
            "- aggregate: { compute: { i: collect(i), s: collect(s), n: count(s), b: collect(i % 2 "
            "= 0), x: collect(double(i)) } }\n"
            "- project: { i: length(i), s: 'length(s) - n', b: length(b), x: length(x) }\n",
            "20000|0|20000|20000\n");
        rn_test_same_rows(&world,
                          "- range: { rows: 20000, columns: { i: sequence, s: { random: string, "
                          "width: 20, seed: 4 } } }\n"
                          "- project: { k: 'i % 3', s: s }\n- aggregate: { by: [k], compute: { l: "
                          "collect(s) } }\n"
                          "- unwind: { list: l, as: s }\n- project: { k: k, s: s }\n",
                          "- range: { rows: 20000, columns: { i: sequence, s: { random: string, "
                          "width: 20, seed: 4 } } }\n"
                          "- project: { k: 'i % 3', s: s }\n");
        rn_test_close(&world);
    }
}
END_TEST

START_TEST(test_aggregate__null_is_a_group)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world,
                 "- scan: { label: Person, as: p }\n- project: { odd: 'p.age % 20', one: '1' }\n"
                 "- aggregate: { by: [odd, one], compute: { n: count() } }\n",
                 "10|1|1\n0|1|2\nnull|1|1\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_aggregate__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
#define BAD(text, expected)                                                                        \
    rn_test_plan_error(&world, "- scan: { label: Person, as: p }\n- aggregate: " text "\n",        \
                       expected)
    BAD("{}", "plan.yaml:3:14: error: aggregate: needs by or compute");
    BAD("{ by: [x] }", "plan.yaml:3:21: error: aggregate: no column x (did you mean p?)");
    BAD("{ by: p, compute: [ count() ] }",
        "plan.yaml:3:32: error: aggregate: compute must map names to functions (write compute: { "
        "name: function(expression) })");
    BAD("{ compute: { n: count } }", "plan.yaml:3:30: error: aggregate: 'count' is no call of a "
                                     "function (write function(expression))");
    BAD("{ compute: { n: median(p.age) } }", "plan.yaml:3:30: error: aggregate: unknown function "
                                             "'median' (count, sum, min, max, avg or collect)");
    BAD("{ compute: { n: sum() } }", "plan.yaml:3:34: error: aggregate: expected an expression, "
                                     "found the end of the expression");
    BAD("{ compute: { n: sum(p.name) } }",
        "plan.yaml:3:30: error: aggregate: n: sum of string is not possible");
    BAD("{ compute: { n: 'sum(p.age) + 1' } }",
        "plan.yaml:3:30: error: aggregate: 'sum(p.age) + 1' is no call of a function (write "
        "function(expression))");
    BAD("{ compute: { n: sum(p.agee) } }",
        "plan.yaml:3:34: error: aggregate: Person has no property agee (did you mean age?)");
    BAD("{ by: p, compute: { p: count() } }", "plan.yaml:3:37: error: aggregate: column p is there "
                                              "already (give it another name with project)");
    BAD("{ by: p, compute: { l: collect(p.age) } }\n- aggregate: { compute: { m: collect(l) } }",
        "plan.yaml:4:30: error: aggregate: m: collect of list of int64 is not possible");
    BAD("{ by: p, compute: { l: collect(p.age) } }\n- aggregate: { compute: { m: max(l) } }",
        "plan.yaml:4:30: error: aggregate: m: max of list of int64 is not possible");
    BAD("{ by: p, sum: { n: count() } }", "plan.yaml:3:23: error: aggregate: unknown key sum");
    rn_test_explains(&world,
                     "- scan: { label: Person, as: p }\n- aggregate: { by: p, compute: { n: ' "
                     "count( ) ', d: count(distinct p.age), l: collect(p.name) } }\n",
                     "by p: n = count(), d = count(distinct p.age), l = collect(p.name)");
    rn_test_close(&world);
}
END_TEST

/* The only group's list outlives the shards that are empty. */
START_TEST(test_aggregate__one_list)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_rows(&world,
                 "- range: { rows: 5, columns: { i: sequence } }\n"
                 "- aggregate: { compute: { l: collect(i) } }\n",
                 "[0, 1, 2, 3, 4]\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_aggregate__bounds_the_words_of_a_group)
{
    char plan[4000], *at = plan;
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    at += sprintf(at, "- range: { rows: 3, columns: { i: sequence } }\n- aggregate: { compute: {");
    for (int i = 0; i < 86; i++) {
        at += sprintf(at, " c%d: collect(i),", i);
    }
    sprintf(at - 1, " } }\n");
    rn_test_plan_error(&world, plan,
                       "plan.yaml:3:1467: error: aggregate: keys and functions need more than 256 "
                       "columns per group");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_aggregate__comes_through_every_limit_and_fault)
{
    static const char plan[] = "- range: { rows: 4000, columns: { i: { random: int64, min: 0, max: "
                               "700, nulls: 0.1 }, s: { random: string, width: 30 } } }\n"
                               "- aggregate: { by: [i], compute: { n: count(), d: count(distinct "
                               "s), l: collect(s), a: avg(length(s)), g: max(s) } }\n"
                               "- project: { i: i, n: n, d: d, l: length(l), a: a, g: g }\n";
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_test_sweep(&world, plan, 16 * 1024, false);
    rn_test_faults(&world, plan);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_aggregate__groups,
        test_aggregate__over_nothing,
        test_aggregate__many_groups_with_any_batch,
        test_aggregate__least_and_greatest,
        test_aggregate__replaced_strings_are_given_back,
        test_aggregate__sums_are_exact,
        test_aggregate__collects_long_lists,
        test_aggregate__null_is_a_group,
        test_aggregate__explains_bad_plans,
        test_aggregate__one_list,
        test_aggregate__bounds_the_words_of_a_group,
        test_aggregate__comes_through_every_limit_and_fault,
    };
    return support_run("aggregate", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iterators/people.h"
#include "tests/world.h"

#define PERSONS "- scan: { label: Person, as: p }\n"
#define KNOWS PERSONS "- expand: { from: p, edge: knows, to: q }\n"

START_TEST(test_expand__follows_edges_in_each_direction)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world, KNOWS,
                 "Person/1|Person/2\nPerson/1|Person/2\nPerson/2|Person/3\nPerson/3|Person/"
                 "3\nPerson/3|Person/1\n");
    rn_test_rows(&world, PERSONS "- expand: { from: p, edge: knows, direction: in, to: q }\n",
                 "Person/2|Person/1\nPerson/2|Person/1\nPerson/3|Person/2\nPerson/3|Person/"
                 "3\nPerson/1|Person/3\n");
    rn_test_rows(&world, PERSONS "- expand: { from: p, edge: knows, direction: both, to: q }\n",
                 "Person/1|Person/2\nPerson/1|Person/2\nPerson/1|Person/3\n"
                 "Person/2|Person/1\nPerson/2|Person/1\nPerson/2|Person/3\n"
                 "Person/3|Person/1\nPerson/3|Person/2\nPerson/3|Person/3\n");
    rn_test_rows(&world,
                 "- scan: { label: Post, as: p }\n- expand: { from: p, edge: likes, direction: "
                 "both, to: q }\n",
                 "Post/x|Person/1\nPost/x|Person/3\nPost/y|Person/3\n");
    rn_test_rows(&world,
                 "- scan: { label: Post, as: p }\n- expand: { from: p, edge: likes, to: q }\n", "");
    rn_test_rows(&world, PERSONS "- expand: { from: p, edge: shuns, direction: both, to: q }\n",
                 "");
    rn_test_rows(
        &world, "- scan: { label: Empty, as: p }\n- expand: { from: p, edge: knows, to: q }\n", "");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_expand__names_edges)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world,
                 PERSONS "- expand: { from: p, edge: knows, to: q, as: e }\n"
                         "- project: { p: p.id, q: q.id, e: e, since: e.since }\n",
                 "1|2|knows/0|2001\n1|2|knows/1|2002\n2|3|knows/2|null\n3|1|knows/"
                 "3|2005\n3|3|knows/4|2004\n");
    rn_test_rows(&world,
                 PERSONS
                 "- expand: { from: p, edge: [likes, knows], direction: in, to: q, as: e }\n"
                 "- project: { p: p.id, q: q.id, e: e, since: e.since, l: label(e) }\n",
                 "2|1|knows/0|2001|knows\n2|1|knows/1|2002|knows\n3|2|knows/"
                 "2|null|knows\n1|3|knows/3|2005|knows\n"
                 "3|3|knows/4|2004|knows\n");
    rn_test_rows(
        &world,
        "- scan: { label: Person, id: 3, as: p }\n"
        "- expand: { from: p, edge: [likes, knows], direction: both, to: q, as: e }\n"
        "- project: { q: q, e: e }\n",
        "Person/1|knows/3\nPerson/2|knows/2\nPerson/3|knows/4\nPost/x|likes/1\nPost/y|likes/2\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_expand__keeps_only_a_label)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world,
                 PERSONS "- expand: { from: p, edge: [knows, likes], to: q, label: Post }\n",
                 "Person/1|Post/x\nPerson/3|Post/x\nPerson/3|Post/y\n");
    rn_test_rows(&world,
                 PERSONS "- expand: { from: p, edge: [knows, likes], to: q, label: Post }\n- "
                         "project: { t: q.title }\n",
                 "a title that is longer than twelve\na title that is longer than twelve\nnull\n");
    rn_test_rows(&world, PERSONS "- expand: { from: p, edge: knows, to: q, label: Empty }\n", "");
    rn_test_rows(&world,
                 "- scan: { label: Person, id: 2, as: p }\n"
                 "- expand: { from: p, edge: [knows, likes], to: q, hops: 2, label: Post }\n",
                 "Person/2|Post/x\nPerson/2|Post/y\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_expand__keeps_unmatched_rows_when_optional)
{
#define OPTIONAL PERSONS "- expand: { from: p, edge: likes, to: q, as: e, optional: true }\n"
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world, OPTIONAL,
                 "Person/1|Post/x|likes/0\nPerson/2|null|null\nPerson/3|Post/x|likes/1\nPerson/"
                 "3|Post/y|likes/2\n"
                 "Person/4|null|null\n");
    rn_test_rows(
        &world,
        OPTIONAL
        "- expand: { from: q, edge: likes, direction: in, to: r }\n- project: { p: p, r: r }\n",
        "Person/1|Person/1\nPerson/1|Person/3\nPerson/3|Person/1\nPerson/3|Person/3\nPerson/"
        "3|Person/3\n");
    rn_test_rows(&world,
                 OPTIONAL
                 "- expand: { from: q, edge: likes, direction: in, to: r, optional: true }\n"
                 "- project: { p: p, q: q, r: r }\n",
                 "Person/1|Post/x|Person/1\nPerson/1|Post/x|Person/3\nPerson/3|Post/x|Person/"
                 "1\nPerson/3|Post/x|Person/3\n"
                 "Person/3|Post/y|Person/3\nPerson/2|null|null\nPerson/4|null|null\n");
    rn_test_rows(
        &world,
        PERSONS "- expand: { from: p, edge: knows, to: q, hops: 2, label: Post, optional: true }\n",
        "Person/1|null\nPerson/2|null\nPerson/3|null\nPerson/4|null\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_expand__closes_a_circle_between_bound_nodes)
{
#define PAIRS PERSONS "- expand: { from: p, edge: knows, hops: 2, to: q }\n"
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world, PAIRS, /* 1-3 twice, 2-3, 2-1, 3-3, 3-1, 3-2 twice */
                 "Person/1|Person/3\nPerson/1|Person/3\nPerson/2|Person/3\nPerson/2|Person/"
                 "1\nPerson/3|Person/3\n"
                 "Person/3|Person/1\nPerson/3|Person/2\nPerson/3|Person/2\n");
    rn_test_rows(
        &world, PAIRS "- expand: { from: q, edge: knows, to: p, as: e }\n",
        "Person/1|Person/3|knows/3\nPerson/1|Person/3|knows/3\nPerson/2|Person/1|knows/0\nPerson/"
        "2|Person/1|knows/1\n"
        "Person/3|Person/3|knows/4\nPerson/3|Person/2|knows/2\nPerson/3|Person/2|knows/2\n");
    rn_test_rows(
        &world, KNOWS "- expand: { from: p, edge: knows, direction: both, to: q, as: e }\n",
        "Person/1|Person/2|knows/0\nPerson/1|Person/2|knows/0\nPerson/1|Person/2|knows/1\nPerson/"
        "1|Person/2|knows/1\n"
        "Person/2|Person/3|knows/2\nPerson/3|Person/1|knows/3\nPerson/3|Person/3|knows/4\n");
    rn_test_rows(&world, KNOWS "- expand: { from: q, edge: likes, to: p }\n", "");
    rn_test_rows(&world,
                 KNOWS "- expand: { from: q, edge: knows, hops: { min: 1, max: 2 }, to: p }\n",
                 "Person/1|Person/2\nPerson/1|Person/2\n" /* 2-3-1 for both edges */
                 "Person/2|Person/3\nPerson/2|Person/3\n" /* 3-1-2 through both edges */
                 "Person/3|Person/3\nPerson/3|Person/3\n" /* 3-3, 3-3-3 */
                 "Person/3|Person/1\nPerson/3|Person/1\n" /* 1-2-3 through both edges */
    );
    rn_test_rows(&world, KNOWS "- expand: { from: q, edge: knows, to: p, label: Post }\n", "");
    rn_test_rows(&world,
                 PERSONS "- project: { p: p, q: p }\n- expand: { from: p, edge: knows, to: q, "
                         "optional: true, as: e }\n",
                 "Person/1|Person/1|null\nPerson/2|Person/2|null\nPerson/3|Person/3|knows/"
                 "4\nPerson/4|Person/4|null\n");
    rn_test_rows(&world,
                 OPTIONAL "- project: { p: p, q: q }\n- expand: { from: p, edge: likes, to: q }\n",
                 "Person/1|Post/x\nPerson/3|Post/x\nPerson/3|Post/y\n");
    rn_test_rows(&world,
                 OPTIONAL "- project: { p: p, q: q }\n- expand: { from: p, edge: likes, to: q, "
                          "optional: true, as: f }\n",
                 "Person/1|Post/x|likes/0\nPerson/2|null|null\nPerson/3|Post/x|likes/1\nPerson/"
                 "3|Post/y|likes/2\n"
                 "Person/4|null|null\n");
    rn_test_close(&world);
}
END_TEST

/* ---- against single hops, on random graphs with loops and parallel edges */

static void write_random_graph(char *text, size_t capacity, uint64_t seed)
{
    uint64_t random = seed;
    uint64_t nodes = 1 + rn_random_below(&random, 12), edges = rn_random_below(&random, 40);
    rn_text graph = rn_text_over(text, capacity);
    rn_text_put(&graph,
                "--- g.yaml\nnodes: { A: { key_type: int64 }, B: { file: b.csv, columns: { id: "
                "int64 } } }\n"
                "edges:\n  x: { file: x.csv, from: A, to: A, columns: { a: from, b: to } }\n"
                "  y: { file: y.csv, from: A, to: B, columns: { a: from, b: to } }\n--- "
                "b.csv\n0\n1\n2\n--- x.csv\n");
    for (uint64_t i = 0; i < edges; i++) {
        rn_text_format(&graph, "%llu,%llu\n", (unsigned long long)rn_random_below(&random, nodes),
                       (unsigned long long)rn_random_below(&random, nodes));
    }
    rn_text_put(&graph, "--- y.csv\n");
    for (uint64_t i = 0; i < edges / 4; i++) {
        rn_text_format(&graph, "%llu,%llu\n", (unsigned long long)rn_random_below(&random, nodes),
                       (unsigned long long)rn_random_below(&random, 3));
    }
    ck_assert_uint_lt(graph.length, capacity);
}

START_TEST(test_expand__walks_as_single_hops_do)
{
    static const char *const ways[] = {"edge: x", "edge: x, direction: in",
                                       "edge: x, direction: both", "edge: [x, y], direction: both",
                                       "edge: [y, x]"};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        char graph[4000];
        write_random_graph(graph, sizeof graph, seed);
        printf("seed=%llu\n", (unsigned long long)seed);
        rn_test_world world;
        rn_test_open_rows(&world, seed % 3 == 0 ? 5 : 1024, graph);
        const char *way = ways[seed % RN_COUNT(ways)];
        char plan[1200], other[1200];
        snprintf(plan, sizeof plan,
                 "- scan: { label: A, as: p }\n- expand: { from: p, %s, hops: 3, to: q }\n", way);
        snprintf(other, sizeof other,
                 "- scan: { label: A, as: p }\n- expand: { from: p, %s, to: r }\n- expand: { from: "
                 "r, %s, to: s }\n"
                 "- expand: { from: s, %s, to: q }\n- project: { p: p, q: q }\n",
                 way, way, way);
        rn_test_same_rows(&world, plan, other);
        snprintf(
            plan, sizeof plan,
            "- scan: { label: A, as: p }\n- expand: { from: p, %s, hops: { max: 3 }, to: q }\n",
            way);
        snprintf(
            other, sizeof other,
            "- scan: { label: A, as: p }\n- expand: { from: p, %s, to: q }\n- union: { with: [ "
            "[ { scan: { label: A, as: p } }, { expand: { from: p, %s, hops: 2, to: q } } ], "
            "[ { scan: { label: A, as: p } }, { expand: { from: p, %s, hops: 3, to: q } } ] ] }\n",
            way, way, way);
        rn_test_same_rows(&world, plan, other);
        snprintf(plan, sizeof plan,
                 "- scan: { label: A, as: p }\n- expand: { from: p, edge: x, to: q }\n- expand: { "
                 "from: q, %s, hops: 2, to: p }\n",
                 way);
        snprintf(other, sizeof other,
                 "- scan: { label: A, as: p }\n- expand: { from: p, edge: x, to: q }\n- expand: { "
                 "from: q, %s, hops: 2, to: r }\n"
                 "- filter: p = r\n- project: { p: p, q: q }\n",
                 way);
        rn_test_same_rows(&world, plan, other);
        rn_test_close(&world);
    }
}
END_TEST

/* ---- stars: one node with many edges, beside the edges of batches */

static void open_star(rn_test_world *world, const ration_limits *limits, int degree)
{
    size_t capacity = (size_t)degree * 16 + 200;
    char *text = malloc(capacity);
    ck_assert_ptr_nonnull(text);
    rn_text graph = rn_text_over(text, capacity);
    rn_text_put(&graph, "--- star.txt\n");
    for (int i = 1; i <= degree; i++) {
        rn_text_format(&graph, "0 %d\n", i);
    }
    rn_test_open(world, limits, text);
    free(text);
}

START_TEST(test_expand__crosses_batches_in_mid_list)
{
    static const int degrees[] = {1023, 1024, 1025, 5000};
    for (size_t d = 0; d < RN_COUNT(degrees); d++) {
        size_t capacity = (size_t)degrees[d] * 40;
        char *wanted = malloc(capacity);
        ck_assert_ptr_nonnull(wanted);
        rn_text out = rn_text_over(wanted, capacity);
        for (int i = 1; i <= degrees[d]; i++) {
            rn_text_format(&out, "Node/0|Node/%d|edge/%d\n", i, i - 1);
        }
        for (int64_t batch = 1024; batch > 0; batch /= 30) {
            ration_limits limits;
            ration_limits_default(&limits);
            limits.enable_system_monitor = false;
            limits.limit_bytes = INT64_C(1) << 30;
            limits.check_interval = batch;
            rn_test_world world;
            open_star(&world, &limits, degrees[d]);
            rn_test_rows_ordered(
                &world,
                "- scan: { label: Node, as: a }\n- expand: { from: a, edge: edge, to: b, as: e }\n",
                wanted);
            rn_test_result all =
                rn_test_run(&world,
                            "- scan: { label: Node, as: a, id: [1, 2] }\n- expand: { from: a, "
                            "edge: edge, direction: both, hops: 2, to: b }\n",
                            0);
            ck_assert_int_eq(all.rows, 2 * degrees[d]);
            rn_test_result_free(&all);
            rn_test_close(&world);
        }
        free(wanted);
    }
}
END_TEST

/* Walks of five edges from the hub of a star never end at the hub: nine million of them give no
 * batch, and it is the settles on the way that see that the query is over its time. */
START_TEST(test_expand__can_be_stopped_between_batches)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = INT64_C(1) << 30;
    limits.query_time_ms_max = 1;
    rn_test_world world;
    open_star(&world, &limits, 3000);
    rn_test_result result =
        rn_test_run(&world,
                    "- scan: { label: Node, as: a, id: 0 }\n- project: { a: a, b: a }\n"
                    "- expand: { from: a, edge: edge, direction: both, hops: 5, to: b }\n",
                    0);
    ck_assert_int_eq(result.status, RATION_DEADLINE);
    ck_assert_ptr_nonnull(strstr(result.message, "the query's time budget is spent"));
    rn_test_result_free(&result);
    rn_test_close(&world);
}
END_TEST

START_TEST(test_expand__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
#define BAD(args, text) rn_test_plan_error(&world, PERSONS "- expand: { " args " }\n", text)
    BAD("edge: knows, to: q", "plan.yaml:3:11: error: expand: from is missing");
    BAD("from: p, to: q", "plan.yaml:3:11: error: expand: edge is missing");
    BAD("from: p, edge: knows", "plan.yaml:3:11: error: expand: to is missing");
    BAD("from: q, edge: knows, to: r",
        "plan.yaml:3:19: error: expand: no column q (did you mean p?)");
    BAD("from: p, edge: know, to: q",
        "plan.yaml:3:28: error: expand: no edge type know (did you mean knows?)");
    BAD("from: p, edge: [], to: q",
        "plan.yaml:3:28: error: expand: edge needs 1 to 65535 edge types, found 0");
    BAD("from: p, edge: knows, direction: sideways, to: q",
        "plan.yaml:3:46: error: expand: direction is out, in or both, found sideways");
    BAD("from: p, edge: knows, to: q, hops: 0",
        "plan.yaml:3:48: error: expand: hops must be from 1 to 64, found 0");
    BAD("from: p, edge: knows, to: q, hops: 65",
        "plan.yaml:3:48: error: expand: hops must be from 1 to 64, found 65");
    BAD("from: p, edge: knows, to: q, hops: many",
        "plan.yaml:3:48: error: expand: hops needs a literal or a $parameter, found many (text "
        "stands in quotes)");
    BAD("from: p, edge: knows, to: q, hops: { min: 3, max: 2 }",
        "plan.yaml:3:55: error: expand: min must be from 1 to 2, found 3");
    BAD("from: p, edge: knows, to: q, hops: { min: 3 }",
        "plan.yaml:3:48: error: expand: max is missing");
    BAD("from: p, edge: knows, to: q, hops: { from: 3, max: 4 }",
        "plan.yaml:3:50: error: expand: unknown key from");
    BAD("from: p, edge: knows, to: q, hops: 2, as: e",
        "plan.yaml:3:55: error: expand: an edge column needs a single hop (leave out as or hops)");
    BAD("from: p, edge: knows, to: q, as: p", "plan.yaml:3:46: error: expand: column p is there "
                                              "already (give it another name with project)");
    BAD("from: p, edge: knows, to: q, as: q", "plan.yaml:3:46: error: expand: column q is there "
                                              "already (give it another name with project)");
    BAD("from: p, edge: knows, to: q, label: Persn",
        "plan.yaml:3:49: error: expand: no label Persn (did you mean Person?)");
    BAD("from: p, edge: knows, to: q, optional: maybe",
        "plan.yaml:3:52: error: expand: optional needs a literal or a $parameter, found maybe "
        "(text stands in quotes)");
    BAD("from: p, edge: knows, to: q, with: 1", "plan.yaml:3:42: error: expand: unknown key with");
    rn_test_plan_error(
        &world,
        PERSONS "- project: { p: p, a: p.age }\n- expand: { from: a, edge: knows, to: q }\n",
        "plan.yaml:4:19: error: expand: from needs a column of type node, a is int64");
    rn_test_plan_error(&world,
                       PERSONS
                       "- project: { p: p, a: p.age }\n- expand: { from: p, edge: knows, to: a }\n",
                       "plan.yaml:4:39: error: expand: to needs a column of type node, a is int64");
    rn_test_explains(&world, KNOWS, "p -[knows]-> q");
    rn_test_explains(&world,
                     PERSONS "- expand: { from: p, edge: [knows, likes], direction: both, to: q, "
                             "as: e, optional: true }\n",
                     "p -[knows|likes]- q as e, optional");
    rn_test_explains(&world,
                     KNOWS "- expand: { from: q, edge: knows, direction: in, hops: { max: 3 }, to: "
                           "p, label: Person }\n",
                     "q <-[knows]- p, 1 to 3 hops, label Person, bound");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_expand__comes_through_every_limit_and_fault)
{
    static const char plan[] = PERSONS
        "- expand: { from: p, edge: knows, to: q, as: e, optional: true }\n"
        "- expand: { from: q, edge: [knows, likes], direction: both, hops: { max: 3 }, to: r }\n"
        "- expand: { from: p, edge: knows, direction: both, to: r }\n";
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_sweep(&world, plan, 512, false);
    rn_test_faults(&world, plan);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_expand__follows_edges_in_each_direction,
        test_expand__names_edges,
        test_expand__keeps_only_a_label,
        test_expand__keeps_unmatched_rows_when_optional,
        test_expand__closes_a_circle_between_bound_nodes,
        test_expand__walks_as_single_hops_do,
        test_expand__crosses_batches_in_mid_list,
        test_expand__can_be_stopped_between_batches,
        test_expand__explains_bad_plans,
        test_expand__comes_through_every_limit_and_fault,
    };
    return support_run("expand", tests, RN_COUNT(tests));
}

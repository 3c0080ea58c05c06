/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iterators/people.h"
#include "tests/iterators/spill_faults.h"

#define PERSONS "- scan: { label: Person, as: p }\n"

START_TEST(test_shortest_path__reaches_every_node)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world, PERSONS "- shortest_path: { from: p, to: q, edge: knows, length: d }\n",
                 "Person/1|Person/1|0\nPerson/1|Person/2|1\nPerson/1|Person/3|2\n"
                 "Person/2|Person/2|0\nPerson/2|Person/3|1\nPerson/2|Person/1|2\n"
                 "Person/3|Person/3|0\nPerson/3|Person/1|1\nPerson/3|Person/2|2\n"
                 "Person/4|Person/4|0\n");
    rn_test_rows(
        &world,
        PERSONS
        "- shortest_path: { from: p, to: q, edge: knows, direction: in, length: d, max_hops: 1 }\n",
        "Person/1|Person/1|0\nPerson/1|Person/3|1\nPerson/2|Person/2|0\nPerson/2|Person/1|1\n"
        "Person/3|Person/3|0\nPerson/3|Person/2|1\nPerson/4|Person/4|0\n");
    rn_test_rows(
        &world,
        "- scan: { label: Post, id: 'y', as: p }\n"
        "- shortest_path: { from: p, to: q, edge: [likes, knows], direction: both, length: d }\n"
        "- project: { l: label(q), id: q, d: d }\n",
        "Post|Post/y|0\nPerson|Person/3|1\nPost|Post/x|2\nPerson|Person/1|2\nPerson|Person/2|2\n");
    rn_test_rows(&world, PERSONS "- shortest_path: { from: p, to: q, edge: knows, max_hops: 0 }\n",
                 "Person/1|Person/1\nPerson/2|Person/2\nPerson/3|Person/3\nPerson/4|Person/4\n");
    rn_test_rows(
        &world,
        "- scan: { label: Empty, as: p }\n- shortest_path: { from: p, to: q, edge: knows }\n", "");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_shortest_path__measures_between_bound_nodes)
{
#define REACHED PERSONS "- shortest_path: { from: p, to: q, edge: knows, direction: both }\n"
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world, REACHED "- shortest_path: { from: p, to: q, edge: knows, length: d }\n",
                 "Person/1|Person/1|0\nPerson/1|Person/2|1\nPerson/1|Person/3|2\n"
                 "Person/2|Person/2|0\nPerson/2|Person/3|1\nPerson/2|Person/1|2\n"
                 "Person/3|Person/3|0\nPerson/3|Person/1|1\nPerson/3|Person/2|2\n"
                 "Person/4|Person/4|0\n");
    rn_test_rows(&world,
                 REACHED
                 "- shortest_path: { from: p, to: q, edge: knows, length: d, max_hops: 1 }\n",
                 "Person/1|Person/1|0\nPerson/1|Person/2|1\nPerson/1|Person/3|null\n"
                 "Person/2|Person/2|0\nPerson/2|Person/3|1\nPerson/2|Person/1|null\n"
                 "Person/3|Person/3|0\nPerson/3|Person/1|1\nPerson/3|Person/2|null\n"
                 "Person/4|Person/4|0\n");
    rn_test_rows(&world,
                 REACHED "- shortest_path: { from: p, to: q, edge: shuns, length: d }\n- filter: d "
                         "is not null\n- distinct: [d]\n",
                 "0\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_shortest_path__has_no_path_from_null)
{
#define NULLS                                                                                      \
    PERSONS "- expand: { from: p, edge: likes, to: q, optional: true }\n- filter: q is null\n"
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world, NULLS "- shortest_path: { from: p, to: q, edge: likes, length: d }\n",
                 "Person/2|null|null\nPerson/4|null|null\n");
    rn_test_rows(&world, NULLS "- shortest_path: { from: q, to: p, edge: likes, length: d }\n",
                 "Person/2|null|null\nPerson/4|null|null\n");
    rn_test_rows(&world, NULLS "- shortest_path: { from: q, to: r, edge: likes, length: d }\n", "");
    rn_test_close(&world);
}
END_TEST

/* ---- against all pairs by relaxation (Floyd, Warshall), on random graphs */

#define NODES 24
#define FAR 1000

static void close_distances(int distance[NODES][NODES])
{
    for (int k = 0; k < NODES; k++) {
        for (int i = 0; i < NODES; i++) {
            for (int j = 0; j < NODES; j++) {
                distance[i][j] = RN_MIN(distance[i][j], distance[i][k] + distance[k][j]);
            }
        }
    }
}

/* An edge list, and the distances it should give. Node i of the file is i. */
static void make_graph(uint64_t seed, const char *direction, char *text, size_t capacity,
                       int distance[NODES][NODES])
{
    uint64_t random = seed;
    rn_text graph = rn_text_over(text, capacity);
    rn_text_put(
        &graph,
        "--- g.yaml\nnodes: { N: { file: n.csv, columns: { id: int64 } } }\n"
        "edges: { e: { file: e.csv, from: N, to: N, columns: { a: from, b: to } } }\n--- n.csv\n");
    for (int i = 0; i < NODES; i++) {
        rn_text_format(&graph, "%d\n", i);
        for (int j = 0; j < NODES; j++) {
            distance[i][j] = i == j ? 0 : FAR;
        }
    }
    rn_text_put(&graph, "--- e.csv\n");
    uint64_t edges = rn_random_below(&random, 2 * NODES);
    for (uint64_t e = 0; e < edges; e++) {
        int a = (int)rn_random_below(&random, NODES), b = (int)rn_random_below(&random, NODES);
        rn_text_format(&graph, "%d,%d\n", a, b);
        if (strcmp(direction, "in") != 0) {
            distance[a][b] = RN_MIN(distance[a][b], 1);
        }
        if (strcmp(direction, "out") != 0) {
            distance[b][a] = RN_MIN(distance[b][a], 1);
        }
    }
    close_distances(distance);
    ck_assert_uint_lt(graph.length, capacity);
}

START_TEST(test_shortest_path__agrees_with_all_pairs)
{
    static const char *const directions[] = {"out", "in", "both"};
    for (uint64_t seed = 1; seed <= 30; seed++) {
        const char *direction = directions[seed % 3];
        int distance[NODES][NODES];
        char graph[2000], plan[500];
        static char reached[NODES * NODES * 32], measured[NODES * NODES * 32];
        make_graph(seed, direction, graph, sizeof graph, distance);
        printf("seed=%llu\n", (unsigned long long)seed);
        rn_text some = rn_text_over(reached, sizeof reached),
                all = rn_text_over(measured, sizeof measured);
        for (int i = 0; i < NODES; i++) {
            for (int j = 0; j < NODES; j++) {
                if (distance[i][j] < FAR) {
                    rn_text_format(&some, "N/%d|N/%d|%d\n", i, j, distance[i][j]);
                    rn_text_format(&all, "N/%d|N/%d|%d\n", i, j, distance[i][j]);
                } else {
                    rn_text_format(&all, "N/%d|N/%d|null\n", i, j);
                }
            }
        }
        rn_test_world world;
        rn_test_open_rows(&world, seed % 4 == 0 ? 7 : 1024, graph);
        snprintf(plan, sizeof plan,
                 "- scan: { label: N, as: a }\n- shortest_path: { from: a, to: b, edge: e, "
                 "direction: %s, length: d }\n",
                 direction);
        rn_test_rows(&world, plan, reached);
        snprintf(plan, sizeof plan,
                 "- scan: { label: N, as: a }\n- project: { a: a, k: 1 }\n"
                 "- join: { on: { k: m }, with: [ { scan: { label: N, as: b } }, { project: { b: "
                 "b, m: 1 } } ] }\n"
                 "- shortest_path: { from: a, to: b, edge: e, direction: %s, length: d }\n- "
                 "project: { a: a, b: b, d: d }\n",
                 direction);
        rn_test_rows(&world, plan, measured);
        rn_test_close(&world);
    }
}
END_TEST

/* ---- large searches: several chunks of the queue, several segments of bits */

#define STAR 600000

/* Stars beside each other: node 0 with `leaves` around it, node `leaves + 1` with as many, .. */
static char *make_stars(int stars, int leaves)
{
    size_t capacity = 100 + (size_t)stars * (size_t)leaves * 16;
    char *text = malloc(capacity);
    ck_assert_ptr_nonnull(text);
    rn_text graph = rn_text_over(text, capacity);
    rn_text_put(&graph, "--- star.txt\n");
    for (int i = 0; i < stars * (leaves + 1); i++) {
        char line[24]; /* rn_text counts on, snprintf alone is enough here */
        int centre = i - i % (leaves + 1);
        int length = snprintf(line, sizeof line, "%d %d\n", centre, i);
        rn_text_put_bytes(&graph, line, i == centre ? 0 : (size_t)length);
    }
    ck_assert_uint_lt(graph.length, capacity);
    return text;
}

static void open_stars(rn_test_world *world, int stars, int leaves)
{
    char *text = make_stars(stars, leaves);
    rn_test_open(world, NULL, text);
    free(text);
}

START_TEST(test_shortest_path__searches_half_a_million_nodes)
{
    rn_test_world world;
    open_stars(&world, 1, STAR);
    rn_test_result result = rn_test_run(&world,
                                        "- scan: { label: Node, id: [0, 7], as: a }\n"
                                        "- shortest_path: { from: a, to: b, edge: edge, direction: "
                                        "both, length: d }\n- filter: d = 2 or d = 0\n",
                                        0);
    ck_assert_msg(result.status == RATION_OK, "%s", result.message);
    ck_assert_int_eq(result.rows, 2 + STAR - 1);
    rn_test_result_free(&result);
    rn_test_rows(&world,
                 "- scan: { label: Node, id: [3, 5, 600000], as: a }\n- project: { a: a, k: 1 }\n"
                 "- join: { on: { k: m }, with: [ { scan: { label: Node, id: [0, 5, 599999], as: b "
                 "} }, { project: { b: b, m: 1 } } ] }\n"
                 "- shortest_path: { from: a, to: b, edge: edge, direction: both, length: d }\n- "
                 "project: { a: a, b: b, d: d }\n",
                 "Node/3|Node/0|1\nNode/3|Node/5|2\nNode/3|Node/599999|2\nNode/5|Node/0|1\nNode/"
                 "5|Node/5|0\nNode/5|Node/599999|2\n"
                 "Node/600000|Node/0|1\nNode/600000|Node/5|2\nNode/600000|Node/599999|2\n");
    rn_test_close(&world);
}
END_TEST

/* The bits of 600,001 nodes are 75,000 bytes and stay; their queue of 2.4 MB does not have to. */
START_TEST(test_shortest_path__keeps_its_bits_and_two_chunks)
{
    rn_test_world world;
    open_stars(&world, 1, STAR);
    int64_t enough = rn_test_sweep(
        &world,
        "- scan: { label: Node, id: 0, as: a }\n"
        "- shortest_path: { from: a, to: b, edge: edge, length: d }\n- filter: d = 0\n",
        16 * 1024, true);
#ifdef RATION_UNGOVERNED
    ck_assert_int_eq(enough, 1);
#else
    ck_assert_int_gt(enough, STAR / 8 + 2 * 64 * 1024);
    ck_assert_int_lt(enough, STAR / 8 + 8 * 64 * 1024);
    ck_assert_int_gt(spilling_written(&world), STAR * 3);
#endif
    rn_test_close(&world);
}
END_TEST

/* Rows come in the order of the queue, whether or not it was written out on the way; three searches
 * one after the other, of which the second finds the bits of the first cleared. */
START_TEST(test_shortest_path__gives_the_same_rows_from_a_written_queue)
{
    rn_test_world world;
    open_stars(&world, 2, 60000);
    int64_t enough = rn_test_sweep(
        &world,
        "- scan: { label: Node, id: [0, 7, 60003], as: a }\n"
        "- shortest_path: { from: a, to: b, edge: edge, direction: both, length: d }\n",
        24 * 1024, true);
#ifndef RATION_UNGOVERNED
    ck_assert_int_lt(enough, 512 * 1024);
    ck_assert_int_gt(spilling_written(&world), 3 * 64000);
#endif
    (void)enough;
    rn_test_close(&world);
}
END_TEST

/* No way from one star to the other: both searches reach all there is, both write out. Then the
 * same pairs again, and one that has a way. */
START_TEST(test_shortest_path__writes_out_both_searches)
{
    static const char plan[] =
        "- scan: { label: Node, id: [0, 300001], as: a }\n- project: { a: a, k: 1 }\n"
        "- join: { on: { k: m }, with: [ { scan: { label: Node, id: [0, 9, 300001], as: b } }, "
        "{ project: { b: b, m: 1 } } ] }\n"
        "- shortest_path: { from: a, to: b, edge: edge, direction: both, length: d }\n"
        "- project: { a: a, b: b, d: d }\n";
    rn_test_world world;
    open_stars(&world, 2, 300000);
    rn_test_rows(&world, plan,
                 "Node/0|Node/0|0\nNode/0|Node/9|1\nNode/0|Node/300001|null\n"
                 "Node/300001|Node/0|null\nNode/300001|Node/9|null\nNode/300001|Node/300001|0\n");
#ifndef RATION_HARD /* there everything is written out, wanted or not */
    ck_assert_int_eq(spilling_written(&world), 0);
#endif
    (void)rn_test_sweep(&world, plan, 24 * 1024, false);
#ifndef RATION_UNGOVERNED
    ck_assert_int_gt(spilling_written(&world), 2 * 300000 * 2);
#endif
    rn_test_close(&world);
}
END_TEST

START_TEST(test_shortest_path__comes_through_a_failing_disk)
{
    char *stars = make_stars(1, 100000);
    spill_faults_on(stars,
                    "- scan: { label: Node, id: 0, as: a }\n"
                    "- shortest_path: { from: a, to: b, edge: edge, direction: both, length: d }\n"
                    "- filter: d = 0 or b.id > 99900\n",
                    400 * 1024, 1);
    free(stars);
}
END_TEST

START_TEST(test_shortest_path__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
#define BAD(args, text) rn_test_plan_error(&world, PERSONS "- shortest_path: { " args " }\n", text)
    BAD("to: q, edge: knows, length: d", "plan.yaml:3:18: error: shortest_path: from is missing");
    BAD("from: p, edge: knows, length: d", "plan.yaml:3:18: error: shortest_path: to is missing");
    BAD("from: p, to: q, length: d", "plan.yaml:3:18: error: shortest_path: edge is missing");
    BAD("from: x, to: q, edge: knows, length: d",
        "plan.yaml:3:26: error: shortest_path: no column x (did you mean p?)");
    BAD("from: p, to: p, edge: knows",
        "plan.yaml:3:33: error: shortest_path: both ends are bound and length is missing: nothing "
        "to give (name a column with length)");
    BAD("from: p, to: q, edge: knows, length: p",
        "plan.yaml:3:57: error: shortest_path: column p is there already (give it another name "
        "with project)");
    BAD("from: p, to: q, edge: knows, length: q",
        "plan.yaml:3:57: error: shortest_path: column q is there already (give it another name "
        "with project)");
    BAD("from: p, to: q, edge: knows, max_hops: -1",
        "plan.yaml:3:59: error: shortest_path: max_hops must be from 0 to 4294967295, found -1");
    BAD("from: p, to: q, edge: knows, max_hops: x",
        "plan.yaml:3:59: error: shortest_path: max_hops needs a literal or a $parameter, found x "
        "(text stands in quotes)");
    BAD("from: p, to: q, edge: knows, hops: 2",
        "plan.yaml:3:49: error: shortest_path: unknown key hops");
    BAD("from: p, to: q, edge: nose, length: d",
        "plan.yaml:3:42: error: shortest_path: no edge type nose");
    rn_test_explains(
        &world,
        PERSONS
        "- shortest_path: { from: p, to: q, edge: knows, direction: in, length: d, max_hops: 4 }\n",
        "p <-[knows]- q, length d, at most 4 hops");
    rn_test_explains(
        &world, PERSONS "- shortest_path: { from: p, to: p, edge: [knows, likes], length: d }\n",
        "p -[knows|likes]-> p, length d, bound");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_shortest_path__comes_through_every_limit_and_fault)
{
    static const char plan[] =
        PERSONS "- shortest_path: { from: p, to: q, edge: knows, length: d }\n"
                "- shortest_path: { from: q, to: p, edge: knows, length: e }\n";
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_sweep(&world, plan, 4096, false);
    rn_test_faults(&world, plan);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_shortest_path__reaches_every_node,
        test_shortest_path__measures_between_bound_nodes,
        test_shortest_path__has_no_path_from_null,
        test_shortest_path__agrees_with_all_pairs,
        test_shortest_path__searches_half_a_million_nodes,
        test_shortest_path__keeps_its_bits_and_two_chunks,
        test_shortest_path__gives_the_same_rows_from_a_written_queue,
        test_shortest_path__writes_out_both_searches,
        test_shortest_path__comes_through_a_failing_disk,
        test_shortest_path__explains_bad_plans,
        test_shortest_path__comes_through_every_limit_and_fault,
    };
    return support_run("shortest_path", tests, RN_COUNT(tests));
}

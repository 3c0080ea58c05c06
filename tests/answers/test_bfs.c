/* SPDX-License-Identifier: Apache-2.0
 *
 * Breadth-first distances: known levels from four nodes, and the distances that Graphalytics and
 * p2p-31 publish for every node. Expected files hold lines `id distance`; the node at distance 0 is
 * the source, 9223372036854775807 means unreachable. */
#include "tests/answers/answers.h"

#define UNREACHABLE INT64_MAX

static rn_test_result run_from(rn_test_world *world, const char *name, int64_t source)
{
    char head[64];
    char *text = answers_read(support_path("tests/answers/bfs.yaml"));
    const char *rest = strchr(strstr(text, "parameters:"), '\n');
    ck_assert_ptr_nonnull(rest);
    snprintf(head, sizeof head, "main: %s\nparameters: { source: %lld }", name, (long long)source);
    size_t length = strlen(head) + strlen(rest) + 1;
    char *whole = malloc(length);
    ck_assert_ptr_nonnull(whole);
    snprintf(whole, length, "%s%s", head, rest);
    rn_test_result result = rn_test_run(world, whole, 0);
    ck_assert_msg(result.status == RATION_OK, "%s: %s", name, result.message);
    free(whole);
    free(text);
    return result;
}

/* ---- levels */

static void count_levels(const char *file, const char *name, int64_t source, const int64_t *nodes,
                         size_t levels)
{
    char path[PATH_MAX], expected[2048];
    if (!answers_find(file, path)) {
        return;
    }
    rn_text text = rn_text_over(expected, sizeof expected);
    for (size_t i = 0; i < levels; i++) {
        rn_text_format(&text, "%zu|%lld\n", i, (long long)nodes[i]);
    }
    rn_test_world world;
    rn_test_open_file(&world, NULL, path);
    rn_test_result result = run_from(&world, name, source);
    ck_assert_str_eq(result.text, expected);
    rn_test_result_free(&result);
    rn_test_close(&world);
}

START_TEST(test_bfs__levels_grqc)
{
    static const int64_t nodes[] = {1, 3, 12, 14, 60, 314, 949, 1488, 910, 273, 79, 40, 14, 1};
    count_levels("snap/grqc/edges.csv", "levels_directed", 8593, nodes, RN_COUNT(nodes));
}
END_TEST

START_TEST(test_bfs__levels_lastfm)
{
    static const int64_t nodes[] = {1, 7, 106, 782, 2520, 2750, 1164, 252, 33, 7, 2};
    count_levels("snap/lastFM/edges.csv", "levels_undirected", 2541, nodes, RN_COUNT(nodes));
}
END_TEST

START_TEST(test_bfs__levels_gnutella31_undirected)
{
    static const int64_t nodes[] = {1, 23, 296, 2613, 16163, 30719, 12421, 323, 2};
    count_levels("p2p-31/p2p-31.e", "levels_undirected", 1, nodes, RN_COUNT(nodes));
}
END_TEST

START_TEST(test_bfs__levels_gnutella31_directed)
{
    static const int64_t nodes[] = {1,     10,   89,   250,  979,  2901, 6834, 10944, 11795,
                                    10419, 6993, 4155, 2274, 1237, 686,  451,  273,   194,
                                    130,   78,   44,   32,   24,   18,   11,   4};
    count_levels("p2p-31/p2p-31.e", "levels_directed", 1, nodes, RN_COUNT(nodes));
}
END_TEST

/* ---- every node */

typedef struct distances {
    int64_t source;
    char *reached; /* "id|distance" lines, sorted, as nodes_* gives them */
    char *all;     /* with "id|null", as pairs_* does */
} distances;

static distances read_distances(const char *path)
{
    distances into = {.source = INT64_MIN};
    char *text = answers_read(path);
    size_t room = 2 * strlen(text) + 64;
    into.reached = malloc(room);
    into.all = malloc(room);
    ck_assert(into.reached != NULL && into.all != NULL);
    rn_text reached = rn_text_over(into.reached, room), all = rn_text_over(into.all, room);
    long long id, distance;
    int used;
    for (const char *at = text; sscanf(at, "%lld %lld%n", &id, &distance, &used) == 2; at += used) {
        if (distance == UNREACHABLE) {
            rn_text_format(&all, "%lld|null\n", id);
            continue;
        }
        into.source = distance == 0 ? id : into.source;
        rn_text_format(&reached, "%lld|%lld\n", id, distance);
        rn_text_format(&all, "%lld|%lld\n", id, distance);
    }
    free(text);
    ck_assert_int_ne(into.source, INT64_MIN);
    rn_test_sort_lines(into.reached, reached.length);
    rn_test_sort_lines(into.all, all.length);
    return into;
}

static void free_distances(distances *of)
{
    free(of->reached);
    free(of->all);
}

static void expect_rows(rn_test_world *world, const char *name, int64_t source,
                        const char *expected)
{
    rn_test_result result = run_from(world, name, source);
    rn_test_sort_lines(result.text, result.length);
    ck_assert_msg(strcmp(result.text, expected) == 0, "%s from %lld differs", name,
                  (long long)source);
    rn_test_result_free(&result);
}

static void compare_nodes(rn_test_world *world, const char *expected_file, bool directed,
                          bool pairs)
{
    distances expected = read_distances(expected_file);
    expect_rows(world, directed ? "nodes_directed" : "nodes_undirected", expected.source,
                expected.reached);
    if (pairs) {
        expect_rows(world, directed ? "pairs_directed" : "pairs_undirected", expected.source,
                    expected.all);
    }
    free_distances(&expected);
}

START_TEST(test_bfs__nodes_gnutella31)
{
    char path[PATH_MAX];
    if (!answers_find("p2p-31/p2p-31.e", path)) {
        return;
    }
    rn_test_world world;
    rn_test_open_file(&world, NULL, path);
    if (answers_find("p2p-31/p2p-31-BFS", path)) {
        compare_nodes(&world, path, false, false);
    }
    if (answers_find("p2p-31/p2p-31-BFS-directed", path)) {
        compare_nodes(&world, path, true, false);
    }
    rn_test_close(&world);
}
END_TEST

/* ---- Graphalytics */

/* Opens a world over lists of nodes and edges of our own making. */
static void open_lists(rn_test_world *world, const char *nodes, const char *edges)
{
    static const char manifest[] =
        "delimiter: blank\n"
        "nodes: { Node: { file: nodes, columns: { id: int64 } } }\n"
        "edges: { edge: { file: edges, from: Node, to: Node, columns: { a: from, b: to } } }\n";
    char folder[256], path[512];
    snprintf(folder, sizeof folder, "%s", support_folder());
    support_write(folder, "nodes", nodes, strlen(nodes));
    support_write(folder, "edges", edges, strlen(edges));
    snprintf(path, sizeof path, "%s",
             support_write(folder, "graph.yaml", manifest, strlen(manifest)));
    rn_test_open_file(world, NULL, path);
    support_remove(folder);
}

/* The first words of the lines of a file: the nodes, which not every adjacency list names. */
static void put_nodes(rn_text *nodes, const char *path)
{
    char *text = answers_read(path), *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (line[0] != '\0') {
            rn_text_format(nodes, "%s\n", strsep(&line, " "));
        }
    }
    free(text);
}

/* Lines `node neighbour neighbour ...` as lines `node neighbour`. */
static void put_edges(rn_text *edges, const char *path)
{
    char *text = answers_read(path), *rest = text, *line, *word;
    while ((line = strsep(&rest, "\n")) != NULL) {
        const char *node = strsep(&line, " ");
        while ((word = strsep(&line, " ")) != NULL) {
            if (word[0] != '\0') {
                rn_text_format(edges, "%s %s\n", node, word);
            }
        }
    }
    free(text);
}

static void compare_adjacency(const char *input, const char *output, bool directed)
{
    char nodes[4096], edges[4096], from[PATH_MAX], path[PATH_MAX];
    if (!answers_find(input, from) || !answers_find(output, path)) {
        return;
    }
    rn_text node_text = rn_text_over(nodes, sizeof nodes),
            edge_text = rn_text_over(edges, sizeof edges);
    put_nodes(&node_text, path);
    put_edges(&edge_text, from);
    ck_assert(node_text.length < sizeof nodes && edge_text.length < sizeof edges);
    rn_test_world world;
    open_lists(&world, nodes, edges);
    compare_nodes(&world, path, directed, true);
    rn_test_close(&world);
}

START_TEST(test_bfs__graphalytics_validation)
{
    compare_adjacency("graphalytics/bfs/dir-input", "graphalytics/bfs/dir-output", true);
    compare_adjacency("graphalytics/bfs/undir-input", "graphalytics/bfs/undir-output", false);
    compare_adjacency("graphalytics/example/example-directed-input",
                      "graphalytics/example/example-directed-BFS", true);
    compare_adjacency("graphalytics/example/example-undirected-input",
                      "graphalytics/example/example-undirected-BFS", false);
}
END_TEST

/* The same example as lists of nodes and of weighted edges, read as they are. */
START_TEST(test_bfs__graphalytics_lists)
{
    static const char *const kinds[] = {"directed", "undirected"};
    for (int k = 0; k < 2; k++) {
        char folder[PATH_MAX], manifest[PATH_MAX + 512], path[PATH_MAX + 128], made[256];
        if (!answers_find("graphalytics/example", folder)) {
            return;
        }
        snprintf(manifest, sizeof manifest,
                 "base: %s\ndelimiter: blank\n"
                 "nodes: { Node: { file: example-%s.v, columns: { id: int64 } } }\n"
                 "edges: { edge: { file: example-%s.e, from: Node, to: Node, columns: { a: from, "
                 "b: to, w: double } } }\n",
                 folder, kinds[k], kinds[k]);
        snprintf(made, sizeof made, "%s", support_folder());
        rn_test_world world;
        rn_test_open_file(&world, NULL,
                          support_write(made, "graph.yaml", manifest, strlen(manifest)));
        support_remove(made);
        snprintf(path, sizeof path, "%s/example-%s-BFS", folder, kinds[k]);
        compare_nodes(&world, path, k == 0, true);
        rn_test_close(&world);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_bfs__levels_grqc,
        test_bfs__levels_lastfm,
        test_bfs__levels_gnutella31_undirected,
        test_bfs__levels_gnutella31_directed,
        test_bfs__nodes_gnutella31,
        test_bfs__graphalytics_validation,
        test_bfs__graphalytics_lists,
    };
    return support_run("bfs", tests, RN_COUNT(tests));
}

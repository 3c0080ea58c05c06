/* SPDX-License-Identifier: Apache-2.0
 *
 * Real graphs of the data folder: their counts, degrees and properties, and loading them without
 * room. */
#include "tests/data.h"
#include "tests/storage/graph_world.h"

/* Loads a graph of the data folder, or a manifest of tests/data over it; false = skipped. */
static bool load_data(world *w, const char *name, const char *manifest)
{
    const char *path = data_path(name);

    if (path == NULL) {
        return false;
    }
    world_open(w, INT64_MAX);
    must_load(w, manifest == NULL ? path : data_manifest(w->folder, manifest, path));
    check_graph(w);
    return true;
}

/* Paths of two edges, counted by degrees; with or without edges from a node to itself. */
static uint64_t count_two_hops(const rn_edge_type *type, bool loops)
{
    uint64_t paths = 0, first, end;

    for (uint32_t n = type->forward.first; n < type->forward.first + type->forward.count; n++) {
        uint64_t own = 0;
        if (!loops && rn_adjacency_find(&type->forward, n, n, &first, &end)) {
            own = end - first;
        }
        paths += (degree_of(&type->forward, n) - own) * (degree_of(&type->backward, n) - own);
    }
    return paths;
}

START_TEST(test_graph_data__snap_edge_lists)
{
    world w;

    if (load_data(&w, "snap/grqc/edges.csv", NULL)) {
        /* 28,968 edges and 12 from a node to itself. */
        ck_assert_uint_eq(rn_graph_edge_count(w.graph), 28980);
        ck_assert_uint_eq(rn_graph_node_count(w.graph), 5242);
        ck_assert_uint_eq(count_two_hops(type_of(&w, "edge"), false), 488702);
        world_close(&w);
    }
    if (load_data(&w, "snap/lastFM/edges.csv", NULL)) {
        ck_assert_uint_eq(rn_graph_edge_count(w.graph), 55612);
        ck_assert_uint_eq(rn_graph_node_count(w.graph), 7624);
        ck_assert_uint_eq(count_two_hops(type_of(&w, "edge"), true), 1413772);
        world_close(&w);
    }
}
END_TEST

START_TEST(test_graph_data__p2p_with_weights)
{
    world w;

    if (load_data(&w, "p2p-31", "p2p31.yaml")) {
        ck_assert_uint_eq(rn_graph_node_count(w.graph), 62586);
        ck_assert_uint_eq(rn_graph_edge_count(w.graph), 147892);
        const rn_edge_type *link = type_of(&w, "link");
        const int64_t *weights = link->properties[0].data;
        uint32_t one = node_of(&w, "Host", int64_key(1)), four = node_of(&w, "Host", int64_key(4));
        uint64_t first, end;
        ck_assert_uint_eq(degree_of(&link->forward, one), 10);
        ck_assert(rn_adjacency_find(&link->forward, one, four, &first, &end));
        ck_assert_int_eq(weights[first], 74);
        ck_assert_int_eq(((const int64_t *)rn_graph_label(w.graph, 0)->properties[1].data)[0], 7);
        ck_assert_uint_eq(count_two_hops(link, true), 538318);
        world_close(&w);
    }
}
END_TEST

START_TEST(test_graph_data__nba_strings_and_nulls)
{
    world w;

    if (load_data(&w, "nba", "nba.yaml")) {
        ck_assert_uint_eq(type_of(&w, "like")->count, 82);
        ck_assert_uint_eq(type_of(&w, "serve")->count, 152);
        ck_assert_uint_eq(type_of(&w, "teammate")->count, 10);
        const rn_label *player = rn_graph_label(w.graph, 0);
        ck_assert_uint_eq(player->count, 52);
        uint32_t tim = node_of(&w, "Player", string_key("Tim Duncan"));
        uint32_t spurs = node_of(&w, "Team", string_key("Spurs"));
        ck_assert_int_eq(((const int64_t *)player->properties[2].data)[tim - player->first], 42);
        uint64_t first, end;
        const rn_edge_type *serve = type_of(&w, "serve");
        ck_assert(rn_adjacency_find(&serve->forward, tim, spurs, &first, &end));
        ck_assert_int_eq(((const int64_t *)serve->properties[1].data)[first], 1997);
        const rn_label *null = rn_graph_label(w.graph, 3);
        ck_assert_uint_eq(null->properties[1].valid[0], 1 + 2 + 8);
        world_close(&w);
    }
}
END_TEST

START_TEST(test_graph_data__lsqb)
{
    static const struct {
        const char *name;
        uint64_t edges, knows;
    } sets[] = {{"lsqb/example", 56, 6}, {"lsqb/sf0.003", 36043, 88}};
    world w;

    for (size_t i = 0; i < RN_COUNT(sets); i++) {
        if (load_data(&w, sets[i].name, "lsqb.yaml")) {
            ck_assert_uint_eq(rn_graph_edge_count(w.graph), sets[i].edges);
            ck_assert_uint_eq(type_of(&w, "person_knows_person")->count, sets[i].knows);
            ck_assert_uint_eq(rn_graph_label_count(w.graph), 8);
            ck_assert_uint_eq(rn_graph_edge_type_count(w.graph), 18);
            world_close(&w);
        }
    }
}
END_TEST

START_TEST(test_graph_data__a_refusal_of_real_data_suggests_enough)
{
    static const struct {
        const char *name, *manifest;
    } sets[] = {{"lsqb/sf0.003", "lsqb.yaml"},
                {"p2p-31", "p2p31.yaml"},
                {"snap/grqc/edges.csv", NULL},
                {"nba", "nba.yaml"}};
    world w;

    for (size_t i = 0; i < RN_COUNT(sets); i++) {
        if (!load_data(&w, sets[i].name, sets[i].manifest)) {
            continue;
        }
        const char *loaded = data_path(sets[i].name);
        if (sets[i].manifest != NULL) {
            loaded = data_manifest(w.folder, sets[i].manifest, loaded);
        }
        int64_t bytes = rn_graph_bytes(w.graph), steps = 0;
        rn_graph_close(w.graph);
        w.graph = NULL;
        long long suggested = 0;
        for (int64_t limit = bytes / 16; limit < bytes; limit += bytes / 16, steps++) {
            rn_pool_set_limit(w.made.data, limit);
            ck_assert_int_eq(load_path(&w, loaded), RATION_DATA_LIMIT);
            ck_assert_int_eq(sscanf(w.error.hint, "try data_limit_bytes: %lld", &suggested), 1);
            store_check_empty(&w.made);
        }
        ck_assert_int_ge(steps, 14);
        rn_pool_set_limit(w.made.data, suggested);
        must_load(&w, loaded);
        rn_graph_close(w.graph);
        w.graph = NULL;
        rn_pool_set_limit(w.made.data, bytes + bytes * 2 / 5 + 256 * 1024);
        must_load(&w, loaded);
        rn_pool_set_limit(w.made.data, INT64_MAX);
        world_close(&w);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_graph_data__snap_edge_lists,
                                  test_graph_data__p2p_with_weights,
                                  test_graph_data__nba_strings_and_nulls, test_graph_data__lsqb,
                                  test_graph_data__a_refusal_of_real_data_suggests_enough};
    return support_run("graph_data", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Graphs from files: what is loaded, what is refused and how, faults and limits at every step. */
#include <time.h>

#include "tests/storage/graph_world.h"

/* ---------------------------------------------------------------------------------------- small */

static const char small_manifest[] =
    "header: true\n"
    "nodes:\n"
    "  Empty: { key_type: string }\n"
    "  Person:\n"
    "    file: person.csv\n"
    "    columns: { id: int64, name: string, ok: bool, height: double, born: date, x: skip,\n"
    "               seen: timestamp }\n"
    "  City: { key_type: string }\n"
    "edges:\n"
    "  knows: { file: [k1.csv, k2.csv], from: Person, to: Person,\n"
    "           columns: { t: to, since: date, note: string, f: from } }\n"
    "  lives: { file: lives.csv, from: Person, to: City, columns: { p: from, c: to } }\n";

static const char small_persons[] =
    "id,name,ok,height,born,x,seen\n"
    "30,Cecilia the Great,true,1.5,2021-02-28,?,1970-01-01T00:00:01Z\n"
    "-1,Ann,0,,,,\n"
    "7,\"\",1,-0.5,1969-12-31,\"\n\",2021-02-28T12:34:56.5Z\n"
    "9223372036854775807,,,,,,\n";

static void write_small(world *w)
{
    world_write(w, "person.csv", small_persons);
    world_write(w, "k1.csv", "t,since,note,f\n7,2020-01-01,first,30\n-1,,the second of these,30\n");
    world_write(w, "k2.csv",
                "t,since,note,f\n30,2020-01-03,third,-1\n7,2020-01-04,,30\n"
                "-1,2020-01-05,\"\",-1\n");
    world_write(w, "lives.csv", "p,c\n7,Rome\n30,A city with a long name\n-1,Rome\n");
    world_write(w, "m.yaml", small_manifest);
}

static void check_string(const rn_property *property, uint32_t entry, const char *expected)
{
    const rn_string *string = (const rn_string *)property->data + entry;

    ck_assert(property->valid == NULL || rn_bit_get(property->valid, entry));
    ck_assert_uint_eq(string->length, strlen(expected));
    ck_assert_int_eq(memcmp(rn_string_bytes(string), expected, string->length), 0);
}

static void check_small(const world *w)
{
    check_graph(w);
    ck_assert_uint_eq(rn_graph_node_count(w->graph), 6);
    ck_assert_uint_eq(rn_graph_edge_count(w->graph), 8);
    const rn_label *person = rn_graph_label(w->graph, 1);
    ck_assert_uint_eq(rn_graph_label(w->graph, 0)->count, 0);
    ck_assert_uint_eq(person->property_count, 6);
    ck_assert_uint_eq(person->key, 0);
    ck_assert_int_eq(rn_label_find(person, "seen"), 5);
    ck_assert_int_eq(rn_label_find(person, "x"), -1);
    const rn_property *p = person->properties;
    check_string(&p[1], 0, "Cecilia the Great");
    check_string(&p[1], 2, "");
    ck_assert_uint_eq(p[1].valid[0], 7);
    ck_assert_uint_eq(p[2].valid[0], 7);
    ck_assert_uint_eq(((const uint8_t *)p[2].data)[0], 1);
    ck_assert_uint_eq(((const uint8_t *)p[2].data)[1], 0);
    ck_assert_uint_eq(p[3].valid[0], 5);
    ck_assert(((const double *)p[3].data)[2] == -0.5);
    ck_assert_int_eq(((const int32_t *)p[4].data)[2], -1);
    ck_assert_int_eq(((const int64_t *)p[5].data)[0], 1000000);
    const rn_edge_type *knows = type_of(w, "knows");
    uint32_t ann = node_of(w, "Person", int64_key(-1));
    uint32_t cecilia = node_of(w, "Person", int64_key(30));
    uint32_t seven = node_of(w, "Person", int64_key(7));
    uint64_t first, end;
    ck_assert(rn_adjacency_find(&knows->forward, cecilia, seven, &first, &end));
    ck_assert_uint_eq(end - first, 2);
    check_string(&knows->properties[1], (uint32_t)first, "first");
    ck_assert(!rn_bit_get(knows->properties[1].valid, (uint32_t)first + 1));
    ck_assert(rn_adjacency_find(&knows->forward, cecilia, ann, &first, &end));
    check_string(&knows->properties[1], (uint32_t)first, "the second of these");
    ck_assert(!rn_bit_get(knows->properties[0].valid, (uint32_t)first));
    ck_assert(rn_adjacency_find(&knows->backward, ann, ann, &first, &end));
    check_string(&knows->properties[1], knows->backward.edges[first], "");
    ck_assert(!rn_adjacency_find(&knows->forward, seven, ann, &first, &end));
    ck_assert(!rn_adjacency_find(&knows->forward, 5, ann, &first, &end));
    ck_assert_uint_eq(rn_graph_label_of(w->graph, 0), 1);
    uint32_t rome = node_of(w, "City", string_key("Rome"));
    ck_assert_uint_eq(rome, 4);
    ck_assert_uint_eq(degree_of(&type_of(w, "lives")->backward, rome), 2);
    ck_assert_uint_eq(node_of(w, "City", string_key("A city with a long name")), 5);
}

START_TEST(test_graph__loads_labels_types_and_nulls)
{
    world w;
    rn_value null = {.type = rn_type_of(RN_INT64), .null = true};
    rn_value wrong = string_key("30"), missing = int64_key(31);
    uint32_t node;

    world_open(&w, INT64_MAX);
    write_small(&w);
    must_load(&w, w.path);
    check_small(&w);
    ck_assert(!rn_graph_find_node(w.graph, 1, &null, &node));
    ck_assert(!rn_graph_find_node(w.graph, 1, &wrong, &node));
    ck_assert(!rn_graph_find_node(w.graph, 1, &missing, &node));
    ck_assert(!rn_graph_find_node(w.graph, 0, &wrong, &node));
    ck_assert_int_eq(rn_graph_find_label(w.graph, "person"), -1);
    ck_assert_int_eq(rn_graph_find_edge_type(w.graph, "Person"), -1);
    ck_assert_int_eq(rn_edge_type_find(type_of(&w, "knows"), "note"), 1);
    world_close(&w);
}
END_TEST

/* --------------------------------------------------------------------------------------- errors */

/* Loads the small graph with one file replaced; the error's text behind the folder's name is
 * `expected`. */
static void check_refused(const char *file, const char *text, ration_status status,
                          const char *expected)
{
    world w;

    world_open(&w, INT64_MAX);
    write_small(&w);
    if (text == NULL) {
        snprintf(w.path, sizeof w.path, "%s/%s", w.folder, file);
        ck_assert_int_eq(unlink(w.path), 0);
    } else {
        world_write(&w, file, text);
    }
    snprintf(w.path, sizeof w.path, "%s/m.yaml", w.folder);
    ck_assert_int_eq(load_path(&w, w.path), status);
    ck_assert_ptr_null(w.graph);
    const char *shown = support_error(&w.error);
    ck_assert_int_eq(strncmp(shown, w.folder, strlen(w.folder)), 0);
    ck_assert_str_eq(shown + strlen(w.folder) + 1, expected);
    world_close(&w);
}

#define EDGES "t,since,note,f\n"
#define NODES "id,name,ok,height,born,x,seen\n"

START_TEST(test_graph__names_the_place_of_bad_data)
{
    check_refused("k1.csv", EDGES "7,,,30\n7,,,31\n", RATION_DATA,
                  "k1.csv:3:5: error: dangling edge of 'knows': column 'f' names '31', which is no "
                  "id of 'Person' (both ends of an edge must exist)");
    check_refused("person.csv", NODES "1,,,,,,\n2,,,,,,\n1,,,,,,\n", RATION_DATA,
                  "person.csv:4:1: error: duplicate id '1' of 'Person' (ids are unique within a "
                  "label)");
    check_refused("k1.csv", EDGES "7,,30\n", RATION_DATA,
                  "k1.csv:2:4: error: short line: 3 of the 4 columns of 'knows' ('f' is missing) "
                  "(is the delimiter right?)");
    check_refused(
        "k1.csv", EDGES "7,,,30,1\n", RATION_DATA,
        "k1.csv:2:8: error: too many fields: 5 for the 4 columns of 'knows' (name further "
        "columns in the manifest, with 'skip' when they are not wanted)");
    check_refused(
        "person.csv", NODES "1,a,,1.5m,,,\n", RATION_DATA,
        "person.csv:2:6: error: column 'height' of 'Person': '1.5m' is not of type double");
    check_refused(
        "person.csv", NODES "1,a,yes,,,,\n", RATION_DATA,
        "person.csv:2:5: error: column 'ok' of 'Person': 'yes' is not of type bool (true, "
        "false, 1 or 0)");
    check_refused("person.csv", NODES "1,a,,,2021-02-29,,\n", RATION_DATA,
                  "person.csv:2:7: error: column 'born' of 'Person': '2021-02-29' is not of type "
                  "date (as in 2021-02-28)");
    check_refused(
        "person.csv", NODES "1,a,,,,,now\n", RATION_DATA,
        "person.csv:2:9: error: column 'seen' of 'Person': 'now' is not of type timestamp "
        "(as in 2021-02-28T12:34:56.789Z)");
    check_refused("person.csv", NODES "9223372036854775808,,,,,,\n", RATION_DATA,
                  "person.csv:2:1: error: column 'id' of 'Person': '9223372036854775808' is not of "
                  "type int64");
    check_refused("person.csv", NODES ",a,,,,,\n", RATION_DATA,
                  "person.csv:2:1: error: column 'id' of 'Person': an id cannot be null");
    check_refused("person.csv", NODES "-,a,,,,,\n", RATION_DATA,
                  "person.csv:2:1: error: column 'id' of 'Person': '-' is not of type int64");
    check_refused("k1.csv", EDGES "\"x\ny\xC3\xB6 and more text than an error would show\",,,30\n",
                  RATION_DATA,
                  "k1.csv:2:1: error: column 't' of 'knows': 'x?y\xC3\xB6 and more text than an "
                  "error would ...' is not of type int64");
    check_refused("lives.csv", "p,c\n7,\xFF\n", RATION_DATA,
                  "lives.csv:2:3: error: invalid UTF-8 (the file must be UTF-8)");
}
END_TEST

START_TEST(test_graph__names_a_file_that_is_missing)
{
    world w;
    char expected[1024];

    world_open(&w, INT64_MAX);
    write_small(&w);
    snprintf(w.path, sizeof w.path, "%s/k2.csv", w.folder);
    ck_assert_int_eq(unlink(w.path), 0);
    snprintf(
        expected, sizeof expected,
        "%s/m.yaml:10:27: error: cannot open '%s/k2.csv' of 'knows': No such file or directory "
        "(files are relative to the manifest, or to its 'base')",
        w.folder, w.folder);
    snprintf(w.path, sizeof w.path, "%s/m.yaml", w.folder);
    ck_assert_int_eq(load_path(&w, w.path), RATION_FILE);
    ck_assert_str_eq(support_error(&w.error), expected);
    ck_assert_int_eq(load_path(&w, "/no/manifest.yaml"), RATION_FILE);
    ck_assert_int_eq(load_path(&w, "/no/edges"), RATION_FILE);
    ck_assert_int_eq(load_path(&w, "/"), RATION_FILE);
    world_close(&w);
}
END_TEST

/* ----------------------------------------------------------------------------------- edge lists */

START_TEST(test_graph__loads_edge_lists)
{
    world w;

    world_open(&w, INT64_MAX);
    world_write(&w, "e.txt", "# SNAP\n# from\tto\n5\t3\n3\t5\n9 5\n");
    must_load(&w, w.path);
    check_graph(&w);
    ck_assert_uint_eq(rn_graph_node_count(w.graph), 3);
    ck_assert_uint_eq(node_of(&w, "Node", int64_key(5)), 0);
    ck_assert_uint_eq(node_of(&w, "Node", int64_key(3)), 1);
    ck_assert_uint_eq(type_of(&w, "edge")->count, 3);
    ck_assert_uint_eq(type_of(&w, "edge")->property_count, 0);
    rn_graph_close(w.graph);
    world_write(&w, "e.csv", "1,2,0.5\n1,1,-3\n");
    must_load(&w, w.path);
    check_graph(&w);
    const rn_edge_type *edge = type_of(&w, "edge");
    ck_assert_str_eq(edge->properties[0].name, "weight");
    ck_assert(((const double *)edge->properties[0].data)[0] == -3.0);
    ck_assert(((const double *)edge->properties[0].data)[1] == 0.5);
    rn_graph_close(w.graph);
    w.graph = NULL;
    world_write(&w, "e.csv", "");
    must_load(&w, w.path);
    ck_assert_uint_eq(rn_graph_node_count(w.graph), 0);
    check_graph(&w);
    rn_graph_close(w.graph);
    w.graph = NULL;
    world_write(&w, "e.csv", "1 2\n1 2 3\n");
    ck_assert_int_eq(load_path(&w, w.path), RATION_DATA);
    world_write(&w, "e.csv", "1\n");
    ck_assert_int_eq(load_path(&w, w.path), RATION_DATA);
    world_write(&w, "e.csv", "a b\n");
    ck_assert_int_eq(load_path(&w, w.path), RATION_DATA);
    ck_assert_str_eq(w.error.hint,
                     "an edge list has int64 ids; describe other files in a manifest");
    world_close(&w);
}
END_TEST

/* Random edges against a plain list: the neighbours of each node, edges of equal ends in the
 * order of the file. */
static void check_random(uint64_t seed)
{
    static char text[1 << 20];
    enum { EDGES_MAX = 20000 };
    static uint32_t from[EDGES_MAX], to[EDGES_MAX];
    uint64_t state = seed;
    uint32_t edges = (uint32_t)rn_random_below(&state, EDGES_MAX);
    uint64_t nodes = 1 + rn_random_below(&state, rn_random_below(&state, 4) == 0 ? 5 : 3000);
    size_t at = 0;
    world w;

    for (uint32_t i = 0; i < edges; i++) {
        from[i] = (uint32_t)rn_random_below(&state, nodes);
        to[i] = (uint32_t)rn_random_below(&state, nodes);
        at += (size_t)snprintf(text + at, sizeof text - at, "%u %u %u\n", from[i], to[i], i);
    }
    world_open(&w, INT64_MAX);
    text[at] = '\0';
    world_write(&w, "e", text);
    must_load(&w, w.path);
    check_graph(&w);
    const rn_edge_type *edge = type_of(&w, "edge");
    const double *rows = edges == 0 ? NULL : edge->properties[0].data;
    const int64_t *ids = rn_graph_label(w.graph, 0)->properties[0].data;
    ck_assert_uint_eq(edge->count, edges);
    for (uint32_t n = 0; n < edge->forward.count; n++) {
        for (uint64_t i = edge->forward.offsets[n]; i < edge->forward.offsets[n + 1]; i++) {
            uint32_t row = (uint32_t)rows[i];
            ck_assert_uint_eq(from[row], (uint64_t)ids[n]);
            ck_assert_uint_eq(to[row], (uint64_t)ids[edge->forward.neighbours[i]]);
            ck_assert(i == edge->forward.offsets[n] || rows[i - 1] < rows[i] ||
                      edge->forward.neighbours[i - 1] < edge->forward.neighbours[i]);
        }
    }
    world_close(&w);
}

START_TEST(test_graph__random_edges_come_back)
{
    uint64_t seed = (uint64_t)time(NULL);

    printf("seed=%llu\n", (unsigned long long)seed);
    for (uint64_t i = 0; i < 40; i++) {
        check_random(seed + i);
    }
}
END_TEST

/* ---------------------------------------------------------------------------- limits and faults */

START_TEST(test_graph__every_fault_is_a_status)
{
    world w;

    world_open(&w, INT64_MAX);
    write_small(&w);
    for (int kind = 0; kind < 4; kind++) {
        bool failed = true;
        int64_t faults = 0;
        for (store_fault fault = {1, kind & 1, kind & 2}; failed; fault.n++) {
            rn_blocks_purge(w.made.blocks);
            w.graph = NULL;
            store_arm(&fault);
            ration_status status = load_path(&w, w.path);
            store_disarm();
            failed = status != RATION_OK;
            if (failed) {
                ck_assert_int_eq(status, RATION_NO_MEMORY);
                ck_assert_int_eq(w.error.status, RATION_NO_MEMORY);
                ck_assert_ptr_null(w.graph);
                store_check_empty(&w.made);
                faults++;
            } else {
                check_small(&w);
                rn_graph_close(w.graph);
            }
        }
        ck_assert_int_gt(faults, 5);
    }
    w.graph = NULL;
    world_close(&w);
}
END_TEST

/* Under every limit the graph is loaded, or refused with nothing left and a hint that suffices. */
START_TEST(test_graph__every_limit_is_a_status)
{
    world w;
    int64_t suggested = 0;
    bool loaded = false;

    world_open(&w, INT64_MAX);
    write_small(&w);
    for (int64_t limit = 0; !loaded; limit += 8 * 1024) {
        rn_pool_set_limit(w.made.data, limit);
        ration_status status = load_path(&w, w.path);
        loaded = status == RATION_OK;
        if (!loaded) {
            ck_assert_int_eq(status, RATION_DATA_LIMIT);
            ck_assert_int_eq(strncmp(w.error.message, "no room to load the graph: ", 27), 0);
            long long bytes;
            ck_assert_int_eq(sscanf(w.error.hint, "try data_limit_bytes: %lld", &bytes), 1);
            suggested = bytes;
            ck_assert_ptr_null(w.graph);
            store_check_empty(&w.made);
        }
    }
    check_small(&w);
    rn_graph_close(w.graph);
    w.graph = NULL;
    rn_pool_set_limit(w.made.data, suggested);
    must_load(&w, w.path);
    rn_pool_set_limit(w.made.data, INT64_MAX);
    world_close(&w);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_graph__loads_labels_types_and_nulls, test_graph__names_the_place_of_bad_data,
        test_graph__names_a_file_that_is_missing, test_graph__loads_edge_lists,
        test_graph__random_edges_come_back,       test_graph__every_fault_is_a_status,
        test_graph__every_limit_is_a_status};
    return support_run("graph", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The four views over held results of plans: what they iterate, in what order, what they answer
 * outside of rows, and that they come through every limit and fault. */
#include "iterators/registry.h"
#include "iterators/views.h"
#include "tests/iterators/people.h"
#include "tests/iterators/spill_faults.h"

/* Where the rows lie that are viewed: in memory, written out before, or written out under the view
 * while it stands in them. */
enum { KEPT, WRITTEN, OVERTAKEN, MODES };
static int mode;

/* A plan's whole result, held under a query of its own. */
typedef struct held_result {
    ration_query *query;
    ration_slot *slot;
    rn_spill_file *file;
    ration_context *context;
    rn_held held;
    uint32_t batch_rows;
} held_result;

static ration_status hold_rows(rn_execution *execution, held_result *result)
{
    const rn_batch *batch;
    do {
        RN_TRY(rn_execution_next(execution, &batch));
        RN_TRY(rn_held_add(&result->held, batch));
    } while (batch->rows > 0);
    return RATION_OK;
}

static ration_status fill_result(const rn_plan *plan, held_result *result)
{
    rn_execution *execution;
    RN_TRY(ration_query_slot(result->query, &result->slot));
    RN_TRY(rn_spill_file_open(result->query->governor->volume, NULL, 1, &result->file));
    RN_TRY(
        ration_context_create(NULL, result->slot, RATION_CONTEXT_BUMP, "result", &result->context));
    RN_TRY(rn_held_open(&plan->root->output, result->context, result->slot, 65536, result->file,
                        &result->held));
    RN_TRY(rn_execution_open(result->query, plan, false, &execution));
    ration_status status = hold_rows(execution, result);
    rn_execution_close(execution);
    return status;
}

typedef struct test_plan {
    rn_plan_file file;
    rn_plan *plan;
} test_plan;

static void build(rn_test_world *world, const char *steps, test_plan *built)
{
    static const rn_parameters none = {0, NULL};
    char text[2000];
    ration_error error;
    snprintf(text, sizeof text, "pipeline:\n%s", steps);
    support_ok(rn_plan_file_parse("plan.yaml", text, strlen(text), &built->file, &error), &error);
    support_ok(rn_plan_build(&built->file, NULL, &none, world->graph, rn_operator_classes(),
                             &built->plan, &error),
               &error);
}

static void forget(test_plan *built)
{
    rn_plan_close(built->plan);
    rn_plan_file_close(&built->file);
}

static held_result *current;
static int moves; /* of views over it */

static ration_status hold(rn_test_world *world, const rn_plan *plan, int64_t limit_bytes,
                          held_result *result)
{
    ration_query_options options = {.size = sizeof options, .limit_bytes = limit_bytes};
    memset(result, 0, sizeof *result);
    ck_assert_int_eq(ration_query_open(world->governor, &options, &result->query, NULL), RATION_OK);
    RN_TRY(fill_result(plan, result));
    current = result;
    moves = 0;
    return mode == WRITTEN ? rn_held_spill(&result->held, INT64_MAX) : RATION_OK;
}

static void release(held_result *result)
{
    ration_pool_figures figures;
    ration_context_delete(result->context);
    rn_spill_file_close(result->file);
    if (result->slot != NULL) {
        ck_assert_int_eq(rn_slot_prepay(rn_slot_of(result->slot), 0), RATION_OK);
    }
    ration_pool_read(ration_query_pool(result->query), &figures);
    ck_assert_int_eq(figures.charged_bytes, 0);
    ration_query_close(result->query);
}

/* Writes everything out when a view stands in its second row, and again some rows later: the row it
 * stands in stays where it is. */
static void overtake(void)
{
    moves += 1;
    if (mode == OVERTAKEN && (moves == 2 || moves == 1000)) {
        ck_assert_int_eq(rn_held_spill(&current->held, INT64_MAX), RATION_OK);
    }
}

/* The next row, or no more; that it can be read is expected. */
static bool next_row(rn_view *view)
{
    bool row;
    ck_assert_int_eq(rn_view_next(view, &row), RATION_OK);
    overtake();
    return row;
}

static bool next_edge(rn_view *view)
{
    bool edge;
    ck_assert_int_eq(rn_view_next_edge(view, &edge), RATION_OK);
    overtake();
    return edge;
}

static rn_view *open_view(rn_test_world *world, held_result *result, rn_view_options options)
{
    rn_view *view = NULL;
    ration_error error;
    options.graph = world->graph;
    support_ok(rn_view_open(&result->held, &options, result->context, result->slot, &view, &error),
               &error);
    ck_assert_int_eq(rn_view_kind_of(view), options.kind);
    return view;
}

static void put_value(rn_text *text, rn_value value)
{
    if (value.null) {
        rn_text_put(text, "null ");
    } else if (value.type.kind == RN_STRING) {
        rn_text_put_bytes(text, rn_string_bytes(&value.as.string), value.as.string.length);
        rn_text_put(text, " ");
    } else {
        uint64_t word = value.type.kind == RN_NODE ? value.as.node : value.as.edge;
        rn_text_format(text, "%lld ", (long long)word);
    }
}

/* ------------------------------------------------------------------------------- the four views */

static void run_default_is_a_single_value(void)
{
    rn_test_world world;
    test_plan built;
    held_result result;
    rn_value value;
    rn_test_open(&world, NULL, PEOPLE);
    build(&world,
          "- scan: { label: Person, as: p }\n- aggregate: { compute: { n: max(p.name) } }\n",
          &built);
    ck_assert_int_eq(hold(&world, built.plan, 0, &result), RATION_OK);
    rn_view *view = open_view(&world, &result, (rn_view_options){.kind = RN_VIEW_DEFAULT});
    ck_assert_int_eq(rn_view_size(view), 1);
    for (int round = 0; round < 2; round++) {
        ck_assert(next_row(view));
        ck_assert_int_eq(rn_view_value(view, 0, &value), RATION_OK);
        ck_assert(rn_string_equal(&value.as.string, &(rn_string){3, "Dot", {""}}));
        ck_assert(!next_row(view) && !next_row(view));
        ck_assert_int_eq(rn_view_value(view, 0, &value), RATION_OK);
        ck_assert(value.null);
        rn_view_restart(view);
    }
    ck_assert(!rn_view_next_vertex(view) && !next_edge(view));
    ck_assert_int_eq(rn_view_vertices(view), 0);
    rn_view_close(view);
    release(&result);
    forget(&built);
    rn_test_close(&world);
}
START_TEST(test_views__default_is_a_single_value)
{
    for (mode = KEPT; mode < MODES; mode++) {
        run_default_is_a_single_value();
    }
}
END_TEST

/* Rows as they came, many more than a portion, two views at once, each with its own place. */
static void run_sequential_gives_rows_in_their_order(void)
{
    rn_test_world world;
    test_plan built;
    held_result result;
    rn_value value;
    rn_test_open(&world, NULL, NULL);
    build(&world,
          "- range: { rows: 5000, columns: { i: sequence, r: { random: string, width: 20 } } }\n",
          &built);
    ck_assert_int_eq(hold(&world, built.plan, 0, &result), RATION_OK);
    rn_view *one = open_view(&world, &result, (rn_view_options){.kind = RN_VIEW_SEQUENTIAL});
    rn_view *two = open_view(&world, &result, (rn_view_options){.kind = RN_VIEW_SEQUENTIAL});
    int column = rn_view_column(one, "i");
    ck_assert_int_eq(column, 0);
    ck_assert_int_eq(rn_view_column(one, "x"), -1);
    ck_assert_int_eq(rn_view_size(one), 5000);
    for (int64_t i = 0; i < 5000; i++) {
        ck_assert(next_row(one));
        ck_assert_int_eq(rn_view_value(one, (uint32_t)column, &value), RATION_OK);
        ck_assert_int_eq(value.as.integer, i);
        ck_assert_int_eq(rn_view_value(one, 1, &value), RATION_OK);
        ck_assert_uint_eq(value.as.string.length, 20);
        if (i % 7 == 0) {
            ck_assert(next_row(two));
            ck_assert_int_eq(rn_view_value(two, 0, &value), RATION_OK);
            ck_assert_int_eq(value.as.integer, i / 7);
        }
    }
    ck_assert(!next_row(one));
    rn_view_close(one);
    rn_view_close(two);
    release(&result);
    forget(&built);
    rn_test_close(&world);
}
START_TEST(test_views__sequential_gives_rows_in_their_order)
{
    for (mode = KEPT; mode < MODES; mode++) {
        run_sequential_gives_rows_in_their_order();
    }
}
END_TEST

/* Rows of one vertex are apart in the result (ordered by edge, backward): the view brings them
 * together. Dot knows nobody and is a vertex without edges. */
#define KNOWN                                                                                      \
    "- scan: { label: Person, as: p }\n"                                                           \
    "- expand: { from: p, edge: knows, to: q, as: e, optional: true }\n"                           \
    "- sort: [e desc]\n"

static void describe_vertices(rn_view *view, rn_text *text)
{
    while (rn_view_next_vertex(view)) {
        put_value(text, rn_view_property(view, RN_VIEW_VERTEX, "name"));
        ck_assert(rn_view_entity_value(view, RN_VIEW_EDGE).null);
        rn_text_format(text, "%lld: ", (long long)rn_view_edges(view));
        while (next_edge(view)) {
            put_value(text, rn_view_property(view, RN_VIEW_EDGE, "since"));
            put_value(text, rn_view_property(view, RN_VIEW_NEIGHBOUR, "name"));
        }
        ck_assert(!next_edge(view));
        rn_text_put(text, "\n");
    }
    ck_assert(!rn_view_next_vertex(view) && !next_edge(view));
}

static void run_neighbors_groups_edges_by_vertex(void)
{
    rn_test_world world;
    test_plan built;
    held_result result;
    char buffer[1000];
    rn_test_open(&world, NULL, PEOPLE);
    build(&world, KNOWN, &built);
    ck_assert_int_eq(hold(&world, built.plan, 0, &result), RATION_OK);
    rn_view *view = open_view(
        &world, &result,
        (rn_view_options){.kind = RN_VIEW_NEIGHBORS, .source = "p", .edge = "e", .neighbour = "q"});
    ck_assert_int_eq(rn_view_size(view), 5);
    ck_assert_int_eq(rn_view_vertices(view), 4);
    for (int round = 0; round < 2; round++) {
        rn_text text = rn_text_over(buffer, sizeof buffer);
        describe_vertices(view, &text);
        ck_assert_str_eq(buffer, "Cid 2: 2004 Cid 2005 Ann \n"
                                 "Ben 1: null Cid \n"
                                 "Ann 2: 2002 Ben 2001 Ben \n"
                                 "Dot 0: \n");
        rn_view_restart(view);
    }
    /* Leaving a vertex before its edges are through: the next one starts with its first. */
    ck_assert(rn_view_next_vertex(view) && next_edge(view) && rn_view_next_vertex(view));
    ck_assert(rn_view_entity_value(view, RN_VIEW_EDGE).null);
    ck_assert(next_edge(view));
    ck_assert(rn_view_property(view, RN_VIEW_EDGE, "since").null); /* Ben's */
    rn_view_restart(view);
    int64_t edges = 0;
    for (; next_row(view); edges++) {
        ck_assert(!rn_view_entity_value(view, RN_VIEW_EDGE).null);
        ck_assert(!rn_view_entity_value(view, RN_VIEW_VERTEX).null);
    }
    ck_assert_int_eq(edges, 5);
    ck_assert(rn_view_entity_value(view, RN_VIEW_VERTEX).null);
    ck_assert(rn_view_property(view, RN_VIEW_VERTEX, "name").null);
    rn_view_restart(view);
    ck_assert(next_row(view));
    ck_assert(rn_view_property(view, RN_VIEW_VERTEX, "weight").null);
    rn_view_close(view);
    release(&result);
    forget(&built);
    rn_test_close(&world);
}
START_TEST(test_views__neighbors_groups_edges_by_vertex)
{
    for (mode = KEPT; mode < MODES; mode++) {
        run_neighbors_groups_edges_by_vertex();
    }
}
END_TEST

static void run_prop_gives_each_entity_once(void)
{
    rn_test_world world;
    test_plan built;
    held_result result;
    char buffer[1000];
    rn_test_open(&world, NULL, PEOPLE);
    build(&world, KNOWN, &built);
    ck_assert_int_eq(hold(&world, built.plan, 0, &result), RATION_OK);
    rn_view *nodes =
        open_view(&world, &result, (rn_view_options){.kind = RN_VIEW_PROP, .source = "q"});
    rn_text text = rn_text_over(buffer, sizeof buffer);
    while (next_row(nodes)) {
        put_value(&text, rn_view_property(nodes, RN_VIEW_VERTEX, "id"));
        put_value(&text, rn_view_property(nodes, RN_VIEW_VERTEX, "age"));
        ck_assert(rn_view_entity_value(nodes, RN_VIEW_EDGE).null);
    }
    ck_assert_str_eq(buffer, "3 null 1 30 2 40 ");
    ck_assert_int_eq(rn_view_size(nodes), 3);
    rn_view *edges =
        open_view(&world, &result, (rn_view_options){.kind = RN_VIEW_PROP, .source = "e"});
    text = rn_text_over(buffer, sizeof buffer);
    while (next_row(edges)) {
        put_value(&text, rn_view_property(edges, RN_VIEW_EDGE, "since"));
        ck_assert(rn_view_entity_value(edges, RN_VIEW_VERTEX).null);
    }
    ck_assert_str_eq(buffer, "2004 2005 null 2002 2001 ");
    rn_view_close(nodes);
    rn_view_close(edges);
    release(&result);
    forget(&built);
    rn_test_close(&world);
}
START_TEST(test_views__prop_gives_each_entity_once)
{
    for (mode = KEPT; mode < MODES; mode++) {
        run_prop_gives_each_entity_once();
    }
}
END_TEST

/* Many vertices, far apart: every edge of the result is given exactly once, by its vertex. */
static void run_neighbors_gives_every_edge_once(void)
{
    rn_test_world world;
    test_plan built;
    held_result result;
    char *graph = malloc(400000), *at = graph;
    ck_assert_ptr_nonnull(graph);
    uint64_t seed = 11;
    at += sprintf(at, "--- edges.txt\n");
    for (int i = 0; i < 20000; i++) {
        at += sprintf(at, "%d %d\n", (int)rn_random_below(&seed, 3000),
                      (int)rn_random_below(&seed, 3000));
    }
    rn_test_open(&world, NULL, graph);
    build(&world,
          "- scan: { label: Node, as: p }\n- expand: { from: p, edge: edge, to: q, as: e }\n"
          "- sort: [q]\n",
          &built);
    ck_assert_int_eq(hold(&world, built.plan, 0, &result), RATION_OK);
    rn_view *view = open_view(
        &world, &result,
        (rn_view_options){.kind = RN_VIEW_NEIGHBORS, .source = "p", .edge = "e", .neighbour = "q"});
    unsigned char *seen = calloc(20000, 1);
    int64_t edges = 0, vertices = 0;
    while (rn_view_next_vertex(view)) {
        uint32_t node = rn_view_entity_value(view, RN_VIEW_VERTEX).as.node;
        const rn_adjacency *forward = &rn_graph_edge_type(world.graph, 0)->forward;
        ck_assert_int_eq(rn_view_edges(view),
                         (int64_t)(forward->offsets[node - forward->first + 1] -
                                   forward->offsets[node - forward->first]));
        for (; next_edge(view); edges++) {
            uint64_t edge = rn_view_entity_value(view, RN_VIEW_EDGE).as.edge;
            ck_assert_uint_eq(seen[edge], 0);
            seen[edge] = 1;
            ck_assert_uint_eq(forward->neighbours[edge],
                              rn_view_entity_value(view, RN_VIEW_NEIGHBOUR).as.node);
        }
        vertices++;
    }
    ck_assert_int_eq(edges, 20000);
    ck_assert_int_eq(vertices, rn_view_vertices(view));
    rn_view_close(view);
    release(&result);
    forget(&built);
    rn_test_close(&world);
    free(graph);
    free(seen);
}
START_TEST(test_views__neighbors_gives_every_edge_once)
{
    for (mode = KEPT; mode < MODES; mode++) {
        run_neighbors_gives_every_edge_once();
    }
}
END_TEST

static void run_lists_of_strings_can_be_read(void)
{
    rn_test_world world;
    test_plan built;
    held_result result;
    rn_value value;
    rn_test_open(&world, NULL, PEOPLE);
    build(&world,
          "- scan: { label: Post, as: p }\n- aggregate: { by: [p], compute: { l: collect(p.title) "
          "} }\n",
          &built);
    ck_assert_int_eq(hold(&world, built.plan, 0, &result), RATION_OK);
    rn_view *view = open_view(&world, &result, (rn_view_options){.kind = RN_VIEW_SEQUENTIAL});
    ck_assert(next_row(view));
    ck_assert_int_eq(rn_view_value(view, 1, &value), RATION_OK);
    ck_assert_uint_eq(value.as.list.length, 1);
    const rn_string *title = rn_list_values(value.as.list.first);
    ck_assert_uint_eq(title->length, 34);
    ck_assert_int_eq(memcmp(rn_string_bytes(title), "a title that is longer than twelve", 34), 0);
    ck_assert(next_row(view));
    ck_assert_int_eq(rn_view_value(view, 1, &value), RATION_OK);
    ck_assert_uint_eq(value.as.list.length, 0);
    rn_view_close(view);
    release(&result);
    forget(&built);
    rn_test_close(&world);
}
START_TEST(test_views__lists_of_strings_can_be_read)
{
    for (mode = KEPT; mode < MODES; mode++) {
        run_lists_of_strings_can_be_read();
    }
}
END_TEST

/* ---------------------------------------------------------------------------- bad input, faults */

static void expect_error(held_result *result, rn_view_options options, const char *message)
{
    ration_error error;
    rn_view *view = NULL;
    ck_assert_int_eq(
        rn_view_open(&result->held, &options, result->context, result->slot, &view, &error),
        RATION_INVALID_ARGUMENT);
    ck_assert_ptr_null(view);
    ck_assert_str_eq(error.message, message);
    ck_assert_int_eq(
        rn_view_open(&result->held, &options, result->context, result->slot, &view, NULL),
        RATION_INVALID_ARGUMENT);
}

START_TEST(test_views__explain_what_does_not_fit)
{
    rn_test_world world;
    test_plan built;
    held_result result;
    rn_test_open(&world, NULL, PEOPLE);
    build(&world, KNOWN "- project: { '*': all, name: p.name }\n", &built);
    ck_assert_int_eq(hold(&world, built.plan, 0, &result), RATION_OK);
    expect_error(&result, (rn_view_options){.kind = RN_VIEW_DEFAULT},
                 "default view: the result is not a single value: 6 rows, 4 columns");
    expect_error(&result, (rn_view_options){.kind = RN_VIEW_PROP},
                 "prop view: source: no column ''");
    expect_error(&result, (rn_view_options){.kind = RN_VIEW_PROP, .source = "name"},
                 "prop view: source: column name is string");
    expect_error(&result,
                 (rn_view_options){.kind = RN_VIEW_NEIGHBORS, .source = "e", .neighbour = "q"},
                 "get-neighbors view: source: column e is edge");
    expect_error(&result,
                 (rn_view_options){.kind = RN_VIEW_NEIGHBORS, .source = "p", .neighbour = "x"},
                 "get-neighbors view: neighbour: no column 'x'");
    expect_error(&result,
                 (rn_view_options){
                     .kind = RN_VIEW_NEIGHBORS, .source = "p", .neighbour = "q", .edge = "name"},
                 "get-neighbors view: edge: column name is string");
    release(&result);
    forget(&built);
    rn_test_close(&world);
}
END_TEST

/* Holds the result and opens every view; whatever is refused, nothing stays. */
static ration_status hold_and_view(rn_test_world *world, const rn_plan *plan, int64_t limit_bytes)
{
    static const rn_view_options all[] = {
        {.kind = RN_VIEW_SEQUENTIAL},
        {.kind = RN_VIEW_NEIGHBORS, .source = "p", .neighbour = "q"},
        {.kind = RN_VIEW_PROP, .source = "q"},
    };
    held_result result;
    ration_status status = hold(world, plan, limit_bytes, &result);
    for (size_t i = 0; i < RN_COUNT(all) && status == RATION_OK; i++) {
        rn_view *view = NULL;
        ration_error error = {.status = RATION_OK};
        status = rn_view_open(&result.held, &all[i], result.context, result.slot, &view, &error);
        ck_assert_int_eq(error.status, status);
        int64_t rows = -1;
        for (bool row = true; status == RATION_OK && row; rows++) {
            status = rn_view_next(view, &row);
        }
        ck_assert(status != RATION_OK || rows == rn_view_size(view));
        rn_view_close(view);
    }
    release(&result);
    return status;
}

START_TEST(test_views__come_through_every_limit_and_fault)
{
    rn_test_world world;
    test_plan built;
    char *graph = malloc(100000), *at = graph;
    ck_assert_ptr_nonnull(graph);
    at += sprintf(at, "--- edges.txt\n");
    for (int i = 0; i < 4000; i++) {
        at += sprintf(at, "%d %d\n", i, (i * 7) % 4000);
    }
    rn_test_open(&world, NULL, graph);
    build(&world, "- scan: { label: Node, as: p }\n- expand: { from: p, edge: edge, to: q }\n",
          &built);
    ration_status status = RATION_QUERY_LIMIT;
    int refused = 0;
    for (int64_t limit = 4096; status != RATION_OK; limit += 16 * 1024, refused++) {
        status = hold_and_view(&world, built.plan, limit);
        ck_assert(status == RATION_OK || status == RATION_QUERY_LIMIT ||
                  status == RATION_MINIMUM_ABOVE_LIMIT);
    }
    ck_assert_int_gt(refused, 20);
    for (int ever = 0; ever < 2; ever++) {
        status = RATION_NO_MEMORY;
        for (int64_t nth = 1; status != RATION_OK; nth++) {
            rn_blocks_purge(world.governor->blocks);
            rn_blocks_fail_after(nth, ever == 1);
            status = hold_and_view(&world, built.plan, 0);
            rn_blocks_fail_after(0, false);
            ck_assert(status == RATION_OK || status == RATION_NO_MEMORY);
        }
    }
    forget(&built);
    rn_test_close(&world);
    free(graph);
}
END_TEST

/* Every view over rows that were written out, with the nth call of the disk failing: all rows, or
 * what the disk says. */
START_TEST(test_views__come_through_a_failing_disk)
{
    static faulty_disk disk;
    rn_test_world world;
    test_plan built;
    rn_test_open(&world, NULL, PEOPLE);
    faulty_disk_open(&disk);
    rn_spill_volume_replace(world.governor->volume, &disk.disk);
    build(&world, KNOWN "- project: { p: p, q: q, s: 1 }\n", &built);
    mode = WRITTEN;
    for (int forever = 0; forever < 2; forever++) {
        ration_status status = RATION_SPILL_IO;
        int64_t failed = -1;
        for (int64_t n = 1; status != RATION_OK; n++, failed++) {
            disk.fault = EIO;
            rn_failure_arm(&disk.due, n, forever == 1);
            status = hold_and_view(&world, built.plan, 0);
            rn_failure_arm(&disk.due, 0, false);
            ck_assert(status == RATION_OK || status == RATION_SPILL_IO);
            spilling_nothing_left(&world);
        }
        ck_assert_int_gt(failed, 2); /* open, write, read */
    }
    mode = KEPT;
    forget(&built);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_views__default_is_a_single_value,
        test_views__sequential_gives_rows_in_their_order,
        test_views__neighbors_groups_edges_by_vertex,
        test_views__prop_gives_each_entity_once,
        test_views__neighbors_gives_every_edge_once,
        test_views__lists_of_strings_can_be_read,
        test_views__explain_what_does_not_fit,
        test_views__come_through_every_limit_and_fault,
        test_views__come_through_a_failing_disk,
    };
    return support_run("views", tests, RN_COUNT(tests));
}

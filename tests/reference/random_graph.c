/* SPDX-License-Identifier: Apache-2.0
 *
 * See random_graph.h. */
#include "tests/reference/random_graph.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"

static const struct {
    const char *name;
    naive_kind kind;
} properties[PROPERTIES] = {
    {"flag", NAIVE_BOOL},    {"small", NAIVE_INT64}, {"big", NAIVE_INT64},
    {"ratio", NAIVE_DOUBLE}, {"born", NAIVE_DATE},   {"seen", NAIVE_TIMESTAMP},
    {"word", NAIVE_STRING},  {"text", NAIVE_STRING}, {"id", NAIVE_INT64},
    {"name", NAIVE_STRING},  {"uid", NAIVE_INT64},
};

const char *random_property_name(uint32_t property)
{
    return properties[property].name;
}

naive_kind random_property_kind(uint32_t property)
{
    return properties[property].kind;
}

static bool one_in(uint64_t *random, uint64_t chances)
{
    return rn_random_below(random, chances) == 0;
}

naive_value random_big(uint64_t *random)
{
    int64_t size = INT64_MAX - (int64_t)rn_random_below(random, 3) * (INT64_MAX / 3);
    return naive_int64(one_in(random, 2) ? size : -size);
}

/* Doubles are quarters, so that sums do not depend on their order; NaN, infinities and -0 appear
 * now and then. */
static naive_value random_double(uint64_t *random)
{
    static const double special[] = {NAN, INFINITY, -INFINITY, -0.0};
    if (one_in(random, 20)) {
        return naive_double(special[rn_random_below(random, RN_COUNT(special))]);
    }
    return naive_double(((double)rn_random_below(random, 80) - 20.0) / 4.0);
}

static naive_value random_string(uint64_t *random)
{
    static const char *const texts[] = {"",
                                        "a",
                                        "ab",
                                        "abc",
                                        "b",
                                        "Ann",
                                        "twelve bytes",
                                        "thirteen byte",
                                        "thirteen bytf",
                                        "it's",
                                        "say \"so\"",
                                        "x,y|z",
                                        "\xC3\xA4\xC3\xB6",
                                        "a rather long text that no inline string can hold",
                                        "a rather long text that no inline string can hole",
                                        "two\nlines",
                                        "null",
                                        "\\N"};
    const char *text = texts[rn_random_below(random, RN_COUNT(texts))];
    return naive_string(text, strlen(text));
}

naive_value random_value(naive_kind kind, uint64_t *random)
{
    switch (kind) {
    case NAIVE_BOOL:
        return naive_bool(one_in(random, 2));
    case NAIVE_DOUBLE:
        return random_double(random);
    case NAIVE_DATE:
        return naive_whole(kind, (int64_t)rn_random_below(random, 12) * 3001 - 9000);
    case NAIVE_TIMESTAMP:
        return naive_whole(kind,
                           (int64_t)rn_random_below(random, 12) * 98765432101234 - 500000000000000);
    case NAIVE_STRING:
        return random_string(random);
    default:
        return naive_int64((int64_t)rn_random_below(random, 14) - 3);
    }
}

static void fill_properties(const bool *has, naive_value *values, uint64_t *random)
{
    for (uint32_t p = 0; p < PROPERTIES; p++) {
        naive_kind kind = properties[p].kind;
        values[p] = naive_null(naive_type_of(kind));
        if (has[p] && !one_in(random, 5)) {
            values[p] = p == PROPERTY_BIG ? random_big(random) : random_value(kind, random);
        }
    }
}

static void choose_properties(bool *has, uint64_t *random)
{
    for (uint32_t p = 0; p <= PROPERTY_TEXT; p++) {
        has[p] = !one_in(random, 3);
    }
}

static void make_labels(random_graph *graph, uint64_t *random)
{
    static const char *const names[RANDOM_LABELS_MAX] = {"Person", "Place", "Topic", "Void"};
    graph->label_count = 2 + (uint32_t)rn_random_below(random, RANDOM_LABELS_MAX - 1);
    for (uint32_t l = 0; l < graph->label_count; l++) {
        random_label *label = &graph->labels[l];
        label->name = names[l];
        label->has_file = l != 2;
        label->key = l == 1 ? PROPERTY_NAME : PROPERTY_ID;
        if (label->has_file) {
            choose_properties(label->has, random);
        }
        label->has[label->key] = true;
    }
}

/* External ids: distinct within a label, some negative, some long. */
static naive_value make_key(rn_arena *arena, const random_label *label, uint32_t number)
{
    if (label->key == PROPERTY_ID) {
        return naive_int64(number % 5 == 4 ? -(int64_t)number * 1000000007 : (int64_t)number * 3);
    }
    char *text = naive_allocate(arena, 64);
    int length =
        snprintf(text, 64, number % 3 == 0 ? "n%u" : "a long, quoted \"id\" of node %u", number);
    return naive_string(text, (size_t)length);
}

static void make_nodes(rn_arena *arena, random_graph *graph, uint64_t *random)
{
    graph->nodes = naive_allocate(arena, RANDOM_LABELS_MAX * 16 * sizeof *graph->nodes);
    for (uint32_t l = 0; l < graph->label_count; l++) {
        uint32_t count = l == 3 ? 0 : 1 + (uint32_t)rn_random_below(random, 14);
        for (uint32_t n = 0; n < count; n++) {
            random_node *node = &graph->nodes[graph->node_count++];
            node->label = l;
            fill_properties(graph->labels[l].has, node->values, random);
            node->values[graph->labels[l].key] = make_key(arena, &graph->labels[l], n);
        }
    }
}

static bool pick_node(const random_graph *graph, uint32_t label, uint64_t *random,
                      uint32_t *out_node)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        if (graph->nodes[n].label == label && one_in(random, ++count)) {
            *out_node = n;
        }
    }
    return count > 0;
}

static void make_edges(rn_arena *arena, random_graph *graph, uint64_t *random)
{
    static const char *const names[RANDOM_TYPES_MAX] = {"knows", "livesIn", "follows", "partOf",
                                                        "about"};
    graph->type_count = 2 + (uint32_t)rn_random_below(random, RANDOM_TYPES_MAX - 1);
    graph->edges = naive_allocate(arena, RANDOM_TYPES_MAX * 32 * sizeof *graph->edges);
    for (uint32_t t = 0; t < graph->type_count; t++) {
        random_edge_type *type = &graph->types[t];
        type->name = names[t];
        type->from = t == 0 ? 0 : (uint32_t)rn_random_below(random, graph->label_count);
        type->to = t == 0 ? 0 : (uint32_t)rn_random_below(random, graph->label_count);
        choose_properties(type->has, random);
        type->has[PROPERTY_UID] = true;
        uint32_t count = one_in(random, 8) ? 0 : (uint32_t)rn_random_below(random, 28);
        for (uint32_t e = 0; e < count; e++) {
            random_edge *edge = &graph->edges[graph->edge_count];
            if (!pick_node(graph, type->from, random, &edge->source) ||
                !pick_node(graph, type->to, random, &edge->target)) {
                break;
            }
            edge->type = t;
            fill_properties(type->has, edge->values, random);
            edge->values[PROPERTY_UID] = naive_int64(graph->edge_count);
            graph->edge_count++;
        }
    }
}

/* Labels without a file have only the nodes that edges name. */
static void drop_unnamed_nodes(rn_arena *arena, random_graph *graph)
{
    uint32_t *moved = naive_allocate(arena, (graph->node_count + 1) * sizeof *moved);
    uint32_t kept = 0;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        bool named = graph->labels[graph->nodes[n].label].has_file;
        for (uint32_t e = 0; e < graph->edge_count && !named; e++) {
            named = graph->edges[e].source == n || graph->edges[e].target == n;
        }
        moved[n] = kept;
        if (named) {
            graph->nodes[kept++] = graph->nodes[n];
        }
    }
    graph->node_count = kept;
    for (uint32_t e = 0; e < graph->edge_count; e++) {
        graph->edges[e].source = moved[graph->edges[e].source];
        graph->edges[e].target = moved[graph->edges[e].target];
    }
}

random_graph *random_graph_make(rn_arena *arena, uint64_t *random)
{
    random_graph *graph = naive_allocate(arena, sizeof *graph);
    make_labels(graph, random);
    make_nodes(arena, graph, random);
    make_edges(arena, graph, random);
    drop_unnamed_nodes(arena, graph);
    return graph;
}

static int order_nodes(const void *a, const void *b)
{
    uint64_t left = ((const random_node *)a)->rank, right = ((const random_node *)b)->rank;
    return left < right ? -1 : left > right;
}

static int order_edges(const void *a, const void *b)
{
    uint64_t left = ((const random_edge *)a)->rank, right = ((const random_edge *)b)->rank;
    return left < right ? -1 : left > right;
}

void random_graph_renumber(rn_arena *arena, random_graph *graph)
{
    uint64_t *ranks = naive_allocate(arena, (graph->node_count + 1) * sizeof *ranks);
    for (uint32_t n = 0; n < graph->node_count; n++) {
        ranks[n] = graph->nodes[n].rank;
    }
    qsort(graph->nodes, graph->node_count, sizeof *graph->nodes, order_nodes);
    uint32_t *moved = naive_allocate(arena, (graph->node_count + 1) * sizeof *moved);
    for (uint32_t n = 0; n < graph->node_count; n++) {
        for (uint32_t to = 0; to < graph->node_count; to++) {
            if (graph->nodes[to].rank == ranks[n]) {
                moved[n] = to;
            }
        }
    }
    for (uint32_t e = 0; e < graph->edge_count; e++) {
        graph->edges[e].source = moved[graph->edges[e].source];
        graph->edges[e].target = moved[graph->edges[e].target];
    }
    qsort(graph->edges, graph->edge_count, sizeof *graph->edges, order_edges);
}

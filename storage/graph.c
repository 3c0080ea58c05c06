/* SPDX-License-Identifier: Apache-2.0
 *
 * The finished graph: names, ids, neighbours. Loading is graph_load.c's.
 *
 * Invariants
 *  1. Labels own consecutive ranges of nodes in the order of the manifest; first of the next =
 *     first + count.
 *  2. Neighbour lists are sorted by neighbour, edges between the same two nodes stand as in the
 *     file.
 *  3. backward.edges is a permutation of the forward positions. */
#include "storage/graph_load.h"

uint32_t rn_graph_label_count(const rn_graph *graph)
{
    return graph->label_count;
}

const rn_label *rn_graph_label(const rn_graph *graph, uint32_t label)
{
    rn_assert(label < graph->label_count);
    return &graph->labels[label];
}

uint32_t rn_graph_edge_type_count(const rn_graph *graph)
{
    return graph->type_count;
}

const rn_edge_type *rn_graph_edge_type(const rn_graph *graph, uint32_t type)
{
    rn_assert(type < graph->type_count);
    return &graph->types[type];
}

int rn_graph_find_label(const rn_graph *graph, const char *name)
{
    for (uint32_t i = 0; i < graph->label_count; i++) {
        if (strcmp(graph->labels[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int rn_graph_find_edge_type(const rn_graph *graph, const char *name)
{
    for (uint32_t i = 0; i < graph->type_count; i++) {
        if (strcmp(graph->types[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* The last label that starts at or before the node: empty labels before it share its start. */
uint16_t rn_graph_label_of(const rn_graph *graph, uint32_t node)
{
    uint32_t low = 0, high = graph->label_count;

    rn_assert(node < graph->node_count);
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (graph->labels[middle].first <= node) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (uint16_t)low;
}

static int find_property(const rn_property *properties, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(properties[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int rn_label_find(const rn_label *label, const char *property)
{
    return find_property(label->properties, label->property_count, property);
}

int rn_edge_type_find(const rn_edge_type *type, const char *property)
{
    return find_property(type->properties, type->property_count, property);
}

uint64_t rn_graph_node_count(const rn_graph *graph)
{
    return graph->node_count;
}

uint64_t rn_graph_edge_count(const rn_graph *graph)
{
    return graph->edge_count;
}

bool rn_graph_find_node(const rn_graph *graph, uint16_t label, const rn_value *key,
                        uint32_t *out_node)
{
    rn_assert(label < graph->label_count);
    const rn_node_index *index = &graph->indexes[label];
    uint32_t position;
    bool found = false;

    if (key->null || key->type.kind != (index->strings ? RN_STRING : RN_INT64)) {
        return false;
    }
    if (index->strings) {
        uint64_t hash = rn_node_hash_string(&key->as.string);
        found = rn_node_index_find_string(index, hash, &key->as.string, &position);
    } else {
        uint64_t hash = rn_node_hash_int64(key->as.integer);
        found = rn_node_index_find_int64(index, hash, key->as.integer, &position);
    }
    if (found) {
        *out_node = graph->labels[label].first + position;
    }
    return found;
}

int64_t rn_graph_bytes(const rn_graph *graph)
{
    int64_t bytes = ration_context_bytes(graph->context, true);

    for (uint32_t i = 0; i < graph->label_count; i++) {
        bytes += graph->indexes[i].bytes;
    }
    return bytes;
}

/* The first entry of [low, high) that is not below `node`. */
static uint64_t find_bound(const uint32_t *neighbours, uint64_t low, uint64_t high, uint32_t node)
{
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (neighbours[middle] < node) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool rn_adjacency_find(const rn_adjacency *side, uint32_t a, uint32_t b, uint64_t *out_first,
                       uint64_t *out_end)
{
    if (a < side->first || a - side->first >= side->count) {
        return false;
    }
    uint64_t end = side->offsets[a - side->first + 1];
    uint64_t first = find_bound(side->neighbours, side->offsets[a - side->first], end, b);
    if (first == end || side->neighbours[first] != b) {
        return false;
    }
    *out_first = first;
    *out_end = b == UINT32_MAX ? end : find_bound(side->neighbours, first, end, b + 1);
    return true;
}

void rn_graph_close(rn_graph *graph)
{
    if (graph == NULL) {
        return;
    }
    for (uint32_t i = 0; i < graph->label_count; i++) {
        rn_node_index_close(&graph->indexes[i]);
    }
    ration_context_delete(graph->context);
}

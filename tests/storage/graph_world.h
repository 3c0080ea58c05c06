/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder with files, a store, a graph loaded from the one into the other, and what holds for
 * every graph. */
#ifndef RATION_TESTS_STORAGE_GRAPH_WORLD_H
#define RATION_TESTS_STORAGE_GRAPH_WORLD_H

#include "storage/graph.h"
#include "tests/storage/store.h"

/* A folder with files, and a store to load them into. */
typedef struct world {
    store made;
    char folder[256];
    char path[512]; /* of what was written last */
    rn_graph *graph;
    ration_error error;
} world;

SUPPORT_UNUSED static void world_open(world *w, int64_t limit_bytes)
{
    memset(w, 0, sizeof *w);
    store_open(&w->made, limit_bytes);
    snprintf(w->folder, sizeof w->folder, "%s", support_folder());
}

SUPPORT_UNUSED static void world_close(world *w)
{
    rn_graph_close(w->graph);
    store_close(&w->made);
    support_remove(w->folder);
}

SUPPORT_UNUSED static void world_write(world *w, const char *name, const char *text)
{
    snprintf(w->path, sizeof w->path, "%s", support_write(w->folder, name, text, strlen(text)));
}

SUPPORT_UNUSED static ration_status load_path(world *w, const char *path)
{
    rn_graph_options options = {.slot = w->made.slot, .progress = false};

    return rn_graph_load(path, &options, &w->graph, &w->error);
}

SUPPORT_UNUSED static void must_load(world *w, const char *path)
{
    support_ok(load_path(w, path), &w->error);
}

SUPPORT_UNUSED static rn_value int64_key(int64_t id)
{
    return (rn_value){.type = rn_type_of(RN_INT64), .as.integer = id};
}

SUPPORT_UNUSED static rn_value string_key(const char *id)
{
    return (rn_value){.type = rn_type_of(RN_STRING),
                      .as.string = rn_string_over(id, (uint32_t)strlen(id))};
}

SUPPORT_UNUSED static uint32_t node_of(const world *w, const char *label, rn_value key)
{
    uint32_t node = UINT32_MAX;

    ck_assert(
        rn_graph_find_node(w->graph, (uint16_t)rn_graph_find_label(w->graph, label), &key, &node));
    return node;
}

SUPPORT_UNUSED static const rn_edge_type *type_of(const world *w, const char *name)
{
    int type = rn_graph_find_edge_type(w->graph, name);

    ck_assert_int_ge(type, 0);
    return rn_graph_edge_type(w->graph, (uint32_t)type);
}

SUPPORT_UNUSED static uint64_t degree_of(const rn_adjacency *side, uint32_t node)
{
    ck_assert(node >= side->first && node - side->first < side->count);
    return side->offsets[node - side->first + 1] - side->offsets[node - side->first];
}

/* Sorted lists, both sides agree, ends in their labels, ids found where they are. */
SUPPORT_UNUSED static void check_side(const rn_adjacency *side, const rn_label *other,
                                      uint32_t count)
{
    ck_assert_uint_eq(side->offsets[0], 0);
    ck_assert_uint_eq(side->offsets[side->count], count);
    for (uint32_t n = 0; n < side->count; n++) {
        ck_assert_uint_le(side->offsets[n], side->offsets[n + 1]);
        for (uint64_t i = side->offsets[n]; i < side->offsets[n + 1]; i++) {
            ck_assert(side->neighbours[i] >= other->first &&
                      side->neighbours[i] - other->first < other->count);
            ck_assert(i == side->offsets[n] || side->neighbours[i - 1] <= side->neighbours[i]);
        }
    }
}

SUPPORT_UNUSED static void check_type(const world *w, const rn_edge_type *type)
{
    const rn_label *source = rn_graph_label(w->graph, type->source);
    const rn_label *target = rn_graph_label(w->graph, type->target);
    const rn_adjacency *forward = &type->forward, *backward = &type->backward;
    uint8_t *seen = calloc(type->count + 1u, 1);

    check_side(forward, target, type->count);
    check_side(backward, source, type->count);
    ck_assert_ptr_null(forward->edges);
    for (uint32_t n = 0; n < backward->count; n++) {
        for (uint64_t i = backward->offsets[n]; i < backward->offsets[n + 1]; i++) {
            uint32_t edge = backward->edges[i];
            uint32_t from = backward->neighbours[i] - source->first;
            ck_assert_uint_eq(forward->neighbours[edge], target->first + n);
            ck_assert(forward->offsets[from] <= edge && edge < forward->offsets[from + 1]);
            ck_assert_uint_eq(seen[edge]++, 0);
        }
    }
    free(seen);
}

SUPPORT_UNUSED static void check_label(const world *w, uint16_t index)
{
    const rn_label *label = rn_graph_label(w->graph, index);
    const rn_property *key = &label->properties[label->key];

    ck_assert_ptr_null(key->valid);
    for (uint32_t i = 0; i < label->count; i++) {
        rn_value id = {.type = key->type};
        uint32_t node;
        memcpy(&id.as, (const char *)key->data + i * rn_kind_bytes(key->type.kind),
               rn_kind_bytes(key->type.kind));
        ck_assert(rn_graph_find_node(w->graph, index, &id, &node));
        ck_assert_uint_eq(node, label->first + i);
        ck_assert_uint_eq(rn_graph_label_of(w->graph, node), index);
    }
}

SUPPORT_UNUSED static void check_graph(const world *w)
{
    uint64_t nodes = 0, edges = 0;

    for (uint32_t i = 0; i < rn_graph_label_count(w->graph); i++) {
        ck_assert_uint_eq(rn_graph_label(w->graph, i)->first, nodes);
        nodes += rn_graph_label(w->graph, i)->count;
        check_label(w, (uint16_t)i);
    }
    for (uint32_t i = 0; i < rn_graph_edge_type_count(w->graph); i++) {
        edges += rn_graph_edge_type(w->graph, i)->count;
        check_type(w, rn_graph_edge_type(w->graph, i));
    }
    ck_assert_uint_eq(rn_graph_node_count(w->graph), nodes);
    ck_assert_uint_eq(rn_graph_edge_count(w->graph), edges);
    ck_assert_int_eq(rn_graph_bytes(w->graph), rn_slot_used(w->made.opened));
}

#endif

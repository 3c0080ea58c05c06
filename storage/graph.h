/* SPDX-License-Identifier: Apache-2.0
 *
 * The graph: columnar, compressed sparse rows in both directions, typed columns with nulls. Loaded
 * once, read by all, charged to the pool it was loaded under; it does not spill. Immutable after
 * loading: any thread may read.
 *
 * Nodes are numbered 0..node_count-1 through all labels; label L owns [first, first + count).
 * Edge e of type T is T << 48 | position, positions 0..count-1 in the order of the forward lists
 * (by source, then by target, then as in the file).
 */
#ifndef RATION_GRAPH_H
#define RATION_GRAPH_H

#include "storage/batch.h"

typedef struct rn_graph rn_graph;

/* A property column over the `count` nodes of a label or edges of a type. */
typedef struct rn_property {
    char name[RN_NAME_BYTES];
    rn_type type;
    const void *data;      /* rn_kind_bytes each */
    const uint64_t *valid; /* NULL = no nulls */
} rn_property;

typedef struct rn_label {
    char name[RN_NAME_BYTES];
    uint32_t first, count;
    uint32_t property_count;
    const rn_property *properties; /* [key] is the external id, int64 or string, never null */
    uint32_t key;
} rn_label;

/* Neighbours of node n (of the label at this end): entries [offsets[n - first], offsets[n -
 * first + 1]). */
typedef struct rn_adjacency {
    uint32_t first, count;      /* the nodes this side starts from */
    const uint64_t *offsets;    /* count + 1 */
    const uint32_t *neighbours; /* node at the other end */
    const uint32_t *edges; /* position of the edge; NULL on the forward side: entry i is edge i */
} rn_adjacency;

typedef struct rn_edge_type {
    char name[RN_NAME_BYTES];
    uint16_t source, target; /* labels */
    uint32_t count;
    uint32_t property_count;
    const rn_property *properties;
    rn_adjacency forward, backward;
} rn_edge_type;

#define RN_EDGE_TYPE_SHIFT 48
static inline uint64_t rn_edge_make(uint16_t type, uint32_t position)
{
    return (uint64_t)type << RN_EDGE_TYPE_SHIFT | position;
}

uint32_t rn_graph_label_count(const rn_graph *graph);
const rn_label *rn_graph_label(const rn_graph *graph, uint32_t label);
uint32_t rn_graph_edge_type_count(const rn_graph *graph);
const rn_edge_type *rn_graph_edge_type(const rn_graph *graph, uint32_t type);
/* By name; -1 when there is none. */
int rn_graph_find_label(const rn_graph *graph, const char *name);
int rn_graph_find_edge_type(const rn_graph *graph, const char *name);
/* Label of a node: binary search over the labels' ranges. */
uint16_t rn_graph_label_of(const rn_graph *graph, uint32_t node);
/* Index of a property in a label or edge type, or -1. */
int rn_label_find(const rn_label *label, const char *property);
int rn_edge_type_find(const rn_edge_type *type, const char *property);
uint64_t rn_graph_node_count(const rn_graph *graph);
uint64_t rn_graph_edge_count(const rn_graph *graph);
/* Node of a label by external id (int64 or string value as the label's key); false when there is
 * none. O(1). */
bool rn_graph_find_node(const rn_graph *graph, uint16_t label, const rn_value *key,
                        uint32_t *out_node);
/* Bytes charged for it. */
int64_t rn_graph_bytes(const rn_graph *graph);
/* Is there an edge between a and b in this adjacency? Neighbour lists are sorted by neighbour
 * within a node: O(log degree). */
bool rn_adjacency_find(const rn_adjacency *side, uint32_t a, uint32_t b, uint64_t *out_first,
                       uint64_t *out_end);

/* Loading. `path` is a manifest (*.yaml, docs/graphs.md) or an edge list as SNAP gives them (one
 * label `Node`, one edge type `edge`; comment lines with '#'; blank, tab or comma between two
 * ids, an optional third column is the double `weight`). Everything is charged to `slot`;
 * nothing stays on failure. Progress on stderr when `progress` (a terminal). Errors: FILE, DATA
 * (with file:line:column), CONFIG (manifest), DATA_LIMIT / GLOBAL_LIMIT, NO_MEMORY. */
typedef struct rn_graph_options {
    ration_slot *slot;
    bool progress;
} rn_graph_options;
RATION_NODISCARD ration_status rn_graph_load(const char *path, const rn_graph_options *options,
                                             rn_graph **out_graph, ration_error *error);
void rn_graph_close(rn_graph *graph);

#endif

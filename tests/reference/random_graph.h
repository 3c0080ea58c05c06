/* SPDX-License-Identifier: Apache-2.0
 *
 * Small random graphs: labels with int64 and string ids, with and without a file, one of them
 * empty; edge types with self-loops and parallel edges; a property of every type on some labels and
 * types, with nulls. Kept here as boxed values, and written as CSV files with a manifest for the
 * engine.
 *
 * A property name has one type wherever it occurs. Every edge carries `uid`, by which the engine's
 * edges are recognised.
 */
#ifndef RATION_TESTS_RANDOM_GRAPH_H
#define RATION_TESTS_RANDOM_GRAPH_H

#include "tests/reference/naive_value.h"

enum {
    PROPERTY_FLAG,
    PROPERTY_SMALL,
    PROPERTY_BIG,
    PROPERTY_RATIO,
    PROPERTY_BORN,
    PROPERTY_SEEN,
    PROPERTY_WORD,
    PROPERTY_TEXT,
    PROPERTY_ID,   /* key of labels with int64 ids */
    PROPERTY_NAME, /* key of labels with string ids */
    PROPERTY_UID,  /* of every edge */
    PROPERTIES
};

#define RANDOM_LABELS_MAX 4
#define RANDOM_TYPES_MAX 5

typedef struct random_label {
    const char *name;
    bool has_file;
    uint32_t key; /* PROPERTY_ID or PROPERTY_NAME */
    bool has[PROPERTIES];
} random_label;

typedef struct random_edge_type {
    const char *name;
    uint32_t from, to;
    bool has[PROPERTIES];
} random_edge_type;

typedef struct random_node {
    uint32_t label;
    naive_value values[PROPERTIES];
    uint64_t rank; /* the engine's number; nodes are sorted by it after loading */
} random_node;

typedef struct random_edge {
    uint32_t type, source, target; /* nodes */
    naive_value values[PROPERTIES];
    uint64_t rank;
} random_edge;

typedef struct random_graph {
    uint32_t label_count, type_count, node_count, edge_count;
    random_label labels[RANDOM_LABELS_MAX];
    random_edge_type types[RANDOM_TYPES_MAX];
    random_node *nodes;
    random_edge *edges;
} random_graph;

const char *random_property_name(uint32_t property);
naive_kind random_property_kind(uint32_t property);
/* A value such as properties have; literals and parameters are drawn from the same few, so that
 * comparisons hit. */
naive_value random_value(naive_kind kind, uint64_t *random);
/* An int64 near the ends of its range. */
naive_value random_big(uint64_t *random);

random_graph *random_graph_make(rn_arena *arena, uint64_t *random);
/* Writes CSV files and `manifest.yaml` into `directory`; aborts when it cannot. */
void random_graph_write(const random_graph *graph, const char *directory, uint64_t *random);
/* Sorts nodes and edges by `rank`. */
void random_graph_renumber(rn_arena *arena, random_graph *graph);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the graph share: the graph itself, and what is held while it is loaded. Private
 * to storage/graph*.c.
 *
 *     graph_load.c  measure; labels: read and build; types: read; labels without files: build;
 *                   types: build
 *     graph_read.c  rows of a file -> chains
 *     graph_build.c chains -> arrays, lists in both directions
 *     graph.c       the finished graph */
#ifndef RATION_GRAPH_LOAD_H
#define RATION_GRAPH_LOAD_H

#include "storage/graph.h"
#include "storage/manifest.h"
#include "storage/node_index.h"

#define RN_GRAPH_NODES_MAX ((uint64_t)UINT32_MAX - 1)
#define RN_GRAPH_EDGES_MAX ((uint64_t)UINT32_MAX)

/* Everything lies in `context` but the tables of the indexes, which are blocks of their own. */
struct rn_graph {
    ration_slot *slot;
    ration_context *context;
    uint32_t label_count, type_count;
    rn_label *labels;
    rn_edge_type *types;
    rn_node_index *indexes; /* one per label */
    uint64_t node_count, edge_count;
};

/* One property while its files are read. Equation: when `nulls`, `valid` holds rows / 64 words
 * and `word` the rest. */
typedef struct rn_load_column {
    const rn_manifest_column *column;
    rn_chain values;
    rn_chain valid;
    uint64_t word;
    bool nulls;
} rn_load_column;

/* One label or edge type while its files are read; ends are positions within their labels. */
typedef struct rn_load_table {
    const rn_manifest_table *table;
    rn_load_column *columns; /* property_count, in the order of the file */
    uint32_t key;            /* labels: index in `columns` */
    uint64_t rows;
    rn_chain from, to; /* edge types */
} rn_load_table;

typedef struct rn_loader {
    const rn_manifest *manifest;
    const rn_graph_options *options;
    rn_graph *graph;
    rn_load_table *labels, *types;
    rn_csv *csv;        /* the file being read */
    int64_t file_bytes; /* of all files */
    int64_t done_bytes; /* of files read to their end */
    bool progress;
    ration_error *error;
} rn_loader;

/* Reads all files of a label or edge type into its chains. */
RATION_NODISCARD ration_status rn_load_label(rn_loader *load, uint32_t label);
RATION_NODISCARD ration_status rn_load_type(rn_loader *load, uint32_t type);

/* Moves the columns of a label into the graph. */
RATION_NODISCARD ration_status rn_build_label(rn_loader *load, uint32_t label);
/* Numbers the nodes through all labels. */
RATION_NODISCARD ration_status rn_build_numbers(rn_loader *load);
/* Builds both directions of an edge type and moves its columns into the graph. */
RATION_NODISCARD ration_status rn_build_type(rn_loader *load, uint32_t type);

#endif

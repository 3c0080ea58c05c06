/* SPDX-License-Identifier: Apache-2.0
 *
 * The four ways in which graph executors read a result set, over one that is held (held.h). They
 * are named after NebulaGraph's iterators, whose callers they are meant for.
 *
 *     default        a single value: one row, one column
 *     sequential     plain rows
 *     get-neighbors  by vertex: each vertex that stands in `source` with the edges of all its rows,
 *                    in any order; a row without edge or neighbour adds the vertex alone
 *     prop           every vertex or edge of one column once, for its properties
 *
 *     rn_view_open -> (rn_view_next -> rn_view_value, rn_view_property ...)* -> rn_view_restart
 *                  -> ... -> rn_view_close
 *
 * Several views may read one held set. A view is used by one thread, the slot's owner. The rows may
 * be written out at any time, also under an open view: it reads them back block by block. What
 * get-neighbors and prop need beside the rows is charged and stays in memory: 16 bytes per row and
 * about 60 per vertex; about 60 per entity. */
#ifndef RATION_VIEWS_H
#define RATION_VIEWS_H

#include "iterators/held.h"

typedef enum rn_view_kind {
    RN_VIEW_DEFAULT,
    RN_VIEW_SEQUENTIAL,
    RN_VIEW_NEIGHBORS,
    RN_VIEW_PROP
} rn_view_kind;

typedef struct rn_view_options {
    rn_view_kind kind;
    const rn_graph *graph; /* for properties; may be NULL */
    const char *source;    /* neighbors: column of nodes. prop: column of nodes or edges */
    const char *edge;      /* neighbors: column of edges, or NULL */
    const char *neighbour; /* neighbors: column of nodes */
} rn_view_options;

typedef struct rn_view rn_view;

/* "default", "sequential", "get-neighbors", "prop". */
const char *rn_view_kind_name(rn_view_kind kind);
/* Stands before the first row. `held` must be complete and outlive the view. Errors:
 * INVALID_ARGUMENT (not a single value; no such column, or of the wrong type); the limits'
 * statuses, asked for again after the rows were written out; SPILL_*, NO_MEMORY. */
RATION_NODISCARD ration_status rn_view_open(rn_held *held, const rn_view_options *options,
                                            ration_context *parent, ration_slot *slot,
                                            rn_view **out_view, ration_error *error);
void rn_view_close(rn_view *view);
rn_view_kind rn_view_kind_of(const rn_view *view);
/* Rows that rn_view_next gives in all: values, rows, edges, entities. */
int64_t rn_view_size(const rn_view *view);
/* Vertices of get-neighbors; 0 for the others. */
int64_t rn_view_vertices(const rn_view *view);

/* Moves to the next row; `*out_row` is false at the end, again and again. Get-neighbors: the next
 * edge, of the next vertex that has one when need be. Errors: the limits' statuses, SPILL_IO,
 * SPILL_CORRUPT: rows that were written out could not be read. */
RATION_NODISCARD ration_status rn_view_next(rn_view *view, bool *out_row);
/* Before the first row again. */
void rn_view_restart(rn_view *view);
/* Get-neighbors only: moves to the next vertex, before its first edge; also those without edges. */
bool rn_view_next_vertex(rn_view *view);
/* Get-neighbors only: the next edge of the vertex in hand. Errors: as rn_view_next. */
RATION_NODISCARD ration_status rn_view_next_edge(rn_view *view, bool *out_edge);
/* Edges of the vertex in hand. */
int64_t rn_view_edges(const rn_view *view);

/* Index of a column of the result, or -1. */
int rn_view_column(const rn_view *view, const char *name);
/* A column of the row in hand, of a vertex or entity the row where it first occurs; strings and
 * lists are valid until the view moves. Errors: as rn_view_next. */
RATION_NODISCARD ration_status rn_view_value(rn_view *view, uint32_t column, rn_value *out_value);

/* Whose property: the vertex in hand (get-neighbors: source), the edge in hand, the node at its
 * end. */
typedef enum rn_view_entity { RN_VIEW_VERTEX, RN_VIEW_EDGE, RN_VIEW_NEIGHBOUR } rn_view_entity;

/* The entity in hand as a node or edge value; null when the row has none. */
rn_value rn_view_entity_value(const rn_view *view, rn_view_entity entity);
/* A property of it by name, from the graph; null when its label or type has no such property.
 * Strings live as long as the graph. */
rn_value rn_view_property(const rn_view *view, rn_view_entity entity, const char *name);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as people and programs read them. One function per notation, over a text builder: a text
 * that is cut keeps counting, so that the caller can come back with more room.
 */
#ifndef RATION_FORMAT_H
#define RATION_FORMAT_H

#include "storage/graph.h"

/* A value of a column as text: 42, 0.5, true, 2021-02-28, strings as they are, nodes as
 * Person(933), edges as knows[933->42], lists as [1, 2]; null as "null". `graph` may be NULL when
 * there are no nodes and edges. */
void rn_format_text(rn_text *text, const rn_graph *graph, const rn_column *column, uint32_t row);
/* The same as a field of CSV (RFC 4180): quoted where it must be, null an empty field, the empty
 * string "". Of a cut text the length is an upper bound. */
void rn_format_csv(rn_text *text, const rn_graph *graph, const rn_column *column, uint32_t row);
/* As JSON: numbers, true, null, strings; nan and infinities as strings; a node as {"label": ...,
 * "id": ...}, an edge as {"type":
 * ..., "from": ..., "to": ...}. */
void rn_format_json(rn_text *text, const rn_graph *graph, const rn_column *column, uint32_t row);

#endif

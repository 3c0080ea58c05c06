/* SPDX-License-Identifier: Apache-2.0
 *
 * Sides of a step that follows edges: built once per plan, from edge types and direction. */
#include "iterators/sides.h"

static void add_side(rn_side *sides, uint32_t *count, const rn_edge_type *type, uint16_t number,
                     bool forward, bool skip_self, uint16_t label)
{
    uint16_t target = forward ? type->target : type->source;
    if (label != RN_LABEL_ANY && label != target) {
        return;
    }
    rn_side *side = &sides[(*count)++];
    side->adjacency = forward ? &type->forward : &type->backward;
    side->type = number;
    side->skip_self = skip_self;
}

ration_status rn_sides_plan(rn_planner *planner, const rn_edges *edges, uint16_t label,
                            bool loops_once, rn_sides *out_sides)
{
    const rn_graph *graph = rn_planner_graph(planner);
    rn_side *sides = rn_planner_allocate(planner, sizeof(rn_side) * 2 * edges->count);
    if (sides == NULL) {
        return RATION_NO_MEMORY;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < edges->count; i++) {
        uint16_t number = edges->types[i];
        const rn_edge_type *type = rn_graph_edge_type(graph, number);
        bool both = edges->direction == RN_BOTH;
        if (both || edges->direction == RN_OUT) {
            add_side(sides, &count, type, number, true, false, label);
        }
        if (both || edges->direction == RN_IN) {
            add_side(sides, &count, type, number, false,
                     both && loops_once && type->source == type->target, label);
        }
    }
    out_sides->side = sides;
    out_sides->count = count;
    return RATION_OK;
}

void rn_edges_put(rn_text *text, const rn_graph *graph, const rn_edges *edges)
{
    rn_text_put(text, edges->direction == RN_IN ? "<-[" : "-[");
    for (uint32_t i = 0; i < edges->count; i++) {
        rn_text_format(text, "%s%s", i == 0 ? "" : "|",
                       rn_graph_edge_type(graph, edges->types[i])->name);
    }
    rn_text_put(text, edges->direction == RN_OUT ? "]->" : "]-");
}

void rn_sides_cut_loops(rn_sides_cursor *cursor)
{
    uint64_t first = cursor->at, end = cursor->end;
    if (!rn_sides_narrow(cursor->side->adjacency, cursor->node, cursor->node, &first, &end)) {
        return;
    }
    cursor->more_at = end;
    cursor->more_end = cursor->end;
    cursor->end = first;
    if (cursor->at == cursor->end) {
        cursor->at = cursor->more_at;
        cursor->end = cursor->more_end;
        cursor->more_at = cursor->more_end;
    }
}

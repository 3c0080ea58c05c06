/* SPDX-License-Identifier: Apache-2.0
 *
 * Following edges: what expand, exists and shortest_path have in common. A side is one way to leave
 * a node, one direction of one edge type; a step of a plan has a list of them. A cursor walks the
 * neighbours of one node through all sides, one contiguous run of an adjacency at a time, so that
 * callers copy runs instead of asking per edge.
 *
 *     rn_sides_plan (once per plan) -> rn_sides_start (per node)
 *         -> rn_sides_next or rn_sides_next_to until false
 *
 * (S1) Every edge is met exactly once per direction asked for. With `both` a self-loop stands in
 *      the forward and in the backward list: the backward side leaves it out where that matters
 *      (`loops_once`).
 * (S2) A node that a side does not start from has no run there: labels are not checked beforehand.
 */
#ifndef RATION_SIDES_H
#define RATION_SIDES_H

#include "executor/plan.h"

#define RN_SIDES_SHORT_LIST 16u

typedef struct rn_side {
    const rn_adjacency *adjacency;
    uint16_t type;
    bool skip_self; /* the backward half of `both` where an edge can lead from a node to itself */
} rn_side;

typedef struct rn_sides {
    const rn_side *side;
    uint32_t count;
} rn_sides;

/* Entries [at, end) of side's adjacency are yet to be read; then [more_at, more_end), behind a
 * self-loop. */
typedef struct rn_sides_cursor {
    const rn_side *side;
    uint64_t at, end;
    uint64_t more_at, more_end;
    uint32_t node;
    uint32_t next; /* side */
} rn_sides_cursor;

/* The sides that `edges` mean, of those only the ones that lead to `label` unless it is
 * RN_LABEL_ANY. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_sides_plan(rn_planner *planner, const rn_edges *edges,
                                             uint16_t label, bool loops_once, rn_sides *out_sides);
/* "-[knows|likes]->", "<-[...]-" or "-[...]-"; for --explain. */
void rn_edges_put(rn_text *text, const rn_graph *graph, const rn_edges *edges);
/* The slow half of rn_sides_next: takes the node's loops out of the run in hand. */
void rn_sides_cut_loops(rn_sides_cursor *cursor);

/* Neighbours come from far memory, one node's list here, the next one's there. Whoever knows which
 * nodes come soon says so, in two steps: the place of the list is brought in RN_SIDES_FAR nodes
 * ahead, the list itself RN_SIDES_NEAR ahead, when its place has come in meanwhile. */
#define RN_SIDES_NEAR 4u
#define RN_SIDES_FAR 8u
static inline void rn_sides_prefetch_place(const rn_sides *sides, uint32_t node)
{
    for (uint32_t s = 0; s < sides->count; s++) {
        const rn_adjacency *adjacency = sides->side[s].adjacency;
        if (node - adjacency->first < adjacency->count) {
            __builtin_prefetch(&adjacency->offsets[node - adjacency->first]);
        }
    }
}
static inline void rn_sides_prefetch_list(const rn_sides *sides, uint32_t node)
{
    for (uint32_t s = 0; s < sides->count; s++) {
        const rn_adjacency *adjacency = sides->side[s].adjacency;
        if (node - adjacency->first < adjacency->count) {
            __builtin_prefetch(&adjacency->neighbours[adjacency->offsets[node - adjacency->first]]);
        }
    }
}

static inline void rn_sides_start(rn_sides_cursor *cursor, uint32_t node)
{
    memset(cursor, 0, sizeof *cursor);
    cursor->node = node;
}

/* Moves to the next run, which is not empty; false = no more. */
static inline bool rn_sides_next(const rn_sides *sides, rn_sides_cursor *cursor)
{
    do {
        if (cursor->more_at < cursor->more_end) {
            cursor->at = cursor->more_at;
            cursor->end = cursor->more_end;
            cursor->more_at = cursor->more_end;
            return true;
        }
        if (cursor->next == sides->count) {
            return false;
        }
        const rn_side *side = &sides->side[cursor->next++];
        const rn_adjacency *adjacency = side->adjacency;
        uint32_t index =
            cursor->node - adjacency->first; /* wraps for nodes below: then it is above count */
        if (index >= adjacency->count) {
            continue;
        }
        cursor->side = side;
        cursor->at = adjacency->offsets[index];
        cursor->end = adjacency->offsets[index + 1];
        if (side->skip_self && cursor->at < cursor->end) {
            rn_sides_cut_loops(cursor);
        }
    } while (cursor->at == cursor->end);
    return true;
}

/* Where `target` stands in the sorted entries [*at, *end): false when it does not. Short lists are
 * counted through without a branch that depends on the data; most lists are short. */
static inline bool rn_sides_narrow(const rn_adjacency *adjacency, uint32_t node, uint32_t target,
                                   uint64_t *at, uint64_t *end)
{
    const uint32_t *neighbours = adjacency->neighbours;
    if (*end - *at > RN_SIDES_SHORT_LIST) {
        return rn_adjacency_find(adjacency, node, target, at, end);
    }
    uint64_t below = 0, equal = 0;
    for (uint64_t i = *at; i < *end; i++) {
        below += neighbours[i] < target;
        equal += neighbours[i] == target;
    }
    *at += below;
    *end = *at + equal;
    return equal > 0;
}

/* The same for the edges between the node and `target` only. */
static inline bool rn_sides_next_to(const rn_sides *sides, rn_sides_cursor *cursor, uint32_t target)
{
    while (cursor->next < sides->count) {
        const rn_side *side = &sides->side[cursor->next++];
        const rn_adjacency *adjacency = side->adjacency;
        uint32_t index = cursor->node - adjacency->first;
        if (index >= adjacency->count || (side->skip_self && target == cursor->node)) {
            continue;
        }
        uint64_t at = adjacency->offsets[index];
        uint64_t end = adjacency->offsets[index + 1];
        if (rn_sides_narrow(adjacency, cursor->node, target, &at, &end)) {
            cursor->side = side;
            cursor->at = at;
            cursor->end = end;
            return true;
        }
    }
    return false;
}

#endif

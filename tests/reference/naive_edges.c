/* SPDX-License-Identifier: Apache-2.0
 *
 * The operators that follow edges, over the plain array of all edges: no adjacency, no index. */
#include "tests/reference/random_plan.h"

static bool has_type(const naive_step *step, uint32_t type)
{
    for (uint32_t i = 0; i < step->type_count; i++) {
        if (step->types[i] == type) {
            return true;
        }
    }
    return false;
}

/* Does the step follow this edge from `node`, and where to? A self-loop is followed once. */
static bool follows(const naive_step *step, const random_edge *edge, uint32_t node,
                    uint32_t *out_to)
{
    if (!has_type(step, edge->type)) {
        return false;
    }
    if (step->direction != FOLLOW_IN && edge->source == node) {
        *out_to = edge->target;
        return true;
    }
    if (step->direction != FOLLOW_OUT && edge->target == node) {
        *out_to = edge->source;
        return true;
    }
    return false;
}

static naive_value *copy_row(naive_evaluation *evaluation, naive_table *output,
                             const naive_table *input, size_t row)
{
    naive_value *values = naive_table_add(evaluation->arena, output);
    memcpy(values, input->rows[row].values, input->width * sizeof *values);
    return values;
}

typedef struct walk {
    naive_evaluation *evaluation;
    const naive_step *step;
    const naive_table *input;
    naive_table *output;
    size_t row;
    bool matched;
} walk;

static void emit_end(walk *w, uint32_t node, uint32_t edge)
{
    const naive_step *step = w->step;
    if (step->label >= 0 && (int)w->evaluation->graph->nodes[node].label != step->label) {
        return;
    }
    if (step->bound) {
        const naive_value *to = &w->input->rows[w->row].values[step->to];
        if (to->null || to->integer != node) {
            return;
        }
    }
    naive_value *values = copy_row(w->evaluation, w->output, w->input, w->row);
    if (!step->bound) {
        values[step->to] = naive_whole(NAIVE_NODE, node);
    }
    if (step->with_edge) {
        values[step->output.count - 1] = naive_whole(NAIVE_EDGE, edge);
    }
    w->matched = true;
}

static void walk_from(walk *w, uint32_t node, uint32_t hops)
{
    const random_graph *graph = w->evaluation->graph;
    uint32_t least = w->step->hops_max == 0 ? 1 : w->step->hops_min;
    uint32_t most = w->step->hops_max == 0 ? 1 : w->step->hops_max;
    for (uint32_t e = 0; e < graph->edge_count; e++) {
        uint32_t to;
        if (!follows(w->step, &graph->edges[e], node, &to) || !naive_go_on(w->evaluation)) {
            continue;
        }
        if (hops + 1 >= least) {
            emit_end(w, to, e);
        }
        if (hops + 1 < most) {
            walk_from(w, to, hops + 1);
        }
    }
}

naive_table naive_expand(naive_evaluation *evaluation, const naive_step *step,
                         const naive_table *input)
{
    naive_table output = {.width = step->output.count};
    for (size_t r = 0; r < input->count && naive_go_on(evaluation); r++) {
        walk w = {evaluation, step, input, &output, r, false};
        const naive_value *from = &input->rows[r].values[step->from];
        if (!from->null) {
            walk_from(&w, (uint32_t)from->integer, 0);
        }
        if (!w.matched && step->optional) {
            naive_value *values = copy_row(evaluation, &output, input, r);
            for (uint32_t c = step->first_new; c < step->output.count; c++) {
                values[c] = naive_null(step->output.columns[c].type);
            }
        }
    }
    return output;
}

naive_table naive_exists(naive_evaluation *evaluation, const naive_step *step,
                         const naive_table *input)
{
    const random_graph *graph = evaluation->graph;
    naive_table output = {.width = step->output.count};
    for (size_t r = 0; r < input->count && naive_go_on(evaluation); r++) {
        const naive_value *from = &input->rows[r].values[step->from];
        const naive_value *bound = step->bound ? &input->rows[r].values[step->to] : NULL;
        bool found = false;
        for (uint32_t e = 0; e < graph->edge_count && !from->null; e++) {
            uint32_t to;
            if (follows(step, &graph->edges[e], (uint32_t)from->integer, &to)) {
                found = found || bound == NULL || (!bound->null && bound->integer == to);
            }
        }
        if (found == (step->kind == STEP_EXISTS)) {
            copy_row(evaluation, &output, input, r);
        }
    }
    return output;
}

/* Distances by relaxing all edges until nothing changes; -1 = not reached. */
static int64_t *find_distances(naive_evaluation *evaluation, const naive_step *step, uint32_t from)
{
    const random_graph *graph = evaluation->graph;
    int64_t *distances = naive_allocate(evaluation->arena, graph->node_count * sizeof *distances);
    for (uint32_t n = 0; n < graph->node_count; n++) {
        distances[n] = n == from ? 0 : -1;
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t n = 0; n < graph->node_count; n++) {
            for (uint32_t e = 0; e < graph->edge_count && distances[n] >= 0; e++) {
                uint32_t to;
                if (follows(step, &graph->edges[e], n, &to) &&
                    (distances[to] < 0 || distances[to] > distances[n] + 1)) {
                    distances[to] = distances[n] + 1;
                    changed = true;
                }
            }
        }
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        if (step->max_hops >= 0 && distances[n] > step->max_hops) {
            distances[n] = -1;
        }
    }
    return distances;
}

naive_table naive_shortest_path(naive_evaluation *evaluation, const naive_step *step,
                                const naive_table *input)
{
    naive_table output = {.width = step->output.count};
    uint32_t length = step->output.count - 1;
    for (size_t r = 0; r < input->count && naive_go_on(evaluation); r++) {
        const naive_value *from = &input->rows[r].values[step->from];
        const int64_t *distances =
            from->null ? NULL : find_distances(evaluation, step, (uint32_t)from->integer);
        if (step->bound) {
            const naive_value *to = &input->rows[r].values[step->to];
            bool found = distances != NULL && !to->null && distances[to->integer] >= 0;
            naive_value *values = copy_row(evaluation, &output, input, r);
            values[length] = found ? naive_int64(distances[to->integer])
                                   : naive_null(naive_type_of(NAIVE_INT64));
            continue;
        }
        for (uint32_t n = 0; distances != NULL && n < evaluation->graph->node_count; n++) {
            if (distances[n] >= 0 && naive_go_on(evaluation)) {
                naive_value *values = copy_row(evaluation, &output, input, r);
                values[step->to] = naive_whole(NAIVE_NODE, n);
                values[length] = naive_int64(distances[n]);
            }
        }
    }
    return output;
}

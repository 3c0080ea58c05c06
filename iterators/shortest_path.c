/* SPDX-License-Identifier: Apache-2.0
 *
 * shortest_path: unweighted distance between two bound nodes, or from one node to every node it
 * reaches.
 *
 * With one end bound the rows are copied out of the frontier as it is left.
 *
 * With both ends bound two searches run towards each other, each time the one with the smaller
 * frontier by one level. As long as they have not met, the distance is more than the sum of their
 * levels; so where a level of one meets the seen nodes of the other for the first time, the
 * distance is the sum after that level.
 *
 * Holds, per search: node_count / 8 bytes of bits, which stay, and 4 bytes per node reached, in
 * chunks of 64 KiB. Spills: the queue of what is still to be left, in order (search.h). Minimum:
 * the bits and two chunks per search. */
#include "iterators/registry.h"
#include "iterators/search.h"

typedef struct path_args {
    const rn_graph *graph;
    rn_edges edges;
    rn_sides sides; /* from `from` */
    rn_sides back;  /* from `to`, when bound */
    uint32_t from;
    uint32_t to;     /* column: of the input when bound, else of the output */
    uint32_t length; /* column of the output; UINT32_MAX = none */
    uint32_t hops_max;
    bool bound;
} path_args;

typedef struct path_state {
    rn_search forth, back;
    rn_vector nodes, lengths;
    uint16_t *picks;
    rn_picker picker;
    const rn_batch *input; /* NULL = pull */
    uint32_t row;
    bool searching; /* forth belongs to row */
} path_state;

/* ---- the plan */

static ration_status plan_sides(rn_planner *planner, path_args *args)
{
    rn_edges reverse = args->edges;
    reverse.direction = args->edges.direction == RN_OUT  ? RN_IN
                        : args->edges.direction == RN_IN ? RN_OUT
                                                         : RN_BOTH;
    RN_TRY(rn_sides_plan(planner, &args->edges, RN_LABEL_ANY, false, &args->sides));
    return rn_sides_plan(planner, &reverse, RN_LABEL_ANY, false, &args->back);
}

static ration_status plan_output(rn_planner *planner, rn_plan_node *node, const rn_yaml *to,
                                 const rn_yaml *length)
{
    path_args *args = node->args;
    const rn_schema *input = &node->inputs[0]->output;
    const char *name;
    RN_TRY(rn_planner_text(planner, to, &name));
    args->bound = rn_schema_find(input, name) >= 0;
    RN_TRY(rn_planner_output(planner, node, input, 2));
    if (args->bound) {
        RN_TRY(rn_planner_column(planner, input, to, RN_NODE, &args->to));
        if (length == NULL) {
            return rn_planner_error(planner, to, "name a column with length",
                                    "both ends are bound and length is missing: nothing to give");
        }
    } else {
        rn_type type = rn_type_of(RN_NODE);
        uint16_t from = input->fields[args->from].type.label;
        type.label = rn_edges_target(args->graph, &args->edges) == from ? from : RN_LABEL_ANY;
        args->to = input->count;
        RN_TRY(rn_planner_add(planner, node, to, name, type));
    }
    args->length = UINT32_MAX;
    if (length == NULL) {
        return RATION_OK;
    }
    args->length = node->output.count;
    RN_TRY(rn_planner_text(planner, length, &name));
    return rn_planner_add(planner, node, length, name, rn_type_of(RN_INT64));
}

static ration_status path_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    static const char *const keys[] = {"from", "to", "edge", "direction", "length", "max_hops"};
    path_args *args = node->args;
    const rn_yaml *from, *to;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "from", &from));
    RN_TRY(rn_planner_require(planner, yaml, "to", &to));
    RN_TRY(rn_planner_column(planner, &node->inputs[0]->output, from, RN_NODE, &args->from));
    RN_TRY(rn_planner_edges(planner, yaml, &args->edges));
    args->graph = rn_planner_graph(planner);
    int64_t hops = UINT32_MAX;
    const rn_yaml *max_hops = rn_yaml_get(yaml, "max_hops");
    if (max_hops != NULL) {
        RN_TRY(rn_planner_int64(planner, max_hops, 0, UINT32_MAX, &hops));
    }
    args->hops_max = (uint32_t)hops;
    RN_TRY(plan_sides(planner, args));
    return plan_output(planner, node, to, rn_yaml_get(yaml, "length"));
}

static void path_explain(const rn_plan_node *node, rn_text *text)
{
    const path_args *args = node->args;
    const rn_field *fields = node->output.fields;
    rn_text_format(text, "%s ", fields[args->from].name);
    rn_edges_put(text, args->graph, &args->edges);
    rn_text_format(text, " %s", fields[args->to].name);
    if (args->length != UINT32_MAX) {
        rn_text_format(text, ", length %s", fields[args->length].name);
    }
    if (args->hops_max != UINT32_MAX) {
        rn_text_format(text, ", at most %u hops", args->hops_max);
    }
    rn_text_put(text, args->bound ? ", bound" : "");
}

/* ---- both ends bound */

/* Leaves the frontier: afterwards the search is complete for one hop more, unless it met `other` on
 * the way. */
static ration_status search_level(rn_search *search, const rn_search *other, bool *met)
{
    const uint32_t *nodes;
    uint32_t count;
    *met = false;
    do {
        RN_TRY(rn_search_front(search, UINT32_MAX, &nodes, &count));
        RN_TRY(rn_search_leave(search, other, count, met));
    } while (count > 0 && !*met);
    return RATION_OK;
}

/* `*out_length` < 0: there is no path. */
static ration_status find_length(rn_operator *op, uint32_t from, uint32_t to, int64_t *out_length)
{
    const path_args *args = op->node->args;
    path_state *state = op->state;
    rn_search *forth = &state->forth, *back = &state->back;
    int64_t length = 0;
    bool met = from == to;
    *out_length = -1;
    if (!met) {
        RN_TRY(rn_search_start(forth, from));
        RN_TRY(rn_search_start(back, to));
    }
    while (!met && length < args->hops_max) {
        bool forward = rn_search_frontier(forth) <= rn_search_frontier(back);
        rn_search *search = forward ? forth : back;
        RN_TRY(search_level(search, forward ? back : forth, &met));
        length += 1;
        if (!met && !rn_search_turn(search)) {
            return RATION_OK;
        }
    }
    *out_length = met ? length : -1;
    return RATION_OK;
}

static ration_status next_bound(rn_operator *op, const rn_batch **out_batch)
{
    const path_args *args = op->node->args;
    path_state *state = op->state;
    const rn_batch *input;
    RN_TRY(rn_next(op, op->inputs[0], &input));
    op->batch.rows = input->rows;
    *out_batch = &op->batch;
    if (input->rows == 0) {
        return RATION_OK;
    }
    const rn_column *from = &input->columns[args->from], *to = &input->columns[args->to];
    int64_t *lengths = state->lengths.data;
    memset(state->lengths.valid, 0, (op->worker->batch_rows + 63) / 64 * sizeof(uint64_t));
    for (uint32_t row = 0; row < input->rows; row++) {
        int64_t length = -1;
        if (rn_column_valid(from, row) && rn_column_valid(to, row)) {
            RN_TRY(find_length(op, ((const uint32_t *)from->data)[rn_column_entry(from, row)],
                               ((const uint32_t *)to->data)[rn_column_entry(to, row)], &length));
        }
        lengths[row] = length;
        if (length >= 0) {
            rn_bit_set(state->lengths.valid, row);
        }
    }
    memcpy(op->batch.columns, input->columns, input->column_count * sizeof(rn_column));
    op->batch.columns[args->length] = (rn_column){
        .type = rn_type_of(RN_INT64), .data = state->lengths.data, .valid = state->lengths.valid};
    return RATION_OK;
}

/* ---- one end bound */

/* Takes up the next row that has a node; none is left when state->row is input->rows then. */
static ration_status start_row(rn_operator *op)
{
    const path_args *args = op->node->args;
    path_state *state = op->state;
    const rn_column *from = &state->input->columns[args->from];
    while (state->row < state->input->rows && !rn_column_valid(from, state->row)) {
        state->row += 1;
    }
    if (state->row < state->input->rows) {
        RN_TRY(rn_search_start(&state->forth,
                               ((const uint32_t *)from->data)[rn_column_entry(from, state->row)]));
        state->searching = true;
    }
    return RATION_OK;
}

/* Goes on with the row in hand: copies a piece of the frontier behind `*rows`, as far as it fits,
 * and leaves it; or begins the next level; or ends the row. */
static ration_status go_on(rn_operator *op, uint32_t *rows, uint32_t capacity)
{
    const path_args *args = op->node->args;
    path_state *state = op->state;
    rn_search *search = &state->forth;
    const uint32_t *nodes;
    uint32_t count;
    bool met;
    RN_TRY(rn_search_front(search, capacity - *rows, &nodes, &count));
    if (count == 0) {
        state->searching = rn_search_turn(search);
        state->row += !state->searching;
        return RATION_OK;
    }
    memcpy((uint32_t *)state->nodes.data + *rows, nodes, count * sizeof(uint32_t));
    for (uint32_t i = *rows; i < *rows + count; i++) {
        ((int64_t *)state->lengths.data)[i] = search->level;
        state->picks[i] = (uint16_t)state->row;
    }
    *rows += count;
    if (search->level < args->hops_max) {
        return rn_search_leave(search, NULL, count, &met);
    }
    rn_search_skip(search, count);
    return RATION_OK;
}

static ration_status next_reached(rn_operator *op, const rn_batch **out_batch)
{
    const path_args *args = op->node->args;
    path_state *state = op->state;
    uint32_t capacity = op->worker->batch_rows;
    uint32_t rows = 0;
    while (rows < capacity) {
        if (state->input == NULL || state->row == state->input->rows) {
            if (rows > 0) {
                break;
            }
            RN_TRY(rn_next(op, op->inputs[0], &state->input));
            state->row = 0;
            if (state->input->rows == 0) {
                break;
            }
        }
        RN_TRY(state->searching ? go_on(op, &rows, capacity) : start_row(op));
    }
    rn_picker_apply(&state->picker, state->input, state->picks, rows, op->batch.columns);
    const rn_field *fields = op->node->output.fields;
    op->batch.columns[args->to] =
        (rn_column){.type = fields[args->to].type, .data = state->nodes.data};
    if (args->length != UINT32_MAX) {
        op->batch.columns[args->length] =
            (rn_column){.type = rn_type_of(RN_INT64), .data = state->lengths.data};
    }
    op->batch.rows = rows;
    *out_batch = &op->batch;
    return RATION_OK;
}

/* ---- the operator */

static ration_status path_open(rn_operator *op)
{
    const path_args *args = op->node->args;
    path_state *state = op->state;
    uint32_t rows = op->worker->batch_rows;
    RN_TRY(rn_search_open(op, args->graph, &args->sides, &state->forth));
    RN_TRY(rn_vector_open(op->context, RN_INT64, rows, &state->lengths));
    if (args->bound) {
        return rn_search_open(op, args->graph, &args->back, &state->back);
    }
    RN_TRY(rn_vector_open(op->context, RN_NODE, rows, &state->nodes));
    RN_TRY(rn_picker_open(op->context, op->inputs[0]->node->output.count, op->worker->batch_rows,
                          &state->picker));
    state->picks = ration_context_allocate(op->context, rows * sizeof(uint16_t));
    return state->picks != NULL ? RATION_OK : ration_context_status(op->context);
}

static rn_minimum path_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    const path_args *args = node->args;
    rn_draft draft;
    rn_minimum_open(node, &draft);
    int64_t bytes = rn_search_minimum(&draft, args->graph);
    rn_minimum_vector(&draft, RN_INT64, sizes->batch_rows);
    if (args->bound) {
        bytes += rn_search_minimum(&draft, args->graph);
    } else {
        rn_minimum_vector(&draft, RN_NODE, sizes->batch_rows);
        rn_minimum_picker(&draft, node->inputs[0]->output.count, sizes->batch_rows);
        rn_minimum_array(&draft, sizes->batch_rows, sizeof(uint16_t));
    }
    return (rn_minimum){0, draft.bytes + bytes};
}

static rn_spillable path_spillable(const rn_operator *op)
{
    const path_state *state = op->state;
    return (rn_spillable){rn_search_spillable(&state->forth) + rn_search_spillable(&state->back),
                          0};
}

static ration_status path_spill(rn_operator *op, int64_t want_bytes)
{
    path_state *state = op->state;
    RN_TRY(rn_search_spill(&state->forth, &want_bytes));
    return rn_search_spill(&state->back, &want_bytes);
}

static void path_close(rn_operator *op)
{
    path_state *state = op->state;
    rn_search_close(&state->forth);
    rn_search_close(&state->back);
}

static ration_status path_next(rn_operator *op, const rn_batch **out_batch)
{
    const path_args *args = op->node->args;
    return args->bound ? next_bound(op, out_batch) : next_reached(op, out_batch);
}

const rn_operator_class rn_shortest_path_class = {
    .name = "shortest_path",
    .sentence = "unweighted distance between nodes, by breadth-first search",
    .args_bytes = sizeof(path_args),
    .state_bytes = sizeof(path_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = path_plan,
    .explain = path_explain,
    .open = path_open,
    .next = path_next,
    .minimum = path_minimum,
    .spillable = path_spillable,
    .spill = path_spill,
    .close = path_close,
};

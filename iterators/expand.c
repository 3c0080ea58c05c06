/* SPDX-License-Identifier: Apache-2.0
 *
 * expand: one row per edge of a node, or per walk of several edges. The input's columns are passed
 * on through a selection; neighbours are copied by runs of the adjacency.
 *
 * Walks are followed depth first with one cursor per hop, so no level is ever held. At a node that
 * is reached after h edges, the runs behind it are walks of h + 1 edges: they are emitted when
 * h + 1 >= min (through `last`, the sides that lead to the wanted label, or to the bound node), and
 * then entered one neighbour after the other when h + 1 < max (through `all`).
 *
 * Invariants: levels[0 .. depth] are the nodes of the walk in hand · a batch refers to one input
 * batch only · the walks of a row come in one piece, and a row without any is given once when
 * optional.
 *
 * Holds: cursors (56 bytes per hop), one vector of nodes, one of edges, one array of picks. Spills:
 * nothing to spill. Minimum: those, about batch_rows x 14 bytes. Rejected: breadth first, which
 * holds a whole level - the product of the degrees. */
#include "iterators/minimum.h"
#include "iterators/registry.h"
#include "iterators/sides.h"

#define EXPAND_HOPS_MAX 64
#define EXPAND_STEPS_TO_SETTLE 8192u
#define EXPAND_SHORT_RUN 16u

typedef struct expand_args {
    const rn_graph *graph;
    rn_edges edges;
    rn_sides all, last;
    uint32_t from;
    uint32_t to;   /* column: of the input when bound, else of the output */
    uint32_t edge; /* column of the output; UINT32_MAX = none */
    uint32_t hops_min, hops_max;
    uint16_t label;
    bool bound, optional;
} expand_args;

typedef struct expand_level {
    rn_sides_cursor cursor;
    bool emitting; /* then entering */
} expand_level;

typedef struct expand_state {
    const rn_batch *input; /* NULL = pull */
    uint32_t row;          /* of input, in hand */
    bool walking;          /* levels belong to row */
    bool matched;          /* row gave a row */
    uint32_t depth;
    uint32_t target; /* bound node of row */
    uint32_t steps;  /* since the last settle */
    expand_level *levels;
    rn_vector nodes, edges;
    uint16_t *picks;
    rn_picker picker;
} expand_state;

static ration_status plan_hops(rn_planner *planner, expand_args *args, const rn_yaml *hops)
{
    static const char *const keys[] = {"min", "max"};
    int64_t min = 1, max = 1;
    if (hops != NULL && hops->kind == RN_YAML_MAPPING) {
        const rn_yaml *min_yaml = rn_yaml_get(hops, "min"), *max_yaml;
        RN_TRY(rn_planner_check_keys(planner, hops, keys, RN_COUNT(keys)));
        RN_TRY(rn_planner_require(planner, hops, "max", &max_yaml));
        RN_TRY(rn_planner_int64(planner, max_yaml, 1, EXPAND_HOPS_MAX, &max));
        if (min_yaml != NULL) {
            RN_TRY(rn_planner_int64(planner, min_yaml, 1, max, &min));
        }
    } else if (hops != NULL) {
        RN_TRY(rn_planner_int64(planner, hops, 1, EXPAND_HOPS_MAX, &max));
        min = max;
    }
    args->hops_min = (uint32_t)min;
    args->hops_max = (uint32_t)max;
    return RATION_OK;
}

/* The columns that come out: the new node, unless it is bound, then the edge. */
static ration_status plan_output(rn_planner *planner, rn_plan_node *node, const rn_yaml *to,
                                 const rn_yaml *as)
{
    expand_args *args = node->args;
    const rn_schema *input = &node->inputs[0]->output;
    const char *name;
    RN_TRY(rn_planner_text(planner, to, &name));
    args->bound = rn_schema_find(input, name) >= 0;
    RN_TRY(rn_planner_output(planner, node, input, 2));
    if (args->bound) {
        RN_TRY(rn_planner_column(planner, input, to, RN_NODE, &args->to));
    } else {
        rn_type type = rn_type_of(RN_NODE);
        type.label =
            args->label != RN_LABEL_ANY ? args->label : rn_edges_target(args->graph, &args->edges);
        args->to = input->count;
        RN_TRY(rn_planner_add(planner, node, to, name, type));
    }
    args->edge = UINT32_MAX;
    if (as == NULL) {
        return RATION_OK;
    }
    if (args->hops_max > 1) {
        return rn_planner_error(planner, as, "leave out as or hops",
                                "an edge column needs a single hop");
    }
    rn_type type = rn_type_of(RN_EDGE);
    type.label = args->edges.count == 1 ? args->edges.types[0] : RN_LABEL_ANY;
    args->edge = node->output.count;
    RN_TRY(rn_planner_text(planner, as, &name));
    return rn_planner_add(planner, node, as, name, type);
}

static ration_status expand_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    static const char *const keys[] = {"from", "edge", "direction", "to",
                                       "as",   "hops", "label",     "optional"};
    expand_args *args = node->args;
    const rn_yaml *from, *to;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "from", &from));
    RN_TRY(rn_planner_require(planner, yaml, "to", &to));
    RN_TRY(rn_planner_column(planner, &node->inputs[0]->output, from, RN_NODE, &args->from));
    RN_TRY(rn_planner_edges(planner, yaml, &args->edges));
    RN_TRY(plan_hops(planner, args, rn_yaml_get(yaml, "hops")));
    args->graph = rn_planner_graph(planner);
    args->label = RN_LABEL_ANY;
    const rn_yaml *label = rn_yaml_get(yaml, "label");
    if (label != NULL) {
        RN_TRY(rn_planner_label(planner, label, &args->label));
    }
    const rn_yaml *optional = rn_yaml_get(yaml, "optional");
    if (optional != NULL) {
        RN_TRY(rn_planner_bool(planner, optional, &args->optional));
    }
    RN_TRY(rn_sides_plan(planner, &args->edges, RN_LABEL_ANY, true, &args->all));
    RN_TRY(rn_sides_plan(planner, &args->edges, args->label, true, &args->last));
    return plan_output(planner, node, to, rn_yaml_get(yaml, "as"));
}

static void expand_explain(const rn_plan_node *node, rn_text *text)
{
    const expand_args *args = node->args;
    const rn_field *fields = node->output.fields;
    rn_text_format(text, "%s ", fields[args->from].name);
    rn_edges_put(text, args->graph, &args->edges);
    rn_text_format(text, " %s", fields[args->to].name);
    if (args->edge != UINT32_MAX) {
        rn_text_format(text, " as %s", fields[args->edge].name);
    }
    if (args->hops_max > 1) {
        rn_text_format(text, ", %u to %u hops", args->hops_min, args->hops_max);
    }
    if (args->label != RN_LABEL_ANY) {
        rn_text_format(text, ", label %s", rn_graph_label(args->graph, args->label)->name);
    }
    rn_text_put(text, args->bound ? ", bound" : "");
    rn_text_put(text, args->optional ? ", optional" : "");
}

static ration_status expand_open(rn_operator *op)
{
    const expand_args *args = op->node->args;
    expand_state *state = op->state;
    uint32_t rows = op->worker->batch_rows;
    if (!args->bound) {
        RN_TRY(rn_vector_open(op->context, RN_NODE, rows, &state->nodes));
    }
    if (args->edge != UINT32_MAX) {
        RN_TRY(rn_vector_open(op->context, RN_EDGE, rows, &state->edges));
    }
    RN_TRY(rn_picker_open(op->context, op->inputs[0]->node->output.count, op->worker->batch_rows,
                          &state->picker));
    state->levels = ration_context_allocate(op->context, args->hops_max * sizeof(expand_level));
    state->picks = ration_context_allocate(op->context, rows * sizeof(uint16_t));
    if (state->levels == NULL || state->picks == NULL) {
        return ration_context_status(op->context);
    }
    return RATION_OK;
}

static rn_minimum expand_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    const expand_args *args = node->args;
    rn_draft draft;
    rn_minimum_open(node, &draft);
    if (!args->bound) {
        rn_minimum_vector(&draft, RN_NODE, sizes->batch_rows);
    }
    if (args->edge != UINT32_MAX) {
        rn_minimum_vector(&draft, RN_EDGE, sizes->batch_rows);
    }
    rn_minimum_picker(&draft, node->inputs[0]->output.count, sizes->batch_rows);
    rn_minimum_array(&draft, args->hops_max, sizeof(expand_level));
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(uint16_t));
    return rn_minimum_streaming(&draft);
}

/* Makes `node` the end of the walk. */
static void enter_node(const expand_args *args, expand_state *state, uint32_t depth, uint32_t node)
{
    expand_level *level = &state->levels[depth];
    rn_sides_start(&level->cursor, node);
    level->emitting = depth + 1 >= args->hops_min;
    state->depth = depth;
}

static inline uint32_t node_at(const rn_column *column, uint32_t row)
{
    return ((const uint32_t *)column->data)[rn_column_entry(column, row)];
}

/* Takes up the row: false when null at an end leaves nothing to walk. */
static inline bool start_row(const expand_args *args, expand_state *state)
{
    const rn_column *from = &state->input->columns[args->from];
    uint32_t row = state->row;
    state->matched = false;
    if (row + RN_SIDES_FAR < state->input->rows && from->valid == NULL) {
        rn_sides_prefetch_place(&args->all, node_at(from, row + RN_SIDES_FAR));
        rn_sides_prefetch_list(&args->all, node_at(from, row + RN_SIDES_NEAR));
    }
    if (!rn_column_valid(from, row)) {
        return false;
    }
    if (args->bound) {
        const rn_column *to = &state->input->columns[args->to];
        if (!rn_column_valid(to, row)) {
            return false;
        }
        state->target = node_at(to, row);
        if (args->label != RN_LABEL_ANY &&
            rn_graph_label_of(args->graph, state->target) != args->label) {
            return false;
        }
    }
    enter_node(args, state, 0, node_at(from, row));
    return true;
}

/* The edges' numbers of `count` entries of the run in hand. */
static void copy_edges(const rn_sides_cursor *cursor, uint64_t *edges, uint32_t count)
{
    const rn_side *side = cursor->side;
    const uint32_t *positions = side->adjacency->edges;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = cursor->at + i;
        edges[i] = rn_edge_make(side->type, positions != NULL ? positions[at] : (uint32_t)at);
    }
}

/* Copies what fits of the run in hand behind `rows`; returns the rows then. Most runs are short:
 * those are not worth a call. */
static inline uint32_t copy_run(const expand_args *args, expand_state *state,
                                rn_sides_cursor *cursor, uint32_t rows, uint32_t capacity)
{
    const uint32_t *neighbours = cursor->side->adjacency->neighbours + cursor->at;
    uint64_t left = cursor->end - cursor->at;
    uint32_t count = left < capacity - rows ? (uint32_t)left : capacity - rows;
    uint32_t *nodes = args->bound ? NULL : (uint32_t *)state->nodes.data + rows;
    uint16_t *picks = state->picks + rows;
    uint16_t pick = (uint16_t)state->row;
    for (uint32_t i = 0; i < count; i++) {
        picks[i] = pick;
    }
    if (!args->bound && count > EXPAND_SHORT_RUN) {
        memcpy(nodes, neighbours, count * sizeof(uint32_t));
    } else if (!args->bound) {
        for (uint32_t i = 0; i < count; i++) {
            nodes[i] = neighbours[i];
        }
    }
    if (args->edge != UINT32_MAX) {
        copy_edges(cursor, (uint64_t *)state->edges.data + rows, count);
    }
    cursor->at += count;
    state->matched = true;
    return rows + count;
}

/* Moves on to the next neighbour to enter: false = no more. Its own neighbours are asked for as
 * soon as it is known. */
static inline bool next_neighbour(const rn_sides *sides, rn_sides_cursor *cursor,
                                  uint32_t *out_node)
{
    bool starts = cursor->at == cursor->end;
    if (starts && !rn_sides_next(sides, cursor)) {
        return false;
    }
    const uint32_t *neighbours = cursor->side->adjacency->neighbours + cursor->at;
    uint64_t left = cursor->end - cursor->at;
    if (starts) {
        for (uint32_t i = 0; i < RN_SIDES_FAR && i < left; i++) {
            rn_sides_prefetch_place(sides, neighbours[i]);
        }
        for (uint32_t i = 0; i < RN_SIDES_NEAR && i < left; i++) {
            rn_sides_prefetch_list(sides, neighbours[i]);
        }
    }
    if (left > RN_SIDES_FAR) {
        rn_sides_prefetch_place(sides, neighbours[RN_SIDES_FAR]);
    }
    if (left > RN_SIDES_NEAR) {
        rn_sides_prefetch_list(sides, neighbours[RN_SIDES_NEAR]);
    }
    cursor->at += 1;
    *out_node = *neighbours;
    return true;
}

/* Goes back one hop, or ends the row. */
static void leave_node(expand_state *state)
{
    state->walking = state->depth > 0;
    state->depth -= state->walking;
}

/* One step of the walk at its end: emits the runs behind it, enters a neighbour, or goes back.
 * Returns the rows then. */
static inline uint32_t step_walk(const expand_args *args, expand_state *state, uint32_t rows,
                                 uint32_t capacity)
{
    expand_level *level = &state->levels[state->depth];
    rn_sides_cursor *cursor = &level->cursor;
    bool enters = state->depth + 1 < args->hops_max;
    if (level->emitting) {
        while (cursor->at < cursor->end ||
               (args->bound ? rn_sides_next_to(&args->last, cursor, state->target)
                            : rn_sides_next(&args->last, cursor))) {
            rows = copy_run(args, state, cursor, rows, capacity);
            if (rows == capacity) {
                return rows;
            }
        }
        if (enters) {
            level->emitting = false;
            rn_sides_start(cursor, cursor->node);
        }
    }
    uint32_t node;
    if (enters && next_neighbour(&args->all, cursor, &node)) {
        enter_node(args, state, state->depth + 1, node);
    } else {
        leave_node(state);
    }
    return rows;
}

/* The row that stands for no match. */
static void put_unmatched(const expand_args *args, expand_state *state, uint32_t row)
{
    state->picks[row] = (uint16_t)state->row;
    if (!args->bound) {
        rn_bit_clear(state->nodes.valid, row);
    }
    if (args->edge != UINT32_MAX) {
        rn_bit_clear(state->edges.valid, row);
    }
}

/* Fills the batch from the input in hand, until it is full, the input is through, or it is time to
 * settle. */
static uint32_t fill_batch(const expand_args *args, expand_state *state, uint32_t capacity)
{
    uint32_t rows = 0;
    while (rows < capacity && state->row < state->input->rows &&
           state->steps < EXPAND_STEPS_TO_SETTLE) {
        if (!state->walking) {
            state->walking = start_row(args, state);
        }
        while (state->walking && rows < capacity && state->steps < EXPAND_STEPS_TO_SETTLE) {
            rows = step_walk(args, state, rows, capacity);
            state->steps += 1;
        }
        if (state->walking) {
            continue;
        }
        if (!state->matched && args->optional) {
            rn_assert(rows < capacity); /* the row gave none, and there was room when it started */
            put_unmatched(args, state, rows++);
        }
        state->row += 1;
    }
    return rows;
}

static void set_columns(rn_operator *op, uint32_t rows)
{
    const expand_args *args = op->node->args;
    expand_state *state = op->state;
    rn_column *columns = op->batch.columns;
    const rn_field *fields = op->node->output.fields;
    rn_picker_apply(&state->picker, state->input, state->picks, rows, columns);
    if (!args->bound) {
        columns[args->to] = (rn_column){.type = fields[args->to].type,
                                        .data = state->nodes.data,
                                        .valid = args->optional ? state->nodes.valid : NULL};
    }
    if (args->edge != UINT32_MAX) {
        columns[args->edge] = (rn_column){.type = fields[args->edge].type,
                                          .data = state->edges.data,
                                          .valid = args->optional ? state->edges.valid : NULL};
    }
    op->batch.rows = rows;
}

static ration_status expand_next(rn_operator *op, const rn_batch **out_batch)
{
    const expand_args *args = op->node->args;
    expand_state *state = op->state;
    uint32_t capacity = op->worker->batch_rows;
    size_t bit_bytes = (capacity + 63) / 64 * sizeof(uint64_t);
    uint32_t rows = 0;
    while (rows == 0) {
        if (state->input == NULL || state->row == state->input->rows) {
            RN_TRY(rn_next(op, op->inputs[0], &state->input));
            state->row = 0;
            if (state->input->rows == 0) {
                break;
            }
        } else if (state->steps >= EXPAND_STEPS_TO_SETTLE) {
            RN_TRY(rn_settle(op, 0, 0));
        }
        state->steps = 0;
        if (args->optional && !args->bound) {
            memset(state->nodes.valid, 0xff, bit_bytes);
        }
        if (args->optional && args->edge != UINT32_MAX) {
            memset(state->edges.valid, 0xff, bit_bytes);
        }
        rows = fill_batch(args, state, capacity);
    }
    set_columns(op, rows);
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class rn_expand_class = {
    .name = "expand",
    .sentence = "one row per edge or walk of a node",
    .args_bytes = sizeof(expand_args),
    .state_bytes = sizeof(expand_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = expand_plan,
    .explain = expand_explain,
    .open = expand_open,
    .next = expand_next,
    .minimum = expand_minimum,
};

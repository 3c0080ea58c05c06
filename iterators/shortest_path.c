/* SPDX-License-Identifier: Apache-2.0
 *
 * shortest_path: unweighted distance between two bound nodes, or from one node to every node it
 * reaches.
 *
 * Breadth-first search with one bit per node (seen) and one queue that holds every reached node
 * once, in the order it was reached: the frontier is the part of the queue that belongs to the last
 * level. The queue also says which bits to clear afterwards, and rows are copied straight out of
 * it.
 *
 * With both ends bound two searches run towards each other, each time the one with the smaller
 * frontier by one level. As long as they have not met, the distance is more than the sum of their
 * levels; so where a level of one meets the seen nodes of the other for the first time, the
 * distance is the sum after that level.
 *
 * Invariants: a bit is set exactly for the nodes of the queue · the queue's [0, level_end) is
 * complete for `level` hops.
 *
 * Holds, per search: node_count / 8 bytes of bits in segments of 64,000 bytes, 4 bytes per node of
 * the largest search so far in chunks of 64,000 bytes (both just below a block). Chunks are kept
 * for the next search. Spills: cannot yet; levels that are complete may be written out in order.
 * Minimum: the bits and one chunk per search. */
#include "iterators/registry.h"
#include "iterators/sides.h"

#define PATH_SEGMENT_BYTES 64000u
#define PATH_SEGMENT_NODES (PATH_SEGMENT_BYTES * 8)
#define PATH_CHUNK_NODES 16000u
#define PATH_WORK_TO_SETTLE 65536

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

typedef struct path_chunk {
    struct path_chunk *next;
    uint32_t nodes[PATH_CHUNK_NODES];
} path_chunk;

/* A place in the queue: entry `at` of `chunk`, the `index`th in all. */
typedef struct path_place {
    path_chunk *chunk;
    uint32_t at;
    uint64_t index;
} path_place;

typedef struct path_search {
    const rn_sides *sides;
    uint64_t **seen; /* by segment */
    path_chunk *first;
    path_place tail;    /* behind the last entry; chunks behind it are spare */
    path_place head;    /* next node to leave; head.index <= level_end <= tail.index */
    uint64_t level_end; /* entries before it are reached within `level` hops */
    uint32_t level;
} path_search;

typedef struct path_state {
    path_search forth, back;
    rn_vector nodes, lengths;
    uint16_t *picks;
    rn_picker picker;
    const rn_batch *input; /* NULL = pull */
    uint32_t row;
    bool searching; /* forth belongs to row; place says what it has given */
    path_place place;
    int64_t work; /* since the last settle */
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

/* ---- one search */

static ration_status open_search(rn_operator *op, path_search *search, const rn_sides *sides)
{
    const path_args *args = op->node->args;
    uint64_t left = rn_graph_node_count(args->graph);
    size_t segments = (size_t)((left + PATH_SEGMENT_NODES - 1) / PATH_SEGMENT_NODES);
    search->sides = sides;
    search->seen = ration_context_allocate_zero(op->context, segments * sizeof(uint64_t *));
    if (search->seen == NULL) {
        return ration_context_status(op->context);
    }
    for (size_t s = 0; s < segments; s++) {
        uint64_t nodes = RN_MIN(left, (uint64_t)PATH_SEGMENT_NODES);
        search->seen[s] =
            ration_context_allocate_zero(op->context, (size_t)((nodes + 63) / 64 * 8));
        if (search->seen[s] == NULL) {
            return ration_context_status(op->context);
        }
        left -= nodes;
    }
    return RATION_OK;
}

static inline uint64_t *seen_word(const path_search *search, uint32_t node)
{
    return &search->seen[node / PATH_SEGMENT_NODES][node % PATH_SEGMENT_NODES / 64];
}
static inline bool is_seen(const path_search *search, uint32_t node)
{
    return (*seen_word(search, node) >> (node % 64)) & 1; /* segments are whole words */
}

/* Moves a place that stands behind its chunk to the start of the next. */
static void turn_chunk(path_place *place)
{
    place->chunk = place->chunk->next;
    place->at = 0;
}

/* Makes room for at least one entry behind the tail. */
static ration_status grow_queue(rn_operator *op, path_search *search)
{
    path_chunk **link = search->tail.chunk == NULL ? &search->first : &search->tail.chunk->next;
    if (*link == NULL) {
        RN_TRY(rn_settle(op, 0,
                         rn_context_bound_one(op->context, sizeof(path_chunk))));
        path_chunk *chunk = ration_context_allocate(op->context, sizeof *chunk);
        if (chunk == NULL) {
            return ration_context_status(op->context);
        }
        chunk->next = NULL;
        *link = chunk;
    }
    search->tail.chunk = *link;
    search->tail.at = 0;
    return RATION_OK;
}

/* Empties the search and starts it at `node`. */
static ration_status start_search(rn_operator *op, path_search *search, uint32_t node)
{
    path_place place = {.chunk = search->first};
    for (; place.index < search->tail.index; place.index++) {
        if (place.at == PATH_CHUNK_NODES) {
            turn_chunk(&place);
        }
        *seen_word(search, place.chunk->nodes[place.at++]) =
            0; /* its neighbours in the word go too */
    }
    search->tail = (path_place){.chunk = search->first};
    if (search->first == NULL) {
        RN_TRY(grow_queue(op, search));
    }
    search->head = search->tail;
    search->first->nodes[0] = node;
    search->tail.at = 1;
    search->tail.index = 1;
    search->level_end = 1;
    search->level = 0;
    *seen_word(search, node) |= UINT64_C(1) << (node % 64);
    return RATION_OK;
}

/* Appends the unseen of `count` neighbours, for which there is room behind the tail. Which ones are
 * unseen is hard to predict, so every one is written and only the unseen are kept. Does one of them
 * lie in `other`? */
static bool reach_nodes(path_search *search, const path_search *other, const uint32_t *neighbours,
                        uint32_t count)
{
    uint32_t *out = search->tail.chunk->nodes + search->tail.at;
    uint32_t reached = 0;
    bool met = false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node = neighbours[i];
        uint64_t *word = seen_word(search, node);
        out[reached] = node;
        reached += !((*word >> (node % 64)) & 1);
        *word |= UINT64_C(1) << (node % 64);
    }
    for (uint32_t i = 0; i < reached && other != NULL; i++) {
        met |= is_seen(other, out[i]);
    }
    search->tail.at += reached;
    search->tail.index += reached;
    return met;
}

/* Looks for reasons to stop now and then, also within the list of one node. Nothing is charged
 * ahead here: what grows settles for itself. */
static ration_status count_work(rn_operator *op, uint32_t steps)
{
    path_state *state = op->state;
    state->work += steps;
    if (state->work < PATH_WORK_TO_SETTLE) {
        return RATION_OK;
    }
    state->work = 0;
    return rn_settle(op, 0, 0);
}

/* Leaves one node through all sides. */
static ration_status leave_node(rn_operator *op, path_search *search, const path_search *other,
                                uint32_t node, bool *met)
{
    rn_sides_cursor cursor;
    rn_sides_start(&cursor, node);
    while (rn_sides_next(search->sides, &cursor)) {
        while (cursor.at < cursor.end) {
            if (search->tail.at == PATH_CHUNK_NODES) {
                RN_TRY(grow_queue(op, search));
            }
            uint64_t left = cursor.end - cursor.at;
            uint32_t room = PATH_CHUNK_NODES - search->tail.at;
            uint32_t count = left < room ? (uint32_t)left : room;
            *met |=
                reach_nodes(search, other, cursor.side->adjacency->neighbours + cursor.at, count);
            cursor.at += count;
            RN_TRY(count_work(op, count));
        }
    }
    return RATION_OK;
}

/* Leaves the frontier: afterwards the search is complete for one hop more, unless it met `other`
 * (may be NULL) on the way. */
static ration_status search_level(rn_operator *op, path_search *search, const path_search *other,
                                  bool *met)
{
    path_place *head = &search->head;
    *met = false;
    while (head->index < search->level_end && !*met) {
        if (head->at == PATH_CHUNK_NODES) {
            turn_chunk(head);
        }
        const uint32_t *nodes = head->chunk->nodes + head->at;
        if (head->index + RN_SIDES_FAR < search->level_end &&
            head->at + RN_SIDES_FAR < PATH_CHUNK_NODES) {
            rn_sides_prefetch_place(search->sides, nodes[RN_SIDES_FAR]);
            rn_sides_prefetch_list(search->sides, nodes[RN_SIDES_NEAR]);
        }
        RN_TRY(leave_node(op, search, other, *nodes, met));
        head->at += 1;
        head->index += 1;
        RN_TRY(count_work(op, 1));
    }
    search->level += 1;
    search->level_end = search->tail.index;
    return RATION_OK;
}

/* ---- both ends bound */

/* `*out_length` < 0: there is no path. */
static ration_status find_length(rn_operator *op, uint32_t from, uint32_t to, int64_t *out_length)
{
    const path_args *args = op->node->args;
    path_state *state = op->state;
    path_search *forth = &state->forth, *back = &state->back;
    *out_length = from == to ? 0 : -1;
    if (from == to) {
        return RATION_OK;
    }
    RN_TRY(start_search(op, forth, from));
    RN_TRY(start_search(op, back, to));
    bool met = false;
    while (!met && forth->level + back->level < args->hops_max) {
        uint64_t forth_frontier = forth->level_end - forth->head.index;
        uint64_t back_frontier = back->level_end - back->head.index;
        if (forth_frontier == 0 || back_frontier == 0) {
            return RATION_OK;
        }
        bool forward = forth_frontier <= back_frontier;
        RN_TRY(search_level(op, forward ? forth : back, forward ? back : forth, &met));
    }
    if (met) {
        *out_length = (int64_t)forth->level + back->level;
    }
    return RATION_OK;
}

static ration_status next_bound(rn_operator *op, const rn_batch **out_batch)
{
    const path_args *args = op->node->args;
    path_state *state = op->state;
    const rn_batch *input;
    RN_TRY(rn_next(op, op->inputs[0], &input));
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
    op->batch.rows = input->rows;
    *out_batch = &op->batch;
    return RATION_OK;
}

/* ---- one end bound */

/* Copies what is complete and fits behind `rows`; returns the rows then. */
static uint32_t copy_reached(path_state *state, uint32_t rows, uint32_t capacity)
{
    path_place *place = &state->place;
    uint32_t *nodes = state->nodes.data;
    int64_t *lengths = state->lengths.data;
    while (place->index < state->forth.level_end && rows < capacity) {
        if (place->at == PATH_CHUNK_NODES) {
            turn_chunk(place);
        }
        uint64_t left = state->forth.level_end - place->index;
        uint32_t count = RN_MIN(PATH_CHUNK_NODES - place->at, capacity - rows);
        count = left < count ? (uint32_t)left : count;
        memcpy(nodes + rows, place->chunk->nodes + place->at, count * sizeof(uint32_t));
        for (uint32_t i = 0; i < count; i++) {
            lengths[rows + i] = state->forth.level;
            state->picks[rows + i] = (uint16_t)state->row;
        }
        place->at += count;
        place->index += count;
        rows += count;
    }
    return rows;
}

/* Goes on with the row in hand by one level, or takes up the next row. */
static ration_status advance_search(rn_operator *op)
{
    const path_args *args = op->node->args;
    path_state *state = op->state;
    path_search *search = &state->forth;
    bool met;
    if (state->searching && search->head.index < search->level_end &&
        search->level < args->hops_max) {
        return search_level(op, search, NULL, &met);
    }
    state->row += state->searching;
    state->searching = false;
    const rn_column *from = &state->input->columns[args->from];
    while (state->row < state->input->rows && !rn_column_valid(from, state->row)) {
        state->row += 1;
    }
    if (state->row < state->input->rows) {
        RN_TRY(start_search(op, search,
                            ((const uint32_t *)from->data)[rn_column_entry(from, state->row)]));
        state->place = search->head;
        state->searching = true;
    }
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
        if (state->searching) {
            rows = copy_reached(state, rows, capacity);
        }
        if (rows < capacity) {
            RN_TRY(advance_search(op));
        }
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
    RN_TRY(open_search(op, &state->forth, &args->sides));
    RN_TRY(rn_vector_open(op->context, RN_INT64, rows, &state->lengths));
    if (args->bound) {
        return open_search(op, &state->back, &args->back);
    }
    RN_TRY(rn_vector_open(op->context, RN_NODE, rows, &state->nodes));
    RN_TRY(rn_picker_open(op->context, op->inputs[0]->node->output.count, op->worker->batch_rows,
                          &state->picker));
    state->picks = ration_context_allocate(op->context, rows * sizeof(uint16_t));
    return state->picks != NULL ? RATION_OK : ration_context_status(op->context);
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
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * join: hash join, inner, left, semi and anti. The sub-plan is the build side: its rows are held,
 * by key; then the input, the probe side, streams past them.
 *
 * Rows with equal keys hang in one list behind the first of them, through a column of links at the
 * end of the row: the table has one entry per key, however often it occurs. Semi and anti need no
 * more than the keys, so they hold one row per key. A null key matches nothing: on the build side
 * it is not held, on the probe side not looked up.
 *
 * Output of a probe batch: pairs (probe row, build row); probe columns pass through a selection,
 * build columns are read from the rows. A build row missing (left) reads as nulls.
 *
 * Holds: the build side. Spills: not yet. Minimum: scratch for a batch, the first block of rows and
 * table.
 *
 * Invariants
 *   1. Each list holds exactly the build rows of one key; its head is the row the table knows.
 *   2. A probe row in hand has its matches from `match` on still to come. */
#include "iterators/evaluation.h"
#include "iterators/groups.h"
#include "iterators/keys.h"
#include "iterators/registry.h"
#include "iterators/row_reader.h"
#include "iterators/wide.h"

typedef enum join_type { JOIN_INNER, JOIN_LEFT, JOIN_SEMI, JOIN_ANTI } join_type;

static const char *const type_names[] = {"inner", "left", "semi", "anti"};

typedef struct join_args {
    join_type type;
    const rn_graph *graph;
    uint32_t key_count;
    rn_expression **expressions; /* per key, of the probe side; NULL = a column */
    uint32_t expression_count;
    uint32_t *probe_keys; /* columns of the input; expressions stand behind them */
    uint32_t *build_keys; /* columns of the sub-plan */
    uint32_t *held;       /* columns of the sub-plan in the order of the layout: keys, payload */
    uint32_t held_count;
} join_args;

typedef struct join_state {
    rn_groups groups;
    rn_row_reader reader;
    rn_picker picker;
    rn_evaluator **evaluators; /* per key, or NULL */
    rn_batch build, probe;     /* the inputs' columns and what stands behind them */
    uint32_t *held;            /* args->held and the link */
    uint16_t *present;         /* rows without a null key */
    uint16_t *picks;
    const rn_row **matches;
    const rn_batch *input; /* of the probe side; NULL = pull */
    uint32_t row;          /* of input, in hand */
    const rn_row *match;   /* next of that row */
    bool started;          /* match belongs to row */
    bool built, ended;
} join_state;

/* ----------------------------------------------------------------------------------------- plan */

static bool joins_columns(const join_args *args)
{
    return args->type == JOIN_INNER || args->type == JOIN_LEFT;
}

static ration_status plan_key(rn_planner *planner, rn_plan_node *node, const rn_yaml *item,
                              join_args *args)
{
    const rn_schema *input = &node->inputs[0]->output, *other = &node->inputs[1]->output;
    uint32_t key = args->key_count++;
    rn_yaml left = *item;
    left.kind = RN_YAML_SCALAR;
    left.text = item->key;
    left.length = strlen(item->key);
    left.line = item->key_line;
    left.column = item->key_column;
    int column = rn_schema_find(input, item->key);
    rn_type type;
    if (column >= 0) {
        args->probe_keys[key] = (uint32_t)column;
        type = input->fields[column].type;
    } else {
        RN_TRY(rn_planner_expression(planner, input, &left, -1, &args->expressions[key]));
        args->probe_keys[key] = input->count + args->expression_count++;
        type = rn_expression_type(args->expressions[key]);
    }
    RN_TRY(rn_planner_column(planner, other, item, -1, &args->build_keys[key]));
    rn_type right = other->fields[args->build_keys[key]].type;
    if (!rn_type_equal(type, right)) {
        char left_name[32], right_name[32];
        return rn_planner_error(
            planner, item, "", "%s is %s, but %s is %s", item->key, rn_type_name(type, left_name),
            other->fields[args->build_keys[key]].name, rn_type_name(right, right_name));
    }
    return RATION_OK;
}

static ration_status plan_keys(rn_planner *planner, rn_plan_node *node, const rn_yaml *on,
                               join_args *args)
{
    if (on->kind != RN_YAML_MAPPING || on->count == 0) {
        return rn_planner_error(planner, on, "write on: { column of the input: column of with }",
                                "on must map columns to columns");
    }
    if (on->count >= RN_COLUMNS_MAX) {
        return rn_planner_error(planner, on, "", "on has more than %u keys", RN_COLUMNS_MAX - 1);
    }
    args->expressions = rn_planner_allocate(planner, on->count * sizeof *args->expressions);
    args->probe_keys = rn_planner_allocate(planner, on->count * sizeof *args->probe_keys);
    args->build_keys = rn_planner_allocate(planner, on->count * sizeof *args->build_keys);
    if (args->expressions == NULL || args->probe_keys == NULL || args->build_keys == NULL) {
        return RATION_NO_MEMORY;
    }
    for (const rn_yaml *item = on->first; item != NULL; item = item->next) {
        RN_TRY(plan_key(planner, node, item, args));
    }
    return RATION_OK;
}

static bool is_build_key(const join_args *args, uint32_t column)
{
    for (uint32_t i = 0; i < args->key_count; i++) {
        if (args->build_keys[i] == column) {
            return true;
        }
    }
    return false;
}

/* What is held of the build side, and what comes out. */
static ration_status plan_columns(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml,
                                  join_args *args)
{
    const rn_schema *other = &node->inputs[1]->output;
    size_t most = (size_t)args->key_count + other->count;
    args->held = rn_planner_allocate(planner, most * sizeof *args->held);
    if (args->held == NULL) {
        return RATION_NO_MEMORY;
    }
    memcpy(args->held, args->build_keys, args->key_count * sizeof *args->held);
    args->held_count = args->key_count;
    RN_TRY(rn_planner_output(planner, node, &node->inputs[0]->output, other->count));
    for (uint32_t c = 0; c < other->count && joins_columns(args); c++) {
        if (!is_build_key(args, c)) {
            args->held[args->held_count++] = c;
            RN_TRY(
                rn_planner_add(planner, node, yaml, other->fields[c].name, other->fields[c].type));
        }
    }
    if (args->held_count >= RN_COLUMNS_MAX) {
        return rn_planner_error(planner, yaml, "", "more than %u columns to hold",
                                RN_COLUMNS_MAX - 1);
    }
    return RATION_OK;
}

static ration_status plan_type(rn_planner *planner, const rn_yaml *yaml, join_type *out_type)
{
    const rn_yaml *type = rn_yaml_get(yaml, "type");
    const char *name = type_names[JOIN_INNER];
    if (type != NULL) {
        RN_TRY(rn_planner_text(planner, type, &name));
    }
    for (size_t i = 0; i < RN_COUNT(type_names); i++) {
        if (strcmp(name, type_names[i]) == 0) {
            *out_type = (join_type)i;
            return RATION_OK;
        }
    }
    return rn_planner_error(planner, type, "inner, left, semi or anti", "unknown type of join '%s'",
                            name);
}

static ration_status join_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    static const char *const keys[] = {"with", "on", "type"};
    join_args *args = node->args;
    const rn_yaml *with, *on;
    args->graph = rn_planner_graph(planner);
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "with", &with));
    RN_TRY(rn_planner_require(planner, yaml, "on", &on));
    RN_TRY(plan_type(planner, yaml, &args->type));
    RN_TRY(rn_planner_input(planner, node, with));
    RN_TRY(plan_keys(planner, node, on, args));
    return plan_columns(planner, node, yaml, args);
}

static void join_explain(const rn_plan_node *node, rn_text *text)
{
    const join_args *args = node->args;
    rn_text_format(text, "%s on ", type_names[args->type]);
    for (uint32_t i = 0; i < args->key_count; i++) {
        rn_text_put(text, i == 0 ? "" : ", ");
        if (args->expressions[i] != NULL) {
            rn_expression_put(args->expressions[i], text);
        } else {
            rn_text_put(text, node->inputs[0]->output.fields[args->probe_keys[i]].name);
        }
        rn_text_format(text, " = %s", node->inputs[1]->output.fields[args->build_keys[i]].name);
    }
}

/* ----------------------------------------------------------------------------------------- open */

/* Room for an input's columns and `more` of the operator's own. */
static rn_column *extend_columns(rn_operator *op, uint32_t input, uint32_t more, rn_batch *batch)
{
    batch->column_count = op->node->inputs[input]->output.count + more;
    batch->columns =
        ration_context_allocate_zero(op->context, batch->column_count * sizeof *batch->columns);
    return batch->columns;
}

/* The link of a new row: the same zero for every row. */
static ration_status open_link(rn_operator *op, join_state *state)
{
    uint32_t rows = op->worker->batch_rows;
    uint64_t *zero = ration_context_allocate_zero(op->context, sizeof *zero);
    uint16_t *first = ration_context_allocate_zero(op->context, rows * sizeof *first);
    if (zero == NULL || first == NULL) {
        return ration_context_status(op->context);
    }
    state->build.columns[state->build.column_count - 1] =
        (rn_column){rn_type_of(RN_EDGE), zero, NULL, first};
    return RATION_OK;
}

static ration_status open_evaluators(rn_operator *op, join_state *state)
{
    const join_args *args = op->node->args;
    for (uint32_t i = 0; i < args->key_count; i++) {
        if (args->expressions[i] != NULL) {
            RN_TRY(rn_evaluator_open(args->expressions[i], args->graph, op->context,
                                     op->worker->batch_rows, &state->evaluators[i]));
        }
    }
    return RATION_OK;
}

static ration_status join_open(rn_operator *op)
{
    const join_args *args = op->node->args;
    join_state *state = op->state;
    const rn_schema *other = &op->node->inputs[1]->output;
    uint32_t rows = op->worker->batch_rows;
    rn_type types[RN_COLUMNS_MAX];
    state->held =
        ration_context_allocate(op->context, (args->held_count + 1) * sizeof *state->held);
    state->present = ration_context_allocate(op->context, rows * sizeof *state->present);
    state->picks = ration_context_allocate(op->context, rows * sizeof *state->picks);
    state->matches = ration_context_allocate(op->context, rows * sizeof *state->matches);
    state->evaluators =
        ration_context_allocate_zero(op->context, args->key_count * sizeof(*state->evaluators));
    if (state->held == NULL || state->present == NULL || state->picks == NULL ||
        state->matches == NULL || state->evaluators == NULL ||
        extend_columns(op, 0, args->expression_count, &state->probe) == NULL ||
        extend_columns(op, 1, 1, &state->build) == NULL) {
        return ration_context_status(op->context);
    }
    for (uint32_t i = 0; i < args->held_count; i++) {
        state->held[i] = args->held[i];
        types[i] = other->fields[args->held[i]].type;
    }
    state->held[args->held_count] = other->count;
    types[args->held_count] = rn_type_of(RN_EDGE);
    RN_TRY(open_link(op, state));
    RN_TRY(open_evaluators(op, state));
    RN_TRY(rn_picker_open(op->context, op->node->inputs[0]->output.count, op->worker->batch_rows,
                          &state->picker));
    RN_TRY(rn_groups_open(op, types, args->held_count + 1, args->key_count, &state->groups));
    return rn_row_reader_open(op, &state->groups.layout, args->key_count,
                              args->held_count - args->key_count, &state->reader);
}

/* ---------------------------------------------------------------------------------------- build */

static const rn_row *row_link(const join_state *state, const rn_row *row)
{
    uint64_t link;
    const rn_layout *layout = &state->groups.layout;
    memcpy(&link, rn_row_fixed(layout, row, layout->column_count - 1), sizeof link);
    return (const rn_row *)(uintptr_t)link;
}

static void set_link(const join_state *state, const rn_row *row, const rn_row *next)
{
    const rn_layout *layout = &state->groups.layout;
    rn_row_patch(layout, row, layout->column_count - 1, (uint64_t)(uintptr_t)next);
}

/* Puts the rows just appended, `matches`, into their lists; new keys into the table. */
static ration_status link_rows(join_state *state, uint32_t count)
{
    rn_groups *groups = &state->groups;
    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = state->present[n];
        const rn_row *row = state->matches[n], *head = groups->found[i];
        if (head == NULL) {
            uint32_t fresh = groups->fresh_of[i];
            if (groups->fresh[fresh] == i) {
                groups->fresh_rows[fresh] = row;
                RN_TRY(rn_hash_table_insert(groups->table, groups->hashes[i],
                                            (uint64_t)(uintptr_t)row));
                continue;
            }
            head = groups->fresh_rows[fresh];
        }
        set_link(state, row, row_link(state, head));
        set_link(state, head, row);
    }
    return RATION_OK;
}

/* Holds every row of the batch in hand. */
static ration_status hold_rows(rn_operator *op, uint32_t count)
{
    join_state *state = op->state;
    rn_groups *groups = &state->groups;
    int64_t bound =
        rn_rows_bound(&groups->rows, &state->build, state->held, state->present, count) +
        rn_hash_table_bound(groups->table, groups->fresh_hashes, groups->fresh_count);
    RN_TRY(rn_settle(op, 0, bound));
    RN_TRY(rn_rows_append(&groups->rows, &state->build, state->held, state->present, count,
                          state->matches));
    return link_rows(state, count);
}

/* Holds one row per key. */
static ration_status hold_keys(rn_operator *op)
{
    join_state *state = op->state;
    RN_TRY(rn_settle(op, 0, rn_groups_bound(&state->groups, &state->build, state->held)));
    return rn_groups_add(&state->groups, &state->build, state->held);
}

static ration_status build_side(rn_operator *op)
{
    const join_args *args = op->node->args;
    join_state *state = op->state;
    for (;;) {
        const rn_batch *input;
        RN_TRY(rn_next(op, op->inputs[1], &input));
        if (input->rows == 0) {
            return RATION_OK;
        }
        memcpy(state->build.columns, input->columns, input->column_count * sizeof(rn_column));
        state->build.rows = input->rows;
        uint32_t count =
            rn_keys_present(&state->build, args->build_keys, args->key_count, state->present);
        rn_groups_find(&state->groups, &state->build, args->build_keys, state->present, count,
                       true);
        ration_status status = joins_columns(args) ? hold_rows(op, count) : hold_keys(op);
        if (status != RATION_OK) {
            return rn_append_failed(op, status);
        }
    }
}

/* ---------------------------------------------------------------------------------------- probe */

/* Pulls the next probe batch and looks its rows up; ended = there is none. */
static ration_status pull_probe(rn_operator *op)
{
    const join_args *args = op->node->args;
    join_state *state = op->state;
    RN_TRY(rn_next(op, op->inputs[0], &state->input));
    state->row = 0;
    state->started = false;
    state->ended = state->input->rows == 0;
    if (state->ended) {
        return RATION_OK;
    }
    uint32_t input_columns = state->input->column_count;
    memcpy(state->probe.columns, state->input->columns, input_columns * sizeof(rn_column));
    state->probe.rows = state->input->rows;
    for (uint32_t i = 0; i < args->key_count && args->expression_count > 0; i++) {
        if (args->expressions[i] != NULL) {
            RN_TRY(rn_operator_evaluate(op, state->evaluators[i], state->input,
                                        &state->probe.columns[args->probe_keys[i]]));
        }
    }
    uint32_t count =
        rn_keys_present(&state->probe, args->probe_keys, args->key_count, state->present);
    rn_groups_find(&state->groups, &state->probe, args->probe_keys, state->present, count, false);
    return RATION_OK;
}

/* The rows of the batch that have a match, or that have none. */
static uint32_t pick_by_match(join_state *state, bool wanted)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->input->rows; i++) {
        state->picks[count] = (uint16_t)i;
        count += (state->groups.found[i] != NULL) == wanted;
    }
    state->row = state->input->rows;
    return count;
}

/* The next pairs of probe row and build row, up to a batch. */
static uint32_t pair_rows(join_state *state, bool keep_unmatched, uint32_t capacity)
{
    uint32_t count = 0;
    while (state->row < state->input->rows && count < capacity) {
        if (!state->started) {
            state->match = state->groups.found[state->row];
            state->started = true;
            if (state->match == NULL && keep_unmatched) {
                state->picks[count] = (uint16_t)state->row;
                state->matches[count++] = NULL;
            }
        }
        for (; state->match != NULL && count < capacity; count++) {
            state->picks[count] = (uint16_t)state->row;
            state->matches[count] = state->match;
            state->match = row_link(state, state->match);
        }
        if (state->match == NULL) {
            state->started = false;
            state->row += 1;
        }
    }
    return count;
}

static ration_status join_next(rn_operator *op, const rn_batch **out_batch)
{
    const join_args *args = op->node->args;
    join_state *state = op->state;
    if (!state->built) {
        RN_TRY(build_side(op));
        state->built = true;
    }
    op->batch.rows = 0;
    while (op->batch.rows == 0 && !state->ended) {
        if (state->input == NULL || state->row == state->input->rows) {
            RN_TRY(pull_probe(op));
            continue;
        }
        op->batch.rows = joins_columns(args)
                             ? pair_rows(state, args->type == JOIN_LEFT, op->worker->batch_rows)
                             : pick_by_match(state, args->type == JOIN_SEMI);
    }
    *out_batch = &op->batch;
    if (op->batch.rows == 0) {
        return RATION_OK;
    }
    rn_picker_apply(&state->picker, state->input, state->picks, op->batch.rows, op->batch.columns);
    return joins_columns(args)
               ? rn_row_reader_read(op, &state->reader, state->matches, op->batch.rows,
                                    op->batch.columns + state->input->column_count)
               : RATION_OK;
}

const rn_operator_class rn_join_class = {
    .name = "join",
    .sentence = "hash join with the rows of another plan: inner, left, semi or anti",
    .args_bytes = sizeof(join_args),
    .state_bytes = sizeof(join_state),
    .inputs_min = 2,
    .inputs_max = 2,
    .plan = join_plan,
    .explain = join_explain,
    .open = join_open,
    .next = join_next,
};

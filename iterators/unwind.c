/* SPDX-License-Identifier: Apache-2.0
 *
 * unwind: one row per element of a list. The other columns are passed on through a selection;
 * elements are copied run by run out of the list's segments.
 *
 * Holds: one vector and one array of picks. Spills: nothing to spill. Minimum: those. */
#include "iterators/minimum.h"
#include "iterators/registry.h"

typedef struct unwind_args {
    uint32_t list;
    bool optional;
} unwind_args;

typedef struct unwind_state {
    rn_vector elements;
    uint16_t *picks;
    rn_picker picker;
    const rn_batch *input; /* NULL = pull */
    uint32_t row;          /* of input, in hand */
    bool started;          /* segment and at belong to row */
    const rn_list_segment *segment;
    uint32_t at; /* in segment */
} unwind_state;

static ration_status unwind_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    static const char *const keys[] = {"list", "as", "optional"};
    unwind_args *args = node->args;
    const rn_schema *input = &node->inputs[0]->output;
    const rn_yaml *list, *as;
    const char *name;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "list", &list));
    RN_TRY(rn_planner_require(planner, yaml, "as", &as));
    RN_TRY(rn_planner_column(planner, input, list, RN_LIST, &args->list));
    RN_TRY(rn_planner_text(planner, as, &name));
    const rn_yaml *optional = rn_yaml_get(yaml, "optional");
    if (optional != NULL) {
        RN_TRY(rn_planner_bool(planner, optional, &args->optional));
    }
    rn_type type = rn_type_of((rn_kind)input->fields[args->list].type.element);
    type.label = input->fields[args->list].type.label;
    RN_TRY(rn_planner_output(planner, node, input, 1));
    return rn_planner_add(planner, node, as, name, type);
}

static void unwind_explain(const rn_plan_node *node, rn_text *text)
{
    const unwind_args *args = node->args;
    rn_text_format(text, "%s as %s%s", node->output.fields[args->list].name,
                   node->output.fields[node->output.count - 1].name,
                   args->optional ? ", optional" : "");
}

static ration_status unwind_open(rn_operator *op)
{
    unwind_state *state = op->state;
    uint32_t rows = op->worker->batch_rows;
    rn_kind kind = (rn_kind)op->node->output.fields[op->node->output.count - 1].type.kind;
    RN_TRY(rn_vector_open(op->context, kind, rows, &state->elements));
    RN_TRY(rn_picker_open(op->context, op->node->output.count - 1, op->worker->batch_rows,
                          &state->picker));
    state->picks = ration_context_allocate(op->context, rows * sizeof(uint16_t));
    return state->picks != NULL ? RATION_OK : ration_context_status(op->context);
}

static rn_minimum unwind_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    uint32_t last = node->output.count - 1;
    rn_draft draft;
    rn_minimum_open(node, &draft);
    rn_minimum_vector(&draft, (rn_kind)node->output.fields[last].type.kind, sizes->batch_rows);
    rn_minimum_picker(&draft, last, sizes->batch_rows);
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(uint16_t));
    return rn_minimum_streaming(&draft);
}

/* Copies what is left of the row's list and fits behind `rows`; returns the rows then. */
static uint32_t copy_elements(unwind_state *state, size_t bytes, uint32_t rows, uint32_t capacity)
{
    while (state->segment != NULL && rows < capacity) {
        uint32_t count = RN_MIN(state->segment->count - state->at, capacity - rows);
        const char *values = rn_list_values(state->segment);
        memcpy((char *)state->elements.data + rows * bytes, values + state->at * bytes,
               count * bytes);
        for (uint32_t i = 0; i < count; i++) {
            state->picks[rows + i] = (uint16_t)state->row;
        }
        rows += count;
        state->at += count;
        if (state->at == state->segment->count) {
            state->segment = state->segment->next;
            state->at = 0;
        }
    }
    return rows;
}

/* Fills the batch from the input in hand; returns the rows. */
static uint32_t fill_batch(rn_operator *op)
{
    const unwind_args *args = op->node->args;
    unwind_state *state = op->state;
    const rn_column *lists = &state->input->columns[args->list];
    size_t bytes = rn_kind_bytes((rn_kind)lists->type.element);
    uint32_t capacity = op->worker->batch_rows;
    uint32_t rows = 0;
    while (state->row < state->input->rows && rows < capacity) {
        if (!state->started) {
            const rn_list *list =
                rn_column_valid(lists, state->row) ? rn_column_at(lists, state->row) : NULL;
            bool empty = list == NULL || list->length == 0;
            state->segment = empty ? NULL : list->first;
            state->at = 0;
            state->started = true;
            if (empty && args->optional) {
                rn_bit_clear(state->elements.valid, rows);
                state->picks[rows++] = (uint16_t)state->row;
            }
        }
        rows = copy_elements(state, bytes, rows, capacity);
        if (state->segment == NULL) {
            state->started = false;
            state->row += 1;
        }
    }
    return rows;
}

static ration_status unwind_next(rn_operator *op, const rn_batch **out_batch)
{
    const unwind_args *args = op->node->args;
    unwind_state *state = op->state;
    uint32_t rows = 0;
    while (rows == 0) {
        if (state->input == NULL || state->row == state->input->rows) {
            RN_TRY(rn_next(op, op->inputs[0], &state->input));
            state->row = 0;
            if (state->input->rows == 0) {
                break;
            }
        }
        if (args->optional) {
            memset(state->elements.valid, 0xff,
                   (op->worker->batch_rows + 63) / 64 * sizeof(uint64_t));
        }
        rows = fill_batch(op);
    }
    uint32_t last = op->batch.column_count - 1;
    rn_picker_apply(&state->picker, state->input, state->picks, rows, op->batch.columns);
    op->batch.columns[last] = (rn_column){.type = op->node->output.fields[last].type,
                                          .data = state->elements.data,
                                          .valid = args->optional ? state->elements.valid : NULL};
    op->batch.rows = rows;
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class rn_unwind_class = {
    .name = "unwind",
    .sentence = "one row per element of a list",
    .args_bytes = sizeof(unwind_args),
    .state_bytes = sizeof(unwind_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = unwind_plan,
    .explain = unwind_explain,
    .open = unwind_open,
    .next = unwind_next,
    .minimum = unwind_minimum,
};

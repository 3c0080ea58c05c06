/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans as docs/plans.md describes them: every step takes a whole table and gives a whole table;
 * joins, groups and distinct rows are found by comparing every row with every other. */
#include <stdlib.h>

#include "tests/reference/random_plan.h"

#define WORK_ENOUGH 60000u
#define ROWS_ENOUGH 3000u

bool naive_go_on(naive_evaluation *evaluation)
{
    evaluation->work += 1;
    if (evaluation->work > WORK_ENOUGH) {
        evaluation->outcome.too_large = true;
    }
    return !evaluation->outcome.too_large;
}

static naive_value *copy_values(naive_evaluation *evaluation, naive_table *output,
                                const naive_value *values, uint32_t count)
{
    naive_value *copy = naive_table_add(evaluation->arena, output);
    memcpy(copy, values, count * sizeof *copy);
    return copy;
}

static naive_table scan(naive_evaluation *evaluation, const naive_step *step)
{
    naive_table output = {.width = 1};
    const random_graph *graph = evaluation->graph;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const random_node *node = &graph->nodes[n];
        bool wanted = (int)node->label == step->label && !step->by_ids;
        for (uint32_t i = 0; (int)node->label == step->label && i < step->count; i++) {
            wanted = wanted ||
                     naive_same(&node->values[graph->labels[node->label].key], &step->values[i]);
        }
        if (wanted) {
            naive_table_add(evaluation->arena, &output)[0] = naive_whole(NAIVE_NODE, n);
        }
    }
    return output;
}

static naive_table range(naive_evaluation *evaluation, const naive_step *step)
{
    naive_table output = {.width = step->count};
    for (int64_t r = 0; r < step->rows; r++) {
        naive_value *values = naive_table_add(evaluation->arena, &output);
        for (uint32_t i = 0; i < step->count; i++) {
            values[i] =
                naive_int64(step->values[2 * i].integer + r * step->values[2 * i + 1].integer);
        }
    }
    return output;
}

static naive_table filter(naive_evaluation *evaluation, const naive_step *step,
                          const naive_table *input)
{
    naive_table output = {.width = input->width};
    for (size_t r = 0; r < input->count; r++) {
        naive_value keep = naive_evaluate(evaluation, step->expressions[0], input->rows[r].values);
        if (!keep.null && keep.boolean) {
            copy_values(evaluation, &output, input->rows[r].values, input->width);
        }
    }
    return output;
}

static naive_table project(naive_evaluation *evaluation, const naive_step *step,
                           const naive_table *input)
{
    naive_table output = {.width = step->output.count};
    for (size_t r = 0; r < input->count; r++) {
        naive_value *values =
            copy_values(evaluation, &output, input->rows[r].values, step->first_new);
        for (uint32_t i = 0; i < step->count; i++) {
            values[step->first_new + i] =
                naive_evaluate(evaluation, step->expressions[i], input->rows[r].values);
        }
    }
    return output;
}

static bool keys_match(const naive_step *step, const naive_value *left, const naive_value *right)
{
    for (uint32_t i = 0; i < step->pairs; i++) {
        const naive_value *a = &left[step->left[i]], *b = &right[step->right[i]];
        if (a->null || b->null || !naive_same(a, b)) {
            return false;
        }
    }
    return true;
}

/* Puts the right side's columns, but its keys, behind the left ones; `right` NULL = nulls. */
static void put_right(const naive_step *step, const naive_value *right, uint32_t right_width,
                      uint32_t left_width, naive_value *values)
{
    uint32_t at = left_width;
    for (uint32_t c = 0; c < right_width; c++) {
        bool key = false;
        for (uint32_t i = 0; i < step->pairs; i++) {
            key = key || step->right[i] == c;
        }
        if (!key) {
            values[at] = right == NULL ? naive_null(step->output.columns[at].type) : right[c];
            at++;
        }
    }
}

static naive_table join(naive_evaluation *evaluation, const naive_step *step,
                        const naive_table *input)
{
    naive_table output = {.width = step->output.count};
    naive_table right = naive_run(evaluation, step->with[0], step->with[0]->count);
    for (size_t r = 0; r < input->count; r++) {
        const naive_value *left = input->rows[r].values;
        bool matched = false;
        for (size_t s = 0; s < right.count; s++) {
            if (!keys_match(step, left, right.rows[s].values)) {
                continue;
            }
            if (step->join <= JOIN_LEFT && naive_go_on(evaluation)) {
                naive_value *values = copy_values(evaluation, &output, left, input->width);
                put_right(step, right.rows[s].values, right.width, input->width, values);
            }
            matched = true;
        }
        if (!matched && step->join == JOIN_LEFT) {
            put_right(step, NULL, right.width, input->width,
                      copy_values(evaluation, &output, left, input->width));
        }
        if ((step->join == JOIN_SEMI && matched) || (step->join == JOIN_ANTI && !matched)) {
            copy_values(evaluation, &output, left, input->width);
        }
    }
    return output;
}

static naive_table unite(naive_evaluation *evaluation, const naive_step *step,
                         const naive_table *input)
{
    naive_table output = {.width = input->width};
    for (uint32_t i = 0; i <= step->with_count; i++) {
        naive_table part =
            i == 0 ? *input : naive_run(evaluation, step->with[i - 1], step->with[i - 1]->count);
        for (size_t r = 0; r < part.count; r++) {
            copy_values(evaluation, &output, part.rows[r].values, output.width);
        }
    }
    return output;
}

static naive_table unwind(naive_evaluation *evaluation, const naive_step *step,
                          const naive_table *input)
{
    naive_table output = {.width = step->output.count};
    for (size_t r = 0; r < input->count; r++) {
        const naive_value *list = &input->rows[r].values[step->columns[0]];
        size_t count = list->null ? 0 : list->count;
        for (size_t i = 0; i < count; i++) {
            copy_values(evaluation, &output, input->rows[r].values, input->width)[input->width] =
                list->items[i];
        }
        if (count == 0 && step->optional) {
            copy_values(evaluation, &output, input->rows[r].values, input->width)[input->width] =
                naive_null(step->output.columns[input->width].type);
        }
    }
    return output;
}

static naive_table find_distinct(naive_evaluation *evaluation, const naive_step *step,
                                 const naive_table *input)
{
    naive_table output = {.width = step->output.count};
    naive_value values[PLAN_COLUMNS_MAX];
    for (size_t r = 0; r < input->count; r++) {
        for (uint32_t c = 0; c < output.width; c++) {
            values[c] = input->rows[r].values[step->all ? c : step->columns[c]];
        }
        bool known = false;
        for (size_t i = 0; i < output.count && !known; i++) {
            known = naive_row_same(output.rows[i].values, values, output.width);
        }
        if (!known) {
            copy_values(evaluation, &output, values, output.width);
        }
    }
    return output;
}

static int order_rows(const void *a, const void *b, void *argument)
{
    const naive_value *left = ((const naive_row *)a)->values,
                      *right = ((const naive_row *)b)->values;
    const naive_step *step = argument;
    for (uint32_t i = 0; i < step->column_count; i++) {
        const naive_value *x = &left[step->columns[i]], *y = &right[step->columns[i]];
        int order = naive_compare(x, y);
        if (order != 0) {
            bool turned =
                step->descending[i] && !x->null && !y->null; /* nulls last in both directions */
            return turned ? -order : order;
        }
    }
    for (uint32_t c = 0; c < step->output.count; c++) {
        int order = naive_compare(&left[c], &right[c]);
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

/* Rows [from, to) of the input. */
static naive_table cut(naive_evaluation *evaluation, const naive_table *input, size_t from,
                       size_t to)
{
    naive_table output = {.width = input->width};
    for (size_t r = from; r < to && r < input->count; r++) {
        copy_values(evaluation, &output, input->rows[r].values, input->width);
    }
    return output;
}

static naive_table sort(naive_evaluation *evaluation, const naive_step *step,
                        const naive_table *input)
{
    naive_table output = cut(evaluation, input, 0, input->count);
    naive_step copy = *step;
    if (output.count > 0) {
        qsort_r(output.rows, output.count, sizeof *output.rows, order_rows, &copy);
    }
    return step->kind == STEP_SORT ? output : cut(evaluation, &output, 0, (size_t)step->rows);
}

static naive_table run_step(naive_evaluation *evaluation, const naive_step *step,
                            const naive_table *input)
{
    switch (step->kind) {
    case STEP_SCAN:
        return scan(evaluation, step);
    case STEP_RANGE:
        return range(evaluation, step);
    case STEP_FILTER:
        return filter(evaluation, step, input);
    case STEP_PROJECT:
        return project(evaluation, step, input);
    case STEP_EXPAND:
        return naive_expand(evaluation, step, input);
    case STEP_EXISTS:
    case STEP_NOT_EXISTS:
        return naive_exists(evaluation, step, input);
    case STEP_SHORTEST_PATH:
        return naive_shortest_path(evaluation, step, input);
    case STEP_JOIN:
        return join(evaluation, step, input);
    case STEP_UNION:
        return unite(evaluation, step, input);
    case STEP_UNWIND:
        return unwind(evaluation, step, input);
    case STEP_DISTINCT:
        return find_distinct(evaluation, step, input);
    case STEP_AGGREGATE:
        return naive_aggregate(evaluation, step, input);
    case STEP_SORT:
    case STEP_TOPK:
        return sort(evaluation, step, input);
    case STEP_LIMIT:
        return cut(evaluation, input, 0, (size_t)step->rows);
    case STEP_SKIP:
        return cut(evaluation, input, (size_t)step->rows, input->count);
    default:
        return *input;
    }
}

naive_table naive_run(naive_evaluation *evaluation, const naive_pipeline *pipeline, uint32_t steps)
{
    naive_table table = {.width = 0};
    for (uint32_t i = 0; i < steps; i++) {
        table = run_step(evaluation, &pipeline->steps[i], &table);
        if (table.count > ROWS_ENOUGH) {
            evaluation->outcome.too_large = true;
        }
        if (evaluation->outcome.too_large) {
            table.count = 0;
        }
        table.width = pipeline->steps[i].output.count;
    }
    return table;
}

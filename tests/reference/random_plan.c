/* SPDX-License-Identifier: Apache-2.0
 *
 * Random plans: a source, then steps drawn at random, each kept when it fits the columns at hand.
 * Rules that make the answer one: limit and skip only behind an order (or before count()), no order
 * over lists, no sums of wild values. */
#include "tests/reference/random_plan.h"

#define COLUMNS_ENOUGH 16u

static naive_pipeline *make_pipeline(plan_maker *maker, uint32_t steps, uint32_t depth);

static bool add_column(plan_maker *maker, naive_schema *schema, naive_type type, int owner,
                       bool wild)
{
    if (schema->count == PLAN_COLUMNS_MAX) {
        return false;
    }
    naive_column *column = &schema->columns[schema->count++];
    snprintf(column->name, sizeof column->name, pick_one_in(maker, 12) ? "odd-%u" : "c%u",
             maker->names++);
    column->type = type;
    column->owner = owner;
    column->wild = wild;
    return true;
}

static bool has_list(const naive_schema *schema)
{
    for (uint32_t c = 0; c < schema->count; c++) {
        if (schema->columns[c].type.kind == NAIVE_LIST) {
            return true;
        }
    }
    return false;
}

/* Up to `most` different columns that are no lists. */
static uint32_t pick_columns(plan_maker *maker, const naive_schema *schema, uint32_t most,
                             uint32_t *out_columns)
{
    uint32_t count = 0;
    for (uint32_t tries = 0; tries < most; tries++) {
        int column = pick_column(maker, schema, -1);
        bool fresh = column >= 0 && schema->columns[column].type.kind != NAIVE_LIST;
        for (uint32_t i = 0; i < count; i++) {
            fresh = fresh && out_columns[i] != (uint32_t)column;
        }
        if (fresh) {
            out_columns[count++] = (uint32_t)column;
        }
    }
    return count;
}

/* ---- sources ---- */

static bool make_scan(plan_maker *maker, naive_step *step)
{
    const random_graph *graph = maker->plan->graph;
    step->kind = STEP_SCAN;
    step->label = (int)pick_below(maker, graph->label_count);
    step->by_ids = pick_one_in(maker, 5);
    uint32_t key = graph->labels[step->label].key;
    for (uint32_t n = 0; step->by_ids && n < graph->node_count && step->count < STEP_PARTS_MAX - 1;
         n++) {
        if ((int)graph->nodes[n].label == step->label && pick_one_in(maker, 3)) {
            step->values[step->count++] = graph->nodes[n].values[key];
        }
    }
    if (step->by_ids && (step->count == 0 || pick_one_in(maker, 3))) {
        step->values[step->count++] =
            key == PROPERTY_ID ? naive_int64(987654321) : naive_string("nobody's id", 11);
    }
    return add_column(maker, &step->output, naive_type_of(NAIVE_NODE), step->label, false);
}

static bool make_range(plan_maker *maker, naive_step *step)
{
    step->kind = STEP_RANGE;
    step->rows = (int64_t)pick_below(maker, pick_one_in(maker, 8) ? 1500 : 40);
    step->count = 1 + (uint32_t)pick_below(maker, 2);
    for (uint32_t i = 0; i < step->count; i++) {
        step->values[2 * i] = naive_int64((int64_t)pick_below(maker, 9) - 4);
        step->values[2 * i + 1] = naive_int64((int64_t)pick_below(maker, 7) - 3);
        add_column(maker, &step->output, naive_type_of(NAIVE_INT64), -1, false);
    }
    return true;
}

/* ---- steps of expressions ---- */

static bool make_filter(plan_maker *maker, naive_step *step)
{
    step->expressions[0] =
        random_expression(maker, &step->output, NAIVE_BOOL, 1 + (uint32_t)pick_below(maker, 3));
    return true;
}

static bool make_project(plan_maker *maker, naive_step *step, const naive_schema *input)
{
    step->all = pick_one_in(maker, 4);
    if (!step->all) {
        step->output.count = 0;
    }
    step->first_new = step->output.count;
    step->count = 1 + (uint32_t)pick_below(maker, STEP_PARTS_MAX - 1);
    for (uint32_t i = 0; i < step->count; i++) {
        bool number = maker->plan->risky && pick_one_in(maker, 2);
        naive_kind kind = number ? NAIVE_INT64 : (naive_kind)pick_below(maker, NAIVE_LIST + 1);
        naive_expression *expression =
            random_expression(maker, input, kind, (uint32_t)pick_below(maker, 4));
        if (expression == NULL) {
            expression = column_expression(maker, input, (uint32_t)pick_column(maker, input, -1));
        }
        step->expressions[i] = expression;
        add_column(maker, &step->output, expression->type, expression->owner, expression->wild);
    }
    return true;
}

static bool make_unwind(plan_maker *maker, naive_step *step)
{
    int list = pick_column(maker, &step->output, NAIVE_LIST);
    if (list < 0) {
        return false;
    }
    step->columns[0] = (uint32_t)list;
    step->optional = pick_one_in(maker, 2);
    const naive_column *column = &step->output.columns[list];
    return add_column(maker, &step->output, naive_type_of(column->type.element), column->owner,
                      column->wild);
}

/* ---- steps along edges ---- */

static void choose_edges(plan_maker *maker, naive_step *step)
{
    const random_graph *graph = maker->plan->graph;
    uint64_t share = 1 + pick_below(maker, 3);
    for (uint32_t t = 0; t < graph->type_count; t++) {
        if (pick_one_in(maker, share + 1)) {
            step->types[step->type_count++] = t;
        }
    }
    if (step->type_count == 0) {
        step->types[step->type_count++] = (uint32_t)pick_below(maker, graph->type_count);
    }
    step->direction = (naive_direction)pick_below(maker, 3);
}

/* The label that all edges of the step lead to, or -1. */
static int find_target(const random_graph *graph, const naive_step *step)
{
    int target = -1;
    for (uint32_t i = 0; i < step->type_count; i++) {
        const random_edge_type *type = &graph->types[step->types[i]];
        int ends[2] = {(int)type->to, (int)type->from};
        for (int end = step->direction == FOLLOW_IN; end <= (step->direction != FOLLOW_OUT);
             end++) {
            if (target >= 0 && target != ends[end]) {
                return -1;
            }
            target = ends[end];
        }
    }
    return target;
}

static bool make_expand(plan_maker *maker, naive_step *step)
{
    int from = pick_column(maker, &step->output, NAIVE_NODE);
    if (from < 0) {
        return false;
    }
    choose_edges(maker, step);
    step->from = (uint32_t)from;
    step->label =
        pick_one_in(maker, 5) ? (int)pick_below(maker, maker->plan->graph->label_count) : -1;
    step->optional = pick_one_in(maker, 4);
    if (pick_one_in(maker, 4)) {
        step->hops_max = 1 + (uint32_t)pick_below(maker, 3);
        step->hops_min = pick_one_in(maker, 2) ? step->hops_max
                                               : 1 + (uint32_t)pick_below(maker, step->hops_max);
    }
    step->with_edge = step->hops_max <= 1 && pick_one_in(maker, 2);
    step->bound = pick_one_in(maker, 4);
    if (step->bound) {
        step->to = (uint32_t)pick_column(maker, &step->output, NAIVE_NODE);
    } else {
        step->to = step->output.count;
        int label = step->label >= 0 ? step->label : find_target(maker->plan->graph, step);
        add_column(maker, &step->output, naive_type_of(NAIVE_NODE), label, false);
    }
    int type = step->type_count == 1 ? (int)step->types[0] : -1;
    return !step->with_edge ||
           add_column(maker, &step->output, naive_type_of(NAIVE_EDGE), type, false);
}

static bool make_exists(plan_maker *maker, naive_step *step)
{
    int from = pick_column(maker, &step->output, NAIVE_NODE);
    if (from < 0) {
        return false;
    }
    choose_edges(maker, step);
    step->from = (uint32_t)from;
    step->bound = pick_one_in(maker, 2);
    step->to = (uint32_t)pick_column(maker, &step->output, NAIVE_NODE);
    return true;
}

static bool make_shortest_path(plan_maker *maker, naive_step *step)
{
    int from = pick_column(maker, &step->output, NAIVE_NODE);
    if (from < 0) {
        return false;
    }
    choose_edges(maker, step);
    step->from = (uint32_t)from;
    step->max_hops = pick_one_in(maker, 2) ? 1 + (int)pick_below(maker, 3) : -1;
    step->bound = pick_one_in(maker, 2);
    if (step->bound) {
        step->to = (uint32_t)pick_column(maker, &step->output, NAIVE_NODE);
    } else {
        step->to = step->output.count;
        int start = step->output.columns[from].owner; /* itself is reached too */
        int label = find_target(maker->plan->graph, step) == start ? start : -1;
        add_column(maker, &step->output, naive_type_of(NAIVE_NODE), label, false);
    }
    return add_column(maker, &step->output, naive_type_of(NAIVE_INT64), -1, false);
}

/* ---- steps over several plans ---- */

static void name_sub_plan(plan_maker *maker, naive_pipeline *pipeline)
{
    naive_plan *plan = maker->plan;
    if (plan->named_count < RN_COUNT(plan->named) && pick_one_in(maker, 2)) {
        char *name = naive_allocate(maker->arena, 16);
        snprintf(name, 16, "part%u", plan->named_count);
        pipeline->name = name;
        plan->named[plan->named_count++] = pipeline;
    }
}

/* Ends the right side with columns of the types of some of the left: few values, so that keys meet,
 * and nulls among them. */
static void offer_keys(plan_maker *maker, const naive_schema *left, naive_pipeline *right)
{
    const naive_schema *input = naive_pipeline_schema(right);
    if (right->count == PIPELINE_STEPS_MAX) {
        return;
    }
    naive_step *step = &right->steps[right->count];
    memset(step, 0, sizeof *step);
    step->kind = STEP_PROJECT;
    for (uint32_t c = 0; c < left->count && step->count < STEP_PARTS_MAX; c++) {
        naive_kind kind = left->columns[c].type.kind;
        naive_expression *expression =
            kind == NAIVE_LIST ? NULL : random_expression(maker, input, kind, 0);
        if (expression != NULL) {
            step->expressions[step->count++] = expression;
            add_column(maker, &step->output, expression->type, expression->owner, expression->wild);
        }
    }
    right->count += step->count > 0;
}

static bool make_join(plan_maker *maker, naive_step *step, uint32_t depth)
{
    naive_pipeline *right = make_pipeline(maker, (uint32_t)pick_below(maker, 4), depth + 1);
    if (pick_one_in(maker, 2)) {
        offer_keys(maker, &step->output, right);
    }
    const naive_schema *other = naive_pipeline_schema(right);
    uint32_t wanted = 1 + (uint32_t)pick_below(maker, 3);
    for (uint32_t tries = 0; tries < 12 && step->pairs < wanted; tries++) {
        uint32_t a = (uint32_t)pick_below(maker, step->output.count),
                 b = (uint32_t)pick_below(maker, other->count);
        bool fits = naive_type_equal(step->output.columns[a].type, other->columns[b].type) &&
                    step->output.columns[a].type.kind != NAIVE_LIST;
        for (uint32_t i = 0; i < step->pairs; i++) {
            fits = fits && step->left[i] != a && step->right[i] != b;
        }
        if (fits) {
            step->left[step->pairs] = a;
            step->right[step->pairs++] = b;
        }
    }
    if (step->pairs == 0 || step->output.count + other->count > PLAN_COLUMNS_MAX) {
        return false;
    }
    step->join = (naive_join)pick_below(maker, 4);
    for (uint32_t c = 0; step->join <= JOIN_LEFT && c < other->count; c++) {
        bool key = false;
        for (uint32_t i = 0; i < step->pairs; i++) {
            key = key || step->right[i] == c;
        }
        if (!key) {
            step->output.columns[step->output.count++] = other->columns[c];
        }
    }
    step->with[step->with_count++] = right;
    name_sub_plan(maker, right);
    maker->plan->lazy = true;
    return true;
}

/* Ends the sub-plan with a project to the types of `schema`; false when it has no such columns. */
static bool fit_columns(plan_maker *maker, naive_pipeline *pipeline, naive_schema *schema)
{
    const naive_schema *input = naive_pipeline_schema(pipeline);
    if (pipeline->count == PIPELINE_STEPS_MAX || schema->count > STEP_PARTS_MAX) {
        return false;
    }
    naive_step *step = &pipeline->steps[pipeline->count];
    memset(step, 0, sizeof *step);
    step->kind = STEP_PROJECT;
    for (uint32_t c = 0; c < schema->count; c++) {
        naive_expression *expression =
            random_expression(maker, input, schema->columns[c].type.kind, 1);
        if (expression == NULL || !naive_type_equal(expression->type, schema->columns[c].type)) {
            return false;
        }
        step->expressions[step->count++] = expression;
        add_column(maker, &step->output, expression->type, expression->owner, expression->wild);
        schema->columns[c].wild = schema->columns[c].wild || expression->wild;
        schema->columns[c].owner =
            schema->columns[c].owner == expression->owner ? expression->owner : -1;
    }
    pipeline->count++;
    return true;
}

static bool make_union(plan_maker *maker, naive_step *step, uint32_t depth)
{
    naive_pipeline *parts[2];
    uint32_t count = 1 + (uint32_t)pick_below(maker, 2);
    for (uint32_t i = 0; i < count; i++) {
        parts[i] = make_pipeline(maker, (uint32_t)pick_below(maker, 3), depth + 1);
        if (!fit_columns(maker, parts[i], &step->output)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        step->with[step->with_count++] = parts[i];
        name_sub_plan(maker, parts[i]);
    }
    return true;
}

/* ---- grouping and order ---- */

static bool make_distinct(plan_maker *maker, naive_step *step, const naive_schema *input)
{
    step->all = pick_one_in(maker, 3);
    if (step->all) {
        return !has_list(input);
    }
    step->column_count = pick_columns(maker, input, 3, step->columns);
    step->output.count = 0;
    for (uint32_t i = 0; i < step->column_count; i++) {
        step->output.columns[step->output.count++] = input->columns[step->columns[i]];
    }
    return step->column_count > 0;
}

/* The argument of an aggregate, or NULL when none fits this function. */
static naive_expression *make_argument(plan_maker *maker, const naive_schema *input,
                                       naive_function function)
{
    naive_kind kind = (naive_kind)pick_below(maker, NAIVE_STRING + 1);
    if (function == SUM || function == AVG) {
        kind = pick_one_in(maker, 2) ? NAIVE_INT64 : NAIVE_DOUBLE;
    } else if ((function == COLLECT || function == COUNT_VALUES || function == COUNT_DISTINCT) &&
               pick_one_in(maker, 3)) {
        kind = pick_one_in(maker, 3) ? NAIVE_EDGE : NAIVE_NODE;
    }
    naive_expression *argument =
        random_expression(maker, input, kind, (uint32_t)pick_below(maker, 3));
    bool exact = function == SUM && kind == NAIVE_INT64 && maker->plan->risky;
    if (argument != NULL && argument->wild && (function == SUM || function == AVG) && !exact) {
        return NULL;
    }
    return argument;
}

static bool make_aggregate(plan_maker *maker, naive_step *step, const naive_schema *input)
{
    step->column_count = pick_columns(maker, input, (uint32_t)pick_below(maker, 3), step->columns);
    step->output.count = 0;
    for (uint32_t i = 0; i < step->column_count; i++) {
        step->output.columns[step->output.count++] = input->columns[step->columns[i]];
    }
    step->first_new = step->output.count;
    uint32_t wanted = 1 + (uint32_t)pick_below(maker, 4);
    for (uint32_t i = 0; i < wanted; i++) {
        naive_function function = (naive_function)pick_below(maker, COLLECT + 1);
        naive_expression *argument =
            function == COUNT_ROWS ? NULL : make_argument(maker, input, function);
        if (function != COUNT_ROWS && argument == NULL) {
            continue;
        }
        naive_type type = naive_type_of(NAIVE_INT64);
        bool wild = argument != NULL && argument->wild && function >= SUM;
        if (function == AVG) {
            type = naive_type_of(NAIVE_DOUBLE);
            wild = true;
        } else if (function == COLLECT) {
            type = (naive_type){NAIVE_LIST, argument->type.kind};
        } else if (function >= SUM) {
            type = argument->type;
        }
        step->functions[step->count] = function;
        step->expressions[step->count++] = argument;
        add_column(maker, &step->output, type, function == COLLECT ? argument->owner : -1, wild);
    }
    return step->count > 0;
}

static bool make_sort(plan_maker *maker, naive_step *step)
{
    if (has_list(&step->output)) {
        return false;
    }
    step->column_count = pick_columns(maker, &step->output, 3, step->columns);
    for (uint32_t i = 0; i < step->column_count; i++) {
        step->descending[i] = pick_one_in(maker, 2);
    }
    step->rows = 1 + (int64_t)pick_below(maker, 12);
    return step->column_count > 0;
}

static bool keeps_order(naive_operator kind)
{
    return kind == STEP_SORT || kind == STEP_TOPK || kind == STEP_LIMIT || kind == STEP_SKIP;
}

static bool make_cut(plan_maker *maker, naive_step *step, const naive_step *before)
{
    step->rows = (int64_t)pick_below(maker, pick_one_in(maker, 3) ? 40 : 8);
    maker->plan->lazy = maker->plan->lazy || step->kind == STEP_LIMIT;
    return keeps_order(before->kind);
}

/* ---- pipelines ---- */

static bool make_step(plan_maker *maker, naive_step *step, const naive_step *before, uint32_t depth)
{
    memset(step, 0, sizeof *step);
    static const naive_operator often[] = {STEP_JOIN, STEP_AGGREGATE, STEP_EXPAND, STEP_UNWIND};
    step->kind = pick_one_in(maker, 4)
                     ? often[pick_below(maker, RN_COUNT(often))]
                     : (naive_operator)(STEP_FILTER + pick_below(maker, STEPS - STEP_FILTER));
    step->output = before->output;
    step->first_new = before->output.count;
    step->label = step->max_hops = -1;
    switch (step->kind) {
    case STEP_FILTER:
        return make_filter(maker, step);
    case STEP_PROJECT:
        return make_project(maker, step, &before->output);
    case STEP_EXPAND:
        return make_expand(maker, step);
    case STEP_EXISTS:
    case STEP_NOT_EXISTS:
        return make_exists(maker, step);
    case STEP_SHORTEST_PATH:
        return make_shortest_path(maker, step);
    case STEP_JOIN:
        return depth < 2 && make_join(maker, step, depth);
    case STEP_UNION:
        return depth < 2 && make_union(maker, step, depth);
    case STEP_UNWIND:
        return make_unwind(maker, step);
    case STEP_DISTINCT:
        return make_distinct(maker, step, &before->output);
    case STEP_AGGREGATE:
        return make_aggregate(maker, step, &before->output);
    case STEP_SORT:
    case STEP_TOPK:
        return make_sort(maker, step);
    case STEP_LIMIT:
    case STEP_SKIP:
        return make_cut(maker, step, before);
    default:
        return true;
    }
}

/* Cuts rows that have no order, and counts what is left. */
static void count_some(plan_maker *maker, naive_pipeline *pipeline)
{
    naive_step *cut = &pipeline->steps[pipeline->count];
    memset(cut, 0, 2 * sizeof *cut);
    cut->kind = pick_one_in(maker, 2) ? STEP_LIMIT : STEP_SKIP;
    cut->output = naive_pipeline_schema(pipeline)[0];
    cut->rows = (int64_t)pick_below(maker, 30);
    naive_step *count = cut + 1;
    count->kind = STEP_AGGREGATE;
    count->functions[0] = COUNT_ROWS;
    count->count = 1;
    add_column(maker, &count->output, naive_type_of(NAIVE_INT64), -1, false);
    pipeline->count += 2;
    maker->plan->lazy = true;
}

static naive_pipeline *make_pipeline(plan_maker *maker, uint32_t steps, uint32_t depth)
{
    naive_pipeline *pipeline = naive_allocate(maker->arena, sizeof *pipeline);
    naive_step *source = &pipeline->steps[0];
    if (pick_one_in(maker, 7)) {
        make_range(maker, source);
    } else {
        make_scan(maker, source);
    }
    pipeline->count = 1;
    for (uint32_t tries = 0;
         tries < 4 * steps && pipeline->count <= steps && pipeline->count < PIPELINE_STEPS_MAX;
         tries++) {
        const naive_step *before = &pipeline->steps[pipeline->count - 1];
        bool fits = make_step(maker, &pipeline->steps[pipeline->count], before, depth);
        if (fits && pipeline->steps[pipeline->count].output.count <= COLUMNS_ENOUGH) {
            pipeline->count++;
        }
    }
    if (pick_one_in(maker, 25) && pipeline->count + 2 <= PIPELINE_STEPS_MAX) {
        count_some(maker, pipeline);
    }
    return pipeline;
}

naive_plan *random_plan(rn_arena *arena, const random_graph *graph, uint64_t seed)
{
    naive_plan *plan = naive_allocate(arena, sizeof *plan);
    plan_maker maker = {.arena = arena, .random = seed, .plan = plan, .names = 1};
    plan->graph = graph;
    plan->risky = pick_one_in(&maker, 4);
    plan->main = make_pipeline(&maker, 1 + (uint32_t)pick_below(&maker, 7), 0);
    return plan;
}

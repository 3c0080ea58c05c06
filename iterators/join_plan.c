/* SPDX-License-Identifier: Apache-2.0
 *
 * The arguments of join: keys, and which columns of either side are held in which order. */
#include "iterators/join.h"

static const char *const type_names[] = {"inner", "left", "semi", "anti"};

static ration_status plan_key(rn_planner *planner, rn_plan_node *node, const rn_yaml *item,
                              rn_join_args *args)
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
                               rn_join_args *args)
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

/* Where `column` stands among the keys; key_count = nowhere. */
static uint32_t find_key(const uint32_t *keys, uint32_t key_count, uint32_t column)
{
    uint32_t i = 0;
    while (i < key_count && keys[i] != column) {
        i++;
    }
    return i;
}

static ration_status check_width(rn_planner *planner, const rn_yaml *yaml, uint32_t columns)
{
    if (columns >= RN_COLUMNS_MAX) { /* one is the link */
        return rn_planner_error(planner, yaml, "", "more than %u columns to hold",
                                RN_COLUMNS_MAX - 1);
    }
    return RATION_OK;
}

/* What is held of the build side, and what comes out. */
static ration_status plan_build(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml,
                                rn_join_args *args)
{
    const rn_schema *other = &node->inputs[1]->output;
    size_t most = (size_t)args->key_count + other->count;
    args->build_held = rn_planner_allocate(planner, most * sizeof *args->build_held);
    if (args->build_held == NULL) {
        return RATION_NO_MEMORY;
    }
    memcpy(args->build_held, args->build_keys, args->key_count * sizeof *args->build_held);
    args->build_held_count = args->key_count;
    RN_TRY(rn_planner_output(planner, node, &node->inputs[0]->output, other->count));
    for (uint32_t c = 0; c < other->count && rn_join_gives_columns(args); c++) {
        if (find_key(args->build_keys, args->key_count, c) == args->key_count) {
            args->build_held[args->build_held_count++] = c;
            RN_TRY(
                rn_planner_add(planner, node, yaml, other->fields[c].name, other->fields[c].type));
        }
    }
    return check_width(planner, yaml, args->build_held_count);
}

/* What is held of the probe side when it must be. */
static ration_status plan_probe(rn_planner *planner, const rn_plan_node *node, const rn_yaml *yaml,
                                rn_join_args *args)
{
    uint32_t columns = node->inputs[0]->output.count;
    size_t most = (size_t)args->key_count + columns;
    args->probe_held = rn_planner_allocate(planner, most * sizeof *args->probe_held);
    args->probe_places = rn_planner_allocate(planner, columns * sizeof *args->probe_places);
    if (args->probe_held == NULL || args->probe_places == NULL) {
        return RATION_NO_MEMORY;
    }
    memcpy(args->probe_held, args->probe_keys, args->key_count * sizeof *args->probe_held);
    args->probe_held_count = args->key_count;
    for (uint32_t c = 0; c < columns; c++) {
        uint32_t place = find_key(args->probe_keys, args->key_count, c);
        if (place == args->key_count) {
            place = args->probe_held_count;
            args->probe_held[args->probe_held_count++] = c;
        }
        args->probe_places[c] = place;
    }
    return check_width(planner, yaml, args->probe_held_count);
}

static ration_status plan_type(rn_planner *planner, const rn_yaml *yaml, rn_join_type *out_type)
{
    const rn_yaml *type = rn_yaml_get(yaml, "type");
    const char *name = type_names[RN_JOIN_INNER];
    if (type != NULL) {
        RN_TRY(rn_planner_text(planner, type, &name));
    }
    for (size_t i = 0; i < RN_COUNT(type_names); i++) {
        if (strcmp(name, type_names[i]) == 0) {
            *out_type = (rn_join_type)i;
            return RATION_OK;
        }
    }
    return rn_planner_error(planner, type, "inner, left, semi or anti", "unknown type of join '%s'",
                            name);
}

ration_status rn_join_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    static const char *const keys[] = {"with", "on", "type"};
    rn_join_args *args = node->args;
    const rn_yaml *with, *on;
    args->graph = rn_planner_graph(planner);
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "with", &with));
    RN_TRY(rn_planner_require(planner, yaml, "on", &on));
    RN_TRY(plan_type(planner, yaml, &args->type));
    RN_TRY(rn_planner_input(planner, node, with));
    RN_TRY(plan_keys(planner, node, on, args));
    RN_TRY(plan_build(planner, node, yaml, args));
    return plan_probe(planner, node, yaml, args);
}

void rn_join_explain(const rn_plan_node *node, rn_text *text)
{
    const rn_join_args *args = node->args;
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

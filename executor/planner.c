/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators read their arguments with: keys, values, columns, expressions, orders, edges, and
 * their output schema. Every mistake becomes a sentence with the operator's name and a place in the
 * file.
 */
#include "executor/planner.h"
#include "executor/expression_tree.h"

const rn_graph *rn_planner_graph(const rn_planner *planner)
{
    return planner->plan->graph;
}

void *rn_planner_allocate(rn_planner *planner, size_t bytes)
{
    return rn_arena_allocate(&planner->plan->arena, RN_MAX(bytes, 1u));
}

ration_status rn_planner_no_memory(rn_planner *planner)
{
    return rn_error_set(planner->error, RATION_NO_MEMORY, "", "no memory for the plan");
}

/* "key " of a value in a mapping, for messages; nothing for the arguments as a whole, whose key is
 * the operator. */
static const char *name_key(const rn_planner *planner, const rn_yaml *value, char *text,
                            size_t capacity)
{
    bool whole = value->key == NULL || strcmp(value->key, planner->node->class_->name) == 0;
    (void)snprintf(text, capacity, "%.40s%s", whole ? "" : value->key, whole ? "" : " ");
    return text;
}

/* ---- keys and plain values ---- */

ration_status rn_planner_check_keys(rn_planner *planner, const rn_yaml *args,
                                    const char *const *keys, size_t count)
{
    char hint[128] = "";
    if (args->kind != RN_YAML_MAPPING) {
        return rn_planner_error(planner, args, "", "expected arguments as { key: value }");
    }
    for (const rn_yaml *at = args->first; at != NULL; at = at->next) {
        const char *best = NULL;
        bool known = false;
        for (size_t i = 0; i < count && !known; i++) {
            known = strcmp(at->key, keys[i]) == 0;
            best = rn_nearer(at->key, best, keys[i]);
        }
        if (!known) {
            return rn_planner_error_key(planner, at, rn_mean(hint, sizeof hint, best),
                                        "unknown key %.64s", at->key);
        }
    }
    return RATION_OK;
}

ration_status rn_planner_require(rn_planner *planner, const rn_yaml *args, const char *key,
                                 const rn_yaml **out_value)
{
    if (args->kind != RN_YAML_MAPPING) {
        return rn_planner_error(planner, args, "", "expected arguments as { %s: ... }", key);
    }
    const rn_yaml *value = rn_yaml_get(args, key);
    if (value == NULL) {
        return rn_planner_error(planner, args, "", "%s is missing", key);
    }
    *out_value = value;
    return RATION_OK;
}

/* A scalar that is not null. */
static ration_status expect_scalar(rn_planner *planner, const rn_yaml *value, const char *what)
{
    char key[48];
    if (value->kind != RN_YAML_SCALAR || rn_yaml_is_null(value)) {
        static const char *const kinds[] = {"nothing", "a sequence", "a mapping"};
        return rn_planner_error(planner, value, "", "%sneeds %s, found %s",
                                name_key(planner, value, key, sizeof key), what,
                                kinds[value->kind]);
    }
    return RATION_OK;
}

ration_status rn_planner_text(rn_planner *planner, const rn_yaml *value, const char **out_text)
{
    RN_TRY(expect_scalar(planner, value, "a name"));
    char *copy = rn_arena_copy(&planner->plan->arena, value->text, value->length);
    if (copy == NULL) {
        return RATION_NO_MEMORY;
    }
    *out_text = copy;
    return RATION_OK;
}

static ration_status read_parameter(rn_planner *planner, const rn_yaml *value, rn_value *out_value)
{
    char hint[128] = "";
    const char *name = value->text + 1;
    const char *best = NULL;
    const rn_parameters *parameters = planner->parameters;
    for (uint32_t i = 0; parameters != NULL && i < parameters->count; i++) {
        if (strcmp(parameters->values[i].name, name) == 0) {
            *out_value = parameters->values[i].value;
            return RATION_OK;
        }
        best = rn_nearer(name, best, parameters->values[i].name);
    }
    return rn_planner_error(planner, value, rn_mean(hint, sizeof hint, best), "no parameter $%.64s",
                            name);
}

ration_status rn_planner_value(rn_planner *planner, const rn_yaml *value, rn_value *out_value)
{
    char key[48];
    RN_TRY(expect_scalar(planner, value, "a literal or a $parameter"));
    if (!value->quoted && value->text[0] == '$') {
        return read_parameter(planner, value, out_value);
    }
    ration_status status = rn_literal_parse(value->text, value->length, value->quoted,
                                            &planner->plan->arena, out_value);
    if (status == RATION_PLAN) {
        return rn_planner_error(planner, value, "text stands in quotes",
                                "%sneeds a literal or a $parameter, found %.64s",
                                name_key(planner, value, key, sizeof key), value->text);
    }
    return status;
}

/* A value of one kind; what is none is described by its text. */
static ration_status read_kind(rn_planner *planner, const rn_yaml *value, rn_kind kind,
                               const char *what, rn_value *out_value)
{
    char key[48];
    rn_value read;
    RN_TRY(rn_planner_value(planner, value, &read));
    if (read.type.kind != kind || read.null) {
        return rn_planner_error(planner, value, "", "%sneeds %s, found %.64s",
                                name_key(planner, value, key, sizeof key), what, value->text);
    }
    *out_value = read;
    return RATION_OK;
}

ration_status rn_planner_bool(rn_planner *planner, const rn_yaml *value, bool *out_value)
{
    rn_value read;
    RN_TRY(read_kind(planner, value, RN_BOOL, "true or false", &read));
    *out_value = read.as.boolean;
    return RATION_OK;
}

ration_status rn_planner_int64(rn_planner *planner, const rn_yaml *value, int64_t minimum,
                               int64_t maximum, int64_t *out_value)
{
    char key[48];
    rn_value read;
    RN_TRY(read_kind(planner, value, RN_INT64, "a whole number", &read));
    if (read.as.integer < minimum || read.as.integer > maximum) {
        return rn_planner_error(planner, value, "", "%smust be from %lld to %lld, found %lld",
                                name_key(planner, value, key, sizeof key), (long long)minimum,
                                (long long)maximum, (long long)read.as.integer);
    }
    *out_value = read.as.integer;
    return RATION_OK;
}

/* ---- columns ---- */

static ration_status refuse_column(rn_planner *planner, const rn_schema *schema, const rn_yaml *at,
                                   const char *name)
{
    char hint[256] = "";
    const char *best = NULL;
    rn_text text = rn_text_over(hint, sizeof hint);
    for (uint32_t i = 0; i < schema->count; i++) {
        best = rn_nearer(name, best, schema->fields[i].name);
        rn_text_format(&text, "%s%s", i == 0 ? "columns: " : ", ", schema->fields[i].name);
    }
    return rn_planner_error(planner, at, best == NULL ? hint : rn_mean(hint, sizeof hint, best),
                            "no column %.64s", name);
}

ration_status rn_planner_column(rn_planner *planner, const rn_schema *schema, const rn_yaml *value,
                                int kind, uint32_t *out_column)
{
    char key[48];
    char type[32];
    RN_TRY(expect_scalar(planner, value, "a column"));
    int column = rn_schema_find(schema, value->text);
    if (column < 0) {
        return refuse_column(planner, schema, value, value->text);
    }
    rn_type found = schema->fields[column].type;
    if (kind >= 0 && found.kind != kind) {
        return rn_planner_error(planner, value, "", "%sneeds a column of type %s, %s is %s",
                                name_key(planner, value, key, sizeof key),
                                rn_kind_name((rn_kind)kind), value->text,
                                rn_type_name(found, type));
    }
    *out_column = (uint32_t)column;
    return RATION_OK;
}

/* The elements of a sequence, or one scalar as the only element. */
static const rn_yaml *first_element(const rn_yaml *value, size_t *out_count)
{
    bool sequence = value->kind == RN_YAML_SEQUENCE;
    *out_count = sequence ? value->count : 1;
    return sequence ? value->first : value;
}

static ration_status expect_some(rn_planner *planner, const rn_yaml *value, size_t count,
                                 size_t most, const char *what)
{
    char key[48];
    if (count == 0 || count > most) {
        return rn_planner_error(planner, value, "", "%sneeds 1 to %zu %s, found %zu",
                                name_key(planner, value, key, sizeof key), most, what, count);
    }
    return RATION_OK;
}

ration_status rn_planner_columns(rn_planner *planner, const rn_schema *schema, const rn_yaml *value,
                                 uint32_t **out_columns, uint32_t *out_count)
{
    size_t count;
    uint32_t filled = 0;
    const rn_yaml *at = first_element(value, &count);
    RN_TRY(expect_some(planner, value, count, RN_COLUMNS_MAX, "columns"));
    uint32_t *columns = rn_planner_allocate(planner, count * sizeof *columns);
    if (columns == NULL) {
        return RATION_NO_MEMORY;
    }
    for (; filled < count; at = at->next) {
        RN_TRY(rn_planner_column(planner, schema, at, -1, &columns[filled]));
        for (uint32_t i = 0; i < filled; i++) {
            if (columns[i] == columns[filled]) {
                return rn_planner_error(planner, at, "", "column %s is named twice", at->text);
            }
        }
        filled++;
    }
    *out_columns = columns;
    *out_count = filled;
    return RATION_OK;
}

static bool ends_in(const char *text, const char *word)
{
    size_t length = strlen(text);
    size_t end = strlen(word);
    return length > end && strcmp(text + length - end, word) == 0;
}

/* "column", "column asc", "column desc"; a column may itself be called "x desc". */
static ration_status read_order(rn_planner *planner, const rn_schema *schema, const rn_yaml *at,
                                rn_order *out_order)
{
    char name[RN_NAME_BYTES];
    RN_TRY(expect_scalar(planner, at, "a column"));
    bool descending = ends_in(at->text, " desc");
    size_t length = at->length;
    int column = rn_schema_find(schema, at->text);
    if (column >= 0) {
        *out_order = (rn_order){(uint32_t)column, false};
        return RATION_OK;
    }
    if (descending || ends_in(at->text, " asc")) {
        length = (size_t)(strrchr(at->text, ' ') - at->text);
    }
    while (length > 0 && at->text[length - 1] == ' ') {
        length--;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)RN_MIN(length, sizeof name), at->text);
    column = length < sizeof name ? rn_schema_find(schema, name) : -1;
    if (column < 0) {
        return refuse_column(planner, schema, at, name);
    }
    *out_order = (rn_order){(uint32_t)column, descending};
    return RATION_OK;
}

ration_status rn_planner_order(rn_planner *planner, const rn_schema *schema, const rn_yaml *value,
                               rn_order **out_order, uint32_t *out_count)
{
    size_t count;
    uint32_t filled = 0;
    const rn_yaml *at = first_element(value, &count);
    RN_TRY(expect_some(planner, value, count, RN_COLUMNS_MAX, "columns"));
    rn_order *order = rn_planner_allocate(planner, count * sizeof *order);
    if (order == NULL) {
        return RATION_NO_MEMORY;
    }
    for (; filled < count; at = at->next) {
        RN_TRY(read_order(planner, schema, at, &order[filled]));
        for (uint32_t i = 0; i < filled; i++) {
            if (order[i].column == order[filled].column) {
                return rn_planner_error(planner, at, "", "column %s is named twice",
                                        schema->fields[order[i].column].name);
            }
        }
        filled++;
    }
    *out_order = order;
    *out_count = filled;
    return RATION_OK;
}

void rn_order_put(const rn_order *order, uint32_t count, const rn_schema *schema, rn_text *text)
{
    for (uint32_t i = 0; i < count; i++) {
        rn_text_format(text, "%s%s%s", i == 0 ? "" : ", ", schema->fields[order[i].column].name,
                       order[i].descending ? " desc" : "");
    }
}

/* ---- expressions ---- */

static ration_status parse_expression(rn_planner *planner, const rn_schema *schema,
                                      const rn_yaml *value, size_t offset, size_t length, int kind,
                                      rn_expression **out_expression)
{
    char put[96];
    char type[32];
    rn_scope scope = {
        schema,        planner->plan->graph,       planner->parameters, &planner->plan->arena,
        planner->path, planner->node->class_->name};
    /* a quote stands before the text, but not before a block, which has several lines */
    int column = value->column + (value->quoted && strchr(value->text, '\n') == NULL) + (int)offset;
    rn_expression *expression;
    RN_TRY(rn_expression_parse(&scope, value->text + offset, length, value->line, column,
                               &expression, planner->error));
    if (kind >= 0 && rn_expression_type(expression).kind != kind) {
        rn_text text = rn_text_over(put, sizeof put);
        rn_expression_put(expression, &text);
        return rn_planner_error(planner, value, "", "needs an expression of type %s, %s is %s",
                                rn_kind_name((rn_kind)kind), put,
                                rn_type_name(rn_expression_type(expression), type));
    }
    *out_expression = expression;
    return RATION_OK;
}

ration_status rn_planner_expression(rn_planner *planner, const rn_schema *schema,
                                    const rn_yaml *value, int kind, rn_expression **out_expression)
{
    return rn_planner_expression_part(planner, schema, value, 0, value->length, kind,
                                      out_expression);
}

ration_status rn_planner_expression_part(rn_planner *planner, const rn_schema *schema,
                                         const rn_yaml *value, size_t offset, size_t length,
                                         int kind, rn_expression **out_expression)
{
    if (value->kind != RN_YAML_SCALAR) {
        return expect_scalar(planner, value, "an expression");
    }
    rn_assert(offset <= value->length && length <= value->length - offset);
    return parse_expression(planner, schema, value, offset, length, kind, out_expression);
}

/* ---- graph ---- */

static ration_status expect_graph(rn_planner *planner, const rn_yaml *at)
{
    return planner->plan->graph != NULL
               ? RATION_OK
               : rn_planner_error(planner, at, "name one with graph: or --graph", "needs a graph");
}

ration_status rn_planner_label(rn_planner *planner, const rn_yaml *value, uint16_t *out_label)
{
    char hint[128] = "";
    const char *best = NULL;
    const rn_graph *graph = planner->plan->graph;
    RN_TRY(expect_graph(planner, value));
    RN_TRY(expect_scalar(planner, value, "a label"));
    int label = rn_graph_find_label(graph, value->text);
    if (label < 0) {
        for (uint32_t i = 0; i < rn_graph_label_count(graph); i++) {
            best = rn_nearer(value->text, best, rn_graph_label(graph, i)->name);
        }
        return rn_planner_error(planner, value, rn_mean(hint, sizeof hint, best), "no label %.64s",
                                value->text);
    }
    *out_label = (uint16_t)label;
    return RATION_OK;
}

static ration_status read_edge_type(rn_planner *planner, const rn_yaml *at, uint16_t *out_type)
{
    char hint[128] = "";
    const char *best = NULL;
    const rn_graph *graph = planner->plan->graph;
    RN_TRY(expect_scalar(planner, at, "an edge type"));
    int type = rn_graph_find_edge_type(graph, at->text);
    if (type < 0) {
        for (uint32_t i = 0; i < rn_graph_edge_type_count(graph); i++) {
            best = rn_nearer(at->text, best, rn_graph_edge_type(graph, i)->name);
        }
        return rn_planner_error(planner, at, rn_mean(hint, sizeof hint, best), "no edge type %.64s",
                                at->text);
    }
    *out_type = (uint16_t)type;
    return RATION_OK;
}

static ration_status read_direction(rn_planner *planner, const rn_yaml *value,
                                    rn_direction *out_direction)
{
    static const char *const names[] = {"out", "in", "both"};
    if (value == NULL) {
        *out_direction = RN_OUT;
        return RATION_OK;
    }
    RN_TRY(expect_scalar(planner, value, "out, in or both"));
    for (size_t i = 0; i < RN_COUNT(names); i++) {
        if (strcmp(value->text, names[i]) == 0) {
            *out_direction = (rn_direction)i;
            return RATION_OK;
        }
    }
    return rn_planner_error(planner, value, "", "direction is out, in or both, found %.64s",
                            value->text);
}

ration_status rn_planner_edges(rn_planner *planner, const rn_yaml *args, rn_edges *out_edges)
{
    const rn_yaml *value;
    size_t count;
    rn_edges edges = {NULL, 0, RN_OUT};
    RN_TRY(rn_planner_require(planner, args, "edge", &value));
    RN_TRY(expect_graph(planner, value));
    RN_TRY(read_direction(planner, rn_yaml_get(args, "direction"), &edges.direction));
    const rn_yaml *at = first_element(value, &count);
    RN_TRY(expect_some(planner, value, count, RN_LABEL_ANY, "edge types"));
    edges.types = rn_planner_allocate(planner, count * sizeof *edges.types);
    if (edges.types == NULL) {
        return RATION_NO_MEMORY;
    }
    for (; edges.count < count; at = at->next) {
        RN_TRY(read_edge_type(planner, at, &edges.types[edges.count]));
        for (uint32_t i = 0; i < edges.count; i++) {
            if (edges.types[i] == edges.types[edges.count]) {
                return rn_planner_error(planner, at, "", "edge type %s is named twice", at->text);
            }
        }
        edges.count++;
    }
    *out_edges = edges;
    return RATION_OK;
}

uint16_t rn_edges_target(const rn_graph *graph, const rn_edges *edges)
{
    const rn_edge_type *first = rn_graph_edge_type(graph, edges->types[0]);
    uint16_t target = edges->direction == RN_IN ? first->source : first->target;
    for (uint32_t i = 0; i < edges->count; i++) {
        const rn_edge_type *type = rn_graph_edge_type(graph, edges->types[i]);
        bool by_source = edges->direction == RN_OUT || type->source == target;
        bool by_target = edges->direction == RN_IN || type->target == target;
        if (!by_source || !by_target) {
            return RN_LABEL_ANY;
        }
    }
    return target;
}

/* ---- output and inputs ---- */

ration_status rn_planner_output(rn_planner *planner, rn_plan_node *node, const rn_schema *copy,
                                uint32_t more)
{
    uint32_t count = copy == NULL ? 0 : copy->count;
    rn_planned_node *planned = (rn_planned_node *)(void *)node;
    uint32_t capacity = RN_MIN(more, RN_COLUMNS_MAX) + count;
    rn_field *fields = rn_planner_allocate(planner, capacity * sizeof *fields);
    if (fields == NULL) {
        return RATION_NO_MEMORY;
    }
    if (count > 0) {
        memcpy(fields, copy->fields, count * sizeof *fields);
    }
    node->output = (rn_schema){count, fields};
    planned->field_capacity = capacity;
    return RATION_OK;
}

ration_status rn_planner_add(rn_planner *planner, rn_plan_node *node, const rn_yaml *at,
                             const char *name, rn_type type)
{
    rn_planned_node *planned = (rn_planned_node *)(void *)node;
    rn_schema *output = &node->output;
    size_t length = strlen(name);
    if (length == 0 || length >= RN_NAME_BYTES) {
        return rn_planner_error(planner, at, "", "the name of a column has 1 to %d bytes",
                                RN_NAME_BYTES - 1);
    }
    if (rn_schema_find(output, name) >= 0) {
        return rn_planner_error(planner, at, "give it another name with project",
                                "column %s is there already", name);
    }
    if (output->count >= RN_COLUMNS_MAX) {
        return rn_planner_error(planner, at, "", "more than %u columns", RN_COLUMNS_MAX);
    }
    if (output->count == planned->field_capacity) {
        rn_schema old = *output;
        RN_TRY(rn_planner_output(planner, node, &old, RN_MAX(old.count, 8u)));
    }
    rn_field *field = &output->fields[output->count++];
    rn_copy_text(field->name, sizeof field->name, name);
    field->type = type;
    return RATION_OK;
}

ration_status rn_planner_add_input(rn_planner *planner, rn_plan_node *node, rn_plan_node *input)
{
    rn_planned_node *planned = (rn_planned_node *)(void *)node;
    if (node->input_count == planned->input_capacity) {
        uint32_t capacity = RN_MAX(2 * planned->input_capacity, 2u);
        rn_plan_node **inputs = rn_planner_allocate(planner, capacity * sizeof(rn_plan_node *));
        if (inputs == NULL) {
            return RATION_NO_MEMORY;
        }
        if (node->input_count > 0) {
            memcpy(inputs, node->inputs, node->input_count * sizeof(rn_plan_node *));
        }
        node->inputs = inputs;
        planned->input_capacity = capacity;
    }
    node->inputs[node->input_count++] = input;
    return RATION_OK;
}

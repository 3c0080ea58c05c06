/* SPDX-License-Identifier: Apache-2.0
 *
 * What names mean: columns, properties of nodes and edges, parameters, labels. A property is
 * resolved once, to a table of property columns by label (or edge type), so that reading it is an
 * index.
 */
#include "executor/expression_tree.h"

static ration_status refuse_column(const rn_builder *builder, const char *name, size_t offset)
{
    char hint[256] = "";
    const rn_schema *schema = builder->scope->schema;
    const char *best = NULL;
    rn_text text = rn_text_over(hint, sizeof hint);
    uint32_t count = schema == NULL ? 0 : schema->count;
    for (uint32_t i = 0; i < count; i++) {
        best = rn_nearer(name, best, schema->fields[i].name);
    }
    if (best != NULL) {
        rn_text_format(&text, "did you mean %s?", best);
    }
    for (uint32_t i = 0; best == NULL && i < count && text.length < 200; i++) {
        rn_text_format(&text, "%s%s", i == 0 ? "columns: " : ", ", schema->fields[i].name);
    }
    return rn_build_error(builder, offset, hint, "no column %.64s", name);
}

static ration_status build_column(rn_builder *builder, uint32_t index, size_t offset,
                                  rn_expression **out_term)
{
    const rn_field *field = &builder->scope->schema->fields[index];
    rn_expression *term;
    char *name = rn_arena_copy(builder->scope->arena, field->name, strlen(field->name));
    if (name == NULL) {
        return rn_build_no_memory(builder);
    }
    RN_TRY(rn_build_term(builder, RN_TERM_COLUMN, field->type, offset, NULL, &term));
    term->as.column.index = index;
    term->as.column.name = name;
    *out_term = term;
    return RATION_OK;
}

/* ---- labels and edge types, seen alike ---- */

typedef struct rn_owner {
    const char *name;
    uint32_t first; /* nodes: the label's first */
    const rn_property *properties;
    uint32_t property_count;
} rn_owner;

static uint32_t count_owners(const rn_graph *graph, rn_type type)
{
    return type.kind == RN_NODE ? rn_graph_label_count(graph) : rn_graph_edge_type_count(graph);
}

static rn_owner get_owner(const rn_graph *graph, rn_type type, uint32_t index)
{
    if (type.kind == RN_NODE) {
        const rn_label *label = rn_graph_label(graph, index);
        return (rn_owner){label->name, label->first, label->properties, label->property_count};
    }
    const rn_edge_type *edge = rn_graph_edge_type(graph, index);
    return (rn_owner){edge->name, 0, edge->properties, edge->property_count};
}

static const rn_property *find_property(const rn_owner *owner, const char *name)
{
    for (uint32_t i = 0; i < owner->property_count; i++) {
        if (strcmp(owner->properties[i].name, name) == 0) {
            return &owner->properties[i];
        }
    }
    return NULL;
}

/* ---- properties ---- */

static ration_status refuse_property(const rn_builder *builder, const rn_expression *owner,
                                     const char *property, size_t offset)
{
    char hint[128] = "";
    const rn_graph *graph = builder->scope->graph;
    const char *best = NULL;
    uint32_t count = count_owners(graph, owner->type);
    for (uint32_t i = 0; i < count; i++) {
        rn_owner at = get_owner(graph, owner->type, i);
        bool possible = owner->type.label == RN_LABEL_ANY || owner->type.label == i;
        for (uint32_t p = 0; possible && p < at.property_count; p++) {
            best = rn_nearer(property, best, at.properties[p].name);
        }
    }
    rn_mean(hint, sizeof hint, best);
    const char *word = owner->type.kind == RN_NODE ? "label" : "edge type";
    if (owner->type.label == RN_LABEL_ANY) {
        return rn_build_error(builder, offset, hint, "no %s has a property %.64s", word, property);
    }
    return rn_build_error(builder, offset, hint, "%s has no property %.64s",
                          get_owner(graph, owner->type, owner->type.label).name, property);
}

typedef struct rn_property_table {
    const rn_property **columns;
    uint32_t *firsts;
    uint32_t count;
    const rn_property *model;
} rn_property_table;

/* Finds the property in every label the owner may have; all that have it must agree on its type. */
static ration_status fill_properties(const rn_builder *builder, const rn_expression *owner,
                                     const char *property, size_t offset, rn_property_table *table)
{
    const char *first_name = "";
    char type_a[32];
    char type_b[32];
    for (uint32_t i = 0; i < table->count; i++) {
        rn_owner at = get_owner(builder->scope->graph, owner->type, i);
        bool possible = owner->type.label == RN_LABEL_ANY || owner->type.label == i;
        const rn_property *column = possible ? find_property(&at, property) : NULL;
        table->columns[i] = column;
        table->firsts[i] = at.first;
        if (column == NULL) {
            continue;
        }
        if (table->model != NULL && !rn_type_equal(table->model->type, column->type)) {
            return rn_build_error(builder, offset, "keep one label, or name the columns apart",
                                  "%.64s is %s in %s but %s in %s", property,
                                  rn_type_name(table->model->type, type_a), first_name,
                                  rn_type_name(column->type, type_b), at.name);
        }
        if (table->model == NULL) {
            table->model = column;
            first_name = at.name;
        }
    }
    return table->model == NULL ? refuse_property(builder, owner, property, offset) : RATION_OK;
}

static ration_status build_property(rn_builder *builder, rn_expression *owner, const char *property,
                                    size_t offset, rn_expression **out_term)
{
    char type[32];
    const rn_scope *scope = builder->scope;
    if (owner->type.kind != RN_NODE && owner->type.kind != RN_EDGE) {
        return rn_build_error(builder, offset, "", "%s (%s) has no properties",
                              owner->as.column.name, rn_type_name(owner->type, type));
    }
    if (scope->graph == NULL) {
        return rn_build_error(builder, offset, "name one with graph: or --graph",
                              "%s.%.64s needs a graph", owner->as.column.name, property);
    }
    rn_property_table table = {NULL, NULL, count_owners(scope->graph, owner->type), NULL};
    table.columns = rn_arena_allocate(scope->arena, (table.count + 1) * sizeof *table.columns);
    table.firsts = rn_arena_allocate(scope->arena, (table.count + 1) * sizeof *table.firsts);
    if (table.columns == NULL || table.firsts == NULL) {
        return rn_build_no_memory(builder);
    }
    RN_TRY(fill_properties(builder, owner, property, offset, &table));
    rn_expression *term;
    RN_TRY(rn_build_term(builder, RN_TERM_PROPERTY, table.model->type, offset, owner, &term));
    term->type.label = RN_LABEL_ANY;
    term->as.property.name = property;
    term->as.property.columns = table.columns;
    term->as.property.firsts = table.firsts;
    term->as.property.count = table.count;
    *out_term = term;
    return RATION_OK;
}

ration_status rn_build_name(rn_builder *builder, const char *name, const char *property,
                            size_t offset, rn_expression **out_term)
{
    const rn_schema *schema = builder->scope->schema;
    int index = schema == NULL ? -1 : rn_schema_find(schema, name);
    if (index < 0 && property != NULL && schema != NULL) {
        char whole[2 * RN_NAME_BYTES];
        int length = snprintf(whole, sizeof whole, "%s.%s", name, property);
        index = length > 0 && (size_t)length < sizeof whole ? rn_schema_find(schema, whole) : -1;
        property = NULL;
    }
    if (index < 0) {
        return refuse_column(builder, name, offset);
    }
    rn_expression *column = NULL;
    RN_TRY(build_column(builder, (uint32_t)index, offset, &column));
    if (property != NULL) {
        return build_property(builder, column, property, offset, out_term);
    }
    *out_term = column;
    return RATION_OK;
}

ration_status rn_build_label_term(rn_builder *builder, size_t offset, rn_expression *operand,
                                  rn_expression **out_term)
{
    const rn_scope *scope = builder->scope;
    if (scope->graph == NULL) {
        return rn_build_error(builder, offset, "name one with graph: or --graph",
                              "label needs a graph");
    }
    uint32_t count = count_owners(scope->graph, operand->type);
    rn_string *names = rn_arena_allocate(scope->arena, (count + 1) * sizeof *names);
    if (names == NULL) {
        return rn_build_no_memory(builder);
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *name = get_owner(scope->graph, operand->type, i).name;
        names[i] = rn_string_over(name, (uint32_t)strlen(name));
    }
    rn_expression *term;
    RN_TRY(rn_build_term(builder, RN_TERM_LABEL, rn_type_of(RN_STRING), offset, operand, &term));
    term->as.labels.names = names;
    term->as.labels.count = count;
    *out_term = term;
    return RATION_OK;
}

ration_status rn_build_parameter(rn_builder *builder, const char *name, size_t offset,
                                 rn_expression **out_term)
{
    char hint[128] = "";
    const rn_parameters *parameters = builder->scope->parameters;
    const char *best = NULL;
    for (uint32_t i = 0; parameters != NULL && i < parameters->count; i++) {
        if (strcmp(parameters->values[i].name, name) == 0) {
            return rn_build_literal(builder, &parameters->values[i].value, offset, out_term);
        }
        best = rn_nearer(name, best, parameters->values[i].name);
    }
    return rn_build_error(builder, offset, rn_mean(hint, sizeof hint, best), "no parameter $%.64s",
                          name);
}

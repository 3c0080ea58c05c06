/* SPDX-License-Identifier: Apache-2.0
 *
 * See engine.h. */
#include "tests/reference/engine.h"

#include <stdlib.h>

#include "iterators/registry.h"

/* ---- from the engine's values to boxed ones ---- */

static naive_type take_type(rn_type type)
{
    static const naive_kind kinds[RN_KINDS] = {
        [RN_BOOL] = NAIVE_BOOL, [RN_INT64] = NAIVE_INT64,   [RN_DOUBLE] = NAIVE_DOUBLE,
        [RN_DATE] = NAIVE_DATE, [RN_STRING] = NAIVE_STRING, [RN_TIMESTAMP] = NAIVE_TIMESTAMP,
        [RN_NODE] = NAIVE_NODE, [RN_EDGE] = NAIVE_EDGE,     [RN_LIST] = NAIVE_LIST,
    };
    naive_type taken = {kinds[type.kind], type.kind == RN_LIST ? kinds[type.element] : NAIVE_BOOL};
    return taken;
}

static int64_t find_node(const random_graph *model, uint64_t rank)
{
    for (uint32_t n = 0; n < model->node_count; n++) {
        if (model->nodes[n].rank == rank) {
            return n;
        }
    }
    return -1;
}

static int64_t find_edge(const random_graph *model, uint64_t rank)
{
    for (uint32_t e = 0; e < model->edge_count; e++) {
        if (model->edges[e].rank == rank) {
            return e;
        }
    }
    return -1;
}

static naive_value take_value(rn_arena *arena, const random_graph *model, rn_type type,
                              const void *at);

static naive_value take_list(rn_arena *arena, const random_graph *model, rn_type type,
                             const rn_list *list)
{
    rn_type element = rn_type_of((rn_kind)type.element);
    naive_value *items = naive_allocate(arena, (size_t)list->length * sizeof *items);
    naive_value value = naive_null(take_type(type));
    value.null = false;
    value.items = items;
    for (const rn_list_segment *segment = list->first; segment != NULL; segment = segment->next) {
        const char *bytes = rn_list_values(segment);
        for (uint32_t i = 0; i < segment->count; i++) {
            items[value.count++] =
                take_value(arena, model, element, bytes + i * rn_kind_bytes((rn_kind)element.kind));
        }
    }
    if (value.count != list->length) {
        fputs("a list is shorter than it says\n", stderr);
        abort();
    }
    return value;
}

static naive_value take_value(rn_arena *arena, const random_graph *model, rn_type type,
                              const void *at)
{
    switch ((rn_kind)type.kind) {
    case RN_BOOL:
        return naive_bool(*(const uint8_t *)at != 0);
    case RN_DOUBLE:
        return naive_double(*(const double *)at);
    case RN_DATE:
        return naive_whole(NAIVE_DATE, *(const int32_t *)at);
    case RN_STRING: {
        const rn_string *string = at;
        return naive_string(rn_arena_copy(arena, rn_string_bytes(string), string->length),
                            string->length);
    }
    case RN_NODE:
        return naive_whole(NAIVE_NODE, find_node(model, *(const uint32_t *)at));
    case RN_EDGE:
        return naive_whole(NAIVE_EDGE, find_edge(model, *(const uint64_t *)at));
    case RN_LIST:
        return take_list(arena, model, type, at);
    default:
        return naive_whole(take_type(type).kind, *(const int64_t *)at);
    }
}

/* ---- the graph ---- */

static naive_value take_property(rn_arena *arena, const rn_property *property, uint32_t index)
{
    if (property->valid != NULL && !rn_bit_get(property->valid, index)) {
        return naive_null(take_type(property->type));
    }
    const char *data = property->data;
    return take_value(arena, NULL, property->type,
                      data + index * rn_kind_bytes((rn_kind)property->type.kind));
}

/* Every property of the model as the engine holds it at `index`. */
static bool match_properties(rn_arena *arena, const rn_property *properties, uint32_t count,
                             uint32_t index, const bool *has, const naive_value *values)
{
    for (uint32_t p = 0; p < PROPERTIES; p++) {
        bool found = !has[p];
        for (uint32_t i = 0; i < count && has[p]; i++) {
            if (strcmp(properties[i].name, random_property_name(p)) == 0) {
                naive_value value = take_property(arena, &properties[i], index);
                found = naive_same(&value, &values[p]);
            }
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool match_nodes(engine *with, rn_arena *arena, rn_text *problem)
{
    random_graph *model = with->model;
    for (uint32_t n = 0; n < model->node_count; n++) {
        random_node *node = &model->nodes[n];
        const random_label *about = &model->labels[node->label];
        const naive_value *key = &node->values[about->key];
        rn_value value = {.type = rn_type_of(about->key == PROPERTY_ID ? RN_INT64 : RN_STRING)};
        if (about->key == PROPERTY_ID) {
            value.as.integer = key->integer;
        } else {
            value.as.string = rn_string_over(key->bytes, (uint32_t)key->length);
        }
        int label = rn_graph_find_label(with->graph, about->name);
        uint32_t number;
        if (label < 0 || !rn_graph_find_node(with->graph, (uint16_t)label, &value, &number)) {
            rn_text_format(problem, "node %u of %s is not found", n, about->name);
            return false;
        }
        const rn_label *there = rn_graph_label(with->graph, (uint32_t)label);
        node->rank = number;
        if (!match_properties(arena, there->properties, there->property_count,
                              number - there->first, about->has, node->values)) {
            rn_text_format(problem, "node %u of %s has other properties", n, about->name);
            return false;
        }
    }
    return rn_graph_node_count(with->graph) == model->node_count;
}

static bool match_edge(engine *with, rn_arena *arena, const rn_edge_type *there, uint32_t type,
                       uint32_t source, uint32_t position)
{
    random_graph *model = with->model;
    int uid = rn_edge_type_find(there, "uid");
    if (uid < 0) {
        return false;
    }
    naive_value value = take_property(arena, &there->properties[uid], position);
    for (uint32_t e = 0; e < model->edge_count; e++) {
        random_edge *edge = &model->edges[e];
        if (!naive_same(&edge->values[PROPERTY_UID], &value)) {
            continue;
        }
        int number = rn_graph_find_edge_type(with->graph, model->types[type].name);
        edge->rank = rn_edge_make((uint16_t)number, position);
        return edge->type == type && model->nodes[edge->source].rank == source &&
               model->nodes[edge->target].rank == there->forward.neighbours[position] &&
               match_properties(arena, there->properties, there->property_count, position,
                                model->types[type].has, edge->values);
    }
    return false;
}

static bool match_edges(engine *with, rn_arena *arena, rn_text *problem)
{
    const random_graph *model = with->model;
    for (uint32_t t = 0; t < model->type_count; t++) {
        int number = rn_graph_find_edge_type(with->graph, model->types[t].name);
        if (number < 0) {
            rn_text_format(problem, "no edge type %s", model->types[t].name);
            return false;
        }
        const rn_edge_type *there = rn_graph_edge_type(with->graph, (uint32_t)number);
        for (uint32_t s = 0; s < there->forward.count; s++) {
            for (uint64_t at = there->forward.offsets[s]; at < there->forward.offsets[s + 1];
                 at++) {
                if (!match_edge(with, arena, there, t, there->forward.first + s, (uint32_t)at)) {
                    rn_text_format(problem, "edge %u of %s is not what was written", (uint32_t)at,
                                   model->types[t].name);
                    return false;
                }
            }
        }
    }
    return rn_graph_edge_count(with->graph) == model->edge_count;
}

bool engine_open(engine *with, rn_arena *arena, const char *directory, random_graph *model,
                 int64_t batch_rows, rn_text *problem)
{
    char path[512];
    ration_error error;
    ration_limits limits;
    memset(&error, 0, sizeof error);
    ration_limits_default(&limits);
    limits.limit_bytes = (int64_t)256 << 20;
    limits.check_interval = batch_rows;
    limits.max_row_bytes = (int64_t)256 << 10; /* lists of everything are held as rows */
    limits.enable_system_monitor = false;
    memset(with, 0, sizeof *with);
    with->limits = limits;
    with->model = model;
    snprintf(path, sizeof path, "%s/manifest.yaml", directory);
    ration_status status = ration_governor_open(&limits, &with->governor, &error);
    if (status == RATION_OK) {
        status = rn_slot_open(ration_governor_data(with->governor), NULL, &with->slot);
    }
    if (status == RATION_OK) {
        rn_graph_options options = {.slot = &with->slot->hot};
        status = rn_graph_load(path, &options, &with->graph, &error);
    }
    if (status != RATION_OK) {
        rn_text_format(problem, "%s: %s", ration_status_name(status), error.message);
        return false;
    }
    if (!match_nodes(with, arena, problem) || !match_edges(with, arena, problem)) {
        rn_text_put(problem, problem->length == 0 ? "another number of nodes or edges" : "");
        return false;
    }
    random_graph_renumber(arena, model);
    return true;
}

static bool pool_is_empty(ration_pool *pool, rn_text *problem)
{
    ration_pool_figures figures = {.size = sizeof figures};
    ration_pool_read(pool, &figures);
    if (figures.charged_bytes != 0 || figures.credit_bytes != figures.retained_bytes) {
        char path[96];
        ration_pool_path(pool, path, sizeof path);
        rn_text_format(problem, "%s has %lld bytes charged, %lld credit", path,
                       (long long)figures.charged_bytes, (long long)figures.credit_bytes);
        return false;
    }
    return true;
}

bool engine_close(engine *with, rn_text *problem)
{
    rn_graph_close(with->graph);
    if (with->slot != NULL) {
        rn_slot_close(with->slot);
    }
    bool empty = pool_is_empty(ration_governor_data(with->governor), problem) &&
                 pool_is_empty(ration_governor_queries(with->governor), problem);
    ration_governor_close(with->governor);
    return empty;
}

/* ---- plans ---- */

bool engine_match_schema(const rn_schema *there, const naive_schema *schema, rn_text *problem)
{
    for (uint32_t c = 0; c < schema->count && c < there->count; c++) {
        naive_type type = take_type(there->fields[c].type);
        if (strcmp(there->fields[c].name, schema->columns[c].name) != 0 ||
            !naive_type_equal(type, schema->columns[c].type)) {
            rn_text_format(problem, "column %u is %s, a %s; expected %s, a %s", c,
                           there->fields[c].name, naive_kind_name(type.kind),
                           schema->columns[c].name, naive_kind_name(schema->columns[c].type.kind));
            return false;
        }
    }
    if (there->count != schema->count) {
        rn_text_format(problem, "%u columns, expected %u", there->count, schema->count);
    }
    return there->count == schema->count;
}

void engine_take_batch(rn_arena *arena, const random_graph *model, const rn_batch *batch,
                       naive_table *table)
{
    for (uint32_t r = 0; r < batch->rows; r++) {
        naive_value *values = naive_table_add(arena, table);
        for (uint32_t c = 0; c < batch->column_count; c++) {
            const rn_column *column = &batch->columns[c];
            values[c] = rn_column_valid(column, r)
                            ? take_value(arena, model, column->type, rn_column_at(column, r))
                            : naive_null(take_type(column->type));
        }
    }
}

static ration_status pull_rows(const engine *with, rn_arena *arena, ration_query *query,
                               const rn_plan *plan, naive_table *table)
{
    rn_execution *execution;
    RN_TRY(rn_execution_open(query, plan, false, &execution));
    const rn_batch *batch;
    ration_status status;
    do {
        status = rn_execution_next(execution, &batch);
        if (status == RATION_OK) {
            engine_take_batch(arena, with->model, batch, table);
        }
    } while (status == RATION_OK && batch->rows > 0);
    rn_execution_close(execution);
    return status;
}

static void explain_failure(ration_query *query, rn_text *text)
{
    ration_refusal refusal;
    ration_error error;
    if (ration_query_refusal(query, &refusal)) {
        rn_text_format(text, "refused at %s: %lld + %lld > %lld", refusal.site,
                       (long long)refusal.charged_bytes, (long long)refusal.asked_bytes,
                       (long long)refusal.limit_bytes);
    } else if (rn_query_error(query, &error)) {
        rn_text_put(text, error.message);
    }
}

static void run_query(engine *with, rn_arena *arena, const rn_plan *plan, int64_t limit_bytes,
                      engine_answer *answer, rn_text *text)
{
    const ration_limits *limits = &with->limits;
    rn_sizes sizes = {(uint32_t)RN_MIN((int64_t)RN_BATCH_ROWS_MAX, limits->check_interval),
                      limits->max_row_bytes};
    int64_t minimum = limit_bytes == 0 ? 0 : rn_plan_minimum(plan, &sizes);
    ration_query_options options = {
        .size = sizeof options, .name = "random", .limit_bytes = minimum + limit_bytes};
    ration_query *query;
    ration_error error;
    answer->status = ration_query_open(with->governor, &options, &query, &error);
    if (answer->status != RATION_OK) {
        return;
    }
    answer->status = pull_rows(with, arena, query, plan, &answer->table);
    if (answer->status != RATION_OK) {
        explain_failure(query, text);
    }
    char audit[256];
    if (!ration_pool_check(ration_governor_root(with->governor), audit, sizeof audit)) {
        answer->sound = false;
        rn_text_format(text, "audit: %s", audit);
    }
    ration_query_close(query);
    answer->sound = pool_is_empty(ration_governor_queries(with->governor), text) && answer->sound;
    if (!ration_pool_check(ration_governor_root(with->governor), audit, sizeof audit)) {
        answer->sound = false;
        rn_text_format(text, "audit after close: %s", audit);
    }
}

engine_answer engine_run(engine *with, rn_arena *arena, const char *yaml, size_t length,
                         const naive_schema *schema, int64_t limit_bytes)
{
    engine_answer answer;
    memset(&answer, 0, sizeof answer);
    answer.table.width = schema->count;
    answer.sound = true;
    rn_text text = rn_text_over(answer.text, sizeof answer.text);
    rn_plan_file file;
    rn_plan *plan;
    ration_error error;
    answer.status = rn_plan_file_parse("plan.yaml", yaml, length, &file, &error);
    if (answer.status == RATION_OK) {
        answer.status =
            rn_plan_build(&file, NULL, NULL, with->graph, rn_operator_classes(), &plan, &error);
        if (answer.status == RATION_OK) {
            answer.built = true;
            answer.sound = engine_match_schema(&plan->root->output, schema, &text);
            if (answer.sound) {
                run_query(with, arena, plan, limit_bytes, &answer, &text);
            }
            rn_plan_close(plan);
        }
        rn_plan_file_close(&file);
    }
    if (!answer.built) {
        ration_error_format(&error, answer.text, sizeof answer.text);
    }
    return answer;
}

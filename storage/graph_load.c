/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading: rn_graph_load.
 *
 * Order. Files are measured first, so that a missing one costs nothing. Labels with files are read
 * and sealed one after the other; then all edges; then labels without files, whose nodes are now
 * all known; then each edge type is built. At no time is anything held twice but what is being
 * moved.
 *
 * Failure. Everything held hangs on the rn_loader and the rn_graph; close_load gives all of it
 * back on every path, and a refusal of the limits is told with the bytes the files suggest. */
#include "storage/graph_load.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------ measuring */

static ration_status measure_file(const rn_loader *load, const rn_manifest_file *file,
                                  const char *table, int64_t *out_bytes)
{
    const char *place = file->line > 0 ? load->manifest->path : file->path;
    struct stat about;

    if (stat(file->path, &about) != 0) {
        return rn_error_at(load->error, RATION_FILE, place, file->line, file->column,
                           "files are relative to the manifest, or to its 'base'",
                           "cannot open '%s' of '%s': %s", file->path, table, strerror(errno));
    }
    if (!S_ISREG(about.st_mode)) {
        return rn_error_at(load->error, RATION_FILE, place, file->line, file->column, "",
                           "'%s' of '%s' is not a regular file", file->path, table);
    }
    *out_bytes = about.st_size;
    return RATION_OK;
}

static ration_status measure_tables(rn_loader *load, const rn_manifest_table *tables,
                                    uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t f = 0; f < tables[i].file_count; f++) {
            int64_t bytes = 0;
            RN_TRY(measure_file(load, &tables[i].files[f], tables[i].name, &bytes));
            load->file_bytes = rn_add(load->file_bytes, bytes);
        }
    }
    return RATION_OK;
}

/* What to try next. Rows of numbers take in memory, with both directions, the id index and what is
 * there twice while building, about three times their text, and small graphs have blocks that are
 * not full; one-digit ids and empty fields take more, so it is never less than twice the limit that
 * was too small. */
static int64_t suggest_bytes(const rn_loader *load, int64_t limit_bytes)
{
    int64_t tables = (int64_t)load->manifest->label_count + load->manifest->type_count;
    int64_t blocks = rn_multiply(tables, 4 * RN_BLOCK_BYTES);

    int64_t estimate = rn_add(rn_multiply(load->file_bytes, 3), blocks);
    return rn_round_up(RN_MAX(estimate, rn_multiply(limit_bytes, 2)), (int64_t)1 << 20);
}

static ration_status explain_refusal(const rn_loader *load, ration_status status)
{
    const rn_slot *slot = rn_slot_of(load->options->slot);
    bool refused = status != RATION_NO_MEMORY;
    int64_t suggested = suggest_bytes(load, refused ? slot->no.limit_bytes : 0);
    const char *key = status == RATION_DATA_LIMIT ? "data_limit_bytes" : "limit_bytes";
    char hint[256];

    if (!refused) {
        (void)snprintf(hint, sizeof hint, "the files suggest %lld bytes", (long long)suggested);
        return rn_error_set(load->error, status, hint, "no memory to load the graph");
    }
    if (status == RATION_QUERY_LIMIT || status == RATION_GROUP_LIMIT) {
        key = "query_limit_bytes";
    }
    (void)snprintf(hint, sizeof hint, "try %s: %lld; the files hold %lld bytes", key,
                   (long long)suggested, (long long)load->file_bytes);
    return rn_error_set(load->error, status, hint,
                        "no room to load the graph: %lld + %lld > %lld bytes",
                        (long long)slot->no.charged_bytes, (long long)slot->no.asked_bytes,
                        (long long)slot->no.limit_bytes);
}

/* ------------------------------------------------------------------------------- open and close */

static ration_status open_graph(rn_loader *load)
{
    const rn_manifest *manifest = load->manifest;
    ration_context *context;

    RN_TRY(
        ration_context_create(NULL, load->options->slot, RATION_CONTEXT_BUMP, "graph", &context));
    rn_graph *graph = ration_context_allocate_zero(context, sizeof *graph);
    if (graph == NULL) {
        ration_status status = ration_context_status(context);
        ration_context_delete(context);
        return status;
    }
    graph->slot = load->options->slot;
    graph->context = context;
    load->graph = graph;
    graph->labels = ration_context_allocate_zero(context, manifest->label_count * sizeof(rn_label));
    graph->types =
        ration_context_allocate_zero(context, manifest->type_count * sizeof(rn_edge_type));
    graph->indexes =
        ration_context_allocate_zero(context, manifest->label_count * sizeof(rn_node_index));
    if (graph->labels == NULL || graph->types == NULL || graph->indexes == NULL) {
        return ration_context_status(context);
    }
    graph->label_count = manifest->label_count;
    graph->type_count = manifest->type_count;
    return RATION_OK;
}

static ration_status open_table(rn_loader *load, rn_arena *arena, const rn_manifest_table *table,
                                bool edges, rn_load_table *into)
{
    uint32_t property = 0;

    into->columns = rn_arena_allocate(arena, table->property_count * sizeof *into->columns);
    if (into->columns == NULL) {
        return RATION_NO_MEMORY;
    }
    into->table = table;
    for (uint32_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].role != RN_MANIFEST_VALUE) {
            continue;
        }
        rn_load_column *column = &into->columns[property];
        column->column = &table->columns[i];
        rn_chain_set(&column->values, load->options->slot, rn_kind_bytes(column->column->kind));
        rn_chain_set(&column->valid, load->options->slot, sizeof(uint64_t));
        if (!edges && i == table->key) {
            into->key = property;
        }
        property++;
    }
    rn_assert(property == table->property_count);
    rn_chain_set(&into->from, load->options->slot, sizeof(uint32_t));
    rn_chain_set(&into->to, load->options->slot, sizeof(uint32_t));
    return RATION_OK;
}

static ration_status open_tables(rn_loader *load, rn_arena *arena)
{
    const rn_manifest *manifest = load->manifest;
    rn_load_table *labels = rn_arena_allocate(arena, manifest->label_count * sizeof *labels);
    rn_load_table *types = rn_arena_allocate(arena, manifest->type_count * sizeof *types);

    load->csv = rn_arena_allocate(arena, sizeof *load->csv);
    if (labels == NULL || types == NULL || load->csv == NULL) {
        return RATION_NO_MEMORY;
    }
    load->labels = labels;
    load->types = types;
    for (uint32_t i = 0; i < manifest->label_count; i++) {
        RN_TRY(open_table(load, arena, &manifest->labels[i], false, &labels[i]));
        const rn_load_column *key = &labels[i].columns[labels[i].key];
        rn_node_index_set(&load->graph->indexes[i], load->options->slot,
                          key->column->kind == RN_STRING, &key->values);
    }
    for (uint32_t i = 0; i < manifest->type_count; i++) {
        RN_TRY(open_table(load, arena, &manifest->types[i], true, &types[i]));
    }
    return RATION_OK;
}

static void close_tables(rn_load_table *tables, uint32_t count)
{
    for (uint32_t i = 0; tables != NULL && i < count && tables[i].table != NULL; i++) {
        for (uint32_t c = 0; c < tables[i].table->property_count; c++) {
            rn_chain_close(&tables[i].columns[c].values);
            rn_chain_close(&tables[i].columns[c].valid);
        }
        rn_chain_close(&tables[i].from);
        rn_chain_close(&tables[i].to);
    }
}

/* -------------------------------------------------------------------------------------- loading */

static ration_status load_all(rn_loader *load, rn_arena *arena)
{
    const rn_manifest *manifest = load->manifest;

    RN_TRY(measure_tables(load, manifest->labels, manifest->label_count));
    RN_TRY(measure_tables(load, manifest->types, manifest->type_count));
    RN_TRY(open_graph(load));
    RN_TRY(open_tables(load, arena));
    for (uint32_t i = 0; i < manifest->label_count; i++) {
        if (manifest->labels[i].file_count > 0) {
            RN_TRY(rn_load_label(load, i));
            RN_TRY(rn_build_label(load, i));
        }
    }
    for (uint32_t i = 0; i < manifest->type_count; i++) {
        RN_TRY(rn_load_type(load, i));
    }
    for (uint32_t i = 0; i < manifest->label_count; i++) {
        if (manifest->labels[i].file_count == 0) {
            RN_TRY(rn_build_label(load, i));
        }
    }
    RN_TRY(rn_build_numbers(load));
    for (uint32_t i = 0; i < manifest->type_count; i++) {
        RN_TRY(rn_build_type(load, i));
    }
    return RATION_OK;
}

static bool is_limit(ration_status status)
{
    return status == RATION_DATA_LIMIT || status == RATION_GLOBAL_LIMIT ||
           status == RATION_QUERY_LIMIT || status == RATION_GROUP_LIMIT ||
           status == RATION_NO_MEMORY;
}

static ration_status load_manifest(const rn_manifest *manifest, const rn_graph_options *options,
                                   rn_graph **out_graph, ration_error *error)
{
    rn_arena arena = {0};
    rn_loader load = {.manifest = manifest,
                      .options = options,
                      .progress = options->progress && isatty(STDERR_FILENO) != 0,
                      .error = error};
    ration_status status = load_all(&load, &arena);

    close_tables(load.labels, manifest->label_count);
    close_tables(load.types, manifest->type_count);
    if (status == RATION_OK) {
        *out_graph = load.graph;
    } else {
        rn_graph_close(load.graph);
        if (is_limit(status)) {
            (void)explain_refusal(&load, status);
        }
    }
    rn_arena_free(&arena);
    return status;
}

/* Does the first line of an edge list have a weight? */
static ration_status look_ahead(const char *path, const rn_manifest *manifest, ration_slot *slot,
                                bool *out_weighted, ration_error *error)
{
    rn_csv *csv = rn_heap_allocate(sizeof *csv);
    const rn_csv_field *fields;
    uint32_t count = 0;

    if (csv == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory to load the graph");
    }
    ration_status status =
        rn_csv_open(csv, path, NULL, 0, &manifest->types[0].dialect, slot, error);
    if (status == RATION_OK) {
        status = rn_csv_next(csv, &fields, &count, error);
        rn_csv_close(csv);
    }
    rn_heap_free(csv, sizeof *csv);
    if (status == RATION_OK) {
        *out_weighted = count >= 3;
    }
    return status;
}

static ration_status load_edge_list(const char *path, const rn_graph_options *options,
                                    rn_graph **out_graph, ration_error *error)
{
    rn_manifest manifest;
    bool weighted = false;

    RN_TRY(rn_manifest_edge_list(path, false, &manifest, error));
    rn_loader load = {.manifest = &manifest, .options = options, .error = error};
    ration_status status = measure_tables(&load, manifest.types, 1);
    if (status == RATION_OK) {
        status = look_ahead(path, &manifest, options->slot, &weighted, error);
        if (is_limit(status)) {
            (void)explain_refusal(&load, status);
        }
    }
    rn_manifest_free(&manifest);
    RN_TRY(status);
    RN_TRY(rn_manifest_edge_list(path, weighted, &manifest, error));
    status = load_manifest(&manifest, options, out_graph, error);
    rn_manifest_free(&manifest);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), count = strlen(end);

    return length >= count && strcmp(text + length - count, end) == 0;
}

ration_status rn_graph_load(const char *path, const rn_graph_options *options, rn_graph **out_graph,
                            ration_error *error)
{
    rn_manifest manifest;

    if (!ends_with(path, ".yaml") && !ends_with(path, ".yml")) {
        return load_edge_list(path, options, out_graph, error);
    }
    RN_TRY(rn_manifest_read(path, NULL, 0, &manifest, error));
    ration_status status = load_manifest(&manifest, options, out_graph, error);
    rn_manifest_free(&manifest);
    return status;
}

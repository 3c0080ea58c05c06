/* SPDX-License-Identifier: Apache-2.0
 *
 * See world.h. */
#include "tests/world.h"

#include "iterators/registry.h"

/* ---- the world */

/* Writes the files of a graph's text; `path` receives the first. */
static void write_graph(rn_test_world *world, const char *text, char *path, size_t capacity)
{
    rn_copy_text(world->directory, sizeof world->directory, support_folder());
    path[0] = '\0';
    ck_assert_msg(strncmp(text, "--- ", 4) == 0, "a graph's text starts with '--- name'");
    while (*text != '\0') {
        const char *name = text + 4;
        size_t name_length = strcspn(name, "\n");
        const char *body = name + name_length + (name[name_length] == '\n');
        const char *end = strncmp(body, "--- ", 4) == 0 ? body : strstr(body, "\n--- ");
        size_t length = end == NULL ? strlen(body) : (size_t)(end - body) + (end != body);
        char file[64];
        snprintf(file, sizeof file, "%.*s", (int)name_length, name);
        const char *written = support_write(world->directory, file, body, length);
        if (path[0] == '\0') {
            rn_copy_text(path, capacity, written);
        }
        text = body + length;
    }
}

static void fail_on_error(const char *what, ration_status status, const ration_error *error)
{
    if (status != RATION_OK) {
        char text[1200];
        ration_error_format(error, text, sizeof text);
        ck_abort_msg("%s: %s: %s", what, ration_status_name(status), text);
    }
}

void rn_test_open_file(rn_test_world *world, const ration_limits *limits, const char *path)
{
    ration_limits given;
    ration_error error;
    memset(world, 0, sizeof *world);
    if (limits == NULL) {
        ration_limits_default(&given);
        given.enable_system_monitor = false;
        given.limit_bytes = INT64_C(1) << 30;
        limits = &given;
    }
    world->heap_bytes = rn_heap_bytes();
    fail_on_error("governor", ration_governor_open(limits, &world->governor, &error), &error);
    ck_assert_int_eq(rn_slot_open(ration_governor_data(world->governor), NULL, &world->slot),
                     RATION_OK);
    if (path != NULL) {
        rn_graph_options options = {.slot = &world->slot->hot, .progress = false};
        fail_on_error("graph", rn_graph_load(path, &options, &world->graph, &error), &error);
    }
}

void rn_test_open(rn_test_world *world, const ration_limits *limits, const char *graph)
{
    rn_test_world files;
    char path[512];
    memset(&files, 0, sizeof files);
    if (graph != NULL) {
        write_graph(&files, graph, path, sizeof path);
    }
    rn_test_open_file(world, limits, graph != NULL ? path : NULL);
    memcpy(world->directory, files.directory, sizeof world->directory);
}

void rn_test_open_rows(rn_test_world *world, int64_t rows, const char *graph)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = INT64_C(1) << 30;
    limits.check_interval = rows;
    rn_test_open(world, &limits, graph);
}

static int64_t charged_bytes(ration_pool *pool)
{
    ration_pool_figures figures;
    ration_pool_read(pool, &figures);
    return figures.charged_bytes;
}

void rn_test_close(rn_test_world *world)
{
    char difference[256] = "";
    if (world->graph != NULL) {
        rn_graph_close(world->graph);
    }
    rn_slot_close(world->slot);
    ck_assert_int_eq(charged_bytes(ration_governor_data(world->governor)), 0);
    ck_assert_int_eq(charged_bytes(ration_governor_queries(world->governor)), 0);
    ck_assert_msg(
        ration_pool_check(ration_governor_root(world->governor), difference, sizeof difference),
        "%s", difference);
    ration_governor_close(world->governor);
    ck_assert_int_eq(rn_heap_bytes(), world->heap_bytes);
    ck_assert_int_eq(rn_faults(), 0);
    if (world->directory[0] != '\0') {
        support_remove(world->directory);
    }
}

/* ---- rows as text */

typedef struct row_text {
    char *bytes;
    size_t length, capacity;
} row_text;

static void put_text(row_text *text, const char *bytes, size_t count)
{
    if (text->length + count + 1 > text->capacity) {
        text->capacity = (text->length + count + 1) * 2;
        text->bytes = realloc(text->bytes, text->capacity);
        ck_assert_ptr_nonnull(text->bytes);
    }
    memcpy(text->bytes + text->length, bytes, count);
    text->length += count;
    text->bytes[text->length] = '\0';
}

static void put_node(row_text *text, const rn_graph *graph, uint32_t node)
{
    const rn_label *label = rn_graph_label(graph, rn_graph_label_of(graph, node));
    const rn_property *key = &label->properties[label->key];
    put_text(text, label->name, strlen(label->name));
    if (key->type.kind == RN_STRING) {
        const rn_string *string = (const rn_string *)key->data + (node - label->first);
        put_text(text, "/", 1);
        put_text(text, rn_string_bytes(string), string->length);
    } else {
        char number[32];
        int length = snprintf(number, sizeof number, "/%lld",
                              (long long)((const int64_t *)key->data)[node - label->first]);
        put_text(text, number, (size_t)length);
    }
}

static void put_value(row_text *text, const rn_graph *graph, rn_type type, const void *value);

static void put_list(row_text *text, const rn_graph *graph, rn_kind element, const rn_list *list)
{
    const char *between = "";
    uint64_t length = 0;
    put_text(text, "[", 1);
    for (const rn_list_segment *at = list->first; at != NULL; at = at->next) {
        for (uint32_t i = 0; i < at->count; i++, length++, between = ", ") {
            put_text(text, between, strlen(between));
            put_value(text, graph, rn_type_of(element),
                      (const char *)rn_list_values(at) + i * rn_kind_bytes(element));
        }
    }
    ck_assert_uint_eq(length, list->length);
    put_text(text, "]", 1);
}

static void put_value(row_text *text, const rn_graph *graph, rn_type type, const void *value)
{
    char buffer[64];
    rn_text short_text = rn_text_over(buffer, sizeof buffer);
    const rn_string *string = value;
    uint64_t edge;
    uint32_t node;
    switch ((rn_kind)type.kind) {
    case RN_BOOL:
        rn_text_put(&short_text, *(const uint8_t *)value != 0 ? "true" : "false");
        break;
    case RN_INT64:
        rn_text_format(&short_text, "%lld", (long long)*(const int64_t *)value);
        break;
    case RN_DOUBLE:
        rn_text_put_double(&short_text, *(const double *)value);
        break;
    case RN_DATE:
        rn_text_put_date(&short_text, *(const int32_t *)value);
        break;
    case RN_TIMESTAMP:
        rn_text_put_timestamp(&short_text, *(const int64_t *)value);
        break;
    case RN_STRING:
        put_text(text, rn_string_bytes(string), string->length);
        break;
    case RN_NODE:
        memcpy(&node, value, sizeof node);
        put_node(text, graph, node);
        break;
    case RN_EDGE:
        memcpy(&edge, value, sizeof edge);
        rn_text_format(&short_text, "%s/%u",
                       rn_graph_edge_type(graph, (uint32_t)(edge >> RN_EDGE_TYPE_SHIFT))->name,
                       (uint32_t)edge);
        break;
    case RN_LIST:
        put_list(text, graph, (rn_kind)type.element, value);
        break;
    case RN_KINDS:
        ck_abort_msg("no such kind");
    }
    ck_assert_uint_lt(short_text.length, sizeof buffer);
    put_text(text, buffer, short_text.length);
}

static void put_batch(row_text *text, const rn_graph *graph, const rn_batch *batch)
{
    for (uint32_t row = 0; row < batch->rows; row++) {
        for (uint32_t c = 0; c < batch->column_count; c++) {
            const rn_column *column = &batch->columns[c];
            if (c > 0) {
                put_text(text, "|", 1);
            }
            if (rn_column_valid(column, row)) {
                put_value(text, graph, column->type, rn_column_at(column, row));
            } else {
                put_text(text, "null", 4);
            }
        }
        put_text(text, "\n", 1);
    }
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void rn_test_sort_lines(char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        count += text[i] == '\n';
    }
    char *copy = malloc(length + 1);
    char **lines = calloc(count + 1, sizeof *lines);
    ck_assert(copy != NULL && lines != NULL);
    memcpy(copy, text, length + 1);
    char *at = copy;
    for (size_t i = 0; i < count; i++) {
        lines[i] = at;
        at = strchr(at, '\n') + 1;
        at[-1] = '\0';
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        size_t line = strlen(lines[i]);
        memcpy(text, lines[i], line);
        text[line] = '\n';
        text += line + 1;
    }
    free(lines);
    free(copy);
}

/* ---- running */

static ration_status build_plan(rn_test_world *world, const char *text, rn_plan_file *out_file,
                                rn_plan **out_plan, ration_error *error)
{
    static const rn_parameters none = {0, NULL};
    bool steps = text[0] == '-';
    size_t length = strlen(text) + 16;
    char *whole = malloc(length);
    ck_assert_ptr_nonnull(whole);
    snprintf(whole, length, "%s%s", steps ? "pipeline:\n" : "", text);
    ration_status status = rn_plan_file_parse("plan.yaml", whole, strlen(whole), out_file, error);
    free(whole);
    if (status != RATION_OK) {
        return status;
    }
    status =
        rn_plan_build(out_file, NULL, &none, world->graph, rn_operator_classes(), out_plan, error);
    if (status != RATION_OK) {
        rn_plan_file_close(out_file);
    }
    return status;
}

static ration_status pull_rows(rn_test_world *world, rn_execution *execution, row_text *text,
                               int64_t *rows)
{
    const rn_batch *batch;
    do {
        RN_TRY(rn_execution_next(execution, &batch));
        ck_assert_uint_le(batch->rows, execution->worker.batch_rows);
        put_batch(text, world->graph, batch);
        *rows += batch->rows;
    } while (batch->rows > 0);
    RN_TRY(rn_execution_next(execution, &batch));
    ck_assert_msg(batch->rows == 0, "the end must be repeatable");
    return RATION_OK;
}

static void explain_failure(ration_query *query, rn_test_result *result)
{
    ration_error error;
    ck_assert_int_eq(ration_query_status(query), result->status);
    if (ration_query_refusal(query, &result->refusal)) {
        ration_refusal_format(&result->refusal, result->message, sizeof result->message);
    } else if (rn_query_error(query, &error)) {
        ration_error_format(&error, result->message, sizeof result->message);
    }
}

static void run_plan(rn_test_world *world, const rn_plan *plan, int64_t limit_bytes,
                     rn_test_result *result, row_text *text)
{
    ration_query_options options = {
        .size = sizeof options, .name = "test", .limit_bytes = limit_bytes};
    ration_query *query;
    ration_error error;
    result->status = ration_query_open(world->governor, &options, &query, &error);
    if (result->status != RATION_OK) {
        ration_error_format(&error, result->message, sizeof result->message);
        return;
    }
    rn_execution *execution;
    result->status = rn_execution_open(query, plan, false, &execution);
    if (result->status == RATION_OK) {
        result->status = pull_rows(world, execution, text, &result->rows);
        if (result->status != RATION_OK) {
            explain_failure(query, result);
        }
        rn_execution_close(execution);
    } else if (ration_query_status(query) != RATION_OK) {
        explain_failure(query, result);
    }
    ck_assert_int_eq(charged_bytes(ration_query_pool(query)), 0);
    ration_query_close(query);
}

rn_test_result rn_test_run(rn_test_world *world, const char *plan_text, int64_t limit_bytes)
{
    rn_test_result result;
    memset(&result, 0, sizeof result);
    row_text text = {NULL, 0, 0};
    put_text(&text, "", 0);
    rn_plan_file file;
    rn_plan *plan;
    ration_error error;
    result.status = build_plan(world, plan_text, &file, &plan, &error);
    if (result.status == RATION_OK) {
        run_plan(world, plan, limit_bytes, &result, &text);
        rn_plan_close(plan);
        rn_plan_file_close(&file);
    } else {
        ration_error_format(&error, result.message, sizeof result.message);
    }
    ck_assert_int_eq(charged_bytes(ration_governor_queries(world->governor)), 0);
    result.text = text.bytes;
    result.length = text.length;
    return result;
}

void rn_test_result_free(rn_test_result *result)
{
    free(result->text);
    memset(result, 0, sizeof *result);
}

/* ---- expectations */

static rn_test_result run_well(rn_test_world *world, const char *plan, bool sorted)
{
    rn_test_result result = rn_test_run(world, plan, 0);
    ck_assert_msg(result.status == RATION_OK, "%s: %s", ration_status_name(result.status),
                  result.message);
    if (sorted) {
        rn_test_sort_lines(result.text, result.length);
    }
    return result;
}

static void expect_rows(rn_test_world *world, const char *plan, const char *expected, bool sorted)
{
    rn_test_result result = run_well(world, plan, sorted);
    char *wanted = strdup(expected);
    ck_assert_ptr_nonnull(wanted);
    if (sorted) {
        rn_test_sort_lines(wanted, strlen(wanted));
    }
    ck_assert_str_eq(result.text, wanted);
    free(wanted);
    rn_test_result_free(&result);
}

void rn_test_rows(rn_test_world *world, const char *plan, const char *expected)
{
    expect_rows(world, plan, expected, true);
}

void rn_test_rows_ordered(rn_test_world *world, const char *plan, const char *expected)
{
    expect_rows(world, plan, expected, false);
}

void rn_test_same_rows(rn_test_world *world, const char *plan, const char *other)
{
    rn_test_result result = run_well(world, other, true);
    expect_rows(world, plan, result.text, true);
    rn_test_result_free(&result);
}

void rn_test_plan_error(rn_test_world *world, const char *plan, const char *expected)
{
    rn_test_run_error(world, plan, RATION_PLAN, expected);
}

void rn_test_run_error(rn_test_world *world, const char *plan, ration_status status,
                       const char *expected)
{
    rn_test_result result = rn_test_run(world, plan, 0);
    ck_assert_msg(result.status == status, "%s instead of %s: %s",
                  ration_status_name(result.status), ration_status_name(status), result.message);
    ck_assert_str_eq(result.message, expected);
    rn_test_result_free(&result);
}

void rn_test_explains(rn_test_world *world, const char *plan_text, const char *expected)
{
    rn_plan_file file;
    rn_plan *plan;
    ration_error error;
    char text[512];
    fail_on_error("plan", build_plan(world, plan_text, &file, &plan, &error), &error);
    rn_text line = rn_text_over(text, sizeof text);
    plan->root->class_->explain(plan->root, &line);
    ck_assert_str_eq(text, expected);
    rn_plan_close(plan);
    rn_plan_file_close(&file);
}

/* A refusal by the query's own limit with everything a user needs to go on. */
static void expect_refusal(const rn_test_result *result, int64_t limit_bytes)
{
    const ration_refusal *refusal = &result->refusal;
    bool early = result->status == RATION_MINIMUM_ABOVE_LIMIT; /* said before the first row */
    ck_assert_msg(early || result->status == RATION_QUERY_LIMIT, "%s under %lld bytes: %s",
                  ration_status_name(result->status), (long long)limit_bytes, result->message);
    ck_assert_uint_eq(refusal->size, sizeof *refusal);
    ck_assert_int_eq(refusal->status, result->status);
    ck_assert_int_eq(refusal->limit_bytes, limit_bytes);
    ck_assert_int_gt(refusal->asked_bytes, 0);
    ck_assert_int_gt(refusal->charged_bytes + refusal->asked_bytes, limit_bytes);
    ck_assert_int_le(refusal->charged_bytes, limit_bytes);
    ck_assert_str_eq(refusal->query, "test");
    ck_assert_str_eq(refusal->holder, refusal->charged_bytes > 0 ? "test" : "");
    ck_assert_str_ne(refusal->pool, "");
    ck_assert_str_ne(refusal->site, "");
    ck_assert_str_ne(refusal->key, "");
    ck_assert_int_gt(refusal->key_bytes, limit_bytes);
    ck_assert_msg(strncmp(result->message, "memory limit exceeded: ", 23) == 0, "%s",
                  result->message);
}

int64_t rn_test_sweep(rn_test_world *world, const char *plan, int64_t step_bytes, bool ordered)
{
    rn_test_result wanted = run_well(world, plan, !ordered);
    int64_t limit_bytes = 1;
    for (;;) {
        rn_test_result result = rn_test_run(world, plan, limit_bytes);
        bool passed = result.status == RATION_OK;
        if (passed) {
            if (!ordered) {
                rn_test_sort_lines(result.text, result.length);
            }
            ck_assert_str_eq(result.text, wanted.text);
        } else {
            expect_refusal(&result, limit_bytes);
        }
        rn_test_result_free(&result);
        if (passed) {
            break;
        }
        limit_bytes += RN_MAX(step_bytes, limit_bytes / 16);
        ck_assert_msg(limit_bytes < INT64_C(1) << 40, "no limit is enough");
    }
#ifndef RATION_UNGOVERNED
    ck_assert_msg(limit_bytes > 1, "a plan that passes under a limit of one byte charges nothing");
#endif
    rn_test_result_free(&wanted);
    return limit_bytes;
}

/* Fails the nth allocation of one kind; says whether the run passed. */
static bool run_with_fault(rn_test_world *world, const char *plan, const char *wanted, bool heap,
                           int64_t n, bool forever)
{
    int64_t heap_bytes = rn_heap_bytes();
    rn_blocks_purge(world->governor->blocks);
    heap ? rn_heap_fail_after(n, forever) : rn_blocks_fail_after(n, forever);
    rn_test_result result = rn_test_run(world, plan, 0);
    heap ? rn_heap_fail_after(0, false) : rn_blocks_fail_after(0, false);
    bool passed = result.status == RATION_OK;
    if (passed) {
        rn_test_sort_lines(result.text, result.length);
        ck_assert_str_eq(result.text, wanted);
    } else {
        ck_assert_msg(result.status == RATION_NO_MEMORY, "fault %lld: %s: %s", (long long)n,
                      ration_status_name(result.status), result.message);
    }
    ck_assert_int_eq(rn_heap_bytes(), heap_bytes);
    rn_test_result_free(&result);
    return passed;
}

void rn_test_faults(rn_test_world *world, const char *plan)
{
    rn_test_result wanted = run_well(world, plan, true);
    for (int kind = 0; kind < 4; kind++) {
        int64_t n = 1;
        while (!run_with_fault(world, plan, wanted.text, kind < 2, n, kind % 2 == 1)) {
            n += 1;
        }
        ck_assert_msg(n > 1, "no fault was met: the plan allocates nothing");
    }
    rn_test_result_free(&wanted);
}

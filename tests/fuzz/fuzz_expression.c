/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as an expression: an error, or a tree that is written, read back as the same text, and
 * evaluated. */
#include <stdlib.h>

#include "base/heap.h"
#include "executor/expression.h"
#include "executor/governor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROWS 4

static const rn_field fields[] = {
    {"i", {RN_INT64, 0, RN_LABEL_ANY}},  {"d", {RN_DOUBLE, 0, RN_LABEL_ANY}},
    {"s", {RN_STRING, 0, RN_LABEL_ANY}}, {"b", {RN_BOOL, 0, RN_LABEL_ANY}},
    {"t", {RN_DATE, 0, RN_LABEL_ANY}},   {"u", {RN_TIMESTAMP, 0, RN_LABEL_ANY}},
};

static const int64_t integers[ROWS] = {INT64_MIN, -1, 0, 7};
static const double doubles[ROWS] = {-1e300, -0.0, 2.5, 1e19};
static const uint8_t bools[ROWS] = {0, 1, 1, 0};
static const int32_t dates[ROWS] = {INT32_MIN, -1, 0, INT32_MAX};
static const uint64_t valid = 0xb;
static const uint16_t selection[ROWS] = {3, 1, 2, 0};

static void evaluate(const rn_expression *expression, ration_slot *slot)
{
    rn_string strings[ROWS] = {rn_string_over("", 0), rn_string_over("ab", 2),
                               rn_string_over("more than twelve bytes", 22),
                               rn_string_over("b", 1)};
    rn_column columns[] = {{fields[0].type, integers, NULL, selection},
                           {fields[1].type, doubles, &valid, NULL},
                           {fields[2].type, strings, &valid, selection},
                           {fields[3].type, bools, &valid, NULL},
                           {fields[4].type, dates, NULL, NULL},
                           {fields[5].type, integers, &valid, selection}};
    rn_batch batch = {ROWS, sizeof columns / sizeof columns[0], columns};
    rn_evaluator *evaluator = NULL;
    rn_column column;
    ration_error error;
    ration_context *context;
    if (ration_context_create(NULL, slot, RATION_CONTEXT_BUMP, "fuzz", &context) != RATION_OK ||
        rn_evaluator_open(expression, NULL, context, ROWS, &evaluator) != RATION_OK) {
        abort();
    }
    ration_status status = rn_evaluate(evaluator, &batch, &column, &error);
    if (status != RATION_OK && status != RATION_EVALUATION) {
        abort();
    }
    ration_context_delete(context);
}

/* What --explain writes means the same, unless it holds a number that only folding can make. */
static void read_back(const rn_scope *scope, const rn_expression *expression)
{
    static char first[1 << 16];
    static char second[1 << 16];
    rn_text text = rn_text_over(first, sizeof first);
    rn_expression *again = NULL;
    rn_expression_put(expression, &text);
    if (text.length >= sizeof first || strstr(first, "inf") != NULL ||
        strstr(first, "nan") != NULL) {
        return;
    }
    if (rn_expression_parse(scope, first, text.length, 1, 1, &again, NULL) != RATION_OK) {
        return; /* a bare null, or times out of the range that can be written */
    }
    text = rn_text_over(second, sizeof second);
    rn_expression_put(again, &text);
    if (strcmp(first, second) != 0 ||
        rn_expression_type(again).kind != rn_expression_type(expression).kind) {
        abort();
    }
}

static ration_slot *open_slot(void)
{
    static ration_slot *slot;
    ration_governor *governor;
    ration_query *query;
    ration_limits limits;
    ration_error error;
    if (slot == NULL) {
        ration_limits_default(&limits);
        limits.enable_system_monitor = false;
        limits.limit_bytes = INT64_C(256) << 20;
        if (ration_governor_open(&limits, &governor, &error) != RATION_OK ||
            ration_query_open(governor, NULL, &query, &error) != RATION_OK ||
            ration_query_slot(query, &slot) != RATION_OK) {
            abort();
        }
    }
    return slot;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_arena arena = {0};
    rn_schema schema = {sizeof fields / sizeof fields[0], (rn_field *)(uintptr_t)fields};
    rn_scope scope = {&schema, NULL, NULL, &arena, "fuzz.yaml", "filter"};
    rn_expression *expression = NULL;
    ration_error error;
    const char *text = size == 0 ? "" : (const char *)data;
    ration_slot *slot = open_slot();
    ration_status status = rn_expression_parse(&scope, text, size, 1, 1, &expression, &error);
    if (status == RATION_OK) {
        read_back(&scope, expression);
        evaluate(expression, slot);
    } else if (status != RATION_PLAN || error.message[0] == '\0') {
        abort();
    }
    rn_arena_free(&arena);
    return 0;
}

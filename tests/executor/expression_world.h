/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests of expressions share: a schema, parameters, an arena, and a context that is charged to
 * a query. */
#ifndef RATION_TESTS_EXPRESSION_WORLD_H
#define RATION_TESTS_EXPRESSION_WORLD_H

#include "base/heap.h"
#include "executor/expression.h"
#include "executor/governor.h"
#include "tests/support.h"

typedef struct expression_world {
    rn_arena arena;
    rn_schema schema;
    rn_parameters parameters;
    rn_scope scope;
    ration_governor *governor;
    ration_query *query;
    ration_slot *slot;
    ration_context *context;
} expression_world;

SUPPORT_UNUSED static void open_world(expression_world *world, const rn_field *fields,
                                      uint32_t count, const rn_parameter *parameters,
                                      uint32_t parameter_count)
{
    memset(world, 0, sizeof *world);
    world->schema = (rn_schema){count, (rn_field *)(uintptr_t)fields};
    world->parameters = (rn_parameters){parameter_count, parameters};
    world->scope =
        (rn_scope){&world->schema, NULL, &world->parameters, &world->arena, "plan.yaml", "filter"};
    ration_limits limits;
    ration_error error;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = INT64_C(64) << 20;
    support_ok(ration_governor_open(&limits, &world->governor, &error), &error);
    support_ok(ration_query_open(world->governor, NULL, &world->query, &error), &error);
    ck_assert_int_eq(ration_query_slot(world->query, &world->slot), RATION_OK);
    ck_assert_int_eq(
        ration_context_create(NULL, world->slot, RATION_CONTEXT_BUMP, "test", &world->context),
        RATION_OK);
}

SUPPORT_UNUSED static void close_world(expression_world *world)
{
    ration_context_delete(world->context);
    ration_pool_figures figures;
    ration_pool_read(ration_query_pool(world->query), &figures);
    ck_assert_int_eq(figures.charged_bytes, 0);
    ration_query_close(world->query);
    ration_governor_close(world->governor);
    rn_arena_free(&world->arena);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}

/* Parses at line 7, column 15 of plan.yaml. */
SUPPORT_UNUSED static ration_status try_parse(const expression_world *world, const char *text,
                                              rn_expression **out, ration_error *error)
{
    return rn_expression_parse(&world->scope, text, strlen(text), 7, 15, out, error);
}

SUPPORT_UNUSED static rn_expression *parse(const expression_world *world, const char *text)
{
    rn_expression *expression = NULL;
    ration_error error;
    ration_status status = try_parse(world, text, &expression, &error);
    ck_assert_msg(status == RATION_OK, "%s: %s", text, support_error(&error));
    return expression;
}

SUPPORT_UNUSED static const char *put(const rn_expression *expression)
{
    static char bytes[8192];
    rn_text text = rn_text_over(bytes, sizeof bytes);
    rn_expression_put(expression, &text);
    return bytes;
}

#endif

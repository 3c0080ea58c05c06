/* SPDX-License-Identifier: Apache-2.0
 *
 * A governor, a query and a thread that has begun, for tests of adapters/palloc.h. */
#ifndef RATION_TESTS_ADAPTERS_WORLD_H
#define RATION_TESTS_ADAPTERS_WORLD_H

#include "adapters/palloc.h"
#include "base/heap.h"
#include "tests/support.h"

#define KIB (INT64_C(1) << 10)
#define MIB (INT64_C(1) << 20)

typedef struct world {
    ration_governor *governor;
    ration_query *query;
    ration_slot *slot;
} world;

/* `limit_bytes` of the query; the governor has room. */
SUPPORT_UNUSED static world open_world(int64_t limit_bytes)
{
    world here;
    ration_error error;
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = 8192 * MIB;
    support_ok(ration_governor_open(&limits, &here.governor, &error), &error);
    ration_query_options options = {
        .size = sizeof(options), .name = "port", .limit_bytes = limit_bytes};
    support_ok(ration_query_open(here.governor, &options, &here.query, &error), &error);
    ck_assert_int_eq(ration_query_slot(here.query, &here.slot), RATION_OK);
    return here;
}

SUPPORT_UNUSED static int64_t charged(const world *here)
{
    ration_pool_figures figures;
    ration_pool_read(ration_query_pool(here->query), &figures);
    return figures.charged_bytes;
}

/* Nothing is left of what was charged. */
SUPPORT_UNUSED static void close_world(world *here)
{
    ck_assert_int_eq(charged(here), 0);
    ration_query_close(here->query);
    char text[300] = "";
    ck_assert_msg(ration_pool_check(ration_governor_root(here->governor), text, sizeof(text)), "%s",
                  text);
    ration_governor_close(here->governor);
    ck_assert_int_eq(rn_heap_bytes(), 0);
    ck_assert_int_eq(rn_faults(), 0);
}

SUPPORT_UNUSED static world begin(int64_t limit_bytes)
{
    world here = open_world(limit_bytes);
    ck_assert_int_eq(ration_palloc_begin(here.slot), RATION_OK);
    ration_palloc_bind(here.query);
    return here;
}

SUPPORT_UNUSED static void end(world *here)
{
    ration_palloc_end();
    close_world(here);
}

#endif

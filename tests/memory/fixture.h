/* SPDX-License-Identifier: Apache-2.0
 *
 * A ledger with root, retained, queries and two query pools, for tests of memory/. */
#ifndef RATION_TESTS_MEMORY_FIXTURE_H
#define RATION_TESTS_MEMORY_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/heap.h"
#include "memory/blocks.h"

#define MIB ((int64_t)1024 * 1024)

typedef struct fixture {
    rn_ledger *ledger;
    ration_pool *root, *retained, *queries, *first, *second;
    rn_blocks *blocks;
} fixture;

/* What is kept stays until it is purged: no test waits for the clock, or hurries because of it. */
static const rn_blocks_options fixture_keeps = {.retain_ms = 1000000000};

/* Opens what it can; false, with nothing left behind, when an allocation was refused. */
static inline bool fixture_try_open(fixture *world, int64_t root_limit, int64_t query_limit,
                                    int64_t chunk_bytes_max, bool seq_cst)
{
    rn_ledger_options options = {.chunk_bytes_max = chunk_bytes_max, .force_seq_cst = seq_cst};
    *world = (fixture){0};
    if (rn_ledger_open(&options, &world->ledger) != RATION_OK) {
        return false;
    }
    rn_ledger *ledger = world->ledger;
    bool opened = rn_pool_open(ledger, NULL, "root", root_limit, RATION_GLOBAL_LIMIT, NULL,
                               &world->root) == RATION_OK &&
                  rn_pool_open(ledger, world->root, "retained", INT64_MAX, RATION_GLOBAL_LIMIT,
                               NULL, &world->retained) == RATION_OK &&
                  rn_pool_open(ledger, world->root, "queries", INT64_MAX, RATION_GROUP_LIMIT, NULL,
                               &world->queries) == RATION_OK &&
                  rn_pool_open(ledger, world->queries, "q1", query_limit, RATION_QUERY_LIMIT, NULL,
                               &world->first) == RATION_OK &&
                  rn_pool_open(ledger, world->queries, "q2", query_limit, RATION_QUERY_LIMIT, NULL,
                               &world->second) == RATION_OK &&
                  rn_blocks_open(world->retained, &fixture_keeps, &world->blocks) == RATION_OK;
    if (opened) {
        return true;
    }
    ration_pool *pools[] = {world->second, world->first, world->queries, world->retained,
                            world->root};
    for (size_t i = 0; i < RN_COUNT(pools); i++) {
        if (pools[i] != NULL) {
            rn_pool_close(pools[i]);
        }
    }
    rn_ledger_close(ledger);
    return false;
}

static inline fixture fixture_open(int64_t root_limit, int64_t query_limit, int64_t chunk_bytes_max,
                                   bool seq_cst)
{
    fixture world;
    ck_assert(fixture_try_open(&world, root_limit, query_limit, chunk_bytes_max, seq_cst));
    return world;
}

/* The same with blocks that are kept as `options` say. */
static inline void fixture_set_blocks(fixture *world, const rn_blocks_options *options)
{
    rn_blocks_close(world->blocks);
    ck_assert_int_eq(rn_blocks_open(world->retained, options, &world->blocks), RATION_OK);
}

static inline ration_pool_figures read_pool(ration_pool *pool)
{
    ration_pool_figures figures;
    ration_pool_read(pool, &figures);
    return figures;
}

static inline void check_audit(const fixture *world)
{
    char text[256];
    ck_assert_msg(ration_pool_check(world->root, text, sizeof(text)), "%s", text);
}

/* Every slot is closed and every byte released: proves that nothing is left of this ledger. */
static inline void fixture_clear(fixture *world)
{
    rn_blocks_close(world->blocks);
    check_audit(world);
    ck_assert_int_eq(read_pool(world->root).granted_bytes, 0);
    ration_pool *pools[] = {world->second, world->first, world->queries, world->retained,
                            world->root};
    for (size_t i = 0; i < RN_COUNT(pools); i++) {
        ck_assert_int_eq(read_pool(pools[i]).granted_bytes, 0);
        rn_pool_close(pools[i]);
    }
    rn_ledger_close(world->ledger);
}

/* The same for the last one open: nothing is left at all. */
static inline void fixture_close(fixture *world)
{
    fixture_clear(world);
    ck_assert_int_eq(rn_heap_bytes(), 0);
    ck_assert_int_eq(rn_faults(), 0);
}

static inline rn_slot *open_slot(ration_pool *pool)
{
    rn_slot *slot = NULL;
    ck_assert_int_eq(rn_slot_open(pool, NULL, &slot), RATION_OK);
    return slot;
}

static inline ration_status charge(rn_slot *slot, int64_t bytes)
{
    return ration_slot_try_charge(&slot->hot, bytes);
}

static inline void release(rn_slot *slot, int64_t bytes)
{
    ration_slot_release(&slot->hot, bytes);
}

/* Runs the suite of one program; its exit code. */
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A ledger with a pool for data, as a graph is loaded under. */
#ifndef RATION_TESTS_STORAGE_STORE_H
#define RATION_TESTS_STORAGE_STORE_H

#include "base/heap.h"
#include "memory/blocks.h"
#include "tests/support.h"

typedef struct store {
    rn_ledger *ledger;
    ration_pool *root, *retained, *data;
    rn_blocks *blocks;
    rn_slot *opened;
    ration_slot *slot;
    int64_t heap_bytes;
} store;

SUPPORT_UNUSED static void store_open(store *made, int64_t limit_bytes)
{
    rn_ledger_options options = {.chunk_bytes_max = 1 << 20, .force_seq_cst = false};

    ck_assert_int_eq(rn_ledger_open(&options, &made->ledger), RATION_OK);
    ck_assert_int_eq(
        rn_pool_open(made->ledger, NULL, "root", INT64_MAX, RATION_GLOBAL_LIMIT, NULL, &made->root),
        RATION_OK);
    ck_assert_int_eq(rn_pool_open(made->ledger, made->root, "retained", INT64_MAX,
                                  RATION_GLOBAL_LIMIT, NULL, &made->retained),
                     RATION_OK);
    ck_assert_int_eq(rn_blocks_open(made->retained, NULL, &made->blocks), RATION_OK);
    ck_assert_int_eq(rn_pool_open(made->ledger, made->root, "data", limit_bytes, RATION_DATA_LIMIT,
                                  NULL, &made->data),
                     RATION_OK);
    ck_assert_int_eq(rn_slot_open(made->data, NULL, &made->opened), RATION_OK);
    made->slot = &made->opened->hot;
    made->heap_bytes = rn_heap_bytes();
}

/* Nothing is charged, mapped for use or left on the heap, or the test fails. */
SUPPORT_UNUSED static void store_check_empty(const store *made)
{
    ck_assert_int_eq(rn_slot_used(made->opened), 0);
    ck_assert_int_eq(rn_heap_bytes(), made->heap_bytes);
}

SUPPORT_UNUSED static void store_close(store *made)
{
    store_check_empty(made);
    rn_slot_close(made->opened);
    rn_pool_close(made->data);
    rn_blocks_close(made->blocks);
    rn_pool_close(made->retained);
    rn_pool_close(made->root);
    rn_ledger_close(made->ledger);
    ck_assert_int_eq(rn_faults(), 0);
}

/* The next fault to try: the nth allocation of the heap or of blocks, once or for ever. */
typedef struct store_fault {
    int64_t n;
    bool blocks, forever;
} store_fault;

SUPPORT_UNUSED static void store_arm(const store_fault *fault)
{
    if (fault->blocks) {
        rn_blocks_fail_after(fault->n, fault->forever);
    } else {
        rn_heap_fail_after(fault->n, fault->forever);
    }
}

SUPPORT_UNUSED static void store_disarm(void)
{
    rn_heap_fail_after(0, false);
    rn_blocks_fail_after(0, false);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * An operator by itself, with a query, a worker and a file to spill to: for what lies below several
 * operators. Its class has `spillable` and `spill`, which are called when its query is asked to
 * give.
 *
 *     alone_open -> alone.op -> alone_close */
#ifndef RATION_TESTS_ITERATORS_ALONE_H
#define RATION_TESTS_ITERATORS_ALONE_H

#include "executor/execution.h"
#include "tests/storage/fixture.h"
#include "tests/world.h"

typedef struct alone {
    rn_test_world world;
    char folder[256];
    ration_query *query;
    rn_spill_volume *volume;
    rn_plan plan;
    rn_plan_node node, *nodes[1];
    rn_execution execution;
    rn_operator op;
    ration_spiller spiller;
} alone;

SUPPORT_UNUSED static int64_t alone_spillable(void *state)
{
    return rn_execution_spillable(state).now_bytes;
}

SUPPORT_UNUSED static ration_status alone_spill(void *state, int64_t want_bytes)
{
    return rn_execution_spill(state, want_bytes);
}

/* `state` is what op->state will point to. limit_bytes 0: none. */
SUPPORT_UNUSED static void alone_open(alone *made, const rn_operator_class *class_, void *state,
                                      int64_t limit_bytes)
{
    ration_error error;
    memset(made, 0, sizeof *made);
    rn_copy_text(made->folder, sizeof made->folder, support_folder());
    rn_test_open(&made->world, NULL, NULL);
    ration_query_options options = {.size = sizeof options, .limit_bytes = limit_bytes};
    support_ok(ration_query_open(made->world.governor, &options, &made->query, &error), &error);
    rn_spill_options spill = {.directory = made->folder, .allow_memory = true};
    support_ok(rn_spill_volume_open(&spill, &made->volume, &error), &error);
    made->node = (rn_plan_node){.class_ = class_, .file = "", .site = "alone@1"};
    made->nodes[0] = &made->node;
    made->plan = (rn_plan){.nodes = made->nodes, .node_count = 1};
    made->execution.plan = &made->plan;
    made->execution.operators = &made->op;
    rn_worker *worker = &made->execution.worker;
    worker->query = made->query;
    worker->execution = &made->execution;
    worker->settles_to_clock = RN_SETTLES_TO_CLOCK;
    worker->rows_left = INT64_MAX;
    worker->batch_rows = RN_BATCH_ROWS_MAX;
    worker->max_row_bytes = 1 << 20;
    ck_assert_int_eq(ration_query_slot(made->query, &worker->slot), RATION_OK);
    made->spiller = (ration_spiller){&made->execution, alone_spillable, alone_spill};
    ration_slot_register_spill(worker->slot, &made->spiller);
    ck_assert_int_eq(rn_spill_file_open(made->volume, NULL, 1, &worker->spill_file), RATION_OK);
    made->op =
        (rn_operator){.class_ = class_, .node = &made->node, .worker = worker, .state = state};
    ck_assert_int_eq(
        ration_context_create(NULL, worker->slot, RATION_CONTEXT_BUMP, "op", &made->op.context),
        RATION_OK);
    worker->spill_buffer = ration_context_allocate(made->op.context, RN_RUN_BLOCK_BYTES);
    ck_assert_ptr_nonnull(worker->spill_buffer);
}

/* Runs and merges must be closed. */
SUPPORT_UNUSED static void alone_close(alone *made)
{
    rn_worker *worker = &made->execution.worker;
    ck_assert_int_eq(rn_spill_file_bytes(worker->spill_file), 0);
    rn_spill_file_close(worker->spill_file);
    rn_spill_volume_close(made->volume);
    ration_context_delete(made->op.context);
    made->op.context = NULL;
    ration_slot_register_spill(worker->slot, NULL);
    ck_assert_int_eq(rn_slot_prepay(rn_slot_of(worker->slot), 0), RATION_OK);
    ck_assert_int_eq(rn_slot_used(rn_slot_of(worker->slot)), 0);
    ration_query_close(made->query);
    rn_test_close(&made->world);
    support_remove(made->folder);
}

#endif

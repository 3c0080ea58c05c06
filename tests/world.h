/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests of plans share: a world (governor, graph), a plan run in it, and the two loops every
 * operator must come through: limits from tiny upward, and faults at every allocation.
 *
 *     rn_test_open
 *         -> rn_test_run / rn_test_rows / rn_test_plan_error / rn_test_sweep / rn_test_faults
 *         -> rn_test_close
 *
 * Every failure ends the test (ck_abort). Graphs are texts of several files, each after a line `---
 * name`; the first is loaded (a manifest *.yaml, or an edge list):
 *
 *     "--- graph.yaml\nnodes: ...\n--- person.csv\n1,Ann\n2,Ben\n"
 *
 * Plans are texts of a plan file; a text that begins with '-' is taken as the steps of its only
 * pipeline.
 */
#ifndef RATION_TESTS_WORLD_H
#define RATION_TESTS_WORLD_H

#include "executor/execution.h"
#include "tests/support.h"

typedef struct rn_test_world {
    char directory[256]; /* of the graph's files; removed at close; "" = none */
    ration_governor *governor;
    rn_slot *slot;      /* on the pool `data`, holds the graph */
    rn_graph *graph;    /* NULL = none */
    int64_t heap_bytes; /* before all this */
} rn_test_world;

/* `limits` NULL: defaults with 1 GiB. `graph` NULL: none. */
void rn_test_open(rn_test_world *world, const ration_limits *limits, const char *graph);
/* The same with a graph file that lies on disk. */
void rn_test_open_file(rn_test_world *world, const ration_limits *limits, const char *path);
/* The same with batches of at most `rows` rows. */
void rn_test_open_rows(rn_test_world *world, int64_t rows, const char *graph);
/* Proves that every pool reads 0 and the audit holds. */
void rn_test_close(rn_test_world *world);

/* What one run gave. A row is one line, its values between '|': null, true, 1, 0.5, dates as ISO,
 * strings as they are, nodes as Label/key, edges as type/position, lists as [1, 2]. */
typedef struct rn_test_result {
    ration_status status;
    char message[1600];     /* refusal or error as a user sees it; "" when all went well */
    ration_refusal refusal; /* size 0 = none */
    int64_t rows;
    char *text; /* the rows in the order they came; "" when there are none */
    size_t length;
} rn_test_result;

/* Builds and runs a plan. limit_bytes 0: the world's. Afterwards the query is closed and its pool
 * was 0. */
rn_test_result rn_test_run(rn_test_world *world, const char *plan, int64_t limit_bytes);
void rn_test_result_free(rn_test_result *result);
/* Sorts the lines of a text in place. */
void rn_test_sort_lines(char *text, size_t length);

/* The plan gives exactly these rows, in any order (`expected` need not be sorted), or in this
 * order. */
void rn_test_rows(rn_test_world *world, const char *plan, const char *expected);
void rn_test_rows_ordered(rn_test_world *world, const char *plan, const char *expected);
/* The two plans give the same rows in any order. */
void rn_test_same_rows(rn_test_world *world, const char *plan, const char *other);
/* Building the plan answers PLAN with this text ("plan.yaml:3:5: error: ... (hint)"). */
void rn_test_plan_error(rn_test_world *world, const char *plan, const char *expected);
/* Building or running the plan answers `status` with this text. */
void rn_test_run_error(rn_test_world *world, const char *plan, ration_status status,
                       const char *expected);
/* The last node's line of arguments in --explain. */
void rn_test_explains(rn_test_world *world, const char *plan, const char *expected);

/* Runs the plan under query limits from 1 byte upward until it passes: each step gives the rows of
 * the unlimited run or one complete refusal, and leaves its pool at 0. Returns the least limit that
 * passed, to the precision of the steps (`step_bytes`, or a sixteenth of the limit when that is
 * more). `ordered`: rows are compared in order. */
int64_t rn_test_sweep(rn_test_world *world, const char *plan, int64_t step_bytes, bool ordered);

/* Runs the plan with the nth allocation from the heap, and the nth mapping of blocks, failing once
 * and for ever, n = 1.. until it passes: each run gives the right rows or NO_MEMORY, and leaves
 * nothing. */
void rn_test_faults(rn_test_world *world, const char *plan);

#endif

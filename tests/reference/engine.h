/* SPDX-License-Identifier: Apache-2.0
 *
 * The other side of the comparison: the engine with a random graph loaded, running plans given as
 * text, its rows turned into boxed values. */
#ifndef RATION_TESTS_REFERENCE_ENGINE_H
#define RATION_TESTS_REFERENCE_ENGINE_H

#include "executor/execution.h"
#include "tests/reference/random_plan.h"

typedef struct engine {
    ration_limits limits;
    ration_governor *governor;
    rn_slot *slot; /* on the pool `data` */
    rn_graph *graph;
    random_graph *model;
} engine;

/* Loads directory/manifest.yaml, proves that it holds what `model` holds, and renumbers the model
 * as the engine numbers. False: `problem` says why. */
bool engine_open(engine *with, rn_arena *arena, const char *directory, random_graph *model,
                 int64_t batch_rows, rn_text *problem);
/* Closes; false when a pool does not read 0. */
bool engine_close(engine *with, rn_text *problem);

typedef struct engine_answer {
    ration_status status;
    naive_table table; /* rows of RATION_OK */
    bool built;        /* the plan was accepted */
    bool sound; /* columns as expected, pools consistent and back to 0; else `text` says what is not
                 */
    char text[1200];
} engine_answer;

/* Runs the plan; limit_bytes: beyond its minimum, 0 = no limit of its own. `schema`: the columns it
 * should have. */
engine_answer engine_run(engine *with, rn_arena *arena, const char *yaml, size_t length,
                         const naive_schema *schema, int64_t limit_bytes);

/* For whoever runs plans himself: are the columns as expected; a batch's rows, boxed. */
bool engine_match_schema(const rn_schema *there, const naive_schema *schema, rn_text *problem);
void engine_take_batch(rn_arena *arena, const random_graph *model, const rn_batch *batch,
                       naive_table *table);

#endif

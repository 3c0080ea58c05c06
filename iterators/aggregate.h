/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of aggregate, for aggregate*.c only. */
#ifndef RATION_AGGREGATE_H
#define RATION_AGGREGATE_H

#include "iterators/accumulator.h"
#include "iterators/evaluation.h"
#include "iterators/row_reader.h"

typedef struct rn_aggregate_args {
    const rn_graph *graph;
    uint32_t *keys; /* columns of the input */
    uint32_t key_count;
    rn_aggregate *functions;
    uint32_t function_count;
    uint32_t column_count; /* of a group's row */
    bool points;           /* a function's state has strings or lists */
    bool distinct;         /* a function counts different values */
} rn_aggregate_args;

typedef enum rn_aggregate_phase {
    RN_AGGREGATE_FILLING,
    RN_AGGREGATE_COUNTING, /* values that count(distinct) has written out, one function at a time */
    RN_AGGREGATE_HELD,     /* gives the shards that were never written out, one after the other */
    RN_AGGREGATE_MERGED,   /* gives the others */
    RN_AGGREGATE_ENDED
} rn_aggregate_phase;

typedef struct rn_aggregate_state {
    rn_aggregate_phase phase;
    rn_groups groups;
    const rn_row *only; /* the group without keys; NULL = look it up */
    rn_row_reader reader;
    rn_accumulator_scratch scratch;
    rn_accumulator *accumulators;
    rn_evaluator **evaluators;
    rn_batch whole;    /* the input's columns and the arguments: column input_count + i */
    rn_batch part;     /* of `whole`, as much as can be taken in at a time; behind it zeros */
    rn_picker picker;  /* makes parts */
    uint16_t *picks;   /* rows of the part */
    uint32_t *sources; /* column of a group's row -> column of `part` */
    const rn_row **rows;
    rn_rows_cursor cursor;
    uint32_t shard; /* in hand while HELD, function while COUNTING */
    /* Spilling. */
    rn_runs runs;
    uint64_t spilled;     /* shards that were written out ever */
    char *scratch_row;    /* assembles rows with strings and lists; NULL = none has them */
    size_t scratch_bytes; /* its room */
    /* MERGED. */
    rn_merge merge;
    rn_groups_source source;
    ration_context *merged; /* bump: the groups of the batch in hand */
    bool merging;           /* the merge is open */
    bool begun;             /* it was */
    /* COUNTING. */
    rn_row_reader *counted; /* reads keys of drained rows; per function, or NULL */
    rn_batch keys;          /* of drained rows; behind them zeros */
    uint32_t *key_sources;
    bool drains; /* rows of the function's drain are in hand */
} rn_aggregate_state;

#define RN_AGGREGATE_PART_BYTES (4 * RN_BLOCK_BYTES) /* taken in at a time, if more than one row */

/* aggregate_plan.c */
RATION_NODISCARD ration_status rn_aggregate_plan(rn_planner *planner, rn_plan_node *node,
                                                 const rn_yaml *yaml);
void rn_aggregate_explain(const rn_plan_node *node, rn_text *text);

/* aggregate_minimum.c. Types of a group's row: the key's, then every function's. */
void rn_aggregate_types(const rn_plan_node *node, rn_type *out_types);
rn_minimum rn_aggregate_minimum(const rn_plan_node *node, const rn_sizes *sizes);

/* aggregate_spill.c. Room for rows whose state points: a key and a value. */
size_t rn_aggregate_scratch_bytes(int64_t max_row_bytes);
RATION_NODISCARD ration_status rn_aggregate_spill_open(rn_operator *op);
rn_spillable rn_aggregate_spillable(const rn_operator *op);
RATION_NODISCARD ration_status rn_aggregate_spill(rn_operator *op, int64_t want_bytes);
/* The next groups that were written out, complete, into state->rows; 0 at the end. */
RATION_NODISCARD ration_status rn_aggregate_merge_rows(rn_operator *op, uint32_t *out_count);
/* Forgets a shard's groups and what they point at. */
void rn_aggregate_forget(rn_operator *op, uint32_t shard);

#endif

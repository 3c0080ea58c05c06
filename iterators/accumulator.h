/* SPDX-License-Identifier: Apache-2.0
 *
 * What aggregate computes: one accumulator per function, its state in words of the groups' rows.
 *
 *     rn_aggregate_words -> rn_accumulator_open -> rn_accumulator_update per batch
 *                        -> rn_accumulator_finish per batch of groups
 *
 * Words start as 0. By function: counts {n}; sums and averages {n, sum} with a sum of two words;
 * least and greatest {n, word} or {n, string of two words}; collect {length, first segment, last
 * segment, pending}. */
#ifndef RATION_ACCUMULATOR_H
#define RATION_ACCUMULATOR_H

#include "iterators/groups.h"

typedef enum rn_aggregate_kind {
    RN_COUNT_ROWS,
    RN_COUNT_VALUES,
    RN_COUNT_DISTINCT,
    RN_SUM,
    RN_AVERAGE,
    RN_LEAST,
    RN_GREATEST,
    RN_COLLECT
} rn_aggregate_kind;

/* A function of the plan. */
typedef struct rn_aggregate {
    rn_aggregate_kind kind;
    rn_expression *argument; /* NULL for RN_COUNT_ROWS */
    rn_type type;            /* of the argument */
    rn_type output;
} rn_aggregate;

/* Arrays of a batch's length that the accumulators of an operator share. */
typedef struct rn_accumulator_scratch {
    uint64_t *keys;
    const rn_row **touched;
    rn_string *before;
    uint16_t *picks;
} rn_accumulator_scratch;

typedef struct rn_accumulator {
    const rn_aggregate *aggregate;
    uint32_t offset; /* of the first word in a group's row */
    rn_accumulator_scratch *scratch;
    rn_groups *distinct;    /* count distinct: one row per (group, value) */
    ration_context *values; /* strings (set) or lists (bump) */
    rn_vector out;
} rn_accumulator;

RATION_NODISCARD ration_status rn_accumulator_scratch_open(rn_operator *op,
                                                           rn_accumulator_scratch *out_scratch);
/* Words of a function's state. */
uint32_t rn_aggregate_words(const rn_aggregate *aggregate);
/* `offset`: of its first word in a group's row. Errors: the limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_accumulator_open(rn_operator *op, const rn_aggregate *aggregate,
                                                   uint32_t offset, rn_accumulator_scratch *scratch,
                                                   rn_accumulator *out_accumulator);
/* Takes in `rows` values (`column` NULL for RN_COUNT_ROWS), value i for groups[i]. Settles for what
 * it holds: nothing charged ahead before is left. Errors: the limits' statuses; ROW_TOO_WIDE. */
RATION_NODISCARD ration_status rn_accumulator_update(rn_operator *op, rn_accumulator *accumulator,
                                                     const rn_column *column, uint32_t rows,
                                                     const rn_row *const *groups);
/* The results of `count` groups, valid until the next call. Errors: EVALUATION when a sum leaves
 * int64. */
RATION_NODISCARD ration_status rn_accumulator_finish(rn_operator *op, rn_accumulator *accumulator,
                                                     const rn_row *const *groups, uint32_t count,
                                                     rn_column *out_column);

/* collected.c: lists in the making. */
RATION_NODISCARD ration_status rn_collect_values(rn_operator *op, rn_accumulator *accumulator,
                                                 const rn_column *column, uint32_t rows,
                                                 const rn_row *const *groups);
/* Word `word` of a group's state. */
static inline uint64_t *rn_group_word(const rn_row *group, uint32_t offset, uint32_t word)
{
    return (uint64_t *)((uintptr_t)group + offset) + word;
}

#endif

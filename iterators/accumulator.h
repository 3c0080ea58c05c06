/* SPDX-License-Identifier: Apache-2.0
 *
 * What aggregate computes: one accumulator per function, its state in columns of the groups' rows.
 *
 *     rn_aggregate_columns -> rn_accumulator_open
 *         per batch: rn_accumulator_look, settle by rn_accumulator_bound, rn_accumulator_update
 *         when a shard is forgotten: rn_accumulator_forget
 *         rn_accumulator_merge of two states of one group
 *     rn_accumulator_finish per batch of groups -> rn_accumulator_close
 *
 * States start as 0, and a state of zeros changes nothing when it is merged. By function: counts
 * {n}; sums and averages {n, sum} with a sum of two words; least and greatest {n, word} or {n,
 * string}; collect {list, last segment, pending}. Strings and lists point, into contexts by shard:
 * so they go when their shard does. A row that is written out has them in itself instead, by offset
 * (aggregate_spill.c). */
#ifndef RATION_ACCUMULATOR_H
#define RATION_ACCUMULATOR_H

#include "iterators/unique.h"

#define RN_AGGREGATE_COLUMNS_MAX 3u

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
    uint16_t *picks;
} rn_accumulator_scratch;

typedef struct rn_accumulator {
    const rn_aggregate *aggregate;
    uint32_t offset; /* of the first word in a group's row */
    rn_accumulator_scratch *scratch;
    rn_unique *distinct;                     /* count distinct: the key and the value */
    rn_column *distinct_row;                 /* its columns of the batch in hand */
    ration_context *values[RN_GROUP_SHARDS]; /* strings (set) or lists (bump); NULL = none */
    rn_vector out;
} rn_accumulator;

/* A batch on its way into the accumulators. */
typedef struct rn_intake {
    const rn_column *columns; /* of the input */
    const uint32_t *keys;     /* those of the key */
    uint32_t key_count;
    uint32_t rows;
    const rn_row *const *groups; /* by row */
    const uint64_t *hashes;      /* of the key by row; NULL: there is no key */
} rn_intake;

/* The group's shard of a row; without a key, that of the only group. */
static inline uint32_t rn_intake_shard(const rn_intake *intake, uint32_t row)
{
    return rn_groups_shard(intake->hashes == NULL ? RN_HASH_SEED : intake->hashes[row]);
}

RATION_NODISCARD ration_status rn_accumulator_scratch_open(rn_operator *op,
                                                           rn_accumulator_scratch *out_scratch);
/* Columns of a function's state, 8 or 16 bytes each, and how many. */
uint32_t rn_aggregate_columns(const rn_aggregate *aggregate,
                              rn_type out_types[RN_AGGREGATE_COLUMNS_MAX]);
/* Is part of its state a string or a list? */
bool rn_aggregate_points(const rn_aggregate *aggregate);
/* `offset`: of its state in a group's row. `keys`: types of the key. The accumulator must not move
 * afterwards. Errors: the limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_accumulator_open(rn_operator *op, const rn_aggregate *aggregate,
                                                   uint32_t offset, const rn_type *keys,
                                                   uint32_t key_count,
                                                   rn_accumulator_scratch *scratch,
                                                   rn_accumulator *out_accumulator);
/* Gives back what is not in op->context. All zeros: nothing to do. */
void rn_accumulator_close(rn_accumulator *accumulator);
/* Looks at the batch's values (`column` NULL for RN_COUNT_ROWS) and says what updating with them
 * draws at most. */
int64_t rn_accumulator_bound(rn_accumulator *accumulator, const rn_intake *intake,
                             const rn_column *column);
/* Takes in value i for groups[i]; what was looked at last, and settled for. Errors: ROW_TOO_WIDE;
 * the limits' statuses when not settled for. */
RATION_NODISCARD ration_status rn_accumulator_update(rn_accumulator *accumulator,
                                                     const rn_intake *intake,
                                                     const rn_column *column);
/* Adds the state of `from` to that of `into`. Strings and lists are passed on by pointer, and
 * segments of `from` change their owner. */
void rn_accumulator_merge(const rn_accumulator *accumulator, const rn_row *into,
                          const rn_row *from);
/* Forgets strings and lists of a shard. */
void rn_accumulator_forget(rn_accumulator *accumulator, uint32_t shard);
/* What forgetting them gives back. */
int64_t rn_accumulator_bytes(const rn_accumulator *accumulator, uint32_t shard);
/* The results of `count` groups, valid until the next call. Errors: EVALUATION when a sum leaves
 * int64. */
RATION_NODISCARD ration_status rn_accumulator_finish(rn_operator *op, rn_accumulator *accumulator,
                                                     const rn_row *const *groups, uint32_t count,
                                                     rn_column *out_column);

/* collected.c: lists in the making. */
typedef struct rn_list_state {
    rn_list list;
    rn_list_segment *last;
    uint64_t pending; /* values of the batch in hand while they are counted */
} rn_list_state;

int64_t rn_collect_bound(rn_accumulator *accumulator, const rn_intake *intake,
                         const rn_column *column);
RATION_NODISCARD ration_status rn_collect_values(rn_accumulator *accumulator,
                                                 const rn_intake *intake, const rn_column *column);
/* Word `word` of a group's state. */
static inline uint64_t *rn_group_word(const rn_row *group, uint32_t offset, uint32_t word)
{
    return (uint64_t *)((uintptr_t)group + offset) + word;
}

#endif

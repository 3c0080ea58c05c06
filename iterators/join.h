/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of join, between its files.
 *
 *     join.c          open, next, the class
 *     join_plan.c     arguments
 *     join_side.c     rows of one side held by key, written out by shard
 *     join_probe.c    the build side taken in, the probe side streamed past it
 *     join_spilled.c  what was written out of both sides, merged
 *     join_group.c    the rows of one word in memory
 *     join_nested.c   one word whose build rows do not fit there
 *     join_minimum.c  the least bytes it works with */
#ifndef RATION_JOIN_H
#define RATION_JOIN_H

#include "iterators/groups.h"
#include "iterators/merge.h"
#include "iterators/minimum.h"
#include "iterators/row_reader.h"

/* ------------------------------------------------------------------------------------- the plan */

typedef enum rn_join_type { RN_JOIN_INNER, RN_JOIN_LEFT, RN_JOIN_SEMI, RN_JOIN_ANTI } rn_join_type;

typedef struct rn_join_args {
    rn_join_type type;
    const rn_graph *graph;
    uint32_t key_count;
    rn_expression **expressions; /* per key, of the probe side; NULL = a column */
    uint32_t expression_count;
    uint32_t *probe_keys;   /* columns of the input; expressions stand behind them */
    uint32_t *build_keys;   /* columns of the sub-plan */
    uint32_t *build_held;   /* columns of the sub-plan in the order of the layout: keys, payload */
    uint32_t *probe_held;   /* the same of the input */
    uint32_t *probe_places; /* per column of the input, where it stands in the layout */
    uint32_t build_held_count, probe_held_count;
} rn_join_args;

ration_status rn_join_plan(rn_planner *planner, rn_plan_node *node, const struct rn_yaml *yaml);
void rn_join_explain(const rn_plan_node *node, rn_text *text);

/* Do columns of the build side come out? */
static inline bool rn_join_gives_columns(const rn_join_args *args)
{
    return args->type == RN_JOIN_INNER || args->type == RN_JOIN_LEFT;
}
/* Does a probe row come out without a build row, given whether it has a match? */
static inline bool rn_join_gives_alone(const rn_join_args *args, bool matched)
{
    return args->type == RN_JOIN_SEMI ? matched : args->type != RN_JOIN_INNER && !matched;
}

/* ------------------------------------------------------------------------------------- one side */

#define RN_JOIN_ALL_SHARDS ((UINT64_C(1) << RN_GROUP_SHARDS) - 1)

typedef struct rn_join_side {
    rn_groups groups;
    rn_runs runs;
    rn_batch batch;       /* the input's columns, what is computed of them, the link if any */
    const uint32_t *keys; /* columns of batch */
    uint32_t *held;       /* layout column -> column of batch: keys, payload, link */
    uint32_t held_count;  /* with the link */
    uint32_t key_count;
    bool linked;      /* all rows of a key are held, behind one another; else one of them */
    bool opened;      /* groups and runs */
    uint64_t spilled; /* shards of which rows were written out */
} rn_join_side;

/* Room for the batch; a side of which all rows are held has a link. `more` columns are computed. */
RATION_NODISCARD ration_status rn_join_side_set(rn_operator *op, const rn_schema *input,
                                                uint32_t more, const uint32_t *keys,
                                                uint32_t key_count, const uint32_t *held,
                                                uint32_t held_count, bool linked,
                                                rn_join_side *out_side);
/* What it allocates of the operator's context, on paper, for an input of `columns`. */
void rn_join_side_draft(rn_draft *draft, uint32_t columns, uint32_t held_count, bool linked,
                        const rn_sizes *sizes);
/* Groups and runs. `types` of the batch's columns. */
RATION_NODISCARD ration_status rn_join_side_open(rn_operator *op, const rn_type *types,
                                                 rn_join_side *side);
/* What that allocates of the operator's context; rn_groups_shards_bytes come on top. */
void rn_join_side_open_draft(rn_draft *draft, const rn_sizes *sizes);

/* Merges runs of either side where there is no room for more: before a side may take rows. Settles.
 */
RATION_NODISCARD ration_status rn_join_narrow(rn_operator *op);

#define RN_JOIN_PART_BYTES ((int64_t)(4 * RN_BLOCK_BYTES)) /* taken in at a time */

/* Holds rows picks[0..count) of the batch, part by part. Settles: what was found in either side may
 * be gone afterwards. `room`: one entry per row. Errors: ROW_TOO_WIDE, the limits' statuses,
 * SPILL_*; the query has been told. */
RATION_NODISCARD ration_status rn_join_side_take(rn_operator *op, rn_join_side *side,
                                                 const uint16_t *picks, uint32_t count,
                                                 const rn_row **room);
/* The row behind this one in the list of its key; NULL = the last. */
static inline const rn_row *rn_join_link(const rn_join_side *side, const rn_row *row)
{
    uint64_t link;
    memcpy(&link, rn_row_fixed(&side->groups.layout, row, side->held_count - 1), sizeof link);
    return (const rn_row *)(uintptr_t)link;
}
/* The rows of shards in memory in the order of the word: what is written out, or merged from where
 * they are. */
typedef struct rn_join_source {
    const rn_join_side *side;
    rn_groups_source heads;
    const rn_row *next; /* of the key in hand */
    uint64_t word;
} rn_join_source;
void rn_join_source_set(rn_join_source *source, rn_join_side *side, uint64_t mask);
/* rn_merge_memory.next */
bool rn_join_source_next(void *state, uint64_t *out_word, const rn_row **out_row);
/* Writes the shards of `mask` that have rows into one run and forgets them. */
RATION_NODISCARD ration_status rn_join_side_write(rn_operator *op, rn_join_side *side,
                                                  uint64_t mask);
/* Gives rows and tables of the shards back; what was written out stays. */
void rn_join_side_forget(rn_join_side *side, uint64_t mask);
void rn_join_side_close(rn_join_side *side);

/* ------------------------------------------------------------------------ one word's build rows */

#define RN_JOIN_GROUP_ROWS 4096u          /* in memory at most, and .. */
#define RN_JOIN_GROUP_BYTES (1024 * 1024) /* .. of about so many bytes */

/* Rows of one side with one word, in hand. */
typedef struct rn_join_group {
    rn_operator *op;
    const rn_layout *layout;
    uint32_t key_count;
    bool distinct;       /* keeps one row per key */
    const rn_row **rows; /* RN_JOIN_GROUP_ROWS */
    uint32_t count;
    bool uniform;                   /* all have the same key */
    bool copied;                    /* they lie in blocks of the group, not where they came from */
    int64_t bytes;                  /* of the rows */
    int64_t base_bytes, more_bytes; /* of the first block, and of the others */
    int64_t beyond_bytes;           /* what else was taken beyond the minimum */
    ration_context *base, *more;    /* owned: array and first block; further blocks */
    struct rn_join_block *first, *last;
} rn_join_group;

/* Draws the array and the first block, which holds the widest row: rn_join_group_bound. */
RATION_NODISCARD ration_status rn_join_group_open(rn_operator *op, const rn_layout *layout,
                                                  uint32_t key_count, bool distinct,
                                                  int64_t widest_bytes, rn_join_group *out_group);
int64_t rn_join_group_bound(int64_t widest_bytes);
/* All zeros: nothing to do. */
void rn_join_group_close(rn_join_group *group);
/* No rows; all blocks but the first are given back. */
void rn_join_group_clear(rn_join_group *group);
/* Will room for such a row be made by copying all there are, and settling? */
bool rn_join_group_grows(const rn_join_group *group, int64_t row_bytes);
/* Makes room for one more row; false = there is none. Settles when it grows, so a row in memory may
 * be elsewhere afterwards. */
RATION_NODISCARD ration_status rn_join_group_room(rn_join_group *group, int64_t row_bytes,
                                                  bool *out_room);
/* Adds a row, a copy of it once rows are copied. */
void rn_join_group_add(rn_join_group *group, const rn_row *row);
/* Is there one with its key? */
bool rn_join_group_knows(const rn_join_group *group, const rn_row *row);
/* Copies the rows that lie elsewhere; from then on all that are added. Cannot fail. */
void rn_join_group_copy(rn_join_group *group);

/* --------------------------------------------------------------------------------- both, merged */

/* Nested loops: the build rows of one word in a run, read again for every so many of its probe
 * rows, which are the group then. */
typedef struct rn_join_nested {
    enum { RN_NESTED_OFF, RN_NESTED_LOAD, RN_NESTED_SCAN, RN_NESTED_GIVE } stage;
    ration_context *context; /* owned: a block of the run, flags */
    rn_run run;
    rn_row_run_reader reader;
    void *block;
    size_t block_bytes;
    uint8_t *matched; /* per row of the group */
    uint32_t at;      /* of the group */
    bool used;        /* the row in hand is done with */
    bool last;        /* no probe rows of the word after these */
} rn_join_nested;

typedef struct rn_join_merge {
    ration_context *context; /* owned: reader, arrays */
    rn_merge build, probe;
    rn_join_source build_source, probe_source; /* of them, what is in memory */
    bool build_used, probe_used;               /* the row in hand is done with */
    rn_join_group group;                       /* rows of `word` */
    uint64_t word;
    bool loading, loaded; /* is it the build rows of that word, in part or all of them? */
    uint32_t at;          /* the probe row in hand is to be matched with the group from here on */
    bool matched;         /* and was with one before */
    uint32_t steps;       /* since the last settle */
    rn_join_nested nested;
    const rn_row **probe_rows; /* the batch to give: these and state->matches */
    rn_row_reader reader;
    rn_column *columns; /* what it reads */
    bool ended;
} rn_join_merge;

typedef enum rn_join_phase {
    RN_JOIN_BUILDING,
    RN_JOIN_PROBING,
    RN_JOIN_MERGING,
    RN_JOIN_ENDED
} rn_join_phase;

typedef struct rn_join_state {
    rn_join_phase phase;
    rn_join_side build, probe;
    rn_row_reader reader; /* of build rows */
    rn_picker picker;
    rn_evaluator **evaluators; /* per key, or NULL */
    uint16_t *present;         /* rows without a null key */
    uint16_t *aside;           /* rows to be held until the end */
    uint16_t *picks;
    const rn_row **matches;
    /* The probe batch in hand. */
    const rn_batch *input; /* NULL = pull */
    uint16_t *list_room;
    const uint16_t *list; /* its rows to be joined at once; NULL = all */
    uint32_t at, count;   /* in hand; of them in all */
    const rn_row *match;  /* next of the row in hand */
    bool started;         /* match belongs to it */
    uint64_t spills;      /* op->spills that list and matches know of */
    /* What spill must know. */
    bool lent;           /* the batch given out refers to rows held */
    int64_t owed_bytes;  /* was asked for while it could not be given */
    int64_t given_bytes; /* of held rows with strings or lists in the batch to give */
    rn_join_merge merge;
} rn_join_state;

/* join_probe.c */
RATION_NODISCARD ration_status rn_join_build(rn_operator *op);
/* Fills state->picks and matches for one batch of output; 0 rows = the input has ended. */
RATION_NODISCARD ration_status rn_join_probe(rn_operator *op, uint32_t *out_rows);
/* The shard that the row in hand is being matched with; RN_GROUP_SHARDS = none. */
uint32_t rn_join_pinned(const rn_join_state *state);

/* join_spilled.c: fills the whole batch of output; 0 rows = the end. */
RATION_NODISCARD ration_status rn_join_merge_open(rn_operator *op);
RATION_NODISCARD ration_status rn_join_merge_next(rn_operator *op);
void rn_join_merge_close(rn_operator *op);
/* What is in memory of either side, written out; nothing of it is referred to. */
RATION_NODISCARD ration_status rn_join_merge_write(rn_operator *op);
/* The least it works with, besides what was opened before. */
int64_t rn_join_merge_minimum(const rn_layout *layout, int64_t widest_bytes, const rn_sizes *sizes);

/* join_minimum.c */
rn_minimum rn_join_minimum(const rn_plan_node *node, const rn_sizes *sizes);
/* What opening the probe side draws, once everything else is open. */
int64_t rn_join_probe_bound(const rn_plan_node *node, const rn_sizes *sizes);

#define RN_JOIN_STEPS_MAX 8192u /* between two settles */

/* Takes the next row of a merge in hand when the one in hand is done with. Sets `*out_pause`
 * instead when rows of the batch to give would be gone. */
RATION_NODISCARD static inline ration_status rn_join_advance(rn_merge *merge, bool *used,
                                                             uint32_t count, bool *out_pause)
{
    if (*used) {
        if (count > 0 && rn_merge_turns(merge)) {
            *out_pause = true;
            return RATION_OK;
        }
        *used = false;
        return rn_merge_step(merge);
    }
    return RATION_OK;
}
/* Has the batch room for one more row? */
static inline bool rn_join_has_room(const rn_operator *op, uint32_t count)
{
    const rn_join_state *state = op->state;
    return count < op->worker->batch_rows && state->given_bytes < RN_BATCH_BYTES_MAX;
}
static inline void rn_join_count(rn_join_state *state, const rn_join_side *side, const rn_row *row)
{
    if (side->groups.layout.has_variable) {
        state->given_bytes += rn_row_bytes(row);
    }
}
static inline void rn_join_give(rn_join_state *state, const rn_row *probe, const rn_row *build,
                                uint32_t *count)
{
    rn_join_count(state, &state->probe, probe);
    if (build != NULL) {
        rn_join_count(state, &state->build, build);
    }
    state->merge.probe_rows[*count] = probe;
    state->matches[(*count)++] = build;
}

/* join_nested.c. Prepare: before the group grows for such a row, what nested loops would need is
 * drawn, so that more rows in memory are not paid with it. Settles. */
RATION_NODISCARD ration_status rn_join_nested_prepare(rn_operator *op, int64_t row_bytes);
/* Start: the row of build in hand does not fit into the group, and nothing is in the
 * batch to give. Both settle. */
RATION_NODISCARD ration_status rn_join_nested_start(rn_operator *op);
/* Goes on until the batch is full, the word is over, or it must pause. */
RATION_NODISCARD ration_status rn_join_nested_next(rn_operator *op, uint32_t *count,
                                                   bool *out_pause);
void rn_join_nested_close(rn_operator *op);
int64_t rn_join_nested_bound(int64_t widest_bytes);

#endif

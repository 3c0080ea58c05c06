/* SPDX-License-Identifier: Apache-2.0
 *
 * Ordered runs, and merging them: what every operator that spills shares.
 *
 *     rn_runs_open -> (rn_runs_begin -> rn_row_run_put in order ... -> rn_runs_end)*
 *                  -> rn_runs_narrow -> rn_merge_open -> rn_merge_step ... -> rn_merge_close
 *                  -> rn_runs_close
 *
 * An order is a word per row (smaller first) and a comparison that decides between equal words.
 * Sort spills in the order asked for, everything that works by hash in the order of the hash: one
 * mechanism, whose minimum is two blocks, whatever the data.
 *
 * Runs are few: when there are RN_RUNS_MAX, or more than buffers for them, rn_runs_narrow merges
 * the smallest into one, with as many buffers as it is given. */
#ifndef RATION_MERGE_H
#define RATION_MERGE_H

#include "executor/plan.h"

#define RN_RUNS_MAX 64u   /* kept at a time: from then on runs are to be narrowed .. */
#define RN_RUNS_SPARE 16u /* .. and until that is done a spill can still write so many */

/* `compare` (with equal words only) may be NULL: then rows with equal words come in any order. */
typedef struct rn_row_order {
    int (*compare)(const void *with, const rn_row *a, const rn_row *b);
    const void *with;
} rn_row_order;

/* A source in memory: rows in order. */
typedef struct rn_merge_memory {
    /* Takes the next row; false at the end. The row stays until the merge is closed, or its memory
     * written (rn_merge_write_memory). */
    bool (*next)(void *state, uint64_t *out_key, const rn_row **out_row);
    void *state;
    int64_t widest_bytes; /* of its rows; 0 = it will not be written */
} rn_merge_memory;

/* Runs of one operator, each in the same order. `mask` is the caller's: which parts of the order a
 * run has rows of (bit = part; sort has one part). */
typedef struct rn_kept_run {
    rn_run run;
    uint64_t mask;
    int64_t place; /* where a suspended merge goes on: this block .. */
    uint64_t hash; /* .. after blocks of this hash; place 0 = the start */
    uint32_t skip; /* bytes of the block */
    bool whole;
} rn_kept_run;

typedef struct rn_runs {
    rn_operator *op;
    rn_row_order order;
    rn_kept_run *runs; /* RN_RUNS_MAX + RN_RUNS_SPARE, oldest first */
    uint32_t count;
    rn_run_writer writer;  /* of the run in the making */
    int64_t spilled_bytes; /* ever, without rewriting */
} rn_runs;

/* Draws its handles from op->context, a bump context. Errors: the limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_runs_open(rn_operator *op, rn_row_order order, rn_runs *out_runs);
/* The same with handles from `context`, a bump context. */
RATION_NODISCARD ration_status rn_runs_open_in(rn_operator *op, ration_context *context,
                                               rn_row_order order, rn_runs *out_runs);
/* Releases what is left. All zeros: nothing to do. */
void rn_runs_close(rn_runs *runs);
/* Starts a run; rows go in by rn_row_run_put(&runs->writer, key, row), in order. Allowed while
 * rn_runs_room is true. `buffer`: RN_RUN_BLOCK_BYTES (inside of spill: worker->spill_buffer). Runs
 * may be written so while rn_runs_narrow settles. */
void rn_runs_begin(rn_runs *runs, void *buffer);
/* A run without rows is not kept. On failure there is no run. */
RATION_NODISCARD ration_status rn_runs_end(rn_runs *runs, uint64_t mask);
void rn_runs_abandon(rn_runs *runs);
/* To be narrowed where the operator is next in its own `next`. A spill that comes before then had
 * better write all there is, in one run. */
static inline bool rn_runs_full(const rn_runs *runs)
{
    return runs->count >= RN_RUNS_MAX;
}
static inline bool rn_runs_room(const rn_runs *runs)
{
    return runs->count < RN_RUNS_MAX + RN_RUNS_SPARE;
}

/* Merges runs until at most `keep` (1 or more) are left of those with a bit in common with any one
 * part, and rn_runs_full is false. Settles in between, also for its buffers (rn_runs_minimum at
 * least), so what is held may be spilled meanwhile. Nothing happens when nothing has to. Errors:
 * SPILL_*, the limits' statuses; then runs are gone, and the query has failed. */
RATION_NODISCARD ration_status rn_runs_narrow(rn_runs *runs, uint32_t keep);

/* What rn_runs_open allocates, for drafts; and what narrowing draws at most when it is given the
 * least, for rows up to max_row_bytes: two buffers to read, one to write. As much starts a
 * merge of two runs and memory. */
#define RN_RUNS_OPEN_BYTES ((RN_RUNS_MAX + RN_RUNS_SPARE) * sizeof(rn_kept_run))
int64_t rn_runs_minimum(const rn_sizes *sizes);

/* ---- one merge */

struct rn_merge_node;
struct rn_merge_source;

typedef struct rn_merge {
    uint64_t key;      /* of the row in hand */
    const rn_row *row; /* NULL = the end */
    rn_row_order order;
    struct rn_merge_source *sources;
    struct rn_merge_node *tree; /* of losers */
    uint32_t count;
    bool given;              /* the row in hand was, by rn_merge_rows */
    ration_context *context; /* owned: buffers, sources, tree */
} rn_merge;

/* What rn_merge_open draws: with these, or at most with `sources` of rows up to max_row_bytes.
 * Sources, tree, a buffer per run, and one to read back what was in memory. */
int64_t rn_merge_bound(const rn_runs *runs, uint64_t mask, const rn_merge_memory *memory);
int64_t rn_merge_minimum(const rn_sizes *sizes, uint32_t sources);
/* Merges the runs that have a bit of `mask`, and `memory` (may be NULL; copied). Draws its
 * buffers: settle by rn_merge_bound before. The first row is in hand afterwards. Errors: SPILL_*;
 * the limits' statuses when not settled for; on failure nothing is open. */
RATION_NODISCARD ration_status rn_merge_open(rn_merge *merge, const rn_runs *runs, uint64_t mask,
                                             const rn_merge_memory *memory);
/* Narrows, settles and opens: merges first when there are not buffers for all the runs. At least
 * rn_runs_minimum is asked for, up to what is wanted is taken when it is free. Settles. */
RATION_NODISCARD ration_status rn_merge_start(rn_merge *merge, rn_runs *runs, uint64_t mask,
                                              const rn_merge_memory *memory);
/* All zeros: nothing to do. */
void rn_merge_close(rn_merge *merge);
/* Bytes of its buffers: what suspending gives back. */
int64_t rn_merge_bytes(const rn_merge *merge);
/* Are rows left that come from memory? */
bool rn_merge_has_memory(const rn_merge *merge);
/* Inside of spill: writes the rows from memory that are left, also one in hand, as a run of `runs`,
 * from where they come from now on: nothing refers to that memory any more. Draws nothing. The row
 * in hand may have another address afterwards. Errors: SPILL_*; then the merge is not to be used.
 */
RATION_NODISCARD ration_status rn_merge_write_memory(rn_merge *merge, rn_runs *runs);
/* Inside of spill: closes the merge; its buffers are free, rows from memory are written as a run of
 * `runs`, and the next merge of these runs begins with the row in hand, or behind it when it was
 * given by rn_merge_rows. Runs that ended are gone. Draws nothing. Errors: SPILL_*. */
RATION_NODISCARD ration_status rn_merge_suspend(rn_merge *merge, rn_runs *runs);
/* Would the next step overwrite rows that were in hand before, because a source reads its next
 * block? What refers to them must be done with. */
bool rn_merge_turns(const rn_merge *merge);
/* Takes the next row in hand. Errors: SPILL_*. */
RATION_NODISCARD ration_status rn_merge_step(rn_merge *merge);
/* Instead of steps: up to `capacity` next rows, which stay until the next call; 0 at the end. The
 * last of them is in hand. Errors: SPILL_*. */
RATION_NODISCARD ration_status rn_merge_rows(rn_merge *merge, const rn_row **out_rows,
                                             uint32_t capacity, uint32_t *out_count);

#endif

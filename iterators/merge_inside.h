/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of merge.c and runs.c: what one merge is made of, and choosing runs for it. */
#ifndef RATION_MERGE_INSIDE_H
#define RATION_MERGE_INSIDE_H

#include "iterators/minimum.h"
#include "iterators/tournament.h"

#define RN_RUNS_ROOM (RN_RUNS_MAX + RN_RUNS_SPARE)
#define RN_MERGE_FRAME_BYTES (sizeof(struct rn_merge_source) + sizeof(struct rn_merge_node))

/* A run, or rows in memory. Its leaf is its index; memory is the last. */
struct rn_merge_source {
    rn_row_run_reader reader;
    rn_merge_memory memory; /* next NULL = a run */
    void *buffer;           /* for the run that memory is written to; NULL = it will not be */
    uint32_t kept;          /* the run's position in runs */
};

/* Runs to be merged: positions in `runs`. */
typedef struct rn_run_choice {
    uint32_t count;
    uint32_t at[RN_RUNS_ROOM];
} rn_run_choice;

static inline rn_spill_file *rn_runs_file(const rn_runs *runs)
{
    return runs->op->worker->spill_file;
}

/* runs.c: the runs with a bit of `mask`, smallest first. */
void rn_runs_choose(const rn_runs *runs, uint64_t mask, rn_run_choice *choice);
/* Keeps the run, or gives it back when nothing is in it. */
void rn_runs_keep(rn_runs *runs, rn_run *run, uint64_t mask);
/* Releases the runs chosen and closes the gaps; the masks of all of them. */
uint64_t rn_runs_drop(rn_runs *runs, const rn_run_choice *choice);

/* merge.c: what a merge of the first `count` chosen draws, with one more buffer for rows of
 * `widest_bytes` (-1 = none), as rn_memory_widest says it. */
int64_t rn_choice_bound(const rn_runs *runs, const rn_run_choice *choice, uint32_t count,
                        int64_t widest_bytes);
int64_t rn_memory_widest(const rn_merge_memory *memory);
RATION_NODISCARD ration_status rn_merge_open_choice(rn_merge *out_merge, const rn_runs *runs,
                                                    const rn_run_choice *choice,
                                                    const rn_merge_memory *memory);

#endif

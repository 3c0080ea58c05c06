/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of sorters, for sorter*.c only: what is held in memory. */
#ifndef RATION_SORT_PIECE_H
#define RATION_SORT_PIECE_H

#include "iterators/sorter.h"
#include "iterators/tournament.h"

/* A row, and its key beside it so that most comparisons do not look at the row. */
typedef struct rn_sort_entry {
    uint64_t key;
    const rn_row *row;
} rn_sort_entry;

struct rn_sort_run {
    struct rn_sort_run *next;
    rn_rows_cursor from; /* its rows: up to where the next run's begin */
    uint32_t count;
    bool sorted;
    rn_sort_entry entries[];
};

struct rn_sort_piece {
    struct rn_sort_piece *next;
    rn_rows rows;             /* its context holds the runs too */
    struct rn_sort_run *runs; /* newest first; only the newest may be unsorted */
    bool chosen;              /* to be written, or to be drawn from */
};

/* What is left of a run. */
typedef struct rn_sort_leaf {
    const rn_sort_entry *at, *end;
} rn_sort_leaf;

#define RN_SORT_RUN_BYTES                                                                          \
    ((size_t)RN_BLOCK_BYTES - 64) /* with what a context wants of a block, one block */
#define RN_SORT_RUN_ENTRIES                                                                        \
    ((uint32_t)((RN_SORT_RUN_BYTES - sizeof(struct rn_sort_run)) / sizeof(rn_sort_entry)))
#define RN_SORT_TREE_FIRST 64u
#define RN_SORT_TREE_BYTES (sizeof(struct rn_merge_node) + sizeof(rn_sort_leaf)) /* per run */
#define RN_SORT_TAKEN RN_BATCH_ROWS_MAX

/* sort_run.c: sorts the entries; and puts the rows of the piece's newest run, which is sorted, into
 * that order too, when there is scratch for it. */
void rn_sort_run(const rn_sorter *sorter, struct rn_sort_run *run);
void rn_sort_gather(const rn_sorter *sorter, struct rn_sort_piece *piece);

/* sorter_tree.c: puts the runs of all chosen pieces into the tree; takes up to `most` next rows
 * from it; and one, with the signature of rn_merge_memory. */
void rn_sorter_plant(rn_sorter *sorter);
uint32_t rn_sorter_take(rn_sorter *sorter, rn_sort_entry *out_entries, uint32_t most);
bool rn_sorter_draw(void *sorter, uint64_t *out_key, const rn_row **out_row);

/* sorter.c: */
static inline rn_row_order rn_sorter_order(const rn_sorter *sorter)
{
    return (rn_row_order){rn_sort_compare, sorter};
}
/* Bytes of the pieces that have rows. */
int64_t rn_sorter_held(const rn_sorter *sorter);
/* Chooses the oldest pieces with rows, of together `want_bytes` at least. */
void rn_sorter_choose(rn_sorter *sorter, int64_t want_bytes);
/* Gives back the scratch for rows, and what that is. */
void rn_sorter_clear_aside(rn_sorter *sorter);
int64_t rn_sorter_aside_bytes(const rn_sorter *sorter);
/* Frees the pieces chosen; the newest is emptied. */
void rn_sorter_forget(rn_sorter *sorter);

#endif

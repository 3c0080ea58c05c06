/* SPDX-License-Identifier: Apache-2.0
 *
 * One breadth-first search: a bit per node (seen), and a queue of the nodes reached, in the order
 * they were reached. The frontier is the part of the queue that belongs to the last level. It is
 * left node by node from the front, while what is found goes to the end.
 *
 *     rn_search_open -> (rn_search_start -> (rn_search_front -> rn_search_leave)* -> rn_search_turn
 *                        -> ...)* -> rn_search_close
 *
 *     past chunks | head chunk | blocks of a run | chunks in memory | tail chunk     oldest first
 *
 * Chunks that have been left are kept: they say which bits to clear before the next search. When
 * there is no room for them they are given up first, for nothing but that all bits are cleared
 * then; after that, what lies between head and tail is written to a run in order, and read back
 * into the head's own memory. So two chunks are enough, whatever the search reaches. The bits stay.
 *
 * Invariants: a bit is set exactly for the nodes reached · entries [0, level_end) are all that are
 * reached within `level` hops · only full chunks are written. */
#ifndef RATION_SEARCH_H
#define RATION_SEARCH_H

#include "iterators/minimum.h"
#include "iterators/sides.h"

#define RN_SEARCH_SEGMENT_BYTES 64000u
#define RN_SEARCH_CHUNK_NODES 16000u

typedef struct rn_search_chunk {
    struct rn_search_chunk *next;
    char head[RN_RUN_HEAD_BYTES]; /* of the run's block that is read into this chunk */
    uint32_t nodes[RN_SEARCH_CHUNK_NODES];
} rn_search_chunk;

typedef struct rn_search {
    rn_operator *op;
    const rn_sides *sides;
    uint64_t **seen; /* by segment */
    uint64_t node_count;
    rn_search_chunk *spare;          /* empty */
    rn_search_chunk *past;           /* left; all of them, unless `forgot` */
    rn_search_chunk *head;           /* NULL before the first search */
    rn_search_chunk *first, *last;   /* in memory behind the head and the run */
    rn_search_chunk *tail;           /* `last`, or the head; NULL when it is full and written out */
    uint32_t head_at, tail_at;       /* next entry to leave, to fill */
    uint64_t head_index, tail_index; /* of all */
    uint64_t level_end;              /* head_index <= level_end <= tail_index */
    uint32_t level;
    bool forgot;          /* which bits are set is not known */
    int64_t unread;       /* blocks of the run that are still to come */
    rn_run_writer writer; /* run.number 0 = no run */
    rn_run_reader reader; /* file NULL = not started */
    int64_t work;         /* since the last settle */
} rn_search;

/* Errors: the limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_search_open(rn_operator *op, const rn_graph *graph,
                                              const rn_sides *sides, rn_search *out_search);
/* Repeats that on paper; returns what chunks need besides. */
int64_t rn_search_minimum(rn_draft *draft, const rn_graph *graph);
/* A search that was not opened is allowed, all zeros. Its memory goes with the operator's. */
void rn_search_close(rn_search *search);

/* Empties the search and starts it at `node`, level 0. Errors: the limits' statuses. */
RATION_NODISCARD ration_status rn_search_start(rn_search *search, uint32_t node);
/* The next nodes of the frontier: up to `most` that lie in one piece; 0 = the level is through.
 * They stay until rn_search_turn or the next rn_search_front. Errors: SPILL_*. */
RATION_NODISCARD ration_status rn_search_front(rn_search *search, uint32_t most,
                                               const uint32_t **out_nodes, uint32_t *out_count);
/* Leaves the first `count` nodes of that piece through all sides, until one that leads into `other`
 * (may be NULL) was left: then `*met`. Settles now and then. Errors: the limits' statuses,
 * SPILL_*. */
RATION_NODISCARD ration_status rn_search_leave(rn_search *search, const rn_search *other,
                                               uint32_t count, bool *met);
/* Passes them without leaving. */
void rn_search_skip(rn_search *search, uint32_t count);
/* One hop more, when the level is through; false = nothing was reached by it. */
bool rn_search_turn(rn_search *search);
static inline uint64_t rn_search_frontier(const rn_search *search)
{
    return search->level_end - search->head_index;
}

int64_t rn_search_spillable(const rn_search *search);
/* Gives up or writes out until `*want_bytes`, which it lowers, came free. Errors: SPILL_*. */
RATION_NODISCARD ration_status rn_search_spill(rn_search *search, int64_t *want_bytes);

#endif

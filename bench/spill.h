/* SPDX-License-Identifier: Apache-2.0
 *
 * The spill benchmark's shapes and what one run of one of them yields. bench/spill.c says how it is
 * called; tests/spill calls the same program.
 *
 * Scale. All rows, groups, nodes and edges are those of the full shape times the scale; so are the
 * limits in MiB (spill_cells.c).
 */
#ifndef RATION_BENCH_SPILL_H
#define RATION_BENCH_SPILL_H

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/heap.h"
#include "executor/plan.h"
#include "memory/machine/probe.h"

#define SPILL_MIB (INT64_C(1) << 20)
#define SPILL_UNLIMITED (INT64_C(1) << 40)
#define SPILL_PLANS "bench/spill.yaml"

typedef struct spill_shape {
    const char *name;
    const char *plan; /* in spill.yaml */
    int64_t rows, groups;
    int64_t limits_mib[3]; /* what DuckDB and kuzu were given: 50, 25, 12.5% of their own peaks */
    int64_t floor_mib;     /* 0 = none */
    uint32_t ordered;      /* the result is in order of that many leading columns */
    bool graph;
    bool rescans;          /* the host holds the result and reads it twice */
    const char *generator; /* the shape that is its rows alone; NULL = no peer runs it */
} spill_shape;

/* Ends with a name of NULL. */
extern const spill_shape spill_shapes[];
/* NULL when there is none. */
const spill_shape *spill_shape_find(const char *name);

typedef struct spill_result {
    char status[32];
    int64_t rows;
    uint64_t hash;   /* of the rows as a multiset */
    int64_t sorted;  /* 0 = a row came before one that is less in the ordered columns */
    int64_t wall_ns; /* open to close */
    int64_t cpu_ns;  /* of the process meanwhile */
    int64_t start_bytes, peak_bytes; /* resident: before anything is loaded, and at most */
    int64_t limit_bytes;             /* of `queries`: what the shape may hold */
    int64_t minimum_bytes;           /* what it would have needed; 0 = the limit was enough */
    int64_t data_bytes;              /* of the graph */
    int64_t held_bytes;              /* charged, at most, as seen at settles */
    int64_t spilled_bytes;           /* written */
} spill_result;

/* ---- parts/spill_fold.c */

typedef struct spill_fold {
    uint32_t ordered;
    bool sorted;
    int64_t rows;
    uint64_t hash;
    int64_t last[2]; /* the ordered columns of the last row */
} spill_fold;

void spill_fold_begin(spill_fold *fold, uint32_t ordered);
/* `columns` of int64 without nulls or selections. */
void spill_fold_words(spill_fold *fold, const int64_t *const *columns, uint32_t count,
                      uint32_t rows);
void spill_fold_batch(spill_fold *fold, const rn_batch *batch);

/* ---- parts/spill_result.c */

/* Processor time of the process. */
int64_t spill_cpu_ns(void);
/* One line of key=value. */
void spill_result_put(const spill_result *result);
bool spill_result_get(const char *line, spill_result *out_result);

/* ---- parts/spill_run.c */

/* What a run is asked to do. */
typedef struct spill_task {
    const spill_shape *shape;
    int64_t limit_bytes;
    double scale;
    const char *directory; /* where it spills, and the graph lies */
    const char *group; /* a memory control group to run in, 64 MiB larger than the limit; or NULL */
} spill_task;

/* Warms up, runs the shape in this process, fills `out_result`; a run that is refused has its
 * status there. Ends the process when the bench itself cannot work. */
void spill_run(const spill_task *task, spill_result *out_result);
/* The plan's rows into `fold`; the query's status. */
ration_status spill_execute(ration_query *query, const rn_plan *plan, bool rescans,
                            spill_fold *fold);
/* Why the query stopped, on stderr. */
void spill_explain(ration_query *query);

/* ---- parts/spill_world.c */

typedef struct spill_world {
    const spill_task *task;
    ration_governor *governor;
    rn_slot *data_slot;
    rn_graph *graph;
    rn_plan_file file;
    rn_plan *plan;
    int64_t start_bytes; /* resident after the warm-up */
    int64_t data_bytes;  /* of the graph */
} spill_world;

/* There is one. Ends the process when it cannot be opened. */
spill_world *spill_world_open(const spill_task *task, int64_t rows, int64_t groups);
void spill_world_close(spill_world *world);
ration_query *spill_query_open(spill_world *world);

/* ---- parts/spill_shapes.c */

int64_t spill_scaled(int64_t count, double scale);

/* ---- parts/spill_child.c */

/* Runs the task by `program` in a process of its own; with a library, the program is a peer's and
 * is given it first. A process that died has its signal as status. */
void spill_child(const char *program, const char *library, const spill_task *task,
                 spill_result *out_result);

/* ---- parts/spill_cells.c */

typedef struct spill_options {
    const char *program;        /* this one */
    const char *peer, *library; /* another engine's, or NULL */
    const char *directory;
    const char *groups; /* where control groups can be made: few cells, each in one; or NULL */
    double scale;
    int rounds;
} spill_options;

/* The shape under each of its limits: one line per cell. False when one of them is not as it must
 * be. */
bool spill_cells(const spill_options *options, const spill_shape *shape);

/* ---- parts/spill_together.c */

typedef struct spill_crowd {
    int64_t count;  /* of queries */
    int64_t groups; /* of each */
    int64_t limit_bytes;
    bool in_turn; /* one after another */
    const char *directory;
} spill_crowd;

/* Runs them and prints a line; an exit code. */
int spill_together(const spill_crowd *crowd);

#endif

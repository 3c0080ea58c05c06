/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the simulation share: plans and what they must answer, the queries of a seed,
 * the oracle.
 *
 *     sim_library_open -> (sim_play(seed))* -> sim_library_close
 */
#ifndef RATION_TESTS_SIM_SIM_H
#define RATION_TESTS_SIM_SIM_H

#include "executor/ask.h"
#include "executor/execution.h"
#include "executor/monitor.h"
#include "tests/reference/engine.h"
#include "tests/sim/scheduler.h"

/* ---- plans.c: plans, and what they answer without any limit */

typedef struct sim_plan {
    rn_plan *plan;
    const char *yaml;
    bool hogs;    /* one of its operators holds what it cannot give */
    bool ordered; /* rows come in one order */
    bool lists;   /* holds rows of any width */

    /* Random plans: evaluated by the reference. */
    const random_graph *model; /* NULL = none: compared by digest */
    naive_table expected;
    bool fails; /* is to answer EVALUATION .. */
    bool lazy;  /* .. or not */

    /* Plans made here: what they answered alone, without a limit. */
    int64_t rows;
    uint64_t digest;
} sim_plan;

/* Plans for the seeds that share `number`; the same number gives the same plans. */
void sim_library_open(uint64_t number);
uint32_t sim_library_count(void);
const sim_plan *sim_library_plan(uint32_t index);
void sim_library_close(void);

/* What a query has answered so far. */
typedef struct sim_answer {
    rn_arena arena;
    naive_table table;
    int64_t rows;
    uint64_t digest;
} sim_answer;

void sim_answer_add(const sim_plan *plan, sim_answer *answer, const rn_batch *batch);
/* Are these the rows? Else `why` says what differs. */
bool sim_answer_is_right(const sim_plan *plan, sim_answer *answer, rn_text *why);
void sim_answer_free(sim_answer *answer);

extern const rn_operator_class sim_hog_class;

/* ---- script.c: what happens under a seed */

#define SIM_QUERIES_MAX 16
#define SIM_HOMES_MAX 3

/* A governor, and what its queries can count on. */
typedef struct sim_home {
    char name[8];
    ration_limits limits;      /* those in force */
    ration_governor *governor; /* NULL = not open yet, or not any more */
    int64_t arrives_ns;
    int64_t living;            /* queries of it that have not ended */
    int64_t visitors;          /* who else must find it open */
    int64_t least_limit_bytes; /* that the root ever had or, where it follows, could have had */
    int64_t least_group_bytes[RATION_GROUPS_MAX]; /* by the first letter of its name */
    bool lost_groups;                             /* a reload took some away */
    int64_t seen_bytes; /* what the machine had for all homes when it last looked */
} sim_home;

/* A query of another engine. */
typedef struct sim_host {
    bool spills, rests, two_workers;
    int64_t claim_bytes, steps, step_bytes;
} sim_host;

typedef struct sim_query {
    char name[16];
    sim_home *home;
    const sim_plan *plan; /* NULL = of another engine: `host` */
    sim_host host;
    ration_query_options options;
    int64_t arrives_ns;
    int64_t cancel_ns;    /* when somebody cancels it; INT64_MAX = nobody */
    int64_t idle_ns;      /* a cursor: rests for so long between two batches; 0 = does not */
    int64_t leaves_after; /* batches after which it is closed; INT64_MAX = at the end */

    ration_query *query; /* NULL = not open */
    rn_execution *execution;
    bool opened, cancelled, left, ended;
    int64_t peers; /* of a host: other workers that have not ended */
    ration_status status;
    bool cut_off; /* refused when the limit was below what had been claimed */
    bool refused;
    ration_refusal refusal;
    ration_error error;
    sim_answer answer;
} sim_query;

typedef struct sim_world {
    bool follows;       /* the homes divide the machine's memory; else there is a given limit */
    int64_t need_bytes; /* where they do: each gets so much, once the strangers are gone */
    uint32_t home_count;
    sim_home homes[SIM_HOMES_MAX];
    uint32_t query_count;
    sim_query queries[SIM_QUERIES_MAX];
    bool impatient;     /* waits for memory may time out */
    bool faulty;        /* the disk fails, lies, or is full at times */
    bool small_quota;   /* of spilling */
    bool out_of_memory; /* allocations fail at times */
} sim_world;

extern sim_world sim_the;

typedef struct sim_totals {
    uint64_t seeds, queries, right, refused, victims, cancelled, late, spill_failed, no_memory,
        below_minimum, evaluation, left, timed_out, steps, raises, cuts, reloads, bad_reloads;
    int64_t written_bytes;
} sim_totals;

/* Plays one seed and returns the hash of its trace. Any failure ends the test. */
uint64_t sim_play(uint64_t seed, sim_totals *totals);

/* ---- homes.c: governors */

extern const char *const sim_group_names[3];
/* From what all have alike. */
void sim_homes_choose(const ration_limits *limits, int64_t now_ns);
void sim_homes_spawn(void);
/* It is open until it is left; false = it is not. */
bool sim_home_enter(sim_home *home);
void sim_home_leave(sim_home *home);
/* Other limits, good or bad ones. */
void sim_home_reload(sim_home *home, sim_totals *totals);

/* ---- machine.c: the machine whose memory is read */

void sim_machine_open(void);
void sim_machine_close(void);
/* Of a seed: its memory, the part of what is granted that is resident, in %, and whether that is
 * the memory of a control group. */
void sim_machine_begin(int64_t total_bytes, int64_t resident_percent, bool grouped);
/* What others than the homes have of it from now on. */
void sim_machine_take(int64_t bytes);
int64_t sim_machine_total(void);
/* What it has for the homes. */
int64_t sim_machine_left(void);
/* What the process has in memory now: its homes, and itself. */
int64_t sim_machine_resident(void);
/* Puts down what is free now, and what the process has, for who looks; returns both together. */
int64_t sim_machine_show(void);
/* Where it is, as the monitor wants to know; and the folder of the registry. */
const rn_monitor_place *sim_machine_place(void);
const char *sim_machine_registry(void);
/* How many governors are in it. */
int64_t sim_machine_registered(void);

/* ---- hosts.c */

/* The life of an open query of another engine; and its second worker. */
RATION_NODISCARD ration_status sim_host_run(sim_query *query);
void sim_host_spawn_peer(sim_query *query);

/* ---- oracle.c */

void oracle_begin(void);
/* Before a pool's limit is set: what is granted above may stay, and must not grow; and a home that
 * follows the machine is given more only from what is not held. */
void oracle_limit(ration_pool *pool, int64_t limit_bytes);
void oracle_unlocked(rn_ledger *ledger);
void oracle_asked(const rn_slot *slot, int64_t bytes, const rn_reply *asked);
/* What the query claims. */
int64_t oracle_minimum(const sim_query *query);
/* After each step. */
void oracle_step(void);
/* Of a query that has ended, before it is closed .. */
void oracle_query(sim_query *query, sim_totals *totals);
/* .. of a governor whose queries are closed .. */
void oracle_home(sim_home *home);
/* .. and of a world in which all are. */
void oracle_end(void);
/* Counts limits raised and cut. */
void oracle_count(sim_totals *totals);

#endif

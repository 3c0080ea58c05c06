/* SPDX-License-Identifier: Apache-2.0
 *
 * Governor and query from the inside. The governor is where configuration meets the ledger; a query
 * owns all it was given: its pool, its slots, its first error. */
#ifndef RATION_GOVERNOR_H
#define RATION_GOVERNOR_H

#include <pthread.h>

#include "base/heap.h"
#include "executor/group.h"
#include "executor/monitor.h"
#include "memory/context.h"
#include "ration_ask.h"

#define RN_QUERY_SLOTS_MAX 64u
#define RN_SLOT_DETACHED ((int64_t)-1) /* in slot.thread: nobody, until somebody attaches */

struct ration_governor {
    rn_settings *settings; /* in force; replaced, and read by all but opening, under the ledger's
                              lock */
    rn_ledger *ledger;
    rn_blocks *blocks;
    ration_pool *root, *data, *queries, *retained;
    ration_pool *all_data; /* of all processes: `data` itself, or its parent when it is shared */
    int64_t opened;        /* queries ever; atomic */
    rn_monitor *monitor;   /* of the machine; always there once it is open */
    int64_t limit_derived; /* the root's limit is a share of the machine; atomic */
    int64_t settle_shift;  /* guards settle 2^shift times as often: memory is short; atomic */
    int64_t process;       /* pid that opened it, when it is shared; else 0 */
    rn_spill_volume *volume;
    rn_group *groups; /* also those that only drain; under the ledger's lock */
    int64_t reloader; /* pid of who reloads; 0 = nobody; atomic */
    int64_t reloads;  /* that succeeded, ever; atomic */
    /* Of admission; under the ledger's lock. */
    ration_query *first_turn; /* who waits for its claim, by priority, then age */
    int64_t turns_waiting;
    int64_t turns;    /* ever */
    int64_t admitted; /* queries */
    int64_t short_of; /* asks that the root had no room for, ever */
    int64_t rests; /* 1 = somebody waits for one that is left alone, since the last tick; atomic */
};

/* ration_governor_open for a machine that is elsewhere. */
RATION_NODISCARD ration_status rn_governor_open_at(const ration_limits *limits,
                                                   const rn_monitor_place *place,
                                                   ration_governor **out_governor,
                                                   ration_error *error);

/* Those in force, held for the caller. Any thread; takes the ledger's lock. */
rn_settings *rn_governor_settings(ration_governor *governor);

/* Is there a group of this name? Errors: INVALID_ARGUMENT, with a suggestion. */
RATION_NODISCARD ration_status rn_governor_group(ration_governor *governor, const char *name,
                                                 ration_error *error);

/* The child of a fork has a shared governor of its parent, and not the memory its ledger is in. */
bool rn_governor_is_inherited(const ration_governor *governor);

struct ration_query {
    ration_governor *governor;
    rn_settings *settings; /* in force when it was opened */
    ration_pool *pool;
    rn_group *group;              /* NULL = none */
    const ration_group *of_group; /* of `settings`; NULL = none */
    int64_t number;               /* of the governor, from 1 */
    rn_spill_quota spill_quota;   /* below its group's and the volume's */
    char name[RN_POOL_NAME_BYTES];
    int64_t
        status; /* ration_status; any worker sets it once by compare-and-swap, all read relaxed */
    int64_t cancelled;   /* any thread sets, workers read relaxed at settle */
    int64_t rows_left;   /* row budget not yet taken by workers; INT64_MAX = unlimited; atomic */
    int64_t deadline_ns; /* CLOCK_MONOTONIC; INT64_MAX = none; fixed at open */
    int64_t spillable_bytes; /* what its workers could write out, summed; atomic */
    int64_t want_bytes;  /* asked of it by others; written under the ledger's lock, read by all */
    int64_t told_bytes;  /* 1 + most used since it was asked to give; 0 = was not; so too */
    int64_t spent_bytes; /* used when giving last freed nothing: until more is, it cannot; so too */
    pthread_mutex_t slots_lock; /* of the next five; the ledger's lock and `lock` may be asked for
                                   under it, not the other way round */
    rn_slot *slots[RN_QUERY_SLOTS_MAX]; /* NULL = a free place */
    int64_t peaks[RN_QUERY_SLOTS_MAX];  /* highest peak_bytes of slots that had the place before */
    uint64_t places;                    /* bit = the place is taken */
    int64_t rows_unsettled, bytes_unsettled; /* of returned slots, until the next slot takes them */
    /* Of asking and admission; under the ledger's lock. */
    int64_t claiming_bytes;   /* scratch of one ask: the claim it would have */
    int64_t fruitless;        /* answers in a row that freed nothing .. */
    int64_t left_alone;       /* .. and those since somebody was inside, of the last moments .. */
    int64_t left_alone_ns;    /* .. and when the last of them was */
    bool spent_away;          /* spent_bytes is of such an answer */
    rn_slot *entry;           /* asks for its claim; of whoever claims; NULL = none has been */
    bool admitted;            /* until it is closed */
    bool waits_turn;          /* in the governor's list */
    bool behind_gate;         /* because queries_max of its group are admitted */
    bool behind_pressure;     /* because the host is short of memory */
    int64_t turn_number;      /* its age there */
    int64_t turn_since_ns;    /* in the list */
    ration_pool *stopped_at;  /* where it waits: stops those behind it that lie below, too */
    ration_query *turn_next;  /* in the list */
    pthread_cond_t run_free;  /* a slot is no longer taken (giving.c); with `lock` */
    pthread_mutex_t lock;     /* all below; never held while the ledger's lock is asked for */
    bool own_limit;           /* limit_bytes of its options; fixed at open */
    bool refused;             /* `refusal` is set */
    bool settled;             /* `refusal` is that of the sticky status, and stays */
    int64_t refusal_sequence; /* of the ledger */
    ration_refusal refusal;
    ration_error error;                    /* status RATION_OK = none */
    char largest_site[RN_POOL_NAME_BYTES]; /* published by workers now and then, for other queries'
                                              refusals */
    int64_t largest_bytes;
};

/* The limit that memory.yaml derives on this machine for who divides it with nobody. Errors:
 * ENVIRONMENT. */
RATION_NODISCARD ration_status rn_derive_limit(const ration_limits *limits, const char *sysroot,
                                               rn_probe *out_probe, int64_t *out_limit_bytes,
                                               ration_error *error);

/* What a query goes by: the settings in force and, unless `group` is NULL, its group in them.
 * Errors: INVALID_ARGUMENT, as rn_governor_group. */
RATION_NODISCARD ration_status rn_query_begin(ration_query *query, const char *group,
                                              ration_error *error);
void rn_query_end(ration_query *query);

/* Of its group, now; the ledger's lock is held. */
static inline int64_t rn_query_priority(const ration_query *query)
{
    return query->group == NULL ? 0 : query->group->priority;
}

/* The query a slot belongs to. */
static inline ration_query *rn_slot_query(const rn_slot *slot)
{
    return (ration_query *)slot->owner;
}

/* In checked builds: a fault unless the slot is attached to the calling thread, which the first use
 * of a new slot does. */
#ifdef RATION_CHECKED
void rn_slot_expect_caller(rn_slot *slot);
#else
static inline void rn_slot_expect_caller(rn_slot *slot)
{
    (void)slot;
}
#endif

/* Makes the calling thread the owner of a slot that nobody uses for a while; answers whose it was,
 * for handing back. */
int64_t rn_slot_borrow(rn_slot *slot);
void rn_slot_hand_back(rn_slot *slot, int64_t thread);

/* In the child of a fork: the locks of the query may be held by threads that are not there. */
void rn_query_after_fork(void *owner);

/* Keeps the slot's last refusal as the query's latest; does not stop the query. */
void rn_query_note_refusal(ration_query *query, const rn_slot *slot, const char *site);
/* Makes `status` the query's sticky status unless it has one, keeping the detail: a refusal from
 * `slot->no` when it is one of memory and there is no `error`, else `error` (may be NULL). Returns
 * the sticky status. Any worker. */
ration_status rn_query_fail(ration_query *query, rn_slot *slot, const char *site,
                            ration_status status, const ration_error *error);
/* Copies the first error that was no refusal; false when there was none. */
bool rn_query_error(ration_query *query, ration_error *out_error);

/* The slow half of every settle: cancel, deadline, a peer's error, budgets. RATION_OK to go on. */
RATION_NODISCARD ration_status rn_query_poll(ration_query *query);

/* Most bytes its workers held, summed, as seen at their settles (credit not counted). After the
 * workers have stopped. */
int64_t rn_query_peak(const ration_query *query);

/* Notes which operator of the query holds most, for refusals and reports. Any worker. */
void rn_query_publish(ration_query *query, const char *site, int64_t bytes);

/* Does this status say no for want of memory (and so has a refusal)? */
static inline bool rn_is_refusal(ration_status status)
{
    return status == RATION_QUERY_LIMIT || status == RATION_GROUP_LIMIT ||
           status == RATION_GLOBAL_LIMIT || status == RATION_DATA_LIMIT ||
           status == RATION_VICTIM || status == RATION_QUEUE_TIMEOUT ||
           status == RATION_QUEUE_FULL || status == RATION_MINIMUM_ABOVE_LIMIT;
}

/* Fills a refusal from what the slow path noted about an ask of this query; the one place that
 * builds refusals. Does not allocate. The first takes the ledger's lock, the second is called with
 * it held. */
void rn_refusal_build(ration_refusal *out_refusal, ration_query *query, const rn_no *no,
                      const char *site);
void rn_refusal_build_locked(ration_refusal *out_refusal, ration_query *query, const rn_no *no,
                             const char *site);

#endif

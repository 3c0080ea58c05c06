/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving: what a query can write out, who writes it, and the answer to those who asked.
 *
 *     rn_slot_enter -> work, at each settle rn_give when rn_ask_wants -> rn_slot_leave
 *     rn_reclaim_idle        by somebody who waits, for queries that nobody is inside of
 */
#ifndef RATION_GIVING_H
#define RATION_GIVING_H

#include "executor/governor.h"

/* Where the worker of a slot is: slot->run. */
typedef enum rn_run_state {
    RN_RUN_INSIDE, /* from the start */
    RN_RUN_IDLE,   /* left: whoever takes it may call its spiller */
    RN_RUN_TAKEN,  /* somebody does, and owns the slot meanwhile */
    RN_RUN_CALLED  /* idle, and its spiller was called since it left */
} rn_run_state;

static inline bool rn_slot_is_idle(const rn_slot *slot)
{
    int64_t run = rn_load_seq_cst(&slot->run);
    return run == RN_RUN_IDLE || run == RN_RUN_CALLED;
}

/* Where all the workers are that have a spiller. Under the ledger's lock. */
typedef enum rn_presence { RN_NOBODY_SPILLS, RN_INSIDE, RN_AWAY } rn_presence;
rn_presence rn_query_presence(const ration_query *query);
/* Has a worker come back since the query was last written out while all were away? What lay in the
 * hands of a consumer then can be given now. Under the ledger's lock. */
bool rn_query_came_back(const ration_query *query);

/* Wakes its workers that wait, or only those that rest outside of the queue, to ask again. Under
 * the ledger's lock. */
void rn_query_wake(const ration_query *query, bool resting_only);

/* Says how much the slot's worker could write out if asked; 0 = it cannot. Its query is told the
 * sum over its slots. Owner only. */
void rn_ask_can_spill(rn_slot *slot, int64_t bytes);
/* Lets the slot's spiller write out `want_bytes` (of which it may have less), tells what is left,
 * and answers for the query. Without a spiller it only answers. Owner only. Errors: the spiller's.
 */
RATION_NODISCARD ration_status rn_give(rn_slot *slot, int64_t want_bytes);
/* The same by whoever claims for the query: of a slot that is idle, or the caller's. */
RATION_NODISCARD ration_status rn_give_for(rn_slot *slot, int64_t want_bytes);
/* Spills for queries that were asked to give and that nobody is inside of, and answers for them.
 * Any thread that is inside of none of them; no lock is held. */
void rn_reclaim_idle(ration_governor *governor);
/* The same for one of them, up to so many bytes; false = there is none. */
bool rn_reclaim_one(ration_governor *governor, int64_t most_bytes);

/* Slow halves. */
void rn_slot_enter_slow(rn_slot *slot);
void rn_slot_leave_slow(rn_slot *slot);

/* The worker comes back; owner only. Waits while somebody else spills for it. */
static inline void rn_slot_enter(rn_slot *slot)
{
    int64_t idle = RN_RUN_IDLE;
    if (RN_UNLIKELY(!rn_compare_swap(&slot->run, &idle, RN_RUN_INSIDE))) {
        rn_slot_enter_slow(slot);
    }
}

/* The worker goes away, to come back some day, also as another thread; owner only. What is asked of
 * the query is given first: whoever sleeps on an answer gets it, from here or by rn_reclaim_idle.
 * The exchange and the look are ordered as those of the asker are, the other way round, so one of
 * the two sees it. */
static inline void rn_slot_leave(rn_slot *slot)
{
    rn_store(&slot->thread, 0); /* whoever uses it next */
    rn_exchange_seq_cst(&slot->run, RN_RUN_IDLE);
    if (RN_UNLIKELY(rn_load_seq_cst(&rn_slot_query(slot)->want_bytes) != 0)) {
        rn_slot_leave_slow(slot);
    }
}

#endif

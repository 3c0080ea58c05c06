/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking for bytes that are not there: who gives, who waits, who goes.
 *
 *     rn_ask -> granted
 *            -> spill   (write out, rn_ask_gave, ask again)
 *            -> wait    (rn_ticket_wait on the slot, ask again for the same bytes; or
 * rn_ask_withdraw)
 *            -> refused (the status says by whom)
 *
 * Nothing here blocks or calls an operator; a worker sleeps on its ticket, a host schedules. One
 * slot asks for one thing at a time. Any thread may ask for slots it owns.
 */
#ifndef RATION_ASK_H
#define RATION_ASK_H

#include "executor/giving.h"
#include "memory/queue.h"

typedef enum rn_answer {
    RN_ASK_GRANTED, /* the bytes are charged to the slot */
    RN_ASK_SPILL,   /* the query is to write out `want_bytes` first */
    RN_ASK_WAIT,    /* the slot has a ticket; others were asked to give */
    RN_ASK_REFUSED
} rn_answer;

typedef struct rn_reply {
    rn_answer answer;
    ration_status status; /* RATION_OK unless refused */
    int64_t want_bytes;   /* RN_ASK_SPILL: at least; 0 otherwise */
} rn_reply;

/* Who rests looks as often. */
#define RN_LOOK_NS (INT64_C(50) * 1000 * 1000)

/* Asks for `bytes` at `site` (static text) with everything that can be done about it. Refused for
 * memory: the refusal is the slot's last (rn_slot_refusal). Refused for another reason (the query
 * was cancelled, failed, or is a victim): the status of that. Cost: the lock, and one pass over the
 * pools below the limit that is full. */
rn_reply rn_ask(rn_slot *slot, int64_t bytes, const char *site);
static inline ration_reply rn_reply_public(rn_reply asked)
{
    return (ration_reply){(ration_answer)asked.answer, asked.status, asked.want_bytes};
}

/* Asks that the query's claim be `bytes`, through its entry slot, with the ledger's lock held. With
 * `turn` it waits for others to end, too: then RN_ASK_WAIT may leave the ticket resting, and who
 * makes room must say so; `*no` says at which pool. Without, it is asked for as any bytes. */
rn_reply rn_ask_claim_locked(ration_query *query, int64_t bytes, const char *site, bool turn,
                             rn_no *no);
/* Sleeps on the ticket until the slot is to ask again, after it has spilled for idle queries;
 * RATION_OK then. Past `until_ns` QUEUE_TIMEOUT, past the query's time DEADLINE: out of the queue.
 * Owner only; a cancellation point. */
RATION_NODISCARD ration_status rn_ask_wait(rn_slot *slot, int64_t until_ns);
/* A limit was cut: asks queries below every pool that is above its limit to give, and wakes who
 * waits, to look for himself. */
void rn_ask_press(ration_governor *governor);
/* The same as if the root's limit were `bytes`, for memory that the host lacks: but for those who
 * are above their share of that nobody is disturbed, and nothing is refused. */
void rn_ask_press_to(ration_governor *governor, int64_t bytes);
/* Wakes who rests, outside of the queue, to ask again: the limit has changed, or a moment is over.
 */
void rn_ask_wake_resting(ration_governor *governor);
/* Takes the slot out of the queue: it will not ask again. `status` RATION_QUEUE_TIMEOUT makes what
 * it waited for its refusal. False: granted meanwhile, nothing is done; asking again takes it. */
bool rn_ask_withdraw(rn_slot *slot, ration_status status);
/* The query has written out what it could, after RN_ASK_SPILL or because rn_ask_wants said so. Any
 * worker of it. */
void rn_ask_gave(ration_query *query);
/* The same while nobody is inside of it, or by who leaves: what is in the hands of a consumer could
 * not be given, and may be when somebody comes back. */
void rn_ask_gave_away(ration_query *query);
/* Bytes the query was asked to give and has not answered; 0 = none. Any thread, relaxed. */
static inline int64_t rn_ask_wants(const ration_query *query)
{
    return rn_load(&query->want_bytes);
}
/* Wakes all workers of the query that wait, to look at its status. Any thread. */
void rn_ask_wake(ration_query *query);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Tickets: the queue of slots that wait for bytes. One ticket per slot, because one worker waits
 * for one thing. Who may wait, and on whom, is decided above (executor/ask.c); here is order.
 *
 *     rn_ticket_enter -> (serve, at every unlock that follows a gain) -> rn_ticket_wait
 *                     -> rn_ticket_take or rn_ticket_leave
 */
#ifndef RATION_QUEUE_H
#define RATION_QUEUE_H

#include "memory/pool.h"

typedef enum rn_ticket_state {
    RN_TICKET_NONE,
    RN_TICKET_WAITING,
    RN_TICKET_AGAIN, /* nobody is left who could give: the owner must ask again; keeps its place */
    RN_TICKET_GRANTED, /* the bytes are charged to the slot's pool, and the owner's to take */
    RN_TICKET_RESTING, /* not in the queue: sleeps until somebody says that it should ask again */
} rn_ticket_state;

static inline rn_ticket_state rn_ticket_read(const rn_slot *slot)
{
    return (rn_ticket_state)rn_load_acquire(&slot->ticket.state);
}

/* Granted to the ticket and not taken yet: part of what the slot's pool holds. Under the lock. */
static inline int64_t rn_ticket_promised(const rn_slot *slot)
{
    return rn_ticket_read(slot) == RN_TICKET_GRANTED ? slot->ticket.bytes : 0;
}

/* Sleeps until the ticket of `slot` neither waits nor rests, or until `deadline_ns` of
 * CLOCK_MONOTONIC (INT64_MAX = none); returns its state then. Owner only, without the lock. A
 * cancellation point: the slot stays in the queue until it leaves or closes. */
rn_ticket_state rn_ticket_wait(rn_slot *slot, int64_t deadline_ns);
/* `call` is made under the lock when a waiting ticket is granted or its owner is to ask again: it
 * may post, write to a pipe or set a flag, and must not come back into the ledger. Owner only,
 * while not waiting. In a shared ledger it is not made for another process: look at the state now
 * and then. */
void rn_ticket_on_wake(rn_slot *slot, void (*call)(void *argument), void *argument);

/* ---- with the lock held */

/* Puts `slot`, which was refused `bytes` at `no->pool`, into the queue: at its end, or where it was
 * when it has asked again. Owner only. */
void rn_ticket_enter(rn_slot *slot, const rn_no *no);
/* Takes a granted ticket's bytes: they are charged by the slot from now on. Owner only. */
void rn_ticket_take(rn_slot *slot);
/* Out of the queue, whatever the state; what was granted goes back. */
void rn_ticket_leave(rn_slot *slot);
/* Wakes the owner of a waiting or resting ticket to ask again. */
void rn_ticket_ask_again(rn_slot *slot);
/* Rests: leaves the queue, holding nothing, and stands in nobody's way. Owner only. */
void rn_ticket_rest(rn_slot *slot);
/* May `slot` (NULL: nobody in the queue) pass `pool`, or does an older ticket wait there? */
bool rn_queue_admits(const ration_pool *pool, const rn_slot *slot);
/* Tickets of slots below `pool`, which has a new parent, wait at `pool` until the queue moves. */
void rn_queue_stop_at(ration_pool *pool);
/* Grants what can be granted, oldest first; then wakes, of the tickets at every pool that no giver
 * is left for, the oldest. */
void rn_queue_move(rn_ledger *ledger);
/* Adds `count` to the givers of all pools from `pool` to the root: queries of that pool, or of a
 * subtree that comes to it. */
void rn_pool_count_givers(ration_pool *pool, int64_t count);
void rn_pool_carry_givers(ration_pool *pool, int64_t count);
/* After a death: puts the ticket of `slot`, if it waits, into the list by its age, and wakes an
 * owner that may not have been woken. The list holds only slots this was called for. */
void rn_queue_put_back(rn_slot *slot);
/* Slots that wait, oldest first. */
rn_slot *rn_queue_first(const rn_ledger *ledger);
rn_slot *rn_queue_next(const rn_slot *slot);

#endif

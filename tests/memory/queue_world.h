/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue for bytes seen from outside: what an ask does at this level, and the invariants of
 * queue.c evaluated without its help. A giver is a count, as it is for the queue. */
#ifndef RATION_TESTS_MEMORY_QUEUE_WORLD_H
#define RATION_TESTS_MEMORY_QUEUE_WORLD_H

#include "memory/queue.h"
#include "tests/memory/fixture.h"

#define QUEUE_UNUSED __attribute__((unused))

/* An assertion in a loop: ck_assert writes where it is to a file, each time. */
#define must(x) ((x) ? (void)0 : ck_abort_msg("%s:%d: %s", __FILE__, __LINE__, #x))

QUEUE_UNUSED static ration_pool *blocked_at(const rn_slot *slot)
{
    return (ration_pool *)rn_link_get(&slot->ticket.pool);
}

/* Takes what was granted, or charges, or comes to the queue. True when the bytes are charged. */
QUEUE_UNUSED static bool ask(rn_slot *slot, int64_t bytes)
{
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_no no;
    rn_ledger_lock(ledger);
    bool charged = rn_ticket_read(slot) == RN_TICKET_GRANTED;
    if (charged) {
        ck_assert_int_eq(slot->ticket.bytes, bytes);
        rn_ticket_take(slot);
    } else if (rn_slot_charge_locked(slot, bytes, &no) == RATION_OK) {
        rn_ticket_leave(slot);
        charged = true;
    } else {
        rn_ticket_enter(slot, &no);
    }
    rn_ledger_unlock(ledger);
    return charged;
}

QUEUE_UNUSED static void leave(rn_slot *slot)
{
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    rn_ticket_leave(slot);
    rn_ledger_unlock(ledger);
}

QUEUE_UNUSED static void count_givers(ration_pool *pool, int64_t count)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    rn_pool_count_givers(pool, count);
    rn_ledger_unlock(ledger);
}

/* ---- what is true whenever the lock is free */

/* The list is whole, in the order of the sequences, and all in it wait (invariant 4). */
static inline void expect_list(const rn_ledger *ledger)
{
    const rn_slot *previous = NULL;
    int64_t sequence = 0;
    for (rn_slot *slot = rn_queue_first(ledger); slot != NULL; slot = rn_queue_next(slot)) {
        rn_ticket_state state = rn_ticket_read(slot);
        must(state == RN_TICKET_WAITING || state == RN_TICKET_AGAIN);
        must(rn_link_get(&slot->ticket.previous) == previous);
        must(slot->ticket.sequence > sequence);
        must(blocked_at(slot) != NULL);
        must(rn_pool_is_below(rn_slot_pool(slot), blocked_at(slot)));
        sequence = slot->ticket.sequence;
        previous = slot;
    }
    must(rn_link_get(&ledger->last_waiting) == previous);
    must(sequence <= ledger->tickets);
}

/* Does a ticket older than `slot` stand at `pool`? */
static inline bool stands_behind(const rn_slot *slot, const ration_pool *pool)
{
    const rn_slot *older = rn_queue_first(rn_pool_ledger(pool));
    while (older != slot && blocked_at(older) != pool) {
        older = rn_queue_next(older);
    }
    return older != slot;
}

/* The first pool that keeps `bytes` of a waiting slot from passing; NULL = it could. It holds no
 * credit, so all of them are new. */
static inline ration_pool *find_blocking(const rn_slot *slot)
{
    int64_t need = slot->ticket.bytes;
    for (ration_pool *pool = rn_slot_pool(slot); pool != NULL; pool = rn_pool_parent(pool)) {
        int64_t held, granted = rn_load(&pool->granted);
        if (need == INT64_MAX || __builtin_add_overflow(rn_load(&pool->held), need, &held)) {
            return pool; /* no such sum */
        }
        need = RN_MAX(held, rn_load(&pool->claim)) - granted;
        if (need <= 0) {
            return NULL;
        }
        if (granted + need > rn_load(&pool->limit) || stands_behind(slot, pool)) {
            return pool;
        }
    }
    return NULL;
}

/* Invariants 1 and 3 for one pool. */
static inline void expect_pool(const rn_ledger *ledger, const ration_pool *pool)
{
    int64_t waiting = 0;
    const rn_slot *oldest = NULL;
    for (rn_slot *slot = rn_queue_first(ledger); slot != NULL; slot = rn_queue_next(slot)) {
        if (blocked_at(slot) == pool) {
            oldest = waiting == 0 ? slot : oldest;
            waiting += 1;
        }
    }
    must(rn_load(&pool->waiting) == waiting);
    int64_t givers = 0;
    for (ration_pool *at = rn_pool_child(pool); at != NULL; at = rn_pool_sibling(at)) {
        givers += rn_load(&at->givers);
    }
    must(rn_load(&pool->givers) >= givers);
    must(givers >= 0);
    if (waiting > 0) {
        must(rn_pool_is_drained(pool));
        must(rn_load(&pool->givers) > 0 || rn_ticket_read(oldest) == RN_TICKET_AGAIN);
    }
}

/* Invariants 1..4 of queue.c and the audit. */
QUEUE_UNUSED static void expect_queue(const fixture *world)
{
    rn_ledger *ledger = world->ledger;
    rn_ledger_lock(ledger);
    expect_list(ledger);
    for (ration_pool *at = world->root; at != NULL; at = rn_pool_next(at, world->root)) {
        expect_pool(ledger, at);
    }
    for (rn_slot *slot = rn_queue_first(ledger); slot != NULL; slot = rn_queue_next(slot)) {
        must(find_blocking(slot) == blocked_at(slot)); /* invariant 2 */
    }
    rn_ledger_unlock(ledger);
    char text[256] = "";
    if (!ration_pool_check(world->root, text, sizeof text)) {
        ck_abort_msg("%s", text);
    }
}

/* ---- wake-ups */

typedef struct bell {
    rn_slot *slot;
    int64_t rings, granted, again;
} bell;

QUEUE_UNUSED static void ring(void *argument)
{
    bell *self = (bell *)argument;
    rn_ticket_state state = rn_ticket_read(self->slot);
    self->rings += 1;
    self->granted += state == RN_TICKET_GRANTED;
    self->again += state == RN_TICKET_AGAIN;
}

#endif

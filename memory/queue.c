/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue for bytes: one list of tickets per ledger, oldest first, each blocked at one pool: the
 * first on its way to the root that has no room for it or where an older one is blocked.
 *
 * While a ticket is blocked at a pool, the pool is drained, so every release below it comes through
 * the lock; no younger ask passes it, nor any ask without a ticket. Before the lock is let go after
 * bytes came free, the tickets are walked in order: who finds room at every pool where no older one
 * stays blocked is granted - the bytes are charged to its slot's pool, for its owner to take: the
 * state of the ticket, one word, says so - and woken; who does not stays, perhaps blocked further
 * up. Its age goes with it: since a pool above stops everybody below, nobody can take what it has
 * passed already, but for what a claim in between covers: that was charged above before it came.
 *
 * All bytes of a ticket are new ones. Its slot holds no credit, since it lies below a drained pool:
 * what looks like credit has been released by the owner, who is awake (AGAIN, or a host's) and on
 * its way to the lock with it. Counted here, it would be granted twice.
 *
 *   1. pool->waiting = tickets blocked at the pool; waiting > 0 implies drained.
 *   2. When the lock is free no ticket waits that could pass (no wake-up is lost): whatever frees
 *      bytes, charges what a claim covers, sets a limit, takes a ticket out, blocks it at another
 *      pool or moves a pool sets `freed`, and unlocking walks.
 *   3. When the lock is free, at every pool with waiting > 0 there is a giver below it, or the
 * oldest ticket there is in state AGAIN and its owner is awake. So nobody sleeps who is waited for.
 *   4. A ticket keeps its sequence until it leaves; AGAIN and a second enter do not change it.
 *
 * Each ticket has its own semaphore: nobody is woken for nothing, and none is posted twice for one
 * sleep. Bounds: a walk is O(tickets x depth), and O(tickets) more for each that finds others
 * waiting where none is older; it happens only while somebody waits. Rejected: a queue per pool,
 * tickets moving between them. The same order needs the age anyway, and a ticket that moves up must
 * keep its rights at the pools below.
 */
#include "memory/queue.h"

#include <errno.h>
#include <time.h>

#include "memory/shared.h"

#define LOOK_NS ((int64_t)50 * 1000 * 1000) /* a sleeper of a shared ledger looks for the dead */

rn_slot *rn_queue_first(const rn_ledger *ledger)
{
    return (rn_slot *)rn_link_get(&ledger->first_waiting);
}

rn_slot *rn_queue_next(const rn_slot *slot)
{
    return (rn_slot *)rn_link_get(&slot->ticket.next);
}

static ration_pool *ticket_pool(const rn_slot *slot)
{
    return (ration_pool *)rn_link_get(&slot->ticket.pool);
}

static rn_ledger *ticket_ledger(const rn_slot *slot)
{
    return rn_pool_ledger(rn_slot_pool(slot));
}

static void block_at(rn_slot *slot, ration_pool *pool)
{
    ration_pool *old = ticket_pool(slot);
    if (old != NULL) {
        rn_store(&old->waiting, rn_load(&old->waiting) - 1);
    }
    rn_link_set(&slot->ticket.pool, pool);
    if (pool != NULL) {
        rn_store(&pool->waiting, rn_load(&pool->waiting) + 1);
    }
    ticket_ledger(slot)->stale = true;
}

static void append(rn_ledger *ledger, rn_slot *slot)
{
    rn_slot *last = (rn_slot *)rn_link_get(&ledger->last_waiting);
    rn_link_set(&slot->ticket.previous, last);
    rn_link_set(&slot->ticket.next, NULL);
    rn_link_set(last == NULL ? &ledger->first_waiting : &last->ticket.next, slot);
    rn_link_set(&ledger->last_waiting, slot);
}

static void take_out(rn_ledger *ledger, rn_slot *slot)
{
    rn_slot *next = rn_queue_next(slot);
    rn_slot *previous = (rn_slot *)rn_link_get(&slot->ticket.previous);
    rn_link_set(previous == NULL ? &ledger->first_waiting : &previous->ticket.next, next);
    rn_link_set(next == NULL ? &ledger->last_waiting : &next->ticket.previous, previous);
    block_at(slot, NULL);
}

static void set_state(rn_slot *slot, rn_ticket_state state)
{
    rn_store_release(&slot->ticket.state, state);
}

static bool sleeps(const rn_slot *slot)
{
    rn_ticket_state state = rn_ticket_read(slot);
    return state == RN_TICKET_WAITING || state == RN_TICKET_RESTING;
}

static void wake(rn_slot *slot, rn_ticket_state state)
{
    bool asleep = sleeps(slot);
    set_state(slot, state);
    if (asleep) {
        int failed = sem_post(&slot->ticket.wake);
        (void)rn_never(failed != 0);
        if (slot->ticket.call != NULL && rn_ledger_owns(ticket_ledger(slot), slot)) {
            slot->ticket.call(slot->ticket.argument);
        }
    }
}

/* ------------------------------------------------------------------------------------ the owner */

static bool is_queued(const rn_slot *slot)
{
    rn_ticket_state state = rn_ticket_read(slot);
    return state == RN_TICKET_WAITING || state == RN_TICKET_AGAIN;
}

/* Those that nobody slept for. */
static void forget_wakes(rn_slot *slot)
{
    while (sem_trywait(&slot->ticket.wake) == 0) {
    }
}

void rn_ticket_enter(rn_slot *slot, const rn_no *no)
{
    rn_ledger *ledger = ticket_ledger(slot);
    rn_assert(rn_ticket_read(slot) != RN_TICKET_GRANTED);
    if (!is_queued(slot)) {
        slot->ticket.sequence = ++ledger->tickets;
        append(ledger, slot);
    } else if (ticket_pool(slot) != no->pool) {
        ledger->freed = true; /* who was behind it there may pass */
    }
    forget_wakes(slot);
    slot->ticket.bytes = no->asked_bytes;
    block_at(slot, no->pool);
    set_state(slot, RN_TICKET_WAITING);
    (void)rn_pool_drain(no->pool);
    RN_POINT("queue.enter");
}

void rn_ticket_take(rn_slot *slot)
{
    rn_assert(rn_ticket_read(slot) == RN_TICKET_GRANTED);
    int64_t bytes = slot->ticket.bytes;
    set_state(slot, RN_TICKET_NONE);
    rn_keep_order(); /* not promised and granted at once */
    rn_slot_set_granted(slot, slot->granted_bytes + bytes);
    rn_store(&slot->hot.used, rn_slot_counted(slot) + bytes);
}

void rn_ticket_leave(rn_slot *slot)
{
    bool granted = rn_ticket_read(slot) == RN_TICKET_GRANTED;
    bool queued = is_queued(slot);
    set_state(slot, RN_TICKET_NONE);
    if (granted) {
        rn_pool_grant(rn_slot_pool(slot), -slot->ticket.bytes);
    } else if (queued) {
        rn_ledger *ledger = ticket_ledger(slot);
        take_out(ledger, slot);
        ledger->freed = true;
    }
}

void rn_ticket_rest(rn_slot *slot)
{
    rn_ticket_leave(slot);
    forget_wakes(slot);
    set_state(slot, RN_TICKET_RESTING);
}

/* Sleeps until woken, or until `deadline_ns`; false = that is past. */
static bool sleep_until(rn_slot *slot, int64_t deadline_ns)
{
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                .tv_nsec = (long)(deadline_ns % 1000000000)};
    int failed = deadline_ns == INT64_MAX
                     ? sem_wait(&slot->ticket.wake)
                     : sem_clockwait(&slot->ticket.wake, CLOCK_MONOTONIC, &deadline);
    return failed == 0 || errno == EINTR;
}

rn_ticket_state rn_ticket_wait(rn_slot *slot, int64_t deadline_ns)
{
    rn_ledger *ledger = ticket_ledger(slot);
    bool woken = true;
    while (sleeps(slot) && woken) {
        int64_t look_ns = ledger->shared ? rn_add(rn_clock_ns(), LOOK_NS) : INT64_MAX;
        woken = sleep_until(slot, RN_MIN(deadline_ns, look_ns));
        if (!woken && look_ns < deadline_ns) { /* who was waited for may have died */
            rn_ledger_lock(ledger);
            (void)rn_ledger_bury_gone(ledger, false);
            rn_ledger_unlock(ledger);
            woken = true;
        }
    }
    RN_POINT("queue.woken");
    return rn_ticket_read(slot);
}

void rn_ticket_on_wake(rn_slot *slot, void (*call)(void *argument), void *argument)
{
    rn_ledger *ledger = ticket_ledger(slot);
    rn_ledger_lock(ledger);
    slot->ticket.call = call;
    slot->ticket.argument = argument;
    rn_ledger_unlock(ledger);
}

/* ------------------------------------------------------------------------------------ the queue */

bool rn_queue_admits(const ration_pool *pool, const rn_slot *slot)
{
    if (rn_load(&pool->waiting) == 0) {
        return true;
    }
    if (slot == NULL || !is_queued(slot)) {
        return false;
    }
    const rn_slot *older = rn_queue_first(rn_pool_ledger(pool));
    while (older != slot && ticket_pool(older) != pool) {
        older = rn_queue_next(older);
    }
    return older == slot;
}

void rn_ticket_ask_again(rn_slot *slot)
{
    if (sleeps(slot)) {
        wake(slot, is_queued(slot) ? RN_TICKET_AGAIN : RN_TICKET_NONE);
    }
}

void rn_queue_stop_at(ration_pool *pool)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    for (rn_slot *slot = rn_queue_first(ledger); slot != NULL; slot = rn_queue_next(slot)) {
        if (rn_pool_is_below(rn_slot_pool(slot), pool)) {
            block_at(slot, pool);
        }
    }
    ledger->freed = true;
}

void rn_pool_carry_givers(ration_pool *pool, int64_t count)
{
    if (count != 0) {
        rn_pool_ledger(pool)->stale = true;
    }
    for (; pool != NULL; pool = rn_pool_parent(pool)) {
        rn_store(&pool->givers, rn_load(&pool->givers) + count);
    }
}

void rn_pool_count_givers(ration_pool *pool, int64_t count)
{
    pool->giving += count;
    rn_pool_carry_givers(pool, count);
}

static void insert_by_age(rn_ledger *ledger, rn_slot *slot)
{
    rn_slot *older = (rn_slot *)rn_link_get(&ledger->last_waiting);
    while (older != NULL && older->ticket.sequence > slot->ticket.sequence) {
        older = (rn_slot *)rn_link_get(&older->ticket.previous);
    }
    rn_link *place = older == NULL ? &ledger->first_waiting : &older->ticket.next;
    rn_slot *younger = (rn_slot *)rn_link_get(place);
    rn_link_set(&slot->ticket.previous, older);
    rn_link_set(&slot->ticket.next, younger);
    rn_link_set(younger == NULL ? &ledger->last_waiting : &younger->ticket.previous, slot);
    rn_link_set(place, slot);
}

void rn_queue_put_back(rn_slot *slot)
{
    rn_ticket_state state = rn_ticket_read(slot);
    ration_pool *pool = ticket_pool(slot);
    rn_link_set(&slot->ticket.pool, NULL);
    if (state == RN_TICKET_WAITING || state == RN_TICKET_AGAIN) {
        insert_by_age(ticket_ledger(slot), slot);
        bool on_way = pool != NULL && rn_pool_is_below(rn_slot_pool(slot), pool);
        block_at(slot, on_way ? pool : rn_slot_pool(slot));
    }
    if (state == RN_TICKET_AGAIN || state == RN_TICKET_GRANTED) {
        (void)sem_post(&slot->ticket.wake); /* once too often does no harm */
    }
}

/* One walk. What a ticket newly blocked further up recalls there may free bytes for older ones:
 * then `freed` is set again. */
static void serve(rn_ledger *ledger)
{
    rn_slot *next;
    for (rn_slot *slot = rn_queue_first(ledger); slot != NULL; slot = next) {
        next = rn_queue_next(slot);
        rn_no no = {0};
        rn_move move = {
            .to = rn_slot_pool(slot), .slot = slot, .promised = true, .bytes = slot->ticket.bytes};
        int64_t need = 0;
        ration_pool *full = rn_pool_find_full_at_last(&move, &need, &no);
        if (full == NULL) {
            take_out(ledger, slot);
            rn_pool_grant(rn_slot_pool(slot), slot->ticket.bytes);
            RN_POINT("queue.granted");
            wake(slot, RN_TICKET_GRANTED);
        } else if (full != ticket_pool(slot)) {
            block_at(slot, full);
            (void)rn_pool_drain(full);
        }
    }
}

/* Invariant 3. */
static void wake_oldest(rn_ledger *ledger)
{
    ledger->pass += 1;
    for (rn_slot *slot = rn_queue_first(ledger); slot != NULL; slot = rn_queue_next(slot)) {
        ration_pool *pool = ticket_pool(slot);
        if (pool->pass != ledger->pass && rn_load(&pool->givers) == 0) {
            rn_ticket_ask_again(slot);
        }
        pool->pass = ledger->pass;
    }
}

void rn_queue_move(rn_ledger *ledger)
{
    while (ledger->freed && rn_queue_first(ledger) != NULL) {
        ledger->freed = false;
        serve(ledger);
    }
    if (ledger->stale && rn_queue_first(ledger) != NULL) {
        wake_oldest(ledger);
    }
    ledger->freed = false;
    ledger->stale = false;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Scenarios with tickets: who waits is served, in order, and nobody sleeps on for nobody. A wake-up
 * that is lost is a deadlock, which Relacy reports.
 */
#ifndef RATION_TESTS_RELACY_QUEUE_HH
#define RATION_TESTS_RELACY_QUEUE_HH

#include "tests/relacy/world.hh"

static bool waits(int index)
{
    return slots[index]->ticket.state == RN_TICKET_WAITING;
}

/* Makes somebody wait for slot 0, who holds 8 of 10 and is asked to give; or takes that back. */
static void count_givers(int64_t count)
{
    rn_ledger_lock(ledger);
    rn_pool_count_givers(pools[FIRST], count);
    rn_ledger_unlock(ledger);
}
static bool gave_up; /* slot 1 */
static void open_queue_of(int count)
{
    open_tree(count);
    must_charge(0, 8);
    count_givers(1);
    ghost.judges = false;
    gave_up = false;
}

/* Asks as executor/ask.c does: queues when refused, asks once more when nobody is left to give.
 * With `patience` it is served or told to ask again; without, it may leave at any time. */
static ration_status queue_for(int index, int64_t bytes, bool patience, ration_status in_vain)
{
    rn_slot *slot = slots[index];
    rn_no no;
    begin_ask(index, bytes);
    rn_ledger_lock(ledger);
    ration_status status = rn_slot_charge_locked(slot, bytes, &no);
    if (status != RATION_OK) {
        rn_ticket_enter(slot, &no);
        rn_ledger_unlock(ledger);
        (void)rn_ticket_wait(slot, patience ? INT64_MAX : 0);
        rn_ledger_lock(ledger);
        rn_ticket_state state = rn_ticket_read(slot);
        if (state == RN_TICKET_GRANTED && (patience || rl::rand(2) == 0)) {
            rn_ticket_take(slot);
            status = RATION_OK;
        } else {
            require(state != RN_TICKET_WAITING || !patience, "woken for nothing");
            require(state != RN_TICKET_AGAIN || in_vain != RATION_OK, "told to ask again");
            status = state == RN_TICKET_AGAIN ? rn_slot_charge_locked(slot, bytes, &no) : status;
            rn_ticket_leave(slot);
        }
    }
    rn_ledger_unlock(ledger);
    end_ask(index, bytes, status);
    return status;
}

/* Two wait for the bytes of a third, who gives them all and says so: both are served, neither is
 * told to ask again, and the older does not stay behind the younger, or behind one who comes by and
 * finds room: 2 bytes are free all the time. */
static void open_queue()
{
    open_queue_of(4);
}
static void run_queue(int index)
{
    if (index == 0) {
        int waiting = (int)rl::rand(3);
        while (waits(1) + waits(2) < waiting) {
            rl::yield(1, $);
        }
        release(0, 2);
        release(0, 6);
        count_givers(-1);
        return;
    }
    int64_t older[3] = {};
    for (int other = 1; other < 3; other++) {
        older[other] = other != index && waits(other) ? slots[other]->ticket.sequence : 0;
    }
    ration_status status =
        index == 3 ? charge(3, 2) : queue_for(index, index == 1 ? 5 : 3, true, RATION_OK);
    require(status == RATION_OK || index == 3, "refused, though all was given");
    for (int other = 1; other < 3 && status == RATION_OK; other++) {
        require(older[other] == 0 || !waits(other) || slots[other]->ticket.sequence != older[other],
                "an older ticket was passed");
    }
}

/* The same, while the pool with all of them moves below another and back. */
static void run_uprooting(int index)
{
    if (index < 3) {
        run_queue(index);
        return;
    }
    rn_no no;
    bool moved = rn_pool_set_parent(pools[FIRST], pools[SECOND], &no);
    bool back = rn_pool_set_parent(pools[FIRST], pools[ROOT], &no);
    require(moved && back, "a pool could not be moved where it changes nothing");
}

/* The waiting one is blocked at its own pool; when there is room the root, whose limit was cut
 * meanwhile, has none, and it waits there. */
static void open_climbing()
{
    open_tree(2);
    rn_pool_set_limit(pools[FIRST], 6);
    open_slot(2, SECOND);
    must_charge(0, 6);
    must_charge(2, 3);
    count_givers(1);
    ghost.judges = false;
    gave_up = false;
}
static void run_climbing(int index)
{
    if (index == 2) {
        rn_pool_set_limit(pools[ROOT], 6);
    } else if (index == 1) {
        ration_status status = queue_for(1, 3, true, RATION_OK);
        require(status == RATION_OK, "refused, though all was given");
    } else {
        release(0, 3);
        release(0, 3);
        count_givers(-1);
    }
}

/* What the third gives is enough for the second only. While the first, who came before, waits, the
 * second does too; when the first has left, he is served, and nobody has to tell him. */
static void open_leaving()
{
    open_queue_of(3);
}
static void run_leaving(int index)
{
    if (index == 0) {
        release(0, 2);
        while (!gave_up || ghost.low[FIRST] != 9) {
            rl::yield(1, $);
        }
        count_givers(-1);
    } else if (index == 1) {
        ration_status status = queue_for(1, 5, false, RATION_OK);
        require(status != RATION_OK, "granted, though there was no room");
        gave_up = true;
    } else {
        ration_status status = queue_for(2, 3, true, RATION_OK);
        require(status == RATION_OK, "refused, though there was room");
    }
}

/* One of two leaves while he may just have been served: what he was granted is there again. */
static void run_withdrawing(int index)
{
    if (index == 0) {
        release(0, 6);
        count_givers(-1);
    } else if (index == 1) {
        gave_up = queue_for(1, 5, false, RATION_GLOBAL_LIMIT) != RATION_OK;
    } else if (queue_for(2, 3, true, RATION_OK) == RATION_OK) {
        release(2, 3);
    } else {
        require(false, "refused, though there was room");
    }
}
static void close_withdrawing()
{
    if (gave_up) {
        must_charge(2, 8);
    }
    close_tree();
}

/* Nothing is given: both are told to ask again, one after the other, and refused. */
static void run_vain(int index)
{
    if (index == 0) {
        count_givers(-1);
        return;
    }
    ration_status status = queue_for(index, 2 + index, true, RATION_GLOBAL_LIMIT);
    require(status == RATION_GLOBAL_LIMIT, "granted, though there was no room");
}

#endif

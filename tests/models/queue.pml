/* SPDX-License-Identifier: Apache-2.0
 *
 * Tickets: who waits for bytes, in which order they are served, and why nobody waits for ever.
 *
 * A root and two groups below it, each with a limit. Three queries with a slot each, two of them in
 * the first group, ask for 1 or 2 units with or without a ticket, release, are asked to give, wait
 * with or without a deadline, are cancelled, and close, at any time and in every order. KEEPER: one
 * of the two stays away, and the root's limit is cut and raised again.
 *
 * Each section under the lock is one step, with what unlocking does. So is a recall in it, and a
 * charge of credit: ledger.pml shows that they may be taken so. A release is two steps, because a
 * section may come between its store and its look at the floor; so are a look at a ticket's state
 * and the sleep that follows.
 *
 * mirrors memory/queue.c rn_ticket_take rn_ticket_wait
 * mirrors memory/slot.c refill rn_slot_charge_locked ration_slot_release_slow rn_slot_fold
 * mirrors executor/ask.c rn_ask ask_locked make_giver rn_ask_gave rn_ask_withdraw
 * mirrors executor/giving.c rn_query_wake
 *
 * Whom ask.c chooses - by shares, by what can be written out - is left open: any other holder below
 * the full pool may be asked to give, an asker that holds something may be told to spill, any asker
 * may be refused. What is kept is its second invariant: WAIT is answered only when a giver below
 * the full pool has not answered, or an older ticket waits there. A giver that sleeps is woken.
 *
 * What holds when the lock is free:
 *   1. OVER   granted <= limit of every pool, unless it was cut and is drained; used <= granted.
 *   2. SUMS   granted = promised to tickets + granted to slots, at every pool; so nothing is left
 *             when all have closed.
 *   3. LEFT   where somebody waits, or all was recalled, no slot below keeps credit.
 *   4. COUNTS `waiting` and `givers` are what they count; a pool where somebody waits is drained.
 *   5. LOST   no ticket waits that could pass: room on its way, nobody older in front of it.
 *   6. GIVER  at each pool a giver below has not answered, or the oldest ticket there is AGAIN.
 *   7. ORDER  nobody is given bytes that somebody waits for who came earlier.
 *   8. POSTS  at most one post lies in a semaphore.
 *   9. ENDS   who waits without a deadline is woken: no invalid end state when all others close.
 *
 * States, all of them visited (tests/models/test_spin.sh prints them): 2.2 million; KEEPER 35
 * thousand.
 *
 * Left out: claims, unchecked charges, retained pages, moving pools, deeper trees, an ask for other
 * bytes than the ticket's, several slots of one query, who rests outside of the queue for as long as
 * a limit that was cut may rise again.
 */
#include "promise.pml"
#include "tickets.pml"

/* There is room for what is missing; a chunk promised, where nobody waits, if that fits too. */
inline charge(me)
{
    need = missing(me);
    if
    :: need > 0 ->
        keeps_order(me);
        if
        :: more = 0;
        :: waiting[group(me)] == 0 && waiting[ROOT] == 0 &&
           room(group(me)) >= need + CHUNK && room(ROOT) >= need + CHUNK ->
            more = CHUNK;
            drained[group(me)] = false;
            drained[ROOT] = false;
        fi;
        grant(me, need + more);
        slot_granted[me] = slot_granted[me] + need + more;
        always[me] = is_drained(group(me));
    :: else
    fi;
    used[me] = used[me] + want[me];
    want[me] = 0;
}

inline choose_want(me)
{
    if
    :: used[me] + 1 <= limit[group(me)] -> want[me] = 1;
    :: used[me] + 2 <= limit[group(me)] -> want[me] = 2;
    fi;
}

/* rn_ask_gave, or the same by closing. */
inline answer(me)
{
    if
    :: owes[me] ->
        owes[me] = false;
        count_givers(me, -1);
    :: else
    fi;
}

#define may_give(i) (i != me && used[i] > 0 && !owes[i] && is_below(i, stop))
#define may_wait(me) (may_give(0) || may_give(1) || may_give(2) || givers[stop] > 0 || held_back)

/* Somebody new is asked to give, or somebody who was asked before has not answered. */
inline find_giver(me)
{
    if
    :: may_give(0) -> first = 0;
    :: may_give(1) -> first = 1;
    :: may_give(2) -> first = 2;
    :: givers[stop] > 0 || held_back -> first = NOBODY;
    fi;
    if
    :: first != NOBODY ->
        owes[first] = true;
        count_givers(first, 1);
#ifndef GIVER_ASLEEP
        if
        :: ticket[first] == WAITING -> post(first, AGAIN);
        :: else
        fi;
#endif
    :: else
    fi;
}

/* Where a query goes on after a section under the lock. */
#define IDLE 0
#define ASKS 1
#define WAITS 2
#define GIVES 3
#define ENDED 4
#define unlock_then(where) next = where; goto unlocking

proctype query(byte me)
{
    bool patient; /* waits without a deadline */
    byte next;

idle:
    if
    :: atomic { /* ration_slot_try_charge, of credit */
            credit(me) > 0;
            used[me] = used[me] + 1;
            note();
            goto idle
        }
    :: atomic { /* ration_slot_charge_slow: no ticket */
            choose_want(me);
            d_step { find_full_at_last(me); }
            if
            :: stop == NOWHERE -> charge(me);
            :: else -> want[me] = 0;
            fi;
            unlock_then(IDLE)
        }
    :: atomic {
            choose_want(me);
            goto asking
        }
    :: atomic {
            if
            :: used[me] > 0 -> leaving[me] = 1;
            :: used[me] > 1 -> leaving[me] = used[me];
            fi;
            goto releasing
        }
    :: atomic {
            owes[me];
            goto giving
        }
    :: atomic {
            skip;
            goto closing
        }
    fi;

ask: /* rn_ask */
    atomic {
        skip;
asking: if
        :: ticket[me] == GRANTED -> /* rn_ticket_take */
            direct[group(me)] = direct[group(me)] - want[me];
            slot_granted[me] = slot_granted[me] + want[me];
            used[me] = used[me] + want[me];
            want[me] = 0;
            ticket[me] = NONE;
#ifdef DRAIN_LEFT_EARLY
            drained[group(me)] = false;
            drained[ROOT] = false;
            always[me] = false;
#endif
            unlock_then(IDLE)
        :: ticket[me] != GRANTED && owes[me] -> unlock_then(GIVES)
        :: else
        fi;
        d_step {
            find_full_at_last(me);
            if
            :: stop != NOWHERE -> hold_back(me, stop);
            :: else
            fi;
        }
        if
        :: stop == NOWHERE ->
            charge(me);
            leave(me);
            unlock_then(IDLE)
        :: stop != NOWHERE && used[me] > 0 -> unlock_then(GIVES) /* spills; a ticket stays */
        :: stop != NOWHERE -> /* refused */
            leave(me);
            unlock_then(IDLE)
        :: stop != NOWHERE && may_wait(me) ->
            find_giver(me);
            d_step { enter(me, stop); }
            if
            :: patient = true;
            :: patient = false;
            fi;
            unlock_then(WAITS)
        fi
    }

wait: /* rn_ticket_wait: looks at the state .. */
    if
    :: atomic {
            ticket[me] != WAITING;
            patient = false;
            goto ask
        }
    :: ticket[me] == WAITING /* .. and sleeps */
    fi;
    if
    :: atomic {
            posts[me] > 0;
            posts[me]--;
            goto wait
        }
    :: atomic { /* rn_ask_withdraw */
            !patient;
            if
            :: ticket[me] == GRANTED -> goto asking
            :: else
            fi;
            leave(me);
            unlock_then(IDLE)
        }
    :: atomic { /* the thread is cancelled in its sleep */
            !patient;
            goto closing
        }
    fi;

give: /* writes out what it has, then rn_ask_gave */
    atomic {
        skip;
giving: if
        :: used[me] > 0 ->
            leaving[me] = used[me];
            goto releasing
        :: else
        fi;
        answer(me);
        if
        :: want[me] > 0 -> unlock_then(ASKS)
        :: else -> unlock_then(IDLE)
        fi
    }

release: /* ration_slot_release: publishes .. */
    atomic {
        skip;
releasing:
        used[me] = used[me] - leaving[me];
        note();
    }
    atomic { /* .. and looks at the floor */
        leaving[me] = 0;
        if
        :: want[me] > 0 || owes[me] -> next = GIVES;
        :: else -> next = IDLE;
        fi;
        if
        :: !always[me] -> note(); goto going_on
        :: else
        fi;
        more = credit(me); /* ration_slot_release_slow */
        if
        :: !is_drained(group(me)) -> more = (more > CHUNK -> more - CHUNK : 0);
        :: else
        fi;
        slot_granted[me] = slot_granted[me] - more;
        give_back(me, more);
        always[me] = is_drained(group(me));
        goto unlocking
    }

close: /* rn_slot_close, rn_pool_close */
    atomic {
        skip;
closing:
        patient = false;
        leave(me);
        used[me] = 0;
        give_back(me, slot_granted[me]);
        slot_granted[me] = 0;
        always[me] = false;
#ifdef GIVER_FORGOTTEN
        owes[me] = false;
#endif
        answer(me);
        next = ENDED;
unlocking:
        unlock();
going_on:
        if
        :: next == IDLE -> goto idle
        :: next == ASKS -> next = IDLE; goto ask
        :: next == WAITS -> next = IDLE; goto wait
        :: next == GIVES -> next = IDLE; goto give
        :: next == ENDED
        fi
    }
}

#ifdef KEEPER
proctype keeper()
{
    atomic { set_limit(ROOT_LIMIT - 1); }
    atomic { set_limit(ROOT_LIMIT); }
}
#endif

init
{
    atomic {
        limit[ROOT] = ROOT_LIMIT;
        limit[1] = 2;
        limit[2] = 3;
        blocked[0] = NOWHERE;
        blocked[1] = NOWHERE;
        blocked[2] = NOWHERE;
        run query(0);
#ifdef KEEPER
        run keeper();
#else
        run query(1);
#endif
        run query(2);
    }
}

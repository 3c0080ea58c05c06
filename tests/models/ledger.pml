/* SPDX-License-Identifier: Apache-2.0
 *
 * The reservation protocol: charge and release by published counters, recall under the lock, what a
 * refusal proves, what a drained pool may hold. Plain spin runs one access after another, seen by
 * all at once; here a store of an owner lies in its store buffer first, so that a missing barrier
 * shows.
 *
 * Two owners with a slot each charge 1 or 2 of LIMIT units, release, and come and go. A keeper
 * without a slot charges the pool directly, recalls, cuts the limit and raises it. All for ever, in
 * every order; everybody who finds no room recalls. One atomic step is one access to a word that
 * somebody reads or writes without the lock.
 *
 * mirrors include/ration.h ration_slot_try_charge ration_slot_release
 * mirrors memory/slot.c look_up set_floor refill rn_slot_charge_locked ration_slot_charge_slow
 * mirrors memory/slot.c ration_slot_release_slow rn_slot_fold rn_slot_open
 * mirrors memory/recall.c rn_slot_shut rn_ledger_pass_barrier open_slot_at_used rn_pool_drain
 * mirrors memory/recall.c rn_pool_find_full_at_last rn_pool_shed rn_pool_recall
 * mirrors memory/pool.c rn_pool_try_charge rn_pool_release rn_pool_set_limit
 *
 * The store buffer has one entry per owner. A store lies there for as long as it likes; its owner
 * loads from it; a second store lets the first go to memory or takes its place (the first was
 * delayed until the second was). It is flushed at any time, by the unlock, and by the barrier,
 * which comes to the owners one after another. Only `used` needs it: every other word is written
 * under the lock, where a delay until barrier or unlock is one of the orders tried anyhow. SEQ_CST:
 * a store of `used` is in memory at once, and there is no barrier. LENT: an owner also releases
 * what the other has charged, so that `used` falls below 0; the keeper stays away.
 *
 * What holds, looked at after each step that can change it (2, 3 and 4 while the lock is free):
 *   1. OVER   answered OK and not released <= the largest limit, and <= granted of its slot.
 *   2. SUMS   granted = direct + what the slots were granted.
 *   3. CUT    granted <= limit, unless the pool is drained; no grant ends above the limit.
 *   4. LEFT   a drained pool holds no credit.
 *   5. NO     who is refused could have been at one instant of the call: charged + asked > limit.
 *             Charged is the least favourable truth: a charge counts from the moment when it is
 *             published and covered, a release until its last step.
 *   6. SWORN  a charge that was published and covered is never refused; used <= granted when the
 *             slow path has taken back what was published.
 *   7. Nobody waits for ever: no invalid end state.
 *
 * States, all of them visited (tests/models/test_spin.sh prints them): 2.1 million; SEQ_CST 0.5
 * million; LENT 0.1 million.
 *
 * Left out: trees of pools and tickets (queue.pml), claims, unchecked charges, retained pages,
 * loads out of order and stores to different words out of order (tests/relacy), and a barrier that
 * the kernel refuses.
 */
#include "promise.pml"

#ifndef LIMIT
#define LIMIT 3
#endif
#ifdef LENT
#define LEAST (-2) /* of `used`: an owner may release what the other charged */
#else
#define LEAST 0
#endif
#define CHUNK 1
#define FLOOR_CHUNKS 2 /* slot.c says 4 and 2; what matters is that the floor lies below */
#define KEEP_CHUNKS 1
#define OWNERS 2
#define KEEPER 2
#define ASKERS 3
#define CLOSED (-100)
#define ALWAYS 100

/* The slots. `used` is in memory; in the buffer lies the store that nobody else sees yet. */
short used[OWNERS];
short buffer[OWNERS];
bool buffered[OWNERS];
short hot_limit[OWNERS];
short hot_floor[OWNERS];
short slot_granted[OWNERS];

/* The pool. */
bool lock;
bool drained;
short limit = LIMIT;
short granted;
short direct;

/* Ghosts: what the caller of an owner knows, and what a refusal needs to be true. */
short sure[OWNERS];    /* answered OK, release not yet begun */
short leaving[OWNERS]; /* release begun, its last step not yet made */
bool coming[OWNERS];   /* what is asked is published, not yet answered */
short asked[ASKERS];   /* by the call under way */
bool could[ASKERS];    /* a refusal was true at one instant of that call */

#define latest(i) (buffered[i] -> buffer[i] : used[i])
#define missing(i, n) (latest(i) + n > slot_granted[i] -> latest(i) + n - slot_granted[i] : 0)
#define room (limit - granted)
#ifdef COVERED_NEEDS_ROOM
#define fits(i, n) (missing(i, n) <= room)
#else
#define fits(i, n) (missing(i, n) == 0 || missing(i, n) <= room)
#endif
#define covered(i) (coming[i] && latest(i) <= slot_granted[i] -> asked[i] : 0)
#define charged(i) (sure[i] + leaving[i] + covered(i))
#define all_charged (charged(0) + charged(1) + direct)

#define OVER 1
#define SUMS 2
#define CUT 3
#define LEFT 4
#define NO 5
#define SWORN 6

inline note()
{
    promise(OVER, "over\n", sure[0] + sure[1] + direct <= LIMIT);
    promise(OVER, "over\n", sure[0] <= slot_granted[0] && sure[1] <= slot_granted[1]);
    if
    :: !lock ->
        promise(SUMS, "sums\n", granted == direct + slot_granted[0] + slot_granted[1]);
        promise(CUT, "cut\n", granted <= limit || drained);
        promise(LEFT, "left\n",
            !drained || (slot_granted[0] <= charged(0) && slot_granted[1] <= charged(1)));
    :: else
    fi;
    /* The asker's own charge, not yet answered, is what it asks for. */
    if :: asked[0] && all_charged - covered(0) + asked[0] > limit -> could[0] = true :: else fi;
    if :: asked[1] && all_charged - covered(1) + asked[1] > limit -> could[1] = true :: else fi;
    if :: asked[2] && all_charged + asked[2] > limit -> could[2] = true :: else fi;
}

inline begin_ask(i)
{
    if
    :: asked[i] = 1;
    :: asked[i] = 2;
    fi;
    note();
}

inline end_ask(i)
{
    asked[i] = 0;
    could[i] = false;
}

inline refuse(i)
{
    promise(NO, "no\n", could[i]);
    end_ask(i);
}

/* ---------------------------------------------------------------------------- the store buffer */

inline flush(i)
{
    if
    :: buffered[i] -> used[i] = buffer[i]; buffer[i] = 0; buffered[i] = false;
    :: else
    fi
}

inline add_used(i, bytes)
{
#ifdef SEQ_CST
    used[i] = used[i] + bytes;
#else
    if
    :: buffered[i] -> used[i] = buffer[i];
    :: true
    fi;
    buffer[i] = latest(i) + bytes;
    buffered[i] = true;
#endif
}

inline take_lock()
{
    !lock;
    lock = true;
}

inline let_go(i)
{
    if
    :: i < OWNERS -> flush(i);
    :: else
    fi;
    lock = false;
    note();
}

/* -------------------------------------------------------------------------------------- recall */

inline rn_slot_shut(i)
{
    hot_limit[i] = CLOSED;
#ifndef FLOOR_AFTER_READ
    hot_floor[i] = ALWAYS;
#endif
}

/* The barrier as it reaches the processor of one owner. */
inline pass_barrier(me, i)
{
#ifdef FENCE_OF_OWN_PROCESSOR
    d_step { if :: i == me -> flush(i); :: else fi; }
#else
    d_step { flush(i); }
#endif
}

inline open_slot(me, i)
{
    seen = (i == me -> latest(i) : used[i]);
    d_step {
#ifdef LIMIT_FROM_USED
        seen = slot_granted[i] - seen;
#else
        seen = (slot_granted[i] > seen -> slot_granted[i] - seen : 0);
#endif
        granted = granted - seen;
#ifdef USED_READ_TWICE
        slot_granted[i] = (slot_granted[i] > used[i] -> used[i] : slot_granted[i]);
#else
        slot_granted[i] = slot_granted[i] - seen;
#endif
        hot_limit[i] = slot_granted[i];
        drained = (i == OWNERS - 1);
        seen = 0;
        note();
    }
#ifdef FLOOR_AFTER_READ
    hot_floor[i] = ALWAYS;
#endif
}

inline drain(me)
{
#ifdef BARRIER_BEFORE_CLOSING
    pass_barrier(me, 0);
    pass_barrier(me, 1);
#endif
    rn_slot_shut(0);
    rn_slot_shut(1);
#if !defined NO_BARRIER && !defined SEQ_CST && !defined BARRIER_BEFORE_CLOSING
    pass_barrier(me, 0);
    pass_barrier(me, 1);
#endif
    open_slot(me, 0);
    open_slot(me, 1);
}

/* The slots are left open, so bytes on their way from one to another are counted twice. */
inline add_up_open_slots(me)
{
    seen = (me == 0 -> latest(0) : used[0]);
    atomic {
        seen = seen + (me == 1 -> latest(1) : used[1]);
        if
        :: seen + direct + asked[me] > limit -> seen = 0; goto no
        :: else -> seen = 0;
        fi;
    }
}

/* -------------------------------------------------------------------------------------- owners */

inline set_floor(me)
{
    hot_floor[me] = (drained -> ALWAYS : slot_granted[me] - FLOOR_CHUNKS * chunk);
}

inline choose_chunk()
{
    if
    :: chunk = 0;
    :: chunk = CHUNK;
    fi;
}

/* Grants what is missing, and a chunk if that fits too. Room for the first has been made. */
inline refill(me)
{
    more = missing(me, asked[me]);
    if
    :: more > 0 ->
        choose_chunk();
        if
        :: chunk > 0 && room - more >= chunk ->
            more = more + chunk;
#ifndef DRAINED_KEPT
            drained = false;
#endif
        :: else
        fi;
        granted = granted + more;
        promise(CUT, "cut\n", granted <= limit);
        slot_granted[me] = slot_granted[me] + more;
        hot_limit[me] = slot_granted[me];
        set_floor(me);
        chunk = 0;
        more = 0;
    :: else
    fi;
}

proctype owner(byte me)
{
    byte chunk;
    short more, seen;
    bool sworn; /* the published charge was covered: it may not be refused */

end_idle:
    if
    :: atomic {                                                       /* ration_slot_try_charge */
            begin_ask(me);
#ifndef PUBLISH_BEFORE_COMPARE
            if
            :: latest(me) + asked[me] > hot_limit[me] -> goto slow
            :: else
            fi;
#endif
        }
        atomic {
            add_used(me, asked[me]);
            coming[me] = true;
            note();
        }
        atomic {
            if
#ifdef NO_SECOND_COMPARE
            :: true ->
#else
            :: latest(me) <= hot_limit[me] ->
#endif
                coming[me] = false;
                sure[me] = sure[me] + asked[me];
                end_ask(me);
                note();
                goto end_idle
            :: else
            fi;
        }
slow:   atomic {                                                   /* ration_slot_charge_slow */
            take_lock();
            if
            :: coming[me] ->
                sworn = (latest(me) <= slot_granted[me]);
#ifndef PUBLISHED_KEPT
                add_used(me, -asked[me]);
#endif
                coming[me] = false;
            :: else
            fi;
            promise(SWORN, "sworn\n", latest(me) <= slot_granted[me]);
            if
            :: fits(me, asked[me]) -> goto grant
#ifdef REFUSED_BEFORE_RECALL
            :: !fits(me, asked[me]) -> goto no
#else
            :: !fits(me, asked[me]) && (asked[me] > limit || drained) -> goto no
#endif
            :: else
            fi;
        }
#ifdef SLOTS_READ_OPEN
        add_up_open_slots(me);
#endif
        drain(me);
        atomic {
            if
#ifdef CHUNK_REFUSES
            :: missing(me, asked[me]) + CHUNK <= room -> goto grant
#else
            :: fits(me, asked[me]) -> goto grant
#endif
            :: else -> goto no
            fi;
grant:      sworn = false;
            refill(me);
            add_used(me, asked[me]);
            sure[me] = sure[me] + asked[me];
            end_ask(me);
            goto unlocking;
no:         promise(SWORN, "sworn\n", !sworn);
            refuse(me);
unlocking:  let_go(me);
            goto end_idle
        }

    :: atomic {                                                       /* ration_slot_release */
#ifdef LENT
            sure[0] + sure[1] > 0 && !buffered[1 - me] && sure[me] > LEAST;
            leaving[me] = 1;
#else
            if
            :: sure[me] > 0 -> leaving[me] = 1;
            :: sure[me] > 1 -> leaving[me] = sure[me];
            fi;
#endif
            sure[me] = sure[me] - leaving[me];
            add_used(me, -leaving[me]);
            note();
        }
        atomic {
            if
#ifdef FLOOR_IGNORED
            :: true ->
#else
            :: latest(me) >= hot_floor[me] ->
#endif
                leaving[me] = 0;
                note();
                goto end_idle
            :: else
            fi;
        }
        atomic {                                                 /* ration_slot_release_slow */
            take_lock();
            leaving[me] = 0;
            choose_chunk();
            more = slot_granted[me] - latest(me) - (drained -> 0 : KEEP_CHUNKS * chunk);
            if
            :: more > 0 ->
                slot_granted[me] = slot_granted[me] - more;
                granted = granted - more;
                hot_limit[me] = slot_granted[me];
            :: else
            fi;
            set_floor(me);
            chunk = 0;
            more = 0;
            goto unlocking
        }

    :: atomic {                     /* rn_slot_fold, rn_slot_open: a thread exits, another comes */
            sure[me] == 0;
            take_lock();
#ifndef EXIT_KEEPS_CREDIT
            granted = granted - slot_granted[me];
#endif
            slot_granted[me] = 0;
            used[me] = 0;
            buffer[me] = 0;
            buffered[me] = false;
            hot_limit[me] = 0;
            set_floor(me);
            goto unlocking
        }
    fi
}

/* ------------------------------------------------------------- without a slot, and the machine */

proctype keeper()
{
    short seen;

end_idle:
    if
    :: atomic {                                                           /* rn_pool_try_charge */
            direct == 0;
            take_lock();
            begin_ask(KEEPER);
            if
            :: asked[KEEPER] <= room -> goto grant
            :: asked[KEEPER] > room && (asked[KEEPER] > limit || drained) -> goto no
            :: else
            fi;
        }
#ifdef SLOTS_READ_OPEN
        add_up_open_slots(KEEPER);
#endif
        drain(KEEPER);
        atomic {
            if
            :: asked[KEEPER] <= room -> goto grant
            :: else -> goto no
            fi;
grant:      granted = granted + asked[KEEPER];
            promise(CUT, "cut\n", granted <= limit);
            direct = direct + asked[KEEPER];
            end_ask(KEEPER);
            goto unlocking;
no:         refuse(KEEPER);
            goto unlocking
        }
    :: atomic {                                                              /* rn_pool_release */
            direct > 0;
            take_lock();
            granted = granted - direct;
            direct = 0;
            goto unlocking
        }
    :: atomic {                                                               /* rn_pool_recall */
            !drained;
            take_lock();
            goto draining
        }
    :: atomic {                                            /* rn_pool_set_limit: a cut, and back */
            take_lock();
            limit = (limit == LIMIT -> LIMIT - 1 : LIMIT);
            note();
            if
#ifdef CUT_WITHOUT_RECALL
            :: true -> goto unlocking
#else
            :: room >= 0 || drained -> goto unlocking
#endif
            :: else
            fi;
        }
draining:
        drain(KEEPER);
        atomic {
            skip;
unlocking:  let_go(KEEPER);
            goto end_idle
        }
    fi
}

proctype memory()
{
end_idle:
    do
    :: d_step { buffered[0]; flush(0); }
    :: d_step { buffered[1]; flush(1); }
    od
}

init
{
    atomic {
        run owner(0);
        run owner(1);
        run memory();
#ifndef LENT
        run keeper();
#endif
    }
}

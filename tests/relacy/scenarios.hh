/* SPDX-License-Identifier: Apache-2.0
 *
 * What the simulated threads do. Thread i owns slot i, unless its scenario says otherwise; what
 * must hold is in the sentence above each, besides what world.hh looks for always.
 */
#ifndef RATION_TESTS_RELACY_SCENARIOS_HH
#define RATION_TESTS_RELACY_SCENARIOS_HH

#include "tests/relacy/queue.hh"
#include "tests/relacy/shelves.hh"

struct scenario {
    const char *name;
    int threads;
    int percent;     /* of the executions asked for */
    bool may_refuse; /* says nothing of who must be granted: holds without any barrier, too */
    void (*open)();
    void (*thread)(int index);
    void (*close)();
};

/* Two owners charge and release, a third thread recalls. */
static void open_race()
{
    open_tree(2);
}
static void run_race(int index)
{
    if (index == 2) {
        (void)rn_pool_recall(pools[FIRST]);
        (void)rn_pool_recall(pools[ROOT]);
        return;
    }
    int64_t held = 0;
    for (int i = 0; i < 3; i++) {
        int64_t bytes = 1 + (int64_t)rl::rand(4);
        if (charge(index, bytes) == RATION_OK) {
            held += bytes;
        } else if (held > 0) {
            release(index, 1);
            held -= 1;
        }
    }
    release(index, held);
}

/* Two owners hold at most 3 each: the third gets 4 of 10, and none of them is ever refused. */
static void open_exact()
{
    open_tree(3);
    prime(0, 6);
}
static void run_exact(int index)
{
    for (int i = 0; i < 2; i++) {
        int64_t bytes = index == 2 ? 4 : 1 + (int64_t)rl::rand(3);
        must_charge(index, bytes);
        release(index, bytes);
    }
}

/* The owner has credit for its ask, the other needs that credit for his: one of them is granted. */
static int granted_of_both;
static void open_both()
{
    open_tree(2);
    prime(0, 6);
    granted_of_both = 0;
}
static void run_both(int index)
{
    granted_of_both += charge(index, 6) == RATION_OK;
}
static void close_both()
{
    require(granted_of_both == 1, "not exactly one was granted");
    close_tree();
}

/* A giant, whose slot has credit, asks for more than the limit: nobody else is refused for it, not
 * even he who needs that credit. */
static void open_giant()
{
    open_tree(2);
    prime(1, 4);
}
static void run_giant(int index)
{
    for (int i = 0; i < 2; i++) {
        if (index == 1) {
            must_refuse(1, 11);
        } else {
            must_charge(0, 10);
            release(0, 10);
        }
    }
}

/* A giant below the limit does not fit beside a byte that stays: the small ones still do. */
static void open_fitting()
{
    open_tree(3);
    must_charge(0, 1);
    prime(1, 4);
}
static void run_fitting(int index)
{
    for (int i = 0; i < 2; i++) {
        if (index == 2) {
            must_refuse(2, 10);
        } else {
            must_charge(index, 4);
            release(index, 4);
        }
    }
}

/* Owners release all while others recall: whoever then asks for the whole limit gets it. */
static void open_leftover()
{
    open_tree(3);
    must_charge(0, 6);
    must_charge(1, 2);
}
static void run_leftover(int index)
{
    if (index == 2) {
        (void)rn_pool_recall(pools[ROOT]);
        return;
    }
    release(index, index == 0 ? 4 : 1);
    release(index, index == 0 ? 2 : 1);
}
static void close_leftover()
{
    look_for_credit();
    must_charge(2, 10);
    release(2, 10);
    close_tree();
}

/* The only owner releases while another asks for the whole limit: he gets it as soon as he asks
 * after the release. */
static lasting<rl::atomic<int>> passed;
static void open_handing()
{
    open_tree(2);
    must_charge(0, 6);
    passed.open(0);
}
static void run_handing(int index)
{
    if (index == 0) {
        release(0, 6);
        passed->store(1, rl::mo_release, $);
        return;
    }
    bool after = passed->load(rl::mo_acquire, $) == 1;
    ration_status status = charge(1, 10);
    require(!after || status == RATION_OK, "refused, though all had been released before");
}
static void close_flag()
{
    close_tree();
    passed.close();
}

/* Slot 0 charges 5, slot 1 releases them, slot 0 charges 5 again: never more than 5, so that slot 2
 * gets the other 5 at any time. Bytes on their way are not counted twice. */
static void open_passing()
{
    open_tree(3);
    passed.open(0);
}
static void run_passing(int index)
{
    if (index == 2) {
        must_charge(2, 5);
        release(2, 5);
        return;
    }
    if (index == 1) {
        while (passed->load(rl::mo_acquire, $) != 1) {
            rl::yield(1, $);
        }
        release(1, 5);
        passed->store(2, rl::mo_release, $);
        return;
    }
    must_charge(0, 5);
    passed->store(1, rl::mo_release, $);
    while (passed->load(rl::mo_acquire, $) != 2) {
        rl::yield(1, $);
    }
    must_charge(0, 5);
    release(0, 5);
}

/* Bytes that come home bring with them what was written before their release: both write the same
 * memory, the owner before it releases, the other once it was granted all. */
static lasting<rl::var<int>> written;
static void open_memory()
{
    open_tree(2);
    must_charge(0, 6);
    written.open(0);
}
static void run_memory(int index)
{
    if (index == 0) {
        bool late = rl::rand(2) == 0;
        while (late && slots[0]->hot.floor != INT64_MAX) {
            rl::yield(1, $);
        }
        (*written)($) = 1;
        release(0, 6);
    } else if (charge(1, 10) == RATION_OK) {
        (*written)($) = 2;
    }
}
static void close_memory()
{
    written.close();
    close_tree();
}

/* Two pools with limits of their own below one root; each ask may be refused by either. */
static void open_two()
{
    open_tree(2);
    rn_pool_set_limit(pools[FIRST], 6);
    rn_pool_set_limit(pools[SECOND], 7);
    ghost.limit[FIRST] = 6;
    ghost.limit[SECOND] = 7;
    open_slot(2, SECOND);
}
static void run_two(int index)
{
    if (index == 3) {
        (void)rn_pool_recall(pools[FIRST]);
        (void)rn_pool_recall(pools[ROOT]);
        return;
    }
    int64_t bytes = 3 + (int64_t)rl::rand(3);
    if (charge(index, bytes) == RATION_OK) {
        release(index, bytes - 1);
        release(index, 1);
    }
}

/* The limit is cut from 10 to 4: once the call has returned, no grant takes the sum above 4. */
static bool limit_is_cut;
static void open_cut()
{
    open_tree(2);
    must_charge(0, 3);
    limit_is_cut = false;
    ghost.judges = false;
}
static void run_cut(int index)
{
    if (index == 2) {
        rn_pool_set_limit(pools[ROOT], 4);
        limit_is_cut = true;
        return;
    }
    for (int i = 0; i < 2; i++) {
        bool after_cut = limit_is_cut;
        if (charge(index, 2) == RATION_OK) {
            require(!after_cut || ghost.low[ROOT] <= 4, "granted above a limit that was cut");
            release(index, 2);
        }
    }
}

/* Whoever asks for as much as there is gets at least what the other can never hold. */
static void open_between()
{
    open_tree(2);
    prime(0, 6);
}
static void run_between(int index)
{
    if (index == 0) {
        if (charge(0, 6) == RATION_OK) {
            release(0, 6);
        }
        return;
    }
    int64_t got = 0;
    begin_ask(1, 10);
    ration_status status = ration_slot_try_charge_between(&slots[1]->hot, 4, 10, &got);
    require(status == RATION_OK && got >= 4 && got <= 10,
            "less than there was, or more than asked");
    add_high(1, got - 10);
    end_ask(1, got, status);
    int64_t rest = got - 4;
    release(1, rest);
    release(1, 4);
}

/* Retained pages count against the limit and are given back before anybody is refused: two owners
 * get all 10 bytes between them, whatever is retained meanwhile. */
static int64_t retained_bytes;
static int64_t purge(void *, int64_t wanted_bytes)
{
    int64_t purged = RN_MIN(wanted_bytes, retained_bytes);
    retained_bytes -= purged;
    return purged;
}
static void retain(int64_t bytes)
{
    rn_ledger_lock(ledger);
    rn_move move = {};
    move.to = pools[SECOND];
    move.bytes = bytes;
    int64_t need;
    if (rn_pool_find_full(&move, &need) == NULL) {
        rn_pool_grant_direct(pools[SECOND], bytes);
        retained_bytes += bytes;
    }
    rn_ledger_unlock(ledger);
}
static void open_retained()
{
    open_tree(2);
    retained_bytes = 0;
    rn_ledger_set_purge(ledger, purge, NULL, NULL, pools[SECOND]);
    retain(4);
}
static void run_retained(int index)
{
    for (int i = 0; i < 2; i++) {
        if (index == 2) {
            retain(3);
        } else {
            must_charge(index, 5);
            release(index, 5);
        }
    }
}
static void close_retained()
{
    rn_pool_release(pools[SECOND], retained_bytes);
    rn_ledger_set_purge(ledger, NULL, NULL, NULL, NULL);
    close_tree();
}

/* Bytes that exist already are counted, and nothing is granted until the sum is below again. */
static bool unchecked_is_there;
static void open_unchecked()
{
    open_tree(2);
    must_charge(0, 4);
    prime(0, 2);
    ghost.limit[ROOT] = INT64_MAX;
    ghost.judges = false;
    unchecked_is_there = false;
}
static void run_unchecked(int index)
{
    if (index == 1) {
        add_high(1, 9);
        ration_slot_charge(&slots[1]->hot, 9);
        add_low(1, 9);
        unchecked_is_there = true;
        release(1, 9);
        return;
    }
    for (int i = 0; i < 2; i++) {
        bool after = unchecked_is_there;
        if (charge(0, 3) == RATION_OK) {
            require(!after || ghost.low[ROOT] <= 10, "granted while above the limit");
            release(0, 3);
        }
    }
}

/* A claim of 4 is there from its grant on: nobody below it is refused what it covers, whatever the
 * others do; and they never get the bytes of it. */
static bool claim_is_there;
static void open_claim()
{
    open_tree(1);
    open_slot(1, SECOND);
    prime(1, 6);
    claim_is_there = false;
    ghost.judges = false;
}
static void run_claim(int index)
{
    if (index == 2) {
        rn_no no;
        claim_is_there = rn_pool_try_claim(pools[FIRST], 4, &no);
        return;
    }
    for (int i = 0; i < 2; i++) {
        bool claimed = claim_is_there;
        int64_t bytes = index == 0 ? 4 : 7;
        if (charge(index, bytes) == RATION_OK) {
            require(index == 0 || !claimed, "the bytes of a claim were given to another");
            release(index, bytes);
        } else {
            require(index == 1 || !claimed, "refused what a claim covers");
        }
    }
}
static void close_claim()
{
    rn_no no;
    bool given_up = rn_pool_try_claim(pools[FIRST], 0, &no);
    require(given_up, "a claim could not be given up");
    close_tree();
}

/* A pool moves below another, both ways, while its slot and the other's charge. */
static void open_moving()
{
    open_tree(1);
    rn_pool_set_limit(pools[SECOND], 6);
    open_slot(1, SECOND);
    prime(0, 4);
    ghost.limit[FIRST] = 6; /* wherever it is: 5 at most */
    ghost.judges = false;
}
static void run_moving(int index)
{
    if (index == 2) {
        rn_no no;
        bool moved = rn_pool_set_parent(pools[FIRST], pools[SECOND], &no);
        bool back = !moved || rn_pool_set_parent(pools[FIRST], pools[ROOT], &no);
        require(back, "what was there before does not fit any more");
        return;
    }
    for (int i = 0; i < 2; i++) {
        int64_t bytes = 2 + (int64_t)rl::rand(3);
        if (charge(index, bytes) == RATION_OK) {
            release(index, bytes);
        }
    }
}

/* Slots come and go while others recall. */
static void open_closing()
{
    open_tree(1);
    prime(0, 4);
}
static void run_closing(int index)
{
    if (index == 0) {
        must_charge(0, 3);
        release(0, 3);
        return;
    }
    open_slot(index, FIRST);
    must_charge(index, 3);
    release(index, 3);
    rn_slot *slot = slots[index];
    slots[index] = NULL;
    rn_slot_close(slot);
}

/* Charged bytes change hands: from slot to pool and back, under the lock, while others recall. */
static void open_hands()
{
    open_tree(2);
    prime(1, 2);
}
static void run_hands(int index)
{
    if (index == 1) {
        must_charge(1, 4);
        release(1, 4);
        return;
    }
    if (index == 2) {
        (void)rn_pool_recall(pools[ROOT]);
        return;
    }
    must_charge(0, 5);
    rn_ledger_lock(ledger);
    bool handed = rn_slot_hand_over(slots[0], pools[FIRST], 5);
    rn_ledger_unlock(ledger);
    require(handed, "bytes that are charged could not be handed over");
    rn_ledger_lock(ledger);
    bool taken = rn_slot_take_over(slots[0], pools[FIRST], 5);
    rn_ledger_unlock(ledger);
    require(taken, "bytes that are charged could not be taken over");
    release(0, 5);
}

static const scenario scenarios[] = {
    {"race", 3, 100, true, open_race, run_race, close_tree},
    {"exact", 3, 100, false, open_exact, run_exact, close_tree},
    {"both", 2, 100, false, open_both, run_both, close_both},
    {"giant", 2, 100, false, open_giant, run_giant, close_tree},
    {"fitting", 3, 20, false, open_fitting, run_fitting, close_tree},
    {"leftover", 3, 100, false, open_leftover, run_leftover, close_leftover},
    {"handing", 2, 100, false, open_handing, run_handing, close_flag},
    {"passing", 3, 100, false, open_passing, run_passing, close_flag},
    {"memory", 2, 100, false, open_memory, run_memory, close_memory},
    {"two", 4, 100, true, open_two, run_two, close_tree},
    {"cut", 3, 100, false, open_cut, run_cut, close_tree},
    {"between", 2, 20, false, open_between, run_between, close_tree},
    {"retained", 3, 20, false, open_retained, run_retained, close_retained},
    {"unchecked", 2, 20, false, open_unchecked, run_unchecked, close_tree},
    {"claim", 3, 20, false, open_claim, run_claim, close_claim},
    {"moving", 3, 20, false, open_moving, run_moving, close_tree},
    {"closing", 3, 20, false, open_closing, run_closing, close_tree},
    {"hands", 3, 20, false, open_hands, run_hands, close_tree},
    {"taking", 2, 5, false, open_taking, run_taking, close_shelf},
    {"putting", 2, 5, false, open_putting, run_putting, close_shelf},
    {"shelf", 2, 20, false, open_shelf, run_shelf, close_shelf},
    {"shelves", 3, 20, false, open_shelves, run_shelves, close_shelf},
    {"refusing", 2, 10, false, open_refusing, run_refusing, close_shelf},
    {"peeking", 3, 10, true, open_peeking, run_peeking, close_peeking},
    {"queue", 4, 20, false, open_queue, run_queue, close_tree},
    {"uprooting", 4, 20, false, open_queue, run_uprooting, close_tree},
    {"climbing", 3, 20, false, open_climbing, run_climbing, close_tree},
    {"leaving", 3, 20, false, open_leaving, run_leaving, close_tree},
    {"withdrawing", 3, 20, false, open_leaving, run_withdrawing, close_withdrawing},
    {"vain", 3, 20, false, open_leaving, run_vain, close_tree},
};

#endif

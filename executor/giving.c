/* SPDX-License-Identifier: Apache-2.0
 *
 * Who writes out what a query was asked for: its own worker, at a settle or when it leaves, or,
 * when nobody is inside of it, whoever waits for it.
 *
 * An idle query is taken as a whole: all its slots that have a spiller go from IDLE to TAKEN, one
 * after the other under the ledger's lock, or none does. While they are taken the query cannot be
 * closed, its slots cannot be returned, and its workers wait in rn_slot_enter. The taker owns the
 * slots; he is inside of his own query meanwhile, which nobody else takes then, so there is no
 * cycle.
 *
 *   1. A query with want_bytes != 0 has a worker inside, who answers at its next settle or when it
 *      leaves, or all its workers see want_bytes when they leave, or somebody who waits finds it
 *      idle before he sleeps: both sides write their word before they read the other's, with one
 *      order for all (seq_cst). So nobody sleeps on a query that cannot answer.
 *   2. TAKEN is left under query->lock, and who closes a query passes that lock once more after he
 *      is back inside: then the taker has let go.
 */
#include "executor/giving.h"

#include "executor/ask.h"

rn_presence rn_query_presence(const ration_query *query)
{
    rn_presence found = RN_NOBODY_SPILLS;
    rn_walk walk;
    for (rn_slot *slot = rn_walk_first(&walk, query->pool); slot != NULL && found != RN_INSIDE;
         slot = rn_walk_next(&walk)) {
        if (slot->spiller != NULL) {
            found = rn_slot_is_idle(slot) ? RN_AWAY : RN_INSIDE;
        }
    }
    return found;
}

bool rn_query_came_back(const ration_query *query)
{
    bool inside = false, called = false;
    rn_walk walk;
    for (rn_slot *slot = rn_walk_first(&walk, query->pool); slot != NULL;
         slot = rn_walk_next(&walk)) {
        int64_t run = rn_load(&slot->run);
        inside |= slot->spiller != NULL && run == RN_RUN_INSIDE;
        called |= slot->spiller != NULL && (run == RN_RUN_CALLED || run == RN_RUN_TAKEN);
    }
    return inside || !called;
}

void rn_query_wake(const ration_query *query, bool resting_only)
{
    rn_walk walk;
    for (rn_slot *slot = rn_walk_first(&walk, query->pool); slot != NULL;
         slot = rn_walk_next(&walk)) {
        if (!resting_only || rn_ticket_read(slot) == RN_TICKET_RESTING) {
            rn_ticket_ask_again(slot);
        }
    }
}

void rn_ask_wake(ration_query *query)
{
    rn_ledger *ledger = rn_pool_ledger(query->pool);
    rn_ledger_lock(ledger);
    rn_query_wake(query, false);
    rn_ledger_unlock(ledger);
}

void rn_ask_wake_resting(ration_governor *governor)
{
    rn_ledger *ledger = governor->ledger;
    rn_ledger_lock(ledger);
    for (ration_pool *pool = governor->queries; pool != NULL;
         pool = rn_pool_next(pool, governor->queries)) {
        const ration_query *query = (ration_query *)rn_pool_owner(pool);
        if (query != NULL) {
            rn_query_wake(query, true);
        }
    }
    rn_ledger_unlock(ledger);
}

void rn_ask_can_spill(rn_slot *slot, int64_t bytes)
{
    if (bytes != slot->spillable_bytes) {
        rn_fetch_add(&rn_slot_query(slot)->spillable_bytes, bytes - slot->spillable_bytes);
        rn_store(&slot->spillable_bytes, bytes);
    }
}

void ration_slot_register_spill(ration_slot *slot, const ration_spiller *spiller)
{
    rn_slot *self = rn_slot_of(slot);
    ration_query *query = rn_slot_query(self);
    rn_ledger *ledger = rn_pool_ledger(query->pool);
    rn_ask_can_spill(self, spiller == NULL ? 0 : RN_MAX(spiller->spillable(spiller->state), 0));
    rn_ledger_lock(ledger);
    self->spiller = spiller;
    bool last = rn_query_presence(query) == RN_NOBODY_SPILLS && rn_ask_wants(query) != 0;
    rn_ledger_unlock(ledger);
    if (last) { /* nobody will write out what it was asked for */
        rn_ask_gave(query);
    }
}

/* Also of a slot that is taken, by whoever took it. Nobody is cancelled in it: others wait for it
 * to end, and it may hold locks of theirs. */
static ration_status spill(rn_slot *slot, int64_t want_bytes)
{
    const ration_spiller *spiller = slot->spiller;
    int cancellation;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    ration_status status = spiller->spill(spiller->state, want_bytes);
    (void)pthread_setcancelstate(cancellation, NULL);
    bool more = status == RATION_OK;
    rn_ask_can_spill(slot, more ? RN_MAX(spiller->spillable(spiller->state), 0) : 0);
    return status;
}

ration_status rn_give(rn_slot *slot, int64_t want_bytes)
{
    ration_status status = slot->spiller == NULL ? RATION_OK : spill(slot, want_bytes);
    rn_ask_gave(rn_slot_query(slot));
    return status;
}

/* ---------------------------------------------------------------------------- idle and taken */

/* Of one query. */
typedef struct taken {
    ration_query *query;
    rn_slot *slots[RN_QUERY_SLOTS_MAX + 1];
    size_t count;
} taken;

static void put_back(const taken *held, rn_run_state run)
{
    pthread_mutex_lock(&held->query->lock);
    for (size_t i = 0; i < held->count; i++) {
        rn_store_release(&held->slots[i]->run, run);
    }
    pthread_cond_broadcast(&held->query->run_free);
    pthread_mutex_unlock(&held->query->lock);
}

/* Takes the slot if nobody is inside; answers what it was. */
static int64_t take_slot(rn_slot *slot)
{
    int64_t run = rn_load_seq_cst(&slot->run);
    while ((run == RN_RUN_IDLE || run == RN_RUN_CALLED) &&
           !rn_compare_swap(&slot->run, &run, RN_RUN_TAKEN)) {
    }
    return run;
}

/* Takes the query if nobody is inside and there is something to call. Under the ledger's lock. */
static bool take(ration_query *query, taken *held)
{
    *held = (taken){.query = query};
    bool idle = true;
    rn_walk walk;
    for (rn_slot *slot = rn_walk_first(&walk, query->pool); slot != NULL && idle;
         slot = rn_walk_next(&walk)) {
        if (slot->spiller == NULL) {
            continue;
        }
        int64_t run = held->count < RN_COUNT(held->slots) ? take_slot(slot) : RN_RUN_INSIDE;
        idle = run == RN_RUN_IDLE || run == RN_RUN_CALLED;
        if (idle) {
            held->slots[held->count++] = slot;
        }
    }
    if (!idle && held->count > 0) {
        put_back(held, RN_RUN_IDLE);
    }
    return idle && held->count > 0;
}

static bool take_idle_giver(ration_governor *governor, taken *held)
{
    bool found = false;
    rn_ledger_lock(governor->ledger);
    for (ration_pool *pool = governor->queries; pool != NULL && !found;
         pool = rn_pool_next(pool, governor->queries)) {
        ration_query *query = (ration_query *)rn_pool_owner(pool);
        bool gives = query != NULL && rn_load(&query->want_bytes) != 0 &&
                     rn_load(&query->status) == RATION_OK && rn_load(&query->cancelled) == 0;
        found = gives && take(query, held); /* one that has ended answers by closing */
    }
    rn_ledger_unlock(governor->ledger);
    return found;
}

static ration_status reclaim(const taken *held, int64_t want, bool away)
{
    ration_query *query = held->query;
    ration_status status = RATION_OK;
    for (size_t i = 0; i < held->count && want > 0 && status == RATION_OK; i++) {
        rn_slot *slot = held->slots[i];
        int64_t before = rn_slot_used(slot);
        int64_t owner = rn_slot_borrow(slot);
        status = spill(slot, want);
        rn_slot_hand_back(slot, owner);
        if (status != RATION_OK) {
            (void)rn_query_fail(query, slot, "reclaim", status, NULL);
        }
        want -= before - rn_slot_used(slot);
    }
    if (away) {
        rn_ask_gave_away(query);
    } else {
        rn_ask_gave(query);
    }
    put_back(held, RN_RUN_CALLED);
    return status;
}

bool rn_reclaim_one(ration_governor *governor, int64_t most_bytes)
{
    taken held;
    if (!take_idle_giver(governor, &held)) {
        return false;
    }
    (void)reclaim(&held, RN_MIN(rn_load(&held.query->want_bytes), most_bytes), true);
    return true;
}

void rn_reclaim_idle(ration_governor *governor)
{
    while (rn_reclaim_one(governor, INT64_MAX)) {
    }
}

/* While somebody else has it. Not cancelled there: it would take query->lock along. */
static void wait_for_run(rn_slot *slot)
{
    ration_query *query = rn_slot_query(slot);
    int cancellation;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    pthread_mutex_lock(&query->lock);
    while (rn_load_acquire(&slot->run) == RN_RUN_TAKEN) {
        pthread_cond_wait(&query->run_free, &query->lock);
    }
    pthread_mutex_unlock(&query->lock);
    (void)pthread_setcancelstate(cancellation, NULL);
}

ration_status rn_give_for(rn_slot *slot, int64_t want_bytes)
{
    const taken held = {.query = rn_slot_query(slot), .slots = {slot}, .count = 1};
    int64_t run = take_slot(slot);
    if (run == RN_RUN_IDLE || run == RN_RUN_CALLED) {
        return reclaim(&held, want_bytes, false);
    }
    if (run == RN_RUN_TAKEN) { /* whoever took it answers */
        wait_for_run(slot);
        return RATION_OK;
    }
    return rn_give(slot, want_bytes);
}

void rn_slot_enter_slow(rn_slot *slot)
{
    int64_t found = rn_load_acquire(&slot->run);
    while (found != RN_RUN_INSIDE) {
        if (found == RN_RUN_TAKEN) {
            wait_for_run(slot);
            found = rn_load_acquire(&slot->run);
        } else if (rn_compare_swap(&slot->run, &found, RN_RUN_INSIDE)) {
            found = RN_RUN_INSIDE;
        }
    }
}

void rn_slot_leave_slow(rn_slot *slot)
{
    ration_query *query = rn_slot_query(slot);
    int64_t want;
    while (slot->spiller != NULL && (want = rn_load_seq_cst(&query->want_bytes)) != 0) {
        int64_t idle = RN_RUN_IDLE, called = RN_RUN_CALLED;
        if (!rn_compare_swap(&slot->run, &idle, RN_RUN_INSIDE) &&
            !rn_compare_swap(&slot->run, &called, RN_RUN_INSIDE)) {
            return; /* whoever took it answers */
        }
        ration_status status = spill(slot, want);
        rn_ask_gave_away(query);
        if (status != RATION_OK) {
            (void)rn_query_fail(query, slot, "leave", status, NULL);
        }
        rn_store(&slot->thread, 0);
        rn_exchange_seq_cst(&slot->run, RN_RUN_CALLED);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The asking order, one straight line in `decide`. Credit, chunk, exact bytes, retained pages and
 * recall have failed by then (memory/), so what is missing is in somebody's use:
 *
 *     more than can ever come free                              -> refused, nobody is disturbed
 *     the asker is above its fair share with it, and can spill  -> spill
 *     others above theirs that can spill are asked to give      -> wait
 *     an older ticket waits at the same pool                    -> wait
 *     the asker can spill at all                                -> spill
 *     the asker stays within its share with it: the largest holder above
 *     its share that cannot spill becomes the victim            -> wait
 *     else                                                      -> refused
 *
 * Fair share of a pool = its claim + (share of the parent - what the parent's data and retained
 * pools hold - all claims there) x weight / weights of the active siblings, at most its limit;
 * active = it asked beyond its claim in the last 100 ms, or waits.
 *
 * A giver is a query that was asked to give and has not answered. It answers once: by rn_ask_gave
 * after it has written out what it could, or by closing, as a victim and every failed query does.
 * The queue wakes the oldest waiting ticket when the last giver that could help it has answered
 * (memory/queue.c), and its owner asks again, further down the line: nobody sleeps on a giver that
 * is gone. A giver that waits itself is woken to give first. One that freed nothing is not asked
 * again before it holds more, so the line ends.
 *
 * Behind an older ticket nobody is refused and no victim is chosen: what is free there may be
 * enough when that one has left. Its turn to be decided comes when it is the oldest.
 *
 *   1. A query is a giver iff the givers of its own pool are not 0; they are 0 or 1.
 *   2. WAIT is answered only when a giver below the full pool has not answered, or an older ticket
 *      waits there: by invariant 3 of queue.c either somebody will answer, or its owner is awake.
 *   3. A victim is above its share, chosen for an ask that stays within its own, and chosen once.
 *
 * Bounds: one ask O(depth x (pools + slots) + givers chosen x pools below the full one), with the
 * lock held. Victims go by excess over a share rather than by size alone (ClickHouse's overcommit
 * tracker goes by a ratio to a soft limit), so that a large weight is worth something.
 */
#include "executor/ask.h"

#define ACTIVE_NS ((int64_t)100 * 1000 * 1000)

/* -------------------------------------------------------------------------------------- shares */

/* Holds what it holds and gives nothing: the graph, retained pages, queries of other processes. */
static bool is_fixed(const ration_pool *pool)
{
    bool fixed = rn_pool_owner(pool) == NULL;
    for (pool = rn_pool_child(pool); pool != NULL && fixed; pool = rn_pool_sibling(pool)) {
        fixed = is_fixed(pool);
    }
    return fixed;
}

static void distribute(const ration_pool *parent, int64_t now_ns)
{
    int64_t free_bytes = rn_add(parent->share, -rn_load(&parent->direct));
    int64_t weights = 0;
    for (ration_pool *at = rn_pool_child(parent); at != NULL; at = rn_pool_sibling(at)) {
        at->share = is_fixed(at) ? rn_load(&at->granted) : rn_load(&at->claim);
        free_bytes = rn_add(free_bytes, -at->share);
        bool active = !is_fixed(at) && now_ns - rn_load(&at->asked_ns) < ACTIVE_NS;
        weights += active ? at->weight : 0;
    }
    for (ration_pool *at = rn_pool_child(parent); at != NULL; at = rn_pool_sibling(at)) {
        bool active = !is_fixed(at) && now_ns - rn_load(&at->asked_ns) < ACTIVE_NS;
        if (active && free_bytes > 0 && weights > 0) {
            at->share = rn_add(at->share, rn_multiply(free_bytes / weights, at->weight));
        }
        at->share = RN_MIN(at->share, rn_load(&at->limit));
    }
}

static void note_asked(const rn_slot *slot, int64_t now_ns)
{
    for (ration_pool *at = rn_slot_pool(slot); at != NULL; at = rn_pool_parent(at)) {
        rn_store(&at->asked_ns, now_ns);
    }
}

/* Sets `share` of every pool of the asker's tree. */
static void set_shares(const rn_slot *asker)
{
    int64_t now_ns = rn_clock_coarse_ns();
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(asker));
    note_asked(asker, now_ns);
    for (rn_slot *slot = rn_queue_first(ledger); slot != NULL; slot = rn_queue_next(slot)) {
        note_asked(slot, now_ns);
    }
    ration_pool *root = (ration_pool *)rn_link_get(&ledger->root);
    root->share = rn_load(&root->limit);
    for (ration_pool *pool = root; pool != NULL; pool = rn_pool_next(pool, root)) {
        distribute(pool, now_ns);
    }
}

/* -------------------------------------------------------------------------------------- givers */

static ration_query *pool_query(const ration_pool *pool)
{
    return (ration_query *)rn_pool_owner(pool);
}

static int64_t count_held(const ration_query *query)
{
    return rn_pool_count_charged(query->pool);
}

/* What its workers have in use, and with `promised` what was granted to their tickets: without what
 * its claim adds, so that giving shows in it. */
static int64_t count_used(const ration_query *query, bool promised)
{
    int64_t used = rn_load(&query->pool->direct);
    rn_walk walk;
    for (rn_slot *slot = rn_walk_first(&walk, query->pool); slot != NULL;
         slot = rn_walk_next(&walk)) {
        used = rn_add(used, rn_slot_counted(slot) - rn_slot_shelved(slot));
        used = rn_add(used, promised ? rn_ticket_promised(slot) : 0);
    }
    return used;
}

static bool is_giver(const ration_query *query)
{
    return rn_load(&query->pool->givers) != 0;
}

/* What the query could write out; 0 when it cannot, or just has and nothing came of it. */
static int64_t can_give(ration_query *query)
{
    int64_t used = count_used(query, true);
    query->spent_bytes = RN_MIN(query->spent_bytes, used);
    return used > query->spent_bytes ? rn_load(&query->spillable_bytes) : 0;
}

/* From now until it answers, the most it used is what its answer is measured by. What it has been
 * granted and not taken yet is not: it can only grow by that. */
static void note_told(ration_query *query)
{
    query->told_bytes = RN_MAX(query->told_bytes, count_used(query, false) + 1);
}

static bool has_ended(const ration_query *query)
{
    return rn_load(&query->status) != RATION_OK || rn_load(&query->cancelled) != 0;
}

static void wake_all(const ration_query *query)
{
    rn_walk walk;
    for (rn_slot *slot = rn_walk_first(&walk, query->pool); slot != NULL;
         slot = rn_walk_next(&walk)) {
        rn_ticket_ask_again(slot);
    }
}

static void make_giver(ration_query *query, int64_t want_bytes)
{
    rn_assert(!is_giver(query) && want_bytes > 0);
    note_told(query);
    rn_store(&query->want_bytes, want_bytes);
    rn_pool_count_givers(query->pool, 1);
    wake_all(query);
}

/* The holders below a full pool, as one ask sees them. */
typedef struct holders {
    const ration_query *asker;
    ration_query *giver;  /* most above its share, of those that can give and were not asked */
    ration_query *victim; /* most above its share, of those that cannot */
    int64_t giver_above, victim_above;
    int64_t coming; /* asked of givers that have not answered */
} holders;

static void look_at_holder(holders *seen, ration_query *query)
{
    int64_t held = count_held(query);
    int64_t above = held - query->pool->share;
    int64_t give = can_give(query);
    if (is_giver(query)) {
        seen->coming = rn_add(seen->coming, RN_MIN(rn_load(&query->want_bytes), held));
    } else if (held > 0 && has_ended(query)) {
        make_giver(query, held);
        seen->coming = rn_add(seen->coming, held);
    } else if (give > 0 && above > seen->giver_above) {
        seen->giver = query;
        seen->giver_above = above;
    } else if (give == 0 && above > seen->victim_above) {
        seen->victim = query;
        seen->victim_above = above;
    }
}

static holders look_at_holders(ration_pool *full, const ration_query *asker)
{
    holders seen = {.asker = asker};
    for (ration_pool *pool = full; pool != NULL; pool = rn_pool_next(pool, full)) {
        ration_query *query = pool_query(pool);
        if (query != NULL && query != asker) {
            look_at_holder(&seen, query);
        }
    }
    return seen;
}

/* What must come free at the full pool so that the asker and all who wait there get theirs. */
static int64_t count_lacking(const rn_slot *asker, const rn_no *no)
{
    int64_t lacking = rn_add(no->needed_bytes, -rn_pool_room(no->pool));
    const rn_slot *slot = rn_queue_first(rn_pool_ledger(no->pool));
    for (; slot != NULL; slot = rn_queue_next(slot)) {
        if (slot != asker && rn_link_get(&slot->ticket.pool) == no->pool) {
            lacking = rn_add(lacking, slot->ticket.bytes);
        }
    }
    return RN_MAX(lacking, 1);
}

/* Asks the largest first until enough is coming. */
static holders find_givers(const rn_slot *asker, const rn_no *no)
{
    const ration_query *query = rn_slot_query(asker);
    int64_t lacking = count_lacking(asker, no);
    holders seen = look_at_holders(no->pool, query);
    while (seen.coming < lacking && seen.giver != NULL) {
        make_giver(seen.giver, RN_MIN(seen.giver_above, can_give(seen.giver)));
        seen = look_at_holders(no->pool, query);
    }
    return seen;
}

static void make_victim(ration_query *victim, const rn_slot *asker, const char *site,
                        const rn_no *no)
{
    int64_t none = RATION_OK;
    ration_refusal refusal;
    rn_refusal_build_locked(&refusal, rn_slot_query(asker), no, site);
    refusal.status = RATION_VICTIM;
    pthread_mutex_lock(&victim->lock); /* who sees the status finds the refusal */
    if (rn_compare_swap(&victim->status, &none, RATION_VICTIM)) {
        victim->refusal = refusal;
        victim->refused = victim->settled = true;
    }
    pthread_mutex_unlock(&victim->lock);
    make_giver(victim, count_held(victim));
}

/* -------------------------------------------------------------------------------------- asking */

/* What stays granted at `pool` when every query has given all it can and the asker holds `bytes`.
 */
static int64_t count_least(const ration_pool *pool, const ration_query *asker, int64_t bytes)
{
    const ration_query *query = pool_query(pool);
    int64_t least = query == asker ? bytes : 0;
    if (query == NULL && pool != rn_pool_ledger(pool)->retained) {
        least = rn_load(&pool->direct);
        rn_walk walk;
        for (rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL; slot = rn_walk_next(&walk)) {
            least = rn_add(least, rn_slot_counted(slot) - rn_slot_shelved(slot));
        }
        for (ration_pool *at = rn_pool_child(pool); at != NULL; at = rn_pool_sibling(at)) {
            least = rn_add(least, count_least(at, asker, bytes));
        }
    }
    return RN_MAX(least, rn_load(&pool->claim));
}

static rn_reply tell_to_spill(ration_query *query, int64_t lacking)
{
    note_told(query);
    int64_t want = RN_MIN(rn_load(&query->spillable_bytes), lacking);
    return (rn_reply){.answer = RN_ASK_SPILL, .want_bytes = RN_MAX(want, 1)};
}

static rn_reply decide(const rn_slot *slot, int64_t bytes, const char *site, const rn_no *no)
{
    const rn_reply refused = {.answer = RN_ASK_REFUSED, .status = no->status};
    const rn_reply wait = {.answer = RN_ASK_WAIT};
    ration_query *query = rn_slot_query(slot);
    for (ration_pool *pool = no->pool; pool != NULL; pool = rn_pool_parent(pool)) {
        if (count_least(pool, query, bytes) > rn_load(&pool->limit)) {
            return refused;
        }
    }
    set_shares(slot);
    bool within = rn_add(count_used(query, true), bytes) <= query->pool->share;
    bool spills = can_give(query) > 0;
    int64_t lacking = count_lacking(slot, no);
    if (!within && spills) {
        return tell_to_spill(query, lacking);
    }
    holders seen = find_givers(slot, no);
    if (seen.coming > 0 || !rn_queue_admits(no->pool, slot)) {
        return wait;
    }
    if (spills) {
        return tell_to_spill(query, lacking);
    }
    if (within && seen.victim != NULL) {
        make_victim(seen.victim, slot, site, no);
        return wait;
    }
    return refused;
}

/* Why the query is not to go on, whatever memory there is. */
static ration_status find_end(const ration_query *query)
{
    ration_status status = (ration_status)rn_load_acquire(&query->status);
    if (status == RATION_OK || status == RATION_VICTIM) {
        return rn_load(&query->cancelled) != 0 && status == RATION_OK ? RATION_CANCELLED : status;
    }
    return RATION_STOPPED_BY_PEER;
}

/* Takes what was granted while the owner slept, when it still fits what it asks for. */
static bool take_granted(rn_slot *slot, int64_t bytes)
{
    int64_t more = slot->ticket.bytes - bytes;
    if (rn_ticket_read(slot) != RN_TICKET_GRANTED) {
        return false;
    }
    if (more < 0) {
        rn_ticket_leave(slot);
        return false;
    }
    rn_ticket_take(slot);
    if (more > 0) { /* a pool that was waited at: the rest goes home at once */
        rn_store(&slot->hot.used, rn_slot_counted(slot) - more);
        rn_slot_set_granted(slot, slot->granted_bytes - more);
        rn_pool_grant(rn_slot_pool(slot), -more);
    }
    return true;
}

/* Out of the queue first: its own ticket is not one of those who wait. */
static void refuse(rn_slot *slot, ration_pool *pool, rn_no *no)
{
    rn_ticket_leave(slot);
    rn_pool_refuse(pool, no->asked_bytes, no->needed_bytes, no);
    rn_slot_refuse(slot, no);
}

static rn_reply ask_locked(rn_slot *slot, int64_t bytes, const char *site)
{
    ration_query *query = rn_slot_query(slot);
    ration_status end = find_end(query);
    if (end != RATION_OK) {
        return (rn_reply){.answer = RN_ASK_REFUSED, .status = end};
    }
    if (take_granted(slot, bytes)) {
        return (rn_reply){.answer = RN_ASK_GRANTED};
    }
    if (is_giver(query)) {
        return (rn_reply){.answer = RN_ASK_SPILL, .want_bytes = rn_load(&query->want_bytes)};
    }
    if (rn_ticket_read(slot) == RN_TICKET_WAITING && slot->ticket.bytes == bytes) {
        return (rn_reply){.answer = RN_ASK_WAIT};
    }
    rn_no no;
    if (rn_slot_charge_locked(slot, bytes, &no) == RATION_OK) {
        rn_ticket_leave(slot);
        return (rn_reply){.answer = RN_ASK_GRANTED};
    }
    no.recalled_bytes += slot->recalled_bytes;
    no.purged_bytes += slot->purged_bytes;
    rn_reply asked = decide(slot, bytes, site, &no);
    if (asked.answer == RN_ASK_WAIT) {
        rn_ticket_enter(slot, &no);
    } else if (asked.answer == RN_ASK_REFUSED) {
        refuse(slot, no.pool, &no);
    }
    return asked;
}

rn_reply rn_ask(rn_slot *slot, int64_t bytes, const char *site)
{
    rn_assert(bytes >= 0);
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    rn_reply asked = ask_locked(slot, bytes, site);
    ration_query *query = rn_slot_query(slot);
    if (asked.answer == RN_ASK_REFUSED) {
        rn_ticket_leave(slot);
    } else if (asked.answer == RN_ASK_GRANTED && query->told_bytes != 0) {
        note_told(query);
    }
    rn_ledger_unlock(ledger);
    return asked;
}

bool rn_ask_withdraw(rn_slot *slot, ration_status status)
{
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    bool granted = rn_ticket_read(slot) == RN_TICKET_GRANTED;
    ration_pool *pool = (ration_pool *)rn_link_get(&slot->ticket.pool);
    if (!granted && status == RATION_QUEUE_TIMEOUT && pool != NULL) {
        rn_no no = {.asked_bytes = slot->ticket.bytes, .needed_bytes = slot->ticket.bytes};
        refuse(slot, pool, &no);
        slot->no.status = status;
    } else if (!granted) {
        rn_ticket_leave(slot);
    }
    rn_ledger_unlock(ledger);
    return !granted;
}

void rn_ask_gave(ration_query *query)
{
    rn_ledger *ledger = rn_pool_ledger(query->pool);
    rn_ledger_lock(ledger);
    if (query->told_bytes != 0) { /* else another worker has answered */
        bool freed = count_used(query, false) + 1 < query->told_bytes;
        query->spent_bytes = freed ? 0 : count_used(query, true);
    }
    query->told_bytes = 0;
    rn_store(&query->want_bytes, 0);
    rn_pool_count_givers(query->pool, is_giver(query) ? -1 : 0);
    rn_ledger_unlock(ledger);
}

void rn_ask_can_spill(ration_query *query, int64_t bytes)
{
    rn_store(&query->spillable_bytes, bytes);
}

void rn_ask_wake(ration_query *query)
{
    rn_ledger *ledger = rn_pool_ledger(query->pool);
    rn_ledger_lock(ledger);
    wake_all(query);
    rn_ledger_unlock(ledger);
}

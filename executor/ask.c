/* SPDX-License-Identifier: Apache-2.0
 *
 * The asking order, one straight line in `decide`. Credit, chunk, exact bytes, retained pages and
 * recall have failed by then (memory/), so what is missing is in somebody's use:
 *
 *     more than can ever come free, and more than its own claim -> refused, nobody is disturbed
 *     the asker is above its fair share with it, and can spill  -> spill
 *     others above theirs that can spill are asked to give      -> wait
 *     an older ticket waits at the same pool                    -> wait
 *     the asker can spill at all                                -> spill
 *     the limit was cut a moment ago, and had room before       -> wait, outside of the queue
 *     the asker stays within its share with it: the largest holder above
 *     its share that cannot spill becomes the victim            -> wait
 *     else                                                      -> refused
 *
 * Of those asked and of victims, those of lower priority come first, then those most above their
 * share (share.c).
 *
 * A giver is a query that was asked to give and has not answered. It answers once: by rn_ask_gave
 * after it has written out what it could, or by closing, as a victim and every failed query does.
 * The queue wakes the oldest waiting ticket when the last giver that could help it has answered
 * (memory/queue.c), and its owner asks again, further down the line: nobody sleeps on a giver that
 * is gone. A giver that waits itself is woken to give first; one that nobody is inside of is
 * written out by who waits (giving.c). One that freed nothing is not asked again before it holds
 * more, so the line ends.
 *
 * Who has a claim and can spill is no victim: it can always be made to give, down to its claim. It
 * is asked again though it freed nothing the last time, when nothing else is left; only after
 * FRUITLESS_MAX such answers in a row it is taken for one that cannot. Where nobody is inside, an
 * answer says only that what it could give is in the hands of a consumer: it is asked as if anew
 * when somebody has come back. Until then one such answer counts in RN_LOOK_NS, and who needs it
 * rests for as long.
 *
 * A limit that follows the machine may be cut while queries hold what fitted into it. Who asks for
 * what would have fitted is no less innocent for it, so for a moment (rn_monitor_expected) it rests
 * rather than being refused, and nobody becomes a victim: it looks every RN_LOOK_NS, and is woken
 * when the limit changes. It is not in the queue, where it would stop those who make room.
 *
 * Behind an older ticket nobody is refused and no victim is chosen: what is free there may be
 * enough when that one has left. Its turn to be decided comes when it is the oldest.
 *
 * A claim is asked for in the same order, as bytes that are turned into it once they are there. Its
 * minimum counts as claim in everybody's share meanwhile. The first one (`decide_entry`) also waits
 * for queries to end, outside of the queue: nobody runs behind it who could let them end; and it
 * disturbs nobody unless enough could be given.
 *
 *   1. A query is a giver iff the givers of its own pool are not 0; they are 0 or 1.
 *   2. WAIT in the queue is answered only when a giver below the full pool has not answered, or
 *      an older ticket waits there: by invariant 3 of queue.c either somebody will answer, or its
 *      owner is awake.
 *   3. A victim is above its share, chosen for an ask that stays within its own, and chosen once.
 *
 * Bounds: one ask O(depth x (pools + slots) + givers chosen x pools below the full one), with the
 * lock held. Victims go by excess over a share rather than by size alone (ClickHouse's overcommit
 * tracker goes by a ratio to a soft limit), so that a large weight is worth something.
 */
#include "executor/ask.h"

#include "executor/share.h"

#define FRUITLESS_MAX 16

/* -------------------------------------------------------------------------------------- givers */

static int64_t count_held(const ration_query *query)
{
    return rn_pool_count_charged(query->pool);
}

static bool is_giver(const ration_query *query)
{
    return rn_load(&query->pool->givers) != 0;
}

/* What the query could write out; 0 when it cannot, or just has and nothing came of it. */
static int64_t can_give(ration_query *query)
{
    int64_t used = rn_query_count_used(query, true);
    if (query->spent_away && rn_query_came_back(query)) {
        query->spent_bytes = query->left_alone = 0;
        query->spent_away = false;
    }
    query->spent_bytes = RN_MIN(query->spent_bytes, used);
    return used > query->spent_bytes ? rn_load(&query->spillable_bytes) : 0;
}

/* From now until it answers, the most it used is what its answer is measured by. What it has been
 * granted and not taken yet is not: it can only grow by that. */
static void note_told(ration_query *query)
{
    query->told_bytes = RN_MAX(query->told_bytes, rn_query_count_used(query, false) + 1);
}

static bool has_ended(const ration_query *query)
{
    return rn_load(&query->status) != RATION_OK || rn_load(&query->cancelled) != 0;
}

static void make_giver(ration_query *query, int64_t want_bytes)
{
    rn_assert(!is_giver(query) && want_bytes > 0);
    note_told(query);
    rn_exchange_seq_cst(&query->want_bytes, want_bytes); /* before anybody looks who is inside */
    rn_pool_count_givers(query->pool, 1);
    rn_query_wake(query, false);
}

/* Can it be made to give down to its claim, whatever came of it the last time? */
static bool is_safe(const ration_query *query)
{
    bool spills = false; /* what it said to be spillable may be old */
    rn_walk walk;
    for (rn_slot *slot = rn_walk_first(&walk, query->pool); slot != NULL && !spills;
         slot = rn_walk_next(&walk)) {
        spills = slot->spiller != NULL;
    }
    return spills && rn_load(&query->pool->claim) > 0 &&
           query->fruitless + query->left_alone < FRUITLESS_MAX;
}

/* Was it asked a moment ago, and nobody has been inside since? Then it would answer the same. */
static bool was_asked_now(const ration_query *query)
{
    return query->spent_away && rn_clock_ns() - query->left_alone_ns < RN_LOOK_NS;
}

/* The holder to turn to, of one kind. */
typedef struct choice {
    ration_query *query; /* NULL = none */
    int64_t above;       /* its share */
} choice;

/* The holders below a full pool, as one ask sees them. */
typedef struct holders {
    choice giver;     /* of those that can give and were not asked */
    choice stuck;     /* of those that cannot, but must be able to */
    choice victim;    /* of those that cannot */
    bool later;       /* one must be able to, when it comes back */
    int64_t coming;   /* asked of givers that have not answered */
    int64_t possible; /* with what the others above their shares could give */
} holders;

/* The lower priority first, then the one most above its share. */
static void consider(choice *best, ration_query *query, int64_t above)
{
    bool first = best->query == NULL || rn_query_priority(query) < rn_query_priority(best->query);
    bool same = best->query != NULL && rn_query_priority(query) == rn_query_priority(best->query);
    if (above > 0 && (first || (same && above > best->above))) {
        *best = (choice){query, above};
    }
}

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
    } else if (give > 0) {
        consider(&seen->giver, query, above);
        seen->possible = rn_add(seen->possible, RN_MAX(RN_MIN(above, give), 0));
    } else if (is_safe(query) && was_asked_now(query)) {
        seen->later |= above > 0;
    } else {
        consider(is_safe(query) ? &seen->stuck : &seen->victim, query, above);
    }
}

/* `asker` may be NULL. */
static holders look_at_holders(ration_pool *full, const ration_query *asker)
{
    holders seen = {.coming = 0};
    for (ration_pool *pool = full; pool != NULL; pool = rn_pool_next(pool, full)) {
        ration_query *query = rn_pool_query(pool);
        if (query != NULL && query != asker) {
            look_at_holder(&seen, query);
        }
    }
    seen.possible = rn_add(seen.possible, seen.coming);
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
static holders find_givers(ration_pool *full, const ration_query *asker, int64_t lacking)
{
    holders seen = look_at_holders(full, asker);
    while (seen.coming < lacking && seen.giver.query != NULL) {
        make_giver(seen.giver.query, RN_MIN(seen.giver.above, can_give(seen.giver.query)));
        seen = look_at_holders(full, asker);
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

static rn_reply tell_to_spill(ration_query *query, int64_t lacking)
{
    note_told(query);
    int64_t want = RN_MIN(rn_load(&query->spillable_bytes), lacking);
    return (rn_reply){.answer = RN_ASK_SPILL, .want_bytes = RN_MAX(want, 1)};
}

static const rn_reply wait = {.answer = RN_ASK_WAIT};

/* What comes of it when somebody must give. */
typedef enum forced { FORCED_NOBODY, FORCED_GIVER, FORCED_LATER } forced;

/* For an ask within its share, when nobody has anything to give: somebody must. */
static forced force(const rn_slot *slot, int64_t bytes, const char *site, const rn_no *no)
{
    const ration_query *query = rn_slot_query(slot);
    rn_shares_set(rn_pool_ledger(query->pool), slot, true);
    if (rn_add(rn_query_count_used(query, true), bytes) > query->pool->share) {
        return FORCED_NOBODY;
    }
    holders seen = look_at_holders(no->pool, query);
    if (seen.coming > 0) {
        return FORCED_GIVER; /* somebody has ended meanwhile */
    }
    if (seen.stuck.query != NULL) {
        make_giver(seen.stuck.query, seen.stuck.above);
    } else if (seen.later) {
        rn_store(&query->governor->rests, 1);
        return FORCED_LATER;
    } else if (seen.victim.query != NULL) {
        make_victim(seen.victim.query, slot, site, no);
    } else {
        return FORCED_NOBODY;
    }
    return FORCED_GIVER;
}

/* Would there be room for it at the root, had its limit not been cut a moment ago? */
static bool was_cut(const ration_query *query, const rn_no *no)
{
    const ration_pool *root = query->governor->root;
    return no->pool == root && rn_add(rn_load(&root->granted), no->needed_bytes) <=
                                   rn_monitor_expected(query->governor);
}

/* `*out_rests`: it is to wait outside of the queue. */
static rn_reply decide(const rn_slot *slot, int64_t bytes, const char *site, const rn_no *no,
                       bool *out_rests)
{
    const rn_reply refused = {.answer = RN_ASK_REFUSED, .status = no->status};
    ration_query *query = rn_slot_query(slot);
    query->governor->short_of += no->pool == query->governor->root;
    bool spills = can_give(query) > 0;
    bool covered = spills && bytes <= rn_load(&query->pool->claim);
    if (!covered && rn_query_find_too_small(query, bytes, true) != NULL) {
        return refused;
    }
    rn_shares_set(rn_pool_ledger(no->pool), slot, false);
    bool within = rn_add(rn_query_count_used(query, true), bytes) <= query->pool->share;
    int64_t lacking = count_lacking(slot, no);
    if (!within && spills) {
        return tell_to_spill(query, lacking);
    }
    holders seen = find_givers(no->pool, query, lacking);
    if (seen.coming > 0 || !rn_queue_admits(no->pool, slot)) {
        return wait;
    }
    if (spills) {
        return tell_to_spill(query, lacking);
    }
    *out_rests = was_cut(query, no);
    forced come = *out_rests ? FORCED_LATER : force(slot, bytes, site, no);
    *out_rests = come == FORCED_LATER;
    return come == FORCED_NOBODY ? refused : wait;
}

/* Until somebody gives, or until the machine does. */
static void stand_by(rn_slot *slot, const rn_no *no, bool rests)
{
    if (rests) {
        rn_ticket_rest(slot);
        slot->ticket.bytes = no->asked_bytes; /* for the refusal, when it is late */
    } else {
        rn_ticket_enter(slot, no);
    }
}

/* Why the query is not to go on, whatever memory there is. */
static ration_status find_end(const ration_query *query)
{
    ration_status status = (ration_status)rn_load_acquire(&query->status);
    if (status != RATION_OK) {
        return status == RATION_VICTIM ? status : RATION_STOPPED_BY_PEER;
    }
    if (rn_load(&query->cancelled) != 0) {
        return RATION_CANCELLED;
    }
    bool late = query->deadline_ns != INT64_MAX && rn_clock_ns() > query->deadline_ns;
    return late ? RATION_DEADLINE : RATION_OK;
}

static void uncharge(rn_slot *slot, int64_t bytes)
{
    rn_store(&slot->hot.used, rn_slot_counted(slot) - bytes);
    rn_slot_set_granted(slot, slot->granted_bytes - bytes);
    rn_pool_grant(rn_slot_pool(slot), -bytes);
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
        uncharge(slot, more);
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
    bool rests = false;
    rn_reply asked = decide(slot, bytes, site, &no, &rests);
    if (asked.answer == RN_ASK_WAIT) {
        stand_by(slot, &no, rests);
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

ration_status rn_ask_wait(rn_slot *slot, int64_t until_ns)
{
    const ration_query *query = rn_slot_query(slot);
    rn_reclaim_idle(query->governor);
    int64_t now_ns = rn_clock_ns(), end_ns = RN_MIN(until_ns, query->deadline_ns);
    if (rn_ticket_read(slot) == RN_TICKET_RESTING && now_ns < end_ns) {
        (void)rn_ticket_wait(slot, RN_MIN(rn_add(now_ns, RN_LOOK_NS), end_ns));
        return RATION_OK;
    }
    rn_ticket_state state = rn_ticket_wait(slot, end_ns);
    if (state != RN_TICKET_WAITING && state != RN_TICKET_RESTING) {
        return RATION_OK;
    }
    bool late = query->deadline_ns <= until_ns;
    ration_status status = late ? RATION_DEADLINE : RATION_QUEUE_TIMEOUT;
    return rn_ask_withdraw(slot, status) ? status : RATION_OK;
}

void rn_ask_press(ration_governor *governor)
{
    rn_ledger *ledger = governor->ledger;
    rn_ledger_lock(ledger);
    bool above = false;
    for (ration_pool *pool = governor->root; pool != NULL;
         pool = rn_pool_next(pool, governor->root)) {
        if (rn_pool_room(pool) < 0) {
            rn_shares_set(ledger, NULL, false);
            (void)find_givers(pool, NULL, -rn_pool_room(pool));
            above = true;
        }
    }
    for (rn_slot *slot = rn_queue_first(ledger); above && slot != NULL;
         slot = rn_queue_next(slot)) {
        rn_ticket_ask_again(slot);
    }
    rn_ledger_unlock(ledger);
}

void rn_ask_press_to(ration_governor *governor, int64_t bytes)
{
    rn_ledger *ledger = governor->ledger;
    rn_ledger_lock(ledger);
    int64_t lacking = rn_load(&governor->root->granted) - bytes;
    if (lacking > 0) {
        rn_shares_set_within(ledger, bytes, NULL, false);
        (void)find_givers(governor->root, NULL, lacking);
    }
    rn_ledger_unlock(ledger);
}

bool rn_ask_withdraw(rn_slot *slot, ration_status status)
{
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    rn_ticket_state state = rn_ticket_read(slot);
    bool granted = state == RN_TICKET_GRANTED;
    ration_pool *pool = (ration_pool *)rn_link_get(&slot->ticket.pool);
    if (pool == NULL && slot->ticket.bytes != 0) { /* it rests, or did a moment ago */
        pool = rn_slot_query(slot)->governor->root;
    }
    if (!granted && status == RATION_QUEUE_TIMEOUT && pool != NULL) {
        rn_no no = {.asked_bytes = slot->ticket.bytes, .needed_bytes = slot->ticket.bytes};
        refuse(slot, pool, &no);
        slot->no.status = status;
        slot->ticket.bytes = 0;
    } else if (!granted) {
        rn_ticket_leave(slot);
    }
    rn_ledger_unlock(ledger);
    return !granted;
}

/* -------------------------------------------------------------------------------------- claims */

/* What the claim of the query lacks is charged to its entry slot, as far as nobody must be asked;
 * true when nothing is lacking. */
static bool gather(ration_query *query, int64_t bytes, rn_no *no)
{
    rn_slot *entry = query->entry;
    if (rn_ticket_read(entry) == RN_TICKET_GRANTED) {
        rn_ticket_take(entry);
    }
    (void)rn_pool_drain(query->pool); /* what it holds is what it has charged */
    for (;;) {
        int64_t missing = bytes - rn_load(&query->pool->held);
        if (missing <= 0) {
            return true;
        }
        bool whole = rn_slot_counted(entry) == 0;
        if (rn_slot_charge_locked(entry, missing, no) == RATION_OK) {
            continue; /* a recall on the way may have taken something home */
        }
        if (whole) {
            return false;
        }
        uncharge(entry, rn_slot_counted(entry)); /* asked for as a whole, or not held */
    }
}

/* The first claim: `missing` is what it lacks, of `bytes`. */
static rn_reply decide_entry(ration_query *query, int64_t bytes, const char *site, rn_no *no)
{
    rn_slot *entry = query->entry;
    int64_t missing = no->asked_bytes;
    query->governor->short_of += no->pool == query->governor->root;
    if (rn_query_find_too_small(query, bytes, true) == NULL) {
        int64_t lacking = count_lacking(entry, no);
        query->claiming_bytes = bytes;
        rn_shares_set(rn_pool_ledger(query->pool), entry, false);
        bool possible = look_at_holders(no->pool, query).possible >= lacking;
        bool waits = possible && find_givers(no->pool, query, lacking).coming > 0;
        query->claiming_bytes = 0;
        if (waits || !rn_queue_admits(no->pool, entry) ||
            force(entry, missing, site, no) == FORCED_GIVER) {
            rn_ticket_enter(entry, no);
            return wait;
        }
    }
    rn_ticket_rest(entry);
    return wait;
}

/* A larger one. */
static rn_reply decide_more(ration_query *query, const char *site, rn_no *no)
{
    rn_slot *entry = query->entry;
    bool rests = false;
    rn_reply asked = decide(entry, no->asked_bytes, site, no, &rests);
    if (asked.answer == RN_ASK_WAIT) {
        stand_by(entry, no, rests);
    }
    return asked;
}

rn_reply rn_ask_claim_locked(ration_query *query, int64_t bytes, const char *site, bool turn,
                             rn_no *no)
{
    rn_slot *entry = query->entry;
    *no = (rn_no){.pool = query->pool, .asked_bytes = bytes, .needed_bytes = bytes};
    ration_status end = find_end(query);
    rn_reply asked = {.answer = RN_ASK_REFUSED, .status = end};
    if (end == RATION_OK && rn_ticket_read(entry) == RN_TICKET_WAITING) {
        no->pool = (ration_pool *)rn_link_get(&entry->ticket.pool);
        return wait;
    }
    if (end == RATION_OK && is_giver(query)) {
        asked = (rn_reply){.answer = RN_ASK_SPILL, .want_bytes = rn_load(&query->want_bytes)};
    } else if (end == RATION_OK && gather(query, bytes, no)) {
        rn_pool_claim_held(query->pool, bytes);
        uncharge(entry, rn_slot_counted(entry));
        rn_ticket_leave(entry);
        return (rn_reply){.answer = RN_ASK_GRANTED};
    } else if (end == RATION_OK) {
        asked = turn ? decide_entry(query, bytes, site, no) : decide_more(query, site, no);
    }
    if (asked.answer == RN_ASK_REFUSED) {
        rn_ticket_leave(entry);
        if (rn_is_refusal(asked.status) && end == RATION_OK) {
            no->status = asked.status;
            rn_slot_refuse(entry, no);
        }
    }
    return asked;
}

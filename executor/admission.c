/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission: a query claims its minimum before it runs, or waits for its turn to.
 *
 *     ration_query_try_claim -> GRANTED, WAIT, SPILL or REFUSED; ration_query_claim sleeps between
 *     rn_admission_move when room has come; rn_admission_end when the query closes
 *
 * Who waits is in one list, by priority, then age. Each is stopped at a pool: its group's while
 * queries_max of that are admitted, else the one that had no room (ask.c), else where the one
 * before it is stopped. Whoever lies below a pool at which an older one is stopped does not even
 * try: so there is one order at every pool, and a full group stops nobody but its own.
 *
 * Who tries and must wait either stands in the queue for bytes (others give, it is next), or rests
 * (it waits for somebody to end): then running queries pass, since they are whom it waits for. It
 * is woken when a query ends, gives up its turn or is admitted, or a limit changes; and it looks
 * every RN_LOOK_NS by itself, for bytes that come free in other ways.
 *
 * While the host is critically short of memory (monitor.h) nobody is admitted beside those that
 * are: who would be waits as if stopped at the root, and is answered HOST_PRESSURE when that lasts.
 *
 *   1. waits_turn iff in the list; turns_waiting counts them; <= admission_queue_max.
 *   2. group->admitted = its queries with `admitted`; never above queries_max.
 *   3. Who waits holds nothing, but for what was granted to its ticket.
 *
 * Everything is under the ledger's lock, which is a few words of work per query that waits.
 * Bounds: a move O(waiting^2) at worst, with admission_queue_max of them, and short of that
 * O(waiting x those that are stopped at different pools). Rejected: all of them as tickets in the
 * queue for bytes. There a ticket stops the younger asks of running queries, and those are what
 * must go on so that somebody ends. */
#include "executor/admission.h"

#include "executor/share.h"

/* ----------------------------------------------------------------------------------- the list */

static bool precedes(const ration_query *one, const ration_query *other)
{
    int64_t above = rn_query_priority(one) - rn_query_priority(other);
    return above != 0 ? above > 0 : one->turn_number < other->turn_number;
}

static void insert(ration_query *query)
{
    ration_query **place = &query->governor->first_turn;
    while (*place != NULL && precedes(*place, query)) {
        place = &(*place)->turn_next;
    }
    query->turn_next = *place;
    *place = query;
}

static void enter_list(ration_query *query)
{
    ration_governor *governor = query->governor;
    query->turn_number = ++governor->turns;
    query->turn_since_ns = rn_clock_ns();
    insert(query);
    query->waits_turn = true;
    governor->turns_waiting += 1;
}

static void leave_list(ration_query *query)
{
    ration_query **place = &query->governor->first_turn;
    if (!query->waits_turn) {
        return;
    }
    while (*place != query) {
        place = &(*place)->turn_next;
    }
    *place = query->turn_next;
    query->turn_next = NULL;
    query->waits_turn = false;
    query->stopped_at = NULL;
    query->governor->turns_waiting -= 1;
}

static bool is_group_full(const ration_query *query)
{
    const rn_group *group = query->group;
    return group != NULL && group->queries_max != 0 && group->admitted >= group->queries_max;
}

/* Is nobody inside of any of its slots? Who has none yet is about to begin. */
static bool is_left_alone(const ration_query *query)
{
    rn_walk walk;
    rn_slot *slot = rn_walk_first(&walk, query->pool);
    bool alone = slot != NULL;
    for (; slot != NULL && alone; slot = rn_walk_next(&walk)) {
        alone = slot == query->entry || rn_slot_is_idle(slot);
    }
    return alone;
}

/* Is one that is admitted at work? A cursor that is left alone is not, and may be for long. */
static bool somebody_runs(const ration_governor *governor)
{
    bool found = false;
    for (ration_pool *pool = governor->queries; pool != NULL && !found;
         pool = rn_pool_next(pool, governor->queries)) {
        const ration_query *query = rn_pool_query(pool);
        found = query != NULL && query->admitted && !is_left_alone(query);
    }
    return found;
}

/* Is it held back because the host is short of memory? Not when nobody runs: pressure may come from
 * elsewhere and never end, and then they run one after the other. */
static bool is_held_back(const ration_query *query)
{
    const ration_governor *governor = query->governor;
    return governor->admitted > 0 && rn_monitor_pauses(governor) && somebody_runs(governor);
}

/* The pool at which somebody before it is stopped, and so it is; NULL = it may try. */
static ration_pool *find_stop(const ration_query *query)
{
    const ration_query *before = query->governor->first_turn;
    for (; before != NULL && before != query; before = before->turn_next) {
        bool earlier = query->waits_turn || rn_query_priority(before) >= rn_query_priority(query);
        if (earlier && before->stopped_at != NULL &&
            rn_pool_is_below(query->pool, before->stopped_at)) {
            return before->stopped_at;
        }
    }
    return NULL;
}

/* Wakes who may try. */
static void move(ration_governor *governor)
{
    for (ration_query *at = governor->first_turn; at != NULL; at = at->turn_next) {
        bool may_try = find_stop(at) == NULL && !(at->behind_gate && is_group_full(at)) &&
                       !(at->behind_pressure && is_held_back(at));
        if (may_try && rn_ticket_read(at->entry) == RN_TICKET_RESTING) {
            rn_ticket_ask_again(at->entry);
        }
        if (at->stopped_at == governor->queries || at->stopped_at == governor->root) {
            break; /* and so is everybody behind it */
        }
    }
}

/* ------------------------------------------------------------------------------------- trying */

static void admit(ration_query *query)
{
    query->admitted = true;
    query->governor->admitted += 1;
    if (query->group != NULL) {
        query->group->admitted += 1;
    }
}

/* Not while the graph is as large, whoever ends. */
static rn_reply refuse_for_good(ration_query *query, ration_pool *small, rn_no *no)
{
    rn_pool_refuse(small, no->asked_bytes, no->needed_bytes, no);
    no->charged_bytes = rn_pool_count_least(small, query, 0, false);
    no->status = RATION_MINIMUM_ABOVE_LIMIT;
    rn_slot_refuse(query->entry, no);
    return (rn_reply){.answer = RN_ASK_REFUSED, .status = RATION_MINIMUM_ABOVE_LIMIT};
}

/* One try, in its turn or not; `*no` says where it is stopped when it must wait. */
static rn_reply try_once(ration_query *query, int64_t bytes, const char *site, rn_no *no)
{
    static const rn_reply wait = {.answer = RN_ASK_WAIT};
    *no = (rn_no){.asked_bytes = bytes, .needed_bytes = bytes, .pool = find_stop(query)};
    ration_pool *small = rn_query_find_too_small(query, bytes, false);
    if (small != NULL) {
        return refuse_for_good(query, small, no);
    }
    /* What was granted to its ticket is its own already. */
    query->behind_pressure =
        rn_ticket_read(query->entry) != RN_TICKET_GRANTED && is_held_back(query);
    if (query->behind_pressure) {
        no->pool = query->governor->root;
    }
    query->behind_gate = no->pool == NULL && is_group_full(query);
    if (query->behind_gate) {
        no->pool = query->group->pool;
    }
    if (no->pool == NULL || rn_load(&query->status) != RATION_OK ||
        rn_load(&query->cancelled) != 0) {
        return rn_ask_claim_locked(query, bytes, site, true, no);
    }
    rn_ticket_rest(query->entry);
    return wait;
}

static void refuse_waiting(ration_query *query, rn_no *no, ration_status status)
{
    if (!query->behind_gate && !query->behind_pressure && rn_is_refusal(status)) {
        rn_pool_refuse(no->pool, no->asked_bytes, no->needed_bytes, no);
        no->status = status;
        rn_slot_refuse(query->entry, no);
    }
}

/* Looks at what is over, now that it must wait; RATION_OK = it may. */
static ration_status find_late(const ration_query *query)
{
    const ration_governor *governor = query->governor;
    if (!query->waits_turn) {
        bool full = governor->turns_waiting >= governor->settings->limits.admission_queue_max;
        return full ? RATION_QUEUE_FULL : RATION_OK;
    }
    int64_t now_ns = rn_clock_ns();
    int64_t wait_ns = rn_multiply(governor->settings->limits.admission_wait_ms_max, 1000000);
    bool late = now_ns > rn_add(query->turn_since_ns, wait_ns);
    return now_ns > query->deadline_ns      ? RATION_DEADLINE
           : late && query->behind_pressure ? RATION_HOST_PRESSURE
           : late                           ? RATION_QUEUE_TIMEOUT
                                            : RATION_OK;
}

static rn_reply enter(ration_query *query, int64_t bytes, const char *site)
{
    rn_no no;
    const ration_pool *stopped = query->stopped_at;
    rn_reply asked = try_once(query, bytes, site, &no);
    ration_status late = asked.answer == RN_ASK_WAIT ? find_late(query) : RATION_OK;
    if (late != RATION_OK) {
        rn_ticket_leave(query->entry);
        refuse_waiting(query, &no, late);
        asked = (rn_reply){.answer = RN_ASK_REFUSED, .status = late};
    }
    if (asked.answer == RN_ASK_WAIT) {
        if (!query->waits_turn) {
            enter_list(query);
        }
        query->stopped_at = no.pool;
        if (stopped != NULL && stopped != no.pool) {
            move(query->governor);
        }
    } else if (asked.answer != RN_ASK_SPILL) {
        if (asked.answer == RN_ASK_GRANTED) {
            admit(query);
        }
        leave_list(query);
        move(query->governor);
    }
    return asked;
}

/* Another claim of a query that is admitted. */
static rn_reply change(ration_query *query, int64_t bytes, const char *site)
{
    rn_no no;
    return rn_ask_claim_locked(query, bytes, site, false, &no);
}

/* ------------------------------------------------------------------------------- for everybody */

void rn_admission_move(ration_governor *governor)
{
    rn_ledger_lock(governor->ledger);
    move(governor);
    rn_ledger_unlock(governor->ledger);
}

void rn_admission_sort_locked(ration_governor *governor)
{
    ration_query *rest = governor->first_turn;
    governor->first_turn = NULL;
    while (rest != NULL) {
        ration_query *query = rest;
        rest = query->turn_next;
        insert(query);
    }
}

static void close_entry(ration_query *query)
{
    if (query->entry != NULL) {
        rn_slot_close(query->entry);
        query->entry = NULL;
    }
}

void rn_admission_end(ration_query *query)
{
    rn_ledger *ledger = query->governor->ledger;
    rn_ledger_lock(ledger);
    leave_list(query);
    query->governor->admitted -= query->admitted;
    if (query->admitted && query->group != NULL) {
        query->group->admitted -= 1;
    }
    query->admitted = false;
    rn_ledger_unlock(ledger);
    close_entry(query);
}

void rn_admission_forked(ration_query *query)
{
    leave_list(query);
}

static ration_status open_entry(ration_query *query)
{
    return query->entry != NULL ? RATION_OK : rn_slot_open(query->pool, query, &query->entry);
}

static bool lower(ration_query *query, int64_t bytes)
{
    rn_no no;
    return query->admitted && bytes <= rn_load(&query->pool->claim) &&
           rn_pool_try_claim(query->pool, bytes, &no);
}

/* The words for a group that is full, and for a host that is short of memory: no memory of the
 * governor's was wanting. */
static const ration_error *explain(const ration_query *query, ration_status status,
                                   ration_error *error)
{
    if (status == RATION_HOST_PRESSURE || (status == RATION_QUEUE_FULL && query->behind_pressure)) {
        ration_governor_figures figures;
        ration_governor_read(query->governor, &figures);
        char left[32];
        rn_text text = rn_text_over(left, sizeof left);
        rn_text_put_size(&text, figures.available_bytes);
        (void)rn_error_set(error, status,
                           "free memory there, lower limit_ratio, or raise admission_wait_ms_max",
                           "%s: %s leaves %s, so new queries wait until it is better",
                           ration_status_sentence(status), figures.binding, left);
        return error;
    }
    if (!query->behind_gate || (status != RATION_QUEUE_TIMEOUT && status != RATION_QUEUE_FULL)) {
        return NULL;
    }
    (void)rn_error_set(error, status, "raise queries_max of the group, or admission_wait_ms_max",
                       "%s: group %s has admitted its %lld queries", ration_status_sentence(status),
                       query->group->name, (long long)rn_load(&query->group->queries_max));
    return error;
}

ration_reply ration_query_try_claim(ration_query *query, int64_t minimum_bytes, const char *site)
{
    if (!RN_GOVERNED || lower(query, minimum_bytes)) {
        close_entry(query); /* a larger claim that it has waited for is not wanted any more */
        rn_admission_move(query->governor);
        return (ration_reply){.answer = RATION_GRANTED};
    }
    ration_status opened =
        rn_never(minimum_bytes < 0) ? RATION_INVALID_ARGUMENT : open_entry(query);
    if (opened != RATION_OK) {
        return (ration_reply){.answer = RATION_REFUSED, .status = opened};
    }
    rn_ledger *ledger = query->governor->ledger;
    rn_ledger_lock(ledger);
    rn_reply asked =
        query->admitted ? change(query, minimum_bytes, site) : enter(query, minimum_bytes, site);
    rn_ledger_unlock(ledger);
    if (asked.answer == RN_ASK_REFUSED) {
        ration_error error;
        (void)rn_query_fail(query, query->entry, site, asked.status,
                            explain(query, asked.status, &error));
    }
    if (asked.answer == RN_ASK_REFUSED || asked.answer == RN_ASK_GRANTED) {
        close_entry(query);
    }
    return rn_reply_public(asked);
}

/* Sleeps until it may be its turn, or is to look. */
static void sleep_for_turn(ration_query *query)
{
    rn_reclaim_idle(query->governor);
    int64_t look_ns = rn_add(rn_clock_ns(), RN_LOOK_NS);
    (void)rn_ticket_wait(query->entry, RN_MIN(look_ns, query->deadline_ns));
}

/* Its own operators are to give, for its larger claim or for others: those of the slot that has
 * most to give. */
static ration_status give(ration_query *query, int64_t want_bytes)
{
    rn_slot *most = NULL;
    pthread_mutex_lock(&query->slots_lock);
    for (uint32_t i = 0; i < RN_QUERY_SLOTS_MAX; i++) {
        rn_slot *slot = query->slots[i];
        bool more =
            slot != NULL && slot->spiller != NULL &&
            (most == NULL || rn_load(&slot->spillable_bytes) > rn_load(&most->spillable_bytes));
        most = more ? slot : most;
    }
    pthread_mutex_unlock(&query->slots_lock);
    if (most == NULL) {
        rn_ask_gave(query);
        return RATION_OK;
    }
    ration_status status = rn_give_for(most, want_bytes);
    if (status != RATION_OK) {
        (void)rn_query_fail(query, most, "claim", status, NULL);
    }
    return status;
}

/* A larger claim has waited for others for too long; false: it has been granted meanwhile. */
static bool give_up(ration_query *query, const char *site)
{
    if (!rn_ask_withdraw(query->entry, RATION_QUEUE_TIMEOUT)) {
        return false;
    }
    (void)rn_query_fail(query, query->entry, site, RATION_QUEUE_TIMEOUT, NULL);
    close_entry(query);
    return true;
}

ration_status ration_query_claim(ration_query *query, int64_t minimum_bytes, const char *site)
{
    int64_t wait_ns = rn_multiply(query->settings->limits.query_wait_ms_max, 1000000);
    int64_t until_ns = query->admitted ? rn_add(rn_clock_ns(), wait_ns) : INT64_MAX;
    for (;;) {
        ration_reply reply = ration_query_try_claim(query, minimum_bytes, site);
        switch (reply.answer) {
        case RATION_GRANTED:
            return RATION_OK;
        case RATION_REFUSED:
            return reply.status;
        case RATION_SPILL:
            RN_TRY(give(query, reply.want_bytes));
            break;
        case RATION_WAIT:
            if (rn_clock_ns() > until_ns && give_up(query, site)) {
                return RATION_QUEUE_TIMEOUT;
            }
            sleep_for_turn(query);
            break;
        }
    }
}

ration_status ration_query_on_turn(ration_query *query, void (*call)(void *argument),
                                   void *argument)
{
    RN_TRY(open_entry(query));
    rn_ticket_on_wake(query->entry, call, argument);
    return RATION_OK;
}

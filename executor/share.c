/* SPDX-License-Identifier: Apache-2.0
 *
 * Fair share of a pool = its claim + (share of the parent - what the parent's data and retained
 * pools hold - all claims there) x weight / weights of the active siblings, at most its limit. The
 * claim of a group is the sum of those below it.
 *
 * Active is who asked beyond its claim in the last 100 ms, waits, or holds more than its claim
 * while somebody is inside of it. Who is to lose his work rather than his memory is judged with
 * everybody active who holds more than his claim: a query that the system has not scheduled for
 * 100 ms is no victim for it.
 *
 * A query that wants a larger claim counts with it (claiming_bytes), so that others are asked to
 * make room for it; one that waits for its turn counts not at all, until its claim is granted.
 *
 * Bounds: O(pools x depth). */
#include "executor/share.h"

#include "executor/giving.h"

#define ACTIVE_NS ((int64_t)100 * 1000 * 1000)

/* Holds what it holds and gives nothing: the graph, retained pages, queries of other processes. */
static bool is_fixed(const ration_pool *pool)
{
    bool fixed = rn_pool_owner(pool) == NULL;
    for (pool = rn_pool_child(pool); pool != NULL && fixed; pool = rn_pool_sibling(pool)) {
        fixed = is_fixed(pool);
    }
    return fixed;
}

/* It would have it, or has been granted it and not taken it yet. */
static int64_t count_claiming(const ration_query *query)
{
    int64_t granted = query->waits_turn ? rn_ticket_promised(query->entry) : 0;
    return RN_MAX(query->claiming_bytes, granted);
}

static int64_t count_claims(const ration_pool *pool)
{
    const ration_query *query = rn_pool_query(pool);
    int64_t below = query == NULL ? 0 : count_claiming(query);
    for (ration_pool *at = rn_pool_child(pool); at != NULL; at = rn_pool_sibling(at)) {
        below = rn_add(below, count_claims(at));
    }
    return RN_MAX(below, rn_load(&pool->claim));
}

/* Who sets the shares for whom. */
typedef struct look {
    const ration_query *asker; /* NULL = nobody */
    int64_t now_ns;
    bool everybody;
} look;

static bool is_active(const ration_pool *pool, const look *by)
{
    const ration_query *query = rn_pool_query(pool);
    if (is_fixed(pool) || (query != NULL && query != by->asker && query->waits_turn)) {
        return false;
    }
    bool holds = rn_load(&pool->held) > rn_load(&pool->claim);
    bool inside = query != NULL && rn_query_presence(query) == RN_INSIDE;
    return by->now_ns - rn_load(&pool->asked_ns) < ACTIVE_NS ||
           (holds && (by->everybody || inside));
}

static void distribute(const ration_pool *parent, const look *by)
{
    int64_t free_bytes = rn_add(parent->share, -rn_load(&parent->direct));
    int64_t weights = 0;
    for (ration_pool *at = rn_pool_child(parent); at != NULL; at = rn_pool_sibling(at)) {
        at->share = is_fixed(at) ? rn_load(&at->granted) : count_claims(at);
        free_bytes = rn_add(free_bytes, -at->share);
        weights += is_active(at, by) ? at->weight : 0;
    }
    for (ration_pool *at = rn_pool_child(parent); at != NULL; at = rn_pool_sibling(at)) {
        if (free_bytes > 0 && weights > 0 && is_active(at, by)) {
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

void rn_shares_set(rn_ledger *ledger, const rn_slot *asker, bool everybody)
{
    rn_shares_set_within(ledger, INT64_MAX, asker, everybody);
}

void rn_shares_set_within(rn_ledger *ledger, int64_t bytes, const rn_slot *asker, bool everybody)
{
    look by = {.asker = asker == NULL ? NULL : rn_slot_query(asker),
               .now_ns = rn_clock_coarse_ns(),
               .everybody = everybody};
    if (asker != NULL) {
        note_asked(asker, by.now_ns);
    }
    for (rn_slot *slot = rn_queue_first(ledger); slot != NULL; slot = rn_queue_next(slot)) {
        note_asked(slot, by.now_ns);
    }
    ration_pool *root = (ration_pool *)rn_link_get(&ledger->root);
    root->share = RN_MIN(rn_load(&root->limit), bytes);
    for (ration_pool *pool = root; pool != NULL; pool = rn_pool_next(pool, root)) {
        distribute(pool, &by);
    }
}

int64_t rn_query_count_used(const ration_query *query, bool promised)
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

int64_t rn_pool_count_least(const ration_pool *pool, const ration_query *asker, int64_t bytes,
                            bool claims)
{
    const ration_query *query = rn_pool_query(pool);
    int64_t least = query != NULL && query == asker ? bytes : 0;
    bool foreign = query == NULL && pool->refuse_status == RATION_QUERY_LIMIT;
    if (foreign && !claims) {
        return 0; /* a query of another process will end, too */
    }
    if (query == NULL && pool != rn_pool_ledger(pool)->retained) {
        least = rn_load(&pool->direct);
        rn_walk walk;
        for (rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL; slot = rn_walk_next(&walk)) {
            least = rn_add(least, rn_slot_counted(slot) - rn_slot_shelved(slot));
        }
        for (ration_pool *at = rn_pool_child(pool); at != NULL; at = rn_pool_sibling(at)) {
            least = rn_add(least, rn_pool_count_least(at, asker, bytes, claims));
        }
    }
    bool own = query == NULL || query == asker;
    return claims || own ? RN_MAX(least, rn_load(&pool->claim)) : least;
}

ration_pool *rn_query_find_too_small(const ration_query *query, int64_t bytes, bool claims)
{
    const ration_governor *governor = query->governor;
    ration_pool *pool = query->pool;
    for (; pool != NULL; pool = rn_pool_parent(pool)) {
        int64_t most = pool != governor->root ? rn_load(&pool->limit)
                       : claims               ? rn_monitor_expected(governor)
                                              : rn_monitor_attainable(governor);
        if (rn_pool_count_least(pool, query, bytes, claims) > most) {
            break;
        }
    }
    return pool;
}

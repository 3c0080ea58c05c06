/* SPDX-License-Identifier: Apache-2.0
 *
 * Readings of pools, and the audit: is what the words say what the parts add up to?
 *
 * One pass under the lock. `used` of a slot that is being charged at that moment may be read before
 * or after the charge: a reading is exact to the charges that overlap it, and credit is never read
 * as negative. What a claim has charged and nobody holds is charged. No epoch, no flush, nobody
 * stops. Bounds: O(pools + slots below).
 */
#include "memory/queue.h"

int64_t rn_pool_count_charged(ration_pool *top)
{
    const ration_pool *retained = rn_pool_ledger(top)->retained;
    bool retains = retained != NULL && rn_load(&retained->direct) != 0;
    if (rn_pool_is_drained(top) && !(retains && rn_pool_is_below(retained, top))) {
        return rn_load(&top->granted);
    }
    for (ration_pool *pool = rn_pool_first_leaf(top);; pool = rn_pool_next_up(pool, top)) {
        int64_t sum = rn_add(pool->below, pool == retained ? 0 : rn_load(&pool->direct));
        rn_walk walk;
        for (rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL; slot = rn_walk_next(&walk)) {
            sum = rn_add(sum, RN_MIN(rn_slot_counted(slot), slot->granted_bytes) -
                                  (RN_GOVERNED ? rn_slot_shelved(slot) : 0));
            sum = rn_add(sum, rn_ticket_promised(slot));
        }
        sum = RN_MAX(sum, rn_load(&pool->claim));
        pool->below = 0;
        if (pool == top) {
            return sum;
        }
        ration_pool *parent = rn_pool_parent(pool);
        parent->below = rn_add(parent->below, sum);
    }
}

/* What lies on shelves and in the lists of blocks below `top`. */
static int64_t count_retained(ration_pool *top)
{
    const ration_pool *retained = rn_pool_ledger(top)->retained;
    int64_t bytes = 0;
    for (ration_pool *pool = top; pool != NULL && RN_GOVERNED; pool = rn_pool_next(pool, top)) {
        bytes += pool == retained ? rn_load(&pool->direct) : 0;
        rn_walk walk;
        for (rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL; slot = rn_walk_next(&walk)) {
            bytes += rn_slot_shelved(slot);
        }
    }
    return bytes;
}

void ration_pool_read(ration_pool *pool, ration_pool_figures *out_figures)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    int64_t granted = rn_load(&pool->granted);
    int64_t charged = rn_pool_count_charged(pool);
    *out_figures = (ration_pool_figures){
        .size = sizeof(ration_pool_figures),
        .limit_bytes = rn_load(&pool->limit),
        .granted_bytes = granted,
        .charged_bytes = charged,
        .credit_bytes = granted - charged,
        .retained_bytes = count_retained(pool),
        .claim_bytes = rn_load(&pool->claim),
        .soft_limit_bytes = rn_load(&pool->soft),
        .unchecked_bytes = rn_load(&pool->unchecked),
        .peak_bytes = rn_load(&pool->peak),
        .refusals = rn_load(&pool->refusals),
        .waiting = rn_load(&pool->waiting),
        .high = ration_pool_is_high(pool),
    };
    rn_ledger_unlock(ledger);
}

void rn_pool_put_path(rn_text *text, const ration_pool *pool)
{
    const ration_pool *parent = rn_pool_parent(pool);
    if (parent != NULL) {
        rn_pool_put_path(text, parent);
        rn_text_put(text, "/");
    }
    rn_text_put(text, pool->name);
}

void ration_pool_path(const ration_pool *pool, char *text, size_t capacity)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_text path = rn_text_over(text, capacity);
    rn_ledger_lock(ledger);
    rn_pool_put_path(&path, pool);
    rn_ledger_unlock(ledger);
}

/* What the words of a pool should be. */
typedef struct parts {
    int64_t in_slots, in_children, held, granted, slots_below, givers;
} parts;

static parts add_up(const ration_pool *pool)
{
    parts sums = {.givers = pool->giving};
    rn_walk walk;
    for (const rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL;
         slot = rn_walk_next(&walk)) {
        sums.in_slots = rn_add(sums.in_slots, slot->granted_bytes);
        sums.in_slots = rn_add(sums.in_slots, rn_ticket_promised(slot));
        sums.slots_below += 1;
    }
    for (ration_pool *child = rn_pool_child(pool); child != NULL; child = rn_pool_sibling(child)) {
        sums.in_children = rn_add(sums.in_children, rn_load(&child->granted));
        sums.slots_below += rn_load(&child->slots_below);
        sums.givers += rn_load(&child->givers);
    }
    sums.held = rn_add(rn_add(sums.in_slots, sums.in_children), rn_load(&pool->direct));
    sums.granted = RN_MAX(sums.held, rn_load(&pool->claim));
    return sums;
}

void rn_ledger_recount(rn_ledger *ledger)
{
    ration_pool *root = (ration_pool *)rn_link_get(&ledger->root);
    ration_pool *pool = root == NULL ? NULL : rn_pool_first_leaf(root);
    for (; pool != NULL; pool = rn_pool_next_up(pool, root)) {
        parts sums = add_up(pool);
        rn_store(&pool->held, sums.held);
        rn_store(&pool->granted, sums.granted);
        rn_store(&pool->peak, RN_MAX(rn_load(&pool->peak), sums.granted));
        rn_pool_set_slots_below(pool, sums.slots_below);
        rn_store(&pool->givers, sums.givers);
        rn_pool_trim_unchecked(pool);
        pool->below = 0;
        pool->drained = false;
    }
}

static bool agree(const rn_slot *slot, bool drained, bool unordered)
{
    int64_t limit = rn_load(&slot->hot.limit);
    return (limit == slot->granted_bytes || (unordered && limit == RN_SLOT_CLOSED)) &&
           (!drained || rn_load(&slot->hot.floor) == INT64_MAX);
}

/* The equations of ledger.h for one pool; the lock is held. */
static bool check_pool(const ration_pool *pool, rn_text *text)
{
    parts sums = add_up(pool);
    int64_t granted = rn_load(&pool->granted);
    bool unordered = rn_pool_ledger(pool)->unordered;
    const char *what = NULL;
    rn_walk walk;
    for (const rn_slot *slot = rn_walk_first(&walk, pool); slot != NULL;
         slot = rn_walk_next(&walk)) {
        if (!agree(slot, rn_pool_is_drained(pool), unordered)) {
            what = "a slot's words disagree with the ledger";
        }
    }
    if (rn_load(&pool->held) != sums.held) {
        what = "held is not the sum of its parts";
    } else if (granted != sums.granted) {
        what = "granted is not the greater of held and claim";
    } else if (sums.slots_below != rn_load(&pool->slots_below)) {
        what = "slots_below is wrong";
    } else if (sums.givers != rn_load(&pool->givers)) {
        what = "givers is wrong";
    } else if (rn_pool_room(pool) < 0 && !rn_pool_is_drained(pool) && !unordered) {
        what = "granted is above the limit";
    } else if (rn_load(&pool->waiting) != 0 && !rn_pool_is_drained(pool) && !unordered) {
        what = "somebody waits, and slots have credit";
    }
    if (what == NULL) {
        return true;
    }
    rn_pool_put_path(text, pool);
    rn_text_format(text,
                   ": %s: granted %lld, held %lld, claim %lld, slots %lld, children %lld, "
                   "direct %lld, limit %lld",
                   what, (long long)granted, (long long)rn_load(&pool->held),
                   (long long)rn_load(&pool->claim), (long long)sums.in_slots,
                   (long long)sums.in_children, (long long)rn_load(&pool->direct),
                   (long long)rn_load(&pool->limit));
    return false;
}

bool ration_pool_check(ration_pool *pool, char *text, size_t capacity)
{
    rn_text difference = rn_text_over(text, capacity);
    bool equal = true;
    rn_ledger_lock(rn_pool_ledger(pool));
    for (ration_pool *at = pool; at != NULL && equal; at = rn_pool_next(at, pool)) {
        equal = check_pool(at, &difference);
    }
    rn_ledger_unlock(rn_pool_ledger(pool));
    return equal;
}

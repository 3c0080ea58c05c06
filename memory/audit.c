/* SPDX-License-Identifier: Apache-2.0
 *
 * Readings of pools, and the audit: is what the words say what the parts add up to?
 *
 * One pass under the lock. `used` of a slot that is being charged at that moment may be read before
 * or after the charge: a reading is exact to the charges that overlap it, and credit is never read
 * as negative. No epoch, no flush, nobody stops. Bounds: O(pools + slots below).
 */
#include "memory/pool.h"

/* Granted below `top` and not charged: credit of slots, and retained pages. */
static int64_t sum_credit(ration_pool *top)
{
    const ration_pool *retained = top->ledger->retained;
    int64_t credit = 0;
    for (ration_pool *pool = top; pool != NULL; pool = rn_pool_next(pool, top)) {
        for (rn_slot *slot = pool->slots; slot != NULL; slot = slot->next) {
            credit = rn_add(credit, RN_MAX(slot->granted_bytes - rn_slot_used(slot), 0));
        }
        if (pool == retained) {
            credit = rn_add(credit, rn_load(&pool->direct));
        }
    }
    return credit;
}

void ration_pool_read(ration_pool *pool, ration_pool_figures *out_figures)
{
    rn_ledger *ledger = pool->ledger;
    rn_ledger_lock(ledger);
    int64_t granted = rn_load(&pool->granted);
    int64_t credit = sum_credit(pool);
    bool retains = ledger->retained != NULL && rn_pool_is_below(ledger->retained, pool);
    *out_figures = (ration_pool_figures){
        .size = sizeof(ration_pool_figures),
        .limit_bytes = rn_load(&pool->limit),
        .granted_bytes = granted,
        .charged_bytes = granted - credit,
        .credit_bytes = credit,
        .retained_bytes = retains ? rn_load(&ledger->retained->direct) : 0,
        .unchecked_bytes = rn_load(&pool->unchecked),
        .peak_bytes = rn_load(&pool->peak),
        .refusals = rn_load(&pool->refusals),
    };
    rn_ledger_unlock(ledger);
}

void rn_pool_visit(ration_pool *pool,
                   void (*visit)(void *argument, const ration_pool *child, int64_t charged_bytes),
                   void *argument)
{
    rn_ledger_lock(pool->ledger);
    for (ration_pool *child = pool->child; child != NULL; child = child->next) {
        visit(argument, child, rn_load(&child->granted) - sum_credit(child));
    }
    rn_ledger_unlock(pool->ledger);
}

static void put_path(rn_text *text, const ration_pool *pool)
{
    if (pool->parent != NULL) {
        put_path(text, pool->parent);
        rn_text_put(text, "/");
    }
    rn_text_put(text, pool->name);
}

void ration_pool_path(const ration_pool *pool, char *text, size_t capacity)
{
    rn_text path = rn_text_over(text, capacity);
    put_path(&path, pool);
}

/* The equations of pool.h for one pool; the lock is held. */
static bool check_pool(const ration_pool *pool, rn_text *text)
{
    int64_t in_slots = 0;
    int64_t in_children = 0;
    int64_t slots_below = 0;
    bool shut = true;
    for (const rn_slot *slot = pool->slots; slot != NULL; slot = slot->next) {
        in_slots = rn_add(in_slots, slot->granted_bytes);
        slots_below += 1;
        shut = shut && rn_load(&slot->hot.limit) == slot->granted_bytes &&
               (!pool->drained || rn_load(&slot->hot.floor) == INT64_MAX);
    }
    for (const ration_pool *child = pool->child; child != NULL; child = child->next) {
        in_children = rn_add(in_children, rn_load(&child->granted));
        slots_below += rn_load(&child->slots_below);
    }
    int64_t granted = rn_load(&pool->granted);
    int64_t parts = rn_add(rn_add(in_slots, in_children), rn_load(&pool->direct));
    const char *what = NULL;
    if (granted != parts) {
        what = "granted is not the sum of its parts";
    } else if (slots_below != rn_load(&pool->slots_below)) {
        what = "slots_below is wrong";
    } else if (!shut) {
        what = "a slot's words disagree with the ledger";
    } else if (rn_pool_room(pool) < 0 && !pool->drained) {
        what = "granted is above the limit";
    }
    if (what == NULL) {
        return true;
    }
    put_path(text, pool);
    rn_text_format(text, ": %s: granted %lld, slots %lld, children %lld, direct %lld, limit %lld",
                   what, (long long)granted, (long long)in_slots, (long long)in_children,
                   (long long)rn_load(&pool->direct), (long long)rn_load(&pool->limit));
    return false;
}

bool ration_pool_check(ration_pool *pool, char *text, size_t capacity)
{
    rn_text difference = rn_text_over(text, capacity);
    bool equal = true;
    rn_ledger_lock(pool->ledger);
    for (ration_pool *at = pool; at != NULL && equal; at = rn_pool_next(at, pool)) {
        equal = check_pool(at, &difference);
    }
    rn_ledger_unlock(pool->ledger);
    return equal;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree of pools: rn_pool_open (root first) -> limits, claims, a new parent -> rn_pool_close
 * (children first). Everything here is under the ledger's one lock.
 *
 * A change of `held` walks from its pool towards the root, after every limit on the way has been
 * compared: nothing is ever half granted, so there is no undo and a reader never sees a refused
 * amount. Where a claim covers the change, granted stays as it is and the walk ends: what is below
 * a claim has been charged to the pools above already.
 *
 *   1. I1 and I2 of ledger.h hold whenever the lock is free.
 *   2. granted > limit implies drained: no slot below holds credit and each of its releases takes
 *      the lock.
 *   3. unchecked <= max(0, granted - limit).
 *
 * A new parent: the pool is drained first, so that it comes with charged bytes only and a drained
 * pool above stays without credit; then its granted leaves the old way and enters the new one,
 * where pools that both have in common gain nothing.
 *
 * Bounds: grant O(depth), limit cut and new parent O(slots below) and one barrier, open and close
 * O(depth). Rejected: an atomic word per pool, added to first and reverted when above the limit. It
 * is as fast, but a refused giant is visible for a moment and bounces the innocent.
 */
#include "memory/shared.h"

/* ------------------------------------------------------------------------------------- the tree */

bool rn_pool_is_below(const ration_pool *pool, const ration_pool *top)
{
    while (pool != NULL && pool != top) {
        pool = rn_pool_parent(pool);
    }
    return pool != NULL;
}

ration_pool *rn_pool_next(ration_pool *pool, const ration_pool *top)
{
    ration_pool *child = rn_pool_child(pool);
    if (child != NULL) {
        return child;
    }
    while (pool != top && rn_pool_sibling(pool) == NULL) {
        pool = rn_pool_parent(pool);
    }
    return pool == top ? NULL : rn_pool_sibling(pool);
}

ration_pool *rn_pool_first_leaf(ration_pool *top)
{
    while (rn_pool_child(top) != NULL) {
        top = rn_pool_child(top);
    }
    return top;
}

ration_pool *rn_pool_next_up(ration_pool *pool, const ration_pool *top)
{
    if (pool == top) {
        return NULL;
    }
    ration_pool *sibling = rn_pool_sibling(pool);
    return sibling == NULL ? rn_pool_parent(pool) : rn_pool_first_leaf(sibling);
}

void rn_pool_link(ration_pool *pool, ration_pool *parent)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_link *first = parent == NULL ? &ledger->root : &parent->child;
    ration_pool *next = (ration_pool *)rn_link_get(first);
    rn_link_set(&pool->parent, parent);
    rn_link_set(&pool->previous, NULL);
    rn_link_set(&pool->next, next);
    if (next != NULL) {
        rn_link_set(&next->previous, pool);
    }
    rn_link_set(first, pool);
}

static void unlink_pool(ration_pool *pool)
{
    ration_pool *parent = rn_pool_parent(pool);
    ration_pool *next = rn_pool_sibling(pool);
    ration_pool *previous = (ration_pool *)rn_link_get(&pool->previous);
    if (previous != NULL) {
        rn_link_set(&previous->next, next);
    } else {
        rn_link_set(parent == NULL ? &rn_pool_ledger(pool)->root : &parent->child, next);
    }
    if (next != NULL) {
        rn_link_set(&next->previous, previous);
    }
}

/* --------------------------------------------------------------------------------------- grants */

void rn_pool_trim_unchecked(ration_pool *pool)
{
    int64_t above = RN_MAX(-rn_pool_room(pool), 0);
    rn_store(&pool->unchecked, RN_MIN(rn_load(&pool->unchecked), above));
}

/* Adds `bytes` to held from `pool` up to `top` (not included); returns what arrives there. */
static int64_t grant_below(ration_pool *pool, const ration_pool *top, int64_t bytes)
{
    for (; pool != top && bytes != 0; pool = rn_pool_parent(pool)) {
        int64_t need = rn_pool_need(pool, bytes);
        int64_t granted = rn_load(&pool->granted) + need;
        rn_store(&pool->held, rn_load(&pool->held) + bytes);
        rn_store(&pool->granted, granted);
        if (granted > rn_load(&pool->peak)) {
            rn_store(&pool->peak, granted);
        }
        if (RN_UNLIKELY(rn_load(&pool->unchecked) != 0)) {
            rn_pool_trim_unchecked(pool);
        }
        bytes = need;
    }
    return bytes;
}

void rn_pool_grant(ration_pool *pool, int64_t bytes)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    (void)grant_below(pool, NULL, bytes);
    /* What a claim covers passes those who wait, and may block them elsewhere. */
    ledger->freed |= bytes < 0 || (bytes > 0 && rn_queue_first(ledger) != NULL);
}

void rn_pool_grant_direct(ration_pool *pool, int64_t bytes)
{
    rn_store(&pool->direct, rn_add(rn_load(&pool->direct), bytes));
    rn_pool_grant(pool, bytes);
}

static ration_pool *find_common(ration_pool *one, const ration_pool *other)
{
    while (one != NULL && !rn_pool_is_below(other, one)) {
        one = rn_pool_parent(one);
    }
    return one;
}

void rn_pool_move_held(ration_pool *from, int64_t lost, ration_pool *to, int64_t gained)
{
    ration_pool *common = find_common(from, to);
    int64_t less = grant_below(from, common, -lost);
    int64_t more = grant_below(to, common, gained);
    if (common != NULL) {
        (void)grant_below(common, NULL, less + more);
    }
    rn_pool_ledger(to)->freed = true;
}

/* What a change of held by `bytes` at `pool` comes to when it arrives at `top`. */
static int64_t carry(const ration_pool *pool, const ration_pool *top, int64_t bytes)
{
    for (; pool != top && bytes != 0; pool = rn_pool_parent(pool)) {
        bytes = rn_pool_need(pool, bytes);
    }
    return bytes;
}

ration_pool *rn_pool_find_full(const rn_move *move, int64_t *out_need)
{
    const ration_pool *common = find_common(move->from, move->to);
    bool all_new = move->slot == NULL || move->promised;
    int64_t need = all_new ? move->bytes : rn_slot_missing(move->slot, move->bytes);
    for (ration_pool *pool = move->to; pool != NULL && need > 0; pool = rn_pool_parent(pool)) {
        if (pool == common && need != INT64_MAX) {
            need += carry(move->from, common, -move->bytes);
        }
        need = need > 0 && need != INT64_MAX ? rn_pool_need(pool, need) : need;
        if (need > 0 && (need == INT64_MAX || rn_pool_room(pool) < need ||
                         !rn_queue_admits(pool, move->slot))) {
            *out_need = need;
            return pool;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------------- open and close */

ration_status rn_pool_open(rn_ledger *ledger, ration_pool *parent, const char *name,
                           int64_t limit_bytes, ration_status refuse_status, void *owner,
                           ration_pool **out_pool)
{
    rn_assert(limit_bytes >= 0 && refuse_status != RATION_OK);
    ration_pool *pool = (ration_pool *)rn_ledger_allocate(ledger, sizeof(*pool));
    if (pool == NULL) {
        return RATION_NO_MEMORY;
    }
    pool->limit = limit_bytes;
    pool->soft = INT64_MAX;
    pool->weight = 1;
    pool->refuse_status = refuse_status;
    pool->owner = owner;
    rn_copy_text(pool->name, sizeof(pool->name), name);
    rn_ledger_lock(ledger);
    rn_assert(parent == NULL ? rn_link_get(&ledger->root) == NULL
                             : rn_pool_ledger(parent) == ledger);
    rn_link_set(&pool->parent, parent);
    rn_keep_order();                    /* a live pool without parent is the root */
    rn_link_set(&pool->ledger, ledger); /* from here on it lives, also when its process dies */
    rn_pool_link(pool, parent);
    *out_pool = pool; /* before others can find it: an owner may be asked for its pool */
    rn_ledger_unlock(ledger);
    return RATION_OK;
}

/* What its caller forgot is counted as a fault. */
void rn_pool_fold(ration_pool *pool)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_walk walk;
    for (rn_slot *slot = rn_walk_first(&walk, pool); rn_never(slot != NULL);
         slot = rn_walk_first(&walk, pool)) {
        rn_slot_fold(slot);
        rn_ledger_free(ledger, slot, sizeof(*slot));
    }
    rn_assert(pool->direct == pool->held && pool->slots_below == 0);
    if (rn_never(pool->direct != 0)) {
        rn_pool_grant_direct(pool, -pool->direct);
    }
    if (rn_pool_parent(pool) != NULL) {
        rn_pool_grant(rn_pool_parent(pool), -pool->granted); /* its claim */
    }
    rn_pool_count_givers(pool, -pool->givers);
    unlink_pool(pool);
    rn_link_set(&pool->ledger, NULL);
    rn_ledger_free(ledger, pool, sizeof(*pool));
}

void rn_pool_close(ration_pool *pool)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    while (rn_never(rn_pool_child(pool) != NULL)) {
        rn_pool_fold(rn_pool_first_leaf(pool));
    }
    rn_pool_fold(pool);
    rn_ledger_unlock(ledger);
}

/* ------------------------------------------------------------------ limits, claims, new parent */

void rn_pool_set_limit_locked(ration_pool *pool, int64_t limit_bytes)
{
    rn_assert(limit_bytes >= 0);
    rn_no no = {0};
    rn_store(&pool->limit, limit_bytes);
    rn_pool_shed(pool, 0, &no);
    rn_pool_trim_unchecked(pool);
    rn_pool_ledger(pool)->freed = true;
}

void rn_pool_set_limit(ration_pool *pool, int64_t limit_bytes)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    rn_pool_set_limit_locked(pool, limit_bytes);
    rn_ledger_unlock(ledger);
}

int64_t rn_pool_limit(const ration_pool *pool)
{
    return rn_load(&pool->limit);
}

void ration_pool_set_soft_limit(ration_pool *pool, int64_t soft_limit_bytes)
{
    rn_store(&pool->soft, soft_limit_bytes);
}

bool ration_pool_is_high(const ration_pool *pool)
{
    return rn_load(&pool->granted) >= rn_load(&pool->soft);
}

/* Room for a claim of `bytes`, which is more than there was. It may not lower what others wait for,
 * nor keep a pool above a limit that was cut. */
static bool make_room_for_claim(ration_pool *pool, int64_t bytes, rn_no *no)
{
    int64_t more;
    do { /* again when pages were purged below the pool itself: then it needs more than it did */
        more = RN_MAX(rn_load(&pool->held), bytes) - rn_load(&pool->granted);
        ration_pool *full =
            bytes > rn_load(&pool->limit) || more > rn_pool_room(pool) ? pool : NULL;
        for (ration_pool *at = pool; at != NULL && full == NULL; at = rn_pool_parent(at)) {
            full = rn_pool_room(at) < 0 || rn_load(&at->waiting) != 0 ? at : NULL;
        }
        if (full != NULL) {
            rn_pool_refuse(full, bytes, more, no);
            return false;
        }
        rn_move move = {.to = rn_pool_parent(pool), .bytes = more};
        if (move.to != NULL && more > 0 && !rn_pool_make_room(&move, no)) {
            return false;
        }
    } while (more != RN_MAX(rn_load(&pool->held), bytes) - rn_load(&pool->granted));
    return true;
}

bool rn_pool_try_claim(ration_pool *pool, int64_t bytes, rn_no *no)
{
    rn_assert(bytes >= 0);
    *no = (rn_no){0};
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    (void)rn_pool_drain(pool); /* so that no recall above changes what it holds */
    bool claimed = bytes <= rn_load(&pool->claim) || make_room_for_claim(pool, bytes, no);
    if (claimed) {
        int64_t granted = RN_MAX(rn_load(&pool->held), bytes);
        int64_t more = granted - rn_load(&pool->granted);
        rn_store(&pool->claim, bytes);
        rn_store(&pool->granted, granted);
        rn_store(&pool->peak, RN_MAX(rn_load(&pool->peak), granted));
        rn_pool_trim_unchecked(pool);
        (void)grant_below(rn_pool_parent(pool), NULL, more);
        ledger->freed = true;
    } else {
        rn_pool_count_refusal(no);
    }
    rn_ledger_unlock(ledger);
    return claimed;
}

void rn_pool_claim_held(ration_pool *pool, int64_t bytes)
{
    rn_assert(bytes <= rn_load(&pool->held));
    rn_store(&pool->claim, RN_MAX(rn_load(&pool->claim), bytes));
}

void rn_pool_set_slots_below(ration_pool *pool, int64_t count)
{
    rn_store(&pool->slots_below, count);
    pool->far_bytes = rn_multiply(rn_pool_ledger(pool)->chunk_bytes_max, 2 * count);
}

void rn_pool_count_slots(ration_pool *pool, int64_t count)
{
    for (; pool != NULL; pool = rn_pool_parent(pool)) {
        rn_pool_set_slots_below(pool, rn_load(&pool->slots_below) + count);
    }
}

/* Room on the way of a new parent for all the pool is granted, which a purge below it may change.
 */
static bool make_room_above(ration_pool *pool, ration_pool *parent, rn_no *no)
{
    rn_move move = {.to = parent, .from = rn_pool_parent(pool)};
    bool fits;
    do {
        move.bytes = rn_load(&pool->granted);
        fits = rn_pool_make_room(&move, no);
    } while (move.bytes != rn_load(&pool->granted));
    return fits;
}

bool rn_pool_set_parent(ration_pool *pool, ration_pool *parent, rn_no *no)
{
    *no = (rn_no){0};
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    bool sane = !rn_never(rn_pool_is_below(parent, pool));
    (void)rn_pool_drain(pool);
    bool moved = sane && make_room_above(pool, parent, no);
    if (moved) {
        ration_pool *old = rn_pool_parent(pool);
        int64_t slots = rn_load(&pool->slots_below);
        int64_t givers = rn_load(&pool->givers);
        int64_t bytes = rn_load(&pool->granted);
        rn_pool_count_slots(old, -slots);
        rn_pool_carry_givers(old, -givers);
        unlink_pool(pool);
        rn_pool_link(pool, parent);
        rn_pool_move_held(old, bytes, parent, bytes);
        rn_pool_carry_givers(parent, givers);
        rn_pool_count_slots(parent, slots);
        rn_queue_stop_at(pool);
    } else if (sane) {
        rn_pool_count_refusal(no);
    }
    rn_ledger_unlock(ledger);
    return moved;
}

/* ----------------------------------------------------------------------- charged without a slot */

bool rn_pool_try_charge(ration_pool *pool, int64_t bytes)
{
    rn_no no;
    return rn_pool_try_charge_or(pool, bytes, &no);
}

bool rn_pool_try_charge_or(ration_pool *pool, int64_t bytes, rn_no *no)
{
    rn_assert(bytes >= 0);
    *no = (rn_no){0};
    if (!RN_GOVERNED) {
        return true;
    }
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_move move = {.to = pool, .bytes = bytes};
    rn_ledger_lock(ledger);
    bool granted = rn_pool_make_room(&move, no);
    if (granted) {
        rn_pool_grant_direct(pool, bytes);
    } else {
        rn_pool_count_refusal(no);
    }
    rn_ledger_unlock(ledger);
    return granted;
}

void rn_pool_release(ration_pool *pool, int64_t bytes)
{
    rn_assert(bytes >= 0);
    if (!RN_GOVERNED) {
        return;
    }
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    rn_pool_grant_direct(pool, -bytes);
    rn_ledger_unlock(ledger);
}

/* ------------------------------------------------------------------------------------ readings */

const char *rn_pool_name(const ration_pool *pool)
{
    return pool->name;
}

void *rn_pool_owner(const ration_pool *pool)
{
    return RN_LIKELY(rn_ledger_owns(rn_pool_ledger(pool), pool)) ? pool->owner : NULL;
}

int64_t rn_pool_headroom(ration_pool *pool)
{
    int64_t share = INT64_MAX;
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    for (; pool != NULL; pool = rn_pool_parent(pool)) {
        int64_t slots = RN_MAX(rn_load(&pool->slots_below), 1);
        share = RN_MIN(share, rn_pool_room(pool) / (2 * slots));
    }
    rn_ledger_unlock(ledger);
    return share;
}

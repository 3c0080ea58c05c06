/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots: rn_slot_open -> ration_slot_try_charge / ration_slot_release (inline, ration.h) -> their
 * slow paths here -> rn_slot_close. The protocol that lets others take a slot's credit without its
 * owner, and its proof: recall.c.
 *
 * A slot has one owner at a time, who alone writes `used`. It may be handed to another thread as
 * any object may: what the old owner did must happen before what the new one does.
 *
 * A chunk is the credit granted on top of what was asked: clamp(room / (2 x slots), one page,
 * chunk_bytes_max), least over the pools on the way to the root; none when it does not fit, so that
 * a chunk is never the reason of a refusal, and none where somebody waits. Hysteresis: a release
 * lets go of credit only beyond 4 chunks, and keeps 2, so swings of +-2 chunks stay off the lock.
 *
 * Bounds: refill O(depth); release of any size O(depth).
 */
#include "memory/shared.h"
#include "memory/shelf.h"

#define CHUNK_BYTES_MIN ((int64_t)4096)
#define FLOOR_CHUNKS 4 /* credit beyond this goes home at a release .. */
#define KEEP_CHUNKS 2  /* .. down to this */

/* --------------------------------------------------------------------------- credit of one slot */

/* The pools from a slot's to the root, seen in one walk. */
typedef struct way {
    int64_t chunk; /* that may be granted; 0 when shut */
    int64_t spare; /* least room of a pool, less what it needs; negative = there is no room */
    bool shut;     /* somebody waits at one of the pools, or it is above its limit */
    bool drained;
} way;

/* `missing` bytes are spoken for: what is said of chunk and spare comes on top of them. */
static way look_up(ration_pool *pool, int64_t missing)
{
    int64_t most = rn_pool_ledger(pool)->chunk_bytes_max;
    int64_t now_ns = missing > 0 ? rn_clock_coarse_ns() : 0;
    way seen = {.chunk = most, .spare = INT64_MAX};
    int64_t covered = 0; /* by claims: charged above already, so it takes no room there */
    for (int64_t need = missing; pool != NULL; pool = rn_pool_parent(pool)) {
        covered += RN_MAX(rn_add(rn_load(&pool->claim) - rn_load(&pool->held), -need), 0);
        need = need > 0 ? rn_pool_need(pool, need) : 0;
        if (need > 0) {
            rn_store(&pool->asked_ns, now_ns);
        }
        int64_t room = rn_pool_room(pool);
        int64_t left = rn_add(room + covered, -need);
        if (left < pool->far_bytes) { /* far from the limit nothing is divided */
            seen.chunk = RN_MIN(seen.chunk, left / (2 * rn_load(&pool->slots_below)));
        }
        seen.spare = RN_MIN(seen.spare, left);
        seen.shut |= rn_load(&pool->waiting) != 0 || room < 0;
        seen.drained |= pool->drained;
    }
    seen.drained |= seen.shut;
    seen.chunk = seen.shut ? 0 : RN_MIN(RN_MAX(seen.chunk, CHUNK_BYTES_MIN), most);
    return seen;
}

static void set_floor(rn_slot *slot, const way *seen)
{
    int64_t slack = rn_multiply(FLOOR_CHUNKS, seen->chunk);
    rn_store(&slot->hot.floor, seen->drained ? INT64_MAX : rn_add(slot->granted_bytes, -slack));
}

/* Grants what is missing, for which there is room, and a chunk if that fits too. */
static void refill(rn_slot *slot, int64_t missing, way *seen)
{
    ration_pool *pool = rn_slot_pool(slot);
    bool whole = seen->chunk > 0 && seen->chunk <= seen->spare;
    for (ration_pool *at = pool; whole && seen->drained && at != NULL; at = rn_pool_parent(at)) {
        at->drained = false;
    }
    int64_t grant = whole ? missing + seen->chunk : missing;
    rn_pool_grant(pool, grant);
    rn_slot_set_granted(slot, slot->granted_bytes + grant);
    seen->drained = seen->drained && !whole;
    set_floor(slot, seen);
    slot->refills += 1;
}

/* --------------------------------------------------------------------------------------- asking */

ration_status rn_slot_charge_locked(rn_slot *slot, int64_t bytes, rn_no *no)
{
    int64_t missing = rn_slot_missing(slot, bytes);
    if (missing > 0) {
        ration_pool *pool = rn_slot_pool(slot);
        way seen = look_up(pool, missing);
        if (RN_UNLIKELY(seen.spare < 0 || seen.shut || missing == INT64_MAX)) {
            rn_move move = {.to = pool, .slot = slot, .bytes = bytes};
            *no = (rn_no){0};
            if (!rn_pool_make_room(&move, no)) {
                return no->status;
            }
            missing = rn_slot_missing(slot, bytes); /* its own credit may have gone home */
            seen = look_up(pool, missing);
        }
        if (missing > 0) {
            refill(slot, missing, &seen);
        }
    }
    rn_store(&slot->hot.used, rn_slot_counted(slot) + bytes);
    return RATION_OK;
}

void rn_slot_refuse(rn_slot *slot, const rn_no *no)
{
    slot->no = *no;
    rn_pool_count_refusal(&slot->no);
}

bool rn_slot_refusal(const rn_slot *slot, rn_no *out_no)
{
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    bool refused = slot->no.sequence != 0;
    if (refused) {
        *out_no = slot->no;
    }
    rn_ledger_unlock(ledger);
    return refused;
}

/* The ledger of the slot, locked. */
static rn_ledger *lock_for(rn_slot *slot)
{
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    slot->lock_trips += 1;
    rn_shelf_forget_taken(slot);
    RN_POINT("slow.locked");
    return ledger;
}

/* A recall that found no barrier leaves the slot closed: its credit goes home when the owner comes,
 * who does not charge meanwhile. */
static void bring_home(rn_slot *slot)
{
    int64_t credit = slot->granted_bytes - rn_slot_counted(slot);
    if (RN_UNLIKELY(rn_load(&slot->hot.limit) == RN_SLOT_CLOSED)) {
        rn_slot_set_granted(slot, slot->granted_bytes - credit);
        rn_pool_grant(rn_slot_pool(slot), -credit);
    }
}

ration_status ration_slot_charge_slow(ration_slot *slot, int64_t bytes, bool published)
{
    rn_slot *self = rn_slot_of(slot);
    rn_assert(bytes >= 0);
    rn_ledger *ledger = lock_for(self);
    if (published) {
        rn_store(&slot->used, rn_load(&slot->used) - bytes);
    }
    (void)rn_never(rn_load(&slot->used) > self->granted_bytes); /* I4, which refilling would hide */
    bring_home(self);
    rn_no no;
    ration_status status = rn_slot_charge_locked(self, bytes, &no);
    if (status != RATION_OK && self->patient) {
        self->refused_bytes = rn_add(rn_slot_used(self) - self->advance_bytes, bytes);
        self->recalled_bytes = no.recalled_bytes;
        self->purged_bytes = no.purged_bytes;
    } else if (status != RATION_OK) {
        rn_slot_refuse(self, &no);
    }
    rn_ledger_unlock(ledger);
    return status;
}

ration_status ration_slot_try_charge_between(ration_slot *slot, int64_t at_least, int64_t up_to,
                                             int64_t *out_charged)
{
    rn_slot *self = rn_slot_of(slot);
    rn_assert(0 <= at_least && at_least <= up_to);
    if (!RN_GOVERNED) {
        *out_charged = up_to;
        return RATION_OK;
    }
    rn_ledger *ledger = lock_for(self);
    int64_t bytes = RN_MAX(RN_MIN(up_to, INT64_MAX - RN_MAX(rn_slot_counted(self), 0)), at_least);
    /* A wish above a limit is refused before anybody is disturbed for it: then all that is idle
     * below that pool comes home. What the pool has left then, or a claim below it covers, is all
     * there is, and the next attempt passes it. */
    rn_no no;
    ration_pool *shed = NULL;
    ration_status status = rn_slot_charge_locked(self, bytes, &no);
    while (status != RATION_OK && bytes > at_least) {
        if (!rn_pool_is_drained(no.pool) && no.pool != shed) {
            shed = no.pool;
            rn_pool_shed(shed, INT64_MAX, &no);
        } else {
            int64_t room = no.waiting > 0 ? 0 : RN_MAX(rn_pool_room(no.pool), 0);
            bytes = RN_MAX(rn_add(bytes, -RN_MAX(no.needed_bytes - room, 1)), at_least);
        }
        status = rn_slot_charge_locked(self, bytes, &no);
    }
    if (status != RATION_OK) {
        rn_slot_refuse(self, &no);
    }
    rn_ledger_unlock(ledger);
    RN_TRY(status);
    *out_charged = bytes;
    return RATION_OK;
}

static const ration_pool *root_of(const ration_pool *pool)
{
    while (rn_pool_parent(pool) != NULL) {
        pool = rn_pool_parent(pool);
    }
    return pool;
}

void ration_slot_charge(ration_slot *slot, int64_t bytes)
{
    rn_slot *self = rn_slot_of(slot);
    if (!RN_GOVERNED || rn_never(bytes < 0 || bytes > INT64_MAX / 4)) {
        return;
    }
    rn_no no;
    ration_pool *own = rn_slot_pool(self);
    rn_ledger *ledger = lock_for(self);
    if (rn_slot_charge_locked(self, bytes, &no) != RATION_OK) {
        /* Before the grant: idle bytes are no part of the peak. */
        for (ration_pool *pool = own; pool != NULL; pool = rn_pool_parent(pool)) {
            rn_pool_shed(pool, bytes, &no);
        }
        int64_t missing = rn_slot_missing(self, bytes);
        if (rn_never(rn_pool_need(root_of(own), missing) == INT64_MAX)) {
            rn_ledger_unlock(ledger);
            return; /* more than can be counted */
        }
        int64_t more = missing; /* what a claim covers was charged before */
        for (ration_pool *pool = own; pool != NULL && more > 0; pool = rn_pool_parent(pool)) {
            more = rn_pool_need(pool, more);
            rn_store(&pool->unchecked, rn_add(rn_load(&pool->unchecked), more));
        }
        rn_pool_grant(own, missing);
        rn_slot_set_granted(self, self->granted_bytes + missing);
        rn_store(&slot->used, rn_load(&slot->used) + bytes);
        for (ration_pool *pool = own; pool != NULL; pool = rn_pool_parent(pool)) {
            rn_pool_shed(pool, 0, &no);
            rn_pool_trim_unchecked(pool);
        }
        way seen = look_up(own, 0);
        set_floor(self, &seen);
    }
    rn_ledger_unlock(ledger);
}

void ration_slot_release_slow(ration_slot *slot)
{
    rn_slot *self = rn_slot_of(slot);
    ration_pool *pool = rn_slot_pool(self);
    rn_ledger *ledger = lock_for(self);
    bring_home(self);
    way seen = look_up(pool, 0);
    int64_t credit = self->granted_bytes - rn_slot_counted(self);
    int64_t keep = seen.drained ? 0 : rn_multiply(KEEP_CHUNKS, seen.chunk);
    if (credit > keep) {
        rn_slot_set_granted(self, self->granted_bytes - (credit - keep));
        rn_pool_grant(pool, -(credit - keep));
    }
    set_floor(self, &seen);
    rn_ledger_unlock(ledger);
}

/* ------------------------------------------------------------------------------- open and close */

ration_status rn_slot_open(ration_pool *pool, void *owner, rn_slot **out_slot)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_slot *slot = (rn_slot *)rn_ledger_allocate(ledger, sizeof(*slot));
    if (slot == NULL) {
        return ledger->shared ? RATION_NO_SLOT : RATION_NO_MEMORY;
    }
    if (sem_init(&slot->ticket.wake, ledger->shared, 0) != 0) {
        rn_ledger_free(ledger, slot, sizeof(*slot));
        return RATION_NO_MEMORY;
    }
    slot->owner = owner;
    slot->hot.ordering = ledger->membarrier ? 0 : 1;
    rn_ledger_lock(ledger);
    slot->hot.shelves_used = ledger->shelves;
    rn_link_set(&slot->pool, pool); /* from here on it counts, also when its process dies */
    rn_pool_deal_slot(pool, slot);
    rn_pool_count_slots(pool, 1);
    way seen = look_up(pool, 0);
    set_floor(slot, &seen);
    rn_ledger_unlock(ledger);
    *out_slot = slot;
    return RATION_OK;
}

static rn_link *find_link(ration_pool *pool, const rn_slot *slot)
{
    size_t lane = 0;
    rn_link *link = &pool->slots[0];
    while (rn_link_get(link) != slot) {
        rn_slot *at = (rn_slot *)rn_link_get(link);
        link = at == NULL ? &pool->slots[++lane] : &at->next;
    }
    return link;
}

void rn_slot_fold(rn_slot *slot)
{
    ration_pool *pool = rn_slot_pool(slot);
    if (rn_shelf_holds(slot)) {
        (void)rn_shelf_clear(slot, true);
    }
    rn_ticket_leave(slot);
    rn_link_set(find_link(pool, slot), rn_link_get(&slot->next));
    rn_pool_count_slots(pool, -1);
    int64_t used = rn_slot_counted(slot);
    int64_t granted_bytes = slot->granted_bytes;
    rn_link_set(&slot->pool, NULL);
    rn_keep_order(); /* never counted by the slot and by the pool */
    rn_store(&pool->direct, rn_load(&pool->direct) + used);
    rn_pool_grant(pool, used - granted_bytes);
    (void)sem_destroy(&slot->ticket.wake);
}

void rn_slot_close(rn_slot *slot)
{
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    rn_slot_fold(slot);
    rn_ledger_unlock(ledger);
    rn_ledger_free(ledger, slot, sizeof(*slot));
}

bool rn_slot_check(rn_slot *slot)
{
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    bool holds = rn_slot_counted(slot) <= slot->granted_bytes;
    rn_ledger_unlock(ledger);
    return holds;
}

/* --------------------------------------------------------------------------- to and from a pool */

bool rn_slot_hand_over(rn_slot *slot, ration_pool *pool, int64_t bytes)
{
    if (!RN_GOVERNED) {
        return true;
    }
    ration_pool *own = rn_slot_pool(slot);
    rn_move move = {.to = pool, .from = own, .bytes = bytes};
    int64_t need;
    if (rn_pool_find_full(&move, &need) != NULL) {
        return false;
    }
    rn_store(&slot->hot.used, rn_slot_counted(slot) - bytes);
    rn_slot_set_granted(slot, slot->granted_bytes - bytes);
    rn_keep_order(); /* never counted twice */
    rn_store(&pool->direct, rn_load(&pool->direct) + bytes);
    rn_pool_move_held(own, bytes, pool, bytes);
    way seen = look_up(own, 0);
    set_floor(slot, &seen);
    return true;
}

bool rn_slot_take_over(rn_slot *slot, ration_pool *pool, int64_t bytes)
{
    if (!RN_GOVERNED) {
        return true;
    }
    ration_pool *own = rn_slot_pool(slot);
    rn_move move = {.to = own, .from = pool, .slot = slot, .bytes = bytes};
    int64_t need;
    if (rn_pool_find_full(&move, &need) != NULL) {
        return false;
    }
    int64_t missing = rn_slot_missing(slot, bytes);
    rn_store(&pool->direct, rn_load(&pool->direct) - bytes);
    rn_keep_order(); /* never counted twice */
    rn_pool_move_held(pool, bytes, own, missing);
    rn_slot_set_granted(slot, slot->granted_bytes + missing);
    rn_store(&slot->hot.used, rn_slot_counted(slot) + bytes);
    way seen = look_up(own, 0);
    if (seen.drained) { /* as a charge would have, where there is room: shelves open with credit */
        refill(slot, 0, &seen);
    } else {
        set_floor(slot, &seen);
    }
    return true;
}

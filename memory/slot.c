/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots: the published-counter protocol. rn_slot_open -> ration_slot_try_charge /
 * ration_slot_release (inline, ration.h) -> their slow paths here -> rn_slot_close. rn_pool_drain
 * is the recall, rn_pool_make_room the one place that decides a refusal.
 *
 *     owner charges n                               whoever runs dry recalls, holding the lock
 *       compare used + n with limit                   for each slot below: old = limit, limit =
 * CLOSED   (S) used = used + n               (publish)       one barrier on every processor of the
 * process      (M) compiler barrier                              for each slot below: u = used,
 * read once           (R) compare used with limit again                     limit = min(old, u),
 * the difference goes home
 *
 * Invariants: I1 and I3 of ledger.h, from which sum(used) <= limit of every pool follows.
 *
 * Proof that I3 survives a recall. M is a full barrier at some point p of the owner's program,
 * between S and R (an owner that is not running passed one when it was switched out). Take a charge
 * of the owner. Its second comparison loads `limit` before p: then its store of `used` is before p
 * too, R sees it, and since the first comparison passed, u <= old: the new limit covers it. It
 * loads after p: it sees CLOSED or the new limit. If `used` is above, the owner comes here, waits
 * for the lock, takes its bytes back and asks again like everybody. Until then `used` may be above
 * `limit`, but the charge was not granted. Nobody waits for the owner. With seq_cst ordering S, R
 * and the owner's two accesses are seq_cst operations, and their single order takes the place of M.
 *
 * Proof that no credit is left behind. The recall also stores floor = INT64_MAX before M, and a
 * release publishes `used` before it loads `floor`, in the same order as a charge. If that load is
 * before p, R sees the lower `used` and takes the credit home; if it is after, the release sees
 * INT64_MAX, comes here and takes it home itself. With the store of `floor` after R a release could
 * slip between the two: its slot kept credit in a pool that says it has none, for as long as the
 * owner was idle.
 *
 * Proof that a refusal is true. At M no owner below the refusing pool can charge without the lock,
 * and releases only lower `used`: charged at M is at least the sum read at R. If that sum + asked >
 * limit, it was so at M, inside this call.
 *
 * A drained pool (flag `drained`) stays so after the recall: its slots hold limit = used, and floor
 * = INT64_MAX sends each release through the lock, where its credit goes home. A release takes
 * effect when it gets the lock, so granted = charged all the time, and the next refusal needs no
 * barrier: a storm of refusals costs one recall. The flag falls when a slot below is given credit
 * beyond what it charges; the slots' floors follow when each next comes here.
 *
 * Three mistakes that tests guard against: reading `used` twice in a recall (compare, then take)
 * lets a charge between the two readings through; publishing before the first comparison makes a
 * refused giant visible, and others are refused because of it; adding up readings of slots that
 * were open counts bytes on their way from one slot to another twice.
 *
 * A chunk is the credit granted on top of what was asked: clamp(room / (2 x slots), one page,
 * chunk_bytes_max), least over the pools on the way to the root; none when it does not fit, so that
 * a chunk is never the reason of a refusal. Hysteresis: a release lets go of credit only beyond 4
 * chunks, and keeps 2, so swings of +-2 chunks stay off the lock.
 *
 * Asking order: credit, chunk, exact bytes, retained pages purged, recall, refuse. Purge comes
 * before recall because retained pages serve nobody, while recalled credit moves the shortage to a
 * worker who must come here for it next.
 *
 * Bounds: refill O(depth); release of any size O(depth); recall O(slots below + pools below x
 * depth) and one barrier.
 */
#include "memory/pool.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/heap.h"

#define CHUNK_BYTES_MIN ((int64_t)4096)
#define FLOOR_CHUNKS 4 /* credit beyond this goes home at a release .. */
#define KEEP_CHUNKS 2  /* .. down to this */

/* --------------------------------------------------------------------------- credit of one slot */

/* Bytes that must be granted before the slot can charge `bytes`; INT64_MAX when no such sum exists.
 */
static int64_t count_missing(const rn_slot *slot, int64_t bytes)
{
    int64_t after;
    int64_t missing;
    if (__builtin_add_overflow(rn_slot_used(slot), bytes, &after) ||
        __builtin_sub_overflow(after, slot->granted_bytes, &missing)) {
        return INT64_MAX;
    }
    return RN_MAX(missing, 0);
}

static void set_granted(rn_slot *slot, int64_t granted_bytes)
{
    slot->granted_bytes = granted_bytes;
    rn_store(&slot->hot.limit, granted_bytes);
}

static bool is_drained(const ration_pool *pool)
{
    while (pool != NULL && !pool->drained) {
        pool = pool->parent;
    }
    return pool != NULL;
}

/* The chunk when `missing_bytes` of the room are spoken for. */
static int64_t chunk_bytes(const ration_pool *pool, int64_t missing_bytes)
{
    int64_t most = pool->ledger->chunk_bytes_max;
    int64_t chunk = most;
    for (; pool != NULL; pool = pool->parent) {
        int64_t share = rn_add(rn_pool_room(pool), -missing_bytes) /
                        (2 * RN_MAX(rn_load(&pool->slots_below), 1));
        chunk = RN_MIN(chunk, share);
    }
    return RN_MIN(RN_MAX(chunk, CHUNK_BYTES_MIN), most);
}

static void set_floor(rn_slot *slot, int64_t chunk)
{
    int64_t slack = rn_multiply(FLOOR_CHUNKS, chunk);
    rn_store(&slot->hot.floor,
             is_drained(slot->pool) ? INT64_MAX : rn_add(slot->granted_bytes, -slack));
}

static int64_t path_room(const ration_pool *pool)
{
    int64_t room = INT64_MAX;
    for (; pool != NULL; pool = pool->parent) {
        room = RN_MIN(room, rn_pool_room(pool));
    }
    return room;
}

/* Grants what is missing, for which there is room, and a chunk if that fits too. */
static void refill(rn_slot *slot, int64_t missing)
{
    if (missing == 0) {
        return;
    }
    int64_t chunk = chunk_bytes(slot->pool, missing);
    int64_t room = path_room(slot->pool);
    rn_assert(missing <= room);
    bool whole = room - missing >= chunk;
    int64_t grant = whole ? missing + chunk : missing;
    rn_pool_grant(slot->pool, grant);
    set_granted(slot, rn_add(slot->granted_bytes, grant));
    for (ration_pool *pool = slot->pool; whole && chunk > 0 && pool != NULL; pool = pool->parent) {
        pool->drained = false;
    }
    set_floor(slot, chunk);
    slot->refills += 1;
}

/* --------------------------------------------------------------------------------------- recall */

static void close_slot(const rn_ledger *ledger, rn_slot *slot)
{
    if (ledger->membarrier) {
        rn_store(&slot->hot.limit, RN_SLOT_CLOSED);
        rn_store(&slot->hot.floor, INT64_MAX);
    } else {
        rn_exchange_seq_cst(&slot->hot.limit, RN_SLOT_CLOSED);
        rn_exchange_seq_cst(&slot->hot.floor, INT64_MAX);
    }
}

/* False when the kernel refuses what it granted at open (a filter installed since): then nothing
 * may be concluded. */
static bool pass_barrier(const rn_ledger *ledger)
{
    if (!ledger->membarrier) {
        return true;
    }
    long failed = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    return !rn_never(failed != 0);
}

/* Opens a closed slot again at what it uses; returns the credit that goes home. */
static int64_t open_slot_at_used(const rn_ledger *ledger, rn_slot *slot)
{
    int64_t used =
        ledger->membarrier ? rn_load_acquire(&slot->hot.used) : rn_load_seq_cst(&slot->hot.used);
    int64_t credit = RN_MAX(slot->granted_bytes - used, 0);
    set_granted(slot, slot->granted_bytes - credit);
    slot->recalls_hit += credit > 0;
    return credit;
}

int64_t rn_pool_drain(ration_pool *top)
{
    rn_ledger *ledger = top->ledger;
    if (is_drained(top)) {
        top->drained = true;
        return 0;
    }
    for (ration_pool *pool = top; pool != NULL; pool = rn_pool_next(pool, top)) {
        for (rn_slot *slot = pool->slots; slot != NULL; slot = slot->next) {
            close_slot(ledger, slot);
        }
    }
    bool ordered = rn_load(&top->slots_below) == 0 || pass_barrier(ledger);
    int64_t home = 0;
    for (ration_pool *pool = top; pool != NULL; pool = rn_pool_next(pool, top)) {
        int64_t credit = 0;
        for (rn_slot *slot = pool->slots; slot != NULL; slot = slot->next) {
            if (ordered) {
                credit += open_slot_at_used(ledger, slot);
            } else {
                set_granted(slot, slot->granted_bytes);
            }
        }
        if (credit > 0) {
            rn_pool_grant(pool, -credit);
        }
        home += credit;
    }
    top->drained = ordered;
    return home;
}

int64_t rn_pool_recall(ration_pool *pool)
{
    rn_ledger_lock(pool->ledger);
    int64_t home = rn_pool_drain(pool);
    rn_ledger_unlock(pool->ledger);
    return home;
}

/* --------------------------------------------------------------------------------------- asking */

/* Charged below `pool`; exact when it is drained. */
static int64_t count_charged(ration_pool *top)
{
    int64_t charged = rn_load(&top->granted);
    for (ration_pool *pool = top; pool != NULL; pool = rn_pool_next(pool, top)) {
        for (rn_slot *slot = pool->slots; slot != NULL && !is_drained(pool); slot = slot->next) {
            charged -= RN_MAX(slot->granted_bytes - rn_slot_used(slot), 0);
        }
        if (pool == pool->ledger->retained) {
            charged -= rn_load(&pool->direct);
        }
    }
    return charged;
}

void rn_pool_shed(ration_pool *pool, int64_t wanted_bytes, rn_no *no)
{
    rn_ledger *ledger = pool->ledger;
    int64_t room = rn_pool_room(pool);
    if (room < wanted_bytes && ledger->retained != NULL &&
        rn_pool_is_below(ledger->retained, pool)) {
        no->purged_bytes += rn_ledger_purge(ledger, rn_add(wanted_bytes, -room));
    }
    if (rn_pool_room(pool) < wanted_bytes) {
        no->recalled_bytes += rn_pool_drain(pool);
    }
}

/* One pool: does it have what is missing, after all that can be freed below it has been? */
static bool make_room_at(ration_pool *pool, const rn_slot *slot, int64_t bytes, rn_no *no)
{
    int64_t missing = slot == NULL ? bytes : count_missing(slot, bytes);
    if (RN_LIKELY(rn_pool_room(pool) >= missing && missing != INT64_MAX)) {
        return true;
    }
    if (bytes > rn_load(&pool->limit) || missing == INT64_MAX) {
        return false; /* true whatever is charged: nobody is disturbed for it */
    }
    rn_pool_shed(pool, missing, no);
    missing =
        slot == NULL ? bytes : count_missing(slot, bytes); /* its own credit may have gone home */
    return rn_pool_room(pool) >= missing;
}

bool rn_pool_make_room(ration_pool *pool, const rn_slot *slot, int64_t bytes, rn_no *no)
{
    if (slot != NULL && count_missing(slot, bytes) == 0) {
        return true;
    }
    for (; pool != NULL; pool = pool->parent) {
        if (!make_room_at(pool, slot, bytes, no)) {
            no->pool = pool;
            no->status = pool->refuse_status;
            no->asked_bytes = bytes;
            no->charged_bytes = count_charged(pool);
            no->limit_bytes = rn_load(&pool->limit);
            return false;
        }
    }
    return true;
}

/* With the lock held and nothing published. */
static ration_status charge_locked(rn_slot *slot, int64_t bytes, rn_no *no)
{
    *no = (rn_no){0};
    if (!rn_pool_make_room(slot->pool, slot, bytes, no)) {
        return no->status;
    }
    refill(slot, count_missing(slot, bytes));
    rn_store(&slot->hot.used, rn_slot_used(slot) + bytes);
    return RATION_OK;
}

/* With the lock held: what is answered to the caller is a refusal. */
static void record_refusal(rn_slot *slot, const rn_no *no)
{
    slot->no = *no;
    slot->no.sequence = ++slot->pool->ledger->refusals;
    rn_store(&no->pool->refusals, rn_load(&no->pool->refusals) + 1);
}

bool rn_slot_refusal(const rn_slot *slot, rn_no *out_no)
{
    rn_ledger_lock(slot->pool->ledger);
    bool refused = slot->no.sequence != 0;
    if (refused) {
        *out_no = slot->no;
    }
    rn_ledger_unlock(slot->pool->ledger);
    return refused;
}

ration_status ration_slot_charge_slow(ration_slot *slot, int64_t bytes, bool published)
{
    rn_slot *self = rn_slot_of(slot);
    rn_assert(bytes >= 0);
    rn_ledger_lock(self->pool->ledger);
    if (published) {
        rn_store(&slot->used, rn_load(&slot->used) - bytes);
    }
    (void)rn_never(rn_load(&slot->used) > self->granted_bytes); /* I3, which refilling would hide */
    rn_no no;
    ration_status status = charge_locked(self, bytes, &no);
    if (status != RATION_OK) {
        record_refusal(self, &no);
    }
    rn_ledger_unlock(self->pool->ledger);
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
    int64_t bytes = up_to;
    rn_ledger_lock(self->pool->ledger);
    for (const ration_pool *pool = self->pool; pool != NULL; pool = pool->parent) {
        bytes = RN_MIN(bytes, rn_load(&pool->limit));
    }
    bytes = RN_MAX(bytes, at_least);
    /* Each refusal comes after all credit below its pool came home: what that pool has left is all
     * there is. The next attempt passes it, so there are at most as many as pools on the way. */
    rn_no no;
    ration_status status = charge_locked(self, bytes, &no);
    while (status != RATION_OK && bytes > at_least) {
        int64_t credit = self->granted_bytes - rn_slot_used(self);
        bytes = RN_MIN(bytes - 1, rn_add(rn_pool_room(no.pool), credit));
        bytes = RN_MAX(bytes, at_least);
        status = charge_locked(self, bytes, &no);
    }
    if (status != RATION_OK) {
        record_refusal(self, &no);
    }
    rn_ledger_unlock(self->pool->ledger);
    RN_TRY(status);
    *out_charged = bytes;
    return RATION_OK;
}

void ration_slot_charge(ration_slot *slot, int64_t bytes)
{
    rn_slot *self = rn_slot_of(slot);
    if (!RN_GOVERNED || rn_never(bytes < 0 || bytes > INT64_MAX / 4)) {
        return;
    }
    rn_no no;
    rn_ledger_lock(self->pool->ledger);
    if (charge_locked(self, bytes, &no) == RATION_OK) {
        rn_ledger_unlock(self->pool->ledger);
        return;
    }
    for (ration_pool *pool = self->pool; pool != NULL; pool = pool->parent) {
        rn_pool_shed(pool, bytes, &no); /* before the grant: idle bytes are no part of the peak */
    }
    set_granted(self, self->granted_bytes + bytes);
    rn_store(&slot->used, rn_load(&slot->used) + bytes);
    rn_pool_grant(self->pool, bytes);
    for (ration_pool *pool = self->pool; pool != NULL; pool = pool->parent) {
        rn_pool_shed(pool, 0, &no);
        int64_t above = RN_MAX(-rn_pool_room(pool), 0);
        rn_store(&pool->unchecked, RN_MIN(rn_load(&pool->unchecked) + bytes, above));
    }
    set_floor(self, chunk_bytes(self->pool, 0));
    rn_ledger_unlock(self->pool->ledger);
}

void ration_slot_release_slow(ration_slot *slot)
{
    rn_slot *self = rn_slot_of(slot);
    rn_ledger_lock(self->pool->ledger);
    int64_t credit = self->granted_bytes - rn_slot_used(self);
    int64_t keep =
        is_drained(self->pool) ? 0 : rn_multiply(KEEP_CHUNKS, chunk_bytes(self->pool, 0));
    if (credit > keep) {
        set_granted(self, self->granted_bytes - (credit - keep));
        rn_pool_grant(self->pool, -(credit - keep));
    }
    set_floor(self, chunk_bytes(self->pool, 0));
    rn_ledger_unlock(self->pool->ledger);
}

/* ------------------------------------------------------------------------------- open and close */

ration_status rn_slot_open(ration_pool *pool, void *owner, rn_slot **out_slot)
{
    rn_slot *slot = (rn_slot *)rn_heap_allocate(sizeof(*slot));
    if (slot == NULL) {
        return RATION_NO_MEMORY;
    }
    slot->pool = pool;
    slot->owner = owner;
    slot->hot.ordering = pool->ledger->membarrier ? 0 : 1;
    rn_ledger_lock(pool->ledger);
    slot->next = pool->slots;
    pool->slots = slot;
    for (ration_pool *above = pool; above != NULL; above = above->parent) {
        rn_store(&above->slots_below, rn_load(&above->slots_below) + 1);
    }
    set_floor(slot, chunk_bytes(pool, 0));
    rn_ledger_unlock(pool->ledger);
    *out_slot = slot;
    return RATION_OK;
}

void rn_slot_fold(rn_slot *slot)
{
    ration_pool *pool = slot->pool;
    rn_slot **link = &pool->slots;
    while (*link != slot) {
        link = &(*link)->next;
    }
    *link = slot->next;
    for (ration_pool *above = pool; above != NULL; above = above->parent) {
        rn_store(&above->slots_below, rn_load(&above->slots_below) - 1);
    }
    int64_t used = rn_slot_used(slot);
    rn_pool_grant(pool, used - slot->granted_bytes);
    rn_store(&pool->direct, rn_load(&pool->direct) + used);
}

void rn_slot_close(rn_slot *slot)
{
    rn_ledger *ledger = slot->pool->ledger;
    rn_ledger_lock(ledger);
    rn_slot_fold(slot);
    rn_ledger_unlock(ledger);
    rn_heap_free(slot, sizeof(*slot));
}

bool rn_slot_check(rn_slot *slot)
{
    rn_ledger_lock(slot->pool->ledger);
    bool holds = rn_slot_used(slot) <= slot->granted_bytes;
    rn_ledger_unlock(slot->pool->ledger);
    return holds;
}

/* --------------------------------------------------------------------------- to and from a pool */

/* Room for `bytes` from `pool` to the root, where pools that `other` lies below gain nothing by the
 * move. */
static bool admits_move(const ration_pool *pool, const ration_pool *other, int64_t bytes)
{
    for (; pool != NULL; pool = pool->parent) {
        int64_t more = rn_pool_is_below(other, pool) ? 0 : bytes;
        if (rn_pool_room(pool) < more) {
            return false;
        }
    }
    return true;
}

bool rn_slot_hand_over(rn_slot *slot, ration_pool *pool, int64_t bytes)
{
    if (!RN_GOVERNED) {
        return true;
    }
    if (!admits_move(pool, slot->pool, bytes)) {
        return false;
    }
    rn_store(&slot->hot.used, rn_slot_used(slot) - bytes);
    set_granted(slot, slot->granted_bytes - bytes);
    rn_pool_grant(slot->pool, -bytes);
    rn_pool_grant_direct(pool, bytes);
    set_floor(slot, chunk_bytes(slot->pool, 0));
    return true;
}

bool rn_slot_take_over(rn_slot *slot, ration_pool *pool, int64_t bytes)
{
    if (!RN_GOVERNED) {
        return true;
    }
    int64_t missing = count_missing(slot, bytes);
    if (missing > bytes || !admits_move(slot->pool, pool, missing)) {
        return false;
    }
    rn_pool_grant_direct(pool, -bytes);
    rn_pool_grant(slot->pool, missing);
    set_granted(slot, slot->granted_bytes + missing);
    rn_store(&slot->hot.used, rn_slot_used(slot) + bytes);
    set_floor(slot, chunk_bytes(slot->pool, 0));
    return true;
}

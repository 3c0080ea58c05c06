/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the tree of pools, for the files of memory/ only. Every function here is called with
 * the ledger's lock held.
 */
#ifndef RATION_POOL_H
#define RATION_POOL_H

#include "memory/ledger.h"

/* Compiled without counting (ration.h): contexts work, pools read 0. */
#ifdef RATION_UNGOVERNED
#define RN_GOVERNED false
#else
#define RN_GOVERNED true
#endif

struct rn_ledger {
    pthread_mutex_t lock;
    ration_pool *root;
    int64_t chunk_bytes_max;
    bool membarrier; /* fixed at open */
    int64_t (*purge)(void *argument, int64_t wanted_bytes);
    void *purge_argument;  /* rn_blocks */
    ration_pool *retained; /* what `purge` frees is charged here */
    int64_t refusals;      /* ever; stamps them in order */
};

/* granted = direct + sum of slot.granted_bytes + sum of children's granted (I1). The int64_t words
 * are written under the lock and read relaxed by anybody. */
struct ration_pool {
    int64_t limit;
    int64_t granted;
    int64_t direct;    /* charged without a slot */
    int64_t unchecked; /* part of what is above the limit that ration_slot_charge put there */
    int64_t peak;      /* of granted */
    int64_t refusals;
    int64_t slots_below; /* in the whole subtree */
    bool drained; /* no slot below holds credit, and every release below takes the lock: granted =
                     charged */
    ration_status refuse_status;
    rn_ledger *ledger;
    ration_pool *parent, *child, *next, *previous;
    rn_slot *slots;
    void *owner;
    char name[RN_POOL_NAME_BYTES];
};

static inline void rn_ledger_lock(rn_ledger *ledger)
{
    int failed = pthread_mutex_lock(&ledger->lock);
    (void)rn_never(failed != 0);
}
static inline void rn_ledger_unlock(rn_ledger *ledger)
{
    int failed = pthread_mutex_unlock(&ledger->lock);
    (void)rn_never(failed != 0);
}

/* What may still be granted at this pool alone; negative when it is above its limit. */
static inline int64_t rn_pool_room(const ration_pool *pool)
{
    return rn_add(rn_load(&pool->limit), -rn_load(&pool->granted));
}
/* Is `pool` the pool `top` or somewhere below it? */
bool rn_pool_is_below(const ration_pool *pool, const ration_pool *top);
/* Pools of the subtree of `top`, parents before children; NULL at the end. */
ration_pool *rn_pool_next(ration_pool *pool, const ration_pool *top);
/* Adds `bytes` (also negative) to granted from `pool` to the root. Limits have been checked. */
void rn_pool_grant(ration_pool *pool, int64_t bytes);
/* The same for bytes charged without a slot. */
void rn_pool_grant_direct(ration_pool *pool, int64_t bytes);
/* Asks the purge hook for `wanted_bytes` and takes home what it freed. */
int64_t rn_ledger_purge(rn_ledger *ledger, int64_t wanted_bytes);

/* slot.c: the recall of the protocol; marks the pool drained. */
int64_t rn_pool_drain(ration_pool *top) __attribute__((nonnull));
/* slot.c: purges, then drains, until `pool` has room for `wanted_bytes` or nothing is left to give;
 * adds to `*no`. */
void rn_pool_shed(ration_pool *pool, int64_t wanted_bytes, rn_no *no);
/* slot.c: makes `bytes` available from `pool` to the root, of which `slot` (or NULL) may have some
 * as credit; false = refused, and `*no` says by whom. */
bool rn_pool_make_room(ration_pool *pool, const rn_slot *slot, int64_t bytes, rn_no *no);
/* slot.c: rn_slot_close without the lock and without freeing. */
void rn_slot_fold(rn_slot *slot);

/* Moves `bytes` charged by `slot` to the direct bytes of `pool`; false, and nothing moved, when a
 * limit on the way of `pool` forbids it. Owner only. */
bool rn_slot_hand_over(rn_slot *slot, ration_pool *pool, int64_t bytes);
/* The other way: `bytes` charged directly to `pool` become charged by `slot`, its credit first. No
 * recall, no purge. */
bool rn_slot_take_over(rn_slot *slot, ration_pool *pool, int64_t bytes);

#endif

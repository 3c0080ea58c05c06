/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the tree of pools: for the files of memory/, and for executor/ask.c, which decides
 * under the same lock. Every function here is called with the ledger's lock held.
 */
#ifndef RATION_POOL_H
#define RATION_POOL_H

#include "memory/ledger.h"

struct rn_ledger {
    pthread_mutex_t lock;
    rn_link root;
    rn_link first_waiting, last_waiting; /* slots, in the order of their tickets */
    int64_t tickets;                     /* ever */
    int64_t refusals;                    /* ever; stamps them in order */
    int64_t chunk_bytes_max;
    int64_t pass;          /* over the queue; marks the pools it has looked at */
    int64_t fixed;         /* 1 = the root's limit was set by hand, and follows nothing; atomic */
    int64_t leader;        /* of a shared one: the process that follows the machine for all, .. */
    int64_t leader_number; /* .. and by which of its handles */
    /* What the limit may become, of executor/monitor.h; atomic. 0 = it is what it is. */
    int64_t attainable_bytes, expected_bytes, expected_until_ns;
    bool membarrier; /* fixed at open */
    bool shelves;    /* slots that are opened have shelves */
    bool unordered;  /* a recall found no barrier: slots may be closed while the lock is free */
    bool freed;      /* bytes came free since the lock was taken: the queue may move */
    bool stale;      /* the queue has changed since it was last looked at */
    void (*forked)(void *owner); /* in the child of a fork, for every pool that has an owner */
    rn_purge *purge;
    rn_keep *keep;
    void *purge_argument;      /* rn_blocks */
    ration_pool *retained;     /* what `purge` frees is charged here */
    struct rn_ledger *sibling; /* ledgers of this process, for fork */
    bool shared; /* it lies in memory that several processes map (shared.h): the five pointers above
                    are NULL */
};

#define RN_LANES 8 /* a power of two */

/* I1..I3 of ledger.h. The int64_t words are written under the lock and read relaxed by anybody. */
struct ration_pool {
    int64_t limit;
    int64_t granted;
    int64_t held;
    int64_t claim;
    int64_t direct;    /* charged without a slot */
    int64_t soft;      /* high watermark */
    int64_t unchecked; /* part of what is above the limit that ration_slot_charge put there */
    int64_t peak;      /* of granted */
    int64_t refusals;
    int64_t slots_below; /* in the whole subtree */
    int64_t far_bytes;   /* with this much room every slot below may take a whole chunk */
    int64_t waiting;     /* tickets blocked here */
    int64_t givers;      /* queries in the subtree that were asked to give and have not answered */
    int64_t giving;      /* of these, the pool's own */
    int64_t weight;      /* of its fair share among its siblings */
    int64_t asked_ns;    /* when bytes beyond the claim were last asked for */
    int64_t below;       /* scratch of one count; 0 between two */
    int64_t share;       /* scratch of one ask */
    int64_t pass;        /* of the queue that has looked at it */
    int64_t resident;    /* of the process whose pool for data it is, as it said last; atomic */
    bool drained; /* no slot below holds credit, and every release below takes the lock: granted =
                     charged */
    ration_status refuse_status;
    rn_link ledger, parent, child, next, previous;
    rn_link slots[RN_LANES]; /* the own slots, dealt out to as many lists */
    int64_t dealt;           /* slots ever */
    void *owner;
    char name[RN_POOL_NAME_BYTES];
};

static inline ration_pool *rn_pool_parent(const ration_pool *pool)
{
    return (ration_pool *)rn_link_get(&pool->parent);
}
static inline ration_pool *rn_pool_child(const ration_pool *pool)
{
    return (ration_pool *)rn_link_get(&pool->child);
}
static inline ration_pool *rn_pool_sibling(const ration_pool *pool)
{
    return (ration_pool *)rn_link_get(&pool->next);
}
static inline rn_ledger *rn_pool_ledger(const ration_pool *pool)
{
    return (rn_ledger *)rn_link_get(&pool->ledger);
}
static inline void rn_pool_deal_slot(ration_pool *pool, rn_slot *slot)
{
    rn_link *lane = &pool->slots[pool->dealt++ & (RN_LANES - 1)];
    rn_link_set(&slot->next, rn_link_get(lane));
    rn_link_set(lane, slot);
}

/* A walk over the own slots of a pool: along all lanes side by side, so that the processor fetches
 * the next ones while this one is looked at. Slots must stay meanwhile. */
typedef struct rn_walk {
    rn_slot *lanes[RN_LANES];
    size_t at;
} rn_walk;

static inline rn_slot *rn_walk_next(rn_walk *walk)
{
    for (int tried = 0; tried < RN_LANES; tried++) {
        rn_slot **lane = &walk->lanes[walk->at++ & (RN_LANES - 1)];
        rn_slot *slot = *lane;
        if (slot != NULL) {
            *lane = (rn_slot *)rn_link_get(&slot->next);
            return slot;
        }
    }
    return NULL;
}
static inline rn_slot *rn_walk_first(rn_walk *walk, const ration_pool *pool)
{
    for (int i = 0; i < RN_LANES; i++) {
        walk->lanes[i] = (rn_slot *)rn_link_get(&pool->slots[i]);
    }
    walk->at = 0;
    return rn_walk_next(walk);
}

/* What is stored before it is stored when the process dies behind it. For the words that repair.c
 * goes by, where the books would be wrong in the other order; the compiler alone could change it.
 */
static inline void rn_keep_order(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* ledger.c */
void rn_ledger_lock(rn_ledger *ledger);
/* Other chunks from now on, with the lock held; credit that is out stays until it is given back. */
void rn_ledger_set_chunk_locked(rn_ledger *ledger, int64_t chunk_bytes_max);
/* Before it lets go, the queue moves if it can. */
void rn_ledger_unlock(rn_ledger *ledger);
/* Asks the purge hook for `wanted_bytes` and takes home what it freed. */
int64_t rn_ledger_purge(rn_ledger *ledger, int64_t wanted_bytes);

/* pool.c */

/* rn_pool_set_limit with the lock held. */
void rn_pool_set_limit_locked(ration_pool *pool, int64_t limit_bytes);

/* What may still be granted at this pool alone; negative when it is above its limit. Both words are
 * >= 0: a claim is, so what is granted is. */
static inline int64_t rn_pool_room(const ration_pool *pool)
{
    return rn_load(&pool->limit) - rn_load(&pool->granted);
}
/* How much granted changes when held changes by `bytes`: less than that within the claim.
 * INT64_MAX when the sum has no value. */
static inline int64_t rn_pool_need(const ration_pool *pool, int64_t bytes)
{
    int64_t held;
    if (RN_UNLIKELY(__builtin_add_overflow(rn_load(&pool->held), bytes, &held))) {
        return INT64_MAX;
    }
    return RN_MAX(held, rn_load(&pool->claim)) - rn_load(&pool->granted);
}
/* Is `pool` the pool `top` or somewhere below it? */
bool rn_pool_is_below(const ration_pool *pool, const ration_pool *top);
/* Pools of the subtree of `top`, parents before children; NULL at the end. */
ration_pool *rn_pool_next(ration_pool *pool, const ration_pool *top);
/* The same, children before parents: from rn_pool_first_leaf(top) until `top` itself has been. */
ration_pool *rn_pool_first_leaf(ration_pool *top);
ration_pool *rn_pool_next_up(ration_pool *pool, const ration_pool *top);
/* Makes it the first child of `parent`; NULL makes it the root. */
void rn_pool_link(ration_pool *pool, ration_pool *parent);
/* Raises the claim to `bytes`, which the pool holds: nothing more is granted, what it holds up to
 * them only cannot be recalled any more. */
void rn_pool_claim_held(ration_pool *pool, int64_t bytes);
/* Adds `bytes` (also negative) to held, from `pool` up to where a claim covers it. Limits have been
 * compared. */
void rn_pool_grant(ration_pool *pool, int64_t bytes);
/* The same for bytes charged without a slot. */
void rn_pool_grant_direct(ration_pool *pool, int64_t bytes);
/* Held of `from` shrinks by `lost` while held of `to` grows by `gained`, in one step: pools above
 * both see the difference only. Limits have been compared. */
void rn_pool_move_held(ration_pool *from, int64_t lost, ration_pool *to, int64_t gained);

/* An ask, as the tree sees it. */
typedef struct rn_move {
    ration_pool *to;
    ration_pool *from;   /* loses as much as `to` gains; NULL = the bytes are new */
    const rn_slot *slot; /* that asks: its credit and its ticket count; NULL = nobody's do */
    bool promised;       /* to its ticket: credit does not count, see queue.c */
    int64_t bytes;
} rn_move;

/* The first pool, from `to` to the root, that has no room or where an older ticket waits; NULL when
 * the move fits. `*out_need` is what that pool lacks room for; INT64_MAX when the sum has no value.
 */
ration_pool *rn_pool_find_full(const rn_move *move, int64_t *out_need);
/* Unchecked bytes are part of what is above the limit, never more. */
void rn_pool_trim_unchecked(ration_pool *pool);
/* Adds `count` to slots_below of all pools from `pool` to the root. */
void rn_pool_count_slots(ration_pool *pool, int64_t count);
/* Of this pool alone, with what follows from it. */
void rn_pool_set_slots_below(ration_pool *pool, int64_t count);
/* rn_pool_close without the lock; the pool has no children. */
void rn_pool_fold(ration_pool *pool);

/* transfer.c: `bytes` of the direct bytes of `from` become direct bytes of `to`; false, and nothing
 * moved, when a limit or a queue on the way forbids it. */
bool rn_pool_hand_over(ration_pool *from, ration_pool *to, int64_t bytes);

/* recall.c */

/* Stores what makes the owner come to the lock: limit CLOSED, floor INT64_MAX. */
void rn_slot_shut(const rn_ledger *ledger, rn_slot *slot);

/* Every thread of the process has passed a full barrier; false when the system offers none. */
bool rn_ledger_pass_barrier(const rn_ledger *ledger);
/* The recall of the protocol; marks the pool drained. Returns the bytes brought home. */
int64_t rn_pool_drain(ration_pool *top) __attribute__((nonnull));
/* Is there no credit below `pool`, because it or a pool above is drained? */
bool rn_pool_is_drained(const ration_pool *pool);
/* Purges, then drains, until `pool` has room for `wanted_bytes` or nothing is left to give; adds to
 * `*no`. */
void rn_pool_shed(ration_pool *pool, int64_t wanted_bytes, rn_no *no);
/* Fills `*no`: `pool` lacks room for `needed_bytes` of the `asked_bytes`. */
void rn_pool_refuse(ration_pool *pool, int64_t asked_bytes, int64_t needed_bytes, rn_no *no);
/* The refusal is answered to the caller: it counts, and gets its number. */
void rn_pool_count_refusal(rn_no *no);
/* The same after all has been shed that stands in the way and needs nobody's doing. */
ration_pool *rn_pool_find_full_at_last(const rn_move *move, int64_t *out_need, rn_no *no);
/* Makes room for the move, by what can be freed without anybody's doing; false = refused, and `*no`
 * says by whom. */
bool rn_pool_make_room(const rn_move *move, rn_no *no);

/* audit.c: charged below `top`: exact when it is drained, else to the charges that overlap it. */
int64_t rn_pool_count_charged(ration_pool *top);
/* Sets held, granted, slots_below and givers of every pool anew from its parts. */
void rn_ledger_recount(rn_ledger *ledger);
/* "root/queries/q17", as much as `text` takes. */
void rn_pool_put_path(rn_text *text, const ration_pool *pool);

/* slot.c */

/* Bytes that must be granted before the slot can charge `bytes`; INT64_MAX when no such sum exists.
 */
static inline int64_t rn_slot_missing(const rn_slot *slot, int64_t bytes)
{
    int64_t after;
    int64_t missing;
    if (__builtin_add_overflow(rn_slot_counted(slot), bytes, &after) ||
        __builtin_sub_overflow(after, slot->granted_bytes, &missing)) {
        return INT64_MAX;
    }
    return RN_MAX(missing, 0);
}
/* Granted to the slot, in both words that say so. An owner who sees a slot open again also sees
 * what was taken off its shelves while it was closed (shelf.c). */
static inline void rn_slot_set_granted(rn_slot *slot, int64_t granted_bytes)
{
    slot->granted_bytes = granted_bytes;
    rn_store_release(&slot->hot.limit, granted_bytes);
}
/* Charges `bytes`, with nothing published; RATION_OK or the status in `*no`. */
ration_status rn_slot_charge_locked(rn_slot *slot, int64_t bytes, rn_no *no);
/* What is answered to the caller is the refusal `*no`. */
void rn_slot_refuse(rn_slot *slot, const rn_no *no);
/* rn_slot_close without the lock and without freeing. What the slot still uses becomes the pool's.
 */
void rn_slot_fold(rn_slot *slot);
/* Moves `bytes` charged by `slot` to the direct bytes of `pool`; false, and nothing moved, when a
 * limit or a queue on the way of `pool` forbids it. Owner only. */
bool rn_slot_hand_over(rn_slot *slot, ration_pool *pool, int64_t bytes);
/* The other way: `bytes` charged directly to `pool` become charged by `slot`, its credit first. No
 * recall, no purge. */
bool rn_slot_take_over(rn_slot *slot, ration_pool *pool, int64_t bytes);

/* A place in the tables of a shared ledger, else the heap: zeroed; NULL when there is none. The
 * lock is not held; for giving back it may be. */
void *rn_ledger_allocate(rn_ledger *ledger, size_t bytes);
void rn_ledger_free(rn_ledger *ledger, void *memory, size_t bytes);

#endif

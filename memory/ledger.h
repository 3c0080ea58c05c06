/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree of pools with its one lock, and the slots that hold credit in it.
 *
 *     rn_ledger_open -> rn_pool_open (root first) -> rn_slot_open -> charges
 *                    -> rn_slot_close -> rn_pool_close (children first) -> rn_ledger_close
 *
 * Pool words are written only under the ledger's lock and read relaxed by everybody. Per pool:
 *
 *     held    = direct + sum of granted over its slots, and of what their tickets were promised
 *             + sum of granted over its children                                             (I1)
 *     granted = max(claim, held)                                                             (I2)
 *     granted <= limit, unless unchecked bytes or a cut of the limit put it above            (I3)
 *     used <= granted for every slot between two charges                                     (I4)
 *
 * so sum(used) + direct <= limit: charged + credit never pass a limit. A claim is a minimum that is
 * charged at once, to its pool and all above: what the pool holds up to it costs nothing more.
 */
#ifndef RATION_LEDGER_H
#define RATION_LEDGER_H

#include <pthread.h>
#include <semaphore.h>

#include "base/text.h"
#include "memory/link.h"
#include "ration_resource.h"

typedef struct rn_ledger rn_ledger;

/* Compiled without counting (ration.h): contexts work, pools read 0. */
#ifdef RATION_UNGOVERNED
#define RN_GOVERNED false
#else
#define RN_GOVERNED true
#endif

#define RN_SLOT_CLOSED INT64_MIN /* in slot.limit while a recall reads */
#define RN_SHELVES 5
#define RN_SHELF_CONTEXTS 4
#define RN_SHELF_CELLS 8 /* a power of two */
#define RN_POOL_NAME_BYTES 64
#define RN_POOL_PATH_BYTES 96 /* as much of it as a refusal keeps */

/* Who said no, and what was tried; written by the slow path into the slot that asked. No
 * allocation. */
typedef struct rn_no {
    ration_pool *pool; /* whose limit; to be compared only, it may have been closed since */
    char path[RN_POOL_PATH_BYTES];
    ration_status status; /* that pool's refuse_status */
    int64_t asked_bytes;
    int64_t
        needed_bytes; /* of the limit: what was asked, less the credit and claims it came with */
    int64_t charged_bytes; /* below `pool` when all its slots were closed */
    int64_t limit_bytes;
    int64_t recalled_bytes; /* credit brought home by this ask */
    int64_t purged_bytes;
    int64_t waiting;  /* tickets that wait at the pool: what is free there is theirs */
    int64_t sequence; /* refusals of the ledger until this one; 0 = none */
} rn_no;

/* A slot's place in the queue for bytes: queue.c. Written under the lock, `state` read by all. */
typedef struct rn_ticket {
    rn_link next, previous;       /* slots that wait, oldest first */
    rn_link pool;                 /* at which it is blocked */
    int64_t bytes;                /* asked for */
    int64_t sequence;             /* tickets of the ledger until this one */
    int64_t state;                /* rn_ticket_state; 0 = not in the queue */
    sem_t wake;                   /* posted when a waiting ticket is granted, or is to ask again */
    void (*call)(void *argument); /* the same for hosts that do not sleep; may be NULL */
    void *argument;
} rn_ticket;

/* The whole slot; the public struct is its first member. */
typedef struct rn_slot {
    ration_slot hot;
    rn_link pool;                         /* that it charges */
    rn_link next;                         /* slots of the pool; under the lock */
    void *owner;                          /* the query, for executor/; unknown here */
    int64_t thread;                       /* that is attached; 0 = nobody. For executor/ */
    const struct ration_spiller *spiller; /* NULL = none; written under the lock. For executor/ */
    int64_t spillable_bytes;              /* owner writes: last told of. For executor/ */
    int64_t run;                          /* who is inside; atomic. For executor/ */
    bool patient;           /* owner only: a no is not the last word; executor/ask.c goes on */
    int64_t refused_bytes;  /* owner only: would be held, when a patient slot was last told no .. */
    int64_t recalled_bytes; /* owner only: .. and what was brought home .. */
    int64_t purged_bytes;   /* owner only: .. or purged for it, which executor/ask.c adds up */
    int64_t advance_bytes;  /* owner only: charged ahead by settle, not yet drawn by contexts */
    int64_t peak_bytes;     /* owner only: most ever charged and drawn, as seen at the settles */
    int64_t rows_unsettled; /* owner only: passed guards that ended before their next settle */
    int64_t bytes_unsettled; /* owner only: of those rows */
    int64_t interval_bytes;  /* owner only: between two settles of its guards; 0 = not measured */
    int64_t granted_bytes;   /* hot.limit, also while a recall has it closed; under the lock */
    int64_t refills, recalls_hit, lock_trips; /* under the lock */
    void *cells[RN_SHELVES][RN_SHELF_CELLS];  /* of its shelves; owner writes */
    int64_t taken_bytes;   /* off its shelves, which it still counts as used; under the lock */
    int64_t shelf_seen;    /* hot.shelf_puts, when the shelves were last looked at .. */
    int64_t shelf_seen_ns; /* .. and since when they are so; under the lock */
    int64_t shelf_floor;   /* scratch of rn_shelves_clear */
    struct rn_slot *next_closed; /* the same */
    int64_t tree_busy;           /* owner writes: links of `contexts` and below are being changed */
    int64_t tree_shut;           /* under the lock: somebody reads them (context.c) */
    ration_context *contexts; /* without parent, newest first; of the process that has the slot */

    ration_resource blocks; /* ration_slot_blocks */

    rn_no no; /* the last refusal; written under the lock, read by rn_slot_refusal */
    rn_ticket ticket;
} rn_slot;

static inline rn_slot *rn_slot_of(ration_slot *slot)
{
    return (rn_slot *)(void *)slot;
}

static inline ration_pool *rn_slot_pool(const rn_slot *slot)
{
    return (ration_pool *)rn_link_get(&slot->pool);
}

typedef struct rn_ledger_options {
    int64_t chunk_bytes_max; /* most credit a slot takes at a time */
    bool force_seq_cst;      /* do not use membarrier */
} rn_ledger_options;

/* Opens an empty ledger. Registers the process for membarrier; falls back to seq_cst where that is
 * refused (old kernel, seccomp) and under TSan. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_ledger_open(const rn_ledger_options *options,
                                              rn_ledger **out_ledger);
/* All pools must be closed; of a shared ledger, all that this process opened. */
void rn_ledger_close(rn_ledger *ledger);
bool rn_ledger_uses_membarrier(const rn_ledger *ledger);
/* `forked` is called in the child of a fork for the owner of every pool that has one: its locks may
 * be held by threads the child does not have. */
void rn_ledger_set_forked(rn_ledger *ledger, void (*forked)(void *owner));
/* `purge` gives back retained pages until `wanted_bytes` are freed or none are left, and returns
 * the bytes; called under the lock when a pool that contains `retained` is full. blocks.c sets it.
 */
typedef int64_t rn_purge(void *argument, int64_t wanted_bytes);
/* Takes a block of `bytes`, charged below `pool`, which serves nobody: retains it if that may be
 * and `retain` says so, else gives it back to the system. It is no longer charged to `pool`. */
typedef void rn_keep(void *argument, ration_pool *pool, void *block, int64_t bytes, bool retain);
void rn_ledger_set_purge(rn_ledger *ledger, rn_purge *purge, rn_keep *keep, void *argument,
                         ration_pool *retained);

/* Opens a pool below `parent` (NULL: the root, once). `limit_bytes` INT64_MAX = none of its own.
 * `refuse_status` is what an ask that fails at this pool answers. `owner` is an opaque pointer for
 * the layer above. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_pool_open(rn_ledger *ledger, ration_pool *parent,
                                            const char *name, int64_t limit_bytes,
                                            ration_status refuse_status, void *owner,
                                            ration_pool **out_pool);
/* Every slot and child must be closed, every byte released (else a fault is counted and the rest is
 * taken home). */
void rn_pool_close(ration_pool *pool);
/* Live. A cut takes effect at once: idle credit below is recalled, nothing is granted while granted
 * > limit. */
void rn_pool_set_limit(ration_pool *pool, int64_t limit_bytes);
int64_t rn_pool_limit(const ration_pool *pool);
/* Makes the claim `bytes` (0 gives it up): charged here and above at once, asked for as any charge.
 * A larger claim is also refused where a pool on the way is above its limit or somebody waits: it
 * would keep what they need. False = refused, the claim is as it was, and `*no` says by whom. */
RATION_NODISCARD bool rn_pool_try_claim(ration_pool *pool, int64_t bytes, rn_no *no);
/* Moves the pool with all below it under `parent`. Any load. Its idle credit is recalled first.
 * False = a limit on the new way has no room, nothing moved; or `parent` is below it, which is a
 * fault. */
RATION_NODISCARD bool rn_pool_set_parent(ration_pool *pool, ration_pool *parent, rn_no *no);
/* What one slot of `pool` may take without thinking of the others: room / (2 x slots), least over
 * the pools on the way to the root; not positive when a limit was cut. Takes the lock. */
int64_t rn_pool_headroom(ration_pool *pool);
const char *rn_pool_name(const ration_pool *pool);
/* NULL also when another process opened the pool: its pointer means nothing here. */
void *rn_pool_owner(const ration_pool *pool);
/* A slot on `pool`. Owner: the caller's thread until handed over. Errors: NO_MEMORY; NO_SLOT when
 * the table of a shared ledger is full. */
RATION_NODISCARD ration_status rn_slot_open(ration_pool *pool, void *owner, rn_slot **out_slot);
/* Gives back all credit, leaves the queue, and folds `used` into the pool's direct bytes (a slot
 * whose releases were made by another slot closes with used != 0; the sum over the pool stays
 * exact). */
void rn_slot_close(rn_slot *slot);
/* The word `used`: what the protocol goes by. Any thread. */
static inline int64_t rn_slot_counted(const rn_slot *slot)
{
    return rn_load(&slot->hot.used);
}
/* Bytes of one block of a shelf: 8, 16, 32, 64 KiB, and the 8 KiB of a small context. */
static inline int64_t rn_shelf_bytes(int which)
{
    return (int64_t)8192 << (which == RN_SHELF_CONTEXTS ? 0 : which);
}
/* In blocks on its shelves, which serve nobody. Any thread. */
static inline int64_t rn_slot_shelved(const rn_slot *slot)
{
    int64_t bytes = 0;
    if (rn_load(&slot->hot.shelf_puts) == rn_load(&slot->hot.shelf_cleared)) {
        return 0; /* nothing was put there since */
    }
    for (int which = 0; which < RN_SHELVES; which++) {
        const ration_shelf *shelf = &slot->hot.shelves[which];
        bytes += (rn_load(&shelf->count) - rn_load(&shelf->base)) * rn_shelf_bytes(which);
    }
    return bytes;
}
/* Charged by the slot right now, without what lies on its shelves or was taken off them. Any
 * thread; exact but for what its owner and who clears its shelves do at this moment. */
static inline int64_t rn_slot_used(const rn_slot *slot)
{
    int64_t idle = rn_slot_shelved(slot) + rn_load(&slot->taken_bytes);
    return rn_slot_counted(slot) - (RN_GOVERNED ? idle : 0);
}

/* Copies the slot's last refusal; false when there was none. Any thread. */
bool rn_slot_refusal(const rn_slot *slot, rn_no *out_no);

/* Makes the slot's advance at least / exactly `bytes`: charges what is missing, releases what is
 * over. After RATION_OK the contexts of this slot can draw `bytes` without being refused. Refused:
 * the advance is as it was. */
RATION_NODISCARD static inline ration_status rn_slot_prepay(rn_slot *slot, int64_t bytes)
{
#ifdef RATION_UNGOVERNED
    (void)slot;
    (void)bytes;
#else
    int64_t held = rn_slot_used(slot) - slot->advance_bytes;
    slot->peak_bytes = RN_MAX(slot->peak_bytes, held);
    int64_t missing = bytes - slot->advance_bytes;
    if (missing > 0) {
        RN_TRY(ration_slot_try_charge(&slot->hot, missing));
    } else if (missing < 0) {
        ration_slot_release(&slot->hot, -missing);
    }
    slot->advance_bytes = bytes;
#endif
    return RATION_OK;
}

/* Draws `bytes` for a block: from the advance, else charged now. */
RATION_NODISCARD static inline ration_status rn_slot_draw(rn_slot *slot, int64_t bytes)
{
#ifdef RATION_UNGOVERNED
    (void)slot;
    (void)bytes;
    return RATION_OK;
#else
    if (RN_LIKELY(slot->advance_bytes >= bytes)) {
        slot->advance_bytes -= bytes;
        return RATION_OK;
    }
    return ration_slot_try_charge(&slot->hot, bytes);
#endif
}

/* Charges `bytes` for a block that is drawn next, which no limit can refuse (ration_slot_charge).
 */
static inline void rn_slot_draw_unchecked(rn_slot *slot, int64_t bytes)
{
#ifdef RATION_UNGOVERNED
    (void)slot;
    (void)bytes;
#else
    ration_slot_charge(&slot->hot, bytes);
    slot->advance_bytes += bytes;
#endif
}

/* The block could not be had: no longer charged. */
static inline void rn_slot_take_back_draw(rn_slot *slot, int64_t bytes)
{
#ifdef RATION_UNGOVERNED
    (void)slot;
    (void)bytes;
#else
    slot->advance_bytes -= bytes;
    ration_slot_release(&slot->hot, bytes);
#endif
}

/* Owner only, between two charges: does used <= limit hold (I4)? */
bool rn_slot_check(rn_slot *slot);

/* Charges or releases a pool directly, without a slot, under the lock. `*no` says who refused. */
RATION_NODISCARD bool rn_pool_try_charge_or(ration_pool *pool, int64_t bytes, rn_no *no);
RATION_NODISCARD bool rn_pool_try_charge(ration_pool *pool, int64_t bytes);
void rn_pool_release(ration_pool *pool, int64_t bytes);

/* Recalls all idle credit below `pool` and returns the bytes brought home. */
int64_t rn_pool_recall(ration_pool *pool);

#endif

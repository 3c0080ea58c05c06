/* SPDX-License-Identifier: Apache-2.0
 *
 * A ledger in memory that several processes map: one tree of pools for all of them.
 *
 *     rn_ledger_create_shared -> pools for everybody (rn_pool_keep) -> rn_ledger_close
 *     rn_ledger_join_shared   -> rn_pool_find -> own pools, slots   -> rn_ledger_close
 *
 * Afterwards it is used as any ledger is; what differs is told in shared.c (the memory) and
 * repair.c (processes that die). shared_file.c makes and opens the file.
 */
#ifndef RATION_SHARED_H
#define RATION_SHARED_H

#include "memory/blocks.h"
#include "memory/queue.h"

typedef struct rn_share_sizes {
    int64_t processes, pools, slots; /* at a time */
} rn_share_sizes;

/* Makes the empty file `descriptor` a region with an empty ledger, and joins it. Errors: FILE,
 * NO_MEMORY, ENVIRONMENT (no /proc), INVALID_ARGUMENT (sizes). */
RATION_NODISCARD ration_status rn_ledger_create_shared(int descriptor, const rn_share_sizes *sizes,
                                                       int64_t chunk_bytes_max,
                                                       rn_ledger **out_ledger, ration_error *error);
/* Joins the region in the file `descriptor`. `*out_alone`: nobody else is there, and the chunk is
 * now `chunk_bytes_max`. The descriptor may be closed afterwards. Errors: FILE (no region, damaged,
 * or of another version), ENVIRONMENT (of another boot or pid namespace; no place for one more
 * process; its lock is held), NO_MEMORY. */
RATION_NODISCARD ration_status rn_ledger_join_shared(int descriptor, int64_t chunk_bytes_max,
                                                     rn_ledger **out_ledger, bool *out_alone,
                                                     ration_error *error);
/* The pool `name` directly below `parent` (NULL: the root), or NULL. */
ration_pool *rn_pool_find(rn_ledger *ledger, ration_pool *parent, const char *name);
/* From now on the pool belongs to no process: it stays until the region is gone. It must hold
 * nothing of its own, only slots and pools. */
void rn_pool_keep(ration_pool *pool);
/* Forgets all processes that are gone: closes their slots and pools, takes their tickets out, gives
 * back what they held, for their memory went with them. Returns how many there were. */
int64_t rn_ledger_bury(rn_ledger *ledger);
/* Is it this process that follows the machine for all? The first is, as long as it is there, then
 * the next that asks. Always in a ledger that is not shared. */
bool rn_ledger_leads(rn_ledger *ledger);
/* How often a process died with the lock, and another repaired what it left. */
int64_t rn_ledger_repairs(rn_ledger *ledger);

/* A file that a shared ledger lies in, or will. */
typedef struct rn_share_file {
    int descriptor;
    bool fresh;     /* not at its path yet */
    char path[256]; /* where it is */
} rn_share_file;

/* Opens the file at `path`; where there is none, an empty one of mode 0600 beside it. Errors: FILE,
 * INVALID_ARGUMENT (path too long). */
RATION_NODISCARD ration_status rn_share_file_open(const char *path, rn_share_file *out_file,
                                                  ration_error *error);
/* Moves a fresh file to `path`, at once and whole; `*out_late`: another process was faster, and the
 * fresh one is gone. Errors: FILE. */
RATION_NODISCARD ration_status rn_share_file_publish(rn_share_file *file, const char *path,
                                                     bool *out_late, ration_error *error);
/* Closes it, and removes it when it was not published. */
void rn_share_file_close(rn_share_file *file);

/* ---- for the files of memory/ */

#define RN_SHARE_EVERYBODY ((int64_t)-1) /* holder of what no process took for itself */
#define RN_SHARE_PID_BITS 22             /* of a holder; the kernel's PID_MAX_LIMIT is 2^22 */

/* At the start of the region; the tables follow: who holds each place (processes, pools, slots),
 * then pools, then slots. */
typedef struct rn_share {
    char magic[8]; /* written last */
    char version[24];
    uint64_t layout; /* of all that processes must agree on */
    int64_t epoch;   /* rn_probe_epoch */
    int64_t bytes;   /* of the region */
    rn_share_sizes sizes;
    int64_t looked_ns; /* when it was last looked whose pid has been given to another */
    int64_t repairs;
    rn_ledger ledger __attribute__((aligned(128)));
    int64_t holders[];
} rn_share;

/* Directly in front of the region, in memory of this process alone. */
typedef struct rn_share_own {
    rn_blocks *blocks;
    int64_t process; /* this one; as in the table of holders */
    int64_t number;  /* of its handles, from 1 */
} rn_share_own;

static inline rn_share *rn_share_of(const rn_ledger *ledger)
{
    return (rn_share *)((uintptr_t)ledger - offsetof(rn_share, ledger));
}
static inline rn_share_own *rn_share_own_of(const rn_ledger *ledger)
{
    return (rn_share_own *)(void *)rn_share_of(ledger) - 1;
}

/* Places i of the tables. */
ration_pool *rn_share_pool(rn_share *share, int64_t i);
rn_slot *rn_share_slot(rn_share *share, int64_t i);
static inline int64_t *rn_share_pool_holder(rn_share *share, int64_t i)
{
    return &share->holders[share->sizes.processes + i];
}
static inline int64_t *rn_share_slot_holder(rn_share *share, int64_t i)
{
    return &share->holders[share->sizes.processes + share->sizes.pools + i];
}
/* Are these places in the tree? A place may also be free, or in the hands of a process that has not
 * put it into the tree yet. */
static inline bool rn_share_has_pool(rn_share *share, int64_t i)
{
    return rn_load(rn_share_pool_holder(share, i)) != 0 && rn_share_pool(share, i)->ledger.distance;
}
static inline bool rn_share_has_slot(rn_share *share, int64_t i)
{
    return rn_load(rn_share_slot_holder(share, i)) != 0 && rn_share_slot(share, i)->pool.distance;
}

/* rn_ledger_allocate and _free of a shared ledger. */
void *rn_share_take(rn_ledger *ledger, size_t bytes);
void rn_share_give(rn_ledger *ledger, void *memory);
/* Did this process take the place of this pool or slot? */
bool rn_share_owns(const rn_ledger *ledger, const void *place);
static inline bool rn_ledger_owns(const rn_ledger *ledger, const void *place)
{
    return !ledger->shared || rn_share_owns(ledger, place);
}
void rn_ledger_leave(rn_ledger *ledger);

/* repair.c. The first with a lock whose holder died; it is consistent afterwards. */
void rn_ledger_repair(rn_ledger *ledger);
/* Builds lists, sums and queue anew from the tables alone. With the lock held. */
void rn_ledger_rebuild(rn_ledger *ledger);
/* rn_ledger_bury with the lock held. Who has no pid any more is always found; who is dead and not
 * waited for, or whose pid was given to another, only when `thorough`, or once in 10 ms. True =
 * there was somebody. */
bool rn_ledger_bury_gone(rn_ledger *ledger, bool thorough);
/* Forgets one process; returns the places in the tree it had. With the lock held. */
int64_t rn_ledger_bury_process(rn_ledger *ledger, int64_t process);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The lock of the tree of a slot's contexts: its owner changes links, others read them.
 *
 *     owner            rn_context_enter -> a few stores to links -> rn_context_leave
 *     others, holding  rn_context_shut -> rn_ledger_pass_barrier -> rn_context_await_leave
 *     the ledger's lock                -> links are read -> rn_context_open
 *
 * Creating and deleting a context is a matter of nanoseconds, and somebody else reads the tree
 * hardly ever, so the owner pays a store and a load, and who reads pays the barrier of a recall.
 * The owner says `tree_busy`, then looks at `tree_shut`; who reads says `tree_shut`, then looks at
 * `tree_busy`. By the barrier, or by seq_cst operations on both sides in that ordering, one of them
 * sees the other (recall.c has the argument). If both do, the owner leaves again.
 *
 * Bounds. The owner waits for the lock once: it enters while it holds it, so that whoever shuts the
 * tree next sees it inside. No lock is asked for between enter and leave, so the other side's wait
 * ends as soon as the owner is run. When the system offers no barrier nothing may be read.
 */
#ifndef RATION_TREE_H
#define RATION_TREE_H

#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "memory/pool.h"

static inline void rn_context_leave(rn_slot *slot)
{
    rn_store_release(&slot->tree_busy, 0);
}

/* Lets whoever reads finish, then enters. */
__attribute__((unused, noinline)) static void rn_context_wait(rn_slot *slot)
{
    rn_context_leave(slot);
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    rn_store(&slot->tree_busy, 1);
    rn_ledger_unlock(ledger);
}

/* Owner only: links may be changed from here on. */
static inline void rn_context_enter(rn_slot *slot)
{
    int64_t shut;
    if (RN_LIKELY(slot->hot.ordering == 0)) {
        rn_store(&slot->tree_busy, 1);
        rn_keep_order();
        RN_POINT("tree.busy");
        shut = rn_load_acquire(&slot->tree_shut);
    } else {
        rn_exchange_seq_cst(&slot->tree_busy, 1);
        RN_POINT("tree.busy");
        shut = rn_load_seq_cst(&slot->tree_shut);
    }
    if (RN_UNLIKELY(shut != 0)) {
        rn_context_wait(slot);
    }
    RN_POINT("tree.entered");
}

/* Under the lock; the barrier is to follow. */
static inline void rn_context_shut(rn_slot *slot)
{
    rn_exchange_seq_cst(&slot->tree_shut, 1);
}
/* The barrier was passed: no link changes until the tree is open again. */
static inline void rn_context_await_leave(rn_slot *slot)
{
    RN_POINT("peek.fenced");
    for (int tries = 0; rn_load_seq_cst(&slot->tree_busy) != 0; tries++) {
        RN_POINT("peek.waiting");
        if (tries < 100) {
            (void)sched_yield();
        } else { /* lets an owner of a lower class run */
            struct timespec pause = {.tv_nsec = 50000};
            (void)syscall(SYS_nanosleep, &pause, NULL); /* unlike nanosleep no cancellation point */
        }
    }
}
static inline void rn_context_open(rn_slot *slot)
{
    rn_store_release(&slot->tree_shut, 0);
}

#endif

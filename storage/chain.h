/* SPDX-License-Identifier: Apache-2.0
 *
 * An array that grows while a file is read: a chain of 64 KiB blocks with random access.
 *
 *     all zeros + rn_chain_set -> rn_chain_push ... -> rn_chain_take (into one array) or
 *     rn_chain_close
 *
 * Growing by doubling would hold up to three times the data for a moment; a chain holds it once,
 * and rn_chain_take gives each block back as soon as it is copied. The first block is 8 KiB, so
 * that a graph of many small files stays small. */
#ifndef RATION_CHAIN_H
#define RATION_CHAIN_H

#include "memory/blocks.h"

/* Equations: blocks hold 1 << shift entries each (the first alone may be a small one); at ==
 * tail end means full. The directory of block addresses is a control structure: 8 bytes for 64
 * KiB. */
typedef struct rn_chain {
    rn_slot *slot;
    uint32_t entry_bytes; /* a power of two, 16 at most */
    uint32_t shift;
    char *at, *tail_end; /* in the last block */
    bool small;          /* the first block is a small one */
    char **blocks;
    size_t block_count, block_room;
} rn_chain;

void rn_chain_set(rn_chain *chain, ration_slot *slot, size_t entry_bytes);
/* Errors: the limits' statuses, NO_MEMORY; the chain is as it was. */
RATION_NODISCARD ration_status rn_chain_grow(rn_chain *chain);
/* Copies all entries to `to`, in order, and gives every block back. */
void rn_chain_take(rn_chain *chain, void *to);
/* Gives everything back; a chain of all zeros is allowed. */
void rn_chain_close(rn_chain *chain);

/* Room for the next entry. */
static inline ration_status rn_chain_push(rn_chain *chain, void **out_entry)
{
    if (RN_UNLIKELY(chain->at == chain->tail_end)) {
        RN_TRY(rn_chain_grow(chain));
    }
    *out_entry = chain->at;
    chain->at += chain->entry_bytes;
    return RATION_OK;
}

static inline void *rn_chain_at(const rn_chain *chain, size_t index)
{
    size_t inside = index & (((size_t)1 << chain->shift) - 1);
    return chain->blocks[index >> chain->shift] + inside * chain->entry_bytes;
}

/* Entries in it. */
static inline size_t rn_chain_count(const rn_chain *chain)
{
    if (chain->block_count == 0) {
        return 0;
    }
    size_t last = (size_t)(chain->at - chain->blocks[chain->block_count - 1]) / chain->entry_bytes;
    return ((chain->block_count - 1) << chain->shift) + last;
}

#endif

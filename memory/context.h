/* SPDX-License-Identifier: Apache-2.0
 *
 * What executor/ and iterators/ need of contexts beyond the public interface. */
#ifndef RATION_CONTEXT_INSIDE_H
#define RATION_CONTEXT_INSIDE_H

#include "memory/blocks.h"
#include "ration_context.h"

/* A chunk larger than this gets a block of its own: a quarter of the largest regular block. */
#define RN_CHUNK_BYTES_MAX (RN_BLOCK_BYTES / 4)

/* What a context wants at most of a block it takes for one chunk, and a bump context of its first.
 * Checked builds put something around every chunk. */
#ifdef RATION_CHECKED
#define RN_CONTEXT_ALONE_BYTES 128
#define RN_CONTEXT_FIRST_BYTES 1024
#else
#define RN_CONTEXT_ALONE_BYTES 64
#define RN_CONTEXT_FIRST_BYTES 512
#endif

/* What one allocation of `bytes` takes from a block: the bytes rounded up, in set contexts with the
 * chunk's header, in checked builds with what is put around it. */
int64_t rn_context_chunk_bytes(const ration_context *context, size_t bytes);
/* Most bytes of new blocks that allocations can draw from this context which together take
 * `chunk_bytes` (the sum of rn_context_chunk_bytes over them), none larger than `largest`: what a
 * settle must charge ahead so that they cannot be refused. 0 when they fit into the block in hand.
 */
int64_t rn_context_bound(const ration_context *context, size_t chunk_bytes, size_t largest);
/* The same for one allocation; exact but for a freed chunk that may serve. Bounds of several
 * allocations may be added up only where each chunk is above RN_CHUNK_BYTES_MAX (a block of its
 * own); smaller ones share the block in hand: rn_context_bound. */
int64_t rn_context_bound_one(const ration_context *context, size_t bytes);
/* A bump context on paper: what a series of allocations would draw from the first on. */
typedef struct rn_context_draft {
    int64_t bytes;      /* drawn: all its blocks */
    int64_t left_bytes; /* of the block in hand */
    int64_t next_bytes; /* size of the next regular block */
} rn_context_draft;
void rn_context_draft_open(rn_context_draft *out_draft);
void rn_context_draft_add(rn_context_draft *draft, size_t bytes);
/* Most bytes of further blocks for chunks of together `bytes`, each of at most `largest`, which is
 * not above RN_CHUNK_BYTES_MAX. */
int64_t rn_context_draft_bound(const rn_context_draft *draft, int64_t bytes, size_t largest);
/* The pool its blocks are charged to, by its slot. */
ration_pool *rn_context_pool(const ration_context *context);
/* `bytes` more of that pool's direct bytes are this context's, which releases them at its reset or
 * delete. Any thread; nobody may delete the context meanwhile. */
void rn_context_add_handed(ration_context *context, int64_t bytes);
/* ration_query_peek of these slots (NULL = none), which may not be closed meanwhile. Under the
 * ledger's lock. */
size_t rn_slots_peek(rn_ledger *ledger, rn_slot *const *slots, size_t slot_count,
                     ration_context_figures *figures, size_t capacity);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What executor/ and iterators/ need of contexts beyond the public interface. */
#ifndef RATION_CONTEXT_H
#define RATION_CONTEXT_H

#include "memory/blocks.h"

/* A chunk larger than this gets a block of its own: a quarter of the largest regular block. */
#define RN_CHUNK_BYTES_MAX (RN_BLOCK_BYTES / 4)

/* What one allocation of `bytes` takes from a block: the bytes rounded up, in set contexts with the
 * chunk's header. A bump context rounds up to 8 bytes, so n allocations of together b bytes take
 * at most b + 8n. */
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
/* Name given at create. */
const char *rn_context_name(const ration_context *context);
/* Most bytes in blocks this context ever had. */
int64_t rn_context_peak(const ration_context *context);
/* The pool its blocks are charged to, by its slot. */
ration_pool *rn_context_pool(const ration_context *context);
/* `bytes` more of that pool's direct bytes are this context's, which releases them at its reset or
 * delete. Any thread; nobody may delete the context meanwhile. */
void rn_context_add_handed(ration_context *context, int64_t bytes);
/* Next context below `parent` after `previous` (NULL = first), for reports. Owner only. */
ration_context *rn_context_child(ration_context *parent, ration_context *previous);

#endif

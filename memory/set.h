/* SPDX-License-Identifier: Apache-2.0
 *
 * A set context and how a chunk is freed into it, which chunk.c does in place: a call costs as much
 * as all of it. The rest: context_set.c. */
#ifndef RATION_SET_H
#define RATION_SET_H

#include "memory/poison.h"
#include "memory/region.h"

#define RN_SET_CLASSES 52

typedef struct rn_set_freed {
    struct rn_set_freed *next;
} rn_set_freed;

typedef struct rn_set {
    ration_context base;
    uint64_t live_word;                  /* of the header of a live chunk of class 0 */
    bool begun;                          /* something was freed since the last reset */
    rn_set_freed *free[RN_SET_CLASSES];  /* allocations take from these */
    rn_set_freed *given[RN_SET_CLASSES]; /* frees add to these */
} rn_set;

static inline rn_set *rn_set_of(ration_context *context)
{
    return (rn_set *)(void *)context;
}

/* The header is open. */
static inline void rn_set_push(ration_context *context, rn_chunk *chunk)
{
    rn_set *set = rn_set_of(context);
    uint32_t class = rn_chunk_size(chunk->word);
    rn_set_freed *freed = (rn_set_freed *)(void *)(chunk + 1);
    rn_open(freed, sizeof(*freed));
    chunk->word = rn_chunk_word(rn_region_first(context), class, RN_CHUNK_FREE);
    freed->next = set->given[class];
    set->given[class] = freed;
    if (RN_UNLIKELY(!set->begun)) {
        set->begun = true;
    }
    rn_poison(chunk, sizeof(*chunk) + sizeof(*freed));
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A link to another object, held as the distance from the link itself. Pools, slots and tickets are
 * linked this way, so that the same tree works on the heap and in memory that several processes map
 * at different addresses. A struct that holds links must not be copied or moved.
 */
#ifndef RATION_LINK_H
#define RATION_LINK_H

#include <stdint.h>

typedef struct rn_link {
    int64_t distance; /* bytes from this word to the object; 0 = none */
} rn_link;

static inline void *rn_link_get(const rn_link *link)
{
    return link->distance == 0 ? (void *)0 : (void *)((uintptr_t)link + (uintptr_t)link->distance);
}

static inline void rn_link_set(rn_link *link, const void *to)
{
    link->distance = to == (void *)0 ? 0 : (int64_t)((uintptr_t)to - (uintptr_t)link);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of one size that nobody uses, newest on top, linked through their first words. Who keeps
 * one has a lock. */
#ifndef RATION_KEPT_H
#define RATION_KEPT_H

#include "base/base.h"

#define RN_KEPT_GENERATIONS 8

typedef struct rn_kept_block {
    struct rn_kept_block *next;
} rn_kept_block;

/* Blocks kept within an eighth of the time that they may stay. */
typedef struct rn_kept_generation {
    rn_kept_block *first, *last;
    int64_t since_ns; /* when the first of them was kept */
} rn_kept_generation;

/* Newest generation first; since_ns falls, but for empty ones. All zeros is empty and valid. */
typedef struct rn_kept {
    rn_kept_generation generations[RN_KEPT_GENERATIONS];
    int64_t count;
} rn_kept;

/* Keeps `count` blocks, linked from `first` to `last`. Cost: the same for any number. */
void rn_kept_put(rn_kept *kept, void *first, void *last, int64_t count, int64_t now_ns,
                 int64_t stay_ns);
/* The block kept last; NULL when there is none. */
void *rn_kept_take(rn_kept *kept);
/* A block of the oldest generation, when it has been kept since `until_ns` or longer; else NULL. */
void *rn_kept_take_oldest(rn_kept *kept, int64_t until_ns);
/* When its oldest generation began; INT64_MAX when there is none. */
int64_t rn_kept_since(const rn_kept *kept);

#endif

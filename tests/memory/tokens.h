/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens: what may still be asked for below a pool. A worker takes them before it asks, at every
 * pool on its way that could refuse, and gives them back after it has released; so at every instant
 * charged <= limit - tokens left, whoever races, and an ask that tokens cover must be granted. */
#ifndef RATION_TESTS_MEMORY_TOKENS_H
#define RATION_TESTS_MEMORY_TOKENS_H

#include "base/hash.h"

#define TOKEN_KINDS 4

/* The tokens of the pools on a worker's way, NULL at the end. */
typedef struct tokens {
    int64_t *left[TOKEN_KINDS + 1];
} tokens;

/* `end` NULL = all kinds. */
static inline void tokens_give(const tokens *all, int64_t *const *end, int64_t bytes)
{
    for (int64_t *const *left = all->left; left != end && *left != NULL; left++) {
        int64_t seen = rn_load(*left);
        while (!rn_compare_swap(*left, &seen, seen + bytes)) {
        }
    }
}

/* `bytes` of every kind, or none. */
static inline bool tokens_take(const tokens *all, int64_t bytes)
{
    for (int64_t *const *left = all->left; *left != NULL; left++) {
        int64_t seen = rn_load(*left);
        while (seen >= bytes && !rn_compare_swap(*left, &seen, seen - bytes)) {
        }
        if (seen < bytes) {
            tokens_give(all, left, bytes);
            return false;
        }
    }
    return true;
}

/* All that is left, or some of it. */
static inline int64_t tokens_choose(const tokens *all, uint64_t *seed)
{
    int64_t most = INT64_MAX;
    for (int64_t *const *left = all->left; *left != NULL; left++) {
        most = RN_MIN(most, rn_load_acquire(*left));
    }
    uint64_t kind = rn_random_below(seed, 8);
    return kind == 0 ? most : (int64_t)rn_random_below(seed, (uint64_t)most / kind + 1);
}

#endif

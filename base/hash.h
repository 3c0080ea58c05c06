/* SPDX-License-Identifier: Apache-2.0
 *
 * 64-bit hashing for hash tables: multiply-and-fold (the 128-bit product folded by xor, as in
 * wyhash and absl), not for checksums and not against an adversary who knows the seed. */
#ifndef RATION_HASH_H
#define RATION_HASH_H

#include "base/base.h"

#define RN_HASH_SEED UINT64_C(0x9e3779b97f4a7c15)

/* One word folded: the full product with an odd constant, its halves xored. */
static inline uint64_t rn_hash_word(uint64_t seed, uint64_t word)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(seed ^ word ^ UINT64_C(0xa0761d6478bd642f)) * RN_HASH_SEED;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Any length; reads exactly `count` bytes. */
static inline uint64_t rn_hash_bytes(uint64_t seed, const void *bytes, size_t count)
{
    const unsigned char *at = (const unsigned char *)bytes;
    uint64_t hash = seed ^ (uint64_t)count;
    uint64_t word;
    for (; count >= 8; at += 8, count -= 8) {
        memcpy(&word, at, 8);
        hash = rn_hash_word(hash, word);
    }
    if (count > 0) {
        word = 0;
        memcpy(&word, at, count);
        hash = rn_hash_word(hash, word);
    }
    return hash;
}

/* SplitMix64 (Steele, Lea, Flood 2014): the seeded stream behind generated rows, graphs and
 * arrivals. */
static inline uint64_t rn_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
/* Uniform in [0, bound), bound > 0 (Lemire's multiply-shift). */
static inline uint64_t rn_random_below(uint64_t *state, uint64_t bound)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)(((wide)rn_random(state) * bound) >> 64);
}
/* Uniform in [0, 1) with 53 bits. */
static inline double rn_random_unit(uint64_t *state)
{
    return (double)(rn_random(state) >> 11) * 0x1.0p-53;
}

#endif

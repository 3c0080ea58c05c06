/* SPDX-License-Identifier: Apache-2.0
 *
 * The people of a generated social network as functions of seed and number: nothing is stored,
 * so the generator needs the same memory at every scale. */
#ifndef RATION_GENERATE_WORLD_H
#define RATION_GENERATE_WORLD_H

#include "base/hash.h"
#include "storage/generate_words.h"

#define RN_WORLD_START_MS INT64_C(1262304000000) /* 2010-01-01 */
#define RN_WORLD_END_MS INT64_C(1356998400000)   /* 2013-01-01 */
#define RN_MS_PER_DAY INT64_C(86400000)
#define RN_FRIENDS_MAX 2048u

typedef struct rn_world {
    uint64_t seed;
    uint64_t persons;
    uint64_t degree_mean;            /* friends of a person */
    uint64_t weights[RN_CITIES + 1]; /* cumulative share of the persons, by city */
} rn_world;

typedef struct rn_person {
    uint64_t number;
    int64_t id;
    int64_t created_ms;
    uint32_t city;
    uint32_t browser;
} rn_person;

void rn_world_set(rn_world *world, uint64_t seed, uint64_t persons);
/* A stream of random numbers of its own for `number` of a kind of thing. */
uint64_t rn_world_stream(const rn_world *world, uint64_t kind, uint64_t number);
rn_person rn_world_person(const rn_world *world, uint64_t number);
/* Persons that `number` is linked to by the friendships it names, each friendship named by one
 * of the two: at most RN_FRIENDS_MAX, no duplicates. */
uint32_t rn_world_friends(const rn_world *world, uint64_t number, uint64_t friends[RN_FRIENDS_MAX]);
/* Heavy-tailed with about this mean, in thousandths: the density falls with the power 7/3, cut
 * at `most`. */
uint64_t rn_heavy_tail(uint64_t *state, uint64_t mean_thousandths, uint64_t most);
/* Small numbers are frequent: the product of two uniform choices. */
uint64_t rn_skewed_below(uint64_t *state, uint64_t bound);
/* "Name" of a tag; returns `text`. */
const char *rn_tag_name(uint32_t tag, char text[64]);
/* An id in the LDBC manner: the month of its making above a serial number. */
int64_t rn_dated_id(int64_t created_ms, uint64_t serial);

#endif

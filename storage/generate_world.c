/* SPDX-License-Identifier: Apache-2.0
 *
 * People and friendships; the contract is in generate_world.h. Integers only, so that every machine
 * gets the same network.
 *
 * Friendships. Persons stand in a circle, ordered by city. Person i names the persons i + gap for a
 * heavy-tailed number of gaps in 1 .. (persons - 1) / 2: an unordered pair has one such gap in one
 * direction, so no friendship is named twice. Most gaps are short (same city), some are multiples
 * of INTEREST_STEP (same residue = same main interest), the rest reach anywhere. Short gaps and
 * multiples close triangles; the number of gaps gives the power law.
 *
 * The mean number of friends grows with the network as LDBC's does, persons^(0.512 - 0.028 log10
 * persons), here by a table of that formula at the powers of ten and straight lines between
 * them. */
#include "storage/generate_world.h"

#include <stdio.h>

#define INTEREST_STEP 37u
#define PARETO_MEAN_THOUSANDTHS 3875u /* of the truncated density below, least value 1 */

enum { KIND_PERSON = 1, KIND_FRIENDS = 2 };

static uint64_t mean_degree(uint64_t persons)
{
    static const uint64_t tenths[] = {10, 31, 82, 192, 398, 724, 1160, 1629};
    uint64_t low = 1;

    for (size_t i = 0; i + 1 < RN_COUNT(tenths); i++, low *= 10) {
        if (persons < low * 10) {
            uint64_t rise = (tenths[i + 1] - tenths[i]) * (persons - low) / (low * 9);
            return (tenths[i] + rise) / 10;
        }
    }
    return tenths[RN_COUNT(tenths) - 1] / 10;
}

void rn_world_set(rn_world *world, uint64_t seed, uint64_t persons)
{
    uint64_t sum = 0;

    world->seed = seed;
    world->persons = persons;
    world->degree_mean = mean_degree(persons);
    for (uint32_t city = 0; city < RN_CITIES; city++) {
        world->weights[city] = sum;
        sum += rn_countries[city / RN_CITIES_PER_COUNTRY].weight;
    }
    world->weights[RN_CITIES] = sum;
}

uint64_t rn_world_stream(const rn_world *world, uint64_t kind, uint64_t number)
{
    return rn_hash_word(rn_hash_word(world->seed + RN_HASH_SEED, kind), number + 1);
}

int64_t rn_dated_id(int64_t created_ms, uint64_t serial)
{
    int64_t month = (created_ms - RN_WORLD_START_MS) / (30 * RN_MS_PER_DAY);

    return month << 40 | (int64_t)serial;
}

/* The circle is cut into the cities' shares. */
static uint32_t city_of(const rn_world *world, uint64_t number)
{
    uint64_t at = number * world->weights[RN_CITIES] / world->persons;
    uint32_t city = 0;

    while (city + 1 < RN_CITIES && world->weights[city + 1] <= at) {
        city++;
    }
    return city;
}

rn_person rn_world_person(const rn_world *world, uint64_t number)
{
    uint64_t state = rn_world_stream(world, KIND_PERSON, number);
    uint64_t span = (uint64_t)(RN_WORLD_END_MS - RN_WORLD_START_MS);
    rn_person person;

    person.number = number;
    person.created_ms = RN_WORLD_START_MS + (int64_t)rn_random_below(&state, span);
    person.id = rn_dated_id(person.created_ms, number);
    person.city = city_of(world, number);
    person.browser = (uint32_t)rn_skewed_below(&state, RN_BROWSERS);
    return person;
}

static uint64_t square_root(uint64_t value)
{
    uint64_t root = 0;

    for (uint64_t bit = UINT64_C(1) << 31; bit > 0; bit >>= 1) {
        uint64_t next = root | bit;
        root = next * next <= value ? next : root;
    }
    return root;
}

/* Inverse of the distribution: a uniform u in (0, 1] gives u^(-3/4), here with 16 fractional
 * bits and u >= 2^-20. */
uint64_t rn_heavy_tail(uint64_t *state, uint64_t mean_thousandths, uint64_t most)
{
    uint64_t u = 4096 + rn_random_below(state, (UINT64_C(1) << 32) - 4096);
    uint64_t ratio = (UINT64_C(1) << 48) / u;
    uint64_t root = square_root(ratio << 16);
    uint64_t scaled = square_root(ratio * root) * mean_thousandths / PARETO_MEAN_THOUSANDTHS;
    uint64_t value = (scaled + rn_random_below(state, 65536)) >> 16;

    return RN_MIN(value, most);
}

uint64_t rn_skewed_below(uint64_t *state, uint64_t bound)
{
    return rn_random_below(state, rn_random_below(state, bound) + 1);
}

static uint64_t choose_gap(uint64_t *state, uint64_t half, uint64_t mean)
{
    uint64_t kind = rn_random_below(state, 100);
    uint64_t gap;

    if (kind < 60) {
        gap = 1 + rn_skewed_below(state, 2 * mean + 8);
    } else if (kind < 85) {
        gap = INTEREST_STEP * (1 + rn_skewed_below(state, mean + 4));
    } else {
        gap = 1 + rn_random_below(state, half);
    }
    return gap <= half ? gap : 1 + rn_random_below(state, half);
}

uint32_t rn_world_friends(const rn_world *world, uint64_t number, uint64_t friends[RN_FRIENDS_MAX])
{
    uint64_t state = rn_world_stream(world, KIND_FRIENDS, number);
    uint64_t half = (world->persons - 1) / 2;
    uint64_t most = RN_MIN(half / 2, (uint64_t)RN_FRIENDS_MAX);
    uint64_t wanted = rn_heavy_tail(&state, world->degree_mean * 500, most);
    uint32_t count = 0;

    for (uint64_t tries = 0; count < wanted && tries < 4 * wanted; tries++) {
        uint64_t other = number + choose_gap(&state, half, RN_MAX(world->degree_mean, wanted));
        other -= other >= world->persons ? world->persons : 0;
        bool known = false;
        for (uint32_t i = 0; i < count && !known; i++) {
            known = friends[i] == other;
        }
        if (!known) {
            friends[count++] = other;
        }
    }
    return count;
}

const char *rn_tag_name(uint32_t tag, char text[64])
{
    const char *adjective = rn_adjectives[tag % RN_ADJECTIVES];
    uint32_t noun = tag / RN_ADJECTIVES;

    (void)snprintf(text, 64, "%s_%s", adjective,
                   rn_leaf_classes[noun / RN_NOUNS_PER_CLASS].nouns[noun % RN_NOUNS_PER_CLASS]);
    return text;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Places, tags and persons of a generated social network. Ids of places, tags and classes are
 * small, those of persons dated. */
#include "storage/generate_files.h"

#define INTERESTS_MAX 24u
#define CITY_ID_FIRST 1000
#define UNIVERSITY_ID_FIRST 5000

enum { KIND_DETAILS = 16, KIND_INTEREST = 17, KIND_FRIENDSHIP = 18 };

static void put_text(rn_output *output, const char *text)
{
    rn_output_text(output, text, strlen(text));
}

static void write_named(rn_network *network, rn_network_file file, int64_t id, const char *name)
{
    rn_output *output = rn_network_output(network, file);

    rn_output_int64(output, id);
    put_text(output, name);
    rn_output_end_row(output);
}

static void write_places(rn_network *network)
{
    char name[96];

    for (uint32_t city = 0; city < RN_CITIES; city++) {
        const rn_country *country = &rn_countries[city / RN_CITIES_PER_COUNTRY];
        const char *city_name = country->cities[city % RN_CITIES_PER_COUNTRY];
        int64_t country_id = city / RN_CITIES_PER_COUNTRY;
        if (city % RN_CITIES_PER_COUNTRY == 0) {
            write_named(network, RN_FILE_COUNTRY, country_id, country->name);
        }
        write_named(network, RN_FILE_CITY, CITY_ID_FIRST + city, city_name);
        rn_network_link(network, RN_FILE_CITY_COUNTRY, CITY_ID_FIRST + city, country_id);
        (void)snprintf(name, sizeof name, "University of %s", city_name);
        write_named(network, RN_FILE_UNIVERSITY, UNIVERSITY_ID_FIRST + city, name);
        rn_network_link(network, RN_FILE_UNIVERSITY_CITY, UNIVERSITY_ID_FIRST + city,
                        CITY_ID_FIRST + city);
    }
}

/* Class 0 is Thing; the inner ones follow, then the leaves. */
static void write_tags(rn_network *network)
{
    char name[64];

    write_named(network, RN_FILE_TAG_CLASS, 0, "Thing");
    for (uint32_t i = 0; i < RN_INNER_CLASSES; i++) {
        write_named(network, RN_FILE_TAG_CLASS, 1 + i, rn_inner_classes[i]);
        rn_network_link(network, RN_FILE_CLASS_CLASS, 1 + i, 0);
    }
    for (uint32_t i = 0; i < RN_LEAF_CLASSES; i++) {
        int64_t id = 1 + RN_INNER_CLASSES + i;
        write_named(network, RN_FILE_TAG_CLASS, id, rn_leaf_classes[i].name);
        rn_network_link(network, RN_FILE_CLASS_CLASS, id, 1 + rn_leaf_classes[i].inner);
    }
    for (uint32_t tag = 0; tag < RN_TAGS; tag++) {
        uint32_t leaf = tag / (RN_ADJECTIVES * RN_NOUNS_PER_CLASS);
        write_named(network, RN_FILE_TAG, tag, rn_tag_name(tag, name));
        rn_network_link(network, RN_FILE_TAG_TYPE, tag, 1 + RN_INNER_CLASSES + leaf);
    }
}

void rn_network_write_things(rn_network *network)
{
    write_places(network);
    write_tags(network);
}

/* Popular tags are spread over the classes: a skewed rank, then a permutation of the tags (7 and
 * RN_TAGS have no divisor in common). */
static uint32_t popular_tag(uint64_t *state)
{
    return (uint32_t)(rn_skewed_below(state, RN_TAGS) * 7 % RN_TAGS);
}

uint32_t rn_network_interest(const rn_network *network, uint64_t person, uint64_t rank)
{
    uint64_t shared = rank == 0 ? person % 37 : person + 37;
    uint64_t state = rn_world_stream(&network->world, KIND_INTEREST + (rank << 8), shared);

    return popular_tag(&state);
}

static void write_details(rn_network *network, const rn_person *person, uint64_t *state)
{
    rn_output *output = rn_network_output(network, RN_FILE_PERSON);
    const char *first = rn_first_names[rn_random_below(state, RN_FIRST_NAMES)];
    const char *last = rn_last_names[rn_skewed_below(state, RN_LAST_NAMES)];
    uint64_t chance = rn_random(state);
    int32_t birthday = 3653 + (int32_t)rn_random_below(state, 7305); /* 1980 .. 1999 */
    char email[96];

    rn_output_int64(output, person->id);
    put_text(output, first);
    put_text(output, last);
    if (chance % 25 == 0) {
        rn_output_null(output);
    } else {
        put_text(output, chance >> 8 & 1 ? "female" : "male");
    }
    if ((chance >> 16) % 32 == 0) {
        rn_output_null(output);
    } else {
        rn_output_date(output, birthday);
    }
    rn_output_time(output, person->created_ms);
    put_text(output, rn_browsers[person->browser]);
    if ((chance >> 32) % 5 == 0) {
        rn_output_null(output);
    } else {
        (void)snprintf(email, sizeof email, "%s%llu@example.org", first,
                       (unsigned long long)person->number);
        put_text(output, email);
    }
    rn_output_end_row(output);
}

static void write_interests(rn_network *network, const rn_person *person, uint64_t *state)
{
    uint32_t tags[INTERESTS_MAX];
    uint64_t wanted = 1 + rn_heavy_tail(state, 4000, INTERESTS_MAX - 1);
    uint32_t count = 0;

    for (uint64_t rank = 0; rank < wanted; rank++) {
        uint32_t tag = rn_network_interest(network, person->number, rank);
        bool known = false;
        for (uint32_t i = 0; i < count; i++) {
            known = known || tags[i] == tag;
        }
        if (!known) {
            tags[count++] = tag;
            rn_network_link(network, RN_FILE_INTEREST, person->id, tag);
        }
    }
}

/* A friendship begins after both have joined. */
static void write_friends(rn_network *network, const rn_person *person)
{
    uint64_t friends[RN_FRIENDS_MAX];
    uint64_t state = rn_world_stream(&network->world, KIND_FRIENDSHIP, person->number);
    rn_output *output = rn_network_output(network, RN_FILE_KNOWS);
    uint32_t count = rn_world_friends(&network->world, person->number, friends);

    for (uint32_t i = 0; i < count; i++) {
        rn_person other = rn_world_person(&network->world, friends[i]);
        int64_t both = RN_MAX(person->created_ms, other.created_ms);
        rn_output_int64(output, person->id);
        rn_output_int64(output, other.id);
        rn_output_time(output, both + 1 + (int64_t)rn_skewed_below(&state, 200 * RN_MS_PER_DAY));
        rn_output_end_row(output);
    }
}

void rn_network_write_person(rn_network *network, uint64_t number)
{
    rn_person person = rn_world_person(&network->world, number);
    uint64_t state = rn_world_stream(&network->world, KIND_DETAILS, number);

    write_details(network, &person, &state);
    rn_network_link(network, RN_FILE_PERSON_CITY, person.id, CITY_ID_FIRST + person.city);
    if (rn_random_below(&state, 10) < 7) {
        rn_output *output = rn_network_output(network, RN_FILE_STUDY);
        bool away = rn_random_below(&state, 4) == 0;
        uint64_t city = away ? rn_random_below(&state, RN_CITIES) : person.city;
        rn_output_int64(output, person.id);
        rn_output_int64(output, UNIVERSITY_ID_FIRST + (int64_t)city);
        rn_output_int64(output, 2000 + (int64_t)rn_random_below(&state, 13));
        rn_output_end_row(output);
    }
    write_interests(network, &person, &state);
    write_friends(network, &person);
}

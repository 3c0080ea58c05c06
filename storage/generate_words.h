/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables behind a generated social network: names, places, subjects, words. */
#ifndef RATION_GENERATE_WORDS_H
#define RATION_GENERATE_WORDS_H

#include <stdint.h>

#define RN_COUNTRIES 24u
#define RN_CITIES_PER_COUNTRY 4u
#define RN_CITIES (RN_COUNTRIES * RN_CITIES_PER_COUNTRY)
#define RN_FIRST_NAMES 64u
#define RN_LAST_NAMES 80u
#define RN_BROWSERS 5u
#define RN_INNER_CLASSES 5u
#define RN_LEAF_CLASSES 20u
#define RN_TAG_CLASSES (1u + RN_INNER_CLASSES + RN_LEAF_CLASSES)
#define RN_NOUNS_PER_CLASS 4u
#define RN_ADJECTIVES 12u
#define RN_TAGS (RN_LEAF_CLASSES * RN_NOUNS_PER_CLASS * RN_ADJECTIVES)
#define RN_PHRASES 12u
#define RN_WORDS 128u

typedef struct rn_country {
    const char *name;
    const char *language;
    uint32_t weight; /* share of the persons */
    const char *cities[RN_CITIES_PER_COUNTRY];
} rn_country;

typedef struct rn_leaf_class {
    const char *name;
    uint32_t inner; /* the class above it */
    const char *nouns[RN_NOUNS_PER_CLASS];
} rn_leaf_class;

extern const rn_country rn_countries[RN_COUNTRIES];
extern const char *const rn_first_names[RN_FIRST_NAMES];
extern const char *const rn_last_names[RN_LAST_NAMES];
extern const char *const rn_browsers[RN_BROWSERS];
extern const char *const rn_inner_classes[RN_INNER_CLASSES];
extern const rn_leaf_class rn_leaf_classes[RN_LEAF_CLASSES];
extern const char *const rn_adjectives[RN_ADJECTIVES];
extern const char *const rn_phrases[RN_PHRASES]; /* whole comments */
extern const char *const rn_words[RN_WORDS];     /* frequent ones first */

#endif

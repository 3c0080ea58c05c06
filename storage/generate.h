/* SPDX-License-Identifier: Apache-2.0
 *
 * A seeded social network in the manner of the LDBC Social Network Benchmark (Person, knows with
 * a heavy-tailed degree distribution, Forum, Post, Comment, likes, Tag, TagClass, City, Country,
 * dates), written as CSV files and a manifest. The same seed and scale give the same bytes on
 * every machine. It is not LDBC data and no result over it is an LDBC result.
 */
#ifndef RATION_GENERATE_H
#define RATION_GENERATE_H

#include "base/text.h"

typedef struct rn_generate_options {
    double scale; /* 1.0 = 10,000 persons */
    uint64_t seed;
    bool progress;
} rn_generate_options;

/* Writes into `directory`, which is made when missing; every file first under a temporary name.
 * Errors: FILE, INVALID_ARGUMENT. */
RATION_NODISCARD ration_status rn_generate(const char *directory,
                                           const rn_generate_options *options, ration_error *error);

#endif

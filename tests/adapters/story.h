/* SPDX-License-Identifier: Apache-2.0
 *
 * A random input of the program, and what comes out, computed with malloc and without any table,
 * queue or parser. */
#ifndef RATION_TESTS_ADAPTERS_STORY_H
#define RATION_TESTS_ADAPTERS_STORY_H

#include "tests/adapters/program.h"

typedef struct story {
    ProgramInput input;
    char *expected;
} story;

/* `size` lines of text, half as many expressions, twice as many changes. Never fails. */
story *story_make(uint64_t seed, int size);
void story_free(story *made);

#endif

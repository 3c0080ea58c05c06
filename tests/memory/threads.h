/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads of tests of memory/: how much they do, what they start from, and how they end. */
#ifndef RATION_TESTS_MEMORY_THREADS_H
#define RATION_TESTS_MEMORY_THREADS_H

#include <pthread.h>
#include <sched.h>

#include "tests/memory/queue_world.h"

#define THREADS_UNUSED __attribute__((unused))
#define THREADS_MOST 64
#define KIB ((int64_t)1024)

/* A ledger under the thread sanitizer is seq_cst in any case. */
#define ORDERINGS (RN_TSAN ? 1 : 2)

/* Under valgrind, announced by check's multiplier, one thread runs at a time. */
THREADS_UNUSED static bool takes_turns(void)
{
    return getenv("CK_TIMEOUT_MULTIPLIER") != NULL;
}

/* How often something is done: less where each time costs more; at least once. */
THREADS_UNUSED static int64_t scaled(int64_t count)
{
#ifdef RATION_CHECKED
    count /= ORDERINGS == 1 ? 10 : 4;
#endif
    return RN_MAX(takes_turns() ? count / 50 : count, 1);
}

/* A number of its own for each test, or RATION_SEED; printed. */
THREADS_UNUSED static uint64_t choose_seed(uint64_t usual)
{
    const char *given = getenv("RATION_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : usual;
    printf("seed=%llu\n", (unsigned long long)seed);
    return seed * 1000;
}

THREADS_UNUSED static int64_t pick(uint64_t *seed, int64_t bound)
{
    return (int64_t)rn_random_below(seed, (uint64_t)bound);
}

/* `count` threads, each with its element of `arguments`, which are `size` bytes apart. */
THREADS_UNUSED static void start_threads(pthread_t *threads, int count, void *(*work)(void *),
                                         void *arguments, size_t size)
{
    for (int i = 0; i < count; i++) {
        void *argument = (char *)arguments + (size_t)i * size;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, argument), 0);
    }
}

THREADS_UNUSED static void join_threads(const pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
}

/* Until `*word`, which only grows, is at least `value`. */
THREADS_UNUSED static void await(const int64_t *word, int64_t value)
{
    while (rn_load_acquire(word) < value) {
        (void)sched_yield();
    }
}

/* Adds up with acquire and release: what was done before is seen by who awaits the sum. */
THREADS_UNUSED static int64_t count_up(int64_t *word)
{
    int64_t seen = rn_load(word);
    while (!rn_compare_swap(word, &seen, seen + 1)) {
    }
    return seen;
}

/* A case of all tests, each in every ordering (_i != 0: seq_cst). */
THREADS_UNUSED static int run_in_orderings(const char *name, const TTest *const *tests,
                                           size_t count)
{
    TCase *both = tcase_create("both orderings");
    for (size_t i = 0; i < count; i++) {
        tcase_add_loop_test(both, tests[i], 0, ORDERINGS);
    }
    tcase_set_timeout(both, 120);
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, both);
    return run_suite(suite);
}

#endif

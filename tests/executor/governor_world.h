/* SPDX-License-Identifier: Apache-2.0
 *
 * A governor and queries as an embedding host opens them, and what must hold when they are gone. */
#ifndef RATION_TESTS_EXECUTOR_GOVERNOR_WORLD_H
#define RATION_TESTS_EXECUTOR_GOVERNOR_WORLD_H

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/hash.h"
#include "executor/governor.h"
#include "tests/support.h"

#define MIB (INT64_C(1) << 20)

SUPPORT_UNUSED static ration_governor *open_governor_with(const ration_limits *limits)
{
    ration_governor *governor;
    ration_error error;
    support_ok(ration_governor_open(limits, &governor, &error), &error);
    return governor;
}

SUPPORT_UNUSED static ration_governor *open_governor(int64_t limit_bytes, int64_t query_limit_bytes)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = limit_bytes;
    limits.query_limit_bytes = query_limit_bytes;
    limits.check_interval = 100;
    return open_governor_with(&limits);
}

SUPPORT_UNUSED static ration_query *
open_query(ration_governor *governor, const ration_query_options *options, ration_slot **out_slot)
{
    ration_query *query;
    ration_error error;
    support_ok(ration_query_open(governor, options, &query, &error), &error);
    ck_assert_int_eq(ration_query_slot(query, out_slot), RATION_OK);
    return query;
}

SUPPORT_UNUSED static int64_t charged(ration_pool *pool)
{
    ration_pool_figures figures;
    ration_pool_read(pool, &figures);
    return figures.charged_bytes;
}

SUPPORT_UNUSED static void check_audit(ration_governor *governor)
{
    char text[300] = "";
    ck_assert_msg(ration_pool_check(ration_governor_root(governor), text, sizeof text), "%s", text);
}

/* Every query is closed: proves that nothing is left. */
SUPPORT_UNUSED static void close_and_check(ration_governor *governor)
{
    ck_assert_int_eq(charged(ration_governor_queries(governor)), 0);
    ck_assert_int_eq(charged(ration_governor_root(governor)), 0);
    check_audit(governor);
    ration_governor_close(governor);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}

/* `act` is a programmer error: checked builds abort, others count one fault and go on. */
SUPPORT_UNUSED static void expect_fault(void (*act)(void *argument), void *argument)
{
#ifdef RATION_CHECKED
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)close(STDERR_FILENO); /* it says what failed */
        act(argument);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %d", status);
#else
    int64_t before = rn_faults();
    act(argument);
    ck_assert_int_eq(rn_faults(), before + 1);
#endif
}

SUPPORT_UNUSED static pthread_t start(void *(*work)(void *), void *argument)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, work, argument), 0);
    return thread;
}

SUPPORT_UNUSED static void *join(pthread_t thread)
{
    void *result = NULL;
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    return result;
}

/* A number of its own for each test, or RATION_SEED; printed. */
SUPPORT_UNUSED static uint64_t choose_seed(uint64_t usual)
{
    const char *given = getenv("RATION_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : usual;
    printf("seed=%llu\n", (unsigned long long)seed);
    return seed;
}

/* A query that takes 10 MiB into a context and ends. */
SUPPORT_UNUSED static void run_query(ration_governor *governor)
{
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ration_context *context;
    ck_assert_int_eq(ration_context_create(NULL, slot, RATION_CONTEXT_BUMP, "rows", &context),
                     RATION_OK);
    while (ration_context_bytes(context, false) < 10 * MIB) {
        ck_assert_ptr_nonnull(ration_context_allocate(context, 10000));
    }
    ration_context_delete(context);
    ration_query_close(query);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Defects of NebulaGraph's scoped guards (v3.8.0, src/common/memory and src/graph/context), one
 * test each, named after the defect: what follows from a guard that is a flag of the thread, from a
 * row check that looks at the machine, and from one budget for the process. */
#include "tests/executor/governor_world.h"

#define KIB INT64_C(1024)

/* MemoryTracker.h: the throw clears the thread's flag, and until the scope ends nothing is refused
 * any more: of 640 asks for 1 MiB under 64 MiB, one was refused and 639 were granted. */
START_TEST(test_defect__guard_disarmed_after_the_first_refusal)
{
    ration_governor *governor = open_governor(64 * MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    int64_t granted = 0, refused = 0;
    RATION_GUARD(outer, slot, "outer");
    for (int i = 0; i < 640; i++) {
        if (i % 100 == 99) { /* nor does another guard that ends on the thread disarm it */
            RATION_GUARD(inner, slot, "inner");
            ck_assert_int_eq(ration_guard_row(&inner, 64 * MIB), RATION_GLOBAL_LIMIT);
        }
        ration_status status = ration_guard_row(&outer, MIB);
        ck_assert(status == RATION_OK || status == RATION_GLOBAL_LIMIT);
        granted += status == RATION_OK;
        refused += status != RATION_OK;
    }
    ck_assert_int_eq(granted, 64);
    ck_assert_int_eq(refused, 576);
    ck_assert_int_eq(charged(ration_query_pool(query)), 64 * MIB);
    ration_guard_end(&outer);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

#define CONTINUATIONS 40

/* A query whose continuations each run on whatever thread there is. */
typedef struct work {
    ration_slot *slot;
    ration_guard guard;
    int64_t granted, refused;
} work;

static void *carry_on(void *argument)
{
    work *self = (work *)argument;
    ration_slot_attach(self->slot);
    for (int i = 0; i < 100; i++) {
        ration_status status = ration_guard_row(&self->guard, KIB);
        self->granted += status == RATION_OK;
        self->refused += status == RATION_QUERY_LIMIT;
    }
    ration_slot_detach(self->slot);
    return NULL;
}

/* Five executors (pull requests 5621, 5676, 5677 of vesoft-inc/nebula among others) had no guard in
 * a continuation that ran on another thread, and queries were killed by the system under half the
 * machine's memory (5615, 5727). Two queries take turns on each of 40 threads. */
START_TEST(test_defect__forgotten_continuation_has_no_guard)
{
    ration_governor *governor = open_governor(64 * MIB, MIB);
    work works[2] = {{.granted = 0}, {.granted = 0}};
    ration_query *queries[2];
    for (int i = 0; i < 2; i++) {
        queries[i] = open_query(governor, NULL, &works[i].slot);
        ration_guard_begin(&works[i].guard, works[i].slot, "continued");
        ration_slot_detach(works[i].slot);
    }
    for (int turn = 0; turn < CONTINUATIONS; turn++) {
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            threads[i] = start(carry_on, &works[(turn + i) % 2]);
        }
        for (int i = 0; i < 2; i++) {
            (void)join(threads[i]);
            ck_assert_int_le(charged(ration_query_pool(queries[i])), MIB);
        }
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(works[i].granted, 1024);
        ck_assert_int_eq(works[i].refused, 100 * CONTINUATIONS - 1024);
        ck_assert_int_eq(works[i].guard.held_bytes, MIB);
        ration_slot_attach(works[i].slot);
        ration_guard_end(&works[i].guard);
        ck_assert_int_eq(charged(ration_query_pool(queries[i])), 0);
        ration_query_close(queries[i]);
    }
    close_and_check(governor);
}
END_TEST

/* Iterator.cpp, hitsSysMemoryHighWatermark: every 1,024 rows it reads one flag, up to a second
 * old, about the machine's memory; what the query has is not looked at. With all the machine free
 * and an interval as long, each row is compared with the query's budget. */
START_TEST(test_defect__row_check_looks_past_the_budget_of_the_query)
{
    static const int64_t widths[] = {1, 1000, 100 * KIB, 10 * MIB, 200 * MIB};
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = INT64_C(1) << 50;
    limits.check_interval = 1024;
    limits.check_bytes = 64 * MIB;
    ration_governor *governor = open_governor_with(&limits);
    for (size_t i = 0; i < RN_COUNT(widths); i++) {
        ration_slot *slot;
        ration_query_options options = {.size = sizeof options, .limit_bytes = 64 * MIB};
        options.limit_bytes = RN_MIN(options.limit_bytes, 1000 * widths[i] + 7);
        ration_query *query = open_query(governor, &options, &slot);
        RATION_GUARD(guard, slot, "rows");
        int64_t rows = options.limit_bytes / widths[i]; /* fewer than an interval; also none */
        for (int64_t row = 0; row < rows; row++) {
            ck_assert_int_eq(ration_guard_row(&guard, widths[i]), RATION_OK);
        }
        int64_t rest = options.limit_bytes - rows * widths[i];
        ck_assert_int_eq(ration_guard_row(&guard, rest + 1), RATION_QUERY_LIMIT);
        ck_assert_int_eq(charged(ration_query_pool(query)), rows * widths[i]);
        ck_assert_int_eq(ration_guard_row(&guard, rest), RATION_OK);
        ration_refusal refusal;
        ck_assert(ration_query_refusal(query, &refusal)); /* and not "(-2600)" alone */
        ck_assert_int_eq(refusal.limit_bytes, options.limit_bytes);
        ck_assert_int_eq(refusal.charged_bytes, rows * widths[i]);
        ck_assert_int_eq(refusal.asked_bytes, rest + 1);
        ck_assert_str_eq(refusal.site, "rows");
        ration_guard_end(&guard);
        ration_query_close(query);
    }
    close_and_check(governor);
}
END_TEST

/* One host of several governors, with a slot of each. */
typedef struct tenant {
    ration_slot *slots[3];
    int64_t granted[3], wrong;
} tenant;

static const int64_t tenant_limits[3] = {64 * KIB, 1024 * KIB, 320 * KIB};

static void *use_all(void *argument)
{
    tenant *self = (tenant *)argument;
    for (int i = 0; i < 3; i++) { /* the first is full before the second begins */
        ration_status status;
        while ((status = ration_slot_try_charge(self->slots[i], 100)) == RATION_OK) {
            self->granted[i] += 100;
        }
        self->wrong += status != RATION_GLOBAL_LIMIT;
    }
    return NULL;
}

/* MemoryStats is one object per process: no query, no session, no second store has a limit of its
 * own. Here governors live side by side, and threads are in all of them. */
START_TEST(test_defect__one_budget_for_the_process)
{
    ration_governor *governors[3];
    ration_query *queries[3];
    tenant tenants[4] = {{.wrong = 0}};
    pthread_t threads[4];
    for (int i = 0; i < 3; i++) {
        governors[i] = open_governor(tenant_limits[i], 0);
        queries[i] = open_query(governors[i], NULL, &tenants[0].slots[i]);
        for (int j = 1; j < 4; j++) {
            ck_assert_int_eq(ration_query_slot(queries[i], &tenants[j].slots[i]), RATION_OK);
        }
    }
    for (int j = 0; j < 4; j++) {
        threads[j] = start(use_all, &tenants[j]);
    }
    for (int j = 0; j < 4; j++) {
        (void)join(threads[j]);
        ck_assert_int_eq(tenants[j].wrong, 0);
    }
    for (int i = 0; i < 3; i++) {
        int64_t granted = 0;
        for (int j = 0; j < 4; j++) {
            granted += tenants[j].granted[i];
        }
        ck_assert_int_eq(granted, tenant_limits[i] / 100 * 100);
        ck_assert_int_eq(charged(ration_governor_root(governors[i])), granted);
    }
    ck_assert_int_eq(ration_governor_set_limit(governors[0], 2 * MIB), RATION_OK);
    ck_assert_int_eq(ration_slot_try_charge(tenants[0].slots[0], MIB), RATION_OK);
    for (int i = 1; i < 3; i++) {
        ck_assert_int_eq(ration_slot_try_charge(tenants[0].slots[i], 100), RATION_GLOBAL_LIMIT);
    }
    for (int i = 0; i < 3; i++) { /* the last one proves that nothing is left at all */
        ration_query_close(queries[i]);
        ck_assert_int_eq(charged(ration_governor_root(governors[i])), 0);
        check_audit(governors[i]);
        if (i < 2) {
            ration_governor_close(governors[i]);
        }
    }
    close_and_check(governors[2]);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *const tests[] = {
        test_defect__guard_disarmed_after_the_first_refusal,
        test_defect__forgotten_continuation_has_no_guard,
        test_defect__row_check_looks_past_the_budget_of_the_query,
        test_defect__one_budget_for_the_process,
    };
    return support_run("defects", tests, RN_COUNT(tests));
}

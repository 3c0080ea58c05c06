/* SPDX-License-Identifier: Apache-2.0
 *
 * The adversarial matrix of tests/memory/test_matrix.c with credit that guards left behind: idle
 * threads hold 64 bytes each in a guard that is open, and their slots the credit of guards that
 * have ended; one guard's row of exactly limit - charged is granted, every time, and one byte more
 * refused, every time, with a refusal that tells the truth. */
#include "executor/governor.h"
#include "tests/memory/racing.h"
#include "tests/support.h"

#define LIMIT (64 * MIB)
#define HELD 64
#define ROUNDS 3
#define QUERY_SLOTS 60 /* of the idle threads; below the 64 a query has */
#define IDLE_MAX 1023

static const int counts[] = {0, 1, 8, 32, 63, 64, 128, IDLE_MAX};

typedef struct matrix {
    ration_governor *governor;
    ration_query *queries[IDLE_MAX / QUERY_SLOTS + 1];
    ration_query *own; /* the asker's */
    ration_slot *asker;
    crowd idle;
} matrix;

static ration_guard guards[IDLE_MAX]; /* open ones, one per member */

static void hold_some(member *self)
{
    ration_guard *guard = &guards[self->index];
    ration_guard_begin(guard, &self->slot->hot, "idle");
    for (int i = 0; i < HELD / 8; i++) {
        if (ration_guard_row(guard, 8) != RATION_OK) {
            ck_abort_msg("member %d got no row", self->index);
        }
    }
}

/* Leaves the slot with all the credit that the end of a guard lets it keep. */
static void fill_with_credit(member *self)
{
    RATION_GUARD(guard, &self->slot->hot, "filling");
    for (int64_t bytes = 4 * MIB; bytes >= 4 * KIB; bytes /= 2) {
        if (ration_guard_row(&guard, bytes) == RATION_OK) {
            return;
        }
    }
}

static void end_guard(member *self)
{
    ration_guard_end(&guards[self->index]);
}

static ration_query *open_query(ration_governor *governor, int64_t limit_bytes)
{
    ration_query_options options = {.size = sizeof options, .limit_bytes = limit_bytes};
    ration_query *query;
    ration_error error;
    support_ok(ration_query_open(governor, &options, &query, &error), &error);
    return query;
}

static ration_slot *open_query_slot(ration_query *query)
{
    ration_slot *slot;
    ck_assert_int_eq(ration_query_slot(query, &slot), RATION_OK);
    return slot;
}

/* With `limit_bytes` all idle threads work for the asker's query, which has that limit. */
static void matrix_open(matrix *made, int count, int64_t limit_bytes)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = limit_bytes == 0 ? LIMIT : 16 * LIMIT;
    limits.chunk_bytes_max = MIB;
    ration_error error;
    support_ok(ration_governor_open(&limits, &made->governor, &error), &error);
    made->own = open_query(made->governor, limit_bytes);
    made->asker = open_query_slot(made->own);
    crowd_open(&made->idle, count);
    for (int i = 0; i < count; i++) {
        if (limit_bytes == 0 && i % QUERY_SLOTS == 0) {
            made->queries[i / QUERY_SLOTS] = open_query(made->governor, 0);
        }
        ration_query *query = limit_bytes == 0 ? made->queries[i / QUERY_SLOTS] : made->own;
        made->idle.members[i].slot = rn_slot_of(open_query_slot(query));
    }
    crowd_round(&made->idle, hold_some);
}

static void matrix_close(matrix *made)
{
    crowd_round(&made->idle, end_guard);
    crowd_close(&made->idle);
    for (size_t i = 0; i < RN_COUNT(made->queries) && made->queries[i] != NULL; i++) {
        ration_query_close(made->queries[i]);
    }
    ration_query_close(made->own);
    char text[200] = "";
    ration_pool *root = ration_governor_root(made->governor);
    ck_assert_msg(ration_pool_check(root, text, sizeof text), "%s", text);
    ck_assert_int_eq(read_pool(root).granted_bytes, 0);
    ration_governor_close(made->governor);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}

static void expect_refusal(const matrix *in, ration_guard *guard, int64_t bytes, int64_t charged,
                           ration_status status)
{
    int64_t held = guard->held_bytes;
    ck_assert_int_eq(ration_guard_row(guard, bytes), status);
    ck_assert_int_eq(guard->held_bytes, held);
    ration_refusal refusal;
    ck_assert(ration_query_refusal(in->own, &refusal));
    ck_assert_int_eq(refusal.status, status);
    ck_assert_int_eq(refusal.asked_bytes, bytes);
    ck_assert_int_eq(refusal.charged_bytes, charged);
    ck_assert_int_eq(refusal.limit_bytes, LIMIT);
    ck_assert_str_eq(refusal.site, guard->site);
}

static void expect_exact_fit(const matrix *in, bool ask_for_more_first, ration_status status)
{
    int64_t charged = HELD * in->idle.count;
    for (int i = 0; i < 2; i++) {
        RATION_GUARD(guard, in->asker, "asking");
        if (ask_for_more_first) {
            expect_refusal(in, &guard, LIMIT - charged + 1, charged, status);
        }
        ck_assert_int_eq(ration_guard_row(&guard, LIMIT - charged), RATION_OK);
        expect_refusal(in, &guard, 1, LIMIT, status);
        ask_for_more_first = !ask_for_more_first;
    }
}

static void run_matrix(int count, int64_t query_limit_bytes, ration_status status)
{
    matrix made = {.own = NULL};
    matrix_open(&made, count, query_limit_bytes);
    for (int round = 0; round < ROUNDS; round++) {
        crowd_round(&made.idle, fill_with_credit);
        ck_assert_int_ge(read_pool(ration_governor_queries(made.governor)).credit_bytes, count);
        expect_exact_fit(&made, round % 2 == 0, status);
    }
    matrix_close(&made);
}

START_TEST(test_matrix_guards__credit_never_refuses)
{
    support_skip_hard("slots take exact bytes, there is no credit");
    run_matrix(takes_turns() ? RN_MIN(counts[_i], 128) : counts[_i], 0, RATION_GLOBAL_LIMIT);
}
END_TEST

START_TEST(test_matrix_guards__credit_of_its_own_query_never_refuses)
{
    support_skip_hard("slots take exact bytes, there is no credit");
    run_matrix(RN_MIN(counts[_i], QUERY_SLOTS), LIMIT, RATION_QUERY_LIMIT);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *tests = tcase_create("matrix of guards");
    tcase_add_loop_test(tests, test_matrix_guards__credit_never_refuses, 0, RN_COUNT(counts));
    tcase_add_loop_test(tests, test_matrix_guards__credit_of_its_own_query_never_refuses, 0, 5);
    tcase_set_timeout(tests, 300);
    Suite *suite = suite_create("executor/matrix of guards");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

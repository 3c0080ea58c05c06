/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks for false refusals of guards, as tests/memory/test_refusal.c does for slots: workers of
 * several queries race, none asks for a row that its tokens (tests/memory/tokens.h) do not cover,
 * so every row must be granted; the exact rest of a query or of the governor is asked for as often
 * as anything. */
#include "tests/executor/governor_world.h"
#include "tests/memory/tokens.h"

#define LIMIT MIB
#define QUERY_LIMIT (640 * 1024)
#define GUARDS 4

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || defined(RATION_CHECKED)
#define ROWS 20000
#else
#define ROWS 500000
#endif

typedef struct worker {
    tokens left;
    ration_slot *slot;
    uint64_t seed;
    int64_t rows, refused, granted;
} worker;

/* Rows for any of its guards, which end in any order. */
static void *pass_rows(void *argument)
{
    worker *self = (worker *)argument;
    ration_guard guards[GUARDS];
    for (int i = 0; i < GUARDS; i++) {
        ration_guard_begin(&guards[i], self->slot, "racing");
    }
    for (int64_t i = 0; i < self->rows; i++) {
        ration_guard *guard = &guards[rn_random_below(&self->seed, GUARDS)];
        int64_t bytes = tokens_choose(&self->left, &self->seed);
        if (rn_random_below(&self->seed, 3) == 0) {
            int64_t held = guard->held_bytes;
            ration_guard_end(guard);
            tokens_give(&self->left, NULL, held);
            ration_guard_begin(guard, self->slot, "racing again");
        } else if (tokens_take(&self->left, bytes)) {
            bool granted = ration_guard_row(guard, bytes) == RATION_OK;
            self->granted += granted;
            self->refused += !granted;
            if (!granted) {
                tokens_give(&self->left, NULL, bytes);
            }
        }
    }
    for (int i = 0; i < GUARDS; i++) {
        int64_t held = guards[i].held_bytes;
        ration_guard_end(&guards[i]);
        tokens_give(&self->left, NULL, held);
    }
    return NULL;
}

START_TEST(test_refusal_guards__none_while_tokens_last)
{
    enum { WORKERS = 3 };
    bool takes_turns = getenv("CK_TIMEOUT_MULTIPLIER") != NULL; /* under valgrind */
    ration_governor *governor = open_governor(LIMIT, QUERY_LIMIT);
    int64_t root = LIMIT, first = QUERY_LIMIT, second = QUERY_LIMIT;
    worker workers[WORKERS] = {
        {.left = {{&first, &root}}}, {.left = {{&first, &root}}}, {.left = {{&second, &root}}}};
    ration_query *queries[2] = {open_query(governor, NULL, &workers[0].slot),
                                open_query(governor, NULL, &workers[2].slot)};
    ck_assert_int_eq(ration_query_slot(queries[0], &workers[1].slot), RATION_OK);
    pthread_t threads[WORKERS];
    uint64_t seed = choose_seed(1);
    for (int i = 0; i < WORKERS; i++) {
        workers[i].seed = seed * 1000 + (uint64_t)i;
        workers[i].rows = takes_turns ? ROWS / 200 : ROWS;
        threads[i] = start(pass_rows, &workers[i]);
    }
    for (int i = 0; i < WORKERS; i++) {
        (void)join(threads[i]);
        ck_assert_int_gt(workers[i].granted, 0);
        ck_assert_int_eq(workers[i].refused, 0);
    }
    ck_assert_int_eq(charged(ration_governor_root(governor)), 0);
    ration_query_close(queries[0]);
    ration_query_close(queries[1]);
    close_and_check(governor);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *tests[] = {test_refusal_guards__none_while_tokens_last};
    return support_run("executor/refusal of guards", tests, RN_COUNT(tests));
}

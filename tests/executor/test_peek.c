/* SPDX-License-Identifier: Apache-2.0
 *
 * ration_query_peek: the contexts of all slots of a query, read by another thread while their
 * owners work, slots come and go, and the query's limit is hit. One slot in depth:
 * tests/memory/test_peek.c. */
#include "tests/executor/governor_world.h"

#define WORKERS 4
#define EACH 6 /* contexts of a worker, at most */

static ration_context *create(ration_context *parent, ration_slot *slot)
{
    ration_context *context = NULL;
    if (ration_context_create(parent, slot, RATION_CONTEXT_SET, "node", &context) != RATION_OK) {
        return NULL;
    }
    return context;
}

START_TEST(test_peek__all_slots_of_a_query)
{
    ration_governor *governor = open_governor(64 * MIB, 0);
    ration_slot *slots[64];
    ration_context *contexts[64];
    ration_query *query = open_query(governor, NULL, &slots[0]);
    ck_assert_uint_eq(ration_query_peek(query, NULL, 0), 0);
    for (int i = 1; i < 64; i++) {
        ck_assert_int_eq(ration_query_slot(query, &slots[i]), RATION_OK);
    }
    for (int i = 0; i < 64; i++) {
        contexts[i] = create(NULL, slots[i]);
        ck_assert_ptr_nonnull(create(contexts[i], slots[i]));
    }
    ration_context_figures figures[128];
    memset(figures, 0x55, sizeof(figures));
    ck_assert_uint_eq(ration_query_peek(query, NULL, 0), 128);
    ck_assert_uint_eq(ration_query_peek(query, figures, 5), 128);
    ck_assert_int_eq(figures[4].depth, 0);
    ck_assert_int_eq(figures[5].depth, 0x55555555);
    ck_assert_uint_eq(ration_query_peek(query, figures, 128), 128);
    int64_t sum = 0;
    for (int i = 0; i < 128; i++) {
        ck_assert_int_eq(figures[i].depth, i % 2);
        ck_assert_int_eq(figures[i].below, 1 - i % 2);
        sum += figures[i].bytes;
    }
    ck_assert_int_eq(sum, charged(ration_governor_queries(governor)));
    for (int i = 0; i < 64; i++) {
        ration_context_delete(contexts[i]);
    }
    ck_assert_uint_eq(ration_query_peek(query, figures, 128), 0);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

typedef struct worker {
    ration_query *query;
    const int64_t *stop;
    int64_t rounds; /* atomic */
    int64_t refused;
} worker;

/* A chain of contexts that grows and goes, in a slot that comes and goes. */
static void *work(void *argument)
{
    worker *self = (worker *)argument;
    while (rn_load(self->stop) == 0) {
        ration_slot *slot;
        if (ration_query_slot(self->query, &slot) != RATION_OK) {
            self->refused += 1;
            continue;
        }
        for (int round = 0; round < 20; round++) {
            ration_context *top = create(NULL, slot), *at = top;
            for (int i = 1; i < EACH && at != NULL; i++) {
                at = create(at, slot);
                if (at == NULL || ration_context_allocate(at, 20000) == NULL) {
                    self->refused += 1;
                }
            }
            ration_context_delete(top);
        }
        ration_query_return_slot(slot);
        (void)rn_fetch_add(&self->rounds, 1);
    }
    return NULL;
}

START_TEST(test_peek__while_slots_come_and_go)
{
    ration_governor *governor = open_governor(MIB, 0); /* tight: some are refused */
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    worker workers[WORKERS];
    pthread_t threads[WORKERS];
    int64_t stop = 0, seen = 0;
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (worker){.query = query, .stop = &stop};
        threads[i] = start(work, &workers[i]);
    }
    ration_context_figures figures[WORKERS * EACH];
    int wrong = 0;
    for (int i = 0; i < 2000 || seen == 0; i++) {
        size_t count = ration_query_peek(query, figures, WORKERS * EACH);
        wrong += count > WORKERS * EACH;
        for (size_t at = 0; at < count && wrong == 0; at++) {
            bool leaf = at + 1 == count || figures[at + 1].depth == 0;
            int64_t below = leaf ? 0 : figures[at + 1].below + 1;
            int64_t below_bytes = leaf ? 0 : figures[at + 1].below_bytes + figures[at + 1].bytes;
            wrong += figures[at].below != below || figures[at].below_bytes != below_bytes;
            wrong += strcmp(figures[at].name, "node") != 0;
            wrong += !leaf && figures[at + 1].depth != figures[at].depth + 1;
        }
        ck_assert_int_eq(wrong, 0);
        seen += (int64_t)count;
        if (i % 64 == 0) {
            ck_assert_int_eq(ration_governor_set_limit(governor, i % 128 == 0 ? MIB : MIB / 2),
                             RATION_OK);
        }
    }
    rn_store(&stop, 1);
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    ck_assert_uint_eq(ration_query_peek(query, NULL, 0), 0);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *const tests[] = {
        test_peek__all_slots_of_a_query,
        test_peek__while_slots_come_and_go,
    };
    return support_run("peek", tests, RN_COUNT(tests));
}

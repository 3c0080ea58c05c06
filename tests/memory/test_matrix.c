/* SPDX-License-Identifier: Apache-2.0
 *
 * The adversarial matrix: however many idle threads hold credit, whoever asks for exactly limit -
 * charged gets it, every time, and one byte more is refused, every time. Real threads, each with a
 * slot of its own, 64 bytes of use and as much credit as a slot can keep; both orderings; the limit
 * at the root, at the group or at the query; and the same with retained pages beside credit.
 * Guards: tests/executor/test_matrix_guards.c. */
#include "tests/memory/racing.h"

#define HELD 64
#define ROUNDS 3

static const int counts[] = {0, 1, 8, 32, 63, 64, 128, 1023};

/* valgrind knows 500 threads. */
static int member_count(size_t index)
{
    return takes_turns() ? RN_MIN(counts[index], 128) : counts[index];
}

/* Where the limit is. */
enum level { AT_ROOT, AT_GROUP, AT_QUERY, LEVELS };

typedef struct matrix {
    fixture world;
    ration_pool *top; /* whose limit it is */
    int64_t limit;
    ration_pool *deeper; /* below the first query */
    rn_slot *asker;
    crowd idle;
} matrix;

static void hold_some(member *self)
{
    if (charge(self->slot, HELD) != RATION_OK) {
        ck_abort_msg("member %d got no %d bytes", self->index, HELD);
    }
}

/* Leaves the slot with all the credit that a release lets it keep. */
static void fill_with_credit(member *self)
{
    for (int64_t bytes = 4 * MIB; bytes >= 4 * KIB; bytes /= 2) {
        if (charge(self->slot, bytes) == RATION_OK) {
            release(self->slot, bytes);
            return;
        }
    }
}

static void acquire_block(member *self)
{
    if (rn_block_acquire(self->slot, RN_BLOCK_BYTES, &self->block) != RATION_OK) {
        ck_abort_msg("member %d got no block", self->index);
    }
}

static void release_block(member *self)
{
    rn_block_release(self->slot, self->block, RN_BLOCK_BYTES);
}

/* Blocks of every size, as many as shelves take; in a large crowd of the smallest size only. */
static void fill_shelves(member *self)
{
    enum { EACH = 4 };
    void *blocks[4][EACH];
    int sizes = self->of->count > 32 ? 1 : 4;
    for (int i = 0; i < sizes * EACH; i++) {
        if (rn_block_acquire(self->slot, RN_BLOCK_BYTES_MIN << i / EACH,
                             &blocks[i / EACH][i % EACH]) != RATION_OK) {
            ck_abort_msg("member %d got no block", self->index);
        }
    }
    for (int i = 0; i < sizes * EACH; i++) {
        rn_block_release(self->slot, blocks[i / EACH][i % EACH], RN_BLOCK_BYTES_MIN << i / EACH);
    }
}

static void give_back(member *self)
{
    release(self->slot, HELD);
    rn_slot_close(self->slot);
}

static void matrix_open(matrix *made, enum level level, int64_t limit, int count, bool seq_cst)
{
    made->world = fixture_open(INT64_MAX, INT64_MAX, MIB, seq_cst);
    const fixture *world = &made->world;
    ration_pool *tops[LEVELS] = {world->root, world->queries, world->first};
    made->limit = limit;
    made->top = tops[level];
    rn_pool_set_limit(made->top, limit);
    ck_assert_int_eq(rn_pool_open(world->ledger, world->first, "deeper", INT64_MAX,
                                  RATION_QUERY_LIMIT, NULL, &made->deeper),
                     RATION_OK);
    ration_pool *places[] = {level == AT_QUERY ? world->first : world->second, world->first,
                             made->deeper};
    made->asker = open_slot(places[0]);
    crowd_open(&made->idle, count);
    for (int i = 0; i < count; i++) {
        made->idle.members[i].slot = open_slot(places[i % 3]);
    }
    crowd_round(&made->idle, hold_some);
}

static void matrix_close(matrix *made)
{
    crowd_round(&made->idle, give_back);
    crowd_close(&made->idle);
    rn_slot_close(made->asker);
    rn_pool_close(made->deeper);
    fixture_close(&made->world);
}

/* Refused by the right pool, with figures that are true at that instant. */
static void expect_refusal(const matrix *in, int64_t bytes, int64_t charged)
{
    static const ration_status statuses[] = {RATION_GLOBAL_LIMIT, RATION_GROUP_LIMIT,
                                             RATION_QUERY_LIMIT};
    ration_pool *tops[] = {in->world.root, in->world.queries, in->world.first};
    ration_status status = charge(in->asker, bytes);
    for (size_t i = 0; i < RN_COUNT(tops); i++) {
        ck_assert(in->top != tops[i] || status == statuses[i]);
    }
    rn_no no;
    ck_assert(rn_slot_refusal(in->asker, &no));
    ck_assert_ptr_eq(no.pool, in->top);
    ck_assert_int_eq(no.asked_bytes, bytes);
    ck_assert_int_eq(no.charged_bytes, charged);
    ck_assert_int_eq(no.limit_bytes, in->limit);
}

static void expect_exact_fit(const matrix *in, bool ask_for_more_first)
{
    int64_t charged = HELD * in->idle.count;
    for (int i = 0; i < 2; i++) {
        if (ask_for_more_first) {
            expect_refusal(in, in->limit - charged + 1, charged);
        }
        ck_assert_int_eq(charge(in->asker, in->limit - charged), RATION_OK);
        expect_refusal(in, 1, in->limit);
        release(in->asker, in->limit - charged);
        ask_for_more_first = !ask_for_more_first;
    }
    check_audit(&in->world);
}

static void run_matrix(enum level level, int64_t limit_per_member, bool seq_cst)
{
    for (size_t n = 0; n < RN_COUNT(counts); n++) {
        int count = member_count(n);
        int64_t limit = limit_per_member == 0 ? 64 * MIB : (count + 1) * limit_per_member;
        matrix made;
        matrix_open(&made, level, limit, count, seq_cst);
        for (int round = 0; round < ROUNDS; round++) {
            crowd_round(&made.idle, fill_with_credit);
            int64_t credit = read_pool(made.top).credit_bytes;
            ck_assert_int_ge(credit, limit_per_member == 0 ? count : count * MIB);
            expect_exact_fit(&made, round % 2 == 0);
        }
        matrix_close(&made);
    }
}

/* Room for everybody to keep as much credit as a slot can. */
START_TEST(test_matrix__full_credit_never_refuses)
{
    run_matrix((enum level)(_i / 2), 8 * MIB, _i % 2 != 0);
}
END_TEST

/* 64 MiB for all: from 64 threads on, a chunk for each would be more than there is. */
START_TEST(test_matrix__credit_of_a_full_pool_never_refuses)
{
    run_matrix((enum level)(_i / 2), 0, _i % 2 != 0);
}
END_TEST

START_TEST(test_matrix__retained_pages_never_refuse)
{
    for (size_t n = 0; n < RN_COUNT(counts); n++) {
        int count = member_count(n);
        matrix made;
        matrix_open(&made, AT_ROOT, 128 * MIB, count, _i != 0);
        for (int round = 0; round < ROUNDS; round++) {
            crowd_round(&made.idle, acquire_block); /* all at the same time .. */
            crowd_round(&made.idle, release_block);
            ration_pool_figures figures = read_pool(made.world.root);
            ck_assert_int_eq(figures.retained_bytes, count * RN_BLOCK_BYTES); /* .. so all remain */
            ck_assert_int_eq(figures.charged_bytes, HELD * count);
            if (round > 0) {
                crowd_round(&made.idle, fill_with_credit); /* which may take some of them */
            }
            expect_exact_fit(&made, round % 2 == 0);
            ck_assert_int_eq(read_pool(made.world.root).retained_bytes, 0);
        }
        matrix_close(&made);
    }
}
END_TEST

/* Everybody has idle blocks on its shelves: they are taken without them. */
START_TEST(test_matrix__blocks_on_shelves_never_refuse)
{
    for (size_t n = 0; n < RN_COUNT(counts); n++) {
        int count = member_count(n);
        matrix made;
        matrix_open(&made, (enum level)(_i / 2), 256 * MIB, count, _i % 2 != 0);
        int rounds = count > 128 ? 1 : ROUNDS;
        for (int round = 0; round < rounds; round++) {
            crowd_round(&made.idle, fill_shelves);
            int64_t least = count > 32 ? 4 * RN_BLOCK_BYTES_MIN : 60 * RN_BLOCK_BYTES_MIN;
            int64_t shelved = 0;
            for (int i = 0; i < count; i++) {
                shelved += rn_slot_shelved(made.idle.members[i].slot);
            }
            ck_assert_int_eq(shelved, count * least);
            ck_assert_int_ge(read_pool(made.top).retained_bytes, shelved);
            ck_assert_int_eq(read_pool(made.top).charged_bytes, HELD * count);
            expect_exact_fit(&made, round % 2 == 0);
            ck_assert_int_eq(rn_blocks_mapped(made.world.blocks),
                             read_pool(made.world.root).retained_bytes);
            (void)rn_pool_recall(made.world.root);
            crowd_round(&made.idle, fill_with_credit); /* with a chunk each, shelves are open */
        }
        matrix_close(&made);
    }
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *tests = tcase_create("matrix");
    tcase_add_loop_test(tests, test_matrix__full_credit_never_refuses, 0, 2 * LEVELS);
    tcase_add_loop_test(tests, test_matrix__credit_of_a_full_pool_never_refuses, 0, 2 * LEVELS);
    tcase_add_loop_test(tests, test_matrix__retained_pages_never_refuse, 0, 2);
    tcase_add_loop_test(tests, test_matrix__blocks_on_shelves_never_refuse, 0, 2);
    tcase_add_loop_test(tests, test_matrix__blocks_on_shelves_never_refuse, 2 * AT_QUERY,
                        2 * LEVELS);
    tcase_set_timeout(tests, 300);
    Suite *suite = suite_create("memory/matrix");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

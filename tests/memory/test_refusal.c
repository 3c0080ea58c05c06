/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks for false refusals: cases where the others provably hold at most X at every instant, so
 * that whoever asks for what is left must get it every time, however the threads race. Both
 * orderings; counts decide, never time.
 *
 *   - a giant that is always refused (mistake: publishing before the first comparison);
 *   - bytes that pass from slot to slot (mistake: adding up slots that are open);
 *   - slots that release while a recall reads them (mistakes: `floor` stored after `used` was read,
 *     or loaded by a release before its own store);
 *   - bytes that are asked for only after tokens for them were taken, at every pool on the way:
 *     several pools deep, beside claims, and beside a pool where others wait. The same with guards:
 *     tests/executor/test_refusal_guards.c. */
#include "tests/memory/queue_world.h"
#include "tests/memory/racing.h"
#include "tests/memory/tokens.h"

#define ASKS 50000
#define PASSED (4 * KIB)
#define IDLE 200

typedef struct giant {
    rn_slot *slot;
    int64_t running, turns;
    int64_t grants, refusals;
} giant;

static void *ask_for_too_much(void *argument)
{
    giant *self = (giant *)argument;
    while (rn_load(&self->running) > 0) {
        if (charge(self->slot, KIB) == RATION_OK) {
            release(self->slot, KIB); /* and keeps credit, which must not hide behind the giant */
        } else {
            self->refusals += 1;
        }
        /* Not above the limit by itself: the refusal has to be found by a recall. */
        if (charge(self->slot, 4000 * KIB + 1) == RATION_OK) {
            self->grants += 1;
            release(self->slot, 4000 * KIB + 1);
        }
        rn_store(&self->turns, self->turns + 1);
    }
    return NULL;
}

/* Asks for `bytes` `asks` times and gives them back, letting another thread, which counts its
 * `turns`, run on credit again in between; how often they were refused. */
static int64_t count_refusals(rn_slot *slot, int64_t bytes, int64_t asks, const int64_t *turns)
{
    wait_for(turns, 1);
    int64_t refused = 0;
    for (int64_t i = 0; i < asks; i++) {
        int64_t seen = rn_load(turns);
        if (charge(slot, bytes) == RATION_OK) {
            release(slot, bytes);
        } else {
            refused += 1;
        }
        let_move(turns, seen);
    }
    return refused;
}

/* 6000 of 10000 KiB are held for good. A giant asks for more than the rest over and over, never
 * gets it, and holds at most 1 KiB: so whoever asks for the other 3999 must get them every time,
 * and so must the giant its one. */
START_TEST(test_refusal__of_a_giant_bounces_nobody)
{
    fixture world = fixture_open(10000 * KIB, INT64_MAX, 256 * KIB, _i != 0);
    ck_assert(rn_pool_try_charge(world.first, 6000 * KIB));
    giant other = {.slot = open_slot(world.first), .running = 1};
    rn_slot *slot = open_slot(world.second);
    pthread_t thread = start_thread(ask_for_too_much, &other);
    int64_t refused = count_refusals(slot, 3999 * KIB, scaled(ASKS / 10), &other.turns);
    rn_store(&other.running, 0);
    join_thread(thread);
    ck_assert_int_eq(refused, 0);
    ck_assert_int_eq(other.grants, 0);
    ck_assert_int_eq(other.refusals, 0);
    rn_pool_release(world.first, 6000 * KIB);
    rn_slot_close(other.slot);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

/* A chain of three pools below `above`, the last one first. */
typedef struct chain {
    ration_pool *pools[3];
} chain;

static chain open_chain(const fixture *world, ration_pool *above, int64_t limit_bytes)
{
    chain made;
    for (int i = 2; i >= 0; i--) {
        ck_assert_int_eq(rn_pool_open(world->ledger, above, "step", limit_bytes, RATION_GROUP_LIMIT,
                                      NULL, &made.pools[i]),
                         RATION_OK);
        above = made.pools[i];
    }
    return made;
}

static void close_chain(chain *made)
{
    for (int i = 0; i < 3; i++) {
        rn_pool_close(made->pools[i]);
    }
}

typedef struct passer {
    rn_slot *slots[2];
    int64_t running, turns;
    int64_t refused;
} passer;

static void *pass_bytes(void *argument)
{
    passer *self = (passer *)argument;
    for (int turn = 0; rn_load(&self->running) > 0; turn = 1 - turn) {
        if (charge(self->slots[turn], PASSED) == RATION_OK) {
            release(self->slots[turn], PASSED);
        } else {
            self->refused += 1;
        }
        rn_store(&self->turns, self->turns + 1);
    }
    return NULL;
}

/* A thread holds 4 of 1024 KiB by one of its two slots, then by the other, out of their credit,
 * never by both: 1020 are free at every instant, and another thread must get them. Idle slots
 * between the two make a recall read them far apart; the second lies three pools deeper in every
 * other run. (A recall that leaves slots open is caught here only if it also leaves their floors: a
 * raised floor stops the passing.) */
START_TEST(test_refusal__counts_bytes_on_their_way_once)
{
    fixture world = fixture_open(MIB, INT64_MAX, MIB, _i % 2 != 0);
    chain deep = open_chain(&world, world.first, INT64_MAX);
    rn_slot *idle[IDLE];
    passer passing = {.running = 1};
    passing.slots[0] = open_slot(world.first);
    for (int i = 0; i < IDLE; i++) {
        idle[i] = open_slot(deep.pools[i % 3]);
    }
    passing.slots[1] = open_slot(_i < 2 ? world.first : deep.pools[0]);
    rn_slot *slot = open_slot(world.second);
    pthread_t thread = start_thread(pass_bytes, &passing);
    int64_t refused = count_refusals(slot, MIB - PASSED, scaled(ASKS / 5), &passing.turns);
    rn_store(&passing.running, 0);
    join_thread(thread);
    ck_assert_int_eq(refused, 0);
    ck_assert_int_eq(passing.refused, 0);
    for (int i = 0; i < IDLE; i++) {
        rn_slot_close(idle[i]);
    }
    rn_slot_close(passing.slots[0]);
    rn_slot_close(passing.slots[1]);
    rn_slot_close(slot);
    close_chain(&deep);
    fixture_close(&world);
}
END_TEST

/* ------------------------------------------------------------------ releases against one recall */

#define RELEASING 64

typedef struct releaser {
    rn_slot *slots[RELEASING];
    int64_t rounds;
    int64_t turn; /* odd: the ask is over; even: the round is */
    int64_t done; /* odd: everything is charged; even: everything is released */
    int64_t refused;
} releaser;

/* Returns as soon as a recall touches `slot`, or the ask is over. */
static void wait_for_recall(const releaser *self, const rn_slot *slot, int64_t round)
{
    int64_t limit = rn_load(&slot->hot.limit);
    int64_t floor = rn_load(&slot->hot.floor);
    while (rn_load_acquire(&self->turn) < 2 * round - 1 && rn_load(&slot->hot.limit) == limit &&
           rn_load(&slot->hot.floor) == floor) {
        if (takes_turns()) {
            (void)sched_yield();
        }
    }
}

static void *run_releaser(void *argument)
{
    releaser *self = (releaser *)argument;
    uint64_t seed = 1;
    for (int64_t round = 1; round <= self->rounds; round++) {
        for (int i = 0; i < RELEASING; i++) {
            self->refused += charge(self->slots[i], PASSED) != RATION_OK;
        }
        rn_store_release(&self->done, 2 * round - 1);
        wait_for_recall(self, self->slots[rn_random_below(&seed, RELEASING)], round);
        uint64_t gap = rn_random_below(&seed, 100); /* spreads them across the barrier and after */
        for (int i = 0; i < RELEASING; i++) {
            for (volatile uint64_t spin = gap; spin > 0; spin--) {
            }
            release(self->slots[i], PASSED);
        }
        rn_store_release(&self->done, 2 * round);
        wait_for(&self->turn, 2 * round);
    }
    return NULL;
}

/* An ask that cannot be granted recalls, while each of 64 slots releases all it holds. Then nobody
 * holds a byte and both threads rest: the whole limit must be there, every time. */
START_TEST(test_refusal__leaves_no_credit_behind_a_recall)
{
    fixture world = fixture_open(MIB, INT64_MAX, 16 * KIB, _i != 0);
    releaser other = {.rounds = scaled(1500)};
    for (int i = 0; i < RELEASING; i++) {
        other.slots[i] = open_slot(world.first);
    }
    rn_slot *asker = open_slot(world.second);
    pthread_t thread = start_thread(run_releaser, &other);
    int64_t refused = 0;
    for (int64_t round = 1; round <= other.rounds; round++) {
        wait_for(&other.done, 2 * round - 1);
        if (charge(asker, MIB) == RATION_OK) {
            release(asker, MIB);
        }
        rn_store_release(&other.turn, 2 * round - 1);
        wait_for(&other.done, 2 * round);
        if (charge(asker, MIB) == RATION_OK) {
            release(asker, MIB);
        } else {
            refused += 1;
            for (int i = 0; i < RELEASING; i++) { /* so that the next round can go on */
                ration_slot_release_slow(&other.slots[i]->hot);
            }
        }
        rn_store_release(&other.turn, 2 * round);
    }
    join_thread(thread);
    ck_assert_msg(refused == 0, "%lld of %lld", (long long)refused, (long long)other.rounds);
    ck_assert_int_eq(other.refused, 0);
    rn_slot_close(asker);
    for (int i = 0; i < RELEASING; i++) {
        rn_slot_close(other.slots[i]);
    }
    fixture_close(&world);
}
END_TEST

/* --------------------------------------------------------------------------------------- tokens */

#define HELD 4

/* Asks for what its tokens cover, with either of two slots of one pool. */
typedef struct worker {
    tokens left;
    ration_pool *pool;
    rn_slot *slots[2];
    uint64_t seed;
    int64_t asks, refused, granted;
} worker;

static void *run_worker(void *argument)
{
    worker *self = (worker *)argument;
    int64_t held[HELD] = {0};
    for (int64_t i = 0; i < self->asks; i++) {
        int64_t *place = &held[rn_random_below(&self->seed, HELD)];
        rn_slot *slot = self->slots[rn_random_below(&self->seed, 2)];
        if (*place > 0) {
            release(slot, *place); /* which the other slot may have charged */
            tokens_give(&self->left, NULL, *place);
            *place = 0;
            continue;
        }
        int64_t bytes = tokens_choose(&self->left, &self->seed);
        if (!tokens_take(&self->left, bytes)) {
            continue;
        }
        if (charge(slot, bytes) == RATION_OK) {
            *place = bytes;
            self->granted += 1;
        } else {
            self->refused += 1;
            tokens_give(&self->left, NULL, bytes);
        }
    }
    for (int i = 0; i < HELD; i++) {
        release(self->slots[i % 2], held[i]);
        tokens_give(&self->left, NULL, held[i]);
    }
    return NULL;
}

static pthread_t start_worker(worker *self, uint64_t seed)
{
    self->seed = choose_seed(1) + seed;
    self->asks = scaled(20 * ASKS);
    self->slots[0] = open_slot(self->pool);
    self->slots[1] = open_slot(self->pool);
    return start_thread(run_worker, self);
}

static void finish_worker(worker *self, pthread_t thread)
{
    join_thread(thread);
    ck_assert_int_gt(self->granted, 0);
    ck_assert_msg(self->refused == 0, "worker %llu: %lld refused, %lld granted",
                  (unsigned long long)self->seed, (long long)self->refused,
                  (long long)self->granted);
    rn_slot_close(self->slots[0]);
    rn_slot_close(self->slots[1]);
}

/* Limits at every level; a worker three pools deep, one six pools deep below the same pool, and one
 * in another query. */
START_TEST(test_refusal__none_while_tokens_last)
{
    enum { WORKERS = 3 };
    fixture world = fixture_open(MIB, 640 * KIB, 16 * KIB, _i != 0);
    chain one = open_chain(&world, world.first, 512 * KIB);
    chain two = open_chain(&world, one.pools[2], 256 * KIB);
    int64_t root = MIB, first = 640 * KIB, second = 640 * KIB;
    int64_t upper = 512 * KIB, lower = 256 * KIB;
    worker workers[WORKERS] = {
        {.pool = one.pools[0], .left = {{&upper, &first, &root}}},
        {.pool = two.pools[0], .left = {{&lower, &upper, &first, &root}}},
        {.pool = world.second, .left = {{&second, &root}}},
    };
    pthread_t threads[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        threads[i] = start_worker(&workers[i], (uint64_t)i + 1);
    }
    for (int i = 0; i < WORKERS; i++) {
        finish_worker(&workers[i], threads[i]);
    }
    check_audit(&world);
    close_chain(&two);
    close_chain(&one);
    fixture_close(&world);
}
END_TEST

/* A query that has claimed 256 of 1024 KiB gets them whenever it asks, however much of the rest is
 * in use; the others get the rest; and who claims what tokens cover gets its claim. */
START_TEST(test_refusal__claims_are_always_there)
{
    fixture world = fixture_open(MIB, INT64_MAX, 16 * KIB, _i != 0);
    ration_pool *third;
    rn_no no;
    ck_assert_int_eq(rn_pool_open(world.ledger, world.queries, "third", INT64_MAX,
                                  RATION_QUERY_LIMIT, NULL, &third),
                     RATION_OK);
    ck_assert(rn_pool_try_claim(world.second, 256 * KIB, &no));
    int64_t claimed = 256 * KIB, rest = MIB - 256 * KIB;
    worker claimer = {.pool = world.second, .left = {{&claimed}}};
    worker other = {.pool = world.first, .left = {{&rest}}};
    pthread_t threads[2] = {start_worker(&claimer, 1), start_worker(&other, 2)};
    tokens left = {{&rest}};
    uint64_t seed = 3;
    int64_t refused = 0;
    for (int64_t i = 0; i < scaled(ASKS); i++) {
        int64_t bytes = tokens_choose(&left, &seed);
        if (tokens_take(&left, bytes)) {
            refused += !rn_pool_try_claim(third, bytes, &no);
            ck_assert(rn_pool_try_claim(third, 0, &no));
            tokens_give(&left, NULL, bytes);
        }
    }
    finish_worker(&claimer, threads[0]);
    finish_worker(&other, threads[1]);
    ck_assert_int_eq(refused, 0);
    ck_assert_int_eq(read_pool(world.root).granted_bytes, 256 * KIB);
    ck_assert(rn_pool_try_claim(world.second, 0, &no));
    rn_pool_close(third);
    fixture_close(&world);
}
END_TEST

#define WAITED (300 * KIB)

typedef struct rival {
    rn_slot *slot;
    const int64_t *running;
    int64_t turns;
} rival;

/* Two of these do not fit into their query: one waits while the other holds. */
static void *hold_in_turn(void *argument)
{
    rival *self = (rival *)argument;
    while (rn_load(self->running) != 0) {
        bool charged = ask(self->slot, WAITED);
        while (!charged && rn_ticket_wait(self->slot, INT64_MAX) != RN_TICKET_WAITING) {
            charged = ask(self->slot, WAITED);
        }
        self->turns += 1;
        (void)sched_yield();
        release(self->slot, WAITED);
    }
    return NULL;
}

/* Who waits at a full query is in nobody's way elsewhere: the pool is drained and has a queue, and
 * what the root has left can be had. */
START_TEST(test_refusal__none_beside_a_pool_where_others_wait)
{
    fixture world = fixture_open(MIB, 512 * KIB, 16 * KIB, _i != 0);
    int64_t running = 1;
    rival rivals[2];
    pthread_t threads[2];
    count_givers(world.first, 1); /* so that nobody is told to ask again */
    for (int i = 0; i < 2; i++) {
        rivals[i] = (rival){.slot = open_slot(world.first), .running = &running};
        threads[i] = start_thread(hold_in_turn, &rivals[i]);
    }
    int64_t rest = 512 * KIB;
    worker workers[2] = {{.pool = world.second, .left = {{&rest}}},
                         {.pool = world.second, .left = {{&rest}}}};
    pthread_t working[2] = {start_worker(&workers[0], 1), start_worker(&workers[1], 2)};
    finish_worker(&workers[0], working[0]);
    finish_worker(&workers[1], working[1]);
    rn_store(&running, 0);
    for (int i = 0; i < 2; i++) {
        join_thread(threads[i]);
        ck_assert_int_gt(rivals[i].turns, 0);
        rn_slot_close(rivals[i].slot);
    }
    count_givers(world.first, -1);
    fixture_close(&world);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *both = tcase_create("both orderings");
    tcase_add_loop_test(both, test_refusal__of_a_giant_bounces_nobody, 0, 2);
    tcase_add_loop_test(both, test_refusal__counts_bytes_on_their_way_once, 0, 4);
    tcase_add_loop_test(both, test_refusal__leaves_no_credit_behind_a_recall, 0, 2);
    tcase_add_loop_test(both, test_refusal__none_while_tokens_last, 0, 2);
    tcase_add_loop_test(both, test_refusal__claims_are_always_there, 0, 2);
    tcase_add_loop_test(both, test_refusal__none_beside_a_pool_where_others_wait, 0, 2);
    tcase_set_timeout(both, 300);
    Suite *suite = suite_create("memory/refusal");
    suite_add_tcase(suite, both);
    return run_suite(suite);
}

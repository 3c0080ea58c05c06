/* SPDX-License-Identifier: Apache-2.0
 *
 * A process that forks while its threads charge, recall, cut limits and wait. In the child the lock
 * is free, no slot has credit, the sums hold and charging works; the parent does not notice. At
 * which instants: tests/points/test_fork.c; here it is often, at any. Both orderings (_i). */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/memory/threads.h"

#define LIMIT MIB
#define CREW 4
#define HELD_MOST (128 * KIB) /* of each */

typedef struct worker {
    rn_slot *slot;
    uint64_t seed;
    const int64_t *stop;
    int64_t rounds; /* atomic */
    int64_t held, refused, wrong;
} worker;

typedef struct scene {
    fixture world;
    rn_slot *own; /* of the thread that forks */
    worker workers[CREW];
    pthread_t threads[CREW + 1];
    int64_t stop;
    bool cuts;
    int *verdict; /* of the child, in memory it shares: valgrind has a say in exit codes */
} scene;

static void *charge_and_release(void *argument)
{
    worker *self = (worker *)argument;
    while (rn_load(self->stop) == 0) {
        int64_t bytes = pick(&self->seed, 16 * KIB);
        if (self->held + bytes > HELD_MOST) {
            release(self->slot, self->held);
            self->held = 0;
        } else if (charge(self->slot, bytes) == RATION_OK) {
            self->held += bytes;
        } else {
            self->refused += 1;
        }
        self->wrong += rn_slot_used(self->slot) != self->held;
        (void)rn_fetch_add(&self->rounds, 1);
        if (takes_turns() || self->rounds % 32 == 0) {
            (void)sched_yield();
        }
    }
    return NULL;
}

/* The lock is taken often and for long. */
static void *recall_and_cut(void *argument)
{
    scene *self = (scene *)argument;
    for (int64_t i = 0; rn_load(&self->stop) == 0; i++) {
        (void)rn_pool_recall(self->world.root);
        if (self->cuts) {
            rn_pool_set_limit(self->world.queries, i % 2 == 0 ? 16 * KIB : INT64_MAX);
        }
        (void)sched_yield();
    }
    rn_pool_set_limit(self->world.queries, INT64_MAX);
    return NULL;
}

static void set_stage(scene *stage, bool seq_cst, bool cuts, uint64_t seed)
{
    *stage = (scene){.world = fixture_open(LIMIT, INT64_MAX, 16 * KIB, seq_cst), .cuts = cuts};
    stage->own = open_slot(stage->world.second);
    void *shared = mmap(NULL, sizeof(*stage->verdict), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(shared != MAP_FAILED);
    stage->verdict = (int *)shared;
    for (int i = 0; i < CREW; i++) {
        stage->workers[i] =
            (worker){.slot = open_slot(i % 2 == 0 ? stage->world.first : stage->world.second),
                     .seed = seed++,
                     .stop = &stage->stop};
    }
    start_threads(stage->threads, CREW, charge_and_release, stage->workers,
                  sizeof stage->workers[0]);
    start_threads(&stage->threads[CREW], 1, recall_and_cut, stage, sizeof *stage);
    for (int i = 0; i < CREW; i++) {
        await(&stage->workers[i].rounds, 10);
    }
}

/* What the parent's threads did meanwhile adds up, and nobody was refused but by a cut. */
static void clear_stage(scene *stage)
{
    int64_t held = 0;
    rn_store(&stage->stop, 1);
    join_threads(stage->threads, CREW + 1);
    for (int i = 0; i < CREW; i++) {
        ck_assert_int_eq(stage->workers[i].wrong, 0);
        ck_assert(stage->workers[i].refused == 0 || stage->cuts);
        held += stage->workers[i].held;
    }
    ck_assert_int_eq(read_pool(stage->world.root).charged_bytes, held);
    check_audit(&stage->world);
    for (int i = 0; i < CREW; i++) {
        release(stage->workers[i].slot, stage->workers[i].held);
        rn_slot_close(stage->workers[i].slot);
    }
    rn_slot_close(stage->own);
    ck_assert_int_eq(munmap(stage->verdict, sizeof(*stage->verdict)), 0);
    fixture_clear(&stage->world);
}

/* ----------------------------------------------------------------------------------- the child */

/* No function of the library check here: it would speak for the parent. Each answers the number of
 * the first expectation that is not met. */
static int expect_no_credit(scene *stage)
{
    const fixture *world = &stage->world;
    char text[256];
    int64_t used = 0;
    if (!ration_pool_check(world->root, text, sizeof text)) {
        return 1;
    }
    for (int i = 0; i < CREW; i++) {
        const rn_slot *slot = stage->workers[i].slot;
        int64_t most = HELD_MOST;
        if (rn_slot_used(slot) != slot->granted_bytes || rn_slot_used(slot) > most) {
            return 2;
        }
        used += rn_slot_used(slot);
    }
    ration_pool_figures figures = read_pool(world->root);
    return figures.credit_bytes != 0 || figures.charged_bytes != used ? 3 : 0;
}

/* All bytes that are free can be charged, and not one more. */
static int expect_to_charge(scene *stage)
{
    const fixture *world = &stage->world;
    rn_pool_set_limit(world->queries, INT64_MAX);
    int64_t rest = LIMIT - read_pool(world->root).charged_bytes;
    if (charge(stage->own, rest) != RATION_OK || charge(stage->own, 1) != RATION_GLOBAL_LIMIT) {
        return 4;
    }
    release(stage->own, rest);
    for (int i = 0; i < CREW; i++) { /* whose threads are not here */
        rn_slot *slot = stage->workers[i].slot;
        release(slot, rn_slot_used(slot));
        if (charge(slot, 5000) != RATION_OK) {
            return 5;
        }
        release(slot, 5000);
        rn_slot_close(slot);
    }
    rn_slot_close(stage->own);
    return read_pool(world->root).granted_bytes == 0 ? 0 : 6;
}

static void close_all(fixture *world)
{
    rn_blocks_close(world->blocks);
    ration_pool *pools[] = {world->second, world->first, world->queries, world->retained,
                            world->root};
    for (size_t i = 0; i < RN_COUNT(pools); i++) {
        rn_pool_close(pools[i]);
    }
    rn_ledger_close(world->ledger);
}

static int look_around(scene *stages, int count)
{
    int wrong = 0;
    for (int i = 0; i < count && wrong == 0; i++) {
        wrong = expect_no_credit(&stages[i]);
    }
    for (int i = 0; i < count && wrong == 0; i++) {
        wrong = expect_to_charge(&stages[i]);
    }
    fixture own;
    if (wrong == 0 && !fixture_try_open(&own, LIMIT, LIMIT, 16 * KIB, count > 1)) {
        wrong = 7;
    }
    for (int i = 0; i < count && wrong == 0; i++) {
        close_all(&stages[i].world);
    }
    if (wrong == 0) {
        close_all(&own);
    }
    return wrong == 0 && (rn_faults() != 0 || rn_heap_bytes() != 0) ? 8 : wrong;
}

static void fork_off(scene *stages, int count)
{
    *stages->verdict = -1;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        *stages->verdict = look_around(stages, count);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(*stages->verdict, 0);
}

/* ----------------------------------------------------------------------------------- the parent */

static void fork_often(bool seq_cst, bool cuts, int count, int64_t forks)
{
    static scene stages[2]; /* large */
    uint64_t seed = choose_seed(1);
    for (int i = 0; i < count; i++) {
        set_stage(&stages[i], seq_cst != (i == 1), cuts, seed + 100 * (uint64_t)i);
    }
    for (int64_t i = takes_turns() ? 3 : forks; i > 0; i--) { /* and meanwhile the threads go on */
        fork_off(stages, count);
    }
    for (int i = 0; i < count; i++) {
        clear_stage(&stages[i]);
    }
    ck_assert_int_eq(rn_heap_bytes(), 0);
    ck_assert_int_eq(rn_faults(), 0);
}

START_TEST(test_fork__while_threads_charge)
{
    fork_often(_i != 0, false, 1, 100);
}
END_TEST

START_TEST(test_fork__while_limits_are_cut)
{
    fork_often(_i != 0, true, 1, 50);
}
END_TEST

START_TEST(test_fork__with_two_ledgers)
{
    fork_often(_i != 0, false, 2, 25);
}
END_TEST

/* ------------------------------------------------------------------------------ somebody waits */

typedef struct sleeper {
    rn_slot *slot;
    int64_t bytes, waits; /* waits: atomic */
} sleeper;

static void *wait_for_bytes(void *argument)
{
    sleeper *self = (sleeper *)argument;
    while (!ask(self->slot, self->bytes)) {
        (void)rn_fetch_add(&self->waits, 1);
        (void)rn_ticket_wait(self->slot, INT64_MAX);
    }
    return NULL;
}

/* In the child, whose only thread is the holder. */
static int expect_no_queue(fixture *world, rn_slot *holder, rn_slot *waiter)
{
    ration_pool *pools[] = {world->root, world->queries, world->first, world->second};
    for (size_t i = 0; i < RN_COUNT(pools); i++) {
        if (rn_load(&pools[i]->waiting) != 0 || rn_load(&pools[i]->givers) != 0) {
            return 1;
        }
    }
    if (rn_queue_first(world->ledger) != NULL || rn_ticket_read(waiter) != RN_TICKET_NONE) {
        return 2;
    }
    if (read_pool(world->root).charged_bytes != LIMIT || charge(waiter, 1) == RATION_OK) {
        return 3;
    }
    rn_no no; /* a new queue works */
    rn_ledger_lock(world->ledger);
    rn_pool_count_givers(world->root, 1);
    bool refused = rn_slot_charge_locked(waiter, 1000, &no) != RATION_OK;
    if (refused) {
        rn_ticket_enter(waiter, &no);
    }
    rn_ledger_unlock(world->ledger);
    release(holder, 1000);
    if (!refused || rn_ticket_wait(waiter, INT64_MAX) != RN_TICKET_GRANTED) {
        return 4;
    }
    rn_slot_close(waiter);
    release(holder, LIMIT - 1000);
    rn_slot_close(holder);
    return read_pool(world->root).granted_bytes == 0 && rn_faults() == 0 ? 0 : 5;
}

START_TEST(test_fork__while_a_thread_sleeps_in_the_queue)
{
    fixture world = fixture_open(LIMIT, INT64_MAX, 16 * KIB, _i != 0);
    rn_slot *holder = open_slot(world.first);
    void *shared =
        mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(shared != MAP_FAILED);
    int *verdict = (int *)shared;
    count_givers(world.root, 1);
    for (int64_t round = scaled(40); round > 0; round--) {
        sleeper waiting = {.slot = open_slot(world.second), .bytes = 1 + round * KIB};
        pthread_t thread;
        ck_assert_int_eq(charge(holder, LIMIT), RATION_OK);
        start_threads(&thread, 1, wait_for_bytes, &waiting, sizeof waiting);
        await(&waiting.waits, 1);
        *verdict = -1;
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            *verdict = expect_no_queue(&world, holder, waiting.slot);
            _exit(0);
        }
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        ck_assert_int_eq(*verdict, 0);
        expect_queue(&world);
        ck_assert_int_eq(rn_ticket_read(waiting.slot), RN_TICKET_WAITING);
        release(holder, waiting.bytes);
        join_threads(&thread, 1);
        ck_assert_int_eq(rn_slot_used(waiting.slot), waiting.bytes);
        ck_assert_int_eq(read_pool(world.root).charged_bytes, LIMIT);
        release(holder, LIMIT - waiting.bytes);
        release(waiting.slot, waiting.bytes);
        rn_slot_close(waiting.slot);
    }
    count_givers(world.root, -1);
    rn_slot_close(holder);
    ck_assert_int_eq(munmap(shared, sizeof(int)), 0);
    fixture_close(&world);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *const tests[] = {
        test_fork__while_threads_charge,
        test_fork__while_limits_are_cut,
        test_fork__with_two_ledgers,
        test_fork__while_a_thread_sleeps_in_the_queue,
    };
    return run_in_orderings("memory/fork", tests, RN_COUNT(tests));
}

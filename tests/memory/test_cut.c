/* SPDX-License-Identifier: Apache-2.0
 *
 * A limit that is cut from 128 MiB to 1 MiB while 64 threads charge: idle credit is home when the
 * call returns, not a byte is granted after it, and who waits is served in order. Nothing here is
 * decided by time. Cuts among asks and releases of all kinds: test_history.c. Both orderings (_i).
 */
#include "tests/memory/threads.h"

#define FULL (128 * MIB)
#define CUT MIB
#define CREW 64

/* ----------------------------------------------------------------- credit is home at the return */

#define BASE (64 * KIB)

typedef enum phase { SWING, GROW, AFTER_CUT, GIVE_BACK } phase;

typedef struct squad {
    fixture world;
    int64_t phase;   /* main sets */
    int64_t ready;   /* workers that have their base and have swung for a while */
    int64_t growing; /* workers that release nothing any more */
    int64_t refused; /* workers that have been refused often after the cut */
    int64_t left;    /* workers that have given back */
} squad;

typedef struct worker {
    squad *squad;
    rn_slot *slot;
    uint64_t seed;
    int64_t held, late_grants;
} worker;

static void swing(worker *self, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t bytes = pick(&self->seed, 16 * KIB);
        if (charge(self->slot, bytes) == RATION_OK) {
            release(self->slot, bytes);
        }
    }
}

static void *work_through_a_cut(void *argument)
{
    worker *self = (worker *)argument;
    const int64_t *now = &self->squad->phase;
    must(charge(self->slot, BASE) == RATION_OK);
    self->held = BASE;
    swing(self, 100);
    (void)count_up(&self->squad->ready);
    while (rn_load_acquire(now) == SWING) {
        swing(self, 10);
        (void)sched_yield();
    }
    (void)count_up(&self->squad->growing);
    for (int i = 0; i < 8000 && rn_load_acquire(now) == GROW; i++) { /* on credit, if there is */
        int64_t bytes = 1 + pick(&self->seed, 8);
        self->held += charge(self->slot, bytes) == RATION_OK ? bytes : 0;
    }
    await(now, AFTER_CUT);
    for (int64_t i = 0; i < 50; i++) {
        int64_t bytes = 1 + pick(&self->seed, 4096);
        if (charge(self->slot, bytes) == RATION_OK) {
            self->late_grants += 1;
            self->held += bytes;
        }
    }
    (void)count_up(&self->squad->refused);
    await(now, GIVE_BACK);
    release(self->slot, self->held);
    (void)count_up(&self->squad->left);
    return NULL;
}

static int64_t sum_held(const worker *workers)
{
    int64_t held = 0;
    for (int i = 0; i < CREW; i++) {
        held += workers[i].held;
    }
    return held;
}

/* The workers still charge: what a slot may do without the lock is none. */
static void expect_no_credit(const squad *all, const worker *workers)
{
    rn_ledger_lock(all->world.ledger);
    for (int i = 0; i < CREW; i++) {
        must(rn_slot_used(workers[i].slot) >= workers[i].slot->granted_bytes);
        must(rn_load(&workers[i].slot->hot.limit) == workers[i].slot->granted_bytes);
    }
    rn_ledger_unlock(all->world.ledger);
}

START_TEST(test_cut__credit_is_home_and_nothing_is_granted_above)
{
    uint64_t seed = choose_seed(1);
    int64_t recalled = 0;
    for (int64_t round = scaled(20); round > 0; round--) {
        squad all = {.world = fixture_open(FULL, INT64_MAX, MIB, _i != 0)};
        worker workers[CREW];
        pthread_t threads[CREW];
        for (int i = 0; i < CREW; i++) {
            workers[i] =
                (worker){.squad = &all,
                         .slot = open_slot(i % 2 == 0 ? all.world.first : all.world.second),
                         .seed = seed++};
        }
        start_threads(threads, CREW, work_through_a_cut, workers, sizeof workers[0]);
        await(&all.ready, CREW);
        rn_store_release(&all.phase, GROW);
        await(&all.growing, CREW);
        int64_t before = rn_load(&all.world.root->granted);
        rn_pool_set_limit(all.world.root, CUT);
        int64_t charged = rn_load(&all.world.root->granted);
        expect_no_credit(&all, workers);
        rn_store_release(&all.phase, AFTER_CUT);
        ck_assert_int_ge(charged, CREW * BASE);
        ck_assert_int_eq(read_pool(all.world.root).credit_bytes, 0);
        await(&all.refused, CREW);
        ck_assert_int_eq(sum_held(workers), charged);
        ck_assert_int_eq(rn_load(&all.world.root->granted), charged);
        check_audit(&all.world);
        rn_store_release(&all.phase, GIVE_BACK);
        join_threads(threads, CREW);
        recalled += before - charged;
        rn_slot *last = open_slot(all.world.first);
        ck_assert_int_eq(charge(last, CUT), RATION_OK);
        ck_assert_int_eq(charge(last, 1), RATION_GLOBAL_LIMIT);
        release(last, CUT);
        rn_slot_close(last);
        for (int i = 0; i < CREW; i++) {
            ck_assert_int_eq(workers[i].late_grants, 0);
            ck_assert_int_eq(rn_slot_used(workers[i].slot), 0);
            rn_slot_close(workers[i].slot);
        }
        fixture_close(&all.world);
    }
    ck_assert_int_gt(recalled, 0); /* there was credit to be cut */
}
END_TEST

/* -------------------------------------------------------------------------------- on credit */

#define OWNERS 3

typedef struct owner {
    rn_slot *slot;
    const int64_t *stop;
    uint64_t seed;
    int64_t broken;
} owner;

static void *run_on_credit(void *argument)
{
    owner *self = (owner *)argument;
    int64_t held = 0;
    for (int64_t i = 0; rn_load(self->stop) == 0; i++) {
        int64_t bytes = pick(&self->seed, 512);
        if (held < 8 * KIB && charge(self->slot, bytes) == RATION_OK) {
            held += bytes;
        } else {
            release(self->slot, held);
            held = 0;
        }
        if (i % 64 == 0) {
            self->broken += !rn_slot_check(self->slot) || rn_slot_used(self->slot) != held;
        }
    }
    release(self->slot, held);
    return NULL;
}

/* Cut to nothing and raised, as fast as it goes, while owners are between their two comparisons:
 * none is ever above what it was granted. (The slow path counts a fault when it finds one that is,
 * and fixture_close looks.) */
START_TEST(test_cut__takes_no_slot_by_surprise)
{
    fixture world = fixture_open(FULL, INT64_MAX, 16 * KIB, _i != 0);
    owner owners[OWNERS];
    pthread_t threads[OWNERS];
    int64_t stop = 0, above = 0;
    uint64_t seed = choose_seed(4);
    for (int i = 0; i < OWNERS; i++) {
        owners[i] = (owner){
            .slot = open_slot(i == 0 ? world.second : world.first), .stop = &stop, .seed = seed++};
    }
    start_threads(threads, OWNERS, run_on_credit, owners, sizeof owners[0]);
    for (int64_t i = scaled(8000); i > 0; i--) {
        rn_pool_set_limit(world.root, 0);
        int64_t granted = rn_load(&world.root->granted);
        for (int j = 0; j < 20; j++) {
            above += rn_load(&world.root->granted) > granted; /* it only falls */
        }
        rn_pool_set_limit(world.root, FULL);
        if (i % 16 == 0) {
            (void)sched_yield();
        }
    }
    rn_store(&stop, 1);
    join_threads(threads, OWNERS);
    ck_assert_int_eq(above, 0);
    for (int i = 0; i < OWNERS; i++) {
        ck_assert_int_eq(owners[i].broken, 0);
        rn_slot_close(owners[i].slot);
    }
    fixture_close(&world);
}
END_TEST

/* -------------------------------------------------------------------------------------- waiters */

#define WIDEST (300 * KIB)

/* 64 slots hold 128 MiB, 64 others wait for 48 KiB each under 1 MiB. */
START_TEST(test_cut__waiters_are_served_in_order)
{
    fixture world = fixture_open(FULL, INT64_MAX, MIB, _i != 0);
    rn_slot *holders[CREW], *waiters[CREW], *barger = open_slot(world.second);
    const int64_t part = 48 * KIB;
    for (int i = 0; i < CREW; i++) {
        holders[i] = open_slot(world.first);
        waiters[i] = open_slot(i % 2 == 0 ? world.first : world.second);
        ck_assert_int_eq(charge(holders[i], FULL / CREW), RATION_OK);
    }
    count_givers(world.root, 1);
    rn_pool_set_limit(world.root, CUT);
    for (int i = 0; i < CREW; i++) {
        ck_assert(!ask(waiters[i], part));
    }
    int64_t charged = FULL, served = 0;
    for (int i = 0; i < 2 * CREW; i++) { /* holders in one go, then whoever has been served */
        rn_slot *giver = i < CREW ? holders[i] : waiters[i - CREW];
        int64_t bytes = i < CREW ? FULL / CREW : part;
        if (i >= CREW) {
            ck_assert_int_eq(rn_ticket_read(giver), RN_TICKET_GRANTED);
            ck_assert(ask(giver, bytes));
        }
        release(giver, bytes);
        charged -= bytes;
        for (; served < CREW && charged + part <= CUT; served++) {
            charged += part;
        }
        for (int j = 0; j < CREW; j++) {
            rn_ticket_state state = rn_ticket_read(waiters[j]);
            must(j < served ? state == RN_TICKET_GRANTED || j < i - CREW + 1
                            : state == RN_TICKET_WAITING);
        }
        ck_assert(served == CREW || charge(barger, 1) != RATION_OK);
        ck_assert_int_eq(read_pool(world.root).granted_bytes, charged);
        expect_queue(&world);
    }
    ck_assert_int_eq(served, CREW);
    rn_slot_close(barger);
    for (int i = 0; i < CREW; i++) {
        rn_slot_close(holders[i]);
        rn_slot_close(waiters[i]);
    }
    count_givers(world.root, -1);
    fixture_close(&world);
}
END_TEST

/* The same, but nothing is released: the limit is raised again, for one after the other. */
START_TEST(test_cut__raised_again_serves_who_waits)
{
    fixture world = fixture_open(FULL, INT64_MAX, MIB, _i != 0);
    rn_slot *holder = open_slot(world.first), *waiters[CREW];
    ck_assert_int_eq(charge(holder, FULL), RATION_OK);
    count_givers(world.root, 1);
    rn_pool_set_limit(world.root, CUT);
    for (int i = 0; i < CREW; i++) {
        waiters[i] = open_slot(i % 2 == 0 ? world.first : world.second);
        ck_assert(!ask(waiters[i], KIB + i));
    }
    for (int64_t i = 0, limit = FULL; i < CREW; i++) {
        limit += KIB + i;
        rn_pool_set_limit(world.root, limit - 1);
        ck_assert_int_eq(rn_ticket_read(waiters[i]), RN_TICKET_WAITING);
        rn_pool_set_limit(world.root, CUT);
        rn_pool_set_limit(world.root, limit);
        ck_assert_int_eq(rn_ticket_read(waiters[i]), RN_TICKET_GRANTED);
        ck_assert_int_eq(read_pool(world.root).waiting, CREW - 1 - i);
        expect_queue(&world);
    }
    for (int i = 0; i < CREW; i++) {
        ck_assert(ask(waiters[i], KIB + i));
        release(waiters[i], KIB + i);
        rn_slot_close(waiters[i]);
    }
    release(holder, FULL);
    rn_slot_close(holder);
    count_givers(world.root, -1);
    fixture_close(&world);
}
END_TEST

typedef struct line {
    fixture world;
    int64_t served_sequence, grants, disorder; /* under the lock */
    int64_t asks;                              /* of each thread */
    int64_t done;
} line;

typedef struct waiter {
    line *line;
    rn_slot *slot;
    uint64_t seed;
    int64_t charged, again;
} waiter;

/* Under the lock: tickets at one pool are granted in their order. */
static void note_grant(void *argument)
{
    waiter *self = (waiter *)argument;
    line *all = self->line;
    if (rn_ticket_read(self->slot) == RN_TICKET_GRANTED) {
        all->disorder += self->slot->ticket.sequence <= all->served_sequence;
        all->served_sequence = self->slot->ticket.sequence;
        all->grants += 1;
    }
}

static void *wait_and_work(void *argument)
{
    waiter *self = (waiter *)argument;
    for (int64_t i = self->line->asks; i > 0; i--) {
        int64_t bytes = 1 + pick(&self->seed, WIDEST);
        while (!ask(self->slot, bytes)) {
            self->again += rn_ticket_wait(self->slot, INT64_MAX) != RN_TICKET_GRANTED;
        }
        self->charged += 1;
        (void)sched_yield();
        release(self->slot, bytes / 3);
        release(self->slot, bytes - bytes / 3);
    }
    (void)count_up(&self->line->done);
    return NULL;
}

/* A waiter that is lost sleeps for ever, and the case runs out of time. */
START_TEST(test_cut__no_waiter_is_lost_in_a_storm)
{
    static waiter waiters[CREW];
    line all = {.world = fixture_open(FULL, INT64_MAX, 64 * KIB, _i != 0), .asks = scaled(400)};
    pthread_t threads[CREW];
    uint64_t seed = choose_seed(3);
    count_givers(all.world.root, 1);
    for (int i = 0; i < CREW; i++) {
        waiters[i] = (waiter){.line = &all,
                              .slot = open_slot(i % 2 == 0 ? all.world.first : all.world.second),
                              .seed = seed++};
        rn_ticket_on_wake(waiters[i].slot, note_grant, &waiters[i]);
    }
    rn_slot *holder = open_slot(all.world.first);
    ck_assert_int_eq(charge(holder, FULL), RATION_OK);
    start_threads(threads, CREW, wait_and_work, waiters, sizeof waiters[0]);
    while (rn_load(&all.world.root->waiting) < CREW) {
        (void)sched_yield();
    }
    release(holder, FULL);
    int64_t limits = 0;
    for (; rn_load_acquire(&all.done) < CREW; limits++) {
        rn_pool_set_limit(all.world.root, limits % 2 == 0 ? CUT : CUT << pick(&seed, 8));
        if (limits % 16 == 0) {
            expect_queue(&all.world);
        }
        (void)sched_yield();
    }
    join_threads(threads, CREW);
    for (int i = 0; i < CREW; i++) {
        ck_assert_int_eq(waiters[i].charged, all.asks);
        ck_assert_int_eq(waiters[i].again, 0); /* there is a giver all the time */
        rn_slot_close(waiters[i].slot);
    }
    printf("%lld limits, %lld granted while waiting\n", (long long)limits, (long long)all.grants);
    ck_assert_int_eq(all.disorder, 0);
    ck_assert_int_ge(all.grants, CREW); /* the first of each thread at least */
    rn_slot_close(holder);
    count_givers(all.world.root, -1);
    fixture_close(&all.world);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *const tests[] = {
        test_cut__credit_is_home_and_nothing_is_granted_above,
        test_cut__takes_no_slot_by_surprise,
        test_cut__waiters_are_served_in_order,
        test_cut__raised_again_serves_who_waits,
        test_cut__no_waiter_is_lost_in_a_storm,
    };
    return run_in_orderings("memory/cut", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of slots when threads end, are cancelled or change: thread exit, thread pools,
 * cancellation, several ledgers in one process. Forks: test_fork.c. Both orderings (_i).
 *
 * Threads that may be cancelled make no assertions: those write to a file, which is a cancellation
 * point, perhaps with the lock held. */
#include "memory/poison.h"
#include "tests/memory/threads.h"

/* ---------------------------------------------------------------------------------------- exit */

#define LIMIT MIB

typedef struct leaver {
    fixture *world;
    rn_slot *slot;
    int64_t bytes, given_back;
    bool ok;
} leaver;

static void *charge_and_exit(void *argument)
{
    leaver *self = (leaver *)argument;
    if (self->slot == NULL) {
        self->ok = rn_slot_open(self->world->first, NULL, &self->slot) == RATION_OK;
    }
    self->ok = self->ok && charge(self->slot, self->bytes) == RATION_OK;
    release(self->slot, self->given_back);
    pthread_exit(NULL);
}

static void run_leaver(leaver *self)
{
    pthread_t thread;
    self->ok = true;
    start_threads(&thread, 1, charge_and_exit, self, sizeof *self);
    join_threads(&thread, 1);
    ck_assert(self->ok);
}

/* Its bytes stay charged, its credit is anybody's, and whoever comes by closes its slot. */
START_TEST(test_thread__exits_without_giving_back)
{
    fixture world = fixture_open(LIMIT, INT64_MAX, 64 * KIB, _i != 0);
    rn_slot *own = open_slot(world.second);
    for (int64_t gone = 1; gone <= 20; gone++) {
        leaver thread = {.world = &world, .bytes = 6000, .given_back = 1000};
        run_leaver(&thread);
        ck_assert_int_eq(read_pool(world.first).charged_bytes, 5000 * gone);
        ck_assert_int_gt(read_pool(world.first).credit_bytes, 0);
        ck_assert_int_eq(charge(own, LIMIT - 5000 * gone), RATION_OK);
        ck_assert_int_eq(charge(own, 1), RATION_GLOBAL_LIMIT);
        release(own, LIMIT - 5000 * gone);
        rn_slot_close(thread.slot);
        ck_assert_int_eq(read_pool(world.first).charged_bytes, 5000 * gone);
        check_audit(&world);
    }
    rn_pool_release(world.first, 20 * 5000);
    ck_assert_int_eq(read_pool(world.first).granted_bytes, 0);
    rn_slot_close(own);
    fixture_close(&world);
}
END_TEST

/* Another thread goes on with the slot as if it had opened it. */
START_TEST(test_thread__exits_and_another_adopts_its_slot)
{
    fixture world = fixture_open(LIMIT, INT64_MAX, 64 * KIB, _i != 0);
    leaver thread = {.world = &world, .bytes = 6000, .given_back = 1000};
    for (int64_t turn = 1; turn <= 200; turn++) {
        run_leaver(&thread);
        ck_assert_int_eq(rn_slot_used(thread.slot), 5000 * turn);
        ck_assert_int_eq(read_pool(world.root).charged_bytes, 5000 * turn);
        ck_assert(rn_slot_check(thread.slot));
        if (turn % 10 == 0) {
            (void)rn_pool_recall(world.root); /* the next one finds a slot without credit */
        }
    }
    thread.given_back = 6000 + 200 * 5000;
    run_leaver(&thread);
    ck_assert_int_eq(read_pool(world.root).charged_bytes, 0);
    rn_slot_close(thread.slot);
    fixture_close(&world);
}
END_TEST

/* -------------------------------------------------------------------------------- thread pools */

#define TASKS 100
#define WORKERS 8
#define SHOP_LIMIT (256 * KIB) /* a third of what they would like to hold */

/* Work that any thread of the pool carries on: it comes with its slot. */
typedef struct task {
    rn_slot *slot;
    uint64_t seed;
    int64_t held, steps;
    struct task *next;
} task;

typedef struct workshop {
    fixture world;
    pthread_mutex_t lock; /* of the list */
    task *first, *last;
    task tasks[TASKS];
    int64_t done, refused, wrong; /* atomic */
} workshop;

static void put_task(workshop *shop, task *added)
{
    pthread_mutex_lock(&shop->lock);
    added->next = NULL;
    *(shop->first == NULL ? &shop->first : &shop->last->next) = added;
    shop->last = added;
    pthread_mutex_unlock(&shop->lock);
}

static task *get_task(workshop *shop)
{
    pthread_mutex_lock(&shop->lock);
    task *got = shop->first;
    shop->first = got == NULL ? NULL : got->next;
    pthread_mutex_unlock(&shop->lock);
    return got;
}

static void carry_on(workshop *shop, task *with)
{
    for (int i = 0; i < 20; i++) {
        int64_t bytes = pick(&with->seed, 8 * KIB);
        if (charge(with->slot, bytes) == RATION_OK) {
            with->held += bytes;
        } else {
            (void)rn_fetch_add(&shop->refused, 1);
            release(with->slot, with->held);
            with->held = 0;
        }
        int64_t part = pick(&with->seed, with->held + 1);
        release(with->slot, part);
        with->held -= part;
    }
    bool right = rn_slot_used(with->slot) == with->held && rn_slot_check(with->slot);
    (void)rn_fetch_add(&shop->wrong, right ? 0 : 1);
}

static void *work_in_the_shop(void *argument)
{
    workshop *shop = (workshop *)argument;
    while (rn_load_acquire(&shop->done) < TASKS) {
        task *got = get_task(shop);
        if (got == NULL) {
            (void)sched_yield();
            continue;
        }
        carry_on(shop, got);
        got->steps -= 1;
        if (got->steps == 0) {
            release(got->slot, got->held);
            rn_slot_close(got->slot);
            (void)count_up(&shop->done);
        } else {
            put_task(shop, got);
        }
    }
    return NULL;
}

START_TEST(test_thread__of_a_pool_works_with_any_slot)
{
    static workshop shop; /* large */
    shop = (workshop){.world = fixture_open(SHOP_LIMIT, INT64_MAX, 16 * KIB, _i != 0),
                      .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[WORKERS];
    uint64_t seed = choose_seed(3);
    for (int i = 0; i < TASKS; i++) {
        shop.tasks[i] = (task){.slot = open_slot(i % 2 == 0 ? shop.world.first : shop.world.second),
                               .seed = seed++,
                               .steps = scaled(200)};
        put_task(&shop, &shop.tasks[i]);
    }
    start_threads(threads, WORKERS, work_in_the_shop, &shop, 0);
    while (rn_load_acquire(&shop.done) < TASKS) {
        (void)rn_pool_recall(shop.world.root);
        check_audit(&shop.world);
        (void)sched_yield();
    }
    join_threads(threads, WORKERS);
    printf("%lld refusals\n", (long long)shop.refused);
    ck_assert_int_eq(shop.wrong, 0);
    ck_assert_int_le(read_pool(shop.world.root).peak_bytes, SHOP_LIMIT);
    fixture_close(&shop.world);
}
END_TEST

/* -------------------------------------------------------------------------------- cancellation */

typedef struct victim {
    rn_slot *slot;
    uint64_t seed;
    int64_t held;
    int64_t rounds; /* atomic */
} victim;

static void *charge_until_cancelled(void *argument)
{
    victim *self = (victim *)argument;
    for (;;) {
        int64_t bytes = pick(&self->seed, 20 * KIB);
        if (charge(self->slot, bytes) == RATION_OK) {
            self->held += bytes;
        }
        if (pick(&self->seed, 8) == 0 || self->held > 200 * KIB) {
            release(self->slot, self->held);
            self->held = 0;
        }
        (void)rn_fetch_add(&self->rounds, 1);
        if (pick(&self->seed, 50) == 0) {
            pthread_testcancel();
        }
    }
    return NULL;
}

static void join_cancelled(pthread_t thread)
{
    void *result = NULL;
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
}

/* The lock is free, the sums are exact, and the slot is closed by who comes by. */
START_TEST(test_thread__is_cancelled_in_a_charge_loop)
{
    uint64_t seed = choose_seed(1);
    fixture world = fixture_open(LIMIT, INT64_MAX, 16 * KIB, _i != 0);
    for (int64_t round = scaled(100); round > 0; round--) {
        victim victims[4];
        pthread_t threads[4];
        int64_t held = 0;
        for (int i = 0; i < 4; i++) {
            victims[i] = (victim){.slot = open_slot(i % 2 == 0 ? world.first : world.second),
                                  .seed = seed++};
        }
        start_threads(threads, 4, charge_until_cancelled, victims, sizeof victims[0]);
        await(&victims[0].rounds, 1);
        for (int i = 0; i < 4; i++) {
            ck_assert_int_eq(pthread_cancel(threads[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            join_cancelled(threads[i]);
            ck_assert_int_eq(rn_slot_used(victims[i].slot), victims[i].held);
            held += victims[i].held;
        }
        ck_assert_int_eq(read_pool(world.root).charged_bytes, held);
        check_audit(&world);
        for (int i = 0; i < 4; i++) {
            release(victims[i].slot, victims[i].held);
            rn_slot_close(victims[i].slot);
        }
        ck_assert_int_eq(read_pool(world.root).granted_bytes, 0);
    }
    fixture_close(&world);
}
END_TEST

typedef struct sleeper {
    rn_slot *slot;
    int64_t bytes, took;
} sleeper;

/* The address sanitizer does not see that a cancellation leaves functions. */
static void forget_what_was_called(void *unused)
{
    char *here = (char *)__builtin_frame_address(0);
    (void)unused;
    rn_unpoison(here - 4096, 4096);
}

/* One who has entered the queue sleeps until granted, and takes the bytes. */
static void *sleep_in_the_queue(void *argument)
{
    sleeper *self = (sleeper *)argument;
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(self->slot));
    pthread_cleanup_push(forget_what_was_called, NULL);
    while (rn_ticket_wait(self->slot, INT64_MAX) != RN_TICKET_GRANTED) {
    }
    pthread_cleanup_pop(0);
    rn_ledger_lock(ledger);
    rn_ticket_take(self->slot);
    rn_ledger_unlock(ledger);
    self->took = self->bytes;
    return NULL;
}

/* Three sleep behind a holder of everything, the middle one is cancelled: before anything is
 * released, or when it may have been granted. The others are served either way. */
static void cancel_a_sleeper(fixture *world, bool while_granted)
{
    rn_slot *holder = open_slot(world->first);
    sleeper sleepers[3];
    pthread_t threads[3];
    void *result = NULL;
    ck_assert_int_eq(charge(holder, LIMIT), RATION_OK);
    for (int i = 0; i < 3; i++) {
        sleepers[i] = (sleeper){.slot = open_slot(i == 1 ? world->first : world->second),
                                .bytes = 300 * KIB + i};
        ck_assert(!ask(sleepers[i].slot, sleepers[i].bytes));
    }
    start_threads(threads, 3, sleep_in_the_queue, sleepers, sizeof sleepers[0]);
    if (while_granted) {
        release(holder, 700 * KIB);
    }
    ck_assert_int_eq(pthread_cancel(threads[1]), 0);
    ck_assert_int_eq(pthread_join(threads[1], &result), 0);
    if (!while_granted) {
        ck_assert_ptr_eq(result, PTHREAD_CANCELED);
        ck_assert_int_eq(rn_ticket_read(sleepers[1].slot), RN_TICKET_WAITING);
        ck_assert_int_eq(read_pool(world->root).waiting, 3);
        expect_queue(world);
        release(holder, 700 * KIB); /* for the first, and for the dead one */
    }
    int64_t middle = sleepers[1].took;
    ck_assert(middle != 0 || rn_ticket_read(sleepers[1].slot) == RN_TICKET_GRANTED);
    ck_assert_int_eq(rn_slot_used(sleepers[1].slot), middle);
    ck_assert_int_eq(read_pool(world->root).waiting, 1);
    release(sleepers[1].slot, middle);
    rn_slot_close(sleepers[1].slot); /* what it was granted goes to the third */
    ck_assert_int_eq(read_pool(world->root).waiting, 0);
    join_threads(&threads[0], 1);
    join_threads(&threads[2], 1);
    expect_queue(world);
    ck_assert_int_eq(read_pool(world->root).charged_bytes, 324 * KIB + 600 * KIB + 2);
    for (int i = 0; i < 3; i += 2) {
        ck_assert_int_eq(sleepers[i].took, sleepers[i].bytes);
        release(sleepers[i].slot, sleepers[i].bytes);
        rn_slot_close(sleepers[i].slot);
    }
    release(holder, 324 * KIB);
    rn_slot_close(holder);
}

START_TEST(test_thread__is_cancelled_asleep_in_the_queue)
{
    fixture world = fixture_open(LIMIT, INT64_MAX, 16 * KIB, _i != 0);
    count_givers(world.root, 1);
    for (int64_t round = scaled(400); round > 0; round--) {
        cancel_a_sleeper(&world, false);
        cancel_a_sleeper(&world, true);
    }
    count_givers(world.root, -1);
    fixture_close(&world);
}
END_TEST

/* ----------------------------------------------------------------------------- several ledgers */

#define LEDGERS 3

typedef struct tenant {
    rn_slot *slots[LEDGERS];
    uint64_t seed;
    int64_t held[LEDGERS];
    int64_t refused[LEDGERS];
} tenant;

static void *live_in_all(void *argument)
{
    tenant *self = (tenant *)argument;
    for (int64_t i = scaled(100000); i > 0; i--) {
        int64_t at = pick(&self->seed, LEDGERS);
        int64_t bytes = pick(&self->seed, 4 * KIB);
        if (self->held[at] > 20 * KIB) {
            release(self->slots[at], self->held[at]);
            self->held[at] = 0;
        } else if (charge(self->slots[at], bytes) == RATION_OK) {
            self->held[at] += bytes;
        } else {
            self->refused[at] += 1;
        }
    }
    return NULL;
}

/* Four threads hold up to 24 KiB each in each of three ledgers. The first has room for half of
 * that, the others for all: they refuse nothing. */
START_TEST(test_ledger__several_live_side_by_side)
{
    static const int64_t limits[LEDGERS] = {48 * KIB, 96 * KIB, 64 * MIB};
    fixture worlds[LEDGERS];
    tenant tenants[4];
    pthread_t threads[4];
    uint64_t seed = choose_seed(2);
    for (int i = 0; i < LEDGERS; i++) {
        worlds[i] = fixture_open(limits[i], INT64_MAX, 16 * KIB, (i + _i) % 2 != 0);
    }
    for (int j = 0; j < 4; j++) {
        tenants[j] = (tenant){.seed = seed++};
        for (int i = 0; i < LEDGERS; i++) {
            tenants[j].slots[i] = open_slot(j % 2 == 0 ? worlds[i].first : worlds[i].second);
        }
    }
    start_threads(threads, 4, live_in_all, tenants, sizeof tenants[0]);
    join_threads(threads, 4);
    for (int i = 0; i < LEDGERS; i++) {
        int64_t held = 0, refused = 0;
        for (int j = 0; j < 4; j++) {
            held += tenants[j].held[i];
            refused += tenants[j].refused[i];
        }
        ck_assert_int_eq(read_pool(worlds[i].root).charged_bytes, held);
        ck_assert_int_le(read_pool(worlds[i].root).peak_bytes, limits[i]);
        ck_assert_int_eq(refused, read_pool(worlds[i].root).refusals);
        ck_assert(i == 0 || refused == 0);
        check_audit(&worlds[i]);
    }
    for (int i = 0; i < LEDGERS; i++) {
        for (int j = 0; j < 4; j++) {
            release(tenants[j].slots[i], tenants[j].held[i]);
            rn_slot_close(tenants[j].slots[i]);
        }
        ck_assert_int_eq(read_pool(worlds[i].root).charged_bytes, 0);
    }
    fixture_clear(&worlds[1]); /* not in the order they were opened in */
    fixture_clear(&worlds[0]);
    fixture_close(&worlds[2]);
}
END_TEST

/* A limit, a recall, a queue of one ledger are nothing to another. */
START_TEST(test_ledger__nothing_leaks_between)
{
    fixture one = fixture_open(LIMIT, INT64_MAX, 16 * KIB, _i != 0);
    fixture other = fixture_open(LIMIT, INT64_MAX, 16 * KIB, _i != 0);
    rn_slot *in_one = open_slot(one.first), *waits = open_slot(one.second);
    rn_slot *in_other = open_slot(other.first);
    ck_assert_int_eq(charge(in_other, 100), RATION_OK);
    ration_pool_figures before = read_pool(other.root);
    ck_assert_int_gt(before.credit_bytes, 0);
    ck_assert_int_eq(charge(in_one, LIMIT), RATION_OK);
    count_givers(one.root, 1);
    ck_assert(!ask(waits, 10));
    rn_pool_set_limit(one.root, 0);
    (void)rn_pool_recall(one.root);
    ration_pool_figures after = read_pool(other.root);
    ck_assert_int_eq(after.granted_bytes, before.granted_bytes);
    ck_assert_int_eq(after.credit_bytes, before.credit_bytes);
    ck_assert_int_eq(after.limit_bytes, LIMIT);
    ck_assert_int_eq(after.waiting + after.refusals, 0);
    ck_assert_int_eq(charge(in_other, LIMIT - 100), RATION_OK);
    ck_assert_int_eq(charge(in_other, 1), RATION_GLOBAL_LIMIT);
    release(in_other, LIMIT);
    ck_assert_int_eq(rn_ticket_read(waits), RN_TICKET_WAITING);
    rn_pool_set_limit(one.root, LIMIT + 10);
    ck_assert_int_eq(rn_ticket_read(waits), RN_TICKET_GRANTED);
    ck_assert_int_eq(read_pool(other.root).charged_bytes, 0);
    count_givers(one.root, -1);
    rn_slot_close(waits);
    release(in_one, LIMIT);
    rn_slot_close(in_one);
    rn_slot_close(in_other);
    fixture_clear(&one);
    fixture_close(&other);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *const tests[] = {
        test_thread__exits_without_giving_back,
        test_thread__exits_and_another_adopts_its_slot,
        test_thread__of_a_pool_works_with_any_slot,
        test_thread__is_cancelled_in_a_charge_loop,
        test_thread__is_cancelled_asleep_in_the_queue,
        test_ledger__several_live_side_by_side,
        test_ledger__nothing_leaks_between,
    };
    return run_in_orderings("memory/threads", tests, RN_COUNT(tests));
}

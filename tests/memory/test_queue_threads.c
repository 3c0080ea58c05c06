/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue with threads that race. Counts and order decide, never time; a wake-up that is lost
 * leaves a thread asleep for ever, and the case runs out of time.
 *
 * Each grant is stamped under the lock: at one pool the stamps are in the order of the tickets. */
#include <pthread.h>
#include <sched.h>

#include "tests/memory/queue_world.h"

#define LIMIT 1000
#define THREADS_MAX 64

#if defined(__SANITIZE_THREAD__) || defined(RATION_CHECKED)
#define ASKS 30000 /* of all threads together */
#else
#define ASKS 100000
#endif

typedef struct crew {
    fixture world;
    int64_t granted_sequence; /* of the latest grant; under the lock */
    int64_t grants, disorder; /* under the lock */
    int64_t asks;             /* of each thread */
    bool leaves_early, needs_givers;
} crew;

typedef struct member {
    crew *crew;
    rn_slot *slot;
    pthread_t thread;
    uint64_t seed;
    int64_t charged, waited, withdrawn, refused;
} member;

static void stamp(void *argument)
{
    member *self = (member *)argument;
    crew *all = self->crew;
    if (rn_ticket_read(self->slot) == RN_TICKET_GRANTED) {
        all->disorder += self->slot->ticket.sequence <= all->granted_sequence;
        all->granted_sequence = self->slot->ticket.sequence;
        all->grants += 1;
    }
}

static int64_t roll(member *self, int64_t bound)
{
    return (int64_t)rn_random_below(&self->seed, (uint64_t)bound);
}

/* Comes to the queue unless nobody is left who could give; true = it has a ticket. */
static bool may_wait(const member *self, const rn_no *no)
{
    return !self->crew->needs_givers || rn_load(&no->pool->givers) > 0 ||
           rn_ticket_read(self->slot) == RN_TICKET_WAITING;
}

typedef enum outcome { CHARGED, WAITS, REFUSED } outcome;

static outcome try_once(member *self, int64_t bytes)
{
    rn_slot *slot = self->slot;
    rn_no no;
    outcome end = CHARGED;
    rn_ledger_lock(self->crew->world.ledger);
    if (rn_ticket_read(slot) == RN_TICKET_GRANTED) {
        rn_ticket_take(slot);
    } else if (rn_slot_charge_locked(slot, bytes, &no) == RATION_OK) {
        rn_ticket_leave(slot);
    } else if (may_wait(self, &no)) {
        rn_ticket_enter(slot, &no);
        end = WAITS;
    } else {
        rn_ticket_leave(slot);
        end = REFUSED;
    }
    rn_ledger_unlock(self->crew->world.ledger);
    return end;
}

/* Until charged, refused or out of patience. True = the bytes are charged. */
static bool get_bytes(member *self, int64_t bytes)
{
    int64_t patience_ns = self->crew->leaves_early ? roll(self, 3) * roll(self, 100000) : 0;
    int64_t until_ns = patience_ns == 0 ? INT64_MAX : rn_clock_ns() + patience_ns;
    outcome now = try_once(self, bytes);
    for (; now == WAITS; now = try_once(self, bytes)) {
        self->waited += 1;
        if (rn_ticket_wait(self->slot, until_ns) == RN_TICKET_WAITING) {
            leave(self->slot);
            self->withdrawn += 1;
            return false;
        }
    }
    self->refused += now == REFUSED;
    return now == CHARGED;
}

static void *work(void *argument)
{
    member *self = (member *)argument;
    fixture *world = &self->crew->world;
    for (int64_t i = 0; i < self->crew->asks; i++) {
        int64_t bytes = 1 + roll(self, LIMIT * 2 / 3);
        bool gives = self->crew->needs_givers && roll(self, 4) > 0;
        if (get_bytes(self, bytes)) {
            self->charged += 1;
            if (gives) { /* a holder that is asked, and answers when it has released */
                count_givers(world->first, 1);
            }
            (void)sched_yield(); /* else few would ever meet */
            release(self->slot, bytes / 2);
            release(self->slot, bytes - bytes / 2);
            if (gives) {
                count_givers(world->first, -1);
            }
        }
    }
    return NULL;
}

static void run_crew(crew *all, int threads)
{
    static member members[THREADS_MAX];
    const char *given = getenv("RATION_SEED");
    uint64_t usual = (uint64_t)threads;
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : usual;
    printf("seed=%llu\n", (unsigned long long)seed);
    all->asks = ASKS / threads / (getenv("CK_TIMEOUT_MULTIPLIER") != NULL ? 20 : 1);
    for (int i = 0; i < threads; i++) {
        members[i] = (member){
            .crew = all, .slot = open_slot(all->world.first), .seed = seed * 1000 + (uint64_t)i};
        rn_ticket_on_wake(members[i].slot, stamp, &members[i]);
    }
    for (int i = 0; i < threads; i++) {
        ck_assert_int_eq(pthread_create(&members[i].thread, NULL, work, &members[i]), 0);
    }
    member sum = {0};
    for (int i = 0; i < threads; i++) {
        ck_assert_int_eq(pthread_join(members[i].thread, NULL), 0);
        sum.charged += members[i].charged;
        sum.waited += members[i].waited;
        sum.withdrawn += members[i].withdrawn;
        sum.refused += members[i].refused;
        rn_slot_close(members[i].slot);
    }
    printf(
        "%d threads: charged %lld, granted while waiting %lld, waited %lld, withdrew %lld, refused "
        "%lld\n",
        threads, (long long)sum.charged, (long long)all->grants, (long long)sum.waited,
        (long long)sum.withdrawn, (long long)sum.refused);
    ck_assert_int_eq(sum.charged + sum.withdrawn + sum.refused, all->asks * threads);
    ck_assert_int_eq(all->disorder, 0);
    ck_assert_int_le(read_pool(all->world.root).peak_bytes, LIMIT);
    expect_queue(&all->world);
}

static const int sizes[] = {8, 64};

/* Nobody leaves: everybody is served. */
START_TEST(test_queue__nobody_is_lost)
{
    static crew all;
    all.world = fixture_open(LIMIT, INT64_MAX, 0, true);
    count_givers(all.world.root, 1);
    run_crew(&all, sizes[_i]);
    ck_assert_int_gt(all.grants, 0);
    count_givers(all.world.root, -1);
    fixture_close(&all.world);
}
END_TEST

START_TEST(test_queue__some_leave_early)
{
    static crew all;
    all.world = fixture_open(LIMIT, INT64_MAX, 0, true);
    all.leaves_early = true;
    count_givers(all.world.root, 1);
    run_crew(&all, sizes[_i]);
    count_givers(all.world.root, -1);
    fixture_close(&all.world);
}
END_TEST

/* Who waits for a giver is told when it is gone, one after the other. */
START_TEST(test_queue__givers_come_and_go)
{
    static crew all;
    all.world = fixture_open(LIMIT, INT64_MAX, 0, true);
    all.needs_givers = true;
    run_crew(&all, sizes[_i]);
    fixture_close(&all.world);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *races = tcase_create("races");
    tcase_add_loop_test(races, test_queue__nobody_is_lost, 0, RN_COUNT(sizes));
    tcase_add_loop_test(races, test_queue__some_leave_early, 0, RN_COUNT(sizes));
    tcase_add_loop_test(races, test_queue__givers_come_and_go, 0, RN_COUNT(sizes));
    tcase_set_timeout(races, 600);
    Suite *suite = suite_create("memory/queue threads");
    suite_add_tcase(suite, races);
    return run_suite(suite);
}

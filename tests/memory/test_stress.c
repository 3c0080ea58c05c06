/* SPDX-License-Identifier: Apache-2.0
 *
 * The protocol with threads that race, both orderings. Counts decide, never time.
 *
 * The first test looks for over-commits: owners prove I3 of their own slot between charges, and the
 * slow path counts a fault when it does not hold (fixture_close looks at rn_faults), while a fourth
 * thread recalls as fast as it can (mistake: no barrier; or reading `used` twice, harmful where the
 * first comparison is missing). The other two look for false refusals where the others provably
 * hold too little: behind a giant that is always refused (mistake: publishing before the first
 * comparison), and behind two slots that pass the same bytes to and fro (mistake: adding up slots
 * that are open). */
#include <sched.h>

#include "memory/pool.h"
#include "tests/memory/fixture.h"

#define OWNERS 3
#define KIB ((int64_t)1024)
#define IDLE 200
#define PASSED (4 * KIB)
#if defined(__SANITIZE_THREAD__) || defined(RATION_CHECKED)
#define CHARGES 200000
#define ASKS 20000
#else
#define CHARGES 1000000
#define ASKS 100000
#endif

/* Under valgrind, announced by check's multiplier, threads take turns that a spinning one never
 * ends by itself. */
static bool takes_turns(void)
{
    return getenv("CK_TIMEOUT_MULTIPLIER") != NULL;
}

static int64_t scaled(int64_t count)
{
    return takes_turns() ? count / 200 : count;
}

typedef struct owner {
    fixture *world;
    rn_slot *slot;
    uint64_t seed;
    int64_t charges, grants, refusals, broken;
    int64_t *running; /* owners not yet done */
} owner;

static void *run_owner(void *argument)
{
    owner *self = (owner *)argument;
    int64_t held = 0;
    for (int64_t i = 0; i < self->charges; i++) {
        int64_t bytes = (int64_t)rn_random_below(&self->seed, 4096);
        if (charge(self->slot, bytes) == RATION_OK) {
            held += bytes;
            self->grants += 1;
        } else {
            self->refusals += 1;
            release(self->slot, held);
            held = 0;
        }
        if (rn_random_below(&self->seed, 16) == 0) {
            int64_t part = held / 2;
            release(self->slot, part);
            held -= part;
        }
        if (i % 64 == 0) {
            self->broken += !rn_slot_check(self->slot) || rn_slot_used(self->slot) != held;
        }
    }
    release(self->slot, held);
    (void)rn_fetch_add(self->running, -1);
    return NULL;
}

START_TEST(test_slots__never_over_under_recalls)
{
    const int64_t limit = 256 * KIB; /* refusals, and credit to race for between them */
    fixture world = fixture_open(limit, INT64_MAX, 16384, _i != 0);
    int64_t running = OWNERS;
    owner owners[OWNERS];
    pthread_t threads[OWNERS];
    for (int i = 0; i < OWNERS; i++) {
        owners[i] = (owner){.world = &world,
                            .slot = open_slot(i == 0 ? world.second : world.first),
                            .seed = (uint64_t)i + 1,
                            .charges = scaled(CHARGES),
                            .running = &running};
    }
    for (int i = 0; i < OWNERS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_owner, &owners[i]), 0);
    }
    int64_t recalls = 0;
    int64_t over = 0;
    while (rn_load(&running) > 0) {
        (void)rn_pool_recall(recalls % 2 == 0 ? world.root : world.first);
        if (takes_turns()) {
            (void)sched_yield();
        }
        over += rn_load(&world.root->granted) > limit;
        recalls += 1;
        if (recalls % 1024 == 0) {
            check_audit(&world);
        }
    }
    int64_t refusals = 0;
    for (int i = 0; i < OWNERS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_int_eq(owners[i].broken, 0);
        refusals += owners[i].refusals;
        rn_slot_close(owners[i].slot);
    }
    ck_assert_int_eq(over, 0);
    ck_assert(refusals > 0 || takes_turns());
    ck_assert_int_eq(read_pool(world.root).granted_bytes, 0);
    ck_assert_int_le(read_pool(world.root).peak_bytes, limit);
    printf("%s: %lld recalls, %lld refusals\n", _i == 0 ? "default" : "seq_cst", (long long)recalls,
           (long long)refusals);
    fixture_close(&world);
}
END_TEST

static void *ask_for_too_much(void *argument)
{
    owner *self = (owner *)argument;
    while (rn_load(self->running) > 0) {
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
    }
    return NULL;
}

/* 6000 of 10000 KiB are held for good. A giant asks for more than the rest over and over, never
 * gets it, and holds at most 1 KiB: so whoever asks for the other 3999 must get them every time,
 * and so must the giant its one. */
START_TEST(test_slots__refused_giant_bounces_nobody)
{
    fixture world = fixture_open(10000 * KIB, INT64_MAX, 256 * KIB, _i != 0);
    ck_assert(rn_pool_try_charge(world.first, 6000 * KIB));
    int64_t running = 1;
    owner giant = {.world = &world, .slot = open_slot(world.first), .running = &running};
    rn_slot *slot = open_slot(world.second);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, ask_for_too_much, &giant), 0);
    int64_t refused = 0;
    for (int64_t i = 0; i < scaled(ASKS); i++) {
        if (charge(slot, 3999 * KIB) == RATION_OK) {
            release(slot, 3999 * KIB);
        } else {
            refused += 1;
        }
    }
    rn_store(&running, 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(refused, 0);
    ck_assert_int_eq(giant.grants, 0);
    ck_assert_int_eq(giant.refusals, 0);
    rn_pool_release(world.first, 6000 * KIB);
    rn_slot_close(giant.slot);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

typedef struct passer {
    rn_slot *slots[2];
    int64_t *running;
    int64_t refused;
} passer;

static void *pass_bytes(void *argument)
{
    passer *self = (passer *)argument;
    for (int turn = 0; rn_load(self->running) > 0; turn = 1 - turn) {
        if (charge(self->slots[turn], PASSED) == RATION_OK) {
            release(self->slots[turn], PASSED);
        } else {
            self->refused += 1;
        }
    }
    return NULL;
}

/* A thread holds 4 of 1024 KiB by one of its two slots, then by the other, out of their credit,
 * never by both: 1020 are free at every instant, and another thread must get them. Idle slots
 * between the two make a recall read them far apart. (A recall that leaves slots open is caught
 * here only if it also leaves their floors: a raised floor stops the passing.) */
START_TEST(test_slots__bytes_on_their_way_count_once)
{
    fixture world = fixture_open(MIB, INT64_MAX, MIB, _i != 0);
    rn_slot *idle[IDLE];
    int64_t running = 1;
    passer passing = {.running = &running};
    passing.slots[0] = open_slot(world.first);
    for (int i = 0; i < IDLE; i++) {
        idle[i] = open_slot(world.first);
    }
    passing.slots[1] = open_slot(world.first);
    rn_slot *slot = open_slot(world.second);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, pass_bytes, &passing), 0);
    int64_t refused = 0;
    for (int64_t i = 0; i < scaled(ASKS / 5); i++) {
        if (charge(slot, MIB - PASSED) == RATION_OK) {
            release(slot, MIB - PASSED);
        } else {
            refused += 1;
        }
        (void)sched_yield(); /* gives the two time to run on credit again */
    }
    rn_store(&running, 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(refused, 0);
    ck_assert_int_eq(passing.refused, 0);
    for (int i = 0; i < IDLE; i++) {
        rn_slot_close(idle[i]);
    }
    for (int i = 0; i < 2; i++) {
        rn_slot_close(passing.slots[i]);
    }
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

/* One slot releases while another's ask recalls; then both rest, and nothing is charged: the whole
 * limit must be there, every time (mistake: the recall stores the floor after it has read `used`,
 * or a release loads it before its own store). */
typedef struct releaser {
    rn_slot *slot;
    int64_t rounds;
    int64_t turn; /* odd: the releaser may release; even: both rest */
    int64_t done;
} releaser;

static void wait_for(const int64_t *word, int64_t value)
{
    for (int i = 0; rn_load_acquire(word) < value; i++) {
        if (takes_turns() || i % 1024 == 1023) {
            sched_yield();
        }
    }
}

static void *run_releaser(void *argument)
{
    releaser *self = (releaser *)argument;
    uint64_t seed = 1;
    for (int64_t round = 1; round <= self->rounds; round++) {
        ck_assert_int_eq(charge(self->slot, PASSED), RATION_OK);
        rn_store_release(&self->done, 2 * round - 1);
        wait_for(&self->turn, 2 * round - 1);
        for (volatile uint64_t spin = rn_random_below(&seed, 400); spin > 0; spin--) {
        }
        release(self->slot, PASSED);
        rn_store_release(&self->done, 2 * round);
        wait_for(&self->turn, 2 * round);
    }
    return NULL;
}

static void expect_no_credit_left_behind(bool force_seq_cst)
{
    fixture world = fixture_open(MIB, INT64_MAX, 16 * KIB, force_seq_cst);
    rn_slot *asker;
    releaser other = {.rounds = scaled(ASKS)};
    ck_assert_int_eq(rn_slot_open(world.first, NULL, &other.slot), RATION_OK);
    ck_assert_int_eq(rn_slot_open(world.second, NULL, &asker), RATION_OK);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, run_releaser, &other), 0);
    int64_t refused = 0;
    for (int64_t round = 1; round <= other.rounds; round++) {
        wait_for(&other.done, 2 * round - 1);
        rn_store_release(&other.turn, 2 * round - 1);
        ration_status first = charge(asker, MIB);
        wait_for(&other.done, 2 * round);
        if (first == RATION_OK) {
            release(asker, MIB);
        }
        if (charge(asker, MIB) == RATION_OK) {
            release(asker, MIB);
        } else {
            refused += 1;
            (void)rn_pool_recall(world.first);
            ration_slot_release_slow(&other.slot->hot); /* so that the next round can go on */
        }
        rn_store_release(&other.turn, 2 * round);
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(refused, 0);
    rn_slot_close(asker);
    rn_slot_close(other.slot);
    fixture_close(&world);
}

START_TEST(test_slots__leave_no_credit_behind_a_recall)
{
    expect_no_credit_left_behind(_i != 0);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *both = tcase_create("both orderings");
    tcase_add_loop_test(both, test_slots__never_over_under_recalls, 0, 2);
    tcase_add_loop_test(both, test_slots__refused_giant_bounces_nobody, 0, 2);
    tcase_add_loop_test(both, test_slots__bytes_on_their_way_count_once, 0, 2);
    tcase_add_loop_test(both, test_slots__leave_no_credit_behind_a_recall, 0, 2);
    tcase_set_timeout(both, 300);
    Suite *suite = suite_create("memory/stress");
    suite_add_tcase(suite, both);
    return run_suite(suite);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks for over-commits: owners charge and release as fast as they can while another thread
 * recalls as fast as it can, in both orderings. RATION_STRESS=long (make stress) makes at least
 * 10^8 charges under 10^6 recalls that found credit, in each ordering.
 *
 * What is looked at, throughout:
 *   - each owner, after each charge: used <= limit of its slot (I3), without the lock; every 64
 *     charges with it, and that the slot holds what the owner believes. A recall that missed a
 *     charge leaves a slot that uses more than it was granted, and this sees it at once;
 *   - the recaller, after each recall: granted <= limit; every 1024 recalls the audit;
 *   - at the end: every byte is accounted for, the highest granted ever was within the limit.
 * The first difference stops the program: a core that is broken is found in seconds.
 *
 * Two shapes. With one slot per owner the recaller meets an owner in the middle of a charge most
 * often: finds a missing barrier, a missing second comparison, a seq_cst operation weakened. With
 * many slots, charged in turn, a recall reads some slots long after the barrier, when the owners it
 * interrupted run again: finds `used` read twice, and slots left open while they are read. */
#include "tests/memory/racing.h"

#define OWNERS 2
#define SLOTS 48
#define BATCH 256 /* charges an owner makes between two looks at what the others do */

typedef struct goals {
    int64_t charges, recalls;
} goals;

typedef struct stress {
    fixture world;
    goals goal;
    int64_t charges;        /* made by all, atomic */
    int64_t recalls, found; /* made by main; those that found credit */
    int64_t stop;
    int64_t running; /* owners not yet done */
} stress;

typedef struct owner {
    stress *in;
    rn_slot *slots[SLOTS];
    int64_t held[SLOTS];
    int count;
    uint64_t seed;
    int64_t grants, refusals, broken;
} owner;

static void release_all(owner *self)
{
    for (int i = 0; i < self->count; i++) {
        release(self->slots[i], self->held[i]);
        self->held[i] = 0;
    }
}

static void run_batch(owner *self)
{
    for (int i = 0; i < BATCH; i++) {
        uint64_t random = rn_random(&self->seed);
        int k = (int)((random >> 40) * (uint64_t)self->count >> 24);
        rn_slot *slot = self->slots[k];
        int64_t bytes = (int64_t)(random & 4095);
        if (charge(slot, bytes) == RATION_OK) {
            self->held[k] += bytes;
            self->grants += 1;
        } else {
            self->refusals += 1;
            release_all(self);
        }
        self->broken += !rests_within_limit(slot);
        if ((random & (15 << 12)) == 0) {
            int64_t part = self->held[k] / 2;
            release(slot, part);
            self->held[k] -= part;
        }
        if (i % 64 == 0) {
            self->broken += !rn_slot_check(slot) || rn_slot_used(slot) != self->held[k];
        }
    }
}

/* When the owners have made more of their charges than the recaller of its recalls, it is probably
 * not running: it gets a few recalls ahead. */
static void let_recaller_run(const stress *in)
{
    if (rn_load(&in->charges) / (in->goal.charges / in->goal.recalls) > rn_load(&in->found)) {
        int64_t wanted = rn_load(&in->recalls) + 8;
        while (rn_load(&in->recalls) < wanted && rn_load(&in->stop) == 0) {
            (void)sched_yield();
        }
    }
}

static void *run_owner(void *argument)
{
    owner *self = (owner *)argument;
    while (rn_load(&self->in->stop) == 0 && self->broken == 0) {
        run_batch(self);
        (void)rn_fetch_add(&self->in->charges, BATCH);
        let_recaller_run(self->in);
    }
    release_all(self);
    (void)rn_fetch_add(&self->in->running, -1);
    return NULL;
}

/* Until the pools' words move, which is when an owner was given credit, and a little longer, so
 * that it runs on it; bounded, because all owners may be waiting for each other. */
static void let_owners_run(const stress *in, int64_t granted, uint64_t *seed)
{
    for (int i = 0; i < 2000 && rn_load(&in->world.root->granted) == granted; i++) {
    }
    if (takes_turns()) {
        (void)sched_yield();
    }
    for (volatile uint64_t spin = rn_random_below(seed, 300); spin > 0; spin--) {
    }
}

/* Recalls until the goals are reached or somebody saw a difference. */
static void recall_until_done(stress *in, int64_t limit)
{
    ration_pool *tops[] = {in->world.root, in->world.first, in->world.queries, in->world.second};
    uint64_t seed = 1;
    for (int64_t i = 1; rn_load(&in->running) == OWNERS &&
                        (in->found < in->goal.recalls || rn_load(&in->charges) < in->goal.charges);
         i++) {
        rn_store(&in->recalls, i);
        rn_store(&in->found, in->found + (rn_pool_recall(tops[i % 4]) > 0));
        int64_t granted = rn_load(&in->world.root->granted);
        if (granted > limit) {
            ck_abort_msg("granted %lld > limit %lld", (long long)granted, (long long)limit);
        }
        if (i % 1024 == 0) {
            check_audit(&in->world);
        }
        let_owners_run(in, granted, &seed);
    }
}

static void expect_no_overcommit(bool seq_cst, int slots, goals goal)
{
    const int64_t limit = 256 * KIB; /* refusals, and credit to race for between them */
    stress in = {.world = fixture_open(limit, INT64_MAX, 16 * KIB, seq_cst),
                 .goal = goal,
                 .running = OWNERS};
    owner owners[OWNERS];
    pthread_t threads[OWNERS];
    uint64_t seed = choose_seed(1);
    for (int i = 0; i < OWNERS; i++) {
        owners[i] = (owner){.in = &in, .count = slots, .seed = seed + (uint64_t)i};
        for (int k = 0; k < slots; k++) {
            owners[i].slots[k] = open_slot(i == 0 ? in.world.second : in.world.first);
        }
    }
    for (int i = 0; i < OWNERS; i++) {
        threads[i] = start_thread(run_owner, &owners[i]);
    }
    recall_until_done(&in, limit);
    rn_store(&in.stop, 1);
    int64_t refusals = 0;
    for (int i = 0; i < OWNERS; i++) {
        join_thread(threads[i]);
        refusals += owners[i].refusals;
    }
    printf("%s, %d slots each: %lld charges, %lld recalls found credit, %lld refusals\n",
           seq_cst ? "seq_cst" : "default", slots, (long long)in.charges, (long long)in.found,
           (long long)refusals);
    check_audit(&in.world);
    for (int i = 0; i < OWNERS; i++) {
        ck_assert_msg(owners[i].broken == 0, "over-commit seen after %lld charges, %lld recalls",
                      (long long)in.charges, (long long)in.found);
        for (int k = 0; k < slots; k++) {
            ck_assert_int_eq(rn_slot_used(owners[i].slots[k]), 0);
            rn_slot_close(owners[i].slots[k]);
        }
    }
    ck_assert(refusals > 0 || takes_turns());
    ck_assert_int_eq(read_pool(in.world.root).granted_bytes, 0);
    ck_assert_int_le(read_pool(in.world.root).peak_bytes, limit);
    fixture_close(&in.world);
}

START_TEST(test_slots__never_over_under_recalls)
{
    goals goal = {.charges = scaled(300000), .recalls = scaled(5000)};
    if (is_long()) {
        goal = (goals){.charges = 100000000, .recalls = 1000000};
    }
    expect_no_overcommit(_i != 0, 1, goal);
}
END_TEST

START_TEST(test_slots__never_over_with_many_slots_each)
{
    goals goal = {.charges = scaled(100000), .recalls = scaled(2000)};
    if (is_long()) {
        goal = (goals){.charges = 10000000, .recalls = 200000};
    }
    expect_no_overcommit(_i != 0, SLOTS, goal);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *both = tcase_create("both orderings");
    tcase_add_loop_test(both, test_slots__never_over_under_recalls, 0, 2);
    tcase_add_loop_test(both, test_slots__never_over_with_many_slots_each, 0, 2);
    tcase_set_timeout(both, is_long() ? 3600 : 300);
    Suite *suite = suite_create("memory/stress");
    suite_add_tcase(suite, both);
    return run_suite(suite);
}

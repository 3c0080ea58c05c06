/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes that die in a shared ledger: what they had is given back, to the byte, and nobody who
 * lives loses any; also when they die with the lock, hundreds of times at random instants. Every
 * instant there is, one store after the other: test_shared_steps.c. */
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include "memory/machine/probe.h"
#include "tests/memory/processes.h"

static const rn_share_sizes sizes = {.processes = 12, .pools = 64, .slots = 64};

/* ----------------------------------------------------------------------------- what the dead had
 */

/* Has all there is to have, the first also a ticket, and waits to be killed. */
static void hold_all(stage *here, int index)
{
    member self = join_region(here);
    rn_no no;
    ration_pool *inner;
    need(rn_pool_open(self.ledger, self.pool, "inner", INT64_MAX, RATION_QUERY_LIMIT, NULL,
                      &inner) == RATION_OK);
    need(rn_pool_try_claim(inner, 2 * MIB, &no));
    need(rn_pool_try_charge(self.pool, 3 * MIB));
    rn_slot *slot = take_slot(&self);
    rn_slot *other = take_slot(&self);
    rn_slot *waiting = take_slot(&self);
    need(charge(slot, 5 * MIB) == RATION_OK);
    release(other, MIB);
    need(charge(other, 7 * MIB) == RATION_OK);
    rn_ledger_lock(self.ledger);
    rn_pool_count_givers(inner, 1);
    if (index == 0 && rn_slot_charge_locked(waiting, PROCESSES_LIMIT - 3 * MIB, &no) != RATION_OK) {
        rn_ticket_enter(waiting, &no);
    }
    rn_ledger_unlock(self.ledger);
    need(sem_post(&here->ready) == 0);
    await(&here->go[index]);
    (void)raise(SIGKILL);
}

static void expect_only(const member *self, int64_t charged_bytes)
{
    check_tree(self);
    ration_pool_figures seen = read_pool(self->root);
    ck_assert_int_eq(seen.charged_bytes, charged_bytes);
    ck_assert_int_eq(seen.claim_bytes + seen.waiting, 0);
    ck_assert_int_eq(rn_load(&self->root->givers), 0);
}

START_TEST(test_death__an_ask_that_would_be_refused_gets_what_the_dead_had)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    ck_assert_int_eq(charge(slot, MIB), RATION_OK);
    pid_t child = start_process(hold_all, here, 0);
    await(&here->ready);
    int64_t theirs = (2 + 3 + 5 + 7 - 1) * MIB;
    ck_assert_int_eq(read_pool(self.root).charged_bytes, MIB + theirs);
    kill_process(child);
    ck_assert_int_eq(charge(slot, PROCESSES_LIMIT), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(charge(slot, PROCESSES_LIMIT - MIB), RATION_OK);
    ck_assert_int_eq(charge(slot, 1), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(slot->no.charged_bytes, PROCESSES_LIMIT);
    expect_only(&self, PROCESSES_LIMIT);
    release(slot, PROCESSES_LIMIT);
    rn_slot_close(slot);
    leave_region(&self);
    stage_close(here);
}
END_TEST

static void await_end(pid_t child)
{
    siginfo_t ended;
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
}

/* Dead, and not waited for: the pid is there, the memory is not. */
START_TEST(test_death__buries_by_hand_who_was_not_waited_for)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_bare(here);
    pid_t child = start_process(hold_all, here, 1);
    pid_t living = start_process(hold_all, here, 2);
    await(&here->ready);
    await(&here->ready);
    ck_assert_int_eq(kill(living, SIGSTOP), 0);
    ck_assert_int_eq(rn_ledger_bury(self.ledger), 0);
    ck_assert_int_eq(sem_post(&here->go[1]), 0);
    await_end(child);
    ck_assert_int_eq(rn_ledger_bury(self.ledger), 1);
    ck_assert_int_eq(rn_ledger_bury(self.ledger), 0);
    check_tree(&self);
    ck_assert_int_eq(read_pool(self.root).charged_bytes, 16 * MIB); /* of the one who is stopped */
    kill_process(living);
    ck_assert_int_eq(rn_ledger_bury(self.ledger), 1);
    expect_only(&self, 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    leave_region(&self);
    stage_close(here);
}
END_TEST

/* A pid means the process that had it when it joined. */
START_TEST(test_death__knows_a_pid_that_was_given_to_another)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_bare(here);
    pid_t child = start_process(hold_all, here, 0);
    await(&here->ready);
    ck_assert_int_eq(rn_ledger_bury(self.ledger), 0);
    rn_share *share = rn_share_of(self.ledger);
    int64_t places = sizes.processes + sizes.pools + sizes.slots;
    int64_t found = 0;
    for (int64_t i = 0; i < places; i++) {
        if ((share->holders[i] & ((1 << RN_SHARE_PID_BITS) - 1)) == child) {
            ck_assert_int_eq(share->holders[i] >> RN_SHARE_PID_BITS, rn_probe_start_time(child));
            share->holders[i] -= (int64_t)1 << RN_SHARE_PID_BITS; /* started a tick earlier */
            found += 1;
        }
    }
    ck_assert_int_eq(found, 1 + 2 + 3);
    ck_assert_int_eq(rn_ledger_bury(self.ledger), 1);
    expect_only(&self, 0);
    kill_process(child);
    leave_region(&self);
    stage_close(here);
}
END_TEST

START_TEST(test_death__places_of_the_dead_are_taken_again)
{
    const rn_share_sizes small = {.processes = 2, .pools = 4, .slots = 3};
    stage *here = stage_open(&small, PROCESSES_LIMIT);
    for (int round = 0; round < 3; round++) {
        pid_t child = start_process(hold_all, here, 0);
        await(&here->ready);
        kill_process(child);
    }
    pid_t child = start_process(hold_all, here, 0);
    await(&here->ready);
    member self = join_bare(here);
    rn_slot *slot;
    ration_pool *pool;
    ck_assert_int_eq(rn_slot_open(self.queries, NULL, &slot), RATION_NO_SLOT);
    kill_process(child);
    ck_assert_int_eq(rn_slot_open(self.queries, NULL, &slot), RATION_OK);
    ck_assert_int_eq(
        rn_pool_open(self.ledger, self.queries, "new", 1, RATION_QUERY_LIMIT, NULL, &pool),
        RATION_OK);
    rn_pool_close(pool);
    rn_slot_close(slot);
    expect_only(&self, 0);
    leave_region(&self);
    stage_close(here);
}
END_TEST

/* A slot of the living in a pool of the dead keeps the pool, and both go when it is closed. */
START_TEST(test_death__a_pool_that_others_are_in_stays)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_bare(here);
    pid_t child = start_process(hold_all, here, 1);
    await(&here->ready);
    char name[RN_POOL_NAME_BYTES];
    snprintf(name, sizeof(name), "p%d", (int)child);
    self.pool = rn_pool_find(self.ledger, self.queries, name);
    rn_slot *slot = take_slot(&self);
    ck_assert_int_eq(charge(slot, MIB), RATION_OK);
    kill_process(child);
    ck_assert_int_eq(rn_ledger_bury(self.ledger), 1);
    check_tree(&self);
    ck_assert_int_eq(read_pool(self.root).charged_bytes, MIB + 3 * MIB);
    release(slot, MIB);
    rn_slot_close(slot);
    ck_assert_int_eq(rn_ledger_bury(self.ledger), 1);
    self.pool = NULL;
    expect_only(&self, 0);
    leave_region(&self);
    stage_close(here);
}
END_TEST

/* Who sleeps looks for the dead itself: nobody else may come. */
START_TEST(test_death__a_sleeping_waiter_gets_what_the_dead_had)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    pid_t child = start_process(hold_all, here, 0);
    await(&here->ready);
    rn_no no;
    rn_ledger_lock(self.ledger);
    ck_assert_int_eq(rn_slot_charge_locked(slot, PROCESSES_LIMIT, &no), RATION_GLOBAL_LIMIT);
    rn_ticket_enter(slot, &no);
    rn_ledger_unlock(self.ledger);
    ck_assert_int_eq(rn_ticket_read(slot), RN_TICKET_WAITING);
    ck_assert_int_eq(sem_post(&here->go[0]), 0);
    ck_assert_int_eq(rn_ticket_wait(slot, INT64_MAX), RN_TICKET_GRANTED);
    rn_ledger_lock(self.ledger);
    rn_ticket_take(slot);
    rn_ledger_unlock(self.ledger);
    expect_only(&self, PROCESSES_LIMIT);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    release(slot, PROCESSES_LIMIT);
    rn_slot_close(slot);
    leave_region(&self);
    stage_close(here);
}
END_TEST

/* ---------------------------------------------------------------------------- who is a process */

static void *stay(void *argument)
{
    stage *here = (stage *)argument;
    while (__atomic_load_n(&here->stop, __ATOMIC_ACQUIRE) == 0) {
        (void)sched_yield();
    }
    (void)raise(SIGKILL);
    return NULL;
}

START_TEST(test_probe__start_time_tells_processes_apart)
{
    int64_t own = rn_probe_start_time(getpid());
    ck_assert_int_gt(own, 0);
    ck_assert_int_ne(rn_probe_epoch(), 0);
    ck_assert_int_eq(rn_probe_epoch(), rn_probe_epoch());
    const char *names[] = {") Z 1 1 1", "a b", "x)\nS 1", "((("};
    for (size_t i = 0; i < RN_COUNT(names); i++) {
        ck_assert_int_eq(prctl(PR_SET_NAME, names[i]), 0);
        ck_assert_int_eq(rn_probe_start_time(getpid()), own);
    }
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    pid_t child = fork();
    if (child == 0) { /* the first thread ends, the process does not */
        pthread_t thread;
        need(pthread_create(&thread, NULL, stay, here) == 0);
        need(sem_post(&here->ready) == 0);
        pthread_exit(NULL);
    }
    await(&here->ready);
    for (int i = 0; i < 2000; i++) {
        ck_assert_int_ge(rn_probe_start_time(child), own);
    }
    __atomic_store_n(&here->stop, 1, __ATOMIC_RELEASE);
    await_end(child);
    ck_assert_int_eq(rn_probe_start_time(child), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(rn_probe_start_time(child), 0);
    stage_close(here);
}
END_TEST

/* ------------------------------------------------------------------------------- storms of kills
 */

#define WORKERS 3
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define KILLS 150
#else
#define KILLS 600
#endif

typedef struct worker {
    member at;
    rn_slot *slots[2];
    int64_t held[2];
    int64_t direct;
    uint64_t random;
} worker;

static int64_t some_bytes(worker *self)
{
    static const int64_t scales[] = {100, 64 * 1024, 4 * MIB, PROCESSES_LIMIT / 2};
    uint64_t scale = (uint64_t)scales[rn_random_below(&self->random, RN_COUNT(scales))];
    return (int64_t)rn_random_below(&self->random, scale) + 1;
}

static void wait_a_little(worker *self, int i)
{
    rn_no no;
    rn_slot *slot = self->slots[i];
    int64_t bytes = some_bytes(self);
    rn_ledger_lock(self->at.ledger);
    bool charged = rn_slot_charge_locked(slot, bytes, &no) == RATION_OK;
    if (!charged && bytes <= PROCESSES_LIMIT) {
        rn_ticket_enter(slot, &no);
        rn_pool_count_givers(self->at.pool, 1);
    }
    rn_ledger_unlock(self->at.ledger);
    if (!charged) {
        (void)rn_ticket_wait(slot, rn_clock_ns() + 200000);
        rn_ledger_lock(self->at.ledger);
        charged = rn_ticket_read(slot) == RN_TICKET_GRANTED;
        if (charged) {
            rn_ticket_take(slot);
        } else {
            rn_ticket_leave(slot);
        }
        rn_pool_count_givers(self->at.pool, -1);
        rn_ledger_unlock(self->at.ledger);
    }
    self->held[i] += charged ? bytes : 0;
}

static void change_pools(worker *self)
{
    rn_no no;
    ration_pool *group;
    member *at = &self->at;
    if (rn_pool_open(at->ledger, at->queries, "group", INT64_MAX, RATION_GROUP_LIMIT, NULL,
                     &group) == RATION_OK) {
        bool moved = rn_pool_set_parent(at->pool, group, &no);
        bool claimed = rn_pool_try_claim(at->pool, some_bytes(self) / 8, &no);
        rn_pool_set_limit(at->pool, some_bytes(self));
        rn_pool_set_limit(at->pool, INT64_MAX);
        need(!claimed || rn_pool_try_claim(at->pool, 0, &no));
        if (moved) { /* the root has what it holds: back it always fits, unless somebody waits */
            while (!rn_pool_set_parent(at->pool, at->queries, &no)) {
                (void)sched_yield();
            }
        }
        rn_pool_close(group);
    }
}

static void act_at_random(worker *self)
{
    int i = (int)rn_random_below(&self->random, 2);
    int64_t bytes = some_bytes(self);
    switch (rn_random_below(&self->random, 12)) {
    case 0:
        wait_a_little(self, i);
        break;
    case 1:
        change_pools(self);
        break;
    case 2:
        (void)rn_pool_recall(self->at.root);
        break;
    case 3:
        self->direct += rn_pool_try_charge(self->at.pool, bytes) ? bytes : 0;
        break;
    case 4:
        rn_pool_release(self->at.pool, self->direct);
        self->direct = 0;
        break;
    case 5:
    case 6:
    case 7:
        bytes = (int64_t)rn_random_below(&self->random, (uint64_t)self->held[i] + 1);
        release(self->slots[i], bytes);
        self->held[i] -= bytes;
        break;
    default:
        self->held[i] += charge(self->slots[i], bytes) == RATION_OK ? bytes : 0;
    }
}

static void live_dangerously(stage *here, int index)
{
    worker self = {.random = (uint64_t)getpid() * 77};
    while (__atomic_load_n(&here->stop, __ATOMIC_ACQUIRE) == 0) {
        self.at = join_region(here);
        self.direct = 0;
        for (int i = 0; i < 2; i++) {
            self.slots[i] = take_slot(&self.at);
            self.held[i] = 0;
        }
        for (int turn = 0; turn < 200; turn++) {
            act_at_random(&self);
            for (int i = 0; i < 2; i++) {
                need(rn_slot_used(self.slots[i]) == self.held[i]);
                need(rn_slot_check(self.slots[i]));
            }
            (void)rn_fetch_add(&here->words[index], 1);
        }
        rn_pool_release(self.at.pool, self.direct);
        for (int i = 0; i < 2; i++) {
            release(self.slots[i], self.held[i]);
            rn_slot_close(self.slots[i]);
        }
        leave_region(&self.at);
    }
}

static void watch_limit(stage *here, int index)
{
    (void)index;
    member self = join_bare(here);
    while (__atomic_load_n(&here->stop, __ATOMIC_ACQUIRE) == 0) {
        need(rn_load(&self.root->granted) <= PROCESSES_LIMIT);
        need(rn_load(&self.queries->held) <= PROCESSES_LIMIT);
        if (rn_fetch_add(&here->words[8], 1) % 256 == 0) {
            check_tree(&self);
            (void)sched_yield();
        }
    }
    leave_region(&self);
}

START_TEST(test_death__hundreds_of_kills_leave_the_books_right)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    const char *given = getenv("RATION_SEED");
    uint64_t random = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)rn_clock_ns();
    printf("seed=%llu\n", (unsigned long long)random);
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    ck_assert_int_eq(charge(slot, 11 * MIB), RATION_OK);
    pid_t watcher = start_process(watch_limit, here, 0);
    pid_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = start_process(live_dangerously, here, i);
    }
    int most = getenv("CK_TIMEOUT_MULTIPLIER") != NULL ? KILLS / 30 : KILLS; /* valgrind is slow */
    for (int kills = 0; kills < most; kills++) {
        (void)usleep((useconds_t)rn_random_below(&random, 2000));
        int i = (int)rn_random_below(&random, WORKERS);
        kill_process(workers[i]);
        workers[i] = start_process(live_dangerously, here, i);
        ck_assert_int_eq(rn_slot_used(slot), 11 * MIB);
    }
    __atomic_store_n(&here->stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < WORKERS; i++) {
        await_process(workers[i]);
        ck_assert_int_gt(here->words[i], 0);
    }
    await_process(watcher);
    (void)rn_ledger_bury(self.ledger);
    printf("%d kills, %lld of them with the lock\n", most,
           (long long)rn_ledger_repairs(self.ledger));
    expect_only(&self, 11 * MIB);
    ck_assert_int_eq(charge(slot, PROCESSES_LIMIT - 11 * MIB), RATION_OK);
    release(slot, PROCESSES_LIMIT);
    rn_slot_close(slot);
    leave_region(&self);
    stage_close(here);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shared_death");
    TCase *tests = tcase_create("shared_death");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_death__an_ask_that_would_be_refused_gets_what_the_dead_had);
    tcase_add_test(tests, test_death__buries_by_hand_who_was_not_waited_for);
    tcase_add_test(tests, test_death__knows_a_pid_that_was_given_to_another);
    tcase_add_test(tests, test_death__places_of_the_dead_are_taken_again);
    tcase_add_test(tests, test_death__a_pool_that_others_are_in_stays);
    tcase_add_test(tests, test_death__a_sleeping_waiter_gets_what_the_dead_had);
    tcase_add_test(tests, test_probe__start_time_tells_processes_apart);
    tcase_add_test(tests, test_death__hundreds_of_kills_leave_the_books_right);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

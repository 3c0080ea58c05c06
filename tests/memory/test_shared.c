/* SPDX-License-Identifier: Apache-2.0
 *
 * A ledger of several processes: what one has idle is another's for the asking, the limit holds for
 * all together, a release in one wakes a waiter in another, and tables end. What is no region:
 * test_shared_damage.c; deaths: test_shared_death.c. */
#include <sched.h>

#include "tests/memory/processes.h"

#define PROCESSES 4

static const rn_share_sizes sizes = {.processes = 8, .pools = 16, .slots = 16};

/* ----------------------------------------------------------------------------- one tree for all */

START_TEST(test_shared__is_one_tree_at_two_addresses)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member one = join_region(here);
    member two = join_bare(here);
    ck_assert_ptr_ne(one.root, two.root);
    rn_slot *slot = take_slot(&one);
    ck_assert_int_eq(slot->hot.ordering, 1);
    ck_assert_int_eq(charge(slot, 5 * MIB), RATION_OK);
    ration_pool_figures seen = read_pool(two.root);
    ck_assert_int_eq(seen.charged_bytes, 5 * MIB);
    ck_assert_int_eq(seen.limit_bytes, PROCESSES_LIMIT);
    ration_pool *same = rn_pool_find(two.ledger, two.queries, rn_pool_name(one.pool));
    ck_assert_int_eq(read_pool(same).charged_bytes, 5 * MIB);
    rn_slot *other;
    ck_assert_int_eq(rn_slot_open(same, NULL, &other), RATION_OK);
    ck_assert_int_eq(charge(other, PROCESSES_LIMIT - 5 * MIB), RATION_OK);
    ck_assert_int_eq(charge(slot, 1), RATION_GLOBAL_LIMIT);
    ck_assert_str_eq(slot->no.path, "root");
    check_tree(&one);
    check_tree(&two);
    release(other, PROCESSES_LIMIT - 5 * MIB);
    rn_slot_close(other);
    rn_ledger_close(two.ledger);
    release(slot, 5 * MIB);
    rn_slot_close(slot);
    leave_region(&one);
    stage_close(here);
}
END_TEST

/* The limits are of whoever is alone there. */
START_TEST(test_shared__tells_who_is_alone)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    rn_ledger *first, *second;
    bool alone = false;
    ck_assert_int_eq(rn_ledger_join_shared(here->descriptor, 4096, &first, &alone, NULL),
                     RATION_OK);
    ck_assert(alone);
    ck_assert_int_eq(first->chunk_bytes_max, 4096);
    ck_assert_int_eq(rn_ledger_join_shared(here->descriptor, 8192, &second, &alone, NULL),
                     RATION_OK);
    ck_assert(!alone);
    ck_assert_int_eq(second->chunk_bytes_max, 4096);
    rn_ledger_close(first);
    rn_ledger_close(second);
    stage_close(here);
}
END_TEST

/* Has credit and nothing charged, or one byte charged, while others ask. */
static void be_idle(stage *here, int index)
{
    int64_t bytes = here->words[0];
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    while (__atomic_load_n(&here->stop, __ATOMIC_ACQUIRE) == 0) {
        need(charge(slot, 64 * 1024) == RATION_OK);
        release(slot, 64 * 1024 - bytes);
        need(slot->hot.limit > bytes);
        need(sem_post(&here->ready) == 0);
        await(&here->go[index]);
        need(slot->hot.limit == bytes); /* it was taken by somebody at another address */
        release(slot, bytes);
        need(sem_post(&here->done) == 0);
        await(&here->go[index]);
    }
    rn_slot_close(slot);
    leave_region(&self);
}

static void await_all(sem_t *semaphore)
{
    for (int i = 0; i < PROCESSES; i++) {
        await(semaphore);
    }
}

static void let_all_go(stage *here)
{
    for (int i = 0; i < PROCESSES; i++) {
        ck_assert_int_eq(sem_post(&here->go[i]), 0);
    }
}

START_TEST(test_shared__grants_the_idle_credit_of_others_to_an_exact_ask)
{
    enum { ROUNDS = 100 };
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    int64_t held = here->words[0] = _i;
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = start_process(be_idle, here, i);
    }
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    for (int round = 0; round < ROUNDS; round++) {
        await_all(&here->ready);
        ck_assert_int_gt(read_pool(self.root).credit_bytes, 0);
        int64_t rest = PROCESSES_LIMIT - PROCESSES * held;
        ck_assert_int_eq(charge(slot, rest + 1), RATION_GLOBAL_LIMIT);
        ck_assert_int_eq(slot->no.charged_bytes, PROCESSES * held);
        ck_assert_int_eq(charge(slot, rest), RATION_OK);
        ck_assert_int_eq(charge(slot, 1), RATION_GLOBAL_LIMIT);
        check_tree(&self);
        __atomic_store_n(&here->stop, round == ROUNDS - 1, __ATOMIC_RELEASE);
        release(slot, rest);
        let_all_go(here);
        await_all(&here->done);
        let_all_go(here);
    }
    for (int i = 0; i < PROCESSES; i++) {
        await_process(children[i]);
    }
    rn_slot_close(slot);
    ck_assert_int_eq(read_pool(self.root).granted_bytes, 0);
    leave_region(&self);
    stage_close(here);
}
END_TEST

/* ------------------------------------------------------------------- the limit, seen by a fifth */

/* Charges and releases at random; what all hold together is kept beside the ledger. */
static void race(stage *here, int index)
{
    enum { TURNS = 20000 };
    uint64_t random = (uint64_t)index + 1;
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    int64_t held = 0;
    for (int turn = 0; turn < TURNS; turn++) {
        int64_t bytes = (int64_t)rn_random_below(&random, 3 * MIB);
        if (charge(slot, bytes) == RATION_OK) {
            held += bytes;
            need(__atomic_add_fetch(&here->words[0], bytes, __ATOMIC_SEQ_CST) <= PROCESSES_LIMIT);
        } else {
            (void)rn_fetch_add(&here->words[1], 1);
        }
        if (held > 0 && rn_random_below(&random, 12) == 0) {
            int64_t back = (int64_t)rn_random_below(&random, (uint64_t)held) + 1;
            (void)__atomic_sub_fetch(&here->words[0], back, __ATOMIC_SEQ_CST);
            release(slot, back);
            held -= back;
        }
    }
    (void)__atomic_sub_fetch(&here->words[0], held, __ATOMIC_SEQ_CST);
    release(slot, held);
    rn_slot_close(slot);
    leave_region(&self);
}

static void sample(stage *here, int index)
{
    (void)index;
    member self = join_bare(here);
    need(sem_post(&here->ready) == 0);
    while (__atomic_load_n(&here->stop, __ATOMIC_ACQUIRE) == 0) {
        need(rn_load(&self.root->granted) <= PROCESSES_LIMIT);
        need(rn_load(&self.queries->held) <= PROCESSES_LIMIT);
        here->words[2] += 1;
        if (here->words[2] % 1024 == 0) {
            check_tree(&self);
            (void)sched_yield();
        }
    }
    leave_region(&self);
}

START_TEST(test_shared__never_passes_the_limit)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    pid_t watcher = start_process(sample, here, 0);
    await(&here->ready);
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = start_process(race, here, i);
    }
    for (int i = 0; i < PROCESSES; i++) {
        await_process(children[i]);
    }
    __atomic_store_n(&here->stop, 1, __ATOMIC_RELEASE);
    await_process(watcher);
    ck_assert_int_gt(here->words[1], 0);
    ck_assert_int_gt(here->words[2], 0);
    ck_assert_int_eq(here->words[0], 0);
    member self = join_bare(here);
    check_tree(&self);
    ck_assert_int_eq(read_pool(self.root).granted_bytes, 0);
    leave_region(&self);
    stage_close(here);
}
END_TEST

/* -------------------------------------------------------------------------------------- tickets */

static void enter_queue(const member *self, rn_slot *slot, int64_t bytes)
{
    rn_no no;
    rn_ledger_lock(self->ledger);
    need(rn_slot_charge_locked(slot, bytes, &no) != RATION_OK);
    rn_ticket_enter(slot, &no);
    rn_pool_count_givers(self->queries, 1);
    rn_ledger_unlock(self->ledger);
}

static void take_promised(const member *self, rn_slot *slot)
{
    rn_ledger_lock(self->ledger);
    rn_ticket_take(slot);
    rn_pool_count_givers(self->queries, -1);
    rn_ledger_unlock(self->ledger);
}

static void wait_for_bytes(stage *here, int index)
{
    int64_t bytes = here->words[index];
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    enter_queue(&self, slot, bytes);
    need(sem_post(&here->ready) == 0);
    need(rn_ticket_wait(slot, INT64_MAX) == RN_TICKET_GRANTED);
    take_promised(&self, slot);
    need(rn_slot_used(slot) == bytes);
    check_tree(&self);
    need(sem_post(&here->done) == 0);
    await(&here->go[index]);
    release(slot, bytes);
    rn_slot_close(slot);
    leave_region(&self);
}

/* First come, first served, from process to process. */
START_TEST(test_shared__a_release_wakes_a_waiter_of_another_process)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    ck_assert_int_eq(charge(slot, PROCESSES_LIMIT), RATION_OK);
    here->words[0] = 20 * MIB;
    here->words[1] = 30 * MIB;
    pid_t first = start_process(wait_for_bytes, here, 0);
    await(&here->ready);
    pid_t second = start_process(wait_for_bytes, here, 1);
    await(&here->ready);
    ck_assert_int_eq(read_pool(self.root).waiting, 2);
    release(slot, 20 * MIB);
    await(&here->done);
    ck_assert_int_eq(read_pool(self.root).waiting, 1);
    ck_assert_int_eq(sem_trywait(&here->done), -1);
    release(slot, 29 * MIB);
    ck_assert_int_eq(charge(slot, 1), RATION_GLOBAL_LIMIT); /* what is free is the waiter's */
    check_tree(&self);
    release(slot, 1 * MIB);
    await(&here->done);
    ck_assert_int_eq(read_pool(self.root).waiting, 0);
    check_tree(&self);
    ck_assert_int_eq(sem_post(&here->go[0]) + sem_post(&here->go[1]), 0);
    await_process(first);
    await_process(second);
    ck_assert_int_eq(read_pool(self.root).charged_bytes, PROCESSES_LIMIT - 50 * MIB);
    release(slot, PROCESSES_LIMIT - 50 * MIB);
    rn_slot_close(slot);
    leave_region(&self);
    stage_close(here);
}
END_TEST

/* --------------------------------------------------------------------------------- whose it is */

static void own_a_pool(stage *here, int index)
{
    member self = join_region(here);
    need(rn_pool_owner(self.pool) == self.ledger);
    need(sem_post(&here->ready) == 0);
    await(&here->go[index]);
    leave_region(&self);
}

START_TEST(test_shared__owners_are_known_in_their_process_only)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    pid_t child = start_process(own_a_pool, here, 0);
    await(&here->ready);
    member self = join_bare(here);
    char name[RN_POOL_NAME_BYTES];
    snprintf(name, sizeof(name), "p%d", (int)child);
    ration_pool *theirs = rn_pool_find(self.ledger, self.queries, name);
    ck_assert_ptr_nonnull(theirs);
    ck_assert_ptr_nonnull(theirs->owner);
    ck_assert_ptr_null(rn_pool_owner(theirs));
    ck_assert_int_eq(sem_post(&here->go[0]), 0);
    await_process(child);
    leave_region(&self);
    stage_close(here);
}
END_TEST

START_TEST(test_shared__retains_no_pages)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    rn_blocks *blocks;
    void *block;
    ck_assert_int_eq(rn_blocks_open(self.root, NULL, &blocks), RATION_OK);
    ck_assert_ptr_eq(rn_pool_blocks(self.pool), blocks);
    ck_assert_int_eq(rn_block_acquire(slot, RN_BLOCK_BYTES, &block), RATION_OK);
    memset(block, 1, (size_t)RN_BLOCK_BYTES);
    ck_assert_int_eq(read_pool(self.root).charged_bytes, RN_BLOCK_BYTES);
    rn_block_release(slot, block, RN_BLOCK_BYTES);
    ck_assert_int_eq(rn_blocks_mapped(blocks), 0);
    ck_assert_int_eq(read_pool(self.root).retained_bytes, 0);
    rn_blocks_close(blocks);
    rn_slot_close(slot);
    leave_region(&self);
    stage_close(here);
}
END_TEST

/* The child of a process that has joined has neither the region nor its parent's slots, and joins
 * for itself. */
START_TEST(test_shared__is_not_inherited_by_fork)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    ck_assert_int_eq(charge(slot, MIB), RATION_OK);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        unsigned char resident;
        uintptr_t page = (uintptr_t)getpagesize();
        void *start = (void *)((uintptr_t)slot & ~(page - 1));
        need(mincore(start, 1, &resident) == -1 && errno == ENOMEM);
        void *own = (void *)((uintptr_t)rn_share_own_of(self.ledger) & ~(page - 1));
        need(mincore(own, 1, &resident) == -1 && errno == ENOMEM);
        member again = join_region(here);
        rn_slot *other = take_slot(&again);
        need(charge(other, PROCESSES_LIMIT - MIB) == RATION_OK);
        need(charge(other, 1) == RATION_GLOBAL_LIMIT);
        release(other, PROCESSES_LIMIT - MIB);
        rn_slot_close(other);
        leave_region(&again);
        _exit(0);
    }
    await_process(child);
    check_tree(&self);
    release(slot, MIB);
    rn_slot_close(slot);
    leave_region(&self);
    stage_close(here);
}
END_TEST

/* --------------------------------------------------------------------------------- full tables */

START_TEST(test_shared__ends_with_its_tables)
{
    const rn_share_sizes small = {.processes = 2, .pools = 4, .slots = 3};
    stage *here = stage_open(&small, PROCESSES_LIMIT);
    member self = join_region(here);
    ration_pool *pool, *more;
    rn_slot *slots[3], *slot;
    ck_assert_int_eq(
        rn_pool_open(self.ledger, self.queries, "more", INT64_MAX, RATION_QUERY_LIMIT, NULL, &more),
        RATION_OK);
    for (int round = 0; round < 3; round++) {
        ck_assert_int_eq(rn_pool_open(self.ledger, self.queries, "no", INT64_MAX,
                                      RATION_QUERY_LIMIT, NULL, &pool),
                         RATION_NO_MEMORY);
        for (int i = 0; i < 3; i++) {
            slots[i] = take_slot(&self);
            ck_assert_int_eq(charge(slots[i], 100), RATION_OK);
        }
        ck_assert_int_eq(rn_slot_open(self.pool, NULL, &slot), RATION_NO_SLOT);
        check_tree(&self);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(slots[i]->hot.used, 100);
            release(slots[i], 100);
            rn_slot_close(slots[i]);
        }
    }
    bool alone;
    rn_ledger *second, *third;
    ration_error error;
    ck_assert_int_eq(rn_ledger_join_shared(here->descriptor, 0, &second, &alone, NULL), RATION_OK);
    ck_assert_int_eq(rn_ledger_join_shared(here->descriptor, 0, &third, &alone, &error),
                     RATION_ENVIRONMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "2 processes"));
    rn_ledger_close(second);
    rn_pool_close(more);
    leave_region(&self);
    stage_close(here);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shared");
    TCase *tests = tcase_create("shared");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_shared__is_one_tree_at_two_addresses);
    tcase_add_test(tests, test_shared__tells_who_is_alone);
    tcase_add_loop_test(tests, test_shared__grants_the_idle_credit_of_others_to_an_exact_ask, 0, 2);
    tcase_add_test(tests, test_shared__never_passes_the_limit);
    tcase_add_test(tests, test_shared__a_release_wakes_a_waiter_of_another_process);
    tcase_add_test(tests, test_shared__owners_are_known_in_their_process_only);
    tcase_add_test(tests, test_shared__retains_no_pages);
    tcase_add_test(tests, test_shared__is_not_inherited_by_fork);
    tcase_add_test(tests, test_shared__ends_with_its_tables);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

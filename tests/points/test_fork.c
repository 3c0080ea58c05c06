/* SPDX-License-Identifier: Apache-2.0
 *
 * A process that forks while other threads are in the middle of something. The child has the
 * ledger and one thread: it must find the locks free, no credit out, nobody waiting, and charged
 * bytes charged; the parent must not notice. Both orderings (_i). */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/queue.h"
#include "tests/points/acts.h"

#define LIMIT MIB
#define HELD 1000
#define MORE 500

typedef struct scene {
    fixture world;
    act owning;
    points_actor owner;
    rn_slot *own;           /* of the thread that forks */
    int64_t released_bytes; /* by the child, of what `own` has charged */
    int64_t charged_bytes;  /* that it should find then */
    int *verdict; /* of the child, in memory it shares: valgrind has a say in exit codes */
} scene;

static void set_stage(scene *stage, bool seq_cst)
{
    *stage = (scene){.world = fixture_open(LIMIT, INT64_MAX, 64 * 1024, seq_cst)};
    stage->owning = (act){.slot = open_slot(stage->world.first), .bytes = MORE};
    stage->own = open_slot(stage->world.second);
    void *shared = mmap(NULL, sizeof(*stage->verdict), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(shared != MAP_FAILED);
    stage->verdict = (int *)shared;
    *stage->verdict = -1;
    ck_assert_int_eq(charge(stage->owning.slot, HELD), RATION_OK);
    points_start(&stage->owner, "owner", act_charge, &stage->owning);
}

static void clear_stage(scene *stage)
{
    rn_slot *slots[] = {stage->owning.slot, stage->own};
    check_audit(&stage->world);
    ck_assert_int_eq(munmap(stage->verdict, sizeof(*stage->verdict)), 0);
    for (size_t i = 0; i < RN_COUNT(slots); i++) {
        release(slots[i], rn_slot_used(slots[i]));
        rn_slot_close(slots[i]);
    }
    fixture_close(&stage->world);
}

/* In the child: the number of the first expectation that is not met. */
static int look_around(const scene *stage)
{
    const fixture *world = &stage->world;
    char text[256];
    if (!ration_pool_check(world->root, text, sizeof(text))) {
        return 1;
    }
    ration_pool_figures figures = read_pool(world->root);
    if (figures.credit_bytes != 0) {
        return 2;
    }
    if (figures.charged_bytes != stage->charged_bytes) {
        return 3;
    }
    if (rn_queue_first(world->ledger) != NULL || rn_load(&world->queries->waiting) != 0) {
        return 4;
    }
    const ration_pool *pools[] = {world->root, world->queries, world->first, world->second};
    for (size_t i = 0; i < RN_COUNT(pools); i++) {
        if (rn_load(&pools[i]->givers) != 0) {
            return 5;
        }
    }
    int64_t rest = rn_pool_limit(world->root) - stage->charged_bytes;
    if (charge(stage->own, rest) != RATION_OK || charge(stage->own, 1) == RATION_OK) {
        return 6;
    }
    release(stage->own, rn_slot_used(stage->own));
    return rn_faults() == 0 ? 0 : 7;
}

static void fork_off(void *argument)
{
    scene *self = (scene *)argument;
    pid_t child = fork();
    if (child == 0) {
        release(self->own, self->released_bytes);
        *self->verdict = look_around(self);
        _exit(0);
    }
    if (waitpid(child, NULL, 0) != child) {
        *self->verdict = -1;
    }
}

/* By the thread that charged: what it holds in the child is its own to release. */
START_TEST(test_fork__between_charge_and_release)
{
    scene stage;
    set_stage(&stage, _i != 0);
    ration_pool *owned; /* by a layer that has nothing to say in the child */
    ck_assert_int_eq(rn_pool_open(stage.world.ledger, stage.world.queries, "owned", INT64_MAX,
                                  RATION_QUERY_LIMIT, &stage, &owned),
                     RATION_OK);
    ck_assert_int_eq(charge(stage.own, MORE), RATION_OK);
    stage.released_bytes = MORE;
    stage.charged_bytes = HELD;
    fork_off(&stage);
    ck_assert_int_eq(*stage.verdict, 0);
    ck_assert_int_eq(read_pool(stage.world.root).charged_bytes, HELD + MORE);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    rn_pool_close(owned);
    clear_stage(&stage);
}
END_TEST

/* On credit: as good as granted. */
START_TEST(test_fork__between_publish_and_second_compare)
{
    scene stage;
    set_stage(&stage, _i != 0);
    points_run_to(&stage.owner, "charge.published");
    stage.charged_bytes = HELD + MORE;
    fork_off(&stage);
    ck_assert_int_eq(*stage.verdict, 0);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* On credit that was recalled before: the thread that would take the bytes back is not there. */
START_TEST(test_fork__while_a_charge_is_published_in_vain)
{
    scene stage;
    set_stage(&stage, _i != 0);
    points_run_to(&stage.owner, "charge.compared");
    rn_pool_set_limit(stage.world.root, HELD);
    points_run_to(&stage.owner, "charge.published");
    stage.charged_bytes = HELD;
    fork_off(&stage);
    ck_assert_int_eq(*stage.verdict, 0);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_GLOBAL_LIMIT);
    clear_stage(&stage);
}
END_TEST

/* The lock is taken: the fork waits, and copies a ledger that is whole. */
START_TEST(test_fork__in_the_middle_of_a_recall)
{
    scene stage;
    set_stage(&stage, _i != 0);
    act recalling = {.pool = stage.world.root};
    points_actor recaller;
    points_actor forker;
    points_start(&recaller, "recaller", act_recall, &recalling);
    points_start(&forker, "forker", fork_off, &stage);
    points_run_to(&recaller, "recall.read");
    stage.charged_bytes = HELD;
    points_let_go(&forker);
    points_await_stuck(&forker);
    ck_assert(!points_ended(&forker));
    points_finish(&recaller);
    points_finish(&forker);
    ck_assert_int_eq(*stage.verdict, 0);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* The child inherits no queue; the parent's goes on. */
START_TEST(test_fork__while_somebody_waits)
{
    scene stage;
    set_stage(&stage, _i != 0);
    fixture *world = &stage.world;
    points_finish(&stage.owner);
    ck_assert_int_eq(charge(stage.own, LIMIT - HELD - MORE), RATION_OK);
    rn_slot *waiter = open_slot(world->first);
    rn_no no;
    rn_ledger_lock(world->ledger);
    rn_pool_count_givers(world->first, 1);
    ck_assert_int_ne(rn_slot_charge_locked(waiter, MORE, &no), RATION_OK);
    rn_ticket_enter(waiter, &no);
    rn_ledger_unlock(world->ledger);
    ck_assert_int_eq(rn_ticket_read(waiter), RN_TICKET_WAITING);
    stage.charged_bytes = LIMIT;
    fork_off(&stage);
    ck_assert_int_eq(*stage.verdict, 0);
    release(stage.own, MORE);
    ck_assert_int_eq(rn_ticket_read(waiter), RN_TICKET_GRANTED);
    rn_ledger_lock(world->ledger);
    rn_ticket_take(waiter);
    rn_pool_count_givers(world->first, -1);
    rn_ledger_unlock(world->ledger);
    release(waiter, MORE);
    rn_slot_close(waiter);
    clear_stage(&stage);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_fork__between_charge_and_release,
        test_fork__between_publish_and_second_compare,
        test_fork__while_a_charge_is_published_in_vain,
        test_fork__in_the_middle_of_a_recall,
        test_fork__while_somebody_waits,
    };
    return run_in_both_orderings("points/fork", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The interleavings of the queue for bytes: who waits with who releases, withdraws, comes late. A
 * holder has charged what there is; waiters come to the queue through the same calls as an ask
 * does. A giver that never answers keeps them from being told to ask again. Both orderings (_i). */
#include <sched.h>
#include <signal.h>

#include "memory/queue.h"
#include "tests/points/acts.h"

#define LIMIT 100000
#define CHUNK 4096

typedef struct scene {
    fixture world;
    rn_slot *holder; /* in a pool of its own; its releases are the director's */
    act older, younger;
    points_actor first, second;
} scene;

/* Charges, or waits for its turn; told to ask again, asks again, and is refused when nobody is left
 * to give. */
static void wait_for_bytes(void *argument)
{
    act *self = (act *)argument;
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(self->slot));
    rn_no no;
    rn_ledger_lock(ledger);
    self->status = rn_slot_charge_locked(self->slot, self->bytes, &no);
    while (self->status != RATION_OK &&
           (rn_ticket_read(self->slot) == RN_TICKET_NONE || rn_load(&no.pool->givers) > 0)) {
        rn_ticket_enter(self->slot, &no);
        rn_ledger_unlock(ledger);
        ration_point("waiter.entered");
        (void)rn_ticket_wait(self->slot, INT64_MAX);
        rn_ledger_lock(ledger);
        if (rn_ticket_read(self->slot) == RN_TICKET_GRANTED) {
            rn_ticket_take(self->slot);
            self->status = RATION_OK;
        } else {
            self->status = rn_slot_charge_locked(self->slot, self->bytes, &no);
        }
    }
    rn_ticket_leave(self->slot);
    rn_ledger_unlock(ledger);
}

/* Comes to the queue, and withdraws without having slept. */
static void give_up(void *argument)
{
    act *self = (act *)argument;
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(self->slot));
    rn_no no;
    rn_ledger_lock(ledger);
    self->status = rn_slot_charge_locked(self->slot, self->bytes, &no);
    rn_ticket_enter(self->slot, &no);
    rn_ledger_unlock(ledger);
    (void)rn_ticket_wait(self->slot, 0);
    rn_ledger_lock(ledger);
    rn_ticket_leave(self->slot);
    rn_ledger_unlock(ledger);
}

static void enter_and_close(void *argument)
{
    act *self = (act *)argument;
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(self->slot));
    rn_no no;
    rn_ledger_lock(ledger);
    self->status = rn_slot_charge_locked(self->slot, self->bytes, &no);
    rn_ticket_enter(self->slot, &no);
    rn_ledger_unlock(ledger);
    ration_point("waiter.entered");
    rn_slot_close(self->slot);
}

static void count_giver(scene *stage, int64_t count)
{
    rn_ledger_lock(stage->world.ledger);
    rn_pool_count_givers(stage->world.queries, count);
    rn_ledger_unlock(stage->world.ledger);
}

static void set_stage(scene *stage, bool seq_cst)
{
    stage->world = fixture_open(LIMIT, INT64_MAX, CHUNK, seq_cst);
    rn_pool_set_limit(stage->world.queries, LIMIT); /* where it is full */
    rn_pool_set_limit(stage->world.root, INT64_MAX);
    stage->holder = open_slot(stage->world.second);
    stage->older = (act){.slot = open_slot(stage->world.first)};
    stage->younger = (act){.slot = open_slot(stage->world.first)};
    count_giver(stage, 1);
}

static void hold_all(scene *stage)
{
    ck_assert_int_eq(charge(stage->holder, LIMIT), RATION_OK);
}

/* Brings a waiter for `bytes` into the queue; it has not slept yet. */
static void enter(points_actor *actor, const char *name, act *waiting, int64_t bytes)
{
    waiting->bytes = bytes;
    points_start(actor, name, wait_for_bytes, waiting);
    points_run_to(actor, "waiter.entered");
    ck_assert_int_eq(rn_ticket_read(waiting->slot), RN_TICKET_WAITING);
}

/* Lets it sleep on its ticket. */
static void sleep_on(points_actor *actor)
{
    points_let_go(actor);
    points_await_stuck(actor);
    ck_assert(!points_ended(actor));
}

/* Everybody has ended; nothing waits, nothing is lost. */
static void clear_stage(scene *stage)
{
    fixture *world = &stage->world;
    check_audit(world);
    ck_assert_ptr_null(rn_queue_first(world->ledger));
    count_giver(stage, -1);
    rn_slot *slots[] = {stage->holder, stage->older.slot, stage->younger.slot};
    int64_t charged = 0;
    for (size_t i = 0; i < RN_COUNT(slots); i++) {
        charged += slots[i] != NULL ? rn_slot_used(slots[i]) : 0;
    }
    ck_assert_int_eq(read_pool(world->queries).charged_bytes, charged);
    ck_assert_int_eq(read_pool(world->queries).waiting, 0);
    ck_assert_int_le(charged, rn_pool_limit(world->queries));
    for (size_t i = 0; i < RN_COUNT(slots); i++) {
        if (slots[i] != NULL) {
            release(slots[i], rn_slot_used(slots[i]));
            rn_slot_close(slots[i]);
        }
    }
    fixture_close(world);
}

/* ------------------------------------------------------------------------------------- wake-ups */

START_TEST(test_queue__release_between_enter_and_sleep)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    enter(&stage.first, "waiter", &stage.older, 500);
    release(stage.holder, 499);
    ck_assert_int_eq(rn_ticket_read(stage.older.slot), RN_TICKET_WAITING);
    release(stage.holder, 1);
    ck_assert_int_eq(rn_ticket_read(stage.older.slot), RN_TICKET_GRANTED);
    points_finish(&stage.first);
    ck_assert_int_eq(stage.older.status, RATION_OK);
    ck_assert_int_eq(rn_slot_used(stage.older.slot), 500);
    clear_stage(&stage);
}
END_TEST

START_TEST(test_queue__release_while_it_sleeps)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    enter(&stage.first, "waiter", &stage.older, 500);
    sleep_on(&stage.first);
    release(stage.holder, 499);
    points_await_stuck(&stage.first);
    ck_assert(!points_ended(&stage.first));
    release(stage.holder, 1);
    points_finish(&stage.first);
    ck_assert_int_eq(stage.older.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

static int64_t signals;

static void count_signal(int number)
{
    (void)number;
    (void)rn_fetch_add(&signals, 1);
}

/* It is not a wake-up: it sleeps on. */
START_TEST(test_queue__signal_while_it_sleeps)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    struct sigaction counting = {.sa_handler = count_signal};
    ck_assert_int_eq(sigaction(SIGUSR1, &counting, NULL), 0);
    enter(&stage.first, "waiter", &stage.older, 500);
    sleep_on(&stage.first);
    ck_assert_int_eq(pthread_kill(stage.first.thread, SIGUSR1), 0);
    while (rn_load(&signals) == 0) {
        (void)sched_yield();
    }
    points_await_stuck(&stage.first);
    ck_assert(!points_ended(&stage.first));
    ck_assert_int_eq(rn_ticket_read(stage.older.slot), RN_TICKET_WAITING);
    release(stage.holder, 500);
    points_finish(&stage.first);
    ck_assert_int_eq(stage.older.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* A release whose bytes the waiter's recall has read already, and whose owner has not looked. */
START_TEST(test_queue__enters_between_a_releases_store_and_load)
{
    scene stage;
    set_stage(&stage, _i != 0);
    ck_assert_int_eq(charge(stage.holder, LIMIT - 2 * CHUNK), RATION_OK);
    act releasing = {.slot = stage.holder, .bytes = 500};
    points_actor releaser;
    points_start(&releaser, "releaser", act_release, &releasing);
    points_run_to(&releaser, "release.published");
    stage.older.bytes = 2 * CHUNK + 500;
    points_start(&stage.first, "waiter", wait_for_bytes, &stage.older);
    points_finish(&stage.first);
    ck_assert_int_eq(stage.older.status, RATION_OK);
    points_finish(&releaser);
    clear_stage(&stage);
}
END_TEST

/* In a pool that is drained already nobody reads slots again: the release brings its bytes itself.
 */
START_TEST(test_queue__release_published_before_enter_lands_after)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    ck_assert_int_eq(charge(stage.younger.slot, 1), RATION_GROUP_LIMIT);
    act releasing = {.slot = stage.holder, .bytes = 500};
    points_actor releaser;
    points_start(&releaser, "releaser", act_release, &releasing);
    points_run_to(&releaser, "release.published");
    enter(&stage.first, "waiter", &stage.older, 500);
    sleep_on(&stage.first);
    points_finish(&releaser);
    points_finish(&stage.first);
    ck_assert_int_eq(stage.older.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

START_TEST(test_queue__limit_raised_between_enter_and_sleep)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    enter(&stage.first, "waiter", &stage.older, 500);
    rn_pool_set_limit(stage.world.queries, LIMIT + 500);
    points_finish(&stage.first);
    ck_assert_int_eq(stage.older.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* Where it goes there is room. */
START_TEST(test_queue__pool_moved_while_it_sleeps)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    enter(&stage.first, "waiter", &stage.older, 500);
    sleep_on(&stage.first);
    rn_no no;
    ck_assert(rn_pool_set_parent(stage.world.first, stage.world.root, &no));
    points_finish(&stage.first);
    ck_assert_int_eq(stage.older.status, RATION_OK);
    ck_assert_int_eq(read_pool(stage.world.queries).waiting, 0);
    release(stage.older.slot, 500);
    ck_assert(rn_pool_set_parent(stage.world.first, stage.world.queries, &no));
    clear_stage(&stage);
}
END_TEST

/* Nobody is left who could give: it is told to ask again before it sleeps, and must see it. */
START_TEST(test_queue__last_giver_answers_between_enter_and_sleep)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    enter(&stage.first, "older", &stage.older, 500);
    enter(&stage.second, "younger", &stage.younger, 200);
    sleep_on(&stage.second);
    count_giver(&stage, -1);
    ck_assert_int_eq(rn_ticket_read(stage.older.slot), RN_TICKET_AGAIN);
    ck_assert_int_eq(rn_ticket_read(stage.younger.slot), RN_TICKET_WAITING);
    points_finish(&stage.first);
    ck_assert_int_eq(stage.older.status, RATION_GROUP_LIMIT);
    points_finish(&stage.second); /* its turn to be told, when the older one has left */
    ck_assert_int_eq(stage.younger.status, RATION_GROUP_LIMIT);
    count_giver(&stage, 1);
    clear_stage(&stage);
}
END_TEST

/* ---------------------------------------------------------------------------------- withdrawing */

/* Between its last look and the lock it was granted: the bytes go to the next. */
START_TEST(test_queue__granted_between_last_look_and_withdrawal)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    stage.older.bytes = 500;
    points_start(&stage.first, "older", give_up, &stage.older);
    points_run_to(&stage.first, "queue.woken");
    enter(&stage.second, "younger", &stage.younger, 300);
    sleep_on(&stage.second);
    release(stage.holder, 500);
    ck_assert_int_eq(rn_ticket_read(stage.older.slot), RN_TICKET_GRANTED);
    ck_assert_int_eq(rn_ticket_read(stage.younger.slot), RN_TICKET_WAITING);
    points_finish(&stage.first);
    points_finish(&stage.second);
    ck_assert_int_eq(stage.younger.status, RATION_OK);
    ck_assert_int_eq(rn_slot_used(stage.older.slot), 0);
    clear_stage(&stage);
}
END_TEST

/* Who grants has the lock; who withdraws waits for it. */
START_TEST(test_queue__withdraws_while_it_is_being_granted)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    stage.older.bytes = 500;
    points_start(&stage.first, "older", give_up, &stage.older);
    points_run_to(&stage.first, "queue.woken");
    act releasing = {.slot = stage.holder, .bytes = 500};
    points_actor releaser;
    points_start(&releaser, "releaser", act_release, &releasing);
    points_run_to(&releaser, "queue.granted");
    points_let_go(&stage.first);
    points_await_stuck(&stage.first);
    ck_assert(!points_ended(&stage.first));
    points_finish(&releaser);
    points_finish(&stage.first);
    ck_assert_int_eq(read_pool(stage.world.queries).charged_bytes, LIMIT - 500);
    ck_assert_int_eq(charge(stage.younger.slot, 500), RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* The ticket that blocked another is taken out of the queue. */
START_TEST(test_queue__older_withdraws_while_another_waits_behind_it)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    stage.older.bytes = 5000;
    points_start(&stage.first, "older", give_up, &stage.older);
    points_run_to(&stage.first, "queue.woken");
    enter(&stage.second, "younger", &stage.younger, 300);
    sleep_on(&stage.second);
    release(stage.holder, 300);
    ck_assert_int_eq(rn_ticket_read(stage.younger.slot), RN_TICKET_WAITING);
    points_finish(&stage.first);
    points_finish(&stage.second);
    ck_assert_int_eq(stage.younger.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* It goes with its slot. */
START_TEST(test_queue__slot_closed_while_another_waits_behind_it)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    stage.older.bytes = 5000;
    points_start(&stage.first, "older", enter_and_close, &stage.older);
    points_run_to(&stage.first, "waiter.entered");
    enter(&stage.second, "younger", &stage.younger, 300);
    sleep_on(&stage.second);
    release(stage.holder, 300);
    ck_assert_int_eq(rn_ticket_read(stage.younger.slot), RN_TICKET_WAITING);
    points_finish(&stage.first);
    points_finish(&stage.second);
    ck_assert_int_eq(stage.younger.status, RATION_OK);
    stage.older.slot = NULL;
    clear_stage(&stage);
}
END_TEST

/* ---------------------------------------------------------------------------------------- order */

/* The younger fits earlier, and waits all the same. */
START_TEST(test_queue__older_is_first)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    enter(&stage.first, "older", &stage.older, 1000);
    enter(&stage.second, "younger", &stage.younger, 10);
    sleep_on(&stage.second);
    release(stage.holder, 999);
    ck_assert_int_eq(rn_ticket_read(stage.older.slot), RN_TICKET_WAITING);
    ck_assert_int_eq(rn_ticket_read(stage.younger.slot), RN_TICKET_WAITING);
    release(stage.holder, 10);
    ck_assert_int_eq(rn_ticket_read(stage.older.slot), RN_TICKET_GRANTED);
    ck_assert_int_eq(rn_ticket_read(stage.younger.slot), RN_TICKET_WAITING);
    release(stage.holder, 1);
    points_finish(&stage.second);
    points_finish(&stage.first);
    ck_assert_int_eq(stage.older.status, RATION_OK);
    ck_assert_int_eq(stage.younger.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* A newcomer is at the lock before the release lets go of it; the bytes are the waiter's. */
START_TEST(test_queue__newcomer_behind_a_release)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    enter(&stage.first, "waiter", &stage.older, 500);
    sleep_on(&stage.first);
    act releasing = {.slot = stage.holder, .bytes = 500};
    act asking = {.slot = stage.younger.slot, .bytes = 100};
    points_actor releaser;
    points_start(&releaser, "releaser", act_release, &releasing);
    points_start(&stage.second, "newcomer", act_charge, &asking);
    points_run_to(&releaser, "slow.locked");
    points_let_go(&stage.second);
    points_await_stuck(&stage.second);
    ck_assert(!points_ended(&stage.second));
    points_finish(&releaser);
    points_finish(&stage.second);
    points_finish(&stage.first);
    ck_assert_int_eq(asking.status, RATION_GROUP_LIMIT);
    ck_assert_int_eq(stage.older.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* There is room for the newcomer, and somebody before it. */
START_TEST(test_queue__newcomer_finds_room_that_is_spoken_for)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    enter(&stage.first, "waiter", &stage.older, 1000);
    sleep_on(&stage.first);
    release(stage.holder, 500);
    ck_assert_int_eq(charge(stage.younger.slot, 100), RATION_GROUP_LIMIT);
    ck_assert_int_eq(stage.younger.slot->no.waiting, 1);
    ck_assert_int_eq(charge(stage.holder, 100), RATION_GROUP_LIMIT);
    release(stage.holder, 500);
    points_finish(&stage.first);
    ck_assert_int_eq(stage.older.status, RATION_OK);
    ck_assert_int_eq(charge(stage.younger.slot, 1), RATION_GROUP_LIMIT);
    ck_assert_int_eq(stage.younger.slot->no.waiting, 0);
    clear_stage(&stage);
}
END_TEST

/* A charge that credit covers, compared before somebody came to wait, is not covered any more. */
START_TEST(test_queue__waiter_enters_between_compare_and_publish)
{
    scene stage;
    set_stage(&stage, _i != 0);
    ck_assert_int_eq(charge(stage.younger.slot, 100), RATION_OK);
    int64_t credit = read_pool(stage.world.first).credit_bytes;
    ck_assert_int_ge(credit, 500);
    act asking = {.slot = stage.younger.slot, .bytes = 500};
    points_start(&stage.second, "newcomer", act_charge, &asking);
    points_run_to(&stage.second, "charge.compared");
    ck_assert_int_eq(charge(stage.holder, LIMIT - 100 - credit), RATION_OK);
    enter(&stage.first, "waiter", &stage.older, credit + 1);
    sleep_on(&stage.first);
    points_finish(&stage.second);
    ck_assert_int_eq(asking.status, RATION_GROUP_LIMIT);
    release(stage.holder, 1);
    points_finish(&stage.first);
    ck_assert_int_eq(stage.older.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* The bytes were granted and not taken yet: they are nobody else's, and count as charged. */
START_TEST(test_queue__promised_bytes_are_charged)
{
    scene stage;
    set_stage(&stage, _i != 0);
    hold_all(&stage);
    enter(&stage.first, "waiter", &stage.older, 500);
    points_aim(&stage.first, "queue.woken");
    points_await_stuck(&stage.first);
    release(stage.holder, 500);
    points_await(&stage.first);
    ck_assert_int_eq(read_pool(stage.world.queries).charged_bytes, LIMIT);
    ck_assert_int_eq(rn_slot_used(stage.older.slot), 0);
    ck_assert_int_eq(charge(stage.younger.slot, 1), RATION_GROUP_LIMIT);
    check_audit(&stage.world);
    points_finish(&stage.first);
    ck_assert_int_eq(rn_slot_used(stage.older.slot), 500);
    clear_stage(&stage);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_queue__release_between_enter_and_sleep,
        test_queue__release_while_it_sleeps,
        test_queue__signal_while_it_sleeps,
        test_queue__enters_between_a_releases_store_and_load,
        test_queue__release_published_before_enter_lands_after,
        test_queue__limit_raised_between_enter_and_sleep,
        test_queue__pool_moved_while_it_sleeps,
        test_queue__last_giver_answers_between_enter_and_sleep,
        test_queue__granted_between_last_look_and_withdrawal,
        test_queue__withdraws_while_it_is_being_granted,
        test_queue__older_withdraws_while_another_waits_behind_it,
        test_queue__slot_closed_while_another_waits_behind_it,
        test_queue__older_is_first,
        test_queue__newcomer_behind_a_release,
        test_queue__newcomer_finds_room_that_is_spoken_for,
        test_queue__waiter_enters_between_compare_and_publish,
        test_queue__promised_bytes_are_charged,
    };
    return run_in_both_orderings("points/queue", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots of a query around threads: handed over, returned, lost, cancelled, and more threads than
 * slots. */
#include "tests/executor/governor_world.h"

/* -------------------------------------------------------------------------------------- hand over
 */

typedef struct baton {
    ration_governor *governor;
    ration_query *query;
    ration_slot *slot;
    ration_guard guard;
    int64_t turns;
    int64_t whose_turn; /* relaxed */
} baton;

#define TURNS 200

/* Waits for the turn and takes the slot. `whose_turn` orders nothing: what the other thread did
 * before its detach is seen because of the attach alone (or the thread sanitizer complains). */
static void take_turn(baton *work, int64_t mine)
{
    while (rn_load(&work->whose_turn) != mine ||
           rn_load(&rn_slot_of(work->slot)->thread) != RN_SLOT_DETACHED) {
        (void)sched_yield();
    }
    ration_slot_attach(work->slot);
}

static void pass_turn(baton *work, int64_t others)
{
    work->turns += 1;
    ration_slot_detach(work->slot);
    rn_store(&work->whose_turn, others);
}

static void *carry_on(void *argument)
{
    baton *work = argument;
    for (int turn = 0; turn < TURNS; turn++) {
        take_turn(work, 1);
        for (int i = 0; i < 50; i++) {
            ck_assert_int_eq(ration_guard_row(&work->guard, 100), RATION_OK);
        }
        pass_turn(work, 0);
    }
    return NULL;
}

START_TEST(test_slot__moves_between_threads_with_its_guard)
{
    ration_governor *governor = open_governor(64 * MIB, 0);
    baton work = {.governor = governor};
    work.query = open_query(governor, NULL, &work.slot);
    ration_guard_begin(&work.guard, work.slot, "carried");
    pthread_t thread = start(carry_on, &work);
    pass_turn(&work, 1);
    for (int turn = 0; turn < TURNS; turn++) {
        take_turn(&work, 0);
        ck_assert_int_eq(work.turns, 2 * turn + 2);
        ck_assert_int_eq(ration_guard_row(&work.guard, 1), RATION_OK);
        pass_turn(&work, 1);
    }
    (void)join(thread);
    ration_slot_attach(work.slot);
    ck_assert_int_eq(work.guard.held_bytes, TURNS * (50 * 100 + 1));
    ration_guard_end(&work.guard);
    ration_query_close(work.query);
    close_and_check(governor);
}
END_TEST

static void *attach_and_leave(void *argument)
{
    ration_slot_attach(argument);
    return NULL;
}

static void attach_to_anothers(void *argument)
{
    ration_slot_attach(argument);
}

static void detach_anothers(void *argument)
{
    ration_slot_detach(argument);
}

static void return_anothers(void *argument)
{
    ration_query_return_slot(argument);
}

START_TEST(test_slot__of_another_thread_is_a_fault_to_take)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    (void)join(start(attach_and_leave, slot)); /* and its thread has gone */
    expect_fault(return_anothers, slot);
    expect_fault(attach_to_anothers, slot);
    ration_query_close(query);

    query = open_query(governor, NULL, &slot);
    (void)join(start(attach_and_leave, slot));
    expect_fault(detach_anothers, slot);
    ration_query_close(query);

    query = open_query(governor, NULL, &slot);
    ration_slot_attach(slot);
    ration_slot_attach(slot); /* one's own is harmless */
    ration_slot_detach(slot);
    expect_fault(detach_anothers, slot); /* nobody's */
    ration_query_return_slot(slot);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

#ifdef RATION_CHECKED
static void use_slot(void *argument)
{
    ration_guard guard;
    ration_guard_begin(&guard, argument, "stranger");
}

static void settle_guard(void *argument)
{
    ck_assert_int_eq(ration_guard_settle(argument), RATION_OK);
}

static void *begin_and_leave(void *argument)
{
    baton *work = argument;
    ration_guard_begin(&work->guard, work->slot, "first use attaches");
    return NULL;
}
#endif

/* Only checked builds look at who uses a slot. */
START_TEST(test_slot__used_without_attach_is_a_fault)
{
#ifdef RATION_CHECKED
    ration_governor *governor = open_governor(MIB, 0);
    baton work = {.governor = governor};
    work.query = open_query(governor, NULL, &work.slot);
    (void)join(start(begin_and_leave, &work));
    expect_fault(use_slot, work.slot);
    expect_fault(settle_guard, &work.guard);
    ration_query_close(work.query);
    work.query = open_query(governor, NULL, &work.slot);
    ration_guard_begin(&work.guard, work.slot, "detached");
    ration_slot_detach(work.slot);
    expect_fault(use_slot, work.slot);
    expect_fault(settle_guard, &work.guard);
    ration_slot_attach(work.slot);
    use_slot(work.slot);
    ration_query_close(work.query);
    close_and_check(governor);
#endif
}
END_TEST

/* ----------------------------------------------------------------------------------- come and go
 */

#define BATCH 8
#define BATCHES 250

/* Takes a slot, passes rows, hands some on, returns the slot or just goes. */
static void *come_and_go(void *argument)
{
    baton *work = argument;
    ration_slot *slot;
    ck_assert_int_eq(ration_query_slot(work->query, &slot), RATION_OK);
    {
        RATION_GUARD(guard, slot, "brief");
        for (int i = 0; i < 7; i++) {
            ck_assert_int_eq(ration_guard_row(&guard, 1000), RATION_OK);
        }
        ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 10, ration_query_pool(work->query)),
                         RATION_OK);
    }
    ration_query_return_slot(slot);
    return NULL;
}

/* Two thousand threads in one query, eight at a time. */
START_TEST(test_slot__thousands_of_threads_come_and_go)
{
    ration_governor *governor = open_governor(64 * MIB, 0);
    baton work = {.governor = governor};
    ration_slot *slot;
    work.query = open_query(governor, NULL, &slot);
    for (int batch = 0; batch < BATCHES; batch++) {
        pthread_t threads[BATCH];
        for (int i = 0; i < BATCH; i++) {
            threads[i] = start(come_and_go, &work);
        }
        for (int i = 0; i < BATCH; i++) {
            (void)join(threads[i]);
        }
        ck_assert_int_eq(charged(ration_query_pool(work.query)), 10 * BATCH * (batch + 1));
    }
    ration_pool_figures figures;
    ration_pool_read(ration_governor_root(governor), &figures);
    ck_assert_int_eq(figures.credit_bytes, 0); /* the slot that is left took none */
    check_audit(governor);
    ration_query_close(work.query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_slot__returned_leaves_its_bytes_refusal_peak_and_rows)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_query_options few = {.size = sizeof few, .rows_max = 250};
    ration_slot *slot, *next;
    ration_query *query = open_query(governor, &few, &slot);
    ck_assert_int_eq(ration_slot_try_charge(slot, 5000), RATION_OK);
    ck_assert_int_eq(rn_slot_prepay(rn_slot_of(slot), 3000), RATION_OK);
    ck_assert_int_eq(ration_slot_try_charge(slot, 2 * MIB), RATION_GLOBAL_LIMIT);
    ration_query_return_slot(slot);
    ck_assert_int_eq(charged(ration_query_pool(query)), 5000); /* not what was charged ahead */
    ck_assert_int_eq(rn_query_peak(query), 5000);
    ration_refusal refusal;
    ck_assert(ration_query_refusal(query, &refusal));
    ck_assert_int_eq(refusal.asked_bytes, 2 * MIB);
    ration_status status = RATION_OK;
    int rows = 0; /* a slot and a guard for each row: budget and cancel are seen all the same */
    for (; status == RATION_OK && rows < 1000; rows++) {
        ck_assert_int_eq(ration_query_slot(query, &next), RATION_OK);
        {
            RATION_GUARD(guard, next, "one row");
            status = ration_guard_row(&guard, 1);
        }
        ration_query_return_slot(next);
    }
    ck_assert_int_eq(status, RATION_ROW_BUDGET);
    ck_assert_int_ge(rows, 250);
    ck_assert_int_le(rows, 351);
    ration_query_release(query, 5000);
    ck_assert_int_eq(charged(ration_query_pool(query)), 0);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_slot__a_place_is_free_again)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slots[RN_QUERY_SLOTS_MAX], *slot = NULL;
    ration_query *query = open_query(governor, NULL, &slots[0]);
    for (uint32_t i = 1; i < RN_QUERY_SLOTS_MAX; i++) {
        ck_assert_int_eq(ration_query_slot(query, &slots[i]), RATION_OK);
    }
    for (uint32_t i = 0; i < RN_QUERY_SLOTS_MAX; i += 9) {
        ck_assert_int_eq(ration_query_slot(query, &slot), RATION_NO_SLOT);
        ration_query_return_slot(slots[i]);
        ck_assert_int_eq(ration_query_slot(query, &slots[i]), RATION_OK);
    }
    ck_assert_ptr_null(slot);
    for (uint32_t i = 0; i < RN_QUERY_SLOTS_MAX; i += 2) {
        ration_query_return_slot(slots[i]);
    }
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* Whoever asks a query why it was refused does so while its slots come and go. */
static void *look_for_refusals(void *argument)
{
    baton *work = argument;
    ration_refusal refusal;
    while (rn_load(&work->turns) == 0) {
        (void)ration_query_refusal(work->query, &refusal);
        (void)ration_query_status(work->query);
    }
    return NULL;
}

START_TEST(test_slot__comes_and_goes_under_the_eyes_of_others)
{
    ration_governor *governor = open_governor(MIB, 0);
    baton work = {.governor = governor};
    work.query = open_query(governor, NULL, &work.slot);
    pthread_t thread = start(look_for_refusals, &work);
    for (int i = 0; i < 2000; i++) {
        ration_slot *slot;
        ck_assert_int_eq(ration_query_slot(work.query, &slot), RATION_OK);
        ck_assert_int_eq(ration_slot_try_charge(slot, 2 * MIB), RATION_GLOBAL_LIMIT);
        ration_query_return_slot(slot);
    }
    rn_store(&work.turns, 1);
    (void)join(thread);
    ration_query_close(work.query);
    close_and_check(governor);
}
END_TEST

/* --------------------------------------------------------------------------------- without a slot
 */

#define CROWD 80

typedef struct crowd {
    ration_query *query;
    pthread_barrier_t all;
    int64_t without; /* atomic */
} crowd;

static void *join_crowd(void *argument)
{
    crowd *all = argument;
    ration_slot *slot = NULL;
    bool has_slot = ration_query_slot(all->query, &slot) == RATION_OK;
    (void)pthread_barrier_wait(&all->all);
    if (has_slot) {
        ck_assert_int_eq(ration_slot_try_charge(slot, 1000), RATION_OK);
    } else {
        (void)rn_fetch_add(&all->without, 1);
        ck_assert_int_eq(ration_query_try_charge(all->query, 1000), RATION_OK);
    }
    (void)pthread_barrier_wait(&all->all);
    (void)pthread_barrier_wait(&all->all);
    if (has_slot) {
        ration_slot_release(slot, 400);
        ration_query_release(all->query, 600); /* either way */
        ration_query_return_slot(slot);
    } else {
        ration_query_release(all->query, 1000);
    }
    return NULL;
}

START_TEST(test_slot__threads_beyond_the_slots_charge_the_query)
{
    ration_governor *governor = open_governor(64 * MIB, 0);
    ration_slot *slot;
    crowd all = {.query = open_query(governor, NULL, &slot)};
    ration_query_return_slot(slot);
    ck_assert_int_eq(pthread_barrier_init(&all.all, NULL, CROWD + 1), 0);
    pthread_t threads[CROWD];
    for (int i = 0; i < CROWD; i++) {
        threads[i] = start(join_crowd, &all);
    }
    (void)pthread_barrier_wait(&all.all);
    (void)pthread_barrier_wait(&all.all);
    ck_assert_int_eq(charged(ration_query_pool(all.query)), CROWD * 1000);
    ck_assert_int_eq(all.without, CROWD - (int)RN_QUERY_SLOTS_MAX);
    check_audit(governor);
    (void)pthread_barrier_wait(&all.all);
    for (int i = 0; i < CROWD; i++) {
        (void)join(threads[i]);
    }
    ck_assert_int_eq(charged(ration_query_pool(all.query)), 0);
    (void)pthread_barrier_destroy(&all.all);
    ration_query_close(all.query);
    close_and_check(governor);
}
END_TEST

static void charge_negative(void *argument)
{
    ck_assert_int_eq(ration_query_try_charge(argument, -1), RATION_INVALID_ARGUMENT);
}

static void release_negative(void *argument)
{
    ration_query_release(argument, -1);
}

START_TEST(test_query__charged_without_a_slot_refuses_as_with_one)
{
    ration_governor *governor = open_governor(MIB, 10000);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ck_assert_int_eq(ration_slot_try_charge(slot, 4000), RATION_OK);
    ck_assert_int_eq(ration_query_try_charge(query, 6001), RATION_QUERY_LIMIT);
    ration_refusal refusal;
    ck_assert(ration_query_refusal(query, &refusal));
    ck_assert_int_eq(refusal.asked_bytes, 6001);
    ck_assert_int_eq(refusal.charged_bytes, 4000);
    ck_assert_str_eq(refusal.query, "q1");
    ck_assert_int_eq(ration_query_try_charge(query, 6000), RATION_OK); /* the slot's credit too */
    ck_assert_int_eq(ration_slot_try_charge(slot, 1), RATION_QUERY_LIMIT);
    ck_assert(ration_query_refusal(query, &refusal)); /* the latest of either kind */
    ck_assert_int_eq(refusal.asked_bytes, 1);
    ck_assert_int_eq(ration_query_try_charge(query, 2), RATION_QUERY_LIMIT);
    ck_assert(ration_query_refusal(query, &refusal));
    ck_assert_int_eq(refusal.asked_bytes, 2);
    ration_pool_figures figures;
    ration_pool_read(ration_query_pool(query), &figures);
    ck_assert_int_eq(figures.refusals, 3);
    expect_fault(charge_negative, query);
    expect_fault(release_negative, query);
    ck_assert_int_eq(charged(ration_query_pool(query)), 10000);
    ration_slot_release(slot, 10000); /* each for the other */
    ck_assert_int_eq(charged(ration_query_pool(query)), 0);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* ----------------------------------------------------------------------------- exit and
 * cancellation */

static void *charge_and_exit(void *argument)
{
    ration_slot *slot;
    ck_assert_int_eq(ration_query_slot(argument, &slot), RATION_OK);
    ck_assert_int_eq(ration_slot_try_charge(slot, 5000), RATION_OK);
    pthread_exit(NULL);
}

START_TEST(test_slot__of_a_thread_that_exited_is_swept_at_close)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    for (int i = 1; i <= 20; i++) {
        (void)join(start(charge_and_exit, query));
        ck_assert_int_eq(charged(ration_query_pool(query)), 5000 * i);
    }
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* Calls everything there is with a cancellation pending: nothing here may act on it (ck_assert
 * writes to a pipe, and would). */
static void *call_all(void *argument)
{
    baton *work = argument;
    ration_slot *slot;
    ration_refusal refusal;
    ration_context *context;
    (void)pthread_cancel(pthread_self());
    bool ok = ration_query_slot(work->query, &slot) == RATION_OK;
    ration_slot_attach(slot);
    ok &= ration_query_try_charge(work->query, 100) == RATION_OK;
    ok &= ration_query_try_charge(work->query, 2 * MIB) == RATION_GLOBAL_LIMIT;
    ration_guard_begin(&work->guard, slot, "cancelled");
    for (int i = 0; i < 300; i++) {
        ok &= ration_guard_row(&work->guard, 100) == RATION_OK;
    }
    ok &= ration_guard_row(&work->guard, 2 * MIB) == RATION_GLOBAL_LIMIT;
    ok &= ration_query_refusal(work->query, &refusal);
    ok &= ration_context_create(NULL, slot, RATION_CONTEXT_SET, "c", &context) == RATION_OK;
    ok &= ration_context_allocate(context, 100000) != NULL;
    ok &= ration_guard_hand_to_context(&work->guard, 1000, context) == RATION_OK;
    ration_pool *data = ration_governor_data(work->governor);
    ok &= ration_guard_hand_to_pool(&work->guard, 1000, data) == RATION_OK;
    ok &= ration_governor_set_limit(work->governor, MIB) == RATION_OK;
    ok &= charged(ration_governor_root(work->governor)) > 30000;
    ration_context_reset(context);
    ration_context_delete(context);
    ration_pool_release(data, 1000);
    ration_guard_end(&work->guard);
    ration_slot_detach(slot);
    ration_query_return_slot(slot);
    ration_query_release(work->query, 100);
    ration_query_cancel(work->query);
    work->turns = ok ? 1 : -1;
    pthread_testcancel();
    work->turns = 2;
    return NULL;
}

START_TEST(test_query__no_function_is_a_cancellation_point)
{
    ration_governor *governor = open_governor(MIB, 0);
    baton work = {.governor = governor};
    work.query = open_query(governor, NULL, &work.slot);
    ck_assert_ptr_eq(join(start(call_all, &work)), PTHREAD_CANCELED);
    ck_assert_int_eq(work.turns, 1);
    ck_assert_int_eq(charged(ration_query_pool(work.query)), 0);
    ration_query_close(work.query);
    close_and_check(governor);
}
END_TEST

static void *work_until_cancelled(void *argument)
{
    baton *work = argument;
    ration_pool *own = ration_query_pool(work->query);
    bool ok = true;
    while (ok) {
        RATION_GUARD(outer, work->slot, "outer");
        for (int i = 0; i < 10; i++) {
            RATION_GUARD(inner, work->slot, "inner");
            ok &= ration_guard_row(&inner, 3000) == RATION_OK;
            ok &= ration_guard_row(&outer, 200) == RATION_OK;
            ok &= ration_guard_hand_to_pool(&inner, 1000, own) == RATION_OK;
            ration_query_release(work->query, 1000);
            pthread_testcancel();
        }
    }
    return NULL; /* not cancelled: something was refused */
}

/* Wherever the cancellation comes, the locks are free and the sums exact. */
START_TEST(test_slot__cancelled_in_the_middle)
{
    ration_governor *governor = open_governor(MIB, 0);
    for (int i = 0; i < 100; i++) {
        baton work[2] = {{.governor = governor}, {.governor = governor}};
        pthread_t threads[2];
        for (int j = 0; j < 2; j++) {
            work[j].query = open_query(governor, NULL, &work[j].slot);
            threads[j] = start(work_until_cancelled, &work[j]);
        }
        for (int j = 0; j < 2; j++) {
            (void)pthread_cancel(threads[j]);
            ck_assert_ptr_eq(join(threads[j]), PTHREAD_CANCELED);
            ck_assert_int_eq(charged(ration_query_pool(work[j].query)), 0);
            ration_query_close(work[j].query);
        }
        check_audit(governor);
    }
    close_and_check(governor);
}
END_TEST

START_TEST(test_slot__comes_through_every_heap_fault)
{
    ration_governor *governor = open_governor(MIB, 0);
    for (int forever = 0; forever < 2; forever++) {
        bool passed = false;
        for (int64_t n = 1; !passed && n < 50; n++) {
            ration_slot *slots[3] = {NULL, NULL, NULL};
            ration_query *query = open_query(governor, NULL, &slots[0]);
            rn_heap_fail_after(n, forever != 0);
            passed = ration_query_slot(query, &slots[1]) == RATION_OK;
            passed = ration_query_slot(query, &slots[2]) == RATION_OK && passed;
            /* what is not allowed to need memory */
            ck_assert_int_eq(ration_query_try_charge(query, 100), RATION_OK);
            RATION_GUARD(guard, slots[0], "fault");
            ck_assert_int_eq(ration_guard_row(&guard, 100), RATION_OK);
            ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 50, ration_query_pool(query)),
                             RATION_OK);
            ck_assert_int_eq(ration_guard_row(&guard, 2 * MIB), RATION_GLOBAL_LIMIT);
            ration_refusal refusal;
            ck_assert(ration_query_refusal(query, &refusal));
            for (int i = 1; i < 3; i++) {
                if (slots[i] != NULL) {
                    ration_query_return_slot(slots[i]);
                }
            }
            ration_guard_end(&guard);
            rn_heap_fail_after(0, false);
            ration_query_close(query);
            ck_assert_int_eq(charged(ration_governor_root(governor)), 0);
        }
        ck_assert(passed);
    }
    close_and_check(governor);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_slot__moves_between_threads_with_its_guard,
        test_slot__of_another_thread_is_a_fault_to_take,
        test_slot__used_without_attach_is_a_fault,
        test_slot__thousands_of_threads_come_and_go,
        test_slot__returned_leaves_its_bytes_refusal_peak_and_rows,
        test_slot__a_place_is_free_again,
        test_slot__comes_and_goes_under_the_eyes_of_others,
        test_slot__threads_beyond_the_slots_charge_the_query,
        test_query__charged_without_a_slot_refuses_as_with_one,
        test_slot__of_a_thread_that_exited_is_swept_at_close,
        test_query__no_function_is_a_cancellation_point,
        test_slot__cancelled_in_the_middle,
        test_slot__comes_through_every_heap_fault,
    };
    return support_run("slots", tests, RN_COUNT(tests));
}

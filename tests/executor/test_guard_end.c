/* SPDX-License-Identifier: Apache-2.0
 *
 * How guards end: with their scope, however it is left, and by the sweep where nothing runs. */
#include <setjmp.h>
#include <unwind.h>

#include "tests/executor/governor_world.h"

/* Leaves the scope of two guards in the way asked for. */
static int leave_scope(ration_slot *slot, const char *way)
{
    RATION_GUARD(outer, slot, "outer");
    ck_assert_int_eq(ration_guard_row(&outer, 1000), RATION_OK);
    for (;;) {
        RATION_GUARD(inner, slot, "inner");
        ck_assert_int_eq(ration_guard_row(&inner, 200), RATION_OK);
        if (strcmp(way, "return") == 0) {
            return 1;
        }
        if (strcmp(way, "goto") == 0) {
            goto out;
        }
        if (strcmp(way, "break") == 0) {
            break;
        }
    }
    ck_assert_int_eq(outer.held_bytes, 1000);
    return 2;
out:
    return 3;
}

START_TEST(test_guard__ends_with_its_scope)
{
    static const char *const ways[] = {"return", "break", "goto"};
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(leave_scope(slot, ways[i]), i + 1);
        ck_assert_int_eq(charged(ration_query_pool(query)), 0);
    }
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

typedef struct escape {
    ration_query *query;
    ration_slot *slot;
    jmp_buf out;
    struct _Unwind_Exception exception;
    int64_t charged_bytes; /* inside of the scopes */
} escape;

/* Two guards in scope, around whatever leaves them. */
static void hold_and(escape *way, void (*leave)(escape *way))
{
    RATION_GUARD(outer, way->slot, "outer");
    ck_assert_int_eq(ration_guard_row(&outer, 1000), RATION_OK);
    {
        RATION_GUARD(inner, way->slot, "inner");
        ck_assert_int_eq(ration_guard_row(&inner, 200), RATION_OK);
        way->charged_bytes = charged(ration_query_pool(way->query));
        leave(way);
    }
}

static void exit_thread(escape *way)
{
    (void)way;
    pthread_exit(NULL);
}

static void cancel_thread(escape *way)
{
    (void)way;
    (void)pthread_cancel(pthread_self());
    pthread_testcancel();
}

static void *hold_and_exit(void *argument)
{
    hold_and(argument, exit_thread);
    return NULL;
}

static void *hold_and_be_cancelled(void *argument)
{
    hold_and(argument, cancel_thread);
    return NULL;
}

START_TEST(test_guard__ends_with_its_thread)
{
    ration_governor *governor = open_governor(MIB, 0);
    for (int i = 0; i < 2; i++) {
        escape way = {0};
        way.query = open_query(governor, NULL, &way.slot);
        (void)join(start(i == 0 ? hold_and_exit : hold_and_be_cancelled, &way));
        ck_assert_int_eq(way.charged_bytes, 1200);
        ck_assert_int_eq(charged(ration_query_pool(way.query)), 0);
        ration_query_close(way.query);
    }
    close_and_check(governor);
}
END_TEST

static _Unwind_Reason_Code stop_at_end(int version, _Unwind_Action actions,
                                       _Unwind_Exception_Class class,
                                       struct _Unwind_Exception *exception,
                                       struct _Unwind_Context *context, void *argument)
{
    (void)version, (void)class, (void)exception, (void)context;
    if ((actions & _UA_END_OF_STACK) != 0) {
        longjmp(((escape *)argument)->out, 1);
    }
    return _URC_NO_REASON;
}

static void unwind(escape *way)
{
    (void)_Unwind_ForcedUnwind(&way->exception, stop_at_end, way);
}

static void *hold_and_unwind(void *argument)
{
    escape *way = argument;
    if (setjmp(way->out) == 0) {
        hold_and(way, unwind);
    }
    return NULL;
}

/* What a C++ exception does to frames of C on its way (tests/executor/test_guard_cxx.sh throws a
 * real one): the unwinder runs their cleanups. On a thread, whose stack ends close by. */
START_TEST(test_guard__ends_when_the_stack_is_unwound)
{
    ration_governor *governor = open_governor(MIB, 0);
    escape way = {0};
    way.query = open_query(governor, NULL, &way.slot);
    (void)join(start(hold_and_unwind, &way));
    ck_assert_int_eq(way.charged_bytes, 1200);
    ck_assert_int_eq(charged(ration_query_pool(way.query)), 0);
    ration_query_close(way.query);
    close_and_check(governor);
}
END_TEST

static void jump(escape *way)
{
    longjmp(way->out, 1);
}

/* No cleanup runs: the bytes stay charged until the slot's query closes, and the slot goes on. */
START_TEST(test_guard__lost_to_longjmp_is_swept_at_close)
{
    ration_governor *governor = open_governor(MIB, 0);
    escape way = {0};
    way.query = open_query(governor, NULL, &way.slot);
    for (volatile int i = 1; i <= 5; i++) {
        if (setjmp(way.out) == 0) {
            hold_and(&way, jump);
        }
        ck_assert_int_eq(charged(ration_query_pool(way.query)), 1200 * i);
        RATION_GUARD(after, way.slot, "after");
        ck_assert_int_eq(ration_guard_row(&after, 30), RATION_OK);
        ck_assert_int_eq(charged(ration_query_pool(way.query)), 1200 * i + 30);
    }
    check_audit(governor);
    ration_slot *second;
    ck_assert_int_eq(ration_query_slot(way.query, &second), RATION_OK);
    ration_query_return_slot(way.slot);
    ck_assert_int_eq(charged(ration_query_pool(way.query)), 6000);
    ration_query_close(way.query);
    close_and_check(governor);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_guard__ends_with_its_scope,
        test_guard__ends_with_its_thread,
        test_guard__ends_when_the_stack_is_unwound,
        test_guard__lost_to_longjmp_is_swept_at_close,
    };
    return support_run("guard_end", tests, RN_COUNT(tests));
}

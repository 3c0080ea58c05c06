/* SPDX-License-Identifier: Apache-2.0
 *
 * The exported variants of the inline functions: all there, and the same in everything. */
#include <ctype.h>

#include "tests/executor/governor_world.h"

/* Runs the same random calls through the inline functions and through their exported variants, on
 * two governors of their own: every status, every word of slot and guard must agree. */
START_TEST(test_bindings__behave_as_the_inline_functions)
{
    uint64_t random = choose_seed(17);
    ration_governor *governors[2];
    ration_query *queries[2];
    ration_slot *slots[2];
    ration_guard guards[2];
    int64_t charged_bytes = 0;
    for (int i = 0; i < 2; i++) {
        governors[i] = open_governor(300000, 0);
        queries[i] = open_query(governors[i], NULL, &slots[i]);
        ration_guard_begin(&guards[i], slots[i], "binding");
    }
    int refused = 0;
    for (int step = 0; step < 20000; step++) {
        int64_t bytes = (int64_t)rn_random_below(&random, 20000);
        ration_status here = RATION_OK, there = RATION_OK;
        switch (rn_random_below(&random, 8)) {
        case 0:
        case 1:
            here = ration_slot_try_charge(slots[0], bytes);
            there = ration_call_slot_try_charge(slots[1], bytes);
            charged_bytes += here == RATION_OK ? bytes : 0;
            break;
        case 2:
            bytes = RN_MIN(bytes, charged_bytes);
            ration_slot_release(slots[0], bytes);
            ration_call_slot_release(slots[1], bytes);
            charged_bytes -= bytes;
            break;
        case 3:
            for (int i = 0; i < 2 && bytes % 8 == 0; i++) {
                ration_guard_end(&guards[i]);
                ration_guard_begin(&guards[i], slots[i], "binding");
            }
            break;
        default:
            here = ration_guard_row(&guards[0], bytes / 4);
            there = ration_call_guard_row(&guards[1], bytes / 4);
        }
        refused += here != RATION_OK;
        ck_assert_int_eq(here, there);
        ck_assert_int_eq(slots[0]->used, slots[1]->used);
        ck_assert_int_eq(slots[0]->limit, slots[1]->limit);
        ck_assert_int_eq(slots[0]->floor, slots[1]->floor);
        ck_assert_int_eq(guards[0].held_bytes, guards[1].held_bytes);
        ck_assert_int_eq(guards[0].rows_left, guards[1].rows_left);
        ck_assert_int_eq(guards[0].bytes_left, guards[1].bytes_left);
    }
    ck_assert_int_gt(refused, 100);
    for (int i = 0; i < 2; i++) {
        ration_guard_end(&guards[i]);
        ration_query_close(queries[i]);
        ration_governor_close(governors[i]);
    }
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

/* A binding sees no struct: it asks for the size, and keeps the guard in its own memory. */
START_TEST(test_bindings__say_how_large_a_guard_is)
{
    ck_assert_uint_eq(ration_call_guard_bytes(), sizeof(ration_guard));
    ck_assert_uint_le(_Alignof(ration_guard), 8);
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    int64_t memory[64];
    ck_assert_uint_le(ration_call_guard_bytes(), sizeof memory / 2);
    memset(memory, 0x5a, sizeof memory);
    ration_guard *guard = (ration_guard *)(void *)memory;
    ration_guard_begin(guard, slot, "allocated by the binding");
    ck_assert_int_eq(ration_call_guard_row(guard, 100), RATION_OK);
    ration_guard_end(guard);
    ck_assert_int_eq(memory[ration_call_guard_bytes() / 8], INT64_C(0x5a5a5a5a5a5a5a5a));
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* Reads a whole text file; the caller's buffer. */
static const char *read_text(const char *name, char *text, size_t capacity)
{
    FILE *file = fopen(support_path(name), "rb");
    ck_assert_ptr_nonnull(file);
    size_t length = fread(text, 1, capacity - 1, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_uint_lt(length, capacity - 1);
    text[length] = '\0';
    return text;
}

/* Every `static inline` function of ration.h is declared and defined as ration_call_*. */
START_TEST(test_bindings__there_is_one_for_each_inline_function)
{
    static char header[256 * 1024], source[64 * 1024];
    (void)read_text("include/ration.h", header, sizeof header);
    (void)read_text("executor/bindings.c", source, sizeof source);
    int found = 0;
    for (const char *at = strstr(header, "static inline "); at != NULL;
         at = strstr(at + 1, "static inline ")) {
        const char *end = strchr(at, '(');
        ck_assert_ptr_nonnull(end);
        const char *name = end;
        while (isalnum((unsigned char)name[-1]) || name[-1] == '_') {
            name--;
        }
        ck_assert_int_eq(strncmp(name, "ration_", 7), 0);
        char wanted[128];
        snprintf(wanted, sizeof wanted, "ration_call_%.*s(", (int)(end - name - 7), name + 7);
        ck_assert_msg(strstr(header, wanted) != NULL, "ration.h does not declare %s)", wanted);
        ck_assert_msg(strstr(source, wanted) != NULL, "bindings.c does not define %s)", wanted);
        found++;
    }
    ck_assert_int_ge(found, 3);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_bindings__behave_as_the_inline_functions,
        test_bindings__say_how_large_a_guard_is,
        test_bindings__there_is_one_for_each_inline_function,
    };
    return support_run("bindings", tests, RN_COUNT(tests));
}

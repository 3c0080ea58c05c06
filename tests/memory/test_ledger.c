/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools: who refuses, limits that change while credit lies about, the audit, and what closing takes
 * home. */
#include "memory/pool.h"
#include "tests/memory/fixture.h"

START_TEST(test_pool__names_who_refuses)
{
    fixture world = fixture_open(10 * MIB, 6 * MIB, MIB, false);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.second);
    ck_assert_int_eq(charge(one, 6 * MIB + 1), RATION_QUERY_LIMIT);
    ck_assert_ptr_eq(one->no.pool, world.first);
    ck_assert_int_eq(charge(one, 6 * MIB), RATION_OK);
    ck_assert_int_eq(charge(one, 1), RATION_QUERY_LIMIT);
    ck_assert_int_eq(one->no.asked_bytes, 1);
    ck_assert_int_eq(one->no.charged_bytes, 6 * MIB);
    ck_assert_int_eq(one->no.limit_bytes, 6 * MIB);
    ck_assert_int_eq(charge(two, 5 * MIB), RATION_GLOBAL_LIMIT);
    ck_assert_ptr_eq(two->no.pool, world.root);
    ck_assert_int_eq(two->no.charged_bytes, 6 * MIB);
    rn_pool_set_limit(world.queries, 9 * MIB);
    ck_assert_int_eq(charge(two, 4 * MIB), RATION_GROUP_LIMIT);
    ck_assert_ptr_eq(two->no.pool, world.queries);
    check_audit(&world);
    release(one, 6 * MIB);
    rn_slot_close(one);
    rn_slot_close(two);
    fixture_close(&world);
}
END_TEST

START_TEST(test_pool__grants_an_exact_fit)
{
    fixture world = fixture_open(10 * MIB, INT64_MAX, MIB, false);
    rn_slot *slot = open_slot(world.first);
    ck_assert_int_eq(charge(slot, 10 * MIB), RATION_OK);
    ck_assert_int_eq(charge(slot, 1), RATION_GLOBAL_LIMIT);
    ration_pool_figures figures = read_pool(world.root);
    ck_assert_int_eq(figures.charged_bytes, 10 * MIB);
    ck_assert_int_eq(figures.credit_bytes, 0);
    ck_assert_int_eq(figures.peak_bytes, 10 * MIB);
    release(slot, 10 * MIB);
    ck_assert_int_eq(rn_pool_try_charge(world.first, 10 * MIB), true);
    ck_assert_int_eq(rn_pool_try_charge(world.second, 1), false);
    rn_pool_release(world.first, 10 * MIB);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

START_TEST(test_pool__limit_cut_reaches_cached_credit)
{
    enum { SLOTS = 64 };
    fixture world = fixture_open(128 * MIB, INT64_MAX, MIB, _i != 0);
    rn_slot *slots[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        slots[i] = open_slot(i % 2 == 0 ? world.first : world.second);
        ck_assert_int_eq(charge(slots[i], 64), RATION_OK);
    }
    ck_assert_int_gt(read_pool(world.root).credit_bytes, 10 * MIB);
    rn_pool_set_limit(world.root, SLOTS * 64);
    ck_assert_int_eq(read_pool(world.root).granted_bytes, SLOTS * 64);
    for (int i = 0; i < SLOTS; i++) {
        ck_assert_int_eq(charge(slots[i], 1), RATION_GLOBAL_LIMIT);
    }
    check_audit(&world);
    for (int i = 0; i < SLOTS; i++) {
        release(slots[i], 64);
        rn_slot_close(slots[i]);
    }
    fixture_close(&world);
}
END_TEST

/* Above a cut limit nothing is granted, whoever releases, until the pool is below it again; then
 * credit flows as before. */
START_TEST(test_pool__grants_nothing_while_above_a_cut_limit)
{
    fixture world = fixture_open(64 * MIB, INT64_MAX, MIB, _i != 0);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.second);
    ck_assert_int_eq(charge(one, 20 * MIB), RATION_OK);
    ck_assert_int_eq(charge(two, 20 * MIB), RATION_OK);
    rn_pool_set_limit(world.queries, 10 * MIB);
    for (int64_t held = 20; held > 5; held--) {
        ck_assert_int_eq(read_pool(world.queries).granted_bytes, 2 * held * MIB);
        ck_assert_int_eq(charge(one, 1), RATION_GROUP_LIMIT);
        check_audit(&world);
        release(one, MIB);
        ck_assert_int_eq(charge(one, MIB), held == 20 || held > 5 ? RATION_GROUP_LIMIT : RATION_OK);
        release(two, MIB);
    }
    ck_assert_int_eq(charge(one, 1), RATION_GROUP_LIMIT);
    release(two, 5 * MIB);
    ck_assert_int_eq(charge(one, 1), RATION_OK);
    ck_assert_int_gt(read_pool(world.queries).credit_bytes, 0);
    release(one, 5 * MIB + 1);
    rn_slot_close(one);
    rn_slot_close(two);
    fixture_close(&world);
}
END_TEST

/* A pool cut while all above it is drained already stays shut when the pool above opens again. */
START_TEST(test_pool__cut_below_a_drained_pool_outlives_it)
{
    fixture world = fixture_open(8 * MIB, INT64_MAX, MIB, false);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.second);
    ck_assert_int_eq(charge(one, 4 * MIB), RATION_OK);
    ck_assert_int_eq(charge(two, 5 * MIB), RATION_GLOBAL_LIMIT); /* drains the root */
    rn_pool_set_limit(world.first, MIB);
    ck_assert_int_eq(charge(two, MIB), RATION_OK); /* with a chunk: opens the root */
    ck_assert_int_gt(read_pool(world.second).credit_bytes, 0);
    check_audit(&world);
    release(one, MIB);
    ck_assert_int_eq(read_pool(world.first).granted_bytes, 3 * MIB);
    ck_assert_int_eq(charge(one, 1), RATION_QUERY_LIMIT);
    release(one, 3 * MIB);
    release(two, MIB);
    rn_slot_close(one);
    rn_slot_close(two);
    fixture_close(&world);
}
END_TEST

START_TEST(test_pool__raised_limit_grants_at_once)
{
    fixture world = fixture_open(MIB, INT64_MAX, MIB, false);
    rn_slot *slot = open_slot(world.first);
    ck_assert_int_eq(charge(slot, 2 * MIB), RATION_GLOBAL_LIMIT);
    rn_pool_set_limit(world.root, 2 * MIB);
    ck_assert_int_eq(rn_pool_limit(world.root), 2 * MIB);
    ck_assert_int_eq(charge(slot, 2 * MIB), RATION_OK);
    release(slot, 2 * MIB);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

START_TEST(test_pool__path_and_name)
{
    fixture world = fixture_open(MIB, INT64_MAX, MIB, false);
    char text[64];
    ration_pool_path(world.first, text, sizeof(text));
    ck_assert_str_eq(text, "root/queries/q1");
    ration_pool_path(world.first, text, 8);
    ck_assert_str_eq(text, "root/qu");
    ck_assert_str_eq(rn_pool_name(world.second), "q2");
    fixture_close(&world);
}
END_TEST

START_TEST(test_pool__audit_names_a_difference)
{
    fixture world = fixture_open(64 * MIB, INT64_MAX, MIB, false);
    rn_slot *slot = open_slot(world.first);
    ck_assert_int_eq(charge(slot, 100), RATION_OK);
    check_audit(&world);
    char text[256];
    int64_t *words[] = {&world.first->granted, &world.first->direct, &slot->granted_bytes,
                        &world.first->slots_below};
    for (size_t i = 0; i < RN_COUNT(words); i++) {
        *words[i] += 1;
        ck_assert(!ration_pool_check(world.root, text, sizeof(text)));
        ck_assert_msg(strncmp(text, i % 3 == 0 ? "root/queries" : "root/queries/q1: ", 12) == 0,
                      "%s", text);
        *words[i] -= 1;
        check_audit(&world);
    }
    world.first->limit = 1;
    ck_assert(!ration_pool_check(world.root, text, sizeof(text)));
    ck_assert_ptr_nonnull(strstr(text, "above the limit"));
    world.first->limit = INT64_MAX;
    release(slot, 100);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

/* What the caller forgot is counted as a fault and taken home; checked builds stop there. */
START_TEST(test_pool__close_takes_the_rest_home)
{
    fixture world = fixture_open(64 * MIB, INT64_MAX, MIB, false);
    rn_slot *slot = open_slot(world.first);
    ck_assert_int_eq(charge(slot, 1000), RATION_OK);
    rn_slot_close(slot);
    ck_assert_int_eq(read_pool(world.first).charged_bytes, 1000);
    rn_pool_close(world.first);
    ck_assert_int_eq(rn_faults(), 1);
    ck_assert_int_eq(read_pool(world.root).granted_bytes, 0);
    check_audit(&world);
    ration_pool *parent = world.second;
    ration_pool *child = NULL;
    ck_assert_int_eq(rn_pool_open(world.ledger, parent, "op", 10, RATION_QUERY_LIMIT, NULL, &child),
                     RATION_OK);
    (void)open_slot(child);
    rn_pool_close(parent);
    ck_assert_int_gt(rn_faults(), 1);
    ck_assert_int_eq(read_pool(world.root).granted_bytes, 0);
    check_audit(&world);
    rn_blocks_close(world.blocks);
    rn_ledger_close(world.ledger); /* with pools in it: one more fault, nothing left */
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

START_TEST(test_ledger__comes_through_every_heap_fault)
{
    for (int forever = 0; forever < 2; forever++) {
        bool passed = false;
        for (int64_t n = 1; !passed; n++) {
            fixture world;
            rn_slot *slot = NULL;
            rn_heap_fail_after(n, forever != 0);
            passed = fixture_try_open(&world, MIB, MIB, MIB, false);
            if (passed) {
                passed = rn_slot_open(world.first, NULL, &slot) == RATION_OK;
                rn_heap_fail_after(0, false);
                if (passed) {
                    rn_slot_close(slot);
                }
                fixture_close(&world);
            }
            rn_heap_fail_after(0, false);
            ck_assert_int_eq(rn_heap_bytes(), 0);
            ck_assert_int_lt(n, 100);
        }
    }
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *tests = tcase_create("ledger");
    tcase_add_test(tests, test_pool__names_who_refuses);
    tcase_add_test(tests, test_pool__grants_an_exact_fit);
    tcase_add_loop_test(tests, test_pool__limit_cut_reaches_cached_credit, 0, 2);
    tcase_add_loop_test(tests, test_pool__grants_nothing_while_above_a_cut_limit, 0, 2);
    tcase_add_test(tests, test_pool__cut_below_a_drained_pool_outlives_it);
    tcase_add_test(tests, test_pool__raised_limit_grants_at_once);
    tcase_add_test(tests, test_pool__path_and_name);
    tcase_add_test(tests, test_pool__audit_names_a_difference);
#ifdef RATION_CHECKED
    tcase_add_test_raise_signal(tests, test_pool__close_takes_the_rest_home, 6);
#else
    tcase_add_test(tests, test_pool__close_takes_the_rest_home);
#endif
    tcase_add_test(tests, test_ledger__comes_through_every_heap_fault);
    Suite *suite = suite_create("memory/ledger");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots: what is granted and what is refused, with one thread. Every test runs with both orderings
 * (_i). The three mistakes named in memory/slot.c need several threads: test_stress.c. */
#include "memory/pool.h"
#include "tests/memory/fixture.h"

START_TEST(test_slot__charges_and_releases)
{
    fixture world = fixture_open(64 * MIB, INT64_MAX, MIB, _i != 0);
    rn_slot *slot = open_slot(world.first);
    ck_assert_int_eq(slot->hot.ordering, rn_ledger_uses_membarrier(world.ledger) ? 0 : 1);
    ck_assert(_i == 0 || !rn_ledger_uses_membarrier(world.ledger));
    ck_assert_int_eq(charge(slot, 0), RATION_OK);
    ck_assert_int_eq(charge(slot, 100), RATION_OK);
    ck_assert_int_eq(rn_slot_used(slot), 100);
    int64_t refills = slot->refills;
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(charge(slot, 100), RATION_OK);
        release(slot, 100);
    }
    ck_assert_int_eq(slot->refills, refills); /* credit lasts */
    ck_assert_int_eq(read_pool(world.root).charged_bytes, 100);
    ck_assert_int_eq(read_pool(world.first).charged_bytes, 100);
    ck_assert_int_eq(read_pool(world.second).charged_bytes, 0);
    check_audit(&world);
    release(slot, 100);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

/* 16 chunks that would not fit, bytes that do. */
START_TEST(test_slot__chunk_is_never_the_reason)
{
    fixture world = fixture_open(MIB, INT64_MAX, 64 * MIB, _i != 0);
    rn_slot *slot = open_slot(world.first);
    ck_assert_int_eq(charge(slot, MIB - 100), RATION_OK);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(charge(slot, 1), RATION_OK);
    }
    ck_assert_int_eq(charge(slot, 1), RATION_GLOBAL_LIMIT);
    release(slot, MIB);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

START_TEST(test_slot__chunk_shrinks_with_headroom)
{
    fixture world = fixture_open(8 * MIB, INT64_MAX, MIB, _i != 0);
    rn_slot *slot = open_slot(world.first);
    ck_assert_int_eq(charge(slot, 1), RATION_OK);
    ck_assert_int_eq(read_pool(world.root).credit_bytes, MIB);
    ck_assert_int_eq(charge(slot, 7 * MIB - 1), RATION_OK);
    int64_t credit = read_pool(world.root).credit_bytes;
    ck_assert_int_gt(credit, 0);
    ck_assert_int_le(credit, MIB / 2);
    release(slot, 7 * MIB);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

START_TEST(test_slot__refused_giant_leaves_nothing)
{
    fixture world = fixture_open(64 * MIB, 32 * MIB, MIB, _i != 0);
    rn_slot *slot = open_slot(world.first);
    rn_slot *other = open_slot(world.second);
    const int64_t giants[] = {32 * MIB + 1, (int64_t)1 << 40, INT64_MAX - 1, INT64_MAX};
    ck_assert_int_eq(charge(slot, 1000), RATION_OK);
    ck_assert_int_eq(charge(other, 1000), RATION_OK);
    int64_t granted = read_pool(world.root).granted_bytes;
    for (size_t i = 0; i < RN_COUNT(giants); i++) {
        ck_assert_int_eq(charge(slot, giants[i]), RATION_QUERY_LIMIT);
        ck_assert_int_eq(rn_slot_used(slot), 1000);
        ck_assert_int_eq(read_pool(world.root).granted_bytes,
                         granted); /* not even credit was touched */
        ck_assert_int_eq(slot->no.asked_bytes, giants[i]);
        ck_assert_int_eq(slot->no.charged_bytes, 1000);
    }
    check_audit(&world);
    release(slot, 1000);
    release(other, 1000);
    rn_slot_close(slot);
    rn_slot_close(other);
    fixture_close(&world);
}
END_TEST

/* Without any limit the sum itself is the limit. */
START_TEST(test_slot__request_near_the_end_of_int64)
{
    fixture world = fixture_open(INT64_MAX, INT64_MAX, MIB, _i != 0);
    rn_slot *slot = open_slot(world.first);
    ck_assert_int_eq(charge(slot, 1000), RATION_OK);
    ck_assert_int_ne(charge(slot, INT64_MAX), RATION_OK);
    ck_assert_int_ne(charge(slot, INT64_MAX - 999), RATION_OK);
    ck_assert_int_eq(charge(slot, INT64_MAX - 1001), RATION_OK);
    ck_assert_int_eq(rn_slot_used(slot), INT64_MAX - 1);
    release(slot, INT64_MAX - 1001);
    release(slot, 1000);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

/* However many slots sit on credit, what is not charged can be charged, to the byte. */
START_TEST(test_slot__idle_credit_never_refuses)
{
    static const int counts[] = {0, 1, 8, 64, 128, 1023};
    int count = counts[_i / 2];
    fixture world = fixture_open(256 * MIB, INT64_MAX, MIB, _i % 2 != 0);
    rn_slot **idle = (rn_slot **)rn_heap_allocate(sizeof(rn_slot *) * 1024);
    for (int i = 0; i < count; i++) {
        idle[i] = open_slot(i % 2 == 0 ? world.first : world.second);
        ck_assert_int_eq(charge(idle[i], 64 + MIB / 8), RATION_OK);
        release(idle[i], MIB / 8);
    }
    rn_slot *asker = open_slot(world.second);
    ck_assert_int_eq(charge(asker, 256 * MIB - 64 * count + 1), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(asker->no.charged_bytes, 64 * count);
    ck_assert_int_eq(charge(asker, 256 * MIB - 64 * count), RATION_OK);
    ck_assert_int_eq(charge(asker, 1), RATION_GLOBAL_LIMIT);
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(charge(idle[i], 1), RATION_GLOBAL_LIMIT);
    }
    check_audit(&world);
    release(asker, 256 * MIB - 64 * count);
    rn_slot_close(asker);
    for (int i = 0; i < count; i++) {
        release(idle[i], 64);
        rn_slot_close(idle[i]);
    }
    rn_heap_free(idle, sizeof(rn_slot *) * 1024);
    fixture_close(&world);
}
END_TEST

/* A pool that had to refuse recalls once; later refusals find nothing to recall, and any release is
 * seen by the next ask. */
START_TEST(test_slot__refusals_follow_each_release)
{
    fixture world = fixture_open(10000, INT64_MAX, MIB, _i != 0);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.second);
    ck_assert_int_eq(charge(one, 4000), RATION_OK);
    ck_assert_int_eq(charge(two, 4000), RATION_OK);
    ck_assert_int_eq(charge(two, 2001), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(charge(two, 2001), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(two->no.recalled_bytes, 0);
    for (int i = 1; i <= 100; i++) {
        release(one, 10);
        ck_assert_int_eq(charge(two, 2001 + 10 * i), RATION_GLOBAL_LIMIT);
        ck_assert_int_eq(two->no.charged_bytes, 8000 - 10 * i);
        check_audit(&world);
    }
    ck_assert_int_eq(charge(two, 3000), RATION_OK);
    release(two, 7000);
    release(one, 3000);
    rn_slot_close(one);
    rn_slot_close(two);
    fixture_close(&world);
}
END_TEST

/* One trip to the lock brings home all but a few chunks, whatever the size; the slot may then swing
 * without the lock. */
START_TEST(test_slot__huge_release_goes_home_at_once)
{
    fixture world = fixture_open(INT64_C(1) << 44, INT64_MAX, MIB, _i != 0);
    rn_slot *slot = open_slot(world.first);
    ck_assert_int_eq(charge(slot, INT64_C(10) << 40), RATION_OK);
    release(slot, INT64_C(10) << 40);
    ck_assert_int_le(read_pool(world.root).granted_bytes, 4 * MIB);
    int64_t refills = slot->refills;
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(charge(slot, 2 * MIB), RATION_OK);
        release(slot, 2 * MIB);
    }
    ck_assert_int_le(slot->refills, refills + 1);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

START_TEST(test_slot__try_charge_between_grants_what_there_is)
{
    fixture world = fixture_open(100000, 60000, 4096, _i != 0);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.second);
    int64_t charged = -1;
    ck_assert_int_eq(ration_slot_try_charge_between(&one->hot, 10, 20, &charged), RATION_OK);
    ck_assert_int_eq(charged, 20);
    ck_assert_int_eq(ration_slot_try_charge_between(&one->hot, 10, INT64_MAX, &charged), RATION_OK);
    ck_assert_int_eq(charged, 60000 - 20);
    release(one, 1000);
    ck_assert_int_eq(ration_slot_try_charge_between(&two->hot, 1, 50000, &charged), RATION_OK);
    ck_assert_int_eq(charged, 41000);
    charged = -1;
    ck_assert_int_eq(ration_slot_try_charge_between(&two->hot, 1, 50000, &charged),
                     RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(charged, -1);
    ck_assert_int_eq(two->no.asked_bytes, 1);
    ck_assert_int_eq(ration_slot_try_charge_between(&two->hot, 70000, 80000, &charged),
                     RATION_QUERY_LIMIT);
    ck_assert_int_eq(charged, -1);
    ck_assert_int_eq(ration_slot_try_charge_between(&two->hot, 0, 50000, &charged), RATION_OK);
    ck_assert_int_eq(charged, 0);
    check_audit(&world);
    release(one, 59000);
    release(two, 41000);
    rn_slot_close(one);
    rn_slot_close(two);
    fixture_close(&world);
}
END_TEST

START_TEST(test_slot__unchecked_bytes_are_counted)
{
    fixture world = fixture_open(1000, INT64_MAX, 4096, _i != 0);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.second);
    ration_slot_charge(&one->hot, 600);
    ck_assert_int_eq(read_pool(world.root).unchecked_bytes, 0);
    ration_slot_charge(&one->hot, 500);
    ration_pool_figures figures = read_pool(world.root);
    ck_assert_int_eq(figures.charged_bytes, 1100);
    ck_assert_int_eq(figures.unchecked_bytes, 100);
    ck_assert_int_eq(read_pool(world.first).unchecked_bytes, 0); /* it has no limit to be above */
    ration_slot_charge(&two->hot, 5000);                         /* above the limit alone */
    ck_assert_int_eq(read_pool(world.root).unchecked_bytes, 5100);
    check_audit(&world);
    ck_assert_int_eq(charge(two, 1), RATION_GLOBAL_LIMIT);
    release(two, 5000);
    ck_assert_int_eq(read_pool(world.root).unchecked_bytes, 100);
    ck_assert_int_eq(charge(two, 1), RATION_GLOBAL_LIMIT);
    release(one, 101);
    ck_assert_int_eq(read_pool(world.root).unchecked_bytes, 0);
    ck_assert_int_eq(charge(two, 1), RATION_OK);
    ck_assert_int_eq(charge(two, 1), RATION_GLOBAL_LIMIT);
    release(two, 1);
    release(one, 999);
    rn_slot_close(one);
    rn_slot_close(two);
    fixture_close(&world);
}
END_TEST

/* Bytes charged by one slot, released by another of the same query: sums stay exact, close folds
 * the rest. */
START_TEST(test_slot__releases_across_slots)
{
    fixture world = fixture_open(64 * MIB, 32 * MIB, MIB, _i != 0);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.first);
    ck_assert_int_eq(charge(one, 30 * MIB), RATION_OK);
    release(two, 20 * MIB);
    ck_assert_int_eq(rn_slot_used(two), -20 * MIB);
    ck_assert_int_eq(read_pool(world.first).charged_bytes, 10 * MIB);
    check_audit(&world);
    ck_assert_int_eq(charge(one, 22 * MIB + 1), RATION_QUERY_LIMIT);
    ck_assert_int_eq(charge(two, 22 * MIB), RATION_OK);
    ck_assert_int_eq(charge(one, 1), RATION_QUERY_LIMIT);
    rn_slot_close(two);
    check_audit(&world);
    ck_assert_int_eq(read_pool(world.first).charged_bytes, 32 * MIB);
    release(one, 32 * MIB);
    ck_assert_int_eq(rn_slot_used(one), -2 * MIB);
    ck_assert_int_eq(read_pool(world.first).charged_bytes, 0);
    rn_slot_close(one);
    ck_assert_int_eq(read_pool(world.first).granted_bytes, 0);
    fixture_close(&world);
}
END_TEST

START_TEST(test_slot__prepaid_bytes_cannot_be_refused)
{
    fixture world = fixture_open(1000, INT64_MAX, 4096, _i != 0);
    rn_slot *one = open_slot(world.first);
    rn_slot *two = open_slot(world.second);
    ck_assert_int_eq(rn_slot_prepay(one, 600), RATION_OK);
    ck_assert_int_eq(charge(two, 400), RATION_OK);
    ck_assert_int_eq(rn_slot_prepay(one, 601), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(one->advance_bytes, 600);
    ck_assert_int_eq(rn_slot_draw(one, 500), RATION_OK);
    ck_assert_int_eq(rn_slot_draw(one, 101), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(rn_slot_prepay(one, 0), RATION_OK);
    ck_assert_int_eq(rn_slot_used(one), 500);
    ck_assert_int_eq(charge(two, 100), RATION_OK);
    release(one, 500);
    release(two, 500);
    rn_slot_close(one);
    rn_slot_close(two);
    fixture_close(&world);
}
END_TEST

/* Chunk 0: every charge and release is exact in the pools at once. */
START_TEST(test_slot__without_chunks_pools_are_exact)
{
    fixture world = fixture_open(MIB, INT64_MAX, 0, _i != 0);
    rn_slot *slot = open_slot(world.first);
    uint64_t seed = 42;
    int64_t held = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t bytes = (int64_t)rn_random_below(&seed, 5000);
        if (charge(slot, bytes) == RATION_OK) {
            held += bytes;
        } else {
            release(slot, held);
            held = 0;
        }
        ck_assert_int_eq(read_pool(world.root).granted_bytes, held);
    }
    check_audit(&world);
    release(slot, held);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

/* Random asks of several slots against a model that knows only the charged bytes: granted exactly
 * when they fit. */
START_TEST(test_slot__agrees_with_the_model)
{
    enum { SLOTS = 6 };
    uint64_t seed = UINT64_C(20240611) + (uint64_t)_i;
    printf("seed=%llu\n", (unsigned long long)seed);
    fixture world = fixture_open(40 * MIB, 25 * MIB, MIB, _i % 2 != 0);
    rn_slot *slots[SLOTS];
    int64_t held[SLOTS] = {0};
    int64_t used[2] = {0, 0};
    for (int i = 0; i < SLOTS; i++) {
        slots[i] = open_slot(i % 2 == 0 ? world.first : world.second);
    }
    for (int step = 0; step < 20000; step++) {
        int i = (int)rn_random_below(&seed, SLOTS);
        int64_t bytes = (int64_t)rn_random_below(&seed, (uint64_t)1 << rn_random_below(&seed, 25));
        if (rn_random_below(&seed, 5) < 2) {
            bytes = RN_MIN(bytes * 4, held[i]);
            release(slots[i], bytes);
            bytes = -bytes;
        } else {
            bool fits = used[i % 2] + bytes <= 25 * MIB && used[0] + used[1] + bytes <= 40 * MIB;
            ck_assert_int_eq(charge(slots[i], bytes) == RATION_OK, fits);
            bytes = fits ? bytes : 0;
        }
        held[i] += bytes;
        used[i % 2] += bytes;
        if (step % 64 == 0) {
            check_audit(&world);
            ck_assert_int_eq(read_pool(world.first).charged_bytes, used[0]);
            ck_assert_int_eq(read_pool(world.root).charged_bytes, used[0] + used[1]);
            ck_assert_int_le(read_pool(world.root).granted_bytes, 40 * MIB);
            if (step % 4096 == 0) {
                (void)rn_pool_recall(world.queries);
            }
        }
    }
    for (int i = 0; i < SLOTS; i++) {
        release(slots[i], held[i]);
        rn_slot_close(slots[i]);
    }
    fixture_close(&world);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *tests[] = {
        test_slot__charges_and_releases,
        test_slot__chunk_is_never_the_reason,
        test_slot__chunk_shrinks_with_headroom,
        test_slot__refused_giant_leaves_nothing,
        test_slot__request_near_the_end_of_int64,
        test_slot__refusals_follow_each_release,
        test_slot__huge_release_goes_home_at_once,
        test_slot__try_charge_between_grants_what_there_is,
        test_slot__unchecked_bytes_are_counted,
        test_slot__releases_across_slots,
        test_slot__prepaid_bytes_cannot_be_refused,
        test_slot__without_chunks_pools_are_exact,
    };
    TCase *both = tcase_create("both orderings");
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_loop_test(both, tests[i], 0, 2);
    }
    tcase_add_loop_test(both, test_slot__idle_credit_never_refuses, 0, 12);
    tcase_add_loop_test(both, test_slot__agrees_with_the_model, 0, 6);
    tcase_set_timeout(both, 120);
    Suite *suite = suite_create("memory/slot");
    suite_add_tcase(suite, both);
    return run_suite(suite);
}

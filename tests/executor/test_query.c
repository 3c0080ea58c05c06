/* SPDX-License-Identifier: Apache-2.0
 *
 * Governor, query and refusal, as an embedding host uses them. */
#include "tests/executor/governor_world.h"

START_TEST(test_refusal__names_limit_asker_holder_and_key)
{
    ration_governor *governor = open_governor(100000, 0);
    ration_query_options hog_options = {.size = sizeof hog_options, .name = "hog"};
    ration_query_options asker_options = {.size = sizeof asker_options, .name = "asker"};
    ration_slot *hog_slot, *asker_slot;
    ration_query *hog = open_query(governor, &hog_options, &hog_slot);
    ration_query *asker = open_query(governor, &asker_options, &asker_slot);
    ck_assert_int_eq(ration_slot_try_charge(hog_slot, 90000), RATION_OK);
    rn_query_publish(hog, "sort@3", 90000);
    RATION_GUARD(guard, asker_slot, "collect");
    ck_assert_int_eq(ration_guard_row(&guard, 1000), RATION_OK);
    ck_assert_int_eq(ration_guard_row(&guard, 9001), RATION_GLOBAL_LIMIT);
    ration_refusal refusal;
    ck_assert(ration_query_refusal(asker, &refusal));
    ck_assert(!ration_query_refusal(hog, &refusal));
    ck_assert(ration_query_refusal(asker, &refusal));
    ck_assert_int_eq(refusal.limit_bytes, 100000);
    ck_assert_int_eq(refusal.charged_bytes, 91000);
    ck_assert_int_eq(refusal.asked_bytes, 9001);
    ck_assert_int_eq(refusal.key_bytes, 100001);
    ck_assert_int_eq(refusal.holder_bytes, 90000);
    refusal.recalled_bytes = 0; /* how much credit lay idle depends on the chunk */
    char text[1000];
    (void)ration_refusal_format(&refusal, text, sizeof text);
    ck_assert_str_eq(text,
                     "memory limit exceeded: 91000 + 9001 > 100000 bytes (root)\n"
                     "  code      GLOBAL_LIMIT: the limit of all queries together is reached\n"
                     "  asked by  collect of query asker, which holds 1000 B\n"
                     "  largest   query hog holds 87.9 KiB, most in sort@3\n"
                     "  tried     recalled 0 B of idle credit, gave back 0 B of retained pages\n"
                     "  change    raise limit_bytes to at least 100001, or let the query hold less "
                     "(limit, topk, fewer columns)\n");
    ration_guard_end(&guard);
    ration_slot_release(hog_slot, 90000);
    ration_query_close(hog);
    ration_query_close(asker);
    close_and_check(governor);
}
END_TEST

START_TEST(test_refusal__is_the_latest_until_one_is_final)
{
    ration_governor *governor = open_governor(64 * 1024, 0);
    ration_query_options small = {.size = sizeof small, .limit_bytes = 32 * 1024};
    ration_slot *slot, *other_slot;
    ration_query *query = open_query(governor, &small, &slot);
    ration_query *other = open_query(governor, NULL, &other_slot);
    ration_refusal refusal;
    RATION_GUARD(guard, slot, "first");
    ck_assert_int_eq(ration_guard_row(&guard, 100), RATION_OK);
    ck_assert_int_eq(ration_guard_row(&guard, 40 * 1024), RATION_QUERY_LIMIT);
    ck_assert_int_eq(ration_slot_try_charge(other_slot, 50 * 1024), RATION_OK);
    ck_assert(ration_query_refusal(query, &refusal));
    /* Its own limit: the holder is the query itself, whoever else holds more elsewhere. */
    ck_assert_str_eq(refusal.holder, "q1");
    ck_assert_int_eq(refusal.data_bytes, 0);
    ck_assert_str_eq(refusal.key, "limit_bytes of the query");
    ck_assert_int_eq(ration_guard_row(&guard, 20 * 1024), RATION_GLOBAL_LIMIT);
    ck_assert(ration_query_refusal(query, &refusal));
    ck_assert_int_eq(refusal.status, RATION_GLOBAL_LIMIT);
    ck_assert_str_eq(refusal.holder, "q2");
    ck_assert_int_eq(ration_slot_try_charge(slot, 33 * 1024), RATION_QUERY_LIMIT);
    ck_assert(ration_query_refusal(query, &refusal));
    ck_assert_str_eq(refusal.site, "");
    ck_assert_int_eq(rn_query_fail(query, rn_slot_of(slot), "final", RATION_QUERY_LIMIT, NULL),
                     RATION_QUERY_LIMIT);
    ck_assert_int_eq(ration_guard_row(&guard, 20 * 1024), RATION_GLOBAL_LIMIT);
    ck_assert(ration_query_refusal(query, &refusal));
    ck_assert_int_eq(refusal.status, RATION_QUERY_LIMIT);
    ck_assert_str_eq(refusal.site, "final");
    ration_pool_figures figures;
    ration_pool_read(ration_query_pool(query), &figures);
    ck_assert_int_eq(figures.refusals, 2);
    ration_pool_read(ration_governor_root(governor), &figures);
    ck_assert_int_eq(figures.refusals, 2);
    ration_guard_end(&guard);
    ration_slot_release(other_slot, 50 * 1024);
    ration_query_close(other);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_refusal__of_a_bare_charge_is_explained_too)
{
    ration_governor *governor = open_governor(MIB, 4096);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ck_assert_int_eq(ration_slot_try_charge(slot, 4097), RATION_QUERY_LIMIT);
    ration_refusal refusal;
    ck_assert(ration_query_refusal(query, &refusal));
    ck_assert_str_eq(refusal.key, "query_limit_bytes");
    ck_assert_str_eq(refusal.pool, "root/queries/q1");
    ck_assert_int_eq(refusal.key_bytes, 4097);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_query__gives_no_more_slots_than_there_are)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    for (uint32_t i = 1; i < RN_QUERY_SLOTS_MAX; i++) {
        ck_assert_int_eq(ration_query_slot(query, &slot), RATION_OK);
    }
    ck_assert_int_eq(ration_query_slot(query, &slot), RATION_NO_SLOT);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_query__first_error_wins)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ration_error first, found;
    (void)rn_error_set(&first, RATION_EVALUATION, "", "division by zero");
    ck_assert_int_eq(rn_query_fail(query, rn_slot_of(slot), "a", RATION_EVALUATION, &first),
                     RATION_EVALUATION);
    ck_assert_int_eq(rn_query_fail(query, rn_slot_of(slot), "b", RATION_CANCELLED, NULL),
                     RATION_EVALUATION);
    ck_assert(rn_query_error(query, &found));
    ck_assert_str_eq(found.message, "division by zero");
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_governor__refuses_bad_limits_and_options)
{
    ration_limits limits;
    ration_limits_default(&limits);
    ration_governor *governor = NULL;
    ration_error error;
    limits.limit_ratio_ppm = 0;
    ck_assert_int_eq(ration_governor_open(&limits, &governor, &error), RATION_CONFIG);
    ration_limits_default(&limits);
    limits.size = 3;
    ck_assert_int_eq(ration_governor_open(&limits, &governor, &error), RATION_INVALID_ARGUMENT);
    ck_assert_ptr_null(governor);
    governor = open_governor(MIB, 0);
    ration_query *query = NULL;
    ration_query_options negative = {.size = sizeof negative, .limit_bytes = -1};
    ck_assert_int_eq(ration_query_open(governor, &negative, &query, &error),
                     RATION_INVALID_ARGUMENT);
    ck_assert_ptr_null(query);
    ck_assert_int_eq(ration_governor_set_limit(governor, 0), RATION_INVALID_ARGUMENT);
    close_and_check(governor);
}
END_TEST

START_TEST(test_governor__limit_is_derived_from_what_is_available)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.limit_ratio_ppm = 500000;
    limits.untracked_reserved_bytes = MIB;
    rn_probe probe;
    int64_t limit_bytes;
    ration_error error;
    support_ok(rn_derive_limit(&limits, "", &probe, &limit_bytes, &error), &error);
    ck_assert_int_eq(limit_bytes, probe.available_bytes / 1000000 * 500000 +
                                      probe.available_bytes % 1000000 * 500000 / 1000000 - MIB);
    ck_assert_int_eq(probe.sources[probe.binding].headroom_bytes, probe.available_bytes);
    limits.untracked_reserved_bytes = INT64_MAX;
    ck_assert_int_eq(rn_derive_limit(&limits, "", &probe, &limit_bytes, &error),
                     RATION_ENVIRONMENT);
    ck_assert_int_eq(rn_derive_limit(&limits, "/nonexistent", &probe, &limit_bytes, &error),
                     RATION_ENVIRONMENT);
}
END_TEST

START_TEST(test_governor__every_failed_allocation_is_a_clean_status)
{
    for (int forever = 0; forever < 2; forever++) {
        bool passed = false;
        for (int64_t n = 1; !passed && n < 100; n++) {
            ration_limits limits;
            ration_limits_default(&limits);
            limits.enable_system_monitor = false;
            limits.limit_bytes = MIB;
            ration_governor *governor = NULL;
            ration_query *query = NULL;
            ration_slot *slot = NULL;
            ration_error error;
            rn_heap_fail_after(n, forever != 0);
            passed = ration_governor_open(&limits, &governor, &error) == RATION_OK &&
                     ration_query_open(governor, NULL, &query, &error) == RATION_OK &&
                     ration_query_slot(query, &slot) == RATION_OK;
            rn_heap_fail_after(0, false);
            ration_query_close(query);
            ration_governor_close(governor);
            ck_assert_int_eq(rn_heap_bytes(), 0);
        }
        ck_assert(passed);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_refusal__names_limit_asker_holder_and_key,
        test_refusal__is_the_latest_until_one_is_final,
        test_refusal__of_a_bare_charge_is_explained_too,
        test_query__gives_no_more_slots_than_there_are,
        test_query__first_error_wins,
        test_governor__refuses_bad_limits_and_options,
        test_governor__limit_is_derived_from_what_is_available,
        test_governor__every_failed_allocation_is_a_clean_status,
    };
    return support_run("query", tests, RN_COUNT(tests));
}

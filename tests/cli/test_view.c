/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/view.c and cli/against.c where a registry is full, or a process has several governors. */
#include "cli/against.h"
#include "tests/executor/registry_world.h"

static rn_limits_view view; /* large */

static void open_view(void)
{
    rn_places places;
    ration_error error;
    rn_copy_text(limits.registry_directory, sizeof limits.registry_directory, folder);
    support_ok(rn_places_open(NULL, 0, &places, &error), &error);
    support_ok(rn_limits_view_open(&limits, "defaults", "", true, &places, &view, &error), &error);
}

/* Who would come gets no place, and nobody of those who are there is overwritten. */
START_TEST(test_view__a_full_registry_leaves_no_limit)
{
    static rn_registry *registries[RN_REGISTRY_PLACES];
    static rn_registry_entry listed[RN_REGISTRY_PLACES];
    setup();
    for (int i = 0; i < RN_REGISTRY_PLACES; i++) {
        if (i == RN_REGISTRY_PLACES - 1) {
            open_view();
            ck_assert_int_eq(view.refused.status, RATION_OK);
            rn_limits_view_close(&view);
        }
        registries[i] = open_registry();
        (void)divide(registries[i], 0, 0);
    }
    open_view();
    ck_assert_int_eq(view.limit_bytes, -1);
    ck_assert_int_eq(view.refused.status, RATION_ENVIRONMENT);
    ck_assert_ptr_nonnull(strstr(view.refused.message, "all 64 places"));
    ck_assert_int_eq(view.other_count, RN_REGISTRY_PLACES);
    ck_assert_int_eq(rn_registry_list(view.registry, listed), RN_REGISTRY_PLACES);
    ck_assert_int_eq(view.entries[63].number, listed[63].number);
    rn_limits_view_close(&view);
    limits.limit_bytes = 7 * MIB; /* takes no place */
    limits.enable_system_monitor = false;
    open_view();
    ck_assert_int_eq(view.limit_bytes, 7 * MIB);
    ck_assert_int_eq(view.refused.status, RATION_OK);
    rn_limits_view_close(&view);
    for (int i = 0; i < RN_REGISTRY_PLACES; i++) {
        rn_registry_close(registries[i]);
    }
    support_remove(folder);
}
END_TEST

START_TEST(test_view__processes_are_counted_once_each)
{
    static rn_against against;
    ration_error error;
    view = (rn_limits_view){.other_count = 3};
    view.entries[0].process = view.entries[2].process = 5;
    view.entries[1].process = 6;
    ck_assert_int_eq(rn_against_find("running", &view, &against, &error), RATION_INVALID_ARGUMENT);
    ck_assert_str_eq(error.message, "2 processes are running: 5, 6");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_view__a_full_registry_leaves_no_limit,
        test_view__processes_are_counted_once_each,
    };
    return support_run("view", tests, RN_COUNT(tests));
}

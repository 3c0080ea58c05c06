/* SPDX-License-Identifier: Apache-2.0
 *
 * A registry in a folder of its own, a machine of one source, turns of governors of one process.
 */
#ifndef RATION_TESTS_REGISTRY_WORLD_H
#define RATION_TESTS_REGISTRY_WORLD_H

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/hash.h"
#include "executor/limit.h"
#include "executor/registry_file.h"
#include "tests/support.h"

#define MIB (INT64_C(1) << 20)

SUPPORT_UNUSED static char folder[256], path[RN_REGISTRY_PATH_BYTES];
SUPPORT_UNUSED static rn_probe probe;
SUPPORT_UNUSED static ration_limits limits;

SUPPORT_UNUSED static void setup(void)
{
    ration_error error;
    rn_copy_text(folder, sizeof folder, support_folder());
    support_ok(rn_registry_file_name(folder, path, &error), &error);
    ration_limits_default(&limits);
    limits.untracked_reserved_bytes = 0;
    probe = (rn_probe){.count = 1};
    probe.sources[0] = (rn_probe_source){
        .name = "MemAvailable", .limit_bytes = 4000 * MIB, .headroom_bytes = 1000 * MIB};
}

SUPPORT_UNUSED static rn_registry *open_registry(void)
{
    rn_registry *registry;
    ration_error error;
    support_ok(rn_registry_open(folder, &registry, &error), &error);
    return registry;
}

SUPPORT_UNUSED static ration_status try_divide(rn_registry *registry, int64_t limit,
                                               int64_t granted, rn_registry_division *division,
                                               ration_error *error)
{
    const rn_registry_own own = {.granted_bytes = granted,
                                 .resident_bytes = granted,
                                 .limit_bytes = limit,
                                 .ceiling_bytes = INT64_MAX,
                                 .demand_bytes = INT64_MAX,
                                 .limits = &limits,
                                 .probe = &probe,
                                 .now_ns = rn_clock_ns()};
    return rn_registry_divide(registry, &own, division, error);
}

SUPPORT_UNUSED static rn_registry_division divide(rn_registry *registry, int64_t limit,
                                                  int64_t granted)
{
    rn_registry_division division;
    ration_error error;
    support_ok(try_divide(registry, limit, granted, &division, &error), &error);
    return division;
}

/* Each turn, and the limit it gives, until it stays. */
SUPPORT_UNUSED static int64_t settle(rn_registry *registry, int64_t limit)
{
    for (int i = 0; i < 4; i++) {
        limit = divide(registry, limit, 0).limit_bytes;
    }
    return limit;
}

SUPPORT_UNUSED static int64_t count_listed(rn_registry *registry)
{
    static rn_registry_entry entries[RN_REGISTRY_PLACES];
    return rn_registry_list(registry, entries);
}

/* What the newcomer of a test is told of the file at `path`. */
SUPPORT_UNUSED static void expect_refused(ration_status wanted, const char *why)
{
    rn_registry *registry = NULL;
    ration_error error;
    ck_assert_int_eq(rn_registry_open(folder, &registry, &error), wanted);
    ck_assert_msg(strstr(error.message, why) != NULL, "%s", error.message);
    ck_assert_ptr_null(registry);
}

SUPPORT_UNUSED static void overwrite(int64_t at, const void *bytes, size_t count)
{
    int descriptor = open(path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(pwrite(descriptor, bytes, count, at), (ssize_t)count);
    ck_assert_int_eq(close(descriptor), 0);
}

SUPPORT_UNUSED static void write_entry(int64_t place, const rn_registry_entry *entry)
{
    rn_failure none = {0};
    rn_registry_file file = {.path = path, .failure = &none, .descriptor = -1};
    ration_error error;
    support_ok(rn_registry_file_open(&file, RN_REGISTRY_WRITES, &(bool){false}, &error), &error);
    support_ok(rn_registry_file_write(&file, place, entry, &error), &error);
    rn_registry_file_close(&file);
}

SUPPORT_UNUSED static rn_registry_entry entry_of(int64_t process, int64_t start_time)
{
    return (rn_registry_entry){.process = process,
                               .start_time = start_time,
                               .number = 1,
                               .limit_bytes = 100 * MIB,
                               .ceiling_bytes = INT64_MAX,
                               .demand_bytes = INT64_MAX,
                               .bound_bytes = INT64_MAX,
                               .ratio_ppm = 800000,
                               .heard_ns = rn_clock_ns()};
}

#endif

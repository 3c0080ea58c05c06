/* SPDX-License-Identifier: Apache-2.0
 *
 * A governor, a slot of its pool `data` and a folder with plans.yaml, for tests of workloads. */
#ifndef RATION_TESTS_WORKLOAD_WORLD_H
#define RATION_TESTS_WORKLOAD_WORLD_H

#include "executor/replay.h"
#include "iterators/registry.h"
#include "tests/support.h"

static ration_governor *governor;
static rn_slot *slot;
static char folder[256];

static const char plans_text[] = "plans:\n"
                                 "  numbers:\n"
                                 "    parameters: { n: 10 }\n"
                                 "    pipeline:\n"
                                 "      - range: { rows: $n, columns: { i: sequence } }\n"
                                 "  named:\n"
                                 "    parameters: { n: 'x' }\n"
                                 "    pipeline:\n"
                                 "      - range: { rows: 2, columns: { i: sequence } }\n"
                                 "  twice:\n"
                                 "    pipeline:\n"
                                 "      - range: { rows: 3, columns: { i: sequence } }\n";

SUPPORT_UNUSED static void open_with(int64_t limit_bytes)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = limit_bytes;
    ration_error error;
    support_ok(ration_governor_open(&limits, &governor, &error), &error);
    ck_assert_int_eq(rn_slot_open(ration_governor_data(governor), NULL, &slot), RATION_OK);
    snprintf(folder, sizeof folder, "%s", support_folder());
    support_write(folder, "plans.yaml", plans_text, strlen(plans_text));
}

SUPPORT_UNUSED static void open_all(void)
{
    open_with(64 << 20);
}

SUPPORT_UNUSED static void close_all(void)
{
    ck_assert_int_eq(rn_slot_used(slot), 0);
    rn_slot_close(slot);
    ration_governor_close(governor);
    support_remove(folder);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}

static ration_status parse(const char *text, rn_workload *workload, ration_error *error)
{
    char path[300];
    snprintf(path, sizeof path, "%s/w.yaml", folder);
    return rn_workload_parse(path, text, strlen(text), &slot->hot, workload, error);
}

#define HEAD "plans: plans.yaml\ncount: 1000\n"
#define POISSON "arrivals: { process: poisson, rate: 100 }\n"

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans that spill while the nth call of the disk fails: right rows or one clear error, and nothing
 * is left. */
#ifndef RATION_TESTS_SPILL_FAULTS_H
#define RATION_TESTS_SPILL_FAULTS_H

#include "tests/iterators/spilling.h"
#include "tests/storage/spill_world.h"

/* n = 1, 1 + step, .. until the fault is not met any more; once and for ever. `graph` as for
 * rn_test_open. */
SUPPORT_UNUSED static void spill_faults_on(const char *graph, const char *plan, int64_t limit_bytes,
                                           int64_t step)
{
    static const int faults[] = {EIO, ENOSPC, EINTR, FAULT_SHORT, FAULT_ZERO};
    static faulty_disk disk;
    rn_test_world world;
    rn_test_open(&world, NULL, graph);
    faulty_disk_open(&disk);
    rn_spill_volume_replace(world.governor->volume, &disk.disk);
    rn_test_result wanted = rn_test_run(&world, plan, 0);
    ck_assert_msg(wanted.status == RATION_OK, "%s", wanted.message);
    for (size_t i = 0; i < 2 * RN_COUNT(faults); i++) {
        bool met = true, forever = i % 2 == 1;
        disk.fault = faults[i / 2];
        if (forever && (disk.fault == EINTR || disk.fault < 0)) {
            continue; /* it would be tried again for ever */
        }
        for (int64_t n = 1; met; n += step) {
            int64_t calls = disk.calls;
            rn_failure_arm(&disk.due, n, forever);
            rn_test_result result = rn_test_run(&world, plan, limit_bytes);
            met = disk.calls - calls >= n;
            bool passed = result.status == RATION_OK;
            ck_assert_msg(passed ? strcmp(result.text, wanted.text) == 0
                                 : result.status == RATION_SPILL_IO ||
                                       result.status == RATION_SPILL_NO_SPACE ||
                                       result.status == RATION_SPILL_CORRUPT,
                          "fault %d at call %lld: %s", disk.fault, (long long)n, result.message);
            rn_failure_arm(&disk.due, 0, false);
            rn_test_result_free(&result);
            spilling_nothing_left(&world);
        }
    }
    ck_assert_int_gt(disk.writes, 0);
    rn_test_result_free(&wanted);
    rn_test_close(&world);
}

SUPPORT_UNUSED static void spill_faults(const char *plan, int64_t limit_bytes, int64_t step)
{
    spill_faults_on(NULL, plan, limit_bytes, step);
}

#endif

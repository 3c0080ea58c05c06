/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine whose memory is read: a folder that stands for / (memory/machine/probe.h), in which
 * the available memory is what the script says. */
#include "executor/governor.h"
#include "tests/sim/sim.h"
#include "tests/support.h"

static char root[256];

void sim_machine_open(void)
{
    char folder[400];
    char *fixture = realpath(support_path("tests/fixtures/sysroot/bare/proc/self"), NULL);
    ck_assert_ptr_nonnull(fixture);
    rn_copy_text(root, sizeof root, support_folder());
    snprintf(folder, sizeof folder, "%s/proc", root);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    rn_copy_text(folder + strlen(folder), 8, "/self");
    ck_assert_int_eq(symlink(fixture, folder), 0);
    free(fixture);
}

int64_t sim_machine_limit(const ration_limits *limits, int64_t available_bytes)
{
    char text[200];
    int length = snprintf(text, sizeof text, "MemTotal: 16777216 kB\nMemAvailable: %lld kB\n",
                          (long long)(available_bytes / 1024));
    (void)support_write(root, "proc/meminfo", text, (size_t)length);
    rn_probe probe;
    int64_t limit_bytes;
    ration_error error;
    ration_status status = rn_derive_limit(limits, root, &probe, &limit_bytes, &error);
    sim_must(status == RATION_OK, "no limit from %lld available bytes: %s",
             (long long)available_bytes, error.message);
    return limit_bytes;
}

void sim_machine_close(void)
{
    support_remove(root);
}

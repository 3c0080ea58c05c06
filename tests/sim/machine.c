/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine whose memory is read: a folder that stands for / (memory/machine/probe.h). It has so
 * much memory; strangers have some of it, and the process has what its homes were granted, or the
 * part of that which it has touched. */
#include "executor/governor.h"
#include "tests/sim/sim.h"
#include "tests/support.h"

#define OWN_BYTES (INT64_C(4) << 20) /* of the process, without any home */

static struct {
    char root[256];
    int64_t total_bytes, strangers_bytes, resident_percent;
} machine;

static void link_fixture(const char *name)
{
    char from[300], to[400];
    snprintf(from, sizeof from, "tests/fixtures/sysroot/bare/proc/self/%s", name);
    char *fixture = realpath(support_path(from), NULL);
    ck_assert_ptr_nonnull(fixture);
    snprintf(to, sizeof to, "%s/proc/self/%s", machine.root, name);
    ck_assert_int_eq(symlink(fixture, to), 0);
    free(fixture);
}

void sim_machine_open(void)
{
    static const char *const folders[] = {"proc", "proc/self", "registry"};
    rn_copy_text(machine.root, sizeof machine.root, support_folder());
    for (size_t i = 0; i < RN_COUNT(folders); i++) {
        char folder[400];
        snprintf(folder, sizeof folder, "%s/%s", machine.root, folders[i]);
        ck_assert_int_eq(mkdir(folder, 0700), 0);
    }
    link_fixture("cgroup");
    link_fixture("mountinfo");
    link_fixture("limits");
}

void sim_machine_close(void)
{
    support_remove(machine.root);
}

void sim_machine_begin(int64_t total_bytes, int64_t resident_percent)
{
    machine.total_bytes = total_bytes;
    machine.strangers_bytes = 0;
    machine.resident_percent = resident_percent;
    (void)sim_machine_show();
}

void sim_machine_take(int64_t bytes)
{
    machine.strangers_bytes = bytes;
}

int64_t sim_machine_total(void)
{
    return machine.total_bytes;
}

int64_t sim_machine_left(void)
{
    return machine.total_bytes - machine.strangers_bytes;
}

static int64_t count_resident(void)
{
    int64_t granted = 0;
    for (uint32_t i = 0; i < sim_the.home_count; i++) {
        const ration_governor *governor = sim_the.homes[i].governor;
        granted += governor == NULL ? 0 : rn_load(&governor->root->granted);
    }
    return granted / 100 * machine.resident_percent;
}

int64_t sim_machine_resident(void)
{
    return OWN_BYTES + count_resident();
}

/* The kernel tells whole kilobytes: both are rounded so that no byte is there twice. */
int64_t sim_machine_show(void)
{
    char text[200];
    int64_t resident_kb = count_resident() / 1024;
    int64_t free_kb = sim_machine_left() / 1024 - resident_kb - 1;
    int length = snprintf(text, sizeof text, "MemTotal: %lld kB\nMemAvailable: %lld kB\n",
                          (long long)(machine.total_bytes / 1024), (long long)RN_MAX(free_kb, 0));
    (void)support_write(machine.root, "proc/meminfo", text, (size_t)length);
    length = snprintf(text, sizeof text,
                      "VmHWM: %lld kB\nVmRSS: %lld kB\nRssAnon: %lld kB\nRssShmem: 0 kB\n",
                      (long long)resident_kb, (long long)resident_kb, (long long)resident_kb);
    (void)support_write(machine.root, "proc/self/status", text, (size_t)length);
    return RN_MAX(sim_machine_left(), resident_kb * 1024);
}

const rn_monitor_place *sim_machine_place(void)
{
    static rn_monitor_place place;
    place = (rn_monitor_place){.sysroot = machine.root, .clock = sim_now_ns};
    return &place;
}

const char *sim_machine_registry(void)
{
    static char folder[300];
    snprintf(folder, sizeof folder, "%s/registry", machine.root);
    return folder;
}

int64_t sim_machine_registered(void)
{
    static rn_registry_entry entries[RN_REGISTRY_PLACES];
    ration_error error;
    rn_registry *registry;
    support_ok(rn_registry_look(sim_machine_registry(), &registry, &error), &error);
    int64_t count = registry == NULL ? 0 : rn_registry_list(registry, entries);
    rn_registry_close(registry);
    return count;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine whose memory is read: a folder that stands for / (memory/machine/probe.h). It has so
 * much memory; strangers have some of it, and the process has what its homes were granted, or the
 * part of that which it has touched. Either the whole machine is so small, and MemAvailable tells;
 * or a control group (version 2) on a large one is, and strangers are in it. */
#include "executor/governor.h"
#include "tests/sim/sim.h"
#include "tests/support.h"

#define OWN_BYTES (INT64_C(4) << 20) /* of the process, without any home */

static struct {
    char root[256];
    int64_t total_bytes, strangers_bytes, resident_percent;
    bool grouped;
} machine;

static void put(const char *name, const char *format, ...) RN_PRINTF(2, 3);
static void put(const char *name, const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)support_write(machine.root, name, text, (size_t)length);
}

void sim_machine_open(void)
{
    static const char *const folders[] = {"proc",   "proc/self",     "registry",         "sys",
                                          "sys/fs", "sys/fs/cgroup", "sys/fs/cgroup/app"};
    rn_copy_text(machine.root, sizeof machine.root, support_folder());
    for (size_t i = 0; i < RN_COUNT(folders); i++) {
        char folder[400];
        snprintf(folder, sizeof folder, "%s/%s", machine.root, folders[i]);
        ck_assert_int_eq(mkdir(folder, 0700), 0);
    }
    put("proc/self/mountinfo", "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
                               "27 1 254:0 / / rw,relatime - ext4 /dev/root rw\n"
                               "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n");
    put("proc/self/limits",
        "Limit                     Soft Limit           Hard Limit       Units\n"
        "Max data size             unlimited            unlimited        bytes\n"
        "Max address space         unlimited            unlimited        bytes\n");
}

void sim_machine_close(void)
{
    support_remove(machine.root);
}

void sim_machine_begin(int64_t total_bytes, int64_t resident_percent, bool grouped)
{
    machine.grouped = grouped;
    put("proc/self/cgroup", grouped ? "0::/app\n" : "0::/\n");
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

/* MemAvailable is told in whole kilobytes: both are rounded so that no byte is there twice. */
static void show_bare(int64_t resident_kb)
{
    int64_t free_kb = sim_machine_left() / 1024 - resident_kb - 1;
    put("proc/meminfo", "MemTotal: %lld kB\nMemAvailable: %lld kB\n",
        (long long)(machine.total_bytes / 1024), (long long)RN_MAX(free_kb, 0));
}

/* Strangers are in the group; page cache beside it, which is no use. */
static void show_group(int64_t resident_bytes)
{
    long long used = machine.strangers_bytes + resident_bytes, cache = 3 << 20;
    put("proc/meminfo", "MemTotal: %lld kB\nMemAvailable: %lld kB\n", 64LL << 20, 63LL << 20);
    put("sys/fs/cgroup/app/memory.max", "%lld\n", (long long)machine.total_bytes);
    put("sys/fs/cgroup/app/memory.high", "max\n");
    put("sys/fs/cgroup/app/memory.current", "%lld\n", used + cache);
    put("sys/fs/cgroup/app/memory.stat",
        "anon %lld\nfile %lld\nkernel 0\nsock 0\nshmem 0\ninactive_anon %lld\nactive_anon 0\n"
        "inactive_file %lld\nactive_file 0\nunevictable 0\nslab_reclaimable 0\n"
        "slab_unreclaimable 0\n",
        used, cache, used, cache);
}

int64_t sim_machine_show(void)
{
    int64_t resident_kb = count_resident() / 1024;
    if (machine.grouped) {
        show_group(resident_kb * 1024);
    } else {
        show_bare(resident_kb);
    }
    put("proc/self/status", "VmHWM: %lld kB\nVmRSS: %lld kB\nRssAnon: %lld kB\nRssShmem: 0 kB\n",
        (long long)resident_kb, (long long)resident_kb, (long long)resident_kb);
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

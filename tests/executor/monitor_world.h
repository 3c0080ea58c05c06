/* SPDX-License-Identifier: Apache-2.0
 *
 * A machine in a folder, with a clock of its own, and a governor that follows it: what the kernel
 * would show is written anew before each look. */
#ifndef RATION_TESTS_EXECUTOR_MONITOR_WORLD_H
#define RATION_TESTS_EXECUTOR_MONITOR_WORLD_H

#include <fcntl.h>

#include "executor/ask.h"
#include "executor/monitor_look.h"
#include "tests/executor/governor_world.h"

#define GIB (1024 * MIB)
#define TOTAL (16 * GIB)

static int64_t machine_now = 1000000000; /* of the machine's clock */

static inline int64_t machine_clock(void)
{
    return machine_now;
}

typedef struct machine {
    char folder[300];
    char registry[320];
    int64_t available, resident;
    int64_t stalled_us, stalled_full_us; /* PSI; -1 = the kernel has none */
    int64_t group_limit, group_used;     /* of the group /app; 0 = there is none */
    bool no_meminfo;
    ration_limits limits;
    ration_governor *governor;
} machine;

static inline void put_file(const machine *made, const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", made->folder, name);
    for (char *at = strchr(path + strlen(made->folder) + 1, '/'); at != NULL;
         at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0755);
        *at = '/';
    }
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(close(file), 0);
}

static inline void remove_file(const machine *made, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", made->folder, name);
    (void)unlink(path);
}

static inline void write_machine(const machine *made)
{
    char text[400];
    snprintf(text, sizeof text, "MemTotal: %lld kB\nMemFree: %lld kB\nMemAvailable: %lld kB\n",
             (long long)TOTAL / 1024, (long long)made->available / 1024,
             (long long)made->available / 1024);
    put_file(made, "proc/meminfo", text);
    if (made->no_meminfo) {
        remove_file(made, "proc/meminfo");
    }
    snprintf(text, sizeof text,
             "Name:\tration\nVmSize:\t%lld kB\nVmRSS:\t%lld kB\nVmData:\t0 kB\nRssAnon:\t%lld "
             "kB\nRssShmem:\t0 kB\n",
             (long long)made->resident / 1024, (long long)made->resident / 1024,
             (long long)made->resident / 1024);
    put_file(made, "proc/self/status", text);
    put_file(made, "proc/self/limits",
             "Max data size  unlimited  unlimited  bytes\n"
             "Max address space  unlimited  unlimited  bytes\n");
    put_file(made, "proc/self/cgroup", made->group_limit != 0 ? "0::/app\n" : "0::/\n");
    put_file(made, "proc/self/mountinfo",
             "30 24 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n");
    if (made->stalled_us >= 0) {
        snprintf(text, sizeof text,
                 "some avg10=0.00 avg60=0.00 avg300=0.00 total=%lld\n"
                 "full avg10=0.00 avg60=0.00 avg300=0.00 total=%lld\n",
                 (long long)made->stalled_us, (long long)made->stalled_full_us);
        put_file(made, "proc/pressure/memory", text);
    }
    if (made->group_limit != 0) {
        snprintf(text, sizeof text, "%lld\n", (long long)made->group_limit);
        put_file(made, "sys/fs/cgroup/app/memory.max", text);
        put_file(made, "sys/fs/cgroup/app/memory.high", "max\n");
        snprintf(text, sizeof text, "%lld\n", (long long)made->group_used);
        put_file(made, "sys/fs/cgroup/app/memory.current", text);
        put_file(made, "sys/fs/cgroup/app/memory.stat",
                 "anon 0\ninactive_file 0\nactive_file 0\nslab_reclaimable 0\n");
    }
}

/* 16 GiB with 10 free of them; ratio 0.8 without reserve, so that 8 GiB come of it. */
SUPPORT_UNUSED static void set_machine(machine *made)
{
    *made = (machine){.available = 10 * GIB, .resident = 20 * MIB};
    rn_copy_text(made->folder, sizeof made->folder, support_folder());
    snprintf(made->registry, sizeof made->registry, "%s/registry", made->folder);
    ck_assert_int_eq(mkdir(made->registry, 0700), 0);
    write_machine(made);
    ration_limits_default(&made->limits);
    made->limits.untracked_reserved_bytes = 0;
    made->limits.chunk_bytes_max = 64 * 1024;
    rn_copy_text(made->limits.registry_directory, sizeof made->limits.registry_directory,
                 made->registry);
}

SUPPORT_UNUSED static ration_status try_open_on(machine *made, ration_error *error)
{
    const rn_monitor_place place = {
        .sysroot = made->folder, .clock = machine_clock, .pause_ns = 1000};
    return rn_governor_open_at(&made->limits, &place, &made->governor, error);
}

SUPPORT_UNUSED static void open_on(machine *made)
{
    ration_error error;
    support_ok(try_open_on(made, &error), &error);
}

static inline ration_governor_figures read_figures(const machine *made)
{
    ration_governor_figures figures;
    ration_governor_read(made->governor, &figures);
    return figures;
}

static inline int64_t limit_of(const machine *made)
{
    return rn_pool_limit(ration_governor_root(made->governor));
}

/* The next look, an interval later, at the machine as it is now. */
SUPPORT_UNUSED static void look(machine *made)
{
    write_machine(made);
    machine_now += made->limits.monitor_interval_ms * 1000000;
    int64_t looks = read_figures(made).looks;
    ration_governor_tick(made->governor);
    ck_assert_int_eq(read_figures(made).looks, looks + 1);
}

/* Charged and resident, as the machine sees it. */
typedef struct holder {
    ration_query *query;
    ration_slot *slot;
    int64_t bytes;
} holder;

SUPPORT_UNUSED static void hold(machine *made, holder *self, int64_t bytes)
{
    self->query = open_query(made->governor, NULL, &self->slot);
    self->bytes = bytes;
    ck_assert_int_eq(ration_slot_try_charge(self->slot, bytes), RATION_OK);
    made->available -= bytes;
    made->resident += bytes;
}

SUPPORT_UNUSED static void let_go(machine *made, holder *self)
{
    ration_slot_release(self->slot, self->bytes);
    ration_query_close(self->query);
    made->available += self->bytes;
    made->resident -= self->bytes;
}

static inline int64_t eight_tenths(int64_t bytes)
{
    return bytes * 8 / 10;
}

/* Holds `bytes` that are resident, and could write `spillable` of them. */
SUPPORT_UNUSED static holder hold_spillable(machine *made, int64_t bytes, int64_t spillable)
{
    holder self;
    hold(made, &self, bytes);
    rn_ask_can_spill(rn_slot_of(self.slot), spillable);
    return self;
}

/* Writes `bytes` out, and says so. */
SUPPORT_UNUSED static void give(machine *made, const holder *self, int64_t bytes)
{
    ration_slot_release(self->slot, bytes);
    rn_ask_can_spill(rn_slot_of(self->slot), rn_load(&self->query->spillable_bytes) - bytes);
    rn_ask_gave(self->query);
    made->available += bytes;
    made->resident -= bytes;
}

SUPPORT_UNUSED static rn_answer ask(const holder *self, int64_t bytes)
{
    return rn_ask(rn_slot_of(self->slot), bytes, "site").answer;
}

SUPPORT_UNUSED static bool is_asked(const holder *self)
{
    return rn_ask_wants(self->query) != 0;
}

SUPPORT_UNUSED static ration_answer claim(const holder *self, int64_t bytes)
{
    return ration_query_try_claim(self->query, bytes, "plan").answer;
}

SUPPORT_UNUSED static holder enter(machine *made)
{
    holder self = {.bytes = 0};
    self.query = open_query(made->governor, NULL, &self.slot);
    return self;
}

SUPPORT_UNUSED static bool is_woken(const holder *self)
{
    rn_ticket_state state = rn_ticket_read(self->query->entry);
    return state != RN_TICKET_RESTING && state != RN_TICKET_WAITING;
}

SUPPORT_UNUSED static void clear_machine(machine *made)
{
    if (made->governor != NULL) {
        close_and_check(made->governor);
    }
    ck_assert_int_eq(rn_heap_bytes(), 0);
    ck_assert_int_eq(rn_faults(), 0);
    support_remove(made->folder);
}

#endif

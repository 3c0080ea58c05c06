/* SPDX-License-Identifier: Apache-2.0
 *
 * memory/machine/ over hostile files: every file of some machines as every kind of garbage, and
 * random noise. Any answer, no crash, no hang; the equations hold; and garbage never makes a limit
 * go away silently. Machines: machines.h. */
#include "memory/machine/probe.h"
#include "memory/machine/topology.h"
#include "tests/memory/machines.h"

static const char *const machines[] = {"v2_events",        "v2_parent", "v1_parent",
                                       "docker_v1_parent", "hybrid",    "rlimit_in_group"};

/* Files of any of them; those that a machine has not are made. */
static const char *const paths[] = {
    "/proc/meminfo",
    "/proc/pressure/memory",
    "/proc/self/cgroup",
    "/proc/self/limits",
    "/proc/self/mountinfo",
    "/proc/self/ns/cgroup",
    "/proc/self/status",
    "/sys/fs/cgroup/app/memory.current",
    "/sys/fs/cgroup/app/memory.events",
    "/sys/fs/cgroup/app/memory.high",
    "/sys/fs/cgroup/app/memory.max",
    "/sys/fs/cgroup/app/memory.pressure",
    "/sys/fs/cgroup/app/memory.stat",
    "/sys/fs/cgroup/memory/app/memory.failcnt",
    "/sys/fs/cgroup/memory/app/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory/memory.stat",
    "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    "/sys/fs/cgroup/pod/app/memory.max",
    "/sys/fs/cgroup/pod/memory.current",
    "/sys/fs/cgroup/pod/memory.max",
    "/sys/fs/cgroup/pod/memory.stat",
    "/sys/fs/cgroup/unified/app/memory.pressure",
};

static const char *const texts[] = {
    "",
    "{no newline}",
    "-1",
    "-9223372036854771712",
    "0",
    "9223372036854775808",
    "{9 x 100}",
    "{9 x 10000}",
    "{NUL}",
    "{NUL}{NUL}max",
    "max{NUL}",
    "max{CR}",
    "MAX",
    "maximum",
    "0x1000",
    "1e9",
    "12 34",
    "536870912.5",
    "{CR}",
    ":::",
    "a b c d e - f g h",
    "some avg10=nan total=inf",
    "inactive_file -1\nactive_file {9 x 30}\nanon\nanon x",
    "%s%n%s%n",
    "{~ x 9000}\nmax",
    "cgroup:[99999999999999999999]",
    "30 24 0:26 \\777\\400\\040 \\057 rw - cgroup2 cgroup2 rw",
    "0::/../../../../../../etc",
    "0::{a x 5000}",
    "0::/{/ x 4000}",
    "3:memory:/{b x 4090}",
};

static rn_probe probe, good;
static rn_probe_files files;
static machine host;

static void expect_equations(const rn_probe *got)
{
    ck_assert_int_ge(got->count, 1);
    ck_assert_int_le(got->count, RN_PROBE_SOURCES_MAX);
    ck_assert_int_ge(got->available_bytes, 0);
    ck_assert_int_ge(got->physical_bytes, got->sources[0].limit_bytes);
    for (int i = 0; i < got->count; i++) {
        const rn_probe_source *source = &got->sources[i];
        ck_assert_int_ge(source->limit_bytes, 0);
        ck_assert_int_ge(source->used_bytes, 0);
        ck_assert_int_eq(source->headroom_bytes,
                         source->limit_bytes == INT64_MAX
                             ? INT64_MAX
                             : RN_MAX(source->limit_bytes - source->used_bytes, 0));
        ck_assert_int_ge(source->headroom_bytes, got->available_bytes);
        ck_assert_uint_lt(strlen(source->file), sizeof(source->file));
    }
}

static const rn_probe_source *find_source(const rn_probe *in, const char *name)
{
    for (int i = 0; i < in->count; i++) {
        if (strcmp(in->sources[i].name, name) == 0) {
            return &in->sources[i];
        }
    }
    return NULL;
}

/* A limit that was there and is not now has left a note; none became "unlimited". Where the group
 * or its mount is another, its name is another; a group without limit files has no memory
 * controller. */
static void expect_no_silent_loss(const char *path, const char *what)
{
    if (strcmp(probe.group, good.group) != 0 || strcmp(what, "gone") == 0 ||
        strcmp(path, "/proc/self/mountinfo") == 0) {
        return;
    }
    for (int i = 0; i < good.count; i++) {
        const rn_probe_source *source = find_source(&probe, good.sources[i].name);
        if (good.sources[i].limit_bytes == INT64_MAX ||
            good.sources[i].how == 5 /* only where it is the smallest */) {
            continue;
        }
        ck_assert_msg(source != NULL || probe.note[0] != '\0',
                      "%s: %s as '%.40s': %s went silently", host.name, path, what,
                      good.sources[i].name);
        ck_assert_msg(source == NULL || source->limit_bytes != INT64_MAX,
                      "%s: %s as '%.40s': %s became unlimited", host.name, path, what,
                      good.sources[i].name);
    }
}

static void expect_survival(const char *path, const char *what)
{
    if (rn_probe_read(host.root, &probe, NULL) == RATION_OK) {
        expect_equations(&probe);
        expect_no_silent_loss(path, what);
        rn_probe again = probe;
        (void)rn_probe_refresh(host.root, &again, &files);
        expect_equations(&again);
    }
    ck_assert_int_ge(rn_probe_resident(host.root), 0);
}

START_TEST(test_probe_hostile__survives_every_kind_of_garbage)
{
    for (size_t m = 0; m < RN_COUNT(machines); m++) {
        machine_open(&host, machines[m]);
        ck_assert_int_eq(rn_probe_read(host.root, &good, NULL), RATION_OK);
        machine_close(&host);
        for (size_t i = 0; i < RN_COUNT(paths); i++) {
            machine_open(&host, machines[m]);
            for (size_t k = 0; k < RN_COUNT(texts); k++) {
                machine_remove(&host, paths[i]);
                machine_write(&host, paths[i], texts[k]);
                expect_survival(paths[i], texts[k]);
            }
            machine_folder(&host, paths[i]);
            expect_survival(paths[i], "a folder");
            machine_pipe(&host, paths[i]);
            expect_survival(paths[i], "a pipe");
            machine_link(&host, paths[i], strrchr(paths[i], '/') + 1);
            expect_survival(paths[i], "a loop");
            if (m == 0) { /* 4 MiB of it are read each time */
                machine_link(&host, paths[i], "/dev/zero");
                expect_survival(paths[i], "no end of zeros");
            }
            machine_remove(&host, paths[i]);
            expect_survival(paths[i], "gone");
            rn_probe_files_close(&files);
            machine_close(&host);
        }
    }
}
END_TEST

/* Random bytes in, and random ends of, files that are good. */
START_TEST(test_probe_hostile__survives_noise)
{
    unsigned seed = 7;
    printf("seed=%u\n", seed);
    for (int round = 0; round < 600; round++) {
        static char bytes[16384];
        machine_open(&host, machines[(size_t)round % RN_COUNT(machines)]);
        for (int edits = 1 + rand_r(&seed) % 6; edits > 0; edits--) {
            char path[400];
            snprintf(path, sizeof(path), "%s%s", host.root,
                     paths[(size_t)rand_r(&seed) % RN_COUNT(paths)]);
            FILE *file = fopen(path, "rb");
            if (file == NULL) {
                continue;
            }
            size_t length = fread(bytes, 1, sizeof(bytes), file);
            ck_assert_int_eq(fclose(file), 0);
            for (int flips = rand_r(&seed) % 4; length > 0 && flips > 0; flips--) {
                bytes[(size_t)rand_r(&seed) % length] = (char)rand_r(&seed);
            }
            length = rand_r(&seed) % 3 == 0 && length > 0 ? (size_t)rand_r(&seed) % length : length;
            file = fopen(path, "wb");
            ck_assert_ptr_nonnull(file);
            ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
            ck_assert_int_eq(fclose(file), 0);
        }
        if (rn_probe_read(host.root, &probe, NULL) == RATION_OK) {
            expect_equations(&probe);
            (void)rn_probe_refresh(host.root, &probe, &files);
            expect_equations(&probe);
        }
        rn_probe_files_close(&files);
        machine_close(&host);
    }
}
END_TEST

START_TEST(test_probe_hostile__survives_garbage_about_the_topology)
{
    static const char *const about[] = {
        "/sys/devices/system/cpu/online",
        "/sys/devices/system/cpu/cpu0/cache/index0/level",
        "/sys/devices/system/cpu/cpu0/cache/index0/type",
        "/sys/devices/system/cpu/cpu0/cache/index0/size",
        "/sys/devices/system/cpu/cpu0/cache/index0/coherency_line_size",
        "/sys/devices/system/cpu/cpu0/cache/index0/shared_cpu_list",
        "/sys/devices/system/node/online",
        "/sys/devices/system/node/node0/meminfo",
    };
    static const char *const kinds[] = {"",
                                        "-1",
                                        "{9 x 100}",
                                        "0-",
                                        "-3",
                                        "3-1",
                                        "0-99999999999999999999",
                                        "0-8191",
                                        "0,0,0,0",
                                        "{, x 4000}",
                                        "{NUL}0",
                                        "99999999K",
                                        "9223372036854775807G",
                                        "K",
                                        "Unified{CR}",
                                        "Node 0 MemTotal: {9 x 100} kB",
                                        "1,3,5,7,9,11,13,15,17,19,2000-8000"};
    static rn_topology topology;
    machine_open(&host, "topology_small");
    for (size_t i = 0; i < RN_COUNT(about); i++) {
        for (size_t k = 0; k < RN_COUNT(kinds); k++) {
            machine_write(&host, about[i], kinds[k]);
            rn_topology_read(host.root, &topology);
            ck_assert_int_ge(topology.processors, 0);
            ck_assert_int_le(topology.processors, 8192);
            ck_assert_int_le(topology.node_count, RN_TOPOLOGY_NODES_MAX);
            ck_assert_int_le(topology.cache_count, RN_TOPOLOGY_CACHES_MAX);
            for (int c = 0; c < topology.cache_count; c++) {
                ck_assert_int_gt(topology.caches[c].bytes, 0);
                ck_assert_int_ge(topology.caches[c].processors, 1);
            }
        }
    }
    machine_close(&host);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_probe_hostile__survives_every_kind_of_garbage,
        test_probe_hostile__survives_noise,
        test_probe_hostile__survives_garbage_about_the_topology,
    };
    return support_run("probe_hostile", tests, RN_COUNT(tests));
}

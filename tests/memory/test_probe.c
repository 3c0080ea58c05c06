/* SPDX-License-Identifier: Apache-2.0
 *
 * memory/machine/probe.c over machines put into folders: tests/fixtures/sysroot. One row of
 * `machines` per folder; what the binding source must be, its limit, its use, and what must be
 * noted. */
#include "memory/machine/probe.h"

#include "tests/support.h"

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

struct machine {
    const char *folder;
    const char *binding;
    int64_t limit, used, headroom;
    int sources;
    const char *note; /* must be part of the note; "" = no note at all */
};

static const struct machine machines[] = {
    {"bare", "MemAvailable", 16 * GIB, 4 * GIB, 12 * GIB, 2, ""},
    /* rss 100, shmem 8, kernel 4; 300 of page cache do not count */
    {"v1_leaf", "cgroup v1 /pod/app", 512 * MIB, 112 * MIB, 400 * MIB, 5, ""},
    {"v1_parent", "cgroup v1 /pod", 256 * MIB, 200 * MIB, 56 * MIB, 5, ""},
    {"v1_hidden", "cgroup v1 above /", 128 * MIB, 30 * MIB, 98 * MIB, 4, "outside what is mounted"},
    {"v1_container", "cgroup v1 /docker/abc", 300 * MIB, 60 * MIB, 240 * MIB, 3, ""},
    {"v1_huge", "MemAvailable", INT64_C(1) << 62, (INT64_C(1) << 62) - 16 * GIB, 16 * GIB, 4,
     "beyond belief"},
    {"v2_leaf", "cgroup v2 /pod/app", 400 * MIB, 115 * MIB, 285 * MIB, 4, ""},
    {"v2_parent", "cgroup v2 /pod", 600 * MIB, 460 * MIB, 140 * MIB, 4, ""},
    {"v2_max", "MemAvailable", 16 * GIB, 4 * GIB, 12 * GIB, 4, ""},
    {"v2_high", "cgroup v2 /app", 500 * MIB, 100 * MIB, 400 * MIB, 3, ""},
    {"v2_cache", "cgroup v2 /app", GIB, 200 * MIB - 4096, 824 * MIB + 4096, 3, ""},
    {"v2_blank", "cgroup v2 /my app", 200 * MIB, MIB, 199 * MIB, 3, ""},
    /* VmRSS stands for the use */
    {"v2_unknown_use", "cgroup v2 /app", 100 * MIB, 20 * MIB, 80 * MIB, 3,
     "app/memory.current: No such file"},
    {"v2_unreadable", "MemAvailable", 16 * GIB, 4 * GIB, 12 * GIB, 2,
     "app/memory.max: Is a directory"},
    {"garbage", "MemFree", 16 * GIB, 12 * GIB, 4 * GIB, 2, "app/memory.max: not a number"},
    {"rlimits", "RLIMIT_DATA", 110 * MIB, 100 * MIB, 10 * MIB, 4, ""},
};

static rn_probe probe;

static const char *sysroot(const char *folder)
{
    char name[128];
    snprintf(name, sizeof(name), "tests/fixtures/sysroot/%s", folder);
    return support_path(name);
}

START_TEST(test_probe__finds_the_binding_source)
{
    for (size_t i = 0; i < RN_COUNT(machines); i++) {
        const struct machine *machine = &machines[i];
        ration_error error;
        support_ok(rn_probe_read(sysroot(machine->folder), &probe, &error), &error);
        const rn_probe_source *binding = &probe.sources[probe.binding];
        ck_assert_msg(strcmp(binding->name, machine->binding) == 0, "%s: %s", machine->folder,
                      binding->name);
        ck_assert_msg(binding->limit_bytes == machine->limit, "%s: limit %lld", machine->folder,
                      (long long)binding->limit_bytes);
        ck_assert_msg(binding->used_bytes == machine->used, "%s: used %lld", machine->folder,
                      (long long)binding->used_bytes);
        ck_assert_msg(binding->headroom_bytes == machine->headroom, "%s: headroom %lld",
                      machine->folder, (long long)binding->headroom_bytes);
        ck_assert_int_eq(probe.available_bytes, machine->headroom);
        ck_assert_msg(probe.count == machine->sources, "%s: %d sources", machine->folder,
                      probe.count);
        bool noted = machine->note[0] == '\0' ? probe.note[0] == '\0'
                                              : strstr(probe.note, machine->note) != NULL;
        ck_assert_msg(noted, "%s: note '%s'", machine->folder, probe.note);
    }
}
END_TEST

START_TEST(test_probe__keeps_headroom_equation)
{
    for (size_t i = 0; i < RN_COUNT(machines); i++) {
        ration_error error;
        support_ok(rn_probe_read(sysroot(machines[i].folder), &probe, &error), &error);
        for (int k = 0; k < probe.count; k++) {
            const rn_probe_source *source = &probe.sources[k];
            int64_t left = RN_MAX(source->limit_bytes - source->used_bytes, 0);
            ck_assert_int_ge(source->used_bytes, 0);
            ck_assert_int_eq(source->headroom_bytes,
                             source->limit_bytes == INT64_MAX ? INT64_MAX : left);
            ck_assert_int_ge(source->headroom_bytes, probe.available_bytes);
        }
    }
}
END_TEST

/* 9223372036854771712 of version 1, "max" of version 2. */
START_TEST(test_probe__knows_unlimited)
{
    ration_error error;
    static const char *const folders[] = {"v1_parent", "v2_max"};
    for (size_t i = 0; i < RN_COUNT(folders); i++) {
        support_ok(rn_probe_read(sysroot(folders[i]), &probe, &error), &error);
        ck_assert_int_eq(probe.sources[2].limit_bytes, INT64_MAX);
        ck_assert_int_eq(probe.sources[2].headroom_bytes, INT64_MAX);
        ck_assert_int_gt(probe.sources[2].used_bytes, 0);
    }
}
END_TEST

START_TEST(test_probe__names_the_file_without_prefix)
{
    ration_error error;
    support_ok(rn_probe_read(sysroot("v2_high"), &probe, &error), &error);
    ck_assert_str_eq(probe.sources[0].file, "/proc/meminfo");
    ck_assert_str_eq(probe.sources[probe.binding].file, "/sys/fs/cgroup/app/memory.high");
}
END_TEST

START_TEST(test_probe__needs_meminfo)
{
    ration_error error;
    probe.count = 77;
    ck_assert_int_eq(rn_probe_read(sysroot("missing"), &probe, &error), RATION_ENVIRONMENT);
    ck_assert_str_eq(support_error(&error),
                     "/proc/meminfo: error: cannot read MemTotal: No such file or directory "
                     "(set limit_bytes in memory.yaml: no limit can be derived here)");
    ck_assert_int_eq(probe.count, 77);
    ck_assert_int_eq(rn_probe_read("/does/not/exist", &probe, NULL), RATION_ENVIRONMENT);
}
END_TEST

static void make_folders(char *path)
{
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
}

static void write_below(const char *root, const char *path, const char *text)
{
    char full[1024];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    make_folders(full);
    support_write(root, path, text, strlen(text));
}

/* The table holds 64 sources; the limit sits on the outermost of 100 groups. */
START_TEST(test_probe__keeps_the_binding_of_many_groups)
{
    char root[256], group[512] = "", path[700], line[600];
    ration_error error;
    rn_copy_text(root, sizeof(root), support_folder());
    write_below(root, "proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 16777216 kB\n");
    write_below(root, "proc/self/mountinfo", "30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n");
    for (int depth = 0; depth < 100; depth++) {
        snprintf(path, sizeof(path), "c%s/memory.max", group);
        write_below(root, path, depth == 1 ? "1048576\n" : "max\n");
        snprintf(path, sizeof(path), "c%s/memory.current", group);
        write_below(root, path, "4096\n");
        strcat(group, "/g");
    }
    snprintf(line, sizeof(line), "0::%s\n", group);
    write_below(root, "proc/self/cgroup", line);
    support_ok(rn_probe_read(root, &probe, &error), &error);
    support_remove(root);
    ck_assert_int_eq(probe.count, RN_PROBE_SOURCES_MAX);
    ck_assert_str_eq(probe.sources[0].name, "MemTotal"); /* the roomiest made place */
    ck_assert_str_eq(probe.sources[1].name, "MemAvailable");
    ck_assert_str_eq(probe.sources[probe.binding].name, "cgroup v2 /g");
    ck_assert_int_eq(probe.available_bytes, 1048576 - 4096);
}
END_TEST

/* Random bytes and random truncations of good files: any answer, no crash, the equation holds. */
START_TEST(test_probe__survives_noise)
{
    static const char *const files[] = {
        "proc/meminfo",     "proc/self/cgroup", "proc/self/mountinfo", "proc/self/limits",
        "proc/self/status", "c/a/memory.max",   "c/a/memory.stat",     "c/a/memory.current"};
    static const char *const texts[] = {
        "MemTotal: 16777216 kB\nMemAvailable: 16777216 kB\n",
        "0::/a\n1:memory:/a\n",
        "30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n1 2 3 / /c rw - cgroup c rw,memory\n",
        "Max address space  1000000000 1000000000 bytes\n",
        "VmSize: 1000 kB\n",
        "1048576\n",
        "inactive_file 10\ntotal_rss 10\n",
        "4096\n"};
    char root[256];
    rn_copy_text(root, sizeof(root), support_folder());
    srand(7);
    printf("seed=7\n");
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < RN_COUNT(files); i++) {
            char noise[256];
            snprintf(noise, sizeof(noise), "%s", texts[i]);
            size_t length = strlen(noise);
            for (int edits = rand() % 3; edits > 0 && (i > 0 || round % 4 == 0); edits--) {
                noise[(size_t)rand() % length] = (char)rand();
            }
            length = rand() % 4 == 0 ? (size_t)rand() % length : length;
            write_below(root, files[i], "");
            support_write(root, files[i], noise, i > 0 ? length : strlen(noise));
        }
        if (rn_probe_read(root, &probe, NULL) == RATION_OK) {
            ck_assert_int_ge(probe.count, 1);
            ck_assert_int_ge(probe.available_bytes, 0);
        }
    }
    support_remove(root);
}
END_TEST

START_TEST(test_probe__reads_its_own_process)
{
    int64_t rss = 0, peak = 0;
    rn_probe_self(sysroot("bare"), &rss, &peak);
    ck_assert_int_eq(rss, 20 * MIB);
    ck_assert_int_eq(peak, 24 * MIB);
    rn_probe_self("", &rss, &peak);
    ck_assert_int_gt(rss, 0);
    ck_assert_int_ge(peak, rss);
    rn_probe_self("/does/not/exist", &rss, &peak);
    ck_assert_int_eq(rss, 0);
    ck_assert_int_eq(peak, 0);
}
END_TEST

START_TEST(test_probe__reads_this_machine)
{
    ration_error error;
    support_ok(rn_probe_read("", &probe, &error), &error);
    ck_assert_int_gt(probe.physical_bytes, 0);
    ck_assert_int_gt(probe.available_bytes, 0);
    ck_assert_int_le(probe.available_bytes, probe.physical_bytes);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_probe__finds_the_binding_source,
        test_probe__keeps_headroom_equation,
        test_probe__knows_unlimited,
        test_probe__names_the_file_without_prefix,
        test_probe__needs_meminfo,
        test_probe__keeps_the_binding_of_many_groups,
        test_probe__survives_noise,
        test_probe__reads_its_own_process,
        test_probe__reads_this_machine,
    };
    return support_run("probe", tests, RN_COUNT(tests));
}

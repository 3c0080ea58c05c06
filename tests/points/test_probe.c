/* SPDX-License-Identifier: Apache-2.0
 *
 * Control groups that change while a snapshot of the machine is taken (memory/machine/probe.c):
 * the process moves from /a (100 MiB, 40 used) to /b (200 MiB, 60 used), and /a is removed, each
 * time at another step. */
#include "memory/machine/probe.h"
#include "tests/points/points.h"
#include "tests/support.h"

#define MIB (INT64_C(1) << 20)

static char root[256];
static rn_probe probe;

static void write_file(const char *path, const char *text)
{
    (void)support_write(root, path, text, strlen(text));
}

static void make_folder(const char *path)
{
    char full[400];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    ck_assert_int_eq(mkdir(full, 0700), 0);
}

static void remove_group(const char *path)
{
    char full[400];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    support_remove(full);
}

static void set_stage(void)
{
    static const char *const folders[] = {"proc", "proc/self", "c", "c/a", "c/b"};
    rn_copy_text(root, sizeof(root), support_folder());
    for (size_t i = 0; i < RN_COUNT(folders); i++) {
        make_folder(folders[i]);
    }
    write_file("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 12582912 kB\n");
    write_file("proc/self/cgroup", "0::/a\n");
    write_file("proc/self/limits", "Max address space  unlimited  unlimited  bytes\n"
                                   "Max data size  unlimited  unlimited  bytes\n");
    write_file("proc/self/mountinfo", "30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n");
    write_file("proc/self/status", "VmRSS: 20480 kB\n");
    write_file("c/a/memory.max", "104857600\n");
    write_file("c/a/memory.current", "41943040\n");
    write_file("c/a/memory.stat", "anon 41943040\ninactive_file 0\nactive_file 0\n");
    write_file("c/b/memory.max", "209715200\n");
    write_file("c/b/memory.current", "62914560\n");
    write_file("c/b/memory.stat", "anon 62914560\ninactive_file 0\nactive_file 0\n");
}

static void act_read(void *unused)
{
    (void)unused;
    ck_assert_int_eq(rn_probe_read(root, &probe, NULL), RATION_OK);
}

static void act_refresh(void *answer)
{
    *(bool *)answer = rn_probe_refresh(root, &probe, NULL);
}

static void expect_group(const char *group, int64_t available_bytes)
{
    ck_assert_str_eq(probe.note, "");
    ck_assert_str_eq(probe.group, group);
    ck_assert_int_eq(probe.count, 3);
    ck_assert_str_eq(probe.sources[2].group, group);
    ck_assert_int_eq(probe.available_bytes, available_bytes);
}

/* Moved before a group was read: its /proc/self/cgroup is read again, and tells. */
START_TEST(test_probe__takes_a_snapshot_again_when_moved_before)
{
    points_actor reader;
    set_stage();
    points_start(&reader, "reader", act_read, NULL);
    points_run_to(&reader, "probe.began");
    write_file("proc/self/cgroup", "0::/b\n");
    remove_group("c/a");
    points_finish(&reader);
    expect_group("v2 /b", (200 - 60) * MIB);
    support_remove(root);
}
END_TEST

/* Moved between limit and use: never the limit of the one with the use of the other. */
START_TEST(test_probe__takes_a_snapshot_again_when_moved_between)
{
    points_actor reader;
    set_stage();
    points_start(&reader, "reader", act_read, NULL);
    points_run_to(&reader, "source.limited");
    write_file("proc/self/cgroup", "0::/b\n");
    points_finish(&reader);
    expect_group("v2 /b", (200 - 60) * MIB);
    support_remove(root);
}
END_TEST

/* The group goes between limit and use, and comes back under its name with another limit. */
START_TEST(test_probe__takes_a_snapshot_again_when_a_group_went)
{
    points_actor reader;
    set_stage();
    points_start(&reader, "reader", act_read, NULL);
    points_run_to(&reader, "source.limited");
    remove_group("c/a");
    points_run_to(&reader, "probe.began"); /* the second attempt */
    make_folder("c/a");
    write_file("c/a/memory.max", "52428800\n");
    write_file("c/a/memory.current", "10485760\n");
    write_file("c/a/memory.stat", "anon 10485760\ninactive_file 0\nactive_file 0\n");
    points_finish(&reader);
    expect_group("v2 /a", (50 - 10) * MIB);
    support_remove(root);
}
END_TEST

/* The use goes for good: the third attempt is the last, VmRSS stands for it, and it is noted. */
START_TEST(test_probe__gives_up_when_the_use_stays_away)
{
    points_actor reader;
    set_stage();
    points_start(&reader, "reader", act_read, NULL);
    points_run_to(&reader, "source.limited");
    remove_group("c/a/memory.current");
    points_run_to(&reader, "probe.began");
    points_run_to(&reader, "probe.began");
    points_finish(&reader);
    ck_assert_ptr_nonnull(strstr(probe.note, "/c/a/memory.current: No such file"));
    ck_assert_int_eq(probe.available_bytes, (100 - 20) * MIB);
    support_remove(root);
}
END_TEST

START_TEST(test_probe__refreshes_nothing_when_a_group_went)
{
    points_actor reader;
    bool answer = true;
    set_stage();
    act_read(NULL);
    rn_probe before = probe;
    points_start(&reader, "reader", act_refresh, &answer);
    points_run_to(&reader, "source.limited");
    remove_group("c/a");
    points_finish(&reader);
    ck_assert(!answer);
    ck_assert_int_eq(memcmp(&probe, &before, sizeof(probe)), 0);
    support_remove(root);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_probe__takes_a_snapshot_again_when_moved_before,
        test_probe__takes_a_snapshot_again_when_moved_between,
        test_probe__takes_a_snapshot_again_when_a_group_went,
        test_probe__gives_up_when_the_use_stays_away,
        test_probe__refreshes_nothing_when_a_group_went,
    };
    return support_run("probe", tests, RN_COUNT(tests));
}

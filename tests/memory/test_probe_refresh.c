/* SPDX-License-Identifier: Apache-2.0
 *
 * memory/machine/refresh.c: what a refresh sees must be what a snapshot taken at the same moment
 * sees; where it cannot know, it says so and leaves the old snapshot alone. Machines: machines.h.
 * The last tests are on the real kernel, as root with a writable memory hierarchy (version 1 or 2);
 * skipped elsewhere. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#include "memory/machine/probe.h"
#include "tests/memory/machines.h"

#define MIB (INT64_C(1) << 20)
#define MACHINES_MAX 200

static rn_probe probe, fresh, before;
static rn_probe_files files;
static machine host;
static char names[MACHINES_MAX][64];

static void open_machine(const char *name)
{
    ration_error error;
    machine_open(&host, name);
    support_ok(rn_probe_read(host.root, &probe, &error), &error);
}

static void close_machine(void)
{
    rn_probe_files_close(&files);
    machine_close(&host);
}

/* The use of a source without a limit is that of the last snapshot. */
static void expect_same_sources(const rn_probe *got, const rn_probe *expected)
{
    ck_assert_int_eq(got->count, expected->count);
    for (int i = 0; i < got->count; i++) {
        const rn_probe_source *one = &got->sources[i], *other = &expected->sources[i];
        ck_assert_str_eq(one->name, other->name);
        ck_assert_str_eq(one->file, other->file);
        ck_assert_msg(one->limit_bytes == other->limit_bytes &&
                          one->headroom_bytes == other->headroom_bytes &&
                          (one->used_bytes == other->used_bytes || one->limit_bytes == INT64_MAX),
                      "%s: %s: limit %lld used %lld, expected %lld %lld", host.name, one->name,
                      (long long)one->limit_bytes, (long long)one->used_bytes,
                      (long long)other->limit_bytes, (long long)other->used_bytes);
    }
    ck_assert_int_eq(got->binding, expected->binding);
    ck_assert_int_eq(got->available_bytes, expected->available_bytes);
    ck_assert_int_eq(got->physical_bytes, expected->physical_bytes);
    ck_assert_int_eq(got->stall.some_us, expected->stall.some_us);
    ck_assert_int_eq(got->stall.full_ppm_of_10s, expected->stall.full_ppm_of_10s);
    ck_assert_int_eq(got->group_stall.full_us, expected->group_stall.full_us);
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

START_TEST(test_probe_refresh__repeats_every_machine)
{
    int count = machine_names(names, MACHINES_MAX), good = 0;
    int descriptors = count_descriptors();
    for (int i = 0; i < count; i++) {
        machine_open(&host, names[i]);
        if (rn_probe_read(host.root, &probe, NULL) == RATION_OK) {
            fresh = probe;
            bool kept = rn_probe_refresh(host.root, &probe, &files) &&
                        rn_probe_refresh(host.root, &probe, &files);
            expect_same_sources(&probe, &fresh);
            bool opened = rn_probe_refresh(host.root, &probe, NULL);
            expect_same_sources(&probe, &fresh);
            ck_assert_int_eq(kept, opened);
            ck_assert_msg(kept || probe.note[0] != '\0' || probe.count == 1, "%s", host.name);
            good += kept;
        }
        close_machine();
    }
    ck_assert_int_ge(good, 60);
    ck_assert_int_eq(count_descriptors(), descriptors);
}
END_TEST

/* What the machines below may become. Each text is good; whether it binds is the reader's. */
static const struct change {
    const char *machine, *path;
    const char *texts[4];
} changes[] = {
    {"v2_parent", "/sys/fs/cgroup/pod/memory.max", {"{500 MiB}", "max", "{300 MiB}", "0"}},
    {"v2_parent", "/sys/fs/cgroup/pod/memory.high", {"{400 MiB}", "max", "{470 MiB}", "max"}},
    {"v2_parent", "/sys/fs/cgroup/pod/memory.current", {"{590 MiB}", "{490 MiB}", "0", "{1 GiB}"}},
    {"v2_parent", "/sys/fs/cgroup/pod/app/memory.max", {"max", "{90 MiB}", "{91 MiB}", "1"}},
    {"v2_parent",
     "/sys/fs/cgroup/pod/app/memory.current",
     {"{90 MiB}", "{890 MiB}", "{100 MiB}", "1"}},
    {"v2_parent",
     "/proc/pressure/memory",
     {"some avg10=1.00 avg60=0 avg300=0 total=5\nfull avg10=2.00 avg60=0 avg300=0 total=4",
      "some avg10=0.00 avg60=0 avg300=0 total=6\nfull avg10=0.00 avg60=0 avg300=0 total=6",
      "some avg10=99.99 avg60=0 avg300=0 total=7\nfull avg10=0.01 avg60=0 avg300=0 total=6",
      "some avg10=100.00 avg60=0 avg300=0 total=8\nfull avg10=100.00 avg60=0 avg300=0 total=8"}},
    {"v2_parent",
     "/proc/meminfo",
     {"MemTotal: {16 GiB in kB} kB\nMemAvailable: {10 MiB in kB} kB",
      "MemTotal: {16 GiB in kB} kB\nMemAvailable: {12 GiB in kB} kB",
      "MemTotal: {8 GiB in kB} kB\nMemAvailable: {9 GiB in kB} kB",
      "MemTotal: {16 GiB in kB} kB\nMemAvailable: 0 kB"}},
    {"v1_parent",
     "/sys/fs/cgroup/memory/pod/memory.limit_in_bytes",
     {"{500 MiB}", "9223372036854771712", "{201 MiB}", "4096"}},
    {"v1_parent",
     "/sys/fs/cgroup/memory/pod/memory.usage_in_bytes",
     {"{190 MiB}", "{256 MiB}", "0", "{1 GiB}"}},
    {"v1_parent",
     "/sys/fs/cgroup/memory/pod/app/memory.limit_in_bytes",
     {"{60 MiB}", "9223372036854771712", "{51 MiB}", "{1 GiB}"}},
    {"docker_v1_parent",
     "/sys/fs/cgroup/memory/memory.limit_in_bytes",
     {"{100 MiB}", "9223372036854771712", "{200 MiB}", "{300 MiB}"}},
    {"docker_v1_parent",
     "/sys/fs/cgroup/memory/memory.usage_in_bytes",
     {"{210 MiB}", "{250 MiB}", "{350 MiB}", "{1 GiB}"}},
    {"docker_v1_parent",
     "/sys/fs/cgroup/memory/memory.stat",
     {"total_rss 1\nhierarchical_memory_limit {80 MiB}\ntotal_inactive_file 0\ntotal_active_file 0",
      "total_rss {90 MiB}\nhierarchical_memory_limit 9223372036854771712\n"
      "total_inactive_file {9 MiB}\ntotal_active_file 0",
      "total_rss 1\nhierarchical_memory_limit {80 MiB}\ntotal_inactive_file 0\ntotal_active_file "
      "{200 MiB}",
      "total_rss 1\nhierarchical_memory_limit {99 MiB}\ntotal_inactive_file 5\ntotal_active_file "
      "5"}},
    {"rlimit_data",
     "/proc/self/status",
     {"VmSize: {100 MiB in kB} kB\nVmData: {105 MiB in kB} kB",
      "VmSize: {1020 MiB in kB} kB\nVmData: {10 MiB in kB} kB", "VmSize: 0 kB\nVmData: 0 kB",
      "VmSize: {2 GiB in kB} kB\nVmData: {2 GiB in kB} kB"}},
};

START_TEST(test_probe_refresh__sees_what_a_snapshot_sees)
{
    static const char *const machines[] = {"v2_parent", "v1_parent", "docker_v1_parent",
                                           "rlimit_data"};
    unsigned seed = 11;
    printf("seed=%u\n", seed);
    for (size_t m = 0; m < RN_COUNT(machines); m++) {
        open_machine(machines[m]);
        for (int round = 0; round < 300; round++) {
            const struct change *change = &changes[(size_t)rand_r(&seed) % RN_COUNT(changes)];
            if (strcmp(change->machine, machines[m]) != 0) {
                continue;
            }
            ration_error error;
            machine_write(&host, change->path, change->texts[rand_r(&seed) % 4]);
            ck_assert_msg(rn_probe_refresh(host.root, &probe, rand_r(&seed) % 4 ? &files : NULL),
                          "%s: %s", host.name, change->path);
            support_ok(rn_probe_read(host.root, &fresh, &error), &error);
            ck_assert_str_eq(fresh.note, "");
            expect_same_sources(&probe, &fresh);
        }
        close_machine();
    }
}
END_TEST

/* Files that a refresh of these machines reads. */
static const struct {
    const char *machine, *path;
} needed[] = {
    {"v2_parent", "/proc/meminfo"},
    {"v2_parent", "/proc/self/cgroup"},
    {"v2_parent", "/proc/pressure/memory"},
    {"v2_parent", "/sys/fs/cgroup/pod/memory.max"},
    {"v2_parent", "/sys/fs/cgroup/pod/memory.current"},
    {"v2_parent", "/sys/fs/cgroup/pod/memory.stat"},
    {"v2_parent", "/sys/fs/cgroup/pod/app/memory.max"},
    {"v2_parent", "/sys/fs/cgroup/pod/app/memory.current"},
    {"v2_events", "/sys/fs/cgroup/app/memory.pressure"},
    {"v1_parent", "/sys/fs/cgroup/memory/pod/memory.limit_in_bytes"},
    {"v1_parent", "/sys/fs/cgroup/memory/pod/memory.usage_in_bytes"},
    {"v1_parent", "/sys/fs/cgroup/memory/pod/memory.stat"},
    {"v1_parent", "/sys/fs/cgroup/memory/pod/app/memory.limit_in_bytes"},
    {"docker_v1", "/sys/fs/cgroup/memory/memory.stat"},
    {"rlimit_data", "/proc/self/limits"},
    {"rlimit_data", "/proc/self/status"},
};

/* False within the eight calls that a moved process may take, and the snapshot is as it was. */
static void expect_noticed(const char *what)
{
    bool noticed = false;
    before = probe;
    for (int i = 0; i < 8 && !noticed; i++) {
        noticed = !rn_probe_refresh(host.root, &probe, &files);
    }
    ck_assert_msg(noticed, "%s: %s", host.name, what);
    ck_assert_int_eq(memcmp(&before, &probe, sizeof(probe)), 0);
    ck_assert(!rn_probe_refresh(host.root, &probe, NULL));
    ck_assert_int_eq(memcmp(&before, &probe, sizeof(probe)), 0);
}

START_TEST(test_probe_refresh__says_when_a_file_is_gone)
{
    for (size_t i = 0; i < RN_COUNT(needed); i++) {
        for (int warm = 0; warm < 2; warm++) { /* with its descriptor open, and without */
            open_machine(needed[i].machine);
            ck_assert(!warm || rn_probe_refresh(host.root, &probe, &files));
            machine_remove(&host, needed[i].path);
            expect_noticed(needed[i].path);
            close_machine();
        }
    }
}
END_TEST

START_TEST(test_probe_refresh__says_when_a_file_is_garbage)
{
    static const char *const texts[] = {"",       "-1",      "banana", "{9 x 100}",
                                        "{NUL}1", "max{CR}", "1{NUL}", "{7 x 10000}"};
    for (size_t i = 0; i < RN_COUNT(needed); i++) {
        for (size_t k = 0; k < RN_COUNT(texts); k++) {
            open_machine(needed[i].machine);
            ck_assert(rn_probe_refresh(host.root, &probe, &files));
            machine_write(&host, needed[i].path, texts[k]);
            expect_noticed(needed[i].path);
            close_machine();
        }
    }
}
END_TEST

START_TEST(test_probe_refresh__says_when_the_process_was_moved)
{
    open_machine("v2_parent");
    ck_assert(rn_probe_refresh(host.root, &probe, &files));
    machine_write(&host, "/proc/self/cgroup", "0::/pod");
    expect_noticed("/proc/self/cgroup");
    close_machine();
}
END_TEST

/* A new snapshot into the same value: the files of the old one are not read. */
START_TEST(test_probe_refresh__goes_with_the_snapshot)
{
    ration_error error;
    open_machine("v2_parent");
    ck_assert(rn_probe_refresh(host.root, &probe, &files));
    machine_write(&host, "/proc/self/cgroup", "0::/pod");
    machine_write(&host, "/sys/fs/cgroup/pod/memory.max", "{470 MiB}");
    support_ok(rn_probe_read(host.root, &probe, &error), &error);
    ck_assert_int_eq(probe.count, 3);
    for (int i = 0; i < 20; i++) {
        ck_assert(rn_probe_refresh(host.root, &probe, &files));
        ck_assert_int_eq(probe.available_bytes, (470 - 460) * MIB);
    }
    close_machine();
}
END_TEST

START_TEST(test_probe_refresh__leaves_no_descriptor_open)
{
    int descriptors = count_descriptors();
    open_machine("v2_parent");
    ck_assert(rn_probe_refresh(host.root, &probe, &files));
    ck_assert_int_gt(count_descriptors(), descriptors);
    int kept = count_descriptors();
    for (int i = 0; i < 20; i++) {
        ck_assert(rn_probe_refresh(host.root, &probe, &files));
        ck_assert_int_eq(count_descriptors(), kept);
    }
    machine_remove(&host, "/sys/fs/cgroup/pod/memory.max");
    ck_assert(!rn_probe_refresh(host.root, &probe, &files));
    ck_assert_int_eq(count_descriptors(), descriptors);
    rn_probe_files_close(&files);
    close_machine();
}
END_TEST

/* A host that closes all descriptors, as a daemon does, and opens its own under their numbers: they
 * are neither read nor closed. */
START_TEST(test_probe_refresh__leaves_the_descriptors_of_its_host_alone)
{
    open_machine("v2_parent");
    for (int round = 0; round < 20; round++) {
        ck_assert(rn_probe_refresh(host.root, &probe, &files));
        if (round % 3 == 0) {
            continue;
        }
        int own[RN_PROBE_FILES_MAX], count = 0;
        for (int i = 0; i < RN_PROBE_FILES_MAX; i++) {
            if (files.descriptors[i] > 0) {
                ck_assert_int_eq(close(files.descriptors[i] - 1), 0);
                count++;
            }
        }
        ck_assert_int_gt(count, 5);
        for (int i = 0; round % 3 == 2 && i < count; i++) {
            own[i] = open("/dev/null", O_RDONLY);
            ck_assert_int_ge(own[i], 0);
        }
        ck_assert(rn_probe_refresh(host.root, &probe, &files));
        ck_assert_int_eq(probe.available_bytes, (600 - 460) * MIB);
        for (int i = 0; round % 3 == 2 && i < count; i++) {
            ck_assert_int_eq(close(own[i]), 0);
        }
    }
    close_machine();
}
END_TEST

/* A child has descriptors of its own; those it inherited are closed in it alone. */
START_TEST(test_probe_refresh__goes_on_in_a_child)
{
    open_machine("v2_parent");
    ck_assert(rn_probe_refresh(host.root, &probe, &files));
    pid_t child = fork();
    if (child == 0) {
        bool good = rn_probe_refresh(host.root, &probe, &files) && files.process == getpid();
        _exit(good ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    int kept = count_descriptors();
    ck_assert(rn_probe_refresh(host.root, &probe, &files));
    ck_assert_int_eq(count_descriptors(), kept);
    close_machine();
}
END_TEST

/* More groups than places: the rest is opened each time. */
START_TEST(test_probe_refresh__reads_more_groups_than_it_keeps)
{
    ration_error error;
    char group[200] = "", path[300];
    machine_open(&host, "bare");
    for (int depth = 0; depth < 30; depth++) {
        strcat(group, "/g");
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
        machine_write(&host, path, "{1 GiB}");
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.current", group);
        machine_write(&host, path, "{100 MiB}");
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.stat", group);
        machine_write(&host, path, "anon {1 MiB}\ninactive_file 0\nactive_file 0");
    }
    snprintf(path, sizeof(path), "0::%s", group);
    machine_write(&host, "/proc/self/cgroup", path);
    support_ok(rn_probe_read(host.root, &probe, &error), &error);
    ck_assert_str_eq(probe.note, "");
    for (int depth = 1; depth <= 30; depth++) {
        group[2 * depth] = '\0';
        snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/memory.current", 2 * depth,
                 "/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g/g");
        snprintf(group, sizeof(group), "{%d MiB}", 200 + depth);
        machine_write(&host, path, group);
        ck_assert(rn_probe_refresh(host.root, &probe, &files));
        ck_assert_int_eq(probe.available_bytes, (1024 - 200 - depth) * MIB);
    }
    close_machine();
}
END_TEST

/* ---------------------------------------------------------------------------------------- races */

static int64_t stopped, turns;

/* The process goes to and fro between /a (100 MiB) and /b (200 MiB), and the one it left is
 * removed; /proc/self/cgroup is replaced in one step, as the kernel does. */
static void *move_about(void *unused)
{
    char from[400], to[400];
    (void)unused;
    snprintf(from, sizeof(from), "%s/proc/self/next", host.root);
    snprintf(to, sizeof(to), "%s/proc/self/cgroup", host.root);
    for (int turn = 0; rn_load_acquire(&stopped) == 0; turn++) {
        const char *group = turn % 2 == 0 ? "b" : "a", *old = turn % 2 == 0 ? "a" : "b";
        char path[200], text[60];
        snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/memory.stat", group);
        machine_write(&host, path, "anon {50 MiB}\ninactive_file 0\nactive_file 0");
        snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/memory.current", group);
        machine_write(&host, path, "{50 MiB}");
        snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/memory.max", group);
        machine_write(&host, path, turn % 2 == 0 ? "{200 MiB}" : "{100 MiB}");
        snprintf(text, sizeof(text), "0::/%s", group);
        machine_write(&host, "/proc/self/next", text);
        if (rename(from, to) != 0) {
            abort();
        }
        snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", old);
        machine_remove(&host, path);
        rn_store_release(&turns, turn);
    }
    return NULL;
}

/* Either the one or the other, or a note. */
START_TEST(test_probe_refresh__stays_whole_while_groups_come_and_go)
{
    pthread_t mover;
    int whole = 0, refreshed = 0;
    machine_open(&host, "bare");
    machine_write(&host, "/sys/fs/cgroup/a/memory.max", "{100 MiB}");
    machine_write(&host, "/sys/fs/cgroup/a/memory.current", "{50 MiB}");
    machine_write(&host, "/sys/fs/cgroup/a/memory.stat",
                  "anon {50 MiB}\ninactive_file 0\nactive_file 0");
    machine_write(&host, "/proc/self/cgroup", "0::/a");
    ck_assert_int_eq(pthread_create(&mover, NULL, move_about, NULL), 0);
    for (int i = 0; i < 1000 || (rn_load_acquire(&turns) < 200 && i < 1000000); i++) {
        ration_error error;
        support_ok(rn_probe_read(host.root, &probe, &error), &error);
        for (int k = 0; k < 2; k++) {
            bool a = strcmp(probe.group, "v2 /a") == 0;
            if (probe.note[0] == '\0' && probe.count == 3) {
                ck_assert(a || strcmp(probe.group, "v2 /b") == 0);
                ck_assert_str_eq(probe.sources[2].name, a ? "cgroup v2 /a" : "cgroup v2 /b");
                ck_assert_int_eq(probe.available_bytes, (a ? 100 - 50 : 200 - 50) * MIB);
                whole++;
            }
            refreshed += rn_probe_refresh(host.root, &probe, &files);
        }
    }
    rn_store_release(&stopped, 1);
    pthread_join(mover, NULL);
    close_machine();
    printf("%d turns, %d whole, %d refreshed\n", (int)turns, whole, refreshed);
    ck_assert_int_gt(whole, 0);
}
END_TEST

/* ------------------------------------------------------------------------------ the real kernel */

static char groups[2][200];

static bool write_group(const char *group, const char *file, const char *text)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", group, file);
    FILE *stream = fopen(path, "w");
    bool written = stream != NULL && fputs(text, stream) >= 0;
    return stream != NULL && fclose(stream) == 0 && written;
}

/* Two groups with a limit of 1 GiB each; false: this machine does not allow it. */
static bool make_groups(const char **out_limit)
{
    static const char *const roots[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
    static const char *const limits[] = {"memory.limit_in_bytes", "memory.max"};
    for (size_t version = 0; version < RN_COUNT(roots); version++) {
        bool made = true;
        for (int i = 0; i < 2; i++) {
            snprintf(groups[i], sizeof(groups[i]), "%s/ration-probe-%d-%d", roots[version],
                     (int)getpid(), i);
            made = mkdir(groups[i], 0755) == 0 &&
                   write_group(groups[i], limits[version], "1073741824") && made;
        }
        if (made) {
            *out_limit = limits[version];
            return true;
        }
        (void)rmdir(groups[0]);
        (void)rmdir(groups[1]);
    }
    return false;
}

static void move_here(const char *group)
{
    char text[20];
    snprintf(text, sizeof(text), "%d", (int)getpid());
    ck_assert(write_group(group, "cgroup.procs", text));
}

START_TEST(test_probe_refresh__follows_a_real_group)
{
    const char *limit;
    ration_error error;
    if (getenv("CK_FORK") != NULL || !make_groups(&limit)) {
        printf("skipped: no control groups to be made here\n");
        return;
    }
    const char *name = strrchr(groups[0], '/');
    move_here(groups[0]);
    support_ok(rn_probe_read("", &probe, &error), &error);
    ck_assert_ptr_nonnull(strstr(probe.group, name));
    int own = 0;
    while (own < probe.count && strstr(probe.sources[own].name, name) == NULL) {
        own++;
    }
    ck_assert_int_lt(own, probe.count);
    ck_assert_int_eq(probe.sources[own].limit_bytes, 1024 * MIB);
    ck_assert(rn_probe_refresh("", &probe, &files));
    int64_t used = probe.sources[own].used_bytes;

    static volatile char bytes[64 * 1024 * 1024];
    for (size_t at = 0; at < sizeof(bytes); at += 4096) {
        bytes[at] = 1;
    }
    ck_assert(rn_probe_refresh("", &probe, &files));
    ck_assert_int_ge(probe.sources[own].used_bytes, used + 60 * MIB);

    ck_assert(write_group(groups[0], limit, "268435456"));
    ck_assert(rn_probe_refresh("", &probe, &files));
    ck_assert_int_eq(probe.sources[own].limit_bytes, 256 * MIB);
    support_ok(rn_probe_read("", &fresh, &error), &error);
    ck_assert_int_eq(fresh.sources[own].limit_bytes, 256 * MIB);

    move_here(groups[1]); /* and the old one goes: what is open of it answers ENODEV */
    ck_assert_int_eq(rmdir(groups[0]), 0);
    ck_assert(!rn_probe_refresh("", &probe, &files));
    support_ok(rn_probe_read("", &probe, &error), &error);
    ck_assert_ptr_nonnull(strstr(probe.group, strrchr(groups[1], '/')));
    ck_assert(rn_probe_refresh("", &probe, &files));
    rn_probe_files_close(&files);
    char root[sizeof(groups[1])];
    rn_copy_text(root, (size_t)(strrchr(groups[1], '/') - groups[1]) + 1, groups[1]);
    move_here(root);
    ck_assert_int_eq(rmdir(groups[1]), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_probe_refresh__repeats_every_machine,
        test_probe_refresh__sees_what_a_snapshot_sees,
        test_probe_refresh__says_when_a_file_is_gone,
        test_probe_refresh__says_when_a_file_is_garbage,
        test_probe_refresh__says_when_the_process_was_moved,
        test_probe_refresh__goes_with_the_snapshot,
        test_probe_refresh__leaves_no_descriptor_open,
        test_probe_refresh__leaves_the_descriptors_of_its_host_alone,
        test_probe_refresh__goes_on_in_a_child,
        test_probe_refresh__reads_more_groups_than_it_keeps,
        test_probe_refresh__stays_whole_while_groups_come_and_go,
        test_probe_refresh__follows_a_real_group,
    };
    return support_run("probe_refresh", tests, RN_COUNT(tests));
}

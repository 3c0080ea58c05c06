/* SPDX-License-Identifier: Apache-2.0
 *
 * memory/machine/ over machines as text (machines.h): each file of tests/fixtures/machines says
 * what has to come out of it, with the arithmetic. Here: snapshots. Refreshes:
 * test_probe_refresh.c; garbage in every file: test_probe_hostile.c. */
#include "memory/machine/probe.h"

#include <errno.h>

#include "tests/memory/machines.h"

#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)
#define MACHINES_MAX 200

static rn_probe probe;
static machine host;
static char names[MACHINES_MAX][64];

static void expect_amount(const char *key, int64_t got)
{
    const char *fact = machine_fact(&host, key);
    if (fact != NULL) {
        ck_assert_msg(got == machine_sum(fact), "%s: %s %lld, expected %s", host.name, key,
                      (long long)got, fact);
    }
}

static void expect_text(const char *key, const char *got)
{
    const char *fact = machine_fact(&host, key);
    if (fact != NULL) {
        ck_assert_msg(strcmp(got, fact) == 0, "%s: %s '%s'", host.name, key, got);
    }
}

/* "source NAME: LIMIT, USED" of one that does not bind. */
static void expect_source(const char *fact)
{
    char name[200], amounts[100];
    const char *colon = strrchr(fact, ':');
    ck_assert_ptr_nonnull(colon);
    rn_copy_text(name, (size_t)(colon - fact) + 1, fact);
    rn_copy_text(amounts, sizeof(amounts), colon + 2);
    char *comma = strchr(amounts, ',');
    ck_assert_ptr_nonnull(comma);
    *comma = '\0';
    for (int i = 0; i < probe.count; i++) {
        if (strcmp(probe.sources[i].name, name) == 0) {
            ck_assert_msg(probe.sources[i].limit_bytes == machine_sum(amounts) &&
                              probe.sources[i].used_bytes == machine_sum(comma + 2),
                          "%s: %s: limit %lld, used %lld", host.name, name,
                          (long long)probe.sources[i].limit_bytes,
                          (long long)probe.sources[i].used_bytes);
            return;
        }
    }
    ck_abort_msg("%s: no source '%s'", host.name, name);
}

/* Four figures, or "none". */
static void expect_figures(const char *key, bool known, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const char *fact = machine_fact(&host, key);
    char got[120];
    if (fact != NULL) {
        snprintf(got, sizeof(got), "%lld %lld %lld %lld", (long long)a, (long long)b, (long long)c,
                 (long long)d);
        ck_assert_msg(strcmp(fact, known ? got : "none") == 0, "%s: %s %s, expected %s", host.name,
                      key, known ? got : "none", fact);
    }
}

static void expect_huge_pages(void)
{
    const char *fact = machine_fact(&host, "huge");
    char got[100];
    if (fact != NULL) {
        snprintf(got, sizeof(got), "%lld MiB %lld %lld", (long long)(probe.huge_page_bytes / MIB),
                 (long long)probe.huge_pages, (long long)probe.huge_pages_free);
        ck_assert_msg(strcmp(got, fact) == 0, "%s: huge %s", host.name, got);
    }
}

static void expect_facts(void)
{
    const rn_probe_source *binding = &probe.sources[probe.binding];
    const char *note = machine_fact(&host, "note"), *hidden = machine_fact(&host, "hidden");
    const rn_probe_stall *stall = &probe.stall, *own = &probe.group_stall;
    char count[16];
    snprintf(count, sizeof(count), "%d", probe.count);
    expect_text("binding", binding->name);
    expect_amount("limit", binding->limit_bytes);
    expect_amount("used", binding->used_bytes);
    expect_amount("headroom", binding->headroom_bytes);
    expect_text("sources", count);
    expect_text("group", probe.group);
    expect_text("file", binding->file);
    expect_amount("swap", probe.swap_bytes);
    expect_amount("swap_free", probe.swap_free_bytes);
    ck_assert_int_eq(probe.available_bytes, binding->headroom_bytes);
    ck_assert_msg(probe.hidden == (hidden != NULL), "%s: hidden %d", host.name, probe.hidden);
    ck_assert_msg(probe.guessed == (machine_fact(&host, "guessed") != NULL), "%s: guessed %d",
                  host.name, probe.guessed);
    ck_assert_msg(note == NULL ? probe.note[0] == '\0' : strstr(probe.note, note) != NULL,
                  "%s: note '%s'", host.name, probe.note);
    expect_huge_pages();
    expect_figures("stall", stall->known, stall->some_us, stall->full_us, stall->some_ppm_of_10s,
                   stall->full_ppm_of_10s);
    expect_figures("group_stall", own->known, own->some_us, own->full_us, own->some_ppm_of_10s,
                   own->full_ppm_of_10s);
    expect_figures("events", probe.events.known, probe.events.high, probe.events.max,
                   probe.events.oom, probe.events.oom_kill);
    for (int i = 0; i < host.count; i++) {
        if (strcmp(host.facts[i].key, "source") == 0) {
            expect_source(host.facts[i].value);
        }
    }
}

START_TEST(test_probe__reads_every_machine)
{
    int count = machine_names(names, MACHINES_MAX);
    ck_assert_int_ge(count, 60);
    for (int i = 0; i < count; i++) {
        ration_error error;
        machine_open(&host, names[i]);
        const char *fails = machine_fact(&host, "fails");
        if (fails != NULL) {
            ck_assert_int_eq(rn_probe_read(host.root, &probe, &error), RATION_ENVIRONMENT);
            ck_assert_msg(strstr(error.message, fails) != NULL, "%s: %s", host.name, error.message);
        } else if (machine_fact(&host, "binding") != NULL) {
            support_ok(rn_probe_read(host.root, &probe, &error), &error);
            expect_facts();
        }
        machine_close(&host);
    }
    printf("%d machines\n", count);
}
END_TEST

START_TEST(test_probe__keeps_headroom_equation)
{
    int count = machine_names(names, MACHINES_MAX);
    for (int i = 0; i < count; i++) {
        machine_open(&host, names[i]);
        probe.count = 0;
        if (rn_probe_read(host.root, &probe, NULL) == RATION_OK) {
            ck_assert_int_ge(probe.count, 1);
        }
        machine_close(&host);
        for (int k = 0; k < probe.count; k++) {
            const rn_probe_source *source = &probe.sources[k];
            int64_t left = RN_MAX(source->limit_bytes - source->used_bytes, 0);
            ck_assert_int_ge(source->used_bytes, 0);
            ck_assert_int_eq(source->headroom_bytes,
                             source->limit_bytes == INT64_MAX ? INT64_MAX : left);
            ck_assert_int_ge(source->headroom_bytes, probe.available_bytes);
            ck_assert_int_eq(source->kind == RN_PROBE_GROUP, source->group[0] != '\0');
        }
    }
}
END_TEST

/* The own group is below each of its sources' groups: who is not would not share its own limit. */
START_TEST(test_probe__is_a_member_of_its_sources)
{
    int count = machine_names(names, MACHINES_MAX);
    for (int i = 0; i < count; i++) {
        machine_open(&host, names[i]);
        probe.count = 0;
        if (rn_probe_read(host.root, &probe, NULL) != RATION_OK) {
            probe.count = 0;
        }
        machine_close(&host);
        for (int k = 0; k < probe.count; k++) {
            ck_assert_msg(probe.sources[k].kind != RN_PROBE_GROUP ||
                              rn_probe_below(probe.group, probe.sources[k].group),
                          "%s: '%s' is not below '%s'", host.name, probe.group,
                          probe.sources[k].group);
        }
    }
}
END_TEST

START_TEST(test_probe__knows_who_is_below)
{
    static const struct {
        const char *group, *above;
        bool below;
    } cases[] = {
        {"v2 /pod/app", "v2 /pod", true},
        {"v2 /pod", "v2 /pod", true},
        {"v2 /podium", "v2 /pod", false},
        {"v2 /pod", "v2 /pod/app", false},
        {"v2 /pod", "v2 /", true},
        {"v2 /", "v2 /", true},
        {"v2 /", "v2 /pod", false},
        {"v1 /pod", "v2 /pod", false},
        {"v1 /pod", "v2 /", false},
        {"", "v2 /", false},
        {"v2 /", "", false},
        {"", "", false},
        {"v2:77 /pod", "v2:77 /", true},
        {"v2:77 /", "v2:78 /", false},
        {"v2:77 /", "v2 /", false},
        {"v2 /my app/x", "v2 /my app", true},
        {"v2 /../x", "v2 /../x", true},
        {"v2 /my app", "v2 /my", false},
    };
    for (size_t i = 0; i < RN_COUNT(cases); i++) {
        ck_assert_msg(rn_probe_below(cases[i].group, cases[i].above) == cases[i].below,
                      "'%s' below '%s'", cases[i].group, cases[i].above);
    }
}
END_TEST

START_TEST(test_probe__needs_meminfo)
{
    ration_error error;
    machine_open(&host, "no_meminfo");
    probe.count = 77;
    ck_assert_int_eq(rn_probe_read(host.root, &probe, &error), RATION_ENVIRONMENT);
    ck_assert_str_eq(support_error(&error),
                     "/proc/meminfo: error: cannot read MemTotal: No such file or directory "
                     "(set limit_bytes in memory.yaml: no limit can be derived here)");
    ck_assert_int_eq(probe.count, 77);
    machine_close(&host);
    ck_assert_int_eq(rn_probe_read("/does/not/exist", &probe, NULL), RATION_ENVIRONMENT);
}
END_TEST

/* The table holds 64 sources; the limit sits on the outermost of 100 groups. */
START_TEST(test_probe__keeps_the_binding_of_many_groups)
{
    char group[512] = "", path[700];
    ration_error error;
    machine_open(&host, "bare");
    for (int depth = 0; depth < 100; depth++) {
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
        machine_write(&host, path, depth == 1 ? "{1 MiB}" : "max");
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.current", group);
        machine_write(&host, path, "4096");
        strcat(group, "/g");
    }
    snprintf(path, sizeof(path), "0::%s", group);
    machine_write(&host, "/proc/self/cgroup", path);
    support_ok(rn_probe_read(host.root, &probe, &error), &error);
    machine_close(&host);
    ck_assert_int_eq(probe.count, RN_PROBE_SOURCES_MAX);
    ck_assert_str_eq(probe.sources[0].name, "MemTotal"); /* the roomiest made place */
    ck_assert_str_eq(probe.sources[1].name, "MemAvailable");
    ck_assert_str_eq(probe.sources[probe.binding].name, "cgroup v2 /g");
    ck_assert_int_eq(probe.available_bytes, MIB - 4096);
}
END_TEST

/* Six groups with names of 70 characters: 3 + 3 x 71 = 216 fit into 255, a fourth does not. The
 * files are found all the same, and the cut group is above the whole one. */
START_TEST(test_probe__cuts_long_groups_between_names)
{
    char group[500] = "", path[600], third[RN_PROBE_GROUP_BYTES];
    ration_error error;
    machine_open(&host, "bare");
    for (int depth = 0; depth < 6; depth++) {
        memset(strchr(group, '\0'), '\0', 72);
        strcat(group, "/");
        memset(strchr(group, '\0'), 'a' + depth, 70);
        if (depth == 2) {
            snprintf(third, sizeof(third), "v2 %.250s", group);
        }
    }
    snprintf(path, sizeof(path), "0::%s", group);
    machine_write(&host, "/proc/self/cgroup", path);
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
    machine_write(&host, path, "{100 MiB}");
    support_ok(rn_probe_read(host.root, &probe, &error), &error);
    ck_assert_str_eq(probe.group, third);
    ck_assert_str_eq(probe.sources[probe.binding].group, third);
    ck_assert_int_eq(probe.sources[probe.binding].limit_bytes, 100 * MIB);
    ck_assert_int_eq(strncmp(probe.sources[probe.binding].name, "cgroup v2 ../eee", 16), 0);
    /* its file's name is too long to be kept: never refreshed, and so never stale */
    ck_assert(!rn_probe_refresh(host.root, &probe, NULL));
    machine_close(&host);
}
END_TEST

START_TEST(test_probe__reads_its_own_process)
{
    int64_t rss = 0, peak = 0;
    machine_open(&host, "bare");
    rn_probe_self(host.root, &rss, &peak);
    ck_assert_int_eq(rss, 20 * MIB);
    ck_assert_int_eq(peak, 24 * MIB);
    ck_assert_int_eq(rn_probe_resident(host.root), 12 * MIB + 2 * MIB);    /* RssAnon + RssShmem */
    machine_write(&host, "/proc/self/status", "VmRSS: {20 MiB in kB} kB"); /* before Linux 4.5 */
    ck_assert_int_eq(rn_probe_resident(host.root), 20 * MIB);
    machine_close(&host);
    rn_probe_self("/does/not/exist", &rss, &peak);
    ck_assert_int_eq(rss, 0);
    ck_assert_int_eq(peak, 0);
    ck_assert_int_eq(rn_probe_resident("/does/not/exist"), 0);
}
END_TEST

/* Written memory is seen, memory that was only asked for is not. */
START_TEST(test_probe__sees_its_own_memory)
{
    int64_t rss, peak, before = rn_probe_resident("");
    char *memory =
        mmap(NULL, (size_t)(32 * MIB), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(memory != MAP_FAILED);
    rn_probe_self("", &rss, &peak);
    ck_assert_int_gt(before, 0);
    ck_assert_int_ge(rss, before);
    ck_assert_int_ge(peak, rss);
    (void)support_populate(memory, 16 * MIB);
    int64_t after = rn_probe_resident("");
    ck_assert_int_ge(after, before + 12 * MIB);
    ck_assert_int_le(after, before + 24 * MIB);
    ck_assert_int_eq(munmap(memory, (size_t)(32 * MIB)), 0);
}
END_TEST

START_TEST(test_probe__reads_this_machine)
{
    ration_error error;
    support_ok(rn_probe_read("", &probe, &error), &error);
    ck_assert_int_gt(probe.physical_bytes, 0);
    ck_assert_int_gt(probe.available_bytes, 0);
    ck_assert_int_le(probe.available_bytes, probe.physical_bytes);
    int64_t serial = probe.serial;
    support_ok(rn_probe_read(NULL, &probe, &error), &error);
    ck_assert_int_gt(probe.serial, serial);
}
END_TEST

/* A trigger, or an errno that says why not: the kernel decides. */
START_TEST(test_probe__asks_for_a_stall_trigger)
{
    ration_error error;
    support_ok(rn_probe_read("", &probe, &error), &error);
    int descriptor = rn_probe_stall_trigger(&probe, 150000, 2000000);
    if (descriptor >= 0) {
        ck_assert_int_eq(close(descriptor), 0);
        /* more of a window than there is of it */
        ck_assert_int_eq(rn_probe_stall_trigger(&probe, 3000000, 2000000), -1);
        ck_assert_int_eq(errno, EINVAL);
    } else {
        printf("no trigger: %s\n", strerror(errno));
        ck_assert_int_ne(errno, 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_probe__reads_every_machine,
        test_probe__keeps_headroom_equation,
        test_probe__is_a_member_of_its_sources,
        test_probe__knows_who_is_below,
        test_probe__needs_meminfo,
        test_probe__keeps_the_binding_of_many_groups,
        test_probe__cuts_long_groups_between_names,
        test_probe__reads_its_own_process,
        test_probe__sees_its_own_memory,
        test_probe__reads_this_machine,
        test_probe__asks_for_a_stall_trigger,
    };
    return support_run("probe", tests, RN_COUNT(tests));
}

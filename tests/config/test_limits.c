/* SPDX-License-Identifier: Apache-2.0
 *
 * config/limits.h: memory.yaml -> ration_limits. */
#include "config/limits.h"

#include "base/heap.h"
#include "tests/config/same_limits.h"
#include "tests/support.h"

#define MIB (INT64_C(1) << 20)

static ration_limits limits;
static ration_error error;

static ration_status parse(const char *text)
{
    return rn_limits_parse("m.yaml", text, strlen(text), &limits, &error);
}

START_TEST(test_limits__defaults_are_the_documented_ones)
{
    ration_limits_default(&limits);
    ck_assert_uint_eq(limits.size, sizeof(limits));
    ck_assert_int_eq(limits.limit_bytes, 0);
    ck_assert_int_eq(limits.limit_ratio_ppm, 800000);
    ck_assert_int_eq(limits.untracked_reserved_bytes, 50 * MIB);
    ck_assert_int_eq(limits.data_limit_bytes, 0);
    ck_assert_int_eq(limits.query_limit_bytes, 0);
    ck_assert_int_eq(limits.query_rows_max, 0);
    ck_assert_int_eq(limits.query_time_ms_max, 0);
    ck_assert_int_eq(limits.query_wait_ms_max, 10000);
    ck_assert_int_eq(limits.max_row_bytes, 65536);
    ck_assert_int_eq(limits.chunk_bytes_max, MIB);
    ck_assert_int_eq(limits.retain_ms, 1000);
    ck_assert(!limits.prefault);
    ck_assert_int_eq(limits.check_interval, 1024);
    ck_assert_int_eq(limits.check_bytes, 256 * 1024);
    ck_assert(limits.enable_system_monitor);
    ck_assert_int_eq(limits.monitor_interval_ms, 100);
    ck_assert_int_eq(limits.pressure_stall_ppm, 200000);
    ck_assert_int_eq(limits.limit_base, RATION_BASE_AVAILABLE);
    ck_assert_int_eq(limits.limit_floor_bytes, 16 * MIB);
    ck_assert_int_eq(limits.limit_ceiling_bytes, 0);
    ck_assert_str_eq(limits.registry_directory, "/dev/shm");
    ck_assert_str_eq(limits.spill_directory, "/var/tmp");
    ck_assert(!limits.spill_allow_memory);
    ck_assert_int_eq(limits.spill_bytes_max, 0);
    ck_assert_int_eq(limits.spill_query_bytes_max, 0);
    ck_assert_int_eq(limits.spill_free_bytes_min, 1024 * MIB);
    ck_assert_int_eq(limits.admission_queue_max, 1000);
    ck_assert_int_eq(limits.admission_wait_ms_max, 60000);
    ck_assert_int_eq(limits.group_count, 0);
    support_ok(rn_limits_validate(&limits, &error), &error);
}
END_TEST

/* Every field of `bytes` has a key, but for what is told in `others`. */
static void expect_sound(const rn_limits_key *keys, size_t count, size_t bytes, size_t others)
{
    for (size_t i = 0; i < count; i++) {
        bool text = keys[i].type == RN_LIMITS_DIRECTORY;
        ck_assert(text == (keys[i].text != NULL));
        ck_assert((keys[i].type == RN_LIMITS_CHOICE) == (keys[i].words != NULL));
        for (int64_t k = 0; keys[i].words != NULL && k <= keys[i].maximum + 1; k++) {
            ck_assert((keys[i].words[k] == NULL) == (k > keys[i].maximum));
        }
        ck_assert_int_ge(keys[i].section, i > 0 ? keys[i - 1].section : RN_LIMITS_LIMIT);
        size_t advice = strlen(keys[i].advice);
        ck_assert(advice == 0 || keys[i].advice[advice - 1] == '.');
        ck_assert(text || (keys[i].minimum <= keys[i].value && keys[i].value <= keys[i].maximum));
        ck_assert_uint_gt(strlen(keys[i].sentence), 10);
        ck_assert_int_eq(keys[i].sentence[strlen(keys[i].sentence) - 1], '.');
        for (size_t k = 0; k < i; k++) {
            ck_assert_str_ne(keys[i].name, keys[k].name);
            ck_assert_uint_ne(keys[i].offset, keys[k].offset);
        }
        others += text ? (size_t)keys[i].maximum + 1 : 8; /* a bool with its padding */
    }
    ck_assert_uint_eq(others, bytes);
}

START_TEST(test_limits__tables_are_sound)
{
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    expect_sound(keys, count, sizeof(ration_limits),
                 sizeof limits.size + sizeof limits.group_count + sizeof limits.groups);
    keys = rn_limits_group_keys(&count);
    expect_sound(keys, count, sizeof(ration_group), sizeof limits.groups[0].name);
}
END_TEST

START_TEST(test_limits__reads_every_key)
{
    support_ok(parse("limit_bytes: 512MiB\n"
                     "limit_ratio: 75%\n"
                     "check_interval: 1000000\n"
                     "enable_system_monitor: false\n"
                     "monitor_interval_ms: 10\n"
                     "pressure_stall_ratio: 0\n"
                     "registry_directory: /run\n"
                     "limit_base: total\n"
                     "limit_floor_bytes: 1MiB\n"
                     "limit_ceiling_bytes: 2GiB\n"
                     "untracked_reserved_memory_mb: 7\n"
                     "data_limit_bytes: 0.25 GiB\n"
                     "query_limit_bytes: 100000000\n"
                     "query_rows_max: 9223372036854775807\n"
                     "query_time_ms_max: 30000\n"
                     "query_wait_ms_max: 1\n"
                     "max_row_bytes: 4096\n"
                     "chunk_bytes_max: 64MiB\n"
                     "retain_ms: 0\n"
                     "prefault: true\n"
                     "check_bytes: 1.5MiB\n"
                     "spill_directory: /data/spill/..x\n"
                     "spill_allow_memory: true\n"
                     "spill_bytes_max: 1TiB\n"
                     "spill_query_bytes_max: 2GiB\n"
                     "spill_free_bytes_min: 0\n"
                     "admission_queue_max: 0\n"
                     "admission_wait_ms_max: 5\n"),
               &error);
    ck_assert_int_eq(limits.limit_bytes, 512 * MIB);
    ck_assert_int_eq(limits.limit_ratio_ppm, 750000);
    ck_assert_int_eq(limits.check_interval, 1000000);
    ck_assert(!limits.enable_system_monitor);
    ck_assert_int_eq(limits.monitor_interval_ms, 10);
    ck_assert_int_eq(limits.pressure_stall_ppm, 0);
    ck_assert_str_eq(limits.registry_directory, "/run");
    ck_assert_int_eq(limits.limit_base, RATION_BASE_TOTAL);
    ck_assert_int_eq(limits.limit_floor_bytes, MIB);
    ck_assert_int_eq(limits.limit_ceiling_bytes, 2048 * MIB);
    ck_assert_int_eq(limits.untracked_reserved_bytes, 7 * MIB);
    ck_assert_int_eq(limits.data_limit_bytes, 256 * MIB);
    ck_assert_int_eq(limits.query_limit_bytes, 100000000);
    ck_assert_int_eq(limits.query_rows_max, INT64_MAX);
    ck_assert_int_eq(limits.query_time_ms_max, 30000);
    ck_assert_int_eq(limits.query_wait_ms_max, 1);
    ck_assert_int_eq(limits.max_row_bytes, 4096);
    ck_assert_int_eq(limits.chunk_bytes_max, 64 * MIB);
    ck_assert_int_eq(limits.retain_ms, 0);
    ck_assert(limits.prefault);
    ck_assert_int_eq(limits.check_bytes, 3 * MIB / 2);
    ck_assert_str_eq(limits.spill_directory, "/data/spill/..x");
    ck_assert(limits.spill_allow_memory);
    ck_assert_int_eq(limits.spill_bytes_max, INT64_C(1) << 40);
    ck_assert_int_eq(limits.spill_query_bytes_max, 2048 * MIB);
    ck_assert_int_eq(limits.spill_free_bytes_min, 0);
    ck_assert_int_eq(limits.admission_queue_max, 0);
    ck_assert_int_eq(limits.admission_wait_ms_max, 5);
    ck_assert_uint_eq(limits.size, sizeof(limits));
}
END_TEST

/* The row of docs/limits.md that ends in `ending`. */
static const char *find_row(const char *ending)
{
    static char row[4096];
    FILE *file = fopen("docs/limits.md", "r");
    ck_assert_ptr_nonnull(file);
    bool found = false;
    while (!found && fgets(row, sizeof(row), file) != NULL) {
        found = row[0] == '|' && strstr(row, ending) != NULL;
    }
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_msg(found, "no row %s", ending);
    return row;
}

/* The rows of its reload table name the keys that the column `when` of keys.c does. */
START_TEST(test_limits__documentation_says_when_keys_hold)
{
    static const struct {
        rn_limits_when when;
        const char *ending;
    } rows[] = {{RN_LIMITS_NEW_QUERIES, " | queries that begin afterwards |"},
                {RN_LIMITS_RESTART, " | nobody: the reload is refused"}};
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        const char *row = find_row(rows[i].ending);
        for (size_t key = 0; key < count; key++) {
            char name[64];
            snprintf(name, sizeof(name), "`%s`", keys[key].name);
            ck_assert_msg((strstr(row, name) != NULL) == (keys[key].when == rows[i].when), "%s: %s",
                          name, row);
        }
    }
    keys = rn_limits_group_keys(&count);
    for (size_t key = 0; key < count; key++) {
        bool new_queries = strcmp(keys[key].name, "query_limit_bytes") == 0;
        ck_assert_int_eq(keys[key].when, new_queries ? RN_LIMITS_NEW_QUERIES : RN_LIMITS_NOW);
    }
}
END_TEST

START_TEST(test_limits__reads_groups)
{
    support_ok(parse("limit_bytes: 1GiB\n"
                     "groups:\n"
                     "  reports: { limit_bytes: 512MiB, share: 3, priority: 7, queries_max: 2,\n"
                     "             query_limit_bytes: 512MiB, spill_bytes_max: 1GiB }\n"
                     "  \"\u00fcbrig, a-name-of-31-bytes-1234\":\n"
                     "  plain: {}\n"),
               &error);
    ck_assert_int_eq(limits.group_count, 3);
    const ration_group *group = limits.groups;
    ck_assert_str_eq(group->name, "reports");
    ck_assert_int_eq(group->limit_bytes, 512 * MIB);
    ck_assert_int_eq(group->share, 3);
    ck_assert_int_eq(group->priority, 7);
    ck_assert_int_eq(group->queries_max, 2);
    ck_assert_int_eq(group->query_limit_bytes, 512 * MIB);
    ck_assert_int_eq(group->spill_bytes_max, 1024 * MIB);
    ck_assert_uint_eq(strlen(group[1].name), 31);
    for (int i = 1; i < 3; i++) {
        ck_assert_int_eq(group[i].limit_bytes + group[i].queries_max + group[i].priority, 0);
        ck_assert_int_eq(group[i].share, 1);
    }
    support_ok(rn_limits_validate(&limits, &error), &error);
}
END_TEST

/* 64 are read, 65 are not. */
START_TEST(test_limits__bounds_groups)
{
    char text[2000] = "groups:\n";
    for (int i = 0; i < RATION_GROUPS_MAX; i++) {
        snprintf(text + strlen(text), 20, "  g%d: {}\n", i);
    }
    support_ok(parse(text), &error);
    ck_assert_int_eq(limits.group_count, RATION_GROUPS_MAX);
    strcat(text, "  more: {}\n");
    ck_assert_int_eq(parse(text), RATION_CONFIG);
    ck_assert_str_eq(
        support_error(&error),
        "m.yaml:2:3: error: groups: at most 64, not 65 (let similar queries share one)");
}
END_TEST

START_TEST(test_limits__validates_groups)
{
    static const struct {
        int64_t count, share;
        const char *first, *second, *error;
    } cases[] = {
        {-1, 1, "a", "b", "group_count is -1, outside 0 to 64"},
        {65, 1, "a", "b", "group_count is 65, outside 0 to 64"},
        {2, 1, "a", "a", "group 1: two groups have one name"},
        {2, 1, "a", "", "group 1: the name of a group has 1 to 31 bytes"},
        {1, 1, "a/b", "b", "group 0: the name of a group has no control characters and no '/'"},
        {2, 0, "a", "b", "group 'a': share is 0, outside 1 to 1000000"},
    };
    for (size_t i = 0; i < RN_COUNT(cases); i++) {
        ration_limits_default(&limits);
        limits.group_count = cases[i].count;
        strcpy(limits.groups[0].name, cases[i].first);
        strcpy(limits.groups[1].name, cases[i].second);
        limits.groups[0].share = cases[i].share;
        limits.groups[1].share = 1;
        ck_assert_int_eq(rn_limits_validate(&limits, &error), RATION_CONFIG);
        ck_assert_str_eq(error.message, cases[i].error);
    }
    memset(limits.groups[0].name, 'x', sizeof limits.groups[0].name); /* without an end */
    ck_assert_int_eq(rn_limits_validate(&limits, &error), RATION_CONFIG);
}
END_TEST

START_TEST(test_limits__validates_the_directory)
{
    static const char *const bad[] = {"", "tmp", "/a/..", "/../a", "/a/../b", "./a"};
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        ration_limits_default(&limits);
        strcpy(limits.spill_directory, bad[i]);
        ck_assert_msg(rn_limits_validate(&limits, &error) == RATION_CONFIG, "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(error.message, "spill_directory: it "));
    }
    memset(limits.spill_directory, '/', sizeof limits.spill_directory);
    ck_assert_int_eq(rn_limits_validate(&limits, &error), RATION_CONFIG);
    ck_assert_str_eq(error.message, "spill_directory: it is too long");
}
END_TEST

START_TEST(test_limits__empty_file_is_the_defaults)
{
    ration_limits defaults;
    ration_limits_default(&defaults);
    memset(&limits, 0x5A, sizeof(limits));
    support_ok(parse("# nothing\n"), &error);
    same_limits(&limits, &defaults);
}
END_TEST

/* Just inside and just outside of every range, through the struct and through a file. */
START_TEST(test_limits__ranges_are_inclusive)
{
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].type == RN_LIMITS_BOOL || keys[i].type == RN_LIMITS_DIRECTORY) {
            continue;
        }
        const int64_t values[] = {keys[i].minimum, keys[i].maximum, rn_add(keys[i].minimum, -1),
                                  rn_add(keys[i].maximum, 1)};
        for (size_t k = 0; k < RN_COUNT(values); k++) {
            bool inside = values[k] >= keys[i].minimum && values[k] <= keys[i].maximum;
            ration_limits_default(&limits);
            memcpy((char *)&limits + keys[i].offset, &values[k], sizeof(values[k]));
            ck_assert_msg((rn_limits_validate(&limits, &error) == RATION_OK) == inside, "%s %lld",
                          keys[i].name, (long long)values[k]);
            ck_assert(inside || strstr(error.message, keys[i].name) != NULL);
        }
    }
    ration_limits_default(&limits);
    limits.check_interval = 0;
    ck_assert_int_eq(rn_limits_validate(&limits, &error), RATION_CONFIG);
    ck_assert_str_eq(
        support_error(&error),
        "error: check_interval is 0, outside 1 to 1000000 (Rows between two settles of a "
        "guard, and rows of a batch at most.)");
    ration_limits_default(&limits);
    limits.size = 8;
    ck_assert_int_eq(rn_limits_validate(&limits, &error), RATION_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.message, "not those of this version"));
}
END_TEST

START_TEST(test_limits__names_a_missing_file)
{
    ration_limits_default(&limits);
    ck_assert_int_eq(ration_limits_load("/does/not/exist.yaml", &limits, &error), RATION_FILE);
    ck_assert_str_eq(
        support_error(&error),
        "/does/not/exist.yaml: error: cannot open it: No such file or directory (check the path)");
    ck_assert_int_eq(ration_limits_load("/", &limits, NULL), RATION_FILE);
}
END_TEST

START_TEST(test_limits__survives_every_failed_allocation)
{
    for (int forever = 0; forever < 2; forever++) {
        ration_status status = RATION_NO_MEMORY;
        int n = 0;
        while (status != RATION_OK && n < 100) {
            rn_heap_fail_after(++n, forever != 0);
            memset(&limits, 0x5A, sizeof(limits));
            status = ration_limits_load(support_path("memory.yaml"), &limits, &error);
            rn_heap_fail_after(0, false);
            ck_assert_int_eq(rn_heap_bytes(), 0);
            if (status != RATION_OK) {
                ck_assert_int_eq(status, RATION_NO_MEMORY);
                ck_assert_int_eq(limits.limit_bytes, INT64_C(0x5A5A5A5A5A5A5A5A));
            }
        }
        ck_assert_int_eq(status, RATION_OK);
        ck_assert_int_gt(n, 3);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_limits__defaults_are_the_documented_ones,
        test_limits__tables_are_sound,
        test_limits__documentation_says_when_keys_hold,
        test_limits__reads_groups,
        test_limits__bounds_groups,
        test_limits__validates_groups,
        test_limits__validates_the_directory,
        test_limits__reads_every_key,
        test_limits__empty_file_is_the_defaults,
        test_limits__ranges_are_inclusive,
        test_limits__names_a_missing_file,
        test_limits__survives_every_failed_allocation,
    };
    return support_run("limits", tests, RN_COUNT(tests));
}

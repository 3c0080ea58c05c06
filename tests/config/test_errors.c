/* SPDX-License-Identifier: Apache-2.0
 *
 * What a memory.yaml is told that is wrong: tests/config/errors holds files with one mistake each
 * and expected.txt, their errors, one a line; tests/config/accepted holds files without. */
#include <dirent.h>

#include "base/heap.h"
#include "config/limits.h"
#include "tests/support.h"

#define FILE_BYTES_MAX 65536

static ration_limits limits;
static ration_error error;

static size_t read_file(const char *folder, const char *name, char *bytes)
{
    char path[256];
    snprintf(path, sizeof(path), "tests/config/%.40s/%.200s", folder, name);
    FILE *file = fopen(support_path(path), "rb");
    ck_assert_msg(file != NULL, "%s", path);
    size_t length = fread(bytes, 1, FILE_BYTES_MAX - 1, file);
    ck_assert_uint_lt(length, FILE_BYTES_MAX - 1);
    ck_assert_int_eq(fclose(file), 0);
    bytes[length] = '\0';
    return length;
}

/* Calls `visit` with the name of each .yaml of tests/config/`folder`; how many there are. */
static int visit_files(const char *folder, void (*visit)(const char *name))
{
    char path[64];
    snprintf(path, sizeof(path), "tests/config/%.40s", folder);
    DIR *entries = opendir(support_path(path));
    ck_assert_ptr_nonnull(entries);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (strstr(entry->d_name, ".yaml") != NULL) {
            visit(entry->d_name);
            count++;
        }
    }
    ck_assert_int_eq(closedir(entries), 0);
    return count;
}

static ration_status parse(const char *folder, const char *name)
{
    static char bytes[FILE_BYTES_MAX];
    size_t length = read_file(folder, name, bytes);
    memset(&limits, 0x5A, sizeof(limits));
    return rn_limits_parse(name, bytes, length, &limits, &error);
}

static void expect_error(const char *name)
{
    static char expected[FILE_BYTES_MAX];
    (void)read_file("errors", "expected.txt", expected);
    ck_assert_msg(parse("errors", name) == RATION_CONFIG, "accepted: %s", name);
    ck_assert_int_eq(limits.limit_bytes, INT64_C(0x5A5A5A5A5A5A5A5A)); /* untouched */
    ck_assert_int_eq(rn_heap_bytes(), 0);
    char line[1500];
    snprintf(line, sizeof(line), "%s\n", support_error(&error));
    const char *at = strstr(expected, line);
    ck_assert_msg(at != NULL && (at == expected || at[-1] == '\n'), "expected.txt lacks: %s", line);
    ck_assert_msg(error.line > 0 && error.column > 0 && error.hint[0] != '\0', "%s", line);
}

START_TEST(test_errors__have_place_and_suggestion)
{
    static char expected[FILE_BYTES_MAX];
    int count = visit_files("errors", expect_error), lines = 0;
    ck_assert_int_ge(count, 40);
    (void)read_file("errors", "expected.txt", expected);
    for (const char *at = expected; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    ck_assert_int_eq(lines, count); /* no file is missing */
}
END_TEST

static void expect_accepted(const char *name)
{
    support_ok(parse("accepted", name), &error);
    support_ok(rn_limits_validate(&limits, &error), &error);
}

START_TEST(test_errors__are_not_told_without_a_mistake)
{
    ck_assert_int_ge(visit_files("accepted", expect_accepted), 15);
}
END_TEST

/* Without an error value, and with every allocation failing once. */
static void expect_quiet(const char *name)
{
    static char bytes[FILE_BYTES_MAX];
    size_t length = read_file("errors", name, bytes);
    ck_assert_int_eq(rn_limits_parse(name, bytes, length, &limits, NULL), RATION_CONFIG);
    ration_status status = RATION_NO_MEMORY;
    for (int n = 1; status == RATION_NO_MEMORY; n++) {
        ck_assert_int_lt(n, 1000);
        rn_heap_fail_after(n, false);
        status = rn_limits_parse(name, bytes, length, &limits, &error);
        rn_heap_fail_after(0, false);
        ck_assert_int_eq(rn_heap_bytes(), 0);
    }
    ck_assert_int_eq(status, RATION_CONFIG);
}

START_TEST(test_errors__survive_failed_allocations)
{
    ck_assert_int_ge(visit_files("errors", expect_quiet), 40);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_errors__have_place_and_suggestion,
        test_errors__are_not_told_without_a_mistake,
        test_errors__survive_failed_allocations,
    };
    return support_run("errors", tests, RN_COUNT(tests));
}

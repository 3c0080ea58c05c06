/* SPDX-License-Identifier: Apache-2.0
 *
 * What several test programs need: a runner, error printing, temporary folders, fixtures.
 * Plans, and loops over limits and faults: tests/world.h.
 * Tests run from the root of the project; RATION_ROOT names it when they do not. */
#ifndef RATION_TESTS_SUPPORT_H
#define RATION_TESTS_SUPPORT_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

#define SUPPORT_UNUSED __attribute__((unused))

/* "file:line:column: error: message (hint)"; valid until the next call. */
SUPPORT_UNUSED static const char *support_error(const ration_error *error)
{
    static char text[1400];
    ration_error_format(error, text, sizeof(text));
    return text;
}

/* Fails the test with the error's text unless the call answers RATION_OK. */
#define support_ok(call, error)                                                                    \
    do {                                                                                           \
        ration_status support_status_ = (call);                                                    \
        ck_assert_msg(support_status_ == RATION_OK, "%s: %s", #call, support_error(error));        \
    } while (0)

/* Ends a test of exact figures (credit, settles, spills) that a hard build has otherwise. */
#ifdef RATION_HARD
#define support_skip_hard(why)                                                                     \
    do {                                                                                           \
        printf("skipped: hard build: %s\n", why);                                                  \
        return;                                                                                    \
    } while (0)
#else
#define support_skip_hard(why) ((void)0)
#endif

/* A fresh folder; valid until the next call, removed by support_remove. */
SUPPORT_UNUSED static const char *support_folder(void)
{
    static char path[256];
    const char *parent = getenv("TMPDIR");
    snprintf(path, sizeof(path), "%.200s/ration-test-XXXXXX", parent != NULL ? parent : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(path));
    return path;
}

SUPPORT_UNUSED static int support_remove_entry(const char *path, const struct stat *status,
                                               int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

/* Removes a folder and all in it. */
SUPPORT_UNUSED static void support_remove(const char *folder)
{
    ck_assert_int_eq(nftw(folder, support_remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Writes `length` bytes to folder/name; the path is valid until the next call. */
SUPPORT_UNUSED static const char *support_write(const char *folder, const char *name,
                                                const char *bytes, size_t length)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

/* The path of something in the project, such as "tests/fixtures/x"; valid until the next call. */
SUPPORT_UNUSED static const char *support_path(const char *name)
{
    static char path[512];
    const char *root = getenv("RATION_ROOT");
    snprintf(path, sizeof(path), "%s%s%s", root != NULL ? root : "", root != NULL ? "/" : "", name);
    return path;
}

/* `bytes` that are in memory, at `at` (NULL: anywhere), in place of what was mapped there. It is
 * the kernel that puts them there: what sanitizers and valgrind keep of a write is memory, too. */
SUPPORT_UNUSED static char *support_populate(char *at, int64_t bytes)
{
    char *memory =
        mmap(at, (size_t)bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | (at != NULL ? MAP_FIXED : 0), -1, 0);
    ck_assert(memory != MAP_FAILED);
    return memory;
}

/* Runs the tests of one program; the exit code of main. CK_FORK=no runs them in one process. */
SUPPORT_UNUSED static int support_run(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tests_case = tcase_create(name);
    tcase_set_timeout(tests_case, 600); /* hangs only: a busy machine is no failure */
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(tests_case, tests[i]);
    }
    suite_add_tcase(suite, tests_case);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif

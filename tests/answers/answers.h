/* SPDX-License-Identifier: Apache-2.0
 *
 * Real data and the plan files beside this header: a world over a manifest of tests/data, running
 * a named plan of a file. */
#ifndef RATION_TESTS_ANSWERS_H
#define RATION_TESTS_ANSWERS_H

#include "tests/data.h"
#include "tests/world.h"

/* The absolute path of some of the data; false, with the reason printed, when it is not there. */
SUPPORT_UNUSED static bool answers_find(const char *name, char *path)
{
    const char *found = data_path(name);
    if (found != NULL) {
        snprintf(path, PATH_MAX, "%s", found);
    }
    return found != NULL;
}

/* The text of a file; the caller frees it. */
SUPPORT_UNUSED static char *answers_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot read %s", path);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    long length = ftell(file);
    ck_assert_int_ge(length, 0);
    rewind(file);
    char *text = malloc((size_t)length + 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(fread(text, 1, (size_t)length, file), (size_t)length);
    text[length] = '\0';
    fclose(file);
    return text;
}

/* Opens a world over a manifest of tests/data whose base is the folder `data`. */
SUPPORT_UNUSED static void answers_open(rn_test_world *world, const char *manifest,
                                        const char *data)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s", support_folder());
    rn_test_open_file(world, NULL, data_manifest(folder, manifest, data));
    support_remove(folder);
}

/* Runs plan `name` of tests/answers/`file`; `head` is put before the file ("" = nothing). */
SUPPORT_UNUSED static rn_test_result answers_run(rn_test_world *world, const char *file,
                                                 const char *name, const char *head)
{
    char path[256];
    snprintf(path, sizeof path, "tests/answers/%.200s", file);
    char *text = answers_read(support_path(path));
    size_t length = strlen(text) + strlen(name) + strlen(head) + 32;
    char *whole = malloc(length);
    ck_assert_ptr_nonnull(whole);
    snprintf(whole, length, "main: %s\n%s\n%s", name, head, text);
    rn_test_result result = rn_test_run(world, whole, 0);
    ck_assert_msg(result.status == RATION_OK, "%s %s: %s", file, name, result.message);
    free(whole);
    free(text);
    return result;
}

/* A plan that gives one row of one number. */
SUPPORT_UNUSED static void answers_count(rn_test_world *world, const char *file, const char *name,
                                         int64_t expected)
{
    rn_test_result result = answers_run(world, file, name, "");
    ck_assert_msg(result.rows == 1, "%s %s: %lld rows", file, name, (long long)result.rows);
    ck_assert_msg(strtoll(result.text, NULL, 10) == expected, "%s %s: expected %lld, got %s", file,
                  name, (long long)expected, result.text);
    rn_test_result_free(&result);
}

#endif

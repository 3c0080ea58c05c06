/* SPDX-License-Identifier: Apache-2.0
 *
 * Real data in tests: the folder RATION_DATA, by default ../shared/data beside the project, and
 * the manifests of tests/data over it. Where the folder is absent a test says so and passes. */
#ifndef RATION_TESTS_DATA_H
#define RATION_TESTS_DATA_H

#include <limits.h>

#include "tests/support.h"

/* The absolute path of `name` in the data folder, or NULL after printing why the test is
 * skipped. Valid until the next call. */
SUPPORT_UNUSED static const char *data_path(const char *name)
{
    static char path[PATH_MAX];
    char wanted[PATH_MAX];
    const char *folder = getenv("RATION_DATA");

    snprintf(wanted, sizeof wanted, "%s/%s",
             folder != NULL ? folder : support_path("../shared/data"), name);
    if (realpath(wanted, path) == NULL) {
        printf("skipped: no %s (set RATION_DATA)\n", wanted);
        return NULL;
    }
    return path;
}

/* Writes tests/data/<manifest> into `folder` with @BASE@ replaced by `base`, an absolute path;
 * returns the path of what was written, valid until the next support_write. */
SUPPORT_UNUSED static const char *data_manifest(const char *folder, const char *manifest,
                                                const char *base)
{
    static const char mark[] = "@BASE@";
    char name[256], text[16384], changed[sizeof text + 2 * PATH_MAX];

    snprintf(name, sizeof name, "tests/data/%s", manifest);
    FILE *file = fopen(support_path(name), "rb");
    ck_assert_ptr_nonnull(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    ck_assert_int_eq(fclose(file), 0);
    text[length] = '\0';
    /* The first mark is in a comment, the second is the value. */
    char *value = strstr(text, "base: \"@BASE@\"");
    ck_assert_ptr_nonnull(value);
    value += strlen("base: \"");
    int count = snprintf(changed, sizeof changed, "%.*s%s%s", (int)(value - text), text, base,
                         value + strlen(mark));
    return support_write(folder, manifest, changed, (size_t)count);
}

#endif

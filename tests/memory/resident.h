/* SPDX-License-Identifier: Apache-2.0
 *
 * What is resident, as the system says, for tests of pages. */
#ifndef RATION_TESTS_MEMORY_RESIDENT_H
#define RATION_TESTS_MEMORY_RESIDENT_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "memory/pages.h"
#include "memory/poison.h"

/* Sanitizers and valgrind (announced by check's multiplier) keep memory of their own beside ours:
 * what is resident says nothing there. */
static inline bool rss_is_ours(void)
{
    return !RN_ASAN && !RN_TSAN && getenv("CK_TIMEOUT_MULTIPLIER") == NULL;
}

/* Address space and resident bytes of the process now, from /proc/self/statm. */
static inline void read_statm(int64_t *out_mapped_bytes, int64_t *out_resident_bytes)
{
    long long mapped = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%lld %lld", &mapped, &resident), 2);
    ck_assert_int_eq(fclose(file), 0);
    *out_mapped_bytes = mapped * rn_page_features_get()->page_bytes;
    *out_resident_bytes = resident * rn_page_features_get()->page_bytes;
}

static inline int64_t mapped_bytes_now(void)
{
    int64_t mapped, resident;
    read_statm(&mapped, &resident);
    return mapped;
}

static inline int64_t resident_bytes_now(void)
{
    int64_t mapped, resident;
    read_statm(&mapped, &resident);
    return resident;
}

/* Resident pages of a range that is mapped, in bytes. */
static inline int64_t resident_bytes_of(const void *pages, int64_t bytes)
{
    int64_t page = rn_page_features_get()->page_bytes;
    static unsigned char flags[16384];
    ck_assert_int_le(bytes / page, (int64_t)sizeof(flags));
    ck_assert_int_eq(mincore((void *)(uintptr_t)pages, (size_t)bytes, flags), 0);
    int64_t count = 0;
    for (int64_t i = 0; i < bytes / page; i++) {
        count += flags[i] & 1;
    }
    return count * page;
}

/* Is any page of the range mapped? */
static inline bool is_mapped(const void *pages, int64_t bytes)
{
    unsigned char flag;
    int64_t page = rn_page_features_get()->page_bytes;
    for (int64_t at = 0; at < bytes; at += page) {
        if (mincore((char *)(uintptr_t)pages + at, (size_t)page, &flag) == 0) {
            return true;
        }
    }
    return false;
}

#endif

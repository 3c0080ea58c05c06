/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens when an assertion or a belief fails, and the clock. Nothing here allocates: it may
 * run on the path that refuses memory.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t faults; /* written by any thread */

_Noreturn void rn_assert_failed(const char *file, int line, const char *text)
{
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, text);
    abort();
}

bool rn_fault(const char *file, int line, const char *text)
{
#ifdef RATION_CHECKED
    rn_assert_failed(file, line, text);
#else
    (void)file;
    (void)line;
    (void)text;
    (void)rn_fetch_add(&faults, 1);
    return false;
#endif
}

void rn_fault_add(void)
{
    (void)rn_fetch_add(&faults, 1);
}

int64_t rn_faults(void)
{
    return rn_load(&faults);
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t rn_clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t rn_clock_coarse_ns(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

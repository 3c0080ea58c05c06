/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens when an assertion or a belief fails. Nothing here allocates: it may run on the path
 * that refuses memory.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

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

int64_t rn_faults(void)
{
    return rn_load(&faults);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A result as one line, from the process that ran to the one that judges. */
#include "bench/spill.h"

#include <time.h>

int64_t spill_cpu_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

#define RESULT_FIELDS(X)                                                                           \
    X(rows)                                                                                        \
    X(sorted)                                                                                      \
    X(wall_ns)                                                                                     \
    X(cpu_ns)                                                                                      \
    X(start_bytes)                                                                                 \
    X(peak_bytes)                                                                                  \
    X(limit_bytes)                                                                                 \
    X(minimum_bytes)                                                                               \
    X(data_bytes)                                                                                  \
    X(held_bytes)                                                                                  \
    X(spilled_bytes)

void spill_result_put(const spill_result *result)
{
    printf("status=%s hash=%016llx", result->status, (unsigned long long)result->hash);
#define RESULT_PUT(field) printf(" " #field "=%lld", (long long)result->field);
    RESULT_FIELDS(RESULT_PUT)
#undef RESULT_PUT
    printf("\n");
}

static bool read_number(const char *line, const char *key, int64_t *out_value)
{
    const char *at = strstr(line, key);
    if (at == NULL) {
        return false;
    }
    *out_value = strtoll(at + strlen(key), NULL, 10);
    return true;
}

bool spill_result_get(const char *line, spill_result *out_result)
{
    spill_result result = {.rows = 0};
    unsigned long long hash = 0;
    if (sscanf(line, "status=%31s hash=%llx", result.status, &hash) != 2) {
        return false;
    }
    result.hash = hash;
#define RESULT_GET(field)                                                                          \
    if (!read_number(line, " " #field "=", &result.field)) {                                       \
        return false;                                                                              \
    }
    RESULT_FIELDS(RESULT_GET)
#undef RESULT_GET
    *out_result = result;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.yaml from anybody: rn_limits_parse answers, leaks nothing, and what it accepts is valid.
 * Build with -fsanitize=fuzzer,address,undefined; seeds in tests/fuzz/corpus/limits. */
#include <stdlib.h>

#include "base/heap.h"
#include "config/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char none[1] = "";
    ration_limits limits = {.size = 0};
    ration_error error = {.size = 0};
    ration_status status =
        rn_limits_parse("fuzz.yaml", size > 0 ? (const char *)data : none, size, &limits, &error);
    if (status == RATION_OK) {
        require(rn_limits_validate(&limits, &error) == RATION_OK);
        require(limits.data_limit_bytes <= limits.limit_bytes || limits.limit_bytes == 0);
    } else {
        char text[1400];
        require(status == RATION_CONFIG && limits.size == 0);
        require(error.status == status && error.message[0] != '\0');
        require(error.line > 0 ? error.column > 0 : size > 256 * 1024);
        require(ration_error_format(&error, text, sizeof(text)) < sizeof(text));
    }
    require(rn_heap_bytes() == 0);
    return 0;
}

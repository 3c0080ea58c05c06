/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.yaml from anybody: rn_limits_parse answers, leaks nothing, and what it accepts is valid
 * and the same when it is put and read again. The same bytes as the environment, a variable a line:
 * rn_limits_override answers, and changes nothing when it refuses.
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

/* What is put of each key reads back as the same. */
static void put_and_read(const ration_limits *limits)
{
    static char bytes[16384];
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    rn_text text = rn_text_over(bytes, sizeof(bytes));
    for (size_t i = 0; i < count; i++) {
        if (keys[i].type != RN_LIMITS_DIRECTORY) {
            rn_text_format(&text, "%s: ", keys[i].name);
            rn_limits_put_value(&text, &keys[i], limits);
            rn_text_put(&text, "\n");
        }
    }
    ration_limits again;
    require(rn_limits_parse("again.yaml", bytes, text.length, &again, NULL) == RATION_OK);
    for (size_t i = 0; i < count; i++) {
        require(rn_limits_get(&again, &keys[i]) == rn_limits_get(limits, &keys[i]));
    }
}

#define VARIABLES_MAX 8

/* The lines of `data`, each behind RATION_ unless it has it, as the environment. */
static void override(const uint8_t *data, size_t size)
{
    static char lines[VARIABLES_MAX][512];
    char *variables[VARIABLES_MAX + 1] = {NULL};
    size_t at = 0;
    for (int i = 0; i < VARIABLES_MAX && at < size; i++) {
        size_t length = 0;
        while (at + length < size && data[at + length] != '\n') {
            length++;
        }
        rn_text line = rn_text_over(lines[i], sizeof(lines[i]));
        bool has = length >= 7 && memcmp(data + at, "RATION_", 7) == 0;
        rn_text_put(&line, has ? "" : "RATION_");
        rn_text_put_bytes(&line, (const char *)data + at, length);
        variables[i] = lines[i];
        at += length + 1;
    }
    ration_limits limits;
    ration_error error;
    ration_limits_default(&limits);
    const ration_limits before = limits;
    ration_status status = rn_limits_override(variables, &limits, NULL, &error);
    if (status == RATION_OK) {
        require(rn_limits_validate(&limits, &error) == RATION_OK);
    } else {
        require(status == RATION_CONFIG && memcmp(&limits, &before, sizeof(limits)) == 0);
        require(error.status == status && error.message[0] != '\0' && error.hint[0] != '\0');
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
        put_and_read(&limits);
    } else {
        char text[1400];
        require(status == RATION_CONFIG && limits.size == 0);
        require(error.status == status && error.message[0] != '\0');
        require(error.line > 0 ? error.column > 0 : size > 256 * 1024);
        require(ration_error_format(&error, text, sizeof(text)) < sizeof(text));
    }
    override(data, size);
    require(rn_heap_bytes() == 0);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a workload file: an error with a place or a workload whose arrivals come in order,
 * each with parameters or an error; nothing left. */
#include "executor/workload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static rn_slot *open_slot(void)
{
    static rn_slot *slot;
    static ration_governor *governor;
    if (slot == NULL) {
        ration_limits limits;
        ration_limits_default(&limits);
        limits.enable_system_monitor = false;
        limits.limit_bytes = 16 << 20;
        if (ration_governor_open(&limits, &governor, NULL) != RATION_OK ||
            rn_slot_open(ration_governor_data(governor), NULL, &slot) != RATION_OK) {
            __builtin_trap();
        }
    }
    return slot;
}

static void draw_parameters(const rn_workload *workload, const rn_arrival *arrival)
{
    rn_parameter values[16];
    ration_error error;
    if (workload->queries[arrival->query].parameter_count <= RN_COUNT(values) &&
        rn_workload_parameters(workload, arrival, NULL, values, &error) != RATION_OK &&
        error.message[0] == '\0') {
        __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_slot *slot = open_slot();
    int64_t heap_bytes = rn_heap_bytes();
    rn_workload workload;
    ration_error error;
    /* The seeds name a plan file and a trace beside this target, so that the queries are reached.
     */
    ration_status status = rn_workload_parse("tests/fuzz/corpus/workload/w", (const char *)data,
                                             size, &slot->hot, &workload, &error);
    if (status == RATION_OK) {
        rn_arrivals cursor = {0};
        rn_arrival arrival;
        int64_t last_us = 0;
        for (int i = 0; i < 100 && rn_arrivals_next(&workload, &cursor, &arrival); i++) {
            if (arrival.at_us < last_us || arrival.query >= workload.query_count) {
                __builtin_trap();
            }
            last_us = arrival.at_us;
            draw_parameters(&workload, &arrival);
        }
        rn_workload_close(&workload);
    } else if (error.message[0] == '\0') {
        __builtin_trap();
    }
    if (rn_heap_bytes() != heap_bytes || rn_slot_used(slot) != 0) {
        __builtin_trap();
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The shapes. Limits are those that DuckDB and kuzu were measured under (half, a quarter and an
 * eighth of what each took without one); floors are what must be enough. */
#include "bench/spill.h"

#define MILLION INT64_C(1000000)

const spill_shape spill_shapes[] = {
    {.name = "sort",
     .plan = "sort",
     .rows = 20 * MILLION,
     .limits_mib = {1210, 605, 302},
     .floor_mib = 16,
     .ordered = 1,
     .generator = "generate_wide"},
    {.name = "aggregate",
     .plan = "aggregate",
     .rows = 20 * MILLION,
     .groups = 10 * MILLION,
     .limits_mib = {333, 166, 83},
     .floor_mib = 16,
     .generator = "generate_keys"},
    {.name = "distinct",
     .plan = "distinct",
     .rows = 20 * MILLION,
     .groups = 10 * MILLION,
     .limits_mib = {280, 140, 70},
     .generator = "generate_keys"},
    {.name = "join",
     .plan = "join",
     .rows = 10 * MILLION,
     .limits_mib = {346, 173, 86},
     .floor_mib = 16,
     .generator = "generate_pairs"},
    {.name = "collect", .plan = "collect", .rows = 20 * MILLION, .limits_mib = {1030, 515, 256}},
    {.name = "held_rescan",
     .plan = "generate_wide",
     .rows = 20 * MILLION,
     .limits_mib = {1030, 515, 256},
     .rescans = true},
    {.name = "held_order",
     .plan = "held_order",
     .rows = 20 * MILLION,
     .limits_mib = {1030, 515, 256},
     .ordered = 1},
    {.name = "strings",
     .plan = "strings",
     .rows = 400000,
     .groups = 200000,
     .limits_mib = {1490, 745, 372}},
    {.name = "lists",
     .plan = "lists",
     .rows = 20 * MILLION,
     .groups = 5 * MILLION / 2,
     .limits_mib = {300, 150, 75}},
    {.name = "hops_distinct",
     .plan = "hops_distinct",
     .rows = 1,
     .limits_mib = {583, 291, 145},
     .graph = true},
    {.name = "hops_group",
     .plan = "hops_group",
     .rows = 1,
     .limits_mib = {720, 360, 180},
     .graph = true},
    {.name = "hops_order",
     .plan = "hops_order",
     .rows = 1,
     .limits_mib = {857, 428, 214},
     .ordered = 2,
     .graph = true},
    {.name = "generate_wide", .plan = "generate_wide", .rows = 20 * MILLION},
    {.name = "generate_keys",
     .plan = "generate_keys",
     .rows = 20 * MILLION,
     .groups = 10 * MILLION},
    {.name = "generate_pairs", .plan = "generate_pairs", .rows = 10 * MILLION},
    {.name = NULL},
};

const spill_shape *spill_shape_find(const char *name)
{
    for (const spill_shape *shape = spill_shapes; shape->name != NULL; shape++) {
        if (strcmp(shape->name, name) == 0) {
            return shape;
        }
    }
    return NULL;
}

int64_t spill_scaled(int64_t count, double scale)
{
    return RN_MAX(1, (int64_t)((double)count * scale + 0.5));
}

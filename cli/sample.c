/* SPDX-License-Identifier: Apache-2.0
 *
 * Minimums of sample plans: planned as any other, never run; sample.h. */
#include "cli/sample.h"

#include "executor/plan.h"
#include "iterators/registry.h"

/* A column of text: so rows may be as wide as max_row_bytes. */
#define ROWS "range: { rows: 1, columns: { k: sequence, s: { random: string, width: 8 } } }"
#define OTHER_ROWS "range: { rows: 1, columns: { j: sequence, t: { random: string, width: 8 } } }"

static const char sort_text[] = "pipeline:\n- " ROWS "\n- sort: [k]\n";
static const char join_text[] =
    "pipeline:\n- " ROWS "\n- join: { on: { k: j }, with: [ { " OTHER_ROWS " } ] }\n";

static ration_status find_minimum(const char *text, const ration_limits *limits, int64_t *out_bytes,
                                  ration_error *error)
{
    static const rn_parameters none = {0, NULL};
    const rn_sizes sizes = {(uint32_t)RN_MIN((int64_t)RN_BATCH_ROWS_MAX, limits->check_interval),
                            limits->max_row_bytes};
    rn_plan_file file;
    rn_plan *plan;
    RN_TRY(rn_plan_file_parse("sample", text, strlen(text), &file, error));
    ration_status status =
        rn_plan_build(&file, NULL, &none, NULL, rn_operator_classes(), &plan, error);
    if (status == RATION_OK) {
        *out_bytes = rn_plan_minimum(plan, &sizes);
        rn_plan_close(plan);
    }
    rn_plan_file_close(&file);
    return status;
}

ration_status rn_sample_minimums(const ration_limits *limits, int64_t *out_sort, int64_t *out_join,
                                 ration_error *error)
{
    int64_t sort;
    RN_TRY(find_minimum(sort_text, limits, &sort, error));
    RN_TRY(find_minimum(join_text, limits, out_join, error));
    *out_sort = sort;
    return RATION_OK;
}

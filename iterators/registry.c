/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of operators, in the order of docs/plans.md. */
#include "iterators/registry.h"

static const rn_operator_class *const classes[] = {
    &rn_scan_class,
    &rn_range_class,
    &rn_filter_class,
    &rn_project_class,
    &rn_expand_class,
    &rn_exists_class,
    &rn_not_exists_class,
    &rn_shortest_path_class,
    &rn_join_class,
    &rn_union_class,
    &rn_unwind_class,
    &rn_distinct_class,
    &rn_aggregate_class,
    &rn_sort_class,
    &rn_topk_class,
    &rn_limit_class,
    &rn_skip_class,
    &rn_collect_class,
    NULL,
};

const rn_operator_class *const *rn_operator_classes(void)
{
    return classes;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Every operator there is. Adding one: write iterators/<name>.c, add one line to registry.c. */
#ifndef RATION_REGISTRY_H
#define RATION_REGISTRY_H

#include "executor/plan.h"

extern const rn_operator_class rn_scan_class, rn_range_class, rn_filter_class, rn_project_class,
    rn_expand_class, rn_exists_class, rn_not_exists_class, rn_join_class, rn_distinct_class,
    rn_aggregate_class, rn_sort_class, rn_topk_class, rn_limit_class, rn_skip_class, rn_union_class,
    rn_unwind_class, rn_collect_class, rn_shortest_path_class;

/* NULL-terminated. */
const rn_operator_class *const *rn_operator_classes(void);

#endif

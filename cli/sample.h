/* SPDX-License-Identifier: Apache-2.0
 *
 * What ordinary queries need at least under given limits. */
#ifndef RATION_SAMPLE_H
#define RATION_SAMPLE_H

#include "ration.h"

/* The published minimum of a plan that sorts rows up to max_row_bytes, and of one that joins them.
 * Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_sample_minimums(const ration_limits *limits, int64_t *out_sort,
                                                  int64_t *out_join, ration_error *error);

#endif

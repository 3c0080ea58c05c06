/* SPDX-License-Identifier: Apache-2.0
 *
 * A log-linear histogram of non-negative amounts (times, bytes): 32 steps per power of two, so a
 * value is known to 1/32 (after HdrHistogram, Tene). Fixed size, no allocation; merging adds. One
 * writer at a time. */
#ifndef RATION_HISTOGRAM_H
#define RATION_HISTOGRAM_H

#include "base/base.h"

#define RN_HISTOGRAM_STEPS 32
#define RN_HISTOGRAM_BUCKETS (RN_HISTOGRAM_STEPS * 60)

typedef struct rn_histogram {
    int64_t count, sum, maximum;
    int64_t buckets[RN_HISTOGRAM_BUCKETS];
} rn_histogram;

/* Negative values count as 0. */
void rn_histogram_add(rn_histogram *histogram, int64_t value);
/* The smallest recorded step at or below which `ppm` millionths of the values lie: its upper end,
 * the maximum at most; 0 when empty. */
int64_t rn_histogram_quantile(const rn_histogram *histogram, int64_t ppm);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets: values below 32 exactly; then for each power of two 2^e, e >= 5, the 32 steps of
 * 2^(e-5). */
#include "executor/histogram.h"

static uint32_t find_bucket(int64_t value)
{
    if (value < RN_HISTOGRAM_STEPS) {
        return (uint32_t)value;
    }
    uint32_t exponent = 63u - (uint32_t)__builtin_clzll((unsigned long long)value);
    uint32_t step = (uint32_t)(value >> (exponent - 5)) & (RN_HISTOGRAM_STEPS - 1);
    return (exponent - 4) * RN_HISTOGRAM_STEPS + step;
}

static int64_t find_upper_end(uint32_t bucket)
{
    if (bucket < RN_HISTOGRAM_STEPS) {
        return bucket;
    }
    uint32_t exponent = bucket / RN_HISTOGRAM_STEPS + 4;
    uint64_t step = bucket % RN_HISTOGRAM_STEPS + RN_HISTOGRAM_STEPS + 1;
    return (int64_t)((step << (exponent - 5)) - 1);
}

void rn_histogram_add(rn_histogram *histogram, int64_t value)
{
    value = RN_MAX(value, 0);
    uint32_t bucket = find_bucket(value);
    rn_assert(bucket < RN_HISTOGRAM_BUCKETS);
    histogram->buckets[bucket] += 1;
    histogram->count += 1;
    histogram->sum = rn_add(histogram->sum, value);
    histogram->maximum = RN_MAX(histogram->maximum, value);
}

int64_t rn_histogram_quantile(const rn_histogram *histogram, int64_t ppm)
{
    if (histogram->count == 0) {
        return 0;
    }
    int64_t rank =
        histogram->count / 1000000 * ppm + (histogram->count % 1000000 * ppm + 999999) / 1000000;
    rank = RN_MIN(RN_MAX(rank, 1), histogram->count);
    int64_t seen = 0;
    for (uint32_t i = 0; i < RN_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) {
            return RN_MIN(find_upper_end(i), histogram->maximum);
        }
    }
    return histogram->maximum;
}

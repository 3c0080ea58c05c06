/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "executor/histogram.h"
#include "tests/support.h"

static rn_histogram histogram;

START_TEST(test_histogram__empty_answers_zero)
{
    ck_assert_int_eq(rn_histogram_quantile(&histogram, 500000), 0);
}
END_TEST

START_TEST(test_histogram__small_values_are_exact)
{
    for (int64_t value = 0; value < 32; value++) {
        rn_histogram_add(&histogram, value);
    }
    ck_assert_int_eq(rn_histogram_quantile(&histogram, 500000), 15);
    ck_assert_int_eq(rn_histogram_quantile(&histogram, 1000000), 31);
    ck_assert_int_eq(rn_histogram_quantile(&histogram, 0), 0);
}
END_TEST

START_TEST(test_histogram__any_value_is_known_to_a_32nd)
{
    uint64_t state = 11;
    for (int i = 0; i < 20000; i++) {
        memset(&histogram, 0, sizeof histogram);
        int64_t value = (int64_t)(rn_random(&state) >> (1 + rn_random_below(&state, 63)));
        rn_histogram_add(&histogram, value);
        rn_histogram_add(&histogram, INT64_MAX);
        int64_t median = rn_histogram_quantile(&histogram, 500000);
        ck_assert_int_ge(median, value);
        ck_assert_int_le(median - value, value / 32 + 1);
    }
}
END_TEST

START_TEST(test_histogram__negative_counts_as_zero)
{
    rn_histogram_add(&histogram, -5);
    rn_histogram_add(&histogram, 1000);
    rn_histogram_add(&histogram, 1000);
    ck_assert_int_eq(histogram.count, 3);
    ck_assert_int_eq(histogram.maximum, 1000);
    ck_assert_int_eq(rn_histogram_quantile(&histogram, 100000), 0);
    ck_assert_int_eq(rn_histogram_quantile(&histogram, 900000), 1000);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_histogram__empty_answers_zero,
        test_histogram__small_values_are_exact,
        test_histogram__any_value_is_known_to_a_32nd,
        test_histogram__negative_counts_as_zero,
    };
    return support_run("histogram", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "tests/support.h"

START_TEST(test_duration__reads_units_and_refuses_the_rest)
{
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {{"0s", 0}, {"250us", 250}, {"1.5ms", 1500}, {"10s", 10000000}, {"2min", 120000000}};
    for (size_t i = 0; i < RN_COUNT(good); i++) {
        int64_t us = -1;
        ck_assert(rn_parse_duration(good[i].text, strlen(good[i].text), &us));
        ck_assert_int_eq(us, good[i].us);
    }
    static const char *const bad[] = {"", "5", "s", "-1s", "nans", "infs", "1h", "1e300s", "1 x"};
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        int64_t us = -7;
        ck_assert_msg(!rn_parse_duration(bad[i], strlen(bad[i]), &us), "%s", bad[i]);
        ck_assert_int_eq(us, -7);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_duration__reads_units_and_refuses_the_rest};
    return support_run("duration", tests, RN_COUNT(tests));
}

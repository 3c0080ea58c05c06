/* SPDX-License-Identifier: Apache-2.0
 *
 * The nine LSQB queries over two data sets give the published counts, along edges and by hash joins
 * alone. */
#include "tests/answers/answers.h"

#define QUERIES 9

static void count_all(const char *data, const int64_t *expected)
{
    static const char *const others[] = {"join", "anti"};
    char folder[PATH_MAX], name[32];
    if (!answers_find(data, folder)) {
        return;
    }
    rn_test_world world;
    answers_open(&world, "lsqb.yaml", folder);
    for (int q = 1; q <= QUERIES; q++) {
        snprintf(name, sizeof name, "q%d", q);
        answers_count(&world, "lsqb.yaml", name, expected[q - 1]);
        for (int o = 0; o < (q == 8 ? 2 : 1); o++) {
            snprintf(name, sizeof name, "q%d_%s", q, others[o]);
            answers_count(&world, "lsqb.yaml", name, expected[q - 1]);
        }
    }
    rn_test_close(&world);
}

START_TEST(test_lsqb__example)
{
    static const int64_t published[QUERIES] = {8, 3, 6, 8, 3, 8, 11, 2, 4};
    count_all("lsqb/example", published);
}
END_TEST

START_TEST(test_lsqb__scale_factor_0_003)
{
    static const int64_t agreed[QUERIES] = {20608, 281, 0, 3047, 4973, 33201, 7188, 2436, 23669};
    count_all("lsqb/sf0.003", agreed);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_lsqb__example, test_lsqb__scale_factor_0_003};
    return support_run("lsqb", tests, RN_COUNT(tests));
}

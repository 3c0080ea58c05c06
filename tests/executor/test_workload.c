/* SPDX-License-Identifier: Apache-2.0
 *
 * Workload files, arrivals, parameters, thresholds. Traces: test_trace.c. */
#include "executor/report.h"
#include "tests/executor/workload_world.h"

START_TEST(test_workload__reads_everything)
{
    open_all();
    rn_workload workload;
    ration_error error;
    support_ok(parse(HEAD "graph: g/manifest.yaml\nconcurrency: 3\nseed: 9\nduration: 1.5min\n"
                          "arrivals: { process: uniform, rate: 4, speed: 2 }\n"
                          "queries:\n"
                          "  - { plan: numbers, weight: 3, limit_bytes: 1MiB, rows_max: 5, "
                          "time_ms_max: 7, parameters: { n: { values: [1, 2] } } }\n"
                          "  - { plan: twice, name: other }\n",
                     &workload, &error),
               &error);
    ck_assert_int_eq(workload.concurrency, 3);
    ck_assert_int_eq(workload.duration_us, 90000000);
    ck_assert_int_eq(workload.weights, 4);
    ck_assert_int_eq(workload.queries[0].limit_bytes, 1 << 20);
    ck_assert_int_eq(workload.queries[0].rows_max, 5);
    ck_assert_int_eq(workload.queries[0].time_ms_max, 7);
    ck_assert_str_eq(workload.queries[1].name, "other");
    ck_assert_ptr_nonnull(strstr(workload.graph, "/g/manifest.yaml"));
    rn_arrivals cursor = {0};
    rn_arrival arrival;
    for (int64_t i = 1; i <= 100; i++) {
        ck_assert(rn_arrivals_next(&workload, &cursor, &arrival));
        ck_assert_int_eq(arrival.at_us, i * 125000);
    }
    rn_workload_close(&workload);
    close_all();
}
END_TEST

typedef struct mistake {
    const char *text, *expected;
} mistake;

static void expect_mistakes(const mistake *mistakes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rn_workload workload;
        ration_error error;
        ration_status status = parse(mistakes[i].text, &workload, &error);
        ck_assert_msg(status != RATION_OK, "mistake %zu passed", i);
        ck_assert_int_eq(status, error.status);
        ck_assert_msg(strstr(support_error(&error), mistakes[i].expected) != NULL,
                      "mistake %zu: %s", i, support_error(&error));
    }
}

START_TEST(test_workload__says_what_is_wrong_and_where)
{
    static const mistake mistakes[] = {
        {"plans: plans.yaml\n" POISSON, "w.yaml:1:1: error: "},
        {HEAD POISSON "queries: []\n",
         "w.yaml:4:10: error: a workload has 1 to 256 queries, not 0"},
        {HEAD POISSON "queries: [{ plan: nombers }]\n", "w.yaml:4:19: error: no plan 'nombers'"},
        {HEAD POISSON "queries: [{ plan: numbers }, { plan: numbers }]\n",
         "w.yaml:4:30: error: two queries are called 'numbers'"},
        {HEAD POISSON "queries: [{ plan: numbers, wieght: 2 }]\n", "did you mean 'weight'"},
        {HEAD "arrivals: { process: poison, rate: 1 }\nqueries: [{ plan: numbers }]\n",
         "did you mean 'poisson'"},
        {HEAD "arrivals: { process: poisson, rate: .nan }\nqueries: [{ plan: numbers }]\n",
         "w.yaml:3:37: error: "},
        {HEAD "arrivals: { process: poisson, rate: 0 }\nqueries: [{ plan: numbers }]\n",
         "w.yaml:3:37: error: "},
        {HEAD POISSON "duration: 5\nqueries: [{ plan: numbers }]\n",
         "w.yaml:4:11: error: '5' is no duration above 0"},
        {HEAD POISSON "queries: [{ plan: numbers, parameters: { n: { min: 5, max: 4 } } }]\n",
         "w.yaml:4:60: error: "},
        {HEAD POISSON "queries: [{ plan: numbers, parameters: { n: { values: [] } } }]\n",
         "an empty list of values"},
        {HEAD POISSON "queries: [{ plan: numbers, parameters: { n: { trace: parameter } } }]\n",
         "come from no trace"},
        {"plans: nowhere.yaml\n" POISSON "queries: [{ plan: numbers }]\n", "nowhere.yaml"},
        {HEAD "arrivals: { trace: missing.csv }\nqueries: [{ plan: numbers }]\n", "missing.csv"},
    };
    open_all();
    expect_mistakes(mistakes, RN_COUNT(mistakes));
    close_all();
}
END_TEST

START_TEST(test_workload__takes_one_way_to_draw_and_nothing_without_effect)
{
    static const mistake mistakes[] = {
        {HEAD POISSON "queries: [{ plan: numbers, parameters: { n: { values: [1, 'x'] } } }]\n",
         "w.yaml:4:59: error: 'x' is string, the values before are int64"},
        {HEAD POISSON "queries: [{ plan: numbers, parameters: { n: { values: [1, 1.5] } } }]\n",
         "w.yaml:4:59: error: '1.5' is double, the values before are int64"},
        {HEAD POISSON "queries: [{ plan: numbers, parameters: { n: { values: [1], min: 3 } } }]\n",
         "w.yaml:4:60: error: two ways to draw parameter 'n'"},
        {HEAD POISSON
         "queries: [{ plan: numbers, parameters: { n: { min: 1, max: 2, node: P } } }]\n",
         "w.yaml:4:63: error: two ways to draw parameter 'n'"},
        {HEAD POISSON "queries: [{ plan: numbers, parameters: { n: {} } }]\n",
         "w.yaml:4:45: error: no way to draw parameter 'n'"},
        {HEAD POISSON "queries: [{ plan: numbers, parameters: { n: { max: 2 } } }]\n", "min"},
        {HEAD "arrivals: { process: poisson, rate: 1, trace: t.csv }\n"
              "queries: [{ plan: numbers }]\n",
         "w.yaml:3:40: error: 'trace' belongs to a trace"},
        {HEAD "arrivals: { rate: 1, query: q }\nqueries: [{ plan: numbers }]\n",
         "w.yaml:3:22: error: 'query' belongs to a trace"},
        {HEAD "arrivals: { rate: 1, trace: t.csv }\nqueries: [{ plan: numbers }]\n",
         "w.yaml:3:13: error: a trace has no rate"},
        {HEAD "arrivals: { trace: t.csv, parameter: p }\n"
              "queries: [{ plan: numbers, parameters: { n: { trace: column } } }]\n",
         "w.yaml:4:54: error: "},
        {HEAD "arrivals: { trace: t.csv }\n"
              "queries: [{ plan: numbers, parameters: { n: { trace: parameter } } }]\n",
         "w.yaml:4:54: error: the trace has no parameter for 'n'"},
    };
    open_all();
    expect_mistakes(mistakes, RN_COUNT(mistakes));
    close_all();
}
END_TEST

START_TEST(test_workload__knows_every_query_by_one_clean_name)
{
    static const mistake mistakes[] = {
        {"plans: [plans.yaml, more.yaml]\ncount: 1\n" POISSON "queries: [{ plan: numbers }]\n",
         "w.yaml:4:19: error: plan 'numbers' is in two files, "},
        {"plans: [plans.yaml, more.yaml]\ncount: 1\n" POISSON "queries: [{ plan: numbers }]\n",
         "plans.yaml and "},
        {"plans: [plans.yaml, more.yaml]\ncount: 1\n" POISSON "queries: [{ plan: numbers }]\n",
         "more.yaml (rename one of them)"},
        {HEAD POISSON "queries: [{ plan: numbers, name: \"a\\nb\" }]\n",
         "w.yaml:4:34: error: byte 2 of the name is a control character"},
        {HEAD POISSON "queries: [{ plan: numbers, name: \"\\e[31m\" }]\n",
         "byte 1 of the name is a control character"},
        {HEAD POISSON "queries: [{ plan: numbers, name: \"a\\x7f\" }]\n",
         "byte 2 of the name is a control character"},
        {HEAD POISSON "queries: [{ plan: numbers, name: \"abc\\x9b\" }]\n",
         "byte 4 of the name is a control character"},
        {HEAD POISSON "queries: [{ plan: numbers, name: '' }]\n",
         "w.yaml:4:34: error: an empty name"},
        {"plans: controls.yaml\ncount: 1\n" POISSON "queries: [{ plan: \"a\\tb\" }]\n",
         "w.yaml:4:19: error: byte 2 of the name is a control character"},
    };
    static const char controls[] = "plans:\n  \"a\\tb\":\n    pipeline:\n      - range: { rows: 1, "
                                   "columns: { i: sequence } }\n";
    open_all();
    support_write(folder, "more.yaml", plans_text, strlen(plans_text));
    support_write(folder, "controls.yaml", controls, strlen(controls));
    expect_mistakes(mistakes, RN_COUNT(mistakes));
    close_all();
}
END_TEST

START_TEST(test_workload__same_seed_same_arrivals_and_parameters)
{
    open_all();
    rn_workload workload;
    ration_error error;
    support_ok(parse(HEAD POISSON
                     "seed: 5\nqueries:\n"
                     "  - { plan: numbers, weight: 9, parameters: { n: { min: 1, max: 1000 } } }\n"
                     "  - { plan: twice }\n",
                     &workload, &error),
               &error);
    int64_t first_hash = 0;
    for (int round = 0; round < 3; round++) {
        workload.seed = round == 2 ? 6 : 5;
        rn_arrivals cursor = {0};
        rn_arrival arrival;
        int64_t hash = 0, seen[2] = {0}, last = 0, count = 0;
        while (rn_arrivals_next(&workload, &cursor, &arrival)) {
            rn_parameter values[1];
            support_ok(rn_workload_parameters(&workload, &arrival, NULL, values, &error), &error);
            ck_assert_int_ge(arrival.at_us, last);
            last = arrival.at_us;
            seen[arrival.query] += 1;
            count += 1;
            if (arrival.query == 0) {
                ck_assert_int_ge(values[0].value.as.integer, 1);
                ck_assert_int_le(values[0].value.as.integer, 1000);
                hash = hash * 31 + values[0].value.as.integer;
            }
            hash = hash * 31 + arrival.at_us;
            hash &= INT64_C(0xffffffffff);
        }
        ck_assert_int_eq(count, 1000);
        ck_assert_int_gt(seen[0], 800);
        ck_assert_int_gt(seen[1], 50);
        ck_assert_int_gt(last, 8000000); /* 1000 arrivals at 100/s take about 10 s */
        ck_assert_int_lt(last, 12000000);
        if (round == 0) {
            first_hash = hash;
        }
        ck_assert((hash == first_hash) == (round < 2));
    }
    rn_workload_close(&workload);
    close_all();
}
END_TEST

START_TEST(test_replay__runs_a_query_and_explains_what_failed)
{
    open_all();
    rn_workload workload;
    ration_error error;
    support_ok(
        parse(HEAD POISSON
              "queries:\n  - { plan: numbers, parameters: { n: 3000 } }\n"
              "  - { plan: numbers, name: few, rows_max: 10, parameters: { n: 3000 } }\n"
              "  - { plan: numbers, name: small, limit_bytes: 4KiB, parameters: { n: 3000 } }\n",
              &workload, &error),
        &error);
    rn_replay replay = {&workload, NULL, governor, rn_operator_classes()};
    support_ok(rn_replay_check(&replay, &error), &error);
    rn_replay_figures figures;
    ck_assert_int_eq(rn_replay_figures_open(&workload, &figures), RATION_OK);
    static const ration_status expected[] = {RATION_OK, RATION_ROW_BUDGET,
                                             RATION_MINIMUM_ABOVE_LIMIT};
    rn_outcome outcome;
    uint64_t checksum = 0;
    for (uint32_t i = 0; i < 3; i++) {
        rn_arrival arrival = {.query = i};
        rn_replay_run(&replay, &arrival, NULL, NULL, &outcome);
        ck_assert_int_eq(outcome.status, expected[i]);
        ck_assert(outcome.refused == (i == 2));
        ck_assert_int_eq(outcome.rows, i == 0 ? 3000 : outcome.rows);
        rn_replay_figures_add(&figures, &arrival, &outcome, 10, 1000);
        checksum = i == 0 ? outcome.checksum : checksum;
    }
    rn_arrival again = {.query = 0};
    rn_replay_run(&replay, &again, NULL, NULL, &outcome);
    ck_assert(outcome.checksum == checksum);
    rn_report report = {
        .workload = &workload, .figures = &figures, .limit_bytes = 64 << 20, .audit_ok = true};
    ck_assert_int_eq(rn_report_arrived(&report), 3);
    ck_assert_int_eq(rn_report_completed(&report), 1);
    ck_assert_int_eq(rn_report_refused(&report), 1);
    ck_assert_int_eq(rn_report_failed(&report), 1);
    char text[8192];
    rn_text over = rn_text_over(text, sizeof text);
    rn_report_put_text(&report, &over);
    ck_assert_ptr_nonnull(strstr(text, "not completed  ROW_BUDGET 1, MINIMUM_ABOVE_LIMIT 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "memory limit exceeded: "));
    /* Two of the three never completed: no p99 is good enough. */
    static const struct {
        const char *text;
        bool missed;
    } thresholds[] = {{"refused>33%", true}, {"refused>34%", false}, {"failed>0", true},
                      {"failed>1", false},   {"p99>0.5ms", true},    {"p99>2ms", true},
                      {"peak>0", false},     {"lag_p99>9us", true}};
    for (size_t i = 0; i < RN_COUNT(thresholds); i++) {
        rn_threshold threshold;
        support_ok(rn_threshold_parse(thresholds[i].text, &threshold, &error), &error);
        over = rn_text_over(text, sizeof text);
        ck_assert_msg(rn_threshold_missed(&threshold, &report, &over) == thresholds[i].missed, "%s",
                      text);
    }
    static const char *const bad[] = {"",      "refused",  "refused>", "refused>-1",
                                      "p99>5", "speed>1s", "peak>x",   "refused>nan%"};
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        rn_threshold threshold;
        ck_assert_int_eq(rn_threshold_parse(bad[i], &threshold, &error), RATION_INVALID_ARGUMENT);
    }
    rn_replay_figures_close(&figures);
    rn_workload_close(&workload);
    close_all();
}
END_TEST

START_TEST(test_workload__every_failed_allocation_is_a_clean_status)
{
    open_all();
    for (int forever = 0; forever < 2; forever++) {
        bool passed = false;
        int64_t before = rn_heap_bytes();
        for (int64_t n = 1; !passed && n < 300; n++) {
            rn_workload workload;
            ration_error error;
            rn_heap_fail_after(n, forever != 0);
            ration_status status =
                parse(HEAD POISSON
                      "queries: [{ plan: numbers, parameters: { n: { values: ['b', 'a'] } } }]\n",
                      &workload, &error);
            rn_heap_fail_after(0, false);
            passed = status == RATION_OK;
            if (passed) {
                rn_workload_close(&workload);
            }
            ck_assert_int_eq(rn_heap_bytes(), before);
        }
        ck_assert(passed);
    }
    close_all();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_workload__reads_everything,
        test_workload__says_what_is_wrong_and_where,
        test_workload__takes_one_way_to_draw_and_nothing_without_effect,
        test_workload__knows_every_query_by_one_clean_name,
        test_workload__same_seed_same_arrivals_and_parameters,
        test_replay__runs_a_query_and_explains_what_failed,
        test_workload__every_failed_allocation_is_a_clean_status,
    };
    return support_run("workload", tests, RN_COUNT(tests));
}

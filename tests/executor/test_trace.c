/* SPDX-License-Identifier: Apache-2.0
 *
 * Recorded arrivals: order, types, what they are charged to, faults. */
#include "tests/data.h"
#include "tests/executor/workload_world.h"

START_TEST(test_trace__is_replayed_in_order_of_time)
{
    static const char trace[] =
        "when,what,arg\n5000,twice,1\n1000,numbers,40\n2000,unknown,1\n3000,numbers,50\n";
    open_all();
    support_write(folder, "trace.csv", trace, strlen(trace));
    rn_workload workload;
    ration_error error;
    support_ok(
        parse(
            HEAD
            "arrivals: { trace: trace.csv, time: when, query: what, parameter: arg, speed: 2 "
            "}\nqueries:\n"
            "  - { plan: numbers, parameters: { n: { trace: parameter } } }\n  - { plan: twice }\n",
            &workload, &error),
        &error);
    static const struct {
        int64_t at_us, parameter;
        uint32_t query;
    } expected[] = {{0, 40, 0}, {1000, 50, 0}, {2000, 1, 1}};
    rn_arrivals cursor = {0};
    rn_arrival arrival;
    for (size_t i = 0; i < RN_COUNT(expected); i++) {
        rn_parameter values[1];
        ck_assert(rn_arrivals_next(&workload, &cursor, &arrival));
        ck_assert_int_eq(arrival.at_us, expected[i].at_us);
        ck_assert_uint_eq(arrival.query, expected[i].query);
        support_ok(rn_workload_parameters(&workload, &arrival, NULL, values, &error), &error);
        ck_assert(arrival.query == 1 || values[0].value.as.integer == expected[i].parameter);
    }
    ck_assert(!rn_arrivals_next(&workload, &cursor, &arrival));
    rn_workload_close(&workload);
    static const char *const bad[] = {"when,what,arg\nsoon,twice,1\n", "when,what,arg\n1,twice\n",
                                      "when,who,arg\n1,twice,1\n", "when,what,arg\n",
                                      "when,what,arg\n1,unknown,1\n"};
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        support_write(folder, "trace.csv", bad[i], strlen(bad[i]));
        ck_assert_int_eq(parse(HEAD "arrivals: { trace: trace.csv, time: when, query: what "
                                    "}\nqueries: [{ plan: twice }]\n",
                               &workload, &error),
                         RATION_DATA);
        ck_assert_ptr_nonnull(strstr(support_error(&error), "trace.csv:"));
    }
    close_all();
}
END_TEST

#define TRACE                                                                                      \
    HEAD "arrivals: { trace: trace.csv, time: when }\nqueries: [{ plan: numbers }, { plan: twice " \
         "}]\n"

/* A trace of `lines` arrivals, at the times `at_us` gives them. */
static void write_trace(int64_t lines, int64_t (*at_us)(int64_t line), bool texts)
{
    char path[300];
    snprintf(path, sizeof path, "%s/trace.csv", folder);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    fputs("when,what,arg\n", file);
    for (int64_t i = 0; i < lines; i++) {
        fprintf(file, "%lld,numbers,%s%lld\n", (long long)at_us(i),
                texts ? "a text of more than twelve bytes " : "", (long long)i);
    }
    ck_assert_int_eq(fclose(file), 0);
}

static int64_t rising(int64_t line)
{
    return line;
}

/* Many lines share a time, in no order. */
static int64_t scattered(int64_t line)
{
    return (int64_t)(rn_hash_word(7, (uint64_t)line) % 50);
}

START_TEST(test_trace__is_charged_to_its_slot)
{
    open_with(4 << 20);
    rn_workload workload;
    ration_error error;
    int64_t heap_bytes = rn_heap_bytes();
    write_trace(20000, rising, false);
    support_ok(parse(TRACE, &workload, &error), &error);
    ck_assert_int_eq(workload.recorded_count, 20000);
    ck_assert_int_ge(rn_slot_used(slot), 20000 * (int64_t)sizeof(rn_recorded));
    ck_assert_int_le(rn_slot_used(slot), 20000 * 32 + (64 << 10));
    ck_assert_int_lt(rn_heap_bytes() - heap_bytes, 64 << 10);
    rn_workload_close(&workload);
    ck_assert_int_eq(rn_slot_used(slot), 0);
    write_trace(200000, rising, false);
    ck_assert_int_eq(
        parse("plans: plans.yaml\ncount: 3\narrivals: { trace: trace.csv, time: when }\n"
              "queries: [{ plan: twice }]\n",
              &workload, &error),
        RATION_GLOBAL_LIMIT);
    ck_assert_ptr_nonnull(strstr(support_error(&error), "trace.csv: error: no room for the trace"));
    ck_assert_ptr_nonnull(strstr(support_error(&error), "> 4194304 bytes"));
    ck_assert_int_eq(rn_slot_used(slot), 0);
    /* Texts are charged too. */
    write_trace(60000, rising, true);
    ck_assert_int_eq(parse(HEAD "arrivals: { trace: trace.csv, time: when, parameter: arg }\n"
                                "queries: [{ plan: twice }]\n",
                           &workload, &error),
                     RATION_GLOBAL_LIMIT);
    close_all();
}
END_TEST

START_TEST(test_trace__of_too_many_lines_is_refused)
{
    open_with(INT64_C(1) << 30);
    char path[300];
    snprintf(path, sizeof path, "%s/trace.csv", folder);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    fputs("when\n", file);
    for (int64_t i = 0; i <= RN_WORKLOAD_ARRIVALS_MAX; i++) {
        fputs("1\n", file);
    }
    ck_assert_int_eq(fclose(file), 0);
    rn_workload workload;
    ration_error error;
    ck_assert_int_eq(parse(TRACE, &workload, &error), RATION_DATA);
    ck_assert_msg(strstr(support_error(&error),
                         "trace.csv:10000002:1: error: more than 10000000 arrivals") != NULL,
                  "%s", support_error(&error));
    close_all();
}
END_TEST

START_TEST(test_trace__numbers_arrivals_of_one_time_as_in_the_file)
{
    enum { LINES = 1000 };
    open_all();
    write_trace(LINES, scattered, true);
    rn_workload workload;
    ration_error error;
    support_ok(parse(HEAD "arrivals: { trace: trace.csv, time: when, parameter: arg }\n"
                          "queries: [{ plan: twice }]\n",
                     &workload, &error),
               &error);
    ck_assert_int_eq(workload.recorded_count, LINES);
    int64_t last_us = -1, last_line = -1, sum = 0;
    for (int64_t i = 0; i < LINES; i++) {
        const rn_recorded *recorded = &workload.recorded[i];
        char text[64];
        long long line;
        snprintf(text, sizeof text, "%.*s", (int)recorded->parameter.length,
                 rn_string_bytes(&recorded->parameter));
        ck_assert_int_eq(sscanf(text, "a text of more than twelve bytes %lld", &line), 1);
        ck_assert_int_eq(recorded->at_us, scattered(line));
        ck_assert(recorded->at_us > last_us || (recorded->at_us == last_us && line > last_line));
        last_us = recorded->at_us;
        last_line = line;
        sum += line;
    }
    ck_assert_int_eq(sum, LINES * (LINES - 1) / 2);
    rn_workload_close(&workload);
    close_all();
}
END_TEST

START_TEST(test_trace__count_can_be_raised_after_open)
{
    open_all();
    write_trace(10, rising, false);
    rn_workload workload;
    ration_error error;
    support_ok(parse("plans: plans.yaml\ncount: 2\narrivals: { trace: trace.csv, time: when }\n"
                     "queries: [{ plan: twice }]\n",
                     &workload, &error),
               &error);
    for (int64_t count = 2; count <= 12; count += 5) {
        rn_arrivals cursor = {0};
        rn_arrival arrival;
        int64_t seen = 0;
        workload.count = count;
        while (rn_arrivals_next(&workload, &cursor, &arrival)) {
            seen += 1;
        }
        ck_assert_int_eq(seen, RN_MIN(count, 10));
    }
    rn_workload_close(&workload);
    close_all();
}
END_TEST

START_TEST(test_trace__parameters_take_the_type_of_the_plan)
{
    static const char plans[] =
        "parameters: { s: 'x' }\nplans:\n"
        "  all:\n"
        "    parameters: { i: 1, d: 1.5, b: true, day: \"date '2020-01-01'\", "
        "at: \"timestamp '2020-01-01T00:00:00'\" }\n"
        "    pipeline:\n      - range: { rows: 1, columns: { i: sequence } }\n";
    static const struct {
        const char *name, *field;
        rn_kind kind;
        int64_t integer; /* of the kinds that are one */
    } cases[] = {
        {"s", "007", RN_STRING, 0},         {"s", "\"007\"", RN_STRING, 0},
        {"i", "007", RN_INT64, 7},          {"i", "\"7\"", RN_INT64, 7},
        {"d", "7", RN_DOUBLE, 0},           {"b", "true", RN_BOOL, 0},
        {"day", "1970-01-08", RN_DATE, 0},  {"at", "1970-01-01T00:00:01", RN_TIMESTAMP, 1000000},
        {"i", "x7", RN_KINDS, 0},           {"i", "", RN_KINDS, 0},
        {"d", "7,", RN_KINDS, 0},           {"b", "yes", RN_KINDS, 0},
        {"day", "1970-13-08", RN_KINDS, 0}, {"at", "7", RN_KINDS, 0},
    };
    open_all();
    support_write(folder, "types.yaml", plans, strlen(plans));
    for (size_t i = 0; i < RN_COUNT(cases); i++) {
        char text[600];
        ration_error error;
        rn_workload workload;
        snprintf(text, sizeof text, "when,arg\n5,%s\n", cases[i].field);
        support_write(folder, "trace.csv", text, strlen(text));
        snprintf(text, sizeof text,
                 "plans: types.yaml\narrivals: { trace: trace.csv, time: when, parameter: arg }\n"
                 "queries: [{ plan: all, parameters: { %s: { trace: parameter } } }]\n",
                 cases[i].name);
        ration_status status = parse(text, &workload, &error);
        if (cases[i].kind == RN_KINDS) {
            ck_assert_int_eq(status, RATION_DATA);
            ck_assert_msg(strstr(support_error(&error), "trace.csv:2:") != NULL, "%s",
                          support_error(&error));
            continue;
        }
        support_ok(status, &error);
        rn_arrivals cursor = {0};
        rn_arrival arrival;
        rn_parameter value;
        ck_assert(rn_arrivals_next(&workload, &cursor, &arrival));
        support_ok(rn_workload_parameters(&workload, &arrival, NULL, &value, &error), &error);
        ck_assert_msg(value.value.type.kind == cases[i].kind, "case %zu", i);
        rn_string expected = rn_string_over("007", 3);
        ck_assert(cases[i].kind != RN_STRING || rn_string_equal(&value.value.as.string, &expected));
        ck_assert(cases[i].integer == 0 || value.value.as.integer == cases[i].integer);
        ck_assert(cases[i].kind != RN_DATE || value.value.as.date == 7);
        ck_assert(cases[i].kind != RN_DOUBLE || value.value.as.real == 7.0);
        ck_assert(cases[i].kind != RN_BOOL || value.value.as.boolean == 1);
        rn_replay replay = {&workload, NULL, governor, rn_operator_classes()};
        support_ok(rn_replay_check(&replay, &error), &error);
        rn_workload_close(&workload);
    }
    close_all();
}
END_TEST

START_TEST(test_trace__of_a_social_network_is_read)
{
    static const char *const templates[] = {"cotag",           "fof_likes_distinct",
                                            "fof_posts_sort",  "fof_tag_group",
                                            "friendposts_top", "khop2",
                                            "khop3",           "lsqb4",
                                            "lsqb5",           "msg_hash",
                                            "pairs_distinct",  "pairs_sort"};
    const char *path = data_path("traces/trace_pg_snb.csv");
    if (path == NULL) {
        return;
    }
    open_all();
    char text[4000];
    rn_text over = rn_text_over(text, sizeof text);
    rn_text_format(&over,
                   "plans: plans.yaml\narrivals: { trace: %s, query: template, parameter: param, "
                   "speed: 10 }\nqueries:\n",
                   path);
    for (size_t i = 0; i < RN_COUNT(templates); i++) {
        rn_text_format(&over,
                       "  - { name: %s, plan: named, parameters: { n: { trace: parameter } } }\n",
                       templates[i]);
    }
    rn_workload workload;
    ration_error error;
    support_ok(parse(text, &workload, &error), &error);
    ck_assert_int_eq(workload.recorded_count, 5508);
    rn_arrivals cursor = {0};
    rn_arrival arrival;
    int64_t count = 0, last_us = 0, seen[RN_COUNT(templates)] = {0};
    while (rn_arrivals_next(&workload, &cursor, &arrival)) {
        ck_assert_int_ge(arrival.at_us, last_us);
        last_us = arrival.at_us;
        seen[arrival.query] += 1;
        count += 1;
    }
    ck_assert_int_eq(count, 5508);
    ck_assert_int_eq(seen[0], 264);
    ck_assert_int_eq(seen[7], 500);
    ck_assert_int_eq(last_us, (INT64_C(3599168000) - 20000) / 10);
    rn_workload_close(&workload);
    close_all();
}
END_TEST

/* Opens a workload with a trace that has to be sorted, under faults of one kind. */
static void fail_trace(void (*fail_after)(int64_t n, bool forever))
{
    for (int forever = 0; forever < 2; forever++) {
        bool passed = false;
        int64_t before = rn_heap_bytes();
        for (int64_t n = 1; !passed && n < 300; n++) {
            rn_workload workload;
            ration_error error = {.status = RATION_OK};
            fail_after(n, forever != 0);
            ration_status status =
                parse(HEAD "arrivals: { trace: trace.csv, time: when, parameter: arg }\n"
                           "queries: [{ plan: twice }]\n",
                      &workload, &error);
            fail_after(0, false);
            passed = status == RATION_OK;
            if (passed) {
                ck_assert_int_eq(workload.recorded_count, 3000);
                rn_workload_close(&workload);
            } else {
                ck_assert_int_eq(status, RATION_NO_MEMORY);
                ck_assert_int_eq(error.status, RATION_NO_MEMORY);
            }
            ck_assert_int_eq(rn_slot_used(slot), 0);
            ck_assert_int_eq(rn_heap_bytes(), before);
        }
        ck_assert(passed);
    }
}

static void fail_heap(int64_t n, bool forever)
{
    rn_heap_fail_after(n, forever);
}

static void fail_blocks(int64_t n, bool forever)
{
    rn_blocks *blocks = rn_pool_blocks(ration_governor_data(governor));
    if (n > 0) {
        rn_blocks_purge(blocks); /* so that blocks have to be mapped again */
    }
    rn_blocks_fail_after(n, forever);
}

START_TEST(test_trace__comes_through_faults_and_limits)
{
    open_all();
    write_trace(3000, scattered, true);
    fail_trace(fail_heap);
    fail_trace(fail_blocks);
    close_all();
    bool passed = false;
    for (int64_t limit_bytes = 64 << 10; !passed; limit_bytes += 16 << 10) {
        open_with(limit_bytes);
        write_trace(3000, scattered, true);
        rn_workload workload;
        ration_error error;
        ration_status status =
            parse(HEAD "arrivals: { trace: trace.csv, time: when, parameter: arg }\n"
                       "queries: [{ plan: twice }]\n",
                  &workload, &error);
        passed = status == RATION_OK;
        if (passed) {
            rn_workload_close(&workload);
        } else {
            ck_assert_int_eq(status, RATION_GLOBAL_LIMIT);
            ck_assert_ptr_nonnull(strstr(support_error(&error), "no room for the trace"));
        }
        close_all();
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_trace__is_replayed_in_order_of_time,
        test_trace__is_charged_to_its_slot,
        test_trace__of_too_many_lines_is_refused,
        test_trace__numbers_arrivals_of_one_time_as_in_the_file,
        test_trace__count_can_be_raised_after_open,
        test_trace__parameters_take_the_type_of_the_plan,
        test_trace__of_a_social_network_is_read,
        test_trace__comes_through_faults_and_limits,
    };
    return support_run("trace", tests, RN_COUNT(tests));
}

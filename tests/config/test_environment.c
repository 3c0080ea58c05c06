/* SPDX-License-Identifier: Apache-2.0
 *
 * config/environment.c: RATION_* over limits. */
#include "base/heap.h"
#include "config/limits.h"
#include "tests/config/same_limits.h"
#include "tests/support.h"

static ration_limits limits;
static ration_error error;

static ration_status override(const char *const *variables, uint64_t *out_touched)
{
    return rn_limits_override((char *const *)(uintptr_t)variables, &limits, out_touched, &error);
}

static void load(const char *yaml)
{
    support_ok(rn_limits_parse("m.yaml", yaml, strlen(yaml), &limits, &error), &error);
}

/* Every key takes by its variable what it takes in a file. */
START_TEST(test_environment__sets_every_key)
{
    static const char *const values[] = {
        [RN_LIMITS_BYTES] = "40KiB",  [RN_LIMITS_MIB] = "3",       [RN_LIMITS_RATIO] = "37.5%",
        [RN_LIMITS_COUNT] = "17",     [RN_LIMITS_MS] = "123",      [RN_LIMITS_BOOL] = "true",
        [RN_LIMITS_CHOICE] = "total", [RN_LIMITS_DIRECTORY] = "/x"};
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    for (size_t i = 0; i < count; i++) {
        ration_limits wanted;
        char variable[RN_LIMITS_VARIABLE_BYTES], line[128], yaml[128];
        bool off = keys[i].type == RN_LIMITS_BOOL && keys[i].value != 0;
        const char *value = off ? "false" : values[keys[i].type];
        snprintf(yaml, sizeof(yaml), "%s: %s\n", keys[i].name, value);
        load(yaml);
        wanted = limits;
        snprintf(line, sizeof(line), "%s=%s", rn_limits_variable(&keys[i], variable), value);
        ration_limits_default(&limits);
        uint64_t touched = 0;
        support_ok(override((const char *const[]){"HOME=/", line, NULL}, &touched), &error);
        ck_assert_uint_eq(touched, UINT64_C(1) << i);
        same_limits(&limits, &wanted);
        ck_assert_msg(!rn_limits_is_default(&limits, &keys[i]), "%s", line);
    }
}
END_TEST

START_TEST(test_environment__reads_that_of_the_process)
{
    ck_assert_int_eq(setenv("RATION_LIMIT_BYTES", "4GiB", 1), 0);
    ck_assert_int_eq(setenv("RATION_ENABLE_SYSTEM_MONITOR", "false", 1), 0);
    ration_limits_default(&limits);
    support_ok(ration_limits_override(&limits, &error), &error);
    ck_assert_int_eq(limits.limit_bytes, INT64_C(4) << 30);
    ck_assert(!limits.enable_system_monitor);
    ck_assert_int_eq(setenv("RATION_LIMIT_BYTES", "4", 1), 0);
    ck_assert_int_eq(setenv("RATION_LIMIT_RATIO", "much", 1), 0);
    ck_assert_int_eq(ration_limits_override(&limits, NULL), RATION_CONFIG);
    ck_assert_int_eq(limits.limit_bytes, INT64_C(4) << 30); /* all or nothing */
    ck_assert_int_eq(unsetenv("RATION_LIMIT_BYTES") + unsetenv("RATION_LIMIT_RATIO") +
                         unsetenv("RATION_ENABLE_SYSTEM_MONITOR"),
                     0);
}
END_TEST

/* What is somebody else's, empty, or there twice. */
START_TEST(test_environment__leaves_others_alone)
{
    static const char *const strange[] = {"RATION",
                                          "RATION=x",
                                          "RATION_",
                                          "RATION_=x",
                                          "RATION_ROOT=/",
                                          "RATION_SEED=1",
                                          "RATION_SEEDS=2",
                                          "RATION_PLANS=3",
                                          "RATION_DATA=/d",
                                          "RATION_STRESS=1",
                                          "RATION_HOST=a",
                                          "ration_limit_bytes=1",
                                          "LIMIT_BYTES=1",
                                          "RATION_COLOR=on",
                                          "=",
                                          "",
                                          "RATION_LIMIT_BYTES",
                                          NULL};
    char long_name[300];
    memset(long_name, 'X', sizeof(long_name));
    memcpy(long_name, "RATION_LIMIT_BYTES", 18);
    memcpy(long_name + sizeof(long_name) - 3, "=1", 3);
    ration_limits defaults;
    ration_limits_default(&defaults);
    limits = defaults;
    uint64_t touched = 1;
    support_ok(override(strange, &touched), &error);
    support_ok(override((const char *const[]){long_name, NULL}, NULL), &error);
    support_ok(override((const char *const[]){"RATION_LIMIT_BYTES=", NULL}, NULL), &error);
    support_ok(override(NULL, NULL), &error);
    ck_assert_uint_eq(touched, 0);
    same_limits(&limits, &defaults);
    const char *const twice[] = {"RATION_RETAIN_MS=1", "RATION_RETAIN_MS=2", NULL};
    support_ok(override(twice, NULL), &error);
    ck_assert_int_eq(limits.retain_ms, 1);
}
END_TEST

#define GROUP "groups: { web: { limit_bytes: 2GiB, spill_bytes_max: 2GiB } }\n"

static const struct {
    const char *yaml, *variable, *error;
} refused[] = {
    {"", "RATION_LIMIT_BYTES=1.5B",
     "RATION_LIMIT_BYTES: expected a whole amount of bytes from 0 B to 1 EiB, found '1.5B' (write "
     "it as 512MiB, 1.5GiB or plain bytes)"},
    {"", "RATION_LIMIT_BYTES=4G",
     "RATION_LIMIT_BYTES: expected a whole amount of bytes from 0 B to 1 EiB, found '4G' (did you "
     "mean '4GiB'?)"},
    {"", "RATION_LIMIT_BYTES=~",
     "RATION_LIMIT_BYTES: expected a whole amount of bytes from 0 B to 1 EiB, found nothing (give "
     "it a value, or leave the key out)"},
    {"", "RATION_LIMIT_RATIO=80",
     "RATION_LIMIT_RATIO: expected a ratio from 0.000001 to 1, found '80' (did you mean '80%'?)"},
    {"", "RATION_LIMIT_BASE=avail",
     "RATION_LIMIT_BASE: expected available or total, found 'avail' (What limit_ratio is a part "
     "of. available: what is free, with what queries hold of it; it follows. total: the machine's "
     "memory, or the smallest limit set for the process.)"},
    {"", "RATION_PREFAULT=1",
     "RATION_PREFAULT: expected true or false, found '1' (write true, without quotes)"},
    {"", "RATION_MONITOR_INTERVAL_MS=1s",
     "RATION_MONITOR_INTERVAL_MS: expected a whole number from 10 to 10000, found '1s' (write "
     "milliseconds, as digits alone)"},
    {"", "RATION_SPILL_DIRECTORY=spill",
     "RATION_SPILL_DIRECTORY: 'spill': it does not start with '/' (write an absolute path without "
     "\"..\")"},
    {"", "RATION_SPILL_DIRECTORY=/\xFF",
     "RATION_SPILL_DIRECTORY is not UTF-8 text (Where rows are written out that do not fit; the "
     "files have no names, and nothing is left of them however the process ends.)"},
    {"", "RATION_LIMT_BYTES=1",
     "unknown variable 'RATION_LIMT_BYTES' (did you mean 'RATION_LIMIT_BYTES'?)"},
    {"", "RATION_limit_bytes=1",
     "unknown variable 'RATION_limit_bytes' (did you mean 'RATION_LIMIT_BYTES'?)"},
    {"", "RATION_GROUPS=a",
     "RATION_GROUPS: groups cannot be set by a variable (write them into memory.yaml)"},
    {"query_limit_bytes: 2GiB\n", "RATION_LIMIT_BYTES=1GiB",
     "RATION_LIMIT_BYTES: query_limit_bytes is 2GiB, above limit_bytes (1GiB), so it can never be "
     "reached (lower it, raise limit_bytes, or write 0)"},
    {"limit_bytes: 1GiB\n", "RATION_QUERY_LIMIT_BYTES=2GiB",
     "RATION_QUERY_LIMIT_BYTES: query_limit_bytes is 2GiB, above limit_bytes (1GiB), so it can "
     "never be reached (lower it, raise limit_bytes, or write 0)"},
    {"limit_bytes: 1GiB\n", "RATION_LIMIT_CEILING_BYTES=512MiB",
     "RATION_LIMIT_CEILING_BYTES: limit_bytes is 1GiB, above limit_ceiling_bytes (512MiB), so it "
     "can never be reached (lower it, raise limit_ceiling_bytes, or write 0)"},
    {GROUP, "RATION_LIMIT_BYTES=1GiB",
     "RATION_LIMIT_BYTES: group 'web': limit_bytes is 2GiB, above the top-level limit_bytes "
     "(1GiB), so it can never be reached (lower it, raise the top-level limit_bytes, or write 0)"},
    {GROUP, "RATION_LIMIT_CEILING_BYTES=1GiB",
     "RATION_LIMIT_CEILING_BYTES: group 'web': limit_bytes is 2GiB, above the top-level "
     "limit_ceiling_bytes (1GiB), so it can never be reached (lower it, raise the top-level "
     "limit_ceiling_bytes, or write 0)"},
    {GROUP, "RATION_SPILL_BYTES_MAX=1GiB",
     "RATION_SPILL_BYTES_MAX: group 'web': spill_bytes_max is 2GiB, above the top-level "
     "spill_bytes_max (1GiB), so it can never be reached (lower it, raise the top-level "
     "spill_bytes_max, or write 0)"},
};

START_TEST(test_environment__refuses_all_or_nothing)
{
    for (size_t i = 0; i < RN_COUNT(refused); i++) {
        char wanted[1400];
        load(refused[i].yaml);
        const ration_limits before = limits;
        uint64_t touched = 77;
        const char *const variables[] = {"RATION_CHECK_INTERVAL=5", refused[i].variable,
                                         "RATION_RETAIN_MS=5", NULL};
        ck_assert_msg(override(variables, &touched) == RATION_CONFIG, "%s", refused[i].variable);
        snprintf(wanted, sizeof(wanted), "environment: error: %s", refused[i].error);
        ck_assert_str_eq(support_error(&error), wanted);
        ck_assert_uint_eq(touched, 77);
        same_limits(&limits, &before);
        ck_assert_int_eq(rn_heap_bytes(), 0);
    }
}
END_TEST

/* Rules between keys are asked where a variable has a part in it: what a program has set below
 * another limit is its own affair. */
START_TEST(test_environment__asks_rules_of_what_it_sets)
{
    ration_limits_default(&limits);
    limits.limit_bytes = 1 << 20;
    limits.query_limit_bytes = 2 << 20;
    support_ok(override((const char *const[]){"RATION_RETAIN_MS=5", NULL}, NULL), &error);
    ck_assert_int_eq(override((const char *const[]){"RATION_LIMIT_BYTES=1MiB", NULL}, NULL),
                     RATION_CONFIG);
    load("groups: { web: { limit_bytes: 1GiB, query_limit_bytes: 1GiB } }\n");
    limits.groups[0].query_limit_bytes *= 2;
    support_ok(override((const char *const[]){"RATION_LIMIT_BYTES=4GiB", NULL}, NULL), &error);
    limits.check_interval = 0; /* what is no limits at all */
    ck_assert_int_eq(override((const char *const[]){NULL}, NULL), RATION_CONFIG);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_environment__sets_every_key,
        test_environment__reads_that_of_the_process,
        test_environment__leaves_others_alone,
        test_environment__refuses_all_or_nothing,
        test_environment__asks_rules_of_what_it_sets,
    };
    return support_run("environment", tests, RN_COUNT(tests));
}

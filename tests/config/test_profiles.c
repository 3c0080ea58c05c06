/* SPDX-License-Identifier: Apache-2.0
 *
 * What `ration init` prints: the files of the profiles and the JSON Schema, against the tables they
 * come from and against what is committed. */
#include "config/limits.h"
#include "tests/config/same_limits.h"
#include "tests/support.h"

static char wanted[131072];
static ration_error error;

static size_t put_yaml(const rn_profile *profile)
{
    rn_text text = rn_text_over(wanted, sizeof(wanted));
    rn_limits_put_yaml(&text, profile);
    ck_assert_uint_lt(text.length, sizeof(wanted));
    return text.length;
}

/* Is the committed file what is written in `wanted`? */
static void same_file(const char *name)
{
    static char found[sizeof(wanted)];
    FILE *file = fopen(support_path(name), "rb");
    ck_assert_ptr_nonnull(file);
    found[fread(found, 1, sizeof(found) - 1, file)] = '\0';
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_str_eq(found, wanted);
}

START_TEST(test_profiles__shipped_file_is_the_default_one)
{
    size_t count;
    ration_limits defaults, limits;
    const rn_profile *profiles = rn_limits_profiles(&count);
    ck_assert_str_eq(profiles[0].name, "default");
    ck_assert_uint_eq(profiles[0].count, 0);
    (void)put_yaml(&profiles[0]);
    same_file("memory.yaml");
    ration_limits_default(&defaults);
    support_ok(ration_limits_load(support_path("memory.yaml"), &limits, &error), &error);
    same_limits(&limits, &defaults);
}
END_TEST

/* Every profile reads back as the defaults with what it sets, each of which differs from them, has
 * a reason, and holds with the others. */
START_TEST(test_profiles__read_back_as_their_values)
{
    size_t count;
    const rn_profile *profiles = rn_limits_profiles(&count);
    ck_assert_uint_eq(count, 4);
    for (size_t i = 0; i < count; i++) {
        ration_limits limits, expected;
        char lines[2048] = "";
        rn_text text = rn_text_over(lines, sizeof(lines));
        for (size_t k = 0; k < profiles[i].count; k++) {
            const rn_profile_value *value = &profiles[i].values[k];
            rn_text_format(&text, "%s: %s\n", value->key, value->value);
            ck_assert_uint_gt(strlen(value->reason), 20);
            ck_assert_int_eq(value->reason[strlen(value->reason) - 1], '.');
        }
        support_ok(rn_limits_parse("v.yaml", lines, text.length, &expected, &error), &error);
        for (size_t k = 0; k < profiles[i].count; k++) {
            const rn_limits_key *key = rn_limits_find(profiles[i].values[k].key);
            ck_assert_msg(!rn_limits_is_default(&expected, key), "%s", key->name);
        }
        size_t length = put_yaml(&profiles[i]);
        support_ok(rn_limits_parse("p.yaml", wanted, length, &limits, &error), &error);
        same_limits(&limits, &expected);
        ck_assert_ptr_nonnull(strstr(wanted, profiles[i].count > 0 ? profiles[i].name : "default"));
    }
}
END_TEST

START_TEST(test_profiles__small_is_what_it_promises)
{
    size_t count;
    ration_limits limits;
    const rn_profile *profiles = rn_limits_profiles(&count);
    ck_assert_str_eq(profiles[1].name, "small");
    size_t length = put_yaml(&profiles[1]);
    support_ok(rn_limits_parse("p.yaml", wanted, length, &limits, &error), &error);
    ck_assert_int_eq(limits.limit_bytes, 100 << 20);
    ck_assert_int_eq(limits.check_interval, 10000);
    ck_assert(!limits.enable_system_monitor);
}
END_TEST

/* Each value is named where it stands, with its unit, and says so when it needs a restart. */
START_TEST(test_profiles__files_name_every_key)
{
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    (void)put_yaml(rn_limits_profiles(&(size_t){0}));
    const char *at = wanted;
    for (size_t i = 0; i < count; i++) {
        char line[64];
        snprintf(line, sizeof(line), "\n%s: ", keys[i].name);
        const char *next = strstr(at, line);
        ck_assert_msg(next != NULL, "%s is missing or out of order", keys[i].name);
        const char *restart = strstr(at, "A change needs a restart.");
        ck_assert_msg((restart != NULL && restart < next) == (keys[i].when == RN_LIMITS_RESTART),
                      "%s", keys[i].name);
        at = next + 1;
    }
    ck_assert_int_eq(strncmp(wanted, "# yaml-language-server: $schema=memory.schema.json\n", 51),
                     0);
}
END_TEST

START_TEST(test_profiles__shipped_schema_is_the_generated_one)
{
    rn_text text = rn_text_over(wanted, sizeof(wanted));
    rn_limits_put_schema(&text);
    ck_assert_uint_lt(text.length, sizeof(wanted));
    same_file("memory.schema.json");
}
END_TEST

/* Facts of the schema that need no validator: each key once, with its type, range and default;
 * brackets and quotes that close. test_schema.sh asks a validator where there is one. */
START_TEST(test_profiles__schema_has_every_key)
{
    static const char *const types[] = {
        [RN_LIMITS_BYTES] = "\"type\": [\"integer\", \"string\"], \"minimum\": ",
        [RN_LIMITS_MIB] = "\"type\": \"integer\", \"minimum\": ",
        [RN_LIMITS_RATIO] = "\"type\": [\"number\", \"string\"], \"minimum\": ",
        [RN_LIMITS_COUNT] = "\"type\": \"integer\", \"minimum\": ",
        [RN_LIMITS_MS] = "\"type\": \"integer\", \"minimum\": ",
        [RN_LIMITS_BOOL] = "\"type\": \"boolean\"",
        [RN_LIMITS_CHOICE] = "\"type\": \"string\", \"enum\": [",
        [RN_LIMITS_DIRECTORY] = "\"type\": \"string\", \"maxLength\": ",
    };
    rn_text text = rn_text_over(wanted, sizeof(wanted));
    rn_limits_put_schema(&text);
    for (int group = 0; group < 2; group++) {
        size_t count;
        const rn_limits_key *keys = group ? rn_limits_group_keys(&count) : rn_limits_keys(&count);
        const char *at = group ? strstr(wanted, "patternProperties") : wanted;
        for (size_t i = 0; i < count; i++) {
            char line[96];
            snprintf(line, sizeof(line), "\"%s\": {\n", keys[i].name);
            at = strstr(at, line);
            ck_assert_msg(at != NULL, "%s", keys[i].name);
            at += strlen(line);
            at += strspn(at, " ");
            ck_assert_msg(strncmp(at, types[keys[i].type], strlen(types[keys[i].type])) == 0, "%s",
                          keys[i].name);
            const char *sentence = strstr(at, "\"description\": \"");
            ck_assert_ptr_nonnull(sentence);
            ck_assert_int_eq(strncmp(sentence + 16, keys[i].sentence, 20), 0);
        }
    }
    int depth = 0, quotes = 0;
    for (const char *at = wanted; *at != '\0'; at++) {
        if (*at == '\\') {
            at++;
            continue;
        }
        quotes += *at == '"';
        depth += quotes % 2 == 0 ? (*at == '{' || *at == '[') - (*at == '}' || *at == ']') : 0;
        ck_assert_int_ge(depth, 0);
        ck_assert(*at != '\n' || quotes % 2 == 0);
    }
    ck_assert_int_eq(depth, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_profiles__shipped_file_is_the_default_one,
        test_profiles__read_back_as_their_values,
        test_profiles__small_is_what_it_promises,
        test_profiles__files_name_every_key,
        test_profiles__shipped_schema_is_the_generated_one,
        test_profiles__schema_has_every_key,
    };
    return support_run("profiles", tests, RN_COUNT(tests));
}

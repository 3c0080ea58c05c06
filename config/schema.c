/* SPDX-License-Identifier: Apache-2.0
 *
 * The key tables as a JSON Schema (draft-07), with which editors check a memory.yaml while it is
 * written: rn_limits_put_schema.
 *
 * It accepts whatever the parser accepts, and refuses what can be told from one value alone: types,
 * words, ranges of plain numbers, the shape of sizes and ratios, unknown keys. It cannot know that
 * one limit lies above another, that 65MiB is above 64MiB, or how something was quoted.
 * tests/config/test_schema.sh holds both against the parser.
 *
 * `minimum` and `maximum` hold for numbers only and `pattern` for texts only, so that one object
 * describes "bytes, or a size as text". */
#include "config/limits.h"

#define MIB (INT64_C(1) << 20)
#define PATTERN_SIZE "^[0-9]+(\\\\.[0-9]+)? *([KMGTPEkmgtpe][Ii]?)?[Bb]$"
/* At most 100%, four decimals besides zeros. */
#define PATTERN_PERCENT "0*(100(\\\\.0+)?|[0-9]{1,2}(\\\\.[0-9]{1,4}0*)?) *%$"
#define PATTERN_NOT_ZERO "(?!0*(\\\\.0+)? *%)"
#define PATTERN_PATH "^(?!.*/\\\\.\\\\.(/|$))/"
#define PATTERN_GROUP "^[^/\\\\u0000-\\\\u001f\\\\u007f]{1,31}$"

static void put_text(rn_text *text, const char *string)
{
    rn_text_put_json(text, string, strlen(string));
}

static void put_number_range(rn_text *text, const rn_limits_key *key, int64_t unit)
{
    rn_text_format(text, "\"minimum\": %lld, \"maximum\": %lld", (long long)(key->minimum / unit),
                   (long long)(key->maximum / unit));
}

/* Type, range and shape: the inside of an object. */
static void put_type(rn_text *text, const rn_limits_key *key)
{
    switch (key->type) {
    case RN_LIMITS_BYTES:
        rn_text_put(text, "\"type\": [\"integer\", \"string\"], ");
        put_number_range(text, key, 1);
        rn_text_put(text, ", \"pattern\": \"" PATTERN_SIZE "\"");
        break;
    case RN_LIMITS_MIB:
        rn_text_put(text, "\"type\": \"integer\", ");
        put_number_range(text, key, MIB);
        break;
    case RN_LIMITS_COUNT:
    case RN_LIMITS_MS:
        rn_text_put(text, "\"type\": \"integer\", ");
        put_number_range(text, key, 1);
        break;
    case RN_LIMITS_RATIO:
        rn_text_put(text, "\"type\": [\"number\", \"string\"], \"minimum\": ");
        rn_text_put_ratio(text, key->minimum);
        rn_text_put(text, ", \"maximum\": ");
        rn_text_put_ratio(text, key->maximum);
        rn_text_format(text, ", \"pattern\": \"^%s%s\"", key->minimum > 0 ? PATTERN_NOT_ZERO : "",
                       PATTERN_PERCENT);
        break;
    case RN_LIMITS_BOOL:
        rn_text_put(text, "\"type\": \"boolean\"");
        break;
    case RN_LIMITS_CHOICE:
        rn_text_put(text, "\"type\": \"string\", \"enum\": [");
        for (int64_t place = 0; place <= key->maximum; place++) {
            rn_text_put(text, place > 0 ? ", " : "");
            put_text(text, key->words[place]);
        }
        rn_text_put(text, "]");
        break;
    case RN_LIMITS_DIRECTORY:
        rn_text_format(text, "\"type\": \"string\", \"maxLength\": %lld, \"pattern\": \"%s\"",
                       (long long)key->maximum, PATTERN_PATH);
        break;
    }
}

/* As the file has it: a size with its unit is a text. */
static void put_default(rn_text *text, const rn_limits_key *key)
{
    char value[sizeof(((ration_limits *)NULL)->spill_directory)];
    rn_text shown = rn_text_over(value, sizeof(value));
    rn_limits_put_default(&shown, key);
    bool number = value[strspn(value, "0123456789.")] == '\0';
    if (number || key->type == RN_LIMITS_BOOL) {
        rn_text_put(text, value);
    } else {
        put_text(text, value);
    }
}

static void put_description(rn_text *text, const rn_limits_key *key)
{
    char words[1024];
    rn_text description = rn_text_over(words, sizeof(words));
    rn_text_put(&description, key->sentence);
    if (key->advice[0] != '\0') {
        rn_text_format(&description, " %s", key->advice);
    }
    rn_text_format(&description, " %s: ", rn_limits_unit(key));
    rn_limits_put_range(&description, key);
    rn_text_put(&description, key->when == RN_LIMITS_RESTART ? ". A change needs a restart." : ".");
    put_text(text, words);
}

/* "properties" of one table, each on lines of its own behind `indent`. */
static void put_properties(rn_text *text, const rn_limits_key *table, size_t count,
                           const char *indent)
{
    for (size_t i = 0; i < count; i++) {
        rn_text_format(text, "%s%s", i > 0 ? ",\n" : "", indent);
        put_text(text, table[i].name);
        rn_text_format(text, ": {\n%s  ", indent);
        put_type(text, &table[i]);
        rn_text_format(text, ",\n%s  \"default\": ", indent);
        put_default(text, &table[i]);
        rn_text_format(text, ",\n%s  \"description\": ", indent);
        put_description(text, &table[i]);
        rn_text_format(text, "\n%s}", indent);
    }
}

void rn_limits_put_schema(rn_text *text)
{
    size_t count;
    const rn_limits_key *table = rn_limits_keys(&count);
    rn_text_put(text, "{\n"
                      "  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
                      "  \"title\": \"memory.yaml\",\n"
                      "  \"description\": \"How much memory queries may hold (Ration).\",\n"
                      "  \"type\": [\"object\", \"null\"],\n"
                      "  \"additionalProperties\": false,\n"
                      "  \"properties\": {\n");
    put_properties(text, table, count, "    ");
    rn_text_format(text,
                   ",\n    \"groups\": {\n"
                   "      \"description\": \"Classes of queries, each with a pool of its own.\",\n"
                   "      \"type\": \"object\",\n"
                   "      \"default\": {},\n"
                   "      \"maxProperties\": %d,\n"
                   "      \"additionalProperties\": false,\n"
                   "      \"patternProperties\": {\n"
                   "        \"%s\": {\n"
                   "          \"type\": [\"object\", \"null\"],\n"
                   "          \"additionalProperties\": false,\n"
                   "          \"properties\": {\n",
                   RATION_GROUPS_MAX, PATTERN_GROUP);
    table = rn_limits_group_keys(&count);
    put_properties(text, table, count, "            ");
    rn_text_put(text, "\n          }\n        }\n      }\n    }\n  }\n}\n");
}

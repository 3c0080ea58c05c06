/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits as text: a value and a range in the notation of memory.yaml, exactly, and the commented
 * file itself (rn_limits_put_yaml).
 *
 * Invariant: what is put reads back as the same value; the file of a profile reads back as the
 * defaults with what the profile sets (tested). */
#include "config/limits.h"

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define COMMENT_COLUMNS 90

/* --------------------------------------------------------------------------------------- values */

/* Bytes in the largest unit that divides them. */
static void put_bytes(rn_text *text, int64_t bytes)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    while (bytes != 0 && bytes % KIB == 0 && unit + 1 < RN_COUNT(units)) {
        bytes /= KIB;
        unit++;
    }
    rn_text_format(text, "%lld%s", (long long)bytes, units[unit]);
}

void rn_limits_put_amount(rn_text *text, const rn_limits_key *key, int64_t value)
{
    switch (key->type) {
    case RN_LIMITS_BYTES:
        put_bytes(text, value);
        return;
    case RN_LIMITS_MIB: /* away from zero, so that what is outside of a range looks like it */
        value = value / MIB + (value % MIB > 0) - (value % MIB < 0);
        break;
    case RN_LIMITS_RATIO:
        rn_text_put_ratio(text, value);
        return;
    case RN_LIMITS_BOOL:
        rn_text_put(text, value != 0 ? "true" : "false");
        return;
    case RN_LIMITS_CHOICE:
        if (value >= 0 && value <= key->maximum) {
            rn_text_put(text, key->words[value]);
            return;
        }
        break;
    default:
        break;
    }
    rn_text_format(text, "%lld", (long long)value);
}

void rn_limits_put_value(rn_text *text, const rn_limits_key *key, const void *values)
{
    if (key->type == RN_LIMITS_DIRECTORY) {
        rn_text_put(text, rn_limits_text(values, key));
    } else {
        rn_limits_put_amount(text, key, rn_limits_get(values, key));
    }
}

void rn_limits_put_default(rn_text *text, const rn_limits_key *key)
{
    if (key->type == RN_LIMITS_DIRECTORY) {
        rn_text_put(text, key->text);
    } else {
        rn_limits_put_amount(text, key, key->value);
    }
}

void rn_limits_put_range(rn_text *text, const rn_limits_key *key)
{
    switch (key->type) {
    case RN_LIMITS_BOOL:
        rn_text_put(text, "true or false");
        return;
    case RN_LIMITS_DIRECTORY:
        rn_text_put(text, "an absolute path without \"..\"");
        return;
    case RN_LIMITS_CHOICE:
        for (int64_t place = 0; place <= key->maximum; place++) {
            rn_text_format(text, "%s%s", place > 0 ? " or " : "", key->words[place]);
        }
        return;
    default:
        break;
    }
    rn_limits_put_amount(text, key, key->minimum);
    if (key->maximum == INT64_MAX) {
        rn_text_put(text, " or more");
    } else {
        rn_text_put(text, " to ");
        rn_limits_put_amount(text, key, key->maximum);
    }
}

/* ----------------------------------------------------------------------------------------- file */

/* The words of a text as comment lines. */
static void put_comment(rn_text *text, const char *words)
{
    size_t column = 0;
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        if (column == 0 || column + 1 + length > COMMENT_COLUMNS) {
            rn_text_put(text, column == 0 ? "#" : "\n#");
            column = 1;
        }
        rn_text_put(text, " ");
        rn_text_put_bytes(text, words, length);
        column += 1 + length;
        words += length + strspn(words + length, " ");
    }
    rn_text_put(text, "\n");
}

static void put_heading(rn_text *text, rn_limits_section section)
{
    static const struct {
        const char *title, *about;
    } sections[] = {
        [RN_LIMITS_LIMIT] = {"The limit", "How much there is to divide."},
        [RN_LIMITS_MACHINE] = {"Following the machine",
                               "The limit moves with what the machine, its control groups and "
                               "other processes leave."},
        [RN_LIMITS_QUERIES] = {"Queries", "What a single one may take."},
        [RN_LIMITS_SPILLING] = {"Spilling", "Rows that do not fit are written out and read back."},
        [RN_LIMITS_ADMISSION] = {"Admission", "A query starts when the least it needs is there."},
        [RN_LIMITS_TUNING] = {"Fine tuning", "Rarely worth a change."},
        [RN_LIMITS_GROUPS] = {"Groups",
                              "Classes of queries, each with a pool of its own. A query that names "
                              "none has none of these limits. At most 64, names of at most 31 "
                              "bytes. One with all its keys at their defaults, to be taken out of "
                              "the comment:"},
    };
    size_t dashes = COMMENT_COLUMNS - strlen(sections[section].title) - 3;
    rn_text_put(text, "\n# ");
    for (size_t i = 0; i < dashes; i++) {
        rn_text_put(text, "-");
    }
    rn_text_format(text, " %s\n", sections[section].title);
    put_comment(text, sections[section].about);
}

static const rn_profile_value *find_value(const rn_profile *profile, const char *key)
{
    for (size_t i = 0; i < profile->count; i++) {
        if (strcmp(profile->values[i].key, key) == 0) {
            return &profile->values[i];
        }
    }
    return NULL;
}

const char *rn_limits_unit(const rn_limits_key *key)
{
    static const char *const units[] = {[RN_LIMITS_BYTES] = "Bytes, 512MiB or 1.5GiB",
                                        [RN_LIMITS_MIB] = "MiB",
                                        [RN_LIMITS_RATIO] = "Ratio, 0.8 or 80%",
                                        [RN_LIMITS_COUNT] = "Number",
                                        [RN_LIMITS_MS] = "Milliseconds",
                                        [RN_LIMITS_BOOL] = "Switch",
                                        [RN_LIMITS_CHOICE] = "Word",
                                        [RN_LIMITS_DIRECTORY] = "Text"};
    return units[key->type];
}

/* `set`: what the profile sets it to; NULL = the default holds. */
static void put_key(rn_text *text, const rn_limits_key *key, const char *indent,
                    const rn_profile_value *set)
{
    rn_text_put(text, "\n");
    put_comment(text, key->sentence);
    if (key->advice[0] != '\0') {
        put_comment(text, key->advice);
    }
    rn_text_format(text, "# %s: ", rn_limits_unit(key));
    rn_limits_put_range(text, key);
    if (set != NULL) {
        rn_text_put(text, "; default ");
        rn_limits_put_default(text, key);
    }
    rn_text_put(text, key->when == RN_LIMITS_RESTART ? ". A change needs a restart.\n" : ".\n");
    if (set != NULL) {
        char reason[400];
        rn_text line = rn_text_over(reason, sizeof(reason));
        rn_text_format(&line, "Here %s: %s", set->value, set->reason);
        rn_assert(line.length < sizeof(reason));
        put_comment(text, reason);
    }
    rn_text_format(text, "%s%s: ", indent, key->name);
    if (set != NULL) {
        rn_text_put(text, set->value);
    } else {
        rn_limits_put_default(text, key);
    }
    rn_text_put(text, "\n");
}

static void put_head(rn_text *text, const rn_profile *profile)
{
    rn_text_put(text, "# yaml-language-server: $schema=memory.schema.json\n#\n");
    put_comment(text, profile->count == 0
                          ? "memory.yaml: how much memory queries may hold. Every key may be left "
                            "out; the values below are the defaults."
                          : "memory.yaml: how much memory queries may hold. Every key may be left "
                            "out, then its default holds.");
    if (profile->count > 0) {
        rn_text_format(text, "#\n# Profile %s: %s.\n", profile->name, profile->sentence);
        put_comment(text, "What it sets says why (\"Here ..\"); the rest is at its default.");
    }
    rn_text_put(text, "#\n");
    put_comment(text, "`ration check memory.yaml` reads it, `ration limits --explain` "
                      "shows what comes of it on this machine. RATION_LIMIT_BYTES=4GiB in the "
                      "environment holds over limit_bytes here, and so for every key but groups.");
}

void rn_limits_put_yaml(rn_text *text, const rn_profile *profile)
{
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    put_head(text, profile);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || keys[i].section != keys[i - 1].section) {
            put_heading(text, keys[i].section);
        }
        put_key(text, &keys[i], "", find_value(profile, keys[i].name));
    }
    put_heading(text, RN_LIMITS_GROUPS);
    rn_text_put(text, "#\n# groups:\n#   reports:\n");
    keys = rn_limits_group_keys(&count);
    for (size_t i = 0; i < count; i++) {
        put_key(text, &keys[i], "#     ", NULL);
    }
    rn_text_put(text, "\ngroups: {}\n");
}

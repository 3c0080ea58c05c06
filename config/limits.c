/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.yaml -> ration_limits: ration_limits_default, ration_limits_load (or rn_limits_parse over
 * a buffer), rn_limits_validate for values that did not come from a file, rn_limits_put_yaml for
 * the way back.
 *
 * The table `keys` is the only place that knows a key. Adding one is a row here and a field in
 * ration.h; parser, validation, the shipped memory.yaml and the manual follow.
 *
 * Invariants
 * 1. Every default lies in its own range, and the yaml of the defaults parses to the defaults
 *    (tested).
 * 2. No amount is above 1 EiB, no time above 10^12 ms: sums of two and the step to nanoseconds
 *    stay inside int64.
 * 3. What a file says and what a program sets obey the same ranges; that one limit lies below
 *    the other is asked of files only, because a program lowers limit_bytes for one run without
 *    touching the rest, and the smaller limit binds. */
#include "config/limits.h"

#include "config/yaml.h"

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define BYTES_MAX (INT64_C(1) << 60)
#define MS_MAX INT64_C(1000000000000)

#define FIELD(name) offsetof(ration_limits, name)

static const rn_limits_key keys[] = {
    {"limit_bytes", RN_LIMITS_BYTES, FIELD(limit_bytes), 0, BYTES_MAX, 0,
     "What all queries and the loaded data may hold together. 0 derives it from limit_ratio."},
    {"limit_ratio", RN_LIMITS_RATIO, FIELD(limit_ratio_ppm), 1, 1000000, 800000,
     "Part of the available memory (the smallest of machine, control groups and resource limits) "
     "that becomes "
     "the limit when limit_bytes is 0."},
    {"untracked_reserved_memory_mb", RN_LIMITS_MIB, FIELD(untracked_reserved_bytes), 0, BYTES_MAX,
     50 * MIB,
     "Taken off the derived limit for what is not charged: code, stacks, libraries of the host."},
    {"enable_system_monitor", RN_LIMITS_BOOL, FIELD(enable_system_monitor), 0, 1, 0,
     "For following the available memory while running. Read and validated; nothing acts on it "
     "yet."},
    {"data_limit_bytes", RN_LIMITS_BYTES, FIELD(data_limit_bytes), 0, BYTES_MAX, 0,
     "What the loaded graph may hold of the limit. 0 sets no limit of its own."},
    {"query_limit_bytes", RN_LIMITS_BYTES, FIELD(query_limit_bytes), 0, BYTES_MAX, 0,
     "What one query may hold of the limit. 0 sets no limit of its own."},
    {"query_rows_max", RN_LIMITS_COUNT, FIELD(query_rows_max), 0, INT64_MAX, 0,
     "Rows that all operators of one query may produce together. 0 is unlimited."},
    {"query_time_ms_max", RN_LIMITS_MS, FIELD(query_time_ms_max), 0, MS_MAX, 0,
     "Time that one query may take. 0 is unlimited."},
    {"query_wait_ms_max", RN_LIMITS_MS, FIELD(query_wait_ms_max), 1, MS_MAX, 10000,
     "Longest that an ask waits for memory that others were asked to give back."},
    {"max_row_bytes", RN_LIMITS_BYTES, FIELD(max_row_bytes), 4 * KIB, 64 * MIB, 64 * KIB,
     "Widest row that an operator must be able to hold; the minimum of a query grows with it."},
    {"chunk_bytes_max", RN_LIMITS_BYTES, FIELD(chunk_bytes_max), 4 * KIB, 64 * MIB, MIB,
     "Most credit that a worker takes at a time; less near the limit."},
    {"retain_ms", RN_LIMITS_MS, FIELD(retain_ms), 0, MS_MAX, 1000,
     "How long freed pages stay for the next query before they go back to the system. 0 gives them "
     "back at once."},
    {"prefault", RN_LIMITS_BOOL, FIELD(prefault), 0, 1, 0,
     "Makes new blocks resident when they are taken instead of page by page when they are "
     "touched."},
    {"check_interval", RN_LIMITS_COUNT, FIELD(check_interval), 1, 1000000, 1024,
     "Rows between two settles of a guard, and rows of a batch at most."},
    {"check_bytes", RN_LIMITS_BYTES, FIELD(check_bytes), 4 * KIB, 64 * MIB, 256 * KIB,
     "Bytes between two settles of a guard, for rows that are wide."},
};

const rn_limits_key *rn_limits_keys(size_t *out_count)
{
    *out_count = RN_COUNT(keys);
    return keys;
}

/* --------------------------------------------------------------------------------------- values */

int64_t rn_limits_get(const ration_limits *limits, const rn_limits_key *key)
{
    const char *field = (const char *)limits + key->offset;
    int64_t value;
    if (key->type == RN_LIMITS_BOOL) {
        bool flag;
        memcpy(&flag, field, sizeof(flag));
        return flag ? 1 : 0;
    }
    memcpy(&value, field, sizeof(value));
    return value;
}

static void set_value(ration_limits *limits, const rn_limits_key *key, int64_t value)
{
    char *field = (char *)limits + key->offset;
    if (key->type == RN_LIMITS_BOOL) {
        bool flag = value != 0;
        memcpy(field, &flag, sizeof(flag));
        return;
    }
    memcpy(field, &value, sizeof(value));
}

void ration_limits_default(ration_limits *out_limits)
{
    ration_limits limits = {.size = sizeof(limits)};
    for (size_t i = 0; i < RN_COUNT(keys); i++) {
        rn_assert(keys[i].value >= keys[i].minimum && keys[i].value <= keys[i].maximum);
        set_value(&limits, &keys[i], keys[i].value);
    }
    *out_limits = limits;
}

/* The value as memory.yaml takes it, exactly: bytes in the largest unit that divides them. */
static void put_value(rn_text *text, const rn_limits_key *key, int64_t value)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    switch (key->type) {
    case RN_LIMITS_BOOL:
        rn_text_put(text, value != 0 ? "true" : "false");
        return;
    case RN_LIMITS_RATIO:
        rn_text_put_ratio(text, value);
        return;
    case RN_LIMITS_MIB:
        rn_text_format(text, "%lld",
                       (long long)(value / MIB + (value % MIB > 0) - (value % MIB < 0)));
        return;
    case RN_LIMITS_BYTES:
        while (value != 0 && value % KIB == 0 && unit + 1 < RN_COUNT(units)) {
            value /= KIB;
            unit++;
        }
        break;
    default:
        break;
    }
    rn_text_format(text, "%lld%s", (long long)value, units[unit]);
}

static void put_range(rn_text *text, const rn_limits_key *key)
{
    if (key->type == RN_LIMITS_BOOL) {
        rn_text_put(text, "true or false");
        return;
    }
    put_value(text, key, key->minimum);
    if (key->maximum == INT64_MAX) {
        rn_text_put(text, " or more");
    } else {
        rn_text_put(text, " to ");
        put_value(text, key, key->maximum);
    }
}

ration_status rn_limits_validate(const ration_limits *limits, ration_error *error)
{
    if (limits->size != sizeof(*limits)) {
        return rn_error_set(error, RATION_CONFIG, "start from ration_limits_default",
                            "the limits are not those of this version (%zu bytes instead of %zu)",
                            limits->size, sizeof(*limits));
    }
    for (size_t i = 0; i < RN_COUNT(keys); i++) {
        int64_t value = rn_limits_get(limits, &keys[i]);
        if (value < keys[i].minimum || value > keys[i].maximum) {
            char range[64], shown[32];
            rn_text text = rn_text_over(range, sizeof(range));
            put_range(&text, &keys[i]);
            text = rn_text_over(shown, sizeof(shown));
            put_value(&text, &keys[i], value);
            return rn_error_set(error, RATION_CONFIG, keys[i].sentence, "%s is %s, outside %s",
                                keys[i].name, shown, range);
        }
    }
    return RATION_OK;
}

/* ----------------------------------------------------------------------------------------- yaml */

static ration_status read_key(const rn_yaml_file *file, const rn_limits_key *key,
                              ration_limits *limits, ration_error *error)
{
    const rn_yaml *node = rn_yaml_get(file->root, key->name);
    int64_t value = rn_limits_get(limits, key);
    bool flag = value != 0;
    switch (key->type) {
    case RN_LIMITS_BYTES:
        RN_TRY(rn_yaml_bytes(file, node, key->minimum, key->maximum, &value, error));
        break;
    case RN_LIMITS_RATIO:
        RN_TRY(rn_yaml_ratio(file, node, key->minimum, key->maximum, &value, error));
        break;
    case RN_LIMITS_MIB:
        value /= MIB;
        RN_TRY(rn_yaml_int64(file, node, key->minimum / MIB, key->maximum / MIB, &value, error));
        value *= MIB;
        break;
    case RN_LIMITS_COUNT:
    case RN_LIMITS_MS:
        RN_TRY(rn_yaml_int64(file, node, key->minimum, key->maximum, &value, error));
        break;
    case RN_LIMITS_BOOL:
        RN_TRY(rn_yaml_bool(file, node, &flag, error));
        value = flag ? 1 : 0;
        break;
    }
    set_value(limits, key, value);
    return RATION_OK;
}

/* Below limit_bytes when both are set (invariant 3). */
static ration_status check_below_limit(const rn_yaml_file *file, const char *name, int64_t bytes,
                                       int64_t limit_bytes, ration_error *error)
{
    if (bytes == 0 || limit_bytes == 0 || bytes <= limit_bytes) {
        return RATION_OK;
    }
    return rn_yaml_error(file, rn_yaml_get(file->root, name), error,
                         "lower it, raise limit_bytes, or write 0",
                         "%s: %lld bytes are above limit_bytes (%lld), so it can never be reached",
                         name, (long long)bytes, (long long)limit_bytes);
}

static ration_status read_limits(const rn_yaml_file *file, ration_limits *limits,
                                 ration_error *error)
{
    const char *names[RN_COUNT(keys)];
    for (size_t i = 0; i < RN_COUNT(keys); i++) {
        names[i] = keys[i].name;
    }
    RN_TRY(rn_yaml_check_keys(file, file->root, names, RN_COUNT(names), error));
    for (size_t i = 0; i < RN_COUNT(keys); i++) {
        RN_TRY(read_key(file, &keys[i], limits, error));
    }
    RN_TRY(check_below_limit(file, "data_limit_bytes", limits->data_limit_bytes,
                             limits->limit_bytes, error));
    return check_below_limit(file, "query_limit_bytes", limits->query_limit_bytes,
                             limits->limit_bytes, error);
}

ration_status rn_limits_parse(const char *path, const char *text, size_t length,
                              ration_limits *out_limits, ration_error *error)
{
    rn_yaml_file file;
    ration_limits limits;
    RN_TRY(rn_yaml_read(path, text, length, RN_YAML_CONFIG_DEPTH_MAX, RATION_CONFIG, &file, error));
    ration_limits_default(&limits);
    ration_status status = read_limits(&file, &limits, error);
    rn_yaml_free(&file);
    if (status == RATION_OK) {
        rn_assert(rn_limits_validate(&limits, NULL) == RATION_OK);
        *out_limits = limits;
    }
    return status;
}

ration_status ration_limits_load(const char *path, ration_limits *out_limits, ration_error *error)
{
    return rn_limits_parse(path, NULL, 0, out_limits, error);
}

/* The words of a text as comment lines of at most 90 columns. */
static void put_comment(rn_text *text, const char *words)
{
    size_t column = 0;
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        if (column == 0 || column + 1 + length > 90) {
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

void rn_limits_put_yaml(rn_text *text)
{
    static const char *const units[] = {[RN_LIMITS_BYTES] = "Bytes, 512MiB or 1.5GiB: ",
                                        [RN_LIMITS_MIB] = "MiB: ",
                                        [RN_LIMITS_RATIO] = "Ratio, 0.8 or 80%: ",
                                        [RN_LIMITS_COUNT] = "Rows: ",
                                        [RN_LIMITS_MS] = "Milliseconds: ",
                                        [RN_LIMITS_BOOL] = "Switch: "};
    put_comment(text, "memory.yaml: how much memory queries may hold. Every key may be left out; "
                      "the values below "
                      "are the defaults.");
    for (size_t i = 0; i < RN_COUNT(keys); i++) {
        rn_text_put(text, "\n");
        put_comment(text, keys[i].sentence);
        rn_text_format(text, "# %s", units[keys[i].type]);
        put_range(text, &keys[i]);
        rn_text_format(text, ".\n%s: ", keys[i].name);
        put_value(text, &keys[i], keys[i].value);
        rn_text_put(text, "\n");
    }
}

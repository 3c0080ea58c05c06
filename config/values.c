/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a YAML tree: known keys, required keys, typed scalars. Every reader of a file - limits,
 * manifest, plan, workload - asks here, so that each mistake is told in the same words, with its
 * place:
 *
 *     <key>: expected <what it takes>, found <what is there>
 *
 * Contract and NULL rule: config/yaml.h. */
#include "config/yaml.h"

#include <strings.h>

#include "base/text.h"

#define SHOWN_BYTES_MAX 40

/* --------------------------------------------------------------------------------------- errors */

static ration_status put_error(const rn_yaml_file *file, int line, int column, ration_error *error,
                               const char *hint, const char *format, va_list arguments)
    RN_PRINTF(6, 0);

static ration_status put_error(const rn_yaml_file *file, int line, int column, ration_error *error,
                               const char *hint, const char *format, va_list arguments)
{
    char message[sizeof(((ration_error *)0)->message)];
    (void)vsnprintf(message, sizeof(message), format, arguments);
    return rn_error_at(error, file->invalid, file->path, line, column, hint, "%s", message);
}

ration_status rn_yaml_error(const rn_yaml_file *file, const rn_yaml *node, ration_error *error,
                            const char *hint, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    ration_status status =
        put_error(file, node != NULL ? node->line : 1, node != NULL ? node->column : 1, error, hint,
                  format, arguments);
    va_end(arguments);
    return status;
}

ration_status rn_yaml_error_key(const rn_yaml_file *file, const rn_yaml *node, ration_error *error,
                                const char *hint, const char *format, ...)
{
    bool keyed = node != NULL && node->key != NULL;
    int line = keyed ? node->key_line : node != NULL ? node->line : 1;
    int column = keyed ? node->key_column : node != NULL ? node->column : 1;
    va_list arguments;
    va_start(arguments, format);
    ration_status status = put_error(file, line, column, error, hint, format, arguments);
    va_end(arguments);
    return status;
}

/* What is there, for people: "a mapping", "nothing", "'1.2.3'" cut at SHOWN_BYTES_MAX. */
static void put_found(rn_text *text, const rn_yaml *node)
{
    if (node == NULL || rn_yaml_is_null(node)) {
        rn_text_put(text, "nothing");
    } else if (node->kind != RN_YAML_SCALAR) {
        rn_text_put(text, node->kind == RN_YAML_MAPPING ? "a mapping" : "a sequence");
    } else {
        size_t shown = node->length;
        if (shown > SHOWN_BYTES_MAX) {
            for (shown = SHOWN_BYTES_MAX; ((unsigned char)node->text[shown] & 0xC0) == 0x80;
                 shown--) {
            }
        }
        const char *quote = node->quoted ? "\"" : "'";
        rn_text_put(text, quote);
        rn_text_put_bytes(text, node->text, shown);
        rn_text_put(text, shown < node->length ? "..." : "");
        rn_text_put(text, quote);
    }
}

static ration_status refuse_value(const rn_yaml_file *file, const rn_yaml *node,
                                  ration_error *error, const char *hint, const char *expected)
{
    char found[64];
    rn_text text = rn_text_over(found, sizeof(found));
    put_found(&text, node);
    bool keyed = node != NULL && node->key != NULL;
    return rn_yaml_error(file, node, error, hint, "%.60s%sexpected %s, found %s",
                         keyed ? node->key : "", keyed ? ": " : "", expected, found);
}

/* An unquoted scalar with something in it: what numbers and booleans are written as. */
static bool is_plain(const rn_yaml *node)
{
    return node->kind == RN_YAML_SCALAR && !node->quoted && !rn_yaml_is_null(node);
}

/* ----------------------------------------------------------------------------------------- keys */

ration_status rn_yaml_expect(const rn_yaml_file *file, const rn_yaml *node, rn_yaml_kind kind,
                             ration_error *error)
{
    static const char *const kinds[] = {[RN_YAML_SCALAR] = "a single value",
                                        [RN_YAML_SEQUENCE] = "a sequence",
                                        [RN_YAML_MAPPING] = "a mapping"};
    static const char *const hints[] = {[RN_YAML_SCALAR] = "",
                                        [RN_YAML_SEQUENCE] =
                                            "write `[a, b]`, or one `- item` per line",
                                        [RN_YAML_MAPPING] = "write one `key: value` per line"};
    if (node != NULL && node->kind == kind) {
        return RATION_OK;
    }
    const char *hint = hints[kind];
    if (kind == RN_YAML_MAPPING && node != NULL && node->kind == RN_YAML_SCALAR && !node->quoted) {
        const char *between = strpbrk(node->text, ":=");
        if (between != NULL) { /* a key and its value, read as one text */
            hint = *between == ':' ? "write a blank behind the colon: `key: value`"
                                   : "write a colon and a blank: `key: value`";
        }
    }
    return refuse_value(file, node, error, hint, kinds[kind]);
}

/* "did you mean 'x'?", or the names that begin with the word, or all; as many as there is room for.
 */
static void put_suggestion(rn_text *text, const char *word, const char *const *names, size_t count)
{
    const char *nearest = rn_nearest(word, names, count);
    if (nearest != NULL) {
        rn_text_format(text, "did you mean '%s'?", nearest);
        return;
    }
    size_t length = strlen(word), begun = 0;
    for (size_t i = 0; i < count; i++) {
        begun += strncasecmp(names[i], word, length) == 0 ? 1 : 0;
    }
    static const char more[] = ", ...";
    rn_text_put(text, begun > 0 ? "did you mean one of: " : "known: ");
    const char *comma = "";
    for (size_t i = 0; i < count; i++) {
        size_t last = i + 1 < count ? sizeof(more) : 1;
        if (begun > 0 && strncasecmp(names[i], word, length) != 0) {
            continue;
        }
        if (text->length + strlen(", ") + strlen(names[i]) + last > text->capacity) {
            rn_text_put(text, more);
            return;
        }
        rn_text_format(text, "%s%s", comma, names[i]);
        comma = ", ";
    }
}

ration_status rn_yaml_check_keys(const rn_yaml_file *file, const rn_yaml *node,
                                 const char *const *keys, size_t count, ration_error *error)
{
    if (node == NULL) {
        return RATION_OK;
    }
    RN_TRY(rn_yaml_expect(file, node, RN_YAML_MAPPING, error));
    for (const rn_yaml *child = node->first; child != NULL; child = child->next) {
        bool known = false;
        for (size_t i = 0; i < count && !known; i++) {
            known = strcmp(child->key, keys[i]) == 0;
        }
        if (!known) {
            char hint[sizeof(((ration_error *)0)->hint)];
            rn_text text = rn_text_over(hint, sizeof(hint));
            put_suggestion(&text, child->key, keys, count);
            return rn_yaml_error_key(file, child, error, hint, "unknown key '%.60s'", child->key);
        }
    }
    return RATION_OK;
}

ration_status rn_yaml_require(const rn_yaml_file *file, const rn_yaml *node, const char *key,
                              const rn_yaml **out_value, ration_error *error)
{
    RN_TRY(rn_yaml_expect(file, node, RN_YAML_MAPPING, error));
    const rn_yaml *value = rn_yaml_get(node, key);
    if (value == NULL) {
        return rn_yaml_error(file, node, error, "", "the key '%s' is missing", key);
    }
    *out_value = value;
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- scalars */

ration_status rn_yaml_string(const rn_yaml_file *file, const rn_yaml *node, const char **out_text,
                             ration_error *error)
{
    if (node == NULL) {
        return RATION_OK;
    }
    if (node->kind != RN_YAML_SCALAR || rn_yaml_is_null(node)) {
        return refuse_value(file, node, error, "", "a text");
    }
    *out_text = node->text;
    return RATION_OK;
}

/* What other programs take for a switch. */
static const char *guess_bool(const rn_yaml *node)
{
    static const char *const words[] = {"true", "yes", "on", "1", "false", "no", "off", "0"};
    for (size_t i = 0; i < RN_COUNT(words) && node->kind == RN_YAML_SCALAR; i++) {
        if (strcasecmp(node->text, words[i]) == 0) {
            return i < RN_COUNT(words) / 2 ? "write true, without quotes"
                                           : "write false, without quotes";
        }
    }
    return "";
}

ration_status rn_yaml_bool(const rn_yaml_file *file, const rn_yaml *node, bool *out_value,
                           ration_error *error)
{
    if (node == NULL) {
        return RATION_OK;
    }
    bool yes = is_plain(node) && strcmp(node->text, "true") == 0;
    bool no = is_plain(node) && strcmp(node->text, "false") == 0;
    if (!yes && !no) {
        return refuse_value(file, node, error, guess_bool(node), "true or false");
    }
    *out_value = yes;
    return RATION_OK;
}

static void put_whole(rn_text *text, int64_t value)
{
    rn_text_format(text, "%lld", (long long)value);
}

/* A whole amount in its own notation: how it is read, written, and called; `hint` is for what is
 * not in the notation, `suffix` is what people forget. */
struct notation {
    bool (*parse)(const char *text, size_t length, int64_t *out_value);
    void (*put)(rn_text *text, int64_t value);
    const char *noun, *hint, *suffix;
};

/* What would have been right: "take the quotes away", "did you mean '80%'?"; for what is in the
 * notation and out of range the range says it all. */
static const char *advise(const rn_yaml *node, const struct notation *notation, int64_t minimum,
                          int64_t maximum, char *buffer, size_t capacity)
{
    int64_t value;
    if (node->kind != RN_YAML_SCALAR || rn_yaml_is_null(node)) {
        return notation->hint;
    }
    rn_text text = rn_text_over(buffer, capacity);
    rn_text_format(&text, "did you mean '%.40s", node->text);
    size_t start = sizeof("did you mean '") - 1;
    rn_text_put(&text, notation->suffix);
    bool well_formed = notation->parse(node->text, node->length, &value);
    if (well_formed && node->quoted) {
        return "take the quotes away";
    }
    if (notation->suffix[0] != '\0' && strchr(node->text, '.') == NULL && text.length < capacity &&
        notation->parse(buffer + start, text.length - start, &value) && value >= minimum &&
        value <= maximum) {
        rn_text_put(&text, "'?");
        return buffer;
    }
    bool whole = strspn(node->text, "+-0123456789") == node->length;
    return well_formed || whole ? "" : notation->hint;
}

static ration_status read_amount(const rn_yaml_file *file, const rn_yaml *node,
                                 const struct notation *notation, int64_t minimum, int64_t maximum,
                                 int64_t *out_value, ration_error *error)
{
    int64_t value;
    if (node == NULL) {
        return RATION_OK;
    }
    if (!is_plain(node) || !notation->parse(node->text, node->length, &value) || value < minimum ||
        value > maximum) {
        char expected[128], hint[96];
        rn_text text = rn_text_over(expected, sizeof(expected));
        rn_text_put(&text, notation->noun);
        if (minimum != INT64_MIN) {
            rn_text_put(&text, maximum == INT64_MAX ? " of at least " : " from ");
            notation->put(&text, minimum);
        }
        if (maximum != INT64_MAX) {
            rn_text_put(&text, minimum == INT64_MIN ? " up to " : " to ");
            notation->put(&text, maximum);
        }
        return refuse_value(file, node, error,
                            advise(node, notation, minimum, maximum, hint, sizeof(hint)), expected);
    }
    *out_value = value;
    return RATION_OK;
}

ration_status rn_yaml_int64(const rn_yaml_file *file, const rn_yaml *node, int64_t minimum,
                            int64_t maximum, int64_t *out_value, ration_error *error)
{
    static const struct notation notation = {rn_parse_int64, put_whole, "a whole number", "", ""};
    return read_amount(file, node, &notation, minimum, maximum, out_value, error);
}

ration_status rn_yaml_bytes(const rn_yaml_file *file, const rn_yaml *node, int64_t minimum,
                            int64_t maximum, int64_t *out_bytes, ration_error *error)
{
    static const struct notation notation = {rn_parse_size, rn_text_put_size,
                                             "a whole amount of bytes",
                                             "write it as 512MiB, 1.5GiB or plain bytes", "iB"};
    return read_amount(file, node, &notation, minimum, maximum, out_bytes, error);
}

ration_status rn_yaml_ratio(const rn_yaml_file *file, const rn_yaml *node, int64_t minimum_ppm,
                            int64_t maximum_ppm, int64_t *out_ppm, ration_error *error)
{
    static const struct notation notation = {rn_parse_ratio, rn_text_put_ratio, "a ratio",
                                             "write it as 0.8 or 80%, with at most six decimals",
                                             "%"};
    return read_amount(file, node, &notation, minimum_ppm, maximum_ppm, out_ppm, error);
}

ration_status rn_yaml_double(const rn_yaml_file *file, const rn_yaml *node, double minimum,
                             double maximum, double *out_value, ration_error *error)
{
    double value;
    if (node == NULL) {
        return RATION_OK;
    }
    /* Neither end of the range holds for a NaN, so it is refused with the rest. */
    if (!is_plain(node) || !rn_parse_double(node->text, node->length, &value) ||
        !(value >= minimum && value <= maximum && value >= -__DBL_MAX__ && value <= __DBL_MAX__)) {
        char expected[128];
        rn_text text = rn_text_over(expected, sizeof(expected));
        rn_text_put(&text, "a number");
        if (minimum >= -__DBL_MAX__) {
            rn_text_put(&text, maximum > __DBL_MAX__ ? " of at least " : " from ");
            rn_text_put_double(&text, minimum);
        }
        if (maximum <= __DBL_MAX__) {
            rn_text_put(&text, minimum < -__DBL_MAX__ ? " up to " : " to ");
            rn_text_put_double(&text, maximum);
        }
        return refuse_value(file, node, error, "", expected);
    }
    *out_value = value;
    return RATION_OK;
}

ration_status rn_yaml_choice(const rn_yaml_file *file, const rn_yaml *node,
                             const char *const *names, size_t count, size_t *out_index,
                             ration_error *error)
{
    if (node == NULL) {
        return RATION_OK;
    }
    if (node->kind == RN_YAML_SCALAR) {
        for (size_t i = 0; i < count; i++) {
            if (strcmp(node->text, names[i]) == 0) {
                *out_index = i;
                return RATION_OK;
            }
        }
    }
    char expected[200], hint[96] = "";
    rn_text text = rn_text_over(expected, sizeof(expected));
    for (size_t i = 0; i < count; i++) {
        rn_text_format(&text, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", names[i]);
    }
    const char *nearest =
        node->kind == RN_YAML_SCALAR ? rn_nearest(node->text, names, count) : NULL;
    if (nearest != NULL) {
        snprintf(hint, sizeof(hint), "did you mean '%.60s'?", nearest);
    }
    return refuse_value(file, node, error, hint, expected);
}

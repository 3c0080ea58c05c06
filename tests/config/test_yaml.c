/* SPDX-License-Identifier: Apache-2.0
 *
 * config/yaml.h: the tree (config/yaml.c) and its readers (config/values.c). Bad input is a table
 * of texts and the exact error; the last test fails every allocation in turn. */
#include "config/yaml.h"

#include <fcntl.h>

#include "base/heap.h"
#include "base/text.h"
#include "tests/support.h"

static rn_yaml_file file;
static ration_error error;

static ration_status read_text(const char *text, size_t length, int depth)
{
    return rn_yaml_read("t.yaml", text, length, depth, RATION_PLAN, &file, &error);
}

static void open_text(const char *text)
{
    support_ok(read_text(text, strlen(text), RN_YAML_CONFIG_DEPTH_MAX), &error);
}

static void close_text(void)
{
    rn_yaml_free(&file);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}

/* ----------------------------------------------------------------------------------------- tree */

START_TEST(test_yaml__folds_events_into_a_tree)
{
    open_text("\xEF\xBB\xBF# head\n"
              "name: hello world\n"
              "list:\n"
              "  - 1\n"
              "  - 'two'\n"
              "  - {k: v, w: [x]}\n"
              "block: |\n"
              "  a\n"
              "  b\n"
              "empty:\n"
              "none: []\n");
    const rn_yaml *root = file.root;
    ck_assert_int_eq(root->kind, RN_YAML_MAPPING);
    ck_assert_uint_eq(root->count, 5);
    ck_assert_str_eq(rn_yaml_get(root, "name")->text, "hello world");
    ck_assert_uint_eq(rn_yaml_get(root, "name")->length, 11);
    const rn_yaml *list = rn_yaml_get(root, "list");
    ck_assert_int_eq(list->kind, RN_YAML_SEQUENCE);
    ck_assert_uint_eq(list->count, 3);
    ck_assert_int_eq(list->key_line, 3);
    ck_assert_int_eq(list->key_column, 1);
    ck_assert_int_eq(list->line, 4);
    ck_assert_int_eq(list->column, 3);
    const rn_yaml *one = list->first, *two = one->next, *three = two->next;
    ck_assert(!one->quoted && two->quoted && three->next == NULL && one->key == NULL);
    ck_assert_int_eq(two->line, 5);
    ck_assert_int_eq(two->column, 5);
    ck_assert_str_eq(rn_yaml_get(three, "w")->first->text, "x");
    ck_assert_str_eq(rn_yaml_get(root, "block")->text, "a\nb\n");
    ck_assert(rn_yaml_get(root, "block")->quoted);
    ck_assert(rn_yaml_is_null(rn_yaml_get(root, "empty")));
    ck_assert(!rn_yaml_is_null(one) && !rn_yaml_is_null(list) && !rn_yaml_is_null(NULL));
    ck_assert_uint_eq(rn_yaml_get(root, "none")->count, 0);
    ck_assert_ptr_null(rn_yaml_get(root, "nam"));
    ck_assert_ptr_null(rn_yaml_get(list, "1"));
    ck_assert_ptr_null(rn_yaml_get(NULL, "1"));
    close_text();
}
END_TEST

START_TEST(test_yaml__empty_documents_have_no_root)
{
    static const char *const texts[] = {"", "\n\n", "# only a comment\n", "---\n", "---\n...\n"};
    for (size_t i = 0; i < RN_COUNT(texts); i++) {
        open_text(texts[i]);
        ck_assert_ptr_null(file.root);
        ck_assert_str_eq(file.path, "t.yaml");
        close_text();
    }
}
END_TEST

START_TEST(test_yaml__depth_is_exact)
{
    open_text("[[[[[[[[1]]]]]]]]");
    close_text();
    ck_assert_int_eq(read_text("[[[[[[[[[1]]]]]]]]]", 19, 8), RATION_PLAN);
    support_ok(read_text("a: {b: 1}", 9, 2), &error);
    close_text();
    ck_assert_int_eq(read_text("a: {b: 1}", 9, 1), RATION_PLAN);
}
END_TEST

struct bad_text {
    const char *text;
    const char *error;
    size_t length; /* 0: strlen(text) */
};

static const struct bad_text bad_yaml[] = {
    {"a: 1\nb: 2\na: 3\n",
     "t.yaml:3:1: error: duplicate key 'a', first on line 1 (keep one of the two)", 0},
    {"x: {a: 1, 'a': 2}",
     "t.yaml:1:11: error: duplicate key 'a', first on line 1 (keep one of the two)", 0},
    {"a: &x 1\n", "t.yaml:1:4: error: anchors are not supported (write the value out)", 0},
    {"a: &x [1]\nb: 2\n", "t.yaml:1:4: error: anchors are not supported (write the value out)", 0},
    {"a: *x\n", "t.yaml:1:4: error: aliases are not supported (write the value out)", 0},
    {"a: !!int 1\n", "t.yaml:1:4: error: tags are not supported (remove the tag)", 0},
    {"a: ! x\n", "t.yaml:1:4: error: tags are not supported (remove the tag)", 0},
    {"%TAG ! tag:x,2000:\n---\na: 1\n",
     "t.yaml:1:1: error: tags are not supported (remove the %TAG line)", 0},
    {"a: 1\n<<: {b: 2}\n", "t.yaml:2:1: error: merge keys are not supported (write the keys out)",
     0},
    {"? [a, b]\n: 1\n", "t.yaml:1:3: error: a key must be a plain word (write `key: value`)", 0},
    {"{{a: 1}: 2}\n", "t.yaml:1:2: error: a key must be a plain word (write `key: value`)", 0},
    {"'': 1\n", "t.yaml:1:1: error: a key is empty (write `key: value`)", 0},
    {"a: 1\n---\nb: 2\n",
     "t.yaml:2:1: error: a second document begins (keep one document per file)", 0},
    {"---\n---\n", "t.yaml:2:1: error: a second document begins (keep one document per file)", 0},
    {"a:\n  b: \"x\\0y\"\n", "t.yaml:2:6: error: a NUL character inside a text (remove the \\0)",
     0},
    {"\"k\\0\": 1\n", "t.yaml:1:1: error: a NUL character inside a text (remove the \\0)", 0},
    {"a: 1\nb: x\0y\n",
     "t.yaml:2:5: error: control characters are not allowed (remove the control character)", 12},
    {"a: 1\nb: \xC3\xBC\xFFx\n",
     "t.yaml:2:5: error: invalid leading UTF-8 octet (the file must be UTF-8 text)", 0},
    {"a: \xED\xA0\x80\n",
     "t.yaml:1:4: error: invalid Unicode character (the file must be UTF-8 text)", 0},
    {"a: \x1b[0m\n",
     "t.yaml:1:4: error: control characters are not allowed (remove the control character)", 0},
    {"a: 1\n b: 2\n",
     "t.yaml:2:3: error: mapping values are not allowed in this context (is the indentation right? "
     "a text that holds ': ' needs quotes)",
     0},
    {"a: [1, 2\nb: 3\n",
     "t.yaml:2:2: error: did not find expected ',' or ']' while parsing a flow sequence begun on "
     "line 1 (separate with commas, and close what was opened)",
     0},
    {"a: 'x\n",
     "t.yaml:2:1: error: found unexpected end of stream while scanning a quoted scalar "
     "begun on line 1 (close the quotes)",
     0},
    {"a:\n\t- 1\n",
     "t.yaml:2:1: error: found character that cannot start any token while scanning for the "
     "next token (indent with blanks instead of tabs)",
     0},
    {"[[[[[[[[[1]]]]]]]]]",
     "t.yaml:1:9: error: nested deeper than 8 levels (flatten this part of the file)", 0},
    {"\xFF\xFE"
     "a\0:\0 \0"
     "1\0", /* UTF-16 */
     "t.yaml:1:1: error: invalid leading UTF-8 octet (the file is UTF-16: save it as UTF-8)", 10},
    {"a: }\n",
     "t.yaml:1:4: error: did not find expected node content while parsing a block node "
     "(write a value here)",
     0},
};

START_TEST(test_yaml__refuses_with_place)
{
    for (size_t i = 0; i < RN_COUNT(bad_yaml); i++) {
        file.arena = NULL;
        file.path = "untouched";
        size_t length = bad_yaml[i].length > 0 ? bad_yaml[i].length : strlen(bad_yaml[i].text);
        ck_assert_msg(read_text(bad_yaml[i].text, length, 8) == RATION_PLAN, "accepted: %s",
                      bad_yaml[i].text);
        ck_assert_str_eq(support_error(&error), bad_yaml[i].error);
        ck_assert_str_eq(file.path, "untouched");
        ck_assert_int_eq(rn_heap_bytes(), 0);
    }
}
END_TEST

/* 200 levels, and 40,000 that would keep libyaml busy for seconds, end at the ninth. */
START_TEST(test_yaml__deep_nesting_ends_early)
{
    static char text[100000];
    memset(text, '[', 40000);
    memset(text + 40000, ']', 40000);
    static const size_t levels[] = {200, 40000};
    for (size_t i = 0; i < RN_COUNT(levels); i++) {
        ck_assert_int_eq(read_text(text + 40000 - levels[i], 2 * levels[i], 8), RATION_PLAN);
        ck_assert_str_eq(
            support_error(&error),
            "t.yaml:1:9: error: nested deeper than 8 levels (flatten this part of the file)");
    }
    size_t length = 0;
    for (size_t level = 0; level < 200; level++) {
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%*sk:\n", (int)level, "");
    }
    ck_assert_int_eq(read_text(text, length, RN_YAML_PLAN_DEPTH_MAX), RATION_PLAN);
    ck_assert_str_eq(
        support_error(&error),
        "t.yaml:33:33: error: nested deeper than 32 levels (flatten this part of the file)");
}
END_TEST

START_TEST(test_yaml__refuses_too_many_keys)
{
    static char text[16384];
    size_t length = 0;
    for (int i = 0; i < 1025; i++) {
        length += (size_t)snprintf(text + length, sizeof(text) - length, "k%d: 1\n", i);
        if (i == 1023) {
            support_ok(read_text(text, length, 8), &error);
            ck_assert_uint_eq(file.root->count, 1024);
            close_text();
        }
    }
    ck_assert_int_eq(read_text(text, length, 8), RATION_PLAN);
    ck_assert_str_eq(support_error(&error),
                     "t.yaml:1025:1: error: more than 1024 keys in one mapping (is this the right "
                     "file?)");
}
END_TEST

/* ----------------------------------------------------------------------------------------- file */

static char *fill(size_t length)
{
    char *text = (char *)malloc(length + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, '#', length);
    text[length] = '\0';
    return text;
}

START_TEST(test_yaml__reads_up_to_256_kib)
{
    char folder[256], expected[1200], path[512];
    rn_copy_text(folder, sizeof(folder), support_folder());
    char *text = fill(300 * 1024);
    rn_copy_text(path, sizeof(path), support_write(folder, "big.yaml", text, 300 * 1024));
    ck_assert_int_eq(rn_yaml_read(path, NULL, 0, 8, RATION_CONFIG, &file, &error), RATION_CONFIG);
    snprintf(expected, sizeof(expected),
             "%s: error: the file has 300 KiB (307200 bytes); the most that is read is 256 KiB "
             "(is this the right file?)",
             path);
    ck_assert_str_eq(support_error(&error), expected);
    ck_assert_int_eq(read_text(text, RN_YAML_BYTES_MAX + 1, 8), RATION_PLAN);
    rn_copy_text(path, sizeof(path), support_write(folder, "full.yaml", text, RN_YAML_BYTES_MAX));
    support_ok(rn_yaml_read(path, NULL, 0, 8, RATION_CONFIG, &file, &error), &error);
    close_text();
    free(text);
    rn_copy_text(path, sizeof(path), support_write(folder, "small.yaml", "a: 1\n", 5));
    support_ok(rn_yaml_read(path, NULL, 0, 8, RATION_CONFIG, &file, &error), &error);
    ck_assert_str_eq(rn_yaml_get(file.root, "a")->text, "1");
    close_text();
    support_remove(folder);
}
END_TEST

static void expect_file_error(const char *path, const char *message)
{
    char expected[1200];
    ck_assert_int_eq(rn_yaml_read(path, NULL, 0, 8, RATION_CONFIG, &file, &error), RATION_FILE);
    snprintf(expected, sizeof(expected), "%s: error: %s", path, message);
    ck_assert_str_eq(support_error(&error), expected);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}

START_TEST(test_yaml__refuses_what_is_no_file)
{
    char folder[256], path[512];
    rn_copy_text(folder, sizeof(folder), support_folder());
    snprintf(path, sizeof(path), "%s/missing.yaml", folder);
    expect_file_error(path, "cannot open it: No such file or directory (check the path)");
    expect_file_error(folder, "cannot read it: Is a directory");
    expect_file_error("/dev/zero", "not a regular file (name a regular file)");
    snprintf(path, sizeof(path), "%s/pipe", folder);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    expect_file_error(path, "not a regular file (name a regular file)");
    rn_copy_text(path, sizeof(path), support_write(folder, "closed.yaml", "a: 1\n", 5));
    ck_assert_int_eq(chmod(path, 0), 0);
    if (geteuid() != 0) {
        expect_file_error(path, "cannot open it: Permission denied (check the permissions)");
    } else {
        printf("skipped: permissions do not bind root\n");
    }
    support_remove(folder);
}
END_TEST

/* -------------------------------------------------------------------------------------- readers */

static const char *const colours[] = {"red", "green", "blue"};
static const char *const known[] = {"rows", "ratio",  "bytes",  "flag",
                                    "text", "colour", "factor", "inner"};

/* Reads one value of every type, the way a module does. */
static ration_status read_all(const rn_yaml *node)
{
    int64_t rows = 7, ratio = 7, bytes = 7;
    bool flag = false;
    const char *text = "default";
    size_t colour = 0;
    double factor = 7;
    RN_TRY(rn_yaml_check_keys(&file, node, known, RN_COUNT(known), &error));
    RN_TRY(rn_yaml_int64(&file, rn_yaml_get(node, "rows"), 1, 1000, &rows, &error));
    RN_TRY(rn_yaml_ratio(&file, rn_yaml_get(node, "ratio"), 1, 1000000, &ratio, &error));
    RN_TRY(rn_yaml_bytes(&file, rn_yaml_get(node, "bytes"), 4096, INT64_MAX, &bytes, &error));
    RN_TRY(rn_yaml_bool(&file, rn_yaml_get(node, "flag"), &flag, &error));
    RN_TRY(rn_yaml_string(&file, rn_yaml_get(node, "text"), &text, &error));
    RN_TRY(rn_yaml_choice(&file, rn_yaml_get(node, "colour"), colours, RN_COUNT(colours), &colour,
                          &error));
    RN_TRY(rn_yaml_double(&file, rn_yaml_get(node, "factor"), 0, 10, &factor, &error));
    const rn_yaml *inner = rn_yaml_get(node, "inner");
    if (inner != NULL) {
        const rn_yaml *list = NULL;
        RN_TRY(rn_yaml_require(&file, inner, "list", &list, &error));
        RN_TRY(rn_yaml_expect(&file, list, RN_YAML_SEQUENCE, &error));
        for (const rn_yaml *item = list->first; item != NULL; item = item->next) {
            RN_TRY(rn_yaml_int64(&file, item, 0, 9, &rows, &error));
        }
    }
    return RATION_OK;
}

START_TEST(test_values__read_every_type)
{
    int64_t rows = 7, ratio = 7, bytes = 7;
    bool flag = false;
    const char *text = NULL;
    size_t colour = 0;
    double factor = 7;
    open_text("rows: 12\nratio: 80%\nbytes: 1.5 KiB\nflag: true\ntext: \"null\"\ncolour: "
              "blue\nfactor: 2.5e-1\n");
    const rn_yaml *root = file.root;
    support_ok(rn_yaml_int64(&file, rn_yaml_get(root, "rows"), 12, 12, &rows, &error), &error);
    support_ok(rn_yaml_ratio(&file, rn_yaml_get(root, "ratio"), 0, 1000000, &ratio, &error),
               &error);
    support_ok(rn_yaml_bytes(&file, rn_yaml_get(root, "bytes"), 0, INT64_MAX, &bytes, &error),
               &error);
    support_ok(rn_yaml_bool(&file, rn_yaml_get(root, "flag"), &flag, &error), &error);
    support_ok(rn_yaml_string(&file, rn_yaml_get(root, "text"), &text, &error), &error);
    support_ok(rn_yaml_choice(&file, rn_yaml_get(root, "colour"), colours, 3, &colour, &error),
               &error);
    support_ok(rn_yaml_double(&file, rn_yaml_get(root, "factor"), 0, 1, &factor, &error), &error);
    ck_assert(rows == 12 && ratio == 800000 && bytes == 1536 && flag && colour == 2 &&
              factor > 0.24 && factor < 0.26);
    ck_assert_str_eq(text, "null");
    close_text();
}
END_TEST

START_TEST(test_values__absent_keys_keep_their_defaults)
{
    int64_t rows = 7;
    const char *text = "default";
    open_text("");
    support_ok(read_all(file.root), &error);
    support_ok(rn_yaml_int64(&file, NULL, 0, 1, &rows, &error), &error);
    support_ok(rn_yaml_string(&file, NULL, &text, &error), &error);
    ck_assert_int_eq(rows, 7);
    ck_assert_str_eq(text, "default");
    close_text();
}
END_TEST

static const struct bad_text bad_values[] = {
    {"row: 1", "t.yaml:1:1: error: unknown key 'row' (did you mean 'rows'?)", 0},
    {"\n  zzzzzzzz: 1",
     "t.yaml:2:3: error: unknown key 'zzzzzzzz' (known: rows, ratio, bytes, flag, text, "
     "colour, "
     "factor, inner)",
     0},
    {"[1]",
     "t.yaml:1:1: error: expected a mapping, found a sequence (write one `key: value` per "
     "line)",
     0},
    {"hello",
     "t.yaml:1:1: error: expected a mapping, found 'hello' (write one `key: value` per line)", 0},
    {"rows: 0", "t.yaml:1:7: error: rows: expected a whole number from 1 to 1000, found '0'", 0},
    {"rows: 1001", "t.yaml:1:7: error: rows: expected a whole number from 1 to 1000, found '1001'",
     0},
    {"rows: 1.5", "t.yaml:1:7: error: rows: expected a whole number from 1 to 1000, found '1.5'",
     0},
    {"rows: '5'",
     "t.yaml:1:7: error: rows: expected a whole number from 1 to 1000, found \"5\" (take the "
     "quotes "
     "away)",
     0},
    {"rows:", "t.yaml:1:6: error: rows: expected a whole number from 1 to 1000, found nothing", 0},
    {"rows: {a: 1}",
     "t.yaml:1:7: error: rows: expected a whole number from 1 to 1000, found a mapping", 0},
    {"bytes: 4095",
     "t.yaml:1:8: error: bytes: expected a whole amount of bytes of at least 4 KiB, found "
     "'4095'",
     0},
    {"ratio: nan",
     "t.yaml:1:8: error: ratio: expected a ratio from 0.000001 to 1, found 'nan' "
     "(write it as 0.8 or 80%, with at most six decimals)",
     0},
    {"flag: yes",
     "t.yaml:1:7: error: flag: expected true or false, found 'yes' (write true, without quotes)",
     0},
    {"text: ~", "t.yaml:1:7: error: text: expected a text, found nothing", 0},
    {"text: [a]", "t.yaml:1:7: error: text: expected a text, found a sequence", 0},
    {"colour: gren",
     "t.yaml:1:9: error: colour: expected red, green or blue, found 'gren' (did you mean "
     "'green'?)",
     0},
    {"colour: 5", "t.yaml:1:9: error: colour: expected red, green or blue, found '5'", 0},
    {"colour: []", "t.yaml:1:9: error: colour: expected red, green or blue, found a sequence", 0},
    {"factor: nan", "t.yaml:1:9: error: factor: expected a number from 0 to 10, found 'nan'", 0},
    {"factor: inf", "t.yaml:1:9: error: factor: expected a number from 0 to 10, found 'inf'", 0},
    {"factor: 10.5", "t.yaml:1:9: error: factor: expected a number from 0 to 10, found '10.5'", 0},
    {"inner: {}", "t.yaml:1:8: error: the key 'list' is missing", 0},
    {"inner: 5",
     "t.yaml:1:8: error: inner: expected a mapping, found '5' (write one `key: value` per "
     "line)",
     0},
    {"inner:\n  list: 5",
     "t.yaml:2:9: error: list: expected a sequence, found '5' (write `[a, b]`, or one `- item` "
     "per line)",
     0},
    {"inner:\n  list: [1, 12]",
     "t.yaml:2:13: error: expected a whole number from 0 to 9, found '12'", 0},
    {"rows: "
     "\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC"
     "\xC3\xBC\xC3\xBC"
     "\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBCx\xC3\xBC\xC3\xBC",
     "t.yaml:1:7: error: rows: expected a whole number from 1 to 1000, found "
     "'\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC"
     "\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC"
     "\xC3\xBC\xC3\xBC\xC3\xBCx...'",
     0},
};

START_TEST(test_values__refuse_with_key_and_place)
{
    for (size_t i = 0; i < RN_COUNT(bad_values); i++) {
        open_text(bad_values[i].text);
        ck_assert_msg(read_all(file.root) == RATION_PLAN, "accepted: %s", bad_values[i].text);
        ck_assert_str_eq(support_error(&error), bad_values[i].error);
        close_text();
    }
    open_text("");
    ck_assert_int_eq(rn_yaml_expect(&file, file.root, RN_YAML_MAPPING, &error), RATION_PLAN);
    ck_assert_str_eq(
        support_error(&error),
        "t.yaml:1:1: error: expected a mapping, found nothing (write one `key: value` per line)");
    close_text();
}
END_TEST

START_TEST(test_values__open_ranges_read_well)
{
    int64_t value = 7;
    double number = 7;
    open_text("a: x");
    const rn_yaml *node = file.root->first;
    static const struct {
        int64_t minimum, maximum;
        const char *expected;
    } rows[] = {{INT64_MIN, INT64_MAX, "a: expected a whole number, found 'x'"},
                {INT64_MIN, 5, "a: expected a whole number up to 5, found 'x'"},
                {-5, INT64_MAX, "a: expected a whole number of at least -5, found 'x'"}};
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        ck_assert_int_eq(
            rn_yaml_int64(&file, node, rows[i].minimum, rows[i].maximum, &value, &error),
            RATION_PLAN);
        ck_assert_str_eq(error.message, rows[i].expected);
    }
    double infinite = __builtin_inf();
    ck_assert_int_eq(rn_yaml_double(&file, node, -infinite, infinite, &number, &error),
                     RATION_PLAN);
    ck_assert_str_eq(error.message, "a: expected a number, found 'x'");
    ck_assert_int_eq(rn_yaml_double(&file, node, 0.5, infinite, &number, &error), RATION_PLAN);
    ck_assert_str_eq(error.message, "a: expected a number of at least 0.5, found 'x'");
    ck_assert_int_eq(value, 7);
    close_text();
}
END_TEST

/* --------------------------------------------------------------------------------------- faults */

/* Fails the nth allocation, once and for ever, until one run gets through. */
START_TEST(test_yaml__survives_every_failed_allocation)
{
    static char text[20000];
    size_t length = 0;
    for (int i = 0; i < 400; i++) {
        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "key_%d: {a: [1, 2, 'x']}\n", i);
    }
    for (int forever = 0; forever < 2; forever++) {
        ration_status status = RATION_NO_MEMORY;
        int n = 0;
        for (n = 1; status != RATION_OK && n < 1000; n++) {
            file.path = "untouched";
            rn_heap_fail_after(n, forever != 0);
            status = read_text(text, length, 8);
            rn_heap_fail_after(0, false);
            if (status != RATION_OK) {
                ck_assert_int_eq(status, RATION_NO_MEMORY);
                ck_assert_str_eq(support_error(&error),
                                 "t.yaml: error: no memory to read this file");
                ck_assert_str_eq(file.path, "untouched");
            } else {
                ck_assert_uint_eq(file.root->count, 400);
                rn_yaml_free(&file);
            }
            ck_assert_int_eq(rn_heap_bytes(), 0);
        }
        ck_assert_int_eq(status, RATION_OK);
        ck_assert_int_gt(n, 3);
    }
}
END_TEST

START_TEST(test_yaml__survives_failed_allocations_of_a_file)
{
    char folder[256], path[512];
    rn_copy_text(folder, sizeof(folder), support_folder());
    rn_copy_text(path, sizeof(path), support_write(folder, "a.yaml", "a: [1, 2]\n", 10));
    ration_status status = RATION_NO_MEMORY;
    int n = 0;
    while (status != RATION_OK && n < 100) {
        rn_heap_fail_after(++n, false);
        status = rn_yaml_read(path, NULL, 0, 8, RATION_CONFIG, &file, &error);
        rn_heap_fail_after(0, false);
        ck_assert(status == RATION_OK || status == RATION_NO_MEMORY);
        if (status == RATION_OK) {
            rn_yaml_free(&file);
        }
        ck_assert_int_eq(rn_heap_bytes(), 0);
    }
    ck_assert_int_eq(n, 4); /* the bytes, the arena, its first block; then it passes */
    support_remove(folder);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_yaml__folds_events_into_a_tree,
        test_yaml__empty_documents_have_no_root,
        test_yaml__depth_is_exact,
        test_yaml__refuses_with_place,
        test_yaml__deep_nesting_ends_early,
        test_yaml__refuses_too_many_keys,
        test_yaml__reads_up_to_256_kib,
        test_yaml__refuses_what_is_no_file,
        test_values__read_every_type,
        test_values__absent_keys_keep_their_defaults,
        test_values__refuse_with_key_and_place,
        test_values__open_ranges_read_well,
        test_yaml__survives_every_failed_allocation,
        test_yaml__survives_failed_allocations_of_a_file,
    };
    return support_run("yaml", tests, RN_COUNT(tests));
}

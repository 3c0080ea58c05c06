/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests: what they give, and every mistake with its place. */
#include "storage/manifest.h"

#include "tests/storage/store.h"

static const char full[] =
    "delimiter: \"|\"\n"
    "header: true\n"
    "null: \"\\\\N\"\n"
    "nodes:\n"
    "  Person:\n"
    "    file: person.csv\n"
    "    key: id\n"
    "    columns: { name: string, id: int64, junk: skip, born: date }\n"
    "  City: { key_type: string }\n"
    "  Place:\n"
    "edges:\n"
    "  knows:\n"
    "    file: [a.csv, /abs/b.csv]\n"
    "    from: Person\n"
    "    to: Person\n"
    "    delimiter: blank\n"
    "    header: false\n"
    "    null: \"\"\n"
    "    quoting: false\n"
    "    columns: { a: from, since: timestamp, b: to, x: skip, w: double }\n";

START_TEST(test_manifest__reads_everything)
{
    rn_manifest manifest;
    ration_error error = {0};

    support_ok(rn_manifest_read("dir/m.yaml", full, sizeof full - 1, &manifest, &error), &error);
    ck_assert_uint_eq(manifest.label_count, 3);
    ck_assert_uint_eq(manifest.type_count, 1);
    const rn_manifest_table *person = &manifest.labels[0];
    ck_assert_str_eq(person->name, "Person");
    ck_assert_int_eq(person->line, 5);
    ck_assert_int_eq(person->column, 3);
    ck_assert_str_eq(person->files[0].path, "dir/person.csv");
    ck_assert_int_eq(person->files[0].line, 6);
    ck_assert_uint_eq(person->column_count, 4);
    ck_assert_uint_eq(person->property_count, 3);
    ck_assert_uint_eq(person->key, 1);
    ck_assert_int_eq(person->columns[2].role, RN_MANIFEST_SKIP);
    ck_assert_int_eq(person->columns[3].kind, RN_DATE);
    ck_assert_int_eq(person->dialect.delimiter, '|');
    ck_assert(person->dialect.header && person->dialect.quoting);
    ck_assert_str_eq(person->null, "\\N");
    ck_assert_uint_eq(manifest.labels[1].file_count, 0);
    ck_assert_str_eq(manifest.labels[1].columns[0].name, "id");
    ck_assert_int_eq(manifest.labels[1].columns[0].kind, RN_STRING);
    ck_assert_int_eq(manifest.labels[2].columns[0].kind, RN_INT64);
    const rn_manifest_table *knows = &manifest.types[0];
    ck_assert_uint_eq(knows->file_count, 2);
    ck_assert_str_eq(knows->files[0].path, "dir/a.csv");
    ck_assert_str_eq(knows->files[1].path, "/abs/b.csv");
    ck_assert_int_eq(knows->dialect.separation, RN_CSV_BLANKS);
    ck_assert(!knows->dialect.header && !knows->dialect.quoting);
    ck_assert_uint_eq(knows->null_length, 0);
    ck_assert_uint_eq(knows->property_count, 2);
    ck_assert_int_eq(knows->columns[0].role, RN_MANIFEST_FROM);
    ck_assert_int_eq(knows->columns[2].role, RN_MANIFEST_TO);
    ck_assert_int_eq(knows->columns[4].kind, RN_DOUBLE);
    rn_manifest_free(&manifest);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

/* The path of the only file of a manifest with this `base` line, lying at `path`. */
static void check_base(const char *path, const char *base, const char *expected)
{
    char text[256];
    rn_manifest manifest;
    ration_error error = {0};

    snprintf(text, sizeof text, "%snodes: { P: { file: p.csv, columns: { id: int64 } } }\n", base);
    support_ok(rn_manifest_read(path, text, strlen(text), &manifest, &error), &error);
    ck_assert_str_eq(manifest.labels[0].files[0].path, expected);
    rn_manifest_free(&manifest);
}

START_TEST(test_manifest__files_are_relative_to_manifest_or_base)
{
    check_base("m.yaml", "", "p.csv");
    check_base("/d/m.yaml", "", "/d/p.csv");
    check_base("d/m.yaml", "base: ../e\n", "d/../e/p.csv");
    check_base("d/m.yaml", "base: e/\n", "d/e/p.csv");
    check_base("d/m.yaml", "base: /e\n", "/e/p.csv");
}
END_TEST

static void check_error(const char *text, const char *expected)
{
    rn_manifest manifest;
    ration_error error = {0};

    ck_assert_int_eq(rn_manifest_read("m.yaml", text, strlen(text), &manifest, &error),
                     RATION_CONFIG);
    ck_assert_str_eq(support_error(&error), expected);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}

#define NODE_A "nodes: { A: { file: a.csv, columns: { id: int64 } } }\n"

START_TEST(test_manifest__names_the_place_of_a_mistake)
{
    check_error("", "m.yaml:1:1: error: the manifest is empty (it needs 'nodes' at least)");
    check_error("edges: {}\n", "m.yaml:1:1: error: the manifest has no labels (name at least one "
                               "label under 'nodes')");
    check_error("nodes:\n  A:\n    file: a.csv\n",
                "m.yaml:3:5: error: the key 'columns' is missing");
    check_error("nodes: { A: { columns: { id: int64 } } }\n",
                "m.yaml:1:15: error: 'columns' means nothing for a label without a file (name its "
                "file, or remove this key)");
    check_error("nodes: { A: { file: a, columns: { id: double } } }\n",
                "m.yaml:1:13: error: the key column 'id' of 'A' must be int64 or string (name "
                "another column with 'key')");
    check_error("nodes: { A: { file: a, key: nmae, columns: { id: int64, name: string } } }\n",
                "m.yaml:1:29: error: 'nmae' is no column of 'A' (did you mean 'name'?)");
    check_error("nodes: { A: { file: a, key_type: int64, columns: { id: int64 } } }\n",
                "m.yaml:1:24: error: 'key_type' is for labels without a file (the key column has "
                "a type already)");
    check_error("delimiter: \"ab\"\n" NODE_A,
                "m.yaml:1:12: error: 'ab' cannot be a delimiter (use one ASCII character, \"\\t\" "
                "for a tab, or blank for runs of spaces and tabs)");
    check_error("nodes: { A: { file: [], columns: { id: int64 } } }\n",
                "m.yaml:1:21: error: an empty list of files");
    check_error(NODE_A "edges: { e: { file: e, from: A, to: B, columns: { a: from, b: to } } }\n",
                "m.yaml:2:37: error: 'B' is no label of this manifest (did you mean 'A'?)");
    check_error(NODE_A "edges: { e: { file: e, from: A, to: A, columns: { a: from, b: from } } }\n",
                "m.yaml:2:49: error: 'e' has 2 columns 'from' and 0 columns 'to' (exactly one of "
                "each is needed)");
    check_error(NODE_A "edges: { e: { from: A, to: A, columns: { a: from, b: to } } }\n",
                "m.yaml:2:13: error: the key 'file' is missing");
}
END_TEST

/* Mistakes whose wording is config/yaml.c's: the place and the suggestion count. */
static void check_part(const char *text, int line, int column, const char *part)
{
    rn_manifest manifest;
    ration_error error = {0};

    ck_assert_int_eq(rn_manifest_read("m.yaml", text, strlen(text), &manifest, &error),
                     RATION_CONFIG);
    ck_assert_msg(strstr(support_error(&error), part) != NULL, "%s", support_error(&error));
    ck_assert_msg(error.line == line && error.column == column, "%s", support_error(&error));
    ck_assert_int_eq(rn_heap_bytes(), 0);
}

START_TEST(test_manifest__suggests_the_nearest_word)
{
    check_part("node: {}\n", 1, 1, "'nodes'");
    check_part("nodes:\n  A: { fiel: a.csv }\n", 2, 8, "'file'");
    check_part("nodes:\n  A: { file: a, columns: { id: int46 } }\n", 2, 32, "'int64'");
    check_part("nodes:\n  A: { file: a, columns: { id: from } }\n", 2, 32, "from");
    check_part(NODE_A "edges:\n  e: { file: e, form: A }\n", 3, 17, "'from'");
    check_part("header: maybe\n" NODE_A, 1, 9, "maybe");
    check_part("nodes: { A: { key_type: date } }\n", 1, 25, "date");
    check_part("nodes: { A: {}, A: {} }\n", 1, 17, "A");
    check_part("nodes: [A]\n", 1, 8, "mapping");
    check_part("nodes: { \"\": {} }\n", 1, 10, "empty");
    check_part("nodes: { A12345678901234567890123456789012345678901234567890123456789012345: }\n",
               1, 10, "longer than 63 bytes");
}
END_TEST

START_TEST(test_manifest__counts_columns_and_properties)
{
    static char text[32768];
    rn_manifest manifest;
    ration_error error = {0};

    for (int count = 249; count <= 251; count++) {
        int at = snprintf(text, sizeof text, "nodes:\n  A:\n    file: a\n    columns:\n");
        for (int i = 0; i < count; i++) {
            at += snprintf(text + at, sizeof text - (size_t)at, "      c%d: int64\n", i);
        }
        ration_status status = rn_manifest_read("m.yaml", text, (size_t)at, &manifest, &error);
        ck_assert_int_eq(status, count <= 250 ? RATION_OK : RATION_CONFIG);
        if (status == RATION_OK) {
            rn_manifest_free(&manifest);
        } else {
            ck_assert_str_eq(error.message, "251 properties; at most 250 are possible");
        }
    }
}
END_TEST

START_TEST(test_manifest__every_fault_is_a_status)
{
    for (int forever = 0; forever <= 1; forever++) {
        bool failed = true;
        for (int64_t n = 1; failed; n++) {
            rn_manifest manifest;
            ration_error error = {0};
            rn_heap_fail_after(n, forever);
            ration_status status =
                rn_manifest_read("m.yaml", full, sizeof full - 1, &manifest, &error);
            rn_heap_fail_after(0, false);
            failed = status != RATION_OK;
            if (failed) {
                ck_assert_int_eq(status, RATION_NO_MEMORY);
                ck_assert_int_eq(error.status, RATION_NO_MEMORY);
            } else {
                ck_assert_int_gt(n, 3);
                rn_manifest_free(&manifest);
            }
            ck_assert_int_eq(rn_heap_bytes(), 0);
        }
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_manifest__reads_everything,
                                  test_manifest__files_are_relative_to_manifest_or_base,
                                  test_manifest__names_the_place_of_a_mistake,
                                  test_manifest__suggests_the_nearest_word,
                                  test_manifest__counts_columns_and_properties,
                                  test_manifest__every_fault_is_a_status};
    return support_run("manifest", tests, RN_COUNT(tests));
}

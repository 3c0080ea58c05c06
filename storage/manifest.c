/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests: YAML -> tables of columns and files. What the format means is docs/graphs.md's; this
 * file checks all of it, so that the loader meets no contradiction.
 *
 * Invariants of what rn_manifest_read hands out
 *  1. A label has a key column of kind int64 or string; without files it has that column alone.
 *  2. An edge type has exactly one `from` and one `to` column, and its ends are labels of the
 *     manifest.
 *  3. Names are not empty and fit RN_NAME_BYTES; at most 250 properties, 512 columns, 65,534
 *     labels and types each. */
#include "storage/manifest.h"

#include "config/yaml.h"

static const char *const top_keys[] = {"base",    "delimiter", "header", "null",
                                       "quoting", "nodes",     "edges"};
static const char *const label_keys[] = {"file",      "key",    "key_type", "columns",
                                         "delimiter", "header", "null",     "quoting"};
static const char *const type_keys[] = {"file",      "from",   "to",   "columns",
                                        "delimiter", "header", "null", "quoting"};
static const char *const label_columns[] = {"bool",      "int64",  "double", "date",
                                            "timestamp", "string", "skip"};
static const char *const type_columns[] = {"bool",   "int64", "double", "date", "timestamp",
                                           "string", "from",  "to",     "skip"};
static const char *const key_types[] = {"int64", "string"};

/* What an entry takes from the top of the manifest unless it says otherwise. */
typedef struct settings {
    rn_csv_dialect dialect;
    const char *null;
} settings;

typedef struct reader {
    const rn_yaml_file *file;
    rn_manifest *manifest;
    const char *base; /* put before relative names; "" or ends in '/' */
    ration_error *error;
} reader;

static ration_status refuse_memory(const reader *r)
{
    return rn_error_set(r->error, RATION_NO_MEMORY, "", "no memory to read the manifest");
}

static ration_status keep_text(const reader *r, const char *text, const char **out_text)
{
    const char *copy = rn_arena_copy(&r->manifest->arena, text, strlen(text));

    if (copy == NULL) {
        return refuse_memory(r);
    }
    *out_text = copy;
    return RATION_OK;
}

/* `count` zeroed entries; one when there are none. */
static ration_status keep_array(const reader *r, size_t count, size_t size, void *out_array)
{
    void *array = rn_arena_allocate(&r->manifest->arena, RN_MAX(count, (size_t)1) * size);

    if (array == NULL) {
        return refuse_memory(r);
    }
    memcpy(out_array, &array, sizeof array);
    return RATION_OK;
}

/* ------------------------------------------------------------------------------------- settings */

static ration_status read_delimiter(const reader *r, const rn_yaml *node, rn_csv_dialect *into)
{
    const char *text = NULL;

    RN_TRY(rn_yaml_string(r->file, node, &text, r->error));
    if (text == NULL) {
        return RATION_OK;
    }
    if (strcmp(text, "blank") == 0) {
        into->separation = RN_CSV_BLANKS;
        return RATION_OK;
    }
    unsigned char byte = (unsigned char)text[0];
    bool control = byte < 0x20 && byte != '\t';
    if (text[0] == '\0' || text[1] != '\0' || byte >= 0x7F || control || byte == '"') {
        return rn_yaml_error(r->file, node, r->error,
                             "use one ASCII character, \"\\t\" for a tab, or blank for runs of "
                             "spaces and tabs",
                             "'%s' cannot be a delimiter", text);
    }
    into->separation = RN_CSV_CHARACTER;
    into->delimiter = text[0];
    return RATION_OK;
}

static ration_status read_settings(const reader *r, const rn_yaml *node, settings *into)
{
    const rn_yaml *null = rn_yaml_get(node, "null");

    RN_TRY(read_delimiter(r, rn_yaml_get(node, "delimiter"), &into->dialect));
    RN_TRY(rn_yaml_bool(r->file, rn_yaml_get(node, "header"), &into->dialect.header, r->error));
    RN_TRY(rn_yaml_bool(r->file, rn_yaml_get(node, "quoting"), &into->dialect.quoting, r->error));
    if (null != NULL) {
        RN_TRY(rn_yaml_expect(r->file, null, RN_YAML_SCALAR, r->error));
        into->null = null->text;
    }
    return RATION_OK;
}

static ration_status keep_settings(const reader *r, const settings *from, rn_manifest_table *into)
{
    into->dialect = from->dialect;
    into->null_length = (uint32_t)strlen(from->null);
    return keep_text(r, from->null, &into->null);
}

/* ---------------------------------------------------------------------------------------- files */

static ration_status keep_file(const reader *r, const rn_yaml *node, rn_manifest_file *into)
{
    const char *name = NULL;

    RN_TRY(rn_yaml_string(r->file, node, &name, r->error));
    if (name == NULL || name[0] == '\0') {
        return rn_yaml_error(r->file, node, r->error, "", "a file needs a name");
    }
    size_t base = name[0] == '/' ? 0 : strlen(r->base);
    size_t length = strlen(name);
    char *path = rn_arena_allocate(&r->manifest->arena, base + length + 1);
    if (path == NULL) {
        return refuse_memory(r);
    }
    memcpy(path, r->base, base);
    memcpy(path + base, name, length);
    into->path = path;
    into->line = node->line;
    into->column = node->column;
    return RATION_OK;
}

/* `file` is a name or a list of names. */
static ration_status read_files(const reader *r, const rn_yaml *node, rn_manifest_table *into)
{
    bool list = node->kind == RN_YAML_SEQUENCE;
    const rn_yaml *name = list ? node->first : node;

    if (list && node->count == 0) {
        return rn_yaml_error(r->file, node, r->error, "", "an empty list of files");
    }
    uint32_t count = list ? (uint32_t)node->count : 1;
    RN_TRY(keep_array(r, count, sizeof *into->files, &into->files));
    for (uint32_t i = 0; i < count; i++, name = name->next) {
        RN_TRY(keep_file(r, name, &into->files[i]));
    }
    into->file_count = count;
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- columns */

static ration_status check_name(const reader *r, const rn_yaml *node, const char *what)
{
    rn_assert(node->key[0] != '\0');
    if (strlen(node->key) >= RN_NAME_BYTES) {
        return rn_yaml_error_key(r->file, node, r->error, "",
                                 "the name of %s is longer than %d bytes", what, RN_NAME_BYTES - 1);
    }
    return RATION_OK;
}

static ration_status read_column(const reader *r, const rn_yaml *node, bool edges,
                                 rn_manifest_column *into)
{
    const char *const *names = edges ? type_columns : label_columns;
    size_t count = edges ? RN_COUNT(type_columns) : RN_COUNT(label_columns);
    size_t index;

    RN_TRY(check_name(r, node, "a column"));
    RN_TRY(rn_yaml_choice(r->file, node, names, count, &index, r->error));
    RN_TRY(keep_text(r, node->key, &into->name));
    const char *name = names[index];
    if (strcmp(name, "from") == 0) {
        into->role = RN_MANIFEST_FROM;
    } else if (strcmp(name, "to") == 0) {
        into->role = RN_MANIFEST_TO;
    } else if (strcmp(name, "skip") == 0) {
        into->role = RN_MANIFEST_SKIP;
    } else {
        into->role = RN_MANIFEST_VALUE;
        (void)rn_always(rn_kind_parse(name, &into->kind));
    }
    return RATION_OK;
}

static ration_status read_columns(const reader *r, const rn_yaml *table, bool edges,
                                  rn_manifest_table *into)
{
    const rn_yaml *columns = NULL;
    uint32_t at = 0;

    RN_TRY(rn_yaml_require(r->file, table, "columns", &columns, r->error));
    RN_TRY(rn_yaml_expect(r->file, columns, RN_YAML_MAPPING, r->error));
    if (columns->count == 0 || columns->count > RN_CSV_FIELDS_MAX) {
        return rn_yaml_error(r->file, columns, r->error, "", "%zu columns; 1 to %u are possible",
                             columns->count, RN_CSV_FIELDS_MAX);
    }
    RN_TRY(keep_array(r, columns->count, sizeof *into->columns, &into->columns));
    for (const rn_yaml *node = columns->first; node != NULL; node = node->next) {
        RN_TRY(read_column(r, node, edges, &into->columns[at]));
        into->property_count += into->columns[at].role == RN_MANIFEST_VALUE;
        at++;
    }
    into->column_count = at;
    if (into->property_count > RN_MANIFEST_PROPERTIES_MAX) {
        return rn_yaml_error(r->file, columns, r->error, "skip those that are not wanted",
                             "%u properties; at most %u are possible", into->property_count,
                             RN_MANIFEST_PROPERTIES_MAX);
    }
    return RATION_OK;
}

/* --------------------------------------------------------------------------------------- labels */

/* The column called `key`, by default the first. */
static ration_status read_key(const reader *r, const rn_yaml *node, rn_manifest_table *into)
{
    const rn_yaml *key = rn_yaml_get(node, "key");
    const char *name = into->columns[0].name;
    const char *names[RN_CSV_FIELDS_MAX];
    uint32_t index = 0;

    RN_TRY(rn_yaml_string(r->file, key, &name, r->error));
    while (index < into->column_count && strcmp(into->columns[index].name, name) != 0) {
        names[index] = into->columns[index].name;
        index++;
    }
    if (index == into->column_count) {
        const char *nearest = rn_nearest(name, names, into->column_count);
        char hint[RN_NAME_BYTES + 32] = "";
        if (nearest != NULL) {
            (void)snprintf(hint, sizeof hint, "did you mean '%s'?", nearest);
        }
        return rn_yaml_error(r->file, key, r->error, hint, "'%s' is no column of '%s'", name,
                             node->key);
    }
    const rn_manifest_column *column = &into->columns[index];
    bool good = column->role == RN_MANIFEST_VALUE &&
                (column->kind == RN_INT64 || column->kind == RN_STRING);
    if (!good) {
        return rn_yaml_error(
            r->file, key != NULL ? key : node, r->error, "name another column with 'key'",
            "the key column '%s' of '%s' must be int64 or string", name, node->key);
    }
    into->key = index;
    return RATION_OK;
}

/* A label without a file: its nodes are the ids that edges name. */
static ration_status read_bare_label(const reader *r, const rn_yaml *node, rn_manifest_table *into)
{
    static const char *const forbidden[] = {"key",    "columns", "delimiter",
                                            "header", "null",    "quoting"};
    size_t index = 0;

    for (size_t i = 0; i < RN_COUNT(forbidden); i++) {
        const rn_yaml *value = rn_yaml_get(node, forbidden[i]);
        if (value != NULL) {
            return rn_yaml_error_key(r->file, value, r->error, "name its file, or remove this key",
                                     "'%s' means nothing for a label without a file", forbidden[i]);
        }
    }
    const rn_yaml *key_type = rn_yaml_get(node, "key_type");
    if (key_type != NULL) {
        RN_TRY(rn_yaml_choice(r->file, key_type, key_types, RN_COUNT(key_types), &index, r->error));
    }
    RN_TRY(keep_array(r, 1, sizeof *into->columns, &into->columns));
    into->columns[0].name = "id";
    into->columns[0].kind = index == 0 ? RN_INT64 : RN_STRING;
    into->column_count = into->property_count = 1;
    return RATION_OK;
}

static ration_status read_label(const reader *r, const rn_yaml *node, const settings *defaults,
                                rn_manifest_table *into)
{
    settings own = *defaults;

    RN_TRY(check_name(r, node, "a label"));
    RN_TRY(keep_text(r, node->key, &into->name));
    into->line = node->key_line;
    into->column = node->key_column;
    if (!rn_yaml_is_null(node)) {
        RN_TRY(rn_yaml_expect(r->file, node, RN_YAML_MAPPING, r->error));
        RN_TRY(rn_yaml_check_keys(r->file, node, label_keys, RN_COUNT(label_keys), r->error));
        RN_TRY(read_settings(r, node, &own));
    }
    RN_TRY(keep_settings(r, &own, into));
    const rn_yaml *file = rn_yaml_get(node, "file");
    if (file == NULL) {
        return read_bare_label(r, node, into);
    }
    const rn_yaml *key_type = rn_yaml_get(node, "key_type");
    if (key_type != NULL) {
        return rn_yaml_error_key(r->file, key_type, r->error, "the key column has a type already",
                                 "'key_type' is for labels without a file");
    }
    RN_TRY(read_files(r, file, into));
    RN_TRY(read_columns(r, node, false, into));
    return read_key(r, node, into);
}

/* ---------------------------------------------------------------------------------------- edges */

static ration_status read_end(const reader *r, const rn_yaml *node, const char *key,
                              uint32_t *out_label)
{
    const rn_manifest *manifest = r->manifest;
    const rn_yaml *value = NULL;
    const char *name = NULL;

    RN_TRY(rn_yaml_require(r->file, node, key, &value, r->error));
    RN_TRY(rn_yaml_string(r->file, value, &name, r->error));
    const char **names = rn_heap_allocate((manifest->label_count + 1) * sizeof *names);
    if (names == NULL) {
        return refuse_memory(r);
    }
    uint32_t found = manifest->label_count;
    for (uint32_t i = 0; i < manifest->label_count; i++) {
        names[i] = manifest->labels[i].name;
        found = strcmp(names[i], name) == 0 ? i : found;
    }
    const char *nearest = rn_nearest(name, names, manifest->label_count);
    rn_heap_free(names, (manifest->label_count + 1) * sizeof *names);
    if (found == manifest->label_count) {
        char hint[RN_NAME_BYTES + 32] = "name it under 'nodes'";
        if (nearest != NULL) {
            (void)snprintf(hint, sizeof hint, "did you mean '%s'?", nearest);
        }
        return rn_yaml_error(r->file, value, r->error, hint, "'%s' is no label of this manifest",
                             name);
    }
    *out_label = found;
    return RATION_OK;
}

static ration_status check_ends(const reader *r, const rn_yaml *node,
                                const rn_manifest_table *table)
{
    uint32_t from = 0, to = 0;

    for (uint32_t i = 0; i < table->column_count; i++) {
        from += table->columns[i].role == RN_MANIFEST_FROM;
        to += table->columns[i].role == RN_MANIFEST_TO;
    }
    if (from == 1 && to == 1) {
        return RATION_OK;
    }
    return rn_yaml_error(r->file, rn_yaml_get(node, "columns"), r->error,
                         "exactly one of each is needed",
                         "'%s' has %u columns 'from' and %u columns 'to'", table->name, from, to);
}

static ration_status read_type(const reader *r, const rn_yaml *node, const settings *defaults,
                               rn_manifest_table *into)
{
    settings own = *defaults;
    const rn_yaml *file;

    RN_TRY(check_name(r, node, "an edge type"));
    RN_TRY(keep_text(r, node->key, &into->name));
    into->line = node->key_line;
    into->column = node->key_column;
    RN_TRY(rn_yaml_expect(r->file, node, RN_YAML_MAPPING, r->error));
    RN_TRY(rn_yaml_check_keys(r->file, node, type_keys, RN_COUNT(type_keys), r->error));
    RN_TRY(read_settings(r, node, &own));
    RN_TRY(keep_settings(r, &own, into));
    RN_TRY(rn_yaml_require(r->file, node, "file", &file, r->error));
    RN_TRY(read_files(r, file, into));
    RN_TRY(read_end(r, node, "from", &into->from));
    RN_TRY(read_end(r, node, "to", &into->to));
    RN_TRY(read_columns(r, node, true, into));
    return check_ends(r, node, into);
}

/* ------------------------------------------------------------------------------------- manifest */

static ration_status check_tables(const reader *r, const rn_yaml *node)
{
    if (node == NULL || rn_yaml_is_null(node)) {
        return RATION_OK;
    }
    RN_TRY(rn_yaml_expect(r->file, node, RN_YAML_MAPPING, r->error));
    if (node->count > RN_MANIFEST_TABLES_MAX) {
        return rn_yaml_error(r->file, node, r->error, "", "more than %u entries",
                             RN_MANIFEST_TABLES_MAX);
    }
    return RATION_OK;
}

/* The folder before relative names: `base`, itself relative to the manifest. */
static ration_status read_base(reader *r, const rn_yaml *root, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash + 1 - path);
    const char *base = "";

    RN_TRY(rn_yaml_string(r->file, rn_yaml_get(root, "base"), &base, r->error));
    size_t length = strlen(base);
    if (base[0] == '/') {
        folder = 0;
    }
    char *joined = rn_arena_allocate(&r->manifest->arena, folder + length + 2);
    if (joined == NULL) {
        return refuse_memory(r);
    }
    memcpy(joined, path, folder);
    memcpy(joined + folder, base, length);
    if (length > 0 && base[length - 1] != '/') {
        joined[folder + length] = '/';
    }
    r->base = joined;
    return RATION_OK;
}

static ration_status read_manifest(reader *r, const char *path)
{
    const rn_yaml *root = r->file->root;
    settings defaults = {{RN_CSV_CHARACTER, ',', true, false, false}, ""};
    rn_manifest *manifest = r->manifest;

    if (root == NULL) {
        return rn_yaml_error(r->file, NULL, r->error, "it needs 'nodes' at least",
                             "the manifest is empty");
    }
    RN_TRY(rn_yaml_expect(r->file, root, RN_YAML_MAPPING, r->error));
    RN_TRY(rn_yaml_check_keys(r->file, root, top_keys, RN_COUNT(top_keys), r->error));
    RN_TRY(read_settings(r, root, &defaults));
    RN_TRY(read_base(r, root, path));
    const rn_yaml *nodes = rn_yaml_get(root, "nodes");
    const rn_yaml *edges = rn_yaml_get(root, "edges");
    RN_TRY(check_tables(r, nodes));
    RN_TRY(check_tables(r, edges));
    if (nodes == NULL || nodes->count == 0) {
        return rn_yaml_error(r->file, nodes, r->error, "name at least one label under 'nodes'",
                             "the manifest has no labels");
    }
    size_t type_count = edges == NULL ? 0 : edges->count;
    RN_TRY(keep_array(r, nodes->count, sizeof *manifest->labels, &manifest->labels));
    RN_TRY(keep_array(r, type_count, sizeof *manifest->types, &manifest->types));
    for (const rn_yaml *node = nodes->first; node != NULL; node = node->next) {
        RN_TRY(read_label(r, node, &defaults, &manifest->labels[manifest->label_count]));
        manifest->label_count++;
    }
    for (const rn_yaml *node = type_count == 0 ? NULL : edges->first; node != NULL;
         node = node->next) {
        RN_TRY(read_type(r, node, &defaults, &manifest->types[manifest->type_count]));
        manifest->type_count++;
    }
    return RATION_OK;
}

ration_status rn_manifest_read(const char *path, const char *text, size_t length,
                               rn_manifest *out_manifest, ration_error *error)
{
    rn_manifest manifest = {.path = path};
    rn_yaml_file file;

    RN_TRY(rn_yaml_read(path, text, length, RN_YAML_CONFIG_DEPTH_MAX, RATION_CONFIG, &file, error));
    reader r = {.file = &file, .manifest = &manifest, .base = "", .error = error};
    ration_status status = read_manifest(&r, path);
    rn_yaml_free(&file);
    if (status != RATION_OK) {
        rn_manifest_free(&manifest);
        return status;
    }
    *out_manifest = manifest;
    return RATION_OK;
}

void rn_manifest_free(rn_manifest *manifest)
{
    rn_arena_free(&manifest->arena);
    memset(manifest, 0, sizeof *manifest);
}

ration_status rn_manifest_edge_list(const char *path, bool weighted, rn_manifest *out_manifest,
                                    ration_error *error)
{
    static const rn_manifest_column columns[] = {{"from", RN_MANIFEST_FROM, RN_INT64},
                                                 {"to", RN_MANIFEST_TO, RN_INT64},
                                                 {"weight", RN_MANIFEST_VALUE, RN_DOUBLE}};
    static const rn_manifest_column id = {"id", RN_MANIFEST_VALUE, RN_INT64};
    static const rn_csv_dialect dialect = {RN_CSV_LOOSE, ',', false, false, true};
    rn_manifest manifest = {.path = path, .label_count = 1, .type_count = 1};
    reader r = {.manifest = &manifest, .base = "", .error = error};
    uint32_t width = weighted ? 3 : 2;
    ration_status status = keep_array(&r, 1, sizeof *manifest.labels, &manifest.labels);

    if (status == RATION_OK) {
        status = keep_array(&r, 1, sizeof *manifest.types, &manifest.types);
    }
    rn_manifest_table label = {.name = "Node", .null = "", .column_count = 1, .property_count = 1};
    rn_manifest_table type = {.name = "edge", .dialect = dialect, .null = "", .file_count = 1};
    if (status == RATION_OK) {
        status = keep_array(&r, 1, sizeof *label.columns, &label.columns);
    }
    if (status == RATION_OK) {
        status = keep_array(&r, width, sizeof *type.columns, &type.columns);
    }
    if (status == RATION_OK) {
        status = keep_array(&r, 1, sizeof *type.files, &type.files);
    }
    if (status != RATION_OK) {
        rn_manifest_free(&manifest);
        return status;
    }
    label.columns[0] = id;
    memcpy(type.columns, columns, width * sizeof *columns);
    type.column_count = width;
    type.property_count = width - 2;
    type.files[0].path = path;
    manifest.labels[0] = label;
    manifest.types[0] = type;
    *out_manifest = manifest;
    return RATION_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of files into chains: rn_load_label, rn_load_type.
 *
 * Every field is parsed where it lies in the reader's buffer; only a string longer than 12 bytes is
 * copied, once, into the graph's context. An edge keeps the positions of its ends within their
 * labels, because a label without a file goes on growing until the last edge is read. Files are
 * often sorted by one end, so the id found last is tried first.
 *
 * Every error says file, line and column of the field, the label or type, and the column's name. */
#include "storage/graph_load.h"

#include <time.h>
#include <unistd.h>

#define SHOWN_BYTES 40
#define PROGRESS_ROWS 65536u

/* The id looked up last at one end of an edge. */
typedef struct memo {
    int64_t key;
    uint32_t position;
    bool filled;
} memo;

/* --------------------------------------------------------------------------------------- errors */

/* A field as an error shows it: cut between characters, control characters replaced. */
static const char *show_field(const rn_csv_field *field, char shown[SHOWN_BYTES + 4])
{
    size_t length = RN_MIN((size_t)field->length, (size_t)SHOWN_BYTES);

    while (length < field->length && length > 0 && ((uint8_t)field->text[length] & 0xC0) == 0x80) {
        length--;
    }
    for (size_t i = 0; i < length; i++) {
        shown[i] = (uint8_t)field->text[i] < 0x20 || field->text[i] == 0x7F ? '?' : field->text[i];
    }
    memcpy(shown + length, length < field->length ? "..." : "\0\0\0", 4);
    return shown;
}

static ration_status refuse_type(const rn_loader *load, const rn_manifest_table *table,
                                 const rn_csv_field *field, const char *name, rn_kind kind)
{
    char shown[SHOWN_BYTES + 4];
    const char *hint = "";

    if (table->file_count > 0 && table->files[0].line == 0) {
        hint = "an edge list has int64 ids; describe other files in a manifest";
    } else if (kind == RN_BOOL) {
        hint = "true, false, 1 or 0";
    } else if (kind == RN_DATE) {
        hint = "as in 2021-02-28";
    } else if (kind == RN_TIMESTAMP) {
        hint = "as in 2021-02-28T12:34:56.789Z";
    }
    return rn_error_at(load->error, RATION_DATA, load->csv->path, field->line, field->column, hint,
                       "column '%s' of '%s': '%s' is not of type %s", name, table->name,
                       show_field(field, shown), rn_kind_name(kind));
}

static ration_status refuse_count(const rn_loader *load, const rn_manifest_table *table,
                                  const rn_csv_field *fields, uint32_t count)
{
    const rn_csv_field *at = &fields[RN_MIN(count - 1, table->column_count)];

    if (count < table->column_count) {
        return rn_error_at(load->error, RATION_DATA, load->csv->path, at->line, at->column,
                           "is the delimiter right?",
                           "short line: %u of the %u columns of '%s' ('%s' is missing)", count,
                           table->column_count, table->name, table->columns[count].name);
    }
    return rn_error_at(load->error, RATION_DATA, load->csv->path, at->line, at->column,
                       "name further columns in the manifest, with 'skip' when they are not wanted",
                       "too many fields: %u for the %u columns of '%s'", count, table->column_count,
                       table->name);
}

static bool field_is_null(const rn_manifest_table *table, const rn_csv_field *field)
{
    return !field->quoted && field->length == table->null_length &&
           memcmp(field->text, table->null, field->length) == 0;
}

static ration_status refuse_null(const rn_loader *load, const rn_manifest_table *table,
                                 const rn_csv_field *field, const char *name)
{
    return rn_error_at(load->error, RATION_DATA, load->csv->path, field->line, field->column, "",
                       "column '%s' of '%s': an id cannot be null", name, table->name);
}

/* --------------------------------------------------------------------------------------- values */

/* Up to 18 digits without a check for overflow; the rest is rn_parse_int64's. */
static bool parse_int64(const char *text, uint32_t length, int64_t *out_value)
{
    const char *at = text, *end = text + length;
    int64_t value = 0;

    if (RN_UNLIKELY(length == 0 || length > 18)) {
        return rn_parse_int64(text, length, out_value);
    }
    bool negative = *at == '-';
    at += negative;
    if (RN_UNLIKELY(at == end)) {
        return false;
    }
    for (; at < end; at++) {
        unsigned digit = (unsigned)(uint8_t)*at - '0';
        if (RN_UNLIKELY(digit > 9)) {
            return rn_parse_int64(text, length, out_value);
        }
        value = value * 10 + (int64_t)digit;
    }
    *out_value = negative ? -value : value;
    return true;
}

static bool parse_bool(const char *text, uint32_t length, uint8_t *out_value)
{
    if (length == 1 && (*text == '0' || *text == '1')) {
        *out_value = *text == '1';
        return true;
    }
    if ((length == 4 && memcmp(text, "true", 4) == 0) ||
        (length == 5 && memcmp(text, "false", 5) == 0)) {
        *out_value = length == 4;
        return true;
    }
    return false;
}

/* A string that lives as long as the graph. */
static ration_status keep_string(const rn_loader *load, const char *text, uint32_t length,
                                 rn_string *out)
{
    if (length > RN_STRING_INLINE_MAX) {
        char *copy = ration_context_allocate(load->graph->context, length);
        if (copy == NULL) {
            return ration_context_status(load->graph->context);
        }
        memcpy(copy, text, length);
        text = copy;
    }
    *out = rn_string_over(text, length);
    return RATION_OK;
}

/* Parses a field into an entry of its kind; strings are kept. */
static ration_status parse_field(const rn_loader *load, const rn_manifest_table *table,
                                 const rn_manifest_column *column, const rn_csv_field *field,
                                 void *entry)
{
    bool good = false;

    switch (column->kind) {
    case RN_BOOL:
        good = parse_bool(field->text, field->length, entry);
        break;
    case RN_INT64:
        good = parse_int64(field->text, field->length, entry);
        break;
    case RN_DOUBLE:
        good = rn_parse_double(field->text, field->length, entry);
        break;
    case RN_DATE:
        good = rn_parse_date(field->text, field->length, entry);
        break;
    case RN_TIMESTAMP:
        good = rn_parse_timestamp(field->text, field->length, entry);
        break;
    case RN_STRING:
        return keep_string(load, field->text, field->length, entry);
    case RN_NODE:
    case RN_EDGE:
    case RN_LIST:
    case RN_KINDS:
        break;
    }
    return good ? RATION_OK : refuse_type(load, table, field, column->name, column->kind);
}

/* ------------------------------------------------------------------------------------ null bits */

static ration_status push_word(rn_load_column *into, uint64_t word)
{
    void *entry;

    RN_TRY(rn_chain_push(&into->valid, &entry));
    memcpy(entry, &word, sizeof word);
    return RATION_OK;
}

/* Notes whether `row` has a value; columns without nulls have no bits. */
static ration_status push_valid(rn_load_column *into, uint64_t row, bool valid)
{
    if (RN_LIKELY(valid && !into->nulls)) {
        return RATION_OK;
    }
    if (!into->nulls) {
        for (uint64_t word = 0; word < row / 64; word++) {
            RN_TRY(push_word(into, UINT64_MAX));
        }
        into->word = (UINT64_C(1) << (row & 63)) - 1;
        into->nulls = true;
    }
    into->word |= (uint64_t)valid << (row & 63);
    if ((row & 63) == 63) {
        RN_TRY(push_word(into, into->word));
        into->word = 0;
    }
    return RATION_OK;
}

static ration_status finish_valid(rn_load_table *into)
{
    for (uint32_t i = 0; i < into->table->property_count; i++) {
        if (into->columns[i].nulls && (into->rows & 63) != 0) {
            RN_TRY(push_word(&into->columns[i], into->columns[i].word));
        }
    }
    return RATION_OK;
}

/* Appends one property of one row. */
static ration_status push_property(const rn_loader *load, rn_load_table *into,
                                   rn_load_column *column, const rn_csv_field *field)
{
    bool null = field_is_null(into->table, field);
    void *entry;

    RN_TRY(rn_chain_push(&column->values, &entry));
    if (null) {
        memset(entry, 0, column->values.entry_bytes);
    } else {
        RN_TRY(parse_field(load, into->table, column->column, field, entry));
    }
    return push_valid(column, into->rows, !null);
}

/* ---------------------------------------------------------------------------------------- nodes */

/* A parsed id: one of the two values. */
typedef struct node_key {
    uint64_t hash;
    int64_t integer;
    rn_string string; /* over the field's bytes */
} node_key;

static ration_status parse_key(const rn_loader *load, const rn_manifest_table *table,
                               const char *name, const rn_csv_field *field, bool strings,
                               node_key *out_key)
{
    if (field_is_null(table, field)) {
        return refuse_null(load, table, field, name);
    }
    if (strings) {
        out_key->string = rn_string_over(field->text, field->length);
        out_key->hash = rn_node_hash_string(&out_key->string);
        return RATION_OK;
    }
    if (!parse_int64(field->text, field->length, &out_key->integer)) {
        return refuse_type(load, table, field, name, RN_INT64);
    }
    out_key->hash = rn_node_hash_int64(out_key->integer);
    return RATION_OK;
}

static bool find_key(const rn_node_index *index, const node_key *key, uint32_t *out_position)
{
    return index->strings ? rn_node_index_find_string(index, key->hash, &key->string, out_position)
                          : rn_node_index_find_int64(index, key->hash, key->integer, out_position);
}

/* Adds an id that is not there yet as the last of its label's key column. */
static ration_status append_key(rn_loader *load, rn_load_table *into, rn_node_index *index,
                                const node_key *key)
{
    void *entry;

    if (into->rows >= RN_GRAPH_NODES_MAX) {
        return rn_error_at(load->error, RATION_DATA, load->csv->path, load->csv->line, 0, "",
                           "more than %llu nodes", (unsigned long long)RN_GRAPH_NODES_MAX);
    }
    RN_TRY(rn_node_index_prepare(index));
    RN_TRY(rn_chain_push(&into->columns[into->key].values, &entry));
    if (index->strings) {
        rn_string kept;
        RN_TRY(keep_string(load, rn_string_bytes(&key->string), key->string.length, &kept));
        memcpy(entry, &kept, sizeof kept);
    } else {
        memcpy(entry, &key->integer, sizeof key->integer);
    }
    rn_node_index_add(index, key->hash, (uint32_t)into->rows);
    return RATION_OK;
}

static ration_status read_node(rn_loader *load, rn_load_table *into, rn_node_index *index,
                               const rn_csv_field *fields)
{
    const rn_manifest_table *table = into->table;
    uint32_t property = 0;

    for (uint32_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].role != RN_MANIFEST_VALUE) {
            continue;
        }
        rn_load_column *column = &into->columns[property++];
        if (i != table->key) {
            RN_TRY(push_property(load, into, column, &fields[i]));
            continue;
        }
        node_key key = {0};
        uint32_t position;
        RN_TRY(parse_key(load, table, table->columns[i].name, &fields[i], index->strings, &key));
        if (find_key(index, &key, &position)) {
            char shown[SHOWN_BYTES + 4];
            return rn_error_at(load->error, RATION_DATA, load->csv->path, fields[i].line,
                               fields[i].column, "ids are unique within a label",
                               "duplicate id '%s' of '%s'", show_field(&fields[i], shown),
                               table->name);
        }
        RN_TRY(append_key(load, into, index, &key));
    }
    into->rows++;
    return RATION_OK;
}

/* ---------------------------------------------------------------------------------------- edges */

/* Position of the node an edge names; a label without a file gets a new one. */
static ration_status resolve_end(rn_loader *load, const rn_load_table *edges, uint32_t label,
                                 const rn_manifest_column *column, const rn_csv_field *field,
                                 memo *last, uint32_t *out_position)
{
    rn_node_index *index = &load->graph->indexes[label];
    rn_load_table *nodes = &load->labels[label];
    node_key key = {0};

    RN_TRY(parse_key(load, edges->table, column->name, field, index->strings, &key));
    if (last->filled && last->key == key.integer) {
        *out_position = last->position;
        return RATION_OK;
    }
    if (!find_key(index, &key, out_position)) {
        if (nodes->table->file_count > 0) {
            char shown[SHOWN_BYTES + 4];
            return rn_error_at(
                load->error, RATION_DATA, load->csv->path, field->line, field->column,
                "both ends of an edge must exist",
                "dangling edge of '%s': column '%s' names '%s', which is no id of '%s'",
                edges->table->name, column->name, show_field(field, shown), nodes->table->name);
        }
        RN_TRY(append_key(load, nodes, index, &key));
        *out_position = (uint32_t)nodes->rows++;
    }
    last->filled = !index->strings;
    last->key = key.integer;
    last->position = *out_position;
    return RATION_OK;
}

static ration_status read_edge(rn_loader *load, rn_load_table *into, const rn_csv_field *fields,
                               memo last[2])
{
    const rn_manifest_table *table = into->table;
    rn_load_column *property = into->columns;
    void *entry;

    if (into->rows >= RN_GRAPH_EDGES_MAX) {
        return rn_error_at(load->error, RATION_DATA, load->csv->path, fields->line, 0, "",
                           "more than %llu edges of type '%s'",
                           (unsigned long long)RN_GRAPH_EDGES_MAX, table->name);
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        const rn_manifest_column *column = &table->columns[i];
        if (column->role == RN_MANIFEST_VALUE) {
            RN_TRY(push_property(load, into, property++, &fields[i]));
        } else if (column->role != RN_MANIFEST_SKIP) {
            bool from = column->role == RN_MANIFEST_FROM;
            uint32_t position;
            RN_TRY(resolve_end(load, into, from ? table->from : table->to, column, &fields[i],
                               &last[from], &position));
            RN_TRY(rn_chain_push(from ? &into->from : &into->to, &entry));
            memcpy(entry, &position, sizeof position);
        }
    }
    into->rows++;
    return RATION_OK;
}

/* ---------------------------------------------------------------------------------------- files */

static double seconds_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void show_progress(const rn_loader *load, uint64_t rows, double start, bool last)
{
    double elapsed = seconds_now() - start;
    const char *slash = strrchr(load->csv->path, '/');
    int64_t done = load->done_bytes + load->csv->read_bytes;
    double part = load->file_bytes > 0 ? (double)done / (double)load->file_bytes : 1.0;

    (void)fprintf(stderr, "\r%3d%%  %-40.40s %12llu rows  %6.2f M/s%s",
                  (int)(RN_MIN(part, 1.0) * 100.0), slash == NULL ? load->csv->path : slash + 1,
                  (unsigned long long)rows, elapsed > 0 ? (double)rows / elapsed * 1e-6 : 0.0,
                  last ? "\n" : "");
}

static ration_status read_rows(rn_loader *load, rn_load_table *into, rn_node_index *index)
{
    const rn_manifest_table *table = into->table;
    const rn_csv_field *fields;
    uint64_t before = into->rows;
    double start = load->progress ? seconds_now() : 0.0;
    memo last[2] = {{0}, {0}};
    uint32_t count;

    for (;;) {
        RN_TRY(rn_csv_next(load->csv, &fields, &count, load->error));
        if (count == 0) {
            break;
        }
        if (RN_UNLIKELY(count != table->column_count)) {
            return refuse_count(load, table, fields, count);
        }
        RN_TRY(index != NULL ? read_node(load, into, index, fields)
                             : read_edge(load, into, fields, last));
        if (load->progress && (into->rows - before) % PROGRESS_ROWS == 0) {
            show_progress(load, into->rows - before, start, false);
        }
    }
    if (load->progress) {
        show_progress(load, into->rows - before, start, true);
    }
    load->done_bytes += load->csv->read_bytes;
    return RATION_OK;
}

/* `index` NULL: edges. */
static ration_status read_files(rn_loader *load, rn_load_table *into, rn_node_index *index)
{
    const rn_manifest_table *table = into->table;

    for (uint32_t i = 0; i < table->file_count; i++) {
        RN_TRY(rn_csv_open(load->csv, table->files[i].path, NULL, 0, &table->dialect,
                           load->options->slot, load->error));
        ration_status status = read_rows(load, into, index);
        rn_csv_close(load->csv);
        RN_TRY(status);
    }
    return finish_valid(into);
}

ration_status rn_load_label(rn_loader *load, uint32_t label)
{
    return read_files(load, &load->labels[label], &load->graph->indexes[label]);
}

ration_status rn_load_type(rn_loader *load, uint32_t type)
{
    return read_files(load, &load->types[type], NULL);
}

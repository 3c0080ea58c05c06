/* SPDX-License-Identifier: Apache-2.0
 *
 * A row is formatted into one builder that grows until it fits, and written at once. */
#include "cli/printer.h"

const char *const rn_printer_formats[] = {"table", "csv", "json", "jsonl", NULL};

typedef struct row_source {
    const rn_batch *batch;
    uint32_t row;
} row_source;

static void put_csv_row(const rn_printer *printer, const row_source *from, rn_text *text)
{
    for (uint32_t c = 0; c < from->batch->column_count; c++) {
        rn_text_put(text, c > 0 ? "," : "");
        rn_format_csv(text, printer->graph, &from->batch->columns[c], from->row);
    }
    rn_text_put(text, "\n");
}

static void put_json_row(const rn_printer *printer, const row_source *from, rn_text *text)
{
    bool lines = printer->format == RN_PRINT_JSONL;
    rn_text_put(text, lines ? "{" : printer->rows > 1 ? ",\n[" : "\n[");
    for (uint32_t c = 0; c < from->batch->column_count; c++) {
        rn_text_put(text, c > 0 ? "," : "");
        if (lines) {
            const char *name = printer->schema->fields[c].name;
            rn_text_put_json(text, name, strlen(name));
            rn_text_put(text, ":");
        }
        rn_format_json(text, printer->graph, &from->batch->columns[c], from->row);
    }
    rn_text_put(text, lines ? "}\n" : "]");
}

static ration_status put_table_row(rn_printer *printer, const row_source *from)
{
    for (uint32_t c = 0; c < from->batch->column_count; c++) {
        rn_text *text = &printer->text;
        for (;;) {
            text->length = 0;
            rn_format_text(text, printer->graph, &from->batch->columns[c], from->row);
            if (text->length < text->capacity) {
                break;
            }
            if (!rn_cli_text_grow(text, text->length + 1)) {
                return RATION_NO_MEMORY;
            }
        }
        RN_TRY(rn_table_cell(&printer->table, text->bytes, text->length));
    }
    return RATION_OK;
}

static ration_status put_row(rn_printer *printer, const row_source *from)
{
    if (printer->format == RN_PRINT_TABLE) {
        return put_table_row(printer, from);
    }
    rn_text *text = &printer->text;
    for (;;) {
        text->length = 0;
        if (printer->format == RN_PRINT_CSV) {
            put_csv_row(printer, from, text);
        } else {
            put_json_row(printer, from, text);
        }
        if (text->length < text->capacity) {
            (void)fwrite(text->bytes, 1, text->length, printer->stream);
            return RATION_OK;
        }
        if (!rn_cli_text_grow(text, text->length + 1)) {
            return RATION_NO_MEMORY;
        }
    }
}

/* The heading of CSV: names are quoted like strings. */
static void put_csv_names(const rn_schema *schema, FILE *stream)
{
    for (uint32_t c = 0; c < schema->count; c++) {
        const char *name = schema->fields[c].name;
        bool quote = strpbrk(name, ",\"\r\n") != NULL || name[0] == '\0';
        fprintf(stream, "%s%s", c > 0 ? "," : "", quote ? "\"" : "");
        for (; *name != '\0'; name++) {
            fprintf(stream, *name == '"' ? "\"\"" : "%c", *name);
        }
        fputs(quote ? "\"" : "", stream);
    }
    fputc('\n', stream);
}

static void put_json_columns(const rn_schema *schema, FILE *stream)
{
    fprintf(stream, "{\"schema_version\":%d,\"columns\":[", RN_SCHEMA_VERSION);
    for (uint32_t c = 0; c < schema->count; c++) {
        const rn_field *field = &schema->fields[c];
        char buffer[6 * RN_NAME_BYTES + 2], type[32];
        rn_text name = rn_text_over(buffer, sizeof buffer);
        rn_text_put_json(&name, field->name, strlen(field->name));
        fprintf(stream, "%s{\"name\":%s,\"type\":\"%s\"}", c > 0 ? "," : "", buffer,
                rn_type_name(field->type, type));
    }
    fputs("],\"rows\":[", stream);
}

static ration_status open_table(rn_printer *printer)
{
    const rn_schema *schema = printer->schema;
    bool right[RN_COLUMNS_MAX];
    for (uint32_t c = 0; c < schema->count; c++) {
        right[c] =
            schema->fields[c].type.kind == RN_INT64 || schema->fields[c].type.kind == RN_DOUBLE;
    }
    rn_table_open(&printer->table, printer->stream, schema->count, right);
    for (uint32_t c = 0; c < schema->count; c++) {
        RN_TRY(
            rn_table_cell(&printer->table, schema->fields[c].name, strlen(schema->fields[c].name)));
    }
    return RATION_OK;
}

ration_status rn_printer_open(rn_printer *printer, rn_printer_format format, FILE *stream,
                              int64_t rows_max, const rn_schema *schema, const rn_graph *graph)
{
    memset(printer, 0, sizeof *printer);
    printer->format = format;
    printer->stream = stream;
    printer->schema = schema;
    printer->graph = graph;
    printer->rows_max = rows_max;
    switch (format) {
    case RN_PRINT_TABLE:
        return open_table(printer);
    case RN_PRINT_CSV:
        put_csv_names(schema, stream);
        break;
    case RN_PRINT_JSON:
        put_json_columns(schema, stream);
        break;
    case RN_PRINT_JSONL:
        break;
    }
    (void)fflush(stream); /* a reader of a long result sees that it began */
    return RATION_OK;
}

ration_status rn_printer_put(rn_printer *printer, const rn_batch *batch)
{
    for (uint32_t row = 0; row < batch->rows; row++) {
        printer->rows += 1;
        if (printer->rows_max > 0 && printer->rows > printer->rows_max) {
            continue;
        }
        const row_source from = {batch, row};
        RN_TRY(put_row(printer, &from));
    }
    return RATION_OK;
}

void rn_printer_end(rn_printer *printer)
{
    if (printer->format == RN_PRINT_TABLE) {
        rn_table_end(&printer->table);
    } else if (printer->format == RN_PRINT_JSON) {
        fprintf(printer->stream, "\n],\"row_count\":%lld", (long long)printer->rows);
    }
    rn_cli_text_free(&printer->text);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a random graph as CSV files and a manifest, in one of the dialects that docs/graphs.md
 * allows: another delimiter, a header, a text for null, fields quoted where they need not be,
 * columns to skip, a file in two parts. */
#include <stdlib.h>

#include "base/hash.h"
#include "tests/reference/random_graph.h"

typedef struct dialect {
    const char *delimiter;
    bool header;
    const char *null; /* NULL = the default: the empty unquoted field */
    uint64_t *random;
} dialect;

static FILE *create_file(const char *directory, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        abort();
    }
    return file;
}

static void write_field(FILE *file, const dialect *way, const naive_value *value)
{
    if (value->null) {
        fputs(way->null == NULL ? "" : way->null, file);
        return;
    }
    if (value->type.kind != NAIVE_STRING) {
        char buffer[64];
        rn_text text = rn_text_over(buffer, sizeof buffer);
        naive_put(&text, value);
        fputs(buffer, file);
        return;
    }
    bool plain = value->length > 0 && rn_random_below(way->random, 2) == 0;
    for (size_t i = 0; i < value->length; i++) {
        plain = plain && strchr(",|;\"\n\\ ", value->bytes[i]) == NULL;
    }
    if (plain) {
        fwrite(value->bytes, 1, value->length, file);
        return;
    }
    fputc('"', file);
    for (size_t i = 0; i < value->length; i++) {
        if (value->bytes[i] == '"') {
            fputc('"', file);
        }
        fputc(value->bytes[i], file);
    }
    fputc('"', file);
}

static void write_values(FILE *file, const dialect *way, const bool *has, const naive_value *values,
                         const char *separator)
{
    for (uint32_t p = 0; p < PROPERTIES; p++) {
        if (has[p]) {
            fputs(separator, file);
            separator = way->delimiter;
            write_field(file, way, &values[p]);
        }
    }
    fputc('\n', file);
}

static const char *write_columns(FILE *manifest, const bool *has, const char *separator)
{
    for (uint32_t p = 0; p < PROPERTIES; p++) {
        if (has[p]) {
            fprintf(manifest, "%s%s: %s", separator, random_property_name(p),
                    naive_kind_name(random_property_kind(p)));
            separator = ", ";
        }
    }
    return separator;
}

static void write_label(FILE *manifest, const random_graph *graph, uint32_t label,
                        const char *directory, const dialect *way)
{
    const random_label *about = &graph->labels[label];
    if (!about->has_file) {
        fprintf(manifest, "  %s: { key_type: int64 }\n", about->name);
        return;
    }
    char name[64];
    snprintf(name, sizeof name, "%s.csv", about->name);
    fprintf(manifest, "  %s:\n    file: %s\n    key: %s\n    columns: {", about->name, name,
            random_property_name(about->key));
    write_columns(manifest, about->has, " ");
    fputs(" }\n", manifest);
    FILE *file = create_file(directory, name);
    fputs(way->header ? "one line of header\n" : "", file);
    for (uint32_t n = 0; n < graph->node_count; n++) {
        if (graph->nodes[n].label == label) {
            write_values(file, way, about->has, graph->nodes[n].values, "");
        }
    }
    fclose(file);
}

static void write_type(FILE *manifest, const random_graph *graph, uint32_t type,
                       const char *directory, const dialect *way)
{
    const random_edge_type *about = &graph->types[type];
    char names[2][64];
    for (int part = 0; part < 2; part++) {
        snprintf(names[part], sizeof names[part], "%s_%d.csv", about->name, part);
    }
    bool skip = rn_random_below(way->random, 3) == 0;
    fprintf(manifest,
            "  %s:\n    file: [%s, %s]\n    from: %s\n    to: %s\n    columns: { a: from, b: to%s",
            about->name, names[0], names[1], graph->labels[about->from].name,
            graph->labels[about->to].name, skip ? ", c: skip" : "");
    write_columns(manifest, about->has, ", ");
    fputs(" }\n", manifest);
    for (uint32_t part = 0; part < 2; part++) {
        FILE *file = create_file(directory, names[part]);
        fputs(way->header ? "one line of header\n" : "", file);
        for (uint32_t e = 0; e < graph->edge_count; e++) {
            const random_edge *edge = &graph->edges[e];
            if (edge->type == type && (e % 3 == 2) == (part == 1)) {
                const random_node *ends[2] = {&graph->nodes[edge->source],
                                              &graph->nodes[edge->target]};
                for (int end = 0; end < 2; end++) {
                    fputs(end == 0 ? "" : way->delimiter, file);
                    write_field(file, way, &ends[end]->values[graph->labels[ends[end]->label].key]);
                }
                fputs(skip ? way->delimiter : "", file);
                fputs(skip ? "whatever" : "", file);
                write_values(file, way, about->has, edge->values, way->delimiter);
            }
        }
        fclose(file);
    }
}

void random_graph_write(const random_graph *graph, const char *directory, uint64_t *random)
{
    static const char *const delimiters[] = {",", "|", ";"};
    dialect way = {delimiters[rn_random_below(random, 3)], rn_random_below(random, 2) == 0,
                   rn_random_below(random, 2) == 0 ? "\\N" : NULL, random};
    FILE *manifest = create_file(directory, "manifest.yaml");
    fprintf(manifest, "delimiter: \"%s\"\nheader: %s\n", way.delimiter,
            way.header ? "true" : "false");
    if (way.null != NULL) {
        fputs("null: \"\\\\N\"\n", manifest);
    }
    fputs("nodes:\n", manifest);
    for (uint32_t l = 0; l < graph->label_count; l++) {
        write_label(manifest, graph, l, directory, &way);
    }
    fputs("edges:\n", manifest);
    for (uint32_t t = 0; t < graph->type_count; t++) {
        write_type(manifest, graph, t, directory, &way);
    }
    fclose(manifest);
}

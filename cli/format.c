/* SPDX-License-Identifier: Apache-2.0
 *
 * One value in three notations. CSV is the text, quoted; JSON differs from the text in strings,
 * nodes and edges. */
#include "cli/format.h"

#include <math.h>

typedef struct notation {
    const rn_graph *graph;
    bool json;
} notation;

static void put_string(rn_text *text, const notation *how, const char *bytes, size_t count)
{
    if (how->json) {
        rn_text_put_json(text, bytes, count);
    } else {
        rn_text_put_bytes(text, bytes, count);
    }
}

/* The external id of a node of a label. */
static void put_key(rn_text *text, const notation *how, const rn_label *label, uint32_t node)
{
    const rn_property *key = &label->properties[label->key];
    uint32_t at = node - label->first;
    if (key->type.kind == RN_STRING) {
        const rn_string *string = (const rn_string *)key->data + at;
        put_string(text, how, rn_string_bytes(string), string->length);
    } else {
        rn_text_format(text, "%lld", (long long)((const int64_t *)key->data)[at]);
    }
}

static void put_node(rn_text *text, const notation *how, uint32_t node)
{
    if (how->graph == NULL || node >= rn_graph_node_count(how->graph)) {
        rn_text_format(text, how->json ? "{\"node\":%u}" : "node(%u)", node);
        return;
    }
    const rn_label *label = rn_graph_label(how->graph, rn_graph_label_of(how->graph, node));
    if (how->json) {
        rn_text_put(text, "{\"label\":");
        rn_text_put_json(text, label->name, strlen(label->name));
        rn_text_put(text, ",\"id\":");
    } else {
        rn_text_format(text, "%s(", label->name);
    }
    put_key(text, how, label, node);
    rn_text_put(text, how->json ? "}" : ")");
}

/* The node whose forward list holds `position`: the last one whose list starts at or before it. */
static uint32_t find_source(const rn_adjacency *forward, uint32_t position)
{
    uint32_t low = 0, high = forward->count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (forward->offsets[middle] <= position) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return forward->first + low;
}

static void put_edge(rn_text *text, const notation *how, uint64_t edge)
{
    uint32_t number = (uint32_t)(edge >> RN_EDGE_TYPE_SHIFT);
    uint32_t position = (uint32_t)edge;
    if (how->graph == NULL || number >= rn_graph_edge_type_count(how->graph) ||
        position >= rn_graph_edge_type(how->graph, number)->count) {
        rn_text_format(text, how->json ? "{\"edge\":%llu}" : "edge(%llu)",
                       (unsigned long long)edge);
        return;
    }
    const rn_edge_type *type = rn_graph_edge_type(how->graph, number);
    if (how->json) {
        rn_text_put(text, "{\"type\":");
        rn_text_put_json(text, type->name, strlen(type->name));
        rn_text_put(text, ",\"from\":");
    } else {
        rn_text_format(text, "%s[", type->name);
    }
    put_key(text, how, rn_graph_label(how->graph, type->source),
            find_source(&type->forward, position));
    rn_text_put(text, how->json ? ",\"to\":" : "->");
    put_key(text, how, rn_graph_label(how->graph, type->target),
            type->forward.neighbours[position]);
    rn_text_put(text, how->json ? "}" : "]");
}

static void put_quoted(rn_text *text, const notation *how,
                       void (*put)(rn_text *text, int64_t value), int64_t value)
{
    rn_text_put(text, how->json ? "\"" : "");
    put(text, value);
    rn_text_put(text, how->json ? "\"" : "");
}

static void put_date(rn_text *text, int64_t days)
{
    rn_text_put_date(text, (int32_t)days);
}

static void put_real(rn_text *text, const notation *how, double value)
{
    bool quote = how->json && !isfinite(value);
    rn_text_put(text, quote ? "\"" : "");
    rn_text_put_double(text, value);
    rn_text_put(text, quote ? "\"" : "");
}

static void put_scalar(rn_text *text, const notation *how, uint8_t kind, const void *value)
{
    switch ((rn_kind)kind) {
    case RN_BOOL:
        rn_text_put(text, *(const uint8_t *)value != 0 ? "true" : "false");
        break;
    case RN_INT64:
        rn_text_format(text, "%lld", (long long)*(const int64_t *)value);
        break;
    case RN_DOUBLE:
        put_real(text, how, *(const double *)value);
        break;
    case RN_DATE:
        put_quoted(text, how, put_date, *(const int32_t *)value);
        break;
    case RN_TIMESTAMP:
        put_quoted(text, how, rn_text_put_timestamp, *(const int64_t *)value);
        break;
    case RN_STRING: {
        const rn_string *string = value;
        put_string(text, how, rn_string_bytes(string), string->length);
        break;
    }
    case RN_NODE:
        put_node(text, how, *(const uint32_t *)value);
        break;
    case RN_EDGE:
        put_edge(text, how, *(const uint64_t *)value);
        break;
    case RN_LIST:
    case RN_KINDS:
        (void)rn_never(true);
        break;
    }
}

static void put_list(rn_text *text, const notation *how, uint8_t element, const rn_list *list)
{
    size_t bytes = rn_kind_bytes((rn_kind)element);
    bool first = true;
    rn_text_put(text, "[");
    for (const rn_list_segment *segment = list->first; segment != NULL; segment = segment->next) {
        const char *value = rn_list_values(segment);
        for (uint32_t i = 0; i < segment->count; i++, value += bytes) {
            rn_text_put(text, first ? "" : how->json ? "," : ", ");
            put_scalar(text, how, element, value);
            first = false;
        }
    }
    rn_text_put(text, "]");
}

static void put_value(rn_text *text, const notation *how, const rn_column *column, uint32_t row)
{
    if (!rn_column_valid(column, row)) {
        rn_text_put(text, "null");
    } else if (column->type.kind == RN_LIST) {
        put_list(text, how, column->type.element, rn_column_at(column, row));
    } else {
        put_scalar(text, how, column->type.kind, rn_column_at(column, row));
    }
}

void rn_format_text(rn_text *text, const rn_graph *graph, const rn_column *column, uint32_t row)
{
    const notation how = {graph, false};
    put_value(text, &how, column, row);
}

void rn_format_json(rn_text *text, const rn_graph *graph, const rn_column *column, uint32_t row)
{
    const notation how = {graph, true};
    put_value(text, &how, column, row);
}

/* Quotes what was written since `from`, when it must be: the quotes in it are doubled from the
 * back, in place. */
static void quote_field(rn_text *text, size_t from)
{
    size_t quotes = 0;
    bool must = text->length == from;
    if (text->length >= text->capacity) {
        text->length += text->length - from + 2; /* cut, quotes unseen: ask for the worst */
        return;
    }
    for (size_t i = from; i < text->length; i++) {
        char c = text->bytes[i];
        quotes += c == '"';
        must = must || c == '"' || c == ',' || c == '\n' || c == '\r';
    }
    if (!must) {
        return;
    }
    size_t length = text->length;
    size_t to = length + quotes + 2;
    text->length = to;
    if (to >= text->capacity) {
        return;
    }
    text->bytes[to] = '\0';
    text->bytes[--to] = '"';
    for (size_t i = length; i > from; i--) {
        text->bytes[--to] = text->bytes[i - 1];
        if (text->bytes[i - 1] == '"') {
            text->bytes[--to] = '"';
        }
    }
    text->bytes[from] = '"';
}

void rn_format_csv(rn_text *text, const rn_graph *graph, const rn_column *column, uint32_t row)
{
    if (!rn_column_valid(column, row)) {
        return;
    }
    size_t from = text->length;
    rn_format_text(text, graph, column, row);
    quote_field(text, from);
}

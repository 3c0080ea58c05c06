/* SPDX-License-Identifier: Apache-2.0
 *
 * See naive_value.h. Comparing two tables: lists are sorted inside, rows are sorted, then compared
 * one by one; where that fails, every expected row looks for a partner that is close (rounded
 * doubles may sort differently). */
#include "tests/reference/naive_value.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

void *naive_allocate(rn_arena *arena, size_t bytes)
{
    void *memory = rn_arena_allocate(arena, bytes == 0 ? 1 : bytes);
    if (memory == NULL) {
        fputs("no memory for the reference\n", stderr);
        abort();
    }
    return memory;
}

naive_value naive_null(naive_type type)
{
    naive_value value;
    memset(&value, 0, sizeof value);
    value.type = type;
    value.null = true;
    return value;
}

static naive_value make_value(naive_kind kind)
{
    naive_value value = naive_null(naive_type_of(kind));
    value.null = false;
    return value;
}

naive_value naive_bool(bool boolean)
{
    naive_value value = make_value(NAIVE_BOOL);
    value.boolean = boolean;
    return value;
}

naive_value naive_whole(naive_kind kind, int64_t integer)
{
    naive_value value = make_value(kind);
    value.integer = integer;
    return value;
}

naive_value naive_int64(int64_t integer)
{
    return naive_whole(NAIVE_INT64, integer);
}

naive_value naive_double(double real)
{
    naive_value value = make_value(NAIVE_DOUBLE);
    value.real = real;
    return value;
}

naive_value naive_string(const char *bytes, size_t length)
{
    naive_value value = make_value(NAIVE_STRING);
    value.bytes = bytes;
    value.length = length;
    return value;
}

static int compare_doubles(double a, double b)
{
    if (isnan(a) || isnan(b)) {
        return (isnan(a) ? 1 : 0) - (isnan(b) ? 1 : 0);
    }
    return a < b ? -1 : (a > b ? 1 : 0);
}

static int compare_strings(const naive_value *a, const naive_value *b)
{
    size_t shared = RN_MIN(a->length, b->length);
    int order = shared == 0 ? 0 : memcmp(a->bytes, b->bytes, shared);
    if (order != 0) {
        return order;
    }
    return a->length < b->length ? -1 : (a->length > b->length ? 1 : 0);
}

static int compare_lists(const naive_value *a, const naive_value *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        int order = naive_compare(&a->items[i], &b->items[i]);
        if (order != 0) {
            return order;
        }
    }
    return a->count < b->count ? -1 : (a->count > b->count ? 1 : 0);
}

int naive_compare(const naive_value *a, const naive_value *b)
{
    if (a->null || b->null) {
        return (a->null ? 1 : 0) - (b->null ? 1 : 0);
    }
    switch (a->type.kind) {
    case NAIVE_BOOL:
        return (a->boolean ? 1 : 0) - (b->boolean ? 1 : 0);
    case NAIVE_DOUBLE:
        return compare_doubles(a->real, b->real);
    case NAIVE_STRING:
        return compare_strings(a, b);
    case NAIVE_LIST:
        return compare_lists(a, b);
    default:
        return a->integer < b->integer ? -1 : (a->integer > b->integer ? 1 : 0);
    }
}

bool naive_same(const naive_value *a, const naive_value *b)
{
    return naive_type_equal(a->type, b->type) && naive_compare(a, b) == 0;
}

bool naive_row_same(const naive_value *a, const naive_value *b, uint32_t width)
{
    for (uint32_t i = 0; i < width; i++) {
        if (!naive_same(&a[i], &b[i])) {
            return false;
        }
    }
    return true;
}

bool naive_close(const naive_value *a, const naive_value *b)
{
    if (!naive_type_equal(a->type, b->type)) {
        return false;
    }
    if (a->null || b->null) {
        return a->null && b->null;
    }
    if (a->type.kind == NAIVE_DOUBLE && isfinite(a->real) && isfinite(b->real)) {
        return fabs(a->real - b->real) <= 1e-12 * fmax(fabs(a->real), fabs(b->real));
    }
    if (a->type.kind == NAIVE_LIST) {
        if (a->count != b->count) {
            return false;
        }
        for (size_t i = 0; i < a->count; i++) {
            if (!naive_close(&a->items[i], &b->items[i])) {
                return false;
            }
        }
        return true;
    }
    return naive_compare(a, b) == 0;
}

naive_value *naive_table_add(rn_arena *arena, naive_table *table)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity == 0 ? 16 : table->capacity * 2;
        naive_row *rows = naive_allocate(arena, capacity * sizeof *rows);
        if (table->count > 0) {
            memcpy(rows, table->rows, table->count * sizeof *rows);
        }
        table->rows = rows;
        table->capacity = capacity;
    }
    naive_value *values = naive_allocate(arena, table->width * sizeof *values);
    for (uint32_t i = 0; i < table->width; i++) {
        values[i].null = true;
    }
    table->rows[table->count].values = values;
    table->count += 1;
    return values;
}

/* ---- the same rows ---- */

static int order_values(const void *a, const void *b)
{
    return naive_compare(a, b);
}

static int order_rows(const void *a, const void *b, void *argument)
{
    const naive_row *left = a, *right = b;
    uint32_t width = *(const uint32_t *)argument;
    for (uint32_t i = 0; i < width; i++) {
        int order = naive_compare(&left->values[i], &right->values[i]);
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

/* A copy with every list's elements in ascending order. */
static naive_table sort_lists(rn_arena *arena, const naive_table *table)
{
    naive_table copy = {.width = table->width};
    for (size_t r = 0; r < table->count; r++) {
        naive_value *values = naive_table_add(arena, &copy);
        memcpy(values, table->rows[r].values, table->width * sizeof *values);
        for (uint32_t c = 0; c < table->width; c++) {
            if (values[c].type.kind == NAIVE_LIST && !values[c].null && values[c].count > 0) {
                naive_value *items = naive_allocate(arena, values[c].count * sizeof *items);
                memcpy(items, values[c].items, values[c].count * sizeof *items);
                qsort(items, values[c].count, sizeof *items, order_values);
                values[c].items = items;
            }
        }
    }
    return copy;
}

static bool row_close(const naive_row *a, const naive_row *b, uint32_t width)
{
    for (uint32_t i = 0; i < width; i++) {
        if (!naive_close(&a->values[i], &b->values[i])) {
            return false;
        }
    }
    return true;
}

static bool find_partners(rn_arena *arena, const naive_table *expected, const naive_table *actual,
                          rn_text *difference)
{
    bool *taken = naive_allocate(arena, actual->count);
    for (size_t i = 0; i < expected->count; i++) {
        size_t j = 0;
        while (j < actual->count &&
               (taken[j] || !row_close(&expected->rows[i], &actual->rows[j], expected->width))) {
            j++;
        }
        if (j == actual->count) {
            rn_text_put(difference, "no such row: ");
            naive_put_row(difference, expected->rows[i].values, expected->width);
            return false;
        }
        taken[j] = true;
    }
    return true;
}

bool naive_table_same(rn_arena *arena, const naive_table *expected, const naive_table *actual,
                      bool ordered, rn_text *difference)
{
    if (expected->width != actual->width || expected->count != actual->count) {
        rn_text_format(difference, "expected %zu rows of %u columns, got %zu of %u",
                       expected->count, expected->width, actual->count, actual->width);
        return false;
    }
    naive_table left = sort_lists(arena, expected);
    naive_table right = sort_lists(arena, actual);
    if (!ordered && left.count > 0) {
        qsort_r(left.rows, left.count, sizeof *left.rows, order_rows, &left.width);
        qsort_r(right.rows, right.count, sizeof *right.rows, order_rows, &right.width);
    }
    for (size_t i = 0; i < left.count; i++) {
        if (!row_close(&left.rows[i], &right.rows[i], left.width)) {
            if (!ordered) {
                return find_partners(arena, &left, &right, difference);
            }
            rn_text_format(difference, "row %zu: expected ", i);
            naive_put_row(difference, left.rows[i].values, left.width);
            rn_text_put(difference, " got ");
            naive_put_row(difference, right.rows[i].values, right.width);
            return false;
        }
    }
    return true;
}

/* ---- text ---- */

const char *naive_kind_name(naive_kind kind)
{
    static const char *const names[] = {"bool",   "int64", "double", "date", "timestamp",
                                        "string", "node",  "edge",   "list"};
    return names[kind];
}

static void put_time(rn_text *text, int64_t seconds, const char *format)
{
    char buffer[64];
    time_t moment = (time_t)seconds;
    struct tm parts;
    gmtime_r(&moment, &parts);
    strftime(buffer, sizeof buffer, format, &parts);
    rn_text_put(text, buffer);
}

void naive_put(rn_text *text, const naive_value *value)
{
    if (value->null) {
        rn_text_put(text, "null");
        return;
    }
    switch (value->type.kind) {
    case NAIVE_BOOL:
        rn_text_put(text, value->boolean ? "true" : "false");
        break;
    case NAIVE_DOUBLE:
        rn_text_format(text, "%.17g", value->real);
        break;
    case NAIVE_DATE:
        put_time(text, value->integer * 86400, "%Y-%m-%d");
        break;
    case NAIVE_TIMESTAMP: {
        int64_t part = ((value->integer % 1000000) + 1000000) % 1000000;
        put_time(text, (value->integer - part) / 1000000, "%Y-%m-%dT%H:%M:%S");
        rn_text_format(text, ".%06dZ", (int)part);
        break;
    }
    case NAIVE_STRING:
        rn_text_put_json(text, value->bytes, value->length);
        break;
    case NAIVE_NODE:
        rn_text_format(text, "node#%lld", (long long)value->integer);
        break;
    case NAIVE_EDGE:
        rn_text_format(text, "edge#%lld", (long long)value->integer);
        break;
    case NAIVE_LIST:
        rn_text_put(text, "[");
        for (size_t i = 0; i < value->count; i++) {
            rn_text_put(text, i == 0 ? "" : ", ");
            naive_put(text, &value->items[i]);
        }
        rn_text_put(text, "]");
        break;
    default:
        rn_text_format(text, "%lld", (long long)value->integer);
    }
}

void naive_put_row(rn_text *text, const naive_value *values, uint32_t width)
{
    rn_text_put(text, "(");
    for (uint32_t i = 0; i < width; i++) {
        rn_text_put(text, i == 0 ? "" : ", ");
        naive_put(text, &values[i]);
    }
    rn_text_put(text, ")");
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Boxed values and tables of them, for the naive evaluator. Written for obviousness, and from
 * docs/plans.md alone: nothing of the engine's values, expressions or operators is used here, so
 * that a mistake there cannot repeat itself here.
 *
 * Order: by value; NaN after every number and equal to NaN; null last; -0 equals 0.
 */
#ifndef RATION_TESTS_NAIVE_VALUE_H
#define RATION_TESTS_NAIVE_VALUE_H

#include "base/heap.h"
#include "base/text.h"

typedef enum naive_kind {
    NAIVE_BOOL,
    NAIVE_INT64,
    NAIVE_DOUBLE,
    NAIVE_DATE,      /* days since 1970-01-01 */
    NAIVE_TIMESTAMP, /* microseconds since then */
    NAIVE_STRING,
    NAIVE_NODE, /* index into the random graph's nodes */
    NAIVE_EDGE, /* index into its edges */
    NAIVE_LIST
} naive_kind;

typedef struct naive_type {
    naive_kind kind;
    naive_kind element; /* of a list */
} naive_type;

typedef struct naive_value {
    naive_type type;
    bool null;
    bool boolean;
    int64_t integer; /* int64, date, timestamp, node, edge */
    double real;
    const char *bytes; /* string */
    size_t length;
    const struct naive_value *items; /* list */
    size_t count;
} naive_value;

typedef struct naive_row {
    naive_value *values;
} naive_row;

/* Rows of equal width. Grows in the arena by doubling. */
typedef struct naive_table {
    naive_row *rows;
    size_t count, capacity;
    uint32_t width;
} naive_table;

/* From an arena, or abort: a test without memory has nothing to say. */
void *naive_allocate(rn_arena *arena, size_t bytes);

static inline naive_type naive_type_of(naive_kind kind)
{
    naive_type type = {kind, NAIVE_BOOL};
    return type;
}
static inline bool naive_type_equal(naive_type a, naive_type b)
{
    return a.kind == b.kind && (a.kind != NAIVE_LIST || a.element == b.element);
}
naive_value naive_null(naive_type type);
naive_value naive_bool(bool value);
naive_value naive_int64(int64_t value);
/* Date, timestamp, node or edge. */
naive_value naive_whole(naive_kind kind, int64_t value);
naive_value naive_double(double value);
/* `bytes` is kept by pointer. */
naive_value naive_string(const char *bytes, size_t length);

/* <0, 0, >0 of two values of the same type; nulls last. */
int naive_compare(const naive_value *a, const naive_value *b);
/* Null equals null. */
bool naive_same(const naive_value *a, const naive_value *b);
/* The same up to 1e-12 relative for doubles; lists as multisets. */
bool naive_close(const naive_value *a, const naive_value *b);
bool naive_row_same(const naive_value *a, const naive_value *b, uint32_t width);

/* Adds a row of `width` null values and returns it. */
naive_value *naive_table_add(rn_arena *arena, naive_table *table);
/* Do the tables hold the same rows: in this order, or as multisets? Says what differs. */
bool naive_table_same(rn_arena *arena, const naive_table *expected, const naive_table *actual,
                      bool ordered, rn_text *difference);

void naive_put(rn_text *text, const naive_value *value);
void naive_put_row(rn_text *text, const naive_value *values, uint32_t width);
const char *naive_kind_name(naive_kind kind);

#endif

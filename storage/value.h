/* SPDX-License-Identifier: Apache-2.0
 *
 * Types and values of a column, and what "equal" and "less" mean everywhere: filter, join,
 * distinct, aggregate and sort all come here.
 *
 * Order: by value; NaN after every number and equal to NaN; null last; -0 equals 0. Strings and
 * lists compare as bytes and element by element. Equal values have equal hashes.
 */
#ifndef RATION_VALUE_H
#define RATION_VALUE_H

#include "base/hash.h"
#include "base/text.h"

typedef enum rn_kind {
    RN_BOOL,      /* uint8_t, 0 or 1 */
    RN_INT64,     /* int64_t */
    RN_DOUBLE,    /* double */
    RN_DATE,      /* int32_t days since 1970-01-01 */
    RN_TIMESTAMP, /* int64_t microseconds since 1970-01-01 UTC */
    RN_STRING,    /* rn_string */
    RN_NODE,      /* uint32_t, numbered through all labels of the graph */
    RN_EDGE,      /* uint64_t: edge type << 48 | position in that type's table */
    RN_LIST,      /* rn_list of one scalar kind, never of lists, without nulls */
    RN_KINDS
} rn_kind;

#define RN_LABEL_ANY UINT16_MAX

typedef struct rn_type {
    uint8_t kind;    /* rn_kind */
    uint8_t element; /* rn_kind of a list's elements */
    uint16_t label;  /* node: label, edge: edge type, when the plan knows it; else RN_LABEL_ANY. No
                        part of equality. */
} rn_type;

static inline rn_type rn_type_of(rn_kind kind)
{
    rn_type type = {(uint8_t)kind, 0, RN_LABEL_ANY};
    return type;
}
static inline bool rn_type_equal(rn_type a, rn_type b)
{
    return a.kind == b.kind && (a.kind != RN_LIST || a.element == b.element);
}
/* Bytes of one value in a column array: 1, 8, 8, 4, 8, 16, 4, 8, 16. */
size_t rn_kind_bytes(rn_kind kind);
/* "int64", "node", ...; rn_type_name of a list is "list of int64". `buffer` >= 32 bytes, returned.
 */
const char *rn_kind_name(rn_kind kind);
const char *rn_type_name(rn_type type, char *buffer);
/* The kind named by a manifest or plan ("int64", "string", ...); false when unknown or not a
 * property type. */
bool rn_kind_parse(const char *name, rn_kind *out_kind);

/* 16 bytes. Up to 12 bytes inline (prefix then tail); longer ones keep a prefix and point. Unused
 * inline bytes are 0, so equal short strings are equal in both words. */
typedef struct rn_string {
    uint32_t length;
    char prefix[4];
    union {
        char tail[8];
        const char *pointer;
    } rest;
} rn_string;

#define RN_STRING_INLINE_MAX 12u

static inline const char *rn_string_bytes(const rn_string *string)
{
    return string->length <= RN_STRING_INLINE_MAX ? string->prefix : string->rest.pointer;
}
/* Makes a string over `bytes`, which must outlive it when longer than 12. length <= UINT32_MAX. */
static inline rn_string rn_string_over(const char *bytes, uint32_t length)
{
    rn_string string;
    memset(&string, 0, sizeof string);
    string.length = length;
    if (length <= RN_STRING_INLINE_MAX) {
        memcpy((char *)&string + offsetof(rn_string, prefix), bytes, length);
    } else {
        memcpy(string.prefix, bytes, 4);
        string.rest.pointer = bytes;
    }
    return string;
}
bool rn_string_equal_long(const rn_string *a, const rn_string *b);
static inline bool rn_string_equal(const rn_string *a, const rn_string *b)
{
    uint64_t head_a, head_b, tail_a, tail_b;
    memcpy(&head_a, a, 8);
    memcpy(&head_b, b, 8);
    if (head_a != head_b) {
        return false;
    }
    memcpy(&tail_a, &a->rest, 8);
    memcpy(&tail_b, &b->rest, 8);
    return tail_a == tail_b || (a->length > RN_STRING_INLINE_MAX && rn_string_equal_long(a, b));
}
/* <0, 0, >0 as bytes. */
int rn_string_compare(const rn_string *a, const rn_string *b);

/* A list is a chain of segments of at most 64 KiB, each followed by its values. */
typedef struct rn_list_segment {
    struct rn_list_segment *next;
    uint32_t count, capacity;
    /* count values of rn_kind_bytes(element) each */
} rn_list_segment;

typedef struct rn_list {
    uint64_t length;
    rn_list_segment *first;
} rn_list;

static inline void *rn_list_values(const rn_list_segment *segment)
{
    return (char *)(uintptr_t)segment + sizeof(rn_list_segment);
}

/* One value outside a column: literals, parameters, bounds. */
typedef struct rn_value {
    rn_type type;
    bool null;
    union {
        uint8_t boolean;
        int64_t integer; /* int64, timestamp */
        double real;
        int32_t date;
        rn_string string;
        uint32_t node;
        uint64_t edge;
        rn_list list;
    } as;
} rn_value;

/* Both point at a value of `kind` in a column array (a list's element kind comes in `type`). */
int rn_value_compare(rn_type type, const void *a, const void *b);
bool rn_value_equal(rn_type type, const void *a, const void *b);
uint64_t rn_value_hash(rn_type type, uint64_t seed, const void *value);
/* int64 hashed as in rn_value_hash, inline for key loops. */
static inline uint64_t rn_value_hash_word(uint64_t seed, uint64_t word)
{
    return rn_hash_word(seed, word);
}
#define RN_HASH_NULL UINT64_C(0x6e756c6c6e756c6c)

#endif

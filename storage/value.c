/* SPDX-License-Identifier: Apache-2.0
 *
 * What "equal", "less" and "the same hash" mean, for every kind of value.
 *
 * Invariants
 *   1. rn_value_compare is a total order: -0 and 0 are one value, all NaN are one value above every
 * number.
 *   2. rn_value_equal(a, b) == (rn_value_compare(a, b) == 0), and equal values have equal hashes,
 * also when a list is cut into segments differently.
 *   3. Every kind of whole number hashes its value zero- or sign-extended to one word, so that key
 * loops can do it inline (rn_value_hash_word).
 */
#include "storage/value.h"

static const struct {
    const char *name;
    uint8_t bytes;
    bool property; /* may be named by a manifest */
} kinds[RN_KINDS] = {
    [RN_BOOL] = {"bool", 1, true},
    [RN_INT64] = {"int64", 8, true},
    [RN_DOUBLE] = {"double", 8, true},
    [RN_DATE] = {"date", 4, true},
    [RN_TIMESTAMP] = {"timestamp", 8, true},
    [RN_STRING] = {"string", sizeof(rn_string), true},
    [RN_NODE] = {"node", 4, false},
    [RN_EDGE] = {"edge", 8, false},
    [RN_LIST] = {"list", sizeof(rn_list), false},
};

size_t rn_kind_bytes(rn_kind kind)
{
    rn_assert((unsigned)kind < RN_KINDS);
    return kinds[kind].bytes;
}

const char *rn_kind_name(rn_kind kind)
{
    return (unsigned)kind < RN_KINDS ? kinds[kind].name : "unknown";
}

const char *rn_type_name(rn_type type, char *buffer)
{
    const char *parts[] = {
        type.kind == RN_LIST ? "list of " : "",
        rn_kind_name((rn_kind)(type.kind == RN_LIST ? type.element : type.kind))};
    size_t length = 0;
    for (size_t part = 0; part < RN_COUNT(parts); part++) {
        size_t count = strlen(parts[part]);
        memcpy(buffer + length, parts[part], count);
        length += count;
    }
    buffer[length] = '\0';
    return buffer;
}

bool rn_kind_parse(const char *name, rn_kind *out_kind)
{
    for (size_t kind = 0; kind < RN_KINDS; kind++) {
        if (kinds[kind].property && strcmp(kinds[kind].name, name) == 0) {
            *out_kind = (rn_kind)kind;
            return true;
        }
    }
    return false;
}

bool rn_string_equal_long(const rn_string *a, const rn_string *b)
{
    return a->length == b->length && memcmp(rn_string_bytes(a), rn_string_bytes(b), a->length) == 0;
}

int rn_string_compare(const rn_string *a, const rn_string *b)
{
    uint32_t head_a, head_b;
    memcpy(&head_a, a->prefix, 4);
    memcpy(&head_b, b->prefix, 4);
    if (head_a != head_b) {
        /* Unused bytes of a prefix are 0, the least byte: a shorter string that is a prefix of the
         * other sorts first. */
        int order = memcmp(a->prefix, b->prefix, 4);
        rn_assert(order != 0);
        return order;
    }
    int order = memcmp(rn_string_bytes(a), rn_string_bytes(b), RN_MIN(a->length, b->length));
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* Walks the values of a list whatever its segments are. */
typedef struct list_reader {
    const rn_list_segment *segment;
    uint32_t index;
    size_t step;
} list_reader;

static list_reader start_reading(const rn_list *list, rn_kind element)
{
    return (list_reader){list->first, 0, rn_kind_bytes(element)};
}

static const void *read_next(list_reader *reader)
{
    while (reader->index >= reader->segment->count) {
        reader->segment = reader->segment->next;
        reader->index = 0;
    }
    return (const char *)rn_list_values(reader->segment) + reader->step * reader->index++;
}

static int compare_lists(rn_type element, const rn_list *a, const rn_list *b)
{
    list_reader reader_a = start_reading(a, (rn_kind)element.kind);
    list_reader reader_b = start_reading(b, (rn_kind)element.kind);
    for (uint64_t left = RN_MIN(a->length, b->length); left > 0; left--) {
        int order = rn_value_compare(element, read_next(&reader_a), read_next(&reader_b));
        if (order != 0) {
            return order;
        }
    }
    return (a->length > b->length) - (a->length < b->length);
}

static bool equal_lists(rn_type element, const rn_list *a, const rn_list *b)
{
    return a->length == b->length && compare_lists(element, a, b) == 0;
}

static uint64_t hash_list(rn_type element, uint64_t seed, const rn_list *list)
{
    uint64_t hash = rn_hash_word(seed, list->length);
    list_reader reader = start_reading(list, (rn_kind)element.kind);
    for (uint64_t left = list->length; left > 0; left--) {
        hash = rn_value_hash(element, hash, read_next(&reader));
    }
    return hash;
}

static int compare_doubles(double a, double b)
{
    if (a < b || a > b) {
        return a < b ? -1 : 1;
    }
    return (a != a) - (b != b);
}

#define COMPARE_AS(type_)                                                                          \
    do {                                                                                           \
        type_ x_, y_;                                                                              \
        memcpy(&x_, a, sizeof x_);                                                                 \
        memcpy(&y_, b, sizeof y_);                                                                 \
        return (x_ > y_) - (x_ < y_);                                                              \
    } while (0)

int rn_value_compare(rn_type type, const void *a, const void *b)
{
    double x, y;
    switch ((rn_kind)type.kind) {
    case RN_BOOL:
        COMPARE_AS(uint8_t);
    case RN_INT64:
    case RN_TIMESTAMP:
        COMPARE_AS(int64_t);
    case RN_DATE:
        COMPARE_AS(int32_t);
    case RN_NODE:
        COMPARE_AS(uint32_t);
    case RN_EDGE:
        COMPARE_AS(uint64_t);
    case RN_DOUBLE:
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        return compare_doubles(x, y);
    case RN_STRING:
        return rn_string_compare(a, b);
    case RN_LIST:
        return compare_lists(rn_type_of((rn_kind)type.element), a, b);
    case RN_KINDS:
        break;
    }
    (void)rn_never(true);
    return 0;
}

bool rn_value_equal(rn_type type, const void *a, const void *b)
{
    if (type.kind == RN_STRING) {
        return rn_string_equal(a, b);
    }
    if (type.kind == RN_LIST) {
        return equal_lists(rn_type_of((rn_kind)type.element), a, b);
    }
    return rn_value_compare(type, a, b) == 0;
}

static uint64_t hash_double(uint64_t seed, double real)
{
    uint64_t word = UINT64_C(0x7ff8000000000000); /* one NaN for all */
    if (real == 0.0) {
        word = 0;
    } else if (real == real) {
        memcpy(&word, &real, sizeof word);
    }
    return rn_hash_word(seed, word);
}

static uint64_t hash_string(uint64_t seed, const rn_string *string)
{
    if (string->length > RN_STRING_INLINE_MAX) {
        return rn_hash_bytes(seed, string->rest.pointer, string->length);
    }
    uint64_t head, tail;
    memcpy(&head, string, 8);
    memcpy(&tail, &string->rest, 8);
    return rn_hash_word(rn_hash_word(seed, head), tail);
}

#define HASH_AS(type_)                                                                             \
    do {                                                                                           \
        type_ x_;                                                                                  \
        memcpy(&x_, value, sizeof x_);                                                             \
        return rn_value_hash_word(seed, (uint64_t)x_);                                             \
    } while (0)

uint64_t rn_value_hash(rn_type type, uint64_t seed, const void *value)
{
    double real;
    switch ((rn_kind)type.kind) {
    case RN_BOOL:
        HASH_AS(uint8_t);
    case RN_INT64:
    case RN_TIMESTAMP:
        HASH_AS(int64_t);
    case RN_DATE:
        HASH_AS(int32_t);
    case RN_NODE:
        HASH_AS(uint32_t);
    case RN_EDGE:
        HASH_AS(uint64_t);
    case RN_DOUBLE:
        memcpy(&real, value, sizeof real);
        return hash_double(seed, real);
    case RN_STRING:
        return hash_string(seed, value);
    case RN_LIST:
        return hash_list(rn_type_of((rn_kind)type.element), seed, value);
    case RN_KINDS:
        break;
    }
    (void)rn_never(true);
    return seed;
}

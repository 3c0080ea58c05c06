/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of rows: keys that compare as numbers, and the whole comparison behind them.
 *
 * Invariant: key(a) < key(b) implies a before b. Equal keys say nothing; then the whole comparison
 * decides. So a value may share the key of null (the largest), and a string the key of one that
 * begins with the same 8 bytes. */
#include "iterators/sorter.h"

#define SIGN_BIT (UINT64_C(1) << 63)
#define KEY_NULL UINT64_MAX

static uint64_t key_of_double(double real)
{
    uint64_t word;
    if (real != real) {
        return UINT64_MAX;
    }
    real += 0.0; /* -0 becomes 0 */
    memcpy(&word, &real, sizeof word);
    return (word & SIGN_BIT) != 0 ? ~word : word | SIGN_BIT;
}

static uint64_t key_of_string(const rn_string *string)
{
    uint64_t word = 0;
    memcpy(&word, rn_string_bytes(string), RN_MIN(string->length, 8u));
    return __builtin_bswap64(word);
}

static uint64_t key_of(rn_kind kind, const void *value)
{
    int64_t integer;
    int32_t date;
    uint32_t node;
    double real;
    switch (kind) {
    case RN_BOOL:
        return *(const uint8_t *)value;
    case RN_INT64:
    case RN_TIMESTAMP:
        memcpy(&integer, value, sizeof integer);
        return (uint64_t)integer ^ SIGN_BIT;
    case RN_DATE:
        memcpy(&date, value, sizeof date);
        return (uint64_t)(int64_t)date ^ SIGN_BIT;
    case RN_NODE:
        memcpy(&node, value, sizeof node);
        return node;
    case RN_EDGE:
        memcpy(&integer, value, sizeof integer);
        return (uint64_t)integer;
    case RN_DOUBLE:
        memcpy(&real, value, sizeof real);
        return key_of_double(real);
    case RN_STRING:
        return key_of_string(value);
    default:
        return 0; /* lists: the whole comparison decides */
    }
}

void rn_sort_value(rn_kind kind, uint64_t key, void *to)
{
    uint64_t word = key;
    if (kind == RN_INT64 || kind == RN_TIMESTAMP || kind == RN_DATE) {
        word = key ^ SIGN_BIT;
    } else if (kind == RN_DOUBLE) {
        word = (key & SIGN_BIT) != 0 ? key ^ SIGN_BIT : ~key;
    }
    memcpy(to, &word, rn_kind_bytes(kind)); /* the low bytes */
}

void rn_sort_keys(const rn_column *column, uint32_t rows, bool descending, uint64_t *keys)
{
    uint64_t flip = descending ? UINT64_MAX : 0;
    rn_kind kind = (rn_kind)column->type.kind;
    for (uint32_t row = 0; row < rows; row++) {
        keys[row] = rn_column_valid(column, row) ? key_of(kind, rn_column_at(column, row)) ^ flip
                                                 : KEY_NULL;
    }
}

int rn_sort_compare(const rn_layout *layout, const rn_order *order, uint32_t order_count,
                    const rn_row *a, const rn_row *b)
{
    for (uint32_t i = 0; i < order_count; i++) {
        uint32_t column = order[i].column;
        int result = rn_row_compare(layout, a, b, column);
        if (result != 0) {
            bool nulls = !rn_row_valid(layout, a, column) || !rn_row_valid(layout, b, column);
            return order[i].descending && !nulls ? -result : result;
        }
    }
    for (uint32_t column = 0; column < layout->column_count; column++) {
        int result = rn_row_compare(layout, a, b, column);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

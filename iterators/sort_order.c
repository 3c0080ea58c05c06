/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of rows: keys that compare as numbers, and the whole comparison behind them.
 *
 * Invariant: key(a) < key(b) implies a before b. Equal keys say nothing; then the whole comparison
 * decides. So a value may share the key of null (the largest), and a string the key of one that
 * begins with the same 8 bytes.
 *
 * The word of a row holds as many columns of its order as fit, from the top: bools, dates and nodes
 * exactly, in 2 or 33 bits with their null; then what is left of the word is the top of the next
 * column's key, and that is the last one. */
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

int rn_sort_compare(const void *with, const rn_row *a, const rn_row *b)
{
    const rn_sorter *sorter = with;
    const rn_layout *layout = &sorter->layout;
    for (uint32_t i = 0; i < sorter->order_count; i++) {
        uint32_t column = sorter->order[i].column;
        int result = rn_row_compare(layout, a, b, column);
        if (result != 0) {
            bool nulls = !rn_row_valid(layout, a, column) || !rn_row_valid(layout, b, column);
            return sorter->order[i].descending && !nulls ? -result : result;
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

/* ---------------------------------------------------------------------------------------- words */

/* Bits that say a value of this kind exactly, and that it is null; 0 = there are not so few. */
static uint32_t exact_bits(rn_kind kind)
{
    return kind == RN_BOOL ? 2 : kind == RN_DATE || kind == RN_NODE ? 33 : 0;
}

static uint64_t top_of(uint32_t bits)
{
    return bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

static bool in_parts(const rn_sort_part *parts, uint32_t count, uint32_t column)
{
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].column == column) {
            return true;
        }
    }
    return false;
}

uint32_t rn_sort_plan(const rn_layout *layout, const rn_order *order, uint32_t order_count,
                      rn_sort_part *out_parts)
{
    uint32_t count = 0, left = 64;
    for (uint32_t i = 0; i < order_count + layout->column_count && left > 0; i++) {
        uint32_t column = i < order_count ? order[i].column : i - order_count;
        if (in_parts(out_parts, count, column)) {
            continue; /* decided already */
        }
        uint32_t exact = exact_bits((rn_kind)layout->types[column].kind);
        uint32_t bits = exact == 0 || exact > left ? left : exact;
        left -= bits;
        out_parts[count++] = (rn_sort_part){
            .column = column,
            .bits = bits,
            .shift = left,
            .exact = bits == exact,
            .descending = i < order_count && order[i].descending,
        };
        if (bits != exact) {
            break; /* what comes behind is not decided by these words */
        }
    }
    return count;
}

/* A narrow value as a number below top_of(exact_bits). */
static uint64_t exact_key(rn_kind kind, const void *value)
{
    return kind == RN_DATE ? (key_of(kind, value) ^ SIGN_BIT) + (UINT64_C(1) << 31)
                           : key_of(kind, value);
}

/* Adds an exact part: null is the largest of its numbers, a value turned around stays below. */
static void add_exact(const rn_sort_part *part, const rn_column *column, uint32_t rows,
                      uint64_t *words)
{
    rn_kind kind = (rn_kind)column->type.kind;
    uint64_t null = top_of(part->bits);
    uint64_t most = kind == RN_BOOL ? 1 : UINT32_MAX;
    for (uint32_t row = 0; row < rows; row++) {
        uint64_t key = null;
        if (rn_column_valid(column, row)) {
            key = exact_key(kind, rn_column_at(column, row));
            key = part->descending ? most - key : key;
        }
        words[row] |= key << part->shift;
    }
}

/* Adds the top bits of a key: the last part, so that equal ones may be different. */
static void add_top(const rn_sort_part *part, const rn_column *column, uint32_t rows,
                    uint64_t *words)
{
    uint64_t keys[RN_BATCH_ROWS_MAX];
    uint32_t narrow = exact_bits((rn_kind)column->type.kind);
    uint32_t unused = 64 - part->bits;
    rn_sort_part whole = {.bits = narrow, .shift = 64 - narrow, .descending = part->descending};
    if (narrow > 0) {
        memset(keys, 0, rows * sizeof *keys);
        add_exact(&whole, column, rows, keys);
    } else {
        rn_sort_keys(column, rows, part->descending, keys);
    }
    for (uint32_t row = 0; row < rows; row++) {
        words[row] |= keys[row] >> unused;
    }
}

void rn_sort_words(const rn_sort_part *parts, uint32_t count, const rn_batch *batch,
                   uint64_t *words)
{
    if (parts[0].bits == 64) {
        rn_sort_keys(&batch->columns[parts[0].column], batch->rows, parts[0].descending, words);
        return;
    }
    memset(words, 0, batch->rows * sizeof *words);
    for (uint32_t i = 0; i < count; i++) {
        const rn_column *column = &batch->columns[parts[i].column];
        if (parts[i].exact) {
            add_exact(&parts[i], column, batch->rows, words);
        } else {
            add_top(&parts[i], column, batch->rows, words);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashing and comparing the key columns of a batch.
 *
 * The hash of a row is a chain: each column hashes its value with the hash so far as seed, so that
 * (1, 2) and (2, 1) differ. The loops for words agree with rn_value_hash by its invariant 3. */
#include "iterators/keys.h"

#define HASH_WORDS(type_)                                                                          \
    do {                                                                                           \
        const type_ *data = column->data;                                                          \
        for (uint32_t i = 0; i < rows; i++) {                                                      \
            uint32_t entry = rn_column_entry(column, i);                                           \
            bool valid = column->valid == NULL || rn_bit_get(column->valid, entry);                \
            uint64_t word = valid ? (uint64_t)data[entry] : RN_HASH_NULL;                          \
            hashes[i] = rn_value_hash_word(hashes[i], word);                                       \
        }                                                                                          \
    } while (0)

static void hash_column(const rn_column *column, uint32_t rows, uint64_t *hashes)
{
    switch ((rn_kind)column->type.kind) {
    case RN_BOOL:
        HASH_WORDS(uint8_t);
        return;
    case RN_INT64:
    case RN_TIMESTAMP:
        HASH_WORDS(int64_t);
        return;
    case RN_DATE:
        HASH_WORDS(int32_t);
        return;
    case RN_NODE:
        HASH_WORDS(uint32_t);
        return;
    case RN_EDGE:
        HASH_WORDS(uint64_t);
        return;
    default:
        for (uint32_t i = 0; i < rows; i++) {
            hashes[i] = rn_column_valid(column, i)
                            ? rn_value_hash(column->type, hashes[i], rn_column_at(column, i))
                            : rn_value_hash_word(hashes[i], RN_HASH_NULL);
        }
    }
}

void rn_keys_hash(const rn_batch *batch, const uint32_t *columns, uint32_t count, uint64_t *hashes)
{
    for (uint32_t i = 0; i < batch->rows; i++) {
        hashes[i] = RN_HASH_SEED;
    }
    for (uint32_t c = 0; c < count; c++) {
        hash_column(&batch->columns[columns[c]], batch->rows, hashes);
    }
}

bool rn_keys_equal(const rn_batch *batch, const uint32_t *columns, uint32_t count, uint32_t a,
                   uint32_t b)
{
    for (uint32_t c = 0; c < count; c++) {
        const rn_column *column = &batch->columns[columns[c]];
        bool valid = rn_column_valid(column, a);
        if (valid != rn_column_valid(column, b) ||
            (valid &&
             !rn_value_equal(column->type, rn_column_at(column, a), rn_column_at(column, b)))) {
            return false;
        }
    }
    return true;
}

uint32_t rn_keys_present(const rn_batch *batch, const uint32_t *columns, uint32_t count,
                         uint16_t *out_rows)
{
    uint32_t present = 0;
    for (uint32_t row = 0; row < batch->rows; row++) {
        bool all = true;
        for (uint32_t c = 0; c < count && all; c++) {
            all = rn_column_valid(&batch->columns[columns[c]], row);
        }
        out_rows[present] = (uint16_t)row;
        present += all;
    }
    return present;
}

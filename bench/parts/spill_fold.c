/* SPDX-License-Identifier: Apache-2.0
 *
 * A result set in three words: how many rows, a hash of them as a multiset, and whether they came
 * in order. A row's hash chains those of its values; the set's is their sum, so that the order of
 * rows does not matter, nor that of a list's elements. */
#include "bench/spill.h"

void spill_fold_begin(spill_fold *fold, uint32_t ordered)
{
    *fold = (spill_fold){.ordered = ordered, .sorted = true, .last = {INT64_MIN, INT64_MIN}};
}

/* Is each row at or after the one before, by the first one or two columns? */
static void fold_order(spill_fold *fold, const int64_t *first, const int64_t *second, uint32_t rows)
{
    bool sorted = true;
    int64_t last = fold->last[0], last_second = fold->last[1];
    for (uint32_t i = 0; i < rows; i++) {
        int64_t now = second == NULL ? 0 : second[i];
        sorted &= first[i] > last || (first[i] == last && (second == NULL || now >= last_second));
        last = first[i];
        last_second = now;
    }
    fold->last[0] = last;
    fold->last[1] = last_second;
    fold->sorted = fold->sorted && sorted;
}

static void fold_column(uint64_t *hashes, const int64_t *values, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++) {
        hashes[i] = rn_hash_word(hashes[i], (uint64_t)values[i]);
    }
}

static void fold_rows(spill_fold *fold, const uint64_t *hashes, uint32_t rows)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < rows; i++) {
        sum += hashes[i];
    }
    fold->hash += sum;
    fold->rows += rows;
}

void spill_fold_words(spill_fold *fold, const int64_t *const *columns, uint32_t count,
                      uint32_t rows)
{
    for (uint32_t from = 0, part; from < rows; from += part) {
        uint64_t hashes[RN_BATCH_ROWS_MAX] = {0};
        part = RN_MIN(rows - from, RN_BATCH_ROWS_MAX);
        for (uint32_t c = 0; c < count; c++) {
            fold_column(hashes, columns[c] + from, part);
        }
        if (fold->ordered > 0) {
            fold_order(fold, columns[0] + from, fold->ordered > 1 ? columns[1] + from : NULL, part);
        }
        fold_rows(fold, hashes, part);
    }
}

static uint64_t hash_list(rn_type type, const rn_list *list)
{
    rn_type element = rn_type_of((rn_kind)type.element);
    size_t bytes = rn_kind_bytes((rn_kind)type.element);
    uint64_t sum = list->length;
    for (const rn_list_segment *at = list->first; at != NULL; at = at->next) {
        const char *values = rn_list_values(at);
        for (uint32_t i = 0; i < at->count; i++) {
            sum += rn_value_hash(element, RN_HASH_SEED, values + i * bytes);
        }
    }
    return sum;
}

/* What stands for each of the column's values: itself, or its hash. */
static void read_column(const rn_column *column, uint32_t rows, int64_t *words)
{
    if (column->type.kind == RN_INT64 && column->valid == NULL && column->selection == NULL) {
        memcpy(words, column->data, rows * sizeof *words);
        return;
    }
    for (uint32_t i = 0; i < rows; i++) {
        const void *value = rn_column_at(column, i);
        uint32_t node;
        if (!rn_column_valid(column, i)) {
            words[i] = (int64_t)RN_HASH_NULL;
        } else if (column->type.kind == RN_INT64) {
            memcpy(&words[i], value, sizeof *words);
        } else if (column->type.kind == RN_NODE) {
            memcpy(&node, value, sizeof node);
            words[i] = node;
        } else if (column->type.kind == RN_LIST) {
            words[i] = (int64_t)hash_list(column->type, value);
        } else {
            words[i] = (int64_t)rn_value_hash(column->type, RN_HASH_SEED, value);
        }
    }
}

void spill_fold_batch(spill_fold *fold, const rn_batch *batch)
{
    uint64_t hashes[RN_BATCH_ROWS_MAX] = {0};
    int64_t words[2][RN_BATCH_ROWS_MAX], rest[RN_BATCH_ROWS_MAX];
    for (uint32_t c = 0; c < batch->column_count; c++) {
        int64_t *values = c < fold->ordered ? words[c] : rest;
        read_column(&batch->columns[c], batch->rows, values);
        fold_column(hashes, values, batch->rows);
    }
    if (fold->ordered > 0) {
        fold_order(fold, words[0], fold->ordered > 1 ? words[1] : NULL, batch->rows);
    }
    fold_rows(fold, hashes, batch->rows);
}

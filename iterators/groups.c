/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding rows by key, a batch at a time.
 *
 * Looking up goes in three passes, so that the misses of one row overlap with those of the next:
 * bring the lines of the table in; take the first candidate and bring its row in; compare. What is
 * not there is then made unique within the batch by a table of twice as many places as the batch
 * has rows, in scratch.
 *
 * Invariants
 *   1. No two rows of `rows` have equal keys, and each has exactly one entry in `table`: its
 * address under its key's hash.
 *   2. After find with fresh: found[i] == NULL exactly for looked-up rows whose key is in no group,
 * and then fresh[fresh_of[i]] is the first row of the batch with that key. */
#include "iterators/groups.h"

#include "iterators/keys.h"

#define NO_ROW UINT16_MAX
/* Tables up to this many entries are in the cache anyway. */
#define PREFETCH_ENTRIES 16384

static ration_status open_scratch(rn_groups *groups, ration_context *context, uint32_t rows)
{
    uint32_t slots = 2;
    while (slots < 2 * rows) {
        slots *= 2;
    }
    groups->slot_mask = slots - 1;
    const struct {
        void *out;
        size_t bytes;
    } arrays[] = {{&groups->hashes, rows * sizeof(uint64_t)},
                  {&groups->found, rows * sizeof(rn_row *)},
                  {&groups->fresh_of, rows * sizeof(uint16_t)},
                  {&groups->fresh, rows * sizeof(uint16_t)},
                  {&groups->fresh_hashes, rows * sizeof(uint64_t)},
                  {&groups->fresh_rows, rows * sizeof(rn_row *)},
                  {&groups->positions, rows * sizeof(uint64_t)},
                  {&groups->slots, slots * sizeof(uint16_t)}};
    for (size_t i = 0; i < RN_COUNT(arrays); i++) {
        void *memory = ration_context_allocate(context, arrays[i].bytes);
        if (memory == NULL) {
            return ration_context_status(context);
        }
        memcpy(arrays[i].out, &memory, sizeof memory);
    }
    return RATION_OK;
}

ration_status rn_groups_open(rn_operator *op, const rn_type *types, uint32_t count,
                             uint32_t key_count, rn_groups *out_groups)
{
    const rn_worker *worker = op->worker;
    rn_layout_set(&out_groups->layout, types, count);
    out_groups->key_count = key_count;
    out_groups->fresh_count = 0;
    RN_TRY(open_scratch(out_groups, op->context, worker->batch_rows));
    RN_TRY(rn_rows_open(&out_groups->layout, op->context, worker->slot, "groups",
                        worker->max_row_bytes, &out_groups->rows));
    return rn_hash_table_open(op->context, worker->slot, "groups by key", &out_groups->table);
}

/* Takes the next candidate of row `i`; false when there is none. */
static bool take_candidate(rn_groups *groups, uint32_t i)
{
    uint64_t payload;
    if (!rn_hash_table_find(groups->table, groups->hashes[i], &groups->positions[i], &payload)) {
        groups->found[i] = NULL;
        return false;
    }
    groups->found[i] = (const rn_row *)(uintptr_t)payload;
    return true;
}

/* The batch's own table: the index in `fresh` of row i's key, adding it when it is new. */
static uint16_t find_fresh(rn_groups *groups, const rn_batch *batch, const uint32_t *keys,
                           uint32_t i)
{
    uint64_t hash = groups->hashes[i];
    uint32_t slot = (uint32_t)(hash >> 32) & groups->slot_mask;
    for (; groups->slots[slot] != NO_ROW; slot = (slot + 1) & groups->slot_mask) {
        uint16_t known = groups->slots[slot];
        if (groups->fresh_hashes[known] == hash &&
            rn_keys_equal(batch, keys, groups->key_count, groups->fresh[known], i)) {
            return known;
        }
    }
    uint16_t added = (uint16_t)groups->fresh_count++;
    groups->slots[slot] = added;
    groups->fresh[added] = (uint16_t)i;
    groups->fresh_hashes[added] = hash;
    return added;
}

static void clear_fresh(rn_groups *groups)
{
    groups->fresh_count = 0;
    memset(groups->slots, 0xff, ((size_t)groups->slot_mask + 1) * sizeof(uint16_t));
}

void rn_groups_find(rn_groups *groups, const rn_batch *batch, const uint32_t *keys,
                    const uint16_t *picks, uint32_t count, bool fresh)
{
    bool far = rn_hash_table_count(groups->table) > PREFETCH_ENTRIES;
    bool cleared = false;
    groups->fresh_count = 0;
    rn_keys_hash(batch, keys, groups->key_count, groups->hashes);
    for (uint32_t n = 0; far && n < count; n++) {
        rn_hash_table_prefetch(groups->table, groups->hashes[picks == NULL ? n : picks[n]]);
    }
    if (picks != NULL) {
        memset(groups->found, 0, batch->rows * sizeof *groups->found);
        memset(groups->fresh_of, 0xff, batch->rows * sizeof *groups->fresh_of);
    }
    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = picks == NULL ? n : picks[n];
        groups->positions[i] = 0;
        if (take_candidate(groups, i) && far) {
            __builtin_prefetch(groups->found[i]);
        }
    }
    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = picks == NULL ? n : picks[n];
        while (groups->found[i] != NULL && !rn_row_equals(&groups->layout, groups->found[i], batch,
                                                          keys, groups->key_count, i)) {
            (void)take_candidate(groups, i);
        }
        if (fresh && groups->found[i] == NULL) {
            if (!cleared) {
                clear_fresh(groups);
                cleared = true;
            }
            groups->fresh_of[i] = find_fresh(groups, batch, keys, i);
        } else {
            groups->fresh_of[i] = NO_ROW;
        }
    }
}

int64_t rn_groups_bound(rn_groups *groups, const rn_batch *batch, const uint32_t *columns)
{
    if (groups->fresh_count == 0) {
        return 0;
    }
    return rn_rows_bound(&groups->rows, batch, columns, groups->fresh, groups->fresh_count) +
           rn_hash_table_bound(groups->table, groups->fresh_hashes, groups->fresh_count);
}

ration_status rn_groups_add(rn_groups *groups, const rn_batch *batch, const uint32_t *columns)
{
    if (groups->fresh_count == 0) {
        return RATION_OK;
    }
    RN_TRY(rn_rows_append(&groups->rows, batch, columns, groups->fresh, groups->fresh_count,
                          groups->fresh_rows));
    for (uint32_t i = 0; i < groups->fresh_count; i++) {
        RN_TRY(rn_hash_table_insert(groups->table, groups->fresh_hashes[i],
                                    (uint64_t)(uintptr_t)groups->fresh_rows[i]));
    }
    for (uint32_t i = 0; i < batch->rows; i++) {
        if (groups->found[i] == NULL && groups->fresh_of[i] != NO_ROW) {
            groups->found[i] = groups->fresh_rows[groups->fresh_of[i]];
        }
    }
    return RATION_OK;
}

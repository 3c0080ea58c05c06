/* SPDX-License-Identifier: Apache-2.0
 *
 * How a hash table grows. It starts with one small partition that quadruples until it fills a
 * block. From then on a full partition splits by its next bit, one block per split: in place and
 * without scratch. Starting behind an empty slot, each entry is lifted and goes to the new
 * partition or to the first free slot from its home, which is never behind the place it came from.
 *
 * Where a split would not leave both halves a fair part (many equal hashes), or would grow the
 * directory out of proportion, a block is chained to the partition instead, which then never
 * splits. */
#include "storage/hash_partition.h"

entry *rn_hash_table_add_entries(rn_hash_table *table)
{
    size_t bytes = entries_bytes(table->capacity);
    char *memory = ration_context_allocate(table->context, bytes);
    if (memory == NULL) {
        return NULL;
    }
    uintptr_t aligned =
        ((uintptr_t)memory + PARTITION_ALIGN - 1) & ~(uintptr_t)(PARTITION_ALIGN - 1);
    entry *added = (entry *)aligned;
    if (!table->dense) {
        memset(added, 0, bytes - PARTITION_ALIGN);
    }
    return added;
}

/* A partition with a block of empty slots, in the list but not in the directory; or NULL. */
static partition *add_partition(rn_hash_table *table)
{
    if (table->spare == NULL) {
        table->spare = ration_context_allocate(table->context, sizeof *table->spare);
    }
    entry *entries = table->spare == NULL ? NULL : rn_hash_table_add_entries(table);
    if (entries == NULL) {
        return NULL;
    }
    partition *added = table->spare;
    table->spare = NULL;
    *added = (partition){.entries = entries, .next = table->first};
    table->first = added;
    table->partition_count += 1;
    return added;
}

/* Gives the only partition a larger array. The old one stays in the context until reset: a third of
 * what follows. */
static ration_status enlarge_only(rn_hash_table *table)
{
    const entry *old = table->root.entries;
    uint32_t old_capacity = table->capacity;
    table->capacity = grown_capacity(old_capacity);
    entry *larger = rn_hash_table_add_entries(table);
    if (larger == NULL) {
        table->capacity = old_capacity;
        return ration_context_status(table->context);
    }
    table->full = full_of(table, table->capacity);
    table->root.entries = larger;
    if (table->dense) {
        memcpy(larger, old, table->root.count * sizeof *old);
        return RATION_OK;
    }
    table->root.count = 0;
    for (uint32_t slot = 0; slot < old_capacity; slot++) {
        if (old[slot].hash != 0) {
            put_entry(table, &table->root, old[slot].hash, old[slot].payload);
        }
    }
    return RATION_OK;
}

/* Allocates what the directory of one more bit needs, keeping its entries where they are. */
static ration_status extend_directory(rn_hash_table *table)
{
    for (uint32_t leaf = leaves_for(table->depth); leaf < leaves_for(table->depth + 1); leaf++) {
        partition **array = ration_context_allocate_zero(table->context, LEAF_BYTES);
        if (array == NULL) {
            return ration_context_status(table->context);
        }
        array[0] = table->alone;
        table->leaves[leaf] = array;
    }
    return RATION_OK;
}

/* Entry i becomes entries 2i and 2i + 1; from the end, so that nothing is overwritten before it is
 * read. */
static void double_directory(rn_hash_table *table)
{
    for (uint64_t i = UINT64_C(1) << table->depth; i-- > 0;) {
        partition *owner = *directory_at(table, i);
        *directory_at(table, 2 * i) = owner;
        *directory_at(table, 2 * i + 1) = owner;
    }
    table->depth += 1;
}

static bool hash_goes_right(uint64_t hash, uint32_t depth)
{
    return (hash >> (63 - depth)) & 1;
}

static bool may_split(const rn_hash_table *table, const partition *full)
{
    if (full->overflow != NULL || full->depth == DEPTH_MAX) {
        return false;
    }
    if (full->depth == table->depth &&
        (INT64_C(2) << table->depth) > DIRECTORY_PER_PARTITION * table->partition_count) {
        return false;
    }
    const entry *entries = full->entries;
    uint32_t right = 0, slots = table->dense ? full->count : table->capacity;
    for (uint32_t slot = 0; slot < slots; slot++) { /* an empty one goes left */
        right += hash_goes_right(entries[slot].hash, full->depth);
    }
    return right >= ROOM_MIN && full->count - right >= ROOM_MIN;
}

/* The same in a dense table. */
static void divide_dense(partition *left, partition *right)
{
    entry *entries = left->entries;
    uint32_t stays = 0, goes = 0;
    for (uint32_t i = 0; i < left->count; i++) {
        entry lifted = entries[i];
        bool is_right = hash_goes_right(lifted.hash, left->depth);
        entries[stays] = lifted;
        right->entries[goes] = lifted;
        stays += !is_right;
        goes += is_right;
    }
    left->count = (uint16_t)stays;
    right->count = (uint16_t)goes;
}

/* Moves the entries whose next bit is 1 to `right` and closes the gaps. */
static void divide_entries(const rn_hash_table *table, partition *left, partition *right)
{
    uint32_t slot = 0;
    while (left->entries[slot].hash != 0) {
        slot++;
    }
    for (uint32_t i = 1; i < table->capacity; i++) {
        slot = next_slot(table, slot);
        entry lifted = left->entries[slot];
        if (lifted.hash != 0) {
            left->entries[slot].hash = 0;
            left->count = (uint16_t)(left->count - 1);
            put_entry(table, hash_goes_right(lifted.hash, left->depth) ? right : left, lifted.hash,
                      lifted.payload);
        }
    }
}

static ration_status split(rn_hash_table *table, partition *left, uint64_t hash)
{
    bool doubles = left->depth == table->depth;
    if (doubles) {
        RN_TRY(extend_directory(table));
    }
    partition *right = add_partition(table);
    if (right == NULL) {
        return ration_context_status(table->context);
    }
    if (doubles) {
        double_directory(table);
    }
    if (table->dense) {
        divide_dense(left, right);
    } else {
        divide_entries(table, left, right);
    }
    left->depth = right->depth = (uint16_t)(left->depth + 1);
    uint32_t below = table->depth - left->depth;
    uint64_t first = ((directory_index(hash, left->depth) | 1) << below);
    for (uint64_t i = 0; i < UINT64_C(1) << below; i++) {
        *directory_at(table, first + i) = right;
    }
    return RATION_OK;
}

static ration_status chain_block(rn_hash_table *table, partition *last)
{
    partition *more = add_partition(table);
    if (more == NULL) {
        return ration_context_status(table->context);
    }
    more->depth = last->depth;
    last->overflow = more;
    table->chained = true;
    return RATION_OK;
}

ration_status rn_hash_table_grow(rn_hash_table *table, partition *full, partition *last,
                                 uint64_t hash)
{
    if (table->capacity < SLOTS_FULL) {
        return enlarge_only(table);
    }
    return may_split(table, full) ? split(table, full, hash) : chain_block(table, last);
}

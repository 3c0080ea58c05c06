/* SPDX-License-Identifier: Apache-2.0
 *
 * Extendible hashing over rows.
 *
 *     open -> (settle by bound) insert, find, each -> close
 *
 * A hash is mixed once more and kept so. Its top `depth` bits index the directory; each partition
 * owns the directory entries that share its own, shorter prefix. In a partition the low 32 bits
 * give the home slot, so that a home stays what it is when the partition splits; probing is linear.
 * Slots are {hash, payload}; hash 0 marks an empty one. What a batch asks of its partitions (their
 * room) lies apart from the slots: a page less per entry. Growing: hash_table_grow.c.
 *
 * A dense table has no homes: its entries lie one behind the other as they came, to be put in order
 * and walked; an insert is a store behind the last one.
 *
 * Invariants
 *   1. Every partition of a full-size table has `capacity` slots, at most 3/4 of them taken. Dense:
 *      all may be, from the first on.
 *   2. An entry lies between its home and the first empty slot behind it, unless dense.
 *   3. Directory entry i points to the partition whose prefix i begins with; a partition of depth d
 *      has 2^(depth - d) of them.
 *   4. Only the last block of a chain has room.
 *   5. `count` entries in all partitions together; none is pending outside rn_hash_table_bound.
 *
 * Bounds: a growth step gives at least ROOM_MIN more inserts to the place that was full, so n
 * inserts into a full partition need at most 1 + (n - 1) / ROOM_MIN blocks. The directory has at
 * most 16 entries per partition.
 *
 * Rejected: one array that doubles. It needs old and new at once, contiguous, and stalls for the
 * whole table. */
#include "storage/hash_partition.h"

/* ------------------------------------------------------------------------------- open and close */

/* Empties the table's words and gives it its first partition. */
static ration_status start_table(rn_hash_table *table)
{
    ration_context *context = table->context;
    memset(table, 0, sizeof *table);
    table->context = context;
    table->capacity = SLOTS_FIRST;
    table->full = full_of(table, SLOTS_FIRST);
    table->leaves[0] = &table->alone;
    table->alone = table->first = &table->root;
    table->partition_count = 1;
    table->root.entries = rn_hash_table_add_entries(table);
    return table->root.entries == NULL ? ration_context_status(context) : RATION_OK;
}

ration_status rn_hash_table_open(ration_context *parent, ration_slot *slot, const char *name,
                                 rn_hash_table **out_table)
{
    rn_hash_table *table = ration_context_allocate(parent, sizeof *table);
    if (table == NULL) {
        return ration_context_status(parent);
    }
    RN_TRY(ration_context_create(parent, slot, RATION_CONTEXT_BUMP, name, &table->context));
    ration_status status = start_table(table);
    if (status != RATION_OK) {
        ration_context_delete(table->context);
        return status;
    }
    *out_table = table;
    return RATION_OK;
}

void rn_hash_table_close(rn_hash_table *table)
{
    if (table != NULL) {
        ration_context_delete(table->context);
        table->context = NULL;
    }
}

void rn_hash_table_reset(rn_hash_table *table)
{
    ration_context_reset(table->context);
    /* The first partition lay in the block that a reset keeps. */
    (void)rn_always(start_table(table) == RATION_OK);
}

void rn_hash_table_make_dense(rn_hash_table *table)
{
    rn_assert(table->count == 0 && table->capacity == SLOTS_FIRST);
    table->dense = true;
    table->full = full_of(table, table->capacity);
}

bool rn_hash_table_is_dense(const rn_hash_table *table)
{
    return table->dense;
}

int64_t rn_hash_table_count(const rn_hash_table *table)
{
    return table->count;
}

int64_t rn_hash_table_step_bytes(void)
{
    return rn_block_round((int64_t)entries_bytes(SLOTS_FULL) + RN_CONTEXT_ALONE_BYTES) +
           2 * RN_BLOCK_BYTES_MIN; /* a leaf of the directory, and what the block in hand wastes */
}

size_t rn_hash_table_handle_bytes(void)
{
    return sizeof(rn_hash_table);
}

int64_t rn_hash_table_bytes(const rn_hash_table *table)
{
    return ration_context_bytes(table->context, false);
}

/* --------------------------------------------------------------------------------- insert, find */

ration_status rn_hash_table_insert(rn_hash_table *table, uint64_t hash, uint64_t payload)
{
    hash = kept_hash(hash);
    partition *first = partition_of(table, hash);
    partition *last = last_of_chain(table, first);
    while (RN_UNLIKELY(last->count >= table->full)) {
        RN_TRY(rn_hash_table_grow(table, first, last, hash));
        first = partition_of(table, hash);
        last = last_of_chain(table, first);
    }
    put_entry(table, last, hash, payload);
    table->count += 1;
    return RATION_OK;
}

/* A position is a block's address and the slot to look at next: addresses of a process fit into 48
 * bits. */
static inline uint64_t make_position(const partition *at, uint32_t slot)
{
    uint64_t address = (uint64_t)(uintptr_t)at;
    rn_assert(address >> 48 == 0);
    return address << 16 | slot;
}

static inline const partition *position_block(uint64_t position)
{
    return (const partition *)(uintptr_t)(position >> 16);
}

bool rn_hash_table_find(const rn_hash_table *table, uint64_t hash, uint64_t *position,
                        uint64_t *out_payload)
{
    hash = kept_hash(hash);
    const partition *at = *position == 0 ? partition_of(table, hash) : position_block(*position);
    uint32_t slot = *position == 0 ? home_of(table, hash) : (uint32_t)(*position & UINT16_MAX);
    rn_assert(!table->dense);
    for (;;) {
        const entry *entries = at->entries;
        for (;; slot = next_slot(table, slot)) {
            uint64_t kept = entries[slot].hash;
            if (kept == hash) {
                *out_payload = entries[slot].payload;
                *position = make_position(at, next_slot(table, slot));
                return true;
            }
            if (kept == 0) {
                break;
            }
        }
        if (RN_LIKELY(!table->chained) || at->overflow == NULL) {
            return false;
        }
        at = at->overflow;
        slot = home_of(table, hash);
    }
}

bool rn_hash_table_each(const rn_hash_table *table, uint64_t *position, uint64_t *out_payload)
{
    const partition *at = *position == 0 ? table->first : position_block(*position);
    uint32_t slot = (uint32_t)(*position & UINT16_MAX);
    rn_assert(!table->dense);
    for (; at != NULL; at = at->next, slot = 0) {
        for (; slot < table->capacity; slot++) {
            if (at->entries[slot].hash != 0) {
                *out_payload = at->entries[slot].payload;
                *position = make_position(at, slot + 1);
                return true;
            }
        }
    }
    return false;
}

void rn_hash_table_prefetch(const rn_hash_table *table, uint64_t hash)
{
    hash = kept_hash(hash);
    const entry *home = &partition_of(table, hash)->entries[home_of(table, hash)];
    __builtin_prefetch(home);
    __builtin_prefetch(home + 3); /* a short walk often ends in the next line */
}

/* ---------------------------------------------------------------------------------------- bound */

static uint32_t steps_for(uint64_t entries, uint32_t full)
{
    return entries <= full ? 0 : 1 + (uint32_t)((entries - full - 1) / ROOM_MIN);
}

/* Partitions that the pending hashes of all partitions may need, and the deepest prefix they may
 * lead to. */
static uint64_t count_steps(rn_hash_table *table, const uint64_t *hashes, uint32_t count,
                            uint32_t *deepest)
{
    uint64_t steps = 0;
    for (uint32_t i = 0; i < count; i++) {
        partition *last = last_of_chain(table, partition_of(table, kept_hash(hashes[i])));
        last->pending += 1;
    }
    for (uint32_t i = 0; i < count; i++) {
        partition *last = last_of_chain(table, partition_of(table, kept_hash(hashes[i])));
        uint32_t more = steps_for((uint64_t)last->count + last->pending, table->full);
        last->pending = 0;
        if (more > 0) {
            steps += more;
            *deepest = RN_MAX(*deepest, RN_MIN(last->depth + more, DEPTH_MAX));
        }
    }
    return steps;
}

int64_t rn_hash_table_bound(rn_hash_table *table, const uint64_t *hashes, uint32_t count)
{
    size_t regular = 0, largest = 0;
    uint32_t capacity = table->capacity, deepest = table->depth;
    uint64_t blocks = 0, steps;
    if (table->capacity < SLOTS_FULL) {
        uint64_t entries = (uint64_t)table->count + count;
        while (capacity < SLOTS_FULL && entries > full_of(table, capacity)) {
            capacity = grown_capacity(capacity);
            if (capacity < SLOTS_FULL) {
                largest = entries_bytes(capacity);
                regular += (size_t)rn_context_chunk_bytes(table->context, largest);
            }
        }
        steps = capacity < SLOTS_FULL ? 0 : steps_for(entries, full_of(table, capacity));
        blocks = capacity == SLOTS_FULL;
        deepest = (uint32_t)RN_MIN(steps, DEPTH_MAX);
    } else {
        steps = count_steps(table, hashes, count, &deepest);
    }
    blocks += steps;
    if (steps > 0) {
        regular += steps * (size_t)rn_context_chunk_bytes(table->context, sizeof(partition));
        largest = RN_MAX(largest, sizeof(partition));
    }
    if (deepest > table->depth) {
        regular += (leaves_for(deepest) - leaves_for(table->depth)) *
                   (size_t)rn_context_chunk_bytes(table->context, LEAF_BYTES);
        largest = RN_MAX(largest, LEAF_BYTES);
    }
    return (regular == 0 ? 0 : rn_context_bound(table->context, regular, largest)) +
           (int64_t)blocks * rn_context_bound_one(table->context, entries_bytes(SLOTS_FULL));
}

/* ---------------------------------------------------------------------------------------- check */

static const char *check_partition(const rn_hash_table *table, const partition *at)
{
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < (table->dense ? at->count : table->capacity); slot++) {
        uint64_t hash = at->entries[slot].hash;
        if (hash == 0) {
            continue;
        }
        count++;
        for (uint32_t probe = table->dense ? slot : home_of(table, hash); probe != slot;
             probe = next_slot(table, probe)) {
            if (at->entries[probe].hash == 0) {
                return "an entry lies behind an empty slot (2)";
            }
        }
        const partition *chain = partition_of(table, hash);
        while (chain != at && chain->overflow != NULL) {
            chain = chain->overflow;
        }
        if (chain != at) {
            return "an entry lies in a partition that its hash does not lead to (3)";
        }
    }
    if (count != at->count || count > table->full) {
        return "a partition's count is wrong or above 3/4 (1)";
    }
    if (at->overflow != NULL && at->count != table->full) {
        return "a chained block before the last has room (4)";
    }
    return at->pending != 0 ? "a partition is pending (5)" : NULL;
}

bool rn_hash_table_check(const rn_hash_table *table, char *text, size_t capacity)
{
    const char *wrong = NULL;
    int64_t count = 0, partitions = 0;
    for (const partition *at = table->first; at != NULL && wrong == NULL; at = at->next) {
        wrong = check_partition(table, at);
        count += at->count;
        partitions += 1;
    }
    uint64_t entries = UINT64_C(1) << table->depth;
    for (uint64_t i = 0; i < entries && wrong == NULL;) {
        const partition *owner = *directory_at(table, i);
        uint64_t span = UINT64_C(1) << (table->depth - owner->depth);
        for (uint64_t k = 0; k < span && wrong == NULL; k++) {
            wrong = i % span == 0 && *directory_at(table, i + k) == owner
                        ? NULL
                        : "a partition does not own its part of the directory (3)";
        }
        i += span;
    }
    if (wrong == NULL && (count != table->count || partitions != table->partition_count)) {
        wrong = "the number of entries or partitions is wrong (5)";
    }
    rn_copy_text(text, capacity, wrong == NULL ? "" : wrong);
    return wrong == NULL;
}

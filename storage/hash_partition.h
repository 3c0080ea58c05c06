/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of hash tables, for hash_table*.c only: partitions, directory, addressing. */
#ifndef RATION_HASH_PARTITION_H
#define RATION_HASH_PARTITION_H

#include "storage/hash_table.h"

typedef struct entry {
    uint64_t hash, payload;
} entry;

/* Kept apart from its block: what a batch asks of partitions stays in the cache so. */
typedef struct partition {
    entry *entries;             /* a block */
    struct partition *overflow; /* chained */
    struct partition *next;     /* of all, newest first */
    uint16_t count;
    uint16_t depth;   /* of its prefix */
    uint32_t pending; /* hashes counted by rn_hash_table_bound */
} partition;

#define PARTITION_ALIGN 64u
#define SLOTS_FIRST 60u
#define SLOTS_GROWTH 4u
#define SLOTS_FULL                                                                                 \
    ((uint32_t)(((size_t)RN_BLOCK_BYTES - RN_CONTEXT_ALONE_BYTES - PARTITION_ALIGN) /              \
                sizeof(entry)))
#define ROOM_MIN (SLOTS_FULL / 8)

#define LEAF_SHIFT 10u
#define LEAF_ENTRIES (1u << LEAF_SHIFT)
#define LEAF_BYTES (LEAF_ENTRIES * sizeof(partition *))
#define LEAVES_SHIFT 8u
#define LEAVES_MAX (1u << LEAVES_SHIFT)
#define DEPTH_MAX (LEAF_SHIFT + LEAVES_SHIFT)
#define DIRECTORY_PER_PARTITION 16

struct rn_hash_table {
    ration_context *context;
    partition *first; /* of all, newest first */
    partition *spare; /* for the next one, which was refused its block */
    int64_t count;
    int64_t partition_count;
    bool dense;                     /* entries one behind the other, nothing to be found */
    bool chained;                   /* some partition has overflow */
    uint32_t depth;                 /* of the directory: 2^depth entries */
    uint32_t capacity;              /* slots of every partition */
    uint32_t full;                  /* entries of a partition at most */
    partition **leaves[LEAVES_MAX]; /* the directory, LEAF_ENTRIES each */
    partition *alone;               /* the directory of depth 0 */
    partition root;                 /* the first */
};

_Static_assert(SLOTS_FULL <= UINT16_MAX, "partition.count");

static inline uint64_t kept_hash(uint64_t hash)
{
    return rn_hash_table_kept(hash);
}

static inline uint32_t home_of(const rn_hash_table *table, uint64_t hash)
{
    return (uint32_t)(((hash & UINT32_MAX) * table->capacity) >> 32);
}

static inline uint64_t directory_index(uint64_t hash, uint32_t depth)
{
    return (hash >> 1) >> (63 - depth);
}

static inline partition **directory_at(const rn_hash_table *table, uint64_t index)
{
    return &table->leaves[index >> LEAF_SHIFT][index & (LEAF_ENTRIES - 1)];
}

static inline partition *partition_of(const rn_hash_table *table, uint64_t hash)
{
    return *directory_at(table, directory_index(hash, table->depth));
}

static inline uint32_t next_slot(const rn_hash_table *table, uint32_t slot)
{
    return slot + 1 == table->capacity ? 0 : slot + 1;
}

static inline uint32_t full_of(const rn_hash_table *table, uint32_t capacity)
{
    return table->dense ? capacity : capacity / 4 * 3;
}

static inline uint32_t grown_capacity(uint32_t capacity)
{
    uint32_t grown = capacity * SLOTS_GROWTH;
    return grown < SLOTS_FULL / 2 ? grown : SLOTS_FULL;
}

static inline size_t entries_bytes(uint32_t capacity)
{
    return PARTITION_ALIGN + capacity * sizeof(entry);
}

/* Puts an entry into a partition that has room. */
static inline void put_entry(const rn_hash_table *table, partition *into, uint64_t hash,
                             uint64_t payload)
{
    entry *entries = into->entries;
    uint32_t slot = table->dense ? into->count : home_of(table, hash);
    while (!table->dense && entries[slot].hash != 0) {
        slot = next_slot(table, slot);
    }
    entries[slot] = (entry){hash, payload};
    into->count = (uint16_t)(into->count + 1);
}

/* Leaves of a directory of this depth; none is allocated for depth 0. */
static inline uint32_t leaves_for(uint32_t depth)
{
    return depth == 0 ? 0 : depth <= LEAF_SHIFT ? 1 : 1u << (depth - LEAF_SHIFT);
}

static inline partition *last_of_chain(const rn_hash_table *table, partition *first)
{
    while (RN_UNLIKELY(table->chained) && first->overflow != NULL) {
        first = first->overflow;
    }
    return first;
}

/* hash_table_grow.c. `table->capacity` empty slots; or NULL. */
entry *rn_hash_table_add_entries(rn_hash_table *table);
/* Makes room where `hash` belongs; `full` is the first block of that chain, `last` its last. */
RATION_NODISCARD ration_status rn_hash_table_grow(rn_hash_table *table, partition *full,
                                                  partition *last, uint64_t hash);

#endif

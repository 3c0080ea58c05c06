/* SPDX-License-Identifier: Apache-2.0
 *
 * Extendible hashing over rows.
 *
 *     open -> (settle by bound) insert, find, each -> close
 *
 * The top `depth` bits of a hash index the directory; each partition owns the directory entries
 * that share its own, shorter prefix. In a partition the low 32 bits give the home slot, so that a
 * home stays what it is when the partition splits; probing is linear. Slots are {hash, payload};
 * hash 0 marks an empty one (a hash of 0 is kept as 1).
 *
 * Growing. A table starts with one small partition that quadruples until it fills a block. From
 * then on a full partition splits by its next bit, one block per split. In place and without
 * scratch: starting behind an empty slot, each entry is lifted and goes to the new partition or to
 * the first free slot from its home, which is never behind the place it came from. Where a split
 * would not leave both halves a fair part (many equal hashes), or would grow the directory out of
 * proportion, a block is chained to the partition instead, which then never splits.
 *
 * Invariants
 *   1. Every partition of a full-size table has `capacity` slots, at most 3/4 of them taken.
 *   2. An entry lies between its home and the first empty slot behind it.
 *   3. Directory entry i points to the partition whose prefix i begins with; a partition of depth d
 * has 2^(depth - d) of them.
 *   4. Only the last block of a chain has room.
 *   5. `count` entries in all partitions together; no partition is pending outside
 * rn_hash_table_bound.
 *
 * Bounds: a growth step gives at least ROOM_MIN more inserts to the place that was full, so n
 * inserts into a full partition need at most 1 + (n - 1) / ROOM_MIN blocks. The directory has at
 * most 16 entries per partition.
 *
 * Rejected: one array that doubles. It needs old and new at once, contiguous, and stalls for the
 * whole table.
 */
#include "storage/hash_table.h"

typedef struct entry {
    uint64_t hash, payload;
} entry;

typedef struct partition {
    struct partition *overflow; /* chained block */
    struct partition *next;     /* of all blocks, newest first */
    uint32_t count;
    uint32_t pending; /* hashes counted by rn_hash_table_bound */
    uint32_t depth;   /* of its prefix */
    uint32_t reserved;
    entry entries[];
} partition;

#define PARTITION_ALIGN 64u
#define CONTEXT_HEAD_BYTES                                                                         \
    64u /* what a context wants of a block that it takes for one chunk, at most */
#define SLOTS_FIRST 60u
#define SLOTS_GROWTH 4u
#define SLOTS_FULL                                                                                 \
    ((uint32_t)(((size_t)RN_BLOCK_BYTES - CONTEXT_HEAD_BYTES - PARTITION_ALIGN -                   \
                 sizeof(partition)) /                                                              \
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
    partition *first; /* of all blocks, newest first */
    int64_t count;
    int64_t partition_count;
    bool chained;      /* some partition has overflow */
    uint32_t depth;    /* of the directory: 2^depth entries */
    uint32_t capacity; /* slots of every partition */
    uint32_t full;     /* entries of a partition at most */
    partition *
        *leaves[LEAVES_MAX]; /* the directory, LEAF_ENTRIES each; the first may be a small one */
    partition *alone;        /* the directory of depth 0 */
};

_Static_assert(sizeof(partition) % sizeof(entry) == 0, "entries must not straddle a line");

/* ----------------------------------------------------------------------------------- addressing */

static inline uint64_t kept_hash(uint64_t hash)
{
    return hash + (hash == 0);
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

static uint32_t full_of(uint32_t capacity)
{
    return capacity / 4 * 3;
}

static uint32_t grown_capacity(uint32_t capacity)
{
    uint32_t grown = capacity * SLOTS_GROWTH;
    return grown < SLOTS_FULL / 2 ? grown : SLOTS_FULL;
}

static size_t partition_bytes(uint32_t capacity)
{
    return PARTITION_ALIGN + sizeof(partition) + capacity * sizeof(entry);
}

/* ------------------------------------------------------------------------------- open and close */

/* A partition of `table->capacity` empty slots, in the list but not in the directory. */
static partition *add_partition(rn_hash_table *table)
{
    size_t bytes = partition_bytes(table->capacity);
    char *memory = ration_context_allocate(table->context, bytes);
    if (memory == NULL) {
        return NULL;
    }
    uintptr_t aligned =
        ((uintptr_t)memory + PARTITION_ALIGN - 1) & ~(uintptr_t)(PARTITION_ALIGN - 1);
    partition *added = (partition *)aligned;
    memset(added, 0, bytes - PARTITION_ALIGN);
    added->next = table->first;
    table->first = added;
    table->partition_count += 1;
    return added;
}

/* Empties the table's words and gives it its first partition. */
static ration_status start_table(rn_hash_table *table)
{
    ration_context *context = table->context;
    memset(table, 0, sizeof *table);
    table->context = context;
    table->capacity = SLOTS_FIRST;
    table->full = full_of(SLOTS_FIRST);
    table->leaves[0] = &table->alone;
    table->alone = add_partition(table);
    return table->alone == NULL ? ration_context_status(context) : RATION_OK;
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

int64_t rn_hash_table_count(const rn_hash_table *table)
{
    return table->count;
}

/* -------------------------------------------------------------------------------------- growing */

/* Puts an entry into a partition that has room. */
static void put_entry(const rn_hash_table *table, partition *into, uint64_t hash, uint64_t payload)
{
    uint32_t slot = home_of(table, hash);
    while (into->entries[slot].hash != 0) {
        slot = next_slot(table, slot);
    }
    into->entries[slot] = (entry){hash, payload};
    into->count += 1;
}

/* Replaces the only partition by a larger one. The old one stays in the context until reset: a
 * third of what follows. */
static ration_status enlarge_only(rn_hash_table *table)
{
    partition *old = table->first;
    uint32_t old_capacity = table->capacity, old_full = table->full;
    table->capacity = grown_capacity(old_capacity);
    table->full = full_of(table->capacity);
    partition *larger = add_partition(table);
    if (larger == NULL) {
        table->capacity = old_capacity;
        table->full = old_full;
        return ration_context_status(table->context);
    }
    for (uint32_t slot = 0; slot < old_capacity; slot++) {
        if (old->entries[slot].hash != 0) {
            put_entry(table, larger, old->entries[slot].hash, old->entries[slot].payload);
        }
    }
    larger->next = NULL;
    table->partition_count = 1;
    table->alone = larger;
    return RATION_OK;
}

/* Leaves of a directory of this depth; none is allocated for depth 0. */
static uint32_t leaves_for(uint32_t depth)
{
    return depth == 0 ? 0 : depth <= LEAF_SHIFT ? 1 : 1u << (depth - LEAF_SHIFT);
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
    uint32_t right = 0;
    for (uint32_t slot = 0; slot < table->capacity; slot++) {
        uint64_t hash = full->entries[slot].hash;
        right += hash != 0 && hash_goes_right(hash, full->depth);
    }
    return right >= ROOM_MIN && full->count - right >= ROOM_MIN;
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
            left->count -= 1;
            put_entry(table, hash_goes_right(lifted.hash, left->depth) ? right : left, lifted.hash,
                      lifted.payload);
        }
    }
    left->depth += 1;
    right->depth = left->depth;
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
    divide_entries(table, left, right);
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

/* Makes room where `hash` belongs; `full` is the first block of that chain, `last` its last. */
static ration_status grow(rn_hash_table *table, partition *full, partition *last, uint64_t hash)
{
    if (table->capacity < SLOTS_FULL) {
        return enlarge_only(table);
    }
    return may_split(table, full) ? split(table, full, hash) : chain_block(table, last);
}

static partition *last_of_chain(const rn_hash_table *table, partition *first)
{
    while (RN_UNLIKELY(table->chained) && first->overflow != NULL) {
        first = first->overflow;
    }
    return first;
}

/* --------------------------------------------------------------------------------- insert, find */

ration_status rn_hash_table_insert(rn_hash_table *table, uint64_t hash, uint64_t payload)
{
    hash = kept_hash(hash);
    partition *first = partition_of(table, hash);
    partition *last = last_of_chain(table, first);
    while (RN_UNLIKELY(last->count >= table->full)) {
        RN_TRY(grow(table, first, last, hash));
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
    for (;;) {
        for (; at->entries[slot].hash != 0; slot = next_slot(table, slot)) {
            if (at->entries[slot].hash == hash) {
                *out_payload = at->entries[slot].payload;
                *position = make_position(at, next_slot(table, slot));
                return true;
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

/* Blocks that the pending hashes of all partitions may need, and the deepest prefix they may lead
 * to. */
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
        while (capacity < SLOTS_FULL && entries > full_of(capacity)) {
            capacity = grown_capacity(capacity);
            if (capacity < SLOTS_FULL) {
                largest = partition_bytes(capacity);
                regular += largest;
            }
        }
        steps = capacity < SLOTS_FULL ? 0 : steps_for(entries, full_of(capacity));
        blocks = capacity == SLOTS_FULL;
        deepest = (uint32_t)RN_MIN(steps, DEPTH_MAX);
    } else {
        steps = count_steps(table, hashes, count, &deepest);
    }
    blocks += steps;
    if (deepest > table->depth) {
        regular += (leaves_for(deepest) - leaves_for(table->depth)) * LEAF_BYTES;
        largest = RN_MAX(largest, LEAF_BYTES);
    }
    return (regular == 0 ? 0 : rn_context_bound(table->context, regular, largest)) +
           (int64_t)blocks * rn_context_bound_one(table->context, partition_bytes(SLOTS_FULL));
}

/* ---------------------------------------------------------------------------------------- check */

static const char *check_partition(const rn_hash_table *table, const partition *at)
{
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < table->capacity; slot++) {
        uint64_t hash = at->entries[slot].hash;
        if (hash == 0) {
            continue;
        }
        count++;
        for (uint32_t probe = home_of(table, hash); probe != slot;
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * External id -> position of the node in its label. Linear probing over {tag, position}, 8 bytes
 * an entry; the ids themselves stay where they are, in a chain while the files are read and in
 * the label's key column afterwards. */
#ifndef RATION_NODE_INDEX_H
#define RATION_NODE_INDEX_H

#include "storage/chain.h"
#include "storage/value.h"

typedef struct rn_node_entry {
    uint32_t tag;      /* upper half of the hash */
    uint32_t position; /* UINT32_MAX = empty */
} rn_node_entry;

/* Equation: count <= 5/8 of capacity, a power of two; while `array` is NULL the keys are in
 * `chain`. */
typedef struct rn_node_index {
    rn_slot *slot;
    bool strings; /* keys are rn_string, else int64_t */
    const rn_chain *chain;
    const void *array;
    rn_node_entry *entries;
    uint64_t capacity, count;
    int64_t bytes; /* of the block that holds the entries */
} rn_node_index;

/* An empty index over keys that `chain` will hold. Nothing is allocated. */
void rn_node_index_set(rn_node_index *index, ration_slot *slot, bool strings,
                       const rn_chain *chain);
void rn_node_index_close(rn_node_index *index);
/* Makes room for one more; after RATION_OK one rn_node_index_add cannot fail. Errors: the
 * limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_node_index_prepare(rn_node_index *index);
/* Adds the key at `position`, which must be in the chain and not in the index. */
void rn_node_index_add(rn_node_index *index, uint64_t hash, uint32_t position);
/* The keys now lie in one array. */
void rn_node_index_seal(rn_node_index *index, const void *array);

static inline uint64_t rn_node_hash_int64(int64_t key)
{
    return rn_hash_word(RN_HASH_SEED, (uint64_t)key);
}
uint64_t rn_node_hash_string(const rn_string *key);
/* The key's position; false when it is not there. */
bool rn_node_index_find_int64(const rn_node_index *index, uint64_t hash, int64_t key,
                              uint32_t *out_position);
bool rn_node_index_find_string(const rn_node_index *index, uint64_t hash, const rn_string *key,
                               uint32_t *out_position);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The id index of one label; the contract is in node_index.h.
 *
 * A find reads one line of the table and, when the tag agrees, one key: two cache misses for an
 * id that is there, one for an id that is not. Growing re-inserts by the hash of the key, so
 * only half of the hash is kept. Rejected: entries of {key, position}, 16 bytes; the table would
 * be as large as key column and edges together. */
#include "storage/node_index.h"

#define EMPTY UINT32_MAX
#define CAPACITY_MIN UINT64_C(1024)

void rn_node_index_set(rn_node_index *index, ration_slot *slot, bool strings, const rn_chain *chain)
{
    memset(index, 0, sizeof *index);
    index->slot = rn_slot_of(slot);
    index->strings = strings;
    index->chain = chain;
}

void rn_node_index_close(rn_node_index *index)
{
    if (index->entries != NULL) {
        rn_block_release(index->slot, index->entries, index->bytes);
    }
    index->entries = NULL;
    index->capacity = index->count = 0;
}

void rn_node_index_seal(rn_node_index *index, const void *array)
{
    index->array = array;
}

uint64_t rn_node_hash_string(const rn_string *key)
{
    return rn_hash_bytes(RN_HASH_SEED, rn_string_bytes(key), key->length);
}

static const void *key_at(const rn_node_index *index, uint32_t position)
{
    if (index->array == NULL) {
        return rn_chain_at(index->chain, position);
    }
    size_t width = index->strings ? sizeof(rn_string) : sizeof(int64_t);
    return (const char *)index->array + (size_t)position * width;
}

static uint64_t hash_at(const rn_node_index *index, uint32_t position)
{
    if (index->strings) {
        return rn_node_hash_string(key_at(index, position));
    }
    int64_t key;
    memcpy(&key, key_at(index, position), sizeof key);
    return rn_node_hash_int64(key);
}

static void put_entry(rn_node_entry *entries, uint64_t capacity, uint64_t hash, uint32_t position)
{
    uint64_t at = hash & (capacity - 1);

    while (entries[at].position != EMPTY) {
        at = (at + 1) & (capacity - 1);
    }
    entries[at].tag = (uint32_t)(hash >> 32);
    entries[at].position = position;
}

ration_status rn_node_index_prepare(rn_node_index *index)
{
    if (RN_LIKELY(index->count + 1 <= index->capacity / 8 * 5)) {
        return RATION_OK;
    }
    uint64_t capacity = index->capacity == 0 ? CAPACITY_MIN : index->capacity * 2;
    int64_t bytes = rn_block_round((int64_t)(capacity * sizeof(rn_node_entry)));
    void *block;

    RN_TRY(rn_block_acquire(index->slot, bytes, &block));
    memset(block, 0xFF, (size_t)capacity * sizeof(rn_node_entry));
    for (uint64_t i = 0; i < index->capacity; i++) {
        uint32_t position = index->entries[i].position;
        if (position != EMPTY) {
            put_entry(block, capacity, hash_at(index, position), position);
        }
    }
    uint64_t count = index->count;
    rn_node_index_close(index);
    index->entries = block;
    index->capacity = capacity;
    index->count = count;
    index->bytes = bytes;
    return RATION_OK;
}

void rn_node_index_add(rn_node_index *index, uint64_t hash, uint32_t position)
{
    rn_assert(index->count < index->capacity);
    put_entry(index->entries, index->capacity, hash, position);
    index->count++;
}

bool rn_node_index_find_int64(const rn_node_index *index, uint64_t hash, int64_t key,
                              uint32_t *out_position)
{
    if (index->count == 0) {
        return false;
    }
    uint64_t mask = index->capacity - 1;
    for (uint64_t at = hash & mask; index->entries[at].position != EMPTY; at = (at + 1) & mask) {
        int64_t other;
        if (index->entries[at].tag != (uint32_t)(hash >> 32)) {
            continue;
        }
        memcpy(&other, key_at(index, index->entries[at].position), sizeof other);
        if (other == key) {
            *out_position = index->entries[at].position;
            return true;
        }
    }
    return false;
}

bool rn_node_index_find_string(const rn_node_index *index, uint64_t hash, const rn_string *key,
                               uint32_t *out_position)
{
    if (index->count == 0) {
        return false;
    }
    uint64_t mask = index->capacity - 1;
    for (uint64_t at = hash & mask; index->entries[at].position != EMPTY; at = (at + 1) & mask) {
        if (index->entries[at].tag == (uint32_t)(hash >> 32) &&
            rn_string_equal(key_at(index, index->entries[at].position), key)) {
            *out_position = index->entries[at].position;
            return true;
        }
    }
    return false;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash table over rows that grows partition by partition: extendible hashing (Fagin, Nievergelt,
 * Pippenger, Strong 1979). A directory maps the top bits of the hash to partitions of one 64 KiB
 * block each; a full partition splits in two by the next bit. Nothing contiguous is larger than a
 * block (the directory is a tree of blocks when it must be), a growth step is one block, and a
 * partition is what a later spill writes out.
 *
 * The table holds {hash, payload word} entries; equality is the caller's, who compares what the
 * payload points at.
 */
#ifndef RATION_HASH_TABLE_H
#define RATION_HASH_TABLE_H

#include "memory/context.h"

typedef struct rn_hash_table rn_hash_table;

/* A few KiB while it has few entries. The handle lies in `parent`, which must not be reset before
 * close. Errors: the limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_hash_table_open(ration_context *parent, ration_slot *slot,
                                                  const char *name, rn_hash_table **out_table);
void rn_hash_table_close(rn_hash_table *table);
/* Forgets all entries; memory given back but the first block. */
void rn_hash_table_reset(rn_hash_table *table);
/* Makes an empty table one that nothing is looked up in, until reset: inserting is cheaper and
 * takes less, what there is comes out of rn_hash_table_walk. */
void rn_hash_table_make_dense(rn_hash_table *table);
bool rn_hash_table_is_dense(const rn_hash_table *table);
/* What a settle must charge ahead so that inserting all these hashes cannot be refused: two passes
 * over them that look at the partitions they fall into (nothing is inserted). */
int64_t rn_hash_table_bound(rn_hash_table *table, const uint64_t *hashes, uint32_t count);
int64_t rn_hash_table_count(const rn_hash_table *table);
/* What one insert draws at most, whatever is in the table; and the size of the handle. */
int64_t rn_hash_table_step_bytes(void);
size_t rn_hash_table_handle_bytes(void);
/* Bytes of its blocks. */
int64_t rn_hash_table_bytes(const rn_hash_table *table);

/* Iterates the payloads whose hash is `hash` (one pair of hashes is not told apart): start with
 * *position = 0; false = no more. An insert ends the iteration. */
bool rn_hash_table_find(const rn_hash_table *table, uint64_t hash, uint64_t *position,
                        uint64_t *out_payload);
/* Adds an entry (duplicates of a hash are allowed, but a few thousand make each further one cost a
 * microsecond: callers with many equal keys link them among themselves). Errors: the limits'
 * statuses; the table is as it was. */
RATION_NODISCARD ration_status rn_hash_table_insert(rn_hash_table *table, uint64_t hash,
                                                    uint64_t payload);
/* Walks all payloads, in no order; start with *position = 0. */
bool rn_hash_table_each(const rn_hash_table *table, uint64_t *position, uint64_t *out_payload);
/* The hash as the table keeps it, never 0: mixed once more, without losing a bit, because hashes of
 * a few neighbouring numbers differ little in the bits that choose a home. */
static inline uint64_t rn_hash_table_kept(uint64_t hash)
{
    hash *= UINT64_C(0xdcb22ca68cb134ed);
    hash ^= hash >> 32;
    return hash + (hash == 0);
}
/* The word of 61 bits in whose order entries are walked: the three bits in front of it are the
 * caller's. */
#define RN_HASH_WORD_SPARE_BITS 3u
static inline uint64_t rn_hash_table_word(uint64_t hash)
{
    return rn_hash_table_kept(hash) >> RN_HASH_WORD_SPARE_BITS;
}

/* Decides between payloads of equal words. */
typedef struct rn_hash_order {
    int (*compare)(const void *with, uint64_t a, uint64_t b);
    const void *with;
} rn_hash_order;

/* A walk in the order of the words. */
typedef struct rn_hash_walk {
    rn_hash_order order;
    uint64_t index; /* of the directory */
} rn_hash_walk;

/* Puts all entries in the order of their words, in place; afterwards only this walk, reset and
 * close are allowed. Cost: n log n within partitions. Draws nothing. */
void rn_hash_table_order(rn_hash_table *table, rn_hash_order order, rn_hash_walk *out_walk);
/* Takes the next entry; false at the end. */
bool rn_hash_table_walk(const rn_hash_table *table, rn_hash_walk *walk, uint64_t *out_word,
                        uint64_t *out_payload);
/* Brings the line of `hash` into the cache. */
void rn_hash_table_prefetch(const rn_hash_table *table, uint64_t hash);
/* Evaluates the invariants of hash_table.c; writes the first that does not hold into `text`. */
bool rn_hash_table_check(const rn_hash_table *table, char *text, size_t capacity);

#endif

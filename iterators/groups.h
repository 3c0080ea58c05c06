/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows found by key: what distinct, aggregate and the build side of a join share. Each group is one
 * row, whose first columns are the key; further columns are the operator's (counters, payload,
 * links).
 *
 *     rn_groups_open -> per batch: rn_groups_find -> settle by rn_groups_bound -> rn_groups_add
 *
 * find says for each row its group, or which of the batch's fresh keys it has; so what add needs is
 * known before it is done, and a settle for it asks for no more than that.
 *
 * Groups are cut into shards by their hash, each with rows and a table of its own, so that a part
 * of them can be written out and forgotten:
 *
 *     rn_groups_order (a shard) -> rn_groups_walk until false -> rn_groups_forget
 *
 * walk gives a shard's groups by their word (rn_groups_word), then by key. Shards one after the
 * other are in the order of the word too.
 *
 * Dense shards: what comes to a shard that is written out again and again seldom meets its key
 * among the few rows in memory. Where fewer than half did, nothing is looked up until the shard is
 * written out again: all its rows are fresh, and of one key there may be several, which the walk
 * gives one after the other. Only for owners that say so (may_double, after open). */
#ifndef RATION_GROUPS_H
#define RATION_GROUPS_H

#include "iterators/minimum.h"
#include "storage/hash_table.h"

#define RN_GROUP_SHARD_BITS RN_HASH_WORD_SPARE_BITS
#define RN_GROUP_SHARDS (1u << RN_GROUP_SHARD_BITS)

typedef struct rn_group_shard {
    rn_rows rows;
    rn_hash_table *table;
    /* Since it was forgotten last: rows looked up, or added when dense; and how many of them had
     * been there. */
    int64_t looked, doubles;
} rn_group_shard;

typedef struct rn_groups {
    rn_layout layout;
    uint32_t key_count;
    rn_group_shard shards[RN_GROUP_SHARDS];
    int64_t count;   /* entries of all tables */
    bool may_double; /* the owner's word: shards may be dense */
    uint32_t dense;  /* mask of shards where nothing is looked up */
    /* About the batch in hand, by row. */
    uint64_t *hashes;
    const rn_row **found; /* NULL = not there: then `fresh_of` holds */
    uint16_t *fresh_of;   /* index into fresh */
    /* Rows of the batch that are the first with their key, ascending. */
    uint32_t fresh_count;
    uint16_t *fresh;
    uint64_t *fresh_hashes;
    const rn_row **fresh_rows; /* set by rn_groups_add */
    /* Scratch. */
    uint64_t *positions;
    uint16_t *slots;
    uint32_t slot_mask;
    uint16_t *sharded; /* rows in the order of their shards */
    uint16_t *places;  /* and where each stood before */
    const rn_row **sharded_rows;
    uint64_t *sharded_hashes;
} rn_groups;

/* Opens below op->context. `types`: the key's, then the operator's own. Errors: the limits'
 * statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_groups_open(rn_operator *op, const rn_type *types, uint32_t count,
                                              uint32_t key_count, rn_groups *out_groups);
/* What rn_groups_open draws of the operator's context, and besides; what one more row of up to
 * `row_bytes` draws at most. */
void rn_groups_draft(rn_draft *draft, const rn_sizes *sizes);
int64_t rn_groups_shards_bytes(void);
int64_t rn_groups_step_bytes(int64_t row_bytes);
/* The shard of a key, by its hash (hashes[i]). */
static inline uint32_t rn_groups_shard(uint64_t hash)
{
    return (uint32_t)((hash * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - RN_GROUP_SHARD_BITS));
}
/* The word by which groups are written out: the shard, then the order of its table. */
static inline uint64_t rn_groups_word(uint64_t hash)
{
    return (uint64_t)rn_groups_shard(hash) << (64 - RN_GROUP_SHARD_BITS) | rn_hash_table_word(hash);
}
/* Looks up rows picks[0..count) of the batch (picks NULL = all) by the columns `keys`; fills
 * hashes, found, and with `fresh` what is not there. Rows not picked keep found == NULL. */
void rn_groups_find(rn_groups *groups, const rn_batch *batch, const uint32_t *keys,
                    const uint16_t *picks, uint32_t count, bool fresh);
/* What rn_groups_add with these arguments will draw at most. */
int64_t rn_groups_bound(rn_groups *groups, const rn_batch *batch, const uint32_t *columns);
/* Appends the fresh rows (`columns` maps layout column -> batch column, NULL = same) and sets
 * `found` of every row looked up. Errors: ROW_TOO_WIDE; the limits' statuses when not settled for.
 */
RATION_NODISCARD ration_status rn_groups_add(rn_groups *groups, const rn_batch *batch,
                                             const uint32_t *columns);

/* For operators that hold more rows than one per key. Appends rows picks[0..count) of the batch
 * last looked up to their shards, by `hashes`, without entering them into a table; out_rows[n] is
 * that of picks[n]. Bound: what it draws at most. */
int64_t rn_groups_append_bound(rn_groups *groups, const rn_batch *batch, const uint32_t *columns,
                               const uint16_t *picks, uint32_t count);
RATION_NODISCARD ration_status rn_groups_append(rn_groups *groups, const rn_batch *batch,
                                                const uint32_t *columns, const uint16_t *picks,
                                                uint32_t count, const rn_row **out_rows);
/* Enters the row under `hash` into its shard's table; settle by rn_groups_table_bound of the fresh
 * hashes before. */
int64_t rn_groups_table_bound(rn_groups *groups);
RATION_NODISCARD ration_status rn_groups_enter(rn_groups *groups, uint64_t hash, const rn_row *row);

/* The widest row ever held. */
int64_t rn_groups_widest(const rn_groups *groups);
/* Bytes that forgetting the shard gives back. */
int64_t rn_groups_shard_bytes(const rn_groups *groups, uint32_t shard);
int64_t rn_groups_bytes(const rn_groups *groups);
/* The shards to write out so that at least want_bytes come free, `bytes` being what each gives:
 * those of `before` (written out already) first, then the largest; and at least a quarter of all. A
 * mask.
 */
uint64_t rn_groups_choose(const int64_t bytes[RN_GROUP_SHARDS], uint64_t before,
                          int64_t want_bytes);

/* A walk over the entries of one shard in order. */
typedef struct rn_groups_walk {
    const rn_groups *groups;
    uint32_t shard;
    rn_hash_walk walk;
} rn_groups_walk;
/* Puts the shard's table in order, in place: nothing can be found or entered afterwards until
 * rn_groups_forget. Equal words are in the order of the key (rn_groups_compare). */
void rn_groups_order(rn_groups *groups, uint32_t shard, rn_groups_walk *out_walk);
bool rn_groups_next(rn_groups_walk *walk, uint64_t *out_word, const rn_row **out_row);
/* Gives back rows and table of a shard but their first blocks; says whether it is dense from now
 * on.
 */
void rn_groups_forget(rn_groups *groups, uint32_t shard);
/* Orders rows of equal words by their keys: `with` is the rn_groups. 0 = the same key. */
int rn_groups_compare(const void *with, const rn_row *a, const rn_row *b);

/* What a merge reads of groups in memory: the shards of `mask` one after the other, each put in
 * order when it is reached. So what is written out before that is simply not there. */
typedef struct rn_groups_source {
    rn_groups *groups;
    uint64_t mask; /* of shards not begun */
    rn_groups_walk walk;
    bool walking;
    bool same; /* the row taken last has the key of the one before: in dense shards only */
    uint64_t last_word;
    const rn_row *last;
} rn_groups_source;

void rn_groups_source_set(rn_groups_source *source, rn_groups *groups, uint64_t mask);
/* rn_merge_memory.next with the source as state. */
bool rn_groups_source_next(void *state, uint64_t *out_word, const rn_row **out_row);

#endif

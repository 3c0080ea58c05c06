/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding rows by key, a batch at a time.
 *
 * Looking up goes in three passes, so that the misses of one row overlap with those of the next:
 * bring the lines of the table in; take the first candidate and bring its row in; compare. What is
 * not there is then made unique within the batch by a table of twice as many places as the batch
 * has rows, in scratch.
 *
 * Shards: looking up takes the table of each row's shard in the same passes; appending puts the
 * batch's rows into the order of their shards first (a counting sort in scratch) and appends shard
 * by shard. Writing out a shard is n log n within blocks of its table, in place, then one walk over
 * rows in no order of their addresses, asked for ahead.
 *
 * Invariants
 *   1. Each row entered has exactly one entry: its address under its key's hash, in the table of
 *      its shard, as the row is in the rows of it. No two have equal keys but in dense shards.
 *   2. After find with fresh: found[i] == NULL exactly for looked-up rows whose key is in no group,
 * and then fresh[fresh_of[i]] is the first row of the batch with that key. */
#include "iterators/groups.h"

#include "iterators/keys.h"

#define NO_ROW UINT16_MAX
/* Tables up to this many entries are in the cache anyway. */
#define PREFETCH_ENTRIES 16384
/* Of fewer rows looked up nothing follows. */
#define DENSE_LOOKED_MIN 64

/* The arrays of a batch's length: where each goes, NULL to count only, and its bytes. */
#define SCRATCH_ARRAYS 12u

typedef struct scratch_array {
    void *out;
    size_t bytes;
} scratch_array;

static uint32_t count_slots(uint32_t rows)
{
    uint32_t slots = 2;
    while (slots < 2 * rows) {
        slots *= 2;
    }
    return slots;
}

static void list_scratch(rn_groups *groups, uint32_t rows, scratch_array arrays[SCRATCH_ARRAYS])
{
    const scratch_array list[] = {{&groups->hashes, rows * sizeof(uint64_t)},
                                  {&groups->found, rows * sizeof(rn_row *)},
                                  {&groups->fresh_of, rows * sizeof(uint16_t)},
                                  {&groups->fresh, rows * sizeof(uint16_t)},
                                  {&groups->fresh_hashes, rows * sizeof(uint64_t)},
                                  {&groups->fresh_rows, rows * sizeof(rn_row *)},
                                  {&groups->positions, rows * sizeof(uint64_t)},
                                  {&groups->slots, count_slots(rows) * sizeof(uint16_t)},
                                  {&groups->sharded, rows * sizeof(uint16_t)},
                                  {&groups->places, rows * sizeof(uint16_t)},
                                  {&groups->sharded_rows, rows * sizeof(rn_row *)},
                                  {&groups->sharded_hashes, rows * sizeof(uint64_t)}};
    _Static_assert(RN_COUNT(list) == SCRATCH_ARRAYS, "all of them");
    memcpy(arrays, list, sizeof list);
}

static ration_status open_scratch(rn_groups *groups, ration_context *context, uint32_t rows)
{
    scratch_array arrays[SCRATCH_ARRAYS];
    groups->slot_mask = count_slots(rows) - 1;
    list_scratch(groups, rows, arrays);
    for (uint32_t i = 0; i < SCRATCH_ARRAYS; i++) {
        void *memory = ration_context_allocate(context, arrays[i].bytes);
        if (memory == NULL) {
            return ration_context_status(context);
        }
        memcpy(arrays[i].out, &memory, sizeof memory);
    }
    return RATION_OK;
}

void rn_groups_draft(rn_draft *draft, const rn_sizes *sizes)
{
    rn_groups groups;
    scratch_array arrays[SCRATCH_ARRAYS];
    list_scratch(&groups, sizes->batch_rows, arrays);
    for (uint32_t i = 0; i < SCRATCH_ARRAYS; i++) {
        rn_minimum_array(draft, 1, arrays[i].bytes);
    }
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        rn_minimum_array(draft, 1, rn_hash_table_handle_bytes());
    }
}

int64_t rn_groups_shards_bytes(void)
{
    return 2 * RN_GROUP_SHARDS * rn_minimum_context();
}

int64_t rn_groups_step_bytes(int64_t row_bytes)
{
    return rn_minimum_block(row_bytes) + rn_hash_table_step_bytes();
}

ration_status rn_groups_open(rn_operator *op, const rn_type *types, uint32_t count,
                             uint32_t key_count, rn_groups *out_groups)
{
    const rn_worker *worker = op->worker;
    rn_layout_set(&out_groups->layout, types, count);
    out_groups->key_count = key_count;
    out_groups->count = 0;
    out_groups->fresh_count = 0;
    out_groups->may_double = false;
    out_groups->dense = 0;
    RN_TRY(open_scratch(out_groups, op->context, worker->batch_rows));
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        rn_group_shard *shard = &out_groups->shards[s];
        shard->looked = shard->doubles = 0;
        RN_TRY(rn_rows_open(&out_groups->layout, op->context, worker->slot, "groups",
                            worker->max_row_bytes, &shard->rows));
        RN_TRY(rn_hash_table_open(op->context, worker->slot, "groups by key", &shard->table));
    }
    return RATION_OK;
}

/* Takes the next candidate of row `i`; false when there is none. */
static bool take_candidate(rn_groups *groups, uint32_t i)
{
    uint64_t payload;
    uint64_t hash = groups->hashes[i];
    uint32_t shard = rn_groups_shard(hash);
    const rn_hash_table *table = groups->shards[shard].table;
    if ((groups->dense >> shard & 1) != 0 ||
        !rn_hash_table_find(table, hash, &groups->positions[i], &payload)) {
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

/* Notes what looking up has brought. */
static void count_doubles(rn_groups *groups, const uint16_t *picks, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = picks == NULL ? n : picks[n];
        uint32_t of = rn_groups_shard(groups->hashes[i]);
        groups->shards[of].looked += (groups->dense >> of & 1) == 0;
        groups->shards[of].doubles += groups->found[i] != NULL;
    }
}

void rn_groups_find(rn_groups *groups, const rn_batch *batch, const uint32_t *keys,
                    const uint16_t *picks, uint32_t count, bool fresh)
{
    bool far = groups->count > PREFETCH_ENTRIES;
    bool cleared = false;
    groups->fresh_count = 0;
    rn_keys_hash(batch, keys, groups->key_count, groups->hashes);
    for (uint32_t n = 0; far && n < count; n++) {
        uint64_t hash = groups->hashes[picks == NULL ? n : picks[n]];
        uint32_t shard = rn_groups_shard(hash);
        if ((groups->dense >> shard & 1) == 0) {
            rn_hash_table_prefetch(groups->shards[shard].table, hash);
        }
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
    if (groups->may_double && fresh) {
        count_doubles(groups, picks, count);
    }
}

/* ---------------------------------------------------------------------------------- by shards */

/* Where the rows of each shard begin in `sharded`; the last is their end. */
typedef struct shard_starts {
    uint32_t at[RN_GROUP_SHARDS + 1];
} shard_starts;

/* Puts 0..count into the order of their hashes' shards: sharded[n] = picks[places[n]]. */
static shard_starts divide(rn_groups *groups, const uint64_t *hashes, const uint16_t *picks,
                           uint32_t count, bool by_pick)
{
    shard_starts starts = {{0}};
    uint32_t next[RN_GROUP_SHARDS];
    for (uint32_t n = 0; n < count; n++) {
        starts.at[rn_groups_shard(hashes[by_pick ? picks[n] : n]) + 1] += 1;
    }
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        next[s] = starts.at[s];
        starts.at[s + 1] += starts.at[s];
    }
    for (uint32_t n = 0; n < count; n++) {
        uint64_t hash = hashes[by_pick ? picks[n] : n];
        uint32_t to = next[rn_groups_shard(hash)]++;
        groups->sharded[to] = picks[n];
        groups->places[to] = (uint16_t)n;
        groups->sharded_hashes[to] = hash;
    }
    return starts;
}

static int64_t bound_rows(const rn_groups *groups, const shard_starts *starts,
                          const rn_batch *batch, const uint32_t *columns)
{
    int64_t bytes = 0;
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        uint32_t start = starts->at[s], count = starts->at[s + 1] - start;
        if (count > 0) {
            bytes += rn_rows_bound(&groups->shards[s].rows, batch, columns, groups->sharded + start,
                                   count);
        }
    }
    return bytes;
}

static int64_t bound_tables(const rn_groups *groups, const shard_starts *starts)
{
    int64_t bytes = 0;
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        uint32_t start = starts->at[s], count = starts->at[s + 1] - start;
        if (count > 0) {
            bytes +=
                rn_hash_table_bound(groups->shards[s].table, groups->sharded_hashes + start, count);
        }
    }
    return bytes;
}

int64_t rn_groups_append_bound(rn_groups *groups, const rn_batch *batch, const uint32_t *columns,
                               const uint16_t *picks, uint32_t count)
{
    shard_starts starts = divide(groups, groups->hashes, picks, count, true);
    return bound_rows(groups, &starts, batch, columns);
}

int64_t rn_groups_table_bound(rn_groups *groups)
{
    shard_starts starts =
        divide(groups, groups->fresh_hashes, groups->fresh, groups->fresh_count, false);
    return bound_tables(groups, &starts);
}

int64_t rn_groups_bound(rn_groups *groups, const rn_batch *batch, const uint32_t *columns)
{
    if (groups->fresh_count == 0) {
        return 0;
    }
    shard_starts starts =
        divide(groups, groups->fresh_hashes, groups->fresh, groups->fresh_count, false);
    return bound_rows(groups, &starts, batch, columns) + bound_tables(groups, &starts);
}

/* Appends what `divide` has put in order. */
static ration_status append_divided(rn_groups *groups, const shard_starts *starts,
                                    const rn_batch *batch, const uint32_t *columns,
                                    const rn_row **out_rows)
{
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        uint32_t start = starts->at[s], count = starts->at[s + 1] - start;
        if (count > 0) {
            RN_TRY(rn_rows_append(&groups->shards[s].rows, batch, columns, groups->sharded + start,
                                  count, groups->sharded_rows + start));
        }
    }
    for (uint32_t n = 0; n < starts->at[RN_GROUP_SHARDS]; n++) {
        out_rows[groups->places[n]] = groups->sharded_rows[n];
    }
    return RATION_OK;
}

ration_status rn_groups_append(rn_groups *groups, const rn_batch *batch, const uint32_t *columns,
                               const uint16_t *picks, uint32_t count, const rn_row **out_rows)
{
    shard_starts starts = divide(groups, groups->hashes, picks, count, true);
    return append_divided(groups, &starts, batch, columns, out_rows);
}

ration_status rn_groups_enter(rn_groups *groups, uint64_t hash, const rn_row *row)
{
    uint32_t of = rn_groups_shard(hash);
    RN_TRY(rn_hash_table_insert(groups->shards[of].table, hash, (uint64_t)(uintptr_t)row));
    groups->shards[of].looked += groups->dense >> of & 1;
    groups->count += 1;
    return RATION_OK;
}

ration_status rn_groups_add(rn_groups *groups, const rn_batch *batch, const uint32_t *columns)
{
    if (groups->fresh_count == 0) {
        return RATION_OK;
    }
    shard_starts starts =
        divide(groups, groups->fresh_hashes, groups->fresh, groups->fresh_count, false);
    RN_TRY(append_divided(groups, &starts, batch, columns, groups->fresh_rows));
    for (uint32_t i = 0; i < groups->fresh_count; i++) {
        RN_TRY(rn_groups_enter(groups, groups->fresh_hashes[i], groups->fresh_rows[i]));
    }
    for (uint32_t i = 0; i < batch->rows; i++) {
        if (groups->found[i] == NULL && groups->fresh_of[i] != NO_ROW) {
            groups->found[i] = groups->fresh_rows[groups->fresh_of[i]];
        }
    }
    return RATION_OK;
}

/* ------------------------------------------------------------------------------- writing out */

int64_t rn_groups_shard_bytes(const rn_groups *groups, uint32_t shard)
{
    const rn_group_shard *of = &groups->shards[shard];
    if (of->rows.count == 0) {
        return 0;
    }
    int64_t bytes = ration_context_bytes(of->rows.context, false) + rn_hash_table_bytes(of->table);
    return RN_MAX(bytes - 2 * RN_BLOCK_BYTES_MIN, 0);
}

int64_t rn_groups_widest(const rn_groups *groups)
{
    int64_t widest = 0;
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        widest = RN_MAX(widest, groups->shards[s].rows.widest_bytes);
    }
    return widest;
}

int64_t rn_groups_bytes(const rn_groups *groups)
{
    int64_t bytes = 0;
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        bytes += rn_groups_shard_bytes(groups, s);
    }
    return bytes;
}

/* The largest shard of those not chosen yet, one that was written out before rather than one that
 * was not; RN_GROUP_SHARDS when none has rows. */
static uint32_t next_choice(const int64_t *bytes, uint64_t before, uint64_t chosen)
{
    uint32_t best = RN_GROUP_SHARDS;
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        if (bytes[s] == 0 || (chosen >> s & 1) != 0) {
            continue;
        }
        bool was = (before >> s & 1) != 0;
        bool best_was = best != RN_GROUP_SHARDS && (before >> best & 1) != 0;
        if (best == RN_GROUP_SHARDS || (was && !best_was) ||
            (was == best_was && bytes[s] > bytes[best])) {
            best = s;
        }
    }
    return best;
}

uint64_t rn_groups_choose(const int64_t bytes[RN_GROUP_SHARDS], uint64_t before, int64_t want_bytes)
{
    int64_t all = 0, freed = 0;
    uint64_t chosen = 0;
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        all += bytes[s];
    }
    int64_t enough = RN_MAX(want_bytes, all / 4);
    while (freed < enough) {
        uint32_t shard = next_choice(bytes, before, chosen);
        if (shard == RN_GROUP_SHARDS) {
            break;
        }
        chosen |= UINT64_C(1) << shard;
        freed += bytes[shard];
    }
    return chosen;
}

int rn_groups_compare(const void *with, const rn_row *a, const rn_row *b)
{
    const rn_groups *groups = with;
    for (uint32_t c = 0; c < groups->key_count; c++) {
        int order = rn_row_compare(&groups->layout, a, b, c);
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

static int compare_payloads(const void *with, uint64_t a, uint64_t b)
{
    return rn_groups_compare(with, (const rn_row *)(uintptr_t)a, (const rn_row *)(uintptr_t)b);
}

void rn_groups_order(rn_groups *groups, uint32_t shard, rn_groups_walk *out_walk)
{
    const rn_hash_order order = {compare_payloads, groups};
    out_walk->groups = groups;
    out_walk->shard = shard;
    rn_hash_table_order(groups->shards[shard].table, order, &out_walk->walk);
}

bool rn_groups_next(rn_groups_walk *walk, uint64_t *out_word, const rn_row **out_row)
{
    uint64_t word, payload;
    if (!rn_hash_table_walk(walk->groups->shards[walk->shard].table, &walk->walk, &word,
                            &payload)) {
        return false;
    }
    *out_word = (uint64_t)walk->shard << (64 - RN_GROUP_SHARD_BITS) | word;
    *out_row = (const rn_row *)(uintptr_t)payload;
    return true;
}

void rn_groups_forget(rn_groups *groups, uint32_t shard)
{
    rn_group_shard *of = &groups->shards[shard];
    bool dense =
        groups->may_double && of->looked > DENSE_LOOKED_MIN && of->doubles < of->looked / 2;
    groups->count -= rn_hash_table_count(of->table);
    groups->dense = (groups->dense & ~(1u << shard)) | (uint32_t)dense << shard;
    of->looked = of->doubles = 0;
    rn_rows_reset(&of->rows);
    rn_hash_table_reset(of->table);
    if (dense) {
        rn_hash_table_make_dense(of->table);
    }
}

void rn_groups_source_set(rn_groups_source *source, rn_groups *groups, uint64_t mask)
{
    *source = (rn_groups_source){.groups = groups, .mask = mask};
}

/* Has the row the key of the one before it? */
static bool is_double(rn_groups_source *source, uint64_t word, const rn_row *row)
{
    rn_groups *groups = source->groups;
    bool same = source->last != NULL && source->last_word == word &&
                rn_groups_compare(groups, source->last, row) == 0;
    groups->shards[source->walk.shard].doubles += same;
    source->last = row;
    source->last_word = word;
    return same;
}

bool rn_groups_source_next(void *state, uint64_t *out_word, const rn_row **out_row)
{
    rn_groups_source *source = state;
    while (!source->walking || !rn_groups_next(&source->walk, out_word, out_row)) {
        if (source->mask == 0) {
            source->walking = false;
            return false;
        }
        uint32_t shard = (uint32_t)__builtin_ctzll(source->mask);
        source->mask &= source->mask - 1;
        source->walking = true;
        source->last = NULL;
        rn_groups_order(source->groups, shard, &source->walk);
    }
    source->same = (source->groups->dense >> source->walk.shard & 1) != 0 &&
                   is_double(source, *out_word, *out_row);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash table put into the order of its words, in place, to be written out and forgotten.
 *
 * The directory is in that order already: what is left is to sort each block. The bits below the
 * block's prefix are as good as random, so one pass of an in-place radix sort (American flag sort:
 * McIlroy, Bostic, McIlroy 1993) leaves pieces of a dozen entries, sorted by insertion; a piece
 * that is large for all that is sorted by heap, so that no input makes it quadratic. Nothing is
 * drawn: this runs when there is no memory.
 *
 * Blocks of one chain are each in order and merged while walking; `pending` then says where each
 * stands. */
#include "storage/hash_partition.h"

#define PIECE_ENTRIES 48u
#define RADIX 256u
#define ENTRIES_AHEAD 8u

static inline bool comes_before(const rn_hash_order *by, const entry *a, const entry *b)
{
    uint64_t word = a->hash >> RN_HASH_WORD_SPARE_BITS, other = b->hash >> RN_HASH_WORD_SPARE_BITS;
    if (RN_LIKELY(word != other)) {
        return word < other;
    }
    return by->compare(by->with, a->payload, b->payload) < 0;
}

static void sort_by_insertion(const rn_hash_order *by, entry *entries, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        entry lifted = entries[i];
        uint32_t at = i;
        for (; at > 0 && comes_before(by, &lifted, &entries[at - 1]); at--) {
            entries[at] = entries[at - 1];
        }
        entries[at] = lifted;
    }
}

static void sink(const rn_hash_order *by, entry *entries, uint32_t at, uint32_t count)
{
    entry lifted = entries[at];
    for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        child += child + 1 < count && comes_before(by, &entries[child], &entries[child + 1]);
        if (!comes_before(by, &lifted, &entries[child])) {
            break;
        }
        entries[at] = entries[child];
        at = child;
    }
    entries[at] = lifted;
}

static void sort_by_heap(const rn_hash_order *by, entry *entries, uint32_t count)
{
    for (uint32_t at = count / 2; at-- > 0;) {
        sink(by, entries, at, count);
    }
    for (uint32_t last = count; last-- > 1;) {
        entry largest = entries[0];
        entries[0] = entries[last];
        entries[last] = largest;
        sink(by, entries, 0, last);
    }
}

static void sort_piece(const rn_hash_order *by, entry *entries, uint32_t count)
{
    if (count <= PIECE_ENTRIES) {
        sort_by_insertion(by, entries, count);
    } else {
        sort_by_heap(by, entries, count);
    }
}

/* Moves every entry into the piece of its digit. */
static void divide_by_digit(entry *entries, uint32_t shift, const uint32_t *ends, uint32_t *at)
{
    for (uint32_t digit = 0; digit < RADIX; digit++) {
        while (at[digit] < ends[digit]) {
            entry lifted = entries[at[digit]];
            uint32_t of = (uint32_t)(lifted.hash >> shift) % RADIX;
            while (of != digit) {
                entry displaced = entries[at[of]];
                entries[at[of]++] = lifted;
                lifted = displaced;
                of = (uint32_t)(lifted.hash >> shift) % RADIX;
            }
            entries[at[digit]++] = lifted;
        }
    }
}

static void sort_entries(const rn_hash_order *by, entry *entries, uint32_t count, uint32_t depth)
{
    if (count <= PIECE_ENTRIES) {
        sort_by_insertion(by, entries, count);
        return;
    }
    uint32_t shift = 64 - 8 - RN_MIN(depth, 56u);
    uint32_t counts[RADIX] = {0}, at[RADIX], ends[RADIX];
    for (uint32_t i = 0; i < count; i++) {
        counts[(entries[i].hash >> shift) % RADIX] += 1;
    }
    uint32_t end = 0;
    for (uint32_t digit = 0; digit < RADIX; digit++) {
        at[digit] = end;
        end += counts[digit];
        ends[digit] = end;
    }
    divide_by_digit(entries, shift, ends, at);
    uint32_t start = 0;
    for (uint32_t digit = 0; digit < RADIX; digit++) {
        sort_piece(by, entries + start, ends[digit] - start);
        start = ends[digit];
    }
}

static void close_gaps(partition *at, uint32_t capacity)
{
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < capacity; slot++) {
        at->entries[count] = at->entries[slot];
        count += at->entries[slot].hash != 0;
    }
    rn_assert(count == at->count);
}

void rn_hash_table_order(rn_hash_table *table, rn_hash_order order, rn_hash_walk *out_walk)
{
    for (partition *at = table->first; at != NULL; at = at->next) {
        if (!table->dense) {
            close_gaps(at, table->capacity);
        }
        sort_entries(&order, at->entries, at->count, at->depth);
        at->pending = 0;
    }
    *out_walk = (rn_hash_walk){order, 0};
}

/* The block of a chain whose next entry comes first; NULL = the chain is through. */
static partition *first_of_chain(const rn_hash_table *table, const rn_hash_order *by,
                                 partition *chain)
{
    partition *least = NULL;
    for (partition *at = chain; at != NULL; at = at->overflow) {
        if (at->pending < at->count &&
            (least == NULL ||
             comes_before(by, &at->entries[at->pending], &least->entries[least->pending]))) {
            least = at;
        }
        if (RN_LIKELY(!table->chained)) {
            break;
        }
    }
    return least;
}

bool rn_hash_table_walk(const rn_hash_table *table, rn_hash_walk *walk, uint64_t *out_word,
                        uint64_t *out_payload)
{
    while (walk->index < UINT64_C(1) << table->depth) {
        partition *chain = *directory_at(table, walk->index);
        partition *at = first_of_chain(table, &walk->order, chain);
        if (at != NULL) {
            const entry *taken = &at->entries[at->pending++];
            if (at->pending + ENTRIES_AHEAD <= at->count) {
                __builtin_prefetch((const void *)(uintptr_t)taken[ENTRIES_AHEAD].payload);
            }
            *out_word = taken->hash >> RN_HASH_WORD_SPARE_BITS;
            *out_payload = taken->payload;
            return true;
        }
        walk->index += UINT64_C(1) << (table->depth - chain->depth);
    }
    return false;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorting in chunks: rows gather in runs of one block of entries, a run is sorted when it is full,
 * and the sorted runs are merged as rows are taken out.
 *
 *     add -> add -> (run full: sort it) -> add ... finish: sort the last -> next: take the winner
 *
 * So no step takes longer than sorting one run, nothing is copied twice, and nothing contiguous is
 * larger than a block but the tree (40 bytes per run: 1 MiB from 100 million rows on). A run is
 * sorted by merging from the bottom up with one run's scratch: n log n whatever the input, no
 * recursion.
 *
 * Invariants
 *   1. Every run but the newest is full and sorted; in all runs together are the rows of `rows`.
 *   2. The tree has room for every run. After finish its node 0 is the first row of all that are
 *      left, and every other node the loser of the match played there, so that taking a row costs
 *      one match per level, on the way up from its run's leaf.
 *
 * Rejected: one array of all rows, doubled and sorted at the end: it needs old and new at once and
 * stops the query for as long as the sort takes. */
#include "iterators/sorter.h"

#define RUN_BYTES                                                                                  \
    ((size_t)RN_BLOCK_BYTES - 64) /* with what a context wants of a block, one block */
#define RUN_ENTRIES ((uint32_t)((RUN_BYTES - sizeof(struct rn_sort_run)) / sizeof(sort_entry)))
#define INSERTION_ENTRIES 16u
#define TREE_FIRST 64u
#define TREE_BYTES (sizeof(struct rn_sort_head) + sizeof(struct sort_leaf)) /* per run */
#define NOBODY UINT64_MAX
#define ENTRIES_AHEAD 6

/* A row, and its key beside it so that most comparisons do not look at the row. */
typedef struct sort_entry {
    uint64_t key;
    const rn_row *row;
} sort_entry;

struct rn_sort_run {
    struct rn_sort_run *next;
    uint32_t count, reserved;
    sort_entry entries[];
};

/* A node of the tree: a row that waits there, and the leaf it came from. */
struct rn_sort_head {
    sort_entry entry; /* row NULL: that leaf has no more */
    uint64_t leaf;
};

/* What is left of a run. */
struct sort_leaf {
    const sort_entry *at, *end;
};

static bool comes_before(const rn_sorter *sorter, const sort_entry *a, const sort_entry *b)
{
    if (a->key != b->key) {
        return a->key < b->key;
    }
    return rn_sort_compare(&sorter->layout, sorter->order, sorter->order_count, a->row, b->row) < 0;
}

ration_status rn_sorter_open(const rn_schema *schema, const rn_order *order, uint32_t order_count,
                             ration_context *parent, ration_slot *slot, int64_t max_row_bytes,
                             rn_sorter *out_sorter)
{
    rn_type types[RN_COLUMNS_MAX];
    for (uint32_t c = 0; c < schema->count; c++) {
        types[c] = schema->fields[c].type;
    }
    memset(out_sorter, 0, sizeof *out_sorter);
    out_sorter->order = order;
    out_sorter->order_count = order_count;
    rn_layout_set(&out_sorter->layout, types, schema->count);
    RN_TRY(
        ration_context_create(parent, slot, RATION_CONTEXT_BUMP, "sorter", &out_sorter->context));
    return rn_rows_open(&out_sorter->layout, out_sorter->context, slot, "rows to sort",
                        max_row_bytes, &out_sorter->rows);
}

void rn_sorter_close(rn_sorter *sorter)
{
    ration_context_delete(sorter->context);
    memset(sorter, 0, sizeof *sorter);
}

void rn_sorter_keys(const rn_sorter *sorter, const rn_batch *batch, uint64_t *keys)
{
    const rn_order *first = &sorter->order[0];
    rn_sort_keys(&batch->columns[first->column], batch->rows, first->descending, keys);
}

/* ------------------------------------------------------------------------------ sorting one run */

static void sort_by_insertion(const rn_sorter *sorter, sort_entry *entries, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        sort_entry entry = entries[i];
        uint32_t at = i;
        for (; at > 0 && comes_before(sorter, &entry, &entries[at - 1]); at--) {
            entries[at] = entries[at - 1];
        }
        entries[at] = entry;
    }
}

/* Which comes first is a coin toss to the processor: so it is computed, not branched on. */
static void merge_halves(const rn_sorter *sorter, const sort_entry *from, uint32_t middle,
                         uint32_t count, sort_entry *to)
{
    const sort_entry *left = from, *left_end = from + middle;
    const sort_entry *right = left_end, *right_end = from + count;
    while (left < left_end && right < right_end) {
        bool take_right = right->key < left->key;
        if (RN_UNLIKELY(right->key == left->key)) {
            take_right = comes_before(sorter, right, left);
        }
        const sort_entry *taken = take_right ? right : left;
        *to++ = *taken;
        right += take_right;
        left += !take_right;
    }
    memcpy(to, left, (size_t)(left_end - left) * sizeof *to);
    memcpy(to + (left_end - left), right, (size_t)(right_end - right) * sizeof *to);
}

static void sort_run(rn_sorter *sorter, struct rn_sort_run *run)
{
    for (uint32_t at = 0; at < run->count; at += INSERTION_ENTRIES) {
        sort_by_insertion(sorter, run->entries + at, RN_MIN(INSERTION_ENTRIES, run->count - at));
    }
    sort_entry *from = run->entries, *to = sorter->spare->entries;
    for (uint32_t width = INSERTION_ENTRIES; width < run->count; width *= 2) {
        for (uint32_t at = 0; at < run->count; at += 2 * width) {
            uint32_t count = RN_MIN(2 * width, run->count - at);
            merge_halves(sorter, from + at, RN_MIN(width, count), count, to + at);
        }
        sort_entry *merged = to;
        to = from;
        from = merged;
    }
    if (from != run->entries) {
        memcpy(run->entries, from, run->count * sizeof *from);
    }
}

/* --------------------------------------------------------------------------------------- adding */

static uint32_t grown_tree(uint32_t capacity)
{
    return capacity == 0 ? TREE_FIRST : 2 * capacity;
}

int64_t rn_sorter_bound(const rn_sorter *sorter, const rn_batch *batch, const uint16_t *picks,
                        uint32_t count)
{
    int64_t bytes = rn_rows_bound(&sorter->rows, batch, NULL, picks, count);
    uint32_t room = sorter->runs == NULL ? 0 : RUN_ENTRIES - sorter->runs->count;
    if (count <= room) {
        return bytes;
    }
    int64_t runs = 1 + (sorter->spare == NULL);
    bytes += runs * rn_context_bound_one(sorter->context, RUN_BYTES);
    if (sorter->run_count == sorter->tree_capacity) {
        size_t tree = grown_tree(sorter->tree_capacity) * TREE_BYTES;
        bytes += rn_context_bound_one(sorter->context, tree);
    }
    return bytes;
}

static ration_status grow_tree(rn_sorter *sorter)
{
    uint32_t capacity = grown_tree(sorter->tree_capacity);
    struct rn_sort_head *tree = ration_context_allocate(sorter->context, capacity * TREE_BYTES);
    if (tree == NULL) {
        return ration_context_status(sorter->context);
    }
    sorter->tree = tree; /* empty until finish: nothing to copy */
    sorter->tree_capacity = capacity;
    return RATION_OK;
}

/* An empty run, or NULL. */
static struct rn_sort_run *make_run(rn_sorter *sorter)
{
    struct rn_sort_run *run = ration_context_allocate(sorter->context, RUN_BYTES);
    if (run != NULL) {
        run->next = sorter->runs;
        run->count = 0;
    }
    return run;
}

static ration_status add_run(rn_sorter *sorter)
{
    if (sorter->run_count == sorter->tree_capacity) {
        RN_TRY(grow_tree(sorter));
    }
    if (sorter->spare == NULL) {
        sorter->spare = make_run(sorter);
    }
    struct rn_sort_run *run = sorter->spare == NULL ? NULL : make_run(sorter);
    if (run == NULL) {
        return ration_context_status(sorter->context);
    }
    sorter->runs = run;
    sorter->run_count += 1;
    return RATION_OK;
}

ration_status rn_sorter_add(rn_sorter *sorter, const rn_batch *batch, const uint64_t *keys,
                            const uint16_t *picks, uint32_t count)
{
    _Static_assert(RUN_ENTRIES >= RN_BATCH_ROWS_MAX, "a batch fills at most one run");
    const rn_row *placed[RN_BATCH_ROWS_MAX];
    RN_TRY(rn_rows_append(&sorter->rows, batch, NULL, picks, count, placed));
    for (uint32_t i = 0; i < count; i++) {
        if (sorter->runs == NULL || sorter->runs->count == RUN_ENTRIES) {
            RN_TRY(add_run(sorter));
        }
        struct rn_sort_run *run = sorter->runs;
        uint64_t key = keys[picks == NULL ? i : picks[i]];
        run->entries[run->count++] = (sort_entry){key, placed[i]};
        if (run->count == RUN_ENTRIES) {
            sort_run(sorter, run);
        }
    }
    return RATION_OK;
}

/* ------------------------------------------------------------------------------------- merging */

/* Puts the earlier of the two into `*winner`, the other into the node. Without a branch on which it
 * is, as long as their keys differ. */
static inline void play(const rn_sorter *sorter, struct rn_sort_head *node,
                        struct rn_sort_head *winner)
{
    struct rn_sort_head a = *node, b = *winner;
    bool node_first = a.entry.key < b.entry.key;
    if (RN_UNLIKELY(a.entry.key == b.entry.key)) {
        node_first = b.entry.row == NULL ||
                     (a.entry.row != NULL && comes_before(sorter, &a.entry, &b.entry));
    }
    uint64_t mask = 0 - (uint64_t)node_first;
    uint64_t key = (a.entry.key ^ b.entry.key) & mask;
    uintptr_t row = ((uintptr_t)a.entry.row ^ (uintptr_t)b.entry.row) & mask;
    uint64_t leaf = (a.leaf ^ b.leaf) & mask;
    node->entry.key = a.entry.key ^ key;
    node->entry.row = (const rn_row *)((uintptr_t)a.entry.row ^ row);
    node->leaf = a.leaf ^ leaf;
    winner->entry.key = b.entry.key ^ key;
    winner->entry.row = (const rn_row *)((uintptr_t)b.entry.row ^ row);
    winner->leaf = b.leaf ^ leaf;
}

/* What the tree and its leaves lie in: all nodes, then all leaves. */
static struct sort_leaf *leaves_of(const rn_sorter *sorter)
{
    return sorter->tree == NULL
               ? NULL
               : (struct sort_leaf *)(void *)(sorter->tree + sorter->tree_capacity);
}

/* Takes the next row of a leaf, or the mark that it has none. The line that comes after this one is
 * asked for: thousands of runs are more streams than the processor follows by itself. */
static inline struct rn_sort_head take_head(struct sort_leaf *leaves, uint64_t leaf)
{
    struct sort_leaf *from = &leaves[leaf];
    if (from->at == from->end) {
        return (struct rn_sort_head){{UINT64_MAX, NULL}, leaf};
    }
    __builtin_prefetch(from->at + ENTRIES_AHEAD);
    return (struct rn_sort_head){*from->at++, leaf};
}

void rn_sorter_finish(rn_sorter *sorter)
{
    struct rn_sort_run *run = sorter->runs;
    struct sort_leaf *leaves = leaves_of(sorter);
    if (run != NULL && run->count < RUN_ENTRIES) {
        sort_run(sorter, run);
    }
    for (uint32_t i = 0; i < sorter->run_count; i++) {
        sorter->tree[i].leaf = NOBODY;
    }
    for (uint32_t i = 0; i < sorter->run_count; i++, run = run->next) {
        leaves[i] = (struct sort_leaf){run->entries, run->entries + run->count};
        struct rn_sort_head winner = take_head(leaves, i);
        uint32_t node = (i + sorter->run_count) / 2;
        for (; node > 0 && sorter->tree[node].leaf != NOBODY; node /= 2) {
            play(sorter, &sorter->tree[node], &winner);
        }
        sorter->tree[node] = winner;
    }
}

uint32_t rn_sorter_next(rn_sorter *sorter, const rn_row **out_rows, uint32_t capacity,
                        uint64_t *out_last_key)
{
    struct rn_sort_head *tree = sorter->tree;
    struct sort_leaf *leaves = leaves_of(sorter);
    uint32_t count = 0;
    while (count < capacity && tree != NULL && tree[0].entry.row != NULL) {
        struct rn_sort_head winner = tree[0];
        out_rows[count++] = winner.entry.row;
        __builtin_prefetch(winner.entry.row);
        if (out_last_key != NULL) {
            *out_last_key = winner.entry.key;
        }
        winner = take_head(leaves, winner.leaf);
        for (uint64_t node = (winner.leaf + sorter->run_count) / 2; node > 0; node /= 2) {
            play(sorter, &tree[node], &winner);
        }
        tree[0] = winner;
    }
    return count;
}

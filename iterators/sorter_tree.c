/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking the rows of a sorter that lie in memory: a tree of losers over the sorted runs of its
 * pieces.
 *
 * Invariant: tree and leaves, one behind the other, have room for every run; what is in them is of
 * the last rn_sorter_plant. */
#include "iterators/sort_piece.h"

#define ENTRIES_AHEAD 6

static rn_sort_leaf *leaves_of(const rn_sorter *sorter)
{
    return (rn_sort_leaf *)(void *)(sorter->tree + sorter->tree_capacity);
}

/* Takes the next row of a leaf, or the mark that it has none. The line that comes after this one is
 * asked for: thousands of runs are more streams than the processor follows by itself. */
static inline struct rn_merge_node take_head(rn_sort_leaf *leaves, uint64_t leaf)
{
    rn_sort_leaf *from = &leaves[leaf];
    if (from->at == from->end) {
        return (struct rn_merge_node){UINT64_MAX, NULL, leaf};
    }
    __builtin_prefetch(from->at + ENTRIES_AHEAD);
    const rn_sort_entry *entry = from->at++;
    return (struct rn_merge_node){entry->key, entry->row, leaf};
}

void rn_sorter_plant(rn_sorter *sorter)
{
    rn_row_order order = rn_sorter_order(sorter);
    uint32_t leaves = 0;
    for (struct rn_sort_piece *piece = sorter->pieces; piece != NULL; piece = piece->next) {
        for (struct rn_sort_run *run = piece->chosen ? piece->runs : NULL; run != NULL;
             run = run->next) {
            if (!run->sorted) {
                rn_sort_run(sorter, run);
            }
            leaves_of(sorter)[leaves++] = (rn_sort_leaf){run->entries, run->entries + run->count};
        }
    }
    sorter->leaves = leaves;
    if (leaves > 0) {
        rn_tournament_open(sorter->tree, leaves);
    }
    for (uint32_t i = 0; i < leaves; i++) {
        rn_tournament_enter(sorter->tree, leaves, &order, take_head(leaves_of(sorter), i));
    }
}

uint32_t rn_sorter_take(rn_sorter *sorter, rn_sort_entry *out_entries, uint32_t most)
{
    struct rn_merge_node *tree = sorter->tree;
    rn_sort_leaf *leaves = sorter->leaves == 0 ? NULL : leaves_of(sorter);
    rn_row_order order = rn_sorter_order(sorter);
    uint32_t count = 0;
    while (count < most && leaves != NULL && tree[0].row != NULL) {
        __builtin_prefetch(tree[0].row);
        out_entries[count++] = (rn_sort_entry){tree[0].key, tree[0].row};
        rn_tournament_replace(tree, sorter->leaves, &order, take_head(leaves, tree[0].leaf));
    }
    return count;
}

bool rn_sorter_draw(void *of, uint64_t *out_key, const rn_row **out_row)
{
    rn_sort_entry entry;
    if (rn_sorter_take(of, &entry, 1) == 0) {
        return false;
    }
    *out_key = entry.key;
    *out_row = entry.row;
    return true;
}

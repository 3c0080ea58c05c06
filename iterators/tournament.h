/* SPDX-License-Identifier: Apache-2.0
 *
 * A tree of losers: the least of many sources, one match per level for each row taken.
 *
 *     rn_tournament_open -> rn_tournament_enter (each leaf's first row)
 *                        -> use tree[0] -> rn_tournament_replace (its leaf's next row) ...
 *
 * tree[0] is the winner; every other node is the loser of the match that was played there. Leaf i
 * of n stands below node (i + n) / 2, node k below node k / 2. Who wins is a coin toss to the
 * processor: so it is computed, not branched on, as long as the words differ. */
#ifndef RATION_TOURNAMENT_H
#define RATION_TOURNAMENT_H

#include "iterators/merge.h"

#define RN_TOURNAMENT_NOBODY UINT64_MAX

/* A row, the word of its order, and the leaf it came from. */
struct rn_merge_node {
    uint64_t key;
    const rn_row *row; /* NULL: that leaf has no more, and key is UINT64_MAX */
    uint64_t leaf;
};

/* Does `a` come before `b`, whose word is the same? */
static inline bool rn_tournament_decide(const rn_row_order *order, const rn_row *a, const rn_row *b)
{
    return b == NULL ||
           (a != NULL && order->compare != NULL && order->compare(order->with, a, b) < 0);
}

/* Puts the earlier of the two into `*winner`, the other into the node. */
static inline void rn_tournament_play(const rn_row_order *order, struct rn_merge_node *node,
                                      struct rn_merge_node *winner)
{
    struct rn_merge_node a = *node, b = *winner;
    bool node_first = a.key < b.key;
    if (RN_UNLIKELY(a.key == b.key)) {
        node_first = rn_tournament_decide(order, a.row, b.row);
    }
    uint64_t mask = 0 - (uint64_t)node_first;
    uint64_t key = (a.key ^ b.key) & mask;
    uintptr_t row = ((uintptr_t)a.row ^ (uintptr_t)b.row) & mask;
    uint64_t leaf = (a.leaf ^ b.leaf) & mask;
    node->key = a.key ^ key;
    node->row = (const rn_row *)((uintptr_t)a.row ^ row);
    node->leaf = a.leaf ^ leaf;
    winner->key = b.key ^ key;
    winner->row = (const rn_row *)((uintptr_t)b.row ^ row);
    winner->leaf = b.leaf ^ leaf;
}

static inline void rn_tournament_open(struct rn_merge_node *tree, uint32_t leaves)
{
    for (uint32_t i = 0; i < leaves; i++) {
        tree[i].leaf = RN_TOURNAMENT_NOBODY;
    }
}

/* The first row of leaf entry.leaf; every leaf enters once. */
static inline void rn_tournament_enter(struct rn_merge_node *tree, uint32_t leaves,
                                       const rn_row_order *order, struct rn_merge_node entry)
{
    uint64_t node = (entry.leaf + leaves) / 2;
    for (; node > 0 && tree[node].leaf != RN_TOURNAMENT_NOBODY; node /= 2) {
        rn_tournament_play(order, &tree[node], &entry);
    }
    tree[node] = entry;
}

/* `entry` is what comes after tree[0], from the same leaf. */
static inline void rn_tournament_replace(struct rn_merge_node *tree, uint32_t leaves,
                                         const rn_row_order *order, struct rn_merge_node entry)
{
    for (uint64_t node = (entry.leaf + leaves) / 2; node > 0; node /= 2) {
        rn_tournament_play(order, &tree[node], &entry);
    }
    tree[0] = entry;
}

#endif

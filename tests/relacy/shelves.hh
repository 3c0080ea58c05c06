/* SPDX-License-Identifier: Apache-2.0
 *
 * Scenarios with blocks on shelves: an owner puts and takes while others recall, purge and are
 * refused. A byte of world.hh is a block of 8 KiB here. A block has one holder at a time,
 * who writes into it: what the one wrote before must be ordered before what the next one writes.
 * And the lock of a peek: who reads the tree of contexts never meets its owner there.
 */
#ifndef RATION_TESTS_RELACY_SHELVES_HH
#define RATION_TESTS_RELACY_SHELVES_HH

#include "tests/relacy/world.hh"

static const int64_t UNIT = 8 * 1024;
enum { BLOCKS = 4, SHELF = 0 }; /* the shelf of blocks of UNIT */

/* Who has a block, as those who handle it say. */
enum holder { OWNERS, GIVEN_UP, KEPT, GONE };
struct token {
    holder by;
    lasting<rl::var<int>> content;
};
static token tokens[BLOCKS];

static void touch(int at)
{
    (*tokens[at].content)($) = at;
}

/* As blocks.c does: kept, when it may be, else given back to the system. */
static int64_t kept_bytes;
static int64_t purge_kept(void *, int64_t wanted_bytes)
{
    int64_t purged = 0;
    for (int i = 0; i < BLOCKS && purged < wanted_bytes; i++) {
        if (tokens[i].by == KEPT) {
            tokens[i].by = GONE;
            touch(i);
            purged += UNIT;
        }
    }
    kept_bytes -= purged;
    return purged;
}
static void keep_taken(void *, ration_pool *pool, void *block, int64_t bytes, bool retain)
{
    int at = (int)((token *)block - tokens);
    require(bytes == UNIT && at >= 0 && at < BLOCKS, "a block that never was");
    require(tokens[at].by == GIVEN_UP, "a block that is in use was taken");
    touch(at);
    if (retain && rn_pool_hand_over(pool, pools[SECOND], bytes)) {
        tokens[at].by = KEPT;
        kept_bytes += bytes;
    } else {
        tokens[at].by = GONE;
        rn_pool_grant_direct(pool, -bytes);
    }
}

/* The ghost's figures follow: a block that is given up serves nobody. */
static void put_block(int index, int at)
{
    touch(at);
    tokens[at].by = GIVEN_UP;
    add_low(index, -UNIT);
    if (rn_shelf_put(slots[index], SHELF, &tokens[at])) {
        add_high(index, -UNIT);
        return;
    }
    require(tokens[at].by == GIVEN_UP, "a block that was not accepted was taken");
    tokens[at].by = GONE;
    ration_slot_release(&slots[index]->hot, UNIT);
    add_high(index, -UNIT);
}

/* False when there is none. */
static bool take_block(int index)
{
    add_high(index, UNIT);
    token *block = (token *)rn_shelf_take(slots[index], SHELF);
    if (block == NULL) {
        add_high(index, -UNIT);
        return false;
    }
    require(block->by == GIVEN_UP, "a block was handed out that is not on the shelf");
    block->by = OWNERS;
    touch((int)(block - tokens));
    add_low(index, UNIT);
    return true;
}

/* `count` blocks, charged to slot 0: the first on its shelf, the others in its hands. */
static void open_blocks(int slots_count, int count)
{
    watches_shelves = true;
    kept_bytes = 0;
    open_tree_of(slots_count, UNIT);
    watches_shelves = false;
    must_charge(0, count * UNIT);
    for (int i = 0; i < BLOCKS; i++) {
        tokens[i].by = i < count ? OWNERS : GONE;
        tokens[i].content.open(-1);
    }
    put_block(0, 0);
}

/* Every block is where its holder is: none was lost, none is there twice. */
static void close_shelf()
{
    int64_t lying = 0, kept = 0, used = 0;
    for (int i = 0; i < BLOCKS; i++) {
        lying += tokens[i].by == GIVEN_UP ? UNIT : 0;
        kept += tokens[i].by == KEPT ? UNIT : 0;
        used += tokens[i].by == OWNERS ? UNIT : 0;
    }
    require(rn_slot_shelved(slots[0]) == lying, "a block was lost");
    require(kept_bytes == kept, "a kept block was lost");
    require(rn_slot_used(slots[0]) == used, "the slot's sum is wrong");
    require(lying == 0 || !rn_pool_is_drained(pools[FIRST]), "a drained pool has a block lying");
    ghost.judges = false; /* what it says of credit does not know of blocks that were taken */
    for (int i = 0; i < BLOCKS; i++) {
        if (tokens[i].by == OWNERS) {
            tokens[i].by = GONE;
            release(0, UNIT);
        }
    }
    if (slots[1] == NULL) {
        open_slot(1, FIRST);
    }
    must_charge(1, 10 * UNIT); /* all there is, whatever lies or is kept */
    release(1, 10 * UNIT);
    for (int i = 0; i < BLOCKS; i++) {
        require(tokens[i].by == GONE, "a block stayed behind a refusal");
        tokens[i].content.close();
    }
    shim::audit = audit_tree;
    rn_ledger_set_purge(ledger, NULL, NULL, NULL, NULL);
    close_tree();
}

/* The owner takes, puts and takes; another clears, all at once or pool by pool. */
static void open_shelf()
{
    open_blocks(2, 2);
}
static void run_shelf(int index)
{
    for (int i = 0; index == 1 && i < 2; i++) {
        if (rl::rand(2) == 0) {
            rn_ledger_lock(ledger);
            (void)rn_shelves_clear(ledger, 0, 0);
            rn_ledger_unlock(ledger);
        } else {
            (void)rn_pool_recall(pools[i == 0 ? FIRST : ROOT]);
        }
    }
    if (index == 1) {
        return;
    }
    if (rl::rand(2) == 0) {
        (void)take_block(0);
    }
    if (tokens[1].by == OWNERS) {
        put_block(0, 1);
    }
    (void)take_block(0);
}

/* One step of the owner's, and one clearing: small enough to be searched completely. */
static void open_taking()
{
    open_blocks(1, 1);
}
static void run_taking(int index)
{
    if (index == 1) {
        (void)rn_pool_recall(pools[FIRST]);
    } else {
        (void)take_block(0);
    }
}
static void open_putting()
{
    open_blocks(1, 1);
    (void)take_block(0);
}
static void run_putting(int index)
{
    if (index == 1) {
        (void)rn_pool_recall(pools[FIRST]);
    } else {
        put_block(0, 0);
    }
}

/* The same with two who clear, and an owner who goes on. */
static void open_shelves()
{
    open_blocks(2, 3);
    ghost.judges = false;
}
static void run_shelves(int index)
{
    if (index == 2) {
        rn_ledger_lock(ledger);
        (void)rn_shelves_clear(ledger, 0, 0);
        rn_ledger_unlock(ledger);
        (void)rn_pool_recall(pools[ROOT]);
        return;
    }
    if (index == 1) {
        (void)rn_pool_recall(pools[FIRST]);
        (void)rn_pool_recall(pools[ROOT]);
        return;
    }
    for (int i = 0; i < 3; i++) {
        if (rl::rand(2) == 0) {
            (void)take_block(0);
        }
        for (int at = 0; at < BLOCKS; at++) {
            if (tokens[at].by == OWNERS) {
                put_block(0, at);
                break;
            }
        }
        if (rl::rand(4) == 0 && charge(0, UNIT) == RATION_OK) { /* with a chunk: the shelf opens */
            release(0, UNIT);
        }
    }
}

/* The owner never has more than two blocks in use: who asks for the rest gets it, whatever lies on
 * the shelf, and one more is granted only when that is true. */
static void open_refusing()
{
    open_blocks(2, 2);
}
static void run_refusing(int index)
{
    if (index == 0) {
        run_shelf(0);
        return;
    }
    must_charge(1, 8 * UNIT);
    release(1, 8 * UNIT);
    if (charge(1, 9 * UNIT) == RATION_OK) {
        release(1, 9 * UNIT);
    }
}

/* ---------------------------------------------------------------------------------------- peeking */

/* One writes while it has entered, two read under the lock: none ever sees the other in the middle,
 * or what was there before. */
static lasting<rl::var<int>> links;
static void open_peeking()
{
    watches_shelves = true;
    open_tree(1);
    watches_shelves = false;
    links.open(0);
}
static void run_peeking(int index)
{
    for (int i = 0; i < 2; i++) {
        if (index == 0) {
            rn_context_enter(slots[0]);
            (*links)($) = i;
            rn_context_leave(slots[0]);
        } else {
            rn_ledger_lock(ledger);
            rn_context_shut(slots[0]);
            if (rn_ledger_pass_barrier(ledger)) {
                rn_context_await_leave(slots[0]);
                (void)(int)(*links)($);
            }
            rn_context_open(slots[0]);
            rn_ledger_unlock(ledger);
        }
    }
}
static void close_peeking()
{
    links.close();
    close_tree();
}

#endif

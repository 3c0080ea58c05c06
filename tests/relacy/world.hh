/* SPDX-License-Identifier: Apache-2.0
 *
 * What scenarios share: a small tree of pools, and the ghost, which knows what is charged without
 * asking the product. Sizes are single bytes: the protocol does not care, and small numbers meet
 * more often.
 *
 *   low    sum of charges answered OK, less releases that have begun: never more than is charged,
 * so low > limit is an over-commit. Evaluated at every schedule point. high   sum of charges that
 * have begun, less those refused and less releases that have returned: never less than is charged.
 * A refusal is false if high never passed the limit while the ask was under way.
 *
 * An ask that will be refused counts in `high` until then, so scenarios in which somebody asks for
 * more than there is say themselves who must not be refused (must_charge).
 */
#ifndef RATION_TESTS_RELACY_WORLD_HH
#define RATION_TESTS_RELACY_WORLD_HH

/* Who supplies the store-load order: membarrier; the same as Relacy has it; processors visited one
 * by one, after the kernel refused membarrier; nobody, after it refused that too; seq_cst. */
enum ordering { MEMBARRIER, FLUSH_ALL, VISITED, REFUSED, SEQ_CST, ORDERINGS };
enum place { ROOT, FIRST, SECOND, PLACES };

/* An object of Relacy's that lives as long as the simulated execution. */
template <typename T> struct lasting {
    alignas(16) char memory[sizeof(T)];
    T *operator->()
    {
        return (T *)memory;
    }
    T &operator*()
    {
        return *(T *)memory;
    }
    void open(int value)
    {
        ::new (memory) T(value);
    }
    void close()
    {
        ((T *)memory)->~T();
    }
};

struct ghost_words {
    int64_t limit[PLACES];
    int64_t low[PLACES], high[PLACES];
    int64_t peak[shim::THREADS_MAX][PLACES]; /* of `high` while that slot asks */
    bool asks[shim::THREADS_MAX];
    bool judges; /* refusals */
};

static ghost_words ghost;
static ordering ordering_now;
static rn_ledger *ledger;
static ration_pool *pools[PLACES];
static rn_slot *slots[shim::THREADS_MAX];
static place place_of[shim::THREADS_MAX];

/* ------------------------------------------------------------------------------------ the ghost */

static void raise_peaks()
{
    for (int i = 0; i < shim::THREADS_MAX; i++) {
        for (int at = 0; ghost.asks[i] && at < PLACES; at++) {
            ghost.peak[i][at] = RN_MAX(ghost.peak[i][at], ghost.high[at]);
        }
    }
}

static void add_low(int index, int64_t bytes)
{
    ghost.low[ROOT] += bytes;
    ghost.low[place_of[index]] += bytes;
}

static void add_high(int index, int64_t bytes)
{
    ghost.high[ROOT] += bytes;
    ghost.high[place_of[index]] += bytes;
    raise_peaks();
}

static void begin_ask(int index, int64_t bytes)
{
    ghost.asks[index] = true;
    for (int at = 0; at < PLACES; at++) {
        ghost.peak[index][at] = 0;
    }
    add_high(index, bytes);
}

static void end_ask(int index, int64_t bytes, ration_status status)
{
    ghost.asks[index] = false;
    if (status == RATION_OK) {
        add_low(index, bytes);
        require(slots[index]->hot.used <= slots[index]->granted_bytes,
                "committed, and above what was granted");
        return;
    }
    place at = status == RATION_GLOBAL_LIMIT ? ROOT : place_of[index];
    require(!ghost.judges || ghost.peak[index][at] > ghost.limit[at], "a false refusal");
    add_high(index, -bytes);
}

static void look_at_ghost()
{
    for (int at = 0; at < PLACES; at++) {
        require(ghost.low[at] <= ghost.limit[at], "charged above the limit");
    }
}

/* ------------------------------------------------------------------------------ what threads do */

static ration_status charge(int index, int64_t bytes)
{
    begin_ask(index, bytes);
    ration_status status = ration_slot_try_charge(&slots[index]->hot, bytes);
    end_ask(index, bytes, status);
    return status;
}

static void must_charge(int index, int64_t bytes)
{
    ration_status status = charge(index, bytes);
    require(status == RATION_OK, "refused, though the others left room at every instant");
}

static void must_refuse(int index, int64_t bytes)
{
    ration_status status = charge(index, bytes);
    require(status != RATION_OK, "granted, though the others held too much at every instant");
}

static void release(int index, int64_t bytes)
{
    add_low(index, -bytes);
    ration_slot_release(&slots[index]->hot, bytes);
    add_high(index, -bytes);
}

/* Leaves the slot with credit and nothing charged. */
static void prime(int index, int64_t bytes)
{
    must_charge(index, bytes);
    release(index, bytes);
}

static bool watches_shelves; /* the shelves of slots that are opened, and their trees */

/* ------------------------------------------------------------------------------------- the tree */

/* Of blocks, where there are any: shelves.hh. */
static int64_t purge_kept(void *argument, int64_t wanted_bytes);
static void keep_taken(void *argument, ration_pool *pool, void *block, int64_t bytes, bool retain);

static void audit_tree()
{
    char text[200];
    if (!ration_pool_check(pools[ROOT], text, sizeof(text))) {
        rl::ctx().fail_test(text, rl::test_result_user_invariant_failed, $);
    }
}

static void open_pool(place at, place parent, const char *name, int64_t limit, ration_status status)
{
    ghost.limit[at] = limit;
    ration_status opened = rn_pool_open(ledger, at == ROOT ? NULL : pools[parent], name, limit,
                                        status, NULL, &pools[at]);
    require(opened == RATION_OK, "no pool");
}

static void open_slot(int index, place at)
{
    place_of[index] = at;
    ration_status opened = rn_slot_open(pools[at], NULL, &slots[index]);
    require(opened == RATION_OK, "no slot");
}

/* root of 10 bytes -> first, second; `count` slots below `first`. Chunks of 2: a slot may keep 8
 * bytes of credit before a release takes the lock. `unit`: what a byte is, where blocks are. */
static void open_tree_of(int count, int64_t unit)
{
    memset(&ghost, 0, sizeof(ghost));
    memset(slots, 0, sizeof(slots));
    ghost.judges = ordering_now != REFUSED;
    rn_ledger_options options = {};
    options.chunk_bytes_max = 2 * unit;
    options.force_seq_cst = ordering_now == SEQ_CST;
    ration_status opened = rn_ledger_open(&options, &ledger);
    require(opened == RATION_OK, "no ledger");
    require(rn_ledger_uses_membarrier(ledger) == (ordering_now != SEQ_CST), "the wrong ordering");
    open_pool(ROOT, ROOT, "root", 10 * unit, RATION_GLOBAL_LIMIT);
    open_pool(FIRST, ROOT, "first", INT64_MAX, RATION_QUERY_LIMIT);
    open_pool(SECOND, ROOT, "second", INT64_MAX, RATION_QUERY_LIMIT);
    if (unit > 1) {
        rn_ledger_set_purge(ledger, purge_kept, keep_taken, NULL, pools[SECOND]);
    }
    for (int i = 0; i < count; i++) {
        open_slot(i, FIRST);
    }
    shim::audit = audit_tree;
}

static void open_tree(int count)
{
    open_tree_of(count, 1);
}

/* Below a drained pool nobody has credit. */
static void look_for_credit()
{
    for (int i = 0; i < shim::THREADS_MAX; i++) {
        if (slots[i] != NULL && rn_pool_is_drained(rn_slot_pool(slots[i]))) {
            require(slots[i]->granted_bytes == slots[i]->hot.used, "credit left in a drained pool");
        }
    }
}

/* All that was charged is released, by whatever slot; then every pool reads 0. */
static void close_tree()
{
    look_for_credit();
    for (int i = 0; i < shim::THREADS_MAX; i++) {
        if (slots[i] != NULL) {
            rn_slot_close(slots[i]);
        }
    }
    for (int at = SECOND; at >= ROOT; at--) {
        ration_pool_figures figures;
        if (at != ROOT) {
            rn_pool_release(pools[at], ghost.low[at]);
        }
        ration_pool_read(pools[at], &figures);
        require(figures.granted_bytes == figures.claim_bytes, "something is left");
        require(figures.waiting == 0, "somebody waits for ever");
        require(at != ROOT || figures.peak_bytes <= ghost.limit[ROOT], "granted above the limit");
        shim::audit = at == ROOT ? NULL : shim::audit;
        rn_pool_close(pools[at]);
    }
    rn_ledger_close(ledger);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The slot and the other ways to count bytes: rivals_open -> rivals_pairs .. -> rivals_close.
 *
 * Every loop is the same: charge, branch on the answer, release, and nothing kept in registers from
 * one to the next. Each rival compares with a limit, except `empty` (the loop itself) and `plain`
 * (a counter that limits nothing). The slot lies three levels deep; the others have one level,
 * which favours them. */
#include "bench/accounting.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define LIMIT_BYTES (1024 * GIB)
#define REFILL_TURNS 4096
#define GUARD_ROWS 16384

typedef bool charge_function(void *state, int64_t bytes);
typedef void release_function(void *state, int64_t bytes);

ALWAYS_INLINE void run_pairs(charge_function *charge, release_function *release, void *state,
                             int64_t bytes, int64_t turns)
{
    for (; turns > 0; turns--) {
        FORGET(bytes);
        if (RN_UNLIKELY(!charge(state, bytes))) {
            stop_bench("refused, where there is room");
        }
        FORGET(bytes);
        release(state, bytes);
    }
}

/* ---------------------------------------------------------------------------------- the rivals */

ALWAYS_INLINE bool empty_charge(void *state, int64_t bytes)
{
    (void)state;
    (void)bytes;
    return true;
}
ALWAYS_INLINE void empty_release(void *state, int64_t bytes)
{
    (void)state;
    (void)bytes;
}

static __thread int64_t plain_used __attribute__((tls_model("local-exec")));
static __thread int64_t plain_limit __attribute__((tls_model("local-exec"))) = LIMIT_BYTES;

ALWAYS_INLINE bool plain_charge(void *state, int64_t bytes)
{
    (void)state;
    plain_used += bytes;
    return true;
}
ALWAYS_INLINE void plain_release(void *state, int64_t bytes)
{
    (void)state;
    plain_used -= bytes;
}
ALWAYS_INLINE bool limited_charge(void *state, int64_t bytes)
{
    (void)state;
    int64_t after = plain_used + bytes;
    if (RN_UNLIKELY(after > plain_limit)) {
        return false;
    }
    plain_used = after;
    return true;
}

ALWAYS_INLINE bool slot_charge(void *state, int64_t bytes)
{
    return ration_slot_try_charge((ration_slot *)state, bytes) == RATION_OK;
}
ALWAYS_INLINE void slot_release(void *state, int64_t bytes)
{
    ration_slot_release((ration_slot *)state, bytes);
}
ALWAYS_INLINE bool slot_call_charge(void *state, int64_t bytes)
{
    return ration_call_slot_try_charge((ration_slot *)state, bytes) == RATION_OK;
}
ALWAYS_INLINE void slot_call_release(void *state, int64_t bytes)
{
    ration_call_slot_release((ration_slot *)state, bytes);
}

typedef struct line {
    int64_t word __attribute__((aligned(128)));
} line;
static line own_credit[2] = {{LIMIT_BYTES}, {LIMIT_BYTES}};
static line global_used, global_limit = {LIMIT_BYTES};

/* Credit on a line of its own; whoever runs dry may take it with the same instruction. */
ALWAYS_INLINE bool swap_charge(void *state, int64_t bytes)
{
    int64_t *credit = (int64_t *)state;
    int64_t left = rn_load(credit);
    do {
        if (RN_UNLIKELY(left < bytes)) {
            return false;
        }
    } while (!rn_compare_swap(credit, &left, left - bytes));
    return true;
}
ALWAYS_INLINE void swap_release(void *state, int64_t bytes)
{
    int64_t *credit = (int64_t *)state;
    int64_t left = rn_load(credit);
    while (!rn_compare_swap(credit, &left, left + bytes)) {
    }
}

ALWAYS_INLINE bool global_charge(void *state, int64_t bytes)
{
    (void)state;
    if (RN_UNLIKELY(rn_fetch_add(&global_used.word, bytes) + bytes > rn_load(&global_limit.word))) {
        (void)rn_fetch_add(&global_used.word, -bytes);
        return false;
    }
    return true;
}
ALWAYS_INLINE void global_release(void *state, int64_t bytes)
{
    (void)state;
    (void)rn_fetch_add(&global_used.word, -bytes);
}

static struct {
    pthread_mutex_t lock __attribute__((aligned(128)));
    int64_t used;
} guarded = {PTHREAD_MUTEX_INITIALIZER, 0};

ALWAYS_INLINE bool mutex_charge(void *state, int64_t bytes)
{
    (void)state;
    pthread_mutex_lock(&guarded.lock);
    bool fits = guarded.used + bytes <= LIMIT_BYTES;
    guarded.used += fits ? bytes : 0;
    pthread_mutex_unlock(&guarded.lock);
    return fits;
}
ALWAYS_INLINE void mutex_release(void *state, int64_t bytes)
{
    (void)state;
    pthread_mutex_lock(&guarded.lock);
    guarded.used -= bytes;
    pthread_mutex_unlock(&guarded.lock);
}

chunk_counter chunk_global = {0, LIMIT_BYTES};
static __thread int64_t chunk_reserved __attribute__((tls_model("local-exec")));

ALWAYS_INLINE bool chunk_inline_charge(void *state, int64_t bytes)
{
    (void)state;
    return chunk_charge(&chunk_global, &chunk_reserved, bytes);
}
ALWAYS_INLINE void chunk_inline_release(void *state, int64_t bytes)
{
    (void)state;
    chunk_release(&chunk_global, &chunk_reserved, bytes);
}
ALWAYS_INLINE bool chunk_call_charge(void *state, int64_t bytes)
{
    (void)state;
    return chunk_charge_by_call(bytes);
}
ALWAYS_INLINE void chunk_call_release(void *state, int64_t bytes)
{
    (void)state;
    chunk_release_by_call(bytes);
}

#define PAIRS(name)                                                                                \
    static void name##_pairs(void *state, int64_t bytes, int64_t turns)                            \
    {                                                                                              \
        run_pairs(name##_charge, name##_release, state, bytes, turns);                             \
    }
PAIRS(empty)
PAIRS(plain)
PAIRS(slot)
PAIRS(slot_call)
PAIRS(swap)
PAIRS(global)
PAIRS(mutex)
PAIRS(chunk_inline)
PAIRS(chunk_call)

static void limited_pairs(void *state, int64_t bytes, int64_t turns)
{
    run_pairs(limited_charge, plain_release, state, bytes, turns);
}

/* -------------------------------------------------------------------------------- eight in turn */

/* A pair after pair on one counter waits for its own last store, which some processors forward at
 * once and others in 5 cycles, as they guess. Eight counters in turn show the work itself. */
#define SPREAD 8
typedef struct spread {
    void *counters[SPREAD];
} spread;
static __thread line spread_used[SPREAD] __attribute__((tls_model("local-exec")));

ALWAYS_INLINE void run_in_turn(charge_function *charge, release_function *release, void *state,
                               int64_t bytes, int64_t turns)
{
    void **counters = ((spread *)state)->counters;
    for (int64_t i = 0; i < turns; i++) {
        void *counter = counters[i % SPREAD];
        FORGET(bytes);
        if (RN_UNLIKELY(!charge(counter, bytes))) {
            stop_bench("refused, where there is room");
        }
        FORGET(bytes);
        release(counter, bytes);
    }
}

ALWAYS_INLINE bool counter_charge(void *state, int64_t bytes)
{
    ((line *)state)->word += bytes;
    return true;
}
ALWAYS_INLINE bool limited_counter_charge(void *state, int64_t bytes)
{
    int64_t after = ((line *)state)->word + bytes;
    if (RN_UNLIKELY(after > plain_limit)) {
        return false;
    }
    ((line *)state)->word = after;
    return true;
}
ALWAYS_INLINE void counter_release(void *state, int64_t bytes)
{
    ((line *)state)->word -= bytes;
}

static void spread_slot_turns(void *state, int64_t bytes, int64_t turns)
{
    run_in_turn(slot_charge, slot_release, state, bytes, turns);
}
static void spread_plain_turns(void *state, int64_t bytes, int64_t turns)
{
    run_in_turn(counter_charge, counter_release, state, bytes, turns);
}
static void spread_limited_turns(void *state, int64_t bytes, int64_t turns)
{
    run_in_turn(limited_counter_charge, counter_release, state, bytes, turns);
}

/* ------------------------------------------------------------------------- more of what is ours */

/* Each charge is twice a chunk, so that each goes to the lock for it. */
typedef struct refilled {
    ration_slot *slot;
    int64_t turns;
} refilled;

static void refill_turns(void *state, int64_t bytes, int64_t turns)
{
    refilled *self = (refilled *)state;
    for (; turns > 0; turns--) {
        FORGET(bytes);
        must_be_ok(ration_slot_try_charge(self->slot, bytes));
        if (++self->turns == REFILL_TURNS) {
            ration_slot_release(self->slot, bytes * REFILL_TURNS);
            self->turns = 0;
        }
    }
}

typedef struct guarded_rows {
    ration_slot *slot;
    ration_guard guard;
    int64_t rows;
} guarded_rows;

/* Guards of 1 MiB: begun, ended and settled as they say. */
static void guard_turns(void *state, int64_t bytes, int64_t turns)
{
    guarded_rows *self = (guarded_rows *)state;
    for (; turns > 0; turns--) {
        FORGET(bytes);
        must_be_ok(ration_guard_row(&self->guard, bytes));
        if (RN_UNLIKELY(++self->rows == GUARD_ROWS)) {
            ration_guard_end(&self->guard);
            ration_guard_begin(&self->guard, self->slot, "bench.rows");
            self->rows = 0;
        }
    }
}

static void charge_turns(void *state, int64_t bytes, int64_t turns)
{
    run_pairs(slot_charge, empty_release, state, bytes, turns);
}
static void release_turns(void *state, int64_t bytes, int64_t turns)
{
    run_pairs(empty_charge, slot_release, state, bytes, turns);
}

/* ------------------------------------------------------------------------------- open and close */

typedef struct tree {
    rn_ledger *ledger;
    ration_pool *root, *group, *query;
    rn_slot *slot[2];
} tree;

static tree biased, ordered;
static rn_slot *spread_slots[SPREAD];
static spread slots_in_turn, counters_in_turn;
static refilled refills[2];
static guarded_rows rows;
static struct {
    ration_governor *governor;
    ration_query *query;
} host;

static void open_tree(tree *self, bool force_seq_cst)
{
    rn_ledger_options options = {.chunk_bytes_max = CHUNK_BYTES, .force_seq_cst = force_seq_cst};
    must_be_ok(rn_ledger_open(&options, &self->ledger));
    must_be_ok(rn_pool_open(self->ledger, NULL, "root", LIMIT_BYTES, RATION_GLOBAL_LIMIT, NULL,
                            &self->root));
    must_be_ok(rn_pool_open(self->ledger, self->root, "group", LIMIT_BYTES / 2, RATION_GROUP_LIMIT,
                            NULL, &self->group));
    must_be_ok(rn_pool_open(self->ledger, self->group, "query", LIMIT_BYTES / 4, RATION_QUERY_LIMIT,
                            NULL, &self->query));
    for (int i = 0; i < 2; i++) {
        must_be_ok(rn_slot_open(self->query, NULL, &self->slot[i]));
    }
}

static void close_tree(tree *self)
{
    for (int i = 0; i < 2; i++) {
        rn_slot_close(self->slot[i]);
    }
    rn_pool_close(self->query);
    rn_pool_close(self->group);
    rn_pool_close(self->root);
    rn_ledger_close(self->ledger);
}

static void open_host(void)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = LIMIT_BYTES;
    must_be_ok(ration_governor_open(&limits, &host.governor, NULL));
    must_be_ok(ration_query_open(host.governor, NULL, &host.query, NULL));
    must_be_ok(ration_query_slot(host.query, &rows.slot));
    ration_guard_begin(&rows.guard, rows.slot, "bench.rows");
}

static rival pairs[] = {
    {"slot", slot_pairs, {NULL, NULL}},
    {"slot_call", slot_call_pairs, {NULL, NULL}},
    {"slot_seq_cst", slot_pairs, {NULL, NULL}},
    {"empty", empty_pairs, {NULL, NULL}},
    {"plain", plain_pairs, {NULL, NULL}},
    {"plain_limited", limited_pairs, {NULL, NULL}},
    {"own_line_swap", swap_pairs, {&own_credit[0].word, &own_credit[1].word}},
    {"global_atomic", global_pairs, {NULL, NULL}},
    {"mutex", mutex_pairs, {NULL, NULL}},
    {"chunks_call", chunk_call_pairs, {NULL, NULL}},
    {"chunks_inline", chunk_inline_pairs, {NULL, NULL}},
};
static rival spreads[] = {
    {"slot", spread_slot_turns, {&slots_in_turn, NULL}},
    {"plain", spread_plain_turns, {&counters_in_turn, NULL}},
    {"plain_limited", spread_limited_turns, {&counters_in_turn, NULL}},
};
static rival refill = {"refill", refill_turns, {&refills[0], &refills[1]}};
static rival guard_row = {"guard_row", guard_turns, {&rows, NULL}};
static rival counted[] = {
    {"empty", empty_pairs, {NULL, NULL}},           {"plain", plain_pairs, {NULL, NULL}},
    {"plain_limited", limited_pairs, {NULL, NULL}}, {"charge", charge_turns, {NULL, NULL}},
    {"release", release_turns, {NULL, NULL}},
};

void rivals_open(void)
{
    open_tree(&biased, false);
    open_tree(&ordered, true);
    open_host();
    for (int i = 0; i < 2; i++) {
        pairs[0].state[i] = pairs[1].state[i] = &biased.slot[i]->hot;
        pairs[2].state[i] = &ordered.slot[i]->hot;
        refills[i] = (refilled){.slot = &biased.slot[i]->hot};
    }
    for (int i = 0; i < SPREAD; i++) {
        must_be_ok(rn_slot_open(biased.query, NULL, &spread_slots[i]));
        slots_in_turn.counters[i] = &spread_slots[i]->hot;
        counters_in_turn.counters[i] = &spread_used[i];
    }
    for (size_t i = 0; i < RN_COUNT(counted); i++) {
        counted[i].state[0] = &biased.slot[0]->hot;
    }
}

void rivals_close(void)
{
    ration_guard_end(&rows.guard);
    ration_query_close(host.query);
    ration_governor_close(host.governor);
    for (int i = 0; i < SPREAD; i++) {
        rn_slot_close(spread_slots[i]);
    }
    close_tree(&ordered);
    close_tree(&biased);
}

rival *rivals_pairs(size_t *out_count)
{
    *out_count = RN_COUNT(pairs);
    return pairs;
}
rival *rivals_spread(size_t *out_count)
{
    *out_count = RN_COUNT(spreads);
    return spreads;
}
rival *rivals_refill(void)
{
    return &refill;
}
rival *rivals_guard_row(void)
{
    return &guard_row;
}
rival *rivals_counted(size_t *out_count)
{
    *out_count = RN_COUNT(counted);
    return counted;
}

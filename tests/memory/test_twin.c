/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger in lockstep with its twin (twin.h): random operations on a tree of any depth, pools
 * and slots coming and going, and after each of them the answer must be the same - granted, or
 * which pool refused, with the figures of that instant - and so must be what every pool on the way
 * says it has charged. Now and then, all pools, and the audit.
 *
 * Amounts run from nothing to near 2^63; most are about what is just left. One thread: what threads
 * do to each other is in test_stress.c and test_refusal.c. TWIN_SEED=n TWIN_RUN=i replays one run
 * as the failure prints it. */
#include "memory/transfer.h"
#include "tests/memory/twin_pair.h"

#define RUNS 12 /* orderings x chunks x magnitudes */
#define STEPS 200000
/* Released by slots that did not charge it, at most: sums of the ledger are not wider than 2^63. */
#define FOREIGN ((int64_t)1 << 40)
#define LARGEST (INT64_MAX - 64 * FOREIGN)

/* --------------------------------------------------------------------------- slots and charges */

static void charge_some(pair *self)
{
    int slot = any_slot(self);
    if (slot == TWIN_NONE) {
        return;
    }
    int pool = self->model.slots[slot].pool;
    int64_t bytes = amount(self, pool);
    ration_status status = charge(self->slots[slot], bytes);
    expect_answer(self, slot, bytes, status, twin_charge(&self->model, slot, bytes));
    compare_way(self, pool);
}

static bool may_release(const pair *self, int slot, int64_t bytes)
{
    const twin_slot *model = &self->model.slots[slot];
    return bytes <= held_in(self, model->pool) && model->used - bytes >= -FOREIGN / TWIN_SLOTS;
}

/* By this slot, whoever charged it. */
static void release_some(pair *self)
{
    int slot = any_slot(self);
    if (slot == TWIN_NONE) {
        return;
    }
    twin before = self->model;
    int pool = before.slots[slot].pool;
    int64_t own = clamp(before.slots[slot].used);
    int64_t bytes = part_of(self, below(self, 3) == 0 ? held_in(self, pool) : own);
    if (!may_release(self, slot, bytes)) {
        return;
    }
    release(self->slots[slot], bytes);
    self->model.slots[slot].used -= bytes;
    expect(self, twin_settle(&self->model, &before, pool) == TWIN_NONE);
    compare_way(self, pool);
}

/* The most there is, unless the question itself leads past 2^63. */
static void charge_between(pair *self)
{
    int slot = any_slot(self);
    if (slot == TWIN_NONE) {
        return;
    }
    int pool = self->model.slots[slot].pool;
    int64_t at_least = below(self, 2) == 0 ? 0 : amount(self, pool);
    int64_t up_to = rn_add(at_least, amount(self, pool));
    bool sum_exists = self->model.pools[0].charged + up_to <= INT64_MAX &&
                      self->model.slots[slot].used + up_to <= INT64_MAX;
    int64_t charged = -1;
    ration_status status =
        ration_slot_try_charge_between(&self->slots[slot]->hot, at_least, up_to, &charged);
    if (status != RATION_OK) {
        expect(self, charged == -1);
        expect_answer(self, slot, at_least, status, twin_charge(&self->model, slot, at_least));
    } else {
        expect(self, at_least <= charged && charged <= up_to);
        expect(self, charged == up_to || !sum_exists ||
                         !twin_admits(&self->model, slot, (twin_bytes)charged + 1));
        expect_answer(self, slot, charged, status, twin_charge(&self->model, slot, charged));
    }
    compare_way(self, pool);
}

/* Bytes that exist already; few enough that no sum passes 2^63. */
static void charge_unchecked(pair *self)
{
    int slot = any_slot(self);
    if (slot == TWIN_NONE || self->model.pools[0].charged > INT64_MAX / 2) {
        return;
    }
    int pool = self->model.slots[slot].pool;
    int64_t bytes = amount(self, pool);
    bytes = RN_MIN(bytes, INT64_MAX / 8);
    ration_slot_charge(&self->slots[slot]->hot, bytes);
    twin before = self->model;
    if (!twin_admits(&before, slot, bytes)) {
        self->model.slots[slot].used += bytes;
        twin_add_up(&self->model);
        for (int i = pool; i != TWIN_NONE; i = self->model.pools[i].parent) {
            self->model.pools[i].unchecked +=
                self->model.pools[i].charged - before.pools[i].charged;
        }
    } else {
        expect(self, twin_charge(&self->model, slot, bytes) == TWIN_NONE);
    }
    compare_way(self, pool);
}

static void prepay_or_draw(pair *self)
{
    int slot = any_slot(self);
    if (slot == TWIN_NONE) {
        return;
    }
    twin_slot *model = &self->model.slots[slot];
    int pool = model->pool;
    int64_t bytes = amount(self, pool);
    int full = TWIN_NONE;
    if (below(self, 2) == 0) {
        int64_t missing = bytes - model->advance;
        if (missing < 0 && !may_release(self, slot, -missing)) {
            return; /* what it paid ahead was released meanwhile */
        }
        ration_status status = rn_slot_prepay(self->slots[slot], bytes);
        full = twin_charge(&self->model, slot, missing);
        expect_answer(self, slot, missing, status, full);
        model->advance = full == TWIN_NONE ? bytes : model->advance;
    } else {
        ration_status status = rn_slot_draw(self->slots[slot], bytes);
        if (bytes <= model->advance) {
            expect(self, status == RATION_OK);
            model->advance -= bytes;
        } else {
            full = twin_charge(&self->model, slot, bytes);
            expect_answer(self, slot, bytes, status, full);
        }
    }
    expect(self, self->slots[slot]->advance_bytes == model->advance);
    compare_way(self, pool);
}

static void open_a_slot(pair *self)
{
    int slot = (int)below(self, TWIN_SLOTS);
    if (self->model.slots[slot].open) {
        return;
    }
    int pool = any_pool(self);
    self->slots[slot] = open_slot(self->pools[pool]);
    self->model.slots[slot] = (twin_slot){.open = true, .pool = pool};
    compare_way(self, pool);
}

static void close_a_slot(pair *self)
{
    int slot = any_slot(self);
    if (slot == TWIN_NONE || self->model.pools[self->model.slots[slot].pool].direct < -FOREIGN) {
        return;
    }
    twin_slot *model = &self->model.slots[slot];
    rn_slot_close(self->slots[slot]);
    self->model.pools[model->pool].direct += model->used;
    model->open = false;
    twin_add_up(&self->model);
    compare_way(self, model->pool);
}

/* ---------------------------------------------------------------------------------------- pools */

static void open_pool(pair *self, int i, int parent, int64_t limit)
{
    static const ration_status statuses[] = {RATION_GLOBAL_LIMIT, RATION_GROUP_LIMIT,
                                             RATION_QUERY_LIMIT, RATION_DATA_LIMIT};
    char name[16];
    (void)snprintf(name, sizeof name, "p%d", i);
    self->statuses[i] = statuses[i % 4];
    ration_pool *above = parent == TWIN_NONE ? NULL : self->pools[parent];
    expect(self, rn_pool_open(self->ledger, above, name, limit, self->statuses[i], NULL,
                              &self->pools[i]) == RATION_OK);
    self->model.pools[i] = (twin_pool){.open = true, .parent = parent, .limit = limit};
}

static int64_t some_limit(pair *self)
{
    return below(self, 3) == 0 ? INT64_MAX : magnitude(self);
}

static void open_a_pool(pair *self)
{
    int i = (int)below(self, TWIN_POOLS);
    if (!self->model.pools[i].open) {
        int parent = any_pool(self);
        open_pool(self, i, parent, some_limit(self));
        compare_way(self, i);
    }
}

static bool is_leaf(const pair *self, int pool)
{
    bool leaf = true;
    for (int i = 0; i < TWIN_POOLS; i++) {
        leaf = leaf && !(self->model.pools[i].open && self->model.pools[i].parent == pool);
    }
    for (int i = 0; i < TWIN_SLOTS; i++) {
        leaf = leaf && !(self->model.slots[i].open && self->model.slots[i].pool == pool);
    }
    return leaf;
}

/* With a claim, and what slots left behind. */
static void close_a_pool(pair *self)
{
    int i = any_pool(self);
    if (i == 0 || !is_leaf(self, i)) {
        return;
    }
    int parent = self->model.pools[i].parent;
    expect(self, rn_pool_sweep(self->pools[i]) == self->model.pools[i].direct);
    rn_pool_close(self->pools[i]);
    self->model.pools[i] = (twin_pool){.open = false, .parent = TWIN_NONE};
    twin_add_up(&self->model);
    compare_way(self, parent);
}

static void set_limit(pair *self)
{
    int i = any_pool(self);
    twin_pool *model = &self->model.pools[i];
    int64_t charged = clamp(model->charged);
    int64_t limit = some_limit(self);
    switch (below(self, 4)) {
    case 0:
        limit = charged;
        break;
    case 1:
        limit = rn_add(charged, magnitude(self));
        break;
    case 2:
        limit = clamp(model->charged - magnitude(self));
        break;
    default:
        break;
    }
    limit = i == 0 ? RN_MIN(limit, LARGEST) : limit;
    rn_pool_set_limit(self->pools[i], limit);
    model->limit = limit;
    compare_way(self, i);
    expect(self, limit >= charged || read_pool(self->pools[i]).credit_bytes == 0);
}

/* A claim that grows must be possible, and finds no pool above its limit; one that does not grow is
 * never refused. */
static int model_claim(twin *model, int i, int64_t bytes)
{
    twin before = *model;
    bool grows = bytes > before.pools[i].claim;
    model->pools[i].claim = bytes;
    twin_add_up(model);
    for (int at = i; at != TWIN_NONE && grows; at = model->pools[at].parent) {
        bool fits = at != i || (bytes <= before.pools[i].limit &&
                                model->pools[i].charged <= before.pools[i].limit);
        if (!fits || before.pools[at].charged > before.pools[at].limit) {
            *model = before;
            model->pools[at].refusals += 1;
            return at;
        }
    }
    return twin_settle(model, &before, i);
}

static void claim(pair *self)
{
    int i = any_pool(self);
    int64_t bytes = below(self, 3) == 0 ? 0 : amount(self, i);
    int full = model_claim(&self->model, i, bytes);
    rn_no no;
    expect(self, rn_pool_try_claim(self->pools[i], bytes, &no) == (full == TWIN_NONE));
    if (full != TWIN_NONE) {
        expect_no(self, &no, full, full == i ? bytes : -1);
    }
    compare_way(self, i);
}

static void set_parent(pair *self)
{
    int i = any_pool(self);
    int parent = any_pool(self);
    if (i == 0 || twin_is_below(&self->model, parent, i)) {
        return;
    }
    twin before = self->model;
    int old = before.pools[i].parent;
    self->model.pools[i].parent = parent;
    int full = twin_settle(&self->model, &before, parent);
    rn_no no;
    expect(self,
           rn_pool_set_parent(self->pools[i], self->pools[parent], &no) == (full == TWIN_NONE));
    if (full != TWIN_NONE) {
        expect_no(self, &no, full, clamp(self->model.pools[i].charged));
    }
    compare_way(self, old);
    compare_way(self, i);
}

static void recall(pair *self)
{
    int i = any_pool(self);
    int64_t credit = read_pool(self->pools[i]).credit_bytes;
    int64_t home = rn_pool_recall(self->pools[i]);
    expect(self, home >= credit); /* credit within a claim was no credit of the pool */
    expect(self, read_pool(self->pools[i]).credit_bytes == 0);
    compare_way(self, i);
}

/* ---------------------------------------------------------------------------- charged to a pool */

static void charge_pool(pair *self)
{
    int i = any_pool(self);
    int64_t bytes = amount(self, i);
    twin before = self->model;
    self->model.pools[i].direct += bytes;
    int full = twin_settle(&self->model, &before, i);
    rn_no no;
    expect(self, rn_pool_try_charge_or(self->pools[i], bytes, &no) == (full == TWIN_NONE));
    if (full != TWIN_NONE) {
        expect_no(self, &no, full, bytes);
    }
    compare_way(self, i);
}

static void release_pool(pair *self)
{
    int i = any_pool(self);
    int64_t bytes = part_of(self, RN_MIN(clamp(self->model.pools[i].direct), held_in(self, i)));
    rn_pool_release(self->pools[i], bytes);
    self->model.pools[i].direct -= bytes;
    twin_add_up(&self->model);
    compare_way(self, i);
}

static void hand_over(pair *self)
{
    int slot = any_slot(self);
    if (slot == TWIN_NONE) {
        return;
    }
    int from = self->model.slots[slot].pool;
    int to = any_pool(self);
    int64_t used = clamp(self->model.slots[slot].used);
    int64_t bytes = part_of(self, RN_MIN(used, held_in(self, from)));
    twin before = self->model;
    self->model.slots[slot].used -= bytes;
    self->model.pools[to].direct += bytes;
    int full = twin_settle(&self->model, &before, to);
    ration_status status = rn_slot_hand_to_pool(self->slots[slot], self->pools[to], bytes);
    expect_answer(self, slot, bytes, status, full);
    compare_way(self, from);
    compare_way(self, to);
}

/* It neither recalls nor purges: so nothing is there to be recalled. */
static void take_over(pair *self)
{
    int slot = any_slot(self);
    if (slot == TWIN_NONE) {
        return;
    }
    int to = self->model.slots[slot].pool;
    int from = any_pool(self);
    int64_t direct = clamp(self->model.pools[from].direct);
    int64_t bytes = part_of(self, RN_MIN(direct, held_in(self, from)));
    twin before = self->model;
    if (before.slots[slot].used + bytes > INT64_MAX) {
        return;
    }
    self->model.slots[slot].used += bytes;
    self->model.pools[from].direct -= bytes;
    int full = twin_settle(&self->model, &before, to);
    rn_ledger_lock(self->ledger);
    (void)rn_pool_drain(self->pools[0]);
    bool taken = rn_slot_take_over(self->slots[slot], self->pools[from], bytes);
    rn_ledger_unlock(self->ledger);
    expect(self, taken == (full == TWIN_NONE));
    if (full != TWIN_NONE) {
        self->model.pools[full].refusals -= 1; /* nobody was told */
    }
    compare_way(self, from);
    compare_way(self, to);
}

/* ----------------------------------------------------------------------------------------- runs */

typedef struct operation {
    const char *name;
    void (*run)(pair *self);
    int weight;
} operation;

static const operation operations[] = {
    {"charge_some", charge_some, 30},
    {"release_some", release_some, 30},
    {"charge_between", charge_between, 5},
    {"charge_unchecked", charge_unchecked, 1},
    {"prepay_or_draw", prepay_or_draw, 5},
    {"open_a_slot", open_a_slot, 4},
    {"close_a_slot", close_a_slot, 2},
    {"open_a_pool", open_a_pool, 2},
    {"close_a_pool", close_a_pool, 4},
    {"set_limit", set_limit, 3},
    {"claim", claim, 3},
    {"set_parent", set_parent, 2},
    {"recall", recall, 1},
    {"charge_pool", charge_pool, 4},
    {"release_pool", release_pool, 6},
    {"hand_over", hand_over, 3},
    {"take_over", take_over, 3},
};

static void step(pair *self)
{
    int total = 0;
    for (size_t i = 0; i < RN_COUNT(operations); i++) {
        total += operations[i].weight;
    }
    int chosen = (int)below(self, (uint64_t)total);
    const operation *at = operations;
    for (; chosen >= at->weight; at++) {
        chosen -= at->weight;
    }
    self->doing = at->name;
    at->run(self);
}

static void close_everything(pair *self)
{
    self->doing = "close_everything";
    for (int i = 0; i < TWIN_SLOTS; i++) {
        if (self->model.slots[i].open) {
            rn_slot_close(self->slots[i]);
            self->model.pools[self->model.slots[i].pool].direct += self->model.slots[i].used;
            self->model.slots[i].open = false;
        }
    }
    twin_add_up(&self->model);
    compare_all(self);
    for (bool found = true; found;) {
        found = false;
        for (int i = TWIN_POOLS - 1; i >= 0; i--) {
            if (self->model.pools[i].open && is_leaf(self, i)) {
                expect(self, rn_pool_sweep(self->pools[i]) == self->model.pools[i].direct);
                rn_pool_close(self->pools[i]);
                self->model.pools[i].open = false;
                found = true;
            }
        }
    }
    rn_ledger_close(self->ledger);
    ck_assert_int_eq(rn_heap_bytes(), 0);
    ck_assert_int_eq(rn_faults(), 0);
}

START_TEST(test_twin__every_answer_is_the_same)
{
    static const int64_t chunks[] = {0, 4 * KIB, MIB};
    static const int bits[] = {13, 40, 62, 27};
    const char *only = getenv("TWIN_RUN");
    const char *seed = getenv("TWIN_SEED");
    if (only != NULL && atoi(only) != _i) {
        return;
    }
    pair self = {.run = _i, .doing = "opening", .bits = bits[_i % 4]};
    self.seed = seed != NULL ? strtoull(seed, NULL, 10) : UINT64_C(20261121) + (uint64_t)_i;
    printf("run %d: seed=%llu replay: TWIN_RUN=%d TWIN_SEED=%llu\n", _i,
           (unsigned long long)self.seed, _i, (unsigned long long)self.seed);
    rn_ledger_options options = {.chunk_bytes_max = chunks[_i % 3], .force_seq_cst = _i % 2 != 0};
    ck_assert_int_eq(rn_ledger_open(&options, &self.ledger), RATION_OK);
    for (int i = 0; i < TWIN_POOLS; i++) {
        self.model.pools[i].parent = TWIN_NONE;
    }
    open_pool(&self, 0, TWIN_NONE, RN_MIN(INT64_MAX >> (62 - self.bits), LARGEST));
    int64_t steps = scaled(is_long() ? 20 * STEPS : STEPS);
    for (; self.step < steps; self.step++) {
        step(&self);
        if (self.step % 64 == 0) {
            twin_trim_unchecked(&self.model);
            compare_all(&self);
        }
    }
    printf("%lld steps, %lld granted, %lld refused\n", (long long)steps, (long long)self.granted,
           (long long)self.refused);
    ck_assert_int_gt(self.granted, steps / 100);
    ck_assert_int_gt(self.refused, steps / 100);
    close_everything(&self);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *tests = tcase_create("twin");
    tcase_add_loop_test(tests, test_twin__every_answer_is_the_same, 0, RUNS);
    tcase_set_timeout(tests, 600);
    Suite *suite = suite_create("memory/twin");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

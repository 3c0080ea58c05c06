/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue against a model that is a list of tickets and sums of integers: no credit, no flags, no
 * words kept up to date. After each of many random steps over three levels of pools and 12 slots
 * both say the same of every ticket, who was woken in which order, and what every pool has charged;
 * and the invariants of queue.c hold. Both orderings (_i % 2), with and without credit (_i / 2). */
#include "tests/memory/queue_world.h"

#define POOLS 7  /* root, queries, others, and two pairs of leaves */
#define LEAVES 3 /* the first of them */
#define SLOTS 12
#define LIMIT 3000
#define STEPS 400000       /* under seq_cst ordering .. */
#define STEPS_FENCED 50000 /* .. and where each recall is a system call */

typedef struct model_pool {
    int parent; /* -1 = none */
    int64_t limit, claim, givers;
} model_pool;

typedef struct model_slot {
    int pool;
    int64_t used, bytes;
    rn_ticket_state state;
    int blocked; /* pool; -1 = not in the queue */
} model_slot;

typedef struct play {
    fixture world;
    ration_pool *pools[POOLS];
    rn_slot *slots[SLOTS];
    bell bells[SLOTS];
    model_pool model[POOLS];
    model_slot model_slots[SLOTS];
    int queue[SLOTS], waiting;
    int woken[4 * SLOTS], wakes;  /* as the model says, of this step */
    int called[4 * SLOTS], calls; /* as they came */
    uint64_t seed;
} play;

static play *on; /* the play that rings */

/* ---------------------------------------------------------------------------------------- model */

/* Of every pool: the greater of its claim and what is below it. Parents come before children. */
static void count_granted(const play *it, int64_t *granted)
{
    memset(granted, 0, POOLS * sizeof *granted);
    for (int i = 0; i < SLOTS; i++) {
        const model_slot *slot = &it->model_slots[i];
        bool promised = slot->state == RN_TICKET_GRANTED;
        granted[slot->pool] += slot->used + (promised ? slot->bytes : 0);
    }
    for (int pool = POOLS - 1; pool >= 0; pool--) {
        granted[pool] = RN_MAX(granted[pool], it->model[pool].claim);
        if (pool > 0) {
            granted[it->model[pool].parent] += granted[pool];
        }
    }
}

/* What `bytes` more at the pool of `slot` add to each pool on the way is the difference of two
 * sums. `before` tickets of the queue are older. Answers the pool that blocks, or -1. */
static int find_block(play *it, int slot, int64_t bytes, int before)
{
    int64_t without[POOLS], with[POOLS];
    model_slot *own = &it->model_slots[slot];
    count_granted(it, without);
    own->used += bytes;
    count_granted(it, with);
    own->used -= bytes;
    for (int pool = own->pool; pool >= 0; pool = it->model[pool].parent) {
        if (with[pool] == without[pool]) {
            return -1; /* a claim covers it */
        }
        bool taken = false;
        for (int i = 0; i < before; i++) {
            taken |= it->model_slots[it->queue[i]].blocked == pool;
        }
        if (taken || with[pool] > it->model[pool].limit) {
            return pool;
        }
    }
    return -1;
}

static int find_place(const play *it, int slot)
{
    int place = 0;
    while (place < it->waiting && it->queue[place] != slot) {
        place++;
    }
    return place;
}

static void take_out(play *it, int slot)
{
    int place = find_place(it, slot);
    if (place < it->waiting) {
        it->waiting -= 1;
        for (int i = place; i < it->waiting; i++) {
            it->queue[i] = it->queue[i + 1];
        }
    }
    it->model_slots[slot].blocked = -1;
    it->model_slots[slot].state = RN_TICKET_NONE;
}

static void wake(play *it, int slot, rn_ticket_state state)
{
    if (it->model_slots[slot].state == RN_TICKET_WAITING) {
        it->woken[it->wakes++] = slot;
    }
    it->model_slots[slot].state = state;
}

/* Grants from the oldest on until nothing changes, then tells the oldest whom nobody can help. */
static void move_queue(play *it)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < it->waiting; i++) {
            int slot = it->queue[i];
            model_slot *own = &it->model_slots[slot];
            int block = find_block(it, slot, own->bytes, i);
            changed |= block != own->blocked;
            own->blocked = block;
            if (block < 0) {
                rn_ticket_state state = own->state;
                take_out(it, slot);
                own->state = state;
                wake(it, slot, RN_TICKET_GRANTED);
                i -= 1;
            }
        }
    }
    bool seen[POOLS] = {false};
    for (int i = 0; i < it->waiting; i++) {
        int pool = it->model_slots[it->queue[i]].blocked;
        int64_t givers = 0;
        for (int at = LEAVES; at < POOLS; at++) {
            bool below = pool == at || pool == it->model[at].parent || pool == 0;
            givers += below ? it->model[at].givers : 0;
        }
        if (!seen[pool] && givers == 0) {
            wake(it, it->queue[i], RN_TICKET_AGAIN);
        }
        seen[pool] = true;
    }
}

/* ---------------------------------------------------------------------------------------- steps */

static int64_t roll(play *it, int64_t bound)
{
    return (int64_t)rn_random_below(&it->seed, (uint64_t)bound);
}

static void note_call(void *argument)
{
    on->called[on->calls++] = (int)((bell *)argument - on->bells);
}

/* An ask that queues when it must; a try (`queues` false) is refused then. */
static void step_ask(play *it, int i, int64_t bytes, bool queues)
{
    model_slot *own = &it->model_slots[i];
    rn_slot *slot = it->slots[i];
    if (own->state == RN_TICKET_GRANTED) {
        return;
    }
    bool waited = own->state != RN_TICKET_NONE;
    int block = find_block(it, i, bytes, waited ? find_place(it, i) : it->waiting);
    if (!queues && !waited) {
        ck_assert_int_eq(charge(slot, bytes) == RATION_OK, block < 0);
        if (block >= 0) {
            ck_assert_ptr_eq(slot->no.pool, it->pools[block]);
            ck_assert_int_eq(slot->no.waiting, rn_load(&it->pools[block]->waiting));
        }
        own->used += block < 0 ? bytes : 0;
        return;
    }
    ck_assert_int_eq(ask(slot, bytes), block < 0);
    if (block < 0) {
        take_out(it, i);
        own->used += bytes;
        return;
    }
    if (!waited) {
        it->queue[it->waiting++] = i;
    }
    own->state = RN_TICKET_WAITING;
    own->bytes = bytes;
    own->blocked = block;
}

static void step_release(play *it, int i)
{
    model_slot *own = &it->model_slots[i];
    int64_t bytes = roll(it, own->used + 1);
    release(it->slots[i], bytes);
    own->used -= bytes;
}

static void step_finish(play *it, int i)
{
    model_slot *own = &it->model_slots[i];
    if (own->state == RN_TICKET_GRANTED && roll(it, 3) > 0) {
        ck_assert(ask(it->slots[i], own->bytes));
        own->used += own->bytes;
    } else if (roll(it, 2) > 0) {
        leave(it->slots[i]);
    } else { /* close, charging nothing then, and come back as another */
        release(it->slots[i], own->used);
        own->used = 0;
        move_queue(it);
        rn_slot_close(it->slots[i]);
        it->slots[i] = open_slot(it->pools[own->pool]);
        it->bells[i].slot = it->slots[i];
        rn_ticket_on_wake(it->slots[i], note_call, &it->bells[i]);
    }
    take_out(it, i);
}

static void step_limit(play *it)
{
    int pool = (int)roll(it, POOLS);
    int64_t full = pool == 0 ? LIMIT : pool < LEAVES ? LIMIT * 2 / 3 : LIMIT / 2;
    it->model[pool].limit = roll(it, 4) == 0 ? roll(it, full) : full;
    rn_pool_set_limit(it->pools[pool], it->model[pool].limit);
}

/* Does somebody wait at the pool? */
static bool is_waited_at(const play *it, int pool)
{
    bool waits = false;
    for (int i = 0; i < it->waiting; i++) {
        waits |= it->model_slots[it->queue[i]].blocked == pool;
    }
    return waits;
}

/* May the change from `before` to now be: do limits on the way from `pool`, and those who wait
 * above it, allow what is more? */
static bool may_change(const play *it, const int64_t *before, int pool, int own)
{
    int64_t now[POOLS];
    count_granted(it, now);
    for (; pool >= 0; pool = it->model[pool].parent) {
        bool blocked = now[pool] > it->model[pool].limit || (pool != own && is_waited_at(it, pool));
        if (now[pool] > before[pool] && blocked) {
            return false;
        }
    }
    return true;
}

/* A larger claim keeps what others need: it is refused where somebody waits on its way, or a pool
 * there is above its limit, or would be. */
static bool may_claim(const play *it, const int64_t *before, int pool, int64_t bytes)
{
    bool may = bytes <= it->model[pool].limit;
    for (int at = pool; at >= 0; at = it->model[at].parent) {
        may = may && !is_waited_at(it, at) && before[at] <= it->model[at].limit;
    }
    return may;
}

static void step_claim(play *it)
{
    rn_no no;
    int64_t before[POOLS];
    int pool = (int)roll(it, POOLS);
    int64_t old = it->model[pool].claim;
    int64_t bytes = roll(it, 2) == 0 ? 0 : roll(it, LIMIT / 6);
    count_granted(it, before);
    it->model[pool].claim = bytes;
    bool may =
        bytes <= old || (may_claim(it, before, pool, bytes) && may_change(it, before, pool, pool));
    ck_assert_int_eq(rn_pool_try_claim(it->pools[pool], bytes, &no), may);
    it->model[pool].claim = may ? bytes : old;
}

static void step_move(play *it)
{
    rn_no no;
    int64_t before[POOLS];
    int pool = LEAVES + (int)roll(it, POOLS - LEAVES);
    int parent = 1 + (int)roll(it, LEAVES - 1);
    int old = it->model[pool].parent;
    count_granted(it, before);
    it->model[pool].parent = parent;
    bool may = may_change(it, before, parent, -1);
    it->model[pool].parent = may ? parent : old;
    ck_assert_int_eq(rn_pool_set_parent(it->pools[pool], it->pools[parent], &no), may);
}

static void step_giver(play *it)
{
    int pool = LEAVES + (int)roll(it, POOLS - LEAVES);
    int64_t givers = roll(it, 2);
    count_givers(it->pools[pool], givers - it->model[pool].givers);
    it->model[pool].givers = givers;
}

static void take_step(play *it)
{
    int i = (int)roll(it, SLOTS);
    int64_t kind = roll(it, 100);
    int64_t bytes = 1 + roll(it, roll(it, 20) == 0 ? LIMIT : 400);
    if (kind < 30) {
        step_ask(it, i, bytes, true);
    } else if (kind < 45) {
        step_ask(it, i, bytes, false);
    } else if (kind < 75) {
        step_release(it, i);
    } else if (kind < 85) {
        step_finish(it, i);
    } else if (kind < 89) {
        step_limit(it);
    } else if (kind < 92) {
        step_claim(it);
    } else if (kind < 94) {
        step_move(it);
    } else {
        step_giver(it);
    }
}

/* ---------------------------------------------------------------------------------------- agree */

static void expect_same(play *it)
{
    must(it->calls == it->wakes);
    for (int i = 0; i < it->wakes; i++) {
        must(it->called[i] == it->woken[i]);
    }
    for (int i = 0; i < SLOTS; i++) {
        const model_slot *own = &it->model_slots[i];
        must(rn_ticket_read(it->slots[i]) == own->state);
        must(rn_slot_used(it->slots[i]) == own->used);
        ration_pool *pool = own->blocked < 0 ? NULL : it->pools[own->blocked];
        must(blocked_at(it->slots[i]) == pool);
    }
    const rn_slot *slot = rn_queue_first(it->world.ledger);
    for (int i = 0; i < it->waiting; i++, slot = rn_queue_next(slot)) {
        must(slot == it->slots[it->queue[i]]);
    }
    must(slot == NULL);
    int64_t granted[POOLS];
    count_granted(it, granted);
    for (int pool = 0; pool < POOLS; pool++) {
        ration_pool_figures figures = read_pool(it->pools[pool]);
        must(figures.charged_bytes == granted[pool]);
        must(figures.granted_bytes <= figures.limit_bytes || figures.credit_bytes == 0);
    }
}

static void open_play(play *it, bool seq_cst, int64_t chunk_bytes)
{
    fixture *world = &it->world;
    *world = fixture_open(LIMIT, LIMIT / 2, chunk_bytes, seq_cst);
    ration_pool **others = &it->pools[2];
    const struct {
        ration_pool **parent, **pool;
    } more[] = {{&world->root, others}, {others, &it->pools[5]}, {others, &it->pools[6]}};
    for (size_t i = 0; i < RN_COUNT(more); i++) {
        ck_assert_int_eq(rn_pool_open(world->ledger, *more[i].parent, "more", LIMIT / 2,
                                      RATION_GROUP_LIMIT, NULL, more[i].pool),
                         RATION_OK);
    }
    it->pools[0] = world->root;
    it->pools[1] = world->queries;
    it->pools[3] = world->first;
    it->pools[4] = world->second;
    static const int parents[POOLS] = {-1, 0, 0, 1, 1, 2, 2};
    for (int i = 0; i < POOLS; i++) {
        it->model[i] = (model_pool){.parent = parents[i], .limit = rn_pool_limit(it->pools[i])};
    }
    for (int i = 0; i < SLOTS; i++) {
        it->model_slots[i] = (model_slot){.pool = LEAVES + i % (POOLS - LEAVES), .blocked = -1};
        it->slots[i] = open_slot(it->pools[it->model_slots[i].pool]);
        it->bells[i].slot = it->slots[i];
        rn_ticket_on_wake(it->slots[i], note_call, &it->bells[i]);
    }
}

static void close_play(play *it)
{
    rn_no no;
    for (int i = 0; i < SLOTS; i++) {
        release(it->slots[i], it->model_slots[i].used);
        rn_slot_close(it->slots[i]);
    }
    for (int i = 0; i < POOLS; i++) {
        ck_assert(rn_pool_try_claim(it->pools[i], 0, &no));
    }
    rn_pool_close(it->pools[5]);
    rn_pool_close(it->pools[6]);
    ck_assert(rn_pool_set_parent(it->world.first, it->world.queries, &no));
    ck_assert(rn_pool_set_parent(it->world.second, it->world.queries, &no));
    rn_pool_close(it->pools[2]);
    fixture_close(&it->world);
}

START_TEST(test_queue__agrees_with_the_model)
{
    static play it;
    const char *given = getenv("RATION_SEED");
    it.seed = given != NULL ? strtoull(given, NULL, 0) : 1000 + (uint64_t)_i;
    printf("seed=%llu\n", (unsigned long long)it.seed);
    open_play(&it, _i % 2 != 0, _i / 2 != 0 ? 64 : 0);
    on = &it;
    int64_t slept = 0;
    int64_t steps = it.slots[0]->hot.ordering == 0 ? STEPS_FENCED : STEPS;
    steps /= getenv("CK_TIMEOUT_MULTIPLIER") != NULL ? 20 : 1; /* under valgrind */
    for (int64_t step = 0; step < steps; step++) {
        it.calls = it.wakes = 0;
        take_step(&it);
        move_queue(&it);
        expect_same(&it);
        expect_queue(&it.world);
        slept += it.waiting;
    }
    ck_assert_int_gt(slept, steps); /* else little of it was about waiting */
    close_play(&it);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *plays = tcase_create("plays");
    tcase_add_loop_test(plays, test_queue__agrees_with_the_model, 0, 4);
    tcase_set_timeout(plays, 240);
    Suite *suite = suite_create("memory/queue random");
    suite_add_tcase(suite, plays);
    return run_suite(suite);
}

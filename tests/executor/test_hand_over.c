/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of a guard handed to a pool or a context: the sum stays, limits hold, refusals are true. */
#include "tests/executor/governor_world.h"

static ration_context *create_context(ration_context *parent, ration_slot *slot)
{
    ration_context *context;
    ck_assert_int_eq(ration_context_create(parent, slot, RATION_CONTEXT_BUMP, "keeper", &context),
                     RATION_OK);
    return context;
}

START_TEST(test_hand_over__to_a_pool_outlives_guard_and_query)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_pool *data = ration_governor_data(governor), *root = ration_governor_root(governor);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    RATION_GUARD(guard, slot, "cache");
    ck_assert_int_eq(ration_guard_row(&guard, 1000), RATION_OK);
    ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 300, data), RATION_OK);
    ck_assert_int_eq(guard.held_bytes, 700);
    ck_assert_int_eq(charged(root), 1000);
    ck_assert_int_eq(charged(data), 300);
    ck_assert_int_eq(charged(ration_query_pool(query)), 700);
    ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 700, data), RATION_OK);
    check_audit(governor);
    ration_guard_end(&guard);
    ration_query_close(query);
    ck_assert_int_eq(charged(data), 1000);
    ck_assert_int_eq(charged(root), 1000);
    ration_pool_release(data, 400);
    ck_assert_int_eq(charged(root), 600);
    ration_pool_release(data, 600);
    close_and_check(governor);
}
END_TEST

/* What was handed to a query's pool and not given back goes with the query. */
START_TEST(test_hand_over__to_a_query_ends_with_it)
{
    ration_governor *governor = open_governor(MIB, 0);
    ration_slot *slot, *other_slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ration_query *other = open_query(governor, NULL, &other_slot);
    RATION_GUARD(guard, slot, "result");
    ck_assert_int_eq(ration_guard_row(&guard, 1000), RATION_OK);
    ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 600, ration_query_pool(other)), RATION_OK);
    ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 100, ration_query_pool(query)), RATION_OK);
    ck_assert_int_eq(charged(ration_query_pool(other)), 600);
    ck_assert_int_eq(charged(ration_query_pool(query)), 400);
    ration_pool_release(ration_query_pool(other), 50);
    ration_guard_end(&guard);
    ck_assert_int_eq(charged(ration_query_pool(query)), 100);
    ration_query_close(query);
    ck_assert_int_eq(charged(ration_governor_queries(governor)), 550);
    ration_query_close(other);
    close_and_check(governor);
}
END_TEST

/* The pools that both ways share are full to the byte: the move needs nothing of them. */
START_TEST(test_hand_over__asks_only_the_new_way)
{
    ration_governor *governor = open_governor(100000, 0);
    ration_query_options small = {.size = sizeof small, .limit_bytes = 5000};
    ration_slot *slot, *small_slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ration_query *other = open_query(governor, &small, &small_slot);
    ration_pool *pool = ration_query_pool(other);
    RATION_GUARD(guard, slot, "moved");
    ck_assert_int_eq(ration_guard_row(&guard, 99000), RATION_OK);
    ck_assert_int_eq(ration_slot_try_charge(small_slot, 1000), RATION_OK);
    ck_assert_int_eq(charged(ration_governor_root(governor)), 100000);
    ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 4001, pool), RATION_QUERY_LIMIT);
    ck_assert_int_eq(guard.held_bytes, 99000);
    ck_assert_int_eq(charged(pool), 1000);
    ration_refusal refusal;
    ck_assert(ration_query_refusal(query, &refusal));
    ck_assert_str_eq(refusal.pool, "root/queries/q2");
    ck_assert_str_eq(refusal.site, "moved");
    ck_assert_str_eq(refusal.query, "q1");
    ck_assert_int_eq(refusal.asked_bytes, 4001);
    ck_assert_int_eq(refusal.charged_bytes, 1000);
    ck_assert_int_eq(refusal.limit_bytes, 5000);
    ck_assert(!ration_query_refusal(other, &refusal));
    ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 4000, pool), RATION_OK);
    ck_assert_int_eq(charged(pool), 5000);
    ck_assert_int_eq(charged(ration_governor_root(governor)), 100000);
    check_audit(governor);
    ration_guard_end(&guard);
    ration_pool_release(pool, 4000);
    ration_slot_release(small_slot, 1000);
    ration_query_close(query);
    ration_query_close(other);
    close_and_check(governor);
}
END_TEST

/* Idle credit on the new way is recalled before a refusal, as for a charge. */
START_TEST(test_hand_over__credit_is_never_the_reason_of_a_refusal)
{
    support_skip_hard("slots take exact bytes, there is no credit");
    ration_governor *governor = open_governor(100 * MIB, 0);
    ration_query_options small = {.size = sizeof small, .limit_bytes = 8 * MIB};
    ration_slot *slot, *idle;
    ration_query *query = open_query(governor, NULL, &slot);
    ration_query *other = open_query(governor, &small, &idle);
    ration_pool *pool = ration_query_pool(other);
    ck_assert_int_eq(ration_slot_try_charge(idle, 64), RATION_OK);
    ration_pool_figures figures;
    ration_pool_read(pool, &figures);
    ck_assert_int_gt(figures.credit_bytes, 0);
    RATION_GUARD(guard, slot, "moved");
    ck_assert_int_eq(ration_guard_row(&guard, 8 * MIB), RATION_OK);
    ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 8 * MIB - 63, pool), RATION_QUERY_LIMIT);
    ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 8 * MIB - 64, pool), RATION_OK);
    ck_assert_int_eq(charged(pool), 8 * MIB);
    check_audit(governor);
    ration_guard_end(&guard);
    ration_query_close(query);
    ration_query_close(other);
    close_and_check(governor);
}
END_TEST

START_TEST(test_hand_over__a_context_gives_back_at_reset_and_delete)
{
    ration_governor *governor = open_governor(10 * MIB, 0);
    ration_pool *root = ration_governor_root(governor);
    ration_slot *slots[2], *other_slot;
    ration_query *query = open_query(governor, NULL, &slots[0]);
    ration_query *other = open_query(governor, NULL, &other_slot);
    ck_assert_int_eq(ration_query_slot(query, &slots[1]), RATION_OK);
    /* of the guard's slot, of another slot of the query, of another query */
    ration_slot *const owners[] = {slots[0], slots[1], other_slot};
    for (int i = 0; i < 3; i++) {
        ration_context *parent = create_context(NULL, owners[i]);
        ration_context *child = create_context(parent, owners[i]);
        int64_t blocks = ration_context_bytes(parent, true);
        RATION_GUARD(guard, slots[0], "kept");
        ck_assert_int_eq(ration_guard_row(&guard, 1000), RATION_OK);
        int64_t total = charged(root);
        ck_assert_int_eq(ration_guard_hand_to_context(&guard, 600, parent), RATION_OK);
        ck_assert_int_eq(ration_guard_hand_to_context(&guard, 400, child), RATION_OK);
        ck_assert_int_eq(guard.held_bytes, 0);
        ck_assert_int_eq(charged(root), total);
        ck_assert_int_eq(ration_context_bytes(parent, true), blocks + 1000);
        ck_assert_int_eq(ration_context_bytes(parent, false), blocks / 2 + 600);
        ration_guard_end(&guard);
        ck_assert_int_eq(charged(root), total);
        check_audit(governor);
        ration_context_reset(child);
        ck_assert_int_eq(ration_context_bytes(parent, true), blocks + 600);
        ck_assert_int_eq(ration_guard_row(&guard, 10), RATION_OK);
        ck_assert_int_eq(ration_guard_hand_to_context(&guard, 10, child), RATION_OK);
        ration_context_reset(parent); /* deletes the child */
        ck_assert_int_eq(ration_context_bytes(parent, true), blocks / 2);
        ck_assert_int_eq(charged(root), blocks / 2);
        ck_assert_int_eq(ration_guard_row(&guard, 20), RATION_OK);
        ck_assert_int_eq(ration_guard_hand_to_context(&guard, 20, parent), RATION_OK);
        if (i == 2) { /* the context outlives the guard's query */
            ration_guard_end(&guard);
            ration_query_close(query);
            ck_assert_int_eq(charged(ration_query_pool(other)), blocks / 2 + 20);
        }
        ration_context_delete(parent);
        ck_assert_int_eq(charged(root), 0);
    }
    ration_query_close(other);
    close_and_check(governor);
}
END_TEST

START_TEST(test_hand_over__a_context_of_a_full_query_is_refused)
{
    ration_governor *governor = open_governor(10 * MIB, 0);
    ration_query_options small = {.size = sizeof small, .limit_bytes = 20000};
    ration_slot *slot, *small_slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ration_query *other = open_query(governor, &small, &small_slot);
    ration_context *context = create_context(NULL, small_slot);
    int64_t room = 20000 - charged(ration_query_pool(other));
    RATION_GUARD(guard, slot, "kept");
    ck_assert_int_eq(ration_guard_row(&guard, 20000), RATION_OK);
    int64_t before = ration_context_bytes(context, false);
    ck_assert_int_eq(ration_guard_hand_to_context(&guard, room + 1, context), RATION_QUERY_LIMIT);
    ck_assert_int_eq(guard.held_bytes, 20000);
    ck_assert_int_eq(ration_context_bytes(context, false), before);
    ck_assert_int_eq(ration_guard_hand_to_context(&guard, room, context), RATION_OK);
    ck_assert_int_eq(charged(ration_query_pool(other)), 20000);
    ration_context_delete(context);
    ration_guard_end(&guard);
    ration_query_close(query);
    ration_query_close(other);
    close_and_check(governor);
}
END_TEST

typedef struct mistake {
    ration_guard *guard;
    ration_pool *pool;
    int64_t bytes;
} mistake;

static void hand_wrongly(void *argument)
{
    mistake *wrong = argument;
    ck_assert_int_eq(ration_guard_hand_to_pool(wrong->guard, wrong->bytes, wrong->pool),
                     RATION_INVALID_ARGUMENT);
}

static void release_wrongly(void *argument)
{
    mistake *wrong = argument;
    ration_pool_release(wrong->pool, wrong->bytes);
}

START_TEST(test_hand_over__mistakes_are_faults_and_move_nothing)
{
    ration_governor *governor = open_governor(MIB, 0), *stranger = open_governor(MIB, 0);
    ration_pool *data = ration_governor_data(governor);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    RATION_GUARD(guard, slot, "mistakes");
    ck_assert_int_eq(ration_guard_row(&guard, 100), RATION_OK);
    mistake wrong[] = {
        {&guard, data, 101}, {&guard, data, -1}, {&guard, ration_governor_data(stranger), 100}};
    for (size_t i = 0; i < RN_COUNT(wrong); i++) {
        expect_fault(hand_wrongly, &wrong[i]);
        ck_assert_int_eq(guard.held_bytes, 100);
        ck_assert_int_eq(charged(data), 0);
    }
    ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 100, data), RATION_OK);
    mistake too_much = {.pool = data, .bytes = 1000000}, negative = {.pool = data, .bytes = -1};
    expect_fault(release_wrongly, &too_much);
    expect_fault(release_wrongly, &negative);
    ck_assert_int_eq(charged(data), 100);
    ration_pool_release(data, 100);
    ration_guard_end(&guard);
    ration_query_close(query);
    ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 0, data), RATION_OK); /* its slot is gone */
    ration_governor_close(stranger);
    close_and_check(governor);
}
END_TEST

/* ------------------------------------------------------------------------------------- at random
 */

#define QUERIES 3
#define CONTEXTS (2 * QUERIES)

/* What is under test, and the same as sums of integers. */
typedef struct model {
    uint64_t random;
    ration_governor *governor;
    ration_query *queries[QUERIES];
    ration_slot *slots[QUERIES];
    ration_guard guards[QUERIES];
    ration_context *contexts[CONTEXTS]; /* of query i % QUERIES; the later ones are children */
    int64_t held[QUERIES], direct[QUERIES], kept[CONTEXTS], data;
    int64_t limits[QUERIES], root_limit; /* less the blocks of the contexts */
    int64_t blocks;                      /* of one context */
} model;

static void open_model(model *world)
{
    static const int64_t limits[QUERIES] = {60000, 40000, 30000};
    const int64_t root_limit = 90000;
    *world = (model){.random = choose_seed(3), .governor = open_governor(root_limit, 0)};
    for (int i = 0; i < QUERIES; i++) {
        ration_query_options options = {.size = sizeof options, .limit_bytes = limits[i]};
        world->queries[i] = open_query(world->governor, &options, &world->slots[i]);
        ration_guard_begin(&world->guards[i], world->slots[i], "random");
    }
    for (int i = 0; i < CONTEXTS; i++) {
        ration_context *parent = i < QUERIES ? NULL : world->contexts[i - QUERIES];
        world->contexts[i] = create_context(parent, world->slots[i % QUERIES]);
        world->blocks = ration_context_bytes(world->contexts[i], false);
    }
    world->root_limit = root_limit - CONTEXTS * world->blocks;
    for (int i = 0; i < QUERIES; i++) {
        world->limits[i] = limits[i] - CONTEXTS / QUERIES * world->blocks;
    }
}

static void close_model(model *world)
{
    check_audit(world->governor);
    for (int i = 0; i < QUERIES; i++) {
        ration_context_delete(world->contexts[i]);
        ration_guard_end(&world->guards[i]);
        ration_query_close(world->queries[i]);
    }
    ration_pool_release(ration_governor_data(world->governor), world->data);
    close_and_check(world->governor);
}

static int64_t sum_query(const model *world, int query)
{
    int64_t bytes = world->held[query] + world->direct[query];
    for (int i = query; i < CONTEXTS; i += QUERIES) {
        bytes += world->kept[i];
    }
    return bytes;
}

static int64_t sum_root(const model *world)
{
    int64_t bytes = world->data;
    for (int i = 0; i < QUERIES; i++) {
        bytes += sum_query(world, i);
    }
    return bytes;
}

static bool pass_row(model *world, int query, int64_t bytes)
{
    bool fits = bytes <= world->limits[query] - sum_query(world, query) &&
                bytes <= world->root_limit - sum_root(world);
    ck_assert_int_eq(ration_guard_row(&world->guards[query], bytes) == RATION_OK, fits);
    world->held[query] += fits ? bytes : 0;
    return fits;
}

/* To the pool of query `to`, or to one of its contexts. */
static bool hand_over(model *world, int from, int to, int64_t bytes)
{
    bytes = RN_MIN(bytes, world->held[from]);
    bool fits = to == from || bytes <= world->limits[to] - sum_query(world, to);
    int64_t *gains = &world->direct[to];
    ration_status status;
    if (rn_random_below(&world->random, 2) == 0) {
        status = ration_guard_hand_to_pool(&world->guards[from], bytes,
                                           ration_query_pool(world->queries[to]));
    } else {
        int at = to + QUERIES * (int)rn_random_below(&world->random, CONTEXTS / QUERIES);
        status = ration_guard_hand_to_context(&world->guards[from], bytes, world->contexts[at]);
        gains = &world->kept[at];
    }
    ck_assert_int_eq(status == RATION_OK, fits);
    world->held[from] -= fits ? bytes : 0;
    *gains += fits ? bytes : 0;
    return fits;
}

/* The root is on both ways, and `data` has no limit of its own: always granted. */
static void hand_to_data(model *world, int from, int64_t bytes)
{
    ration_pool *data = ration_governor_data(world->governor);
    bytes = RN_MIN(bytes, world->held[from]);
    ck_assert_int_eq(ration_guard_hand_to_pool(&world->guards[from], bytes, data), RATION_OK);
    world->held[from] -= bytes;
    world->data += bytes;
}

static void give_back(model *world, int query, int64_t bytes)
{
    bytes = RN_MIN(bytes, world->data);
    ration_pool_release(ration_governor_data(world->governor), bytes);
    world->data -= bytes;
    ration_pool_release(ration_query_pool(world->queries[query]), world->direct[query]);
    world->direct[query] = 0;
    int child = query + QUERIES;
    ration_context_reset(world->contexts[child]);
    world->kept[child] = 0;
    if (rn_random_below(&world->random, 16) == 0) { /* deletes the child */
        ration_context_reset(world->contexts[query]);
        world->kept[query] = 0;
        world->contexts[child] = create_context(world->contexts[query], world->slots[query]);
    }
    if (rn_random_below(&world->random, 8) == 0) {
        ration_guard_end(&world->guards[query]);
        ration_guard_begin(&world->guards[query], world->slots[query], "random");
        world->held[query] = 0;
    }
}

/* Guards of three queries, contexts of each, and `data`: rows, hand-overs, releases and resets at
 * random under tight limits. Every answer and every sum is what the model says. */
START_TEST(test_hand_over__agrees_with_a_model_at_random)
{
    model world;
    open_model(&world);
    int refused = 0;
    for (int step = 0; step < 20000; step++) {
        int from = (int)rn_random_below(&world.random, QUERIES);
        int to = (int)rn_random_below(&world.random, QUERIES);
        int64_t bytes = (int64_t)rn_random_below(&world.random, 9000);
        switch (rn_random_below(&world.random, 6)) {
        case 0:
        case 1:
            refused += !pass_row(&world, to, bytes);
            break;
        case 2:
        case 3:
            refused += !hand_over(&world, from, to, bytes);
            break;
        case 4:
            hand_to_data(&world, from, bytes);
            break;
        default:
            give_back(&world, to, bytes);
        }
        ck_assert_int_eq(charged(ration_governor_root(world.governor)),
                         sum_root(&world) + CONTEXTS * world.blocks);
        ck_assert_int_eq(charged(ration_query_pool(world.queries[to])),
                         sum_query(&world, to) + CONTEXTS / QUERIES * world.blocks);
        ck_assert_int_eq(world.guards[from].held_bytes, world.held[from]);
    }
    ck_assert_int_gt(refused, 1000);
    close_model(&world);
}
END_TEST

/* ---------------------------------------------------------------------------------------- threads
 */

#define ROUNDS 2000

typedef struct giver {
    ration_query *query;
    ration_slot *slot;
    ration_pool *to;
    ration_context *context;
    int64_t *running; /* atomic */
} giver;

/* Hands a row to the pool or the context and takes a new one, over and over. */
static void *give(void *argument)
{
    giver *one = argument;
    RATION_GUARD(guard, one->slot, "giver");
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(ration_guard_row(&guard, 1000), RATION_OK);
        ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 300, one->to), RATION_OK);
        ck_assert_int_eq(ration_guard_hand_to_context(&guard, 700, one->context), RATION_OK);
        ration_pool_release(one->to, 300);
    }
    (void)rn_fetch_add(one->running, -1);
    return NULL;
}

/* The owner of the context resets it while others hand bytes to it: none is lost. Whoever reads
 * finds sums that add up. */
START_TEST(test_hand_over__threads_give_while_the_owner_resets)
{
    ration_governor *governor = open_governor(64 * MIB, 0);
    ration_slot *slot;
    ration_query *owner = open_query(governor, NULL, &slot);
    ration_context *context = create_context(NULL, slot);
    int64_t running = 2;
    giver givers[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        givers[i] =
            (giver){.to = i == 0 ? ration_governor_data(governor) : ration_query_pool(owner),
                    .context = context,
                    .running = &running};
        givers[i].query = open_query(governor, NULL, &givers[i].slot);
        threads[i] = start(give, &givers[i]);
    }
    int64_t given = 0;
    while (rn_load(&running) > 0) {
        given = RN_MAX(given, ration_context_bytes(context, false));
        ration_context_reset(context);
        check_audit(governor);
        ck_assert_int_le(charged(ration_governor_root(governor)), 64 * MIB);
    }
    for (int i = 0; i < 2; i++) {
        (void)join(threads[i]);
        ration_query_close(givers[i].query);
    }
    ration_context_reset(context);
    int64_t blocks = ration_context_bytes(context, false);
    ck_assert_int_eq(charged(ration_governor_root(governor)), blocks);
    ration_context_delete(context);
    ration_query_close(owner);
    close_and_check(governor);
}
END_TEST

/* Nothing but hand-overs happens: a reader never sees another sum. */
static void *hand_back_and_forth(void *argument)
{
    giver *one = argument;
    RATION_GUARD(guard, one->slot, "giver");
    ck_assert_int_eq(ration_guard_row(&guard, 50000), RATION_OK);
    (void)rn_fetch_add(one->running, 1);
    for (int i = 0; i < 5000; i++) {
        ck_assert_int_eq(ration_guard_hand_to_pool(&guard, 10, one->to), RATION_OK);
    }
    ck_assert_int_eq(guard.held_bytes, 0);
    (void)rn_fetch_add(one->running, 1);
    return NULL;
}

START_TEST(test_hand_over__total_never_changes_on_the_way)
{
    ration_governor *governor = open_governor(50000, 0); /* full to the byte all the time */
    int64_t running = 0;
    giver one = {.to = ration_governor_data(governor), .running = &running};
    one.query = open_query(governor, NULL, &one.slot);
    pthread_t thread = start(hand_back_and_forth, &one);
    while (rn_load(&running) == 0) {
        (void)sched_yield();
    }
    while (rn_load(&running) == 1) {
        ck_assert_int_eq(charged(ration_governor_root(governor)), 50000);
        check_audit(governor);
    }
    (void)join(thread);
    ration_query_close(one.query);
    ration_pool_release(one.to, 50000);
    close_and_check(governor);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_hand_over__to_a_pool_outlives_guard_and_query,
        test_hand_over__to_a_query_ends_with_it,
        test_hand_over__asks_only_the_new_way,
        test_hand_over__credit_is_never_the_reason_of_a_refusal,
        test_hand_over__a_context_gives_back_at_reset_and_delete,
        test_hand_over__a_context_of_a_full_query_is_refused,
        test_hand_over__mistakes_are_faults_and_move_nothing,
        test_hand_over__agrees_with_a_model_at_random,
        test_hand_over__threads_give_while_the_owner_resets,
        test_hand_over__total_never_changes_on_the_way,
    };
    return support_run("hand_over", tests, RN_COUNT(tests));
}

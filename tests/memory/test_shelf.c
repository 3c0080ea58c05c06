/* SPDX-License-Identifier: Apache-2.0
 *
 * Shelves: what an owner finds there again, when they are shut, who else gets what lies on them,
 * and that nothing of it is left. Both orderings (_i). Threads that race: test_shelf_threads.c; the
 * interleavings one by one: tests/points/test_shelf.c. */
#include "memory/context.h"
#include "memory/shelf.h"
#include "tests/memory/processes.h"

#define KIB ((int64_t)1024)
#define SMALL (8 * KIB)
#define LARGE (64 * KIB)
#define LIMIT (4 * MIB)
#define ALL_SHELVES (8 * SMALL + 4 * (2 * SMALL + 4 * SMALL + LARGE))
#define SIZES 4 /* SMALL to LARGE */

typedef struct place {
    fixture world;
    rn_slot *slot, *other; /* below the first and the second query */
} place;

static place open_place(bool seq_cst)
{
    place here = {.world = fixture_open(LIMIT, INT64_MAX, 64 * KIB, seq_cst)};
    here.slot = open_slot(here.world.first);
    here.other = open_slot(here.world.second);
    return here;
}

static void check_place(const place *here)
{
    check_audit(&here->world);
    ck_assert(rn_blocks_check(here->world.blocks));
}

static void close_place(place *here)
{
    check_place(here);
    ck_assert_int_eq(rn_slot_used(here->slot), 0);
    ck_assert_int_eq(rn_slot_used(here->other), 0);
    rn_slot_close(here->slot);
    rn_slot_close(here->other);
    check_place(here);
    fixture_close(&here->world);
}

static void *acquire(rn_slot *slot, int64_t bytes)
{
    void *block = NULL;
    ck_assert_int_eq(rn_block_acquire(slot, bytes, &block), RATION_OK);
    return block;
}

static void acquire_all(rn_slot *slot, void **blocks, int count, int64_t bytes)
{
    for (int i = 0; i < count; i++) {
        blocks[i] = acquire(slot, bytes);
    }
}

static void release_all(rn_slot *slot, void **blocks, int count, int64_t bytes)
{
    for (int i = 0; i < count; i++) {
        rn_block_release(slot, blocks[i], bytes);
    }
}

static int count_room(int size)
{
    return size == 0 ? 8 : 4;
}

/* Acquires and releases what all shelves hold together, but those of contexts. */
static void fill_shelves(rn_slot *slot)
{
    void *blocks[SIZES][8];
    for (int i = 0; i < SIZES; i++) {
        acquire_all(slot, blocks[i], count_room(i), SMALL << i);
    }
    for (int i = 0; i < SIZES; i++) {
        release_all(slot, blocks[i], count_room(i), SMALL << i);
    }
    ck_assert_int_eq(rn_slot_shelved(slot), ALL_SHELVES);
}

/* -------------------------------------------------------------------------------- for its owner */

/* The block given up last is the first to be had, and nobody asks for the lock. */
START_TEST(test_shelf__last_in_first_out_without_the_lock)
{
    place here = open_place(_i != 0);
    void *blocks[8];
    for (int i = 0; i < SIZES; i++) {
        int count = count_room(i);
        int64_t bytes = SMALL << i;
        acquire_all(here.slot, blocks, count, bytes);
        int64_t trips = here.slot->lock_trips;
        int64_t used = rn_slot_counted(here.slot);
        for (int round = 0; round < 20; round++) {
            release_all(here.slot, blocks, count, bytes);
            for (int at = count; at-- > 0;) {
                ck_assert_ptr_eq(acquire(here.slot, bytes), blocks[at]);
            }
        }
        ck_assert_int_eq(here.slot->lock_trips, trips);
        ck_assert_int_eq(rn_slot_counted(here.slot), used);
        release_all(here.slot, blocks, count, bytes);
    }
    close_place(&here);
}
END_TEST

/* What does not fit is retained as before; every size has its own. */
START_TEST(test_shelf__holds_so_many)
{
    place here = open_place(_i != 0);
    void *blocks[10];
    int64_t shelved = 0, retained = 0;
    for (int i = 0; i < SIZES; i++) {
        int64_t bytes = SMALL << i;
        acquire_all(here.slot, blocks, count_room(i) + 2, bytes);
        release_all(here.slot, blocks, count_room(i) + 2, bytes);
        shelved += count_room(i) * bytes;
        retained += 2 * bytes;
        ck_assert_int_eq(rn_slot_shelved(here.slot), shelved);
        ck_assert_int_eq(read_pool(here.world.retained).granted_bytes, retained);
    }
    rn_block_release(here.slot, acquire(here.slot, 2 * LARGE), 2 * LARGE);
    ck_assert_int_eq(rn_slot_shelved(here.slot), ALL_SHELVES);
    close_place(&here);
}
END_TEST

/* A full shelf, emptied by others, taken from and put to, over and over: no cell holds what it held
 * before. */
START_TEST(test_shelf__comes_round)
{
    place here = open_place(_i != 0);
    unsigned char *blocks[8];
    uint64_t seed = 1;
    for (int round = 0; round < 200; round++) {
        int count = 1 + (int)rn_random_below(&seed, 8);
        for (int i = 0; i < count; i++) {
            blocks[i] = (unsigned char *)acquire(here.slot, SMALL);
            memset(blocks[i], i + 1, (size_t)SMALL);
        }
        for (int i = 0; i < count; i++) {
            ck_assert_int_eq(blocks[i][0], i + 1);
            ck_assert_int_eq(blocks[i][SMALL - 1], i + 1);
        }
        release_all(here.slot, (void **)blocks, count, SMALL);
        if (rn_random_below(&seed, 3) == 0) {
            rn_blocks_purge(here.world.blocks);
            ck_assert_int_eq(rn_slot_shelved(here.slot), 0);
        }
        check_place(&here);
    }
    close_place(&here);
}
END_TEST

/* Contexts that were small lie ready for use; the words of the old one are not seen in the new. */
START_TEST(test_shelf__contexts)
{
    place here = open_place(_i != 0);
    static const char identifier[] = "first";
    ration_context *context, *again;
    for (int kind = RATION_CONTEXT_BUMP; kind <= RATION_CONTEXT_GENERATION; kind++) {
        if (kind == RATION_CONTEXT_SLAB) {
            continue;
        }
        ck_assert_int_eq(ration_context_create(NULL, &here.slot->hot, (ration_context_kind)kind,
                                               "one", &context),
                         RATION_OK);
        void *memory = ration_context_allocate(context, 100);
        ck_assert_ptr_nonnull(memory);
        memset(memory, 0xff, 100);
        ration_context_set_identifier(context, identifier);
        ration_context_delete(context);
        int64_t trips = here.slot->lock_trips;
        ck_assert_int_eq(
            ration_context_create(NULL, &here.slot->hot, (ration_context_kind)kind, "two", &again),
            RATION_OK);
        ration_context_figures figures;
        ration_context_read(again, &figures);
        ck_assert_str_eq(figures.name, "two");
        ck_assert_int_eq((int)figures.kind, kind);
        ck_assert_int_eq(figures.bytes, SMALL);
        ck_assert_int_eq(figures.peak_bytes, SMALL);
        ck_assert_int_eq(ration_context_status(again), RATION_OK);
        ck_assert(ration_context_check(again));
        memory = ration_context_allocate_zero(again, 100);
        for (int i = 0; i < 100; i++) {
            ck_assert_int_eq(((unsigned char *)memory)[i], 0);
        }
        ration_context_delete(again);
        ck_assert_int_eq(here.slot->lock_trips, trips);
        ck_assert_int_eq(rn_slot_used(here.slot), 0);
    }
    close_place(&here);
}
END_TEST

/* ---------------------------------------------------------------------------- seen from outside */

/* Idle blocks are charged to nobody and retained, of the slot's pool and of all above. */
START_TEST(test_shelf__counts_as_retained)
{
    place here = open_place(_i != 0);
    void *held = acquire(here.slot, LARGE);
    fill_shelves(here.slot);
    ration_pool *pools[] = {here.world.first, here.world.queries, here.world.root};
    for (size_t i = 0; i < RN_COUNT(pools); i++) {
        ration_pool_figures figures = read_pool(pools[i]);
        ck_assert_int_eq(figures.charged_bytes, LARGE);
        ck_assert_int_eq(figures.retained_bytes, ALL_SHELVES);
        ck_assert_int_ge(figures.credit_bytes, ALL_SHELVES);
        ck_assert_int_eq(figures.granted_bytes, figures.charged_bytes + figures.credit_bytes);
    }
    ck_assert_int_eq(read_pool(here.world.second).retained_bytes, 0);
    ck_assert_int_eq(rn_slot_used(here.slot), LARGE);
    (void)rn_pool_recall(here.world.first);
    ck_assert_int_eq(rn_slot_shelved(here.slot), 0);
    ck_assert_int_eq(rn_slot_used(here.slot), LARGE);
    ck_assert_int_eq(read_pool(here.world.first).charged_bytes, LARGE);
    ck_assert_int_eq(read_pool(here.world.first).granted_bytes, LARGE);
    ck_assert_int_eq(read_pool(here.world.root).retained_bytes, ALL_SHELVES);
    ck_assert_int_eq(read_pool(here.world.root).charged_bytes, LARGE);
    check_place(&here);
    rn_block_release(here.slot, held, LARGE);
    close_place(&here);
}
END_TEST

/* While its pool is drained a shelf takes nothing; with credit it is open again. */
START_TEST(test_shelf__shut_while_drained)
{
    place here = open_place(_i != 0);
    void *block = acquire(here.slot, SMALL);
    (void)rn_pool_recall(here.world.queries);
    rn_block_release(here.slot, block, SMALL);
    ck_assert_int_eq(rn_slot_shelved(here.slot), 0);
    ck_assert_int_eq(read_pool(here.world.retained).granted_bytes, SMALL);
    ck_assert_int_eq(charge(here.slot, SMALL), RATION_OK); /* with a chunk */
    release(here.slot, SMALL);
    rn_block_release(here.slot, acquire(here.slot, SMALL), SMALL);
    ck_assert_int_eq(rn_slot_shelved(here.slot), SMALL);
    close_place(&here);
}
END_TEST

/* A slot that only takes over what is retained has its shelves open again, too. */
START_TEST(test_shelf__open_again_after_a_recall)
{
    place here = open_place(_i != 0);
    rn_block_release(here.slot, acquire(here.slot, SMALL), SMALL);
    (void)rn_pool_recall(here.world.root);
    ck_assert_int_eq(read_pool(here.world.retained).granted_bytes, SMALL);
    rn_block_release(here.slot, acquire(here.slot, SMALL), SMALL);
    ck_assert_int_eq(rn_slot_shelved(here.slot), SMALL);
    close_place(&here);
}
END_TEST

/* Whoever needs the bytes gets them to the last one, at the root and at the query; one more is
 * refused, and the refusal does not count what was idle. */
START_TEST(test_shelf__never_refuses)
{
    for (int level = 0; level < 2; level++) {
        place here = open_place(_i != 0);
        rn_slot *asker = level == 0 ? here.other : open_slot(here.world.first);
        ration_status refusal = level == 0 ? RATION_GLOBAL_LIMIT : RATION_QUERY_LIMIT;
        rn_pool_set_limit(here.world.first, level == 0 ? INT64_MAX : LIMIT - MIB);
        int64_t limit = level == 0 ? LIMIT : LIMIT - MIB;
        void *held = acquire(here.slot, SMALL);
        fill_shelves(here.slot);
        ck_assert_int_eq(charge(asker, limit - SMALL + 1), refusal);
        ck_assert_int_eq(asker->no.charged_bytes, SMALL);
        rn_block_release(here.slot, held, SMALL);
        held = acquire(here.slot, SMALL);
        ck_assert_int_eq(charge(asker, limit - SMALL), RATION_OK);
        ck_assert_int_eq(charge(asker, 1), refusal);
        ck_assert_int_eq(charge(here.slot, 1), refusal);
        void *block = NULL;
        ck_assert_int_eq(rn_block_acquire(here.slot, SMALL, &block), refusal);
        check_place(&here);
        release(asker, limit - SMALL);
        rn_block_release(here.slot, held, SMALL);
        if (level != 0) {
            rn_slot_close(asker);
        }
        close_place(&here);
    }
}
END_TEST

/* Its own shelves do not stand in an owner's way either. */
START_TEST(test_shelf__serves_its_owner_in_another_size)
{
    place here = open_place(_i != 0);
    fill_shelves(here.slot);
    ck_assert_int_eq(charge(here.slot, LIMIT), RATION_OK);
    ck_assert_int_eq(rn_slot_used(here.slot), LIMIT);
    ck_assert_int_eq(charge(here.slot, 1), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(here.slot->no.charged_bytes, LIMIT);
    release(here.slot, LIMIT);
    close_place(&here);
}
END_TEST

/* A limit that is cut has what lies idle, at once. */
START_TEST(test_shelf__cut_limit)
{
    place here = open_place(_i != 0);
    void *held = acquire(here.slot, SMALL);
    fill_shelves(here.slot);
    rn_pool_set_limit(here.world.root, SMALL);
    ration_pool_figures figures = read_pool(here.world.root);
    ck_assert_int_eq(figures.granted_bytes, SMALL);
    ck_assert_int_eq(figures.retained_bytes, 0);
    ck_assert_int_eq(rn_blocks_mapped(here.world.blocks), SMALL);
    rn_block_release(here.slot, held, SMALL);
    rn_pool_set_limit(here.world.root, LIMIT);
    close_place(&here);
}
END_TEST

/* A slot that is closed leaves its blocks to the others, and its query nothing. */
START_TEST(test_shelf__closed_with_its_slot)
{
    place here = open_place(_i != 0);
    rn_slot *slot = open_slot(here.world.first);
    fill_shelves(slot);
    rn_slot_close(slot);
    ck_assert_int_eq(read_pool(here.world.first).granted_bytes, 0);
    ck_assert_int_eq(read_pool(here.world.retained).granted_bytes, ALL_SHELVES);
    check_place(&here);
    rn_block_release(here.other, acquire(here.other, LARGE), LARGE);
    ck_assert_int_eq(read_pool(here.world.retained).granted_bytes, ALL_SHELVES - LARGE);
    close_place(&here);
}
END_TEST

/* --------------------------------------------------------------------------------- decay, purge */

static int64_t fake_ns;
static int64_t read_fake(void)
{
    return fake_ns;
}

static place open_place_with_clock(bool seq_cst)
{
    static const rn_blocks_options options = {.retain_ms = 1000, .clock_ns = read_fake};
    place here = {.world = fixture_open(LIMIT, INT64_MAX, 64 * KIB, seq_cst)};
    rn_blocks_close(here.world.blocks);
    fake_ns = 1;
    ck_assert_int_eq(rn_blocks_open(here.world.retained, &options, &here.world.blocks), RATION_OK);
    here.slot = open_slot(here.world.first);
    here.other = open_slot(here.world.second);
    return here;
}

static void tick_after_ms(const place *here, int64_t ms)
{
    fake_ns += ms * 1000000;
    rn_blocks_tick(here->world.blocks);
}

/* What nobody touched for a second goes back to the system; a shelf in use stays. */
START_TEST(test_shelf__decays)
{
    place here = open_place_with_clock(_i != 0);
    fill_shelves(here.slot);
    fill_shelves(here.other);
    tick_after_ms(&here, 0);
    void *held = NULL;
    for (int i = 0; i < 9; i++) {
        tick_after_ms(&here, 100);
        rn_block_release(here.slot, acquire(here.slot, SMALL), SMALL);
    }
    held = acquire(here.slot, SMALL);
    tick_after_ms(&here, 100);
    ck_assert_int_eq(rn_slot_shelved(here.other), 0);
    ck_assert_int_eq(rn_slot_shelved(here.slot), ALL_SHELVES - SMALL);
    ck_assert_int_eq(rn_blocks_mapped(here.world.blocks), ALL_SHELVES);
    ck_assert_int_eq(read_pool(here.world.root).retained_bytes, ALL_SHELVES - SMALL);
    check_place(&here);
    tick_after_ms(&here, 999);
    ck_assert_int_eq(rn_slot_shelved(here.slot), ALL_SHELVES - SMALL);
    tick_after_ms(&here, 1);
    ck_assert_int_eq(rn_slot_shelved(here.slot), 0);
    ck_assert_int_eq(rn_slot_used(here.slot), SMALL);
    ck_assert_int_eq(rn_blocks_mapped(here.world.blocks), SMALL);
    ck_assert_int_eq(read_pool(here.world.root).charged_bytes, SMALL);
    ck_assert_int_eq(read_pool(here.world.root).retained_bytes, 0);
    rn_block_release(here.slot, held, SMALL);
    ck_assert_int_eq(rn_slot_shelved(here.slot), SMALL); /* it is as open as before */
    close_place(&here);
}
END_TEST

START_TEST(test_shelf__purged)
{
    place here = open_place(_i != 0);
    void *held = acquire(here.slot, LARGE);
    fill_shelves(here.slot);
    fill_shelves(here.other);
    rn_blocks_purge(here.world.blocks);
    ck_assert_int_eq(rn_slot_shelved(here.slot) + rn_slot_shelved(here.other), 0);
    ck_assert_int_eq(rn_blocks_mapped(here.world.blocks), LARGE);
    ck_assert_int_eq(rn_slot_used(here.slot), LARGE);
    ck_assert_int_eq(read_pool(here.world.root).charged_bytes, LARGE);
    check_place(&here);
    rn_block_release(here.slot, held, LARGE);
    ck_assert_int_eq(rn_slot_shelved(here.slot), LARGE);
    close_place(&here);
}
END_TEST

/* What a claim covers costs the limits above nothing; retained it would. Where there is no room for
 * that, what lay on the shelf goes back to the system, and the claim keeps what it has. */
START_TEST(test_shelf__within_a_claim_of_a_full_root)
{
    place here = open_place(_i != 0);
    rn_no no;
    ck_assert(rn_pool_try_claim(here.world.first, MIB, &no));
    rn_block_release(here.slot, acquire(here.slot, LARGE), LARGE);
    rn_block_release(here.slot, acquire(here.slot, LARGE), LARGE); /* claims drain: open again */
    ck_assert_int_eq(charge(here.other, LIMIT - MIB), RATION_OK);
    ck_assert_int_eq(read_pool(here.world.root).granted_bytes, LIMIT);
    ck_assert_int_eq(rn_slot_shelved(here.slot), LARGE);
    (void)rn_pool_recall(here.world.first);
    ck_assert_int_eq(rn_slot_shelved(here.slot), 0);
    ck_assert_int_eq(rn_blocks_mapped(here.world.blocks), 0);
    ck_assert_int_eq(read_pool(here.world.root).granted_bytes, LIMIT);
    check_place(&here);
    release(here.other, LIMIT - MIB);
    ck_assert(rn_pool_try_claim(here.world.first, 0, &no));
    close_place(&here);
}
END_TEST

/* ------------------------------------------------------------------------------------ processes */

/* No process can take another's pages: a shared ledger has no shelves. */
START_TEST(test_shelf__none_in_a_shared_ledger)
{
    static const rn_share_sizes sizes = {.processes = 2, .pools = 8, .slots = 4};
    stage *here = stage_open(&sizes, LIMIT);
    member self = join_region(here);
    rn_blocks *blocks;
    ck_assert_int_eq(rn_blocks_open(self.root, NULL, &blocks), RATION_OK);
    rn_slot *slot = take_slot(&self);
    rn_block_release(slot, acquire(slot, SMALL), SMALL);
    ration_context *context;
    ck_assert_int_eq(
        ration_context_create(NULL, &slot->hot, RATION_CONTEXT_SET, "shared", &context), RATION_OK);
    ration_context_delete(context);
    ck_assert(!rn_shelf_holds(slot));
    ck_assert_int_eq(rn_slot_counted(slot), 0);
    ck_assert_int_eq(rn_blocks_mapped(blocks), 0);
    rn_slot_close(slot);
    rn_blocks_close(blocks);
    leave_region(&self);
    stage_close(here);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *tests[] = {
        test_shelf__last_in_first_out_without_the_lock,
        test_shelf__holds_so_many,
        test_shelf__comes_round,
        test_shelf__contexts,
        test_shelf__counts_as_retained,
        test_shelf__shut_while_drained,
        test_shelf__open_again_after_a_recall,
        test_shelf__never_refuses,
        test_shelf__serves_its_owner_in_another_size,
        test_shelf__cut_limit,
        test_shelf__within_a_claim_of_a_full_root,
        test_shelf__closed_with_its_slot,
        test_shelf__decays,
        test_shelf__purged,
    };
    TCase *both = tcase_create("both orderings");
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_loop_test(both, tests[i], 0, 2);
    }
    tcase_add_test(both, test_shelf__none_in_a_shared_ledger);
    tcase_set_timeout(both, 120);
    Suite *suite = suite_create("memory/shelf");
    suite_add_tcase(suite, both);
    return run_suite(suite);
}

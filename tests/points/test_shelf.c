/* SPDX-License-Identifier: Apache-2.0
 *
 * The interleavings of an owner at its shelf with those who clear it, each held to its course by
 * the director: every outcome of the proof in shelf.c once. Whatever the course, a block is the
 * owner's, on the shelf, or taken, and never two of these; whoever then asks for the rest of the
 * limit gets it to the byte. Every test runs with both orderings (_i). */
#include "memory/shelf.h"
#include "tests/points/acts.h"

#define LIMIT MIB
#define BLOCK RN_BLOCK_BYTES_MIN
#define WHICH 0 /* of BLOCK bytes */

typedef struct visit {
    rn_slot *slot;
    void *block; /* taken, or to be put */
    bool put;    /* it was accepted */
} visit;

typedef struct scene {
    fixture world;
    rn_slot *slot, *asker;
    void *other; /* lies on the shelf below what the test is about; NULL = nothing does */
    visit owning;
    act recalling, recalling_above;
    points_actor owner, clearer;
} scene;

static void act_take(void *argument)
{
    visit *self = (visit *)argument;
    self->block = rn_shelf_take(self->slot, WHICH);
}

static void act_put(void *argument)
{
    visit *self = (visit *)argument;
    self->put = rn_shelf_put(self->slot, WHICH, self->block);
}

static void act_purge(void *argument)
{
    scene *self = (scene *)argument;
    rn_blocks_purge(self->world.blocks);
}

static void *acquire(rn_slot *slot)
{
    void *block = NULL;
    ck_assert_int_eq(rn_block_acquire(slot, BLOCK, &block), RATION_OK);
    return block;
}

static int64_t shelved(const scene *stage)
{
    return rn_slot_shelved(stage->slot) / BLOCK;
}

static void open_stage(scene *stage, bool seq_cst)
{
    *stage = (scene){.world = fixture_open(LIMIT, INT64_MAX, 64 * 1024, seq_cst)};
    stage->slot = open_slot(stage->world.second);
    stage->asker = open_slot(stage->world.first);
    stage->owning.slot = stage->slot;
    stage->recalling.pool = stage->world.second;
    stage->recalling_above.pool = stage->world.root;
}

/* Two blocks lie on the shelf; the owner is about to take the upper one. */
static void set_taking(scene *stage, bool seq_cst)
{
    open_stage(stage, seq_cst);
    void *lower = acquire(stage->slot), *upper = acquire(stage->slot);
    rn_block_release(stage->slot, lower, BLOCK);
    rn_block_release(stage->slot, upper, BLOCK);
    ck_assert_int_eq(shelved(stage), 2);
    stage->other = upper;
    points_start(&stage->owner, "owner", act_take, &stage->owning);
    points_start(&stage->clearer, "clearer", act_recall, &stage->recalling);
}

/* One block lies there; the owner is about to put another on top of it. */
static void set_putting(scene *stage, bool seq_cst, void (*clear)(void *argument), void *argument)
{
    open_stage(stage, seq_cst);
    void *lower = acquire(stage->slot);
    stage->owning.block = acquire(stage->slot);
    rn_block_release(stage->slot, lower, BLOCK);
    ck_assert_int_eq(shelved(stage), 1);
    points_start(&stage->owner, "owner", act_put, &stage->owning);
    points_start(&stage->clearer, "clearer", clear, argument);
}

/* Both have ended; the owner has `owned` blocks, `lying` are on the shelf. */
static void clear_stage(scene *stage, int64_t owned, int64_t lying)
{
    const fixture *world = &stage->world;
    check_audit(world);
    ck_assert(rn_blocks_check(world->blocks));
    ck_assert_int_eq(shelved(stage), lying);
    ck_assert_int_eq(rn_slot_used(stage->slot), owned * BLOCK);
    ck_assert_int_eq(read_pool(world->second).charged_bytes, owned * BLOCK);
    ck_assert_int_eq(read_pool(world->root).charged_bytes, owned * BLOCK);
    ck_assert_int_eq(rn_blocks_mapped(world->blocks),
                     owned * BLOCK + read_pool(world->root).retained_bytes);
    if (lying > 0) { /* it is none of the owner's, and none twice */
        void *first = rn_shelf_take(stage->slot, WHICH);
        ck_assert_ptr_nonnull(first);
        ck_assert_ptr_ne(first, owned > 0 ? stage->owning.block : NULL);
        ck_assert(rn_shelf_put(stage->slot, WHICH, first));
    }
    ck_assert_int_eq(charge(stage->asker, LIMIT - owned * BLOCK + 1), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(charge(stage->asker, LIMIT - owned * BLOCK), RATION_OK);
    ck_assert_int_eq(shelved(stage), 0);
    ck_assert_int_eq(rn_blocks_mapped(world->blocks), owned * BLOCK);
    release(stage->asker, LIMIT - owned * BLOCK);
    if (owned > 0) {
        rn_block_release(stage->slot, stage->owning.block, BLOCK);
    }
    rn_slot_close(stage->slot);
    rn_slot_close(stage->asker);
    fixture_close(&stage->world);
}

/* ----------------------------------------------------------------------------------------- take */

/* The owner has looked at base and not stored: the clearer cannot know, and has both blocks. */
START_TEST(test_shelf__cleared_between_compare_and_take)
{
    scene stage;
    set_taking(&stage, _i != 0);
    points_run_to(&stage.owner, "shelf.compared");
    points_finish(&stage.clearer);
    ck_assert_int_eq(shelved(&stage), 0);
    points_finish(&stage.owner);
    ck_assert_ptr_null(stage.owning.block);
    clear_stage(&stage, 0, 0);
}
END_TEST

/* The owner has stored count and not looked again: the clearer leaves it what it took. */
START_TEST(test_shelf__cleared_between_take_and_look)
{
    scene stage;
    set_taking(&stage, _i != 0);
    points_run_to(&stage.owner, "shelf.taken");
    points_finish(&stage.clearer);
    points_finish(&stage.owner);
    ck_assert_ptr_eq(stage.owning.block, stage.other);
    clear_stage(&stage, 1, 0);
}
END_TEST

/* The owner compares, the clearer goes as far as `point`, the owner takes, sees its slot closed and
 * waits for the lock. */
static void take_at(scene *stage, const char *point)
{
    points_run_to(&stage->owner, "shelf.compared");
    points_run_to(&stage->clearer, point);
    points_run_to(&stage->owner, "shelf.taken");
    points_let_go(&stage->owner);
    points_await_stuck(&stage->owner);
    ck_assert(!points_ended(&stage->owner));
    points_finish(&stage->clearer);
    points_finish(&stage->owner);
}

/* The clearer reads count after it was stored: the take stands. */
START_TEST(test_shelf__take_before_barrier_stands)
{
    scene stage;
    set_taking(&stage, _i != 0);
    take_at(&stage, "recall.closed");
    ck_assert_ptr_eq(stage.owning.block, stage.other);
    clear_stage(&stage, 1, 0);
}
END_TEST

START_TEST(test_shelf__take_after_barrier_stands)
{
    scene stage;
    set_taking(&stage, _i != 0);
    take_at(&stage, "recall.fenced");
    ck_assert_ptr_eq(stage.owning.block, stage.other);
    clear_stage(&stage, 1, 0);
}
END_TEST

/* Count was read before: the block is the clearer's, and what the owner stored comes too late. */
START_TEST(test_shelf__take_after_read_is_lost)
{
    scene stage;
    set_taking(&stage, _i != 0);
    take_at(&stage, "shelf.read");
    ck_assert_ptr_null(stage.owning.block);
    clear_stage(&stage, 0, 0);
}
END_TEST

/* The owner has lost its block to one clearer and does not know yet. The next one reads the count
 * that it stored: below the base, which must not come down to it. */
START_TEST(test_shelf__second_clear_between_take_and_look)
{
    scene stage;
    set_taking(&stage, _i != 0);
    points_run_to(&stage.owner, "shelf.compared");
    points_finish(&stage.clearer);
    points_run_to(&stage.owner, "shelf.taken");
    act_recall(&stage.recalling_above);
    rn_blocks_purge(stage.world.blocks);
    points_finish(&stage.owner);
    ck_assert_ptr_null(stage.owning.block);
    clear_stage(&stage, 0, 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------ put */

/* Count is stored: the clearer has the block, and the owner learns that it need not care. */
START_TEST(test_shelf__cleared_between_put_and_look)
{
    scene stage;
    set_putting(&stage, _i != 0, act_recall, &stage.recalling);
    points_run_to(&stage.owner, "shelf.put");
    points_finish(&stage.clearer);
    ck_assert_int_eq(shelved(&stage), 0);
    points_finish(&stage.owner);
    ck_assert(stage.owning.put);
    clear_stage(&stage, 0, 0);
}
END_TEST

/* Count is not stored: the clearer did not see the block, and the pool is drained. The owner takes
 * it back. */
START_TEST(test_shelf__cleared_between_cell_and_put)
{
    scene stage;
    set_putting(&stage, _i != 0, act_recall, &stage.recalling);
    points_run_to(&stage.owner, "shelf.filled");
    points_finish(&stage.clearer);
    points_finish(&stage.owner);
    ck_assert(!stage.owning.put);
    clear_stage(&stage, 1, 0);
}
END_TEST

static void put_at(scene *stage, const char *point)
{
    points_run_to(&stage->owner, "shelf.filled");
    points_run_to(&stage->clearer, point);
    points_run_to(&stage->owner, "shelf.put");
    points_let_go(&stage->owner);
    points_await_stuck(&stage->owner);
    ck_assert(!points_ended(&stage->owner));
    points_finish(&stage->clearer);
    points_finish(&stage->owner);
}

START_TEST(test_shelf__put_before_barrier_is_taken)
{
    scene stage;
    set_putting(&stage, _i != 0, act_recall, &stage.recalling);
    put_at(&stage, "recall.closed");
    ck_assert(stage.owning.put);
    clear_stage(&stage, 0, 0);
}
END_TEST

START_TEST(test_shelf__put_after_barrier_is_taken)
{
    scene stage;
    set_putting(&stage, _i != 0, act_recall, &stage.recalling);
    put_at(&stage, "recall.fenced");
    ck_assert(stage.owning.put);
    clear_stage(&stage, 0, 0);
}
END_TEST

START_TEST(test_shelf__put_after_read_is_withdrawn)
{
    scene stage;
    set_putting(&stage, _i != 0, act_recall, &stage.recalling);
    put_at(&stage, "shelf.read");
    ck_assert(!stage.owning.put);
    clear_stage(&stage, 1, 0);
}
END_TEST

/* A pool that is drained takes none: the owner does not even fill the cell. */
START_TEST(test_shelf__shut_while_recalled)
{
    scene stage;
    set_putting(&stage, _i != 0, act_recall, &stage.recalling);
    points_run_to(&stage.clearer, "recall.closed");
    points_finish(&stage.owner);
    ck_assert(!stage.owning.put);
    points_finish(&stage.clearer);
    clear_stage(&stage, 1, 0);
}
END_TEST

/* Purged, the slot is as open as before: what was not seen lies on the shelf. */
START_TEST(test_shelf__purged_between_cell_and_put)
{
    scene stage;
    set_putting(&stage, _i != 0, act_purge, &stage);
    points_run_to(&stage.owner, "shelf.filled");
    points_finish(&stage.clearer);
    points_finish(&stage.owner);
    ck_assert(stage.owning.put);
    clear_stage(&stage, 0, 1);
}
END_TEST

START_TEST(test_shelf__purged_between_put_and_look)
{
    scene stage;
    set_putting(&stage, _i != 0, act_purge, &stage);
    points_run_to(&stage.owner, "shelf.put");
    points_finish(&stage.clearer);
    ck_assert_int_eq(shelved(&stage), 0);
    points_finish(&stage.owner);
    ck_assert(stage.owning.put);
    clear_stage(&stage, 0, 0);
}
END_TEST

/* While it is being purged the owner asks under the lock, and takes the block back. */
START_TEST(test_shelf__put_while_purged_is_withdrawn)
{
    scene stage;
    set_putting(&stage, _i != 0, act_purge, &stage);
    put_at(&stage, "shelf.read");
    ck_assert(!stage.owning.put);
    clear_stage(&stage, 1, 0);
}
END_TEST

/* -------------------------------------------------------------------------------------- refusal */

/* A charge that needs what lies on the shelf gets it while the owner is in the middle of a take,
 * and a block that is the owner's counts. */
START_TEST(test_shelf__refusal_counts_a_block_that_was_taken)
{
    scene stage;
    set_taking(&stage, _i != 0);
    points_run_to(&stage.owner, "shelf.taken");
    ck_assert_int_eq(charge(stage.asker, LIMIT - BLOCK + 1), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(stage.asker->no.charged_bytes, BLOCK);
    ck_assert_int_eq(charge(stage.asker, LIMIT - BLOCK), RATION_OK);
    release(stage.asker, LIMIT - BLOCK);
    points_finish(&stage.owner);
    ck_assert_ptr_eq(stage.owning.block, stage.other);
    points_finish(&stage.clearer);
    clear_stage(&stage, 1, 0);
}
END_TEST

START_TEST(test_shelf__refusal_before_a_block_is_taken)
{
    scene stage;
    set_taking(&stage, _i != 0);
    points_run_to(&stage.owner, "shelf.compared");
    ck_assert_int_eq(charge(stage.asker, LIMIT), RATION_OK);
    points_finish(&stage.owner);
    ck_assert_ptr_null(stage.owning.block);
    release(stage.asker, LIMIT);
    points_finish(&stage.clearer);
    clear_stage(&stage, 0, 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_shelf__cleared_between_compare_and_take,
        test_shelf__cleared_between_take_and_look,
        test_shelf__take_before_barrier_stands,
        test_shelf__take_after_barrier_stands,
        test_shelf__take_after_read_is_lost,
        test_shelf__second_clear_between_take_and_look,
        test_shelf__cleared_between_put_and_look,
        test_shelf__cleared_between_cell_and_put,
        test_shelf__put_before_barrier_is_taken,
        test_shelf__put_after_barrier_is_taken,
        test_shelf__put_after_read_is_withdrawn,
        test_shelf__shut_while_recalled,
        test_shelf__purged_between_cell_and_put,
        test_shelf__purged_between_put_and_look,
        test_shelf__put_while_purged_is_withdrawn,
        test_shelf__refusal_counts_a_block_that_was_taken,
        test_shelf__refusal_before_a_block_is_taken,
    };
    return run_in_both_orderings("points/shelf", tests, RN_COUNT(tests));
}

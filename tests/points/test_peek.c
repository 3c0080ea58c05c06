/* SPDX-License-Identifier: Apache-2.0
 *
 * The interleavings of an owner who changes the tree of its contexts with who peeks at it, each
 * held to its course by the director (context.c, "Peeking"). Both orderings (_i). */
#include "memory/context.h"
#include "tests/points/acts.h"

#define MOST 4

typedef struct scene {
    fixture world;
    rn_slot *slot;
    ration_context *root, *made;
    ration_context_figures figures[MOST];
    size_t count;
    points_actor owner, reader;
} scene;

static void act_create(void *argument)
{
    scene *self = (scene *)argument;
    ck_assert_int_eq(ration_context_create(self->root, &self->slot->hot, RATION_CONTEXT_BUMP,
                                           "made", &self->made),
                     RATION_OK);
}

static void act_peek(void *argument)
{
    scene *self = (scene *)argument;
    rn_ledger_lock(self->world.ledger);
    self->count = rn_slots_peek(self->world.ledger, &self->slot, 1, self->figures, MOST);
    rn_ledger_unlock(self->world.ledger);
}

static void set_stage(scene *stage, bool seq_cst)
{
    *stage = (scene){.world = fixture_open(MIB, INT64_MAX, 64 * 1024, seq_cst)};
    stage->slot = open_slot(stage->world.first);
    ck_assert_int_eq(
        ration_context_create(NULL, &stage->slot->hot, RATION_CONTEXT_SET, "root", &stage->root),
        RATION_OK);
    points_start(&stage->owner, "owner", act_create, stage);
    points_start(&stage->reader, "reader", act_peek, stage);
}

static void clear_stage(scene *stage)
{
    act_peek(stage);
    ck_assert_uint_eq(stage->count, 2);
    ck_assert_str_eq(stage->figures[0].name, "root");
    ck_assert_int_eq(stage->figures[0].below, 1);
    ck_assert_str_eq(stage->figures[1].name, "made");
    ck_assert_int_eq(stage->figures[1].depth, 1);
    check_audit(&stage->world);
    ration_context_delete(stage->root);
    act_peek(stage);
    ck_assert_uint_eq(stage->count, 0);
    rn_slot_close(stage->slot);
    fixture_close(&stage->world);
}

/* The owner has said that it is busy and not looked: it finds the tree shut, lets go of it, and
 * waits until it has been read. */
START_TEST(test_peek__owner_finds_the_tree_shut)
{
    scene stage;
    set_stage(&stage, _i != 0);
    points_run_to(&stage.owner, "tree.busy");
    points_run_to(&stage.reader, "peek.fenced");
    points_let_go(&stage.owner);
    points_await_stuck(&stage.owner);
    ck_assert(!points_ended(&stage.owner));
    points_finish(&stage.reader);
    ck_assert_uint_eq(stage.count, 1);
    points_finish(&stage.owner);
    clear_stage(&stage);
}
END_TEST

/* The owner is in the middle: who peeks waits for it, however long it takes, and sees all. */
START_TEST(test_peek__waits_for_the_owner)
{
    scene stage;
    set_stage(&stage, _i != 0);
    points_run_to(&stage.owner, "tree.entered");
    points_run_to(&stage.reader, "peek.waiting");
    points_finish(&stage.owner);
    points_finish(&stage.reader);
    ck_assert_uint_eq(stage.count, 2);
    clear_stage(&stage);
}
END_TEST

/* One who waited is in: the next who peeks waits for it. */
START_TEST(test_peek__owner_enters_after_one_wait)
{
    scene stage;
    set_stage(&stage, _i != 0);
    points_run_to(&stage.owner, "tree.busy");
    points_run_to(&stage.reader, "peek.fenced");
    points_aim(&stage.owner, "tree.entered");
    points_await_stuck(&stage.owner); /* at the lock: the tree is shut */
    points_finish(&stage.reader);
    points_await(&stage.owner);
    points_actor next;
    points_start(&next, "next reader", act_peek, &stage);
    points_run_to(&next, "peek.waiting");
    points_finish(&stage.owner);
    points_finish(&next);
    ck_assert_uint_eq(stage.count, 2);
    clear_stage(&stage);
}
END_TEST

/* Who is cancelled while it waits for the owner, with the lock held, goes on to the end. */
START_TEST(test_peek__is_no_cancellation_point)
{
    scene stage;
    set_stage(&stage, _i != 0);
    points_run_to(&stage.owner, "tree.entered");
    points_run_to(&stage.reader, "peek.waiting");
    points_let_go(&stage.reader);
    points_await_stuck(&stage.reader);
    ck_assert_int_eq(pthread_cancel(stage.reader.thread), 0);
    points_finish(&stage.owner);
    points_finish(&stage.reader);
    ck_assert_uint_eq(stage.count, 2);
    clear_stage(&stage);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_peek__owner_finds_the_tree_shut,
        test_peek__waits_for_the_owner,
        test_peek__owner_enters_after_one_wait,
        test_peek__is_no_cancellation_point,
    };
    return run_in_both_orderings("points/peek", tests, RN_COUNT(tests));
}

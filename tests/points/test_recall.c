/* SPDX-License-Identifier: Apache-2.0
 *
 * The interleavings of a recall with the owners it recalls from, each held to its course by the
 * director. One owner has charged HELD bytes and sits on credit; an asker in another pool recalls
 * it. Whatever the course, charged + credit stay within LIMIT, the asker gets what is free to the
 * byte, and a no is true. Every test runs with both orderings (_i).
 *
 * What needs the hardware's reordering (a missing barrier) is not seen here: tests/memory. */
#include "tests/points/acts.h"

#define LIMIT MIB
#define HELD 1000
#define MORE 500 /* charged or released by the owner while the recall is under way */

typedef struct scene {
    fixture world;
    act owning, asking;
    points_actor owner, asker;
} scene;

/* The owner holds HELD and credit, and is about to charge or release MORE; the asker is about to
 * ask for `asked_bytes`. Both are held before it. The owner's slot is the one that a recall reads
 * first. */
static void set_stage(scene *stage, bool seq_cst, void (*owners_act)(void *argument),
                      int64_t asked_bytes)
{
    stage->world = fixture_open(LIMIT, INT64_MAX, 64 * 1024, seq_cst);
    stage->owning = (act){.slot = open_slot(stage->world.second), .bytes = MORE};
    stage->asking = (act){.slot = open_slot(stage->world.first), .bytes = asked_bytes};
    ck_assert_int_eq(charge(stage->owning.slot, HELD), RATION_OK);
    ck_assert_int_gt(read_pool(stage->world.second).credit_bytes, MORE);
    points_start(&stage->owner, "owner", owners_act, &stage->owning);
    points_start(&stage->asker, "asker", act_charge, &stage->asking);
}

static int64_t owner_used(const scene *stage)
{
    return rn_slot_used(stage->owning.slot);
}

/* Both have ended. The sum is exact, and what is left can be charged to the byte by either. */
static void clear_stage(scene *stage)
{
    const fixture *world = &stage->world;
    check_audit(world);
    rn_slot *owner = stage->owning.slot;
    rn_slot *asker = stage->asking.slot;
    ck_assert(rn_slot_check(owner));
    ck_assert(rn_slot_check(asker));
    int64_t charged = rn_slot_used(owner) + rn_slot_used(asker);
    ck_assert_int_le(charged, LIMIT);
    ck_assert_int_eq(read_pool(world->root).charged_bytes, charged);
    ck_assert_int_le(read_pool(world->root).peak_bytes, LIMIT);
    ck_assert_int_eq(charge(asker, LIMIT - charged + 1), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(asker->no.charged_bytes, charged);
    ck_assert_int_eq(charge(asker, LIMIT - charged), RATION_OK);
    ck_assert_int_eq(charge(owner, 1), RATION_GLOBAL_LIMIT);
    release(asker, rn_slot_used(asker));
    release(owner, rn_slot_used(owner));
    rn_slot_close(owner);
    rn_slot_close(asker);
    fixture_close(&stage->world);
}

/* --------------------------------------------------------------------------------------- charge */

/* The owner has compared and not published: the recall cannot know, and takes the credit away. */
START_TEST(test_recall__whole_between_compare_and_publish)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD);
    points_run_to(&stage.owner, "charge.compared");
    points_finish(&stage.asker);
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(stage.owning.slot->no.charged_bytes, LIMIT);
    ck_assert_int_eq(owner_used(&stage), HELD);
    clear_stage(&stage);
}
END_TEST

/* The owner has published and not compared again: the recall leaves it what it published. */
START_TEST(test_recall__whole_between_publish_and_second_compare)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD - MORE);
    points_run_to(&stage.owner, "charge.published");
    points_finish(&stage.asker);
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    ck_assert_int_eq(owner_used(&stage), HELD + MORE);
    clear_stage(&stage);
}
END_TEST

/* The owner compares, the asker recalls as far as `point`, the owner publishes, sees its slot
 * closed and waits; the asker goes on. */
static void publish_at(scene *stage, const char *point)
{
    points_run_to(&stage->owner, "charge.compared");
    points_run_to(&stage->asker, point);
    points_run_to(&stage->owner, "charge.published");
    points_let_go(&stage->owner);
    points_await_stuck(&stage->owner);
    ck_assert(!points_ended(&stage->owner));
    points_finish(&stage->asker);
    points_finish(&stage->owner);
}

/* Read as charged, so it is granted: nobody may have its credit meanwhile. */
START_TEST(test_recall__charge_published_between_close_and_barrier)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD - MORE);
    publish_at(&stage, "recall.closed");
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

START_TEST(test_recall__charge_published_between_barrier_and_read)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD - MORE);
    publish_at(&stage, "recall.fenced");
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* The bytes the owner published are as good as charged: the asker's no is the owner's yes. */
START_TEST(test_recall__refusal_that_counts_a_published_charge)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD);
    publish_at(&stage, "recall.fenced");
    ck_assert_int_eq(stage.asking.status, RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(stage.asking.slot->no.charged_bytes, HELD + MORE);
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* `used` was read before: the recall must keep to what it read, or the credit is there twice. */
START_TEST(test_recall__charge_published_after_read)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD);
    publish_at(&stage, "recall.read");
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    ck_assert_int_eq(stage.owning.status, RATION_GLOBAL_LIMIT);
    clear_stage(&stage);
}
END_TEST

/* A charge that begins while its slot is closed waits; it must not pass on what was just read. */
START_TEST(test_recall__charge_begun_after_read)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD);
    points_run_to(&stage.asker, "recall.read");
    points_let_go(&stage.owner);
    points_await_stuck(&stage.owner);
    ck_assert(!points_ended(&stage.owner));
    ck_assert_int_eq(owner_used(&stage), HELD);
    points_finish(&stage.asker);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    ck_assert_int_eq(stage.owning.status, RATION_GLOBAL_LIMIT);
    clear_stage(&stage);
}
END_TEST

/* What is refused was never there to be seen. */
START_TEST(test_recall__giant_is_never_published)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD + 1);
    points_run_to(&stage.asker, "slow.locked");
    ck_assert_int_eq(rn_slot_used(stage.asking.slot), 0);
    points_finish(&stage.asker);
    ck_assert_int_eq(stage.asking.status, RATION_GLOBAL_LIMIT);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* -------------------------------------------------------------------------------------- release */

/* The recall sees the lower `used`; the owner then finds nothing more to take home. */
START_TEST(test_recall__whole_between_a_releases_store_and_load)
{
    scene stage;
    set_stage(&stage, _i != 0, act_release, LIMIT - HELD + MORE);
    points_run_to(&stage.owner, "release.published");
    points_finish(&stage.asker);
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    points_finish(&stage.owner);
    ck_assert_int_eq(read_pool(stage.world.root).credit_bytes, 0);
    clear_stage(&stage);
}
END_TEST

/* The owner releases while the asker is held at `point`, and waits for the lock. */
static void release_at(scene *stage, const char *point)
{
    points_run_to(&stage->asker, point);
    points_let_go(&stage->owner);
    points_await_stuck(&stage->owner);
    ck_assert(!points_ended(&stage->owner));
    points_finish(&stage->asker);
    points_finish(&stage->owner);
    ck_assert_int_eq(read_pool(stage->world.root).credit_bytes, 0);
}

START_TEST(test_recall__release_between_close_and_read)
{
    scene stage;
    set_stage(&stage, _i != 0, act_release, LIMIT - HELD + MORE);
    release_at(&stage, "recall.closed");
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* Too late for this recall: the no was true when all were closed. The owner itself takes the bytes
 * home, or the pool would hold credit that no recall looks for. */
START_TEST(test_recall__release_after_read)
{
    scene stage;
    set_stage(&stage, _i != 0, act_release, LIMIT - HELD + 1);
    release_at(&stage, "recall.read");
    ck_assert_int_eq(stage.asking.status, RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(stage.asking.slot->no.charged_bytes, HELD);
    clear_stage(&stage);
}
END_TEST

/* ---------------------------------------------------------------------------------- the lock */

/* The second finds a drained pool: nothing to recall, and what the first left. */
START_TEST(test_recall__two_recallers)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD - 10);
    rn_slot *third = open_slot(stage.world.first);
    act third_asking = {.slot = third, .bytes = 11};
    points_actor second;
    points_start(&second, "second asker", act_charge, &third_asking);
    points_run_to(&stage.asker, "recall.closed");
    points_let_go(&second);
    points_await_stuck(&second);
    ck_assert(!points_ended(&second));
    points_finish(&stage.asker);
    points_finish(&second);
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    ck_assert_int_eq(third_asking.status, RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(third->no.recalled_bytes, 0);
    ck_assert_int_eq(third->no.charged_bytes, LIMIT - 10);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_GLOBAL_LIMIT);
    rn_slot_close(third);
    clear_stage(&stage);
}
END_TEST

/* What a refill grants just before the recall gets the lock is recalled with the rest. */
START_TEST(test_recall__waits_for_a_refill)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD - 100 * 1024);
    stage.owning.bytes = 100 * 1024; /* more than its credit */
    points_run_to(&stage.owner, "slow.locked");
    points_let_go(&stage.asker);
    points_await_stuck(&stage.asker);
    ck_assert(!points_ended(&stage.asker));
    points_finish(&stage.owner);
    points_finish(&stage.asker);
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    clear_stage(&stage);
}
END_TEST

/* A slot that goes while it is being recalled from. */
START_TEST(test_recall__slot_closed_meanwhile)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD);
    rn_slot *idle = open_slot(stage.world.second);
    ck_assert_int_eq(charge(idle, MORE), RATION_OK);
    release(idle, MORE);
    act closing = {.slot = idle};
    points_actor closer;
    points_start(&closer, "closer", act_close, &closing);
    points_run_to(&stage.asker, "recall.read");
    points_let_go(&closer);
    points_await_stuck(&closer);
    ck_assert(!points_ended(&closer));
    points_finish(&stage.asker);
    points_finish(&closer);
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_GLOBAL_LIMIT);
    clear_stage(&stage);
}
END_TEST

/* --------------------------------------------------------------------------------- cut limits */

/* No grant after the cut: the comparison that passed before it does not count. */
START_TEST(test_recall__limit_cut_between_compare_and_publish)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, 1);
    points_run_to(&stage.owner, "charge.compared");
    rn_pool_set_limit(stage.world.root, HELD);
    ck_assert_int_eq(read_pool(stage.world.root).credit_bytes, 0);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_GLOBAL_LIMIT);
    points_finish(&stage.asker);
    ck_assert_int_eq(stage.asking.status, RATION_GLOBAL_LIMIT);
    rn_pool_set_limit(stage.world.root, LIMIT);
    clear_stage(&stage);
}
END_TEST

/* Published before the cut: charged before it. The pool is above its limit until it is released. */
START_TEST(test_recall__limit_cut_between_publish_and_second_compare)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, 1);
    points_run_to(&stage.owner, "charge.published");
    rn_pool_set_limit(stage.world.root, HELD);
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    ck_assert_int_eq(read_pool(stage.world.root).granted_bytes, HELD + MORE);
    points_finish(&stage.asker);
    ck_assert_int_eq(stage.asking.status, RATION_GLOBAL_LIMIT);
    release(stage.owning.slot, MORE + 1);
    ck_assert_int_eq(charge(stage.asking.slot, 1), RATION_OK);
    ck_assert_int_eq(charge(stage.owning.slot, 1), RATION_GLOBAL_LIMIT);
    rn_pool_set_limit(stage.world.root, LIMIT);
    clear_stage(&stage);
}
END_TEST

/* -------------------------------------------------------------------------- claims, new parents */

/* A claim made while a charge is on its way takes what is left, and a recall leaves it alone. */
START_TEST(test_recall__claim_between_compare_and_publish)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, LIMIT - HELD - 300 + 1);
    rn_no no;
    points_run_to(&stage.owner, "charge.compared");
    ck_assert(rn_pool_try_claim(stage.world.second, HELD + 300, &no));
    points_finish(&stage.owner); /* MORE, of which 300 are the claim's */
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    release(stage.owning.slot, MORE);
    points_finish(&stage.asker);
    ck_assert_int_eq(stage.asking.status, RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(charge(stage.asking.slot, LIMIT - HELD - 300), RATION_OK);
    (void)rn_pool_recall(stage.world.root);
    ck_assert_int_eq(read_pool(stage.world.second).granted_bytes, HELD + 300);
    ck_assert_int_eq(charge(stage.owning.slot, 301), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(charge(stage.owning.slot, 300), RATION_OK);
    release(stage.owning.slot, 300);
    ck_assert(rn_pool_try_claim(stage.world.second, 0, &no));
    clear_stage(&stage);
}
END_TEST

/* Moved with what it had charged, its credit left behind: the charge that had compared asks anew,
 * of the new way's limits. */
START_TEST(test_recall__pool_moved_between_compare_and_publish)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, 1);
    rn_no no;
    points_run_to(&stage.owner, "charge.compared");
    rn_pool_set_limit(stage.world.first, HELD + MORE - 1);
    ck_assert(rn_pool_set_parent(stage.world.second, stage.world.first, &no));
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_QUERY_LIMIT);
    ck_assert_int_eq(owner_used(&stage), HELD);
    points_finish(&stage.asker);
    ck_assert_int_eq(stage.asking.status, RATION_OK);
    ck_assert_int_eq(read_pool(stage.world.first).charged_bytes, HELD + 1);
    check_audit(&stage.world);
    ck_assert(rn_pool_set_parent(stage.world.second, stage.world.queries, &no));
    rn_pool_set_limit(stage.world.first, INT64_MAX);
    clear_stage(&stage);
}
END_TEST

/* Published, so charged: it moves along, or the move is refused because of it. */
START_TEST(test_recall__pool_moved_between_publish_and_second_compare)
{
    scene stage;
    set_stage(&stage, _i != 0, act_charge, 1);
    rn_no no;
    points_run_to(&stage.owner, "charge.published");
    rn_pool_set_limit(stage.world.first, HELD + MORE - 1);
    ck_assert(!rn_pool_set_parent(stage.world.second, stage.world.first, &no));
    ck_assert_int_eq(no.asked_bytes, HELD + MORE);
    rn_pool_set_limit(stage.world.first, HELD + MORE);
    ck_assert(rn_pool_set_parent(stage.world.second, stage.world.first, &no));
    points_finish(&stage.owner);
    ck_assert_int_eq(stage.owning.status, RATION_OK);
    points_finish(&stage.asker);
    ck_assert_int_eq(stage.asking.status, RATION_QUERY_LIMIT);
    check_audit(&stage.world);
    ck_assert(rn_pool_set_parent(stage.world.second, stage.world.queries, &no));
    rn_pool_set_limit(stage.world.first, INT64_MAX);
    clear_stage(&stage);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_recall__whole_between_compare_and_publish,
        test_recall__whole_between_publish_and_second_compare,
        test_recall__charge_published_between_close_and_barrier,
        test_recall__charge_published_between_barrier_and_read,
        test_recall__refusal_that_counts_a_published_charge,
        test_recall__charge_published_after_read,
        test_recall__charge_begun_after_read,
        test_recall__giant_is_never_published,
        test_recall__whole_between_a_releases_store_and_load,
        test_recall__release_between_close_and_read,
        test_recall__release_after_read,
        test_recall__two_recallers,
        test_recall__waits_for_a_refill,
        test_recall__slot_closed_meanwhile,
        test_recall__limit_cut_between_compare_and_publish,
        test_recall__limit_cut_between_publish_and_second_compare,
        test_recall__claim_between_compare_and_publish,
        test_recall__pool_moved_between_compare_and_publish,
        test_recall__pool_moved_between_publish_and_second_compare,
    };
    return run_in_both_orderings("points/recall", tests, RN_COUNT(tests));
}

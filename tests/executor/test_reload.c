/* SPDX-License-Identifier: Apache-2.0
 *
 * ration_governor_reload: what holds at once, what a running query keeps, what needs a restart, and
 * groups that come and go under their queries. */
#include <sys/mman.h>

#include "executor/admission.h"
#include "memory/pool.h"
#include "storage/spill_file.h"
#include "tests/executor/reload_world.h"

static int64_t limit_of(ration_pool *pool)
{
    ration_pool_figures figures;
    ration_pool_read(pool, &figures);
    return figures.limit_bytes;
}

static int64_t credit_of(ration_pool *pool)
{
    ration_pool_figures figures;
    ration_pool_read(pool, &figures);
    return figures.credit_bytes;
}

/* -------------------------------------------------------------------------------------- at once */

START_TEST(test_reload__limits_of_root_and_data_hold_at_once)
{
    ration_limits limits = usual();
    ration_governor *governor = open_governor_with(&limits);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    ck_assert_int_eq(ration_slot_try_charge(slot, 20 * MIB), RATION_OK);
    limits.limit_bytes = 16 * MIB;
    limits.data_limit_bytes = 4 * MIB;
    reload(governor, &limits);
    ck_assert_int_eq(limit_of(governor->root), 16 * MIB);
    ck_assert_int_eq(limit_of(governor->data), 4 * MIB);
    if (RN_GOVERNED) { /* accepted, and nothing more is granted above it */
        ck_assert_int_eq(ration_slot_try_charge(slot, 1), RATION_GLOBAL_LIMIT);
        ck_assert_int_eq(charged(governor->root), 20 * MIB);
    }
    limits.limit_bytes = 32 * MIB;
    limits.data_limit_bytes = 0;
    reload(governor, &limits);
    ck_assert_int_eq(limit_of(governor->data), INT64_MAX);
    ck_assert_int_eq(ration_slot_try_charge(slot, 12 * MIB), RATION_OK);
    ck_assert_int_eq(ration_slot_try_charge(slot, 1),
                     RN_GOVERNED ? RATION_GLOBAL_LIMIT : RATION_OK);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_reload__given_to_derived_and_back)
{
    ration_limits limits = usual();
    ration_governor *governor = open_governor_with(&limits);
    limits.limit_bytes = 0;
    limits.limit_ceiling_bytes = 48 * MIB;
    limits.untracked_reserved_bytes = 0;
    reload(governor, &limits);
    ck_assert_int_ne(limit_of(governor->root), 64 * MIB);
    ck_assert_int_ne(governor->limit_derived, 0);
    limits.limit_bytes = 32 * MIB;
    limits.limit_ceiling_bytes = 0;
    reload(governor, &limits);
    ck_assert_int_eq(limit_of(governor->root), 32 * MIB);
    ck_assert_int_eq(governor->limit_derived, 0);
    close_and_check(governor);
}
END_TEST

START_TEST(test_reload__newest_call_wins)
{
    ration_limits limits = usual();
    ration_governor_figures figures;
    ration_governor *governor = open_governor_with(&limits);
    ck_assert_int_eq(ration_governor_set_limit(governor, 10 * MIB), RATION_OK);
    reload(governor, &limits);
    ck_assert_int_eq(limit_of(governor->root), 64 * MIB);
    ck_assert_int_eq(ration_governor_set_limit(governor, 12 * MIB), RATION_OK);
    ck_assert_int_eq(limit_of(governor->root), 12 * MIB);
    ration_governor_read(governor, &figures);
    ck_assert_int_eq(figures.reloads, 1);
    close_and_check(governor);
}
END_TEST

START_TEST(test_reload__running_queries_keep_theirs)
{
    ration_limits limits = usual();
    limits.query_limit_bytes = 8 * MIB;
    limits.query_rows_max = 100;
    limits.check_interval = 10;
    ration_governor *governor = open_governor_with(&limits);
    ration_slot *slot, *later_slot;
    ration_query *query = open_query(governor, NULL, &slot);
    limits.query_limit_bytes = 2 * MIB;
    limits.query_rows_max = 7;
    limits.check_interval = 20;
    limits.query_wait_ms_max = 5;
    reload(governor, &limits);
    ration_query *later = open_query(governor, NULL, &later_slot);
    ck_assert_int_eq(limit_of(query->pool), 8 * MIB);
    ck_assert_int_eq(limit_of(later->pool), 2 * MIB);
    ck_assert_int_eq(query->rows_left, 100);
    ck_assert_int_eq(later->rows_left, 7);
    ck_assert_int_eq(query->settings->limits.check_interval, 10);
    ck_assert_int_eq(later->settings->limits.query_wait_ms_max, 5);
    ration_guard guard;
    ration_guard_begin(&guard, slot, "rows");
#ifndef RATION_HARD
    ck_assert_int_eq(guard.rows_interval, 10);
#endif
    ration_guard_end(&guard);
    ration_query_close(later);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_reload__chunks)
{
    support_skip_hard("no chunks");
    ration_limits limits = usual();
    limits.chunk_bytes_max = 4 * KIB;
    ration_governor *governor = open_governor_with(&limits);
    ration_slot *slot;
    ration_slot *near_slot;
    const ration_query_options options = {.size = sizeof options, .limit_bytes = MIB};
    ration_query *near = open_query(governor, &options, &near_slot);
    ration_query *query = open_query(governor, NULL, &slot);
    ck_assert_int_eq(ration_slot_try_charge(slot, 1), RATION_OK);
    ck_assert_int_eq(credit_of(query->pool), RN_GOVERNED ? 4 * KIB : 0);
    limits.chunk_bytes_max = MIB;
    reload(governor, &limits);
    ck_assert_int_eq(ration_slot_try_charge(slot, 8 * KIB), RATION_OK);
    ck_assert_int_eq(credit_of(query->pool), RN_GOVERNED ? MIB : 0);
    /* Near a limit a chunk is half of the room there is, also by the new measure. */
    ck_assert_int_eq(ration_slot_try_charge(near_slot, 8 * KIB), RATION_OK);
    ck_assert_int_eq(credit_of(near->pool), RN_GOVERNED ? (MIB - 8 * KIB) / 2 : 0);
    ration_query_close(near);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* Is a fresh block, that nobody has touched? */
static bool is_resident(ration_slot *slot)
{
    unsigned char pages[256];
    void *block;
    rn_slot *self = rn_slot_of(slot);
    ck_assert_int_eq(rn_block_acquire(self, MIB, &block), RATION_OK);
    ck_assert_int_eq(mincore(block, MIB, pages), 0);
    bool last = (pages[MIB / sysconf(_SC_PAGESIZE) - 1] & 1) != 0;
    rn_block_release(self, block, MIB);
    return last;
}

START_TEST(test_reload__how_pages_are_kept)
{
    ration_limits limits = usual();
    limits.retain_ms = 1000000;
    ration_governor *governor = open_governor_with(&limits);
    ration_slot *slot, *other_slot;
    ration_context *context;
    ration_query *query = open_query(governor, NULL, &slot);
    ration_query *other = open_query(governor, NULL, &other_slot);
    run_query(governor);
    ck_assert_int_ge(rn_blocks_mapped(governor->blocks), 10 * MIB);
    ck_assert(!is_resident(slot));
    limits.retain_ms = 0;
    limits.prefault = true;
    reload(governor, &limits);
    ck_assert_int_eq(rn_blocks_mapped(governor->blocks), 0);
    ck_assert(is_resident(slot));
    run_query(governor);
    ck_assert_int_eq(rn_blocks_mapped(governor->blocks), 0);
    /* A slot from before has its shelves still; a tick empties them, and so does its end. */
    ck_assert_int_eq(ration_context_create(NULL, other_slot, RATION_CONTEXT_SET, "old", &context),
                     RATION_OK);
    ration_context_delete(context);
    ration_query_close(other);
    ck_assert_int_eq(rn_blocks_mapped(governor->blocks), 0);
    ck_assert_int_eq(ration_context_create(NULL, slot, RATION_CONTEXT_SET, "old", &context),
                     RATION_OK);
    ration_context_delete(context);
    ration_governor_tick(governor);
    ck_assert_int_eq(rn_blocks_mapped(governor->blocks), 0);
    ck_assert(rn_blocks_check(governor->blocks));
    limits.retain_ms = 1000000;
    reload(governor, &limits);
    run_query(governor);
    ck_assert_int_ge(rn_blocks_mapped(governor->blocks), 10 * MIB);
    ck_assert(rn_blocks_check(governor->blocks));
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_reload__quotas_of_what_is_written_out)
{
    ration_limits limits = usual();
    limits.spill_bytes_max = 100 * MIB;
    add_group(&limits, "batch", 0)->spill_bytes_max = 50 * MIB;
    ration_governor *governor = open_governor_with(&limits);
    ration_slot *slot;
    ration_query *query = open_in(governor, "batch", &slot);
    const rn_spill_quota *chain = query->spill_quota.parent;
    ck_assert_int_eq(rn_load(&chain->limit_bytes), 50 * MIB);
    ck_assert(rn_spill_quota_charge(&query->spill_quota, 20 * MIB) == NULL);
    limits.spill_bytes_max = 10 * MIB;
    limits.spill_free_bytes_min = 3 * MIB;
    limits.spill_query_bytes_max = MIB;
    limits.groups[0].spill_bytes_max = 30 * MIB;
    reload(governor, &limits);
    ck_assert_int_eq(rn_load(&chain->limit_bytes), 30 * MIB);
    ck_assert_int_eq(rn_load(&chain->parent->limit_bytes), 10 * MIB);
    ck_assert_int_eq(rn_load(&governor->volume->free_bytes_min), 3 * MIB);
    ck_assert_int_eq(query->spill_quota.limit_bytes, 0); /* its own is as it was */
    /* What is written stays; no more is. */
    ck_assert(rn_spill_quota_charge(&query->spill_quota, 1) == chain->parent);
    rn_spill_quota_release(&query->spill_quota, 15 * MIB);
    ck_assert(rn_spill_quota_charge(&query->spill_quota, 1) == NULL);
    rn_spill_quota_release(&query->spill_quota, 5 * MIB + 1);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

/* --------------------------------------------------------------------------------------- groups */

START_TEST(test_reload__words_of_a_group_hold_at_once)
{
    ration_limits limits = usual();
    ration_group *batch = add_group(&limits, "batch", 16 * MIB);
    batch->query_limit_bytes = 4 * MIB;
    ration_governor *governor = open_governor_with(&limits);
    ration_slot *slot, *later_slot;
    ration_query *query = open_in(governor, "batch", &slot);
    ration_pool *pool = query->group->pool;
    ck_assert_int_eq(rn_query_priority(query), 0);
    batch->limit_bytes = 2 * MIB;
    batch->query_limit_bytes = MIB;
    batch->share = 7;
    batch->priority = 3;
    batch->queries_max = 5;
    reload(governor, &limits);
    ck_assert_ptr_eq(rn_group_find(governor, "batch")->pool, pool);
    ck_assert_int_eq(limit_of(pool), 2 * MIB);
    ck_assert_int_eq(pool->weight, 7);
    ck_assert_int_eq(rn_query_priority(query), 3);
    ck_assert_int_eq(query->group->queries_max, 5);
    ration_query *later = open_in(governor, "batch", &later_slot);
    ck_assert_int_eq(limit_of(query->pool), 4 * MIB);
    ck_assert_int_eq(limit_of(later->pool), MIB);
    if (RN_GOVERNED) {
        ck_assert_int_eq(ration_slot_try_charge(slot, 3 * MIB), RATION_GROUP_LIMIT);
    }
    batch->limit_bytes = 0;
    reload(governor, &limits);
    ck_assert_int_eq(ration_slot_try_charge(slot, 3 * MIB), RATION_OK);
    ration_query_close(later);
    ration_query_close(query);
    close_and_check(governor);
}
END_TEST

START_TEST(test_reload__groups_come_and_go)
{
    ration_limits limits = usual(), without = usual();
    ration_governor *governor = open_governor_with(&without);
    int64_t heap_bytes = rn_heap_bytes();
    ration_slot *slot;
    ration_query *query, *refused;
    const ration_query_options options = {.size = sizeof options, .group = "batch"};
    ration_error error;
    ck_assert_int_eq(ration_query_open(governor, &options, &refused, &error),
                     RATION_INVALID_ARGUMENT);
    add_group(&limits, "batch", 16 * MIB);
    add_group(&limits, "idle", 0);
    reload(governor, &limits);
    query = open_in(governor, "batch", &slot);
    ck_assert_int_eq(ration_slot_try_charge(slot, 10 * MIB), RATION_OK);
    reload(governor, &without);
    ck_assert_ptr_null(rn_group_find(governor, "idle"));     /* gone at once */
    ck_assert_ptr_nonnull(rn_group_find(governor, "batch")); /* with its last query */
    ck_assert_ptr_null(find_open_group(governor, "batch"));
    ck_assert_int_eq(ration_query_open(governor, &options, &refused, &error),
                     RATION_INVALID_ARGUMENT);
    ck_assert_msg(strstr(support_error(&error), "no group 'batch'") != NULL, "%s",
                  support_error(&error));
    if (RN_GOVERNED) { /* its limit holds for those it has */
        ck_assert_int_eq(ration_slot_try_charge(slot, 10 * MIB), RATION_GROUP_LIMIT);
        ration_refusal refusal;
        ck_assert(ration_query_refusal(query, &refusal));
        ck_assert_str_eq(refusal.pool, "root/queries/batch");
        ck_assert_str_eq(refusal.key, "groups.batch.limit_bytes");
    }
    ration_query_close(query);
    ck_assert_ptr_null(governor->groups);
    ck_assert_int_eq(rn_heap_bytes(), heap_bytes);
    close_and_check(governor);
}
END_TEST

START_TEST(test_reload__group_is_named_again_while_it_drains)
{
    ration_limits limits = usual(), without = usual();
    add_group(&limits, "batch", 16 * MIB);
    ration_governor *governor = open_governor_with(&limits);
    int64_t heap_bytes = rn_heap_bytes();
    ration_slot *slot, *later_slot;
    ration_query *query = open_in(governor, "batch", &slot);
    ration_pool *pool = query->group->pool;
    ck_assert_int_eq(ration_slot_try_charge(slot, MIB), RATION_OK);
    reload(governor, &without);
    limits.groups[0].limit_bytes = 8 * MIB;
    reload(governor, &limits);
    ration_query *later = open_in(governor, "batch", &later_slot);
    ck_assert_ptr_eq(later->group->pool, pool);
    ck_assert_int_eq(limit_of(pool), 8 * MIB);
    ration_query_close(query);
    ration_query_close(later);
    ck_assert_ptr_nonnull(find_open_group(governor, "batch"));
    ck_assert_int_eq(rn_heap_bytes(), heap_bytes);
    close_and_check(governor);
}
END_TEST

/* All 64 of one file make room for 64 others, while those of the first drain. */
START_TEST(test_reload__all_groups_at_once)
{
    ration_limits old = usual(), new = usual();
    ration_slot *slot;
    ration_query *queries[RATION_GROUPS_MAX];
    for (int i = 0; i < RATION_GROUPS_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "old%d", i);
        add_group(&old, name, MIB);
        (void)snprintf(name, sizeof name, "new%d", i);
        add_group(&new, name, MIB);
    }
    ration_governor *governor = open_governor_with(&old);
    for (int i = 0; i < RATION_GROUPS_MAX; i++) {
        queries[i] = open_in(governor, old.groups[i].name, &slot);
    }
    reload(governor, &new);
    rn_group_figures figures;
    int64_t count = 0;
    for (; rn_group_read(governor, count, &figures); count++) {
        ck_assert_str_eq(figures.name, new.groups[count].name);
        ck_assert_int_eq(figures.limit_bytes, MIB);
    }
    ck_assert_int_eq(count, RATION_GROUPS_MAX);
    for (int i = 0; i < RATION_GROUPS_MAX; i++) {
        ration_query_close(queries[i]);
        ck_assert_ptr_null(rn_group_find(governor, old.groups[i].name));
    }
    close_and_check(governor);
}
END_TEST

/* ------------------------------------------------------------------------------------ admission */

static ration_query *claim_in(ration_governor *governor, const char *group, ration_answer expected)
{
    ration_slot *slot;
    ration_query *query = open_in(governor, group, &slot);
    ck_assert_int_eq(ration_query_try_claim(query, MIB, "plan").answer, expected);
    return query;
}

static bool is_woken(const ration_query *query)
{
    return rn_ticket_read(query->entry) != RN_TICKET_RESTING;
}

START_TEST(test_reload__gate_opens)
{
    if (!RN_GOVERNED) {
        return; /* nobody waits */
    }
    ration_limits limits = usual();
    add_group(&limits, "batch", 0)->queries_max = 1;
    ration_governor *governor = open_governor_with(&limits);
    ration_query *first = claim_in(governor, "batch", RATION_GRANTED);
    ration_query *second = claim_in(governor, "batch", RATION_WAIT);
    limits.groups[0].queries_max = 2;
    reload(governor, &limits);
    ck_assert(is_woken(second));
    ck_assert_int_eq(ration_query_try_claim(second, MIB, "plan").answer, RATION_GRANTED);
    ration_query_close(second);
    ration_query_close(first);
    close_and_check(governor);
}
END_TEST

START_TEST(test_reload__priorities_and_bounds_of_those_who_wait)
{
    if (!RN_GOVERNED) {
        return; /* nobody waits */
    }
    ration_limits limits = usual();
    add_group(&limits, "low", 0)->queries_max = 1;
    add_group(&limits, "high", 0)->queries_max = 1;
    limits.groups[1].priority = 5;
    limits.admission_wait_ms_max = 600000;
    ration_governor *governor = open_governor_with(&limits);
    ration_query *running[] = {claim_in(governor, "low", RATION_GRANTED),
                               claim_in(governor, "high", RATION_GRANTED)};
    ration_query *low = claim_in(governor, "low", RATION_WAIT);
    ration_query *high = claim_in(governor, "high", RATION_WAIT);
    ck_assert_ptr_eq(governor->first_turn, high);
    limits.groups[0].priority = 9;
    limits.admission_queue_max = 2;
    reload(governor, &limits);
    ck_assert_ptr_eq(governor->first_turn, low);
    ck_assert_ptr_eq(low->turn_next, high);
    ck_assert_ptr_null(high->turn_next);
    ration_slot *slot;
    ration_query *third = open_in(governor, "low", &slot);
    ck_assert_int_eq(ration_query_try_claim(third, MIB, "plan").status, RATION_QUEUE_FULL);
    limits.admission_wait_ms_max = 1;
    reload(governor, &limits);
    ck_assert_int_eq(usleep(5000), 0);
    ck_assert_int_eq(ration_query_try_claim(high, MIB, "plan").status, RATION_QUEUE_TIMEOUT);
    ration_query_close(third);
    ration_query_close(high);
    ration_query_close(low);
    ration_query_close(running[0]);
    ration_query_close(running[1]);
    close_and_check(governor);
}
END_TEST

/* ------------------------------------------------------------------------------------- refusals */

static void expect_refused(ration_governor *governor, const ration_limits *limits,
                           ration_status status, const char *const *words)
{
    ration_error error;
    rn_settings *before = governor->settings;
    int64_t heap_bytes = rn_heap_bytes();
    ck_assert_int_eq(ration_governor_reload(governor, limits, &error), status);
    for (; *words != NULL; words++) {
        ck_assert_msg(strstr(support_error(&error), *words) != NULL, "%s", support_error(&error));
    }
    ck_assert_int_eq(ration_governor_reload(governor, limits, NULL), status);
    ck_assert_ptr_eq(governor->settings, before);
    ck_assert_int_eq(rn_heap_bytes(), heap_bytes);
    ck_assert_int_eq(limit_of(governor->root), before->limits.limit_bytes);
    ck_assert_ptr_null(governor->groups);
}

#define EXPECT_REFUSED(governor, limits, status, ...)                                              \
    expect_refused(governor, limits, status, (const char *const[]){__VA_ARGS__, NULL})

START_TEST(test_reload__some_keys_need_a_restart)
{
    ration_limits limits = usual(), wanted;
    rn_copy_text(limits.spill_directory, sizeof limits.spill_directory, "/var/tmp");
    ration_governor *governor = open_governor_with(&limits);
    wanted = limits;
    wanted.limit_bytes = 10 * MIB; /* nor does this */
    add_group(&wanted, "batch", 0);
    rn_copy_text(wanted.spill_directory, sizeof wanted.spill_directory, "/tmp");
    EXPECT_REFUSED(governor, &wanted, RATION_CONFIG, "spill_directory", "/var/tmp", "to /tmp");
    rn_copy_text(wanted.spill_directory, sizeof wanted.spill_directory, "/var/tmp");
    wanted.spill_allow_memory = !limits.spill_allow_memory;
    EXPECT_REFUSED(governor, &wanted, RATION_CONFIG, "spill_allow_memory", "from false to true");
    wanted.spill_allow_memory = limits.spill_allow_memory;
    rn_copy_text(wanted.registry_directory, sizeof wanted.registry_directory, "/elsewhere");
    EXPECT_REFUSED(governor, &wanted, RATION_CONFIG, "registry_directory", "to /elsewhere",
                   "set it back");
    rn_copy_text(wanted.registry_directory, sizeof wanted.registry_directory,
                 limits.registry_directory);
    reload(governor, &wanted);
    ck_assert_int_eq(limit_of(governor->root), 10 * MIB);
    close_and_check(governor);
}
END_TEST

START_TEST(test_reload__what_is_no_good_changes_nothing)
{
    ration_limits limits = usual(), wanted;
    ration_governor *governor = open_governor_with(&limits);
    wanted = limits;
    wanted.check_interval = -5;
    wanted.limit_bytes = 10 * MIB;
    EXPECT_REFUSED(governor, &wanted, RATION_CONFIG, "check_interval");
    wanted = limits;
    add_group(&wanted, "twice", 0);
    add_group(&wanted, "twice", 0);
    EXPECT_REFUSED(governor, &wanted, RATION_CONFIG, "one name");
    wanted.size = 8;
    EXPECT_REFUSED(governor, &wanted, RATION_INVALID_ARGUMENT, "version");
    EXPECT_REFUSED(governor, NULL, RATION_INVALID_ARGUMENT, "ration_limits_default");
    wanted = limits;
    wanted.limit_bytes = 0; /* nothing is left to derive */
    wanted.limit_floor_bytes = INT64_C(1) << 59;
    wanted.untracked_reserved_bytes = INT64_C(1) << 40;
    EXPECT_REFUSED(governor, &wanted, RATION_ENVIRONMENT, "no memory to govern");
    close_and_check(governor);
    ck_assert_int_eq(ration_governor_reload(NULL, &limits, NULL), RATION_INVALID_ARGUMENT);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_reload__limits_of_root_and_data_hold_at_once,
        test_reload__given_to_derived_and_back,
        test_reload__newest_call_wins,
        test_reload__running_queries_keep_theirs,
        test_reload__chunks,
        test_reload__how_pages_are_kept,
        test_reload__quotas_of_what_is_written_out,
        test_reload__words_of_a_group_hold_at_once,
        test_reload__groups_come_and_go,
        test_reload__group_is_named_again_while_it_drains,
        test_reload__all_groups_at_once,
        test_reload__some_keys_need_a_restart,
        test_reload__what_is_no_good_changes_nothing,
        test_reload__gate_opens,
        test_reload__priorities_and_bounds_of_those_who_wait,
    };
    return support_run("executor/reload", tests, RN_COUNT(tests));
}

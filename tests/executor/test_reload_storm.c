/* SPDX-License-Identifier: Apache-2.0
 *
 * Reloads that meet something: each allocation that fails, a fork, other processes, and threads
 * that open, charge and close queries meanwhile. */
#include <sched.h>

#include "executor/monitor_look.h"
#include "tests/executor/reload_world.h"

/* ------------------------------------------------------------------------------- all or nothing */

/* What anybody can see of the limits in force. */
static void describe(ration_governor *governor, char *text, size_t capacity)
{
    rn_text out = rn_text_over(text, capacity);
    rn_group_figures figures;
    rn_text_format(
        &out, "root %lld data %lld keeps %lld quota %lld", (long long)rn_pool_limit(governor->root),
        (long long)rn_pool_limit(governor->data), (long long)governor->settings->limits.retain_ms,
        (long long)rn_spill_volume_quota(governor->volume)->limit_bytes);
    for (int64_t i = 0; rn_group_read(governor, i, &figures); i++) {
        rn_text_format(&out, " %s %lld", figures.name, (long long)figures.pool.limit_bytes);
    }
}

/* Both have a group that the other has not, and one that is in both. */
static void make_two(ration_limits *old, ration_limits *new)
{
    *old = usual();
    *new = usual();
    add_group(old, "leaves", MIB);
    add_group(old, "stays", 2 * MIB);
    add_group(new, "stays", 3 * MIB);
    add_group(new, "comes", 4 * MIB);
    add_group(new, "too", 5 * MIB);
    new->limit_bytes = 32 * MIB;
    new->data_limit_bytes = 8 * MIB;
    new->retain_ms = 7;
    new->spill_bytes_max = MIB;
}

static void expect_all_or_nothing(bool follow)
{
    ration_limits old, new;
    ration_error error;
    ration_slot *slot;
    char before[1000], after[1000], folder[256];
    (void)snprintf(folder, sizeof folder, "%s", support_folder());
    make_two(&old, &new);
    new.enable_system_monitor = follow;
    rn_copy_text(old.registry_directory, sizeof old.registry_directory, folder);
    rn_copy_text(new.registry_directory, sizeof new.registry_directory, folder);
    ration_governor *governor = open_governor_with(&old);
    ration_query *query = open_in(governor, "leaves", &slot);
    describe(governor, before, sizeof before);
    int64_t heap_bytes = rn_heap_bytes(), n = 1;
    for (;; n++) {
        rn_heap_fail_after(n, n % 2 == 0);
        ration_status status = ration_governor_reload(governor, &new, &error);
        rn_heap_fail_after(0, false);
        if (status == RATION_OK) {
            break;
        }
        ck_assert_int_eq(status, RATION_NO_MEMORY);
        describe(governor, after, sizeof after);
        ck_assert_str_eq(after, before);
        ck_assert_int_eq(rn_heap_bytes(), heap_bytes);
        ck_assert_ptr_nonnull(find_open_group(governor, "leaves"));
        ck_assert_int_eq(governor->reloads, 0);
        check_audit(governor);
    }
    ck_assert_int_gt(n, 5); /* settings, and two for each new group */
    describe(governor, after, sizeof after);
    ck_assert_str_eq(after, "root 33554432 data 8388608 keeps 7 quota 1048576 stays 3145728 "
                            "comes 4194304 too 5242880");
    ration_query_close(query);
    close_and_check(governor);
    support_remove(folder);
}

START_TEST(test_reload_storm__no_memory_changes_nothing)
{
    expect_all_or_nothing(false);
    expect_all_or_nothing(true); /* from then on it follows the machine */
}
END_TEST

/* --------------------------------------------------------------------------------- fork, others */

static void await(pid_t child)
{
    int status = 0;
    ck_assert_int_ge(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
}

/* The child finds reload and monitor taken by a thread that it does not have. */
START_TEST(test_reload_storm__forked_while_somebody_reloads)
{
    ration_limits old, new;
    make_two(&old, &new);
    ration_governor *governor = open_governor_with(&old);
    governor->reloader = getpid();
    ck_assert_int_eq(pthread_mutex_lock(&governor->monitor->lock), 0);
    pid_t child = fork();
    if (child == 0) {
        bool done = ration_governor_reload(governor, &new, NULL) == RATION_OK &&
                    rn_pool_limit(governor->root) == 32 * MIB && governor->reloader == 0;
        _exit(done ? 0 : 1);
    }
    await(child);
    governor->reloader = 0;
    ck_assert_int_eq(pthread_mutex_unlock(&governor->monitor->lock), 0);
    ck_assert_int_eq(rn_pool_limit(governor->root), 64 * MIB);
    close_and_check(governor);
}
END_TEST

static ration_governor *open_shared(const ration_limits *limits, const char *path)
{
    ration_governor *governor;
    ration_error error;
    support_ok(ration_governor_open_shared(limits, path, &governor, &error), &error);
    return governor;
}

/* What is common changes for both, groups for the one. */
START_TEST(test_reload_storm__shared_governor)
{
    ration_limits old, new;
    ration_slot *slot;
    char path[300];
    make_two(&old, &new);
    (void)snprintf(path, sizeof path, "%s/governor", support_folder());
    ration_governor *one = open_shared(&old, path), *other = open_shared(&old, path);
    ration_query *query = open_in(one, "leaves", &slot);
    reload(one, &new);
    ck_assert_int_eq(rn_pool_limit(other->root), 32 * MIB);
    ck_assert_int_eq(rn_pool_limit(other->all_data), 8 * MIB);
    ck_assert_ptr_nonnull(find_open_group(other, "leaves"));
    ck_assert_ptr_null(find_open_group(one, "leaves"));
    pid_t child = fork();
    if (child == 0) { /* it may close them, and no more */
        bool refused = ration_governor_reload(one, &new, NULL) == RATION_INVALID_ARGUMENT;
        ration_query_close(query);
        ration_governor_close(one);
        ration_governor_close(other);
        _exit(refused && rn_heap_bytes() == 0 ? 0 : 1);
    }
    await(child);
    ration_query_close(query);
    check_audit(one);
    ration_governor_close(one);
    ration_governor_close(other);
    *strrchr(path, '/') = '\0';
    support_remove(path);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

/* ------------------------------------------------------------------------------------ the storm */

#define WORKERS 4
#define RELOADS 1000

typedef struct storm {
    ration_governor *governor;
    ration_limits *limits[2];
    int64_t stop;   /* atomic */
    int64_t done;   /* queries; atomic */
    int64_t turned; /* away, because their group had gone; atomic */
} storm;

/* A thread of it. */
typedef struct worker {
    storm *storm;
    uint64_t seed;
} worker;

static void work_on(storm *world, ration_query *query, ration_slot *slot, uint64_t draw)
{
    ration_guard guard;
    int64_t bytes = (int64_t)(draw % (64 * 1024)) + 1;
    ration_guard_begin(&guard, slot, "storm");
    for (int row = 0; row < 50; row++) {
        ration_status status = ration_guard_row(&guard, bytes);
        ck_assert_msg(status == RATION_OK || rn_is_refusal(status), "%s",
                      ration_status_name(status));
    }
    if (draw % 3 == 0) {
        ration_answer answer = ration_query_try_claim(query, bytes, "storm").answer;
        ck_assert(answer == RATION_GRANTED || answer == RATION_WAIT || answer == RATION_REFUSED);
    }
    ration_guard_end(&guard);
    (void)rn_fetch_add(&world->done, 1);
}

static void *run_worker(void *argument)
{
    worker *self = argument;
    storm *world = self->storm;
    static const char *const groups[] = {NULL, "leaves", "stays", "comes", "too"};
    while (rn_load(&world->stop) == 0) {
        self->seed = rn_hash_word(self->seed, 1);
        const ration_query_options options = {.size = sizeof options,
                                              .group = groups[self->seed % RN_COUNT(groups)]};
        ration_query *query;
        ration_slot *slot;
        ration_status status = ration_query_open(world->governor, &options, &query, NULL);
        if (status != RATION_OK) {
            ck_assert_int_eq(status, RATION_INVALID_ARGUMENT);
            (void)rn_fetch_add(&world->turned, 1);
            continue;
        }
        ck_assert_int_eq(ration_query_slot(query, &slot), RATION_OK);
        work_on(world, query, slot, self->seed >> 8);
        ration_query_close(query);
    }
    return NULL;
}

/* Reloads too, so that two want to at a time. */
static void *run_second(void *argument)
{
    storm *world = argument;
    for (int64_t i = 0; rn_load(&world->stop) == 0; i++) {
        ck_assert_int_eq(ration_governor_reload(world->governor, world->limits[i % 2], NULL),
                         RATION_OK);
        ration_governor_tick(world->governor);
        (void)sched_yield();
    }
    return NULL;
}

static void start_all(storm *world, worker *workers, pthread_t *threads, uint64_t seed)
{
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (worker){world, seed + (uint64_t)i};
        threads[i] = start(run_worker, &workers[i]);
    }
    threads[WORKERS] = start(run_second, world);
}

/* `follow`: each reload also divides the machine anew, and ticks look at it meanwhile. */
static void lose_nothing(bool follow, int reloads)
{
    ration_limits old, new;
    char folder[256];
    worker workers[WORKERS];
    pthread_t threads[WORKERS + 1];
    uint64_t seed = choose_seed(4711);
    (void)snprintf(folder, sizeof folder, "%s", support_folder());
    make_two(&old, &new);
    old.enable_system_monitor = new.enable_system_monitor = follow;
    rn_copy_text(old.registry_directory, sizeof old.registry_directory, folder);
    rn_copy_text(new.registry_directory, sizeof new.registry_directory, folder);
    old.limit_bytes = 4 * MIB; /* so that there are cuts, and refusals */
    new.limit_bytes = 2 * MIB;
    new.groups[0].queries_max = 1;
    ration_governor *governor = open_governor_with(&old);
    storm world = {.governor = governor, .limits = {&new, &old}};
    int64_t heap_bytes = rn_heap_bytes();
    start_all(&world, workers, threads, seed);
    for (int i = 0; i < reloads || rn_load(&world.done) < RELOADS; i++) {
        ck_assert_int_eq(ration_governor_reload(governor, world.limits[i % 2], NULL), RATION_OK);
        if (i % 100 == 0) {
            check_audit(governor);
        }
    }
    rn_store(&world.stop, 1);
    for (int i = 0; i <= WORKERS; i++) {
        (void)join(threads[i]);
    }
    reload(governor, &old);
    ck_assert_int_ge(governor->reloads, reloads + 1);
    ck_assert_int_gt(rn_load(&world.turned), 0);
    ck_assert_int_eq(governor->turns_waiting, 0);
    for (rn_group *group = governor->groups; group != NULL; group = group->next) {
        ck_assert(!group->gone);
        ck_assert_int_eq(group->holders, 0);
        ck_assert_int_eq(group->admitted, 0);
        ck_assert_int_eq(charged(group->pool), 0);
    }
    ck_assert_int_eq(governor->settings->holders, 1);
    rn_blocks_purge(governor->blocks);
    ck_assert_int_eq(rn_heap_bytes(), heap_bytes);
    close_and_check(governor);
    support_remove(folder);
    ck_assert_int_eq(rn_faults(), 0);
}

START_TEST(test_reload_storm__loses_nothing)
{
    lose_nothing(false, RELOADS);
}
END_TEST

START_TEST(test_reload_storm__loses_nothing_while_it_follows)
{
    lose_nothing(true, RELOADS);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_reload_storm__no_memory_changes_nothing,
        test_reload_storm__forked_while_somebody_reloads,
        test_reload_storm__shared_governor,
        test_reload_storm__loses_nothing,
        test_reload_storm__loses_nothing_while_it_follows,
    };
    return support_run("executor/reload_storm", tests, RN_COUNT(tests));
}

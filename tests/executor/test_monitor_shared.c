/* SPDX-License-Identifier: Apache-2.0
 *
 * Several processes charge one tree of pools: one of them follows the machine for all. On the real
 * machine, with a registry of its own. */
#include <time.h>

#include "executor/monitor_look.h"
#include "memory/pool.h"
#include "tests/executor/governor_world.h"

typedef struct stage {
    char folder[300], path[340];
    ration_limits limits;
    ration_governor *governor;
    pid_t first; /* a process that has opened it before; 0 = none */
    int orders;  /* to it */
} stage;

static void set_limits(stage *made)
{
    *made = (stage){.orders = -1};
    rn_copy_text(made->folder, sizeof made->folder, support_folder());
    snprintf(made->path, sizeof made->path, "%s/tree", made->folder);
    ration_limits_default(&made->limits);
    made->limits.limit_floor_bytes = MIB;
    made->limits.monitor_interval_ms = 10;
    rn_copy_text(made->limits.registry_directory, sizeof made->limits.registry_directory,
                 made->folder);
}

static void open_here(stage *made)
{
    ration_error error;
    support_ok(ration_governor_open_shared(&made->limits, made->path, &made->governor, &error),
               &error);
}

/* Opens it, says so, and closes it when told to. */
static void be_first(stage *made, int orders, int answers)
{
    char word;
    open_here(made);
    if (write(answers, "o", 1) != 1 || read(orders, &word, 1) != 1) {
        _exit(1);
    }
    ration_governor_close(made->governor);
    _exit(0);
}

static void start_first(stage *made)
{
    int orders[2], answers[2];
    char word;
    ck_assert_int_eq(pipe(orders), 0);
    ck_assert_int_eq(pipe(answers), 0);
    made->first = fork();
    ck_assert_int_ge(made->first, 0);
    if (made->first == 0) {
        be_first(made, orders[0], answers[1]);
    }
    ck_assert_int_eq(read(answers[0], &word, 1), 1);
    made->orders = orders[1];
}

static void wait_first(stage *made)
{
    int status;
    ck_assert_int_eq(waitpid(made->first, &status, 0), made->first);
    made->first = 0;
}

/* Who is in the registry; the first of them. */
static int64_t list(const stage *made, rn_registry_entry *first)
{
    rn_registry *registry;
    rn_registry_entry entries[RN_REGISTRY_PLACES];
    ration_error error;
    support_ok(rn_registry_look(made->folder, &registry, &error), &error);
    int64_t count = registry == NULL ? 0 : rn_registry_list(registry, entries);
    rn_registry_close(registry);
    *first = entries[0];
    return count;
}

static void look(const stage *made)
{
    const struct timespec a_while = {0, 11000000};
    ck_assert_int_eq(nanosleep(&a_while, NULL), 0);
    ration_governor_tick(made->governor);
}

static void clear_stage(stage *made)
{
    ration_governor_close(made->governor);
    ck_assert_int_eq(rn_heap_bytes(), 0);
    support_remove(made->folder);
}

/* All that is granted there is in the registry once. */
START_TEST(test_monitor_shared__one_process_leads)
{
    stage made;
    rn_registry_entry entry;
    set_limits(&made);
    start_first(&made);
    made.limits.limit_ceiling_bytes = 3 * MIB; /* nobody goes by it */
    open_here(&made);
    ck_assert_int_eq(list(&made, &entry), 1);
    ck_assert_int_eq(entry.process, made.first);
    ck_assert_int_eq(entry.limit_bytes, rn_pool_limit(made.governor->root));
    ck_assert_int_gt(rn_load(&made.governor->ledger->attainable_bytes), 0); /* told by it */
    ration_slot *slot;
    ration_query *query = open_query(made.governor, NULL, &slot);
    ck_assert_int_eq(ration_slot_try_charge(slot, MIB / 2), RATION_OK);
    int64_t limit = rn_pool_limit(made.governor->root);
    for (int i = 0; i < 5; i++) {
        look(&made); /* of pressure alone */
    }
    ration_governor_figures figures;
    ration_governor_read(made.governor, &figures);
    ck_assert_int_eq(figures.looks, 5);
    ck_assert_int_eq(figures.changes, 0);
    ck_assert_int_eq(rn_pool_limit(made.governor->root), limit);
    ck_assert_int_eq(list(&made, &entry), 1);
    ration_query_close(query);
    ck_assert_int_eq(write(made.orders, "c", 1), 1);
    wait_first(&made);
    clear_stage(&made);
}
END_TEST

static void expect_take_over(stage *made)
{
    rn_registry_entry entry;
    look(made);
    ck_assert_int_eq(list(made, &entry), 1);
    ck_assert_int_eq(entry.process, getpid());
    for (int i = 0; i < 3; i++) {
        look(made);
    }
    int64_t limit = rn_pool_limit(made->governor->root);
    ck_assert_int_eq(list(made, &entry), 1);
    ck_assert_int_ge(entry.limit_bytes, limit);
}

START_TEST(test_monitor_shared__the_next_leads_when_it_closes)
{
    stage made;
    set_limits(&made);
    start_first(&made);
    open_here(&made);
    ck_assert_int_eq(write(made.orders, "c", 1), 1);
    wait_first(&made);
    expect_take_over(&made);
    clear_stage(&made);
}
END_TEST

START_TEST(test_monitor_shared__the_next_leads_when_it_is_killed)
{
    stage made;
    set_limits(&made);
    start_first(&made);
    open_here(&made);
    ck_assert_int_eq(kill(made.first, SIGKILL), 0);
    wait_first(&made);
    expect_take_over(&made);
    clear_stage(&made);
}
END_TEST

/* Also against whoever leads. */
START_TEST(test_monitor_shared__a_limit_set_by_hand_stays)
{
    stage made;
    set_limits(&made);
    start_first(&made);
    open_here(&made);
    ck_assert_int_eq(ration_governor_set_limit(made.governor, 7 * MIB), RATION_OK);
    ck_assert_int_eq(kill(made.first, SIGKILL), 0);
    wait_first(&made);
    expect_take_over(&made);
    ck_assert_int_eq(rn_pool_limit(made.governor->root), 7 * MIB);
    ration_governor_close(made.governor);
    open_here(&made); /* who is alone begins anew */
    ck_assert_int_ne(rn_pool_limit(made.governor->root), 7 * MIB);
    clear_stage(&made);
}
END_TEST

/* As two processes would. */
START_TEST(test_monitor_shared__one_handle_leads_of_two_in_a_process)
{
    stage made, again;
    rn_registry_entry entry;
    set_limits(&made);
    open_here(&made);
    again = made;
    open_here(&again);
    for (int i = 0; i < 3; i++) {
        look(&made);
        look(&again);
    }
    ck_assert_int_eq(list(&made, &entry), 1);
    ration_governor_close(made.governor);
    ck_assert_int_eq(list(&again, &entry), 0);
    expect_take_over(&again);
    clear_stage(&again);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_monitor_shared__one_process_leads,
                                  test_monitor_shared__one_handle_leads_of_two_in_a_process,
                                  test_monitor_shared__the_next_leads_when_it_closes,
                                  test_monitor_shared__the_next_leads_when_it_is_killed,
                                  test_monitor_shared__a_limit_set_by_hand_stays};
    return support_run("monitor_shared", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry in one process: places, who is gone, limits, faults. */
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/executor/registry_world.h"

/* ------------------------------------------------------------------------------------- places */

START_TEST(test_registry__governors_of_one_process_divide)
{
    setup();
    rn_registry *first = open_registry(), *second = open_registry();
    ck_assert_int_eq(count_listed(first), 0); /* nobody has taken a turn */
    int64_t limit = settle(first, 0);
    ck_assert_int_eq(limit, 800 * MIB);
    rn_registry_division late = divide(second, 0, 0);
    ck_assert(late.published);
    ck_assert_int_eq(late.limit_bytes, 0);
    ck_assert_int_eq(late.share_bytes, 400 * MIB);
    ck_assert_int_eq(late.others, 1);
    ck_assert_int_eq(late.others_limit_bytes, 800 * MIB);
    /* What is lowered is free for others one turn later. */
    ck_assert_int_eq(divide(first, limit, 0).limit_bytes, 400 * MIB);
    ck_assert_int_eq(divide(second, 1, 0).limit_bytes, 1);
    ck_assert_int_eq(divide(first, 400 * MIB, 0).limit_bytes, 400 * MIB);
    ck_assert_int_eq(divide(second, 1, 0).limit_bytes, 400 * MIB);
    ck_assert_int_eq(count_listed(second), 2);
    rn_registry_close(second);
    ck_assert_int_eq(count_listed(first), 1);
    ck_assert_int_eq(settle(first, 400 * MIB), 800 * MIB);
    rn_registry_close(first);
    support_remove(folder);
}
END_TEST

START_TEST(test_registry__what_a_process_has_in_memory_counts_once)
{
    setup();
    rn_registry *first = open_registry(), *second = open_registry();
    /* Both were granted 300 MiB; the process has 400 of these in memory. */
    probe.sources[0].headroom_bytes = 600 * MIB;
    const rn_registry_own own = {.granted_bytes = 300 * MIB,
                                 .resident_bytes = 400 * MIB,
                                 .limit_bytes = 300 * MIB,
                                 .ceiling_bytes = INT64_MAX,
                                 .demand_bytes = INT64_MAX,
                                 .limits = &limits,
                                 .probe = &probe,
                                 .now_ns = rn_clock_ns()};
    rn_registry_division division;
    ration_error error;
    for (int i = 0; i < 3; i++) {
        support_ok(rn_registry_divide(first, &own, &division, &error), &error);
        support_ok(rn_registry_divide(second, &own, &division, &error), &error);
        ck_assert_int_eq(division.total_bytes, 1000 * MIB);
    }
    rn_registry_close(first);
    rn_registry_close(second);
    support_remove(folder);
}
END_TEST

/* Page cache has left nobody's headroom, whoever maps it. */
START_TEST(test_registry__mapped_files_are_no_memory_of_others)
{
    setup();
    char name[300];
    snprintf(name, sizeof name, "%s/mapped", folder);
    int descriptor = open(name, O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(posix_fallocate(descriptor, 0, 64 * MIB), 0);
    rn_registry *first = open_registry(), *second = open_registry();
    (void)divide(first, 500 * MIB, 10 * MIB);
    ck_assert_int_eq(divide(second, 0, 0).total_bytes, 1010 * MIB);
    char *mapped =
        mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, 0);
    ck_assert(mapped != MAP_FAILED);
    rn_registry *third = open_registry();
    ck_assert_int_eq(divide(third, 0, 0).total_bytes, 1010 * MIB);
    ck_assert_int_eq(munmap(mapped, 64 * MIB), 0);
    ck_assert_int_eq(close(descriptor), 0);
    rn_registry_close(third);
    rn_registry_close(second);
    rn_registry_close(first);
    support_remove(folder);
}
END_TEST

struct holder {
    pthread_barrier_t held;
};

/* Has the lock for a while, as a turn of somebody else. */
static void *hold(void *argument)
{
    struct holder *holder = argument;
    rn_failure none = {0};
    rn_registry_file file = {.path = path, .failure = &none, .descriptor = -1};
    bool locked = rn_registry_file_open(&file, RN_REGISTRY_MAKES, NULL, NULL) == RATION_OK &&
                  rn_registry_file_lock(&file, true, INT64_C(1000000000), NULL) == RATION_OK;
    (void)pthread_barrier_wait(&holder->held);
    (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    rn_registry_file_close(&file);
    return locked ? argument : NULL;
}

/* What was taken since the probe was read may be in the headroom still. */
START_TEST(test_registry__who_waited_for_its_turn_counts_no_growth)
{
    setup();
    rn_registry *first = open_registry();
    (void)divide(first, 500 * MIB, 10 * MIB);
    char *memory = support_populate(NULL, 64 * MIB);
    bool seen = false;
    for (int i = 0; i < 100 && !seen; i++) { /* until the turn came while the lock was held */
        struct holder holder;
        pthread_t thread;
        void *locked;
        ck_assert_int_eq(pthread_barrier_init(&holder.held, NULL, 2), 0);
        rn_registry *late = open_registry();
        ck_assert_int_eq(pthread_create(&thread, NULL, hold, &holder), 0);
        (void)pthread_barrier_wait(&holder.held);
        seen = divide(late, 0, 0).total_bytes == 1010 * MIB;
        ck_assert_int_eq(pthread_join(thread, &locked), 0);
        ck_assert_ptr_nonnull(locked);
        rn_registry_close(late);
    }
    ck_assert(seen);
    rn_registry *late = open_registry();
    ck_assert_int_gt(divide(late, 0, 0).total_bytes, 1060 * MIB); /* without a wait */
    rn_registry_close(late);
    rn_registry_close(first);
    ck_assert_int_eq(munmap(memory, 64 * MIB), 0);
    support_remove(folder);
}
END_TEST

START_TEST(test_registry__without_one_the_division_is_alone)
{
    setup();
    rn_registry_division division = divide(NULL, 0, 0);
    ck_assert_int_eq(division.limit_bytes, 800 * MIB);
    ck_assert_int_eq(division.others, 0);
    rn_registry_close(NULL);
    support_remove(folder);
}
END_TEST

START_TEST(test_registry__sixty_four_places_and_not_one_more)
{
    setup();
    static rn_registry *all[RN_REGISTRY_PLACES];
    for (int i = 0; i < RN_REGISTRY_PLACES; i++) {
        all[i] = open_registry();
        (void)divide(all[i], 0, 0);
    }
    rn_registry *late = open_registry();
    rn_registry_division division;
    ration_error error;
    ck_assert_int_eq(try_divide(late, 0, 0, &division, &error), RATION_ENVIRONMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "all 64 places"));
    /* One of the dead is a place. */
    rn_registry_entry dead = entry_of(getpid(), 1);
    write_entry(17, &dead);
    ck_assert_int_eq(divide(late, 0, 0).others, 63);
    /* Its owner finds it taken, and none left: it may not grow. */
    ck_assert(!divide(all[17], 5 * MIB, 0).published);
    ck_assert_int_le(divide(all[17], 5 * MIB, 0).limit_bytes, 5 * MIB);
    rn_registry_close(all[16]);
    ck_assert(divide(all[17], 5 * MIB, 0).published);
    for (int i = 0; i < RN_REGISTRY_PLACES; i++) {
        if (i != 16) {
            rn_registry_close(all[i]);
        }
    }
    ck_assert_int_eq(count_listed(late), 1);
    rn_registry_close(late);
    support_remove(folder);
}
END_TEST

START_TEST(test_registry__who_is_gone_is_forgotten)
{
    setup();
    rn_registry *registry = open_registry();
    ck_assert_int_eq(settle(registry, 0), 800 * MIB);
    int64_t own_start = rn_probe_start_time(getpid());
    pid_t reaped = fork();
    if (reaped == 0) {
        _exit(0);
    }
    ck_assert_int_eq(waitpid(reaped, NULL, 0), reaped);
    pid_t zombie = fork();
    if (zombie == 0) {
        _exit(0);
    }
    siginfo_t information;
    ck_assert_int_eq(waitid(P_PID, (id_t)zombie, &information, WEXITED | WNOWAIT), 0);
    const rn_registry_entry gone[] = {entry_of(getpid(), own_start + 1),
                                      entry_of(reaped, own_start), entry_of(zombie, own_start),
                                      entry_of(1, 1)};
    for (int64_t i = 0; i < 4; i++) {
        write_entry(10 + i, &gone[i]);
    }
    int64_t there = rn_probe_start_time(1) == 1 ? 1 : 0;
    ck_assert_int_eq(count_listed(registry), 1 + there);
    ck_assert_int_eq(divide(registry, 800 * MIB, 0).others, there);
    /* Their places were given back. */
    int descriptor = open(path, O_RDONLY);
    static rn_registry_contents contents;
    ck_assert_int_eq(read(descriptor, &contents, sizeof contents), sizeof contents);
    for (int64_t i = 0; i < 4 - there; i++) {
        ck_assert_int_eq(rn_registry_file_judge(&contents.records[10 + i]), RN_REGISTRY_FREE);
    }
    ck_assert_int_eq(close(descriptor), 0);
    ck_assert_int_eq(waitpid(zombie, NULL, 0), zombie);
    /* Nor is who this process was before it became this program. */
    rn_registry_entry ghost = entry_of(getpid(), own_start);
    ghost.number = 1000;
    write_entry(30, &ghost);
    ck_assert_int_eq(divide(registry, 800 * MIB, 0).others, 0);
    ck_assert_int_eq(count_listed(registry), 1);
    /* A copy of the own entry is nobody either. */
    write_entry(20, &contents.records[0].entry);
    ck_assert_int_eq(divide(registry, 800 * MIB, 0).others, 0);
    rn_registry_close(registry);
    support_remove(folder);
}
END_TEST

/* ------------------------------------------------------------------------------------- limits */

START_TEST(test_registry__limits_are_published_and_read_by_others)
{
    setup();
    rn_registry *looking;
    ration_error error;
    support_ok(rn_registry_look(folder, &looking, &error), &error);
    ck_assert_ptr_null(looking); /* no file, and none was made */
    ck_assert_int_ne(access(path, F_OK), 0);
    rn_registry *registry = open_registry(), *silent = open_registry();
    limits.check_interval = 777;
    rn_registry_put_limits(registry, &limits); /* before the first turn: with it */
    (void)divide(registry, 0, 0);
    (void)divide(silent, 0, 0);
    support_ok(rn_registry_look(folder, &looking, &error), &error);
    ck_assert_ptr_nonnull(looking);
    rn_registry_entry entries[RN_REGISTRY_PLACES];
    ck_assert_int_eq(rn_registry_list(looking, entries), 2);
    ration_limits found = {.size = 1};
    bool other;
    ck_assert(rn_registry_get_limits(looking, &entries[0], &found, &other));
    ck_assert_mem_eq(&found, &limits, sizeof limits);
    ck_assert(!other);
    ck_assert(!rn_registry_get_limits(looking, &entries[1], &found, &other));
    ck_assert(!other);
    limits.check_interval = 778;
    rn_registry_put_limits(registry, &limits);
    ck_assert(rn_registry_get_limits(looking, &entries[0], &found, NULL));
    ck_assert_int_eq(found.check_interval, 778);
    /* Of another version; damaged; good, but of values that are out of range. */
    static rn_registry_limits record;
    int64_t at = 65536;
    int descriptor = open(path, O_RDWR);
    ck_assert_int_eq(pread(descriptor, &record, sizeof record, at), sizeof record);
    record.layout++;
    ck_assert_int_eq(pwrite(descriptor, &record, sizeof record, at), sizeof record);
    ck_assert(!rn_registry_get_limits(looking, &entries[0], &found, &other));
    ck_assert(other);
    record.layout--;
    record.limits.check_interval = 1;
    ck_assert_int_eq(pwrite(descriptor, &record, sizeof record, at), sizeof record);
    ck_assert(!rn_registry_get_limits(looking, &entries[0], &found, &other));
    ck_assert(!other);
    ck_assert_int_eq(close(descriptor), 0);
    limits.check_interval = -5;
    rn_registry_put_limits(registry, &limits);
    ck_assert(!rn_registry_get_limits(looking, &entries[0], &found, &other));
    ck_assert_int_eq(found.check_interval, 778);
    rn_registry_close(looking);
    rn_registry_close(silent);
    rn_registry_close(registry);
    support_remove(folder);
}
END_TEST

/* ------------------------------------------------------------------------------------- faults */

START_TEST(test_registry__every_failed_call_is_a_clean_answer)
{
    setup();
    int64_t heap = rn_heap_bytes();
    rn_registry *other = open_registry();
    for (int forever = 0; forever < 2; forever++) {
        for (int first = 0; first < 2; first++) {
            bool passed = false;
            for (int64_t n = 1; !passed; n++) {
                rn_registry *registry = open_registry();
                (void)settle(other, 1);
                if (!first) {
                    (void)divide(registry, 0, 0);
                }
                int64_t limit = first ? 0 : 200 * MIB;
                rn_registry_division division = {.limit_bytes = -7};
                ration_error error;
                rn_registry_fail_after(registry, n, forever != 0);
                ration_status status = try_divide(registry, limit, 0, &division, &error);
                rn_registry_put_limits(registry, &limits);
                if (status != RATION_OK) {
                    ck_assert_int_eq(status, RATION_FILE);
                    ck_assert_int_eq(division.limit_bytes, -7);
                    ck_assert_int_eq(limit, 0);
                } else if (!division.published) {
                    ck_assert_int_le(division.limit_bytes, limit);
                    ck_assert_str_ne(division.note, "");
                } else {
                    passed = n > 20;
                }
                rn_registry_fail_after(registry, 0, false);
                ck_assert(divide(registry, RN_MAX(1, limit), 0).published);
                ck_assert_int_eq(count_listed(other), 2);
                rn_registry_close(registry);
                ck_assert_int_eq(count_listed(other), 1);
            }
        }
    }
    for (int64_t n = 1; n < 4; n++) { /* no memory */
        rn_registry *registry = NULL;
        ration_error error;
        rn_heap_fail_after(n, false);
        ration_status status = rn_registry_open(folder, &registry, &error);
        rn_heap_fail_after(0, false);
        ck_assert(status == RATION_NO_MEMORY || status == RATION_OK);
        rn_registry_close(registry);
    }
    rn_registry_close(other);
    ck_assert_int_eq(rn_heap_bytes(), heap);
    support_remove(folder);
}
END_TEST

START_TEST(test_registry__a_descriptor_that_is_not_to_be_had_is_a_note)
{
    setup();
    rn_registry *registry = open_registry();
    int64_t limit = settle(registry, 0);
    struct rlimit before, none;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    rn_registry_division division = divide(registry, limit, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert(!division.published);
    ck_assert_ptr_nonnull(strstr(division.note, "Too many open files"));
    ck_assert_int_eq(division.limit_bytes, limit);
    ck_assert(divide(registry, limit, 0).published);
    rn_registry_close(registry);
    support_remove(folder);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_registry__governors_of_one_process_divide,
        test_registry__what_a_process_has_in_memory_counts_once,
        test_registry__mapped_files_are_no_memory_of_others,
        test_registry__who_waited_for_its_turn_counts_no_growth,
        test_registry__without_one_the_division_is_alone,
        test_registry__sixty_four_places_and_not_one_more,
        test_registry__who_is_gone_is_forgotten,
        test_registry__limits_are_published_and_read_by_others,
        test_registry__every_failed_call_is_a_clean_answer,
        test_registry__a_descriptor_that_is_not_to_be_had_is_a_note,
    };
    return support_run("registry", tests, RN_COUNT(tests));
}

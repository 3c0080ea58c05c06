/* SPDX-License-Identifier: Apache-2.0
 *
 * What cannot be read raises no limit: the machine, a source, half of one, for want of descriptors;
 * and a registry that cannot be had. Worlds: monitor_world.h. */
#include <sys/resource.h>

#include "tests/executor/monitor_world.h"

START_TEST(test_monitor_blind__an_unreadable_machine_raises_nothing)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    made.available = 5 * GIB;
    look(&made);
    made.available = 10 * GIB;
    made.no_meminfo = true;
    for (int i = 0; i < 30; i++) { /* three seconds */
        look(&made);
        ck_assert_int_eq(limit_of(&made), 4 * GIB);
    }
    ck_assert_str_ne(read_figures(&made).note, "");
    made.no_meminfo = false;
    look(&made);
    ck_assert_int_eq(limit_of(&made), 8 * GIB);
    ck_assert_str_eq(read_figures(&made).note, "");
    clear_machine(&made);
}
END_TEST

/* Nor does a source that cannot be read any more. */
START_TEST(test_monitor_blind__a_source_that_vanishes_raises_nothing)
{
    machine made;
    set_machine(&made);
    made.group_limit = GIB;
    write_machine(&made);
    open_on(&made);
    ck_assert_int_eq(limit_of(&made), eight_tenths(GIB));
    look(&made);
    ck_assert_str_eq(read_figures(&made).binding, "cgroup v2 /app");
    for (int i = 0; i < 15; i++) {
        write_machine(&made);
        put_file(&made, "sys/fs/cgroup/app/memory.max", "garbage\n");
        machine_now += 100000000;
        ration_governor_tick(made.governor);
        ck_assert_int_eq(limit_of(&made), eight_tenths(GIB));
    }
    ck_assert_ptr_nonnull(strstr(read_figures(&made).note, "memory.max"));
    for (int i = 0; i < 400; i++) { /* however long */
        machine_now += 100000000;
        ration_governor_tick(made.governor);
    }
    ck_assert_int_eq(limit_of(&made), eight_tenths(GIB));
    made.group_limit = 2 * GIB;
    for (int i = 0; i < 10; i++) { /* seen by a full reading */
        look(&made);
    }
    ck_assert_int_eq(limit_of(&made), eight_tenths(2 * GIB));
    clear_machine(&made);
}
END_TEST

/* But for a process that was moved: then it is how the machine is. */
START_TEST(test_monitor_blind__a_move_is_believed_after_a_while)
{
    machine made;
    set_machine(&made);
    made.group_limit = GIB;
    write_machine(&made);
    open_on(&made);
    look(&made);
    put_file(&made, "proc/self/cgroup", "0::/other\n");
    put_file(&made, "sys/fs/cgroup/other/memory.max", "garbage\n");
    for (int i = 0; i < 290; i++) {
        machine_now += 100000000;
        ration_governor_tick(made.governor);
        ck_assert_int_eq(limit_of(&made), eight_tenths(GIB));
    }
    for (int i = 0; i < 20; i++) {
        machine_now += 100000000;
        ration_governor_tick(made.governor);
    }
    ck_assert_int_eq(limit_of(&made), 8 * GIB);
    clear_machine(&made);
}
END_TEST

/* A limit of two that is garbage leaves the other, and a use that is garbage the own one. */
START_TEST(test_monitor_blind__half_of_a_source_raises_nothing)
{
    static const char *const names[] = {"sys/fs/cgroup/app/memory.high",
                                        "sys/fs/cgroup/app/memory.current"};
    for (size_t n = 0; n < RN_COUNT(names); n++) {
        machine made;
        set_machine(&made);
        made.group_limit = 2 * GIB;
        made.group_used = GIB / 2;
        write_machine(&made);
        put_file(&made, "sys/fs/cgroup/app/memory.high", "1073741824\n");
        open_on(&made);
        ck_assert_int_eq(limit_of(&made), eight_tenths(GIB / 2));
        put_file(&made, names[n], "garbage\n");
        for (int i = 0; i < 15; i++) {
            machine_now += 100000000;
            ration_governor_tick(made.governor);
            ck_assert_int_eq(limit_of(&made), eight_tenths(GIB / 2));
        }
        ck_assert_ptr_nonnull(strstr(read_figures(&made).note, names[n]));
        clear_machine(&made);
    }
}
END_TEST

/* A process that may open no more files: what is open still tells, and the limit falls. */
START_TEST(test_monitor_blind__falls_without_descriptors)
{
    machine made;
    set_machine(&made);
    open_on(&made);
    look(&made);
    holder a;
    hold(&made, &a, 2 * GIB);
    look(&made);
    made.available = 2 * GIB;
    write_machine(&made);
    struct rlimit before, none;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 25; i++) {
        machine_now += 100000000;
        ration_governor_tick(made.governor);
    }
    int64_t limit = limit_of(&made);
    char note[sizeof read_figures(&made).note];
    rn_copy_text(note, sizeof note, read_figures(&made).note);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(limit, eight_tenths(4 * GIB)); /* what it holds is not forgotten */
    ck_assert_str_ne(note, "");
    let_go(&made, &a);
    made.available = 10 * GIB;
    look(&made);
    look(&made);
    ck_assert_int_eq(limit_of(&made), 8 * GIB);
    clear_machine(&made);
}
END_TEST

START_TEST(test_monitor_blind__goes_on_without_a_registry)
{
    machine made;
    set_machine(&made);
    ck_assert_int_eq(rmdir(made.registry), 0);
    open_on(&made);
    ck_assert_int_eq(limit_of(&made), 8 * GIB);
    made.available = 5 * GIB;
    look(&made);
    ck_assert_int_eq(limit_of(&made), 4 * GIB);
    ck_assert_str_ne(read_figures(&made).note, "");
    ck_assert_int_eq(mkdir(made.registry, 0700), 0); /* it is tried again */
    for (int i = 0; i < 11; i++) {
        look(&made);
    }
    ck_assert_ptr_nonnull(made.governor->monitor->eyes->registry);
    ck_assert_str_eq(read_figures(&made).note, "");
    clear_machine(&made);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_monitor_blind__an_unreadable_machine_raises_nothing,
                                  test_monitor_blind__a_source_that_vanishes_raises_nothing,
                                  test_monitor_blind__a_move_is_believed_after_a_while,
                                  test_monitor_blind__half_of_a_source_raises_nothing,
                                  test_monitor_blind__falls_without_descriptors,
                                  test_monitor_blind__goes_on_without_a_registry};
    return support_run("monitor_blind", tests, RN_COUNT(tests));
}

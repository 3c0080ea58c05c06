/* SPDX-License-Identifier: Apache-2.0
 *
 * What the file of the registry may be and hold; who is stopped with its lock; forks. */
#include "tests/executor/registry_world.h"

/* ----------------------------------------------------------------------------- what a file is */

START_TEST(test_registry_file__odd_files_are_refused)
{
    setup();
    char other[300];
    snprintf(other, sizeof other, "%s/other", folder);
    ck_assert_int_eq(symlink(other, path), 0);
    expect_refused(RATION_FILE, "symbolic link");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    expect_refused(RATION_FILE, "no regular file");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    expect_refused(RATION_FILE, "directory");
    ck_assert_int_eq(rmdir(path), 0);
    overwrite(0, "x", 1);
    expect_refused(RATION_FILE, "damaged, or of another version");
    rn_registry *looked;
    ration_error why;
    ck_assert_int_eq(rn_registry_look(folder, &looked, &why), RATION_FILE); /* not: nobody */
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(chmod(path, 0640), 0);
    expect_refused(RATION_FILE, "open to other users");
    ck_assert_int_eq(chmod(path, 0600), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 1000, 1000), 0);
        expect_refused(RATION_FILE, "belongs to another user");
        ck_assert_int_eq(chown(path, 0, 0), 0);
    }
    rn_registry_close(open_registry()); /* empty: as good as none */
    ck_assert_int_eq(link(path, other), 0);
    expect_refused(RATION_FILE, "second name");
    ck_assert_int_eq(unlink(other), 0);
    if (geteuid() == 0) { /* a folder that is not to be written to */
        pid_t child = fork();
        if (child == 0) {
            ck_assert(chmod(folder, 0755) == 0 && seteuid(65534) == 0);
            expect_refused(RATION_FILE, "Permission denied");
            _exit(0);
        }
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_int_eq(unlink(path), 0);
    support_remove(folder);
    expect_refused(RATION_FILE, "No such file or directory");
    rn_copy_text(folder, sizeof folder, "/proc");
    rn_registry *registry;
    ration_error error;
    ck_assert_int_eq(rn_registry_open(folder, &registry, &error), RATION_FILE);
    rn_copy_text(folder, sizeof folder, "");
    expect_refused(RATION_INVALID_ARGUMENT, "no name");
}
END_TEST

/* The entry at place 0 with one of its fields changed, and a sum that is right for it. */
static rn_registry_word judge_with(size_t field, int64_t value)
{
    rn_registry_entry entry = entry_of(5, 10);
    entry.heard_ns = 1;
    memcpy((char *)&entry + field, &value, sizeof value);
    write_entry(0, &entry);
    int descriptor = open(path, O_RDONLY);
    static rn_registry_contents contents;
    ck_assert_int_eq(read(descriptor, &contents, sizeof contents), sizeof contents);
    ck_assert_int_eq(close(descriptor), 0);
    return rn_registry_file_judge(&contents.records[0]);
}

START_TEST(test_registry_file__entries_are_judged_by_sum_and_range)
{
    setup();
    rn_registry_close(open_registry());
    static const struct {
        size_t field;
        int64_t bad, good;
    } fields[] = {{offsetof(rn_registry_entry, process), -1, 7},
                  {offsetof(rn_registry_entry, process), INT64_C(1) << 31, INT32_MAX},
                  {offsetof(rn_registry_entry, start_time), 0, 1},
                  {offsetof(rn_registry_entry, number), 0, 1},
                  {offsetof(rn_registry_entry, granted_bytes), -1, INT64_MAX},
                  {offsetof(rn_registry_entry, resident_bytes), 1, 0}, /* of nothing granted */
                  {offsetof(rn_registry_entry, memory_bytes), -1, INT64_MAX},
                  {offsetof(rn_registry_entry, limit_bytes), -1, INT64_MAX},
                  {offsetof(rn_registry_entry, ceiling_bytes), -1, 0},
                  {offsetof(rn_registry_entry, demand_bytes), -1, 0},
                  {offsetof(rn_registry_entry, bound_bytes), -1, 0},
                  {offsetof(rn_registry_entry, reserve_bytes), -1, INT64_MAX},
                  {offsetof(rn_registry_entry, ratio_ppm), 0, 1},
                  {offsetof(rn_registry_entry, ratio_ppm), 1000001, 1000000},
                  {offsetof(rn_registry_entry, heard_ns), 0, 1}};
    for (size_t i = 0; i < RN_COUNT(fields); i++) {
        ck_assert_int_eq(judge_with(fields[i].field, fields[i].bad), RN_REGISTRY_LOST);
        ck_assert_int_eq(judge_with(fields[i].field, fields[i].good), RN_REGISTRY_ENTRY);
    }
    ck_assert_int_eq(judge_with(offsetof(rn_registry_entry, process), 0), RN_REGISTRY_FREE);
    rn_registry_entry endless = entry_of(5, 10);
    memset(endless.group, 'x', sizeof endless.group);
    write_entry(0, &endless);
    rn_registry *registry = open_registry();
    ck_assert_int_eq(count_listed(registry), 0);
    rn_registry_close(registry);
    /* Any bit that is not as it was written. */
    static rn_registry_contents contents;
    rn_registry_record *record = &contents.records[0];
    (void)judge_with(offsetof(rn_registry_entry, process), 5);
    int descriptor = open(path, O_RDONLY);
    ck_assert_int_eq(read(descriptor, &contents, sizeof contents), sizeof contents);
    ck_assert_int_eq(close(descriptor), 0);
    ck_assert_int_eq(rn_registry_file_judge(record), RN_REGISTRY_ENTRY);
    for (size_t bit = 0; bit < 8 * sizeof *record; bit += 7) {
        ((unsigned char *)record)[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert_int_eq(rn_registry_file_judge(record), RN_REGISTRY_LOST);
        ((unsigned char *)record)[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    support_remove(folder);
}
END_TEST

START_TEST(test_registry_file__a_full_disk_is_found_out_before_a_place_is_taken)
{
    setup();
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    struct rlimit bound = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &bound), 0);
    expect_refused(RATION_FILE, "no space for the registry");
    bound.rlim_cur = RLIM_INFINITY;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &bound), 0);
    rn_registry *registry = open_registry();
    ck_assert_int_eq(settle(registry, 0), 800 * MIB);
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_ge(status.st_size, (off_t)sizeof(rn_registry_contents));
    ck_assert_int_eq(status.st_mode & 0777, 0600);
    rn_registry_close(registry);
    support_remove(folder);
}
END_TEST

START_TEST(test_registry_file__a_file_that_is_removed_cut_or_replaced_is_made_again)
{
    setup();
    rn_registry *first = open_registry(), *second = open_registry();
    (void)settle(first, 0);
    (void)divide(second, 0, 0);
    int64_t limit = settle(first, 800 * MIB);
    ck_assert_int_eq(limit, 400 * MIB);
    ck_assert_int_eq(settle(second, 0), 400 * MIB);
    for (int kind = 0; kind < 4; kind++) {
        char other[400];
        snprintf(other, sizeof other, "%s.other", path);
        switch (kind) {
        case 0:
            ck_assert_int_eq(unlink(path), 0);
            break;
        case 1:
            ck_assert_int_eq(truncate(path, 0), 0);
            break;
        case 2:
            ck_assert_int_eq(truncate(path, 1000), 0);
            break;
        default: {
            FILE *file = fopen(other, "w");
            ck_assert_ptr_nonnull(file);
            for (int i = 0; i < 100000; i++) {
                (void)fputc(i * 7 % 251, file);
            }
            ck_assert_int_eq(fclose(file), 0);
            ck_assert_int_eq(chmod(other, 0600), 0);
            ck_assert_int_eq(rename(other, path), 0);
        }
        }
        /* The other is still known to be there. */
        rn_registry_division division = divide(first, 400 * MIB, 0);
        ck_assert(division.published);
        ck_assert_int_eq(division.others, 1);
        ck_assert_int_eq(division.limit_bytes, 400 * MIB);
        ck_assert_int_eq(divide(second, 400 * MIB, 0).others, 1);
        ck_assert_int_eq(count_listed(first), 2);
    }
    rn_registry_close(second);
    ck_assert_int_eq(settle(first, 400 * MIB), 800 * MIB);
    rn_registry_close(first);
    support_remove(folder);
}
END_TEST

/* One that takes a single turn writes its place once: nothing ends it but its process. */
START_TEST(test_registry_file__who_is_silent_stands_until_its_process_ends)
{
    setup();
    rn_registry *registry = open_registry();
    pid_t child = fork();
    if (child == 0) {
        (void)pause();
        _exit(0);
    }
    rn_registry_entry silent = entry_of(child, rn_probe_start_time(child));
    silent.heard_ns = RN_MAX(1, rn_clock_ns() - INT64_C(3600000000000));
    (void)divide(registry, 0, 0);
    write_entry(7, &silent);
    ck_assert_int_eq(divide(registry, 9 * MIB, 0).others_limit_bytes, 100 * MIB);
    ck_assert_int_eq(unlink(path), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(divide(registry, 9 * MIB, 0).others_limit_bytes, 100 * MIB);
    }
    write_entry(20, &silent); /* counts once where it comes again */
    ck_assert_int_eq(divide(registry, 9 * MIB, 0).others_limit_bytes, 100 * MIB);
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(divide(registry, 9 * MIB, 0).others, 1);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(divide(registry, 9 * MIB, 0).others, 0);
    rn_registry_close(registry);
    support_remove(folder);
}
END_TEST

START_TEST(test_registry_file__any_bytes_are_survived)
{
    setup();
    uint64_t state = (uint64_t)rn_clock_ns();
    printf("seed=%llu\n", (unsigned long long)state);
    rn_registry *first = open_registry(), *second = open_registry();
    int64_t limit = settle(first, 0);
    (void)divide(second, 0, 0);
    char bytes[3000] = {0};
    for (int round = 0; round < 3000; round++) {
        size_t count = 1 + (size_t)rn_random_below(&state, sizeof bytes);
        for (size_t i = 0; i < count; i++) {
            bytes[i] = (char)rn_random(&state);
        }
        int64_t at = (int64_t)rn_random_below(&state, sizeof(rn_registry_contents) + 70000);
        overwrite(at, bytes, count);
        if (round % 16 == 0) { /* good sums over any fields */
            rn_registry_entry entry;
            memcpy(&entry, bytes, sizeof entry);
            entry.process &= 0xffff;
            write_entry((int64_t)rn_random_below(&state, RN_REGISTRY_PLACES), &entry);
        }
        rn_registry_division division = divide(first, limit, 0);
        ck_assert(division.published);
        limit = RN_MAX(1, division.limit_bytes);
        ck_assert_int_le(limit, 800 * MIB);
        if (round % 8 == 0) {
            ration_limits found;
            rn_registry_entry entries[RN_REGISTRY_PLACES];
            int64_t listed = rn_registry_list(first, entries);
            ck_assert_int_ge(listed, 1);
            for (int64_t i = 0; i < listed; i++) {
                (void)rn_registry_get_limits(first, &entries[i], &found, NULL);
            }
        }
    }
    rn_registry_close(second);
    ck_assert_int_eq(settle(first, limit), 800 * MIB);
    rn_registry_close(first);
    support_remove(folder);
}
END_TEST

/* ------------------------------------------------------------------------------- locks, forks */

/* A child that holds the lock of the file and does not go on, stopped. */
static pid_t hold_lock(void)
{
    pid_t child = fork();
    if (child == 0) {
        int descriptor = open(path, O_RDWR);
        if (descriptor < 0 || flock(descriptor, LOCK_EX) != 0) {
            _exit(1);
        }
        (void)raise(SIGSTOP);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
    ck_assert(WIFSTOPPED(status));
    return child;
}

START_TEST(test_registry_file__who_is_stopped_with_the_lock_lets_others_only_fall)
{
    setup();
    rn_registry *registry = open_registry(), *late = open_registry();
    limits.limit_ceiling_bytes = 500 * MIB;
    int64_t limit = settle(registry, 0);
    ck_assert_int_eq(limit, 800 * MIB); /* the caller brings the ceiling */
    pid_t child = hold_lock();
    rn_registry_division division = divide(registry, 300 * MIB, 0);
    ck_assert(!division.published);
    ck_assert_ptr_nonnull(strstr(division.note, "holds the lock"));
    ck_assert_int_eq(division.limit_bytes, 300 * MIB);
    ck_assert_int_eq(division.share_bytes, 800 * MIB);
    probe.sources[0].headroom_bytes = 100 * MIB;
    ck_assert_int_eq(divide(registry, 300 * MIB, 0).limit_bytes, 80 * MIB);
    ration_error error;
    division.limit_bytes = 7;
    ck_assert_int_eq(try_divide(late, 0, 0, &division, &error), RATION_ENVIRONMENT);
    ck_assert_int_eq(division.limit_bytes, 7);
    /* One that had a turn is no newcomer, though it may grant nothing. */
    support_ok(try_divide(registry, 0, 0, &division, &error), &error);
    ck_assert(!division.published && division.limit_bytes == 0);
    ck_assert_int_eq(count_listed(registry), 1); /* reads all the same */
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    probe.sources[0].headroom_bytes = 1000 * MIB;
    ck_assert_int_eq(divide(registry, 80 * MIB, 0).limit_bytes, 800 * MIB);
    rn_registry_close(late);
    rn_registry_close(registry);
    support_remove(folder);
}
END_TEST

/* The child has the open file of the turn that it was forked in, and keeps it. */
START_TEST(test_registry_file__a_fork_inside_of_a_turn_does_not_keep_the_lock)
{
    setup();
    rn_registry *registry = open_registry();
    rn_failure none = {0};
    rn_registry_file file = {.path = path, .failure = &none, .descriptor = -1};
    ration_error error;
    support_ok(rn_registry_file_open(&file, RN_REGISTRY_MAKES, NULL, &error), &error);
    support_ok(rn_registry_file_lock(&file, true, 0, &error), &error);
    pid_t child = fork();
    if (child == 0) {
        (void)pause();
        _exit(0);
    }
    ck_assert(!divide(registry, 9 * MIB, 0).published);
    rn_registry_file_close(&file);
    ck_assert(divide(registry, 9 * MIB, 0).published);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    rn_registry_close(registry);
    support_remove(folder);
}
END_TEST

START_TEST(test_registry_file__the_child_of_a_fork_leaves_the_place_alone)
{
    setup();
    rn_registry *registry = open_registry();
    ck_assert_int_eq(settle(registry, 0), 800 * MIB);
    pid_t child = fork();
    if (child == 0) {
        rn_registry_division division;
        ration_error error;
        bool good = try_divide(registry, 0, 0, &division, &error) == RATION_ENVIRONMENT;
        good = good && try_divide(registry, 9 * MIB, 0, &division, &error) == RATION_OK;
        good = good && !division.published && division.limit_bytes <= 9 * MIB;
        rn_registry_put_limits(registry, &limits);
        rn_registry_close(registry);
        rn_registry *own = open_registry();
        good = good && divide(own, 0, 0).others == 1;
        rn_registry_close(own);
        _exit(good ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(count_listed(registry), 1);
    ck_assert_int_eq(divide(registry, 800 * MIB, 0).limit_bytes, 800 * MIB);
    rn_registry_close(registry);
    support_remove(folder);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_registry_file__odd_files_are_refused,
        test_registry_file__entries_are_judged_by_sum_and_range,
        test_registry_file__a_full_disk_is_found_out_before_a_place_is_taken,
        test_registry_file__a_file_that_is_removed_cut_or_replaced_is_made_again,
        test_registry_file__who_is_silent_stands_until_its_process_ends,
        test_registry_file__any_bytes_are_survived,
        test_registry_file__who_is_stopped_with_the_lock_lets_others_only_fall,
        test_registry_file__a_fork_inside_of_a_turn_does_not_keep_the_lock,
        test_registry_file__the_child_of_a_fork_leaves_the_place_alone,
    };
    return support_run("registry_file", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Spilling onto a disk that fills up, and onto one that turns out smaller than it said: an ext4 on
 * a loop device whose file lies on a tmpfs. As root, in a mount namespace of its own, so that
 * nothing is left mounted however the test ends; skipped where that cannot be had.
 *
 * Rows are written until the disk refuses, then everything that was accepted is read back, from the
 * disk and not from memory: each run comes back whole, or an error says that it does not. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "tests/storage/spill_world.h"

#define MIB ((int64_t)1024 * 1024)
#define RECORD_BYTES ((size_t)6000)
#define RUN_RECORDS 100u
#define RUNS_MAX 400

#define SKIPPED 77

/* Quietly; true when it ended with 0. */
static bool run_command(const char *format, const char *argument)
{
    char command[PATH_MAX + 256];
    snprintf(command, sizeof command, format, argument);
    int status = system(command);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A file system of 64 MiB at folder/disk, whose bytes have `room` MiB. NULL, or what is missing. */
static const char *make_device(const char *folder, int room)
{
    char path[PATH_MAX + 64], size[64];
    if (geteuid() != 0) {
        return "needs root";
    }
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return "no mount namespace";
    }
    snprintf(path, sizeof path, "%s/memory", folder);
    snprintf(size, sizeof size, "size=%dm", room);
    if (mkdir(path, 0700) != 0 || mount("ration", path, "tmpfs", 0, size) != 0) {
        return "no tmpfs";
    }
    snprintf(path, sizeof path, "%s/disk", folder);
    if (mkdir(path, 0700) != 0 || !run_command("truncate -s 64M %s/memory/image", folder) ||
        !run_command("mkfs.ext4 -q -F -m 0 -E nodiscard,lazy_itable_init=1 %s/memory/image "
                     ">/dev/null 2>&1",
                     folder)) {
        return "no mkfs.ext4";
    }
    if (!run_command("cd %s && mount -o loop memory/image disk >/dev/null 2>&1", folder)) {
        return "no loop device";
    }
    return NULL;
}

static uint64_t free_blocks(const char *folder)
{
    struct statvfs status;
    ck_assert_int_eq(statvfs(folder, &status), 0);
    return status.f_bfree;
}

/* Writes runs until one fails; how many are whole. */
static int fill(rn_spill_file *file, rn_run *runs, ration_status *out_status)
{
    char *buffer = buffer_of(RN_RUN_BLOCK_BYTES), *record = buffer_of(RECORD_BYTES);
    int count = 0;
    ration_status status = RATION_OK;
    while (status == RATION_OK) {
        ck_assert_int_lt(count, RUNS_MAX);
        rn_run_writer writer;
        rn_run_begin(&writer, file, 1, buffer, RN_RUN_BLOCK_BYTES);
        for (uint64_t i = 0; i < RUN_RECORDS && status == RATION_OK; i++) {
            make_record((uint64_t)count * RUN_RECORDS + i, record, RECORD_BYTES);
            status = rn_run_append(&writer, record, RECORD_BYTES, record, 0);
        }
        if (status == RATION_OK) {
            status = rn_run_end(&writer, &runs[count]);
        } else {
            rn_run_abandon(&writer);
        }
        count += status == RATION_OK;
    }
    free(buffer);
    free(record);
    *out_status = status;
    return count;
}

/* Reads one run: every record right, or an error. */
static ration_status read_back(rn_spill_file *file, const rn_run *run, int number)
{
    char *buffer = buffer_of(run->largest_bytes), *record = buffer_of(RECORD_BYTES);
    rn_run_reader reader;
    const char *bytes;
    size_t length = 1;
    uint64_t i = 0;
    ration_status status = RATION_OK;
    memset(&file->error, 0, sizeof file->error); /* look at every run, not at the first failure */
    rn_run_start(&reader, file, run, buffer);
    while (length > 0 && status == RATION_OK) {
        status = rn_run_next(&reader, &bytes, &length);
        for (size_t at = 0; status == RATION_OK && at < length; at += RECORD_BYTES, i++) {
            make_record((uint64_t)number * RUN_RECORDS + i, record, RECORD_BYTES);
            ck_assert_mem_eq(bytes + at, record, RECORD_BYTES);
        }
    }
    ck_assert(status != RATION_OK || i == RUN_RECORDS);
    free(buffer);
    free(record);
    return status;
}

/* In a process of its own: its namespace goes with it. */
static void fill_device(int room, bool shrinks)
{
    char folder[PATH_MAX], disk[PATH_MAX + 8];
    static rn_run runs[RUNS_MAX];
    ck_assert_ptr_nonnull(realpath(support_folder(), folder));
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const char *missing = make_device(folder, room);
        if (missing != NULL) {
            printf("skipped: %s\n", missing);
            fflush(stdout);
            _exit(SKIPPED);
        }
        snprintf(disk, sizeof disk, "%s/disk", folder);
        uint64_t before = free_blocks(disk);
        spill_world world;
        rn_spill_options options = {.directory = disk};
        spill_world_open_with(&world, &options);
        rmdir(world.folder);
        ration_status status;
        int count = fill(world.file, runs, &status);
        printf("%d runs, then %s\n", count, ration_status_name(status));
        ck_assert(status == RATION_SPILL_NO_SPACE || (shrinks && status == RATION_SPILL_IO));
        ck_assert_int_gt(count, 10);
        int synced = fsync(world.file->descriptor); /* pages that reached the disk can be dropped */
        ck_assert(synced == 0 || shrinks);
        ck_assert_int_eq(posix_fadvise(world.file->descriptor, 0, 0, POSIX_FADV_DONTNEED), 0);
        int lost = 0;
        for (int i = 0; i < count; i++) {
            status = read_back(world.file, &runs[i], i);
            ck_assert(status == RATION_OK || status == RATION_SPILL_IO ||
                      status == RATION_SPILL_CORRUPT);
            lost += status != RATION_OK;
        }
        printf("%d runs could not be read back\n", lost);
        ck_assert(shrinks || lost == 0);
        memset(&world.file->error, 0, sizeof world.file->error);
        spill_world_end(&world);
        ck_assert_int_eq(count_entries(disk), 1); /* lost+found */
        ck_assert(shrinks || free_blocks(disk) == before);
        fflush(stdout);
        _exit(shrinks && lost == 0 && synced == 0 ? 3 : 0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    support_remove(folder);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) != 3, "the disk did not fail");
    ck_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == SKIPPED);
}

START_TEST(test_spill_device__a_full_disk_refuses_and_loses_nothing)
{
    fill_device(80, false);
}
END_TEST

START_TEST(test_spill_device__a_disk_that_shrinks_is_found_out)
{
    fill_device(24, true);
}
END_TEST

/* kill -9 in the middle: the disk is as free as before. */
START_TEST(test_spill_device__a_killed_process_leaves_no_bytes)
{
    char folder[PATH_MAX], disk[PATH_MAX + 8];
    ck_assert_ptr_nonnull(realpath(support_folder(), folder));
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const char *missing = make_device(folder, 80);
        if (missing != NULL) {
            printf("skipped: %s\n", missing);
            fflush(stdout);
            _exit(SKIPPED);
        }
        snprintf(disk, sizeof disk, "%s/disk", folder);
        uint64_t before = free_blocks(disk);
        int ready[2];
        char byte;
        ck_assert_int_eq(pipe(ready), 0);
        pid_t writer = fork();
        if (writer == 0) {
            static rn_run runs[RUNS_MAX];
            spill_world world;
            ration_status status;
            rn_spill_options options = {.directory = disk};
            spill_world_open_with(&world, &options);
            rmdir(world.folder);
            (void)fill(world.file, runs, &status);
            (void)!write(ready[1], "x", 1);
            pause();
            _exit(1);
        }
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        ck_assert_uint_lt(free_blocks(disk), before / 10);
        ck_assert_int_eq(kill(writer, SIGKILL), 0);
        ck_assert_int_eq(waitpid(writer, NULL, 0), writer);
        ck_assert_uint_eq(free_blocks(disk), before);
        ck_assert_int_eq(count_entries(disk), 1); /* lost+found */
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    support_remove(folder);
    ck_assert(WIFEXITED(status));
    ck_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == SKIPPED);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_spill_device__a_full_disk_refuses_and_loses_nothing,
        test_spill_device__a_disk_that_shrinks_is_found_out,
        test_spill_device__a_killed_process_leaves_no_bytes,
    };
    return support_run("spill_device", tests, RN_COUNT(tests));
}

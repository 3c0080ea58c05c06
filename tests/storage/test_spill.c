/* SPDX-License-Identifier: Apache-2.0
 *
 * Volumes and files: where they may lie, and that nothing is left however it ends. How much may lie
 * there: test_spill_space.c. */
#include <linux/magic.h>
#include <sys/wait.h>

#include "tests/storage/spill_world.h"

/* ------------------------------------------------------------------------------------ directory */

START_TEST(test_spill__refuses_paths_that_are_none)
{
    char longest[RN_SPILL_DIRECTORY_BYTES + 8];
    memset(longest, 'a', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    const char *const paths[] = {NULL,      "",        ".",        "tmp",   "../tmp",
                                 "/tmp/..", "/../tmp", "/tmp/../", longest, "/tmp/../../etc"};
    for (size_t i = 0; i < RN_COUNT(paths); i++) {
        rn_spill_volume *volume = NULL;
        ration_error error = {0};
        rn_spill_options options = {.directory = paths[i]};
        ck_assert_int_eq(rn_spill_volume_open(&options, &volume, &error), RATION_INVALID_ARGUMENT);
        ck_assert_ptr_null(volume);
        ck_assert_msg(strstr(error.message, "spill_directory") != NULL, "%s", error.message);
    }
    longest[RN_SPILL_DIRECTORY_BYTES - 1] = '\0'; /* and the longest that is one */
    rn_spill_volume *volume = NULL;
    rn_spill_options options = {.directory = longest};
    ck_assert_int_eq(rn_spill_volume_open(&options, &volume, NULL), RATION_OK);
    ck_assert_int_eq(rn_spill_volume_probe(volume, NULL), RATION_SPILL_IO);
    rn_spill_volume_close(volume);
}
END_TEST

/* What a probe of `folder`/`name` answers; the same as the first write. */
static ration_status probe(const char *folder, const char *name, ration_error *error)
{
    char path[PATH_MAX + 64];
    rn_spill_volume *volume;
    rn_spill_file *file;
    rn_run run;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    rn_spill_options options = {.directory = path, .allow_memory = true};
    support_ok(rn_spill_volume_open(&options, &volume, error), error);
    ration_status status = rn_spill_volume_probe(volume, error);
    ck_assert_int_eq(rn_spill_file_open(volume, NULL, 1, &file), RATION_OK);
    ck_assert_int_eq(write_blocks(file, 1, &run), status);
    if (status != RATION_OK) {
        ration_error again = {0};
        ck_assert(rn_spill_file_error(file, &again));
        ck_assert_str_eq(again.message, error->message);
        ck_assert_str_eq(again.hint, error->hint);
    }
    rn_spill_file_close(file);
    rn_spill_volume_close(volume);
    return status;
}

/* Links lead nowhere, wherever in the path they stand; neither do files. */
START_TEST(test_spill__refuses_links_and_what_is_no_directory)
{
    char folder[PATH_MAX], path[PATH_MAX + 64];
    ration_error error = {0};
    ck_assert_ptr_nonnull(realpath(support_folder(), folder));
    snprintf(path, sizeof path, "%s/real", folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/real/deep", folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/link", folder);
    ck_assert_int_eq(symlink("real", path), 0);
    snprintf(path, sizeof path, "%s/climb", folder);
    ck_assert_int_eq(symlink("../../../../etc", path), 0);
    snprintf(path, sizeof path, "%s/magic", folder);
    ck_assert_int_eq(symlink("/proc/self/cwd", path), 0);
    support_write(folder, "file", "x", 1);
    static const char *const good[] = {"real", "real/", "real//deep", "./real/./deep/."};
    for (size_t i = 0; i < RN_COUNT(good); i++) {
        support_ok(probe(folder, good[i], &error), &error);
    }
    static const char *const bad[] = {"link", "link/deep", "climb", "magic", "file", "absent"};
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        ck_assert_int_eq(probe(folder, bad[i], &error), RATION_SPILL_IO);
        ck_assert_msg(strstr(error.message, bad[i]) != NULL, "%s", error.message);
        ck_assert_msg(strstr(error.hint, "spill_directory") != NULL, "%s", error.hint);
    }
    ck_assert_int_eq(probe("/proc/self", "cwd", &error), RATION_SPILL_IO);
    support_remove(folder);
}
END_TEST

START_TEST(test_spill__refuses_directories_that_others_rule)
{
    char folder[PATH_MAX], path[PATH_MAX + 64];
    ration_error error = {0};
    ck_assert_ptr_nonnull(realpath(support_folder(), folder));
    snprintf(path, sizeof path, "%s/open", folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(chmod(path, 0777), 0);
    ck_assert_int_eq(probe(folder, "open", &error), RATION_SPILL_IO);
    ck_assert_msg(strstr(error.message, "sticky") != NULL, "%s", error.message);
    snprintf(path, sizeof path, "%s/open/below", folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(probe(folder, "open/below", &error), RATION_SPILL_IO);
    ck_assert_msg(strstr(error.message, "sticky") != NULL, "%s", error.message);
    snprintf(path, sizeof path, "%s/open", folder);
    ck_assert_int_eq(chmod(path, 01777), 0);
    support_ok(probe(folder, "open", &error), &error);
    support_ok(probe(folder, "open/below", &error), &error);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 12345, 12345), 0);
        ck_assert_int_eq(probe(folder, "open", &error), RATION_SPILL_IO);
        ck_assert_msg(strstr(error.message, "user 12345") != NULL, "%s", error.message);
    } else {
        printf("skipped: a directory of another user needs root\n");
    }
    support_remove(folder);
}
END_TEST

START_TEST(test_spill__refuses_memory_unless_allowed)
{
    static const long types[] = {TMPFS_MAGIC, RAMFS_MAGIC};
    for (size_t i = 0; i < RN_COUNT(types); i++) {
        for (int allowed = 0; allowed < 2; allowed++) {
            spill_world world;
            rn_run run;
            rn_spill_options options = {.allow_memory = allowed != 0};
            spill_world_open_with(&world, &options);
            world.disk.type = types[i];
            if (allowed) {
                must_write(&world, 2, &run);
            } else {
                ck_assert_int_eq(write_blocks(world.file, 2, &run), RATION_SPILL_IO);
                const char *text = spill_world_failure(&world, RATION_SPILL_IO);
                ck_assert_msg(strstr(text, "spill_allow_memory") != NULL, "%s", text);
            }
            spill_world_close(&world);
        }
    }
}
END_TEST

/* Where no file is without a name: one is made and taken away, also what a killed process left. */
START_TEST(test_spill__leaves_no_name_where_files_need_one)
{
    spill_world world;
    rn_run run;
    spill_world_open(&world);
    world.disk.no_unnamed = true;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        world.disk.die_between = true;
        (void)!write_blocks(world.file, 2, &run);
        _exit(1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert_int_eq(count_entries(world.folder), 1); /* empty, and gone with the next file */
    support_write(world.folder, "other", "x", 1);
    support_write(world.folder, ".ration-spil", "x", 1);
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/" RN_DISK_PREFIX "link", world.folder);
    ck_assert_int_eq(symlink("other", path), 0); /* not a file, so not ours */
    int foreign = geteuid() == 0;
    if (foreign) {
        ck_assert_int_eq(
            chown(support_write(world.folder, RN_DISK_PREFIX "foreign", "x", 1), 12345, 1), 0);
    }
    must_write(&world, 2, &run);
    ck_assert_int_eq(world.disk.sweeps, 1);
    ck_assert_int_eq(count_entries(world.folder), 3 + foreign);
    spill_world_end(&world);
    support_remove(world.folder);
}
END_TEST

/* A directory that comes only later, or again, serves the next file. */
START_TEST(test_spill__looks_for_its_directory_again)
{
    spill_world world;
    rn_run run;
    spill_world_open(&world);
    must_write(&world, 1, &run);
    ck_assert_int_eq(rmdir(world.folder), 0);
    ration_error error = {0};
    ck_assert_int_eq(rn_spill_volume_probe(world.volume, &error), RATION_SPILL_IO);
    ck_assert_msg(strstr(error.message, world.folder) != NULL, "%s", error.message);
    ck_assert_int_eq(rn_spill_volume_probe(world.volume, &error), RATION_SPILL_IO);
    ck_assert_int_eq(mkdir(world.folder, 0700), 0);
    support_ok(rn_spill_volume_probe(world.volume, &error), &error);
    must_write(&world, 1, &run); /* the file that is open does not mind */
    spill_world_close(&world);
}
END_TEST

START_TEST(test_spill__files_are_private)
{
    spill_world world;
    rn_run run;
    struct stat status;
    spill_world_open(&world);
    ck_assert_int_eq(world.disk.calls, 0);
    umask(0);
    must_write(&world, 2, &run);
    ck_assert_int_eq(fstat(world.file->descriptor, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    ck_assert_uint_eq(status.st_nlink, 0);
    ck_assert_int_eq(fcntl(world.file->descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(fcntl(world.volume->descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(count_entries(world.folder), 0);
    spill_world_close(&world);
}
END_TEST

START_TEST(test_spill__a_killed_process_leaves_nothing)
{
    for (int named = 0; named < 2; named++) {
        spill_world world;
        int ready[2];
        char byte;
        spill_world_open(&world);
        world.disk.no_unnamed = named != 0;
        ck_assert_int_eq(pipe(ready), 0);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            rn_run run;
            for (int i = 0; write_blocks(world.file, 40, &run) == RATION_OK; i++) {
                if (i == 2) {
                    (void)!write(ready[1], "x", 1);
                }
                if (i > 2) {
                    rn_run_release(world.file, &run);
                }
            }
            _exit(1);
        }
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        close(ready[0]);
        close(ready[1]);
        spill_world_close(&world); /* no name */
    }
}
END_TEST

static void must_read(rn_spill_file *file, const rn_run *run)
{
    char *buffer = buffer_of(run->largest_bytes);
    rn_run_reader reader;
    const char *bytes;
    size_t length = 1;
    rn_run_start(&reader, file, run, buffer);
    for (int64_t blocks = 0; length != 0; blocks++) {
        ck_assert_int_eq(rn_run_next(&reader, &bytes, &length), RATION_OK);
        ck_assert_int_eq(length == 0, blocks == run->blocks);
    }
    free(buffer);
}

/* Exits with 0 if it was not let. */
static void change_as_child(spill_world *world, rn_run *runs, bool writes)
{
    rn_run more;
    ration_status status = writes ? write_blocks(world->file, 1, &more) : RATION_SPILL_IO;
    for (int i = 0; i < 2; i++) {
        rn_run_release(world->file, &runs[i]);
    }
    rn_spill_file_close(world->file);
    _exit(status == RATION_SPILL_IO ? 0 : 1);
}

/* What the child of a fork writes, gives back and closes is still the parent's. */
START_TEST(test_spill__child_of_a_fork_changes_nothing)
{
    spill_world world;
    rn_run runs[2];
    spill_world_open(&world);
    must_write(&world, 1100, &runs[0]); /* more than is kept of what nobody needs */
    must_write(&world, 1, &runs[1]);
    for (int writes = 0; writes < 2; writes++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            change_as_child(&world, runs, writes != 0);
        }
        int status = 1;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
    }
    for (int i = 0; i < 2; i++) {
        must_read(world.file, &runs[i]);
        rn_run_release(world.file, &runs[i]);
    }
    spill_world_close(&world);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_spill__refuses_paths_that_are_none,
        test_spill__refuses_links_and_what_is_no_directory,
        test_spill__refuses_directories_that_others_rule,
        test_spill__refuses_memory_unless_allowed,
        test_spill__leaves_no_name_where_files_need_one,
        test_spill__looks_for_its_directory_again,
        test_spill__files_are_private,
        test_spill__a_killed_process_leaves_nothing,
        test_spill__child_of_a_fork_changes_nothing,
    };
    return support_run("spill", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Volumes and files: where they may lie, how much may lie there, what is used again, and that
 * nothing is left however it ends. */
#include <linux/magic.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/storage/fixture.h"
#include "tests/storage/spill_world.h"

#define MIB ((int64_t)1024 * 1024)

/* A run of `blocks` blocks of 64 KiB. */
static ration_status write_blocks(rn_spill_file *file, int64_t blocks, rn_run *out)
{
    static char buffer[RN_RUN_BLOCK_BYTES] __attribute__((aligned(64)));
    static char record[RN_RUN_BLOCK_BYTES - RN_RUN_HEAD_BYTES];
    rn_run_writer writer;
    rn_run_begin(&writer, file, 1, buffer, sizeof buffer);
    for (int64_t i = 0; i < blocks; i++) {
        make_record((uint64_t)i, record, sizeof record);
        ration_status status = rn_run_append(&writer, record, sizeof record, record, 0);
        if (status != RATION_OK) {
            rn_run_abandon(&writer);
            return status;
        }
    }
    return rn_run_end(&writer, out);
}

static void must_write(spill_world *world, int64_t blocks, rn_run *out)
{
    ration_error error = {0};
    ration_status status = write_blocks(world->file, blocks, out);
    (void)rn_spill_file_error(world->file, &error);
    ck_assert_msg(status == RATION_OK, "%s", support_error(&error));
}

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

/* --------------------------------------------------------------------------------------- quotas */

START_TEST(test_spill__each_quota_of_a_chain_refuses_before_anything_is_written)
{
    for (int link = 0; link < 3; link++) {
        spill_world world;
        rn_run run = {0}, more;
        rn_spill_quota group = {0};
        spill_world_open(&world);
        group.parent = world.quota.parent;
        world.quota.parent = &group;
        rn_spill_quota *links[] = {&world.quota, &group, rn_spill_volume_quota(world.volume)};
        static const char *const keys[] = {"spill_query_bytes_max", "of the group",
                                           "spill_bytes_max"};
        world.quota.key = keys[0];
        group.key = keys[1];
        links[link]->limit_bytes = 10 * 65536;
        must_write(&world, 10, &run);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(links[i]->used_bytes, 10 * 65536);
        }
        int64_t writes = world.disk.writes;
        ck_assert_int_eq(write_blocks(world.file, 1, &more), RATION_SPILL_QUOTA);
        ck_assert_int_eq(world.disk.writes, writes);
        const char *text = spill_world_failure(&world, RATION_SPILL_QUOTA);
        ck_assert_msg(strstr(text, keys[link]) != NULL, "%s", text);
        ck_assert_msg(strstr(text, "655360") != NULL, "%s", text);
        rn_run_release(world.file, &run);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(links[i]->used_bytes, 0);
            ck_assert_int_eq(links[i]->peak_bytes, 10 * 65536);
            ck_assert_int_eq(links[i]->total_bytes, 10 * 65536);
        }
        spill_world_close(&world);
    }
}
END_TEST

/* What is given back can be written again, for ever, under a quota of just that. */
START_TEST(test_spill__what_is_given_back_is_used_again)
{
    spill_world world;
    rn_run run;
    spill_world_open(&world);
    world.quota.limit_bytes = 9 * 65536;
    for (int i = 0; i < 50; i++) {
        must_write(&world, 9, &run);
        ck_assert_uint_eq(world.file->extents, 3); /* 9 blocks of 64 KiB in extents of 256 */
        rn_run_release(world.file, &run);
    }
    ck_assert_int_eq(world.quota.total_bytes, 50 * 9 * 65536);
    ck_assert_int_eq(rn_spill_file_written(world.file), 50 * 9 * 65536);
    spill_world_close(&world);
}
END_TEST

static int64_t disk_bytes(const spill_world *world)
{
    struct stat status;
    ck_assert_int_eq(fstat(world->file->descriptor, &status), 0);
    return status.st_blocks * 512;
}

/* Of free space the file system keeps as much as lives, and 64 MiB; when nothing lives, 64 MiB. */
START_TEST(test_spill__gives_the_disk_back)
{
    enum { RUNS = 6, BLOCKS = 640, RUN_MIB = 40, RUN_EXTENTS = 160 };
    static const int kept[RUNS] = {1, 2, 3, 3, 3, 0}; /* runs, after each that is given back */
    spill_world world;
    rn_run runs[RUNS];
    spill_world_open(&world);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < RUNS; i++) {
            must_write(&world, BLOCKS, &runs[i]);
            ck_assert_int_eq(world.file->extents, (i + 1) * RUN_EXTENTS);
        }
        for (int i = 0; i < RUNS; i++) {
            rn_run_release(world.file, &runs[i]);
            ck_assert_int_eq(world.file->kept_extents, kept[i] * RUN_EXTENTS);
            char text[128];
            ck_assert_msg(rn_spill_file_check(world.file, text, sizeof text), "%s", text);
            int64_t most = i == RUNS - 1 ? 64 : (RUNS - 1 - i + kept[i]) * RUN_MIB;
            ck_assert_int_le(disk_bytes(&world), (most + 1) * MIB);
        }
        ck_assert_int_eq(world.disk.punches, (round + 1) * 3);
    }
    for (int i = 0; i < RUNS; i++) {
        must_write(&world, BLOCKS, &runs[i]);
    }
    for (int i = 0; i < RUNS - 2; i++) { /* the last of them is punched, the others are kept */
        rn_run_release(world.file, &runs[i]);
    }
    ck_assert_int_eq(world.file->kept_extents, (RUNS - 3) * RUN_EXTENTS);
    for (int i = 0; i < RUNS - 2; i++) {
        must_write(&world, BLOCKS, &runs[i]);
    }
    ck_assert_int_eq(world.file->extents, RUNS * RUN_EXTENTS); /* all of it serves again */
    ck_assert_int_eq(world.file->kept_extents, 0);
    spill_world_close(&world);
}
END_TEST

enum { THREADS = 4, ROUNDS = 60 };

typedef struct quota_thread {
    pthread_t thread;
    rn_spill_volume *volume;
    rn_spill_quota *group;
    uint64_t seed;
    int64_t written, refused;
} quota_thread;

static void *run_quota_thread(void *state)
{
    quota_thread *self = state;
    rn_spill_quota query = {.parent = self->group, .limit_bytes = 6 * 65536};
    char *buffer = buffer_of(RN_RUN_BLOCK_BYTES), *record = buffer_of(60000);
    make_record(1, record, 60000);
    for (int round = 0; round < ROUNDS; round++) {
        rn_spill_file *file;
        rn_run_writer writer;
        ck_assert_int_eq(rn_spill_file_open(self->volume, &query, 1, &file), RATION_OK);
        rn_run_begin(&writer, file, 1, buffer, RN_RUN_BLOCK_BYTES);
        for (uint64_t i = rn_random_below(&self->seed, 8); i > 0; i--) {
            ration_status status = rn_run_append(&writer, record, 60000, record, 0);
            if (status != RATION_OK) {
                ck_assert_int_eq(status, RATION_SPILL_QUOTA);
                self->refused += 1;
                break;
            }
            ck_assert_int_le(rn_load(&self->group->used_bytes), 10 * 65536);
        }
        self->written += rn_spill_file_written(file);
        if (rn_random_below(&self->seed, 2) == 0) {
            rn_run_abandon(&writer);
            ck_assert_int_eq(query.used_bytes, 0);
        }
        rn_spill_file_close(file);
        ck_assert_int_eq(query.used_bytes, 0);
        ck_assert_int_le(query.peak_bytes, 6 * 65536);
    }
    free(buffer);
    free(record);
    return NULL;
}

START_TEST(test_spill__quotas_hold_among_threads)
{
    spill_world world;
    quota_thread threads[THREADS] = {0};
    spill_world_open(&world);
    rn_spill_volume_replace(world.volume, &rn_disk_system); /* the other one is for one thread */
    rn_spill_quota group = {.limit_bytes = 10 * 65536,
                            .parent = rn_spill_volume_quota(world.volume)};
    uint64_t seed = sample_seed("quotas");
    int64_t written = 0;
    for (int i = 0; i < THREADS; i++) {
        threads[i] =
            (quota_thread){.volume = world.volume, .group = &group, .seed = seed + (uint64_t)i};
        ck_assert_int_eq(pthread_create(&threads[i].thread, NULL, run_quota_thread, &threads[i]),
                         0);
    }
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i].thread, NULL), 0);
        written += threads[i].written;
    }
    ck_assert_int_eq(group.used_bytes, 0);
    ck_assert_int_le(group.peak_bytes, 10 * 65536);
    ck_assert_int_eq(group.total_bytes, written);
    ck_assert_int_eq(rn_spill_volume_quota(world.volume)->total_bytes, written);
    spill_world_close(&world);
}
END_TEST

/* ---------------------------------------------------------------------------------------- space */

START_TEST(test_spill__leaves_the_floor_free)
{
    static const rn_spill_options options = {.allow_memory = true, .free_bytes_min = 100 * MIB};
    spill_world world;
    rn_run run;
    spill_world_open_with(&world, &options);
    world.disk.free_bytes = 116 * MIB;
    must_write(&world, 255, &run); /* up to 16 MiB: looked at once */
    world.disk.free_bytes = 116 * MIB - 1;
    ck_assert_int_eq(rn_spill_volume_probe(world.volume, NULL), RATION_OK);
    ck_assert_int_eq(write_blocks(world.file, 2, &run), RATION_SPILL_NO_SPACE);
    const char *text = spill_world_failure(&world, RATION_SPILL_NO_SPACE);
    ck_assert_msg(strstr(text, "spill_free_bytes_min") != NULL, "%s", text);
    world.disk.free_bytes = 100 * MIB - 1;
    ration_error error = {0};
    ck_assert_int_eq(rn_spill_volume_probe(world.volume, &error), RATION_SPILL_NO_SPACE);
    spill_world_close(&world);
}
END_TEST

/* Beyond RLIMIT_FSIZE the system sends a signal: it is never asked. */
START_TEST(test_spill__obeys_the_limit_on_file_sizes)
{
    spill_world world;
    rn_run run, more;
    struct rlimit before, limit;
    spill_world_open(&world);
    fflush(NULL);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){3 * 262144 + 1, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    must_write(&world, 12, &run);
    ck_assert_int_eq(write_blocks(world.file, 1, &more), RATION_SPILL_NO_SPACE);
    const char *text = spill_world_failure(&world, RATION_SPILL_NO_SPACE);
    ck_assert_msg(strstr(text, "File too large") != NULL, "%s", text);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    rn_run_release(world.file, &run);
    spill_world_close(&world);
}
END_TEST

static int read_no_ahead(void *state, int descriptor, int64_t offset, int64_t bytes)
{
    (void)state, (void)descriptor, (void)offset, (void)bytes;
    return 0;
}

/* A table of several leaves: 3 GiB of extents, each with one page that is there. */
START_TEST(test_spill__tables_grow)
{
    enum { EXTENTS = 12500, CHAINS = 7 };
    spill_world world;
    rn_extents chains[CHAINS] = {{0}};
    static char page[RN_SPILL_PAGE];
    uint64_t seed = sample_seed("tables");
    spill_world_open(&world);
    world.disk.disk.read_ahead = read_no_ahead; /* it would fill memory with the holes' zeros */
    for (int i = 0; i < EXTENTS; i++) {
        rn_extents *chain = &chains[rn_random_below(&seed, CHAINS)];
        int64_t position;
        struct iovec part = {page, sizeof page};
        chain->bytes = (chain->bytes + RN_EXTENT_BYTES - 1) / RN_EXTENT_BYTES * RN_EXTENT_BYTES;
        memcpy(page, &i, sizeof i);
        ck_assert_int_eq(rn_extents_append(world.file, chain, &part, 1, &position), RATION_OK);
        ck_assert_int_eq(position, (i + 1) * RN_EXTENT_BYTES);
    }
    int seen = 0;
    for (int c = 0; c < CHAINS; c++) {
        int last = -1, got = 0;
        for (int64_t at = chains[c].first * RN_EXTENT_BYTES; at != 0;
             at = rn_extents_skip(world.file, at, RN_EXTENT_BYTES)) {
            size_t bytes;
            ck_assert_int_eq(rn_extents_read(world.file, at, page, 8, &bytes), RATION_OK);
            memcpy(&got, page, sizeof got);
            ck_assert_int_gt(got, last);
            last = got;
            seen += 1;
        }
    }
    ck_assert_int_eq(seen, EXTENTS);
    ck_assert_uint_eq(world.file->leaf_count, EXTENTS / 4096 + 1);
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
        test_spill__each_quota_of_a_chain_refuses_before_anything_is_written,
        test_spill__what_is_given_back_is_used_again,
        test_spill__gives_the_disk_back,
        test_spill__quotas_hold_among_threads,
        test_spill__leaves_the_floor_free,
        test_spill__obeys_the_limit_on_file_sizes,
        test_spill__tables_grow,
    };
    return support_run("spill", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * How much may lie on a volume, what is used again, and what the disk gets back. */
#include <pthread.h>
#include <sys/resource.h>

#include "tests/storage/fixture.h"
#include "tests/storage/spill_world.h"

#define MIB ((int64_t)1024 * 1024)

/* --------------------------------------------------------------------------------------- quotas */

START_TEST(test_spill_space__each_quota_of_a_chain_refuses_before_anything_is_written)
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
START_TEST(test_spill_space__what_is_given_back_is_used_again)
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
START_TEST(test_spill_space__gives_the_disk_back)
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

/* Asks for what comes next only where the system cannot see it; hands over what was written only
 * when told to. */
START_TEST(test_spill_space__helps_the_system_where_it_has_to)
{
    enum { BLOCKS = 64 }; /* 4 MiB, 16 extents */
    for (int behind = 0; behind < 2; behind++) {
        spill_world world;
        rn_run runs[2];
        rn_run_reader readers[2];
        char *buffer = buffer_of(RN_RUN_BLOCK_BYTES);
        const char *bytes;
        size_t length;
        rn_spill_options options = {.allow_memory = true, .write_behind = behind != 0};
        spill_world_open_with(&world, &options);
        must_write(&world, BLOCKS, &runs[0]);
        must_write(&world, BLOCKS, &runs[1]);
        ck_assert_int_eq(world.disk.behinds, behind != 0 ? 8 : 0);
        rn_run_start(&readers[0], world.file, &runs[0], buffer);
        for (int i = 0; i < BLOCKS; i++) {
            ck_assert_int_eq(rn_run_next(&readers[0], &bytes, &length), RATION_OK);
        }
        ck_assert_int_le(world.disk.aheads, 1); /* from front to back */
        world.disk.aheads = 0;
        for (int i = 0; i < 2 * BLOCKS; i++) { /* in turns: all extents but the first of each */
            if (i < 2) {
                rn_run_start(&readers[i], world.file, &runs[i], buffer);
            }
            ck_assert_int_eq(rn_run_next(&readers[i % 2], &bytes, &length), RATION_OK);
        }
        ck_assert_int_eq(world.disk.aheads, 2 * (BLOCKS / 4 - 1));
        free(buffer);
        spill_world_close(&world);
    }
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

START_TEST(test_spill_space__quotas_hold_among_threads)
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

START_TEST(test_spill_space__leaves_the_floor_free)
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
START_TEST(test_spill_space__obeys_the_limit_on_file_sizes)
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
START_TEST(test_spill_space__tables_grow)
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
        test_spill_space__each_quota_of_a_chain_refuses_before_anything_is_written,
        test_spill_space__what_is_given_back_is_used_again,
        test_spill_space__gives_the_disk_back,
        test_spill_space__helps_the_system_where_it_has_to,
        test_spill_space__quotas_hold_among_threads,
        test_spill_space__leaves_the_floor_free,
        test_spill_space__obeys_the_limit_on_file_sizes,
        test_spill_space__tables_grow,
    };
    return support_run("spill_space", tests, RN_COUNT(tests));
}

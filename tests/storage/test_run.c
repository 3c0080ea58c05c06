/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: what goes in comes out, in order, in any size, while others are written and given back. */
#include "storage/row_run.h"
#include "tests/storage/fixture.h"
#include "tests/storage/spill_world.h"

#define RECORD_MAX ((size_t)300 * 1024)

/* A run as the test remembers it: records of these sizes, numbered from `first`. */
typedef struct known_run {
    rn_run run;
    uint64_t first;
    uint32_t count;
    uint32_t *sizes;
} known_run;

static size_t random_size(uint64_t *seed, size_t largest)
{
    uint64_t kind = rn_random_below(seed, 40);
    size_t below = kind == 0 ? largest : kind < 4 ? 5000 : 200;
    return (size_t)rn_random_below(seed, RN_MIN(below, largest) / 8) * 8 + 8;
}

static void append_record(rn_run_writer *writer, uint64_t number, size_t bytes, char *record,
                          uint64_t *seed)
{
    make_record(number, record, bytes);
    size_t first = (size_t)rn_random_below(seed, bytes / 8 + 1) * 8;
    ck_assert_int_eq(rn_run_append(writer, record, first, record + first, bytes - first),
                     RATION_OK);
}

static void write_known(rn_spill_file *file, known_run *known, uint64_t *seed, size_t capacity,
                        size_t largest)
{
    char *buffer = buffer_of(capacity), *record = buffer_of(RECORD_MAX);
    rn_run_writer writer;
    known->first = rn_random(seed);
    known->count = (uint32_t)rn_random_below(seed, 400);
    known->sizes = malloc((known->count + 1) * sizeof *known->sizes);
    rn_run_begin(&writer, file, 5, buffer, capacity);
    int64_t bytes = 0;
    for (uint32_t i = 0; i < known->count; i++) {
        known->sizes[i] = (uint32_t)random_size(seed, largest);
        append_record(&writer, known->first + i, known->sizes[i], record, seed);
        bytes += known->sizes[i];
    }
    ck_assert_int_eq(rn_run_end(&writer, &known->run), RATION_OK);
    ck_assert_int_eq(known->run.bytes, bytes);
    ck_assert_int_ge(known->run.file_bytes, bytes + known->run.blocks * RN_RUN_HEAD_BYTES);
    free(buffer);
    free(record);
}

static void read_known(rn_spill_file *file, const known_run *known)
{
    char *buffer = buffer_of(known->run.largest_bytes), *record = buffer_of(RECORD_MAX);
    rn_run_reader reader;
    const char *bytes;
    size_t length, at = 0;
    uint32_t count = 0;
    int64_t blocks = 0;
    rn_run_start(&reader, file, &known->run, buffer);
    for (;; blocks++) {
        ck_assert_int_eq(rn_run_next(&reader, &bytes, &length), RATION_OK);
        if (length == 0) {
            break;
        }
        for (at = 0; at < length; count++) {
            ck_assert_uint_lt(count, known->count);
            make_record(known->first + count, record, known->sizes[count]);
            ck_assert_uint_le(at + known->sizes[count], length);
            ck_assert_mem_eq(bytes + at, record, known->sizes[count]);
            at += known->sizes[count];
        }
    }
    ck_assert_uint_eq(count, known->count);
    ck_assert_int_eq(blocks, known->run.blocks);
    ck_assert_int_eq(rn_run_next(&reader, &bytes, &length), RATION_OK);
    ck_assert_uint_eq(length, 0);
    free(buffer);
    free(record);
}

/* Many runs, each read while others come and go: quotas, extents and bytes hold all the time. */
START_TEST(test_run__keeps_what_was_written_while_others_come_and_go)
{
    enum { RUNS = 12, STEPS = 160 };
    static const size_t capacities[] = {RN_RUN_BLOCK_BYTES_MIN, 8192, RN_RUN_BLOCK_BYTES};
    uint64_t seed = sample_seed("run");
    spill_world world;
    known_run runs[RUNS] = {0};
    spill_world_open(&world);
    for (int step = 0; step < STEPS; step++) {
        known_run *known = &runs[rn_random_below(&seed, RUNS)];
        if (known->run.number == 0) {
            write_known(world.file, known, &seed, capacities[rn_random_below(&seed, 3)],
                        rn_random_below(&seed, 3) == 0 ? RECORD_MAX : 4000);
        } else {
            read_known(world.file, known);
            rn_run_release(world.file, &known->run);
            free(known->sizes);
            ck_assert_uint_eq(known->run.number, 0);
        }
        int64_t live = 0;
        for (int i = 0; i < RUNS; i++) {
            live += runs[i].run.file_bytes;
        }
        ck_assert_int_eq(rn_spill_file_bytes(world.file), live);
        char text[128];
        ck_assert_msg(rn_spill_file_check(world.file, text, sizeof text), "%s", text);
        ck_assert_int_eq(world.quota.used_bytes, live);
    }
    for (int i = 0; i < RUNS; i++) {
        if (runs[i].run.number != 0) {
            read_known(world.file, &runs[i]);
            free(runs[i].sizes);
        }
    }
    ck_assert_int_eq(world.quota.total_bytes, rn_spill_file_written(world.file));
    spill_world_close(&world);
}
END_TEST

/* Two writers at once: their extents interleave. Two readers and a writer at once. */
START_TEST(test_run__writers_and_readers_interleave)
{
    enum { RECORDS = 3000, BYTES = 1024 };
    spill_world world;
    rn_run_writer writers[3];
    rn_run runs[3];
    char *buffers[3], *record = buffer_of(BYTES);
    spill_world_open(&world);
    for (int w = 0; w < 3; w++) {
        buffers[w] = buffer_of(RN_RUN_BLOCK_BYTES);
        rn_run_begin(&writers[w], world.file, 1, buffers[w], RN_RUN_BLOCK_BYTES);
    }
    for (uint64_t i = 0; i < RECORDS; i++) {
        for (uint64_t w = 0; w < 2; w++) {
            make_record(i * 3 + w, record, BYTES);
            ck_assert_int_eq(rn_run_append(&writers[w], record, BYTES, record, 0), RATION_OK);
        }
    }
    for (int w = 0; w < 2; w++) {
        ck_assert_int_eq(rn_run_end(&writers[w], &runs[w]), RATION_OK);
    }
    rn_run_reader readers[2];
    const char *at[2] = {NULL, NULL};
    size_t left[2] = {0, 0};
    for (int w = 0; w < 2; w++) {
        rn_run_start(&readers[w], world.file, &runs[w], buffers[w]);
    }
    for (uint64_t i = 0; i < RECORDS; i++) {
        for (uint64_t w = 0; w < 2; w++) {
            if (left[w] == 0) {
                ck_assert_int_eq(rn_run_next(&readers[w], &at[w], &left[w]), RATION_OK);
            }
            make_record(i * 3 + w, record, BYTES);
            ck_assert_mem_eq(at[w], record, BYTES);
            at[w] += BYTES;
            left[w] -= BYTES;
        }
        ck_assert_int_eq(rn_run_append(&writers[2], record, BYTES, record, 0), RATION_OK);
    }
    ck_assert_int_eq(rn_run_end(&writers[2], &runs[2]), RATION_OK);
    ck_assert_int_eq(runs[2].bytes, runs[0].bytes);
    for (int w = 0; w < 3; w++) {
        rn_run_release(world.file, &runs[w]);
        free(buffers[w]);
    }
    free(record);
    ck_assert_int_eq(rn_spill_file_bytes(world.file), 0);
    spill_world_close(&world);
}
END_TEST

/* 64 MiB + 8: the widest row that can be asked for, and its key. */
START_TEST(test_run__holds_records_wider_than_its_buffer)
{
    static const size_t sizes[] = {8,
                                   RN_RUN_BLOCK_BYTES_MIN - RN_RUN_HEAD_BYTES,
                                   RN_RUN_BLOCK_BYTES_MIN - RN_RUN_HEAD_BYTES + 8,
                                   64 * 1024,
                                   64 * 1024 - RN_RUN_HEAD_BYTES,
                                   64 * 1024 - RN_RUN_HEAD_BYTES + 8,
                                   (64u << 20) + 8,
                                   16};
    spill_world world;
    rn_run_writer writer;
    rn_run_reader reader;
    rn_run run;
    char *small = buffer_of(RN_RUN_BLOCK_BYTES_MIN), *record = buffer_of((64u << 20) + 8);
    const char *bytes;
    size_t length;
    spill_world_open(&world);
    rn_run_begin(&writer, world.file, 1, small, RN_RUN_BLOCK_BYTES_MIN);
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        make_record(i, record, sizes[i]);
        ck_assert_int_eq(rn_run_append(&writer, record, 8, record + 8, sizes[i] - 8), RATION_OK);
    }
    ck_assert_int_eq(rn_run_end(&writer, &run), RATION_OK);
    ck_assert_int_eq(run.blocks, RN_COUNT(sizes));
    ck_assert_uint_eq(run.largest_bytes, (64u << 20) + 8 + RN_RUN_HEAD_BYTES);
    char *large = buffer_of(run.largest_bytes);
    rn_run_start(&reader, world.file, &run, large);
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        ck_assert_int_eq(rn_run_next(&reader, &bytes, &length), RATION_OK);
        make_record(i, record, sizes[i]);
        ck_assert_uint_eq(length, sizes[i]);
        ck_assert(memcmp(bytes, record, length) == 0);
    }
    ck_assert_int_eq(rn_run_next(&reader, &bytes, &length), RATION_OK);
    ck_assert_uint_eq(length, 0);
    free(small);
    free(large);
    free(record);
    spill_world_close(&world);
}
END_TEST

START_TEST(test_run__empty_runs_take_no_space)
{
    spill_world world;
    rn_run_writer writer;
    rn_run_reader reader;
    rn_run run, none = {0};
    char *buffer = buffer_of(RN_RUN_BLOCK_BYTES_MIN);
    const char *bytes;
    size_t length = 1;
    spill_world_open(&world);
    rn_run_begin(&writer, world.file, 1, buffer, RN_RUN_BLOCK_BYTES_MIN);
    ck_assert_int_eq(rn_run_end(&writer, &run), RATION_OK);
    ck_assert_int_eq(run.blocks, 0);
    ck_assert_int_eq(run.file_bytes, 0);
    ck_assert_uint_ne(run.number, 0);
    rn_run_start(&reader, world.file, &run, buffer);
    ck_assert_int_eq(rn_run_next(&reader, &bytes, &length), RATION_OK);
    ck_assert_uint_eq(length, 0);
    rn_run_release(world.file, &run);
    rn_run_release(world.file, &run);
    rn_run_release(world.file, &none);
    rn_run_abandon(&writer);
    ck_assert_int_eq(world.disk.calls, 0); /* no directory and no file was opened for it */
    free(buffer);
    spill_world_close(&world);
}
END_TEST

/* Blocks read at random, while the run grows behind them. */
START_TEST(test_run__reads_any_block_while_it_grows)
{
    enum { BLOCKS = 120 };
    uint64_t seed = sample_seed("place");
    int64_t places[BLOCKS];
    size_t sizes[BLOCKS];
    spill_world world;
    rn_run_writer writer;
    rn_run_reader reader, follower;
    char *buffer = buffer_of(RN_RUN_BLOCK_BYTES_MIN), *back = buffer_of(RN_RUN_BLOCK_BYTES);
    char *record = buffer_of(RN_RUN_BLOCK_BYTES);
    const char *bytes;
    size_t length;
    spill_world_open(&world);
    rn_run_begin(&writer, world.file, 9, buffer, RN_RUN_BLOCK_BYTES_MIN);
    rn_run_start(&reader, world.file, &writer.run, back);
    rn_run_start(&follower, world.file, &writer.run, back);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        sizes[i] = rn_random_below(&seed, 2) == 0
                       ? RN_RUN_BLOCK_BYTES - RN_RUN_HEAD_BYTES /* fills its 64 KiB */
                       : 8 + (size_t)rn_random_below(&seed, 8000) * 8;
        make_record(i, record, sizes[i]);
        ck_assert_int_eq(rn_run_append_wide(&writer, record, sizes[i], NULL, 0), RATION_OK);
        places[i] = rn_run_written(&writer);
        uint64_t picked = rn_random_below(&seed, i + 1);
        reader.run = writer.run;
        rn_run_seek(&reader, places[picked]);
        for (uint64_t j = picked; j <= RN_MIN(i, picked + 1); j++) { /* and the one behind it */
            ck_assert_int_eq(rn_run_next(&reader, &bytes, &length), RATION_OK);
            make_record(j, record, sizes[j]);
            ck_assert_uint_eq(length, sizes[j]);
            ck_assert_mem_eq(bytes, record, length);
            ck_assert_int_eq(rn_run_place(&reader), places[j]);
        }
        follower.run = writer.run;
        ck_assert_int_eq(rn_run_next(&follower, &bytes, &length), RATION_OK);
        make_record(i, record, sizes[i]);
        ck_assert_uint_eq(length, sizes[i]);
        ck_assert_mem_eq(bytes, record, length);
        ck_assert_int_eq(rn_run_next(&follower, &bytes, &length), RATION_OK);
        ck_assert_uint_eq(length, 0);
    }
    rn_run_abandon(&writer);
    ck_assert_int_eq(rn_spill_file_bytes(world.file), 0);
    free(buffer);
    free(back);
    free(record);
    spill_world_close(&world);
}
END_TEST

/* Rows behind keys, some wider than a buffer. */
START_TEST(test_run__rows_come_back_with_their_keys)
{
    enum { ROWS = 5000 };
    spill_world world;
    rn_run_writer writer;
    rn_run run;
    char *buffer = buffer_of(RN_RUN_BLOCK_BYTES), *row = buffer_of(RECORD_MAX);
    spill_world_open(&world);
    rn_run_begin(&writer, world.file, 2, buffer, RN_RUN_BLOCK_BYTES);
    for (uint64_t i = 0; i < ROWS; i++) {
        uint32_t bytes = i % 997 == 5 ? 200000 : (uint32_t)(16 + i % 50 * 8);
        make_record(i, row, bytes);
        memcpy(row, &bytes, sizeof bytes);
        ck_assert_int_eq(rn_row_run_put(&writer, i * i, (const rn_row *)(void *)row), RATION_OK);
    }
    ck_assert_int_eq(rn_run_end(&writer, &run), RATION_OK);
    rn_row_run_reader reader;
    char *large = buffer_of(run.largest_bytes);
    ck_assert_int_eq(rn_row_run_start(&reader, world.file, &run, large), RATION_OK);
    const rn_row *block_first = NULL;
    uint32_t block_first_bytes = 0;
    for (uint64_t i = 0; i < ROWS; i++) {
        uint32_t bytes = i % 997 == 5 ? 200000 : (uint32_t)(16 + i % 50 * 8);
        ck_assert_ptr_nonnull(reader.row);
        ck_assert_uint_eq(reader.key, i * i);
        ck_assert_uint_eq(rn_row_bytes(reader.row), bytes);
        make_record(i, row, bytes);
        ck_assert_mem_eq((const char *)reader.row + 4, row + 4, bytes - 4);
        if (block_first == NULL) {
            block_first = reader.row;
            block_first_bytes = bytes;
        }
        ck_assert_uint_eq(rn_row_bytes(block_first), block_first_bytes); /* stays until a turn */
        if (rn_row_run_turns(&reader)) {
            block_first = NULL;
        }
        ck_assert_int_eq(rn_row_run_step(&reader), RATION_OK);
    }
    ck_assert_ptr_null(reader.row);
    ck_assert_int_eq(rn_row_run_step(&reader), RATION_OK);
    ck_assert_ptr_null(reader.row);
    free(buffer);
    free(large);
    free(row);
    spill_world_close(&world);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_run__keeps_what_was_written_while_others_come_and_go,
        test_run__writers_and_readers_interleave,
        test_run__holds_records_wider_than_its_buffer,
        test_run__empty_runs_take_no_space,
        test_run__reads_any_block_while_it_grows,
        test_run__rows_come_back_with_their_keys,
    };
    return support_run("run", tests, RN_COUNT(tests));
}

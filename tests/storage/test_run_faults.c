/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs on a disk that fails: at every call, in every way, once and for ever; and on one that loses
 * or changes what was written. Either the right bytes come back, or one clear error. */
#include "tests/storage/spill_world.h"

#define CAPACITY ((size_t)RN_RUN_BLOCK_BYTES_MIN)
#define RECORD_BYTES ((size_t)520)
#define WIDE_BYTES ((size_t)300 * 1024)

/* --------------------------------------------------------------------------------------- faults */

static ration_status write_run(rn_spill_file *file, uint64_t first, uint32_t records, bool wide,
                               rn_run *out)
{
    static char buffer[CAPACITY] __attribute__((aligned(64)));
    static char record[WIDE_BYTES];
    rn_run_writer writer;
    rn_run_begin(&writer, file, 4, buffer, CAPACITY);
    for (uint32_t i = 0; i < records; i++) {
        size_t bytes = wide && i % 8 == 3 ? WIDE_BYTES : RECORD_BYTES;
        make_record(first + i, record, bytes);
        ration_status status = rn_run_append(&writer, record, 8, record + 8, bytes - 8);
        if (status != RATION_OK) {
            rn_run_abandon(&writer);
            return status;
        }
    }
    return rn_run_end(&writer, out);
}

/* Reads it through; wrong bytes end the test. */
static ration_status read_run(rn_spill_file *file, const rn_run *run, uint64_t first,
                              uint32_t records, bool wide)
{
    static char buffer[WIDE_BYTES + RN_RUN_HEAD_BYTES] __attribute__((aligned(64)));
    static char record[WIDE_BYTES];
    rn_run_reader reader;
    const char *bytes;
    size_t length;
    uint32_t i = 0;
    ck_assert_uint_le(run->largest_bytes, sizeof buffer);
    rn_run_start(&reader, file, run, buffer);
    for (;;) {
        RN_TRY(rn_run_next(&reader, &bytes, &length));
        if (length == 0) {
            ck_assert_uint_eq(i, records);
            return RATION_OK;
        }
        for (size_t at = 0; at < length; i++) {
            size_t size = wide && i % 8 == 3 ? WIDE_BYTES : RECORD_BYTES;
            make_record(first + i, record, size);
            ck_assert_uint_le(at + size, length);
            ck_assert_mem_eq(bytes + at, record, size);
            at += size;
        }
    }
}

/* All that is done with runs: two of them, one given back, a third in its place. */
static ration_status do_everything(rn_spill_file *file)
{
    rn_run a, b, c;
    RN_TRY(write_run(file, 100, 20, false, &a));
    RN_TRY(write_run(file, 200, 12, true, &b));
    RN_TRY(read_run(file, &a, 100, 20, false));
    rn_run_release(file, &a);
    RN_TRY(write_run(file, 300, 14, true, &c));
    RN_TRY(read_run(file, &b, 200, 12, true));
    rn_run_release(file, &b);
    RN_TRY(read_run(file, &c, 300, 14, true));
    rn_run_release(file, &c);
    return RATION_OK;
}

typedef struct fault_case {
    const char *name;
    int fault;
    bool forever, no_unnamed;
    ration_status status; /* what may come besides RATION_OK */
} fault_case;

/* Fails call 1, 2, ... until all is done without the call that would fail. */
static void fail_every_call(const fault_case *fault)
{
    static const rn_spill_options options = {
        .allow_memory = true, .write_behind = true, .free_bytes_min = 1};
    int64_t failures = 0;
    for (int64_t n = 1;; n++) {
        spill_world world;
        spill_world_open_with(&world, &options);
        world.disk.no_unnamed = fault->no_unnamed;
        world.disk.fault = fault->fault;
        rn_failure_arm(&world.disk.due, n, fault->forever);
        ration_status status = do_everything(world.file);
        int64_t calls = world.disk.calls;
        rn_failure_arm(&world.disk.due, 0, false);
        if (status != RATION_OK) {
            failures += 1;
            ck_assert_msg(status == fault->status || status == RATION_SPILL_CORRUPT, "%s: %s",
                          fault->name, ration_status_name(status));
            (void)spill_world_failure(&world, status);
            rn_run run;
            ck_assert_int_eq(write_run(world.file, 1, 20, false, &run), status); /* sticky */
        }
        /* wrong bytes would have been found; a read that ends early is a block cut off */
        ck_assert(status != RATION_SPILL_CORRUPT || fault->fault == FAULT_ZERO);
        spill_world_close(&world);
        if (calls < n) {
            ck_assert_int_gt(n, 40);
            break;
        }
    }
    ck_assert_msg((failures > 0) == (fault->status != RATION_OK), "%s: %lld failures", fault->name,
                  (long long)failures);
}

START_TEST(test_run_faults__right_bytes_or_one_clear_error)
{
    static const fault_case cases[] = {
        {"ENOSPC once", ENOSPC, false, false, RATION_SPILL_NO_SPACE},
        {"ENOSPC for ever", ENOSPC, true, false, RATION_SPILL_NO_SPACE},
        {"EDQUOT once", EDQUOT, false, false, RATION_SPILL_NO_SPACE},
        {"EFBIG for ever", EFBIG, true, false, RATION_SPILL_NO_SPACE},
        {"EIO once", EIO, false, false, RATION_SPILL_IO},
        {"EIO for ever", EIO, true, false, RATION_SPILL_IO},
        {"EIO for ever, with names", EIO, true, true, RATION_SPILL_IO},
        {"EMFILE once", EMFILE, false, false, RATION_SPILL_IO},
        {"EINTR once", EINTR, false, false, RATION_OK},
        {"EINTR once, with names", EINTR, false, true, RATION_OK},
        {"EINTR for ever", EINTR, true, false, RATION_SPILL_IO},
        {"short once", FAULT_SHORT, false, false, RATION_OK},
        {"short for ever", FAULT_SHORT, true, false, RATION_OK},
        {"nothing once", FAULT_ZERO, false, false, RATION_SPILL_IO},
        {"nothing for ever", FAULT_ZERO, true, false, RATION_SPILL_IO},
    };
    for (size_t i = 0; i < RN_COUNT(cases); i++) {
        fail_every_call(&cases[i]);
    }
}
END_TEST

START_TEST(test_run_faults__every_allocation)
{
    for (int64_t n = 1; n <= 4; n++) {
        for (int forever = 0; forever < 2; forever++) {
            spill_world world;
            spill_world_open(&world);
            rn_heap_fail_after(n, forever != 0);
            ration_status status = do_everything(world.file);
            rn_heap_fail_after(0, false);
            ck_assert_int_eq(status, n <= 2 ? RATION_NO_MEMORY : RATION_OK);
            spill_world_close(&world);
        }
    }
    int64_t heap_bytes = rn_heap_bytes();
    rn_spill_volume *volume = NULL;
    rn_spill_file *file = NULL;
    rn_heap_fail_after(1, true);
    ck_assert_int_eq(rn_spill_volume_open(&(rn_spill_options){.directory = "/tmp"}, &volume, NULL),
                     RATION_NO_MEMORY);
    rn_heap_fail_after(0, false);
    ck_assert_ptr_null(volume);
    ck_assert_int_eq(rn_spill_volume_open(&(rn_spill_options){.directory = "/tmp"}, &volume, NULL),
                     RATION_OK);
    rn_heap_fail_after(1, true);
    ck_assert_int_eq(rn_spill_file_open(volume, NULL, 1, &file), RATION_NO_MEMORY);
    rn_heap_fail_after(0, false);
    ck_assert_ptr_null(file);
    rn_spill_volume_close(volume);
    ck_assert_int_eq(rn_heap_bytes(), heap_bytes);
}
END_TEST

/* ----------------------------------------------------------------------------------- corruption */

/* A file with a small run in it: its bytes as they lie on the disk, and which of them are the
 * blocks' (the others fill pages up). */
#define IMAGE_MAX ((size_t)64 * 1024)
#define SMALL_RECORDS 18u

typedef struct small_run {
    spill_world world;
    rn_run run;
    size_t bytes;
    char image[IMAGE_MAX];
    bool matters[IMAGE_MAX];
    size_t block_at[16], block_pages[16];
    size_t blocks;
} small_run;

static ration_status write_small(rn_spill_file *file, uint64_t first, rn_run *out)
{
    static char buffer[CAPACITY] __attribute__((aligned(64)));
    static char record[3 * CAPACITY];
    rn_run_writer writer;
    rn_run_begin(&writer, file, 4, buffer, CAPACITY);
    for (uint32_t i = 0; i < SMALL_RECORDS; i++) {
        size_t bytes = i == 10 ? 2 * CAPACITY + 1000 : RECORD_BYTES;
        make_record(first + i, record, bytes);
        RN_TRY(rn_run_append(&writer, record, bytes, record, 0));
    }
    return rn_run_end(&writer, out);
}

static void load_image(small_run *small, char *image)
{
    ck_assert_int_eq(pread(small->world.file->descriptor, image, small->bytes, 0),
                     (ssize_t)small->bytes);
}

static void store_image(const small_run *small, const char *image, size_t at, size_t bytes)
{
    ck_assert_int_eq(pwrite(small->world.file->descriptor, image + at, bytes, (off_t)at),
                     (ssize_t)bytes);
}

static void open_small(small_run *small)
{
    memset(small, 0, sizeof *small);
    spill_world_open(&small->world);
    ck_assert_int_eq(write_small(small->world.file, 500, &small->run), RATION_OK);
    small->bytes = (size_t)small->run.file_bytes;
    ck_assert_uint_le(small->bytes, IMAGE_MAX);
    load_image(small, small->image);
    for (size_t at = 0; at < small->bytes; small->blocks++) {
        uint32_t length;
        memcpy(&length, small->image + at + 12, sizeof length);
        memset(small->matters + at, 1, length);
        size_t pages = (length + RN_SPILL_PAGE - 1) / RN_SPILL_PAGE;
        small->block_at[small->blocks] = at;
        small->block_pages[small->blocks] = pages;
        at += pages * RN_SPILL_PAGE;
    }
    ck_assert_uint_eq(small->blocks, (size_t)small->run.blocks);
    ck_assert_uint_ge(small->blocks, 4);
}

/* Reads the run as `handle`: all of it is right, or SPILL_CORRUPT. */
static ration_status read_small(small_run *small, const rn_run *handle)
{
    static char buffer[IMAGE_MAX] __attribute__((aligned(64)));
    static char record[3 * CAPACITY];
    rn_run_reader reader;
    const char *bytes;
    size_t length;
    uint32_t i = 0;
    memset(&small->world.file->error, 0, sizeof small->world.file->error);
    rn_run_start(&reader, small->world.file, handle, buffer);
    for (;;) {
        RN_TRY(rn_run_next(&reader, &bytes, &length));
        if (length == 0) {
            ck_assert_uint_eq(i, SMALL_RECORDS);
            return RATION_OK;
        }
        for (size_t at = 0; at < length; i++) {
            size_t size = i == 10 ? 2 * CAPACITY + 1000 : RECORD_BYTES;
            make_record(500 + i, record, size);
            ck_assert_mem_eq(bytes + at, record, size);
            at += size;
        }
    }
}

static void expect_corrupt(small_run *small, const char *what, size_t where)
{
    ration_status status = read_small(small, &small->run);
    ck_assert_msg(status == RATION_SPILL_CORRUPT, "%s at %zu: %s", what, where,
                  ration_status_name(status));
    (void)spill_world_failure(&small->world, RATION_SPILL_CORRUPT);
}

START_TEST(test_run_faults__every_flipped_byte_is_found)
{
    static small_run small;
    open_small(&small);
    for (size_t at = 0; at < small.bytes; at++) {
        static const char masks[] = {(char)0xff, 0x01, (char)0x80};
        for (size_t m = 0; m < (at % 16 == 0 ? RN_COUNT(masks) : 1); m++) {
            char byte = (char)(small.image[at] ^ masks[m]);
            ck_assert_int_eq(pwrite(small.world.file->descriptor, &byte, 1, (off_t)at), 1);
            if (small.matters[at]) {
                expect_corrupt(&small, "flip", at);
            } else {
                ck_assert_int_eq(read_small(&small, &small.run), RATION_OK);
            }
        }
        store_image(&small, small.image, at, 1);
    }
    ck_assert_int_eq(read_small(&small, &small.run), RATION_OK);
    memset(&small.world.file->error, 0, sizeof small.world.file->error);
    spill_world_close(&small.world);
}
END_TEST

/* A run of one block, whose right bytes still lie in the buffer from reading it before. */
static void expect_cuts_of_one_block(small_run *small)
{
    static char buffer[CAPACITY] __attribute__((aligned(64)));
    int descriptor = small->world.file->descriptor;
    rn_run one;
    rn_run_reader reader;
    const char *bytes;
    size_t got;
    ck_assert_int_eq(write_run(small->world.file, 900, 3, false, &one), RATION_OK);
    off_t at = (off_t)((one.first_extent - 1) * RN_EXTENT_BYTES);
    for (size_t length = one.largest_bytes; length-- > 0;) {
        rn_run_start(&reader, small->world.file, &one, buffer);
        ck_assert_int_eq(rn_run_next(&reader, &bytes, &got), RATION_OK);
        ck_assert_int_eq(ftruncate(descriptor, at + (off_t)length), 0);
        rn_run_start(&reader, small->world.file, &one, buffer);
        ck_assert_int_eq(rn_run_next(&reader, &bytes, &got), RATION_SPILL_CORRUPT);
        memset(&small->world.file->error, 0, sizeof small->world.file->error);
        ck_assert_int_eq(
            pwrite(descriptor, buffer + length, one.largest_bytes - length, at + (off_t)length),
            (ssize_t)(one.largest_bytes - length));
    }
}

START_TEST(test_run_faults__every_truncation_is_found)
{
    static small_run small;
    open_small(&small);
    size_t end = small.bytes;
    while (!small.matters[end - 1]) {
        end -= 1;
    }
    for (size_t length = 0; length < small.bytes; length++) {
        ck_assert_int_eq(ftruncate(small.world.file->descriptor, (off_t)length), 0);
        if (length < end) {
            expect_corrupt(&small, "cut", length);
            ck_assert_int_eq(ftruncate(small.world.file->descriptor, (off_t)small.bytes), 0);
            expect_corrupt(&small, "zeros from", length); /* as after a hole */
        } else {
            ck_assert_int_eq(read_small(&small, &small.run), RATION_OK);
        }
        store_image(&small, small.image, length, small.bytes - length);
    }
    expect_cuts_of_one_block(&small);
    rn_run shorter = small.run; /* a handle that has lost its last block */
    shorter.blocks -= 1;
    ck_assert_int_eq(read_small(&small, &shorter), RATION_SPILL_CORRUPT);
    spill_world_close(&small.world);
}
END_TEST

START_TEST(test_run_faults__every_swap_of_blocks_is_found)
{
    static small_run small;
    static char image[IMAGE_MAX];
    open_small(&small);
    int pairs = 0;
    for (size_t a = 0; a < small.blocks; a++) {
        for (size_t b = 0; b < small.blocks; b++) {
            if (a == b || small.block_pages[a] != small.block_pages[b]) {
                continue;
            }
            size_t bytes = small.block_pages[a] * RN_SPILL_PAGE;
            memcpy(image, small.image, small.bytes);
            memcpy(image + small.block_at[a], small.image + small.block_at[b], bytes);
            store_image(&small, image, 0, small.bytes); /* one is there twice */
            expect_corrupt(&small, "copy", a);
            memcpy(image + small.block_at[b], small.image + small.block_at[a], bytes);
            store_image(&small, image, 0, small.bytes); /* swapped */
            expect_corrupt(&small, "swap", a);
            pairs += 1;
        }
    }
    ck_assert_int_gt(pairs, 4);
    spill_world_close(&small.world);
}
END_TEST

/* The same contents at the same place, by the same operator of the same query: from an earlier run,
 * and from another file. */
START_TEST(test_run_faults__blocks_of_another_time_or_file_are_found)
{
    static small_run small, other;
    static char now[IMAGE_MAX];
    open_small(&small);
    open_small(&other);
    uint32_t extent = small.run.first_extent;
    rn_run_release(small.world.file, &small.run);
    ck_assert_int_eq(write_small(small.world.file, 500, &small.run), RATION_OK);
    ck_assert_uint_eq(small.run.first_extent, extent);
    load_image(&small, now);
    rn_run_release(other.world.file, &other.run);
    ck_assert_int_eq(write_small(other.world.file, 500, &other.run), RATION_OK);
    ck_assert_uint_eq(other.run.number, small.run.number); /* its tag differs by the file alone */
    load_image(&other, other.image);
    for (size_t block = 0; block < small.blocks; block++) {
        size_t at = small.block_at[block], bytes = small.block_pages[block] * RN_SPILL_PAGE;
        store_image(&small, small.image, at, bytes);
        expect_corrupt(&small, "stale block", block);
        store_image(&small, other.image, at, bytes);
        expect_corrupt(&small, "block of another file", block);
        store_image(&small, now, at, bytes);
        ck_assert_int_eq(read_small(&small, &small.run), RATION_OK);
    }
    spill_world_end(&other.world);
    support_remove(other.world.folder);
    small.world.descriptors = count_entries("/proc/self/fd") - 2; /* its directory, its file */
    spill_world_close(&small.world);
}
END_TEST

/* A block that is sought is verified like one that is met. */
START_TEST(test_run_faults__a_sought_block_is_verified)
{
    static small_run small;
    static char buffer[IMAGE_MAX] __attribute__((aligned(64)));
    rn_run_reader reader;
    const char *bytes;
    size_t length;
    open_small(&small);
    rn_run_start(&reader, small.world.file, &small.run, buffer);
    ck_assert_int_eq(rn_run_next(&reader, &bytes, &length), RATION_OK);
    ck_assert_int_eq(rn_run_next(&reader, &bytes, &length), RATION_OK);
    int64_t place = rn_run_place(&reader);
    char byte = (char)~small.image[small.block_at[1] + 100];
    ck_assert_int_eq(pwrite(small.world.file->descriptor, &byte, 1, (off_t)small.block_at[1] + 100),
                     1);
    rn_run_seek(&reader, place);
    ck_assert_int_eq(rn_run_next(&reader, &bytes, &length), RATION_SPILL_CORRUPT);
    memset(&small.world.file->error, 0, sizeof small.world.file->error);
    store_image(&small, small.image, 0, small.bytes);
    rn_run_seek(&reader, place);
    store_image(&small, small.image + small.block_at[0], small.block_at[1], 0);
    ck_assert_int_eq(pwrite(small.world.file->descriptor, small.image + small.block_at[2],
                            small.block_pages[2] * RN_SPILL_PAGE, (off_t)small.block_at[1]),
                     (ssize_t)(small.block_pages[2] * RN_SPILL_PAGE));
    ck_assert_int_eq(rn_run_next(&reader, &bytes, &length), RATION_SPILL_CORRUPT);
    spill_world_close(&small.world);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_run_faults__right_bytes_or_one_clear_error,
        test_run_faults__every_allocation,
        test_run_faults__every_flipped_byte_is_found,
        test_run_faults__every_truncation_is_found,
        test_run_faults__every_swap_of_blocks_is_found,
        test_run_faults__blocks_of_another_time_or_file_are_found,
        test_run_faults__a_sought_block_is_verified,
    };
    return support_run("run_faults", tests, RN_COUNT(tests));
}

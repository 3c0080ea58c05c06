/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast runs are written and read, beside the same bytes in the same blocks through pwrite and
 * pread alone: no head, no checksum, no quota, no records.
 *
 *     runs DIRECTORY MIB ROUNDS PREFIX
 *
 * Rounds alternate; each writes MIB, reads them and gives them back. A row is a line `name value
 * unit against ratio` (best of the rounds; the ratio is of rates). PREFIX begins the names. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/text.h"
#include "storage/row_run.h"

#define ROW_BYTES 104u
#define RECORD_BYTES (ROW_BYTES + 8)
#define BLOCK_BYTES ((size_t)64 * 1024)

typedef struct bench_walls {
    int64_t write_ns, read_ns, release_ns, all_ns;
} bench_walls;

static char buffer[BLOCK_BYTES] __attribute__((aligned(4096)));

static void stop_unless(bool fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "runs: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

static void stop_with(const rn_spill_file *file, ration_status status)
{
    ration_error error = {0};
    if (status != RATION_OK) {
        stop_unless(!rn_spill_file_error(file, &error), error.message);
        stop_unless(false, ration_status_name(status));
    }
}

static void keep_best(bench_walls *best, const bench_walls *walls)
{
    best->write_ns = RN_MIN(best->write_ns, walls->write_ns);
    best->read_ns = RN_MIN(best->read_ns, walls->read_ns);
    best->release_ns = RN_MIN(best->release_ns, walls->release_ns);
    best->all_ns = RN_MIN(best->all_ns, walls->all_ns);
}

static void time_run(const char *directory, int64_t rows, bool write_behind, bench_walls *best)
{
    rn_spill_volume *volume;
    rn_spill_file *file;
    rn_run_writer writer;
    rn_row_run_reader reader;
    rn_run run;
    uint64_t words[ROW_BYTES / 8] = {ROW_BYTES};
    int64_t read = 0;
    ration_error error = {0};
    rn_spill_options options = {.directory = directory, .write_behind = write_behind};
    stop_unless(rn_spill_volume_open(&options, &volume, &error) == RATION_OK, error.message);
    stop_unless(rn_spill_file_open(volume, NULL, 1, &file) == RATION_OK, "no memory");
    int64_t start_ns = rn_clock_ns();
    rn_run_begin(&writer, file, 1, buffer, RN_RUN_BLOCK_BYTES);
    for (int64_t i = 0; i < rows; i++) {
        words[1] = (uint64_t)i;
        stop_with(file, rn_row_run_put(&writer, (uint64_t)i, (const rn_row *)(void *)words));
    }
    stop_with(file, rn_run_end(&writer, &run));
    int64_t written_ns = rn_clock_ns();
    stop_with(file, rn_row_run_start(&reader, file, &run, buffer));
    while (reader.row != NULL) {
        read += reader.key == (uint64_t)read;
        stop_with(file, rn_row_run_step(&reader));
    }
    stop_unless(read == rows, "rows are missing");
    int64_t read_ns = rn_clock_ns();
    rn_spill_file_close(file);
    int64_t end_ns = rn_clock_ns();
    rn_spill_volume_close(volume);
    bench_walls walls = {written_ns - start_ns, read_ns - written_ns, end_ns - read_ns,
                         end_ns - start_ns};
    keep_best(best, &walls);
}

static void time_plain(const char *directory, int64_t blocks, bench_walls *best)
{
    int64_t start_ns = rn_clock_ns();
    int file = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    stop_unless(file >= 0, "no file");
    for (int64_t i = 0; i < blocks; i++) {
        stop_unless(pwrite(file, buffer, BLOCK_BYTES, i * (int64_t)BLOCK_BYTES) ==
                        (ssize_t)BLOCK_BYTES,
                    "pwrite");
    }
    int64_t written_ns = rn_clock_ns();
    for (int64_t i = 0; i < blocks; i++) {
        stop_unless(pread(file, buffer, BLOCK_BYTES, i * (int64_t)BLOCK_BYTES) ==
                        (ssize_t)BLOCK_BYTES,
                    "pread");
    }
    int64_t read_ns = rn_clock_ns();
    (void)close(file);
    int64_t end_ns = rn_clock_ns();
    bench_walls walls = {written_ns - start_ns, read_ns - written_ns, end_ns - read_ns,
                         end_ns - start_ns};
    keep_best(best, &walls);
}

static void put_rate(const char *prefix, const char *name, int64_t mib, int64_t ns,
                     int64_t against_ns)
{
    printf("%s%s %.0f MiB/s %.0f %.3f\n", prefix, name, (double)mib * 1e9 / (double)ns,
           (double)mib * 1e9 / (double)against_ns, (double)against_ns / (double)ns);
}

int main(int count, char **arguments)
{
    int64_t mib, rounds;
    if (count != 5 || !rn_parse_int64(arguments[2], strlen(arguments[2]), &mib) ||
        !rn_parse_int64(arguments[3], strlen(arguments[3]), &rounds) || mib < 1 || rounds < 1) {
        fprintf(stderr, "usage: runs DIRECTORY MIB ROUNDS PREFIX\n");
        return 2;
    }
    const char *directory = arguments[1], *prefix = arguments[4];
    bench_walls plain = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}, run = plain, behind = plain;
    int64_t bytes = mib * 1024 * 1024;
    for (int64_t round = 0; round < rounds; round++) {
        time_plain(directory, bytes / (int64_t)BLOCK_BYTES, &plain);
        time_run(directory, bytes / RECORD_BYTES, false, &run);
        time_run(directory, bytes / RECORD_BYTES, true, &behind);
    }
    put_rate(prefix, "write", mib, run.write_ns, plain.write_ns);
    put_rate(prefix, "read", mib, run.read_ns, plain.read_ns);
    put_rate(prefix, "release", mib, run.release_ns, plain.release_ns);
    put_rate(prefix, "all", mib, run.all_ns, plain.all_ns);
    put_rate(prefix, "write_behind.write", mib, behind.write_ns, run.write_ns);
    put_rate(prefix, "write_behind.read", mib, behind.read_ns, run.read_ns);
    put_rate(prefix, "write_behind.all", mib, behind.all_ns, run.all_ns);
    return 0;
}

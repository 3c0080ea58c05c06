/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: blocks in chains of extents (spill_file.h), each with a head that says what it must be.
 *
 *     | checksum | magic, length | query | operator, run | block | file |  0  | contents ...
 *          8         4       4       8        4       4      8      8     16
 *
 * A block begins at a multiple of 4 KiB and is filled up with zeros to the next one, so that no
 * page is written in part (the system would have to read it first). The checksum (xxh3, 64 bits) is
 * over everything from the magic to the end of the contents: it says that the bytes are those that
 * were written. The tag says that they were written here: no two files have one identity and no two
 * runs of a file one number (of 2^32), so a block of another file, run, place or time has another.
 *
 * 1. A block is read by its own length, which is at most run->largest_bytes.
 * 2. What was read from the first block to the end was run->blocks blocks in order, whose checksums
 *    fold to run->hash.
 * 3. Every byte that a reader is shown was verified in the same call. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash.h"
#include "storage/run.h"
#include "storage/spill_file.h"

#define MAGIC UINT32_C(0x316e7552)     /* "Run1" */
#define FIRST_READ_BYTES (64u * 1024u) /* of a block whose length is not known yet */
#define PLACE_PAGE_BITS 32             /* of a place; above them the block's number */
#define BLOCKS_MAX INT64_C(0x7fffffff)

typedef struct block_head {
    uint64_t checksum;
    uint32_t magic, length; /* with the head, without the zeros behind */
    uint64_t query;
    uint32_t operator_, run;
    uint64_t block;
    uint64_t file;
    uint64_t nothing[2];
} block_head;

_Static_assert(sizeof(block_head) == RN_RUN_HEAD_BYTES, "buffers leave room for the head");

static char page_of_zeros[RN_SPILL_PAGE];

/* -------------------------------------------------------------------------------------- writing */

void rn_run_begin(rn_run_writer *writer, rn_spill_file *file, uint32_t operator_, void *buffer,
                  size_t capacity)
{
    rn_assert(capacity >= RN_RUN_BLOCK_BYTES_MIN && (uintptr_t)buffer % 8 == 0);
#ifdef RATION_HARD /* tiny blocks, where nobody asked for a size of his own */
    capacity = capacity == RN_RUN_BLOCK_BYTES ? RN_RUN_BLOCK_BYTES_MIN : capacity;
#endif
    file->runs += 1;
    *writer = (rn_run_writer){
        .file = file,
        .run = {.number = file->runs, .operator_ = operator_},
        .buffer = (char *)buffer,
        .capacity = capacity,
        .used = RN_RUN_HEAD_BYTES,
    };
}

static block_head head_of(const rn_spill_file *file, const rn_run *run, int64_t block,
                          size_t length)
{
    return (block_head){
        .magic = MAGIC,
        .length = (uint32_t)length,
        .query = file->query,
        .operator_ = run->operator_,
        .run = run->number,
        .block = (uint64_t)block,
        .file = file->identity,
    };
}

static int64_t place_of(int64_t block, int64_t position)
{
    return block << PLACE_PAGE_BITS | position / RN_SPILL_PAGE;
}

/* The checksum of a block in parts; the first begins with the head. */
static uint64_t checksum_of(const struct iovec *parts, int count)
{
    const char *from = (const char *)parts[0].iov_base + sizeof(uint64_t);
    size_t bytes = parts[0].iov_len - sizeof(uint64_t);
    if (count == 1) {
        return XXH3_64bits(from, bytes);
    }
    XXH3_state_t state;
    (void)XXH3_64bits_reset(&state);
    (void)XXH3_64bits_update(&state, from, bytes);
    for (int i = 1; i < count; i++) {
        (void)XXH3_64bits_update(&state, parts[i].iov_base, parts[i].iov_len);
    }
    return XXH3_64bits_digest(&state);
}

/* Writes `parts` as one block; its head, not filled in yet, is at the start of the first. One more
 * part must have room behind them, for the zeros. */
static ration_status write_block(rn_run_writer *writer, struct iovec *parts, int count)
{
    rn_run *run = &writer->run;
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        length += parts[i].iov_len;
    }
    if (run->blocks == BLOCKS_MAX) {
        return rn_spill_file_fail(writer->file, RATION_SPILL_NO_SPACE, "",
                                  "a run of %lld blocks is full", (long long)BLOCKS_MAX);
    }
    block_head head = head_of(writer->file, run, run->blocks, length);
    memcpy(parts[0].iov_base, &head, sizeof head);
    head.checksum = checksum_of(parts, count);
    memcpy(parts[0].iov_base, &head.checksum, sizeof head.checksum);
    size_t rest = length % RN_SPILL_PAGE;
    if (rest > 0) {
        parts[count++] = (struct iovec){page_of_zeros, RN_SPILL_PAGE - rest};
    }
    rn_extents chain = {run->first_extent, run->last_extent, run->file_bytes};
    int64_t position;
    ration_status status = rn_extents_append(writer->file, &chain, parts, count, &position);
    run->first_extent = chain.first;
    run->last_extent = chain.last;
    run->file_bytes = chain.bytes;
    RN_TRY(status);
    writer->place = place_of(run->blocks, position);
    run->blocks += 1;
    run->bytes += (int64_t)(length - RN_RUN_HEAD_BYTES);
    run->largest_bytes = RN_MAX(run->largest_bytes, head.length);
    run->hash = rn_hash_word(run->hash, head.checksum);
    return RATION_OK;
}

ration_status rn_run_flush(rn_run_writer *writer)
{
    if (writer->used == RN_RUN_HEAD_BYTES) {
        return rn_spill_file_status(writer->file);
    }
    struct iovec parts[2] = {{writer->buffer, writer->used}};
    writer->used = RN_RUN_HEAD_BYTES;
    return write_block(writer, parts, 1);
}

/* A part for writing is not changed by it, but for the head. */
static struct iovec part_of(const void *bytes, size_t count)
{
    return (struct iovec){(void *)(uintptr_t)bytes, count};
}

ration_status rn_run_append_wide(rn_run_writer *writer, const void *first, size_t first_bytes,
                                 const void *second, size_t second_bytes)
{
    rn_assert(first_bytes + second_bytes <= RN_RUN_RECORD_BYTES_MAX);
    RN_TRY(rn_run_flush(writer));
    block_head head;
    struct iovec parts[4] = {part_of(&head, sizeof head), part_of(first, first_bytes),
                             part_of(second, second_bytes)};
    return write_block(writer, parts, second_bytes > 0 ? 3 : 2);
}

ration_status rn_run_end(rn_run_writer *writer, rn_run *out_run)
{
    ration_status status = rn_run_flush(writer);
    if (status != RATION_OK) {
        rn_run_abandon(writer);
        return status;
    }
    *out_run = writer->run;
    writer->run = (rn_run){0};
    return RATION_OK;
}

void rn_run_abandon(rn_run_writer *writer)
{
    rn_run_release(writer->file, &writer->run);
    writer->used = RN_RUN_HEAD_BYTES;
}

void rn_run_release(rn_spill_file *file, rn_run *run)
{
    rn_extents chain = {run->first_extent, run->last_extent, run->file_bytes};
    if (chain.first != 0) {
        rn_extents_release(file, &chain);
    }
    *run = (rn_run){0};
}

/* -------------------------------------------------------------------------------------- reading */

void rn_run_start(rn_run_reader *reader, rn_spill_file *file, const rn_run *run, void *buffer)
{
    rn_assert((uintptr_t)buffer % 8 == 0);
    *reader = (rn_run_reader){
        .file = file,
        .run = *run,
        .position = run->first_extent * RN_EXTENT_BYTES,
        .whole = true,
        .buffer = (char *)buffer,
    };
}

static ration_status corrupt(const rn_run_reader *reader, const char *what)
{
    return rn_spill_file_fail(
        reader->file, RATION_SPILL_CORRUPT, "test the disk and the memory of this machine",
        "a spill file in %s does not hold what was written: block %lld of %lld of run %u %s",
        rn_spill_file_directory(reader->file), (long long)reader->block,
        (long long)reader->run.blocks, reader->run.number, what);
}

/* Reads the next block as far as it is there: *out_length from its head, once there is a head. */
static ration_status read_block(rn_run_reader *reader, size_t *out_length)
{
    size_t largest = reader->run.largest_bytes;
    size_t wanted = RN_MIN(largest, FIRST_READ_BYTES);
    size_t got = 0, more = 0;
    if (reader->position == 0) { /* nothing was written yet when it started */
        reader->position = reader->run.first_extent * RN_EXTENT_BYTES;
    }
    reader->position = rn_extents_skip(reader->file, reader->position, reader->passed);
    reader->passed = 0;
    RN_TRY(rn_extents_read(reader->file, reader->position, reader->buffer, wanted, &got));
    if (got < sizeof(block_head)) {
        return corrupt(reader, "is not there");
    }
    block_head head;
    memcpy(&head, reader->buffer, sizeof head);
    if (head.magic != MAGIC || head.length < sizeof head || head.length > largest) {
        return corrupt(reader, "has no head");
    }
    if (head.length > got && got == wanted) {
        int64_t behind = rn_extents_skip(reader->file, reader->position, (int64_t)got);
        RN_TRY(
            rn_extents_read(reader->file, behind, reader->buffer + got, head.length - got, &more));
        got += more;
    }
    if (head.length > got) {
        return corrupt(reader, "is cut off");
    }
    *out_length = head.length;
    return RATION_OK;
}

/* Is what lies in the buffer the block that was written there? */
static ration_status verify_block(rn_run_reader *reader, size_t length)
{
    block_head head, wanted = head_of(reader->file, &reader->run, reader->block, length);
    memcpy(&head, reader->buffer, sizeof head);
    struct iovec part = {reader->buffer, length};
    wanted.checksum = checksum_of(&part, 1);
    if (head.checksum != wanted.checksum) {
        return corrupt(reader, "has another checksum");
    }
    if (memcmp(&head, &wanted, sizeof head) != 0) {
        return corrupt(reader, "is a block of another place or time");
    }
    reader->hash = rn_hash_word(reader->hash, head.checksum);
    return RATION_OK;
}

ration_status rn_run_next(rn_run_reader *reader, const char **out_bytes, size_t *out_length)
{
    RN_TRY(rn_spill_file_status(reader->file));
    if (reader->block == reader->run.blocks) {
        if (reader->whole && reader->hash != reader->run.hash) {
            return corrupt(reader, "ends a run of another hash");
        }
        *out_bytes = reader->buffer;
        *out_length = 0;
        return RATION_OK;
    }
    size_t length = 0;
    RN_TRY(read_block(reader, &length));
    RN_TRY(verify_block(reader, length));
    reader->place = place_of(reader->block, reader->position);
    reader->block += 1;
    reader->passed = rn_round_up((int64_t)length, RN_SPILL_PAGE);
    *out_bytes = reader->buffer + sizeof(block_head);
    *out_length = length - sizeof(block_head);
    return RATION_OK;
}

int64_t rn_run_written(const rn_run_writer *writer)
{
    return writer->place;
}

int64_t rn_run_place(const rn_run_reader *reader)
{
    return reader->place;
}

void rn_run_seek(rn_run_reader *reader, int64_t place)
{
    reader->block = place >> PLACE_PAGE_BITS;
    reader->position = (place & UINT32_MAX) * RN_SPILL_PAGE;
    reader->passed = 0;
    reader->whole = false;
}

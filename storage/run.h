/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: sequences of bytes in verified blocks, written once from front to end and read as often as
 * wanted.
 *
 *     rn_run_begin -> rn_run_append ... -> rn_run_end (or rn_run_abandon)
 *     rn_run_start -> rn_run_next until length 0                         (any number of readers)
 *     rn_run_release
 *
 * A block has a head (checksum over all that follows: xxh3, Yann Collet; length; tag {query,
 * operator, run, block}), so that a flipped byte, a block of another place and a block of an
 * earlier time are told apart from what was written; the run's handle keeps the number of blocks
 * and a hash over their checksums, so that a lost end is.
 *
 * Buffers are the caller's and charged by him: writer and reader never allocate. */
#ifndef RATION_RUN_H
#define RATION_RUN_H

#include "storage/spill.h"

#define RN_RUN_BLOCK_BYTES 65472u /* of a buffer as a rule: with what a context wants, one block */
#define RN_RUN_BLOCK_BYTES_MIN 4096u
#define RN_RUN_HEAD_BYTES 64u /* of a block, for its head */
#define RN_RUN_RECORD_BYTES_MAX ((size_t)1 << 30)

/* The handle of a run; a value. All zeros = no run. */
typedef struct rn_run {
    uint32_t number;    /* of the file, from 1 */
    uint32_t operator_; /* tag */
    uint32_t first_extent, last_extent;
    int64_t blocks;
    int64_t bytes;          /* contents without heads */
    int64_t file_bytes;     /* what it takes of the quotas */
    uint32_t largest_bytes; /* largest block with its head: what a reader's buffer must hold */
    uint64_t hash;
} rn_run;

typedef struct rn_run_writer {
    rn_spill_file *file;
    rn_run run;
    char *buffer;
    size_t capacity; /* of the buffer */
    size_t used;     /* of it, with the head's room */
    int64_t place;   /* of the block last written */
} rn_run_writer;

/* `buffer`: aligned to 8, `capacity` bytes, the size of its blocks. Nothing is written yet. */
void rn_run_begin(rn_run_writer *writer, rn_spill_file *file, uint32_t operator_, void *buffer,
                  size_t capacity);
/* Slow half of the two below. Writes the block in the buffer. */
RATION_NODISCARD ration_status rn_run_flush(rn_run_writer *writer);
/* A record that becomes a block of its own, from where it lies: one that is wider than a buffer, or
 * any that is to have a place of its own. `first` and `second` are put one behind the other; the
 * second may be empty and NULL. */
RATION_NODISCARD ration_status rn_run_append_wide(rn_run_writer *writer, const void *first,
                                                  size_t first_bytes, const void *second,
                                                  size_t second_bytes);
/* Appends a record of two parts, which lie one behind the other in one block. `first_bytes` and
 * `second_bytes` must be multiples of 8. Errors: SPILL_*; NO_MEMORY (for the file's table); sticky.
 */
RATION_NODISCARD static inline ration_status rn_run_append(rn_run_writer *writer, const void *first,
                                                           size_t first_bytes, const void *second,
                                                           size_t second_bytes)
{
    size_t bytes = first_bytes + second_bytes;
    if (RN_UNLIKELY(bytes > writer->capacity - writer->used)) {
        if (bytes > writer->capacity - RN_RUN_HEAD_BYTES) {
            return rn_run_append_wide(writer, first, first_bytes, second, second_bytes);
        }
        RN_TRY(rn_run_flush(writer));
    }
    char *to = writer->buffer + writer->used;
    memcpy(to, first, first_bytes);
    memcpy(to + first_bytes, second, second_bytes);
    writer->used += bytes;
    return RATION_OK;
}
/* Where the block last written lies, for rn_run_seek. */
int64_t rn_run_written(const rn_run_writer *writer);
/* Writes what is left. On failure the run is abandoned. */
RATION_NODISCARD ration_status rn_run_end(rn_run_writer *writer, rn_run *out_run);
/* Gives back the space of an unfinished run. */
void rn_run_abandon(rn_run_writer *writer);
/* Gives back the space of a run; `run` becomes all zeros. A run of all zeros is allowed. */
void rn_run_release(rn_spill_file *file, rn_run *run);

typedef struct rn_run_reader {
    rn_spill_file *file;
    rn_run run;
    int64_t block;    /* next */
    int64_t position; /* of it in the file, but for the bytes passed since */
    int64_t passed;
    int64_t place; /* of the block last read */
    uint64_t hash; /* of the blocks read one after the other from the first */
    bool whole;    /* they were: the hash will be compared at the end */
    char *buffer;
} rn_run_reader;

/* `buffer`: aligned to 8, run->largest_bytes. The run must stay until the last read.
 * A run may be read while it grows: after each flush `writer->run` is the handle of all that was
 * written, and a reader may be given a longer handle of its run (reader->run = writer->run). */
void rn_run_start(rn_run_reader *reader, rn_spill_file *file, const rn_run *run, void *buffer);
/* The next block's contents, in the buffer: the one before is gone. Length 0 at the end. Asks the
 * system to read ahead. Errors: SPILL_IO, SPILL_CORRUPT; sticky. */
RATION_NODISCARD ration_status rn_run_next(rn_run_reader *reader, const char **out_bytes,
                                           size_t *out_length);
/* Where the block last read lies, for rn_run_seek. */
int64_t rn_run_place(const rn_run_reader *reader);
/* Makes the block at `place` the next. */
void rn_run_seek(rn_run_reader *reader, int64_t place);

#endif

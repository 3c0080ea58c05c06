/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of rows: each row as rows.h lays it out, behind a word of the caller's (the first eight
 * bytes of its order, or its hash).
 *
 *     rn_row_run_put between rn_run_begin and rn_run_end
 *     rn_row_run_start -> while reader.row != NULL: use it -> rn_row_run_step
 *
 * A row that is read lies in the reader's buffer: it and all before it in the same block stay there
 * until a step for which rn_row_run_turns. */
#ifndef RATION_ROW_RUN_H
#define RATION_ROW_RUN_H

#include "storage/rows.h"
#include "storage/run.h"

/* Size of a row: its first four bytes. */
static inline uint32_t rn_row_bytes(const rn_row *row)
{
    uint32_t bytes;
    memcpy(&bytes, row, sizeof bytes);
    return bytes;
}

RATION_NODISCARD static inline ration_status rn_row_run_put(rn_run_writer *writer, uint64_t key,
                                                            const rn_row *row)
{
    return rn_run_append(writer, &key, sizeof key, row, rn_row_bytes(row));
}

typedef struct rn_row_run_reader {
    const rn_row *row;    /* in hand; NULL = the end */
    uint64_t key;         /* of it */
    const char *at, *end; /* behind the row in hand, in its block */
    rn_run_reader blocks;
} rn_row_run_reader;

/* Reads the first block: `row` is the first row. `buffer` as for rn_run_start. Errors: SPILL_IO,
 * SPILL_CORRUPT. */
RATION_NODISCARD ration_status rn_row_run_start(rn_row_run_reader *reader, rn_spill_file *file,
                                                const rn_run *run, void *buffer);
/* Slow half of a step: reads the next block. */
RATION_NODISCARD ration_status rn_row_run_turn(rn_row_run_reader *reader);
/* Will the next step read a block into the buffer? (Or find the end.) */
static inline bool rn_row_run_turns(const rn_row_run_reader *reader)
{
    return reader->at == reader->end;
}
/* Takes the next row in hand. Errors: SPILL_IO, SPILL_CORRUPT. */
RATION_NODISCARD static inline ration_status rn_row_run_step(rn_row_run_reader *reader)
{
    if (RN_UNLIKELY(reader->at == reader->end)) {
        return rn_row_run_turn(reader);
    }
    memcpy(&reader->key, reader->at, sizeof reader->key);
    reader->row = (const rn_row *)(const void *)(reader->at + sizeof reader->key);
    reader->at += sizeof reader->key + rn_row_bytes(reader->row);
    return RATION_OK;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of rows: the step from one block to the next.
 *
 * Invariant: `at` is where a record begins in the verified contents of a block, or their end. */
#include "storage/row_run.h"

ration_status rn_row_run_start(rn_row_run_reader *reader, rn_spill_file *file, const rn_run *run,
                               void *buffer)
{
    *reader = (rn_row_run_reader){0};
    rn_run_start(&reader->blocks, file, run, buffer);
    return rn_row_run_turn(reader);
}

ration_status rn_row_run_turn(rn_row_run_reader *reader)
{
    const char *bytes;
    size_t length;
    reader->row = NULL;
    reader->at = reader->end = NULL;
    RN_TRY(rn_run_next(&reader->blocks, &bytes, &length));
    if (length == 0) {
        return RATION_OK;
    }
    reader->at = bytes;
    reader->end = bytes + length;
    return rn_row_run_step(reader);
}

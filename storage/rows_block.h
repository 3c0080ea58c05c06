/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of rows, for rows*.c only: the blocks. */
#ifndef RATION_ROWS_BLOCK_H
#define RATION_ROWS_BLOCK_H

#include "storage/rows.h"

struct rn_rows_block {
    struct rn_rows_block *next;
    uint32_t used, capacity; /* of the bytes that follow */
};

static inline char *rn_rows_block_bytes(const struct rn_rows_block *block)
{
    return (char *)(uintptr_t)block + sizeof *block;
}

#endif

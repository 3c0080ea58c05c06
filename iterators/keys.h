/* SPDX-License-Identifier: Apache-2.0
 *
 * Key columns of a batch: hashes and equality, null being one value. */
#ifndef RATION_KEYS_H
#define RATION_KEYS_H

#include "storage/batch.h"

/* hashes[i] = hash of row i in these columns. One typed loop per column. */
void rn_keys_hash(const rn_batch *batch, const uint32_t *columns, uint32_t count, uint64_t *hashes);
/* Are rows a and b of the batch equal in these columns (null equals null)? */
bool rn_keys_equal(const rn_batch *batch, const uint32_t *columns, uint32_t count, uint32_t a,
                   uint32_t b);
/* Writes the rows that have a value in each of these columns, ascending; returns how many. */
uint32_t rn_keys_present(const rn_batch *batch, const uint32_t *columns, uint32_t count,
                         uint16_t *out_rows);

#endif

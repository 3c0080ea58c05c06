/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows found by key: what distinct, aggregate and the build side of a join share. Each group is one
 * row, whose first columns are the key; further columns are the operator's (counters, payload,
 * links).
 *
 *     rn_groups_open -> per batch: rn_groups_find -> settle by rn_groups_bound -> rn_groups_add
 *
 * find says for each row its group, or which of the batch's fresh keys it has; so what add needs is
 * known before it is done, and a settle for it asks for no more than that. */
#ifndef RATION_GROUPS_H
#define RATION_GROUPS_H

#include "executor/plan.h"
#include "storage/hash_table.h"

typedef struct rn_groups {
    rn_layout layout;
    uint32_t key_count;
    rn_rows rows;
    rn_hash_table *table;
    /* About the batch in hand, by row. */
    uint64_t *hashes;
    const rn_row **found; /* NULL = not there: then `fresh_of` holds */
    uint16_t *fresh_of;   /* index into fresh */
    /* Rows of the batch that are the first with their key, ascending. */
    uint32_t fresh_count;
    uint16_t *fresh;
    uint64_t *fresh_hashes;
    const rn_row **fresh_rows; /* set by rn_groups_add */
    /* Scratch. */
    uint64_t *positions;
    uint16_t *slots;
    uint32_t slot_mask;
} rn_groups;

/* Opens below op->context. `types`: the key's, then the operator's own. Errors: the limits'
 * statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_groups_open(rn_operator *op, const rn_type *types, uint32_t count,
                                              uint32_t key_count, rn_groups *out_groups);
/* Looks up rows picks[0..count) of the batch (picks NULL = all) by the columns `keys`; fills
 * hashes, found, and with `fresh` what is not there. Rows not picked keep found == NULL. */
void rn_groups_find(rn_groups *groups, const rn_batch *batch, const uint32_t *keys,
                    const uint16_t *picks, uint32_t count, bool fresh);
/* What rn_groups_add with these arguments will draw at most. */
int64_t rn_groups_bound(rn_groups *groups, const rn_batch *batch, const uint32_t *columns);
/* Appends the fresh rows (`columns` maps layout column -> batch column, NULL = same) and sets
 * `found` of every row looked up. Errors: ROW_TOO_WIDE; the limits' statuses when not settled for.
 */
RATION_NODISCARD ration_status rn_groups_add(rn_groups *groups, const rn_batch *batch,
                                             const uint32_t *columns);

#endif

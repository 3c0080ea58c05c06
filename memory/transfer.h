/* SPDX-License-Identifier: Apache-2.0
 *
 * Charged bytes that change hands: from a slot to a pool or a context that lives on. */
#ifndef RATION_TRANSFER_H
#define RATION_TRANSFER_H

#include "memory/ledger.h"

/* Moves `bytes` charged by `slot` to the direct bytes of `pool`, of the same ledger. Asks as a
 * charge does: retained pages and idle credit make room first. Refused: nothing moved, and
 * rn_slot_refusal says by whom. Owner only. Errors: the statuses of the pools on the new way. */
RATION_NODISCARD ration_status rn_slot_hand_to_pool(rn_slot *slot, ration_pool *pool,
                                                    int64_t bytes);
/* Are the two of one ledger? */
bool rn_slot_shares_ledger(const rn_slot *slot, const ration_pool *pool);
/* Releases all direct bytes of a pool whose slots are closed, and returns them: what nobody can
 * give back any more. */
int64_t rn_pool_sweep(ration_pool *pool);

#endif

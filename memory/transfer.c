/* SPDX-License-Identifier: Apache-2.0
 *
 * Charged bytes that change hands. rn_slot_hand_to_pool -> ration_pool_release, or the reset of
 * the context they were handed to.
 *
 * Bytes that live on cannot stay in a slot: only its owner may write `used`, and the slot ends with
 * its query or thread. They become direct bytes of a pool, which anybody may release under the
 * lock. The move is one step under the lock: pools that lie on both ways never see a change, those
 * on the new way are asked as by any charge, so no limit is passed and a refusal is true. A reader
 * without the lock may see the bytes missing for a moment, never twice.
 *
 * Bounds: O(depth); a refusal costs a recall. Rejected: moving them into the slot of a context of
 * another query. That slot may be in use by its owner.
 */
#include "memory/transfer.h"

#include "memory/pool.h"

bool rn_slot_shares_ledger(const rn_slot *slot, const ration_pool *pool)
{
    return rn_pool_ledger(rn_slot_pool(slot)) == rn_pool_ledger(pool);
}

ration_status rn_slot_hand_to_pool(rn_slot *slot, ration_pool *pool, int64_t bytes)
{
    rn_assert(bytes >= 0 && rn_slot_shares_ledger(slot, pool));
    if (!RN_GOVERNED) {
        return RATION_OK;
    }
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_no no = {0};
    rn_ledger_lock(ledger);
    rn_move move = {.to = pool, .from = rn_slot_pool(slot), .bytes = bytes};
    ration_status status = RATION_OK;
    if (!rn_pool_make_room(&move, &no)) {
        rn_slot_refuse(slot, &no);
        status = no.status;
    } else if (!rn_always(rn_slot_hand_over(slot, pool, bytes))) {
        status = pool->refuse_status;
    }
    rn_ledger_unlock(ledger);
    return status;
}

bool rn_pool_hand_over(ration_pool *from, ration_pool *to, int64_t bytes)
{
    rn_move move = {.to = to, .from = from, .bytes = bytes};
    int64_t need;
    if (!RN_GOVERNED) {
        return true;
    }
    if (rn_pool_find_full(&move, &need) != NULL) {
        return false;
    }
    rn_store(&from->direct, rn_load(&from->direct) - bytes);
    rn_store(&to->direct, rn_load(&to->direct) + bytes);
    rn_pool_move_held(from, bytes, to, bytes);
    return true;
}

void ration_pool_release(ration_pool *pool, int64_t bytes)
{
    if (!RN_GOVERNED) {
        return;
    }
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    if (!rn_never(bytes < 0 || bytes > rn_load(&pool->granted))) {
        rn_pool_grant_direct(pool, -bytes);
    }
    rn_ledger_unlock(ledger);
}

int64_t rn_pool_sweep(ration_pool *pool)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    rn_assert(rn_load(&pool->slots_below) == 0);
    int64_t bytes = rn_load(&pool->direct);
    (void)rn_never(bytes < 0);
    rn_pool_grant_direct(pool, -bytes);
    rn_ledger_unlock(ledger);
    return bytes;
}

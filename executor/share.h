/* SPDX-License-Identifier: Apache-2.0
 *
 * Fair shares, and what is counted to find them. All with the ledger's lock held. */
#ifndef RATION_SHARE_H
#define RATION_SHARE_H

#include "executor/governor.h"
#include "memory/queue.h"

/* Sets `share` of every pool of the ledger. `asker` (may be NULL) counts as active, and so does
 * with `everybody` whoever holds more than its claim. */
void rn_shares_set(rn_ledger *ledger, const rn_slot *asker, bool everybody);
/* The same as if the root's limit were `bytes`, where that is less. */
void rn_shares_set_within(rn_ledger *ledger, int64_t bytes, const rn_slot *asker, bool everybody);

/* The query whose pool it is; NULL: none, or one of another process. */
static inline ration_query *rn_pool_query(const ration_pool *pool)
{
    return (ration_query *)rn_pool_owner(pool);
}

/* What the query's workers have in use, and with `promised` what was granted to their tickets:
 * without what its claim adds, so that giving shows in it. */
int64_t rn_query_count_used(const ration_query *query, bool promised);

/* What stays granted at `pool` when every query has given all it can and the asker holds `bytes`:
 * the graph, what was handed to pools, and with `claims` those of the others, else nothing of
 * theirs, since they will end. */
int64_t rn_pool_count_least(const ration_pool *pool, const ration_query *asker, int64_t bytes,
                            bool claims);

/* The pool, from the query's to the root, that could not hold `bytes` of it whatever came free;
 * NULL = none. `claims` as above: with them it is asked for now, and the root is judged by what its
 * limit may be in a moment; without, by what it may ever become (monitor.h). */
ration_pool *rn_query_find_too_small(const ration_query *query, int64_t bytes, bool claims);

#endif

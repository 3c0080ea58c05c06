/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer of a query that was asked to give (ask.c): rn_ask_gave, or rn_ask_gave_away when
 * nobody is inside of it.
 *
 * It is measured by the most the query has used since it was asked. One that freed nothing is kept
 * as `spent_bytes`: it is not asked again before it uses more, or somebody has come back.
 *
 *   1. An answer from inside counts each time it frees nothing: every one is a settle of its own.
 *   2. While nobody is inside, all of RN_LOOK_NS count as one, whoever and however many ask.
 */
#include "executor/ask.h"

#include "executor/share.h"

static void count_fruitless(ration_query *query, bool away)
{
    int64_t now_ns = rn_clock_ns();
    if (!away) {
        query->fruitless += 1;
    } else if (query->left_alone == 0 || now_ns - query->left_alone_ns >= RN_LOOK_NS) {
        query->left_alone += 1;
        query->left_alone_ns = now_ns;
    }
}

static void answer(ration_query *query, bool away)
{
    rn_ledger *ledger = rn_pool_ledger(query->pool);
    rn_ledger_lock(ledger);
    if (query->told_bytes != 0) { /* else another worker has answered */
        bool freed = rn_query_count_used(query, false) + 1 < query->told_bytes;
        query->spent_bytes = freed ? 0 : rn_query_count_used(query, true);
        query->spent_away = away && !freed;
        query->left_alone = away && !freed ? query->left_alone : 0;
        if (freed) {
            query->fruitless = 0;
        } else {
            count_fruitless(query, away);
        }
    }
    query->told_bytes = 0;
    rn_store(&query->want_bytes, 0);
    rn_pool_count_givers(query->pool, rn_load(&query->pool->givers) != 0 ? -1 : 0);
    rn_ledger_unlock(ledger);
}

void rn_ask_gave(ration_query *query)
{
    answer(query, false);
}

void rn_ask_gave_away(ration_query *query)
{
    answer(query, true);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The governor: where configuration meets the ledger.
 *
 *     rn_derive_limit -> ration_governor_open -> queries -> ration_governor_close
 *
 * Pools: root (the limit of memory.yaml) -> data (graphs), queries (one child per query), retained
 * (resident pages no block uses). Only the root and, where asked for, data and single queries have
 * limits of their own.
 *
 * The limit is limit_bytes where given, else ratio x available - untracked reserve, in exact
 * integer arithmetic on millionths. A share of what is *available* rather than of what is
 * installed: two processes that each take 0.8 of the installed memory promise 1.6 of it.
 */
#include "executor/governor.h"

/* bytes x ppm / 10^6 without overflow: both parts of the quotient stay below 2^63 for ppm <= 10^6.
 */
static int64_t take_share(int64_t bytes, int64_t ppm)
{
    return bytes / 1000000 * ppm + bytes % 1000000 * ppm / 1000000;
}

ration_status rn_derive_limit(const ration_limits *limits, const char *sysroot, rn_probe *out_probe,
                              int64_t *out_limit_bytes, ration_error *error)
{
    RN_TRY(rn_probe_read(sysroot, out_probe, error));
    int64_t limit = take_share(out_probe->available_bytes, limits->limit_ratio_ppm) -
                    limits->untracked_reserved_bytes;
    if (limit <= 0) {
        return rn_error_set(
            error, RATION_ENVIRONMENT, "give limit_bytes, or lower untracked_reserved_memory_mb",
            "no memory to govern: %s leaves %lld bytes, less than the reserve of %lld",
            out_probe->sources[out_probe->binding].name, (long long)out_probe->available_bytes,
            (long long)limits->untracked_reserved_bytes);
    }
    *out_limit_bytes = limit;
    return RATION_OK;
}

static int64_t limit_or_none(int64_t bytes)
{
    return bytes == 0 ? INT64_MAX : bytes;
}

static ration_status open_pools(ration_governor *governor, int64_t limit_bytes)
{
    rn_ledger *ledger = governor->ledger;
    RN_TRY(rn_pool_open(ledger, NULL, "root", limit_bytes, RATION_GLOBAL_LIMIT, NULL,
                        &governor->root));
    RN_TRY(rn_pool_open(ledger, governor->root, "data",
                        limit_or_none(governor->limits.data_limit_bytes), RATION_DATA_LIMIT, NULL,
                        &governor->data));
    RN_TRY(rn_pool_open(ledger, governor->root, "queries", INT64_MAX, RATION_GLOBAL_LIMIT, NULL,
                        &governor->queries));
    RN_TRY(rn_pool_open(ledger, governor->root, "retained", INT64_MAX, RATION_GLOBAL_LIMIT, NULL,
                        &governor->retained));
    return rn_blocks_open(governor->retained, &governor->blocks);
}

static void close_pool(ration_pool *pool)
{
    if (pool != NULL) {
        rn_pool_close(pool);
    }
}

void ration_governor_close(ration_governor *governor)
{
    if (governor == NULL) {
        return;
    }
    if (governor->blocks != NULL) {
        rn_blocks_close(governor->blocks);
    }
    close_pool(governor->retained);
    close_pool(governor->queries);
    close_pool(governor->data);
    close_pool(governor->root);
    if (governor->ledger != NULL) {
        rn_ledger_close(governor->ledger);
    }
    rn_heap_free(governor, sizeof *governor);
}

ration_status ration_governor_open(const ration_limits *limits, ration_governor **out_governor,
                                   ration_error *error)
{
    if (limits == NULL || out_governor == NULL || limits->size != sizeof *limits) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "start from ration_limits_default",
                            "limits are missing or not of this version of the library");
    }
    RN_TRY(rn_limits_validate(limits, error));
    ration_governor *governor = rn_heap_allocate(sizeof *governor);
    if (governor == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for a governor");
    }
    governor->limits = *limits;
    int64_t limit_bytes = limits->limit_bytes;
    governor->limit_derived = limit_bytes == 0;
    if (limit_bytes == 0) {
        ration_status derived = rn_derive_limit(limits, "", &governor->probe, &limit_bytes, error);
        if (derived != RATION_OK) {
            rn_heap_free(governor, sizeof *governor);
            return derived;
        }
    }
    rn_ledger_options options = {.chunk_bytes_max = limits->chunk_bytes_max,
                                 .force_seq_cst = false};
    ration_status status = rn_ledger_open(&options, &governor->ledger);
    if (status == RATION_OK) {
        rn_ledger_set_forked(governor->ledger, rn_query_after_fork);
    }
    if (status == RATION_OK) {
        status = open_pools(governor, limit_bytes);
    }
    if (status != RATION_OK) {
        ration_governor_close(governor);
        return rn_error_set(error, status, "", "no memory for the pools of a governor");
    }
    *out_governor = governor;
    return RATION_OK;
}

ration_status ration_governor_set_limit(ration_governor *governor, int64_t limit_bytes)
{
    if (limit_bytes <= 0) {
        return RATION_INVALID_ARGUMENT;
    }
    rn_store(&governor->limit_derived, 0);
    rn_pool_set_limit(governor->root, limit_bytes);
    return RATION_OK;
}

ration_pool *ration_governor_root(ration_governor *governor)
{
    return governor->root;
}

ration_pool *ration_governor_data(ration_governor *governor)
{
    return governor->data;
}

ration_pool *ration_governor_queries(ration_governor *governor)
{
    return governor->queries;
}

const char *ration_governor_ordering(const ration_governor *governor)
{
    return rn_ledger_uses_membarrier(governor->ledger) ? "membarrier" : "seq_cst";
}

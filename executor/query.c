/* SPDX-License-Identifier: Apache-2.0
 *
 * The query: owner of everything one query was given - its pool, its slots, its first error.
 *
 *     ration_query_open -> ration_query_slot (per worker) -> work -> workers stop ->
 * ration_query_close
 *
 * The first error wins: `status` goes from RATION_OK to one other value by one compare-and-swap,
 * and the details are those of the worker that won. The others stop at their next settle.
 *
 * Closing sweeps: whatever the slots still hold after the contexts are gone is what guards held
 * when a longjmp or an error passed over them. Slots of one query may have released for each other,
 * so only their sum is swept.
 *
 * Locks: query->lock is taken under the ledger's lock by nobody but the reader of largest_site
 * (refusal.c), and the ledger's lock is never asked for while query->lock is held.
 */
#include "executor/governor.h"

ration_status ration_query_open(ration_governor *governor, const ration_query_options *options,
                                ration_query **out_query, ration_error *error)
{
    static const ration_query_options defaults = {.size = sizeof defaults};
    if (options == NULL) {
        options = &defaults;
    }
    if (options->size != sizeof *options || options->limit_bytes < 0 || options->rows_max < 0 ||
        options->time_ms_max < 0) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "",
                            "query options have the wrong size or a negative budget");
    }
    ration_query *query = rn_heap_allocate(sizeof *query);
    if (query == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for a query");
    }
    const ration_limits *limits = &governor->limits;
    int64_t number = rn_fetch_add(&governor->opened, 1) + 1;
    rn_text name = rn_text_over(query->name, sizeof query->name);
    if (options->name != NULL) {
        rn_text_put(&name, options->name);
    } else {
        rn_text_format(&name, "q%lld", (long long)number);
    }
    int64_t limit = options->limit_bytes != 0 ? options->limit_bytes : limits->query_limit_bytes;
    int64_t rows = options->rows_max != 0 ? options->rows_max : limits->query_rows_max;
    int64_t time_ms = options->time_ms_max != 0 ? options->time_ms_max : limits->query_time_ms_max;
    query->governor = governor;
    query->own_limit = options->limit_bytes != 0;
    query->rows_left = rows == 0 ? INT64_MAX : rows;
    query->deadline_ns =
        time_ms == 0 ? INT64_MAX : rn_add(rn_clock_ns(), rn_multiply(time_ms, 1000000));
    pthread_mutex_init(&query->lock, NULL);
    ration_status status =
        rn_pool_open(governor->ledger, governor->queries, query->name,
                     limit == 0 ? INT64_MAX : limit, RATION_QUERY_LIMIT, query, &query->pool);
    if (status != RATION_OK) {
        pthread_mutex_destroy(&query->lock);
        rn_heap_free(query, sizeof *query);
        return rn_error_set(error, status, "", "no memory for a query's pool");
    }
    *out_query = query;
    return RATION_OK;
}

ration_status ration_query_slot(ration_query *query, ration_slot **out_slot)
{
    pthread_mutex_lock(&query->lock);
    bool full = query->slot_count == RN_QUERY_SLOTS_MAX;
    pthread_mutex_unlock(&query->lock);
    if (full) {
        return RATION_NO_SLOT;
    }
    rn_slot *slot;
    RN_TRY(rn_slot_open(query->pool, query, &slot));
    pthread_mutex_lock(&query->lock);
    full = query->slot_count == RN_QUERY_SLOTS_MAX;
    if (!full) {
        query->slots[query->slot_count++] = slot;
    }
    pthread_mutex_unlock(&query->lock);
    if (full) {
        rn_slot_close(slot);
        return RATION_NO_SLOT;
    }
    *out_slot = &slot->hot;
    return RATION_OK;
}

void ration_query_cancel(ration_query *query)
{
    rn_store(&query->cancelled, 1);
}

ration_status ration_query_status(const ration_query *query)
{
    return (ration_status)rn_load_acquire(&query->status);
}

ration_pool *ration_query_pool(ration_query *query)
{
    return query->pool;
}

/* Keeps the refusal unless that of the sticky status is there already. */
static void keep_refusal(ration_query *query, const rn_slot *slot, const char *site, bool settled)
{
    rn_no no;
    if (!rn_always(rn_slot_refusal(slot, &no))) {
        return;
    }
    ration_refusal refusal;
    rn_refusal_build(&refusal, slot, &no, site);
    pthread_mutex_lock(&query->lock);
    if (!query->settled) {
        query->refusal = refusal;
        query->refusal_sequence = no.sequence;
        query->refused = true;
        query->settled = settled;
    }
    pthread_mutex_unlock(&query->lock);
}

void rn_query_note_refusal(ration_query *query, const rn_slot *slot, const char *site)
{
    keep_refusal(query, slot, site, false);
}

/* The slot with the latest refusal that no guard or operator told the query of: a bare
 * ration_slot_try_charge knows no query. */
static const rn_slot *find_untold(ration_query *query)
{
    rn_slot *slots[RN_QUERY_SLOTS_MAX];
    pthread_mutex_lock(&query->lock);
    uint32_t count = query->settled ? 0 : query->slot_count;
    int64_t latest = query->refusal_sequence;
    memcpy(slots, query->slots, count * sizeof *slots);
    pthread_mutex_unlock(&query->lock);
    const rn_slot *untold = NULL;
    for (uint32_t i = 0; i < count; i++) {
        rn_no no;
        if (rn_slot_refusal(slots[i], &no) && no.sequence > latest) {
            untold = slots[i];
            latest = no.sequence;
        }
    }
    return untold;
}

bool ration_query_refusal(const ration_query *query_, ration_refusal *out_refusal)
{
    ration_query *query = (ration_query *)(uintptr_t)query_;
    const rn_slot *untold = find_untold(query);
    if (untold != NULL) {
        rn_query_note_refusal(query, untold, "");
    }
    pthread_mutex_lock(&query->lock);
    bool refused = query->refused;
    if (refused) {
        *out_refusal = query->refusal;
    }
    pthread_mutex_unlock(&query->lock);
    return refused;
}

ration_status rn_query_fail(ration_query *query, rn_slot *slot, const char *site,
                            ration_status status, const ration_error *error)
{
    rn_assert(status != RATION_OK);
    int64_t none = RATION_OK;
    if (!rn_compare_swap(&query->status, &none, status)) {
        return (ration_status)none;
    }
    if (rn_is_refusal(status)) {
        keep_refusal(query, slot, site, true);
        return status;
    }
    pthread_mutex_lock(&query->lock);
    if (error != NULL) {
        query->error = *error;
    } else {
        rn_error_set(&query->error, status, "", "%s%s%s", site, site[0] == '\0' ? "" : ": ",
                     ration_status_sentence(status));
    }
    pthread_mutex_unlock(&query->lock);
    return status;
}

bool rn_query_error(ration_query *query, ration_error *out_error)
{
    pthread_mutex_lock(&query->lock);
    bool found = query->error.status != RATION_OK;
    if (found) {
        *out_error = query->error;
    }
    pthread_mutex_unlock(&query->lock);
    return found;
}

void rn_query_publish(ration_query *query, const char *site, int64_t bytes)
{
    pthread_mutex_lock(&query->lock);
    rn_copy_text(query->largest_site, sizeof query->largest_site, site);
    query->largest_bytes = bytes;
    pthread_mutex_unlock(&query->lock);
}

int64_t rn_query_peak(const ration_query *query)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < query->slot_count; i++) {
        bytes += query->slots[i]->peak_bytes;
    }
    return bytes;
}

ration_status rn_query_poll(ration_query *query)
{
    if (rn_load(&query->cancelled) != 0) {
        return RATION_CANCELLED;
    }
    if (query->deadline_ns != INT64_MAX && rn_clock_ns() > query->deadline_ns) {
        return RATION_DEADLINE;
    }
    return rn_load(&query->status) == RATION_OK ? RATION_OK : RATION_STOPPED_BY_PEER;
}

void ration_query_close(ration_query *query)
{
    if (query == NULL) {
        return;
    }
    int64_t lost_bytes = 0;
    for (uint32_t i = 0; i < query->slot_count; i++) {
        lost_bytes += rn_slot_used(query->slots[i]);
    }
    (void)rn_never(lost_bytes < 0);
    if (lost_bytes > 0) {
        ration_slot_release(&query->slots[0]->hot, lost_bytes);
    }
    for (uint32_t i = 0; i < query->slot_count; i++) {
        rn_slot_close(query->slots[i]);
    }
    rn_pool_close(query->pool);
    pthread_mutex_destroy(&query->lock);
    rn_heap_free(query, sizeof *query);
}

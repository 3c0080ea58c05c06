/* SPDX-License-Identifier: Apache-2.0
 *
 * The query: owner of everything one query was given - its pool, its slots, its first error.
 *
 *     ration_query_open -> ration_query_slot (per worker) -> work -> ration_query_return_slot, or
 * the worker just stops -> ration_query_close
 *
 * The first error wins: `status` goes from RATION_OK to one other value by one compare-and-swap,
 * and the details are those of the worker that won. The others stop at their next settle.
 *
 * Slots come and go, at most 64 at a time. A slot that is returned leaves what it charges in the
 * query's pool, its peak with its place, its last refusal with the query if nobody was told of it
 * yet, and the rows that no settle has seen to the next slot.
 *
 * Closing sweeps: whatever the slots and the pool still hold after the contexts are gone is what
 * guards held when a longjmp or an error passed over them, or what was handed to the pool. Slots of
 * one query may have released for each other, so only their sum is swept.
 *
 * Locks, in the order in which they may be asked for: slots_lock, the ledger's, query->lock (which
 * under the ledger's only the reader of largest_site in refusal.c takes). No function here is a
 * cancellation point.
 */
#include "executor/admission.h"
#include "memory/transfer.h"

static void open_locks(ration_query *query)
{
    pthread_mutex_init(&query->lock, NULL);
    pthread_mutex_init(&query->slots_lock, NULL);
    pthread_cond_init(&query->run_free, NULL);
}

static void free_query(ration_query *query)
{
    pthread_cond_destroy(&query->run_free);
    pthread_mutex_destroy(&query->lock);
    pthread_mutex_destroy(&query->slots_lock);
    rn_query_end(query);
    rn_heap_free(query, sizeof *query);
}

static void name_query(ration_query *query, const char *name)
{
    rn_text text = rn_text_over(query->name, sizeof query->name);
    if (name != NULL) {
        rn_text_put(&text, name);
        return;
    }
    if (query->governor->process != 0) {
        rn_text_format(&text, "%lld.", (long long)query->governor->process);
    }
    rn_text_format(&text, "q%lld", (long long)query->number);
}

/* What was asked for, else what memory.yaml says. */
static int64_t choose(int64_t own, int64_t general)
{
    return own != 0 ? own : general;
}

static void set_budgets(ration_query *query, const ration_query_options *options)
{
    const ration_limits *limits = &query->settings->limits;
    int64_t rows = choose(options->rows_max, limits->query_rows_max);
    int64_t time_ms = choose(options->time_ms_max, limits->query_time_ms_max);
    query->own_limit = options->limit_bytes != 0;
    query->rows_left = rows == 0 ? INT64_MAX : rows;
    query->deadline_ns =
        time_ms == 0 ? INT64_MAX : rn_add(rn_clock_ns(), rn_multiply(time_ms, 1000000));
    query->spill_quota.limit_bytes = limits->spill_query_bytes_max;
    query->spill_quota.parent = query->group == NULL
                                    ? rn_spill_volume_quota(query->governor->volume)
                                    : &query->group->spill_quota;
}

static ration_status open_pool(ration_query *query, int64_t own_limit_bytes)
{
    ration_governor *governor = query->governor;
    const rn_group *group = query->group;
    int64_t of_group = group == NULL ? 0 : query->of_group->query_limit_bytes;
    int64_t general = choose(of_group, query->settings->limits.query_limit_bytes);
    int64_t limit = choose(own_limit_bytes, general);
    return rn_pool_open(governor->ledger, group == NULL ? governor->queries : group->pool,
                        query->name, limit == 0 ? INT64_MAX : limit, RATION_QUERY_LIMIT, query,
                        &query->pool);
}

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
    query->governor = governor;
    ration_status status = rn_query_begin(query, options->group, error);
    if (status != RATION_OK) {
        rn_heap_free(query, sizeof *query);
        return status;
    }
    query->number = rn_fetch_add(&governor->opened, 1) + 1;
    name_query(query, options->name);
    set_budgets(query, options);
    open_locks(query);
    status = open_pool(query, options->limit_bytes);
    if (status != RATION_OK) {
        free_query(query);
        return rn_error_set(error, status, "", "no memory for a query's pool");
    }
    *out_query = query;
    return RATION_OK;
}

void rn_query_after_fork(void *owner)
{
    ration_query *query = (ration_query *)owner;
    open_locks(query);
    query->told_bytes = 0;
    rn_store(&query->want_bytes, 0);
    for (uint32_t i = 0; i < RN_QUERY_SLOTS_MAX; i++) {
        if (query->slots[i] != NULL && rn_load(&query->slots[i]->run) == RN_RUN_TAKEN) {
            rn_store(&query->slots[i]->run, RN_RUN_INSIDE); /* by a thread that is not there */
        }
    }
    rn_admission_forked(query);
}

void ration_query_cancel(ration_query *query)
{
    rn_store(&query->cancelled, 1);
    rn_ask_wake(query);
}

ration_status ration_query_status(const ration_query *query)
{
    return (ration_status)rn_load_acquire(&query->status);
}

ration_pool *ration_query_pool(ration_query *query)
{
    return query->pool;
}

/* ------------------------------------------------------------------------- refusals and errors */

/* Keeps the refusal if it is the latest, unless that of the sticky status is there already. */
static void keep_refusal(ration_query *query, const rn_no *no, const char *site, bool settled)
{
    ration_refusal refusal;
    rn_refusal_build(&refusal, query, no, site);
    pthread_mutex_lock(&query->lock);
    if (!query->settled && (settled || no->sequence >= query->refusal_sequence)) {
        query->refusal = refusal;
        query->refusal_sequence = no->sequence;
        query->refused = true;
        query->settled = settled;
    }
    pthread_mutex_unlock(&query->lock);
}

static void keep_refusal_of(ration_query *query, const rn_slot *slot, const char *site,
                            bool settled)
{
    rn_no no;
    if (rn_always(rn_slot_refusal(slot, &no))) {
        keep_refusal(query, &no, site, settled);
    }
}

void rn_query_note_refusal(ration_query *query, const rn_slot *slot, const char *site)
{
    keep_refusal_of(query, slot, site, false);
}

/* Keeps the slot's last refusal if no guard or operator told the query of it, nor of a later one: a
 * bare ration_slot_try_charge knows no query. */
static void keep_untold(ration_query *query, const rn_slot *slot)
{
    rn_no no;
    pthread_mutex_lock(&query->lock);
    int64_t told = query->settled ? INT64_MAX : query->refusal_sequence;
    pthread_mutex_unlock(&query->lock);
    if (rn_slot_refusal(slot, &no) && no.sequence > told) {
        keep_refusal(query, &no, "", false);
    }
}

bool ration_query_refusal(const ration_query *query_, ration_refusal *out_refusal)
{
    ration_query *query = (ration_query *)(uintptr_t)query_;
    pthread_mutex_lock(&query->slots_lock);
    for (uint32_t i = 0; i < RN_QUERY_SLOTS_MAX; i++) {
        if (query->slots[i] != NULL) {
            keep_untold(query, query->slots[i]);
        }
    }
    pthread_mutex_unlock(&query->slots_lock);
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
    rn_ask_wake(query); /* workers that wait are to stop too */
    if (rn_is_refusal(status) && error == NULL) {
        keep_refusal_of(query, slot, site, true);
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

ration_status rn_query_poll(ration_query *query)
{
    if (rn_load(&query->cancelled) != 0) {
        return RATION_CANCELLED;
    }
    if (query->deadline_ns != INT64_MAX && rn_clock_ns() > query->deadline_ns) {
        return RATION_DEADLINE;
    }
    int64_t status = rn_load(&query->status);
    return status == RATION_OK       ? RATION_OK
           : status == RATION_VICTIM ? RATION_VICTIM
                                     : RATION_STOPPED_BY_PEER;
}

/* -------------------------------------------------------------------------------------- threads */

/* Of the calling thread, from 1; never that of another one, also after it has exited. */
static int64_t number_of_thread(void)
{
    static int64_t threads; /* atomic */
    static _Thread_local int64_t number;
    if (number == 0) {
        number = rn_fetch_add(&threads, 1) + 1;
    }
    return number;
}

#ifdef RATION_CHECKED
void rn_slot_expect_caller(rn_slot *slot)
{
    int64_t thread = 0;
    if (!rn_compare_swap(&slot->thread, &thread, number_of_thread())) {
        (void)rn_never(thread == RN_SLOT_DETACHED);
        (void)rn_never(thread != number_of_thread());
    }
}
#endif

int64_t rn_slot_borrow(rn_slot *slot)
{
    int64_t thread = rn_load(&slot->thread);
    rn_store(&slot->thread, number_of_thread());
    return thread;
}

void rn_slot_hand_back(rn_slot *slot, int64_t thread)
{
    rn_store_release(&slot->thread, thread);
}

void ration_slot_detach(ration_slot *slot)
{
    rn_slot *self = rn_slot_of(slot);
    int64_t thread = rn_load(&self->thread);
    (void)rn_never(thread != 0 && thread != number_of_thread());
    rn_store_release(&self->thread, RN_SLOT_DETACHED);
}

void ration_slot_attach(ration_slot *slot)
{
    rn_slot *self = rn_slot_of(slot);
    int64_t thread = rn_load(&self->thread);
    (void)rn_never(thread > 0 && thread != number_of_thread());
    bool attached = rn_compare_swap(&self->thread, &thread, number_of_thread());
    (void)rn_never(!attached); /* two at a time */
}

/* ---------------------------------------------------------------------------------------- slots */

ration_status ration_query_slot(ration_query *query, ration_slot **out_slot)
{
    rn_slot *slot = NULL;
    ration_status status = RATION_NO_SLOT;
    pthread_mutex_lock(&query->slots_lock);
    if (~query->places != 0) {
        status = rn_slot_open(query->pool, query, &slot);
    }
    if (status == RATION_OK) {
        int place = __builtin_ctzll(~query->places);
        query->places |= UINT64_C(1) << place;
        query->slots[place] = slot;
        slot->rows_unsettled = query->rows_unsettled;
        slot->bytes_unsettled = query->bytes_unsettled;
        query->rows_unsettled = 0;
        query->bytes_unsettled = 0;
    }
    pthread_mutex_unlock(&query->slots_lock);
    RN_TRY(status);
    *out_slot = &slot->hot;
    return RATION_OK;
}

/* Nobody else spills through the slot, nor will. */
static void wait_until_let_go(ration_query *query, rn_slot *slot)
{
    rn_slot_enter(slot);
    pthread_mutex_lock(&query->lock); /* whoever had taken it has passed it (giving.c) */
    pthread_mutex_unlock(&query->lock);
}

static uint32_t find_place(const ration_query *query, const rn_slot *slot)
{
    uint32_t place = 0;
    while (place < RN_QUERY_SLOTS_MAX && query->slots[place] != slot) {
        place++;
    }
    return place;
}

void ration_query_return_slot(ration_slot *slot)
{
    rn_slot *self = rn_slot_of(slot);
    ration_query *query = rn_slot_query(self);
    int64_t thread = rn_load_acquire(&self->thread);
    if (rn_never(thread > 0 && thread != number_of_thread())) {
        return; /* in use: close takes it home */
    }
    wait_until_let_go(query, self);
    ration_slot_register_spill(slot, NULL);
    ration_status returned = rn_slot_prepay(self, 0);
    (void)rn_always(returned == RATION_OK);
    pthread_mutex_lock(&query->slots_lock);
    uint32_t place = find_place(query, self);
    if (!rn_never(place == RN_QUERY_SLOTS_MAX)) {
        keep_untold(query, self);
        query->peaks[place] = RN_MAX(query->peaks[place], self->peak_bytes);
        query->rows_unsettled += self->rows_unsettled;
        query->bytes_unsettled = rn_add(query->bytes_unsettled, self->bytes_unsettled);
        query->slots[place] = NULL;
        query->places &= ~(UINT64_C(1) << place);
        rn_slot_close(self);
    }
    pthread_mutex_unlock(&query->slots_lock);
}

int64_t rn_query_peak(const ration_query *query)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < RN_QUERY_SLOTS_MAX; i++) {
        const rn_slot *slot = query->slots[i];
        bytes += RN_MAX(query->peaks[i], slot == NULL ? 0 : slot->peak_bytes);
    }
    return bytes;
}

size_t ration_query_peek(ration_query *query, ration_context_figures *figures, size_t capacity)
{
    rn_ledger *ledger = rn_pool_ledger(query->pool);
    pthread_mutex_lock(&query->slots_lock);
    rn_ledger_lock(ledger);
    size_t count = rn_slots_peek(ledger, query->slots, RN_QUERY_SLOTS_MAX, figures, capacity);
    rn_ledger_unlock(ledger);
    pthread_mutex_unlock(&query->slots_lock);
    return count;
}

/* ------------------------------------------------------------------------------- without a slot */

ration_status ration_query_try_charge(ration_query *query, int64_t bytes)
{
    if (rn_never(bytes < 0)) {
        return RATION_INVALID_ARGUMENT;
    }
    rn_no no;
    if (rn_pool_try_charge_or(query->pool, bytes, &no)) {
        return RATION_OK;
    }
    keep_refusal(query, &no, "", false);
    return no.status;
}

void ration_query_release(ration_query *query, int64_t bytes)
{
    ration_pool_release(query->pool, bytes);
}

/* ---------------------------------------------------------------------------------------- close */

void ration_query_close(ration_query *query)
{
    if (query == NULL) {
        return;
    }
    ration_governor *governor = query->governor;
    bool inherited = rn_governor_is_inherited(governor);
    if (!inherited) {
        rn_admission_end(query);
    }
    for (uint32_t i = 0; i < RN_QUERY_SLOTS_MAX && !inherited; i++) {
        if (query->slots[i] != NULL) {
            wait_until_let_go(query, query->slots[i]);
            rn_slot_close(query->slots[i]);
        }
    }
    if (!inherited) {
        (void)rn_pool_sweep(query->pool);
        rn_pool_close(query->pool);
        rn_admission_move(governor);
    }
    free_query(query);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What must hold, whatever is done in which order.
 *
 *   1. Whenever the lock is let go, no pool is granted more than its limit, but for what was
 *      granted before the limit was cut, and that never grows.
 *   2. After every step the audit of all pools holds, and nothing is counted as unchecked.
 *   3. A refusal of memory is true: what was charged when all credit was at home, and what was
 *      asked for, are above the limit; the asker is not within its fair share; nobody else has more
 *      than his and could give it, as far as he has said; and its plan has an operator that cannot
 *      give, unless the limit was cut below what had been claimed.
 *   4. A victim holds what it cannot give.
 *   5. A query that ends well has given the right rows; one that does not has an error that the
 *      seed put there, with all its details.
 *   6. At the end everything is 0. */
#include "memory/pool.h"
#include "tests/sim/disk.h"
#include "tests/sim/sim.h"

#define CUTS_MAX 64
#define BLOCKS_EVERY 64 /* steps between two looks at the books of blocks */
#define GIVES_BYTES (64 * 1024)

static struct {
    const ration_pool *pool;
    int64_t granted_bytes;
} cuts[CUTS_MAX];
static uint32_t cut_count;

void oracle_begin(void)
{
    cut_count = 0;
}

void oracle_expect_cut(ration_pool *pool, int64_t limit_bytes)
{
    if (rn_load(&pool->granted) > limit_bytes) {
        sim_must(cut_count < CUTS_MAX, "too many pools above their limits");
        cuts[cut_count].pool = pool;
        cuts[cut_count++].granted_bytes = rn_load(&pool->granted);
    }
}

static void look_at_pool(const ration_pool *pool)
{
    int64_t granted = rn_load(&pool->granted), limit = rn_load(&pool->limit);
    uint32_t at = 0;
    while (at < cut_count && cuts[at].pool != pool) {
        at++;
    }
    if (granted <= limit) {
        if (at < cut_count) {
            cuts[at] = cuts[--cut_count];
        }
        return;
    }
    sim_must(at < cut_count, "%s is granted %lld, above its limit of %lld", rn_pool_name(pool),
             (long long)granted, (long long)limit);
    sim_must(granted <= cuts[at].granted_bytes,
             "%s, above its limit since a cut, grew from %lld to %lld", rn_pool_name(pool),
             (long long)cuts[at].granted_bytes, (long long)granted);
    cuts[at].granted_bytes = granted;
}

void oracle_unlocked(rn_ledger *ledger)
{
    ration_pool *root = rn_link_get(&ledger->root);
    for (ration_pool *pool = root; pool != NULL; pool = rn_pool_next(pool, root)) {
        look_at_pool(pool);
    }
}

void oracle_step(void)
{
    char difference[256];
    ration_governor *governor = sim_the.governor;
    if (governor == NULL || pthread_mutex_trylock(&governor->ledger->lock) != 0) {
        return;
    }
    pthread_mutex_unlock(&governor->ledger->lock);
    sim_must(ration_pool_check(governor->root, difference, sizeof difference), "audit: %s",
             difference);
    sim_must(sim_steps() % BLOCKS_EVERY != 0 || rn_blocks_check(governor->blocks),
             "the books of blocks do not agree");
    ration_pool_figures figures;
    ration_pool_read(governor->root, &figures);
    sim_must(figures.unchecked_bytes == 0, "%lld unchecked bytes",
             (long long)figures.unchecked_bytes);
    sim_must(rn_faults() == 0, "%lld faults", (long long)rn_faults());
}

/* ------------------------------------------------------------------------------------- refusals */

static sim_query *find_query(const ration_query *query)
{
    for (uint32_t i = 0; i < sim_the.query_count; i++) {
        if (sim_the.queries[i].query == query) {
            return &sim_the.queries[i];
        }
    }
    sim_fail("a query that nobody knows asks");
}

static bool is_below(const ration_pool *pool, const ration_pool *top)
{
    for (; pool != NULL && pool != top; pool = rn_pool_parent(pool)) {
    }
    return pool != NULL;
}

static int64_t count_held(const sim_query *at)
{
    return rn_pool_count_charged(at->query->pool);
}

/* Could `at` write out enough to matter, has it said so, and has it more than its share? */
static bool could_give(const sim_query *at)
{
    if (at->execution == NULL || ration_query_status(at->query) != RATION_OK) {
        return false;
    }
    rn_spillable spillable = rn_execution_spillable(at->execution);
    return rn_load(&at->query->spillable_bytes) > 0 && spillable.now_bytes >= GIVES_BYTES &&
           count_held(at) > at->query->pool->share && at->query->spent_bytes == 0;
}

/* What nobody but the asker can be made to give below `pool`: claims. */
static int64_t count_claims(const sim_query *asker, const ration_pool *pool)
{
    int64_t claims = 0;
    for (uint32_t i = 0; i < sim_the.query_count; i++) {
        const sim_query *at = &sim_the.queries[i];
        if (at != asker && at->query != NULL && is_below(at->query->pool, pool)) {
            claims += rn_load(&at->query->pool->claim);
        }
    }
    return claims;
}

/* For who reads the trace. */
static void note_held(const sim_query *asker, const rn_slot *slot)
{
    sim_note("holds, of its share and claim", rn_slot_used(slot));
    sim_note("share", asker->query->pool->share);
    sim_note("claim", rn_load(&asker->query->pool->claim));
    for (uint32_t i = 0; asker->execution != NULL && i < asker->execution->plan->node_count; i++) {
        const rn_operator *op = &asker->execution->operators[i];
        int64_t bytes = op->context == NULL ? 0 : ration_context_bytes(op->context, true);
        sim_note(op->node->class_->name, bytes);
    }
    if (asker->execution != NULL) {
        sim_note("can spill now", rn_execution_spillable(asker->execution).now_bytes);
        sim_note("later", rn_execution_spillable(asker->execution).later_bytes);
    }
}

static void look_at_refusal(sim_query *asker, const rn_slot *slot, int64_t bytes)
{
    const rn_no *no = &slot->no;
    note_held(asker, slot);
    int64_t claims = count_claims(asker, no->pool) + rn_load(&asker->query->pool->claim);
    asker->cut_off = claims > no->limit_bytes;
    sim_must(no->charged_bytes + no->asked_bytes > no->limit_bytes,
             "%s is refused, though %lld + %lld are within %lld", asker->name,
             (long long)no->charged_bytes, (long long)no->asked_bytes, (long long)no->limit_bytes);
    int64_t held = count_held(asker);
    sim_must(held + bytes > asker->query->pool->share || asker->query->pool->share <= 0,
             "%s is refused %lld bytes, though with them it has %lld and its share is %lld",
             asker->name, (long long)bytes, (long long)(held + bytes),
             (long long)asker->query->pool->share);
    if (asker->cut_off || count_claims(asker, no->pool) + bytes > no->limit_bytes) {
        return;
    }
    for (uint32_t i = 0; i < sim_the.query_count; i++) {
        const sim_query *at = &sim_the.queries[i];
        sim_must(at == asker || at->query == NULL || !is_below(at->query->pool, no->pool) ||
                     !could_give(at),
                 "%s is refused, though %s is above its share and could spill (it said %lld bytes)",
                 asker->name, at->name, (long long)rn_load(&at->query->spillable_bytes));
    }
}

void oracle_asked(const rn_slot *slot, int64_t bytes, const rn_reply *asked)
{
    if (asked->answer == RN_ASK_REFUSED && rn_is_refusal(asked->status) &&
        asked->status != RATION_VICTIM) {
        look_at_refusal(find_query(rn_slot_query(slot)), slot, bytes);
    }
}

/* ------------------------------------------------------------------------------------- outcomes */

static void must_be_explained(const sim_query *query)
{
    bool worded = query->error.status == query->status && query->error.message[0] != '\0';
    if (query->status == RATION_QUEUE_TIMEOUT && worded) {
        return; /* its group was full: no memory was wanting */
    }
    if (rn_is_refusal(query->status)) {
        sim_must(query->refused, "%s: %s without a refusal", query->name,
                 ration_status_name(query->status));
        sim_must(query->refusal.asked_bytes > 0 && query->refusal.limit_bytes > 0 &&
                     query->refusal.pool[0] != '\0' && query->refusal.query[0] != '\0' &&
                     query->refusal.key[0] != '\0',
                 "%s: the refusal is not complete", query->name);
    } else if (query->status != RATION_NO_MEMORY) { /* it needs no words */
        sim_must(worded, "%s: %s without a message", query->name,
                 ration_status_name(query->status));
    }
}

static void must_be_right(sim_query *query)
{
    char difference[2000] = "";
    rn_text why = rn_text_over(difference, sizeof difference);
    if (query->plan == NULL) {
        return;
    }
    sim_must(!query->plan->fails || query->plan->lazy || query->left, "%s: an error was to be met",
             query->name);
    sim_must(query->left || query->plan->fails ||
                 sim_answer_is_right(query->plan, &query->answer, &why),
             "%s: other rows: %s", query->name, difference);
}

/* May it be refused what it asks beyond its claim? With two workers: what one frees is not told
 * from what the other takes meanwhile, so it may pass for one that gives nothing. */
static bool hogs(const sim_query *query)
{
    return query->plan == NULL ? !query->host.spills || query->host.two_workers : query->plan->hogs;
}

int64_t oracle_minimum(const sim_query *query)
{
    const ration_limits *limits = &sim_the.limits;
    const rn_sizes sizes = {
        .batch_rows = (uint32_t)RN_MIN((int64_t)RN_BATCH_ROWS_MAX, limits->check_interval),
        .max_row_bytes = limits->max_row_bytes};
    return query->plan == NULL ? query->host.claim_bytes
                               : rn_plan_minimum(query->plan->plan, &sizes);
}

/* The smallest limit that the query ever was below. */
static int64_t least_limit(const sim_query *query)
{
    int64_t least = sim_the.least_limit_bytes;
    for (int64_t i = 0; i < sim_the.limits.group_count; i++) {
        const ration_group *group = &sim_the.limits.groups[i];
        bool own = query->options.group == group->name && group->limit_bytes != 0;
        least = own ? RN_MIN(least, group->limit_bytes) : least;
    }
    return query->options.limit_bytes == 0 ? least : RN_MIN(least, query->options.limit_bytes);
}

/* Does the seed say that this may happen? */
static bool may_end_so(const sim_query *query)
{
    switch (query->status) {
    case RATION_CANCELLED:
        return query->cancelled;
    case RATION_DEADLINE:
        return query->options.time_ms_max != 0;
    case RATION_ROW_BUDGET:
        return query->options.rows_max != 0;
    case RATION_MINIMUM_ABOVE_LIMIT:
        return oracle_minimum(query) > least_limit(query);
    case RATION_QUEUE_TIMEOUT:
        return sim_the.impatient;
    case RATION_NO_MEMORY:
        return sim_the.out_of_memory;
    case RATION_SPILL_IO:
    case RATION_SPILL_CORRUPT:
        return sim_disk_has_failed();
    case RATION_SPILL_NO_SPACE:
        return sim_disk_was_full() || sim_the.faulty;
    case RATION_SPILL_QUOTA:
        return sim_the.small_quota;
    case RATION_EVALUATION:
        return query->plan != NULL && query->plan->fails;
    case RATION_ROW_TOO_WIDE:
        return query->plan != NULL && query->plan->lists;
    case RATION_QUERY_LIMIT:
    case RATION_GROUP_LIMIT:
    case RATION_GLOBAL_LIMIT:
    case RATION_VICTIM:
        return hogs(query) || query->cut_off;
    default:
        return false;
    }
}

static void count(const sim_query *query, sim_totals *totals)
{
    totals->queries += 1;
    totals->right += query->status == RATION_OK && !query->left;
    totals->left += query->left;
    totals->refused += rn_is_refusal(query->status) && query->status != RATION_VICTIM &&
                       query->status != RATION_QUEUE_TIMEOUT;
    totals->victims += query->status == RATION_VICTIM;
    totals->timed_out += query->status == RATION_QUEUE_TIMEOUT;
    totals->cancelled += query->status == RATION_CANCELLED;
    totals->late += query->status == RATION_DEADLINE;
    totals->no_memory += query->status == RATION_NO_MEMORY;
    totals->below_minimum += query->status == RATION_MINIMUM_ABOVE_LIMIT;
    totals->evaluation += query->status == RATION_EVALUATION;
    totals->spill_failed +=
        query->status >= RATION_SPILL_QUOTA && query->status <= RATION_SPILL_CORRUPT;
}

void oracle_query(sim_query *query, sim_totals *totals)
{
    sim_note(ration_status_name(query->status), query->answer.rows);
    count(query, totals);
    if (query->status == RATION_OK) {
        must_be_right(query);
        return;
    }
    sim_must(may_end_so(query), "%s ended with %s: %s (%lld + %lld > %lld of %s; minimum %lld)",
             query->name, ration_status_name(query->status), query->error.message,
             (long long)query->refusal.charged_bytes, (long long)query->refusal.asked_bytes,
             (long long)query->refusal.limit_bytes, query->refusal.pool,
             (long long)oracle_minimum(query));
    must_be_explained(query);
}

void oracle_end(void)
{
    ration_governor *governor = sim_the.governor;
    ration_pool_figures figures;
    ration_pool_read(governor->queries, &figures);
    sim_must(figures.charged_bytes == 0 && figures.granted_bytes == 0,
             "after all queries %lld bytes are charged, %lld granted",
             (long long)figures.charged_bytes, (long long)figures.granted_bytes);
    sim_must(rn_queue_first(governor->ledger) == NULL, "somebody still waits");
    sim_must(rn_load(&governor->root->givers) == 0, "somebody is still asked to give");
    sim_must(rn_blocks_check(governor->blocks), "the books of blocks do not agree");
    sim_must(sim_disk_files() == 0 && sim_disk_bytes() == 0, "%d spill files are left",
             sim_disk_files());
    const rn_spill_quota *quota = rn_spill_volume_quota(governor->volume);
    sim_must(rn_load(&quota->used_bytes) == 0, "%lld bytes of the spill quota are left",
             (long long)rn_load(&quota->used_bytes));
}

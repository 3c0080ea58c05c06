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
 *   6. At the end everything is 0.
 *   7. Homes that divide a machine: a limit is raised only as far as all of them, with what they
 *      may grant or hold above that, each divided by its ratio, fit into what the strangers leave.
 *      Who sits at its floor does not count: that is its own reserve. A limit that follows is no
 *      reason to refuse anybody but when it is to stay below the claims. */
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

static uint64_t raises, lowerings;

void oracle_begin(void)
{
    cut_count = 0;
    raises = lowerings = 0;
}

void oracle_count(sim_totals *totals)
{
    totals->raises += raises;
    totals->cuts += lowerings;
}

static void expect_cut(const ration_pool *pool, int64_t limit_bytes)
{
    uint32_t at = 0;
    while (at < cut_count && cuts[at].pool != pool) {
        at++;
    }
    if (rn_load(&pool->granted) <= limit_bytes || at < cut_count) {
        return;
    }
    sim_must(cut_count < CUTS_MAX, "too many pools above their limits");
    cuts[cut_count].pool = pool;
    cuts[cut_count++].granted_bytes = rn_load(&pool->granted);
}

/* What home `i` takes of the machine, when the root of `raised` has `limit_bytes`: that one cannot
 * have more from now on, the others can have what they hold above their limits. */
static int64_t count_taken(uint32_t i, const sim_home *raised, int64_t limit_bytes)
{
    const sim_home *home = &sim_the.homes[i];
    if (home->governor == NULL) {
        return 0;
    }
    const ration_pool *root = home->governor->root;
    int64_t held =
        home == raised ? limit_bytes : RN_MAX(rn_load(&root->limit), rn_load(&root->granted));
    return held <= home->limits.limit_floor_bytes ? 0
                                                  : held * 1000000 / home->limits.limit_ratio_ppm;
}

static void look_at_raise(const sim_home *raised, int64_t limit_bytes)
{
    int64_t taken = 0, there = raised->seen_bytes;
    for (uint32_t i = 0; i < sim_the.home_count; i++) {
        taken += count_taken(i, raised, limit_bytes);
    }
    sim_must(taken <= there, "%s is raised to %lld, and all may have %lld of the %lld there are",
             raised->name, (long long)limit_bytes, (long long)taken, (long long)there);
}

void oracle_limit(ration_pool *pool, int64_t limit_bytes)
{
    int64_t was_bytes = rn_load(&pool->limit);
    expect_cut(pool, limit_bytes);
    for (uint32_t i = 0; i < sim_the.home_count; i++) {
        const sim_home *home = &sim_the.homes[i];
        if (home->governor == NULL || home->governor->root != pool || limit_bytes == was_bytes) {
            continue;
        }
        sim_note(limit_bytes > was_bytes ? "raises" : "cuts", limit_bytes);
        raises += limit_bytes > was_bytes;
        lowerings += limit_bytes < was_bytes;
        if (sim_the.follows && limit_bytes > was_bytes &&
            limit_bytes > home->limits.limit_floor_bytes) {
            look_at_raise(home, limit_bytes);
        }
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

static void look_at_governor(ration_governor *governor)
{
    char difference[256];
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
}

void oracle_step(void)
{
    for (uint32_t i = 0; i < sim_the.home_count; i++) {
        look_at_governor(sim_the.homes[i].governor);
    }
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
    if (rn_load(&at->query->spillable_bytes) <= 0 || at->query->spent_bytes != 0 ||
        count_held(at) <= at->query->pool->share) {
        return false; /* an operator that has said nothing may be half open */
    }
    return rn_execution_spillable(at->execution).now_bytes >= GIVES_BYTES;
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
    bool moves = sim_the.follows && no->pool == asker->query->governor->root;
    asker->cut_off = claims > (moves ? asker->home->least_limit_bytes : no->limit_bytes);
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
    const ration_limits *limits = &query->home->limits;
    const rn_sizes sizes = {
        .batch_rows = (uint32_t)RN_MIN((int64_t)RN_BATCH_ROWS_MAX, limits->check_interval),
        .max_row_bytes = limits->max_row_bytes};
    return query->plan == NULL ? query->host.claim_bytes
                               : rn_plan_minimum(query->plan->plan, &sizes);
}

/* The smallest limit that the query ever was below. */
static int64_t least_limit(const sim_query *query)
{
    int64_t least = query->home->least_limit_bytes;
    if (query->options.group != NULL) {
        least = RN_MIN(least, query->home->least_group_bytes[query->options.group[0] - 'a']);
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
    case RATION_INVALID_ARGUMENT:
        return query->options.group != NULL && query->home->lost_groups;
    case RATION_QUEUE_TIMEOUT: /* a hog that waits for the limit to come back */
    case RATION_HOST_PRESSURE:
        return sim_the.impatient || (sim_the.follows && hogs(query));
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

void oracle_home(sim_home *home)
{
    ration_governor *governor = home->governor;
    ration_pool_figures figures;
    ration_pool_read(governor->queries, &figures);
    sim_must(figures.charged_bytes == 0 && figures.granted_bytes == 0,
             "after all queries %lld bytes are charged, %lld granted",
             (long long)figures.charged_bytes, (long long)figures.granted_bytes);
    sim_must(rn_queue_first(governor->ledger) == NULL, "somebody still waits");
    sim_must(rn_load(&governor->root->givers) == 0, "somebody is still asked to give");
    sim_must(rn_blocks_check(governor->blocks), "the books of blocks do not agree");
    const rn_spill_quota *quota = rn_spill_volume_quota(governor->volume);
    sim_must(rn_load(&quota->used_bytes) == 0, "%lld bytes of the spill quota are left",
             (long long)rn_load(&quota->used_bytes));
}

void oracle_end(void)
{
    sim_must(sim_disk_files() == 0 && sim_disk_bytes() == 0, "%d spill files are left",
             sim_disk_files());
    int64_t registered = sim_machine_registered();
    sim_must(registered == 0, "%lld governors are still registered", (long long)registered);
}

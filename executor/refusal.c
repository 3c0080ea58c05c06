/* SPDX-License-Identifier: Apache-2.0
 *
 * Refusals: the one place that builds them and the one that words them. Nothing here allocates.
 *
 * A refusal says which limit, who asked, who holds most, what was tried and which key to turn. The
 * facts about the limit were noted by the ledger while all slots below it were closed, so they are
 * true at one instant inside the call; the holders are read afterwards and may have moved on by
 * then.
 */
#include "executor/governor.h"
#include "memory/pool.h"

typedef struct holder {
    int64_t bytes;
    char name[RN_POOL_NAME_BYTES];
    char site[RN_POOL_NAME_BYTES];
} holder;

/* With the ledger's lock held, so the pool and the query that owns it are there. */
static void look_at(holder *largest, const ration_pool *pool, int64_t charged_bytes)
{
    if (charged_bytes <= largest->bytes) {
        return;
    }
    ration_query *query = (ration_query *)rn_pool_owner(pool);
    largest->bytes = charged_bytes;
    rn_copy_text(largest->name, sizeof largest->name, rn_pool_name(pool));
    largest->site[0] = '\0';
    if (query != NULL) { /* of this process */
        pthread_mutex_lock(&query->lock);
        rn_copy_text(largest->site, sizeof largest->site, query->largest_site);
        pthread_mutex_unlock(&query->lock);
    }
}

static void put_group_key(rn_text *text, const ration_query *query, const char *key)
{
    rn_text_format(text, "groups.%s.%s", query->group->name, key);
}

/* What a user would turn; a limit that the query or a call gave is not in memory.yaml. */
static void put_key(rn_text *text, const ration_query *query, const rn_no *no)
{
    const ration_governor *governor = query->governor;
    if (no->pool == query->pool && query->own_limit) {
        rn_text_put(text, "limit_bytes of the query");
    } else if (no->pool == query->pool && query->group != NULL &&
               query->of_group->query_limit_bytes != 0) {
        put_group_key(text, query, "query_limit_bytes");
    } else if (no->pool == query->pool) {
        rn_text_put(text, "query_limit_bytes");
    } else if (query->group != NULL && no->pool == query->group->pool) {
        put_group_key(text, query, "limit_bytes");
    } else if (no->status == RATION_DATA_LIMIT) {
        rn_text_put(text, "data_limit_bytes");
    } else {
        rn_text_put(text, rn_load(&governor->limit_derived) != 0 ? "limit_ratio" : "limit_bytes");
    }
}

static void fill_holders(ration_refusal *refusal, const rn_no *no, ration_query *query)
{
    refusal->query_bytes = rn_pool_count_charged(query->pool);
    holder largest = {.bytes = 0};
    if (no->pool == query->pool) {
        look_at(&largest, query->pool, refusal->query_bytes);
    } else {
        bool of_group = query->group != NULL && no->pool == query->group->pool;
        ration_pool *top = of_group ? query->group->pool : query->governor->queries;
        for (ration_pool *at = top; at != NULL; at = rn_pool_next(at, top)) {
            bool holds = at != top && rn_pool_child(at) == NULL;
            look_at(&largest, at, holds ? rn_pool_count_charged(at) : 0);
        }
        refusal->data_bytes = rn_pool_count_charged(query->governor->all_data);
    }
    rn_copy_text(refusal->holder, sizeof refusal->holder, largest.name);
    rn_copy_text(refusal->holder_site, sizeof refusal->holder_site, largest.site);
    refusal->holder_bytes = largest.bytes;
}

void rn_refusal_build(ration_refusal *out_refusal, ration_query *query, const rn_no *no,
                      const char *site)
{
    rn_ledger *ledger = query->governor->ledger;
    rn_ledger_lock(ledger);
    rn_refusal_build_locked(out_refusal, query, no, site);
    rn_ledger_unlock(ledger);
}

void rn_refusal_build_locked(ration_refusal *out_refusal, ration_query *query, const rn_no *no,
                             const char *site)
{
    ration_refusal refusal;
    memset(&refusal, 0, sizeof refusal);
    refusal.size = sizeof refusal;
    refusal.status = no->status;
    rn_copy_text(refusal.pool, sizeof refusal.pool, no->path);
    refusal.limit_bytes = no->limit_bytes;
    refusal.charged_bytes = no->charged_bytes;
    refusal.asked_bytes = no->asked_bytes;
    refusal.recalled_bytes = no->recalled_bytes;
    refusal.purged_bytes = no->purged_bytes;
    refusal.waiting = no->waiting;
    refusal.key_bytes = rn_add(no->charged_bytes, no->needed_bytes);
    rn_copy_text(refusal.site, sizeof refusal.site, site);
    rn_copy_text(refusal.query, sizeof refusal.query, query->name);
    rn_text key = rn_text_over(refusal.key, sizeof refusal.key);
    put_key(&key, query, no);
    fill_holders(&refusal, no, query);
    *out_refusal = refusal;
}

static void put_holder(rn_text *text, const ration_refusal *refusal)
{
    if (refusal->holder[0] == '\0') {
        return;
    }
    rn_text_format(text, "  largest   query %s holds ", refusal->holder);
    rn_text_put_size(text, refusal->holder_bytes);
    if (refusal->holder_site[0] != '\0') {
        rn_text_format(text, ", most in %s", refusal->holder_site);
    }
    rn_text_put(text, "\n");
}

static void put_data(rn_text *text, const ration_refusal *refusal)
{
    if (refusal->data_bytes > 0) {
        rn_text_put(text, "  graph     pool data holds ");
        rn_text_put_size(text, refusal->data_bytes);
        rn_text_put(text, "\n");
    }
}

static void put_waiting(rn_text *text, const ration_refusal *refusal)
{
    if (refusal->waiting > 0) {
        rn_text_format(text, "  queue     %lld wait there: what comes free is theirs\n",
                       (long long)refusal->waiting);
    }
}

size_t ration_refusal_format(const ration_refusal *refusal, char *buffer, size_t capacity)
{
    rn_text text = rn_text_over(buffer, capacity);
    rn_text_format(&text, "memory limit exceeded: %lld + %lld > %lld bytes (%s)\n",
                   (long long)refusal->charged_bytes, (long long)refusal->asked_bytes,
                   (long long)refusal->limit_bytes, refusal->pool);
    rn_text_format(&text, "  code      %s: %s\n", ration_status_name(refusal->status),
                   ration_status_sentence(refusal->status));
    rn_text_format(&text, "  asked by  %s%squery %s, which holds ", refusal->site,
                   refusal->site[0] == '\0' ? "" : " of ", refusal->query);
    rn_text_put_size(&text, refusal->query_bytes);
    rn_text_put(&text, "\n");
    put_holder(&text, refusal);
    put_data(&text, refusal);
    rn_text_put(&text, "  tried     recalled ");
    rn_text_put_size(&text, refusal->recalled_bytes);
    rn_text_put(&text, " of idle credit, gave back ");
    rn_text_put_size(&text, refusal->purged_bytes);
    rn_text_put(&text, " of retained pages\n");
    put_waiting(&text, refusal);
    if (strcmp(refusal->key, "limit_ratio") == 0) {
        rn_text_put(&text, "  change    raise limit_ratio, or set limit_bytes to at least ");
    } else {
        rn_text_format(&text, "  change    raise %s to at least ", refusal->key);
    }
    rn_text_format(&text, "%lld, or let the query hold less (limit, topk, fewer columns)\n",
                   (long long)refusal->key_bytes);
    return text.length;
}

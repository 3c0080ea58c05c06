/* SPDX-License-Identifier: Apache-2.0
 *
 * The bundled workload over a small generated network, four workers at once: first with room for
 * all, then at a limit small enough to refuse about a third. Nothing is ever above the limit, every
 * refusal is complete, every pool reads 0 afterwards, and the queries that completed give the rows
 * they gave before. */
#include "executor/replay.h"
#include "iterators/registry.h"
#include "storage/generate.h"
#include "tests/support.h"

#define QUERIES 160
#define WORKERS 4

typedef struct crew {
    rn_replay replay;
    rn_workload workload;
    ration_governor *governor;
    rn_slot *slot;
    rn_graph *graph;
    pthread_mutex_t lock;
    rn_arrivals cursor;
    int64_t samples, over;
    rn_outcome outcomes[QUERIES];
} crew;

static char folder[256];

static void *work(void *argument)
{
    crew *c = argument;
    for (;;) {
        rn_arrival arrival;
        ration_pool_figures root;
        pthread_mutex_lock(&c->lock);
        bool more = rn_arrivals_next(&c->workload, &c->cursor, &arrival);
        pthread_mutex_unlock(&c->lock);
        if (!more) {
            return NULL;
        }
        rn_replay_run(&c->replay, &arrival, NULL, NULL, &c->outcomes[arrival.number]);
        ration_pool_read(ration_governor_root(c->governor), &root);
        pthread_mutex_lock(&c->lock);
        c->samples += 1;
        c->over += root.granted_bytes > root.limit_bytes || root.peak_bytes > root.limit_bytes;
        pthread_mutex_unlock(&c->lock);
    }
}

static void open_crew(crew *c, int64_t limit_bytes)
{
    ration_limits limits;
    ration_error error;
    char path[300];
    memset(c, 0, sizeof *c);
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = limit_bytes;
    support_ok(ration_governor_open(&limits, &c->governor, &error), &error);
    ck_assert_int_eq(rn_slot_open(ration_governor_data(c->governor), NULL, &c->slot), RATION_OK);
    support_ok(
        rn_workload_open(support_path("workloads/snb.yaml"), &c->slot->hot, &c->workload, &error),
        &error);
    snprintf(path, sizeof path, "%s/manifest.yaml", folder);
    rn_graph_options options = {.slot = &c->slot->hot};
    support_ok(rn_graph_load(path, &options, &c->graph, &error), &error);
    c->workload.count = QUERIES;
    for (uint32_t i = 0; i < c->workload.query_count; i++) { /* heavy ones as often as light ones */
        c->workload.queries[i].weight = 1;
    }
    c->workload.weights = c->workload.query_count;
    c->replay = (rn_replay){&c->workload, c->graph, c->governor, rn_operator_classes()};
    pthread_mutex_init(&c->lock, NULL);
}

static void run_crew(crew *c)
{
    pthread_t threads[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, c), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(c->samples, QUERIES);
    ck_assert_int_eq(c->over, 0);
}

static void close_crew(crew *c)
{
    char text[200] = "";
    ration_pool_figures figures;
    ration_pool_read(ration_governor_queries(c->governor), &figures);
    ck_assert_int_eq(figures.granted_bytes, 0);
    ck_assert_msg(ration_pool_check(ration_governor_root(c->governor), text, sizeof text), "%s",
                  text);
    rn_graph_close(c->graph);
    ration_pool_read(ration_governor_data(c->governor), &figures);
    ck_assert_int_eq(figures.charged_bytes, 0);
    rn_workload_close(&c->workload);
    rn_slot_close(c->slot);
    ration_governor_close(c->governor);
    pthread_mutex_destroy(&c->lock);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}

/* A victim's refusal names the query it had to go for; every other one the query itself. */
static void expect_complete(const rn_outcome *outcome, int number)
{
    const ration_refusal *refusal = &outcome->refusal;
    const char *mark = strrchr(refusal->query, '#');
    bool asked_itself = mark != NULL && atoi(mark + 1) == number;
    ck_assert_int_eq(asked_itself, outcome->status != RATION_VICTIM);
    ck_assert(outcome->refused);
    ck_assert_int_eq(refusal->status, outcome->status);
    ck_assert_int_gt(refusal->limit_bytes, 0);
    ck_assert_int_gt(refusal->asked_bytes, 0);
    ck_assert_int_gt(refusal->charged_bytes + refusal->asked_bytes, refusal->limit_bytes);
    ck_assert_int_eq(refusal->key_bytes, refusal->charged_bytes + refusal->asked_bytes);
    ck_assert_str_ne(refusal->pool, "");
    ck_assert_str_ne(refusal->query, "");
    ck_assert_str_ne(refusal->site, "");
    if (outcome->status != RATION_MINIMUM_ABOVE_LIMIT) { /* that is so whoever holds what */
        ck_assert_str_ne(refusal->holder, "");
    }
    ck_assert_str_ne(refusal->key, "");
    char text[2000];
    ck_assert_uint_lt(ration_refusal_format(refusal, text, sizeof text), sizeof text);
}

static int count_refused(const crew *c)
{
    int refused = 0;
    for (int i = 0; i < QUERIES; i++) {
        if (c->outcomes[i].status != RATION_OK) {
            expect_complete(&c->outcomes[i], i);
            refused++;
        }
    }
    return refused;
}

START_TEST(test_replay__at_a_limit_that_refuses_a_third)
{
    static crew roomy, tight;
    ration_error error;
    rn_generate_options options = {.scale = 0.02, .seed = 3};
    snprintf(folder, sizeof folder, "%s", support_folder());
    support_ok(rn_generate(folder, &options, &error), &error);
    open_crew(&roomy, INT64_C(1) << 30);
    int64_t data_bytes = rn_slot_used(roomy.slot);
    run_crew(&roomy);
    ck_assert_int_eq(count_refused(&roomy), 0);
    close_crew(&roomy);

    int64_t low = 0, high = 32 << 20; /* room for queries beside the graph */
    int refused = 0;
    for (int i = 0; i < 24 && (refused < QUERIES / 4 || refused > QUERIES * 45 / 100); i++) {
        if (i > 0) {
            close_crew(&tight);
        }
        int64_t room = (low + high) / 2;
        open_crew(&tight, data_bytes + (1 << 20) + room);
        run_crew(&tight);
        refused = count_refused(&tight);
        *(refused < QUERIES / 3 ? &high : &low) = room;
    }
    int victims = 0;
    for (int i = 0; i < QUERIES; i++) {
        victims += tight.outcomes[i].status == RATION_VICTIM;
    }
    printf("refused %d of %d, of these %d as victims\n", refused, QUERIES, victims);
    ck_assert_int_ge(refused, QUERIES / 5);
    ck_assert_int_lt(refused, QUERIES * 6 / 10);
    for (int i = 0; i < QUERIES; i++) {
        if (tight.outcomes[i].status == RATION_OK) {
            ck_assert_int_eq(tight.outcomes[i].rows, roomy.outcomes[i].rows);
            ck_assert(tight.outcomes[i].checksum == roomy.outcomes[i].checksum);
        }
    }
    close_crew(&tight);
    support_remove(folder);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_replay__at_a_limit_that_refuses_a_third};
    return support_run("replay limits", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking through the dispatcher: plans with an operator that holds what it reads, and on spill
 * counts it and lets it go. Several threads under one small limit, a hog that cannot spill, waits
 * that are cut short, faults at every allocation.
 *
 * Queries claim a minimum, as admission does: with less nobody can spill his way through. */
#include <pthread.h>
#include <sched.h>

#include "executor/ask.h"
#include "iterators/registry.h"
#include "tests/world.h"

#define KIB ((int64_t)1024)
#define MINIMUM (256 * KIB)

/* -------------------------------------------------------------------------------- the operators */

static int64_t spills; /* of all; atomic */

typedef struct hoard_args {
    int64_t width; /* bytes held per row */
} hoard_args;

typedef struct hoard_state {
    ration_context *rows;
    int64_t held, spilled, total;
    bool ended;
} hoard_state;

static ration_status hoard_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    hoard_args *args = node->args;
    RN_TRY(rn_planner_int64(planner, yaml, 1, 4096, &args->width));
    RN_TRY(rn_planner_output(planner, node, NULL, 1));
    return rn_planner_add(planner, node, yaml, "rows", rn_type_of(RN_INT64));
}

static void hoard_explain(const rn_plan_node *node, rn_text *text)
{
    (void)node, (void)text;
}

static ration_status hoard_open(rn_operator *op)
{
    hoard_state *state = op->state;
    return ration_context_create(op->context, op->worker->slot, RATION_CONTEXT_BUMP, "rows",
                                 &state->rows);
}

static size_t count_bytes(const rn_operator *op, const rn_batch *input)
{
    return (size_t)((const hoard_args *)op->node->args)->width * input->rows;
}

static int64_t hoard_bound(const rn_operator *op, const rn_batch *input)
{
    const hoard_state *state = op->state;
    return rn_context_bound_one(state->rows, count_bytes(op, input));
}

static ration_status hoard_next(rn_operator *op, const rn_batch **out_batch)
{
    hoard_state *state = op->state;
    bool last = state->ended;
    while (!state->ended) {
        const rn_batch *input;
        RN_TRY(rn_next(op, op->inputs[0], &input));
        state->ended = input->rows == 0;
        if (!state->ended) {
            if (ration_context_allocate(state->rows, count_bytes(op, input)) == NULL) {
                return ration_context_status(state->rows);
            }
            state->held += input->rows;
        }
    }
    state->total = state->held + state->spilled;
    op->batch.rows = last ? 0 : 1;
    op->batch.columns[0] = (rn_column){.type = rn_type_of(RN_INT64), .data = &state->total};
    *out_batch = &op->batch;
    return RATION_OK;
}

static rn_spillable hoard_spillable(const rn_operator *op)
{
    return (rn_spillable){.now_bytes = ration_context_bytes(op->context, true)};
}

static ration_status hoard_spill(rn_operator *op, int64_t want_bytes)
{
    hoard_state *state = op->state;
    ck_assert_int_gt(want_bytes, 0);
    ration_context_reset(state->rows);
    state->spilled += state->held;
    state->held = 0;
    (void)rn_fetch_add(&spills, 1);
    return RATION_OK;
}

static ration_status fail_to_spill(rn_operator *op, int64_t want_bytes)
{
    (void)op, (void)want_bytes;
    return RATION_SPILL_IO;
}

#define HOARD(name_, spill_)                                                                       \
    {                                                                                              \
        .name = name_, .sentence = "holds what it reads", .args_bytes = sizeof(hoard_args),        \
        .state_bytes = sizeof(hoard_state), .inputs_min = 1, .inputs_max = 1, .plan = hoard_plan,  \
        .explain = hoard_explain, .open = hoard_open, .bound = hoard_bound, .next = hoard_next,    \
        .spillable = (spill_) == NULL ? NULL : hoard_spillable, .spill = spill_                    \
    }

static const rn_operator_class hoard_class = HOARD("hoard", hoard_spill);
static const rn_operator_class hog_class = HOARD("hog", NULL);
static const rn_operator_class broken_class = HOARD("broken", fail_to_spill);

/* ----------------------------------------------------------------------------------------- runs */

typedef struct run {
    rn_test_world *world;
    const rn_plan *plan;
    ration_query_options options;
    int64_t claim, rows; /* `rows` as it says at the end */
    ration_query *query;
    rn_execution *execution;
    ration_status status;
    bool refused;
    ration_refusal refusal;
    pthread_t thread;
} run;

static rn_plan *build(rn_test_world *world, const char *operator, int64_t rows, int64_t width)
{
    static const rn_parameters none = {0, NULL};
    const rn_operator_class *classes[] = {&rn_range_class, &hoard_class, &hog_class, &broken_class,
                                          NULL};
    char text[200];
    snprintf(text, sizeof text,
             "pipeline:\n- range: { rows: %lld, columns: { n: sequence } }\n- %s: %lld\n",
             (long long)rows, operator,(long long) width);
    rn_plan_file file;
    rn_plan *plan;
    ration_error error;
    support_ok(rn_plan_file_parse("plan.yaml", text, strlen(text), &file, &error), &error);
    support_ok(rn_plan_build(&file, NULL, &none, world->graph, classes, &plan, &error), &error);
    rn_plan_file_close(&file);
    return plan;
}

static ration_status pull(run *self)
{
    const rn_batch *batch;
    RN_TRY(rn_execution_next(self->execution, &batch));
    ck_assert_uint_eq(batch->rows, 1);
    memcpy(&self->rows, rn_column_at(&batch->columns[0], 0), sizeof self->rows);
    RN_TRY(rn_execution_next(self->execution, &batch));
    ck_assert_uint_eq(batch->rows, 0);
    return RATION_OK;
}

/* Opens and pulls; stays open. */
static void *begin(void *argument)
{
    run *self = argument;
    self->execution = NULL;
    self->status = rn_execution_open(self->query, self->plan, false, &self->execution);
    if (self->status == RATION_OK) {
        self->status = pull(self);
    }
    return NULL;
}

static void open_run(run *self)
{
    rn_no no;
    ration_error error;
    self->options.size = sizeof self->options;
    support_ok(ration_query_open(self->world->governor, &self->options, &self->query, &error),
               &error);
    ck_assert(rn_pool_try_claim(self->query->pool, self->claim, &no));
}

static void end(run *self)
{
    rn_execution_close(self->execution);
    self->refused = ration_query_refusal(self->query, &self->refusal);
    ration_query_close(self->query);
}

static void *live(void *argument)
{
    run *self = argument;
    (void)begin(self);
    end(self);
    return NULL;
}

static void start(run *self, void *(*work)(void *))
{
    ck_assert_int_eq(pthread_create(&self->thread, NULL, work, self), 0);
}

static void join(const run *self)
{
    ck_assert_int_eq(pthread_join(self->thread, NULL), 0);
}

static void open_world(rn_test_world *world, int64_t limit_bytes, int64_t wait_ms)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = limit_bytes;
    limits.query_wait_ms_max = wait_ms;
    limits.admission_wait_ms_max = wait_ms;
    rn_test_open(world, &limits, NULL);
}

static ration_pool_figures root_of(const rn_test_world *world)
{
    ration_pool_figures figures;
    ration_pool_read(world->governor->root, &figures);
    return figures;
}

static void await_waiting(const rn_test_world *world, int64_t count)
{
    while (root_of(world).waiting != count) {
        (void)sched_yield();
    }
}

/* A query that has most of the memory, could spill, and whose worker is away. */
static ration_query *open_silent(rn_test_world *world, int64_t bytes)
{
    ration_query *query;
    ration_slot *slot;
    ration_query_options options = {.size = sizeof options, .name = "silent"};
    ck_assert_int_eq(ration_query_open(world->governor, &options, &query, NULL), RATION_OK);
    ck_assert_int_eq(ration_query_slot(query, &slot), RATION_OK);
    ck_assert_int_eq(ration_slot_try_charge(slot, bytes), RATION_OK);
    rn_ask_can_spill(rn_slot_of(slot), bytes);
    return query;
}

/* ------------------------------------------------------------------------------------- complete */

START_TEST(test_settle_spill__own_limit)
{
    support_skip_hard("everything spills, asked or not");
    rn_test_world world;
    open_world(&world, 64 * 1024 * KIB, 10000);
    rn_plan *plan = build(&world, "hoard", 100000, 64);
    run self = {.world = &world, .plan = plan, .options.limit_bytes = 512 * KIB};
    open_run(&self);
    (void)live(&self);
    ck_assert_int_eq(self.status, RATION_OK);
    ck_assert_int_eq(self.rows, 100000);
    ck_assert_int_gt(spills, 6);
    ck_assert_int_lt(spills, 100); /* not once per batch */
    rn_plan_close(plan);
    rn_test_close(&world);
}
END_TEST

/* What all of them want is many times the limit; each gets through, and nothing is above it. */
START_TEST(test_settle_spill__many_under_one_limit)
{
    enum { RUNS = 6 };
    static run runs[RUNS];
    rn_test_world world;
    open_world(&world, 4096 * KIB, 600000);
    rn_plan *plan = build(&world, "hoard", 100000, 64);
    for (int i = 0; i < RUNS; i++) {
        runs[i] = (run){.world = &world, .plan = plan, .claim = MINIMUM};
        open_run(&runs[i]);
    }
    for (int i = 0; i < RUNS; i++) {
        start(&runs[i], live);
    }
    for (int i = 0; i < RUNS; i++) {
        join(&runs[i]);
        ck_assert_msg(runs[i].status == RATION_OK, "%s", ration_status_name(runs[i].status));
        ck_assert_int_eq(runs[i].rows, 100000);
        ck_assert(!runs[i].refused);
    }
    ck_assert_int_gt(spills, 0);
    ck_assert_int_le(root_of(&world).peak_bytes, 4096 * KIB);
    ck_assert_int_eq(root_of(&world).refusals, 0);
    rn_plan_close(plan);
    rn_test_close(&world);
}
END_TEST

/* ---------------------------------------------------------------------------------------- a hog */

/* Reads a few batches, takes what else there is, and goes on when it has been told to end. */
static void *hog_all(void *argument)
{
    run *self = argument;
    self->status = rn_execution_open(self->query, self->plan, false, &self->execution);
    ck_assert_int_eq(self->status, RATION_OK);
    rn_operator *hog = &self->execution->operators[self->plan->root->number];
    const hoard_state *state = hog->state;
    const rn_batch *input;
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(rn_next(hog, hog->inputs[0], &input), RATION_OK);
        ck_assert_ptr_nonnull(ration_context_allocate(state->rows, count_bytes(hog, input)));
    }
    int64_t rest;
    rn_execution_publish(self->execution);
    ck_assert_int_eq(
        ration_slot_try_charge_between(self->execution->worker.slot, 0, INT64_MAX / 2, &rest),
        RATION_OK);
    while (ration_query_status(self->query) == RATION_OK) {
        (void)sched_yield();
    }
    self->status = rn_next(hog, hog->inputs[0], &input);
    end(self);
    return NULL;
}

START_TEST(test_settle_spill__hog_goes_for_small_ones)
{
    enum { SMALL = 4 };
    static run small[SMALL];
    rn_test_world world;
    open_world(&world, 4096 * KIB, 600000);
    rn_plan *hogging = build(&world, "hog", 10000000, 64),
            *plan = build(&world, "hoard", 20000, 64);
    run hog = {.world = &world, .plan = hogging, .options.name = "hog"};
    open_run(&hog);
    start(&hog, hog_all);
    while (root_of(&world).charged_bytes < root_of(&world).limit_bytes) {
        (void)sched_yield();
    }
    for (int i = 0; i < SMALL; i++) {
        small[i] = (run){.world = &world, .plan = plan};
        open_run(&small[i]);
        start(&small[i], live);
    }
    join(&hog);
    for (int i = 0; i < SMALL; i++) {
        join(&small[i]);
        ck_assert_msg(small[i].status == RATION_OK, "%s", ration_status_name(small[i].status));
        ck_assert_int_eq(small[i].rows, 20000);
    }
    ck_assert_int_eq(hog.status, RATION_VICTIM);
    ck_assert(hog.refused);
    ck_assert_int_eq(hog.refusal.status, RATION_VICTIM);
    ck_assert_str_eq(hog.refusal.holder, "hog");
    ck_assert_str_eq(hog.refusal.holder_site, hogging->root->site);
    ck_assert_str_ne(hog.refusal.query, "hog");
    ck_assert_str_ne(hog.refusal.site, "");
    ck_assert_int_gt(hog.refusal.asked_bytes, 0);
    ck_assert_int_gt(hog.refusal.charged_bytes + hog.refusal.asked_bytes, hog.refusal.limit_bytes);
    ck_assert_int_le(root_of(&world).peak_bytes, 4096 * KIB);
    rn_plan_close(plan);
    rn_plan_close(hogging);
    rn_test_close(&world);
}
END_TEST

/* Nobody else has anything: the hog itself is refused, completely. */
START_TEST(test_settle_spill__lone_hog_is_refused)
{
    rn_test_world world;
    open_world(&world, 1024 * KIB, 10000);
    rn_plan *plan = build(&world, "hog", 100000, 64);
    run self = {.world = &world, .plan = plan, .options.name = "hog"};
    open_run(&self);
    (void)live(&self);
    ck_assert_int_eq(self.status, RATION_GLOBAL_LIMIT);
    ck_assert(self.refused);
    ck_assert_str_eq(self.refusal.query, "hog");
    ck_assert_str_eq(self.refusal.site, plan->root->site);
    ck_assert_str_eq(self.refusal.holder_site, plan->root->site);
    ck_assert_int_eq(self.refusal.waiting, 0);
    rn_plan_close(plan);
    rn_test_close(&world);
}
END_TEST

/* ------------------------------------------------------------------------------ waits cut short */

typedef enum cut { BY_CANCEL, BY_DEADLINE, BY_TIMEOUT, CUTS } cut;

START_TEST(test_settle_spill__wait_is_cut_short)
{
    static const ration_status wanted[CUTS] = {RATION_CANCELLED, RATION_DEADLINE,
                                               RATION_QUEUE_TIMEOUT};
    rn_test_world world;
    open_world(&world, 1024 * KIB, _i == BY_TIMEOUT ? 20 : 600000);
    rn_plan *plan = build(&world, "hoard", 20000, 64);
    ration_query *silent = open_silent(&world, 1020 * KIB);
    run self = {.world = &world, .plan = plan, .options.name = "waits"};
    self.options.time_ms_max = _i == BY_DEADLINE ? 20 : 0;
    open_run(&self);
    start(&self, begin);
    if (_i == BY_CANCEL) {
        await_waiting(&world, 1);
        ration_query_cancel(self.query);
    }
    join(&self);
    ck_assert_int_eq(root_of(&world).waiting, 0); /* also while it is open */
    ck_assert_int_eq(self.status, wanted[_i]);
    ck_assert_int_eq(ration_query_status(self.query), wanted[_i]);
    end(&self);
    ck_assert_int_eq(self.refused, _i == BY_TIMEOUT);
    if (self.refused) {
        ck_assert_int_eq(self.refusal.status, RATION_QUEUE_TIMEOUT);
        ck_assert_str_eq(self.refusal.query, "waits");
        ck_assert_str_eq(self.refusal.holder, "silent");
        ck_assert_str_ne(self.refusal.site, "");
        ck_assert_int_gt(self.refusal.charged_bytes + self.refusal.asked_bytes, 1024 * KIB);
    }
    ration_query_close(silent);
    rn_plan_close(plan);
    rn_test_close(&world);
}
END_TEST

/* The one it waits for closes: it gets through. */
START_TEST(test_settle_spill__wait_ends_when_the_other_closes)
{
    rn_test_world world;
    open_world(&world, 1024 * KIB, 600000);
    rn_plan *plan = build(&world, "hoard", 20000, 64);
    ration_query *silent = open_silent(&world, 1020 * KIB);
    run self = {.world = &world, .plan = plan};
    open_run(&self);
    start(&self, live);
    await_waiting(&world, 1);
    ration_query_close(silent);
    join(&self);
    ck_assert_int_eq(self.status, RATION_OK);
    ck_assert_int_eq(self.rows, 20000);
    rn_plan_close(plan);
    rn_test_close(&world);
}
END_TEST

/* Its spill fails while it has a ticket: it leaves the queue at once, and not when it closes. */
START_TEST(test_settle_spill__failed_spill_leaves_the_queue)
{
    support_skip_hard("everything spills, asked or not");
    rn_test_world world;
    open_world(&world, 1024 * KIB, 600000);
    rn_plan *plan = build(&world, "broken", 100000, 64);
    ration_query *silent = open_silent(&world, 500 * KIB), *other = open_silent(&world, 0);
    run self = {.world = &world, .plan = plan};
    rn_store(&silent->pool->asked_ns, 0); /* inactive: the one to be asked first */
    open_run(&self);
    start(&self, begin);
    await_waiting(&world, 1);
    other->pool->weight = 3;
    rn_slot *slot = other->slots[0];
    ck_assert_int_eq(rn_ask(slot, 600 * KIB, "other").answer, RN_ASK_WAIT); /* needs both to give */
    join(&self);
    ck_assert_int_eq(self.status, RATION_SPILL_IO);
    ck_assert_int_eq(root_of(&world).waiting, 1);
    ck_assert_ptr_eq(rn_queue_first(world.governor->ledger), slot);
    end(&self);
    ration_query_close(other);
    ration_query_close(silent);
    rn_plan_close(plan);
    rn_test_close(&world);
}
END_TEST

/* It was asked, has ended, and its query stays open: nobody waits for it any more. */
START_TEST(test_settle_spill__closed_execution_has_answered)
{
    rn_test_world world;
    open_world(&world, 1024 * KIB, 600000);
    rn_plan *plan = build(&world, "hoard", 100, 8);
    ration_query *other = open_silent(&world, 100 * KIB), *asker = open_silent(&world, 0);
    run self = {.world = &world, .plan = plan};
    rn_ask_can_spill(other->slots[0], 0);
    open_run(&self);
    ck_assert_int_eq(rn_execution_open(self.query, plan, false, &self.execution), RATION_OK);
    int64_t room = 924 * KIB - rn_load(&self.query->pool->claim);
    rn_slot *own = self.query->slots[0];
    int64_t rest = 924 * KIB - rn_slot_used(own);
    ck_assert_int_eq(ration_slot_try_charge(&own->hot, rest), RATION_OK);
    rn_store(&self.query->pool->asked_ns, 0); /* inactive: all it has is above its share */
    rn_slot *slot = asker->slots[0];
    ck_assert_int_eq(rn_ask(slot, room, "asker").answer, RN_ASK_WAIT);
    ck_assert_int_eq(rn_ticket_read(slot), RN_TICKET_WAITING);
    rn_execution_close(self.execution);
    self.execution = NULL;
    ck_assert_int_eq(rn_ticket_read(slot), RN_TICKET_AGAIN);
    ck_assert_int_eq(rn_ask(slot, room, "asker").status, RATION_GLOBAL_LIMIT);
    end(&self);
    ration_query_close(asker);
    ration_query_close(other);
    rn_plan_close(plan);
    rn_test_close(&world);
}
END_TEST

/* Not after its first settles only: else it could be made a victim until then. */
START_TEST(test_settle_spill__who_can_spill_is_known_from_the_start)
{
    rn_test_world world;
    open_world(&world, 4096 * KIB, 600000);
    static const struct {
        const char *operator;
        bool spills;
    } cases[] = {{"hoard", true}, {"hog", false}};
    for (size_t i = 0; i < RN_COUNT(cases); i++) {
        rn_plan *plan = build(&world, cases[i].operator, 100, 8);
        run self = {.world = &world, .plan = plan};
        open_run(&self);
        ck_assert_int_eq(rn_execution_open(self.query, plan, false, &self.execution), RATION_OK);
        ck_assert_int_eq(rn_load(&self.query->spillable_bytes) > 0, cases[i].spills);
        end(&self);
        rn_plan_close(plan);
    }
    rn_test_close(&world);
}
END_TEST

/* --------------------------------------------------------------------------------------- faults */

static bool run_with_fault(rn_test_world *world, const rn_plan *plan, bool heap, int64_t n,
                           bool forever)
{
    int64_t heap_bytes = rn_heap_bytes();
    run self = {.world = world, .plan = plan, .options.limit_bytes = 512 * KIB};
    rn_blocks_purge(world->governor->blocks);
    open_run(&self);
    heap ? rn_heap_fail_after(n, forever) : rn_blocks_fail_after(n, forever);
    (void)live(&self);
    heap ? rn_heap_fail_after(0, false) : rn_blocks_fail_after(0, false);
    bool passed = self.status == RATION_OK;
    ck_assert_msg(passed || self.status == RATION_NO_MEMORY, "fault %lld: %s", (long long)n,
                  ration_status_name(self.status));
    ck_assert(!passed || self.rows == 20000);
    ck_assert_int_eq(rn_heap_bytes(), heap_bytes);
    ck_assert_int_eq(root_of(world).charged_bytes, 0);
    return passed;
}

START_TEST(test_settle_spill__faults)
{
    rn_test_world world;
    open_world(&world, 64 * 1024 * KIB, 10000);
    rn_plan *plan = build(&world, "hoard", 20000, 64);
    for (int kind = 0; kind < 4; kind++) {
        int64_t n = 1;
        while (!run_with_fault(&world, plan, kind < 2, n, kind % 2 == 1)) {
            n += 1;
        }
        ck_assert_int_gt(n, 1);
    }
    ck_assert_int_gt(spills, 0);
    rn_plan_close(plan);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *tests[] = {
        test_settle_spill__own_limit,
        test_settle_spill__many_under_one_limit,
        test_settle_spill__hog_goes_for_small_ones,
        test_settle_spill__lone_hog_is_refused,
        test_settle_spill__wait_ends_when_the_other_closes,
        test_settle_spill__failed_spill_leaves_the_queue,
        test_settle_spill__closed_execution_has_answered,
        test_settle_spill__who_can_spill_is_known_from_the_start,
        test_settle_spill__faults,
    };
    Suite *suite = suite_create("executor/settle spill");
    TCase *runs = tcase_create("runs");
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_test(runs, tests[i]);
    }
    tcase_add_loop_test(runs, test_settle_spill__wait_is_cut_short, 0, CUTS);
    tcase_set_timeout(runs, 60);
    suite_add_tcase(suite, runs);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans of a library: random ones over a small random graph, whose rows the reference says, and
 * ones made here that hold many rows, whose rows are those they gave alone without a limit; and
 * an operator that holds what it cannot give.
 *
 * Rows of the latter are compared by digest: the sum of the rows' hashes, or a chain of them where
 * rows are ordered. Lists are hashed as multisets; there are no doubles. */
#include "base/hash.h"
#include "iterators/registry.h"
#include "tests/sim/sim.h"
#include "tests/support.h"

#define RANDOM_PLANS 24
#define MADE_PLANS 30
#define HOGS 4
#define YAML_BYTES_MAX ((size_t)64 * 1024)

static struct {
    rn_arena arena;
    uint64_t random;
    char directory[256];
    engine with; /* holds the graph */
    sim_plan plans[RANDOM_PLANS + MADE_PLANS + HOGS];
    uint32_t count;
} library;

/* ------------------------------------------------------------------------------------- the hog */

typedef struct hog_state {
    ration_context *rows;
    int64_t held;
    bool ended, told;
} hog_state;

static ration_status hog_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    RN_TRY(rn_planner_int64(planner, yaml, 1, 4096, node->args));
    RN_TRY(rn_planner_output(planner, node, NULL, 1));
    return rn_planner_add(planner, node, yaml, "held", rn_type_of(RN_INT64));
}

static void hog_explain(const rn_plan_node *node, rn_text *text)
{
    (void)node, (void)text;
}

static ration_status hog_open(rn_operator *op)
{
    hog_state *state = op->state;
    return ration_context_create(op->context, op->worker->slot, RATION_CONTEXT_BUMP, "rows",
                                 &state->rows);
}

static size_t count_hogged(const rn_operator *op, const rn_batch *input)
{
    return (size_t) * (const int64_t *)op->node->args * input->rows;
}

static int64_t hog_bound(const rn_operator *op, const rn_batch *input)
{
    const hog_state *state = op->state;
    return rn_context_bound_one(state->rows, count_hogged(op, input));
}

static ration_status hog_next(rn_operator *op, const rn_batch **out_batch)
{
    hog_state *state = op->state;
    while (!state->ended) {
        const rn_batch *input;
        RN_TRY(rn_next(op, op->inputs[0], &input));
        state->ended = input->rows == 0;
        if (!state->ended &&
            ration_context_allocate(state->rows, count_hogged(op, input)) == NULL) {
            return ration_context_status(state->rows);
        }
        state->held += input->rows;
    }
    op->batch.rows = state->told ? 0 : 1;
    op->batch.columns[0] = (rn_column){.type = rn_type_of(RN_INT64), .data = &state->held};
    state->told = true;
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class sim_hog_class = {
    .name = "hog",
    .sentence = "holds what it reads and gives nothing",
    .args_bytes = sizeof(int64_t),
    .state_bytes = sizeof(hog_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = hog_plan,
    .explain = hog_explain,
    .open = hog_open,
    .bound = hog_bound,
    .next = hog_next,
};

/* -------------------------------------------------------------------------------------- answers */

static uint64_t hash_value(rn_type type, const void *value)
{
    if (type.kind != RN_LIST) {
        return rn_value_hash(type, RN_HASH_SEED, value);
    }
    const rn_list *list = value;
    rn_type element = rn_type_of((rn_kind)type.element);
    uint64_t sum = list->length;
    for (const rn_list_segment *at = list->first; at != NULL; at = at->next) {
        const char *values = rn_list_values(at);
        for (uint32_t i = 0; i < at->count; i++) {
            sum += rn_hash_word(
                1, rn_value_hash(element, RN_HASH_SEED, values + i * rn_kind_bytes(element.kind)));
        }
    }
    return sum;
}

static uint64_t hash_row(const rn_batch *batch, uint32_t row)
{
    uint64_t hash = 7;
    for (uint32_t c = 0; c < batch->column_count; c++) {
        const rn_column *column = &batch->columns[c];
        bool valid = rn_column_valid(column, row);
        hash = rn_hash_word(hash + c, valid ? hash_value(column->type, rn_column_at(column, row))
                                            : UINT64_MAX);
    }
    return hash;
}

void sim_answer_add(const sim_plan *plan, sim_answer *answer, const rn_batch *batch)
{
    answer->rows += batch->rows;
    if (plan->model != NULL) {
        answer->table.width = plan->expected.width;
        engine_take_batch(&answer->arena, plan->model, batch, &answer->table);
        return;
    }
    for (uint32_t row = 0; row < batch->rows; row++) {
        uint64_t hash = hash_row(batch, row);
        answer->digest = plan->ordered ? rn_hash_word(answer->digest, hash) : answer->digest + hash;
    }
}

bool sim_answer_is_right(const sim_plan *plan, sim_answer *answer, rn_text *why)
{
    if (plan->model != NULL) {
        answer->table.width = plan->expected.width;
        return naive_table_same(&answer->arena, &plan->expected, &answer->table, plan->ordered,
                                why);
    }
    rn_text_format(why, "%lld rows, digest %llx; alone it gave %lld rows, digest %llx",
                   (long long)answer->rows, (unsigned long long)answer->digest,
                   (long long)plan->rows, (unsigned long long)plan->digest);
    return answer->rows == plan->rows && answer->digest == plan->digest;
}

void sim_answer_free(sim_answer *answer)
{
    rn_arena_free(&answer->arena);
}

/* --------------------------------------------------------------------------------- making plans */

static uint64_t below(uint64_t bound)
{
    return rn_random_below(&library.random, bound);
}

static rn_plan *build(const char *yaml, size_t length, const rn_graph *graph)
{
    static const rn_operator_class *classes[64];
    size_t count = 0;
    for (const rn_operator_class *const *at = rn_operator_classes(); *at != NULL; at++) {
        classes[count++] = *at;
    }
    classes[count] = &sim_hog_class;
    classes[count + 1] = NULL;
    rn_plan_file file;
    rn_plan *plan;
    ration_error error;
    support_ok(rn_plan_file_parse("plan.yaml", yaml, length, &file, &error), &error);
    ration_status status = rn_plan_build(&file, NULL, NULL, graph, classes, &plan, &error);
    ck_assert_msg(status == RATION_OK, "%s\n%.*s", support_error(&error), (int)length, yaml);
    rn_plan_file_close(&file);
    return plan;
}

/* Has it an operator that holds what it reads, and cannot give it? */
static bool hogs(const rn_plan *plan)
{
    bool found = false;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const rn_operator_class *class_ = plan->nodes[i]->class_;
        found = found || (class_->bound != NULL && class_->spill == NULL);
    }
    return found;
}

static void add_plan(sim_plan plan, const char *yaml, size_t length)
{
    plan.yaml = rn_arena_copy(&library.arena, yaml, length);
    ck_assert_ptr_nonnull(plan.yaml);
    plan.hogs = hogs(plan.plan);
    library.plans[library.count++] = plan;
}

static void add_random(void)
{
    const naive_plan *made;
    naive_evaluation evaluation;
    naive_table expected;
    uint32_t steps;
    do {
        made = random_plan(&library.arena, library.with.model, rn_random(&library.random));
        steps = made->main->count;
        evaluation = (naive_evaluation){.graph = made->graph, .arena = &library.arena};
        expected = naive_run(&evaluation, made->main, steps);
    } while (evaluation.outcome.too_large || evaluation.outcome.undefined);
    static char yaml[YAML_BYTES_MAX];
    rn_text text = rn_text_over(yaml, sizeof yaml);
    naive_plan_put(&text, made, steps);
    naive_operator last = made->main->steps[steps - 1].kind;
    add_plan(
        (sim_plan){
            .plan = build(yaml, text.length, library.with.graph),
            .ordered =
                last == STEP_SORT || last == STEP_TOPK || last == STEP_LIMIT || last == STEP_SKIP,
            .lists = true,
            .model = library.with.model,
            .expected = expected,
            .fails = evaluation.outcome.failed,
            .lazy = made->lazy,
        },
        yaml, text.length);
}

/* Many rows: `keys` different values of `k`, strings of `width` bytes. */
static void put_rows(rn_text *text, uint64_t rows, uint64_t keys, uint64_t width, uint64_t seed)
{
    rn_text_format(text,
                   "range: { rows: %llu, columns: { i: sequence, k: { random: int64, min: 0, max: "
                   "%llu, seed: %llu, nulls: 0.02 }, s: { random: string, width: %llu, distinct: "
                   "%llu, seed: %llu } } }",
                   (unsigned long long)rows, (unsigned long long)keys, (unsigned long long)seed,
                   (unsigned long long)width, (unsigned long long)(keys + 1),
                   (unsigned long long)seed + 1);
}

/* What is done with them. */
static const struct {
    const char *steps;
    bool ordered, joins, lists;
} shapes[] = {
    {"- sort: [k desc, s, i]\n", true, false, false},
    {"- sort: [s, i desc]\n", true, false, false},
    {"- aggregate: { by: [k], compute: { n: count(), t: \"sum(i)\", m: \"min(s)\" } }\n", false,
     false, false},
    {"- aggregate: { by: [k, s], compute: { n: count(), d: \"count(distinct i)\" } }\n", false,
     false, false},
    {"- aggregate: { by: [k], compute: { l: \"collect(i)\" } }\n", false, false, true},
    {"- distinct: [k, s]\n", false, false, false},
    {"- distinct: all\n- sort: [i]\n", true, false, false},
    {"- collect: all\n", false, false, false},
    {"- collect: all\n- sort: [k, i]\n- limit: 50\n", true, false, false},
    {"- topk: { rows: 300, by: [s desc, i] }\n", true, false, false},
    {"- aggregate: { by: [s], compute: { l: \"collect(k)\" } }\n- unwind: { list: l, as: x }\n- "
     "aggregate: { by: [x], compute: { n: count() } }\n",
     false, false, true},
    {"- join: { with: other, on: { k: o } }\n- aggregate: { by: [p], compute: { n: count(), t: "
     "\"sum(i)\" } }\n",
     false, true, false},
    {"- join: { with: other, on: { k: o }, type: left }\n- aggregate: { by: [p], compute: { n: "
     "count() } }\n- sort: [p]\n",
     true, true, false},
    {"- join: { with: other, on: { i: q }, type: semi }\n- sort: [i]\n", true, true, false},
    {"- join: { with: other, on: { i: q }, type: anti }\n- distinct: [k]\n", false, true, false},
    {"- join: { with: other, on: { i: q } }\n- sort: [t, i]\n", true, true, false},
};

/* What it answers alone, without a limit of its own. */
static void measure(sim_plan *plan)
{
    ration_query *query;
    rn_execution *execution;
    const rn_batch *batch;
    ration_error error;
    sim_answer answer = {0};
    support_ok(ration_query_open(library.with.governor, NULL, &query, &error), &error);
    ck_assert_int_eq(rn_execution_open(query, plan->plan, false, &execution), RATION_OK);
    do {
        ck_assert_int_eq(rn_execution_next(execution, &batch), RATION_OK);
        sim_answer_add(plan, &answer, batch);
    } while (batch->rows > 0);
    rn_execution_close(execution);
    ration_query_close(query);
    plan->rows = answer.rows;
    plan->digest = answer.digest;
    sim_answer_free(&answer);
}

static void add_made(void)
{
    static char yaml[YAML_BYTES_MAX];
    rn_text text = rn_text_over(yaml, sizeof yaml);
    uint64_t shape = below(RN_COUNT(shapes));
    uint64_t rows = 200 + below(below(3) == 0 ? 6000 : 1500);
    uint64_t keys = 1 + below(below(3) == 0 ? 4 : rows);
    uint64_t width = below(4) == 0 ? 100 + below(400) : 4 + below(40);
    rn_text_put(&text, "plans:\n  main:\n    pipeline:\n    - ");
    put_rows(&text, rows, keys, width, 1 + below(1000));
    rn_text_put(&text, "\n");
    for (const char *at = shapes[shape].steps; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        rn_text_format(&text, "    %.*s\n", (int)length, at);
        at += length + 1;
    }
    if (shapes[shape].joins) { /* as many rows as keys, so that the result stays small */
        rn_text_put(&text, "  other:\n    pipeline:\n    - ");
        put_rows(&text, RN_MAX(keys / 2, 3), keys, 4 + below(60), 1 + below(1000));
        rn_text_put(&text, "\n    - project: { q: i, o: k, p: \"k % 50\", t: s }\n");
    }
    rn_text_put(&text, "main: main\n");
    sim_plan made = {.plan = build(yaml, text.length, NULL),
                     .ordered = shapes[shape].ordered,
                     .lists = shapes[shape].lists};
    measure(&made);
    add_plan(made, yaml, text.length);
}

static void add_hog(void)
{
    char yaml[200];
    int length = snprintf(yaml, sizeof yaml,
                          "pipeline:\n- range: { rows: %d, columns: { n: sequence } }\n- hog: %d\n",
                          (int)(500 + below(8000)), (int)(16 + below(500)));
    sim_plan made = {.plan = build(yaml, (size_t)length, NULL)};
    measure(&made);
    add_plan(made, yaml, (size_t)length);
}

/* ------------------------------------------------------------------------------------ a library */

void sim_library_open(uint64_t number)
{
    memset(&library, 0, sizeof library);
    library.random = number * 7919 + 3;
    char problem[512] = "";
    rn_text text = rn_text_over(problem, sizeof problem);
    random_graph *graph = random_graph_make(&library.arena, &library.random);
    rn_copy_text(library.directory, sizeof library.directory, support_folder());
    random_graph_write(graph, library.directory, &library.random);
    ck_assert_msg(engine_open(&library.with, &library.arena, library.directory, graph, 1024, &text),
                  "%s", problem);
    for (int i = 0; i < RANDOM_PLANS; i++) {
        add_random();
    }
    for (int i = 0; i < MADE_PLANS; i++) {
        add_made();
    }
    for (int i = 0; i < HOGS; i++) {
        add_hog();
    }
}

uint32_t sim_library_count(void)
{
    return library.count;
}

const sim_plan *sim_library_plan(uint32_t index)
{
    return &library.plans[index];
}

void sim_library_close(void)
{
    char problem[512] = "";
    rn_text text = rn_text_over(problem, sizeof problem);
    for (uint32_t i = 0; i < library.count; i++) {
        rn_plan_close(library.plans[i].plan);
    }
    ck_assert_msg(engine_close(&library.with, &text), "%s", problem);
    support_remove(library.directory);
    rn_arena_free(&library.arena);
}

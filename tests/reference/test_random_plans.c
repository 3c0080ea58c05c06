/* SPDX-License-Identifier: Apache-2.0
 *
 * Random plans over small random graphs give the rows that a naive evaluator gives (nested loops
 * over boxed values, nothing shared with the engine), or the same error; and under a random limit
 * the same rows or a refusal, with nothing left.
 *
 * RATION_SEED replays: the graph that failed comes first. RATION_PLANS: how many plans are compared
 * (2000). On a mismatch the shortest beginning of the plan that still differs is printed, with the
 * graph's files and both results. */
#include "tests/reference/engine.h"
#include "tests/support.h"

#include <dirent.h>
#include <time.h>

#include "base/hash.h"

#define PLANS_PER_GRAPH 20
#define YAML_BYTES_MAX ((size_t)64 * 1024)
#define ROWS_SHOWN 40

typedef enum verdict { SAME, DIFFERENT, PASSED_OVER } verdict;

typedef struct statistics {
    uint64_t plans, passed_over, with_rows, errors;
    uint64_t steps[STEPS];
} statistics;

typedef struct comparison {
    engine *with;
    rn_arena *arena;
    const naive_plan *plan;
    uint32_t steps;
    int64_t limit_bytes; /* of the second run */
    naive_outcome outcome;
    naive_table expected;
    engine_answer answer;
    char *yaml;
    size_t length;
    char why[2000];
} comparison;

static bool orders(naive_operator kind)
{
    return kind == STEP_SORT || kind == STEP_TOPK || kind == STEP_LIMIT || kind == STEP_SKIP;
}

/* Is what the engine answered what the reference says? With its minimum a plan
 * is never refused for memory. */
static bool agrees(comparison *c, bool limited)
{
    rn_text why = rn_text_over(c->why, sizeof c->why);
    const engine_answer *answer = &c->answer;
    rn_text_put(&why, limited ? "under a limit: " : "");
    if (!answer->built || !answer->sound) {
        rn_text_format(&why, "%s: %s", answer->built ? "not sound" : "not accepted", answer->text);
        return false;
    }
    if (c->outcome.failed) {
        rn_text_format(&why, "expected an error (%s), got %s", c->outcome.why,
                       ration_status_name(answer->status));
        return answer->status == RATION_EVALUATION ||
               (answer->status == RATION_OK && c->plan->lazy);
    }
    if (answer->status != RATION_OK) {
        rn_text_format(&why, "%s: %s", ration_status_name(answer->status), answer->text);
        return false;
    }
    bool ordered = orders(c->plan->main->steps[c->steps - 1].kind);
    return naive_table_same(c->arena, &c->expected, &answer->table, ordered, &why);
}

static verdict compare_plan(comparison *c, statistics *count)
{
    naive_evaluation evaluation = {.graph = c->plan->graph, .arena = c->arena};
    c->expected = naive_run(&evaluation, c->plan->main, c->steps);
    c->outcome = evaluation.outcome;
    if (c->outcome.too_large || c->outcome.undefined) {
        return PASSED_OVER;
    }
    c->yaml = naive_allocate(c->arena, YAML_BYTES_MAX);
    rn_text text = rn_text_over(c->yaml, YAML_BYTES_MAX);
    naive_plan_put(&text, c->plan, c->steps);
    c->length = text.length;
    ck_assert_uint_lt(c->length, YAML_BYTES_MAX);
    const naive_schema *schema = &c->plan->main->steps[c->steps - 1].output;
    c->answer = engine_run(c->with, c->arena, c->yaml, c->length, schema, 0);
    if (!agrees(c, false)) {
        return DIFFERENT;
    }
    count->errors += c->outcome.failed;
    count->with_rows += c->expected.count > 0;
    c->answer = engine_run(c->with, c->arena, c->yaml, c->length, schema, c->limit_bytes);
    return agrees(c, true) ? SAME : DIFFERENT;
}

/* ---- what is shown of a mismatch ---- */

static void print_file(const char *directory, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    int byte;
    printf("--- %s\n", name);
    while (file != NULL && (byte = fgetc(file)) != EOF) {
        putchar(byte);
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void print_graph(const char *directory)
{
    DIR *listing = opendir(directory);
    struct dirent *entry;
    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        if (entry->d_name[0] != '.') {
            print_file(directory, entry->d_name);
        }
    }
    if (listing != NULL) {
        closedir(listing);
    }
}

static void print_table(const char *title, const naive_table *table)
{
    static char bytes[65536];
    printf("%s: %zu rows\n", title, table->count);
    for (size_t r = 0; r < table->count && r < ROWS_SHOWN; r++) {
        rn_text text = rn_text_over(bytes, sizeof bytes);
        naive_put_row(&text, table->rows[r].values, table->width);
        printf("  %s\n", bytes);
    }
}

/* The shortest beginning of the main pipeline that differs; rows cut without an order are no
 * beginning. */
static void shorten(comparison *c, verdict (*compare)(comparison *, statistics *))
{
    statistics ignored = {0};
    uint32_t steps = c->steps;
    const naive_step *all = c->plan->main->steps;
    for (c->steps = 1; c->steps < steps; c->steps++) {
        naive_operator last = all[c->steps - 1].kind;
        bool loose = (last == STEP_LIMIT || last == STEP_SKIP) && !orders(all[c->steps - 2].kind);
        if (!loose && compare(c, &ignored) == DIFFERENT) {
            return;
        }
    }
    compare(c, &ignored);
}

static void report(comparison *c, const char *directory, uint64_t seed)
{
    shorten(c, compare_plan);
    print_graph(directory);
    printf("--- plan\n%s", c->yaml);
    print_table("expected", &c->expected);
    print_table("engine", &c->answer.table);
    printf("limit of the second run: %lld bytes\n", (long long)c->limit_bytes);
    fflush(stdout);
    ck_abort_msg("%s\nreplay: RATION_SEED=%llu", c->why, (unsigned long long)seed);
}

/* ---- the run ---- */

static void compare_plans(engine *with, const char *directory, uint64_t seed, uint64_t *random,
                          statistics *count)
{
    for (int p = 0; p < PLANS_PER_GRAPH; p++) {
        rn_arena arena = {0};
        naive_plan *plan = random_plan(&arena, with->model, rn_random(random));
        comparison c = {.with = with, .arena = &arena, .plan = plan, .steps = plan->main->count};
        uint64_t top = (uint64_t)1 << (12 + rn_random_below(random, 12));
        c.limit_bytes = (int64_t)(1 + rn_random_below(random, top));
        verdict found = compare_plan(&c, count);
        if (found == DIFFERENT) {
            report(&c, directory, seed);
        }
        count->plans += found == SAME;
        count->passed_over += found == PASSED_OVER;
        for (uint32_t s = 0; found == SAME && s < plan->main->count; s++) {
            count->steps[plan->main->steps[s].kind]++;
        }
        rn_arena_free(&arena);
    }
}

static void compare_graph(uint64_t seed, statistics *count)
{
    static const int64_t batch_rows[] = {1, 2, 3, 7, 64, 65, 1024};
    uint64_t random = seed;
    rn_arena arena = {0};
    char problem[512] = "";
    rn_text text = rn_text_over(problem, sizeof problem);
    random_graph *graph = random_graph_make(&arena, &random);
    const char *directory = support_folder();
    random_graph_write(graph, directory, &random);
    engine with;
    if (!engine_open(&with, &arena, directory, graph,
                     batch_rows[rn_random_below(&random, RN_COUNT(batch_rows))], &text)) {
        print_graph(directory);
        fflush(stdout);
        ck_abort_msg("the graph: %s\nreplay: RATION_SEED=%llu", problem, (unsigned long long)seed);
    }
    compare_plans(&with, directory, seed, &random, count);
    ck_assert_msg(engine_close(&with, &text), "%s\nreplay: RATION_SEED=%llu", problem,
                  (unsigned long long)seed);
    support_remove(directory);
    rn_arena_free(&arena);
}

START_TEST(test_random_plans__agree_with_naive_evaluator)
{
    const char *given = getenv("RATION_SEED"), *wanted_text = getenv("RATION_PLANS");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000;
    uint64_t wanted = wanted_text != NULL ? strtoull(wanted_text, NULL, 10) : 5000;
    statistics count = {0};
    int64_t heap_bytes = rn_heap_bytes();
    printf("seed=%llu replay: RATION_SEED=%llu\n", (unsigned long long)seed,
           (unsigned long long)seed);
    fflush(stdout);
    for (uint64_t graph = 0; count.plans < wanted; graph++) {
        compare_graph(seed + graph, &count);
    }
    printf("%llu plans: %llu with rows, %llu errors; %llu passed over\n",
           (unsigned long long)count.plans, (unsigned long long)count.with_rows,
           (unsigned long long)count.errors, (unsigned long long)count.passed_over);
    ck_assert_int_eq(rn_heap_bytes(), heap_bytes);
    if (wanted >= 2000) { /* else nothing was tried that deserves the name */
        ck_assert_uint_gt(count.with_rows, count.plans / 3);
        ck_assert_uint_gt(count.errors, count.plans / 200);
        for (int s = 0; s < STEPS; s++) {
            ck_assert_msg(count.steps[s] >= 20, "operator %d stood in %llu plans only", s,
                          (unsigned long long)count.steps[s]);
        }
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_random_plans__agree_with_naive_evaluator};
    return support_run("random_plans", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs one plan and prints what it took; the two sides of a comparison are two builds of this
 * program.
 *
 *     plan_clock PLANS.yaml NAME GRAPH [REPEAT]    ->  "NAME rows best_ns load_ns edges"
 *
 * GRAPH "-" = none. The work that is measured lies in measure_plan, so that callgrind can collect
 * inside it alone
 * (--toggle-collect=measure_plan). */
#include <stdio.h>
#include <stdlib.h>

#include "executor/execution.h"
#include "iterators/registry.h"

static void require(ration_status status, const ration_error *error)
{
    char text[1200];
    if (status == RATION_OK) {
        return;
    }
    (void)ration_error_format(error, text, sizeof text);
    fprintf(stderr, "plan_clock: %s: %s\n", ration_status_name(status), text);
    exit(1);
}

/* Rows produced, or -1. */
__attribute__((noinline)) int64_t measure_plan(ration_query *query, const rn_plan *plan);

int64_t measure_plan(ration_query *query, const rn_plan *plan)
{
    rn_execution *execution;
    if (rn_execution_open(query, plan, false, &execution) != RATION_OK) {
        return -1;
    }
    int64_t rows = 0;
    const rn_batch *batch;
    ration_status status;
    do {
        status = rn_execution_next(execution, &batch);
        rows += status == RATION_OK ? batch->rows : 0;
    } while (status == RATION_OK && batch->rows > 0);
    rn_execution_close(execution);
    return status == RATION_OK ? rows : -1;
}

static void run(ration_governor *governor, const rn_plan *plan, int repeat, int64_t load_ns,
                const rn_graph *graph)
{
    ration_error error;
    int64_t best_ns = INT64_MAX, rows = 0;
    for (int i = 0; i < repeat; i++) {
        ration_query *query;
        require(ration_query_open(governor, NULL, &query, &error), &error);
        int64_t start_ns = rn_clock_ns();
        rows = measure_plan(query, plan);
        best_ns = RN_MIN(best_ns, rn_clock_ns() - start_ns);
        if (rows < 0) {
            fprintf(stderr, "plan_clock: %s\n", ration_status_sentence(ration_query_status(query)));
            exit(1);
        }
        ration_query_close(query);
    }
    printf("%s %lld %lld %lld %llu\n", plan->name, (long long)rows, (long long)best_ns,
           (long long)load_ns,
           graph == NULL ? 0ULL : (unsigned long long)rn_graph_edge_count(graph));
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: plan_clock PLANS.yaml NAME GRAPH [REPEAT]\n");
        return 2;
    }
    ration_error error = {.status = RATION_OK};
    ration_limits limits;
    ration_limits_default(&limits);
    ration_governor *governor;
    rn_plan_file file;
    rn_plan *plan;
    rn_slot *slot;
    rn_graph *graph = NULL;
    require(ration_governor_open(&limits, &governor, &error), &error);
    require(rn_slot_open(ration_governor_data(governor), NULL, &slot), &error);
    int64_t start_ns = rn_clock_ns();
    if (strcmp(argv[3], "-") != 0) {
        rn_graph_options options = {.slot = &slot->hot};
        require(rn_graph_load(argv[3], &options, &graph, &error), &error);
    }
    int64_t load_ns = rn_clock_ns() - start_ns;
    rn_parameters none = {0, NULL};
    require(rn_plan_file_open(argv[1], &file, &error), &error);
    require(rn_plan_build(&file, argv[2], &none, graph, rn_operator_classes(), &plan, &error),
            &error);
    run(governor, plan, argc > 4 ? atoi(argv[4]) : 1, load_ns, graph);
    rn_plan_close(plan);
    rn_plan_file_close(&file);
    if (graph != NULL) {
        rn_graph_close(graph);
    }
    rn_slot_close(slot);
    ration_governor_close(governor);
    return 0;
}

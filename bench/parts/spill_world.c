/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run happens in: governor, graph, plan.
 *
 * Order: a warm-up runs every plan of spill.yaml over one row under a governor of its own, then the
 * resident set is read: that is the start. Then governor, graph, plan. The graph is charged to
 * `data`, so the root's limit is what the graph took and what the shape may hold; loading takes
 * more than the graph for a while, so the limit is set, and the peak begun anew, when it is loaded.
 */
#include "bench/spill.h"

#include <unistd.h>

#include "executor/execution.h"
#include "iterators/registry.h"

#define GROUP_SPARE_BYTES (64 * SPILL_MIB)

static _Noreturn void stop(const char *what, ration_status status, const ration_error *error)
{
    char text[1200];
    (void)ration_error_format(error, text, sizeof text);
    fprintf(stderr, "spill: %s: %s: %s\n", what, ration_status_name(status), text);
    exit(2);
}

static void must(const char *what, ration_status status, const ration_error *error)
{
    if (status != RATION_OK) {
        stop(what, status, error);
    }
}

static void open_plan(spill_world *world, const char *name, int64_t rows, int64_t groups)
{
    ration_error error = {.status = RATION_OK};
    rn_parameter values[2] = {{.name = "rows"}, {.name = "groups"}};
    for (uint32_t i = 0; i < 2; i++) {
        values[i].value.type = rn_type_of(RN_INT64);
        values[i].value.as.integer = i == 0 ? rows : groups;
    }
    rn_parameters given = {2, values};
    must(name,
         rn_plan_build(&world->file, name, &given, world->graph, rn_operator_classes(),
                       &world->plan, &error),
         &error);
}

static void open_governor(spill_world *world, int64_t limit_bytes, const char *graph)
{
    ration_error error = {.status = RATION_OK};
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = limit_bytes;
    (void)snprintf(limits.spill_directory, sizeof limits.spill_directory, "%s",
                   world->task->directory);
    must("governor", ration_governor_open(&limits, &world->governor, &error), &error);
    if (graph != NULL) {
        must("slot", rn_slot_open(ration_governor_data(world->governor), NULL, &world->data_slot),
             &error);
        rn_graph_options options = {.slot = &world->data_slot->hot};
        must("graph", rn_graph_load(graph, &options, &world->graph, &error), &error);
    }
}

static void close_governor(spill_world *world)
{
    if (world->graph != NULL) {
        rn_graph_close(world->graph);
        world->graph = NULL;
    }
    if (world->data_slot != NULL) {
        rn_slot_close(world->data_slot);
        world->data_slot = NULL;
    }
    ration_governor_close(world->governor);
}

ration_query *spill_query_open(spill_world *world)
{
    ration_error error = {.status = RATION_OK};
    ration_query *query;
    must("query", ration_query_open(world->governor, NULL, &query, &error), &error);
    return query;
}

/* Writes one word into a file of the system; false when it does not take it. */
static bool tell(const char *folder, const char *name, const char *word)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    bool told = fputs(word, file) != EOF;
    return fclose(file) == 0 && told;
}

/* Every operator of every plan has worked on one row. */
static void warm_up(spill_world *world)
{
    char graph[600];
    (void)snprintf(graph, sizeof graph, "%s/one-edge.txt", world->task->directory);
    if (!tell(world->task->directory, "one-edge.txt", "800 800\n")) {
        perror(graph);
        exit(2);
    }
    open_governor(world, SPILL_UNLIMITED, graph);
    (void)unlink(graph);
    const char *name;
    for (uint32_t i = 0; (name = rn_plan_file_name(&world->file, i)) != NULL; i++) {
        spill_fold fold;
        spill_fold_begin(&fold, 0);
        open_plan(world, name, 1, 1);
        ration_query *query = spill_query_open(world);
        if (spill_execute(query, world->plan, false, &fold) != RATION_OK || fold.rows < 1) {
            fprintf(stderr, "spill: warm-up of %s: %s\n", name,
                    ration_status_sentence(ration_query_status(query)));
            exit(2);
        }
        ration_query_close(query);
        rn_plan_close(world->plan);
    }
    close_governor(world);
}

/* The control group is as large as it stays once the graph is loaded. */
static void bound_group(const spill_world *world, int64_t limit_bytes)
{
    char word[32];
    (void)snprintf(word, sizeof word, "%lld", (long long)(limit_bytes + GROUP_SPARE_BYTES));
    if (world->task->group != NULL && !tell(world->task->group, "memory.limit_in_bytes", word)) {
        perror(world->task->group);
        exit(2);
    }
}

/* The resident set's high mark starts again from what is resident now. */
static void forget_peak(void)
{
    if (!tell("/proc/self", "clear_refs", "5\n")) {
        fprintf(stderr, "spill: the peak includes loading: no clear_refs here\n");
    }
}

spill_world *spill_world_open(const spill_task *task, int64_t rows, int64_t groups)
{
    static spill_world world;
    ration_error error = {.status = RATION_OK};
    int64_t unused;
    char graph[600];
    world = (spill_world){.task = task};
    if (task->group != NULL && !tell(task->group, "cgroup.procs", "0")) {
        perror(task->group);
        exit(2);
    }
    must(SPILL_PLANS, rn_plan_file_open(SPILL_PLANS, &world.file, &error), &error);
    warm_up(&world);
    rn_probe_self("", &world.start_bytes, &unused);
    (void)snprintf(graph, sizeof graph, "%s/graph-%g.txt", task->directory, task->scale);
    open_governor(&world, task->shape->graph ? SPILL_UNLIMITED : task->limit_bytes,
                  task->shape->graph ? graph : NULL);
    if (task->shape->graph) {
        world.data_bytes = rn_graph_bytes(world.graph);
        must("limit",
             ration_governor_set_limit(world.governor, rn_add(task->limit_bytes, world.data_bytes)),
             &error);
        forget_peak();
    }
    bound_group(&world, rn_add(task->limit_bytes, world.data_bytes));
    open_plan(&world, task->shape->plan, rows, groups);
    return &world;
}

void spill_world_close(spill_world *world)
{
    rn_plan_close(world->plan);
    close_governor(world);
    rn_plan_file_close(&world->file);
}

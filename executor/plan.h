/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans: YAML pipelines (docs/plans.md) -> a typed tree of plan nodes, checked against a graph.
 * Operators read their own arguments through the planner's helpers, so that adding one touches one
 * file.
 *
 *     rn_plan_file_open -> rn_plan_build -> executions -> rn_plan_close
 */
#ifndef RATION_PLAN_H
#define RATION_PLAN_H

#include "base/heap.h"
#include "config/yaml.h"
#include "executor/expression.h"
#include "executor/operator.h"

#define RN_PLAN_NODES_MAX 256u

struct rn_plan_node {
    const rn_operator_class *class_;
    const char *file;
    int line, column;
    uint32_t number;          /* 0.. in the order of --explain (inputs before the node) */
    char site[RN_NAME_BYTES]; /* "sort@12": operator and line, for reports and refusals */
    rn_plan_node **inputs;
    uint32_t input_count;
    rn_schema output;
    void *args; /* class->args_bytes */
};

typedef struct rn_plan {
    rn_arena arena;
    char name[RN_NAME_BYTES];
    const rn_graph *graph; /* not owned; must outlive the plan; may be NULL */
    rn_plan_node *root;
    rn_plan_node **nodes; /* by number */
    uint32_t node_count;
    rn_parameters parameters;
} rn_plan;

typedef struct rn_plan_file {
    rn_yaml_file yaml;
    char path[512];
} rn_plan_file;

/* Reads a plan file (at most 256 KiB, 32 levels). Errors: FILE, PLAN. */
RATION_NODISCARD ration_status rn_plan_file_open(const char *path, rn_plan_file *out_file,
                                                 ration_error *error);
RATION_NODISCARD ration_status rn_plan_file_parse(const char *path, const char *text, size_t length,
                                                  rn_plan_file *out_file, ration_error *error);
void rn_plan_file_close(rn_plan_file *file);
/* The `graph:` key of the file, relative to the file; false when there is none. */
bool rn_plan_file_graph(const rn_plan_file *file, char *path, size_t capacity);
/* Name of plan `index`, or NULL past the end. A file with one `pipeline` has one plan, named
 * "main". */
const char *rn_plan_file_name(const rn_plan_file *file, uint32_t index);

/* Builds plan `name` (NULL: the only one, or `main`). `given` parameters override the file's;
 * unknown ones are errors. `classes` ends with NULL. Errors: PLAN with file:line:column naming
 * operator and column, NO_MEMORY. */
RATION_NODISCARD ration_status rn_plan_build(const rn_plan_file *file, const char *name,
                                             const rn_parameters *given, const rn_graph *graph,
                                             const rn_operator_class *const *classes,
                                             rn_plan **out_plan, ration_error *error);
void rn_plan_close(rn_plan *plan);
/* The least bytes with which one worker can run the plan to its end, for rows up to max_row_bytes:
 * what a query claims when it opens (plan_minimum.c). And the part of it that is the worker's. */
int64_t rn_plan_minimum(const rn_plan *plan, const rn_sizes *sizes);
int64_t rn_plan_worker_bytes(const rn_plan *plan);
/* The minimum of every operator and of the plan, as lines of text. */
void rn_plan_put_minimum(const rn_plan *plan, const rn_sizes *sizes, rn_text *text);
/* Is there an operator that can write out what it holds? */
bool rn_plan_can_spill(const rn_plan *plan);
/* The plan as an indented tree with output columns and types. */
void rn_plan_explain(const rn_plan *plan, rn_text *text);

/* ---- for the operators' `plan` functions; every error is PLAN, with file:line:column and the
 * operator's name ---- */

const rn_graph *rn_planner_graph(const rn_planner *planner);
/* Zeroed, lives as long as the plan; NULL when the system has no memory (then return
 * RATION_NO_MEMORY). */
void *rn_planner_allocate(rn_planner *planner, size_t bytes);
RATION_NODISCARD ration_status rn_planner_error(rn_planner *planner, const rn_yaml *at,
                                                const char *hint, const char *format, ...)
    RN_PRINTF(4, 5);
/* `args` must be a mapping with these keys only ("did you mean"); missing required keys: use
 * rn_planner_require. */
RATION_NODISCARD ration_status rn_planner_check_keys(rn_planner *planner, const rn_yaml *args,
                                                     const char *const *keys, size_t count);
RATION_NODISCARD ration_status rn_planner_require(rn_planner *planner, const rn_yaml *args,
                                                  const char *key, const rn_yaml **out_value);
/* A scalar as text (not null). */
RATION_NODISCARD ration_status rn_planner_text(rn_planner *planner, const rn_yaml *value,
                                               const char **out_text);
RATION_NODISCARD ration_status rn_planner_bool(rn_planner *planner, const rn_yaml *value,
                                               bool *out_value);
/* A whole number in [minimum, maximum], literal or $parameter. */
RATION_NODISCARD ration_status rn_planner_int64(rn_planner *planner, const rn_yaml *value,
                                                int64_t minimum, int64_t maximum,
                                                int64_t *out_value);
/* A literal or $parameter of any type. */
RATION_NODISCARD ration_status rn_planner_value(rn_planner *planner, const rn_yaml *value,
                                                rn_value *out_value);
/* A column of `schema` by name. `kind` < 0 = any, else it must have that kind. */
RATION_NODISCARD ration_status rn_planner_column(rn_planner *planner, const rn_schema *schema,
                                                 const rn_yaml *value, int kind,
                                                 uint32_t *out_column);
/* A sequence of column names (or one). */
RATION_NODISCARD ration_status rn_planner_columns(rn_planner *planner, const rn_schema *schema,
                                                  const rn_yaml *value, uint32_t **out_columns,
                                                  uint32_t *out_count);
/* A typed expression over `schema`. `kind` < 0 = any. */
RATION_NODISCARD ration_status rn_planner_expression(rn_planner *planner, const rn_schema *schema,
                                                     const rn_yaml *value, int kind,
                                                     rn_expression **out_expression);
/* Expression from part of a scalar's text (aggregate arguments): offset and length into
 * value->text. */
RATION_NODISCARD ration_status rn_planner_expression_part(rn_planner *planner,
                                                          const rn_schema *schema,
                                                          const rn_yaml *value, size_t offset,
                                                          size_t length, int kind,
                                                          rn_expression **out_expression);

/* One sort key. */
typedef struct rn_order {
    uint32_t column;
    bool descending;
} rn_order;
/* A sequence of "column", "column asc" or "column desc". Nulls last in both directions. */
RATION_NODISCARD ration_status rn_planner_order(rn_planner *planner, const rn_schema *schema,
                                                const rn_yaml *value, rn_order **out_order,
                                                uint32_t *out_count);

/* "n desc, name": for explain. */
void rn_order_put(const rn_order *order, uint32_t count, const rn_schema *schema, rn_text *text);

typedef enum rn_direction { RN_OUT, RN_IN, RN_BOTH } rn_direction;
/* The keys `edge` (a name or several) and `direction` (out, in, both; default out) of an operator
 * that follows edges. */
typedef struct rn_edges {
    uint16_t *types;
    uint32_t count;
    rn_direction direction;
} rn_edges;
RATION_NODISCARD ration_status rn_planner_edges(rn_planner *planner, const rn_yaml *args,
                                                rn_edges *out_edges);
/* A label by name. */
RATION_NODISCARD ration_status rn_planner_label(rn_planner *planner, const rn_yaml *value,
                                                uint16_t *out_label);
/* Label of what following `edges` leads to: the one they share, or RN_LABEL_ANY. */
uint16_t rn_edges_target(const rn_graph *graph, const rn_edges *edges);

/* Output schema: start from a copy of an input's (or empty), then add fields. A name used twice is
 * an error at `at`. */
RATION_NODISCARD ration_status rn_planner_output(rn_planner *planner, rn_plan_node *node,
                                                 const rn_schema *copy, uint32_t more);
RATION_NODISCARD ration_status rn_planner_add(rn_planner *planner, rn_plan_node *node,
                                              const rn_yaml *at, const char *name, rn_type type);
/* A sub-plan: the name of a plan of the file, or a sequence of steps. Becomes the node's next
 * input. Cycles are errors. */
RATION_NODISCARD ration_status rn_planner_input(rn_planner *planner, rn_plan_node *node,
                                                const rn_yaml *value);

#endif

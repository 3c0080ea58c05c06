/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of building one plan, shared by plan*.c; operators see it as an opaque rn_planner. */
#ifndef RATION_PLANNER_H
#define RATION_PLANNER_H

#include "executor/plan.h"

/* A named plan that is being built, and who refers to it. */
typedef struct rn_plan_frame {
    const char *name;
    const struct rn_plan_frame *outer;
} rn_plan_frame;

struct rn_planner {
    rn_plan *plan;
    const rn_plan_file *file;
    const char *path; /* of the file, in the plan's arena */
    const rn_operator_class *const *classes;
    const rn_parameters *given;
    bool *given_known; /* by position in given: some plan has a parameter of that name */
    const rn_parameters *parameters; /* of the plan in hand */
    const rn_plan_frame *frame;
    const rn_plan_node *node; /* the step in hand, named in errors; NULL between steps */
    uint32_t started;         /* steps begun */
    ration_error *error;
};

/* A node and how much room its arrays have. */
typedef struct rn_planned_node {
    rn_plan_node node; /* first: operators see only this */
    uint32_t input_capacity, field_capacity;
} rn_planned_node;

ration_status rn_planner_no_memory(rn_planner *planner);
/* PLAN at the key of `at`. */
ration_status rn_planner_error_key(rn_planner *planner, const rn_yaml *at, const char *hint,
                                   const char *format, ...) RN_PRINTF(4, 5);
/* Room for one more input. */
RATION_NODISCARD ration_status rn_planner_add_input(rn_planner *planner, rn_plan_node *node,
                                                    rn_plan_node *input);
/* The pipeline of a named plan of the file, or NULL. */
const rn_yaml *rn_plan_file_find(const rn_plan_file *file, const char *name);
/* Parameters of a plan: the file's, then its own, then the values given. `plan` is a plan of the
 * file. */
RATION_NODISCARD ration_status rn_planner_parameters(rn_planner *planner, const rn_yaml *plan,
                                                     const rn_parameters **out_parameters);

#endif

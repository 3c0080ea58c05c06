/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds a plan: steps become nodes, one after another; the operator reads its own arguments
 * (class->plan) and may ask for sub-plans, which are built on the spot. A plan named twice is built
 * twice: plans are trees.
 *
 *     rn_plan_build -> build_named -> build_steps -> build_step -> class->plan
 *                           ^---------- rn_planner_input <------------/
 *     rn_plan_explain; rn_plan_close
 *
 * Invariants: (1) nodes are numbered when they are complete, so inputs have lower numbers; (2) a
 * name on the chain of frames is not built again: plans that refer to each other in a circle end in
 * an error; (3) at most RN_PLAN_NODES_MAX steps are begun, so plans that double at every level end
 * as well.
 */
#include <stdarg.h>

#include "executor/expression_tree.h"
#include "executor/planner.h"

/* ---- errors ---- */

static ration_status put_error(rn_planner *planner, int line, int column, const char *hint,
                               const char *format, va_list arguments)
{
    char message[sizeof((ration_error *)0)->message];
    (void)vsnprintf(message, sizeof message, format, arguments);
    const char *site = planner->node == NULL ? "" : planner->node->class_->name;
    return rn_error_at(planner->error, RATION_PLAN, planner->path, line, column, hint, "%s%s%s",
                       site, planner->node == NULL ? "" : ": ", message);
}

ration_status rn_planner_error(rn_planner *planner, const rn_yaml *at, const char *hint,
                               const char *format, ...)
{
    va_list arguments;
    int line = at != NULL ? at->line : planner->node != NULL ? planner->node->line : 0;
    int column = at != NULL ? at->column : planner->node != NULL ? planner->node->column : 0;
    va_start(arguments, format);
    ration_status status = put_error(planner, line, column, hint, format, arguments);
    va_end(arguments);
    return status;
}

ration_status rn_planner_error_key(rn_planner *planner, const rn_yaml *at, const char *hint,
                                   const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    ration_status status =
        put_error(planner, at->key_line, at->key_column, hint, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- steps ---- */

static ration_status find_class(rn_planner *planner, const rn_yaml *at, const char *name,
                                const rn_operator_class **out_class)
{
    char hint[128] = "";
    const char *best = NULL;
    for (const rn_operator_class *const *class_ = planner->classes; *class_ != NULL; class_++) {
        if (strcmp((*class_)->name, name) == 0) {
            *out_class = *class_;
            return RATION_OK;
        }
        best = rn_nearer(name, best, (*class_)->name);
    }
    return rn_planner_error(planner, at, rn_mean(hint, sizeof hint, best), "unknown operator %.64s",
                            name);
}

/* A step is a mapping with one key: the operator and its arguments. */
static ration_status read_step(rn_planner *planner, const rn_yaml *step,
                               const rn_operator_class **out_class, const rn_yaml **out_args)
{
    if (step->kind == RN_YAML_SCALAR && !rn_yaml_is_null(step)) {
        RN_TRY(find_class(planner, step, step->text, out_class));
        return rn_planner_error(planner, step, "", "%s needs arguments: write `%s: ...`",
                                step->text, step->text);
    }
    if (step->kind != RN_YAML_MAPPING || step->count == 0) {
        return rn_planner_error(planner, step, "", "a step is `operator: arguments`");
    }
    if (step->count > 1) {
        return rn_planner_error_key(planner, step->first->next, "begin each step with `- `",
                                    "a step has one operator, found %s and %s", step->first->key,
                                    step->first->next->key);
    }
    RN_TRY(find_class(planner, step, step->first->key, out_class));
    *out_args = step->first;
    return RATION_OK;
}

static ration_status make_node(rn_planner *planner, const rn_operator_class *class_,
                               const rn_yaml *args, rn_plan_node **out_node)
{
    if (planner->started >= RN_PLAN_NODES_MAX) {
        return rn_planner_error_key(planner, args, "",
                                    "plan has more than %u steps, those of its sub-plans included",
                                    RN_PLAN_NODES_MAX);
    }
    planner->started++;
    rn_planned_node *planned = rn_planner_allocate(planner, sizeof *planned);
    if (planned == NULL) {
        return RATION_NO_MEMORY;
    }
    rn_plan_node *node = &planned->node;
    node->class_ = class_;
    node->file = planner->path;
    node->line = args->key_line;
    node->column = args->key_column;
    (void)snprintf(node->site, sizeof node->site, "%.40s@%d", class_->name, node->line);
    node->args = rn_planner_allocate(planner, class_->args_bytes);
    *out_node = node;
    return node->args == NULL ? RATION_NO_MEMORY : RATION_OK;
}

static ration_status check_first(rn_planner *planner, const rn_plan_node *node,
                                 const rn_plan_node *previous)
{
    if (previous != NULL && node->class_->inputs_max == 0) {
        return rn_planner_error(planner, NULL, "join or union it with the steps before",
                                "can only be the first step");
    }
    if (previous == NULL && node->class_->inputs_min > 0) {
        return rn_planner_error(planner, NULL, "begin with scan or range",
                                "needs a step before it");
    }
    return RATION_OK;
}

static ration_status plan_node(rn_planner *planner, rn_plan_node *node, rn_plan_node *previous,
                               const rn_yaml *args)
{
    const rn_operator_class *class_ = node->class_;
    RN_TRY(check_first(planner, node, previous));
    if (previous != NULL) {
        RN_TRY(rn_planner_add_input(planner, node, previous));
    }
    RN_TRY(class_->plan(planner, node, args));
    if (node->input_count < class_->inputs_min) {
        return rn_planner_error(planner, NULL, "", "needs %u inputs, has %u", class_->inputs_min,
                                node->input_count);
    }
    if (node->output.count == 0) {
        return rn_planner_error(planner, NULL, "", "has no columns");
    }
    return RATION_OK;
}

static ration_status build_step(rn_planner *planner, const rn_yaml *step, rn_plan_node *previous,
                                rn_plan_node **out_node)
{
    const rn_operator_class *class_ = NULL;
    const rn_yaml *args = NULL;
    rn_plan_node *node = NULL;
    const rn_plan_node *outer = planner->node;
    planner->node = NULL;
    RN_TRY(read_step(planner, step, &class_, &args));
    RN_TRY(make_node(planner, class_, args, &node));
    planner->node = node;
    RN_TRY(plan_node(planner, node, previous, args));
    planner->node = outer;
    node->number = planner->plan->node_count++;
    planner->plan->nodes[node->number] = node;
    *out_node = node;
    return RATION_OK;
}

static ration_status build_steps(rn_planner *planner, const rn_yaml *steps, rn_plan_node **out_root)
{
    rn_plan_node *node = NULL;
    if (steps->count == 0) {
        return rn_planner_error(planner, steps, "", "a pipeline needs at least one step");
    }
    for (const rn_yaml *step = steps->first; step != NULL; step = step->next) {
        RN_TRY(build_step(planner, step, node, &node));
    }
    *out_root = node;
    return RATION_OK;
}

/* ---- named plans ---- */

static void put_chain(const rn_plan_frame *frame, const char *from, rn_text *text)
{
    if (strcmp(frame->name, from) != 0) {
        put_chain(frame->outer, from, text);
        rn_text_put(text, " -> ");
    }
    rn_text_put(text, frame->name);
}

static ration_status refuse_circle(rn_planner *planner, const rn_yaml *at, const char *name)
{
    char chain[256];
    rn_text text = rn_text_over(chain, sizeof chain);
    for (const rn_plan_frame *frame = planner->frame; frame != NULL; frame = frame->outer) {
        if (strcmp(frame->name, name) == 0) {
            put_chain(planner->frame, name, &text);
            rn_text_format(&text, " -> %s", name);
            return rn_planner_error(planner, at, "", "plans refer to each other in a circle: %s",
                                    chain);
        }
    }
    return RATION_OK;
}

static ration_status refuse_name(rn_planner *planner, const rn_yaml *at, const char *name)
{
    char hint[256] = "";
    const char *plan;
    const char *best = NULL;
    rn_text text = rn_text_over(hint, sizeof hint);
    for (uint32_t i = 0; (plan = rn_plan_file_name(planner->file, i)) != NULL; i++) {
        best = rn_nearer(name, best, plan);
        rn_text_format(&text, "%s%s", i == 0 ? "plans: " : ", ", plan);
    }
    return rn_planner_error(planner, at, best == NULL ? hint : rn_mean(hint, sizeof hint, best),
                            "no plan %.64s", name);
}

static ration_status build_named(rn_planner *planner, const rn_yaml *at, const char *name,
                                 rn_plan_node **out_root)
{
    const rn_yaml *plan = rn_plan_file_find(planner->file, name);
    if (plan == NULL) {
        return refuse_name(planner, at, name);
    }
    RN_TRY(refuse_circle(planner, at, name));
    const rn_parameters *outer = planner->parameters;
    rn_plan_frame frame = {name, planner->frame};
    RN_TRY(rn_planner_parameters(planner, plan, &planner->parameters));
    planner->frame = &frame;
    RN_TRY(build_steps(planner, rn_yaml_get(plan, "pipeline"), out_root));
    planner->frame = frame.outer;
    if (outer == NULL) {
        planner->plan->parameters = *planner->parameters;
    }
    planner->parameters = outer;
    return RATION_OK;
}

ration_status rn_planner_input(rn_planner *planner, rn_plan_node *node, const rn_yaml *value)
{
    rn_plan_node *input;
    if (node->input_count >= node->class_->inputs_max) {
        return rn_planner_error(planner, value, "", "takes at most %u inputs",
                                node->class_->inputs_max);
    }
    if (value->kind == RN_YAML_SEQUENCE) {
        RN_TRY(build_steps(planner, value, &input));
    } else if (value->kind == RN_YAML_SCALAR && !rn_yaml_is_null(value)) {
        RN_TRY(build_named(planner, value, value->text, &input));
    } else {
        return rn_planner_error(planner, value, "",
                                "expected the name of a plan or a sequence of steps");
    }
    return rn_planner_add_input(planner, node, input);
}

/* ---- build and close ---- */

/* The plan to build when none is named: the file's `main`, the only one, or the one called main. */
static ration_status choose_name(const rn_plan_file *file, rn_planner *planner, const char **name)
{
    const rn_yaml *main_ = rn_yaml_get(file->yaml.root, "main");
    if (*name != NULL) {
        return RATION_OK;
    }
    if (main_ != NULL) {
        *name = main_->text;
    } else if (rn_plan_file_name(file, 1) == NULL) {
        *name = rn_plan_file_name(file, 0);
    } else if (rn_plan_file_find(file, "main") != NULL) {
        *name = "main";
    } else {
        return rn_planner_error(planner, rn_yaml_get(file->yaml.root, "plans"),
                                "name one, or add `main: NAME` to the file",
                                "the file has several plans");
    }
    return RATION_OK;
}

static ration_status check_given(rn_planner *planner)
{
    char hint[128] = "";
    const char *best = NULL;
    const rn_parameters *known = &planner->plan->parameters;
    for (uint32_t i = 0; planner->given != NULL && i < planner->given->count; i++) {
        const char *name = planner->given->values[i].name;
        if (planner->given_known[i]) {
            continue;
        }
        for (uint32_t k = 0; k < known->count; k++) {
            best = rn_nearer(name, best, known->values[k].name);
        }
        return rn_planner_error(planner, NULL, rn_mean(hint, sizeof hint, best),
                                "plan %s has no parameter %s", planner->plan->name, name);
    }
    return RATION_OK;
}

static ration_status build_plan(rn_planner *planner, const char *name)
{
    rn_plan *plan = planner->plan;
    uint32_t given = planner->given == NULL ? 0 : planner->given->count;
    planner->path = rn_arena_copy(&plan->arena, planner->file->path, strlen(planner->file->path));
    planner->given_known = rn_planner_allocate(planner, given * sizeof(bool));
    plan->nodes = rn_planner_allocate(planner, RN_PLAN_NODES_MAX * sizeof(rn_plan_node *));
    if (planner->path == NULL || planner->given_known == NULL || plan->nodes == NULL) {
        return RATION_NO_MEMORY;
    }
    RN_TRY(choose_name(planner->file, planner, &name));
    rn_copy_text(plan->name, sizeof plan->name, name);
    RN_TRY(build_named(planner, NULL, name, &plan->root));
    return check_given(planner);
}

ration_status rn_plan_build(const rn_plan_file *file, const char *name, const rn_parameters *given,
                            const rn_graph *graph, const rn_operator_class *const *classes,
                            rn_plan **out_plan, ration_error *error)
{
    rn_planner planner = {.file = file, .classes = classes, .given = given, .error = error};
    planner.plan = rn_heap_allocate(sizeof *planner.plan);
    if (planner.plan == NULL) {
        return rn_planner_no_memory(&planner);
    }
    planner.plan->graph = graph;
    ration_status status = build_plan(&planner, name);
    if (status != RATION_OK) {
        rn_plan_close(planner.plan);
        return status == RATION_NO_MEMORY ? rn_planner_no_memory(&planner) : status;
    }
    *out_plan = planner.plan;
    return RATION_OK;
}

void rn_plan_close(rn_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    rn_arena_free(&plan->arena);
    rn_heap_free(plan, sizeof *plan);
}

/* ---- explain ---- */

/* Inputs before the node, sub-plans one step to the right. */
static void put_node(const rn_plan_node *node, int indent, rn_text *text)
{
    char type[32];
    for (uint32_t i = 0; i < node->input_count; i++) {
        put_node(node->inputs[i], i == 0 ? indent : indent + 1, text);
    }
    rn_text_format(text, "%3u  %*s%s", node->number, indent * 4, "", node->site);
    if (node->class_->explain != NULL) {
        rn_text_put(text, "  ");
        node->class_->explain(node, text);
    }
    rn_text_put(text, "  ->");
    for (uint32_t i = 0; i < node->output.count; i++) {
        const rn_field *field = &node->output.fields[i];
        rn_text_format(text, "%s %s: %s", i == 0 ? "" : ",", field->name,
                       rn_type_name(field->type, type));
    }
    rn_text_put(text, "\n");
}

void rn_plan_explain(const rn_plan *plan, rn_text *text)
{
    rn_text_format(text, "plan %s\n", plan->name);
    put_node(plan->root, 0, text);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The outside of a plan file: its keys, the names of its plans, the path of its graph, parameters
 * and their defaults. What a pipeline says is read when it is built (plan.c).
 *
 *     rn_plan_file_open | rn_plan_file_parse -> rn_plan_file_name, _graph -> rn_plan_file_close
 *     rn_plan_file_find, rn_planner_parameters, from plan.c
 *
 * Invariant: an open file has either `pipeline` or at least one entry in `plans`, and each plan has
 * a `pipeline` that is a sequence.
 */
#include "executor/expression_tree.h"
#include "executor/planner.h"

static ration_status check_plan(const rn_yaml_file *file, const rn_yaml *plan, ration_error *error)
{
    static const char *const keys[] = {"pipeline", "parameters"};
    const rn_yaml *pipeline;
    size_t length = strlen(plan->key);
    if (length == 0 || length >= RN_NAME_BYTES) {
        return rn_yaml_error_key(file, plan, error, "", "the name of a plan has 1 to %d bytes",
                                 RN_NAME_BYTES - 1);
    }
    if (plan->kind != RN_YAML_MAPPING) {
        return rn_yaml_error(file, plan, error, "write the steps below `pipeline:`",
                             "plan %s is no mapping", plan->key);
    }
    RN_TRY(rn_yaml_check_keys(file, plan, keys, RN_COUNT(keys), error));
    RN_TRY(rn_yaml_require(file, plan, "pipeline", &pipeline, error));
    return rn_yaml_expect(file, pipeline, RN_YAML_SEQUENCE, error);
}

static ration_status check_plans(const rn_yaml_file *file, const rn_yaml *plans,
                                 ration_error *error)
{
    RN_TRY(rn_yaml_expect(file, plans, RN_YAML_MAPPING, error));
    if (plans->count == 0) {
        return rn_yaml_error(file, plans, error, "", "no plans");
    }
    for (const rn_yaml *at = plans->first; at != NULL; at = at->next) {
        RN_TRY(check_plan(file, at, error));
    }
    return RATION_OK;
}

static ration_status check_main(const rn_plan_file *file, const rn_yaml *name, ration_error *error)
{
    const char *text;
    char hint[128] = "";
    const char *best = NULL;
    const char *plan;
    RN_TRY(rn_yaml_string(&file->yaml, name, &text, error));
    for (uint32_t i = 0; (plan = rn_plan_file_name(file, i)) != NULL; i++) {
        if (strcmp(plan, text) == 0) {
            return RATION_OK;
        }
        best = rn_nearer(text, best, plan);
    }
    return rn_yaml_error(&file->yaml, name, error, rn_mean(hint, sizeof hint, best),
                         "no plan %.64s", text);
}

static ration_status check_file(const rn_plan_file *file, ration_error *error)
{
    static const char *const keys[] = {"graph", "parameters", "plans", "pipeline", "main"};
    const rn_yaml_file *yaml = &file->yaml;
    const rn_yaml *root = yaml->root;
    const char *graph = "";
    RN_TRY(rn_yaml_expect(yaml, root, RN_YAML_MAPPING, error));
    RN_TRY(rn_yaml_check_keys(yaml, root, keys, RN_COUNT(keys), error));
    const rn_yaml *plans = rn_yaml_get(root, "plans");
    const rn_yaml *pipeline = rn_yaml_get(root, "pipeline");
    const rn_yaml *name = rn_yaml_get(root, "main");
    if ((plans == NULL) == (pipeline == NULL)) {
        return rn_yaml_error(yaml, root, error, "",
                             plans == NULL ? "neither `plans` nor `pipeline`"
                                           : "both `plans` and `pipeline`");
    }
    if (plans != NULL) {
        RN_TRY(check_plans(yaml, plans, error));
    } else {
        RN_TRY(rn_yaml_expect(yaml, pipeline, RN_YAML_SEQUENCE, error));
    }
    if (name != NULL) {
        RN_TRY(check_main(file, name, error));
    }
    RN_TRY(rn_yaml_string(yaml, rn_yaml_get(root, "graph"), &graph, error));
    if (strlen(graph) + strlen(file->path) >= sizeof file->path) {
        return rn_yaml_error(yaml, rn_yaml_get(root, "graph"), error, "", "path too long");
    }
    return RATION_OK;
}

static ration_status read_file(const char *path, const char *text, size_t length,
                               rn_plan_file *out_file, ration_error *error)
{
    rn_plan_file file;
    memset(&file, 0, sizeof file);
    if (strlen(path) >= sizeof file.path) {
        return rn_error_set(error, RATION_FILE, "", "path of %zu bytes is too long", strlen(path));
    }
    rn_copy_text(file.path, sizeof file.path, path);
    RN_TRY(
        rn_yaml_read(path, text, length, RN_YAML_PLAN_DEPTH_MAX, RATION_PLAN, &file.yaml, error));
    ration_status status = check_file(&file, error);
    if (status != RATION_OK) {
        rn_yaml_free(&file.yaml);
        return status;
    }
    *out_file = file;
    return RATION_OK;
}

ration_status rn_plan_file_open(const char *path, rn_plan_file *out_file, ration_error *error)
{
    return read_file(path, NULL, 0, out_file, error);
}

ration_status rn_plan_file_parse(const char *path, const char *text, size_t length,
                                 rn_plan_file *out_file, ration_error *error)
{
    return read_file(path, text, length, out_file, error);
}

void rn_plan_file_close(rn_plan_file *file)
{
    rn_yaml_free(&file->yaml);
    memset(file, 0, sizeof *file);
}

bool rn_plan_file_graph(const rn_plan_file *file, char *path, size_t capacity)
{
    const rn_yaml *graph = rn_yaml_get(file->yaml.root, "graph");
    if (graph == NULL) {
        return false;
    }
    const char *slash = graph->text[0] == '/' ? NULL : strrchr(file->path, '/');
    int directory = slash == NULL ? 0 : (int)(slash - file->path) + 1;
    (void)snprintf(path, capacity, "%.*s%s", directory, file->path, graph->text);
    return true;
}

const char *rn_plan_file_name(const rn_plan_file *file, uint32_t index)
{
    const rn_yaml *plans = rn_yaml_get(file->yaml.root, "plans");
    if (plans == NULL) {
        return index == 0 ? "main" : NULL;
    }
    const rn_yaml *plan = plans->first;
    while (plan != NULL && index > 0) {
        plan = plan->next;
        index--;
    }
    return plan == NULL ? NULL : plan->key;
}

const rn_yaml *rn_plan_file_find(const rn_plan_file *file, const char *name)
{
    const rn_yaml *plans = rn_yaml_get(file->yaml.root, "plans");
    if (plans == NULL) {
        return strcmp(name, "main") == 0 ? file->yaml.root : NULL;
    }
    return rn_yaml_get(plans, name);
}

/* ---- parameters ---- */

static rn_parameter *find_parameter(rn_parameter *parameters, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(parameters[i].name, name) == 0) {
            return &parameters[i];
        }
    }
    return NULL;
}

static ration_status read_default(rn_planner *planner, const rn_yaml *at, rn_parameter *out)
{
    rn_token token = rn_lex(at->key, strlen(at->key), 0);
    if (token.kind != RN_TOKEN_NAME || token.length != strlen(at->key) ||
        token.length >= RN_NAME_BYTES) {
        return rn_planner_error_key(planner, at, "",
                                    "the name of a parameter is a word of at most %d bytes",
                                    RN_NAME_BYTES - 1);
    }
    if (at->kind != RN_YAML_SCALAR || rn_yaml_is_null(at)) {
        return rn_planner_error(planner, at, "the default gives it its type",
                                "parameter %s needs a literal as default", at->key);
    }
    ration_status status =
        rn_literal_parse(at->text, at->length, at->quoted, &planner->plan->arena, &out->value);
    if (status == RATION_PLAN) {
        return rn_planner_error(planner, at, "text stands in quotes",
                                "parameter %s: %.64s is no literal", at->key, at->text);
    }
    rn_copy_text(out->name, sizeof out->name, at->key);
    return status;
}

/* Adds the defaults of one `parameters:` mapping; a name that is there already gets the new
 * default. */
static ration_status add_defaults(rn_planner *planner, const rn_yaml *mapping,
                                  rn_parameter *parameters, uint32_t *count)
{
    if (mapping == NULL) {
        return RATION_OK;
    }
    RN_TRY(rn_yaml_expect(&planner->file->yaml, mapping, RN_YAML_MAPPING, planner->error));
    for (const rn_yaml *at = mapping->first; at != NULL; at = at->next) {
        rn_parameter parameter;
        memset(&parameter, 0, sizeof parameter);
        RN_TRY(read_default(planner, at, &parameter));
        rn_parameter *old = find_parameter(parameters, *count, parameter.name);
        *(old == NULL ? &parameters[(*count)++] : old) = parameter;
    }
    return RATION_OK;
}

/* The value given for a parameter must have the type of its default. */
static ration_status take_given(rn_planner *planner, const rn_parameter *given,
                                rn_parameter *parameter)
{
    char type_a[32];
    char type_b[32];
    rn_value value = given->value;
    if (parameter->value.type.kind == RN_DOUBLE && value.type.kind == RN_INT64) {
        value.as.real = (double)value.as.integer;
        value.type = parameter->value.type;
    }
    if (!rn_type_equal(value.type, parameter->value.type)) {
        return rn_planner_error(planner, NULL, "the default in the plan decides the type",
                                "parameter %s is %s, the value given is %s", given->name,
                                rn_type_name(parameter->value.type, type_a),
                                rn_type_name(value.type, type_b));
    }
    if (value.type.kind == RN_STRING && !value.null) {
        const char *bytes = rn_string_bytes(&value.as.string);
        char *copy = rn_arena_copy(&planner->plan->arena, bytes, value.as.string.length);
        if (copy == NULL) {
            return RATION_NO_MEMORY;
        }
        value.as.string = rn_string_over(copy, value.as.string.length);
    }
    parameter->value = value;
    return RATION_OK;
}

ration_status rn_planner_parameters(rn_planner *planner, const rn_yaml *plan,
                                    const rn_parameters **out_parameters)
{
    const rn_yaml *root = planner->file->yaml.root;
    const rn_yaml *of_file = rn_yaml_get(root, "parameters");
    const rn_yaml *of_plan = plan == root ? NULL : rn_yaml_get(plan, "parameters");
    size_t most = (of_file == NULL ? 0 : of_file->count) + (of_plan == NULL ? 0 : of_plan->count);
    uint32_t count = 0;
    rn_parameters *parameters = rn_planner_allocate(planner, sizeof *parameters);
    rn_parameter *values = rn_planner_allocate(planner, (most + 1) * sizeof *values);
    if (parameters == NULL || values == NULL) {
        return RATION_NO_MEMORY;
    }
    RN_TRY(add_defaults(planner, of_file, values, &count));
    RN_TRY(add_defaults(planner, of_plan, values, &count));
    for (uint32_t i = 0; planner->given != NULL && i < planner->given->count; i++) {
        rn_parameter *parameter = find_parameter(values, count, planner->given->values[i].name);
        if (parameter != NULL) {
            planner->given_known[i] = true;
            RN_TRY(take_given(planner, &planner->given->values[i], parameter));
        }
    }
    *parameters = (rn_parameters){count, values};
    *out_parameters = parameters;
    return RATION_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Drawing arrivals and parameters. Everything is a function of the workload's seed and the number
 * of the arrival, so that a single query of a replay can be repeated alone. */
#include "executor/trace.h"

#include <math.h>

static uint32_t choose_query(const rn_workload *workload, uint64_t *state)
{
    int64_t at = (int64_t)rn_random_below(state, (uint64_t)workload->weights);
    uint32_t query = 0;
    while (at >= workload->queries[query].weight) {
        at -= workload->queries[query].weight;
        query += 1;
    }
    return query;
}

bool rn_arrivals_next(const rn_workload *workload, rn_arrivals *cursor, rn_arrival *out_arrival)
{
    if (cursor->number == 0) {
        cursor->state = rn_hash_word(workload->seed, UINT64_C(0x6172726976616c73));
    }
    if (cursor->number >= workload->count) {
        return false;
    }
    rn_arrival arrival = {.number = cursor->number, .query = UINT32_MAX};
    if (workload->process == RN_PROCESS_TRACE) {
        if (cursor->number >= workload->recorded_count) {
            return false;
        }
        arrival.recorded = &workload->recorded[cursor->number];
        arrival.query = arrival.recorded->query;
        cursor->at_us = (double)arrival.recorded->at_us / workload->speed;
    } else {
        double gap =
            workload->process == RN_PROCESS_UNIFORM ? 1.0 : -log1p(-rn_random_unit(&cursor->state));
        cursor->at_us += gap * 1e6 / (workload->rate * workload->speed);
    }
    if (arrival.query == UINT32_MAX) {
        arrival.query = choose_query(workload, &cursor->state);
    }
    if (cursor->at_us >= (double)workload->duration_us || cursor->at_us > 9e15) {
        return false;
    }
    arrival.at_us = (int64_t)cursor->at_us;
    cursor->number += 1;
    *out_arrival = arrival;
    return true;
}

/* Without a record the query is only being checked: the plan's default stands in. */
static ration_status take_recorded(const rn_workload *workload,
                                   const rn_workload_parameter *parameter,
                                   const rn_recorded *recorded, rn_value *out_value,
                                   ration_error *error)
{
    if (recorded == NULL) {
        if (parameter->values != NULL) {
            *out_value = parameter->values[0];
        }
        return RATION_OK;
    }
    if (!rn_trace_value(&recorded->parameter, parameter, out_value)) {
        return rn_error_at(error, RATION_PLAN, workload->path, parameter->line, parameter->column,
                           "", "the trace's parameter does not fit '%s'", parameter->name);
    }
    return RATION_OK;
}

static ration_status draw_node(const rn_workload *workload, const rn_workload_parameter *parameter,
                               const rn_graph *graph, uint64_t draw, rn_value *out_value,
                               ration_error *error)
{
    int label = graph == NULL ? -1 : rn_graph_find_label(graph, parameter->label);
    const rn_label *nodes = label < 0 ? NULL : rn_graph_label(graph, (uint32_t)label);
    if (nodes == NULL || nodes->count == 0) {
        return rn_error_at(error, RATION_PLAN, workload->path, parameter->line, parameter->column,
                           "", "the graph has no nodes of label '%s' to draw parameter '%s' from",
                           parameter->label, parameter->name);
    }
    uint64_t state = draw;
    uint32_t node = (uint32_t)rn_random_below(&state, nodes->count);
    const rn_property *key = &nodes->properties[nodes->key];
    out_value->type = key->type;
    if (key->type.kind == RN_STRING) {
        out_value->as.string = ((const rn_string *)key->data)[node];
    } else {
        out_value->as.integer = ((const int64_t *)key->data)[node];
    }
    return RATION_OK;
}

ration_status rn_workload_parameters(const rn_workload *workload, const rn_arrival *arrival,
                                     const rn_graph *graph, rn_parameter *out_values,
                                     ration_error *error)
{
    const rn_workload_query *query = &workload->queries[arrival->query];
    const rn_recorded *recorded = arrival->recorded;
    bool has_trace = recorded != NULL && recorded->has_parameter;
    uint64_t state = rn_hash_word(workload->seed, (uint64_t)arrival->number);
    for (uint32_t i = 0; i < query->parameter_count; i++) {
        const rn_workload_parameter *parameter = &query->parameters[i];
        rn_value *value = &out_values[i].value;
        rn_copy_text(out_values[i].name, sizeof out_values[i].name, parameter->name);
        memset(value, 0, sizeof *value);
        uint64_t draw = rn_random(&state);
        uint64_t span = (uint64_t)parameter->maximum - (uint64_t)parameter->minimum + 1;
        switch (parameter->source) {
        case RN_SOURCE_FIXED:
        case RN_SOURCE_VALUES:
            *value = parameter->values[draw % parameter->count];
            break;
        case RN_SOURCE_RANGE:
            value->type = rn_type_of(RN_INT64);
            value->as.integer =
                (int64_t)((uint64_t)parameter->minimum + (span == 0 ? draw : draw % span));
            break;
        case RN_SOURCE_NODE:
            if (has_trace) {
                draw = rn_value_hash(rn_type_of(RN_STRING), workload->seed, &recorded->parameter);
            }
            RN_TRY(draw_node(workload, parameter, graph, draw, value, error));
            break;
        case RN_SOURCE_TRACE:
            RN_TRY(take_recorded(workload, parameter, recorded, value, error));
            break;
        }
    }
    return RATION_OK;
}

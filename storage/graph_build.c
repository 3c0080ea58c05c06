/* SPDX-License-Identifier: Apache-2.0
 *
 * Chains into the finished graph: rn_build_label, rn_build_numbers, rn_build_type.
 *
 * Algorithm. Both directions of an edge type come from two stable counting sorts and no comparison:
 *     1. rows by target, into scratch;
 *     2. that order by source: the forward lists, each sorted by target, rows of equal ends as in
 *        the file;
 *     3. forward positions in order, by target: the backward lists, each sorted by source.
 * O(nodes + edges), three passes. The scratch of step 1 is the array that becomes `edges` of the
 * backward side in step 3, and when there are properties the row behind each forward position waits
 * in what becomes `neighbours` of that side.
 *
 * Bound. Finished: 12 bytes an edge, 8 a node and side, and the properties. While a type is built
 * its ends are there twice: 8 bytes an edge more, and one property column at a time.
 *
 * Rejected: sorting the edges as records. Needs all of them twice, and the lists need their
 * properties permuted anyway. */
#include "storage/graph_load.h"

/* `count` entries from the graph's context. */
static ration_status allocate_array(const rn_loader *load, size_t count, size_t size,
                                    void *out_array)
{
    size_t bytes;

    if (!rn_array_bytes(count, size, &bytes)) {
        return RATION_NO_MEMORY;
    }
    void *array = ration_context_allocate(load->graph->context, bytes);
    if (array == NULL) {
        return ration_context_status(load->graph->context);
    }
    memcpy(out_array, &array, sizeof array);
    return RATION_OK;
}

/* --------------------------------------------------------------------------------------- labels */

static void name_property(rn_property *property, const rn_load_column *column)
{
    rn_copy_text(property->name, sizeof property->name, column->column->name);
    property->type = rn_type_of(column->column->kind);
}

ration_status rn_build_label(rn_loader *load, uint32_t label)
{
    rn_load_table *from = &load->labels[label];
    rn_label *into = &load->graph->labels[label];
    size_t rows = (size_t)from->rows;
    rn_property *properties = NULL;

    RN_TRY(allocate_array(load, from->table->property_count, sizeof *properties, &properties));
    memset(properties, 0, from->table->property_count * sizeof *properties);
    for (uint32_t i = 0; i < from->table->property_count; i++) {
        rn_load_column *column = &from->columns[i];
        void *data = NULL;
        name_property(&properties[i], column);
        RN_TRY(allocate_array(load, rows, column->values.entry_bytes, &data));
        rn_chain_take(&column->values, data);
        properties[i].data = data;
        if (column->nulls) {
            void *valid = NULL;
            RN_TRY(allocate_array(load, (rows + 63) / 64, sizeof(uint64_t), &valid));
            rn_chain_take(&column->valid, valid);
            properties[i].valid = valid;
        }
    }
    rn_copy_text(into->name, sizeof into->name, from->table->name);
    into->count = (uint32_t)from->rows;
    into->property_count = from->table->property_count;
    into->properties = properties;
    into->key = from->key;
    rn_node_index_seal(&load->graph->indexes[label], properties[from->key].data);
    return RATION_OK;
}

ration_status rn_build_numbers(rn_loader *load)
{
    rn_graph *graph = load->graph;
    uint64_t first = 0;

    for (uint32_t i = 0; i < graph->label_count; i++) {
        graph->labels[i].first = (uint32_t)first;
        first += graph->labels[i].count;
        if (first > RN_GRAPH_NODES_MAX) {
            return rn_error_set(load->error, RATION_DATA, "", "more than %llu nodes",
                                (unsigned long long)RN_GRAPH_NODES_MAX);
        }
    }
    graph->node_count = first;
    return RATION_OK;
}

/* -------------------------------------------------------------------------------- counting sort */

static uint32_t end_at(const rn_chain *ends, size_t row)
{
    uint32_t position;

    memcpy(&position, rn_chain_at(ends, row), sizeof position);
    return position;
}

/* offsets[n] = where the entries of node n start; offsets[nodes] = rows. */
static void count_ends(const rn_chain *ends, size_t rows, uint64_t *offsets, size_t nodes)
{
    uint64_t sum = 0;

    memset(offsets, 0, (nodes + 1) * sizeof *offsets);
    for (size_t row = 0; row < rows; row++) {
        offsets[end_at(ends, row)]++;
    }
    for (size_t node = 0; node <= nodes; node++) {
        uint64_t count = offsets[node];
        offsets[node] = sum;
        sum += count;
    }
    rn_assert(offsets[nodes] == rows);
}

/* After placing, each offset stands at the end of its node, which is the start of the next. */
static void rewind_offsets(uint64_t *offsets, size_t nodes)
{
    memmove(offsets + 1, offsets, nodes * sizeof *offsets);
    offsets[0] = 0;
}

/* What one edge type needs while it is built; arrays are the graph's, `order` NULL without
 * properties. */
typedef struct sides {
    size_t rows, sources, targets;
    uint64_t *forward_offsets, *backward_offsets;
    uint32_t *forward, *backward, *edges;
    uint32_t *order; /* row behind each forward position */
} sides;

/* Steps 1 and 2. */
static void place_forward(const rn_load_table *from, const sides *s, uint32_t first_target)
{
    for (size_t row = 0; row < s->rows; row++) {
        s->edges[s->backward_offsets[end_at(&from->to, row)]++] = (uint32_t)row;
    }
    rewind_offsets(s->backward_offsets, s->targets);
    for (size_t target = 0; target < s->targets; target++) {
        for (uint64_t i = s->backward_offsets[target]; i < s->backward_offsets[target + 1]; i++) {
            uint32_t row = s->edges[i];
            uint64_t position = s->forward_offsets[end_at(&from->from, row)]++;
            s->forward[position] = first_target + (uint32_t)target;
            if (s->order != NULL) {
                s->order[position] = row;
            }
        }
    }
    rewind_offsets(s->forward_offsets, s->sources);
}

/* Step 3. */
static void place_backward(const sides *s, uint32_t first_source, uint32_t first_target)
{
    for (size_t source = 0; source < s->sources; source++) {
        for (uint64_t i = s->forward_offsets[source]; i < s->forward_offsets[source + 1]; i++) {
            uint64_t position = s->backward_offsets[s->forward[i] - first_target]++;
            s->backward[position] = first_source + (uint32_t)source;
            s->edges[position] = (uint32_t)i;
        }
    }
    rewind_offsets(s->backward_offsets, s->targets);
}

/* ----------------------------------------------------------------------------------- properties */

/* to[i] = chain[order[i]], one loop per width so that each moves one machine word. */
static void permute_values(const rn_chain *values, const uint32_t *order, size_t rows, void *to)
{
    switch (values->entry_bytes) {
    case 1:
        for (size_t i = 0; i < rows; i++) {
            memcpy((char *)to + i, rn_chain_at(values, order[i]), 1);
        }
        break;
    case 4:
        for (size_t i = 0; i < rows; i++) {
            memcpy((char *)to + i * 4, rn_chain_at(values, order[i]), 4);
        }
        break;
    case 8:
        for (size_t i = 0; i < rows; i++) {
            memcpy((char *)to + i * 8, rn_chain_at(values, order[i]), 8);
        }
        break;
    default:
        rn_assert(values->entry_bytes == 16);
        for (size_t i = 0; i < rows; i++) {
            memcpy((char *)to + i * 16, rn_chain_at(values, order[i]), 16);
        }
        break;
    }
}

static void permute_valid(const rn_chain *valid, const uint32_t *order, size_t rows, uint64_t *to)
{
    memset(to, 0, (rows + 63) / 64 * sizeof *to);
    for (size_t i = 0; i < rows; i++) {
        uint64_t word;
        memcpy(&word, rn_chain_at(valid, order[i] >> 6), sizeof word);
        to[i >> 6] |= (word >> (order[i] & 63) & 1) << (i & 63);
    }
}

static ration_status build_properties(const rn_loader *load, rn_load_table *from, const sides *s,
                                      rn_property *properties)
{
    for (uint32_t i = 0; i < from->table->property_count; i++) {
        rn_load_column *column = &from->columns[i];
        void *data = NULL;
        name_property(&properties[i], column);
        RN_TRY(allocate_array(load, s->rows, column->values.entry_bytes, &data));
        permute_values(&column->values, s->order, s->rows, data);
        rn_chain_close(&column->values);
        properties[i].data = data;
        if (column->nulls) {
            uint64_t *valid = NULL;
            RN_TRY(allocate_array(load, (s->rows + 63) / 64, sizeof *valid, &valid));
            permute_valid(&column->valid, s->order, s->rows, valid);
            rn_chain_close(&column->valid);
            properties[i].valid = valid;
        }
    }
    return RATION_OK;
}

/* ----------------------------------------------------------------------------------------- type */

static ration_status build_sides(const rn_loader *load, rn_load_table *from, sides *s,
                                 uint32_t first_source, uint32_t first_target,
                                 rn_property *properties)
{
    bool ordered = from->table->property_count > 0;

    RN_TRY(allocate_array(load, s->sources + 1, sizeof(uint64_t), &s->forward_offsets));
    RN_TRY(allocate_array(load, s->targets + 1, sizeof(uint64_t), &s->backward_offsets));
    RN_TRY(allocate_array(load, s->rows, sizeof(uint32_t), &s->forward));
    RN_TRY(allocate_array(load, s->rows, sizeof(uint32_t), &s->edges));
    if (ordered) {
        RN_TRY(allocate_array(load, s->rows, sizeof(uint32_t), &s->backward));
        s->order = s->backward;
    }
    count_ends(&from->from, s->rows, s->forward_offsets, s->sources);
    count_ends(&from->to, s->rows, s->backward_offsets, s->targets);
    place_forward(from, s, first_target);
    rn_chain_close(&from->from);
    rn_chain_close(&from->to);
    if (ordered) {
        RN_TRY(build_properties(load, from, s, properties));
    } else {
        RN_TRY(allocate_array(load, s->rows, sizeof(uint32_t), &s->backward));
    }
    place_backward(s, first_source, first_target);
    return RATION_OK;
}

ration_status rn_build_type(rn_loader *load, uint32_t type)
{
    rn_load_table *from = &load->types[type];
    rn_graph *graph = load->graph;
    rn_edge_type *into = &graph->types[type];
    const rn_label *source = &graph->labels[from->table->from];
    const rn_label *target = &graph->labels[from->table->to];
    sides s = {.rows = (size_t)from->rows, .sources = source->count, .targets = target->count};
    rn_property *properties = NULL;

    RN_TRY(allocate_array(load, from->table->property_count, sizeof *properties, &properties));
    memset(properties, 0, from->table->property_count * sizeof *properties);
    RN_TRY(build_sides(load, from, &s, source->first, target->first, properties));
    rn_copy_text(into->name, sizeof into->name, from->table->name);
    into->source = (uint16_t)from->table->from;
    into->target = (uint16_t)from->table->to;
    into->count = (uint32_t)from->rows;
    into->property_count = from->table->property_count;
    into->properties = properties;
    into->forward =
        (rn_adjacency){source->first, source->count, s.forward_offsets, s.forward, NULL};
    into->backward =
        (rn_adjacency){target->first, target->count, s.backward_offsets, s.backward, s.edges};
    graph->edge_count += from->rows;
    return RATION_OK;
}

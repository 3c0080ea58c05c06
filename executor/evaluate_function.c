/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of strings and times, and what the graph knows: properties and labels.
 *
 * Properties. With the label known from the plan the value is column[node - first]; else the label
 * is found per node, the last one first, because neighbours in a batch mostly share it.
 */
#include "executor/evaluate.h"

#define DAY_US INT64_C(86400000000)

/* ---- strings ---- */

static bool test_strings(rn_term term, const rn_string *whole, const rn_string *part)
{
    const char *bytes = rn_string_bytes(whole);
    const char *sought = rn_string_bytes(part);
    if (term == RN_TERM_CONTAINS) {
        return part->length == 0 || memmem(bytes, whole->length, sought, part->length) != NULL;
    }
    if (part->length > whole->length) {
        return false;
    }
    size_t from = term == RN_TERM_ENDS_WITH ? whole->length - part->length : 0;
    return memcmp(bytes + from, sought, part->length) == 0;
}

static void measure_values(rn_work *work)
{
    const rn_operand *operand = &work->operands[0];
    bool list = work->term->first->type.kind == RN_LIST;
    int64_t *out = work->out;
    RN_EACH_ASKED(&work->asked, row)
    {
        if (rn_work_valid(work, row)) {
            out[row] =
                list ? (int64_t)((const rn_list *)operand->data)[row & operand->mask].length
                     : (int64_t)((const rn_string *)operand->data)[row & operand->mask].length;
        }
    }
}

void rn_evaluate_text(rn_work *work)
{
    const rn_operand *a = &work->operands[0];
    const rn_operand *b = &work->operands[1];
    rn_term term = work->term->term;
    uint8_t *out = work->out;
    if (term == RN_TERM_LENGTH) {
        measure_values(work);
        return;
    }
    RN_EACH_ASKED(&work->asked, row)
    {
        if (rn_work_valid(work, row)) {
            out[row] = test_strings(term, (const rn_string *)a->data + (row & a->mask),
                                    (const rn_string *)b->data + (row & b->mask));
        }
    }
}

/* ---- times ---- */

static int64_t day_part(rn_term term, int32_t days)
{
    int32_t year, month, day;
    rn_date_parts(days, &year, &month, &day);
    return term == RN_TERM_YEAR ? year : term == RN_TERM_MONTH ? month : day;
}

static int64_t time_part(rn_term term, int64_t us)
{
    int64_t rest = us % DAY_US; /* of the day; times before 1970 count down from midnight */
    int64_t days = us / DAY_US - (rest < 0);
    int64_t second = (rest < 0 ? rest + DAY_US : rest) / 1000000;
    switch (term) {
    case RN_TERM_HOUR:
        return second / 3600;
    case RN_TERM_MINUTE:
        return second / 60 % 60;
    case RN_TERM_SECOND:
        return second % 60;
    default:
        return day_part(term, (int32_t)days); /* |days| <= 2^63 / DAY_US < 2^31 */
    }
}

void rn_evaluate_time(rn_work *work)
{
    const rn_operand *operand = &work->operands[0];
    rn_term term = work->term->term;
    bool date = work->term->first->type.kind == RN_DATE;
    int64_t *out = work->out;
    RN_EACH_ASKED(&work->asked, row)
    {
        if (rn_work_valid(work, row)) {
            out[row] = date
                           ? day_part(term, ((const int32_t *)operand->data)[row & operand->mask])
                           : time_part(term, ((const int64_t *)operand->data)[row & operand->mask]);
        }
    }
}

/* ---- the graph ---- */

/* Where nodes and edges lie in the property columns of their label or type. */
typedef struct entity_place {
    uint32_t owner;
    uint64_t entry;
} entity_place;

static inline entity_place locate_edge(uint64_t edge)
{
    return (entity_place){(uint32_t)(edge >> RN_EDGE_TYPE_SHIFT),
                          edge & ((UINT64_C(1) << RN_EDGE_TYPE_SHIFT) - 1)};
}

static inline uint32_t find_label(const rn_graph *graph, uint32_t node, uint32_t last)
{
    const rn_label *label = rn_graph_label(graph, last);
    return node - label->first < label->count ? last : rn_graph_label_of(graph, node);
}

/* Copies one value of a property; false when it is null. */
static inline bool read_property(const rn_property *column, uint64_t entry, size_t width, char *to)
{
    if (column == NULL ||
        (column->valid != NULL && !((column->valid[entry >> 6] >> (entry & 63)) & 1))) {
        return false;
    }
    memcpy(to, (const char *)column->data + width * entry, width);
    return true;
}

static void read_any_property(rn_work *work)
{
    const rn_expression *term = work->term;
    const rn_operand *operand = &work->operands[0];
    bool node = term->first->type.kind == RN_NODE;
    size_t width = rn_kind_bytes((rn_kind)term->type.kind);
    char *out = work->out;
    uint32_t label = 0;
    RN_EACH_ASKED(&work->asked, row)
    {
        if (!rn_work_valid(work, row)) {
            continue;
        }
        entity_place place;
        if (node) {
            uint32_t number = ((const uint32_t *)operand->data)[row & operand->mask];
            label = find_label(work->graph, number, label);
            place = (entity_place){label, number - term->as.property.firsts[label]};
        } else {
            place = locate_edge(((const uint64_t *)operand->data)[row & operand->mask]);
        }
        rn_assert(place.owner < term->as.property.count);
        if (!read_property(term->as.property.columns[place.owner], place.entry, width,
                           out + width * row)) {
            rn_work_set_null(work, row);
        }
    }
}

/* column[node - first] for every row asked for; no nulls anywhere. */
#define GATHER(width_)                                                                             \
    RN_EACH_ASKED(&work->asked, row)                                                               \
    {                                                                                              \
        memcpy(to + (size_t)(width_)*row, from + (size_t)(width_) * (nodes[row] - first),          \
               (width_));                                                                          \
    }

static void gather_property(rn_work *work, const rn_property *column, uint32_t first)
{
    const uint32_t *restrict nodes = work->operands[0].data;
    const char *restrict from = column->data;
    char *restrict to = work->out;
    switch (rn_kind_bytes((rn_kind)column->type.kind)) {
    case 1:
        GATHER(1);
        return;
    case 4:
        GATHER(4);
        return;
    case 8:
        GATHER(8);
        return;
    default:
        GATHER(16);
        return;
    }
}

void rn_evaluate_property(rn_work *work)
{
    const rn_expression *term = work->term;
    rn_type owner = term->first->type;
    const rn_property *column =
        owner.label == RN_LABEL_ANY ? NULL : term->as.property.columns[owner.label];
    bool direct = owner.kind == RN_NODE && column != NULL && column->valid == NULL && !work->nulls;
    if (direct && work->operands[0].mask != 0) {
        gather_property(work, column, term->as.property.firsts[owner.label]);
        return;
    }
    read_any_property(work);
}

void rn_evaluate_label(rn_work *work)
{
    const rn_operand *operand = &work->operands[0];
    bool node = work->term->first->type.kind == RN_NODE;
    rn_string *out = work->out;
    uint32_t label = 0;
    RN_EACH_ASKED(&work->asked, row)
    {
        if (!rn_work_valid(work, row)) {
            continue;
        }
        if (node) {
            label = find_label(work->graph, ((const uint32_t *)operand->data)[row & operand->mask],
                               label);
        } else {
            label = locate_edge(((const uint64_t *)operand->data)[row & operand->mask]).owner;
        }
        rn_assert(label < work->term->as.labels.count);
        out[row] = work->term->as.labels.names[label];
    }
}

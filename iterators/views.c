/* SPDX-License-Identifier: Apache-2.0
 *
 * Views of a held result; see views.h.
 *
 * Default and sequential are a scan of the held set. Get-neighbors and prop make an index once, at
 * open: entities in the order in which they first occur, found by a hash table; a vertex has a list
 * of its rows. The rows stay where they are, in memory or written out, and are found again by their
 * addresses (held_index.h); an entity's own row is fetched only when a value of it is wanted.
 *
 * Invariants
 *   1. Every row whose source is a node is in exactly one vertex's list, or has no edge.
 *   2. `size` = sum of `edges` over the vertices; an entity occurs once.
 *   3. The row in hand belongs to the entity in hand; it may be still to be fetched. */
#include "iterators/views.h"

#include "iterators/held_index.h"
#include "storage/hash_table.h"

#define ROWS_AT_A_TIME 64u

/* A row of a vertex. */
typedef struct view_link {
    struct view_link *next;
    int64_t address;
} view_link;

/* A vertex of get-neighbors, or an entity of prop. */
typedef struct view_entity {
    struct view_entity *next; /* in the order of first occurrence */
    uint64_t number;          /* node or edge */
    int64_t address;          /* where it occurs first */
    view_link *first, *last;
    int64_t edges;
} view_entity;

struct rn_view {
    rn_view_options options;
    rn_held *held;
    ration_context *context; /* bump; owned: this, and what is below */
    ration_context *lists;   /* lists of strings that were asked for; NULL when there are none */
    rn_vector vector;        /* one value of any type */
    int source, edge, neighbour;
    int64_t size, vertices;
    /* Default and sequential: rows in portions. */
    rn_held_scan scan;
    uint32_t row_at;
    /* Get-neighbors and prop. */
    rn_held_index index;
    view_entity *first, *last;
    bool started;
    view_entity *entity; /* in hand */
    view_link *link;     /* in hand; NULL = before the first edge */
    bool drained;        /* all edges of the entity were given */
    const rn_row *row;   /* in hand; NULL = none, or the entity's, not fetched */
};

const char *rn_view_kind_name(rn_view_kind kind)
{
    static const char *const names[] = {"default", "sequential", "get-neighbors", "prop"};
    return (size_t)kind < RN_COUNT(names) ? names[kind] : "unknown";
}

/* ----------------------------------------------------------------------------------------- open */

/* Finds a column that must be there and of one of two kinds. */
static ration_status find_column(const rn_view *view, const char *role, const char *name,
                                 rn_kind kind, rn_kind other, int *out_column, ration_error *error)
{
    const rn_schema *schema = &view->held->schema;
    const char *view_name = rn_view_kind_name(view->options.kind);
    int column = name == NULL ? -1 : rn_schema_find(schema, name);
    if (column < 0) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "", "%s view: %s: no column '%s'",
                            view_name, role, name == NULL ? "" : name);
    }
    rn_type type = schema->fields[column].type;
    if (type.kind != kind && type.kind != other) {
        char text[32];
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "", "%s view: %s: column %s is %s",
                            view_name, role, name, rn_type_name(type, text));
    }
    *out_column = column;
    return RATION_OK;
}

static ration_status find_columns(rn_view *view, ration_error *error)
{
    const rn_view_options *options = &view->options;
    view->source = view->edge = view->neighbour = -1;
    if (options->kind == RN_VIEW_DEFAULT &&
        (view->held->schema.count != 1 || view->held->count != 1)) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "read it with the sequential view",
                            "default view: the result is not a single value: %lld rows, %u columns",
                            (long long)view->held->count, view->held->schema.count);
    }
    if (options->kind == RN_VIEW_PROP) {
        RN_TRY(
            find_column(view, "source", options->source, RN_NODE, RN_EDGE, &view->source, error));
    }
    if (options->kind == RN_VIEW_NEIGHBORS) {
        RN_TRY(
            find_column(view, "source", options->source, RN_NODE, RN_NODE, &view->source, error));
        RN_TRY(find_column(view, "neighbour", options->neighbour, RN_NODE, RN_NODE,
                           &view->neighbour, error));
        if (options->edge != NULL) {
            RN_TRY(find_column(view, "edge", options->edge, RN_EDGE, RN_EDGE, &view->edge, error));
        }
    }
    return RATION_OK;
}

static ration_status open_value(rn_view *view, ration_slot *slot)
{
    const rn_layout *layout = &view->held->layout;
    bool lists = false;
    for (uint32_t c = 0; c < layout->column_count; c++) {
        lists |= layout->types[c].kind == RN_LIST && layout->types[c].element == RN_STRING;
    }
    RN_TRY(rn_vector_open(view->context, RN_LIST, 1, &view->vector));
    return lists ? ration_context_create(view->context, slot, RATION_CONTEXT_BUMP, "lists",
                                         &view->lists)
                 : RATION_OK;
}

/* The node or edge in a column of a row; false when it is null. */
static bool read_number(const rn_view *view, const rn_row *row, int column, uint64_t *out_number)
{
    const rn_layout *layout = &view->held->layout;
    if (column < 0 || !rn_row_valid(layout, row, (uint32_t)column)) {
        return false;
    }
    const void *at = rn_row_fixed(layout, row, (uint32_t)column);
    uint32_t node;
    if (layout->types[column].kind == RN_EDGE) {
        memcpy(out_number, at, sizeof *out_number);
    } else {
        memcpy(&node, at, sizeof node);
        *out_number = node;
    }
    return true;
}

static ration_status find_entity(rn_view *view, rn_hash_table *table, uint64_t number,
                                 int64_t address, view_entity **out_entity)
{
    uint64_t hash = rn_hash_word(RN_HASH_SEED, number), position = 0, payload;
    while (rn_hash_table_find(table, hash, &position, &payload)) {
        view_entity *known = (view_entity *)(uintptr_t)payload;
        if (known->number == number) {
            *out_entity = known;
            return RATION_OK;
        }
    }
    view_entity *added = ration_context_allocate_zero(view->context, sizeof *added);
    if (added == NULL) {
        return ration_context_status(view->context);
    }
    RN_TRY(rn_hash_table_insert(table, hash, (uint64_t)(uintptr_t)added));
    added->number = number;
    added->address = address;
    if (view->last == NULL) {
        view->first = added;
    } else {
        view->last->next = added;
    }
    view->last = added;
    view->vertices += 1;
    *out_entity = added;
    return RATION_OK;
}

/* Adds a row to the list of its vertex, when it has an edge. */
static ration_status add_edge(rn_view *view, view_entity *entity, const rn_row *row,
                              int64_t address)
{
    uint64_t number;
    bool has_edge = read_number(view, row, view->neighbour, &number) &&
                    (view->edge < 0 || read_number(view, row, view->edge, &number));
    if (!has_edge) {
        return RATION_OK;
    }
    view_link *link = ration_context_allocate(view->context, sizeof *link);
    if (link == NULL) {
        return ration_context_status(view->context);
    }
    *link = (view_link){NULL, address};
    if (entity->last == NULL) {
        entity->first = link;
    } else {
        entity->last->next = link;
    }
    entity->last = link;
    entity->edges += 1;
    view->size += 1;
    return RATION_OK;
}

/* A refusal leaves everything as it was. */
static ration_status add_row(rn_view *view, rn_hash_table *table, const rn_row *row,
                             int64_t address)
{
    uint64_t number;
    view_entity *entity = NULL;
    if (!read_number(view, row, view->source, &number)) {
        return RATION_OK;
    }
    RN_TRY(find_entity(view, table, number, address, &entity));
    return view->options.kind == RN_VIEW_NEIGHBORS ? add_edge(view, entity, row, address)
                                                   : RATION_OK;
}

static ration_status index_rows(rn_view *view, rn_hash_table *table, rn_held_scan *scan)
{
    do {
        RN_TRY(rn_held_scan_rows(scan));
        for (uint32_t i = 0; i < scan->row_count; i++) {
            int64_t address = rn_held_index_address(scan, scan->rows[i]);
            ration_status status;
            while ((status = add_row(view, table, scan->rows[i], address)) != RATION_OK) {
                RN_TRY(rn_held_relieve(view->held, status));
            }
        }
    } while (scan->row_count > 0);
    return RATION_OK;
}

/* `scratch` is needed for the time of making only. */
static ration_status scan_rows(rn_view *view, ration_context *scratch, ration_slot *slot)
{
    rn_hash_table *table;
    rn_held_scan scan = {.held = NULL};
    RN_TRY(rn_hash_table_open(scratch, slot, "entities", &table));
    ration_status status =
        rn_held_scan_open(view->held, scratch, slot, ROWS_AT_A_TIME, false, &scan);
    if (status == RATION_OK) {
        status = index_rows(view, table, &scan);
    }
    rn_held_scan_close(&scan);
    rn_hash_table_close(table);
    return status;
}

static ration_status make_index(rn_view *view, ration_slot *slot)
{
    ration_context *scratch;
    RN_TRY(rn_held_index_open(view->held, view->context, &view->index));
    RN_TRY(ration_context_create(view->context, slot, RATION_CONTEXT_BUMP, "indexing", &scratch));
    ration_status status = scan_rows(view, scratch, slot);
    ration_context_delete(scratch);
    if (view->options.kind == RN_VIEW_PROP) {
        view->size = view->vertices;
        view->vertices = 0;
    }
    return status;
}

/* Everything but the struct itself. */
static ration_status fill_view(rn_view *view, ration_slot *slot, ration_error *error)
{
    rn_view_kind kind = view->options.kind;
    RN_TRY(find_columns(view, error));
    RN_TRY(open_value(view, slot));
    if (kind == RN_VIEW_NEIGHBORS || kind == RN_VIEW_PROP) {
        return make_index(view, slot);
    }
    view->size = view->held->count;
    return rn_held_scan_open(view->held, view->context, slot, ROWS_AT_A_TIME, false, &view->scan);
}

static ration_status explain(ration_error *error, rn_view_kind kind, ration_status status)
{
    return rn_error_set(error, status, "", "%s view: %s", rn_view_kind_name(kind),
                        ration_status_sentence(status));
}

static ration_status open_view(rn_view *view, ration_slot *slot, ration_error *error)
{
    ration_status status = fill_view(view, slot, error);
    if (status != RATION_OK) {
        rn_held_index_close(&view->index);
        rn_held_scan_close(&view->scan);
    }
    return status;
}

static ration_status try_open(rn_held *held, const rn_view_options *options, ration_context *parent,
                              ration_slot *slot, rn_view **out_view, ration_error *error)
{
    ration_context *context;
    ration_status status =
        ration_context_create(parent, slot, RATION_CONTEXT_BUMP, "view", &context);
    if (status != RATION_OK) {
        return explain(error, options->kind, status);
    }
    rn_view *view = ration_context_allocate_zero(context, sizeof *view);
    if (view == NULL) {
        status = ration_context_status(context);
    } else {
        view->options = *options;
        view->held = held;
        view->context = context;
        status = open_view(view, slot, error);
    }
    if (status != RATION_OK) {
        ration_context_delete(context);
        return status == RATION_INVALID_ARGUMENT ? status : explain(error, options->kind, status);
    }
    *out_view = view;
    return RATION_OK;
}

ration_status rn_view_open(rn_held *held, const rn_view_options *options, ration_context *parent,
                           ration_slot *slot, rn_view **out_view, ration_error *error)
{
    ration_status status;
    while ((status = try_open(held, options, parent, slot, out_view, error)) != RATION_OK &&
           rn_is_refusal(status)) {
        ration_status relieved = rn_held_relieve(held, status);
        if (relieved != RATION_OK) {
            return relieved == status ? status : explain(error, options->kind, relieved);
        }
    }
    return status;
}

void rn_view_close(rn_view *view)
{
    if (view != NULL) {
        rn_held_index_close(&view->index);
        rn_held_scan_close(&view->scan);
        ration_context_delete(view->context);
    }
}

rn_view_kind rn_view_kind_of(const rn_view *view)
{
    return view->options.kind;
}

int64_t rn_view_size(const rn_view *view)
{
    return view->size;
}

int64_t rn_view_vertices(const rn_view *view)
{
    return view->vertices;
}

/* --------------------------------------------------------------------------------------- moving */

/* What was read of the row in hand goes. */
static void leave_row(rn_view *view)
{
    view->row = NULL;
    if (view->lists != NULL) {
        ration_context_reset(view->lists);
    }
    if (view->index.held != NULL) {
        rn_held_index_leave(&view->index);
    }
}

void rn_view_restart(rn_view *view)
{
    leave_row(view);
    if (view->scan.held != NULL) {
        rn_held_scan_restart(&view->scan);
    }
    view->row_at = 0;
    view->started = view->drained = false;
    view->entity = NULL;
    view->link = NULL;
}

static ration_status next_row(rn_view *view, bool *out_row)
{
    leave_row(view);
    if (view->row_at == view->scan.row_count) {
        view->row_at = 0;
        view->scan.row_count = 0;
        RN_TRY(rn_held_scan_rows(&view->scan));
    }
    *out_row = view->scan.row_count > 0;
    view->row = *out_row ? view->scan.rows[view->row_at++] : NULL;
    return RATION_OK;
}

/* Moves to the next vertex or entity. */
static bool next_entity(rn_view *view)
{
    leave_row(view);
    if (!view->started) {
        view->entity = view->first;
        view->started = true;
    } else if (view->entity != NULL) {
        view->entity = view->entity->next;
    }
    view->link = NULL;
    view->drained = false;
    return view->entity != NULL;
}

bool rn_view_next_vertex(rn_view *view)
{
    return view->options.kind == RN_VIEW_NEIGHBORS && next_entity(view);
}

ration_status rn_view_next_edge(rn_view *view, bool *out_edge)
{
    *out_edge = false;
    if (view->entity == NULL || view->drained || view->options.kind != RN_VIEW_NEIGHBORS) {
        return RATION_OK;
    }
    leave_row(view);
    view->link = view->link == NULL ? view->entity->first : view->link->next;
    view->drained = view->link == NULL;
    if (!view->drained) {
        RN_TRY(rn_held_index_row(&view->index, view->link->address, &view->row));
    }
    *out_edge = !view->drained;
    return RATION_OK;
}

ration_status rn_view_next(rn_view *view, bool *out_row)
{
    switch (view->options.kind) {
    case RN_VIEW_PROP:
        *out_row = next_entity(view);
        return RATION_OK;
    case RN_VIEW_NEIGHBORS:
        do {
            RN_TRY(rn_view_next_edge(view, out_row));
        } while (!*out_row && next_entity(view));
        return RATION_OK;
    default:
        return next_row(view, out_row);
    }
}

int64_t rn_view_edges(const rn_view *view)
{
    return view->entity == NULL ? 0 : view->entity->edges;
}

/* -------------------------------------------------------------------------------------- reading */

int rn_view_column(const rn_view *view, const char *name)
{
    return rn_schema_find(&view->held->schema, name);
}

/* Fetches the row where the entity in hand occurs first. After its last edge there is none. */
static ration_status fetch_row(rn_view *view)
{
    if (view->row == NULL && view->entity != NULL && !view->drained) {
        return rn_held_index_row(&view->index, view->entity->address, &view->row);
    }
    return RATION_OK;
}

ration_status rn_view_value(rn_view *view, uint32_t column, rn_value *out_value)
{
    rn_column read;
    rn_assert(column < view->held->schema.count);
    RN_TRY(fetch_row(view));
    RN_TRY(rn_rows_read(&view->held->layout, &view->row, 1, column, view->lists, &view->vector,
                        &read));
    *out_value = rn_column_value(&read, 0);
    return RATION_OK;
}

static rn_value null_value(rn_type type)
{
    rn_value value;
    memset(&value, 0, sizeof value);
    value.type = type;
    value.null = true;
    return value;
}

static int entity_column(const rn_view *view, rn_view_entity entity)
{
    if (view->options.kind == RN_VIEW_PROP) {
        bool edge = view->held->layout.types[view->source].kind == RN_EDGE;
        return edge == (entity == RN_VIEW_EDGE) && entity != RN_VIEW_NEIGHBOUR ? view->source : -1;
    }
    return entity == RN_VIEW_VERTEX ? view->source
           : entity == RN_VIEW_EDGE ? view->edge
                                    : view->neighbour;
}

/* The number of an entity in hand; false when there is none. That of a vertex, or of prop's, is
 * known without its row. */
static bool entity_number(const rn_view *view, rn_view_entity entity, uint64_t *out_number)
{
    int column = entity_column(view, entity);
    if (view->entity != NULL && column >= 0 && column == view->source && !view->drained) {
        *out_number = view->entity->number;
        return true;
    }
    bool before_edges = view->options.kind == RN_VIEW_NEIGHBORS && view->link == NULL;
    return view->row != NULL && !before_edges && read_number(view, view->row, column, out_number);
}

rn_value rn_view_entity_value(const rn_view *view, rn_view_entity entity)
{
    uint64_t number;
    rn_value value = null_value(rn_type_of(entity == RN_VIEW_EDGE ? RN_EDGE : RN_NODE));
    if (!entity_number(view, entity, &number)) {
        return value;
    }
    value.null = false;
    if (entity == RN_VIEW_EDGE) {
        value.as.edge = number;
    } else {
        value.as.node = (uint32_t)number;
    }
    return value;
}

static rn_value read_property(const rn_property *property, uint32_t index)
{
    rn_value value = null_value(property->type);
    size_t width = rn_kind_bytes((rn_kind)property->type.kind);
    value.null = property->valid != NULL && !rn_bit_get(property->valid, index);
    if (!value.null) {
        memcpy(&value.as, (const char *)property->data + width * index, width);
    }
    return value;
}

rn_value rn_view_property(const rn_view *view, rn_view_entity entity, const char *name)
{
    rn_value whose = rn_view_entity_value(view, entity);
    const rn_graph *graph = view->options.graph;
    if (whose.null || graph == NULL) {
        return null_value(rn_type_of(RN_INT64));
    }
    if (entity == RN_VIEW_EDGE) {
        const rn_edge_type *type =
            rn_graph_edge_type(graph, (uint32_t)(whose.as.edge >> RN_EDGE_TYPE_SHIFT));
        int index = rn_edge_type_find(type, name);
        return index < 0 ? null_value(rn_type_of(RN_INT64))
                         : read_property(&type->properties[index], (uint32_t)whose.as.edge);
    }
    const rn_label *label = rn_graph_label(graph, rn_graph_label_of(graph, whose.as.node));
    int index = rn_label_find(label, name);
    return index < 0 ? null_value(rn_type_of(RN_INT64))
                     : read_property(&label->properties[index], whose.as.node - label->first);
}

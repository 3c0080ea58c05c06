/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts: regions of memory in a tree. ration_context_create -> allocations (chunk.c) ->
 * ration_context_reset or ration_context_delete. This file is the tree and its callbacks. Blocks:
 * region.c; what a kind does inside of them: context_bump.c, context_set.c, context_slab.c,
 * context_generation.c; how much a settle must charge ahead: context_bound.c; figures
 * and reports: context_report.c; walks over all chunks: context_check.c.
 *
 * The context itself lies in its first block, which a reset keeps. Reset and delete run the
 * callbacks of the whole subtree first, children before parents and newest first, while all memory
 * is still there; then children are deleted, leaves first, without recursion. A callback is taken
 * off its list before it runs: one that leaves by longjmp does not run again, and the rest runs at
 * the next attempt.
 *
 * Bytes that a guard handed to a context are direct bytes of its slot's pool, not of its slot: the
 * guard may be on another thread.
 */
#include "memory/context.h"

#include "memory/poison.h"
#include "memory/pool.h"
#include "memory/region.h"
#include "memory/shelf.h"
#include "memory/transfer.h"

/* Where memory after its end of life is looked after, a deleted context is given back at once. */
#ifdef RATION_CHECKED
#define RN_KEEPS_CONTEXTS false
#else
#define RN_KEEPS_CONTEXTS true
#endif

/* ----------------------------------------------------------------------------------------- tree */

/* The list that a context without parent, or below `parent`, lies in. */
static inline ration_context **find_list(const ration_context *context, ration_context *parent)
{
    return parent != NULL ? &parent->child : &context->slot->contexts;
}

static inline void link_context(ration_context *context, ration_context *parent)
{
    ration_context **list = find_list(context, parent);
    context->parent = parent;
    context->previous = NULL;
    context->next = *list;
    if (context->next != NULL) {
        context->next->previous = context;
    }
    *list = context;
}

static inline void unlink_context(ration_context *context)
{
    if (context->previous != NULL) {
        context->previous->next = context->next;
    } else {
        *find_list(context, context->parent) = context->next;
    }
    if (context->next != NULL) {
        context->next->previous = context->previous;
    }
}

void ration_context_set_parent(ration_context *context, ration_context *parent)
{
    if (rn_never(parent != NULL && parent->slot != context->slot)) {
        return;
    }
#ifdef RATION_CHECKED
    for (const ration_context *above = parent; above != NULL; above = above->parent) {
        rn_assert(above != context);
    }
#endif
    rn_context_enter(context->slot);
    unlink_context(context);
    link_context(context, parent);
    rn_context_leave(context->slot);
}

ration_context *ration_context_parent(const ration_context *context)
{
    return context->parent;
}

ration_context *ration_context_child(const ration_context *parent, const ration_context *previous)
{
    return previous == NULL ? parent->child : previous->next;
}

const char *ration_context_name(const ration_context *context)
{
    return context->name;
}

ration_slot *ration_context_slot(const ration_context *context)
{
    return &context->slot->hot;
}

bool ration_context_is_empty(const ration_context *context)
{
    return context->child == NULL && context->block_count == 1 &&
           context->at == rn_region_start(context, rn_region_first(context));
}

void ration_context_set_identifier(ration_context *context, const char *identifier)
{
    rn_context_enter(context->slot); /* who peeks reads it */
    context->identifier = identifier;
    rn_context_leave(context->slot);
}

void ration_context_report_leaks(ration_context *context, bool report)
{
    context->leaks = report;
}

ration_status ration_context_status(const ration_context *context)
{
    return context->status;
}

/* --------------------------------------------------------------------------- bytes handed over */

ration_pool *rn_context_pool(const ration_context *context)
{
    return rn_slot_pool(context->slot);
}

/* A reset between the move and this leaves the bytes to the next one. */
void rn_context_add_handed(ration_context *context, int64_t bytes)
{
    (void)rn_fetch_add(&context->handed_bytes, bytes);
}

static void release_handed(ration_context *context)
{
    int64_t bytes = rn_load(&context->handed_bytes);
    if (RN_UNLIKELY(bytes > 0)) {
        (void)rn_fetch_add(&context->handed_bytes, -bytes);
        ration_pool_release(rn_context_pool(context), bytes);
    }
}

/* --------------------------------------------------------------------------------------- create */

static const rn_kind *const kinds[] = {
    [RATION_CONTEXT_BUMP] = &rn_kind_bump,
    [RATION_CONTEXT_SET] = &rn_kind_set,
    [RATION_CONTEXT_SLAB] = &rn_kind_slab,
    [RATION_CONTEXT_GENERATION] = &rn_kind_generation,
};

/* Empty, as after a reset. */
static inline void clear_context(ration_context *context)
{
    context->status = RATION_OK;
    if (context->kind->forget != NULL) {
        context->kind->forget(context);
    }
    rn_region_rewind(context);
}

/* A context with nothing in it, in no list yet. */
static ration_status make_context(rn_slot *slot, const rn_kind *kind, ration_context **out_context)
{
    int64_t bytes = rn_block_round(RN_BLOCK_BYTES_MIN);
    void *memory = NULL;
    RN_TRY(rn_block_acquire(slot, bytes, &memory));
    rn_region_block *block = (rn_region_block *)memory;
    ration_context *context = (ration_context *)(void *)(block + 1);
    *block = (rn_region_block){.bytes = bytes, .context = context};
    memset(context, 0, (size_t)kind->struct_bytes);
    context->head.allocate = RN_ARMS_BYTES > 0 ? rn_context_allocate_armed : kind->allocate;
    context->kind = kind;
    context->slot = slot;
    context->bytes_in_blocks = bytes;
    context->block_count = 1;
    context->peak_bytes = bytes;
    *out_context = context;
    return RATION_OK;
}

/* A small context that was deleted last and is of the same kind is as good as a new one. */
static inline ration_context *take_old(rn_slot *slot, const rn_kind *kind)
{
    if (!RN_KEEPS_CONTEXTS || slot->hot.shelves_used == 0) {
        return NULL;
    }
    rn_region_block *first = (rn_region_block *)rn_shelf_take(slot, RN_SHELF_CONTEXTS);
    if (first != NULL && first->context->kind != kind) {
        rn_block_release(slot, first, RN_BLOCK_BYTES_MIN);
        first = NULL;
    }
    return first == NULL ? NULL : first->context;
}

static inline void add_to_tree(ration_context *context, ration_context *parent, const char *name)
{
    rn_assert(parent == NULL || parent->slot == context->slot);
    context->name = name;
    rn_context_enter(context->slot);
    link_context(context, parent);
    rn_context_leave(context->slot);
}

ration_status ration_context_create(ration_context *parent, ration_slot *slot,
                                    ration_context_kind kind, const char *name,
                                    ration_context **out_context)
{
    if (rn_never((size_t)kind >= RN_COUNT(kinds) || kind == RATION_CONTEXT_SLAB)) {
        return RATION_INVALID_ARGUMENT;
    }
    ration_context *context = take_old(rn_slot_of(slot), kinds[kind]);
    if (RN_UNLIKELY(context == NULL)) {
        RN_TRY(make_context(rn_slot_of(slot), kinds[kind], &context));
        clear_context(context);
    }
    add_to_tree(context, parent, name);
    *out_context = context;
    return RATION_OK;
}

ration_status ration_context_create_slab(ration_context *parent, ration_slot *slot,
                                         size_t chunk_bytes, const char *name,
                                         ration_context **out_context)
{
    if (chunk_bytes == 0 || chunk_bytes > RN_SLAB_BYTES_MAX) {
        return RATION_INVALID_ARGUMENT;
    }
    ration_context *context;
    RN_TRY(make_context(rn_slot_of(slot), &rn_kind_slab, &context));
    rn_slab_set_chunk(context, chunk_bytes);
    clear_context(context);
    add_to_tree(context, parent, name);
    *out_context = context;
    return RATION_OK;
}

/* ---------------------------------------------------------------------------- reset and delete */

static ration_context *find_first_leaf(ration_context *context)
{
    while (context->child != NULL) {
        context = context->child;
    }
    return context;
}

/* Next of a subtree, children before their parents; NULL after `top`. */
static ration_context *find_next(ration_context *context, const ration_context *top)
{
    if (context == top) {
        return NULL;
    }
    return context->next != NULL ? find_first_leaf(context->next) : context->parent;
}

static void run_callbacks(ration_context *context)
{
    while (RN_UNLIKELY(context->callbacks != NULL)) {
        ration_context_callback *callback = context->callbacks;
        context->callbacks = callback->next;
        callback->call(callback->argument);
    }
}

static void run_all_callbacks(ration_context *top)
{
    for (ration_context *context = find_first_leaf(top); context != NULL;
         context = find_next(context, top)) {
        run_callbacks(context);
    }
}

/* Nothing but its first block: what is asked most often costs least. */
static inline bool is_small(const ration_context *context)
{
    return context->bytes_in_blocks == RN_BLOCK_BYTES_MIN && rn_load(&context->handed_bytes) == 0 &&
           context->identifier == NULL;
}

static void unlink_leaf(ration_context *context)
{
    rn_context_enter(context->slot);
    unlink_context(context);
    rn_context_leave(context->slot);
}

static void delete_block(ration_context *context)
{
    rn_context_verify(context, "ration_context_delete");
    rn_region_give_back(context);
    release_handed(context);
    rn_region_block *first = rn_region_first(context);
    rn_assert(context->bytes_in_blocks == first->bytes && context->block_count == 1);
    rn_block_release(context->slot, first, first->bytes);
}

/* A context without children and callbacks. */
static void delete_leaf(ration_context *context)
{
    rn_assert(context->child == NULL && context->callbacks == NULL);
    unlink_leaf(context);
    delete_block(context);
}

/* The same, small: kept as it is for the next that is created. */
static inline void delete_small(ration_context *context)
{
    unlink_leaf(context);
    context->peak_bytes = context->bytes_in_blocks;
    context->leaks = false;
    clear_context(context);
    if (!rn_shelf_put(context->slot, RN_SHELF_CONTEXTS, rn_region_first(context))) {
        delete_block(context);
    }
}

/* Leaves first. What callbacks register or create meanwhile goes too. */
static void delete_children(ration_context *context)
{
    ration_context *at = context;
    while ((at = find_first_leaf(at)) != context) {
        run_callbacks(at);
        if (at->child == NULL) {
            ration_context *parent = at->parent;
            delete_leaf(at);
            at = parent;
        }
    }
}

static void run_down(ration_context *context)
{
    run_all_callbacks(context);
    do {
        delete_children(context);
        run_callbacks(context);
    } while (context->child != NULL);
}

static void empty_context(ration_context *context)
{
    if (context->identifier != NULL) {
        ration_context_set_identifier(context, NULL);
    }
    rn_context_verify(context, "ration_context_reset");
    rn_region_give_back(context);
    release_handed(context);
    clear_context(context);
}

void ration_context_reset(ration_context *context)
{
    if (RN_LIKELY(context->child == NULL && context->callbacks == NULL && is_small(context))) {
        rn_context_verify(context, "ration_context_reset");
        clear_context(context);
        return;
    }
    run_down(context);
    empty_context(context);
}

void ration_context_reset_only(ration_context *context)
{
    run_callbacks(context);
    empty_context(context);
}

void ration_context_reset_children(ration_context *context)
{
    for (ration_context *below = find_first_leaf(context); below != context;
         below = find_next(below, context)) {
        ration_context_reset_only(below);
    }
}

void ration_context_delete(ration_context *context)
{
    if (context == NULL) {
        return;
    }
    if (RN_KEEPS_CONTEXTS &&
        RN_LIKELY(context->child == NULL && context->callbacks == NULL && is_small(context) &&
                  context->kind != &rn_kind_slab && context->slot->hot.shelves_used != 0)) {
        delete_small(context);
        return;
    }
    run_down(context);
    delete_leaf(context);
}

void ration_context_delete_children(ration_context *context)
{
    for (ration_context *child = context->child; child != NULL; child = child->next) {
        run_all_callbacks(child);
    }
    delete_children(context);
}

void ration_context_on_reset(ration_context *context, ration_context_callback *callback)
{
    callback->next = context->callbacks;
    context->callbacks = callback;
}

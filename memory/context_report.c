/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures of contexts: ration_context_bytes, _read, _report (their owner), rn_slots_peek (any
 * thread).
 *
 * A report needs the largest children of each context and allocates nothing: they are found by
 * going through the list of children once per line that is printed. That is O(most x children), of
 * a list that a report reads anyway.
 */
#include "memory/context.h"

#include <inttypes.h>

#include "memory/pool.h"
#include "memory/region.h"

#define REPORT_DEPTH_MAX 20 /* deeper contexts are added up */

/* ------------------------------------------------------------------------------------- figures */

static int64_t count_bytes(const ration_context *context)
{
    return rn_load(&context->bytes_in_blocks) + rn_load(&context->handed_bytes);
}

const ration_context *rn_context_next(const ration_context *at, const ration_context *top)
{
    if (at->child != NULL) {
        return at->child;
    }
    while (at != top && at->next == NULL) {
        at = at->parent;
    }
    return at == top ? NULL : at->next;
}

int64_t ration_context_bytes(const ration_context *context, bool with_children)
{
    int64_t bytes = count_bytes(context);
    const ration_context *at = context;
    while (with_children && (at = rn_context_next(at, context)) != NULL) {
        bytes += count_bytes(at);
    }
    return bytes;
}

/* Of the context alone; any thread that may follow its links. */
static void read_own(const ration_context *context, ration_context_figures *out_figures)
{
    ration_context_figures figures = {
        .kind = context->kind->id,
        .bytes = count_bytes(context),
        .free_bytes = -1,
        .blocks = rn_load(&context->block_count),
        .peak_bytes = rn_load(&context->peak_bytes),
    };
    rn_text name = rn_text_over(figures.name, sizeof(figures.name));
    rn_text_put(&name, context->name);
    if (context->identifier != NULL) {
        rn_text_put(&name, ": ");
        rn_text_put(&name, context->identifier);
    }
    *out_figures = figures;
}

/* Owner only. */
static int64_t count_free(const ration_context *context)
{
    return (context->end - context->at) +
           (context->kind->free_bytes == NULL ? 0 : context->kind->free_bytes(context));
}

void ration_context_read(const ration_context *context, ration_context_figures *out_figures)
{
    read_own(context, out_figures);
    out_figures->free_bytes = count_free(context);
    for (const ration_context *above = context->parent; above != NULL; above = above->parent) {
        out_figures->depth += 1;
    }
    for (const ration_context *at = rn_context_next(context, context); at != NULL;
         at = rn_context_next(at, context)) {
        out_figures->below_bytes += count_bytes(at);
        out_figures->below += 1;
    }
}

/* ----------------------------------------------------------------------------------------- peek */

typedef struct peek {
    ration_context_figures *figures;
    size_t capacity;
    size_t count; /* seen, stored or not */
} peek;

/* Parents come before children, so a context that is stored has its parent stored. `free_bytes` is
 * where the parent is among the figures, until all are there. */
static void peek_at(peek *into, ration_context *context, const ration_context *root)
{
    const ration_context *parent = context == root ? NULL : context->parent;
    int64_t above = parent == NULL ? -1 : parent->seen_at;
    context->seen_at = above;
    if (into->count < into->capacity) {
        ration_context_figures *figures = &into->figures[into->count];
        context->seen_at = (int64_t)into->count;
        read_own(context, figures);
        figures->depth = parent == NULL ? 0 : into->figures[above].depth + 1;
        figures->free_bytes = above;
    } else if (above >= 0) {
        into->figures[above].below_bytes += count_bytes(context);
        into->figures[above].below += 1;
    }
    into->count += 1;
}

/* From the last to the first: what is below a context is complete when its turn comes. */
static void add_up_below(const peek *of)
{
    for (size_t i = RN_MIN(of->count, of->capacity); i-- > 0;) {
        ration_context_figures *figures = &of->figures[i];
        if (figures->free_bytes >= 0) {
            ration_context_figures *above = &of->figures[figures->free_bytes];
            above->below_bytes += figures->bytes + figures->below_bytes;
            above->below += 1 + figures->below;
        }
        figures->free_bytes = -1;
    }
}

size_t rn_slots_peek(rn_ledger *ledger, rn_slot *const *slots, size_t slot_count,
                     ration_context_figures *figures, size_t capacity)
{
    peek into = {.figures = figures, .capacity = capacity};
    for (size_t i = 0; i < slot_count; i++) {
        if (slots[i] != NULL) {
            rn_context_shut(slots[i]);
        }
    }
    bool ordered = rn_ledger_pass_barrier(ledger);
    for (size_t i = 0; i < slot_count; i++) {
        if (slots[i] != NULL && ordered) {
            rn_context_await_leave(slots[i]);
            for (ration_context *root = slots[i]->contexts; root != NULL; root = root->next) {
                for (const ration_context *at = root; at != NULL; at = rn_context_next(at, root)) {
                    peek_at(&into, (ration_context *)(uintptr_t)at, root);
                }
            }
        }
        if (slots[i] != NULL) {
            rn_context_open(slots[i]);
        }
    }
    add_up_below(&into);
    return into.count;
}

/* -------------------------------------------------------------------------------------- report */

typedef struct report {
    int most;
    void (*line)(void *argument, const char *text);
    void *argument;
    int64_t bytes, free_bytes, blocks, contexts;
} report;

static void add_to(report *sum, int64_t contexts, int64_t bytes, int64_t free_bytes, int64_t blocks)
{
    sum->contexts += contexts;
    sum->bytes += bytes;
    sum->free_bytes += free_bytes;
    sum->blocks += blocks;
}

static void put_indent(rn_text *text, int32_t depth)
{
    for (int32_t i = 0; i < RN_MIN(depth, 20); i++) {
        rn_text_put(text, "  ");
    }
}

static void put_line(report *to, const ration_context *context, int32_t depth)
{
    ration_context_figures figures;
    ration_context_read(context, &figures);
    char buffer[256];
    rn_text text = rn_text_over(buffer, sizeof(buffer));
    put_indent(&text, depth);
    rn_text_format(&text, "%s (%s): %" PRId64 " in %" PRId64 " blocks, %" PRId64 " free",
                   figures.name, context->kind->name, figures.bytes, figures.blocks,
                   figures.free_bytes);
    if (figures.below > 0) {
        rn_text_format(&text, "; %" PRId64 " below in %" PRId64, figures.below_bytes,
                       figures.below);
    }
    to->line(to->argument, buffer);
    add_to(to, 1, figures.bytes, figures.free_bytes, figures.blocks);
}

/* The largest child after `last` (NULL: of all) in the order of size, then of the list. */
static const ration_context *find_next_largest(const ration_context *parent,
                                               const ration_context *last)
{
    const ration_context *best = NULL;
    int64_t best_bytes = -1;
    int64_t last_bytes = last == NULL ? INT64_MAX : ration_context_bytes(last, true);
    bool behind = last == NULL; /* `last` in the list */
    for (const ration_context *child = parent->child; child != NULL; child = child->next) {
        int64_t bytes = ration_context_bytes(child, true);
        bool follows = bytes < last_bytes || (bytes == last_bytes && behind);
        if (follows && bytes > best_bytes) {
            best = child;
            best_bytes = bytes;
        }
        behind |= child == last;
    }
    return best;
}

/* All contexts below `top`. */
static report add_up(const ration_context *top)
{
    report sum = {0};
    for (const ration_context *at = rn_context_next(top, top); at != NULL;
         at = rn_context_next(at, top)) {
        add_to(&sum, 1, count_bytes(at), count_free(at), rn_load(&at->block_count));
    }
    return sum;
}

static void put_sum(const report *to, const report *sum, int32_t depth, const char *what)
{
    char buffer[256];
    rn_text text = rn_text_over(buffer, sizeof(buffer));
    put_indent(&text, depth);
    rn_text_format(&text, "%" PRId64 " %s: %" PRId64 " in %" PRId64 " blocks, %" PRId64 " free",
                   sum->contexts, what, sum->bytes, sum->blocks, sum->free_bytes);
    to->line(to->argument, buffer);
}

static void put_tree(report *to, const ration_context *context, int32_t depth)
{
    put_line(to, context, depth);
    report rest = add_up(context);
    report before = *to;
    const ration_context *child = NULL;
    int most = depth < REPORT_DEPTH_MAX ? to->most : 0;
    for (int i = 0; i < most && (child = find_next_largest(context, child)) != NULL; i++) {
        put_tree(to, child, depth + 1);
    }
    add_to(&rest, before.contexts - to->contexts, before.bytes - to->bytes,
           before.free_bytes - to->free_bytes, before.blocks - to->blocks);
    if (rest.contexts > 0) {
        put_sum(to, &rest, depth + 1, "more contexts");
        add_to(to, rest.contexts, rest.bytes, rest.free_bytes, rest.blocks);
    }
}

void ration_context_report(const ration_context *context, int most,
                           void (*line)(void *argument, const char *text), void *argument)
{
    report to = {.most = most, .line = line, .argument = argument};
    put_tree(&to, context, 0);
    put_sum(&to, &to, 0, "contexts");
}

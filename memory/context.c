/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts: regions of memory in a tree. ration_context_create -> ration_context_allocate .. ->
 * ration_context_reset or ration_context_delete. What a kind does inside of a block is in
 * context_bump.c and context_set.c; this file is the tree, the blocks, callbacks, and the bound.
 *
 * A context charges blocks, never chunks: 8 KiB first, doubling to 64 KiB, and a chunk above 16 KiB
 * in a block of its own. The context itself lies in its first block, which a reset keeps.
 *
 * Reset and delete run all callbacks of the subtree first, children before parents and newest
 * first, while all memory is still there; then children are deleted, leaves first, without
 * recursion.
 *
 * Bytes that a guard handed to a context are direct bytes of its slot's pool, not of its slot: the
 * guard may be on another thread.
 *
 * The bound. Chunks are multiples of a grain (8 bump, 16 set). A block in which chunks of at most m
 * are put is left for the next only when a chunk does not fit: then at least payload - m + grain
 * was taken from it. So draws follow the ladder of block sizes until those least amounts add up to
 * all that is asked. A step of the ladder may be skipped by a chunk that is larger than its
 * payload; such a step counts as taking nothing, so leaving it in only makes the bound larger. A
 * block of one chunk's own is below twice the chunk and its head.
 *
 * Rejected: a list of emptied contexts ready for use, as PostgreSQL keeps; the retained blocks of
 * blocks.c serve the same end.
 */
#include "memory/context.h"

#include "memory/poison.h"
#include "memory/region.h"
#include "memory/transfer.h"

static void publish_bytes(ration_context *context, int64_t bytes)
{
    rn_store(&context->bytes_in_blocks, bytes);
    context->peak_bytes = RN_MAX(context->peak_bytes, bytes);
}

/* --------------------------------------------------------------------------------------- blocks */

rn_region_block *rn_region_grow(ration_context *context, int64_t block_bytes)
{
    void *memory = NULL;
    ration_status status = rn_block_acquire(context->slot, block_bytes, &memory);
    if (status != RATION_OK) {
        context->status = status; /* kept when a later, smaller one fits: several may be asked for
                                     before a look at it */
        return NULL;
    }
    rn_region_block *block = (rn_region_block *)memory;
    *block = (rn_region_block){.next = context->blocks, .bytes = block_bytes};
    if (block->next != NULL) {
        block->next->previous = block;
    }
    context->blocks = block;
    publish_bytes(context, rn_load(&context->bytes_in_blocks) + block_bytes);
    rn_poison(block + 1, (size_t)(block_bytes - RN_REGION_HEAD_BYTES));
    return block;
}

void rn_region_shrink(ration_context *context, rn_region_block *block)
{
    if (block->previous != NULL) {
        block->previous->next = block->next;
    } else {
        context->blocks = block->next;
    }
    if (block->next != NULL) {
        block->next->previous = block->previous;
    }
    int64_t bytes = block->bytes;
    publish_bytes(context, rn_load(&context->bytes_in_blocks) - bytes);
    rn_block_release(context->slot, block, bytes);
}

int64_t rn_region_next_bytes(const ration_context *context, int64_t chunk_bytes)
{
    int64_t bytes = context->next_bytes;
    while (bytes - RN_REGION_HEAD_BYTES < chunk_bytes) {
        bytes *= 2;
    }
    return bytes;
}

bool rn_region_advance(ration_context *context, int64_t chunk_bytes)
{
    rn_assert(chunk_bytes <= RN_CHUNK_BYTES_MAX);
    rn_region_block *block = rn_region_grow(context, rn_region_next_bytes(context, chunk_bytes));
    if (block == NULL) {
        return false;
    }
    context->at = (char *)(block + 1);
    context->end = (char *)block + block->bytes;
    context->next_bytes = RN_MIN(block->bytes * 2, RN_BLOCK_BYTES);
    return true;
}

void *rn_region_allocate_alone(ration_context *context, int64_t chunk_bytes)
{
    int64_t bytes = rn_block_round(rn_add(chunk_bytes, RN_REGION_HEAD_BYTES));
    rn_region_block *block = rn_region_grow(context, bytes);
    if (block == NULL) {
        return NULL;
    }
    rn_unpoison(block + 1, (size_t)chunk_bytes);
    return block + 1;
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
    if (bytes > 0) {
        (void)rn_fetch_add(&context->handed_bytes, -bytes);
        ration_pool_release(rn_context_pool(context), bytes);
    }
}

/* ----------------------------------------------------------------------------------------- tree */

static void link_context(ration_context *context, ration_context *parent)
{
    context->parent = parent;
    context->previous = NULL;
    context->next = parent == NULL ? NULL : parent->child;
    if (context->next != NULL) {
        context->next->previous = context;
    }
    if (parent != NULL) {
        parent->child = context;
    }
}

static void unlink_context(ration_context *context)
{
    if (context->previous != NULL) {
        context->previous->next = context->next;
    } else if (context->parent != NULL) {
        context->parent->child = context->next;
    }
    if (context->next != NULL) {
        context->next->previous = context->previous;
    }
    context->parent = context->next = context->previous = NULL;
}

static size_t count_struct_bytes(ration_context_kind kind)
{
    return kind == RATION_CONTEXT_SET ? rn_set_struct_bytes() : sizeof(ration_context);
}

/* The first block of a context with nothing in it yet. */
static void rewind_to_first_block(ration_context *context)
{
    char *block = (char *)context - RN_REGION_HEAD_BYTES;
    context->at = (char *)context + count_struct_bytes(context->kind);
    context->end = block + context->first_bytes;
    context->next_bytes = RN_MIN(context->first_bytes * 2, RN_BLOCK_BYTES);
    rn_bury(context->at, (size_t)(context->end - context->at));
}

ration_status ration_context_create(ration_context *parent, ration_slot *slot,
                                    ration_context_kind kind, const char *name,
                                    ration_context **out_context)
{
    rn_slot *self = rn_slot_of(slot);
    rn_assert(parent == NULL || parent->slot == self);
    int64_t bytes = rn_block_round(RN_BLOCK_BYTES_MIN);
    void *memory = NULL;
    RN_TRY(rn_block_acquire(self, bytes, &memory));
    rn_region_block *block = (rn_region_block *)memory;
    *block = (rn_region_block){.bytes = bytes};
    ration_context *context = (ration_context *)(void *)(block + 1);
    memset(context, 0, count_struct_bytes(kind));
    context->slot = self;
    context->name = name;
    context->kind = kind;
    context->first_bytes = bytes;
    publish_bytes(context, bytes);
    rewind_to_first_block(context);
    link_context(context, parent);
    *out_context = context;
    return RATION_OK;
}

static ration_context *find_first_leaf(ration_context *context)
{
    while (context->child != NULL) {
        context = context->child;
    }
    return context;
}

static void run_callbacks(ration_context *top)
{
    ration_context *context = find_first_leaf(top);
    for (;;) {
        ration_context_callback *callback = context->callbacks;
        context->callbacks = NULL; /* what a callback registers belongs to the next reset */
        while (callback != NULL) {
            ration_context_callback *next = callback->next;
            callback->call(callback->argument);
            callback = next;
        }
        if (context == top) {
            return;
        }
        context = context->next != NULL ? find_first_leaf(context->next) : context->parent;
    }
}

/* A context without children and callbacks. */
static void delete_leaf(ration_context *context)
{
    rn_assert(context->child == NULL && context->callbacks == NULL);
    while (context->blocks != NULL) {
        rn_region_shrink(context, context->blocks);
    }
    release_handed(context);
    unlink_context(context);
    rn_slot *slot = context->slot;
    int64_t bytes = context->first_bytes;
    rn_assert(rn_load(&context->bytes_in_blocks) == bytes);
    rn_block_release(slot, (char *)context - RN_REGION_HEAD_BYTES, bytes);
}

static void delete_children(ration_context *context)
{
    while (context->child != NULL) {
        delete_leaf(find_first_leaf(context->child));
    }
}

void ration_context_reset(ration_context *context)
{
    run_callbacks(context);
    delete_children(context);
    while (context->blocks != NULL) {
        rn_region_shrink(context, context->blocks);
    }
    release_handed(context);
    context->status = RATION_OK;
    if (context->kind == RATION_CONTEXT_SET) {
        rn_set_forget(context);
    }
    rewind_to_first_block(context);
}

void ration_context_delete(ration_context *context)
{
    if (context == NULL) {
        return;
    }
    run_callbacks(context);
    delete_children(context);
    delete_leaf(context);
}

void ration_context_on_reset(ration_context *context, ration_context_callback *callback)
{
    callback->next = context->callbacks;
    context->callbacks = callback;
}

void ration_context_set_parent(ration_context *context, ration_context *parent)
{
    rn_assert(parent == NULL || parent->slot == context->slot);
    for (const ration_context *above = parent; above != NULL; above = above->parent) {
        if (rn_never(above == context)) {
            return;
        }
    }
    unlink_context(context);
    link_context(context, parent);
}

/* ----------------------------------------------------------------------------------- allocation */

void *ration_context_allocate(ration_context *context, size_t bytes)
{
    return context->kind == RATION_CONTEXT_BUMP ? rn_bump_allocate(context, bytes)
                                                : rn_set_allocate(context, bytes);
}

void *ration_context_allocate_zero(ration_context *context, size_t bytes)
{
    void *memory = ration_context_allocate(context, bytes);
    return memory == NULL ? NULL : memset(memory, 0, bytes);
}

ration_status ration_context_status(const ration_context *context)
{
    return context->status;
}

/* -------------------------------------------------------------------------------------- reading */

const char *rn_context_name(const ration_context *context)
{
    return context->name;
}

int64_t rn_context_peak(const ration_context *context)
{
    return context->peak_bytes;
}

ration_context *rn_context_child(ration_context *parent, ration_context *previous)
{
    return previous == NULL ? parent->child : previous->next;
}

static int64_t count_bytes(const ration_context *context)
{
    return rn_load(&context->bytes_in_blocks) + rn_load(&context->handed_bytes);
}

int64_t ration_context_bytes(const ration_context *context, bool with_children)
{
    int64_t bytes = count_bytes(context);
    const ration_context *at = context;
    while (with_children) {
        if (at->child != NULL) {
            at = at->child;
        } else {
            while (at != context && at->next == NULL) {
                at = at->parent;
            }
            if (at == context) {
                break;
            }
            at = at->next;
        }
        bytes += count_bytes(at);
    }
    return bytes;
}

/* ---------------------------------------------------------------------------------------- bound */

int64_t rn_context_chunk_bytes(const ration_context *context, size_t bytes)
{
    int64_t wanted = bytes > (size_t)INT64_MAX ? INT64_MAX : (int64_t)bytes;
    return context->kind == RATION_CONTEXT_BUMP ? rn_bump_chunk_bytes(wanted)
                                                : rn_set_chunk_bytes(wanted);
}

static int64_t count_left(const ration_context *context, int64_t grain)
{
    return (int64_t)(context->end - context->at) & ~(grain - 1);
}

int64_t rn_context_bound_one(const ration_context *context, size_t bytes)
{
    int64_t chunk = rn_context_chunk_bytes(context, bytes);
    if (chunk > RN_CHUNK_BYTES_MAX) {
        return rn_block_round(rn_add(chunk, RN_REGION_HEAD_BYTES));
    }
    return chunk <= count_left(context, 1) ? 0 : rn_region_next_bytes(context, chunk);
}

/* Regular blocks for chunks of together `bytes`, each at most `most`. */
static int64_t bound_regular(const ration_context *context, int64_t bytes, int64_t most,
                             int64_t grain)
{
    int64_t left = count_left(context, grain);
    if (bytes <= left) {
        return 0;
    }
    int64_t drawn = 0;
    int64_t block = context->next_bytes;
    bytes -= RN_MAX(left - most + grain, 0);
    for (; bytes > 0 && block < RN_BLOCK_BYTES; block *= 2) {
        int64_t payload = (block - RN_REGION_HEAD_BYTES) & ~(grain - 1);
        bytes -= RN_MAX(payload - most + grain, 0);
        drawn += block;
    }
    if (bytes > 0) {
        int64_t least = ((block - RN_REGION_HEAD_BYTES) & ~(grain - 1)) - most + grain;
        int64_t count = rn_add(bytes, least - 1) / least;
        drawn = rn_add(drawn, rn_multiply(count, block));
    }
    return drawn;
}

int64_t rn_context_bound(const ration_context *context, size_t chunk_bytes, size_t largest)
{
    int64_t grain = context->kind == RATION_CONTEXT_BUMP ? 8 : 16;
    int64_t bytes =
        rn_round_up(chunk_bytes > (size_t)INT64_MAX ? INT64_MAX : (int64_t)chunk_bytes, grain);
    int64_t most = rn_context_chunk_bytes(context, largest);
    if (most <= RN_CHUNK_BYTES_MAX) {
        return bound_regular(context, bytes, most, grain);
    }
    /* A byte costs less than two, in a regular block too (64 KiB holds more than 48), beyond the
     * ladder and a last block. */
    int64_t heads = rn_multiply(bytes / RN_CHUNK_BYTES_MAX + 1, RN_REGION_HEAD_BYTES);
    int64_t ladder = 2 * RN_BLOCK_BYTES - context->next_bytes;
    /* A block of one chunk's own is below twice the chunk; below four times where pages are 64 KiB.
     */
    int64_t waste = rn_block_round(RN_BLOCK_BYTES_MIN) > RN_BLOCK_BYTES / 2 ? 4 : 2;
    return rn_add(ladder, rn_multiply(rn_add(bytes, heads), waste));
}

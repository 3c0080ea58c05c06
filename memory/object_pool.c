/* SPDX-License-Identifier: Apache-2.0
 *
 * Object pools: objects of one size, freed in any order. ration_object_pool_open ->
 * ration_object_pool_allocate .. ration_object_pool_free -> ration_object_pool_close; or as a
 * resource.
 *
 *     first block, 8 KiB:  head | the pool | object | object | ..
 *     others, 64 KiB:      head | object | object | ..
 *
 * A block lies at a multiple of its size, so an object's block is found by its address, and objects
 * have no header. Each block has a list of freed objects, and a line up to which it has ever been
 * used. Objects come from the block in hand until that is full, then from the block that was full
 * last: of those with room that is about the fullest one, and its memory the warmest, so others
 * run empty and are given back. The block in hand is never given back, which keeps a pool that
 * swings around a block's edge from asking each time.
 *
 *   1. live = objects in use = those below the line less those in the list (checked builds: and
 *      those in quarantine).
 *   2. A block is in the list `open` if and only if it has room and is not in hand.
 *   3. Every block but the first has live > 0 or is in hand.
 *
 * Checked builds: every object has a front and a tail (sentry.h), and waits in quarantine when it
 * is freed.
 *
 * Rejected: blocks sorted by how full they are. It costs a list move at each free; blocks that were
 * full last come close without.
 */
#include "memory/poison.h"
#include "memory/resource.h"

#define OBJECT_BYTES_MAX ((size_t)16000)

typedef struct pool_block {
    struct pool_block *next, *previous; /* all but the first, newest first; `next` comes first:
                                           blocks are given back in chains (blocks.h) */
    struct pool_block *next_open, *previous_open;
    void *free;
    uint32_t line, end; /* from the block's start: objects were never handed out beyond the line */
    int64_t live;
    ration_object_pool *pool;
} pool_block;

struct ration_object_pool {
    ration_resource resource;
    pool_block *hand;
    pool_block *open;   /* have room; full last first */
    pool_block *blocks; /* all but the first */
    pool_block *oldest; /* of these */
    rn_slot *slot;
    const char *name;
    size_t object_bytes, align, stride;
    int64_t block_count; /* in `blocks` */
    int64_t first_bytes;
    int64_t allocations, deallocations, refusals;
    int64_t peak_bytes;
    ration_status status;
    rn_quarantine quarantine;
};

static ration_object_pool *pool_of(const ration_resource *resource)
{
    return (ration_object_pool *)(uintptr_t)resource;
}

static int64_t count_held(const ration_object_pool *pool)
{
    return pool->first_bytes + pool->block_count * RN_BLOCK_BYTES;
}

static pool_block *first_block(const ration_object_pool *pool)
{
    return (pool_block *)((uintptr_t)pool - sizeof(pool_block));
}

static rn_place place_of(const ration_object_pool *pool, const char *call)
{
    return (rn_place){.noun = "resource", .name = pool->name, .kind = "object pool", .call = call};
}

/* --------------------------------------------------------------------------------------- blocks */

static void begin_block(ration_object_pool *pool, pool_block *block, int64_t bytes, char *start)
{
    start += rn_align_gap(start + RN_FRONT_BYTES, pool->align);
    size_t room = (size_t)((char *)block + bytes - start);
    block->pool = pool;
    block->line = (uint32_t)(start - (char *)block);
    block->end = block->line + (uint32_t)(room / pool->stride * pool->stride);
    rn_bury(start, room);
}

static void open_block(ration_object_pool *pool, pool_block *block)
{
    block->previous_open = NULL;
    block->next_open = pool->open;
    if (block->next_open != NULL) {
        block->next_open->previous_open = block;
    }
    pool->open = block;
}

static void close_block(ration_object_pool *pool, pool_block *block)
{
    if (block->previous_open != NULL) {
        block->previous_open->next_open = block->next_open;
    } else {
        pool->open = block->next_open;
    }
    if (block->next_open != NULL) {
        block->next_open->previous_open = block->previous_open;
    }
}

static bool has_room(const pool_block *block)
{
    return block->free != NULL || block->line < block->end;
}

static pool_block *add_block(ration_object_pool *pool)
{
    void *memory = NULL;
    ration_status status = rn_block_acquire(pool->slot, RN_BLOCK_BYTES, &memory);
    if (status != RATION_OK) {
        pool->status = status;
        return NULL;
    }
    rn_assert(((uintptr_t)memory & (uintptr_t)(RN_BLOCK_BYTES - 1)) == 0);
    pool_block *block = (pool_block *)memory;
    *block = (pool_block){.next = pool->blocks};
    if (block->next != NULL) {
        block->next->previous = block;
    } else {
        pool->oldest = block;
    }
    pool->blocks = block;
    pool->block_count += 1;
    pool->peak_bytes = RN_MAX(pool->peak_bytes, count_held(pool));
    begin_block(pool, block, RN_BLOCK_BYTES, (char *)(block + 1));
    return block;
}

static void remove_block(ration_object_pool *pool, pool_block *block)
{
    if (block->previous != NULL) {
        block->previous->next = block->next;
    } else {
        pool->blocks = block->next;
    }
    if (block->next != NULL) {
        block->next->previous = block->previous;
    } else {
        pool->oldest = block->previous;
    }
    pool->block_count -= 1;
    rn_unpoison(block + 1, (size_t)RN_BLOCK_BYTES - sizeof(*block));
    rn_block_release(pool->slot, block, RN_BLOCK_BYTES);
}

/* -------------------------------------------------------------------------------------- objects */

static pool_block *block_of(const ration_object_pool *pool, const void *raw)
{
    uintptr_t address = (uintptr_t)raw;
    if (address - (uintptr_t)pool < (uintptr_t)pool->first_bytes) {
        return first_block(pool);
    }
    return (pool_block *)(address & ~(uintptr_t)(RN_BLOCK_BYTES - 1));
}

/* Raw memory of an object from a block that has room. */
static void *take_raw(ration_object_pool *pool, pool_block *block)
{
    void *raw = block->free;
    if (raw != NULL) {
        rn_place place = place_of(pool, "ration_object_pool_allocate");
        rn_chunk_verify_buried(raw, &place);
        rn_open(raw, sizeof(void *));
        block->free = *(void **)raw;
    } else {
        raw = (char *)block + block->line;
        block->line += (uint32_t)pool->stride;
    }
    rn_unpoison(raw, pool->stride);
    block->live += 1;
    return raw;
}

/* Back into its block, which is given back when it was the last one there. */
static void put_raw(ration_object_pool *pool, void *raw)
{
    pool_block *block = block_of(pool, raw);
    bool had_room = has_room(block);
    rn_open(raw, sizeof(void *));
    *(void **)raw = block->free;
    rn_poison(raw, sizeof(void *));
    block->free = raw;
    block->live -= 1;
    if (block == pool->hand) {
        return;
    }
    if (!had_room && !has_room(pool->hand)) {
        pool->hand = block;
        return;
    }
    if (!had_room) {
        open_block(pool, block);
    }
    if (block->live == 0 && block != first_block(pool)) {
        close_block(pool, block);
        remove_block(pool, block);
    }
}

static void *allocate_slow(ration_object_pool *pool)
{
    pool_block *block = pool->open;
    if (block != NULL) {
        close_block(pool, block);
    } else {
        block = add_block(pool);
    }
    if (block != NULL) {
        pool->hand = block;
        return take_raw(pool, block);
    }
    /* Refused. In checked builds there may be objects that wait. */
    rn_place place = place_of(pool, "ration_object_pool_allocate");
    void *waited = rn_quarantine_take(&pool->quarantine, &place);
    if (waited == NULL) {
        pool->refusals += 1;
        return NULL;
    }
    put_raw(pool, waited);
    if (!has_room(pool->hand)) {
        return allocate_slow(pool);
    }
    return take_raw(pool, pool->hand);
}

void *ration_object_pool_allocate(ration_object_pool *pool)
{
    pool_block *block = pool->hand;
    void *raw = RN_LIKELY(has_room(block)) ? take_raw(pool, block) : allocate_slow(pool);
    if (RN_UNLIKELY(raw == NULL)) {
        return NULL;
    }
    pool->allocations += 1;
    return rn_chunk_arm(raw, pool->object_bytes);
}

/* An object, as is known by now. */
static void free_object(ration_object_pool *pool, void *object)
{
    if (RN_UNLIKELY(block_of(pool, object)->pool != pool)) {
        (void)rn_resource_fault(&pool->resource, "ration_object_pool_free", 0,
                                "foreign free: an object of another pool");
        return;
    }
    pool->deallocations += 1;
#ifdef RATION_CHECKED
    rn_place place = place_of(pool, "ration_object_pool_free");
    void *raw = rn_chunk_disarm(object, &place);
    rn_chunk_bury(raw, &place);
    raw = rn_quarantine_push(&pool->quarantine, raw, &place);
    for (; raw != NULL; raw = rn_quarantine_next(&pool->quarantine, &place)) {
        put_raw(pool, raw);
    }
#else
    put_raw(pool, object);
#endif
}

void ration_object_pool_free(ration_object_pool *pool, void *object)
{
    if (object != NULL) {
        rn_chunk_expect(object, __func__);
        free_object(pool, object);
    }
}

/* --------------------------------------------------------------------------------- the resource */

static ration_status pool_allocate(ration_resource *resource, size_t bytes, size_t align,
                                   ration_block *out_block)
{
    ration_object_pool *pool = pool_of(resource);
    if (bytes > pool->object_bytes || align > pool->align) {
        return RATION_INVALID_ARGUMENT;
    }
    void *object = ration_object_pool_allocate(pool);
    if (object == NULL) {
        return pool->status;
    }
    *out_block = (ration_block){.memory = object, .bytes = pool->object_bytes};
    return RATION_OK;
}

static void pool_deallocate(ration_resource *resource, ration_block block, size_t align)
{
    (void)align;
    free_object(pool_of(resource), block.memory);
}

static bool pool_resize(ration_resource *resource, ration_block *block, size_t bytes, size_t align)
{
    (void)align;
    const ration_object_pool *pool = pool_of(resource);
    bool fits = bytes <= pool->object_bytes;
    block->bytes = fits ? pool->object_bytes : block->bytes;
    return fits;
}

static size_t pool_measure(ration_resource *resource, ration_block block, size_t align)
{
    (void)block;
    (void)align;
    return pool_of(resource)->object_bytes;
}

static void pool_info(const ration_resource *resource, ration_resource_info *info)
{
    const ration_object_pool *pool = pool_of(resource);
    info->name = pool->name;
    info->blocks = pool->allocations - pool->deallocations;
    info->bytes = info->blocks * (int64_t)pool->object_bytes;
    info->held_bytes = count_held(pool);
    info->peak_bytes = pool->peak_bytes;
    info->allocations = pool->allocations;
    info->deallocations = pool->deallocations;
    info->refusals = pool->refusals;
}

static const ration_resource_calls pool_calls = {
    .size = sizeof(pool_calls),
    .kind = "object pool",
    .allocate = pool_allocate,
    .deallocate = pool_deallocate,
    .resize = pool_resize,
    .measure = pool_measure,
    .info = pool_info,
};

/* ------------------------------------------------------------------------------- open and close */

ration_status ration_object_pool_open(ration_slot *slot, size_t object_bytes, size_t align,
                                      const char *name, ration_object_pool **out_pool)
{
    if (object_bytes == 0 || object_bytes > OBJECT_BYTES_MAX || !rn_is_power_of_two(align) ||
        align > RATION_ALIGN_MAX) {
        return RATION_INVALID_ARGUMENT;
    }
    rn_slot *owner = rn_slot_of(slot);
    int64_t bytes = rn_block_round(RN_BLOCK_BYTES_MIN);
    void *memory = NULL;
    RN_TRY(rn_block_acquire(owner, bytes, &memory));
    pool_block *block = (pool_block *)memory;
    ration_object_pool *pool = (ration_object_pool *)(void *)(block + 1);
    *block = (pool_block){0};
    *pool = (ration_object_pool){
        .resource.calls = &pool_calls,
        .hand = block,
        .slot = owner,
        .name = name,
        .object_bytes = object_bytes,
        .align = RN_MAX(align, sizeof(void *)),
        .first_bytes = bytes,
        .peak_bytes = bytes,
    };
    pool->stride = rn_step_up(RN_FRONT_BYTES + RN_MAX(object_bytes, sizeof(void *)) + RN_TAIL_BYTES,
                              pool->align);
    begin_block(pool, block, bytes, (char *)(pool + 1));
    *out_pool = pool;
    return RATION_OK;
}

#ifdef RATION_CHECKED

/* Looks at all objects of a block; those in use are leaks. */
static void verify_block(const ration_object_pool *pool, pool_block *block, char *start,
                         rn_leaks *leaks, const rn_place *place)
{
    start += rn_align_gap(start + RN_FRONT_BYTES, pool->align);
    for (char *raw = start; raw < (char *)block + block->line; raw += pool->stride) {
        if (rn_chunk_is_buried(raw)) {
            rn_chunk_verify_buried(raw, place);
        } else {
            rn_chunk_verify_live(rn_chunk_user(raw), place);
            rn_leaks_add(leaks, rn_chunk_user(raw));
        }
    }
}

static void verify_all(ration_object_pool *pool, const char *call)
{
    rn_place place = place_of(pool, call);
    rn_leaks leaks = {0};
    verify_block(pool, first_block(pool), (char *)(pool + 1), &leaks, &place);
    for (pool_block *block = pool->blocks; block != NULL; block = block->next) {
        verify_block(pool, block, (char *)(block + 1), &leaks, &place);
        rn_unpoison(block + 1, (size_t)RN_BLOCK_BYTES - sizeof(*block));
    }
    rn_leaks_end(&leaks, &place);
    rn_resource_forget(&pool->resource, 0);
    rn_resource_end(&pool->resource, 0, call);
}

#else

static void verify_all(const ration_object_pool *pool, const char *call)
{
    (void)pool;
    (void)call;
}

#endif

void ration_object_pool_close(ration_object_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    verify_all(pool, __func__);
    rn_slot *slot = pool->slot;
    if (pool->block_count > 0) {
        rn_block_release_chain(slot, pool->blocks, pool->oldest, pool->block_count);
    }
    pool_block *first = first_block(pool);
    int64_t bytes = pool->first_bytes;
    rn_unpoison(first, (size_t)bytes);
    rn_block_release(slot, first, bytes);
}

ration_status ration_object_pool_status(const ration_object_pool *pool)
{
    return pool->status;
}

ration_resource *ration_object_pool_resource(ration_object_pool *pool)
{
    return &pool->resource;
}

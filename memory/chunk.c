/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks: ration_context_allocate and its forms -> ration_context_reallocate ->
 * ration_context_free. What all kinds share: what checked builds put around a chunk (sentry.h),
 * alignment, and the way from a chunk to its context.
 *
 * A chunk of a set, slab or generation, and one alone in its block, has 8 bytes in front of its raw
 * bytes that lead to its context. A chunk aligned beyond 16 lies inside of a larger one; 8 bytes in
 * front of it (ALIAS) say how far, and the larger chunk's first raw bytes say it too, for walks
 * over all chunks of a block.
 *
 *   1. A header's state is LIVE or ALONE from allocate to free: freeing twice, or what is no chunk,
 *      is found out, also in release builds unless the memory was used again or is unmapped.
 */
#include "memory/context.h"

#include "memory/poison.h"
#include "memory/region.h"
#include "memory/set.h"

/* ----------------------------------------------------------------------------------- allocation */

/* What waits in quarantine goes back to the kind; false when nothing did. */
static bool empty_quarantine(ration_context *context)
{
    bool emptied = false;
#ifdef RATION_CHECKED
    rn_place place = rn_context_place(context, "ration_context_allocate");
    void *raw;
    while ((raw = rn_quarantine_take(&context->quarantine, &place)) != NULL) {
        context->kind->free(context, (rn_chunk *)raw - 1);
        emptied = true;
    }
#else
    (void)context;
#endif
    return emptied;
}

/* Raw bytes for `bytes` of the caller's and what is put around them; NULL when refused. */
static void *allocate_raw(ration_context *context, size_t bytes)
{
    if (RN_UNLIKELY(bytes > RN_CONTEXT_BYTES_MAX)) {
        context->status = RATION_NO_MEMORY;
        return NULL;
    }
    bytes += (size_t)RN_ARMS_BYTES;
    ration_status before = context->status;
    void *raw = context->kind->allocate(context, bytes);
    if (raw == NULL && empty_quarantine(context)) {
        raw = context->kind->allocate(context, bytes);
        context->status = raw == NULL ? context->status : before;
    }
    return raw;
}

void *rn_context_allocate_armed(ration_context *context, size_t bytes)
{
    void *raw = allocate_raw(context, bytes);
    return raw == NULL ? NULL : rn_chunk_arm(raw, bytes);
}

void *ration_context_allocate_zero(ration_context *context, size_t bytes)
{
    void *memory = ration_context_allocate(context, bytes);
    return memory == NULL ? NULL : memset(memory, 0, bytes);
}

void *ration_context_allocate_unchecked(ration_context *context, size_t bytes)
{
    context->unchecked = true;
    void *memory = ration_context_allocate(context, bytes);
    context->unchecked = false;
    return memory;
}

/* Bytes to leave free so that what follows is aligned. Checked builds fill them with a chunk, which
 * has a least size. */
static size_t count_gap(const char *at, size_t align)
{
    size_t gap = (size_t)(-((uintptr_t)at + RN_FRONT_BYTES)) & (align - 1);
#ifdef RATION_CHECKED
    while (gap != 0 && gap < (size_t)RN_ARMS_BYTES) {
        gap += align;
    }
#endif
    return gap;
}

/* In the block in hand of a bump context, or a new one with room for `most`; NULL when refused. */
static void *allocate_aligned_bump(ration_context *context, size_t bytes, size_t align, size_t most)
{
    size_t gap = count_gap(context->at, align);
    size_t left = (size_t)(context->end - context->at);
    if (gap + RN_MAX(bytes + (size_t)RN_ARMS_BYTES, 1) > left) {
        if (!rn_region_advance(context, (int64_t)most)) {
            return NULL;
        }
        gap = count_gap(context->at, align);
    }
    if (gap > 0) {
        void *filler = context->kind->allocate(context, gap);
        (void)rn_chunk_arm(filler, gap - (size_t)RN_ARMS_BYTES);
    }
    return ration_context_allocate(context, bytes);
}

void *ration_context_allocate_aligned(ration_context *context, size_t bytes, size_t align)
{
    bool slab = context->kind == &rn_kind_slab;
    if (rn_never(align == 0 || (align & (align - 1)) != 0) || align > RN_CONTEXT_ALIGN_MAX ||
        (slab && align > 16)) {
        context->status = RATION_INVALID_ARGUMENT;
        return NULL;
    }
    if (align <= (size_t)context->kind->grain) {
        return ration_context_allocate(context, bytes);
    }
    if (RN_UNLIKELY(bytes > RN_CONTEXT_BYTES_MAX - RN_CONTEXT_ALIGN_MAX)) {
        context->status = RATION_NO_MEMORY;
        return NULL;
    }
    bool bump = context->kind == &rn_kind_bump;
    size_t most = bytes + align + 2 * (size_t)RN_ARMS_BYTES + 8;
    if (bump && most <= (size_t)RN_CHUNK_BYTES_MAX) {
        return allocate_aligned_bump(context, bytes, align, most);
    }
    char *raw = bump ? rn_region_allocate_alone(context, (int64_t)(bytes + align) + RN_ARMS_BYTES)
                     : allocate_raw(context, bytes + align);
    if (raw == NULL) {
        return NULL;
    }
    uintptr_t user = ((uintptr_t)raw + 8 + RN_FRONT_BYTES + align - 1) & ~(uintptr_t)(align - 1);
    char *front = (char *)(user - RN_FRONT_BYTES);
    size_t distance = (size_t)(front - raw);
    uint32_t shift = (uint32_t)__builtin_ctzll(align);
    rn_chunk *chunk = (rn_chunk *)(void *)raw - 1;
    rn_open(chunk, sizeof(*chunk));
    chunk->word |= RN_CHUNK_MOVED;
    *(uint64_t *)(void *)raw = distance; /* 16 at least: the alias lies behind it */
    ((rn_chunk *)(void *)front - 1)->word =
        rn_chunk_word((void *)(uintptr_t)distance, shift, RN_CHUNK_ALIAS);
    rn_poison(chunk, sizeof(*chunk) + distance);
    return rn_chunk_arm(front, bytes);
}

/* ------------------------------------------------------------------------ from chunk to context */

typedef struct found {
    rn_chunk *chunk; /* NULL: `memory` is none, which has been reported */
    ration_context *context;
    size_t distance; /* of the caller's bytes in the raw ones, without the front */
    size_t align;    /* asked for; 1 = none */
} found;

static found find_chunk(const void *memory, const char *call)
{
    rn_chunk_expect(memory, call);
    rn_chunk *chunk = (rn_chunk *)rn_chunk_raw(memory) - 1;
    rn_open(chunk, sizeof(*chunk));
    found here = {.align = 1};
    uint32_t moved = 0;
    uint64_t word = chunk->word;
    if (RN_CHUNK_STATE(word) == RN_CHUNK_ALIAS) {
        here.distance = (size_t)(uintptr_t)rn_chunk_owner(word);
        here.align = (size_t)1 << rn_chunk_size(word);
        rn_poison(chunk, sizeof(*chunk));
        chunk = (rn_chunk *)(void *)((char *)(chunk + 1) - here.distance) - 1;
        rn_open(chunk, sizeof(*chunk));
        word = chunk->word;
        moved = RN_CHUNK_MOVED;
    }
    uint32_t state = RN_CHUNK_STATE(word);
    if ((state != RN_CHUNK_LIVE && state != RN_CHUNK_ALONE) || (word & RN_CHUNK_MOVED) != moved) {
        rn_chunk_report_header(memory, call);
        (void)rn_never(true);
        return here;
    }
    here.chunk = chunk;
    here.context =
        (word & RN_CHUNK_IN_BLOCK) != 0 ? rn_chunk_block(chunk)->context : rn_chunk_set(word);
    return here;
}

static void close_chunk(const found *here)
{
    if (here->chunk != NULL) {
        rn_poison(here->chunk, sizeof(*here->chunk));
    }
}

int64_t rn_chunk_bytes_of(const rn_chunk *chunk)
{
    uint64_t word = chunk->word;
    if (rn_chunk_is_alone(word)) {
        return rn_chunk_block(chunk)->bytes - RN_REGION_HEAD_BYTES;
    }
    return (word & RN_CHUNK_IN_BLOCK) != 0 ? ((int64_t)rn_chunk_size(word) + 1) * 16
                                           : rn_set_class_bytes(rn_chunk_size(word));
}

/* Of the caller's bytes, at most. */
static size_t count_capacity(const found *here)
{
    return (size_t)(rn_chunk_bytes_of(here->chunk) - RN_CHUNK_HEAD_BYTES - RN_ARMS_BYTES) -
           here->distance;
}

ration_context *ration_context_of(const void *memory)
{
    found here = find_chunk(memory, "ration_context_of");
    close_chunk(&here);
    return here.context;
}

size_t ration_context_chunk_bytes(const void *memory)
{
    found here = find_chunk(memory, "ration_context_chunk_bytes");
    size_t bytes = here.chunk == NULL ? 0 : (size_t)rn_chunk_bytes_of(here.chunk);
    close_chunk(&here);
    return bytes;
}

/* ----------------------------------------------------------------------------------------- free */

#ifdef RATION_CHECKED
static void set_aside(ration_context *context, void *memory, rn_chunk *chunk)
{
    rn_place place = rn_context_place(context, "ration_context_free");
    (void)rn_chunk_disarm(memory, &place);
    void *raw = chunk + 1;
    rn_chunk_bury_around(raw, memory, &place);
    if (rn_chunk_is_alone(chunk->word)) {
        rn_region_free_alone(context, chunk);
        return;
    }
    chunk->word = (chunk->word & ~(uint64_t)(RN_CHUNK_MOVED | 0xff)) | RN_CHUNK_SET_ASIDE;
    rn_poison(chunk, sizeof(*chunk));
    void *leaving = rn_quarantine_push(&context->quarantine, raw, &place);
    while (leaving != NULL) {
        context->kind->free(context, (rn_chunk *)leaving - 1);
        leaving = rn_quarantine_next(&context->quarantine, &place);
    }
}
#endif

__attribute__((noinline)) static void free_slow(void *memory)
{
    found here = find_chunk(memory, "ration_context_free");
    if (RN_UNLIKELY(here.chunk == NULL)) {
        return;
    }
#ifdef RATION_CHECKED
    set_aside(here.context, memory, here.chunk);
#else
    if (rn_chunk_is_alone(here.chunk->word)) {
        here.chunk->word ^= RN_CHUNK_ALONE ^ RN_CHUNK_FREE;
        rn_region_free_alone(here.context, here.chunk);
    } else {
        here.context->kind->free(here.context, here.chunk);
    }
#endif
}

void ration_context_free(void *memory)
{
    if (RN_UNLIKELY(memory == NULL)) {
        return;
    }
#ifndef RATION_CHECKED
    rn_chunk *chunk = (rn_chunk *)memory - 1;
    uint32_t state = (uint32_t)chunk->word & 0x3ff;
    if (RN_LIKELY(state == RN_CHUNK_LIVE)) {
        rn_set_push(rn_chunk_set(chunk->word), chunk);
        return;
    }
    if (state == (RN_CHUNK_LIVE | RN_CHUNK_IN_BLOCK)) {
        ration_context *context = rn_chunk_block(chunk)->context;
        context->kind->free(context, chunk);
        return;
    }
#endif
    free_slow(memory);
}

/* ----------------------------------------------------------------------------------- reallocate */

/* Elsewhere, contents copied. */
static void *move(const found *here, void *memory, size_t bytes, size_t capacity)
{
    ration_context *context = here->context;
    ration_status before = context->status;
    void *moved = here->align == 1 ? ration_context_allocate(context, bytes)
                                   : ration_context_allocate_aligned(context, bytes, here->align);
    if (moved == NULL) {
        if (bytes > capacity) {
            return NULL;
        }
        context->status = before; /* nothing was refused to the caller */
        rn_chunk_rearm(memory, bytes);
        return memory;
    }
#ifdef RATION_CHECKED
    capacity = rn_chunk_bytes(memory);
#endif
    memcpy(moved, memory, RN_MIN(bytes, capacity));
    ration_context_free(memory);
    return moved;
}

void *ration_context_reallocate(void *memory, size_t bytes)
{
    found here = find_chunk(memory, "ration_context_reallocate");
    if (here.chunk == NULL) {
        return NULL;
    }
    rn_place place = rn_context_place(here.context, "ration_context_reallocate");
    rn_chunk_verify_live(memory, &place);
    bool alone = rn_chunk_is_alone(here.chunk->word);
    size_t capacity = count_capacity(&here);
    close_chunk(&here);
    if (RN_UNLIKELY(bytes > RN_CONTEXT_BYTES_MAX)) {
        here.context->status = RATION_NO_MEMORY;
        return NULL;
    }
    if (alone && here.distance == 0) {
        void *raw =
            rn_region_resize_alone(here.context, here.chunk, (int64_t)bytes + RN_ARMS_BYTES);
        if (raw != NULL) {
            rn_chunk_rearm(rn_chunk_user(raw), bytes);
            return rn_chunk_user(raw);
        }
    }
    /* Whole blocks are worth a move when more than half of one would lie idle. */
    if (bytes <= capacity && !(alone && bytes < capacity / 2)) {
        rn_chunk_rearm(memory, bytes);
        return memory;
    }
    return move(&here, memory, bytes, capacity);
}

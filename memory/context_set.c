/* SPDX-License-Identifier: Apache-2.0
 *
 * Set contexts: chunks with a header of 8 bytes, freed into lists by size.
 *
 * Sizes, header included: multiples of 16 up to 128, then four steps per doubling up to 16 KiB, so
 * rounding wastes less than a fifth of a chunk. A larger chunk has a block of its own, given back
 * when it is freed. A chunk is taken from its list, else cut from the block in hand; when a new
 * block is drawn, what is left of the old one goes to the lists.
 *
 *   1. A chunk's header lies 8 before a multiple of 16; its payload on it.
 *   2. header.state is LIVE from allocate to free, FREE in a list: freeing twice, or what is no
 * chunk, is found out.
 *
 * Rejected: powers of two only. The lists are shorter, but a third of the bytes is lost to
 * rounding.
 */
#include "memory/poison.h"
#include "memory/region.h"

#define CLASS_COUNT 36
#define CLASS_ALONE UINT32_MAX
#define HEADER_BYTES ((int64_t)sizeof(chunk_header))
#define STATE_LIVE UINT32_C(0x4c495645)
#define STATE_FREE UINT32_C(0x46524545)

typedef struct chunk_header {
    uint32_t class; /* of its list; CLASS_ALONE = in a block of its own */
    uint32_t state;
} chunk_header;

typedef struct free_chunk {
    struct free_chunk *next;
} free_chunk;

typedef struct set_context {
    ration_context base;
    free_chunk *free[CLASS_COUNT];
} set_context;

_Static_assert(sizeof(chunk_header) == 8, "payloads are aligned to 16");
_Static_assert((sizeof(rn_region_block) + sizeof(chunk_header)) % 16 == 0,
               "payloads are aligned to 16");

static int64_t class_bytes(uint32_t class)
{
    if (class < 8) {
        return ((int64_t) class + 1) * 16;
    }
    uint32_t shift = 7 + (class - 8) / 4;
    return ((int64_t)1 << shift) + (((int64_t)(class - 8) % 4 + 1) << (shift - 2));
}

/* The class of the smallest chunks of at least `chunk_bytes`, 1 .. RN_CHUNK_BYTES_MAX. */
static uint32_t find_class(int64_t chunk_bytes)
{
    uint64_t last = (uint64_t)chunk_bytes - 1;
    if (last < 128) {
        return (uint32_t)(last / 16);
    }
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(last);
    return 8 + (shift - 7) * 4 + (uint32_t)((last >> (shift - 2)) & 3);
}

size_t rn_set_struct_bytes(void)
{
    return (sizeof(set_context) + 15) & ~(size_t)15;
}

int64_t rn_set_chunk_bytes(int64_t bytes)
{
    int64_t chunk = rn_add(bytes, HEADER_BYTES);
    return chunk > RN_CHUNK_BYTES_MAX ? rn_round_up(chunk, 16) : class_bytes(find_class(chunk));
}

void rn_set_forget(ration_context *context)
{
    memset(((set_context *)(void *)context)->free, 0, sizeof(((set_context *)0)->free));
}

static void push_free(ration_context *context, chunk_header *header, uint32_t class)
{
    *header = (chunk_header){.class = class, .state = STATE_FREE};
    set_context *set = (set_context *)(void *)context;
    free_chunk *chunk = (free_chunk *)(void *)(header + 1);
    chunk->next = set->free[class];
    set->free[class] = chunk;
    rn_bury(chunk + 1, (size_t)(class_bytes(class) - HEADER_BYTES) - sizeof(*chunk));
    rn_poison(header, sizeof(*header) + sizeof(*chunk));
}

/* Cuts what is left of the block in hand into free chunks, largest first. */
static void carve_rest(ration_context *context)
{
    int64_t left = (int64_t)(context->end - context->at) & ~INT64_C(15);
    while (left > 0) {
        uint32_t class = find_class(RN_MIN(left, RN_CHUNK_BYTES_MAX));
        class -= class_bytes(class) > left;
        chunk_header *header = (chunk_header *)(void *)context->at;
        rn_unpoison(header, sizeof(*header) + sizeof(free_chunk));
        push_free(context, header, class);
        context->at += class_bytes(class);
        left -= class_bytes(class);
    }
}

static chunk_header *take_chunk(ration_context *context, uint32_t class)
{
    set_context *set = (set_context *)(void *)context;
    free_chunk *chunk = set->free[class];
    if (chunk != NULL) {
        chunk_header *header = (chunk_header *)(void *)chunk - 1;
        rn_unpoison(header, sizeof(*header) + sizeof(*chunk));
        set->free[class] = chunk->next;
        return header;
    }
    int64_t bytes = class_bytes(class);
    if (RN_UNLIKELY(bytes > context->end - context->at)) {
        /* A refused block must leave the rest usable for smaller chunks, so it is cut up after the
         * block is there. */
        char *at = context->at;
        char *end = context->end;
        if (!rn_region_advance(context, bytes)) {
            return NULL;
        }
        char *new_at = context->at;
        char *new_end = context->end;
        context->at = at;
        context->end = end;
        carve_rest(context);
        context->at = new_at;
        context->end = new_end;
    }
    chunk_header *header = (chunk_header *)(void *)context->at;
    context->at += bytes;
    rn_unpoison(header, sizeof(*header));
    return header;
}

void *rn_set_allocate(ration_context *context, size_t bytes)
{
    if (RN_UNLIKELY(bytes > (size_t)INT64_MAX / 2)) {
        context->status = RATION_NO_MEMORY;
        return NULL;
    }
    int64_t chunk = (int64_t)bytes + HEADER_BYTES;
    bool alone = chunk > RN_CHUNK_BYTES_MAX;
    uint32_t class = alone ? CLASS_ALONE : find_class(chunk);
    chunk_header *header =
        alone ? (chunk_header *)rn_region_allocate_alone(context, rn_round_up(chunk, 16))
              : take_chunk(context, class);
    if (header == NULL) {
        return NULL;
    }
    *header = (chunk_header){.class = class, .state = STATE_LIVE};
    rn_unpoison(header + 1, bytes);
    rn_poison(header, sizeof(*header));
    return header + 1;
}

/* The header of a chunk in use, readable; NULL when `memory` is none. */
static chunk_header *open_header(void *memory)
{
    chunk_header *header = (chunk_header *)memory - 1;
    rn_unpoison(header, sizeof(*header));
    if (rn_never(header->state != STATE_LIVE)) {
        return NULL;
    }
    return header;
}

static rn_region_block *block_of(chunk_header *header)
{
    return (rn_region_block *)(void *)header - 1;
}

static int64_t count_capacity(chunk_header *header)
{
    return header->class == CLASS_ALONE
               ? block_of(header)->bytes - RN_REGION_HEAD_BYTES - HEADER_BYTES
               : class_bytes(header->class) - HEADER_BYTES;
}

void ration_context_free(ration_context *context, void *memory)
{
    rn_assert(context->kind == RATION_CONTEXT_SET);
    chunk_header *header = memory == NULL ? NULL : open_header(memory);
    if (header == NULL) {
        return;
    }
    if (header->class == CLASS_ALONE) {
        header->state = STATE_FREE;
        rn_region_shrink(context, block_of(header));
        return;
    }
    rn_unpoison(memory, sizeof(free_chunk));
    push_free(context, header, header->class);
}

void *ration_context_reallocate(ration_context *context, void *memory, size_t bytes)
{
    rn_assert(context->kind == RATION_CONTEXT_SET);
    if (memory == NULL) {
        return ration_context_allocate(context, bytes);
    }
    chunk_header *header = open_header(memory);
    if (header == NULL) {
        return NULL;
    }
    int64_t capacity = count_capacity(header);
    bool fits = bytes <= (size_t)capacity;
    bool alone = header->class == CLASS_ALONE;
    if (fits) {
        rn_poison(memory, (size_t)capacity);
        rn_unpoison(memory, bytes);
    }
    rn_poison(header, sizeof(*header));
    /* Whole blocks are worth a move when more than half of one would lie idle. */
    if (fits && !(alone && bytes < (size_t)capacity / 2)) {
        return memory;
    }
    ration_status before = context->status;
    void *moved = rn_set_allocate(context, bytes);
    if (moved == NULL && fits) {
        context->status = before; /* nothing was refused to the caller */
        return memory;
    }
    if (moved == NULL) {
        return NULL;
    }
    /* Under AddressSanitizer the end of the old chunk is poisoned beyond what was asked for: open
     * all of it for the copy. */
    rn_unpoison(memory, (size_t)capacity);
    memcpy(moved, memory, RN_MIN(bytes, (size_t)capacity));
    ration_context_free(context, memory);
    return moved;
}

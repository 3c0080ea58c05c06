/* SPDX-License-Identifier: Apache-2.0
 *
 * Set contexts: chunks with a header of 8 bytes, freed into lists by size.
 *
 * Sizes, header included: multiples of 16 up to 512, then four steps per doubling up to 16 KiB. A
 * chunk is taken from its list, else cut from the block in hand; when a new block is drawn, what is
 * left of the old one goes to the lists. A reset clears the lists only if something was freed.
 *
 *   1. A chunk's header lies 8 before a multiple of 16; its raw bytes on it.
 *   2. All lists are empty unless `freed` is set.
 *
 * Rejected: powers of two only (a third of the bytes is lost to rounding, PostgreSQL's sets lose 40
 * % with random sizes); taking a chunk from a larger list when the own one is empty (it makes what
 * a free brings back depend on the history, and a settle could not say what fits).
 */
#include "memory/poison.h"
#include "memory/region.h"

#define EVEN_BYTES 512 /* multiples of 16 up to here */
#define EVEN_CLASSES (EVEN_BYTES / 16)
#define CLASS_COUNT 52
/* The least that is worth a free chunk; in checked builds it has to hold their record. */
#define REST_BYTES_MIN (RN_FRONT_BYTES > 0 ? 32 : 16)

typedef struct free_chunk {
    struct free_chunk *next;
} free_chunk;

typedef struct set_context {
    ration_context base;
    uint64_t live_word; /* of the header of a live chunk of class 0 */
    bool freed;         /* since the last reset */
    free_chunk *free[CLASS_COUNT];
} set_context;

_Static_assert(sizeof(rn_chunk) == 8 && sizeof(rn_region_block) % 16 == 8,
               "raw bytes are aligned to 16");

static set_context *set_of(ration_context *context)
{
    return (set_context *)(void *)context;
}

int64_t rn_set_class_bytes(uint32_t class)
{
    if (class < EVEN_CLASSES) {
        return ((int64_t) class + 1) * 16;
    }
    uint32_t step = class - EVEN_CLASSES;
    uint32_t shift = 9 + step / 4;
    return ((int64_t)1 << shift) + (((int64_t)step % 4 + 1) << (shift - 2));
}

/* The class of the smallest chunks of at least `bytes`, 1 .. RN_CHUNK_BYTES_MAX. */
static uint32_t find_class(int64_t bytes)
{
    uint64_t last = (uint64_t)bytes - 1;
    if (RN_LIKELY(last < EVEN_BYTES)) {
        return (uint32_t)(last / 16);
    }
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(last);
    return EVEN_CLASSES + (shift - 9) * 4 + (uint32_t)((last >> (shift - 2)) & 3);
}

static int64_t count_chunk(int64_t raw)
{
    int64_t chunk = rn_add(raw, RN_CHUNK_HEAD_BYTES);
    return chunk > RN_CHUNK_BYTES_MAX ? rn_round_up(chunk, 16)
                                      : rn_set_class_bytes(find_class(chunk));
}

static inline void push_free(ration_context *context, rn_chunk *chunk, uint32_t class)
{
    set_context *set = set_of(context);
    free_chunk *freed = (free_chunk *)(void *)(chunk + 1);
    rn_open(chunk, sizeof(*chunk) + sizeof(*freed));
    chunk->word = rn_chunk_word(rn_region_first(context), class, RN_CHUNK_FREE);
    freed->next = set->free[class];
    set->free[class] = freed;
    set->freed = true;
    rn_poison(chunk, sizeof(*chunk) + sizeof(*freed));
}

static inline rn_chunk *cut(ration_context *context, int64_t bytes)
{
    rn_chunk *chunk = (rn_chunk *)(void *)context->at;
    context->at += bytes;
    rn_unpoison(chunk, sizeof(*chunk));
    return chunk;
}

/* Cuts what is left of the block in hand into free chunks, largest first. */
static void carve_rest(ration_context *context)
{
    int64_t left = (int64_t)(context->end - context->at) & ~INT64_C(15);
    while (left >= REST_BYTES_MIN) {
        uint32_t class = find_class(RN_MIN(left, RN_CHUNK_BYTES_MAX));
        class -= rn_set_class_bytes(class) > left;
        left -= rn_set_class_bytes(class);
        rn_chunk *chunk = cut(context, rn_set_class_bytes(class));
        rn_chunk_carve(chunk + 1, (size_t)(rn_set_class_bytes(class) - RN_CHUNK_HEAD_BYTES));
        push_free(context, chunk, class);
    }
}

static bool advance(ration_context *context, int64_t bytes)
{
    /* A refused block must leave the rest usable for smaller chunks, so it is cut up after the new
     * block is there. */
    rn_region_block *block = rn_region_grow(context, bytes);
    if (block == NULL) {
        return false;
    }
    carve_rest(context);
    rn_region_take_in_hand(context, block, (char *)(block + 1));
    return true;
}

static inline void *finish(const ration_context *context, rn_chunk *chunk, uint32_t class,
                           size_t raw)
{
    const set_context *set = (const set_context *)(const void *)context;
    chunk->word = set->live_word | (uint64_t) class << 10;
    rn_unpoison(chunk + 1, raw);
    rn_poison(chunk, sizeof(*chunk));
    return chunk + 1;
}

static void *allocate_slow(ration_context *context, size_t raw)
{
    if (raw > (size_t)(RN_CHUNK_BYTES_MAX - RN_CHUNK_HEAD_BYTES)) {
        return rn_region_allocate_alone(context, (int64_t)raw);
    }
    int64_t bytes = count_chunk((int64_t)raw);
    if (bytes > context->end - context->at && !advance(context, bytes)) {
        return NULL;
    }
    return finish(context, cut(context, bytes), find_class(bytes), raw);
}

static inline rn_chunk *take_first(ration_context *context, uint32_t class, free_chunk *freed)
{
    rn_place place = rn_context_place(context, "ration_context_allocate");
    rn_chunk_verify_buried(freed, &place);
    rn_chunk *chunk = (rn_chunk *)(void *)freed - 1;
    rn_open(chunk, sizeof(*chunk) + sizeof(*freed));
    set_of(context)->free[class] = freed->next;
    return chunk;
}

static inline void *allocate_class(ration_context *context, size_t raw, uint32_t class,
                                   int64_t bytes)
{
    free_chunk *freed = set_of(context)->free[class];
    if (freed != NULL) {
        return finish(context, take_first(context, class, freed), class, raw);
    }
    if (RN_UNLIKELY(bytes > context->end - context->at)) {
        return allocate_slow(context, raw);
    }
    return finish(context, cut(context, bytes), class, raw);
}

static void *allocate(ration_context *context, size_t raw)
{
    if (RN_LIKELY(raw <= EVEN_BYTES - RN_CHUNK_HEAD_BYTES)) {
        size_t class = (raw + RN_CHUNK_HEAD_BYTES - 1) / 16;
        return allocate_class(context, raw, (uint32_t) class, (int64_t)(class * 16) + 16);
    }
    if (raw > (size_t)(RN_CHUNK_BYTES_MAX - RN_CHUNK_HEAD_BYTES)) {
        return allocate_slow(context, raw);
    }
    uint32_t class = find_class((int64_t)raw + RN_CHUNK_HEAD_BYTES);
    return allocate_class(context, raw, class, rn_set_class_bytes(class));
}

void rn_set_free(ration_context *context, rn_chunk *chunk)
{
    rn_open(chunk, sizeof(*chunk));
    push_free(context, chunk, rn_chunk_size(chunk->word));
}

static void forget(ration_context *context)
{
    set_context *set = set_of(context);
    set->live_word = rn_chunk_word(rn_region_first(context), 0, RN_CHUNK_LIVE);
    if (set->freed) {
        memset(set->free, 0, sizeof(set->free));
        set->freed = false;
    }
}

static int64_t count_free_bytes(const ration_context *context)
{
    const set_context *set = (const set_context *)(const void *)context;
    int64_t bytes = 0;
    for (uint32_t class = 0; class < CLASS_COUNT; class ++) {
        const free_chunk *freed = set->free[class];
        while (freed != NULL) {
            bytes += rn_set_class_bytes(class);
            rn_open((void *)(uintptr_t)freed, sizeof(*freed));
            const free_chunk *next = freed->next;
            rn_poison((void *)(uintptr_t)freed, sizeof(*freed));
            freed = next;
        }
    }
    return bytes;
}

const rn_kind rn_kind_set = {
    .id = RATION_CONTEXT_SET,
    .name = "set",
    .struct_bytes = ((int64_t)sizeof(set_context) + 15) & ~INT64_C(15),
    .grain = 16,
    .chunk_bytes = count_chunk,
    .allocate = allocate,
    .free = rn_set_free,
    .forget = forget,
    .free_bytes = count_free_bytes,
};

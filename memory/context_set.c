/* SPDX-License-Identifier: Apache-2.0
 *
 * Set contexts: chunks with a header of 8 bytes, freed into lists by size.
 *
 * Sizes, header included: multiples of 16 up to 512, then four steps per doubling up to 16 KiB. A
 * chunk is taken from its list, else cut from the block in hand; when a new block is drawn, what is
 * left of the old one goes to the lists. A reset clears the lists only if something was freed.
 *
 * Each class has two lists: frees add to `given`, allocations take from `free` and, when that is
 * empty, the whole of `given`. A free learns its list from the chunk's header, often from far away;
 * an allocation from the same list would have to wait until the processor knows where that store
 * goes (`make bench-memory`, row working.set, is what it is for).
 *
 *   1. A chunk's header lies 8 before a multiple of 16; its raw bytes on it.
 *   2. All lists are empty unless `begun` is set.
 *
 * Rejected: powers of two only (a third of the bytes is lost to rounding, PostgreSQL's sets lose 40
 * % with random sizes); taking a chunk from a larger list when the own one is empty (it makes what
 * a free brings back depend on the history, and a settle could not say what fits).
 */
#include "memory/set.h"

#define EVEN_BYTES 512 /* multiples of 16 up to here */
#define EVEN_CLASSES (EVEN_BYTES / 16)
/* The least that is worth a free chunk; in checked builds it has to hold their record. */
#define REST_BYTES_MIN (RN_FRONT_BYTES > 0 ? 32 : 16)

_Static_assert(sizeof(rn_chunk) == 8 && sizeof(rn_region_block) % 16 == 8,
               "raw bytes are aligned to 16");

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
        chunk->word = rn_chunk_word(rn_region_first(context), class, RN_CHUNK_FREE);
        rn_set_push(context, chunk);
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
    const rn_set *set = (const rn_set *)(const void *)context;
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

static inline rn_chunk *take_first(rn_set *set, uint32_t class, rn_set_freed *freed)
{
    rn_place place = rn_context_place(&set->base, "ration_context_allocate");
    rn_chunk_verify_buried(freed, &place);
    rn_chunk *chunk = (rn_chunk *)(void *)freed - 1;
    rn_open(chunk, sizeof(*chunk) + sizeof(*freed));
    set->free[class] = freed->next;
    return chunk;
}

static inline void *allocate_class(ration_context *context, size_t raw, uint32_t class,
                                   int64_t bytes)
{
    rn_set *set = rn_set_of(context);
    if (set->begun) {
        rn_set_freed *freed = set->free[class];
        if (freed == NULL && (freed = set->given[class]) != NULL) {
            set->given[class] = NULL;
        }
        if (freed != NULL) {
            return finish(context, take_first(set, class, freed), class, raw);
        }
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

static void free_chunk(ration_context *context, rn_chunk *chunk)
{
    rn_open(chunk, sizeof(*chunk));
    rn_set_push(context, chunk);
}

static void forget(ration_context *context)
{
    rn_set *set = rn_set_of(context);
    set->live_word = rn_chunk_word(rn_region_first(context), 0, RN_CHUNK_LIVE);
    if (set->begun) {
        memset(set->free, 0, sizeof(set->free));
        memset(set->given, 0, sizeof(set->given));
        set->begun = false;
    }
}

static int64_t count_list(const rn_set_freed *freed, int64_t chunk_bytes)
{
    int64_t bytes = 0;
    while (freed != NULL) {
        bytes += chunk_bytes;
        rn_open((void *)(uintptr_t)freed, sizeof(*freed));
        const rn_set_freed *next = freed->next;
        rn_poison((void *)(uintptr_t)freed, sizeof(*freed));
        freed = next;
    }
    return bytes;
}

static int64_t count_free_bytes(const ration_context *context)
{
    const rn_set *set = (const rn_set *)(const void *)context;
    int64_t bytes = 0;
    for (uint32_t class = 0; class < RN_SET_CLASSES; class ++) {
        bytes += count_list(set->free[class], rn_set_class_bytes(class));
        bytes += count_list(set->given[class], rn_set_class_bytes(class));
    }
    return bytes;
}

const rn_kind rn_kind_set = {
    .id = RATION_CONTEXT_SET,
    .name = "set",
    .struct_bytes = ((int64_t)sizeof(rn_set) + 15) & ~INT64_C(15),
    .grain = 16,
    .chunk_bytes = count_chunk,
    .allocate = allocate,
    .free = free_chunk,
    .forget = forget,
    .free_bytes = count_free_bytes,
};

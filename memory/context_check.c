/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks over every chunk of a context: ration_context_check, and in checked builds
 * rn_context_verify before chunks go.
 *
 * Chunks lie one behind the other from a block's start to where it is filled; a header says how
 * many bytes its chunk has. A bump context has none; there the record that checked builds put in
 * front of the caller's bytes says it, and in release builds there is nothing to look at.
 */
#include "memory/context.h"

#include "memory/poison.h"
#include "memory/region.h"

typedef struct inspection {
    const ration_context *context;
    rn_place place;
    rn_leaks leaks;
    bool adds_leaks;
    int64_t live; /* chunks of the block looked at, those in quarantine included */
    bool holds;   /* false: something is not as it should be */
} inspection;

/* From the raw bytes of a larger chunk to what the caller has. */
static size_t read_distance(char *raw)
{
    uint64_t distance;
    rn_open(raw, sizeof(distance));
    memcpy(&distance, raw, sizeof(distance));
    rn_poison(raw, sizeof(distance));
    return distance;
}

static void visit(inspection *look, const rn_region_block *block, rn_chunk *chunk)
{
    uint64_t word = chunk->word;
    uint32_t state = RN_CHUNK_STATE(word);
    char *raw = (char *)(chunk + 1);
    bool freed = state == RN_CHUNK_FREE || state == RN_CHUNK_SET_ASIDE;
    look->live += state != RN_CHUNK_FREE;
    const void *owner = (word & RN_CHUNK_IN_BLOCK) != 0 ? block : rn_region_first(look->context);
    if (rn_chunk_owner(word) != owner ||
        !(freed || state == RN_CHUNK_LIVE || state == RN_CHUNK_ALONE)) {
        look->holds = false;
    } else if (freed) {
        rn_chunk_verify_buried(raw, &look->place);
    } else {
        size_t distance = (word & RN_CHUNK_MOVED) != 0 ? read_distance(raw) : 0;
        void *user = rn_chunk_user(raw + distance);
        rn_chunk_verify_live(user, &look->place);
        if (look->adds_leaks) {
            rn_leaks_add(&look->leaks, user);
        }
    }
}

/* The end of the chunk at `at`; NULL when it cannot be. */
static char *pass_chunk(inspection *look, const rn_region_block *block, char *at)
{
    rn_chunk *chunk = (rn_chunk *)(void *)at;
    rn_open(chunk, sizeof(*chunk));
    visit(look, block, chunk);
    int64_t bytes = look->holds ? rn_chunk_bytes_of(chunk) : 0;
    rn_poison(chunk, sizeof(*chunk));
    return bytes > 0 ? at + bytes : NULL;
}

#ifdef RATION_CHECKED
static char *pass_bump_chunk(inspection *look, char *at)
{
    void *user = rn_chunk_user(at);
    rn_chunk_verify_live(user, &look->place);
    return at + look->context->kind->chunk_bytes((int64_t)rn_chunk_bytes(user) + RN_ARMS_BYTES);
}
#endif

static void walk_block(inspection *look, const rn_region_block *block)
{
    const ration_context *context = look->context;
    look->live = 0;
    char *at = rn_region_start(context, block);
    const char *end = block == context->hand ? context->at : (const char *)block + block->filled;
    while (look->holds && at < end) {
        if (rn_kind_has_headers(context->kind)) {
            at = pass_chunk(look, block, at);
        } else {
#ifdef RATION_CHECKED
            at = pass_bump_chunk(look, at);
#else
            return;
#endif
        }
    }
    look->holds &= at == end && (!context->kind->counts_live || look->live == block->live);
}

static void walk_chunks(inspection *look)
{
    const ration_context *context = look->context;
    look->holds = true;
    walk_block(look, rn_region_first(context));
    for (const rn_region_block *block = context->blocks; block != NULL && look->holds;
         block = block->next) {
        walk_block(look, block);
    }
    for (rn_region_block *block = context->alone; block != NULL && look->holds;
         block = block->next) {
        (void)pass_chunk(look, block, (char *)(block + 1));
    }
}

static bool add_up(const ration_context *context)
{
    const rn_region_block *first = rn_region_first(context);
    int64_t bytes = first->bytes, blocks = 1;
    const rn_region_block *const lists[] = {context->blocks, context->alone};
    for (size_t i = 0; i < RN_COUNT(lists); i++) {
        for (const rn_region_block *block = lists[i]; block != NULL; block = block->next) {
            bytes += block->bytes;
            blocks += 1;
        }
    }
    return bytes == context->bytes_in_blocks && blocks == context->block_count &&
           context->at <= context->end;
}

static bool check_one(const ration_context *context)
{
    inspection look = {.context = context,
                       .place = rn_context_place(context, "ration_context_check")};
    walk_chunks(&look);
#ifdef RATION_CHECKED
    rn_quarantine_verify(&context->quarantine, &look.place);
#endif
    return look.holds && add_up(context) &&
           (context->kind->check == NULL || context->kind->check(context));
}

bool ration_context_check(const ration_context *context)
{
    bool holds = true;
    for (const ration_context *at = context; at != NULL && holds;
         at = rn_context_next(at, context)) {
        holds = check_one(at);
    }
    return holds;
}

void rn_context_verify(ration_context *context, const char *call)
{
#ifdef RATION_CHECKED
    inspection look = {.context = context,
                       .place = rn_context_place(context, call),
                       .adds_leaks = context->leaks && rn_kind_has_headers(context->kind)};
    walk_chunks(&look);
    rn_quarantine_verify(&context->quarantine, &look.place);
    rn_quarantine_forget(&context->quarantine);
    rn_context_resource_end(context, call);
    rn_leaks_end(&look.leaks, &look.place);
    (void)rn_never(!look.holds);
#else
    (void)context;
    (void)call;
#endif
}

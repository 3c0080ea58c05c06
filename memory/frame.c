/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames: scratch memory cut from blocks by moving a pointer. ration_frame_open ->
 * ration_frame_allocate (inline) .. -> ration_frame_mark .. ration_frame_rollback, or reset ->
 * ration_frame_close. frame_resource.c makes a resource of it.
 *
 *     first block, 8 KiB:  head | the frame | piece | piece | mark | piece ..         | room
 *     others, 64 KiB:      head | piece | mark | ..                                   | room
 *     large pieces:        head | piece         a block each, newest first
 *
 * A marker names a cell that lies in the frame where the marker was taken; it holds what was in
 * hand then. Room for one cell is left at the end of each block, and where nothing was allocated
 * since the newest mark there is no second one, so a mark cannot fail. Cells form a stack: each
 * knows the one before and one further down (`jump`), which halves the way to any of them (Myers,
 * An applicative random-access stack, 1983). A marker is good if the cell is found there, by its
 * serial; memory that was given up is never looked at. What lies behind a cell goes in one step:
 * blocks as one chain.
 *
 *   1. block is the last of the chain; hot.at <= limit; limit + one cell = end of block.
 *   2. Serials and depths grow along the stack; each mark's block and large pieces are still there.
 *   3. hot.at == rest if and only if nothing but large pieces was allocated since the newest mark.
 *   4. held_bytes = sum over chain and large pieces.
 *
 * Checked builds: a piece has a head in front that links them, its front and tail (sentry.h); free
 * memory is buried, and looked at before it is handed out again.
 *
 * Rejected: a generation number in marker and frame. It sees a reset, not a rollback past the
 * marker that was followed by another mark.
 */
#include "memory/frame.h"

#include "memory/poison.h"

#define LARGE_BYTES ((size_t)RN_BLOCK_BYTES / 4)
#define MARK_BYTES sizeof(rn_frame_mark)

_Static_assert(sizeof(rn_frame_block) % 16 == 0 && sizeof(rn_frame) % 16 == 0 &&
                   sizeof(rn_frame_mark) % 16 == 0 && sizeof(rn_frame_large) % 16 == 0 &&
                   RN_PIECE_FRONT % 16 == 0,
               "pieces are aligned to 16");
_Static_assert(offsetof(rn_frame, root) + MARK_BYTES == sizeof(rn_frame),
               "the first piece lies behind the root mark");

/* ------------------------------------------------------------------------------- checked builds */

#ifdef RATION_CHECKED

/* Serials carry the stack of the mark, for the report of a stale one. */
static uint64_t next_serial(rn_frame *frame)
{
    frame->serials += 1;
    return frame->serials << 32 | rn_stack_here(2);
}

static void abort_on_stale(const rn_frame *frame, ration_marker marker)
{
    rn_place place = rn_frame_place(frame, "ration_frame_rollback");
    rn_sentry_abort(
        &place, (uint32_t)marker.serial, 0,
        "stale marker of frame \"%s\" in ration_frame_rollback; it was taken here:", frame->name);
}

/* Memory that is handed out: has nobody written to it since it was given up? */
static void open_span(const rn_frame *frame, char *from, const char *to)
{
    size_t bytes = (size_t)(to - from);
    rn_open(from, bytes);
    for (size_t i = 0; i < bytes; i++) {
        if (from[i] != RN_BURIED_BYTE) {
            rn_place place = rn_frame_place(frame, "ration_frame_allocate");
            rn_sentry_abort(&place, 0, 0,
                            "write after rollback, reset or end of a piece of frame \"%s\" at %p",
                            frame->name, (void *)(from + i));
        }
    }
    rn_unpoison(from, bytes);
}

static void *arm_piece(rn_frame *frame, char *user, size_t bytes)
{
    rn_frame_piece *piece = (rn_frame_piece *)(void *)(user - RN_PIECE_FRONT);
    *piece = (rn_frame_piece){.previous = frame->pieces};
    frame->pieces = piece;
    return rn_chunk_arm(piece + 1, bytes);
}

/* Looks at all pieces since the mark. */
static void verify_pieces(rn_frame *frame, const rn_frame_mark *mark, const char *call)
{
    rn_place place = rn_frame_place(frame, call);
    while (frame->pieces != mark->pieces) {
        rn_frame_piece *piece = frame->pieces;
        rn_open(piece, sizeof(*piece));
        if (rn_chunk_is_buried(piece + 1)) {
            rn_chunk_verify_buried(piece + 1, &place);
        } else {
            rn_chunk_verify_live(rn_chunk_user(piece + 1), &place);
        }
        frame->pieces = piece->previous;
    }
    rn_resource_forget(&frame->hot.resource, mark->live_mark);
}

/* Links of blocks must be open when they are given back. */
static void bury_blocks(const rn_frame_block *keep, rn_frame_block *newest)
{
    for (rn_frame_block *block = newest; block != keep; block = block->previous) {
        rn_bury(block + 1, (size_t)block->bytes - sizeof(*block));
        rn_unpoison(block + 1, (size_t)block->bytes - sizeof(*block));
    }
}

static void note_live(rn_frame *frame, rn_frame_mark *mark)
{
    mark->pieces = frame->pieces;
    mark->live_mark = rn_live_mark();
}

#else

static uint64_t next_serial(rn_frame *frame)
{
    return ++frame->serials;
}

static void abort_on_stale(const rn_frame *frame, ration_marker marker)
{
    (void)frame;
    (void)marker;
    (void)rn_fault(__FILE__, __LINE__, "stale marker");
}

static void open_span(const rn_frame *frame, const char *from, const char *to)
{
    (void)frame;
    (void)from;
    (void)to;
}

static void *arm_piece(rn_frame *frame, char *user, size_t bytes)
{
    (void)frame;
    (void)bytes;
    return user;
}

static void verify_pieces(rn_frame *frame, const rn_frame_mark *mark, const char *call)
{
    (void)frame;
    (void)mark;
    (void)call;
}

static void bury_blocks(const rn_frame_block *keep, const rn_frame_block *newest)
{
    (void)keep;
    (void)newest;
}

static void note_live(rn_frame *frame, rn_frame_mark *mark)
{
    (void)frame;
    (void)mark;
}

#endif

/* --------------------------------------------------------------------------------------- blocks */

static void count_held(rn_frame *frame, int64_t change)
{
    frame->held_bytes += change;
    frame->peak_bytes = RN_MAX(frame->peak_bytes, frame->held_bytes);
}

static char *block_end(const rn_frame_block *block)
{
    return (char *)(uintptr_t)block + block->bytes;
}

/* The next piece begins at `at`, of the block in hand. */
static void set_at(rn_frame *frame, char *at)
{
    frame->hot.at = at;
#ifdef RATION_CHECKED
    frame->hot.end = at;
#else
    frame->hot.end = frame->limit;
#endif
}

static void take_in_hand(rn_frame *frame, rn_frame_block *block, char *at)
{
    frame->block = block;
    frame->limit = block_end(block) - MARK_BYTES;
    set_at(frame, at);
}

static void *acquire(rn_frame *frame, int64_t bytes)
{
    void *block = NULL;
    ration_status status = rn_block_acquire(frame->slot, bytes, &block);
    if (status != RATION_OK) {
        frame->status = status;
        return NULL;
    }
    count_held(frame, bytes);
    return block;
}

static bool advance_block(rn_frame *frame)
{
    rn_frame_block *block = (rn_frame_block *)acquire(frame, RN_BLOCK_BYTES);
    if (block == NULL) {
        return false;
    }
    *block = (rn_frame_block){
        .previous = frame->block, .number = frame->block->number + 1, .bytes = RN_BLOCK_BYTES};
    frame->block->next = block;
    rn_bury(block + 1, (size_t)block->bytes - sizeof(*block));
    take_in_hand(frame, block, (char *)(block + 1));
    return true;
}

static void give_up_blocks(rn_frame *frame, rn_frame_block *keep)
{
    rn_frame_block *first = frame->block;
    rn_frame_block *last = keep->next;
    int64_t count = first->number - keep->number;
    bury_blocks(keep, first);
    keep->next = NULL;
    if (count == 1) {
        rn_block_release(frame->slot, first, RN_BLOCK_BYTES);
    } else {
        rn_block_release_chain(frame->slot, first, last, count);
    }
    count_held(frame, -count * RN_BLOCK_BYTES);
}

/* --------------------------------------------------------------------------------------- pieces */

static size_t body_bytes(size_t bytes)
{
    return rn_step_up(RN_MAX(bytes, 1) + RN_TAIL_BYTES, 16);
}

void rn_frame_free_large(rn_frame *frame)
{
    rn_frame_large *large = frame->large;
    frame->large = large->previous;
    int64_t bytes = large->bytes;
    rn_unpoison(large, (size_t)bytes);
    rn_block_release(frame->slot, large, bytes);
    count_held(frame, -bytes);
}

static void *take_large(rn_frame *frame, size_t bytes, size_t align)
{
    size_t most = sizeof(rn_frame_large) + RN_PIECE_FRONT + body_bytes(bytes) + align - 16;
    int64_t rounded = rn_block_round((int64_t)most);
    rn_frame_large *large = (rn_frame_large *)acquire(frame, rounded);
    if (large == NULL) {
        return NULL;
    }
    *large = (rn_frame_large){.previous = frame->large, .bytes = rounded};
    frame->large = large;
    rn_poison(large + 1, (size_t)rounded - sizeof(*large));
    char *user = rn_frame_large_user(large, align);
    rn_unpoison(user - RN_PIECE_FRONT, RN_PIECE_FRONT + body_bytes(bytes));
    return arm_piece(frame, user, bytes);
}

/* A new piece behind the newest one, or in a block of its own. */
static void *take_piece(rn_frame *frame, size_t bytes, size_t align)
{
    if (RN_UNLIKELY(bytes > (size_t)INT64_MAX / 2)) {
        frame->status = RATION_NO_MEMORY;
        return NULL;
    }
    size_t body = body_bytes(bytes);
    if (RN_PIECE_FRONT + body + align - 16 > LARGE_BYTES) {
        return take_large(frame, bytes, align);
    }
    for (;;) {
        char *at = frame->hot.at;
        size_t gap = rn_align_gap(at + RN_PIECE_FRONT, align);
        if (gap + RN_PIECE_FRONT + body <= (size_t)(frame->limit - at)) {
            char *user = at + gap + RN_PIECE_FRONT;
            open_span(frame, user - RN_PIECE_FRONT, user + body);
            set_at(frame, user + body);
            return arm_piece(frame, user, bytes);
        }
        if (!advance_block(frame)) {
            return NULL;
        }
    }
}

void *ration_frame_allocate_slow(ration_frame *frame, size_t bytes)
{
    return take_piece((rn_frame *)(void *)frame, bytes, 16);
}

void *ration_frame_allocate_aligned(ration_frame *frame, size_t bytes, size_t align)
{
    if (RN_UNLIKELY(!rn_is_power_of_two(align))) {
        (void)rn_resource_fault(&frame->resource, __func__, 0, "align is no power of two");
        return NULL;
    }
    rn_frame *self = (rn_frame *)(void *)frame;
    if (align > (size_t)RN_BLOCK_BYTES) {
        self->status = RATION_INVALID_ARGUMENT;
        return NULL;
    }
    return take_piece(self, bytes, RN_MAX(align, 16));
}

void *ration_call_frame_allocate(ration_frame *frame, size_t bytes)
{
    return ration_frame_allocate(frame, bytes);
}

/* -------------------------------------------------------------------------------------- markers */

/* Where the next piece goes when the mark is the newest and nothing was allocated since. */
static char *rest_of(const rn_frame_mark *mark)
{
    char *limit = block_end(mark->block) - MARK_BYTES;
    char *behind = (char *)(uintptr_t)(mark + 1);
    return RN_MIN(behind, limit);
}

ration_marker ration_frame_mark(ration_frame *frame)
{
    rn_frame *self = (rn_frame *)(void *)frame;
    rn_frame_mark *newest = self->newest;
    if (frame->at != self->rest || self->large != newest->large) {
        rn_frame_mark *mark = (rn_frame_mark *)(void *)frame->at;
        open_span(self, frame->at, frame->at + MARK_BYTES);
        mark->previous = newest;
        mark->jump =
            newest->depth - newest->jump->depth == newest->jump->depth - newest->jump->jump->depth
                ? newest->jump->jump
                : newest;
        mark->serial = next_serial(self);
        mark->depth = newest->depth + 1;
        mark->block = self->block;
        mark->large = self->large;
        note_live(self, mark);
        self->newest = newest = mark;
        self->rest = rest_of(mark);
        set_at(self, self->rest);
    }
    return (ration_marker){.place = newest, .serial = newest->serial};
}

/* The mark with this serial, or some other. */
static rn_frame_mark *find_mark(rn_frame_mark *mark, uint64_t serial)
{
    while (mark->serial > serial && mark->previous != NULL) {
        mark = mark->jump->serial >= serial ? mark->jump : mark->previous;
    }
    return mark;
}

/* Everything since the mark goes. */
static void give_up(rn_frame *frame, rn_frame_mark *mark, const char *call)
{
    verify_pieces(frame, mark, call);
    while (frame->large != mark->large) {
        rn_frame_free_large(frame);
    }
    char *end = frame->hot.at >= frame->limit ? frame->limit + MARK_BYTES : frame->hot.at;
    if (frame->block != mark->block) {
        give_up_blocks(frame, mark->block);
        end = block_end(mark->block);
    }
    frame->newest = mark;
    frame->rest = rest_of(mark);
    take_in_hand(frame, mark->block, frame->rest);
    char *behind = (char *)(mark + 1);
    if (behind < end) {
        rn_bury(behind, (size_t)(end - behind));
    }
}

bool ration_frame_rollback(ration_frame *frame, ration_marker marker)
{
    rn_frame *self = (rn_frame *)(void *)frame;
    rn_frame_mark *mark = self->newest;
    if (RN_UNLIKELY(mark->serial != marker.serial)) {
        mark = find_mark(mark, marker.serial);
    }
    if (RN_UNLIKELY(mark != marker.place || mark->serial != marker.serial)) {
        abort_on_stale(self, marker);
        return false;
    }
    give_up(self, mark, __func__);
    return true;
}

void ration_frame_reset(ration_frame *frame)
{
    rn_frame *self = (rn_frame *)(void *)frame;
    give_up(self, &self->root, __func__);
    self->root.serial = next_serial(self);
    self->status = RATION_OK;
}

/* ------------------------------------------------------------------------------- open and close */

ration_status ration_frame_open(ration_slot *slot, const char *name, ration_frame **out_frame)
{
    rn_slot *owner = rn_slot_of(slot);
    int64_t bytes = rn_block_round(RN_BLOCK_BYTES_MIN);
    void *memory = NULL;
    RN_TRY(rn_block_acquire(owner, bytes, &memory));
    rn_frame_block *block = (rn_frame_block *)memory;
    rn_frame *frame = (rn_frame *)(void *)(block + 1);
    *block = (rn_frame_block){.bytes = bytes};
    *frame = (rn_frame){.slot = owner, .name = name, .newest = &frame->root};
    rn_frame_resource_begin(frame);
    frame->root.jump = &frame->root;
    frame->root.block = block;
    frame->root.serial = next_serial(frame);
    count_held(frame, bytes);
    rn_bury(frame + 1, (size_t)(block_end(block) - (char *)(frame + 1)));
    frame->rest = rest_of(&frame->root);
    take_in_hand(frame, block, frame->rest);
    *out_frame = &frame->hot;
    return RATION_OK;
}

void ration_frame_close(ration_frame *frame)
{
    if (frame == NULL) {
        return;
    }
    rn_frame *self = (rn_frame *)(void *)frame;
    give_up(self, &self->root, __func__);
    rn_resource_end(&frame->resource, 0, __func__);
    rn_slot *slot = self->slot;
    rn_frame_block *first = self->block;
    int64_t bytes = first->bytes;
    rn_unpoison(first, (size_t)bytes);
    rn_block_release(slot, first, bytes);
}

ration_status ration_frame_status(const ration_frame *frame)
{
    return ((const rn_frame *)(const void *)frame)->status;
}

int64_t ration_frame_bytes(const ration_frame *frame)
{
    return ((const rn_frame *)(const void *)frame)->held_bytes;
}

ration_resource *ration_frame_resource(ration_frame *frame)
{
    return &frame->resource;
}

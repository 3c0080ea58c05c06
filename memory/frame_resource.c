/* SPDX-License-Identifier: Apache-2.0
 *
 * A frame as a resource: the newest piece can be given back and resized where it lies, others stay
 * until the rollback. A piece before the newest mark is never the newest: the mark may be rolled
 * back to, and then the piece is there.
 *
 * Checked builds bury what is deallocated, newest or not. They resize large pieces by a copy,
 * because a chunk's record knows its place.
 */
#include "memory/frame.h"
#include "memory/poison.h"

static rn_frame *frame_of(const ration_resource *resource)
{
    return (rn_frame *)(uintptr_t)resource;
}

static size_t body_bytes(size_t bytes)
{
    return rn_step_up(bytes + RN_TAIL_BYTES, 16);
}

/* Where the newest piece ends, and pieces that are cut from the block may begin. */
static void set_at(rn_frame *frame, char *at)
{
    frame->hot.at = at;
#ifdef RATION_CHECKED
    frame->hot.end = at;
#endif
}

static bool is_newest(const rn_frame *frame, const char *user, size_t bytes)
{
    const rn_frame_mark *newest = frame->newest;
    return user + body_bytes(bytes) == frame->hot.at &&
           (newest->block != frame->block || user > (const char *)newest);
}

/* Is it the newest large piece, and younger than the newest mark? */
static bool is_newest_large(const rn_frame *frame, const char *user, size_t align)
{
    return frame->large != frame->newest->large && user == rn_frame_large_user(frame->large, align);
}

/* In checked builds the tail begins directly behind what was asked for. */
static size_t real_bytes(size_t bytes)
{
#ifdef RATION_CHECKED
    return bytes;
#else
    return rn_step_up(bytes, 16);
#endif
}

/* ------------------------------------------------------------------------------- checked builds */

#ifdef RATION_CHECKED

static void unlink_piece(rn_frame *frame, rn_frame_piece *piece)
{
    rn_frame_piece **link = &frame->pieces;
    while (*link != piece) {
        rn_frame_piece *at = *link;
        rn_open(at, sizeof(*at));
        link = &at->previous;
    }
    rn_open(piece, sizeof(*piece));
    *link = piece->previous;
}

/* Looks around the piece; the record stays. */
static void verify_piece(rn_frame *frame, char *user)
{
    rn_place place = rn_frame_place(frame, "ration_resource_deallocate");
    rn_chunk_verify_live(user, &place);
}

static void forget_newest(rn_frame *frame, char *user)
{
    unlink_piece(frame, (rn_frame_piece *)(void *)(user - RN_PIECE_FRONT));
}

/* It stays where it is until the rollback. */
static void bury_piece(rn_frame *frame, char *user)
{
    rn_place place = rn_frame_place(frame, "ration_resource_deallocate");
    rn_chunk_bury(rn_chunk_disarm(user, &place), &place);
}

static void rearm_piece(char *user, size_t bytes)
{
    rn_chunk_rearm(user, bytes);
}

#else

static void verify_piece(rn_frame *frame, char *user)
{
    (void)frame;
    (void)user;
}

static void forget_newest(rn_frame *frame, char *user)
{
    verify_piece(frame, user);
}

static void bury_piece(rn_frame *frame, char *user)
{
    verify_piece(frame, user);
}

static void rearm_piece(char *user, size_t bytes)
{
    (void)user;
    (void)bytes;
}

#endif

/* ------------------------------------------------------------------------------------ the calls */

static ration_status frame_allocate(ration_resource *resource, size_t bytes, size_t align,
                                    ration_block *out_block)
{
    rn_frame *frame = frame_of(resource);
    void *memory = align <= 16 ? ration_frame_allocate(&frame->hot, bytes)
                               : ration_frame_allocate_aligned(&frame->hot, bytes, align);
    if (memory == NULL) {
        return frame->status;
    }
    *out_block = (ration_block){.memory = memory, .bytes = real_bytes(bytes)};
    return RATION_OK;
}

static void frame_deallocate(ration_resource *resource, ration_block block, size_t align)
{
    rn_frame *frame = frame_of(resource);
    char *user = (char *)block.memory;
    verify_piece(frame, user);
    if (is_newest_large(frame, user, RN_MAX(align, 16))) {
        forget_newest(frame, user);
        rn_frame_free_large(frame);
    } else if (is_newest(frame, user, block.bytes)) {
        char *end = frame->hot.at;
        forget_newest(frame, user);
        set_at(frame, user - RN_PIECE_FRONT);
        rn_bury(frame->hot.at, (size_t)(end - frame->hot.at));
    } else {
        bury_piece(frame, user);
    }
}

static bool resize_large(rn_frame *frame, ration_block *block, size_t bytes, size_t align)
{
#ifdef RATION_CHECKED
    (void)frame;
    (void)block;
    (void)bytes;
    (void)align;
    return false;
#else
    rn_frame_large *large = frame->large;
    int64_t before = large->bytes;
    size_t offset = (size_t)((char *)block->memory - (char *)large);
    int64_t after = rn_block_round((int64_t)(offset + body_bytes(bytes)));
    if (before <= RN_BLOCK_BYTES || after <= RN_BLOCK_BYTES || align > RATION_ALIGN_MAX) {
        return false;
    }
    if (after != before) {
        large = (rn_frame_large *)rn_block_resize(frame->slot, large, before, after);
    }
    if (large == NULL) {
        return false;
    }
    large->bytes = after;
    frame->large = large;
    frame->held_bytes += after - before;
    frame->peak_bytes = RN_MAX(frame->peak_bytes, frame->held_bytes);
    *block = (ration_block){.memory = (char *)large + offset, .bytes = real_bytes(bytes)};
    return true;
#endif
}

static bool frame_resize(ration_resource *resource, ration_block *block, size_t bytes, size_t align)
{
    rn_frame *frame = frame_of(resource);
    char *user = (char *)block->memory;
    if (bytes > (size_t)INT64_MAX / 2) {
        return false;
    }
    if (is_newest_large(frame, user, RN_MAX(align, 16))) {
        return resize_large(frame, block, bytes, align);
    }
    if (!is_newest(frame, user, block->bytes)) {
        if (bytes > block->bytes) {
            return false;
        }
        block->bytes = real_bytes(block->bytes); /* as it is: a copy would only take more */
        return true;
    }
    if (body_bytes(bytes) > (size_t)(frame->limit - user)) {
        return false;
    }
    char *end = frame->hot.at;
    char *new_end = user + body_bytes(bytes);
    verify_piece(frame, user);
    if (new_end > end) {
        rn_unpoison(end, (size_t)(new_end - end));
    }
    rearm_piece(user, bytes);
    set_at(frame, new_end);
    if (new_end < end) {
        rn_bury(new_end, (size_t)(end - new_end));
    }
    block->bytes = real_bytes(bytes);
    return true;
}

static size_t frame_measure(ration_resource *resource, ration_block block, size_t align)
{
    (void)resource;
    (void)align;
    return real_bytes(block.bytes);
}

static void frame_info(const ration_resource *resource, ration_resource_info *info)
{
    const rn_frame *frame = frame_of(resource);
    info->name = frame->name;
    info->held_bytes = frame->held_bytes;
    info->peak_bytes = frame->peak_bytes;
}

static const ration_resource_calls frame_calls = {
    .size = sizeof(frame_calls),
    .kind = "frame",
    .allocate = frame_allocate,
    .deallocate = frame_deallocate,
    .resize = frame_resize,
    .measure = frame_measure,
    .info = frame_info,
};

void rn_frame_resource_begin(rn_frame *frame)
{
    frame->hot.resource.calls = &frame_calls;
}

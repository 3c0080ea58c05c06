/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of frames, for frame.c and frame_resource.c only. */
#ifndef RATION_FRAME_H
#define RATION_FRAME_H

#include "memory/resource.h"

/* Head of a block of the chain. `previous` comes first: blocks are given back in chains (blocks.h).
 */
typedef struct rn_frame_block {
    struct rn_frame_block *previous, *next; /* older, newer */
    int64_t number;                         /* in the chain; the first is 0 */
    int64_t bytes;                          /* with this head */
} rn_frame_block;

/* Head of a block with one piece above LARGE_BYTES. */
typedef struct rn_frame_large {
    struct rn_frame_large *previous; /* older */
    int64_t bytes;                   /* of the block, with this head */
} rn_frame_large;

#ifdef RATION_CHECKED
/* In front of every piece, and of its front. */
typedef struct rn_frame_piece {
    struct rn_frame_piece *previous; /* older, or freed */
    void *reserved;
} rn_frame_piece;

#define RN_PIECE_FRONT (sizeof(rn_frame_piece) + RN_FRONT_BYTES)
#else
#define RN_PIECE_FRONT ((size_t)0)
#endif

/* What was in hand when a marker was taken. */
typedef struct rn_frame_mark {
    struct rn_frame_mark *previous; /* older; NULL = the root, where a reset goes back to */
    struct rn_frame_mark *jump;     /* much older; the root's is itself */
    uint64_t serial;
    uint64_t depth;
    rn_frame_block *block;
    rn_frame_large *large;
#ifdef RATION_CHECKED
    rn_frame_piece *pieces;
    uint64_t live_mark; /* rn_live_mark */
#endif
} rn_frame_mark;

/* The whole frame; the public struct is its first member. */
typedef struct rn_frame {
    ration_frame hot;
    char *limit;           /* of the block in hand: behind it is room for one mark */
    char *rest;            /* hot.at when the newest mark was made, or rolled back to */
    rn_frame_mark *newest; /* the root when there is no other */
    rn_frame_large *large; /* newest first */
    rn_frame_block *block; /* in hand: the last of the chain */
    uint64_t serials;
    rn_slot *slot;
    const char *name;
    int64_t held_bytes, peak_bytes;
    ration_status status;
#ifdef RATION_CHECKED
    rn_frame_piece *pieces; /* newest first */
    void *reserved;
#endif
    rn_frame_mark root;
} rn_frame;

/* Where the piece of a large block lies. */
static inline char *rn_frame_large_user(rn_frame_large *large, size_t align)
{
    char *first = (char *)(large + 1) + RN_PIECE_FRONT;
    return first + rn_align_gap(first, align);
}

static inline rn_place rn_frame_place(const rn_frame *frame, const char *call)
{
    return (rn_place){.noun = "resource", .name = frame->name, .kind = "frame", .call = call};
}

/* Gives the newest large piece's block back. */
void rn_frame_free_large(rn_frame *frame);
/* frame_resource.c: the calls are set. */
void rn_frame_resource_begin(rn_frame *frame);

#endif

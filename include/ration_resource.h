/* SPDX-License-Identifier: Apache-2.0
 *
 * Resources: where memory comes from, behind one small interface, and the first of them.
 *
 *     ration_frame_open(slot, "parser", &frame);             or any other resource
 *         piece = ration_frame_allocate(frame, bytes);       inline: a compare and an addition
 *         marker = ration_frame_mark(frame);
 *             ...
 *         ration_frame_rollback(frame, marker);              gives up all since, at once
 *     ration_frame_close(frame);
 *
 *     ration_resource *resource = ration_frame_resource(frame);
 *     ration_resource_allocate(resource, bytes, align, &block);
 *     ration_resource_deallocate(resource, block, align);
 *
 * | resource     | what it is good for                       | charged to the slot    | threads |
 * |--------------|-------------------------------------------|------------------------|---------|
 * | blocks       | few large things: tables, buffers         | whole blocks of pages  | owner   |
 * | frame        | scratch that ends together                | its blocks             | owner   |
 * | object pool  | many things of one size, freed singly     | its blocks             | owner   |
 * | context      | what has a ration_context already         | the context's blocks   | owner   |
 * | charging     | another allocator, under a limit          | each block's real size | owner   |
 * | heap         | the C library's, for charging to charge   | nothing                | any     |
 *
 * Owner: one thread at a time, the slot's (ration_slot_detach and _attach hand it over). What is
 * opened on a slot is closed before the slot is returned or its query closes.
 *
 * Builds of the library made with RATION_CHECKED look at every call, whoever wrote the resource and
 * however the caller was compiled: an align that is no power of two, a block freed with another
 * size or align than it was allocated with, twice, or to a resource it is not from, are reported to
 * stderr with the call stack of the allocation, and the process aborts; what is left when a
 * charging resource or object pool closes is reported so too, and counted as a fault
 * (memory/README.md has the table).
 *
 * Conventions: as in ration.h. The header compiles alone as C99, C11 and C++17.
 */
#ifndef RATION_RESOURCE_H
#define RATION_RESOURCE_H

#include "ration_context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------- resource */

/* A piece of memory of its own. `bytes` is its real size, at least what was asked for, and all of
 * it may be used (checked builds answer exactly what was asked for). */
typedef struct ration_block {
    void *memory;
    size_t bytes;
} ration_block;

/* Where blocks come from. Anybody may write one: a struct that begins with this. */
typedef struct ration_resource ration_resource;

/* Largest align that every resource in this header can give blocks of up to 16 KiB. */
#define RATION_ALIGN_MAX ((size_t)4096)

/* A figure of ration_resource_info that the resource does not keep. */
#define RATION_NOT_KEPT ((int64_t)-1)

/* What a resource says about itself; counts are since it was opened. */
typedef struct ration_resource_info {
    size_t size;      /* sizeof(ration_resource_info), set by the library */
    const char *kind; /* "frame" */
    const char *name; /* as given at open; valid as long as the resource */
    const char *tag;  /* of a charging resource; NULL = none */
    bool thread_safe; /* any thread may call it at any time */
    int64_t blocks;   /* live: allocated, not deallocated */
    int64_t bytes;    /* of these, real sizes */
    int64_t
        held_bytes; /* taken from where it has its memory from; what is charged, if it charges */
    int64_t peak_bytes; /* most ever held */
    int64_t allocations, deallocations;
    int64_t refusals; /* allocations and reallocations that were refused */
} ration_resource_info;

/* What a resource does; a static table. The functions below call it, never anybody else (a resource
 * that wraps another calls the other's table, so that a block belongs to the outermost). They
 * never pass 0 bytes, more than INT64_MAX bytes, or an align that is no power of two. The `bytes`
 * of a block handed in are what was asked for, what was answered, or anything between. */
typedef struct ration_resource_calls {
    size_t size;      /* sizeof(ration_resource_calls) */
    const char *kind; /* "frame" */
    /* Fills the block, or refuses: nothing was allocated and nothing is charged. */
    ration_status (*allocate)(ration_resource *resource, size_t bytes, size_t align,
                              ration_block *out_block);
    void (*deallocate)(ration_resource *resource, ration_block block, size_t align);
    /* Makes the block at least `bytes`, contents kept, where it lies or by other means than a copy
     * into a new one. False: not possible, and nothing changed. NULL: never possible. */
    bool (*resize)(ration_resource *resource, ration_block *block, size_t bytes, size_t align);
    /* The real size of a live block, as it was answered. NULL: always what was asked for. */
    size_t (*measure)(ration_resource *resource, ration_block block, size_t align);
    /* Resources that answer the same may free each other's blocks. NULL: only the resource itself.
     */
    const void *(*identity)(const ration_resource *resource);
    /* Overwrites what it knows; before, every figure is RATION_NOT_KEPT and every text NULL. */
    void (*info)(const ration_resource *resource, ration_resource_info *info);
} ration_resource_calls;

/* The beginning of every resource. */
struct ration_resource {
    const ration_resource_calls *calls;
};

/* Allocates at least `bytes` (0 is valid, and a block of its own) at a multiple of `align`. Errors:
 * the limits' statuses, NO_MEMORY, INVALID_ARGUMENT (the resource has no blocks of this size or
 * align; no power of two, which is a fault too). */
RATION_NODISCARD RATION_PUBLIC ration_status ration_resource_allocate(ration_resource *resource,
                                                                      size_t bytes, size_t align,
                                                                      ration_block *out_block);
/* Gives a block back, with the align it was allocated with; its `bytes` as answered, or as asked
 * for when it was allocated (after a reallocate: as answered). A block without memory (NULL) is
 * ignored. Cannot fail. */
RATION_PUBLIC void ration_resource_deallocate(ration_resource *resource, ration_block block,
                                              size_t align);
/* Makes the block at least `bytes`, contents kept as far as they fit; it may move. NULL memory is
 * an allocation. Errors as ration_resource_allocate, and then the block is as it was; making it
 * smaller never fails. Cost: a copy, unless the resource can do without. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_resource_reallocate(ration_resource *resource,
                                                                        ration_block *block,
                                                                        size_t bytes, size_t align);
/* May one free the other's blocks? */
RATION_PUBLIC bool ration_resource_is_equal(const ration_resource *one,
                                            const ration_resource *other);
/* Who calls is who may allocate from it. */
RATION_PUBLIC void ration_resource_read(const ration_resource *resource,
                                        ration_resource_info *out_info);

/* ---------------------------------------------------------------------------------------- owned */

/* A block that is freed when its scope ends. */
typedef struct ration_owned {
    ration_resource *resource;
    ration_block block; /* memory NULL = none */
    size_t align;
} ration_owned;

/* Starts one that holds nothing; the resource must outlive it. */
RATION_PUBLIC void ration_owned_begin(ration_owned *owned, ration_resource *resource);
/* Allocates its block; one that it held is freed first. Errors as ration_resource_allocate. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_owned_allocate(ration_owned *owned,
                                                                   size_t bytes, size_t align);
/* Hands the block to the caller, who frees it from now on. */
RATION_PUBLIC ration_block ration_owned_take(ration_owned *owned);
/* Frees what it holds; twice is harmless. */
RATION_PUBLIC void ration_owned_free(ration_owned *owned);

/* Declares an owned block that is freed with its scope: return, break, goto, a C++ exception (as
 * RATION_GUARD); not longjmp. */
#define RATION_OWNED(name, resource)                                                               \
    ration_owned name __attribute__((cleanup(ration_owned_free)));                                 \
    ration_owned_begin(&name, (resource))

/* --------------------------------------------------------------------- blocks, context and heap */

/* Whole blocks of pages, charged to the slot: 8, 16, 32 or 64 KiB, larger ones in pages, which
 * reallocate by moving pages, not bytes. Align up to 64 KiB, of larger ones up to RATION_ALIGN_MAX.
 * Slots of one query may free each other's blocks. Lives in the slot. No figures. */
RATION_PUBLIC ration_resource *ration_slot_blocks(ration_slot *slot);

/* A context as a resource: what it allocates lives until it is deallocated (bump contexts:
 * deallocate does nothing) or the context is reset or deleted. Align up to 64 KiB (slabs: 16).
 * Lives in the context. */
RATION_PUBLIC ration_resource *ration_context_resource(ration_context *context);

/* The C library's heap, charged to nobody: to be wrapped by ration_charging_open. Any thread; one
 * for the process. */
RATION_PUBLIC ration_resource *ration_heap_resource(void);

/* ------------------------------------------------------------------------------------- charging */

/* A resource that counts every block of another and charges its real size to a slot. Refused means
 * that nothing was allocated; when the other refuses, nothing stays charged. The other should not
 * charge the same slot itself. */
typedef struct ration_charging ration_charging;

/* `tag` says in reports what it is for, and is kept by pointer; NULL = none. Errors: NO_MEMORY.
 * Cost: one small allocation; afterwards two counters a call beside the other's own. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_charging_open(ration_resource *upstream,
                                                                  ration_slot *slot,
                                                                  const char *tag,
                                                                  ration_charging **out_charging);
/* Align, reallocation and identity of blocks are the other's, but only this frees its blocks. Keeps
 * every figure. */
RATION_PUBLIC ration_resource *ration_charging_resource(ration_charging *charging);
/* Blocks that are still there are a fault, are reported in checked builds, and are no longer
 * charged. NULL is ignored. */
RATION_PUBLIC void ration_charging_close(ration_charging *charging);

/* ---------------------------------------------------------------------------------------- frame */

/* Scratch memory that is cut from blocks by moving a pointer, and given up back to a marker, or all
 * together. Pieces are aligned to 16, as malloc's are: any C type may live there; who needs it
 * denser has bump contexts, aligned to 8. Blocks, 8 KiB first and then 64 KiB, are charged to
 * the slot, never single pieces; a piece above 16 KiB has a block of its own. What a rollback or
 * reset gives up stays resident, and is this frame's again for next to nothing, or anybody's who
 * asks.
 *
 * As a resource: deallocating the newest piece gives it back, and resizing it works where it lies;
 * others stay until the rollback. Of the figures it keeps bytes held and their peak.
 *
 * Equation: at <= end, both inside the block in hand, both multiples of 16. In checked builds at ==
 * end, so that every piece takes the slow path and gets its canary. */
typedef struct ration_frame {
    ration_resource resource;
    char *at, *end;
} ration_frame;

/* A position in a frame, a value. It is good until the frame is rolled back to an older one, reset
 * or closed; rolling back to it leaves it good. */
typedef struct ration_marker {
    const void *place;
    uint64_t serial;
} ration_marker;

/* Opens a frame on a slot, whose owner alone may use it. `name` is kept by pointer. Errors: the
 * limits' statuses, NO_MEMORY. Cost: one block of 8 KiB, in which the frame itself lies. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_frame_open(ration_slot *slot, const char *name,
                                                               ration_frame **out_frame);
/* Gives everything back. NULL is ignored. */
RATION_PUBLIC void ration_frame_close(ration_frame *frame);
/* The slow half of ration_frame_allocate; not to be called directly. */
RATION_PUBLIC void *ration_frame_allocate_slow(ration_frame *frame, size_t bytes);
/* The same aligned to `align`, a power of two up to 64 KiB. Errors: as ration_frame_allocate; no
 * power of two is a fault, and NULL. */
RATION_PUBLIC void *ration_frame_allocate_aligned(ration_frame *frame, size_t bytes, size_t align);
/* Why an allocation of this frame last returned NULL; RATION_OK when none has since open or reset.
 */
RATION_PUBLIC ration_status ration_frame_status(const ration_frame *frame);
/* Where the frame is now. Takes 48 bytes of it unless nothing was allocated since the newest
 * marker; cannot fail. */
RATION_PUBLIC ration_marker ration_frame_mark(ration_frame *frame);
/* Gives up all that was allocated since the marker. O(1) in pieces and blocks, but for pieces above
 * 16 KiB, which go one by one. False, and a fault: the marker is stale or another frame's, and
 * nothing happened (exact, in every build; found in O(1) for the newest marker, else in the
 * logarithm of their number). */
RATION_PUBLIC bool ration_frame_rollback(ration_frame *frame, ration_marker marker);
/* Gives up everything but the first block. */
RATION_PUBLIC void ration_frame_reset(ration_frame *frame);
/* Bytes in its blocks. */
RATION_PUBLIC int64_t ration_frame_bytes(const ration_frame *frame);
/* The frame as a resource: align up to 64 KiB. */
RATION_PUBLIC ration_resource *ration_frame_resource(ration_frame *frame);

/* `bytes` aligned to 16, or NULL when a block was refused: ration_frame_status says why. Zero bytes
 * give a valid pointer. */
static inline void *ration_frame_allocate(ration_frame *frame, size_t bytes)
{
    char *piece = frame->at;
    /* Zero wraps around, so one compare sends it and what does not fit the slow way; what is left
     * is a multiple of 16, so what fits does so rounded up. */
    if (__builtin_expect(bytes - 1 >= (size_t)(frame->end - piece), 0)) {
        return ration_frame_allocate_slow(frame, bytes);
    }
    frame->at = piece + ((bytes + 15) & ~(size_t)15);
    return piece;
}

/* ---------------------------------------------------------------------------------- object pool */

/* Objects of one size, freed in any order, from blocks that are charged to the slot: 8 KiB first,
 * in which the pool itself lies, then 64 KiB; an emptied block is given back. No header per object.
 * (A pool without `object` is a node in the tree of limits.) */
typedef struct ration_object_pool ration_object_pool;

/* `object_bytes` 1 .. 16,000, `align` a power of two up to RATION_ALIGN_MAX. `name` is kept by
 * pointer. Errors: the limits' statuses, NO_MEMORY, INVALID_ARGUMENT. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_object_pool_open(ration_slot *slot,
                                                                     size_t object_bytes,
                                                                     size_t align, const char *name,
                                                                     ration_object_pool **out_pool);
/* Gives everything back; in checked builds objects that are still there are reported as leaks. NULL
 * is ignored. */
RATION_PUBLIC void ration_object_pool_close(ration_object_pool *pool);
/* An object, or NULL when a block was refused: ration_object_pool_status says why. */
RATION_PUBLIC void *ration_object_pool_allocate(ration_object_pool *pool);
/* NULL is ignored. */
RATION_PUBLIC void ration_object_pool_free(ration_object_pool *pool, void *object);
/* Why an allocation last returned NULL; RATION_OK when none has. */
RATION_PUBLIC ration_status ration_object_pool_status(const ration_object_pool *pool);
/* The pool as a resource. Blocks of up to the object's size and align; anything larger is answered
 * INVALID_ARGUMENT. Keeps every figure. */
RATION_PUBLIC ration_resource *ration_object_pool_resource(ration_object_pool *pool);

/* ------------------------------------------------------------------------------------- bindings */

/* ration_frame_allocate, for languages that cannot compile inline functions. */
RATION_PUBLIC void *ration_call_frame_allocate(ration_frame *frame, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif

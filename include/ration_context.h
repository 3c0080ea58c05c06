/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts: regions of memory in a tree, charged by the block.
 *
 *     ration_context_create(parent, slot, RATION_CONTEXT_SET, "rows", &context);
 *         memory = ration_context_allocate(context, bytes);       ration_context_free(memory);
 *         ration_context_reset(context);                          all of it, and what is below
 *     ration_context_delete(context);
 *
 * Conventions: as in ration.h. The header compiles alone as C99, C11 and C++17.
 */
#ifndef RATION_CONTEXT_H
#define RATION_CONTEXT_H

#include "ration.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A region of memory with a parent, named and behaving as PostgreSQL's memory contexts do: deleting
 * a context deletes its children; callbacks run newest first, children's before their parent's,
 * while all the memory is still there. Blocks are charged to the slot, never single allocations:
 * 8 KiB first, doubling to 64 KiB, a chunk above 16 KiB in a block of its own. One thread at a
 * time, the slot's owner, unless said otherwise.
 *
 * In builds made with RATION_CHECKED every chunk carries its size and the call stack of its
 * allocation, and freed chunks are set aside for a while: writing outside of a chunk, after its end
 * of life, freeing it twice or where it does not belong is reported to stderr, and the process
 * aborts (memory/README.md has the table). */
typedef struct ration_context ration_context;

/* The beginning of every context: the library's function for its kind. */
typedef struct ration_context_head {
    void *(*allocate)(ration_context *context, size_t bytes);
} ration_context_head;

/* How a context allocates. */
typedef enum ration_context_kind {
    RATION_CONTEXT_BUMP,      /* no headers, no free: given up by reset or delete only */
    RATION_CONTEXT_SET,       /* general: free lists by size */
    RATION_CONTEXT_SLAB,      /* chunks of one size; emptied blocks are given back, but for one */
    RATION_CONTEXT_GENERATION /* chunks that are freed in about the order they were made: a block is
                                 given back when its last chunk is freed, single chunks are not
                                 used again */
} ration_context_kind;

/* Caller-owned; must stay valid until it has run. */
typedef struct ration_context_callback {
    void (*call)(void *argument);
    void *argument;
    struct ration_context_callback *next; /* the context's */
} ration_context_callback;

/* Creates a context below `parent`, or a root of a tree when parent is NULL. `name` is kept by
 * pointer. Slabs: see below. Errors: the limits' statuses, NO_MEMORY. Cost: no lock while the slot
 * has an 8 KiB block at hand. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_context_create(ration_context *parent,
                                                                   ration_slot *slot,
                                                                   ration_context_kind kind,
                                                                   const char *name,
                                                                   ration_context **out_context);
/* The same for a slab of chunks of `chunk_bytes`, 1 .. 16,000; it allocates no other size. Errors:
 * also INVALID_ARGUMENT. */
RATION_NODISCARD RATION_PUBLIC ration_status
ration_context_create_slab(ration_context *parent, ration_slot *slot, size_t chunk_bytes,
                           const char *name, ration_context **out_context);
/* `bytes` aligned to 16 (bump: 8), or NULL when a block was refused: ration_context_status says
 * why. Zero bytes give a valid pointer. */
static inline void *ration_context_allocate(ration_context *context, size_t bytes)
{
    return ((const ration_context_head *)(const void *)context)->allocate(context, bytes);
}
RATION_PUBLIC void *ration_context_allocate_zero(ration_context *context, size_t bytes);
/* Aligned to `align`, a power of two up to 64 KiB. Costs up to `align` bytes more. Slabs only up to
 * 16. */
RATION_PUBLIC void *ration_context_allocate_aligned(ration_context *context, size_t bytes,
                                                    size_t align);
/* Cannot be refused by a limit: a block that does not fit is charged as unchecked bytes
 * (ration_slot_charge). NULL only when the system has no memory. For what must not fail, such as
 * the way out of an error. */
RATION_PUBLIC void *ration_context_allocate_unchecked(ration_context *context, size_t bytes);
/* Frees a chunk of a set, slab or generation context, which it finds by the chunk's header. NULL is
 * ignored. */
RATION_PUBLIC void ration_context_free(void *memory);
/* Grows or shrinks a chunk of a set, slab or generation context; contents kept, alignment too.
 * NULL on refusal, and then the old chunk is as it was. */
RATION_NODISCARD RATION_PUBLIC void *ration_context_reallocate(void *memory, size_t bytes);
/* The context of a chunk (none of a bump context). */
RATION_PUBLIC ration_context *ration_context_of(const void *memory);
/* What the chunk takes from its block, header included. */
RATION_PUBLIC size_t ration_context_chunk_bytes(const void *memory);
/* Why an allocation of this context last returned NULL; RATION_OK when none has since create or
 * reset. */
RATION_PUBLIC ration_status ration_context_status(const ration_context *context);
/* Callbacks, then children deleted, then all memory given up but the first block. */
RATION_PUBLIC void ration_context_reset(ration_context *context);
/* The context alone: its children stay as they are. */
RATION_PUBLIC void ration_context_reset_only(ration_context *context);
/* Every context below is reset; none is deleted. */
RATION_PUBLIC void ration_context_reset_children(ration_context *context);
/* Callbacks, children, all memory, the context itself. NULL is ignored. */
RATION_PUBLIC void ration_context_delete(ration_context *context);
RATION_PUBLIC void ration_context_delete_children(ration_context *context);
/* Runs `callback->call` once, at the next reset or delete. Cannot fail. */
RATION_PUBLIC void ration_context_on_reset(ration_context *context,
                                           ration_context_callback *callback);
/* Moves the subtree under another parent of the same slot (NULL: makes it a root). O(1). */
RATION_PUBLIC void ration_context_set_parent(ration_context *context, ration_context *parent);
RATION_PUBLIC ration_context *ration_context_parent(const ration_context *context);
/* Children, newest first: the one after `previous`, or the first when that is NULL. */
RATION_PUBLIC ration_context *ration_context_child(const ration_context *parent,
                                                   const ration_context *previous);
RATION_PUBLIC const char *ration_context_name(const ration_context *context);
RATION_PUBLIC ration_slot *ration_context_slot(const ration_context *context);
/* Nothing was cut from its blocks since create or reset, and nothing is below. */
RATION_PUBLIC bool ration_context_is_empty(const ration_context *context);
/* What distinguishes this context from others of its name; kept by pointer, may be NULL. It may lie
 * in the context itself: a reset forgets it. */
RATION_PUBLIC void ration_context_set_identifier(ration_context *context, const char *identifier);
/* Checked builds: chunks of a set, slab or generation context that are still there at its reset or
 * delete are reported as leaks, with their call stacks, and counted as a fault. Others ignore it.
 */
RATION_PUBLIC void ration_context_report_leaks(ration_context *context, bool report);
/* Bytes in blocks and bytes handed over, of the context alone or with all below. Any thread may
 * read the first. */
RATION_PUBLIC int64_t ration_context_bytes(const ration_context *context, bool with_children);
/* Is every chunk and block of the context and all below as it should be? Checked builds look at
 * every byte around live chunks and inside freed ones, and report what they find. */
RATION_PUBLIC bool ration_context_check(const ration_context *context);

/* What a context holds, as read at one moment. */
typedef struct ration_context_figures {
    char name[48]; /* and identifier, cut short */
    ration_context_kind kind;
    int32_t depth;      /* 0 = without parent */
    int64_t bytes;      /* in blocks, and handed over */
    int64_t free_bytes; /* of these, in no chunk; -1 when read by another thread than the owner */
    int64_t blocks;
    int64_t peak_bytes;  /* most ever in blocks */
    int64_t below_bytes; /* of all contexts below */
    int64_t below;       /* contexts below */
} ration_context_figures;

/* Owner only. Cost: a walk over the context's freed chunks and all contexts below. */
RATION_PUBLIC void ration_context_read(const ration_context *context,
                                       ration_context_figures *out_figures);
/* Writes the tree as lines of text, without their end: each context with its `most` largest
 * children, the rest of them in one line, and the sum. Owner only; allocates nothing. */
RATION_PUBLIC void ration_context_report(const ration_context *context, int most,
                                         void (*line)(void *argument, const char *text),
                                         void *argument);
/* Reads the contexts of all slots of a query, parents before their children, at any time and from
 * any thread, while their owners go on. Stores up to `capacity` and returns how many there are.
 * Cost: the governor's lock while all contexts are walked once, one barrier; an owner who creates
 * or deletes a context meanwhile waits. */
RATION_PUBLIC size_t ration_query_peek(ration_query *query, ration_context_figures *figures,
                                       size_t capacity);
/* ration_guard_hand_to_pool, to a context: it gives the bytes back at its reset or delete, and
 * counts them in ration_context_bytes. The context may belong to another slot of this or another
 * query of the same governor; nobody may delete it meanwhile. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_guard_hand_to_context(ration_guard *guard,
                                                                          int64_t bytes,
                                                                          ration_context *context);
/* ration_context_allocate, for languages that cannot compile inline functions. */
RATION_PUBLIC void *ration_call_context_allocate(ration_context *context, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif

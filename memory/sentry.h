/* SPDX-License-Identifier: Apache-2.0
 *
 * Sentries of checked builds: call stacks, canaries around chunks, quarantine, blocks by address.
 * In release builds all of it is empty.
 *
 * Contexts. A kind hands out `raw` (aligned to 8) with room for RN_FRONT_BYTES + bytes +
 * RN_TAIL_BYTES, and rn_chunk_arm makes of it what the user gets:
 *
 *     raw                   user = raw + RN_FRONT_BYTES       user + bytes     a multiple of 8
 *     | bytes stack canary  | what was asked for, 0xa5 first  | tail canary .. |
 *
 *     allocate   [rn_chunk_verify_buried when raw comes from a free list] -> rn_chunk_arm
 *     free       rn_chunk_expect -> the kind's header may be believed: which context it is ->
 *                rn_chunk_disarm -> rn_chunk_bury -> rn_quarantine_push; what that, and then
 *                rn_quarantine_next, returns goes to the kind
 *     realloc    rn_chunk_expect -> rn_chunk_verify_live -> rn_chunk_rearm (in place), or
 *                allocate, copy, free
 *     rest of a  rn_chunk_carve, when it is put into a free list without ever having been armed
 *     block
 *     reset,     walk: rn_chunk_verify_live or, of a chunk that rn_chunk_is_buried,
 *     delete,    rn_chunk_verify_buried; rn_leaks_add of each live one, rn_leaks_end at the end;
 *     check      rn_quarantine_verify, and rn_quarantine_forget when the memory goes
 *
 * A buried chunk is 0x7f but for its record, 16 bytes from raw on, of which raw[0..8) is the kind's
 * (a link), to be opened by rn_open(raw, 8) and closed by rn_poison(raw, 8). The kind's own header
 * before raw is the kind's to open and close.
 *
 * Resources: rn_live_insert .. rn_live_take, rn_live_forget at a reset, rn_live_close at the end.
 *
 * Whatever is found goes to stderr in one piece, with the stack it was found in and those of the
 * allocation and the free, and the process aborts; leaks are reported, and counted as a fault.
 * Any thread.
 */
#ifndef RATION_SENTRY_H
#define RATION_SENTRY_H

#include "base/base.h"

/* Whose chunk it is said to be, and who looks: for the report. Texts are not kept, but the name
 * and kind of live blocks, which must be there as long as the blocks. */
typedef struct rn_place {
    const char *noun; /* "context", "resource" */
    const char *name;
    const char *kind; /* "set", "frame" */
    const char *call; /* the public function, without () */
} rn_place;

#ifdef RATION_CHECKED

#define RN_FRONT_BYTES 16
#define RN_TAIL_BYTES 8
#define RN_FRESH_BYTE 0xa5 /* handed out, not written yet; valgrind knows better, and is let */
#define RN_BURIED_BYTE 0x7f
#define RN_QUARANTINE_CHUNKS 32
#define RN_QUARANTINE_BYTES ((size_t)64 * 1024)
#define RN_QUARANTINE_CHUNK_BYTES ((size_t)16 * 1024) /* a larger one does not wait */
#define RN_LEAKS_SHOWN 10

/* --------------------------------------------------------------------------------------- stacks */

/* The calling thread's stack without the `skip` innermost frames (0: the caller is the first),
 * stored once per process. 0 = unknown. Cost: about 30 ns; no lock, no allocation. */
uint32_t rn_stack_here(int skip);
/* One line per frame. For reports: opens the program's file to find names of static functions. */
void rn_stack_print(uint32_t stack, int descriptor);

/* --------------------------------------------------------------------------------------- chunks */

void *rn_chunk_arm(void *raw, size_t bytes);
static inline void *rn_chunk_raw(const void *user)
{
    return (char *)(uintptr_t)user - RN_FRONT_BYTES;
}
static inline void *rn_chunk_user(const void *raw)
{
    return (char *)(uintptr_t)raw + RN_FRONT_BYTES;
}
/* Reports a pointer that is no chunk, live or buried: foreign free, double free of a chunk whose
 * block has gone, underflow. Afterwards the kind's header may be followed. */
void rn_chunk_expect(const void *user, const char *call);
/* The front record is a chunk's, but the kind's header before it is none: a chunk that cannot be
 * freed (of a bump context), or an underflow beyond the front. Aborts. */
void rn_chunk_report_header(const void *user, const char *call);
/* Of a live chunk, as asked for. */
size_t rn_chunk_bytes(const void *user);
/* Reports double free, underflow, overflow; returns raw. The record stays for rn_chunk_bury. */
void *rn_chunk_disarm(void *user, const rn_place *place);
void rn_chunk_verify_live(const void *user, const rn_place *place);
/* The chunk has `bytes` from now on, contents kept; its stack becomes the caller's. */
void rn_chunk_rearm(void *user, size_t bytes);
/* Freed, after rn_chunk_disarm: scribbled over (larger ones than wait in quarantine are not), and
 * remembered with the stack of the free. */
void rn_chunk_bury(void *raw, const rn_place *place);
/* The same for a chunk that lies inside of the larger one that is freed, for the sake of its
 * alignment: all from `raw` on is buried, and `user` remembered. Instead of rn_chunk_bury. */
void rn_chunk_bury_around(void *raw, const void *user, const rn_place *place);
/* `capacity` bytes (at least RN_FRONT_BYTES + RN_TAIL_BYTES) from raw on are free and were never
 * armed. */
void rn_chunk_carve(void *raw, size_t capacity);
bool rn_chunk_is_buried(const void *raw);
/* Reports what was written after the free. */
void rn_chunk_verify_buried(const void *raw, const rn_place *place);

/* Freed chunks that wait before the kind gets them back, oldest first; linked through raw[0..8).
 * All zeros is empty. */
typedef struct rn_quarantine {
    void *oldest, *newest;
    size_t count, bytes;
} rn_quarantine;

/* Takes a buried chunk; returns one that has to leave, verified, or NULL. A large chunk leaves at
 * once. */
void *rn_quarantine_push(rn_quarantine *quarantine, void *raw, const rn_place *place);
/* After a push that returned one: the next that has to leave, or NULL. */
void *rn_quarantine_next(rn_quarantine *quarantine, const rn_place *place);
/* The oldest, verified, or NULL when empty: for who needs the bytes. */
void *rn_quarantine_take(rn_quarantine *quarantine, const rn_place *place);
void rn_quarantine_verify(const rn_quarantine *quarantine, const rn_place *place);
static inline void rn_quarantine_forget(rn_quarantine *quarantine)
{
    *quarantine = (rn_quarantine){0};
}
/* For tests: how many chunks may wait, in every quarantine of the process. */
void rn_quarantine_limit(size_t chunks);

/* ---------------------------------------------------------------------------------------- leaks */

/* What is still there that should not be; leaks of one stack are shown together. */
typedef struct rn_leaks {
    int64_t count, bytes;
    size_t shown;
    struct {
        const void *first;
        int64_t count, bytes;
        uint32_t stack;
    } of[RN_LEAKS_SHOWN];
} rn_leaks;

/* A live armed chunk. */
void rn_leaks_add(rn_leaks *leaks, const void *user);
void rn_leaks_add_block(rn_leaks *leaks, const void *address, size_t bytes, uint32_t stack);
/* Reports, and counts one fault, unless there are none. Does not abort. */
void rn_leaks_end(const rn_leaks *leaks, const rn_place *place);

/* --------------------------------------------------------------------------------- live blocks */

/* `owner` is what may free the block: the resource, or one for all that are equal. */
void rn_live_insert(const void *owner, const void *address, size_t bytes, size_t align,
                    const rn_place *place);
/* Reports double free (with the stack of the first), foreign free, other bytes, other align. */
void rn_live_take(const void *owner, const void *address, size_t bytes, size_t align,
                  const rn_place *place);
/* The same reports, and the block stays live. */
void rn_live_expect(const void *owner, const void *address, size_t bytes, size_t align,
                    const rn_place *place);
/* A live block that stays where it is has `bytes` from now on. */
void rn_live_resize(const void *address, size_t bytes);
/* Every insert so far has a number of at most this. */
uint64_t rn_live_mark(void);
/* Blocks of the owner that were inserted after `mark` (0: all) are no longer live; they count as
 * freed here. */
void rn_live_forget(const void *owner, uint64_t mark);
int64_t rn_live_count(const void *owner);
/* Reports all live blocks of the owner as leaks and forgets them. */
void rn_live_close(const void *owner, const rn_place *place);

/* -------------------------------------------------------------------------------------- reports */

/* Any other error, such as a stale marker: "ration: " and the text in one line, the stack of now
 * below "found by ..:", then `made` below "allocated at:" and `ended` below "freed at:" (0 = left
 * out). */
_Noreturn RN_PRINTF(4, 5) void rn_sentry_abort(const rn_place *place, uint32_t made, uint32_t ended,
                                               const char *format, ...);

#else

#define RN_FRONT_BYTES 0
#define RN_TAIL_BYTES 0

typedef struct rn_quarantine {
} rn_quarantine;

typedef struct rn_leaks {
} rn_leaks;

static inline uint32_t rn_stack_here(int skip)
{
    (void)skip;
    return 0;
}
static inline void rn_stack_print(uint32_t stack, int descriptor)
{
    (void)stack;
    (void)descriptor;
}
static inline void *rn_chunk_arm(void *raw, size_t bytes)
{
    (void)bytes;
    return raw;
}
static inline void *rn_chunk_raw(const void *user)
{
    return (void *)(uintptr_t)user;
}
static inline void *rn_chunk_user(const void *raw)
{
    return (void *)(uintptr_t)raw;
}
static inline void rn_chunk_expect(const void *user, const char *call)
{
    (void)user;
    (void)call;
}
static inline void rn_chunk_report_header(const void *user, const char *call)
{
    (void)user;
    (void)call;
}
static inline void *rn_chunk_disarm(void *user, const rn_place *place)
{
    (void)place;
    return user;
}
static inline void rn_chunk_verify_live(const void *user, const rn_place *place)
{
    (void)user;
    (void)place;
}
static inline void rn_chunk_rearm(void *user, size_t bytes)
{
    (void)user;
    (void)bytes;
}
static inline void rn_chunk_bury(void *raw, const rn_place *place)
{
    (void)raw;
    (void)place;
}
static inline void rn_chunk_bury_around(void *raw, const void *user, const rn_place *place)
{
    (void)user;
    rn_chunk_bury(raw, place);
}
static inline void rn_chunk_carve(void *raw, size_t capacity)
{
    (void)raw;
    (void)capacity;
}
static inline bool rn_chunk_is_buried(const void *raw)
{
    (void)raw;
    return false;
}
static inline void rn_chunk_verify_buried(const void *raw, const rn_place *place)
{
    (void)raw;
    (void)place;
}
static inline void *rn_quarantine_push(rn_quarantine *quarantine, void *raw, const rn_place *place)
{
    (void)quarantine;
    (void)place;
    return raw;
}
static inline void *rn_quarantine_next(rn_quarantine *quarantine, const rn_place *place)
{
    (void)quarantine;
    (void)place;
    return NULL;
}
static inline void *rn_quarantine_take(rn_quarantine *quarantine, const rn_place *place)
{
    return rn_quarantine_next(quarantine, place);
}
static inline void rn_quarantine_verify(const rn_quarantine *quarantine, const rn_place *place)
{
    (void)quarantine;
    (void)place;
}
static inline void rn_quarantine_forget(rn_quarantine *quarantine)
{
    (void)quarantine;
}
static inline void rn_quarantine_limit(size_t chunks)
{
    (void)chunks;
}
static inline void rn_leaks_add(rn_leaks *leaks, const void *user)
{
    (void)leaks;
    (void)user;
}
static inline void rn_leaks_end(const rn_leaks *leaks, const rn_place *place)
{
    (void)leaks;
    (void)place;
}
static inline void rn_live_insert(const void *owner, const void *address, size_t bytes,
                                  size_t align, const rn_place *place)
{
    (void)owner;
    (void)address;
    (void)bytes;
    (void)align;
    (void)place;
}
static inline void rn_live_take(const void *owner, const void *address, size_t bytes, size_t align,
                                const rn_place *place)
{
    rn_live_insert(owner, address, bytes, align, place);
}
static inline uint64_t rn_live_mark(void)
{
    return 0;
}
static inline void rn_live_forget(const void *owner, uint64_t mark)
{
    (void)owner;
    (void)mark;
}
static inline void rn_live_close(const void *owner, const rn_place *place)
{
    (void)owner;
    (void)place;
}

#endif
#endif

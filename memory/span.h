/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans: address space of 1 MiB, aligned to as much, from which blocks of 8 to 64 KiB are cut.
 *
 *     rn_spans_take .. rn_spans_commit, rn_spans_note .. rn_spans_give     a block comes and goes
 *     rn_span_open, rn_spans_add; rn_spans_drop                            a span does
 *
 * A table of all spans belongs to its user, who has a lock: what takes `rn_spans` needs it held and
 * makes no system call, unless it says "no lock". */
#ifndef RATION_SPAN_H
#define RATION_SPAN_H

#include "memory/pages.h"

#define RN_SPAN_BYTES ((int64_t)1024 * 1024)
#define RN_GRANULE_BYTES ((int64_t)8 * 1024)
#define RN_UNIT_GRANULES 8 /* in a unit of 64 KiB, the largest block */
#define RN_SPAN_UNITS ((int)(RN_SPAN_BYTES / RN_GRANULE_BYTES / RN_UNIT_GRANULES))
#define RN_SPAN_FITS 5

/* used = granules - vacant ones; a vacant granule holds no page. fit is computed from the rest. */
typedef struct rn_span {
    char *base;
    uint8_t vacant[RN_SPAN_UNITS]; /* a bit per granule, a byte per unit */
    uint8_t granules;              /* fewer than 128 where the system had no more */
    uint8_t committed;             /* granules from the base on that may be touched */
    uint8_t used;
    uint8_t fit;  /* what it has room for: see span.c; 0 while it leaves */
    bool leaving; /* being unmapped by somebody */
} rn_span;

/* Highest address first: the system hands out lower and lower ones, so that a new span is added at
 * the end. */
typedef struct rn_spans {
    rn_span *table;
    int64_t count, capacity;
    int64_t idle;                 /* of full size, with nothing in use, not leaving */
    uintptr_t hint[RN_SPAN_FITS]; /* no span below this address has that fit */
} rn_spans;

/* Room for a block, and what of it has to be committed before it may be touched. */
typedef struct rn_span_room {
    char *block; /* NULL = no span has room */
    char *commit;
    int64_t commit_bytes; /* with what follows of the span, up to a step */
    int64_t least_bytes;  /* the block's own part of it */
    bool full;            /* no room, and no place for another span .. */
    int64_t capacity;     /* .. because the table has these */
} rn_span_room;

/* An empty table, which rn_spans_free_table ends. False = no memory for it. */
RATION_NODISCARD bool rn_spans_open(rn_spans *out_spans);
/* Takes vacant granules for a block of `bytes`, a power of two of 8 .. 64 KiB, aligned to its own
 * size. */
rn_span_room rn_spans_take(rn_spans *spans, int64_t bytes);
/* Commits it; false = refused, and the block has to be given back. No lock. */
RATION_NODISCARD bool rn_spans_commit(rn_span_room *room);
/* Afterwards: what was committed is known. */
void rn_spans_note(rn_spans *spans, const rn_span_room *room);
/* Makes the granules of a block vacant; it holds no page any more. True: its whole span is, there
 * is a spare one already, and `*out_leaving` is to be unmapped and then dropped. */
bool rn_spans_give(rn_spans *spans, void *block, int64_t bytes, rn_span *out_leaving);

/* Address space for a span that fits a block of `bytes`: of the full size or, where the system has
 * no more, the largest there is. False = not even that. No lock. */
RATION_NODISCARD bool rn_span_open(int64_t bytes, rn_span *out_span);
/* Adds it. When the table is full, `larger` becomes the table, and gets the old one to be freed.
 * False: it is full all the same. */
RATION_NODISCARD bool rn_spans_add(rn_spans *spans, const rn_span *span, rn_spans *larger);
/* A table for twice as many. No lock. */
RATION_NODISCARD bool rn_spans_enlarge(rn_spans *out_larger, int64_t capacity);
void rn_spans_free_table(rn_spans *spans);
/* It is unmapped, or (`gone` false) the system did not take it back, and it stays. */
void rn_spans_drop(rn_spans *spans, const rn_span *leaving, bool gone);

/* Is every granule of the block in use? */
bool rn_spans_holds(const rn_spans *spans, const void *block, int64_t bytes);
/* Does the table agree with itself? Adds up the bytes in use. */
bool rn_spans_check(const rn_spans *spans, int64_t *out_used_bytes);

static inline int64_t rn_span_bytes(const rn_span *span)
{
    return span->granules * RN_GRANULE_BYTES;
}

#endif

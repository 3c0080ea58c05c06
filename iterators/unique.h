/* SPDX-License-Identifier: Apache-2.0
 *
 * Different rows: those of a stream that were not met before, what is held of them being written
 * out under pressure. Shared by distinct and by count(distinct).
 *
 *     rn_unique_open -> per batch: rn_unique_find -> settle by rn_unique_bound -> rn_unique_add
 *                    -> rn_unique_finish -> rn_unique_drain until ended -> rn_unique_close
 *
 * As long as a shard was never written out, add says at once which rows are new. Of the others it
 * can only hold what may be new; what really is comes out of drain, after the last batch. */
#ifndef RATION_UNIQUE_H
#define RATION_UNIQUE_H

#include "iterators/groups.h"
#include "iterators/merge.h"

typedef struct rn_unique {
    rn_operator *op;
    rn_groups groups; /* the columns, and behind them a bool: given */
    rn_runs runs;
    uint64_t spilled; /* shards that were written out ever */
    uint32_t count;   /* of columns, without `given` */
    rn_batch batch;   /* columns of the batch in hand, and `given` */
    uint32_t *keys;   /* 0, 1, ... */
    uint8_t *given;   /* by row of the batch in hand */
    /* Draining. */
    rn_merge merge;
    rn_groups_source source;
    const rn_row *last; /* decided last; NULL = none */
    uint64_t last_word;
    void *last_copy; /* room for the widest row */
    bool draining, steps, ended;
    bool merging; /* the merge is open */
} rn_unique;

/* Holds rows of these types. The struct must not move afterwards. Errors: the limits' statuses,
 * NO_MEMORY. */
RATION_NODISCARD ration_status rn_unique_open(rn_operator *op, const rn_type *types, uint32_t count,
                                              rn_unique *out_unique);
/* Gives back what is not in op->context. All zeros: nothing to do. */
void rn_unique_close(rn_unique *unique);
/* Looks at rows picks[0..picked) of the columns (picks NULL = all `rows`). */
void rn_unique_find(rn_unique *unique, const rn_column *columns, uint32_t rows,
                    const uint16_t *picks, uint32_t picked);
/* What rn_unique_add draws then. When op->spills changed while settling for it: find again. */
int64_t rn_unique_bound(rn_unique *unique);
/* Holds what is new; out_fresh: those rows that are new for certain, ascending. Errors:
 * ROW_TOO_WIDE; the limits' statuses when not settled for. */
RATION_NODISCARD ration_status rn_unique_add(rn_unique *unique, uint16_t *out_fresh,
                                             uint32_t *out_count);
/* No more batches. Settles. Errors: the limits' statuses, SPILL_*. */
RATION_NODISCARD ration_status rn_unique_finish(rn_unique *unique);
/* Up to `capacity` rows (layout: groups.layout) that were new and not said to be, valid until the
 * next call. A bounded piece of work: may give none before the end. Settles first. Errors: the
 * limits' statuses, SPILL_*. */
RATION_NODISCARD ration_status rn_unique_drain(rn_unique *unique, const rn_row **out_rows,
                                               uint32_t capacity, uint32_t *out_count,
                                               bool *out_ended);
/* After the drain has ended: gives back what is held. Nothing can be added any more. */
void rn_unique_forget(rn_unique *unique);
/* What could be given back; while draining only when no row of a drain is used any more. */
int64_t rn_unique_spillable(const rn_unique *unique);
RATION_NODISCARD ration_status rn_unique_spill(rn_unique *unique, int64_t want_bytes);
/* What opening draws of the operator's context (and, besides, what the groups do); what draining
 * draws. */
void rn_unique_draft(rn_draft *draft, uint32_t count, const rn_sizes *sizes);
int64_t rn_unique_draining_bytes(int64_t row_bytes, const rn_sizes *sizes);

#endif

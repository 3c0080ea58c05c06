/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator interface and the one inline function that every batch passes.
 *
 * Operators are pull-based: open, next until a batch of 0 rows, close. A batch belongs to the
 * operator that returned it and is valid until that operator's next call. An operator calls its
 * inputs only through rn_next, which settles for the batch in hand: it charges ahead what `bound`
 * says this operator may need to hold it, so that no allocation fails while it is worked on.
 * rn_next is the one safe point for cancel, deadline, budgets and (later) reclaim.
 *
 * Several workers run the same plan with one operator tree each; what they share lies in `shared`
 * (zeroed, class->shared_bytes).
 */
#ifndef RATION_OPERATOR_H
#define RATION_OPERATOR_H

#include "executor/governor.h"
#include "storage/row_run.h"

typedef struct rn_operator rn_operator;
typedef struct rn_operator_class rn_operator_class;
typedef struct rn_plan_node rn_plan_node;
typedef struct rn_planner rn_planner;
struct rn_yaml;

/* What a plan is made with, as far as minimums depend on it. */
typedef struct rn_sizes {
    uint32_t batch_rows;
    int64_t max_row_bytes;
} rn_sizes;

/* One thread's part in one query. */
typedef struct rn_worker {
    ration_query *query;
    ration_slot *slot;
    ration_context *context;   /* root of all operator contexts of this worker */
    int64_t rows_left;         /* taken from the query's row budget; owner only */
    uint32_t settles_to_clock; /* settles until the clock is read again */
    uint32_t batch_rows;       /* rows of a batch at most: min(RN_BATCH_ROWS_MAX, check_interval) */
    int64_t max_row_bytes;
    rn_spill_file *spill_file; /* of this worker; no descriptor before the first write */
    void *spill_buffer;        /* RN_RUN_BLOCK_BYTES, for use inside of class->spill only */
    struct rn_execution *execution;
} rn_worker;

#ifdef RATION_HARD
#define RN_SETTLES_TO_CLOCK 1u /* every settle takes the slow half, which spills */
#else
#define RN_SETTLES_TO_CLOCK 16u
#endif

static inline rn_sizes rn_worker_sizes(const rn_worker *worker)
{
    return (rn_sizes){worker->batch_rows, worker->max_row_bytes};
}

typedef struct rn_operator_figures {
    int64_t rows, batches, settles;
    int64_t time_ns;    /* with inputs; only when profiling */
    int64_t peak_bytes; /* blocks of the operator's contexts; only when profiling */
} rn_operator_figures;

/* What an operator can give back by writing it out. */
typedef struct rn_spillable {
    int64_t now_bytes;   /* at once */
    int64_t later_bytes; /* besides, when it is called again: its batch in hand refers to them */
} rn_spillable;

/* The least an operator can work with: bytes of blocks, everything it draws from open on, for rows
 * up to max_row_bytes. It holds `filling` while it pulls what it needs before its first row, and
 * `emitting` afterwards. An operator that needs nothing before its first row has filling_bytes 0.
 */
typedef struct rn_minimum {
    int64_t filling_bytes, emitting_bytes;
} rn_minimum;

struct rn_operator {
    const rn_operator_class *class_;
    const rn_plan_node *node;
    rn_worker *worker;
    void *shared;
    rn_operator **inputs; /* [0] = the step before in the pipeline, then sub-plans */
    uint32_t input_count;
    ration_context *context; /* bump; everything the operator holds is in it or in children of it;
                                deleted after close */
    void *state;             /* class->state_bytes, zeroed, in `context` */
    rn_batch batch; /* for the operator's own output: columns has room for the output schema */
    ration_status (*next)(rn_operator *op,
                          const rn_batch **out_batch); /* class->next, or a wrapper that profiles */
    uint64_t
        spills; /* calls of class->spill: what was found before a settle may be gone after it */
    uint64_t spill_round;  /* the last of rn_execution_spill that called it */
    int64_t minimum_bytes; /* class->minimum, the larger of the two */
    rn_operator_figures figures;
};

struct rn_operator_class {
    const char *name;     /* the key in a plan: "hash join" is `join` */
    const char *sentence; /* what it does; `ration query --operators`, docs */
    size_t args_bytes, state_bytes, shared_bytes;
    uint32_t inputs_min, inputs_max; /* counting the pipeline's step before */

    /* Reads the operator's arguments from the plan: fills node->args and node->output. The output
     * schema must be set. */
    ration_status (*plan)(rn_planner *planner, rn_plan_node *node, const struct rn_yaml *args);
    /* Arguments in one line, for --explain. */
    void (*explain)(const rn_plan_node *node, rn_text *text);
    /* Allocates buffers (inputs are open already). On failure close is still called. */
    ration_status (*open)(rn_operator *op);
    /* Bytes of blocks this operator may draw to hold `input`; NULL = holds nothing that grows. A
     * true upper bound. */
    int64_t (*bound)(const rn_operator *op, const rn_batch *input);
    ration_status (*next)(rn_operator *op, const rn_batch **out_batch);
    /* The least bytes it works with; NULL = a batch of its own output, measured from the schema. */
    rn_minimum (*minimum)(const rn_plan_node *node, const rn_sizes *sizes);
    /* What `spill` could give; NULL = nothing ever. Cheap: asked at every ask. */
    rn_spillable (*spillable)(const rn_operator *op);
    /* Gives back `want_bytes`, as far as there are, by writing out what is held. Called at any
     * settle of this worker, so also while the operator is inside of one of its own, and while a
     * consumer works on its batch: that batch must stay as it is. Settles for nothing and draws
     * nothing: it writes through worker->spill_buffer. Errors: SPILL_*. */
    ration_status (*spill)(rn_operator *op, int64_t want_bytes);
    /* Gives back what is not in op->context; NULL = nothing is. Also after a failed open. */
    void (*close)(rn_operator *op);
};

/* Charges ahead the most there is between the two; at least `at_least_bytes`, for which it asks as
 * rn_settle does. For buffers of which more is only faster. */
RATION_NODISCARD ration_status rn_settle_between(rn_operator *op, int64_t at_least_bytes,
                                                 int64_t up_to_bytes, int64_t *out_bytes);
/* The operator has given its last row: closes it, and what it did not read to its end, and gives
 * back all they hold. From then on it answers the end. */
void rn_operator_ended(rn_operator *op);

/* Slow halves; see rn_settle and rn_next. */
RATION_NODISCARD ration_status rn_settle_slow(rn_operator *op);
/* Does what there is to be done so that `bound_bytes` are charged ahead: asks, spills, waits. */
RATION_NODISCARD ration_status rn_settle_ask(rn_operator *op, int64_t bound_bytes);
/* Records the failure of `op` in the query (first error wins) and returns the status. */
RATION_NODISCARD ration_status rn_operator_failed(rn_operator *op, ration_status status);
/* Fails with a message of the operator's own: EVALUATION, ROW_TOO_WIDE, ... at the operator's place
 * in the plan. */
RATION_NODISCARD ration_status rn_operator_error(rn_operator *op, ration_status status,
                                                 const char *hint, const char *format, ...)
    RN_PRINTF(4, 5);

/* Charges `bound_bytes` ahead for what `op` does next (and gives back what the last settle left
 * over), counts `rows` against the budget, and looks for reasons to stop. After RATION_OK contexts
 * of this worker can draw `bound_bytes` without refusal. */
RATION_NODISCARD static inline ration_status rn_settle(rn_operator *op, int64_t rows,
                                                       int64_t bound_bytes)
{
    op->figures.settles += 1;
#ifdef RATION_UNGOVERNED
    (void)rows;
    (void)bound_bytes;
    return RATION_OK;
#else
    rn_worker *worker = op->worker;
    rn_slot *slot = rn_slot_of(worker->slot);
    slot->patient = true;
    ration_status status = rn_slot_prepay(slot, bound_bytes);
    slot->patient = false;
    if (RN_UNLIKELY(status != RATION_OK)) {
        RN_TRY(rn_settle_ask(op, bound_bytes));
    }
    worker->rows_left -= rows;
    worker->settles_to_clock -= 1;
    if (RN_UNLIKELY(worker->rows_left < 0 || worker->settles_to_clock == 0 ||
                    rn_load(&worker->query->status) != RATION_OK ||
                    rn_load(&worker->query->cancelled) != 0 ||
                    rn_load(&worker->query->want_bytes) != 0)) {
        return rn_settle_slow(op);
    }
    return RATION_OK;
#endif
}

/* The dispatcher: every batch of every operator passes here. Pulls the next batch of `input` for
 * `consumer`, then settles. */
RATION_NODISCARD static inline ration_status rn_next(rn_operator *consumer, rn_operator *input,
                                                     const rn_batch **out_batch)
{
    ration_status status = input->next(input, out_batch);
    if (RN_UNLIKELY(status != RATION_OK)) {
        return rn_operator_failed(input, status);
    }
    const rn_batch *batch = *out_batch;
    input->figures.rows += batch->rows;
    input->figures.batches += 1;
    int64_t bound_bytes = 0;
    if (RN_UNLIKELY(batch->rows == 0)) {
        rn_operator_ended(input);
        *out_batch = batch = &input->batch;
    } else if (consumer->class_->bound != NULL) {
        bound_bytes = consumer->class_->bound(consumer, batch);
    }
    return rn_settle(consumer, batch->rows, bound_bytes);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernels of the evaluator share; nobody outside evaluate*.c includes this.
 *
 * A term is evaluated for the rows of a batch, or for an ascending list of them. Its result is an
 * *operand*: values and validity by row number, or one value for all rows (mask 0). Kernels are
 *   dense:  cannot fail and follow no pointers; compute all rows 0..rows, whatever the list says,
 *           in loops that a compiler can vectorise
 *   sparse: may fail or follow pointers; only listed rows, and only those that are valid
 * Invariant: an operand's values are initialised memory for every row, meaningful only for listed,
 * valid rows.
 */
#ifndef RATION_EVALUATE_H
#define RATION_EVALUATE_H

#include "executor/expression_tree.h"

typedef struct rn_operand {
    const void *data;
    const uint64_t *valid; /* NULL = all */
    uint32_t mask;         /* UINT32_MAX: entry = row; 0: entry 0 for every row */
} rn_operand;

/* The rows asked for: list[0..count), or 0..count when list is NULL; the batch has `rows`. */
typedef struct rn_asked {
    const uint16_t *list;
    uint32_t count;
    uint32_t rows;
} rn_asked;

typedef struct rn_work {
    const rn_expression *term;
    const rn_graph *graph;
    rn_asked asked;
    rn_operand operands[2];
    void *out;       /* rows entries */
    uint64_t *valid; /* words for all rows: the operands' validity, and-ed; written to only when
                        `nulls` */
    bool nulls;
    ration_error *error;
} rn_work;

/* Runs `row` through the rows asked for. */
#define RN_EACH_ASKED(asked_, row_)                                                                \
    for (uint32_t row_##_at = 0, row_ = 0;                                                         \
         row_##_at < (asked_)->count &&                                                            \
         ((row_ = (asked_)->list == NULL ? row_##_at : (asked_)->list[row_##_at]), true);          \
         row_##_at++)

static inline bool rn_operand_valid(const rn_operand *operand, uint32_t row)
{
    return operand->valid == NULL || rn_bit_get(operand->valid, row & operand->mask);
}
static inline bool rn_work_valid(const rn_work *work, uint32_t row)
{
    return !work->nulls || rn_bit_get(work->valid, row);
}
/* The row's result is null. */
static inline void rn_work_set_null(rn_work *work, uint32_t row)
{
    if (!work->nulls) {
        memset(work->valid, 0xff, (work->asked.rows + 63) / 64 * sizeof(uint64_t));
        work->nulls = true;
    }
    rn_bit_clear(work->valid, row);
}

/* EVALUATION at the term's place: "filter: int64 overflow in (p.age + 1)". */
ration_status rn_work_error(const rn_work *work, const char *what);

/* Dense. */
void rn_evaluate_compare_numbers(rn_work *work);
/* Sparse. */
void rn_evaluate_compare_values(rn_work *work);
void rn_evaluate_in(rn_work *work);
RATION_NODISCARD ration_status rn_evaluate_arithmetic(rn_work *work);
RATION_NODISCARD ration_status rn_evaluate_convert(rn_work *work);
void rn_evaluate_text(rn_work *work);
void rn_evaluate_time(rn_work *work);
void rn_evaluate_property(rn_work *work);
void rn_evaluate_label(rn_work *work);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Arithmetic and conversion of numbers. int64 + - * run over all rows and collect "something
 * overflowed" on the way; only then a second pass looks whether it was a row that counts (asked for
 * and not null). Doubles follow IEEE 754, but division by zero is an error there too.
 */
#include <math.h>

#include "executor/evaluate.h"

static const char *const overflow = "int64 overflow";
static const char *const zero = "division by zero";

/* ---- int64 + - * ---- */

#define DEFINE_INT64_LOOP(name, OVERFLOWS)                                                         \
    static bool name(int64_t *restrict out, const rn_operand *a, const rn_operand *b,              \
                     uint32_t rows)                                                                \
    {                                                                                              \
        const int64_t *restrict left = a->data;                                                    \
        const int64_t *restrict right = b->data;                                                   \
        bool over = false;                                                                         \
        if (a->mask != 0 && b->mask == 0) {                                                        \
            const int64_t constant = right[0];                                                     \
            for (uint32_t i = 0; i < rows; i++) {                                                  \
                over |= OVERFLOWS(left[i], constant, &out[i]);                                     \
            }                                                                                      \
        } else if (a->mask != 0) {                                                                 \
            for (uint32_t i = 0; i < rows; i++) {                                                  \
                over |= OVERFLOWS(left[i], right[i], &out[i]);                                     \
            }                                                                                      \
        } else {                                                                                   \
            const int64_t constant = left[0];                                                      \
            for (uint32_t i = 0; i < rows; i++) {                                                  \
                over |= OVERFLOWS(constant, right[i & b->mask], &out[i]);                          \
            }                                                                                      \
        }                                                                                          \
        return over;                                                                               \
    }

/* Written out, not __builtin_add_overflow: these two compilers vectorise. */
static inline bool add_overflows(int64_t a, int64_t b, int64_t *out)
{
    uint64_t sum = (uint64_t)a + (uint64_t)b;
    *out = (int64_t)sum;
    return (((uint64_t)a ^ sum) & ((uint64_t)b ^ sum)) >> 63;
}

static inline bool subtract_overflows(int64_t a, int64_t b, int64_t *out)
{
    uint64_t rest = (uint64_t)a - (uint64_t)b;
    *out = (int64_t)rest;
    return (((uint64_t)a ^ (uint64_t)b) & ((uint64_t)a ^ rest)) >> 63;
}

DEFINE_INT64_LOOP(add_int64, add_overflows)
DEFINE_INT64_LOOP(subtract_int64, subtract_overflows)
DEFINE_INT64_LOOP(multiply_int64, __builtin_mul_overflow)

static bool overflows_at(const rn_work *work, uint32_t row)
{
    const rn_operand *operands = work->operands;
    int64_t a = ((const int64_t *)operands[0].data)[row & operands[0].mask];
    int64_t b = ((const int64_t *)operands[1].data)[row & operands[1].mask];
    int64_t out;
    switch (work->term->term) {
    case RN_TERM_ADD:
        return __builtin_add_overflow(a, b, &out);
    case RN_TERM_SUBTRACT:
        return __builtin_sub_overflow(a, b, &out);
    default:
        return __builtin_mul_overflow(a, b, &out);
    }
}

static ration_status confirm_overflow(const rn_work *work)
{
    RN_EACH_ASKED(&work->asked, row)
    {
        if (rn_work_valid(work, row) && overflows_at(work, row)) {
            return rn_work_error(work, overflow);
        }
    }
    return RATION_OK;
}

/* ---- int64 / % ---- */

static ration_status divide_int64(rn_work *work)
{
    const rn_operand *a = &work->operands[0];
    const rn_operand *b = &work->operands[1];
    const int64_t *left = a->data;
    const int64_t *right = b->data;
    int64_t *out = work->out;
    bool remainder = work->term->term == RN_TERM_REMAINDER;
    RN_EACH_ASKED(&work->asked, row)
    {
        if (!rn_work_valid(work, row)) {
            continue;
        }
        int64_t x = left[row & a->mask];
        int64_t y = right[row & b->mask];
        if (y == 0) {
            return rn_work_error(work, zero);
        }
        if (y == -1 && x == INT64_MIN) {
            return rn_work_error(work, overflow);
        }
        out[row] = remainder ? x % y : x / y;
    }
    return RATION_OK;
}

static ration_status calculate_int64(rn_work *work)
{
    bool over;
    switch (work->term->term) {
    case RN_TERM_ADD:
        over = add_int64(work->out, &work->operands[0], &work->operands[1], work->asked.rows);
        break;
    case RN_TERM_SUBTRACT:
        over = subtract_int64(work->out, &work->operands[0], &work->operands[1], work->asked.rows);
        break;
    case RN_TERM_MULTIPLY:
        over = multiply_int64(work->out, &work->operands[0], &work->operands[1], work->asked.rows);
        break;
    default:
        return divide_int64(work);
    }
    return RN_UNLIKELY(over) ? confirm_overflow(work) : RATION_OK;
}

/* ---- double ---- */

#define DEFINE_DOUBLE_LOOP(name, operator_)                                                        \
    static void name(double *restrict out, const rn_operand *a, const rn_operand *b,               \
                     uint32_t rows)                                                                \
    {                                                                                              \
        const double *restrict left = a->data;                                                     \
        const double *restrict right = b->data;                                                    \
        if (a->mask != 0 && b->mask == 0) {                                                        \
            const double constant = right[0];                                                      \
            for (uint32_t i = 0; i < rows; i++) {                                                  \
                out[i] = left[i] operator_ constant;                                               \
            }                                                                                      \
        } else if (a->mask != 0) {                                                                 \
            for (uint32_t i = 0; i < rows; i++) {                                                  \
                out[i] = left[i] operator_ right[i];                                               \
            }                                                                                      \
        } else {                                                                                   \
            const double constant = left[0];                                                       \
            for (uint32_t i = 0; i < rows; i++) {                                                  \
                out[i] = constant operator_ right[i & b->mask];                                    \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_DOUBLE_LOOP(add_double, +)
DEFINE_DOUBLE_LOOP(subtract_double, -)
DEFINE_DOUBLE_LOOP(multiply_double, *)
DEFINE_DOUBLE_LOOP(quotient_double, /)

/* fmod or quotient after all divisors that count were found not to be 0. */
static ration_status divide_double(rn_work *work)
{
    const rn_operand *a = &work->operands[0];
    const rn_operand *b = &work->operands[1];
    const double *right = b->data;
    double *out = work->out;
    bool divides_zero = false;
    for (uint32_t row = 0; row < work->asked.rows; row++) {
        divides_zero |= right[row & b->mask] == 0;
    }
    RN_EACH_ASKED(&work->asked, row)
    {
        if (divides_zero && rn_work_valid(work, row) && right[row & b->mask] == 0) {
            return rn_work_error(work, zero);
        }
    }
    if (work->term->term == RN_TERM_DIVIDE) {
        quotient_double(out, a, b, work->asked.rows);
        return RATION_OK;
    }
    RN_EACH_ASKED(&work->asked, row)
    {
        out[row] = fmod(((const double *)a->data)[row & a->mask], right[row & b->mask]);
    }
    return RATION_OK;
}

static ration_status calculate_double(rn_work *work)
{
    const rn_operand *a = &work->operands[0];
    const rn_operand *b = &work->operands[1];
    switch (work->term->term) {
    case RN_TERM_ADD:
        add_double(work->out, a, b, work->asked.rows);
        return RATION_OK;
    case RN_TERM_SUBTRACT:
        subtract_double(work->out, a, b, work->asked.rows);
        return RATION_OK;
    case RN_TERM_MULTIPLY:
        multiply_double(work->out, a, b, work->asked.rows);
        return RATION_OK;
    default:
        return divide_double(work);
    }
}

ration_status rn_evaluate_arithmetic(rn_work *work)
{
    return work->term->type.kind == RN_INT64 ? calculate_int64(work) : calculate_double(work);
}

/* ---- one operand: - abs int64 double ---- */

static ration_status negate_int64(rn_work *work)
{
    const rn_operand *operand = &work->operands[0];
    bool absolute = work->term->term == RN_TERM_ABS;
    int64_t *out = work->out;
    RN_EACH_ASKED(&work->asked, row)
    {
        if (!rn_work_valid(work, row)) {
            continue;
        }
        int64_t value = ((const int64_t *)operand->data)[row & operand->mask];
        if (value == INT64_MIN) {
            return rn_work_error(work, overflow);
        }
        out[row] = absolute && value >= 0 ? value : -value;
    }
    return RATION_OK;
}

static void negate_double(rn_work *work)
{
    const rn_operand *operand = &work->operands[0];
    bool absolute = work->term->term == RN_TERM_ABS;
    double *out = work->out;
    RN_EACH_ASKED(&work->asked, row)
    {
        double value = ((const double *)operand->data)[row & operand->mask];
        out[row] = absolute ? fabs(value) : -value;
    }
}

static ration_status truncate_double(rn_work *work)
{
    const rn_operand *operand = &work->operands[0];
    int64_t *out = work->out;
    RN_EACH_ASKED(&work->asked, row)
    {
        if (!rn_work_valid(work, row)) {
            continue;
        }
        double value = ((const double *)operand->data)[row & operand->mask];
        if (!(value >= -0x1p63 && value < 0x1p63)) { /* NaN too */
            return rn_work_error(work, "no int64 holds the value");
        }
        out[row] = (int64_t)value;
    }
    return RATION_OK;
}

static void widen_int64(rn_work *work)
{
    const rn_operand *operand = &work->operands[0];
    const int64_t *restrict in = operand->data;
    double *restrict out = work->out;
    for (uint32_t row = 0; row < work->asked.rows; row++) {
        out[row] = (double)in[row & operand->mask];
    }
}

ration_status rn_evaluate_convert(rn_work *work)
{
    switch (work->term->term) {
    case RN_TERM_TO_INT64:
        return truncate_double(work);
    case RN_TERM_TO_DOUBLE:
        widen_int64(work);
        return RATION_OK;
    default:
        if (work->term->type.kind == RN_INT64) {
            return negate_int64(work);
        }
        negate_double(work);
        return RATION_OK;
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparisons and `in`. All six comparisons are equal(a, b) or less(a, b), with operands swapped
 * and the result flipped: the order is total (NaN equals NaN and is above all numbers), so a <= b
 * is not (b < a).
 */
#include "executor/evaluate.h"

#define EQUAL_PLAIN(a, b) ((a) == (b))
#define LESS_PLAIN(a, b) ((a) < (b))
#define EQUAL_DOUBLE(a, b) (((a) == (b)) | (((a) != (a)) & ((b) != (b))))
#define LESS_DOUBLE(a, b) (((a) < (b)) | (((a) == (a)) & ((b) != (b))))
#define EQUAL_MIXED(a, b) (rn_compare_int64_double((a), (b)) == 0)
#define LESS_MIXED(a, b) (rn_compare_int64_double((a), (b)) < 0)
#define LESS_MIXED_BACK(a, b) (rn_compare_int64_double((b), (a)) > 0)

/* One tight loop each for column against column, column against constant, constant against column.
 */
#define DEFINE_LOOPS(name, type_a, type_b, TEST)                                                   \
    static void name(uint8_t *restrict out, const rn_operand *a, const rn_operand *b,              \
                     uint32_t rows, uint8_t flip)                                                  \
    {                                                                                              \
        const type_a *restrict left = a->data;                                                     \
        const type_b *restrict right = b->data;                                                    \
        if (b->mask == 0) {                                                                        \
            const type_b constant = right[0];                                                      \
            for (uint32_t i = 0; i < rows; i++) {                                                  \
                out[i] = (uint8_t)(TEST(left[i & a->mask], constant)) ^ flip;                      \
            }                                                                                      \
        } else if (a->mask == 0) {                                                                 \
            const type_a constant = left[0];                                                       \
            for (uint32_t i = 0; i < rows; i++) {                                                  \
                out[i] = (uint8_t)(TEST(constant, right[i])) ^ flip;                               \
            }                                                                                      \
        } else {                                                                                   \
            for (uint32_t i = 0; i < rows; i++) {                                                  \
                out[i] = (uint8_t)(TEST(left[i], right[i])) ^ flip;                                \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_LOOPS(equal_bool, uint8_t, uint8_t, EQUAL_PLAIN)
DEFINE_LOOPS(less_bool, uint8_t, uint8_t, LESS_PLAIN)
DEFINE_LOOPS(equal_int32, int32_t, int32_t, EQUAL_PLAIN)
DEFINE_LOOPS(less_int32, int32_t, int32_t, LESS_PLAIN)
DEFINE_LOOPS(equal_int64, int64_t, int64_t, EQUAL_PLAIN)
DEFINE_LOOPS(less_int64, int64_t, int64_t, LESS_PLAIN)
DEFINE_LOOPS(equal_double, double, double, EQUAL_DOUBLE)
DEFINE_LOOPS(less_double, double, double, LESS_DOUBLE)
DEFINE_LOOPS(equal_mixed, int64_t, double, EQUAL_MIXED)
DEFINE_LOOPS(less_mixed, int64_t, double, LESS_MIXED)
DEFINE_LOOPS(less_mixed_back, double, int64_t, LESS_MIXED_BACK)

typedef void compare_loop(uint8_t *restrict out, const rn_operand *a, const rn_operand *b,
                          uint32_t rows, uint8_t flip);

static compare_loop *find_loop(rn_kind kind, bool equality)
{
    switch (kind) {
    case RN_BOOL:
        return equality ? equal_bool : less_bool;
    case RN_DATE:
    case RN_NODE:
        return equality ? equal_int32 : less_int32;
    case RN_DOUBLE:
        return equality ? equal_double : less_double;
    default:
        return equality ? equal_int64 : less_int64;
    }
}

/* How a comparison is made of equal and less. */
typedef struct compare_plan {
    bool equality, swap;
    uint8_t flip;
} compare_plan;

static compare_plan plan_comparison(rn_term term)
{
    return (compare_plan){term == RN_TERM_EQUAL || term == RN_TERM_NOT_EQUAL,
                          term == RN_TERM_GREATER || term == RN_TERM_LESS_EQUAL,
                          term == RN_TERM_NOT_EQUAL || term == RN_TERM_LESS_EQUAL ||
                              term == RN_TERM_GREATER_EQUAL};
}

void rn_evaluate_compare_numbers(rn_work *work)
{
    compare_plan plan = plan_comparison(work->term->term);
    rn_kind left = (rn_kind)work->term->first->type.kind;
    rn_kind right = (rn_kind)work->term->first->next->type.kind;
    const rn_operand *a = &work->operands[plan.swap ? 1 : 0];
    const rn_operand *b = &work->operands[plan.swap ? 0 : 1];
    compare_loop *loop = find_loop(left, plan.equality);
    if (left != right) {
        bool integer_first = (left == RN_INT64) != plan.swap;
        if (plan.equality) {
            a = &work->operands[left == RN_INT64 ? 0 : 1];
            b = &work->operands[left == RN_INT64 ? 1 : 0];
            loop = equal_mixed;
        } else {
            loop = integer_first ? less_mixed : less_mixed_back;
        }
    }
    loop(work->out, a, b, work->asked.rows, plan.flip);
}

static int compare_at(rn_type type, const rn_operand *a, const rn_operand *b, uint32_t row)
{
    if (type.kind == RN_STRING) {
        return rn_string_compare((const rn_string *)a->data + (row & a->mask),
                                 (const rn_string *)b->data + (row & b->mask));
    }
    size_t width = rn_kind_bytes((rn_kind)type.kind);
    return rn_value_compare(type, (const char *)a->data + width * (row & a->mask),
                            (const char *)b->data + width * (row & b->mask));
}

static void equal_strings(rn_work *work, uint8_t flip)
{
    const rn_operand *a = &work->operands[0];
    const rn_operand *b = &work->operands[1];
    const rn_string *left = a->data;
    const rn_string *right = b->data;
    uint8_t *out = work->out;
    RN_EACH_ASKED(&work->asked, row)
    {
        if (rn_work_valid(work, row)) {
            out[row] = (uint8_t)rn_string_equal(&left[row & a->mask], &right[row & b->mask]) ^ flip;
        }
    }
}

void rn_evaluate_compare_values(rn_work *work)
{
    compare_plan plan = plan_comparison(work->term->term);
    rn_type type = work->term->first->type;
    const rn_operand *a = &work->operands[plan.swap ? 1 : 0];
    const rn_operand *b = &work->operands[plan.swap ? 0 : 1];
    uint8_t *out = work->out;
    if (plan.equality && type.kind == RN_STRING) {
        equal_strings(work, plan.flip);
        return;
    }
    RN_EACH_ASKED(&work->asked, row)
    {
        if (rn_work_valid(work, row)) {
            int order = compare_at(type, a, b, row);
            out[row] = (uint8_t)(plan.equality ? order == 0 : order < 0) ^ plan.flip;
        }
    }
}

/* ---- in ---- */

static bool find_in_table(const rn_set *set, rn_type type, size_t width, const char *value)
{
    uint32_t place = (uint32_t)rn_value_hash(type, RN_HASH_SEED, value) & set->mask;
    for (; set->table[place] != 0; place = (place + 1) & set->mask) {
        if (rn_value_equal(type, (const char *)set->values + width * (set->table[place] - 1u),
                           value)) {
            return true;
        }
    }
    return false;
}

static bool find_in_front(const rn_set *set, rn_type type, size_t width, const char *value)
{
    bool found = false;
    for (uint32_t i = 0; i < set->count && !found; i++) {
        found = rn_value_equal(type, (const char *)set->values + width * i, value);
    }
    return found;
}

void rn_evaluate_in(rn_work *work)
{
    const rn_set *set = &work->term->as.set;
    const rn_operand *operand = &work->operands[0];
    rn_type type = work->term->first->type;
    size_t width = rn_kind_bytes((rn_kind)type.kind);
    uint8_t *out = work->out;
    RN_EACH_ASKED(&work->asked, row)
    {
        if (!rn_work_valid(work, row)) {
            if (set->count == 0 && !set->null &&
                set->alien == NULL) { /* nothing is in an empty list, not even null */
                rn_bit_set(work->valid, row);
                out[row] = 0;
            }
            continue;
        }
        const char *value = (const char *)operand->data + width * (row & operand->mask);
        bool found = set->table != NULL ? find_in_table(set, type, width, value)
                                        : find_in_front(set, type, width, value);
        out[row] = found;
        if (!found && set->null) {
            rn_work_set_null(work, row);
        }
    }
}

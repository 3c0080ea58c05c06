/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts, sums, averages, least and greatest, and the results of all functions.
 *
 * Sums of int64 are kept in 128 bits, so that only a result that leaves int64 is an error, whatever
 * the order of the rows. Sums of doubles carry what rounding lost beside them (Neumaier 1974), so
 * that the order of the rows does not show within 1e-12. Least and greatest of everything that fits
 * a word compare the sort's keys (sort_order.c), one loop for all types; of strings the value is
 * copied after a batch, only where it changed. */
#include "iterators/accumulator.h"

#include "iterators/sorter.h"

__extension__ typedef __int128 wide;

enum { COUNT, VALUE, MORE };

/* ----------------------------------------------------------------------------------------- open */

static bool is_double_sum(const rn_aggregate *aggregate)
{
    return aggregate->type.kind == RN_DOUBLE;
}

uint32_t rn_aggregate_words(const rn_aggregate *aggregate)
{
    switch (aggregate->kind) {
    case RN_SUM:
    case RN_AVERAGE:
        return 3;
    case RN_LEAST:
    case RN_GREATEST:
        return aggregate->type.kind == RN_STRING ? 3 : 2;
    case RN_COLLECT:
        return 4;
    default:
        return 1;
    }
}

ration_status rn_accumulator_scratch_open(rn_operator *op, rn_accumulator_scratch *out_scratch)
{
    uint32_t rows = op->worker->batch_rows;
    rn_accumulator_scratch scratch;
    scratch.keys = ration_context_allocate(op->context, rows * sizeof *scratch.keys);
    scratch.touched = ration_context_allocate(op->context, rows * sizeof *scratch.touched);
    scratch.before = ration_context_allocate(op->context, rows * sizeof *scratch.before);
    scratch.picks = ration_context_allocate(op->context, rows * sizeof *scratch.picks);
    if (scratch.keys == NULL || scratch.touched == NULL || scratch.before == NULL ||
        scratch.picks == NULL) {
        return ration_context_status(op->context);
    }
    *out_scratch = scratch;
    return RATION_OK;
}

static ration_status open_distinct(rn_operator *op, rn_accumulator *accumulator)
{
    const rn_type types[] = {rn_type_of(RN_EDGE), accumulator->aggregate->type};
    accumulator->distinct =
        ration_context_allocate_zero(op->context, sizeof *accumulator->distinct);
    return accumulator->distinct == NULL ? ration_context_status(op->context)
                                         : rn_groups_open(op, types, 2, 2, accumulator->distinct);
}

ration_status rn_accumulator_open(rn_operator *op, const rn_aggregate *aggregate, uint32_t offset,
                                  rn_accumulator_scratch *scratch, rn_accumulator *out_accumulator)
{
    rn_accumulator accumulator = {.aggregate = aggregate, .offset = offset, .scratch = scratch};
    bool lists = aggregate->kind == RN_COLLECT;
    bool strings = (aggregate->kind == RN_LEAST || aggregate->kind == RN_GREATEST) &&
                   aggregate->type.kind == RN_STRING;
    RN_TRY(rn_vector_open(op->context, (rn_kind)aggregate->output.kind, op->worker->batch_rows,
                          &accumulator.out));
    if (lists || strings) {
        RN_TRY(ration_context_create(op->context, op->worker->slot,
                                     lists ? RATION_CONTEXT_BUMP : RATION_CONTEXT_SET,
                                     lists ? "lists" : "strings", &accumulator.values));
    }
    if (aggregate->kind == RN_COUNT_DISTINCT) {
        RN_TRY(open_distinct(op, &accumulator));
    }
    *out_accumulator = accumulator;
    return RATION_OK;
}

/* --------------------------------------------------------------------------------------- counts */

static void count_values(const rn_accumulator *accumulator, const rn_column *column, uint32_t rows,
                         const rn_row *const *groups)
{
    for (uint32_t i = 0; i < rows; i++) {
        *rn_group_word(groups[i], accumulator->offset, COUNT) +=
            column == NULL || rn_column_valid(column, i);
    }
}

/* Groups of (group, value): each that is new counts one for its group. */
static ration_status count_distinct(rn_operator *op, rn_accumulator *accumulator,
                                    const rn_column *column, uint32_t rows,
                                    const rn_row *const *groups)
{
    static const uint32_t keys[] = {0, 1};
    rn_column columns[] = {{rn_type_of(RN_EDGE), groups, NULL, NULL}, *column};
    rn_batch batch = {rows, 2, columns};
    rn_groups *distinct = accumulator->distinct;
    uint16_t *picks = accumulator->scratch->picks;
    uint32_t count = 0;
    for (uint32_t i = 0; i < rows; i++) {
        picks[count] = (uint16_t)i;
        count += rn_column_valid(column, i);
    }
    rn_groups_find(distinct, &batch, keys, picks, count, true);
    if (distinct->fresh_count == 0) {
        return RATION_OK;
    }
    RN_TRY(rn_settle(op, 0, rn_groups_bound(distinct, &batch, keys)));
    RN_TRY(rn_groups_add(distinct, &batch, keys));
    for (uint32_t i = 0; i < distinct->fresh_count; i++) {
        *rn_group_word(groups[distinct->fresh[i]], accumulator->offset, COUNT) += 1;
    }
    return RATION_OK;
}

/* ----------------------------------------------------------------------------------------- sums */

static wide read_wide(const uint64_t *words)
{
    wide sum;
    memcpy(&sum, words, sizeof sum);
    return sum;
}

static void sum_integers(const rn_accumulator *accumulator, const rn_column *column, uint32_t rows,
                         const rn_row *const *groups)
{
    const int64_t *values = column->data;
    for (uint32_t i = 0; i < rows; i++) {
        if (rn_column_valid(column, i)) {
            uint64_t *words = rn_group_word(groups[i], accumulator->offset, COUNT);
            wide sum = read_wide(words + VALUE) + values[rn_column_entry(column, i)];
            memcpy(words + VALUE, &sum, sizeof sum);
            words[COUNT] += 1;
        }
    }
}

static void sum_doubles(const rn_accumulator *accumulator, const rn_column *column, uint32_t rows,
                        const rn_row *const *groups)
{
    const double *values = column->data;
    for (uint32_t i = 0; i < rows; i++) {
        if (!rn_column_valid(column, i)) {
            continue;
        }
        uint64_t *words = rn_group_word(groups[i], accumulator->offset, COUNT);
        double sums[2], value = values[rn_column_entry(column, i)];
        memcpy(sums, words + VALUE, sizeof sums);
        double sum = sums[0] + value;
        double lost = __builtin_fabs(sums[0]) >= __builtin_fabs(value) ? (sums[0] - sum) + value
                                                                       : (value - sum) + sums[0];
        sums[0] = sum;
        sums[1] += lost;
        memcpy(words + VALUE, sums, sizeof sums);
        words[COUNT] += 1;
    }
}

/* --------------------------------------------------------------------------- least and greatest */

static void compare_words(const rn_accumulator *accumulator, const rn_column *column, uint32_t rows,
                          const rn_row *const *groups)
{
    uint64_t *keys = accumulator->scratch->keys;
    bool greatest = accumulator->aggregate->kind == RN_GREATEST;
    rn_sort_keys(column, rows, false, keys);
    for (uint32_t i = 0; i < rows; i++) {
        if (rn_column_valid(column, i)) {
            uint64_t *words = rn_group_word(groups[i], accumulator->offset, COUNT);
            bool better = greatest ? keys[i] > words[VALUE] : keys[i] < words[VALUE];
            words[VALUE] = better || words[COUNT] == 0 ? keys[i] : words[VALUE];
            words[COUNT] += 1;
        }
    }
}

/* Lets the groups' strings point into the batch where it has better ones, and notes what they were.
 * A group's count is 1 when it has a string, and 2 while it is noted. */
static uint32_t borrow_strings(const rn_accumulator *accumulator, const rn_column *column,
                               uint32_t rows, const rn_row *const *groups)
{
    rn_accumulator_scratch *scratch = accumulator->scratch;
    int sign = accumulator->aggregate->kind == RN_GREATEST ? 1 : -1;
    uint32_t touched = 0;
    for (uint32_t i = 0; i < rows; i++) {
        if (!rn_column_valid(column, i)) {
            continue;
        }
        uint64_t *words = rn_group_word(groups[i], accumulator->offset, COUNT);
        rn_string *string = (rn_string *)(void *)(words + VALUE);
        const rn_string *value = rn_column_at(column, i);
        if (words[COUNT] != 0 && rn_string_compare(value, string) * sign <= 0) {
            continue;
        }
        if (words[COUNT] <= 1) {
            scratch->touched[touched] = groups[i];
            scratch->before[touched++] = *string;
            words[COUNT] = 2;
        }
        *string = *value;
    }
    return touched;
}

/* Copies the strings that point into the batch, and frees those they replace. */
static ration_status keep_strings(rn_operator *op, rn_accumulator *accumulator, uint32_t touched)
{
    const rn_accumulator_scratch *scratch = accumulator->scratch;
    size_t bytes = 0, largest = 0;
    for (uint32_t i = 0; i < touched; i++) {
        uint64_t *words = rn_group_word(scratch->touched[i], accumulator->offset, COUNT);
        const rn_string *string = (const rn_string *)(const void *)(words + VALUE);
        words[COUNT] = 1;
        if (string->length > RN_STRING_INLINE_MAX) {
            bytes += (size_t)rn_context_chunk_bytes(accumulator->values, string->length);
            largest = RN_MAX(largest, string->length);
        }
    }
    if (bytes > 0) {
        RN_TRY(rn_settle(op, 0, rn_context_bound(accumulator->values, bytes, largest)));
    }
    for (uint32_t i = 0; i < touched; i++) {
        uint64_t *words = rn_group_word(scratch->touched[i], accumulator->offset, COUNT);
        rn_string *string = (rn_string *)(void *)(words + VALUE);
        if (string->length > RN_STRING_INLINE_MAX) {
            char *copy = ration_context_allocate(accumulator->values, string->length);
            if (copy == NULL) {
                return ration_context_status(accumulator->values);
            }
            memcpy(copy, string->rest.pointer, string->length);
            string->rest.pointer = copy;
        }
        if (scratch->before[i].length > RN_STRING_INLINE_MAX) {
            ration_context_free((void *)(uintptr_t)scratch->before[i].rest.pointer);
        }
    }
    return RATION_OK;
}

ration_status rn_accumulator_update(rn_operator *op, rn_accumulator *accumulator,
                                    const rn_column *column, uint32_t rows,
                                    const rn_row *const *groups)
{
    switch (accumulator->aggregate->kind) {
    case RN_COUNT_ROWS:
    case RN_COUNT_VALUES:
        count_values(accumulator, column, rows, groups);
        return RATION_OK;
    case RN_COUNT_DISTINCT:
        return count_distinct(op, accumulator, column, rows, groups);
    case RN_SUM:
    case RN_AVERAGE:
        if (is_double_sum(accumulator->aggregate)) {
            sum_doubles(accumulator, column, rows, groups);
        } else {
            sum_integers(accumulator, column, rows, groups);
        }
        return RATION_OK;
    case RN_LEAST:
    case RN_GREATEST:
        if (column->type.kind == RN_STRING) {
            return keep_strings(op, accumulator, borrow_strings(accumulator, column, rows, groups));
        }
        compare_words(accumulator, column, rows, groups);
        return RATION_OK;
    case RN_COLLECT:
        return rn_collect_values(op, accumulator, column, rows, groups);
    }
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- results */

static double double_sum(const rn_aggregate *aggregate, const uint64_t *words)
{
    if (!is_double_sum(aggregate)) {
        return (double)read_wide(words + VALUE);
    }
    double sums[2];
    memcpy(sums, words + VALUE, sizeof sums);
    return __builtin_isfinite(sums[0]) ? sums[0] + sums[1] : sums[0];
}

/* The result of one group that has values; false when it is no int64. */
static bool finish_group(const rn_aggregate *aggregate, const uint64_t *words, void *to)
{
    double real;
    wide sum;
    int64_t integer;
    switch (aggregate->kind) {
    case RN_SUM:
        if (!is_double_sum(aggregate)) {
            sum = read_wide(words + VALUE);
            integer = (int64_t)sum;
            memcpy(to, &integer, sizeof integer);
            return sum == integer;
        }
        real = double_sum(aggregate, words);
        memcpy(to, &real, sizeof real);
        return true;
    case RN_AVERAGE:
        real = double_sum(aggregate, words) / (double)words[COUNT];
        memcpy(to, &real, sizeof real);
        return true;
    case RN_LEAST:
    case RN_GREATEST:
        if (aggregate->type.kind == RN_STRING) {
            memcpy(to, words + VALUE, sizeof(rn_string));
        } else {
            rn_sort_value((rn_kind)aggregate->type.kind, words[VALUE], to);
        }
        return true;
    case RN_COLLECT:
        memcpy(to, words, sizeof(rn_list));
        return true;
    default:
        memcpy(to, words, sizeof *words);
        return true;
    }
}

/* Is the result of no value null? */
static bool is_null_without_values(rn_aggregate_kind kind)
{
    return kind == RN_SUM || kind == RN_AVERAGE || kind == RN_LEAST || kind == RN_GREATEST;
}

ration_status rn_accumulator_finish(rn_operator *op, rn_accumulator *accumulator,
                                    const rn_row *const *groups, uint32_t count,
                                    rn_column *out_column)
{
    const rn_aggregate *aggregate = accumulator->aggregate;
    size_t width = rn_kind_bytes((rn_kind)aggregate->output.kind);
    bool nulls = is_null_without_values(aggregate->kind), any_null = false;
    memset(accumulator->out.valid, 0xff, (count + 63) / 64 * sizeof(uint64_t));
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t *words = rn_group_word(groups[i], accumulator->offset, COUNT);
        char *to = (char *)accumulator->out.data + i * width;
        if (nulls && words[COUNT] == 0) {
            memset(to, 0, width);
            rn_bit_clear(accumulator->out.valid, i);
            any_null = true;
        } else if (!finish_group(aggregate, words, to)) {
            return rn_operator_error(op, RATION_EVALUATION, "sum doubles: sum(double(x))",
                                     "a sum is outside of int64");
        }
    }
    *out_column = (rn_column){aggregate->output, accumulator->out.data,
                              any_null ? accumulator->out.valid : NULL, NULL};
    return RATION_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts, sums, averages, least and greatest, and the results of all functions.
 *
 * Sums of int64 are kept in 128 bits, so that only a result that leaves int64 is an error, whatever
 * the order of the rows. Sums of doubles carry what rounding lost beside them (Neumaier 1974), so
 * that the order of the rows does not show within 1e-12. Least and greatest of everything that fits
 * a word compare the sort's keys (sort_order.c), one loop for all types; a string is copied where
 * it is better than the one before, which is freed.
 *
 * count(distinct) counts a value when it is known to be new, which may be as late as when all that
 * was written out is read back (unique.h). */
#include "iterators/accumulator.h"

#include "iterators/sorter.h"

__extension__ typedef __int128 wide;

enum { COUNT, VALUE };

/* ----------------------------------------------------------------------------------------- open */

static bool is_double_sum(const rn_aggregate *aggregate)
{
    return aggregate->type.kind == RN_DOUBLE;
}

static bool is_of_strings(const rn_aggregate *aggregate)
{
    return (aggregate->kind == RN_LEAST || aggregate->kind == RN_GREATEST) &&
           aggregate->type.kind == RN_STRING;
}

bool rn_aggregate_points(const rn_aggregate *aggregate)
{
    return aggregate->kind == RN_COLLECT || is_of_strings(aggregate);
}

uint32_t rn_aggregate_columns(const rn_aggregate *aggregate,
                              rn_type out_types[RN_AGGREGATE_COLUMNS_MAX])
{
    for (uint32_t i = 0; i < RN_AGGREGATE_COLUMNS_MAX; i++) {
        out_types[i] = rn_type_of(RN_INT64);
    }
    switch (aggregate->kind) {
    case RN_SUM:
    case RN_AVERAGE:
        return 3;
    case RN_LEAST:
    case RN_GREATEST:
        if (is_of_strings(aggregate)) {
            out_types[VALUE] = aggregate->type;
        }
        return 2;
    case RN_COLLECT:
        out_types[0] = aggregate->output;
        return 3;
    default:
        return 1;
    }
}

ration_status rn_accumulator_scratch_open(rn_operator *op, rn_accumulator_scratch *out_scratch)
{
    uint32_t rows = op->worker->batch_rows;
    rn_accumulator_scratch scratch;
    scratch.keys = ration_context_allocate(op->context, rows * sizeof *scratch.keys);
    scratch.picks = ration_context_allocate(op->context, rows * sizeof *scratch.picks);
    if (scratch.keys == NULL || scratch.picks == NULL) {
        return ration_context_status(op->context);
    }
    *out_scratch = scratch;
    return RATION_OK;
}

static ration_status open_distinct(rn_operator *op, const rn_type *keys, uint32_t key_count,
                                   rn_accumulator *accumulator)
{
    rn_type types[RN_COLUMNS_MAX];
    memcpy(types, keys, key_count * sizeof *keys);
    types[key_count] = accumulator->aggregate->type;
    accumulator->distinct =
        ration_context_allocate_zero(op->context, sizeof *accumulator->distinct);
    accumulator->distinct_row =
        ration_context_allocate(op->context, (key_count + 1) * sizeof(rn_column));
    if (accumulator->distinct == NULL || accumulator->distinct_row == NULL) {
        return ration_context_status(op->context);
    }
    return rn_unique_open(op, types, key_count + 1, accumulator->distinct);
}

static ration_status open_values(rn_operator *op, rn_accumulator *accumulator, bool all)
{
    bool lists = accumulator->aggregate->kind == RN_COLLECT;
    uint32_t only = rn_groups_shard(RN_HASH_SEED);
    for (uint32_t s = all ? 0 : only; s < (all ? RN_GROUP_SHARDS : only + 1); s++) {
        RN_TRY(ration_context_create(op->context, op->worker->slot,
                                     lists ? RATION_CONTEXT_BUMP : RATION_CONTEXT_SET,
                                     lists ? "lists" : "strings", &accumulator->values[s]));
    }
    return RATION_OK;
}

ration_status rn_accumulator_open(rn_operator *op, const rn_aggregate *aggregate, uint32_t offset,
                                  const rn_type *keys, uint32_t key_count,
                                  rn_accumulator_scratch *scratch, rn_accumulator *out_accumulator)
{
    memset(out_accumulator, 0, sizeof *out_accumulator);
    out_accumulator->aggregate = aggregate;
    out_accumulator->offset = offset;
    out_accumulator->scratch = scratch;
    RN_TRY(rn_vector_open(op->context, (rn_kind)aggregate->output.kind, op->worker->batch_rows,
                          &out_accumulator->out));
    if (rn_aggregate_points(aggregate)) {
        RN_TRY(open_values(op, out_accumulator, key_count > 0));
    }
    return aggregate->kind == RN_COUNT_DISTINCT
               ? open_distinct(op, keys, key_count, out_accumulator)
               : RATION_OK;
}

void rn_accumulator_close(rn_accumulator *accumulator)
{
    if (accumulator->distinct != NULL) {
        rn_unique_close(accumulator->distinct);
    }
}

void rn_accumulator_forget(rn_accumulator *accumulator, uint32_t shard)
{
    if (accumulator->values[shard] != NULL) {
        ration_context_reset(accumulator->values[shard]);
    }
}

int64_t rn_accumulator_bytes(const rn_accumulator *accumulator, uint32_t shard)
{
    const ration_context *values = accumulator->values[shard];
    return values == NULL ? 0 : RN_MAX(ration_context_bytes(values, false) - RN_BLOCK_BYTES_MIN, 0);
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

static int64_t look_for_new(rn_accumulator *accumulator, const rn_intake *intake,
                            const rn_column *column)
{
    uint16_t *picks = accumulator->scratch->picks;
    uint32_t count = 0;
    for (uint32_t i = 0; i < intake->rows; i++) {
        picks[count] = (uint16_t)i;
        count += rn_column_valid(column, i);
    }
    for (uint32_t k = 0; k < intake->key_count; k++) {
        accumulator->distinct_row[k] = intake->columns[intake->keys[k]];
    }
    accumulator->distinct_row[intake->key_count] = *column;
    rn_unique_find(accumulator->distinct, accumulator->distinct_row, intake->rows, picks, count);
    return rn_unique_bound(accumulator->distinct);
}

static ration_status count_new(rn_accumulator *accumulator, const rn_intake *intake)
{
    uint16_t *fresh = accumulator->scratch->picks;
    uint32_t count;
    RN_TRY(rn_unique_add(accumulator->distinct, fresh, &count));
    for (uint32_t i = 0; i < count; i++) {
        *rn_group_word(intake->groups[fresh[i]], accumulator->offset, COUNT) += 1;
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

/* Adds to a sum, and what rounding lost to what it lost before. */
static inline void add_double(double *sums, double value)
{
    double sum = sums[0] + value;
    sums[1] += __builtin_fabs(sums[0]) >= __builtin_fabs(value) ? (sums[0] - sum) + value
                                                                : (value - sum) + sums[0];
    sums[0] = sum;
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
        double sums[2];
        memcpy(sums, words + VALUE, sizeof sums);
        add_double(sums, values[rn_column_entry(column, i)]);
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

static bool is_better(const rn_accumulator *accumulator, const rn_string *value,
                      const uint64_t *words)
{
    int sign = accumulator->aggregate->kind == RN_GREATEST ? 1 : -1;
    const rn_string *string = (const rn_string *)(const void *)(words + VALUE);
    return words[COUNT] == 0 || rn_string_compare(value, string) * sign > 0;
}

/* What keeping every value of the batch that is better than its group's takes. */
static int64_t bound_strings(const rn_accumulator *accumulator, const rn_intake *intake,
                             const rn_column *column)
{
    size_t bytes[RN_GROUP_SHARDS] = {0}, largest[RN_GROUP_SHARDS] = {0};
    int64_t bound = 0;
    for (uint32_t i = 0; i < intake->rows; i++) {
        if (!rn_column_valid(column, i)) {
            continue;
        }
        const rn_string *value = rn_column_at(column, i);
        const uint64_t *words = rn_group_word(intake->groups[i], accumulator->offset, COUNT);
        if (value->length > RN_STRING_INLINE_MAX && is_better(accumulator, value, words)) {
            uint32_t shard = rn_intake_shard(intake, i);
            bytes[shard] +=
                (size_t)rn_context_chunk_bytes(accumulator->values[shard], value->length);
            largest[shard] = RN_MAX(largest[shard], value->length);
        }
    }
    for (uint32_t s = 0; s < RN_GROUP_SHARDS; s++) {
        bound += bytes[s] == 0 ? 0 : rn_context_bound(accumulator->values[s], bytes[s], largest[s]);
    }
    return bound;
}

static ration_status keep_strings(const rn_accumulator *accumulator, const rn_intake *intake,
                                  const rn_column *column)
{
    for (uint32_t i = 0; i < intake->rows; i++) {
        if (!rn_column_valid(column, i)) {
            continue;
        }
        const rn_string *value = rn_column_at(column, i);
        uint64_t *words = rn_group_word(intake->groups[i], accumulator->offset, COUNT);
        rn_string *string = (rn_string *)(void *)(words + VALUE);
        if (!is_better(accumulator, value, words)) {
            continue;
        }
        rn_string copy = *value;
        if (copy.length > RN_STRING_INLINE_MAX) {
            ration_context *values = accumulator->values[rn_intake_shard(intake, i)];
            char *bytes = ration_context_allocate(values, copy.length);
            if (bytes == NULL) {
                return ration_context_status(values);
            }
            memcpy(bytes, value->rest.pointer, copy.length);
            copy.rest.pointer = bytes;
        }
        if (string->length > RN_STRING_INLINE_MAX) {
            ration_context_free((void *)(uintptr_t)string->rest.pointer);
        }
        *string = copy;
        words[COUNT] = 1;
    }
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- batches */

int64_t rn_accumulator_bound(rn_accumulator *accumulator, const rn_intake *intake,
                             const rn_column *column)
{
    switch (accumulator->aggregate->kind) {
    case RN_COUNT_DISTINCT:
        return look_for_new(accumulator, intake, column);
    case RN_LEAST:
    case RN_GREATEST:
        return is_of_strings(accumulator->aggregate) ? bound_strings(accumulator, intake, column)
                                                     : 0;
    case RN_COLLECT:
        return rn_collect_bound(accumulator, intake, column);
    default:
        return 0;
    }
}

ration_status rn_accumulator_update(rn_accumulator *accumulator, const rn_intake *intake,
                                    const rn_column *column)
{
    switch (accumulator->aggregate->kind) {
    case RN_COUNT_ROWS:
    case RN_COUNT_VALUES:
        count_values(accumulator, column, intake->rows, intake->groups);
        return RATION_OK;
    case RN_COUNT_DISTINCT:
        return count_new(accumulator, intake);
    case RN_SUM:
    case RN_AVERAGE:
        if (is_double_sum(accumulator->aggregate)) {
            sum_doubles(accumulator, column, intake->rows, intake->groups);
        } else {
            sum_integers(accumulator, column, intake->rows, intake->groups);
        }
        return RATION_OK;
    case RN_LEAST:
    case RN_GREATEST:
        if (is_of_strings(accumulator->aggregate)) {
            return keep_strings(accumulator, intake, column);
        }
        compare_words(accumulator, column, intake->rows, intake->groups);
        return RATION_OK;
    case RN_COLLECT:
        return rn_collect_values(accumulator, intake, column);
    }
    return RATION_OK;
}

/* ------------------------------------------------------------------------------------- merging */

static void merge_sums(const rn_aggregate *aggregate, uint64_t *into, const uint64_t *from)
{
    into[COUNT] += from[COUNT];
    if (is_double_sum(aggregate)) {
        double a[2], b[2];
        memcpy(a, into + VALUE, sizeof a);
        memcpy(b, from + VALUE, sizeof b);
        add_double(a, b[0]);
        a[1] += b[1];
        memcpy(into + VALUE, a, sizeof a);
    } else {
        wide sum = read_wide(into + VALUE) + read_wide(from + VALUE);
        memcpy(into + VALUE, &sum, sizeof sum);
    }
}

static void merge_least(const rn_accumulator *accumulator, uint64_t *into, const uint64_t *from)
{
    bool greatest = accumulator->aggregate->kind == RN_GREATEST;
    if (from[COUNT] == 0) {
        return;
    }
    if (is_of_strings(accumulator->aggregate)) {
        if (is_better(accumulator, (const rn_string *)(const void *)(from + VALUE), into)) {
            memcpy(into + VALUE, from + VALUE, sizeof(rn_string));
        }
    } else if (into[COUNT] == 0 ||
               (greatest ? from[VALUE] > into[VALUE] : from[VALUE] < into[VALUE])) {
        into[VALUE] = from[VALUE];
    }
    into[COUNT] += from[COUNT];
}

static void merge_lists(rn_list_state *into, const rn_list_state *from)
{
    if (from->list.length == 0) {
        return;
    }
    if (into->list.length == 0) {
        *into = *from;
        return;
    }
    into->last->next = from->list.first;
    into->last = from->last;
    into->list.length += from->list.length;
}

void rn_accumulator_merge(const rn_accumulator *accumulator, const rn_row *into_row,
                          const rn_row *from_row)
{
    uint64_t *into = rn_group_word(into_row, accumulator->offset, 0);
    const uint64_t *from = rn_group_word(from_row, accumulator->offset, 0);
    switch (accumulator->aggregate->kind) {
    case RN_SUM:
    case RN_AVERAGE:
        merge_sums(accumulator->aggregate, into, from);
        return;
    case RN_LEAST:
    case RN_GREATEST:
        merge_least(accumulator, into, from);
        return;
    case RN_COLLECT:
        merge_lists((rn_list_state *)(void *)into, (const rn_list_state *)(const void *)from);
        return;
    default:
        into[COUNT] += from[COUNT];
    }
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * Aggregates: the groups in the order of their first rows, then one pass over the whole input per
 * group and function. */
#include "tests/reference/random_plan.h"

static bool same_group(const naive_step *step, const naive_value *a, const naive_value *b)
{
    for (uint32_t i = 0; i < step->column_count; i++) {
        if (!naive_same(&a[step->columns[i]], &b[step->columns[i]])) {
            return false;
        }
    }
    return true;
}

/* The argument's values over the group's rows, without null. */
static naive_table gather(naive_evaluation *evaluation, const naive_step *step,
                          const naive_expression *argument, const naive_table *input,
                          const naive_value *first)
{
    naive_table values = {.width = 1};
    for (size_t r = 0; r < input->count; r++) {
        const naive_value *row = input->rows[r].values;
        if (!same_group(step, row, first)) {
            continue;
        }
        naive_value value =
            argument == NULL ? naive_bool(true) : naive_evaluate(evaluation, argument, row);
        if (!value.null) {
            naive_table_add(evaluation->arena, &values)[0] = value;
        }
    }
    return values;
}

static size_t count_distinct(const naive_table *values)
{
    size_t count = 0;
    for (size_t i = 0; i < values->count; i++) {
        bool known = false;
        for (size_t j = 0; j < i && !known; j++) {
            known = naive_same(&values->rows[i].values[0], &values->rows[j].values[0]);
        }
        count += known ? 0 : 1;
    }
    return count;
}

static naive_value sum_integers(naive_evaluation *evaluation, const naive_table *values)
{
    __extension__ typedef __int128 wide;
    wide up = 0, down = 0;
    for (size_t i = 0; i < values->count; i++) {
        int64_t value = values->rows[i].values[0].integer;
        up += value > 0 ? value : 0;
        down += value < 0 ? value : 0;
    }
    wide sum = up + down;
    bool fits = sum <= INT64_MAX && sum >= INT64_MIN;
    if (up > INT64_MAX ||
        down < INT64_MIN) { /* the order decides whether it overflows on the way */
        evaluation->outcome.undefined = evaluation->outcome.undefined || fits;
    }
    if (!fits) {
        evaluation->outcome.failed = true;
        evaluation->outcome.why = "sum overflows";
        return naive_null(naive_type_of(NAIVE_INT64));
    }
    return naive_int64((int64_t)sum);
}

static naive_value sum_doubles(const naive_table *values)
{
    double sum = 0;
    for (size_t i = 0; i < values->count; i++) {
        const naive_value *value = &values->rows[i].values[0];
        sum += value->type.kind == NAIVE_INT64 ? (double)value->integer : value->real;
    }
    return naive_double(sum);
}

static naive_value find_extreme(const naive_table *values, int sign)
{
    naive_value best = values->rows[0].values[0];
    for (size_t i = 1; i < values->count; i++) {
        const naive_value *value = &values->rows[i].values[0];
        if (naive_compare(value, &best) * sign > 0) {
            best = *value;
        }
    }
    return best;
}

static naive_value list_of(naive_evaluation *evaluation, naive_type type, const naive_table *values)
{
    naive_value *items = naive_allocate(evaluation->arena, values->count * sizeof *items);
    for (size_t i = 0; i < values->count; i++) {
        items[i] = values->rows[i].values[0];
    }
    naive_value list = naive_null(type);
    list.null = false;
    list.items = items;
    list.count = values->count;
    return list;
}

static naive_value compute(naive_evaluation *evaluation, naive_function function, naive_type type,
                           const naive_table *values)
{
    switch (function) {
    case COUNT_ROWS:
    case COUNT_VALUES:
        return naive_int64((int64_t)values->count);
    case COUNT_DISTINCT:
        return naive_int64((int64_t)count_distinct(values));
    case COLLECT:
        return list_of(evaluation, type, values);
    default:
        break;
    }
    if (values->count == 0) {
        return naive_null(type);
    }
    switch (function) {
    case SUM:
        return type.kind == NAIVE_INT64 ? sum_integers(evaluation, values) : sum_doubles(values);
    case AVG:
        return naive_double(sum_doubles(values).real / (double)values->count);
    default:
        return find_extreme(values, function == MIN ? -1 : 1);
    }
}

static void add_group(naive_evaluation *evaluation, const naive_step *step,
                      const naive_table *input, const naive_value *first, naive_table *output)
{
    naive_value *values = naive_table_add(evaluation->arena, output);
    for (uint32_t i = 0; i < step->column_count; i++) {
        values[i] = first[step->columns[i]];
    }
    for (uint32_t i = 0; i < step->count; i++) {
        naive_table gathered = gather(evaluation, step, step->expressions[i], input, first);
        uint32_t column = step->first_new + i;
        values[column] =
            compute(evaluation, step->functions[i], step->output.columns[column].type, &gathered);
    }
}

naive_table naive_aggregate(naive_evaluation *evaluation, const naive_step *step,
                            const naive_table *input)
{
    naive_table output = {.width = step->output.count};
    if (step->column_count == 0) {
        add_group(evaluation, step, input, input->count == 0 ? NULL : input->rows[0].values,
                  &output);
        return output;
    }
    for (size_t r = 0; r < input->count && naive_go_on(evaluation); r++) {
        const naive_value *row = input->rows[r].values;
        bool known = false;
        for (size_t i = 0; i < r && !known; i++) {
            known = same_group(step, input->rows[i].values, row);
        }
        if (!known) {
            add_group(evaluation, step, input, row, &output);
        }
    }
    return output;
}

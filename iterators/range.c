/* SPDX-License-Identifier: Apache-2.0
 *
 * range: rows from nothing, so that operators can be driven without a table: sequences and seeded
 * random values.
 *
 * Each column draws from streams of its own (values, nulls), a fixed number of draws per row; so
 * the same plan gives the same rows whatever the batch size and the other columns are. Random
 * strings with `distinct: K` end in the number of their choice, written in letters: exactly K of
 * them are possible.
 *
 * Holds: one vector per column, and the letters of a batch. Spills: nothing to spill. Minimum:
 * those; wide strings make batches of fewer rows, so that letters stay within RN_BATCH_BYTES_MAX,
 * but for a row that is wider. */
#include "iterators/minimum.h"
#include "iterators/registry.h"

#include <math.h>

#define RANGE_WIDTH_MAX (16 * 1024 * 1024)
#define RANGE_LETTERS 26u

typedef enum range_source { RANGE_SEQUENCE, RANGE_INT64, RANGE_DOUBLE, RANGE_STRING } range_source;

typedef struct range_column {
    range_source source;
    int64_t start, step; /* sequence */
    int64_t minimum;     /* int64 */
    uint64_t span;       /* int64: values - 1 */
    double low, high;    /* double */
    uint32_t width;      /* string */
    uint64_t choices;    /* string: how many different ones; 0 = as they come */
    uint64_t seed;
    uint64_t null_below; /* a draw below it makes a null; 0 = never, UINT64_MAX = always */
} range_column;

typedef struct range_args {
    int64_t rows;
    range_column *columns;
} range_args;

typedef struct range_stream {
    uint64_t values, nulls; /* states */
    rn_vector vector;
    char *letters;
} range_stream;

typedef struct range_state {
    int64_t done;
    uint32_t batch_rows;
    range_stream *streams;
} range_state;

/* ---- the plan */

static ration_status plan_sequence(rn_planner *planner, range_column *column, const rn_yaml *yaml,
                                   int64_t rows)
{
    static const char *const keys[] = {"sequence", "step", "nulls", "seed"};
    column->source = RANGE_SEQUENCE;
    column->step = 1;
    if (yaml->kind == RN_YAML_SCALAR) {
        return RATION_OK;
    }
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_int64(planner, rn_yaml_get(yaml, "sequence"), INT64_MIN, INT64_MAX,
                            &column->start));
    const rn_yaml *step = rn_yaml_get(yaml, "step");
    if (step != NULL) {
        RN_TRY(rn_planner_int64(planner, step, INT64_MIN, INT64_MAX, &column->step));
    }
    int64_t last;
    if (__builtin_mul_overflow(rows > 0 ? rows - 1 : 0, column->step, &last) ||
        __builtin_add_overflow(last, column->start, &last)) {
        return rn_planner_error(planner, yaml, "", "the sequence leaves int64 before its last row");
    }
    return RATION_OK;
}

static ration_status plan_int64(rn_planner *planner, range_column *column, const rn_yaml *yaml)
{
    static const char *const keys[] = {"random", "min", "max", "nulls", "seed"};
    const rn_yaml *min, *max;
    int64_t maximum;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "min", &min));
    RN_TRY(rn_planner_require(planner, yaml, "max", &max));
    RN_TRY(rn_planner_int64(planner, min, INT64_MIN, INT64_MAX, &column->minimum));
    RN_TRY(rn_planner_int64(planner, max, column->minimum, INT64_MAX, &maximum));
    column->source = RANGE_INT64;
    column->span = (uint64_t)maximum - (uint64_t)column->minimum;
    return RATION_OK;
}

static ration_status read_double(rn_planner *planner, const rn_yaml *yaml, double *out_value)
{
    rn_value value;
    RN_TRY(rn_planner_value(planner, yaml, &value));
    if (!value.null && value.type.kind == RN_INT64) {
        *out_value = (double)value.as.integer;
        return RATION_OK;
    }
    if (value.null || value.type.kind != RN_DOUBLE || !isfinite(value.as.real)) {
        return rn_planner_error(planner, yaml, "", "%s needs a finite number", yaml->key);
    }
    *out_value = value.as.real;
    return RATION_OK;
}

static ration_status plan_double(rn_planner *planner, range_column *column, const rn_yaml *yaml)
{
    static const char *const keys[] = {"random", "min", "max", "nulls", "seed"};
    const rn_yaml *min, *max;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "min", &min));
    RN_TRY(rn_planner_require(planner, yaml, "max", &max));
    RN_TRY(read_double(planner, min, &column->low));
    RN_TRY(read_double(planner, max, &column->high));
    if (column->low > column->high) {
        return rn_planner_error(planner, max, "", "max is below min");
    }
    column->source = RANGE_DOUBLE;
    return RATION_OK;
}

static ration_status plan_string(rn_planner *planner, range_column *column, const rn_yaml *yaml)
{
    static const char *const keys[] = {"random", "width", "distinct", "nulls", "seed"};
    const rn_yaml *width_yaml;
    int64_t width, choices;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "width", &width_yaml));
    RN_TRY(rn_planner_int64(planner, width_yaml, 0, RANGE_WIDTH_MAX, &width));
    column->source = RANGE_STRING;
    column->width = (uint32_t)width;
    const rn_yaml *distinct = rn_yaml_get(yaml, "distinct");
    if (distinct == NULL) {
        return RATION_OK;
    }
    RN_TRY(rn_planner_int64(planner, distinct, 1, INT64_MAX, &choices));
    uint64_t possible = 1;
    for (int64_t i = 0; i < width && possible < (uint64_t)choices; i++) {
        if (__builtin_mul_overflow(possible, RANGE_LETTERS, &possible)) {
            possible = UINT64_MAX;
        }
    }
    if (possible < (uint64_t)choices) {
        return rn_planner_error(planner, distinct, "raise width or lower distinct",
                                "%lld letters make only %llu different strings", (long long)width,
                                (unsigned long long)possible);
    }
    column->choices = (uint64_t)choices;
    return RATION_OK;
}

static ration_status plan_random(rn_planner *planner, range_column *column, const rn_yaml *yaml)
{
    const rn_yaml *random;
    const char *kind;
    RN_TRY(rn_planner_require(planner, yaml, "random", &random));
    RN_TRY(rn_planner_text(planner, random, &kind));
    if (strcmp(kind, "int64") == 0) {
        return plan_int64(planner, column, yaml);
    }
    if (strcmp(kind, "double") == 0) {
        return plan_double(planner, column, yaml);
    }
    if (strcmp(kind, "string") == 0) {
        return plan_string(planner, column, yaml);
    }
    return rn_planner_error(planner, random, "int64, double or string",
                            "no random values of type %s", kind);
}

/* The keys that go with every kind of column. */
static ration_status plan_common(rn_planner *planner, range_column *column, const rn_yaml *yaml,
                                 uint32_t number)
{
    int64_t seed = number;
    const rn_yaml *seed_yaml = rn_yaml_get(yaml, "seed");
    const rn_yaml *nulls_yaml = rn_yaml_get(yaml, "nulls");
    if (seed_yaml != NULL) {
        RN_TRY(rn_planner_int64(planner, seed_yaml, INT64_MIN, INT64_MAX, &seed));
    }
    column->seed = rn_hash_word(RN_HASH_SEED, (uint64_t)seed);
    if (nulls_yaml == NULL) {
        return RATION_OK;
    }
    double share;
    RN_TRY(read_double(planner, nulls_yaml, &share));
    if (share < 0 || share > 1) {
        return rn_planner_error(planner, nulls_yaml, "", "nulls is a share from 0 to 1");
    }
    column->null_below = share >= 1 ? UINT64_MAX : (uint64_t)(share * 0x1.0p64);
    return RATION_OK;
}

static ration_status plan_column(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml,
                                 uint32_t number)
{
    static const rn_kind kinds[] = {RN_INT64, RN_INT64, RN_DOUBLE, RN_STRING};
    const range_args *args = node->args;
    range_column *column = &args->columns[number];
    bool sequence = yaml->kind == RN_YAML_SCALAR ? strcmp(yaml->text, "sequence") == 0
                                                 : rn_yaml_get(yaml, "sequence") != NULL;
    if (sequence) {
        RN_TRY(plan_sequence(planner, column, yaml, args->rows));
    } else if (yaml->kind == RN_YAML_MAPPING && rn_yaml_get(yaml, "random") != NULL) {
        RN_TRY(plan_random(planner, column, yaml));
    } else {
        return rn_planner_error(planner, yaml,
                                "sequence, { sequence: START } or { random: TYPE, ... }",
                                "column %s says neither sequence nor random", yaml->key);
    }
    RN_TRY(plan_common(planner, column, yaml, number));
    return rn_planner_add(planner, node, yaml, yaml->key, rn_type_of(kinds[column->source]));
}

static ration_status range_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    static const char *const keys[] = {"rows", "columns"};
    range_args *args = node->args;
    const rn_yaml *rows, *columns;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "rows", &rows));
    RN_TRY(rn_planner_require(planner, yaml, "columns", &columns));
    RN_TRY(rn_planner_int64(planner, rows, 0, INT64_MAX, &args->rows));
    if (columns->kind != RN_YAML_MAPPING || columns->count == 0) {
        return rn_planner_error(planner, columns, "columns: { name: sequence }",
                                "columns needs a mapping of names");
    }
    args->columns = rn_planner_allocate(planner, sizeof(range_column) * columns->count);
    if (args->columns == NULL) {
        return RATION_NO_MEMORY;
    }
    RN_TRY(rn_planner_output(planner, node, NULL,
                             (uint32_t)RN_MIN(columns->count, RN_COLUMNS_MAX + 1)));
    uint32_t number = 0;
    for (const rn_yaml *column = columns->first; column != NULL; column = column->next) {
        RN_TRY(plan_column(planner, node, column, number++));
    }
    return RATION_OK;
}

static void range_explain(const rn_plan_node *node, rn_text *text)
{
    rn_text_format(text, "%lld rows", (long long)((const range_args *)node->args)->rows);
}

/* ---- the rows */

/* Rows of a batch: as many as their letters leave room for. */
static uint32_t count_batch_rows(const rn_plan_node *node, uint32_t batch_rows)
{
    const range_args *args = node->args;
    uint64_t row_bytes = 0;
    for (uint32_t c = 0; c < node->output.count; c++) {
        row_bytes += args->columns[c].width > RN_STRING_INLINE_MAX ? args->columns[c].width : 0;
    }
    uint64_t fits = row_bytes > 0 ? RN_BATCH_BYTES_MAX / row_bytes : RN_BATCH_ROWS_MAX;
    return (uint32_t)RN_MAX(1, RN_MIN(fits, (uint64_t)batch_rows));
}

static ration_status range_open(rn_operator *op)
{
    const range_args *args = op->node->args;
    range_state *state = op->state;
    uint32_t columns = op->node->output.count;
    state->batch_rows = count_batch_rows(op->node, op->worker->batch_rows);
    state->streams = ration_context_allocate_zero(op->context, columns * sizeof(range_stream));
    if (state->streams == NULL) {
        return ration_context_status(op->context);
    }
    for (uint32_t c = 0; c < columns; c++) {
        const range_column *column = &args->columns[c];
        range_stream *stream = &state->streams[c];
        stream->values = column->seed;
        stream->nulls = ~column->seed;
        rn_kind kind = (rn_kind)op->node->output.fields[c].type.kind;
        RN_TRY(rn_vector_open(op->context, kind, state->batch_rows, &stream->vector));
        if (column->width > RN_STRING_INLINE_MAX) {
            stream->letters =
                ration_context_allocate(op->context, (size_t)state->batch_rows * column->width);
            if (stream->letters == NULL) {
                return ration_context_status(op->context);
            }
        }
    }
    return RATION_OK;
}

static rn_minimum range_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    const range_args *args = node->args;
    uint32_t rows = count_batch_rows(node, sizes->batch_rows);
    rn_draft draft;
    rn_minimum_open(node, &draft);
    rn_minimum_array(&draft, node->output.count, sizeof(range_stream));
    for (uint32_t c = 0; c < node->output.count; c++) {
        rn_minimum_vector(&draft, (rn_kind)node->output.fields[c].type.kind, rows);
        if (args->columns[c].width > RN_STRING_INLINE_MAX) {
            rn_minimum_array(&draft, rows, args->columns[c].width);
        }
    }
    return rn_minimum_streaming(&draft);
}

static void put_letters(char *letters, uint32_t width, uint64_t *random)
{
    for (uint32_t i = 0; i < width;) {
        uint64_t draw = rn_random(random);
        for (uint32_t byte = 0; byte < 8 && i < width; byte++, i++) {
            letters[i] = (char)('a' + ((draw & 0xff) * RANGE_LETTERS >> 8));
            draw >>= 8;
        }
    }
}

static void fill_strings(const range_column *column, range_stream *stream, uint32_t rows)
{
    rn_string *strings = stream->vector.data;
    char inline_letters[RN_STRING_INLINE_MAX];
    for (uint32_t i = 0; i < rows; i++) {
        char *letters =
            stream->letters != NULL ? stream->letters + (size_t)i * column->width : inline_letters;
        if (column->choices == 0) {
            put_letters(letters, column->width, &stream->values);
        } else {
            uint64_t choice = rn_random_below(&stream->values, column->choices);
            uint64_t random = column->seed ^ choice;
            put_letters(letters, column->width, &random);
            uint32_t at = column->width;
            for (uint64_t left = column->choices - 1; left > 0; left /= RANGE_LETTERS) {
                letters[--at] = (char)('a' + choice % RANGE_LETTERS);
                choice /= RANGE_LETTERS;
            }
        }
        strings[i] = rn_string_over(letters, column->width);
    }
}

static void fill_integers(const range_column *column, range_stream *stream, uint32_t rows)
{
    int64_t *integers = stream->vector.data;
    uint64_t random = stream->values;
    if (column->span == UINT64_MAX) {
        for (uint32_t i = 0; i < rows; i++) {
            integers[i] = (int64_t)rn_random(&random);
        }
    } else {
        for (uint32_t i = 0; i < rows; i++) {
            integers[i] =
                (int64_t)((uint64_t)column->minimum + rn_random_below(&random, column->span + 1));
        }
    }
    stream->values = random;
}

static void fill_values(const range_column *column, range_stream *stream, int64_t done,
                        uint32_t rows)
{
    int64_t *integers = stream->vector.data;
    double *doubles = stream->vector.data;
    int64_t next = column->start + done * column->step;
    switch (column->source) {
    case RANGE_SEQUENCE:
        for (uint32_t i = 0; i < rows; i++) {
            integers[i] = next + (int64_t)i * column->step;
        }
        break;
    case RANGE_INT64:
        fill_integers(column, stream, rows);
        break;
    case RANGE_DOUBLE:
        for (uint32_t i = 0; i < rows; i++) {
            double unit = rn_random_unit(&stream->values);
            doubles[i] = column->low * (1 - unit) + column->high * unit;
        }
        break;
    case RANGE_STRING:
        fill_strings(column, stream, rows);
        break;
    }
}

static void fill_nulls(const range_column *column, range_stream *stream, uint32_t rows)
{
    uint64_t *valid = stream->vector.valid;
    memset(valid, 0, (rows + 63) / 64 * sizeof(uint64_t));
    for (uint32_t i = 0; i < rows; i++) {
        bool null =
            rn_random(&stream->nulls) < column->null_below || column->null_below == UINT64_MAX;
        valid[i >> 6] |= (uint64_t)!null << (i & 63);
    }
}

static ration_status range_next(rn_operator *op, const rn_batch **out_batch)
{
    const range_args *args = op->node->args;
    range_state *state = op->state;
    uint32_t rows = (uint32_t)RN_MIN(args->rows - state->done, (int64_t)state->batch_rows);
    for (uint32_t c = 0; c < op->batch.column_count && rows > 0; c++) {
        const range_column *column = &args->columns[c];
        range_stream *stream = &state->streams[c];
        rn_column *out = &op->batch.columns[c];
        fill_values(column, stream, state->done, rows);
        *out = (rn_column){.type = op->node->output.fields[c].type, .data = stream->vector.data};
        if (column->null_below > 0) {
            fill_nulls(column, stream, rows);
            out->valid = stream->vector.valid;
        }
    }
    state->done += rows;
    op->batch.rows = rows;
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class rn_range_class = {
    .name = "range",
    .sentence = "rows from nothing: sequences and seeded random values",
    .args_bytes = sizeof(range_args),
    .state_bytes = sizeof(range_state),
    .plan = range_plan,
    .explain = range_explain,
    .open = range_open,
    .next = range_next,
    .minimum = range_minimum,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Evaluates an expression a batch at a time.
 *
 *     rn_evaluator_open -> rn_evaluate / rn_evaluate_filter, again and again
 *
 * Algorithm. The tree is walked once per batch; every term writes its result into a register:
 * values for all rows, validity words, and for logic a list of rows. Registers are given out like a
 * stack: a term at level s writes register s, its operands s + 1 and s + 2; so they number at most
 * 2 x the depth, not the size, of the tree. `and`, `or` and coalesce keep their result in s while
 * each operand in turn is evaluated at s + 1, for the rows still open. Literals are operands of
 * mask 0 and take no register; columns are read where they are unless they have a selection, which
 * is flattened first.
 *
 * Invariants: (1) a term writes only registers at or above its level; (2) lists are ascending and
 * only shrink on the way down.
 * Memory: registers x rows x (value + 2 bytes + 1 bit), all from the context, at open.
 * Rejected: a register per term (a long condition would hold megabytes); bytecode (the walk costs a
 * few ns per term and batch of 1024 rows).
 */
#include "executor/evaluate.h"

#define REGISTERS_MAX (2u * RN_EXPRESSION_DEPTH_MAX + 1u)

typedef struct rn_register {
    void *data;
    uint64_t *valid;
    uint16_t *list; /* only of logic */
    size_t width;   /* widest value any term writes here */
    bool logic;
} rn_register;

struct rn_evaluator {
    const rn_expression *expression;
    const rn_graph *graph;
    uint32_t rows; /* of a batch at most */
    uint32_t register_count;
    rn_register *registers;
};

typedef struct evaluation {
    const rn_evaluator *evaluator;
    const rn_batch *input;
    ration_error *error;
} evaluation;

static const uint64_t no_bits = 0;

static bool is_logic(rn_term term)
{
    return term == RN_TERM_OR || term == RN_TERM_AND || term == RN_TERM_COALESCE;
}

/* ---- open ---- */

static void plan_registers(rn_register *registers, uint32_t *count, const rn_expression *term,
                           uint32_t level)
{
    rn_assert(level < REGISTERS_MAX);
    if (term->term != RN_TERM_LITERAL || level == 0) {
        registers[level].width =
            RN_MAX(registers[level].width, rn_kind_bytes((rn_kind)term->type.kind));
        registers[level].logic |= is_logic(term->term);
        *count = RN_MAX(*count, level + 1);
    }
    uint32_t at = level + 1;
    for (const rn_expression *operand = term->first; operand != NULL; operand = operand->next) {
        plan_registers(registers, count, operand, at);
        at += !is_logic(term->term);
    }
}

/* Memory for an evaluator: an operator's context, or an arena for folding. */
typedef struct evaluator_memory {
    ration_context *context;
    rn_arena *arena;
} evaluator_memory;

static void *allocate(const evaluator_memory *memory, size_t bytes)
{
    return memory->context != NULL ? ration_context_allocate_zero(memory->context, bytes)
                                   : rn_arena_allocate(memory->arena, bytes);
}

/* NULL when memory was refused. */
static rn_evaluator *make_evaluator(const rn_expression *expression, const rn_graph *graph,
                                    uint32_t rows, const evaluator_memory *memory)
{
    rn_register planned[REGISTERS_MAX];
    uint32_t count = 0;
    memset(planned, 0, sizeof planned);
    plan_registers(planned, &count, expression, 0);
    rn_evaluator *evaluator = allocate(memory, sizeof *evaluator);
    rn_register *registers = allocate(memory, count * sizeof *registers);
    if (evaluator == NULL || registers == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        registers[i] = planned[i];
        registers[i].data = allocate(memory, RN_MAX(planned[i].width, 1u) * rows);
        registers[i].valid = allocate(memory, ((size_t)rows + 63) / 64 * sizeof(uint64_t));
        registers[i].list =
            planned[i].logic ? allocate(memory, (size_t)rows * sizeof(uint16_t)) : NULL;
        if (registers[i].data == NULL || registers[i].valid == NULL ||
            (planned[i].logic && registers[i].list == NULL)) {
            return NULL;
        }
    }
    *evaluator = (rn_evaluator){expression, graph, rows, count, registers};
    return evaluator;
}

void rn_evaluator_draft(const rn_expression *expression, uint32_t rows, rn_context_draft *draft)
{
    rn_register planned[REGISTERS_MAX];
    uint32_t count = 0;
    memset(planned, 0, sizeof planned);
    plan_registers(planned, &count, expression, 0);
    rn_context_draft_add(draft, sizeof(rn_evaluator));
    rn_context_draft_add(draft, count * sizeof(rn_register));
    for (uint32_t i = 0; i < count; i++) {
        rn_context_draft_add(draft, RN_MAX(planned[i].width, 1u) * rows);
        rn_context_draft_add(draft, ((size_t)rows + 63) / 64 * sizeof(uint64_t));
        if (planned[i].logic) {
            rn_context_draft_add(draft, (size_t)rows * sizeof(uint16_t));
        }
    }
}

ration_status rn_evaluator_open(const rn_expression *expression, const rn_graph *graph,
                                ration_context *context, uint32_t rows,
                                rn_evaluator **out_evaluator)
{
    evaluator_memory memory = {context, NULL};
    if (rn_never(rows == 0 || rows > UINT16_MAX)) {
        return RATION_INVALID_ARGUMENT;
    }
    rn_evaluator *evaluator = make_evaluator(expression, graph, rows, &memory);
    if (evaluator == NULL) {
        return ration_context_status(context);
    }
    *out_evaluator = evaluator;
    return RATION_OK;
}

/* ---- copying values by row ---- */

/* The width is a constant in each loop, so memcpy is a load and a store. */
#define COPY(width_)                                                                               \
    RN_EACH_ASKED(asked, row)                                                                      \
    {                                                                                              \
        size_t entry = selection == NULL ? row & mask : selection[row];                            \
        memcpy(to + (size_t)(width_)*row, from + (size_t)(width_)*entry, (width_));                \
    }

/* out[row] = data[entry of row] for the rows asked for. */
static void copy_values(void *out, const void *data, const uint16_t *selection, uint32_t mask,
                        size_t width, const rn_asked *asked)
{
    char *restrict to = out;
    const char *restrict from = data;
    switch (width) {
    case 1:
        COPY(1);
        return;
    case 4:
        COPY(4);
        return;
    case 8:
        COPY(8);
        return;
    default:
        rn_assert(width == 16);
        COPY(16);
        return;
    }
}

/* ---- operands ---- */

static void read_literal(const rn_expression *term, rn_operand *out)
{
    const rn_value *value = &term->as.literal;
    *out = (rn_operand){&value->as, value->null ? &no_bits : NULL, 0};
}

static void read_column(const evaluation *run, const rn_expression *term, uint32_t level,
                        const rn_asked *asked, rn_operand *out)
{
    rn_assert(term->as.column.index < run->input->column_count);
    const rn_column *column = &run->input->columns[term->as.column.index];
    const rn_register *into = &run->evaluator->registers[level];
    if (column->selection == NULL) {
        *out = (rn_operand){column->data, column->valid, UINT32_MAX};
        return;
    }
    copy_values(into->data, column->data, column->selection, 0,
                rn_kind_bytes((rn_kind)term->type.kind), asked);
    *out = (rn_operand){into->data, NULL, UINT32_MAX};
    if (column->valid == NULL) {
        return;
    }
    RN_EACH_ASKED(asked, row)
    {
        uint32_t entry = column->selection[row];
        uint64_t bit = (column->valid[entry >> 6] >> (entry & 63)) & 1;
        uint64_t *word = &into->valid[row >> 6];
        *word = (*word & ~(UINT64_C(1) << (row & 63))) | bit << (row & 63);
    }
    out->valid = into->valid;
}

/* The validity of a term that is null when an operand is: true when there may be nulls. */
static bool combine_validity(uint64_t *words, uint32_t rows, const rn_operand *operands,
                             uint32_t count)
{
    uint32_t word_count = (rows + 63) / 64;
    bool nulls = false;
    for (uint32_t k = 0; k < count; k++) {
        if (operands[k].valid == NULL) {
            continue;
        }
        for (uint32_t w = 0; w < word_count; w++) {
            uint64_t word = operands[k].mask == 0 ? 0 : operands[k].valid[w];
            words[w] = nulls ? words[w] & word : word;
        }
        nulls = true;
    }
    return nulls;
}

/* ---- terms ---- */

static ration_status evaluate_term(const evaluation *run, const rn_expression *term, uint32_t level,
                                   const rn_asked *asked, rn_operand *out);

ration_status rn_work_error(const rn_work *work, const char *what)
{
    char put[160];
    rn_text text = rn_text_over(put, sizeof put);
    const rn_expression *term = work->term;
    rn_expression_put(term, &text);
    return rn_error_at(work->error, RATION_EVALUATION, term->source->file, term->line, term->column,
                       "", "%s: %s in %s", term->source->site, what, put);
}

static void flip_bools(rn_work *work)
{
    const rn_operand *operand = &work->operands[0];
    const uint8_t *restrict in = operand->data;
    uint8_t *restrict out = work->out;
    for (uint32_t row = 0; row < work->asked.rows; row++) {
        out[row] = in[row & operand->mask] ^ 1;
    }
}

static void test_null(rn_work *work)
{
    uint8_t *out = work->out;
    work->nulls = false;
    RN_EACH_ASKED(&work->asked, row)
    {
        out[row] = !rn_operand_valid(&work->operands[0], row);
    }
}

static void compare(rn_work *work)
{
    rn_kind kind = (rn_kind)work->term->first->type.kind;
    if (kind == RN_STRING || kind == RN_LIST) {
        rn_evaluate_compare_values(work);
    } else {
        rn_evaluate_compare_numbers(work);
    }
}

static ration_status run_kernel(rn_work *work)
{
    rn_term term = work->term->term;
    if (term >= RN_TERM_EQUAL && term <= RN_TERM_GREATER_EQUAL) {
        compare(work);
    } else if (term >= RN_TERM_ADD && term <= RN_TERM_REMAINDER) {
        return rn_evaluate_arithmetic(work);
    } else if (term >= RN_TERM_NEGATE && term <= RN_TERM_TO_DOUBLE) {
        return rn_evaluate_convert(work);
    } else if (term >= RN_TERM_STARTS_WITH && term <= RN_TERM_LENGTH) {
        rn_evaluate_text(work);
    } else if (term >= RN_TERM_YEAR && term <= RN_TERM_SECOND) {
        rn_evaluate_time(work);
    } else if (term == RN_TERM_PROPERTY) {
        rn_evaluate_property(work);
    } else if (term == RN_TERM_LABEL) {
        rn_evaluate_label(work);
    } else if (term == RN_TERM_IN) {
        rn_evaluate_in(work);
    } else if (term == RN_TERM_NOT) {
        flip_bools(work);
    } else {
        rn_assert(term == RN_TERM_IS_NULL);
        test_null(work);
    }
    return RATION_OK;
}

static ration_status evaluate_strict(const evaluation *run, const rn_expression *term,
                                     uint32_t level, const rn_asked *asked, rn_operand *out)
{
    const rn_register *into = &run->evaluator->registers[level];
    rn_work work = {
        .term = term, .graph = run->evaluator->graph, .asked = *asked, .error = run->error};
    uint32_t count = 0;
    for (const rn_expression *at = term->first; at != NULL; at = at->next) {
        rn_assert(count < RN_COUNT(work.operands));
        RN_TRY(evaluate_term(run, at, level + 1 + count, asked, &work.operands[count]));
        count++;
    }
    work.out = into->data;
    work.valid = into->valid;
    work.nulls = combine_validity(into->valid, asked->rows, work.operands, count);
    RN_TRY(run_kernel(&work));
    *out = (rn_operand){into->data, work.nulls ? into->valid : NULL, UINT32_MAX};
    return RATION_OK;
}

/* ---- and, or, coalesce ---- */

/* Writes the rows of `asked` that are still open to `list` (may be asked's own list). In `and` and
 * `or` these are the rows whose value is not yet the one that decides, null or not. */
static uint32_t list_open(const rn_operand *acc, rn_term term, const rn_asked *asked,
                          uint16_t *list)
{
    const uint8_t *values = acc->data;
    uint8_t stop = term == RN_TERM_OR;
    uint32_t count = 0;
    if (term == RN_TERM_COALESCE) {
        RN_EACH_ASKED(asked, row)
        {
            list[count] = (uint16_t)row;
            count += !rn_bit_get(acc->valid, row);
        }
        return count;
    }
    RN_EACH_ASKED(asked, row)
    {
        list[count] = (uint16_t)row;
        count += values[row] != stop;
    }
    return count;
}

/* Takes an operand of the logic into its register, for rows that are open there: their value there
 * is undecided or null, and not `stop`. So `false and null` is false whichever came first. `nulls`:
 * one of the operands up to here had some. */
static void take_bools(const rn_register *into, uint8_t stop, const rn_operand *operand,
                       const rn_asked *asked, bool nulls)
{
    uint8_t *out = into->data;
    const uint8_t *in = operand->data;
    if (!nulls) {
        RN_EACH_ASKED(asked, row)
        {
            out[row] = in[row & operand->mask];
        }
        return;
    }
    RN_EACH_ASKED(asked, row)
    {
        if (!rn_operand_valid(operand, row)) {
            rn_bit_clear(into->valid, row);
        } else if (in[row & operand->mask] == stop) {
            out[row] = stop;
            rn_bit_set(into->valid, row);
        }
    }
}

static void take_values(const rn_register *into, size_t width, const rn_operand *operand,
                        const rn_asked *asked)
{
    copy_values(into->data, operand->data, NULL, operand->mask, width, asked);
    RN_EACH_ASKED(asked, row)
    {
        if (rn_operand_valid(operand, row)) {
            rn_bit_set(into->valid, row);
        }
    }
}

/* The state before the first operand: true for and, false for or, null for coalesce. */
static void start_logic(const rn_register *into, rn_term term, const rn_asked *asked)
{
    bool values = term == RN_TERM_COALESCE;
    memset(into->valid, values ? 0 : 0xff, (asked->rows + 63) / 64 * sizeof(uint64_t));
    if (!values) {
        memset(into->data, term == RN_TERM_AND, asked->rows);
    }
}

static ration_status evaluate_logic(const evaluation *run, const rn_expression *term,
                                    uint32_t level, const rn_asked *asked, rn_operand *out)
{
    const rn_register *into = &run->evaluator->registers[level];
    rn_operand acc = {into->data, into->valid, UINT32_MAX};
    rn_asked open = *asked;
    bool nulls = term->term == RN_TERM_COALESCE;
    start_logic(into, term->term, asked);
    for (const rn_expression *at = term->first; at != NULL && open.count > 0; at = at->next) {
        rn_operand operand;
        RN_TRY(evaluate_term(run, at, level + 1, &open, &operand));
        nulls |= operand.valid != NULL;
        if (term->term == RN_TERM_COALESCE) {
            take_values(into, rn_kind_bytes((rn_kind)term->type.kind), &operand, &open);
        } else {
            take_bools(into, term->term == RN_TERM_OR, &operand, &open, nulls);
        }
        if (at->next != NULL) {
            uint32_t count = list_open(&acc, term->term, &open, into->list);
            if (count < open.count) {
                open = (rn_asked){into->list, count, asked->rows};
            }
        }
    }
    *out = (rn_operand){into->data, nulls ? into->valid : NULL, UINT32_MAX};
    return RATION_OK;
}

static ration_status evaluate_term(const evaluation *run, const rn_expression *term, uint32_t level,
                                   const rn_asked *asked, rn_operand *out)
{
    if (term->term == RN_TERM_LITERAL) {
        read_literal(term, out);
        return RATION_OK;
    }
    if (term->term == RN_TERM_COLUMN) {
        read_column(run, term, level, asked, out);
        return RATION_OK;
    }
    return is_logic(term->term) ? evaluate_logic(run, term, level, asked, out)
                                : evaluate_strict(run, term, level, asked, out);
}

/* ---- results ---- */

static ration_status evaluate_root(const rn_evaluator *evaluator, const rn_batch *input,
                                   rn_operand *out, ration_error *error)
{
    rn_assert(input->rows <= evaluator->rows);
    evaluation run = {evaluator, input, error};
    rn_asked asked = {NULL, input->rows, input->rows};
    return evaluate_term(&run, evaluator->expression, 0, &asked, out);
}

ration_status rn_evaluate(rn_evaluator *evaluator, const rn_batch *input, rn_column *out_column,
                          ration_error *error)
{
    const rn_expression *expression = evaluator->expression;
    const rn_register *into = &evaluator->registers[0];
    rn_operand operand;
    if (expression->term == RN_TERM_COLUMN) {
        *out_column = input->columns[expression->as.column.index];
        return RATION_OK;
    }
    RN_TRY(evaluate_root(evaluator, input, &operand, error));
    if (operand.mask == 0) {
        rn_asked asked = {NULL, input->rows, input->rows};
        copy_values(into->data, operand.data, NULL, 0,
                    rn_kind_bytes((rn_kind)expression->type.kind), &asked);
        memset(into->valid, 0, ((size_t)evaluator->rows + 63) / 64 * sizeof(uint64_t));
        operand = (rn_operand){into->data, operand.valid == NULL ? NULL : into->valid, UINT32_MAX};
    }
    *out_column = (rn_column){expression->type, operand.data, operand.valid, NULL};
    return RATION_OK;
}

ration_status rn_evaluate_filter(rn_evaluator *evaluator, const rn_batch *input, uint16_t *out_rows,
                                 uint32_t *out_count, ration_error *error)
{
    rn_operand operand;
    if (rn_never(evaluator->expression->type.kind != RN_BOOL)) {
        return RATION_INVALID_ARGUMENT;
    }
    RN_TRY(evaluate_root(evaluator, input, &operand, error));
    const uint8_t *values = operand.data;
    uint32_t count = 0;
    for (uint32_t row = 0; row < input->rows && operand.valid == NULL; row++) {
        out_rows[count] = (uint16_t)row;
        count += values[row & operand.mask];
    }
    for (uint32_t row = 0; row < input->rows && operand.valid != NULL; row++) {
        out_rows[count] = (uint16_t)row;
        count +=
            values[row & operand.mask] & (uint8_t)rn_bit_get(operand.valid, row & operand.mask);
    }
    *out_count = count;
    return RATION_OK;
}

bool rn_evaluate_constant(const rn_expression *expression, rn_value *out_value)
{
    rn_arena arena = {0};
    evaluator_memory memory = {NULL, &arena};
    rn_batch input = {1, 0, NULL};
    rn_operand operand;
    rn_evaluator *evaluator = make_evaluator(expression, NULL, 1, &memory);
    bool known = evaluator != NULL && evaluate_root(evaluator, &input, &operand, NULL) == RATION_OK;
    if (known) {
        rn_value value;
        memset(&value, 0, sizeof value);
        value.type = expression->type;
        value.null = !rn_operand_valid(&operand, 0);
        if (!value.null) {
            memcpy(&value.as, operand.data, rn_kind_bytes((rn_kind)expression->type.kind));
        }
        *out_value = value;
    }
    rn_arena_free(&arena);
    return known;
}

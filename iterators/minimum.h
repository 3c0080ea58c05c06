/* SPDX-License-Identifier: Apache-2.0
 *
 * The least bytes operators work with, written down: what class->minimum is made of. A draft
 * repeats the allocations of an operator's open, in the same order; what it counts is what the
 * operator's context draws, to the block.
 *
 *     rn_minimum_open -> rn_minimum_vector, _picker, _array, _evaluator ... -> rn_minimum_streaming
 *
 * What lies in contexts of their own (rows, lists, tables) is a draft of its own and added. */
#ifndef RATION_MINIMUM_H
#define RATION_MINIMUM_H

#include "executor/plan.h"

typedef rn_context_draft rn_draft;

/* What every operator has: its context, the columns of its batch, its state, its inputs. */
void rn_minimum_open(const rn_plan_node *node, rn_draft *out_draft);
/* ration_context_allocate(count * bytes) */
void rn_minimum_array(rn_draft *draft, size_t count, size_t bytes);
/* rn_vector_open, rn_picker_open, rn_evaluator_open with batches of `rows` rows. */
void rn_minimum_vector(rn_draft *draft, rn_kind kind, uint32_t rows);
void rn_minimum_picker(rn_draft *draft, uint32_t columns, uint32_t rows);
void rn_minimum_evaluator(rn_draft *draft, const rn_expression *expression, uint32_t rows);
/* rn_row_reader_open of `count` columns of the layout, from `first` on. What its context for lists
 * draws comes on top: rn_minimum_lists. */
void rn_minimum_reader(rn_draft *draft, const rn_layout *layout, uint32_t first, uint32_t count,
                       const rn_sizes *sizes);
/* The context of that reader when it reads rows of together `bytes`: 0 without lists of strings. */
int64_t rn_minimum_lists(const rn_layout *layout, uint32_t first, uint32_t count, int64_t bytes);
/* A bump context with nothing in it. */
int64_t rn_minimum_context(void);

/* The widest row of the layout: fixed columns say it, else it is max_row_bytes. */
int64_t rn_minimum_row_bytes(const rn_layout *layout, const rn_sizes *sizes);
/* The largest block of rn_rows with rows of up to `row_bytes`: what one growth step draws. */
int64_t rn_minimum_block(int64_t row_bytes);
/* A chunk of `bytes` that is larger than RN_CHUNK_BYTES_MAX, a block of its own: a buffer for a run
 * (storage/run.h). */
int64_t rn_minimum_buffer(int64_t bytes);
/* A reader's buffer for runs of rows of up to `row_bytes`, `word_bytes` in front of each. */
int64_t rn_minimum_run_buffer(int64_t row_bytes, int64_t word_bytes);

/* Of an operator that hands on what it gets: all from open on, nothing before its first row. */
rn_minimum rn_minimum_streaming(const rn_draft *draft);
/* Names and types of a schema as a layout. */
void rn_minimum_layout(const rn_schema *schema, rn_layout *out_layout);

#endif

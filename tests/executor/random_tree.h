/* SPDX-License-Identifier: Apache-2.0
 *
 * Random expression trees with a naive evaluator: one row at a time, by recursion, 128-bit
 * arithmetic, long double comparison. It shares nothing with the engine but the text of the
 * expression. */
#ifndef RATION_TESTS_RANDOM_TREE_H
#define RATION_TESTS_RANDOM_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

typedef enum cell_kind {
    CELL_BOOL,
    CELL_INT64,
    CELL_DOUBLE,
    CELL_DATE,
    CELL_TIMESTAMP,
    CELL_STRING,
    CELL_NODE,
    CELL_KINDS
} cell_kind;

/* Of a string, text points to static bytes. */
typedef struct cell {
    cell_kind kind;
    bool null;
    int64_t integer; /* also bool, date, timestamp, node */
    double real;
    const char *text;
    size_t length;
} cell;

#define TREE_COLUMNS 10
#define TREE_OPERANDS 14

typedef struct tree {
    const char *operation; /* "column", "literal", or what is written */
    cell_kind kind;
    int column;
    cell literal;
    bool negated; /* not in, is not null */
    int count;
    struct tree *operands[TREE_OPERANDS];
} tree;

extern const char *const tree_columns[TREE_COLUMNS];
extern const cell_kind tree_column_kinds[TREE_COLUMNS];

/* `wild`: zeros and the ends of the ranges are frequent. Trees live until the next tree_reset. */
tree *tree_make(uint64_t *random, cell_kind kind, int depth, bool wild);
void tree_reset(void);
cell tree_random_cell(uint64_t *random, cell_kind kind, bool wild);
void tree_put(const tree *node, rn_text *text);
/* Sets *failed when the row has no value. */
cell tree_evaluate(const tree *node, const cell *row, bool *failed);
/* <0, 0, >0; NaN equals itself and is above all numbers. Int64 and double compare exactly. */
int tree_compare(const cell *a, const cell *b);

#endif

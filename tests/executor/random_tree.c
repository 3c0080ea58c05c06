/* SPDX-License-Identifier: Apache-2.0
 *
 * Making, writing and naively evaluating random expression trees. */
#include "tests/executor/random_tree.h"

#include <math.h>
#include <time.h>

#include "base/hash.h"

const char *const tree_columns[TREE_COLUMNS] = {"b", "c", "i", "j", "d", "f", "day", "t", "s", "n"};
const cell_kind tree_column_kinds[TREE_COLUMNS] = {
    CELL_BOOL,   CELL_BOOL, CELL_INT64,     CELL_INT64,  CELL_DOUBLE,
    CELL_DOUBLE, CELL_DATE, CELL_TIMESTAMP, CELL_STRING, CELL_NODE};

static tree pool[20000];
static size_t pool_used;

void tree_reset(void)
{
    pool_used = 0;
}

static uint64_t below(uint64_t *random, uint64_t bound)
{
    return rn_random_below(random, bound);
}

static tree *new_tree(const char *operation, cell_kind kind)
{
    tree *node = &pool[pool_used++ % (sizeof pool / sizeof pool[0])];
    memset(node, 0, sizeof *node);
    node->operation = operation;
    node->kind = kind;
    return node;
}

static void add(tree *node, tree *operand)
{
    node->operands[node->count++] = operand;
}

static const char *const strings[] = {
    "", "a", "ab", "abc", "twelve bytes", "twelve bytes and more", "it's", "more", "\xc3\xa4"};

cell tree_random_cell(uint64_t *random, cell_kind kind, bool wild)
{
    static const int64_t ends[] = {
        INT64_MAX, INT64_MIN, INT64_MAX - 1, 0, -1, (INT64_C(1) << 53) + 1, INT64_C(1) << 53};
    static const double doubles[] = {0.0, -0.0, 0x1p53, 0x1p63, -0x1p63, 1e300, 2.5};
    cell value = {.kind = kind};
    bool extreme = wild && below(random, 4) == 0;
    const char *text = strings[below(random, RN_COUNT(strings))];
    switch (kind) {
    case CELL_BOOL:
        value.integer = (int64_t)below(random, 2);
        break;
    case CELL_INT64:
        value.integer =
            extreme ? ends[below(random, RN_COUNT(ends))] : (int64_t)below(random, 12) + 1;
        break;
    case CELL_DOUBLE:
        value.real = extreme ? doubles[below(random, RN_COUNT(doubles))]
                             : ((double)below(random, 40) + 1) / 4;
        break;
    case CELL_DATE:
        value.integer = (int64_t)below(random, 60) * 17 - 400;
        break;
    case CELL_TIMESTAMP:
        value.integer = ((int64_t)below(random, 60) - 30) * INT64_C(43212345678);
        break;
    case CELL_STRING:
        value.text = text;
        value.length = strlen(text);
        break;
    default:
        value.integer = (int64_t)below(random, 4);
    }
    return value;
}

/* ---- making ---- */

static tree *make_leaf(uint64_t *random, cell_kind kind, bool wild)
{
    uint64_t choice = below(random, 8);
    if (choice < 2 && kind != CELL_NODE) {
        tree *node = new_tree("literal", kind);
        node->literal = tree_random_cell(random, kind, wild);
        return node;
    }
    if (choice == 2 && (kind == CELL_INT64 || kind == CELL_DOUBLE)) {
        tree *node = new_tree("literal", kind);
        node->literal = (cell){.kind = kind, .null = true};
        return node;
    }
    tree *node = new_tree("column", kind);
    do {
        node->column = (int)below(random, TREE_COLUMNS);
    } while (tree_column_kinds[node->column] != kind);
    return node;
}

static cell_kind number_kind(uint64_t *random)
{
    return below(random, 2) == 0 ? CELL_INT64 : CELL_DOUBLE;
}

static tree *make_in(uint64_t *random, int depth, bool wild)
{
    tree *node = new_tree("in", CELL_BOOL);
    cell_kind kind = (cell_kind)below(random, CELL_STRING + 1);
    node->negated = below(random, 2);
    add(node, tree_make(random, kind, depth - 1, wild));
    for (uint64_t count = below(random, TREE_OPERANDS - 1); count > 0; count--) {
        bool number = kind == CELL_INT64 || kind == CELL_DOUBLE;
        tree *element = new_tree("literal", number ? number_kind(random) : kind);
        element->literal = tree_random_cell(random, element->kind, wild);
        element->literal.null = below(random, 20) == 0;
        add(node, element);
    }
    return node;
}

static tree *make_comparison(uint64_t *random, int depth, bool wild)
{
    static const char *const operations[] = {"=", "<>", "<", "<=", ">", ">="};
    cell_kind kind = (cell_kind)below(random, CELL_KINDS);
    tree *node = new_tree(operations[below(random, kind == CELL_NODE ? 2 : RN_COUNT(operations))],
                          CELL_BOOL);
    bool number = kind == CELL_INT64 || kind == CELL_DOUBLE;
    add(node, tree_make(random, kind, depth - 1, wild));
    add(node, tree_make(random, number ? number_kind(random) : kind, depth - 1, wild));
    return node;
}

static tree *make_bool(uint64_t *random, int depth, bool wild)
{
    static const char *const tests[] = {"starts_with", "ends_with", "contains"};
    uint64_t choice = below(random, 10);
    if (choice < 4) {
        tree *node = new_tree(choice < 2 ? "and" : "or", CELL_BOOL);
        for (uint64_t count = 2 + below(random, 3); count > 0; count--) {
            add(node, tree_make(random, CELL_BOOL, depth - 1, wild));
        }
        return node;
    }
    if (choice == 4) {
        tree *node = new_tree("not", CELL_BOOL);
        add(node, tree_make(random, CELL_BOOL, depth - 1, wild));
        return node;
    }
    if (choice == 5) {
        tree *node = new_tree("is null", CELL_BOOL);
        node->negated = below(random, 2);
        add(node, tree_make(random, (cell_kind)below(random, CELL_KINDS), depth - 1, wild));
        return node;
    }
    if (choice == 6) {
        return make_in(random, depth, wild);
    }
    if (choice == 7) {
        tree *node = new_tree(tests[below(random, 3)], CELL_BOOL);
        add(node, tree_make(random, CELL_STRING, depth - 1, wild));
        add(node, tree_make(random, CELL_STRING, depth - 1, wild));
        return node;
    }
    return make_comparison(random, depth, wild);
}

static tree *make_number(uint64_t *random, cell_kind kind, int depth, bool wild)
{
    static const char *const operations[] = {"+", "-", "*", "/", "%"};
    static const char *const parts[] = {"year", "month", "day", "hour", "minute", "second"};
    uint64_t choice = below(random, 10);
    tree *node;
    if (choice < 5) {
        node = new_tree(operations[choice], kind);
        add(node, tree_make(random, kind, depth - 1, wild));
        add(node,
            tree_make(random, kind == CELL_INT64 ? kind : number_kind(random), depth - 1, wild));
        return node;
    }
    if (choice < 7) {
        node = new_tree(choice == 5 ? "neg" : "abs", kind);
        add(node, tree_make(random, kind, depth - 1, wild));
        return node;
    }
    if (choice == 7 || kind == CELL_DOUBLE) {
        node = new_tree(kind == CELL_INT64 ? "int64" : "double", kind);
        add(node,
            tree_make(random, kind == CELL_INT64 ? CELL_DOUBLE : CELL_INT64, depth - 1, wild));
        return node;
    }
    if (choice == 8) {
        node = new_tree("length", kind);
        add(node, tree_make(random, CELL_STRING, depth - 1, wild));
        return node;
    }
    uint64_t part = below(random, RN_COUNT(parts));
    node = new_tree(parts[part], kind);
    add(node, tree_make(random, part < 3 && below(random, 2) ? CELL_DATE : CELL_TIMESTAMP,
                        depth - 1, wild));
    return node;
}

static tree *make_coalesce(uint64_t *random, cell_kind kind, int depth, bool wild)
{
    tree *node = new_tree("coalesce", kind);
    for (uint64_t count = 1 + below(random, 3); count > 0; count--) {
        bool other = kind == CELL_DOUBLE && node->count > 0;
        add(node, tree_make(random, other ? number_kind(random) : kind, depth - 1, wild));
    }
    return node;
}

tree *tree_make(uint64_t *random, cell_kind kind, int depth, bool wild)
{
    if (depth <= 0 || below(random, 8) == 0) {
        return make_leaf(random, kind, wild);
    }
    if (below(random, 8) == 0) {
        return make_coalesce(random, kind, depth, wild);
    }
    switch (kind) {
    case CELL_BOOL:
        return make_bool(random, depth, wild);
    case CELL_INT64:
    case CELL_DOUBLE:
        return make_number(random, kind, depth, wild);
    default:
        return make_leaf(random, kind, wild);
    }
}

/* ---- writing ---- */

static void put_literal(const cell *value, rn_text *text, bool alone)
{
    if (value->null) {
        bool number = alone && (value->kind == CELL_INT64 || value->kind == CELL_DOUBLE);
        rn_text_put(text, !number                     ? "null"
                          : value->kind == CELL_INT64 ? "int64(null)"
                                                      : "double(null)");
        return;
    }
    switch (value->kind) {
    case CELL_BOOL:
        rn_text_put(text, value->integer ? "true" : "false");
        return;
    case CELL_INT64:
        rn_text_format(text, "%lld", (long long)value->integer);
        return;
    case CELL_DOUBLE:
        rn_text_format(text, "%.17e", value->real);
        return;
    case CELL_DATE:
        rn_text_put(text, "date '");
        rn_text_put_date(text, (int32_t)value->integer);
        rn_text_put(text, "'");
        return;
    case CELL_TIMESTAMP:
        rn_text_put(text, "timestamp '");
        rn_text_put_timestamp(text, value->integer);
        rn_text_put(text, "'");
        return;
    default:
        rn_text_put(text, "'");
        for (size_t i = 0; i < value->length; i++) {
            rn_text_put_bytes(text, value->text + i, 1);
            rn_text_put(text, value->text[i] == '\'' ? "'" : "");
        }
        rn_text_put(text, "'");
    }
}

static void put_chain(const tree *node, int from, const char *between, rn_text *text)
{
    for (int i = from; i < node->count; i++) {
        rn_text_put(text, i > from ? between : "");
        tree_put(node->operands[i], text);
    }
}

/* `words` stand between blanks. */
static bool is_one_of(const char *operation, const char *words)
{
    char word[32];
    (void)snprintf(word, sizeof word, " %s ", operation);
    return strstr(words, word) != NULL;
}

void tree_put(const tree *node, rn_text *text)
{
    const char *operation = node->operation;
    char infix[16];
    if (strcmp(operation, "column") == 0) {
        rn_text_put(text, tree_columns[node->column]);
    } else if (strcmp(operation, "literal") == 0) {
        put_literal(&node->literal, text, true);
    } else if (strcmp(operation, "not") == 0 || strcmp(operation, "neg") == 0) {
        rn_text_put(text, strcmp(operation, "not") == 0 ? "(not " : "(- ");
        tree_put(node->operands[0], text);
        rn_text_put(text, ")");
    } else if (strcmp(operation, "is null") == 0) {
        rn_text_put(text, "(");
        tree_put(node->operands[0], text);
        rn_text_put(text, node->negated ? " is not null)" : " is null)");
    } else if (strcmp(operation, "in") == 0) {
        rn_text_put(text, "(");
        tree_put(node->operands[0], text);
        rn_text_put(text, node->negated ? " not in [" : " in [");
        for (int i = 1; i < node->count; i++) {
            rn_text_put(text, i > 1 ? ", " : "");
            put_literal(&node->operands[i]->literal, text, false);
        }
        rn_text_put(text, "])");
    } else if (is_one_of(operation, " and or = <> < <= > >= + - * / % ")) {
        (void)snprintf(infix, sizeof infix, " %s ", operation);
        rn_text_put(text, "(");
        put_chain(node, 0, infix, text);
        rn_text_put(text, ")");
    } else {
        rn_text_format(text, "%s(", operation);
        put_chain(node, 0, ", ", text);
        rn_text_put(text, ")");
    }
}

/* ---- evaluating ---- */

/* Exact without long double, which valgrind cuts to 64 bits. */
static int compare_mixed(int64_t integer, double real)
{
    if (isnan(real) || real >= 0x1p63) {
        return -1;
    }
    if (real < -0x1p63) {
        return 1;
    }
    int64_t whole = (int64_t)floor(real);
    if (integer != whole) {
        return integer < whole ? -1 : 1;
    }
    return real > floor(real) ? -1 : 0;
}

int tree_compare(const cell *a, const cell *b)
{
    if (a->kind == CELL_STRING) {
        size_t shared = RN_MIN(a->length, b->length);
        int order = memcmp(a->text, b->text, shared);
        return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
    }
    if (a->kind != CELL_DOUBLE && b->kind != CELL_DOUBLE) {
        return (a->integer > b->integer) - (a->integer < b->integer);
    }
    if (a->kind == CELL_DOUBLE && b->kind == CELL_DOUBLE) {
        return isnan(a->real) || isnan(b->real) ? isnan(a->real) - isnan(b->real)
                                                : (a->real > b->real) - (a->real < b->real);
    }
    return a->kind == CELL_DOUBLE ? -compare_mixed(b->integer, a->real)
                                  : compare_mixed(a->integer, b->real);
}

static cell make_bool_cell(bool value)
{
    return (cell){.kind = CELL_BOOL, .integer = value};
}

static cell evaluate_and_or(const tree *node, const cell *row, bool *failed)
{
    bool is_or = strcmp(node->operation, "or") == 0;
    bool null = false;
    for (int i = 0; i < node->count; i++) {
        cell value = tree_evaluate(node->operands[i], row, failed);
        if (!value.null && value.integer == is_or) {
            return make_bool_cell(is_or);
        }
        null = null || value.null;
    }
    cell result = make_bool_cell(!is_or);
    result.null = null;
    return result;
}

static double to_double(const cell *value)
{
    return value->kind == CELL_DOUBLE ? value->real : (double)value->integer;
}

static cell evaluate_coalesce(const tree *node, const cell *row, bool *failed)
{
    for (int i = 0; i < node->count; i++) {
        cell value = tree_evaluate(node->operands[i], row, failed);
        if (!value.null) {
            if (node->kind == CELL_DOUBLE) {
                value = (cell){.kind = CELL_DOUBLE, .real = to_double(&value)};
            }
            return value;
        }
    }
    return (cell){.kind = node->kind, .null = true};
}

static cell evaluate_in(const tree *node, const cell *row, bool *failed)
{
    cell value = tree_evaluate(node->operands[0], row, failed);
    bool null = node->count > 1 && value.null;
    bool found = false;
    for (int i = 1; i < node->count && !value.null; i++) {
        const cell *element = &node->operands[i]->literal;
        null = null || element->null;
        found = found || (!element->null && tree_compare(&value, element) == 0);
    }
    cell result = make_bool_cell(found != node->negated);
    result.null = null && !found;
    return result;
}

static cell calculate_integers(char operation, int64_t a, int64_t b, bool *failed)
{
    __extension__ typedef __int128 wide;
    wide result = 0;
    cell value = {.kind = CELL_INT64};
    if ((operation == '/' || operation == '%') && (b == 0 || (a == INT64_MIN && b == -1))) {
        *failed = true;
        return value;
    }
    switch (operation) {
    case '+':
        result = (wide)a + b;
        break;
    case '-':
        result = (wide)a - b;
        break;
    case '*':
        result = (wide)a * b;
        break;
    case '/':
        result = (wide)a / b;
        break;
    default:
        result = (wide)a % b;
    }
    *failed = *failed || result > INT64_MAX || result < INT64_MIN;
    value.integer = (int64_t)result;
    return value;
}

static cell calculate_doubles(char operation, double a, double b, bool *failed)
{
    cell value = {.kind = CELL_DOUBLE};
    switch (operation) {
    case '+':
        value.real = a + b;
        break;
    case '-':
        value.real = a - b;
        break;
    case '*':
        value.real = a * b;
        break;
    default:
        *failed = *failed || b == 0;
        value.real = b == 0 ? 0 : operation == '/' ? a / b : fmod(a, b);
    }
    return value;
}

static bool matches(const char *operation, const cell *whole, const cell *part)
{
    if (part->length > whole->length) {
        return false;
    }
    for (size_t at = 0; at + part->length <= whole->length; at++) {
        bool here =
            strcmp(operation, "contains") == 0 ||
            (strcmp(operation, "starts_with") == 0 ? at == 0 : at + part->length == whole->length);
        if (here && memcmp(whole->text + at, part->text, part->length) == 0) {
            return true;
        }
    }
    return false;
}

static int64_t time_part(const char *operation, const cell *value)
{
    int64_t us = value->kind == CELL_DATE ? value->integer * INT64_C(86400000000) : value->integer;
    time_t seconds = (time_t)(us / 1000000 - (us % 1000000 < 0));
    struct tm parts;
    gmtime_r(&seconds, &parts);
    switch (operation[0]) {
    case 'y':
        return parts.tm_year + 1900;
    case 'd':
        return parts.tm_mday;
    case 'h':
        return parts.tm_hour;
    case 's':
        return parts.tm_sec;
    default:
        return strcmp(operation, "month") == 0 ? parts.tm_mon + 1 : parts.tm_min;
    }
}

static cell evaluate_one(const tree *node, const cell *a, bool *failed)
{
    const char *operation = node->operation;
    cell value = {.kind = node->kind};
    if (strcmp(operation, "not") == 0) {
        value.integer = !a->integer;
    } else if (strcmp(operation, "length") == 0) {
        value.integer = (int64_t)a->length;
    } else if (strcmp(operation, "double") == 0) {
        value.real = (double)a->integer;
    } else if (strcmp(operation, "int64") == 0) {
        bool fits = a->real >= -0x1p63 && a->real < 0x1p63;
        *failed = *failed || !fits;
        value.integer = fits ? (int64_t)a->real : 0;
    } else if (strcmp(operation, "neg") == 0 || strcmp(operation, "abs") == 0) {
        bool absolute = operation[0] == 'a';
        *failed = *failed || (a->kind == CELL_INT64 && a->integer == INT64_MIN);
        value.real = absolute ? fabs(a->real) : -a->real;
        value.integer =
            a->integer == INT64_MIN || (absolute && a->integer >= 0) ? a->integer : -a->integer;
    } else {
        value.integer = time_part(operation, a);
    }
    return value;
}

static cell evaluate_two(const tree *node, const cell *a, const cell *b, bool *failed)
{
    const char *operation = node->operation;
    if (is_one_of(operation, " + - * / % ")) {
        return node->kind == CELL_INT64
                   ? calculate_integers(operation[0], a->integer, b->integer, failed)
                   : calculate_doubles(operation[0], to_double(a), to_double(b), failed);
    }
    if (strlen(operation) > 2) {
        return make_bool_cell(matches(operation, a, b));
    }
    int order = tree_compare(a, b);
    switch (operation[0]) {
    case '=':
        return make_bool_cell(order == 0);
    case '<':
        return make_bool_cell(
            operation[1] == '>' ? order != 0 : order < 0 || (operation[1] == '=' && order == 0));
    default:
        return make_bool_cell(order > 0 || (operation[1] == '=' && order == 0));
    }
}

cell tree_evaluate(const tree *node, const cell *row, bool *failed)
{
    const char *operation = node->operation;
    cell values[2];
    bool null = false;
    if (strcmp(operation, "column") == 0) {
        return row[node->column];
    }
    if (strcmp(operation, "literal") == 0) {
        return node->literal;
    }
    if (is_one_of(operation, " and or ")) {
        return evaluate_and_or(node, row, failed);
    }
    if (strcmp(operation, "coalesce") == 0) {
        return evaluate_coalesce(node, row, failed);
    }
    if (strcmp(operation, "in") == 0) {
        return evaluate_in(node, row, failed);
    }
    for (int i = 0; i < node->count; i++) {
        values[i] = tree_evaluate(node->operands[i], row, failed);
        null = null || values[i].null;
    }
    if (strcmp(operation, "is null") == 0) {
        return make_bool_cell(values[0].null != node->negated);
    }
    if (null || *failed) {
        return (cell){.kind = node->kind, .null = true};
    }
    return node->count == 1 ? evaluate_one(node, &values[0], failed)
                            : evaluate_two(node, &values[0], &values[1], failed);
}

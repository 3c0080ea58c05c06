/* SPDX-License-Identifier: Apache-2.0
 *
 * A program written against PostgreSQL's memory contexts and errors, as the author of an extension
 * would: no name of Ration's in program*.c. Its parts, and what the tests hand to it. */
#ifndef RATION_TESTS_ADAPTERS_PROGRAM_H
#define RATION_TESTS_ADAPTERS_PROGRAM_H

#include "adapters/palloc.h"

/* ---------------------------------------------------------------------------- strings and lists */

typedef struct StringInfoData {
    char *data;
    int len;
    int maxlen;
} StringInfoData;
typedef StringInfoData *StringInfo;

void initStringInfo(StringInfo str);
void appendStringInfo(StringInfo str, const char *fmt, ...) pg_attribute_printf(2, 3);
void appendStringInfoString(StringInfo str, const char *text);
void appendStringInfoChar(StringInfo str, char ch);

/* A growing array; NIL is the empty one. Cells lie in the context of the first lappend. */
typedef struct List {
    int length;
    int max_length;
    void **elements;
} List;

#define NIL ((List *)NULL)
#define list_length(list) ((list) == NIL ? 0 : (list)->length)
#define list_nth(list, n) ((list)->elements[n])
List *lappend(List *list, void *datum);
/* Of strings, in the current context, strings and all. */
List *list_copy_strings(const List *list);
void list_free_strings(List *list);

/* A linked one; NULL is the empty one. */
typedef struct Cell {
    struct Cell *next;
    void *datum;
} Cell;

/* Puts `datum` at the end, where `link` points, and returns the new end. */
Cell **append_cell(Cell **link, void *datum);
int count_cells(const Cell *cells);
/* Of strings, in the current context, strings and all. */
Cell *copy_cells(const Cell *cells);
void free_cells(Cell *cells);

/* ---------------------------------------------------------------------------------------- parts */

typedef enum ChangeKind { CHANGE_INSERT, CHANGE_COMMIT, CHANGE_ABORT } ChangeKind;

typedef struct Change {
    int xid;
    ChangeKind kind;
    const char *tuple; /* of an insert */
} Change;

/* "word count" by count and word, then the three longest lines, then the words of the line that has
 * most of them. */
void CountWords(const char *text, StringInfo out);
/* "text = value", or "text: SQLSTATE message". */
void EvaluateAll(const char *const *expressions, int count, StringInfo out);
/* "commit xid: tuples" in the order of commits. */
void ReplayChanges(const Change *changes, int count, StringInfo out);
/* Pushes all tuples through a queue of at most 16; "queue: tuples bytes sum". */
void PassTuples(const Change *changes, int count, StringInfo out);
/* Opens and closes files that are none, by reset callbacks: "closed: names". */
void CloseFiles(StringInfo out);

/* ---------------------------------------------------------------------------------------- whole */

typedef struct ProgramInput {
    const char *text;
    const Change *changes;
    int change_count;
    const char *const *expressions;
    int expression_count;
} ProgramInput;

typedef struct ProgramResult {
    char *text; /* the caller's */
    Size capacity;
    int sqlerrcode; /* 0 = none was raised */
    char message[200];
    char detail[400];
    char detail_log[1500];
} ProgramResult;

/* All parts. False, with the error in `result` and nothing left behind, when one was raised. */
bool RunProgram(const ProgramInput *input, ProgramResult *result);

/* Builds `count` strings and their sum. Out of memory, it forgets them all and tries half as many,
 * down to one; returns for how many there was room, and how often there was none. */
int CollectWhatFits(int count, uint64 *sum, int *refusals);

/* The statistics of a small tree of contexts, to stderr. */
void ShowStats(void);

#endif

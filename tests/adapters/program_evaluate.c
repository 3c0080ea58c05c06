/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums and products in brackets. Each pair of brackets is a level with a context of its own; an
 * error goes through all levels, each of which cleans up, to who asked. */
#include <ctype.h>
#include <stdlib.h>

#include "tests/adapters/program.h"

typedef struct Parser {
    const char *text;
    const char *at;
    int depth;
} Parser;

static int64 EvaluateSum(Parser *parser);

static void FailSyntax(const Parser *parser)
{
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
                    errmsg("syntax error at character %d", (int)(parser->at - parser->text) + 1)));
}

static void DescribeLevel(void *arg)
{
    const Parser *parser = (const Parser *)arg;
    errcontext("in brackets of depth %d", parser->depth);
}

static int64 EvaluateBrackets(Parser *parser)
{
    Parser inner = {parser->text, parser->at + 1, parser->depth + 1};
    ErrorContextCallback describe = {error_context_stack, DescribeLevel, &inner};
    error_context_stack = &describe;
    int64 value = EvaluateSum(&inner);
    if (*inner.at != ')') {
        FailSyntax(&inner);
    }
    error_context_stack = describe.previous;
    parser->at = inner.at + 1;
    return value;
}

/* A level cleans up on both ways with PG_FINALLY, the next one with PG_CATCH and PG_RE_THROW. */
static int64 EvaluateLevel(Parser *parser)
{
    MemoryContext caller = CurrentMemoryContext;
    MemoryContext level = AllocSetContextCreate(caller, "level", ALLOCSET_SMALL_SIZES);
    MemoryContextCopyAndSetIdentifier(level, parser->at);
    volatile int64 value = 0;
    if (parser->depth % 2 == 0) {
        PG_TRY();
        {
            MemoryContextSwitchTo(level);
            value = EvaluateBrackets(parser);
        }
        PG_FINALLY();
        {
            MemoryContextSwitchTo(caller);
            MemoryContextDelete(level);
        }
        PG_END_TRY();
        return value;
    }
    PG_TRY();
    {
        MemoryContextSwitchTo(level);
        value = EvaluateBrackets(parser);
    }
    PG_CATCH();
    {
        MemoryContextDelete(level);
        PG_RE_THROW();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(level);
    return value;
}

static int64 EvaluateFactor(Parser *parser)
{
    if (*parser->at == '(') {
        return EvaluateLevel(parser);
    }
    Size digits = strspn(parser->at, "0123456789");
    if (digits == 0 || digits > 9) {
        FailSyntax(parser);
    }
    char *number = pnstrdup(parser->at, digits);
    int64 value = strtoll(number, NULL, 10);
    pfree(number);
    parser->at += digits;
    return value;
}

static int64 EvaluateProduct(Parser *parser)
{
    int64 value = EvaluateFactor(parser);
    while (*parser->at == '*' || *parser->at == '/') {
        bool divides = *parser->at++ == '/';
        int64 right = EvaluateFactor(parser);
        if (divides && right == 0) {
            ereport(ERROR, errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("division by zero"));
        }
        if (divides) {
            value /= right;
        } else if (__builtin_mul_overflow(value, right, &value)) {
            ereport(ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("out of range"));
        }
    }
    return value;
}

static int64 EvaluateSum(Parser *parser)
{
    int64 value = EvaluateProduct(parser);
    while (*parser->at == '+' || *parser->at == '-') {
        bool subtracts = *parser->at++ == '-';
        int64 right = EvaluateProduct(parser);
        if (subtracts ? __builtin_sub_overflow(value, right, &value)
                      : __builtin_add_overflow(value, right, &value)) {
            ereport(ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("out of range"));
        }
    }
    return value;
}

static int CountLines(const char *text)
{
    int lines = text == NULL ? 0 : 1;
    while (text != NULL && (text = strchr(text, '\n')) != NULL) {
        text += 1;
        lines += 1;
    }
    return lines;
}

static void EvaluateOne(const char *text, StringInfo out)
{
    MemoryContext caller = CurrentMemoryContext;
    PG_TRY();
    {
        Parser parser = {text, text, 0};
        int64 value = EvaluateSum(&parser);
        if (*parser.at != '\0') {
            FailSyntax(&parser);
        }
        appendStringInfo(out, "%s = %lld\n", text, (long long)value);
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(caller);
        ErrorData *edata = CopyErrorData();
        FlushErrorState();
        if (edata->sqlerrcode == ERRCODE_OUT_OF_MEMORY) {
            ReThrowError(edata);
        }
        appendStringInfo(out, "%s: %s %s, %d deep\n", text, unpack_sql_state(edata->sqlerrcode),
                         edata->message, CountLines(edata->context));
        FreeErrorData(edata);
    }
    PG_END_TRY();
}

void EvaluateAll(const char *const *expressions, int count, StringInfo out)
{
    for (int i = 0; i < count; i++) {
        EvaluateOne(expressions[i], out);
    }
}

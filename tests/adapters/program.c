/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole: all parts under one handler; what fits into the memory there is; statistics. */
#include <stdio.h>

#include "tests/adapters/program.h"

static void CopyText(char *to, Size capacity, const char *from)
{
    (void)snprintf(to, capacity, "%s", from == NULL ? "" : from);
}

bool RunProgram(const ProgramInput *input, ProgramResult *result)
{
    MemoryContext caller = CurrentMemoryContext;
    MemoryContext volatile context = NULL;
    result->sqlerrcode = 0;
    PG_TRY();
    {
        context = AllocSetContextCreate(caller, "program", ALLOCSET_DEFAULT_SIZES);
        MemoryContextSwitchTo(context);
        StringInfoData out;
        initStringInfo(&out);
        CountWords(input->text, &out);
        EvaluateAll(input->expressions, input->expression_count, &out);
        ReplayChanges(input->changes, input->change_count, &out);
        PassTuples(input->changes, input->change_count, &out);
        CloseFiles(&out);
        if ((Size)out.len >= result->capacity) {
            elog(ERROR, "a result of %d characters", out.len);
        }
        memcpy(result->text, out.data, (Size)out.len + 1);
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(caller);
        if (context != NULL) { /* the copy needs room */
            MemoryContextDelete(context);
            context = NULL;
        }
        ErrorData *edata = CopyErrorData();
        FlushErrorState();
        result->sqlerrcode = edata->sqlerrcode;
        CopyText(result->message, sizeof(result->message), edata->message);
        CopyText(result->detail, sizeof(result->detail), edata->detail);
        CopyText(result->detail_log, sizeof(result->detail_log), edata->detail_log);
        FreeErrorData(edata);
    }
    PG_END_TRY();
    MemoryContextSwitchTo(caller);
    if (context != NULL) {
        MemoryContextDelete(context);
    }
    return result->sqlerrcode == 0;
}

static uint64 Collect(int count)
{
    List *strings = NIL;
    uint64 sum = 0;
    for (int i = 0; i < count; i++) {
        strings = lappend(strings, psprintf("string number %d", i));
    }
    for (int i = 0; i < list_length(strings); i++) {
        for (const char *at = (const char *)list_nth(strings, i); *at != '\0'; at++) {
            sum = sum * 31 + (unsigned char)*at;
        }
    }
    return sum;
}

int CollectWhatFits(int count, uint64 *sum, int *refusals)
{
    MemoryContext caller = CurrentMemoryContext;
    volatile bool done = false;
    volatile int attempt = count;
    *refusals = 0;
    while (!done) {
        MemoryContext context = AllocSetContextCreate(caller, "collect", ALLOCSET_DEFAULT_SIZES);
        PG_TRY();
        {
            MemoryContextSwitchTo(context);
            *sum = Collect(attempt);
            done = true;
        }
        PG_CATCH();
        {
            if (geterrcode() != ERRCODE_OUT_OF_MEMORY || attempt == 1) {
                MemoryContextDelete(context);
                PG_RE_THROW();
            }
            FlushErrorState();
            attempt = attempt / 2;
            *refusals += 1;
        }
        PG_END_TRY();
        MemoryContextSwitchTo(caller);
        MemoryContextDelete(context);
    }
    return attempt;
}

void ShowStats(void)
{
    MemoryContext tree = AllocSetContextCreate(CurrentMemoryContext, "tree", ALLOCSET_SMALL_SIZES);
    MemoryContext named = AllocSetContextCreate(tree, "named", ALLOCSET_SMALL_SIZES);
    MemoryContextCopyAndSetIdentifier(named, psprintf("part %d", 1));
    (void)MemoryContextAlloc(named, 100 * 1024);
    for (int i = 0; i < 5; i++) {
        (void)BumpContextCreate(tree, "many", ALLOCSET_SMALL_SIZES);
    }
    MemoryContextStats(tree);
    MemoryContextStatsDetail(tree, 2, true);
    MemoryContextDelete(tree);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of PostgreSQL's error interface that adapters/palloc.h has: raising, catching, cleaning
 * up, and what happens when there is no memory left, or nobody who catches. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/adapters/world.h"

/* ------------------------------------------------------------------------------ raise and catch */

static const char *spoil_errno(const char *text)
{
    errno = EILSEQ;
    return text;
}

static void raise_with_all(int number)
{
    errno = ENOENT;
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errdetail("detail %s", spoil_errno("of it")),
                    errmsg("object %d: %m", number), errhint("look elsewhere")));
}

START_TEST(test_error__carries_its_fields)
{
    world here = begin(MIB);
    MemoryContext context = AllocSetContextCreate(TopMemoryContext, "own", ALLOCSET_DEFAULT_SIZES);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        raise_with_all(7);
        ck_abort_msg("it came back");
    }
    PG_CATCH();
    {
        ck_assert_ptr_eq(CurrentMemoryContext, ErrorContext);
        ck_assert_int_eq(geterrcode(), ERRCODE_UNDEFINED_OBJECT);
        MemoryContextSwitchTo(context);
        ErrorData *error = CopyErrorData();
        FlushErrorState();
        char expected[200];
        snprintf(expected, sizeof(expected), "object 7: %s", strerror(ENOENT));
        ck_assert_int_eq(error->elevel, ERROR);
        ck_assert_str_eq(error->message, expected);
        ck_assert_str_eq(error->detail, "detail of it");
        ck_assert_str_eq(error->hint, "look elsewhere");
        ck_assert_ptr_null(error->context);
        ck_assert_ptr_null(error->detail_log);
        ck_assert_str_eq(error->message_id, "object %d: %m");
        ck_assert_str_eq(error->funcname, "raise_with_all");
        ck_assert_str_eq(error->filename, __FILE__);
        ck_assert_int_gt(error->lineno, 10);
        ck_assert_ptr_eq(error->assoc_context, context);
        ck_assert_ptr_eq(GetMemoryChunkContext(error->message), context);
        FreeErrorData(error);
    }
    PG_END_TRY();
    ck_assert_ptr_null(PG_exception_stack);
    end(&here);
}
END_TEST

static void log_letter(char *log, char letter)
{
    log[strlen(log)] = letter;
}

/* The way down and up again, as letters. */
static void go_down(char *log, int depth, bool fails)
{
    MemoryContext caller = CurrentMemoryContext;
    MemoryContext level = AllocSetContextCreate(caller, "level", ALLOCSET_SMALL_SIZES);
    PG_TRY();
    {
        MemoryContextSwitchTo(level);
        (void)palloc0(1000);
        log_letter(log, (char)('0' + depth));
        if (depth < 4) {
            go_down(log, depth + 1, fails);
        } else if (fails) {
            elog(ERROR, "at the bottom");
        }
    }
    PG_FINALLY();
    {
        MemoryContextSwitchTo(caller);
        MemoryContextDelete(level);
        log_letter(log, (char)('a' + depth));
    }
    PG_END_TRY();
    log_letter(log, '-');
}

START_TEST(test_error__unwinds_through_every_level)
{
    world here = begin(MIB);
    char log[64] = "";
    go_down(log, 0, false);
    ck_assert_str_eq(log, "01234e-d-c-b-a-");
    memset(log, 0, sizeof(log));
    PG_TRY();
    {
        go_down(log, 0, true);
        ck_abort_msg("it came back");
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(TopMemoryContext);
        FlushErrorState();
    }
    PG_END_TRY();
    ck_assert_str_eq(log, "01234edcba");
    ck_assert_int_eq(charged(&here), 16 * KIB);
    end(&here);
}
END_TEST

/* Nested in one function; the inner handler throws again, with another error caught meanwhile. */
START_TEST(test_error__handlers_nest)
{
    world here = begin(MIB);
    MemoryContext const top = TopMemoryContext;
    volatile int seen = 0;
    PG_TRY();
    {
        PG_TRY(_inner);
        {
            ereport(ERROR, errcode(ERRCODE_DATA_EXCEPTION), errmsg("first"));
        }
        PG_CATCH(_inner);
        {
            PG_TRY(_second);
            {
                elog(ERROR, "second");
            }
            PG_CATCH(_second);
            {
                ck_assert_int_eq(geterrcode(), ERRCODE_INTERNAL_ERROR);
                seen += 1;
                MemoryContextSwitchTo(top);
                ErrorData *error = CopyErrorData();
                FlushErrorState();
                ck_assert_str_eq(error->message, "second");
                error->sqlerrcode = ERRCODE_DATA_EXCEPTION;
                ReThrowError(error);
            }
            PG_END_TRY(_second);
        }
        PG_END_TRY(_inner);
    }
    PG_CATCH();
    {
        ck_assert_int_eq(geterrcode(), ERRCODE_DATA_EXCEPTION);
        ck_assert_ptr_eq(CurrentMemoryContext, ErrorContext);
        MemoryContextSwitchTo(top);
        ErrorData *error = CopyErrorData();
        FlushErrorState();
        ck_assert_str_eq(error->message, "second");
        FreeErrorData(error);
        seen += 1;
    }
    PG_END_TRY();
    ck_assert_int_eq(seen, 2);
    end(&here);
}
END_TEST

static void describe(void *argument)
{
    errcontext("while doing %s", (const char *)argument);
}

static void describe_badly(void *argument)
{
    (void)argument;
    elog(ERROR, "an error while an error is described");
}

static const char *catch_context(void (*callback)(void *))
{
    static char context[200];
    static char one[] = "one", two[] = "two";
    ErrorContextCallback outer = {error_context_stack, describe, one};
    error_context_stack = &outer;
    PG_TRY();
    {
        ErrorContextCallback inner = {error_context_stack, callback, two};
        error_context_stack = &inner;
        elog(ERROR, "any");
    }
    PG_CATCH();
    {
        ck_assert_ptr_eq(error_context_stack, &outer);
        MemoryContextSwitchTo(TopMemoryContext);
        const ErrorData *error = CopyErrorData();
        snprintf(context, sizeof(context), "%s|%s", error->message,
                 error->context == NULL ? "" : error->context);
        FlushErrorState();
    }
    PG_END_TRY();
    error_context_stack = outer.previous;
    return context;
}

START_TEST(test_error__is_described_by_callbacks)
{
    world here = begin(MIB);
    ck_assert_str_eq(catch_context(describe), "any|while doing two\nwhile doing one");
    ck_assert_str_eq(catch_context(describe_badly), "an error while an error is described|");
    end(&here);
}
END_TEST

/* ------------------------------------------------------------------------------- below an ERROR */

static int emitted;
static char emitted_text[200];

static void keep_report(ErrorData *edata)
{
    emitted += 1;
    snprintf(emitted_text, sizeof(emitted_text), "%d %s %s", edata->elevel,
             unpack_sql_state(edata->sqlerrcode), edata->message);
    edata->output_to_server = false;
}

START_TEST(test_error__warnings_are_written_and_go_on)
{
    world here = begin(MIB);
    emit_log_hook = keep_report;
    MemoryContext before = CurrentMemoryContext;
    int64_t bytes = charged(&here);
    for (int i = 0; i < 1000; i++) {
        errno = EAGAIN;
        ereport(WARNING, errmsg("warning %d", i), errdetail("%s", "with more"));
        ck_assert_int_eq(errno, EAGAIN);
        elog(NOTICE, "not written");
        elog(DEBUG1, "nor this");
    }
    ck_assert_int_eq(emitted, 1000);
    ck_assert_str_eq(emitted_text, "19 01000 warning 999");
    elog(LOG, "logged");
    ck_assert_str_eq(emitted_text, "15 00000 logged");
    log_min_messages = DEBUG5;
    elog(DEBUG1, "debugging");
    ck_assert_str_eq(emitted_text, "14 00000 debugging");
    log_min_messages = WARNING;
    ck_assert_ptr_eq(CurrentMemoryContext, before);
    ck_assert_int_eq(charged(&here), bytes);
    MemoryContextStatsDetail(TopMemoryContext, 0, false);
    ck_assert_int_ge(emitted, 1003);
    emit_log_hook = NULL;
    end(&here);
}
END_TEST

/* ------------------------------------------------------------------------------- without memory */

static void fill(const world *here, MemoryContext context)
{
    MemoryContext more;
    while (ration_context_create(context, here->slot, RATION_CONTEXT_SET, "more", &more) ==
           RATION_OK) {
    }
    while (MemoryContextAllocExtended(context, 64, MCXT_ALLOC_NO_OOM) != NULL) {
    }
}

/* Not a byte is left, and errors with long texts are raised, described, copied and dealt with. */
START_TEST(test_error__needs_no_memory_under_the_limit)
{
    world here = begin(256 * KIB);
    MemoryContext const full =
        AllocSetContextCreate(TopMemoryContext, "full", ALLOCSET_DEFAULT_SIZES);
    MemoryContext const room =
        AllocSetContextCreate(TopMemoryContext, "room", ALLOCSET_DEFAULT_SIZES);
    fill(&here, full);
    int64_t bytes = charged(&here);
    ration_pool_figures figures;
    for (int i = 0; i < 100; i++) {
        PG_TRY();
        {
            ereport(ERROR, errcode(ERRCODE_DATA_EXCEPTION), errmsg("%3000d", i),
                    errdetail("%3000d", i), errhint("%30000d", i));
        }
        PG_CATCH();
        {
            ration_pool_read(ration_query_pool(here.query), &figures);
            ck_assert_int_gt(figures.unchecked_bytes, 0);
            ck_assert_int_eq(geterrcode(), ERRCODE_DATA_EXCEPTION);
            ck_assert_uint_eq(strlen(psprintf("%5000d", i)), 5000); /* in ErrorContext */
            FlushErrorState();
            MemoryContextSwitchTo(room);
        }
        PG_END_TRY();
        ration_pool_read(ration_query_pool(here.query), &figures);
        ck_assert_int_eq(figures.unchecked_bytes, 0);
        ck_assert_int_eq(charged(&here), bytes);
        MemoryContextReset(room);
    }
    end(&here);
}
END_TEST

/* A handler that goes on working in ErrorContext comes to an end there too. */
START_TEST(test_error__its_context_has_a_bound)
{
    world here = begin(256 * KIB);
    MemoryContext const full =
        AllocSetContextCreate(TopMemoryContext, "full", ALLOCSET_DEFAULT_SIZES);
    fill(&here, full);
    volatile int64_t most = 0;
    PG_TRY();
    {
        PG_TRY(_inner);
        {
            (void)MemoryContextAlloc(full, 64);
        }
        PG_CATCH(_inner);
        {
            for (;;) {
                (void)palloc(100);
                most = (int64_t)MemoryContextMemAllocated(ErrorContext, false);
            }
        }
        PG_END_TRY(_inner);
    }
    PG_CATCH();
    {
        ck_assert_int_eq(geterrcode(), ERRCODE_OUT_OF_MEMORY);
        MemoryContextSwitchTo(TopMemoryContext);
        FlushErrorState();
    }
    PG_END_TRY();
    ck_assert_int_gt(most, 64 * KIB);
    ck_assert_int_le(most, 320 * KIB);
    end(&here);
}
END_TEST

/* ------------------------------------------------------------------------------- nobody catches */

/* Runs `act` in a process of its own; its wait status, and what it wrote to stderr. */
static int run_apart(void (*act)(void), char *text, size_t capacity)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        act();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], text + length, capacity - 1 - length)) > 0) {
        length += (size_t)got;
    }
    text[length] = '\0';
    close(ends[0]);
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static void expect_abort(void (*act)(void), const char *part)
{
    char text[4096];
    int status = run_apart(act, text, sizeof(text));
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x: %s", status,
                  text);
    ck_assert_msg(strstr(text, part) != NULL, "%s", text);
}

static void raise_uncaught(void)
{
    raise_with_all(1);
}

static void raise_fatal(void)
{
    PG_TRY();
    {
        elog(FATAL, "the end");
    }
    PG_CATCH();
    {
        _exit(1);
    }
    PG_END_TRY();
}

static void swallow_many(void)
{
    for (volatile int i = 0; i < 10; i++) {
        PG_TRY();
        {
            elog(ERROR, "swallowed");
        }
        PG_CATCH();
        {
            MemoryContextSwitchTo(TopMemoryContext);
        }
        PG_END_TRY();
    }
}

static void raise_without_begin(void)
{
    (void)ration_palloc_detach();
    elog(WARNING, "goes nowhere");
    elog(ERROR, "nobody is there");
}

static void flush_and_ask(void)
{
    FlushErrorState();
    (void)geterrcode();
}

static void leave(ErrorData *edata)
{
    _exit(edata->elevel == ERROR && strcmp(edata->message, "left") == 0 ? 77 : 1);
}

static void raise_for_the_hook(void)
{
    ration_palloc_unhandled = leave;
    elog(ERROR, "left");
}

START_TEST(test_error__uncaught_ends_the_process)
{
    world here = begin(MIB);
    char text[4096];
    expect_abort(raise_uncaught, "ERROR:  object 1: ");
    expect_abort(raise_uncaught, "\nDETAIL:  detail of it\nHINT:  look elsewhere\n");
    expect_abort(raise_fatal, "FATAL:  the end\n");
    expect_abort(swallow_many, "errors pile up");
    expect_abort(raise_without_begin, "before ration_palloc_begin");
    expect_abort(flush_and_ask, "no error is in hand");
    int status = run_apart(raise_for_the_hook, text, sizeof(text));
    ck_assert_int_eq(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 77);
    end(&here);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_error__carries_its_fields,
        test_error__unwinds_through_every_level,
        test_error__handlers_nest,
        test_error__is_described_by_callbacks,
        test_error__warnings_are_written_and_go_on,
        test_error__needs_no_memory_under_the_limit,
        test_error__its_context_has_a_bound,
        test_error__uncaught_ends_the_process,
    };
    return support_run("palloc_errors", tests, RN_COUNT(tests));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The half of palloc_body.h that raises, catches and writes errors; included by it alone.
 *
 * errstart pushes an ErrorData, errmsg and the others write texts into it, errfinish runs the
 * callbacks of error_context_stack, newest first, and jumps to the innermost PG_TRY, or, below
 * ERROR, writes the report and pops it.
 *
 * Invariant: nothing between errstart and the jump raises, or needs memory that a limit could
 * refuse; only what the host's own callbacks do might.
 */
#ifndef RATION_PALLOC_ERRORS_H
#define RATION_PALLOC_ERRORS_H

#include "palloc_body.h"

/* --------------------------------------------------------------------------------------- errors */

static char palloc_no_text[] = "(no memory for the text)";

static bool palloc_is_written(int elevel)
{
    return elevel >= ERROR || elevel == LOG || elevel >= log_min_messages;
}

static void palloc_write(const ErrorData *edata)
{
    const char *levels[] = {"LOG", "LOG",   "INFO",  "NOTICE", "WARNING",
                            "",    "ERROR", "FATAL", "PANIC"};
    const char *level = edata->elevel < LOG ? "DEBUG" : levels[edata->elevel - LOG];
    const char *names[] = {level, "DETAIL", "DETAIL", "HINT", "CONTEXT"};
    const char *texts[] = {edata->message == NULL ? "(without a text)" : edata->message,
                           edata->detail, edata->detail_log, edata->hint, edata->context};
    flockfile(stderr);
    for (size_t i = 0; i < lengthof(texts); i++) {
        if (texts[i] != NULL) {
            fprintf(stderr, "%s:  %s\n", names[i], texts[i]);
        }
    }
    funlockfile(stderr);
}

static void palloc_emit(ErrorData *edata)
{
    if (emit_log_hook != NULL) {
        emit_log_hook(edata);
    }
    if (edata->output_to_server) {
        palloc_write(edata);
    }
}

_Noreturn static void palloc_give_up(ErrorData *edata)
{
    if (ration_palloc_unhandled != NULL) {
        ration_palloc_unhandled(edata);
    }
    palloc_write(edata);
    abort();
}

_Noreturn void ExceptionalCondition(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}

_Noreturn static void palloc_panic(const char *text)
{
    char message[80];
    (void)snprintf(message, sizeof(message), "%s", text);
    ErrorData lost = {.elevel = PANIC, .message = message};
    palloc_give_up(&lost);
}

static ErrorData *palloc_error_in_hand(void)
{
    ration_palloc *session = ration_palloc_session;
    if (session == NULL || session->depth < 0) {
        palloc_panic("no error is in hand");
    }
    return &session->errors[session->depth];
}

static ErrorData *palloc_push_error(int elevel)
{
    ration_palloc *session = ration_palloc_session;
    if (session == NULL) {
        palloc_panic("an error before ration_palloc_begin");
    }
    if (session->depth + 1 == RATION_PALLOC_ERRORS_MAX) {
        palloc_panic("errors pile up: none was flushed since the last 5");
    }
    session->depth += 1;
    ErrorData *edata = &session->errors[session->depth];
    *edata = (ErrorData){.elevel = elevel,
                         .output_to_server = palloc_is_written(elevel),
                         .sqlerrcode = elevel >= ERROR     ? ERRCODE_INTERNAL_ERROR
                                       : elevel == WARNING ? ERRCODE_WARNING
                                                           : ERRCODE_SUCCESSFUL_COMPLETION,
                         .saved_errno = errno,
                         .assoc_context = ErrorContext};
    return edata;
}

/* Into ErrorContext, whatever the limit says; below `before` when that is not NULL. */
static char *palloc_format(const char *before, const char *fmt, va_list args)
{
    int error = errno; /* %m */
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    size_t ahead = before == NULL ? 0 : strlen(before) + 1;
    size_t bytes = ahead + (size_t)Max(length, 0) + 1;
    char *text = (char *)ration_context_allocate(ErrorContext, bytes);
    if (text == NULL) {
        text = (char *)ration_context_allocate_unchecked(ErrorContext, bytes);
    }
    if (text == NULL) {
        return palloc_no_text;
    }
    if (before != NULL) {
        memcpy(text, before, ahead - 1);
        text[ahead - 1] = '\n';
    }
    errno = error;
    (void)vsnprintf(text + ahead, bytes - ahead, fmt, args);
    return text;
}

bool errstart(int elevel, const char *domain)
{
    (void)domain;
    if (elevel < ERROR && (!palloc_is_written(elevel) || ration_palloc_session == NULL)) {
        return false;
    }
    (void)palloc_push_error(elevel);
    if (ration_palloc_session->building > 0 && elevel >= ERROR) {
        error_context_stack = NULL; /* one of them may be what failed */
    }
    ration_palloc_session->building += 1;
    return true;
}

void errfinish(const char *filename, int lineno, const char *funcname)
{
    ErrorData *edata = palloc_error_in_hand();
    edata->filename = filename;
    edata->lineno = lineno;
    edata->funcname = funcname;
    MemoryContext before = MemoryContextSwitchTo(ErrorContext);
    for (ErrorContextCallback *at = error_context_stack; at != NULL; at = at->previous) {
        at->callback(at->arg);
    }
    if (edata->elevel == ERROR) {
        pg_re_throw(); /* ErrorContext stays the current one */
    }
    if (edata->elevel > ERROR) {
        palloc_give_up(edata);
    }
    palloc_emit(edata);
    char *texts[] = {edata->message, edata->detail, edata->detail_log, edata->hint, edata->context};
    for (size_t i = 0; i < lengthof(texts); i++) {
        if (texts[i] != NULL && texts[i] != palloc_no_text) {
            pfree(texts[i]);
        }
    }
    errno = edata->saved_errno;
    ration_palloc_session->depth -= 1;
    ration_palloc_session->building -= 1;
    (void)MemoryContextSwitchTo(before);
}

_Noreturn void pg_re_throw(void)
{
    ErrorData *edata = palloc_error_in_hand();
    ration_palloc_session->building = 0;
    if (PG_exception_stack == NULL) {
        palloc_give_up(edata);
    }
    siglongjmp(*PG_exception_stack, 1);
}

int errcode(int sqlerrcode)
{
    palloc_error_in_hand()->sqlerrcode = sqlerrcode;
    return 0;
}

/* errmsg, errdetail, ..: text into one field of the error in hand. */
#define PALLOC_TEXT_SETTER(name, field, before)                                                    \
    int name(const char *fmt, ...)                                                                 \
    {                                                                                              \
        ErrorData *edata = palloc_error_in_hand();                                                 \
        va_list args;                                                                              \
        va_start(args, fmt);                                                                       \
        errno = edata->saved_errno;                                                                \
        edata->field = palloc_format(before, fmt, args);                                           \
        va_end(args);                                                                              \
        return 0;                                                                                  \
    }
PALLOC_TEXT_SETTER(errmsg, message, (edata->message_id = fmt, (const char *)NULL))
PALLOC_TEXT_SETTER(errmsg_internal, message, (edata->message_id = fmt, (const char *)NULL))
PALLOC_TEXT_SETTER(errdetail, detail, NULL)
PALLOC_TEXT_SETTER(errdetail_internal, detail, NULL)
PALLOC_TEXT_SETTER(errdetail_log, detail_log, NULL)
PALLOC_TEXT_SETTER(errhint, hint, NULL)
PALLOC_TEXT_SETTER(errcontext, context, edata->context)
#undef PALLOC_TEXT_SETTER

int geterrcode(void)
{
    return palloc_error_in_hand()->sqlerrcode;
}

char *unpack_sql_state(int sql_state)
{
    static _Thread_local char text[6];
    for (int i = 0; i < 5; i++) {
        text[i] = (char)(((sql_state >> (6 * i)) & 0x3F) + '0');
    }
    return text;
}

/* ------------------------------------------------------------------------------- errors, caught */

/* The texts of `from`, copied by `copy` into `to`. */
static void palloc_copy_texts(ErrorData *to, const ErrorData *from, char *(*copy)(const char *))
{
    *to = *from;
    to->message = from->message == NULL ? NULL : copy(from->message);
    to->detail = from->detail == NULL ? NULL : copy(from->detail);
    to->detail_log = from->detail_log == NULL ? NULL : copy(from->detail_log);
    to->hint = from->hint == NULL ? NULL : copy(from->hint);
    to->context = from->context == NULL ? NULL : copy(from->context);
}

ErrorData *CopyErrorData(void)
{
    Assert(CurrentMemoryContext != ErrorContext);
    ErrorData *copy = palloc_object(ErrorData);
    palloc_copy_texts(copy, palloc_error_in_hand(), pstrdup);
    copy->assoc_context = CurrentMemoryContext;
    return copy;
}

void FreeErrorData(ErrorData *edata)
{
    char *texts[] = {edata->message, edata->detail, edata->detail_log, edata->hint, edata->context};
    for (size_t i = 0; i < lengthof(texts); i++) {
        if (texts[i] != NULL) {
            pfree(texts[i]);
        }
    }
    pfree(edata);
}

void FlushErrorState(void)
{
    if (ration_palloc_session != NULL) {
        ration_palloc_session->depth = -1;
        ration_palloc_session->building = 0;
        ration_context_reset(ErrorContext);
    }
}

void EmitErrorReport(void)
{
    palloc_emit(palloc_error_in_hand());
}

pg_attribute_printf(1, 2) static char *palloc_format_plainly(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = palloc_format(NULL, fmt, args);
    va_end(args);
    return text;
}

static char *palloc_copy_for_errors(const char *text)
{
    return palloc_format_plainly("%s", text);
}

void ReThrowError(ErrorData *edata)
{
    ErrorData *again = palloc_push_error(edata->elevel);
    palloc_copy_texts(again, edata, palloc_copy_for_errors);
    again->assoc_context = ErrorContext;
    (void)MemoryContextSwitchTo(ErrorContext);
    pg_re_throw();
}

#endif

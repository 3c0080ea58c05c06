/* SPDX-License-Identifier: Apache-2.0
 *
 * What palloc.h declares and does not define: beginning and end, contexts, strings, errors. Exactly
 * one source file of a program includes this.
 *
 * A thread's session lies in its TopMemoryContext. Errors are a stack of at most 5: one raised
 * while another is dealt with lies above it, until FlushErrorState takes them all. Raising one
 * needs no memory under a limit: the session holds the stack, texts go into ErrorContext, whose
 * first block is there from the beginning, and a text that the system has no memory for becomes a
 * fixed one.
 *
 * Invariants:
 *   1. session == NULL, or it, TopMemoryContext and ErrorContext are the calling thread's.
 *   2. -1 <= depth < ERRORS_MAX; texts of errors[0 .. depth] lie in ErrorContext or are `no_text`.
 * Bound: a thread's ErrorContext goes beyond a limit by at most ERROR_BYTES_MAX, whatever its
 * handlers allocate there, and by the texts of at most 5 errors.
 *
 * Rejected: this part inside of the library. Its names are PostgreSQL's, and a library has no
 * business exporting them.
 */
#ifndef RATION_PALLOC_BODY_H
#define RATION_PALLOC_BODY_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "palloc.h"

enum { RATION_PALLOC_ERRORS_MAX = 5, RATION_PALLOC_ERROR_BYTES_MAX = 256 * 1024 };

struct ration_palloc {
    ration_slot *slot;
    ration_query *query;
    MemoryContext top, error, current; /* while nobody has the session */
    int depth;                         /* of the error in hand; -1 = none */
    int building;                      /* reports begun and not finished */
    ErrorData errors[RATION_PALLOC_ERRORS_MAX];
};

_Thread_local MemoryContext CurrentMemoryContext;
_Thread_local MemoryContext TopMemoryContext;
_Thread_local MemoryContext ErrorContext;
_Thread_local ErrorContextCallback *error_context_stack;
_Thread_local sigjmp_buf *PG_exception_stack;
emit_log_hook_type emit_log_hook;
int log_min_messages = WARNING;
void (*ration_palloc_unhandled)(ErrorData *edata);

static _Thread_local ration_palloc *ration_palloc_session;

#include "palloc_errors.h"

/* ---------------------------------------------------------------------------- beginning and end */

void ration_palloc_attach(ration_palloc *session)
{
    ration_palloc_session = session;
    TopMemoryContext = session->top;
    ErrorContext = session->error;
    CurrentMemoryContext = session->current;
}

static void palloc_forget_session(void)
{
    ration_palloc_session = NULL;
    TopMemoryContext = ErrorContext = CurrentMemoryContext = NULL;
    PG_exception_stack = NULL;
    error_context_stack = NULL;
}

ration_palloc *ration_palloc_detach(void)
{
    ration_palloc *session = ration_palloc_session;
    if (session != NULL) {
        session->current = CurrentMemoryContext;
    }
    palloc_forget_session();
    return session;
}

ration_status ration_palloc_begin(ration_slot *slot)
{
    if (ration_palloc_session != NULL) {
        return RATION_INVALID_ARGUMENT;
    }
    MemoryContext top = NULL;
    ration_status status =
        ration_context_create(NULL, slot, RATION_CONTEXT_SET, "TopMemoryContext", &top);
    if (status != RATION_OK) {
        return status;
    }
    MemoryContext error = NULL;
    status = ration_context_create(top, slot, RATION_CONTEXT_SET, "ErrorContext", &error);
    ration_palloc *session = NULL;
    if (status == RATION_OK) {
        session = (ration_palloc *)ration_context_allocate(top, sizeof(*session));
        status = session == NULL ? ration_context_status(top) : RATION_OK;
    }
    if (status != RATION_OK) {
        ration_context_delete(top);
        return status;
    }
    *session =
        (ration_palloc){.slot = slot, .top = top, .error = error, .current = top, .depth = -1};
    ration_palloc_attach(session);
    return RATION_OK;
}

void ration_palloc_bind(ration_query *query)
{
    if (ration_palloc_session != NULL) {
        ration_palloc_session->query = query;
    }
}

void ration_palloc_end(void)
{
    if (ration_palloc_session != NULL) {
        CurrentMemoryContext = TopMemoryContext; /* what callbacks find, and not one that went */
        ration_context_delete(TopMemoryContext);
        palloc_forget_session();
    }
}

/* -------------------------------------------------------------------------- refused and invalid */

/* Adds what the query knows of its refusal, if it is one of this status. */
static void palloc_explain(ration_status status)
{
    ration_query *query = ration_palloc_session->query;
    ration_refusal refusal;
    if (query == NULL || !ration_query_refusal(query, &refusal) || refusal.status != status) {
        return;
    }
    char text[2048];
    (void)ration_refusal_format(&refusal, text, sizeof(text));
    errdetail_log("%s", text);
    if (refusal.key[0] != '\0') {
        errhint("Raise %s to at least %lld bytes.", refusal.key, (long long)refusal.key_bytes);
    }
}

static pg_noinline void palloc_raise(const char *what, const char *name, Size size,
                                     ration_status status)
{
    if (errstart(ERROR, NULL)) {
        errcode(ERRCODE_OUT_OF_MEMORY);
        errmsg("out of memory");
        errdetail("%zu bytes for %s \"%s\" were refused: %s.", size, what, name == NULL ? "" : name,
                  ration_status_sentence(status));
        palloc_explain(status);
        errfinish(__FILE__, __LINE__, __func__);
    }
    pg_unreachable();
}

/* Room in ErrorContext beyond the limit. */
static void *palloc_allocate_for_errors(Size size)
{
    Size taken = (Size)ration_context_bytes(ErrorContext, false);
    if (taken > RATION_PALLOC_ERROR_BYTES_MAX || size > RATION_PALLOC_ERROR_BYTES_MAX - taken) {
        return NULL;
    }
    return ration_context_allocate_unchecked(ErrorContext, size);
}

void *ration_palloc_refused(MemoryContext context, Size size, Size alignto, int flags)
{
    if (!ration_palloc_valid(size, flags)) {
        elog(ERROR, "invalid memory alloc request size %zu", size);
    }
    if (context == NULL) {
        elog(ERROR, "%zu bytes for no memory context", size);
    }
    ration_status status = ration_context_status(context);
    if (status == RATION_INVALID_ARGUMENT) {
        elog(ERROR, "memory context \"%s\" allocates no %zu bytes aligned to %zu",
             ration_context_name(context), size, alignto);
    }
    if (context == ErrorContext && alignto == 0) {
        void *memory = palloc_allocate_for_errors(size);
        if (memory != NULL) {
            return (flags & MCXT_ALLOC_ZERO) != 0 ? memset(memory, 0, size) : memory;
        }
    }
    if ((flags & MCXT_ALLOC_NO_OOM) == 0) {
        palloc_raise("memory context", ration_context_name(context), size, status);
    }
    return NULL;
}

void *ration_palloc_resize_refused(void *pointer, Size size, int flags)
{
    return ration_palloc_refused(ration_context_of(pointer), size, 1, flags);
}

void *repalloc0(void *pointer, Size oldsize, Size size)
{
    if (oldsize > size) {
        elog(ERROR, "invalid repalloc0 call: %zu bytes cannot grow to %zu", oldsize, size);
    }
    char *memory = (char *)repalloc(pointer, size);
    memset(memory + oldsize, 0, size - oldsize);
    return memory;
}

/* ------------------------------------------------------------------------------------- contexts */

static ration_slot *palloc_slot_for(MemoryContext parent)
{
    return parent == NULL ? ration_palloc_session->slot : ration_context_slot(parent);
}

static MemoryContext palloc_take_created(ration_status status, MemoryContext context,
                                         const char *name, Size size)
{
    if (status == RATION_INVALID_ARGUMENT) {
        elog(ERROR, "no memory context \"%s\" for chunks of %zu bytes", name, size);
    }
    if (status != RATION_OK) {
        palloc_raise("a new memory context", name, size, status);
    }
    return context;
}

static MemoryContext palloc_create(MemoryContext parent, ration_context_kind kind, const char *name)
{
    MemoryContext context = NULL;
    ration_status status =
        ration_context_create(parent, palloc_slot_for(parent), kind, name, &context);
    return palloc_take_created(status, context, name, 8192);
}

MemoryContext AllocSetContextCreateInternal(MemoryContext parent, const char *name,
                                            Size minContextSize, Size initBlockSize,
                                            Size maxBlockSize)
{
    (void)minContextSize, (void)initBlockSize, (void)maxBlockSize;
    return palloc_create(parent, RATION_CONTEXT_SET, name);
}

MemoryContext SlabContextCreate(MemoryContext parent, const char *name, Size blockSize,
                                Size chunkSize)
{
    (void)blockSize;
    MemoryContext context = NULL;
    ration_status status =
        ration_context_create_slab(parent, palloc_slot_for(parent), chunkSize, name, &context);
    return palloc_take_created(status, context, name, chunkSize);
}

MemoryContext ration_palloc_create_generation(MemoryContext parent, const char *name)
{
    return palloc_create(parent, RATION_CONTEXT_GENERATION, name);
}

MemoryContext BumpContextCreate(MemoryContext parent, const char *name, Size minContextSize,
                                Size initBlockSize, Size maxBlockSize)
{
    (void)minContextSize, (void)initBlockSize, (void)maxBlockSize;
    return palloc_create(parent, RATION_CONTEXT_BUMP, name);
}

void MemoryContextCheck(MemoryContext context)
{
    if (!ration_context_check(context)) {
        elog(WARNING, "memory context \"%s\", or one below it, is damaged",
             ration_context_name(context));
    }
}

static void palloc_print_line(void *to_stderr, const char *text)
{
    if (*(const bool *)to_stderr) {
        fprintf(stderr, "%s\n", text);
    } else {
        elog(LOG, "%s", text);
    }
}

void MemoryContextStatsDetail(MemoryContext context, int max_children, bool print_to_stderr)
{
    ration_context_report(context, max_children, palloc_print_line, &print_to_stderr);
}

void MemoryContextStats(MemoryContext context)
{
    MemoryContextStatsDetail(context, 100, true);
}

/* -------------------------------------------------------------------------------------- strings */

static char *palloc_copy_text(MemoryContext context, const char *text, Size length)
{
    char *copy = (char *)MemoryContextAlloc(context, length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *MemoryContextStrdup(MemoryContext context, const char *string)
{
    return palloc_copy_text(context, string, strlen(string));
}

char *pstrdup(const char *in)
{
    return MemoryContextStrdup(CurrentMemoryContext, in);
}

char *pnstrdup(const char *in, Size len)
{
    return palloc_copy_text(CurrentMemoryContext, in, strnlen(in, len));
}

char *pchomp(const char *in)
{
    Size length = strlen(in);
    while (length > 0 && in[length - 1] == '\n') {
        length -= 1;
    }
    return palloc_copy_text(CurrentMemoryContext, in, length);
}

size_t pvsnprintf(char *buf, size_t len, const char *fmt, va_list args)
{
    int length = vsnprintf(buf, len, fmt, args);
    if (length < 0) {
        elog(ERROR, "vsnprintf failed: %m with format \"%s\"", fmt);
    }
    return (size_t)length < len ? (size_t)length : (size_t)length + 1;
}

char *psprintf(const char *fmt, ...)
{
    int error = errno; /* %m */
    char text[256];
    va_list args;
    va_start(args, fmt);
    size_t length = pvsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (length < sizeof(text)) {
        return palloc_copy_text(CurrentMemoryContext, text, length);
    }
    char *memory = (char *)palloc(length);
    errno = error;
    va_start(args, fmt);
    (void)pvsnprintf(memory, length, fmt, args);
    va_end(args);
    return memory;
}

#endif

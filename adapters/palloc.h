/* SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL's memory contexts over Ration's: code written against palloc, MemoryContextSwitchTo,
 * PG_TRY and ereport compiles with this header in place of postgres.h, and every block it takes is
 * charged to a slot. Names, arguments and behaviour as in PostgreSQL 13 to 17; what differs on
 * purpose: adapters/README.md. C11; not for C++.
 *
 *     ration_palloc_begin(slot);      TopMemoryContext and ErrorContext of the calling thread
 *     ration_palloc_bind(query);      optional: errors quote this query's refusals
 *         ... code written for PostgreSQL ...
 *     ration_palloc_end();            deletes both and everything below
 *
 * What is not inline stands in palloc_body.h: exactly one source file of a program includes it.
 *
 * Threads: each has its own current context, handlers and errors; a context is used by the thread
 * whose slot it was made on. Cost: an allocation is that of ration_context_allocate, one compare of
 * the size and one of the result.
 *
 * Invariants:
 *   1. A function here without MCXT_ALLOC_NO_OOM returns memory or raises an ERROR.
 *   2. An ERROR needs no memory under a limit: ErrorContext keeps 8 KiB and goes beyond its limit
 *      by unchecked bytes when it must.
 *   3. PG_exception_stack points into a frame that is still there: PG_END_TRY puts the outer one
 *      back, on each way but return, goto or break out of PG_TRY, which are forbidden as they are
 *      in PostgreSQL.
 */
#ifndef RATION_PALLOC_H
#define RATION_PALLOC_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ration_context.h"

/* ---------------------------------------------------------------------------- beginning and end */

/* Makes TopMemoryContext, the current one, and ErrorContext on the slot, for the calling thread,
 * which has to own it. Errors: the limits' statuses, NO_MEMORY; INVALID_ARGUMENT when the thread
 * has begun already. */
RATION_NODISCARD ration_status ration_palloc_begin(ration_slot *slot);
/* From here on an ERROR for refused memory explains itself with what ration_query_refusal says of
 * this query, of which the slot is; NULL = none. */
void ration_palloc_bind(ration_query *query);
/* Deletes TopMemoryContext and all below. Not inside of PG_TRY of this thread's code, whose memory
 * it would pull away. A reset callback that raises an ERROR leaves all as it was, for another call.
 * Contexts made without a parent stay. Without a begin: nothing. */
void ration_palloc_end(void);

/* Takes all that begin made off the calling thread and puts it onto another (or back), with the
 * slot: see ration_slot_detach. Not inside of PG_TRY. */
typedef struct ration_palloc ration_palloc;
ration_palloc *ration_palloc_detach(void);
void ration_palloc_attach(ration_palloc *session);

/* ----------------------------------------------------------------- what postgres.h brings along */

typedef size_t Size;
typedef int16_t int16;
typedef int32_t int32;
typedef int64_t int64;
typedef uint8_t uint8;
typedef uint16_t uint16;
typedef uint32_t uint32;
typedef uint64_t uint64;

#define MAXIMUM_ALIGNOF 8
#define TYPEALIGN(align, value)                                                                    \
    (((uintptr_t)(value) + ((uintptr_t)(align)-1)) & ~((uintptr_t)(align)-1))
#define MAXALIGN(value) TYPEALIGN(MAXIMUM_ALIGNOF, (value))
#define lengthof(array) (sizeof(array) / sizeof((array)[0]))
#define Max(a, b) ((a) > (b) ? (a) : (b))
#define Min(a, b) ((a) < (b) ? (a) : (b))
#define likely(condition) __builtin_expect((condition) != 0, 1)
#define unlikely(condition) __builtin_expect((condition) != 0, 0)
#define pg_unreachable() __builtin_unreachable()
#define pg_noinline __attribute__((noinline))
#define pg_attribute_printf(text, first) __attribute__((format(printf, text, first)))
#define PG_USED_FOR_ASSERTS_ONLY __attribute__((unused))

/* As there, compiled in only where it is asked for. */
#ifdef USE_ASSERT_CHECKING
#define Assert(condition)                                                                          \
    ((condition) ? (void)0 : ExceptionalCondition(#condition, __FILE__, __LINE__))
#else
#define Assert(condition) ((void)sizeof(!(condition)))
#endif
_Noreturn void ExceptionalCondition(const char *condition, const char *file, int line);

/* ------------------------------------------------------------------------------------- contexts */

typedef struct ration_context MemoryContextData;
typedef MemoryContextData *MemoryContext;

extern _Thread_local MemoryContext CurrentMemoryContext;
extern _Thread_local MemoryContext TopMemoryContext;
extern _Thread_local MemoryContext ErrorContext;

#define MemoryContextIsValid(context) ((context) != NULL)

/* Read by nobody: blocks are 8 to 64 KiB in every context. */
#define ALLOCSET_DEFAULT_MINSIZE 0
#define ALLOCSET_DEFAULT_INITSIZE (8 * 1024)
#define ALLOCSET_DEFAULT_MAXSIZE (8 * 1024 * 1024)
#define ALLOCSET_SMALL_MINSIZE 0
#define ALLOCSET_SMALL_INITSIZE (1 * 1024)
#define ALLOCSET_SMALL_MAXSIZE (8 * 1024)
#define ALLOCSET_DEFAULT_SIZES                                                                     \
    ALLOCSET_DEFAULT_MINSIZE, ALLOCSET_DEFAULT_INITSIZE, ALLOCSET_DEFAULT_MAXSIZE
#define ALLOCSET_SMALL_SIZES ALLOCSET_SMALL_MINSIZE, ALLOCSET_SMALL_INITSIZE, ALLOCSET_SMALL_MAXSIZE
#define ALLOCSET_START_SMALL_SIZES                                                                 \
    ALLOCSET_SMALL_MINSIZE, ALLOCSET_SMALL_INITSIZE, ALLOCSET_DEFAULT_MAXSIZE
#define ALLOCSET_SEPARATE_THRESHOLD 8192
#define SLAB_DEFAULT_BLOCK_SIZE (8 * 1024)
#define SLAB_LARGE_BLOCK_SIZE (8 * 1024 * 1024)

/* `name` is kept by pointer, as there: a literal. Without a parent: a tree of its own on the
 * thread's slot, which ration_palloc_end does not see. */
MemoryContext AllocSetContextCreateInternal(MemoryContext parent, const char *name,
                                            Size minContextSize, Size initBlockSize,
                                            Size maxBlockSize);
#define AllocSetContextCreate(parent, name, ...)                                                   \
    AllocSetContextCreateInternal((parent), (name), __VA_ARGS__)
#define AllocSetContextCreateExtended(parent, name, ...)                                           \
    AllocSetContextCreateInternal((parent), (name), __VA_ARGS__)
/* Chunks of one size, at most 16,000 bytes. */
MemoryContext SlabContextCreate(MemoryContext parent, const char *name, Size blockSize,
                                Size chunkSize);
/* With one block size as until 14, or with three of them. */
MemoryContext ration_palloc_create_generation(MemoryContext parent, const char *name);
#define GenerationContextCreate(parent, name, ...)                                                 \
    ((void)(const Size[]){__VA_ARGS__}, ration_palloc_create_generation((parent), (name)))
MemoryContext BumpContextCreate(MemoryContext parent, const char *name, Size minContextSize,
                                Size initBlockSize, Size maxBlockSize);

static inline MemoryContext MemoryContextSwitchTo(MemoryContext context)
{
    MemoryContext previous = CurrentMemoryContext;
    CurrentMemoryContext = context;
    return previous;
}

static inline void MemoryContextReset(MemoryContext context)
{
    ration_context_reset(context);
}
#define MemoryContextResetAndDeleteChildren(context) MemoryContextReset(context)
static inline void MemoryContextResetOnly(MemoryContext context)
{
    ration_context_reset_only(context);
}
static inline void MemoryContextResetChildren(MemoryContext context)
{
    ration_context_reset_children(context);
}
static inline void MemoryContextDelete(MemoryContext context)
{
    ration_context_delete(context);
}
static inline void MemoryContextDeleteChildren(MemoryContext context)
{
    ration_context_delete_children(context);
}
static inline void MemoryContextSetIdentifier(MemoryContext context, const char *id)
{
    ration_context_set_identifier(context, id);
}
#define MemoryContextCopyAndSetIdentifier(context, id)                                             \
    MemoryContextSetIdentifier((context), MemoryContextStrdup((context), (id)))
static inline void MemoryContextSetParent(MemoryContext context, MemoryContext new_parent)
{
    ration_context_set_parent(context, new_parent);
}
static inline MemoryContext MemoryContextGetParent(MemoryContext context)
{
    return ration_context_parent(context);
}
static inline Size MemoryContextMemAllocated(MemoryContext context, bool recurse)
{
    return (Size)ration_context_bytes(context, recurse);
}
static inline MemoryContext GetMemoryChunkContext(const void *pointer)
{
    return ration_context_of(pointer);
}
static inline Size GetMemoryChunkSpace(const void *pointer)
{
    return ration_context_chunk_bytes(pointer);
}
static inline bool MemoryContextIsEmpty(MemoryContext context)
{
    return ration_context_is_empty(context);
}
/* A WARNING for what is damaged. */
void MemoryContextCheck(MemoryContext context);
/* The tree with the largest 100 children of each context, to stderr. */
void MemoryContextStats(MemoryContext context);
/* To stderr, or line by line as LOG. */
void MemoryContextStatsDetail(MemoryContext context, int max_children, bool print_to_stderr);

typedef void (*MemoryContextCallbackFunction)(void *arg);
/* Memory of the caller; the context's until it has run. */
typedef struct MemoryContextCallback {
    union {
        struct {
            MemoryContextCallbackFunction func;
            void *arg;
            struct MemoryContextCallback *next;
        };
        ration_context_callback callback;
    };
} MemoryContextCallback;

static inline void MemoryContextRegisterResetCallback(MemoryContext context,
                                                      MemoryContextCallback *cb)
{
    ration_context_on_reset(context, &cb->callback);
}

/* ----------------------------------------------------------------------------------- allocation */

#define MaxAllocSize ((Size)0x3fffffff)
#define AllocSizeIsValid(size) ((Size)(size) <= MaxAllocSize)
#define MaxAllocHugeSize (SIZE_MAX / 2)
#define AllocHugeSizeIsValid(size) ((Size)(size) <= MaxAllocHugeSize)

#define MCXT_ALLOC_HUGE 0x01
#define MCXT_ALLOC_NO_OOM 0x02
#define MCXT_ALLOC_ZERO 0x04

/* What is left when an allocation was not answered: raises an ERROR, or returns NULL for
 * MCXT_ALLOC_NO_OOM. Memory of ErrorContext is granted beyond the limit here. `alignto` 0 = any. */
void *ration_palloc_refused(MemoryContext context, Size size, Size alignto, int flags);
/* The same for a chunk that was to get another size. */
void *ration_palloc_resize_refused(void *pointer, Size size, int flags);

static inline bool ration_palloc_valid(Size size, int flags)
{
    return (flags & MCXT_ALLOC_HUGE) != 0 ? AllocHugeSizeIsValid(size) : AllocSizeIsValid(size);
}

static inline void *MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
    void *memory = NULL;
    if (likely(ration_palloc_valid(size, flags))) {
        memory = (flags & MCXT_ALLOC_ZERO) != 0 ? ration_context_allocate_zero(context, size)
                                                : ration_context_allocate(context, size);
    }
    return likely(memory != NULL) ? memory : ration_palloc_refused(context, size, 0, flags);
}
static inline void *MemoryContextAlloc(MemoryContext context, Size size)
{
    return MemoryContextAllocExtended(context, size, 0);
}
static inline void *MemoryContextAllocZero(MemoryContext context, Size size)
{
    return MemoryContextAllocExtended(context, size, MCXT_ALLOC_ZERO);
}
#define MemoryContextAllocZeroAligned(context, size) MemoryContextAllocZero((context), (size))
static inline void *MemoryContextAllocHuge(MemoryContext context, Size size)
{
    return MemoryContextAllocExtended(context, size, MCXT_ALLOC_HUGE);
}
static inline void *MemoryContextAllocAligned(MemoryContext context, Size size, Size alignto,
                                              int flags)
{
    void *memory = NULL;
    Assert(alignto != 0 && (alignto & (alignto - 1)) == 0);
    if (likely(ration_palloc_valid(size, flags))) {
        memory = ration_context_allocate_aligned(context, size, alignto);
    }
    if (unlikely(memory == NULL)) {
        return ration_palloc_refused(context, size, alignto, flags);
    }
    return (flags & MCXT_ALLOC_ZERO) != 0 ? memset(memory, 0, size) : memory;
}

static inline void *palloc(Size size)
{
    return MemoryContextAlloc(CurrentMemoryContext, size);
}
static inline void *palloc0(Size size)
{
    return MemoryContextAllocZero(CurrentMemoryContext, size);
}
#define palloc0fast(size) palloc0(size)
static inline void *palloc_extended(Size size, int flags)
{
    return MemoryContextAllocExtended(CurrentMemoryContext, size, flags);
}
static inline void *palloc_aligned(Size size, Size alignto, int flags)
{
    return MemoryContextAllocAligned(CurrentMemoryContext, size, alignto, flags);
}
static inline void pfree(void *pointer)
{
    Assert(pointer != NULL);
    ration_context_free(pointer);
}

static inline void *repalloc_extended(void *pointer, Size size, int flags)
{
    void *memory = NULL;
    Assert(pointer != NULL);
    if (likely(ration_palloc_valid(size, flags))) {
        memory = ration_context_reallocate(pointer, size);
    }
    return likely(memory != NULL) ? memory : ration_palloc_resize_refused(pointer, size, flags);
}
static inline void *repalloc(void *pointer, Size size)
{
    return repalloc_extended(pointer, size, 0);
}
static inline void *repalloc_huge(void *pointer, Size size)
{
    return repalloc_extended(pointer, size, MCXT_ALLOC_HUGE);
}
/* Zeroes what is added beyond `oldsize`, which the caller has to know. */
void *repalloc0(void *pointer, Size oldsize, Size size);

/* count * size; what does not fit becomes a size that every allocation refuses. */
static inline Size ration_palloc_array_size(Size size, Size count)
{
    Size bytes;
    return __builtin_mul_overflow(size, count, &bytes) ? SIZE_MAX : bytes;
}

#define palloc_object(type) ((type *)palloc(sizeof(type)))
#define palloc0_object(type) ((type *)palloc0(sizeof(type)))
#define palloc_array(type, count)                                                                  \
    ((type *)palloc(ration_palloc_array_size(sizeof(type), (Size)(count))))
#define palloc0_array(type, count)                                                                 \
    ((type *)palloc0(ration_palloc_array_size(sizeof(type), (Size)(count))))
#define palloc_array_extended(type, count, flags)                                                  \
    ((type *)palloc_extended(ration_palloc_array_size(sizeof(type), (Size)(count)), (flags)))
#define repalloc_array(pointer, type, count)                                                       \
    ((type *)repalloc((pointer), ration_palloc_array_size(sizeof(type), (Size)(count))))
#define repalloc0_array(pointer, type, oldcount, count)                                            \
    ((type *)repalloc0((pointer), ration_palloc_array_size(sizeof(type), (Size)(oldcount)),        \
                       ration_palloc_array_size(sizeof(type), (Size)(count))))
#define repalloc_array_extended(pointer, type, count, flags)                                       \
    ((type *)repalloc_extended((pointer), ration_palloc_array_size(sizeof(type), (Size)(count)),   \
                               (flags)))

char *MemoryContextStrdup(MemoryContext context, const char *string);
char *pstrdup(const char *in);
/* At most `len` bytes of it, and a NUL. */
char *pnstrdup(const char *in, Size len);
/* Without the newlines at its end. */
char *pchomp(const char *in);
char *psprintf(const char *fmt, ...) pg_attribute_printf(1, 2);
/* Less than `len`: the length of what was written. Else nothing useful was: the bytes needed. */
size_t pvsnprintf(char *buf, size_t len, const char *fmt, va_list args) pg_attribute_printf(3, 0);

/* --------------------------------------------------------------------------------------- errors */

#define DEBUG5 10
#define DEBUG4 11
#define DEBUG3 12
#define DEBUG2 13
#define DEBUG1 14
#define LOG 15
#define LOG_SERVER_ONLY 16
#define INFO 17
#define NOTICE 18
#define WARNING 19
#define ERROR 21 /* to the innermost PG_TRY */
#define FATAL 22 /* to nobody: ends in ration_palloc_unhandled */
#define PANIC 23 /* the same */

/* Five characters of six bits. */
#define PGSIXBIT(ch) (((ch) - '0') & 0x3F)
#define MAKE_SQLSTATE(a, b, c, d, e)                                                               \
    (PGSIXBIT(a) + (PGSIXBIT(b) << 6) + (PGSIXBIT(c) << 12) + (PGSIXBIT(d) << 18) +                \
     (PGSIXBIT(e) << 24))
#define ERRCODE_SUCCESSFUL_COMPLETION MAKE_SQLSTATE('0', '0', '0', '0', '0')
#define ERRCODE_WARNING MAKE_SQLSTATE('0', '1', '0', '0', '0')
#define ERRCODE_FEATURE_NOT_SUPPORTED MAKE_SQLSTATE('0', 'A', '0', '0', '0')
#define ERRCODE_DATA_EXCEPTION MAKE_SQLSTATE('2', '2', '0', '0', '0')
#define ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE MAKE_SQLSTATE('2', '2', '0', '0', '3')
#define ERRCODE_DIVISION_BY_ZERO MAKE_SQLSTATE('2', '2', '0', '1', '2')
#define ERRCODE_INVALID_PARAMETER_VALUE MAKE_SQLSTATE('2', '2', '0', '2', '3')
#define ERRCODE_INVALID_TEXT_REPRESENTATION MAKE_SQLSTATE('2', '2', 'P', '0', '2')
#define ERRCODE_SYNTAX_ERROR MAKE_SQLSTATE('4', '2', '6', '0', '1')
#define ERRCODE_UNDEFINED_OBJECT MAKE_SQLSTATE('4', '2', '7', '0', '4')
#define ERRCODE_DUPLICATE_OBJECT MAKE_SQLSTATE('4', '2', '7', '1', '0')
#define ERRCODE_INSUFFICIENT_RESOURCES MAKE_SQLSTATE('5', '3', '0', '0', '0')
#define ERRCODE_DISK_FULL MAKE_SQLSTATE('5', '3', '1', '0', '0')
#define ERRCODE_OUT_OF_MEMORY MAKE_SQLSTATE('5', '3', '2', '0', '0')
#define ERRCODE_PROGRAM_LIMIT_EXCEEDED MAKE_SQLSTATE('5', '4', '0', '0', '0')
#define ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE MAKE_SQLSTATE('5', '5', '0', '0', '0')
#define ERRCODE_QUERY_CANCELED MAKE_SQLSTATE('5', '7', '0', '1', '4')
#define ERRCODE_IO_ERROR MAKE_SQLSTATE('5', '8', '0', '3', '0')
#define ERRCODE_INTERNAL_ERROR MAKE_SQLSTATE('X', 'X', '0', '0', '0')
#define ERRCODE_DATA_CORRUPTED MAKE_SQLSTATE('X', 'X', '0', '0', '1')
/* "53200"; valid until the thread's next call. */
char *unpack_sql_state(int sql_state);

typedef struct ErrorData {
    int elevel;
    bool output_to_server;
    const char *filename;
    int lineno;
    const char *funcname;
    int sqlerrcode;
    char *message;
    char *detail;
    char *detail_log; /* the whole refusal, when memory was refused and a query is bound */
    char *hint;
    char *context;
    const char *message_id;
    int saved_errno;
    MemoryContext assoc_context;
} ErrorData;

/* Says where an error happened: `callback` calls errcontext. On the stack of who pushes it. */
typedef struct ErrorContextCallback {
    struct ErrorContextCallback *previous;
    void (*callback)(void *arg);
    void *arg;
} ErrorContextCallback;

extern _Thread_local ErrorContextCallback *error_context_stack;
extern _Thread_local sigjmp_buf *PG_exception_stack;

/* Sees every report before it is written, and may say `output_to_server = false`. Set before
 * threads begin, as are the next two. */
typedef void (*emit_log_hook_type)(ErrorData *edata);
extern emit_log_hook_type emit_log_hook;
/* What is below is not written to stderr; WARNING. LOG always is. */
extern int log_min_messages;
/* Gets an ERROR that nobody catches, a FATAL or a PANIC. When it returns, or is NULL, the report
 * is written to stderr and the process aborts. */
extern void (*ration_palloc_unhandled)(ErrorData *edata);

bool errstart(int elevel, const char *domain);
void errfinish(const char *filename, int lineno, const char *funcname);
int errcode(int sqlerrcode);
int errmsg(const char *fmt, ...) pg_attribute_printf(1, 2);
int errmsg_internal(const char *fmt, ...) pg_attribute_printf(1, 2);
int errdetail(const char *fmt, ...) pg_attribute_printf(1, 2);
int errdetail_internal(const char *fmt, ...) pg_attribute_printf(1, 2);
int errdetail_log(const char *fmt, ...) pg_attribute_printf(1, 2);
int errhint(const char *fmt, ...) pg_attribute_printf(1, 2);
int errcontext(const char *fmt, ...) pg_attribute_printf(1, 2);
int geterrcode(void);

/* ereport(ERROR, errcode(..), errmsg(..)), with or without brackets around what follows the level;
 * from ERROR on it does not return. */
#define ereport(elevel, ...)                                                                       \
    do {                                                                                           \
        const int ereport_level_ = (elevel);                                                       \
        if (errstart(ereport_level_, NULL)) {                                                      \
            (void)(__VA_ARGS__);                                                                   \
            errfinish(__FILE__, __LINE__, __func__);                                               \
        }                                                                                          \
        if (ereport_level_ >= ERROR) {                                                             \
            pg_unreachable();                                                                      \
        }                                                                                          \
    } while (0)
#define elog(elevel, ...) ereport(elevel, errmsg_internal(__VA_ARGS__))

/* For who has caught an error. A copy in the current context, which is another than ErrorContext.
 */
ErrorData *CopyErrorData(void);
void FreeErrorData(ErrorData *edata);
/* The errors caught so far are dealt with: ErrorContext is reset. */
void FlushErrorState(void);
/* Writes the error in hand, as it would be written unhandled. */
void EmitErrorReport(void);
/* Raises a copied error once more. */
_Noreturn void ReThrowError(ErrorData *edata);
_Noreturn void pg_re_throw(void);
#define PG_RE_THROW() pg_re_throw()

/* PG_TRY(); { .. } PG_CATCH(); { .. } PG_END_TRY(); or with PG_FINALLY, which runs on both ways and
 * goes on throwing. A word in the brackets of all three tells nested ones apart. Caught, the
 * current context is ErrorContext; locals that PG_TRY changes and the rest reads are volatile. */
#define PG_TRY(...)                                                                                \
    do {                                                                                           \
        sigjmp_buf *const palloc_outer_handler##__VA_ARGS__ = PG_exception_stack;                  \
        ErrorContextCallback *const palloc_outer_callbacks##__VA_ARGS__ = error_context_stack;     \
        sigjmp_buf palloc_handler##__VA_ARGS__;                                                    \
        volatile bool palloc_thrown##__VA_ARGS__ = false;                                          \
        if (sigsetjmp(palloc_handler##__VA_ARGS__, 0) == 0) {                                      \
        PG_exception_stack = &palloc_handler##__VA_ARGS__

#define PG_CATCH(...)                                                                              \
    }                                                                                              \
    else                                                                                           \
    {                                                                                              \
        PG_exception_stack = palloc_outer_handler##__VA_ARGS__;                                    \
        error_context_stack = palloc_outer_callbacks##__VA_ARGS__

#define PG_FINALLY(...)                                                                            \
    }                                                                                              \
    else                                                                                           \
    {                                                                                              \
        palloc_thrown##__VA_ARGS__ = true;                                                         \
    }                                                                                              \
    {                                                                                              \
        PG_exception_stack = palloc_outer_handler##__VA_ARGS__;                                    \
        error_context_stack = palloc_outer_callbacks##__VA_ARGS__

#define PG_END_TRY(...)                                                                            \
    }                                                                                              \
    PG_exception_stack = palloc_outer_handler##__VA_ARGS__;                                        \
    error_context_stack = palloc_outer_callbacks##__VA_ARGS__;                                     \
    if (palloc_thrown##__VA_ARGS__) {                                                              \
        PG_RE_THROW();                                                                             \
    }                                                                                              \
    }                                                                                              \
    while (0)

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of transactions that are put into the order of their commits: records of one size in
 * slabs, tuples in a generation context. A queue of tuples, and files closed by callbacks. */
#include "tests/adapters/program.h"

typedef struct HeldTuple {
    struct HeldTuple *next;
    Size length;
    char bytes[];
} HeldTuple;

typedef struct HeldChange {
    struct HeldChange *next;
    HeldTuple *tuple;
} HeldChange;

typedef struct Transaction {
    struct Transaction *next;
    int xid;
    HeldChange *first;
    HeldChange *last;
} Transaction;

typedef struct ReorderBuffer {
    MemoryContext context, changes, transactions, tuples;
    Transaction *open;
} ReorderBuffer;

static HeldTuple *HoldTuple(MemoryContext context, const char *bytes)
{
    Size length = strlen(bytes);
    HeldTuple *tuple =
        (HeldTuple *)MemoryContextAlloc(context, offsetof(HeldTuple, bytes) + length + 1);
    tuple->next = NULL;
    tuple->length = length;
    memcpy(tuple->bytes, bytes, length + 1);
    return tuple;
}

static ReorderBuffer *CreateReorderBuffer(void)
{
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "reorder buffer", ALLOCSET_DEFAULT_SIZES);
    ReorderBuffer *buffer = (ReorderBuffer *)MemoryContextAllocZero(context, sizeof(*buffer));
    buffer->context = context;
    buffer->changes =
        SlabContextCreate(context, "changes", SLAB_DEFAULT_BLOCK_SIZE, sizeof(HeldChange));
    buffer->transactions =
        SlabContextCreate(context, "transactions", SLAB_DEFAULT_BLOCK_SIZE, sizeof(Transaction));
    buffer->tuples = GenerationContextCreate(context, "tuples", SLAB_LARGE_BLOCK_SIZE,
                                             SLAB_LARGE_BLOCK_SIZE, SLAB_LARGE_BLOCK_SIZE);
    return buffer;
}

static Transaction *FindTransaction(ReorderBuffer *buffer, int xid)
{
    Transaction *at = buffer->open;
    while (at != NULL && at->xid != xid) {
        at = at->next;
    }
    if (at == NULL) {
        at = (Transaction *)MemoryContextAllocZero(buffer->transactions, sizeof(Transaction));
        at->xid = xid;
        at->next = buffer->open;
        buffer->open = at;
    }
    return at;
}

static void HoldChange(ReorderBuffer *buffer, int xid, const char *bytes)
{
    Transaction *transaction = FindTransaction(buffer, xid);
    HeldChange *change = (HeldChange *)MemoryContextAlloc(buffer->changes, sizeof(HeldChange));
    change->next = NULL;
    change->tuple = HoldTuple(buffer->tuples, bytes);
    if (transaction->last == NULL) {
        transaction->first = change;
    } else {
        transaction->last->next = change;
    }
    transaction->last = change;
}

/* Ends a transaction; its changes are shown when `out` is not NULL. */
static void EndTransaction(ReorderBuffer *buffer, int xid, StringInfo out)
{
    Transaction **link = &buffer->open;
    while (*link != NULL && (*link)->xid != xid) {
        link = &(*link)->next;
    }
    Transaction *transaction = *link;
    if (out != NULL) {
        appendStringInfo(out, "commit %d:", xid);
    }
    if (transaction != NULL) {
        *link = transaction->next;
        HeldChange *change = transaction->first;
        while (change != NULL) {
            HeldChange *next = change->next;
            if (out != NULL) {
                appendStringInfo(out, " %s", change->tuple->bytes);
            }
            pfree(change->tuple);
            pfree(change);
            change = next;
        }
        pfree(transaction);
    }
    if (out != NULL) {
        appendStringInfoChar(out, '\n');
    }
}

void ReplayChanges(const Change *changes, int count, StringInfo out)
{
    ReorderBuffer *buffer = CreateReorderBuffer();
    for (int i = 0; i < count; i++) {
        switch (changes[i].kind) {
        case CHANGE_INSERT:
            HoldChange(buffer, changes[i].xid, changes[i].tuple);
            break;
        case CHANGE_COMMIT:
            EndTransaction(buffer, changes[i].xid, out);
            break;
        case CHANGE_ABORT:
            EndTransaction(buffer, changes[i].xid, NULL);
            break;
        }
    }
    MemoryContextDelete(buffer->context);
}

void PassTuples(const Change *changes, int count, StringInfo out)
{
    MemoryContext context =
        GenerationContextCreate(CurrentMemoryContext, "tuple queue", ALLOCSET_DEFAULT_SIZES);
    HeldTuple *first = NULL;
    HeldTuple **end = &first;
    int waiting = 0;
    int passed = 0;
    Size bytes = 0;
    uint32 sum = 0;
    for (int i = 0; i < count || waiting > 0; i++) {
        if (i < count && changes[i].tuple != NULL) {
            *end = HoldTuple(context, changes[i].tuple);
            end = &(*end)->next;
            waiting += 1;
        }
        if (waiting > 16 || (i >= count && waiting > 0)) {
            HeldTuple *tuple = first;
            first = tuple->next;
            end = first == NULL ? &first : end;
            for (Size at = 0; at < tuple->length; at++) {
                sum = sum * 31 + (unsigned char)tuple->bytes[at];
            }
            bytes += tuple->length;
            pfree(tuple);
            waiting -= 1;
            passed += 1;
        }
    }
    MemoryContextDelete(context);
    appendStringInfo(out, "queue: %d %zu %u\n", passed, bytes, sum);
}

/* ---------------------------------------------------------------------------------------- files */

typedef struct FileLog {
    char closed[32];
    int count;
} FileLog;

typedef struct File {
    MemoryContextCallback callback;
    FileLog *log;
    char name;
} File;

static void CloseFile(void *arg)
{
    File *file = (File *)arg;
    file->log->closed[file->log->count++] = file->name;
}

/* The file is closed when its context is reset or deleted. */
static void OpenFile(MemoryContext context, FileLog *log, char name)
{
    File *file = (File *)MemoryContextAlloc(context, sizeof(File));
    file->log = log;
    file->name = name;
    file->callback.func = CloseFile;
    file->callback.arg = file;
    MemoryContextRegisterResetCallback(context, &file->callback);
}

void CloseFiles(StringInfo out)
{
    FileLog *log = palloc0_object(FileLog);
    MemoryContext outer =
        AllocSetContextCreate(CurrentMemoryContext, "files", ALLOCSET_SMALL_SIZES);
    MemoryContext inner = AllocSetContextCreate(outer, "more files", ALLOCSET_SMALL_SIZES);
    OpenFile(outer, log, 'a');
    OpenFile(inner, log, 'b');
    OpenFile(outer, log, 'c');
    OpenFile(inner, log, 'd');
    MemoryContextReset(inner); /* d b */
    OpenFile(inner, log, 'e');
    MemoryContextResetOnly(outer); /* c a; e stays open */
    OpenFile(outer, log, 'f');
    MemoryContextDelete(outer); /* e f: children before their parent */
    appendStringInfo(out, "closed: %s\n", log->closed);
    pfree(log);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/palloc.h: beginning and end, contexts, allocation, strings, as PostgreSQL's
 * documentation has them. */
#include <errno.h>
#include <pthread.h>

#include "tests/adapters/world.h"

/* Runs `statement`, which has to raise an ERROR of this code whose message has `part` in it. */
#define EXPECT_ERROR(statement, sql_state, part)                                                   \
    do {                                                                                           \
        MemoryContext const expect_context = CurrentMemoryContext;                                 \
        PG_TRY(_expect);                                                                           \
        {                                                                                          \
            statement;                                                                             \
            ck_abort_msg("%s raised nothing", #statement);                                         \
        }                                                                                          \
        PG_CATCH(_expect);                                                                         \
        {                                                                                          \
            check_caught(expect_context, sql_state, part);                                         \
        }                                                                                          \
        PG_END_TRY(_expect);                                                                       \
    } while (0)

static void check_caught(MemoryContext before, const char *sql_state, const char *part)
{
    ck_assert_ptr_eq(CurrentMemoryContext, ErrorContext);
    MemoryContextSwitchTo(before);
    ErrorData *error = CopyErrorData();
    FlushErrorState();
    ck_assert_str_eq(unpack_sql_state(error->sqlerrcode), sql_state);
    ck_assert_msg(strstr(error->message, part) != NULL, "%s", error->message);
    FreeErrorData(error);
}

static MemoryContext make_set(const char *name)
{
    return AllocSetContextCreate(TopMemoryContext, name, ALLOCSET_DEFAULT_SIZES);
}

/* ---------------------------------------------------------------------------- beginning and end */

START_TEST(test_palloc__begins_and_ends)
{
    world here = open_world(MIB);
    ration_palloc_end();
    for (int round = 0; round < 3; round++) {
        ck_assert_ptr_null(TopMemoryContext);
        ck_assert_ptr_null(CurrentMemoryContext);
        ck_assert_int_eq(ration_palloc_begin(here.slot), RATION_OK);
        ck_assert_int_eq(ration_palloc_begin(here.slot), RATION_INVALID_ARGUMENT);
        ck_assert_ptr_eq(CurrentMemoryContext, TopMemoryContext);
        ck_assert_ptr_eq(MemoryContextGetParent(ErrorContext), TopMemoryContext);
        ck_assert_int_eq(charged(&here), 16 * KIB);
        MemoryContextSwitchTo(make_set("left over"));
        ck_assert_ptr_nonnull(palloc(100000));
        ration_palloc_end();
        ck_assert_int_eq(charged(&here), 0);
    }
    close_world(&here);
}
END_TEST

START_TEST(test_palloc__begin_is_refused_and_leaves_nothing)
{
    for (int64_t limit = 1; limit <= 16 * KIB; limit += limit == 1 ? 8 * KIB - 1 : 8 * KIB) {
        world here = open_world(limit);
        ration_status status = ration_palloc_begin(here.slot);
        ck_assert_int_eq(status, limit < 16 * KIB ? RATION_QUERY_LIMIT : RATION_OK);
        ck_assert_int_eq(TopMemoryContext != NULL, status == RATION_OK);
        end(&here);
    }
}
END_TEST

typedef struct carried {
    ration_palloc *session;
    ration_slot *slot;
} carried;

static void *go_on_elsewhere(void *argument)
{
    carried *here = (carried *)argument;
    ration_slot_attach(here->slot);
    ration_palloc_attach(here->session);
    EXPECT_ERROR((void)palloc(4 * MIB), "53200", "out of memory");
    (void)psprintf("%s", "from another thread");
    here->session = ration_palloc_detach();
    ration_slot_detach(here->slot);
    return NULL;
}

START_TEST(test_palloc__goes_from_thread_to_thread)
{
    world here = begin(MIB);
    MemoryContext context = make_set("carried");
    MemoryContextSwitchTo(context);
    const char *text = pstrdup("stays where it is");
    carried both = {ration_palloc_detach(), here.slot};
    ck_assert_ptr_null(TopMemoryContext);
    ck_assert_ptr_null(ration_palloc_detach());
    ration_slot_detach(here.slot);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, go_on_elsewhere, &both), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ration_slot_attach(here.slot);
    ration_palloc_attach(both.session);
    ck_assert_ptr_eq(CurrentMemoryContext, context);
    ck_assert_str_eq(text, "stays where it is");
    end(&here);
}
END_TEST

/* ----------------------------------------------------------------------------------- allocation */

START_TEST(test_palloc__allocates_in_the_current_context)
{
    world here = begin(64 * MIB);
    MemoryContext one = make_set("one");
    MemoryContext two = make_set("two");
    ck_assert_ptr_eq(MemoryContextSwitchTo(one), TopMemoryContext);
    for (Size size = 0; size < 70000; size = size * 2 + 1) {
        char *memory = (char *)palloc(size);
        ck_assert_uint_eq((uintptr_t)memory % 16, 0);
        memset(memory, 0x5a, size);
        ck_assert_ptr_eq(GetMemoryChunkContext(memory), one);
        ck_assert_uint_ge(GetMemoryChunkSpace(memory), size);
        char *zero = (char *)MemoryContextAllocZero(two, size);
        ck_assert_ptr_eq(GetMemoryChunkContext(zero), two);
        for (Size i = 0; i < size; i++) {
            ck_assert_int_eq(zero[i], 0);
        }
        pfree(memory); /* from any current context */
        MemoryContextSwitchTo(size % 4 == 0 ? one : two);
        pfree(zero);
        MemoryContextSwitchTo(one);
    }
    ck_assert_ptr_ne(palloc(0), palloc(0));
    int *numbers = palloc0_array(int, 10);
    ck_assert_int_eq(numbers[9], 0);
    numbers = repalloc0_array(numbers, int, 10, 1000);
    ck_assert_int_eq(numbers[999], 0);
    struct pair {
        int left, right;
    } *pair = palloc0_object(struct pair);
    ck_assert_int_eq(pair->left + pair->right, 0);
    MemoryContextCheck(TopMemoryContext);
    end(&here);
}
END_TEST

START_TEST(test_palloc__sizes_have_an_end)
{
    world here = begin(64 * MIB);
    char *small = (char *)palloc(8);
    Size invalid[] = {MaxAllocSize + 1, MaxAllocHugeSize, SIZE_MAX};
    for (size_t i = 0; i < lengthof(invalid); i++) {
        EXPECT_ERROR((void)palloc(invalid[i]), "XX000", "invalid memory alloc request size");
        EXPECT_ERROR((void)palloc0(invalid[i]), "XX000", "invalid memory alloc request size");
        EXPECT_ERROR((void)repalloc(small, invalid[i]), "XX000", "invalid memory alloc request");
        EXPECT_ERROR((void)palloc_extended(invalid[i], MCXT_ALLOC_NO_OOM), "XX000", "invalid");
        EXPECT_ERROR((void)palloc_aligned(invalid[i], 64, 0), "XX000", "invalid");
    }
    EXPECT_ERROR((void)palloc_array(int64, SIZE_MAX / 4), "XX000", "invalid");
    EXPECT_ERROR((void)palloc_array(int64, -1), "XX000", "invalid");
    EXPECT_ERROR((void)palloc_array(int64, SIZE_MAX / 8 + 2), "XX000", "invalid"); /* wraps to 8 */
    EXPECT_ERROR((void)repalloc_array(small, int64, SIZE_MAX / 4), "XX000", "invalid");
    EXPECT_ERROR((void)repalloc0(small, 8, 4), "XX000", "invalid repalloc0");
    EXPECT_ERROR((void)MemoryContextAllocHuge(TopMemoryContext, SIZE_MAX), "XX000", "invalid");
    EXPECT_ERROR((void)palloc(MaxAllocSize), "53200", "out of memory");
    EXPECT_ERROR((void)MemoryContextAllocHuge(TopMemoryContext, MaxAllocHugeSize), "53200", "out");
    EXPECT_ERROR((void)repalloc_huge(small, MaxAllocSize + 1), "53200", "out of memory");
    ck_assert_ptr_null(palloc_extended(MaxAllocSize, MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO));
    ck_assert_ptr_null(
        palloc_extended(MaxAllocSize + 1, MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
    ck_assert_ptr_null(repalloc_extended(small, 100 * MIB, MCXT_ALLOC_NO_OOM));
    ck_assert_ptr_null(palloc_aligned(100 * MIB, 4096, MCXT_ALLOC_NO_OOM));
    ck_assert_ptr_nonnull(repalloc_extended(small, 2000, MCXT_ALLOC_NO_OOM));
    end(&here);
}
END_TEST

/* A gigabyte and more, where the limit has room: not touched, so not resident. */
START_TEST(test_palloc__huge_is_huge)
{
    world here = begin(4096 * MIB);
    MemoryContext context = make_set("huge");
    MemoryContextSwitchTo(context);
    EXPECT_ERROR((void)palloc(MaxAllocSize + 1), "XX000", "invalid");
    char *huge = (char *)palloc_extended(MaxAllocSize + 1, MCXT_ALLOC_HUGE);
    huge[MaxAllocSize] = 1;
    ck_assert_uint_gt(MemoryContextMemAllocated(context, false), MaxAllocSize);
    pfree(huge);
    end(&here);
}
END_TEST

START_TEST(test_palloc__aligns)
{
    world here = begin(64 * MIB);
    MemoryContext contexts[] = {
        make_set("set"),
        GenerationContextCreate(TopMemoryContext, "generation", SLAB_DEFAULT_BLOCK_SIZE),
        BumpContextCreate(TopMemoryContext, "bump", ALLOCSET_DEFAULT_SIZES)};
    for (size_t i = 0; i < lengthof(contexts); i++) {
        for (Size align = 1; align <= 65536; align *= 2) {
            for (Size size = 1; size < 40000; size *= 33) {
                char *memory =
                    (char *)MemoryContextAllocAligned(contexts[i], size, align, MCXT_ALLOC_ZERO);
                ck_assert_uint_eq((uintptr_t)memory % align, 0);
                ck_assert_int_eq(memory[0] | memory[size - 1], 0);
                memset(memory, 1, size);
                if (i < 2) {
                    ck_assert_ptr_eq(GetMemoryChunkContext(memory), contexts[i]);
                    memory = (char *)repalloc(memory, size + 1000);
                    ck_assert_uint_eq((uintptr_t)memory % align, 0);
                    ck_assert_int_eq(memory[size - 1], 1);
                    pfree(memory);
                }
            }
        }
        EXPECT_ERROR((void)MemoryContextAllocAligned(contexts[i], 8, 131072, MCXT_ALLOC_NO_OOM),
                     "XX000", "aligned to 131072");
    }
    MemoryContextCheck(TopMemoryContext);
    end(&here);
}
END_TEST

START_TEST(test_palloc__reallocates)
{
    world here = begin(MIB);
    MemoryContext context = make_set("grows");
    char *memory = (char *)MemoryContextAlloc(context, 1);
    memory[0] = 'x';
    for (Size size = 1; size < 300000; size = size * 3 / 2 + 1) {
        memory = (char *)repalloc(memory, size);
        ck_assert_int_eq(memory[0], 'x');
        ck_assert_int_eq(memory[size / 3], 'x');
        memset(memory, 'x', size);
        ck_assert_ptr_eq(GetMemoryChunkContext(memory), context);
    }
    EXPECT_ERROR(memory = (char *)repalloc(memory, (Size)MIB), "53200", "out of memory");
    ck_assert_int_eq(memory[1000], 'x');
    memory = (char *)repalloc(memory, 10);
    ck_assert_int_eq(memory[9], 'x');
    memory = (char *)repalloc(memory, 0);
    ck_assert_ptr_nonnull(memory);
    memory = (char *)repalloc0(memory, 0, 100);
    ck_assert_int_eq(memory[0] | memory[99], 0);
    pfree(memory);
    end(&here);
}
END_TEST

/* -------------------------------------------------------------------------------------- strings */

static size_t print_into(char *buffer, size_t length, const char *format, ...)
    pg_attribute_printf(3, 4);
static size_t print_into(char *buffer, size_t length, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t needed = pvsnprintf(buffer, length, format, args);
    va_end(args);
    return needed;
}

START_TEST(test_palloc__copies_and_prints_strings)
{
    world here = begin(64 * MIB);
    MemoryContext context = make_set("strings");
    ck_assert_str_eq(pstrdup(""), "");
    ck_assert_str_eq(pstrdup("abc"), "abc");
    ck_assert_str_eq(pnstrdup("abcdef", 3), "abc");
    ck_assert_str_eq(pnstrdup("ab", 30), "ab");
    ck_assert_str_eq(pchomp("line\n\n"), "line");
    ck_assert_str_eq(pchomp("a\nb"), "a\nb");
    ck_assert_str_eq(pchomp("\n"), "");
    char *elsewhere = MemoryContextStrdup(context, "there");
    ck_assert_ptr_eq(GetMemoryChunkContext(elsewhere), context);
    ck_assert_str_eq(psprintf("%d-%s", 7, "x"), "7-x");
    for (int length = 250; length < 270; length++) {
        char *wide = psprintf("%*d", length, 1);
        ck_assert_uint_eq(strlen(wide), (size_t)length);
        ck_assert_int_eq(wide[length - 1], '1');
    }
    errno = ENOENT;
    ck_assert_str_eq(psprintf("%m"), strerror(ENOENT));
    errno = ENOENT;
    ck_assert_str_eq(psprintf("%300s%m", "") + 300, strerror(ENOENT));
    char buffer[8];
    ck_assert_uint_eq(print_into(buffer, sizeof(buffer), "%s", "1234567"), 7);
    ck_assert_str_eq(buffer, "1234567");
    ck_assert_uint_gt(print_into(buffer, sizeof(buffer), "%s", "12345678"), 8);
    end(&here);
}
END_TEST

/* ------------------------------------------------------------------------------------- contexts */

START_TEST(test_palloc__contexts_are_a_tree)
{
    world here = begin(64 * MIB);
    MemoryContext top = make_set("top");
    MemoryContext middle = AllocSetContextCreate(top, "middle", ALLOCSET_SMALL_SIZES);
    MemoryContext leaf = AllocSetContextCreate(middle, "leaf", ALLOCSET_START_SMALL_SIZES);
    (void)MemoryContextAlloc(leaf, 100000);
    (void)MemoryContextAlloc(middle, 100000);
    ck_assert_ptr_eq(MemoryContextGetParent(leaf), middle);
    ck_assert_uint_gt(MemoryContextMemAllocated(top, true), 200000);
    ck_assert_uint_eq(MemoryContextMemAllocated(top, false), 8192);
    MemoryContextResetChildren(top);
    ck_assert_uint_eq(MemoryContextMemAllocated(top, true), 3 * 8192);
    (void)MemoryContextAlloc(middle, 100000);
    MemoryContextResetOnly(middle);
    ck_assert_ptr_eq(MemoryContextGetParent(leaf), middle);
    ck_assert_uint_eq(MemoryContextMemAllocated(top, true), 3 * 8192);
    MemoryContextSetParent(leaf, TopMemoryContext);
    MemoryContextReset(top);
    ck_assert_uint_eq(MemoryContextMemAllocated(top, true), 8192);
    ck_assert_ptr_nonnull(MemoryContextAlloc(leaf, 10));
    MemoryContextSetParent(leaf, top);
    MemoryContextDeleteChildren(top);
    ck_assert_uint_eq(MemoryContextMemAllocated(top, true), 8192);
    MemoryContextDelete(top);
    ck_assert_int_eq(charged(&here), 16 * KIB);

    MemoryContext root = AllocSetContextCreate(NULL, "root", ALLOCSET_DEFAULT_SIZES);
    ck_assert_ptr_null(MemoryContextGetParent(root));
    MemoryContextDelete(root);
    end(&here);
}
END_TEST

START_TEST(test_palloc__knows_an_empty_context)
{
    world here = begin(64 * MIB);
    MemoryContext contexts[] = {
        make_set("set"), SlabContextCreate(TopMemoryContext, "slab", SLAB_DEFAULT_BLOCK_SIZE, 100),
        GenerationContextCreate(TopMemoryContext, "generation", ALLOCSET_DEFAULT_SIZES),
        BumpContextCreate(TopMemoryContext, "bump", ALLOCSET_DEFAULT_SIZES)};
    for (size_t i = 0; i < lengthof(contexts); i++) {
        ck_assert(MemoryContextIsEmpty(contexts[i]));
        void *memory = MemoryContextAlloc(contexts[i], 100);
        ck_assert(!MemoryContextIsEmpty(contexts[i]));
        if (contexts[i] != contexts[3]) { /* a bump context frees nothing */
            pfree(memory);
        }
        for (int many = 0; many < 1000; many++) {
            (void)MemoryContextAlloc(contexts[i], 100);
        }
        MemoryContextReset(contexts[i]);
        ck_assert(MemoryContextIsEmpty(contexts[i]));
        MemoryContext child = AllocSetContextCreate(contexts[i], "child", ALLOCSET_SMALL_SIZES);
        ck_assert(!MemoryContextIsEmpty(contexts[i]));
        MemoryContextDelete(child);
        ck_assert(MemoryContextIsEmpty(contexts[i]));
    }
    end(&here);
}
END_TEST

START_TEST(test_palloc__slabs_have_one_size)
{
    world here = begin(MIB);
    MemoryContext slab = SlabContextCreate(TopMemoryContext, "slab", SLAB_DEFAULT_BLOCK_SIZE, 56);
    char *memory = (char *)MemoryContextAlloc(slab, 56);
    ck_assert_ptr_eq(GetMemoryChunkContext(memory), slab);
    EXPECT_ERROR((void)MemoryContextAlloc(slab, 57), "XX000", "\"slab\" allocates no 57 bytes");
    EXPECT_ERROR((void)MemoryContextAllocExtended(slab, 8, MCXT_ALLOC_NO_OOM), "XX000", "slab");
    EXPECT_ERROR((void)repalloc(memory, 100), "XX000", "slab");
    pfree(repalloc(memory, 56));
    EXPECT_ERROR((void)SlabContextCreate(TopMemoryContext, "wide", SLAB_LARGE_BLOCK_SIZE, 100000),
                 "XX000", "\"wide\"");
    end(&here);
}
END_TEST

START_TEST(test_palloc__a_context_is_refused)
{
    world here = begin(64 * KIB);
    MemoryContext top = make_set("all");
    EXPECT_ERROR(
        for (;;) { (void)AllocSetContextCreate(top, "one more", ALLOCSET_DEFAULT_SIZES); }, "53200",
        "out of memory");
    MemoryContextDelete(top);
    ck_assert_ptr_nonnull(make_set("again"));
    end(&here);
}
END_TEST

START_TEST(test_palloc__contexts_have_identifiers)
{
    world here = begin(MIB);
    MemoryContext context = make_set("named");
    MemoryContextCopyAndSetIdentifier(context, psprintf("number %d", 7));
    ration_context_figures figures;
    ration_context_read(context, &figures);
    ck_assert_str_eq(figures.name, "named: number 7");
    MemoryContextReset(context);
    ration_context_read(context, &figures);
    ck_assert_str_eq(figures.name, "named");
    end(&here);
}
END_TEST

static int warnings;

static void count_warnings(ErrorData *edata)
{
    ck_assert_int_eq(edata->elevel, WARNING);
    ck_assert_ptr_nonnull(strstr(edata->message, "\"TopMemoryContext\""));
    edata->output_to_server = false;
    warnings += 1;
}

START_TEST(test_palloc__a_damaged_context_is_a_warning)
{
    world here = begin(MIB);
    emit_log_hook = count_warnings;
    MemoryContext context = make_set("named");
    char *memory = (char *)MemoryContextAllocZero(context, 100);
    MemoryContextCheck(TopMemoryContext);
    ck_assert_int_eq(warnings, 0);
#ifdef RATION_CHECKED
    printf("skipped: checked builds end at what is damaged\n");
    (void)memory;
#else
    char *volatile header = memory - 8;
    char before[8];
    memcpy(before, header, 8);
    memset(header, 0xee, 8);
    MemoryContextCheck(TopMemoryContext);
    ck_assert_int_eq(warnings, 1);
    memcpy(header, before, 8);
#endif
    end(&here);
}
END_TEST

/* ------------------------------------------------------------------------------------ callbacks */

typedef struct noted {
    MemoryContextCallback callback;
    char *log;
    char name;
    bool fails;
} noted;

static void note(void *argument)
{
    noted *self = (noted *)argument;
    self->log[strlen(self->log)] = self->name;
    if (self->fails) {
        elog(ERROR, "callback %c", self->name);
    }
}

static void add_note(MemoryContext context, char *log, char name, bool fails)
{
    noted *made = (noted *)MemoryContextAlloc(context, sizeof(*made));
    *made = (noted){.log = log, .name = name, .fails = fails};
    made->callback.func = note;
    made->callback.arg = made;
    MemoryContextRegisterResetCallback(context, &made->callback);
}

START_TEST(test_palloc__callbacks_run_once_newest_first)
{
    world here = begin(MIB);
    char log[16] = "";
    MemoryContext context = make_set("parent");
    MemoryContext child = AllocSetContextCreate(context, "child", ALLOCSET_SMALL_SIZES);
    add_note(context, log, 'a', false);
    add_note(child, log, 'b', false);
    add_note(context, log, 'c', false);
    add_note(child, log, 'd', false);
    MemoryContextReset(context);
    ck_assert_str_eq(log, "dbca");
    MemoryContextReset(context);
    add_note(context, log, 'e', false);
    MemoryContextDelete(context);
    ck_assert_str_eq(log, "dbcae");
    end(&here);
}
END_TEST

/* One that raises an ERROR is not run again; the rest is run by the next attempt. */
START_TEST(test_palloc__a_callback_may_fail)
{
    world here = begin(MIB);
    char log[16] = "";
    MemoryContext context = make_set("parent");
    MemoryContext child = AllocSetContextCreate(context, "child", ALLOCSET_SMALL_SIZES);
    add_note(context, log, 'a', false);
    add_note(child, log, 'b', false);
    add_note(child, log, 'c', true);
    add_note(child, log, 'd', false);
    EXPECT_ERROR(MemoryContextDelete(context), "XX000", "callback c");
    ck_assert_str_eq(log, "dc");
    MemoryContextDelete(context);
    ck_assert_str_eq(log, "dcba");
    memset(log, 0, sizeof(log));
    add_note(TopMemoryContext, log, 'x', false);
    add_note(TopMemoryContext, log, 'y', true);
    EXPECT_ERROR(ration_palloc_end(), "XX000", "callback y");
    end(&here);
    ck_assert_str_eq(log, "yx");
}
END_TEST

static void print_something(void *argument)
{
    snprintf((char *)argument, 16, "%s", psprintf("%d", 17));
}

/* The last callbacks find a current context, also when the one that was current is gone. */
START_TEST(test_palloc__end_leaves_callbacks_a_context)
{
    world here = begin(MIB);
    char text[16] = "";
    MemoryContextCallback last = {.func = print_something, .arg = text};
    MemoryContextRegisterResetCallback(TopMemoryContext, &last);
    MemoryContext gone = make_set("gone");
    MemoryContextSwitchTo(gone);
    MemoryContextDelete(gone);
    end(&here);
    ck_assert_str_eq(text, "17");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_palloc__begins_and_ends,
        test_palloc__begin_is_refused_and_leaves_nothing,
        test_palloc__goes_from_thread_to_thread,
        test_palloc__allocates_in_the_current_context,
        test_palloc__sizes_have_an_end,
        test_palloc__huge_is_huge,
        test_palloc__aligns,
        test_palloc__reallocates,
        test_palloc__copies_and_prints_strings,
        test_palloc__contexts_are_a_tree,
        test_palloc__knows_an_empty_context,
        test_palloc__slabs_have_one_size,
        test_palloc__a_context_is_refused,
        test_palloc__contexts_have_identifiers,
        test_palloc__a_damaged_context_is_a_warning,
        test_palloc__callbacks_run_once_newest_first,
        test_palloc__a_callback_may_fail,
        test_palloc__end_leaves_callbacks_a_context,
    };
    return support_run("palloc", tests, RN_COUNT(tests));
}

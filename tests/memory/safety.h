/* SPDX-License-Identifier: Apache-2.0
 *
 * A context in which a child process does something wrong, and what must be said of it. Under
 * AddressSanitizer its report serves as well; what it does not see must be found all the same. */
#ifndef RATION_TESTS_MEMORY_SAFETY_H
#define RATION_TESTS_MEMORY_SAFETY_H

#include "memory/context.h"
#include "memory/sentry.h"
#include "tests/memory/dying.h"
#include "tests/memory/fixture.h"

typedef struct stage {
    fixture world;
    rn_slot *slot;
    ration_context *rows;
    ration_context_kind kind;
    int64_t number; /* of the test's, for variations */
} stage;

/* What a child does, and what must be said of it. */
typedef struct misdeed {
    void (*act)(stage *here);
    ration_context_kind kind;
    int64_t number;
    const char *error; /* "ration: <error>" */
    const char *call;  /* in which it is found */
    const char *ended; /* function that freed it, or NULL */
} misdeed;

#define CHUNK_BYTES 100
#define KINDS 4 /* RATION_CONTEXT_BUMP, the first, cannot free */

static const char *const kind_names[] = {"bump", "set", "slab", "generation"};

static inline void open_stage(stage *here)
{
    here->world = fixture_open(INT64_C(1) << 40, INT64_MAX, MIB, false);
    here->slot = open_slot(here->world.first);
    ration_status status =
        here->kind == RATION_CONTEXT_SLAB
            ? ration_context_create_slab(NULL, &here->slot->hot, CHUNK_BYTES, "rows", &here->rows)
            : ration_context_create(NULL, &here->slot->hot, here->kind, "rows", &here->rows);
    ck_assert_int_eq(status, RATION_OK);
}

/* ---------------------------------------------------------------------- what the children call */

__attribute__((noinline, unused)) static char *allocate_row(stage *here, size_t bytes)
{
    char *row = (char *)ration_context_allocate(here->rows, bytes);
    ck_assert_ptr_nonnull(row);
    return row;
}

__attribute__((noinline, unused)) static char *allocate_row_aligned(stage *here, size_t align)
{
    char *row = (char *)ration_context_allocate_aligned(here->rows, CHUNK_BYTES, align);
    ck_assert_ptr_nonnull(row);
    return row;
}

__attribute__((noinline, unused)) static void free_row(void *row)
{
    ration_context_free(row);
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline, unused)) static void write_seen(char *row, int64_t at, int64_t count)
{
    for (volatile int64_t i = 0; i < count; i++) {
        row[at + i] = 0x41;
    }
}

__attribute__((unused)) UNSEEN static void write_unseen(char *row, int64_t at, int64_t count)
{
    for (volatile int64_t i = 0; i < count; i++) {
        row[at + i] = 0x41;
    }
}

/* Others before, between and behind. */
static inline void allocate_others(stage *here)
{
    for (int i = 0; i < 10; i++) {
        (void)allocate_row(here, CHUNK_BYTES);
    }
}

static inline void free_others(stage *here, int64_t count)
{
    char *others[100];
    for (int64_t i = 0; i < count; i++) {
        others[i] = allocate_row(here, CHUNK_BYTES);
    }
    for (int64_t i = 0; i < count; i++) {
        ration_context_free(others[i]);
    }
}

static inline void act_on_stage(void *argument)
{
    const misdeed *what = (const misdeed *)argument;
    stage here = {.kind = what->kind, .number = what->number};
    open_stage(&here);
    what->act(&here);
}

static inline bool reads_are_seen(void)
{
#if RN_ASAN
    return true;
#else
    return rn_under_valgrind();
#endif
}

/* Found by AddressSanitizer, before we could? */
static inline bool by_sanitizer(const last_words *words)
{
    bool failed = !WIFEXITED(words->status) || WEXITSTATUS(words->status) != 0;
    return failed && strstr(words->text, "AddressSanitizer: use-after-poison") != NULL;
}

static inline void expect_report(misdeed what)
{
    last_words words;
    listen_to(&words, act_on_stage, &what);
    char text[256];
    const char *kind = kind_names[what.kind];
    if (by_sanitizer(&words)) {
        return;
    }
    ck_assert_msg(died_by(&words, SIGABRT), "%s: %s: %d\n%s", kind, what.error, words.status,
                  words.text);
    (void)snprintf(text, sizeof(text), "ration: %s", what.error);
    ck_assert_msg(strncmp(words.text, text, strlen(text)) == 0, "%s\nin\n%s", text, words.text);
    (void)snprintf(text, sizeof(text), "found by %s:\n", what.call);
    ck_assert_msg(strstr(words.text, text) != NULL, "%s\nin\n%s", text, words.text);
    ck_assert_msg(what.ended == NULL || shows_frame(words.text, "freed at:", what.ended), "%s: %s",
                  kind, words.text);
}

/* The same, with the stack of the allocation, and the context's name. */
static inline void expect_whole_report(misdeed what)
{
    expect_report(what);
    last_words words;
    listen_to(&words, act_on_stage, &what);
    if (by_sanitizer(&words)) {
        return;
    }
    char text[128];
    (void)snprintf(text, sizeof(text), " in context \"rows\" (%s)", kind_names[what.kind]);
    ck_assert_msg(strstr(words.text, text) != NULL, "%s\nin\n%s", text, words.text);
    ck_assert_msg(shows_frame(words.text, "allocated at:", "allocate_row"), "%s", words.text);
}

#endif

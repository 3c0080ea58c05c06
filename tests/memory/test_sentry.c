/* SPDX-License-Identifier: Apache-2.0
 *
 * Sentries: armed and buried chunks, the quarantine, and what reports say. Each report is written
 * by a child process that dies of it. */
#include "memory/sentry.h"

#include "memory/alarm.h"
#include "tests/memory/dying.h"
#include "tests/memory/fixture.h"

#ifdef RATION_CHECKED

static const rn_place rows = {"context", "rows", "set", "free_rows"};

static _Alignas(16) char space[64 * 1024];
static char *const room = space + 64; /* for a chunk, and what is written in front of it */

/* A chunk of 24 bytes, and what is done to it. */
typedef struct deed {
    void (*act)(char *user);
    int64_t at, count; /* bytes written */
} deed;

UNSEEN static void write_bytes(char *user, int64_t at, int64_t count)
{
    for (volatile int64_t i = 0; i < count; i++) {
        user[at + i] = 0x41;
    }
}

__attribute__((noinline)) static char *allocate_rows(size_t bytes)
{
    char *user = (char *)rn_chunk_arm(room, bytes);
    ck_assert_ptr_nonnull(user);
    return user;
}

__attribute__((noinline)) static void *free_rows(char *user)
{
    rn_chunk_expect(user, "free_rows");
    void *raw = rn_chunk_disarm(user, &rows);
    rn_chunk_bury(raw, &rows);
    ck_assert_ptr_nonnull(raw);
    return raw;
}

/* --------------------------------------------------------------------------------------- chunks */

START_TEST(test_sentry__a_chunk_comes_and_goes)
{
    for (size_t bytes = 0; bytes < 100; bytes++) {
        char *user = allocate_rows(bytes);
        ck_assert_ptr_eq(user, room + RN_FRONT_BYTES);
        ck_assert_uint_eq(rn_chunk_bytes(user), bytes);
        memset(user, (int)bytes, bytes);
        rn_chunk_verify_live(user, &rows);
        ck_assert(!rn_chunk_is_buried(room));
        size_t more = bytes * 2;
        rn_chunk_rearm(user, more);
        ck_assert_uint_eq(rn_chunk_bytes(user), more);
        for (size_t i = 0; i < bytes; i++) {
            ck_assert_int_eq(user[i], (char)bytes);
        }
        rn_chunk_rearm(user, bytes / 2);
        rn_chunk_verify_live(user, &rows);
        ck_assert_ptr_eq(free_rows(user), room);
        ck_assert(rn_chunk_is_buried(room));
        rn_chunk_verify_buried(room, &rows);
    }
    rn_open(space, sizeof(space));
    rn_chunk_carve(room, 24);
    rn_chunk_verify_buried(room, &rows);
    rn_chunk_carve(room, 4096);
    ck_assert(rn_chunk_is_buried(room));
    rn_chunk_verify_buried(room, &rows);
    rn_open(space, sizeof(space));
}
END_TEST

START_TEST(test_sentry__fresh_memory_reads_a5)
{
    if (rn_under_valgrind()) {
        puts("skipped: under valgrind it is uninitialised");
        return;
    }
    char *user = allocate_rows(40);
    for (size_t i = 0; i < 40; i++) {
        ck_assert_int_eq((unsigned char)user[i], RN_FRESH_BYTE);
    }
}
END_TEST

static void do_deed(void *argument)
{
    const deed *what = (const deed *)argument;
    char *user = allocate_rows(24);
    write_bytes(user, what->at, what->count);
    what->act(user);
}

static void act_free(char *user)
{
    (void)free_rows(user);
}

/* Does the first line of the report read `what`, with the chunk's address for %p? */
static void check_first_line(const last_words *words, const char *what)
{
    ck_assert_msg(died_by(words, SIGABRT), "%s", words->text);
    char expected[256];
    const char *hole = strstr(what, "%p");
    ck_assert_ptr_nonnull(hole);
    (void)snprintf(expected, sizeof(expected), "ration: %.*s%p%s\nfound by free_rows:\n  ",
                   (int)(hole - what), what, (void *)(room + RN_FRONT_BYTES), hole + 2);
    ck_assert_msg(strncmp(words->text, expected, strlen(expected)) == 0, "%s\nis not\n%s",
                  words->text, expected);
}

START_TEST(test_sentry__overflow)
{
    last_words words;
    listen_to(&words, do_deed, &(deed){act_free, 24, 1});
    check_first_line(&words, "overflow of a chunk: 24 bytes at %p in context \"rows\" (set): "
                             "byte 24, 0 behind its end, is 41");
    ck_assert_msg(shows_frame(words.text, "found by free_rows:", "act_free"), "%s", words.text);
    ck_assert_msg(shows_frame(words.text, "allocated at:", "do_deed"), "%s", words.text);
    ck_assert_ptr_null(strstr(words.text, "freed at:"));
    listen_to(&words, do_deed, &(deed){act_free, 31, 1});
    check_first_line(&words, "overflow of a chunk: 24 bytes at %p in context \"rows\" (set): "
                             "byte 31, 7 behind its end, is 41");
    listen_to(&words, do_deed, &(deed){act_free, 20, 7});
    check_first_line(&words, "overflow of a chunk: 24 bytes at %p in context \"rows\" (set): "
                             "bytes 24..26, 0 behind its end, are 41 41 41");
}
END_TEST

static void overflow_by_zero(void *argument)
{
    size_t bytes = *(const size_t *)argument;
    char *user = allocate_rows(bytes);
    write_bytes(user, (int64_t)bytes, 1);
    (void)free_rows(user);
}

START_TEST(test_sentry__overflow_into_the_slack)
{
    for (size_t bytes = 0; bytes < 24; bytes++) {
        last_words words;
        listen_to(&words, overflow_by_zero, &bytes);
        ck_assert_msg(died_by(&words, SIGABRT), "%zu: %s", bytes, words.text);
        ck_assert_ptr_nonnull(strstr(words.text, ", 0 behind its end, is 41"));
    }
}
END_TEST

START_TEST(test_sentry__underflow)
{
    last_words words;
    listen_to(&words, do_deed, &(deed){act_free, -1, 1});
    check_first_line(&words, "underflow of a chunk: 24 bytes at %p: "
                             "byte -1, 0 before its start, is 41");
    ck_assert_msg(shows_frame(words.text, "allocated at:", "do_deed"), "%s", words.text);
    listen_to(&words, do_deed, &(deed){act_free, -3, 1});
    check_first_line(&words, "underflow of a chunk: 24 bytes at %p: "
                             "byte -3, 2 before its start, is 41");
    listen_to(&words, do_deed, &(deed){act_free, -8, 8});
    check_first_line(&words, "underflow of a chunk: 24 bytes at %p: "
                             "bytes -8..-1, 0 before its start, are 41 41 41 41 41 41 41 41");
    ck_assert_msg(shows_frame(words.text, "allocated at:", "do_deed"), "%s", words.text);
}
END_TEST

static void act_verify(char *user)
{
    rn_chunk_verify_live(user, &rows);
}

START_TEST(test_sentry__underflow_in_a_walk)
{
    last_words words;
    listen_to(&words, do_deed, &(deed){act_verify, -16, 16});
    check_first_line(&words, "underflow of a chunk: at %p in context \"rows\" (set): bytes "
                             "-16..-1, 0 before its start, are 41 41 41 41 41 41 41 41 ..");
    listen_to(&words, do_deed, &(deed){act_verify, -1, 1});
    check_first_line(&words, "underflow of a chunk: 24 bytes at %p in context \"rows\" (set): "
                             "byte -1, 0 before its start, is 41");
}
END_TEST

static void act_free_twice(char *user)
{
    (void)free_rows(user);
    (void)free_rows(user);
}

static void act_free_twice_forgotten(char *user)
{
    (void)free_rows(user);
    rn_departed_clear(user); /* others drove it out */
    (void)free_rows(user);
}

static void act_free_after_block(char *user)
{
    void *raw = free_rows(user);
    rn_open(raw, 64);
    memset(raw, 0, 64); /* the kind made something else of it */
    (void)free_rows(user);
}

START_TEST(test_sentry__double_free)
{
    void (*acts[])(char *) = {act_free_twice, act_free_twice_forgotten, act_free_after_block};
    const char *names[] = {"act_free_twice+", "act_free_twice_forgotten", "act_free_after_block"};
    for (size_t i = 0; i < RN_COUNT(acts); i++) {
        last_words words;
        listen_to(&words, do_deed, &(deed){acts[i], 0, 0});
        check_first_line(&words,
                         "double free of a chunk: 24 bytes at %p in context \"rows\" (set)");
        ck_assert_msg(shows_frame(words.text, "allocated at:", "allocate_rows"), "%s", words.text);
        ck_assert_msg(shows_frame(words.text, "freed at:", names[i]), "%s", words.text);
    }
}
END_TEST

static void act_free_foreign(char *user)
{
    (void)free_rows(user + 8);
}

static void act_free_odd(char *user)
{
    (void)free_rows(user + 1);
}

START_TEST(test_sentry__foreign_free)
{
    last_words words;
    void (*acts[])(char *) = {act_free_foreign, act_free_odd};
    for (size_t i = 0; i < RN_COUNT(acts); i++) {
        listen_to(&words, do_deed, &(deed){acts[i], 0, 24});
        ck_assert_msg(died_by(&words, SIGABRT), "%s", words.text);
        ck_assert_msg(strncmp(words.text, "ration: foreign free: 0x", 24) == 0, "%s", words.text);
        ck_assert_ptr_nonnull(strstr(words.text, " is no chunk\nfound by free_rows:\n"));
    }
}
END_TEST

static void act_write_late(char *user)
{
    void *raw = free_rows(user);
    write_bytes(user, 8, 4);
    rn_chunk_verify_buried(raw, &rows);
}

static void act_write_record_late(char *user)
{
    void *raw = free_rows(user);
    write_bytes(user, -4, 4);
    rn_chunk_verify_buried(raw, &rows);
}

START_TEST(test_sentry__write_after_free)
{
    last_words words;
    listen_to(&words, do_deed, &(deed){act_write_late, 0, 0});
    check_first_line(&words, "write after free to a chunk: 24 bytes at %p in context \"rows\" "
                             "(set): bytes 8..11 are 41 41 41 41");
    ck_assert_msg(shows_frame(words.text, "allocated at:", "do_deed"), "%s", words.text);
    ck_assert_msg(shows_frame(words.text, "freed at:", "act_write_late"), "%s", words.text);
    listen_to(&words, do_deed, &(deed){act_write_record_late, 0, 0});
    ck_assert_msg(died_by(&words, SIGABRT), "%s", words.text);
    ck_assert_msg(shows_frame(words.text, "freed at:", "act_write_record_late"), "%s", words.text);
}
END_TEST

static void act_report_header(char *user)
{
    rn_chunk_report_header(user, "free_rows");
}

START_TEST(test_sentry__chunk_without_header)
{
    last_words words;
    listen_to(&words, do_deed, &(deed){act_report_header, 0, 0});
    check_first_line(&words, "free of a chunk that cannot be freed, or whose header is "
                             "overwritten: 24 bytes at %p");
    ck_assert_msg(shows_frame(words.text, "allocated at:", "do_deed"), "%s", words.text);
}
END_TEST

/* ----------------------------------------------------------------------------------- quarantine */

static char *place_chunk(size_t number, size_t bytes)
{
    size_t step = (bytes + RN_FRONT_BYTES + RN_TAIL_BYTES + 15) & ~(size_t)15;
    return (char *)rn_chunk_arm(space + number * step, bytes);
}

START_TEST(test_sentry__quarantine_is_a_bounded_queue)
{
    rn_quarantine quarantine = {0};
    ck_assert_ptr_null(rn_quarantine_take(&quarantine, &rows));
    for (size_t i = 0; i < 100; i++) {
        void *out = rn_quarantine_push(&quarantine, free_rows(place_chunk(i, 24)), &rows);
        ck_assert_ptr_eq(out,
                         i < RN_QUARANTINE_CHUNKS ? NULL : space + (i - RN_QUARANTINE_CHUNKS) * 48);
        ck_assert_ptr_null(out == NULL ? NULL : rn_quarantine_next(&quarantine, &rows));
        rn_quarantine_verify(&quarantine, &rows);
    }
    for (size_t i = 100 - RN_QUARANTINE_CHUNKS; i < 100; i++) {
        ck_assert_ptr_eq(rn_quarantine_take(&quarantine, &rows), space + i * 48);
    }
    ck_assert_ptr_null(rn_quarantine_take(&quarantine, &rows));
    ck_assert_uint_eq(quarantine.bytes, 0);
    rn_open(space, sizeof(space));
}
END_TEST

static _Alignas(16) char wide[6 * 20000];

START_TEST(test_sentry__quarantine_bounds_bytes)
{
    rn_quarantine quarantine = {0};
    void *raw[5];
    for (size_t i = 0; i < 5; i++) {
        raw[i] = free_rows(rn_chunk_arm(wide + i * 20000, 14000));
        void *out = rn_quarantine_push(&quarantine, raw[i], &rows);
        ck_assert_ptr_eq(out, i < 4 ? NULL : raw[0]);
    }
    ck_assert_ptr_null(rn_quarantine_next(&quarantine, &rows));
    void *large = free_rows(rn_chunk_arm(wide, 70000));
    quarantine = (rn_quarantine){0};
    ck_assert_ptr_eq(rn_quarantine_push(&quarantine, large, &rows), large); /* does not wait */
    ck_assert_uint_eq(quarantine.count, 0);
    rn_quarantine_limit(0);
    void *small = free_rows(place_chunk(0, 24));
    ck_assert_ptr_eq(rn_quarantine_push(&quarantine, small, &rows), small);
    rn_open(wide, sizeof(wide));
    rn_open(space, sizeof(space));
}
END_TEST

static void write_in_quarantine(void *argument)
{
    (void)argument;
    rn_quarantine quarantine = {0};
    char *user = place_chunk(0, 24);
    (void)rn_quarantine_push(&quarantine, free_rows(user), &rows);
    write_bytes(user, 0, 1);
    for (size_t i = 1; i <= RN_QUARANTINE_CHUNKS; i++) {
        (void)rn_quarantine_push(&quarantine, free_rows(place_chunk(i, 24)), &rows);
    }
}

START_TEST(test_sentry__quarantine_verifies_what_leaves)
{
    last_words words;
    listen_to(&words, write_in_quarantine, NULL);
    ck_assert_msg(died_by(&words, SIGABRT), "%s", words.text);
    ck_assert_ptr_nonnull(strstr(words.text, "ration: write after free to a chunk: 24 bytes at"));
    ck_assert_ptr_nonnull(strstr(words.text, ": byte 0 is 41\n"));
    ck_assert_msg(shows_frame(words.text, "freed at:", "write_in_quarantine"), "%s", words.text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sentry");
    TCase *all = tcase_create("all");
    tcase_add_test(all, test_sentry__a_chunk_comes_and_goes);
    tcase_add_test(all, test_sentry__fresh_memory_reads_a5);
    tcase_add_test(all, test_sentry__overflow);
    tcase_add_test(all, test_sentry__overflow_into_the_slack);
    tcase_add_test(all, test_sentry__underflow);
    tcase_add_test(all, test_sentry__underflow_in_a_walk);
    tcase_add_test(all, test_sentry__double_free);
    tcase_add_test(all, test_sentry__foreign_free);
    tcase_add_test(all, test_sentry__write_after_free);
    tcase_add_test(all, test_sentry__chunk_without_header);
    tcase_add_test(all, test_sentry__quarantine_is_a_bounded_queue);
    tcase_add_test(all, test_sentry__quarantine_bounds_bytes);
    tcase_add_test(all, test_sentry__quarantine_verifies_what_leaves);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}

#else

/* All of it is empty: this compiles, and costs nothing. */
START_TEST(test_sentry__release_builds_have_none)
{
    char chunk[8];
    rn_quarantine quarantine;
    rn_place place = {0};
    ck_assert_int_eq(RN_FRONT_BYTES + RN_TAIL_BYTES, 0);
    ck_assert_uint_eq(sizeof(rn_quarantine), 0);
    ck_assert_ptr_eq(rn_chunk_arm(chunk, 8), chunk);
    rn_chunk_expect(chunk, "none");
    ck_assert_ptr_eq(rn_chunk_disarm(chunk, &place), chunk);
    rn_chunk_bury(chunk, &place);
    ck_assert_ptr_eq(rn_quarantine_push(&quarantine, chunk, &place), chunk);
    ck_assert_ptr_null(rn_quarantine_next(&quarantine, &place));
    ck_assert_uint_eq(rn_stack_here(0), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sentry");
    TCase *none = tcase_create("release");
    tcase_add_test(none, test_sentry__release_builds_have_none);
    suite_add_tcase(suite, none);
    return run_suite(suite);
}

#endif

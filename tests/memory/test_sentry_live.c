/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks by address, of checked builds: what is live, wrong frees, leaks. Each report is written
 * by a child process that dies of it. */
#include "memory/sentry.h"

#include "tests/memory/dying.h"
#include "tests/memory/fixture.h"

#ifdef RATION_CHECKED

static const rn_place rows = {"context", "rows", "set", "free_rows"};
static const rn_place pool = {"resource", "blocks", "pool", "give_back"};

static char blocks[8192];

START_TEST(test_sentry_live__live_blocks_come_and_go)
{
    char seed[64];
    unsigned random = (unsigned)getpid();
    (void)snprintf(seed, sizeof(seed), "seed=%u", random);
    static bool live[8192];
    int64_t counts[3] = {0};
    for (int i = 0; i < 100000; i++) {
        random = random * 1664525 + 1013904223;
        size_t at = random >> 8 & 8191;
        size_t owner = at % 3;
        if (live[at]) {
            rn_live_take(&counts[owner], blocks + at, at, 16, &pool);
        } else {
            rn_live_insert(&counts[owner], blocks + at, at, 16, &pool);
        }
        counts[owner] += live[at] ? -1 : 1;
        live[at] = !live[at];
        ck_assert_msg(rn_live_count(&counts[owner]) == counts[owner], "%s", seed);
    }
    for (size_t owner = 0; owner < 3; owner++) {
        rn_live_forget(&counts[owner], 0);
        ck_assert_int_eq(rn_live_count(&counts[owner]), 0);
        rn_live_close(&counts[owner], &pool);
    }
    ck_assert_int_eq(rn_faults(), 0);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

START_TEST(test_sentry_live__live_blocks_since_a_mark)
{
    uint64_t marks[10];
    for (size_t i = 0; i < 10; i++) {
        marks[i] = rn_live_mark();
        rn_live_insert(blocks, blocks + i, 8, 8, &pool);
        rn_live_insert(marks, blocks + 100 + i, 8, 8, &pool);
    }
    for (size_t i = 10; i > 0; i--) {
        rn_live_forget(blocks, marks[i - 1]);
        ck_assert_int_eq(rn_live_count(blocks), (int64_t)i - 1);
        ck_assert_int_eq(rn_live_count(marks), 10);
    }
    rn_live_forget(marks, 0);
    rn_live_close(marks, &pool);
    rn_live_close(blocks, &pool);
}
END_TEST

START_TEST(test_sentry_live__more_live_blocks_than_places_are_believed)
{
    size_t count = 300000;
    for (size_t i = 0; i < count; i++) {
        rn_live_insert(blocks, (void *)(i * 8 + 8), 8, 8, &pool);
    }
    for (size_t i = 0; i < count; i++) {
        rn_live_take(blocks, (void *)(i * 8 + 8), 8, 8, &pool);
    }
    ck_assert_int_eq(rn_live_count(blocks), 0);
    rn_live_close(blocks, &pool);
    ck_assert_int_eq(rn_faults(), 0);
}
END_TEST

static int64_t forks_left; /* atomic */

static void *come_and_go(void *argument)
{
    char *mine = (char *)argument;
    while (rn_load(&forks_left) > 0) {
        for (size_t i = 0; i < 100; i++) {
            rn_live_insert(mine, mine + i, 8, 8, &pool);
        }
        for (size_t i = 0; i < 100; i++) {
            rn_live_take(mine, mine + i, 8, 8, &pool);
        }
    }
    return NULL;
}

START_TEST(test_sentry_live__threads_and_forks)
{
    pthread_t threads[2];
    rn_store(&forks_left, 100);
    for (size_t i = 0; i < RN_COUNT(threads); i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, blocks + i * 1000), 0);
    }
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) { /* another thread may have been inside */
            rn_live_insert(&pool, blocks + 5000, 8, 8, &pool);
            rn_live_take(&pool, blocks + 5000, 8, 8, &pool);
            _exit(rn_live_count(&pool) == 0 ? 0 : 1);
        }
        int status = 0;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        (void)rn_fetch_add(&forks_left, -1);
    }
    for (size_t i = 0; i < RN_COUNT(threads); i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_int_eq(rn_live_count(blocks + i * 1000), 0);
        rn_live_close(blocks + i * 1000, &pool);
    }
    ck_assert_int_eq(rn_faults(), 0);
}
END_TEST

__attribute__((noinline)) static void take_block(void)
{
    rn_live_insert(&pool, blocks, 100, 16, &pool);
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void give_back(const void *owner, size_t at, size_t bytes,
                                                size_t align)
{
    rn_live_take(owner, blocks + at, bytes, align, &pool);
    __asm__ volatile("" ::: "memory");
}

typedef struct wrong_free {
    const void *owner;
    size_t at, bytes, align;
    int count;
    const char *text;
} wrong_free;

static void free_wrongly(void *argument)
{
    const wrong_free *wrong = (const wrong_free *)argument;
    take_block();
    for (int i = 0; i < wrong->count; i++) {
        give_back(wrong->owner, wrong->at, wrong->bytes, wrong->align);
    }
}

START_TEST(test_sentry_live__wrong_frees_of_blocks)
{
    const wrong_free wrong[] = {
        {&pool, 0, 99, 16, 1, "mismatched size: a block of 100 bytes at %p, freed with 99 bytes"},
        {&pool, 0, 100, 8, 1,
         "mismatched alignment: a block of 100 bytes at %p, aligned to 16, freed with 8"},
        {&rows, 0, 100, 16, 1,
         "foreign free: the block of 100 bytes at %p is of resource \"blocks\" (pool), freed"},
        {&pool, 0, 100, 16, 2, "double free of a block: 100 bytes at %p"},
        {&pool, 200, 100, 16, 1, "foreign free: 100 bytes at %p are no block"},
        {&pool, 32, 100, 16, 1, "foreign free: %p is byte 32 of a block: 100 bytes at "},
    };
    for (size_t i = 0; i < RN_COUNT(wrong); i++) {
        last_words words;
        listen_to(&words, free_wrongly, (void *)(uintptr_t)&wrong[i]);
        ck_assert_msg(died_by(&words, SIGABRT), "%s", words.text);
        char expected[256];
        const char *hole = strstr(wrong[i].text, "%p");
        (void)snprintf(expected, sizeof(expected), "ration: %.*s%p%s", (int)(hole - wrong[i].text),
                       wrong[i].text, (void *)(blocks + wrong[i].at), hole + 2);
        ck_assert_msg(strncmp(words.text, expected, strlen(expected)) == 0, "%s\nis not\n%s",
                      words.text, expected);
        ck_assert_ptr_nonnull(strstr(words.text, " in resource \"blocks\" (pool)\nfound by "));
        ck_assert_msg(shows_frame(words.text, "found by give_back:", "give_back"), "%s",
                      words.text);
        ck_assert_msg(wrong[i].at == 200 || shows_frame(words.text, "allocated at:", "take_block"),
                      "%s", words.text);
        ck_assert_msg(wrong[i].count < 2 || shows_frame(words.text, "freed at:", "give_back"), "%s",
                      words.text);
    }
}
END_TEST

/* ---------------------------------------------------------------------------------------- leaks */

static void leak_blocks(void *argument)
{
    int64_t count = *(const int64_t *)argument;
    take_block();
    for (int64_t i = 1; i < count; i++) {
        rn_live_insert(&pool, blocks + i, 8, 8, &pool);
    }
    rn_live_close(&pool, &pool);
    rn_live_close(&pool, &pool);
    _exit(rn_faults() == 1 ? 0 : 3);
}

START_TEST(test_sentry_live__leaks_are_told_and_counted)
{
    int64_t count = 3;
    last_words words;
    listen_to(&words, leak_blocks, &count);
    ck_assert_msg(WIFEXITED(words.status) && WEXITSTATUS(words.status) == 0, "%s", words.text);
    const char *expected =
        "ration: leak: 116 bytes in 3 chunks left in resource \"blocks\" (pool)\n"
        "found by give_back\n"
        "16 bytes in 2 chunks, the first at 0x";
    ck_assert_msg(strncmp(words.text, expected, strlen(expected)) == 0, "%s", words.text);
    ck_assert_msg(shows_frame(words.text, "100 bytes in 1 chunks, the first at", "take_block"),
                  "%s", words.text);
    ck_assert_ptr_null(strstr(words.text, "chunks more"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sentry_live");
    TCase *all = tcase_create("all");
    tcase_add_test(all, test_sentry_live__live_blocks_come_and_go);
    tcase_add_test(all, test_sentry_live__live_blocks_since_a_mark);
    tcase_add_test(all, test_sentry_live__more_live_blocks_than_places_are_believed);
    tcase_add_test(all, test_sentry_live__threads_and_forks);
    tcase_add_test(all, test_sentry_live__wrong_frees_of_blocks);
    tcase_add_test(all, test_sentry_live__leaks_are_told_and_counted);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}

#else

int main(void)
{
    puts("skipped: live blocks are of checked builds");
    return 77;
}

#endif

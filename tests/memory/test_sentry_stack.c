/* SPDX-License-Identifier: Apache-2.0
 *
 * Call stacks of checked builds: capture, depot, names; leaks that share them. */
#include "memory/sentry.h"

#include "memory/alarm.h"
#include "tests/memory/dying.h"
#include "tests/memory/fixture.h"

#ifdef RATION_CHECKED

__attribute__((noinline)) static uint32_t stack_one(int skip)
{
    uint32_t stack = rn_stack_here(skip);
    __asm__ volatile("" ::: "memory");
    return stack;
}

__attribute__((noinline)) static uint32_t stack_two(int skip)
{
    uint32_t stack = stack_one(skip);
    __asm__ volatile("" ::: "memory");
    return stack;
}

static void print_stack(void *argument)
{
    rn_stack_print(*(const uint32_t *)argument, STDERR_FILENO);
}

START_TEST(test_sentry_stack__stacks_are_stored_once)
{
    uint32_t seen[3];
    for (volatile int i = 0; i < 3; i++) { /* from one place: not to be unrolled */
        seen[i] = stack_two(0);
    }
    ck_assert_uint_ne(seen[0], 0);
    ck_assert_uint_eq(seen[0], seen[1]);
    ck_assert_uint_eq(seen[0], seen[2]);
    ck_assert_uint_ne(stack_two(0), seen[0]); /* another line */
    ck_assert_uint_ne(stack_one(0), seen[0]);
    ck_assert_uint_ne(stack_two(1), seen[0]);
}
END_TEST

START_TEST(test_sentry_stack__stacks_name_static_functions)
{
    uint32_t stack = stack_two(0);
    last_words words;
    listen_to(&words, print_stack, &stack);
    const char *first = strstr(words.text, "(stack_one+0x");
    const char *second = strstr(words.text, "(stack_two+0x");
    const char *third = strstr(words.text, "test_sentry_stack__stacks_name_static_functions");
    ck_assert_msg(first != NULL && second != NULL && third != NULL, "%s", words.text);
    ck_assert(first < second && second < third);
    ck_assert_int_eq(strncmp(words.text, "  ", 2), 0);
    stack = stack_two(1);
    listen_to(&words, print_stack, &stack);
    ck_assert_ptr_null(strstr(words.text, "stack_one"));
    ck_assert_ptr_nonnull(strstr(words.text, "(stack_two+0x"));
    stack = stack_two(2);
    listen_to(&words, print_stack, &stack);
    ck_assert_ptr_null(strstr(words.text, "(stack_two"));
    ck_assert_ptr_nonnull(strstr(words.text, "stacks_name_static_functions"));
    stack = 0;
    listen_to(&words, print_stack, &stack);
    ck_assert_str_eq(words.text, "");
}
END_TEST

static uint32_t elsewhere;

static void stand_elsewhere(int signal_number)
{
    (void)signal_number;
    elsewhere = stack_one(0);
}

START_TEST(test_sentry_stack__other_stacks_than_the_threads)
{
    if (RN_TSAN) {
        puts("skipped: ThreadSanitizer minds what a handler of a signal does");
        return;
    }
    static char space[256 * 1024];
    stack_t other = {.ss_sp = space, .ss_size = sizeof(space)};
    ck_assert_int_eq(sigaltstack(&other, NULL), 0);
    struct sigaction action = {.sa_handler = stand_elsewhere, .sa_flags = SA_ONSTACK};
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    last_words words;
    listen_to(&words, print_stack, &elsewhere);
    const char *first = strstr(words.text, "(stack_one+0x");
    const char *second = strstr(words.text, "(stand_elsewhere+0x");
    ck_assert_msg(first != NULL && second != NULL && first < second, "%s", words.text);
    ck_assert_ptr_null(strstr(words.text, "rn_stack_here"));
}
END_TEST

/* One of 4^depth stacks. */
__attribute__((noinline)) static uint32_t climb(uint32_t path, int depth)
{
    volatile uint32_t found = 0;
    if (depth == 0) {
        return rn_stack_here(0);
    }
    switch (path % 4) {
    case 0:
        found = climb(path / 4, depth - 1);
        __asm__ volatile("# 0" ::: "memory");
        break;
    case 1:
        found = climb(path / 4, depth - 1);
        __asm__ volatile("# 1" ::: "memory");
        break;
    case 2:
        found = climb(path / 4, depth - 1);
        __asm__ volatile("# 2" ::: "memory");
        break;
    default:
        found = climb(path / 4, depth - 1);
        __asm__ volatile("# 3" ::: "memory");
        break;
    }
    return found;
}

__attribute__((noinline)) static uint32_t count_known(uint32_t paths)
{
    uint32_t known = 0;
    for (volatile uint32_t path = 0; path < paths; path++) {
        known += climb(path, 8) != 0;
    }
    return known;
}

START_TEST(test_sentry_stack__a_full_depot_says_unknown)
{
    uint32_t early = stack_one(0);
    uint32_t known = count_known(1 << 16);
    ck_assert_uint_gt(known, 30000);
    ck_assert_uint_lt(known, 1 << 16);
    ck_assert_uint_ne(early, 0);
    ck_assert_uint_eq(count_known(100), 100); /* those that are in stay in */
    static _Alignas(16) char raw[64];
    const rn_place place = {"context", "rows", "set", "free_rows"};
    (void)rn_chunk_arm(raw, 24);
    rn_chunk_bury(raw, &place);
    rn_chunk_verify_buried(raw, &place);
    rn_open(raw, sizeof(raw));
}
END_TEST

typedef struct climber {
    uint32_t found[256];
} climber;

static void *climb_all(void *argument)
{
    climber *self = (climber *)argument;
    for (uint32_t path = 0; path < 256; path++) {
        self->found[path] = climb(path, 4);
    }
    return NULL;
}

START_TEST(test_sentry_stack__threads_share_the_depot)
{
    pthread_t threads[4];
    static climber climbers[4];
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, climb_all, &climbers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    for (uint32_t path = 0; path < 256; path++) {
        const uintptr_t *one, *other;
        ck_assert_uint_ne(climbers[0].found[path], 0);
        for (size_t i = 1; i < 4; i++) { /* stored by two at once, it may have two names */
            size_t count = rn_stack_frames(climbers[0].found[path], &one);
            ck_assert_uint_ge(count, 5);
            ck_assert_uint_eq(rn_stack_frames(climbers[i].found[path], &other), count);
            ck_assert_mem_eq(one, other, 5 * sizeof(*one));
        }
    }
}
END_TEST

static void leak_everywhere(void *argument)
{
    (void)argument;
    static const char here[16];
    const rn_place place = {"context", "rows", "set", "leak_everywhere"};
    rn_leaks leaks = {0};
    for (uint32_t path = 0; path < 16; path++) {
        rn_leaks_add_block(&leaks, here + path, 8, climb(path, 2));
    }
    rn_leaks_end(&leaks, &place);
}

START_TEST(test_sentry_stack__leaks_of_many_stacks_are_cut_short)
{
    last_words words;
    listen_to(&words, leak_everywhere, NULL);
    ck_assert_ptr_nonnull(strstr(words.text, "ration: leak: 128 bytes in 16 chunks left"));
    ck_assert_ptr_nonnull(strstr(words.text, "and 6 chunks more, allocated elsewhere\n"));
    size_t shown = 0;
    for (const char *at = words.text; (at = strstr(at, "8 bytes in 1 chunks")) != NULL; at++) {
        shown += 1;
    }
    ck_assert_uint_eq(shown, RN_LEAKS_SHOWN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sentry_stack");
    TCase *all = tcase_create("all");
    tcase_add_test(all, test_sentry_stack__stacks_are_stored_once);
    tcase_add_test(all, test_sentry_stack__stacks_name_static_functions);
    tcase_add_test(all, test_sentry_stack__other_stacks_than_the_threads);
    tcase_add_test(all, test_sentry_stack__a_full_depot_says_unknown);
    tcase_add_test(all, test_sentry_stack__threads_share_the_depot);
    tcase_add_test(all, test_sentry_stack__leaks_of_many_stacks_are_cut_short);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}

#else

int main(void)
{
    puts("skipped: call stacks are of checked builds");
    return 77;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs something that is to be reported in a child process, and reads what it wrote to stderr. */
#ifndef RATION_TESTS_MEMORY_DYING_H
#define RATION_TESTS_MEMORY_DYING_H

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/poison.h"

/* Touches memory behind the back of AddressSanitizer. */
#define UNSEEN __attribute__((no_sanitize("address", "undefined"), noinline))

typedef struct last_words {
    int status; /* of waitpid */
    char text[32768];
} last_words;

static inline void listen_to(last_words *words, void (*act)(void *argument), void *argument)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    (void)fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL); /* not the handler of the test's library */
        (void)dup2(ends[1], STDERR_FILENO);
        act(argument);
        _exit(0);
    }
    (void)close(ends[1]);
    size_t used = 0;
    for (;;) {
        ssize_t step = read(ends[0], words->text + used, sizeof(words->text) - 1 - used);
        if (step <= 0) {
            break;
        }
        used += (size_t)step;
    }
    words->text[used] = '\0';
    (void)close(ends[0]);
    ck_assert_int_eq(waitpid(child, &words->status, 0), child);
}

static inline bool died_by(const last_words *words, int signal_number)
{
    return WIFSIGNALED(words->status) && WTERMSIG(words->status) == signal_number;
}

/* Is there a line that starts with `line`, and below it, before the next head, a frame of
 * `function`? Frames are indented, heads are not. */
static inline bool shows_frame(const char *text, const char *line, const char *function)
{
    char frame[128];
    (void)snprintf(frame, sizeof(frame), "(%s", function);
    const char *head = strstr(text, line);
    if (head == NULL) {
        return false;
    }
    for (const char *at = strchr(head, '\n'); at != NULL && at[1] == ' ';
         at = strchr(at + 1, '\n')) {
        const char *end = strchr(at + 1, '\n');
        const char *found = strstr(at, frame);
        if (found != NULL && end != NULL && found < end) {
            return true;
        }
    }
    return false;
}

#endif

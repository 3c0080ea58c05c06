/* SPDX-License-Identifier: Apache-2.0
 *
 * What the shell tests beside this file cannot do themselves.
 *
 *     watch registry DIRECTORY PERIOD_MS   who is in the registry, every so often, until SIGTERM
 *     watch limit DIRECTORY PID KEY        a key of the limits that a process has published
 *     watch until DIRECTORY PID KEY VALUE  waits until it has that value
 *     watch now                            the clock that `registry` prints
 *     watch hold BYTES [STEP PAUSE_MS]     takes memory, by steps, says "held", keeps it
 *     watch as PID COMMAND...              the command as a process of that number, once it is free
 *
 * `registry` prints a line for each entry at each look: number of the look, microseconds, pid,
 * limit, granted, resident, microseconds when the process was last heard.
 *
 * Exit codes: 0, 1 = no such process or key, or not within 10 s, 2 = it cannot work, 77 = not with
 * this kernel. */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "executor/registry.h"

#define AWAIT_NS INT64_C(10000000000)

static _Noreturn void stop(const char *what)
{
    fprintf(stderr, "watch: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int64_t number(const char *word)
{
    int64_t value;
    if (!rn_parse_int64(word, strlen(word), &value) || value < 0) {
        errno = EINVAL;
        stop(word);
    }
    return value;
}

static void sleep_ms(int64_t ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* NULL = there is no file yet. */
static rn_registry *look(const char *directory)
{
    ration_error error;
    rn_registry *registry;
    if (rn_registry_look(directory, &registry, &error) != RATION_OK) {
        char text[1200];
        (void)ration_error_format(&error, text, sizeof text);
        fprintf(stderr, "watch: %s\n", text);
        exit(2);
    }
    return registry;
}

static volatile sig_atomic_t ended;

static void end(int number_of_signal)
{
    (void)number_of_signal;
    ended = 1;
}

static void print_entry(int64_t number_of_look, int64_t now_us, const rn_registry_entry *entry)
{
    printf("%lld %lld %lld %lld %lld %lld %lld\n", (long long)number_of_look, (long long)now_us,
           (long long)entry->process, (long long)entry->limit_bytes,
           (long long)entry->granted_bytes, (long long)entry->resident_bytes,
           (long long)(entry->heard_ns / 1000));
}

static int watch_registry(const char *directory, int64_t period_ms)
{
    static rn_registry_entry entries[RN_REGISTRY_PLACES];
    struct sigaction action = {.sa_handler = end};
    (void)sigaction(SIGTERM, &action, NULL);
    rn_registry *registry = NULL;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (int64_t looks = 1; ended == 0; looks++) {
        registry = registry == NULL ? look(directory) : registry;
        int64_t count = registry == NULL ? 0 : rn_registry_list(registry, entries);
        int64_t now_us = rn_clock_ns() / 1000;
        for (int64_t i = 0; i < count; i++) {
            print_entry(looks, now_us, &entries[i]);
        }
        sleep_ms(period_ms);
    }
    rn_registry_close(registry);
    return 0;
}

/* False = no such process or key. */
static bool read_limit(rn_registry *registry, int64_t process, const char *name, int64_t *out_value)
{
    static rn_registry_entry entries[RN_REGISTRY_PLACES];
    const rn_limits_key *key = rn_limits_find(name);
    int64_t count = registry == NULL || key == NULL ? 0 : rn_registry_list(registry, entries);
    ration_limits limits;
    for (int64_t i = 0; i < count; i++) {
        if (entries[i].process == process &&
            rn_registry_get_limits(registry, &entries[i], &limits, NULL)) {
            *out_value = rn_limits_get(&limits, key);
            return true;
        }
    }
    return false;
}

static int print_limit(const char *directory, int64_t process, const char *name)
{
    rn_registry *registry = look(directory);
    int64_t value;
    bool found = read_limit(registry, process, name, &value);
    if (found) {
        printf("%lld\n", (long long)value);
    }
    rn_registry_close(registry);
    return found ? 0 : 1;
}

static int await_limit(const char *directory, int64_t process, const char *name, int64_t value)
{
    rn_registry *registry = look(directory);
    int64_t end_ns = rn_clock_ns() + AWAIT_NS, found = 0;
    while (!(read_limit(registry, process, name, &found) && found == value) &&
           rn_clock_ns() < end_ns) {
        sleep_ms(1);
    }
    rn_registry_close(registry);
    return found == value ? 0 : 1;
}

static int hold(int64_t bytes, int64_t step, int64_t pause_ms)
{
    char *memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        stop("hold");
    }
    for (int64_t done = 0; done < bytes; done += step) {
        memset(memory + done, 1, (size_t)RN_MIN(step, bytes - done));
        sleep_ms(pause_ms);
    }
    printf("held\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}

/* The number is given anew when the one who had it is gone and was waited for. */
static int become(int64_t process, char **command)
{
    pid_t wanted[1] = {(pid_t)process};
    struct clone_args arguments = {
        .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)wanted, .set_tid_size = 1};
    long child = -1;
    for (int tries = 0; tries < 1000 && child < 0; tries++) {
        child = syscall(SYS_clone3, &arguments, sizeof arguments);
        if (child < 0 && errno != EEXIST) {
            fprintf(stderr, "watch: a process of a given number: %s\n", strerror(errno));
            return 77;
        }
        if (child < 0) {
            sleep_ms(1);
        }
    }
    if (child < 0) {
        stop("as");
    }
    if (child == 0) {
        (void)execvp(command[0], command);
        _exit(127);
    }
    int status;
    while (waitpid((pid_t)child, &status, 0) < 0 && errno == EINTR) {
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (argc == 4 && strcmp(mode, "registry") == 0) {
        return watch_registry(argv[2], number(argv[3]));
    }
    if (argc == 5 && strcmp(mode, "limit") == 0) {
        return print_limit(argv[2], number(argv[3]), argv[4]);
    }
    if (argc == 6 && strcmp(mode, "until") == 0) {
        return await_limit(argv[2], number(argv[3]), argv[4], number(argv[5]));
    }
    if (argc == 2 && strcmp(mode, "now") == 0) {
        printf("%lld\n", (long long)(rn_clock_ns() / 1000));
        return 0;
    }
    if ((argc == 3 || argc == 5) && strcmp(mode, "hold") == 0) {
        int64_t bytes = number(argv[2]);
        return argc == 3 ? hold(bytes, RN_MAX(bytes, 1), 0)
                         : hold(bytes, RN_MAX(number(argv[3]), 1), number(argv[4]));
    }
    if (argc >= 4 && strcmp(mode, "as") == 0) {
        return become(number(argv[2]), argv + 3);
    }
    fprintf(stderr,
            "usage: watch registry | limit | until | now | hold | as (tests/governing/watch.c)\n");
    return 2;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What following the machine costs: one look after the other at the real /proc and /sys, while
 * other governors are registered in the same directory. Prints rows for bench/monitor.sh.
 *
 *     monitor DIRECTORY LOOKS
 *     monitor sample PLACE          one sample of the machine (parts/monitor_sample.c)
 *
 * The monitor's clock jumps an interval of 100 ms with each tick, so every tenth look reads the
 * machine in full, as it is at 10 looks a second. Time is the processor's, of this process; the
 * best of ROUNDS. `asleep`: the process sleeps 100 ms before each look, as a keeper does; then
 * caches are cold, and waking up counts. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/monitor.h"
#include "executor/governor.h"

#define NEIGHBOURS 3
#define SLOTS 16
#define ROUNDS 5
#define LOOK_NS INT64_C(100000000)

static int64_t jumping_ns = LOOK_NS;

static int64_t jumping_clock(void)
{
    return jumping_ns;
}

static ration_governor *open_in(const char *directory)
{
    const rn_monitor_place place = {.sysroot = "", .clock = jumping_clock};
    ration_limits limits;
    ration_governor *governor;
    ration_error error;
    ration_limits_default(&limits);
    limits.monitor_interval_ms = 100;
    limits.limit_floor_bytes = 0;
    rn_copy_text(limits.registry_directory, sizeof limits.registry_directory, directory);
    if (rn_governor_open_at(&limits, &place, &governor, &error) != RATION_OK) {
        fprintf(stderr, "monitor: %s\n", error.message);
        exit(1);
    }
    return governor;
}

/* A process with a governor; it goes when it is killed. */
static pid_t start_neighbour(const char *directory)
{
    int opened[2];
    char word;
    if (pipe(opened) != 0) {
        exit(1);
    }
    pid_t child = fork();
    if (child == 0) {
        (void)open_in(directory);
        if (write(opened[1], "o", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            (void)pause();
        }
    }
    if (child < 0 || read(opened[0], &word, 1) != 1) {
        exit(1);
    }
    return child;
}

static int64_t processor_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Processor time of one look. */
static int64_t clock_looks(ration_governor *governor, int64_t looks)
{
    int64_t best_ns = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start_ns = processor_ns();
        for (int64_t i = 0; i < looks; i++) {
            jumping_ns += LOOK_NS;
            ration_governor_tick(governor);
        }
        best_ns = RN_MIN(best_ns, (processor_ns() - start_ns) / looks);
    }
    return best_ns;
}

/* Mean processor time of one look and of the sleep before it; the best round of ten looks. */
static int64_t clock_asleep(ration_governor *governor, int64_t rounds)
{
    const struct timespec pause = {0, LOOK_NS};
    int64_t best_ns = INT64_MAX;
    for (int64_t round = 0; round < rounds; round++) {
        int64_t start_ns = processor_ns();
        for (int i = 0; i < 10; i++) {
            (void)nanosleep(&pause, NULL);
            jumping_ns += LOOK_NS;
            ration_governor_tick(governor);
        }
        best_ns = RN_MIN(best_ns, (processor_ns() - start_ns) / 10);
    }
    return best_ns;
}

static void put_look(const char *name, int64_t look_ns)
{
    bench_put("monitor.look.%s %.2f us - -", name, (double)look_ns / 1e3);
    bench_put("monitor.core.%s %.4f %% - -", name, (double)look_ns * 10 / 1e9 * 100);
}

static void clock_with(const char *directory, int64_t looks, const char *name)
{
    ration_governor *governor = open_in(directory);
    ration_query *query;
    ration_slot *slot;
    if (ration_query_open(governor, NULL, &query, NULL) != RATION_OK) {
        exit(1);
    }
    for (int i = 0; i < SLOTS; i++) {
        if (ration_query_slot(query, &slot) != RATION_OK) {
            exit(1);
        }
    }
    int64_t look_ns = clock_looks(governor, looks);
    ration_governor_figures figures;
    ration_governor_read(governor, &figures);
    if (figures.looks != ROUNDS * looks) {
        fprintf(stderr, "monitor: %lld looks\n", (long long)figures.looks);
        exit(1);
    }
    put_look(name, look_ns);
    if (strcmp(name, "alone") == 0) {
        put_look("asleep", clock_asleep(governor, RN_MAX(looks / 100, 1)));
    }
    ration_query_close(query);
    ration_governor_close(governor);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "sample") == 0) {
        bench_samples(argv[2]);
        return 0;
    }
    int64_t looks = argc > 2 ? strtoll(argv[2], NULL, 10) : 0;
    if (argc != 3 || looks <= 0) {
        fprintf(stderr, "usage: monitor DIRECTORY LOOKS | sample PLACE\n");
        return 2;
    }
    clock_with(argv[1], looks, "alone");
    pid_t neighbours[NEIGHBOURS];
    for (int i = 0; i < NEIGHBOURS; i++) {
        neighbours[i] = start_neighbour(argv[1]);
    }
    clock_with(argv[1], looks, "of_four");
    for (int i = 0; i < NEIGHBOURS; i++) {
        (void)kill(neighbours[i], SIGKILL);
        (void)waitpid(neighbours[i], NULL, 0);
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Time per turn of one thread: its processor time, so that what else runs here does not count but
 * for the caches it takes. Single operations are timed with the wall clock. */
#include "bench/memory.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define ROUND_NS ((int64_t)2000000)
#define CALIBRATE_NS 200000
#define WARM_PART 4 /* of a round goes before, untimed: the others have had the caches */
#define SINGLE_SAMPLES 10001
#define SINGLE_STEP_NS 4 /* a coarser clock says nothing about operations of a few ns */

int64_t clock_thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void clock_pin(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return;
    }
    size_t last = 0;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        last = CPU_ISSET(cpu, &allowed) ? cpu : last;
    }
    CPU_ZERO(&allowed);
    CPU_SET(last, &allowed);
    (void)sched_setaffinity(0, sizeof allowed, &allowed);
}

static int64_t time_turns(const job *what, int64_t turns)
{
    int64_t start_ns = clock_thread_ns();
    what->run(what->state, turns);
    return clock_thread_ns() - start_ns;
}

/* Turns that take about a round. */
static int64_t count_turns_of(const job *what)
{
    int64_t turns = 1;
    while (time_turns(what, turns) < CALIBRATE_NS) {
        turns *= 2;
    }
    double turn_ns = (double)time_turns(what, turns) / (double)turns;
    return RN_MAX((int64_t)((double)ROUND_NS / turn_ns), 1);
}

void clock_jobs(const job *jobs, size_t count, int rounds, double *best)
{
    int64_t turns[RIVALS_MOST];
    for (size_t i = 0; i < count; i++) {
        best[i] = NAN;
        turns[i] = jobs[i].run == NULL ? 0 : count_turns_of(&jobs[i]);
    }
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            if (turns[i] > 0) {
                jobs[i].run(jobs[i].state, RN_MAX(turns[i] / WARM_PART, 1));
                double turn_ns = (double)time_turns(&jobs[i], turns[i]) / (double)turns[i];
                best[i] = fmin(best[i], turn_ns);
            }
        }
    }
}

static int compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

double clock_single_ns(void)
{
    static int64_t samples[SINGLE_SAMPLES];
    for (size_t i = 0; i < SINGLE_SAMPLES; i++) {
        int64_t start_ns = rn_clock_ns();
        samples[i] = rn_clock_ns() - start_ns;
    }
    qsort(samples, SINGLE_SAMPLES, sizeof samples[0], compare_ns);
    int64_t step = INT64_MAX;
    for (size_t i = 1; i < SINGLE_SAMPLES * 99 / 100; i++) {
        int64_t apart = samples[i] - samples[i - 1];
        step = apart > 0 ? RN_MIN(step, apart) : step;
    }
    int64_t middle = samples[SINGLE_SAMPLES / 2];
    bool fine = middle > 0 && (step <= SINGLE_STEP_NS || step == INT64_MAX);
    return fine ? (double)middle : -1;
}

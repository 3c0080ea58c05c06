/* SPDX-License-Identifier: Apache-2.0
 *
 * Time per turn, of one thread or of two that really run side by side.
 *
 *     clock_two_open -> clock_turns, clock_one, clock_two -> clock_two_close
 *
 * One thread: its processor time. Two threads: each sits on a core of its own, they meet, run
 * batches until the first has had its time, and both stop; the wall counts, because a thread that
 * sleeps at a lock pays for it. A round counts when neither thread was put off its core and the two
 * spans coincide. On a busy machine most rounds fail; the caller asks again. */
#include "bench/accounting.h"

#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#define MEET_NS ((int64_t)20000000) /* until a partner who does not come is given up */
#define CALIBRATE_NS 200000.0

static int64_t thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double clock_one(const rival *what, int64_t bytes, int64_t turns)
{
    int64_t start_ns = thread_ns();
    what->loop(what->state[0], bytes, turns);
    return (double)(thread_ns() - start_ns) / (double)turns;
}

int64_t clock_turns(const rival *what, int64_t bytes, int64_t ns)
{
    int64_t turns = 1;
    while (clock_one(what, bytes, turns) * (double)turns < CALIBRATE_NS) {
        turns *= 2;
    }
    return RN_MAX((int64_t)((double)ns / clock_one(what, bytes, turns)), 1);
}

void clock_pin(int core)
{
    static cpu_set_t whole;
    if (CPU_COUNT(&whole) == 0 && sched_getaffinity(0, sizeof whole, &whole) != 0) {
        stop_bench("sched_getaffinity");
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &whole) && core-- == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            (void)sched_setaffinity(0, sizeof one, &one);
            return;
        }
    }
}

/* ---------------------------------------------------------------------------------- two threads */

typedef struct worker {
    pthread_t thread;
    int core;
    int64_t turns, start_ns, end_ns; /* of the last job */
    bool met, put_off;
} worker;

static struct {
    bool open;
    pthread_barrier_t door; /* the two and the main thread */
    const rival *what;      /* NULL: leave */
    int64_t bytes, batch, ns;
    worker workers[2];
    int64_t arrived __attribute__((aligned(128)));
    int64_t over __attribute__((aligned(128)));
} team;

/* How often the scheduler took the core away from the calling thread. */
static long count_put_off(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : -1;
}

static bool meet(void)
{
    int64_t give_up_ns = rn_clock_ns() + MEET_NS;
    (void)rn_fetch_add(&team.arrived, 1);
    while (rn_load_acquire(&team.arrived) != 2) {
        if (rn_clock_ns() > give_up_ns) {
            return false;
        }
    }
    return true;
}

static void do_job(worker *self)
{
    void *state = team.what->state[self->core];
    int64_t turns = 0;
    self->met = meet();
    long put_off = count_put_off();
    self->start_ns = rn_clock_ns();
    while (rn_load(&team.over) == 0) {
        team.what->loop(state, team.bytes, team.batch);
        turns += team.batch;
        if (rn_clock_ns() - self->start_ns >= team.ns) {
            rn_store(&team.over, 1);
        }
    }
    self->end_ns = rn_clock_ns();
    self->put_off = count_put_off() != put_off;
    self->turns = turns;
}

static void *work(void *argument)
{
    worker *self = (worker *)argument;
    clock_pin(self->core);
    for (;;) {
        (void)pthread_barrier_wait(&team.door);
        if (team.what == NULL) {
            return NULL;
        }
        do_job(self);
        (void)pthread_barrier_wait(&team.door);
    }
}

bool clock_two_open(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) {
        fprintf(stderr, "accounting: one core only, two threads are not measured\n");
        return false;
    }
    team.open = true;
    (void)pthread_barrier_init(&team.door, NULL, 3);
    for (int i = 0; i < 2; i++) {
        team.workers[i].core = i;
        if (pthread_create(&team.workers[i].thread, NULL, work, &team.workers[i]) != 0) {
            stop_bench("pthread_create");
        }
    }
    return true;
}

void clock_two_close(void)
{
    if (!team.open) {
        return;
    }
    team.open = false;
    team.what = NULL;
    (void)pthread_barrier_wait(&team.door);
    for (int i = 0; i < 2; i++) {
        (void)pthread_join(team.workers[i].thread, NULL);
    }
    (void)pthread_barrier_destroy(&team.door);
}

static double turn_ns(const worker *one)
{
    return (double)(one->end_ns - one->start_ns) / (double)one->turns;
}

double clock_two(const rival *what, int64_t bytes, int64_t batch, int64_t ns)
{
    if (!team.open) {
        return -1;
    }
    team.what = what;
    team.bytes = bytes;
    team.batch = batch;
    team.ns = ns;
    rn_store(&team.arrived, 0);
    rn_store(&team.over, 0);
    (void)pthread_barrier_wait(&team.door);
    (void)pthread_barrier_wait(&team.door);
    const worker *a = &team.workers[0], *b = &team.workers[1];
    int64_t shared = RN_MIN(a->end_ns, b->end_ns) - RN_MAX(a->start_ns, b->start_ns);
    int64_t span = RN_MAX(a->end_ns, b->end_ns) - RN_MIN(a->start_ns, b->start_ns);
    if (!a->met || !b->met || a->put_off || b->put_off || a->turns == 0 || b->turns == 0 ||
        shared * 100 < span * 97) {
        return -1;
    }
    return (turn_ns(a) + turn_ns(b)) / 2;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The director: two semaphores for each thread. ration_point is what the points compiled into the
 * core call; it posts `arrived` and waits for `go` when its thread is to be held there.
 *
 * A thread that waits for a lock of the core is found by its state in /proc, never by time: it is
 * not held by the director, so when it sleeps, it sleeps in the core. Under valgrind threads also
 * sleep between their turns; then a test may see a neighbour of the interleaving it names, whose
 * outcome is the same. */
#include "tests/points/points.h"

#include <check.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

/* How long to wait for what must come: a minute, or what POINTS_SECONDS says. */
static time_t patience(void)
{
    const char *seconds = getenv("POINTS_SECONDS");
    return seconds != NULL ? (time_t)atoi(seconds) : 60;
}

static _Thread_local points_actor *self;

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
    }
}

static void be_held(points_actor *actor)
{
    rn_store_release(&actor->running, 0);
    (void)sem_post(&actor->arrived);
    wait_for(&actor->go);
    rn_store_release(&actor->running, 1);
}

void ration_point(const char *name)
{
    if (self != NULL && self->target != NULL && strcmp(self->target, name) == 0) {
        be_held(self);
    }
}

static void *run_actor(void *argument)
{
    self = (points_actor *)argument;
    rn_store_release(&self->task, syscall(SYS_gettid));
    be_held(self);
    self->act(self->argument);
    rn_store_release(&self->ended, 1);
    (void)sem_post(&self->arrived);
    return NULL;
}

void points_start(points_actor *actor, const char *name, void (*act)(void *argument),
                  void *argument)
{
    *actor = (points_actor){.name = name, .act = act, .argument = argument};
    ck_assert_int_eq(sem_init(&actor->arrived, 0, 0), 0);
    ck_assert_int_eq(sem_init(&actor->go, 0, 0), 0);
    ck_assert_int_eq(pthread_create(&actor->thread, NULL, run_actor, actor), 0);
    points_await(actor);
}

static void release_to(points_actor *actor, const char *point)
{
    ck_assert_msg(actor->held, "%s is not held", actor->name);
    actor->target = point;
    actor->held = false;
    (void)sem_post(&actor->go);
}

void points_aim(points_actor *actor, const char *point)
{
    release_to(actor, point);
}

void points_await(points_actor *actor)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += patience();
    int failed;
    while ((failed = sem_timedwait(&actor->arrived, &until)) != 0 && errno == EINTR) {
    }
    const char *target = actor->target != NULL ? actor->target : "its start";
    ck_assert_msg(failed == 0, "%s did not come to %s", actor->name, target);
    ck_assert_msg(!points_ended(actor), "%s ended without passing %s", actor->name, target);
    actor->held = true;
}

void points_run_to(points_actor *actor, const char *point)
{
    points_aim(actor, point);
    points_await(actor);
}

void points_let_go(points_actor *actor)
{
    release_to(actor, NULL);
}

/* The letter of the thread's state; 'X' when it is gone. */
static char read_state(int64_t task)
{
    char path[64];
    char line[256];
    snprintf(path, sizeof(path), "/proc/self/task/%lld/stat", (long long)task);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 'X';
    }
    const char *end = fgets(line, sizeof(line), file) != NULL ? strrchr(line, ')') : NULL;
    char state = end != NULL && end[1] == ' ' ? end[2] : 'X';
    (void)fclose(file);
    return state;
}

void points_await_stuck(const points_actor *actor)
{
    ck_assert_msg(!actor->held, "%s is held", actor->name);
    time_t until = time(NULL) + patience();
    while (!points_ended(actor) && (rn_load_acquire(&actor->running) == 0 ||
                                    read_state(rn_load_acquire(&actor->task)) != 'S')) {
        ck_assert_msg(time(NULL) < until, "%s neither sleeps nor ends", actor->name);
        (void)sched_yield();
    }
}

bool points_ended(const points_actor *actor)
{
    return rn_load_acquire(&actor->ended) != 0;
}

void points_finish(points_actor *actor)
{
    if (actor->held) {
        points_let_go(actor);
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += patience();
    int failed = pthread_timedjoin_np(actor->thread, NULL, &until);
    ck_assert_msg(failed == 0, "%s does not end", actor->name);
    (void)sem_destroy(&actor->arrived);
    (void)sem_destroy(&actor->go);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A director for threads that race: it says where each of them stops, so that an interleaving is a
 * test and not a matter of luck.
 *
 *     points_start(&owner, "owner", charge_it, &ask);   held before its first statement
 *     points_run_to(&owner, "charge.published");        runs until it gets there, and is held
 *     points_run_to(&asker, "recall.fenced");           the next one
 *     points_let_go(&owner);                            runs on; may come to a lock that asker has
 *     points_await_stuck(&owner);                       until it sleeps there, or has ended
 *     points_finish(&asker);                            runs to its end
 *     points_finish(&owner);
 *
 * The director waits only for what was asked to arrive. A thread that is neither held nor under a
 * director passes every point. All functions are for the test's own thread, and fail the test when
 * what they wait for does not come within a minute. */
#ifndef RATION_TESTS_POINTS_H
#define RATION_TESTS_POINTS_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct points_actor {
    const char *name; /* in failures */
    void (*act)(void *argument);
    void *argument;
    pthread_t thread;
    const char *target; /* where to be held next; NULL = nowhere. Written while held, read by the
                           thread when it was let go */
    bool held;          /* the director's view: it waits for `go` */
    int64_t task, running, ended; /* written by the thread */
    sem_t arrived, go;
} points_actor;

/* Starts the thread; it is held before `act`. */
void points_start(points_actor *actor, const char *name, void (*act)(void *argument),
                  void *argument);
/* Lets a held thread go on until the next time it passes `point`; does not wait for it. */
void points_aim(points_actor *actor, const char *point);
/* Waits until the thread is held where it was aimed at. */
void points_await(points_actor *actor);
/* Both. */
void points_run_to(points_actor *actor, const char *point);
/* Lets a held thread go on to its end; does not wait for it. */
void points_let_go(points_actor *actor);
/* Waits until a thread that is not held sleeps in the kernel (at a lock, on a ticket), or has
 * ended. */
void points_await_stuck(const points_actor *actor);
/* Has `act` returned? */
bool points_ended(const points_actor *actor);
/* Lets the thread go if it is held, and waits for its end. */
void points_finish(points_actor *actor);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads that are to meet: they spin before they yield, have small stacks, and may be a crowd that
 * takes one step together and then rests. RATION_STRESS=long asks for the long form of a test. */
#ifndef RATION_TESTS_MEMORY_RACING_H
#define RATION_TESTS_MEMORY_RACING_H

#include "memory/pool.h"
#include "tests/memory/threads.h"

#define STACK_BYTES ((size_t)128 * 1024)

static inline bool is_long(void)
{
    const char *form = getenv("RATION_STRESS");
    return form != NULL && strcmp(form, "long") == 0;
}

/* As await, but two that run side by side lose no time. */
static inline void wait_for(const int64_t *word, int64_t value)
{
    for (int i = 0; rn_load_acquire(word) < value; i++) {
        if (takes_turns() || i % 1024 == 1023) {
            (void)sched_yield();
        }
    }
}

/* Gives another thread the chance to move `word` on from `seen`; bounded, for it may be asleep. */
static inline void let_move(const int64_t *word, int64_t seen)
{
    for (int i = 0; i < 2000 && rn_load(word) == seen; i++) {
        if (takes_turns()) {
            (void)sched_yield();
        }
    }
}

static inline pthread_t start_thread(void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    ck_assert_int_eq(pthread_attr_init(&attributes), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, STACK_BYTES), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, run, argument), 0);
    (void)pthread_attr_destroy(&attributes);
    return thread;
}

static inline void join_thread(pthread_t thread)
{
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* Owner only, between two charges: I3 without the lock. The exchange makes the owner's store
 * visible and its next load a fresh one; a recall under way is waited for, so that what it decides
 * about the last charge is seen before the next charge asks for new credit and hides it. */
static inline bool rests_within_limit(const rn_slot *slot)
{
    int64_t order = 0;
    rn_exchange_seq_cst(&order, 1);
    int64_t limit = rn_load(&slot->hot.limit);
    for (int i = 0; i < 1000 && limit == RN_SLOT_CLOSED; i++) {
        limit = rn_load(&slot->hot.limit);
    }
    return limit == RN_SLOT_CLOSED || rn_slot_used(slot) <= limit;
}

/* ---------------------------------------------------------------------------------------- crowd */

typedef struct crowd crowd;

typedef struct member {
    crowd *of;
    int index;
    pthread_t thread;
    rn_slot *slot;
    void *block;
} member;

/* `step` is run once by every member in each round; afterwards all of them rest, asleep. */
struct crowd {
    pthread_mutex_t lock;
    pthread_cond_t next, rested;
    void (*step)(member *self); /* NULL: leave */
    int64_t round;
    int resting, count;
    member *members;
};

static inline void *run_member(void *argument)
{
    member *self = (member *)argument;
    crowd *of = self->of;
    (void)pthread_mutex_lock(&of->lock);
    for (int64_t round = 0;; round++) {
        of->resting += 1;
        if (of->resting == of->count) {
            (void)pthread_cond_signal(&of->rested);
        }
        while (of->round == round) {
            (void)pthread_cond_wait(&of->next, &of->lock);
        }
        void (*step)(member *) = of->step;
        if (step == NULL) {
            break;
        }
        (void)pthread_mutex_unlock(&of->lock);
        step(self);
        (void)pthread_mutex_lock(&of->lock);
    }
    (void)pthread_mutex_unlock(&of->lock);
    return NULL;
}

static inline void wait_until_all_rest(crowd *of)
{
    while (of->resting < of->count) {
        (void)pthread_cond_wait(&of->rested, &of->lock);
    }
}

/* Every member runs `step` once, all at the same time; returns when all rest again. */
static inline void crowd_round(crowd *of, void (*step)(member *self))
{
    (void)pthread_mutex_lock(&of->lock);
    of->step = step;
    of->resting = 0;
    of->round += 1;
    (void)pthread_cond_broadcast(&of->next);
    if (step != NULL) {
        wait_until_all_rest(of);
    }
    (void)pthread_mutex_unlock(&of->lock);
}

static inline void crowd_open(crowd *of, int count)
{
    *of = (crowd){.count = count};
    ck_assert_int_eq(pthread_mutex_init(&of->lock, NULL), 0);
    ck_assert_int_eq(pthread_cond_init(&of->next, NULL), 0);
    ck_assert_int_eq(pthread_cond_init(&of->rested, NULL), 0);
    of->members = (member *)calloc((size_t)count + 1, sizeof(member));
    ck_assert_ptr_nonnull(of->members);
    for (int i = 0; i < count; i++) {
        of->members[i] = (member){.of = of, .index = i};
        of->members[i].thread = start_thread(run_member, &of->members[i]);
    }
    (void)pthread_mutex_lock(&of->lock);
    wait_until_all_rest(of);
    (void)pthread_mutex_unlock(&of->lock);
}

static inline void crowd_close(crowd *of)
{
    crowd_round(of, NULL);
    for (int i = 0; i < of->count; i++) {
        join_thread(of->members[i].thread);
    }
    free(of->members);
    (void)pthread_cond_destroy(&of->next);
    (void)pthread_cond_destroy(&of->rested);
    (void)pthread_mutex_destroy(&of->lock);
}

#endif

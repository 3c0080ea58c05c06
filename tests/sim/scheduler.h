/* SPDX-License-Identifier: Apache-2.0
 *
 * Coroutines in one thread, under a simulated clock.
 *
 *     sim_begin(seed) -> sim_spawn ... -> sim_run -> sim_end
 *
 * What runs is decided by the seed alone: the same seed gives the same steps at the same times, and
 * so the same trace. A coroutine gives way at schedule points (sim_point), when it sleeps
 * (sim_sleep_until), and when it waits for something (sim_wait until sim_wake). The clock moves a
 * little with every step, and to the next deadline when nobody can run.
 *
 * A failure (sim_fail) prints what is wrong, the last steps and how to replay, and ends the test.
 */
#ifndef RATION_TESTS_SIM_SCHEDULER_H
#define RATION_TESTS_SIM_SCHEDULER_H

#include "base/base.h"

#define SIM_MICROSECOND_NS INT64_C(1000)
#define SIM_MILLISECOND_NS INT64_C(1000000)

void sim_begin(uint64_t seed);
void sim_end(void);
/* A coroutine that is ready to run. Who is `attending` (a ticker, a monitor) does not keep the
 * simulation alive, and nobody is saved from a deadlock by it. `name` is kept by pointer. */
void sim_spawn(const char *name, bool attending, void (*body)(void *argument), void *argument);
/* Runs until all who do not attend have ended; `check` is called after every step. */
void sim_run(void (*check)(void));
/* Have all who do not attend ended? Those who attend are to end then. */
bool sim_is_over(void);

/* Does simulated time pass: is this called from a coroutine, or from `check`? */
bool sim_is_on(void);
/* Called from a coroutine? */
bool sim_is_inside(void);
int64_t sim_now_ns(void);
/* The same, for code under test: who reads the clock without end goes round in circles. */
int64_t sim_look_ns(void);
/* From now on work takes time: this much. */
void sim_pass(int64_t ns);

/* A place where another coroutine may run instead: one in `rarity` times it does. */
void sim_point(const char *name, int64_t value);
void sim_set_rarity(uint32_t rarity);
void sim_sleep_until(int64_t ns);
/* Waits until somebody wakes those who wait for `what`; false = `deadline_ns` (INT64_MAX = none) is
 * past. */
bool sim_wait(const char *name, const void *what, int64_t deadline_ns);
void sim_wake(const void *what);

/* Two streams of numbers that follow from the seed: what the script decides, and what the order of
 * steps does. */
uint64_t sim_below(uint64_t bound);
bool sim_one_in(uint64_t chances);

/* Adds to the trace. */
void sim_note(const char *name, int64_t value);
uint64_t sim_trace(void);
uint64_t sim_steps(void);
uint64_t sim_seed(void);
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define sim_must(condition, ...)                                                                   \
    do {                                                                                           \
        if (RN_UNLIKELY(!(condition))) {                                                           \
            sim_fail(__VA_ARGS__);                                                                 \
        }                                                                                          \
    } while (0)

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the library would block on, and where it looks at the clock, in simulated time. The linker
 * puts these functions in place of the real ones (--wrap, see the Makefile); the library itself is
 * the one that is tested everywhere else, and knows nothing of it. Outside of a simulation each
 * does what the real one does.
 *
 * Schedule points: functions that one file of the library calls in another, before which another
 * coroutine may run, as another thread might. None of them is called with the ledger's lock held.
 */
#include <errno.h>
#include <execinfo.h>
#include <time.h>

#include "executor/ask.h"
#include "executor/execution.h"
#include "tests/sim/sim.h"

/* ---------------------------------------------------------------------------------------- clock */

int __real_clock_gettime(clockid_t clock, struct timespec *out_time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out_time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out_time)
{
    if (!sim_is_on()) {
        return __real_clock_gettime(clock, out_time);
    }
    int64_t now_ns = sim_look_ns();
    out_time->tv_sec = (time_t)(now_ns / 1000000000);
    out_time->tv_nsec = (long)(now_ns % 1000000000);
    return 0;
}

static int64_t to_ns(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    if (!sim_is_inside()) {
        return __real_nanosleep(time, left);
    }
    sim_sleep_until(sim_now_ns() + to_ns(time));
    return 0;
}

int __real_sched_yield(void);
int __wrap_sched_yield(void);
int __wrap_sched_yield(void)
{
    if (!sim_is_inside()) {
        return __real_sched_yield();
    }
    sim_sleep_until(sim_now_ns() + SIM_MICROSECOND_NS);
    return 0;
}

/* ----------------------------------------------------------------------------------- semaphores */

int __real_sem_post(sem_t *semaphore);
int __wrap_sem_post(sem_t *semaphore);
int __wrap_sem_post(sem_t *semaphore)
{
    int failed = __real_sem_post(semaphore);
    sim_wake(semaphore);
    return failed;
}

static int wait_for(sem_t *semaphore, int64_t deadline_ns)
{
    while (sem_trywait(semaphore) != 0) {
        if (sim_now_ns() >= deadline_ns) {
            errno = ETIMEDOUT;
            return -1;
        }
        (void)sim_wait("waits", semaphore, deadline_ns);
    }
    return 0;
}

int __real_sem_wait(sem_t *semaphore);
int __wrap_sem_wait(sem_t *semaphore);
int __wrap_sem_wait(sem_t *semaphore)
{
    return sim_is_inside() ? wait_for(semaphore, INT64_MAX) : __real_sem_wait(semaphore);
}

int __real_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *deadline);
int __wrap_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *deadline);
int __wrap_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *deadline)
{
    return sim_is_inside() ? wait_for(semaphore, to_ns(deadline))
                           : __real_sem_clockwait(semaphore, clock, deadline);
}

/* ---------------------------------------------------------------------------------------- locks */

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    int failed;
    while (sim_is_inside() && (failed = pthread_mutex_trylock(mutex)) != EOWNERDEAD) {
        if (failed != EBUSY) {
            return failed;
        }
        (void)sim_wait("waits for a lock", mutex, INT64_MAX);
    }
    return sim_is_inside() ? failed : __real_pthread_mutex_lock(mutex);
}

int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int failed = __real_pthread_mutex_unlock(mutex);
    sim_wake(mutex);
    return failed;
}

int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    if (!sim_is_inside()) {
        return __real_pthread_cond_wait(condition, mutex);
    }
    (void)__wrap_pthread_mutex_unlock(mutex);
    (void)sim_wait("waits for a condition", condition, INT64_MAX);
    return __wrap_pthread_mutex_lock(mutex);
}

int __real_pthread_cond_broadcast(pthread_cond_t *condition);
int __wrap_pthread_cond_broadcast(pthread_cond_t *condition);
int __wrap_pthread_cond_broadcast(pthread_cond_t *condition)
{
    sim_wake(condition);
    return __real_pthread_cond_broadcast(condition);
}

int __real_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    sim_wake(condition); /* all: it may wake more than one */
    return __real_pthread_cond_signal(condition);
}

/* ------------------------------------------------------------------------------ schedule points */

/* Stacks are only for reports of defects, and take a simulation's time. */
int __real_backtrace(void **frames, int size);
int __wrap_backtrace(void **frames, int size);
int __wrap_backtrace(void **frames, int size)
{
    return sim_is_inside() ? 0 : __real_backtrace(frames, size);
}

rn_reply __real_rn_ask(rn_slot *slot, int64_t bytes, const char *site);
rn_reply __wrap_rn_ask(rn_slot *slot, int64_t bytes, const char *site);
rn_reply __wrap_rn_ask(rn_slot *slot, int64_t bytes, const char *site)
{
    static const char *const names[] = {
        [RN_ASK_GRANTED] = "ask: granted",
        [RN_ASK_SPILL] = "ask: spill",
        [RN_ASK_WAIT] = "ask: wait",
        [RN_ASK_REFUSED] = "ask: refused",
    };
    sim_point("asks", bytes);
    rn_reply asked = __real_rn_ask(slot, bytes, site);
    if (sim_is_inside()) {
        sim_note(names[asked.answer],
                 asked.answer == RN_ASK_REFUSED ? (int64_t)asked.status : asked.want_bytes);
        oracle_asked(slot, bytes, &asked);
        sim_point("asked", 0);
    }
    return asked;
}

void __real_rn_ask_gave(ration_query *query);
void __wrap_rn_ask_gave(ration_query *query);
void __wrap_rn_ask_gave(ration_query *query)
{
    sim_point("gave", rn_ask_wants(query));
    __real_rn_ask_gave(query);
}

void __real_rn_ask_gave_away(ration_query *query);
void __wrap_rn_ask_gave_away(ration_query *query);
void __wrap_rn_ask_gave_away(ration_query *query)
{
    sim_point("gave, away", rn_ask_wants(query));
    __real_rn_ask_gave_away(query);
}

ration_status __real_rn_execution_spill(rn_execution *execution, int64_t want_bytes);
ration_status __wrap_rn_execution_spill(rn_execution *execution, int64_t want_bytes);
ration_status __wrap_rn_execution_spill(rn_execution *execution, int64_t want_bytes)
{
    sim_point("spills", want_bytes);
    ration_status status = __real_rn_execution_spill(execution, want_bytes);
    sim_point("spilled", (int64_t)status);
    return status;
}

ration_status __real_ration_slot_charge_slow(ration_slot *slot, int64_t bytes, bool published);
ration_status __wrap_ration_slot_charge_slow(ration_slot *slot, int64_t bytes, bool published);
ration_status __wrap_ration_slot_charge_slow(ration_slot *slot, int64_t bytes, bool published)
{
    sim_point("charges", bytes);
    return __real_ration_slot_charge_slow(slot, bytes, published);
}

void __real_ration_slot_release_slow(ration_slot *slot);
void __wrap_ration_slot_release_slow(ration_slot *slot);
void __wrap_ration_slot_release_slow(ration_slot *slot)
{
    sim_point("releases", 0);
    __real_ration_slot_release_slow(slot);
}

ration_status __real_rn_query_poll(ration_query *query);
ration_status __wrap_rn_query_poll(ration_query *query);
ration_status __wrap_rn_query_poll(ration_query *query)
{
    sim_point("polls", 0);
    return __real_rn_query_poll(query);
}

/* Every change of a pool's word is behind it when the lock is let go. */
void __real_rn_ledger_unlock(rn_ledger *ledger);
void __wrap_rn_ledger_unlock(rn_ledger *ledger);
void __wrap_rn_ledger_unlock(rn_ledger *ledger)
{
    __real_rn_ledger_unlock(ledger);
    if (sim_is_inside()) {
        oracle_unlocked(ledger);
    }
}

/* Both have the ledger's lock, or take it; the first does not go through the second's name. */
void __real_rn_pool_set_limit(ration_pool *pool, int64_t limit_bytes);
void __wrap_rn_pool_set_limit(ration_pool *pool, int64_t limit_bytes);
void __wrap_rn_pool_set_limit(ration_pool *pool, int64_t limit_bytes)
{
    if (sim_is_inside()) {
        oracle_limit(pool, limit_bytes);
    }
    __real_rn_pool_set_limit(pool, limit_bytes);
}

void __real_rn_pool_set_limit_locked(ration_pool *pool, int64_t limit_bytes);
void __wrap_rn_pool_set_limit_locked(ration_pool *pool, int64_t limit_bytes);
void __wrap_rn_pool_set_limit_locked(ration_pool *pool, int64_t limit_bytes)
{
    if (sim_is_inside()) {
        oracle_limit(pool, limit_bytes);
    }
    __real_rn_pool_set_limit_locked(pool, limit_bytes);
}

/* What the process has in memory is what the simulated one has. */
int64_t __real_rn_probe_process(int64_t pid, int64_t *out_memory_bytes);
int64_t __wrap_rn_probe_process(int64_t pid, int64_t *out_memory_bytes);
int64_t __wrap_rn_probe_process(int64_t pid, int64_t *out_memory_bytes)
{
    int64_t start_time = __real_rn_probe_process(pid, out_memory_bytes);
    if (sim_is_on()) {
        *out_memory_bytes = sim_machine_resident();
    }
    return start_time;
}

/* Before a simulation it has nothing: the plans' own governor is there first, and what the process
 * has then would be taken off. */
int64_t __real_rn_probe_resident(const char *sysroot);
int64_t __wrap_rn_probe_resident(const char *sysroot);
int64_t __wrap_rn_probe_resident(const char *sysroot)
{
    return sim_is_on() ? __real_rn_probe_resident(sysroot) : 0;
}

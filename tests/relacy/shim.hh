/* SPDX-License-Identifier: Apache-2.0
 *
 * Lets Relacy Race Detector run the sources of memory/ as they are: the compiler's atomic builtins,
 * pthread mutexes and membarrier become operations of its simulated threads. Included before any
 * source of the product.
 *
 *     world_begin -> (the product runs) -> world_end        once per simulated execution
 *
 * Memory. Blocks lie in an arena that never moves and is never used twice in one execution. Words
 * named by watch_word stay int64_t in the product; beside each lies an rl::atomic with its history,
 * which every __atomic_* on that address goes to. The product's own memory always holds the newest
 * value, so that a write around the builtins is noticed at the next access. Other words reached by
 * __atomic_* are the ledger's: a store to one needs the lock. An access to freed memory fails.
 *
 * Lock. The ledger's is simulated; others lie outside of the arena and are not needed, because
 * ledgers are opened and closed before and after the threads. Before it is let go, `audit` is run:
 * the product's own audit, with all words read as their newest value and without any schedule
 * point.
 *
 * Barrier. BARRIER_ALL is Relacy's FlushProcessWriteBuffers: all threads at one instant.
 * BARRIER_EACH is weaker and nearer to the kernel: one thread after the other, from any of them on,
 * with all running in between; it orders that thread with the caller and with nobody else.
 * BARRIER_VISIT: the kernel refuses membarrier after open and lets the caller visit processors,
 * each of which runs one thread; BARRIER_REFUSED: not that either. BARRIER_LOST is the planted
 * fault: it says that it ordered, and did not.
 */
#ifndef RATION_TESTS_RELACY_SHIM_HH
#define RATION_TESTS_RELACY_SHIM_HH

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <iostream>
#include <sstream>

#include <relacy/relacy.hpp>

#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno
#define errno shim::error_number()
#undef sched_yield
#undef pthread_mutex_t
#undef pthread_mutexattr_t
#undef pthread_mutexattr_init
#undef pthread_mutexattr_destroy
#undef pthread_mutexattr_settype
#undef pthread_mutex_init
#undef pthread_mutex_destroy
#undef pthread_mutex_lock
#undef pthread_mutex_unlock
#undef sem_init
#undef sem_destroy
#undef sem_wait
#undef sem_trywait
#undef sem_post

#define _Noreturn [[noreturn]]
#define _Static_assert static_assert

/* Fails the execution that is simulated; Relacy prints its history. */
#define require(condition, text)                                                                   \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            rl::ctx().fail_test(text, rl::test_result_user_assert_failed, $);                      \
        }                                                                                          \
    } while (0)

namespace shim
{

enum barrier_kind { BARRIER_ALL, BARRIER_EACH, BARRIER_VISIT, BARRIER_REFUSED, BARRIER_LOST };

typedef rl::atomic<int64_t> cell;
typedef rl::rl_pthread_mutex_t mutex;
typedef rl::rl_sem_t semaphore;

const size_t ARENA_BYTES = 64 * 1024;
const size_t WORDS = ARENA_BYTES / sizeof(int64_t);
const size_t CELLS_MAX = 64;
const int THREADS_MAX = 4;
const size_t SEMAPHORES_MAX = 8;

const size_t GRANULE = 128; /* of the product's allocator */

/* One simulated execution. */
struct world {
    alignas(128) char arena[ARENA_BYTES];
    size_t arena_used;
    size_t live[ARENA_BYTES / GRANULE]; /* bytes of the block that begins here .. */
    bool used[ARENA_BYTES / GRANULE];   /* .. and all granules of blocks that are alive */
    cell *cells[WORDS];                 /* of the word at the same place of the arena */
    alignas(16) char cell_memory[CELLS_MAX][sizeof(cell)];
    size_t cells_used;
    alignas(16) char mutex_memory[sizeof(mutex)];
    alignas(16) char semaphore_memory[SEMAPHORES_MAX][sizeof(semaphore)];
    sem_t *semaphores[SEMAPHORES_MAX]; /* the product's, at the same place */
    size_t semaphores_used;
    int errors[THREADS_MAX]; /* errno of each thread */
    int lock_owner;          /* -1 = free */
    bool special;            /* before and after the threads: no lock needed */
    bool auditing;
};
static world now;

/* How the program was told to run, and the faults it was told to plant. */
static barrier_kind barrier = BARRIER_EACH;
static bool weak_release;              /* release and acquire become relaxed */
static bool weak_seq_cst;              /* seq_cst becomes acquire, release */
static unsigned long long stale_loads; /* that returned a value which was not the newest */
static void (*audit)();
static void (*order_with)(int first, int count); /* for the number of threads that run */

static inline int thread_now()
{
    return rl::ctx().threadx_->index_;
}

static int &error_number()
{
    return now.errors[thread_now()];
}

/* --------------------------------------------------------------------------------------- memory */

static size_t offset_of(const void *address)
{
    return (size_t)((const char *)address - now.arena);
}

static bool is_in_arena(const void *address)
{
    return (const char *)address >= now.arena && (const char *)address < now.arena + ARENA_BYTES;
}

static void *allocate(size_t bytes)
{
    size_t padded = (bytes + GRANULE - 1) / GRANULE * GRANULE;
    require(now.arena_used + padded <= ARENA_BYTES, "the arena is full");
    size_t at = now.arena_used;
    now.arena_used += padded;
    now.live[at / GRANULE] = padded;
    memset(&now.used[at / GRANULE], true, padded / GRANULE);
    return now.arena + at;
}

static void watch_word(int64_t *word)
{
    require(now.cells_used < CELLS_MAX, "too many watched words");
    cell *made = new (now.cell_memory[now.cells_used++]) cell(*word);
    now.cells[offset_of(word) / sizeof(int64_t)] = made;
}

static void release(void *memory)
{
    size_t at = offset_of(memory);
    size_t bytes = is_in_arena(memory) && at % GRANULE == 0 ? now.live[at / GRANULE] : 0;
    require(bytes > 0, "freed twice, or never allocated");
    now.live[at / GRANULE] = 0;
    memset(&now.used[at / GRANULE], false, bytes / GRANULE);
    for (size_t i = at; i < at + bytes; i += sizeof(int64_t)) {
        cell *&watched = now.cells[i / sizeof(int64_t)];
        if (watched != NULL) {
            watched->~cell();
            watched = NULL;
        }
    }
}

/* -------------------------------------------------------------------------------------- atomics */

static rl::memory_order order_of(int order)
{
    switch (order) {
    case __ATOMIC_RELAXED:
        return rl::mo_relaxed;
    case __ATOMIC_ACQUIRE:
        return weak_release ? rl::mo_relaxed : rl::mo_acquire;
    case __ATOMIC_RELEASE:
        return weak_release ? rl::mo_relaxed : rl::mo_release;
    case __ATOMIC_ACQ_REL:
        return weak_release ? rl::mo_relaxed : rl::mo_acq_rel;
    default:
        return rl::mo_seq_cst;
    }
}

/* The cell of a watched word; NULL for another word, or when everything stands still. */
static cell *cell_of(const int64_t *word, const rl::debug_info &info)
{
    if (!is_in_arena(word)) {
        return NULL;
    }
    cell *watched = now.cells[offset_of(word) / sizeof(int64_t)];
    if (watched == NULL) {
        if (!now.used[offset_of(word) / GRANULE]) {
            rl::ctx().fail_test("freed memory", rl::test_result_access_to_freed_memory, info);
        }
        return NULL;
    }
    if (watched->debug_value() != *word) {
        rl::ctx().fail_test("written around the atomics", rl::test_result_data_race, info);
    }
    return now.auditing || rl::ctx().invariant_executing ? NULL : watched;
}

static int64_t load(const int64_t *word, int order, const rl::debug_info &info)
{
    cell *watched = cell_of(word, info);
    if (watched == NULL) {
        return *word;
    }
    rl::memory_order with = order_of(order);
    with = with == rl::mo_seq_cst && weak_seq_cst ? rl::mo_acquire : with;
    int64_t value = watched->load(with, info);
    stale_loads += value != *word;
    return value;
}

static void need_lock(const int64_t *word, const rl::debug_info &info)
{
    if (is_in_arena(word) && !now.special && now.lock_owner != thread_now()) {
        rl::ctx().fail_test("a word of the ledger stored without the lock",
                            rl::test_result_data_race, info);
    }
}

static void store(int64_t *word, int64_t value, int order, const rl::debug_info &info)
{
    cell *watched = cell_of(word, info);
    if (watched == NULL) {
        need_lock(word, info);
        *word = value;
        return;
    }
    watched->store(value, order_of(order), info);
    *word = value;
}

static int64_t exchange(int64_t *word, int64_t value, int order, const rl::debug_info &info)
{
    cell *watched = cell_of(word, info);
    if (watched == NULL) {
        need_lock(word, info);
        int64_t before = *word;
        *word = value;
        return before;
    }
    rl::memory_order with = order_of(order);
    with = with == rl::mo_seq_cst && weak_seq_cst ? rl::mo_acq_rel : with;
    int64_t before = watched->exchange(value, with, info);
    *word = value;
    return before;
}

static int64_t fetch_add(int64_t *word, int64_t value, int order, const rl::debug_info &info)
{
    cell *watched = cell_of(word, info);
    int64_t before = *word;
    if (watched != NULL) {
        before = watched->fetch_add(value, order_of(order), info);
    }
    *word = before + value;
    return before;
}

static bool compare_exchange(int64_t *word, int64_t *expected, int64_t value, int order,
                             const rl::debug_info &info)
{
    cell *watched = cell_of(word, info);
    int64_t before = *word;
    bool same = before == *expected;
    if (watched != NULL) {
        same = watched->compare_exchange_strong(*expected, value, order_of(order), info);
    } else {
        *expected = before;
    }
    if (same) {
        *word = value;
    }
    return same;
}

/* -------------------------------------------------------------------------------------- barrier */

/* `count` threads from `first` on, in a circle: what each did until its turn is seen by the caller
 * from then on, and what the caller did before it called is seen by each. */
template <int N> static void order_with_of(int first, int count)
{
    typedef rl::aligned<rl::thread_info<N>> info;
    rl::context &context = rl::ctx();
    int self = thread_now();
    info *threads = static_cast<info *>(static_cast<rl::thread_info<N> *>(context.threadx_)) - self;
    rl::timestamp_t at_entry[N];
    memcpy(at_entry, threads[self].acq_rel_order_, sizeof(at_entry));
    for (int i = 0; i < (count < N ? count : N); i++) {
        int other = (first + i) % N;
        if (other == self) {
            continue;
        }
        context.sched();
        for (int j = 0; j < N; j++) {
            rl::timestamp_t &mine = threads[self].acq_rel_order_[j];
            rl::timestamp_t &its = threads[other].acq_rel_order_[j];
            rl::timestamp_t seen = its;
            its = its > at_entry[j] ? its : at_entry[j];
            mine = mine > seen ? mine : seen;
        }
    }
}

static long pass_membarrier(int command)
{
    if (command == MEMBARRIER_CMD_QUERY) {
        return MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    }
    if (command == MEMBARRIER_CMD_PRIVATE_EXPEDITED && !now.special) {
        if (barrier == BARRIER_ALL) {
            rl::ctx().sched();
            rl::rl_FlushProcessWriteBuffers($);
        } else if (barrier == BARRIER_EACH) {
            unsigned others = (unsigned)rl::ctx().get_thread_count() - 1;
            order_with(thread_now() + 1 + (int)rl::rand(others), THREADS_MAX);
        } else if (barrier != BARRIER_LOST) {
            return -1;
        }
    }
    return 0;
}

/* On processor i runs thread i; there are no others. All of them together are where it was. */
static int set_affinity(const cpu_set_t *set)
{
    int count = 0;
    int last = 0;
    if (barrier == BARRIER_REFUSED) {
        return -1;
    }
    for (int processor = 0; processor < THREADS_MAX; processor++) {
        count += CPU_ISSET(processor, set) != 0;
        last = CPU_ISSET(processor, set) ? processor : last;
    }
    if (count == 1) {
        order_with(last, 1);
    }
    return count == 0 ? -1 : 0;
}

static int get_affinity(cpu_set_t *set)
{
    CPU_ZERO(set);
    for (int processor = 0; processor < THREADS_MAX; processor++) {
        CPU_SET(processor, set);
    }
    return 0;
}

static long system_call(long number, long command = 0, long = 0, long = 0, long = 0, long = 0,
                        long = 0)
{
    if (number == SYS_nanosleep) {
        rl::yield(1, $);
        return 0;
    }
    require(number == SYS_membarrier, "a system call the shim does not know");
    return pass_membarrier((int)command);
}

/* ----------------------------------------------------------------------------------------- lock */

static int lock_init(const pthread_mutex_t *lock)
{
    require(is_in_arena(lock), "a lock that is not the ledger's");
    mutex *made = new (now.mutex_memory) mutex;
    return rl::rl_pthread_mutex_init(made, NULL, $);
}

static mutex *the_lock()
{
    return reinterpret_cast<mutex *>(now.mutex_memory);
}

static int lock_destroy()
{
    int failed = rl::rl_pthread_mutex_destroy(the_lock(), $);
    the_lock()->~mutex();
    return failed;
}

static int lock_take(const pthread_mutex_t *lock, const rl::debug_info &info)
{
    if (now.auditing || !is_in_arena(lock)) {
        return 0;
    }
    int failed = rl::rl_pthread_mutex_lock(the_lock(), info);
    now.lock_owner = thread_now();
    return failed;
}

static int lock_leave(const pthread_mutex_t *lock, const rl::debug_info &info)
{
    if (now.auditing || !is_in_arena(lock)) {
        return 0;
    }
    if (audit != NULL) {
        now.auditing = true;
        audit();
        now.auditing = false;
    }
    now.lock_owner = -1;
    return rl::rl_pthread_mutex_unlock(the_lock(), info);
}

/* ----------------------------------------------------------------------------------- semaphores */

static semaphore *find_semaphore(const sem_t *named)
{
    for (size_t i = 0; i < now.semaphores_used; i++) {
        if (now.semaphores[i] == named) {
            return reinterpret_cast<semaphore *>(now.semaphore_memory[i]);
        }
    }
    require(false, "a semaphore that is not open");
    return NULL;
}

static int semaphore_init(sem_t *named, unsigned value)
{
    require(now.semaphores_used < SEMAPHORES_MAX, "too many semaphores");
    now.semaphores[now.semaphores_used] = named;
    semaphore *made = new (now.semaphore_memory[now.semaphores_used++]) semaphore;
    return rl::rl_sem_init(made, 0, value, $);
}

static int semaphore_destroy(sem_t *named)
{
    semaphore *found = find_semaphore(named);
    int failed = rl::rl_sem_destroy(found, $);
    found->~semaphore();
    for (size_t i = 0; i < now.semaphores_used; i++) {
        now.semaphores[i] = now.semaphores[i] == named ? NULL : now.semaphores[i];
    }
    return failed;
}

/* May fail with EINTR, and with ETIMEDOUT at any time when it is timed. */
static int semaphore_wait(sem_t *named, bool attempt, bool timed, const rl::debug_info &info)
{
    switch (find_semaphore(named)->wait(attempt, timed, info)) {
    case rl::sema_wakeup_reason_success:
        return 0;
    case rl::sema_wakeup_reason_failed:
        error_number() = EAGAIN;
        return -1;
    case rl::sema_wakeup_reason_timeout:
        error_number() = ETIMEDOUT;
        return -1;
    default:
        error_number() = EINTR;
        return -1;
    }
}

static int semaphore_post(sem_t *named, const rl::debug_info &info)
{
    return rl::rl_sem_post(find_semaphore(named), info);
}

/* -------------------------------------------------------------------------------------- a world */

template <int N> static void world_begin()
{
    /* An execution that failed leaves everything behind. */
    memset(now.arena, 0, now.arena_used);
    memset(now.cells, 0, now.arena_used / sizeof(int64_t) * sizeof(now.cells[0]));
    memset(now.live, 0, sizeof(now.live));
    memset(now.used, 0, sizeof(now.used));
    now.arena_used = now.cells_used = now.semaphores_used = 0;
    now.lock_owner = -1;
    now.special = true;
    now.auditing = false;
    audit = NULL;
    order_with = order_with_of<N>;
}

static void world_end()
{
    for (size_t i = 0; i < ARENA_BYTES / GRANULE; i++) {
        require(!now.used[i], "memory left behind");
    }
}

} // namespace shim

#define __atomic_load_n(word, order) shim::load(word, order, $)
#define __atomic_store_n(word, value, order) shim::store(word, value, order, $)
#define __atomic_exchange_n(word, value, order) shim::exchange(word, value, order, $)
#define __atomic_fetch_add(word, value, order) shim::fetch_add(word, value, order, $)
#define __atomic_compare_exchange_n(word, expected, value, weak, order, otherwise)                 \
    shim::compare_exchange(word, expected, value, order, $)
#define __atomic_signal_fence(order) ((void)0)

#define pthread_mutex_init(lock, attributes) ((void)(attributes), shim::lock_init(lock))
#define pthread_mutex_destroy(lock) ((void)(lock), shim::lock_destroy())
#define pthread_mutex_lock(lock) shim::lock_take(lock, $)
#define pthread_mutex_unlock(lock) shim::lock_leave(lock, $)
#define pthread_once(once, call) ((void)(once), call(), 0)
#define pthread_atfork(before, in_parent, in_child)                                                \
    ((void)(before), (void)(in_parent), (void)(in_child), 0)
#define sem_init(semaphore, shared, value) shim::semaphore_init(semaphore, value)
#define sem_destroy(semaphore) shim::semaphore_destroy(semaphore)
#define sem_wait(semaphore) shim::semaphore_wait(semaphore, false, false, $)
#define sem_trywait(semaphore) shim::semaphore_wait(semaphore, true, false, $)
#define sem_clockwait(semaphore, clock, deadline)                                                  \
    ((void)(deadline), shim::semaphore_wait(semaphore, false, true, $))
#define sem_post(semaphore) shim::semaphore_post(semaphore, $)
#define syscall(number, first, ...) shim::system_call(number, (long)(first), __VA_ARGS__)
#define sched_yield() (rl::yield(1, $), 0)
#define sched_getaffinity(process, size, set) ((void)(process), shim::get_affinity(set))
#define sched_setaffinity(process, size, set) ((void)(process), shim::set_affinity(set))

#endif

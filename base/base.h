/* SPDX-License-Identifier: Apache-2.0
 *
 * What every file may use: attributes, assertions, atomics by name, checked arithmetic.
 *
 * Assertions, after SQLite: rn_assert(X) = we have a proof (checked builds abort, release builds do
 * not look); rn_always(X) / rn_never(X) = we believe it and go on when it fails (checked builds
 * abort, release builds count the fault in rn_faults and take the fallback). Checked builds define
 * RATION_CHECKED.
 *
 * Atomics are plain int64_t words reached only through these functions, so that public structs stay
 * valid C99 and C++. The name says the order; the field's comment says who writes and who reads.
 */
#ifndef RATION_BASE_H
#define RATION_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ration.h"

#define RN_LIKELY(x) __builtin_expect(!!(x), 1)
#define RN_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define RN_PRINTF(text_, first_) __attribute__((format(printf, text_, first_)))
#define RN_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RN_MIN(a, b) ((a) < (b) ? (a) : (b))
#define RN_MAX(a, b) ((a) > (b) ? (a) : (b))
/* Is this built with the address, the thread sanitizer? 0 or 1; gcc and clang tell differently. */
#if defined(__has_feature)
#define RN_ASAN __has_feature(address_sanitizer)
#define RN_TSAN __has_feature(thread_sanitizer)
#else
#ifdef __SANITIZE_ADDRESS__
#define RN_ASAN 1
#else
#define RN_ASAN 0
#endif
#ifdef __SANITIZE_THREAD__
#define RN_TSAN 1
#else
#define RN_TSAN 0
#endif
#endif
/* A schedule point: where a test may hold the thread. */
#define RN_POINT(name) RATION_POINT(name)

/* Returns the status of a call to the caller unless it is RATION_OK. */
#define RN_TRY(call)                                                                               \
    do {                                                                                           \
        ration_status rn_status_ = (call);                                                         \
        if (RN_UNLIKELY(rn_status_ != RATION_OK)) {                                                \
            return rn_status_;                                                                     \
        }                                                                                          \
    } while (0)

/* Prints file:line: assertion text, and aborts. */
_Noreturn void rn_assert_failed(const char *file, int line, const char *text);
/* Checked builds abort; release builds count. Always returns false, so that it can stand in a
 * condition. */
bool rn_fault(const char *file, int line, const char *text);
/* Counts a fault that was reported already, in checked builds too. */
void rn_fault_add(void);
/* Beliefs that turned out false since the process started; shown in reports. */
int64_t rn_faults(void);

#ifdef RATION_CHECKED
#define rn_assert(x) ((x) ? (void)0 : rn_assert_failed(__FILE__, __LINE__, #x))
#else
#define rn_assert(x) ((void)sizeof(!(x)))
#endif
#define rn_always(x) (RN_LIKELY(x) ? true : rn_fault(__FILE__, __LINE__, #x))
#define rn_never(x) (RN_UNLIKELY(x) ? !rn_fault(__FILE__, __LINE__, "never: " #x) : false)

static inline int64_t rn_load(const int64_t *word) /* relaxed */
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}
static inline void rn_store(int64_t *word, int64_t value) /* relaxed */
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}
static inline int64_t rn_load_acquire(const int64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
static inline void rn_store_release(int64_t *word, int64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
static inline int64_t rn_fetch_add(int64_t *word, int64_t value) /* relaxed */
{
    return __atomic_fetch_add(word, value, __ATOMIC_RELAXED);
}
/* acq_rel on success; `*expected` receives the word on failure. */
static inline bool rn_compare_swap(int64_t *word, int64_t *expected, int64_t value)
{
    return __atomic_compare_exchange_n(word, expected, value, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

/* Two threads that each exchange their own word and then load the other's: at least one sees the
 * other's exchange. */
static inline void rn_exchange_seq_cst(int64_t *word, int64_t value)
{
    (void)__atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}
static inline int64_t rn_load_seq_cst(const int64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* CLOCK_MONOTONIC in nanoseconds; the coarse one is a few milliseconds late and costs a fifth. */
int64_t rn_clock_ns(void);
int64_t rn_clock_coarse_ns(void);

/* Saturating arithmetic on byte amounts: never wraps, sticks at the ends of int64_t. */
static inline int64_t rn_add(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? (b < 0 ? INT64_MIN : INT64_MAX) : sum;
}
static inline int64_t rn_multiply(int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? ((a < 0) != (b < 0) ? INT64_MIN : INT64_MAX)
                                                  : product;
}
/* count * size for an allocation; false on overflow. */
static inline bool rn_array_bytes(size_t count, size_t size, size_t *out_bytes)
{
    return !__builtin_mul_overflow(count, size, out_bytes) && *out_bytes <= (size_t)INT64_MAX;
}
/* Rounds up to a power of two `step`; sticks at INT64_MAX rounded down. */
static inline int64_t rn_round_up(int64_t bytes, int64_t step)
{
    return rn_add(bytes, step - 1) & ~(step - 1);
}

#endif

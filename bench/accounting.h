/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of bench/accounting.c and bench/parts/accounting_*.c: what is measured, and the clocks.
 *
 *     rivals_open -> rivals_pairs .. -> clock_one / clock_two -> rivals_close
 */
#ifndef RATION_BENCH_ACCOUNTING_H
#define RATION_BENCH_ACCOUNTING_H

#include "memory/ledger.h"

#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define CHUNK_BYTES MIB /* of both sides */

/* One way to count bytes. `loop` charges and releases `bytes`, `turns` times. */
typedef struct rival {
    const char *name;
    void (*loop)(void *state, int64_t bytes, int64_t turns);
    void *state[2]; /* one per thread */
} rival;

/* The compiler must neither know `bytes` nor keep anything in registers over this point. */
#define FORGET(bytes) __asm__ volatile("" : "+r"(bytes) : : "memory")

/* Prints why, and exits with 1. */
_Noreturn void stop_bench(const char *why);
static inline void must_be_ok(ration_status status)
{
    if (RN_UNLIKELY(status != RATION_OK)) {
        stop_bench(ration_status_name(status));
    }
}

/* accounting_rivals.c: the slot and its alternatives. The tree is root -> group -> query -> two
 * slots. */
void rivals_open(void);
void rivals_close(void);
rival *rivals_pairs(size_t *out_count);
/* Eight counters in turn, for the thread that called rivals_open. */
rival *rivals_spread(size_t *out_count);
/* What is measured at one size only. */
rival *rivals_refill(void);
rival *rivals_guard_row(void);
/* One thread, for the instruction counts; to be run with 0 bytes. */
rival *rivals_counted(size_t *out_count);

/* accounting_calls.c: behind a call, in a file of their own so that no compiler can look inside. */
bool chunk_charge_by_call(int64_t bytes);
void chunk_release_by_call(int64_t bytes);

/* The scheme of the first systems, written from its description: a thread takes 1 MiB at a time
 * from one global counter, by adding first and reverting when that was too much; what it holds
 * beyond 1 MiB goes back 1 MiB per turn of a loop. `<=`: an exact fit takes one chunk more. */
typedef struct chunk_counter {
    int64_t used __attribute__((aligned(128)));
    int64_t limit;
} chunk_counter;
extern chunk_counter chunk_global;

static inline bool chunk_charge(chunk_counter *global, int64_t *reserved, int64_t bytes)
{
    int64_t left = *reserved - bytes;
    if (left < 0) {
        int64_t taken = CHUNK_BYTES;
        while (left + taken <= 0) {
            taken += CHUNK_BYTES;
        }
        if (rn_fetch_add(&global->used, taken) + taken > rn_load(&global->limit)) {
            (void)rn_fetch_add(&global->used, -taken);
            return false;
        }
        left += taken;
    }
    *reserved = left;
    return true;
}

static inline void chunk_release(chunk_counter *global, int64_t *reserved, int64_t bytes)
{
    *reserved += bytes;
    while (*reserved > CHUNK_BYTES) {
        (void)rn_fetch_add(&global->used, -CHUNK_BYTES);
        *reserved -= CHUNK_BYTES;
    }
}

/* accounting_clock.c. Nanoseconds of the thread's processor time per turn. */
double clock_one(const rival *what, int64_t bytes, int64_t turns);
/* Turns that take about `ns`. */
int64_t clock_turns(const rival *what, int64_t bytes, int64_t ns);
/* Wall per turn with two threads on two cores, for about `ns`, mean of both; negative when they did
 * not run side by side all the time, or cannot. */
double clock_two(const rival *what, int64_t bytes, int64_t batch, int64_t ns);
/* False when the process may use one core only; then nothing is open. */
bool clock_two_open(void);
void clock_two_close(void);
/* Puts the calling thread on the first or second core of the process. */
void clock_pin(int core);

/* accounting_recall.c: recalls, refusals, readings, and the bytes that idle threads leave usable.
 * `two_cores` false: nothing runs beside a recall. */
void measure_recalls(int rounds, bool two_cores);
void measure_budget(void);

/* One row for bench/accounting.sh: name, value, unit, against, ratio. NAN prints as "-": not
 * measured, or none. */
void print_row(const char *name, double value, const char *unit, double against, double ratio);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What accounting costs, beside the other ways to count bytes; bench/accounting.sh makes the table.
 *
 *     accounting [ROUNDS]               rows "name value unit against ratio", separated by tabs
 *     accounting count WHAT TURNS       runs one loop, for callgrind (--toggle-collect=count_turns)
 *
 * The rivals take turns in every round; the least of all rounds counts. The empty loop's own cost
 * is in every figure, and a row of its own. */
#include "bench/accounting.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUND_NS ((int64_t)2000000)
#define BATCH_NS ((int64_t)20000)
#define TRIES_PER_ROUND 20 /* of two threads that are to run side by side */
#define RIVALS_MOST 16

static const struct {
    const char *name;
    int64_t bytes;
} sizes[] = {{"64B", 64}, {"64KiB", 64 * KIB}, {"2MiB", 2 * MIB}, {"10GiB", 10 * GIB}};

_Noreturn void stop_bench(const char *why)
{
    fprintf(stderr, "accounting: %s\n", why);
    exit(1);
}

static void put_figure(double figure)
{
    if (isnan(figure)) {
        printf("\t-");
    } else {
        printf("\t%.*f", figure >= 10000 ? 0 : 3, figure);
    }
}

void print_row(const char *name, double value, const char *unit, double against, double ratio)
{
    printf("accounting.%s", name);
    put_figure(value);
    printf("\t%s", unit);
    put_figure(against);
    put_figure(ratio);
    putchar('\n');
    (void)fflush(stdout);
}

/* `turns` for one thread; with two threads it is the length of a batch. */
static double time_once(const rival *what, int64_t bytes, int64_t turns, bool two)
{
    if (!two) {
        return clock_one(what, bytes, turns);
    }
    double ns = -1;
    for (int i = 0; i < TRIES_PER_ROUND && ns < 0; i++) {
        ns = clock_two(what, bytes, turns, ROUND_NS);
    }
    return ns < 0 ? INFINITY : ns;
}

/* best[i] of rival i; NAN where two threads never ran side by side. */
static void time_rivals(const rival *rivals, size_t count, int64_t bytes, int rounds, bool two,
                        double *best)
{
    int64_t turns[RIVALS_MOST];
    for (size_t i = 0; i < count; i++) {
        best[i] = INFINITY;
        turns[i] = clock_turns(&rivals[i], bytes, two ? BATCH_NS : ROUND_NS);
    }
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            best[i] = fmin(best[i], time_once(&rivals[i], bytes, turns[i], two));
        }
    }
    for (size_t i = 0; i < count; i++) {
        best[i] = isinf(best[i]) ? NAN : best[i];
    }
}

static double find(const rival *rivals, size_t count, const double *best, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rivals[i].name, name) == 0) {
            return best[i];
        }
    }
    stop_bench(name);
}

/* What is ours says its cost; a rival's row how many times the slot's cost its own is. Where the
 * slot is held against plain counters, two rows more. */
static void print_rivals(const char *setting, const rival *rivals, size_t count, const double *best,
                         bool to_plain)
{
    char name[96];
    double slot = find(rivals, count, best, "slot");
    static const char *const plain[] = {"plain", "plain_limited"};
    for (size_t i = 0; i < count; i++) {
        bool ours = strncmp(rivals[i].name, "slot", 4) == 0;
        (void)snprintf(name, sizeof name, "%s.%s", setting, rivals[i].name);
        print_row(name, best[i], "ns", ours ? NAN : slot, ours ? NAN : best[i] / slot);
    }
    for (size_t i = 0; i < RN_COUNT(plain) && to_plain; i++) {
        double other = find(rivals, count, best, plain[i]);
        (void)snprintf(name, sizeof name, "%s.slot_to_%s", setting, plain[i]);
        print_row(name, slot, "ns", other, slot / other);
    }
}

static void measure_pairs(int rounds, bool two)
{
    size_t count;
    rival *rivals = rivals_pairs(&count);
    double best[RIVALS_MOST];
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        char setting[32];
        (void)snprintf(setting, sizeof setting, "%s.%s", two ? "two" : "one", sizes[i].name);
        time_rivals(rivals, count, sizes[i].bytes, rounds, two, best);
        print_rivals(setting, rivals, count, best, i == 0);
    }
    time_rivals(rivals_refill(), 1, 2 * CHUNK_BYTES, rounds, two, best);
    print_row(two ? "two.refill" : "one.refill", best[0], "ns", NAN, NAN);
    if (!two) {
        time_rivals(rivals_guard_row(), 1, 64, rounds, false, best);
        print_row("one.guard_row", best[0], "ns", NAN, NAN);
        rivals = rivals_spread(&count);
        time_rivals(rivals, count, 64, rounds, false, best);
        print_rivals("one.in_turn", rivals, count, best, true);
    }
}

/* The second thread exists, asleep, from the start: libc's mutex is cheaper before it does. */
static void measure(int rounds)
{
    bool two_cores = clock_two_open();
    measure_pairs(rounds, false);
    measure_pairs(rounds, true);
    clock_two_close();
    measure_recalls(rounds, two_cores);
    measure_budget();
}

__attribute__((noinline)) void count_turns(const rival *what, int64_t turns);

void count_turns(const rival *what, int64_t turns)
{
    what->loop(what->state[0], 0, turns);
}

/* Under valgrind the ledger finds no membarrier and orders by seq_cst. One thread needs no order,
 * so the slot is told to take the path that everybody takes elsewhere. */
static int count_instructions(const char *what, int64_t turns)
{
    size_t count;
    rival *rivals = rivals_counted(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rivals[i].name, what) == 0) {
            ration_slot *slot = (ration_slot *)rivals[i].state[0];
            slot->ordering = 0;
            must_be_ok(ration_slot_try_charge(slot, 64));
            count_turns(&rivals[i], turns);
            ration_slot_release(slot, 64);
            return 0;
        }
    }
    fprintf(stderr, "usage: accounting count empty|plain|plain_limited|charge|release TURNS\n");
    return 2;
}

int main(int argc, char **argv)
{
    int failed = 0;
    rivals_open();
    if (argc == 4 && strcmp(argv[1], "count") == 0) {
        failed = count_instructions(argv[2], atoll(argv[3]));
    } else {
        measure(argc > 1 ? RN_MAX(atoi(argv[1]), 1) : 9);
    }
    rivals_close();
    return failed;
}

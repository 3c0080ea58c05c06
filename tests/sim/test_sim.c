/* SPDX-License-Identifier: Apache-2.0
 *
 * Many queries over one governor, or some that divide a machine, in simulated time; see README.md.
 *
 * RATION_SEED: the first seed (1); RATION_SEEDS: how many. Every 50th seed, and a single one, is
 * played twice: both must leave the same trace. SIM_TRACE=1 prints it. */
#include <signal.h>

#include "tests/sim/sim.h"
#include "tests/support.h"

#define SEEDS_PER_LIBRARY 100
#define SEEDS_USUAL 1000
#define TWICE_EVERY 50

static uint64_t read_number(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    return text == NULL || text[0] == '\0' ? usual : strtoull(text, NULL, 10);
}

static void print_totals(const sim_totals *all)
{
    printf("%llu seeds, %llu queries, %llu steps, %lld KiB written out\n",
           (unsigned long long)all->seeds, (unsigned long long)all->queries,
           (unsigned long long)all->steps, (long long)(all->written_bytes / 1024));
    printf(
        "right rows %llu, left early %llu, refused %llu, victims %llu, timed out %llu, cancelled "
        "%llu, too late %llu\n",
        (unsigned long long)all->right, (unsigned long long)all->left,
        (unsigned long long)all->refused, (unsigned long long)all->victims,
        (unsigned long long)all->timed_out, (unsigned long long)all->cancelled,
        (unsigned long long)all->late);
    printf("spilling failed %llu, no memory %llu, minimum above limit %llu, evaluation %llu\n",
           (unsigned long long)all->spill_failed, (unsigned long long)all->no_memory,
           (unsigned long long)all->below_minimum, (unsigned long long)all->evaluation);
    printf("limits raised %llu, cut %llu; reloads %llu, bad ones %llu\n",
           (unsigned long long)all->raises, (unsigned long long)all->cuts,
           (unsigned long long)all->reloads, (unsigned long long)all->bad_reloads);
}

/* A crash says how to replay, too. */
static void tell_seed(int signal_)
{
    char text[100];
    int length = snprintf(text, sizeof text, "signal %d\nseed=%llu replay: make sim SEED=%llu\n",
                          signal_, (unsigned long long)sim_seed(), (unsigned long long)sim_seed());
    (void)fflush(stdout);
    (void)!write(STDOUT_FILENO, text, (size_t)length);
    (void)signal(signal_, SIG_DFL);
    (void)raise(signal_);
}

START_TEST(test_sim__seeds)
{
    (void)signal(SIGSEGV, tell_seed);
    (void)signal(SIGABRT, tell_seed);
    uint64_t first = read_number("RATION_SEED", 1),
             count = read_number("RATION_SEEDS", SEEDS_USUAL);
    sim_totals all = {0}, again = {0};
    uint64_t opened = UINT64_MAX;
    sim_machine_open();
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (seed / SEEDS_PER_LIBRARY != opened) {
            if (opened != UINT64_MAX) {
                sim_library_close();
            }
            opened = seed / SEEDS_PER_LIBRARY;
            sim_library_open(opened);
        }
        uint64_t trace = sim_play(seed, &all);
        if (count == 1 || seed % TWICE_EVERY == 0) {
            ck_assert_msg(sim_play(seed, &again) == trace,
                          "two runs of one seed differ\nseed=%llu replay: make sim SEED=%llu",
                          (unsigned long long)seed, (unsigned long long)seed);
        }
    }
    sim_library_close();
    sim_machine_close();
    print_totals(&all);
}
END_TEST

/* Valgrind and ThreadSanitizer take coroutines for one stack that jumps. */
static bool knows_no_coroutines(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
#if RN_TSAN
    return true;
#endif
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    if (knows_no_coroutines()) {
        return 77;
    }
    const TTest *const tests[] = {test_sim__seeds};
    return support_run("sim", tests, RN_COUNT(tests));
}

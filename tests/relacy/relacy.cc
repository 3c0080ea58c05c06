/* SPDX-License-Identifier: Apache-2.0
 *
 * The reservation protocol under Relacy Race Detector: the sources of memory/ themselves, not a
 * model of them. README.md says what is found this way and what is not.
 *
 * Prints a line per run: scenario, threads, ordering, search, simulated executions, verdict; at the
 * end which schedule points were passed and how often. Exit codes: 0 all held, 1 one did not (what
 * its threads did is on stderr, unless --quiet), 2 usage.
 */
#include "tests/relacy/shim.hh"

extern "C" {
#include "base/text.h"
}
#include "memory/audit.c"
#include "memory/ledger.c"
#include "memory/pool.c"
#include "memory/queue.c"
#include "memory/recall.c"
#include "memory/shelf.c"
#include "memory/slot.c"
#include "memory/transfer.c"

#include "tests/relacy/scenarios.hh"

/* ------------------------------------------------------------------------ what the sources call */

struct point {
    const char *name;
    unsigned long long passed;
};
static point points[32];

extern "C" {

void ration_point(const char *name)
{
    point *at = points;
    while (at->name != NULL && strcmp(at->name, name) != 0) {
        at++;
    }
    at->name = name;
    at->passed += 1;
}

[[noreturn]] void rn_assert_failed(const char *file, int line, const char *text)
{
    rl::ctx().fail_test(text, rl::test_result_user_assert_failed,
                        rl::debug_info("assertion", file, (unsigned)line));
    abort();
}

bool rn_fault(const char *file, int line, const char *text)
{
    if (ordering_now == REFUSED && strstr(text, "visited") != NULL) {
        return false; /* counted, and survived: the point of that ordering */
    }
    rn_assert_failed(file, line, text);
}

int64_t rn_clock_ns(void)
{
    return 0;
}

int64_t rn_clock_coarse_ns(void)
{
    return 0;
}

} /* extern "C" */

/* Of ledgers that lie in memory of several processes, which no scenario has. */
void *rn_share_take(rn_ledger *, size_t)
{
    abort();
}
void rn_share_give(rn_ledger *, void *)
{
    abort();
}
bool rn_share_owns(const rn_ledger *, const void *)
{
    abort();
}
void rn_ledger_leave(rn_ledger *)
{
    abort();
}
void rn_ledger_repair(rn_ledger *)
{
    abort();
}
bool rn_ledger_bury_gone(rn_ledger *, bool)
{
    abort();
}

static_assert(sizeof(rn_slot) != sizeof(ration_pool) && sizeof(rn_slot) != sizeof(rn_ledger),
              "a slot is known by its size");

void *rn_heap_allocate(size_t bytes)
{
    void *memory = shim::allocate(bytes);
    if (bytes == sizeof(rn_slot)) {
        rn_slot *slot = (rn_slot *)memory;
        if (watches_shelves) {
            shim::watch_word(&slot->hot.shelves[SHELF].count);
            shim::watch_word(&slot->hot.shelves[SHELF].base);
            shim::watch_word(&slot->hot.shelf_puts);
            shim::watch_word(&slot->tree_busy);
            shim::watch_word(&slot->tree_shut);
        }
        shim::watch_word(&slot->hot.used);
        shim::watch_word(&slot->hot.limit);
        shim::watch_word(&slot->hot.floor);
        shim::watch_word(&slot->ticket.state);
    }
    return memory;
}

void rn_heap_free(void *memory, size_t bytes)
{
    (void)bytes;
    shim::release(memory);
}

/* ----------------------------------------------------------------------------------------- runs */

struct options {
    unsigned long long iterations, seed;
    const char *scenario;
    bool complete, quiet, until_red;
};

static options how = {100000, 1, NULL, false, false, false};
static bool without_barrier;
static const scenario *running;

template <int N> struct suite : rl::test_suite<suite<N>, N> {
    void before()
    {
        shim::world_begin<N>();
        running->open();
        shim::now.special = false;
    }
    void thread(unsigned index)
    {
        /* Equal chances at every step let threads advance side by side: some start later. */
        unsigned late = how.complete || rl::rand(2) == 0 ? 0 : rl::rand(32);
        while (late-- > 0) {
            rl::ctx().sched();
        }
        running->thread((int)index);
    }
    void after()
    {
        shim::now.special = true;
        running->close();
        shim::world_end();
    }
    void invariant()
    {
        look_at_ghost();
    }
};

/* What Relacy prints, in memory of its own: Relacy has replaced operator new. */
struct text_buffer : std::streambuf {
    char text[1024 * 1024];
    void clear()
    {
        memset(text, 0, sizeof(text));
        setp(text, text + sizeof(text) - 1);
    }
    size_t length() const
    {
        return (size_t)(pptr() - pbase());
    }
};

/* As rl::simulate, which would compile every search for every suite: when an execution fails, it is
 * repeated with its history. */
template <int N, typename search> static bool simulate(rl::test_params &params)
{
    rl::ostringstream state;
    if (rl::run_test<suite<N>, search>(params, state, false) == rl::test_result_success) {
        return true;
    }
    rl::ostringstream ignored;
    params.initial_state = state.str();
    params.collect_history = true;
    rl::run_test<suite<N>, search>(params, ignored, true);
    return false;
}

static bool is_to_run(const scenario *it, ordering ordering)
{
    if (how.complete) {
        return it->threads == 2 && (ordering == MEMBARRIER || ordering == SEQ_CST);
    }
    return ordering != REFUSED || it->may_refuse;
}

/* The orderings that are special cases get fewer. */
static unsigned long long count_executions(const scenario *it, ordering ordering)
{
    unsigned long long part = ordering == MEMBARRIER ? 100 : ordering == SEQ_CST ? 25 : 5;
    return RN_MAX(how.iterations * (unsigned)it->percent / 100 * part / 100, 1);
}

static bool search(const scenario *it, rl::test_params &params)
{
    if (how.complete) {
        return simulate<2, rl::context_bound_scheduler<2>>(params);
    }
    return it->threads == 2   ? simulate<2, rl::random_scheduler<2>>(params)
           : it->threads == 3 ? simulate<3, rl::random_scheduler<3>>(params)
                              : simulate<4, rl::random_scheduler<4>>(params);
}

/* One scenario in one ordering. */
static bool run(const scenario *it, ordering ordering)
{
    static const char *const names[ORDERINGS] = {"membarrier", "flush all", "visited", "refused",
                                                 "seq_cst"};
    static const shim::barrier_kind kinds[ORDERINGS] = {shim::BARRIER_EACH, shim::BARRIER_ALL,
                                                        shim::BARRIER_VISIT, shim::BARRIER_REFUSED,
                                                        shim::BARRIER_LOST};
    static text_buffer trace;
    static text_buffer progress;
    trace.clear();
    progress.clear();
    std::ostream trace_stream(&trace);
    std::ostream progress_stream(&progress);
    running = it;
    ordering_now = ordering;
    shim::barrier = without_barrier ? shim::BARRIER_LOST : kinds[ordering];

    /* A random search goes through the seeds from `first` to `last`. */
    unsigned long long first = how.complete ? 1 : how.seed;
    unsigned long long last = first - 1 + count_executions(it, ordering);
    char start[32];
    (void)snprintf(start, sizeof(start), "%llu", first);
    rl::test_params params;
    params.initial_state = how.complete ? "" : start;
    params.iteration_count = last;
    params.search_type = how.complete ? rl::sched_bound : rl::sched_random;
    params.context_bound = UINT_MAX; /* context switches: any number */
    params.execution_depth_limit = 4000;
    params.output_stream = &trace_stream;
    params.progress_stream = &progress_stream;
    bool held = search(it, params);
    int reason = (int)strcspn(trace.text, "\n"); /* the first line of what Relacy prints */
    printf("%-11s %d threads  %-10s  %-8s %8llu executions: %.*s\n", it->name, it->threads,
           names[ordering], how.complete ? "complete" : "random",
           (unsigned long long)params.stop_iteration - first + 1, held ? 4 : reason,
           held ? "held" : trace.text);
    fflush(stdout);
    if (!held && !how.quiet) {
        fwrite(trace.text, 1, trace.length(), stderr);
    }
    return held;
}

static bool plant(const char *fault)
{
    if (strcmp(fault, "barrier") == 0) {
        without_barrier = true;
    } else if (strcmp(fault, "release") == 0) {
        shim::weak_release = true;
    } else if (strcmp(fault, "seq_cst") == 0) {
        shim::weak_seq_cst = true;
    } else {
        return false;
    }
    return true;
}

static int usage()
{
    fputs("usage: relacy [--iterations N] [--seed N] [--scenario NAME] [--complete] [--quiet]\n"
          "              [--until-red] [--fault barrier|release|seq_cst]\n",
          stderr);
    return 2;
}

static bool read_options(int count, char **words)
{
    for (int i = 1; i < count; i++) {
        const char *word = words[i];
        if (strcmp(word, "--quiet") == 0) {
            how.quiet = true;
        } else if (strcmp(word, "--complete") == 0) {
            how.complete = true;
        } else if (strcmp(word, "--until-red") == 0) {
            how.until_red = true;
        } else if (++i == count) {
            return false;
        } else if (strcmp(word, "--iterations") == 0) {
            how.iterations = strtoull(words[i], NULL, 10);
        } else if (strcmp(word, "--seed") == 0) {
            how.seed = strtoull(words[i], NULL, 10);
        } else if (strcmp(word, "--scenario") == 0) {
            how.scenario = words[i];
        } else if (strcmp(word, "--fault") != 0 || !plant(words[i])) {
            return false;
        }
    }
    return how.iterations > 0 && how.seed > 0;
}

int main(int count, char **words)
{
    if (!read_options(count, words)) {
        return usage();
    }
    bool held = true;
    int runs = 0;
    for (size_t i = 0; i < RN_COUNT(scenarios); i++) {
        if (how.scenario != NULL && strcmp(how.scenario, scenarios[i].name) != 0) {
            continue;
        }
        for (int at = 0; at < ORDERINGS && (held || !how.until_red); at++) {
            if (is_to_run(&scenarios[i], (ordering)at)) {
                held = run(&scenarios[i], (ordering)at) && held;
                runs += 1;
            }
        }
    }
    for (const point *at = points; at->name != NULL; at++) {
        printf("passed %-18s %12llu times\n", at->name, at->passed);
    }
    printf("passed %-18s %12llu times\n", "a load of an old value", shim::stale_loads);
    return runs == 0 ? usage() : held ? 0 : 1;
}

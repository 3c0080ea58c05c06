/* SPDX-License-Identifier: Apache-2.0
 *
 * See scheduler.h. ucontext coroutines, each on a mapped stack with a page that traps below it.
 *
 *   1. Everything that decides - who runs, how long a step takes - is drawn from one stream of
 *      numbers that starts at the seed; no address and no real time goes into it or the trace.
 *   2. A coroutine is ready, or waits for an address and a deadline, or has ended.
 *   3. Nobody ready and no deadline among those who do not attend, for ATTENDED_MAX turns of those
 *      who do: a deadlock. More steps than STEPS_MAX: it goes round in circles.
 */
#include "tests/sim/scheduler.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/hash.h"
#include "tests/support.h"

#if defined(__SANITIZE_ADDRESS__)
#define SIM_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN
#endif
#endif
#ifdef SIM_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define TASKS_MAX 64
#define STACK_BYTES ((size_t)512 * 1024)
#define GUARD_BYTES ((size_t)4096)
#define STEPS_MAX 400000
#define ATTENDED_MAX 20000
#define NOTES_KEPT 80
#define LOOKS_MAX 100000 /* at the clock in one step */
#define LOOK_NS 30       /* that one takes */

typedef enum task_state { READY, WAITING, ENDED } task_state;

typedef struct task {
    ucontext_t context;
    const char *name;
    uint32_t number;
    bool attending, timed_out;
    task_state state;
    const void *what;
    int64_t deadline_ns;
    void (*body)(void *argument);
    void *argument;
} task;

typedef struct note {
    int64_t now_ns, value;
    uint32_t task;
    const char *name;
} note;

static struct {
    bool on, printing;
    uint64_t seed, random, trace, steps, notes_made;
    int64_t now_ns;
    uint32_t rarity, attended, looks;
    ucontext_t loop;
    const void *loop_stack;
    size_t loop_bytes;
    task *running;
    uint32_t count, living;
    task tasks[TASKS_MAX];
    note notes[NOTES_KEPT];
} sim;

static char *stacks[TASKS_MAX]; /* kept for the next seeds */

/* ---------------------------------------------------------------------------------------- trace */

static void print_note(const note *at)
{
    const char *who = at->task < sim.count ? sim.tasks[at->task].name : "-";
    printf("%12.3f us  %-12s %-28s %lld\n", (double)at->now_ns / 1e3, who, at->name,
           (long long)at->value);
}

static void mix(uint64_t value)
{
    sim.trace = (sim.trace ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    sim.trace ^= sim.trace >> 29;
}

void sim_note(const char *name, int64_t value)
{
    uint32_t number = sim.running == NULL ? UINT32_MAX : sim.running->number;
    note *at = &sim.notes[sim.notes_made++ % NOTES_KEPT];
    *at = (note){.now_ns = sim.now_ns, .value = value, .task = number, .name = name};
    mix((uint64_t)sim.now_ns);
    mix(number);
    for (const char *byte = name; *byte != '\0'; byte++) {
        mix((uint64_t)*byte);
    }
    mix((uint64_t)value);
    if (sim.printing) {
        print_note(at);
    }
}

uint64_t sim_trace(void)
{
    return sim.trace;
}

uint64_t sim_steps(void)
{
    return sim.steps;
}

uint64_t sim_seed(void)
{
    return sim.seed;
}

void sim_fail(const char *format, ...)
{
    static char text[4096];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    uint64_t first = sim.notes_made > NOTES_KEPT ? sim.notes_made - NOTES_KEPT : 0;
    sim.on = false;
    for (uint64_t i = first; i < sim.notes_made && !sim.printing; i++) {
        print_note(&sim.notes[i % NOTES_KEPT]);
    }
    for (uint32_t i = 0; i < sim.count; i++) {
        static const char *const states[] = {"ready", "waiting", "ended"};
        printf("  %-12s %s\n", sim.tasks[i].name, states[sim.tasks[i].state]);
    }
    printf("%s\n", text);
    printf("seed=%llu replay: make sim SEED=%llu\n", (unsigned long long)sim.seed,
           (unsigned long long)sim.seed);
    fflush(stdout);
    ck_abort_msg("%s\nseed=%llu replay: make sim SEED=%llu", text, (unsigned long long)sim.seed,
                 (unsigned long long)sim.seed);
    abort();
}

/* --------------------------------------------------------------------------------------- chance */

uint64_t sim_below(uint64_t bound)
{
    return rn_random_below(&sim.random, bound);
}

bool sim_one_in(uint64_t chances)
{
    return sim_below(chances) == 0;
}

/* ---------------------------------------------------------------------------------------- tasks */

void sim_begin(uint64_t seed)
{
    memset(&sim, 0, sizeof sim);
    sim.seed = seed;
    sim.random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    sim.now_ns = INT64_C(1000) * 1000000000; /* a clock that has run for a while */
    sim.rarity = 4;
    sim.printing = getenv("SIM_TRACE") != NULL;
    sim.on = true;
}

void sim_end(void)
{
    sim.on = false;
}

bool sim_is_on(void)
{
    return sim.on;
}

bool sim_is_inside(void)
{
    return sim.on && sim.running != NULL;
}

bool sim_is_over(void)
{
    return sim.living == 0;
}

int64_t sim_now_ns(void)
{
    return sim.now_ns;
}

int64_t sim_look_ns(void)
{
    sim_must(sim.looks++ < LOOKS_MAX, "it reads the clock without end, and gives way to nobody");
    return sim.now_ns += LOOK_NS;
}

void sim_pass(int64_t ns)
{
    sim.now_ns += ns;
}

void sim_set_rarity(uint32_t rarity)
{
    sim.rarity = rarity;
}

/* Into the loop; `ended`: for ever. */
static void leave(bool ended)
{
    task *self = sim.running;
#ifdef SIM_ASAN
    void *fake = NULL;
    __sanitizer_start_switch_fiber(ended ? NULL : &fake, sim.loop_stack, sim.loop_bytes);
#else
    (void)ended;
#endif
    swapcontext(&self->context, &sim.loop);
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(fake, &sim.loop_stack, &sim.loop_bytes);
#endif
}

static void run_body(void)
{
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(NULL, &sim.loop_stack, &sim.loop_bytes);
#endif
    task *self = sim.running;
    self->body(self->argument);
    self->state = ENDED;
    sim.living -= !self->attending;
    sim_note("ended", 0);
    leave(true);
}

static char *stack_of(uint32_t number)
{
    if (stacks[number] == NULL) {
        char *memory = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        ck_assert_ptr_ne(memory, MAP_FAILED);
        ck_assert_int_eq(mprotect(memory, GUARD_BYTES, PROT_NONE), 0);
        stacks[number] = memory + GUARD_BYTES;
    }
    return stacks[number];
}

void sim_spawn(const char *name, bool attending, void (*body)(void *argument), void *argument)
{
    ck_assert_uint_lt(sim.count, TASKS_MAX);
    task *made = &sim.tasks[sim.count];
    *made = (task){.name = name,
                   .number = sim.count,
                   .attending = attending,
                   .state = READY,
                   .deadline_ns = INT64_MAX,
                   .body = body,
                   .argument = argument};
    ck_assert_int_eq(getcontext(&made->context), 0);
    made->context.uc_stack.ss_sp = stack_of(sim.count);
    made->context.uc_stack.ss_size = STACK_BYTES;
    made->context.uc_link = NULL;
    makecontext(&made->context, run_body, 0);
    sim.count += 1;
    sim.living += !attending;
}

/* ---------------------------------------------------------------------------------------- waits */

void sim_point(const char *name, int64_t value)
{
    if (!sim_is_inside()) {
        return;
    }
    sim_note(name, value);
    if (sim.rarity != 0 && sim_one_in(sim.rarity)) {
        leave(false);
    }
}

bool sim_wait(const char *name, const void *what, int64_t deadline_ns)
{
    task *self = sim.running;
    sim_note(name, deadline_ns == INT64_MAX ? -1 : deadline_ns - sim.now_ns);
    self->state = WAITING;
    self->what = what;
    self->deadline_ns = deadline_ns;
    self->timed_out = false;
    leave(false);
    return !self->timed_out;
}

void sim_sleep_until(int64_t ns)
{
    static const char asleep;
    while (sim.now_ns < ns) {
        (void)sim_wait("sleeps", &asleep, ns);
    }
}

void sim_wake(const void *what)
{
    for (uint32_t i = 0; i < sim.count && sim.on; i++) {
        task *at = &sim.tasks[i];
        if (at->state == WAITING && at->what == what) {
            at->state = READY;
        }
    }
}

/* ----------------------------------------------------------------------------------------- loop */

static void end_waits(void)
{
    for (uint32_t i = 0; i < sim.count; i++) {
        task *at = &sim.tasks[i];
        if (at->state == WAITING && at->deadline_ns <= sim.now_ns) {
            at->state = READY;
            at->timed_out = true;
        }
    }
}

/* NULL = nobody is ready. */
static task *choose(void)
{
    task *ready[TASKS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim.count; i++) {
        if (sim.tasks[i].state == READY) {
            ready[count++] = &sim.tasks[i];
        }
    }
    return count == 0 ? NULL : ready[sim_below(count)];
}

/* To the next deadline. */
static void skip_time(void)
{
    int64_t next_ns = INT64_MAX;
    for (uint32_t i = 0; i < sim.count; i++) {
        if (sim.tasks[i].state == WAITING) {
            next_ns = RN_MIN(next_ns, sim.tasks[i].deadline_ns);
        }
    }
    sim_must(next_ns != INT64_MAX, "deadlock: everybody waits, and nothing will happen");
    sim.now_ns = RN_MAX(sim.now_ns, next_ns);
}

static void resume(task *next)
{
    sim.attended = next->attending ? sim.attended + 1 : 0;
    sim_must(sim.attended < ATTENDED_MAX, "deadlock: everybody waits for what nobody will do");
    sim.running = next;
    sim.looks = 0;
    sim_note("runs", 0);
#ifdef SIM_ASAN
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, stacks[next->number], STACK_BYTES);
#endif
    swapcontext(&sim.loop, &next->context);
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
    sim.running = NULL;
}

void sim_run(void (*check)(void))
{
    for (bool all_ended = false; !all_ended;) {
        end_waits();
        task *next = choose();
        if (next == NULL) {
            skip_time();
            continue;
        }
        resume(next);
        sim.now_ns += (int64_t)sim_below(20 * SIM_MICROSECOND_NS);
        check();
        sim.steps += 1;
        sim_must(sim.steps < STEPS_MAX, "no end after %llu steps", (unsigned long long)sim.steps);
        all_ended = true;
        for (uint32_t i = 0; i < sim.count; i++) {
            all_ended = all_ended && sim.tasks[i].state == ENDED;
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A million objects: made on fresh pages and on warm ones, given up, the bytes they take, and what
 * stays resident afterwards.
 *
 * Each figure comes from a process of its own, because pages are fresh only once and an allocator
 * that has run before is another one. The children take turns; the least of all rounds counts.
 * What is resident is the process's own (statm), less what it was before the first object. `walk`
 * writes the same bytes in an array that is there: what the memory itself takes. */
#include "bench/memory.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OBJECT_BYTES 64
#define DECAY_BYTES (64 * MIB)
#define DECAY_TICKS 22 /* 1.1 s: the window of 1 s and 100 ms */
#define TICK_NS 50000000
#define DECAY_ROUNDS 3

static void *objects[2 * MILLION]; /* touched before anything is measured */

/* Without stdio, whose buffer comes from the malloc that is measured. */
static int64_t read_resident(void)
{
    char text[128] = "";
    long long pages = 0;
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, text, sizeof text - 1) <= 0 ||
        sscanf(text, "%*d %lld", &pages) != 1) {
        stop_bench("/proc/self/statm");
    }
    (void)close(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static size_t draw_bytes(uint64_t *random)
{
    return SMALL_MIN + (size_t)rn_random_below(random, SMALL_MAX - SMALL_MIN + 1);
}

static char walked[MILLION * OBJECT_BYTES];
static size_t walked_bytes;

static void *walk(size_t bytes)
{
    void *memory = walked + walked_bytes % sizeof walked;
    walked_bytes += bytes;
    return memory;
}
static void walk_back(void *memory)
{
    (void)memory;
}

/* --------------------------------------------------------------------------------- in the child */

ALWAYS_INLINE void make_in_style(const rival *self, rival_style style)
{
    rival_calls calls = self->calls;
    for (size_t i = 0; i < MILLION; i++) {
        objects[i] = rival_take(&calls, style, OBJECT_BYTES);
        rival_write(objects[i], OBJECT_BYTES);
    }
}

/* ns per object. */
static double make_million(const rival *self)
{
    int64_t start_ns = clock_thread_ns();
    if (self->style == STYLE_CONTEXT) {
        make_in_style(self, STYLE_CONTEXT);
    } else if (self->style == STYLE_FOREIGN) {
        make_in_style(self, STYLE_FOREIGN);
    } else if (self->style == STYLE_FRAME) {
        make_in_style(self, STYLE_FRAME);
    } else {
        make_in_style(self, STYLE_PLAIN);
    }
    return (double)(clock_thread_ns() - start_ns) / MILLION;
}

/* ns for all of them. */
static double give_up(const rival *self, size_t count)
{
    int64_t start_ns = rn_clock_ns();
    rival_give_all(&self->calls, self->style, objects, count);
    return (double)(rn_clock_ns() - start_ns);
}

void many_million(const rival *self, double figures[MANY_FIGURES])
{
    memset(objects, 1, sizeof objects);
    for (int i = 0; i < MANY_FIGURES; i += 2) {
        figures[i] = make_million(self);
        figures[i + 1] = give_up(self, MILLION);
    }
}

static void child_million(const rival *self)
{
    double figures[MANY_FIGURES];
    many_million(self, figures);
    printf("%f %f %f %f\n", figures[0], figures[1], figures[2], figures[3]);
}

/* Objects of 8 .. 256 bytes, filled, until `most` are there or they are `bytes` together. */
static size_t make_mixed(const rival *self, size_t most, int64_t bytes, int64_t *out_requested)
{
    uint64_t random = SEED;
    int64_t requested = 0;
    size_t count = 0;
    for (; count < most && requested < bytes; count++) {
        size_t size = draw_bytes(&random);
        objects[count] = rival_take(&self->calls, self->style, size);
        memset(objects[count], 1, size);
        requested += (int64_t)size;
    }
    *out_requested = requested;
    return count;
}

int64_t many_mixed(const rival *self)
{
    int64_t requested = 0;
    (void)make_mixed(self, MILLION, INT64_MAX, &requested);
    return requested;
}

/* Resident bytes, and bytes in blocks, over what was requested, in percent. */
static void child_space(const rival *self)
{
    ration_context *context = self->calls.context;
    rival_give(&self->calls, self->style, rival_take(&self->calls, self->style, OBJECT_BYTES));
    int64_t start = read_resident();
    int64_t requested = many_mixed(self);
    double resident = (double)(read_resident() - start - requested);
    double blocks =
        context == NULL ? 0 : (double)(ration_context_bytes(context, false) - requested);
    printf("%f %f\n", 100 * resident / (double)requested, 100 * blocks / (double)requested);
}

/* MiB resident over the start: with all objects there, just after they were given up, and 100 ms
 * after the window. In between the host ticks; who has no tick gets a pair of calls instead. */
static void child_decay(const rival *self)
{
    ration_context *context = self->calls.context;
    rival_give(&self->calls, self->style, rival_take(&self->calls, self->style, OBJECT_BYTES));
    int64_t start = read_resident();
    int64_t requested = 0;
    size_t count = make_mixed(self, RN_COUNT(objects), DECAY_BYTES, &requested);
    int64_t full = read_resident();
    (void)give_up(self, count);
    int64_t freed = read_resident();
    for (int i = 0; i < DECAY_TICKS; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
        if (context != NULL) {
            ration_governor_tick(bench_world.governor);
        } else {
            self->calls.free(self->calls.allocate(OBJECT_BYTES));
        }
    }
    int64_t later = read_resident();
    printf("%f %f %f\n", (double)(full - start) / (double)MIB,
           (double)(freed - start) / (double)MIB, (double)(later - start) / (double)MIB);
}

int many_child(const char *mode, const char *what)
{
    static const struct {
        const char *mode;
        void (*run)(const rival *self);
    } modes[] = {{"million", child_million}, {"space", child_space}, {"decay", child_decay}};
    static rival own = {.name = "walk", .here = true, .style = STYLE_PLAIN};
    size_t count;
    rival *subject = NULL;
    memset(objects, 1, sizeof objects);
    (void)rivals_open(&count);
    subject = rivals_find(what);
    if (strcmp(what, "bump") == 0) {
        rival_in_context(&own, "bump", world_context(RATION_CONTEXT_BUMP));
        subject = &own;
    } else if (strcmp(what, "walk") == 0) {
        own.calls = (rival_calls){.allocate = walk, .free = walk_back};
        subject = &own;
    } else if (strcmp(what, "frame") == 0) {
        ration_frame *frame = NULL;
        must_be_ok(ration_frame_open(bench_world.slot, "bench", &frame));
        rival_in_frame(&own, frame);
        subject = &own;
    }
    for (size_t i = 0; i < RN_COUNT(modes); i++) {
        if (subject != NULL && subject->here && strcmp(modes[i].mode, mode) == 0) {
            modes[i].run(subject);
            return 0;
        }
    }
    return 2;
}

/* -------------------------------------------------------------------------------- in the parent */

/* Runs this program again and reads its line; false when it said nothing. */
static bool ask_child(const char *mode, const char *what, double *figures)
{
    int ends[2];
    if (pipe(ends) != 0) {
        stop_bench("pipe");
    }
    pid_t child = fork();
    if (child < 0) {
        stop_bench("fork");
    }
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)execl("/proc/self/exe", "memory", mode, what, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    FILE *line = fdopen(ends[0], "r");
    int read = line == NULL ? 0
                            : fscanf(line, "%lf %lf %lf %lf", &figures[0], &figures[1], &figures[2],
                                     &figures[3]);
    (void)fclose(line);
    (void)waitpid(child, NULL, 0);
    return read > 0;
}

/* best[f][i]: figure f of subject i, the least of all rounds. */
static void ask_children(const char *mode, const job *subjects, size_t count, int rounds,
                         double best[MANY_FIGURES][RIVALS_MOST])
{
    for (size_t i = 0; i < MANY_FIGURES * RIVALS_MOST; i++) {
        best[i / RIVALS_MOST][i % RIVALS_MOST] = NAN;
    }
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            double figures[MANY_FIGURES] = {NAN, NAN, NAN, NAN};
            if (rivals_find(subjects[i].name) != NULL && !rivals_find(subjects[i].name)->here) {
                continue;
            }
            if (!ask_child(mode, subjects[i].name, figures)) {
                stop_bench("a child said nothing");
            }
            for (size_t f = 0; f < MANY_FIGURES; f++) {
                best[f][i] = fmin(best[f][i], figures[f]);
            }
        }
    }
}

static const job subjects[] = {{.name = "set"},      {.name = "malloc"}, {.name = "mimalloc"},
                               {.name = "jemalloc"}, {.name = "walk"},   {.name = "bump"},
                               {.name = "frame"}};
#define GENERAL 4 /* the first ones can do all of it */
#define OURS 5    /* from here on ours again */

static void print_subjects(const char *setting, const char *unit, const double *values)
{
    char name[96];
    for (size_t i = 0; i < RN_COUNT(subjects); i++) {
        (void)snprintf(name, sizeof name, "%s.%s", setting, subjects[i].name);
        bool ours = i == 0 || i >= OURS;
        print_row(name, values[i], unit, ours ? NAN : values[0],
                  ours ? NAN : values[i] / values[0]);
    }
}

void measure_many(int rounds)
{
    double best[MANY_FIGURES][RIVALS_MOST];
    ask_children("million", subjects, RN_COUNT(subjects), rounds, best);
    print_subjects("million.fresh", "ns", best[0]);
    print_published("million.fresh", "16", 32, "ns", best[0][0]);
    print_published("million.fresh", "15", 42, "ns", best[0][0]);
    print_subjects("million.warm", "ns", best[2]);
    print_subjects("million.reset", "ns", best[3]);
    print_published("million.reset", "16", 3.9e6, "ns", best[3][0]);
    print_published("million.reset", "15", 5.6e6, "ns", best[3][0]);

    ask_children("space", subjects, GENERAL, 1, best);
    print_row("space.blocks.set", best[1][0], "%", NAN, NAN);
    print_published("space.blocks", "16", 40, "%", best[1][0]);
    print_published("space.blocks", "15", 46, "%", best[1][0]);
    print_jobs("space.resident", "%", subjects, GENERAL, best[0]);

    ask_children("decay", subjects, GENERAL, RN_MIN(rounds, DECAY_ROUNDS), best);
    print_jobs("decay.freed", "MiB", subjects, GENERAL, best[1]);
    print_jobs("decay.later", "MiB", subjects, GENERAL, best[2]);
}
